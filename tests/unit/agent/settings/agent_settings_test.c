/* SPDX-License-Identifier: Apache-2.0
 * Bad files and what is said about them: line, key and reason, all mistakes of a file and not the first only. */
#include "tests/support/check.h"

#include "agent/settings/agent_settings.h"
#include "common/base/text.h"

/* The keys without which nothing is a configuration, four lines. */
#define GOOD                                                                                                           \
    "agent: {tenant: acme, name: edge-1}\n"                                                                            \
    "mqtt: {host: broker, ca: /ca.pem, certificate: /me.pem,\n"                                                        \
    "  key: /me.key}\n"                                                                                                \
    "targets: [{name: node, url: 'http://127.0.0.1:9100/metrics'}]\n"

static struct setting_texts read_text(struct arena *arena, const char *yaml, struct agent_settings *ret_settings,
                                      fault_code *ret_code) {
    struct fault fault;
    struct setting_texts mistakes;
    *ret_code =
        agent_settings_read_text("agent.yaml", slice_from_text(yaml), NULL, arena, ret_settings, &mistakes, &fault);
    return mistakes;
}

TEST(good_file_is_read) {
    struct arena *arena = arena_new(4096, 1 << 24);
    struct agent_settings settings;
    fault_code code;
    const struct setting_texts mistakes = read_text(
        arena,
        GOOD "buffer: {path: /tmp/q, bytes_max: 10MiB}\n"
             "probes:\n"
             "  - {name: web, url: 'https://example.org/', interval: 5s, timeout: 1s, tls: {insecure: true}}\n"
             "  - {name: ssh, tcp: '[::1]:22'}\n"
             "slis:\n"
             "  - {slo_id: api, kind: ratio_bad, bad: 'requests{code=~\"5..\"}', total: requests, window: 5m, targets: "
             "[node]}\n"
             "  - {slo_id: web, kind: probe, latency_max: 200ms, targets: [web]}\n"
             "health:\n"
             "  - {id: disk, target: node, selector: free_bytes, comparison: '>', threshold: 1e9, severity: degraded}\n"
             "  - {id: web, probe: web}\n",
        &settings, &code);
    for (size_t i = 0; i < mistakes.count; i++) printf("%.*s\n", SLICE_ARG(mistakes.items[i]));
    assert_int_equal(code, FAULT_NONE);
    assert_int_equal(mistakes.count, 0);
    CHECK_SLICE(settings.tenant, "acme");
    assert_int_equal(settings.mqtt.port, 8883);
    assert_int_equal(settings.buffer.bytes_max, 10 << 20);
    assert_int_equal(settings.scrape.interval_ms, 15000);
    assert_true(settings.probes.items[0].access.tls_insecure);
    struct sli_definition sli;
    agent_settings_sli(&settings.slis.items[0], &sli);
    assert_int_equal(sli.kind, SLI_RATIO_BAD);
    assert_int_equal(sli.window_seconds, 300);
    assert_int_equal(sli.targets_count, 1);
    struct health_check check;
    agent_settings_health(&settings.health.items[0], &check);
    assert_int_equal(check.operator, SLI_GREATER);
    assert_true(check.degrades && !check.probe);
    slice host;
    uint16_t port;
    assert_true(text_host_port(settings.probes.items[1].tcp, &host, &port));
    CHECK_SLICE(host, "::1");
    assert_int_equal(port, 22);
    arena_free(arena);
}

struct bad {
    const char *yaml;
    const char *said[4]; /* each must be in one of the mistakes */
};

