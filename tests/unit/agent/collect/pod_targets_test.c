/* SPDX-License-Identifier: Apache-2.0
 * Objects as the API server sends them, in JSON, and the targets that they are. */
#include "agent/collect/prometheus/monitor_parts.h"
#include "agent/collect/prometheus/pod_ports.h"
#include "common/base/arena.h"
#include "common/codec/codec.h"
#include "tests/support/check.h"

static struct arena *arena;
static struct pod_target_list list; /* too large for a stack */

static const void *decoded(enum kube_kind kind, const char *json) {
    struct fault fault;
    const struct message_desc *const desc = kube_resource(kind)->message;
    void *const message = arena_alloc(arena, message_size(desc));
    assert_non_null(message);
    CHECK_OK(codec_decode_json_foreign(desc, slice_from_text(json), arena, message, &fault));
    return message;
}

static struct discovery_settings settings_of(const char *annotations) {
    return (struct discovery_settings){.annotations = slice_from_text(annotations), .host_network = true};
}

/* "name url;..." of what was found. */
static void check_list(const char *expected) {
    char text[4096] = "";
    size_t size = 0;
    for (size_t i = 0; i < list.count; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s %s%s;", list.all[i].name, list.all[i].url,
                                 list.all[i].ending ? " ending" : "");
    assert_string_equal(text, expected);
}

#define POD(meta, spec, status)                                                                                        \
    "{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\"" meta "},\"spec\":{\"nodeName\":\"node-1\"" spec  \
    "},\"status\":{\"phase\":\"Running\",\"podIP\":\"10.1.2.3\"" status "}}"
#define PORTS                                                                                                          \
    ",\"containers\":[{\"name\":\"a\",\"ports\":[{\"name\":\"http\",\"containerPort\":80,\"protocol\":\"TCP\"},"       \
    "{\"name\":\"dns\",\"containerPort\":53,\"protocol\":\"UDP\"}]}],\"initContainers\":[{\"name\":\"s\","             \
    "\"restartPolicy\":\"Always\",\"ports\":[{\"name\":\"metrics\",\"containerPort\":9090}]},"                         \
    "{\"name\":\"i\",\"ports\":[{\"name\":\"metrics\",\"containerPort\":1}]}]"
#define ASKS(more) ",\"annotations\":{\"prometheus.io/scrape\":\"true\"" more "}"

static void annotated(const struct discovery_settings *settings, const char *node, const char *json,
                      const char *expected) {
    list.count = list.skipped = 0;
    pod_targets_annotated(settings, slice_from_text(node), decoded(KUBE_PODS, json), &list);
    check_list(expected);
}

TEST(annotations_name_port_path_and_scheme) {
    const struct discovery_settings s = settings_of("prometheus.io/");
    annotated(&s, "", POD(ASKS(",\"prometheus.io/port\":\"8080\""), "", ""), "n/p:8080 http://10.1.2.3:8080/metrics;");
    annotated(
        &s, "",
        POD(ASKS(",\"prometheus.io/port\":\"1\",\"prometheus.io/path\":\"/a?b=c\",\"prometheus.io/scheme\":\"https\""),
            "", ""),
        "n/p:1/a?b=c https://10.1.2.3:1/a?b=c;");
    /* Without a port: every TCP port that a container declares, sidecars included. */
    annotated(&s, "", POD(ASKS(""), PORTS, ""),
              "n/p:80 http://10.1.2.3:80/metrics;n/p:9090 http://10.1.2.3:9090/metrics;");
    /* A path is one of the pod, whatever it begins with; a scheme is one in any letters. */
    annotated(&s, "",
              POD(ASKS(",\"prometheus.io/port\":\"1\",\"prometheus.io/path\":\"metrics\",\"prometheus.io/"
                       "scheme\":\"HTTP\""),
                  "", ""),
              "n/p:1 http://10.1.2.3:1/metrics;");
    annotated(&s, "", POD(ASKS(",\"prometheus.io/port\":\"1\",\"prometheus.io/path\":\"@evil.example/\""), "", ""),
              "n/p:1/@evil.example/ http://10.1.2.3:1/@evil.example/;");
    annotated(&s, "", POD(",\"annotations\":{\"prometheus.io/scrape\":\"yes\"}", PORTS, ""), "");
    annotated(&s, "", POD("", PORTS, ""), "");
    const struct discovery_settings other = settings_of("picket.test/");
    annotated(&other, "", POD(ASKS(",\"picket.test/scrape\":\"true\",\"picket.test/port\":\"7\""), "", ""),
              "n/p:7 http://10.1.2.3:7/metrics;");
}

