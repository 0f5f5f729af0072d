/* SPDX-License-Identifier: Apache-2.0
 * What one agent has to measure: the SLOs of its tenant that name it, or nobody, as an encoded AgentConfig. Made from
 * the journal's aggregates, so it is right whatever was published before. Any thread. */
#ifndef PICKET_INTAKE_AGENT_CONFIG_H
#define PICKET_INTAKE_AGENT_CONFIG_H

#include "aggregator/journal/journal.h"

/* In the arena. ret_revision is derived from the content: the same for the same, another for another, at most 2^52.
 * FAULT_LIMIT: it does not fit one message of LIMIT_MESSAGE_BYTES. */
fault_code agent_config_encode(struct journal *journal, slice tenant, slice agent, struct arena *arena,
                               slice *ret_payload, uint64_t *ret_revision, struct fault *reterr) MUST_CHECK;

#endif
