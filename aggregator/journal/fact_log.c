/* SPDX-License-Identifier: Apache-2.0
 * A record is: the hash of the record before it (32), time of the commit (8), fact number (2), version (8), sizes of
 * tenant, type and id (1 each), message id (36), the three texts, the encoded fact. The hash is over the record behind its
 * checksum, so it covers the hash inside, and with it everything before: a fact that is changed, dropped or put in
 * breaks each later record. It is one hash per fact, not per commit, so that facts can be cut at any place.
 *
 * Where facts were compacted, one record of another schema (fact_range.c) stands under the key of the last of them. */
#include "aggregator/journal/fact_log.h"

#include "aggregator/journal/fact_range.h"
#include "aggregator/journal/record.h"
#include "common/codec/codec.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    SCHEMA = 1,
    AT_HASH = RECORD_HEAD_BYTES,
    AT_TIME = AT_HASH + DIGEST_BYTES,
    AT_NUMBER = AT_TIME + 8,
    AT_VERSION = AT_NUMBER + 2,
    AT_SIZES = AT_VERSION + 8,
    AT_MESSAGE_ID = AT_SIZES + 3,
    AT_TEXTS = AT_MESSAGE_ID + 36,
    TEXTS_BYTES_MAX = 3 * 255,
    CHECKSUM_BYTES = 4, /* the part of a record that is not hashed */
};

static bool is_range(slice record) {
    return record.size > RECORD_HEAD_BYTES && record.data[RECORD_HEAD_BYTES - 1] == FACT_RANGE_SCHEMA;
}

fault_code fact_log_init(struct fact_log *log, kv_table table, struct kv_txn *txn, struct fault *reterr) {
    *log = (struct fact_log){.table = table};
    log->buffer = malloc(AT_TEXTS + TEXTS_BYTES_MAX + FACT_BYTES_MAX);
    if (!log->buffer) return fault_set(reterr, FAULT_LIMIT, "open the log of facts: out of memory");
    struct kv_cursor *cursor;
    if (kv_cursor_open(txn, table, &cursor, reterr)) {
        fact_log_done(log);
        return fault_wrap(reterr, "find the end of the log of facts");
    }
    slice key, record;
    fault_code code = kv_cursor_last(cursor, &key, &record, reterr);
    if (code == FAULT_NONE) {
        struct fact_view last;
        code = fact_log_view(key, record, &last, reterr);
        log->last_sequence = last.sequence;
        if (!code && last.compacted) {
            struct fact_range range;
            code = fact_range_open(last.sequence, record, &range, reterr);
            memcpy(log->last_hash, range.hash_of_last, DIGEST_BYTES);
        } else if (!code)
            digest_of(slice_from(record, CHECKSUM_BYTES), log->last_hash);
    } else if (code == FAULT_ABSENT) {
        code = FAULT_NONE; /* a new journal */
    }
    kv_cursor_close(cursor);
    if (code) fact_log_done(log);
    return code;
}

void fact_log_done(struct fact_log *log) {
    free(log->buffer);
    log->buffer = NULL;
}

fault_code fact_log_append(struct fact_log *log, struct kv_txn *txn, int64_t now_ms, const SreDomainFact *fact,
                           struct fault *reterr) {
    const slice texts[3] = {fact->meta.tenant_id, fact->subject.aggregate_type, fact->subject.aggregate_id};
    uint8_t *record = log->buffer;
    memcpy(record + AT_HASH, log->last_hash, DIGEST_BYTES);
    kv_store_u64(record + AT_TIME, (uint64_t)now_ms);
    record[AT_NUMBER] = (uint8_t)(fact->which_fact >> 8);
    record[AT_NUMBER + 1] = (uint8_t)fact->which_fact;
    kv_store_u64(record + AT_VERSION, (uint64_t)fact->subject.aggregate_version);
    if (fact->meta.message_id.size != 36) return fault_set(reterr, FAULT_INPUT, "a fact's message id is not a UUID");
    memcpy(record + AT_MESSAGE_ID, fact->meta.message_id.data, 36);
    size_t at = AT_TEXTS;
    for (int i = 0; i < 3; i++) {
        if (texts[i].size > 255) return fault_set(reterr, FAULT_INPUT, "a fact's subject has over 255 bytes");
        record[AT_SIZES + i] = (uint8_t)texts[i].size;
        if (texts[i].size) memcpy(record + at, texts[i].data, texts[i].size);
        at += texts[i].size;
    }
    size_t size;
    if (codec_encode_protobuf_into(&SreDomainFact_desc, fact, record + at, FACT_BYTES_MAX, &size, reterr))
        return fault_wrap(reterr, "encode fact %" PRIu64, fact->sequence);
    at += size;
    record_seal(record, at, SCHEMA);
    uint8_t key[8];
    kv_store_u64(key, fact->sequence);
    if (kv_append(txn, log->table, slice_of(key, sizeof key), slice_of(record, at), reterr))
        return fault_wrap(reterr, "store fact %" PRIu64, fact->sequence);
    digest_of(slice_of(record + CHECKSUM_BYTES, at - CHECKSUM_BYTES), log->last_hash);
    log->last_sequence = fact->sequence;
    return FAULT_NONE;
}

