# SPDX-License-Identifier: Apache-2.0
picket_bench(exposition_bench DEPS picket_prometheus_text)
