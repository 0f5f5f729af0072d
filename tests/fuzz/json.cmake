# SPDX-License-Identifier: Apache-2.0
picket_fuzz(json_fuzz json_fuzz.c DEPS picket_codec)
