/* SPDX-License-Identifier: Apache-2.0
 * A window of facts in memory: read behind the last one handed over, published as far as the client takes them. A ring of
 * flags says which are acknowledged; the cursor is the end of the unbroken run of them. When one fails (the connection
 * is lost) everything behind the cursor is published again: order matters more than a few repeats. The generation in
 * the token tells the answers of a lost connection from those of the present one.
 *
 * Deciding goes before telling: one publication costs some ten times what committing its fact did, and both share the
 * machine and the client. While facts are committed in a flood (a backlog that comes in after an outage), publishing
 * goes on at a trickle, and catches up when the flood is over; nothing is lost by it, because the cursor waits. */
#include "aggregator/outbox/fact_publisher.h"

#include "aggregator/domain/domain.h"

#include "common/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    WINDOW = 1024, /* facts handed over and not acknowledged in order */
    READ_FACTS = 256,
    READ_BYTES = 1024 * 1024,
    ARENA_BLOCK_BYTES = 512 * 1024,
    ARENA_BYTES_MAX = 32 * 1024 * 1024,
    RETRY_MS = 200,
    SLOT_MS = 100,
    FLOOD_FACTS = 500,   /* more than so many committed in a slot are a flood */
    TRICKLE_FACTS = 200, /* published in a slot meanwhile */
    TOPIC_BYTES = 512,
    GENERATION_BITS = 15,
    SEQUENCE_BITS = 48,
};
static const char consumer_name[] = FACT_PUBLISHER_NAME;

struct fact_publisher {
    struct loop *loop;
    struct journal *journal;
    struct mqtt_client *client;
    struct loop_waker *waker;
    struct loop_timer *retry;
    struct arena *arena;
    struct fact_view *facts; /* read, in the arena */
    size_t facts_count, facts_at;
    uint64_t cursor; /* acknowledged up to here */
    uint64_t next;   /* the next sequence to hand over */
    uint64_t generation;
    bool acknowledged[WINDOW]; /* by sequence % WINDOW */
    bool pumping;
    int64_t slot_ms;                  /* when the present slot began */
    uint64_t slot_newest, slot_facts; /* the journal's end then; committed in the slot before */
    size_t slot_published;
    uint64_t published, failures;
};

static void pump(void *context);

static void on_commit(void *context, uint64_t last_sequence) {
    struct fact_publisher *p = context;
    loop_wake(p->waker);
}

fault_code fact_publisher_new(struct loop *loop, struct journal *journal, struct fact_publisher **ret_publisher,
                              struct fault *reterr) {
    struct fact_publisher *p = calloc(1, sizeof *p);
    if (!p) return fault_set(reterr, FAULT_LIMIT, "make the publisher of facts: out of memory");
    p->loop = loop;
    p->journal = journal;
    p->arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    p->retry = loop_timer_new(loop, pump, p);
    fault_code code = FAULT_NONE;
    if (!p->arena || !p->retry) code = fault_set(reterr, FAULT_LIMIT, "out of memory");
    if (!code) code = loop_waker_new(loop, pump, p, &p->waker, reterr);
    if (!code) code = journal_cursor_get(journal, consumer_name, &p->cursor, reterr);
    if (!code) code = journal_on_commit(journal, on_commit, p, reterr);
    if (code) {
        fault_wrap(reterr, "make the publisher of facts");
        fact_publisher_free(p);
        return code;
    }
    journal_taken(journal, consumer_name, p->cursor);
    p->next = p->cursor + 1;
    p->slot_ms = clock_monotonic_ms();
    p->slot_newest = journal_last_sequence(journal);
    *ret_publisher = p;
    return FAULT_NONE;
}

void fact_publisher_client(struct fact_publisher *p, struct mqtt_client *client) {
    p->client = client;
}

struct fact_publisher *fact_publisher_free(struct fact_publisher *p) {
    if (!p) return NULL;
    journal_off_commit(p->journal, on_commit, p);
    loop_waker_free(p->waker);
    loop_timer_free(p->retry);
    arena_free(p->arena);
    free(p);
    return NULL;
}

/* ---- one fact ---- */

static void time_text(int64_t ms, char text[32]) {
    const time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    const size_t size = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + size, 32 - size, ".%03dZ", (int)(ms % 1000));
}

