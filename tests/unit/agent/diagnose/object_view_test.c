/* SPDX-License-Identifier: Apache-2.0
 * What of an object is shown. */
#include "agent/diagnose/json_walk.h"
#include "agent/diagnose/object_view.h"
#include "tests/support/check.h"

#include <stdio.h>

static struct arena *arena;

static fault_code view(const char *json, bool config_maps, slice *ret_text, uint32_t *ret_count, struct fault *fault) {
    static const slice shown[] = {{(const uint8_t *)"LOG_LEVEL", 9}};
    struct mask *mask = NULL;
    assert_int_equal(mask_new(NULL, 0, &mask, fault), FAULT_NONE);
    struct object_view view = {
        .mask = mask, .shown_names = shown, .shown_names_count = 1, .config_maps_shown = config_maps, .arena = arena};
    struct text out = text_begin(arena);
    fault_code code = object_view_add(&view, slice_from_text(json), &out, fault);
    if (!code) code = text_end(&out, "the object", ret_text, fault);
    *ret_count = view.masked_count;
    mask_free(mask);
    return code;
}

static void check(const char *json, const char *expected, uint32_t masked) {
    struct fault fault = {0};
    slice text;
    uint32_t count;
    CHECK_FAULT(view(json, false, &text, &count, &fault), FAULT_NONE);
    if (!slice_equal_text(text, expected)) fail_msg("%s\nbecame\n%.*s\nnot\n%s", json, SLICE_ARG(text), expected);
    assert_int_equal(count, masked);
}

TEST(environment_variables_keep_their_names_and_lose_their_values) {
    check("{\"spec\":{\"containers\":[{\"name\":\"api\",\"env\":[{\"name\":\"A\",\"value\":\"x\"},{\"value\":\"y\","
          "\"name\":\"B\"},"
          "{\"name\":\"LOG_LEVEL\",\"value\":\"debug\"},"
          "{\"name\":\"C\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"db\",\"key\":\"password\"}}}]}]}}",
          "{\"spec\":{\"containers\":[{\"name\":\"api\",\"env\":[{\"name\":\"A\",\"value\":\"***\"},{\"value\":\"***\","
          "\"name\":\"B\"},"
          "{\"name\":\"LOG_LEVEL\",\"value\":\"debug\"},"
          "{\"name\":\"C\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"db\",\"key\":\"password\"}}}]}]}}",
          2);
    check("{\"env\":[{\"n\\u0061me\":\"A\",\"v\\u0061lue\":\"hidden by an escape\"}]}",
          "{\"env\":[{\"name\":\"A\",\"value\":\"***\"}]}", 1);
}

TEST(what_nobody_reads_is_left_out) {
    check("{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"managedFields\":[{\"x\":1}],\"annotations\":{"
          "\"kubectl.kubernetes.io/last-applied-configuration\":\"{}\",\"b\":\"c\"}}}",
          "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"annotations\":{\"b\":\"c\"}}}", 0);
    check("{\"spec\":{\"template\":{\"metadata\":{\"managedFields\":[]}}}}",
          "{\"spec\":{\"template\":{\"metadata\":{}}}}", 0);
}

TEST(the_data_of_config_maps_is_masked_unless_it_may_be_shown) {
    const char *const json =
        "{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\",\"p\":\"password=x\"}}";
    struct fault fault;
    slice text;
    uint32_t count;
    check(json, "{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"***\",\"p\":\"***\"}}", 2);
    CHECK_FAULT(view(json, true, &text, &count, &fault), FAULT_NONE);
    assert_true(slice_equal_text(
        text, "{\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\",\"p\":\"password=***\"}}"));
    CHECK_FAULT(view("{\"kind\":\"Secret\",\"data\":{\"k\":\"djE=\"}}", true, &text, &count, &fault), FAULT_NONE);
    assert_true(slice_equal_text(text, "{\"kind\":\"Secret\",\"data\":{\"k\":\"***\"}}"));
}

