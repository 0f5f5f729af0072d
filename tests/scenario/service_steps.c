/* SPDX-License-Identifier: Apache-2.0
 * Sentences about the service catalog. */
#include "tests/scenario/step.h"

enum { IDS_MAX = 16 };

/* "shop cart": two dependencies. */
static size_t dependencies_of(slice words, ServiceDependency items[IDS_MAX]) {
    size_t count = 0;
    while (words.size && count < IDS_MAX) {
        const uint8_t *space = memchr(words.data, ' ', words.size);
        const size_t size = space ? (size_t)(space - words.data) : words.size;
        items[count++] = (ServiceDependency){.service_id = slice_first(words, size), .critical = true};
        words = slice_from(words, size + 1);
    }
    return count;
}

static bool create(struct scenario *s, slice name, slice depends_on) {
    ServiceDependency items[IDS_MAX];
    SreDomainIntent intent = {.which_intent = SreDomainIntent_create_service_tag};
    CreateServiceRequested *r = &intent.intent.create_service;
    r->service_id = s->words[2];
    r->name = name;
    r->tier = SERVICE_TIER_HIGH;
    r->dependencies.items = items;
    r->dependencies.count = dependencies_of(depends_on, items);
    return step_send(s, &intent);
}

static bool service_enter(struct scenario *s) {
    return create(s, s->words[2], (slice){0});
}

static bool service_enter_named(struct scenario *s) {
    return create(s, s->words[3], (slice){0});
}

static bool service_enter_depending(struct scenario *s) {
    return create(s, s->words[2], s->words[3]);
}

static bool update(struct scenario *s, slice name, slice depends_on, const OnCallSchedule *on_call) {
    ServiceDependency items[IDS_MAX];
    SreDomainIntent intent = {.which_intent = SreDomainIntent_update_service_tag};
    UpdateServiceRequested *r = &intent.intent.update_service;
    r->service_id = s->words[2];
    r->name = name;
    r->tier = SERVICE_TIER_HIGH;
    r->dependencies.items = items;
    r->dependencies.count = dependencies_of(depends_on, items);
    r->has_on_call = on_call != NULL;
    if (on_call) r->on_call = *on_call;
    return step_send(s, &intent);
}

static bool service_rename(struct scenario *s) {
    return update(s, s->words[3], (slice){0}, NULL);
}

static bool service_depend(struct scenario *s) {
    return update(s, s->words[2], s->words[3], NULL);
}

/* who, tenant, service, somebody, minute, minute, somebody, minute, minute */
static bool service_shifts(struct scenario *s) {
    OnCallShift shifts[2];
    for (int i = 0; i < 2; i++)
        shifts[i] = (OnCallShift){.responder = s->words[3 + 3 * i],
                                  .has_starts_at = true,
                                  .starts_at = domain_time(step_minute_ms(s->words[4 + 3 * i])),
                                  .has_ends_at = true,
                                  .ends_at = domain_time(step_minute_ms(s->words[5 + 3 * i]))};
    const OnCallSchedule schedule = {.shifts = {.items = shifts, .count = 2}};
    return update(s, s->words[2], (slice){0}, &schedule);
}

/* who, tenant, somebody, somebody, days, service, zone */
static bool rotate(struct scenario *s, bool begun) {
    slice names[2] = {s->words[2], s->words[3]};
    const OnCallSchedule schedule = {.time_zone = s->words[6],
                                     .rotation = {.items = names, .count = 2},
                                     .rotation_days = (int32_t)step_number(s->words[4]),
                                     .has_rotation_starts_at = begun,
                                     .rotation_starts_at = domain_time(JOURNAL_NOW_MS)};
    s->words[2] = s->words[5];
    return update(s, s->words[2], (slice){0}, &schedule);
}

static bool service_rotate(struct scenario *s) {
    return rotate(s, true);
}

static bool service_rotate_unbegun(struct scenario *s) {
    return rotate(s, false);
}

static bool service_select_all(struct scenario *s) {
    ResourceSelector selector = {0};
    SreDomainIntent intent = {.which_intent = SreDomainIntent_update_service_tag};
    UpdateServiceRequested *r = &intent.intent.update_service;
    r->service_id = r->name = s->words[2];
    r->selectors.items = &selector;
    r->selectors.count = 1;
    return step_send(s, &intent);
}

static bool service_delete(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_delete_service_tag};
    intent.intent.delete_service.service_id = s->words[2];
    intent.intent.delete_service.reason = SLICE_LIT("switched off");
    return step_send(s, &intent);
}

static bool service_read(struct scenario *s, Service *service) {
    return step_read(s, "service", s->words[0], SLICE_LIT("acme"), &Service_desc, service);
}

static bool service_named(struct scenario *s) {
    Service service;
    if (!service_read(s, &service)) return false;
    return slice_equal(service.name, s->words[1]) || step_fails(s, "its name is %.*s", SLICE_ARG(service.name));
}

static bool service_depends(struct scenario *s) {
    Service service;
    ServiceDependency wanted[IDS_MAX];
    if (!service_read(s, &service)) return false;
    const size_t count = dependencies_of(s->words[1], wanted);
    if (service.dependencies.count != count) return step_fails(s, "it has %zu", service.dependencies.count);
    for (size_t i = 0; i < count; i++)
        if (!slice_equal(service.dependencies.items[i].service_id, wanted[i].service_id))
            return step_fails(s, "it depends on %.*s", SLICE_ARG(service.dependencies.items[i].service_id));
    return true;
}

static bool service_first_on_call(struct scenario *s) {
    Service service;
    if (!service_read(s, &service)) return false;
    if (!service.on_call.shifts.count) return step_fails(s, "nobody is");
    const slice first = service.on_call.shifts.items[0].responder;
    return slice_equal(first, s->words[1]) || step_fails(s, "it is %.*s", SLICE_ARG(first));
}

static bool service_version(struct scenario *s) {
    Service service;
    if (!service_read(s, &service)) return false;
    return service.version == (int64_t)step_number(s->words[1]) ||
           step_fails(s, "it is %lld", (long long)service.version);
}

static bool service_absent(struct scenario *s) {
    Service service;
    if (!step_read(s, "service", s->words[0], s->words[1], &Service_desc, &service)) return true;
    return step_fails(s, "it does");
}

const struct step_row service_steps[] = {
    {"{who} of {tenant} enters service {id}", service_enter},
    {"{who} of {tenant} enters service {id} named {name}", service_enter_named},
    {"{who} of {tenant} enters service {id} that depends on {ids}", service_enter_depending},
    {"{who} of {tenant} renames service {id} to {name}", service_rename},
    {"{who} of {tenant} lets service {id} depend on {ids}", service_depend},
    {"{who} of {tenant} puts on call for service {id} : {who} from minute {m} to {m} , {who} from minute {m} to {m}",
     service_shifts},
    {"{who} of {tenant} lets {who} and {who} take turns of {n} days for service {id} in {zone}", service_rotate},
    {"{who} of {tenant} lets {who} and {who} take turns of {n} days for service {id} in {zone} , from no day on",
     service_rotate_unbegun},
    {"{who} of {tenant} gives service {id} a selector that says nothing", service_select_all},
    {"{who} of {tenant} deletes service {id}", service_delete},
    {"service {id} is named {name}", service_named},
    {"service {id} depends on {ids}", service_depends},
    {"the first on call for service {id} is {who}", service_first_on_call},
    {"service {id} is at version {n}", service_version},
    {"service {id} does not exist for {tenant}", service_absent},
    {NULL, NULL},
};
