/* SPDX-License-Identifier: Apache-2.0
 * The one place where something happens: a bounded queue of commands, one writer thread that decides and applies
 * them in groups, and one LMDB environment that holds state, facts, dedup marks and rejections. A command's callback
 * runs when its effect is on disk (full sync), not before.
 *
 * Submitting and reading are for any thread. Callbacks run on the writer thread: hand off and return. */
#ifndef PICKET_JOURNAL_JOURNAL_H
#define PICKET_JOURNAL_JOURNAL_H

#include "aggregator/journal/fact_view.h"
#include "common/base/arena.h"
#include "common/base/fault.h"
#include "common/codec/services.h"
#include "common/store/kv.h"

struct journal;

enum { JOURNAL_CONSUMERS_MAX = 8 };

struct journal_settings {
    const char *path;   /* directory of the environment */
    uint64_t map_bytes; /* address space; the budget is not above it */
    struct journal_budget {
        uint64_t bytes;        /* new commands are refused from 95 % of it on; 0: map_bytes */
        unsigned warn_percent; /* 0: 80 */
    } budget;
    enum kv_sync sync;          /* KV_SYNC_FULL but in tests */
    size_t queue_commands_max;  /* submitted and not yet taken; 0: 8192 */
    size_t queue_bytes_max;     /* their bytes; 0: 64 MiB */
    size_t commit_intents_max;  /* intents in one transaction; 0: 16384 */
    uint64_t rejections_max;    /* the tenant that has most gives its oldest; 0: 100,000 */
    int64_t rejections_keep_ms; /* older ones go, too; 0: by number only */
    int64_t alert_expiry_ms;    /* for a firing alert without endsAt; 0: 5 minutes */
    int64_t health_expiry_ms;   /* for a health check or fleet state without expires_at; 0: an hour */
    struct {                    /* what is compacted (fact_range.h) when it is older; 0: kept for ever */
        int64_t sli_windows_ms, health_checks_ms;
        uint64_t newest_facts;                        /* that are never compacted; 0: 10,000 */
        const char *consumers[JOURNAL_CONSUMERS_MAX]; /* nothing is compacted that one of these has not taken in */
    } retention;
    int64_t (*now_ms)(void *clock_context); /* NULL: the wall clock */
    void *clock_context;
    uint64_t random_seed; /* 0: from the kernel; else message ids are repeatable (tests) */
    bool without_thread;  /* the caller decides what waits, by journal_turn */
};

fault_code journal_open(const struct journal_settings *settings, struct journal **ret_journal,
                        struct fault *reterr) MUST_CHECK;
/* Decides what was submitted, then ends the writer; NULL is fine; returns NULL. */
struct journal *journal_close(struct journal *journal);

/* For a journal without a thread: decides and commits what waits now, on this thread, and makes the callbacks. */
void journal_turn(struct journal *journal);
/* For a journal without a thread: lets go of it as a crash would; what waits is not decided, no callback is made. */
struct journal *journal_abandon(struct journal *journal);

/* ---- submitting ---- */

/* Who asks, as their connection proved it; nothing of this is read from the message. */
struct journal_caller {
    slice tenant;
    slice actor; /* token's name, agent's name: becomes `producer` of the facts' meta */
    enum method_role role;
    bool self; /* the aggregator itself asks, and may what nobody else may; the role does not matter then */
};

enum journal_result {
    JOURNAL_COMMITTED, /* on disk */
    JOURNAL_REPEATED,  /* had been committed before: no effect now; aggregate and version are the present ones */
    JOURNAL_REFUSED,   /* fault says why (FAULT_INPUT, _CONFLICT, _ABSENT, _DENIED); kept in the rejections list */
    JOURNAL_FAILED,    /* not decided: FAULT_AGAIN, _LIMIT (store full), _SYSTEM; nothing has changed */
};

struct journal_outcome { /* lent during the callback */
    enum journal_result result;
    struct fault fault; /* code FAULT_NONE when committed or repeated */
    slice aggregate_type, aggregate_id;
    uint64_t aggregate_version;
    slice aggregate;        /* encoded message (SLO, Incident, ...) as committed; may be empty */
    uint64_t last_sequence; /* of the last fact it made; 0: none */
};
typedef void journal_command_fn(void *context, const struct journal_outcome *outcome);

