/* SPDX-License-Identifier: Apache-2.0
 * Each kind has a position in the log: before it, all that is to go has gone. A slice reads on from there. A run of facts
 * that may go, without another fact between them, becomes one range under the key of its last, and takes the ranges
 * at both its ends in. The position is stored in the same transaction, so a crash between slices loses nothing and a
 * start reads nothing twice.
 *
 * What goes is checked first: each fact must carry the hash of the one before it, so a fact that was changed on the
 * disk is not hidden by compacting it; it stays where it is, and the range ends before it.
 *
 * The state of a health check that the fleet's view shows comes from its last observation in force. That fact stays
 * however old it is: a view that is built anew would otherwise not know a red check, and unknown would look green. */
#include "aggregator/journal/compaction.h"

#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/fact_log.h"
#include "aggregator/journal/names.h"
#include "common/codec/codec.h"

#include <stdlib.h>

enum {
    PASSED_MAX = 16384,          /* records looked at and left, in one slice */
    PASSED_BEFORE_STORE = 65536, /* a position that moved without an effect is stored so seldom */
    AHEAD_MS_MAX = 24 * 3600 * 1000,
    ARENA_BLOCK_BYTES = 256 * 1024,
    ARENA_BYTES_MAX = 16 * 1024 * 1024,
};

struct position {
    uint64_t sequence, stored;
};

struct compaction {
    struct journal_tables tables;
    int64_t keep_ms[COMPACTABLES_];
    struct position positions[COMPACTABLES_], before[COMPACTABLES_];
    struct arena *names, *scratch; /* a run's tenants; one fact decoded */
    SreDomainFact *fact;
    struct fact_range run, neighbour;
    struct fault damage;
    uint8_t buffer[FACT_RANGE_BYTES_MAX];
};

/* One slice of one kind. */
struct pass {
    struct compaction *c;
    struct kv_txn *txn;
    struct kv_cursor *cursor;
    enum compactable kind;
    int64_t now_ms;
    uint64_t last_allowed;
    size_t facts_max;
    struct compaction_slice *slice;
};

static const char *const position_names[COMPACTABLES_] = {
    [COMPACTABLE_SLI_WINDOWS] = "compaction/sli_windows",
    [COMPACTABLE_HEALTH_CHECKS] = "compaction/health_checks",
};

fault_code compaction_new(const struct journal_tables *tables, const int64_t keep_ms[COMPACTABLES_], struct kv_txn *txn,
                          struct compaction **ret_compaction, struct fault *reterr) {
    struct compaction *c = calloc(1, sizeof *c);
    if (!c) return fault_set(reterr, FAULT_LIMIT, "prepare compaction: out of memory");
    c->tables = *tables;
    memcpy(c->keep_ms, keep_ms, sizeof c->keep_ms);
    c->names = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    c->scratch = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    c->fact = malloc(sizeof *c->fact);
    fault_code code = FAULT_NONE;
    if (!c->names || !c->scratch || !c->fact)
        code = fault_set(reterr, FAULT_LIMIT, "prepare compaction: out of memory");
    for (int kind = 0; kind < COMPACTABLES_ && !code; kind++) {
        slice value;
        code = kv_get(txn, tables->upkeep, slice_from_text(position_names[kind]), &value, reterr);
        if (!code && value.size == 8) c->positions[kind].sequence = c->positions[kind].stored = kv_load_u64(value.data);
        if (code == FAULT_ABSENT) code = FAULT_NONE;
    }
    if (code) {
        compaction_free(c);
        return code;
    }
    *ret_compaction = c;
    return FAULT_NONE;
}

struct compaction *compaction_free(struct compaction *c) {
    if (!c) return NULL;
    arena_free(c->names);
    arena_free(c->scratch);
    free(c->fact);
    free(c);
    return NULL;
}

/* ---- which ---- */

typedef fault_code needed_fn(struct pass *pass, const struct fact_view *fact, bool *ret_needed, struct fault *reterr);

