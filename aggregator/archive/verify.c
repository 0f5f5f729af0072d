/* SPDX-License-Identifier: Apache-2.0
 * LMDB trusts its pages: a damaged one can lead it outside the file, which ends the process. So the work is done by a
 * child, which leaves its progress and its result in memory that both see; what ends the child ends nothing else, and
 * the parent knows how far the log was sound. The parent also is the one that shows progress.
 *
 * What is walked from leaf to leaf may still not be found from the root: the bounds in the pages above have no checksum. So
 * the file's pages are followed once more, without LMDB, while one thread looks at the records.
 *
 * All threads read one commit: transactions are begun until all have the same number, which a busy writer delays by a
 * few attempts at most. */
#include "aggregator/archive/verify.h"

#include "aggregator/archive/index_check.h"
#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/fact_log.h"
#include "aggregator/journal/log_end.h"
#include "aggregator/journal/names.h"
#include "aggregator/journal/record.h"
#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/codec/codec.h"
#include "common/store/kv_file.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SNAPSHOT_TRIES = 10000, NEWEST_SCHEMA = 255, PROGRESS_AFTER_MS = 2000, PROGRESS_EVERY_MS = 1000, WAIT_MS = 5 };
#define ARENA_BYTES_MAX (UINT64_C(256) * 1024 * 1024)

struct verifier {
    const struct verify_settings *settings;
    struct kv *kv;
    struct journal_tables tables;
    struct kv_txn *txns[CHAIN_THREADS_MAX];
    unsigned threads;
    struct version_map *versions, *compacted;
    struct arena *arena; /* of one record */
    struct index_check indexes;
    struct kv_file *pages; /* of the same commit */
    pthread_t pages_thread;
    bool pages_apart;
    fault_code pages_code;
    struct fault pages_fault;
    struct verify_result *result;
};

/* ---- aggregates ---- */

struct tenant_name {
    uint32_t number;
    char text[LIMIT_TENANT_AND_PRODUCER_BYTES + 8];
};

/* Keys are in the order of the tenants' numbers, so the name is asked for once a tenant: a walk over the names. */
static bool tenant_name_find(const struct verifier *v, uint32_t number, struct tenant_name *name) {
    if (name->number == number) return true;
    const uint8_t first[5] = {NAMES_TENANT};
    struct kv_cursor *cursor;
    struct fault fault;
    slice key, record, body;
    bool found = false;
    if (kv_cursor_open(v->txns[0], v->tables.names, &cursor, &fault)) return false;
    for (fault_code code = kv_cursor_seek(cursor, slice_of(first, sizeof first), &key, &record, &fault);
         !code && !found && key.size > 5 && memcmp(key.data, first, 5) == 0;
         code = kv_cursor_next(cursor, &key, &record, &fault)) {
        found = !record_open_keyed(record, key, RECORD_KEYED, NEWEST_SCHEMA, "name", &body, &fault) && body.size == 4 &&
                kv_load_u32(body.data) == number && slice_to_text(slice_from(key, 5), name->text, sizeof name->text);
    }
    kv_cursor_close(cursor);
    name->number = found ? number : 0;
    return found;
}

