/* SPDX-License-Identifier: Apache-2.0
 * Sentences about SLOs and their windows. */
#include "tests/scenario/step.h"

static bool slo_read_as(struct scenario *s, slice id, slice tenant, SLO *slo) {
    return step_read(s, "slo", id, tenant, &SLO_desc, slo);
}

static bool slo_read(struct scenario *s, SLO *slo) {
    return slo_read_as(s, s->words[0], SLICE_LIT("acme"), slo);
}

static bool slo_create(struct scenario *s) {
    char id[129];
    slice_to_text(s->words[2], id, sizeof id);
    SreDomainIntent intent = place_slo_intent(id);
    const int days = (int)step_number(s->words[4]);
    intent.intent.create_slo.target = step_number(s->words[3]);
    intent.intent.create_slo.window = days == 7    ? SLO_WINDOW_7D
                                      : days == 28 ? SLO_WINDOW_28D
                                      : days == 30 ? SLO_WINDOW_30D
                                                   : 0;
    return step_send(s, &intent);
}

static bool slo_update(struct scenario *s) {
    char id[129];
    slice_to_text(s->words[2], id, sizeof id);
    const SreDomainIntent created = place_slo_intent(id);
    SreDomainIntent intent = {.which_intent = SreDomainIntent_update_slo_tag};
    intent.intent.update_slo = (UpdateSLORequested){.slo_id = s->words[2],
                                                    .name = SLICE_LIT("Changed"),
                                                    .target = step_number(s->words[3]),
                                                    .window = SLO_WINDOW_7D,
                                                    .has_sli_spec = true,
                                                    .sli_spec = created.intent.create_slo.sli_spec};
    return step_send(s, &intent);
}

static SLOWindow calendar_window(slice word) {
    static const char *const words[] = {"week", "month", "quarter", "year", NULL};
    const int index = step_choice(word, words);
    return index < 0 ? SLO_WINDOW_UNSPECIFIED : (SLOWindow)(SLO_WINDOW_CALENDAR_WEEK + index);
}

static SreDomainIntent slo_intent(struct scenario *s) {
    char id[129];
    slice_to_text(s->words[2], id, sizeof id);
    return place_slo_intent((const char *)arena_copy(s->place->arena, slice_of(id, strlen(id) + 1)).data);
}

static bool slo_create_calendar(struct scenario *s) {
    SreDomainIntent intent = slo_intent(s);
    intent.intent.create_slo.target = step_number(s->words[3]);
    intent.intent.create_slo.window = calendar_window(s->words[4]);
    return step_send(s, &intent);
}

static bool slo_create_slices(struct scenario *s) {
    SreDomainIntent intent = slo_intent(s);
    intent.intent.create_slo.target = step_number(s->words[3]);
    intent.intent.create_slo.budgeting_method = BUDGETING_METHOD_TIMESLICES;
    intent.intent.create_slo.time_slice_target = step_number(s->words[4]);
    return step_send(s, &intent);
}

static bool slo_create_occurrences(struct scenario *s) {
    SreDomainIntent intent = slo_intent(s);
    intent.intent.create_slo.budgeting_method = BUDGETING_METHOD_OCCURRENCES;
    intent.intent.create_slo.time_slice_target = step_number(s->words[3]);
    return step_send(s, &intent);
}

static bool slo_create_selector(struct scenario *s) {
    SreDomainIntent intent = slo_intent(s);
    intent.intent.create_slo.sli_spec.kind.counter_ratio.total_selector = s->words[3];
    return step_send(s, &intent);
}

static bool slo_create_gauge(struct scenario *s) {
    SreDomainIntent intent = slo_intent(s);
    SLISpec *spec = &intent.intent.create_slo.sli_spec;
    spec->which_kind = SLISpec_gauge_threshold_tag;
    spec->kind.gauge_threshold = (GaugeThresholdSLI){
        .selector = s->words[3], .comparison = COMPARISON_LESS, .threshold = step_number(s->words[4])};
    return step_send(s, &intent);
}

static bool slo_create_agent(struct scenario *s) {
    SreDomainIntent intent = slo_intent(s);
    intent.intent.create_slo.agents.items = &s->words[3];
    intent.intent.create_slo.agents.count = 1;
    return step_send(s, &intent);
}

