/* SPDX-License-Identifier: Apache-2.0
 * Constraints: a message that holds them passes, and each way of breaking one is told with path and words. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/codec/format.h"
#include "sre.pb.h"

static CreateSLORequested good_slo(void) {
    CreateSLORequested slo = {.slo_id = SLICE_LIT("checkout-availability"),
                              .name = SLICE_LIT("Checkout"),
                              .target = 99.9,
                              .window = SLO_WINDOW_28D,
                              .has_sli_spec = true};
    slo.sli_spec.which_kind = SLISpec_counter_ratio_tag;
    slo.sli_spec.kind.counter_ratio.total_selector = SLICE_LIT("http_requests_total");
    slo.sli_spec.window_seconds = 60;
    return slo;
}

static void assert_refused(const struct message_desc *desc, const void *message, const char *words) {
    struct fault fault = {0};
    const fault_code code = codec_validate(desc, message, &fault);
    if (code != FAULT_INPUT || strcmp(fault.text, words) != 0) {
        fprintf(stderr, "expected: %s\nsaid    : %s\n", words, code ? fault.text : "(nothing)");
        fail();
    }
}

static void a_good_message_passes(void **state) {
    struct fault fault = {0};
    const CreateSLORequested slo = good_slo();
    assert_int_equal(codec_validate(&CreateSLORequested_desc, &slo, &fault), FAULT_NONE);
}

static void required_text_is_asked_for(void **state) {
    CreateSLORequested slo = good_slo();
    slo.name = (slice){0};
    assert_refused(&CreateSLORequested_desc, &slo, "name: must have 1 to 256 characters, has 0");
}

static void forms_are_held(void **state) {
    CreateSLORequested slo = good_slo();
    slo.slo_id = SLICE_LIT("a b");
    assert_refused(&CreateSLORequested_desc, &slo,
                   "slo_id: must be 1 to 128 characters of A-Z a-z 0-9 . _ -, is 'a b'");
    slo = good_slo();
    slo.name = SLICE_LIT("a\0b\x1b"
                         "c"); /* the message does not end there, and is none for a terminal */
    assert_refused(&CreateSLORequested_desc, &slo,
                   "name: must be one line without control characters, is 'a\\u0000b\\u001bc'");
}

static void a_line_holds_no_control_character_of_either_range(void **state) {
    struct fault fault = {0};
    CreateSLORequested slo = good_slo();
    slo.name = SLICE_LIT("a\xc2\x9b"
                         "31m"); /* CSI, as terminals take it */
    assert_int_equal(codec_validate(&CreateSLORequested_desc, &slo, &fault), FAULT_INPUT);
    assert_non_null(strstr(fault.text, "name: must be one line without control characters"));
    slo.name = SLICE_LIT("a\xc2\xa0 \xc3\x9b\xe2\x82\x80"); /* such bytes of other characters are no controls */
    assert_int_equal(codec_validate(&CreateSLORequested_desc, &slo, &fault), FAULT_NONE);
}

static void characters_are_counted_not_bytes(void **state) {
    struct fault fault = {0};
    char name[600];
    for (size_t i = 0; i < 256; i++) memcpy(name + 2 * i, "é", 2);
    CreateSLORequested slo = good_slo();
    slo.name = slice_of(name, 512);
    assert_int_equal(codec_validate(&CreateSLORequested_desc, &slo, &fault), FAULT_NONE);
    memcpy(name + 512, "é", 2);
    slo.name = slice_of(name, 514);
    assert_refused(&CreateSLORequested_desc, &slo, "name: must have 1 to 256 characters, has 257");
}

static void numbers_keep_to_their_range(void **state) {
    CreateSLORequested slo = good_slo();
    slo.target = 100;
    assert_refused(&CreateSLORequested_desc, &slo, "target: must be above 0 and below 100, is 100");
    slo.target = 100.1;
    assert_refused(&CreateSLORequested_desc, &slo, "target: must be above 0 and below 100, is 100.1");
    slo.target = NAN;
    assert_refused(&CreateSLORequested_desc, &slo, "target: must be above 0 and below 100, is nan");
    slo = good_slo();
    slo.sli_spec.window_seconds = 3601;
    assert_refused(&CreateSLORequested_desc, &slo,
                   "sli_spec.window_seconds: must be at least 0 and at most 3600, is 3601");
}

static void enums_are_defined(void **state) {
    CreateSLORequested slo = good_slo();
    slo.window = 9;
    assert_refused(&CreateSLORequested_desc, &slo,
                   "window: must be one of SLO_WINDOW_7D, SLO_WINDOW_28D, SLO_WINDOW_30D, "
                   "SLO_WINDOW_CALENDAR_WEEK, SLO_WINDOW_CALENDAR_MONTH, SLO_WINDOW_CALENDAR_QUARTER, "
                   "SLO_WINDOW_CALENDAR_YEAR, is 9");
    slo.window = 0;
    assert_refused(
        &CreateSLORequested_desc, &slo,
        "window: is required: one of SLO_WINDOW_7D, SLO_WINDOW_28D, SLO_WINDOW_30D, SLO_WINDOW_CALENDAR_WEEK, "
        "SLO_WINDOW_CALENDAR_MONTH, SLO_WINDOW_CALENDAR_QUARTER, SLO_WINDOW_CALENDAR_YEAR");
}

