/* SPDX-License-Identifier: Apache-2.0
 * Rows of the table "notes": name -> value, and "\0name" -> crc32c over both. */
#include "agent/buffer/queue_note.h"

#include "common/base/checksum.h"

enum { NOTE_NAME_BYTES_MAX = 64, NOTE_BYTES_MAX = 16 * 1024 * 1024 };

fault_code queue_note_check(const struct queue_note *note, struct fault *reterr) {
    const size_t name = strlen(note->name);
    if (name && name <= NOTE_NAME_BYTES_MAX && note->value.size <= NOTE_BYTES_MAX) return FAULT_NONE;
    return fault_set(reterr, FAULT_LIMIT, "note '%s' of %zu bytes: at most %d bytes are kept, names have 1 to %d",
                     note->name, note->value.size, NOTE_BYTES_MAX, NOTE_NAME_BYTES_MAX);
}

uint32_t queue_note_crc(slice name, slice value) {
    return checksum_crc32c(checksum_crc32c(0, name), value);
}

fault_code queue_note_put(const struct queue_store *store, struct kv_txn *txn, slice name, slice value,
                          struct fault *reterr) {
    uint8_t check_key[NOTE_NAME_BYTES_MAX + 1], check[4];
    check_key[0] = 0; /* sorts apart from every name */
    memcpy(check_key + 1, name.data, name.size);
    const slice check_name = slice_of(check_key, name.size + 1);
    if (value.size == 0) {
        const fault_code code = kv_delete(txn, store->notes_table, name, reterr);
        return code ? code : kv_delete(txn, store->notes_table, check_name, reterr);
    }
    kv_store_u32(check, queue_note_crc(name, value));
    const fault_code code = kv_put(txn, store->notes_table, name, value, reterr);
    return code ? code : kv_put(txn, store->notes_table, check_name, slice_of(check, sizeof check), reterr);
}

fault_code queue_note_load(struct queue_store *store, const char *name, struct arena *arena, slice *ret_value,
                           struct fault *reterr) {
    uint8_t check_key[NOTE_NAME_BYTES_MAX + 1];
    const slice name_bytes = slice_from_text(name);
    if (name_bytes.size == 0 || name_bytes.size > NOTE_NAME_BYTES_MAX) return FAULT_ABSENT;
    check_key[0] = 0;
    memcpy(check_key + 1, name_bytes.data, name_bytes.size);
    struct kv_txn *txn = NULL;
    slice value, check, copy = {0};
    fault_code code = queue_store_read(store, &txn, reterr);
    if (code) return fault_wrap(reterr, "read note '%s'", name);
    code = kv_get(txn, store->notes_table, name_bytes, &value, reterr);
    if (!code) code = kv_get(txn, store->notes_table, slice_of(check_key, name_bytes.size + 1), &check, reterr);
    if (!code && (check.size != 4 || kv_load_u32(check.data) != queue_note_crc(name_bytes, value)))
        code = fault_set(reterr, FAULT_CORRUPT, "its bytes do not check");
    if (!code) {
        copy = arena_copy(arena, value);
        if (!copy.data) code = fault_set(reterr, FAULT_LIMIT, "its %zu bytes do not fit into memory", value.size);
    }
    kv_abort(txn);
    if (code == FAULT_ABSENT) return FAULT_ABSENT;
    if (code) return fault_wrap(reterr, "read note '%s'", name);
    *ret_value = copy;
    return FAULT_NONE;
}
