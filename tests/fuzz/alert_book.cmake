# SPDX-License-Identifier: Apache-2.0
picket_fuzz(alert_book_fuzz ${CMAKE_CURRENT_SOURCE_DIR}/alert_book_fuzz.c DEPS picket_alert)
