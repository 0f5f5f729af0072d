/* SPDX-License-Identifier: Apache-2.0
 * How many publications a second the MQTT client gets acknowledged by a Mosquitto of its own, over TLS with client
 * certificates, QoS 1, with payloads of 200 bytes and of 32 KiB.
 *
 *   mqtt_pump [SECONDS] [WINDOW]     5 seconds for each size, 500 in flight; a line for each size
 *
 * The window is always full. CPU time is the kernel's account of this process, by thread: main is the loop (and
 * mqtt_client_publish on it), MQTTAsync_* are Paho's threads, tls-relay is ours. The broker is not in it. PUBACK times
 * are of one publication in 64. */
#include "common/base/clock.h"
#include "common/net/mqtt_client.h"
#include "net_support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SAMPLES_MAX = 1 << 16, SAMPLE_EVERY = 64, PAYLOAD_MAX = 32 * 1024, WINDOW_BYTES = 8 << 20, THREADS_MAX = 8 };

struct pump {
    struct loop *loop;
    struct loop_timer *timer;
    struct mqtt_client *client;
    size_t payload_bytes;
    uint64_t sent, done, failed;
    bool connected, over;
    struct fault fault;
    int64_t sent_us[SAMPLES_MAX];
    int64_t last_us, gap_most_us; /* between two PUBACKs: a thread that missed its wake-up shows here */
    unsigned samples;
    uint32_t sample_us[SAMPLES_MAX];
    uint8_t payload[PAYLOAD_MAX];
};

struct thread_cost {
    char name[17];
    double seconds;
};

static void die(const char *what, const struct fault *fault) {
    fprintf(stderr, "mqtt_pump: %s: %s\n", what, fault->text);
    exit(1);
}

static int64_t clock_us(void) {
    return clock_monotonic_ns() / 1000;
}

static void fill(struct pump *pump) {
    while (!pump->over) {
        struct mqtt_publication publication = {.topic = "picket/v1/bench/windows",
                                               .payload = slice_of(pump->payload, pump->payload_bytes),
                                               .content_type = "application/x-protobuf",
                                               .qos = 1,
                                               .token = pump->sent};
        const fault_code code = mqtt_client_publish(pump->client, &publication, &pump->fault);
        if (code == FAULT_AGAIN) return;
        if (code != FAULT_NONE) die("publish", &pump->fault);
        if (pump->sent % SAMPLE_EVERY == 0) pump->sent_us[pump->sent / SAMPLE_EVERY % SAMPLES_MAX] = clock_us();
        pump->sent++;
    }
}

static void told_connected(void *context, bool session_present) {
    struct pump *pump = context;
    pump->connected = true;
}

static void told_disconnected(void *context, const struct fault *reason) {
    struct pump *pump = context;
    if (pump->connected) die("connection lost", reason);
}

static void told_published(void *context, uint64_t token, const struct fault *fault) {
    struct pump *pump = context;
    if (fault) {
        pump->failed++;
    } else {
        const int64_t now_us = clock_us();
        pump->done++;
        if (now_us - pump->last_us > pump->gap_most_us) pump->gap_most_us = now_us - pump->last_us;
        pump->last_us = now_us;
        if (token % SAMPLE_EVERY == 0 && pump->samples < SAMPLES_MAX)
            pump->sample_us[pump->samples++] = (uint32_t)(now_us - pump->sent_us[token / SAMPLE_EVERY % SAMPLES_MAX]);
    }
    if (!pump->over) fill(pump);
}

/* By name; threads of the same name are added up. */
static size_t costs_read(struct thread_cost *costs) {
    size_t count = 0;
    DIR *folder = opendir("/proc/self/task");
    if (!folder) return 0;
    for (const struct dirent *entry; (entry = readdir(folder)) && count < THREADS_MAX;) {
        char path[300], name[17] = "";
        unsigned long long run_ns = 0;
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%16[^\n]", name) != 1) name[0] = '?';
            fclose(file);
        }
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", entry->d_name);
        file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%llu", &run_ns) != 1) run_ns = 0;
            fclose(file);
        }
        snprintf(costs[count].name, sizeof costs[count].name, "%s", name);
        costs[count++].seconds = (double)run_ns / 1e9;
    }
    closedir(folder);
    return count;
}

static double cost_of(const struct thread_cost *costs, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(costs[i].name, name) == 0) return costs[i].seconds;
    return 0;
}

static long resident_kib(const char *field) {
    char line[200];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, field, strlen(field)) == 0) kib = atol(line + strlen(field));
    if (file) fclose(file);
    return kib;
}

