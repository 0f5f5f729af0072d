/* SPDX-License-Identifier: Apache-2.0
 * Sentences about SLOs and their windows. */
#include "tests/scenario/step.h"

static bool slo_read(struct scenario *s, SLO *slo) {
    return step_read(s, "slo", s->words[0], SLICE_LIT("acme"), &SLO_desc, slo);
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

/* agent, tenant, slo, minute, good, total, revision */
static bool window_report(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_sli_window_tag};
    intent.intent.record_sli_window =
        (RecordSLIWindowRequested){.slo_id = s->words[2],
                                   .has_window_start = true,
                                   .window_start = domain_time(step_minute_ms(s->words[3])),
                                   .window_seconds = 60,
                                   .good = (int64_t)step_number(s->words[4]),
                                   .total = (int64_t)step_number(s->words[5]),
                                   .scrapes_expected = 4,
                                   .scrapes_seen = 4,
                                   .revision = (int64_t)step_number(s->words[6])};
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

const struct step_row slo_steps[] = {
    {"{who} of {tenant} creates SLO {id} with target {percent} over {days} days", slo_create},
    {"{who} of {tenant} changes SLO {id} to target {percent}", slo_update},
    {"agent {agent} of {tenant} reports for {slo} minute {m} : {good} good of {total} , revision {n}", window_report},
    {"SLO {id} counts {good} good of {total}", slo_counts},
    {"SLO {id} has {percent} percent of its budget left", slo_remaining},
    {"SLO {id} has an unknown budget", slo_unknown},
    {NULL, NULL},
};
