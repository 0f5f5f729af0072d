/* SPDX-License-Identifier: Apache-2.0
 * The rows agree with the contract: each method exists, each request that picketctl makes passes its
 * constraints, each example can be created, and REFERENCE.md is what the rows say. */
#include "tests/support/check.h"

#include "aggregator/ctl/ctl.h"
#include "aggregator/ctl/ctl_actions.h"
#include "common/codec/codec.h"
#include "common/codec/services.h"

static void decodes(const char *path, slice json, struct arena *arena) {
    struct fault fault = {0};
    const struct method_desc *method = method_find(slice_from_text(path));
    if (!method) fail_msg("no method %s", path);
    void *message = arena_alloc(arena, message_size(method->request));
    if (codec_decode_json(method->request, json, false, arena, message, &fault) ||
        codec_validate(method->request, message, &fault))
        fail_msg("%s: %s: %s", path, (const char *)json.data, fault.text);
}

TEST(every_resource_is_a_method_of_the_contract) {
    struct arena *arena = arena_new(65536, 1 << 24);
    for (size_t i = 0; i < ctl_resources_count; i++) {
        const struct ctl_resource *r = &ctl_resources[i];
        assert_ptr_equal(ctl_resource_find(r->name), r);
        assert_ptr_equal(ctl_resource_find(r->one), r);
        struct text text = text_begin(arena);
        slice json;
        text_format(&text, "{%s", r->list_pages ? "\"pageSize\":500,\"pageToken\":\"x\"" : "");
        if (r->list_by_sequence) text_add_text(&text, "\"limit\":500,\"afterSequence\":\"7\"");
        if (r->list_parent) text_format(&text, "\"%s\":\"some-id\"", r->list_parent);
        if (r->list_by_time)
            text_add_text(&text, ",\"from\":\"2026-01-31T09:30:00.000Z\",\"to\":\"2026-01-31T10:30:00Z\","
                                 "\"step\":\"60.000s\"");
        text_add_text(&text, "}");
        assert_int_equal(text_end(&text, "request", &json, NULL), FAULT_NONE);
        if (r->list_path) decodes(r->list_path, json, arena);
        if (r->get_path) {
            json = arena_format(arena, "{\"%s\":\"12\"}", r->get_field);
            decodes(r->get_path, json, arena);
        }
        if (r->describe_also) assert_non_null(ctl_resource_find(r->describe_also));
    }
    assert_null(ctl_resource_find("slosx"));
    assert_ptr_equal(ctl_resource_find("hc"), ctl_resource_find("health"));
    arena_free(arena);
}

TEST(every_example_can_be_created) {
    struct arena *arena = arena_new(65536, 1 << 24);
    for (size_t i = 0; i < ctl_kinds_count; i++) {
        struct yaml_node *document;
        struct fault fault = {0};
        CHECK_OK(ctl_tree_read(slice_from_text(ctl_kinds[i].example), "example", arena, &document, &fault));
        CHECK_SLICE(ctl_tree_text(document, "kind"), ctl_kinds[i].kind);
        struct text text = text_begin(arena);
        slice json;
        text_add_text(&text, "{\"command\":");
        ctl_tree_add_json(&text, document, "kind", -1);
        text_add_text(&text, "}");
        assert_int_equal(text_end(&text, "request", &json, NULL), FAULT_NONE);
        decodes(ctl_kinds[i].path, json, arena);
        if (ctl_kinds[i].update_path) decodes(ctl_kinds[i].update_path, json, arena);
        assert_ptr_equal(ctl_kind_find(slice_from_text(ctl_kinds[i].kind)), &ctl_kinds[i]);
        if (!ctl_kinds[i].resource) continue;
        const struct ctl_resource *r = ctl_resource_find(ctl_kinds[i].resource);
        assert_ptr_equal(ctl_kind_of(r), &ctl_kinds[i]);
        assert_string_equal(r->get_field, ctl_kinds[i].id_field);
    }
    arena_free(arena);
}

