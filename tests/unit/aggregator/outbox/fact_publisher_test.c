/* SPDX-License-Identifier: Apache-2.0
 * Facts to a broker that loses, holds back, and answers from inside the call. The function of the MQTT door that the
 * publisher calls is defined here. */
#include "aggregator/outbox/fact_publisher.h"
#include "common/base/clock.h"
#include "tests/unit/aggregator/journal/journal_fixture.h"

enum { SENT_MAX = 20000 };

struct world {
    struct place *place;
    struct loop *loop;
    struct loop_timer *timer;
    int64_t give_up_ms;
    bool (*until)(struct world *world);
    struct fact_publisher *publisher;
    /* the broker */
    bool connected;
    size_t window; /* publications it takes without an answer */
    bool answers_inside;
    uint64_t lose_inside; /* the publication of this number fails from inside the call; 0: none */
    uint64_t tokens[SENT_MAX], sequences[SENT_MAX];
    size_t sent, answered;
    char topic[256], properties[1024], content_type[128];
    bool retained;
};

static struct world *broker; /* the door has no other way to it */

static const struct fault connection_lost = {FAULT_AGAIN, "the connection was lost"};

fault_code mqtt_client_publish(struct mqtt_client *client, const struct mqtt_publication *publication,
                               struct fault *reterr) {
    struct world *w = broker;
    if (!w->connected || w->sent - w->answered >= w->window)
        return fault_set(reterr, FAULT_AGAIN, "the window is full");
    assert_true(w->sent < SENT_MAX);
    assert_int_equal(publication->qos, 1);
    assert_true(publication->bulk); /* acks share the window, and must find a place in it */
    struct arena *arena = arena_new(4096, 1 << 20);
    SreDomainFact fact;
    struct fault fault;
    CHECK_OK(codec_decode_protobuf(&SreDomainFact_desc, publication->payload, arena, &fact, &fault));
    w->sequences[w->sent] = fact.sequence;
    w->tokens[w->sent] = publication->token;
    arena_free(arena);
    snprintf(w->topic, sizeof w->topic, "%s", publication->topic);
    snprintf(w->content_type, sizeof w->content_type, "%s", publication->content_type);
    w->retained = publication->retained;
    size_t at = 0;
    for (size_t i = 0; i < publication->properties_count && at < sizeof w->properties; i++)
        at += (size_t)snprintf(w->properties + at, sizeof w->properties - at, "%.*s=%.*s\n",
                               SLICE_ARG(publication->properties[i].name), SLICE_ARG(publication->properties[i].value));
    w->sent++;
    if (w->answers_inside) {
        w->answered++;
        fact_publisher_on_published(w->publisher, publication->token, NULL);
    }
    if (w->lose_inside == w->sent) {
        w->lose_inside = 0;
        w->answered++;
        fact_publisher_on_published(w->publisher, publication->token, &connection_lost);
    }
    return FAULT_NONE;
}

static void look(void *context) {
    struct world *w = context;
    if (w->until(w) || clock_monotonic_ms() > w->give_up_ms)
        loop_stop(w->loop);
    else
        loop_timer_set(w->timer, 2);
}

static void run_until(struct world *w, bool (*until)(struct world *world)) {
    w->until = until;
    w->give_up_ms = clock_monotonic_ms() + 60000;
    loop_timer_set(w->timer, 0);
    loop_run(w->loop);
    assert_true(until(w));
}

static struct world *world_new(size_t window) {
    struct world *w = calloc(1, sizeof *w);
    struct fault fault;
    w->place = place_opened();
    w->window = window;
    CHECK_OK(loop_new(&w->loop, &fault));
    w->timer = loop_timer_new(w->loop, look, w);
    CHECK_OK(fact_publisher_new(w->loop, w->place->journal, &w->publisher, &fault));
    fact_publisher_client(w->publisher, (struct mqtt_client *)w);
    broker = w;
    return w;
}

static void world_free(struct world *w) {
    fact_publisher_free(w->publisher);
    loop_timer_free(w->timer);
    loop_free(w->loop);
    place_free(w->place);
    free(w);
}

static void commit(struct world *w, int count) {
    const SreDomainIntent intent = place_incident_intent("");
    const slice bytes = place_intent(w->place, &intent);
    for (int i = 0; i < count; i++) assert_int_equal(place_give(w->place, bytes)->result, JOURNAL_COMMITTED);
}

