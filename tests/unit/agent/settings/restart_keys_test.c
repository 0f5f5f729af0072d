/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "agent/settings/restart_keys.h"

#define HEAD                                                                                                           \
    "mqtt: {host: broker, ca: /ca.pem, certificate: /me.pem, key: /me.key}\n"                                          \
    "targets: [{name: node, url: 'http://127.0.0.1:9100/metrics'}]\n"

static struct agent_settings settings_of(struct arena *arena, const char *yaml) {
    struct agent_settings settings;
    struct setting_texts mistakes = {0};
    struct fault fault;
    if (agent_settings_read_text("agent.yaml", slice_from_text(yaml), NULL, arena, &settings, &mistakes, &fault))
        fail_msg("%.*s", SLICE_ARG(mistakes.items[0]));
    return settings;
}

TEST(what_a_start_fixed_stays_and_is_named_and_all_else_follows_the_file) {
    struct fault fault;
    struct arena *const old_arena = arena_new(4096, 1 << 22), *const arena = arena_new(4096, 1 << 22);
    const struct agent_settings old =
        settings_of(old_arena, HEAD "agent: {tenant: acme, name: edge-1}\n"
                                    "ship: {batch_bytes: 512KiB, inflight_bytes_max: 1MiB, status_interval: 1m}\n"
                                    "scrape: {interval: 15s}\n");
    struct agent_settings read =
        settings_of(arena, HEAD "agent: {tenant: other, name: edge-1, cluster_id: c2}\n"
                                "ship: {batch_bytes: 64KiB, inflight_bytes_max: 64KiB, status_interval: 5s}\n"
                                "scrape: {interval: 1s, timeout: 1s, connections_max: 5}\n"
                                "http: {address: ''}\n");
    char keys[256];
    CHECK_OK(restart_keys_keep(&old, &read, arena, keys, sizeof keys, &fault));
    assert_string_equal(
        keys, "agent.tenant, ship.inflight_bytes_max, ship.batch_bytes, http.address, scrape.connections_max");
    arena_free(old_arena); /* what was kept is a copy */
    CHECK_SLICE(read.tenant, "acme");
    CHECK_SLICE(read.http.address, "127.0.0.1");
    assert_int_equal(read.ship.batch_bytes, 512 * 1024);
    assert_int_equal(read.ship.inflight_bytes_max, 1024 * 1024);
    assert_int_equal(read.scrape.connections_max, 32);
    CHECK_SLICE(read.cluster_id, "c2");
    assert_int_equal(read.ship.status_ms, 5000);
    assert_int_equal(read.scrape.interval_ms, 1000);
    arena_free(arena);
}

TEST(file_without_such_a_change_names_nothing_and_a_short_buffer_is_kept_to) {
    struct fault fault;
    struct arena *const arena = arena_new(4096, 1 << 22);
    const struct agent_settings old = settings_of(arena, HEAD "agent: {tenant: acme, name: edge-1}\n");
    struct agent_settings read =
        settings_of(arena, HEAD "agent: {tenant: acme, name: edge-1}\nscrape: {interval: 1m}\n");
    char keys[8] = "before";
    CHECK_OK(restart_keys_keep(&old, &read, arena, keys, sizeof keys, &fault));
    assert_string_equal(keys, "");
    read = settings_of(arena, HEAD "agent: {tenant: acme, name: edge-2}\nbuffer: {path: /elsewhere}\n");
    CHECK_OK(restart_keys_keep(&old, &read, arena, keys, sizeof keys, &fault));
    assert_string_equal(keys, "agent.n");
    CHECK_SLICE(read.buffer.path, "/var/lib/picket-agent");
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_start_fixed_stays_and_is_named_and_all_else_follows_the_file),
        cmocka_unit_test(file_without_such_a_change_names_nothing_and_a_short_buffer_is_kept_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
