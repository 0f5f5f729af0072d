/* SPDX-License-Identifier: Apache-2.0
 * An array in order of appearance and a table over it, under one lock that is held for copies only. The journal's
 * writer thread reports here, so nothing in here waits. Streams that ended give up their place when it is needed: the
 * retained ack has told the agent by then. */
#include "aggregator/intake/agents.h"

#include "common/base/checksum.h"

#include <pthread.h>
#include <stdlib.h>

enum { SLOTS = 65536, KEY_BYTES = 160 };

struct agent {
    char key[KEY_BYTES]; /* tenant/agent */
    size_t tenant_size, key_size;
    char epoch[AGENT_EPOCH_BYTES];
    size_t epoch_size;
    uint8_t *status;
    size_t status_size;
    int64_t last_seen_ms, conflict_ms, other_started_ms; /* the last: of the agent that spoke before this one */
    struct agent_word word;
    char queue_epoch[AGENT_EPOCH_BYTES];     /* as its statuses say */
    int64_t queue_said_ms;                   /* 0: not said */
    uint64_t queue_waiting, queue_committed; /* the second: `committed` when it was said */
    struct agent_queue_change change;
    uint64_t config_revision;
    uint64_t committed, missing, refused;
    struct agent_stream streams[AGENT_STREAMS_MAX];
    size_t streams_count;
    bool due;
};

/* Of a life before this one. */
struct recalled {
    char key[KEY_BYTES];
    size_t key_size;
    char epoch[AGENT_EPOCH_BYTES];
    struct agent_queue_change change;
};

struct agents {
    pthread_mutex_t lock;
    struct recalled *recalled;
    size_t recalled_count;
    struct agent **items;
    size_t count, capacity;
    uint32_t *slots; /* item + 1 */
};

struct agents *agents_new(void) {
    struct agents *agents = calloc(1, sizeof *agents);
    if (!agents) return NULL;
    pthread_mutex_init(&agents->lock, NULL);
    agents->slots = calloc(SLOTS, sizeof *agents->slots);
    return agents->slots ? agents : agents_free(agents);
}

struct agents *agents_free(struct agents *agents) {
    if (!agents) return NULL;
    for (size_t i = 0; i < agents->count; i++) {
        free(agents->items[i]->status);
        free(agents->items[i]);
    }
    free(agents->items);
    free(agents->slots);
    free(agents->recalled);
    pthread_mutex_destroy(&agents->lock);
    free(agents);
    return NULL;
}

static bool agent_is(const struct agent *agent, slice tenant, slice name) {
    return agent->tenant_size == tenant.size && agent->key_size == tenant.size + 1 + name.size &&
           memcmp(agent->key, tenant.data, tenant.size) == 0 &&
           memcmp(agent->key + tenant.size + 1, name.data, name.size) == 0;
}

static size_t slot_of(const struct agents *agents, slice tenant, slice name) {
    size_t slot = hash_bytes(name, hash_bytes(tenant, 0)) % SLOTS;
    while (agents->slots[slot] && !agent_is(agents->items[agents->slots[slot] - 1], tenant, name))
        slot = (slot + 1) % SLOTS;
    return slot;
}

/* With the lock held. NULL: too many, too long a name, or no memory. */
static struct agent *find_or_add(struct agents *agents, slice tenant, slice name, bool *ret_new) {
    if (!tenant.size || !name.size || tenant.size + 1 + name.size > KEY_BYTES) return NULL;
    const size_t slot = slot_of(agents, tenant, name);
    *ret_new = false;
    if (agents->slots[slot]) return agents->items[agents->slots[slot] - 1];
    if (agents->count == AGENTS_MAX) return NULL;
    if (agents->count == agents->capacity) {
        const size_t capacity = agents->capacity ? agents->capacity * 2 : 16;
        struct agent **items = realloc(agents->items, capacity * sizeof *items);
        if (!items) return NULL;
        agents->items = items;
        agents->capacity = capacity;
    }
    struct agent *agent = calloc(1, sizeof *agent);
    if (!agent) return NULL;
    memcpy(agent->key, tenant.data, tenant.size);
    agent->key[tenant.size] = '/';
    memcpy(agent->key + tenant.size + 1, name.data, name.size);
    agent->tenant_size = tenant.size;
    agent->key_size = tenant.size + 1 + name.size;
    agents->items[agents->count++] = agent;
    agents->slots[slot] = (uint32_t)agents->count;
    *ret_new = true;
    return agent;
}

