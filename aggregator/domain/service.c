/* SPDX-License-Identifier: Apache-2.0
 * Create and update carry the same content and pass the same checks; an update that changes nothing is a repeat. A
 * deleted service leaves a tombstone, so that its history stays gapless when it is entered again.
 *
 * All checks that look at the content alone come before those that look at other services: who sends nonsense costs
 * no reads. */
#include "aggregator/domain/service.h"

#include "aggregator/domain/content.h"
#include "aggregator/domain/item_list.h"

/* ---- content ---- */

#define SHIFT_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                                  \
    ONE(responder)                                                                                                     \
    ONE(starts_at)                                                                                                     \
    ONE(ends_at)
static bool shift_equal(const OnCallShift *a, const OnCallShift *b) {
    CONTENT_EQUAL(SHIFT_CONTENT)
    return true;
}

#define SCHEDULE_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                               \
    ONE(time_zone)                                                                                                     \
    TEXTS(rotation)                                                                                                    \
    ONE(rotation_days)                                                                                                 \
    ONE(has_rotation_starts_at)                                                                                        \
    ONE(rotation_starts_at)                                                                                            \
    LIST(shifts, shift_equal)                                                                                          \
    ONE(escalation_contact)
static bool schedule_equal(const OnCallSchedule *a, const OnCallSchedule *b) {
    CONTENT_EQUAL(SCHEDULE_CONTENT)
    return true;
}

#define DEPENDENCY_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                             \
    ONE(service_id)                                                                                                    \
    ONE(critical)                                                                                                      \
    ONE(description)
static bool dependency_equal(const ServiceDependency *a, const ServiceDependency *b) {
    CONTENT_EQUAL(DEPENDENCY_CONTENT)
    return true;
}

#define SELECTOR_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                               \
    ONE(type)                                                                                                          \
    ONE(id_pattern)                                                                                                    \
    ONE(namespace_pattern)                                                                                             \
    ONE(cluster)                                                                                                       \
    ONE(environment)                                                                                                   \
    MAP(match_labels)
static bool selector_equal(const ResourceSelector *a, const ResourceSelector *b) {
    CONTENT_EQUAL(SELECTOR_CONTENT)
    return true;
}

#define SERVICE_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                                \
    ONE(name)                                                                                                          \
    ONE(description)                                                                                                   \
    ONE(owner)                                                                                                         \
    ONE(team)                                                                                                          \
    ONE(tier)                                                                                                          \
    MESSAGE(on_call, schedule_equal)                                                                                   \
    LIST(dependencies, dependency_equal)                                                                               \
    LIST(resources, content_resource_equal)                                                                            \
    TEXTS(runbook_ids)                                                                                                 \
    ONE(repository_url)                                                                                                \
    ONE(dashboard_url)                                                                                                 \
    TEXTS(tags)                                                                                                        \
    MAP(labels)                                                                                                        \
    ONE(on_call_schedule)                                                                                              \
    LIST(selectors, selector_equal)
static bool service_equal(const Service *a, const Service *b) {
    CONTENT_EQUAL(SERVICE_CONTENT)
    return true;
}

/* ---- on call ---- */

bool service_time_zone_valid(slice name) {
    bool begun = false; /* the part that we are in has a letter in front */
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t c = name.data[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool inner = letter || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+';
        if (begun && c == '/')
            begun = false;
        else if (begun ? !inner : !letter)
            return false;
        else
            begun = true;
    }
    return begun;
}

static fault_code shifts_check(OnCallSchedule *schedule, struct arena *arena, struct fault *reterr) {
    const size_t count = schedule->shifts.count;
    for (size_t i = 0; i < count; i++)
        if (domain_ms(schedule->shifts.items[i].ends_at) <= domain_ms(schedule->shifts.items[i].starts_at))
            return fault_set(reterr, FAULT_INPUT, "on_call.shifts[%zu]: ends before it starts, or as it starts", i);
    if (!count) return FAULT_NONE;
    OnCallShift *shifts =
        item_list_by_time(schedule->shifts.items, count, sizeof *shifts, offsetof(OnCallShift, starts_at), arena);
    if (!shifts) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    for (size_t i = 1; i < count; i++)
        if (domain_ms(shifts[i].starts_at) < domain_ms(shifts[i - 1].ends_at))
            return fault_set(
                reterr, FAULT_INPUT,
                "on_call.shifts: that of '%.*s' begins before that of '%.*s' has ended, and one at a time is "
                "on call",
                SLICE_ARG(content_shortened(shifts[i].responder, 100)),
                SLICE_ARG(content_shortened(shifts[i - 1].responder, 100)));
    schedule->shifts.items = shifts;
    return FAULT_NONE;
}

