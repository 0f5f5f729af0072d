/* SPDX-License-Identifier: Apache-2.0
 * Questions in, answers out, with a cluster that says what a test gives it and a connection that takes or does not take:
 * the functions of the link and of kube_get that are called are defined here; the real ones are in tests/e2e. */
#include "agent/diagnose/diagnose.h"
#include "agent/collect/kubernetes/kube_get.h"
#include "common/base/clock.h"
#include "common/codec/codec.h"
#include "sre.pb.h"
#include "tests/support/check.h"

#include <stdio.h>

#define ID "01890000-0000-7000-8000-000000000001"

static struct world {
    struct loop *loop;
    struct loop_timer *timer;
    struct diagnose *diagnose;
    struct diagnose_settings settings;
    struct diagnose_allow allow;
    struct arena *arena;
    void (*on_message)(void *context, const struct mqtt_message *message);
    void *listener;
    bool full, no_cluster;
    size_t sent;
    uint8_t payload[1 << 20];
    size_t payload_bytes;
    DiagnosticsReply reply;
    /* the cluster */
    const char *bodies[2];
    size_t body_bytes; /* of the first, where it holds NULs */
    int statuses[2];
    char paths[2][512];
    size_t gets, cancels;
    bool silent; /* it does not answer */
    struct kube_get_request request;
} * w;

/* ---- what is stood in for ---- */

void link_topic(const struct link *link, const char *family, char ret_topic[LINK_TOPIC_BYTES]) {
    snprintf(ret_topic, LINK_TOPIC_BYTES, "%s/acme/edge-1", family);
}

fault_code link_listen(struct link *link, const char *family,
                       void (*on_message)(void *context, const struct mqtt_message *message), void *context,
                       struct fault *reterr) {
    assert_string_equal(family, "sre.edge.requests.v1");
    w->on_message = on_message;
    w->listener = context;
    return FAULT_NONE;
}

fault_code link_publish(struct link *link, const struct mqtt_publication *publication, struct fault *reterr) {
    struct fault fault;
    if (w->full) return fault_set(reterr, FAULT_AGAIN, "the window is full");
    assert_string_equal(publication->topic, "sre.edge.replies.v1/acme/edge-1");
    assert_true(slice_equal_text(publication->correlation_data, ID));
    assert_true(publication->payload.size <= sizeof w->payload);
    memcpy(w->payload, publication->payload.data, publication->payload.size);
    w->payload_bytes = publication->payload.size;
    w->sent++;
    CHECK_OK(codec_decode_protobuf(&DiagnosticsReply_desc, slice_of(w->payload, w->payload_bytes), w->arena, &w->reply,
                                   &fault));
    CHECK_OK(codec_validate(&DiagnosticsReply_desc, &w->reply, &fault));
    loop_stop(w->loop);
    return FAULT_NONE;
}

static void cluster_answers(void *context) {
    const size_t n = w->gets - 1;
    const char *const body = w->bodies[n] ? w->bodies[n] : "";
    struct kube_get_result result = {.status = w->statuses[n] ? w->statuses[n] : 200,
                                     .content_type = "application/json"};
    const size_t size = n == 0 && w->body_bytes ? w->body_bytes : strlen(body);
    result.cut = size > w->request.body_bytes_max;
    result.body = slice_of(body, result.cut ? w->request.body_bytes_max : size);
    if (result.status == 404) fault_set(&result.fault, FAULT_ABSENT, "404: not found");
    if (result.status == 403) fault_set(&result.fault, FAULT_DENIED, "403: token=%s may not", "hunter2hunter2");
    if (result.status == 1) fault_set(&result.fault, FAULT_TIMEOUT, "no answer in time");
    w->request.on_done(w->request.context, &result);
}

static struct loop_timer *cluster_timer;

fault_code kube_get_start(struct kube_cluster *cluster, const struct kube_get_request *request,
                          struct kube_get **ret_get, struct fault *reterr) {
    assert_true(w->gets < 2);
    assert_true(request->timeout_ms > 0 && request->body_bytes_max <= KUBE_GET_BYTES_MAX);
    snprintf(w->paths[w->gets++], sizeof w->paths[0], "%s", request->path);
    w->request = *request;
    *ret_get = (struct kube_get *)w;
    if (!w->silent) loop_timer_set(cluster_timer, 0);
    return FAULT_NONE;
}

