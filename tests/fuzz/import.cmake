# SPDX-License-Identifier: Apache-2.0
picket_fuzz(import_fuzz ${CMAKE_CURRENT_SOURCE_DIR}/import_fuzz.c DEPS picket_import)
