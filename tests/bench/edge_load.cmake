picket_bench(edge_load DEPS picket_agent)