/* The definition as it stands, to be sent with one thing changed. */
static bool slo_changed(struct scenario *s, SreDomainIntent *ret_intent) {
    SLO slo;
    if (!slo_read_as(s, s->words[2], s->words[1], &slo)) return false;
    *ret_intent = (SreDomainIntent){.which_intent = SreDomainIntent_update_slo_tag};
    UpdateSLORequested *update = &ret_intent->intent.update_slo;
    *update = (UpdateSLORequested){.slo_id = slo.slo_id,
                                   .name = slo.name,
                                   .target = slo.target,
                                   .window = slo.window,
                                   .has_sli_spec = true,
                                   .sli_spec = slo.sli_spec,
                                   .budgeting_method = slo.budgeting_method,
                                   .time_slice_target = slo.time_slice_target};
    update->agents.items = slo.agents.items;
    update->agents.count = slo.agents.count;
    return true;
}

static bool slo_change_length(struct scenario *s) {
    SreDomainIntent intent;
    if (!slo_changed(s, &intent)) return false;
    intent.intent.update_slo.sli_spec.window_seconds = (int32_t)step_number(s->words[3]);
    return step_send(s, &intent);
}

static bool slo_change_calendar(struct scenario *s) {
    SreDomainIntent intent;
    if (!slo_changed(s, &intent)) return false;
    intent.intent.update_slo.window = calendar_window(s->words[3]);
    return step_send(s, &intent);
}

static bool slo_change_slices(struct scenario *s) {
    SreDomainIntent intent;
    if (!slo_changed(s, &intent)) return false;
    intent.intent.update_slo.budgeting_method = BUDGETING_METHOD_TIMESLICES;
    intent.intent.update_slo.time_slice_target = step_number(s->words[3]);
    return step_send(s, &intent);
}

static bool slo_change_occurrences(struct scenario *s) {
    SreDomainIntent intent;
    if (!slo_changed(s, &intent)) return false;
    intent.intent.update_slo.budgeting_method = BUDGETING_METHOD_OCCURRENCES;
    intent.intent.update_slo.time_slice_target = 0;
    return step_send(s, &intent);
}

static bool slo_change_selector(struct scenario *s) {
    SreDomainIntent intent;
    if (!slo_changed(s, &intent)) return false;
    intent.intent.update_slo.sli_spec.kind.counter_ratio.total_selector = s->words[3];
    return step_send(s, &intent);
}

static bool slo_change_agent(struct scenario *s) {
    SreDomainIntent intent;
    if (!slo_changed(s, &intent)) return false;
    intent.intent.update_slo.agents.items = &s->words[3];
    intent.intent.update_slo.agents.count = 1;
    return step_send(s, &intent);
}

/* agent, tenant, slo, minute, good, total, revision */
static bool window_send(struct scenario *s, int32_t seconds) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_sli_window_tag};
    intent.intent.record_sli_window =
        (RecordSLIWindowRequested){.slo_id = s->words[2],
                                   .has_window_start = true,
                                   .window_start = domain_time(step_minute_ms(s->words[3])),
                                   .window_seconds = seconds,
                                   .good = (int64_t)step_number(s->words[4]),
                                   .total = (int64_t)step_number(s->words[5]),
                                   .scrapes_expected = 4,
                                   .scrapes_seen = 4,
                                   .revision = (int64_t)step_number(s->words[6])};
    return step_send_as(s, &intent, s->words[0], s->words[1], ROLE_AGENT);
}

static bool window_report(struct scenario *s) {
    return window_send(s, 60);
}

static bool window_report_long(struct scenario *s) {
    return window_send(s, 300);
}

/* agent, tenant, slo, minute, revision */
static bool window_unseen(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_sli_window_tag};
    intent.intent.record_sli_window =
        (RecordSLIWindowRequested){.slo_id = s->words[2],
                                   .has_window_start = true,
                                   .window_start = domain_time(step_minute_ms(s->words[3])),
                                   .window_seconds = 60,
                                   .scrapes_expected = 4,
                                   .revision = (int64_t)step_number(s->words[4])};
    return step_send_as(s, &intent, s->words[0], s->words[1], ROLE_AGENT);
}