static int by_size(const void *a, const void *b) {
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void measure(struct pump *pump, size_t payload_bytes, int64_t seconds) {
    struct thread_cost before[THREADS_MAX], after[THREADS_MAX];
    pump->payload_bytes = payload_bytes;
    pump->over = false;
    fill(pump);
    net_loop_for(pump->loop, 500); /* to its pace */
    pump->samples = 0;
    pump->gap_most_us = 0;
    pump->last_us = clock_us();
    const uint64_t done_before = pump->done;
    const size_t before_count = costs_read(before);
    const int64_t began_us = clock_us();
    net_loop_for(pump->loop, seconds * 1000);
    const double took = (double)(clock_us() - began_us) / 1e6;
    const size_t after_count = costs_read(after);
    const double done = (double)(pump->done - done_before);
    pump->over = true;
    double cpu = 0;
    qsort(pump->sample_us, pump->samples, sizeof *pump->sample_us, by_size);
    printf("payload_bytes=%zu publishes_per_s=%.0f puback_p50_us=%u puback_p99_us=%u", payload_bytes, done / took,
           pump->samples ? pump->sample_us[pump->samples / 2] : 0,
           pump->samples ? pump->sample_us[(size_t)pump->samples * 99 / 100] : 0);
    printf(" no_puback_most_us=%lld", (long long)pump->gap_most_us);
    for (size_t i = 0; i < after_count; i++) {
        const double spent = after[i].seconds - cost_of(before, before_count, after[i].name);
        cpu += spent;
        printf(" cpu_us_%s=%.2f", i == 0 ? "main" : after[i].name, spent / done * 1e6);
    }
    printf(" cpu_us=%.2f cpu_cores=%.2f resident_kib=%ld resident_most_kib=%ld failed=%llu\n", cpu / done * 1e6,
           cpu / took, resident_kib("VmRSS:"), resident_kib("VmHWM:"), (unsigned long long)pump->failed);
    fflush(stdout);
    net_loop_for(pump->loop, 1000); /* what is in flight comes home */
}

static void broker_start(const struct net_folder *folder, int port, struct net_child *ret_broker) {
    char text[1000];
    snprintf(text, sizeof text,
             "user root\npersistence false\nlog_type none\nmax_queued_messages 0\nmax_inflight_messages 1000\n"
             "allow_anonymous true\nset_tcp_nodelay true\nlistener %d 127.0.0.1\ncafile %s/ca.pem\n"
             "certfile %s/server.pem\nkeyfile %s/server.key\nrequire_certificate true\n",
             port, folder->path, folder->path, folder->path);
    net_write(folder, "mosquitto.conf", text);
    const char *const arguments[] = {"/usr/sbin/mosquitto", "-c", net_path(folder, "mosquitto.conf"), NULL};
    net_child_start(ret_broker, arguments);
}

int main(int count, char **arguments) {
    const int64_t seconds = count > 1 ? atoi(arguments[1]) : 5;
    struct net_folder folder;
    struct net_child broker = {0};
    struct fault fault = {0};
    struct pump *pump = calloc(1, sizeof *pump);
    if (!pump) return 1;
    net_folder_make(&folder);
    net_certificates_make(&folder);
    const int port = net_free_port();
    broker_start(&folder, port, &broker);
    const struct mqtt_settings settings = {.host = "localhost",
                                           .port = (uint16_t)port,
                                           .ca_path = net_path(&folder, "ca.pem"),
                                           .certificate_path = net_path(&folder, "client.pem"),
                                           .key_path = net_path(&folder, "client.key"),
                                           .client_id = "pump",
                                           .inflight_max = count > 2 ? (unsigned)atoi(arguments[2]) : 500,
                                           .inflight_bytes_max = WINDOW_BYTES,
                                           .keep_alive_ms = 30000,
                                           .connect_timeout_ms = 5000,
                                           .backoff_min_ms = 50,
                                           .backoff_max_ms = 200,
                                           .clean_start = true};
    const struct mqtt_callbacks callbacks = {.on_connected = told_connected,
                                             .on_disconnected = told_disconnected,
                                             .on_published = told_published,
                                             .context = pump};
    if (loop_new(&pump->loop, &fault) != FAULT_NONE ||
        mqtt_client_open(pump->loop, &settings, &callbacks, &pump->client, &fault) != FAULT_NONE)
        die("start", &fault);
    pump->over = true;
    if (!net_loop_until(pump->loop, &pump->connected, 10000)) {
        fprintf(stderr, "mqtt_pump: not connected in 10 s\n");
        return 1;
    }
    measure(pump, 200, seconds);
    measure(pump, PAYLOAD_MAX, seconds);
    pump->client = mqtt_client_close(pump->client, 1000);
    (void)loop_free(pump->loop);
    net_child_kill(&broker);
    net_folder_free(&folder);
    const bool all_came = pump->done == pump->sent && pump->failed == 0;
    if (!all_came)
        fprintf(stderr, "mqtt_pump: of %llu publications %llu were acknowledged\n", (unsigned long long)pump->sent,
                (unsigned long long)pump->done);
    free(pump);
    return all_came ? 0 : 1;
}
