/* SPDX-License-Identifier: Apache-2.0
 * A tenant is moved from one journal, where it is not alone, to another, where it is not either. What it was stays, what
 * it repeats has no effect, nothing of the others goes along; and an import that fails leaves nothing. */
#include "tests/unit/aggregator/journal/journal_fixture.h"

#include "aggregator/archive/tenant_import.h"
#include "aggregator/archive/verify.h"
#include "aggregator/journal/fact_range.h"

#include <signal.h>
#include <sys/wait.h>

enum { WINDOWS = 40 };

static const struct journal_outcome *give_as(struct place *place, const char *tenant, enum method_role role,
                                             const SreDomainIntent *intent, const char *key) {
    return place_command(place,
                         (struct journal_command){
                             .caller = {.tenant = slice_from_text(tenant), .actor = SLICE_LIT("anna"), .role = role},
                             .intent = place_intent(place, intent),
                             .idempotency_key = slice_from_text(key)});
}

static void batch_of_windows(struct place *place, const char *slo) {
    slice windows[WINDOWS];
    for (int i = 0; i < WINDOWS; i++) {
        SreDomainIntent intent = place_window_intent(slo, 100 + i, 1);
        intent.intent.record_sli_window.cluster_id = i % 2 ? SLICE_LIT("north") : (slice){0};
        windows[i] = place_intent(place, &intent);
    }
    place_batch(place, 0, 1, windows, WINDOWS);
}

static SreDomainIntent alert_intent(const char *fingerprint) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_ingest_alert_tag};
    IngestAlertRequested *alert = &intent.intent.ingest_alert;
    alert->source = ALERT_SOURCE_PROMETHEUS;
    alert->fingerprint = slice_from_text(fingerprint);
    alert->name = SLICE_LIT("Checkout errors");
    alert->severity = SEVERITY_HIGH;
    alert->status = ALERT_STATUS_FIRING;
    alert->has_starts_at = true;
    alert->starts_at.seconds = JOURNAL_NOW_MS / 1000 - 60;
    return intent;
}

/* "acme" with some of everything, "umbrella" before, between and behind it. Open. */
static struct place *full_place(void) {
    struct place *place = place_opened();
    SreDomainIntent intent = place_incident_intent("umbrella-1");
    give_as(place, "umbrella", ROLE_RESPONDER, &intent, "umbrella-key");
    intent = place_slo_intent("checkout");
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
    give_as(place, "umbrella", ROLE_RESPONDER, &intent, NULL);
    batch_of_windows(place, "checkout");
    assert_int_equal(place->batch.applied, WINDOWS);
    intent = place_incident_intent("umbrella-2");
    give_as(place, "umbrella", ROLE_RESPONDER, &intent, NULL);
    intent = place_incident_intent("inc-1");
    assert_int_equal(give_as(place, "acme", ROLE_RESPONDER, &intent, "key-1")->result, JOURNAL_COMMITTED);
    intent = alert_intent("f1");
    intent.has_meta = true;
    intent.meta.message_id = SLICE_LIT("0190a5c0-7e1f-7000-8000-00000000000a");
    intent.meta.schema_version = 1;
    assert_int_equal(give_as(place, "acme", ROLE_INTEGRATION, &intent, NULL)->result, JOURNAL_COMMITTED);
    intent = place_slo_intent("checkout"); /* it is there: a rejection */
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_REFUSED);
    give_as(place, "umbrella", ROLE_RESPONDER, &intent, NULL);
    intent = place_incident_intent("umbrella-3");
    give_as(place, "umbrella", ROLE_RESPONDER, &intent, NULL);
    return place;
}

struct text_file {
    char *data;
    size_t size;
};

static fault_code export_to(struct place *place, const char *tenant, struct text_file *ret_file, struct fault *fault) {
    struct export_counts counts;
    *ret_file = (struct text_file){0};
    FILE *file = open_memstream(&ret_file->data, &ret_file->size);
    const fault_code code = tenant_export(place->folder, slice_from_text(tenant), file, true, &counts, fault);
    fclose(file);
    if (code) free(ret_file->data);
    if (code) *ret_file = (struct text_file){0};
    return code;
}

