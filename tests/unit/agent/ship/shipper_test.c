/* SPDX-License-Identifier: Apache-2.0
 * The shipper against a broker and a centre that misbehave as asked: they lose what they took, hold acks back, say
 * what no real one can be made to say. The function of the MQTT door that the shipper calls is defined here. */
#include "tests/support/check.h"

#include "agent/ship/shipper.h"

#include <unistd.h>

#include "agent/ship/batch_writer.h"
#include "common/base/clock.h"
#include "common/codec/codec.h"
#include "common/store/kv.h"
#include "sre.pb.h"

enum { MESSAGES_MAX = 256, STREAMS_MAX = 64, INTENTS_MAX = 20000 };

struct message {
    uint64_t token;
    uint8_t *payload;
    size_t bytes;
};

struct centre_stream {
    uint64_t stream, last, wanted, lost;
    bool ended;
};

struct world {
    char root[64];
    struct loop *loop;
    struct queue *queue;
    struct queue_settings queue_settings;
    struct shipper *shipper;
    struct loop_timer *timer;
    int64_t give_up_ms;
    bool (*until)(struct world *world);
    void (*step)(struct world *world);
    /* the broker */
    bool connected;
    unsigned window; /* publications it takes without PUBACK; 0: any */
    struct message messages[MESSAGES_MAX];
    size_t messages_count;
    uint64_t published, refused;
    unsigned lose_batches_percent, lose_acks_percent, cut_percent;
    uint64_t seed, next;
    /* the centre */
    char epoch[UUID_TEXT_SIZE + 1];
    struct centre_stream streams[STREAMS_MAX];
    size_t streams_count;
    uint8_t applied[INTENTS_MAX]; /* how often each intent took effect */
    uint64_t applied_count, batches, repeats;
    uint64_t order[INTENTS_MAX];
    bool ack_due;
};

static struct world *broker; /* the door has no other way to it */

fault_code mqtt_client_publish(struct mqtt_client *client, const struct mqtt_publication *publication,
                               struct fault *reterr) {
    struct world *world = broker;
    assert_ptr_equal(client, (struct mqtt_client *)world);
    assert_int_equal(publication->qos, 1);
    assert_string_equal(publication->topic, "sre.edge.intents.v1/acme/edge-1");
    assert_int_equal(publication->properties_count, 3);
    const size_t window = publication->bulk ? world->window * 3 / 4 : world->window; /* as the door has it */
    if (!world->connected || world->messages_count == MESSAGES_MAX ||
        (world->window && world->messages_count >= window)) {
        world->refused++;
        return fault_set(reterr, FAULT_AGAIN, "the window is full");
    }
    struct message *message = &world->messages[world->messages_count++];
    *message = (struct message){publication->token, malloc(publication->payload.size), publication->payload.size};
    memcpy(message->payload, publication->payload.data, publication->payload.size);
    world->published++;
    return FAULT_NONE;
}

static struct centre_stream *centre_stream(struct world *world, uint64_t number) {
    for (size_t i = 0; i < world->streams_count; i++)
        if (world->streams[i].stream == number) return &world->streams[i];
    assert_true(world->streams_count < STREAMS_MAX);
    world->streams[world->streams_count] = (struct centre_stream){.stream = number};
    return &world->streams[world->streams_count++];
}