static void messages_and_oneofs_are_required(void **state) {
    CreateSLORequested slo = good_slo();
    slo.has_sli_spec = false;
    assert_refused(&CreateSLORequested_desc, &slo, "sli_spec: is required");
    slo.has_sli_spec = true;
    slo.sli_spec.which_kind = 0;
    assert_refused(&CreateSLORequested_desc, &slo, "sli_spec.kind: one of its fields is required");
}

static void lists_are_bounded_and_items_checked(void **state) {
    CreateSLORequested slo = good_slo();
    slice agents[1001];
    for (size_t i = 0; i < 1001; i++) agents[i] = SLICE_LIT("edge-1");
    slo.agents.items = agents;
    slo.agents.count = 1001;
    assert_refused(&CreateSLORequested_desc, &slo, "agents: must have at most 1000 items, has 1001");
    slo.agents.count = 3;
    agents[2] = SLICE_LIT("Edge");
    assert_refused(&CreateSLORequested_desc, &slo,
                   "agents[2]: must be 1 to 64 characters of a-z 0-9 . - with a letter or digit among them, is 'Edge'");
    static const char *const no_names[] = {".", "..", "-", ".-."}, *const names[] = {"a", "7", "..x", "edge-1.eu"};
    for (size_t i = 0; i < sizeof no_names / sizeof *no_names; i++)
        assert_false(format_holds(FORMAT_PRODUCER, slice_from_text(no_names[i])));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_true(format_holds(FORMAT_PRODUCER, slice_from_text(names[i])));
    assert_false(format_holds(FORMAT_PRODUCER, (slice){0}));
    agents[2] = (slice){0};
    struct fault fault = {0};
    CorrelateAlertsToIncidentRequested correlate = {.alert_ids = {agents, 3}, .incident_id = SLICE_LIT("i")};
    assert_int_equal(codec_validate(&CorrelateAlertsToIncidentRequested_desc, &correlate, &fault), FAULT_INPUT);
    assert_string_equal(fault.text, "alert_ids[2]: must have 1 to 128 characters, has 0");
}

static void maps_have_checked_keys(void **state) {
    CreateSLORequested slo = good_slo();
    CreateSLORequested_LabelsEntry labels[] = {{SLICE_LIT("team"), SLICE_LIT("a")},
                                               {SLICE_LIT("team"), SLICE_LIT("b")}};
    slo.labels.items = labels;
    slo.labels.count = 2;
    assert_refused(&CreateSLORequested_desc, &slo, "labels[team]: the key is there twice");
    labels[1].key = SLICE_LIT("te am");
    assert_refused(&CreateSLORequested_desc, &slo,
                   "labels[te am]: the key must be A-Z a-z 0-9 . _ - /, beginning and ending with a letter or digit");
}

static void times_are_in_range(void **state) {
    RecordSLIWindowRequested window = {.slo_id = SLICE_LIT("s"),
                                       .has_window_start = true,
                                       .window_start = {0, 1000000000},
                                       .window_seconds = 60,
                                       .revision = 1};
    assert_refused(&RecordSLIWindowRequested_desc, &window,
                   "window_start: must be a time from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z");
}

static void the_path_leads_through_lists(void **state) {
    OnCallShift shifts[] = {{.responder = SLICE_LIT("ana"), .has_starts_at = true, .has_ends_at = true},
                            {.responder = SLICE_LIT("bo"), .has_starts_at = true}};
    CreateServiceRequested service = {.name = SLICE_LIT("s"), .has_on_call = true, .on_call = {.shifts = {shifts, 2}}};
    assert_refused(&CreateServiceRequested_desc, &service, "on_call.shifts[1].ends_at: is required");
}

static void routes_are_found(void **state) {
    for (size_t i = 0; i < methods_count; i++)
        assert_ptr_equal(method_find(slice_from_text(methods_table[i].path)), &methods_table[i]);
    assert_null(method_find(SLICE_LIT("/ameide_core_proto.sre.core.v1.SLOService/GetSLo")));
    assert_null(method_find((slice){0}));
    const struct method_desc *method = method_find(SLICE_LIT("/ameide_core_proto.sre.core.v1.SLOService/GetSLO"));
    assert_true(method->no_side_effects);
    assert_int_equal(method->role, ROLE_VIEWER);
    assert_ptr_equal(method->response, &GetSLOResponse_desc);
}

static void enums_have_names(void **state) {
    int32_t number = -1;
    assert_string_equal(enum_name(&Severity_enum, SEVERITY_HIGH), "SEVERITY_HIGH");
    assert_null(enum_name(&Severity_enum, 17));
    assert_true(enum_number(&Severity_enum, SLICE_LIT("SEVERITY_LOW"), &number));
    assert_int_equal(number, SEVERITY_LOW);
    assert_false(enum_number(&Severity_enum, SLICE_LIT("LOW"), &number));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_message_passes),
        cmocka_unit_test(required_text_is_asked_for),
        cmocka_unit_test(forms_are_held),
        cmocka_unit_test(a_line_holds_no_control_character_of_either_range),
        cmocka_unit_test(characters_are_counted_not_bytes),
        cmocka_unit_test(numbers_keep_to_their_range),
        cmocka_unit_test(enums_are_defined),
        cmocka_unit_test(messages_and_oneofs_are_required),
        cmocka_unit_test(lists_are_bounded_and_items_checked),
        cmocka_unit_test(maps_have_checked_keys),
        cmocka_unit_test(times_are_in_range),
        cmocka_unit_test(the_path_leads_through_lists),
        cmocka_unit_test(routes_are_found),
        cmocka_unit_test(enums_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
