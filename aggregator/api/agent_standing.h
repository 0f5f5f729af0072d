/* SPDX-License-Identifier: Apache-2.0
 * What is known of an agent now, from what it said last, when, and its right to connect. Silence is never taken for
 * health: an agent that was online and is not heard of in time is unknown. Pure; any thread. */
#ifndef PICKET_API_AGENT_STANDING_H
#define PICKET_API_AGENT_STANDING_H

#include "aggregator/intake/agents.h"
#include "sre.pb.h"

enum { AGENT_STANDING_REASON_BYTES = 256 };

/* brief NULL: nothing was heard of it; identity NULL: nobody has enrolled it here. At least one is given. */
AgentState agent_standing(const struct agent_brief *brief, const AgentIdentity *identity, int64_t now_ms,
                          char ret_reason[AGENT_STANDING_REASON_BYTES]);

#endif
