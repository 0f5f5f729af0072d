/* SPDX-License-Identifier: Apache-2.0
 * Commands: what is committed, repeated, refused; reading back; what is still there after closing. */
#include "tests/unit/aggregator/journal/journal_fixture.h"

#define ACME SLICE_LIT("acme")

static struct journal_command by_anna(slice intent) {
    return (struct journal_command){.caller = {.tenant = ACME, .actor = SLICE_LIT("anna"), .role = ROLE_RESPONDER},
                                    .intent = intent};
}

static slice close_intent(struct place *place, const char *id) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_resolve_incident_tag};
    intent.intent.resolve_incident.incident_id = slice_from_text(id);
    intent.intent.resolve_incident.resolution = SLICE_LIT("rolled back");
    return place_intent(place, &intent);
}

static slice incident(struct place *place, const char *id) {
    const SreDomainIntent intent = place_incident_intent(id);
    return place_intent(place, &intent);
}

TEST(a_command_is_committed_and_read_back) {
    struct place *place = place_opened();
    const struct journal_outcome *outcome = place_give(place, incident(place, "inc-1"));
    assert_int_equal(outcome->result, JOURNAL_COMMITTED);
    CHECK_SLICE(outcome->aggregate_type, "incident");
    CHECK_SLICE(outcome->aggregate_id, "inc-1");
    assert_int_equal(outcome->aggregate_version, 1);
    assert_int_equal(outcome->last_sequence, 1);
    struct fault fault;
    slice stored;
    CHECK_OK(
        journal_get(place->journal, ACME, SLICE_LIT("incident"), SLICE_LIT("inc-1"), place->arena, &stored, &fault));
    assert_true(slice_equal(stored, outcome->aggregate));
    size_t count;
    const struct fact_view *facts = place_facts(place, &count);
    assert_int_equal(count, 1);
    CHECK_SLICE(facts[0].tenant, "acme");
    assert_int_equal(facts[0].fact_number, SreDomainFact_incident_created_tag);
    assert_int_equal(facts[0].committed_ms, JOURNAL_NOW_MS);
    SreDomainFact fact;
    CHECK_OK(codec_decode_protobuf(&SreDomainFact_desc, facts[0].bytes, place->arena, &fact, &fault));
    assert_int_equal(fact.sequence, 1);
    CHECK_SLICE(fact.meta.producer, "anna");
    assert_true(slice_equal(fact.meta.message_id, facts[0].message_id));
    assert_int_equal(fact.meta.causation_id.size, UUID_TEXT_SIZE);
    CHECK_OK(codec_validate(&SreDomainFact_desc, &fact, &fault));
    place_free(place);
}

TEST(what_was_answered_is_there_after_closing) {
    struct place *place = place_opened();
    place_give(place, incident(place, "inc-1"));
    place_give(place, close_intent(place, "inc-1"));
    place_reopen(place);
    assert_int_equal(journal_last_sequence(place->journal), 2);
    const struct journal_outcome *outcome = place_give(place, close_intent(place, "inc-1"));
    assert_int_equal(outcome->result, JOURNAL_REFUSED);
    assert_int_equal(outcome->fault.code, FAULT_CONFLICT);
    assert_int_equal(outcome->aggregate_version, 2);
    assert_int_equal(place_verify_chain(place), 2);
    place_verify_versions(place);
    place_free(place);
}

TEST(the_expected_version_is_checked) {
    struct place *place = place_opened();
    place_give(place, incident(place, "inc-1"));
    struct journal_command command = by_anna(close_intent(place, "inc-1"));
    command.expected_version = 7;
    assert_int_equal(place_command(place, command)->result, JOURNAL_REFUSED);
    assert_int_equal(place->outcome.fault.code, FAULT_CONFLICT);
    command.expected_version = 1;
    assert_int_equal(place_command(place, command)->result, JOURNAL_COMMITTED);
    /* The envelope may say it as well. */
    SreDomainIntent intent = {.which_intent = SreDomainIntent_close_incident_tag, .has_subject = true};
    intent.subject.aggregate_version = 1;
    intent.intent.close_incident.incident_id = SLICE_LIT("inc-1");
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_REFUSED);
    intent.subject.aggregate_version = 2;
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
    place_free(place);
}

