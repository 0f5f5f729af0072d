# SPDX-License-Identifier: Apache-2.0
picket_bench(fact_journal DEPS picket_journal)
