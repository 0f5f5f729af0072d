/* SPDX-License-Identifier: Apache-2.0
 * Snapshots may overtake one another, so the newest is the one that was taken last, not the one that came last. Older
 * than the state: a fact with `late` set, for the history, and the state stays. The same snapshot again, known by its id
 * or by time and content, is a repeat.
 *
 * Counts must add up: an application that no count has is one of which nobody knows that nobody knows it. */
#include "aggregator/domain/fleet_state.h"

#include "aggregator/domain/content.h"
#include "aggregator/domain/observation_expiry.h"
#include "common/base/digest.h"

enum { HASH_BYTES = 16, HASHED_TEXT_BYTES = 64 };

/* ---- ids ---- */

/* The environment as it stands in an id, and behind it the border when there is something else to come. */
static slice escaped(slice environment, bool border, struct arena *arena) {
    uint8_t *text = arena_alloc(arena, 2 * environment.size + 1);
    size_t size = 0;
    if (!text) return (slice){0};
    for (size_t i = 0; i < environment.size; i++) {
        const uint8_t c = environment.data[i];
        text[size++] = c == '.' ? '_' : c;
        if (c == '.') text[size++] = 'd';
        if (c == '_') text[size++] = '_';
    }
    if (border) text[size++] = '.';
    return slice_of(text, size);
}

slice fleet_state_id_prefix(slice environment, struct arena *arena) {
    return escaped(environment, true, arena);
}

