/* SPDX-License-Identifier: Apache-2.0
 * While a rule is patient with a workload: what is said of it, with and without something known from before, over
 * restarts, and where a right is missing. */
#include "tests/unit/agent/health/cluster_world.h"

/* world_new() begins at 2026-03-02T09:00:00Z */
#define YESTERDAY "\"creationTimestamp\":\"2026-03-01T09:00:00Z\","
#define JUST_NOW "\"creationTimestamp\":\"2026-03-02T08:59:58Z\","
#define DAEMONSET(created, ready)                                                                                      \
    "{\"metadata\":{" created "\"name\":\"ds\",\"namespace\":\"shop\",\"generation\":1},\"status\":{"                  \
    "\"observedGeneration\":1,\"desiredNumberScheduled\":3,\"currentNumberScheduled\":3,\"updatedNumberScheduled\":3," \
    "\"numberReady\":" ready "}}"
#define STATEFULSET_ROLLING                                                                                            \
    "{\"metadata\":{" YESTERDAY "\"name\":\"db\",\"namespace\":\"shop\",\"generation\":2},\"spec\":{\"replicas\":3},"  \
    "\"status\":{\"observedGeneration\":2,\"replicas\":3,\"updatedReplicas\":1,\"currentRevision\":\"a\","             \
    "\"updateRevision\":\"b\"}}"
#define DEPLOYMENT_SHORT                                                                                               \
    "{\"metadata\":{" YESTERDAY "\"name\":\"web\",\"namespace\":\"shop\",\"generation\":1},\"spec\":{\"replicas\":4}," \
    "\"status\":{\"observedGeneration\":1,\"replicas\":4,\"updatedReplicas\":4,\"availableReplicas\":3}}"

static void restart(struct world *world) {
    cluster_state_free(world->state);
    open_state(world);
}

TEST(what_was_broken_before_it_was_ever_seen_is_judged_at_once) {
    struct world *const world = world_new();
    HAS(world, "daemonsets", "%s", DAEMONSET(YESTERDAY, "0"));
    HAS(world, "deployments", "%s", DEPLOYMENT_SHORT);
    HAS(world, "statefulsets", "%s", STATEFULSET_ROLLING);
    began(world);
    flush(world);
    CHECK_SAID(world, "k8s.prod.daemonset.shop.ds UNHEALTHY NoneAvailable");
    CHECK_SAID(world, "k8s.prod.deployment.shop.web DEGRADED PartlyAvailable");
    CHECK_SAID(world, "k8s.prod.statefulset.shop.db UNKNOWN Unsettled"); /* somebody is at work on it */
    pass(world, 60);
    flush(world);
    CHECK_SAID(world, "k8s.prod.statefulset.shop.db UNHEALTHY NoneAvailable");
    world_free(world);
}

TEST(a_new_workload_is_unknown_and_says_nothing_above_it) {
    struct world *const world = world_new();
    HAS(world, "namespaces", "{\"metadata\":{\"name\":\"shop\"}}");
    HAS(world, "daemonsets", "%s", DAEMONSET(JUST_NOW, "0"));
    began(world);
    flush(world);
    CHECK_SAID(world, "k8s.prod.daemonset.shop.ds UNKNOWN Starting");
    CHECK_SAID(world, "k8s.prod.namespace.shop HEALTHY Active");
    HAS(world, "daemonsets", "%s", DAEMONSET(JUST_NOW, "3"));
    flush(world);
    CHECK_SAID(world, "k8s.prod.daemonset.shop.ds HEALTHY Available"); /* nothing bad to recover from */
    world_free(world);
}

