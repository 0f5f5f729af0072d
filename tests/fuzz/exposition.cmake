# SPDX-License-Identifier: Apache-2.0
picket_fuzz(exposition_fuzz exposition_fuzz.c DEPS picket_prometheus_text m)