static const struct {
    const char *words[9]; /* as typed, without picketctl; what is missing is an example for the row */
    const char *json;
} typed[] = {
    {{"create", "incident", "It", "is", "down", "--severity", "high"},
     "{\"command\":{\"title\":\"It is down\",\"severity\":\"SEVERITY_HIGH\",\"source\":\"INCIDENT_SOURCE_MANUAL\"}}"},
    {{"create", "alert", "3f2a", "--name", "Slow", "--label", "a=b"},
     "{\"command\":{\"fingerprint\":\"3f2a\",\"name\":\"Slow\",\"status\":\"ALERT_STATUS_FIRING\",\"labels\":{\"a\":"
     "\"b\"},"
     "\"source\":\"ALERT_SOURCE_CUSTOM\",\"startsAt\":\"1970-01-01T02:46:40.000Z\"}}"},
    {{"create", "slo", "a", "--name", "A", "--target", "99.9", "--good=g", "--total=t"},
     "{\"command\":{\"sloId\":\"a\",\"name\":\"A\",\"target\":99.9,\"window\":\"SLO_WINDOW_28D\",\"sliSpec\":{"
     "\"counterRatio\":{\"goodSelector\":\"g\",\"totalSelector\":\"t\"}}}}"},
    {{"create", "runbook", "r", "--title", "R", "--approval-required", "--tag=x", "--tag=y"},
     "{\"command\":{\"runbookId\":\"r\",\"title\":\"R\",\"approvalRequired\":true,\"tags\":[\"x\",\"y\"]}}"},
    {{"create", "service", "s", "--name", "S", "--depends-on", "t", "--resource", "node/n/1"},
     "{\"command\":{\"serviceId\":\"s\",\"name\":\"S\",\"dependencies\":[{\"serviceId\":\"t\"}],"
     "\"resources\":[{\"type\":\"node\",\"id\":\"n/1\"}]}}"},
    {{"create", "postmortem", "Down", "--incident=i"}, "{\"command\":{\"title\":\"Down\",\"incidentIds\":[\"i\"]}}"},
    {{"create", "healthcheck", "h", "--resource", "node/n", "--status", "healthy"},
     "{\"command\":{\"healthcheckId\":\"h\",\"resourceRef\":{\"type\":\"node\",\"id\":\"n\"},"
     "\"timestamp\":\"1970-01-01T02:46:40.000Z\",\"status\":\"HEALTH_STATUS_HEALTHY\",\"source\":\"HEALTH_SOURCE_"
     "PROBE\"}}"},
    {{"ack", "incident", "i", "--note", "n"}, "{\"command\":{\"incidentId\":\"i\",\"note\":\"n\"}}"},
    {{"ack", "alert", "a"}, "{\"command\":{\"alertId\":\"a\"}}"},
    {{"assign", "incident", "i", "anna"}, "{\"command\":{\"incidentId\":\"i\",\"assignedTo\":\"anna\"}}"},
    {{"unassign", "incident", "i"}, "{\"command\":{\"incidentId\":\"i\"}}"},
    {{"severity", "incident", "i", "low", "--expected-version=4"},
     "{\"command\":{\"incidentId\":\"i\",\"severity\":\"SEVERITY_LOW\"},\"expectedVersion\":\"4\"}"},
    {{"note", "incident", "i", "at", "last", "--at", "1h"},
     "{\"command\":{\"incidentId\":\"i\",\"kind\":\"TIMELINE_ENTRY_KIND_NOTE\",\"text\":\"at "
     "last\",\"at\":\"1970-01-01T01:46:40.000Z\"}}"},
    {{"move", "incident", "i", "INCIDENT_STATUS_OPEN"},
     "{\"command\":{\"incidentId\":\"i\",\"status\":\"INCIDENT_STATUS_OPEN\"}}"},
    {{"move", "postmortem", "p", "in-review"},
     "{\"command\":{\"postmortemId\":\"p\",\"status\":\"POSTMORTEM_STATUS_IN_REVIEW\"}}"},
    {{"resolve", "incident", "i", "done", "--root-cause=c"},
     "{\"command\":{\"incidentId\":\"i\",\"resolution\":\"done\",\"rootCause\":\"c\"}}"},
    {{"close", "incident", "i"}, "{\"command\":{\"incidentId\":\"i\"}}"},
    {{"correlate", "incident", "i", "a", "b"}, "{\"command\":{\"incidentId\":\"i\",\"alertIds\":[\"a\",\"b\"]}}"},
    {{"silence", "alert", "a", "--for", "2h", "--reason", "r"},
     "{\"command\":{\"alertId\":\"a\",\"until\":\"1970-01-01T04:46:40.000Z\",\"reason\":\"r\"}}"},
    {{"unsilence", "alert", "a"}, "{\"command\":{\"alertId\":\"a\"}}"},
    {{"execute", "runbook", "r", "--parameter", "a=b=c"},
     "{\"command\":{\"runbookId\":\"r\",\"parameters\":{\"a\":\"b=c\"}}}"},
    {{"approve", "execution", "e"}, "{\"command\":{\"executionId\":\"e\"}}"},
    {{"reject", "execution", "e", "--reason=no"}, "{\"command\":{\"executionId\":\"e\",\"reason\":\"no\"}}"},
    {{"step", "execution", "e", "s", "failed", "--output-text", "o"},
     "{\"command\":{\"executionId\":\"e\",\"result\":{\"stepId\":\"s\",\"status\":\"RUNBOOK_EXECUTION_STATUS_FAILED\","
     "\"output\":\"o\"}}}"},
    {{"complete", "execution", "e", "cancelled"},
     "{\"command\":{\"executionId\":\"e\",\"status\":\"RUNBOOK_EXECUTION_STATUS_CANCELLED\"}}"},
    {{"delete", "service", "s"}, "{\"command\":{\"serviceId\":\"s\"}}"},
    {{"review", "postmortem", "p"},
     "{\"command\":{\"postmortemId\":\"p\",\"status\":\"POSTMORTEM_STATUS_IN_REVIEW\"}}"},
    {{"publish", "postmortem", "p"}, "{\"command\":{\"postmortemId\":\"p\"}}"},
    {{"replay", "rejection", "12"}, "{\"rejectionId\":\"12\"}"},
};