TEST(an_idempotency_key_gives_the_first_outcome_again) {
    struct place *place = place_opened();
    struct journal_command command = by_anna(incident(place, ""));
    command.idempotency_key = SLICE_LIT("key-1");
    const slice id = place_command(place, command)->aggregate_id;
    assert_int_equal(place->outcome.result, JOURNAL_COMMITTED);
    place_reopen(place);
    place_command(place, command);
    assert_int_equal(place->outcome.result, JOURNAL_REPEATED);
    assert_true(slice_equal(place->outcome.aggregate_id, id));
    assert_int_equal(place->outcome.last_sequence, 1);
    assert_true(place->outcome.aggregate.size > 0);
    command.caller.actor = SLICE_LIT("ben"); /* another caller's key is another key */
    place_command(place, command);
    assert_int_equal(place->outcome.result, JOURNAL_COMMITTED);
    assert_false(slice_equal(place->outcome.aggregate_id, id));
    command.caller.tenant = SLICE_LIT("other");
    assert_int_equal(place_command(place, command)->result, JOURNAL_COMMITTED);
    assert_int_equal(journal_last_sequence(place->journal), 3);
    place_free(place);
}

/* A client that writes its maps in another order each time tries again: it is the same request. */
TEST(an_idempotency_key_does_not_mind_the_order_of_labels) {
    struct place *place = place_opened();
    CreateIncidentRequested_LabelsEntry labels[] = {{SLICE_LIT("team"), SLICE_LIT("shop")},
                                                    {SLICE_LIT("region"), SLICE_LIT("eu")}};
    SreDomainIntent intent = place_incident_intent("inc-1");
    intent.intent.create_incident.labels.items = labels;
    intent.intent.create_incident.labels.count = 2;
    struct journal_command command = by_anna(place_intent(place, &intent));
    command.idempotency_key = SLICE_LIT("key-1");
    assert_int_equal(place_command(place, command)->result, JOURNAL_COMMITTED);
    const CreateIncidentRequested_LabelsEntry first = labels[0];
    labels[0] = labels[1];
    labels[1] = first;
    command.intent = place_intent(place, &intent);
    assert_int_equal(place_command(place, command)->result, JOURNAL_REPEATED);
    labels[0].value = SLICE_LIT("us"); /* another request it is when another thing is asked for */
    command.intent = place_intent(place, &intent);
    assert_int_equal(place_command(place, command)->result, JOURNAL_REFUSED);
    place_free(place);
}

/* Else a producer that gives an id twice would be told that all is well, and what it said the second time be lost. */
TEST(a_message_id_is_for_one_intent) {
    struct place *place = place_opened();
    SreDomainIntent intent = place_incident_intent("inc-1");
    intent.has_meta = true;
    intent.meta.message_id = SLICE_LIT("0190a3c1-7a5e-7000-8000-000000000001");
    struct journal_command command = by_anna(place_intent(place, &intent));
    assert_int_equal(place_command(place, command)->result, JOURNAL_COMMITTED);
    assert_int_equal(place_command(place, command)->result, JOURNAL_REPEATED);
    intent.intent.create_incident.incident_id = SLICE_LIT("inc-2");
    command.intent = place_intent(place, &intent);
    assert_int_equal(place_command(place, command)->result, JOURNAL_REFUSED);
    assert_int_equal(place->outcome.fault.code, FAULT_CONFLICT);
    assert_non_null(strstr(place->outcome.fault.text, "was another intent, about incident 'inc-1'"));
    place_free(place);
}

