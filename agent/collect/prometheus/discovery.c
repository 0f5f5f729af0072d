/* SPDX-License-Identifier: Apache-2.0
 * What is found is a table of targets, each with the object that it comes from (its owner) and the round of the list that
 * it was last seen in. An object that comes is compared with what its owner had: who is no longer in it leaves, who is new
 * joins. At the end of a list, whoever was not in it leaves.
 *
 * Monitors are watched first; only when all are known are pods (or EndpointSlices) listened to. A monitor that changes may
 * concern any of them, and nothing is kept of those that were no targets: so they are listened to anew, which lists them
 * again, a moment later, once for all changes in between.
 *
 * Two owners may name one target (two slices of two Services): the second is its twin, and joins when the first goes. */
#include "agent/collect/prometheus/discovery.h"

#include "agent/collect/prometheus/monitor_parts.h"
#include "agent/collect/prometheus/pod_ports.h"
#include "common/base/checksum.h"

#include <stdio.h>
#include <stdlib.h>

enum { SETTLE_MS = 500, RETRY_MS = 10 * 1000, SCOPES_MAX = 2 * 16 + 2, NAMESPACE_BYTES = 64, WHY_BYTES = 200 };

struct found {
    uint64_t owner, incarnation, hash; /* hash: of the name */
    char *name, *url;                  /* one block */
    int64_t interval_ms, timeout_ms;
    size_t number;
    uint8_t round;
    bool joined, ending;
};

struct scope {
    enum kube_kind kind;
    char namespace[NAMESPACE_BYTES];
    enum kube_watch_state state;
    uint8_t round;
    bool begun, whole; /* a list has begun; one has ended, since we listen */
    size_t beyond;     /* targets in it that were not kept */
    char why[WHY_BYTES];
};

struct discovery {
    struct loop *loop;
    struct kube_cluster *cluster;
    struct discovery_config config;
    struct http_tls tls;
    struct http_auth auth;
    struct target_sink sink;
    bool sink_given, known;
    char why[WHY_BYTES];
    struct kube_listener *monitors_listener, *objects_listener;
    struct pod_ports *ports;     /* servicemonitors only, else NULL */
    bool ports_begun, ports_due; /* somebody asked for ports; they shall be looked at anew before objects are */
    struct loop_timer *timer;
    bool relist; /* the timer shall listen to objects anew */
    struct monitor *monitors[DISCOVERY_MONITORS_MAX];
    size_t monitors_count, monitors_beyond;
    struct scope scopes[SCOPES_MAX];
    size_t scopes_count;
    struct found *found;
    size_t found_count, found_max;
    struct pod_target_list list; /* of the object at hand */
    uint64_t skipped;
    struct fault last_skip;
};

static bool by_monitors(const struct discovery *discovery) {
    return discovery->config.settings->mode != DISCOVERY_ANNOTATIONS;
}

static enum kube_kind monitors_kind(const struct discovery *discovery) {
    return discovery->config.settings->mode == DISCOVERY_PODMONITORS ? KUBE_PODMONITORS : KUBE_SERVICEMONITORS;
}

static enum kube_kind objects_kind(const struct discovery *discovery) {
    return discovery->config.settings->mode == DISCOVERY_SERVICEMONITORS ? KUBE_ENDPOINTSLICES : KUBE_PODS;
}

static void on_timer(void *context);
static bool is_port_wanted(void *context, slice name, int32_t number);
static void on_ports_changed(void *context, bool answers);
static fault_code listen_monitors(struct discovery *discovery, struct fault *reterr);
static fault_code listen_objects(struct discovery *discovery, struct fault *reterr);

