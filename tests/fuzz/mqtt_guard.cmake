# SPDX-License-Identifier: Apache-2.0
picket_fuzz(mqtt_guard_fuzz ${CMAKE_CURRENT_SOURCE_DIR}/mqtt_guard_fuzz.c DEPS picket_net)