TEST(an_idempotency_key_is_for_one_request) {
    struct place *place = place_opened();
    struct journal_command command = by_anna(close_intent(place, "inc-1"));
    command.idempotency_key = SLICE_LIT("key-1");
    assert_int_equal(place_command(place, command)->fault.code, FAULT_ABSENT); /* refused: not marked */
    command.intent = incident(place, "inc-1");
    assert_int_equal(place_command(place, command)->result, JOURNAL_COMMITTED);
    command.intent = close_intent(place, "inc-1");
    assert_int_equal(place_command(place, command)->result, JOURNAL_REFUSED);
    assert_int_equal(place->outcome.fault.code, FAULT_CONFLICT);
    assert_non_null(strstr(place->outcome.fault.text, "Idempotency-Key"));
    place->now_ms += INT64_C(8) * 24 * 3600 * 1000; /* marks are kept for seven days */
    place_give(place, incident(place, "inc-2"));
    assert_int_equal(place_command(place, command)->result, JOURNAL_COMMITTED);
    place_free(place);
}

TEST(a_message_id_has_an_effect_once) {
    struct place *place = place_opened();
    SreDomainIntent intent = place_incident_intent("");
    intent.has_meta = true;
    intent.meta.message_id = SLICE_LIT("0190a5c0-7e1f-7000-8000-00000000aaaa");
    const slice bytes = place_intent(place, &intent);
    assert_int_equal(place_give(place, bytes)->result, JOURNAL_COMMITTED);
    const slice id = place->outcome.aggregate_id;
    for (int i = 0; i < 3; i++) {
        place_reopen(place);
        assert_int_equal(place_give(place, bytes)->result, JOURNAL_REPEATED);
        assert_true(slice_equal(place->outcome.aggregate_id, id));
    }
    assert_int_equal(journal_last_sequence(place->journal), 1);
    place_free(place);
}

TEST(an_envelope_of_another_tenant_is_refused_and_kept) {
    struct place *place = place_opened();
    SreDomainIntent intent = place_incident_intent("inc-1");
    intent.has_meta = true;
    intent.meta.tenant_id = SLICE_LIT("other");
    const slice bytes = place_intent(place, &intent);
    assert_int_equal(place_give(place, bytes)->result, JOURNAL_REFUSED);
    assert_int_equal(place->outcome.fault.code, FAULT_DENIED);
    assert_int_equal(place_stats(place).wrong_tenant, 1);
    struct journal_rejection *items;
    assert_int_equal(place_rejections(place, "other", &items), 0);
    assert_int_equal(place_rejections(place, "acme", &items), 1);
    assert_int_equal(items[0].code, FAULT_DENIED);
    assert_true(slice_equal(items[0].payload, bytes)); /* whole */
    CHECK_SLICE(items[0].producer, "anna");
    assert_int_equal(journal_last_sequence(place->journal), 0);
    place_free(place);
}

TEST(what_is_wrong_is_refused_with_the_place_of_it) {
    struct place *place = place_opened();
    assert_int_equal(place_give(place, SLICE_LIT("\xff\xff not protobuf"))->fault.code, FAULT_INPUT);
    SreDomainIntent intent = place_incident_intent("inc-1");
    intent.intent.create_incident.title = (slice){0};
    assert_int_equal(place_give(place, place_intent(place, &intent))->fault.code, FAULT_INPUT);
    assert_non_null(strstr(place->outcome.fault.text, "create_incident.title"));
    intent = place_incident_intent("../../etc");
    assert_int_equal(place_give(place, place_intent(place, &intent))->fault.code, FAULT_INPUT);
    intent = place_incident_intent("inc-1");
    intent.has_subject = true;
    intent.subject.aggregate_type = SLICE_LIT("slo");
    assert_int_equal(place_give(place, place_intent(place, &intent))->fault.code, FAULT_INPUT);
    intent = (SreDomainIntent){.which_intent = SreDomainIntent_create_service_tag};
    assert_int_equal(place_give(place, place_intent(place, &intent))->fault.code, FAULT_INPUT);
    struct journal_command command = by_anna(incident(place, "inc-1"));
    command.caller.role = ROLE_AGENT;
    assert_int_equal(place_command(place, command)->fault.code, FAULT_DENIED);
    struct journal_rejection *items;
    assert_int_equal(place_rejections(place, "acme", &items), 6);
    assert_int_equal(items[0].code, FAULT_DENIED); /* newest first */
    assert_int_equal(items[0].sequence, 6);
    assert_int_equal(items[5].sequence, 1);
    assert_int_equal(place_stats(place).refused, 6);
    place_free(place);
}