fault_code discovery_new(struct loop *loop, struct kube_cluster *cluster, const struct discovery_config *config,
                         struct discovery **ret_discovery, struct fault *reterr) {
    struct discovery *const discovery = calloc(1, sizeof *discovery);
    if (!discovery) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    discovery->loop = loop;
    discovery->cluster = cluster;
    discovery->config = *config;
    access_settings_use(&config->settings->access, &discovery->tls, &discovery->auth);
    discovery->found_max = (size_t)config->settings->targets_max;
    discovery->found = calloc(discovery->found_max, sizeof *discovery->found);
    discovery->timer = loop_timer_new(loop, on_timer, discovery);
    snprintf(discovery->why, sizeof discovery->why, "nothing is known yet");
    const struct pod_ports_calls calls = {is_port_wanted, on_ports_changed, discovery};
    const bool by_ports = config->settings->mode == DISCOVERY_SERVICEMONITORS;
    if (by_ports) discovery->ports = pod_ports_new(cluster, &calls);
    fault_code code = discovery->found && discovery->timer && (discovery->ports || !by_ports)
                          ? FAULT_NONE
                          : fault_set(reterr, FAULT_SYSTEM, "out of memory");
    if (!code) code = by_monitors(discovery) ? listen_monitors(discovery, reterr) : listen_objects(discovery, reterr);
    if (code) {
        discovery_free(discovery);
        return fault_wrap(reterr, "discovery '%.*s'", SLICE_ARG(config->settings->name));
    }
    *ret_discovery = discovery;
    return FAULT_NONE;
}

struct discovery *discovery_free(struct discovery *discovery) {
    if (!discovery) return NULL;
    kube_watch_unlisten(discovery->objects_listener);
    kube_watch_unlisten(discovery->monitors_listener);
    pod_ports_free(discovery->ports);
    if (discovery->timer) loop_timer_free(discovery->timer);
    for (size_t i = 0; i < discovery->monitors_count; i++) monitor_free(discovery->monitors[i]);
    for (size_t i = 0; discovery->found && i < discovery->found_count; i++) free(discovery->found[i].name);
    free(discovery->found);
    free(discovery);
    return NULL;
}

/* ---- whether all are known ---- */

static size_t count_refused(const struct discovery *discovery);

static bool scopes_whole(const struct discovery *discovery, enum kube_kind kind, const struct scope **ret_not) {
    bool any = false;
    for (size_t i = 0; i < discovery->scopes_count; i++) {
        const struct scope *const scope = &discovery->scopes[i];
        if (scope->kind != kind) continue;
        any = true;
        *ret_not = scope;
        if (!scope->whole || scope->state != KUBE_WATCH_FRESH) return false;
    }
    return any;
}

static void say_why(const struct discovery *discovery, const struct scope *scope, char text[WHY_BYTES]) {
    if (!scope)
        snprintf(text, WHY_BYTES, "nothing is known yet");
    else if (scope->why[0])
        snprintf(text, WHY_BYTES, "%s", scope->why);
    else
        snprintf(text, WHY_BYTES, "the watch of %s is %s", kube_resource(scope->kind)->plural,
                 scope->state == KUBE_WATCH_FRESH ? "being read" : kube_watch_state_name(scope->state));
}

static bool all_known(const struct discovery *discovery, char text[WHY_BYTES]) {
    const struct scope *open = NULL;
    size_t beyond = 0;
    if ((by_monitors(discovery) && !scopes_whole(discovery, monitors_kind(discovery), &open)) ||
        !scopes_whole(discovery, objects_kind(discovery), &open) || discovery->relist) {
        say_why(discovery, open, text);
        return false;
    }
    if (discovery->ports && pod_ports_dark(discovery->ports, text, WHY_BYTES)) return false;
    for (size_t i = 0; i < discovery->scopes_count; i++) beyond += discovery->scopes[i].beyond;
    const size_t refused = count_refused(discovery);
    if (beyond + refused + discovery->monitors_beyond == 0) return true;
    snprintf(text, WHY_BYTES, "%zu targets more than targets_max (%zu), and %zu monitors more than %d, are left out",
             beyond + refused, discovery->found_max, discovery->monitors_beyond, DISCOVERY_MONITORS_MAX);
    return false;
}

static void judge(struct discovery *discovery) {
    char why[WHY_BYTES] = "";
    const bool known = all_known(discovery, why);
    if (known) monitors_note(discovery->monitors, discovery->monitors_count, why, sizeof why);
    const bool news = known != discovery->known || strcmp(why, discovery->why) != 0;
    const bool was_known = discovery->known;
    discovery->known = known;
    memcpy(discovery->why, why, sizeof why);
    if (!discovery->sink_given || !news) return;
    if (known != was_known && known) discovery->sink.fresh(discovery->sink.context, discovery->config.group);
    if (known != was_known && !known) discovery->sink.stale(discovery->sink.context, discovery->config.group);
    if (discovery->config.state)
        discovery->config.state(discovery->config.context, discovery->config.group, known, why);
}

