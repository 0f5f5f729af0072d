/* SPDX-License-Identifier: Apache-2.0
 * A committed fact as its readers see it: the columns that routing needs, read without decoding, and the encoded
 * SreDomainFact. Lent: whoever hands it out says for how long. */
#ifndef PICKET_JOURNAL_FACT_VIEW_H
#define PICKET_JOURNAL_FACT_VIEW_H

#include "common/base/slice.h"

struct fact_view {
    uint64_t sequence;    /* global, from 1, gapless: this is the consumers' cursor */
    int64_t committed_ms; /* wall clock of the commit */
    uint32_t fact_number; /* the field number in SreDomainFact's oneof: SreDomainFact_slo_created_tag, ... */
    uint64_t version;     /* of the aggregate, from 1, gapless */
    slice tenant;
    slice aggregate_type; /* "slo", "incident", ... */
    slice aggregate_id;
    slice message_id; /* 36 characters; the same however often the fact is delivered */
    slice bytes;      /* encoded SreDomainFact, meta and subject filled in */
};

#endif
