/* SPDX-License-Identifier: Apache-2.0
 * A journal that does what it is told on its standard input and says on its standard output what came of it, so that the
 * simulation (simulate.py) can be producers, network, clock and fate. The journal is the real one, without its thread:
 * the same words give the same bytes. A frame is a length (4, little-endian), a letter, and what the letter needs.
 *
 * A failure or a death can be ordered for a turn (injection.h). A journal that died is abandoned as it stands and opened
 * again, as after a kill. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/archive/verify.h"
#include "aggregator/journal/fact_range.h"
#include "aggregator/journal/journal.h"
#include "common/base/arena.h"
#include "tests/simulation/injection.h"

enum {
    FRAME_BYTES_MAX = 4 * 1024 * 1024,
    OUT_BYTES = 16 * 1024 * 1024,
    READ_FACTS = 1000,
    READ_REJECTIONS = 500,
    NEWEST_KEPT = 200,
    FINDING_TEXT_BYTES = 1024,
};
#define READER "reader" /* the consumer that compaction waits for */

struct driver {
    struct journal *journal;
    struct journal_settings settings;
    int64_t now_ms;
    bool for_life; /* one failure was ordered for the whole run; else for a turn or a restart */
    struct arena *arena;
    uint8_t *frame;
    size_t frame_bytes, at;
    uint8_t *out;
    size_t out_bytes, out_room;
};

/* ---- frames ---- */

static void die(const char *why) {
    fprintf(stderr, "journal_driver: %s\n", why);
    exit(2);
}

static void must(fault_code code, const struct fault *fault) {
    if (code) die(fault->text);
}

/* Failures strike between these two only: the driver's own memory is not in question. */
static void enter(void) {
    injection_pause(false);
}
static void leave(void) {
    injection_pause(true);
}

/* A call that failed as ordered says so, and is made again; one that fails otherwise is the end. */
static bool again(fault_code code, const struct fault *fault) {
    leave();
    const bool struck = injection_struck();
    if (!code) return false;
    if (!struck || !fault->text[0]) die(fault->text[0] ? fault->text : "a call fails, and says nothing");
    return true;
}

static uint64_t take_number(struct driver *d, size_t bytes) {
    uint64_t value = 0;
    if (d->at + bytes > d->frame_bytes) die("a frame ends too early");
    for (size_t i = 0; i < bytes; i++) value |= (uint64_t)d->frame[d->at + i] << 8 * i;
    d->at += bytes;
    return value;
}

static slice take_bytes(struct driver *d) {
    const size_t size = take_number(d, 4);
    if (d->at + size > d->frame_bytes) die("a frame ends too early");
    d->at += size;
    return slice_of(d->frame + d->at - size, size);
}

static void put(struct driver *d, const void *bytes, size_t size) {
    if (d->out_bytes + size > d->out_room) {
        d->out_room = 2 * (d->out_bytes + size);
        d->out = realloc(d->out, d->out_room);
        if (!d->out) die("out of memory");
    }
    if (size) memcpy(d->out + d->out_bytes, bytes, size);
    d->out_bytes += size;
}

static void put_number(struct driver *d, uint64_t value, size_t bytes) {
    uint8_t text[8];
    for (size_t i = 0; i < bytes; i++) text[i] = (uint8_t)(value >> 8 * i);
    put(d, text, bytes);
}

static void put_bytes(struct driver *d, slice bytes) {
    put_number(d, bytes.size, 4);
    put(d, bytes.data, bytes.size);
}

static void flush(struct driver *d) {
    uint8_t size[4];
    for (int i = 0; i < 4; i++) size[i] = (uint8_t)(d->out_bytes >> 8 * i);
    if (fwrite(size, 1, 4, stdout) != 4 || fwrite(d->out, 1, d->out_bytes, stdout) != d->out_bytes || fflush(stdout))
        die("nobody listens");
    d->out_bytes = 0;
}

/* ---- what the journal says ---- */

static void on_command(void *context, const struct journal_outcome *outcome) {
    struct driver *d = context;
    if (injection_dead()) return; /* killed: the answer was never sent */
    put_number(d, 'c', 1);
    put_number(d, outcome->result, 1);
    put_number(d, outcome->fault.code, 1);
    put_number(d, outcome->aggregate_version, 8);
    put_number(d, outcome->last_sequence, 8);
    put_bytes(d, outcome->aggregate_type);
    put_bytes(d, outcome->aggregate_id);
    put_bytes(d, slice_from_text(outcome->fault.code ? outcome->fault.text : ""));
}

static void on_batch(void *context, const struct journal_batch_outcome *outcome) {
    struct driver *d = context;
    if (injection_dead()) return;
    put_number(d, 'b', 1);
    put_number(d, outcome->result, 1);
    put_number(d, outcome->fault.code, 1);
    put_number(d, outcome->committed_sequence, 8);
    put_number(d, outcome->wanted_sequence, 8);
    put_number(d, outcome->applied, 8);
    put_number(d, outcome->repeated, 8);
    put_number(d, outcome->refused, 8);
    put_number(d, outcome->missing, 8);
}

