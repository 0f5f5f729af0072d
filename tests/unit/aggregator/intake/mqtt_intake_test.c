/* SPDX-License-Identifier: Apache-2.0
 * Messages in, acks and configurations back, with a broker that takes or does not take. The function of the MQTT door
 * that the intake calls is defined here; the real broker is in tests/e2e. */
#include "aggregator/intake/mqtt_intake.h"
#include "common/base/clock.h"
#include "tests/unit/aggregator/journal/journal_fixture.h"

enum { SENT_MAX = 256 };

struct sent {
    char topic[160], content_type[96];
    uint8_t *payload;
    size_t bytes;
    bool retained;
};

struct world {
    struct place *place;
    struct loop *loop;
    struct loop_timer *timer;
    struct agents *agents;
    struct mqtt_intake *intake;
    int64_t give_up_ms;
    size_t wanted; /* publications to wait for */
    bool full;     /* the broker takes nothing now */
    struct sent sent[SENT_MAX];
    size_t sent_count, refused_count;
};

static struct world *broker;

fault_code mqtt_client_publish(struct mqtt_client *client, const struct mqtt_publication *publication,
                               struct fault *reterr) {
    struct world *w = broker;
    if (w->full) {
        w->refused_count++;
        return fault_set(reterr, FAULT_AGAIN, "the window is full");
    }
    assert_true(w->sent_count < SENT_MAX);
    struct sent *sent = &w->sent[w->sent_count++];
    snprintf(sent->topic, sizeof sent->topic, "%s", publication->topic);
    snprintf(sent->content_type, sizeof sent->content_type, "%s", publication->content_type);
    sent->payload = malloc(publication->payload.size + 1);
    if (publication->payload.size) memcpy(sent->payload, publication->payload.data, publication->payload.size);
    sent->bytes = publication->payload.size;
    sent->retained = publication->retained;
    assert_int_equal(publication->qos, 1);
    return FAULT_NONE;
}

static void look(void *context) {
    struct world *w = context;
    if (w->sent_count >= w->wanted || clock_monotonic_ms() > w->give_up_ms)
        loop_stop(w->loop);
    else
        loop_timer_set(w->timer, 2);
}

/* Runs the loop until so many publications went out in all. */
static void run_to(struct world *w, size_t sent) {
    w->wanted = sent;
    w->give_up_ms = clock_monotonic_ms() + 60000;
    loop_timer_set(w->timer, 0);
    loop_run(w->loop);
    assert_int_equal(w->sent_count, sent);
}

static void run_for(struct world *w, int64_t time_ms) {
    w->wanted = SIZE_MAX;
    w->give_up_ms = clock_monotonic_ms() + time_ms;
    loop_timer_set(w->timer, 0);
    loop_run(w->loop);
}

static struct world *world_new(void) {
    struct world *w = calloc(1, sizeof *w);
    struct fault fault;
    w->place = place_opened();
    w->agents = agents_new();
    CHECK_OK(loop_new(&w->loop, &fault));
    w->timer = loop_timer_new(w->loop, look, w);
    CHECK_OK(mqtt_intake_new(w->loop, w->place->journal, w->agents, NULL, &w->intake, &fault));
    mqtt_intake_use(w->intake, (struct mqtt_client *)w);
    broker = w;
    return w;
}

static void world_free(struct world *w) {
    w->place->journal = journal_close(w->place->journal);
    mqtt_intake_free(w->intake);
    agents_free(w->agents);
    loop_timer_free(w->timer);
    loop_free(w->loop);
    for (size_t i = 0; i < w->sent_count; i++) free(w->sent[i].payload);
    place_free(w->place);
    free(w);
}

static void message(struct world *w, const char *topic, slice payload, bool retained) {
    mqtt_intake_on_message(
        w->intake, &(struct mqtt_message){.topic = slice_from_text(topic), .payload = payload, .retained = retained});
}

