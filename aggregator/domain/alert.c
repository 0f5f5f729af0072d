/* SPDX-License-Identifier: Apache-2.0
 * What a source says about an alert is compared with the state, never with a time window: (starts_at, status,
 * ends_at) equal to what is stored is a repeat. A later starts_at is a new firing, an earlier one is history. Within
 * one firing the newer observation counts, so that a "resolved" which overtook its "firing" is not undone by it.
 *
 * A repeated "firing" has no effect but one: it moves the expiry, and only when that gains at least half of the
 * configured time, so that a source which repeats every few seconds does not make a fact each time. */
#include "aggregator/domain/alert.h"

#include "aggregator/domain/domain_list.h"
#include "common/base/digest.h"

static const char *const source_names[] = {
    [ALERT_SOURCE_UNSPECIFIED] = "unspecified",
    [ALERT_SOURCE_PROMETHEUS] = "prometheus",
    [ALERT_SOURCE_CUSTOM] = "custom",
    [ALERT_SOURCE_PICKET] = "picket",
};
static const char *const status_names[] = {
    [ALERT_STATUS_UNSPECIFIED] = "unspecified",   [ALERT_STATUS_FIRING] = "firing",
    [ALERT_STATUS_RESOLVED] = "resolved",         [ALERT_STATUS_SILENCED] = "silenced",
    [ALERT_STATUS_ACKNOWLEDGED] = "acknowledged",
};

enum { ID_BYTES_MAX = 128, ID_HASH_BYTES = 12 };

slice alert_id_from(AlertSource source, slice fingerprint, struct arena *arena) {
    const char *name = (size_t)source < sizeof source_names / sizeof *source_names ? source_names[source] : "other";
    if (strlen(name) + 1 + fingerprint.size <= ID_BYTES_MAX)
        return arena_format(arena, "%s.%.*s", name, SLICE_ARG(fingerprint));
    uint8_t hash[DIGEST_BYTES];
    digest_of(fingerprint, hash);
    char hex[2 * ID_HASH_BYTES + 1];
    for (int i = 0; i < ID_HASH_BYTES; i++) {
        hex[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
    hex[2 * ID_HASH_BYTES] = '\0';
    return arena_format(arena, "%s.%.*s-%s", name, 64, (const char *)fingerprint.data, hex);
}

void alert_index(const struct aggregate *aggregate, struct arena *arena, struct aggregate_index *ret_index) {
    const Alert *alert = &aggregate->state.alert;
    ret_index->open = alert->status != ALERT_STATUS_RESOLVED;
    ret_index->open_since_ms = domain_ms(alert->starts_at);
    ret_index->due_ms = alert->has_expires_at ? domain_ms(alert->expires_at) : 0;
}

void alert_due(slice id, int64_t due_ms, SreDomainIntent *ret_intent) {
    ret_intent->which_intent = SreDomainIntent_expire_alert_tag;
    ret_intent->intent.expire_alert =
        (ExpireAlertRequested){.alert_id = id, .has_expires_at = true, .expires_at = domain_time(due_ms)};
}

enum judgement { REPEAT, LATE, CHANGE };

/* One that was over when the alert was seen is none: sources write the year 1 for that. Never before 1970, which is
 * where the journal's order of expiries begins. */
static int64_t expiry_of(const IngestAlertRequested *request, int64_t observed_ms, int64_t expiry_ms) {
    int64_t expires_ms = observed_ms + expiry_ms;
    if (request->has_expires_at && domain_ms(request->expires_at) > observed_ms)
        expires_ms = domain_ms(request->expires_at);
    else if (request->has_ends_at && domain_ms(request->ends_at) > observed_ms)
        expires_ms = domain_ms(request->ends_at);
    return expires_ms > 0 ? expires_ms : 0;
}

static enum judgement judge(const Alert *state, const IngestAlertRequested *request, int64_t observed_ms,
                            int64_t expiry_ms) {
    const int64_t starts = domain_ms(request->starts_at), starts_before = domain_ms(state->starts_at);
    if (starts > starts_before) return CHANGE;
    if (starts < starts_before) return LATE;
    const bool newer = observed_ms > domain_ms(state->observed_at);
    const bool firing_before = state->status != ALERT_STATUS_RESOLVED;
    if (request->status == ALERT_STATUS_FIRING) {
        if (!firing_before) return newer ? CHANGE : LATE;
        const int64_t gained = expiry_of(request, observed_ms, expiry_ms) - domain_ms(state->expires_at);
        return newer && gained >= expiry_ms / 2 ? CHANGE : REPEAT;
    }
    if (firing_before) return CHANGE; /* a firing ends once, however the two were observed */
    if (request->has_ends_at == state->has_ends_at && domain_ms(request->ends_at) == domain_ms(state->ends_at))
        return REPEAT;
    return newer ? CHANGE : LATE;
}

fault_code alert_decide_ingest(const struct aggregate *aggregate, const SreDomainIntent *intent,
                               struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const IngestAlertRequested *request = &intent->intent.ingest_alert;
    const Alert *state = &aggregate->state.alert;
    if (request->status != ALERT_STATUS_FIRING && request->status != ALERT_STATUS_RESOLVED)
        return fault_set(reterr, FAULT_INPUT, "status: an alert is ingested as firing or resolved");
    const bool resolved = request->status == ALERT_STATUS_RESOLVED;
    if (resolved && request->has_ends_at && domain_ms(request->ends_at) < domain_ms(request->starts_at))
        return fault_set(reterr, FAULT_INPUT, "ends_at is before starts_at");
    const int64_t observed_ms = domain_ms(request->has_observed_at ? request->observed_at : intent->meta.occurred_at);
    enum judgement judgement = CHANGE;
    if (aggregate->version) judgement = judge(state, request, observed_ms, call->alert_expiry_ms);
    if (judgement == REPEAT) return FAULT_NONE;

    const bool same_firing = aggregate->version && domain_ms(request->starts_at) == domain_ms(state->starts_at);
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_alert_ingested_tag);
    AlertIngested *ingested = &fact->fact.alert_ingested;
    ingested->late = judgement == LATE;
    ingested->from = aggregate->version ? state->status : ALERT_STATUS_UNSPECIFIED;
    ingested->has_alert = true;
    Alert *alert = &ingested->alert;
    alert->alert_id = aggregate->id;
    alert->fingerprint = request->fingerprint;
    alert->name = request->name;
    alert->severity = request->severity;
    MAP_COPY(alert->labels, request->labels, call->arena);
    MAP_COPY(alert->annotations, request->annotations, call->arena);
    alert->source = request->source;
    alert->has_starts_at = true;
    alert->starts_at = request->starts_at;
    alert->status = request->status;
    if (resolved) {
        alert->has_ends_at = true;
        alert->ends_at = request->has_ends_at ? request->ends_at : domain_time(observed_ms);
    } else {
        alert->has_expires_at = true;
        alert->expires_at = domain_time(expiry_of(request, observed_ms, call->alert_expiry_ms));
    }
    alert->generator_url = request->generator_url;
    alert->has_observed_at = true;
    alert->observed_at = domain_time(observed_ms);
    alert->environment_id = intent->meta.environment_id;
    alert->cluster_id = intent->meta.cluster_id;
    alert->incident_id = aggregate->version ? state->incident_id : (slice){0};
    alert->occurrences = aggregate->version ? state->occurrences + 1 : 1;
    if (same_firing && state->status == ALERT_STATUS_ACKNOWLEDGED) {
        alert->acknowledged_by = state->acknowledged_by;
        alert->has_acknowledged_at = state->has_acknowledged_at;
        alert->acknowledged_at = state->acknowledged_at;
        if (!resolved) alert->status = ALERT_STATUS_ACKNOWLEDGED;
    }
    alert->version = (int64_t)aggregate->version + 1;
    return FAULT_NONE;
}

fault_code alert_decide_acknowledge(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                    struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    if (!aggregate->version)
        return fault_set(reterr, FAULT_ABSENT, "alert '%.*s' does not exist", SLICE_ARG(aggregate->id));
    const Alert *state = &aggregate->state.alert;
    if (state->status != ALERT_STATUS_FIRING)
        return fault_set(reterr, FAULT_CONFLICT, "alert '%.*s' cannot go from %s to acknowledged",
                         SLICE_ARG(aggregate->id), status_names[state->status]);
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_alert_acknowledged_tag);
    fact->fact.alert_acknowledged = (AlertAcknowledged){
        .alert_id = aggregate->id,
        .acknowledged_by = call->actor,
        .has_acknowledged_at = true,
        .acknowledged_at = domain_time(call->now_ms),
        .note = intent->intent.acknowledge_alert.note,
    };
    return FAULT_NONE;
}