struct journal_command {
    struct journal_caller caller;
    slice intent;              /* encoded SreDomainIntent; copied. Where meta.message_id, tenant_id, producer or
                                 occurred_at are empty the journal fills them in; another tenant is refused */
    uint64_t expected_version; /* 0: any; else the aggregate must be at this version (FAULT_CONFLICT) */
    slice idempotency_key;     /* empty: none. The same key of the same caller gives the first outcome again */
    bool message_id_needed;   /* it may come again by no doing of its sender (QoS 1): refused without meta.message_id */
    uint64_t replay_of;       /* not 0: the intent is that of this rejection of the caller's tenant, given again; when
                                  it is refused it is not listed once more, when not, the rejection is marked */
    int64_t due_ms;           /* the journal's own use: the row of `expiries` that this is for */
    journal_command_fn *done; /* NULL: nobody waits */
    void *context;
};
/* FAULT_AGAIN: the queue is full (answer 503 with Retry-After). `done` is called exactly once when this returns
 * FAULT_NONE, never otherwise. */
fault_code journal_submit(struct journal *journal, const struct journal_command *command,
                          struct fault *reterr) MUST_CHECK;

struct journal_batch_outcome {  /* lent during the callback */
    enum journal_result result; /* COMMITTED also when all of it was a repeat; REFUSED: could not be read at all */
    struct fault fault;
    slice tenant, agent, epoch; /* epoch as sent: 36 characters */
    uint64_t stream;
    uint64_t committed_sequence; /* last in this stream that is on disk */
    uint64_t wanted_sequence;    /* 0, or: send again from here, something is missing that was not stated */
    bool stream_ended;           /* the stream is complete and forgotten after its retention */
    bool new_epoch;              /* first batch of this epoch */
    uint64_t applied, repeated, refused, missing; /* intents; missing: stated holes */
    uint64_t missing_all;                         /* of the stream, ever, up to committed_sequence */
};
typedef void journal_batch_fn(void *context, const struct journal_batch_outcome *outcome);

/* Submits, as the aggregator itself, what the clock has to say: alerts that expire, executions that time out; at most
 * intents_max, oldest first. Call it every second or so; what is not decided by the next call is submitted again,
 * without effect. */
fault_code journal_submit_due(struct journal *journal, size_t intents_max, size_t *ret_submitted,
                              struct fault *reterr) MUST_CHECK;

/* Nobody could tell this journal anything before that moment (wall clock): it was closed, stood by, or the clock has
 * jumped. Alerts whose source gave no end, and which nobody can have repeated meanwhile, do not expire until
 * alert_expiry_ms after it. Not called: as if it had always listened. On the thread that calls journal_submit_due. */
void journal_listens_since(struct journal *journal, int64_t since_ms);

/* At the start, before anybody else submits: ends what only the process before this one could have ended (domain_abandoned).
 * What it does not come to is due in its time. */
fault_code journal_submit_abandoned(struct journal *journal, size_t *ret_submitted, struct fault *reterr) MUST_CHECK;

/* One IntentBatch as it came in; tenant and agent are those of the topic. The payload is copied. */
fault_code journal_submit_batch(struct journal *journal, slice tenant, slice agent, slice payload,
                                journal_batch_fn *done, void *context, struct fault *reterr) MUST_CHECK;

/* Keeps a message that did not become a command (wrong tenant in the topic, unreadable) in the rejections list. */
fault_code journal_submit_rejection(struct journal *journal, slice tenant, slice producer, fault_code code,
                                    slice reason, slice payload, struct fault *reterr) MUST_CHECK;

/* ---- reading: each call is a read transaction of its own, results are copied to the arena ---- */

/* FAULT_ABSENT when there is none. aggregate_type: as in topics, "slo", "incident", ...; a deleted one is absent. */
fault_code journal_get(struct journal *journal, slice tenant, slice aggregate_type, slice aggregate_id,
                       struct arena *arena, slice *ret_aggregate, struct fault *reterr) MUST_CHECK;

struct journal_item {
    slice id;
    uint64_t version;
    slice aggregate;
};
/* In byte order of ids, those after after_id (empty: from the first), at most items_max (LIMIT_PAGE_SIZE) and about 512 KiB
 * (at least one).
 * ret_more: there are others behind the last; its id is the next page's token. */
fault_code journal_list(struct journal *journal, slice tenant, slice aggregate_type, slice after_id, size_t items_max,
                        struct arena *arena, struct journal_item **ret_items, size_t *ret_count, bool *ret_more,
                        struct fault *reterr) MUST_CHECK;

/* Where an item stands among the open ones of its kind; as the page token for the next ones. */
struct journal_place {
    int64_t since_ms;
    slice id;
};
/* The open aggregates of a kind (incidents that are neither resolved nor closed, alerts that are not resolved,
 * executions that have not ended), newest first: those behind `after` (NULL: from the newest), at most items_max
 * (LIMIT_PAGE_SIZE) and about 512 KiB (at least one). ret_last: the place of the last item; ret_more: there are others
 * behind it. */