/* The rules of contract.md, "Delivery", 2 to 4. */
static void centre_takes(struct world *world, slice payload) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 24);
    EncodedIntentBatch batch;
    CHECK_OK(codec_decode_protobuf(&EncodedIntentBatch_desc, payload, arena, &batch, &fault));
    CHECK_OK(codec_validate(&EncodedIntentBatch_desc, &batch, &fault));
    world->batches++;
    world->ack_due = true;
    if (!slice_equal_text(batch.epoch, world->epoch)) {
        snprintf(world->epoch, sizeof world->epoch, "%.*s", SLICE_ARG(batch.epoch));
        world->streams_count = 0;
    }
    struct centre_stream *stream = centre_stream(world, batch.stream);
    stream->wanted = 0;
    if (batch.after_sequence > stream->last) {
        stream->wanted = stream->last + 1;
    } else {
        for (size_t i = 0; i < batch.intents.count; i++) {
            const uint64_t sequence = batch.first_sequence + i;
            if (sequence <= stream->last) {
                world->repeats++;
                continue;
            }
            stream->lost += sequence - stream->last - 1;
            stream->last = sequence;
            const uint64_t number = kv_load_u64(batch.intents.items[i].data);
            assert_true(number < INTENTS_MAX);
            world->order[world->applied_count++] = number;
            world->applied[number]++;
        }
        if (!batch.intents.count && batch.first_sequence > stream->last + 1) {
            stream->lost += batch.first_sequence - 1 - stream->last;
            stream->last = batch.first_sequence - 1;
        }
        if (batch.stream_ends) stream->ended = true;
    }
    arena_free(arena);
}

static void send_ack(struct world *world) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 20);
    StreamAck items[STREAMS_MAX];
    for (size_t i = 0; i < world->streams_count; i++)
        items[i] = (StreamAck){.stream = world->streams[i].stream,
                               .committed_sequence = world->streams[i].last,
                               .wanted_sequence = world->streams[i].wanted};
    IntentAck ack = {.epoch = slice_from_text(world->epoch)};
    ack.streams.items = items;
    ack.streams.count = world->streams_count;
    slice payload;
    CHECK_OK(codec_encode_protobuf(&IntentAck_desc, &ack, arena, &payload, &fault));
    CHECK_OK(shipper_on_ack(world->shipper, payload, &fault));
    arena_free(arena);
    world->ack_due = false;
}

static bool chance(struct world *world, unsigned percent) {
    return percent && check_random(&world->seed) % 100 < percent;
}

static void connect(struct world *world) {
    world->connected = true;
    if (world->epoch[0]) send_ack(world); /* retained, and before on_connected */
    shipper_on_connected(world->shipper);
}

static void disconnect(struct world *world) {
    const struct fault lost = {FAULT_AGAIN, "the connection was lost"};
    world->connected = false;
    const size_t count = world->messages_count;
    for (size_t i = 0; i < count; i++) {
        shipper_on_published(world->shipper, world->messages[i].token, &lost);
        free(world->messages[i].payload);
    }
    world->messages_count = 0;
    shipper_on_disconnected(world->shipper);
}

/* One round of the world: what was published reaches the centre or does not, PUBACKs and an ack come back. */
static void deliver(struct world *world) {
    struct message taken[MESSAGES_MAX];
    const size_t count = world->messages_count;
    memcpy(taken, world->messages, count * sizeof *taken);
    world->messages_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!chance(world, world->lose_batches_percent))
            centre_takes(world, slice_of(taken[i].payload, taken[i].bytes));
        shipper_on_published(world->shipper, taken[i].token, NULL);
        free(taken[i].payload);
    }
    if (world->ack_due && !chance(world, world->lose_acks_percent)) send_ack(world);
    if (chance(world, world->cut_percent)) {
        disconnect(world);
        connect(world);
    }
}

static void on_timer(void *context) {
    struct world *world = context;
    if (world->step) world->step(world);
    if (world->connected) deliver(world);
    if ((world->until && world->until(world)) || clock_monotonic_ms() > world->give_up_ms) {
        loop_stop(world->loop);
        return;
    }
    loop_timer_set(world->timer, 2);
}

static void begin_with(struct world *world, const struct shipper_settings *ship, uint64_t queue_bytes) {
    struct fault fault;
    *world = (struct world){.root = "/tmp/picket-ship-XXXXXX", .seed = 1};
    broker = world;
    assert_non_null(mkdtemp(world->root));
    static char path[80];
    snprintf(path, sizeof path, "%s/queue", world->root);
    world->queue_settings =
        (struct queue_settings){.path = path, .bytes_max = queue_bytes, .reserve_percent = {10, 50, 0}};
    CHECK_OK(loop_new(&world->loop, &fault));
    world->timer = loop_timer_new(world->loop, on_timer, world);
    CHECK_OK(queue_open(&world->queue_settings, &world->queue, NULL, &fault));
    CHECK_OK(shipper_new(world->loop, world->queue, ship, NULL, &world->shipper, &fault));
    shipper_use(world->shipper, (struct mqtt_client *)world);
}

