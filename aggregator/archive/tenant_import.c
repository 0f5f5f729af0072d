/* SPDX-License-Identifier: Apache-2.0
 * Each line goes into its table through the functions that the writer uses, so that what was imported is what the
 * journal would have written. What a reader of the file could get wrong by hand is held together before the commit:
 * versions of facts without gaps, aggregates at the version where their facts end, names that are used are there. A
 * digest that fits proves none of that.
 *
 * Facts that were compacted come as counts and become ranges of this journal. The hash at the end of such a range is
 * that of the record itself: the facts it was made from are gone, and the chain needs some value that the next fact
 * carries. */
#include "aggregator/archive/tenant_import.h"

#include "aggregator/archive/progress.h"
#include "aggregator/archive/version_map.h"
#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/fact_log.h"
#include "aggregator/journal/fact_range.h"
#include "aggregator/journal/hour_table.h"
#include "aggregator/journal/index_build.h"
#include "aggregator/journal/slo_rest.h"
#include "aggregator/journal/mark_table.h"
#include "aggregator/journal/names.h"
#include "aggregator/journal/rejection_list.h"
#include "aggregator/journal/touched.h"
#include "aggregator/journal/window_table.h"
#include "common/base/clock.h"
#include "common/codec/codec.h"

#include <inttypes.h>
#include <stdlib.h>

enum { READERS = 16, HOUR_S = 3600, REJECTIONS_MAX = 100000 };
#define REJECTIONS_BYTES_MAX (UINT64_C(256) * 1024 * 1024)

struct importer {
    const struct import_settings *settings;
    struct kv *kv;
    struct kv_txn *txn;
    struct journal_tables tables;
    struct names *names;
    struct fact_log log;
    struct mark_table marks;
    struct rejection_list rejections;
    struct export_reader reader;
    struct arena *arena; /* of one line */
    ExportLine *line;
    uint8_t *buffer; /* AGGREGATE_BYTES_MAX */
    uint32_t tenant;
    struct imported_name {
        uint32_t number;
        ExportNameKind kind;
    } * numbers; /* by the number in the file, from 1 */
    size_t numbers_count;
    struct version_map *versions, *compacted;
    int64_t now_ms;
    struct import_result result;
    struct progress progress;
    struct fault *reterr;
};

typedef fault_code line_fn(struct importer *m);

/* ---- nothing of the tenant is there ---- */

static fault_code prefix_absent(struct importer *m, kv_table table, slice prefix, const char *what) {
    struct kv_cursor *cursor;
    slice key, value;
    fault_code code = kv_cursor_open(m->txn, table, &cursor, m->reterr);
    if (code) return code;
    code = kv_cursor_seek(cursor, prefix, &key, &value, m->reterr);
    kv_cursor_close(cursor);
    if (code == FAULT_ABSENT || (!code && !slice_starts_with(key, prefix))) return FAULT_NONE;
    if (code) return code;
    return fault_set(m->reterr, FAULT_CONFLICT, "the journal has %s of the tenant already", what);
}