/* What was submitted before is decided when this is. */
static void settle(struct world *w) {
    place_give(w->place, SLICE_LIT("\xff"));
}

static void slo(struct world *w, const char *id) {
    const SreDomainIntent intent = place_slo_intent(id);
    assert_int_equal(place_give(w->place, place_intent(w->place, &intent))->result, JOURNAL_COMMITTED);
}

static slice batch(struct world *w, uint64_t after, uint64_t first) {
    const SreDomainIntent window = place_window_intent("checkout", (int64_t)first, 1);
    slice intent = place_intent(w->place, &window);
    const EncodedIntentBatch message = {.epoch = SLICE_LIT(JOURNAL_EPOCH),
                                        .stream = 1,
                                        .after_sequence = after,
                                        .first_sequence = first,
                                        .intents = {.items = &intent, .count = 1}};
    return place_encode(w->place, &EncodedIntentBatch_desc, &message);
}

static slice status(struct world *w, const char *tenant, const char *agent) {
    const AgentStatus message = {.tenant_id = slice_from_text(tenant), .agent = slice_from_text(agent), .online = true};
    return place_encode(w->place, &AgentStatus_desc, &message);
}

static const struct sent *last_to(const struct world *w, const char *topic) {
    for (size_t i = w->sent_count; i > 0; i--)
        if (strcmp(w->sent[i - 1].topic, topic) == 0) return &w->sent[i - 1];
    fail_msg("nothing was sent to %s", topic);
    return NULL;
}

static const char ack_topic[] = "sre.edge.acks.v1/acme/edge-1";
static const char config_topic[] = "sre.edge.config.v1/acme/edge-1";

static IntentAck last_ack(struct world *w) {
    const struct sent *sent = last_to(w, ack_topic);
    struct fault fault;
    IntentAck ack;
    assert_true(sent->retained);
    assert_string_equal(sent->content_type, "application/x-protobuf; proto=ameide_core_proto.sre.edge.v1.IntentAck");
    CHECK_OK(
        codec_decode_protobuf(&IntentAck_desc, slice_of(sent->payload, sent->bytes), w->place->arena, &ack, &fault));
    CHECK_OK(codec_validate(&IntentAck_desc, &ack, &fault));
    CHECK_SLICE(ack.epoch, JOURNAL_EPOCH);
    assert_int_equal(ack.streams.count, 1);
    return ack;
}

static AgentConfig last_config(struct world *w) {
    const struct sent *sent = last_to(w, config_topic);
    struct fault fault;
    AgentConfig config;
    assert_true(sent->retained);
    CHECK_OK(codec_decode_protobuf(&AgentConfig_desc, slice_of(sent->payload, sent->bytes), w->place->arena, &config,
                                   &fault));
    return config;
}

static size_t rejections(struct world *w, struct journal_rejection **ret_items) {
    settle(w);
    return place_rejections(w->place, "acme", ret_items) - 1; /* less the one that settles */
}

TEST(a_batch_is_acknowledged_when_it_is_on_the_disk) {
    struct world *w = world_new();
    slo(w, "checkout");
    message(w, "sre.edge.intents.v1/acme/edge-1", batch(w, 0, 1), false);
    run_to(w, 2); /* the ack, and the first configuration of an agent that was not known */
    IntentAck ack = last_ack(w);
    assert_int_equal(ack.streams.items[0].stream, 1);
    assert_int_equal(ack.streams.items[0].committed_sequence, 1);
    assert_int_equal(ack.streams.items[0].wanted_sequence, 0);
    assert_int_equal(last_config(w).slis.count, 1);
    assert_int_equal(place_slo(w->place, "checkout").budget.total, 10);
    message(w, "sre.edge.intents.v1/acme/edge-1", batch(w, 4, 5), false);
    run_to(w, 3);
    ack = last_ack(w);
    assert_int_equal(ack.streams.items[0].committed_sequence, 1);
    assert_int_equal(ack.streams.items[0].wanted_sequence, 2); /* a hole that was not stated */
    world_free(w);
}

