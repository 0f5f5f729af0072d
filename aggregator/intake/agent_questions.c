/* SPDX-License-Identifier: Apache-2.0
 * A list of open questions under one lock, walked from end to end: there are few, and each waits for a cluster. A
 * question passes three states: taken (its audit is on the way to the disk), waiting to be published, asked. Callers come
 * from any thread and only mark and wake; publishing, answers and deadlines are the loop's. A question leaves the list
 * before its `done` is called, so that done may take another. */
#include "aggregator/intake/agent_questions.h"

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/logging/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOPIC_BYTES = 160, WHO_BYTES = 400, RETRY_MS = 100 };

enum {
#define METRIC(id, kind, name, labels, help) id,
#include "aggregator/intake/question_metrics.def"
#undef METRIC
    QUESTION_METRICS_MAX_
};
static const struct metric_row rows[] = {
#define METRIC(id, kind, name, labels, help) METRIC_ROW(kind, name, labels, help),
#include "aggregator/intake/question_metrics.def"
#undef METRIC
};

struct agent_question {
    struct agent_questions *questions;
    struct agent_question *next;
    enum { QUESTION_TAKEN, QUESTION_WAITS, QUESTION_ASKED } state;
    char producer[LIMIT_TENANT_AND_PRODUCER_BYTES + 2]; /* <tenant>/<agent> */
    char caller[WHO_BYTES];                             /* <tenant>/<caller> */
    char id[AGENT_QUESTION_ID_BYTES + 1];
    int64_t deadline_ms;
    uint8_t *payload; /* until it is published */
    size_t payload_bytes;
    agent_question_fn *done;
    void *context;
};

struct agent_questions {
    struct mqtt_client *client;
    struct metric_table *metrics;
    struct loop_waker *waker;
    struct loop_timer *timer;
    pthread_mutex_t lock;
    struct agent_question *first;
    size_t count;
    bool stopped;
    struct log_limit unknown;
};

static void on_turn(void *context);

fault_code agent_questions_new(struct loop *loop, struct metrics *metrics, struct agent_questions **ret_questions,
                               struct fault *reterr) {
    struct agent_questions *questions = calloc(1, sizeof *questions);
    if (!questions) return fault_set(reterr, FAULT_LIMIT, "make the questions to agents: out of memory");
    pthread_mutex_init(&questions->lock, NULL);
    questions->timer = loop_timer_new(loop, on_turn, questions);
    fault_code code =
        questions->timer ? FAULT_NONE : fault_set(reterr, FAULT_LIMIT, "make the questions to agents: out of memory");
    if (!code) code = loop_waker_new(loop, on_turn, questions, &questions->waker, reterr);
    if (!code && metrics) code = metrics_add(metrics, rows, QUESTION_METRICS_MAX_, &questions->metrics, reterr);
    if (code) {
        agent_questions_free(questions);
        return code;
    }
    *ret_questions = questions;
    return FAULT_NONE;
}

static void question_free(struct agent_question *question) {
    free(question->payload);
    free(question);
}

struct agent_questions *agent_questions_free(struct agent_questions *questions) {
    if (!questions) return NULL;
    while (questions->first) {
        struct agent_question *next = questions->first->next;
        question_free(questions->first);
        questions->first = next;
    }
    loop_waker_free(questions->waker);
    loop_timer_free(questions->timer);
    pthread_mutex_destroy(&questions->lock);
    free(questions);
    return NULL;
}

void agent_questions_use(struct agent_questions *questions, struct mqtt_client *client) {
    questions->client = client;
}

/* With the lock held. */
static void unlink_one(struct agent_questions *questions, struct agent_question *question) {
    struct agent_question **at = &questions->first;
    while (*at != question) at = &(*at)->next;
    *at = question->next;
    questions->count--;
}

/* Without the lock; the question is out of the list. */
static void finish(struct agent_questions *questions, struct agent_question *question,
                   const struct agent_answer *answer) {
    metric_count(questions->metrics,
                 !answer->fault.code                   ? QUESTIONS_ANSWERED
                 : answer->fault.code == FAULT_TIMEOUT ? QUESTIONS_TIMED_OUT
                                                       : QUESTIONS_NOT_ASKED,
                 1);
    question->done(question->context, answer);
    question_free(question);
}

/* ---- callers ---- */

