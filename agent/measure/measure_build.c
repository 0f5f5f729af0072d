/* SPDX-License-Identifier: Apache-2.0
 * Everything is numbered once: targets first, probes behind them, those of the file before those of the centre; the
 * fold, the reports and the checkpoints use these numbers. Each target has an index of the selectors that want its
 * samples, filled by the fold and by health. The file goes before the centre: an SLO that both define is measured as
 * the file says, and an SLI of the centre that names none of our targets is left to other agents. */
#include "agent/measure/measure_parts.h"

#include <assert.h>
#include <stdio.h>

#include "agent/window/slot.h"
#include "common/base/clock.h"
#include "common/base/text.h"

static int64_t target_interval_ms(const struct measure *measure, const struct target_settings *target) {
    return target->interval_ms ? target->interval_ms : measure->settings->scrape.interval_ms;
}

static int64_t target_timeout_ms(const struct measure *measure, const struct target_settings *target) {
    const int64_t interval_ms = target_interval_ms(measure, target);
    const int64_t timeout_ms = target->timeout_ms ? target->timeout_ms : measure->settings->scrape.timeout_ms;
    return timeout_ms < interval_ms ? timeout_ms : interval_ms;
}

static bool applies_here(const struct measure *measure, const struct sli_definition *definition) {
    if (definition->kind == SLI_PROBE) return true;
    if (definition->targets_count == 0) return measure->targets_count + measure->settings->discovery.count > 0;
    for (size_t i = 0; i < definition->targets_count; i++) {
        for (size_t t = 0; t < measure->targets_count; t++)
            if (slice_equal(definition->targets[i], measure->sources[t].name)) return true;
        for (size_t g = 0; g < measure->groups_count; g++)
            if (slice_equal(definition->targets[i], measure->groups[g].name)) return true;
    }
    return false;
}

static fault_code add_sli(struct measure *measure, const struct sli_definition *definition, struct fault *reterr) {
    const fault_code code = sli_new(definition, &measure->slis[measure->slis_count], reterr);
    if (!code) measure->slis_count++;
    return code;
}

static fault_code build_slis(struct measure *measure, const struct remote_definitions *remote, char *ret_notes,
                             size_t notes_bytes, struct fault *reterr) {
    const struct agent_settings *const settings = measure->settings;
    measure->slis =
        arena_alloc_array(measure->config, settings->slis.count + remote->slis_count + 1, sizeof *measure->slis);
    if (!measure->slis) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < settings->slis.count; i++) {
        struct sli_definition definition;
        agent_settings_sli(&settings->slis.items[i], &definition);
        if (add_sli(measure, &definition, reterr)) return reterr ? reterr->code : FAULT_INPUT;
    }
    size_t used = 0;
    const size_t own_count = measure->slis_count;
    for (size_t i = 0; i < remote->slis_count; i++) {
        const struct sli_definition *const definition = &remote->slis[i];
        bool own = false;
        for (size_t s = 0; s < own_count; s++)
            own |= slice_equal(sli_definition(measure->slis[s])->slo_id, definition->slo_id);
        if (own && used + 1 < notes_bytes) {
            const int more =
                snprintf(ret_notes + used, notes_bytes - used, "%sSLO '%.*s' is measured as this agent's file says",
                         used ? "; " : "", SLICE_ARG(definition->slo_id));
            used = used + (size_t)more < notes_bytes ? used + (size_t)more : notes_bytes - 1;
        }
        if (own || !applies_here(measure, definition)) continue;
        if (add_sli(measure, definition, reterr)) return reterr ? reterr->code : FAULT_INPUT;
    }
    return FAULT_NONE;
}

static fault_code build_sources(struct measure *measure, const struct remote_definitions *remote,
                                struct fault *reterr) {
    const struct agent_settings *const settings = measure->settings;
    measure->targets_count = settings->targets.count;
    measure->probes_count = settings->probes.count + remote->probes_count;
    const size_t count = measure->targets_count + measure->probes_count;
    measure->sources = arena_alloc_array(measure->config, count + 1, sizeof *measure->sources);
    if (!measure->sources) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct measure_source *const source = &measure->sources[i];
        if (i < measure->targets_count) {
            const struct target_settings *const target = &settings->targets.items[i];
            source->name = target->name;
            source->url = target->url;
            access_settings_use(&target->access, &source->tls, &source->auth);
            source->index = selector_index_new();
            if (!source->index) return fault_set(reterr, FAULT_LIMIT, "out of memory");
        } else if (i < measure->targets_count + settings->probes.count) {
            const struct probe_settings *const probe = &settings->probes.items[i - measure->targets_count];
            source->name = probe->name;
            source->url = probe->url.size ? probe->url : probe->tcp;
            access_settings_use(&probe->access, &source->tls, &source->auth);
        } else {
            const struct remote_probe *const probe =
                &remote->probes[i - measure->targets_count - settings->probes.count];
            source->name = probe->name;
            source->url = probe->endpoint;
        }
        source->report = (struct target_report){.name = source->name, .error = source->error};
    }
    return FAULT_NONE;
}

