/* SPDX-License-Identifier: Apache-2.0
 * Reads: each in a read transaction of its own, which sees the last commit whole, and lets go as soon as the bytes
 * are copied: a long reader would keep the writer from using freed pages again. */
#include "aggregator/journal/journal_state.h"

#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/index_table.h"

/* A read of a list ends here, with at least one item: its reader goes on behind it, or has enough. */
#define LIST_BYTES_MAX ((size_t)512 * 1024)

/* Every read asks for its tenant's number, and a number once given stays: the last ones asked for are remembered. */
static fault_code tenant_find(struct journal *j, struct kv_txn *txn, slice tenant, uint32_t *ret_number,
                              struct fault *reterr) {
    pthread_mutex_lock(&j->tenants_lock);
    for (size_t i = 0; i < TENANTS_REMEMBERED; i++)
        if (j->tenants[i].number && slice_equal_text(tenant, j->tenants[i].name)) {
            *ret_number = j->tenants[i].number;
            pthread_mutex_unlock(&j->tenants_lock);
            return FAULT_NONE;
        }
    pthread_mutex_unlock(&j->tenants_lock);
    const fault_code code = names_find(j->tables.names, txn, NAMES_TENANT, 0, tenant, ret_number, reterr);
    if (code || tenant.size >= sizeof j->tenants[0].name) return code;
    pthread_mutex_lock(&j->tenants_lock);
    struct tenant_slot *slot = &j->tenants[j->tenants_next++ % TENANTS_REMEMBERED];
    slot->number = slice_to_text(tenant, slot->name, sizeof slot->name) ? *ret_number : 0;
    pthread_mutex_unlock(&j->tenants_lock);
    return FAULT_NONE;
}

static fault_code copied(struct arena *arena, slice bytes, slice *ret_copy, struct fault *reterr) {
    *ret_copy = arena_copy(arena, bytes);
    if (bytes.size && !ret_copy->data)
        return fault_set(reterr, FAULT_LIMIT, "%zu bytes do not fit what this request may hold", bytes.size);
    return FAULT_NONE;
}

static fault_code kind_of(slice aggregate_type, enum aggregate_kind *ret_kind, struct fault *reterr) {
    *ret_kind = aggregate_kind_find(aggregate_type);
    if (*ret_kind != AGGREGATE_NONE) return FAULT_NONE;
    return fault_set(reterr, FAULT_INPUT, "'%.*s' is not an aggregate type",
                     SLICE_ARG(slice_first(aggregate_type, 64)));
}

fault_code journal_get(struct journal *j, slice tenant, slice aggregate_type, slice aggregate_id, struct arena *arena,
                       slice *ret_aggregate, struct fault *reterr) {
    enum aggregate_kind kind;
    struct kv_txn *txn;
    if (kind_of(aggregate_type, &kind, reterr)) return FAULT_INPUT;
    fault_code code = kv_begin_read(j->kv, &txn, reterr);
    if (code) return code;
    uint32_t number;
    uint64_t version;
    slice stored, copy = {0};
    code = tenant_find(j, txn, tenant, &number, reterr);
    if (!code) code = aggregate_get(j->tables.aggregates, txn, number, kind, aggregate_id, &version, &stored, reterr);
    if (!code && stored.size == 0) code = FAULT_ABSENT; /* deleted */
    if (!code) code = copied(arena, stored, &copy, reterr);
    kv_abort(txn);
    if (code == FAULT_ABSENT)
        return fault_set(reterr, FAULT_ABSENT, "%.*s '%.*s' does not exist", SLICE_ARG(aggregate_type),
                         SLICE_ARG(slice_first(aggregate_id, LIMIT_AGGREGATE_ID_BYTES)));
    if (!code) *ret_aggregate = copy;
    return code;
}

