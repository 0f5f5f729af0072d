/* SPDX-License-Identifier: Apache-2.0
 * A cluster as the centre sees it: roll-up, patience, flapping, stale watches, deletions, restarts, events. Each test
 * speaks in objects as JSON and in what is reported. */
#include "agent/health/event_memory.h"
#include "tests/unit/agent/health/cluster_world.h"

#define DEPLOYMENT                                                                                                     \
    "{\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\"},\"spec\":{\"replicas\":2},\"status\":{\"replicas\":2,"    \
    "\"updatedReplicas\":2,\"availableReplicas\":2}}"
#define POD(name, rest)                                                                                                \
    "{\"metadata\":{\"name\":\"" name "\",\"uid\":\"u-" name                                                           \
    "\",\"namespace\":\"shop\",\"labels\":{\"pod-template-hash\":\"5d4f\"},\"ownerReferences\":[{\"kind\":"            \
    "\"ReplicaSet\",\"name\":\"web-5d4f\",\"controller\":true}]}," rest "}"
#define READY "\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}"
#define CRASHING                                                                                                       \
    "\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}],"                    \
    "\"containerStatuses\":[{\"name\":\"c\",\"restartCount\":5,\"state\":{\"waiting\":{\"reason\":"                    \
    "\"CrashLoopBackOff\"}}}]}"

