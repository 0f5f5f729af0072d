/* SPDX-License-Identifier: Apache-2.0
 * The rows agree with the contract: each method exists, each request that picketctl makes passes its
 * constraints, each example can be created, and REFERENCE.md is what the rows say. */
#include "tests/support/check.h"

#include "aggregator/ctl/ctl.h"
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
        decodes(r->list_path, json, arena);
        if (r->get_path) {
            json = arena_format(arena, "{\"%s\":\"12\"}", r->get_field);
            decodes(r->get_path, json, arena);
        }
        assert_ptr_equal(ctl_resource_find(r->name), r);
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
    }
    arena_free(arena);
}

/* What each column shows is a field of the message: an answer that holds only that field is taken by the
 * contract. */
TEST(every_column_is_a_field_of_the_contract) {
    struct arena *arena = arena_new(65536, 1 << 26);
    for (size_t i = 0; i < ctl_resources_count; i++) {
        const struct ctl_resource *r = &ctl_resources[i];
        const struct method_desc *method = method_find(slice_from_text(r->list_path));
        for (const struct ctl_column *column = r->columns; column->title; column++) {
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
    char stored[32768];
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
        cmocka_unit_test(every_column_is_a_field_of_the_contract),
        cmocka_unit_test(reference_page_is_what_the_rows_say),
        cmocka_unit_test(help_explains_every_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
