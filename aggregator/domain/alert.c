/* SPDX-License-Identifier: Apache-2.0
 * What a source says about an alert is compared with the state, never with a time window: (starts_at, status,
 * ends_at) equal to what is stored is a repeat. A later starts_at is a new firing, an earlier one is history. Within
 * one firing the newer observation counts (of two at the same time, the end), so that a "resolved" which overtook its
 * "firing" is not undone by it, and a source that was cut off and comes back is believed when it says that it still
 * fires. The order in which observations come in makes no difference to what the alert is in the end.
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

fault_code alert_derive_id(const SreDomainIntent *intent, struct arena *arena, slice *ret_id, struct fault *reterr) {
    const IngestAlertRequested *request = &intent->intent.ingest_alert;
    const slice derived = alert_id_from(request->source, request->fingerprint, arena);
    if (!derived.data) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    if (request->alert_id.size && !slice_equal(request->alert_id, derived))
        return fault_set(reterr, FAULT_INPUT, "alert_id '%.*s' is not what source and fingerprint give: '%.*s'",
                         SLICE_ARG(request->alert_id), SLICE_ARG(derived));
    *ret_id = derived;
    return FAULT_NONE;
}

/* Whether it fires, acknowledged and silenced included. */
static bool active(const Alert *alert) {
    return alert->status != ALERT_STATUS_RESOLVED;
}

/* Whether the end that it has is only that nobody said it again. */
static bool expired(const Alert *alert) {
    return !active(alert) && alert->end_reason.size;
}

void alert_index(const struct aggregate *aggregate, struct arena *arena, struct aggregate_index *ret_index) {
    const Alert *alert = &aggregate->state.alert;
    ret_index->open = active(alert);
    ret_index->open_since_ms = domain_ms(alert->starts_at);
    ret_index->due_ms = alert->has_expires_at ? domain_ms(alert->expires_at) : 0;
    const int64_t silence_ms = alert->has_silenced_until ? domain_ms(alert->silenced_until) : 0;
    if (silence_ms && (!ret_index->due_ms || silence_ms < ret_index->due_ms)) ret_index->due_ms = silence_ms;
}

void alert_due(slice id, int64_t due_ms, SreDomainIntent *ret_intent) {
    ret_intent->which_intent = SreDomainIntent_expire_alert_tag;
    ret_intent->intent.expire_alert =
        (ExpireAlertRequested){.alert_id = id, .has_expires_at = true, .expires_at = domain_time(due_ms)};
}

bool alert_unheard(const struct aggregate *aggregate, int64_t due_ms, int64_t now_ms, int64_t *ret_due_ms) {
    const Alert *alert = &aggregate->state.alert;
    if (!active(alert) || !alert->has_expires_at || alert->expiry_given || domain_ms(alert->expires_at) != due_ms)
        return false;
    const int64_t silence_ms = alert->has_silenced_until ? domain_ms(alert->silenced_until) : 0;
    *ret_due_ms = silence_ms && silence_ms != due_ms && silence_ms <= now_ms ? silence_ms : 0;
    return true;
}

enum judgement { REPEAT, LATE, CHANGE };

/* The end that a source gives for what fires; 0: none. One that was over when the alert was seen is none: sources write the
 * year 1 for that. */
static int64_t expiry_given(const IngestAlertRequested *request, int64_t observed_ms) {
    if (request->has_expires_at && domain_ms(request->expires_at) > observed_ms && domain_ms(request->expires_at) > 0)
        return domain_ms(request->expires_at);
    if (request->has_ends_at && domain_ms(request->ends_at) > observed_ms && domain_ms(request->ends_at) > 0)
        return domain_ms(request->ends_at);
    return 0;
}

/* Never before 1970, which is where the journal's order of expiries begins. */
static int64_t expiry_of(const IngestAlertRequested *request, int64_t observed_ms, int64_t expiry_ms) {
    const int64_t given_ms = expiry_given(request, observed_ms),
                  expires_ms = given_ms ? given_ms : observed_ms + expiry_ms;
    return expires_ms > 0 ? expires_ms : 0;
}

static int64_t ends_of(const IngestAlertRequested *request, int64_t observed_ms) {
    if (request->status != ALERT_STATUS_RESOLVED) return 0;
    return request->has_ends_at ? domain_ms(request->ends_at) : observed_ms;
}

