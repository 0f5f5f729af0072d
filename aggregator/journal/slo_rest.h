/* SPDX-License-Identifier: Apache-2.0
 * What is kept of an SLO beside its definition and its hours: the counts of its calendar periods, when exhaustion was
 * said, former lengths of its windows; and the few hours that are being counted (slo_hours.h). Owner: the writer thread; reading is for any thread. */
#ifndef PICKET_JOURNAL_SLO_REST_H
#define PICKET_JOURNAL_SLO_REST_H

#include "aggregator/domain/slo_state.h"
#include "aggregator/journal/slo_hours.h"

/* Into a state made by slo_state_init, which stays as it is when there is no record. tenant, slo: numbers of names.h. */
fault_code slo_rest_get(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, struct slo_state *state,
                        struct slo_recent ret_recent[SLO_RECENT_HOURS], struct fault *reterr) MUST_CHECK;
fault_code slo_rest_put(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo,
                        const struct slo_state *state, const struct slo_recent recent[SLO_RECENT_HOURS],
                        struct fault *reterr) MUST_CHECK;

/* The recent hours alone; none when there is no record. */
fault_code slo_rest_recent_get(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo,
                               struct slo_recent ret_recent[SLO_RECENT_HOURS], struct fault *reterr) MUST_CHECK;
/* The rest as bytes, for an export and an import. ret_body: in the arena, empty when there is no record. FAULT_INPUT: what
 * is brought is no such record. */
fault_code slo_rest_bytes_get(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, struct arena *arena,
                              slice *ret_body, struct fault *reterr) MUST_CHECK;
fault_code slo_rest_bytes_put(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, slice body,
                              struct fault *reterr) MUST_CHECK;

#endif
