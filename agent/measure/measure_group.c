/* SPDX-License-Identifier: Apache-2.0
 * Groups are numbered as in the settings: discoveries, then Prometheus servers. A member has the number that the fold
 * gave it, behind those of the targets and probes, and an entry at that number as long as it is there. What is found is
 * scraped like a target of the configuration; of a Prometheus server the samples come by its own way, through the same
 * begin and done.
 *
 * A checkpoint of a member is kept under its group, name and incarnation: a process that was killed before it stored the
 * first windows of that member finds it by its group. */
#include "agent/measure/measure_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/window/slot.h"
#include "common/base/clock.h"

enum { REPEAT_MS = 60 * 1000 };

size_t measure_groups_checkpoints(struct measure *measure, uint64_t generation, struct arena *arena,
                                  slice *ret_values) {
    size_t found = 0;
    for (size_t g = 0; g < measure->groups_count; g++) {
        char text[MEASURE_KEY_BYTES];
        const int size = snprintf(text, sizeof text, "%c%.*s%c", MEASURE_KEY_MARK, SLICE_ARG(measure->groups[g].name),
                                  MEASURE_KEY_MARK);
        size_t more = 0;
        struct fault fault;
        if (state_list(measure->parts.state, slice_of(text, (size_t)size), generation, arena, ret_values + found,
                       measure->members_max - found, &more, &fault))
            LOG_WARN("agent", "checkpoint_lost", LOG_SLICE("target", measure->groups[g].name), LOG_FAULT(&fault));
        found += more;
    }
    return found;
}

void measure_groups_forget(struct measure *measure) {
    for (size_t g = 0; g < measure->groups_count; g++) fold_group_stale(measure->fold, g, INT64_MIN);
}

/* ---- made from settings ---- */

static void list_one(struct measure *measure, struct measure_group *group) {
    const struct agent_settings *const settings = measure->settings;
    if (group->discovery) {
        group->name = group->discovery->name;
        group->interval_ms =
            group->discovery->interval_ms ? group->discovery->interval_ms : settings->scrape.interval_ms;
        group->timeout_ms = group->discovery->timeout_ms ? group->discovery->timeout_ms : settings->scrape.timeout_ms;
        access_settings_use(&group->discovery->access, &group->tls, &group->auth);
    } else {
        group->name = group->server->name;
        group->interval_ms = group->server->interval_ms;
        group->timeout_ms = group->server->timeout_ms;
        access_settings_use(&group->server->access, &group->tls, &group->auth);
    }
    group->report = (struct target_report){.name = group->name, .error = group->error};
}

fault_code measure_groups_list(struct measure *measure, struct fault *reterr) {
    const struct agent_settings *const settings = measure->settings;
    const size_t discoveries = settings->discovery.count;
    measure->groups_count = discoveries + settings->prometheus_apis.count;
    measure->groups = arena_alloc_array(measure->config, measure->groups_count + 1, sizeof *measure->groups);
    if (!measure->groups) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t g = 0; g < measure->groups_count; g++) {
        struct measure_group *const group = &measure->groups[g];
        *group = (struct measure_group){0};
        if (g < discoveries)
            group->discovery = &settings->discovery.items[g];
        else
            group->server = &settings->prometheus_apis.items[g - discoveries];
        list_one(measure, group);
    }
    return FAULT_NONE;
}

static uint32_t tag_base(void *context, size_t number) {
    return fold_tag_base(((struct measure *)context)->fold, number);
}

static bool remembers(void *context, size_t group, slice name) {
    const struct measure *const measure = context;
    size_t cursor = 0;
    slice restored;
    while (fold_restored_member(measure->fold, group, &cursor, &restored))
        if (slice_equal(restored, name)) return true;
    return false;
}

