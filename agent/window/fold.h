/* SPDX-License-Identifier: Apache-2.0
 * Folds samples into good and total per SLI and aligned window. Pure: no I/O, no clock, time is an argument. Memory is
 * allocated by fold_new alone and bounded by its settings. Owner: one thread.
 *
 * The way of a scrape: fold_begin, samples through the selector index (staged), then fold_commit or fold_abort.
 * The way of a window: fold_seal_begin hands out what is over, the caller stores windows and fold_snapshot in one
 * transaction, then fold_seal_commit (or fold_seal_abort: nothing happened). The way over a restart: each target's
 * snapshot after each commit goes to a store that survives kill -9; fold_restore takes the newer of that and the one
 * stored with the windows.
 *
 * Counting: the increase of each series since its last value, a fall being a reset (the whole new value counts).
 * The first sample of a series never seen before is its baseline and counts nothing: what it counted before we knew
 * it is not ours to date. Increases over a gap (failed scrapes, our own down time) go to the scrape that sees them. */
#ifndef PICKET_WINDOW_FOLD_H
#define PICKET_WINDOW_FOLD_H

#include "agent/window/sli.h"

struct fold;

/* Targets that come and go: those of one discovery. All of them are measured by the SLIs that name the group, and by those
 * that name no target unless named_only. */
struct fold_group {
    slice name;
    bool named_only;
    size_t targets_max;  /* at one time */
    int64_t interval_ms; /* of the expectation while it is not known who belongs to the group */
    int64_t timeout_ms;  /* the longest of a member */
};

struct fold_settings {
    size_t series_max;        /* series that SLIs select, over all targets; a series counts once per SLI and part */
    int64_t series_forget_ms; /* a series not seen for so long makes room when the table is full */
    unsigned gap_windows_max; /* windows with nothing seen that are stated for one SLI after a down time */
    const struct fold_group *groups;
    size_t groups_count;
};

struct fold_target {
    slice name;
    bool probe;
    int64_t interval_ms, offset_ms, timeout_ms;
};

struct sli_window {
    slice slo_id;
    int64_t window_start_ms;
    uint32_t window_seconds;
    int64_t good, total;
    uint32_t scrapes_expected, scrapes_seen; /* slots of its targets in the window while they were there; of those, the
                                                ones that counted */
    uint32_t revision;                       /* 1; more where a clock that was ahead has sealed it before */
};

/* Targets are numbered as given. SLIs are borrowed and must outlive the fold; targets are copied. The first windows
 * are those that now_ms lies in. FAULT_CONFLICT: two SLIs of one slo_id, or two targets of one name. */
fault_code fold_new(const struct fold_settings *settings, const struct fold_target *targets, size_t targets_count,
                    const struct sli *const *slis, size_t slis_count, int64_t now_ms, struct fold **ret_fold,
                    struct fault *reterr) MUST_CHECK;
struct fold *fold_free(struct fold *fold); /* NULL is fine; returns NULL */
/* Adds what this fold wants from the target (one that stays) to the target's index. */
fault_code fold_attach(struct fold *fold, size_t target, struct selector_index *index, struct fault *reterr) MUST_CHECK;

/* Groups are numbered as given. What the SLIs want of any target of the group goes into one index, with tags that count
 * from 0; before a target's samples the index is told where that target's tags begin (selector_index_aim). */
fault_code fold_attach_group(struct fold *fold, size_t group, struct selector_index *index,
                             struct fault *reterr) MUST_CHECK;
uint32_t fold_tag_base(const struct fold *fold, size_t target);

struct fold_member {
    slice name;           /* 1 to FOLD_NAME_BYTES, unique in its group */
    uint64_t incarnation; /* tells one bearer of a name from the next: of a pod's uid */
    int64_t interval_ms, offset_ms, timeout_ms;
};
enum { FOLD_NAME_BYTES = 240 };
/* It belongs to the group from now on: its slots after now_ms are expected, its first samples are baselines. One that was
 * restored from a snapshot goes on where it was, and was expected all the time; an earlier bearer of the name leaves.
 * ret_target: its number, as for targets that stay; behind theirs. FAULT_LIMIT: targets_max are there already, or as many
 * left and wait for their windows' end. */
fault_code fold_join(struct fold *fold, size_t group, const struct fold_member *member, int64_t now_ms,
                     size_t *ret_target, struct fault *reterr) MUST_CHECK;
/* Its end has begun (a pod that is being deleted): nothing more is expected of it, what it still shows counts. */
void fold_expect_no_more(struct fold *fold, size_t target, int64_t now_ms);
/* It is gone: what it counted stays, what is in flight counts nothing. The number is invalid from now on. */
void fold_leave(struct fold *fold, size_t target, int64_t now_ms);
/* It is known who belongs to the group: who was restored and has not joined since is gone. */
void fold_group_fresh(struct fold *fold, size_t group, int64_t now_ms);
/* It is not known: from since_ms on the group itself is expected to be seen, and is not, so that no window is taken for
 * whole. A new fold's groups begin so. INT64_MIN: since the oldest window that is open. */
void fold_group_stale(struct fold *fold, size_t group, int64_t since_ms);
/* The next target of the group that was restored and has not joined; false: none. *cursor begins with 0. */
bool fold_restored_member(const struct fold *fold, size_t group, size_t *cursor, slice *ret_name);
/* How many numbers of targets there are: those that stay, then all that groups may use. */
size_t fold_targets_max(const struct fold *fold);

