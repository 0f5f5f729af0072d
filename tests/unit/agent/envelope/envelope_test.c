/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "agent/envelope/envelope.h"

#include "agent/ship/agent_report.h"
#include "common/base/uuid.h"
#include "common/codec/codec.h"
#include "sre.pb.h"

static const struct envelope envelope = {{(const uint8_t *)"acme", 4},
                                         {(const uint8_t *)"edge-1", 6},
                                         {(const uint8_t *)"c1", 2},
                                         {(const uint8_t *)"prod", 4}};

TEST(window_is_an_intent_that_the_contract_takes) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 20);
    const struct sli_window window = {SLICE_LIT("api"), 1700000040000, 60, 990, 1000, 4, 3, 2};
    char traceparent[TRACEPARENT_TEXT_SIZE + 1];
    slice bytes;
    SreDomainIntent intent;
    struct uuid id;
    envelope_traceparent(traceparent);
    CHECK_OK(envelope_window(&envelope, &window, traceparent, arena, &bytes, &fault));
    CHECK_OK(codec_decode_protobuf(&SreDomainIntent_desc, bytes, arena, &intent, &fault));
    CHECK_OK(codec_validate(&SreDomainIntent_desc, &intent, &fault));
    assert_true(uuid_parse(intent.meta.message_id, &id));
    assert_int_equal(id.bytes[6] >> 4, 7);
    CHECK_SLICE(intent.meta.tenant_id, "acme");
    CHECK_SLICE(intent.meta.producer, "edge-1");
    CHECK_SLICE(intent.meta.cluster_id, "c1");
    CHECK_SLICE(intent.meta.environment_id, "prod");
    CHECK_SLICE(intent.meta.traceparent, traceparent);
    assert_int_equal(intent.meta.schema_version, 1);
    assert_int_equal(intent.meta.occurred_at.seconds, 1700000100);
    CHECK_SLICE(intent.subject.aggregate_type, "slo");
    CHECK_SLICE(intent.subject.aggregate_id, "api");
    assert_int_equal(intent.which_intent, SreDomainIntent_record_sli_window_tag);
    const RecordSLIWindowRequested *record = &intent.intent.record_sli_window;
    assert_int_equal(record->window_start.seconds, 1700000040);
    assert_int_equal(record->window_seconds, 60);
    assert_int_equal(record->good, 990);
    assert_int_equal(record->total, 1000);
    assert_int_equal(record->scrapes_expected, 4);
    assert_int_equal(record->scrapes_seen, 3);
    assert_int_equal(record->revision, 2);
    const struct sli_window nameless = {.window_start_ms = 0, .window_seconds = 60, .revision = 1};
    CHECK_FAULT(envelope_window(&envelope, &nameless, traceparent, arena, &bytes, &fault), FAULT_INPUT);
    arena_free(arena);
}

TEST(observation_is_an_intent_that_the_contract_takes) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 20);
    struct health_observation observation = {
        SLICE_LIT("web"), HEALTH_UNKNOWN, HEALTH_HEALTHY, true, 1700000000123, -1, "nothing was observed for 2m"};
    const struct envelope_resource resource = {SLICE_LIT("endpoint"), SLICE_LIT("http://x/"), true, 300000};
    char traceparent[TRACEPARENT_TEXT_SIZE + 1];
    slice bytes;
    SreDomainIntent intent;
    envelope_traceparent(traceparent);
    CHECK_OK(envelope_health(&envelope, &observation, &resource, traceparent, 1700000001000, arena, &bytes, &fault));
    CHECK_OK(codec_decode_protobuf(&SreDomainIntent_desc, bytes, arena, &intent, &fault));
    CHECK_OK(codec_validate(&SreDomainIntent_desc, &intent, &fault));
    const RecordHealthCheckRequested *record = &intent.intent.record_health_check;
    assert_int_equal(record->status, HEALTH_STATUS_UNKNOWN);
    assert_int_equal(record->source, HEALTH_SOURCE_PROBE);
    assert_int_equal(record->timestamp.seconds, 1700000000);
    assert_int_equal(record->timestamp.nanos, 123000000);
    assert_int_equal(record->expires_at.seconds, 1700000001 + 900);
    CHECK_SLICE(record->resource_ref.id, "http://x/");
    CHECK_SLICE(record->message, "nothing was observed for 2m");
    arena_free(arena);
}

TEST(report_is_cut_to_what_the_contract_takes) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 20);
    char error[2000] = "";
    for (size_t i = 0; i + 3 < sizeof error; i += 2) memcpy(error + i, "\xc3\xa9", 2);
    const struct target_report target = {SLICE_LIT("node"), false, 1700000000000, 1500, 12, error};
    struct watch_report watches[70];
    for (size_t i = 0; i < 70; i++)
        watches[i] = (struct watch_report){
            .cluster = SLICE_LIT("k1"), .resource = "deployments", .group = "apps", .denied = true, .error = error};
    watches[1].resource = watches[1].group = "";
    watches[2] = (struct watch_report){SLICE_LIT("k1"), SLICE_LIT("shop"), "pods", "", false, 1700000000000, "cut off"};
    const struct agent_report report = {.tenant = envelope.tenant,
                                        .agent = envelope.producer,
                                        .cluster_id = envelope.cluster_id,
                                        .now_ms = 1700000000000,
                                        .config_error = error,
                                        .store_error = error,
                                        .targets = &target,
                                        .targets_count = 1,
                                        .watches = watches,
                                        .watches_count = 70};
    slice bytes;
    AgentStatus status;
    CHECK_OK(agent_report_encode(&report, arena, &bytes, &fault));
    CHECK_OK(codec_decode_protobuf(&AgentStatus_desc, bytes, arena, &status, &fault));
    CHECK_OK(codec_validate(&AgentStatus_desc, &status, &fault));
    assert_int_equal(status.targets.count, 1);
    assert_int_equal(status.targets.items[0].last_scrape_took.nanos, 500000000);
    assert_int_equal(status.store_error.size, 1000);
    assert_int_equal(status.dark_watches.count, 64);
    const WatchStatus *const dark = status.dark_watches.items;
    CHECK_SLICE(dark[0].resource, "deployments.apps");
    assert_int_equal(dark[0].state, WATCH_STATE_DENIED);
    assert_int_equal(dark[0].error.size, 500);
    assert_false(dark[0].has_current_at);
    assert_int_equal(dark[1].state, WATCH_STATE_NO_ACCESS);
    CHECK_SLICE(dark[1].resource, "");
    assert_int_equal(dark[2].state, WATCH_STATE_STALE);
    CHECK_SLICE(dark[2].namespace, "shop");
    assert_int_equal(dark[2].current_at.seconds, 1700000000);
    assert_false(status.online);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_is_an_intent_that_the_contract_takes),
        cmocka_unit_test(observation_is_an_intent_that_the_contract_takes),
        cmocka_unit_test(report_is_cut_to_what_the_contract_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