void kube_get_cancel(struct kube_get *get) {
    loop_timer_clear(cluster_timer);
    w->cancels++;
}

static struct kube_cluster *find_cluster(void *context, slice cluster_id) {
    return w->no_cluster || (cluster_id.size && !slice_equal_text(cluster_id, "c1")) ? NULL : (struct kube_cluster *)w;
}

/* ---- the world ---- */

static void stop(void *context) {
    loop_stop(w->loop);
}

static void run(int64_t time_ms) {
    loop_timer_set(w->timer, time_ms);
    loop_run(w->loop);
}

/* Until there is an answer (link_publish stops the loop), however slow the machine is; where none can come, for a moment. */
static void run_until_answered(void) {
    run(w->silent || w->full ? 20 : 60000);
}

static void world_new(void) {
    static const slice namespaces[] = {{(const uint8_t *)"shop-.*", 7}},
                       kinds[] = {{(const uint8_t *)"*", 1}, {(const uint8_t *)"node", 4}},
                       masks[] = {{(const uint8_t *)"card-[0-9]+", 11}};
    struct fault fault;
    w = calloc(1, sizeof *w);
    CHECK_OK(loop_new(&w->loop, &fault));
    w->timer = loop_timer_new(w->loop, stop, NULL);
    cluster_timer = loop_timer_new(w->loop, cluster_answers, NULL);
    w->arena = arena_new(1 << 16, 64 << 20);
    w->allow = (struct diagnose_allow){.namespaces = {namespaces, 1}, .kinds = {kinds, 2}};
    w->settings = (struct diagnose_settings){
        .allow = {&w->allow, 1}, .bytes_max = 64 * 1024, .time_ms_max = 5000, .lines_max = 100, .mask = {masks, 1}};
    const struct diagnose_parts parts = {.loop = w->loop, .cluster = find_cluster};
    CHECK_OK(diagnose_open(&parts, &w->settings, &w->diagnose, &fault));
}

static void world_free(void) {
    diagnose_close(w->diagnose);
    loop_timer_free(w->timer);
    loop_timer_free(cluster_timer);
    loop_free(w->loop);
    arena_free(w->arena);
    free(w);
}

static void send(const DiagnosticsRequest *request) {
    struct fault fault;
    slice payload;
    CHECK_OK(codec_encode_protobuf(&DiagnosticsRequest_desc, request, w->arena, &payload, &fault));
    w->on_message(w->listener, &(struct mqtt_message){.topic = SLICE_LIT("sre.edge.requests.v1/acme/edge-1"),
                                                      .payload = payload,
                                                      .response_topic = SLICE_LIT("sre.edge.replies.v1/acme/edge-1"),
                                                      .correlation_data = SLICE_LIT(ID)});
}

static DiagnosticsRequest request(unsigned which) {
    return (DiagnosticsRequest){
        .request_id = SLICE_LIT(ID), .has_time_max = true, .time_max = {.seconds = 3}, .which_query = which};
}

static void ask_about(unsigned which, const char *kind, const char *namespace, const char *name) {
    DiagnosticsRequest r = request(which);
    const ResourceRef resource = {
        .type = slice_from_text(kind), .id = slice_from_text(name), .namespace = slice_from_text(namespace)};
    if (which == DiagnosticsRequest_describe_tag)
        r.query.describe = (DescribeQuery){.has_resource = true, .resource = resource};
    else if (which == DiagnosticsRequest_events_tag)
        r.query.events = (EventsQuery){.has_resource = true, .resource = resource};
    else
        r.query.rollout_status = (RolloutStatusQuery){.has_resource = true, .resource = resource};
    send(&r);
    run_until_answered();
}

static void ask_logs(const LogsQuery *query) {
    DiagnosticsRequest r = request(DiagnosticsRequest_logs_tag);
    r.query.logs = *query;
    send(&r);
    run_until_answered();
}

static void check_answer(DiagnosticsOutcome outcome, const char *content, const char *error) {
    assert_int_equal(w->sent, 1);
    if (w->reply.outcome != outcome || !slice_equal_text(w->reply.content, content) ||
        !strstr((const char *)arena_copy(w->arena, w->reply.error).data, error))
        fail_msg("outcome %d, '%.*s', error '%.*s'", (int)w->reply.outcome, SLICE_ARG(w->reply.content),
                 SLICE_ARG(w->reply.error));
    assert_true(slice_equal_text(w->reply.request_id, ID));
}

