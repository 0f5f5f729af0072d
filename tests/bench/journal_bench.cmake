# SPDX-License-Identifier: Apache-2.0
picket_bench(journal_bench DEPS picket_journal)
