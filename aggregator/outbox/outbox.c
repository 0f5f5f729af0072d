/* SPDX-License-Identifier: Apache-2.0
 * One thread per consumer: a slow one holds nobody up, and a consumer never needs to think of another. Each waits on
 * one condition for the journal to get ahead of its cursor, reads what is behind it into its own arena, hands it over
 * and moves the cursor. A fault is not passed over: the same facts come again after a pause. */
#include "aggregator/outbox/outbox.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

enum {
    CONSUMERS_MAX = 16,
    NAME_BYTES = 64,
    FACTS_MAX = 4096,
    BYTES_MAX = 4 * 1024 * 1024,
    ARENA_BLOCK_BYTES = 1024 * 1024,
    ARENA_BYTES_MAX = 64 * 1024 * 1024,
    PAUSE_MIN_MS = 50,
    PAUSE_MAX_MS = 5000,
    FLOOD_FACTS = 1000,
    NICE = 5, /* a third of the share of a thread with none */
};

struct runner {
    struct outbox *outbox;
    struct outbox_consumer consumer;
    char name[NAME_BYTES];
    pthread_t thread;
    bool runs;
    struct arena *arena;
    uint64_t reached;      /* the last fact consumed */
    size_t held;           /* facts consumed and not settled: those from the cursor to `reached` */
    int64_t held_since_ms; /* the first consume behind the last settle */
    /* under the outbox's lock */
    uint64_t cursor, facts, failures;
    struct fault last_fault;
};

struct outbox {
    struct journal *journal;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* facts were committed, or the end is near */
    bool stopping;
    size_t count;
    struct runner runners[CONSUMERS_MAX];
};

static void on_commit(void *context, uint64_t last_sequence) {
    struct outbox *outbox = context;
    pthread_mutex_lock(&outbox->lock);
    pthread_cond_broadcast(&outbox->changed);
    pthread_mutex_unlock(&outbox->lock);
}

fault_code outbox_new(struct journal *journal, struct outbox **ret_outbox, struct fault *reterr) {
    struct outbox *outbox = calloc(1, sizeof *outbox);
    if (!outbox) return fault_set(reterr, FAULT_LIMIT, "make the outbox: out of memory");
    outbox->journal = journal;
    pthread_mutex_init(&outbox->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&outbox->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret_outbox = outbox;
    return FAULT_NONE;
}

fault_code outbox_add(struct outbox *outbox, const struct outbox_consumer *consumer, struct fault *reterr) {
    if (outbox->count == CONSUMERS_MAX)
        return fault_set(reterr, FAULT_LIMIT, "the outbox has %d consumers, the most there can be", CONSUMERS_MAX);
    for (size_t i = 0; i < outbox->count; i++)
        if (strcmp(outbox->runners[i].name, consumer->name) == 0)
            return fault_set(reterr, FAULT_CONFLICT, "the outbox has a consumer '%s' already", consumer->name);
    struct runner *runner = &outbox->runners[outbox->count];
    if (strlen(consumer->name) >= sizeof runner->name)
        return fault_set(reterr, FAULT_LIMIT, "a consumer's name has at most %d characters", NAME_BYTES - 1);
    runner->arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    if (!runner->arena) return fault_set(reterr, FAULT_LIMIT, "add consumer '%s': out of memory", consumer->name);
    runner->outbox = outbox;
    runner->consumer = *consumer;
    snprintf(runner->name, sizeof runner->name, "%s", consumer->name);
    if (!runner->consumer.facts_max) runner->consumer.facts_max = FACTS_MAX;
    if (!runner->consumer.bytes_max) runner->consumer.bytes_max = BYTES_MAX;
    outbox->count++;
    return FAULT_NONE;
}

/* ---- a consumer's thread ---- */

static uint64_t behind(const struct runner *runner) {
    return journal_last_sequence(runner->outbox->journal) - runner->reached;
}

/* Waits until so many facts are to be consumed, for at most so long (0: without end). False: stop. */
static bool wait_for_facts(struct runner *runner, uint64_t facts, int64_t wait_ms) {
    struct outbox *outbox = runner->outbox;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&outbox->lock);
    int waited = 0;
    while (!outbox->stopping && waited == 0 && behind(runner) < facts)
        waited = wait_ms ? pthread_cond_timedwait(&outbox->changed, &outbox->lock, &until)
                         : pthread_cond_wait(&outbox->changed, &outbox->lock);
    const bool go = !outbox->stopping;
    pthread_mutex_unlock(&outbox->lock);
    return go;
}