/* ---- tests ---- */

TEST(an_object_comes_with_its_events_and_without_its_secrets) {
    world_new();
    w->bodies[0] =
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"api-0\",\"managedFields\":[]},\"spec\":{\"env\":[{\"name\":\"A\","
        "\"value\":\"x\"}]}}";
    w->bodies[1] =
        "{\"items\":[{\"type\":\"Warning\",\"reason\":\"BackOff\",\"message\":\"card-123 refused\",\"count\":12,"
        "\"lastTimestamp\":\"2026-11-21T07:28:49Z\",\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"api-0\"}}]}";
    ask_about(DiagnosticsRequest_describe_tag, "po", "shop-a", "api-0");
    check_answer(
        DIAGNOSTICS_OUTCOME_ANSWERED,
        "{\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"api-0\"},\"spec\":{\"env\":[{\"name\":\"A\",\"value\":"
        "\"***\"}]}},"
        "\"events\":[{\"at\":\"2026-11-21T07:28:49Z\",\"count\":12,\"type\":\"Warning\",\"reason\":\"BackOff\","
        "\"message\":\"*** refused\"}]}",
        "");
    assert_true(slice_equal_text(w->reply.content_type, "application/json"));
    assert_int_equal(w->reply.masked_count, 2);
    assert_string_equal(w->paths[0], "/api/v1/namespaces/shop-a/pods/api-0");
    assert_string_equal(w->paths[1],
                        "/api/v1/namespaces/shop-a/events?limit=1000&fieldSelector=involvedObject.kind%3DPod%2C"
                        "involvedObject.name%3Dapi-0");
    world_free();
}

TEST(an_object_without_its_events_is_an_answer) {
    world_new();
    w->bodies[0] = "{\"kind\":\"Node\"}";
    w->statuses[1] = 403;
    ask_about(DiagnosticsRequest_describe_tag, "node", "", "n1");
    check_answer(DIAGNOSTICS_OUTCOME_ANSWERED,
                 "{\"object\":{\"kind\":\"Node\"},\"eventsMissing\":\"403: token=*** may not\"}", "");
    world_free();
}

TEST(events_are_lines_with_the_newest_last) {
    world_new();
    w->bodies[0] =
        "{\"items\":[{\"type\":\"Normal\",\"reason\":\"Pulled\",\"message\":\"two\\nlines\",\"eventTime\":"
        "\"2026-11-21T08:00:00.123456Z\",\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"api-0\"}},"
        "{\"type\":\"Warning\",\"reason\":\"Failed\",\"message\":\"m\",\"lastTimestamp\":\"2026-11-21T07:00:00Z\","
        "\"count\":3,\"involvedObject\":{\"kind\":\"Pod\",\"name\":\"api-0\"}}]}";
    ask_about(DiagnosticsRequest_events_tag, "pod", "shop-a", "api-0");
    check_answer(DIAGNOSTICS_OUTCOME_ANSWERED,
                 "2026-11-21T07:00:00Z  Warning  Failed  Pod/api-0  (x3)  m\n"
                 "2026-11-21T08:00:00Z  Normal   Pulled  Pod/api-0  two lines\n",
                 "");
    world_free();
}

TEST(a_log_is_asked_for_as_the_question_says_and_masked) {
    world_new();
    w->bodies[0] = "one password=hunter2 \xff end\ntwo\n";
    ask_logs(&(LogsQuery){.namespace = SLICE_LIT("shop-a"),
                          .pod = SLICE_LIT("api-0"),
                          .container = SLICE_LIT("api"),
                          .lines = 50,
                          .previous = true,
                          .since_seconds = 60});
    check_answer(DIAGNOSTICS_OUTCOME_ANSWERED, "one password=*** \xef\xbf\xbd end\ntwo\n", "");
    assert_string_equal(w->paths[0],
                        "/api/v1/namespaces/shop-a/pods/api-0/log?tailLines=50&limitBytes=1048576&previous=true"
                        "&container=api&sinceSeconds=60");
    assert_false(w->reply.truncated);
    world_free();
}