static fault_code aggregate_check(struct verifier *v, slice key, slice record, struct tenant_name *tenant,
                                  struct fault *reterr) {
    struct finding *finding = &v->result->finding;
    struct fault fault;
    if (key.size <= 5 || !tenant_name_find(v, kv_load_u32(key.data), tenant))
        return finding_set(finding, FINDING_AGGREGATE, 0, NULL, "one of %zu bytes belongs to no tenant", record.size);
    const enum aggregate_kind kind = (enum aggregate_kind)key.data[4];
    const struct message_desc *desc = aggregate_message(kind);
    const struct fact_view whose = {.tenant = slice_from_text(tenant->text),
                                    .aggregate_type = slice_from_text(desc ? aggregate_kind_name(kind) : "?"),
                                    .aggregate_id = slice_from(key, 5)};
    if (!desc)
        return finding_set(finding, FINDING_AGGREGATE, 0, &whose, "it is of kind %u, which this program does not know",
                           key.data[4]);
    uint64_t version;
    slice bytes;
    if (aggregate_open(record, &version, &bytes, &fault))
        return finding_set(finding, FINDING_AGGREGATE, 0, &whose, "%s", fault.text);
    arena_reset(v->arena);
    struct aggregate *aggregate = arena_alloc(v->arena, sizeof *aggregate);
    void *message = aggregate && kind != AGGREGATE_SLO ? &aggregate->state : arena_alloc(v->arena, message_size(desc));
    if (!aggregate || (bytes.size && (!message || codec_decode_protobuf(desc, bytes, v->arena, message, &fault))))
        return finding_set(finding, FINDING_AGGREGATE, 0, &whose, "its message does not open: %s", fault.text);
    aggregate->kind = kind;
    aggregate->id = whose.aggregate_id;
    aggregate->version = version;
    aggregate->deleted = bytes.size == 0;
    const fault_code code =
        index_check_aggregate(&v->indexes, tenant->number, &whose, aggregate, v->arena, finding, reterr);
    if (code) return code;
    struct version_entry *entry =
        version_map_find(v->versions, version_key_of(whose.tenant, whose.aggregate_type, whose.aggregate_id));
    struct version_entry *compacted =
        version_map_find(v->compacted, version_key_of(whose.tenant, whose.aggregate_type, (slice){0}));
    const uint64_t last = entry ? entry->version : 0;
    if (last != version && (!compacted || last > version))
        return finding_set(finding, FINDING_AGGREGATE, entry ? entry->last_sequence : 0, &whose,
                           "it is stored at version %" PRIu64 ", its last fact made version %" PRIu64, version, last);
    if (entry) entry->seen = 1;
    if (compacted) compacted->missing += version - last + (entry ? entry->missing : 0);
    if (!compacted && entry && entry->missing)
        return finding_set(finding, FINDING_VERSION, entry->first_sequence, &whose,
                           "%" PRIu64 " versions after this one are missing, and no fact of such was compacted",
                           entry->missing);
    if (compacted && compacted->missing > compacted->version)
        return finding_set(finding, FINDING_VERSION, entry ? entry->first_sequence : 0, &whose,
                           "of the %s aggregates up to this one %" PRIu64 " versions are missing, and only %" PRIu64
                           " facts were compacted",
                           aggregate_kind_name(kind), compacted->missing, (uint64_t)compacted->version);
    return FAULT_NONE;
}

static bool fact_at(const struct verifier *v, uint64_t sequence, struct fact_view *ret_fact) {
    uint8_t key[8];
    slice record;
    struct fault fault;
    kv_store_u64(key, sequence);
    return !kv_get(v->txns[0], v->tables.facts, slice_of(key, 8), &record, &fault) &&
           fact_log_glance(slice_of(key, 8), record, ret_fact);
}

/* An aggregate with facts is stored, unless this program stores none of its kind. */
static fault_code unseen_check(struct verifier *v) {
    size_t position = 0;
    for (const struct version_entry *entry; (entry = version_map_next(v->versions, &position));) {
        struct fact_view fact;
        if (entry->seen || !fact_at(v, entry->last_sequence, &fact) ||
            !aggregate_message(aggregate_kind_find(fact.aggregate_type)))
            continue;
        return finding_set(&v->result->finding, FINDING_AGGREGATE, entry->last_sequence, &fact,
                           "it has facts up to version %" PRIu64 " and is not stored", (uint64_t)entry->version);
    }
    position = 0;
    for (const struct version_entry *entry; (entry = version_map_next(v->compacted, &position));)
        if (entry->missing != entry->version)
            return finding_set(&v->result->finding, FINDING_VERSION, 0, NULL,
                               "%" PRIu64 " facts of a tenant's aggregates are said to be compacted, %" PRIu64
                               " versions are missing",
                               (uint64_t)entry->version, entry->missing);
    return FAULT_NONE;
}

static fault_code aggregates_check(struct verifier *v, struct fault *reterr) {
    struct kv_cursor *cursor;
    struct tenant_name tenant = {0};
    slice key, record;
    fault_code code = kv_cursor_open(v->txns[0], v->tables.aggregates, &cursor, reterr);
    if (code) return code;
    code = kv_cursor_seek(cursor, (slice){0}, &key, &record, reterr);
    for (; !code; code = kv_cursor_next(cursor, &key, &record, reterr)) {
        code = aggregate_check(v, key, record, &tenant, reterr);
        if (code) break;
        v->result->aggregates++;
    }
    kv_cursor_close(cursor);
    return code == FAULT_ABSENT ? unseen_check(v) : code;
}

