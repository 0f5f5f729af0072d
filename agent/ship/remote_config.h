/* SPDX-License-Identifier: Apache-2.0
 * What the centre wants measured: a retained AgentConfig, turned into the definitions that window/ takes. A definition
 * that this agent cannot measure is left out and named; the others are taken. Pure. Any thread. */
#ifndef PICKET_SHIP_REMOTE_CONFIG_H
#define PICKET_SHIP_REMOTE_CONFIG_H

#include "agent/window/sli.h"
#include "common/base/arena.h"

/* A probe that an SLI of the centre asks for; it is called "slo:" and its SLO. */
struct remote_probe {
    slice name;
    bool tcp;
    slice endpoint; /* URL, or host:port */
    int status_min, status_max;
};

struct remote_definitions {
    uint64_t revision; /* 0: none came yet */
    struct sli_definition *slis;
    size_t slis_count;
    struct remote_probe *probes;
    size_t probes_count;
    size_t refused;      /* definitions left out */
    char refusals[1024]; /* which, and why; "" when there are none; cut at its end */
};

/* Everything returned lives in the arena (payload included: it is copied). FAULT_INPUT: the payload as a whole cannot be
 * read, and nothing of it may be used; FAULT_LIMIT: more than slis_max definitions, or the arena is full. */
fault_code remote_config_read(slice payload, size_t slis_max, struct arena *arena,
                              struct remote_definitions *ret_definitions, struct fault *reterr) MUST_CHECK;

/* The revision alone, also of one that cannot be put to work; 0: it has none that can be read. */
uint64_t remote_config_revision(slice payload);

#endif
