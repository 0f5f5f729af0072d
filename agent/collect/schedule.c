/* SPDX-License-Identifier: Apache-2.0
 * The loop's timers are monotonic, the slots are wall time: each firing looks at the wall clock anew, so a clock that
 * was set shifts one slot at most. A timer that fires a millisecond early finds its slot not yet due and waits again. */
#include "agent/collect/schedule.h"

#include "agent/window/slot.h"
#include "common/base/clock.h"

enum { SCHEDULE_INTERVAL_MS_MAX = 24 * 3600 * 1000 };

static int64_t newest_due_ms(const struct schedule *schedule, int64_t now_ms) {
    return slot_at_or_after(now_ms - schedule->interval_ms + 1, schedule->interval_ms, schedule->offset_ms);
}

static void schedule_arm(struct schedule *schedule, int64_t now_ms) {
    loop_timer_set(schedule->timer, newest_due_ms(schedule, now_ms) + schedule->interval_ms - now_ms);
}

static void schedule_fired(void *context) {
    struct schedule *const schedule = context;
    const int64_t now_ms = clock_wall_ms();
    const int64_t due_ms = newest_due_ms(schedule, now_ms);
    const bool again = due_ms == schedule->slot_ms;
    schedule->slot_ms = due_ms;
    schedule_arm(schedule, now_ms);
    if (!again) schedule->call(schedule->context, due_ms); /* last: it may end in schedule_done */
}

fault_code schedule_init(struct schedule *schedule, struct loop *loop, int64_t interval_ms, int64_t offset_ms,
                         void (*call)(void *context, int64_t slot_ms), void *context, struct fault *reterr) {
    if (interval_ms < 1 || interval_ms > SCHEDULE_INTERVAL_MS_MAX || offset_ms < 0 || offset_ms >= interval_ms)
        return fault_set(reterr, FAULT_INPUT,
                         "interval of %lld ms and offset of %lld ms: expected 1 ms to a day, and an offset inside it",
                         (long long)interval_ms, (long long)offset_ms);
    *schedule = (struct schedule){.interval_ms = interval_ms, .offset_ms = offset_ms, .call = call, .context = context};
    schedule->timer = loop_timer_new(loop, schedule_fired, schedule);
    return schedule->timer ? FAULT_NONE : fault_set(reterr, FAULT_SYSTEM, "out of memory");
}

void schedule_done(struct schedule *schedule) {
    if (schedule->timer) schedule->timer = loop_timer_free(schedule->timer);
}

void schedule_start(struct schedule *schedule) {
    const int64_t now_ms = clock_wall_ms();
    schedule->slot_ms = newest_due_ms(schedule, now_ms);
    schedule_arm(schedule, now_ms);
}