static fault_code on_call_check(OnCallSchedule *schedule, struct arena *arena, struct fault *reterr) {
    if (schedule->time_zone.size && !service_time_zone_valid(schedule->time_zone))
        return fault_set(reterr, FAULT_INPUT, "on_call.time_zone: '%.*s' is not an IANA name such as Europe/Paris",
                         SLICE_ARG(schedule->time_zone));
    for (size_t i = 0; i < schedule->rotation.count; i++)
        if (!schedule->rotation.items[i].size)
            return fault_set(reterr, FAULT_INPUT, "on_call.rotation[%zu]: is empty, nobody would be on call", i);
    if (schedule->rotation.count && !schedule->rotation_days)
        return fault_set(reterr, FAULT_INPUT, "on_call.rotation_days: is needed with a rotation: how long is a turn?");
    if (schedule->rotation.count && !schedule->has_rotation_starts_at)
        return fault_set(reterr, FAULT_INPUT,
                         "on_call.rotation_starts_at: is needed with a rotation: when did the first turn begin?");
    return shifts_check(schedule, arena, reterr);
}

/* ---- create, update ---- */

static fault_code selectors_check(const Service *service, struct fault *reterr) {
    static const ResourceSelector all = {0};
    for (size_t i = 0; i < service->selectors.count; i++)
        if (selector_equal(&service->selectors.items[i], &all))
            return fault_set(reterr, FAULT_INPUT, "selectors[%zu]: says nothing, so every resource would belong to it",
                             i);
    return FAULT_NONE;
}

static fault_code dependencies_check(const Service *service, const struct domain_call *call, struct fault *reterr) {
    const ServiceDependency *items = service->dependencies.items;
    const size_t count = service->dependencies.count;
    fault_code code = item_list_each_once(items, count, sizeof *items, "dependencies", call->arena, reterr);
    for (size_t i = 0; !code && i < count; i++) {
        const struct aggregate *other;
        if (slice_equal(items[i].service_id, service->service_id))
            return fault_set(reterr, FAULT_INPUT, "dependencies[%zu]: a service does not depend on itself", i);
        code = domain_find(call, AGGREGATE_SERVICE, items[i].service_id, &other, reterr);
        if (!code && !aggregate_exists(other))
            return fault_set(reterr, FAULT_ABSENT, "dependencies[%zu]: service '%.*s' %s", i,
                             SLICE_ARG(items[i].service_id), other->deleted ? "was deleted" : "does not exist");
    }
    return code;
}

/* Completes what was copied from an intent, and checks it. */
static fault_code complete(Service *service, const struct aggregate *aggregate, const struct domain_call *call,
                           struct fault *reterr) {
    const bool exists = aggregate_exists(aggregate);
    service->service_id = aggregate->id;
    service->has_created_at = service->has_updated_at = true;
    service->updated_at = domain_time(call->now_ms);
    service->created_at = exists ? aggregate->state.service.created_at : service->updated_at;
    service->version = (int64_t)aggregate->version + 1;
    fault_code code = service->has_on_call ? on_call_check(&service->on_call, call->arena, reterr) : FAULT_NONE;
    if (!code) code = selectors_check(service, reterr);
    return code ? code : dependencies_check(service, call, reterr);
}

fault_code service_decide_create(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                 struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    if (aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_EXISTS,
                         "service '%.*s' exists already, at version %llu; change it with UpdateService",
                         SLICE_ARG(aggregate->id), (unsigned long long)aggregate->version);
    const CreateServiceRequested *from = &intent->intent.create_service;
    struct arena *arena = call->arena;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_service_created_tag);
    fact->fact.service_created.has_service = true;
    Service *to = &fact->fact.service_created.service;
    CONTENT_COPY(SERVICE_CONTENT)
    return complete(to, aggregate, call, reterr);
}