static const struct shipper_settings usual = {"acme", "edge-1", 8, 4096, 10, 100, 60000, 20, 5};

/* Where a test counts what is sent again: a machine that stands still for a moment makes nobody impatient. */
static const struct shipper_settings patient = {"acme", "edge-1", 8, 4096, 10, 60000, 60000, 20, 5};

static void begin(struct world *world) {
    begin_with(world, &usual, 16 << 20);
}

static void end(struct world *world) {
    char command[128];
    if (world->connected) disconnect(world);
    shipper_free(world->shipper);
    queue_close(world->queue);
    loop_timer_free(world->timer);
    loop_free(world->loop);
    snprintf(command, sizeof command, "rm -rf %s", world->root);
    assert_int_equal(system(command), 0);
}

static void run(struct world *world, bool (*until)(struct world *), int64_t ms) {
    world->until = until;
    world->give_up_ms = clock_monotonic_ms() + (until ? 12 * ms : ms);
    loop_timer_set(world->timer, 0);
    loop_run(world->loop);
}

static uint64_t waiting(struct world *world) {
    struct queue_stats stats;
    queue_stats(world->queue, &stats);
    return stats.records[QUEUE_HEALTH] + stats.records[QUEUE_WINDOWS] + stats.records[QUEUE_REST];
}

static bool nothing_waits(struct world *world) {
    return waiting(world) == 0;
}

static void append(struct world *world, enum queue_class class, uint64_t from, uint64_t through, int64_t stored_ms) {
    struct fault fault;
    uint8_t bytes[100][40] = {0};
    struct queue_item items[100];
    for (uint64_t number = from; number <= through;) {
        size_t count = 0;
        for (; number <= through && count < 100; number++, count++) {
            kv_store_u64(bytes[count], number);
            items[count] = (struct queue_item){class, slice_of(bytes[count], sizeof bytes[count])};
        }
        CHECK_OK(queue_append(world->queue, items, count, NULL, stored_ms, &fault));
    }
    shipper_kick(world->shipper);
}

static void check_applied(struct world *world, uint64_t from, uint64_t through) {
    for (uint64_t number = from; number <= through; number++)
        if (world->applied[number] != 1)
            fail_msg("intent %llu took effect %u times", (unsigned long long)number, world->applied[number]);
}

TEST(everything_arrives_in_order_and_leaves_the_queue) {
    struct world world;
    struct shipper_stats stats;
    begin_with(&world, &patient, 16 << 20);
    append(&world, QUEUE_WINDOWS, 1, 200, clock_wall_ms());
    append(&world, QUEUE_HEALTH, 201, 220, clock_wall_ms());
    assert_int_equal(world.published, 0); /* not connected */
    connect(&world);
    run(&world, nothing_waits, 5000);
    check_applied(&world, 1, 220);
    for (uint64_t last_window = 0, i = 0; i < world.applied_count; i++) {
        if (world.order[i] > 200) continue;
        assert_int_equal(world.order[i], last_window + 1);
        last_window++;
    }
    shipper_stats(world.shipper, &stats);
    assert_int_equal(world.repeats, 0);
    assert_int_equal(stats.intents_committed, 220);
    assert_int_equal(stats.inflight, 0);
    assert_int_equal(stats.resends, 0);
    end(&world);
}

static bool all_was_taken(struct world *world) {
    return world->published && !world->messages_count;
}