TEST(an_ack_that_finds_no_room_is_sent_later) {
    struct world *w = world_new();
    slo(w, "checkout");
    w->full = true;
    for (uint64_t i = 1; i <= 5; i++) message(w, "sre.edge.intents.v1/acme/edge-1", batch(w, i - 1, i), false);
    settle(w);
    for (int i = 0; i < 1000 && !w->refused_count; i++) run_for(w, 50);
    assert_true(w->refused_count > 0);
    run_for(w, 50); /* and what came after it */
    w->full = false;
    mqtt_intake_on_published(w->intake);
    assert_int_equal(last_ack(w).streams.items[0].committed_sequence, 5); /* one for all of them */
    run_to(w, 2);                                                         /* and the configuration */
    run_for(w, 300);
    assert_int_equal(w->sent_count, 2);
    world_free(w);
}

TEST(a_single_intent_is_an_integrations) {
    struct world *w = world_new();
    SreDomainIntent incident = place_incident_intent("inc-1");
    incident.has_meta = true;
    incident.meta.message_id = SLICE_LIT("0190a5c0-7e1f-7000-8000-0000000000aa");
    message(w, "sre.domain.intents.v1/acme/pager", place_intent(w->place, &incident), false);
    settle(w);
    size_t count;
    struct fault fault;
    const struct fact_view *facts = place_facts(w->place, &count);
    assert_int_equal(count, 1);
    SreDomainFact fact;
    CHECK_OK(codec_decode_protobuf(&SreDomainFact_desc, facts[0].bytes, w->place->arena, &fact, &fault));
    CHECK_SLICE(fact.meta.producer, "pager");
    SreDomainIntent expire = {.which_intent = SreDomainIntent_expire_alert_tag, .has_meta = true};
    expire.meta.message_id = SLICE_LIT("0190a5c0-7e1f-7000-8000-0000000000ab");
    expire.intent.expire_alert.alert_id = SLICE_LIT("prometheus.f1");
    expire.intent.expire_alert.has_expires_at = true;
    message(w, "sre.domain.intents.v1/acme/pager", place_intent(w->place, &expire), false);
    settle(w);
    struct journal_rejection *items;
    place_rejections(w->place, "acme", &items);
    assert_int_equal(items[1].code, FAULT_DENIED); /* the aggregator's own */
    world_free(w);
}

TEST(an_envelope_that_is_not_of_its_topics_tenant_is_refused_and_kept) {
    struct world *w = world_new();
    SreDomainIntent incident = place_incident_intent("inc-1");
    incident.has_meta = true;
    incident.meta.tenant_id = SLICE_LIT("other");
    incident.meta.message_id = SLICE_LIT("0190a5c0-7e1f-7000-8000-0000000000ac");
    message(w, "sre.domain.intents.v1/acme/pager", place_intent(w->place, &incident), false);
    struct journal_rejection *items;
    assert_int_equal(rejections(w, &items), 1);
    assert_int_equal(items[1].code, FAULT_DENIED);
    assert_int_equal(place_stats(w->place).wrong_tenant, 1);
    message(w, "sre.edge.status.v1/acme/edge-1", status(w, "other", "edge-1"), true);
    message(w, "sre.edge.status.v1/acme/edge-1", status(w, "acme", "edge-2"), true);
    settle(w);
    assert_int_equal(place_rejections(w->place, "acme", &items), 5);
    assert_int_equal(agents_count(w->agents), 0);
    world_free(w);
}

