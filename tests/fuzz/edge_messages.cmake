# SPDX-License-Identifier: Apache-2.0
picket_fuzz(edge_messages_fuzz ${CMAKE_CURRENT_SOURCE_DIR}/edge_messages_fuzz.c DEPS picket_ship)
