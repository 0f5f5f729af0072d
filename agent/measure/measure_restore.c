/* SPDX-License-Identifier: Apache-2.0
 * What a process before this one stored, read back: the fold as it was with the last windows, and over it the checkpoints of
 * each source since then. What cannot be read costs what was open in it and no more. */
#include "agent/measure/measure_parts.h"
#include "common/base/clock.h"

enum { RESTORE_ARENA_BYTES = 256 * 1024 * 1024 };

void measure_restore_health(struct measure *measure) {
    struct fault fault;
    slice note;
    struct arena *const arena = arena_new(4 * 1024, RESTORE_ARENA_BYTES);
    if (!arena) return;
    fault_code code = queue_note_get(measure->parts.queue, "health", arena, &note, &fault);
    if (!code) code = health_restore(measure->health, note, clock_wall_ms(), &fault);
    if (code && code != FAULT_ABSENT)
        LOG_WARN("agent", "checks_forgotten", LOG_FAULT(&fault), LOG_TEXT("instead", "reported again as if new"));
    arena_free(arena);
}

void measure_forget_past(struct measure *measure) {
    LOG_WARN("agent", "counts_taken_back", LOG_TEXT("reason", "the queue is an older copy: what came since is counted"),
             LOG_TEXT("instead", "counting begins anew, the open windows say that they were not seen whole"));
    fold_forget_past(measure->fold);
    measure_store_fold(measure);
}

void measure_restore(struct measure *measure) {
    measure_restore_health(measure);
    struct fault fault;
    slice whole = {0};
    struct arena *const arena = arena_new(64 * 1024, RESTORE_ARENA_BYTES);
    const size_t count = measure->targets_count + measure->probes_count;
    slice *const checkpoints =
        arena ? arena_alloc_array(arena, count + measure->members_max + 1, sizeof *checkpoints) : NULL;
    if (!checkpoints) {
        LOG_ERROR("agent", "restore_failed", LOG_TEXT("fault", "out of memory"),
                  LOG_TEXT("instead", "counting begins anew"));
        arena_free(arena);
        return;
    }
    fault_code code = queue_note_get(measure->parts.queue, "fold", arena, &whole, &fault);
    if (code && code != FAULT_ABSENT)
        LOG_WARN("agent", "restore_failed", LOG_FAULT(&fault),
                 LOG_TEXT("instead", "what was open is lost, counting goes on from the checkpoints"));
    uint64_t generation = 0;
    if (whole.size && !fold_snapshot_generation(whole, &generation)) generation = 0;
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        code =
            state_get(measure->parts.state, measure->sources[i].name, generation, arena, &checkpoints[found], &fault);
        if (!code) found++;
        if (code && code != FAULT_ABSENT)
            LOG_WARN("agent", "checkpoint_lost", LOG_SLICE("target", measure->sources[i].name), LOG_FAULT(&fault));
    }
    found += measure_groups_checkpoints(measure, generation, arena, checkpoints + found);
    if ((whole.size || found) && fold_restore(measure->fold, whole, checkpoints, found, clock_wall_ms(), &fault))
        LOG_WARN("agent", "restored_in_part", LOG_FAULT(&fault));
    LOG_INFO("agent", "restored", LOG_UINT("generation", generation), LOG_UINT("snapshot_bytes", whole.size),
             LOG_UINT("checkpoints", found));
    arena_free(arena);
    if (whole.size || found) measure_groups_forget(measure);
    /* Where each SLI's windows begin: killed before the first seal, the next process states what nobody saw. */
    measure_store_fold(measure);
}
