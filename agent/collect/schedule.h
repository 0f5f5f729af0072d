/* SPDX-License-Identifier: Apache-2.0
 * A timer that fires at a target's slots (window/slot.h): wall-clock times, so that every restart keeps them and the
 * windows know how many there are. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_SCHEDULE_H
#define PICKET_COLLECT_SCHEDULE_H

#include "common/loop/loop.h"

struct schedule {
    struct loop_timer *timer;
    int64_t interval_ms, offset_ms;
    int64_t slot_ms; /* the last one that is over with */
    void (*call)(void *context, int64_t slot_ms);
    void *context;
};

/* In the caller's storage. FAULT_INPUT: interval or offset out of range. call: the newest slot that is due; slots that
 * were missed (a blocked loop, a clock put forward) are not made up for. */
fault_code schedule_init(struct schedule *schedule, struct loop *loop, int64_t interval_ms, int64_t offset_ms,
                         void (*call)(void *context, int64_t slot_ms), void *context, struct fault *reterr) MUST_CHECK;
void schedule_done(struct schedule *schedule);
/* Arms the first slot after now. */
void schedule_start(struct schedule *schedule);

#endif