/* ---- who is there ---- */

static bool has_joined_twin(const struct discovery *discovery, const struct found *one) {
    for (size_t i = 0; i < discovery->found_count; i++)
        if (&discovery->found[i] != one && discovery->found[i].joined && discovery->found[i].hash == one->hash &&
            strcmp(discovery->found[i].name, one->name) == 0)
            return true;
    return false;
}

static size_t count_refused(const struct discovery *discovery) {
    size_t count = 0;
    for (size_t i = 0; i < discovery->found_count; i++)
        count += !discovery->found[i].joined && !has_joined_twin(discovery, &discovery->found[i]);
    return discovery->sink_given ? count : 0;
}

static void try_join(struct discovery *discovery, struct found *one) {
    const struct discovery_settings *const settings = discovery->config.settings;
    if (!discovery->sink_given || one->joined || has_joined_twin(discovery, one)) return;
    const struct sink_target target = {
        .name = slice_from_text(one->name),
        .incarnation = one->incarnation,
        .url = one->url,
        .interval_ms = one->interval_ms ? one->interval_ms : discovery->config.interval_ms,
        .timeout_ms = one->timeout_ms ? one->timeout_ms : discovery->config.timeout_ms,
        .body_bytes_max = (uint64_t)discovery->config.bytes_max,
        .tls = &discovery->tls,
        .auth = &discovery->auth,
        .fallback = (enum exposition_format)settings->fallback_format,
    };
    struct fault fault;
    one->joined = discovery->sink.join(discovery->sink.context, discovery->config.group, &target, &one->number,
                                       &fault) == FAULT_NONE;
    if (one->joined && one->ending) discovery->sink.ending(discovery->sink.context, one->number);
    if (!one->joined) loop_timer_set(discovery->timer, RETRY_MS);
}

void discovery_use(struct discovery *discovery, const struct target_sink *sink) {
    discovery->sink_given = sink != NULL;
    if (sink) discovery->sink = *sink;
    for (size_t i = 0; i < discovery->found_count; i++) discovery->found[i].joined = false;
    for (size_t i = 0; i < discovery->found_count; i++) try_join(discovery, &discovery->found[i]);
    discovery->known = false;
    discovery->why[0] = '\0';
    judge(discovery);
    if (sink && !discovery->known) sink->stale(sink->context, discovery->config.group);
}

static void remove_at(struct discovery *discovery, size_t at) {
    struct found gone = discovery->found[at];
    discovery->found[at] = discovery->found[--discovery->found_count];
    if (gone.joined && discovery->sink_given) discovery->sink.leave(discovery->sink.context, gone.number);
    bool beyond = false;
    for (size_t i = 0; i < discovery->scopes_count; i++) beyond |= discovery->scopes[i].beyond > 0;
    if (beyond) { /* somebody else may come now */
        discovery->relist = true;
        loop_timer_set(discovery->timer, RETRY_MS);
    }
    for (size_t i = 0; gone.joined && i < discovery->found_count; i++)
        if (strcmp(discovery->found[i].name, gone.name) == 0) try_join(discovery, &discovery->found[i]);
    free(gone.name);
}

static bool is_same(const struct found *one, const struct pod_target *target) {
    return one->incarnation == target->incarnation && one->interval_ms == target->interval_ms &&
           one->timeout_ms == target->timeout_ms && strcmp(one->name, target->name) == 0 &&
           strcmp(one->url, target->url) == 0;
}

static bool add(struct discovery *discovery, uint64_t owner, uint8_t round, const struct pod_target *target) {
    if (discovery->found_count == discovery->found_max) return false;
    const size_t name_bytes = strlen(target->name) + 1, url_bytes = strlen(target->url) + 1;
    char *const text = malloc(name_bytes + url_bytes);
    if (!text) return false;
    memcpy(text, target->name, name_bytes);
    memcpy(text + name_bytes, target->url, url_bytes);
    struct found *const one = &discovery->found[discovery->found_count++];
    *one = (struct found){.owner = owner,
                          .incarnation = target->incarnation,
                          .hash = hash_bytes(slice_from_text(target->name), 1),
                          .name = text,
                          .url = text + name_bytes,
                          .interval_ms = target->interval_ms,
                          .timeout_ms = target->timeout_ms,
                          .round = round,
                          .ending = target->ending};
    try_join(discovery, one);
    return true;
}

