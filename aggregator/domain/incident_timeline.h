/* SPDX-License-Identifier: Apache-2.0
 * The timeline of an incident: what people say about it, and, written by apply itself, what happened to it. Oldest first
 * by when it happened; of the same time, in the order in which it came. */
#ifndef PICKET_DOMAIN_INCIDENT_TIMELINE_H
#define PICKET_DOMAIN_INCIDENT_TIMELINE_H

#include "aggregator/domain/domain.h"

/* Of one incident. The bytes of all texts and links stay well below what the journal stores of one aggregate, which is
 * what makes that bound no one's to meet. The last place and some bytes are kept for saying that the rest is full. */
enum {
    INCIDENT_TIMELINE_MAX = 2000,
    INCIDENT_TIMELINE_AHEAD_MS_MAX = 60 * 60 * 1000, /* clocks differ */
    INCIDENT_TIMELINE_BYTES_MAX = 1024 * 1024,
    INCIDENT_TIMELINE_AUTOMATIC_BYTES_MAX = 1000, /* the fact has the whole text */
};
extern const char incident_timeline_full_text[];

/* FAULT_LIMIT: another entry with this text and these links does not fit. */
fault_code incident_timeline_check(const struct aggregate *incident, slice text, const slice *links, size_t links_count,
                                   struct fault *reterr) MUST_CHECK;
const TimelineEntry *incident_timeline_find(const Incident *incident, slice entry_id); /* NULL: there is none */

/* Kinds that incident_timeline_tell writes, and people do not. */
bool incident_timeline_automatic(TimelineEntryKind kind);

/* For apply; what does not fit is left out, and the first time an entry says so. */
void incident_timeline_put(Incident *incident, const TimelineEntry *entry, struct arena *arena);
/* An entry about the fact that is being applied: what is its change in a few words, note (may be empty) is what whoever
 * changed it said. */
void incident_timeline_tell(Incident *incident, const SreDomainFact *fact, TimelineEntryKind kind, int64_t at_ms,
                            slice author, slice what, slice note, struct arena *arena);

#endif
