# SPDX-License-Identifier: Apache-2.0
picket_fuzz(schedule_fuzz ${CMAKE_CURRENT_SOURCE_DIR}/schedule_fuzz.c DEPS picket_health)