TEST(one_that_was_seen_healthy_settles) {
    struct world *const world = world_new();
    const char *reason = "";
    HAS(world, "daemonsets", "%s", DAEMONSET(YESTERDAY, "3"));
    began(world);
    flush(world);
    CHECK_SAID(world, "k8s.prod.daemonset.shop.ds HEALTHY Available");
    HAS(world, "daemonsets", "%s", DAEMONSET(YESTERDAY, "0"));
    pass(world, 59);
    assert_int_equal(cluster_state_status(world->state, CLUSTER_DAEMONSET, SLICE_LIT("shop"), SLICE_LIT("ds"), &reason),
                     HEALTH_HEALTHY);
    assert_string_equal(reason, "Settling");
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.daemonset.shop.ds UNHEALTHY NoneAvailable");
    HAS(world, "daemonsets", "%s", DAEMONSET(YESTERDAY, "1")); /* patience with another rule is no recovery */
    pass(world, 59);
    flush(world);
    assert_int_equal(world->said_count, 0);
    pass(world, 61);
    flush(world);
    CHECK_SAID(world, "k8s.prod.daemonset.shop.ds DEGRADED PartlyAvailable");
    world_free(world);
}

TEST(patience_ends_though_the_process_is_killed_again_and_again) {
    struct world *const world = world_new();
    HAS(world, "daemonsets", "%s", DAEMONSET(YESTERDAY, "3"));
    began(world);
    flush(world);
    pass(world, 38);
    restart(world);
    HAS(world, "daemonsets", "%s", DAEMONSET(YESTERDAY, "0"));
    began(world);
    flush(world);
    CHECK_SAID(world, "k8s.prod.daemonset.shop.ds UNKNOWN Unsettled"); /* nobody knows since when */
    pass(world, 37);
    restart(world);
    HAS(world, "daemonsets", "%s", DAEMONSET(YESTERDAY, "0"));
    began(world);
    flush(world);
    assert_int_equal(world->said_count, 0);
    pass(world, 25);
    flush(world);
    CHECK_SAID(world, "k8s.prod.daemonset.shop.ds UNHEALTHY NoneAvailable");
    world_free(world);
}

TEST(a_refused_list_is_not_waited_for) {
    struct world *const world = world_new();
    HAS(world, "daemonsets", "%s", DAEMONSET(YESTERDAY, "0"));
    list_ends(world);
    watch_all(world, KUBE_WATCH_FRESH);
    cluster_state_watch(world->state, KUBE_NODES, (slice){0}, KUBE_WATCH_DENIED, "403", world->now_ms);
    cluster_state_watch(world->state, KUBE_CRONJOBS, (slice){0}, KUBE_WATCH_ABSENT, "404", world->now_ms);
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.daemonset.shop.ds UNHEALTHY NoneAvailable");
    world_free(world);
}

/* The server's clock is three minutes ahead, or behind: ages are what they are. */
TEST(ages_are_reckoned_by_the_clock_of_the_server) {
    for (int ahead = -180; ahead <= 180; ahead += 360) {
        struct world *const world = world_new();
        cluster_state_skew(world->state, (int64_t)ahead * 1000);
        began(world);
        flush(world);
        HAS(world, "persistentvolumeclaims",
            "{\"metadata\":{\"name\":\"v\",\"namespace\":\"shop\",\"annotations\":{\"volume.kubernetes.io/"
            "storage-provisioner\":\"x\"},"
            "\"creationTimestamp\":\"2026-03-02T%s:01Z\"},"
            "\"status\":{\"phase\":\"Pending\"}}",
            ahead > 0 ? "09:03" : "08:57");
        pass(world, 3599);
        flush(world);
        CHECK_SAID(world, "k8s.prod.persistentvolumeclaim.shop.v HEALTHY Pending");
        pass(world, 1);
        flush(world);
        CHECK_SAID(world, "k8s.prod.persistentvolumeclaim.shop.v DEGRADED Unbound");
        world_free(world);
    }
}

