/* SPDX-License-Identifier: Apache-2.0
 * The keys that only a start of the agent can change: who it is, where its queue, pages and connections are, and the
 * bounds of what is in flight. All others follow the file at SIGHUP. Pure. */
#ifndef PICKET_AGENT_RESTART_KEYS_H
#define PICKET_AGENT_RESTART_KEYS_H

#include "agent/settings/agent_settings.h"

/* Puts the values in force back into what was read from the file, so that all parts go on with the same ones; texts are
 * copied to the arena, which must be the one that `read` lives in. ret_keys: the keys that differed, with commas between
 * them, empty when none did; cut to keys_bytes. FAULT_LIMIT: no room in the arena. */
fault_code restart_keys_keep(const struct agent_settings *in_force, struct agent_settings *read, struct arena *arena,
                             char *ret_keys, size_t keys_bytes, struct fault *reterr) MUST_CHECK;

/* All of them in one sentence's words, for --help. */
#define RESTART_KEYS_TEXT                                                                                              \
    "agent.tenant, agent.name, buffer.*, http.*, scrape.connections_max and ship.* without ship.status_interval"

#endif
