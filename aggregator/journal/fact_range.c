/* SPDX-License-Identifier: Apache-2.0
 * A record is: first sequence (8), commit times of the first and the last fact (8, 8), the hash before the first (32),
 * the hash of the last (32), how many counts (2), and each count: fact number (2), facts (8), size of the tenant's
 * name (1), the name. The last sequence is the record's key.
 *
 * The chain goes through the two hashes: the record behind the range carries the hash of the range's last fact, as it
 * always did, and nothing behind it has to be written again. What a range cannot prove is what the facts in it said:
 * they are gone. What it can: that nothing before it and nothing behind it was changed. */
#include "aggregator/journal/fact_range.h"

#include "aggregator/journal/record.h"
#include "common/store/kv.h"
#include "sre.pb.h"

#include <assert.h>
#include <inttypes.h>

enum {
    AT_FIRST = RECORD_HEAD_BYTES,
    AT_FIRST_MS = AT_FIRST + 8,
    AT_LAST_MS = AT_FIRST_MS + 8,
    AT_HASH_BEFORE = AT_LAST_MS + 8,
    AT_HASH_OF_LAST = AT_HASH_BEFORE + DIGEST_BYTES,
    AT_COUNTS = AT_HASH_OF_LAST + DIGEST_BYTES,
    AT_COUNT = AT_COUNTS + 2,
    COUNT_HEAD_BYTES = 2 + 8 + 1,
};
static_assert(AT_COUNT <= 128, "FACT_RANGE_BYTES_MAX has room for the head");

static const uint32_t numbers[COMPACTABLES_] = {
    [COMPACTABLE_SLI_WINDOWS] = SreDomainFact_sli_window_recorded_tag,
    [COMPACTABLE_HEALTH_CHECKS] = SreDomainFact_health_check_recorded_tag,
};

uint32_t compactable_fact_number(enum compactable kind) {
    return numbers[kind];
}

bool compactable_is(uint32_t fact_number) {
    for (size_t i = 0; i < COMPACTABLES_; i++)
        if (numbers[i] == fact_number) return true;
    return false;
}

static fault_code counts_open(slice rest, size_t count, struct fact_range *range, struct fault *reterr) {
    const uint64_t facts = range->last_sequence - range->first_sequence + 1;
    uint64_t left = facts;
    for (size_t i = 0; i < count; i++) {
        struct fact_range_count *c = &range->counts[i];
        if (rest.size < COUNT_HEAD_BYTES || rest.size < (size_t)COUNT_HEAD_BYTES + rest.data[10])
            return fault_set(reterr, FAULT_CORRUPT, "the range of compacted facts %" PRIu64 " to %" PRIu64 " is short",
                             range->first_sequence, range->last_sequence);
        c->fact_number = (uint32_t)rest.data[0] << 8 | rest.data[1];
        c->facts = kv_load_u64(rest.data + 2);
        c->tenant = slice_of(rest.data + COUNT_HEAD_BYTES, rest.data[10]);
        rest = slice_from(rest, COUNT_HEAD_BYTES + c->tenant.size);
        if (!compactable_is(c->fact_number))
            return fault_set(reterr, FAULT_CORRUPT,
                             "the range of compacted facts %" PRIu64 " to %" PRIu64
                             " counts facts of number %u, which may not be compacted",
                             range->first_sequence, range->last_sequence, c->fact_number);
        if (c->facts > left) break;
        left -= c->facts;
        range->counts_count = i + 1;
    }
    if (range->counts_count == count && left == 0 && rest.size == 0) return FAULT_NONE;
    return fault_set(reterr, FAULT_CORRUPT,
                     "the range of compacted facts %" PRIu64 " to %" PRIu64 " does not count %" PRIu64 " facts",
                     range->first_sequence, range->last_sequence, facts);
}

fault_code fact_range_open(uint64_t last_sequence, slice record, struct fact_range *ret_range, struct fault *reterr) {
    slice body;
    if (record_open(record, FACT_RANGE_SCHEMA, "range of compacted facts", &body, reterr)) return FAULT_CORRUPT;
    if (record.size < AT_COUNT || record.data[4] != FACT_RANGE_SCHEMA)
        return fault_set(reterr, FAULT_CORRUPT, "the range of compacted facts that ends at %" PRIu64 " is short",
                         last_sequence);
    struct fact_range *range = ret_range;
    range->first_sequence = kv_load_u64(record.data + AT_FIRST);
    range->last_sequence = last_sequence;
    range->first_ms = (int64_t)kv_load_u64(record.data + AT_FIRST_MS);
    range->last_ms = (int64_t)kv_load_u64(record.data + AT_LAST_MS);
    memcpy(range->hash_before, record.data + AT_HASH_BEFORE, DIGEST_BYTES);
    memcpy(range->hash_of_last, record.data + AT_HASH_OF_LAST, DIGEST_BYTES);
    range->counts_count = 0;
    const size_t count = (size_t)record.data[AT_COUNTS] << 8 | record.data[AT_COUNTS + 1];
    if (range->first_sequence == 0 || range->first_sequence > last_sequence || count > FACT_RANGE_COUNTS_MAX)
        return fault_set(reterr, FAULT_CORRUPT,
                         "a range of compacted facts is said to go from %" PRIu64 " to %" PRIu64 " with %zu counts",
                         range->first_sequence, last_sequence, count);
    return counts_open(slice_from(record, AT_COUNT), count, range, reterr);
}

