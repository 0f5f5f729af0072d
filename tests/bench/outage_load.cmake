# SPDX-License-Identifier: Apache-2.0
picket_bench(outage_load DEPS picket_agent)