fault_code alert_decide_expire(const struct aggregate *aggregate, const SreDomainIntent *intent,
                               struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    if (!aggregate->version)
        return fault_set(reterr, FAULT_ABSENT, "alert '%.*s' does not exist", SLICE_ARG(aggregate->id));
    const Alert *state = &aggregate->state.alert;
    const int64_t expires_ms = domain_ms(intent->intent.expire_alert.expires_at);
    if (state->status == ALERT_STATUS_RESOLVED || !state->has_expires_at || domain_ms(state->expires_at) != expires_ms)
        return FAULT_NONE; /* resolved or repeated meanwhile */
    if (expires_ms > call->now_ms)
        return fault_set(reterr, FAULT_CONFLICT, "alert '%.*s' does not expire for another %lld ms",
                         SLICE_ARG(aggregate->id), (long long)(expires_ms - call->now_ms));
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_alert_expired_tag);
    fact->fact.alert_expired = (AlertExpired){
        .alert_id = aggregate->id,
        .from = state->status,
        .has_expired_at = true,
        .expired_at = state->expires_at,
        .reason = ALERT_END_REASON_EXPIRED,
    };
    return FAULT_NONE;
}

void alert_apply_ingested(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    const AlertIngested *ingested = &fact->fact.alert_ingested;
    if (ingested->late)
        aggregate->state.alert.occurrences = ingested->alert.occurrences;
    else
        aggregate->state.alert = ingested->alert;
}

void alert_apply_acknowledged(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                              struct arena *arena) {
    Alert *alert = &aggregate->state.alert;
    alert->status = ALERT_STATUS_ACKNOWLEDGED;
    alert->acknowledged_by = fact->fact.alert_acknowledged.acknowledged_by;
    alert->has_acknowledged_at = true;
    alert->acknowledged_at = fact->fact.alert_acknowledged.acknowledged_at;
}

void alert_apply_expired(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    Alert *alert = &aggregate->state.alert;
    alert->status = ALERT_STATUS_RESOLVED;
    alert->has_ends_at = true;
    alert->ends_at = fact->fact.alert_expired.expired_at;
    alert->has_expires_at = false;
    alert->expires_at = (Timestamp){0};
    alert->end_reason = SLICE_LIT("expired: not repeated before its expiry");
}
