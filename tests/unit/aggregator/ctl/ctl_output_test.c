/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "aggregator/ctl/ctl_events.h"
#include "aggregator/ctl/ctl_options.h"
#include "aggregator/ctl/ctl_table.h"

static struct yaml_node *tree(const char *json, struct arena *arena) {
    struct yaml_node *root = NULL;
    struct fault fault = {0};
    CHECK_OK(ctl_tree_read(slice_from_text(json), "test", arena, &root, &fault));
    return root;
}

static const char *as_yaml(const struct yaml_node *node, struct arena *arena) {
    struct text text = text_begin(arena);
    slice page;
    ctl_tree_add_yaml(&text, node, 0);
    assert_int_equal(text_end(&text, "yaml", &page, NULL), FAULT_NONE);
    return (const char *)page.data;
}

static const char *as_json(const struct yaml_node *node, int indent, struct arena *arena) {
    struct text text = text_begin(arena);
    slice page;
    ctl_tree_add_json(&text, node, NULL, indent);
    assert_int_equal(text_end(&text, "json", &page, NULL), FAULT_NONE);
    return (const char *)page.data;
}

TEST(json_becomes_yaml_and_reads_back_as_the_same) {
    static const char json[] =
        "{\"a\":\"plain\",\"b\":\"12\",\"c\":12,\"d\":-1.5e+10,\"e\":true,\"f\":\"true\",\"g\":\"\","
        "\"h\":[],\"i\":{},\"j\":[{\"k\":\"x: y\",\"l\":[1,2]},{\"m\":\"# no\"}],\"n\":\"l1\\nl2\","
        "\"o\":\"\\u0001\xC3\xA9\x7F\xC2\x9B\",\"p\":\"2026-01-31T09:30:00Z\",\"q\":\"- a\",\"r\":\"a/b c\"}";
    struct arena *arena = arena_new(65536, 1 << 24);
    const struct yaml_node *root = tree(json, arena);
    const char *yaml = as_yaml(root, arena);
    assert_non_null(strstr(yaml, "a: plain\nb: \"12\"\nc: 12\n"));
    assert_non_null(
        strstr(yaml, "f: \"true\"\ng: \"\"\nh: []\ni: {}\nj:\n  - k: \"x: y\"\n    l:\n      - 1\n      - 2\n  - m: "));
    const char *again = as_json(tree(yaml, arena), -1, arena);
    assert_string_equal(again, as_json(root, -1, arena));
    assert_string_equal(as_json(tree(as_json(root, 0, arena), arena), -1, arena), again);
    arena_free(arena);
}

TEST(yaml_numbers_that_json_does_not_know_stay_text) {
    struct arena *arena = arena_new(65536, 1 << 24);
    assert_string_equal(
        as_json(tree("a: 0x1F\nb: 007\nc: .5\nd: 1_000\ne: ~\nf: 99.9\ng: 'no'\nh: 1.\n", arena), -1, arena),
        "{\"a\":\"0x1F\",\"b\":\"007\",\"c\":\".5\",\"d\":\"1_000\",\"e\":null,\"f\":99.9,\"g\":\"no\",\"h\":"
        "\"1.\"}");
    arena_free(arena);
}

TEST(table_aligns_and_says_unknown) {
    static const char json[] = "{\"slos\":[{\"sloId\":\"a\",\"name\":\"A\\u001b[31m\\u202e\",\"target\":99.9,"
                               "\"window\":\"SLO_WINDOW_28D\",\"budget\":{"
                               "\"currentBudgetRemaining\":-12.25,\"good\":\"998\",\"total\":\"1000\","
                               "\"scrapesExpected\":\"10\",\"scrapesSeen\":\"9\","
                               "\"lastWindowAt\":\"1970-01-01T00:00:40.500Z\"}},"
                               "{\"sloId\":\"longer-id\",\"name\":\"B\",\"target\":99,\"window\":\"SLO_"
                               "WINDOW_7D\",\"budget\":{\"unknown\":true}}]}";
    struct arena *arena = arena_new(65536, 1 << 24);
    struct text text = text_begin(arena);
    slice page;
    assert_int_equal(ctl_table_add(&text, ctl_resource_find("slos"), tree(json, arena), 0, 100000, arena), 2);
    assert_int_equal(text_end(&text, "table", &page, NULL), FAULT_NONE);
    assert_string_equal((const char *)page.data,
                        "ID         TARGET  WINDOW  BUDGET LEFT  GOOD  TOTAL  SEEN  LAST WINDOW  NAME\n"
                        "a           99.9%  28d         -12.25%   998   1000  9/10  59s ago      A [31m\xEF\xBF\xBD\n"
                        "longer-id     99%  7d          unknown     0      0   0/0  -            B\n");
    arena_free(arena);
}

