/* SPDX-License-Identifier: Apache-2.0
 * The rules of mask.h: each marks the bytes that it takes for a secret. Rules do not know of one another; a byte that any
 * of them marks is masked. Each is linear in the text. Any thread. */
#ifndef PICKET_DIAGNOSE_MASK_RULES_H
#define PICKET_DIAGNOSE_MASK_RULES_H

#include "common/base/slice.h"

/* marks[i] is set for byte i of the text; the caller has cleared them. */
typedef void mask_rule_fn(slice text, uint8_t *marks);

/* By the secret's own shape (mask_rules.c). */
mask_rule_fn mask_rule_key_blocks, mask_rule_tokens, mask_rule_schemes, mask_rule_random_runs;
/* By the names beside it (mask_named.c). */
mask_rule_fn mask_rule_named_values, mask_rule_options, mask_rule_elements, mask_rule_phrases;
mask_rule_fn mask_rule_urls, mask_rule_userinfo; /* mask_urls.c */
mask_rule_fn mask_rule_commands;                 /* mask_command.c */

#endif
