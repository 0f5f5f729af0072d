/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "agent/ship/remote_config.h"

#include "common/codec/codec.h"
#include "sre.pb.h"

static slice encode(struct arena *arena, SLIDefinition *slis, size_t count, uint64_t revision) {
    struct fault fault;
    slice payload;
    AgentConfig config = {.revision = revision};
    config.slis.items = slis;
    config.slis.count = count;
    CHECK_OK(codec_encode_protobuf(&AgentConfig_desc, &config, arena, &payload, &fault));
    return payload;
}

TEST(each_kind_becomes_its_definition) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 22);
    slice names[1] = {SLICE_LIT("node")};
    SLIDefinition slis[5] = {{.slo_id = SLICE_LIT("ratio"), .has_spec = true},
                             {.slo_id = SLICE_LIT("bad"), .has_spec = true},
                             {.slo_id = SLICE_LIT("histogram"), .has_spec = true},
                             {.slo_id = SLICE_LIT("gauge"), .has_spec = true},
                             {.slo_id = SLICE_LIT("probe"), .has_spec = true}};
    slis[0].spec.which_kind = slis[1].spec.which_kind = SLISpec_counter_ratio_tag;
    slis[0].spec.kind.counter_ratio =
        (CounterRatioSLI){.good_selector = SLICE_LIT("req{code=\"200\"}"), .total_selector = SLICE_LIT("req")};
    slis[0].spec.targets.items = names;
    slis[0].spec.targets.count = 1;
    slis[1].spec.kind.counter_ratio =
        (CounterRatioSLI){.bad_selector = SLICE_LIT("req{code=~\"5..\"}"), .total_selector = SLICE_LIT("req")};
    slis[2].spec.which_kind = SLISpec_histogram_threshold_tag;
    slis[2].spec.kind.histogram_threshold = (HistogramThresholdSLI){
        .metric = SLICE_LIT("latency_seconds"), .matchers = SLICE_LIT("handler=\"/\""), .threshold = 0.25};
    slis[2].spec.window_seconds = 300;
    slis[3].spec.which_kind = SLISpec_gauge_threshold_tag;
    slis[3].spec.kind.gauge_threshold =
        (GaugeThresholdSLI){.selector = SLICE_LIT("free"), .comparison = COMPARISON_GREATER_OR_EQUAL, .threshold = 5};
    slis[4].spec.which_kind = SLISpec_probe_tag;
    slis[4].spec.kind.probe = (ProbeSLI){.kind = PROBE_KIND_HTTP,
                                         .endpoint = SLICE_LIT("http://x/"),
                                         .has_latency_max = true,
                                         .latency_max = {.nanos = 200000000}};
    struct remote_definitions read;
    CHECK_OK(remote_config_read(encode(arena, slis, 5, 7), 100, arena, &read, &fault));
    assert_string_equal(read.refusals, "");
    assert_int_equal(read.revision, 7);
    assert_int_equal(read.slis_count, 5);
    assert_int_equal(read.slis[0].kind, SLI_RATIO_GOOD);
    assert_int_equal(read.slis[0].window_seconds, 60);
    CHECK_SLICE(read.slis[0].targets[0], "node");
    assert_int_equal(read.slis[1].kind, SLI_RATIO_BAD);
    assert_int_equal(read.slis[2].kind, SLI_HISTOGRAM);
    assert_int_equal(read.slis[2].window_seconds, 300);
    CHECK_SLICE(read.slis[2].total, "latency_seconds{handler=\"/\"}");
    assert_int_equal(read.slis[3].operator, SLI_GREATER_EQUAL);
    assert_int_equal(read.slis[4].kind, SLI_PROBE);
    assert_int_equal(read.slis[4].latency_ms_max, 200);
    assert_int_equal(read.probes_count, 1);
    CHECK_SLICE(read.probes[0].name, "slo:probe");
    CHECK_SLICE(read.slis[4].targets[0], "slo:probe");
    assert_int_equal(read.probes[0].status_max, 399);
    arena_free(arena);
}