static fault_code facts_absent(struct importer *m) {
    struct kv_cursor *cursor;
    slice key, record;
    uint64_t looked = 0;
    fault_code code = kv_cursor_open(m->txn, m->tables.facts, &cursor, m->reterr);
    if (code) return code;
    code = kv_cursor_seek(cursor, (slice){0}, &key, &record, m->reterr);
    for (; !code; code = kv_cursor_next(cursor, &key, &record, m->reterr)) {
        struct fact_view fact;
        progress_step(&m->progress, ++looked, m->log.last_sequence, "facts looked at");
        if (fact_log_glance(key, record, &fact) && slice_equal(fact.tenant, m->settings->tenant)) {
            code = fault_set(m->reterr, FAULT_CONFLICT, "the journal has facts of the tenant already");
            break;
        }
    }
    kv_cursor_close(cursor);
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

static fault_code tenant_absent(struct importer *m) {
    const slice tenant = m->settings->tenant;
    uint8_t bytes[300];
    if (tenant.size > 255) return fault_set(m->reterr, FAULT_INPUT, "a tenant's name has at most 64 characters");
    memcpy(bytes, tenant.data, tenant.size);
    bytes[tenant.size] = 0;
    fault_code code = prefix_absent(m, m->tables.rejections_by_tenant, slice_of(bytes, tenant.size + 1), "rejections");
    if (code) return code;
    code = names_find(m->tables.names, m->txn, NAMES_TENANT, 0, tenant, &m->tenant, m->reterr);
    if (code == FAULT_ABSENT) return FAULT_NONE;
    const struct {
        kv_table table;
        const char *what;
    } by_tenant[] = {{m->tables.aggregates, "aggregates"}, {m->tables.windows, "windows"}, {m->tables.hours, "hours"}};
    kv_store_u32(bytes, m->tenant);
    for (size_t i = 0; !code && i < sizeof by_tenant / sizeof *by_tenant; i++)
        code = prefix_absent(m, by_tenant[i].table, slice_of(bytes, 4), by_tenant[i].what);
    for (int kind = MARK_ROW_STREAM; !code && kind <= MARK_ROW_KEY; kind++)
        code = prefix_absent(m, m->tables.marks, mark_prefix((enum mark_kind)kind, m->tenant, bytes),
                             "marks of what is done");
    kv_store_u32(bytes + 1, m->tenant);
    for (int kind = NAMES_SLO; !code && kind <= NAMES_SOURCE; kind++) {
        bytes[0] = (uint8_t)kind;
        code = prefix_absent(m, m->tables.names, slice_of(bytes, 5), "names");
    }
    return code ? code : facts_absent(m);
}

/* ---- lines ---- */

static fault_code header_take(struct importer *m) {
    const slice tenant = m->line->line.header.tenant_id;
    if (!slice_equal(tenant, m->settings->tenant))
        return fault_set(m->reterr, FAULT_INPUT, "the export is of tenant '%.*s': a tenant keeps its name",
                         SLICE_ARG(tenant));
    const fault_code code = tenant_absent(m);
    if (code) return code;
    return names_number(m->names, m->txn, NAMES_TENANT, 0, tenant, &m->tenant, m->reterr);
}

static fault_code name_take(struct importer *m) {
    const ExportName *name = &m->line->line.name;
    const bool source = name->kind == EXPORT_NAME_KIND_SOURCE;
    uint8_t text[NAMES_TEXT_BYTES_MAX];
    if (name->number != m->numbers_count + 1 || m->numbers_count == EXPORT_NAMES_MAX)
        return fault_set(m->reterr, FAULT_INPUT, "the name has number %u, expected is %zu", name->number,
                         m->numbers_count + 1);
    if (name->name.size + 1 + name->cluster_id.size > sizeof text || memchr(name->name.data, 0, name->name.size) ||
        (!source && name->cluster_id.size))
        return fault_set(m->reterr, FAULT_INPUT, "the name is too long, or none of its kind");
    memcpy(text, name->name.data, name->name.size);
    size_t size = name->name.size;
    if (source) {
        text[size++] = 0;
        if (name->cluster_id.size) memcpy(text + size, name->cluster_id.data, name->cluster_id.size);
        size += name->cluster_id.size;
    }
    if ((m->numbers_count & (m->numbers_count - 1)) == 0) { /* at each power of two */
        const size_t capacity = m->numbers_count ? 2 * m->numbers_count : 1;
        struct imported_name *larger = realloc(m->numbers, capacity * sizeof *larger);
        if (!larger) return fault_set(m->reterr, FAULT_LIMIT, "out of memory");
        m->numbers = larger;
    }
    struct imported_name *entry = &m->numbers[m->numbers_count++];
    entry->kind = name->kind;
    return names_number(m->names, m->txn, name->kind == EXPORT_NAME_KIND_SLO ? NAMES_SLO : NAMES_SOURCE, m->tenant,
                        slice_of(text, size), &entry->number, m->reterr);
}

static fault_code number_of(struct importer *m, uint32_t number, ExportNameKind kind, uint32_t *ret_number) {
    if (number == 0 || number > m->numbers_count || m->numbers[number - 1].kind != kind)
        return fault_set(m->reterr, FAULT_INPUT, "there is no name %u of that kind above", number);
    *ret_number = m->numbers[number - 1].number;
    return FAULT_NONE;
}

static fault_code version_follow(struct importer *m, const SreDomainFact *fact) {
    const SreSubject *subject = &fact->subject;
    const uint64_t version = (uint64_t)subject->aggregate_version;
    struct version_entry *entry = version_map_at(
        m->versions, version_key_of(m->settings->tenant, subject->aggregate_type, subject->aggregate_id));
    if (!entry) return fault_set(m->reterr, FAULT_LIMIT, "out of memory");
    if (version <= entry->version || version > INT64_MAX ||
        (version != entry->version + 1 &&
         !version_map_find(m->compacted, version_key_of(m->settings->tenant, subject->aggregate_type, (slice){0}))))
        return fault_set(m->reterr, FAULT_INPUT, "version %" PRIu64 " of %.*s '%.*s' follows version %" PRIu64, version,
                         SLICE_ARG(subject->aggregate_type), SLICE_ARG(subject->aggregate_id),
                         (uint64_t)entry->version);
    entry->missing += version - entry->version - 1;
    entry->version = version;
    return FAULT_NONE;
}

static fault_code sequence_next(struct importer *m) {
    if (!m->result.first_sequence) m->result.first_sequence = m->log.last_sequence + 1;
    return FAULT_NONE;
}

static fault_code fact_take(struct importer *m) {
    ExportFact *line = &m->line->line.fact;
    SreDomainFact *fact = &line->fact;
    const SreSubject *subject = &fact->subject;
    if (!slice_equal(fact->meta.tenant_id, m->settings->tenant))
        return fault_set(m->reterr, FAULT_INPUT, "the fact is of tenant '%.*s'",
                         SLICE_ARG(slice_first(fact->meta.tenant_id, 64)));
    struct uuid id;
    if (!fact->which_fact || !uuid_parse(fact->meta.message_id, &id) ||
        aggregate_kind_find(subject->aggregate_type) == AGGREGATE_NONE || !subject->aggregate_id.size ||
        subject->aggregate_id.size > LIMIT_AGGREGATE_ID_BYTES)
        return fault_set(m->reterr, FAULT_INPUT, "the fact has no message id, no aggregate, or says nothing");
    fault_code code = version_follow(m, fact);
    if (!code) code = sequence_next(m);
    if (code) return code;
    fact->sequence = m->log.last_sequence + 1;
    m->result.counts.facts++;
    return fact_log_append(&m->log, m->txn, domain_ms(line->committed_at), fact, m->reterr);
}

static fault_code compacted_take(struct importer *m) {
    const ExportCompacted *line = &m->line->line.compacted;
    const char *type = line->fact_number == SreDomainFact_sli_window_recorded_tag     ? "slo"
                       : line->fact_number == SreDomainFact_health_check_recorded_tag ? "health_check"
                                                                                      : NULL;
    if (!type || !compactable_is(line->fact_number) || line->facts_count > INT64_MAX - m->log.last_sequence)
        return fault_set(m->reterr, FAULT_INPUT, "facts of number %u cannot be compacted, or not so many",
                         line->fact_number);
    struct version_entry *entry =
        version_map_at(m->compacted, version_key_of(m->settings->tenant, slice_from_text(type), (slice){0}));
    if (!entry) return fault_set(m->reterr, FAULT_LIMIT, "out of memory");
    entry->version += line->facts_count;
    fault_code code = sequence_next(m);
    if (code) return code;
    struct fact_range range = {.first_sequence = m->log.last_sequence + 1,
                               .last_sequence = m->log.last_sequence + line->facts_count,
                               .first_ms = domain_ms(line->first_committed_at),
                               .last_ms = domain_ms(line->last_committed_at),
                               .counts_count = 1,
                               .counts = {{m->settings->tenant, line->fact_number, line->facts_count}}};
    uint8_t record[256 + 128 + 32], key[8];
    memcpy(range.hash_before, m->log.last_hash, DIGEST_BYTES);
    fact_log_hash(slice_of(record, fact_range_write(&range, record)), range.hash_of_last);
    const size_t size = fact_range_write(&range, record);
    kv_store_u64(key, range.last_sequence);
    code = kv_append(m->txn, m->tables.facts, slice_of(key, 8), slice_of(record, size), m->reterr);
    if (code) return code;
    memcpy(m->log.last_hash, range.hash_of_last, DIGEST_BYTES);
    m->log.last_sequence = range.last_sequence;
    m->result.counts.compacted += line->facts_count;
    return FAULT_NONE;
}

/* Versions that no fact made are as many as were compacted, in the end; never more. */
static fault_code version_stands(struct importer *m, enum aggregate_kind kind, slice id, uint64_t version) {
    const slice type = slice_from_text(aggregate_kind_name(kind));
    struct version_entry *entry = version_map_find(m->versions, version_key_of(m->settings->tenant, type, id));
    struct version_entry *compacted =
        version_map_find(m->compacted, version_key_of(m->settings->tenant, type, (slice){0}));
    const uint64_t last = entry ? entry->version : 0;
    if (version < last || version > INT64_MAX || (version > last && !compacted) || (entry && entry->seen))
        return fault_set(m->reterr, FAULT_INPUT,
                         "%.*s '%.*s' stands at version %" PRIu64 ", its last fact made version %" PRIu64,
                         SLICE_ARG(type), SLICE_ARG(id), version, last);
    if (entry) entry->seen = 1;
    if (compacted) compacted->missing += version - last + (entry ? entry->missing : 0);
    return FAULT_NONE;
}

static fault_code slo_take(struct importer *m, const ExportAggregate *line) {
    uint32_t number;
    fault_code code = aggregate_put(m->tables.aggregates, m->txn, m->tenant, AGGREGATE_SLO, line->aggregate_id,
                                    line->version, line->which_state ? &line->state : NULL, m->buffer, NULL, m->reterr);
    if (code || !line->budget.size) return code;
    code = names_number(m->names, m->txn, NAMES_SLO, m->tenant, line->aggregate_id, &number, m->reterr);
    return code ? code : slo_rest_bytes_put(m->tables.budgets, m->txn, m->tenant, number, line->budget, m->reterr);
}

static fault_code aggregate_take(struct importer *m) {
    ExportAggregate *line = &m->line->line.aggregate;
    const enum aggregate_kind kind = aggregate_kind_find(line->aggregate_type);
    const slice id = line->aggregate_id;
    const unsigned expected = ExportAggregate_incident_tag + (unsigned)kind - AGGREGATE_INCIDENT;
    if (kind == AGGREGATE_NONE || !aggregate_message(kind) || (line->which_state && line->which_state != expected))
        return fault_set(m->reterr, FAULT_INPUT, "'%.*s' is no type of aggregate, or its state is of another",
                         SLICE_ARG(line->aggregate_type));
    fault_code code = version_stands(m, kind, id, line->version);
    if (code) return code;
    m->result.counts.aggregates++;
    if (kind == AGGREGATE_SLO) return slo_take(m, line);
    struct touched *touched = arena_alloc(m->arena, sizeof *touched);
    struct aggregate *aggregate;
    if (!touched) return fault_set(m->reterr, FAULT_LIMIT, "out of memory");
    touched_begin(touched, &m->tables, m->txn, m->arena, m->buffer, m->settings->tenant, m->tenant);
    code = touched_get(touched, kind, id, &aggregate, m->reterr);
    if (code) return code;
    if (aggregate->version) return fault_set(m->reterr, FAULT_INPUT, "the aggregate is there twice");
    aggregate->version = line->version;
    aggregate->deleted = !line->which_state;
    if (line->which_state) memcpy(&aggregate->state, &line->state, message_size(aggregate_message(kind)));
    return touched_write(touched, NULL, NULL, m->reterr);
}

static fault_code window_take(struct importer *m) {
    const ExportWindow *line = &m->line->line.window;
    struct window_key key = {.tenant = m->tenant, .start_s = line->window_start.seconds};
    const struct sli_window_stored stored = {.revision = line->revision,
                                             .good = line->good,
                                             .total = line->total,
                                             .scrapes_expected = line->scrapes_expected,
                                             .scrapes_seen = line->scrapes_seen,
                                             .window_seconds = line->window_seconds};
    if (number_of(m, line->slo, EXPORT_NAME_KIND_SLO, &key.slo) ||
        number_of(m, line->source, EXPORT_NAME_KIND_SOURCE, &key.source))
        return FAULT_INPUT;
    m->result.counts.windows++;
    return window_table_put(m->tables.windows, m->txn, &key, &stored, m->reterr);
}

static fault_code hour_take(struct importer *m) {
    const ExportHour *line = &m->line->line.hour;
    struct hour_key key = {.tenant = m->tenant, .hour = line->hour.seconds / HOUR_S};
    const struct slo_counts counts = {line->good, line->total, line->scrapes_expected, line->scrapes_seen};
    if (line->hour.seconds < 0 || key.hour > UINT32_MAX || line->hour.seconds % HOUR_S)
        return fault_set(m->reterr, FAULT_INPUT, "its time is no hour");
    if (number_of(m, line->slo, EXPORT_NAME_KIND_SLO, &key.slo)) return FAULT_INPUT;
    m->result.counts.hours++;
    return hour_table_put(m->tables.hours, m->txn, &key, &counts, m->reterr);
}

static fault_code stream_take(struct importer *m) {
    const ExportStream *line = &m->line->line.stream;
    struct stream_key key = {.tenant = m->tenant, .stream = line->stream};
    const int64_t at_ms = line->has_at ? domain_ms(line->at) : m->now_ms;
    if (number_of(m, line->agent, EXPORT_NAME_KIND_AGENT, &key.agent)) return FAULT_INPUT;
    if (!uuid_parse(line->epoch, &key.epoch)) return fault_set(m->reterr, FAULT_INPUT, "its epoch is no UUID");
    m->result.counts.marks++;
    if (line->stream == 0) {
        bool new;
        return mark_epoch(&m->marks, m->txn, &key, at_ms, &new, m->reterr);
    }
    const struct stream_mark mark = {line->committed_sequence, line->missing_count, line->ended};
    return mark_stream_put(&m->marks, m->txn, &key, &mark, at_ms, m->reterr);
}

static fault_code intent_take(struct importer *m) {
    const ExportIntent *line = &m->line->line.intent;
    /* The fact it made has another sequence now; the last one imported is not before it. */
    struct intent_mark mark = {.kind = (uint8_t)aggregate_kind_find(line->aggregate_type),
                               .version = line->version,
                               .last_sequence = line->made_facts ? m->log.last_sequence : 0,
                               .id = line->aggregate_id};
    memcpy(mark.request_hash, line->request_hash.data, DIGEST_BYTES);
    m->result.counts.marks++;
    return mark_intent_put(&m->marks, m->txn, line->by_key ? MARK_IDEMPOTENCY_KEY : MARK_MESSAGE, m->tenant,
                           line->name_hash.data, &mark, domain_ms(line->expires_at), m->reterr);
}

static fault_code rejection_take(struct importer *m) {
    const ExportRejection *line = &m->line->line.rejection;
    struct journal_rejection item = {.time_ms = domain_ms(line->rejected_at),
                                     .code = FAULT_SYSTEM,
                                     .tenant = m->settings->tenant,
                                     .producer = line->producer,
                                     .reason = line->reason,
                                     .payload = line->payload};
    for (fault_code code = FAULT_NONE; code < FAULT_MAX_; code++)
        if (slice_equal_text(line->code, fault_code_name(code))) item.code = code;
    m->result.counts.rejections++;
    const fault_code code = rejection_list_put(&m->rejections, m->txn, &item, m->reterr);
    if (code || !line->has_replayed_at) return code;
    return rejection_list_replayed(&m->rejections, m->txn, m->rejections.last, domain_ms(line->replayed_at),
                                   line->replayed_by, m->reterr);
}

/* ---- all ---- */

static fault_code whole_check(struct importer *m) {
    size_t position = 0;
    for (const struct version_entry *entry; (entry = version_map_next(m->versions, &position));)
        if (!entry->seen)
            return fault_set(m->reterr, FAULT_INPUT, "an aggregate has facts up to version %" PRIu64 " and is missing",
                             (uint64_t)entry->version);
    position = 0;
    for (const struct version_entry *entry; (entry = version_map_next(m->compacted, &position));)
        if (entry->missing != entry->version)
            return fault_set(m->reterr, FAULT_INPUT,
                             "%" PRIu64 " facts are said to be compacted, %" PRIu64 " versions are missing",
                             (uint64_t)entry->version, entry->missing);
    if (m->result.first_sequence) m->result.last_sequence = m->log.last_sequence;
    return FAULT_NONE;
}

static fault_code lines_take(struct importer *m) {
    static line_fn *const takes[] = {
        [ExportLine_header_tag] = header_take,       [ExportLine_name_tag] = name_take,
        [ExportLine_fact_tag] = fact_take,           [ExportLine_compacted_tag] = compacted_take,
        [ExportLine_aggregate_tag] = aggregate_take, [ExportLine_window_tag] = window_take,
        [ExportLine_hour_tag] = hour_take,           [ExportLine_stream_tag] = stream_take,
        [ExportLine_intent_tag] = intent_take,       [ExportLine_rejection_tag] = rejection_take,
        [ExportLine_end_tag] = whole_check,
    };
    for (;;) {
        arena_reset(m->arena);
        fault_code code = export_read(&m->reader, m->arena, m->line, m->reterr);
        if (code == FAULT_ABSENT) break;
        if (code) return code;
        code = takes[m->line->which_line](m);
        if (code == FAULT_INPUT) return fault_wrap(m->reterr, "line %" PRIu64, m->reader.lines);
        if (code) return code;
        progress_step(&m->progress, m->reader.lines, 0, "lines");
    }
    m->result.counts.lines = m->reader.lines;
    return FAULT_NONE;
}

static fault_code importer_open(struct importer *m) {
    uint64_t reindexed;
    const struct kv_settings settings = {.path = m->settings->path,
                                         .map_bytes = m->settings->map_bytes,
                                         .tables_max = JOURNAL_TABLES_COUNT,
                                         .readers_max = READERS,
                                         .sync = KV_SYNC_FULL};
    fault_code code = kv_open(&settings, &m->kv, m->reterr);
    if (!code) code = journal_tables_open(m->kv, &m->tables, m->reterr);
    if (!code) code = index_build_once(m->kv, &m->tables, &reindexed, m->reterr);
    if (code) return code;
    m->names = names_new(m->tables.names);
    m->arena = arena_new(1024 * 1024, EXPORT_ARENA_BYTES_MAX);
    m->line = calloc(1, sizeof *m->line);
    m->buffer = malloc(AGGREGATE_BYTES_MAX);
    m->versions = version_map_new();
    m->compacted = version_map_new();
    if (!m->names || !m->arena || !m->line || !m->buffer || !m->versions || !m->compacted)
        return fault_set(m->reterr, FAULT_LIMIT, "out of memory");
    m->marks = (struct mark_table){.marks = m->tables.marks, .by_time = m->tables.marks_by_time};
    code = kv_begin_write(m->kv, &m->txn, m->reterr);
    if (!code) code = fact_log_init(&m->log, m->tables.facts, m->txn, m->reterr);
    if (code) return code;
    const uint64_t rejections_max = m->settings->rejections_max ? m->settings->rejections_max : REJECTIONS_MAX;
    return rejection_list_init(&m->rejections, &m->tables, rejections_max, REJECTIONS_BYTES_MAX, m->txn, m->reterr);
}

fault_code tenant_import(const struct import_settings *settings, FILE *from, struct import_result *ret_result,
                         struct fault *reterr) {
    struct importer m = {.settings = settings,
                         .now_ms = clock_wall_ms(),
                         .reterr = reterr,
                         .progress = progress_begin(settings->quiet ? NULL : "import")};
    export_reader_begin(&m.reader, from);
    fault_code code = importer_open(&m);
    if (!code) code = lines_take(&m);
    if (!code) {
        code = kv_commit(m.txn, reterr);
        m.txn = NULL;
    }
    kv_abort(m.txn);
    rejection_list_done(&m.rejections);
    export_reader_done(&m.reader);
    fact_log_done(&m.log);
    names_free(m.names);
    version_map_free(m.versions);
    version_map_free(m.compacted);
    arena_free(m.arena);
    free(m.numbers);
    free(m.line);
    free(m.buffer);
    kv_close(m.kv);
    if (code)
        return fault_wrap(reterr, "import tenant '%.*s': nothing was changed",
                          SLICE_ARG(slice_first(settings->tenant, 64)));
    *ret_result = m.result;
    return FAULT_NONE;
}