TEST(a_pod_is_a_target_while_it_runs_with_an_address_on_the_node) {
    struct discovery_settings s = settings_of("prometheus.io/");
    const char *const port = POD(ASKS(",\"prometheus.io/port\":\"1\""), "", "");
    annotated(&s, "node-1", port, "n/p:1 http://10.1.2.3:1/metrics;");
    annotated(&s, "node-2", port, "");
    annotated(&s, "",
              POD(ASKS(",\"prometheus.io/port\":\"1\"") ",\"deletionTimestamp\":\"2026-11-21T01:02:03Z\"", "", ""),
              "n/p:1 http://10.1.2.3:1/metrics ending;");
    annotated(&s, "",
              "{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\"" ASKS(
                  ",\"prometheus.io/port\":\"1\"") "},\"spec\":{},\"status\":{\"phase\":\"Running\"}}",
              "");
    annotated(
        &s, "",
        "{\"metadata\":{\"name\":\"p\"" ASKS(",\"prometheus.io/port\":\"1\"") "},\"spec\":{},\"status\":{\"phase\":"
                                                                              "\"Succeeded\",\"podIP\":\"10.1.2.3\"}}",
        "");
    const char *const host = POD(ASKS(",\"prometheus.io/port\":\"1\""), ",\"hostNetwork\":true", "");
    annotated(&s, "", host, "n/p:1 http://10.1.2.3:1/metrics;");
    s.host_network = false;
    annotated(&s, "", host, "");
}

static void skipped(const char *json, const char *words) {
    const struct discovery_settings s = settings_of("prometheus.io/");
    annotated(&s, "", json, "");
    assert_int_equal(list.skipped, 1);
    if (!strstr(list.why.text, words)) fail_msg("'%s' does not say '%s'", list.why.text, words);
}

TEST(what_is_no_url_of_a_pod_is_left_out_and_said) {
    skipped(POD(ASKS(",\"prometheus.io/port\":\"0\""), "", ""), "n/p: port 0");
    skipped(POD(ASKS(",\"prometheus.io/port\":\"80a\""), "", ""), "port '80a'");
    skipped(POD(ASKS(",\"prometheus.io/port\":\"99999\""), "", ""), "port 99999");
    skipped(POD(ASKS(",\"prometheus.io/port\":\"1\",\"prometheus.io/path\":\"/a b\""), "", ""), "no blanks");
    skipped(POD(ASKS(",\"prometheus.io/port\":\"1\",\"prometheus.io/scheme\":\"file\""), "", ""),
            "neither http nor https");
}

