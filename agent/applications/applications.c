/* SPDX-License-Identifier: Apache-2.0
 * An application has two states: as it is, and as it was last reported. Where the two differ a report is due; taking it
 * makes them equal. That alone makes restarts exact: what was reported is stored with the report, in one transaction, and
 * compared with what is found later, whatever happened in between.
 *
 * The lost source is no state of an application: it is laid over what is known (application_state_now), so that coming
 * back costs nothing but the reports of what is different from "unknown".
 *
 * Applications are in shards by their names, for one reason only: the note that is stored with a report holds one shard,
 * and is small. */
#include "agent/applications/applications_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/checksum.h"

static const char *const health_names[] = {"Unknown", "Healthy", "Progressing", "Degraded", "Suspended", "Missing"};
static const char *const sync_names[] = {"Unknown", "Synced", "OutOfSync"};
static const char *const phase_names[] = {"", "Running", "Terminating", "Succeeded", "Failed", "Error"};
static_assert(sizeof health_names / sizeof *health_names == APPLICATION_HEALTHS_, "a name for each");
static_assert(sizeof sync_names / sizeof *sync_names == APPLICATION_SYNCS_, "a name for each");
static_assert(sizeof phase_names / sizeof *phase_names == APPLICATION_PHASES_, "a name for each");
static_assert(APPLICATIONS_FLEETS_MAX == 256, "an index of a fleet is a byte");

/* The first name, what is unknown, stands for all that is none of the others. */
static unsigned index_of(slice text, const char *const *names, unsigned count) {
    for (unsigned i = 1; i < count; i++)
        if (slice_equal_text(text, names[i])) return i;
    return 0;
}

enum application_health application_health_of(slice text) {
    return (enum application_health)index_of(text, health_names, APPLICATION_HEALTHS_);
}

enum application_sync application_sync_of(slice text) {
    return (enum application_sync)index_of(text, sync_names, APPLICATION_SYNCS_);
}

enum application_phase application_phase_of(slice text) {
    return (enum application_phase)index_of(text, phase_names, APPLICATION_PHASES_);
}

const char *application_health_name(enum application_health health) {
    return health_names[health];
}

const char *application_sync_name(enum application_sync sync) {
    return sync_names[sync];
}

const char *application_phase_name(enum application_phase phase) {
    return phase_names[phase];
}

slice application_namespace(const struct application *application) {
    return slice_of(application->names, application->namespace_size);
}

slice application_name(const struct application *application) {
    return slice_of(application->names + application->namespace_size, application->name_size);
}

unsigned applications_shard_of(slice namespace, slice name) {
    return (checksum_crc32c(0, namespace) ^ checksum_crc32c(1, name)) % APPLICATIONS_SHARDS;
}

struct application *applications_find(const struct applications *applications, slice namespace, slice name) {
    const struct application_shard *const shard = &applications->shards[applications_shard_of(namespace, name)];
    for (size_t i = 0; i < shard->count; i++)
        if (slice_equal(application_name(shard->items[i]), name) &&
            slice_equal(application_namespace(shard->items[i]), namespace))
            return shard->items[i];
    return NULL;
}

static size_t bytes_of(const struct application *application) {
    return sizeof *application + application->namespace_size + application->name_size;
}

struct application *applications_add(struct applications *applications, slice namespace, slice name) {
    if (applications->count >= applications->settings.applications_max) return NULL;
    struct application_shard *const shard = &applications->shards[applications_shard_of(namespace, name)];
    if (shard->count == shard->room) {
        const size_t room = shard->room ? 2 * shard->room : 8;
        struct application **const items = realloc(shard->items, room * sizeof *items);
        if (!items) return NULL;
        applications->memory_bytes += (room - shard->room) * sizeof *items;
        shard->items = items;
        shard->room = room;
    }
    struct application *const application = calloc(1, sizeof *application + namespace.size + name.size);
    if (!application) return NULL;
    application->namespace_size = (uint8_t) namespace.size;
    application->name_size = (uint8_t)name.size;
    if (namespace.size) memcpy(application->names, namespace.data, namespace.size);
    memcpy(application->names + namespace.size, name.data, name.size);
    shard->items[shard->count++] = application;
    applications->count++;
    applications->memory_bytes += bytes_of(application);
    return application;
}

