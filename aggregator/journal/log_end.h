/* SPDX-License-Identifier: Apache-2.0
 * Does the log of facts reach as far as the other tables know? One that ends before, or holds nothing, is damaged or was cut:
 * going on from there would begin a second history under numbers that were given already. */
#ifndef PICKET_JOURNAL_LOG_END_H
#define PICKET_JOURNAL_LOG_END_H

#include "aggregator/journal/journal_tables.h"

/* FAULT_CORRUPT with a sentence when not. last_sequence: of the last fact; 0: there is none. Looks at a row for each consumer.
 * Any thread. */
fault_code log_end_check(const struct journal_tables *tables, struct kv_txn *txn, uint64_t last_sequence,
                         struct fault *reterr) MUST_CHECK;

#endif