TEST(batch_that_the_broker_lost_is_sent_again) {
    struct world world;
    struct shipper_stats stats;
    begin(&world);
    connect(&world);
    world.lose_batches_percent = 100; /* PUBACK, and gone */
    append(&world, QUEUE_WINDOWS, 1, 10, clock_wall_ms());
    run(&world, all_was_taken, 3000);
    assert_int_equal(world.applied_count, 0);
    assert_int_equal(waiting(&world), 10);
    world.lose_batches_percent = 0;
    run(&world, nothing_waits, 3000);
    check_applied(&world, 1, 10);
    shipper_stats(world.shipper, &stats);
    assert_true(stats.resends >= 1);
    end(&world);
}

TEST(sequence_that_the_centre_wants_is_gone_back_to_once) {
    struct world world;
    struct shipper_stats stats;
    const struct shipper_settings settings = {"acme", "edge-1", 1, 4096, 5, 5000, 60000, 20, 5};
    begin_with(&world, &settings, 16 << 20);
    append(&world, QUEUE_WINDOWS, 1, 5, clock_wall_ms());
    connect(&world);
    run(&world, nothing_waits, 3000);
    /* the centre is put back to an older state: it wants what it had */
    append(&world, QUEUE_WINDOWS, 6, 10, clock_wall_ms());
    centre_stream(&world, 2)->last = 3;
    run(&world, nothing_waits, 3000);
    shipper_stats(world.shipper, &stats);
    assert_int_equal(stats.went_back, 1);
    check_applied(&world, 6, 10);
    assert_int_equal(centre_stream(&world, 2)->lost, 2); /* 4 and 5 are nowhere any more, and that is stated */
    end(&world);
}

static bool twenty_took_effect(struct world *world) {
    return world->applied_count == 20 && !world->messages_count;
}

TEST(retained_ack_before_the_connection_saves_sending_again) {
    struct world world;
    begin_with(&world, &patient, 16 << 20);
    append(&world, QUEUE_WINDOWS, 1, 20, clock_wall_ms());
    connect(&world);
    world.lose_acks_percent = 100;
    run(&world, twenty_took_effect, 5000);
    assert_int_equal(world.applied_count, 20);
    assert_int_equal(waiting(&world), 20); /* PUBACKed, which does not count */
    const uint64_t published = world.published;
    disconnect(&world);
    world.lose_acks_percent = 0;
    connect(&world);
    run(&world, nothing_waits, 2000);
    assert_int_equal(world.published, published);
    end(&world);
}

TEST(full_window_waits_for_the_puback) {
    struct world world;
    begin_with(&world, &patient, 16 << 20);
    world.window = 1;
    append(&world, QUEUE_WINDOWS, 1, 100, clock_wall_ms());
    connect(&world);
    run(&world, nothing_waits, 5000);
    check_applied(&world, 1, 100);
    assert_int_equal(world.repeats, 0);
    assert_true(world.refused > 0);
    end(&world);
}

static bool fresh_has_arrived(struct world *world) {
    return world->applied[5001] == 1;
}

static bool only_open_streams_are_left(struct world *world) {
    size_t count;
    (void)queue_streams(world->queue, &count);
    return nothing_waits(world) && count == QUEUE_CLASSES_MAX_;
}

TEST(what_is_new_passes_the_backlog_and_the_old_stream_ends) {
    struct world world;
    struct shipper_stats stats;
    begin(&world);
    append(&world, QUEUE_WINDOWS, 1, 3000, clock_wall_ms() - 3600 * 1000);
    connect(&world);
    append(&world, QUEUE_WINDOWS, 5001, 5001, clock_wall_ms());
    run(&world, fresh_has_arrived, 5000);
    assert_int_equal(world.applied[5001], 1);
    assert_true(world.applied_count < 1000);
    run(&world, only_open_streams_are_left, 20000);
    check_applied(&world, 1, 3000);
    shipper_stats(world.shipper, &stats);
    assert_int_equal(stats.rotations, 1);
    size_t ended = 0, count;
    for (size_t i = 0; i < world.streams_count; i++) ended += world.streams[i].ended;
    assert_int_equal(ended, 1);
    (void)queue_streams(world.queue, &count);
    assert_int_equal(count, QUEUE_CLASSES_MAX_);
    end(&world);
}

