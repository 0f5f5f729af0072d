/* SPDX-License-Identifier: Apache-2.0
 * The aggregator's side of MQTT: batches and single intents into the journal, commit-level acks and configurations back
 * to the agents. Every message is checked against the topic that it came in on. Owner: the loop's thread. */
#ifndef PICKET_INTAKE_MQTT_INTAKE_H
#define PICKET_INTAKE_MQTT_INTAKE_H

#include "aggregator/intake/agent_questions.h"
#include "aggregator/intake/agents.h"
#include "common/loop/loop.h"
#include "common/metrics/metrics.h"
#include "common/net/mqtt_client.h"

struct mqtt_intake;

/* The filters to subscribe to, NULL-terminated. */
extern const char *const mqtt_intake_subscriptions[];

/* metrics may be NULL. Journal and agents must outlive it; before the journal's first command. */
fault_code mqtt_intake_new(struct loop *loop, struct journal *journal, struct agents *agents, struct metrics *metrics,
                           struct mqtt_intake **ret_intake, struct fault *reterr) MUST_CHECK;
/* Takes up from that file which agents had changed their queues, and notes further ones in it. The path outlives the intake. */
void mqtt_intake_note_changes(struct mqtt_intake *intake, const char *path);
/* After journal_close: until then batches under way report here. NULL is fine; returns NULL. */
struct mqtt_intake *mqtt_intake_free(struct mqtt_intake *intake);
/* The connection to answer by, NULL when there is none any more. */
void mqtt_intake_use(struct mqtt_intake *intake, struct mqtt_client *client);

/* Those that others may ask by; they are the intake's. */
struct agent_questions *mqtt_intake_questions(struct mqtt_intake *intake);

/* From the client's callbacks. Publications of the intake carry token 0, and their outcome is not asked for: acks and
 * configurations are retained, and published again after each connect. */
void mqtt_intake_on_connected(struct mqtt_intake *intake);
void mqtt_intake_on_message(struct mqtt_intake *intake, const struct mqtt_message *message);
void mqtt_intake_on_published(struct mqtt_intake *intake);

#endif