static void a_small_cluster(struct world *world) {
    HAS(world, "pods", POD("web-5d4f-1", READY));
    HAS(world, "pods", POD("web-5d4f-2", READY));
    HAS(world, "nodes",
        "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    HAS(world, "nodes",
        "{\"metadata\":{\"name\":\"n2\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    HAS(world, "nodes",
        "{\"metadata\":{\"name\":\"n3\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    HAS(world, "namespaces", "{\"metadata\":{\"name\":\"shop\"}}");
    HAS(world, "namespaces", "{\"metadata\":{\"name\":\"kube-system\"}}");
    HAS(world, "namespaces", "{\"metadata\":{\"name\":\"monitoring\"}}");
    HAS(world, "deployments", DEPLOYMENT);
    HAS(world, "deployments", "{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\"},\"spec\":{\"replicas\":0}}");
    HAS(world, "deployments", "{\"metadata\":{\"name\":\"mail\",\"namespace\":\"shop\"},\"spec\":{\"replicas\":0}}");
}

TEST(nothing_is_said_before_every_list_is_there) {
    struct world *const world = world_new();
    a_small_cluster(world);
    pass(world, 30);
    flush(world);
    assert_int_equal(world->said_count, 0);
    began(world);
    flush(world);
    CHECK_SAID(world, "k8s.prod HEALTHY Observed");
    CHECK_SAID(world, "k8s.prod.namespace.shop HEALTHY Active");
    CHECK_SAID(world, "k8s.prod.node.n1 HEALTHY Ready");
    CHECK_SAID(world, "k8s.prod.deployment.shop.web HEALTHY Available");
    CHECK_SAID(world, "k8s.prod.deployment.shop.db HEALTHY ScaledToZero");
    assert_int_equal(world->said_count, 10); /* and no pods */
    flush(world);
    assert_int_equal(world->said_count, 0);
    world_free(world);
}

TEST(a_bad_pod_is_carried_up_and_back) {
    struct world *const world = world_new();
    a_small_cluster(world);
    began(world);
    flush(world);
    HAS(world, "pods", POD("web-5d4f-1", CRASHING));
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 UNHEALTHY CrashLoopBackOff");
    CHECK_SAID(world, "k8s.prod.deployment.shop.web DEGRADED Below");
    CHECK_SAID(world, "k8s.prod.namespace.shop DEGRADED Below");
    CHECK_SAID(world, "k8s.prod DEGRADED Below");
    assert_int_equal(world->said_count, 4);
    HAS(world, "pods", POD("web-5d4f-2", CRASHING));
    flush(world);
    CHECK_SAID(world, "k8s.prod.deployment.shop.web UNHEALTHY Below"); /* all of them */
    assert_int_equal(world->said_count, 2);                            /* one of three workloads: degraded as before */
    HAS(world, "pods", POD("web-5d4f-1", READY));
    HAS(world, "pods", POD("web-5d4f-2", READY));
    pass(world, 59);
    flush(world);
    assert_int_equal(world->said_count, 0); /* better is believed when it held */
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 HEALTHY Ready");
    CHECK_SAID(world, "k8s.prod.deployment.shop.web HEALTHY Available");
    CHECK_SAID(world, "k8s.prod HEALTHY Observed");
    assert_int_equal(world->said_count, 5);
    world_free(world);
}

TEST(what_cannot_be_read_is_unknown_until_it_can) {
    struct world *const world = world_new();
    a_small_cluster(world);
    began(world);
    flush(world);
    world->partial = true;
    HAS(world, "pods", POD("web-5d4f-1", READY));
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 UNKNOWN NotReadable");
    world->partial = false;
    HAS(world, "pods", POD("web-5d4f-1", READY));
    pass(world, 60);
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 HEALTHY Ready");
    world_free(world);
}

TEST(half_of_the_nodes_make_a_cluster_unhealthy_and_a_silent_one_degrades_it) {
    struct world *const world = world_new();
    a_small_cluster(world);
    began(world);
    flush(world);
    HAS(world, "nodes",
        "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"Unknown\"}]}}");
    flush(world);
    CHECK_SAID(world, "k8s.prod.node.n1 UNKNOWN NodeStatusUnknown");
    CHECK_SAID(world, "k8s.prod DEGRADED Below");
    HAS(world, "nodes",
        "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}}");
    HAS(world, "nodes",
        "{\"metadata\":{\"name\":\"n2\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}}");
    flush(world);
    CHECK_SAID(world, "k8s.prod.node.n2 UNHEALTHY NotReady");
    CHECK_SAID(world, "k8s.prod UNHEALTHY Below");
    world_free(world);
}

TEST(a_stale_watch_makes_unknown_what_hangs_on_it_and_back) {
    struct world *const world = world_new();
    a_small_cluster(world);
    began(world);
    flush(world);
    cluster_state_watch(world->state, KUBE_DEPLOYMENTS, (slice){0}, KUBE_WATCH_STALE, "no answer for 90 s",
                        world->now_ms);
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.deployment.shop.web UNKNOWN NotWatched");
    CHECK_SAID(world, "k8s.prod.deployment.shop.db UNKNOWN NotWatched");
    CHECK_SAID(world, "k8s.prod.namespace.kube-system UNKNOWN NotWatched"); /* one may be there that we do not see */
    CHECK_SAID(world, "k8s.prod UNKNOWN NotWatched");
    assert_int_equal(world->said_count, 7);          /* and no node */
    HAS(world, "pods", POD("web-5d4f-1", CRASHING)); /* what is known to be bad is bad */
    flush(world);
    CHECK_SAID(world, "k8s.prod.deployment.shop.web DEGRADED Below");
    HAS(world, "pods", POD("web-5d4f-1", READY));
    cluster_state_watch(world->state, KUBE_DEPLOYMENTS, (slice){0}, KUBE_WATCH_LISTING, "", world->now_ms);
    cluster_state_watch(world->state, KUBE_DEPLOYMENTS, (slice){0}, KUBE_WATCH_FRESH, "", world->now_ms);
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.deployment.shop.db HEALTHY ScaledToZero"); /* at once */
    pass(world, 60);
    flush(world);
    CHECK_SAID(world, "k8s.prod.deployment.shop.web HEALTHY Available");
    CHECK_SAID(world, "k8s.prod HEALTHY Observed");
    world_free(world);
}

TEST(that_nobody_looks_any_more_is_said_of_what_was_unknown_too) {
    struct world *const world = world_new();
    HAS(world, "nodes",
        "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"Unknown\"}]}}");
    began(world);
    flush(world);
    CHECK_SAID(world, "k8s.prod.node.n1 UNKNOWN NodeStatusUnknown");
    watch_all(world, KUBE_WATCH_STALE);
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.node.n1 UNKNOWN NotWatched");
    watch_all(world, KUBE_WATCH_FRESH);
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.node.n1 UNKNOWN NodeStatusUnknown");
    world_free(world);
}

TEST(what_was_never_listed_is_unknown_after_a_while) {
    struct world *const world = world_new();
    a_small_cluster(world);
    list_ends(world);
    watch_all(world, KUBE_WATCH_FRESH);
    cluster_state_watch(world->state, KUBE_PODS, (slice){0}, KUBE_WATCH_DENIED, "403: give the verb list on pods",
                        world->now_ms);
    /* DENIED after FRESH is no first list; take a state that never had one. */
    cluster_state_free(world->state);
    open_state(world);
    watch_all(world, KUBE_WATCH_LISTING);
    pass(world, 119);
    flush(world);
    assert_int_equal(world->said_count, 0);
    pass(world, 2);
    flush(world);
    assert_int_equal(world->said_count, 1);
    CHECK_SAID(world, "k8s.prod UNKNOWN NotWatched");
    world_free(world);
}

TEST(a_pod_that_flips_is_held_as_flapping) {
    struct world *const world = world_new();
    a_small_cluster(world);
    began(world);
    flush(world);
    for (int i = 0; i < 3; i++) {
        HAS(world, "pods", POD("web-5d4f-1", CRASHING));
        flush(world);
        if (i < 2) CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 UNHEALTHY CrashLoopBackOff");
        if (i == 2) CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 DEGRADED Flapping");
        HAS(world, "pods", POD("web-5d4f-1", READY));
        pass(world, 90);
        flush(world);
        if (i < 2) CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 HEALTHY Ready");
    }
    for (int i = 0; i < 5; i++) {
        HAS(world, "pods", POD("web-5d4f-1", CRASHING));
        pass(world, 1);
        HAS(world, "pods", POD("web-5d4f-1", READY));
        pass(world, 200);
        flush(world);
        assert_false(said(world, "k8s.prod.pod.shop.web-5d4f-1 HEALTHY Ready"));
        assert_false(said(world, "k8s.prod.pod.shop.web-5d4f-1 UNHEALTHY CrashLoopBackOff"));
    }
    pass(world, 1800); /* calm for as long as the window */
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 HEALTHY Ready");
    world_free(world);
}

TEST(a_bad_pod_that_is_deleted_does_not_stay_bad) {
    struct world *const world = world_new();
    a_small_cluster(world);
    began(world);
    HAS(world, "pods", POD("web-5d4f-1", CRASHING));
    flush(world);
    say(world, true, "pods", POD("web-5d4f-1", CRASHING));
    say(world, true, "pods", POD("web-5d4f-2", READY));
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 HEALTHY Deleted");
    CHECK_SAID(world, "k8s.prod.deployment.shop.web HEALTHY Available");
    assert_false(said(world, "k8s.prod.pod.shop.web-5d4f-2 HEALTHY Deleted")); /* nobody ever heard of it */
    pass(world, 10000);
    flush(world);
    assert_false(said(world, "k8s.prod.pod.shop.web-5d4f-1 HEALTHY Deleted"));
    /* An old deletion of a pod that was made again under its name says nothing. */
    HAS(world, "pods", "%s", POD("web-5d4f-1", CRASHING));
    say(world, true, "pods", "{\"metadata\":{\"name\":\"web-5d4f-1\",\"namespace\":\"shop\",\"uid\":\"another\"}}");
    const char *reason;
    assert_int_equal(
        cluster_state_status(world->state, CLUSTER_POD, SLICE_LIT("shop"), SLICE_LIT("web-5d4f-1"), &reason),
        HEALTH_UNHEALTHY);
    world_free(world);
}

TEST(a_list_sweeps_what_is_not_in_it) {
    struct world *const world = world_new();
    a_small_cluster(world);
    HAS(world, "pods", POD("web-5d4f-1", CRASHING));
    began(world);
    flush(world);
    world->round++;
    HAS(world, "pods", POD("web-5d4f-2", READY));
    cluster_state_list_ends(world->state, KUBE_PODS, (slice){0}, world->round, world->now_ms);
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 HEALTHY Deleted");
    CHECK_SAID(world, "k8s.prod HEALTHY Observed");
    world_free(world);
}

TEST(a_restart_says_nothing_twice_and_misses_nothing) {
    struct world *const world = world_new();
    a_small_cluster(world);
    HAS(world, "pods", POD("web-5d4f-1", CRASHING));
    HAS(world, "pods", POD("web-5d4f-2", CRASHING));
    began(world);
    flush(world);
    assert_int_equal(world->said_count, 12);
    pass(world, 20);
    /* kill -9; the same cluster, but one pod is gone and a deployment as well. */
    cluster_state_free(world->state);
    open_state(world);
    world->round = 9;
    HAS(world, "pods", POD("web-5d4f-1", CRASHING));
    HAS(world, "nodes",
        "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    HAS(world, "nodes",
        "{\"metadata\":{\"name\":\"n2\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    HAS(world, "nodes",
        "{\"metadata\":{\"name\":\"n3\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}}");
    HAS(world, "namespaces", "{\"metadata\":{\"name\":\"shop\"}}");
    HAS(world, "namespaces", "{\"metadata\":{\"name\":\"kube-system\"}}");
    HAS(world, "namespaces", "{\"metadata\":{\"name\":\"monitoring\"}}");
    HAS(world, "deployments", DEPLOYMENT);
    HAS(world, "deployments", "{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\"},\"spec\":{\"replicas\":0}}");
    began(world);
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-2 HEALTHY Deleted");
    CHECK_SAID(world, "k8s.prod.deployment.shop.mail HEALTHY Deleted");
    CHECK_SAID(world, "k8s.prod.node.n3 UNHEALTHY NotReady");
    CHECK_SAID(world, "k8s.prod.namespace.shop UNHEALTHY Below"); /* one of two workloads now */
    assert_int_equal(world->said_count, 4);
    for (int i = 0; i < 40; i++) { /* through whole notes and their deltas */
        HAS(world, "nodes",
            "{\"metadata\":{\"name\":\"n2\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\"}]}}",
            i % 2 ? "True" : "False");
        pass(world, 61);
        flush(world);
        assert_true(world->said_count > 0);
        cluster_state_free(world->state);
        open_state(world);
        HAS(world, "pods", POD("web-5d4f-1", CRASHING));
        HAS(world, "nodes",
            "{\"metadata\":{\"name\":\"n1\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
        HAS(world, "nodes",
            "{\"metadata\":{\"name\":\"n2\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\"}]}}",
            i % 2 ? "True" : "False");
        HAS(world, "nodes",
            "{\"metadata\":{\"name\":\"n3\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}}");
        HAS(world, "namespaces", "{\"metadata\":{\"name\":\"shop\"}}");
        HAS(world, "namespaces", "{\"metadata\":{\"name\":\"kube-system\"}}");
        HAS(world, "namespaces", "{\"metadata\":{\"name\":\"monitoring\"}}");
        HAS(world, "deployments", DEPLOYMENT);
        HAS(world, "deployments", "{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\"},\"spec\":{\"replicas\":0}}");
        began(world);
        flush(world);
        for (size_t s = 0; s < world->said_count; s++) /* heartbeats may be due, changes not */
            if (strstr(world->said[s], "Deleted") || strstr(world->said[s], "UNKNOWN"))
                fail_msg("round %d: %s", i, world->said[s]);
    }
    world_free(world);
}

/* Of many objects each note holds a part, and the ring holds all of them after any number of batches. */
TEST(a_ring_of_notes_holds_all_and_each_is_small) {
    enum { PODS = 900, ROUNDS = 3 * CLUSTER_NOTES + 7 };
    struct world *const world = world_new();
    bool gone[PODS] = {false};
    for (int i = 0; i < PODS; i++) HAS(world, "pods", POD("p-%d", CRASHING), i, i);
    began(world);
    flush(world);
    size_t largest = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const int pod = round * 7 % PODS;
        gone[pod] = true;
        char json[2000];
        snprintf(json, sizeof json, POD("p-%d", CRASHING), pod, pod);
        say(world, true, "pods", json);
        pass(world, 1);
        flush(world);
        const slice note = world->notes[world->last_note];
        if (round >= CLUSTER_NOTES && note.size > largest) largest = note.size;
    }
    assert_in_range(largest, 1, 4000); /* whole it has 50,000 */
    cluster_state_free(world->state);
    open_state(world);
    world->round++;
    for (int i = 0; i < PODS; i++)
        if (!gone[i]) HAS(world, "pods", POD("p-%d", CRASHING), i, i);
    began(world);
    flush(world);
    for (size_t i = 0; i < world->said_count; i++)
        if (strstr(world->said[i], ".pod.")) fail_msg("told again: %s", world->said[i]);
    assert_int_equal(world->said_count, 0);
    world_free(world);
}

TEST(an_append_that_fails_is_made_again) {
    struct world *const world = world_new();
    a_small_cluster(world);
    began(world);
    struct cluster_batch batch;
    for (int i = 0; i < 3; i++) {
        cluster_state_gather(world->state, 4, world->now_ms, &batch);
        assert_int_equal(batch.count, 4);
        const char *name;
        slice note;
        struct fault fault;
        CHECK_OK(cluster_state_note(world->state, &batch, world->arena, &name, &note, &fault));
        cluster_state_abort(world->state, &batch);
    }
    flush(world);
    assert_int_equal(world->said_count, 10);
    world_free(world);
}

TEST(heartbeats_come_again_and_calm_pods_more_rarely) {
    struct world *const world = world_new();
    a_small_cluster(world);
    HAS(world, "pods", POD("web-5d4f-1", CRASHING));
    began(world);
    flush(world);
    pass(world, 299);
    flush(world);
    assert_int_equal(world->said_count, 0);
    pass(world, 1);
    flush(world);
    assert_int_equal(world->said_count, 11);
    HAS(world, "pods", POD("web-5d4f-1", READY));
    pass(world, 60);
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 HEALTHY Ready");
    pass(world, 3599);
    flush(world);
    assert_false(said(world, "k8s.prod.pod.shop.web-5d4f-1 HEALTHY Ready"));
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-1 HEALTHY Ready");
    world_free(world);
}

TEST(a_cron_job_is_bad_by_its_last_run_only) {
    struct world *const world = world_new();
    HAS(world, "namespaces", "{\"metadata\":{\"name\":\"shop\"}}");
    HAS(world, "cronjobs",
        "{\"metadata\":{\"name\":\"report\",\"namespace\":\"shop\",\"creationTimestamp\":\"2026-03-02T08:00:00Z\"},"
        "\"spec\":{\"schedule\":\"0 0 * * *\"}}");
    HAS(world, "jobs",
        "{\"metadata\":{\"name\":\"report-1\",\"namespace\":\"shop\",\"ownerReferences\":[{\"kind\":\"CronJob\","
        "\"name\":\"report\",\"controller\":true}]},\"status\":{\"conditions\":[{\"type\":\"Failed\",\"status\":"
        "\"True\",\"reason\":\"BackoffLimitExceeded\",\"lastTransitionTime\":\"2026-03-02T08:30:00Z\"}]}}");
    began(world);
    flush(world);
    CHECK_SAID(world, "k8s.prod.job.shop.report-1 UNHEALTHY BackoffLimitExceeded");
    CHECK_SAID(world, "k8s.prod.cronjob.shop.report UNHEALTHY Below");
    HAS(world, "cronjobs",
        "{\"metadata\":{\"name\":\"report\",\"namespace\":\"shop\",\"creationTimestamp\":\"2026-03-02T08:00:00Z\"},"
        "\"spec\":{\"schedule\":\"0 0 * * *\"},\"status\":{\"lastSuccessfulTime\":\"2026-03-02T08:45:00Z\"}}");
    flush(world);
    CHECK_SAID(world, "k8s.prod.cronjob.shop.report HEALTHY Scheduled");
    CHECK_SAID(world, "k8s.prod.namespace.shop HEALTHY Active");
    world_free(world);
}

TEST(an_evicted_pod_that_was_replaced_does_not_make_its_workload_bad) {
    struct world *const world = world_new();
    a_small_cluster(world);
    HAS(world, "pods", POD("web-5d4f-9", "\"status\":{\"phase\":\"Failed\",\"reason\":\"Evicted\"}"));
    began(world);
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.web-5d4f-9 DEGRADED Evicted");
    CHECK_SAID(world, "k8s.prod.deployment.shop.web HEALTHY Available");
    world_free(world);
}

TEST(long_and_strange_names_have_stable_ids) {
    struct world *const world = world_new();
    char name[254], json[2000], id[160] = "";
    memset(name, 'x', 253);
    name[253] = '\0';
    snprintf(json, sizeof json,
             "{\"metadata\":{\"name\":\"%s\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
             name);
    say(world, false, "nodes", json);
    say(world, false, "nodes",
        "{\"metadata\":{\"name\":\"a:b\"},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    say(world, false, "nodes", "{\"metadata\":{\"name\":\"a b\"}}"); /* no name of anything */
    began(world);
    flush(world);
    assert_int_equal(world->said_count, 3);
    unsigned hashed = 0;
    for (size_t i = 0; i < world->said_count; i++) {
        const size_t size = strcspn(world->said[i], " ");
        assert_true(size <= CLUSTER_ID_BYTES);
        hashed += strncmp(world->said[i], "k8s.prod.node.a-b-", 18) == 0 || size == CLUSTER_ID_BYTES;
        if (size == CLUSTER_ID_BYTES) snprintf(id, sizeof id, "%.*s", (int)size, world->said[i]);
    }
    assert_int_equal(hashed, 2);
    assert_int_equal(strlen(id), CLUSTER_ID_BYTES);
    world_free(world);
}

#define EVENT                                                                                                          \
    "{\"metadata\":{\"uid\":\"e-%s\",\"name\":\"e\",\"namespace\":\"shop\"},\"involvedObject\":{\"kind\":\"Pod\","     \
    "\"namespace\":\"shop\",\"name\":\"web-5d4f-1\"},\"reason\":\"%s\",\"message\":\"back-off "                        \
    "restarting\",\"type\":\"%s\",\"count\":%d,\"lastTimestamp\":\"2026-03-02T09:00:0%dZ\"}"
TEST(each_occurrence_of_an_event_counts_once) {
    struct world *const world = world_new();
    struct event_memory *const memory = cluster_state_events(world->state);
    size_t backoff = 0, other = event_reasons_count() - 1;
    while (strcmp(event_reason(backoff), "BackOff") != 0) backoff++;
    a_small_cluster(world);

    HAS(world, "events", EVENT, "1", "BackOff", "Warning", 3, 1);
    HAS(world, "events", EVENT, "1", "BackOff", "Warning", 3, 1); /* again */
    HAS(world, "events", EVENT, "2", "Pulled", "Normal", 7, 1);
    HAS(world, "events", EVENT, "3", "NobodyKnows", "Warning", 2, 0);
    HAS(world, "events", EVENT, "1", "BackOff", "Warning", 5, 2);
    HAS(world, "events", EVENT, "1", "BackOff", "Warning", 4, 1); /* late */
    assert_int_equal(event_memory_total(memory, backoff), 5);
    assert_int_equal(event_memory_total(memory, other), 2);
    HAS(world, "pods", POD("web-5d4f-1", CRASHING));
    began(world);
    struct cluster_batch batch;
    cluster_state_gather(world->state, 64, world->now_ms, &batch);
    bool told = false;
    for (size_t i = 0; i < batch.count; i++) {
        struct cluster_report report;
        cluster_state_report(world->state, &batch, i, world->now_ms, &report);
        for (size_t c = 0; c < report.conditions_count && strstr(report.id, "web-5d4f-1"); c++)
            told |= strcmp(report.conditions[c].message, "BackOff (5 times): back-off restarting") == 0;
    }
    cluster_state_abort(world->state, &batch);
    assert_true(told);
    /* kill -9: the bytes come back, the list gives them again. */
    bool changed;
    const slice bytes = arena_copy(world->arena, event_memory_bytes(memory, &changed));
    assert_true(changed);
    (void)event_memory_bytes(memory, &changed);
    assert_false(changed);
    struct fault fault;
    struct event_memory *const next = event_memory_new();
    CHECK_OK(event_memory_load(next, bytes, &fault));
    assert_int_equal(event_memory_see(next, SLICE_LIT("e-1"), SLICE_LIT("BackOff"), 5, 0, 1), 0);
    assert_int_equal(event_memory_see(next, SLICE_LIT("e-1"), SLICE_LIT("BackOff"), 6, 0, 1), 1);
    assert_int_equal(event_memory_total(next, backoff), 6);
    event_memory_sweep(next, 0, 1);
    assert_int_equal(event_memory_count(next), 1);
    for (size_t cut = 0; cut < bytes.size; cut++)
        CHECK_FAULT(event_memory_load(next, slice_first(bytes, cut), &fault), FAULT_CORRUPT);
    event_memory_free(next);
    world_free(world);
}

TEST(more_events_than_there_is_room_for_forget_the_oldest) {
    struct event_memory *const memory = event_memory_new();
    for (unsigned i = 0; i < 3 * EVENT_MEMORY_MAX; i++) {
        char uid[32];
        snprintf(uid, sizeof uid, "u%u", i);
        assert_int_equal(event_memory_see(memory, slice_from_text(uid), SLICE_LIT("x"), 1, 0, 1), 1);
        assert_int_equal(event_memory_see(memory, slice_from_text(uid), SLICE_LIT("x"), 1, 0, 1), 0);
        if (i % 3 == 0) event_memory_forget(memory, slice_from_text(uid));
    }
    assert_int_equal(event_memory_count(memory), EVENT_MEMORY_MAX);
    assert_int_equal(event_memory_lost(memory), EVENT_MEMORY_MAX);
    event_memory_free(memory);
}

TEST(what_is_kept_of_five_thousand_pods_is_small_and_does_not_grow_with_churn) {
    struct world *const world = world_new();
    cluster_state_free(world->state);
    world->settings.objects_max = 20000;
    open_state(world);
    struct cluster_state_stats stats;
    size_t before = 0;
    for (int generation = 0; generation < 3; generation++) {
        world->round++;
        for (int i = 0; i < 5000; i++) {
            HAS(world, "pods",
                "{\"metadata\":{\"name\":\"frontend-web-%d-7d9f8b6c5d-%05d\",\"uid\":\"%d-%d\",\"namespace\":\"team-%"
                "d\",\"labels\":{\"pod-template-hash\":\"7d9f8b6c5d\"},"
                "\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"name\":\"frontend-web-%d-7d9f8b6c5d\",\"controller\":"
                "true}]}," READY "}",
                i / 10, i + 5000 * generation, i, generation, i / 100, i / 10);
            if (i % 64 == 0) arena_reset(world->arena);
        }
        list_ends(world);
        cluster_state_stats(world->state, &stats);
        assert_int_equal(stats.objects[CLUSTER_POD], 5000);
        if (generation == 1) before = stats.memory_bytes;
        if (generation == 2) assert_true(stats.memory_bytes <= before + 1024);
    }
    print_message("%zu bytes, %zu a pod, with their workloads and namespaces\n", stats.memory_bytes,
                  stats.memory_bytes / 5000);
    assert_true(stats.memory_bytes / 5000 < 450); /* two generations at a time while a list sweeps */
    assert_int_equal(stats.objects_refused, 0);
    world_free(world);
}

TEST(objects_beyond_the_maximum_are_counted) {
    struct world *const world = world_new();
    for (int i = 0; i < 1200; i++) HAS(world, "nodes", "{\"metadata\":{\"name\":\"n%d\"}}", i);
    struct cluster_state_stats stats;
    cluster_state_stats(world->state, &stats);
    assert_int_equal(stats.objects[CLUSTER_NODE], 999);
    assert_int_equal(stats.objects_refused, 201);
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said_before_every_list_is_there),
        cmocka_unit_test(a_bad_pod_is_carried_up_and_back),
        cmocka_unit_test(what_cannot_be_read_is_unknown_until_it_can),
        cmocka_unit_test(half_of_the_nodes_make_a_cluster_unhealthy_and_a_silent_one_degrades_it),
        cmocka_unit_test(a_stale_watch_makes_unknown_what_hangs_on_it_and_back),
        cmocka_unit_test(that_nobody_looks_any_more_is_said_of_what_was_unknown_too),
        cmocka_unit_test(what_was_never_listed_is_unknown_after_a_while),
        cmocka_unit_test(a_pod_that_flips_is_held_as_flapping),
        cmocka_unit_test(a_bad_pod_that_is_deleted_does_not_stay_bad),
        cmocka_unit_test(a_list_sweeps_what_is_not_in_it),
        cmocka_unit_test(a_restart_says_nothing_twice_and_misses_nothing),
        cmocka_unit_test(a_ring_of_notes_holds_all_and_each_is_small),
        cmocka_unit_test(an_append_that_fails_is_made_again),
        cmocka_unit_test(heartbeats_come_again_and_calm_pods_more_rarely),
        cmocka_unit_test(a_cron_job_is_bad_by_its_last_run_only),
        cmocka_unit_test(an_evicted_pod_that_was_replaced_does_not_make_its_workload_bad),
        cmocka_unit_test(long_and_strange_names_have_stable_ids),
        cmocka_unit_test(each_occurrence_of_an_event_counts_once),
        cmocka_unit_test(more_events_than_there_is_room_for_forget_the_oldest),
        cmocka_unit_test(what_is_kept_of_five_thousand_pods_is_small_and_does_not_grow_with_churn),
        cmocka_unit_test(objects_beyond_the_maximum_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