/* Who starts anew speaks with another start, once. Two that take turns come back to one that was there before. */
static void word_take(struct agent *agent, const struct agent_word *word, int64_t now_ms) {
    const int64_t before_ms = agent->word.started_ms;
    if (!word->retained && word->online && word->started_ms && before_ms && word->started_ms != before_ms) {
        if (word->started_ms == agent->other_started_ms) agent->conflict_ms = now_ms;
        agent->other_started_ms = before_ms;
    }
    agent->word = *word;
    if (word->heard_ms > agent->last_seen_ms) agent->last_seen_ms = word->heard_ms;
}

fault_code agents_status(struct agents *agents, slice tenant, slice name, slice status, const struct agent_word *word,
                         int64_t now_ms, bool *ret_new, struct fault *reterr) {
    uint8_t *copy = malloc(status.size ? status.size : 1);
    if (!copy) return fault_set(reterr, FAULT_LIMIT, "keep an agent's status: out of memory");
    if (status.size) memcpy(copy, status.data, status.size);
    pthread_mutex_lock(&agents->lock);
    struct agent *agent = find_or_add(agents, tenant, name, ret_new);
    if (agent) {
        free(agent->status);
        agent->status = copy;
        agent->status_size = status.size;
        word_take(agent, word, now_ms);
    }
    pthread_mutex_unlock(&agents->lock);
    if (agent) return FAULT_NONE;
    free(copy);
    return fault_set(reterr, FAULT_LIMIT,
                     "keep the status of '%.*s/%.*s': %d agents are known, as many as there may be", SLICE_ARG(tenant),
                     SLICE_ARG(name), AGENTS_MAX);
}

static struct recalled *recalled_find(struct agents *agents, slice key) {
    for (size_t i = 0; i < agents->recalled_count; i++)
        if (slice_equal(key, slice_of(agents->recalled[i].key, agents->recalled[i].key_size)))
            return &agents->recalled[i];
    return NULL;
}

void agents_recall(struct agents *agents, slice tenant, slice name, slice epoch,
                   const struct agent_queue_change *change) {
    struct recalled one = {.key_size = tenant.size + 1 + name.size, .change = *change};
    if (one.key_size > KEY_BYTES || epoch.size != AGENT_EPOCH_BYTES) return;
    memcpy(one.key, tenant.data, tenant.size);
    one.key[tenant.size] = '/';
    memcpy(one.key + tenant.size + 1, name.data, name.size);
    memcpy(one.epoch, epoch.data, AGENT_EPOCH_BYTES);
    pthread_mutex_lock(&agents->lock);
    if (!agents->recalled) agents->recalled = calloc(AGENT_RECALLS_MAX, sizeof *agents->recalled);
    struct recalled *place = agents->recalled ? recalled_find(agents, slice_of(one.key, one.key_size)) : NULL;
    if (!place && agents->recalled && agents->recalled_count < AGENT_RECALLS_MAX)
        place = &agents->recalled[agents->recalled_count++];
    if (place) *place = one;
    pthread_mutex_unlock(&agents->lock);
}

/* With the lock held, at its first word. One that has yet another queue has changed it unheard: how much waited is not known. */
static void take_recalled(struct agents *agents, struct agent *agent, slice epoch) {
    const struct recalled *const one = recalled_find(agents, slice_of(agent->key, agent->key_size));
    const bool same = one && memcmp(one->epoch, epoch.data, AGENT_EPOCH_BYTES) == 0;
    if (!same && (!one || memcmp(one->change.previous_epoch, epoch.data, AGENT_EPOCH_BYTES) != 0)) return;
    agent->change = one->change;
    if (!same) memcpy(agent->change.previous_epoch, one->epoch, AGENT_EPOCH_BYTES); /* two take turns */
}