TEST(what_is_wrong_as_a_whole_is_kept_with_its_reason) {
    struct world *w = world_new();
    slo(w, "checkout");
    message(w, "sre.edge.intents.v1/acme/edge-1", SLICE_LIT("\xff\xff"), false);
    message(w, "sre.edge.intents.v1/acme/edge-1", batch(w, 0, 1), true);
    message(w, "sre.edge.status.v1/acme/edge-1", SLICE_LIT("\xff\xff"), true);
    uint8_t *large = calloc(1, LIMIT_MESSAGE_BYTES + 1);
    message(w, "sre.edge.intents.v1/acme/edge-1", slice_of(large, LIMIT_MESSAGE_BYTES + 1), false);
    free(large);
    struct journal_rejection *items;
    assert_int_equal(rejections(w, &items), 4);
    assert_int_equal(items[1].code, FAULT_LIMIT);
    assert_true(items[3].reason.size > 0 && slice_starts_with(items[3].reason, SLICE_LIT("intents must not be ret")));
    assert_int_equal(place_slo(w->place, "checkout").budget.total, 0); /* nothing of it had an effect */
    run_for(w, 100);
    assert_int_equal(w->sent_count, 0);
    world_free(w);
}

TEST(topics_of_another_shape_are_passed_over) {
    static const char *const topics[] = {"sre.edge.intents.v1",
                                         "sre.edge.intents.v1/acme",
                                         "sre.edge.intents.v1/acme/",
                                         "sre.edge.intents.v1//edge-1",
                                         "sre.edge.intents.v1/a/b/c",
                                         "",
                                         "sre.edge.intents.v1/"
                                         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/bbbbbbbbbbbbbbbb"};
    struct world *w = world_new();
    slo(w, "checkout");
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) message(w, topics[i], batch(w, 0, 1), false);
    settle(w);
    assert_int_equal(place_slo(w->place, "checkout").budget.total, 0);
    assert_int_equal(agents_count(w->agents), 0);
    world_free(w);
}

TEST(a_status_makes_an_agent_known_and_brings_its_configuration) {
    struct world *w = world_new();
    slo(w, "checkout");
    message(w, "sre.edge.status.v1/acme/edge-1", status(w, "acme", "edge-1"), true);
    run_to(w, 1);
    assert_int_equal(last_config(w).slis.count, 1);
    message(w, "sre.edge.status.v1/acme/edge-1", status(w, "acme", "edge-1"), false);
    message(w, "sre.edge.status.v1/acme/edge-1", (slice){0}, true); /* cleared */
    run_for(w, 200);
    assert_int_equal(w->sent_count, 1); /* nothing changed */
    w->place->now_ms += 1;
    slo(w, "search");
    run_to(w, 2);
    assert_int_equal(last_config(w).slis.count, 2);
    const SreDomainIntent incident = place_incident_intent("inc-1");
    place_give(w->place, place_intent(w->place, &incident));
    run_for(w, 200);
    assert_int_equal(w->sent_count, 2); /* no definition changed */
    world_free(w);
}

TEST(after_a_connect_everything_is_said_again) {
    struct world *w = world_new();
    slo(w, "checkout");
    mqtt_intake_on_connected(w->intake); /* before any agent is known */
    message(w, "sre.edge.intents.v1/acme/edge-1", batch(w, 0, 1), false);
    run_to(w, 2);
    mqtt_intake_on_connected(w->intake);
    run_to(w, 4); /* the broker may have lost what it retained: the ack and the configuration */
    assert_int_equal(last_ack(w).streams.items[0].committed_sequence, 1);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_acknowledged_when_it_is_on_the_disk),
        cmocka_unit_test(an_ack_that_finds_no_room_is_sent_later),
        cmocka_unit_test(a_single_intent_is_an_integrations),
        cmocka_unit_test(an_envelope_that_is_not_of_its_topics_tenant_is_refused_and_kept),
        cmocka_unit_test(what_is_wrong_as_a_whole_is_kept_with_its_reason),
        cmocka_unit_test(topics_of_another_shape_are_passed_over),
        cmocka_unit_test(a_status_makes_an_agent_known_and_brings_its_configuration),
        cmocka_unit_test(after_a_connect_everything_is_said_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
