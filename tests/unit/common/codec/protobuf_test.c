/* SPDX-License-Identifier: Apache-2.0
 * Protobuf both ways: what is written is read again, bytes from outside are refused with a reason. */
#include "tests/support/check.h"

#include "sre.pb.h"

struct fixture {
    struct arena *arena;
};

static int setup(void **state) {
    static struct fixture fixture;
    fixture.arena = arena_new(64 * 1024, 1024 * 1024);
    *state = &fixture;
    return fixture.arena ? 0 : -1;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    fixture->arena = arena_free(fixture->arena);
    return 0;
}

static SreDomainIntent window_intent(void) {
    SreDomainIntent intent = {
        .has_meta = true,
        .meta = {.message_id = SLICE_LIT("0190a3c1-7a5e-7000-8000-0123456789ab"),
                 .tenant_id = SLICE_LIT("acme"),
                 .has_occurred_at = true,
                 .occurred_at = {1700000000, 5},
                 .producer = SLICE_LIT("edge-1"),
                 .schema_version = 1},
        .has_subject = true,
        .subject = {.aggregate_type = SLICE_LIT("slo"), .aggregate_id = SLICE_LIT("checkout")},
        .which_intent = SreDomainIntent_record_sli_window_tag,
    };
    intent.intent.record_sli_window = (RecordSLIWindowRequested){.slo_id = SLICE_LIT("checkout"),
                                                                 .has_window_start = true,
                                                                 .window_start = {1699999980, 0},
                                                                 .window_seconds = 60,
                                                                 .good = 41,
                                                                 .total = 42,
                                                                 .scrapes_expected = 6,
                                                                 .scrapes_seen = 6,
                                                                 .revision = 1};
    return intent;
}

static void intent_survives_the_wire(void **state) {
    struct fixture *f = *state;
    struct fault fault = {0};
    const SreDomainIntent intent = window_intent();
    slice bytes;
    assert_int_equal(codec_encode_protobuf(&SreDomainIntent_desc, &intent, f->arena, &bytes, &fault), FAULT_NONE);
    SreDomainIntent read;
    assert_int_equal(codec_decode_protobuf(&SreDomainIntent_desc, bytes, f->arena, &read, &fault), FAULT_NONE);
    assert_int_equal(read.which_intent, SreDomainIntent_record_sli_window_tag);
    assert_int_equal(read.intent.record_sli_window.good, 41);
    assert_true(slice_equal_text(read.intent.record_sli_window.slo_id, "checkout"));
    assert_true(slice_equal_text(read.meta.tenant_id, "acme"));
    assert_int_equal(read.meta.occurred_at.seconds, 1700000000);
    /* Zero copy: the text lies within the bytes. */
    assert_true(read.meta.tenant_id.data > bytes.data && read.meta.tenant_id.data < bytes.data + bytes.size);
    slice again;
    assert_int_equal(codec_encode_protobuf(&SreDomainIntent_desc, &read, f->arena, &again, &fault), FAULT_NONE);
    assert_true(slice_equal(bytes, again));
}

static void lists_of_every_kind_survive(void **state) {
    struct fixture *f = *state;
    struct fault fault = {0};
    slice ids[9];
    for (size_t i = 0; i < 9; i++) ids[i] = arena_format(f->arena, "alert-%zu", i);
    Severity severities[] = {SEVERITY_LOW, SEVERITY_CRITICAL, SEVERITY_HIGH};
    TimelineEntry entries[] = {{.entry_id = SLICE_LIT("a"), .text = SLICE_LIT("x")}, {.entry_id = SLICE_LIT("b")}};
    Incident_LabelsEntry labels[] = {{SLICE_LIT("team"), SLICE_LIT("sre")}, {SLICE_LIT("empty"), {0}}};
    Incident incident = {
        .incident_id = SLICE_LIT("i"), .alert_ids = {ids, 9}, .timeline = {entries, 2}, .labels = {labels, 2}};
    slice bytes;
    assert_int_equal(codec_encode_protobuf(&Incident_desc, &incident, f->arena, &bytes, &fault), FAULT_NONE);
    Incident read;
    assert_int_equal(codec_decode_protobuf(&Incident_desc, bytes, f->arena, &read, &fault), FAULT_NONE);
    assert_int_equal(read.alert_ids.count, 9);
    assert_true(slice_equal_text(read.alert_ids.items[8], "alert-8"));
    assert_int_equal(read.timeline.count, 2);
    assert_true(slice_equal_text(read.timeline.items[1].entry_id, "b"));
    assert_true(slice_equal_text(read.labels.items[0].value, "sre"));
    assert_int_equal(read.labels.items[1].value.size, 0);

    ListOpenIncidentsRequest request = {.severities = {severities, 3}}, request_read;
    assert_int_equal(codec_encode_protobuf(&ListOpenIncidentsRequest_desc, &request, f->arena, &bytes, &fault),
                     FAULT_NONE);
    assert_int_equal(codec_decode_protobuf(&ListOpenIncidentsRequest_desc, bytes, f->arena, &request_read, &fault),
                     FAULT_NONE);
    assert_int_equal(request_read.severities.count, 3);
    assert_int_equal(request_read.severities.items[1], SEVERITY_CRITICAL);
}

