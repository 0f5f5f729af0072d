/* SPDX-License-Identifier: Apache-2.0
 * Sentences about fleet states. An integration sends them: counts are healthy, degraded and unknown, the rest is 0. */
#include "aggregator/domain/fleet_state.h"
#include "tests/scenario/step.h"

/* who, tenant, environment, cluster, minute, healthy, degraded, unknown, total */
static bool report(struct scenario *s, slice environment, slice cluster, const slice *words, slice id,
                   int out_of_sync) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_fleet_state_tag};
    RecordFleetStateRequested *r = &intent.intent.record_fleet_state;
    r->fleetstate_id = id;
    r->environment_id = environment;
    r->cluster_id = cluster;
    r->has_timestamp = true;
    r->timestamp = domain_time(step_minute_ms(words[0]));
    r->healthy_count = (int32_t)step_number(words[1]);
    r->degraded_count = (int32_t)step_number(words[2]);
    r->unknown_count = (int32_t)step_number(words[3]);
    r->total_applications = (int32_t)step_number(words[4]);
    r->out_of_sync_count = out_of_sync;
    r->source = HEALTH_SOURCE_ARGOCD;
    return step_send_as(s, &intent, s->words[0], s->words[1], ROLE_INTEGRATION);
}

static bool fleet_report(struct scenario *s) {
    return report(s, s->words[2], (slice){0}, s->words + 3, (slice){0}, 0);
}

static bool fleet_report_cluster(struct scenario *s) {
    return report(s, s->words[2], s->words[3], s->words + 4, (slice){0}, 0);
}

static bool fleet_report_named(struct scenario *s) {
    return report(s, s->words[3], (slice){0}, s->words + 4, s->words[2], 0);
}

static bool fleet_report_unsynced(struct scenario *s) {
    return report(s, s->words[2], (slice){0}, s->words + 3, (slice){0}, (int)step_number(s->words[8]));
}

static bool read_state(struct scenario *s, slice cluster, slice tenant, FleetState *state) {
    return step_read(s, "fleet_state", fleet_state_id_from(s->words[0], cluster, s->place->arena), tenant,
                     &FleetState_desc, state);
}

static bool healthy_is(struct scenario *s, const FleetState *state, slice healthy, slice total) {
    if (state->healthy_count == (int32_t)step_number(healthy) &&
        state->total_applications == (int32_t)step_number(total))
        return true;
    return step_fails(s, "%d of %d are", state->healthy_count, state->total_applications);
}

static bool fleet_healthy(struct scenario *s) {
    FleetState state;
    return read_state(s, (slice){0}, SLICE_LIT("acme"), &state) && healthy_is(s, &state, s->words[1], s->words[2]);
}

static bool fleet_healthy_cluster(struct scenario *s) {
    FleetState state;
    return read_state(s, s->words[1], SLICE_LIT("acme"), &state) && healthy_is(s, &state, s->words[2], s->words[3]);
}

static bool fleet_version(struct scenario *s) {
    FleetState state;
    if (!read_state(s, (slice){0}, SLICE_LIT("acme"), &state)) return false;
    return state.version == (int64_t)step_number(s->words[1]) || step_fails(s, "it is %lld", (long long)state.version);
}

static bool fleet_absent(struct scenario *s) {
    FleetState state;
    return !read_state(s, (slice){0}, s->words[1], &state) || step_fails(s, "there is");
}

#define COUNTS "{h} healthy , {d} degraded , {u} unknown of {total}"
const struct step_row fleet_state_steps[] = {
    {"{who} of {tenant} sees in {env} at minute {m} : " COUNTS, fleet_report},
    {"{who} of {tenant} sees in {env} on {cluster} at minute {m} : " COUNTS, fleet_report_cluster},
    {"{who} of {tenant} sees as snapshot {id} in {env} at minute {m} : " COUNTS, fleet_report_named},
    {"{who} of {tenant} sees in {env} at minute {m} : " COUNTS " , {n} of them out of sync", fleet_report_unsynced},
    {"in {env} {n} of {total} are healthy", fleet_healthy},
    {"in {env} on {cluster} {n} of {total} are healthy", fleet_healthy_cluster},
    {"the fleet state of {env} is at version {n}", fleet_version},
    {"there is no fleet state of {env} for {tenant}", fleet_absent},
    {NULL, NULL},
};
