/* SPDX-License-Identifier: Apache-2.0
 * What an aggregate is found by (the open ones of its kind, when it is due, who points to it) follows from its state, so
 * it is computed when the aggregate is loaded and again when it is written, and the difference is what the index tables
 * are told. A decider that asks for hundreds of alerts finds each by a small hash table. */
#include "aggregator/journal/touched.h"

#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/expiry_table.h"
#include "aggregator/journal/index_table.h"
#include "common/codec/codec.h"

struct touched_aggregate {
    struct aggregate aggregate; /* first: the domain knows this pointer */
    uint64_t version_before;
    struct aggregate_index before;
    struct touched_aggregate *next, *next_in_bucket;
};

static fault_code find(void *context, enum aggregate_kind kind, slice id, const struct aggregate **ret_aggregate,
                       struct fault *reterr) {
    struct touched *touched = context;
    struct aggregate *found;
    const fault_code code = touched_get(touched, kind, id, &found, reterr);
    if (code)
        touched->broken = code;
    else
        *ret_aggregate = found;
    return code;
}

static fault_code dependents(void *context, enum aggregate_kind kind, slice id, size_t ids_max, slice *ret_ids,
                             size_t *ret_count, struct fault *reterr) {
    struct touched *touched = context;
    const fault_code code = link_sources(touched->tables->links, touched->txn, touched->tenant_number, kind, id,
                                         ids_max, touched->arena, ret_ids, ret_count, reterr);
    if (code) touched->broken = code;
    return code;
}

void touched_begin(struct touched *touched, const struct journal_tables *tables, struct kv_txn *txn,
                   struct arena *arena, uint8_t *buffer, slice tenant, uint32_t tenant_number) {
    *touched = (struct touched){.tables = tables,
                                .txn = txn,
                                .arena = arena,
                                .buffer = buffer,
                                .tenant = tenant,
                                .tenant_number = tenant_number,
                                .neighbours = {.find = find, .dependents = dependents, .context = touched}};
    touched->end = &touched->first;
}

static unsigned bucket_of(enum aggregate_kind kind, slice id) {
    unsigned hash = 2166136261u ^ (unsigned)kind;
    for (size_t i = 0; i < id.size; i++) hash = (hash ^ id.data[i]) * 16777619u;
    return hash % TOUCHED_BUCKETS;
}

static fault_code load(struct touched *touched, struct aggregate *aggregate, struct fault *reterr) {
    const slice id = aggregate->id;
    slice stored;
    const fault_code code = aggregate_get(touched->tables->aggregates, touched->txn, touched->tenant_number,
                                          aggregate->kind, id, &aggregate->version, &stored, reterr);
    if (code == FAULT_ABSENT) return FAULT_NONE;
    if (code) return code;
    aggregate->deleted = stored.size == 0;
    if (aggregate->deleted) return FAULT_NONE;
    const slice bytes = arena_copy(touched->arena, stored); /* the next write moves the page */
    if (!bytes.data) return fault_set(reterr, FAULT_LIMIT, "no memory left in this transaction");
    if (!codec_decode_protobuf(aggregate_message(aggregate->kind), bytes, touched->arena, &aggregate->state, reterr))
        return FAULT_NONE;
    fault_wrap(reterr, "stored %s '%.*s'", aggregate_kind_name(aggregate->kind), SLICE_ARG(id));
    return FAULT_CORRUPT;
}

fault_code touched_get(struct touched *touched, enum aggregate_kind kind, slice id, struct aggregate **ret_aggregate,
                       struct fault *reterr) {
    struct touched_aggregate **bucket = &touched->buckets[bucket_of(kind, id)];
    for (struct touched_aggregate *entry = *bucket; entry; entry = entry->next_in_bucket)
        if (entry->aggregate.kind == kind && slice_equal(entry->aggregate.id, id)) {
            *ret_aggregate = &entry->aggregate;
            return FAULT_NONE;
        }
    struct touched_aggregate *entry = arena_alloc(touched->arena, sizeof *entry);
    const slice own_id = arena_copy(touched->arena, id);
    if (!entry || !own_id.data) return fault_set(reterr, FAULT_LIMIT, "no memory left in this transaction");
    entry->aggregate.kind = kind;
    entry->aggregate.id = own_id;
    const fault_code code = load(touched, &entry->aggregate, reterr);
    if (code) return code;
    entry->version_before = entry->aggregate.version;
    aggregate_index(&entry->aggregate, touched->arena, &entry->before);
    entry->next_in_bucket = *bucket;
    *bucket = entry;
    *touched->end = entry;
    touched->end = &entry->next;
    *ret_aggregate = &entry->aggregate;
    return FAULT_NONE;
}

