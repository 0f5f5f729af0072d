/* SPDX-License-Identifier: Apache-2.0
 * A subscriber is a cursor in the facts log, so nothing is queued for it beyond its stream's buffer: one that reads
 * slowly falls behind and catches up from the log, and one that takes nothing for STALLED_MS is let go (it comes back
 * with Last-Event-ID). A commit wakes the thread; a heartbeat carries the position, so that a reconnect does not pass
 * over other tenants' facts again. Facts that were compacted come as one event `compacted`, also when Last-Event-ID lies
 * among them; its id is the last of them. */
#include "aggregator/api/events.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "aggregator/api/compacted.h"
#include "aggregator/domain/domain.h"
#include "common/base/clock.h"
#include "common/base/text.h"

enum {
    STREAM_BYTES = 256 * 1024,
    READ_FACTS = 500,
    READ_BYTES = 1024 * 1024,
    ARENA_BYTES = 32 * 1024 * 1024,
    STALLED_MS = 60000,
    RETRY_MS = 20, /* while a subscriber's buffer is full */
    NAME_BYTES = 64,
    TYPES_BYTES = 512,
};

struct subscriber {
    struct subscriber *next;
    struct http_stream *stream;
    char tenant[NAME_BYTES + 1];
    char types[TYPES_BYTES]; /* ",a,b,"; empty: all */
    uint64_t cursor;
    char name[OIDC_NAME_BYTES_MAX + 1];
    struct token_owner owner; /* its texts are the two above */
    uint64_t callers_version;
    int64_t sent_ms, stalled_ms; /* monotonic; stalled since, 0: not */
};

struct events {
    struct journal *journal;
    struct callers *callers;
    size_t subscribers_max;
    int64_t heartbeat_ms;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    struct subscriber *arrived; /* not yet taken over by the thread */
    size_t count;
    bool stopping, wake;
    struct subscriber *subscribers; /* the thread's own */
    struct arena *arena;
};

static void *run(void *context);

static void on_commit(void *context, uint64_t last_sequence) {
    struct events *events = context;
    pthread_mutex_lock(&events->lock);
    events->wake = true;
    pthread_cond_signal(&events->woken);
    pthread_mutex_unlock(&events->lock);
}

fault_code events_open(const struct events_settings *settings, struct events **ret_events, struct fault *reterr) {
    struct events *events = calloc(1, sizeof *events);
    if (!events || !(events->arena = arena_new(256 * 1024, ARENA_BYTES))) {
        free(events);
        return fault_set(reterr, FAULT_SYSTEM, "start the event streams: no memory");
    }
    events->journal = settings->journal;
    events->callers = settings->callers;
    events->subscribers_max = settings->subscribers_max;
    events->heartbeat_ms = settings->heartbeat_ms;
    pthread_mutex_init(&events->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&events->woken, &monotonic);
    pthread_condattr_destroy(&monotonic);
    fault_code code = journal_on_commit(events->journal, on_commit, events, reterr);
    const int error = code ? 0 : pthread_create(&events->thread, NULL, run, events);
    if (error) code = fault_set_errno(reterr, FAULT_SYSTEM, error, "start the event streams' thread");
    if (code) {
        journal_off_commit(events->journal, on_commit, events);
        arena_free(events->arena);
        free(events);
        return code;
    }
    *ret_events = events;
    return FAULT_NONE;
}

static struct subscriber *subscriber_end(struct subscriber *subscriber) {
    struct subscriber *next = subscriber->next;
    http_stream_end(subscriber->stream);
    free(subscriber);
    return next;
}

struct events *events_close(struct events *events) {
    if (!events) return NULL;
    journal_off_commit(events->journal, on_commit, events); /* the journal goes on committing after us */
    pthread_mutex_lock(&events->lock);
    events->stopping = true;
    pthread_cond_signal(&events->woken);
    pthread_mutex_unlock(&events->lock);
    pthread_join(events->thread, NULL);
    while (events->subscribers) events->subscribers = subscriber_end(events->subscribers);
    while (events->arrived) events->arrived = subscriber_end(events->arrived);
    pthread_cond_destroy(&events->woken);
    pthread_mutex_destroy(&events->lock);
    arena_free(events->arena);
    free(events);
    return NULL;
}

size_t events_subscribers(struct events *events) {
    pthread_mutex_lock(&events->lock);
    const size_t count = events->count;
    pthread_mutex_unlock(&events->lock);
    return count;
}

static bool parse_sequence(slice text, uint64_t *ret_sequence) {
    uint64_t value = 0;
    if (text.size == 0 || text.size > 19) return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret_sequence = value;
    return true;
}

