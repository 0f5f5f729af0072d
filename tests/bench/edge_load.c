/* SPDX-License-Identifier: Apache-2.0
 * The load of a large edge on a small machine: windows of many SLOs go through the agent's own queue and shipper, over
 * TLS and the real broker, to the aggregator, and count when the aggregator has committed them. The queue is kept
 * filled ahead of the shipper, so storing is part of what is measured.
 *
 *   edge_load QUEUE_FOLDER HOST PORT CA CERTIFICATE KEY TENANT AGENT SLOS INTENTS
 *
 * SLOs are load-0, load-1, ... Prints seconds, intents and intents a second. */
#include "agent/buffer/queue.h"
#include "agent/envelope/envelope.h"
#include "agent/ship/shipper.h"
#include "common/base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { APPEND_COUNT = 2000, AHEAD_COUNT = 40000, WINDOW_MS = 60000, REPORT_MS = 2000 };

struct load {
    struct loop *loop;
    struct queue *queue;
    struct shipper *shipper;
    struct mqtt_client *client;
    struct loop_timer *fill_timer, *report_timer;
    struct arena *arena;
    struct envelope envelope;
    uint64_t intents, appended, slos;
    int64_t first_window_ms, begun_ns, ended_ns;
};

static void die(const struct fault *fault) {
    fprintf(stderr, "edge_load: %s\n", fault->text);
    exit(1);
}

static void append_some(struct load *load) {
    static struct queue_item items[APPEND_COUNT];
    struct fault fault;
    char traceparent[TRACEPARENT_TEXT_SIZE + 1];
    envelope_traceparent(traceparent);
    arena_reset(load->arena);
    size_t count = 0;
    for (; count < APPEND_COUNT && load->appended + count < load->intents; count++) {
        const uint64_t number = load->appended + count;
        char slo[32];
        snprintf(slo, sizeof slo, "load-%llu", (unsigned long long)(number % load->slos));
        const struct sli_window window = {
            .slo_id = slice_from_text(slo),
            .window_start_ms = load->first_window_ms + (int64_t)(number / load->slos) * WINDOW_MS,
            .window_seconds = WINDOW_MS / 1000,
            .good = 999,
            .total = 1000,
            .scrapes_expected = 4,
            .scrapes_seen = 4,
            .revision = 1,
        };
        items[count].class = QUEUE_WINDOWS;
        if (envelope_window(&load->envelope, &window, traceparent, load->arena, &items[count].intent, &fault))
            die(&fault);
    }
    if (queue_append(load->queue, items, count, NULL, clock_wall_ms(), &fault)) die(&fault);
    load->appended += count;
    shipper_kick(load->shipper);
}

static void fill(void *context) {
    struct load *load = context;
    struct shipper_stats stats;
    shipper_stats(load->shipper, &stats);
    if (stats.connected && !load->begun_ns) load->begun_ns = clock_monotonic_ns();
    if (stats.intents_committed >= load->intents) {
        load->ended_ns = clock_monotonic_ns();
        loop_stop(load->loop);
        return;
    }
    if (load->appended < load->intents && load->appended - stats.intents_committed < AHEAD_COUNT) append_some(load);
    loop_timer_set(load->fill_timer, load->appended - stats.intents_committed < AHEAD_COUNT ? 0 : 5);
}

static void report(void *context) {
    struct load *load = context;
    struct shipper_stats stats;
    shipper_stats(load->shipper, &stats);
    fprintf(stderr, "edge_load: %llu of %llu committed, %llu resends%s%s\n",
            (unsigned long long)stats.intents_committed, (unsigned long long)load->intents,
            (unsigned long long)stats.resends, stats.last_fault.code ? "; " : "",
            stats.last_fault.code ? stats.last_fault.text : "");
    loop_timer_set(load->report_timer, REPORT_MS);
}