TEST(tenants_do_not_see_each_other) {
    struct place *place = place_opened();
    place_give(place, incident(place, "inc-1"));
    struct fault fault;
    slice bytes;
    CHECK_FAULT(journal_get(place->journal, SLICE_LIT("other"), SLICE_LIT("incident"), SLICE_LIT("inc-1"), place->arena,
                            &bytes, &fault),
                FAULT_ABSENT);
    struct journal_command command = by_anna(incident(place, "inc-1"));
    command.caller.tenant = SLICE_LIT("other");
    assert_int_equal(place_command(place, command)->result, JOURNAL_COMMITTED); /* its own inc-1 */
    command.intent = close_intent(place, "inc-1");
    assert_int_equal(place_command(place, command)->aggregate_version, 2);
    CHECK_OK(
        journal_get(place->journal, ACME, SLICE_LIT("incident"), SLICE_LIT("inc-1"), place->arena, &bytes, &fault));
    Incident mine;
    CHECK_OK(codec_decode_protobuf(&Incident_desc, bytes, place->arena, &mine, &fault));
    assert_int_equal(mine.status, INCIDENT_STATUS_OPEN);
    CHECK_FAULT(journal_get(place->journal, ACME, SLICE_LIT("nothing"), SLICE_LIT("x"), place->arena, &bytes, &fault),
                FAULT_INPUT);
    place_free(place);
}

TEST(lists_come_in_pages_in_the_order_of_ids) {
    struct place *place = place_opened();
    for (int i = 24; i >= 0; i--) {
        char id[16];
        snprintf(id, sizeof id, "inc-%02d", i);
        place_give(place, incident(place, id));
    }
    const SreDomainIntent slo = place_slo_intent("inc-slo");
    place_give(place, place_intent(place, &slo));
    struct fault fault;
    slice after = {0};
    int seen = 0;
    bool more = true;
    while (more) {
        struct journal_item *items;
        size_t count;
        CHECK_OK(journal_list(place->journal, ACME, SLICE_LIT("incident"), after, 10, place->arena, &items, &count,
                              &more, &fault));
        for (size_t i = 0; i < count; i++) {
            char id[16];
            snprintf(id, sizeof id, "inc-%02d", seen++);
            CHECK_SLICE(items[i].id, id);
            assert_int_equal(items[i].version, 1);
        }
        assert_int_equal(count, more ? 10 : 5);
        after = items[count - 1].id;
    }
    assert_int_equal(seen, 25);
    struct journal_item *items;
    size_t count;
    CHECK_OK(journal_list(place->journal, SLICE_LIT("nobody"), SLICE_LIT("slo"), (slice){0}, 10, place->arena, &items,
                          &count, &more, &fault));
    assert_int_equal(count, 0);
    assert_false(more);
    CHECK_OK(journal_list(place->journal, ACME, SLICE_LIT("incident"), SLICE_LIT("inc-05-and-a-half"), 1, place->arena,
                          &items, &count, &more, &fault)); /* a token whose id is gone */
    CHECK_SLICE(items[0].id, "inc-06");
    place_free(place);
}

TEST(facts_come_in_order_and_in_portions) {
    struct place *place = place_opened();
    for (int i = 0; i < 10; i++) place_give(place, incident(place, ""));
    struct fault fault;
    struct fact_view *facts;
    size_t count;
    CHECK_OK(journal_facts(place->journal, 4, 3, SIZE_MAX, place->arena, &facts, &count, &fault));
    assert_int_equal(count, 3);
    assert_int_equal(facts[0].sequence, 5);
    CHECK_OK(journal_facts(place->journal, 4, 100, 1, place->arena, &facts, &count, &fault));
    assert_int_equal(count, 1); /* at least one, however large */
    CHECK_OK(journal_facts(place->journal, 10, 100, 1000, place->arena, &facts, &count, &fault));
    assert_int_equal(count, 0);
    CHECK_OK(journal_facts(place->journal, UINT64_MAX, 100, 1000, place->arena, &facts, &count, &fault));
    assert_int_equal(count, 0);
    place_free(place);
}

