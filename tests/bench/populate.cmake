# SPDX-License-Identifier: Apache-2.0
picket_bench(populate DEPS picket_journal)