bool fact_range_hash_before(slice record, uint8_t ret_hash[DIGEST_BYTES]) {
    if (record.size < AT_COUNT) return false;
    memcpy(ret_hash, record.data + AT_HASH_BEFORE, DIGEST_BYTES);
    return true;
}

size_t fact_range_write(const struct fact_range *range, uint8_t *buffer) {
    kv_store_u64(buffer + AT_FIRST, range->first_sequence);
    kv_store_u64(buffer + AT_FIRST_MS, (uint64_t)range->first_ms);
    kv_store_u64(buffer + AT_LAST_MS, (uint64_t)range->last_ms);
    memcpy(buffer + AT_HASH_BEFORE, range->hash_before, DIGEST_BYTES);
    memcpy(buffer + AT_HASH_OF_LAST, range->hash_of_last, DIGEST_BYTES);
    buffer[AT_COUNTS] = (uint8_t)(range->counts_count >> 8);
    buffer[AT_COUNTS + 1] = (uint8_t)range->counts_count;
    size_t at = AT_COUNT;
    for (size_t i = 0; i < range->counts_count; i++) {
        const struct fact_range_count *c = &range->counts[i];
        const slice tenant = slice_first(c->tenant, 255);
        buffer[at] = (uint8_t)(c->fact_number >> 8);
        buffer[at + 1] = (uint8_t)c->fact_number;
        kv_store_u64(buffer + at + 2, c->facts);
        buffer[at + 10] = (uint8_t)tenant.size;
        if (tenant.size) memcpy(buffer + at + COUNT_HEAD_BYTES, tenant.data, tenant.size);
        at += COUNT_HEAD_BYTES + tenant.size;
    }
    record_seal(buffer, at, FACT_RANGE_SCHEMA);
    return at;
}

static struct fact_range_count *count_find(struct fact_range *range, slice tenant, uint32_t fact_number) {
    for (size_t i = range->counts_count; i-- > 0;) /* the newest is the likeliest */
        if (range->counts[i].fact_number == fact_number && slice_equal(range->counts[i].tenant, tenant))
            return &range->counts[i];
    return NULL;
}

bool fact_range_count(struct fact_range *range, slice tenant, uint32_t fact_number, uint64_t facts,
                      struct arena *arena) {
    struct fact_range_count *count = count_find(range, tenant, fact_number);
    if (!count) {
        if (range->counts_count == FACT_RANGE_COUNTS_MAX) return false;
        const slice name = arena_copy(arena, tenant);
        if (tenant.size && !name.data) return false;
        count = &range->counts[range->counts_count++];
        *count = (struct fact_range_count){.tenant = name, .fact_number = fact_number};
    }
    count->facts += facts;
    return true;
}

fault_code fact_range_join(struct fact_range *range, const struct fact_range *next, struct arena *arena,
                           bool *ret_joined, struct fault *reterr) {
    if (next->first_sequence != range->last_sequence + 1 ||
        memcmp(next->hash_before, range->hash_of_last, DIGEST_BYTES) != 0)
        return fault_set(reterr, FAULT_CORRUPT,
                         "the compacted facts from %" PRIu64 " on do not follow those that end at %" PRIu64,
                         next->first_sequence, range->last_sequence);
    size_t added = 0;
    for (size_t i = 0; i < next->counts_count; i++)
        added += !count_find(range, next->counts[i].tenant, next->counts[i].fact_number);
    *ret_joined = range->counts_count + added <= FACT_RANGE_COUNTS_MAX;
    if (!*ret_joined) return FAULT_NONE;
    for (size_t i = 0; i < next->counts_count; i++)
        if (!fact_range_count(range, next->counts[i].tenant, next->counts[i].fact_number, next->counts[i].facts, arena))
            return fault_set(reterr, FAULT_LIMIT, "join two ranges of compacted facts: the arena is full");
    range->last_sequence = next->last_sequence;
    range->last_ms = next->last_ms;
    memcpy(range->hash_of_last, next->hash_of_last, DIGEST_BYTES);
    return FAULT_NONE;
}

uint64_t fact_range_facts_of(const struct fact_range *range, slice tenant) {
    uint64_t facts = 0;
    for (size_t i = 0; i < range->counts_count; i++)
        if (slice_equal(range->counts[i].tenant, tenant)) facts += range->counts[i].facts;
    return facts;
}
