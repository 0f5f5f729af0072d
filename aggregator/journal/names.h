/* SPDX-License-Identifier: Apache-2.0
 * Short numbers for long names (tenants, SLOs, sources of windows), so that keys are small and cluster. A number is
 * given once and never again. Owner: the writer thread; names_find is for any thread with its own transaction. */
#ifndef PICKET_JOURNAL_NAMES_H
#define PICKET_JOURNAL_NAMES_H

#include "aggregator/journal/journal_tables.h"

struct names;
enum names_kind { NAMES_TENANT = 1, NAMES_SLO = 2, NAMES_SOURCE = 3 };
enum { NAMES_TEXT_BYTES_MAX = 384 };

struct names *names_new(kv_table table) MUST_CHECK; /* NULL: no memory */
struct names *names_free(struct names *names);

/* The number of the text in its scope (0, or the tenant's number); gives a new one when it has none. */
fault_code names_number(struct names *names, struct kv_txn *txn, enum names_kind kind, uint32_t scope, slice text,
                        uint32_t *ret_number, struct fault *reterr) MUST_CHECK;

/* FAULT_ABSENT, silently, when it has none. */
fault_code names_find(kv_table table, struct kv_txn *txn, enum names_kind kind, uint32_t scope, slice text,
                      uint32_t *ret_number, struct fault *reterr) MUST_CHECK;

/* What a transaction gave is not there when it is aborted: forget what is held in memory. */
void names_forget(struct names *names);

#endif