/* ---- the other tables: every record's checksum ---- */

static fault_code records_check(struct verifier *v, const char *name, kv_table table, uint8_t schema_keyed,
                                struct fault *reterr) {
    struct kv_cursor *cursor;
    struct fault fault;
    slice key, record, body;
    fault_code code = kv_cursor_open(v->txns[0], table, &cursor, reterr);
    if (code) return code;
    code = kv_cursor_seek(cursor, (slice){0}, &key, &record, reterr);
    for (; !code; code = kv_cursor_next(cursor, &key, &record, reterr)) {
        if (record_open_keyed(record, key, schema_keyed, NEWEST_SCHEMA, name, &body, &fault)) {
            char hex[2 * 24 + 1] = "";
            for (size_t i = 0; i < key.size && i < 24; i++) snprintf(hex + 2 * i, 3, "%02x", key.data[i]);
            code = finding_set(&v->result->finding, FINDING_RECORD, 0, NULL, "table '%s', key %s: %s", name, hex,
                               fault.text);
            break;
        }
        v->result->records++;
    }
    kv_cursor_close(cursor);
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

static fault_code others_check(struct verifier *v, struct fault *reterr) {
    const struct {
        const char *name;
        kv_table table;
        uint8_t schema_keyed;
    } sealed[] = {{"names", v->tables.names, RECORD_KEYED},   {"windows", v->tables.windows, RECORD_KEYED},
                  {"hours", v->tables.hours, RECORD_KEYED},   {"budgets", v->tables.budgets, RECORD_KEYED_3},
                  {"marks", v->tables.marks, RECORD_KEYED_3}, {"rejections", v->tables.rejections, UINT8_MAX}};
    fault_code code = FAULT_NONE;
    for (size_t i = 0; !code && i < sizeof sealed / sizeof *sealed; i++)
        code = records_check(v, sealed[i].name, sealed[i].table, sealed[i].schema_keyed, reterr);
    return code;
}

/* ---- all ---- */

static void txns_end(struct verifier *v, unsigned begun) {
    while (begun) kv_abort(v->txns[--begun]);
    memset(v->txns, 0, sizeof v->txns);
}

static fault_code txns_begin(struct verifier *v, struct fault *reterr) {
    for (int tries = 0; tries < SNAPSHOT_TRIES; tries++) {
        fault_code code = FAULT_NONE;
        unsigned begun = 0;
        bool same = true;
        for (; begun < v->threads && same; begun++) {
            code = kv_begin_read(v->kv, &v->txns[begun], reterr);
            if (code) break;
            same = kv_snapshot(v->txns[begun]) == kv_snapshot(v->txns[0]);
        }
        if (!code && same) code = kv_file_open(v->settings->path, kv_snapshot(v->txns[0]), &v->pages, reterr);
        if (!code && same) return FAULT_NONE;
        txns_end(v, begun);
        if (code && code != FAULT_AGAIN) return code;
    }
    return fault_set(reterr, FAULT_AGAIN, "%u threads could not see the same commit: the journal is too busy",
                     v->threads);
}

/* Facts that are gone from the end leave no gap, but who was given them. */
static fault_code end_check(struct verifier *v, struct fault *reterr) {
    struct fault fault = {0};
    const fault_code code = log_end_check(&v->tables, v->txns[0], v->result->end.last_sequence, &fault);
    if (code == FAULT_CORRUPT)
        return finding_set(&v->result->finding, FINDING_GAP, v->result->end.last_sequence + 1, NULL, "%s", fault.text);
    if (code && reterr) *reterr = fault;
    return code;
}

/* ---- pages ---- */

static void *pages_main(void *context) {
    struct verifier *v = context;
    v->pages_code = kv_file_walk(v->pages, &v->pages_fault);
    return NULL;
}

/* Beside the rest, which is one thread's. */
static void pages_begin(struct verifier *v) {
    v->pages_apart = v->threads > 1 && pthread_create(&v->pages_thread, NULL, pages_main, v) == 0;
}

static fault_code pages_end(struct verifier *v, fault_code code, struct fault *reterr) {
    if (v->pages_apart)
        pthread_join(v->pages_thread, NULL);
    else if (!code)
        pages_main(v);
    if (code || !v->pages_code) return code;
    if (v->pages_code == FAULT_CORRUPT)
        return finding_set(&v->result->finding, FINDING_PAGES, 0, NULL,
                           "the store's own pages are damaged, so that what is there is not found: %s",
                           v->pages_fault.text);
    if (reterr) *reterr = v->pages_fault;
    return v->pages_code;
}

static fault_code parts_check(struct verifier *v, struct verify_progress *progress, struct fault *reterr) {
    const int64_t started_ns = clock_monotonic_ns();
    struct chain_check_settings chain = {.facts = v->tables.facts,
                                         .txns = v->txns,
                                         .threads = v->threads,
                                         .messages = v->settings->messages,
                                         .known_sequence = v->settings->known_sequence,
                                         .progress = progress};
    memcpy(chain.known_hash, v->settings->known_hash, DIGEST_BYTES);
    struct verify_result *result = v->result;
    fault_code code = chain_check(&chain, v->versions, v->compacted, &result->end, &result->finding, reterr);
    result->chain_seconds = (double)(clock_monotonic_ns() - started_ns) / 1e9;
    if (code) result->end = (struct chain_end){.facts = atomic_load(&progress->facts)};
    result->bytes = atomic_load(&progress->bytes);
    pages_begin(v);
    if (!code) code = end_check(v, reterr);
    if (!code) code = index_check_begin(&v->indexes, &v->tables, v->txns[0], reterr);
    if (!code) code = aggregates_check(v, reterr);
    if (!code) code = others_check(v, reterr);
    if (!code) code = index_check_rest(&v->indexes, &v->result->finding, reterr);
    code = pages_end(v, code, reterr);
    result->seconds = (double)(clock_monotonic_ns() - started_ns) / 1e9;
    if (code != FAULT_CORRUPT) return code;
    if (!result->finding.kind) /* the store said it, between two records */
        finding_set(&result->finding, FINDING_PAGES, 0, NULL, "%s", reterr ? reterr->text : "");
    struct fact_view fact;
    if (result->finding.sequence && !result->finding.tenant[0] && fact_at(v, result->finding.sequence, &fact)) {
        char text[sizeof result->finding.text];
        memcpy(text, result->finding.text, sizeof text);
        finding_set(&result->finding, result->finding.kind, fact.sequence, &fact, "%s", text);
    }
    return FAULT_NONE;
}

fault_code verify_journal(const struct verify_settings *settings, struct verify_progress *progress,
                          struct verify_result *ret_result, struct fault *reterr) {
    struct verify_progress own = {0};
    struct verifier v = {.settings = settings, .result = ret_result, .threads = settings->threads};
    if (!progress) progress = &own;
    *ret_result = (struct verify_result){0};
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (!v.threads) v.threads = processors > 0 ? (unsigned)processors : 1;
    if (v.threads > CHAIN_THREADS_MAX) v.threads = CHAIN_THREADS_MAX;
    ret_result->threads = v.threads;
    fault_code code = kv_open_read(settings->path, JOURNAL_TABLES_COUNT, CHAIN_THREADS_MAX + 16, &v.kv, reterr);
    if (!code) code = journal_tables_open(v.kv, &v.tables, reterr);
    if (!code) code = txns_begin(&v, reterr);
    if (!code) {
        v.versions = version_map_new();
        v.compacted = version_map_new();
        v.arena = arena_new(64 * 1024, ARENA_BYTES_MAX);
        if (!v.versions || !v.compacted || !v.arena) code = fault_set(reterr, FAULT_LIMIT, "out of memory");
    }
    if (!code) code = parts_check(&v, progress, reterr);
    version_map_free(v.versions);
    version_map_free(v.compacted);
    arena_free(v.arena);
    kv_file_close(v.pages);
    txns_end(&v, v.threads);
    kv_close(v.kv);
    return code ? fault_wrap(reterr, "verify '%s'", settings->path) : FAULT_NONE;
}

/* ---- in a process of its own ---- */

struct shared {
    struct verify_progress progress;
    struct verify_result result;
    fault_code code;
    struct fault fault;
    atomic_bool done;
};

static void progress_show(const struct shared *shared, int64_t elapsed_ms) {
    const uint64_t facts = atomic_load(&shared->progress.facts), bytes = atomic_load(&shared->progress.bytes);
    const uint64_t all = atomic_load(&shared->progress.facts_count);
    if (!all || !facts) return;
    if (facts >= all) {
        fputs("verify: the facts are followed; looking at aggregates and other records\n", stderr);
        return;
    }
    const double seconds = (double)elapsed_ms / 1e3;
    fprintf(stderr, "verify: %.0f %% of %" PRIu64 " facts, %.2f GB/s, %.0f s to go\n",
            100.0 * (double)facts / (double)all, all, (double)bytes / 1e9 / seconds,
            seconds * (double)(all - facts) / (double)facts);
}

static fault_code child_wait(pid_t child, const struct shared *shared, bool quiet, int *ret_status,
                             struct fault *reterr) {
    const int64_t started_ms = clock_monotonic_ms();
    int64_t next_ms = started_ms + PROGRESS_AFTER_MS;
    for (;;) {
        const pid_t ended = waitpid(child, ret_status, WNOHANG);
        if (ended == child) return FAULT_NONE;
        if (ended < 0 && errno != EINTR)
            return fault_set_errno(reterr, FAULT_SYSTEM, errno, "wait for the verifying process");
        const int64_t now_ms = clock_monotonic_ms();
        if (!quiet && now_ms >= next_ms) {
            progress_show(shared, now_ms - started_ms);
            next_ms = now_ms + PROGRESS_EVERY_MS;
        }
        const struct timespec pause = {.tv_nsec = WAIT_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
}

static void child_was_lost(const struct verify_settings *settings, const struct shared *shared, int status,
                           struct verify_result *result) {
    const uint64_t sound = atomic_load(&shared->progress.sound_sequence);
    const uint64_t all = atomic_load(&shared->progress.facts_count);
    *result = (struct verify_result){.end.facts = sound, .bytes = atomic_load(&shared->progress.bytes)};
    finding_set(&result->finding, FINDING_PAGES, sound < all ? sound + 1 : 0, NULL,
                "the store's own pages are damaged: reading on from here ended with signal %d (%s)",
                WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "the verifying process ended");
    struct kv *kv; /* opening drops the reader that the lost process left behind */
    if (kv_open_read(settings->path, 1, CHAIN_THREADS_MAX, &kv, NULL) == FAULT_NONE) kv_close(kv);
}

fault_code verify_journal_apart(const struct verify_settings *settings, struct verify_result *ret_result,
                                struct fault *reterr) {
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "verify '%s': memory for two processes", settings->path);
    fflush(NULL);
    const pid_t parent = getpid(), child = fork();
    if (child == 0) {
        if (settings->lock > 0) close(settings->lock);
        /* With whoever asked: alone it would hold what was open, a lock among it, and nobody would hear of the end. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent) _exit(1);
        const struct sigaction ends = {.sa_handler = SIG_DFL};
        const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &ends, NULL);
        struct verify_settings own = *settings;
#ifdef __SANITIZE_THREAD__
        own.threads = 1; /* ThreadSanitizer cannot follow threads that begin behind a fork */
#endif
        shared->code = verify_journal(&own, &shared->progress, &shared->result, &shared->fault);
        atomic_store(&shared->done, true);
        _exit(0);
    }
    int status = 0;
    fault_code code = child < 0 ? fault_set_errno(reterr, FAULT_SYSTEM, errno, "start the verifying process")
                                : child_wait(child, shared, settings->quiet, &status, reterr);
    if (!code && !atomic_load(&shared->done)) {
        child_was_lost(settings, shared, status, ret_result);
    } else if (!code) {
        *ret_result = shared->result;
        code = shared->code;
        if (code && reterr) *reterr = shared->fault;
    }
    munmap(shared, sizeof *shared);
    return code;
}
