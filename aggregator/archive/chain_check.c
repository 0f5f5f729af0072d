/* SPDX-License-Identifier: Apache-2.0
 * The log is cut into chunks of sequences; a record belongs to the chunk of its key (a range of compacted facts has that
 * of its last fact). A thread takes the next chunk, hashes the record before it (so that chunks need no joining of
 * hashes), follows its own records, and notes of each aggregate the first and the last version it saw. Chunks are then
 * joined in the order of the log, by whoever finishes the one that is next: only there do versions of different
 * chunks meet, and only there is a finding taken, so that the first one wins. A chunk may be at most RUN_AHEAD before
 * the one to be joined, which bounds memory.
 *
 * A hash that does not fit says that one of two records was changed. The one named is the former: what is damaged is
 * never before the fact that is named. */
#include "aggregator/archive/chain_check.h"

#include "aggregator/journal/fact_log.h"
#include "aggregator/journal/fact_range.h"
#include "common/base/arena.h"
#include "common/codec/codec.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

enum { CHUNK_FACTS = 8192, RUN_AHEAD = 4, ARENA_BLOCK_BYTES = 64 * 1024, ARENA_BYTES_MAX = 256 * 1024 * 1024 };

struct chunk {
    bool done;
    fault_code code;
    uint64_t first, end; /* sequences, end not included */
    uint64_t facts, compacted;
    struct version_map *versions, *ranges; /* ranges: as `compacted` of the whole, of this chunk */
    struct finding finding;
    struct fault fault;
    uint8_t last_hash[DIGEST_BYTES];
};

struct follower {
    const struct chain_check_settings *settings;
    uint64_t last_sequence;
    pthread_mutex_t lock;
    pthread_cond_t joined;
    uint64_t next, to_join; /* chunks, from 0 */
    uint64_t chunks_count;
    size_t slots_count;
    struct chunk *slots;
    bool stop;
    struct version_map *versions, *compacted;
    struct chain_end end;
    fault_code code;
    struct finding *finding;
    struct fault *reterr;
};

struct worker {
    struct follower *follower;
    struct kv_txn *txn;
    struct arena *arena;
    pthread_t thread;
};

/* ---- one chunk ---- */

static fault_code message_check(const struct fact_view *fact, struct arena *arena, struct finding *finding) {
    SreDomainFact message;
    struct fault fault;
    arena_reset(arena);
    if (codec_decode_protobuf(&SreDomainFact_desc, fact->bytes, arena, &message, &fault))
        return finding_set(finding, FINDING_READ, fact->sequence, fact, "its message does not open: %s", fault.text);
    if (message.sequence != fact->sequence || message.which_fact != fact->fact_number ||
        (uint64_t)message.subject.aggregate_version != fact->version ||
        !slice_equal(message.meta.tenant_id, fact->tenant) || !slice_equal(message.meta.message_id, fact->message_id) ||
        !slice_equal(message.subject.aggregate_id, fact->aggregate_id) ||
        !slice_equal(message.subject.aggregate_type, fact->aggregate_type))
        return finding_set(finding, FINDING_READ, fact->sequence, fact, "its columns say other than its message");
    return FAULT_NONE;
}

/* The types whose facts may be compacted. */
static const char *const compactable_types[] = {
    [COMPACTABLE_SLI_WINDOWS] = "slo", [COMPACTABLE_HEALTH_CHECKS] = "health_check"};

static fault_code version_check(struct chunk *chunk, const struct fact_view *fact) {
    if (fact->version == 0 || fact->version > INT64_MAX)
        return finding_set(&chunk->finding, FINDING_VERSION, fact->sequence, fact, "version %" PRIu64 " is none",
                           fact->version);
    struct version_entry *entry =
        version_map_at(chunk->versions, version_key_of(fact->tenant, fact->aggregate_type, fact->aggregate_id));
    if (!entry) return fault_set(&chunk->fault, FAULT_LIMIT, "follow versions: out of memory");
    if (!entry->version) {
        entry->first = fact->version;
        entry->first_sequence = fact->sequence;
    } else if (fact->version != entry->version + 1) {
        if (fact->version <= entry->version ||
            !version_map_find(chunk->ranges, version_key_of(fact->tenant, fact->aggregate_type, (slice){0})))
            return finding_set(&chunk->finding, FINDING_VERSION, fact->sequence, fact,
                               "version %" PRIu64 " follows version %" PRIu64, fact->version, (uint64_t)entry->version);
        entry->missing += fact->version - entry->version - 1;
    }
    entry->version = fact->version;
    entry->last_sequence = fact->sequence;
    return FAULT_NONE;
}