static void connect(struct world *w) {
    w->connected = true;
    w->answered = w->sent;
    fact_publisher_on_connected(w->publisher);
}

static void answer(struct world *w, size_t count) {
    for (; count && w->answered < w->sent; count--)
        fact_publisher_on_published(w->publisher, w->tokens[w->answered++], NULL);
}

static struct fact_publisher_stats stats_of(struct world *w) {
    struct fact_publisher_stats stats;
    fact_publisher_stats(w->publisher, &stats);
    return stats;
}

static bool all_published(struct world *w) {
    answer(w, SIZE_MAX);
    return stats_of(w).lag == 0;
}

TEST(facts_go_out_in_order_with_their_attributes) {
    struct world *w = world_new(64);
    SreDomainIntent intent = place_incident_intent("inc-1");
    intent.has_meta = true;
    assert_int_equal(place_give(w->place, place_intent(w->place, &intent))->result, JOURNAL_COMMITTED);
    connect(w);
    assert_int_equal(w->sent, 1);
    assert_string_equal(w->topic, "sre.domain.facts.v1/acme/incident/inc-1");
    assert_string_equal(w->content_type, "application/x-protobuf; proto=ameide_core_proto.sre.core.v1.SreDomainFact");
    assert_false(w->retained);
    static const char *const expected[] = {"specversion=1.0\n",
                                           "type=ameide_core_proto.sre.core.v1.IncidentCreated\n",
                                           "source=/picket/acme\n",
                                           "subject=incident/inc-1\n",
                                           "sequence=1\n",
                                           "tenant_id=acme\n",
                                           "schema_version=1\n",
                                           "time=2027-01-15T08:00:00.000Z\n",
                                           "\nid="};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!strstr(w->properties, expected[i])) fail_msg("no %s in\n%s", expected[i], w->properties);
    commit(w, 300);
    run_until(w, all_published);
    for (size_t i = 0; i < w->sent; i++) assert_int_equal(w->sequences[i], i + 1);
    assert_int_equal(w->sent, 301);
    assert_int_equal(stats_of(w).published, 301);
    world_free(w);
}

TEST(the_cursor_moves_through_what_is_acknowledged_without_a_gap) {
    struct world *w = world_new(10);
    commit(w, 5);
    connect(w);
    assert_int_equal(w->sent, 5);
    fact_publisher_on_published(w->publisher, w->tokens[1], NULL);
    fact_publisher_on_published(w->publisher, w->tokens[2], NULL);
    assert_int_equal(stats_of(w).cursor, 0);
    fact_publisher_on_published(w->publisher, w->tokens[0], NULL);
    assert_int_equal(stats_of(w).cursor, 3);
    assert_int_equal(stats_of(w).lag, 2);
    fact_publisher_on_published(w->publisher, w->tokens[0], NULL); /* once more: nothing */
    assert_int_equal(stats_of(w).published, 3);
    world_free(w);
}

TEST(after_a_lost_connection_it_begins_behind_the_cursor_and_old_answers_count_no_more) {
    struct world *w = world_new(10);
    commit(w, 6);
    connect(w);
    assert_int_equal(w->sent, 6);
    answer(w, 2);
    const uint64_t old = w->tokens[2];
    for (size_t i = 2; i < 6; i++) fact_publisher_on_published(w->publisher, w->tokens[i], &connection_lost);
    connect(w);
    assert_int_equal(w->sequences[6], 3);
    assert_int_equal(w->sent, 10);
    fact_publisher_on_published(w->publisher, old, NULL); /* from the lost connection */
    assert_int_equal(stats_of(w).cursor, 2);
    run_until(w, all_published);
    assert_int_equal(stats_of(w).cursor, 6);
    world_free(w);
}

TEST(a_failure_from_inside_the_call_loses_no_fact) {
    for (uint64_t at = 1; at <= 8; at++) {
        struct world *w = world_new(100);
        commit(w, 8);
        w->lose_inside = at;
        connect(w);
        run_until(w, all_published);
        bool seen[9] = {false};
        for (size_t i = 0; i < w->sent; i++) {
            if (i && w->sequences[i] > w->sequences[i - 1]) assert_int_equal(w->sequences[i], w->sequences[i - 1] + 1);
            seen[w->sequences[i]] = true;
        }
        for (int i = 1; i <= 8; i++) assert_true(seen[i]);
        assert_int_equal(stats_of(w).cursor, 8);
        world_free(w);
    }
}

