/* SPDX-License-Identifier: Apache-2.0
 * Records only ever leave from the head of a stream (acknowledged or shed), or as damaged from anywhere, so a
 * stream's row says where its head is and no search for it is needed. Many leave in several transactions, each of
 * which leaves the queue whole: what is acknowledged and still there is deleted with the next acknowledgement. */
#include "agent/buffer/queue_trim.h"

#include <assert.h>

enum {
    RECORDS_PER_TRANSACTION = 8192, /* deleted at most: LMDB keeps the pages that one transaction changes in memory */
    QUARANTINE_RECORDS_MAX = 256,
};

struct trim {
    uint64_t through_sequence; /* stop behind this one */
    uint64_t bytes;            /* stop when that many were freed */
    size_t records_max;
};

/* Deletes from the head of a stream in the draft until the first bound of the trim is reached. */
static fault_code trim_stream(struct queue_store *store, struct kv_txn *txn, size_t index, struct trim trim,
                              uint64_t *ret_records, uint64_t *ret_bytes, struct fault *reterr) {
    struct queue_stream *const stream = &store->draft.streams[index];
    uint8_t key_bytes[RECORD_KEY_BYTES];
    record_key(stream->number, stream->oldest_sequence, key_bytes);
    struct kv_cursor *cursor = NULL;
    if (kv_cursor_open(txn, store->records_tables[stream->class], &cursor, reterr))
        return fault_wrap(reterr, "trim stream %u", stream->number);
    slice key, value;
    uint64_t records = 0, bytes = 0;
    bool kept = false;
    fault_code code = kv_cursor_seek(cursor, slice_of(key_bytes, sizeof key_bytes), &key, &value, reterr);
    while (!code && record_key_stream(key) == stream->number) {
        if (record_key_sequence(key) > trim.through_sequence || bytes >= trim.bytes || records >= trim.records_max) {
            kept = true;
            break;
        }
        bytes += record_cost(value.size);
        records++;
        code = kv_cursor_delete(cursor, reterr);
        if (!code) code = kv_cursor_next(cursor, &key, &value, reterr);
    }
    if (kept) {
        int64_t stored_ms = stream->oldest_ms;
        slice intent;
        if (!record_decode(key, value, &stored_ms, &intent))
            stored_ms = stream->oldest_ms; /* the reader will meet it */
        stream->oldest_sequence = record_key_sequence(key);
        stream->oldest_ms = stored_ms;
        stream->records -= records < stream->records ? records : stream->records;
        stream->bytes -= bytes < stream->bytes ? bytes : stream->bytes;
    } else if (!code || code == FAULT_ABSENT) {
        stream->oldest_sequence = stream->last_sequence + 1;
        stream->oldest_ms = 0;
        stream->records = stream->bytes = 0;
    }
    kv_cursor_close(cursor);
    if (code && code != FAULT_ABSENT) return fault_wrap(reterr, "trim stream %u", stream->number);
    store->draft.dirty[index] = true;
    *ret_records = records;
    *ret_bytes = bytes;
    return FAULT_NONE;
}

static void count_shed(struct queue_book *draft, size_t index, uint64_t records) {
    draft->streams[index].shed += records;
    draft->shed[draft->streams[index].class] += records;
}

/* The oldest stream with records of the least important class that holds more than its reserve. */
static size_t shed_victim(const struct queue_store *store) {
    for (int class = QUEUE_CLASSES_MAX_ - 1; class >= 0; class --) {
        if (queue_book_bytes(&store->draft, (enum queue_class) class) <= store->reserve_bytes[class]) continue;
        for (size_t i = 0; i < store->draft.streams_count; i++)
            if (store->draft.streams[i].class == (enum queue_class) class && store->draft.streams[i].records) return i;
    }
    return store->draft.streams_count;
}

fault_code queue_trim_to_quota(struct queue_store *store, struct kv_txn *txn, struct fault *reterr) {
    for (uint64_t all; (all = queue_book_bytes_all(&store->draft)) > store->bytes_max;) {
        const size_t index = shed_victim(store);
        if (index == store->draft.streams_count) return FAULT_NONE;
        const enum queue_class class = store->draft.streams[index].class;
        const uint64_t excess = all - store->bytes_max;
        const uint64_t above_reserve = queue_book_bytes(&store->draft, class) - store->reserve_bytes[class];
        const struct trim trim = {UINT64_MAX, excess < above_reserve ? excess : above_reserve, SIZE_MAX};
        uint64_t records = 0, bytes = 0;
        if (trim_stream(store, txn, index, trim, &records, &bytes, reterr)) return fault_wrap(reterr, "shed");
        count_shed(&store->draft, index, records);
    }
    return FAULT_NONE;
}