static void set_message(struct applications *applications, struct application *application, slice message) {
    if (message.size > APPLICATION_MESSAGE_BYTES) {
        size_t size = APPLICATION_MESSAGE_BYTES;
        while (size && (message.data[size] & 0xC0) == 0x80) size--; /* not in the middle of a character */
        message.size = size;
    }
    const char *const old = application->message;
    if (old && slice_equal_text(message, old)) return;
    applications->memory_bytes -= old ? strlen(old) + 1 : 0;
    free(application->message);
    application->message = message.size ? strndup((const char *)message.data, message.size) : NULL;
    applications->memory_bytes += application->message ? strlen(application->message) + 1 : 0;
}

static void drop(struct applications *applications, struct application *application) {
    struct application_shard *const shard =
        &applications->shards[applications_shard_of(application_namespace(application), application_name(application))];
    for (size_t i = 0; i < shard->count; i++)
        if (shard->items[i] == application) {
            shard->items[i] = shard->items[--shard->count];
            break;
        }
    set_message(applications, application, (slice){0});
    applications->memory_bytes -= bytes_of(application);
    applications->count--;
    free(application);
}

uint8_t applications_fleet(struct applications *applications, slice environment, slice cluster) {
    environment = slice_first(environment, APPLICATION_PLACE_BYTES);
    cluster = slice_first(cluster, APPLICATION_PLACE_BYTES);
    for (size_t i = 0; i < applications->fleets_count; i++)
        if (slice_equal(applications->fleets[i].environment, environment) &&
            slice_equal(applications->fleets[i].cluster, cluster))
            return (uint8_t)i;
    const size_t size = environment.size + cluster.size;
    uint8_t *const text = applications->fleets_count < APPLICATIONS_FLEETS_MAX ? malloc(size + 1) : NULL;
    if (!text) return 0;
    if (environment.size) memcpy(text, environment.data, environment.size);
    if (cluster.size) memcpy(text + environment.size, cluster.data, cluster.size);
    struct fleet *const fleet = &applications->fleets[applications->fleets_count];
    fleet->environment = slice_of(text, environment.size);
    fleet->cluster = slice_of(text + environment.size, cluster.size);
    applications->memory_bytes += size + 1;
    return (uint8_t)applications->fleets_count++;
}

fault_code applications_new(const struct applications_settings *settings, struct applications_time now,
                            struct applications **ret_applications, struct fault *reterr) {
    struct applications *applications = calloc(1, sizeof *applications);
    if (!applications) return fault_set(reterr, FAULT_LIMIT, "applications: out of memory");
    applications->settings = *settings;
    applications->memory_bytes = sizeof *applications;
    applications->lost_ms = now.monotonic_ms;
    snprintf(applications->why, sizeof applications->why, "not asked yet");
    applications_fleet(applications, settings->environment, settings->cluster);
    if (applications->fleets_count != 1) {
        applications_free(applications);
        return fault_set(reterr, FAULT_LIMIT, "applications: out of memory");
    }
    applications->settings.environment = applications->fleets[0].environment;
    applications->settings.cluster = applications->fleets[0].cluster;
    *ret_applications = applications;
    return FAULT_NONE;
}

struct applications *applications_free(struct applications *applications) {
    if (!applications) return NULL;
    for (unsigned i = 0; i < APPLICATIONS_SHARDS; i++) {
        while (applications->shards[i].count) drop(applications, applications->shards[i].items[0]);
        free(applications->shards[i].items);
    }
    for (size_t i = 0; i < applications->fleets_count; i++)
        free((void *)(uintptr_t)applications->fleets[i].environment.data);
    free(applications);
    return NULL;
}

/* ---- what is seen */

struct application_state application_state_now(const struct applications *applications,
                                               const struct application *application) {
    struct application_state state = application->now;
    state.said = true;
    if (state.deleted || applications->stale) {
        state.health = APPLICATION_UNKNOWN;
        state.sync = APPLICATION_SYNC_UNKNOWN;
        state.phase = APPLICATION_NO_OPERATION;
        state.stale = !state.deleted;
    }
    return state;
}

static bool state_equal(struct application_state a, struct application_state b) {
    return a.said == b.said && a.health == b.health && a.sync == b.sync && a.phase == b.phase && a.fleet == b.fleet &&
           a.deleted == b.deleted && a.stale == b.stale;
}

static bool is_due(const struct applications *applications, const struct application *application) {
    return !state_equal(application_state_now(applications, application), application->reported);
}

