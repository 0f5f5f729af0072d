# SPDX-License-Identifier: Apache-2.0
picket_fuzz(credential_fuzz ${CMAKE_CURRENT_SOURCE_DIR}/credential_fuzz.c DEPS picket_kubernetes picket_net)
