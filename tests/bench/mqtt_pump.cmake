# SPDX-License-Identifier: Apache-2.0
picket_bench(mqtt_pump DEPS picket_net)
# The broker's certificates are made as the unit tests make them.
target_sources(mqtt_pump PRIVATE ${PROJECT_SOURCE_DIR}/tests/unit/common/net/net_support.c)
target_include_directories(mqtt_pump PRIVATE ${PROJECT_SOURCE_DIR}/tests/unit/common/net)
