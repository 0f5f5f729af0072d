/* SPDX-License-Identifier: Apache-2.0
 * The agent's parts, put together: settings, queue and state, measure, shipper and connection, reports, the HTTP pages.
 * Owner: the loop's thread (the pages are answered by the HTTP server's). */
#ifndef PICKET_AGENT_PIPELINE_H
#define PICKET_AGENT_PIPELINE_H

#include "common/loop/loop.h"

struct pipeline;

/* Reads the file (and the environment over it), opens everything and starts. The loop need not run yet. FAULT_INPUT: the
 * file has mistakes; each is logged. FAULT_AGAIN: the disk of buffer.path is full, read-only or failing. */
fault_code pipeline_open(struct loop *loop, const char *config_path, char *const *environment,
                         struct pipeline **ret_pipeline, struct fault *reterr) MUST_CHECK;
/* Reads the file again. With mistakes in it, the old configuration stays in force and the centre is told. */
void pipeline_reload(struct pipeline *pipeline);
/* It has stopped the loop because only another process can go on; the log says why. */
bool pipeline_broken(const struct pipeline *pipeline);
/* Says good-bye to the broker and leaves what is open in its checkpoints. NULL is fine; returns NULL. */
struct pipeline *pipeline_close(struct pipeline *pipeline);

#endif
