/* SPDX-License-Identifier: Apache-2.0
 * What may go, goes a slice at a time, each in a transaction of its own between the groups of commands: a slice that
 * fails takes nothing along, and a crash between two loses nothing. While there is traffic the writer spends about a
 * twentieth of its time on it (a quarter when the space is low), with nobody waiting half of it. The slice's size follows
 * the pause that it made: commands wait for no more than about PAUSE_MS.
 *
 * It runs in the refusing state too: that is how a full journal gets out of it. */
#include "aggregator/journal/journal_state.h"

#include "common/base/clock.h"

enum {
    SLICE_FACTS = 512,
    SLICE_FACTS_MIN = 32,
    SLICE_FACTS_MAX = 4096,
    PAUSE_MS = 10,
    SHARE_BUSY = 19, /* so many times the pause until the next one */
    SHARE_LOW = 3,
    SHARE_IDLE = 1,
    LOOK_MS_MIN = 200,
    LOOK_MS_MAX = 60 * 1000,
    RETRY_MS = 1000,
    MARKS_MAX = 256, /* in one slice */
    REJECTIONS_MAX = 64,
};

fault_code journal_upkeep_open(struct journal *j, struct kv_txn *txn, struct fault *reterr) {
    const int64_t keep_ms[COMPACTABLES_] = {
        [COMPACTABLE_SLI_WINDOWS] = j->settings.retention.sli_windows_ms,
        [COMPACTABLE_HEALTH_CHECKS] = j->settings.retention.health_checks_ms,
    };
    j->slice_facts = SLICE_FACTS;
    return compaction_new(&j->tables, keep_ms, txn, &j->compaction, reterr);
}

int64_t journal_upkeep_wait_ms(const struct journal *j) {
    const int64_t wait_ns = j->next_upkeep_ns - clock_monotonic_ns();
    return wait_ns > 0 ? (wait_ns + 999999) / 1000000 : 0;
}

/* Nothing to do: when something next may be due. Retentions of seconds (tests) are looked at often. */
static int64_t look_ms(const struct journal *j) {
    int64_t shortest = INT64_C(10) * LOOK_MS_MAX;
    const int64_t keeps[] = {j->settings.retention.sli_windows_ms, j->settings.retention.health_checks_ms};
    for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++)
        if (keeps[i] && keeps[i] < shortest) shortest = keeps[i];
    const int64_t longest = j->stats.space == JOURNAL_SPACE_GOOD ? LOOK_MS_MAX : RETRY_MS;
    const int64_t look = shortest / 10 < longest ? shortest / 10 : longest;
    return look < LOOK_MS_MIN ? LOOK_MS_MIN : look;
}

/* The last sequence that every consumer has, and that is not among the newest. */
static uint64_t last_allowed(struct journal *j) {
    const uint64_t newest = j->decisions.facts.last_sequence, kept = j->settings.retention.newest_facts;
    uint64_t allowed = newest > kept ? newest - kept : 0;
    const char *awaited = NULL;
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < JOURNAL_CONSUMERS_MAX && j->settings.retention.consumers[i]; i++)
        if (j->taken[i] < allowed) {
            allowed = j->taken[i];
            awaited = j->settings.retention.consumers[i];
        }
    j->stats.compactable_sequence = allowed;
    j->stats.compaction_waits_for = awaited;
    pthread_mutex_unlock(&j->lock);
    return allowed;
}

/* One transaction; ret_slice says what it did. */
static fault_code slice_run(struct journal *j, struct compaction_slice *ret_slice, struct fault *reterr) {
    struct decisions *d = &j->decisions;
    const struct rejection_list rejections = d->rejections;
    const int64_t now_ms = j->settings.now_ms(j->settings.clock_context);
    struct kv_txn *txn;
    uint64_t marks = 0, dropped = 0;
    if (kv_begin_write(j->kv, &txn, reterr)) return reterr->code;
    fault_code code = compaction_run(j->compaction, txn, now_ms, last_allowed(j), j->slice_facts, ret_slice, reterr);
    if (!code) code = mark_table_prune(&d->marks, txn, now_ms, MARKS_MAX, &marks, reterr);
    if (!code && j->settings.rejections_keep_ms)
        code = rejection_list_expire(&d->rejections, txn, now_ms - j->settings.rejections_keep_ms, REJECTIONS_MAX,
                                     &dropped, reterr);
    const bool changed = ret_slice->changed || marks || dropped;
    ret_slice->more |= marks == MARKS_MAX || dropped == REJECTIONS_MAX;
    if (code || !changed)
        kv_abort(txn);
    else
        code = kv_commit(txn, reterr);
    compaction_end(j->compaction, code == FAULT_NONE);
    if (code) rejection_list_roll_back(&d->rejections, &rejections);
    return code;
}

static void note(struct journal *j, const struct compaction_slice *done, int64_t took_ns) {
    pthread_mutex_lock(&j->lock);
    struct journal_stats *s = &j->stats;
    s->compacted += done->facts;
    s->ranges += done->ranges;
    s->slices += done->facts > 0;
    s->slice_ns += (uint64_t)took_ns;
    if ((uint64_t)took_ns > s->slice_ns_max) s->slice_ns_max = (uint64_t)took_ns;
    s->damaged += done->damaged;
    if (done->damaged) s->damage = *compaction_damage(j->compaction);
    s->rejections = j->decisions.rejections.count;
    pthread_mutex_unlock(&j->lock);
}

void journal_upkeep(struct journal *j, bool idle) {
    if (journal_upkeep_wait_ms(j) > 0) return;
    struct compaction_slice done = {0};
    struct fault fault;
    const int64_t begun_ns = clock_monotonic_ns();
    const fault_code code = slice_run(j, &done, &fault);
    const int64_t now_ns = clock_monotonic_ns(), took_ns = now_ns - begun_ns;
    if (code) { /* a page short perhaps: a smaller slice needs fewer */
        j->slice_facts = j->slice_facts / 2 > SLICE_FACTS_MIN ? j->slice_facts / 2 : SLICE_FACTS_MIN;
        j->next_upkeep_ns = now_ns + RETRY_MS * INT64_C(1000000);
        return;
    }
    note(j, &done, took_ns);
    const int64_t took_ms = took_ns / 1000000;
    if (took_ms > PAUSE_MS && j->slice_facts > SLICE_FACTS_MIN)
        j->slice_facts /= 2;
    else if (took_ms < PAUSE_MS / 3 && done.facts >= j->slice_facts && j->slice_facts < SLICE_FACTS_MAX)
        j->slice_facts *= 2;
    const int share = idle ? SHARE_IDLE : j->stats.space == JOURNAL_SPACE_GOOD ? SHARE_BUSY : SHARE_LOW;
    j->next_upkeep_ns = now_ns + (done.more ? share * took_ns : look_ms(j) * 1000000);
}
