# SPDX-License-Identifier: Apache-2.0
picket_fuzz(api_answer_fuzz api_answer_fuzz.c DEPS picket_collect)