fault_code agent_question_new(struct agent_questions *questions, slice tenant, slice agent, slice caller, slice id,
                              int64_t deadline_ms, struct agent_question **ret_question, struct fault *reterr) {
    if (tenant.size + 1 + agent.size > LIMIT_TENANT_AND_PRODUCER_BYTES || id.size != AGENT_QUESTION_ID_BYTES ||
        tenant.size + 1 + caller.size >= WHO_BYTES)
        return fault_set(reterr, FAULT_INPUT, "ask agent '%.*s': a name is too long", SLICE_ARG(agent));
    struct agent_question *question = calloc(1, sizeof *question);
    if (!question) return fault_set(reterr, FAULT_LIMIT, "ask agent '%.*s': out of memory", SLICE_ARG(agent));
    question->questions = questions;
    question->deadline_ms = deadline_ms;
    snprintf(question->producer, sizeof question->producer, "%.*s/%.*s", SLICE_ARG(tenant), SLICE_ARG(agent));
    snprintf(question->caller, sizeof question->caller, "%.*s/%.*s", SLICE_ARG(tenant), SLICE_ARG(caller));
    memcpy(question->id, id.data, id.size);

    fault_code code = FAULT_NONE;
    size_t of_agent = 0, of_caller = 0;
    pthread_mutex_lock(&questions->lock);
    for (const struct agent_question *at = questions->first; at; at = at->next) {
        of_agent += strcmp(at->producer, question->producer) == 0;
        of_caller += strcmp(at->caller, question->caller) == 0;
        if (strcmp(at->id, question->id) == 0)
            code = fault_set(reterr, FAULT_EXISTS, "question '%s' is open already: each has an id of its own", at->id);
    }
    if (!code && questions->count >= AGENT_QUESTIONS_MAX)
        code =
            fault_set(reterr, FAULT_LIMIT, "%d questions to agents are open, as many as there may be: try again soon",
                      AGENT_QUESTIONS_MAX);
    else if (!code && of_agent >= AGENT_QUESTIONS_OF_AGENT_MAX)
        code = fault_set(reterr, FAULT_LIMIT, "%d questions to agent '%.*s' are open already: wait for one to end",
                         AGENT_QUESTIONS_OF_AGENT_MAX, SLICE_ARG(agent));
    else if (!code && of_caller >= AGENT_QUESTIONS_OF_CALLER_MAX)
        code = fault_set(reterr, FAULT_LIMIT, "%d questions of yours are open already: wait for one to end",
                         AGENT_QUESTIONS_OF_CALLER_MAX);
    if (!code) {
        question->next = questions->first;
        questions->first = question;
        questions->count++;
    }
    pthread_mutex_unlock(&questions->lock);
    if (code) {
        question_free(question);
        return code;
    }
    *ret_question = question;
    return FAULT_NONE;
}

void agent_question_send(struct agent_question *question, slice payload, agent_question_fn *done, void *context) {
    struct agent_questions *questions = question->questions;
    struct agent_answer answer = {0};
    uint8_t *copy = malloc(payload.size ? payload.size : 1);
    if (copy && payload.size) memcpy(copy, payload.data, payload.size);
    pthread_mutex_lock(&questions->lock);
    question->done = done;
    question->context = context;
    question->payload = copy;
    question->payload_bytes = payload.size;
    question->state = QUESTION_WAITS;
    const bool stopped = questions->stopped;
    if (stopped || !copy) unlink_one(questions, question);
    pthread_mutex_unlock(&questions->lock);
    if (stopped || !copy) {
        fault_set(&answer.fault, stopped ? FAULT_AGAIN : FAULT_LIMIT, "ask the agent: %s",
                  stopped ? "the aggregator is stopping" : "out of memory");
        finish(questions, question, &answer);
        return;
    }
    loop_wake(questions->waker);
}

void agent_question_drop(struct agent_question *question) {
    struct agent_questions *questions = question->questions;
    pthread_mutex_lock(&questions->lock);
    unlink_one(questions, question);
    pthread_mutex_unlock(&questions->lock);
    question_free(question);
}

/* ---- the loop ---- */

static fault_code publish(struct agent_questions *questions, const struct agent_question *question, int64_t now_ms,
                          struct fault *reterr) {
    char topic[TOPIC_BYTES], response_topic[TOPIC_BYTES];
    if (!questions->client) return fault_set(reterr, FAULT_AGAIN, "MQTT: not connected");
    snprintf(topic, sizeof topic, "sre.edge.requests.v1/%s", question->producer);
    snprintf(response_topic, sizeof response_topic, "sre.edge.replies.v1/%s", question->producer);
    const struct mqtt_publication publication = {
        .topic = topic,
        .payload = slice_of(question->payload, question->payload_bytes),
        .content_type = "application/x-protobuf; proto=ameide_core_proto.sre.edge.v1.DiagnosticsRequest",
        .response_topic = response_topic,
        .correlation_data = slice_of(question->id, AGENT_QUESTION_ID_BYTES),
        .expiry_s = (uint32_t)((question->deadline_ms - now_ms + 999) / 1000),
        .qos = 1,
    };
    return mqtt_client_publish(questions->client, &publication, reterr);
}