static enum judgement judge(const Alert *state, const IngestAlertRequested *request, int64_t observed_ms,
                            int64_t expiry_ms) {
    const int64_t starts = domain_ms(request->starts_at), starts_before = domain_ms(state->starts_at);
    if (starts > starts_before) return CHANGE;
    if (starts < starts_before) return LATE;
    const int64_t observed_before_ms = domain_ms(state->observed_at);
    const bool newer = observed_ms > observed_before_ms;
    if (request->status == ALERT_STATUS_FIRING) {
        if (!active(state)) return newer ? CHANGE : LATE;
        const int64_t gained = expiry_of(request, observed_ms, expiry_ms) - domain_ms(state->expires_at);
        return newer && gained >= expiry_ms / 2 ? CHANGE : REPEAT;
    }
    if (active(state)) return observed_ms >= observed_before_ms ? CHANGE : LATE;
    if (expired(state)) return observed_ms >= observed_before_ms ? CHANGE : LATE; /* it had expired */
    const int64_t ends = ends_of(request, observed_ms), ends_before = domain_ms(state->ends_at);
    if (!request->has_ends_at || ends == ends_before) return REPEAT;
    if (observed_ms == observed_before_ms) return ends > ends_before ? CHANGE : LATE;
    return newer ? CHANGE : LATE;
}

/* A source whose clock is behind is late with every repeat, and two that say the same say it in turn: their history is not to
 * grow with each. One mark is kept, the furthest that was late: what is not further is known, or as old as what is. An agent
 * says each thing once (its batches are numbered), and two of its streams may be late at one time, so of it only the same
 * again is a repeat. */
static bool late_before(const Alert *state, const IngestAlertRequested *request, int64_t observed_ms, unsigned sender) {
    if (!state->has_late_starts_at) return false;
    const int64_t further[] = {domain_ms(request->starts_at) - domain_ms(state->late_starts_at),
                               (int64_t)request->status - (int64_t)state->late_status,
                               ends_of(request, observed_ms) - domain_ms(state->late_ends_at)};
    for (size_t i = 0; i < sizeof further / sizeof *further; i++)
        if (further[i]) return further[i] < 0 && !(sender & AGENTS);
    return true;
}

/* A firing that begins (or begins anew after its end) is not swallowed by an incident that is over. */
static fault_code incident_of_new_firing(const Alert *state, const struct domain_call *call, slice *ret_incident_id,
                                         struct fault *reterr) {
    const struct aggregate *incident;
    *ret_incident_id = state->incident_id;
    if (state->incident_id.size == 0) return FAULT_NONE;
    const fault_code code = domain_find(call, AGGREGATE_INCIDENT, state->incident_id, &incident, reterr);
    if (code) return code;
    if (!aggregate_exists(incident) || incident->state.incident.status >= INCIDENT_STATUS_RESOLVED)
        *ret_incident_id = (slice){0};
    return FAULT_NONE;
}

/* For Alertmanager an alert whose end is yet to come fires. A source whose clock is ahead observes in our future as well. */
static fault_code end_check(const IngestAlertRequested *request, int64_t now_ms, struct fault *reterr) {
    if (request->status != ALERT_STATUS_RESOLVED || !request->has_ends_at) return FAULT_NONE;
    if (domain_ms(request->ends_at) < domain_ms(request->starts_at))
        return fault_set(reterr, FAULT_INPUT, "ends_at is before starts_at");
    int64_t by_ms = request->has_observed_at ? domain_ms(request->observed_at) : now_ms;
    if (by_ms > now_ms + ALERT_AHEAD_MS_MAX) by_ms = now_ms + ALERT_AHEAD_MS_MAX;
    if (by_ms < now_ms) by_ms = now_ms;
    const int64_t ahead_ms = domain_ms(request->ends_at) - by_ms;
    if (ahead_ms <= ALERT_END_AHEAD_MS_MAX) return FAULT_NONE;
    return fault_set(
        reterr, FAULT_INPUT,
        "ends_at is %lld s ahead: an alert that is yet to end fires; send it as firing, then ends_at is when it "
        "expires, or as resolved when it has ended",
        (long long)ahead_ms / 1000);
}

/* What fires has no end that is over: it has ended. The year 1, or any time before its start, is how sources write that they
 * know none. And a time that nobody lives to see says that it fires for ever. */
static fault_code given_end_check(const char *name, Timestamp at, int64_t starts_ms, int64_t observed_ms,
                                  int64_t now_ms, struct fault *reterr) {
    static const int64_t day_ms = INT64_C(24) * 3600 * 1000;
    const int64_t end_ms = domain_ms(at);
    if (end_ms >= starts_ms && end_ms >= 0 && end_ms < observed_ms)
        return fault_set(reterr, FAULT_INPUT,
                         "%s: was over %lld s before the alert was observed; one that has ended is sent as resolved",
                         name, (long long)(observed_ms - end_ms) / 1000);
    if (end_ms - now_ms > ALERT_EXPIRY_DAYS_MAX * day_ms)
        return fault_set(reterr, FAULT_INPUT, "%s: is %lld days ahead; what is not said again within %d days expires",
                         name, (long long)((end_ms - now_ms) / day_ms), ALERT_EXPIRY_DAYS_MAX);
    return FAULT_NONE;
}

