/* SPDX-License-Identifier: Apache-2.0
 * Says in the log, once each time it changes, how the journal stands: its space, whether it takes commands, whether
 * compaction found damage. Owner: the loop's thread. */
#ifndef PICKET_AGGREGATOR_JOURNAL_WATCH_H
#define PICKET_AGGREGATOR_JOURNAL_WATCH_H

#include "aggregator/journal/journal.h"

struct journal_watch { /* zeros to begin with */
    enum journal_space space;
    bool refusing;
    uint64_t damaged;
};

/* Call it every second or so. */
void journal_watch_look(struct journal_watch *watch, struct journal *journal);

#endif