TEST(a_budget_that_nothing_was_measured_for_is_neither_full_nor_spent) {
    static const char json[] = "{\"points\":[{\"at\":\"2026-01-31T09:00:00Z\",\"unknown\":true},"
                               "{\"at\":\"2026-01-31T10:00:00Z\",\"unknown\":true,\"budgetRemaining\":80.0},"
                               "{\"at\":\"2026-01-31T11:00:00Z\",\"budgetRemaining\":0}]}";
    struct arena *arena = arena_new(65536, 1 << 24);
    struct text text = text_begin(arena);
    slice page;
    assert_int_equal(ctl_table_add(&text, ctl_resource_find("burndown"), tree(json, arena), 0, 0, arena), 3);
    assert_int_equal(text_end(&text, "table", &page, NULL), FAULT_NONE);
    const char *const table = (const char *)page.data;
    assert_non_null(strstr(table, "09:00:00Z            -"));
    assert_non_null(strstr(table, "10:00:00Z          80%"));
    assert_non_null(strstr(table, "11:00:00Z           0%"));
    arena_free(arena);
}

TEST(points_of_each_series_are_rows) {
    static const char json[] =
        "{\"series\":[{\"clusterId\":\"c1\",\"agent\":\"e1\",\"points\":[{\"at\":\"2026-01-31T09:30:00Z\","
        "\"good\":\"1\",\"total\":\"2\",\"ratio\":0.5,\"scrapesSeen\":\"2\",\"scrapesExpected\":\"2\"},"
        "{\"at\":\"2026-01-31T09:30:05Z\",\"unknown\":true,\"scrapesExpected\":\"2\"}]}]}";
    struct arena *arena = arena_new(65536, 1 << 24);
    struct text text = text_begin(arena);
    slice page;
    assert_int_equal(ctl_table_add(&text, ctl_resource_find("windows"), tree(json, arena), 0, 0, arena), 2);
    assert_int_equal(text_end(&text, "table", &page, NULL), FAULT_NONE);
    assert_non_null(
        strstr((const char *)page.data, "2026-01-31 09:30:00Z     1      2    50%   2/2  ok       c1       e1\n"));
    assert_non_null(
        strstr((const char *)page.data, "2026-01-31 09:30:05Z     0      0      -   0/2  unknown  c1       e1\n"));
    text = text_begin(arena);
    assert_int_equal(ctl_table_add(&text, ctl_resource_find("windows"), tree(json, arena), 1, 0, arena), 1);
    assert_int_equal(text_end(&text, "table", &page, NULL), FAULT_NONE);
    assert_null(strstr((const char *)page.data, "09:30:00Z"));
    arena_free(arena);
}

struct heard {
    char text[256];
};

static void on_event(void *context, const struct ctl_event *event) {
    struct heard *heard = context;
    const size_t used = strlen(heard->text);
    snprintf(heard->text + used, sizeof heard->text - used, "[%.*s|%.*s|%.*s]", SLICE_ARG(event->id),
             SLICE_ARG(event->type), SLICE_ARG(event->data));
}

