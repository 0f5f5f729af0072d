/* SPDX-License-Identifier: Apache-2.0
 * One walk over each table. Keys hold short numbers that mean something in this journal only, so names are numbered
 * anew, in the order of their old numbers: an import that gives numbers in the file's order makes a journal whose export
 * has the same lines again, which is how both are tested.
 *
 * What is decoded is encoded again and compared: a field that this program does not know would be lost in JSON. */
#include "aggregator/archive/tenant_export.h"

#include "aggregator/archive/progress.h"
#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/fact_log.h"
#include "aggregator/journal/fact_range.h"
#include "aggregator/journal/hour_table.h"
#include "aggregator/journal/mark_table.h"
#include "aggregator/journal/names.h"
#include "aggregator/journal/record.h"
#include "aggregator/journal/rejection_list.h"
#include "aggregator/journal/slo_rest.h"
#include "aggregator/journal/window_table.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/codec/codec.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum { READERS = 16, NEWEST_SCHEMA = 255, NAMES_ARENA_BLOCK_BYTES = 64 * 1024, HOUR_S = 3600 };
#define NAMES_BYTES_MAX (UINT64_C(8) * 1024 * 1024 * 1024)

/* A table that is new here needs a place in this list, in tenant_export, and in tenant_import. By the order of struct
 * journal_tables: names, aggregates (with budgets), windows, hours, facts, marks with marks_by_time, rejections with
 * rejections_by_tenant and replays are exported; open, links and expiries follow from aggregates; cursors and upkeep
 * belong to the journal. */
static_assert(JOURNAL_TABLES_COUNT == 16, "say what of a new table belongs to a tenant");

struct name_number {
    uint32_t number;
    enum names_kind kind;
    slice text;
};

struct exporter {
    struct kv *kv;
    struct kv_txn *txn;
    struct journal_tables tables;
    slice tenant;
    uint32_t tenant_number;
    uint8_t tenant_key[4]; /* its number, with which keys begin */
    struct export_writer writer;
    struct arena *arena, *names_arena; /* arena: of one line */
    ExportLine *line;
    struct name_number *names; /* in the order of their numbers */
    size_t names_count;
    struct export_counts counts;
    struct progress progress;
    uint64_t facts_all;
    struct fault *reterr;
};

/* ---- lines ---- */

static ExportLine *line_begin(struct exporter *e, unsigned which) {
    arena_reset(e->arena);
    memset(e->line, 0, sizeof *e->line);
    e->line->which_line = which;
    return e->line;
}

static fault_code line_write(struct exporter *e) {
    return export_write(&e->writer, e->line, e->arena, e->reterr);
}

/* Texts that may come from outside as they were: JSON has no place for bytes that are no UTF-8. */
static slice readable(struct exporter *e, slice text) {
    uint8_t *copy = arena_alloc(e->arena, text.size + 1);
    if (!copy) return (slice){0};
    if (text.size) memcpy(copy, text.data, text.size);
    for (size_t at = 0; at < text.size;) {
        const size_t size = text_utf8_character(slice_from(text, at));
        if (!size) copy[at] = '?';
        at += size ? size : 1;
    }
    return slice_of(copy, text.size);
}

