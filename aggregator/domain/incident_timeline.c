/* SPDX-License-Identifier: Apache-2.0
 * Entries of people are refused when the timeline is full, so that whoever writes knows. Entries about facts cannot be
 * refused (the fact has happened, and says it all): they are left out, and one last entry says that this begins here. */
#include "aggregator/domain/incident_timeline.h"

const char incident_timeline_full_text[] =
    "The timeline is full: what happens from now on is in the incident's facts alone.";

static size_t entry_bytes(slice text, const slice *links, size_t links_count) {
    size_t bytes = text.size;
    for (size_t i = 0; i < links_count; i++) bytes += links[i].size;
    return bytes;
}

static size_t timeline_bytes(const Incident *incident) {
    size_t bytes = 0;
    for (size_t i = 0; i < incident->timeline.count; i++) {
        const TimelineEntry *entry = &incident->timeline.items[i];
        bytes += entry_bytes(entry->text, entry->links.items, entry->links.count);
    }
    return bytes;
}

fault_code incident_timeline_check(const struct aggregate *incident, slice text, const slice *links, size_t links_count,
                                   struct fault *reterr) {
    const Incident *state = &incident->state.incident;
    if (state->timeline.count >= INCIDENT_TIMELINE_MAX - 1)
        return fault_set(reterr, FAULT_CONFLICT, "incident '%.*s' has %zu timeline entries, the most there can be",
                         SLICE_ARG(incident->id), state->timeline.count);
    const size_t bytes = timeline_bytes(state) + entry_bytes(text, links, links_count);
    if (bytes > INCIDENT_TIMELINE_BYTES_MAX)
        return fault_set(reterr, FAULT_CONFLICT,
                         "with this entry the timeline of incident '%.*s' would hold %zu bytes, the most is %d",
                         SLICE_ARG(incident->id), bytes, INCIDENT_TIMELINE_BYTES_MAX);
    return FAULT_NONE;
}

const TimelineEntry *incident_timeline_find(const Incident *incident, slice entry_id) {
    for (size_t i = 0; i < incident->timeline.count; i++)
        if (slice_equal(incident->timeline.items[i].entry_id, entry_id)) return &incident->timeline.items[i];
    return NULL;
}

bool incident_timeline_automatic(TimelineEntryKind kind) {
    return kind == TIMELINE_ENTRY_KIND_STATUS || kind == TIMELINE_ENTRY_KIND_SEVERITY ||
           kind == TIMELINE_ENTRY_KIND_ASSIGNMENT || kind == TIMELINE_ENTRY_KIND_ALERT;
}

static bool full_said(const Incident *incident) {
    for (size_t i = 0; i < incident->timeline.count; i++)
        if (slice_equal_text(incident->timeline.items[i].text, incident_timeline_full_text)) return true;
    return false;
}

static void insert(Incident *incident, const TimelineEntry *entry, struct arena *arena) {
    const size_t count = incident->timeline.count, item = sizeof *incident->timeline.items;
    TimelineEntry *items = arena_alloc_array(arena, count + 1, item);
    if (!items) return; /* the fact holds it; decisions are made in arenas far larger than the largest timeline */
    size_t at = count;
    while (at > 0 && domain_ms(incident->timeline.items[at - 1].at) > domain_ms(entry->at)) at--;
    if (at) memcpy(items, incident->timeline.items, at * item);
    items[at] = *entry;
    if (count > at) memcpy(items + at + 1, incident->timeline.items + at, (count - at) * item);
    incident->timeline.items = items;
    incident->timeline.count = count + 1;
}

void incident_timeline_put(Incident *incident, const TimelineEntry *entry, struct arena *arena) {
    const size_t count = incident->timeline.count;
    const size_t bytes = timeline_bytes(incident) + entry_bytes(entry->text, entry->links.items, entry->links.count);
    if (count < INCIDENT_TIMELINE_MAX - 1 && bytes <= INCIDENT_TIMELINE_BYTES_MAX) {
        insert(incident, entry, arena);
    } else if (count < INCIDENT_TIMELINE_MAX && !full_said(incident)) {
        TimelineEntry full = *entry;
        full.kind = TIMELINE_ENTRY_KIND_NOTE;
        full.text = slice_from_text(incident_timeline_full_text);
        full.links.count = 0;
        insert(incident, &full, arena);
    }
}

/* Whole characters of UTF-8. */
static slice cut(slice text, size_t bytes) {
    if (text.size <= bytes) return text;
    while (bytes > 0 && (text.data[bytes] & 0xc0) == 0x80) bytes--;
    return slice_first(text, bytes);
}

void incident_timeline_tell(Incident *incident, const SreDomainFact *fact, TimelineEntryKind kind, int64_t at_ms,
                            slice author, slice what, slice note, struct arena *arena) {
    const slice first = cut(what, INCIDENT_TIMELINE_AUTOMATIC_BYTES_MAX / 2);
    const slice rest = cut(note, INCIDENT_TIMELINE_AUTOMATIC_BYTES_MAX - first.size - 5); /* ": " and "..." */
    const TimelineEntry entry = {
        .entry_id = fact->meta.message_id,
        .has_at = true,
        .at = domain_time(at_ms),
        .author = author,
        .kind = kind,
        .text = arena_format(arena, "%.*s%s%.*s%s", SLICE_ARG(first), note.size ? ": " : "", SLICE_ARG(rest),
                             rest.size < note.size ? "..." : ""),
    };
    if (entry.text.data) incident_timeline_put(incident, &entry, arena);
}