static const struct bad bad_files[] = {
    {"", {"agent.tenant", "agent.name", "mqtt.host", "mqtt.ca: is required"}},
    {GOOD "agnet: {}\n", {"agent.yaml:5:", "agnet", "agent"}},
    {GOOD "scrape: {interval: 5, timeout: 1s}\n", {"agent.yaml:5:", "scrape.interval"}},
    {GOOD "scrape: {interval: 5s, timeout: 6s}\n", {"agent.yaml:5: scrape.timeout", "longer than scrape.interval"}},
    {"agent: {tenant: Acme, name: edge_1}\nmqtt: {host: b, plain_text: true}\n",
     {"agent.yaml:1: agent.tenant: may have", "agent.yaml:1: agent.name: may have"}},
    {"agent: {tenant: '.', name: '..'}\nmqtt: {host: b, plain_text: true}\n",
     {"agent.tenant: needs a letter or a digit, '.' has none", "agent.name: needs a letter or a digit, '..' has none"}},
    {GOOD "probes: [{name: p, url: 'http://'}]\n",
     {"agent.yaml:5: probes[0].url: must begin with http:// or https:// and a host"}},
    {"agent: {tenant: acme, name: a123456789b123456789c123456789d123456789e123456789f1234567890}\nmqtt: {host: b, "
     "plain_text: true}\n",
     {"a certificate's common name holds 64"}},
    {GOOD "buffer: {health_percent: 60, windows_percent: 50}\n",
     {"agent.yaml:5: buffer.windows_percent", "more than 100 together"}},
    {GOOD "ship: {batch_bytes: 512KiB, inflight_bytes_max: 64KiB}\n",
     {"agent.yaml:5: ship.batch_bytes", "more than ship.inflight_bytes_max"}},
    {GOOD "probes:\n  - {name: node, tcp: 'a:1'}\n",
     {"agent.yaml:6: probes[0].name", "a target is called 'node' already"}},
    {GOOD "probes:\n  - {name: p}\n  - {name: q, tcp: 'nohost'}\n",
     {"agent.yaml:6:", "one of url and tcp", "agent.yaml:7: probes[1].tcp", "must be host:port"}},
    {GOOD "probes: [{name: p, url: 'ftp://x.y/z'}]\n", {"agent.yaml:5: probes[0].url", "must begin with http"}},
    {GOOD "slis:\n  - slo_id: a\n    kind: ratio_good\n    good: 'x{'\n    total: y\n",
     {"agent.yaml:6:", "slo 'a'", "good"}},
    {GOOD "slis:\n  - {slo_id: a, kind: gauge, total: y, targets: [nowhere]}\n  - {slo_id: a, kind: gauge, total: y}\n",
     {"agent.yaml:6: slis[0].targets", "there is no target 'nowhere'", "agent.yaml:7: slis[1].slo_id",
      "measured already"}},
    {GOOD "slis: [{slo_id: a, kind: gauge, total: y, window: 1500ms}]\n",
     {"agent.yaml:5: slis[0].window", "whole seconds"}},
    {GOOD "health:\n  - {id: h, target: node, probe: x}\n  - {id: i, probe: y}\n",
     {"agent.yaml:6:", "one of target and probe", "agent.yaml:7: health[1].probe", "no probe 'y'"}},
    {GOOD "prometheus_apis: [{name: p, url: 'http://a/'}]\nhealth: [{id: h, target: p, selector: up}]\n",
     {"agent.yaml:6: health[0].target", "'p' is a discovery or Prometheus, and a health check is of one target"}},
    {GOOD "health: [{id: h, target: node, selector: '{}'}]\n", {"agent.yaml:5:", "h"}},
    {"agent: {tenant: acme, name: e}\nmqtt: {host: b, plain_text: true}\ntargets:\n  - name: a\n    url: http://a/\n   "
     " auth: {bearer_token: x, username: y}\n"
     "  - name: a\n    url: http://a/\n    auth: {password: y}\n    tls: {key: /k}\n",
     {"agent.yaml:6:", "not both", "agent.yaml:7: targets[1].name", "tls.certificate and tls.key"}},
    {GOOD "prometheus_apis:\n  - {name: node, url: 'http://a/?x=1'}\n  - {name: p, url: 'http://a/', interval: 2m}\n",
     {"agent.yaml:6: prometheus_apis[0].url", "is called 'node' already", "prometheus_apis[1].fresh"}},
    {GOOD "prometheus_apis:\n  - {name: p, url: 'http://a/', settle: 20s, up: '{}'}\n  - {name: p, url: 'http://b'}\n",
     {"prometheus_apis[0].settle", "prometheus_apis[0].up", "another Prometheus or discovery is called 'p'"}},
    {GOOD "discovery:\n  - {name: a, namespaces: [A_b]}\n  - {name: a, cluster: c, interval: 1s, timeout: 2s}\n",
     {"agent.yaml:6: discovery[0].name", "discovery[0].namespaces", "discovery[1].cluster", "discovery[1].timeout"}},
    {GOOD "log: {level: loud}\n", {"agent.yaml:5: log.level", "info"}},
    {"agent: [\n", {"agent.yaml:"}},
};

