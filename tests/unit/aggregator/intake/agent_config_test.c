/* SPDX-License-Identifier: Apache-2.0
 * What an agent is told to measure: the SLOs that name it, or nobody; and a revision that says when that changed. */
#include "aggregator/intake/agent_config.h"
#include "tests/unit/aggregator/journal/journal_fixture.h"

static AgentConfig config(struct place *place, const char *tenant, const char *agent) {
    struct fault fault;
    slice payload;
    uint64_t revision;
    AgentConfig message;
    CHECK_OK(agent_config_encode(place->journal, slice_from_text(tenant), slice_from_text(agent), place->arena,
                                 &payload, &revision, &fault));
    CHECK_OK(codec_decode_protobuf(&AgentConfig_desc, payload, place->arena, &message, &fault));
    CHECK_OK(codec_validate(&AgentConfig_desc, &message, &fault));
    assert_int_equal(message.revision, revision);
    return message;
}

static void create(struct place *place, const char *id, slice *agents, size_t agents_count) {
    SreDomainIntent intent = place_slo_intent(id);
    intent.intent.create_slo.agents.items = agents;
    intent.intent.create_slo.agents.count = agents_count;
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
}

static void update(struct place *place, const char *id, double target) {
    const SreDomainIntent created = place_slo_intent(id);
    const CreateSLORequested *from = &created.intent.create_slo;
    SreDomainIntent intent = {.which_intent = SreDomainIntent_update_slo_tag};
    intent.intent.update_slo = (UpdateSLORequested){.slo_id = from->slo_id,
                                                    .name = from->name,
                                                    .target = target,
                                                    .window = from->window,
                                                    .has_sli_spec = true,
                                                    .sli_spec = from->sli_spec};
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
}

TEST(without_slos_there_is_nothing_to_measure) {
    struct place *place = place_opened();
    const AgentConfig none = config(place, "acme", "edge-1");
    assert_int_equal(none.slis.count, 0);
    assert_true(none.revision >= 1);
    assert_true(none.revision == config(place, "acme", "edge-2").revision);
    place_free(place);
}

TEST(an_agent_gets_the_slos_that_name_it_or_nobody_of_its_tenant) {
    struct place *place = place_opened();
    slice one[] = {SLICE_LIT("edge-1")}, others[] = {SLICE_LIT("edge-2"), SLICE_LIT("edge-3")};
    create(place, "everybody", NULL, 0);
    create(place, "first", one, 1);
    create(place, "others", others, 2);
    const AgentConfig first = config(place, "acme", "edge-1");
    assert_int_equal(first.slis.count, 2);
    CHECK_SLICE(first.slis.items[0].slo_id, "everybody");
    CHECK_SLICE(first.slis.items[1].slo_id, "first");
    assert_int_equal(first.slis.items[0].spec.window_seconds, 60);
    CHECK_SLICE(first.slis.items[0].spec.kind.counter_ratio.total_selector, "http_requests_total");
    assert_int_equal(config(place, "acme", "edge-3").slis.count, 2);
    assert_int_equal(config(place, "acme", "edge-33").slis.count, 1);
    assert_int_equal(config(place, "other", "edge-1").slis.count, 0);
    place_free(place);
}

TEST(the_revision_changes_with_definitions_only) {
    struct place *place = place_opened();
    create(place, "a", NULL, 0);
    const uint64_t first = config(place, "acme", "edge-1").revision;
    place->now_ms += 10000;
    const SreDomainIntent window = place_window_intent("a", 1, 1);
    const slice intent = place_intent(place, &window);
    assert_int_equal(place_batch(place, 0, 1, &intent, 1)->applied, 1);
    assert_int_equal(config(place, "acme", "edge-1").revision, first);
    place_reopen(place);
    assert_int_equal(config(place, "acme", "edge-1").revision, first);
    update(place, "a", 98);
    const uint64_t second = config(place, "acme", "edge-1").revision;
    assert_true(second != first);
    place->now_ms += 1;
    create(place, "b", NULL, 0);
    const uint64_t third = config(place, "acme", "edge-1").revision;
    assert_true(third != second && third != first);
    place_free(place);
}

