/* SPDX-License-Identifier: Apache-2.0
 * Which agents came back with another queue, in a file that outlives the aggregator: the agents themselves no longer know,
 * and the journal knows what was committed, not what had waited. One line for each, in a file that is made again without
 * the old ones when it is read. Nothing depends on it but what people are told, so it is not forced to the disk.
 * Owner: the loop's thread. */
#ifndef PICKET_INTAKE_QUEUE_CHANGES_H
#define PICKET_INTAKE_QUEUE_CHANGES_H

#include "aggregator/intake/agents.h"

enum { QUEUE_CHANGES_BYTES_MAX = 1024 * 1024 }; /* of the file; further changes are in the log only */

/* Gives what was noted less than AGENT_CHANGE_SAID_MS ago to the agents, and leaves only that in the file. A line that cannot
 * be read is passed over. FAULT_SYSTEM: the file cannot be read or written; what was read has been given. */
fault_code queue_changes_recall(const char *path, struct agents *agents, int64_t now_ms,
                                struct fault *reterr) MUST_CHECK;
/* epoch: of the queue that it has now. FAULT_LIMIT: the file is full. */
fault_code queue_changes_note(const char *path, slice tenant, slice agent, slice epoch,
                              const struct agent_queue_change *change, struct fault *reterr) MUST_CHECK;

#endif
