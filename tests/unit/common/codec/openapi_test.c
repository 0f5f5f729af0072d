/* SPDX-License-Identifier: Apache-2.0
 * The OpenAPI document is JSON, names every method, and every reference in it leads somewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <yyjson.h>

#include "common/codec/openapi.h"
#include "common/codec/services.h"
#include "sre.pb.h"

enum { ARENA_BYTES = 16 * 1024 * 1024 };

static void assert_references_lead(yyjson_val *value, yyjson_val *root) {
    size_t index, all;
    yyjson_val *key, *item;
    if (yyjson_is_arr(value)) {
        yyjson_arr_foreach(value, index, all, item) assert_references_lead(item, root);
        return;
    }
    if (!yyjson_is_obj(value)) return;
    yyjson_obj_foreach(value, index, all, key, item) {
        if (yyjson_equals_str(key, "$ref")) {
            assert_true(yyjson_get_str(item)[0] == '#');
            assert_non_null(yyjson_ptr_get(root, yyjson_get_str(item) + 1));
        }
        assert_references_lead(item, root);
    }
}

static void the_document_holds_together(void **state) {
    struct fault fault = {0};
    struct arena *arena = arena_new(1024 * 1024, ARENA_BYTES);
    slice json;
    assert_int_equal(openapi_write(NULL, 0, arena, &json, &fault), FAULT_NONE);
    yyjson_doc *doc = yyjson_read((const char *)json.data, json.size, 0);
    assert_non_null(doc);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *paths = yyjson_obj_get(root, "paths");
    assert_int_equal(yyjson_obj_size(paths), methods_count);
    for (size_t i = 0; i < methods_count; i++) {
        yyjson_val *path = yyjson_obj_get(paths, methods_table[i].path);
        assert_non_null(yyjson_obj_get(path, "post"));
        assert_true((yyjson_obj_get(path, "get") != NULL) == methods_table[i].no_side_effects);
        const char *summary = yyjson_get_str(yyjson_ptr_get(path, "/post/summary"));
        assert_non_null(summary);
        assert_true(summary[0] && summary[strlen(summary) - 1] != '.');
        assert_non_null(yyjson_ptr_get(path, "/post/responses/401"));
    }
    size_t index, all;
    yyjson_val *tag;
    yyjson_arr_foreach(yyjson_obj_get(root, "tags"), index, all, tag)
        assert_true(yyjson_get_len(yyjson_obj_get(tag, "description")) > 0);
    assert_references_lead(root, root);

    yyjson_val *slo =
        yyjson_obj_get(yyjson_ptr_get(root, "/components/schemas"), "ameide_core_proto.sre.core.v1.CreateSLORequested");
    yyjson_val *target = yyjson_ptr_get(slo, "/properties/target");
    assert_true(yyjson_get_num(yyjson_obj_get(target, "exclusiveMinimum")) == 0);
    assert_true(yyjson_get_num(yyjson_obj_get(target, "exclusiveMaximum")) == 100);
    assert_int_equal(yyjson_get_int(yyjson_ptr_get(slo, "/properties/name/maxLength")), 256);
    assert_null(yyjson_obj_get(yyjson_ptr_get(root, "/components/schemas"), "ameide_core_proto.sre.edge.v1.IntentAck"));
    yyjson_doc_free(doc);
    assert_null(arena_free(arena));
}

static void only_commands_take_a_key_and_a_version(void **state) {
    struct fault fault = {0};
    struct arena *arena = arena_new(1024 * 1024, ARENA_BYTES);
    slice json;
    assert_int_equal(openapi_write(NULL, 0, arena, &json, &fault), FAULT_NONE);
    yyjson_doc *doc = yyjson_read((const char *)json.data, json.size, 0);
    yyjson_val *paths = yyjson_obj_get(yyjson_doc_get_root(doc), "paths");
    yyjson_val *update = yyjson_obj_get(paths, "/ameide_core_proto.sre.core.v1.SLOService/UpdateSLO");
    assert_int_equal(yyjson_arr_size(yyjson_ptr_get(update, "/post/parameters")), 2);
    assert_non_null(yyjson_ptr_get(update, "/post/responses/409"));
    yyjson_val *get = yyjson_obj_get(paths, "/ameide_core_proto.sre.core.v1.SLOService/GetSLO");
    assert_null(yyjson_ptr_get(get, "/post/parameters"));
    assert_null(yyjson_ptr_get(get, "/post/responses/409"));
    yyjson_doc_free(doc);
    assert_null(arena_free(arena));
}

static void a_path_beside_the_methods_brings_its_messages(void **state) {
    const struct method_desc more = {.service = "",
                                     .name = "/v1/intents",
                                     .path = "/v1/intents",
                                     .request = &SreDomainIntent_desc,
                                     .response = &IntentReply_desc,
                                     .comment = "One intent."};
    struct fault fault = {0};
    struct arena *arena = arena_new(1024 * 1024, ARENA_BYTES);
    slice json;
    assert_int_equal(openapi_write(&more, 1, arena, &json, &fault), FAULT_NONE);
    yyjson_doc *doc = yyjson_read((const char *)json.data, json.size, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_references_lead(root, root);
    yyjson_val *post = yyjson_obj_get(yyjson_obj_get(yyjson_obj_get(root, "paths"), "/v1/intents"), "post");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(post, "operationId")), "HTTP__v1_intents");
    assert_null(yyjson_obj_get(post, "x-picket-role"));
    assert_non_null(
        yyjson_obj_get(yyjson_ptr_get(root, "/components/schemas"), "ameide_core_proto.sre.core.v1.SreDomainIntent"));
    yyjson_doc_free(doc);
    assert_null(arena_free(arena));
}

static void a_small_arena_is_said(void **state) {
    struct fault fault = {0};
    struct arena *arena = arena_new(1024, 64 * 1024);
    slice json;
    assert_int_equal(openapi_write(NULL, 0, arena, &json, &fault), FAULT_LIMIT);
    assert_null(arena_free(arena));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_holds_together),
        cmocka_unit_test(only_commands_take_a_key_and_a_version),
        cmocka_unit_test(a_path_beside_the_methods_brings_its_messages),
        cmocka_unit_test(a_small_arena_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