TEST(every_mistake_is_said_with_line_and_key) {
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        struct arena *arena = arena_new(4096, 1 << 24);
        struct agent_settings settings;
        fault_code code;
        const struct setting_texts mistakes = read_text(arena, bad_files[i].yaml, &settings, &code);
        assert_int_equal(code, FAULT_INPUT);
        for (size_t s = 0; s < 4 && bad_files[i].said[s]; s++) {
            bool found = false;
            for (size_t m = 0; m < mistakes.count; m++)
                found |= strstr((const char *)mistakes.items[m].data, bad_files[i].said[s]) != NULL;
            if (found) continue;
            for (size_t m = 0; m < mistakes.count; m++) print_message("  said: %.*s\n", SLICE_ARG(mistakes.items[m]));
            fail_msg("file %zu: nothing says '%s'", i, bad_files[i].said[s]);
        }
        arena_free(arena);
    }
}

TEST(environment_overrides_the_file) {
    struct arena *arena = arena_new(4096, 1 << 24);
    struct agent_settings settings;
    struct setting_texts mistakes;
    struct fault fault;
    char host[] = "PICKET_MQTT_HOST=other";
    char *environment[] = {host, NULL};
    CHECK_OK(agent_settings_read_text("agent.yaml", SLICE_LIT(GOOD), environment, arena, &settings, &mistakes, &fault));
    CHECK_SLICE(settings.mqtt.host, "other");
    arena_free(arena);
}

#define NODE "ip-10-0-123-231.a-very-long-subdomain-of-a-cluster.eu-central-1.compute.internal.example" /* 88 bytes */

static void read_named(struct arena *arena, const char *tenant, const char *name, const char *node,
                       struct agent_settings *ret_settings, fault_code *ret_code) {
    char yaml[600];
    snprintf(yaml, sizeof yaml,
             "agent: {tenant: '%s', name: '%s', node_name: '%s'}\nmqtt: {host: b, plain_text: true}\n", tenant, name,
             node);
    const struct setting_texts mistakes = read_text(arena, yaml, ret_settings, ret_code);
    bool told = false;
    for (size_t i = 0; i < mistakes.count; i++)
        told |= strstr((const char *)mistakes.items[i].data, "agent.yaml:1: agent.name: tenant and name") != NULL;
    assert_int_equal(told, *ret_code != FAULT_NONE);
}