TEST(a_log_with_nul_bytes_is_shown_without_them) {
    static const char body[] = "binary \0 here password=hunter2\nlast\0\n";
    world_new();
    w->bodies[0] = body;
    w->body_bytes = sizeof body - 1;
    ask_logs(&(LogsQuery){.namespace = SLICE_LIT("shop-a"), .pod = SLICE_LIT("api-0")});
    check_answer(DIAGNOSTICS_OUTCOME_ANSWERED, "binary \xef\xbf\xbd here password=***\nlast\xef\xbf\xbd\n", "");
    world_free();
}

TEST(the_newest_of_a_long_log_is_kept_up_to_the_bound) {
    world_new();
    char *const log = malloc(200001);
    for (size_t i = 0; i < 200000; i++) log[i] = i % 100 == 99 ? '\n' : 'x';
    memcpy(log + 200000 - 100, "last", 4);
    log[200000] = '\0';
    w->bodies[0] = log;
    ask_logs(&(LogsQuery){.namespace = SLICE_LIT("shop-a"), .pod = SLICE_LIT("api-0")});
    assert_int_equal(w->reply.outcome, DIAGNOSTICS_OUTCOME_ANSWERED);
    assert_true(w->reply.truncated);
    assert_true(w->reply.content.size <= 64 * 1024 && w->reply.content.size > 64 * 1024 - 200);
    assert_int_equal(w->reply.content.size % 100, 0); /* whole lines */
    assert_true(slice_starts_with(slice_from(w->reply.content, w->reply.content.size - 100), SLICE_LIT("last")));
    free(log);
    world_free();
}

