/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "common/base/text.h"
#include "common/codec/json_tree.h"

static struct arena *arena;

static int setup(void **state) {
    arena = arena_new(65536, 1 << 24);
    return arena ? 0 : -1;
}

static int teardown(void **state) {
    arena = arena_free(arena);
    return 0;
}

static const struct json_value *read_good(const char *json) {
    struct fault fault;
    const struct json_value *root;
    CHECK_OK(json_tree_read(slice_from_text(json), arena, &root, &fault));
    return root;
}

TEST(values_are_found_by_name_and_kind) {
    const struct json_value *root =
        read_good("{\"a\":\"b\\n\",\"n\":1.5,\"t\":true,\"l\":[1,\"x\",{}],\"o\":{\"a\":2}}");
    slice text;
    double number;
    bool flag;
    assert_true(json_tree_is_object(root) && !json_tree_is_list(root));
    assert_true(json_tree_text(json_tree_member(root, SLICE_LIT("a")), &text));
    CHECK_SLICE(text, "b\n");
    assert_true(json_tree_number(json_tree_member(root, SLICE_LIT("n")), &number) && number == 1.5);
    assert_true(json_tree_flag(json_tree_member(root, SLICE_LIT("t")), &flag) && flag);
    assert_false(json_tree_text(json_tree_member(root, SLICE_LIT("n")), &text));
    assert_false(json_tree_number(json_tree_member(root, SLICE_LIT("a")), &number));
    assert_null(json_tree_member(root, SLICE_LIT("b")));
    assert_null(json_tree_member(NULL, SLICE_LIT("b")));
    assert_null(json_tree_member(json_tree_member(root, SLICE_LIT("l")), SLICE_LIT("b")));
    const struct json_value *list = json_tree_member(root, SLICE_LIT("l")), *item = json_tree_first(list);
    assert_int_equal(json_tree_count(list), 3);
    assert_true(json_tree_number(item, &number) && number == 1);
    item = json_tree_next(item);
    assert_true(json_tree_text(item, &text));
    assert_true(json_tree_is_object(json_tree_next(item)));
    assert_int_equal(json_tree_count(root), 0);
    assert_null(json_tree_first(root));
}

TEST(a_member_twice_is_refused_at_any_depth_and_however_it_is_written) {
    static const char *const texts[] = {"{\"a\":1,\"a\":1}", "{\"x\":[{\"b\":{\"a\":1,\"c\":2,\"a\":3}}]}",
                                        "{\"a\":1,\"\\u0061\":2}", "{\"\":1,\"\":2}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct fault fault;
        const struct json_value *root;
        CHECK_FAULT(json_tree_read(slice_from_text(texts[i]), arena, &root, &fault), FAULT_INPUT);
        assert_non_null(strstr(fault.text, "twice"));
    }
    read_good("[{\"a\":1},{\"a\":1}]");
}

TEST(what_is_no_json_is_refused) {
    static const char *const texts[] = {"",        " ",   "{",        "{}x", "{a:1}",  "[1,]", "{\"a\":1,}",
                                        "// c\n1", "NaN", "\"\x80\"", "01",  "\"\n\"", "nul",  "'a'"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct json_value *root;
        CHECK_FAULT(json_tree_read(slice_from_text(texts[i]), arena, &root, NULL), FAULT_INPUT);
    }
}

TEST(depth_and_width_are_bounded) {
    struct fault fault;
    const struct json_value *root;
    static char deep[200002];
    memset(deep, '[', 100000);
    memset(deep + 100000, ']', 100000);
    CHECK_FAULT(json_tree_read(slice_of(deep, 200000), arena, &root, &fault), FAULT_LIMIT);
    CHECK_OK(
        json_tree_read(slice_of(deep + 100000 - JSON_TREE_DEPTH_MAX, 2 * JSON_TREE_DEPTH_MAX), arena, &root, &fault));
    CHECK_FAULT(
        json_tree_read(slice_of(deep + 99999 - JSON_TREE_DEPTH_MAX, 2 * JSON_TREE_DEPTH_MAX + 2), arena, &root, &fault),
        FAULT_LIMIT);
    struct text text = text_begin(arena);
    slice json;
    for (int i = 0; i <= JSON_TREE_MEMBERS_MAX; i++) text_format(&text, "%s\"m%d\":%d", i ? "," : "{", i, i);
    text_add_text(&text, "}");
    CHECK_OK(text_end(&text, "text", &json, &fault));
    CHECK_FAULT(json_tree_read(json, arena, &root, &fault), FAULT_LIMIT);
    struct arena *small = arena_new(256, 256);
    CHECK_FAULT(json_tree_read(json, small, &root, &fault), FAULT_LIMIT);
    arena_free(small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_by_name_and_kind),
        cmocka_unit_test(a_member_twice_is_refused_at_any_depth_and_however_it_is_written),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(depth_and_width_are_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