static bool varint(slice *rest, uint64_t *ret_value) {
    *ret_value = 0;
    for (unsigned shift = 0; rest->size && shift < 64; shift += 7) {
        const uint8_t byte = rest->data[0];
        *rest = slice_from(*rest, 1);
        *ret_value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return true;
    }
    return false;
}

/* The text or message of that number, found without decoding the rest, most of which nobody here reads. */
static slice field_find(slice message, uint64_t number) {
    enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
    uint64_t tag, value;
    while (message.size && varint(&message, &tag)) {
        const unsigned type = tag & 7;
        if (type == WIRE_VARINT ? !varint(&message, &value) : type == WIRE_BYTES && !varint(&message, &value)) break;
        const uint64_t size = type == WIRE_BYTES ? value : type == WIRE_FIXED64 ? 8 : type == WIRE_FIXED32 ? 4 : 0;
        if (type > WIRE_BYTES && type != WIRE_FIXED32) break;
        if (size > message.size) break;
        if (type == WIRE_BYTES && tag >> 3 == number) return slice_first(message, size);
        message = slice_from(message, size);
    }
    return (slice){0};
}

/* CloudEvents 1.0, MQTT binding, section 3.1: attributes are user properties, the payload is the data. */
static fault_code publish(struct fact_publisher *p, const struct fact_view *fact, struct fault *reterr) {
    char topic[TOPIC_BYTES], type[96], source[128], time[32], sequence[24], subject[256];
    snprintf(topic, sizeof topic, "sre.domain.facts.v1/%.*s/%.*s/%.*s", SLICE_ARG(fact->tenant),
             SLICE_ARG(fact->aggregate_type), SLICE_ARG(fact->aggregate_id));
    const char *name = message_field_full_name(&SreDomainFact_desc, fact->fact_number);
    snprintf(type, sizeof type, "%s", name ? name : message_full_name(&SreDomainFact_desc));
    snprintf(source, sizeof source, "/picket/%.*s", SLICE_ARG(fact->tenant));
    snprintf(subject, sizeof subject, "%.*s/%.*s", SLICE_ARG(fact->aggregate_type), SLICE_ARG(fact->aggregate_id));
    snprintf(sequence, sizeof sequence, "%" PRIu64, fact->sequence);
    time_text(fact->committed_ms, time);
    const slice trace = field_find(field_find(fact->bytes, SreDomainFact_meta_tag), SreMessageMeta_traceparent_tag);
    const struct mqtt_property properties[] = {
        {SLICE_LIT("specversion"), SLICE_LIT("1.0")},
        {SLICE_LIT("id"), fact->message_id},
        {SLICE_LIT("source"), slice_from_text(source)},
        {SLICE_LIT("type"), slice_from_text(type)},
        {SLICE_LIT("subject"), slice_from_text(subject)},
        {SLICE_LIT("time"), slice_from_text(time)},
        {SLICE_LIT("sequence"), slice_from_text(sequence)},
        {SLICE_LIT("tenant_id"), fact->tenant},
        {SLICE_LIT("schema_version"), SLICE_LIT("1")},
        {SLICE_LIT("traceparent"), trace}, /* the last: may be none */
    };
    const struct mqtt_publication publication = {
        .topic = topic,
        .payload = fact->bytes,
        .content_type = "application/x-protobuf; proto=ameide_core_proto.sre.core.v1.SreDomainFact",
        .properties = properties,
        .properties_count = sizeof properties / sizeof *properties - !trace.size,
        .qos = 1,
        .bulk = true, /* acks must find a place: without them no agent sends, and then nothing calls this a flood */
        .token = FACT_PUBLISHER_TOKEN | p->generation << SEQUENCE_BITS |
                 (fact->sequence & ((UINT64_C(1) << SEQUENCE_BITS) - 1)),
    };
    return mqtt_client_publish(p->client, &publication, reterr);
}

/* ---- the window ---- */

static bool refill(struct fact_publisher *p) {
    if (p->facts_at < p->facts_count) return true;
    if (p->next > journal_last_sequence(p->journal)) return false;
    arena_reset(p->arena);
    p->facts_at = p->facts_count = 0;
    struct fault fault = {0};
    if (journal_facts(p->journal, p->next - 1, READ_FACTS, READ_BYTES, p->arena, &p->facts, &p->facts_count, &fault)) {
        p->failures++;
        loop_timer_set(p->retry, RETRY_MS);
        return false;
    }
    return p->facts_count > 0;
}