/* One record as it is looked at. */
struct link {
    slice record;
    struct fact_view fact; /* compacted: a range */
    uint8_t carried[DIGEST_BYTES], hash[DIGEST_BYTES];
};

static fault_code range_check(struct chunk *chunk, uint64_t expected, struct link *link) {
    struct fact_range range;
    struct fault fault;
    if (fact_range_open(link->fact.sequence, link->record, &range, &fault))
        return finding_set(&chunk->finding, FINDING_READ, expected, NULL, "%s", fault.text);
    memcpy(link->carried, range.hash_before, DIGEST_BYTES);
    memcpy(link->hash, range.hash_of_last, DIGEST_BYTES);
    chunk->compacted += range.last_sequence - range.first_sequence + 1;
    for (size_t i = 0; i < range.counts_count; i++) {
        size_t kind = 0;
        while (compactable_fact_number((enum compactable)kind) != range.counts[i].fact_number) kind++;
        struct version_entry *entry =
            version_map_at(chunk->ranges, version_key_of(range.counts[i].tenant,
                                                         slice_from_text(compactable_types[kind]), (slice){0}));
        if (!entry) return fault_set(&chunk->fault, FAULT_LIMIT, "follow versions: out of memory");
        entry->version += range.counts[i].facts;
    }
    return FAULT_NONE;
}

/* What a record says by itself. */
static fault_code record_check(const struct worker *w, struct chunk *chunk, uint64_t expected, slice key,
                               struct link *link) {
    const struct follower *f = w->follower;
    struct finding *finding = &chunk->finding;
    struct fault fault;
    if (key.size != 8)
        return finding_set(finding, FINDING_READ, expected, NULL, "a key has %zu bytes, not 8", key.size);
    const uint64_t sequence = kv_load_u64(key.data);
    if (fact_log_view(key, link->record, &link->fact, &fault)) {
        if (sequence != expected && expected != f->last_sequence) /* a fact that is missing, or a damaged range */
            return finding_set(finding, FINDING_GAP, expected, NULL, "it is missing; and of fact %" PRIu64 ": %s",
                               sequence, fault.text);
        return finding_set(finding, strstr(fault.text, "CRC32C") ? FINDING_CHECKSUM : FINDING_READ, expected, NULL,
                           "%s", fault.text);
    }
    if (link->fact.first_sequence != expected)
        return finding_set(finding, FINDING_GAP, expected, NULL, "it is missing; the next one is fact %" PRIu64,
                           link->fact.first_sequence);
    if (link->fact.compacted) return range_check(chunk, expected, link);
    memcpy(link->carried, fact_log_carried_hash(link->record), DIGEST_BYTES);
    if (!f->settings->messages && sequence != f->last_sequence) return FAULT_NONE;
    return message_check(&link->fact, w->arena, finding);
}

/* What it says with the one before it. hash_before: of that one. */
static fault_code link_check(const struct worker *w, struct chunk *chunk, const struct link *link,
                             const uint8_t hash_before[DIGEST_BYTES]) {
    const struct chain_check_settings *s = w->follower->settings;
    const struct fact_view *fact = &link->fact;
    struct finding *finding = &chunk->finding;
    if (memcmp(hash_before, link->carried, DIGEST_BYTES) != 0) {
        if (fact->first_sequence == 1)
            return finding_set(finding, FINDING_HASH, 1, fact, "it carries a hash though none is before it");
        return finding_set(finding, FINDING_HASH, fact->first_sequence - 1, NULL,
                           "it is not the fact that fact %" PRIu64 " followed: one of the two was changed",
                           fact->first_sequence);
    }
    if (s->known_sequence == fact->sequence && memcmp(link->hash, s->known_hash, DIGEST_BYTES) != 0)
        return finding_set(finding, FINDING_HASH, fact->sequence, fact->compacted ? NULL : fact,
                           "it has another hash than the one that is known");
    return fact->compacted ? FAULT_NONE : version_check(chunk, fact);
}

