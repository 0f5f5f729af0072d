/* SPDX-License-Identifier: Apache-2.0
 * What this agent can do, as it is built and configured, in short words for AgentStatus. Static table; any thread. */
#ifndef PICKET_AGENT_CAPABILITIES_H
#define PICKET_AGENT_CAPABILITIES_H

#include "agent/settings/agent_settings.h"

enum { CAPABILITIES_MAX = 32 };

/* Writes at most CAPABILITIES_MAX words, static ones; returns how many. */
size_t capabilities_of(const struct agent_settings *settings, const char *ret_words[CAPABILITIES_MAX]);

#endif