/* When a probe is due, by its number among the probes. Those of the centre run at the file's scrape interval. */
static void probe_times(const struct measure *measure, size_t index, int64_t *ret_interval_ms,
                        int64_t *ret_timeout_ms) {
    const struct agent_settings *const settings = measure->settings;
    const bool own = index < settings->probes.count;
    *ret_interval_ms = own ? settings->probes.items[index].interval_ms : settings->scrape.interval_ms;
    *ret_timeout_ms = own ? settings->probes.items[index].timeout_ms : settings->scrape.timeout_ms;
}

static fault_code build_fold(struct measure *measure, struct fault *reterr) {
    const size_t count = measure->targets_count + measure->probes_count;
    struct fold_target *const targets = arena_alloc_array(measure->config, count + 1, sizeof *targets);
    struct fold_group *const groups = arena_alloc_array(measure->config, measure->groups_count + 1, sizeof *groups);
    if (!targets || !groups) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t g = 0; g < measure->groups_count; g++) {
        const struct measure_group *const group = &measure->groups[g];
        groups[g] = (struct fold_group){
            .name = group->name,
            .targets_max = (size_t)(group->discovery ? group->discovery->targets_max : group->server->instances_max),
            .interval_ms = group->interval_ms,
            .timeout_ms = group->timeout_ms};
    }
    for (size_t i = 0; i < count; i++) {
        targets[i] = (struct fold_target){.name = measure->sources[i].name, .probe = i >= measure->targets_count};
        if (targets[i].probe) {
            probe_times(measure, i - measure->targets_count, &targets[i].interval_ms, &targets[i].timeout_ms);
        } else {
            targets[i].interval_ms = target_interval_ms(measure, &measure->settings->targets.items[i]);
            targets[i].timeout_ms = target_timeout_ms(measure, &measure->settings->targets.items[i]);
        }
        targets[i].offset_ms = slot_offset_ms(targets[i].name, targets[i].interval_ms);
    }
    const struct fold_settings settings = {
        .series_max = (size_t)measure->settings->fold.series_max,
        .series_forget_ms = measure->settings->fold.series_forget_ms,
        .gap_windows_max = (unsigned)measure->settings->fold.gap_windows_max,
        .groups = groups,
        .groups_count = measure->groups_count,
    };
    const fault_code code = fold_new(&settings, targets, count, (const struct sli *const *)measure->slis,
                                     measure->slis_count, clock_wall_ms(), &measure->fold, reterr);
    if (code) return code;
    for (size_t i = 0; i < measure->targets_count; i++)
        if (fold_attach(measure->fold, i, measure->sources[i].index, reterr))
            return reterr ? reterr->code : FAULT_LIMIT;
    return FAULT_NONE;
}

static fault_code build_health(struct measure *measure, struct fault *reterr) {
    const struct agent_settings *const settings = measure->settings;
    measure->checks_count = settings->health.count;
    const size_t sources_count = measure->targets_count + measure->probes_count;
    struct health_check *const checks = arena_alloc_array(measure->config, measure->checks_count + 1, sizeof *checks);
    slice *const names = arena_alloc_array(measure->config, sources_count + 1, sizeof *names);
    measure->resources = arena_alloc_array(measure->config, measure->checks_count + 1, sizeof *measure->resources);
    if (!checks || !names || !measure->resources) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < sources_count; i++) names[i] = measure->sources[i].name;
    for (size_t i = 0; i < measure->checks_count; i++) {
        const struct health_settings *const check = &settings->health.items[i];
        agent_settings_health(check, &checks[i]);
        slice id = check->resource_id;
        for (size_t s = 0; s < sources_count && !id.size; s++)
            if (slice_equal(checks[i].target, names[s])) id = measure->sources[s].url;
        measure->resources[i] = (struct envelope_resource){check->resource_type, slice_first(id, 512), checks[i].probe,
                                                           check->heartbeat_ms};
    }
    const fault_code code =
        health_new(checks, measure->checks_count, names, measure->targets_count, names + measure->targets_count,
                   measure->probes_count, clock_wall_ms(), &measure->health, reterr);
    if (code) return code;
    for (size_t i = 0; i < measure->targets_count; i++) {
        if (health_attach(measure->health, i, measure->sources[i].index, reterr))
            return reterr ? reterr->code : FAULT_LIMIT;
        if (selector_index_ready(measure->sources[i].index, reterr)) return reterr ? reterr->code : FAULT_LIMIT;
    }
    return FAULT_NONE;
}