static void links_hash(struct link links[2], size_t count) {
    if (count == 2 && !links[0].fact.compacted && !links[1].fact.compacted) {
        const slice records[2] = {links[0].record, links[1].record};
        uint8_t hashes[2][DIGEST_BYTES];
        fact_log_hash_two(records, hashes);
        memcpy(links[0].hash, hashes[0], DIGEST_BYTES);
        memcpy(links[1].hash, hashes[1], DIGEST_BYTES);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (!links[i].fact.compacted) fact_log_hash(links[i].record, links[i].hash);
}

/* Where a thread is in its chunk. */
struct position {
    struct kv_cursor *cursor;
    slice key, record;
    uint64_t expected, bytes;
    bool end; /* of the chunk or of the log */
};

static fault_code position_read(const struct chunk *chunk, struct position *p, fault_code code) {
    if (code == FAULT_ABSENT || (!code && p->key.size == 8 && kv_load_u64(p->key.data) >= chunk->end)) p->end = true;
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

/* Asks the memory for the two records to come while these are hashed: most of the time was spent waiting for them. The
 * second one is not known yet; LMDB fills a page from its end, so it lies before the first. A wrong guess costs
 * nothing. */
static void ahead(const struct position *p) {
    enum { LINE_BYTES = 64, AHEAD_BYTES_MAX = 2048 };
    const size_t size = p->record.size < AHEAD_BYTES_MAX ? p->record.size : AHEAD_BYTES_MAX;
    const uintptr_t first = (uintptr_t)p->record.data - size, end = (uintptr_t)p->record.data + size;
    for (uintptr_t at = first; !p->end && at < end; at += LINE_BYTES) __builtin_prefetch((const void *)at);
}

/* Two records at a time, because two are hashed nearly as fast as one. The first is looked at whole before what is
 * wrong with the second counts. */
static fault_code pair_check(const struct worker *w, struct chunk *chunk, struct position *p) {
    struct link links[2];
    fault_code code = FAULT_NONE;
    size_t count = 0;
    for (uint64_t expected = p->expected; !code && count < 2 && !p->end; expected = links[count++].fact.sequence + 1) {
        links[count].record = p->record;
        code = record_check(w, chunk, expected, p->key, &links[count]);
        if (code) break;
        p->bytes += p->record.size;
        code = position_read(chunk, p, kv_cursor_next(p->cursor, &p->key, &p->record, &chunk->fault));
    }
    ahead(p);
    links_hash(links, count);
    for (size_t i = 0; i < count; i++) {
        const fault_code broken = link_check(w, chunk, &links[i], i ? links[0].hash : chunk->last_hash);
        if (broken) return broken;
        p->expected = links[i].fact.sequence + 1;
        chunk->facts += !links[i].fact.compacted;
    }
    if (count) memcpy(chunk->last_hash, links[count - 1].hash, DIGEST_BYTES);
    return code;
}

/* Goes to the chunk's first record and takes the hash of the one before it; zeros before the first of all. */
static fault_code position_begin(struct chunk *chunk, struct position *p) {
    uint8_t first[8];
    struct fact_view before;
    struct fact_range range;
    slice key, record;
    memset(chunk->last_hash, 0, DIGEST_BYTES);
    p->expected = 1;
    kv_store_u64(first, chunk->first);
    fault_code code =
        position_read(chunk, p, kv_cursor_seek(p->cursor, slice_of(first, 8), &p->key, &p->record, &chunk->fault));
    if (code || p->end || chunk->first == 1) return code;
    code = kv_cursor_previous(p->cursor, &key, &record, &chunk->fault);
    if (code == FAULT_ABSENT) return FAULT_NONE; /* all before are missing: what is expected is the first */
    if (code) return code;
    if (key.size != 8 || fact_log_view(key, record, &before, NULL)) {
        p->end = true; /* the chunk before this one finds it */
        return FAULT_NONE;
    }
    p->expected = before.sequence + 1;
    if (!before.compacted)
        fact_log_hash(record, chunk->last_hash);
    else if (fact_range_open(before.sequence, record, &range, NULL) == FAULT_NONE)
        memcpy(chunk->last_hash, range.hash_of_last, DIGEST_BYTES);
    return position_read(chunk, p, kv_cursor_next(p->cursor, &p->key, &p->record, &chunk->fault));
}

static fault_code records_check(const struct worker *w, struct chunk *chunk) {
    struct position p = {0};
    if (kv_cursor_open(w->txn, w->follower->settings->facts, &p.cursor, &chunk->fault)) return chunk->fault.code;
    fault_code code = position_begin(chunk, &p);
    while (!code && !p.end) code = pair_check(w, chunk, &p);
    kv_cursor_close(p.cursor);
    if (code == FAULT_CORRUPT && !chunk->finding.kind)
        finding_set(&chunk->finding, FINDING_PAGES, p.expected, NULL, "%s", chunk->fault.text);
    struct verify_progress *progress = w->follower->settings->progress;
    atomic_fetch_add_explicit(&progress->bytes, p.bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&progress->facts, chunk->facts, memory_order_relaxed);
    return code;
}

/* ---- joining ---- */

static fault_code ranges_join(struct follower *f, struct chunk *chunk) {
    size_t position = 0;
    for (const struct version_entry *entry; (entry = version_map_next(chunk->ranges, &position));) {
        struct version_entry *whole = version_map_at(f->compacted, entry->key);
        if (!whole) return fault_set(&chunk->fault, FAULT_LIMIT, "follow versions: out of memory");
        whole->version += entry->version;
    }
    f->end.facts += chunk->facts;
    f->end.compacted += chunk->compacted;
    return FAULT_NONE;
}

/* A version that does not follow is right only where facts of such aggregates were compacted; whether so many, is seen
 * at the end (verify.c). */
static fault_code versions_join(struct follower *f, struct chunk *chunk) {
    size_t position = 0;
    fault_code code = chunk->code;
    uint64_t found = code == FAULT_CORRUPT ? chunk->finding.sequence : UINT64_MAX;
    const bool gaps = version_map_count(f->compacted) > 0;
    for (struct version_entry *entry; (entry = version_map_next(chunk->versions, &position));) {
        struct version_entry *whole = version_map_at(f->versions, entry->key);
        if (!whole) return fault_set(&chunk->fault, FAULT_LIMIT, "follow versions: out of memory");
        const uint64_t next = whole->version + 1;
        if ((entry->first < next || (entry->first > next && !gaps)) && entry->first_sequence < found) {
            found = entry->first_sequence;
            code = finding_set(&chunk->finding, FINDING_VERSION, found, NULL,
                               whole->version ? "version %" PRIu64 " follows version %" PRIu64
                                              : "version %" PRIu64 " is its aggregate's first fact, not %" PRIu64,
                               entry->first, whole->version ? (uint64_t)whole->version : 1);
        }
        whole->missing += entry->missing + (entry->first > next ? entry->first - next : 0);
        whole->version = entry->version;
        if (!whole->first_sequence) whole->first_sequence = entry->first_sequence;
        whole->last_sequence = entry->last_sequence;
    }
    return code;
}

/* With the lock. */
static void join_ready(struct follower *f) {
    struct chunk *chunk;
    while (!f->stop && f->to_join < f->chunks_count && (chunk = &f->slots[f->to_join % f->slots_count])->done) {
        const fault_code ranges = ranges_join(f, chunk);
        if (ranges) chunk->code = ranges;
        if (!chunk->code || chunk->code == FAULT_CORRUPT) chunk->code = versions_join(f, chunk);
        if (chunk->code) {
            f->code = chunk->code;
            *f->finding = chunk->finding;
            if (f->reterr) *f->reterr = chunk->fault;
            f->stop = true;
            break;
        }
        if (chunk->facts || chunk->compacted) memcpy(f->end.last_hash, chunk->last_hash, DIGEST_BYTES);
        atomic_store_explicit(&f->settings->progress->sound_sequence, chunk->end - 1, memory_order_relaxed);
        chunk->done = false;
        f->to_join++;
    }
    pthread_cond_broadcast(&f->joined);
}

static void *worker_main(void *context) {
    struct worker *w = context;
    struct follower *f = w->follower;
    pthread_mutex_lock(&f->lock);
    for (;;) {
        while (!f->stop && f->next < f->chunks_count && f->next >= f->to_join + f->slots_count)
            pthread_cond_wait(&f->joined, &f->lock);
        if (f->stop || f->next >= f->chunks_count) break;
        const uint64_t number = f->next++;
        struct chunk *chunk = &f->slots[number % f->slots_count];
        pthread_mutex_unlock(&f->lock);
        chunk->first = 1 + number * CHUNK_FACTS;
        chunk->end = f->last_sequence - chunk->first < CHUNK_FACTS ? f->last_sequence + 1 : chunk->first + CHUNK_FACTS;
        chunk->finding.kind = FINDING_NONE;
        chunk->facts = chunk->compacted = 0;
        version_map_clear(chunk->versions);
        version_map_clear(chunk->ranges);
        const fault_code code = records_check(w, chunk);
        pthread_mutex_lock(&f->lock);
        chunk->code = code;
        chunk->done = true;
        join_ready(f);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

/* ---- all ---- */

/* The caller's thread is the first of them. */
static fault_code threads_run(struct follower *f, struct fault *reterr) {
    struct worker workers[CHAIN_THREADS_MAX] = {0};
    unsigned ready = 0;
    for (; ready < f->settings->threads; ready++) {
        struct worker *w = &workers[ready];
        *w = (struct worker){.follower = f, .txn = f->settings->txns[ready]};
        w->arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
        if (!w->arena || (ready && pthread_create(&w->thread, NULL, worker_main, w))) {
            arena_free(w->arena);
            break; /* the others do it */
        }
    }
    if (ready) worker_main(&workers[0]);
    for (unsigned i = 0; i < ready; i++) {
        if (i) pthread_join(workers[i].thread, NULL);
        arena_free(workers[i].arena);
    }
    return ready ? FAULT_NONE : fault_set(reterr, FAULT_LIMIT, "follow the facts: out of memory");
}

static fault_code last_of(const struct chain_check_settings *s, uint64_t *ret_last, struct finding *finding,
                          struct fault *reterr) {
    struct kv_cursor *cursor;
    slice key, record;
    uint64_t count;
    fault_code code = kv_table_count(s->txns[0], s->facts, &count, reterr);
    if (!code) code = kv_cursor_open(s->txns[0], s->facts, &cursor, reterr);
    if (code) return code;
    atomic_store(&s->progress->facts_count, count);
    *ret_last = 0;
    code = kv_cursor_last(cursor, &key, &record, reterr);
    if (!code && key.size == 8) *ret_last = kv_load_u64(key.data);
    kv_cursor_close(cursor);
    if (code == FAULT_ABSENT) return FAULT_NONE;
    if (code || !*ret_last || *ret_last > INT64_MAX)
        return finding_set(finding, FINDING_PAGES, 1, NULL, "the end of the log of facts cannot be found");
    return FAULT_NONE;
}

fault_code chain_check(const struct chain_check_settings *settings, struct version_map *versions,
                       struct version_map *compacted, struct chain_end *ret_end, struct finding *ret_finding,
                       struct fault *reterr) {
    struct follower f = {.settings = settings,
                         .lock = PTHREAD_MUTEX_INITIALIZER,
                         .joined = PTHREAD_COND_INITIALIZER,
                         .slots_count = (size_t)settings->threads * RUN_AHEAD,
                         .versions = versions,
                         .compacted = compacted,
                         .finding = ret_finding,
                         .reterr = reterr};
    fault_code code = last_of(settings, &f.last_sequence, ret_finding, reterr);
    if (code) return code;
    f.chunks_count = (f.last_sequence + CHUNK_FACTS - 1) / CHUNK_FACTS;
    f.slots = calloc(f.slots_count, sizeof *f.slots);
    bool enough = f.slots;
    for (size_t i = 0; enough && i < f.slots_count; i++) {
        f.slots[i].versions = version_map_new();
        f.slots[i].ranges = version_map_new();
        enough = f.slots[i].versions && f.slots[i].ranges;
    }
    code = enough ? threads_run(&f, reterr) : fault_set(reterr, FAULT_LIMIT, "follow the facts: out of memory");
    for (size_t i = 0; f.slots && i < f.slots_count; i++) {
        version_map_free(f.slots[i].versions);
        version_map_free(f.slots[i].ranges);
    }
    free(f.slots);
    if (!code) code = f.code;
    if (!code && settings->known_sequence > f.last_sequence)
        code = finding_set(ret_finding, FINDING_GAP, f.last_sequence + 1, NULL,
                           "it is missing: fact %" PRIu64 " is known to have been there", settings->known_sequence);
    if (code) return code;
    f.end.last_sequence = f.last_sequence;
    *ret_end = f.end;
    return FAULT_NONE;
}
