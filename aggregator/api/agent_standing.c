/* SPDX-License-Identifier: Apache-2.0
 * The worst that holds is said first. */
#include "aggregator/api/agent_standing.h"

#include <stdio.h>

static int64_t silence_ms_max(const struct agent_word *word) {
    return 3 * (word->interval_ms > 0 ? word->interval_ms : AGENT_INTERVAL_MS) + AGENT_SILENCE_MS;
}

/* Two that take turns connect at least so often, and speak when they do. */
static int64_t conflict_ms_max(const struct agent_word *word) {
    const int64_t silence_ms = silence_ms_max(word);
    return silence_ms > AGENT_CONFLICT_MS ? silence_ms : AGENT_CONFLICT_MS;
}

AgentState agent_standing(const struct agent_brief *brief, const AgentIdentity *identity, int64_t now_ms,
                          char ret_reason[AGENT_STANDING_REASON_BYTES]) {
    enum { SIZE = AGENT_STANDING_REASON_BYTES };
    ret_reason[0] = '\0';
    if (identity && identity->revoked) {
        snprintf(ret_reason, SIZE, "revoked by %.*s: %.*s", SLICE_ARG(slice_first(identity->revoked_by, 64)),
                 SLICE_ARG(slice_first(identity->revoke_reason, 128)));
        return AGENT_STATE_REVOKED;
    }
    if (!brief) {
        snprintf(ret_reason, SIZE, "%s, and nothing was heard of it since this aggregator started",
                 identity->has_certificate ? "it has a certificate" : "it may enrol");
        return AGENT_STATE_AWAITED;
    }
    if (brief->conflict_ms && now_ms - brief->conflict_ms < conflict_ms_max(&brief->word)) {
        snprintf(ret_reason, SIZE,
                 "two agents connect by this name and take turns: give one another name (said until one alone has been "
                 "heard for %lld s)",
                 (long long)conflict_ms_max(&brief->word) / 1000);
        return AGENT_STATE_CONFLICT;
    }
    if (brief->has_status && !brief->word.online) {
        snprintf(ret_reason, SIZE, "it said good-bye, or the broker has lost it");
        return AGENT_STATE_OFFLINE;
    }
    const int64_t silent_ms = now_ms - brief->last_seen_ms;
    if (silent_ms > silence_ms_max(&brief->word)) {
        snprintf(ret_reason, SIZE, "nothing was heard of it for %lld s, and it speaks every %lld s",
                 (long long)silent_ms / 1000, (long long)(silence_ms_max(&brief->word) - AGENT_SILENCE_MS) / 3000);
        return AGENT_STATE_UNKNOWN;
    }
    if (!brief->has_status) {
        snprintf(ret_reason, SIZE, "it sends, and has not said how it is");
        return AGENT_STATE_UNKNOWN;
    }
    const struct agent_queue_change *change = &brief->change;
    if (change->times && now_ms - change->changed_ms < AGENT_CHANGE_SAID_MS)
        snprintf(
            ret_reason, SIZE,
            "its queue is another one since %lld min: the former held %llu records when it spoke of it last, %lld s "
            "before; what was not delivered is lost",
            (long long)(now_ms - change->changed_ms) / 60000, (unsigned long long)change->waiting,
            (long long)(change->changed_ms - change->said_ms) / 1000);
    return AGENT_STATE_ONLINE;
}