/* What came in while the last batch was taken in tells whether there is a flood. False: stop. */
static bool gather(struct runner *runner) {
    const struct outbox_consumer *consumer = &runner->consumer;
    if (!consumer->gather_facts || behind(runner) < FLOOD_FACTS) return true;
    return wait_for_facts(runner, consumer->gather_facts, consumer->gather_ms);
}

static void note(struct runner *runner, uint64_t cursor, size_t facts, const struct fault *fault) {
    pthread_mutex_lock(&runner->outbox->lock);
    runner->cursor = runner->reached = cursor;
    runner->held = 0;
    runner->facts += facts;
    runner->failures += fault != NULL;
    runner->last_fault = fault ? *fault : (struct fault){0};
    pthread_mutex_unlock(&runner->outbox->lock);
}

/* All that was consumed has its effect now, and the cursor moves. */
static fault_code settle(struct runner *runner, struct fault *reterr) {
    struct journal *journal = runner->outbox->journal;
    const struct outbox_consumer *consumer = &runner->consumer;
    const uint64_t cursor = runner->reached;
    if (!runner->held) return FAULT_NONE;
    if (consumer->settle && consumer->settle(consumer->context, reterr))
        return fault_wrap(reterr, "feed '%s' up to fact %llu", runner->name, (unsigned long long)cursor);
    note(runner, cursor, runner->held, NULL);
    if (!consumer->load_cursor) journal_cursor_set(journal, runner->name, cursor);
    journal_taken(journal, runner->name, cursor);
    return FAULT_NONE;
}

static bool holds_on(const struct runner *runner) {
    const struct outbox_consumer *consumer = &runner->consumer;
    return consumer->settle && behind(runner) >= FLOOD_FACTS && runner->held < consumer->hold_facts &&
           clock_monotonic_ms() - runner->held_since_ms < consumer->hold_ms;
}

static fault_code next_facts(struct runner *runner, struct fact_view **ret_facts, size_t *ret_count,
                             struct fault *reterr) {
    const struct outbox_consumer *consumer = &runner->consumer;
    arena_reset(runner->arena);
    if (journal_facts(runner->outbox->journal, runner->reached, consumer->facts_max, consumer->bytes_max, runner->arena,
                      ret_facts, ret_count, reterr))
        return fault_wrap(reterr, "feed '%s'", runner->name);
    if (*ret_count && (*ret_facts)[0].first_sequence > runner->reached + 1)
        return fault_set(reterr, FAULT_CORRUPT, "feed '%s': fact %llu is missing in the journal", runner->name,
                         (unsigned long long)runner->reached + 1);
    return FAULT_NONE;
}

static fault_code feed(struct runner *runner, struct fault *reterr) {
    const struct outbox_consumer *consumer = &runner->consumer;
    struct fact_view *facts;
    size_t count;
    const fault_code code = next_facts(runner, &facts, &count, reterr);
    if (code) { /* what is held is whole: a consumer that was told nothing would take it in twice */
        struct fault other;
        (void)settle(runner, &other);
        return code;
    }
    if (!runner->held) runner->held_since_ms = clock_monotonic_ms();
    if (count && consumer->consume(consumer->context, facts, count, reterr))
        return fault_wrap(reterr, "feed '%s' from fact %llu", runner->name, (unsigned long long)facts[0].sequence);
    if (count) runner->reached = facts[count - 1].sequence;
    runner->held += count;
    return holds_on(runner) ? FAULT_NONE : settle(runner, reterr);
}