static struct text_file exported(struct place *place, const char *tenant) {
    struct fault fault;
    struct text_file file;
    place->journal = journal_close(place->journal); /* an environment is opened once in a process */
    CHECK_OK(export_to(place, tenant, &file, &fault));
    return file;
}

static fault_code import_to(struct place *place, const char *tenant, const char *data, size_t size,
                            struct import_result *ret_result, struct fault *fault) {
    const struct import_settings settings = {.path = place->folder,
                                             .map_bytes = place->settings.map_bytes,
                                             .tenant = slice_from_text(tenant),
                                             .quiet = true};
    FILE *file = size ? fmemopen((void *)(uintptr_t)data, size, "rb") : fopen("/dev/null", "rb");
    const fault_code code = tenant_import(&settings, file, ret_result, fault);
    fclose(file);
    return code;
}

static void whole(const struct place *place) {
    struct fault fault;
    struct verify_result result;
    const struct verify_settings settings = {.path = place->folder, .messages = true, .quiet = true};
    CHECK_OK(verify_journal(&settings, NULL, &result, &fault));
    if (result.finding.kind) fail_msg("%s: %s", finding_kind_name(result.finding.kind), result.finding.text);
}

/* Without what belongs to the journal: the header's time and sequence, facts' sequences, the digest. */
static slice comparable(struct text_file file, struct arena *arena) {
    struct fault fault;
    struct export_reader reader;
    FILE *from = fmemopen(file.data, file.size, "rb");
    char *data;
    size_t size;
    FILE *to = open_memstream(&data, &size);
    struct arena *line_arena = arena_new(1 << 20, 64 << 20);
    ExportLine *line = calloc(1, sizeof *line);
    export_reader_begin(&reader, from);
    for (;;) {
        slice json;
        arena_reset(line_arena);
        const fault_code code = export_read(&reader, line_arena, line, &fault);
        if (code == FAULT_ABSENT) break;
        if (code) fail_msg("%s", fault.text);
        if (line->which_line == ExportLine_header_tag || line->which_line == ExportLine_end_tag) continue;
        if (line->which_line == ExportLine_fact_tag) line->line.fact.fact.sequence = 0;
        CHECK_OK(codec_encode_json(&ExportLine_desc, line, false, line_arena, &json, &fault));
        fprintf(to, "%.*s\n", SLICE_ARG(json));
    }
    fclose(to);
    fclose(from);
    const slice copy = arena_copy(arena, slice_of(data, size));
    free(data);
    free(line);
    arena_free(line_arena);
    export_reader_done(&reader);
    return copy;
}

/* Another journal, with another tenant's facts. */
static struct place *other_place(void) {
    struct place *place = place_opened();
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof id, "z-%d", i);
        const SreDomainIntent intent = place_incident_intent(id);
        give_as(place, "zeta", ROLE_RESPONDER, &intent, NULL);
    }
    place->journal = journal_close(place->journal);
    return place;
}

static bool holds(struct text_file file, const char *word) {
    return memmem(file.data, file.size, word, strlen(word)) != NULL;
}

TEST(export_of_the_imported_tenant_is_the_export) {
    struct place *from = full_place(), *to = other_place();
    struct fault fault;
    struct import_result result;
    struct text_file file = exported(from, "acme");
    CHECK_OK(import_to(to, "acme", file.data, file.size, &result, &fault));
    assert_int_equal(result.first_sequence, 4);
    assert_int_equal(result.counts.windows, WINDOWS);
    assert_int_equal(result.counts.aggregates, 3);
    assert_true(result.counts.hours && result.counts.rejections == 1 && result.counts.marks == 4);
    whole(to);
    struct text_file again;
    CHECK_OK(export_to(to, "acme", &again, &fault));
    const slice a = comparable(file, from->arena), b = comparable(again, from->arena);
    if (!slice_equal(a, b)) fail_msg("not the same:\n%.*s\n---\n%.*s", SLICE_ARG(a), SLICE_ARG(b));
    assert_true(a.size > 10000);
    free(file.data);
    free(again.data);
    place_free(from);
    place_free(to);
}