TEST(rejections_are_paged_and_bounded) {
    struct place *place = place_new();
    place->settings.rejections_max = 20;
    place_open(place);
    struct fault fault;
    for (int i = 1; i <= 30; i++) {
        char text[16];
        snprintf(text, sizeof text, "payload %d", i);
        CHECK_OK(journal_submit_rejection(place->journal, i % 2 ? ACME : SLICE_LIT("acme2"), SLICE_LIT("edge-1"),
                                          FAULT_INPUT, SLICE_LIT("cannot be read"), slice_from_text(text), &fault));
    }
    place_give(place, incident(place, "inc-1")); /* behind them in the queue */
    place_reopen(place);
    assert_int_equal(place_stats(place).rejections, 20);
    struct journal_rejection *items;
    size_t count;
    CHECK_OK(journal_rejections(place->journal, ACME, 0, 4, place->arena, &items, &count, &fault));
    assert_int_equal(count, 4);
    assert_int_equal(items[0].sequence, 29);
    CHECK_SLICE(items[0].payload, "payload 29");
    CHECK_SLICE(items[0].reason, "cannot be read");
    assert_int_equal(items[3].sequence, 23);
    CHECK_OK(journal_rejections(place->journal, ACME, items[3].sequence, 100, place->arena, &items, &count, &fault));
    assert_int_equal(count, 6); /* 21, 19 ... 11: older ones are gone */
    assert_int_equal(items[5].sequence, 11);
    CHECK_OK(journal_rejections(place->journal, SLICE_LIT("acme2"), 0, 100, place->arena, &items, &count, &fault));
    assert_int_equal(count, 10);
    CHECK_OK(journal_rejections(place->journal, SLICE_LIT("acm"), 0, 100, place->arena, &items, &count, &fault));
    assert_int_equal(count, 0);
    place_free(place);
}

TEST(a_tenant_that_floods_the_rejections_pushes_out_its_own_only) {
    struct place *place = place_new();
    place->settings.rejections_max = 20;
    place_open(place);
    struct fault fault;
    struct journal_rejection *items;
    size_t count;
    for (int turn = 0; turn < 2; turn++) { /* the second after a restart: what each has is counted anew */
        for (int i = 1; i <= 60; i++)
            CHECK_OK(journal_submit_rejection(place->journal, i > 3 || turn ? SLICE_LIT("noisy") : ACME,
                                              SLICE_LIT("edge-1"), FAULT_INPUT, SLICE_LIT("cannot be read"),
                                              SLICE_LIT("payload"), &fault));
        char id[16];
        snprintf(id, sizeof id, "inc-%d", turn);
        place_give(place, incident(place, id)); /* behind them in the queue */
        place_reopen(place);
        assert_int_equal(place_stats(place).rejections, 20);
        CHECK_OK(journal_rejections(place->journal, ACME, 0, 100, place->arena, &items, &count, &fault));
        assert_int_equal(count, 3);
        assert_int_equal(items[2].sequence, 1);
        CHECK_OK(journal_rejections(place->journal, SLICE_LIT("noisy"), 0, 100, place->arena, &items, &count, &fault));
        assert_int_equal(count, 17);
        assert_int_equal(items[0].sequence, turn ? 120 : 60);
    }
    place_free(place);
}

TEST(a_number_of_a_rejection_is_given_once_also_where_the_newest_went) {
    struct place *place = place_new();
    place->settings.rejections_max = 1;
    place_open(place);
    struct fault fault;
    const slice tenants[] = {ACME, SLICE_LIT("other"), ACME, SLICE_LIT("other")}; /* the third goes at once */
    for (int i = 0; i < 4; i++) {
        CHECK_OK(journal_submit_rejection(place->journal, tenants[i], SLICE_LIT("edge-1"), FAULT_INPUT,
                                          SLICE_LIT("cannot be read"), SLICE_LIT("payload"), &fault));
        char id[16];
        snprintf(id, sizeof id, "inc-%d", i);
        place_give(place, incident(place, id)); /* behind it in the queue */
        if (i == 2) place_reopen(place);
    }
    struct journal_rejection *items;
    size_t count;
    CHECK_OK(journal_rejections(place->journal, SLICE_LIT("other"), 0, 100, place->arena, &items, &count, &fault));
    assert_int_equal(count, 1);
    assert_int_equal(items[0].sequence, 4);
    place_free(place);
}

