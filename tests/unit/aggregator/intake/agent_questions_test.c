/* SPDX-License-Identifier: Apache-2.0
 * Questions out and answers in, with a broker that takes or does not take. The function of the MQTT door that is called
 * is defined here; the real broker is in tests/e2e. */
#include "aggregator/intake/agent_questions.h"
#include "common/base/clock.h"
#include "tests/support/check.h"

#include <pthread.h>
#include <stdio.h>

#define ID(n) "01890000-0000-7000-8000-00000000000" #n

static struct world {
    struct loop *loop;
    struct loop_timer *timer;
    struct agent_questions *questions;
    int64_t give_up_ms;
    bool full, broken;
    size_t sent, wanted_answers, answers;
    char topic[160], response_topic[160], payload[64], correlation[64], answer[64];
    uint32_t expiry_s;
    struct fault fault;
} * broker;

fault_code mqtt_client_publish(struct mqtt_client *client, const struct mqtt_publication *publication,
                               struct fault *reterr) {
    struct world *w = broker;
    if (w->full) return fault_set(reterr, FAULT_AGAIN, "the window is full");
    if (w->broken) return fault_set(reterr, FAULT_LIMIT, "the broker takes no such packet");
    w->sent++;
    snprintf(w->topic, sizeof w->topic, "%s", publication->topic);
    snprintf(w->response_topic, sizeof w->response_topic, "%s", publication->response_topic);
    snprintf(w->payload, sizeof w->payload, "%.*s", SLICE_ARG(publication->payload));
    snprintf(w->correlation, sizeof w->correlation, "%.*s", SLICE_ARG(publication->correlation_data));
    w->expiry_s = publication->expiry_s;
    assert_int_equal(publication->qos, 1);
    assert_false(publication->retained);
    return FAULT_NONE;
}

static void on_answer(void *context, const struct agent_answer *answer) {
    struct world *w = context;
    w->answers++;
    w->fault = answer->fault;
    snprintf(w->answer, sizeof w->answer, "%.*s", SLICE_ARG(answer->payload));
}

static void look(void *context) {
    struct world *w = context;
    if (w->answers >= w->wanted_answers || clock_monotonic_ms() > w->give_up_ms)
        loop_stop(w->loop);
    else
        loop_timer_set(w->timer, 2);
}

static void run_for(struct world *w, size_t wanted_answers, int64_t time_ms) {
    w->wanted_answers = wanted_answers;
    w->give_up_ms = clock_monotonic_ms() + time_ms;
    loop_timer_set(w->timer, 2);
    loop_run(w->loop);
}

static void run_until_sent(struct world *w, unsigned wanted) {
    const int64_t end_ms = clock_monotonic_ms() + 60000;
    while (w->sent < wanted && clock_monotonic_ms() < end_ms) run_for(w, SIZE_MAX, 10);
    assert_int_equal(w->sent, wanted);
}

static struct world *world_new(void) {
    struct world *w = calloc(1, sizeof *w);
    struct fault fault;
    CHECK_OK(loop_new(&w->loop, &fault));
    w->timer = loop_timer_new(w->loop, look, w);
    CHECK_OK(agent_questions_new(w->loop, NULL, &w->questions, &fault));
    agent_questions_use(w->questions, (struct mqtt_client *)w);
    broker = w;
    return w;
}

static void world_free(struct world *w) {
    agent_questions_free(w->questions);
    loop_timer_free(w->timer);
    loop_free(w->loop);
    free(w);
}

static fault_code take(struct world *w, const char *agent, const char *caller, const char *id, int64_t wait_ms,
                       struct agent_question **ret_question) {
    return agent_question_new(w->questions, SLICE_LIT("acme"), slice_from_text(agent), slice_from_text(caller),
                              slice_from_text(id), clock_monotonic_ms() + wait_ms, ret_question, &w->fault);
}