TEST(rollouts_are_told_in_a_sentence) {
    static const struct {
        const char *kind, *body, *sentence;
    } cases[] = {
        {"deployment",
         "\"spec\":{\"replicas\":3},\"status\":{\"updatedReplicas\":3,\"replicas\":3,\"availableReplicas\":3}",
         "deployment \"x\" successfully rolled out\n"},
        {"deploy",
         "\"spec\":{\"replicas\":3},\"status\":{\"updatedReplicas\":3,\"replicas\":3,\"availableReplicas\":1}",
         "Waiting for deployment \"x\": 1 of 3 updated replicas are available\n"},
        {"deployment", "\"spec\":{\"replicas\":3},\"status\":{\"updatedReplicas\":1,\"replicas\":3}",
         "Waiting for deployment \"x\": 1 of 3 replicas are updated\n"},
        {"deployment", "\"spec\":{\"replicas\":3},\"status\":{\"updatedReplicas\":3,\"replicas\":4}",
         "Waiting for deployment \"x\": 1 old replicas are still to end\n"},
        {"deployment",
         "\"spec\":{\"replicas\":3},\"status\":{\"updatedReplicas\":1,\"conditions\":[{\"type\":\"Progressing\","
         "\"reason\":"
         "\"ProgressDeadlineExceeded\"}]}",
         "deployment \"x\" exceeded its progress deadline: 0 of 3 updated replicas are available\n"},
        {"sts", "\"spec\":{\"replicas\":2},\"status\":{\"readyReplicas\":1}",
         "Waiting for statefulset \"x\": 1 of 2 pods are ready\n"},
        {"sts",
         "\"spec\":{\"replicas\":2},\"status\":{\"readyReplicas\":2,\"updatedReplicas\":1,\"currentRevision\":\"a\","
         "\"updateRevision\":\"b\"}",
         "Waiting for statefulset \"x\": 1 of 2 pods are at revision b\n"},
        {"ds", "\"status\":{\"desiredNumberScheduled\":3,\"updatedNumberScheduled\":3,\"numberAvailable\":2}",
         "Waiting for daemonset \"x\": 2 of 3 updated pods are available\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[600];
        world_new();
        snprintf(body, sizeof body, "{\"metadata\":{\"name\":\"x\"},%s}", cases[i].body);
        w->bodies[0] = body;
        ask_about(DiagnosticsRequest_rollout_status_tag, cases[i].kind, "shop-a", "x");
        check_answer(DIAGNOSTICS_OUTCOME_ANSWERED, cases[i].sentence, "");
        world_free();
    }
    world_new();
    w->bodies[0] = "{\"metadata\":{\"name\":\"x\",\"generation\":2},\"status\":{\"observedGeneration\":1}}";
    ask_about(DiagnosticsRequest_rollout_status_tag, "deployment", "shop-a", "x");
    check_answer(DIAGNOSTICS_OUTCOME_ANSWERED,
                 "Waiting for deployment \"x\": its last change has not been looked at yet\n", "");
    world_free();
    world_new();
    ask_about(DiagnosticsRequest_rollout_status_tag, "pod", "shop-a", "x");
    check_answer(DIAGNOSTICS_OUTCOME_FAILED, "", "a pod is not rolled out");
    world_free();
}

TEST(what_is_used_is_a_table_or_a_reason_why_not) {
    world_new();
    w->bodies[0] = "{\"items\":[{\"metadata\":{\"name\":\"api-0\"},\"containers\":[{\"usage\":{\"cpu\":\"250m\","
                   "\"memory\":\"64Mi\"}},"
                   "{\"usage\":{\"cpu\":\"1500000n\",\"memory\":\"1024Ki\"}}]}]}";
    DiagnosticsRequest r = request(DiagnosticsRequest_top_tag);
    r.query.top = (TopQuery){.of = TOP_SUBJECT_PODS, .namespace = SLICE_LIT("shop-a")};
    send(&r);
    run_until_answered();
    check_answer(DIAGNOSTICS_OUTCOME_ANSWERED, "NAME         CPU        MEMORY\napi-0       252m          65Mi\n", "");
    assert_string_equal(w->paths[0], "/apis/metrics.k8s.io/v1beta1/namespaces/shop-a/pods");
    world_free();
    world_new();
    w->statuses[0] = 404;
    r.query.top = (TopQuery){.of = TOP_SUBJECT_NODES};
    send(&r);
    run_until_answered();
    check_answer(DIAGNOSTICS_OUTCOME_FAILED, "", "metrics-server (metrics.k8s.io) is not installed");
    world_free();
}

TEST(only_what_the_settings_name_is_answered) {
    static const struct {
        const char *kind, *namespace, *name, *error;
        DiagnosticsOutcome outcome;
    } cases[] = {
        {"pod", "bank", "x", "do not allow describe of kind pod in namespace 'bank'", DIAGNOSTICS_OUTCOME_REFUSED},
        {"persistentvolume", "", "x", "do not allow describe of kind persistentvolume", DIAGNOSTICS_OUTCOME_REFUSED},
        {"namespace", "", "shop-a", "do not allow", DIAGNOSTICS_OUTCOME_REFUSED}, /* `*` is of what is in namespaces */
        {"secret", "shop-a", "x", "secrets are never read", DIAGNOSTICS_OUTCOME_REFUSED},
        {"Secrets", "shop-a", "x", "secrets are never read", DIAGNOSTICS_OUTCOME_REFUSED},
        {"wombat", "shop-a", "x", "'wombat' is no kind that can be asked about", DIAGNOSTICS_OUTCOME_FAILED},
        {"pod", "", "x", "in which namespace?", DIAGNOSTICS_OUTCOME_FAILED},
        {"pod", "shop-a", "../x", "is no name", DIAGNOSTICS_OUTCOME_FAILED},
        {"pod", "shop-a/../../kube-system", "x", "is no name", DIAGNOSTICS_OUTCOME_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_new();
        ask_about(DiagnosticsRequest_describe_tag, cases[i].kind, cases[i].namespace, cases[i].name);
        check_answer(cases[i].outcome, "", cases[i].error);
        assert_int_equal(w->gets, 0);
        world_free();
    }
    world_new();
    w->settings.allow.count = 0;
    struct fault fault;
    CHECK_OK(diagnose_use(w->diagnose, &w->settings, &fault));
    ask_about(DiagnosticsRequest_describe_tag, "pod", "shop-a", "x");
    check_answer(DIAGNOSTICS_OUTCOME_REFUSED, "", "this agent answers no questions");
    world_free();
}

TEST(an_unknown_cluster_and_one_that_fails_are_said) {
    world_new();
    w->no_cluster = true;
    ask_about(DiagnosticsRequest_describe_tag, "pod", "shop-a", "x");
    check_answer(DIAGNOSTICS_OUTCOME_FAILED, "", "no access to a cluster");
    world_free();
    world_new();
    w->statuses[0] = 404;
    ask_about(DiagnosticsRequest_describe_tag, "pod", "shop-a", "x");
    check_answer(DIAGNOSTICS_OUTCOME_FAILED, "", "pod 'x': 404: not found");
    world_free();
    world_new();
    w->statuses[0] = 403;
    ask_about(DiagnosticsRequest_describe_tag, "pod", "shop-a", "x");
    check_answer(DIAGNOSTICS_OUTCOME_FAILED, "", "403: token=*** may not");
    world_free();
    world_new();
    w->statuses[0] = 1;
    ask_about(DiagnosticsRequest_describe_tag, "pod", "shop-a", "x");
    check_answer(DIAGNOSTICS_OUTCOME_TIMED_OUT, "", "no answer in time");
    world_free();
}

TEST(a_third_question_at_a_time_is_told_that_two_are_answered) {
    world_new();
    w->silent = true;
    ask_about(DiagnosticsRequest_describe_tag, "pod", "shop-a", "x");
    ask_about(DiagnosticsRequest_describe_tag, "pod", "shop-a", "x");
    assert_int_equal(w->sent, 0);
    ask_about(DiagnosticsRequest_describe_tag, "pod", "shop-a", "x");
    check_answer(DIAGNOSTICS_OUTCOME_BUSY, "", "answers 2 questions at a time");
    diagnose_give_up(w->diagnose);
    assert_int_equal(w->cancels, 2);
    w->silent = false;
    w->gets = 0;
    w->bodies[0] = "{}";
    w->bodies[1] = "{\"items\":[]}";
    ask_about(DiagnosticsRequest_describe_tag, "pod", "shop-a", "x");
    assert_int_equal(w->reply.outcome, DIAGNOSTICS_OUTCOME_ANSWERED);
    world_free();
}

TEST(an_answer_waits_for_the_connection_until_its_time_is_over) {
    world_new();
    w->full = true;
    ask_about(DiagnosticsRequest_describe_tag, "secret", "shop-a", "x");
    assert_int_equal(w->sent, 0);
    w->full = false;
    run_until_answered();
    assert_int_equal(w->sent, 1);
    world_free();
    world_new();
    w->full = true;
    DiagnosticsRequest r = request(DiagnosticsRequest_describe_tag);
    r.time_max = (Duration){.nanos = 50 * 1000000};
    r.query.describe =
        (DescribeQuery){.has_resource = true, .resource = {.type = SLICE_LIT("secret"), .id = SLICE_LIT("x")}};
    send(&r);
    run(400);
    w->full = false;
    run(250);
    assert_int_equal(w->sent, 0);
    world_free();
}

TEST(what_is_no_question_is_passed_over) {
    world_new();
    const struct mqtt_message messages[] = {
        {.payload = SLICE_LIT("\xff"), .correlation_data = SLICE_LIT(ID)},
        {.payload = {0}, .correlation_data = SLICE_LIT(ID)},
        {.payload = SLICE_LIT("\x0a\x01x"), .correlation_data = SLICE_LIT(ID)},
    };
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) w->on_message(w->listener, &messages[i]);
    DiagnosticsRequest r = request(DiagnosticsRequest_top_tag);
    r.query.top.of = TOP_SUBJECT_NODES;
    struct fault fault;
    slice payload;
    CHECK_OK(codec_encode_protobuf(&DiagnosticsRequest_desc, &r, w->arena, &payload, &fault));
    w->on_message(w->listener, &(struct mqtt_message){.payload = payload, .retained = true});
    w->on_message(w->listener, &(struct mqtt_message){.payload = payload,
                                                      .response_topic = SLICE_LIT("sre.edge.acks.v1/acme/edge-1")});
    run(20);
    assert_int_equal(w->sent, 0);
    assert_int_equal(w->gets, 0);
    world_free();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_comes_with_its_events_and_without_its_secrets),
        cmocka_unit_test(an_object_without_its_events_is_an_answer),
        cmocka_unit_test(events_are_lines_with_the_newest_last),
        cmocka_unit_test(a_log_is_asked_for_as_the_question_says_and_masked),
        cmocka_unit_test(a_log_with_nul_bytes_is_shown_without_them),
        cmocka_unit_test(the_newest_of_a_long_log_is_kept_up_to_the_bound),
        cmocka_unit_test(rollouts_are_told_in_a_sentence),
        cmocka_unit_test(what_is_used_is_a_table_or_a_reason_why_not),
        cmocka_unit_test(only_what_the_settings_name_is_answered),
        cmocka_unit_test(an_unknown_cluster_and_one_that_fails_are_said),
        cmocka_unit_test(a_third_question_at_a_time_is_told_that_two_are_answered),
        cmocka_unit_test(an_answer_waits_for_the_connection_until_its_time_is_over),
        cmocka_unit_test(what_is_no_question_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
