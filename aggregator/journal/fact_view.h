/* SPDX-License-Identifier: Apache-2.0
 * A committed fact as its readers see it: the columns that routing needs, read without decoding, and the encoded
 * SreDomainFact. Lent: whoever hands it out says for how long.
 *
 * Where facts were compacted, a reader sees one view with `compacted` set instead of them: it stands for the facts from
 * first_sequence to sequence, which are no longer there. It has no tenant, no aggregate and fact number 0; `bytes` is for
 * fact_range_open, which says how many of whose facts they were. A reader's cursor goes on at `sequence`. */
#ifndef PICKET_JOURNAL_FACT_VIEW_H
#define PICKET_JOURNAL_FACT_VIEW_H

#include "common/base/slice.h"

struct fact_view {
    uint64_t sequence;    /* global, from 1, gapless with first_sequence: this is the consumers' cursor */
    int64_t committed_ms; /* wall clock of the commit; of compacted facts, the last one's */
    uint32_t fact_number; /* the field number in SreDomainFact's oneof: SreDomainFact_slo_created_tag, ... */
    uint64_t version;     /* of the aggregate, from 1, gapless but for compacted facts */
    slice tenant;
    slice aggregate_type; /* "slo", "incident", ... */
    slice aggregate_id;
    slice message_id;        /* 36 characters; the same however often the fact is delivered */
    slice bytes;             /* encoded SreDomainFact, meta and subject filled in */
    uint64_t first_sequence; /* of a fact: its sequence */
    bool compacted;
};

#endif
