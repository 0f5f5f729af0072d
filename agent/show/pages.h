/* SPDX-License-Identifier: Apache-2.0
 * The agent's own HTTP pages: /metrics, /healthz, /readyz. Answered on the server's threads from what the loop's thread
 * left here last, so that a loop that hangs shows as one. */
#ifndef PICKET_AGENT_PAGES_H
#define PICKET_AGENT_PAGES_H

#include "common/metrics/metrics.h"

struct pages;

/* Serves on address and port (0: any free one). The metrics must outlive the pages. */
fault_code pages_open(const char *address, uint16_t port, struct metrics *metrics, struct pages **ret_pages,
                      struct fault *reterr) MUST_CHECK;
struct pages *pages_close(struct pages *pages); /* NULL is fine; returns NULL */
uint16_t pages_port(const struct pages *pages);

/* From the loop's thread, about once a second: it is alive, and this is what /readyz answers. text is JSON. */
void pages_update(struct pages *pages, bool ready, const char *text);

#endif