static void ask(struct world *w, const char *id, int64_t wait_ms) {
    struct agent_question *question = NULL;
    CHECK_FAULT(take(w, "edge-1", "anna", id, wait_ms, &question), FAULT_NONE);
    agent_question_send(question, SLICE_LIT("what?"), on_answer, w);
}

static void reply(struct world *w, const char *tenant, const char *agent, const char *id) {
    const struct mqtt_message message = {.payload = SLICE_LIT("that"), .correlation_data = slice_from_text(id)};
    agent_questions_on_reply(w->questions, slice_from_text(tenant), slice_from_text(agent), &message);
}

TEST(a_question_goes_to_the_agents_own_topic_and_names_where_the_answer_is_wanted) {
    struct world *w = world_new();
    ask(w, ID(1), 4500);
    run_until_sent(w, 1);
    assert_string_equal(w->topic, "sre.edge.requests.v1/acme/edge-1");
    assert_string_equal(w->response_topic, "sre.edge.replies.v1/acme/edge-1");
    assert_string_equal(w->payload, "what?");
    assert_string_equal(w->correlation, ID(1));
    assert_in_range(w->expiry_s, 2, 5); /* 5, unless the machine stood still before it went out */
    reply(w, "acme", "edge-1", ID(1));
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->fault.code, FAULT_NONE);
    assert_string_equal(w->answer, "that");
    reply(w, "acme", "edge-1", ID(1)); /* once more: nobody waits */
    assert_int_equal(w->answers, 1);
    world_free(w);
}

TEST(an_answer_counts_from_the_asked_agent_alone) {
    struct world *w = world_new();
    ask(w, ID(1), 60000);
    reply(w, "acme", "edge-1", ID(1)); /* before it was asked */
    run_until_sent(w, 1);
    reply(w, "acme", "edge-2", ID(1));
    reply(w, "other", "edge-1", ID(1));
    reply(w, "acme", "edge-1", ID(2));
    reply(w, "acme", "edge-1", "");
    assert_int_equal(w->answers, 0);
    reply(w, "acme", "edge-1", ID(1));
    assert_int_equal(w->answers, 1);
    world_free(w);
}

TEST(nobody_waits_longer_than_the_deadline_and_the_sentence_says_for_what) {
    struct world *w = world_new();
    ask(w, ID(1), 1500);
    run_for(w, 1, 60000);
    assert_int_equal(w->fault.code, FAULT_TIMEOUT);
    assert_string_equal(w->fault.text, "agent 'edge-1' did not answer in time");
    w->full = true;
    ask(w, ID(2), 60);
    run_for(w, 2, 60000);
    assert_int_equal(w->fault.code, FAULT_TIMEOUT);
    assert_non_null(strstr(w->fault.text, "could not be asked in time"));
    reply(w, "acme", "edge-1", ID(2));
    assert_int_equal(w->answers, 2);
    world_free(w);
}

TEST(what_the_broker_does_not_take_now_goes_out_later) {
    struct world *w = world_new();
    w->full = true;
    ask(w, ID(1), 60000);
    run_for(w, 1, 30);
    assert_int_equal(w->sent, 0);
    w->full = false;
    run_until_sent(w, 1);
    agent_questions_publish(w->questions);
    assert_int_equal(w->sent, 1); /* once */
    agent_questions_use(w->questions, NULL);
    ask(w, ID(2), 60000);
    run_for(w, 1, 30);
    assert_int_equal(w->sent, 1);
    agent_questions_use(w->questions, (struct mqtt_client *)w);
    agent_questions_publish(w->questions);
    assert_int_equal(w->sent, 2);
    w->broken = true;
    ask(w, ID(3), 5000);
    run_for(w, 1, 60000);
    assert_int_equal(w->fault.code, FAULT_LIMIT);
    world_free(w);
}

