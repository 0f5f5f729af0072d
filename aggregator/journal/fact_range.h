/* SPDX-License-Identifier: Apache-2.0
 * What stands in the log for a run of facts that were compacted away: which sequences, how many of which fact of which
 * tenant, when they were committed, and the two hashes by which the chain goes on over the place where they were.
 * Pure; any thread. */
#ifndef PICKET_JOURNAL_FACT_RANGE_H
#define PICKET_JOURNAL_FACT_RANGE_H

#include "common/base/arena.h"
#include "common/base/digest.h"
#include "common/base/fault.h"

/* The facts that may be compacted, and no others: high in number, and their effect stays in their aggregate. */
enum compactable { COMPACTABLE_SLI_WINDOWS, COMPACTABLE_HEALTH_CHECKS, COMPACTABLES_ };

/* The field number in SreDomainFact's oneof. */
uint32_t compactable_fact_number(enum compactable kind);
bool compactable_is(uint32_t fact_number);

enum {
    FACT_RANGE_SCHEMA = 2,        /* in the record's head; a fact has 1 */
    FACT_RANGE_COUNTS_MAX = 1024, /* pairs of tenant and fact number; a range that would have more ends there */
    FACT_RANGE_BYTES_MAX = 128 + FACT_RANGE_COUNTS_MAX * (11 + 255),
};

struct fact_range_count {
    slice tenant;
    uint32_t fact_number;
    uint64_t facts;
};

struct fact_range {
    uint64_t first_sequence, last_sequence;
    int64_t first_ms, last_ms;          /* commit times of the first and the last fact */
    uint8_t hash_before[DIGEST_BYTES];  /* of the record before the first; zeros when there was none */
    uint8_t hash_of_last[DIGEST_BYTES]; /* which the record behind the range carries */
    size_t counts_count;
    struct fact_range_count counts[FACT_RANGE_COUNTS_MAX]; /* their sum is the number of sequences */
};

/* Opens a stored record; tenants point into it. FAULT_CORRUPT when it does not check, does not add up, or counts a fact
 * that is none of the compactable. last_sequence: the record's key. */
fault_code fact_range_open(uint64_t last_sequence, slice record, struct fact_range *ret_range,
                           struct fault *reterr) MUST_CHECK;

/* The hash before the first, from a record that was not checked; false: it is too short. */
bool fact_range_hash_before(slice record, uint8_t ret_hash[DIGEST_BYTES]);

/* Writes the record into buffer (FACT_RANGE_BYTES_MAX); returns its size. */
size_t fact_range_write(const struct fact_range *range, uint8_t *buffer);

/* Counts facts of a tenant; its name is copied into the arena when it is new. False: the range holds as many pairs as
 * it can, or memory is out; it is unchanged. */
bool fact_range_count(struct fact_range *range, slice tenant, uint32_t fact_number, uint64_t facts,
                      struct arena *arena);

/* Adds the range that follows at once. False, and unchanged, when both together have too many pairs. FAULT_CORRUPT:
 * it does not follow by sequence or by hash. */
fault_code fact_range_join(struct fact_range *range, const struct fact_range *next, struct arena *arena,
                           bool *ret_joined, struct fault *reterr) MUST_CHECK;

/* How many facts of the tenant it stands for. */
uint64_t fact_range_facts_of(const struct fact_range *range, slice tenant);

#endif