/* The owner is these targets now. How many had no room. */
static size_t apply(struct discovery *discovery, uint64_t owner, uint8_t round) {
    struct pod_target_list *const list = &discovery->list;
    bool there[POD_TARGETS_MAX] = {false};
    size_t beyond = 0;
    for (size_t i = discovery->found_count; i-- > 0;) {
        struct found *const one = &discovery->found[i];
        if (one->owner != owner) continue;
        size_t t = 0;
        while (t < list->count && !is_same(one, &list->all[t])) t++;
        if (t == list->count) {
            remove_at(discovery, i);
            continue;
        }
        there[t] = true;
        one->round = round;
        if (list->all[t].ending && !one->ending && one->joined && discovery->sink_given)
            discovery->sink.ending(discovery->sink.context, one->number);
        one->ending = list->all[t].ending;
    }
    for (size_t t = 0; t < list->count; t++)
        if (!there[t] && !add(discovery, owner, round, &list->all[t])) beyond++;
    return beyond;
}

/* ---- what the watches say ---- */

static struct scope *scope_of(struct discovery *discovery, const struct kube_scope *from) {
    const enum kube_kind kind = from->resource->id;
    for (size_t i = 0; i < discovery->scopes_count; i++)
        if (discovery->scopes[i].kind == kind && slice_equal_text(from->namespace, discovery->scopes[i].namespace))
            return &discovery->scopes[i];
    if (discovery->scopes_count == SCOPES_MAX || from->namespace.size >= NAMESPACE_BYTES) return NULL;
    struct scope *const scope = &discovery->scopes[discovery->scopes_count++];
    *scope = (struct scope){.kind = kind};
    snprintf(scope->namespace, sizeof scope->namespace, "%.*s", SLICE_ARG(from->namespace));
    return scope;
}

static void on_list_begins(void *context, const struct kube_scope *from, uint8_t round) {
    struct scope *const scope = scope_of(context, from);
    if (!scope) return;
    scope->round = round;
    scope->begun = true;
    scope->beyond = 0;
}

static void on_state(void *context, const struct kube_scope *from, enum kube_watch_state state, int64_t since_ms,
                     const struct fault *why) {
    struct discovery *const discovery = context;
    struct scope *const scope = scope_of(discovery, from);
    if (!scope) return;
    scope->state = state;
    snprintf(scope->why, sizeof scope->why, "%s", why && why->code ? why->text : "");
    if (discovery->relist && state == KUBE_WATCH_FRESH) loop_timer_set(discovery->timer, SETTLE_MS);
    judge(discovery);
}

static bool in_namespaces(const struct discovery_settings *settings, slice namespace) {
    for (size_t i = 0; i < settings->namespaces.count; i++)
        if (slice_equal(settings->namespaces.items[i], namespace)) return true;
    return settings->namespaces.count == 0;
}

static uint64_t owner_of(const KubeMeta *meta) {
    return hash_bytes(meta->name, hash_bytes(meta->namespace, 1));
}

static void find_targets(struct discovery *discovery, const void *message) {
    const struct discovery_settings *const settings = discovery->config.settings;
    const slice node = discovery->config.node;
    if (settings->mode == DISCOVERY_ANNOTATIONS) {
        pod_targets_annotated(settings, node, message, &discovery->list);
        return;
    }
    for (size_t i = 0; i < discovery->monitors_count; i++)
        if (settings->mode == DISCOVERY_PODMONITORS)
            pod_targets_monitored(settings, node, discovery->monitors[i], message, &discovery->list);
        else
            slice_targets_monitored(settings, node, discovery->monitors[i], message, discovery->ports,
                                    &discovery->list);
}

/* ---- ports of pods ---- */

static bool is_port_wanted(void *context, slice name, int32_t number) {
    const struct discovery *const discovery = context;
    for (size_t i = 0; i < discovery->monitors_count; i++)
        if (monitor_wants_port(discovery->monitors[i], name, number)) return true;
    return false;
}

static void on_ports_changed(void *context, bool answers) {
    struct discovery *const discovery = context;
    discovery->relist |= answers;
    if (discovery->relist) loop_timer_set(discovery->timer, SETTLE_MS);
    judge(discovery);
}

