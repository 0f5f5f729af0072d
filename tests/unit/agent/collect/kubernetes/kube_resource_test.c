/* SPDX-License-Identifier: Apache-2.0
 * The table of resources, and what our messages read of recorded objects in both encodings. */
#include "agent/collect/kubernetes/kube_resource.h"
#include "kube_support.h"

#include <dirent.h>

TEST(paths_are_those_of_the_api) {
    struct fault fault;
    char path[200];
    const slice none = {0};
    CHECK_OK(kube_resource_path(kube_resource(KUBE_PODS), none, none, none, path, sizeof path, &fault));
    assert_string_equal(path, "/api/v1/pods");
    CHECK_OK(kube_resource_path(kube_resource(KUBE_PODS), SLICE_LIT("shop"), SLICE_LIT(".a-b"), SLICE_LIT("log"), path,
                                sizeof path, &fault));
    assert_string_equal(path, "/api/v1/namespaces/shop/pods/.a-b/log");
    CHECK_OK(kube_resource_path(kube_resource(KUBE_DEPLOYMENTS), SLICE_LIT("shop"), SLICE_LIT("web"), none, path,
                                sizeof path, &fault));
    assert_string_equal(path, "/apis/apps/v1/namespaces/shop/deployments/web");
    CHECK_OK(kube_resource_path(kube_resource(KUBE_NODES), SLICE_LIT("shop"), SLICE_LIT("n1"), none, path, sizeof path,
                                &fault));
    assert_string_equal(path, "/api/v1/nodes/n1");
    CHECK_OK(kube_resource_path(kube_resource(KUBE_APPLICATIONS), SLICE_LIT("argocd"), none, none, path, sizeof path,
                                &fault));
    assert_string_equal(path, "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications");
}

TEST(no_name_leads_to_another_path) {
    struct fault fault;
    char path[200];
    static const char *const names[] = {"a/b", "..", ".", "a?b", "a%2fb", "a b", "a\n", "a#b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_FAULT(kube_resource_path(kube_resource(KUBE_PODS), SLICE_LIT("x"), slice_from_text(names[i]), (slice){0},
                                       path, sizeof path, &fault),
                    FAULT_INPUT);
    CHECK_FAULT(
        kube_resource_path(kube_resource(KUBE_PODS), SLICE_LIT("x"), SLICE_LIT("y"), (slice){0}, path, 10, &fault),
        FAULT_LIMIT);
}

TEST(resources_are_found_by_their_plural) {
    assert_ptr_equal(kube_resource_find(SLICE_LIT("pods")), kube_resource(KUBE_PODS));
    assert_ptr_equal(kube_resource_find(SLICE_LIT("applications.argoproj.io")), kube_resource(KUBE_APPLICATIONS));
    assert_ptr_equal(kube_resource_find(SLICE_LIT("deployments.apps")), kube_resource(KUBE_DEPLOYMENTS));
    assert_null(kube_resource_find(SLICE_LIT("deployments.batch")));
    assert_null(kube_resource_find(SLICE_LIT("pod")));
    assert_null(kube_resource_find(SLICE_LIT("pods.")));
}

/* By the "kind" that stands in the text. */
static const struct kube_resource *resource_of(slice json) {
    const struct kube_resource *found = NULL;
    for (int i = 0; i < KUBE_KINDS_; i++) {
        char words[2][64];
        const struct kube_resource *resource = kube_resource((enum kube_kind)i);
        snprintf(words[0], sizeof words[0], "\n  \"kind\": \"%s\"", resource->kind);
        snprintf(words[1], sizeof words[1], "\n \"kind\": \"%s\"", resource->kind);
        for (size_t j = 0; j < 2; j++)
            if (memmem(json.data, json.size, words[j], strlen(words[j]))) found = resource;
    }
    return found;
}

TEST(every_recorded_object_is_read) {
    static const char *const folders[] = {"pods", "nodes", "workloads", "roundtrip"};
    struct arena *arena = arena_new(64 * 1024, 8 * 1024 * 1024);
    struct fault fault;
    size_t read = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char folder[256];
        snprintf(folder, sizeof folder, "%s/%s", kube_fixtures(), folders[i]);
        DIR *dir = opendir(folder);
        for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
            if (!strstr(entry->d_name, ".json")) continue;
            arena_reset(arena);
            snprintf(folder, sizeof folder, "%s/%s", folders[i], entry->d_name);
            const slice json = kube_fixture(folder, arena);
            const struct kube_resource *resource = resource_of(json);
            if (!resource) fail_msg("%s: no resource", folder);
            KubeObject *object = arena_alloc(arena, message_size(resource->message));
            if (codec_decode_json_foreign(resource->message, json, arena, object, &fault))
                fail_msg("%s: %s", folder, fault.text);
            assert_true(object->has_metadata && object->metadata.name.size);
            read++;

            /* The same object in protobuf says the same. */
            char *ending = strstr(folder, ".json");
            memcpy(ending, ".pb", sizeof ".pb");
            slice body = kube_fixture(folder, arena);
            if (!body.data) continue;
            /* 'k8s\0', then runtime.Unknown: type meta (1), raw (2). */
            const uint8_t *at = body.data + 4;
            at += 2 + at[1];
            assert_int_equal(*at++, 2 << 3 | 2);
            size_t raw_size = 0;
            for (unsigned shift = 0;; shift += 7) {
                raw_size |= (size_t)(*at & 0x7F) << shift;
                if (!(*at++ & 0x80)) break;
            }
            void *other = arena_alloc(arena, message_size(resource->message));
            if (codec_decode_protobuf_foreign(resource->message, slice_of(at, raw_size), arena, other, &fault))
                fail_msg("%s: %s", folder, fault.text);
            slice texts[2];
            codec_order_maps(resource->message, object);
            codec_order_maps(resource->message, other);
            CHECK_OK(codec_encode_json(resource->message, object, true, arena, &texts[0], &fault));
            CHECK_OK(codec_encode_json(resource->message, other, true, arena, &texts[1], &fault));
            if (!slice_equal(texts[0], texts[1]))
                fail_msg("%s:\n%.*s\n---\n%.*s", folder, SLICE_ARG(texts[0]), SLICE_ARG(texts[1]));
            read++;
        }
        if (dir) closedir(dir);
    }
    arena_free(arena);
    if (read == 0) {
        print_message("skipped: no recorded objects beside this checkout (../shared/contracts/fixtures)\n");
        skip();
    }
    assert_true(read >= 20);
}