static fault_code firing_check(const IngestAlertRequested *request, int64_t observed_ms, int64_t now_ms,
                               struct fault *reterr) {
    const int64_t starts_ms = domain_ms(request->starts_at);
    if (request->status != ALERT_STATUS_FIRING) return FAULT_NONE;
    if (starts_ms - observed_ms > ALERT_AHEAD_MS_MAX)
        return fault_set(reterr, FAULT_INPUT, "observed_at: is %lld s before starts_at, the most is %d",
                         (long long)(starts_ms - observed_ms) / 1000, ALERT_AHEAD_MS_MAX / 1000);
    fault_code code = FAULT_NONE;
    if (request->has_ends_at)
        code = given_end_check("ends_at", request->ends_at, starts_ms, observed_ms, now_ms, reterr);
    if (!code && request->has_expires_at)
        code = given_end_check("expires_at", request->expires_at, starts_ms, observed_ms, now_ms, reterr);
    return code;
}

static fault_code ingest_check(const IngestAlertRequested *request, int64_t now_ms, struct fault *reterr) {
    const int64_t starts_ms = domain_ms(request->starts_at);
    if (request->status != ALERT_STATUS_FIRING && request->status != ALERT_STATUS_RESOLVED)
        return fault_set(reterr, FAULT_INPUT, "status: an alert is ingested as firing or resolved");
    const fault_code code = end_check(request, now_ms, reterr);
    if (code) return code;
    if (starts_ms - now_ms > ALERT_AHEAD_MS_MAX)
        return fault_set(reterr, FAULT_INPUT, "starts_at is %lld s ahead of the aggregator's clock, the most is %d",
                         (long long)(starts_ms - now_ms) / 1000, ALERT_AHEAD_MS_MAX / 1000);
    return FAULT_NONE;
}

/* What persons said stays as long as it is about this: also over an expiry, which was our guess and not its source's word.
 * What was late stays known. */
static void keep(const Alert *state, bool same_firing, int64_t now_ms, Alert *alert) {
    const bool acknowledged = same_firing && (active(state) || expired(state)) && state->has_acknowledged_at;
    if (acknowledged) {
        alert->acknowledged_by = state->acknowledged_by;
        alert->has_acknowledged_at = true;
        alert->acknowledged_at = state->acknowledged_at;
    }
    alert->has_late_starts_at = state->has_late_starts_at;
    alert->late_starts_at = state->late_starts_at;
    alert->late_status = state->late_status;
    alert->has_late_ends_at = state->has_late_ends_at;
    alert->late_ends_at = state->late_ends_at;
    alert->has_silenced_until = state->has_silenced_until;
    alert->silenced_until = state->silenced_until;
    alert->silenced_by = state->silenced_by;
    alert->silence_reason = state->silence_reason;
    if (alert->status != ALERT_STATUS_FIRING) return;
    if (same_firing && active(state))
        alert->status = state->status;
    else if (state->has_silenced_until && domain_ms(state->silenced_until) > now_ms)
        alert->status = ALERT_STATUS_SILENCED;
    else if (acknowledged)
        alert->status = ALERT_STATUS_ACKNOWLEDGED;
}

static void take_observation(const struct aggregate *aggregate, const SreDomainIntent *intent, int64_t observed_ms,
                             const struct domain_call *call, Alert *alert) {
    const IngestAlertRequested *request = &intent->intent.ingest_alert;
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
    if (request->status == ALERT_STATUS_RESOLVED) {
        alert->has_ends_at = true;
        alert->ends_at = domain_time(ends_of(request, observed_ms));
    } else {
        alert->has_expires_at = true;
        alert->expires_at = domain_time(expiry_of(request, observed_ms, call->alert_expiry_ms));
        alert->expiry_given = expiry_given(request, observed_ms) != 0;
    }
    alert->generator_url = request->generator_url;
    alert->has_observed_at = true;
    alert->observed_at = domain_time(observed_ms);
    alert->environment_id = intent->meta.environment_id;
    alert->cluster_id = intent->meta.cluster_id;
    alert->occurrences = aggregate->version ? aggregate->state.alert.occurrences + 1 : 1;
    alert->version = (int64_t)aggregate->version + 1;
}