static void look_at_ports(struct discovery *discovery) {
    discovery->ports_due = discovery->relist = true;
    loop_timer_set(discovery->timer, SETTLE_MS);
}

/* Whether objects can be looked at: all that is to be known of ports is. False: on_ports_changed or the timer goes on. */
static bool ports_ready(struct discovery *discovery) {
    struct fault fault;
    if (!discovery->ports) return true;
    if (discovery->ports_due && pod_ports_refresh(discovery->ports, &fault)) {
        loop_timer_set(discovery->timer, RETRY_MS);
        return false;
    }
    discovery->ports_due = false;
    return pod_ports_settled(discovery->ports);
}

/* ---- objects ---- */

static void on_object(void *context, const struct kube_object *object) {
    struct discovery *const discovery = context;
    struct scope *const scope = scope_of(discovery, object->scope);
    discovery->list.count = discovery->list.skipped = 0;
    if (in_namespaces(discovery->config.settings, object->meta->namespace)) find_targets(discovery, object->message);
    discovery->skipped += discovery->list.skipped;
    if (discovery->list.skipped) discovery->last_skip = discovery->list.why;
    if (discovery->ports && !discovery->ports_begun && !pod_ports_settled(discovery->ports)) {
        discovery->ports_begun = true; /* the first that asked */
        look_at_ports(discovery);
    }
    const size_t beyond = apply(discovery, owner_of(object->meta), object->round);
    if (scope) scope->beyond += beyond;
    if (!object->listed) judge(discovery);
}

static void on_object_deleted(void *context, const struct kube_object *object) {
    struct discovery *const discovery = context;
    discovery->list.count = 0;
    (void)apply(discovery, owner_of(object->meta), object->round);
    judge(discovery);
}

/* Names begin with their namespace. */
static bool is_in(const struct found *one, const char *namespace) {
    const size_t size = strlen(namespace);
    return size == 0 || (strncmp(one->name, namespace, size) == 0 && one->name[size] == '/');
}

static void on_list_ends(void *context, const struct kube_scope *from, uint8_t round) {
    struct discovery *const discovery = context;
    struct scope *const scope = scope_of(discovery, from);
    if (!scope || !scope->begun || scope->round != round) return;
    scope->whole = true;
    for (size_t i = discovery->found_count; i-- > 0;) /* who is removed makes room for one that was looked at already */
        if (discovery->found[i].round != round && is_in(&discovery->found[i], scope->namespace))
            remove_at(discovery, i);
    judge(discovery);
}

static const struct kube_listener_calls object_calls = {.list_begins = on_list_begins,
                                                        .object = on_object,
                                                        .deleted = on_object_deleted,
                                                        .list_ends = on_list_ends,
                                                        .state = on_state};

static fault_code listen_objects(struct discovery *discovery, struct fault *reterr) {
    struct kube_listener_calls calls = object_calls;
    calls.context = discovery;
    discovery->objects_listener = kube_watch_unlisten(discovery->objects_listener);
    for (size_t i = 0; i < discovery->scopes_count; i++)
        if (discovery->scopes[i].kind == objects_kind(discovery))
            discovery->scopes[i].begun = discovery->scopes[i].whole = false;
    for (size_t i = 0; i < discovery->monitors_count; i++) monitor_forget_found(discovery->monitors[i]);
    return kube_watch_listen(discovery->cluster, objects_kind(discovery), &calls, &discovery->objects_listener, reterr);
}

/* ---- monitors ---- */

static void monitors_changed(struct discovery *discovery) {
    discovery->relist = discovery->ports_due = true;
    loop_timer_set(discovery->timer, SETTLE_MS);
    judge(discovery);
}

static size_t monitor_at(const struct discovery *discovery, const KubeMeta *meta) {
    size_t at = 0;
    while (at < discovery->monitors_count && !(slice_equal(discovery->monitors[at]->name, meta->name) &&
                                               slice_equal(discovery->monitors[at]->namespace, meta->namespace)))
        at++;
    return at;
}

static void monitor_remove(struct discovery *discovery, size_t at) {
    monitor_free(discovery->monitors[at]);
    discovery->monitors[at] = discovery->monitors[--discovery->monitors_count];
}

