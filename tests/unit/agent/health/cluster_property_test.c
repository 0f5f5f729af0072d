/* SPDX-License-Identifier: Apache-2.0
 * Whatever way a cluster came to its state, the verdicts are those of the state. Random objects come, change, go and come
 * again, in random order, twice, in lists that are whole or break off, while watches are lost and the process is killed
 * between any two steps. In the end, when time has passed, each status is compared with a model that knows only the last
 * state of each object and counts with plain loops, and so is the last word that the centre heard of it. */
#include "tests/unit/agent/health/cluster_world.h"

enum { NAMESPACES = 3, WORKLOADS = 4, PODS = 5, NODES = 4, HEARD_MAX = 400, STEPS = 400 };

enum shape { ABSENT, GOOD, BAD, POOR, MUTE, SHAPES };

static const char *const pod_shapes[SHAPES] = {
    NULL,
    "{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}",
    "{\"phase\":\"Pending\",\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"waiting\":{\"reason\":"
    "\"ImagePullBackOff\"}}}]}",
    "{\"phase\":\"Pending\",\"initContainerStatuses\":[{\"name\":\"i\",\"state\":{\"running\":{\"startedAt\":\"2026-03-"
    "02T08:00:00Z\"}}}]}",
    "{\"phase\":\"Unknown\"}",
};
static const char *const deployment_shapes[SHAPES] = {
    NULL,
    "{\"replicas\":1,\"updatedReplicas\":1,\"availableReplicas\":1}",
    "{\"replicas\":1,\"updatedReplicas\":1}",
    "{\"replicas\":2,\"updatedReplicas\":1,\"availableReplicas\":1}",
    "{\"replicas\":1,\"updatedReplicas\":1,\"availableReplicas\":1}",
};
static const char *const node_shapes[SHAPES] = {
    NULL,
    "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}",
    "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}",
    "{\"conditions\":[{\"type\":\"DiskPressure\",\"status\":\"True\"},{\"type\":\"Ready\",\"status\":\"True\"}]}",
    "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"Unknown\"}]}",
};
static const enum health_status statuses[SHAPES] = {0, HEALTH_HEALTHY, HEALTH_UNHEALTHY, HEALTH_DEGRADED,
                                                    HEALTH_UNKNOWN};

struct heard {
    char id[CLUSTER_ID_BYTES + 1];
    enum health_status status;
};

struct model {
    struct world *world;
    uint64_t seed;
    enum shape namespaces[NAMESPACES], deployments[NAMESPACES][WORKLOADS], pods[NAMESPACES][WORKLOADS][PODS],
        nodes[NODES];
    unsigned ages[NAMESPACES][WORKLOADS][PODS]; /* a new one at each birth */
    struct heard heard[HEARD_MAX];
    size_t heard_count;
};

static unsigned pick(struct model *model, unsigned below) {
    return (unsigned)(check_random(&model->seed) % below);
}

static void tell(struct model *model, bool gone, const char *plural, const char *json) {
    say(model->world, gone, plural, json);
}

static void tell_pod(struct model *model, int n, int w, int p, bool gone) {
    char json[1200];
    const enum shape shape = model->pods[n][w][p];
    snprintf(json, sizeof json,
             "{\"metadata\":{\"name\":\"w%d-aa-%d\",\"namespace\":\"n%d\",\"uid\":\"%d-%d-%d-%u\",\"labels\":{\"pod-"
             "template-"
             "hash\":\"aa\"},\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"name\":\"w%d-aa\",\"controller\":true}]},"
             "\"status\":%s}",
             w, p, n, n, w, p, model->ages[n][w][p], w, shape ? pod_shapes[shape] : "{}");
    tell(model, gone, "pods", json);
}

static void tell_deployment(struct model *model, int n, int w, bool gone) {
    char json[600];
    const enum shape shape = model->deployments[n][w];
    snprintf(json, sizeof json,
             "{\"metadata\":{\"name\":\"w%d\",\"namespace\":\"n%d\",\"uid\":\"d%d-%d\"},\"status\":%s}", w, n, n, w,
             shape ? deployment_shapes[shape] : "{}");
    tell(model, gone, "deployments", json);
}

static void tell_node(struct model *model, int i, bool gone) {
    char json[600];
    const enum shape shape = model->nodes[i];
    snprintf(json, sizeof json, "{\"metadata\":{\"name\":\"m%d\",\"uid\":\"m%d\"},\"status\":%s}", i, i,
             shape ? node_shapes[shape] : "{}");
    tell(model, gone, "nodes", json);
}

static void tell_namespace(struct model *model, int n, bool gone) {
    char json[200];
    snprintf(json, sizeof json, "{\"metadata\":{\"name\":\"n%d\",\"uid\":\"n%d\"}}", n, n);
    tell(model, gone, "namespaces", json);
}