/* Deleting writes too (LMDB copies what it changes), the less the less is deleted at once: where the store is so full
 * that a deletion fails, smaller ones succeed and make room for larger ones. false: not even one record. */
static bool deletion_goes_on(struct queue_store *store, fault_code code, size_t *room) {
    if (code == FAULT_NONE) {
        *room = *room * 2 < RECORDS_PER_TRANSACTION ? *room * 2 : RECORDS_PER_TRANSACTION;
        return true;
    }
    if ((code != FAULT_LIMIT && code != FAULT_SYSTEM) || *room == 1) return false;
    *room = *room > 64 ? 16 : 1;
    queue_store_throw_off_ballast(store);
    return true;
}

static fault_code shed_some(struct queue_store *store, uint64_t bytes, size_t room, uint64_t *ret_bytes,
                            struct fault *reterr) {
    struct kv_txn *txn = NULL;
    fault_code code = queue_store_begin(store, &txn, reterr);
    if (code) return code;
    size_t index = 0;
    for (int class = QUEUE_CLASSES_MAX_ - 1; class >= 0; class --) { /* a full disk knows no shares */
        for (index = 0; index < store->draft.streams_count; index++)
            if (store->draft.streams[index].class == (enum queue_class) class && store->draft.streams[index].records)
                break;
        if (index < store->draft.streams_count) break;
    }
    uint64_t records = 0, shed = 0;
    if (index < store->draft.streams_count) {
        code = trim_stream(store, txn, index, (struct trim){UINT64_MAX, bytes, room}, &records, &shed, reterr);
        count_shed(&store->draft, index, records);
    }
    if (code || !records) {
        kv_abort(txn);
        if (!code) *ret_bytes = UINT64_MAX; /* nothing is left */
        return code;
    }
    *ret_bytes = shed;
    return queue_store_commit(store, txn, reterr);
}

fault_code queue_trim_shed(struct queue_store *store, uint64_t bytes, struct fault *reterr) {
    size_t room = RECORDS_PER_TRANSACTION;
    while (bytes) {
        uint64_t shed = 0;
        const fault_code code = shed_some(store, bytes, room, &shed, reterr);
        if (!deletion_goes_on(store, code, &room)) return fault_wrap(reterr, "shed");
        if (!code) bytes -= shed < bytes ? shed : bytes;
    }
    return FAULT_NONE;
}

/* What was shed while its batch, or its ack, was on the way is not lost: only the centre knows, and says how many of the
 * sequences up to `committed` were in holes. Those shed behind that one are not judged yet. */
static bool settle(struct queue_book *draft, size_t index, const struct queue_ack *ack) {
    struct queue_stream *const stream = &draft->streams[index];
    if (!ack->lost_known || ack->committed_sequence < stream->committed_sequence) return false;
    const uint64_t unjudged = stream->oldest_sequence > ack->committed_sequence + 1
                                  ? stream->oldest_sequence - 1 - ack->committed_sequence
                                  : 0;
    const uint64_t lost = ack->lost > stream->other_holes ? ack->lost - stream->other_holes : 0;
    if (lost + unjudged + stream->arrived >= stream->shed) return false;
    const uint64_t more = stream->shed - stream->arrived - lost - unjudged;
    stream->arrived += more;
    draft->arrived[stream->class] += more;
    draft->dirty[index] = true;
    return true;
}

static fault_code acked(struct queue_store *store, struct kv_txn *txn, const struct queue_ack *acks, size_t count,
                        size_t room, bool *ret_changed, bool *ret_more, struct fault *reterr) {
    bool changed = false, more = false;
    for (size_t i = 0; i < count; i++) {
        const size_t index = queue_book_find(&store->draft, acks[i].stream);
        if (index == store->draft.streams_count) continue;
        struct queue_stream *const stream = &store->draft.streams[index];
        if (acks[i].committed_sequence > stream->committed_sequence) {
            stream->committed_sequence = acks[i].committed_sequence;
            store->draft.dirty[index] = changed = true;
        }
        if (settle(&store->draft, index, &acks[i])) changed = true;
        if (stream->records == 0 || stream->oldest_sequence > acks[i].committed_sequence) continue;
        uint64_t records = 0, bytes = 0;
        const fault_code code = trim_stream(
            store, txn, index, (struct trim){acks[i].committed_sequence, UINT64_MAX, room}, &records, &bytes, reterr);
        if (code) return code;
        room -= records;
        changed = true;
        if (stream->records && stream->oldest_sequence <= acks[i].committed_sequence) more = true;
    }
    *ret_changed = changed;
    *ret_more = more;
    return FAULT_NONE;
}