static int64_t now(void *context) {
    return ((const struct driver *)context)->now_ms;
}

static void open_journal(struct driver *d) {
    struct fault fault;
    fault_code code;
    do {
        fault = (struct fault){0};
        enter();
        code = journal_open(&d->settings, &d->journal, &fault);
    } while (again(code, &fault));
}

static void close_journal(struct driver *d) {
    enter();
    d->journal = journal_close(d->journal);
    leave();
}

/* ---- letters ---- */

static void submit_command(struct driver *d) {
    struct fault fault;
    fault_code code;
    struct journal_command command = {.done = on_command, .context = d};
    command.caller.role = (enum method_role)take_number(d, 1);
    command.caller.self = command.caller.role > ROLE_INTEGRATION; /* model.py's SELF */
    command.expected_version = take_number(d, 8);
    command.replay_of = take_number(d, 8);
    command.caller.tenant = take_bytes(d);
    command.caller.actor = take_bytes(d);
    command.idempotency_key = take_bytes(d);
    command.intent = take_bytes(d);
    do {
        enter();
        code = journal_submit(d->journal, &command, &fault);
    } while (again(code, &fault));
}

static void submit_batch(struct driver *d) {
    struct fault fault;
    fault_code code;
    const slice tenant = take_bytes(d), agent = take_bytes(d), payload = take_bytes(d);
    do {
        enter();
        code = journal_submit_batch(d->journal, tenant, agent, payload, on_batch, d, &fault);
    } while (again(code, &fault));
}

static void order(struct driver *d) {
    const enum injection what = (enum injection)take_number(d, 1);
    const unsigned n = (unsigned)take_number(d, 4);
    if (!d->for_life) injection_begin(what, n);
}
static void order_end(struct driver *d) {
    if (!d->for_life) injection_begin(INJECT_NOTHING, 0);
}

/* Decides what waits; answers with the outcomes, and whether it was killed meanwhile. */
static void turn(struct driver *d) {
    order(d);
    enter();
    journal_turn(d->journal);
    leave();
    const bool dead = injection_dead(), struck = injection_struck();
    order_end(d);
    put_number(d, dead ? 'k' : struck ? 'f' : '.', 1);
    if (dead) {
        d->journal = journal_abandon(d->journal);
        open_journal(d);
    }
    put_number(d, journal_last_sequence(d->journal), 8);
    flush(d);
}

static void get(struct driver *d) {
    struct fault fault;
    const slice tenant = take_bytes(d), type = take_bytes(d), id = take_bytes(d);
    slice aggregate = {0};
    fault_code code;
    do {
        enter();
        code = journal_get(d->journal, tenant, type, id, d->arena, &aggregate, &fault);
    } while (again(code == FAULT_ABSENT ? FAULT_NONE : code, &fault));
    put_bytes(d, aggregate);
    flush(d);
}

static void facts(struct driver *d) {
    struct fault fault;
    struct fact_view *views;
    size_t count;
    const uint64_t after = take_number(d, 8);
    fault_code code;
    do {
        enter();
        code = journal_facts(d->journal, after, READ_FACTS, FRAME_BYTES_MAX, d->arena, &views, &count, &fault);
    } while (again(code, &fault));
    put_number(d, count, 4);
    for (size_t i = 0; i < count; i++) {
        put_number(d, views[i].first_sequence, 8);
        put_number(d, views[i].sequence, 8);
        put_number(d, views[i].compacted, 1);
        put_number(d, views[i].fact_number, 2);
        put_number(d, views[i].version, 8);
        put_bytes(d, views[i].tenant);
        put_bytes(d, views[i].aggregate_type);
        put_bytes(d, views[i].aggregate_id);
        put_bytes(d, views[i].bytes);
    }
    flush(d);
}

static void list_open(struct driver *d) {
    struct fault fault;
    const slice tenant = take_bytes(d), type = take_bytes(d);
    struct journal_place place = {0};
    bool more = true, begun = false;
    while (more) {
        struct journal_item *items;
        size_t count;
        fault_code code;
        do {
            struct journal_place from = place;
            enter();
            code = journal_list_open(d->journal, tenant, type, begun ? &from : NULL, 100, d->arena, &items, &count,
                                     &place, &more, &fault);
        } while (again(code, &fault));
        for (size_t i = 0; i < count; i++) put_bytes(d, items[i].id);
        begun = true;
    }
    flush(d);
}

/* Compacted facts: how many of whose, by fact number. */
static void range(struct driver *d) {
    struct fault fault;
    struct fact_range range;
    const uint64_t last = take_number(d, 8);
    must(fact_range_open(last, take_bytes(d), &range, &fault), &fault);
    for (size_t i = 0; i < range.counts_count; i++) {
        put_bytes(d, range.counts[i].tenant);
        put_number(d, range.counts[i].fact_number, 2);
        put_number(d, range.counts[i].facts, 8);
    }
    flush(d);
}

