/* SPDX-License-Identifier: Apache-2.0
 * The shipper over a real Mosquitto that is killed again and again and keeps nothing, not even the retained ack. The
 * centre is a few lines at the other end of the broker. Every intent takes effect once, and the queue runs empty. */
#include "tests/support/check.h"

#include "agent/ship/shipper.h"

#include <unistd.h>

#include "common/base/clock.h"
#include "common/codec/codec.h"
#include "common/store/kv.h"
#include "net_support.h"
#include "sre.pb.h"

enum { INTENTS = 20000, STREAMS_MAX = 64, BATCH = 50 };
static const char mosquitto[] = "/usr/sbin/mosquitto";

struct centre_stream {
    uint64_t stream, last, wanted;
};

struct world {
    struct net_folder folder;
    struct net_child broker;
    struct loop *loop;
    struct loop_timer *timer;
    struct queue *queue;
    struct shipper *shipper;
    struct mqtt_client *agent, *centre;
    uint64_t next, kills, seed;
    int64_t kill_at_ms, back_at_ms;
    bool done;
    char epoch[UUID_TEXT_SIZE + 1];
    struct centre_stream streams[STREAMS_MAX];
    size_t streams_count;
    uint8_t applied[INTENTS + 1];
    uint64_t applied_count, lost;
};

static void start_broker(struct world *world) {
    const char *const arguments[] = {mosquitto, "-c", net_path(&world->folder, "mosquitto.conf"), NULL};
    net_child_start(&world->broker, arguments);
}

static void on_agent_connected(void *context, bool session_present) {
    shipper_on_connected(((struct world *)context)->shipper);
}

static void on_agent_disconnected(void *context, const struct fault *reason) {
    shipper_on_disconnected(((struct world *)context)->shipper);
}

static void on_agent_message(void *context, const struct mqtt_message *message) {
    struct fault fault;
    CHECK_OK(shipper_on_ack(((struct world *)context)->shipper, message->payload, &fault));
}

static void on_agent_published(void *context, uint64_t token, const struct fault *fault) {
    shipper_on_published(((struct world *)context)->shipper, token, fault);
}

static void send_ack(struct world *world) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 20);
    StreamAck items[STREAMS_MAX];
    slice payload;
    for (size_t i = 0; i < world->streams_count; i++)
        items[i] = (StreamAck){world->streams[i].stream, world->streams[i].last, world->streams[i].wanted};
    IntentAck ack = {.epoch = slice_from_text(world->epoch)};
    ack.streams.items = items;
    ack.streams.count = world->streams_count;
    CHECK_OK(codec_encode_protobuf(&IntentAck_desc, &ack, arena, &payload, &fault));
    const struct mqtt_publication publication = {
        .topic = "sre.edge.acks.v1/acme/edge-1", .payload = payload, .qos = 1, .retained = true};
    (void)(mqtt_client_publish(world->centre, &publication, &fault) == FAULT_NONE); /* lost now, said again later */
    arena_free(arena);
}

static void on_centre_message(void *context, const struct mqtt_message *message) {
    struct world *world = context;
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 24);
    EncodedIntentBatch batch;
    CHECK_OK(codec_decode_protobuf(&EncodedIntentBatch_desc, message->payload, arena, &batch, &fault));
    snprintf(world->epoch, sizeof world->epoch, "%.*s", SLICE_ARG(batch.epoch));
    struct centre_stream *stream = NULL;
    for (size_t i = 0; i < world->streams_count; i++)
        if (world->streams[i].stream == batch.stream) stream = &world->streams[i];
    if (!stream) {
        assert_true(world->streams_count < STREAMS_MAX);
        stream = &world->streams[world->streams_count++];
        *stream = (struct centre_stream){.stream = batch.stream};
    }
    stream->wanted = batch.after_sequence > stream->last ? stream->last + 1 : 0;
    for (size_t i = 0; i < batch.intents.count && !stream->wanted; i++) {
        const uint64_t sequence = batch.first_sequence + i;
        if (sequence <= stream->last) continue;
        world->lost += sequence - stream->last - 1;
        stream->last = sequence;
        world->applied[kv_load_u64(batch.intents.items[i].data)]++;
        world->applied_count++;
    }
    arena_free(arena);
    send_ack(world);
}

static void on_centre_connected(void *context, bool session_present) {
    struct world *world = context;
    if (world->streams_count) send_ack(world);
}

static void on_centre_disconnected(void *context, const struct fault *reason) {}

static void on_centre_published(void *context, uint64_t token, const struct fault *fault) {}