/* What is known from the process before is no news until a list has confirmed it, or until it is stale. */
static bool report_due(const struct applications *applications, const struct application *application) {
    return is_due(applications, application) && (application->seen || applications->synced || applications->stale);
}

/* The moment that a report carries: later than that of the report before it, or the centre would take it for an older one. */
static void observed(struct application *application, int64_t wall_ms) {
    application->observed_ms = wall_ms > application->reported_ms ? wall_ms : application->reported_ms + 1;
}

static void fleet_changed(struct applications *applications, uint8_t index, int64_t monotonic_ms) {
    struct fleet *const fleet = &applications->fleets[index];
    if (fleet->dirty) return;
    fleet->dirty = true;
    fleet->dirty_ms = monotonic_ms;
}

static void all_fleets_changed(struct applications *applications, int64_t monotonic_ms) {
    for (size_t i = 0; i < applications->fleets_count; i++) fleet_changed(applications, (uint8_t)i, monotonic_ms);
}

static void change(struct applications *applications, struct application *application, struct application_state to,
                   struct applications_time now) {
    const struct application_state from = application->now;
    if (state_equal(from, to)) return;
    application->now = to;
    observed(application, now.wall_ms);
    fleet_changed(applications, from.fleet, now.monotonic_ms);
    fleet_changed(applications, to.fleet, now.monotonic_ms);
}

/* Of what was never said, nothing need be said at its end either. */
static void gone(struct applications *applications, struct application *application, struct applications_time now) {
    if (!application->reported.said) {
        fleet_changed(applications, application->now.fleet, now.monotonic_ms);
        drop(applications, application);
        return;
    }
    struct application_state to = application->now;
    to.deleted = true;
    change(applications, application, to, now);
}

static bool in_scope(const struct application *application, slice namespace) {
    return namespace.size == 0 || slice_equal(application_namespace(application), namespace);
}

void applications_list_begins(struct applications *applications, slice namespace) {
    applications->over_seen = 0;
    for (unsigned s = 0; s < APPLICATIONS_SHARDS; s++)
        for (size_t i = 0; i < applications->shards[s].count; i++) {
            struct application *const application = applications->shards[s].items[i];
            if (in_scope(application, namespace)) application->seen = application->touched = false;
        }
}

void applications_list_ends(struct applications *applications, slice namespace, struct applications_time now) {
    for (unsigned s = 0; s < APPLICATIONS_SHARDS; s++)
        for (size_t i = applications->shards[s].count; i-- > 0;) {
            struct application *const application = applications->shards[s].items[i];
            if (in_scope(application, namespace) && !application->seen) gone(applications, application, now);
        }
    if (namespace.size == 0 || applications->over_seen > applications->over)
        applications->over = applications->over_seen;
    if (!applications->synced || applications->over) all_fleets_changed(applications, now.monotonic_ms);
    applications->synced = true;
}

fault_code applications_see(struct applications *applications, const struct application_view *view, bool listed,
                            struct applications_time now, struct fault *reterr) {
    if (view->name.size == 0 || view->name.size > APPLICATION_NAME_BYTES ||
        view->namespace.size > APPLICATION_NAMESPACE_BYTES)
        return fault_set(reterr, FAULT_INPUT, "an Application's names have %zu and %zu bytes: passed over",
                         view->namespace.size, view->name.size);
    struct application *application = applications_find(applications, view->namespace, view->name);
    if (!application) application = applications_add(applications, view->namespace, view->name);
    if (!application) {
        if (listed) applications->over_seen++;
        if (!listed && !applications->over) {
            applications->over = 1;
            fleet_changed(applications, 0, now.monotonic_ms);
        }
        return fault_set(reterr, FAULT_LIMIT,
                         "more than %zu Applications: those beyond are counted as unknown (raise applications_max)",
                         applications->settings.applications_max);
    }
    application->seen = true;
    if (listed && application->touched) return FAULT_NONE;
    if (!listed) application->touched = true;
    const struct application_state to = {
        .health = (uint8_t)view->health,
        .sync = (uint8_t)view->sync,
        .phase = (uint8_t)view->phase,
        .fleet = applications_fleet(applications, view->environment, view->cluster),
        .said = true,
    };
    const bool well = view->health == APPLICATION_HEALTHY && view->phase < APPLICATION_FAILED;
    set_message(applications, application, well ? (slice){0} : view->message);
    change(applications, application, to, now);
    return FAULT_NONE;
}