static void rejections(struct driver *d) {
    struct fault fault;
    struct journal_rejection *items;
    size_t count;
    const slice tenant = take_bytes(d);
    const uint64_t before = take_number(d, 8);
    fault_code code;
    do {
        enter();
        code = journal_rejections(d->journal, tenant, before, READ_REJECTIONS, d->arena, &items, &count, &fault);
    } while (again(code, &fault));
    for (size_t i = 0; i < count; i++) {
        put_number(d, items[i].sequence, 8);
        put_number(d, items[i].code, 1);
        put_bytes(d, items[i].producer);
        put_bytes(d, items[i].payload);
        put_number(d, items[i].replayed_ms != 0, 1);
        put_bytes(d, items[i].replayed_by);
    }
    flush(d);
}

/* The whole journal, on the disk: the chain, the aggregates, every record. Answers with what is wrong, or with nothing. */
static void verify(struct driver *d) {
    struct fault fault;
    struct verify_progress progress = {0};
    struct verify_result result;
    const struct verify_settings settings = {.path = d->settings.path, .threads = 1, .messages = true, .quiet = true};
    close_journal(d);
    must(verify_journal(&settings, &progress, &result, &fault), &fault);
    char text[FINDING_TEXT_BYTES] = "";
    if (result.finding.kind != FINDING_NONE) finding_print(&result.finding, text, sizeof text);
    put_bytes(d, slice_from_text(text));
    open_journal(d);
    flush(d);
}

static void due(struct driver *d) {
    struct fault fault;
    size_t submitted;
    const size_t most = take_number(d, 4);
    fault_code code;
    do {
        enter();
        code = journal_submit_due(d->journal, most, &submitted, &fault);
    } while (again(code, &fault));
    put_number(d, submitted, 4);
    flush(d);
}

/* Opens with a failure ordered; when it comes to pass, the journal says so and opens the next time. */
static void restart(struct driver *d) {
    close_journal(d);
    order(d);
    open_journal(d);
    put_number(d, injection_struck_ever(), 1);
    order_end(d);
    flush(d);
}

static void struck(struct driver *d) {
    put_number(d, injection_struck_ever(), 1);
    put_number(d, injection_calls(), 4);
    flush(d);
}

static bool obey(struct driver *d) {
    switch (take_number(d, 1)) {
    case 'C': submit_command(d); return true;
    case 'B': submit_batch(d); return true;
    case 'T': turn(d); return true;
    case 'N':
        d->now_ms = (int64_t)take_number(d, 8);
        injection_clock(d->now_ms);
        return true;
    case 'D': due(d); return true;
    case 'G': get(d); return true;
    case 'F': facts(d); return true;
    case 'O': list_open(d); return true;
    case 'R': restart(d); return true;
    case 'J': rejections(d); return true;
    case 'A': range(d); return true;
    case 'V': verify(d); return true;
    case 'X': struck(d); return true;
    case 'K': journal_taken(d->journal, READER, take_number(d, 8)); return true;
    case 'Q': return false;
    default: die("an unknown letter"); return false;
    }
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: journal_driver FOLDER SEED RETENTION_MS FAILURE N    (driven by simulate.py)\n");
        return 2;
    }
    struct driver d = {.arena = arena_new(1 << 20, SIZE_MAX / 2),
                       .frame = malloc(FRAME_BYTES_MAX),
                       .out = malloc(OUT_BYTES),
                       .out_room = OUT_BYTES};
    if (!d.arena || !d.frame || !d.out) die("out of memory");
    const int64_t retention_ms = strtoll(argv[3], NULL, 10);
    d.settings = (struct journal_settings){.path = argv[1],
                                           .map_bytes = UINT64_C(64) << 30,
                                           .sync = KV_SYNC_NONE,
                                           .now_ms = now,
                                           .clock_context = &d,
                                           .random_seed = strtoull(argv[2], NULL, 10),
                                           .without_thread = true,
                                           .retention = {.sli_windows_ms = retention_ms,
                                                         .health_checks_ms = retention_ms,
                                                         .newest_facts = NEWEST_KEPT,
                                                         .consumers = {READER}}};
    leave();
    injection_begin((enum injection)strtol(argv[4], NULL, 10), (unsigned)strtoul(argv[5], NULL, 10));
    d.for_life = strtol(argv[4], NULL, 10) != INJECT_NOTHING;
    open_journal(&d);
    uint8_t size[4];
    bool on = true;
    while (on && fread(size, 1, 4, stdin) == 4) {
        d.frame_bytes = (size_t)size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
        if (d.frame_bytes > FRAME_BYTES_MAX || fread(d.frame, 1, d.frame_bytes, stdin) != d.frame_bytes)
            die("a frame is cut off");
        d.at = 0;
        on = obey(&d);
        arena_reset(d.arena);
    }
    close_journal(&d);
    arena_free(d.arena);
    free(d.frame);
    free(d.out);
    return 0;
}
