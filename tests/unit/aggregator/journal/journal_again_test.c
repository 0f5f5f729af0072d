/* SPDX-License-Identifier: Apache-2.0
 * What comes up again: refused intents that are given once more, and alerts whose expiry has come. */
#include "tests/unit/aggregator/journal/journal_fixture.h"

#define ACME SLICE_LIT("acme")

static const struct journal_outcome *replay(struct place *place, uint64_t sequence, const char *tenant) {
    return place_command(
        place, (struct journal_command){
                   .caller = {.tenant = slice_from_text(tenant), .actor = SLICE_LIT("root"), .role = ROLE_ADMIN},
                   .replay_of = sequence});
}

static slice resolve(struct place *place) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_resolve_incident_tag};
    intent.intent.resolve_incident.incident_id = SLICE_LIT("inc-1");
    intent.intent.resolve_incident.resolution = SLICE_LIT("rolled back");
    return place_intent(place, &intent);
}

TEST(a_replay_that_is_refused_again_is_not_listed_twice) {
    struct place *place = place_opened();
    assert_int_equal(place_give(place, resolve(place))->result, JOURNAL_REFUSED);
    assert_int_equal(replay(place, 1, "acme")->result, JOURNAL_REFUSED);
    assert_int_equal(place->outcome.fault.code, FAULT_ABSENT);
    struct journal_rejection *items;
    assert_int_equal(place_rejections(place, "acme", &items), 1);
    assert_int_equal(items[0].replayed_ms, 0);
    assert_int_equal(place_stats(place).refused, 2);
    place_free(place);
}

TEST(a_replay_has_its_effect_once_and_is_marked) {
    struct place *place = place_opened();
    const SreDomainIntent create = place_incident_intent("inc-1");
    place_give(place, resolve(place));
    place_give(place, place_intent(place, &create));
    assert_int_equal(replay(place, 1, "acme")->result, JOURNAL_COMMITTED);
    CHECK_SLICE(place->outcome.aggregate_id, "inc-1");
    assert_int_equal(place->outcome.aggregate_version, 2);
    place_reopen(place);
    struct journal_rejection *items;
    assert_int_equal(place_rejections(place, "acme", &items), 1);
    assert_int_equal(items[0].replayed_ms, JOURNAL_NOW_MS);
    CHECK_SLICE(items[0].replayed_by, "root");
    assert_int_equal(replay(place, 1, "acme")->result, JOURNAL_REFUSED);
    assert_int_equal(place->outcome.fault.code, FAULT_CONFLICT);
    assert_int_equal(journal_last_sequence(place->journal), 2);
    place_free(place);
}

TEST(a_replay_is_for_what_the_tenant_has) {
    struct place *place = place_opened();
    place_give(place, resolve(place));
    assert_int_equal(replay(place, 1, "other")->result, JOURNAL_REFUSED);
    assert_int_equal(place->outcome.fault.code, FAULT_ABSENT);
    assert_int_equal(replay(place, 2, "acme")->fault.code, FAULT_ABSENT);
    assert_int_equal(replay(place, UINT64_MAX, "acme")->fault.code, FAULT_ABSENT);
    struct journal_rejection *items;
    assert_int_equal(place_rejections(place, "other", &items), 0);
    place_free(place);
}

/* A window is counted as the agent's that measured it, so that the agent's own repeat does not count it twice. */
TEST(an_agents_window_stays_the_agents_when_a_person_replays_it) {
    struct place *place = place_opened();
    const SreDomainIntent window = place_window_intent("checkout", 5, 1), create = place_slo_intent("checkout");
    const slice intents[] = {place_intent(place, &window)};
    assert_int_equal(place_batch(place, 0, 1, intents, 1)->refused, 1);
    place_give(place, place_intent(place, &create));
    assert_int_equal(replay(place, 1, "acme")->result, JOURNAL_COMMITTED);
    size_t count;
    const struct fact_view *facts = place_facts(place, &count);
    SreDomainFact fact;
    struct fault fault;
    assert_int_equal(count, 3); /* the third: the budget is used up */
    CHECK_OK(codec_decode_protobuf(&SreDomainFact_desc, facts[1].bytes, place->arena, &fact, &fault));
    CHECK_SLICE(fact.meta.producer, "edge-1");
    assert_int_equal(place_batch(place, 1, 2, intents, 1)->applied, 0);
    assert_int_equal(place->batch.repeated, 1);
    assert_int_equal(journal_last_sequence(place->journal), 3);
    place_free(place);
}

