/* SPDX-License-Identifier: Apache-2.0
 * A shard's note: what was reported of each application in it, without what can be asked for again. One byte of version,
 * then for each application
 *     health sync phase stale  namespace name environment cluster (a byte of size, then text)  observed_ms (8, little endian)
 * It is written by us and carries the queue's checksum; it is read as bytes from outside nevertheless. */
#include "agent/applications/applications_parts.h"

#include <stdlib.h>

enum { NOTE_VERSION = 1, STATE_BYTES = 4, TIME_BYTES = 8, ENTRY_BYTES_MAX = STATE_BYTES + TIME_BYTES + 4 * 256 };
#define TIME_MS_MAX UINT64_C(253402300799999) /* of the year 9999 */

static uint8_t *put_text(uint8_t *to, slice text) {
    *to++ = (uint8_t)text.size;
    if (text.size) memcpy(to, text.data, text.size);
    return to + text.size;
}

static uint8_t *put_entry(uint8_t *to, const struct applications *applications, const struct application *application,
                          struct application_state state, int64_t observed_ms) {
    const struct fleet *const fleet = &applications->fleets[state.fleet];
    *to++ = state.health;
    *to++ = state.sync;
    *to++ = state.phase;
    *to++ = state.stale;
    to = put_text(to, application_namespace(application));
    to = put_text(to, application_name(application));
    to = put_text(to, fleet->environment);
    to = put_text(to, fleet->cluster);
    for (unsigned i = 0; i < TIME_BYTES; i++) *to++ = (uint8_t)((uint64_t)observed_ms >> (8 * i));
    return to;
}

static const struct application_report *report_of(const struct application_report *reports, size_t count,
                                                  const struct application *application) {
    for (size_t i = 0; i < count; i++)
        if (reports[i].of == application) return &reports[i];
    return NULL;
}

fault_code applications_note(const struct applications *applications, const struct application_report *reports,
                             size_t count, struct arena *arena, unsigned *ret_shard, slice *ret_value,
                             struct fault *reterr) {
    const struct application_view *const first = &reports[0].application;
    const unsigned index = applications_shard_of(first->namespace, first->name);
    const struct application_shard *const shard = &applications->shards[index];
    size_t bytes = 1;
    for (size_t i = 0; i < shard->count; i++) bytes += ENTRY_BYTES_MAX;
    uint8_t *const value = arena_alloc(arena, bytes);
    if (!value) return fault_set(reterr, FAULT_LIMIT, "note of %zu Applications: out of memory", shard->count);
    uint8_t *to = value;
    *to++ = NOTE_VERSION;
    for (size_t i = 0; i < shard->count; i++) {
        const struct application *const application = shard->items[i];
        const struct application_report *const report = report_of(reports, count, application);
        const struct application_state state =
            report ? application_state_now(applications, application) : application->reported;
        if (!state.said || state.deleted) continue;
        to = put_entry(to, applications, application, state, report ? report->observed_ms : application->reported_ms);
    }
    *ret_shard = index;
    *ret_value = to == value + 1 ? (slice){0} : slice_of(value, (size_t)(to - value));
    return FAULT_NONE;
}

static bool take_bytes(slice *note, size_t size, slice *ret_bytes) {
    if (note->size < size) return false;
    *ret_bytes = slice_first(*note, size);
    *note = slice_from(*note, size);
    return true;
}

static bool take_text(slice *note, size_t size_max, slice *ret_text) {
    slice size;
    return take_bytes(note, 1, &size) && size.data[0] <= size_max && take_bytes(note, size.data[0], ret_text);
}

static bool restore_entry(struct applications *applications, slice *note, struct applications_time now) {
    slice state, namespace, name, environment, cluster, time;
    if (!take_bytes(note, STATE_BYTES, &state) || !take_text(note, APPLICATION_NAMESPACE_BYTES, &namespace) ||
        !take_text(note, APPLICATION_NAME_BYTES, &name) || !take_text(note, APPLICATION_PLACE_BYTES, &environment) ||
        !take_text(note, APPLICATION_PLACE_BYTES, &cluster) || !take_bytes(note, TIME_BYTES, &time))
        return false;
    uint64_t observed = 0;
    for (unsigned i = 0; i < TIME_BYTES; i++) observed |= (uint64_t)time.data[i] << (8 * i);
    if (observed > TIME_MS_MAX || state.data[0] >= APPLICATION_HEALTHS_ || state.data[1] >= APPLICATION_SYNCS_ ||
        state.data[2] >= APPLICATION_PHASES_ || state.data[3] > 1 || name.size == 0 ||
        applications_find(applications, namespace, name))
        return false;
    struct application *const application = applications_add(applications, namespace, name);
    if (!application) return true; /* fewer are allowed now */
    application->reported = (struct application_state){
        .health = state.data[0],
        .sync = state.data[1],
        .phase = state.data[2],
        .stale = state.data[3] != 0,
        .fleet = applications_fleet(applications, environment, cluster),
        .said = true,
    };
    application->now = application->reported;
    application->now.stale = false;
    application->reported_ms = (int64_t)observed;
    application->observed_ms = application->reported_ms + 1;
    const int64_t due_ms = application->reported_ms + applications->settings.heartbeat_ms - now.wall_ms;
    const int64_t wait_ms = due_ms < 0 ? 0 : due_ms;
    application->heartbeat_ms =
        now.monotonic_ms +
        (wait_ms < applications->settings.heartbeat_ms ? wait_ms : applications->settings.heartbeat_ms);
    return true;
}

fault_code applications_restore(struct applications *applications, slice note, struct applications_time now,
                                struct fault *reterr) {
    slice version;
    if (!take_bytes(&note, 1, &version) || version.data[0] != NOTE_VERSION)
        return fault_set(reterr, FAULT_CORRUPT, "the note of Applications is of no version that is known here");
    while (note.size)
        if (!restore_entry(applications, &note, now))
            return fault_set(reterr, FAULT_CORRUPT, "the note of Applications is damaged %zu bytes before its end",
                             note.size);
    return FAULT_NONE;
}
