/* SPDX-License-Identifier: Apache-2.0
 * An edge that is cut off for hours or days, in accelerated time: the agent's own queue and shipper, and a clock of its
 * own. Each minute of that clock brings a window of each SLO, CHECKS health checks and RESTS of the class for the rest, in one entry
 * with the number of the minute, so that a process that was killed at any moment is followed by one that goes on with
 * the minute that is missing.
 *
 *   outage_load fill  QUEUE_FOLDER BYTES_MAX TENANT AGENT BEGIN_S MINUTES
 *       stores what is missing of the minutes, as fast as it can, and exits; prints the queue
 *   outage_load drain QUEUE_FOLDER BYTES_MAX TENANT AGENT BEGIN_S MINUTES HOST PORT CA CERTIFICATE KEY
 *       connects, with the agent's own back-off, and ships; minutes of the real clock come in meanwhile. SIGUSR1: an
 *       alert fires. SIGTERM: prints the queue and exits.
 *
 * OUTAGE_SLOS: how many SLOs, 4750 at most and without it. OUTAGE_COMMIT_MS: buffer.commit_interval, 0 without it.
 * SLOs are load-0 and on, checks load-0 and on, and of the class for the rest rest-0 and on. */
#include "agent/buffer/queue.h"
#include "agent/envelope/envelope.h"
#include "agent/ship/shipper.h"
#include "common/base/clock.h"
#include "common/store/kv.h"
#include "sre.pb.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SLOS_MAX = 4750,
    CHECKS = 200,
    RESTS = 50,
    PER_MINUTE = SLOS_MAX + CHECKS + RESTS,
    MINUTE_MS = 60000,
    REPORT_MS = 200
};

struct load {
    struct loop *loop;
    struct queue *queue;
    struct shipper *shipper;
    struct mqtt_client *client;
    struct loop_timer *minute_timer, *report_timer;
    struct arena *arena;
    struct envelope envelope;
    int64_t begin_ms;
    size_t slos;
    uint64_t minutes, next_minute, alerts;
    int64_t fired_ms; /* the last alert, which fires still; 0: none */
};

static void die(const struct fault *fault) {
    fprintf(stderr, "outage_load: %s\n", fault->text);
    exit(1);
}

static slice text_number(struct arena *arena, const char *name, size_t number) {
    return arena_format(arena, "%s-%zu", name, number);
}

static fault_code window_intent(struct load *load, size_t number, int64_t start_ms, const char *trace,
                                slice *ret_intent, struct fault *reterr) {
    const struct sli_window window = {
        .slo_id = text_number(load->arena, "load", number),
        .window_start_ms = start_ms,
        .window_seconds = MINUTE_MS / 1000,
        .good = 999,
        .total = 1000,
        .scrapes_expected = 4,
        .scrapes_seen = 4,
        .revision = 1,
    };
    return envelope_window(&load->envelope, &window, trace, load->arena, ret_intent, reterr);
}

static fault_code health_intent(struct load *load, const char *name, size_t number, int64_t at_ms, const char *trace,
                                slice *ret_intent, struct fault *reterr) {
    const struct health_observation observation = {.id = text_number(load->arena, "load", number),
                                                   .status = HEALTH_HEALTHY,
                                                   .observed_ms = at_ms,
                                                   .message = "ok"};
    const struct envelope_resource resource = {SLICE_LIT("endpoint"), SLICE_LIT("load"), true, MINUTE_MS};
    return envelope_health(&load->envelope, &observation, &resource, trace, at_ms, load->arena, ret_intent, reterr);
}

static void append_minute(struct load *load, uint64_t minute) {
    static struct queue_item items[PER_MINUTE];
    struct fault fault;
    char trace[TRACEPARENT_TEXT_SIZE + 1];
    envelope_traceparent(trace);
    arena_reset(load->arena);
    const int64_t start_ms = load->begin_ms + (int64_t)minute * MINUTE_MS, end_ms = start_ms + MINUTE_MS;
    fault_code code = FAULT_NONE;
    size_t count = 0;
    for (size_t i = 0; i < load->slos && !code; i++) {
        items[count].class = QUEUE_WINDOWS;
        code = window_intent(load, i, start_ms, trace, &items[count++].intent, &fault);
    }
    for (size_t i = 0; i < CHECKS && !code; i++) {
        items[count].class = QUEUE_HEALTH;
        code = health_intent(load, "load", i, end_ms, trace, &items[count++].intent, &fault);
    }
    for (size_t i = 0; i < RESTS && !code; i++) {
        items[count].class = QUEUE_REST;
        code = health_intent(load, "rest", i, end_ms, trace, &items[count++].intent, &fault);
    }
    if (code) die(&fault);
    uint8_t number[8];
    kv_store_u64(number, minute + 1);
    const struct queue_note note = {"load", slice_of(number, sizeof number)};
    if (queue_append_later(load->queue, items, count, &note, end_ms, &fault)) die(&fault);
    load->next_minute = minute + 1;
}