/* ---- writing ---- */

static bool among(slice id, const slice *ids, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(id, ids[i])) return true;
    return false;
}

static fault_code links_write(struct touched *touched, const struct aggregate *aggregate,
                              const struct aggregate_index *before, const struct aggregate_index *after,
                              struct fault *reterr) {
    fault_code code = FAULT_NONE;
    for (size_t i = 0; !code && i < before->links_count; i++)
        if (!among(before->links[i], after->links, after->links_count))
            code = link_delete(touched->tables->links, touched->txn, touched->tenant_number, aggregate->kind,
                               before->links[i], aggregate->id, reterr);
    for (size_t i = 0; !code && i < after->links_count; i++)
        if (!among(after->links[i], before->links, before->links_count))
            code = link_put(touched->tables->links, touched->txn, touched->tenant_number, aggregate->kind,
                            after->links[i], aggregate->id, reterr);
    return code;
}

static fault_code index_write(struct touched *touched, const struct touched_aggregate *entry, struct fault *reterr) {
    const struct aggregate *aggregate = &entry->aggregate;
    const struct aggregate_index *before = &entry->before;
    struct aggregate_index after;
    aggregate_index(aggregate, touched->arena, &after);
    const uint32_t tenant = touched->tenant_number;
    fault_code code = FAULT_NONE;
    if (before->open != after.open || before->open_since_ms != after.open_since_ms) {
        if (before->open)
            code = open_delete(touched->tables->open, touched->txn, tenant, aggregate->kind, before->open_since_ms,
                               aggregate->id, reterr);
        if (!code && after.open)
            code = open_put(touched->tables->open, touched->txn, tenant, aggregate->kind, after.open_since_ms,
                            aggregate->id, reterr);
    }
    if (!code && before->due_ms != after.due_ms) {
        if (before->due_ms)
            code = expiry_delete(touched->tables->expiries, touched->txn, before->due_ms, tenant, aggregate->kind,
                                 aggregate->id, reterr);
        if (!code && after.due_ms)
            code = expiry_put(touched->tables->expiries, touched->txn, after.due_ms, tenant, aggregate->kind,
                              aggregate->id, touched->tenant, reterr);
    }
    return code ? code : links_write(touched, aggregate, before, &after, reterr);
}

fault_code touched_write(struct touched *touched, const struct aggregate *wanted, slice *ret_bytes,
                         struct fault *reterr) {
    for (struct touched_aggregate *entry = touched->first; entry; entry = entry->next) {
        struct aggregate *aggregate = &entry->aggregate;
        slice bytes;
        if (aggregate->version == entry->version_before) continue;
        aggregate_stamp(aggregate);
        fault_code code = aggregate_put(touched->tables->aggregates, touched->txn, touched->tenant_number,
                                        aggregate->kind, aggregate->id, aggregate->version,
                                        aggregate->deleted ? NULL : &aggregate->state, touched->buffer, &bytes, reterr);
        if (!code) code = index_write(touched, entry, reterr);
        if (code) return code;
        if (aggregate != wanted || !ret_bytes) continue;
        *ret_bytes = arena_copy(touched->arena, bytes);
        if (bytes.size && !ret_bytes->data) return fault_set(reterr, FAULT_LIMIT, "no memory left in this transaction");
    }
    return FAULT_NONE;
}

fault_code touched_index(struct touched *touched, enum aggregate_kind kind, slice id, struct fault *reterr) {
    struct aggregate *aggregate;
    const fault_code code = touched_get(touched, kind, id, &aggregate, reterr);
    if (code) return code;
    struct touched_aggregate *entry = (struct touched_aggregate *)aggregate;
    entry->before = (struct aggregate_index){0};
    return index_write(touched, entry, reterr);
}
