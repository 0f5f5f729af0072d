# SPDX-License-Identifier: Apache-2.0
picket_fuzz(agent_settings_fuzz ${CMAKE_CURRENT_SOURCE_DIR}/agent_settings_fuzz.c DEPS picket_agent_settings)
