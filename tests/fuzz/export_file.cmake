# SPDX-License-Identifier: Apache-2.0
picket_fuzz(export_file_fuzz ${CMAKE_CURRENT_SOURCE_DIR}/export_file_fuzz.c DEPS picket_archive)