static fault_code range_view(slice key, slice record, struct fact_view *ret_fact, struct fault *reterr) {
    struct fact_range range;
    if (key.size != 8) return fault_set(reterr, FAULT_CORRUPT, "a fact's key has %zu bytes, not 8", key.size);
    if (fact_range_open(kv_load_u64(key.data), record, &range, reterr)) return FAULT_CORRUPT;
    *ret_fact = (struct fact_view){.sequence = range.last_sequence,
                                   .first_sequence = range.first_sequence,
                                   .committed_ms = range.last_ms,
                                   .bytes = record,
                                   .compacted = true};
    return FAULT_NONE;
}

fault_code fact_log_view(slice key, slice record, struct fact_view *ret_fact, struct fault *reterr) {
    slice body;
    if (is_range(record)) return range_view(key, record, ret_fact, reterr);
    if (record_open(record, SCHEMA, "fact", &body, reterr)) return FAULT_CORRUPT;
    if (!fact_log_glance(key, record, ret_fact))
        return fault_set(reterr, FAULT_CORRUPT, "fact record of %zu bytes is too short", record.size);
    return FAULT_NONE;
}

bool fact_log_glance(slice key, slice record, struct fact_view *ret_fact) {
    size_t texts = 0;
    if (record.size >= AT_TEXTS)
        texts = (size_t)record.data[AT_SIZES] + record.data[AT_SIZES + 1] + record.data[AT_SIZES + 2];
    if (key.size != 8 || record.size < AT_TEXTS + texts) return false;
    const uint8_t *at = record.data + AT_TEXTS, *sizes = record.data + AT_SIZES;
    *ret_fact = (struct fact_view){
        .sequence = kv_load_u64(key.data),
        .first_sequence = kv_load_u64(key.data),
        .committed_ms = (int64_t)kv_load_u64(record.data + AT_TIME),
        .fact_number = (uint32_t)record.data[AT_NUMBER] << 8 | record.data[AT_NUMBER + 1],
        .version = kv_load_u64(record.data + AT_VERSION),
        .tenant = slice_of(at, sizes[0]),
        .aggregate_type = slice_of(at + sizes[0], sizes[1]),
        .aggregate_id = slice_of(at + sizes[0] + sizes[1], sizes[2]),
        .message_id = slice_of(record.data + AT_MESSAGE_ID, 36),
        .bytes = slice_from(record, AT_TEXTS + texts),
    };
    return true;
}

const uint8_t *fact_log_carried_hash(slice record) {
    return record.size >= AT_TIME ? record.data + AT_HASH : NULL;
}

void fact_log_hash(slice record, uint8_t ret_hash[DIGEST_BYTES]) {
    digest_of(slice_from(record, CHECKSUM_BYTES), ret_hash);
}

void fact_log_hash_two(const slice records[2], uint8_t ret_hashes[2][DIGEST_BYTES]) {
    const slice hashed[2] = {slice_from(records[0], CHECKSUM_BYTES), slice_from(records[1], CHECKSUM_BYTES)};
    digest_of_two(hashed, ret_hashes);
}

uint32_t fact_log_number(slice record) {
    if (record.size < AT_TEXTS || is_range(record)) return 0;
    return (uint32_t)record.data[AT_NUMBER] << 8 | record.data[AT_NUMBER + 1];
}

bool fact_log_hash_before(slice record, uint8_t ret_hash[DIGEST_BYTES]) {
    if (is_range(record)) return fact_range_hash_before(record, ret_hash);
    if (record.size < AT_TEXTS) return false;
    memcpy(ret_hash, record.data + AT_HASH, DIGEST_BYTES);
    return true;
}

