/* SPDX-License-Identifier: Apache-2.0
 * What is known of the applications of one Argo CD, and what of it the centre has to hear: one report at each change of an
 * application's health, sync or operation, and the counts of each fleet (environment and cluster) when they change; both
 * again as a heartbeat. When the source is not current for too long, every application is unknown until it is again, and
 * the totals stay. Pure: time is an argument; nothing is stored here, but what must be stored with a report is given out
 * as a note, so that a process after this one neither repeats a change nor misses one. Owner: one thread.
 *
 * A few hundred bytes an application, of which its names are most. */
#ifndef PICKET_APPLICATIONS_APPLICATIONS_H
#define PICKET_APPLICATIONS_APPLICATIONS_H

#include "common/base/arena.h"
#include "common/base/fault.h"

struct applications;

/* As Argo CD names them; what it does not name, or names in a way we do not know, is unknown. */
enum application_health {
    APPLICATION_UNKNOWN,
    APPLICATION_HEALTHY,
    APPLICATION_PROGRESSING,
    APPLICATION_DEGRADED,
    APPLICATION_SUSPENDED,
    APPLICATION_MISSING,
    APPLICATION_HEALTHS_
};
enum application_sync { APPLICATION_SYNC_UNKNOWN, APPLICATION_SYNCED, APPLICATION_OUT_OF_SYNC, APPLICATION_SYNCS_ };
enum application_phase {
    APPLICATION_NO_OPERATION,
    APPLICATION_RUNNING,
    APPLICATION_TERMINATING,
    APPLICATION_SUCCEEDED,
    APPLICATION_FAILED,
    APPLICATION_ERROR,
    APPLICATION_PHASES_
};
enum application_health application_health_of(slice text);
enum application_sync application_sync_of(slice text);
enum application_phase application_phase_of(slice text);
/* As Argo CD writes them: "Healthy", "OutOfSync", "" (no operation). */
const char *application_health_name(enum application_health health);
const char *application_sync_name(enum application_sync sync);
const char *application_phase_name(enum application_phase phase);

enum {
    APPLICATION_NAMESPACE_BYTES = 63,
    APPLICATION_NAME_BYTES = 253,
    APPLICATION_PLACE_BYTES = 128, /* environment; cluster */
    APPLICATION_MESSAGE_BYTES = 120,
    APPLICATIONS_SHARDS = 32,
    APPLICATIONS_FLEETS_MAX = 256,
};

struct applications_settings {
    int64_t heartbeat_ms, debounce_ms, stale_ms;
    size_t applications_max;
    slice environment, cluster; /* of what does not fit into the fleets; copied */
};

/* Wall time says when something was seen; the other one, how long something lasted. */
struct applications_time {
    int64_t wall_ms, monotonic_ms;
};

struct applications_counts {
    uint32_t total, by_health[APPLICATION_HEALTHS_], out_of_sync;
};

struct application_view {
    slice namespace, name, environment, cluster;
    enum application_health health;
    enum application_sync sync;
    enum application_phase phase;
    slice message; /* why it is not healthy; cut */
};

enum application_report_kind { APPLICATION_REPORT, FLEET_REPORT };
struct application_report {
    enum application_report_kind kind;
    bool changed; /* false: heartbeat */
    bool stale;   /* unknown because the source is not current; the why of applications_stale */
    bool deleted; /* the application is gone: unknown, and nothing is said of it any more */
    int64_t observed_ms;
    struct application_view
        application;                   /* fleet: environment and cluster only; valid until the next call that changes */
    struct applications_counts counts; /* fleet */
    void *of;                          /* ours */
};

fault_code applications_new(const struct applications_settings *settings, struct applications_time now,
                            struct applications **ret_applications, struct fault *reterr) MUST_CHECK;
struct applications *applications_free(struct applications *applications); /* NULL is fine; returns NULL */

/* A whole list of a namespace (empty: of all) begins: what is not seen until it ends is gone. */
void applications_list_begins(struct applications *applications, slice namespace);
void applications_list_ends(struct applications *applications, slice namespace, struct applications_time now);
/* An application as it is; listed: from a list, which is passed over where a change was seen since that list began.
 * FAULT_LIMIT: there are more than applications_max (it is counted as unknown), or no memory; FAULT_INPUT: a name that
 * none can be. */
fault_code applications_see(struct applications *applications, const struct application_view *view, bool listed,
                            struct applications_time now, struct fault *reterr) MUST_CHECK;
void applications_delete(struct applications *applications, slice namespace, slice name, struct applications_time now);
/* Whether a change of it is due already: taken first, none is lost when it changes again. */
bool applications_waits(const struct applications *applications, slice namespace, slice name);
/* What is known is current from now on, until applications_lost. */
void applications_current(struct applications *applications, struct applications_time now);
/* It is not any more. since_ms: monotonic, when it was last. why: one sentence, for the reports; cut; that of the last call
 * counts. */
void applications_lost(struct applications *applications, const char *why, int64_t since_ms);
bool applications_stale(const struct applications *applications, const char **ret_why);

/* Gives out what is due: reports of one kind, of applications of one shard, at most `most`. The caller stores them, then
 * calls applications_taken with the same; until then they are given out again. 0: nothing is due. */
size_t applications_due(struct applications *applications, struct applications_time now,
                        struct application_report *ret_reports, size_t most);
/* What is to be stored with reports of applications, in one transaction, when one of them says `changed`: the shard's
 * number, and its bytes (size 0: nothing is left of it) as they are when these reports are taken. */
fault_code applications_note(const struct applications *applications, const struct application_report *reports,
                             size_t count, struct arena *arena, unsigned *ret_shard, slice *ret_value,
                             struct fault *reterr) MUST_CHECK;
void applications_taken(struct applications *applications, const struct application_report *reports, size_t count,
                        struct applications_time now);
/* When applications_due may have something if nothing comes before; monotonic. */
int64_t applications_due_ms(const struct applications *applications);

/* Takes the note of a shard that a process before this one stored, before anything is seen: what was reported then, and is
 * to be reported as deleted if the first list does not have it. FAULT_CORRUPT: not a note; what came before its end stays. */
fault_code applications_restore(struct applications *applications, slice note, struct applications_time now,
                                struct fault *reterr) MUST_CHECK;

struct applications_stats {
    size_t applications, fleets, memory_bytes;
    size_t over; /* seen in the last list and not kept: applications_max */
    bool synced, stale;
    uint64_t changes, heartbeats, fleet_reports, deletions;
};
void applications_stats(const struct applications *applications, struct applications_stats *ret_stats);

#endif