static fault_code build_scrapes(struct measure *measure, const struct scrape_callbacks *scraped, struct fault *reterr) {
    fault_code code = scrape_new(measure->parts.loop, measure->parts.client, scraped, &measure->scrape, reterr);
    for (size_t i = 0; i < measure->targets_count && !code; i++) {
        const struct target_settings *const target = &measure->settings->targets.items[i];
        const int64_t interval_ms = target_interval_ms(measure, target);
        code = scrape_add(measure->scrape,
                          &(struct scrape_target){
                              .name = setting_text(target->name),
                              .url = setting_text(target->url),
                              .interval_ms = interval_ms,
                              .offset_ms = slot_offset_ms(target->name, interval_ms),
                              .timeout_ms = target_timeout_ms(measure, target),
                              .body_bytes_max = (uint64_t)(target->bytes_max ? target->bytes_max
                                                                             : measure->settings->scrape.bytes_max),
                              .tls = &measure->sources[i].tls,
                              .auth = &measure->sources[i].auth,
                              .fallback = (enum exposition_format)target->fallback_format,
                              .index = measure->sources[i].index,
                              .number = i},
                          reterr);
    }
    return code;
}

/* A slice as a C string in the configuration's arena; NULL when there is no room. */
static const char *config_text(struct measure *measure, slice text) {
    return (const char *)arena_copy(measure->config, text).data;
}

static fault_code build_probes(struct measure *measure, const struct remote_definitions *remote,
                               const struct probe_callbacks *probed, struct fault *reterr) {
    const struct agent_settings *const settings = measure->settings;
    fault_code code = probe_new(measure->parts.loop, measure->parts.client, probed, &measure->probe, reterr);
    for (size_t i = 0; i < measure->probes_count && !code; i++) {
        struct measure_source *const source = &measure->sources[measure->targets_count + i];
        const bool own = i < settings->probes.count;
        const struct remote_probe *const asked = own ? NULL : &remote->probes[i - settings->probes.count];
        const bool tcp = own ? settings->probes.items[i].tcp.size > 0 : asked->tcp;
        struct probe_target target = {.name = config_text(measure, source->name),
                                      .kind = tcp ? PROBE_TCP : PROBE_HTTP,
                                      .status_min = own ? (int)settings->probes.items[i].status_min : asked->status_min,
                                      .status_max = own ? (int)settings->probes.items[i].status_max : asked->status_max,
                                      .tls = &source->tls,
                                      .auth = &source->auth};
        probe_times(measure, i, &target.interval_ms, &target.timeout_ms);
        target.offset_ms = slot_offset_ms(source->name, target.interval_ms);
        slice host = {0};
        if (tcp && !text_host_port(source->url, &host, &target.port))
            return fault_set(reterr, FAULT_INPUT, "probe '%.*s': '%.*s' is not host:port", SLICE_ARG(source->name),
                             SLICE_ARG(source->url));
        if (tcp) target.host = config_text(measure, host);
        if (!tcp) target.url = config_text(measure, source->url);
        if (!target.name || (tcp ? !target.host : !target.url)) return fault_set(reterr, FAULT_LIMIT, "out of memory");
        size_t number = 0;
        code = probe_add(measure->probe, &target, &number, reterr);
        assert(code || number == i);
    }
    return code;
}

fault_code measure_build(struct measure *measure, const struct remote_definitions *remote,
                         const struct scrape_callbacks *scraped, const struct probe_callbacks *probed, char *ret_notes,
                         size_t notes_bytes, struct fault *reterr) {
    fault_code code = build_sources(measure, remote, reterr);
    if (!code) code = measure_groups_list(measure, reterr);
    if (!code) code = build_slis(measure, remote, ret_notes, notes_bytes, reterr);
    if (!code) code = build_fold(measure, reterr);
    if (!code) code = build_health(measure, reterr);
    if (!code) code = build_scrapes(measure, scraped, reterr);
    if (!code) code = build_probes(measure, remote, probed, reterr);
    if (!code) code = measure_groups_build(measure, scraped, reterr);
    return code;
}
