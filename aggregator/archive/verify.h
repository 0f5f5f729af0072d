/* SPDX-License-Identifier: Apache-2.0
 * Is a journal whole? The chain of facts first, then that each stored aggregate opens and stands where its facts end,
 * then that every other record checks, and that what
 * they are found by says what they say. Reads only, beside a running aggregator too, and sees one commit. Any thread. */
#ifndef PICKET_ARCHIVE_VERIFY_H
#define PICKET_ARCHIVE_VERIFY_H

#include "aggregator/archive/chain_check.h"

struct verify_settings {
    const char *path;        /* folder of the environment */
    unsigned threads;        /* 0: as many as there are processors, up to CHAIN_THREADS_MAX */
    uint64_t known_sequence; /* not 0: that fact must have known_hash (a backup's manifest, an earlier verify) */
    uint8_t known_hash[DIGEST_BYTES];
    bool messages; /* decode each fact's message too: half as fast */
    /* Not 0: a lock that the caller holds by a descriptor. The process that works for it lets it go at once, so that the lock
     * ends with the caller, however that ends. */
    int lock;
    bool quiet; /* no progress on stderr; else a line a second after the first two seconds */
};
struct verify_result { /* a plain value: it crosses a process border */
    struct chain_end end;
    uint64_t aggregates, records, bytes; /* bytes: of all facts */
    unsigned threads;
    double chain_seconds, seconds;
    struct finding finding; /* kind FINDING_NONE: the journal is whole */
};

/* FAULT_NONE: it was looked at, and finding says what is wrong, if anything. A fault: it could not be looked at. */
fault_code verify_journal(const struct verify_settings *settings, struct verify_progress *progress,
                          struct verify_result *ret_result, struct fault *reterr) MUST_CHECK;

/* The same in a process of its own, which damaged pages of the store may take down: then that is what is found, at or
 * after the first fact that was not yet found sound. No other thread may run in the caller. */
fault_code verify_journal_apart(const struct verify_settings *settings, struct verify_result *ret_result,
                                struct fault *reterr) MUST_CHECK;

#endif
