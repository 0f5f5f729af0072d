/* SPDX-License-Identifier: Apache-2.0
 * The two tables, the checks that hold for any intent, and ids that repeat. */
#include "aggregator/domain/domain.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

static const unsigned all_intents[] = {
#define INTENT(field, aggregate, id_field, id_rule, decider, who) SreDomainIntent_##field##_tag,
#include "aggregator/domain/intents.def"
#undef INTENT
};

TEST(every_number_has_one_row_and_others_have_none) {
    size_t rows = 0;
    for (unsigned which = 0; which < 300; which++) rows += intent_row_find(which) != NULL;
    assert_int_equal(rows, sizeof all_intents / sizeof *all_intents);
    assert_null(intent_row_find(0));
    assert_null(intent_row_find(UINT32_MAX));
    assert_string_equal(intent_row_find(SreDomainIntent_create_slo_tag)->name, "create_slo");
    assert_string_equal(fact_name(SreDomainFact_slo_created_tag), "slo_created");
    assert_null(fact_name(0));
    assert_null(fact_name(UINT32_MAX));
}

TEST(every_decided_intent_has_senders_and_a_kind_with_a_name) {
    for (size_t i = 0; i < sizeof all_intents / sizeof *all_intents; i++) {
        const struct intent_row *row = intent_row_find(all_intents[i]);
        assert_non_null(row->decide);
        assert_true(row->senders != 0);
        const char *name = aggregate_kind_name(row->kind);
        assert_int_equal(aggregate_kind_find(slice_from_text(name)), row->kind);
    }
    assert_int_equal(aggregate_kind_find(SLICE_LIT("none")), AGGREGATE_NONE);
    assert_int_equal(aggregate_kind_find(SLICE_LIT("slo2")), AGGREGATE_NONE);
    assert_string_equal(aggregate_kind_name((enum aggregate_kind)99), "none");
}

TEST(what_holds_no_intent_is_refused) {
    struct world *w = world_new(AGGREGATE_SERVICE, SLICE_LIT("s"));
    world_intent(w, 0);
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    world_free(w);
}

TEST(an_agent_may_only_report_what_it_measures) {
    for (size_t i = 0; i < sizeof all_intents / sizeof *all_intents; i++) {
        const struct intent_row *row = intent_row_find(all_intents[i]);
        const bool measures = all_intents[i] == SreDomainIntent_record_sli_window_tag ||
                              all_intents[i] == SreDomainIntent_record_health_check_tag ||
                              all_intents[i] == SreDomainIntent_record_fleet_state_tag ||
                              all_intents[i] == SreDomainIntent_ingest_alert_tag;
        assert_int_equal((row->senders & AGENTS) != 0, measures);
        if (measures) continue;
        struct world *w = world_new(row->kind, SLICE_LIT("x"));
        world_intent(w, all_intents[i]);
        CHECK_FAULT(world_give_at(w, 0, AGENTS), FAULT_DENIED);
        world_free(w);
    }
}

TEST(the_expected_version_must_be_the_present_one) {
    struct world *w = world_new(AGGREGATE_INCIDENT, SLICE_LIT("inc-1"));
    world_intent(w, SreDomainIntent_create_incident_tag);
    CHECK_FAULT(world_give_at(w, 1, PERSONS), FAULT_CONFLICT);
    assert_int_equal(world_give_at(w, 0, PERSONS), FAULT_NONE);
    world_intent(w, SreDomainIntent_acknowledge_incident_tag);
    CHECK_FAULT(world_give_at(w, 2, PERSONS), FAULT_CONFLICT);
    assert_non_null(strstr(w->fault.text, "at version 1, the sender saw 2"));
    assert_int_equal(world_give_at(w, 1, PERSONS), FAULT_NONE);
    world_free(w);
}

TEST(a_missing_id_is_made_where_the_table_says_so) {
    struct world *w = world_new(AGGREGATE_INCIDENT, SLICE_LIT("x"));
    slice id;
    world_intent(w, SreDomainIntent_create_incident_tag);
    assert_int_equal(intent_aggregate_id(&w->intent, &w->call, &id, &w->fault), FAULT_NONE);
    assert_int_equal(id.size, UUID_TEXT_SIZE);
    world_intent(w, SreDomainIntent_close_incident_tag);
    CHECK_FAULT(intent_aggregate_id(&w->intent, &w->call, &id, &w->fault), FAULT_INPUT);
    static char long_id[129];
    memset(long_id, 'a', 129);
    w->intent.intent.close_incident.incident_id = slice_of(long_id, 129);
    CHECK_FAULT(intent_aggregate_id(&w->intent, &w->call, &id, &w->fault), FAULT_INPUT);
    world_free(w);
}

TEST(an_alert_cannot_bring_an_id_of_its_own) {
    struct world *w = world_new(AGGREGATE_ALERT, SLICE_LIT("x"));
    slice id;
    IngestAlertRequested *r = &world_intent(w, SreDomainIntent_ingest_alert_tag)->intent.ingest_alert;
    r->source = ALERT_SOURCE_PROMETHEUS;
    r->fingerprint = SLICE_LIT("f1");
    assert_int_equal(intent_aggregate_id(&w->intent, &w->call, &id, &w->fault), FAULT_NONE);
    CHECK_SLICE(id, "prometheus.f1");
    r->alert_id = SLICE_LIT("prometheus.f1");
    assert_int_equal(intent_aggregate_id(&w->intent, &w->call, &id, &w->fault), FAULT_NONE);
    r->alert_id = SLICE_LIT("prometheus.f2");
    CHECK_FAULT(intent_aggregate_id(&w->intent, &w->call, &id, &w->fault), FAULT_INPUT);
    world_free(w);
}

TEST(ids_repeat_by_their_seed_and_not_otherwise) {
    struct domain_ids one, two, other;
    domain_ids_seed(&one, 1);
    domain_ids_seed(&two, 1);
    domain_ids_seed(&other, 2);
    struct uuid last = {{0}};
    for (int i = 0; i < 1000; i++) {
        const struct uuid a = domain_ids_next(&one, DOMAIN_NOW_MS), b = domain_ids_next(&two, DOMAIN_NOW_MS);
        assert_true(uuid_equal(a, b));
        assert_false(uuid_equal(a, last));
        assert_false(uuid_equal(a, domain_ids_next(&other, DOMAIN_NOW_MS)));
        last = a;
    }
}

TEST(times_go_there_and_back_before_1970_too) {
    static const int64_t times[] = {0, 1, 999, 1000, -1, -999, -1000, -1001, DOMAIN_NOW_MS + 123};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        assert_int_equal(domain_ms(domain_time(times[i])), times[i]);
        assert_true(domain_time(times[i]).nanos >= 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_has_one_row_and_others_have_none),
        cmocka_unit_test(every_decided_intent_has_senders_and_a_kind_with_a_name),
        cmocka_unit_test(what_holds_no_intent_is_refused),
        cmocka_unit_test(an_agent_may_only_report_what_it_measures),
        cmocka_unit_test(the_expected_version_must_be_the_present_one),
        cmocka_unit_test(a_missing_id_is_made_where_the_table_says_so),
        cmocka_unit_test(an_alert_cannot_bring_an_id_of_its_own),
        cmocka_unit_test(ids_repeat_by_their_seed_and_not_otherwise),
        cmocka_unit_test(times_go_there_and_back_before_1970_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