static bool slo_counts(struct scenario *s) {
    SLO slo;
    if (!slo_read(s, &slo)) return false;
    if (slo.budget.good == (int64_t)step_number(s->words[1]) && slo.budget.total == (int64_t)step_number(s->words[2]))
        return true;
    return step_fails(s, "it counts %lld good of %lld", (long long)slo.budget.good, (long long)slo.budget.total);
}

static bool slo_remaining(struct scenario *s) {
    SLO slo;
    if (!slo_read(s, &slo)) return false;
    const double left = slo.budget.current_budget_remaining, off = left - step_number(s->words[1]);
    if (!slo.budget.unknown && off < 0.001 && off > -0.001) return true;
    return step_fails(s, "%.3f percent are left%s", left, slo.budget.unknown ? ", and it is unknown" : "");
}

static bool slo_unknown(struct scenario *s) {
    SLO slo;
    if (!slo_read(s, &slo)) return false;
    if (slo.budget.unknown && slo.budget.current_budget_remaining == 0) return true;
    return step_fails(s, "%.3f percent are left", slo.budget.current_budget_remaining);
}

static bool slo_period(struct scenario *s) {
    SLO slo;
    char starts[20], ends[20];
    struct tm at;
    if (!slo_read(s, &slo)) return false;
    const time_t starts_s = (time_t)slo.budget.period_starts_at.seconds,
                 ends_s = (time_t)slo.budget.period_ends_at.seconds;
    strftime(starts, sizeof starts, "%Y-%m-%d", gmtime_r(&starts_s, &at));
    strftime(ends, sizeof ends, "%Y-%m-%d", gmtime_r(&ends_s, &at));
    if (slice_equal_text(s->words[1], starts) && slice_equal_text(s->words[2], ends)) return true;
    return step_fails(s, "it is from %s to %s", starts, ends);
}

const struct step_row slo_steps[] = {
    {"{who} of {tenant} creates SLO {id} with target {percent} over {days} days", slo_create},
    {"{who} of {tenant} creates SLO {id} with target {percent} per calendar {period}", slo_create_calendar},
    {"{who} of {tenant} creates SLO {id} with target {percent} over slices that are good from {percent} percent on",
     slo_create_slices},
    {"{who} of {tenant} creates SLO {id} over occurrences that are good from {percent} percent on",
     slo_create_occurrences},
    {"{who} of {tenant} creates SLO {id} of {selector}", slo_create_selector},
    {"{who} of {tenant} creates SLO {id} of {selector} below {threshold}", slo_create_gauge},
    {"{who} of {tenant} creates SLO {id} measured by {agent}", slo_create_agent},
    {"{who} of {tenant} changes SLO {id} to target {percent}", slo_update},
    {"{who} of {tenant} changes SLO {id} to windows of {n} seconds", slo_change_length},
    {"{who} of {tenant} changes SLO {id} to calendar {period}", slo_change_calendar},
    {"{who} of {tenant} changes SLO {id} to slices that are good from {percent} percent on", slo_change_slices},
    {"{who} of {tenant} changes SLO {id} to occurrences", slo_change_occurrences},
    {"{who} of {tenant} changes SLO {id} to the selector {selector}", slo_change_selector},
    {"{who} of {tenant} changes SLO {id} to be measured by {agent}", slo_change_agent},
    {"agent {agent} of {tenant} reports for {slo} minute {m} : {good} good of {total} , revision {n}", window_report},
    {"agent {agent} of {tenant} reports for {slo} five minutes from {m} on : {good} good of {total} , revision {n}",
     window_report_long},
    {"agent {agent} of {tenant} saw nothing for {slo} in minute {m} , revision {n}", window_unseen},
    {"SLO {id} counts {good} good of {total}", slo_counts},
    {"SLO {id} has {percent} percent of its budget left", slo_remaining},
    {"SLO {id} has an unknown budget", slo_unknown},
    {"SLO {id} has a period from {date} to {date}", slo_period},
    {NULL, NULL},
};
