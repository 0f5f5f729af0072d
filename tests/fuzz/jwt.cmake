# SPDX-License-Identifier: Apache-2.0
picket_fuzz(jwt_fuzz jwt_fuzz.c DEPS picket_api)