static void *runner_main(void *context) {
    struct runner *runner = context;
    struct outbox *outbox = runner->outbox;
    char thread_name[16];
    snprintf(thread_name, sizeof thread_name, "feed-%s", runner->name);
    pthread_setname_np(pthread_self(), thread_name);
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + NICE); /* of this thread, on Linux */
    bool loaded = false;
    int64_t pause_ms = 0;
    for (;;) {
        struct fault fault = {0};
        fault_code code = FAULT_NONE;
        if (!loaded) {
            uint64_t cursor = 0;
            code = runner->consumer.load_cursor
                       ? runner->consumer.load_cursor(runner->consumer.context, &cursor, &fault)
                       : journal_cursor_get(outbox->journal, runner->name, &cursor, &fault);
            if (!code && cursor > journal_last_sequence(outbox->journal))
                code =
                    fault_set(&fault, FAULT_CORRUPT,
                              "'%s' has taken in fact %llu, the journal ends at %llu: it belongs to another journal; "
                              "delete its store to build it again",
                              runner->name, (unsigned long long)cursor,
                              (unsigned long long)journal_last_sequence(outbox->journal));
            loaded = code == FAULT_NONE;
            if (loaded) {
                note(runner, cursor, 0, NULL);
                journal_taken(outbox->journal, runner->name, cursor);
            }
        }
        const bool go = code || (wait_for_facts(runner, 1, 0) && gather(runner));
        if (!code) code = go ? feed(runner, &fault) : settle(runner, &fault);
        if (!go) break;
        if (code == FAULT_NONE) {
            pause_ms = 0;
            continue;
        }
        note(runner, runner->cursor, 0, &fault);
        pause_ms = pause_ms ? 2 * pause_ms : PAUSE_MIN_MS;
        if (pause_ms > PAUSE_MAX_MS) pause_ms = PAUSE_MAX_MS;
        if (!wait_for_facts(runner, UINT64_MAX, pause_ms)) break;
    }
    return NULL;
}

fault_code outbox_start(struct outbox *outbox, struct fault *reterr) {
    if (journal_on_commit(outbox->journal, on_commit, outbox, reterr)) return fault_wrap(reterr, "start the outbox");
    for (size_t i = 0; i < outbox->count; i++) {
        struct runner *runner = &outbox->runners[i];
        const int rc = pthread_create(&runner->thread, NULL, runner_main, runner);
        if (rc) return fault_set_errno(reterr, FAULT_SYSTEM, rc, "start the thread that feeds '%s'", runner->name);
        runner->runs = true;
    }
    return FAULT_NONE;
}

struct outbox *outbox_stop(struct outbox *outbox) {
    if (!outbox) return NULL;
    journal_off_commit(outbox->journal, on_commit, outbox);
    pthread_mutex_lock(&outbox->lock);
    outbox->stopping = true;
    pthread_cond_broadcast(&outbox->changed);
    pthread_mutex_unlock(&outbox->lock);
    for (size_t i = 0; i < outbox->count; i++) {
        if (outbox->runners[i].runs) pthread_join(outbox->runners[i].thread, NULL);
        arena_free(outbox->runners[i].arena);
    }
    pthread_cond_destroy(&outbox->changed);
    pthread_mutex_destroy(&outbox->lock);
    free(outbox);
    return NULL;
}

size_t outbox_count(const struct outbox *outbox) {
    return outbox->count;
}

void outbox_stats(struct outbox *outbox, size_t index, struct outbox_consumer_stats *ret_stats) {
    const struct runner *runner = &outbox->runners[index];
    pthread_mutex_lock(&outbox->lock);
    *ret_stats = (struct outbox_consumer_stats){.name = runner->name,
                                                .cursor = runner->cursor,
                                                .facts = runner->facts,
                                                .failures = runner->failures,
                                                .last_fault = runner->last_fault};
    pthread_mutex_unlock(&outbox->lock);
    const uint64_t last = journal_last_sequence(outbox->journal);
    ret_stats->lag = last > ret_stats->cursor ? last - ret_stats->cursor : 0;
}