void applications_delete(struct applications *applications, slice namespace, slice name, struct applications_time now) {
    struct application *const application = applications_find(applications, namespace, name);
    if (!application) return;
    application->touched = true;
    gone(applications, application, now);
}

void applications_current(struct applications *applications, struct applications_time now) {
    applications->current = true;
    if (!applications->stale) return;
    applications->stale = false;
    for (unsigned s = 0; s < APPLICATIONS_SHARDS; s++)
        for (size_t i = 0; i < applications->shards[s].count; i++)
            observed(applications->shards[s].items[i], now.wall_ms);
    all_fleets_changed(applications, now.monotonic_ms);
}

void applications_lost(struct applications *applications, const char *why, int64_t since_ms) {
    if (applications->current) applications->lost_ms = since_ms;
    applications->current = false;
    snprintf(applications->why, sizeof applications->why, "%s", why);
}

bool applications_waits(const struct applications *applications, slice namespace, slice name) {
    const struct application *const application = applications_find(applications, namespace, name);
    return application && report_due(applications, application);
}

bool applications_stale(const struct applications *applications, const char **ret_why) {
    *ret_why = applications->why;
    return applications->stale;
}

/* ---- what is due */

static void grow_stale(struct applications *applications, struct applications_time now) {
    if (applications->current || applications->stale ||
        now.monotonic_ms - applications->lost_ms < applications->settings.stale_ms)
        return;
    applications->stale = true;
    applications->stale_wall_ms = now.wall_ms;
    for (unsigned s = 0; s < APPLICATIONS_SHARDS; s++)
        for (size_t i = 0; i < applications->shards[s].count; i++)
            observed(applications->shards[s].items[i], now.wall_ms);
    all_fleets_changed(applications, now.monotonic_ms);
}

static void fill_application(const struct applications *applications, const struct application *application,
                             struct applications_time now, struct application_report *report) {
    const struct application_state state = application_state_now(applications, application);
    const struct fleet *const fleet = &applications->fleets[state.fleet];
    *report = (struct application_report){
        .kind = APPLICATION_REPORT,
        .changed = is_due(applications, application),
        .stale = state.stale,
        .deleted = state.deleted,
        .application = {.namespace = application_namespace(application),
                        .name = application_name(application),
                        .environment = fleet->environment,
                        .cluster = fleet->cluster,
                        .health = (enum application_health)state.health,
                        .sync = (enum application_sync)state.sync,
                        .phase = (enum application_phase)state.phase,
                        .message = slice_from_text(application->message)},
        .of = (void *)(uintptr_t)application,
    };
    report->observed_ms = report->changed                          ? application->observed_ms
                          : now.wall_ms > application->reported_ms ? now.wall_ms
                                                                   : application->reported_ms + 1;
}

static bool heartbeat_due(const struct applications *applications, const struct application *application,
                          struct applications_time now) {
    return application->reported.said && (applications->synced || applications->stale) &&
           now.monotonic_ms >= application->heartbeat_ms;
}

static size_t shard_due(const struct applications *applications, unsigned index, struct applications_time now,
                        struct application_report *ret_reports, size_t most) {
    const struct application_shard *const shard = &applications->shards[index];
    size_t count = 0;
    for (size_t i = 0; i < shard->count && count < most; i++)
        if (report_due(applications, shard->items[i]) || heartbeat_due(applications, shard->items[i], now))
            fill_application(applications, shard->items[i], now, &ret_reports[count++]);
    return count;
}

static void count_fleet(const struct applications *applications, size_t index, struct applications_counts *ret_counts) {
    *ret_counts = (struct applications_counts){0};
    for (unsigned s = 0; s < APPLICATIONS_SHARDS; s++)
        for (size_t i = 0; i < applications->shards[s].count; i++) {
            const struct application_state state =
                application_state_now(applications, applications->shards[s].items[i]);
            if (state.deleted || state.fleet != index) continue;
            ret_counts->total++;
            ret_counts->by_health[state.health]++;
            ret_counts->out_of_sync += state.sync == APPLICATION_OUT_OF_SYNC;
        }
    if (index == 0) {
        ret_counts->total += (uint32_t)applications->over;
        ret_counts->by_health[APPLICATION_UNKNOWN] += (uint32_t)applications->over;
    }
}