static void open_clients(struct world *world, int port) {
    struct fault fault;
    static const char *const acks[] = {"sre.edge.acks.v1/acme/edge-1", NULL};
    static const char *const intents[] = {"sre.edge.intents.v1/+/+", NULL};
    struct mqtt_settings settings = {.host = "127.0.0.1",
                                     .port = (uint16_t)port,
                                     .plain_text = true,
                                     .client_id = "acme/edge-1",
                                     .inflight_max = 20,
                                     .inflight_bytes_max = 1 << 20,
                                     .keep_alive_ms = 10000,
                                     .connect_timeout_ms = 2000,
                                     .backoff_min_ms = 20,
                                     .backoff_max_ms = 100,
                                     .clean_start = true,
                                     .subscriptions = acks};
    const struct mqtt_callbacks agent = {on_agent_connected, on_agent_disconnected, on_agent_message,
                                         on_agent_published, world};
    const struct mqtt_callbacks centre = {on_centre_connected, on_centre_disconnected, on_centre_message,
                                          on_centre_published, world};
    CHECK_OK(mqtt_client_open(world->loop, &settings, &agent, &world->agent, &fault));
    shipper_use(world->shipper, world->agent);
    settings.client_id = "centre";
    settings.subscriptions = intents;
    CHECK_OK(mqtt_client_open(world->loop, &settings, &centre, &world->centre, &fault));
}

/* Each 5 ms: some more intents, and now and then the broker dies and comes back. */
static void on_timer(void *context) {
    struct world *world = context;
    struct fault fault;
    uint8_t bytes[BATCH][64] = {0};
    struct queue_item items[BATCH];
    const int64_t now_ms = clock_monotonic_ms();
    size_t count = 0;
    for (; count < BATCH && world->next < INTENTS; count++) {
        kv_store_u64(bytes[count], ++world->next);
        items[count] =
            (struct queue_item){(enum queue_class)(world->next % QUEUE_CLASSES_MAX_), slice_of(bytes[count], 64)};
    }
    if (count) CHECK_OK(queue_append(world->queue, items, count, NULL, clock_wall_ms(), &fault));
    shipper_kick(world->shipper);
    if (world->broker.pid && now_ms > world->kill_at_ms && world->kills < 5) {
        net_child_kill(&world->broker);
        world->kills++;
        world->back_at_ms = now_ms + (int64_t)(check_random(&world->seed) % 300);
    } else if (!world->broker.pid && now_ms > world->back_at_ms) {
        start_broker(world);
        world->kill_at_ms = now_ms + 300 + (int64_t)(check_random(&world->seed) % 500);
    }
    struct queue_stats stats;
    queue_stats(world->queue, &stats);
    world->done = world->next == INTENTS && world->kills == 5 && world->broker.pid && !stats.records[QUEUE_HEALTH] &&
                  !stats.records[QUEUE_WINDOWS] && !stats.records[QUEUE_REST];
    loop_timer_set(world->timer, 5);
}

TEST(broker_that_dies_and_forgets_loses_nothing_and_doubles_nothing) {
    static struct world world;
    struct fault fault;
    char text[200];
    const int port = net_free_port();
    world.seed = check_seed();
    net_folder_make(&world.folder);
    snprintf(text, sizeof text,
             "listener %d 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\nlog_dest none\n", port);
    net_write(&world.folder, "mosquitto.conf", text);
    const char *const path = net_path(&world.folder, "queue");
    const struct queue_settings queue = {.path = path, .bytes_max = 64 << 20, .reserve_percent = {10, 50, 0}};
    const struct shipper_settings ship = {"acme", "edge-1", 8, 8192, 100, 400, 200, 50, 10};
    CHECK_OK(loop_new(&world.loop, &fault));
    CHECK_OK(queue_open(&queue, &world.queue, NULL, &fault));
    CHECK_OK(shipper_new(world.loop, world.queue, &ship, NULL, &world.shipper, &fault));
    start_broker(&world);
    open_clients(&world, port);
    world.timer = loop_timer_new(world.loop, on_timer, &world);
    world.kill_at_ms = clock_monotonic_ms() + 500;
    loop_timer_set(world.timer, 0);
    if (!net_loop_until(world.loop, &world.done, 60000))
        fail_msg("%llu of %llu intents arrived", (unsigned long long)world.applied_count,
                 (unsigned long long)world.next);
    for (uint64_t number = 1; number <= INTENTS; number++) assert_int_equal(world.applied[number], 1);
    assert_int_equal(world.applied_count, INTENTS);
    assert_int_equal(world.lost, 0);
    loop_timer_free(world.timer);
    mqtt_client_close(world.agent, 0);
    mqtt_client_close(world.centre, 0);
    shipper_free(world.shipper);
    queue_close(world.queue);
    net_child_kill(&world.broker);
    loop_free(world.loop);
    snprintf(text, sizeof text, "rm -rf %s/queue", world.folder.path);
    assert_int_equal(system(text), 0);
    net_folder_free(&world.folder);
}

int main(void) {
    if (!net_program_exists(mosquitto)) {
        fprintf(stderr, "skipped: needs %s\n", mosquitto);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broker_that_dies_and_forgets_loses_nothing_and_doubles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
