/* SPDX-License-Identifier: Apache-2.0
 * The first thing that is wrong with a journal, in words that an operator can act on. A plain value: it crosses a
 * process border. */
#ifndef PICKET_ARCHIVE_FINDING_H
#define PICKET_ARCHIVE_FINDING_H

#include "aggregator/journal/fact_view.h"
#include "common/base/fault.h"

struct finding {
    enum finding_kind {
        FINDING_NONE,
        FINDING_CHECKSUM,  /* a fact's bytes are not those that were written */
        FINDING_HASH,      /* the fact is not the one that the next one followed */
        FINDING_GAP,       /* it is missing */
        FINDING_READ,      /* it cannot be read: too short, a newer schema, not a message, another fact's columns */
        FINDING_VERSION,   /* an aggregate's versions have a gap */
        FINDING_AGGREGATE, /* a stored aggregate does not open, or is not where its facts end */
        FINDING_RECORD,    /* a record of another table does not open */
        FINDING_INDEX,     /* what a record is found by does not say what the record says */
        FINDING_PAGES,     /* the store's own pages are damaged */
        FINDING_KINDS_
    } kind;
    uint64_t sequence;                                      /* of the fact; 0: it is not about one */
    char tenant[72], aggregate_type[32], aggregate_id[136]; /* empty: not known */
    char text[320];
};

/* "checksum", "hash", ... */
const char *finding_kind_name(enum finding_kind kind);

/* fact: NULL when it is not known whose it is. Each returns FAULT_CORRUPT. */
fault_code finding_set(struct finding *ret_finding, enum finding_kind kind, uint64_t sequence,
                       const struct fact_view *fact, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* "fact 17 (tenant demo, slo checkout): hash: ..." */
void finding_print(const struct finding *finding, char *ret_text, size_t size);

#endif