static int arguments_of(const char *const *words, const char **ret_arguments) {
    int count = 0;
    ret_arguments[count++] = "picketctl";
    while (count < 10 && words[count - 1]) {
        ret_arguments[count] = words[count - 1];
        count++;
    }
    return count;
}

/* Every row of ctl_actions has its line above, and what it makes is taken by the contract. */
TEST(every_action_makes_a_request_of_the_contract) {
    struct arena *arena = arena_new(65536, 1 << 24);
    size_t met = 0;
    for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
        const char *arguments[12];
        struct ctl_options options;
        struct fault fault = {0};
        slice json = {0};
        const int count = arguments_of(typed[i].words, arguments);
        CHECK_OK(ctl_options_read(count, (char *const *)(uintptr_t)arguments, &options, &fault));
        const struct ctl_action *action = ctl_action_find(options.words[0], ctl_resource_find(options.words[1])->name);
        assert_non_null(action);
        CHECK_OK(ctl_action_request(action, &options, options.words + 2, options.words_count - 2, 10000000, arena,
                                    &json, &fault));
        assert_string_equal((const char *)json.data, typed[i].json);
        decodes(action->path, json, arena);
        met++;
    }
    assert_int_equal(met, ctl_actions_count);
    arena_free(arena);
}

TEST(every_field_of_every_action_is_the_contracts) {
    struct arena *arena = arena_new(65536, 1 << 24);
    for (size_t i = 0; i < ctl_actions_count; i++) {
        const struct ctl_action *action = &ctl_actions[i];
        const struct method_desc *method = method_find(slice_from_text(action->path));
        if (!method) fail_msg("no method %s", action->path);
        for (const struct ctl_argument *a = action->arguments; a->name; a++) {
            char json[256];
            int size = snprintf(json, sizeof json, action->bare ? "{" : "{\"command\":{");
            size_t depth = action->bare ? 1 : 2;
            for (const char *at = a->field; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL, depth++)
                size += snprintf(json + size, sizeof json - (size_t)size, "\"%.*s\":%s", (int)strcspn(at, "."), at,
                                 strchr(at, '.') ? "{" : "null");
            for (; depth > 1; depth--) size += snprintf(json + size, sizeof json - (size_t)size, "}");
            struct fault fault = {0};
            void *message = arena_alloc(arena, message_size(method->request));
            if (codec_decode_json(method->request, slice_from_text(json), false, arena, message, &fault))
                fail_msg("%s %s %s: %s: %s", action->verb, action->resource, a->name, json, fault.text);
            if (ctl_argument_is_word(a)) continue;
            size_t rows = 0;
            for (size_t j = 0; j < ctl_option_rows_count; j++) rows += strcmp(ctl_option_rows[j].name, a->name) == 0;
            if (rows != 1) fail_msg("%s is no option", a->name);
        }
        assert_non_null(ctl_resource_find(action->resource));
    }
    for (size_t j = 0; j < ctl_option_rows_count; j++) {
        if (ctl_option_rows[j].kind != CTL_OPTION_FIELD && ctl_option_rows[j].kind != CTL_OPTION_FIELD_YES) continue;
        if (ctl_option_rows[j].commands) continue; /* of a command that is no verb of the contract */
        bool used = false;
        for (size_t i = 0; i < ctl_actions_count; i++)
            used |= ctl_action_option(&ctl_actions[i], ctl_option_rows[j].name) != NULL;
        if (!used) fail_msg("%s fills no field", ctl_option_rows[j].name);
    }
    arena_free(arena);
}

