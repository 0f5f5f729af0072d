/* SPDX-License-Identifier: Apache-2.0
 * Answers to single intents from the bus (MQTT 5, request and response: section 4.10 of the standard). A broker's PUBACK
 * says that the broker has a message; the reply says that its intent is on disk, so a producer that must not lose one
 * keeps it until the reply comes and sends it again, under the same message_id, when none does.
 *
 * A reply goes to the producer's own topic and nowhere else: who may publish an intent must not be able to make the
 * aggregator publish for it. Owner: the loop's thread, but for bus_reply_done. */
#ifndef PICKET_INTAKE_BUS_REPLIES_H
#define PICKET_INTAKE_BUS_REPLIES_H

#include "aggregator/journal/journal.h"
#include "common/loop/loop.h"
#include "common/net/mqtt_client.h"

struct bus_replies;
struct bus_reply; /* one that is owed */

enum { BUS_REPLIES_MAX = 10000, BUS_CORRELATION_BYTES_MAX = 256 };

fault_code bus_replies_new(struct loop *loop, struct bus_replies **ret_replies, struct fault *reterr) MUST_CHECK;
/* After journal_close: until then bus_reply_done may be called. */
struct bus_replies *bus_replies_free(struct bus_replies *replies);
/* The connection to answer by, NULL when there is none any more. */
void bus_replies_use(struct bus_replies *replies, struct mqtt_client *client);
/* Publishes what waits; call it when the client has room again. */
void bus_replies_send(struct bus_replies *replies);

/* FAULT_NONE with NULL: the message asks for no reply. FAULT_INPUT: it asks for one elsewhere than on its own topic, or
 * its correlation data is too long; FAULT_LIMIT: BUS_REPLIES_MAX are owed. The intent is taken all the same, without a
 * reply. message_id: of the intent, empty when it could not be read. */
fault_code bus_reply_owe(struct bus_replies *replies, slice tenant, slice producer, const struct mqtt_message *message,
                         slice message_id, struct bus_reply **ret_reply, struct fault *reterr) MUST_CHECK;
/* journal_command_fn; context: the reply. On the writer thread. */
void bus_reply_done(void *context, const struct journal_outcome *outcome);
/* The intent was not submitted; on the loop's thread. */
void bus_reply_failed(struct bus_reply *reply, const struct fault *fault);

#endif
