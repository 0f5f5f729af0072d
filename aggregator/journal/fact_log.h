/* SPDX-License-Identifier: Apache-2.0
 * The log of facts: every fact by its global sequence, each carrying the hash of the record before it. Owner: the
 * writer thread; fact_log_read is for any thread with its own read transaction. */
#ifndef PICKET_JOURNAL_FACT_LOG_H
#define PICKET_JOURNAL_FACT_LOG_H

#include "aggregator/journal/fact_view.h"
#include "common/base/arena.h"
#include "common/base/digest.h"
#include "common/store/kv.h"
#include "sre.pb.h"

enum { FACT_BYTES_MAX = 2 * 1024 * 1024 };

struct fact_log {
    kv_table table;
    uint64_t last_sequence;
    uint8_t last_hash[DIGEST_BYTES]; /* SHA-256 of the last record behind its checksum; zeros before the first */
    uint8_t *buffer;                 /* where a record is put together */
};

/* Finds the end of the log. */
fault_code fact_log_init(struct fact_log *log, kv_table table, struct kv_txn *txn, struct fault *reterr) MUST_CHECK;
void fact_log_done(struct fact_log *log);

/* fact->sequence must be last_sequence + 1; meta and subject filled in. FAULT_LIMIT when it is over FACT_BYTES_MAX. */
fault_code fact_log_append(struct fact_log *log, struct kv_txn *txn, int64_t now_ms, const SreDomainFact *fact,
                           struct fault *reterr) MUST_CHECK;

/* Opens one stored record, a fact or a range of compacted facts; slices point into it. */
fault_code fact_log_view(slice key, slice record, struct fact_view *ret_fact, struct fault *reterr) MUST_CHECK;

/* As fact_log_view for a record that does not check: its columns as far as they can be read. False when they cannot. */
bool fact_log_glance(slice key, slice record, struct fact_view *ret_fact) MUST_CHECK;

/* The hash of the record before it that a record carries (NULL when it is too short for one), and its own. */
const uint8_t *fact_log_carried_hash(slice record);
void fact_log_hash(slice record, uint8_t ret_hash[DIGEST_BYTES]);
void fact_log_hash_two(const slice records[2], uint8_t ret_hashes[2][DIGEST_BYTES]); /* faster than one by one */
/* Looked at without checking the record: the fact's number (0: none, or a range), and the hash that it carries of the
 * record before it (false: it is too short to). */
uint32_t fact_log_number(slice record);
bool fact_log_hash_before(slice record, uint8_t ret_hash[DIGEST_BYTES]);

/* As journal_facts. */
fault_code fact_log_read(kv_table table, struct kv_txn *txn, uint64_t after_sequence, size_t facts_max,
                         size_t bytes_max, struct arena *arena, struct fact_view **ret_facts, size_t *ret_count,
                         struct fault *reterr) MUST_CHECK;

/* The chain, followed record by record from the first one on: begin with zeros. */
struct fact_chain {
    uint64_t sequence;          /* of the last fact so far; the number of facts, compacted ones included */
    uint8_t hash[DIGEST_BYTES]; /* of that fact: what the next record must carry */
    uint64_t ranges, compacted; /* ranges of compacted facts, and how many facts they stand for */
};
/* The next record must follow what the chain has seen: FAULT_CORRUPT names the first sequence that is missing or does
 * not fit. Over a range of compacted facts the chain goes by the range's two hashes. */
fault_code fact_chain_follow(struct fact_chain *chain, slice key, slice record, struct fact_view *ret_fact,
                             struct fault *reterr) MUST_CHECK;

/* Follows the chain over all records; ret_facts: the last sequence, compacted facts included. */
fault_code fact_log_verify(kv_table table, struct kv_txn *txn, uint64_t *ret_facts, struct fault *reterr) MUST_CHECK;

#endif