TEST(secrets_in_any_text_are_masked) {
    check("{\"args\":[\"--db-password\",\"hunter2\",\"--port\",\"80\",\"--token=abc\"],\"password\":\"x\","
          "\"secretName\":\"db\","
          "\"image\":\"https://u:p@host/x\",\"n\":[1,true,null,{}],\"automountServiceAccountToken\":true}",
          "{\"args\":[\"--db-password\",\"***\",\"--port\",\"80\",\"--token=***\"],\"password\":\"***\",\"secretName\":"
          "\"db\","
          "\"image\":\"https://***@host/x\",\"n\":[1,true,null,{}],\"automountServiceAccountToken\":true}",
          4);
    check("{\"spec\":{\"source\":{\"helm\":{\"values\":\"a: b\",\"valuesObject\":{\"c\":{\"d\":1}},"
          "\"parameters\":[{\"name\":\"e\",\"value\":\"f\"}]}}}}",
          "{\"spec\":{\"source\":{\"helm\":{\"values\":\"***\",\"valuesObject\":{\"c\":{\"d\":\"***\"}},"
          "\"parameters\":[{\"name\":\"e\",\"value\":\"***\"}]}}}}",
          3);
    check("{\"message\":\"p\\u0061ssword=hunter2 for \\\"x\\\"\"}", "{\"message\":\"password=*** for \\\"x\\\"\"}", 1);
}

TEST(passwords_in_commands_are_masked) {
    check("{\"args\":[\"-p\",\"hunter2\"]}", "{\"args\":[\"-p\",\"***\"]}", 1);
    check("{\"args\":[\"-p\",\"8080\",\"-p\",\"/etc/x\",\"-u\",\"anna\"]}",
          "{\"args\":[\"-p\",\"8080\",\"-p\",\"/etc/x\",\"-u\",\"anna\"]}", 0);
    check("{\"preStop\":{\"exec\":{\"command\":[\"curl\",\"-u\",\"u:hunter2\",\"http://x\"]}}}",
          "{\"preStop\":{\"exec\":{\"command\":[\"curl\",\"-u\",\"***\",\"http://x\"]}}}", 1);
    check("{\"args\":[\"-uroot\",\"-phunter2\",\"x\"],\"image\":\"mysql:8\"}",
          "{\"args\":[\"-uroot\",\"-p***\",\"x\"],\"image\":\"mysql:8\"}", 1);
    check("{\"command\":[\"redis-server\",\"--requirepass\",\"hunter2\"]}",
          "{\"command\":[\"redis-server\",\"--requirepass\",\"***\"]}", 1);
    check("{\"command\":[\"etcdctl\",\"--user\",\"root:hunter2\",\"get\"]}",
          "{\"command\":[\"etcdctl\",\"--user\",\"***\",\"get\"]}", 1);
    check("{\"command\":[\"x\",\"--user\",\"root:hunter2\",\"--user\",\"anna\"]}",
          "{\"command\":[\"x\",\"--user\",\"***\",\"--user\",\"anna\"]}", 1);
    check("{\"args\":[\"-pHunter2\",\"-port\",\"-p8080\",\"-profile=A\",\"-p/etc/X\"]}",
          "{\"args\":[\"-p***\",\"-port\",\"-p8080\",\"-profile=A\",\"-p/etc/X\"]}", 1);
    check("{\"command\":[\"sh\",\"-c\",\"redis-cli -a hunter2 ping\"]}",
          "{\"command\":[\"sh\",\"-c\",\"redis-cli -a *** ping\"]}", 1);
    check("{\"image\":\"user:hunter2@reg.example.org/a:1\"}", "{\"image\":\"user:***@reg.example.org/a:1\"}", 1);
    check("{\"imageID\":\"nginx:1@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}",
          "{\"imageID\":\"nginx:1@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}", 0);
}

