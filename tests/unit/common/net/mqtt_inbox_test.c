/* SPDX-License-Identifier: Apache-2.0
 * The inbox with a relay that only notes what it is told: its one function that the inbox calls is defined here. */
#include "tests/support/check.h"

#include <pthread.h>

#include "common/base/clock.h"
#include "common/net/mqtt_inbox.h"

struct tls_relay {
    unsigned pauses, resumes;
};

void tls_relay_pause(struct tls_relay *relay, bool paused) {
    relay->pauses += paused;
    relay->resumes += !paused;
}

struct bench {
    struct loop *loop;
    struct loop_waker *waker;
    struct tls_relay relay;
    struct mqtt_inbox *inbox;
};

static void woken(void *context) {
    loop_stop(((struct bench *)context)->loop);
}

static void begin(struct bench *bench) {
    struct fault fault;
    *bench = (struct bench){0};
    CHECK_OK(loop_new(&bench->loop, &fault));
    CHECK_OK(loop_waker_new(bench->loop, woken, bench, &bench->waker, &fault));
    bench->inbox = mqtt_inbox_new(bench->waker, &bench->relay);
    assert_non_null(bench->inbox);
}

static void end(struct bench *bench) {
    mqtt_inbox_free(bench->inbox);
    loop_waker_free(bench->waker);
    loop_free(bench->loop);
}

static bool put_message(struct bench *bench, size_t bytes) {
    return mqtt_inbox_put_message(bench->inbox, bench, bytes, "topic", 5);
}

/* How many were taken, at most `most`. */
static size_t take_messages(struct bench *bench, size_t most) {
    size_t count = 0;
    for (struct mqtt_waiting *waiting; count < most && (waiting = mqtt_inbox_next_message(bench->inbox)); count++) {
        assert_ptr_equal(waiting->message, bench);
        free(waiting);
    }
    return count;
}

TEST(events_come_in_order_and_one_that_is_queued_comes_once) {
    struct bench bench;
    struct mqtt_event first = {0}, second = {0};
    begin(&bench);
    assert_false(mqtt_inbox_take_batch(bench.inbox));
    mqtt_inbox_put(bench.inbox, &first, 1, 10);
    mqtt_inbox_put(bench.inbox, &second, 2, 20);
    mqtt_inbox_put(bench.inbox, &first, 3, 30); /* told twice: what was said first stands */
    assert_true(mqtt_inbox_take_batch(bench.inbox));
    assert_ptr_equal(mqtt_inbox_next(bench.inbox), &first);
    assert_int_equal(first.reason, 10);
    mqtt_inbox_put(bench.inbox, &first, 4, 40); /* while the batch is handled: in the next one */
    assert_ptr_equal(mqtt_inbox_next(bench.inbox), &second);
    assert_null(mqtt_inbox_next(bench.inbox));
    assert_true(mqtt_inbox_holds_some(bench.inbox));
    assert_true(mqtt_inbox_take_batch(bench.inbox));
    assert_ptr_equal(mqtt_inbox_next(bench.inbox), &first);
    assert_int_equal(first.kind, 4);
    assert_false(mqtt_inbox_holds_some(bench.inbox));
    end(&bench);
}

TEST(end_of_a_connection_drops_its_events_and_keeps_its_messages) {
    struct bench bench;
    struct mqtt_event handled = {0}, waiting = {0}, late = {0};
    char text[MQTT_GOODBYE_TEXT_SIZE];
    begin(&bench);
    mqtt_inbox_put(bench.inbox, &handled, 1, 0);
    mqtt_inbox_put(bench.inbox, &waiting, 1, 0);
    assert_true(put_message(&bench, 100));
    mqtt_inbox_put_goodbye(bench.inbox, 0x8e, "taken over, and more", 10);
    assert_int_equal(mqtt_inbox_goodbye(bench.inbox, text), 0x8e);
    assert_string_equal(text, "taken over");
    assert_true(mqtt_inbox_take_batch(bench.inbox));
    assert_ptr_equal(mqtt_inbox_next(bench.inbox), &handled);
    mqtt_inbox_put(bench.inbox, &late, 1, 0);
    mqtt_inbox_drop_events(bench.inbox);
    assert_null(mqtt_inbox_next(bench.inbox));
    assert_false(mqtt_inbox_take_batch(bench.inbox));
    assert_int_equal(mqtt_inbox_goodbye(bench.inbox, text), MQTT_GOODBYE_NONE);
    mqtt_inbox_put(bench.inbox, &waiting, 2, 0); /* none of them is stuck as queued */
    mqtt_inbox_put(bench.inbox, &late, 2, 0);
    assert_true(mqtt_inbox_take_batch(bench.inbox));
    assert_ptr_equal(mqtt_inbox_next(bench.inbox), &waiting);
    assert_ptr_equal(mqtt_inbox_next(bench.inbox), &late);
    assert_int_equal(take_messages(&bench, SIZE_MAX), 1);
    end(&bench);
}

TEST(relay_pauses_at_1024_messages_and_goes_on_at_half_of_them) {
    struct bench bench;
    begin(&bench);
    for (size_t i = 0; i < 1023; i++) assert_true(put_message(&bench, 1));
    assert_int_equal(bench.relay.pauses, 0);
    for (size_t i = 0; i < 10; i++) assert_true(put_message(&bench, 1)); /* what was under way still comes */
    assert_int_equal(bench.relay.pauses, 1);
    assert_int_equal(take_messages(&bench, 1033 - 513), 520);
    assert_int_equal(bench.relay.resumes, 0);
    assert_int_equal(take_messages(&bench, 1), 1);
    assert_int_equal(bench.relay.resumes, 1);
    assert_int_equal(take_messages(&bench, SIZE_MAX), 512);
    assert_int_equal(bench.relay.pauses + bench.relay.resumes, 2);
    end(&bench);
}

TEST(relay_pauses_by_bytes_too) {
    struct bench bench;
    begin(&bench);
    assert_true(put_message(&bench, 1u << 30));
    assert_int_equal(bench.relay.pauses, 1);
    assert_int_equal(take_messages(&bench, 1), 1);
    assert_int_equal(bench.relay.resumes, 1);
    end(&bench);
}

struct putter {
    struct bench *bench;
    struct mqtt_event event;
};

static void *put_from_a_thread(void *context) {
    struct putter *putter = context;
    mqtt_inbox_put(putter->bench->inbox, &putter->event, 7, 0);
    return NULL;
}

TEST(waiting_ends_with_an_event_of_another_thread_or_in_time_and_the_loop_is_woken) {
    struct bench bench;
    begin(&bench);
    const int64_t start_ms = clock_monotonic_ms();
    mqtt_inbox_wait(bench.inbox, 50);
    assert_true(clock_monotonic_ms() - start_ms >= 45);
    struct putter putter = {.bench = &bench};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, put_from_a_thread, &putter), 0);
    mqtt_inbox_wait(bench.inbox, 60000);
    assert_true(clock_monotonic_ms() - start_ms < 50000);
    loop_run(bench.loop); /* ends when the waker was woken */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(mqtt_inbox_take_batch(bench.inbox));
    assert_ptr_equal(mqtt_inbox_next(bench.inbox), &putter.event);
    end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_order_and_one_that_is_queued_comes_once),
        cmocka_unit_test(end_of_a_connection_drops_its_events_and_keeps_its_messages),
        cmocka_unit_test(relay_pauses_at_1024_messages_and_goes_on_at_half_of_them),
        cmocka_unit_test(relay_pauses_by_bytes_too),
        cmocka_unit_test(waiting_ends_with_an_event_of_another_thread_or_in_time_and_the_loop_is_woken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