fault_code alert_decide_ingest(const struct aggregate *aggregate, const SreDomainIntent *intent,
                               struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const IngestAlertRequested *request = &intent->intent.ingest_alert;
    const Alert *state = &aggregate->state.alert;
    fault_code code = ingest_check(request, call->now_ms, reterr);
    if (code) return code;
    int64_t observed_ms = domain_ms(request->has_observed_at ? request->observed_at : intent->meta.occurred_at);
    if (observed_ms > call->now_ms) observed_ms = call->now_ms; /* a clock that is ahead: nothing else would be newer */
    code = firing_check(request, observed_ms, call->now_ms, reterr);
    if (code) return code;
    enum judgement judgement = CHANGE;
    if (aggregate->version) judgement = judge(state, request, observed_ms, call->alert_expiry_ms);
    if (judgement == REPEAT || (judgement == LATE && late_before(state, request, observed_ms, call->sender)))
        return FAULT_NONE;

    slice incident_id = {0};
    const bool same_firing = aggregate->version && domain_ms(request->starts_at) == domain_ms(state->starts_at);
    if (aggregate->version) {
        incident_id = state->incident_id;
        const bool begins = !same_firing || (!active(state) && request->status == ALERT_STATUS_FIRING);
        if (judgement == CHANGE && begins) code = incident_of_new_firing(state, call, &incident_id, reterr);
        if (code) return code;
    }
    AlertIngested *ingested = &fact_list_add(ret_facts, SreDomainFact_alert_ingested_tag)->fact.alert_ingested;
    ingested->late = judgement == LATE;
    ingested->from = aggregate->version ? state->status : ALERT_STATUS_UNSPECIFIED;
    ingested->has_alert = true;
    take_observation(aggregate, intent, observed_ms, call, &ingested->alert);
    ingested->alert.incident_id = incident_id;
    if (judgement == CHANGE && aggregate->version) keep(state, same_firing, call->now_ms, &ingested->alert);
    return FAULT_NONE;
}

static fault_code exists(const struct aggregate *aggregate, struct fault *reterr) {
    if (aggregate->version) return FAULT_NONE;
    return fault_set(reterr, FAULT_ABSENT, "alert '%.*s' does not exist", SLICE_ARG(aggregate->id));
}