TEST(export_holds_nothing_of_another_tenant) {
    struct place *place = full_place();
    struct text_file file = exported(place, "acme");
    assert_true(holds(file, "acme") && holds(file, "inc-1"));
    assert_false(holds(file, "umbrella"));
    struct text_file other;
    struct fault fault;
    CHECK_OK(export_to(place, "umbrella", &other, &fault));
    assert_true(holds(other, "umbrella-3"));
    assert_false(holds(other, "acme") || holds(other, "inc-1") || holds(other, "edge-1"));
    CHECK_FAULT(export_to(place, "nobody", &(struct text_file){0}, &fault), FAULT_ABSENT);
    free(file.data);
    free(other.data);
    place_free(place);
}

TEST(what_is_done_stays_done_after_the_move) {
    struct place *from = full_place(), *to = other_place();
    struct fault fault;
    struct import_result result;
    const SLO before = place_slo(from, "checkout");
    struct text_file file = exported(from, "acme");
    CHECK_OK(import_to(to, "acme", file.data, file.size, &result, &fault));
    place_open(to);
    const SLO after = place_slo(to, "checkout");
    assert_int_equal(after.version, before.version);
    assert_int_equal(after.budget.total, before.budget.total);
    assert_int_equal(after.budget.good, before.budget.good);
    /* The agent sends again what it was never told of. */
    batch_of_windows(to, "checkout");
    assert_int_equal(to->batch.repeated, WINDOWS);
    assert_int_equal(to->batch.applied, 0);
    assert_int_equal(to->batch.committed_sequence, WINDOWS);
    assert_false(to->batch.new_epoch);
    SreDomainIntent intent = place_incident_intent("inc-1");
    assert_int_equal(give_as(to, "acme", ROLE_RESPONDER, &intent, "key-1")->result, JOURNAL_REPEATED);
    intent = alert_intent("f1");
    intent.has_meta = true;
    intent.meta.message_id = SLICE_LIT("0190a5c0-7e1f-7000-8000-00000000000a");
    intent.meta.schema_version = 1;
    assert_int_equal(give_as(to, "acme", ROLE_INTEGRATION, &intent, NULL)->result, JOURNAL_REPEATED);
    /* A correction is one, and what is new goes on at the next version. */
    intent = place_window_intent("checkout", 101, 2);
    intent.intent.record_sli_window.cluster_id = SLICE_LIT("north");
    intent.intent.record_sli_window.good = 5;
    const slice correction = place_intent(to, &intent);
    assert_int_equal(place_batch(to, WINDOWS, WINDOWS + 1, &correction, 1)->applied, 1);
    assert_int_equal(place_slo(to, "checkout").budget.good, before.budget.good - 4);
    assert_int_equal(place_slo(to, "checkout").version, before.version + 1);
    struct journal_rejection *items;
    assert_int_equal(place_rejections(to, "acme", &items), 1);
    /* The alert still expires. */
    size_t due = 0;
    to->now_ms += 3600 * 1000;
    CHECK_OK(journal_submit_due(to->journal, 10, &due, &fault));
    assert_int_equal(due, 1);
    to->journal = journal_close(to->journal);
    whole(to);
    free(file.data);
    place_free(from);
    place_free(to);
}