TEST(rejections_that_go_take_their_marks_along) {
    struct place *place = place_new();
    place->settings.rejections_max = 2;
    place_open(place);
    const SreDomainIntent create = place_incident_intent("inc-1");
    place_give(place, resolve(place));
    place_give(place, place_intent(place, &create));
    assert_int_equal(replay(place, 1, "acme")->result, JOURNAL_COMMITTED);
    for (int i = 0; i < 3; i++) assert_int_equal(place_give(place, resolve(place))->result, JOURNAL_REFUSED);
    assert_int_equal(replay(place, 1, "acme")->fault.code, FAULT_ABSENT);
    place_free(place);
}

/* ---- expiry ---- */

static SreDomainIntent alert(const char *fingerprint, AlertStatus status, int64_t expires_ms) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_ingest_alert_tag};
    intent.intent.ingest_alert = (IngestAlertRequested){.fingerprint = slice_from_text(fingerprint),
                                                        .name = SLICE_LIT("HighErrors"),
                                                        .severity = SEVERITY_HIGH,
                                                        .status = status,
                                                        .source = ALERT_SOURCE_CUSTOM,
                                                        .has_starts_at = true,
                                                        .starts_at = domain_time(JOURNAL_NOW_MS - 60000),
                                                        .has_expires_at = status == ALERT_STATUS_FIRING,
                                                        .expires_at = domain_time(expires_ms),
                                                        .has_observed_at = true};
    return intent;
}

static void ingest(struct place *place, const char *fingerprint, AlertStatus status, int64_t expires_ms) {
    SreDomainIntent intent = alert(fingerprint, status, expires_ms);
    intent.intent.ingest_alert.observed_at = domain_time(place->now_ms);
    const struct journal_command command = {
        .caller = {.tenant = SLICE_LIT("acme"), .actor = SLICE_LIT("alertmanager"), .role = ROLE_INTEGRATION},
        .intent = place_intent(place, &intent)};
    assert_int_equal(place_command(place, command)->result, JOURNAL_COMMITTED);
}

/* All that is submitted has been decided when a command behind it is answered. */
static size_t expire(struct place *place) {
    struct fault fault;
    size_t submitted;
    CHECK_OK(journal_submit_due(place->journal, 100, &submitted, &fault));
    place_give(place, resolve(place));
    return submitted;
}

static Alert stands(struct place *place, const char *id) {
    struct fault fault;
    slice bytes;
    Alert now;
    CHECK_OK(journal_get(place->journal, ACME, SLICE_LIT("alert"), slice_from_text(id), place->arena, &bytes, &fault));
    CHECK_OK(codec_decode_protobuf(&Alert_desc, bytes, place->arena, &now, &fault));
    return now;
}

TEST(an_alert_expires_when_its_time_has_come_and_once) {
    struct place *place = place_opened();
    ingest(place, "soon", ALERT_STATUS_FIRING, JOURNAL_NOW_MS + 1000);
    ingest(place, "late", ALERT_STATUS_FIRING, JOURNAL_NOW_MS + 9000);
    assert_int_equal(expire(place), 0);
    place->now_ms += 1000;
    assert_int_equal(expire(place), 1);
    assert_int_equal(stands(place, "custom.soon").status, ALERT_STATUS_RESOLVED);
    assert_int_equal(stands(place, "custom.late").status, ALERT_STATUS_FIRING);
    assert_int_equal(expire(place), 0);
    size_t count;
    const struct fact_view *facts = place_facts(place, &count);
    assert_int_equal(count, 3);
    assert_int_equal(facts[2].fact_number, SreDomainFact_alert_expired_tag);
    place_reopen(place);
    place->now_ms += 60000;
    assert_int_equal(expire(place), 1); /* what was due while nobody looked */
    assert_int_equal(stands(place, "custom.late").status, ALERT_STATUS_RESOLVED);
    place_free(place);
}

