/* SPDX-License-Identifier: Apache-2.0
 * Do the tables that others are found by say what those others say? An index holds keys alone, so no checksum sees a bit
 * that flips in it, and what it loses is stored and never shown. Part of verify; one thread. */
#ifndef PICKET_ARCHIVE_INDEX_CHECK_H
#define PICKET_ARCHIVE_INDEX_CHECK_H

#include "aggregator/archive/finding.h"
#include "aggregator/domain/domain.h"
#include "aggregator/journal/journal_tables.h"
#include "common/base/arena.h"

struct index_check {
    const struct journal_tables *tables;
    struct kv_txn *txn;
    bool comparable; /* the tables are of this program's layout; else they are made anew before they are used */
    uint64_t open, due, linked; /* rows that aggregates are found by */
};

fault_code index_check_begin(struct index_check *check, const struct journal_tables *tables, struct kv_txn *txn,
                             struct fault *reterr) MUST_CHECK;

/* Whether a stored aggregate is listed where it says it is: among the open, the due, and those that point to others. whose:
 * its names. FAULT_CORRUPT with a finding when not. */
fault_code index_check_aggregate(struct index_check *check, uint32_t tenant, const struct fact_view *whose,
                                 const struct aggregate *aggregate, struct arena *arena, struct finding *ret_finding,
                                 struct fault *reterr) MUST_CHECK;

/* After all aggregates: whether those tables have no other rows; then rejections with theirs, and the reminders of marks. */
fault_code index_check_rest(const struct index_check *check, struct finding *ret_finding,
                            struct fault *reterr) MUST_CHECK;

#endif