TEST(compacted_facts_are_moved_as_counts) {
    struct place *from = full_place(), *to = other_place();
    struct fault fault;
    from->journal = journal_close(from->journal);
    /* Windows 5 to 9 of acme give way to a range. */
    struct kv *kv;
    struct kv_txn *txn;
    struct journal_tables tables;
    const struct kv_settings settings = {
        .path = from->folder, .map_bytes = 256 << 20, .tables_max = JOURNAL_TABLES_COUNT, .readers_max = 8};
    CHECK_OK(kv_open(&settings, &kv, &fault));
    CHECK_OK(journal_tables_open(kv, &tables, &fault));
    CHECK_OK(kv_begin_write(kv, &txn, &fault));
    struct fact_range range = {.first_sequence = 5, .last_sequence = 9, .counts_count = 1};
    range.counts[0] = (struct fact_range_count){SLICE_LIT("acme"), SreDomainFact_sli_window_recorded_tag, 5};
    static uint8_t buffer[FACT_RANGE_BYTES_MAX];
    uint8_t key[8];
    slice record;
    for (uint64_t sequence = 5; sequence <= 9; sequence++) {
        kv_store_u64(key, sequence);
        CHECK_OK(kv_get(txn, tables.facts, slice_of(key, 8), &record, &fault));
        if (sequence == 5) memcpy(range.hash_before, fact_log_carried_hash(record), DIGEST_BYTES);
        if (sequence == 9) fact_log_hash(record, range.hash_of_last);
        CHECK_OK(kv_delete(txn, tables.facts, slice_of(key, 8), &fault));
    }
    CHECK_OK(kv_put(txn, tables.facts, slice_of(key, 8), slice_of(buffer, fact_range_write(&range, buffer)), &fault));
    CHECK_OK(kv_commit(txn, &fault));
    kv_close(kv);
    whole(from);
    struct text_file file, again;
    struct import_result result;
    CHECK_OK(export_to(from, "acme", &file, &fault));
    CHECK_OK(import_to(to, "acme", file.data, file.size, &result, &fault));
    assert_int_equal(result.counts.compacted, 5);
    whole(to);
    CHECK_OK(export_to(to, "acme", &again, &fault));
    assert_true(slice_equal(comparable(file, from->arena), comparable(again, from->arena)));
    place_open(to);
    const SreDomainIntent intent = place_incident_intent("inc-2");
    assert_int_equal(place_give(to, place_intent(to, &intent))->result, JOURNAL_COMMITTED);
    to->journal = journal_close(to->journal);
    whole(to);
    free(file.data);
    free(again.data);
    place_free(from);
    place_free(to);
}

/* ---- refused ---- */

static void nothing_of_acme(struct place *to) {
    struct fault fault;
    place_open(to);
    assert_int_equal(journal_last_sequence(to->journal), 3);
    slice bytes;
    CHECK_FAULT(
        journal_get(to->journal, SLICE_LIT("acme"), SLICE_LIT("slo"), SLICE_LIT("checkout"), to->arena, &bytes, &fault),
        FAULT_ABSENT);
    to->journal = journal_close(to->journal);
    CHECK_FAULT(export_to(to, "acme", &(struct text_file){0}, &fault), FAULT_ABSENT);
}

TEST(tenant_that_is_there_is_refused) {
    struct place *from = full_place(), *to = other_place();
    struct fault fault;
    struct import_result result;
    struct text_file file = exported(from, "acme");
    CHECK_OK(import_to(to, "acme", file.data, file.size, &result, &fault));
    CHECK_FAULT(import_to(to, "acme", file.data, file.size, &result, &fault), FAULT_CONFLICT);
    assert_non_null(strstr(fault.text, "nothing was changed"));
    CHECK_FAULT(import_to(from, "acme", file.data, file.size, &result, &fault), FAULT_CONFLICT);
    CHECK_FAULT(import_to(to, "beta", file.data, file.size, &result, &fault), FAULT_INPUT);
    assert_non_null(strstr(fault.text, "the export is of tenant 'acme'"));
    whole(to);
    free(file.data);
    place_free(from);
    place_free(to);
}

TEST(export_that_was_cut_or_changed_anywhere_leaves_nothing) {
    uint64_t seed = check_seed();
    struct place *from = full_place(), *to = other_place();
    struct fault fault;
    struct import_result result;
    struct text_file file = exported(from, "acme");
    char *copy = malloc(file.size + 1);
    for (int round = 0; round < 120; round++) {
        size_t size = file.size;
        memcpy(copy, file.data, size);
        if (round % 3 == 0)
            size = check_random(&seed) % size;
        else
            copy[check_random(&seed) % size] ^= (char)(1u << check_random(&seed) % 8);
        const fault_code code = import_to(to, "acme", copy, size, &result, &fault);
        if (code != FAULT_INPUT && code != FAULT_LIMIT)
            fail_msg("round %d: %s: %s", round, fault_code_name(code), code ? fault.text : "");
    }
    nothing_of_acme(to);
    CHECK_OK(import_to(to, "acme", file.data, file.size, &result, &fault)); /* nothing is in its way */
    whole(to);
    free(copy);
    free(file.data);
    place_free(from);
    place_free(to);
}

