# SPDX-License-Identifier: Apache-2.0
picket_fuzz(mask_fuzz mask_fuzz.c DEPS picket_mask)