fault_code fact_log_read(kv_table table, struct kv_txn *txn, uint64_t after_sequence, size_t facts_max,
                         size_t bytes_max, struct arena *arena, struct fact_view **ret_facts, size_t *ret_count,
                         struct fault *reterr) {
    if (after_sequence == UINT64_MAX || facts_max == 0) {
        *ret_facts = NULL;
        *ret_count = 0;
        return FAULT_NONE;
    }
    struct fact_view *facts = NULL;
    size_t count = 0, capacity = 0, bytes = 0;
    struct kv_cursor *cursor;
    if (kv_cursor_open(txn, table, &cursor, reterr)) return fault_wrap(reterr, "read facts");
    uint8_t first[8];
    kv_store_u64(first, after_sequence + 1);
    slice key, record;
    fault_code code = kv_cursor_seek(cursor, slice_of(first, sizeof first), &key, &record, reterr);
    while (code == FAULT_NONE && count < facts_max && (count == 0 || bytes + record.size <= bytes_max)) {
        if (count == capacity) {
            const size_t larger = capacity ? 2 * capacity : 64;
            facts = arena_grow(arena, facts, capacity * sizeof *facts, larger * sizeof *facts);
            capacity = larger;
        }
        const slice copy = arena_copy(arena, record);
        if (!facts || !copy.data) {
            code = fault_set(reterr, FAULT_LIMIT, "read facts: the arena is full at %zu facts", count);
            break;
        }
        code = fact_log_view(key, copy, &facts[count], reterr);
        if (code) break;
        bytes += record.size;
        count++;
        code = kv_cursor_next(cursor, &key, &record, reterr);
    }
    kv_cursor_close(cursor);
    if (code && code != FAULT_ABSENT) return code;
    *ret_facts = facts;
    *ret_count = count;
    return FAULT_NONE;
}

static fault_code range_follow(struct fact_chain *chain, const struct fact_view *view, struct fault *reterr) {
    struct fact_range range;
    if (fact_range_open(view->sequence, view->bytes, &range, reterr)) return FAULT_CORRUPT;
    if (memcmp(chain->hash, range.hash_before, DIGEST_BYTES) != 0)
        return fault_set(reterr, FAULT_CORRUPT,
                         "the compacted facts from %" PRIu64 " on do not carry the hash of the fact before them",
                         range.first_sequence);
    memcpy(chain->hash, range.hash_of_last, DIGEST_BYTES);
    chain->ranges++;
    chain->compacted += range.last_sequence - range.first_sequence + 1;
    return FAULT_NONE;
}

fault_code fact_chain_follow(struct fact_chain *chain, slice key, slice record, struct fact_view *ret_fact,
                             struct fault *reterr) {
    if (fact_log_view(key, record, ret_fact, reterr)) return FAULT_CORRUPT;
    if (ret_fact->first_sequence != chain->sequence + 1)
        return fault_set(reterr, FAULT_CORRUPT, "fact %" PRIu64 " follows fact %" PRIu64, ret_fact->first_sequence,
                         chain->sequence);
    if (ret_fact->compacted) {
        if (range_follow(chain, ret_fact, reterr)) return FAULT_CORRUPT;
    } else {
        if (memcmp(chain->hash, record.data + AT_HASH, DIGEST_BYTES) != 0)
            return fault_set(reterr, FAULT_CORRUPT, "fact %" PRIu64 " does not carry the hash of the fact before it",
                             ret_fact->sequence);
        digest_of(slice_from(record, CHECKSUM_BYTES), chain->hash);
    }
    chain->sequence = ret_fact->sequence;
    return FAULT_NONE;
}

fault_code fact_log_verify(kv_table table, struct kv_txn *txn, uint64_t *ret_facts, struct fault *reterr) {
    struct kv_cursor *cursor;
    if (kv_cursor_open(txn, table, &cursor, reterr)) return fault_wrap(reterr, "verify facts");
    struct fact_chain chain = {0};
    slice key, record;
    fault_code code = kv_cursor_seek(cursor, (slice){0}, &key, &record, reterr);
    while (code == FAULT_NONE) {
        struct fact_view fact;
        code = fact_chain_follow(&chain, key, record, &fact, reterr);
        if (!code) code = kv_cursor_next(cursor, &key, &record, reterr);
    }
    kv_cursor_close(cursor);
    if (code != FAULT_ABSENT) return code;
    *ret_facts = chain.sequence;
    return FAULT_NONE;
}