TEST(what_is_below_the_name_of_a_secret_is_masked_but_for_references) {
    check(
        "{\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"db\",\"defaultMode\":420,\"items\":[{\"key\":\"k\","
        "\"path\":\"p\"}]}}],\"imagePullSecrets\":[{\"name\":\"reg\"}],\"serviceAccountToken\":{\"path\":\"token\"}}",
        "{\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"db\",\"defaultMode\":420,\"items\":[{\"key\":\"k\","
        "\"path\":\"p\"}]}}],\"imagePullSecrets\":[{\"name\":\"reg\"}],\"serviceAccountToken\":{\"path\":\"token\"}}",
        0);
    check("{\"credentials\":{\"user\":\"u\",\"deep\":[{\"x\":\"v\"},\"w\"]},\"tokens\":[\"a\",\"b\"]}",
          "{\"credentials\":{\"user\":\"***\",\"deep\":[{\"x\":\"***\"},\"***\"]},\"tokens\":[\"***\",\"***\"]}", 5);
    check("{\"secret\":{\"items\":[{\"value\":\"v\"}]}}", "{\"secret\":{\"items\":[{\"value\":\"***\"}]}}", 1);
    check("{\"v\":{\"csi\":{\"driver\":\"x\",\"volumeAttributes\":{\"a\":\"b\"}},\"flexVolume\":{\"driver\":\"y\","
          "\"options\":{"
          "\"c\":\"d\"}},\"options\":[{\"name\":\"ndots\"}]}}",
          "{\"v\":{\"csi\":{\"driver\":\"x\",\"volumeAttributes\":{\"a\":\"***\"}},\"flexVolume\":{\"driver\":\"y\","
          "\"options\":{"
          "\"c\":\"***\"}},\"options\":[{\"name\":\"ndots\"}]}}",
          2);
}

TEST(what_is_no_json_is_not_shown) {
    static const char *const texts[] = {"",
                                        "[1]",
                                        "\"x\"",
                                        "{\"a\":1",
                                        "{\"a\" 1}",
                                        "{\"a\":[1}}",
                                        "{\"a\":[1 2]}",
                                        "{\"a\":{\"b\"}}",
                                        "{\"a\":\"x\n\"}",
                                        "{1:2}"};
    struct fault fault;
    slice text;
    uint32_t count;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (view(texts[i], false, &text, &count, &fault) != FAULT_INPUT) fail_msg("'%s' was shown", texts[i]);
    char deep[4000] = "{\"a\":";
    size_t size = strlen(deep);
    for (int i = 0; i < 100; i++) deep[size++] = '[';
    for (int i = 0; i < 100; i++) deep[size++] = ']';
    deep[size++] = '}';
    deep[size] = '\0';
    CHECK_FAULT(view(deep, false, &text, &count, &fault), FAULT_LIMIT);
}

TEST(texts_numbers_and_members_are_read_by_path) {
    const slice json =
        SLICE_LIT(" {\"a\": {\"b\" : [ 1 , \"\\u00e4\\ud83d\\ude00\\n\\ud800x\" ], \"c\": -12}, \"d\":\"e\"} ");
    slice text, name, value;
    assert_int_equal(json_walk_number(json_walk_find(json, "a.c"), 0), -12);
    assert_int_equal(json_walk_number(json_walk_find(json, "a.x"), 7), 7);
    assert_int_equal(json_walk_number(json_walk_find(json, "d"), 7), 7);
    struct json_walk walk = json_walk_into(json_walk_find(json, "a.b"));
    assert_true(json_walk_next(&walk, &name, &value));
    assert_int_equal(json_walk_number(value, 0), 1);
    assert_true(json_walk_next(&walk, &name, &value));
    assert_true(json_walk_text(value, arena, &text));
    assert_true(slice_equal_text(text, "\xc3\xa4\xf0\x9f\x98\x80\n\xef\xbf\xbdx"));
    assert_false(json_walk_next(&walk, &name, &value));
    assert_true(json_walk_ended(&walk));
    assert_true(json_walk_text(SLICE_LIT("\"\\u\\u\\ux\""), arena, &text)); /* broken escapes are longer undone */
    assert_true(slice_equal_text(text, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx"));
    assert_true(json_walk_text(SLICE_LIT("\"a\\u0000b\""), arena, &text));
    assert_true(slice_equal_text(text, "a\xef\xbf\xbd"
                                       "b"));
}

int main(void) {
    arena = arena_new(1 << 16, 64 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environment_variables_keep_their_names_and_lose_their_values),
        cmocka_unit_test(what_nobody_reads_is_left_out),
        cmocka_unit_test(the_data_of_config_maps_is_masked_unless_it_may_be_shown),
        cmocka_unit_test(secrets_in_any_text_are_masked),
        cmocka_unit_test(passwords_in_commands_are_masked),
        cmocka_unit_test(what_is_below_the_name_of_a_secret_is_masked_but_for_references),
        cmocka_unit_test(what_is_no_json_is_not_shown),
        cmocka_unit_test(texts_numbers_and_members_are_read_by_path),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(arena);
    return failed;
}