static void list(struct model *model, enum kube_kind kind, bool whole) {
    model->world->round++;
    for (int n = 0; n < NAMESPACES; n++) {
        if (!whole && pick(model, 2)) return; /* it broke off, and begins anew later */
        if (kind == KUBE_NAMESPACES && model->namespaces[n]) tell_namespace(model, n, false);
        for (int w = 0; w < WORKLOADS; w++) {
            if (kind == KUBE_DEPLOYMENTS && model->deployments[n][w]) tell_deployment(model, n, w, false);
            for (int p = 0; kind == KUBE_PODS && p < PODS; p++)
                if (model->pods[n][w][p]) tell_pod(model, n, w, p, false);
        }
    }
    for (int i = 0; kind == KUBE_NODES && i < NODES; i++)
        if (model->nodes[i]) tell_node(model, i, false);
    if (whole)
        cluster_state_list_ends(model->world->state, kind, (slice){0}, model->world->round, model->world->now_ms);
}

static void list_all(struct model *model) {
    static const enum kube_kind told[] = {KUBE_PODS, KUBE_NAMESPACES, KUBE_DEPLOYMENTS, KUBE_NODES};
    const unsigned first = pick(model, 4);
    for (unsigned i = 0; i < 4; i++) list(model, told[(first + i) % 4], true);
    watch_all(model->world, KUBE_WATCH_FRESH);
}

/* What happened, and whether anybody saw it (while the watch is cut nobody does; the next list shows it). */
static void change(struct model *model, bool seen) {
    const int n = (int)pick(model, NAMESPACES), w = (int)pick(model, WORKLOADS), p = (int)pick(model, PODS);
    const int i = (int)pick(model, NODES);
    const enum shape shape = (enum shape)pick(model, SHAPES);
    const unsigned times = 1 + pick(model, 2);
    switch (pick(model, 8)) {
    case 0:
        if (seen && !shape && model->nodes[i]) tell_node(model, i, true);
        model->nodes[i] = shape;
        for (unsigned t = 0; seen && shape && t < times; t++) tell_node(model, i, false);
        break;
    case 1:
    case 2:
        if (seen && !shape && model->deployments[n][w]) tell_deployment(model, n, w, true);
        model->deployments[n][w] = shape;
        for (unsigned t = 0; seen && shape && t < times; t++) tell_deployment(model, n, w, false);
        break;
    default:
        if (!shape && model->pods[n][w][p]) {
            for (unsigned t = 0; seen && t < times; t++) tell_pod(model, n, w, p, true);
            model->ages[n][w][p]++;
        }
        model->pods[n][w][p] = shape;
        for (unsigned t = 0; seen && shape && t < times; t++) tell_pod(model, n, w, p, false);
    }
}

static void hear(struct model *model, const struct cluster_report *report) {
    for (size_t i = 0; i < model->heard_count; i++) {
        if (strcmp(model->heard[i].id, report->id) != 0) continue;
        model->heard[i].status = report->status;
        return;
    }
    assert_true(model->heard_count < HEARD_MAX);
    memcpy(model->heard[model->heard_count].id, report->id, sizeof report->id);
    model->heard[model->heard_count++].status = report->status;
}

/* One batch, which may fail, and after which the process may be killed at the worst moment. */
static void ship(struct model *model, bool may_fail) {
    struct world *const world = model->world;
    struct cluster_batch batch;
    struct fault fault;
    cluster_state_gather(world->state, 1 + pick(model, 20), world->now_ms, &batch);
    if (!batch.count) return;
    const char *name = NULL;
    slice note = {0};
    if (batch.changed) CHECK_OK(cluster_state_note(world->state, &batch, world->arena, &name, &note, &fault));
    if (may_fail && pick(model, 6) == 0) {
        cluster_state_abort(world->state, &batch);
        return;
    }
    for (size_t i = 0; i < batch.count; i++) {
        struct cluster_report report;
        cluster_state_report(world->state, &batch, i, world->now_ms, &report);
        hear(model, &report);
    }
    if (name) world->notes[atoi(strrchr(name, '.') + 1)] = note;
    if (may_fail && pick(model, 10) == 0) { /* killed: stored, and not noticed */
        cluster_state_free(world->state);
        open_state(world);
        list_all(model);
        return;
    }
    cluster_state_commit(world->state, &batch, world->now_ms);
}

static enum health_status worst(enum health_status a, enum health_status b) {
    return cluster_severity(b) > cluster_severity(a) ? b : a;
}

struct sum {
    unsigned total, unhealthy;
    enum health_status any;
};

static void sum_add(struct sum *sum, enum health_status status) {
    sum->total++;
    sum->unhealthy += status == HEALTH_UNHEALTHY;
    /* One of several that is not healthy does not make them all unhealthy. */
    const enum health_status part = status == HEALTH_UNHEALTHY ? HEALTH_DEGRADED : status;
    sum->any = sum->any ? worst(sum->any, part) : part;
}

static enum health_status sum_of(const struct sum *sum, unsigned share) {
    if (!sum->total) return HEALTH_HEALTHY;
    return sum->unhealthy && sum->unhealthy * 100 >= share * sum->total ? HEALTH_UNHEALTHY : sum->any;
}