/* Whether one more may go out in this slot; when not, the next slot goes on. */
static bool may_publish(struct fact_publisher *p) {
    const int64_t now_ms = clock_monotonic_ms();
    if (now_ms - p->slot_ms >= SLOT_MS) {
        const uint64_t newest = journal_last_sequence(p->journal), slots = (uint64_t)(now_ms - p->slot_ms) / SLOT_MS;
        p->slot_facts = (newest - p->slot_newest) / slots;
        p->slot_newest = newest;
        p->slot_ms = now_ms;
        p->slot_published = 0;
    }
    const bool flood = p->slot_facts > FLOOD_FACTS || journal_last_sequence(p->journal) - p->slot_newest > FLOOD_FACTS;
    if (flood && p->slot_published >= TRICKLE_FACTS) {
        loop_timer_set(p->retry, SLOT_MS);
        return false;
    }
    p->slot_published++;
    return true;
}

static void cursor_store(struct fact_publisher *p) {
    journal_cursor_set(p->journal, consumer_name, p->cursor);
    journal_taken(p->journal, consumer_name, p->cursor);
}

/* Facts that were compacted before they could go out (a broker was set up late) are passed over, when everything before
 * them is acknowledged: the ring of flags does not reach over them. False: not yet. */
static bool pass_over(struct fact_publisher *p, const struct fact_view *range) {
    if (p->next != p->cursor + 1) return false;
    p->cursor = range->sequence;
    p->next = p->cursor + 1;
    p->facts_at++;
    cursor_store(p);
    return true;
}

static void pump(void *context) {
    struct fact_publisher *p = context;
    if (!p->client || p->pumping) return;
    p->pumping = true; /* a client may answer from inside publish */
    while (p->next - p->cursor <= WINDOW && refill(p)) {
        struct fault fault = {0};
        const struct fact_view *fact = &p->facts[p->facts_at];
        if (fact->compacted) {
            if (!pass_over(p, fact)) break; /* the answer to what is on its way pumps again */
            continue;
        }
        if (!may_publish(p)) break;
        const uint64_t generation = p->generation;
        p->acknowledged[p->next % WINDOW] = false;
        p->next++; /* before the call: its answer may come from inside it, and may begin anew */
        p->facts_at++;
        const fault_code code = publish(p, fact, &fault);
        if (!code) continue;
        if (p->generation == generation) {
            p->next--;
            p->facts_at--;
        }
        if (code != FAULT_AGAIN) p->failures++; /* else the window is full or the broker away */
        loop_timer_set(p->retry, RETRY_MS);     /* if no answer and no connect comes before it */
        break;
    }
    p->pumping = false;
}

static void restart(struct fact_publisher *p) {
    p->generation = (p->generation + 1) & ((UINT64_C(1) << GENERATION_BITS) - 1);
    p->next = p->cursor + 1;
    p->facts_at = p->facts_count = 0;
}

void fact_publisher_on_connected(struct fact_publisher *p) {
    restart(p);
    pump(p);
}

void fact_publisher_on_published(struct fact_publisher *p, uint64_t token, const struct fault *fault) {
    const uint64_t mask = (UINT64_C(1) << SEQUENCE_BITS) - 1;
    if ((token & ~FACT_PUBLISHER_TOKEN) >> SEQUENCE_BITS != p->generation) return;
    if (fault) {
        p->failures++;
        restart(p);
        loop_timer_set(p->retry, RETRY_MS);
        return;
    }
    const uint64_t sequence = (p->cursor & ~mask) | (token & mask);
    if (sequence <= p->cursor || sequence >= p->next) return;
    p->acknowledged[sequence % WINDOW] = true;
    p->published++;
    const uint64_t before = p->cursor;
    while (p->cursor + 1 < p->next && p->acknowledged[(p->cursor + 1) % WINDOW]) p->cursor++;
    if (p->cursor != before) cursor_store(p);
    loop_wake(p->waker); /* not from here: many answers, one pump */
}

void fact_publisher_stats(const struct fact_publisher *p, struct fact_publisher_stats *ret_stats) {
    const uint64_t last = journal_last_sequence(p->journal);
    *ret_stats = (struct fact_publisher_stats){.cursor = p->cursor,
                                               .lag = last > p->cursor ? last - p->cursor : 0,
                                               .published = p->published,
                                               .failures = p->failures};
}
