/* SPDX-License-Identifier: Apache-2.0
 * What is measured: the definition of one SLI, checked and compiled. Definitions come from the configuration file
 * and from the centre's AgentConfig; both fill struct sli_definition. Made at configuration; read-only afterwards. */
#ifndef PICKET_WINDOW_SLI_H
#define PICKET_WINDOW_SLI_H

#include "agent/collect/prometheus/selector.h"

enum sli_kind {
    SLI_RATIO_GOOD, /* good = increase of `good`, total = increase of `total` (counters) */
    SLI_RATIO_BAD,  /* good = increase of `total` less increase of `bad` */
    SLI_HISTOGRAM,  /* good = increase of the bucket le = threshold, total = increase of le="+Inf"; `total` selects */
    SLI_GAUGE, /* one event a scrape, good when every series of `total` holds against threshold; with `divisor`, when
                       the sum of `total` over the sum of `divisor` does. No series where there was one: not seen */
    SLI_PROBE, /* each probe is one event; good when it answered as expected, in latency_ms_max */
    SLI_RATIO_PARTS, /* good = increase of `good`, total = increases of `good` and `bad` together */
    SLI_KIND_MAX_
};

enum sli_operator { SLI_LESS, SLI_LESS_EQUAL, SLI_GREATER, SLI_GREATER_EQUAL, SLI_EQUAL, SLI_NOT_EQUAL };

struct sli_definition {
    slice slo_id; /* [A-Za-z0-9._-]{1,128} */
    enum sli_kind kind;
    slice good, bad, total;     /* selectors; which of them, see the kind. A histogram's name may lack its _bucket */
    slice divisor;              /* gauge: selector, or empty */
    double threshold;           /* histogram: a bucket's bound, compared as a number; gauge */
    enum sli_operator operator; /* gauge */
    int64_t latency_ms_max;     /* probe: 0 for none */
    uint32_t window_seconds;    /* 60 or 300; any from 1 on is accepted (tests) */
    const slice *targets;       /* names of targets (or of probes, for SLI_PROBE) */
    size_t targets_count;       /* 0: all targets (or probes) */
    double objective_percent;   /* of good events that the SLO asks for, 0 < x < 100; 0: not known, no burn rate then */
};

/* One counter or gauge that an SLI reads. */
enum sli_part { SLI_PART_GOOD, SLI_PART_TOTAL, SLI_PART_COUNT_ };

struct sli; /* compiled: owns copies of all it needs */

/* FAULT_INPUT names what is wrong with which part: "slo 'x': total: column 5: expected ...". */
fault_code sli_new(const struct sli_definition *definition, struct sli **ret_sli, struct fault *reterr) MUST_CHECK;
struct sli *sli_free(struct sli *sli); /* NULL is fine; returns NULL */

const struct sli_definition *sli_definition(const struct sli *sli); /* its own copy */
/* Of slo_id and everything that decides what is counted, the length of windows apart: state of another key does not fit
 * this definition. */
struct series_id sli_key(const struct sli *sli);
bool sli_wants_target(const struct sli *sli, slice target_name);
/* NULL when the kind does not read that part (histogram: TOTAL only; gauge: TOTAL, and GOOD is its divisor; probe: none).
 * Of SLI_RATIO_PARTS the bad ones are TOTAL. */
const struct selector *sli_selector(const struct sli *sli, enum sli_part part);
/* Does value hold against the threshold? NaN never does. */
bool sli_holds(enum sli_operator operator, double value, double threshold);

#endif
