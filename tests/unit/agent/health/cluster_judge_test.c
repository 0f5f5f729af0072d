/* SPDX-License-Identifier: Apache-2.0
 * The verdicts of verdicts.txt: recorded and hand-made objects, and what they are judged to be as time goes by. And of the
 * rules themselves: that each is met by a case. */
#include "agent/health/cluster_judge.h"
#include "common/codec/codec.h"
#include "common/codec/tables.h"
#include "tests/support/check.h"

#include <unistd.h>

enum { TEXT_BYTES = 512 * 1024 };

static const char *fixtures(void) {
    static const char *const places[] = {"../shared/contracts/fixtures/kubernetes",
                                         "../../shared/contracts/fixtures/kubernetes"};
    return access(places[0], R_OK) == 0 ? places[0] : access(places[1], R_OK) == 0 ? places[1] : NULL;
}

static slice read_file(const char *folder, slice name, struct arena *arena) {
    char path[512];
    snprintf(path, sizeof path, "%s/%.*s", folder, SLICE_ARG(name));
    FILE *const file = fopen(path, "rb");
    if (!file) fail_msg("cannot read %s", path);
    uint8_t *const bytes = arena_alloc(arena, TEXT_BYTES);
    assert_non_null(bytes);
    const size_t size = fread(bytes, 1, TEXT_BYTES, file);
    fclose(file);
    assert_true(size < TEXT_BYTES);
    return slice_of(bytes, size);
}

static slice take_word(slice *line) {
    while (line->size && line->data[0] == ' ') *line = slice_from(*line, 1);
    size_t size = 0;
    while (size < line->size && line->data[size] != ' ') size++;
    const slice word = slice_first(*line, size);
    *line = slice_from(*line, size);
    return word;
}

static int64_t time_of(slice word, int64_t first_ms) {
    char text[64];
    assert_true(slice_to_text(word, text, sizeof text));
    if (text[0] == '+') return first_ms + atoll(text + 1) * 1000;
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm));
    return (int64_t)timegm(&tm) * 1000;
}

static const char *status_name(enum health_status status) {
    static const char *const names[] = {"", "HEALTHY", "DEGRADED", "UNHEALTHY", "UNKNOWN"};
    return names[status];
}

struct table {
    struct arena *arena;
    struct zone *zone;
    struct judgement judgement;
    int64_t first_ms; /* when the object was first seen */
    bool skipped;
    unsigned line, cases, met[CLUSTER_RULES_];
};

static void take_object(struct table *table, slice line) {
    struct fault fault;
    const struct kube_resource *const resource = kube_resource_find(take_word(&line));
    assert_non_null(resource);
    while (line.size && line.data[0] == ' ') line = slice_from(line, 1);
    const bool file = line.data[0] != '{';
    table->first_ms = 0;
    table->skipped = file && !fixtures();
    if (table->skipped) return;
    const slice json = file ? read_file(fixtures(), line, table->arena) : line;
    void *const message = arena_alloc(table->arena, resource->message->size);
    assert_non_null(message);
    if (codec_decode_json_foreign(resource->message, json, table->arena, message, &fault))
        fail_msg("line %u: %s", table->line, fault.text);
    const enum cluster_kind kind = cluster_kind_of(resource->id);
    assert_int_not_equal(kind, CLUSTER_KINDS_);
    const struct zone *zone = NULL;
    if (kind == CLUSTER_CRONJOB) {
        const KubeCronJob *const job = message;
        if (slice_equal_text(job->spec.time_zone, "Europe/Berlin")) zone = table->zone;
    }
    cluster_judge(kind, message, zone, &table->judgement);
    assert_in_range(table->judgement.count, 1, JUDGEMENT_FINDINGS_MAX);
}