/* Said again by the same person it is a repeat; another one is told who has it. */
fault_code alert_decide_acknowledge(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                    struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    if (exists(aggregate, reterr)) return FAULT_ABSENT;
    const Alert *state = &aggregate->state.alert;
    if (state->status == ALERT_STATUS_ACKNOWLEDGED) {
        if (slice_equal(state->acknowledged_by, call->actor)) return FAULT_NONE;
        return fault_set(reterr, FAULT_CONFLICT,
                         "alert '%.*s' cannot go from acknowledged to acknowledged: %.*s has it",
                         SLICE_ARG(aggregate->id), SLICE_ARG(state->acknowledged_by));
    }
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

/* A silence that there is may be made longer or shorter at any time, also between two firings. */
fault_code alert_decide_silence(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const SilenceAlertRequested *request = &intent->intent.silence_alert;
    if (exists(aggregate, reterr)) return FAULT_ABSENT;
    const Alert *state = &aggregate->state.alert;
    const int64_t until_ms = domain_ms(request->until), day_ms = INT64_C(24) * 3600 * 1000;
    if (until_ms <= call->now_ms) return fault_set(reterr, FAULT_INPUT, "until: a silence ends in the future");
    if (until_ms - call->now_ms > ALERT_SILENCE_DAYS_MAX * day_ms)
        return fault_set(reterr, FAULT_INPUT, "until: a silence ends in %d days at most", ALERT_SILENCE_DAYS_MAX);
    if (!active(state) && !state->has_silenced_until)
        return fault_set(reterr, FAULT_CONFLICT, "alert '%.*s' cannot go from %s to silenced", SLICE_ARG(aggregate->id),
                         status_names[state->status]);
    if (state->has_silenced_until && domain_ms(state->silenced_until) == until_ms &&
        slice_equal(state->silence_reason, request->reason))
        return FAULT_NONE;
    fact_list_add(ret_facts, SreDomainFact_alert_silenced_tag)->fact.alert_silenced =
        (AlertSilenced){.alert_id = aggregate->id,
                        .from = state->status,
                        .has_until = true,
                        .until = request->until,
                        .silenced_by = call->actor,
                        .reason = request->reason};
    return FAULT_NONE;
}

static void unsilence(const struct aggregate *aggregate, AlertStatus status, AlertSilenceEndReason why, slice by,
                      slice reason, struct fact_list *facts) {
    if (status == ALERT_STATUS_SILENCED)
        status = aggregate->state.alert.has_acknowledged_at ? ALERT_STATUS_ACKNOWLEDGED : ALERT_STATUS_FIRING;
    fact_list_add(facts, SreDomainFact_alert_unsilenced_tag)->fact.alert_unsilenced = (AlertUnsilenced){
        .alert_id = aggregate->id, .to = status, .end_reason = why, .unsilenced_by = by, .reason = reason};
}

/* Without a silence (its time may just have been over) there is nothing to do, and that is what was asked for. */
fault_code alert_decide_unsilence(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                  struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    if (exists(aggregate, reterr)) return FAULT_ABSENT;
    const Alert *state = &aggregate->state.alert;
    if (state->has_silenced_until)
        unsilence(aggregate, state->status, ALERT_SILENCE_END_REASON_TAKEN_BACK, call->actor,
                  intent->intent.unsilence_alert.reason, ret_facts);
    return FAULT_NONE;
}

/* The clock's word: that the expiry or the silence, or both, end at that time. */
fault_code alert_decide_expire(const struct aggregate *aggregate, const SreDomainIntent *intent,
                               struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    if (exists(aggregate, reterr)) return FAULT_ABSENT;
    const Alert *state = &aggregate->state.alert;
    const int64_t due_ms = domain_ms(intent->intent.expire_alert.expires_at);
    const bool expires = active(state) && state->has_expires_at && domain_ms(state->expires_at) == due_ms;
    const bool sounds = state->has_silenced_until && domain_ms(state->silenced_until) == due_ms;
    if (!expires && !sounds) return FAULT_NONE; /* resolved, repeated, or silenced otherwise meanwhile */
    if (due_ms > call->now_ms)
        return fault_set(reterr, FAULT_CONFLICT, "alert '%.*s' does not expire for another %lld ms",
                         SLICE_ARG(aggregate->id), (long long)(due_ms - call->now_ms));
    if (expires)
        fact_list_add(ret_facts, SreDomainFact_alert_expired_tag)->fact.alert_expired =
            (AlertExpired){.alert_id = aggregate->id,
                           .from = state->status,
                           .has_expired_at = true,
                           .expired_at = state->expires_at,
                           .reason = ALERT_END_REASON_EXPIRED};
    if (sounds)
        unsilence(aggregate, expires ? ALERT_STATUS_RESOLVED : state->status, ALERT_SILENCE_END_REASON_OVER,
                  call->actor, (slice){0}, ret_facts);
    return FAULT_NONE;
}

void alert_apply_ingested(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    const AlertIngested *ingested = &fact->fact.alert_ingested;
    Alert *alert = &aggregate->state.alert;
    if (!ingested->late) {
        *alert = ingested->alert;
        return;
    }
    alert->occurrences = ingested->alert.occurrences;
    alert->has_late_starts_at = true;
    alert->late_starts_at = ingested->alert.starts_at;
    alert->late_status = ingested->alert.status;
    alert->has_late_ends_at = ingested->alert.has_ends_at;
    alert->late_ends_at = ingested->alert.ends_at;
}

void alert_apply_acknowledged(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                              struct arena *arena) {
    Alert *alert = &aggregate->state.alert;
    alert->status = ALERT_STATUS_ACKNOWLEDGED;
    alert->acknowledged_by = fact->fact.alert_acknowledged.acknowledged_by;
    alert->has_acknowledged_at = true;
    alert->acknowledged_at = fact->fact.alert_acknowledged.acknowledged_at;
}

void alert_apply_silenced(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    Alert *alert = &aggregate->state.alert;
    const AlertSilenced *silenced = &fact->fact.alert_silenced;
    if (active(alert)) alert->status = ALERT_STATUS_SILENCED;
    alert->has_silenced_until = true;
    alert->silenced_until = silenced->until;
    alert->silenced_by = silenced->silenced_by;
    alert->silence_reason = silenced->reason;
}

void alert_apply_unsilenced(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                            struct arena *arena) {
    Alert *alert = &aggregate->state.alert;
    alert->status = fact->fact.alert_unsilenced.to;
    alert->has_silenced_until = false;
    alert->silenced_until = (Timestamp){0};
    alert->silenced_by = alert->silence_reason = (slice){0};
}

void alert_apply_expired(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    Alert *alert = &aggregate->state.alert;
    alert->status = ALERT_STATUS_RESOLVED;
    alert->has_ends_at = true;
    alert->ends_at = fact->fact.alert_expired.expired_at;
    alert->has_expires_at = false;
    alert->expires_at = (Timestamp){0};
    alert->expiry_given = false;
    alert->end_reason = SLICE_LIT("expired: not repeated before its expiry");
}