TEST(addresses_of_no_pod_are_never_scraped) {
    static const struct {
        const char *address;
        fault_code code, local;
    } cases[] = {
        {"10.1.2.3", FAULT_NONE, FAULT_NONE},
        {"fd00::1", FAULT_NONE, FAULT_NONE},
        {"8.8.8.8", FAULT_NONE, FAULT_NONE},
        {"127.0.0.1", FAULT_DENIED, FAULT_NONE},
        {"127.9.9.9", FAULT_DENIED, FAULT_NONE},
        {"::1", FAULT_DENIED, FAULT_NONE},
        {"169.254.169.254", FAULT_DENIED, FAULT_NONE},
        {"fe80::1", FAULT_DENIED, FAULT_NONE},
        {"::ffff:127.0.0.1", FAULT_DENIED, FAULT_NONE},
        {"::ffff:169.254.169.254", FAULT_DENIED, FAULT_NONE},
        {"0.0.0.0", FAULT_DENIED, FAULT_DENIED},
        {"::", FAULT_DENIED, FAULT_DENIED},
        {"224.0.0.1", FAULT_DENIED, FAULT_DENIED},
        {"255.255.255.255", FAULT_DENIED, FAULT_DENIED},
        {"ff02::1", FAULT_DENIED, FAULT_DENIED},
        {"localhost", FAULT_INPUT, FAULT_INPUT},
        {"10.1", FAULT_INPUT, FAULT_INPUT},
        {"10.1.2.3/x", FAULT_INPUT, FAULT_INPUT},
        {"", FAULT_INPUT, FAULT_INPUT},
        {"fe80::1%eth0", FAULT_INPUT, FAULT_INPUT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fault fault;
        const slice address = slice_from_text(cases[i].address);
        if (pod_address_check(address, false, &fault) != cases[i].code ||
            pod_address_check(address, true, &fault) != cases[i].local)
            fail_msg("'%s' is judged otherwise: %s", cases[i].address, fault.text);
    }
}

static void monitored(const char *spec, const char *json, const char *expected) {
    char text[2048];
    struct fault note, fault;
    struct monitor *monitor;
    const struct discovery_settings s = settings_of("");
    snprintf(text, sizeof text, "{\"metadata\":{\"name\":\"m\",\"namespace\":\"n\"},\"spec\":{%s}}", spec);
    CHECK_OK(monitor_new(KUBE_PODMONITORS, decoded(KUBE_PODMONITORS, text), &monitor, &note, &fault));
    list.count = list.skipped = 0;
    pod_targets_monitored(&s, (slice){0}, monitor, decoded(KUBE_PODS, json), &list);
    check_list(expected);
    monitor_free(monitor);
}

#define LABELS ",\"labels\":{\"app\":\"web\",\"tier\":\"front\"}"
#define PORT_9090 "\"podMetricsEndpoints\":[{\"port\":\"metrics\"}]"
#define FOUND "n/p:9090 http://10.1.2.3:9090/metrics;"

TEST(selectors_select_as_kubernetes_does) {
    static const struct {
        const char *selector;
        bool selects;
    } cases[] = {
        {"{}", true},
        {"{\"matchLabels\":{\"app\":\"web\"}}", true},
        {"{\"matchLabels\":{\"app\":\"web\",\"tier\":\"back\"}}", false},
        {"{\"matchExpressions\":[{\"key\":\"tier\",\"operator\":\"In\",\"values\":[\"back\",\"front\"]}]}", true},
        {"{\"matchExpressions\":[{\"key\":\"tier\",\"operator\":\"NotIn\",\"values\":[\"front\"]}]}", false},
        {"{\"matchExpressions\":[{\"key\":\"none\",\"operator\":\"NotIn\",\"values\":[\"x\"]}]}", true},
        {"{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"Exists\"}]}", true},
        {"{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"DoesNotExist\"}]}", false},
        {"{\"matchExpressions\":[{\"key\":\"none\",\"operator\":\"DoesNotExist\"}],\"matchLabels\":{\"app\":\"x\"}}",
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char spec[512];
        snprintf(spec, sizeof spec, "\"selector\":%s," PORT_9090, cases[i].selector);
        monitored(spec, POD(LABELS, PORTS, ""), cases[i].selects ? FOUND : "");
    }
    monitored("\"selector\":{},\"namespaceSelector\":{\"matchNames\":[\"other\"]}," PORT_9090, POD(LABELS, PORTS, ""),
              "");
    monitored("\"selector\":{},\"namespaceSelector\":{\"matchNames\":[\"other\",\"n\"]}," PORT_9090,
              POD(LABELS, PORTS, ""), FOUND);
    monitored("\"selector\":{},\"namespaceSelector\":{\"any\":true}," PORT_9090, POD(LABELS, PORTS, ""), FOUND);
}

TEST(endpoints_name_ports_as_containers_declare_them) {
    monitored("\"selector\":{},\"podMetricsEndpoints\":[{\"portNumber\":80},{\"targetPort\":9090,\"path\":\"/"
              "m\",\"scheme\":\"HTTPS\"},{\"targetPort\":\"http\"}]",
              POD("", PORTS, ""), "n/p:80 http://10.1.2.3:80/metrics;n/p:9090/m https://10.1.2.3:9090/m;");
    monitored("\"selector\":{},\"podMetricsEndpoints\":[{\"port\":\"dns\"},{\"portNumber\":12},{\"port\":\"none\"}]",
              POD("", PORTS, ""), "");
}

static void noted(const char *endpoint, const char *words) {
    char text[1024];
    struct fault note, fault;
    struct monitor *monitor;
    snprintf(
        text, sizeof text,
        "{\"metadata\":{\"name\":\"m\",\"namespace\":\"n\"},\"spec\":{\"selector\":{},\"podMetricsEndpoints\":[%s]}}",
        endpoint);
    CHECK_OK(monitor_new(KUBE_PODMONITORS, decoded(KUBE_PODMONITORS, text), &monitor, &note, &fault));
    if (!strstr(note.text, words)) fail_msg("%s: '%s' does not say '%s'", endpoint, note.text, words);
    monitor_free(monitor);
}

TEST(what_a_monitor_cannot_have_is_said) {
    noted("{\"port\":\"a\",\"basicAuth\":{\"username\":{\"name\":\"s\",\"key\":\"u\"}}}", "credentials from secrets");
    noted("{\"port\":\"a\",\"authorization\":{}}", "credentials from secrets");
    noted("{\"port\":\"a\",\"proxyUrl\":\"http://p\"}", "behind a proxy");
    noted("{\"port\":\"a\",\"params\":{\"module\":[\"x\"]}}", "has parameters");
    noted("{}", "names no port");
    noted("{\"port\":\"a\",\"interval\":\"often\"}", "interval or scrapeTimeout");
    noted("{\"port\":\"a\",\"interval\":\"2h\"}", "100ms to 1h");
    struct fault note, fault;
    struct monitor *monitor;
    assert_int_equal(monitor_new(KUBE_PODMONITORS,
                                 decoded(KUBE_PODMONITORS, "{\"metadata\":{\"name\":\"m\"},\"spec\":{}}"), &monitor,
                                 &note, &fault),
                     FAULT_INPUT);
    assert_int_equal(
        monitor_new(KUBE_PODMONITORS,
                    decoded(KUBE_PODMONITORS, "{\"metadata\":{\"name\":\"m\"},\"spec\":{\"selector\":{"
                                              "\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Gt\"}]}}}"),
                    &monitor, &note, &fault),
        FAULT_INPUT);
    assert_non_null(strstr(fault.text, "operator 'Gt'"));
}

TEST(slices_of_a_service_are_its_pods) {
    struct fault note, fault;
    struct monitor *monitor;
    const struct discovery_settings s = settings_of("");
    CHECK_OK(monitor_new(
        KUBE_SERVICEMONITORS,
        decoded(KUBE_SERVICEMONITORS,
                "{\"metadata\":{\"name\":\"m\",\"namespace\":\"n\"},\"spec\":{\"selector\":{\"matchLabels\":{\"app\":"
                "\"api\"}},\"endpoints\":[{\"port\":\"web\"},{\"targetPort\":9090}]}}"),
        &monitor, &note, &fault));
    const char *const json =
        "{\"metadata\":{\"name\":\"api-1\",\"namespace\":\"n\",\"labels\":{\"app\":\"api\"}},\"addressType\":\"IPv4\","
        "\"ports\":[{\"name\":\"web\",\"port\":8080},{\"name\":\"metrics\",\"port\":9090},{\"name\":\"web2\",\"port\":"
        "1}],"
        "\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],\"nodeName\":\"a\",\"targetRef\":{\"kind\":\"Pod\",\"name\":"
        "\"api-0\",\"uid\":\"u\"}},"
        "{\"addresses\":[\"fd00::2\"],\"nodeName\":\"b\",\"conditions\":{\"terminating\":true}},{\"addresses\":[]}]}";
    list.count = list.skipped = 0;
    slice_targets_monitored(&s, (slice){0}, monitor, decoded(KUBE_ENDPOINTSLICES, json), NULL, &list);
    check_list(
        "n/api-0:8080 http://10.0.0.1:8080/metrics;n/api-0:9090 http://10.0.0.1:9090/metrics;"
        "n/fd00::2:8080 http://[fd00::2]:8080/metrics ending;n/fd00::2:9090 http://[fd00::2]:9090/metrics ending;");
    list.count = 0;
    slice_targets_monitored(&s, SLICE_LIT("b"), monitor, decoded(KUBE_ENDPOINTSLICES, json), NULL, &list);
    assert_int_equal(list.count, 2);
    monitor_free(monitor);
}

static bool is_any(void *context, slice name, int32_t number) {
    return true;
}

static void on_changed(void *context, bool answers) {
    *(unsigned *)context += answers;
}

static void targeted(const char *target, struct pod_ports *ports, const char *expected, const char *note_of_it) {
    struct fault note, fault;
    struct monitor *monitor;
    char text[1024];
    const struct discovery_settings s = settings_of("");
    snprintf(text, sizeof text,
             "{\"metadata\":{\"name\":\"m\",\"namespace\":\"n\"},\"spec\":{\"selector\":{},\"endpoints\":[{%s}]}}",
             target);
    CHECK_OK(monitor_new(KUBE_SERVICEMONITORS, decoded(KUBE_SERVICEMONITORS, text), &monitor, &note, &fault));
    const char *const json = "{\"metadata\":{\"name\":\"api-1\",\"namespace\":\"n\"},\"addressType\":\"IPv4\","
                             "\"ports\":[{\"name\":\"web\",\"port\":80}],\"endpoints\":[{\"addresses\":[\"10.0.0.1\"],"
                             "\"targetRef\":{\"kind\":\"Pod\",\"name\":\"p\",\"uid\":\"u\"}}]}";
    list.count = list.skipped = 0;
    slice_targets_monitored(&s, (slice){0}, monitor, decoded(KUBE_ENDPOINTSLICES, json), ports, &list);
    check_list(expected);
    monitors_note(&monitor, 1, text, sizeof text);
    assert_string_equal(text, note_of_it);
    monitor_free(monitor);
}

/* The Service's port is web:80, for the container's http; metrics and dns are the pod's alone. */
TEST(a_target_port_is_one_of_the_pod_behind_the_service) {
    unsigned changes = 0;
    struct pod_ports *const ports = pod_ports_new(NULL, &(struct pod_ports_calls){is_any, on_changed, &changes});
    assert_non_null(ports);
    targeted("\"targetPort\":80", ports, "n/p:80 http://10.0.0.1:80/metrics;", "");
    assert_true(pod_ports_settled(ports)); /* the slice says it: pods are not asked for */
    targeted("\"targetPort\":\"http\"", ports, "", "no target has the port of 1 monitors (n/m: 'http')");
    assert_false(pod_ports_settled(ports));
    /* The pod comes after its slice: that is told. */
    pod_ports_take(ports, decoded(KUBE_PODS, POD("", PORTS, "")), 1);
    assert_int_equal(changes, 1);
    targeted("\"targetPort\":\"http\"", ports, "n/p:80 http://10.0.0.1:80/metrics;", "");
    targeted("\"targetPort\":\"metrics\",\"path\":\"m\"", ports, "n/p:9090/m http://10.0.0.1:9090/m;", "");
    targeted("\"targetPort\":9090", ports, "n/p:9090 http://10.0.0.1:9090/metrics;", "");
    targeted("\"targetPort\":\"dns\"", ports, "", "no target has the port of 1 monitors (n/m: 'dns')"); /* UDP */
    targeted("\"targetPort\":9091", ports, "", "no target has the port of 1 monitors (n/m: '9091')");
    targeted("\"port\":\"metrics\"", ports, "", "no target has the port of 1 monitors (n/m: 'metrics')");
    targeted("\"targetPort\":\"http\"", NULL, "", "no target has the port of 1 monitors (n/m: 'http')");
    pod_ports_take(ports, decoded(KUBE_PODS, POD("", "", "")), 2);
    targeted("\"targetPort\":\"metrics\"", ports, "", "no target has the port of 1 monitors (n/m: 'metrics')");
    pod_ports_free(ports);
}

static int begin(void **state) {
    arena = arena_new(65536, 1 << 26);
    return arena ? 0 : 1;
}

static int end(void **state) {
    arena_free(arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(annotations_name_port_path_and_scheme),
        cmocka_unit_test(a_pod_is_a_target_while_it_runs_with_an_address_on_the_node),
        cmocka_unit_test(what_is_no_url_of_a_pod_is_left_out_and_said),
        cmocka_unit_test(addresses_of_no_pod_are_never_scraped),
        cmocka_unit_test(selectors_select_as_kubernetes_does),
        cmocka_unit_test(endpoints_name_ports_as_containers_declare_them),
        cmocka_unit_test(what_a_monitor_cannot_have_is_said),
        cmocka_unit_test(slices_of_a_service_are_its_pods),
        cmocka_unit_test(a_target_port_is_one_of_the_pod_behind_the_service),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