/* Whether this is the observation that the check's state comes from, or one that is newer. */
static fault_code health_needed(struct pass *pass, const struct fact_view *fact, bool *ret_needed,
                                struct fault *reterr) {
    struct compaction *c = pass->c;
    uint32_t tenant;
    uint64_t version;
    slice stored;
    HealthCheck state;
    arena_reset(c->scratch);
    *ret_needed = true;
    if (codec_decode_protobuf(&SreDomainFact_desc, fact->bytes, c->scratch, c->fact, NULL) ||
        c->fact->which_fact != SreDomainFact_health_check_recorded_tag)
        return FAULT_NONE; /* not as it should be: it stays */
    fault_code code = names_find(c->tables.names, pass->txn, NAMES_TENANT, 0, fact->tenant, &tenant, reterr);
    if (!code)
        code = aggregate_get(c->tables.aggregates, pass->txn, tenant, AGGREGATE_HEALTH_CHECK, fact->aggregate_id,
                             &version, &stored, reterr);
    if (code == FAULT_ABSENT || code == FAULT_CORRUPT) return FAULT_NONE;
    if (code) return code;
    if (codec_decode_protobuf(&HealthCheck_desc, stored, c->scratch, &state, NULL)) return FAULT_NONE;
    const HealthCheckRecorded *recorded = &c->fact->fact.health_check_recorded;
    *ret_needed = !recorded->late && domain_ms(recorded->health_check.timestamp) >= domain_ms(state.timestamp);
    return FAULT_NONE;
}

static needed_fn *const needed_by_kind[COMPACTABLES_] = {[COMPACTABLE_HEALTH_CHECKS] = health_needed};

enum verdict { VERDICT_LEAVE, VERDICT_WAIT, VERDICT_TAKE };

static fault_code judge(struct pass *pass, slice key, slice record, enum verdict *ret_verdict, struct fault *reterr) {
    struct fact_view fact;
    *ret_verdict = VERDICT_WAIT;
    if (kv_load_u64(key.data) > pass->last_allowed) return FAULT_NONE;
    *ret_verdict = VERDICT_LEAVE;
    if (fact_log_number(record) != compactable_fact_number(pass->kind)) return FAULT_NONE;
    if (fact_log_view(key, record, &fact, &pass->c->damage)) { /* nothing in it is believed */
        pass->slice->damaged++;
        return FAULT_NONE;
    }
    if (fact.committed_ms > pass->now_ms + AHEAD_MS_MAX) return FAULT_NONE; /* a clock was wrong: its age is unknown */
    if (fact.committed_ms > pass->now_ms - pass->c->keep_ms[pass->kind]) {
        *ret_verdict = VERDICT_WAIT;
        return FAULT_NONE;
    }
    bool needed = false;
    if (needed_by_kind[pass->kind]) {
        const fault_code code = needed_by_kind[pass->kind](pass, &fact, &needed, reterr);
        if (code) return code;
    }
    if (!needed) *ret_verdict = VERDICT_TAKE;
    return FAULT_NONE;
}

/* ---- one run ---- */

static uint64_t run_facts(const struct fact_range *run) {
    return run->last_sequence + 1 - run->first_sequence;
}

/* Gathers in c->run what goes together, from the cursor's record on. A fact goes only when the record behind it carries
 * its hash: that says it is what was written. An empty run: the first one does not check. */
static fault_code run_gather(struct pass *pass, slice key, slice record, size_t facts_max, struct fault *reterr) {
    struct compaction *c = pass->c;
    struct fact_range *run = &c->run;
    struct fact_chain chain = {.sequence = kv_load_u64(key.data) - 1};
    arena_reset(c->names);
    fact_log_hash_before(record, chain.hash);
    *run = (struct fact_range){.first_sequence = chain.sequence + 1, .last_sequence = chain.sequence};
    memcpy(run->hash_before, chain.hash, DIGEST_BYTES);
    for (enum verdict verdict = VERDICT_TAKE; verdict == VERDICT_TAKE && run_facts(run) < facts_max;) {
        struct fact_view fact;
        uint8_t carried[DIGEST_BYTES];
        bool good = fact_chain_follow(&chain, key, record, &fact, &c->damage) == FAULT_NONE;
        fault_code code = kv_cursor_next(pass->cursor, &key, &record, reterr);
        if (code) return code == FAULT_ABSENT ? FAULT_NONE : code;
        if (good && (!fact_log_hash_before(record, carried) || memcmp(carried, chain.hash, DIGEST_BYTES) != 0)) {
            fault_set(&c->damage, FAULT_CORRUPT, "the record behind fact %llu does not carry its hash",
                      (unsigned long long)fact.sequence);
            good = false;
        }
        if (!good) { /* the next run begins with it, and is empty */
            pass->slice->damaged += run_facts(run) == 0;
            return FAULT_NONE;
        }
        if (!fact_range_count(run, fact.tenant, fact.fact_number, 1, c->names)) return FAULT_NONE;
        if (run_facts(run) == 0) run->first_ms = fact.committed_ms;
        run->last_ms = fact.committed_ms;
        run->last_sequence = fact.sequence;
        memcpy(run->hash_of_last, chain.hash, DIGEST_BYTES);
        code = judge(pass, key, record, &verdict, reterr);
        if (code) return code;
    }
    return FAULT_NONE;
}

