/* SPDX-License-Identifier: Apache-2.0
 * Intents that were refused, whole, with the reason: to be looked at, and to be sent again when the cause is gone.
 * Bounded in number, in bytes and in age. When it is full the tenant that has most in it gives its oldest: one that floods the
 * list pushes out nobody else's. Owner: the writer thread; reading is for any thread. */
#ifndef PICKET_JOURNAL_REJECTION_LIST_H
#define PICKET_JOURNAL_REJECTION_LIST_H

#include "aggregator/journal/journal.h"
#include "aggregator/journal/journal_tables.h"

struct rejection_shares; /* what each tenant has in it */

struct rejection_list {
    kv_table records, by_tenant, replays, upkeep;
    uint64_t records_max, bytes_max;
    uint64_t last;         /* sequence; of all that were ever put in */
    uint64_t bytes_ever;   /* payload bytes of these */
    uint64_t count, bytes; /* that are in it; bytes of payloads */
    struct rejection_shares *shares;
};

fault_code rejection_list_init(struct rejection_list *list, const struct journal_tables *tables, uint64_t records_max,
                               uint64_t bytes_max, struct kv_txn *txn, struct fault *reterr) MUST_CHECK;
void rejection_list_done(struct rejection_list *list);
/* The transaction was not committed: it is again as it was at its begin. */
void rejection_list_roll_back(struct rejection_list *list, const struct rejection_list *before);
/* The sequence in `rejection` is set by the list. Texts over 255 bytes (reason: 65535) are cut. */
fault_code rejection_list_put(struct rejection_list *list, struct kv_txn *txn,
                              const struct journal_rejection *rejection, struct fault *reterr) MUST_CHECK;
/* Drops up to items_max that are from before that time; ret_dropped: how many. */
fault_code rejection_list_expire(struct rejection_list *list, struct kv_txn *txn, int64_t before_ms, size_t items_max,
                                 uint64_t *ret_dropped, struct fault *reterr) MUST_CHECK;
/* FAULT_ABSENT: the tenant has none of that number. The slices are lent by the transaction, until the next write. */
fault_code rejection_list_get(const struct rejection_list *list, struct kv_txn *txn, slice tenant, uint64_t sequence,
                              struct journal_rejection *ret_item, struct fault *reterr) MUST_CHECK;
/* It was given again with success. */
fault_code rejection_list_replayed(const struct rejection_list *list, struct kv_txn *txn, uint64_t sequence,
                                   int64_t now_ms, slice by, struct fault *reterr) MUST_CHECK;
/* Whether a record of the list is among its tenant's: FAULT_ABSENT, silently, when not, FAULT_CORRUPT when it does not open. */
fault_code rejection_list_listed(const struct journal_tables *tables, struct kv_txn *txn, slice key, slice record,
                                 struct fault *reterr) MUST_CHECK;
/* As journal_rejections. */
fault_code rejection_list_read(const struct journal_tables *tables, struct kv_txn *txn, slice tenant, uint64_t before,
                               size_t items_max, struct arena *arena, struct journal_rejection **ret_items,
                               size_t *ret_count, struct fault *reterr) MUST_CHECK;

#endif
