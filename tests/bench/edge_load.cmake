# SPDX-License-Identifier: Apache-2.0
picket_bench(edge_load DEPS picket_agent)
