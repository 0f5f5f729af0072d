/* SPDX-License-Identifier: Apache-2.0
 * What is read of kubeconfigs, what is refused and in which words; and the settings of a cluster. */
#include "agent/collect/kubernetes/kube_config.h"
#include "agent/collect/kubernetes/kube_settings.h"
#include "tests/support/check.h"

#define CLUSTER(more)                                                                                                  \
    "clusters: [{name: c, cluster: {server: 'https://10.0.0.1:6443', " more "}}]\n"                                    \
    "contexts: [{name: x, context: {cluster: c, user: u, namespace: shop}}]\ncurrent-context: x\npreferences: {}\n"
#define USER(more) "users: [{name: u, user: {" more "}}]\n"

static struct arena *arena;
static struct fault fault;

static fault_code read_text(const char *yaml, struct kube_config *ret_config) {
    arena_reset(arena);
    return kube_config_read_text("/etc/picket/kube/config", slice_from_text(yaml), (slice){0}, arena, ret_config,
                                 &fault);
}

TEST(tokens_and_certificates_are_read) {
    struct kube_config config;
    CHECK_OK(read_text(CLUSTER("certificate-authority-data: Q0E=")
                           USER("token: abc, client-certificate: pki/me.crt, client-key-data: S0VZ"),
                       &config));
    assert_string_equal(config.server, "https://10.0.0.1:6443");
    assert_ptr_equal(config.server, config.base_url);
    CHECK_SLICE(config.ca, "CA");
    assert_null(config.ca_path);
    assert_string_equal(config.token, "abc");
    assert_string_equal(config.certificate_path, "/etc/picket/kube/pki/me.crt");
    CHECK_SLICE(config.key, "KEY");
    assert_int_equal(config.key.data[config.key.size], 0);
    assert_null(config.connect_to);
    assert_false(config.insecure);
    CHECK_OK(
        read_text(CLUSTER("certificate-authority: /ca.crt, insecure-skip-tls-verify: true, proxy-url: 'http://p:3128'")
                      USER("tokenFile: t, token: null"),
                  &config));
    assert_string_equal(config.ca_path, "/ca.crt");
    assert_string_equal(config.token_path, "/etc/picket/kube/t");
    assert_string_equal(config.proxy_url, "http://p:3128");
    assert_null(config.token);
    assert_true(config.insecure);
}

TEST(json_and_other_contexts_are_read) {
    struct kube_config config;
    static const char json[] = "{\"clusters\":[{\"name\":\"a\",\"cluster\":{\"server\":\"http://a/k8s/c-1/"
                               "\"}},{\"name\":\"b\",\"cluster\":{\"server\":"
                               "\"https://"
                               "[::1]:6443\"}}],\"contexts\":[{\"name\":\"one\",\"context\":{\"cluster\":\"a\","
                               "\"user\":\"\"}},{\"name\":\"two\","
                               "\"context\":{\"cluster\":\"b\",\"user\":\"u\"}}],\"users\":[{\"name\":\"u\",\"user\":{}"
                               "}],\"current-context\":\"two\"}";
    CHECK_OK(read_text(json, &config));
    assert_string_equal(config.server, "https://[::1]:6443");
    CHECK_OK(kube_config_read_text("config", slice_from_text(json), SLICE_LIT("one"), arena, &config, &fault));
    assert_string_equal(config.server, "http://a/k8s/c-1");
    assert_null(config.token);
    CHECK_FAULT(kube_config_read_text("config", slice_from_text(json), SLICE_LIT("three"), arena, &config, &fault),
                FAULT_ABSENT);
    assert_non_null(strstr(fault.text, "there is no context 'three'"));
}

