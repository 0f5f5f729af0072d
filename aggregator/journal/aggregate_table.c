/* SPDX-License-Identifier: Apache-2.0
 * What is stored is the contract's own message, so that a read by id is a copy and no more. */
#include "aggregator/journal/aggregate_table.h"

#include "aggregator/journal/record.h"
#include "common/codec/codec.h"

enum { SCHEMA = 1, AT_VERSION = RECORD_HEAD_BYTES, AT_MESSAGE = AT_VERSION + 8 };

const struct message_desc *aggregate_message(enum aggregate_kind kind) {
    switch (kind) {
    case AGGREGATE_INCIDENT: return &Incident_desc;
    case AGGREGATE_ALERT: return &Alert_desc;
    case AGGREGATE_SLO: return &SLO_desc;
    case AGGREGATE_HEALTH_CHECK: return &HealthCheck_desc;
    case AGGREGATE_RUNBOOK: return &Runbook_desc;
    case AGGREGATE_RUNBOOK_EXECUTION: return &RunbookExecution_desc;
    case AGGREGATE_FLEET_STATE: return &FleetState_desc;
    case AGGREGATE_SERVICE: return &Service_desc;
    case AGGREGATE_POSTMORTEM: return &Postmortem_desc;
    case AGGREGATE_DIAGNOSTICS: return &DiagnosticsRun_desc;
    case AGGREGATE_AGENT: return &AgentIdentity_desc;
    default: return NULL;
    }
}

size_t aggregate_key(uint32_t tenant, enum aggregate_kind kind, slice id, uint8_t key[AGGREGATE_KEY_BYTES_MAX]) {
    id = slice_first(id, LIMIT_AGGREGATE_ID_BYTES);
    kv_store_u32(key, tenant);
    key[4] = (uint8_t)kind;
    if (id.size) memcpy(key + 5, id.data, id.size);
    return 5 + id.size;
}

fault_code aggregate_open(slice record, uint64_t *ret_version, slice *ret_bytes, struct fault *reterr) {
    slice body;
    if (record_open(record, SCHEMA, "aggregate", &body, reterr)) return FAULT_CORRUPT;
    if (body.size < 8) return fault_set(reterr, FAULT_CORRUPT, "aggregate record of %zu bytes is too short", body.size);
    *ret_version = kv_load_u64(body.data);
    *ret_bytes = slice_from(body, 8);
    return FAULT_NONE;
}

fault_code aggregate_get(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice id,
                         uint64_t *ret_version, slice *ret_bytes, struct fault *reterr) {
    uint8_t key[AGGREGATE_KEY_BYTES_MAX];
    slice record;
    const fault_code code = kv_get(txn, table, slice_of(key, aggregate_key(tenant, kind, id, key)), &record, reterr);
    if (code) return code;
    if (aggregate_open(record, ret_version, ret_bytes, reterr))
        return fault_wrap(reterr, "read %s '%.*s'", aggregate_kind_name(kind), SLICE_ARG(id));
    return FAULT_NONE;
}

fault_code aggregate_put(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice id,
                         uint64_t version, const void *message, uint8_t *buffer, slice *ret_bytes,
                         struct fault *reterr) {
    uint8_t key[AGGREGATE_KEY_BYTES_MAX];
    size_t size = 0;
    kv_store_u64(buffer + AT_VERSION, version);
    if (message && codec_encode_protobuf_into(aggregate_message(kind), message, buffer + AT_MESSAGE,
                                              AGGREGATE_BYTES_MAX - AT_MESSAGE, &size, reterr))
        return fault_wrap(reterr, "encode %s '%.*s'", aggregate_kind_name(kind), SLICE_ARG(id));
    record_seal(buffer, AT_MESSAGE + size, SCHEMA);
    if (ret_bytes) *ret_bytes = slice_of(buffer + AT_MESSAGE, size);
    return kv_put(txn, table, slice_of(key, aggregate_key(tenant, kind, id, key)), slice_of(buffer, AT_MESSAGE + size),
                  reterr);
}