fault_code journal_list_open(struct journal *journal, slice tenant, slice aggregate_type,
                             const struct journal_place *after, size_t items_max, struct arena *arena,
                             struct journal_item **ret_items, size_t *ret_count, struct journal_place *ret_last,
                             bool *ret_more, struct fault *reterr) MUST_CHECK;

/* Facts of all tenants with sequence > after, in order, at most facts_max and about bytes_max (at least one). Compacted
 * facts are one view (fact_view.h); when `after` lies among them, it is the whole range's. */
fault_code journal_facts(struct journal *journal, uint64_t after_sequence, size_t facts_max, size_t bytes_max,
                         struct arena *arena, struct fact_view **ret_facts, size_t *ret_count,
                         struct fault *reterr) MUST_CHECK;
/* The last committed sequence; no transaction. */
uint64_t journal_last_sequence(struct journal *journal);

struct journal_rejection {
    uint64_t sequence; /* of the rejections list itself */
    int64_t time_ms;
    fault_code code;
    slice tenant, producer, reason;
    slice payload;       /* the whole intent (or batch, when it could not be read) */
    int64_t replayed_ms; /* 0: was not replayed with success */
    slice replayed_by;
};
/* Newest first, those of the tenant with sequence < before (0: from the newest), at most items_max and about 512 KiB (at least
 * one); none: there are no more. */
fault_code journal_rejections(struct journal *journal, slice tenant, uint64_t before, size_t items_max,
                              struct arena *arena, struct journal_rejection **ret_items, size_t *ret_count,
                              struct fault *reterr) MUST_CHECK;

/* Consumers' cursors that have no store of their own. Setting is asynchronous, coalesced, and never goes back. */
fault_code journal_cursor_get(struct journal *journal, const char *consumer, uint64_t *ret_sequence,
                              struct fault *reterr) MUST_CHECK; /* 0 when it has none */
void journal_cursor_set(struct journal *journal, const char *consumer, uint64_t sequence);

/* A consumer of settings.retention says how far it has taken facts in: in memory only, for compaction, and it may go
 * back (its store was deleted). Until its first word it is at 0. Others' names are passed over. Any thread. */
void journal_taken(struct journal *journal, const char *consumer, uint64_t sequence);

/* Another budget, from now on. Any thread. */
void journal_budget_set(struct journal *journal, struct journal_budget budget);

/* Called on the writer thread after each commit that made facts; at most 8. It must not call the two functions here. */
typedef void journal_commit_fn(void *context, uint64_t last_sequence);
fault_code journal_on_commit(struct journal *journal, journal_commit_fn *call, void *context,
                             struct fault *reterr) MUST_CHECK;
/* When it returns, the call is not running and will not be made again. */
void journal_off_commit(struct journal *journal, journal_commit_fn *call, void *context);

/* ---- figures for /metrics and /readyz; any thread ---- */
struct journal_stats {
    uint64_t commits, commands, intents, facts;
    uint64_t refused, repeated, missing, unreadable_batches, wrong_tenant, window_repeats;
    uint64_t definitions; /* facts since the start that changed what agents have to measure */
    uint64_t queue_commands, queue_bytes;
    uint64_t last_sequence, rejections;
    uint64_t map_bytes, file_bytes; /* the file never shrinks */
    uint64_t used_bytes;            /* of the file, without the pages that can be used again */
    uint64_t budget_bytes;
    enum journal_space { JOURNAL_SPACE_GOOD, JOURNAL_SPACE_LOW, JOURNAL_SPACE_FULL } space; /* against the budget */
    uint64_t compacted, ranges, slices; /* facts that went, ranges written, transactions, since the start */
    uint64_t slice_ns, slice_ns_max;    /* how long the writer was at it: summed, and the longest pause */
    uint64_t reindexed;                 /* aggregates, when it was opened: see index_build.h; else 0 */
    uint64_t damaged;                   /* facts that should have gone but do not check, and stay */
    struct fault damage;                /* about the last of them */
    uint64_t compactable_sequence;      /* up to here compaction may go: the consumers have it */
    const char *compaction_waits_for;   /* the consumer that is farthest behind; NULL: none is awaited */
    int64_t last_commit_ms;             /* wall clock */
    uint64_t commit_ns, decide_ns;      /* summed: sync and write; decode, decide and apply */
    bool refusing; /* the store is full or broken: reads work, commands fail with refusing_reason */
    struct fault refusing_reason;
};
void journal_stats(struct journal *journal, struct journal_stats *ret_stats);

#endif