TEST(an_answer_from_inside_the_call_counts) {
    struct world *w = world_new(1);
    w->answers_inside = true;
    commit(w, 8);
    connect(w);
    assert_int_equal(w->sent, 8);
    assert_int_equal(stats_of(w).cursor, 8);
    world_free(w);
}

TEST(a_full_window_waits_and_goes_on) {
    struct world *w = world_new(3);
    commit(w, 50);
    connect(w);
    assert_int_equal(w->sent, 3);
    run_until(w, all_published);
    assert_int_equal(w->sent, 50);
    assert_int_equal(stats_of(w).failures, 0);
    world_free(w);
}

TEST(after_a_restart_it_goes_on_behind_the_stored_cursor) {
    struct world *w = world_new(100);
    struct fault fault;
    commit(w, 20);
    connect(w);
    answer(w, 12);
    fact_publisher_free(w->publisher);
    place_reopen(w->place);
    CHECK_OK(fact_publisher_new(w->loop, w->place->journal, &w->publisher, &fault));
    fact_publisher_client(w->publisher, (struct mqtt_client *)w);
    const size_t before = w->sent;
    connect(w);
    assert_int_equal(w->sequences[before], 13);
    run_until(w, all_published);
    assert_int_equal(stats_of(w).cursor, 20);
    world_free(w);
}

TEST(without_a_client_it_waits) {
    struct world *w = world_new(100);
    fact_publisher_client(w->publisher, NULL);
    commit(w, 3);
    fact_publisher_on_connected(w->publisher);
    assert_int_equal(w->sent, 0);
    assert_int_equal(stats_of(w).lag, 3);
    world_free(w);
}

/* A broker that is set up late: what was compacted meanwhile cannot go out, and holds nothing up. */
TEST(compacted_facts_are_passed_over) {
    struct world *w = world_new(2);
    w->place->settings.retention.sli_windows_ms = 1000;
    w->place->settings.retention.newest_facts = 1;
    fact_publisher_free(w->publisher);
    place_reopen(w->place);
    commit(w, 3);
    const SreDomainIntent slo = place_slo_intent("checkout");
    assert_int_equal(place_give(w->place, place_intent(w->place, &slo))->result, JOURNAL_COMMITTED);
    enum { WINDOWS = 2000 }; /* more than the publisher's ring has room for */
    slice intents[WINDOWS];
    for (int i = 0; i < WINDOWS; i++) {
        SreDomainIntent intent = place_window_intent("checkout", i + 1, 1);
        intent.intent.record_sli_window.good = 10;
        intents[i] = place_intent(w->place, &intent);
    }
    assert_int_equal(place_batch(w->place, 0, 1, intents, WINDOWS)->applied, WINDOWS);
    commit(w, 3);
    w->place->now_ms += 2000;
    for (int i = 0; i < 30000 && place_stats(w->place).compacted < WINDOWS; i++) usleep(2000);
    assert_int_equal(place_stats(w->place).compacted, WINDOWS);
    struct fault fault;
    CHECK_OK(fact_publisher_new(w->loop, w->place->journal, &w->publisher, &fault));
    fact_publisher_client(w->publisher, (struct mqtt_client *)w);
    connect(w);
    run_until(w, all_published);
    static const uint64_t expected[] = {1, 2, 3, 4, WINDOWS + 5, WINDOWS + 6, WINDOWS + 7};
    assert_int_equal(w->sent, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < w->sent; i++) assert_int_equal(w->sequences[i], expected[i]);
    assert_int_equal(stats_of(w).cursor, WINDOWS + 7);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_go_out_in_order_with_their_attributes),
        cmocka_unit_test(the_cursor_moves_through_what_is_acknowledged_without_a_gap),
        cmocka_unit_test(after_a_lost_connection_it_begins_behind_the_cursor_and_old_answers_count_no_more),
        cmocka_unit_test(a_failure_from_inside_the_call_loses_no_fact),
        cmocka_unit_test(an_answer_from_inside_the_call_counts),
        cmocka_unit_test(a_full_window_waits_and_goes_on),
        cmocka_unit_test(after_a_restart_it_goes_on_behind_the_stored_cursor),
        cmocka_unit_test(compacted_facts_are_passed_over),
        cmocka_unit_test(without_a_client_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