static fault_code seek(struct pass *pass, uint64_t sequence, slice *ret_key, slice *ret_record, struct fault *reterr) {
    uint8_t key[8];
    kv_store_u64(key, sequence);
    return kv_cursor_seek(pass->cursor, slice_of(key, sizeof key), ret_key, ret_record, reterr);
}

static fault_code range_drop(struct pass *pass, uint64_t last_sequence, struct fault *reterr) {
    uint8_t key[8];
    kv_store_u64(key, last_sequence);
    return kv_delete(pass->txn, pass->c->tables.facts, slice_of(key, sizeof key), reterr);
}

/* The record is a range that touches the run: one that does not check is left, for the verifier to name. */
static bool is_neighbour(struct pass *pass, slice key, slice record) {
    struct compaction *c = pass->c;
    if (fact_log_number(record) != 0) return false;
    return fact_range_open(kv_load_u64(key.data), record, &c->neighbour, &c->damage) == FAULT_NONE;
}

/* Puts the range before the run in front of it, when there is one. */
static fault_code join_before(struct pass *pass, struct fault *reterr) {
    struct compaction *c = pass->c;
    slice key, record;
    fault_code code = seek(pass, c->run.first_sequence, &key, &record, reterr);
    if (!code) code = kv_cursor_previous(pass->cursor, &key, &record, reterr);
    if (code) return code == FAULT_ABSENT ? FAULT_NONE : code;
    if (!is_neighbour(pass, key, record) || c->neighbour.last_sequence + 1 != c->run.first_sequence) return FAULT_NONE;
    bool joined = false;
    for (size_t i = 0; i < c->neighbour.counts_count; i++) { /* the next write moves the page */
        slice *tenant = &c->neighbour.counts[i].tenant;
        *tenant = arena_copy(c->names, *tenant);
        if (!tenant->data && tenant->size)
            return fault_set(reterr, FAULT_LIMIT, "join ranges of compacted facts: out of memory");
    }
    if (fact_range_join(&c->neighbour, &c->run, c->names, &joined, &c->damage) || !joined) return FAULT_NONE;
    code = range_drop(pass, c->run.first_sequence - 1, reterr);
    if (!code) c->run = c->neighbour;
    return code;
}

/* The range behind it. */
static fault_code join_behind(struct pass *pass, struct fault *reterr) {
    struct compaction *c = pass->c;
    slice key, record;
    const fault_code code = seek(pass, c->run.last_sequence + 1, &key, &record, reterr);
    if (code) return code == FAULT_ABSENT ? FAULT_NONE : code;
    if (!is_neighbour(pass, key, record) || c->neighbour.first_sequence != c->run.last_sequence + 1) return FAULT_NONE;
    bool joined = false;
    if (fact_range_join(&c->run, &c->neighbour, c->names, &joined, &c->damage) || !joined) return FAULT_NONE;
    return range_drop(pass, c->run.last_sequence, reterr);
}

