/* SPDX-License-Identifier: Apache-2.0
 * The items of `discovery:` at work: each looks into its cluster and reports to the measure in force. They live longer
 * than a measure: when the centre changes what is counted, nobody is listed again. Owner: the loop's thread. */
#ifndef PICKET_AGENT_DISCOVERIES_H
#define PICKET_AGENT_DISCOVERIES_H

#include "agent/clusters/clusters.h"
#include "agent/measure/measure.h"

struct discoveries;

/* Settings and clusters must outlive it. An item whose cluster is not there finds nothing, and its group's state says
 * why. FAULT_LIMIT: no memory. */
fault_code discoveries_open(struct loop *loop, const struct clusters *clusters, const struct agent_settings *settings,
                            struct discoveries **ret_discoveries, struct fault *reterr) MUST_CHECK;
/* Nobody leaves by this. Before the clusters; NULL is fine; returns NULL. */
struct discoveries *discoveries_close(struct discoveries *discoveries);
/* Everybody joins this measure, made from the same settings, and is reported to no other. NULL is fine, here and below. */
void discoveries_use(struct discoveries *discoveries, struct measure *measure);
/* Once a second: says what was left out. */
void discoveries_tick(struct discoveries *discoveries);

#endif
