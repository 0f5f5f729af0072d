/* SPDX-License-Identifier: Apache-2.0
 * Until when an observation (a health check, a fleet state) says something: nothing that was seen once is green for ever. */
#ifndef PICKET_DOMAIN_OBSERVATION_EXPIRY_H
#define PICKET_DOMAIN_OBSERVATION_EXPIRY_H

#include "aggregator/domain/domain.h"

enum {
    OBSERVATION_EXPIRY_MS = 60 * 60 * 1000, /* journal.health_expiry's default, and for what was recorded without one */
    OBSERVATION_EXPIRY_DAYS_MAX = 30,       /* the furthest end that a sender may give, from now */
};

/* *has_expires_at, *expires_at: as the sender gives them; one who gives none gets the journal's (struct domain_call), from
 * when it was observed, which may be past. FAULT_INPUT: not after observed_ms, or too far ahead. */
fault_code observation_expiry_take(const struct domain_call *call, int64_t observed_ms, bool *has_expires_at,
                                   Timestamp *expires_at, struct fault *reterr) MUST_CHECK;

#endif
