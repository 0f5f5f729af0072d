/* SPDX-License-Identifier: Apache-2.0
 * One table on disk, one open-addressed table in memory before it. The memory is a cache only: when it is full it
 * is emptied and fills again from the disk, so names from outside cannot make it grow. */
#include "aggregator/journal/names.h"

#include "aggregator/journal/record.h"
#include "common/base/checksum.h"

#include <stdlib.h>

enum { SLOTS = 1 << 14, SLOTS_USED_MAX = SLOTS / 2, SCHEMA = 2, HEAD_BYTES = 5 };

struct slot {
    uint64_t hash;
    uint32_t number; /* 0: free */
    uint32_t key_bytes;
    uint8_t *key;
};

struct names {
    kv_table table;
    size_t used;
    struct slot slots[SLOTS];
};

struct names *names_new(kv_table table) {
    struct names *names = calloc(1, sizeof *names);
    if (names) names->table = table;
    return names;
}

struct names *names_free(struct names *names) {
    if (names) names_forget(names);
    free(names);
    return NULL;
}

void names_forget(struct names *names) {
    for (size_t i = 0; i < SLOTS; i++) free(names->slots[i].key);
    memset(names->slots, 0, sizeof names->slots);
    names->used = 0;
}

static fault_code key_make(enum names_kind kind, uint32_t scope, slice text, uint8_t *key, size_t *ret_size,
                           struct fault *reterr) {
    if (text.size == 0 || text.size > NAMES_TEXT_BYTES_MAX)
        return fault_set(reterr, FAULT_INPUT, "a name has %zu bytes, allowed are 1 to %d", text.size,
                         NAMES_TEXT_BYTES_MAX);
    key[0] = (uint8_t)kind;
    kv_store_u32(key + 1, scope);
    memcpy(key + HEAD_BYTES, text.data, text.size);
    *ret_size = HEAD_BYTES + text.size;
    return FAULT_NONE;
}

static fault_code number_read(kv_table table, struct kv_txn *txn, slice key, uint32_t *ret_number,
                              struct fault *reterr) {
    slice value, body;
    const fault_code code = kv_get(txn, table, key, &value, reterr);
    if (code) return code;
    if (record_open_keyed(value, key, RECORD_KEYED, SCHEMA, "name", &body, reterr)) return FAULT_CORRUPT;
    if (body.size != 4) return fault_set(reterr, FAULT_CORRUPT, "name record has %zu bytes, not 4", body.size);
    *ret_number = kv_load_u32(body.data);
    return FAULT_NONE;
}

static fault_code number_write(kv_table table, struct kv_txn *txn, slice key, uint32_t number, struct fault *reterr) {
    uint8_t record[RECORD_HEAD_BYTES + 4];
    kv_store_u32(record + RECORD_HEAD_BYTES, number);
    record_seal_keyed(record, sizeof record, SCHEMA, key);
    return kv_put(txn, table, key, slice_of(record, sizeof record), reterr);
}

static fault_code number_give(struct names *names, struct kv_txn *txn, slice key, uint32_t *ret_number,
                              struct fault *reterr) {
    const uint8_t counter_key[1] = {0};
    uint32_t last = 0;
    const fault_code code = number_read(names->table, txn, slice_of(counter_key, 1), &last, reterr);
    if (code && code != FAULT_ABSENT) return code;
    if (last == UINT32_MAX) return fault_set(reterr, FAULT_LIMIT, "all 4,294,967,295 name numbers are given");
    if (number_write(names->table, txn, slice_of(counter_key, 1), last + 1, reterr) ||
        number_write(names->table, txn, key, last + 1, reterr))
        return fault_wrap(reterr, "give a number to a name");
    *ret_number = last + 1;
    return FAULT_NONE;
}

fault_code names_number(struct names *names, struct kv_txn *txn, enum names_kind kind, uint32_t scope, slice text,
                        uint32_t *ret_number, struct fault *reterr) {
    uint8_t bytes[HEAD_BYTES + NAMES_TEXT_BYTES_MAX];
    size_t size;
    if (key_make(kind, scope, text, bytes, &size, reterr)) return FAULT_INPUT;
    const slice key = slice_of(bytes, size);
    const uint64_t hash = hash_bytes(key, 0);
    size_t at = hash % SLOTS;
    for (; names->slots[at].number; at = (at + 1) % SLOTS)
        if (names->slots[at].hash == hash &&
            slice_equal(slice_of(names->slots[at].key, names->slots[at].key_bytes), key)) {
            *ret_number = names->slots[at].number;
            return FAULT_NONE;
        }
    uint32_t number;
    fault_code code = number_read(names->table, txn, key, &number, reterr);
    if (code == FAULT_ABSENT) code = number_give(names, txn, key, &number, reterr);
    if (code) return code;
    *ret_number = number;
    if (names->used == SLOTS_USED_MAX) {
        names_forget(names);
        at = hash % SLOTS;
    }
    uint8_t *copy = malloc(size);
    if (!copy) return FAULT_NONE; /* not cached, and right all the same */
    memcpy(copy, bytes, size);
    names->slots[at] = (struct slot){.hash = hash, .number = number, .key_bytes = (uint32_t)size, .key = copy};
    names->used++;
    return FAULT_NONE;
}

fault_code names_find(kv_table table, struct kv_txn *txn, enum names_kind kind, uint32_t scope, slice text,
                      uint32_t *ret_number, struct fault *reterr) {
    uint8_t bytes[HEAD_BYTES + NAMES_TEXT_BYTES_MAX];
    size_t size;
    if (key_make(kind, scope, text, bytes, &size, reterr)) return FAULT_INPUT;
    return number_read(table, txn, slice_of(bytes, size), ret_number, reterr);
}
