/* SPDX-License-Identifier: Apache-2.0
 * One transaction's work: intents and batches decided, applied and written, but not yet committed. Owner: the writer
 * thread.
 *
 * Two kinds of failure: a refusal belongs to one intent, is written to the rejections list and the line goes on; a
 * broken transaction (the disk, the map, stored bytes that do not check) ends all of it, and nothing has happened. */
#ifndef PICKET_JOURNAL_DECISION_H
#define PICKET_JOURNAL_DECISION_H

#include "aggregator/domain/domain.h"
#include "aggregator/journal/fact_log.h"
#include "aggregator/journal/hot_slos.h"
#include "aggregator/journal/journal.h"
#include "aggregator/journal/mark_table.h"
#include "aggregator/journal/names.h"
#include "aggregator/journal/rejection_list.h"

struct decision_counts {
    uint64_t intents, facts, refused, repeated, missing, unreadable_batches, wrong_tenant, window_repeats, definitions;
};

struct decisions {
    struct journal_tables tables;
    struct fact_log facts;
    struct mark_table marks;
    struct rejection_list rejections;
    struct names *names;
    struct hot_slos *slos;
    struct domain_ids ids;
    int64_t alert_expiry_ms, health_expiry_ms;
    /* of the transaction */
    struct kv_txn *txn;
    struct arena *arena;
    int64_t now_ms;
    struct decision_counts counts; /* since open; those of an aborted transaction are taken back */
    struct decision_counts counts_before;
    struct fact_log facts_before;
    struct rejection_list rejections_before;
    /* scratch */
    SreDomainIntent intent;
    struct fact_list list;
    uint8_t *buffer; /* AGGREGATE_BYTES_MAX */
};

void decisions_begin(struct decisions *d, struct kv_txn *txn, int64_t now_ms);
/* Writes what is written once per transaction. */
fault_code decisions_flush(struct decisions *d, struct fault *reterr) MUST_CHECK;
void decisions_end(struct decisions *d, bool committed);

/* One intent of a caller. FAULT_NONE: ret_outcome says committed, repeated or refused; its slices lie in d->arena.
 * Otherwise the transaction is broken. */
fault_code decide_command(struct decisions *d, const struct journal_command *command,
                          struct journal_outcome *ret_outcome, struct fault *reterr) MUST_CHECK;

/* Between two transactions of the decisions' own, with one that may be read only: a command that had its effect before
 * gets its outcome (slices in d->arena). ret_repeat false: it did not, or cannot be read; the outcome says nothing. */
fault_code command_repeat(struct decisions *d, struct kv_txn *txn, const struct journal_command *command,
                          bool *ret_repeat, struct journal_outcome *ret_outcome, struct fault *reterr) MUST_CHECK;

/* One batch by contract.md, "Delivery". As above. */
fault_code decide_batch(struct decisions *d, slice tenant, slice agent, slice payload,
                        struct journal_batch_outcome *ret_outcome, struct fault *reterr) MUST_CHECK;

fault_code decide_rejection(struct decisions *d, slice tenant, slice producer, fault_code code, slice reason,
                            slice payload, struct fault *reterr) MUST_CHECK;

/* An aggregate as it stands now, for the answer to a repeat; both outputs stay when there is none. */
fault_code decide_show(struct decisions *d, uint32_t tenant, enum aggregate_kind kind, slice id, uint64_t *ret_version,
                       slice *ret_aggregate, struct fault *reterr) MUST_CHECK;

/* ---- between decision.c and batch.c ---- */
struct decision_sender {
    slice tenant, actor;
    uint32_t tenant_number;
    unsigned senders;       /* enum domain_senders: what the caller is */
    uint32_t source_number; /* memo of (actor, cluster) */
    slice source_cluster;
    bool source_known;
    bool unlisted; /* what is refused is in the rejections list already */
};
struct decision_effect {
    fault_code refused; /* FAULT_NONE: decided */
    bool repeated;      /* decided, without effect */
    slice id;
    enum aggregate_kind kind;
    uint64_t version;
    slice aggregate; /* encoded, when wanted */
    struct fault why;
};
/* Decides d->intent (decoded; its envelope is completed here) and writes its effect. bytes: as it came, for the
 * rejections list. */
fault_code decide_intent(struct decisions *d, struct decision_sender *sender, slice bytes, uint64_t expected_version,
                         bool want_aggregate, struct decision_effect *ret_effect, struct fault *reterr) MUST_CHECK;

#endif