static void on_connected(void *context, bool session_present) {
    shipper_on_connected(((struct load *)context)->shipper);
}
static void on_disconnected(void *context, const struct fault *reason) {
    fprintf(stderr, "edge_load: disconnected: %s\n", reason->text);
    shipper_on_disconnected(((struct load *)context)->shipper);
}
static void on_message(void *context, const struct mqtt_message *message) {
    struct fault fault;
    if (slice_starts_with(message->topic, SLICE_LIT("sre.edge.acks.v1/")) &&
        shipper_on_ack(((struct load *)context)->shipper, message->payload, &fault))
        fprintf(stderr, "edge_load: %s\n", fault.text);
}
static void on_published(void *context, uint64_t token, const struct fault *fault) {
    shipper_on_published(((struct load *)context)->shipper, token, fault);
}

int main(int argc, char **argv) {
    if (argc != 11) {
        fprintf(stderr, "usage: edge_load QUEUE_FOLDER HOST PORT CA CERTIFICATE KEY TENANT AGENT SLOS INTENTS\n");
        return 2;
    }
    struct fault fault, moved;
    struct load load = {.slos = strtoull(argv[9], NULL, 10), .intents = strtoull(argv[10], NULL, 10)};
    const int64_t span_ms = (int64_t)(load.intents / load.slos + 2) * WINDOW_MS;
    load.first_window_ms = (clock_wall_ms() - span_ms) / WINDOW_MS * WINDOW_MS;
    load.envelope = (struct envelope){.tenant = slice_from_text(argv[7]), .producer = slice_from_text(argv[8])};
    load.arena = arena_new(4 << 20, 64 << 20);
    if (!load.arena) return 1;

    char acks[160], client_id[160];
    snprintf(acks, sizeof acks, "sre.edge.acks.v1/%s/%s", argv[7], argv[8]);
    snprintf(client_id, sizeof client_id, "%s/%s", argv[7], argv[8]);
    const char *const subscriptions[] = {acks, NULL};
    const struct queue_settings queue_settings = {
        .path = argv[1], .bytes_max = 512 << 20, .reserve_percent = {10, 80, 5}};
    const struct shipper_settings shipper_settings = {.tenant = argv[7],
                                                      .agent = argv[8],
                                                      .inflight_max = 32,
                                                      .batch_bytes = 128 << 10,
                                                      .batch_intents = 1024,
                                                      .resend_ms = 30000,
                                                      .outage_ms = 60000,
                                                      .ack_wait_ms = 500,
                                                      .ack_store_ms = 50};
    const struct mqtt_settings mqtt_settings = {.host = argv[2],
                                                .port = (uint16_t)strtoul(argv[3], NULL, 10),
                                                .ca_path = argv[4],
                                                .certificate_path = argv[5],
                                                .key_path = argv[6],
                                                .server_name = "localhost",
                                                .client_id = client_id,
                                                .inflight_max = 100,
                                                .inflight_bytes_max = 16 << 20,
                                                .keep_alive_ms = 30000,
                                                .connect_timeout_ms = 10000,
                                                .backoff_min_ms = 100,
                                                .backoff_max_ms = 1000,
                                                .clean_start = true,
                                                .subscriptions = subscriptions};
    const struct mqtt_callbacks callbacks = {on_connected, on_disconnected, on_message, on_published, &load};
    if (loop_new(&load.loop, &fault) || queue_open(&queue_settings, &load.queue, &moved, &fault) ||
        shipper_new(load.loop, load.queue, &shipper_settings, NULL, &load.shipper, &fault) ||
        mqtt_client_open(load.loop, &mqtt_settings, &callbacks, &load.client, &fault))
        die(&fault);
    shipper_use(load.shipper, load.client);
    load.fill_timer = loop_timer_new(load.loop, fill, &load);
    load.report_timer = loop_timer_new(load.loop, report, &load);
    if (!load.fill_timer || !load.report_timer) return 1;
    loop_timer_set(load.fill_timer, 0);
    loop_timer_set(load.report_timer, REPORT_MS);
    loop_run(load.loop);

    const double seconds = (double)(load.ended_ns - load.begun_ns) / 1e9;
    printf("seconds %.3f intents %llu rate %.0f\n", seconds, (unsigned long long)load.intents,
           (double)load.intents / seconds);
    shipper_use(load.shipper, NULL);
    mqtt_client_close(load.client, 1000);
    shipper_free(load.shipper);
    queue_close(load.queue);
    loop_timer_free(load.fill_timer);
    loop_timer_free(load.report_timer);
    loop_free(load.loop);
    arena_free(load.arena);
    return 0;
}
