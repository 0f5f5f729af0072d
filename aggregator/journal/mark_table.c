/* SPDX-License-Identifier: Apache-2.0
 * Keys: kind 1, tenant 4, then by kind: agent 4, epoch 16, stream 8 (a stream) or agent 4, epoch 16 (an epoch) or the
 * hash of a name (an intent). The second table lists what may expire, by time, so that pruning reads nothing else: a
 * row is a reminder, and a mark that was used since is given a later one when its time comes, not at each use. Its
 * key carries a counter in memory only: after a restart two entries of one millisecond could fall together, and the
 * mark of one would stay for ever, so the counter starts from random bits. */
#include "aggregator/journal/mark_table.h"

#include "aggregator/journal/record.h"
#include "common/base/checksum.h"

enum {
    SCHEMA = RECORD_KEYED_3, /* streams of schema 1 have no time of the last use and are looked at when they are used */
    REMINDER_CRC_BYTES = 4,
    KIND_STREAM = 1,
    KIND_EPOCH = 2,
    KEY_BYTES_MAX = 64,
    EPOCH_KEY_BYTES = 25,
    STREAM_BYTES = 25,
    STREAM_BYTES_1 = 17,
    ID_BYTES_MAX = 255,
};
#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define ENDED_KEPT_MS (35 * DAY_MS)
#define UNUSED_KEPT_MS (90 * DAY_MS)

static size_t stream_key_make(const struct stream_key *key, bool whole, uint8_t bytes[KEY_BYTES_MAX]) {
    bytes[0] = whole ? KIND_STREAM : KIND_EPOCH;
    kv_store_u32(bytes + 1, key->tenant);
    kv_store_u32(bytes + 5, key->agent);
    memcpy(bytes + 9, key->epoch.bytes, sizeof key->epoch.bytes);
    if (!whole) return EPOCH_KEY_BYTES;
    kv_store_u64(bytes + 25, key->stream);
    return 33;
}

static fault_code mark_open(slice key, slice record, slice *ret_body, struct fault *reterr) {
    return record_open_keyed(record, key, RECORD_KEYED_3, SCHEMA, "mark", ret_body, reterr);
}

static fault_code get(const struct mark_table *table, struct kv_txn *txn, slice key, slice *ret_body,
                      struct fault *reterr) {
    slice value;
    const fault_code code = kv_get(txn, table->marks, key, &value, reterr);
    return code ? code : mark_open(key, value, ret_body, reterr);
}

static uint32_t reminder_crc(slice key, slice name) {
    return checksum_crc32c(checksum_crc32c(0, key), name);
}

static size_t name_bytes(unsigned kind) {
    static const size_t bytes[] = {[MARK_ROW_STREAM] = EPOCH_KEY_BYTES + 8,
                                   [MARK_ROW_EPOCH] = EPOCH_KEY_BYTES,
                                   [MARK_ROW_MESSAGE] = MARK_PREFIX_BYTES + DIGEST_BYTES,
                                   [MARK_ROW_KEY] = MARK_PREFIX_BYTES + DIGEST_BYTES};
    return kind < sizeof bytes / sizeof *bytes ? bytes[kind] : 0;
}

fault_code mark_reminder_open(slice key, slice value, slice *ret_name, struct fault *reterr) {
    const size_t size = name_bytes(value.size ? value.data[0] : 0);
    const slice name = slice_first(value, size);
    if (key.size != 16 || !size || (value.size != size && value.size != size + REMINDER_CRC_BYTES))
        return fault_set(reterr, FAULT_CORRUPT, "a reminder of a mark has %zu and %zu bytes", key.size, value.size);
    if (value.size > size && kv_load_u32(value.data + size) != reminder_crc(key, name))
        return fault_set(reterr, FAULT_CORRUPT, "a reminder of a mark does not check (CRC32C of it and its key)");
    *ret_name = name;
    return FAULT_NONE;
}