static fault_code open_server(struct measure *measure, size_t number, const struct scrape_callbacks *scraped,
                              struct fault *reterr) {
    struct measure_group *const group = &measure->groups[number];
    const struct prometheus_api_settings *const server = group->server;
    const fault_code code = selector_parse(server->up, "", &group->up, reterr);
    if (code) return fault_wrap(reterr, "Prometheus '%.*s': up", SLICE_ARG(group->name));
    const struct target_sink sink = measure_sink(measure);
    const struct prometheus_api_parts parts = {.loop = measure->parts.loop,
                                               .client = measure->parts.client,
                                               .group = number,
                                               .sink = &sink,
                                               .scraped = scraped,
                                               .index = group->index,
                                               .tag_base = tag_base,
                                               .remembers = remembers,
                                               .context = measure};
    const struct prometheus_api_config config = {.name = server->name,
                                                 .url = server->url,
                                                 .interval_ms = server->interval_ms,
                                                 .timeout_ms = server->timeout_ms,
                                                 .fresh_ms = server->fresh_ms,
                                                 .settle_ms = server->settle_ms,
                                                 .body_bytes_max = (uint64_t)server->bytes_max,
                                                 .instances_max = (size_t)server->instances_max,
                                                 .up = group->up,
                                                 .tls = &group->tls,
                                                 .auth = &group->auth};
    return prometheus_api_new(&parts, &config, &group->api, reterr);
}

fault_code measure_groups_build(struct measure *measure, const struct scrape_callbacks *scraped, struct fault *reterr) {
    const size_t steady = measure->targets_count + measure->probes_count;
    measure->members_max = fold_targets_max(measure->fold) - steady;
    measure->members = calloc(measure->members_max + 1, sizeof *measure->members);
    measure->listing = calloc(steady + measure->groups_count + measure->members_max + 1, sizeof *measure->listing);
    if (!measure->members || !measure->listing) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t g = 0; g < measure->groups_count; g++) {
        struct measure_group *const group = &measure->groups[g];
        group->index = selector_index_new();
        if (!group->index) return fault_set(reterr, FAULT_LIMIT, "out of memory");
        fault_code code = fold_attach_group(measure->fold, g, group->index, reterr);
        if (!code) code = selector_index_ready(group->index, reterr);
        if (!code && group->server) code = open_server(measure, g, scraped, reterr);
        if (code) return code;
    }
    return FAULT_NONE;
}

void measure_groups_start(struct measure *measure) {
    for (size_t g = 0; g < measure->groups_count; g++)
        if (measure->groups[g].api) prometheus_api_start(measure->groups[g].api);
}

void measure_groups_stop(struct measure *measure) {
    for (size_t g = 0; measure->groups && g < measure->groups_count; g++)
        measure->groups[g].api = prometheus_api_free(measure->groups[g].api);
}

void measure_groups_free(struct measure *measure) {
    for (size_t g = 0; measure->groups && g < measure->groups_count; g++) {
        selector_index_free(measure->groups[g].index);
        selector_free(measure->groups[g].up);
    }
    free(measure->members);
    free(measure->listing);
}

/* ---- who comes and goes ---- */

static void say_refused(struct measure *measure, size_t number, const struct fault *fault) {
    struct measure_group *const group = &measure->groups[number];
    uint64_t suppressed = 0;
    group->refused++;
    if (log_limit_pass(&measure->refused_limit, clock_monotonic_ms(), REPEAT_MS, &suppressed))
        LOG_WARN("agent", "target_refused", LOG_SLICE("group", group->name), LOG_FAULT(fault),
                 LOG_TEXT("instead", "not scraped; the group's windows say that not all was seen"),
                 LOG_UINT("suppressed", suppressed));
}

static fault_code member_scrape(struct measure *measure, struct measure_member *member, size_t number,
                                const struct sink_target *target, const struct fold_member *times,
                                struct fault *reterr) {
    char name[TARGET_NAME_BYTES + 1];
    snprintf(name, sizeof name, "%.*s", SLICE_ARG(member->source.name));
    const struct scrape_target scraped = {.name = name,
                                          .url = target->url,
                                          .interval_ms = times->interval_ms,
                                          .offset_ms = times->offset_ms,
                                          .timeout_ms = times->timeout_ms,
                                          .body_bytes_max = target->body_bytes_max,
                                          .tls = target->tls,
                                          .auth = target->auth,
                                          .fallback = target->fallback,
                                          .index = measure->groups[member->group].index,
                                          .tag_base = fold_tag_base(measure->fold, number),
                                          .number = number};
    return scrape_add(measure->scrape, &scraped, reterr);
}

