/* SPDX-License-Identifier: Apache-2.0
 * A cluster that is watched in some namespaces only, each with watches of its own. */
#include "tests/unit/agent/health/cluster_world.h"

static const char *const spaces[] = {"shop", "search"};

static void open_scoped(struct world *world) {
    struct fault fault;
    CHECK_OK(cluster_state_new(&world->settings, 7, world->now_ms, &world->state, &fault));
    for (size_t n = 0; n < 2; n++) {
        CHECK_OK(cluster_state_expect(world->state, KUBE_PODS, slice_from_text(spaces[n]), &fault));
        CHECK_OK(cluster_state_expect(world->state, KUBE_DEPLOYMENTS, slice_from_text(spaces[n]), &fault));
    }
    CHECK_OK(cluster_state_load(world->state, world->notes, world->now_ms, &fault));
}

static void say_in(struct world *world, const char *namespace, bool deleted, const char *plural, const char *json) {
    struct fault fault;
    const struct kube_resource *const resource = kube_resource_find(slice_from_text(plural));
    void *const message = arena_alloc(world->arena, resource->message->size);
    CHECK_OK(codec_decode_json_foreign(resource->message, slice_from_text(json), world->arena, message, &fault));
    const struct kube_scope scope = {SLICE_LIT("prod"), slice_from_text(namespace), resource};
    const struct kube_object object = {
        .scope = &scope, .message = message, .meta = &((const KubePod *)message)->metadata, .round = world->round};
    if (deleted)
        cluster_state_deleted(world->state, &object, world->now_ms);
    else
        cluster_state_object(world->state, &object, world->now_ms);
}

static void watch_in(struct world *world, const char *namespace, enum kube_watch_state watch) {
    cluster_state_watch(world->state, KUBE_PODS, slice_from_text(namespace), watch, "", world->now_ms);
    cluster_state_watch(world->state, KUBE_DEPLOYMENTS, slice_from_text(namespace), watch, "", world->now_ms);
}

static void ends_in(struct world *world, const char *namespace) {
    cluster_state_list_ends(world->state, KUBE_PODS, slice_from_text(namespace), world->round, world->now_ms);
    cluster_state_list_ends(world->state, KUBE_DEPLOYMENTS, slice_from_text(namespace), world->round, world->now_ms);
}

#define LOST(name, namespace)                                                                                          \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" namespace "\"},\"status\":{\"phase\":\"Failed\"}}"

static struct world *scoped_world(void) {
    struct world *const world = world_new();
    cluster_state_free(world->state);
    open_scoped(world);
    return world;
}

static void fill(struct world *world) {
    say_in(world, "shop", false, "pods", LOST("a", "shop"));
    say_in(world, "search", false, "pods", LOST("b", "search"));
    for (size_t n = 0; n < 2; n++) ends_in(world, spaces[n]), watch_in(world, spaces[n], KUBE_WATCH_FRESH);
    pass(world, 1);
    flush(world);
}

TEST(each_namespace_has_its_own_lists_and_its_own_blindness) {
    struct world *const world = scoped_world();
    fill(world);
    CHECK_SAID(world, "k8s.prod.namespace.shop UNHEALTHY Below"); /* though no Namespace object was ever seen */
    CHECK_SAID(world, "k8s.prod.namespace.search UNHEALTHY Below");
    CHECK_SAID(world, "k8s.prod UNHEALTHY Below");
    watch_in(world, "shop", KUBE_WATCH_STALE);
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.namespace.shop UNKNOWN NotWatched");
    CHECK_SAID(world, "k8s.prod.pod.shop.a UNKNOWN NotWatched");
    assert_false(said(world, "k8s.prod.namespace.search UNKNOWN NotWatched"));
    world->round++;
    ends_in(world, "search"); /* an empty list there sweeps there only */
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.search.b HEALTHY Deleted");
    assert_false(said(world, "k8s.prod.pod.shop.a HEALTHY Deleted"));
    watch_in(world, "shop", KUBE_WATCH_FRESH);
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.shop.a UNHEALTHY Failed");
    world_free(world);
}

TEST(an_empty_namespace_that_is_watched_by_name_stays) {
    struct world *const world = scoped_world();
    fill(world);
    say_in(world, "search", true, "pods", LOST("b", "search"));
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.namespace.search HEALTHY Observed"); /* nobody said that it is deleted */
    flush(world);
    assert_int_equal(world->said_count, 0);
    world_free(world);
}

TEST(a_restart_finds_both_again) {
    struct world *const world = scoped_world();
    fill(world);
    cluster_state_free(world->state);
    open_scoped(world);
    say_in(world, "shop", false, "pods", LOST("a", "shop"));
    for (size_t n = 0; n < 2; n++) ends_in(world, spaces[n]), watch_in(world, spaces[n], KUBE_WATCH_FRESH);
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.search.b HEALTHY Deleted");
    CHECK_SAID(world, "k8s.prod.namespace.search HEALTHY Observed");
    assert_false(said(world, "k8s.prod.pod.shop.a UNHEALTHY Failed"));
    assert_false(said(world, "k8s.prod.namespace.shop UNHEALTHY Below"));
    world_free(world);
}

/* What is taken out of the configuration is as broken as before, or not: nobody looks. */
TEST(what_is_taken_out_of_the_configuration_is_unknown) {
    struct world *const world = scoped_world();
    struct fault fault;
    fill(world);
    cluster_state_free(world->state);
    CHECK_OK(cluster_state_new(&world->settings, 7, world->now_ms, &world->state, &fault));
    CHECK_OK(cluster_state_expect(world->state, KUBE_PODS, SLICE_LIT("shop"), &fault));
    CHECK_OK(cluster_state_load(world->state, world->notes, world->now_ms, &fault));
    say_in(world, "shop", false, "pods", LOST("a", "shop"));
    cluster_state_list_ends(world->state, KUBE_PODS, SLICE_LIT("shop"), world->round, world->now_ms);
    cluster_state_watch(world->state, KUBE_PODS, SLICE_LIT("shop"), KUBE_WATCH_FRESH, "", world->now_ms);
    pass(world, 1);
    flush(world);
    CHECK_SAID(world, "k8s.prod.pod.search.b UNKNOWN NotWatched");
    flush(world);
    pass(world, 1);
    flush(world);
    const char *reason;
    assert_int_equal(cluster_state_status(world->state, CLUSTER_POD, SLICE_LIT("search"), SLICE_LIT("b"), &reason), 0);
    assert_int_equal(cluster_state_status(world->state, CLUSTER_NAMESPACE, (slice){0}, SLICE_LIT("search"), &reason),
                     0);
    assert_int_equal(cluster_state_status(world->state, CLUSTER_CLUSTER, (slice){0}, (slice){0}, &reason),
                     HEALTH_UNHEALTHY);
    world_free(world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_namespace_has_its_own_lists_and_its_own_blindness),
        cmocka_unit_test(an_empty_namespace_that_is_watched_by_name_stays),
        cmocka_unit_test(a_restart_finds_both_again),
        cmocka_unit_test(what_is_taken_out_of_the_configuration_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
