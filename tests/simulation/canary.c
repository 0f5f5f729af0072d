/* SPDX-License-Identifier: Apache-2.0
 * A bug on purpose, one in each of the journal_driver_canary_* programs. The simulation must find it; when it does not,
 * its silence about the real journal means nothing either. CANARY says which:
 *   MARKS    the mark of a single intent in fifty is not written: a repeat of it has its effect twice
 *   STREAMS  the mark of a stream is not written now and then: what comes again is taken for new
 *   TIES     an incident that is opened for alerts does not tell the alerts */
#include "aggregator/domain/correlation.h"
#include "aggregator/journal/mark_table.h"

#define MARKS 1
#define STREAMS 2
#define TIES 3

#if CANARY == MARKS
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
#elif CANARY == STREAMS
fault_code __real_mark_stream_put(struct mark_table *table, struct kv_txn *txn, const struct stream_key *key,
                                  const struct stream_mark *mark, int64_t now_ms, struct fault *reterr);
fault_code __wrap_mark_stream_put(struct mark_table *table, struct kv_txn *txn, const struct stream_key *key,
                                  const struct stream_mark *mark, int64_t now_ms, struct fault *reterr);

fault_code __wrap_mark_stream_put(struct mark_table *table, struct kv_txn *txn, const struct stream_key *key,
                                  const struct stream_mark *mark, int64_t now_ms, struct fault *reterr) {
    if (mark->last_sequence % 7 == 0) return FAULT_NONE;
    return __real_mark_stream_put(table, txn, key, mark, now_ms, reterr);
}
#else
void __wrap_correlation_tell_alerts(const struct correlation *ties, slice incident_id, slice reason,
                                    const struct domain_call *call, struct fact_list *facts);
void __wrap_correlation_tell_alerts(const struct correlation *ties, slice incident_id, slice reason,
                                    const struct domain_call *call, struct fact_list *facts) {}
#endif
