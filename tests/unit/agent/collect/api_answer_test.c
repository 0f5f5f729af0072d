/* SPDX-License-Identifier: Apache-2.0
 * What Prometheus answers, recorded and made up, in pieces of every size; and how it is asked. */
#include "agent/collect/prometheus/api_answer.h"
#include "agent/collect/prometheus/prometheus_api.h"
#include "tests/support/check.h"

#include <stdio.h>

struct record {
    char text[8192];
    size_t size;
};

static void on_sample(void *context, const struct exposition_sample *sample) {
    struct record *r = context;
    r->size += (size_t)snprintf(r->text + r->size, sizeof r->text - r->size, "%.*s", SLICE_ARG(sample->name));
    for (size_t i = 0; i < sample->labels_count; i++)
        r->size += (size_t)snprintf(r->text + r->size, sizeof r->text - r->size, "[%.*s=%.*s]",
                                    SLICE_ARG(sample->labels[i].name), SLICE_ARG(sample->labels[i].value));
    r->size += (size_t)snprintf(r->text + r->size, sizeof r->text - r->size, " %.17g\n", sample->value);
    assert_true(r->size < sizeof r->text);
}

static fault_code read_in(slice text, int status, size_t piece_bytes, struct record *record,
                          struct api_answer_stats *ret_stats, struct fault *reterr) {
    struct api_answer *answer = api_answer_new();
    assert_non_null(answer);
    memset(record, 0, sizeof *record);
    api_answer_begin(answer, on_sample, record);
    fault_code code = FAULT_NONE;
    for (size_t at = 0; at < text.size && !code; at += piece_bytes)
        code = api_answer_feed(answer, slice_first(slice_from(text, at), piece_bytes), reterr);
    if (!code) code = api_answer_end(answer, status, reterr);
    if (ret_stats) api_answer_stats(answer, ret_stats);
    api_answer_free(answer);
    return code;
}

static const size_t pieces[] = {1, 3, 64, 100000};

static void accepts(const char *text, const char *expected) {
    for (size_t i = 0; i < 4; i++) {
        struct record record;
        struct fault fault;
        if (read_in(slice_from_text(text), 200, pieces[i], &record, NULL, &fault)) fail_msg("%s: %s", text, fault.text);
        assert_string_equal(record.text, expected);
    }
}

static void refuses(slice text, int status, fault_code expected, const char *words) {
    for (size_t i = 0; i < 4; i++) {
        struct record record;
        struct fault fault = {0};
        const fault_code code = read_in(text, status, pieces[i], &record, NULL, &fault);
        if (code != expected || !strstr(fault.text, words))
            fail_msg("'%.*s': %d '%s' does not say '%s'", SLICE_ARG(slice_first(text, 200)), (int)code, fault.text,
                     words);
    }
}

#define VECTOR(result) "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[" result "]}}"

TEST(samples_of_a_vector_are_read) {
    accepts(VECTOR(""), "");
    accepts(VECTOR("{\"metric\":{\"__name__\":\"up\",\"a\":\"b\\\"]}\\u00e9\"},\"value\":[1.5,\"1\"]} ,\n"
                   "{\"value\":[2,\"5e-324\"],\"metric\":{}}"),
            "up[a=b\"]}\xc3\xa9] 1\n 4.9406564584124654e-324\n");
    accepts(VECTOR("{\"metric\":{\"__name__\":\"a\"},\"value\":[1,\"NaN\"]},{\"metric\":{\"__name__\":\"b\"},\"value\":"
                   "[1,\"+Inf\"]},"
                   "{\"metric\":{\"__name__\":\"c\"},\"value\":[1,\"-Inf\"]},{\"metric\":{\"__name__\":\"d\"},"
                   "\"value\":[1,\"-0\"]}"),
            "a nan\nb inf\nc -inf\nd -0\n");
    /* Members in another order, members that nobody knows. */
    accepts(
        "{\"more\":{\"result\":[{\"x\":1}]},\"data\":{\"result\":[{\"metric\":{\"__name__\":\"a\"},\"value\":[1,\"2\"],"
        "\"new\":[[{}]]}],\"resultType\":\"vector\",\"analysis\":{}},\"status\":\"success\"}",
        "a 2\n");
}