static void enums_are_read_packed_and_not(void **state) {
    struct fixture *f = *state;
    struct fault fault = {0};
    /* Field 3: 1 alone, then 2 and 3 packed, then 4 alone. */
    const uint8_t bytes[] = {0x18, 1, 0x1a, 2, 2, 3, 0x18, 4};
    ListOpenIncidentsRequest read;
    assert_int_equal(
        codec_decode_protobuf(&ListOpenIncidentsRequest_desc, slice_of(bytes, sizeof bytes), f->arena, &read, &fault),
        FAULT_NONE);
    assert_int_equal(read.severities.count, 4);
    for (int i = 0; i < 4; i++) assert_int_equal(read.severities.items[i], i + 1);
}

static void batch_is_read_with_intents_encoded(void **state) {
    struct fixture *f = *state;
    struct fault fault = {0};
    SreDomainIntent intents[] = {window_intent(), window_intent()};
    IntentBatch batch = {
        .epoch = SLICE_LIT("e"), .stream = 3, .after_sequence = 8, .first_sequence = 9, .intents = {intents, 2}};
    slice bytes;
    assert_int_equal(codec_encode_protobuf(&IntentBatch_desc, &batch, f->arena, &bytes, &fault), FAULT_NONE);
    EncodedIntentBatch encoded;
    assert_int_equal(codec_decode_protobuf(&EncodedIntentBatch_desc, bytes, f->arena, &encoded, &fault), FAULT_NONE);
    assert_int_equal(encoded.stream, 3);
    assert_int_equal(encoded.intents.count, 2);
    SreDomainIntent read;
    assert_int_equal(codec_decode_protobuf(&SreDomainIntent_desc, encoded.intents.items[1], f->arena, &read, &fault),
                     FAULT_NONE);
    assert_int_equal(read.intent.record_sli_window.total, 42);
    slice again;
    assert_int_equal(codec_encode_protobuf(&EncodedIntentBatch_desc, &encoded, f->arena, &again, &fault), FAULT_NONE);
    assert_true(slice_equal(bytes, again));
}

static void every_cut_is_refused_or_read(void **state) {
    struct fixture *f = *state;
    struct fault fault = {0};
    const SreDomainIntent intent = window_intent();
    slice bytes;
    assert_int_equal(codec_encode_protobuf(&SreDomainIntent_desc, &intent, f->arena, &bytes, &fault), FAULT_NONE);
    size_t refused = 0;
    for (size_t size = 0; size < bytes.size; size++) {
        SreDomainIntent read;
        const fault_code code =
            codec_decode_protobuf(&SreDomainIntent_desc, slice_first(bytes, size), f->arena, &read, &fault);
        assert_true(code == FAULT_NONE || code == FAULT_INPUT);
        refused += code == FAULT_INPUT;
    }
    assert_true(refused > bytes.size - 5); /* whole only at the three borders of its fields */
}