TEST(events_come_out_whole_whatever_the_pieces) {
    static const char stream[] =
        ": hello\n\nid: 7\nevent: fact\ndata: {\"a\":1}\n\ndata: x\r\ndata: y\r\n\r\nid:8\n\ndata\n\n";
    for (size_t piece = 1; piece < sizeof stream; piece++) {
        struct heard heard = {0};
        struct ctl_events *events = ctl_events_new(on_event, &heard);
        for (size_t at = 0; at < sizeof stream - 1; at += piece)
            ctl_events_feed(events, slice_first(slice_of(stream + at, sizeof stream - 1 - at), piece));
        assert_string_equal(heard.text, "[7|fact|{\"a\":1}][7|message|x\ny][8|message|]");
        assert_string_equal(ctl_events_last_id(events), "8");
        ctl_events_restart(events);
        assert_string_equal(ctl_events_last_id(events), "8");
        ctl_events_free(events);
    }
}

TEST(event_that_is_too_large_is_counted_and_the_next_is_read) {
    struct heard heard = {0};
    struct ctl_events *events = ctl_events_new(on_event, &heard);
    char big[65536];
    memset(big, 'x', sizeof big);
    ctl_events_feed(events, SLICE_LIT("data: "));
    for (size_t sent = 0; sent <= CTL_EVENT_BYTES_MAX; sent += sizeof big)
        ctl_events_feed(events, slice_of(big, sizeof big));
    ctl_events_feed(events, SLICE_LIT("\n\ndata: small\n\n"));
    assert_string_equal(heard.text, "[|message|small]");
    assert_int_equal(ctl_events_too_large(events), 1);
    ctl_events_free(events);
}

TEST(command_line_is_refused_with_the_reason) {
    static const struct {
        const char *arguments[6];
        const char *text; /* NULL: taken */
    } cases[] = {
        {{"picketctl", "get", "slos", "-o", "yaml", NULL}, NULL},
        {{"picketctl", "--output=json", "get", "slos", NULL}, NULL},
        {{"picketctl", "create", "-f", "-", NULL}, NULL},
        {{"picketctl", "get", "slos", "-o", "xml", NULL}, "--output: 'xml' is not table, wide, name, json or yaml"},
        {{"picketctl", "get", "--wherever", NULL}, "unknown option '--wherever'; see picketctl --help"},
        {{"picketctl", "get", "--limit", NULL}, "--limit needs a value: N"},
        {{"picketctl", "get", "--limit=x", NULL}, "--limit: 'x' is not a count from 1 to 1000000"},
        {{"picketctl", "doctor", "--limit=3", NULL}, "'doctor' has no --limit (that is for: get describe)"},
        {{"picketctl", "get", "-w", "novalue", NULL}, "--where: 'novalue' is not FIELD=VALUE"},
        {{"picketctl", "get", "--timeout", "6m", NULL}, "--timeout: at most 5m"},
        {{"picketctl", "get", "--split=1", NULL}, "--split takes no value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ctl_options options;
        struct fault fault = {0};
        int count = 0;
        while (cases[i].arguments[count]) count++;
        const fault_code code = ctl_options_read(count, (char *const *)(uintptr_t)cases[i].arguments, &options, &fault);
        if (cases[i].text)
            assert_string_equal(fault.text, cases[i].text);
        else
            assert_int_equal(code, FAULT_NONE);
    }
}

TEST(times_are_read_with_their_fraction) {
    int64_t ms;
    assert_true(ctl_time_parse(SLICE_LIT("1970-01-01T00:00:01.25Z"), &ms));
    assert_int_equal(ms, 1250);
    assert_false(ctl_time_parse(SLICE_LIT("1970-01-01"), &ms));
    assert_false(ctl_time_parse(SLICE_LIT("2h"), &ms));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_becomes_yaml_and_reads_back_as_the_same),
        cmocka_unit_test(yaml_numbers_that_json_does_not_know_stay_text),
        cmocka_unit_test(table_aligns_and_says_unknown),
        cmocka_unit_test(a_budget_that_nothing_was_measured_for_is_neither_full_nor_spent),
        cmocka_unit_test(points_of_each_series_are_rows),
        cmocka_unit_test(events_come_out_whole_whatever_the_pieces),
        cmocka_unit_test(event_that_is_too_large_is_counted_and_the_next_is_read),
        cmocka_unit_test(command_line_is_refused_with_the_reason),
        cmocka_unit_test(times_are_read_with_their_fraction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