TEST(native_histograms_are_passed_over_and_infos_are_heard) {
    struct record record;
    struct api_answer_stats stats;
    struct fault fault;
    const slice text = SLICE_LIT(
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
        "{\"metric\":{\"__name__\":\"h\"},\"histogram\":[1,{\"count\":\"5\",\"sum\":\"1\",\"buckets\":[[0,\"1\",\"2\","
        "\"5\"]]}]},"
        "{\"metric\":{\"__name__\":\"a\"},\"value\":[1,\"7\"]}]},\"infos\":[\"metric might not be a counter\"]}");
    CHECK_OK(read_in(text, 200, 11, &record, &stats, &fault));
    assert_string_equal(record.text, "a 7\n");
    assert_int_equal(stats.samples, 1);
    assert_int_equal(stats.histograms, 1);
    assert_string_equal(stats.warning, "metric might not be a counter");
}

TEST(an_answer_with_warnings_is_not_taken_as_whole) {
    struct record record;
    struct api_answer_stats stats;
    struct fault fault;
    const slice text =
        SLICE_LIT("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["
                  "{\"metric\":{\"__name__\":\"a\"},\"value\":[1,\"7\"]}]},\"warnings\":[\"store 2 is unavailable\"]}");
    assert_int_equal(read_in(text, 200, 9, &record, &stats, &fault), FAULT_AGAIN);
    assert_string_equal(fault.text, "the answer may be partial: store 2 is unavailable");
    assert_string_equal(stats.warning, "store 2 is unavailable");
    const slice none =
        SLICE_LIT("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]},\"warnings\":[]}");
    CHECK_OK(read_in(none, 200, 9, &record, &stats, &fault));
}

TEST(an_error_is_said_as_prometheus_says_it) {
    refuses(
        SLICE_LIT(
            "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"1:5: parse error: unexpected right brace\"}"),
        400, FAULT_INPUT, "status 400, bad_data: 1:5: parse error");
    refuses(SLICE_LIT("{\"status\":\"error\",\"errorType\":\"execution\",\"error\":\"too many samples\"}"), 422,
            FAULT_INPUT, "status 422, execution: too many samples");
    refuses(SLICE_LIT("{\"status\":\"error\",\"errorType\":\"timeout\",\"error\":\"query timed out\"}"), 503,
            FAULT_AGAIN, "status 503, timeout");
    refuses(SLICE_LIT("404 page not found\n"), 404, FAULT_SYSTEM, "is its URL right?");
    refuses(SLICE_LIT("<html><body>{[}</body>"), 502, FAULT_SYSTEM, "HTTP status 502");
    refuses(SLICE_LIT(""), 401, FAULT_SYSTEM, "HTTP status 401");
}

TEST(what_is_no_vector_is_refused) {
    refuses(SLICE_LIT(VECTOR("{\"metric\":{},\"value\":[1,\"2\"]")), 200, FAULT_INPUT, "result 1");
    refuses(slice_from_text("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["), 200,
            FAULT_INPUT, "cut short");
    refuses(SLICE_LIT("{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"2\"]}}"), 200,
            FAULT_INPUT, "type vector");
    refuses(SLICE_LIT("{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},"
                      "\"values\":[[1,\"2\"]]}]}}"),
            200, FAULT_INPUT, "result 1: expected a metric");
    refuses(SLICE_LIT(VECTOR("{\"metric\":{\"a\":1},\"value\":[1,\"2\"]}")), 200, FAULT_INPUT, "result 1");
    refuses(SLICE_LIT(VECTOR("{\"metric\":{},\"value\":[1,\"2x\"]}")), 200, FAULT_INPUT, "result 1");
    refuses(SLICE_LIT(VECTOR("{\"metric\":{},\"value\":[1,2]}")), 200, FAULT_INPUT, "result 1");
    refuses(SLICE_LIT(VECTOR("[1]")), 200, FAULT_INPUT, "type vector");
    refuses(SLICE_LIT("{\"status\":\"success\"}"), 200, FAULT_INPUT, "type vector");
    refuses(SLICE_LIT("OK"), 200, FAULT_INPUT, "no JSON");
    refuses(SLICE_LIT("[[[[[[[[[[[[[[[[[[[["), 200, FAULT_INPUT, "nested deeper");
}