static void print_queue(const struct load *load, const char *what) {
    struct queue_stats stats;
    size_t count;
    const struct queue_stream *const streams = queue_streams(load->queue, &count);
    queue_stats(load->queue, &stats);
    struct shipper_stats ship = {0};
    if (load->shipper) shipper_stats(load->shipper, &ship);
    printf("{\"%s\": true, \"connected\": %s, \"inflight\": %u, \"batches\": %llu, \"acks\": %llu, \"resends\": %llu, "
           "\"went_back\": %llu, \"minutes\": %llu, \"records\": %llu, \"alerts\": %llu, \"shed\": {",
           what, ship.connected ? "true" : "false", ship.inflight, (unsigned long long)ship.batches_sent,
           (unsigned long long)ship.acks, (unsigned long long)ship.resends, (unsigned long long)ship.went_back,
           (unsigned long long)load->next_minute,
           (unsigned long long)(stats.records[0] + stats.records[1] + stats.records[2]),
           (unsigned long long)load->alerts);
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++)
        printf("%s\"%s\": %llu", class ? ", " : "", queue_class_name((enum queue_class) class),
               (unsigned long long)(stats.shed[class] - stats.arrived[class]));
    printf("}, \"streams\": {");
    for (size_t i = 0; i < count; i++)
        printf("%s\"%u\": \"%s\"", i ? ", " : "", streams[i].number, queue_class_name(streams[i].class));
    printf("}}\n");
    fflush(stdout);
}

static void on_minute(void *context) {
    struct load *const load = context;
    const int64_t now_ms = clock_wall_ms();
    while (load->begin_ms + (int64_t)(load->next_minute + 1) * MINUTE_MS <= now_ms) {
        append_minute(load, load->next_minute);
        shipper_kick(load->shipper);
    }
    loop_timer_set(load->minute_timer, 200);
}

static void on_report(void *context) {
    struct load *const load = context;
    print_queue(load, "drains");
    loop_timer_set(load->report_timer, REPORT_MS);
}

/* The last alert, as it is now: fresh in whichever stream is open. */
static void store_alert(struct load *load) {
    char trace[TRACEPARENT_TEXT_SIZE + 1];
    struct fault fault;
    const int64_t now_ms = clock_wall_ms();
    struct queue_item item = {.class = QUEUE_HEALTH};
    arena_reset(load->arena);
    envelope_traceparent(trace);
    const struct envelope_alert alert = {
        .fingerprint = arena_format(load->arena, "fresh-%ld-%llu", (long)getpid(), (unsigned long long)load->alerts),
        .name = SLICE_LIT("Fresh"),
        .severity = SEVERITY_CRITICAL,
        .firing = true,
        .starts_ms = load->fired_ms,
        .observed_ms = now_ms,
        .expires_ms = now_ms + 60 * MINUTE_MS};
    if (envelope_alert(&load->envelope, &alert, trace, load->arena, &item.intent, &fault) ||
        queue_append(load->queue, &item, 1, NULL, now_ms, &fault))
        die(&fault);
    shipper_kick(load->shipper);
}

static void on_signal(void *context, int signal_number) {
    struct load *const load = context;
    if (signal_number != SIGUSR1) {
        loop_stop(load->loop);
        return;
    }
    if (load->fired_ms) load->alerts++;
    load->fired_ms = clock_wall_ms();
    store_alert(load);
    mqtt_client_hurry(load->client); /* as the agent does */
}

static void on_connected(void *context, bool session_present) {
    fprintf(stderr, "outage_load: %lld connected\n", (long long)clock_wall_ms());
    struct load *const load = context;
    shipper_on_connected(load->shipper);
    if (load->fired_ms) store_alert(load); /* as the agent does: what fires is said again, before the backlog */
}
static void on_disconnected(void *context, const struct fault *reason) {
    fprintf(stderr, "outage_load: %lld disconnected: %s\n", (long long)clock_wall_ms(), reason->text);
    shipper_on_disconnected(((struct load *)context)->shipper);
}
static void on_message(void *context, const struct mqtt_message *message) {
    struct fault fault;
    if (slice_starts_with(message->topic, SLICE_LIT("sre.edge.acks.v1/")) &&
        shipper_on_ack(((struct load *)context)->shipper, message->payload, &fault))
        fprintf(stderr, "outage_load: %s\n", fault.text);
}
static void on_published(void *context, uint64_t token, const struct fault *fault) {
    shipper_on_published(((struct load *)context)->shipper, token, fault);
}

static void on_committed(void *context) {
    shipper_kick(((struct load *)context)->shipper);
}