TEST(an_alert_that_was_repeated_or_resolved_does_not_expire) {
    struct place *place = place_opened();
    ingest(place, "repeated", ALERT_STATUS_FIRING, JOURNAL_NOW_MS + 1000);
    ingest(place, "resolved", ALERT_STATUS_FIRING, JOURNAL_NOW_MS + 1000);
    place->now_ms += 500;
    ingest(place, "repeated", ALERT_STATUS_FIRING, JOURNAL_NOW_MS + 3600000);
    ingest(place, "resolved", ALERT_STATUS_RESOLVED, 0);
    place->now_ms += 500;
    const uint64_t before = journal_last_sequence(place->journal);
    assert_int_equal(expire(place), 0); /* the old rows went with what they were about */
    assert_int_equal(journal_last_sequence(place->journal), before);
    assert_int_equal(stands(place, "custom.repeated").status, ALERT_STATUS_FIRING);
    assert_int_equal(expire(place), 0);
    place_free(place);
}

TEST(many_alerts_expire_in_portions) {
    struct place *place = place_opened();
    for (int i = 0; i < 5; i++) {
        char fingerprint[8];
        snprintf(fingerprint, sizeof fingerprint, "f%d", i);
        ingest(place, fingerprint, ALERT_STATUS_FIRING, JOURNAL_NOW_MS + 1000);
    }
    place->now_ms += 2000;
    struct fault fault;
    size_t submitted;
    for (int i = 0; i < 3; i++) {
        CHECK_OK(journal_submit_due(place->journal, 2, &submitted, &fault));
        assert_int_equal(submitted, i < 2 ? 2 : 1);
        place_give(place, resolve(place));
    }
    assert_int_equal(expire(place), 0);
    place_free(place);
}

TEST(nobody_else_may_say_that_an_alert_has_expired) {
    struct place *place = place_opened();
    ingest(place, "mine", ALERT_STATUS_FIRING, JOURNAL_NOW_MS + 1000);
    SreDomainIntent intent = {.which_intent = SreDomainIntent_expire_alert_tag};
    intent.intent.expire_alert.alert_id = SLICE_LIT("custom.mine");
    intent.intent.expire_alert.has_expires_at = true;
    intent.intent.expire_alert.expires_at = domain_time(JOURNAL_NOW_MS + 1000);
    place->now_ms += 2000;
    assert_int_equal(place_give(place, place_intent(place, &intent))->fault.code, FAULT_DENIED);
    assert_int_equal(replay(place, 1, "acme")->fault.code, FAULT_DENIED);
    assert_int_equal(expire(place), 1); /* the row is still there */
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replay_that_is_refused_again_is_not_listed_twice),
        cmocka_unit_test(a_replay_has_its_effect_once_and_is_marked),
        cmocka_unit_test(a_replay_is_for_what_the_tenant_has),
        cmocka_unit_test(an_agents_window_stays_the_agents_when_a_person_replays_it),
        cmocka_unit_test(rejections_that_go_take_their_marks_along),
        cmocka_unit_test(an_alert_expires_when_its_time_has_come_and_once),
        cmocka_unit_test(an_alert_that_was_repeated_or_resolved_does_not_expire),
        cmocka_unit_test(many_alerts_expire_in_portions),
        cmocka_unit_test(nobody_else_may_say_that_an_alert_has_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