static void text_that_is_not_utf8_is_refused(void **state) {
    struct fixture *f = *state;
    struct fault fault = {0};
    const uint8_t bytes[] = {0x0a, 2, 0xc3, 0x28};
    SLO slo;
    assert_int_equal(codec_decode_protobuf(&SLO_desc, slice_of(bytes, sizeof bytes), f->arena, &slo, &fault),
                     FAULT_INPUT);
    assert_non_null(strstr(fault.text, "UTF-8"));
}

static void a_full_arena_is_said(void **state) {
    struct fault fault = {0};
    struct arena *small = arena_new(1024, 2048);
    uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i += 2) bytes[i] = 0x52, bytes[i + 1] = 0; /* alert_ids: "" */
    Incident incident;
    assert_int_equal(codec_decode_protobuf(&Incident_desc, slice_of(bytes, sizeof bytes), small, &incident, &fault),
                     FAULT_LIMIT);
    assert_null(arena_free(small));
}

static void a_buffer_too_small_is_said(void **state) {
    struct fault fault = {0};
    const SreDomainIntent intent = window_intent();
    uint8_t buffer[40];
    size_t size = 77;
    assert_int_equal(codec_encode_protobuf_into(&SreDomainIntent_desc, &intent, buffer, sizeof buffer, &size, &fault),
                     FAULT_LIMIT);
    assert_int_equal(size, 77);
}

static void a_copy_stands_alone(void **state) {
    struct fixture *f = *state;
    struct fault fault = {0};
    struct arena *other = arena_new(4096, 65536);
    const SreDomainIntent intent = window_intent();
    slice bytes;
    assert_int_equal(codec_encode_protobuf(&SreDomainIntent_desc, &intent, f->arena, &bytes, &fault), FAULT_NONE);
    uint8_t *volatile_bytes = arena_alloc(f->arena, bytes.size);
    memcpy(volatile_bytes, bytes.data, bytes.size);
    SreDomainIntent read, copy;
    assert_int_equal(
        codec_decode_protobuf(&SreDomainIntent_desc, slice_of(volatile_bytes, bytes.size), f->arena, &read, &fault),
        FAULT_NONE);
    assert_int_equal(codec_copy(&SreDomainIntent_desc, &read, other, &copy, &fault), FAULT_NONE);
    memset(volatile_bytes, 'z', bytes.size);
    slice again;
    assert_int_equal(codec_encode_protobuf(&SreDomainIntent_desc, &copy, f->arena, &again, &fault), FAULT_NONE);
    assert_true(slice_equal(bytes, again));
    assert_null(arena_free(other));
}

TEST(bounded_list_ends_at_what_the_contract_allows) {
    enum { MOST = 10000 }; /* AgentConfig.slis */
    struct fault fault;
    struct arena *arena = arena_new(4096, 64 << 20);
    AgentConfig config;
    uint8_t bytes[2 * (MOST + 1)];
    for (size_t i = 0; i < sizeof bytes; i += 2) {
        bytes[i] = 0x12;
        bytes[i + 1] = 0;
    }
    CHECK_OK(
        codec_decode_protobuf_bounded(&AgentConfig_desc, slice_of(bytes, sizeof bytes - 2), arena, &config, &fault));
    assert_int_equal(config.slis.count, MOST);
    CHECK_FAULT(codec_decode_protobuf_bounded(&AgentConfig_desc, slice_of(bytes, sizeof bytes), arena, &config, &fault),
                FAULT_INPUT);
    assert_non_null(strstr(fault.text, "more items than the contract allows"));
    CHECK_OK(codec_decode_protobuf(&AgentConfig_desc, slice_of(bytes, sizeof bytes), arena, &config, &fault));
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(intent_survives_the_wire, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_of_every_kind_survive, setup, teardown),
        cmocka_unit_test_setup_teardown(enums_are_read_packed_and_not, setup, teardown),
        cmocka_unit_test_setup_teardown(batch_is_read_with_intents_encoded, setup, teardown),
        cmocka_unit_test_setup_teardown(every_cut_is_refused_or_read, setup, teardown),
        cmocka_unit_test_setup_teardown(text_that_is_not_utf8_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_arena_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_buffer_too_small_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_copy_stands_alone, setup, teardown),
        cmocka_unit_test(bounded_list_ends_at_what_the_contract_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
