/* SPDX-License-Identifier: Apache-2.0
 * The aggregator's parts, put together in the order of the way: intake -> journal -> outbox -> projections -> api.
 * Owner: the loop's thread. */
#ifndef PICKET_AGGREGATOR_AGGREGATOR_H
#define PICKET_AGGREGATOR_AGGREGATOR_H

#include "aggregator/aggregator_settings.h"
#include "common/loop/loop.h"

struct aggregator;

enum { AGGREGATOR_PATH_BYTES = 512 };
/* "<data.path>/tokens", where `picket-aggregator token` and the running program meet. */
void aggregator_tokens_path(const struct aggregator_settings *settings, char ret_path[AGGREGATOR_PATH_BYTES]);

/* Opens everything and starts. The loop need not run yet; the settings must outlive it. FAULT_CONFLICT: another
 * aggregator has the data folder. */
fault_code aggregator_open(struct loop *loop, const struct aggregator_settings *settings,
                           struct aggregator **ret_aggregator, struct fault *reterr) MUST_CHECK;
/* Takes over those of the settings that may change while it runs: the journal's budget. They need not outlive the call. */
void aggregator_reload(struct aggregator *aggregator, const struct aggregator_settings *settings);
/* Takes no more in, commits what was taken, ends the threads. NULL is fine; returns NULL. */
struct aggregator *aggregator_close(struct aggregator *aggregator);

#endif