/* The first whose time has passed, out of the list; NULL: none. *ret_next_ms: when the next is due. */
static struct agent_question *take_late(struct agent_questions *questions, int64_t now_ms, int64_t *ret_next_ms) {
    struct agent_question *late = NULL;
    *ret_next_ms = INT64_MAX;
    pthread_mutex_lock(&questions->lock);
    for (struct agent_question *at = questions->first; at && !late; at = at->next) {
        if (at->state == QUESTION_TAKEN) continue; /* whoever took it still has it */
        if (at->deadline_ms <= now_ms)
            late = at;
        else if (at->deadline_ms < *ret_next_ms)
            *ret_next_ms = at->deadline_ms;
    }
    if (late) unlink_one(questions, late);
    pthread_mutex_unlock(&questions->lock);
    return late;
}

/* One that waits to be published. Only the loop takes sent ones out of the list, so it stays valid without the lock. */
static struct agent_question *find_waiting(struct agent_questions *questions) {
    pthread_mutex_lock(&questions->lock);
    struct agent_question *at = questions->first;
    while (at && at->state != QUESTION_WAITS) at = at->next;
    pthread_mutex_unlock(&questions->lock);
    return at;
}

static void end_late(struct agent_questions *questions, struct agent_question *question) {
    struct agent_answer answer = {0};
    if (question->state == QUESTION_ASKED)
        fault_set(&answer.fault, FAULT_TIMEOUT, "agent '%s' did not answer in time",
                  strchr(question->producer, '/') + 1);
    else
        fault_set(&answer.fault, FAULT_TIMEOUT,
                  "agent '%s' could not be asked in time: the aggregator's connection to the broker is away or full",
                  strchr(question->producer, '/') + 1);
    finish(questions, question, &answer);
}

static void on_turn(void *context) {
    struct agent_questions *questions = context;
    const int64_t now_ms = clock_monotonic_ms();
    struct agent_question *question;
    struct agent_answer answer = {0};
    int64_t next_ms;
    bool full = false;
    while ((question = take_late(questions, now_ms, &next_ms))) end_late(questions, question);
    while (!full && (question = find_waiting(questions))) {
        const fault_code code = publish(questions, question, now_ms, &answer.fault);
        full = code == FAULT_AGAIN;
        if (full) continue;
        pthread_mutex_lock(&questions->lock);
        question->state = QUESTION_ASKED;
        free(question->payload);
        question->payload = NULL;
        if (code) unlink_one(questions, question);
        pthread_mutex_unlock(&questions->lock);
        if (code) finish(questions, question, &answer);
    }
    if (full && next_ms > now_ms + RETRY_MS) next_ms = now_ms + RETRY_MS;
    if (next_ms != INT64_MAX) loop_timer_set(questions->timer, next_ms - now_ms);
}

void agent_questions_publish(struct agent_questions *questions) {
    on_turn(questions);
}

void agent_questions_on_reply(struct agent_questions *questions, slice tenant, slice agent,
                              const struct mqtt_message *message) {
    char producer[sizeof((struct agent_question *)0)->producer];
    uint64_t held;
    snprintf(producer, sizeof producer, "%.*s/%.*s", SLICE_ARG(tenant), SLICE_ARG(agent));
    pthread_mutex_lock(&questions->lock);
    struct agent_question *at = questions->first;
    while (at && !(at->state == QUESTION_ASKED && strcmp(at->producer, producer) == 0 &&
                   slice_equal_text(message->correlation_data, at->id)))
        at = at->next;
    if (at) unlink_one(questions, at);
    pthread_mutex_unlock(&questions->lock);
    if (at) {
        finish(questions, at, &(struct agent_answer){.payload = message->payload});
        return;
    }
    metric_count(questions->metrics, QUESTIONS_UNKNOWN, 1);
    if (log_limit_pass(&questions->unknown, clock_monotonic_ms(), 10000, &held))
        LOG_WARN("intake", "answer_unknown", LOG_SLICE("tenant", tenant), LOG_SLICE("agent", agent),
                 LOG_TEXT("reason", "nobody waits for it: it came late, or was not asked for"),
                 LOG_UINT("repeats", held));
}

void agent_questions_stop(struct agent_questions *questions) {
    struct agent_answer answer = {0};
    fault_set(&answer.fault, FAULT_AGAIN, "the aggregator is stopping: what the agent does is not known");
    for (;;) {
        pthread_mutex_lock(&questions->lock);
        questions->stopped = true;
        struct agent_question *at = questions->first;
        while (at && at->state == QUESTION_TAKEN) at = at->next;
        if (at) unlink_one(questions, at);
        pthread_mutex_unlock(&questions->lock);
        if (!at) return;
        finish(questions, at, &answer);
    }
}