/* The window is smaller than what may be in flight, as with large batches that are bounded by their bytes. */
static bool three_are_under_way(struct world *world) {
    return world->messages_count == 3;
}

TEST(what_is_new_finds_a_place_where_the_old_fills_the_window) {
    struct world world;
    begin_with(&world, &patient, 16 << 20);
    world.window = 4;
    append(&world, QUEUE_WINDOWS, 1, 3000, clock_wall_ms() - 3600 * 1000);
    connect(&world);
    run(&world, three_are_under_way, 5000); /* the wait for a retained ack is over; PUBACKs and acks come */
    const uint64_t published = world.published;
    assert_int_equal(world.messages_count, 3);
    append(&world, QUEUE_HEALTH, 5001, 5001, clock_wall_ms());
    assert_int_equal(world.published, published + 1); /* no PUBACK came between */
    run(&world, nothing_waits, 20000);
    check_applied(&world, 1, 3000);
    end(&world);
}

static void lose_one_alert(struct world *world) {
    if (world->published == 0) append(world, QUEUE_HEALTH, 5001, 5001, clock_wall_ms());
    if (world->published == 1 && world->messages_count == 0) append(world, QUEUE_WINDOWS, 1, 1000, clock_wall_ms());
    world->lose_batches_percent = world->published > 1 ? 0 : 100;
}

TEST(a_lost_batch_that_others_overtook_is_sent_again_at_once) {
    struct world world;
    struct shipper_stats stats;
    begin_with(&world, &patient, 16 << 20);
    connect(&world);
    run(&world, NULL, 50);
    world.step = lose_one_alert;
    run(&world, fresh_has_arrived, 5000);
    assert_int_equal(world.applied[5001], 1);
    run(&world, nothing_waits, 5000);
    check_applied(&world, 1, 1000);
    shipper_stats(world.shipper, &stats);
    assert_int_equal(stats.resends, 1);
    end(&world);
}

TEST(what_was_shed_is_stated_to_the_centre) {
    struct world world;
    begin_with(&world, &usual, 1 << 20);
    append(&world, QUEUE_WINDOWS, 1, 15000, clock_wall_ms());
    struct queue_stats stats;
    queue_stats(world.queue, &stats);
    assert_true(stats.shed[QUEUE_WINDOWS] > 0);
    connect(&world);
    run(&world, nothing_waits, 20000);
    assert_int_equal(centre_stream(&world, 2)->lost, stats.shed[QUEUE_WINDOWS]);
    check_applied(&world, stats.shed[QUEUE_WINDOWS] + 1, 15000);
    end(&world);
}

TEST(stream_of_which_all_was_shed_still_ends) {
    struct world world;
    begin_with(&world, &usual, 1 << 20);
    append(&world, QUEUE_REST, 1, 50, clock_wall_ms() - 3600 * 1000);
    CHECK_FAULT(queue_rotate(world.queue, clock_wall_ms() - 1, clock_wall_ms(), NULL, NULL), FAULT_NONE);
    append(&world, QUEUE_WINDOWS, 101, 15000, clock_wall_ms());
    connect(&world);
    run(&world, only_open_streams_are_left, 20000);
    assert_int_equal(centre_stream(&world, 3)->lost, 50);
    assert_true(centre_stream(&world, 3)->ended);
    assert_true(only_open_streams_are_left(&world));
    end(&world);
}

TEST(queue_from_a_backup_begins_a_new_epoch) {
    struct world world;
    struct shipper_stats stats;
    begin(&world);
    append(&world, QUEUE_WINDOWS, 1, 10, clock_wall_ms());
    uuid_format(queue_epoch(world.queue), world.epoch);
    centre_stream(&world, 2)->last = 500; /* more than was ever given out */
    connect(&world);
    run(&world, nothing_waits, 5000);
    check_applied(&world, 1, 10);
    shipper_stats(world.shipper, &stats);
    assert_int_equal(stats.epochs_renewed, 1);
    end(&world);
}

