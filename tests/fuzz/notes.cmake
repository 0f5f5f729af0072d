# SPDX-License-Identifier: Apache-2.0
picket_fuzz(notes_fuzz ${CMAKE_CURRENT_SOURCE_DIR}/notes_fuzz.c DEPS picket_applications picket_health picket_window)