TEST(wrong_definition_is_named_and_the_others_are_taken) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 22);
    SLIDefinition slis[3] = {{.slo_id = SLICE_LIT("one"), .has_spec = true},
                             {.slo_id = SLICE_LIT("two"), .has_spec = true},
                             {.slo_id = SLICE_LIT("three"), .has_spec = true}};
    for (size_t i = 0; i < 3; i++) {
        slis[i].spec.which_kind = SLISpec_gauge_threshold_tag;
        slis[i].spec.kind.gauge_threshold =
            (GaugeThresholdSLI){.selector = SLICE_LIT("free"), .comparison = COMPARISON_LESS};
    }
    slis[1].spec.kind.gauge_threshold.selector = SLICE_LIT("free{");
    struct remote_definitions read;
    CHECK_OK(remote_config_read(encode(arena, slis, 3, 1), 100, arena, &read, &fault));
    assert_int_equal(read.slis_count, 2);
    assert_int_equal(read.refused, 1);
    assert_non_null(strstr(read.refusals, "SLO 'two'"));
    CHECK_FAULT(remote_config_read(encode(arena, slis, 3, 1), 2, arena, &read, &fault), FAULT_LIMIT);
    arena_free(arena);
}

TEST(wrong_probe_is_named_and_the_others_are_taken) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 22);
    const ProbeSLI probes[5] = {
        {.kind = PROBE_KIND_TCP, .endpoint = SLICE_LIT("db.example:5432")},
        {.kind = PROBE_KIND_TCP, .endpoint = SLICE_LIT("zzz")},
        {.kind = PROBE_KIND_HTTP, .endpoint = SLICE_LIT("file:///etc/passwd")},
        {.kind = PROBE_KIND_HTTP, .endpoint = SLICE_LIT("http://x/"), .status_min = 500, .status_max = 200},
        {.kind = PROBE_KIND_HTTP,
         .endpoint = SLICE_LIT("http://x/"),
         .has_latency_max = true,
         .latency_max = {.seconds = -5}}};
    SLIDefinition slis[5] = {{.slo_id = SLICE_LIT("right")},
                             {.slo_id = SLICE_LIT("address")},
                             {.slo_id = SLICE_LIT("scheme")},
                             {.slo_id = SLICE_LIT("statuses")},
                             {.slo_id = SLICE_LIT("latency")}};
    for (size_t i = 0; i < 5; i++) {
        slis[i].has_spec = true;
        slis[i].spec.which_kind = SLISpec_probe_tag;
        slis[i].spec.kind.probe = probes[i];
    }
    struct remote_definitions read;
    CHECK_OK(remote_config_read(encode(arena, slis, 5, 1), 100, arena, &read, &fault));
    assert_int_equal(read.slis_count, 1);
    assert_int_equal(read.probes_count, 1);
    assert_int_equal(read.refused, 4);
    assert_non_null(strstr(read.refusals, "'zzz' is not host:port"));
    assert_non_null(strstr(read.refusals, "SLO 'statuses'"));
    assert_non_null(strstr(read.refusals, "SLO 'latency'"));
    arena_free(arena);
}

TEST(bytes_that_are_no_configuration_are_refused) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 22);
    struct remote_definitions read;
    CHECK_FAULT(remote_config_read(SLICE_LIT("\x12\xff\xff"), 100, arena, &read, &fault), FAULT_INPUT);
    CHECK_FAULT(remote_config_read(SLICE_LIT(""), 100, arena, &read, &fault), FAULT_INPUT); /* revision 0 */
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_becomes_its_definition),
        cmocka_unit_test(wrong_definition_is_named_and_the_others_are_taken),
        cmocka_unit_test(wrong_probe_is_named_and_the_others_are_taken),
        cmocka_unit_test(bytes_that_are_no_configuration_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