/* FAULT_CONFLICT: one is in flight for this target. */
fault_code fold_begin(struct fold *fold, size_t target, int64_t slot_ms, struct fault *reterr) MUST_CHECK;
/* Counts what was staged. A slot in a window that is sealed already counts in the oldest open one. Returns a fault when
 * part of it could not be counted, which leaves those SLIs' scrape unseen and all others counted:
 * FAULT_LIMIT series_max reached (fold_share.c says who gives way: who asks for no more than an equal share counts
 * again with its next scrape); FAULT_INPUT a histogram has no bucket at the threshold. FAULT_AGAIN: nothing was
 * counted, the next scrape bridges it: windows wait to be sealed. */
fault_code fold_commit(struct fold *fold, size_t target, int64_t now_ms, struct fault *reterr) MUST_CHECK;
/* The same for a probe's answer. */
fault_code fold_commit_probe(struct fold *fold, size_t target, bool ok, int64_t latency_ms, int64_t now_ms,
                             struct fault *reterr) MUST_CHECK;
/* The scrape failed: nothing of it counts, the slot stays unseen. */
void fold_abort(struct fold *fold, size_t target);

/* Not inside a seal, and before each: whether the clock was set so far that windows begin anew (see fold_clock.c); what was
 * known of revisions is forgotten with the process. boot_ms: clock_boot_ms at now_ms; by the two a clock that was set is
 * told from time that has passed. */
enum { FOLD_AHEAD_MS_MAX = 5 * 60 * 1000 };
enum fold_clock { FOLD_CLOCK_STEADY, FOLD_CLOCK_SET_BACK, FOLD_CLOCK_SET_RIGHT };
enum fold_clock fold_follow_clock(struct fold *fold, int64_t now_ms, int64_t boot_ms);

/* When fold_seal_begin should be called next: the earliest end of an open window. INT64_MAX without SLIs. */
int64_t fold_seal_due_ms(const struct fold *fold);
/* Hands out up to windows_max windows (oldest first per SLI) that have ended and have no scrape in flight; windows of
 * a down time come with scrapes_seen 0. ret_count 0: nothing to do, nothing to commit or abort. Call again while
 * ret_count is windows_max. */
void fold_seal_begin(struct fold *fold, int64_t now_ms, struct sli_window *ret_windows, size_t windows_max,
                     size_t *ret_count);
/* After fold_seal_begin with ret_count > 0: exactly one of these. No begin, commit or abort of a scrape in between. */
void fold_seal_commit(struct fold *fold);
void fold_seal_abort(struct fold *fold);

/* All state, as it will be after fold_seal_commit when a seal is open. Valid until the next snapshot call. Store it once
 * at the first start and after each changed configuration too, so that windows begin where they began. */
slice fold_snapshot(struct fold *fold);
/* One target's baselines and open counts, to be kept under the target's name after each commit. Carries the seal
 * generation and the target's commit number, so that the newer of two is known. As above. */
slice fold_snapshot_target(struct fold *fold, size_t target);
/* How many seals there were: what the state store files a target's snapshot under. */
uint64_t fold_generation(const struct fold *fold);
/* The same, out of a stored fold_snapshot: false when it does not check. */
bool fold_snapshot_generation(slice whole, uint64_t *ret_generation) MUST_CHECK;
/* Upper bound of what both return, in bytes. */
size_t fold_snapshot_bytes_max(const struct fold *fold);

/* On a new fold, before the first begin. whole: the last fold_snapshot (empty: none). targets: all stored
 * fold_snapshot_target, in any order. State of SLIs and targets that are no more, or were defined otherwise, is passed
 * over: this is also how a changed configuration is taken (seal what is over, then new fold, snapshot of the old one;
 * an SLI whose definition changed begins anew, its open window included; one of which only the length of windows
 * changed goes on counting. In both, the first window begins where the last of the old ones ended, or as soon after it as
 * one of the new length may begin: no moment lies in two). FAULT_CORRUPT: that record does not check; the others are used
 * nevertheless and reterr says which not. */
fault_code fold_restore(struct fold *fold, slice whole, const slice *targets, size_t targets_count, int64_t now_ms,
                        struct fault *reterr) MUST_CHECK;

/* What was restored is older than what this agent has said since (an older copy of its queue was put back), so increases
 * since then may be counted already. Open counts are taken back, those of the scrapes since the start with them, and
 * these are not seen; a series that was restored and not scraped since has its baseline in its next sample. What was
 * sealed since the start is not taken back. Not inside a seal. Store fold_snapshot afterwards. */
void fold_forget_past(struct fold *fold);

struct fold_stats {
    size_t series, series_max, memory_bytes;
    uint64_t seal_generation;
    uint64_t scrapes_committed, scrapes_aborted, samples, resets, series_refused, series_forgotten;
    uint64_t series_taken;        /* from who had more than a share, for who had less */
    int64_t good_carried;         /* good (or bad) that still waits for its total, over all SLIs */
    uint64_t gap_windows_dropped; /* beyond gap_windows_max: the centre has no window there */
    size_t members;               /* of all groups */
    uint64_t members_refused;     /* joins beyond targets_max */
};
void fold_stats(const struct fold *fold, struct fold_stats *ret_stats);

#endif