static uint64_t lost_in_all(const struct world *world) {
    uint64_t lost = 0;
    for (size_t i = 0; i < world->streams_count; i++) lost += world->streams[i].lost;
    return lost;
}

TEST(new_epoch_of_an_older_copy_states_no_loss_where_there_is_none) {
    struct world world;
    struct fault fault;
    struct shipper_stats stats;
    begin_with(&world, &patient, 16 << 20);
    append(&world, QUEUE_WINDOWS, 1, 20, clock_wall_ms());
    connect(&world);
    run(&world, nothing_waits, 5000);
    disconnect(&world);
    append(&world, QUEUE_WINDOWS, 21, 40, clock_wall_ms());
    centre_stream(&world, 2)->last = 500; /* the queue that this one is a copy of went on */
    connect(&world);
    run(&world, nothing_waits, 5000);
    shipper_stats(world.shipper, &stats);
    assert_int_equal(stats.epochs_renewed, 1);
    check_applied(&world, 1, 40);
    assert_int_equal(lost_in_all(&world), 0);
    assert_int_equal(centre_stream(&world, 2)->last, 20); /* numbers of the epoch */
    disconnect(&world);
    shipper_free(world.shipper); /* and so in the next life */
    queue_close(world.queue);
    CHECK_OK(queue_open(&world.queue_settings, &world.queue, NULL, &fault));
    CHECK_OK(shipper_new(world.loop, world.queue, &patient, NULL, &world.shipper, &fault));
    shipper_use(world.shipper, (struct mqtt_client *)&world);
    append(&world, QUEUE_WINDOWS, 41, 60, clock_wall_ms());
    connect(&world);
    run(&world, nothing_waits, 5000);
    shipper_stats(world.shipper, &stats);
    assert_int_equal(stats.epochs_renewed, 0);
    check_applied(&world, 1, 60);
    assert_int_equal(lost_in_all(&world), 0);
    assert_int_equal(centre_stream(&world, 2)->last, 40);
    end(&world);
}

TEST(what_was_shed_and_not_stated_is_a_loss_in_the_new_epoch) {
    struct world world;
    struct fault fault;
    begin_with(&world, &patient, 16 << 20);
    append(&world, QUEUE_WINDOWS, 1, 20, clock_wall_ms());
    append(&world, QUEUE_REST, 101, 110, clock_wall_ms());
    connect(&world);
    run(&world, nothing_waits, 5000);
    disconnect(&world);
    append(&world, QUEUE_REST, 111, 150, clock_wall_ms());
    CHECK_OK(queue_shed(world.queue, 500, &fault));
    const uint64_t shed = queue_stream_find(world.queue, 3)->shed;
    assert_in_range(shed, 1, 39);
    append(&world, QUEUE_WINDOWS, 21, 40, clock_wall_ms());
    centre_stream(&world, 2)->last = 500;
    connect(&world);
    run(&world, nothing_waits, 5000);
    check_applied(&world, 1, 40);
    check_applied(&world, 111 + shed, 150);
    assert_int_equal(centre_stream(&world, 2)->lost, 0);
    assert_int_equal(centre_stream(&world, 3)->lost, shed);
    end(&world);
}

/* Of windows that wait, so many; and the centre has this much of that stream, which was never given out here. */
static void check_new_epoch(int waiting, uint32_t stream, uint64_t committed) {
    struct world world;
    struct shipper_stats stats;
    begin(&world);
    append(&world, QUEUE_WINDOWS, 1, waiting, clock_wall_ms());
    uuid_format(queue_epoch(world.queue), world.epoch);
    centre_stream(&world, stream)->last = committed;
    connect(&world);
    run(&world, nothing_waits, 5000);
    check_applied(&world, 1, waiting);
    shipper_stats(world.shipper, &stats);
    assert_int_equal(stats.epochs_renewed, 1);
    end(&world);
}

