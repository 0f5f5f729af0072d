/* SPDX-License-Identifier: Apache-2.0
 * The agents that were heard of since the start: what each said of itself last (its retained AgentStatus comes again
 * on every connect), and what of each stream is committed. Filled by the intake, read by the API. Any thread. */
#ifndef PICKET_INTAKE_AGENTS_H
#define PICKET_INTAKE_AGENTS_H

#include "aggregator/journal/journal.h"

enum { AGENTS_MAX = 20000, AGENT_STREAMS_MAX = 64, AGENT_RECALLS_MAX = 1000 };

struct agents;

struct agent_stream { /* as the last batch left it */
    uint64_t stream, committed_sequence, wanted_sequence, missing;
    bool ended;
};

/* What a status says of the agent's being there. */
struct agent_word {
    bool online;
    int64_t heard_ms;    /* when it was said: of a retained status, by the agent's clock and not after now */
    int64_t started_ms;  /* of the agent; 0: not said */
    int64_t interval_ms; /* between two statuses; 0: not said */
    bool retained;       /* it was said before we came: nothing follows from its order */
};

enum {
    AGENT_EPOCH_BYTES = 36,
    AGENT_CHANGE_SAID_MS = 24 * 3600 * 1000, /* another queue is told beside the state for so long */
    AGENT_INTERVAL_MS = 60 * 1000,           /* where an agent does not say how often it speaks */
    AGENT_SILENCE_MS = 5 * 1000,             /* besides three intervals: what a status may take on its way */
    AGENT_CONFLICT_MS =
        90 * 1000, /* two by one name: so long after the last turn at least; back-off comes between two */
};

/* What a status says of the agent's queue. */
struct agent_queue {
    slice epoch;
    uint64_t waiting; /* records */
    int64_t said_ms;
};

/* It has another queue than before: what the former one held is lost. */
struct agent_queue_change {
    char previous_epoch[AGENT_EPOCH_BYTES];
    int64_t changed_ms;       /* 0: never */
    int64_t said_ms;          /* when it spoke of the former one last */
    uint64_t waiting;         /* records in it then */
    uint64_t committed_since; /* intents of it that came in after that word */
    uint32_t times;
};

/* An agent at a glance. */
struct agent_brief {
    slice tenant, agent; /* in the caller's arena */
    bool has_status;     /* else only batches came */
    struct agent_word word;
    int64_t last_seen_ms, conflict_ms; /* conflict_ms 0: never */
    struct agent_queue_change change;
};

/* A copy, in the caller's arena. */
struct agent_view {
    slice tenant, agent, epoch; /* epoch: of the last batch; empty: none came */
    slice status;               /* encoded AgentStatus; empty: none came */
    struct agent_brief brief;
    uint64_t config_revision; /* published for it; 0: none yet */
    int64_t last_seen_ms;
    uint64_t committed, missing, refused; /* intents since the aggregator started */
    const struct agent_stream *streams;
    size_t streams_count;
};

struct agents *agents_new(void) MUST_CHECK; /* NULL: no memory */
struct agents *agents_free(struct agents *agents);

/* Takes in a status. FAULT_LIMIT: AGENTS_MAX are known. ret_new: not heard of before. */
fault_code agents_status(struct agents *agents, slice tenant, slice agent, slice status, const struct agent_word *word,
                         int64_t now_ms, bool *ret_new, struct fault *reterr) MUST_CHECK;
/* Takes in what that status said of the queue; an epoch of another size, as in a will, says nothing. True: it is another
 * one than before, *ret_change says which. Two agents by one name, which take turns with theirs, change it once. */
bool agents_queue(struct agents *agents, slice tenant, slice agent, const struct agent_queue *queue, int64_t now_ms,
                  struct agent_queue_change *ret_change);
/* What was known of its queue before this aggregator started: taken up when the agent says that it still has the queue of that
 * epoch, or the one before. The last one counts; of more than AGENT_RECALLS_MAX agents the rest is forgotten. */
void agents_recall(struct agents *agents, slice tenant, slice agent, slice epoch,
                   const struct agent_queue_change *change);
/* A configuration was published for the agent at this place. */
void agents_config(struct agents *agents, size_t index, uint64_t revision);
/* Takes in what became of a batch and marks the agent's ack as due; called where the journal answers. */
void agents_batch(struct agents *agents, const struct journal_batch_outcome *outcome, int64_t now_ms, bool *ret_new);

/* Takes the next agent whose ack is due: *at begins at 0 and is the place to go on from; false: none from there on. */
bool agents_take_due(struct agents *agents, size_t *at, struct arena *arena, struct agent_view *ret_view);
/* Its ack could not be sent: due again. */
void agents_put_back(struct agents *agents, slice tenant, slice agent);

/* By the order in which they were heard of; false past the last. */
bool agents_at(struct agents *agents, size_t index, struct arena *arena, struct agent_view *ret_view);
bool agents_brief(struct agents *agents, size_t index, struct arena *arena, struct agent_brief *ret_brief);
bool agents_find(struct agents *agents, slice tenant, slice agent, struct arena *arena, struct agent_view *ret_view);
size_t agents_count(struct agents *agents);
/* Marks the ack of each agent that has sent a batch as due: the broker may have lost those that it retained. */
void agents_all_due(struct agents *agents);

#endif
