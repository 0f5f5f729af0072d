/* SPDX-License-Identifier: Apache-2.0
 * The local webhook: one alert a call, in the JSON of Alertmanager's webhook, version 4 (its documentation,
 * "webhook_config"). One call runs at a time. Each transition of an alert has an Idempotency-Key of its own: a receiver
 * that gets it again after a crash of ours knows it. Owner: the loop's thread. */
#ifndef PICKET_ALERT_WEBHOOK_H
#define PICKET_ALERT_WEBHOOK_H

#include "agent/alert/alert_settings.h"
#include "agent/envelope/envelope.h"

struct webhook;

/* code FAULT_NONE: it was taken (2xx). number: as given to webhook_call. */
typedef void webhook_done_fn(void *context, size_t number, const struct fault *fault);

/* The settings are borrowed; url is not empty. */
fault_code webhook_new(struct http_client *client, const struct alert_settings *settings, webhook_done_fn *done,
                       void *context, struct webhook **ret_webhook, struct fault *reterr) MUST_CHECK;
struct webhook *webhook_free(struct webhook *webhook); /* a call that runs is broken off; NULL is fine; returns NULL */
bool webhook_busy(const struct webhook *webhook);
/* FAULT_AGAIN: another call runs. */
fault_code webhook_call(struct webhook *webhook, const struct envelope_alert *alert, size_t number,
                        struct fault *reterr) MUST_CHECK;
/* The body alone, in the arena. */
slice webhook_body(const struct envelope_alert *alert, struct arena *arena);

#endif
