/* SPDX-License-Identifier: Apache-2.0
 * Follows the log of facts from the first to the last on several threads: each record's checksum, that none is missing,
 * that each carries the hash of the one before it, and that the versions of each aggregate are 1, 2, 3 ... A range of
 * compacted facts stands for the versions that they made, and no more than so many may be missing. What is wrong first in the order of the log is what is found, however the
 * threads run. Owner: the caller's thread, until it returns. */
#ifndef PICKET_ARCHIVE_CHAIN_CHECK_H
#define PICKET_ARCHIVE_CHAIN_CHECK_H

#include "aggregator/archive/finding.h"
#include "aggregator/archive/version_map.h"
#include "common/base/digest.h"
#include "common/store/kv.h"

#include <stdatomic.h>

enum { CHAIN_THREADS_MAX = 64 };

/* Read by others while it runs, by another process too. */
struct verify_progress {
    atomic_uint_fast64_t facts_count; /* how many there are to follow */
    atomic_uint_fast64_t facts, bytes;
    atomic_uint_fast64_t sound_sequence; /* everything up to here is found sound */
};

struct chain_check_settings {
    kv_table facts;
    struct kv_txn *const *txns; /* one a thread, all of one snapshot */
    unsigned threads;
    bool messages; /* that each fact's message opens and is the one its columns say; else of the last fact only */
    uint64_t known_sequence; /* not 0: this fact must have known_hash */
    uint8_t known_hash[DIGEST_BYTES];
    struct verify_progress *progress;
};
struct chain_end {
    uint64_t facts, last_sequence;   /* facts: without compacted ones */
    uint64_t compacted;              /* facts that ranges stand for */
    uint8_t last_hash[DIGEST_BYTES]; /* zeros when there is no fact */
};

/* versions: gets each aggregate's last version and the sequence of its last fact. compacted: gets, by tenant and type
 * (version_key_of without an id), how many facts of its aggregates were compacted, as the version, and how many versions
 * are missing. FAULT_CORRUPT: ret_finding says what is wrong; another fault: reterr does. */
fault_code chain_check(const struct chain_check_settings *settings, struct version_map *versions,
                       struct version_map *compacted, struct chain_end *ret_end, struct finding *ret_finding,
                       struct fault *reterr) MUST_CHECK;

#endif