static void check(struct model *model, enum cluster_kind kind, const char *namespace, const char *name,
                  enum health_status expected, bool told) {
    const char *reason = "";
    const enum health_status status =
        cluster_state_status(model->world->state, kind, slice_from_text(namespace), slice_from_text(name), &reason);
    if (expected && status != expected)
        fail_msg("%s %s/%s: expected %s, is %s (%s)", cluster_kind_name(kind), namespace, name, word(expected),
                 word(status), reason);
    char id[200];
    snprintf(id, sizeof id, "k8s.prod%s%s%s%s%s%s", kind == CLUSTER_CLUSTER ? "" : ".",
             kind == CLUSTER_CLUSTER ? "" : cluster_kind_name(kind), namespace[0] ? "." : "", namespace,
             name[0] ? "." : "", name);
    for (size_t i = 0; i < model->heard_count; i++) {
        if (strcmp(model->heard[i].id, id) != 0) continue;
        const enum health_status wanted = expected ? expected : HEALTH_HEALTHY; /* deleted */
        if (model->heard[i].status != wanted)
            fail_msg("%s: the centre heard %s, it is %s", id, word(model->heard[i].status), word(wanted));
        return;
    }
    if (told && expected && !(kind == CLUSTER_POD && expected == HEALTH_HEALTHY)) fail_msg("%s: never told", id);
}

static void compare(struct model *model) {
    struct sum spaces = {0}, nodes = {0};
    for (int n = 0; n < NAMESPACES; n++) {
        char namespace[8];
        struct sum space = {0};
        snprintf(namespace, sizeof namespace, "n%d", n);
        for (int w = 0; w < WORKLOADS; w++) {
            char name[16];
            struct sum pods = {0};
            for (int p = 0; p < PODS; p++) {
                const enum health_status status = statuses[model->pods[n][w][p]];
                snprintf(name, sizeof name, "w%d-aa-%d", w, p);
                check(model, CLUSTER_POD, namespace, name, status, true);
                if (status) sum_add(&pods, status);
            }
            const enum shape shape = model->deployments[n][w];
            const enum health_status own = shape == MUTE ? HEALTH_HEALTHY : statuses[shape];
            const enum health_status status = worst(own ? own : HEALTH_HEALTHY, sum_of(&pods, 100));
            snprintf(name, sizeof name, "w%d", w);
            check(model, CLUSTER_DEPLOYMENT, namespace, name, shape ? status : 0, shape != ABSENT);
            if (shape || pods.total) sum_add(&space, status);
        }
        check(model, CLUSTER_NAMESPACE, "", namespace, sum_of(&space, 50), true);
        sum_add(&spaces, sum_of(&space, 50));
    }
    for (int i = 0; i < NODES; i++) {
        char name[8];
        const enum health_status status = statuses[model->nodes[i]];
        snprintf(name, sizeof name, "m%d", i);
        check(model, CLUSTER_NODE, "", name, status, true);
        if (status) sum_add(&nodes, model->nodes[i] == MUTE ? HEALTH_DEGRADED : status);
    }
    check(model, CLUSTER_CLUSTER, "", "", worst(sum_of(&spaces, 50), sum_of(&nodes, 50)), true);
}

static void run(uint64_t seed) {
    struct model *const model = calloc(1, sizeof *model);
    assert_non_null(model);
    model->world = world_new();
    model->seed = seed;
    for (int n = 0; n < NAMESPACES; n++) model->namespaces[n] = GOOD;
    for (int i = 0; i < 30; i++) change(model, false);
    list_all(model);
    bool cut = false;
    for (int step = 0; step < STEPS; step++) {
        const unsigned what = pick(model, 100);
        if (what < 60)
            change(model, !cut);
        else if (what < 75)
            ship(model, true);
        else if (what < 90)
            pass(model->world, 1 + (int64_t)pick(model, 40));
        else if (what < 94)
            list(model, pick(model, 2) ? KUBE_PODS : KUBE_DEPLOYMENTS, !cut && pick(model, 2));
        else if (what < 96)
            cut = true;
        else if (what < 97)
            watch_all(model->world, KUBE_WATCH_STALE);
        else
            cut = false;
        if (what >= 97) list_all(model);
    }
    list_all(model);
    for (int i = 0; i < 400; i++) { /* all patience, and the calm after flapping */
        model->world->now_ms += 10000;
        cluster_state_tick(model->world->state, model->world->now_ms);
    }
    for (int i = 0; i < 100; i++) {
        struct cluster_state_stats stats;
        ship(model, false);
        cluster_state_stats(model->world->state, &stats);
    }
    compare(model);
    world_free(model->world);
    free(model);
}

TEST(verdicts_are_those_of_the_last_state) {
    uint64_t seed = check_seed();
    for (int i = 0; i < 60; i++) {
        const uint64_t one = check_random(&seed);
        run(one);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_are_those_of_the_last_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