TEST(cursors_are_kept_and_never_go_back) {
    struct place *place = place_opened();
    struct fault fault;
    uint64_t cursor = 99;
    for (int i = 0; i < 7; i++) { /* none is ahead of the facts */
        char id[16];
        snprintf(id, sizeof id, "inc-%d", i);
        assert_int_equal(place_give(place, incident(place, id))->result, JOURNAL_COMMITTED);
    }
    CHECK_OK(journal_cursor_get(place->journal, "reader", &cursor, &fault));
    assert_int_equal(cursor, 0);
    journal_cursor_set(place->journal, "reader", 7);
    journal_cursor_set(place->journal, "reader", 5);
    journal_cursor_set(place->journal, "other", 3);
    CHECK_OK(journal_cursor_get(place->journal, "reader", &cursor, &fault));
    assert_int_equal(cursor, 7);
    place_reopen(place);
    CHECK_OK(journal_cursor_get(place->journal, "reader", &cursor, &fault));
    assert_int_equal(cursor, 7);
    journal_cursor_set(place->journal, "reader", 6);
    place_reopen(place);
    CHECK_OK(journal_cursor_get(place->journal, "reader", &cursor, &fault));
    assert_int_equal(cursor, 7);
    CHECK_OK(journal_cursor_get(place->journal, "other", &cursor, &fault));
    assert_int_equal(cursor, 3);
    place_free(place);
}

struct heard {
    _Atomic uint64_t last, calls;
};

static void on_commit(void *context, uint64_t last_sequence) {
    struct heard *heard = context;
    heard->last = last_sequence;
    heard->calls++;
}

TEST(commits_that_made_facts_are_told) {
    struct place *place = place_opened();
    struct fault fault;
    struct heard heard = {0};
    CHECK_OK(journal_on_commit(place->journal, on_commit, &heard, &fault));
    place_give(place, incident(place, "inc-1"));
    place_give(place, incident(place, "inc-1")); /* refused: no fact */
    assert_int_equal(heard.calls, 1);
    assert_int_equal(heard.last, 1);
    journal_off_commit(place->journal, on_commit, &heard);
    place_give(place, incident(place, "inc-2"));
    assert_int_equal(heard.calls, 1);
    for (int i = 0; i < 8; i++) CHECK_OK(journal_on_commit(place->journal, on_commit, &heard, &fault));
    CHECK_FAULT(journal_on_commit(place->journal, on_commit, &heard, &fault), FAULT_LIMIT);
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_committed_and_read_back),
        cmocka_unit_test(what_was_answered_is_there_after_closing),
        cmocka_unit_test(the_expected_version_is_checked),
        cmocka_unit_test(an_idempotency_key_gives_the_first_outcome_again),
        cmocka_unit_test(an_idempotency_key_does_not_mind_the_order_of_labels),
        cmocka_unit_test(a_message_id_is_for_one_intent),
        cmocka_unit_test(an_idempotency_key_is_for_one_request),
        cmocka_unit_test(a_message_id_has_an_effect_once),
        cmocka_unit_test(an_envelope_of_another_tenant_is_refused_and_kept),
        cmocka_unit_test(what_is_wrong_is_refused_with_the_place_of_it),
        cmocka_unit_test(tenants_do_not_see_each_other),
        cmocka_unit_test(lists_come_in_pages_in_the_order_of_ids),
        cmocka_unit_test(facts_come_in_order_and_in_portions),
        cmocka_unit_test(rejections_are_paged_and_bounded),
        cmocka_unit_test(a_tenant_that_floods_the_rejections_pushes_out_its_own_only),
        cmocka_unit_test(a_number_of_a_rejection_is_given_once_also_where_the_newest_went),
        cmocka_unit_test(cursors_are_kept_and_never_go_back),
        cmocka_unit_test(commits_that_made_facts_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