TEST(what_a_verb_lacks_is_said) {
    static const struct {
        const char *words[9];
        const char *text;
    } cases[] = {
        {{"ack", "incident"}, "ID is missing"},
        {{"ack", "incident", "i", "j"}, "'j' is too much"},
        {{"silence", "alert", "a", "--for", "2h"}, "--reason is missing"},
        {{"silence", "alert", "a", "--for", "soon", "--reason", "r"},
         "--for: 'soon' is neither a duration such as 2h nor a time such as 2026-01-31T09:30:00Z"},
        {{"severity", "incident", "i", "awful"}, "SEVERITY: 'awful' is not one of critical, high, medium, low"},
        {{"severity", "incident", "i", "unspecified"},
         "SEVERITY: 'unspecified' is not one of critical, high, medium, low"},
        {{"create", "service", "s", "--name=S", "--label", "x"}, "--label: 'x' is not KEY=VALUE"},
        {{"create", "service", "s", "--name=S", "--name=T"}, "--name is given twice"},
        {{"create", "service", "s", "--name=S", "--severity=low"}, "it has no --severity"},
        {{"create", "healthcheck", "h", "--resource", "node", "--status=healthy"},
         "--resource: 'node' is not TYPE/ID, such as node/edge-1"},
        {{"create", "slo", "s", "--name=S", "--target", "9,9"}, "--target: '9,9' is not a number such as 99.9"},
        {{"replay", "rejection", "1", "--expected-version=2"}, "it has no --expected-version"},
    };
    struct arena *arena = arena_new(65536, 1 << 24);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *arguments[12];
        struct ctl_options options;
        struct fault fault = {0};
        slice json;
        const int count = arguments_of(cases[i].words, arguments);
        CHECK_OK(ctl_options_read(count, (char *const *)(uintptr_t)arguments, &options, &fault));
        const struct ctl_action *action = ctl_action_find(options.words[0], ctl_resource_find(options.words[1])->name);
        assert_int_equal(
            ctl_action_request(action, &options, options.words + 2, options.words_count - 2, 0, arena, &json, &fault),
            FAULT_INPUT);
        assert_string_equal(fault.text, cases[i].text);
    }
    arena_free(arena);
}