static size_t fleets_due(struct applications *applications, struct applications_time now,
                         struct application_report *ret_reports, size_t most) {
    if (!applications->synced && !applications->stale) return 0; /* half a list is no count */
    size_t count = 0;
    for (size_t i = 0; i < applications->fleets_count && count < most; i++) {
        struct fleet *const fleet = &applications->fleets[i];
        const bool changed = fleet->dirty && now.monotonic_ms - fleet->dirty_ms >= applications->settings.debounce_ms;
        const bool heartbeat = fleet->said && now.monotonic_ms >= fleet->heartbeat_ms;
        if (!changed && !heartbeat) continue;
        struct application_report report = {
            .kind = FLEET_REPORT,
            .stale = applications->stale,
            .of = fleet,
            .observed_ms = now.wall_ms,
            .application = {.environment = fleet->environment, .cluster = fleet->cluster}};
        count_fleet(applications, i, &report.counts);
        report.changed = !fleet->said || memcmp(&report.counts, &fleet->reported, sizeof report.counts);
        if ((!report.changed && !heartbeat) || (!fleet->said && report.counts.total == 0)) {
            fleet->dirty = false; /* it is again what it was; or there never was anything in it */
            continue;
        }
        ret_reports[count++] = report;
    }
    return count;
}

size_t applications_due(struct applications *applications, struct applications_time now,
                        struct application_report *ret_reports, size_t most) {
    grow_stale(applications, now);
    for (unsigned i = 0; i < APPLICATIONS_SHARDS; i++) {
        const size_t count = shard_due(applications, i, now, ret_reports, most);
        if (count) return count;
    }
    return fleets_due(applications, now, ret_reports, most);
}

static void application_taken(struct applications *applications, const struct application_report *report,
                              struct applications_time now) {
    struct application *const application = report->of;
    applications->stats.changes += report->changed;
    applications->stats.heartbeats += !report->changed;
    if (report->deleted) {
        applications->stats.deletions++;
        drop(applications, application);
        return;
    }
    /* Heartbeats of a fleet that was found at one moment are spread over the time between two of them. */
    const int64_t spread =
        application->reported.said ? 0 : (int64_t)(checksum_crc32c(2, application_name(application)) % 1024);
    const int64_t heartbeat_ms = applications->settings.heartbeat_ms;
    application->reported = application_state_now(applications, application);
    application->reported_ms = report->observed_ms;
    application->heartbeat_ms = now.monotonic_ms + heartbeat_ms - heartbeat_ms * spread / 2048;
}

void applications_taken(struct applications *applications, const struct application_report *reports, size_t count,
                        struct applications_time now) {
    for (size_t i = 0; i < count; i++) {
        if (reports[i].kind == APPLICATION_REPORT) {
            application_taken(applications, &reports[i], now);
            continue;
        }
        struct fleet *const fleet = reports[i].of;
        fleet->reported = reports[i].counts;
        fleet->said = true;
        fleet->dirty = false;
        fleet->heartbeat_ms = now.monotonic_ms + applications->settings.heartbeat_ms;
        applications->stats.fleet_reports++;
    }
}

static void sooner(int64_t *due_ms, int64_t other_ms) {
    if (other_ms < *due_ms) *due_ms = other_ms;
}

int64_t applications_due_ms(const struct applications *applications) {
    int64_t due_ms = INT64_MAX;
    if (!applications->current && !applications->stale)
        sooner(&due_ms, applications->lost_ms + applications->settings.stale_ms);
    for (unsigned s = 0; s < APPLICATIONS_SHARDS; s++)
        for (size_t i = 0; i < applications->shards[s].count; i++) {
            const struct application *const application = applications->shards[s].items[i];
            if (report_due(applications, application)) return 0;
            if (application->reported.said && (applications->synced || applications->stale))
                sooner(&due_ms, application->heartbeat_ms);
        }
    if (!applications->synced && !applications->stale) return due_ms;
    for (size_t i = 0; i < applications->fleets_count; i++) {
        const struct fleet *const fleet = &applications->fleets[i];
        if (fleet->dirty) sooner(&due_ms, fleet->dirty_ms + applications->settings.debounce_ms);
        if (fleet->said) sooner(&due_ms, fleet->heartbeat_ms);
    }
    return due_ms;
}

void applications_stats(const struct applications *applications, struct applications_stats *ret_stats) {
    *ret_stats = applications->stats;
    ret_stats->applications = applications->count;
    ret_stats->fleets = applications->fleets_count;
    ret_stats->memory_bytes = applications->memory_bytes;
    ret_stats->over = applications->over;
    ret_stats->synced = applications->synced;
    ret_stats->stale = applications->stale;
}