/* Two changes in one millisecond, or after the clock was set back, are changes all the same. */
TEST(each_change_has_its_revision_whatever_the_clock_does) {
    struct place *place = place_opened();
    create(place, "a", NULL, 0);
    create(place, "b", NULL, 0);
    uint64_t seen[7] = {config(place, "acme", "edge-1").revision};
    for (size_t i = 1; i < 7; i++) {
        if (i == 4) place->now_ms -= 3600 * 1000;
        update(place, i % 2 ? "a" : "b", 90 + (double)i);
        seen[i] = config(place, "acme", "edge-1").revision;
        for (size_t before = 0; before < i; before++) assert_true(seen[i] != seen[before]);
    }
    place_free(place);
}

static uint64_t revision_of_target(double target) {
    struct place *place = place_opened();
    SreDomainIntent intent = place_slo_intent("a");
    intent.intent.create_slo.target = target;
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
    const uint64_t revision = config(place, "acme", "edge-1").revision;
    place_free(place);
    return revision;
}

/* As when another version of the aggregator tells more of the same definitions. */
TEST(another_content_has_another_revision_though_no_definition_was_changed_since) {
    assert_true(revision_of_target(95) != revision_of_target(96));
    assert_true(revision_of_target(95) == revision_of_target(95));
}

TEST(the_slos_of_other_agents_do_not_touch_the_revision) {
    struct place *place = place_opened();
    slice others[] = {SLICE_LIT("edge-2")};
    create(place, "a", NULL, 0);
    const AgentConfig before = config(place, "acme", "edge-1");
    place->now_ms += 1000;
    create(place, "others", others, 1);
    const AgentConfig after = config(place, "acme", "edge-1");
    assert_true(after.revision == before.revision);
    assert_int_equal(after.changed_at.seconds, before.changed_at.seconds);
    assert_true(config(place, "acme", "edge-2").revision != before.revision);
    place_free(place);
}

TEST(many_slos_come_whole_or_with_what_to_do) {
    struct place *place = place_opened();
    enum { SLOS = 1200 };
    for (int i = 0; i < SLOS; i++) {
        char id[16];
        snprintf(id, sizeof id, "slo-%04d", i);
        create(place, id, NULL, 0);
    }
    const AgentConfig all = config(place, "acme", "edge-1");
    assert_int_equal(all.slis.count, SLOS);
    CHECK_SLICE(all.slis.items[SLOS - 1].slo_id, "slo-1199");
    static char selector[1024];
    memset(selector, 'x', 1023);
    for (int i = 0; i < 600; i++) {
        char id[16];
        snprintf(id, sizeof id, "large-%04d", i);
        SreDomainIntent intent = place_slo_intent(id);
        intent.intent.create_slo.sli_spec.kind.counter_ratio.total_selector = slice_from_text(selector);
        intent.intent.create_slo.sli_spec.kind.counter_ratio.bad_selector = slice_from_text(selector);
        assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
    }
    struct fault fault;
    slice payload;
    uint64_t revision;
    CHECK_FAULT(agent_config_encode(place->journal, SLICE_LIT("acme"), SLICE_LIT("edge-1"), place->arena, &payload,
                                    &revision, &fault),
                FAULT_LIMIT);
    assert_non_null(strstr(fault.text, "agents"));
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_slos_there_is_nothing_to_measure),
        cmocka_unit_test(an_agent_gets_the_slos_that_name_it_or_nobody_of_its_tenant),
        cmocka_unit_test(the_revision_changes_with_definitions_only),
        cmocka_unit_test(each_change_has_its_revision_whatever_the_clock_does),
        cmocka_unit_test(another_content_has_another_revision_though_no_definition_was_changed_since),
        cmocka_unit_test(the_slos_of_other_agents_do_not_touch_the_revision),
        cmocka_unit_test(many_slos_come_whole_or_with_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