/* Records of a table whose keys begin with `prefix`, one after the other. */
typedef fault_code row_fn(struct exporter *e, slice key, slice record);
static fault_code rows_walk(struct exporter *e, kv_table table, slice prefix, row_fn *row) {
    struct kv_cursor *cursor;
    slice key, record;
    fault_code code = kv_cursor_open(e->txn, table, &cursor, e->reterr);
    if (code) return code;
    code = kv_cursor_seek(cursor, prefix, &key, &record, e->reterr);
    while (!code && slice_starts_with(key, prefix)) {
        code = row(e, key, record);
        if (!code) code = kv_cursor_next(cursor, &key, &record, e->reterr);
    }
    kv_cursor_close(cursor);
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

/* ---- names ---- */

static fault_code name_take(struct exporter *e, slice key, slice record) {
    slice body;
    if (record_open_keyed(record, key, RECORD_KEYED, NEWEST_SCHEMA, "name", &body, e->reterr)) return FAULT_CORRUPT;
    if (body.size != 4) return fault_set(e->reterr, FAULT_CORRUPT, "name record has %zu bytes, not 4", body.size);
    if (e->names_count == EXPORT_NAMES_MAX)
        return fault_set(e->reterr, FAULT_LIMIT, "the tenant has more than %d names", EXPORT_NAMES_MAX);
    if ((e->names_count & (e->names_count - 1)) == 0) { /* at each power of two */
        const size_t capacity = e->names_count ? 2 * e->names_count : 1;
        struct name_number *larger = realloc(e->names, capacity * sizeof *larger);
        if (!larger) return fault_set(e->reterr, FAULT_LIMIT, "read names: out of memory");
        e->names = larger;
    }
    const slice text = arena_copy(e->names_arena, slice_from(key, 5));
    if (!text.data) return fault_set(e->reterr, FAULT_LIMIT, "read names: out of memory");
    e->names[e->names_count++] = (struct name_number){kv_load_u32(body.data), (enum names_kind)key.data[0], text};
    return FAULT_NONE;
}

static int name_order(const void *a, const void *b) {
    const uint32_t x = ((const struct name_number *)a)->number, y = ((const struct name_number *)b)->number;
    return (x > y) - (x < y);
}

/* The name's number in the file; 0: it is none of the tenant's. */
static uint32_t name_find(const struct exporter *e, uint32_t number) {
    const struct name_number wanted = {.number = number};
    const struct name_number *found =
        e->names_count ? bsearch(&wanted, e->names, e->names_count, sizeof *e->names, name_order) : NULL;
    return found ? (uint32_t)(found - e->names) + 1 : 0;
}

static fault_code names_write(struct exporter *e) {
    static const enum names_kind kinds[] = {NAMES_SLO, NAMES_SOURCE};
    for (size_t i = 0; i < 2; i++) {
        uint8_t prefix[5] = {(uint8_t)kinds[i]};
        kv_store_u32(prefix + 1, e->tenant_number);
        const fault_code code = rows_walk(e, e->tables.names, slice_of(prefix, sizeof prefix), name_take);
        if (code) return code;
    }
    if (e->names_count) qsort(e->names, e->names_count, sizeof *e->names, name_order);
    for (size_t i = 0; i < e->names_count; i++) {
        const slice text = e->names[i].text;
        const uint8_t *end = memchr(text.data, 0, text.size); /* agent, 0, cluster: see decision.c */
        ExportName *name = &line_begin(e, ExportLine_name_tag)->line.name;
        name->number = (uint32_t)i + 1;
        name->kind = e->names[i].kind == NAMES_SLO ? EXPORT_NAME_KIND_SLO
                     : end                         ? EXPORT_NAME_KIND_SOURCE
                                                   : EXPORT_NAME_KIND_AGENT;
        name->name = end ? slice_first(text, (size_t)(end - text.data)) : text;
        if (end) name->cluster_id = slice_from(text, (size_t)(end - text.data) + 1);
        const fault_code code = line_write(e);
        if (code) return code;
    }
    return FAULT_NONE;
}

/* ---- facts ---- */

/* The decoded message says all that its bytes say. */
static fault_code nothing_lost(struct exporter *e, const struct message_desc *desc, const void *message, slice bytes,
                               const char *what) {
    slice again;
    const fault_code code = codec_encode_protobuf(desc, message, e->arena, &again, e->reterr);
    if (code) return fault_wrap(e->reterr, "%s", what);
    if (slice_equal(again, bytes)) return FAULT_NONE;
    return fault_set(e->reterr, FAULT_CORRUPT,
                     "%s holds something that this program does not know: export with the one that wrote it", what);
}

static fault_code range_write(struct exporter *e, uint64_t sequence, slice record) {
    struct fact_range range;
    if (fact_range_open(sequence, record, &range, e->reterr)) return FAULT_CORRUPT;
    for (size_t i = 0; i < range.counts_count; i++) {
        if (!slice_equal(range.counts[i].tenant, e->tenant)) continue;
        ExportCompacted *compacted = &line_begin(e, ExportLine_compacted_tag)->line.compacted;
        *compacted = (ExportCompacted){.fact_number = range.counts[i].fact_number,
                                       .facts_count = range.counts[i].facts,
                                       .has_first_committed_at = true,
                                       .first_committed_at = domain_time(range.first_ms),
                                       .has_last_committed_at = true,
                                       .last_committed_at = domain_time(range.last_ms)};
        e->counts.compacted += range.counts[i].facts;
        const fault_code code = line_write(e);
        if (code) return code;
    }
    return FAULT_NONE;
}

static fault_code fact_write(struct exporter *e, slice key, slice record) {
    struct fact_view view;
    progress_step(&e->progress, ++e->counts.lines, e->facts_all, "facts looked at");
    if (fact_log_view(key, record, &view, e->reterr)) return FAULT_CORRUPT;
    if (view.compacted) return range_write(e, view.sequence, record);
    if (!slice_equal(view.tenant, e->tenant)) return FAULT_NONE;
    char what[48];
    snprintf(what, sizeof what, "fact %" PRIu64, view.sequence);
    ExportFact *fact = &line_begin(e, ExportLine_fact_tag)->line.fact;
    fact->has_committed_at = fact->has_fact = true;
    fact->committed_at = domain_time(view.committed_ms);
    fault_code code = codec_decode_protobuf(&SreDomainFact_desc, view.bytes, e->arena, &fact->fact, e->reterr);
    if (code) return fault_wrap(e->reterr, "%s", what);
    if (!slice_equal(fact->fact.meta.tenant_id, e->tenant))
        return fault_set(e->reterr, FAULT_CORRUPT, "%s: its columns say another tenant than its message", what);
    code = nothing_lost(e, &SreDomainFact_desc, &fact->fact, view.bytes, what);
    e->counts.facts++;
    return code ? code : line_write(e);
}

/* ---- aggregates, windows, hours ---- */

static fault_code budget_add(struct exporter *e, ExportAggregate *aggregate) {
    uint32_t number;
    const fault_code code =
        names_find(e->tables.names, e->txn, NAMES_SLO, e->tenant_number, aggregate->aggregate_id, &number, e->reterr);
    if (code) return code == FAULT_ABSENT ? FAULT_NONE : code;
    return slo_rest_bytes_get(e->tables.budgets, e->txn, e->tenant_number, number, e->arena, &aggregate->budget,
                              e->reterr);
}

static fault_code aggregate_write(struct exporter *e, slice key, slice record) {
    const enum aggregate_kind kind = (enum aggregate_kind)key.data[4];
    const struct message_desc *desc = aggregate_message(kind);
    char what[200];
    snprintf(what, sizeof what, "%s '%.*s'", desc ? aggregate_kind_name(kind) : "?", SLICE_ARG(slice_from(key, 5)));
    slice bytes;
    ExportAggregate *aggregate = &line_begin(e, ExportLine_aggregate_tag)->line.aggregate;
    if (!desc)
        return fault_set(e->reterr, FAULT_CORRUPT, "an aggregate is of kind %u, which is not known", key.data[4]);
    if (aggregate_open(record, &aggregate->version, &bytes, e->reterr)) return fault_wrap(e->reterr, "%s", what);
    aggregate->aggregate_type = slice_from_text(aggregate_kind_name(kind));
    aggregate->aggregate_id = slice_from(key, 5);
    e->counts.aggregates++;
    if (bytes.size) { /* else it is deleted */
        aggregate->which_state = ExportAggregate_incident_tag + (unsigned)kind - AGGREGATE_INCIDENT;
        fault_code code = codec_decode_protobuf(desc, bytes, e->arena, &aggregate->state, e->reterr);
        if (code) return fault_wrap(e->reterr, "%s", what);
        code = nothing_lost(e, desc, &aggregate->state, bytes, what);
        if (!code && kind == AGGREGATE_SLO) code = budget_add(e, aggregate);
        if (code) return code;
    }
    return line_write(e);
}
static_assert(ExportAggregate_diagnostics_run_tag - ExportAggregate_incident_tag ==
                  AGGREGATE_DIAGNOSTICS - AGGREGATE_INCIDENT,
              "a state has 10 more than its kind's number");
static_assert(AGGREGATE_KINDS_ == AGGREGATE_DIAGNOSTICS + 1, "a new kind needs its place in ExportAggregate");

static fault_code window_write(struct exporter *e, slice key, slice record) {
    struct sli_window_stored stored;
    if (key.size != 20) return fault_set(e->reterr, FAULT_CORRUPT, "a window's key has %zu bytes, not 20", key.size);
    const struct window_key name = {.tenant = e->tenant_number,
                                    .start_s = (int64_t)kv_load_u64(key.data + 4),
                                    .slo = kv_load_u32(key.data + 12),
                                    .source = kv_load_u32(key.data + 16)};
    const fault_code code = window_table_get(e->tables.windows, e->txn, &name, &stored, e->reterr);
    if (code) return code;
    ExportWindow *window = &line_begin(e, ExportLine_window_tag)->line.window;
    *window = (ExportWindow){.slo = name_find(e, name.slo),
                             .source = name_find(e, name.source),
                             .has_window_start = true,
                             .window_start = {.seconds = name.start_s},
                             .window_seconds = stored.window_seconds,
                             .good = stored.good,
                             .total = stored.total,
                             .scrapes_expected = stored.scrapes_expected,
                             .scrapes_seen = stored.scrapes_seen,
                             .revision = stored.revision};
    if (!window->slo || !window->source)
        return fault_set(e->reterr, FAULT_CORRUPT, "a window is of an SLO or a source without a name");
    e->counts.windows++;
    return line_write(e);
}

struct hour_of {
    struct exporter *exporter;
    uint32_t name; /* of the file's names */
};

static fault_code hour_write(void *context, int64_t number, const struct slo_counts *counts, struct fault *reterr) {
    (void)reterr; /* the exporter's */
    const struct hour_of *of = context;
    struct exporter *e = of->exporter;
    ExportHour *hour = &line_begin(e, ExportLine_hour_tag)->line.hour;
    *hour = (ExportHour){.slo = of->name,
                         .has_hour = true,
                         .hour = {.seconds = number * HOUR_S},
                         .good = counts->good,
                         .total = counts->total,
                         .scrapes_expected = counts->scrapes_expected,
                         .scrapes_seen = counts->scrapes_seen};
    e->counts.hours++;
    return line_write(e);
}

static fault_code hour_named(struct exporter *e, slice key, slice record) {
    struct hour_key hour;
    struct slo_counts counts;
    if (hour_table_open(key, record, &hour, &counts, e->reterr)) return FAULT_CORRUPT;
    if (name_find(e, hour.slo)) return FAULT_NONE;
    return fault_set(e->reterr, FAULT_CORRUPT, "an hour is of an SLO without a name");
}

/* SLO by SLO, for some of each one's hours lie beside its budget. */
static fault_code hours_write(struct exporter *e) {
    fault_code code = rows_walk(e, e->tables.hours, slice_of(e->tenant_key, sizeof e->tenant_key), hour_named);
    for (size_t i = 0; i < e->names_count && !code; i++) {
        if (e->names[i].kind != NAMES_SLO) continue;
        struct slo_recent recent[SLO_RECENT_HOURS];
        code = slo_rest_recent_get(e->tables.budgets, e->txn, e->tenant_number, e->names[i].number, recent, e->reterr);
        struct hour_of of = {e, (uint32_t)i + 1};
        if (!code)
            code = slo_hours_walk(e->tables.hours, e->txn, e->tenant_number, e->names[i].number, 0, recent, hour_write,
                                  &of, e->reterr);
    }
    return code;
}

/* ---- what is done ---- */

static fault_code stream_write(struct exporter *e, slice key, slice record) {
    struct mark_row row;
    if (mark_row_open(key, record, &row, e->reterr)) return FAULT_CORRUPT;
    char epoch[UUID_TEXT_SIZE + 1];
    uuid_format(row.stream.epoch, epoch);
    ExportStream *stream = &line_begin(e, ExportLine_stream_tag)->line.stream;
    *stream = (ExportStream){.agent = name_find(e, row.stream.agent),
                             .epoch = slice_of(epoch, UUID_TEXT_SIZE),
                             .stream = row.stream.stream,
                             .committed_sequence = row.mark.last_sequence,
                             .missing_count = row.mark.missing,
                             .ended = row.mark.ended,
                             .has_at = row.at_ms != 0,
                             .at = domain_time(row.at_ms)};
    if (!stream->agent) return fault_set(e->reterr, FAULT_CORRUPT, "a stream is of an agent without a name");
    e->counts.marks++;
    return line_write(e);
}

/* A row of marks_by_time; of intents it says when their mark goes, of others the mark itself. */
static fault_code intent_write(struct exporter *e, slice key, slice reminder) {
    struct mark_row row;
    slice record, name;
    if (mark_reminder_open(key, reminder, &name, e->reterr)) return FAULT_CORRUPT;
    if (name.size < MARK_PREFIX_BYTES || kv_load_u32(name.data + 1) != e->tenant_number ||
        name.data[0] < MARK_ROW_MESSAGE)
        return FAULT_NONE;
    const fault_code code = kv_get(e->txn, e->tables.marks, name, &record, e->reterr);
    if (code == FAULT_ABSENT) return FAULT_NONE;
    if (code || mark_row_open(name, record, &row, e->reterr)) return FAULT_CORRUPT;
    ExportIntent *intent = &line_begin(e, ExportLine_intent_tag)->line.intent;
    *intent =
        (ExportIntent){.by_key = row.kind == MARK_ROW_KEY,
                       .name_hash = slice_of(row.name_hash, DIGEST_BYTES),
                       .request_hash = slice_of(row.intent.request_hash, DIGEST_BYTES),
                       .aggregate_type = slice_from_text(aggregate_kind_name((enum aggregate_kind)row.intent.kind)),
                       .aggregate_id = readable(e, row.intent.id),
                       .version = row.intent.version,
                       .made_facts = row.intent.last_sequence != 0,
                       .has_expires_at = true,
                       .expires_at = domain_time((int64_t)kv_load_u64(key.data))};
    e->counts.marks++;
    return line_write(e);
}

static fault_code marks_write(struct exporter *e) {
    uint8_t prefix[MARK_PREFIX_BYTES];
    fault_code code =
        rows_walk(e, e->tables.marks, mark_prefix(MARK_ROW_EPOCH, e->tenant_number, prefix), stream_write);
    if (!code)
        code = rows_walk(e, e->tables.marks, mark_prefix(MARK_ROW_STREAM, e->tenant_number, prefix), stream_write);
    return code ? code : rows_walk(e, e->tables.marks_by_time, (slice){0}, intent_write);
}

static fault_code rejection_write(struct exporter *e, slice key, slice nothing) {
    const struct rejection_list list = {.records = e->tables.rejections, .replays = e->tables.replays};
    struct journal_rejection item;
    if (key.size != e->tenant.size + 9) return FAULT_NONE;
    const uint64_t sequence = kv_load_u64(key.data + e->tenant.size + 1);
    const fault_code code = rejection_list_get(&list, e->txn, e->tenant, sequence, &item, e->reterr);
    if (code) return fault_wrap(e->reterr, "rejection %" PRIu64, sequence);
    ExportRejection *rejection = &line_begin(e, ExportLine_rejection_tag)->line.rejection;
    *rejection = (ExportRejection){.has_rejected_at = true,
                                   .rejected_at = domain_time(item.time_ms),
                                   .code = slice_from_text(fault_code_name(item.code)),
                                   .producer = readable(e, item.producer),
                                   .reason = readable(e, item.reason),
                                   .payload = item.payload,
                                   .has_replayed_at = item.replayed_ms != 0,
                                   .replayed_at = domain_time(item.replayed_ms),
                                   .replayed_by = readable(e, item.replayed_by)};
    e->counts.rejections++;
    return line_write(e);
}

/* ---- all ---- */

static fault_code header_write(struct exporter *e) {
    struct kv_cursor *cursor;
    slice key, record;
    uint64_t last = 0;
    fault_code code = kv_cursor_open(e->txn, e->tables.facts, &cursor, e->reterr);
    if (code) return code;
    if (!kv_cursor_last(cursor, &key, &record, NULL) && key.size == 8) last = kv_load_u64(key.data);
    kv_cursor_close(cursor);
    code = kv_table_count(e->txn, e->tables.facts, &e->facts_all, e->reterr);
    if (code) return code;
    line_begin(e, ExportLine_header_tag)->line.header =
        (ExportHeader){.format = EXPORT_FORMAT,
                       .tenant_id = e->tenant,
                       .made_by = SLICE_LIT("picket-aggregator " PICKET_VERSION),
                       .has_made_at = true,
                       .made_at = domain_time(clock_wall_ms()),
                       .source_sequence = last};
    return line_write(e);
}

static fault_code tables_write(struct exporter *e) {
    uint8_t by_name[256 + 1];
    if (e->tenant.size > 255) return fault_set(e->reterr, FAULT_INPUT, "a tenant's name has at most 64 characters");
    memcpy(by_name, e->tenant.data, e->tenant.size);
    by_name[e->tenant.size] = 0;
    fault_code code = names_find(e->tables.names, e->txn, NAMES_TENANT, 0, e->tenant, &e->tenant_number, e->reterr);
    if (code == FAULT_ABSENT)
        return fault_set(e->reterr, FAULT_ABSENT, "the journal knows no tenant '%.*s'", SLICE_ARG(e->tenant));
    kv_store_u32(e->tenant_key, e->tenant_number);
    if (!code) code = header_write(e);
    if (!code) code = names_write(e);
    if (!code) code = rows_walk(e, e->tables.facts, (slice){0}, fact_write);
    if (!code)
        code = rows_walk(e, e->tables.aggregates, slice_of(e->tenant_key, sizeof e->tenant_key), aggregate_write);
    if (!code) code = rows_walk(e, e->tables.windows, slice_of(e->tenant_key, sizeof e->tenant_key), window_write);
    if (!code) code = hours_write(e);
    if (!code) code = marks_write(e);
    if (!code)
        code = rows_walk(e, e->tables.rejections_by_tenant, slice_of(by_name, e->tenant.size + 1), rejection_write);
    if (code) return code;
    arena_reset(e->arena);
    return export_end(&e->writer, e->arena, e->reterr);
}

fault_code tenant_export(const char *path, slice tenant, FILE *to, bool quiet, struct export_counts *ret_counts,
                         struct fault *reterr) {
    struct exporter e = {.tenant = tenant, .reterr = reterr, .progress = progress_begin(quiet ? NULL : "export")};
    export_writer_begin(&e.writer, to);
    fault_code code = kv_open_read(path, JOURNAL_TABLES_COUNT, READERS, &e.kv, reterr);
    if (!code) code = journal_tables_open(e.kv, &e.tables, reterr);
    if (!code) code = kv_begin_read(e.kv, &e.txn, reterr);
    if (!code) {
        e.arena = arena_new(1024 * 1024, EXPORT_ARENA_BYTES_MAX);
        e.names_arena = arena_new(NAMES_ARENA_BLOCK_BYTES, NAMES_BYTES_MAX);
        e.line = calloc(1, sizeof *e.line);
        if (!e.arena || !e.names_arena || !e.line) code = fault_set(reterr, FAULT_LIMIT, "out of memory");
    }
    if (!code) code = tables_write(&e);
    free(e.names);
    free(e.line);
    arena_free(e.names_arena);
    arena_free(e.arena);
    kv_abort(e.txn);
    kv_close(e.kv);
    if (code) return fault_wrap(reterr, "export tenant '%.*s'", SLICE_ARG(slice_first(tenant, 64)));
    e.counts.lines = e.writer.lines;
    *ret_counts = e.counts;
    return FAULT_NONE;
}