static fault_code run_replace(struct pass *pass, struct fault *reterr) {
    struct compaction *c = pass->c;
    const uint64_t first = c->run.first_sequence, last = c->run.last_sequence;
    slice key, record;
    fault_code code = seek(pass, first, &key, &record, reterr);
    for (uint64_t sequence = first; sequence <= last && !code; sequence++) {
        code = kv_cursor_delete(pass->cursor, reterr);
        if (!code && sequence < last) code = kv_cursor_next(pass->cursor, &key, &record, reterr);
    }
    if (!code) code = join_before(pass, reterr);
    if (!code) code = join_behind(pass, reterr);
    if (code) return code == FAULT_ABSENT ? fault_set(reterr, FAULT_CORRUPT, "facts went while they were read") : code;
    uint8_t name[8];
    kv_store_u64(name, c->run.last_sequence);
    code = kv_put(pass->txn, c->tables.facts, slice_of(name, sizeof name),
                  slice_of(c->buffer, fact_range_write(&c->run, c->buffer)), reterr);
    if (code) return code;
    pass->slice->facts += last - first + 1;
    pass->slice->ranges++;
    pass->slice->changed = true;
    return FAULT_NONE;
}

/* ---- one slice ---- */

static fault_code position_store(struct pass *pass, struct fault *reterr) {
    struct position *position = &pass->c->positions[pass->kind];
    if (position->sequence == position->stored) return FAULT_NONE;
    if (!pass->slice->changed && position->sequence - position->stored < PASSED_BEFORE_STORE) return FAULT_NONE;
    uint8_t value[8];
    kv_store_u64(value, position->sequence);
    position->stored = position->sequence;
    pass->slice->changed = true;
    return kv_put(pass->txn, pass->c->tables.upkeep, slice_from_text(position_names[pass->kind]),
                  slice_of(value, sizeof value), reterr);
}

static fault_code pass_run(struct pass *pass, struct fault *reterr) {
    struct compaction *c = pass->c;
    struct compaction_slice *ret = pass->slice;
    uint64_t *at = &c->positions[pass->kind].sequence;
    const uint64_t passed_before = ret->passed;
    slice key, record;
    fault_code code = seek(pass, *at + 1, &key, &record, reterr);
    while (!code) {
        enum verdict verdict;
        code = judge(pass, key, record, &verdict, reterr);
        if (code || verdict == VERDICT_WAIT) break;
        if (ret->facts >= pass->facts_max || ret->passed - passed_before >= PASSED_MAX) {
            ret->more = true;
            break;
        }
        const uint64_t sequence = kv_load_u64(key.data);
        if (verdict == VERDICT_TAKE) {
            code = run_gather(pass, key, record, pass->facts_max - ret->facts, reterr);
            if (code) break;
            const uint64_t last = c->run.last_sequence;
            if (last >= sequence) {
                code = run_replace(pass, reterr);
                if (code) break;
                *at = last;
                code = seek(pass, last + 1, &key, &record, reterr);
                continue;
            }
            code = seek(pass, sequence, &key, &record, reterr); /* it does not check and stays */
            if (code) break;
        }
        *at = sequence;
        ret->passed++;
        code = kv_cursor_next(pass->cursor, &key, &record, reterr);
    }
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

fault_code compaction_run(struct compaction *c, struct kv_txn *txn, int64_t now_ms, uint64_t last_allowed,
                          size_t facts_max, struct compaction_slice *ret_slice, struct fault *reterr) {
    *ret_slice = (struct compaction_slice){0};
    memcpy(c->before, c->positions, sizeof c->before);
    for (int kind = 0; kind < COMPACTABLES_; kind++) {
        if (c->keep_ms[kind] <= 0) continue;
        struct pass pass = {.c = c,
                            .txn = txn,
                            .kind = (enum compactable)kind,
                            .now_ms = now_ms,
                            .last_allowed = last_allowed,
                            .facts_max = facts_max,
                            .slice = ret_slice};
        fault_code code = kv_cursor_open(txn, c->tables.facts, &pass.cursor, reterr);
        if (code) return fault_wrap(reterr, "compact facts");
        code = pass_run(&pass, reterr);
        kv_cursor_close(pass.cursor);
        if (!code) code = position_store(&pass, reterr);
        if (code) return fault_wrap(reterr, "compact facts");
    }
    return FAULT_NONE;
}

void compaction_end(struct compaction *c, bool kept) {
    if (!kept) memcpy(c->positions, c->before, sizeof c->positions);
}

const struct fault *compaction_damage(const struct compaction *c) {
    return &c->damage;
}