static fault_code expire_at(struct mark_table *table, struct kv_txn *txn, slice key, int64_t expires_ms,
                            struct fault *reterr) {
    uint8_t time_key[16], reminder[KEY_BYTES_MAX + REMINDER_CRC_BYTES];
    kv_store_u64(time_key, (uint64_t)expires_ms);
    if (table->added == 0) random_bytes(&table->added, sizeof table->added);
    kv_store_u64(time_key + 8, table->added++);
    memcpy(reminder, key.data, key.size);
    kv_store_u32(reminder + key.size, reminder_crc(slice_of(time_key, sizeof time_key), key));
    return kv_put(txn, table->by_time, slice_of(time_key, sizeof time_key),
                  slice_of(reminder, key.size + REMINDER_CRC_BYTES), reterr);
}

fault_code mark_stream_get(const struct mark_table *table, struct kv_txn *txn, const struct stream_key *key,
                           struct stream_mark *ret_mark, struct fault *reterr) {
    uint8_t bytes[KEY_BYTES_MAX];
    slice body;
    const fault_code code = get(table, txn, slice_of(bytes, stream_key_make(key, true, bytes)), &body, reterr);
    if (code == FAULT_ABSENT) {
        *ret_mark = (struct stream_mark){0};
        return FAULT_NONE;
    }
    if (code) return code;
    if (body.size != STREAM_BYTES && body.size != STREAM_BYTES_1)
        return fault_set(reterr, FAULT_CORRUPT, "stream mark has %zu bytes, not %d", body.size, STREAM_BYTES);
    *ret_mark = (struct stream_mark){kv_load_u64(body.data), kv_load_u64(body.data + 8), body.data[16] != 0};
    return FAULT_NONE;
}

/* When a stream's mark may go; from its body. */
static int64_t stream_due_ms(slice body) {
    const int64_t used_ms = body.size == STREAM_BYTES ? (int64_t)kv_load_u64(body.data + STREAM_BYTES_1) : 0;
    return used_ms + (body.data[STREAM_BYTES_1 - 1] ? ENDED_KEPT_MS : UNUSED_KEPT_MS);
}

fault_code mark_stream_put(struct mark_table *table, struct kv_txn *txn, const struct stream_key *key,
                           const struct stream_mark *mark, int64_t now_ms, struct fault *reterr) {
    uint8_t bytes[KEY_BYTES_MAX], record[RECORD_HEAD_BYTES + STREAM_BYTES];
    const slice name = slice_of(bytes, stream_key_make(key, true, bytes));
    slice before;
    fault_code code = get(table, txn, name, &before, reterr);
    if (code && code != FAULT_ABSENT) return code;
    const bool reminded = !code && before.size == STREAM_BYTES;
    const bool ends = mark->ended && (code || !before.data[STREAM_BYTES_1 - 1]);
    uint8_t *body = record + RECORD_HEAD_BYTES;
    kv_store_u64(body, mark->last_sequence);
    kv_store_u64(body + 8, mark->missing);
    body[STREAM_BYTES_1 - 1] = mark->ended;
    kv_store_u64(body + STREAM_BYTES_1, (uint64_t)now_ms);
    record_seal_keyed(record, sizeof record, SCHEMA, name);
    code = kv_put(txn, table->marks, name, slice_of(record, sizeof record), reterr);
    if (code || (reminded && !ends)) return code;
    return expire_at(table, txn, name, stream_due_ms(slice_of(body, STREAM_BYTES)), reterr);
}

fault_code mark_epoch(struct mark_table *table, struct kv_txn *txn, const struct stream_key *key, int64_t now_ms,
                      bool *ret_new, struct fault *reterr) {
    uint8_t bytes[KEY_BYTES_MAX], record[RECORD_HEAD_BYTES + 8];
    const slice name = slice_of(bytes, stream_key_make(key, false, bytes));
    slice body;
    const fault_code code = get(table, txn, name, &body, reterr);
    if (code && code != FAULT_ABSENT) return code;
    *ret_new = code == FAULT_ABSENT;
    if (!*ret_new) return FAULT_NONE;
    kv_store_u64(record + RECORD_HEAD_BYTES, (uint64_t)now_ms);
    record_seal_keyed(record, sizeof record, SCHEMA, name);
    const fault_code put = kv_put(txn, table->marks, name, slice_of(record, sizeof record), reterr);
    return put ? put : expire_at(table, txn, name, now_ms + UNUSED_KEPT_MS, reterr);
}

