/* SPDX-License-Identifier: Apache-2.0
 * A source that dies says nothing, so each thing it said has an end: the sender's, who knows how often it looks, or else
 * the journal's. The end is in the fact; what is past it is unknown, and readers say so without a decision. */
#include "aggregator/domain/observation_expiry.h"

fault_code observation_expiry_take(const struct domain_call *call, int64_t observed_ms, bool *has_expires_at,
                                   Timestamp *expires_at, struct fault *reterr) {
    static const int64_t day_ms = 24 * 60 * 60 * 1000;
    if (!*has_expires_at) {
        *has_expires_at = true;
        *expires_at = domain_time(observed_ms + call->health_expiry_ms);
        return FAULT_NONE;
    }
    const int64_t expires_ms = domain_ms(*expires_at);
    if (expires_ms <= observed_ms)
        return fault_set(reterr, FAULT_INPUT, "expires_at: is not after timestamp: it would be unknown from the start");
    if (expires_ms - call->now_ms > OBSERVATION_EXPIRY_DAYS_MAX * day_ms)
        return fault_set(reterr, FAULT_INPUT,
                         "expires_at: is %lld days ahead; what is not seen again within %d days is unknown",
                         (long long)((expires_ms - call->now_ms) / day_ms), OBSERVATION_EXPIRY_DAYS_MAX);
    return FAULT_NONE;
}
