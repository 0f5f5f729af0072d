/* SPDX-License-Identifier: Apache-2.0
 * The consumer folds what the outbox hands it in one transaction, which the outbox has it commit with its cursor: at once
 * for a lone fact; in a flood after some seconds, in which each page of the tables is changed by many facts and written
 * once. A fact is
 * decoded only when a table wants it. A fact that cannot be folded stops the line, loudly: reading on would make
 * tables that look whole and are not. Facts that were compacted before these tables were built are passed over, and the
 * time that they were of is shown as unknown (compacted_windows.h). */
#include "aggregator/projections/projections.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "aggregator/projections/burndown.h"
#include "aggregator/projections/compacted_windows.h"
#include "aggregator/projections/fleet_counts.h"
#include "aggregator/projections/fleet_health.h"
#include "aggregator/projections/sli_series.h"
#include "common/base/clock.h"
#include "common/codec/codec.h"
#include "common/logging/log.h"

enum {
    SCHEMA_VERSION = 4, /* raise it when a table or a fold changes: files of another version are made anew */
    FACTS_MAX = 32768,
    BATCH_BYTES_MAX = 24 * 1024 * 1024,
    GATHER_FACTS = 16384, /* in a flood: what is worth waking up for */
    GATHER_MS = 500,
    HOLD_FACTS = 180000, /* in a flood: half an hour of thousands of SLOs, whose rows lie side by side */
    HOLD_MS = 3000,
    FACT_ARENA_BYTES = 4 * 1024 * 1024,
    RETENTION_DAYS = 100,
    PROGRESS_MS = 5000,
    REBUILD_LAG = 20000, /* this far behind, progress is logged */
    FOLDS_PER_FACT = 4,
    FACT_NUMBERS = 128,
    HOUR_S = 3600,
};

static const struct fold_row {
    uint32_t fact_number;
    fold_fn *fold; /* NULL: ignored */
} fold_rows[] = {
#define FOLD(fact, function) {SreDomainFact_##fact##_tag, function},
#define IGNORED(fact) {SreDomainFact_##fact##_tag, NULL},
#include "aggregator/projections/folds.def"
#undef FOLD
#undef IGNORED
};

struct projections {
    char *path;
    int64_t retention_s;
    struct sql *writer;
    struct sql_readers *readers;
    uint64_t (*newest_sequence)(void *context);
    void *newest_context;
    struct fold fold;
    struct arena *arena;
    SreDomainFact *fact;
    fold_fn *folds[FACT_NUMBERS][FOLDS_PER_FACT];
    _Atomic uint64_t sequence;
    bool folding; /* a transaction is open; it holds the facts up to these: */
    uint64_t folded_sequence;
    int64_t folded_ms; /* when that one was committed */
    int64_t pruned_hour, progress_ms;
    bool rebuilding;
};

enum projections_treatment projections_treat(uint32_t fact_number) {
    for (size_t i = 0; i < sizeof fold_rows / sizeof *fold_rows; i++)
        if (fold_rows[i].fact_number == fact_number)
            return fold_rows[i].fold ? PROJECTIONS_FOLDED : PROJECTIONS_IGNORED;
    return PROJECTIONS_UNKNOWN;
}

static void remove_files(const char *path) {
    char name[4096];
    const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        (void)unlink(name);
    }
}

static fault_code read_meta(struct sql *sql, const char *key, int64_t *ret_value, struct fault *reterr) {
    struct sql_statement *find;
    if (sql_prepare(sql, "SELECT value FROM projection_meta WHERE key = $1", &find, reterr))
        return fault_wrap(reterr, "read the cursor");
    sql_bind_text(find, 1, slice_from_text(key));
    const fault_code code = sql_step(find, reterr);
    if (code) return code;
    *ret_value = sql_integer(find, 0);
    sql_reset(find);
    return FAULT_NONE;
}