/* Else it would open one of that number some day, and delete its records for those that the other had sent. */
TEST(ack_for_a_stream_that_was_never_opened_begins_a_new_epoch) {
    check_new_epoch(20, 4, 7);
}

/* An older copy of the queue to which something was added before it was connected; or a broker that was taken over. */
TEST(ack_for_what_was_never_sent_deletes_nothing) {
    check_new_epoch(30, 2, 20);
}

TEST(ack_of_what_a_former_life_sent_is_believed) {
    struct world world;
    struct fault fault;
    struct shipper_stats stats;
    begin_with(&world, &patient, 16 << 20);
    append(&world, QUEUE_WINDOWS, 1, 20, clock_wall_ms());
    connect(&world);
    world.lose_acks_percent = 100;
    run(&world, twenty_took_effect, 5000);
    disconnect(&world);
    shipper_free(world.shipper);
    CHECK_OK(shipper_new(world.loop, world.queue, &patient, NULL, &world.shipper, &fault));
    shipper_use(world.shipper, (struct mqtt_client *)&world);
    append(&world, QUEUE_WINDOWS, 21, 30, clock_wall_ms());
    world.lose_acks_percent = 0;
    connect(&world);
    run(&world, nothing_waits, 2000);
    check_applied(&world, 1, 30);
    shipper_stats(world.shipper, &stats);
    assert_int_equal(stats.epochs_renewed, 0);
    assert_int_equal(world.repeats, 0);
    end(&world);
}

static void forge(struct world *world) {
    uuid_format(queue_epoch(world->queue), world->epoch);
    centre_stream(world, 2)->last = 1000000;
    send_ack(world);
}

TEST(flood_of_forged_acks_begins_few_epochs) {
    struct world world;
    struct shipper_stats stats;
    begin(&world);
    append(&world, QUEUE_WINDOWS, 1, 30, clock_wall_ms());
    connect(&world);
    world.step = forge;
    world.lose_batches_percent = 100;
    const int64_t begun_ms = clock_monotonic_ms();
    run(&world, NULL, 500);
    const int64_t took_ms = clock_monotonic_ms() - begun_ms;
    shipper_stats(world.shipper, &stats);
    assert_true(stats.epochs_renewed >= 1);
    assert_true(stats.epochs_renewed <= (uint64_t)(took_ms / usual.resend_ms) + 1);
    assert_int_equal(waiting(&world), 30);
    world.step = NULL;
    world.lose_batches_percent = 0;
    run(&world, nothing_waits, 5000);
    check_applied(&world, 1, 30);
    end(&world);
}

TEST(unreadable_ack_changes_nothing) {
    struct world world;
    struct fault fault;
    begin(&world);
    append(&world, QUEUE_WINDOWS, 1, 10, clock_wall_ms());
    connect(&world);
    world.lose_batches_percent = 100;
    run(&world, NULL, 40);
    CHECK_FAULT(shipper_on_ack(world.shipper, SLICE_LIT("\xff\xff\xff"), &fault), FAULT_INPUT);
    CHECK_FAULT(shipper_on_ack(world.shipper,
                               SLICE_LIT("\x0a\x03"
                                         "abc"),
                               &fault),
                FAULT_INPUT);
    assert_int_equal(waiting(&world), 10);
    end(&world);
}

static void trickle(struct world *world) {
    if (world->next >= 600) return;
    const uint64_t through = world->next + 1 + check_random(&world->seed) % 4;
    append(world, (enum queue_class)(check_random(&world->seed) % QUEUE_CLASSES_MAX_), world->next + 1, through,
           clock_wall_ms());
    world->next = through;
}

static bool all_appended(struct world *world) {
    return world->next >= 600;
}