/* Settings as the agent's own defaults. */
static void drain(struct load *load, char **argv) {
    static const int signals[] = {SIGTERM, SIGUSR1};
    char acks[160], client_id[160];
    struct fault fault;
    snprintf(acks, sizeof acks, "sre.edge.acks.v1/%s/%s", argv[4], argv[5]);
    snprintf(client_id, sizeof client_id, "%s/%s", argv[4], argv[5]);
    const char *const subscriptions[] = {acks, NULL};
    const struct shipper_settings ship = {.tenant = argv[4],
                                          .agent = argv[5],
                                          .inflight_max = 16,
                                          .batch_bytes = 64 << 10,
                                          .batch_intents = 500,
                                          .resend_ms = 30000,
                                          .outage_ms = 60000,
                                          .ack_wait_ms = 500,
                                          .ack_store_ms = 50};
    const struct mqtt_settings mqtt = {.host = argv[8],
                                       .port = (uint16_t)strtoul(argv[9], NULL, 10),
                                       .ca_path = argv[10],
                                       .certificate_path = argv[11],
                                       .key_path = argv[12],
                                       .server_name = "localhost",
                                       .client_id = client_id,
                                       .inflight_max = 18,
                                       .inflight_bytes_max = 512 << 10,
                                       .keep_alive_ms = 30000,
                                       .connect_timeout_ms = 10000,
                                       .backoff_min_ms = 500,
                                       .backoff_max_ms = 30000,
                                       .clean_start = true,
                                       .subscriptions = subscriptions};
    const struct mqtt_callbacks callbacks = {on_connected, on_disconnected, on_message, on_published, load};
    if (loop_signals(load->loop, signals, sizeof signals / sizeof *signals, on_signal, load, &fault) ||
        queue_use_loop(load->queue, load->loop, on_committed, load, &fault) ||
        shipper_new(load->loop, load->queue, &ship, NULL, &load->shipper, &fault) ||
        mqtt_client_open(load->loop, &mqtt, &callbacks, &load->client, &fault))
        die(&fault);
    shipper_use(load->shipper, load->client);
    load->minute_timer = loop_timer_new(load->loop, on_minute, load);
    load->report_timer = loop_timer_new(load->loop, on_report, load);
    if (!load->minute_timer || !load->report_timer) exit(1);
    loop_timer_set(load->minute_timer, 0);
    loop_timer_set(load->report_timer, 0);
    loop_run(load->loop);
    mqtt_client_close(load->client, 1000);
    shipper_use(load->shipper, NULL);
    shipper_free(load->shipper);
    loop_timer_free(load->minute_timer);
    loop_timer_free(load->report_timer);
}

static uint64_t from_environment(const char *name, uint64_t otherwise) {
    const char *const text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
    const bool fills = argc == 8 && strcmp(argv[1], "fill") == 0;
    if (!fills && !(argc == 13 && strcmp(argv[1], "drain") == 0)) {
        fprintf(stderr, "usage: outage_load fill QUEUE_FOLDER BYTES_MAX TENANT AGENT BEGIN_S MINUTES\n"
                        "       outage_load drain QUEUE_FOLDER BYTES_MAX TENANT AGENT BEGIN_S MINUTES HOST PORT CA "
                        "CERTIFICATE KEY\n");
        return 2;
    }
    struct fault fault, moved = {0};
    struct load load = {.begin_ms = strtoll(argv[6], NULL, 10) * 1000, .minutes = strtoull(argv[7], NULL, 10)};
    load.envelope = (struct envelope){.tenant = slice_from_text(argv[4]), .producer = slice_from_text(argv[5])};
    load.slos = from_environment("OUTAGE_SLOS", SLOS_MAX);
    if (load.slos > SLOS_MAX) return 2;
    load.arena = arena_new(4 << 20, 64 << 20);
    const struct queue_settings settings = {.path = argv[2],
                                            .bytes_max = strtoull(argv[3], NULL, 10),
                                            .reserve_percent = {10, 60, 0},
                                            .commit_ms = (int64_t)from_environment("OUTAGE_COMMIT_MS", 0)};
    if (!load.arena || loop_new(&load.loop, &fault) || queue_open(&settings, &load.queue, &moved, &fault)) die(&fault);
    if (moved.code) die(&moved);
    slice note;
    const fault_code code = queue_note_get(load.queue, "load", load.arena, &note, &fault);
    if (code && code != FAULT_ABSENT) die(&fault);
    if (!code) load.next_minute = kv_load_u64(note.data);
    if (fills) {
        while (load.next_minute < load.minutes) append_minute(&load, load.next_minute);
        if (queue_commit(load.queue, &fault)) die(&fault);
        print_queue(&load, "filled");
    } else {
        drain(&load, argv);
        if (queue_commit(load.queue, &fault)) die(&fault); /* what came in last is in the print */
        print_queue(&load, "drained");
    }
    queue_close(load.queue);
    loop_free(load.loop);
    arena_free(load.arena);
    return 0;
}