static fault_code list_from(struct journal *j, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind,
                            slice after_id, size_t items_max, struct arena *arena, struct journal_item *items,
                            size_t *ret_count, bool *ret_more, struct fault *reterr) {
    uint8_t first[AGGREGATE_KEY_BYTES_MAX];
    const size_t first_size = aggregate_key(tenant, kind, after_id, first);
    struct kv_cursor *cursor;
    fault_code code = kv_cursor_open(txn, j->tables.aggregates, &cursor, reterr);
    if (code) return code;
    slice key, record;
    code = kv_cursor_seek(cursor, slice_of(first, first_size), &key, &record, reterr);
    if (!code && after_id.size && slice_equal(key, slice_of(first, first_size)))
        code = kv_cursor_next(cursor, &key, &record, reterr);
    size_t count = 0, taken = 0;
    for (; !code && key.size > 5 && memcmp(key.data, first, 5) == 0;
         code = kv_cursor_next(cursor, &key, &record, reterr)) {
        slice bytes;
        uint64_t version;
        code = aggregate_open(record, &version, &bytes, reterr);
        if (!code && bytes.size == 0) continue; /* deleted */
        if (!code && (count == items_max || taken >= LIST_BYTES_MAX)) {
            *ret_more = true;
            break;
        }
        items[count].version = version;
        if (!code) code = copied(arena, slice_from(key, 5), &items[count].id, reterr);
        if (!code) code = copied(arena, bytes, &items[count].aggregate, reterr);
        if (code == FAULT_LIMIT && count) { /* a shorter page */
            *ret_more = true;
            code = FAULT_NONE;
            break;
        }
        if (code) break;
        taken += bytes.size;
        count++;
    }
    kv_cursor_close(cursor);
    *ret_count = count;
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

fault_code journal_list(struct journal *j, slice tenant, slice aggregate_type, slice after_id, size_t items_max,
                        struct arena *arena, struct journal_item **ret_items, size_t *ret_count, bool *ret_more,
                        struct fault *reterr) {
    enum aggregate_kind kind;
    if (kind_of(aggregate_type, &kind, reterr)) return FAULT_INPUT;
    if (items_max > LIMIT_PAGE_SIZE) items_max = LIMIT_PAGE_SIZE;
    struct journal_item *items = arena_alloc_array(arena, items_max ? items_max : 1, sizeof *items);
    if (!items)
        return fault_set(reterr, FAULT_LIMIT, "a page of %zu does not fit what this request may hold", items_max);
    struct kv_txn *txn;
    fault_code code = kv_begin_read(j->kv, &txn, reterr);
    if (code) return code;
    uint32_t number;
    size_t count = 0;
    bool more = false;
    code = tenant_find(j, txn, tenant, &number, reterr);
    if (code == FAULT_NONE)
        code = list_from(j, txn, number, kind, after_id, items_max, arena, items, &count, &more, reterr);
    else if (code == FAULT_ABSENT)
        code = FAULT_NONE; /* nothing was ever decided for this tenant */
    kv_abort(txn);
    if (code) return code;
    *ret_items = items;
    *ret_count = count;
    *ret_more = more;
    return FAULT_NONE;
}

static fault_code open_items(struct journal *j, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind,
                             const struct open_place *places, size_t places_count, struct arena *arena,
                             struct journal_item *items, size_t *ret_count, bool *ret_more, struct fault *reterr) {
    size_t count = 0, taken = 0;
    for (; count < places_count; count++) {
        slice bytes;
        if (taken >= LIST_BYTES_MAX) {
            *ret_more = true;
            break;
        }
        fault_code code = aggregate_get(j->tables.aggregates, txn, tenant, kind, places[count].id,
                                        &items[count].version, &bytes, reterr);
        if (code == FAULT_ABSENT)
            code = fault_set(reterr, FAULT_CORRUPT, "%s '%.*s' is in the list of open ones and is not there",
                             aggregate_kind_name(kind), SLICE_ARG(places[count].id));
        if (!code) code = copied(arena, bytes, &items[count].aggregate, reterr);
        if (code == FAULT_LIMIT && count) { /* a shorter page */
            *ret_more = true;
            break;
        }
        if (code) return code;
        items[count].id = places[count].id;
        taken += bytes.size;
    }
    *ret_count = count;
    return FAULT_NONE;
}

fault_code journal_list_open(struct journal *j, slice tenant, slice aggregate_type, const struct journal_place *after,
                             size_t items_max, struct arena *arena, struct journal_item **ret_items, size_t *ret_count,
                             struct journal_place *ret_last, bool *ret_more, struct fault *reterr) {
    enum aggregate_kind kind;
    if (kind_of(aggregate_type, &kind, reterr)) return FAULT_INPUT;
    if (items_max > LIMIT_PAGE_SIZE) items_max = LIMIT_PAGE_SIZE;
    struct journal_item *items = arena_alloc_array(arena, items_max + 1, sizeof *items);
    struct open_place *places = arena_alloc_array(arena, items_max + 1, sizeof *places);
    if (!items || !places)
        return fault_set(reterr, FAULT_LIMIT, "a page of %zu does not fit what this request may hold", items_max);
    struct kv_txn *txn;
    fault_code code = kv_begin_read(j->kv, &txn, reterr);
    if (code) return code;
    const struct open_place from = {after ? after->since_ms : 0, after ? after->id : (slice){0}};
    uint32_t number;
    size_t count = 0;
    bool more = false;
    code = tenant_find(j, txn, tenant, &number, reterr);
    if (!code)
        code = open_list(j->tables.open, txn, number, kind, after ? &from : NULL, items_max + 1, arena, places, &count,
                         reterr);
    if (!code) {
        more = count > items_max;
        if (more) count = items_max;
        code = open_items(j, txn, number, kind, places, count, arena, items, &count, &more, reterr);
    }
    kv_abort(txn);
    if (code && code != FAULT_ABSENT) return code; /* absent: nothing was ever decided for this tenant */
    *ret_items = items;
    *ret_count = code ? 0 : count;
    *ret_more = more;
    if (*ret_count) *ret_last = (struct journal_place){places[count - 1].since_ms, places[count - 1].id};
    return FAULT_NONE;
}

fault_code journal_facts(struct journal *j, uint64_t after_sequence, size_t facts_max, size_t bytes_max,
                         struct arena *arena, struct fact_view **ret_facts, size_t *ret_count, struct fault *reterr) {
    struct kv_txn *txn;
    fault_code code = kv_begin_read(j->kv, &txn, reterr);
    if (code) return code;
    code =
        fact_log_read(j->tables.facts, txn, after_sequence, facts_max, bytes_max, arena, ret_facts, ret_count, reterr);
    kv_abort(txn);
    return code;
}

fault_code journal_rejections(struct journal *j, slice tenant, uint64_t before, size_t items_max, struct arena *arena,
                              struct journal_rejection **ret_items, size_t *ret_count, struct fault *reterr) {
    if (items_max > LIMIT_PAGE_SIZE) items_max = LIMIT_PAGE_SIZE;
    struct kv_txn *txn;
    fault_code code = kv_begin_read(j->kv, &txn, reterr);
    if (code) return code;
    code = rejection_list_read(&j->tables, txn, tenant, before, items_max, arena, ret_items, ret_count, reterr);
    kv_abort(txn);
    return code;
}