/* The first list may be over before the first answer has told the time. */
TEST(a_clock_that_becomes_known_late_mends_what_was_reckoned_before) {
    struct world *const world = world_new();
    HAS(world, "deployments", "%s", DEPLOYMENT_SHORT);
    HAS(world, "persistentvolumeclaims",
        "{\"metadata\":{\"name\":\"v\",\"namespace\":\"shop\",\"annotations\":{\"volume.kubernetes.io/"
        "storage-provisioner\":\"x\"},"
        "\"creationTimestamp\":\"2026-03-02T07:59:50Z\"},"
        "\"status\":{\"phase\":\"Pending\"}}");
    HAS(world, "daemonsets", "%s", DAEMONSET("\"creationTimestamp\":\"2026-03-02T07:59:50Z\",", "0"));
    cluster_state_skew(world->state, -3600 * 1000);
    began(world);
    flush(world);
    CHECK_SAID(world, "k8s.prod.persistentvolumeclaim.shop.v HEALTHY Pending");
    CHECK_SAID(world, "k8s.prod.daemonset.shop.ds UNKNOWN Starting"); /* ten seconds old */
    CHECK_SAID(world, "k8s.prod.deployment.shop.web DEGRADED PartlyAvailable");
    pass(world, 60);
    flush(world);
    CHECK_SAID(world, "k8s.prod.daemonset.shop.ds UNHEALTHY NoneAvailable");
    world_free(world);
}

/* A note as the version before this one wrote it: one time, of the rule in force. */
TEST(a_note_of_the_first_form_is_read) {
    static const uint8_t note[] = "PCN1\1\0\0\0\0\0\0\0\1\0\0\0"
                                  "\3\1\0\0\0\1\0\0\0\2\0\0\0"
                                  "\11\0daemonset\27\0WORKLOAD_NONE_AVAILABLE\4\0shop\2\0ds";
    struct world *const world = world_new();
    struct fault fault;
    const char *reason = "";
    world->notes[0] = slice_of(note, sizeof note - 1);
    CHECK_OK(cluster_state_load(world->state, world->notes, world->now_ms, &fault));
    assert_int_equal(cluster_state_status(world->state, CLUSTER_DAEMONSET, SLICE_LIT("shop"), SLICE_LIT("ds"), &reason),
                     HEALTH_UNHEALTHY);
    assert_string_equal(reason, "NoneAvailable");
    world_free(world);
}

#define RUN(name, state, at)                                                                                           \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"shop\",\"ownerReferences\":[{\"kind\":\"CronJob\",\"name\":" \
    "\"c\",\"controller\":true}]},\"status\":{\"conditions\":[{\"type\":\"" state "\",\"status\":\"True\","            \
    "\"lastTransitionTime\":\"" at "\"}]}}"

TEST(a_later_run_that_succeeded_is_enough_for_a_cron_job) {
    struct world *const world = world_new();
    HAS(world, "jobs", "%s", RUN("c-1", "Failed", "2026-03-02T08:10:00Z"));
    HAS(world, "cronjobs",
        "{\"metadata\":{\"name\":\"c\",\"namespace\":\"shop\"},\"spec\":{\"schedule\":\"@hourly\"},\"status\":{"
        "\"lastScheduleTime\":\"2026-03-02T09:00:00Z\"}}");
    began(world);
    flush(world);
    CHECK_SAID(world, "k8s.prod.cronjob.shop.c UNHEALTHY Below");
    HAS(world, "jobs", "%s", RUN("c-2", "Complete", "2026-03-02T09:00:00Z"));
    flush(world);
    CHECK_SAID(world, "k8s.prod.cronjob.shop.c HEALTHY Scheduled");
    HAS(world, "jobs", "%s", RUN("c-3", "Failed", "2026-03-02T09:00:01Z"));
    flush(world);
    CHECK_SAID(world, "k8s.prod.cronjob.shop.c UNHEALTHY Below");
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_broken_before_it_was_ever_seen_is_judged_at_once),
        cmocka_unit_test(a_new_workload_is_unknown_and_says_nothing_above_it),
        cmocka_unit_test(one_that_was_seen_healthy_settles),
        cmocka_unit_test(patience_ends_though_the_process_is_killed_again_and_again),
        cmocka_unit_test(a_refused_list_is_not_waited_for),
        cmocka_unit_test(ages_are_reckoned_by_the_clock_of_the_server),
        cmocka_unit_test(a_clock_that_becomes_known_late_mends_what_was_reckoned_before),
        cmocka_unit_test(a_note_of_the_first_form_is_read),
        cmocka_unit_test(a_later_run_that_succeeded_is_enough_for_a_cron_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