slice fleet_state_id_from(slice environment, slice cluster, struct arena *arena) {
    const slice head = escaped(environment, cluster.size != 0, arena);
    if (!head.data) return (slice){0};
    const slice id = arena_format(arena, "%.*s%.*s", SLICE_ARG(head), SLICE_ARG(cluster));
    if (!id.data || id.size <= LIMIT_AGGREGATE_ID_BYTES) return id;
    uint8_t hash[DIGEST_BYTES];
    char hex[2 * HASH_BYTES + 1];
    digest_of(id, hash);
    for (int i = 0; i < HASH_BYTES; i++) {
        hex[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
    hex[2 * HASH_BYTES] = '\0';
    return arena_format(arena, FLEET_STATE_LONG_PREFIX "%s.%.*s", hex, SLICE_ARG(slice_first(id, HASHED_TEXT_BYTES)));
}

fault_code fleet_state_derive_id(const SreDomainIntent *intent, struct arena *arena, slice *ret_id,
                                 struct fault *reterr) {
    const RecordFleetStateRequested *request = &intent->intent.record_fleet_state;
    if (!request->environment_id.size)
        return fault_set(reterr, FAULT_INPUT, "environment_id: is needed, it says which fleet this is");
    *ret_id = fleet_state_id_from(request->environment_id, request->cluster_id, arena);
    return ret_id->data ? FAULT_NONE : fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
}

/* ---- decide ---- */

#define SNAPSHOT_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                               \
    ONE(environment_id)                                                                                                \
    ONE(cluster_id)                                                                                                    \
    ONE(timestamp)                                                                                                     \
    ONE(total_applications)                                                                                            \
    ONE(healthy_count)                                                                                                 \
    ONE(degraded_count)                                                                                                \
    ONE(progressing_count)                                                                                             \
    ONE(unknown_count)                                                                                                 \
    ONE(out_of_sync_count)                                                                                             \
    ONE(source)                                                                                                        \
    ONE(suspended_count)                                                                                               \
    ONE(missing_count)
static bool snapshot_equal(const FleetState *a, const FleetState *b) {
    CONTENT_EQUAL(SNAPSHOT_CONTENT)
    return true;
}

static bool same_snapshot(const FleetState *a, const FleetState *b, bool expiry_given) {
    return snapshot_equal(a, b) && a->has_expires_at == b->has_expires_at &&
           (!expiry_given || content_time_equal(a->expires_at, b->expires_at));
}

static fault_code snapshot_check(const FleetState *s, int64_t now_ms, struct fault *reterr) {
    const int64_t ahead_ms = domain_ms(s->timestamp) - now_ms;
    if (ahead_ms > FLEET_STATE_AHEAD_MS)
        return fault_set(reterr, FAULT_INPUT,
                         "timestamp: the snapshot was taken %lld s in the future: check the clock of its source",
                         (long long)ahead_ms / 1000);
    const int64_t sum = (int64_t)s->healthy_count + s->degraded_count + s->progressing_count + s->unknown_count +
                        s->suspended_count + s->missing_count;
    if (sum != s->total_applications)
        return fault_set(
            reterr, FAULT_INPUT,
            "total_applications: is %d, and healthy, degraded, progressing, unknown, suspended and missing "
            "are %lld together; what is not known is unknown",
            s->total_applications, (long long)sum);
    if (s->out_of_sync_count > s->total_applications)
        return fault_set(reterr, FAULT_INPUT, "out_of_sync_count: is %d of %d applications", s->out_of_sync_count,
                         s->total_applications);
    return FAULT_NONE;
}

fault_code fleet_state_decide_record(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                     struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const RecordFleetStateRequested *from = &intent->intent.record_fleet_state;
    const FleetState *state = &aggregate->state.fleet_state;
    const bool exists = aggregate_exists(aggregate);
    struct arena *arena = call->arena;
    FleetState snapshot = {.fleetstate_id = from->fleetstate_id,
                           .has_timestamp = true,
                           .has_expires_at = from->has_expires_at,
                           .expires_at = from->expires_at},
               *const to = &snapshot;
    CONTENT_COPY(SNAPSHOT_CONTENT)
    fault_code code = snapshot_check(to, call->now_ms, reterr);
    if (!code)
        code = observation_expiry_take(call, domain_ms(to->timestamp), &to->has_expires_at, &to->expires_at, reterr);
    if (code) return code;
    const bool same = exists && same_snapshot(to, state, from->has_expires_at);
    if (exists && from->fleetstate_id.size && slice_equal(from->fleetstate_id, state->fleetstate_id)) {
        if (same) return FAULT_NONE;
        return fault_set(
            reterr, FAULT_CONFLICT,
            "fleetstate_id: snapshot '%.*s' is known, and said something else: give each one an id of its own",
            SLICE_ARG(from->fleetstate_id));
    }
    if (same) return FAULT_NONE;
    if (!snapshot.fleetstate_id.size) {
        char text[UUID_TEXT_SIZE + 1];
        uuid_format(domain_ids_next(call->ids, call->now_ms), text);
        snapshot.fleetstate_id = arena_copy(arena, slice_of(text, UUID_TEXT_SIZE));
        if (!snapshot.fleetstate_id.data) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    }
    snapshot.version = (int64_t)aggregate->version + 1;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_fleet_state_recorded_tag);
    fact->fact.fleet_state_recorded =
        (FleetStateRecorded){.has_fleet_state = true,
                             .fleet_state = snapshot,
                             .late = exists && domain_ms(snapshot.timestamp) < domain_ms(state->timestamp)};
    return FAULT_NONE;
}

void fleet_state_apply_recorded(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                struct arena *arena) {
    const FleetStateRecorded *recorded = &fact->fact.fleet_state_recorded;
    if (!recorded->late) aggregate->state.fleet_state = recorded->fleet_state;
}

/* ---- reading ---- */

static int64_t expires_ms(const FleetState *state) {
    return state->has_expires_at ? domain_ms(state->expires_at) : domain_ms(state->timestamp) + OBSERVATION_EXPIRY_MS;
}

void fleet_state_age(FleetState *state, int64_t now_ms) {
    if (expires_ms(state) > now_ms) return;
    state->healthy_count = state->degraded_count = state->progressing_count = 0;
    state->suspended_count = state->missing_count = 0;
    state->unknown_count = state->total_applications;
}

static int32_t sum_of(int32_t a, int32_t b) {
    int32_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT32_MAX : sum;
}

void fleet_state_add(FleetState *sum, const FleetState *part) {
    const bool first = !sum->has_timestamp;
    if (first || domain_ms(part->timestamp) < domain_ms(sum->timestamp)) sum->timestamp = part->timestamp;
    const int64_t part_expires_ms = expires_ms(part);
    if (first || part_expires_ms < domain_ms(sum->expires_at)) sum->expires_at = domain_time(part_expires_ms);
    sum->has_timestamp = sum->has_expires_at = true;
    if (first)
        sum->source = part->source;
    else if (sum->source != part->source)
        sum->source = HEALTH_SOURCE_UNSPECIFIED;
    sum->total_applications = sum_of(sum->total_applications, part->total_applications);
    sum->healthy_count = sum_of(sum->healthy_count, part->healthy_count);
    sum->degraded_count = sum_of(sum->degraded_count, part->degraded_count);
    sum->progressing_count = sum_of(sum->progressing_count, part->progressing_count);
    sum->unknown_count = sum_of(sum->unknown_count, part->unknown_count);
    sum->out_of_sync_count = sum_of(sum->out_of_sync_count, part->out_of_sync_count);
    sum->suspended_count = sum_of(sum->suspended_count, part->suspended_count);
    sum->missing_count = sum_of(sum->missing_count, part->missing_count);
}