/* The hash: printf %s NODE | sha256sum | cut -c-12. */
TEST(an_agent_called_as_a_node_with_a_long_name_is_shortened) {
    struct arena *arena = arena_new(4096, 1 << 24);
    struct agent_settings settings;
    fault_code code;
    read_named(arena, "acme", NODE, NODE, &settings, &code);
    assert_int_equal(code, FAULT_NONE);
    CHECK_SLICE(settings.name, "ip-10-0-123-231.a-very-long-subdomain-of-a-clu-236fd5b7410c");
    assert_int_equal(settings.tenant.size + 1 + settings.name.size, 64);
    assert_int_equal(settings.name.data[settings.name.size], '\0');
    CHECK_SLICE(settings.node_name, NODE);
    const slice first = settings.name;
    read_named(arena, "acme", NODE "2", NODE "2", &settings, &code);
    assert_false(slice_equal(first, settings.name));
    read_named(arena, "acmes", NODE, NODE, &settings, &code); /* also where the cut is elsewhere */
    assert_int_equal(settings.tenant.size + 1 + settings.name.size, 64);
    read_named(arena, "acme", "ip-10-0-123-231.a-very-long-subdomain-of-a-cl.----------------------x",
               "ip-10-0-123-231.a-very-long-subdomain-of-a-cl.----------------------x", &settings, &code);
    assert_true(slice_starts_with(settings.name, SLICE_LIT("ip-10-0-123-231.a-very-long-subdomain-of-a-cl-")));
    assert_int_equal(settings.name.size, 45 + 13);
    arena_free(arena);
}

TEST(other_names_are_left_or_refused) {
    static const char short_one[] =
        "node-1234567890.1234567890.1234567890.1234567890.1234567890"; /* 59 bytes: all of 64 */
    struct arena *arena = arena_new(4096, 1 << 24);
    struct agent_settings settings;
    fault_code code;
    read_named(arena, "acme", short_one, short_one, &settings, &code);
    assert_int_equal(code, FAULT_NONE);
    CHECK_SLICE(settings.name, short_one);
    read_named(arena, "acme", NODE, "", &settings, &code); /* not a node's: whoever wrote it is told */
    assert_int_equal(code, FAULT_INPUT);
    read_named(arena, "a123456789b123456789c123456789d123456789e123456789", NODE, NODE, &settings, &code); /* 50 */
    assert_int_equal(code, FAULT_INPUT);
    read_named(arena, "a123456789b123456789c123456789d123456789e12345678", NODE, NODE, &settings, &code); /* 49 */
    assert_int_equal(code, FAULT_NONE);
    assert_int_equal(settings.name.size, 14);
    arena_free(arena);
}

TEST(sample_with_its_required_keys_is_read) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 24);
    slice sample;
    CHECK_OK(settings_sample(&agent_setting_table, arena, &sample, &fault));
    char tenant[] = "PICKET_AGENT_TENANT=acme", name[] = "PICKET_AGENT_NAME=edge-1", host[] = "PICKET_MQTT_HOST=b";
    char ca[] = "PICKET_MQTT_CA=/ca", certificate[] = "PICKET_MQTT_CERTIFICATE=/me", key[] = "PICKET_MQTT_KEY=/key";
    char *environment[] = {tenant, name, host, ca, certificate, key, NULL};
    struct agent_settings settings;
    struct setting_texts mistakes;
    CHECK_OK(agent_settings_read_text("sample", sample, environment, arena, &settings, &mistakes, &fault));
    assert_int_equal(settings.ship.batch_bytes, 64 << 10);
    arena_free(arena);
}

TEST(reference_page_is_what_the_rows_say) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 24);
    slice made;
    CHECK_OK(settings_reference(&agent_setting_table, arena, &made, &fault));
    FILE *file = fopen("agent/REFERENCE.md", "r");
    assert_non_null(file);
    static char page[1 << 20];
    const size_t bytes = fread(page, 1, sizeof page, file);
    fclose(file);
    if (!slice_equal(made, slice_of(page, bytes)))
        fail_msg("agent/REFERENCE.md is old: picket-agent --reference > agent/REFERENCE.md");
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_file_is_read),
        cmocka_unit_test(every_mistake_is_said_with_line_and_key),
        cmocka_unit_test(environment_overrides_the_file),
        cmocka_unit_test(an_agent_called_as_a_node_with_a_long_name_is_shortened),
        cmocka_unit_test(other_names_are_left_or_refused),
        cmocka_unit_test(sample_with_its_required_keys_is_read),
        cmocka_unit_test(reference_page_is_what_the_rows_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
