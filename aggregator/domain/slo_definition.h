/* SPDX-License-Identifier: Apache-2.0
 * What an SLO's definition may say, alone and after another. Pure, on any thread. */
#ifndef PICKET_DOMAIN_SLO_DEFINITION_H
#define PICKET_DOMAIN_SLO_DEFINITION_H

#include "aggregator/domain/slo_state.h"

/* Whether it is one that agents can measure. FAULT_INPUT names the field and what is wrong with it; FAULT_LIMIT and
 * FAULT_AGAIN: no memory to find out. arena: scratch. */
fault_code slo_definition_check(const SLO *slo, struct arena *arena, struct fault *reterr) MUST_CHECK;
/* Whether all that a person writes into a definition is the same. */
bool slo_definition_same(const SLO *a, const SLO *b);
/* Whether `updated` may take the place of the present definition: counts must go on meaning the same. FAULT_INPUT: never;
 * FAULT_CONFLICT: not before the windows of former lengths are forgotten. */
fault_code slo_definition_follows(const struct slo_state *slo, const SLO *updated, int64_t now_ms,
                                  struct fault *reterr) MUST_CHECK;

#endif
