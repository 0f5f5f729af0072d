/* SPDX-License-Identifier: Apache-2.0
 * process_* as every Prometheus client has them, from /proc. Private to metrics/. Any thread. */
#ifndef PICKET_METRICS_PROCESS_METRICS_H
#define PICKET_METRICS_PROCESS_METRICS_H

#include "common/base/text.h"

/* A value that /proc does not give (it may be masked) is left out. Allocates only in the text's arena. */
void process_metrics_add(struct text *text, bool openmetrics);

#endif