TEST(a_pod_says_what_health_needs) {
    struct arena *arena = arena_new(64 * 1024, 8 * 1024 * 1024);
    struct fault fault;
    const slice json = kube_fixture("pods/oomkilled-crashloop.json", arena);
    SKIP_WITHOUT(json, arena)
    KubePod pod;
    CHECK_OK(codec_decode_json_foreign(&KubePod_desc, json, arena, &pod, &fault));
    assert_true(pod.has_status && pod.status.container_statuses.count == 1);
    const KubeContainerStatus *status = pod.status.container_statuses.items;
    assert_true(status->has_state && status->state.has_waiting);
    CHECK_SLICE(status->state.waiting.reason, "CrashLoopBackOff");
    CHECK_SLICE(status->last_state.terminated.reason, "OOMKilled");
    assert_true(status->last_state.terminated.has_finished_at);
    arena_free(arena);
}

TEST(text_that_is_not_utf_8_is_mended_and_no_fault) {
    struct arena *arena = arena_new(1024, 64 * 1024);
    struct fault fault;
    KubeStateTerminated ended;
    static const uint8_t bytes[] = {3 << 3 | 2, 5, 'E', 0xff, 'r', 0xc3, 'r', 4 << 3 | 2, 2, 'o', 'k'};
    CHECK_FAULT(codec_decode_protobuf(&KubeStateTerminated_desc, slice_of(bytes, sizeof bytes), arena, &ended, &fault),
                FAULT_INPUT);
    CHECK_OK(
        codec_decode_protobuf_foreign(&KubeStateTerminated_desc, slice_of(bytes, sizeof bytes), arena, &ended, &fault));
    CHECK_SLICE(ended.reason, "E\xEF\xBF\xBDr\xEF\xBF\xBDr");
    CHECK_SLICE(ended.message, "ok");
    arena_free(arena);
}

TEST(json_of_others_is_read_leniently) {
    struct arena *arena = arena_new(4096, 64 * 1024);
    struct fault fault;
    KubePodMonitor monitor;
    const slice json = SLICE_LIT("{\"kind\":\"PodMonitor\",\"metadata\":{\"name\":\"m\",\"creationTimestamp\":null,"
                                 "\"deletionTimestamp\":\"soon\","
                                 "\"labels\":{\"a\":null,\"b\":\"c\"}},\"spec\":{\"podMetricsEndpoints\":[{"
                                 "\"targetPort\":8080,\"params\":{\"x\":[\"y\"]}},"
                                 "{\"targetPort\":\"web\"},null],\"podMetricsEndpoint\":7,\"podTargetLabels\":null,"
                                 "\"jobLabel\":\"one\",\"jobLabel\":"
                                 "\"two\"}}");
    CHECK_OK(codec_decode_json_foreign(&KubePodMonitor_desc, json, arena, &monitor, &fault));
    assert_false(monitor.metadata.has_creation_timestamp || monitor.metadata.has_deletion_timestamp);
    assert_int_equal(monitor.metadata.labels.count, 1);
    CHECK_SLICE(monitor.metadata.labels.items[0].value, "c");
    assert_int_equal(monitor.spec.pod_metrics_endpoints.count, 2);
    CHECK_SLICE(monitor.spec.pod_metrics_endpoints.items[0].target_port, "8080");
    assert_true(monitor.spec.pod_metrics_endpoints.items[0].has_params);
    CHECK_SLICE(monitor.spec.pod_metrics_endpoints.items[1].target_port, "web");
    CHECK_SLICE(monitor.spec.job_label, "two");
    CHECK_FAULT(codec_decode_json_foreign(&KubePodMonitor_desc, SLICE_LIT("{\"spec\":[]}"), arena, &monitor, &fault),
                FAULT_INPUT);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_those_of_the_api),
        cmocka_unit_test(no_name_leads_to_another_path),
        cmocka_unit_test(resources_are_found_by_their_plural),
        cmocka_unit_test(every_recorded_object_is_read),
        cmocka_unit_test(a_pod_says_what_health_needs),
        cmocka_unit_test(text_that_is_not_utf_8_is_mended_and_no_fault),
        cmocka_unit_test(json_of_others_is_read_leniently),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