TEST(a_servers_name_is_proved_at_its_address) {
    static const struct {
        const char *server, *base_url, *connect_to;
    } cases[] = {
        {"https://10.0.0.1:6443", "https://api.example:6443", "::10.0.0.1:6443"},
        {"https://10.0.0.1", "https://api.example:443", "::10.0.0.1:443"},
        {"https://[fd00::1]:6443/k8s", "https://api.example:6443/k8s", "::[fd00::1]:6443"},
        {"https://[fd00::1]", "https://api.example:443", "::[fd00::1]:443"},
        {"https://host/a/b/", "https://api.example:443/a/b", "::host:443"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char yaml[1024];
        struct kube_config config;
        snprintf(yaml, sizeof yaml,
                 "clusters: [{name: c, cluster: {server: '%s', tls-server-name: api.example}}]\n"
                 "contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n",
                 cases[i].server);
        CHECK_OK(read_text(yaml, &config));
        assert_string_equal(config.base_url, cases[i].base_url);
        assert_string_equal(config.connect_to, cases[i].connect_to);
    }
}

TEST(plugins_are_read_with_their_environment) {
    struct kube_config config;
    setenv("KUBE_CONFIG_TEST", "ours", 1);
    CHECK_OK(read_text(
        CLUSTER("certificate-authority-data: Q0E=")
            USER("exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ./get, args: [a, 'b c'], "
                 "env: [{name: KUBE_CONFIG_TEST, value: theirs}], provideClusterInfo: true, interactiveMode: Never}"),
        &config));
    assert_string_equal(config.plugin_arguments[0], "/etc/picket/kube/./get");
    assert_string_equal(config.plugin_arguments[2], "b c");
    assert_null(config.plugin_arguments[3]);
    assert_string_equal(config.plugin_api_version, "client.authentication.k8s.io/v1beta1");
    assert_string_equal(config.plugin_environment[0], "KUBE_CONFIG_TEST=theirs");
    assert_string_equal(
        config.plugin_environment[1],
        "KUBERNETES_EXEC_INFO={\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\","
        "\"spec\":{\"interactive\":false,\"cluster\":{\"server\":\"https://10.0.0.1:6443\","
        "\"certificate-authority-data\":\"Q0E=\"}}}");
    CHECK_OK(read_text(CLUSTER("") USER("exec: {apiVersion: client.authentication.k8s.io/v1, command: get}"), &config));
    assert_string_equal(config.plugin_arguments[0], "get");
}

TEST(what_cannot_be_used_is_refused_with_its_line) {
    static const struct {
        const char *yaml, *words;
    } cases[] = {
        {"[]", "it is no kubeconfig"},
        {"", "it is no kubeconfig"},
        {"a: &b c\n", "line 1"},
        {"clusters: []\n", "it has no current-context"},
        {"contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n", "there is no cluster 'c'"},
        {CLUSTER(""), "there is no user 'u'"},
        {CLUSTER("certificate-authority-data: '!'") USER(""), "certificate-authority-data is not base64"},
        {CLUSTER("insecure-skip-tls-verify: maybe") USER(""), "must be true or false"},
        {CLUSTER("proxy-url: 'socks5://p:1'") USER(""), "proxy-url must be http://"},
        {CLUSTER("tls-server-name: 'a b'") USER(""), "tls-server-name is no name"},
        {CLUSTER("tls-server-name: [a]") USER(""), "tls-server-name must be text"},
        {CLUSTER("") USER("auth-provider: {name: gcp}"), "auth-provider is not supported"},
        {CLUSTER("") USER("as: root"), "impersonation (as) is not supported"},
        {CLUSTER("") USER("client-certificate: a"), "belong together"},
        {CLUSTER("") USER("token: a, exec: {}"), "leave one of them"},
        {CLUSTER("") USER("exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: a}"), "v1 or v1beta1"},
        {CLUSTER("") USER("exec: {apiVersion: client.authentication.k8s.io/v1}"), "exec.command is missing"},
        {CLUSTER("") USER("exec: {apiVersion: client.authentication.k8s.io/v1, command: a, interactiveMode: Always}"),
         "a person at a terminal"},
        {"clusters: [{name: c, cluster: {server: 'ftp://a'}}]\ncontexts: [{name: x, context: {cluster: c}}]\n"
         "current-context: x\n",
         "must be a URL"},
        {"clusters: [{name: c, cluster: {server: 'https://u:p@a'}}]\ncontexts: [{name: x, context: {cluster: c}}]\n"
         "current-context: x\n",
         "without user"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kube_config config;
        if (read_text(cases[i].yaml, &config) == FAULT_NONE) fail_msg("taken: %s", cases[i].yaml);
        if (!strstr(fault.text, cases[i].words) || !strstr(fault.text, "/etc/picket/kube/config"))
            fail_msg("expected '%s', got: %s", cases[i].words, fault.text);
    }
    struct kube_config config;
    CHECK_FAULT(kube_config_read("/nonexistent/config", (slice){0}, arena, &config, &fault), FAULT_SYSTEM);
}

TEST(settings_of_clusters_are_checked) {
    struct all {
        struct {
            struct kube_cluster_settings *items;
            size_t count;
        } clusters;
    } values;
    static const struct setting_row rows[] = {
        SETTING_LIST(struct all, "kubernetes", clusters, &kube_cluster_table, 64, "clusters")};
    static const struct setting_table table = SETTING_TABLE("test", struct all, rows);
    static const struct {
        const char *yaml, *words;
    } cases[] = {
        {"kubernetes: [{cluster_id: a}, {cluster_id: b, namespaces: [shop, kube-system], node: n-1.example}]\n", NULL},
        {"kubernetes: [{cluster_id: a}, {cluster_id: a}]\n", "there is a cluster 'a' already"},
        {"kubernetes: [{cluster_id: a, namespaces: [Shop]}]\n", "'Shop' is no name of a namespace"},
        {"kubernetes: [{cluster_id: a, namespaces: ['-a']}]\n", "is no name of a namespace"},
        {"kubernetes: [{cluster_id: a, node: 'a/b'}]\n", "is no name of a node"},
        {"kubernetes: [{cluster_id: a, context: x}]\n", "a context needs a kubeconfig"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        arena_reset(arena);
        struct settings *read = settings_new(&table, arena);
        CHECK_OK(settings_read_text(read, "test.yaml", slice_from_text(cases[i].yaml), NULL, &values, &fault));
        kube_settings_check(read, values.clusters.items, values.clusters.count);
        const fault_code code = settings_result(read, &fault);
        if (!cases[i].words) {
            assert_int_equal(code, FAULT_NONE);
            assert_int_equal(values.clusters.items[0].stall_ms, 120000);
        } else if (code == FAULT_NONE || !strstr(fault.text, cases[i].words)) {
            fail_msg("expected '%s', got: %s", cases[i].words, fault.text);
        }
    }
}

int main(void) {
    arena = arena_new(64 * 1024, 4 * 1024 * 1024);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_and_certificates_are_read),
        cmocka_unit_test(json_and_other_contexts_are_read),
        cmocka_unit_test(a_servers_name_is_proved_at_its_address),
        cmocka_unit_test(plugins_are_read_with_their_environment),
        cmocka_unit_test(what_cannot_be_used_is_refused_with_its_line),
        cmocka_unit_test(settings_of_clusters_are_checked),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(arena);
    return failed;
}