/* The export again without the lines that `drop` names, its last line made to fit: a digest proves nothing. */
static struct text_file without(struct text_file file, bool (*drop)(ExportLine *line)) {
    struct fault fault;
    struct export_reader reader;
    struct export_writer writer;
    struct text_file made = {0};
    FILE *from = fmemopen(file.data, file.size, "rb"), *to = open_memstream(&made.data, &made.size);
    struct arena *arena = arena_new(1 << 20, 64 << 20);
    ExportLine *line = calloc(1, sizeof *line);
    export_reader_begin(&reader, from);
    export_writer_begin(&writer, to);
    while (arena_reset(arena), export_read(&reader, arena, line, &fault) == FAULT_NONE)
        if (line->which_line != ExportLine_end_tag && !drop(line)) CHECK_OK(export_write(&writer, line, arena, &fault));
    CHECK_OK(export_end(&writer, arena, &fault));
    fclose(from);
    fclose(to);
    free(line);
    arena_free(arena);
    export_reader_done(&reader);
    return made;
}

static bool drop_incident(ExportLine *line) {
    return line->which_line == ExportLine_aggregate_tag && slice_equal_text(line->line.aggregate.aggregate_id, "inc-1");
}
static bool drop_window_fact(ExportLine *line) {
    return line->which_line == ExportLine_fact_tag && line->line.fact.fact.subject.aggregate_version == 7;
}
static bool drop_names(ExportLine *line) {
    return line->which_line == ExportLine_name_tag;
}
static bool rename_tenant(ExportLine *line) {
    if (line->which_line == ExportLine_fact_tag) line->line.fact.fact.meta.tenant_id = SLICE_LIT("umbrella");
    return false;
}
static bool raise_version(ExportLine *line) {
    if (line->which_line == ExportLine_aggregate_tag) line->line.aggregate.version++;
    return false;
}

TEST(export_that_does_not_fit_together_is_refused) {
    bool (*const drops[])(ExportLine *) = {drop_incident, drop_window_fact, drop_names, rename_tenant, raise_version};
    static const char *const says[] = {"and is missing", "follows version", "there is no name", "the fact is of tenant",
                                       "stands at version"};
    struct place *from = full_place(), *to = other_place();
    struct text_file file = exported(from, "acme");
    for (size_t i = 0; i < sizeof drops / sizeof *drops; i++) {
        struct fault fault;
        struct import_result result;
        struct text_file wrong = without(file, drops[i]);
        CHECK_FAULT(import_to(to, "acme", wrong.data, wrong.size, &result, &fault), FAULT_INPUT);
        if (!strstr(fault.text, says[i])) fail_msg("'%s' is not in: %s", says[i], fault.text);
        free(wrong.data);
    }
    nothing_of_acme(to);
    free(file.data);
    place_free(from);
    place_free(to);
}

TEST(import_that_is_killed_leaves_nothing_or_all) {
    uint64_t seed = check_seed();
    struct place *from = full_place();
    struct text_file file = exported(from, "acme");
    unsigned done = 0;
    for (int round = 0; round < 12; round++) {
        struct place *to = other_place();
        struct import_result result;
        struct fault fault;
        const pid_t child = fork();
        if (child == 0) _exit(import_to(to, "acme", file.data, file.size, &result, &fault) ? 1 : 0);
        const struct timespec pause = {.tv_nsec = (long)(check_random(&seed) % 5000000)};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        whole(to);
        struct text_file again;
        if (export_to(to, "acme", &again, &fault) == FAULT_NONE) {
            assert_true(slice_equal(comparable(file, from->arena), comparable(again, from->arena)));
            done++;
        } else {
            nothing_of_acme(to);
        }
        free(again.data);
        place_free(to);
    }
    print_message("%u of 12 were done before they were killed\n", done);
    free(file.data);
    place_free(from);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(export_of_the_imported_tenant_is_the_export),
        cmocka_unit_test(export_holds_nothing_of_another_tenant),
        cmocka_unit_test(what_is_done_stays_done_after_the_move),
        cmocka_unit_test(compacted_facts_are_moved_as_counts),
        cmocka_unit_test(tenant_that_is_there_is_refused),
        cmocka_unit_test(export_that_was_cut_or_changed_anywhere_leaves_nothing),
        cmocka_unit_test(export_that_does_not_fit_together_is_refused),
        cmocka_unit_test(import_that_is_killed_leaves_nothing_or_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