fault_code queue_trim_acked(struct queue_store *store, struct kv_txn *txn, const struct queue_ack *acks, size_t count,
                            bool *ret_changed, bool *ret_more, struct fault *reterr) {
    return acked(store, txn, acks, count, RECORDS_PER_TRANSACTION, ret_changed, ret_more, reterr);
}

/* One transaction's worth of an acknowledgement; ret_more: records that are acknowledged are left. */
static fault_code ack_some(struct queue_store *store, const struct queue_ack *acks, size_t count, size_t room,
                           bool *ret_more, struct fault *reterr) {
    struct kv_txn *txn = NULL;
    bool changed = false;
    fault_code code = queue_store_begin(store, &txn, reterr);
    if (code) return code;
    code = acked(store, txn, acks, count, room, &changed, ret_more, reterr);
    if (!code && changed) return queue_store_commit(store, txn, reterr);
    kv_abort(txn);
    return code;
}

fault_code queue_trim_ack(struct queue_store *store, const struct queue_ack *acks, size_t count, struct fault *reterr) {
    size_t room = RECORDS_PER_TRANSACTION;
    for (bool more = true; more;) {
        const fault_code code = ack_some(store, acks, count, room, &more, reterr);
        if (!deletion_goes_on(store, code, &room)) return fault_wrap(reterr, "delete what is committed");
        if (code) more = true;
    }
    return FAULT_NONE;
}

fault_code queue_trim_drop(struct queue_store *store, uint32_t number, struct fault *reterr) {
    struct kv_txn *txn = NULL;
    if (queue_store_begin(store, &txn, reterr)) return fault_wrap(reterr, "drop stream %u", number);
    struct queue_book *const draft = &store->draft;
    const size_t index = queue_book_find(draft, number);
    if (index == draft->streams_count || !draft->streams[index].closed || draft->streams[index].records) {
        kv_abort(txn);
        return fault_set(reterr, FAULT_CONFLICT, "drop stream %u: it is not a closed and empty one", number);
    }
    if (queue_book_delete_stream(txn, store->book_table, number, reterr)) {
        kv_abort(txn);
        return fault_wrap(reterr, "drop stream %u", number);
    }
    memmove(&draft->streams[index], &draft->streams[index + 1],
            (draft->streams_count - index - 1) * sizeof draft->streams[0]);
    draft->streams_count--; /* nothing in this draft is dirty */
    return queue_store_commit(store, txn, reterr) ? fault_wrap(reterr, "drop stream %u", number) : FAULT_NONE;
}

fault_code queue_trim_quarantine(struct queue_store *store, uint32_t number, uint64_t sequence, struct fault *reterr) {
    uint8_t key_bytes[RECORD_KEY_BYTES];
    record_key(number, sequence, key_bytes);
    const slice key = slice_of(key_bytes, sizeof key_bytes);
    struct kv_txn *txn = NULL;
    fault_code code = queue_store_begin(store, &txn, reterr);
    if (code) return code;
    const size_t index = queue_book_find(&store->draft, number);
    assert(index < store->draft.streams_count);
    struct queue_stream *const stream = &store->draft.streams[index];
    const kv_table records = store->records_tables[stream->class];
    slice value;
    uint64_t quarantined = 0, cost = 0;
    code = kv_get(txn, records, key, &value, reterr);
    if (!code) cost = record_cost(value.size);
    if (!code) code = kv_table_count(txn, store->quarantine_table, &quarantined, reterr);
    if (!code && quarantined < QUARANTINE_RECORDS_MAX && value.size <= RECORD_HEADER_BYTES + QUEUE_RECORD_BYTES_MAX) {
        memcpy(store->record, value.data, value.size);
        code = kv_put(txn, store->quarantine_table, key, slice_of(store->record, value.size), reterr);
    }
    if (!code && sequence == stream->oldest_sequence) {
        uint64_t trimmed = 0, bytes = 0;
        code = trim_stream(store, txn, index, (struct trim){sequence, UINT64_MAX, 1}, &trimmed, &bytes, reterr);
    } else if (!code) {
        code = kv_delete(txn, records, key, reterr);
        stream->records -= stream->records ? 1 : 0;
        stream->bytes -= cost < stream->bytes ? cost : stream->bytes;
        store->draft.dirty[index] = true;
    }
    store->draft.quarantined++;
    stream->other_holes++;
    if (code) {
        kv_abort(txn);
        return code;
    }
    return queue_store_commit(store, txn, reterr);
}