static slice intent_key(enum mark_scope scope, uint32_t tenant, const uint8_t name_hash[DIGEST_BYTES],
                        uint8_t bytes[KEY_BYTES_MAX]) {
    bytes[0] = (uint8_t)scope;
    kv_store_u32(bytes + 1, tenant);
    memcpy(bytes + 5, name_hash, DIGEST_BYTES);
    return slice_of(bytes, 5 + DIGEST_BYTES);
}

static fault_code intent_open(slice body, struct intent_mark *ret_mark, struct fault *reterr) {
    if (body.size < 17 + DIGEST_BYTES)
        return fault_set(reterr, FAULT_CORRUPT, "intent mark has %zu bytes, too few", body.size);
    *ret_mark = (struct intent_mark){
        .kind = body.data[0], .version = kv_load_u64(body.data + 1), .last_sequence = kv_load_u64(body.data + 9)};
    memcpy(ret_mark->request_hash, body.data + 17, DIGEST_BYTES);
    ret_mark->id = slice_from(body, 17 + DIGEST_BYTES);
    return FAULT_NONE;
}

fault_code mark_intent_get(const struct mark_table *table, struct kv_txn *txn, enum mark_scope scope, uint32_t tenant,
                           const uint8_t name_hash[DIGEST_BYTES], struct intent_mark *ret_mark, struct fault *reterr) {
    uint8_t bytes[KEY_BYTES_MAX];
    slice body;
    const fault_code code = get(table, txn, intent_key(scope, tenant, name_hash, bytes), &body, reterr);
    return code ? code : intent_open(body, ret_mark, reterr);
}

fault_code mark_intent_put(struct mark_table *table, struct kv_txn *txn, enum mark_scope scope, uint32_t tenant,
                           const uint8_t name_hash[DIGEST_BYTES], const struct intent_mark *mark, int64_t expires_ms,
                           struct fault *reterr) {
    uint8_t bytes[KEY_BYTES_MAX], record[RECORD_HEAD_BYTES + 17 + DIGEST_BYTES + ID_BYTES_MAX];
    uint8_t *body = record + RECORD_HEAD_BYTES;
    const slice id = slice_first(mark->id, ID_BYTES_MAX);
    body[0] = mark->kind;
    kv_store_u64(body + 1, mark->version);
    kv_store_u64(body + 9, mark->last_sequence);
    memcpy(body + 17, mark->request_hash, DIGEST_BYTES);
    if (id.size) memcpy(body + 17 + DIGEST_BYTES, id.data, id.size);
    const size_t size = RECORD_HEAD_BYTES + 17 + DIGEST_BYTES + id.size;
    const slice key = intent_key(scope, tenant, name_hash, bytes);
    record_seal_keyed(record, size, SCHEMA, key);
    const fault_code code = kv_put(txn, table->marks, key, slice_of(record, size), reterr);
    return code ? code : expire_at(table, txn, key, expires_ms, reterr);
}

slice mark_prefix(enum mark_kind kind, uint32_t tenant, uint8_t bytes[MARK_PREFIX_BYTES]) {
    bytes[0] = (uint8_t)kind;
    kv_store_u32(bytes + 1, tenant);
    return slice_of(bytes, MARK_PREFIX_BYTES);
}

