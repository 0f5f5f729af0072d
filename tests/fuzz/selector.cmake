# SPDX-License-Identifier: Apache-2.0
picket_fuzz(selector_fuzz selector_fuzz.c DEPS picket_prometheus_text m)