TEST(losses_of_every_kind_lose_nothing_and_double_nothing) {
    struct world world;
    begin(&world);
    world.seed = check_seed();
    world.lose_batches_percent = 15;
    world.lose_acks_percent = 30;
    world.cut_percent = 5;
    world.step = trickle;
    connect(&world);
    run(&world, all_appended, 60000); /* on a machine as busy as it may be */
    world.step = NULL;
    world.lose_batches_percent = world.lose_acks_percent = world.cut_percent = 0;
    run(&world, nothing_waits, 10000);
    assert_true(nothing_waits(&world));
    assert_true(world.applied_count >= 600);
    check_applied(&world, 1, world.next);
    assert_int_equal(world.applied_count, world.next);
    for (size_t i = 0; i < world.streams_count; i++) assert_int_equal(world.streams[i].lost, 0);
    end(&world);
}

TEST(batch_bytes_are_what_the_decoder_reads) {
    struct fault fault;
    uint8_t buffer[300];
    struct batch_writer writer;
    struct arena *arena = arena_new(4096, 1 << 20);
    const struct uuid epoch = uuid_v7_new();
    char text[UUID_TEXT_SIZE + 1];
    uuid_format(epoch, text);
    batch_begin(&writer, buffer, sizeof buffer, epoch, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX);
    assert_true(batch_add(&writer, SLICE_LIT("first")));
    uint8_t large[250] = {7};
    assert_false(batch_add(&writer, slice_of(large, sizeof large)));
    assert_true(batch_add(&writer, slice_of(large, 130)));
    const slice bytes = batch_end(&writer, true);
    EncodedIntentBatch batch;
    CHECK_OK(codec_decode_protobuf(&EncodedIntentBatch_desc, bytes, arena, &batch, &fault));
    CHECK_SLICE(batch.epoch, text);
    assert_true(batch.stream == UINT64_MAX && batch.after_sequence == UINT64_MAX - 1 &&
                batch.first_sequence == UINT64_MAX);
    assert_int_equal(batch.intents.count, 2);
    CHECK_SLICE(batch.intents.items[0], "first");
    assert_int_equal(batch.intents.items[1].size, 130);
    assert_true(batch.stream_ends);
    slice again;
    CHECK_OK(codec_encode_protobuf(&EncodedIntentBatch_desc, &batch, arena, &again, &fault));
    assert_true(slice_equal(again, bytes));
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_bytes_are_what_the_decoder_reads),
        cmocka_unit_test(everything_arrives_in_order_and_leaves_the_queue),
        cmocka_unit_test(batch_that_the_broker_lost_is_sent_again),
        cmocka_unit_test(sequence_that_the_centre_wants_is_gone_back_to_once),
        cmocka_unit_test(retained_ack_before_the_connection_saves_sending_again),
        cmocka_unit_test(full_window_waits_for_the_puback),
        cmocka_unit_test(what_is_new_passes_the_backlog_and_the_old_stream_ends),
        cmocka_unit_test(what_is_new_finds_a_place_where_the_old_fills_the_window),
        cmocka_unit_test(a_lost_batch_that_others_overtook_is_sent_again_at_once),
        cmocka_unit_test(what_was_shed_is_stated_to_the_centre),
        cmocka_unit_test(stream_of_which_all_was_shed_still_ends),
        cmocka_unit_test(queue_from_a_backup_begins_a_new_epoch),
        cmocka_unit_test(new_epoch_of_an_older_copy_states_no_loss_where_there_is_none),
        cmocka_unit_test(what_was_shed_and_not_stated_is_a_loss_in_the_new_epoch),
        cmocka_unit_test(ack_for_a_stream_that_was_never_opened_begins_a_new_epoch),
        cmocka_unit_test(ack_for_what_was_never_sent_deletes_nothing),
        cmocka_unit_test(ack_of_what_a_former_life_sent_is_believed),
        cmocka_unit_test(flood_of_forged_acks_begins_few_epochs),
        cmocka_unit_test(unreadable_ack_changes_nothing),
        cmocka_unit_test(losses_of_every_kind_lose_nothing_and_double_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