TEST(places_are_bounded_by_agent_by_caller_and_given_back) {
    struct world *w = world_new();
    struct agent_question *taken[AGENT_QUESTIONS_OF_CALLER_MAX], *more;
    char id[AGENT_QUESTION_ID_BYTES + 1], agent[16];
    for (int i = 0; i < AGENT_QUESTIONS_OF_CALLER_MAX; i++) {
        snprintf(id, sizeof id, "01890000-0000-7000-8000-0000000000%02d", i);
        snprintf(agent, sizeof agent, "edge-%d", i / AGENT_QUESTIONS_OF_AGENT_MAX);
        CHECK_FAULT(take(w, agent, "anna", id, 5000, &taken[i]), FAULT_NONE);
    }
    CHECK_FAULT(take(w, "edge-0", "ben", ID(a), 5000, &more), FAULT_LIMIT);
    assert_non_null(strstr(w->fault.text, "4 questions to agent 'edge-0' are open already"));
    CHECK_FAULT(take(w, "edge-9", "anna", ID(a), 5000, &more), FAULT_LIMIT);
    assert_non_null(strstr(w->fault.text, "8 questions of yours are open already"));
    CHECK_FAULT(take(w, "edge-9", "ben", id, 5000, &more), FAULT_EXISTS);
    CHECK_FAULT(take(w, "edge-9", "ben", "short", 5000, &more), FAULT_INPUT);
    agent_question_drop(taken[0]);
    CHECK_FAULT(take(w, "edge-0", "anna", ID(a), 5000, &more), FAULT_NONE);
    world_free(w);
}

TEST(stopping_answers_all_that_is_open_and_all_that_comes_after) {
    struct world *w = world_new();
    struct agent_question *question;
    ask(w, ID(1), 60000);
    run_until_sent(w, 1);
    ask(w, ID(2), 60000);
    CHECK_FAULT(take(w, "edge-1", "anna", ID(3), 5000, &question), FAULT_NONE);
    agent_questions_stop(w->questions);
    assert_int_equal(w->answers, 2);
    assert_int_equal(w->fault.code, FAULT_AGAIN);
    agent_question_send(question, SLICE_LIT("what?"), on_answer, w);
    assert_int_equal(w->answers, 3);
    assert_int_equal(w->fault.code, FAULT_AGAIN);
    world_free(w);
}

enum { ROUNDS = 200 };

static void *asks_and_drops(void *context) {
    struct world *w = context;
    char id[AGENT_QUESTION_ID_BYTES + 1];
    for (int i = 0; i < ROUNDS; i++) {
        struct agent_question *question;
        struct fault fault;
        snprintf(id, sizeof id, "01890000-0000-7000-8000-000000000%03d", i);
        if (agent_question_new(w->questions, SLICE_LIT("acme"), SLICE_LIT("edge-1"), SLICE_LIT("anna"),
                               slice_from_text(id), clock_monotonic_ms() + (i % 3), &question, &fault))
            continue;
        if (i % 4 == 0)
            agent_question_drop(question);
        else
            agent_question_send(question, SLICE_LIT("what?"), on_answer, w);
    }
    return NULL;
}

TEST(callers_of_other_threads_come_and_go_while_the_loop_turns) {
    struct world *w = world_new();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, asks_and_drops, w), 0);
    run_for(w, SIZE_MAX, 100);
    pthread_join(thread, NULL);
    run_for(w, SIZE_MAX, 50);
    agent_questions_stop(w->questions);
    struct agent_question *question;
    CHECK_FAULT(take(w, "edge-1", "anna", ID(1), 5000, &question), FAULT_NONE); /* no place was lost */
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_goes_to_the_agents_own_topic_and_names_where_the_answer_is_wanted),
        cmocka_unit_test(an_answer_counts_from_the_asked_agent_alone),
        cmocka_unit_test(nobody_waits_longer_than_the_deadline_and_the_sentence_says_for_what),
        cmocka_unit_test(what_the_broker_does_not_take_now_goes_out_later),
        cmocka_unit_test(places_are_bounded_by_agent_by_caller_and_given_back),
        cmocka_unit_test(stopping_answers_all_that_is_open_and_all_that_comes_after),
        cmocka_unit_test(callers_of_other_threads_come_and_go_while_the_loop_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
