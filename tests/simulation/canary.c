/* SPDX-License-Identifier: Apache-2.0
 * A bug on purpose, for journal_driver_canary: one mark of a single intent in fifty is not written, so that a repeat
 * of it has its effect twice. The simulation must find it; when it does not, its silence about the real journal means
 * nothing either. */
#include "aggregator/journal/mark_table.h"

fault_code __real_mark_intent_put(struct mark_table *table, struct kv_txn *txn, enum mark_scope scope, uint32_t tenant,
                                  const uint8_t name_hash[DIGEST_BYTES], const struct intent_mark *mark,
                                  int64_t expires_ms, struct fault *reterr);
fault_code __wrap_mark_intent_put(struct mark_table *table, struct kv_txn *txn, enum mark_scope scope, uint32_t tenant,
                                  const uint8_t name_hash[DIGEST_BYTES], const struct intent_mark *mark,
                                  int64_t expires_ms, struct fault *reterr);

fault_code __wrap_mark_intent_put(struct mark_table *table, struct kv_txn *txn, enum mark_scope scope, uint32_t tenant,
                                  const uint8_t name_hash[DIGEST_BYTES], const struct intent_mark *mark,
                                  int64_t expires_ms, struct fault *reterr) {
    if (((unsigned)name_hash[0] << 8 | name_hash[1]) % 50 == 0) return FAULT_NONE;
    return __real_mark_intent_put(table, txn, scope, tenant, name_hash, mark, expires_ms, reterr);
}