static fault_code on_join(void *context, size_t group, const struct sink_target *target, size_t *ret_number,
                          struct fault *reterr) {
    struct measure *const measure = context;
    const struct measure_group *const owner = &measure->groups[group];
    struct fold_member one = {.name = target->name,
                              .incarnation = target->incarnation,
                              .interval_ms = target->interval_ms,
                              .timeout_ms = target->timeout_ms};
    if (one.timeout_ms > owner->timeout_ms) one.timeout_ms = owner->timeout_ms;
    if (one.timeout_ms > one.interval_ms) one.timeout_ms = one.interval_ms;
    /* What a server shows has one slot for all, that of the server. */
    one.offset_ms = slot_offset_ms(target->url ? target->name : owner->name, one.interval_ms);
    size_t number = 0;
    fault_code code = fold_join(measure->fold, group, &one, clock_wall_ms(), &number, reterr);
    if (code) {
        say_refused(measure, group, reterr);
        return code;
    }
    struct measure_member *const member = measure_member_at(measure, number);
    if (!member->there) {
        *member = (struct measure_member){.group = group, .incarnation = target->incarnation, .there = true};
        memcpy(member->name, target->name.data, target->name.size);
        member->source.name = slice_of(member->name, target->name.size);
        member->source.report = (struct target_report){.name = member->source.name, .error = member->source.error};
        if (target->url) code = member_scrape(measure, member, number, target, &one, reterr);
    }
    if (code) {
        member->there = false;
        fold_leave(measure->fold, number, clock_wall_ms());
        return code;
    }
    *ret_number = number;
    return FAULT_NONE;
}

static void on_ending(void *context, size_t number) {
    struct measure *const measure = context;
    fold_expect_no_more(measure->fold, number, clock_wall_ms());
}

static void on_leave(void *context, size_t number) {
    struct measure *const measure = context;
    struct measure_member *const member = measure_member_at(measure, number);
    if (!member->there) return;
    fold_leave(measure->fold, number, clock_wall_ms());
    measure_checkpoint(measure, number);
    member->there = false;
    scrape_remove(measure->scrape, number);
}

static void on_fresh(void *context, size_t group) {
    struct measure *const measure = context;
    struct measure_group *const one = &measure->groups[group];
    fold_group_fresh(measure->fold, group, clock_wall_ms());
    one->refused = 0;
    one->report.up = true;
    one->report.last_ms = clock_wall_ms();
    one->error[0] = '\0';
    LOG_INFO("agent", "group_known", LOG_SLICE("group", one->name));
}

static void say_unknown(const struct measure_group *group) {
    LOG_WARN("agent", "group_unknown", LOG_SLICE("group", group->name), LOG_TEXT("fault", group->error),
             LOG_TEXT("instead", "its windows say that not all was seen"));
}

static void on_stale(void *context, size_t group) {
    struct measure *const measure = context;
    struct measure_group *const one = &measure->groups[group];
    fold_group_stale(measure->fold, group, clock_wall_ms());
    one->report.up = false;
    one->report.last_ms = clock_wall_ms();
    (void)measure_group_report(one);
    if (one->api) say_unknown(one);
}

const struct target_report *measure_group_report(struct measure_group *group) {
    struct prometheus_api_stats stats;
    if (!group->api) return &group->report;
    prometheus_api_stats(group->api, &stats);
    if (stats.rounds == 0) return &group->report;
    group->report.up = stats.fault.code == FAULT_NONE;
    group->report.last_ms = stats.last_ms;
    group->report.duration_ms = stats.duration_ms;
    group->report.samples = stats.instances;
    snprintf(group->error, sizeof group->error, "%s", stats.fault.code ? stats.fault.text : "");
    return &group->report;
}

struct target_sink measure_sink(struct measure *measure) {
    return (struct target_sink){on_join, on_ending, on_leave, on_fresh, on_stale, measure};
}

void measure_discovery_state(struct measure *measure, size_t group, bool up, const char *why) {
    struct measure_group *const one = &measure->groups[group];
    one->report.up = up;
    one->report.last_ms = clock_wall_ms();
    const bool news = strcmp(one->error, why) != 0;
    snprintf(one->error, sizeof one->error, "%s", why);
    if (!up && news) say_unknown(one);
}