static fault_code write_meta(struct sql *sql, const char *key, int64_t value, struct fault *reterr) {
    struct sql_statement *put;
    if (sql_prepare(sql,
                    "INSERT INTO projection_meta (key, value) VALUES ($1, $2)"
                    " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    &put, reterr))
        return fault_wrap(reterr, "write the cursor");
    sql_bind_text(put, 1, slice_from_text(key));
    sql_bind_integer(put, 2, value);
    return sql_run(put, reterr);
}

/* FAULT_CONFLICT: the file is of another version. */
static fault_code open_writer(struct projections *p, struct fault *reterr) {
    fault_code code = sql_open(p->path, SQL_WRITER, &p->writer, reterr);
    if (code) return code;
    const char *const schemas[] = {
        "CREATE TABLE IF NOT EXISTS projection_meta (key TEXT PRIMARY KEY, value BIGINT NOT NULL);",
        sli_series_schema,
        burndown_schema,
        fleet_health_schema,
        fleet_counts_schema,
        compacted_windows_schema};
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        code = sql_script(p->writer, schemas[i], reterr);
        if (code) return code;
    }
    int64_t value;
    code = read_meta(p->writer, "schema", &value, reterr);
    if (code == FAULT_ABSENT) {
        code = write_meta(p->writer, "schema", SCHEMA_VERSION, reterr);
        if (!code) code = write_meta(p->writer, "cursor", 0, reterr);
        return code;
    }
    if (code) return code;
    if (value != SCHEMA_VERSION)
        return fault_set(reterr, FAULT_CONFLICT, "the read tables have version %d, this program makes version %d",
                         (int)value, SCHEMA_VERSION);
    code = read_meta(p->writer, "cursor", &value, reterr);
    if (code) return code == FAULT_ABSENT ? fault_set(reterr, FAULT_CORRUPT, "the read tables have no cursor") : code;
    atomic_store(&p->sequence, (uint64_t)value);
    return FAULT_NONE;
}

static fault_code open_files(struct projections *p, unsigned readers, struct fault *reterr) {
    struct fault fault;
    fault_code code = open_writer(p, &fault);
    if (code == FAULT_CORRUPT || code == FAULT_CONFLICT) {
        LOG_WARN("projections", "made_anew", LOG_TEXT("path", p->path), LOG_FAULT(&fault),
                 LOG_TEXT("instead", "deleting the file and folding every fact again"));
        p->writer = sql_close(p->writer);
        remove_files(p->path);
        code = open_writer(p, &fault);
    }
    if (code) {
        (void)fault_set(reterr, code, "%s", fault.text);
        return code;
    }
    return sql_readers_open(p->path, readers, &p->readers, reterr);
}

fault_code projections_open(const struct projections_settings *settings, struct projections **ret_projections,
                            struct fault *reterr) {
    struct projections *p = calloc(1, sizeof *p);
    if (!p) return fault_set(reterr, FAULT_SYSTEM, "open the read tables: no memory");
    p->path = strdup(settings->path);
    p->retention_s = (int64_t)(settings->retention_days ? settings->retention_days : RETENTION_DAYS) * 24 * HOUR_S;
    p->newest_sequence = settings->newest_sequence;
    p->newest_context = settings->newest_context;
    p->arena = arena_new(64 * 1024, FACT_ARENA_BYTES);
    p->fact = malloc(sizeof *p->fact);
    p->fold.series = sli_series_new();
    p->fold.burndown = burndown_new();
    fault_code code = FAULT_NONE;
    if (!p->path || !p->arena || !p->fact || !p->fold.series || !p->fold.burndown)
        code = fault_set(reterr, FAULT_SYSTEM, "open the read tables: no memory");
    for (size_t i = 0; !code && i < sizeof fold_rows / sizeof *fold_rows; i++) {
        if (!fold_rows[i].fold) continue;
        size_t at = 0;
        while (p->folds[fold_rows[i].fact_number][at]) at++;
        p->folds[fold_rows[i].fact_number][at] = fold_rows[i].fold;
    }
    if (!code) code = open_files(p, settings->readers ? settings->readers : 1, reterr);
    if (code) {
        projections_close(p);
        return code;
    }
    p->fold.sql = p->writer;
    *ret_projections = p;
    return FAULT_NONE;
}

struct projections *projections_close(struct projections *p) {
    if (!p) return NULL;
    sql_readers_close(p->readers);
    sql_close(p->writer);
    sli_series_free(p->fold.series);
    burndown_free(p->fold.burndown);
    arena_free(p->arena);
    free(p->fact);
    free(p->path);
    free(p);
    return NULL;
}

struct sql *projections_take_reader(struct projections *p) {
    return sql_readers_take(p->readers);
}

void projections_give_reader(struct projections *p, struct sql *reader) {
    sql_readers_give(p->readers, reader);
}

uint64_t projections_sequence(const struct projections *p) {
    return atomic_load(&p->sequence);
}

/* Readers hold the file open, so it is emptied here rather than deleted. */
static fault_code empty_tables(struct projections *p, struct fault *reterr) {
    return sql_script(
        p->writer,
        "BEGIN IMMEDIATE; DELETE FROM sli_windows; DELETE FROM sli_series; DELETE FROM slo_hours; DELETE FROM health;"
        " DELETE FROM compacted_windows; DELETE FROM health_history; DELETE FROM fleet_states; DELETE FROM "
        "fleet_counts;"
        " UPDATE projection_meta SET value = 0 WHERE key = 'cursor'; COMMIT;",
        reterr);
}

static fault_code load_cursor(void *context, uint64_t *ret_sequence, struct fault *reterr) {
    struct projections *p = context;
    uint64_t sequence = atomic_load(&p->sequence);
    const uint64_t last = p->newest_sequence ? p->newest_sequence(p->newest_context) : sequence;
    if (sequence > last) {
        LOG_WARN("projections", "made_anew", LOG_UINT("tables_at", sequence), LOG_UINT("journal_at", last),
                 LOG_TEXT("instead", "the journal is older than the read tables: folding every fact again"));
        if (empty_tables(p, reterr)) return fault_wrap(reterr, "make the read tables anew");
        atomic_store(&p->sequence, 0);
        sequence = 0;
    }
    *ret_sequence = sequence;
    return FAULT_NONE;
}

static fault_code fold_one(struct projections *p, const struct fact_view *view, struct fault *reterr) {
    if (view->compacted) return compacted_windows_fold(&p->fold, view, reterr);
    if (view->fact_number >= FACT_NUMBERS || !p->folds[view->fact_number][0]) return FAULT_NONE;
    arena_reset(p->arena);
    if (codec_decode_protobuf(&SreDomainFact_desc, view->bytes, p->arena, p->fact, reterr))
        return fault_wrap(reterr, "fold fact %llu", (unsigned long long)view->sequence);
    if (p->fact->which_fact != view->fact_number)
        return fault_set(reterr, FAULT_CORRUPT, "fold fact %llu: it is said to be %u and holds %u",
                         (unsigned long long)view->sequence, view->fact_number, (unsigned)p->fact->which_fact);
    for (size_t i = 0; i < FOLDS_PER_FACT && p->folds[view->fact_number][i]; i++)
        if (p->folds[view->fact_number][i](&p->fold, view, p->fact, reterr))
            return fault_wrap(reterr, "fold fact %llu", (unsigned long long)view->sequence);
    return FAULT_NONE;
}

static fault_code prune(struct projections *p, int64_t committed_ms, struct fault *reterr) {
    const int64_t before_s = committed_ms / 1000 - p->retention_s, hour = before_s / HOUR_S;
    if (hour <= p->pruned_hour) return FAULT_NONE;
    if (sli_series_flush(p->fold.series, p->writer, reterr) || sli_series_prune(p->writer, before_s, reterr))
        return fault_wrap(reterr, "prune");
    sli_series_forget(p->fold.series); /* series may have been deleted */
    if (burndown_prune(p->writer, hour, reterr) || fleet_health_prune(p->writer, committed_ms, reterr))
        return fault_wrap(reterr, "prune");
    p->pruned_hour = hour;
    return FAULT_NONE;
}

static void tell_progress(struct projections *p, uint64_t sequence) {
    if (!p->newest_sequence) return;
    const uint64_t last = p->newest_sequence(p->newest_context);
    const int64_t now_ms = clock_monotonic_ms();
    if (last > sequence + REBUILD_LAG) {
        if (now_ms - p->progress_ms < PROGRESS_MS && p->rebuilding) return;
        p->rebuilding = true;
        p->progress_ms = now_ms;
        LOG_INFO("projections", "catching_up", LOG_UINT("facts_done", sequence), LOG_UINT("facts_all", last),
                 LOG_UINT("percent", sequence * 100 / last));
    } else if (p->rebuilding && last == sequence) {
        p->rebuilding = false;
        LOG_INFO("projections", "caught_up", LOG_UINT("facts_done", sequence));
    }
}

/* Nothing that was folded behind the last commit holds. */
static fault_code take_back(struct projections *p, fault_code code) {
    sql_rollback(p->writer);
    sli_series_forget(p->fold.series);
    burndown_forget(p->fold.burndown);
    p->pruned_hour = 0;
    p->folding = false;
    return code;
}

static fault_code consume(void *context, const struct fact_view *facts, size_t count, struct fault *reterr) {
    struct projections *p = context;
    fault_code code = p->folding ? FAULT_NONE : sql_begin(p->writer, reterr);
    p->folding = true;
    for (size_t i = 0; i < count && !code; i++) code = fold_one(p, &facts[i], reterr);
    if (code) return take_back(p, code);
    p->folded_sequence = facts[count - 1].sequence;
    p->folded_ms = facts[count - 1].committed_ms;
    return FAULT_NONE;
}

static fault_code settle(void *context, struct fault *reterr) {
    struct projections *p = context;
    fault_code code = sli_series_flush(p->fold.series, p->writer, reterr);
    if (!code) code = burndown_flush(p->fold.burndown, p->writer, reterr);
    if (!code) code = prune(p, p->folded_ms, reterr);
    if (!code) code = write_meta(p->writer, "cursor", (int64_t)p->folded_sequence, reterr);
    if (!code) code = sql_commit(p->writer, reterr);
    if (code) return take_back(p, code);
    p->folding = false;
    atomic_store(&p->sequence, p->folded_sequence);
    tell_progress(p, p->folded_sequence);
    return FAULT_NONE;
}

struct outbox_consumer projections_consumer(struct projections *p) {
    return (struct outbox_consumer){.name = PROJECTIONS_NAME,
                                    .context = p,
                                    .load_cursor = load_cursor,
                                    .consume = consume,
                                    .settle = settle,
                                    .hold_facts = HOLD_FACTS,
                                    .hold_ms = HOLD_MS,
                                    .facts_max = FACTS_MAX,
                                    .bytes_max = BATCH_BYTES_MAX,
                                    .gather_facts = GATHER_FACTS,
                                    .gather_ms = GATHER_MS};
}