TEST(what_is_too_large_is_refused_and_needs_no_memory) {
    const size_t size = 4 * API_ELEMENT_BYTES_MAX;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'a', size);
    const char *const start = "{\"status\":\"success\",\"data\":{\"result\":[{\"metric\":{\"x\":\"";
    memcpy(text, start, strlen(start));
    refuses(slice_of(text, size), 200, FAULT_LIMIT, "result 1: more than 65536 bytes");
    memset(text, ' ', 100); /* no result: all of it is frame, and only its beginning is kept */
    refuses(slice_of(text, size), 500, FAULT_SYSTEM, "HTTP status 500");
    free(text);
}

static slice recorded(const char *name, char *text, size_t room) {
    static const char *const places[] = {"../shared", "../../shared"};
    for (size_t i = 0; i < 2; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/contracts/fixtures/prometheus/api-v1/%s", places[i], name);
        FILE *file = fopen(path, "rb");
        if (!file) continue;
        const size_t size = fread(text, 1, room, file);
        fclose(file);
        return slice_of(text, size);
    }
    return (slice){0};
}

TEST(recorded_answers_are_read) {
    static char text[65536];
    struct record record;
    struct api_answer_stats stats;
    struct fault fault;
    slice body = recorded("query_vector_up.json", text, sizeof text);
    if (!body.size) {
        print_message("skipped: no recorded answers beside this checkout (../shared/contracts/fixtures)\n");
        skip();
    }
    CHECK_OK(read_in(body, 200, 5, &record, &stats, &fault));
    assert_int_equal(stats.samples, 8);
    assert_non_null(strstr(record.text, "up[instance=shop-0:8080][job=shop][namespace=shop] 1\n"));
    assert_non_null(strstr(record.text, "up[instance=db-0.db.shop.svc:5432][job=dead] 0\n"));
    body = recorded("query_empty.json", text, sizeof text);
    CHECK_OK(read_in(body, 200, 5, &record, &stats, &fault));
    assert_int_equal(stats.samples, 0);
    body = recorded("query_post_form.json", text, sizeof text);
    CHECK_OK(read_in(body, 200, 5, &record, &stats, &fault));
    refuses(recorded("query_scalar.json", text, sizeof text), 200, FAULT_INPUT, "type vector");
    refuses(recorded("query_range.json", text, sizeof text), 200, FAULT_INPUT, "result 1");
    refuses(recorded("error_bad_data_400.json", text, sizeof text), 400, FAULT_INPUT, "bad_data");
    refuses(recorded("error_not_found_404.txt", text, sizeof text), 404, FAULT_SYSTEM, "HTTP status 404");
    refuses(recorded("alerts.json", text, sizeof text), 200, FAULT_INPUT, "type vector");
}

TEST(a_selector_is_asked_for_as_promql) {
    static const struct {
        const char *selector, *suffix, *query;
    } cases[] = {
        {"up", "", "last_over_time(up{}[90000ms])"},
        {"r{code=~'2..',job!=\"a\",x!~`b\\d`, y=\"\"}", "",
         "last_over_time(r{code=~\"2..\",job!=\"a\",x!~\"b\\\\d\",y=\"\"}[90000ms])"},
        {"lat", "_bucket", "last_over_time(lat_bucket{}[90000ms])"},
        {"{\"my.metric\",\"a.b\"=\"q\\\"\\n\"}", "", "last_over_time({\"my.metric\",\"a.b\"=\"q\\\"\\x0a\"}[90000ms])"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct selector *selector;
        struct fault fault;
        char text[256];
        CHECK_OK(selector_parse(slice_from_text(cases[i].selector), cases[i].suffix, &selector, &fault));
        assert_true(prometheus_api_query(selector, 90000, text, sizeof text));
        assert_string_equal(text, cases[i].query);
        assert_false(prometheus_api_query(selector, 90000, text, strlen(cases[i].query)));
        selector_free(selector);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_of_a_vector_are_read),
        cmocka_unit_test(native_histograms_are_passed_over_and_infos_are_heard),
        cmocka_unit_test(an_answer_with_warnings_is_not_taken_as_whole),
        cmocka_unit_test(an_error_is_said_as_prometheus_says_it),
        cmocka_unit_test(what_is_no_vector_is_refused),
        cmocka_unit_test(what_is_too_large_is_refused_and_needs_no_memory),
        cmocka_unit_test(recorded_answers_are_read),
        cmocka_unit_test(a_selector_is_asked_for_as_promql),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
