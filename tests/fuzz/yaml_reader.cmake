# SPDX-License-Identifier: Apache-2.0
picket_fuzz(yaml_reader_fuzz ${CMAKE_CURRENT_SOURCE_DIR}/yaml_reader_fuzz.c DEPS picket_settings)