static fault_code exists_check(const struct aggregate *aggregate, struct fault *reterr) {
    if (aggregate_exists(aggregate)) return FAULT_NONE;
    return fault_set(reterr, FAULT_ABSENT, "service '%.*s' %s", SLICE_ARG(aggregate->id),
                     aggregate->deleted ? "was deleted" : "does not exist");
}

fault_code service_decide_update(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                 struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    if (exists_check(aggregate, reterr)) return FAULT_ABSENT;
    const UpdateServiceRequested *from = &intent->intent.update_service;
    struct arena *arena = call->arena;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_service_updated_tag);
    fact->fact.service_updated.has_service = true;
    Service *to = &fact->fact.service_updated.service;
    CONTENT_COPY(SERVICE_CONTENT)
    const fault_code code = complete(to, aggregate, call, reterr);
    if (!code && service_equal(to, &aggregate->state.service)) ret_facts->count = 0;
    return code;
}

/* ---- delete ---- */

/* "'shop' (Web shop), 'app' and 7 more" */
static fault_code dependents_name(const slice *ids, size_t count, const struct domain_call *call, slice *ret_text,
                                  struct fault *reterr) {
    enum { NAME_BYTES_MAX = 40 };
    slice text = SLICE_LIT("");
    const size_t shown = count > SERVICE_DEPENDENTS_SHOWN ? SERVICE_DEPENDENTS_SHOWN : count;
    for (size_t i = 0; i < shown; i++) {
        const struct aggregate *other;
        const fault_code code = domain_find(call, AGGREGATE_SERVICE, ids[i], &other, reterr);
        if (code) return code;
        const slice name = content_shortened(other->state.service.name, NAME_BYTES_MAX);
        text = arena_format(call->arena, "%.*s%s'%.*s' (%.*s)", SLICE_ARG(text), i ? ", " : "",
                            SLICE_ARG(slice_first(ids[i], NAME_BYTES_MAX)), SLICE_ARG(name));
        if (!text.data) break;
    }
    if (text.data && count > shown)
        text = arena_format(call->arena, "%.*s and %s%zu more", SLICE_ARG(text),
                            count == SERVICE_DEPENDENTS_COUNTED ? "at least " : "", count - shown);
    if (!text.data) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    *ret_text = text;
    return FAULT_NONE;
}

fault_code service_decide_delete(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                 struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    if (exists_check(aggregate, reterr)) return FAULT_ABSENT;
    slice *ids = arena_alloc_array(call->arena, SERVICE_DEPENDENTS_COUNTED, sizeof *ids), names;
    if (!ids) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    size_t count;
    fault_code code = call->neighbours->dependents(call->neighbours->context, AGGREGATE_SERVICE, aggregate->id,
                                                   SERVICE_DEPENDENTS_COUNTED, ids, &count, reterr);
    if (!code && count) code = dependents_name(ids, count, call, &names, reterr);
    if (code) return code;
    if (count)
        return fault_set(
            reterr, FAULT_CONFLICT,
            "service '%.*s' cannot be deleted: %.*s depend%s on it; take it out of their dependencies first",
            SLICE_ARG(slice_first(aggregate->id, 64)), SLICE_ARG(names), count == 1 ? "s" : "");
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_service_deleted_tag);
    fact->fact.service_deleted = (ServiceDeleted){
        .service_id = aggregate->id, .deleted_by = call->actor, .reason = intent->intent.delete_service.reason};
    return FAULT_NONE;
}

/* ---- state ---- */

void service_index(const struct aggregate *aggregate, struct arena *arena, struct aggregate_index *ret_index) {
    const Service *service = &aggregate->state.service;
    const size_t count = service->dependencies.count;
    slice *links = count ? arena_alloc_array(arena, count, sizeof *links) : NULL;
    if (!links) return; /* the arena of a transaction is far larger than the largest service */
    for (size_t i = 0; i < count; i++) links[i] = service->dependencies.items[i].service_id;
    ret_index->links = links;
    ret_index->links_count = count;
}

void service_apply_created(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                           struct arena *arena) {
    aggregate->deleted = false;
    aggregate->state.service = fact->fact.service_created.service;
}

void service_apply_updated(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                           struct arena *arena) {
    aggregate->state.service = fact->fact.service_updated.service;
}

void service_apply_deleted(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                           struct arena *arena) {
    aggregate->deleted = true;
    aggregate->state.service = (Service){0};
}