static void note_monitor(struct discovery *discovery, const KubeMeta *meta, const struct fault *note) {
    discovery->skipped++;
    discovery->last_skip = *note;
    (void)fault_wrap(&discovery->last_skip, "monitor %.*s/%.*s", SLICE_ARG(slice_first(meta->namespace, 63)),
                     SLICE_ARG(slice_first(meta->name, 100)));
}

static void on_monitor(void *context, const struct kube_object *object) {
    struct discovery *const discovery = context;
    struct monitor *monitor = NULL;
    struct fault note = {0}, fault = {0};
    const size_t at = monitor_at(discovery, object->meta);
    const bool wanted = pod_has_labels(object->meta, &discovery->config.settings->labels);
    if (at < discovery->monitors_count && object->listed && wanted &&
        slice_equal(discovery->monitors[at]->version, object->meta->resource_version)) {
        discovery->monitors[at]->round = object->round; /* the same as before */
        return;
    }
    if (at < discovery->monitors_count) monitor_remove(discovery, at);
    const fault_code code =
        wanted ? monitor_new(monitors_kind(discovery), object->message, &monitor, &note, &fault) : FAULT_NONE;
    if (code) note = fault;
    if (note.code) note_monitor(discovery, object->meta, &note);
    if (monitor && discovery->monitors_count == DISCOVERY_MONITORS_MAX) {
        monitor = monitor_free(monitor);
        discovery->monitors_beyond++;
    }
    if (monitor) {
        monitor->round = object->round;
        discovery->monitors[discovery->monitors_count++] = monitor;
    }
    monitors_changed(discovery);
}

static void on_monitor_deleted(void *context, const struct kube_object *object) {
    struct discovery *const discovery = context;
    const size_t at = monitor_at(discovery, object->meta);
    if (at == discovery->monitors_count) return;
    monitor_remove(discovery, at);
    monitors_changed(discovery);
}

static void on_monitors_begin(void *context, const struct kube_scope *from, uint8_t round) {
    ((struct discovery *)context)->monitors_beyond = 0;
    on_list_begins(context, from, round);
}

static void on_monitors_end(void *context, const struct kube_scope *from, uint8_t round) {
    struct discovery *const discovery = context;
    struct scope *const scope = scope_of(discovery, from);
    if (!scope || !scope->begun || scope->round != round) return;
    bool changed = !scope->whole;
    scope->whole = true;
    for (size_t i = discovery->monitors_count; i-- > 0;) {
        const struct monitor *const monitor = discovery->monitors[i];
        if (monitor->round == round || (scope->namespace[0] && !slice_equal_text(monitor->namespace, scope->namespace)))
            continue;
        monitor_remove(discovery, i);
        changed = true;
    }
    if (changed) monitors_changed(discovery);
}

static fault_code listen_monitors(struct discovery *discovery, struct fault *reterr) {
    const struct kube_listener_calls calls = {.list_begins = on_monitors_begin,
                                              .object = on_monitor,
                                              .deleted = on_monitor_deleted,
                                              .list_ends = on_monitors_end,
                                              .state = on_state,
                                              .context = discovery};
    return kube_watch_listen(discovery->cluster, monitors_kind(discovery), &calls, &discovery->monitors_listener,
                             reterr);
}

static void on_timer(void *context) {
    struct discovery *const discovery = context;
    const struct scope *open = NULL;
    struct fault fault;
    for (size_t i = 0; i < discovery->found_count; i++) try_join(discovery, &discovery->found[i]);
    /* As long as not all monitors are known, the one that is still to come sets the timer. */
    if (discovery->relist &&
        (!by_monitors(discovery) || scopes_whole(discovery, monitors_kind(discovery), &open) ||
         discovery->objects_listener) &&
        ports_ready(discovery)) {
        discovery->relist = false;
        if (listen_objects(discovery, &fault)) {
            discovery->relist = true;
            loop_timer_set(discovery->timer, RETRY_MS);
        }
    }
    judge(discovery);
}

void discovery_stats(const struct discovery *discovery, struct discovery_stats *ret_stats) {
    *ret_stats = (struct discovery_stats){.targets = discovery->found_count,
                                          .refused = count_refused(discovery),
                                          .monitors = discovery->monitors_count,
                                          .skipped = discovery->skipped,
                                          .known = discovery->known,
                                          .last_skip = discovery->last_skip};
    for (size_t i = 0; i < discovery->scopes_count; i++) ret_stats->beyond += discovery->scopes[i].beyond;
}