fault_code events_subscribe(struct events *events, struct http_exchange *exchange, const struct token_owner *owner,
                            struct fault *reterr) {
    slice from = http_exchange_header(exchange, "Last-Event-ID");
    if (!from.size) from = http_exchange_query(exchange, "after");
    const uint64_t newest = journal_last_sequence(events->journal);
    uint64_t cursor = newest;
    if (from.size && !parse_sequence(from, &cursor))
        return fault_set(reterr, FAULT_INPUT,
                         "Last-Event-ID (or ?after=): a fact's sequence is needed, a whole number");
    if (cursor > newest) cursor = newest;
    const slice types = http_exchange_query(exchange, "types");
    if (types.size + 3 > TYPES_BYTES) return fault_set(reterr, FAULT_INPUT, "types: at most %d bytes", TYPES_BYTES - 3);
    struct subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (!subscriber || !slice_to_text(owner->tenant, subscriber->tenant, sizeof subscriber->tenant) ||
        !slice_to_text(owner->name, subscriber->name, sizeof subscriber->name)) {
        free(subscriber);
        return fault_set(reterr, FAULT_SYSTEM, "begin an event stream: no memory");
    }
    if (types.size) {
        subscriber->types[0] = ',';
        memcpy(subscriber->types + 1, types.data, types.size);
        subscriber->types[1 + types.size] = ',';
    }
    subscriber->cursor = cursor;
    subscriber->callers_version =
        UINT64_MAX; /* asked once at the beginning: it may have been revoked since it was admitted */
    subscriber->owner = (struct token_owner){.tenant = slice_from_text(subscriber->tenant),
                                             .name = slice_from_text(subscriber->name),
                                             .role = owner->role,
                                             .expires_ms = owner->expires_ms};
    subscriber->sent_ms = clock_monotonic_ms();
    pthread_mutex_lock(&events->lock);
    const bool full = events->count >= events->subscribers_max;
    if (!full) events->count++;
    pthread_mutex_unlock(&events->lock);
    if (full) {
        free(subscriber);
        return fault_set(reterr, FAULT_LIMIT,
                         "%zu event streams are open, as many as this server serves (http.event_streams_max)",
                         events->subscribers_max);
    }
    struct fault fault;
    if (http_stream_begin(exchange, "text/event-stream", STREAM_BYTES, &subscriber->stream, &fault)) {
        free(subscriber);
        pthread_mutex_lock(&events->lock);
        events->count--;
        pthread_mutex_unlock(&events->lock);
        return FAULT_NONE; /* the exchange has been answered with the failure */
    }
    if (http_stream_send(subscriber->stream, SLICE_LIT("retry: 2000\n\n"), NULL)) {
        /* The peer has left already: the feeding thread finds it so and ends the stream. */
    }
    pthread_mutex_lock(&events->lock);
    subscriber->next = events->arrived;
    events->arrived = subscriber;
    events->wake = true;
    pthread_cond_signal(&events->woken);
    pthread_mutex_unlock(&events->lock);
    return FAULT_NONE;
}

static bool type_wanted(const struct subscriber *subscriber, const char *name) {
    if (!subscriber->types[0]) return true;
    char key[NAME_BYTES + 3];
    snprintf(key, sizeof key, ",%s,", name);
    return strstr(subscriber->types, key) != NULL;
}

static bool wanted(const struct subscriber *subscriber, const struct fact_view *view, const char *name) {
    return slice_equal_text(view->tenant, subscriber->tenant) && type_wanted(subscriber, name);
}

static bool compacted_wanted(const void *context, const char *name, uint32_t fact_number) {
    return type_wanted(context, name);
}

/* What was compacted is said, so that nobody takes it for a loss; FAULT_NONE when it is nothing to the subscriber. */
static fault_code send_compacted(struct subscriber *subscriber, const struct fact_view *view, struct arena *arena,
                                 bool *ret_sent) {
    CompactedRange range;
    slice json;
    *ret_sent = compacted_range(view, slice_from_text(subscriber->tenant), compacted_wanted, subscriber, arena, &range);
    if (!*ret_sent) return FAULT_NONE;
    if (codec_encode_json(&CompactedRange_desc, &range, false, arena, &json, NULL)) json = SLICE_LIT("{}");
    const slice event =
        arena_format(arena, "id: %" PRIu64 "\nevent: compacted\ndata: %.*s\n\n", view->sequence, SLICE_ARG(json));
    return http_stream_send(subscriber->stream, event, NULL);
}

