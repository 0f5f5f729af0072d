/* SPDX-License-Identifier: Apache-2.0
 * The proto3 JSON mapping case by case: what is taken, what it means, and what is refused with which words. Random
 * messages are compared with the reference in reference_test.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/codec/format.h"
#include "sre.pb.h"

static struct arena *arena;

static int setup(void **state) {
    arena = arena_new(64 * 1024, 4 * 1024 * 1024);
    return arena ? 0 : -1;
}

static int teardown(void **state) {
    arena = arena_free(arena);
    return 0;
}

static void assert_read(const struct message_desc *desc, const char *json, void *ret_message) {
    struct fault fault = {0};
    if (codec_decode_json(desc, slice_from_text(json), false, arena, ret_message, &fault))
        fail_msg("%s: %s", json, fault.text);
}

static void assert_refused(const struct message_desc *desc, const char *json, const char *words) {
    struct fault fault = {0};
    void *message = arena_alloc(arena, message_size(desc));
    if (codec_decode_json(desc, slice_from_text(json), false, arena, message, &fault) != FAULT_INPUT)
        fail_msg("%s: was taken", json);
    if (strcmp(fault.text, words) != 0) fail_msg("%s\nexpected: %s\nsaid    : %s", json, words, fault.text);
}

static void assert_written(const struct message_desc *desc, const void *message, bool pretty, const char *json) {
    struct fault fault = {0};
    slice text;
    assert_int_equal(codec_encode_json(desc, message, pretty, arena, &text, &fault), FAULT_NONE);
    assert_string_equal((const char *)text.data, json);
}

static void both_names_are_taken(void **state) {
    SLIWindow window;
    assert_read(&SLIWindow_desc, "{\"sloId\":\"a\",\"window_seconds\":60}", &window);
    assert_true(slice_equal_text(window.slo_id, "a"));
    assert_int_equal(window.window_seconds, 60);
}

static void whole_numbers_come_in_many_forms(void **state) {
    static const char *const forms[] = {"60", "\"60\"", "60.0", "6e1", "\"6.0e1\"", "600e-1"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        SLIWindow window;
        char json[64];
        (void)snprintf(json, sizeof json, "{\"good\":%s,\"windowSeconds\":%s}", forms[i], forms[i]);
        assert_read(&SLIWindow_desc, json, &window);
        assert_int_equal(window.good, 60);
        assert_int_equal(window.window_seconds, 60);
    }
}

static void numbers_out_of_range_are_refused(void **state) {
    assert_refused(&SLIWindow_desc, "{\"windowSeconds\":2147483648}",
                   "window_seconds: expected a whole number of 32 bits, found uint");
    assert_refused(&SLIWindow_desc, "{\"windowSeconds\":1.5}",
                   "window_seconds: expected a whole number of 32 bits, found real");
    assert_refused(&SLIWindow_desc, "{\"windowSeconds\":true}",
                   "window_seconds: expected a whole number of 32 bits, found true");
    assert_refused(&SLIWindow_desc, "{\"good\":\"9223372036854775808\"}",
                   "good: expected a whole number of 64 bits, found string '9223372036854775808'");
    assert_refused(&SLIWindow_desc, "{\"good\":\"1 \"}", "good: expected a whole number of 64 bits, found string '1 '");
    assert_refused(&SLIWindow_desc, "{\"good\":\"\"}", "good: expected a whole number of 64 bits, found string ''");
    assert_refused(&StreamAck_desc, "{\"stream\":-1}",
                   "stream: expected a whole number from 0 to 18446744073709551615, found sint");
    StreamAck ack;
    assert_read(&StreamAck_desc, "{\"stream\":\"18446744073709551615\",\"committedSequence\":-0}", &ack);
    assert_true(ack.stream == UINT64_MAX);
    assert_written(&StreamAck_desc, &ack, false, "{\"stream\":\"18446744073709551615\"}");
    SLIWindow window;
    assert_read(&SLIWindow_desc, "{\"good\":-9223372036854775808}", &window);
    assert_true(window.good == INT64_MIN);
}

static void doubles_have_their_words(void **state) {
    SLO slo;
    assert_read(&SLO_desc, "{\"target\":\"NaN\"}", &slo);
    assert_true(isnan(slo.target));
    assert_written(&SLO_desc, &slo, false, "{\"target\":\"NaN\"}");
    assert_read(&SLO_desc, "{\"target\":\"-Infinity\"}", &slo);
    assert_written(&SLO_desc, &slo, false, "{\"target\":\"-Infinity\"}");
    assert_read(&SLO_desc, "{\"target\":\"99.9\"}", &slo);
    assert_written(&SLO_desc, &slo, false, "{\"target\":99.9}");
    assert_read(&SLO_desc, "{\"target\":-0.0}", &slo);
    assert_written(&SLO_desc, &slo, false, "{\"target\":-0.0}");
    assert_refused(&SLO_desc, "{\"target\":\"nan\"}",
                   "target: expected a number, \"NaN\", \"Infinity\" or \"-Infinity\", found string 'nan'");
    assert_refused(&SLO_desc, "{\"target\":1e400}", "not JSON: number is infinity when parsed as double, at byte 10");
}

static void times_are_rfc_3339(void **state) {
    static const struct {
        const char *in;
        int64_t seconds;
        int32_t nanos;
        const char *out;
    } cases[] = {
        {"2026-11-21T01:02:03Z", 1795222923, 0, "2026-11-21T01:02:03Z"},
        {"2026-11-21T01:02:03.5Z", 1795222923, 500000000, "2026-11-21T01:02:03.500Z"},
        {"2026-11-21T01:02:03.000001Z", 1795222923, 1000, "2026-11-21T01:02:03.000001Z"},
        {"2026-11-21T01:02:03.000000001Z", 1795222923, 1, "2026-11-21T01:02:03.000000001Z"},
        {"2026-11-21T02:32:03+01:30", 1795222923, 0, "2026-11-21T01:02:03Z"},
        {"2026-11-20T17:02:03-08:00", 1795222923, 0, "2026-11-21T01:02:03Z"},
        {"0001-01-01T00:00:00Z", -62135596800, 0, "0001-01-01T00:00:00Z"},
        {"9999-12-31T23:59:59.999999999Z", 253402300799, 999999999, "9999-12-31T23:59:59.999999999Z"},
        {"1969-12-31T23:59:59.9Z", -1, 900000000, "1969-12-31T23:59:59.900Z"},
        {"2024-02-29T00:00:00Z", 1709164800, 0, "2024-02-29T00:00:00Z"},
        {"1900-02-28T12:00:00Z", -2203934400, 0, "1900-02-28T12:00:00Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        SLIWindow window;
        char json[96];
        (void)snprintf(json, sizeof json, "{\"windowStart\":\"%s\"}", cases[i].in);
        assert_read(&SLIWindow_desc, json, &window);
        assert_true(window.has_window_start);
        assert_int_equal(window.window_start.seconds, cases[i].seconds);
        assert_int_equal(window.window_start.nanos, cases[i].nanos);
        (void)snprintf(json, sizeof json, "{\"windowStart\":\"%s\"}", cases[i].out);
        assert_written(&SLIWindow_desc, &window, false, json);
    }
}

static void wrong_times_are_refused(void **state) {
    static const char *const wrong[] = {"2026-11-21 01:02:03Z",
                                        "2026-11-21T01:02:03",
                                        "2026-11-21T01:02:03z",
                                        "2026-13-01T00:00:00Z",
                                        "2025-02-29T00:00:00Z",
                                        "1900-02-29T00:00:00Z",
                                        "2026-11-21T24:00:00Z",
                                        "2026-11-21T01:02:60Z",
                                        "2026-11-21T01:02:03.Z",
                                        "",
                                        "2026-11-21T01:02:03.1234567890Z",
                                        "0000-01-01T00:00:00Z",
                                        "0001-01-01T00:00:00+00:01",
                                        "9999-12-31T23:59:59-00:01",
                                        "2026-11-21T01:02:03Zx",
                                        "26-11-21T01:02:03Z",
                                        "2026-11-21T01:02:03+1:00"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char json[96], words[160];
        (void)snprintf(json, sizeof json, "{\"windowStart\":\"%s\"}", wrong[i]);
        (void)snprintf(words, sizeof words,
                       "window_start: expected a time such as \"2026-11-21T01:02:03.5Z\", found string '%s'", wrong[i]);
        assert_refused(&SLIWindow_desc, json, words);
    }
}

static void durations_end_in_s(void **state) {
    static const struct {
        const char *in;
        int64_t seconds;
        int32_t nanos;
        const char *out;
    } cases[] = {{"1.5s", 1, 500000000, "1.500s"},
                 {"-0.5s", 0, -500000000, "-0.500s"},
                 {"60s", 60, 0, "60s"},
                 {"-315576000000s", -315576000000, 0, "-315576000000s"},
                 {"0.000000001s", 0, 1, "0.000000001s"},
                 {"0s", 0, 0, "0s"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        GetSLOBurndownRequest request;
        char json[64];
        (void)snprintf(json, sizeof json, "{\"step\":\"%s\"}", cases[i].in);
        assert_read(&GetSLOBurndownRequest_desc, json, &request);
        assert_int_equal(request.step.seconds, cases[i].seconds);
        assert_int_equal(request.step.nanos, cases[i].nanos);
        (void)snprintf(json, sizeof json, "{\"step\":\"%s\"}", cases[i].out);
        assert_written(&GetSLOBurndownRequest_desc, &request, false, json);
    }
    assert_refused(&GetSLOBurndownRequest_desc, "{\"step\":\"1\"}",
                   "step: expected a duration such as \"1.5s\", found string '1'");
    assert_refused(&GetSLOBurndownRequest_desc, "{\"step\":\"315576000001s\"}",
                   "step: expected a duration such as \"1.5s\", found string '315576000001s'");
    assert_refused(&GetSLOBurndownRequest_desc, "{\"step\":60}",
                   "step: expected a duration such as \"1.5s\", found uint");
}

static void bytes_are_base64_of_both_kinds(void **state) {
    static const char *const forms[] = {"-_-_YQ", "+/+/YQ==", "+/+/YQ", "-_-_YQ=="};
    for (size_t i = 0; i < 4; i++) {
        Rejection rejection;
        char json[64];
        (void)snprintf(json, sizeof json, "{\"payload\":\"%s\"}", forms[i]);
        assert_read(&Rejection_desc, json, &rejection);
        assert_true(slice_equal(rejection.payload, SLICE_LIT("\xfb\xff\xbf"
                                                             "a")));
        assert_written(&Rejection_desc, &rejection, false, "{\"payload\":\"+/+/YQ==\"}");
    }
    assert_refused(&Rejection_desc, "{\"payload\":\"YQ=\"}", "payload: expected base64, found string 'YQ='");
    assert_refused(&Rejection_desc, "{\"payload\":\"Y\"}", "payload: expected base64, found string 'Y'");
    assert_refused(&Rejection_desc, "{\"payload\":\"Y!==\"}", "payload: expected base64, found string 'Y!=='");
}

static void enums_go_by_name_and_number(void **state) {
    Incident incident;
    assert_read(&Incident_desc, "{\"severity\":\"SEVERITY_HIGH\",\"status\":2}", &incident);
    assert_int_equal(incident.severity, SEVERITY_HIGH);
    assert_int_equal(incident.status, INCIDENT_STATUS_ACKNOWLEDGED);
    incident.severity = (Severity)77;
    assert_written(&Incident_desc, &incident, false, "{\"severity\":77,\"status\":\"INCIDENT_STATUS_ACKNOWLEDGED\"}");
    assert_refused(&Incident_desc, "{\"severity\":\"HIGH\"}",
                   "severity: expected one of SEVERITY_UNSPECIFIED ... SEVERITY_LOW, found string 'HIGH'");
}

static void null_is_the_default_but_no_item(void **state) {
    Incident incident;
    assert_read(&Incident_desc, "{\"title\":null,\"createdAt\":null,\"alertIds\":null,\"labels\":null}", &incident);
    assert_false(incident.has_created_at);
    assert_written(&Incident_desc, &incident, false, "{}");
    assert_refused(&Incident_desc, "{\"alertIds\":[\"a\",null]}", "alert_ids[1]: null is no item of a list");
    assert_refused(&Incident_desc, "{\"labels\":{\"a\":null}}", "labels[a]: expected text in quotes, found null");
}

static void twice_is_refused(void **state) {
    assert_refused(&Incident_desc, "{\"title\":\"a\",\"title\":\"b\"}", "title: the field is given twice");
    assert_refused(&Incident_desc, "{\"assignedTo\":\"a\",\"assigned_to\":\"b\"}",
                   "assigned_to: the field is given twice");
    assert_refused(&Incident_desc, "{\"labels\":{\"a\":\"1\",\"a\":\"2\"}}", "labels[a]: the key is there twice");
    assert_refused(&SLISpec_desc, "{\"probe\":{},\"counterRatio\":{}}",
                   "counter_ratio: probe is given already, and only one of 'kind' may be");
}

static void unknown_fields_are_named_or_ignored(void **state) {
    struct fault fault = {0};
    CreateSLORequest request;
    assert_refused(&CreateSLORequest_desc, "{\"command\":{\"sliSpec\":{\"probee\":{}}}}",
                   "command.sli_spec.probee: SLISpec has no such field");
    const slice json = SLICE_LIT("{\"new\":[{}],\"command\":{\"window\":\"SLO_WINDOW_90D\",\"name\":\"n\"}}");
    assert_int_equal(codec_decode_json(&CreateSLORequest_desc, json, true, arena, &request, &fault), FAULT_NONE);
    assert_int_equal(request.command.window, 0);
    assert_true(slice_equal_text(request.command.name, "n"));
}

static void broken_text_is_refused_with_its_place(void **state) {
    assert_refused(&SLO_desc, "", "not JSON: the text is empty");
    assert_refused(&SLO_desc, "{\"name\":}", "not JSON: unexpected character, expected a valid JSON value, at byte 8");
    assert_refused(&SLO_desc, "[]", "message: expected an object, found array");
    assert_refused(&SLO_desc, "{} {}", "not JSON: unexpected content after document, at byte 3");
}

static void pretty_text_is_indented(void **state) {
    slice ids[] = {SLICE_LIT("a"), SLICE_LIT("b")};
    Incident_LabelsEntry labels[] = {{SLICE_LIT("k"), SLICE_LIT("v\n")}};
    const Incident incident = {
        .incident_id = SLICE_LIT("i"), .alert_ids = {ids, 2}, .labels = {labels, 1}, .has_created_at = true};
    assert_written(&Incident_desc, &incident, true,
                   "{\n  \"incidentId\": \"i\",\n  \"alertIds\": [\n    \"a\",\n    \"b\"\n  ],\n  \"labels\": {\n"
                   "    \"k\": \"v\\n\"\n  },\n  \"createdAt\": \"1970-01-01T00:00:00Z\"\n}");
}

static void times_out_of_range_are_not_written(void **state) {
    struct fault fault = {0};
    slice json;
    const Incident incident = {.has_created_at = true, .created_at = {INT64_MAX, 0}};
    assert_int_equal(codec_encode_json(&Incident_desc, &incident, false, arena, &json, &fault), FAULT_INPUT);
    assert_string_equal(
        fault.text,
        "write Incident as JSON: created_at: 9223372036854775807 seconds and 0 nanos are out of a time's range");
}

static void a_full_arena_is_said(void **state) {
    struct fault fault = {0};
    struct arena *small = arena_new(512, 1024);
    char json[2048];
    memset(json, ' ', sizeof json);
    SLO slo;
    assert_int_equal(codec_decode_json(&SLO_desc, slice_of(json, sizeof json), false, small, &slo, &fault),
                     FAULT_LIMIT);
    const Rejection rejection = {.payload = slice_of(json, sizeof json)};
    slice text;
    assert_int_equal(codec_encode_json(&Rejection_desc, &rejection, false, small, &text, &fault), FAULT_LIMIT);
    assert_null(arena_free(small));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(both_names_are_taken),
        CASE(whole_numbers_come_in_many_forms),
        CASE(numbers_out_of_range_are_refused),
        CASE(doubles_have_their_words),
        CASE(times_are_rfc_3339),
        CASE(wrong_times_are_refused),
        CASE(durations_end_in_s),
        CASE(bytes_are_base64_of_both_kinds),
        CASE(enums_go_by_name_and_number),
        CASE(null_is_the_default_but_no_item),
        CASE(twice_is_refused),
        CASE(unknown_fields_are_named_or_ignored),
        CASE(broken_text_is_refused_with_its_place),
        CASE(pretty_text_is_indented),
        CASE(times_out_of_range_are_not_written),
        CASE(a_full_arena_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
