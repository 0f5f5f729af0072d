/* SPDX-License-Identifier: Apache-2.0
 * The agents that were heard of since the start: what each said of itself last (its retained AgentStatus comes again
 * on every connect), and what of each stream is committed. Filled by the intake, read by the API. Any thread. */
#ifndef PICKET_INTAKE_AGENTS_H
#define PICKET_INTAKE_AGENTS_H

#include "aggregator/journal/journal.h"

enum { AGENTS_MAX = 20000, AGENT_STREAMS_MAX = 64 };

struct agents;

struct agent_stream { /* as the last batch left it */
    uint64_t stream, committed_sequence, wanted_sequence, missing;
    bool ended;
};

/* A copy, in the caller's arena. */
struct agent_view {
    slice tenant, agent, epoch; /* epoch: of the last batch; empty: none came */
    slice status;               /* encoded AgentStatus; empty: none came */
    int64_t last_seen_ms;
    uint64_t committed, missing, refused; /* intents since the aggregator started */
    const struct agent_stream *streams;
    size_t streams_count;
};

struct agents *agents_new(void) MUST_CHECK; /* NULL: no memory */
struct agents *agents_free(struct agents *agents);

/* Takes in a status. FAULT_LIMIT: AGENTS_MAX are known. ret_new: not heard of before. */
fault_code agents_status(struct agents *agents, slice tenant, slice agent, slice status, int64_t now_ms, bool *ret_new,
                         struct fault *reterr) MUST_CHECK;
/* Takes in what became of a batch and marks the agent's ack as due; called where the journal answers. */
void agents_batch(struct agents *agents, const struct journal_batch_outcome *outcome, int64_t now_ms, bool *ret_new);

/* Takes the next agent whose ack is due: *at begins at 0 and is the place to go on from; false: none from there on. */
bool agents_take_due(struct agents *agents, size_t *at, struct arena *arena, struct agent_view *ret_view);
/* Its ack could not be sent: due again. */
void agents_put_back(struct agents *agents, slice tenant, slice agent);

/* By the order in which they were heard of; false past the last. */
bool agents_at(struct agents *agents, size_t index, struct arena *arena, struct agent_view *ret_view);
bool agents_find(struct agents *agents, slice tenant, slice agent, struct arena *arena, struct agent_view *ret_view);
size_t agents_count(struct agents *agents);
/* Marks the ack of each agent that has sent a batch as due: the broker may have lost those that it retained. */
void agents_all_due(struct agents *agents);

#endif