static fault_code send_fact(struct subscriber *subscriber, const struct fact_view *view, const char *name,
                            struct arena *arena) {
    SreDomainFact *fact = arena_alloc(arena, sizeof *fact);
    slice json;
    if (!fact || codec_decode_protobuf(&SreDomainFact_desc, view->bytes, arena, fact, NULL) ||
        codec_encode_json(&SreDomainFact_desc, fact, false, arena, &json, NULL))
        json = SLICE_LIT("{}"); /* the id still tells which: FactService has it */
    slice event =
        arena_format(arena, "id: %" PRIu64 "\nevent: %s\ndata: %.*s\n\n", view->sequence, name, SLICE_ARG(json));
    if (!event.data || event.size > STREAM_BYTES)
        event = arena_format(arena,
                             "id: %" PRIu64 "\nevent: %s\ndata: {}\n: larger than %d bytes, read it by FactService\n\n",
                             view->sequence, name, STREAM_BYTES);
    return http_stream_send(subscriber->stream, event, NULL);
}

/* FAULT_NONE: is at the log's end. FAULT_AGAIN: its buffer is full. FAULT_ABSENT: it has gone. */
static fault_code feed(struct events *events, struct subscriber *subscriber, int64_t now_ms) {
    while (subscriber->cursor < journal_last_sequence(events->journal)) {
        struct fact_view *views;
        size_t count;
        arena_reset(events->arena);
        if (journal_facts(events->journal, subscriber->cursor, READ_FACTS, READ_BYTES, events->arena, &views, &count,
                          NULL) ||
            !count)
            return FAULT_AGAIN;
        for (size_t i = 0; i < count; i++) {
            const char *name = fact_name(views[i].fact_number);
            if (!name) name = "fact";
            bool sent = true;
            fault_code code = FAULT_NONE;
            if (views[i].compacted)
                code = send_compacted(subscriber, &views[i], events->arena, &sent);
            else if (wanted(subscriber, &views[i], name))
                code = send_fact(subscriber, &views[i], name, events->arena);
            else
                sent = false;
            if (code) return code;
            if (sent) {
                subscriber->sent_ms = now_ms;
                subscriber->stalled_ms = 0;
            }
            subscriber->cursor = views[i].sequence;
        }
    }
    return FAULT_NONE;
}

static bool may_stay(struct events *events, struct subscriber *subscriber) {
    const int64_t expires_ms = subscriber->owner.expires_ms;
    if (expires_ms && clock_wall_ms() >= expires_ms) return false;
    const uint64_t version = callers_version(events->callers);
    if (version == subscriber->callers_version) return true;
    subscriber->callers_version = version;
    return callers_stay(events->callers, &subscriber->owner);
}

/* Whether the subscriber stays; *ret_soon: its buffer is full, look again soon. */
static bool serve(struct events *events, struct subscriber *subscriber, int64_t now_ms, bool *ret_soon) {
    if (!may_stay(events, subscriber)) return false;
    fault_code code = feed(events, subscriber, now_ms);
    if (!code && now_ms - subscriber->sent_ms >= events->heartbeat_ms) {
        arena_reset(events->arena);
        code =
            http_stream_send(subscriber->stream,
                             arena_format(events->arena, "id: %" PRIu64 "\n: heartbeat\n\n", subscriber->cursor), NULL);
        if (!code) subscriber->sent_ms = now_ms;
    }
    if (code == FAULT_AGAIN) {
        *ret_soon = true;
        if (!subscriber->stalled_ms) subscriber->stalled_ms = now_ms;
        return now_ms - subscriber->stalled_ms < STALLED_MS;
    }
    return code == FAULT_NONE;
}

static void *run(void *context) {
    struct events *events = context;
    bool soon = false;
    pthread_mutex_lock(&events->lock);
    while (!events->stopping) {
        if (!events->wake) {
            const int64_t until_ns = clock_monotonic_ns() + (soon ? RETRY_MS : 1000) * INT64_C(1000000);
            const struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
            (void)pthread_cond_timedwait(&events->woken, &events->lock, &until);
        }
        events->wake = false;
        while (events->arrived) {
            struct subscriber *next = events->arrived->next;
            events->arrived->next = events->subscribers;
            events->subscribers = events->arrived;
            events->arrived = next;
        }
        pthread_mutex_unlock(&events->lock);
        soon = false;
        size_t ended = 0;
        for (struct subscriber **at = &events->subscribers; *at;) {
            if (serve(events, *at, clock_monotonic_ms(), &soon)) {
                at = &(*at)->next;
            } else {
                *at = subscriber_end(*at);
                ended++;
            }
        }
        pthread_mutex_lock(&events->lock);
        events->count -= ended;
    }
    pthread_mutex_unlock(&events->lock);
    return NULL;
}