bool agents_queue(struct agents *agents, slice tenant, slice name, const struct agent_queue *queue, int64_t now_ms,
                  struct agent_queue_change *ret_change) {
    if (queue->epoch.size != AGENT_EPOCH_BYTES) return false;
    pthread_mutex_lock(&agents->lock);
    const uint32_t item = agents->slots[slot_of(agents, tenant, name)];
    struct agent *agent = item ? agents->items[item - 1] : NULL;
    if (agent && !agent->queue_said_ms) take_recalled(agents, agent, queue->epoch);
    const bool other =
        agent && agent->queue_said_ms && memcmp(agent->queue_epoch, queue->epoch.data, AGENT_EPOCH_BYTES) != 0;
    const bool came_back =
        other && agent->change.times && memcmp(agent->change.previous_epoch, queue->epoch.data, AGENT_EPOCH_BYTES) == 0;
    if (other) memcpy(agent->change.previous_epoch, agent->queue_epoch, AGENT_EPOCH_BYTES);
    if (other && !came_back) {
        agent->change.changed_ms = now_ms;
        agent->change.said_ms = agent->queue_said_ms;
        agent->change.waiting = agent->queue_waiting;
        agent->change.committed_since = agent->committed - agent->queue_committed;
        agent->change.times++;
        *ret_change = agent->change;
    }
    if (agent) {
        memcpy(agent->queue_epoch, queue->epoch.data, AGENT_EPOCH_BYTES);
        agent->queue_said_ms = queue->said_ms > 0 ? queue->said_ms : now_ms;
        agent->queue_waiting = queue->waiting;
        agent->queue_committed = agent->committed;
    }
    pthread_mutex_unlock(&agents->lock);
    return other && !came_back;
}

static struct agent_stream *stream_of(struct agent *agent, uint64_t stream) {
    size_t oldest_ended = AGENT_STREAMS_MAX;
    for (size_t i = 0; i < agent->streams_count; i++) {
        if (agent->streams[i].stream == stream) return &agent->streams[i];
        if (agent->streams[i].ended && oldest_ended == AGENT_STREAMS_MAX) oldest_ended = i;
    }
    if (agent->streams_count == AGENT_STREAMS_MAX) {
        if (oldest_ended == AGENT_STREAMS_MAX) oldest_ended = 0;
        memmove(&agent->streams[oldest_ended], &agent->streams[oldest_ended + 1],
                (--agent->streams_count - oldest_ended) * sizeof *agent->streams);
    }
    struct agent_stream *added = &agent->streams[agent->streams_count++];
    *added = (struct agent_stream){.stream = stream};
    return added;
}

void agents_batch(struct agents *agents, const struct journal_batch_outcome *outcome, int64_t now_ms, bool *ret_new) {
    *ret_new = false;
    pthread_mutex_lock(&agents->lock);
    struct agent *agent = find_or_add(agents, outcome->tenant, outcome->agent, ret_new);
    if (agent && outcome->epoch.size == AGENT_EPOCH_BYTES) {
        if (agent->epoch_size != AGENT_EPOCH_BYTES ||
            memcmp(agent->epoch, outcome->epoch.data, AGENT_EPOCH_BYTES) != 0) {
            memcpy(agent->epoch, outcome->epoch.data, AGENT_EPOCH_BYTES);
            agent->epoch_size = AGENT_EPOCH_BYTES;
            agent->streams_count = 0;
        }
        struct agent_stream *stream = stream_of(agent, outcome->stream);
        stream->committed_sequence = outcome->committed_sequence;
        stream->wanted_sequence = outcome->wanted_sequence;
        stream->missing = outcome->missing_all;
        stream->ended = outcome->stream_ended;
        agent->committed += outcome->applied + outcome->refused;
        agent->missing += outcome->missing;
        agent->refused += outcome->refused;
        agent->last_seen_ms = now_ms;
        agent->due = true;
    }
    pthread_mutex_unlock(&agents->lock);
}

