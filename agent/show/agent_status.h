/* SPDX-License-Identifier: Apache-2.0
 * Pieces of the agent's status that no stage knows by itself. The agent's loop thread. */
#ifndef PICKET_AGENT_AGENT_STATUS_H
#define PICKET_AGENT_AGENT_STATUS_H

#include "agent/enrol/enrol.h"
#include "agent/ship/agent_report.h"

/* Of this process; 0: not known. */
uint64_t agent_status_resident(void);
/* The certificate of the connection: what enrolment keeps, or, with enrol NULL, the one in the file at path. The arena is for
 * reading it; ret_report's error is lent by enrol. */
void agent_status_certificate(const struct enrol *enrol, const char *path, struct arena *arena,
                              struct certificate_report *ret_report);
/* What is not empty, with "; " between; cut at the end. */
void agent_status_join(const char *const *texts, size_t count, char *ret_text, size_t text_bytes);

#endif