/* What each column shows is a field of the message: an answer that holds only that field is taken by the
 * contract. */
TEST(every_column_is_a_field_of_the_contract) {
    struct arena *arena = arena_new(65536, 1 << 26);
    for (size_t i = 0; i < ctl_resources_count; i++) {
        const struct ctl_resource *r = &ctl_resources[i];
        if (!r->list_path) continue;
        const struct method_desc *method = method_find(slice_from_text(r->list_path));
        struct ctl_column columns[64];
        size_t columns_count = 0;
        for (const struct ctl_column *c = r->columns; c->title; c++) columns[columns_count++] = *c;
        for (const struct ctl_column *c = r->wide; c && c->title; c++) columns[columns_count++] = *c;
        assert_true(columns_count <= 20);
        for (const struct ctl_column *column = columns; column < columns + columns_count; column++) {
            const bool above = column->path[0] == '^';
            const char *items = above ? "series" : r->list_items;
            const char *path = above ? column->path + 1 : column->path;
            if (!*path) continue;
            char json[512];
            size_t depth = 0;
            int size = snprintf(json, sizeof json, "{");
            for (const char *at = items; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL, depth++)
                size += snprintf(json + size, sizeof json - (size_t)size, "\"%.*s\":[{", (int)strcspn(at, "."), at);
            size_t nested = 0;
            for (const char *at = path; at; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL) {
                const bool last = !strchr(at, '.');
                nested += !last;
                size += snprintf(json + size, sizeof json - (size_t)size, "\"%.*s\":%s", (int)strcspn(at, "."), at,
                                 last ? "null" : "{");
            }
            while (nested--) size += snprintf(json + size, sizeof json - (size_t)size, "}");
            while (depth--) size += snprintf(json + size, sizeof json - (size_t)size, "}]");
            snprintf(json + size, sizeof json - (size_t)size, "}");
            struct fault fault = {0};
            void *message = arena_alloc(arena, message_size(method->response));
            if (codec_decode_json(method->response, slice_from_text(json), false, arena, message, &fault))
                fail_msg("%s column %s: %s: %s", r->name, column->title, json, fault.text);
        }
    }
    arena_free(arena);
}

TEST(reference_page_is_what_the_rows_say) {
    struct arena *arena = arena_new(65536, 1 << 24);
    struct text text = text_begin(arena);
    slice page;
    ctl_reference_add(&text);
    assert_int_equal(text_end(&text, "reference", &page, NULL), FAULT_NONE);
    FILE *file = fopen("aggregator/ctl/REFERENCE.md", "r");
    assert_non_null(file);
    char stored[65536];
    const size_t size = fread(stored, 1, sizeof stored, file);
    fclose(file);
    if (!slice_equal(page, slice_of(stored, size)))
        fail_msg("aggregator/ctl/REFERENCE.md is not up to date: picketctl help reference > "
                 "aggregator/ctl/REFERENCE.md");
    arena_free(arena);
}

TEST(help_explains_every_command) {
    struct arena *arena = arena_new(65536, 1 << 24);
    for (size_t i = 0; i < ctl_commands_count; i++) {
        struct text text = text_begin(arena);
        slice page;
        ctl_help_add(&text, ctl_commands[i].name);
        assert_int_equal(text_end(&text, "help", &page, NULL), FAULT_NONE);
        assert_non_null(strstr((const char *)page.data, "Examples:\n"));
        assert_non_null(strstr((const char *)page.data, ctl_commands[i].name));
    }
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_resource_is_a_method_of_the_contract),
        cmocka_unit_test(every_example_can_be_created),
        cmocka_unit_test(every_action_makes_a_request_of_the_contract),
        cmocka_unit_test(every_field_of_every_action_is_the_contracts),
        cmocka_unit_test(what_a_verb_lacks_is_said),
        cmocka_unit_test(every_column_is_a_field_of_the_contract),
        cmocka_unit_test(reference_page_is_what_the_rows_say),
        cmocka_unit_test(help_explains_every_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
