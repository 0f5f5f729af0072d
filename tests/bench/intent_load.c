/* SPDX-License-Identifier: Apache-2.0
 * Single intents over the bus, as an integration sends what it must not lose: each asks for a reply, so many at a time, and
 * counts when the reply says that it is on disk.
 *
 *   intent_load HOST PORT CA CERTIFICATE KEY TENANT PRODUCER INTENTS WINDOW */
#include "common/base/clock.h"
#include "common/base/uuid.h"
#include "common/codec/codec.h"
#include "common/net/mqtt_client.h"
#include "sre.pb.h"

#include <stdio.h>
#include <stdlib.h>

enum { INTENT_BYTES_MAX = 1024, REPLY_ARENA_BYTES = 64 * 1024, GIVE_UP_MS = 60000 };

struct load {
    struct loop *loop;
    struct loop_timer *timer;
    struct mqtt_client *client;
    struct arena *arena;
    char topic[160], replies[160];
    uint64_t intents, window, sent, committed;
    int64_t begun_ns, ended_ns, give_up_ms;
};

static void die(const char *text) {
    fprintf(stderr, "intent_load: %s\n", text);
    exit(1);
}

static bool publish(struct load *load) {
    char id[40];
    uint8_t bytes[INTENT_BYTES_MAX];
    size_t size;
    struct fault fault;
    snprintf(id, sizeof id, "bus-%llu", (unsigned long long)load->sent);
    char message_id[UUID_TEXT_SIZE + 1];
    uuid_format(uuid_v7_new(), message_id);
    SreDomainIntent intent = {.which_intent = SreDomainIntent_create_incident_tag, .has_meta = true};
    intent.meta.message_id = slice_of(message_id, UUID_TEXT_SIZE);
    intent.intent.create_incident = (CreateIncidentRequested){.incident_id = slice_from_text(id),
                                                              .title = SLICE_LIT("Checkout answers slowly"),
                                                              .severity = SEVERITY_HIGH,
                                                              .service_id = SLICE_LIT("checkout")};
    if (codec_encode_protobuf_into(&SreDomainIntent_desc, &intent, bytes, sizeof bytes, &size, &fault)) die(fault.text);
    const struct mqtt_publication publication = {.topic = load->topic,
                                                 .payload = slice_of(bytes, size),
                                                 .response_topic = load->replies,
                                                 .correlation_data = slice_from_text(id),
                                                 .qos = 1};
    const fault_code code = mqtt_client_publish(load->client, &publication, &fault);
    if (code && code != FAULT_AGAIN) die(fault.text);
    return code == FAULT_NONE;
}

static void pump(void *context) {
    struct load *load = context;
    while (load->begun_ns && load->sent < load->intents && load->sent - load->committed < load->window && publish(load))
        load->sent++;
    if (clock_monotonic_ms() > load->give_up_ms) die("no reply for a minute");
    loop_timer_set(load->timer, 1);
}

static void on_connected(void *context, bool session_present) {
    ((struct load *)context)->begun_ns = clock_monotonic_ns();
}
static void on_disconnected(void *context, const struct fault *reason) {
    die(reason->text);
}
static void on_message(void *context, const struct mqtt_message *message) {
    struct load *load = context;
    IntentReply reply;
    struct fault fault;
    arena_reset(load->arena);
    if (codec_decode_protobuf(&IntentReply_desc, message->payload, load->arena, &reply, &fault)) die(fault.text);
    if (!reply.has_outcome) die("an intent was refused");
    load->give_up_ms = clock_monotonic_ms() + GIVE_UP_MS;
    if (++load->committed < load->intents) return;
    load->ended_ns = clock_monotonic_ns();
    loop_stop(load->loop);
}
static void on_published(void *context, uint64_t token, const struct fault *fault) {}

int main(int argc, char **argv) {
    if (argc != 10) {
        fprintf(stderr, "usage: intent_load HOST PORT CA CERTIFICATE KEY TENANT PRODUCER INTENTS WINDOW\n");
        return 2;
    }
    struct fault fault;
    struct load load = {.intents = strtoull(argv[8], NULL, 10), .window = strtoull(argv[9], NULL, 10)};
    char client_id[160];
    snprintf(load.topic, sizeof load.topic, "sre.domain.intents.v1/%s/%s", argv[6], argv[7]);
    snprintf(load.replies, sizeof load.replies, "sre.domain.replies.v1/%s/%s", argv[6], argv[7]);
    snprintf(client_id, sizeof client_id, "%s/%s/load", argv[6], argv[7]);
    const char *const subscriptions[] = {load.replies, NULL};
    const struct mqtt_settings settings = {.host = argv[1],
                                           .port = (uint16_t)strtoul(argv[2], NULL, 10),
                                           .ca_path = argv[3],
                                           .certificate_path = argv[4],
                                           .key_path = argv[5],
                                           .server_name = "localhost",
                                           .client_id = client_id,
                                           .inflight_max = 500,
                                           .inflight_bytes_max = 16 << 20,
                                           .keep_alive_ms = 30000,
                                           .connect_timeout_ms = 10000,
                                           .backoff_min_ms = 100,
                                           .backoff_max_ms = 1000,
                                           .clean_start = true,
                                           .subscriptions = subscriptions};
    const struct mqtt_callbacks callbacks = {on_connected, on_disconnected, on_message, on_published, &load};
    load.arena = arena_new(4096, REPLY_ARENA_BYTES);
    load.give_up_ms = clock_monotonic_ms() + GIVE_UP_MS;
    if (!load.arena || loop_new(&load.loop, &fault) ||
        mqtt_client_open(load.loop, &settings, &callbacks, &load.client, &fault))
        die(fault.text);
    load.timer = loop_timer_new(load.loop, pump, &load);
    if (!load.timer) die("out of memory");
    loop_timer_set(load.timer, 0);
    loop_run(load.loop);
    const double seconds = (double)(load.ended_ns - load.begun_ns) / 1e9;
    printf("seconds %.3f intents %llu rate %.0f\n", seconds, (unsigned long long)load.intents,
           (double)load.intents / seconds);
    mqtt_client_close(load.client, 1000);
    loop_timer_free(load.timer);
    loop_free(load.loop);
    arena_free(load.arena);
    return 0;
}
