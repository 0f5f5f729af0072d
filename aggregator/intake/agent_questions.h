/* SPDX-License-Identifier: Apache-2.0
 * Questions to agents over the bus (MQTT 5, request and response: section 4.10 of the standard), and whoever waits for
 * the answers. One goes to the agent's own topic, `sre.edge.requests.v1/<tenant>/<agent>`, and its answer is taken from
 * that agent's reply topic alone. Nothing is asked twice: an agent that was away when it was asked answers nothing, and
 * who asks hears that the time has passed. */
#ifndef PICKET_INTAKE_AGENT_QUESTIONS_H
#define PICKET_INTAKE_AGENT_QUESTIONS_H

#include "common/loop/loop.h"
#include "common/metrics/metrics.h"
#include "common/net/mqtt_client.h"

struct agent_questions;
struct agent_question; /* one that is open */

enum {
    AGENT_QUESTIONS_MAX = 256, /* open at a time; of one agent, of one caller */
    AGENT_QUESTIONS_OF_AGENT_MAX = 4,
    AGENT_QUESTIONS_OF_CALLER_MAX = 8,
    AGENT_QUESTION_ID_BYTES = 36,
};

/* payload: an encoded DiagnosticsReply, not looked into, lent during the call; fault FAULT_NONE. Else why there is none:
 * FAULT_TIMEOUT, FAULT_INPUT (it can never be sent), FAULT_AGAIN (the aggregator stops: what the agent does is not
 * known). */
struct agent_answer {
    slice payload;
    struct fault fault;
};
typedef void agent_question_fn(void *context, const struct agent_answer *answer);

fault_code agent_questions_new(struct loop *loop, struct metrics *metrics, struct agent_questions **ret_questions,
                               struct fault *reterr) MUST_CHECK;
/* After the API. NULL is fine; returns NULL. */
struct agent_questions *agent_questions_free(struct agent_questions *questions);
/* The connection to ask by, NULL when there is none any more. The loop's thread. */
void agent_questions_use(struct agent_questions *questions, struct mqtt_client *client);
/* Publishes what waits; call it when the client has room again. The loop's thread. */
void agent_questions_publish(struct agent_questions *questions);
/* Answers all that is open with FAULT_AGAIN, and from then on whatever is sent. The loop's thread, or when it stands. */
void agent_questions_stop(struct agent_questions *questions);
/* A message on the reply topic of that agent; late ones and those that nobody waits for are counted. The loop's thread. */
void agent_questions_on_reply(struct agent_questions *questions, slice tenant, slice agent,
                              const struct mqtt_message *message);

/* Takes a place; nothing is asked yet. id: AGENT_QUESTION_ID_BYTES, unique, the correlation data; deadline_ms: of the
 * monotonic clock. FAULT_LIMIT: as many are open as there may be, of all, this agent or this caller. Any thread. */
fault_code agent_question_new(struct agent_questions *questions, slice tenant, slice agent, slice caller, slice id,
                              int64_t deadline_ms, struct agent_question **ret_question,
                              struct fault *reterr) MUST_CHECK;
/* Asks; the payload is copied. done is called exactly once, on the loop's thread (after agent_questions_stop: on
 * whichever calls this, before it returns), and the question is gone then. Any thread. */
void agent_question_send(struct agent_question *question, slice payload, agent_question_fn *done, void *context);
/* Gives the place back of one that was not sent. Any thread. */
void agent_question_drop(struct agent_question *question);

#endif