static void check_verdict(struct table *table, slice line) {
    if (table->skipped) return;
    const int64_t now_ms = time_of(take_word(&line), table->first_ms);
    if (table->first_ms == 0) {
        table->first_ms = now_ms;
        for (size_t i = 0; i < table->judgement.count; i++)
            if (table->judgement.findings[i].since_ms == 0) table->judgement.findings[i].since_ms = now_ms;
    }
    int64_t next_ms;
    const enum cluster_rule rule = cluster_verdict(table->judgement.findings, table->judgement.count, now_ms, &next_ms);
    const struct cluster_rule_row *const row = cluster_rule_row(rule);
    const slice status = take_word(&line), reason = take_word(&line);
    if (!slice_equal_text(status, status_name(row->status)) || !slice_equal_text(reason, row->reason))
        fail_msg("verdicts.txt:%u: expected %.*s %.*s, is %s %s (%s)", table->line, SLICE_ARG(status),
                 SLICE_ARG(reason), status_name(row->status), row->reason, row->name);
    while (line.size && line.data[0] == ' ') line = slice_from(line, 1);
    if (line.size && !slice_equal_text(line, table->judgement.detail))
        fail_msg("verdicts.txt:%u: expected the detail\n%.*s, is\n%s", table->line, SLICE_ARG(line),
                 table->judgement.detail);
    assert_true(next_ms > now_ms);
    table->met[rule]++;
    table->cases++;
}

TEST(objects_are_judged_as_the_table_says) {
    struct fault fault;
    struct table table = {.arena = arena_new(64 * 1024, 64 * 1024 * 1024)};
    if (zone_open("/usr/share/zoneinfo", SLICE_LIT("Europe/Berlin"), &table.zone, &fault))
        print_message("no zoneinfo here: %s\n", fault.text);
    slice rest = read_file("tests/unit/agent/health", SLICE_LIT("verdicts.txt"), table.arena);
    while (rest.size) {
        const uint8_t *const end = memchr(rest.data, '\n', rest.size);
        slice line = slice_first(rest, end ? (size_t)(end - rest.data) : rest.size);
        rest = slice_from(rest, line.size + 1);
        table.line++;
        if (line.size == 0 || line.data[0] == '#') continue;
        const slice verb = take_word(&line);
        if (slice_equal_text(verb, "object"))
            take_object(&table, line);
        else if (slice_equal_text(verb, "zoned"))
            table.skipped |= !table.zone;
        else if (slice_equal_text(verb, "at"))
            check_verdict(&table, line);
        else
            fail_msg("verdicts.txt:%u: what is '%.*s'?", table.line, SLICE_ARG(verb));
    }
    print_message("%u verdicts\n", table.cases);
    assert_true(table.cases > 100);
    /* Those behind GONE's group are no object's own. */
    for (enum cluster_rule rule = 0; rule < RULE_SEEN_NOTHING; rule++)
        if (table.met[rule] == 0) fail_msg("no case of verdicts.txt meets %s", cluster_rule_row(rule)->name);
    zone_free(table.zone);
    arena_free(table.arena);
}

TEST(details_are_cut_between_characters) {
    struct judgement judgement;
    char text[400];
    for (size_t lead = 0; lead < 4; lead++) {
        memset(text, 'x', lead);
        for (size_t i = lead; i + 3 < sizeof text; i += 3) memcpy(text + i, "\xe2\x82\xac", 3);
        text[lead + 390] = '\0';
        judgement_begin(&judgement);
        judgement_explain(&judgement, RULE_POD_NOT_READY, 1, "%s", text);
        const size_t size = strlen(judgement.detail);
        assert_true(size < JUDGEMENT_DETAIL_BYTES && size > JUDGEMENT_DETAIL_BYTES - 8);
        assert_int_equal((size - lead) % 3, 0);
    }
}

TEST(the_four_worst_findings_are_kept) {
    struct judgement judgement;
    judgement_begin(&judgement);
    judgement_add(&judgement, RULE_POD_READY, 1);
    judgement_add(&judgement, RULE_POD_RESTARTING, 2);
    judgement_add(&judgement, RULE_POD_READY_UNKNOWN, 3);
    judgement_add(&judgement, RULE_POD_NOT_READY, 4);
    judgement_add(&judgement, RULE_POD_CRASH_LOOP, 5);
    judgement_add(&judgement, RULE_POD_CRASH_LOOP, 3);
    assert_int_equal(judgement.count, JUDGEMENT_FINDINGS_MAX);
    assert_int_equal(judgement.findings[0].rule, RULE_POD_CRASH_LOOP);
    assert_int_equal(judgement.findings[0].since_ms, 3);
    assert_int_equal(judgement.findings[3].rule, RULE_POD_READY_UNKNOWN);
    assert_int_equal(cluster_rule_find(SLICE_LIT("POD_READY")), RULE_POD_READY);
    assert_int_equal(cluster_rule_find(SLICE_LIT("pod")), CLUSTER_RULES_);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_judged_as_the_table_says),
        cmocka_unit_test(details_are_cut_between_characters),
        cmocka_unit_test(the_four_worst_findings_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