fault_code mark_row_open(slice key, slice record, struct mark_row *ret_row, struct fault *reterr) {
    slice body;
    if (mark_open(key, record, &body, reterr)) return FAULT_CORRUPT;
    const unsigned kind = key.size ? key.data[0] : 0;
    if (kind < MARK_ROW_STREAM || kind > MARK_ROW_KEY || key.size != name_bytes(kind))
        return fault_set(reterr, FAULT_CORRUPT, "a mark of kind %u has a name of %zu bytes", kind, key.size);
    *ret_row = (struct mark_row){.kind = (enum mark_kind)kind};
    if (kind >= MARK_ROW_MESSAGE) {
        ret_row->name_hash = key.data + MARK_PREFIX_BYTES;
        return intent_open(body, &ret_row->intent, reterr);
    }
    struct stream_key *stream = &ret_row->stream;
    stream->tenant = kv_load_u32(key.data + 1);
    stream->agent = kv_load_u32(key.data + 5);
    memcpy(stream->epoch.bytes, key.data + 9, sizeof stream->epoch.bytes);
    const bool whole = kind == MARK_ROW_STREAM;
    if (whole ? body.size != STREAM_BYTES && body.size != STREAM_BYTES_1 : body.size != 8)
        return fault_set(reterr, FAULT_CORRUPT, "a mark of kind %u has %zu bytes", kind, body.size);
    if (!whole) {
        ret_row->at_ms = (int64_t)kv_load_u64(body.data);
        return FAULT_NONE;
    }
    stream->stream = kv_load_u64(key.data + EPOCH_KEY_BYTES);
    ret_row->mark = (struct stream_mark){kv_load_u64(body.data), kv_load_u64(body.data + 8), body.data[16] != 0};
    if (body.size == STREAM_BYTES) ret_row->at_ms = (int64_t)kv_load_u64(body.data + STREAM_BYTES_1);
    return FAULT_NONE;
}

/* Whether the epoch of this key has a stream with a mark. */
static fault_code epoch_used(const struct mark_table *table, struct kv_txn *txn, slice name, bool *ret_used,
                             struct fault *reterr) {
    uint8_t first[EPOCH_KEY_BYTES];
    slice key, value;
    struct kv_cursor *cursor;
    memcpy(first, name.data, sizeof first);
    first[0] = KIND_STREAM;
    fault_code code = kv_cursor_open(txn, table->marks, &cursor, reterr);
    if (code) return code;
    code = kv_cursor_seek(cursor, slice_of(first, sizeof first), &key, &value, reterr);
    kv_cursor_close(cursor);
    *ret_used = !code && slice_starts_with(key, slice_of(first, sizeof first));
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

/* The reminder of this mark has come: drops it, or sets another reminder. */
static fault_code mark_remind(struct mark_table *table, struct kv_txn *txn, slice name, int64_t now_ms,
                              struct fault *reterr) {
    int64_t due_ms = now_ms;
    fault_code code = FAULT_NONE;
    if (name.size && name.data[0] == KIND_STREAM) {
        slice body;
        code = get(table, txn, name, &body, reterr);
        if (code == FAULT_ABSENT) return FAULT_NONE; /* another reminder was first */
        if (!code && body.size >= STREAM_BYTES_1) due_ms = stream_due_ms(body);
    } else if (name.size == EPOCH_KEY_BYTES && name.data[0] == KIND_EPOCH) {
        bool used;
        code = epoch_used(table, txn, name, &used, reterr);
        if (!code && used) due_ms = now_ms + UNUSED_KEPT_MS;
    }
    if (code) return code;
    return due_ms > now_ms ? expire_at(table, txn, name, due_ms, reterr) : kv_delete(txn, table->marks, name, reterr);
}

fault_code mark_table_prune(struct mark_table *table, struct kv_txn *txn, int64_t now_ms, size_t marks_max,
                            uint64_t *ret_taken, struct fault *reterr) {
    struct kv_cursor *cursor;
    *ret_taken = 0;
    if (kv_cursor_open(txn, table->by_time, &cursor, reterr)) return fault_wrap(reterr, "prune marks");
    slice key, value, name;
    fault_code code = kv_cursor_seek(cursor, (slice){0}, &key, &value, reterr);
    for (; *ret_taken < marks_max && code == FAULT_NONE; ++*ret_taken) {
        if (key.size < 8 || (int64_t)kv_load_u64(key.data) > now_ms) break;
        uint8_t copy[KEY_BYTES_MAX];
        /* Of one that is damaged nobody knows whose it is: it goes, and the mark stays. */
        const bool sound = mark_reminder_open(key, value, &name, NULL) == FAULT_NONE;
        const slice kept = slice_of(copy, sound ? name.size : 0);
        if (sound) memcpy(copy, name.data, name.size);
        code = kv_cursor_delete(cursor, reterr);
        if (!code && sound) code = mark_remind(table, txn, kept, now_ms, reterr);
        if (!code) code = kv_cursor_seek(cursor, (slice){0}, &key, &value, reterr);
    }
    kv_cursor_close(cursor);
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}
