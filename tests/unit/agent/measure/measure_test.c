/* SPDX-License-Identifier: Apache-2.0
 * A measure with real stores and a target that nobody serves. */
#include "tests/support/check.h"

#include <unistd.h>

#include "agent/measure/measure.h"
#include "common/base/clock.h"

struct bench {
    char root[64];
    struct loop *loop;
    struct loop_timer *timer;
    struct arena *arena;
    struct agent_settings settings;
    struct http_client *client;
    struct queue *queue;
    struct state *state;
    struct measure *measure;
    unsigned stored;
    uint64_t wanted; /* windows */
    int64_t patience_ms;
};

static void on_stored(void *context) {
    ((struct bench *)context)->stored++;
}

static void on_timer(void *context) {
    struct bench *bench = context;
    struct measure_stats stats;
    measure_stats(bench->measure, &stats);
    if (stats.windows_stored >= bench->wanted || clock_monotonic_ms() >= bench->patience_ms)
        loop_stop(bench->loop);
    else
        loop_timer_set(bench->timer, 10);
}

/* What a process has: stores in the folder, settings, a measure that was restored and not yet started. */
static void process_begin(struct bench *bench) {
    struct fault fault;
    struct setting_texts mistakes;
    char path[96], notes[64];
    bool emptied;
    const char *const yaml = "agent: {tenant: acme, name: edge-1}\n"
                             "mqtt: {host: broker, ca: /ca.pem, certificate: /me.pem, key: /me.key}\n"
                             "scrape: {interval: 250ms, timeout: 250ms}\n"
                             "targets: [{name: node, url: 'http://127.0.0.1:1/metrics'}]\n"
                             "slis: [{slo_id: api, kind: ratio_bad, bad: errors, total: requests, window: 1s}]\n";
    bench->arena = arena_new(4096, 1 << 24);
    assert_non_null(bench->arena);
    if (agent_settings_read_text("agent.yaml", slice_from_text(yaml), NULL, bench->arena, &bench->settings, &mistakes,
                                 &fault))
        fail_msg("%.*s", SLICE_ARG(mistakes.items[0]));
    CHECK_OK(loop_new(&bench->loop, &fault));
    bench->timer = loop_timer_new(bench->loop, on_timer, bench);
    CHECK_OK(http_client_new(bench->loop, 4, &bench->client, &fault));
    snprintf(path, sizeof path, "%s/queue", bench->root);
    CHECK_OK(queue_open(&(struct queue_settings){.path = path, .bytes_max = 1 << 20}, &bench->queue, NULL, &fault));
    snprintf(path, sizeof path, "%s/state", bench->root);
    CHECK_OK(state_open(&(struct state_settings){.path = path}, &bench->state, &emptied, &fault));
    const struct measure_parts parts = {bench->loop, bench->client, bench->queue, bench->state, on_stored, bench};
    const struct remote_definitions remote = {0};
    CHECK_OK(measure_new(&parts, &bench->settings, &remote, notes, sizeof notes, &bench->measure, &fault));
    measure_restore(bench->measure);
}

/* As kill -9 leaves it: nothing but what is in the stores. */
static void process_end(struct bench *bench) {
    measure_free(bench->measure);
    http_client_free(bench->client);
    state_close(bench->state);
    queue_close(bench->queue);
    loop_timer_free(bench->timer);
    loop_free(bench->loop);
    arena_free(bench->arena);
}

TEST(process_killed_before_its_first_window_leaves_its_empty_windows_to_the_next) {
    struct bench bench = {.root = "/tmp/picket-measure-XXXXXX"};
    assert_non_null(mkdtemp(bench.root));
    process_begin(&bench);
    const int64_t first_ms = clock_wall_ms() / 1000 * 1000; /* the window that it began in, or the next */
    process_end(&bench);
    usleep(3100 * 1000);

    process_begin(&bench);
    const int64_t restarted_ms = clock_wall_ms();
    measure_start(bench.measure);
    const int64_t whole_windows = (restarted_ms - first_ms) / 1000;
    assert_true(whole_windows >= 3);
    bench.wanted = (uint64_t)whole_windows - 1;
    bench.patience_ms = clock_monotonic_ms() + 60000;
    loop_timer_set(bench.timer, 0);
    loop_run(bench.loop);
    struct measure_stats stats;
    measure_stats(bench.measure, &stats);
    if (stats.windows_stored < bench.wanted)
        fail_msg("%llu windows were stored, %lld had passed", (unsigned long long)stats.windows_stored,
                 (long long)whole_windows);
    assert_true(bench.stored > 0);
    process_end(&bench);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", bench.root);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_killed_before_its_first_window_leaves_its_empty_windows_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