/* With the lock held. */
static bool brief_of(const struct agent *agent, struct arena *arena, struct agent_brief *ret_brief) {
    const slice key = arena_copy(arena, slice_of(agent->key, agent->key_size));
    if (!key.data) return false;
    *ret_brief = (struct agent_brief){.tenant = slice_first(key, agent->tenant_size),
                                      .agent = slice_from(key, agent->tenant_size + 1),
                                      .has_status = agent->status != NULL,
                                      .word = agent->word,
                                      .last_seen_ms = agent->last_seen_ms,
                                      .conflict_ms = agent->conflict_ms,
                                      .change = agent->change};
    return true;
}

/* With the lock held. */
static bool view_of(const struct agent *agent, struct arena *arena, struct agent_view *ret_view) {
    struct agent_brief brief;
    const bool named = brief_of(agent, arena, &brief);
    const slice epoch = arena_copy(arena, slice_of(agent->epoch, agent->epoch_size));
    const slice status = arena_copy(arena, slice_of(agent->status, agent->status_size));
    struct agent_stream *streams = arena_alloc_array(arena, agent->streams_count + 1, sizeof *streams);
    if (!named || !epoch.data || !status.data || !streams) return false;
    memcpy(streams, agent->streams, agent->streams_count * sizeof *streams);
    *ret_view = (struct agent_view){.tenant = brief.tenant,
                                    .agent = brief.agent,
                                    .brief = brief,
                                    .config_revision = agent->config_revision,
                                    .epoch = epoch,
                                    .status = status,
                                    .last_seen_ms = agent->last_seen_ms,
                                    .committed = agent->committed,
                                    .missing = agent->missing,
                                    .refused = agent->refused,
                                    .streams = streams,
                                    .streams_count = agent->streams_count};
    return true;
}

bool agents_take_due(struct agents *agents, size_t *at, struct arena *arena, struct agent_view *ret_view) {
    bool found = false;
    pthread_mutex_lock(&agents->lock);
    for (; *at < agents->count && !found; ++*at) {
        struct agent *agent = agents->items[*at];
        if (agent->due && view_of(agent, arena, ret_view)) {
            agent->due = false;
            found = true;
        }
    }
    pthread_mutex_unlock(&agents->lock);
    return found;
}

void agents_put_back(struct agents *agents, slice tenant, slice name) {
    pthread_mutex_lock(&agents->lock);
    const uint32_t item = agents->slots[slot_of(agents, tenant, name)];
    if (item) agents->items[item - 1]->due = true;
    pthread_mutex_unlock(&agents->lock);
}

void agents_all_due(struct agents *agents) {
    pthread_mutex_lock(&agents->lock);
    for (size_t i = 0; i < agents->count; i++) agents->items[i]->due = agents->items[i]->epoch_size != 0;
    pthread_mutex_unlock(&agents->lock);
}

bool agents_at(struct agents *agents, size_t index, struct arena *arena, struct agent_view *ret_view) {
    pthread_mutex_lock(&agents->lock);
    const bool found = index < agents->count && view_of(agents->items[index], arena, ret_view);
    pthread_mutex_unlock(&agents->lock);
    return found;
}

bool agents_brief(struct agents *agents, size_t index, struct arena *arena, struct agent_brief *ret_brief) {
    pthread_mutex_lock(&agents->lock);
    const bool found = index < agents->count && brief_of(agents->items[index], arena, ret_brief);
    pthread_mutex_unlock(&agents->lock);
    return found;
}

void agents_config(struct agents *agents, size_t index, uint64_t revision) {
    pthread_mutex_lock(&agents->lock);
    if (index < agents->count) agents->items[index]->config_revision = revision;
    pthread_mutex_unlock(&agents->lock);
}

bool agents_find(struct agents *agents, slice tenant, slice name, struct arena *arena, struct agent_view *ret_view) {
    pthread_mutex_lock(&agents->lock);
    const uint32_t item = agents->slots[slot_of(agents, tenant, name)];
    const bool found = item && view_of(agents->items[item - 1], arena, ret_view);
    pthread_mutex_unlock(&agents->lock);
    return found;
}

size_t agents_count(struct agents *agents) {
    pthread_mutex_lock(&agents->lock);
    const size_t count = agents->count;
    pthread_mutex_unlock(&agents->lock);
    return count;
}
