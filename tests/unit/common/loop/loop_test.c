/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "common/base/clock.h"
#include "common/loop/loop.h"
#include "common/loop/mailbox.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static struct loop *open_loop(void) {
    struct fault fault;
    struct loop *loop = NULL;
    CHECK_OK(loop_new(&loop, &fault));
    return loop;
}

struct order {
    struct loop *loop;
    char fired[16];
    size_t count;
};
struct named {
    struct order *order;
    char name;
};

static void note(void *context) {
    struct named *named = context;
    named->order->fired[named->order->count++] = named->name;
    if (named->name == 'z') loop_stop(named->order->loop);
}

TEST(timers_fire_by_due_time_then_by_setting) {
    struct order order = {.loop = open_loop()};
    struct named names[] = {{&order, 'a'}, {&order, 'b'}, {&order, 'c'}, {&order, 'd'}, {&order, 'z'}};
    const int64_t delays[] = {20, 5, 5, 1, 40};
    struct loop_timer *timers[5];
    for (int i = 0; i < 5; i++) timers[i] = loop_timer_new(order.loop, note, &names[i]);
    int64_t began_ms;
    do { /* a delay counts from when it is set: all of them at one moment, or once more */
        began_ms = clock_monotonic_ms();
        for (int i = 0; i < 5; i++) loop_timer_set(timers[i], delays[i]);
        loop_timer_set(timers[3], 30); /* set again: moved */
    } while (clock_monotonic_ms() - began_ms > 4);
    loop_run(order.loop);
    assert_string_equal(order.fired, "bcadz");
    for (int i = 0; i < 5; i++) loop_timer_free(timers[i]);
    loop_free(order.loop);
}

TEST(a_cleared_timer_never_fires_whatever_its_place_in_the_heap) {
    uint64_t seed = check_seed();
    for (int round = 0; round < 20; round++) {
        struct order order = {.loop = open_loop()};
        struct named names[12];
        struct loop_timer *timers[12];
        for (int i = 0; i < 12; i++) {
            names[i] = (struct named){&order, (char)('a' + i)};
            timers[i] = loop_timer_new(order.loop, note, &names[i]);
            loop_timer_set(timers[i], (int64_t)(check_random(&seed) % 8));
        }
        const size_t gone = check_random(&seed) % 11;
        loop_timer_clear(timers[gone]);
        names[11].name = 'z';
        loop_timer_set(timers[11], 9);
        loop_run(order.loop);
        assert_int_equal(order.count, 11);
        assert_null(memchr(order.fired, 'a' + (int)gone, order.count));
        for (int i = 0; i < 12; i++) loop_timer_free(timers[i]);
        loop_free(order.loop);
    }
}

struct pair {
    struct loop *loop;
    struct loop_watch *mine, *other;
    int calls;
};

static void free_both_and_stop(void *context, int fd, unsigned events) {
    struct pair *pair = context;
    assert_true(events & LOOP_READ);
    pair->calls++;
    loop_watch_free(pair->mine);
    loop_watch_free(pair->other);
    loop_stop(pair->loop);
}

TEST(a_watch_freed_in_the_same_batch_is_not_called) {
    int pipes[2][2];
    struct fault fault;
    struct pair pair = {.loop = open_loop()};
    for (int i = 0; i < 2; i++) assert_int_equal(pipe(pipes[i]), 0);
    CHECK_OK(loop_watch_new(pair.loop, pipes[0][0], LOOP_READ, free_both_and_stop, &pair, &pair.mine, &fault));
    CHECK_OK(loop_watch_new(pair.loop, pipes[1][0], LOOP_READ, free_both_and_stop, &pair, &pair.other, &fault));
    for (int i = 0; i < 2; i++) assert_int_equal(write(pipes[i][1], "x", 1), 1);
    loop_run(pair.loop);
    assert_int_equal(pair.calls, 1);
    loop_free(pair.loop);
    for (int i = 0; i < 4; i++) close(pipes[i / 2][i % 2]);
}

struct traffic {
    struct loop *loop;
    struct mailbox *mailbox;
    struct loop_waker *waker;
    uintptr_t sum;
    size_t taken;
};
enum { ITEMS_PER_PRODUCER = 20000, PRODUCERS = 3 };

static void take_all(void *context) {
    struct traffic *traffic = context;
    void *items[64];
    for (size_t count; (count = mailbox_take(traffic->mailbox, items, 64, 0));)
        for (size_t i = 0; i < count; i++, traffic->taken++) traffic->sum += (uintptr_t)items[i];
    if (traffic->taken == ITEMS_PER_PRODUCER * PRODUCERS) loop_stop(traffic->loop);
}

static void *produce(void *context) {
    struct traffic *traffic = context;
    for (uintptr_t i = 1; i <= ITEMS_PER_PRODUCER; i++) {
        if (mailbox_put_wait(traffic->mailbox, (void *)i, 10000)) return (void *)1;
        loop_wake(traffic->waker);
    }
    return NULL;
}

TEST(nothing_is_lost_between_threads_through_a_small_mailbox) {
    struct fault fault;
    struct traffic traffic = {.loop = open_loop(), .mailbox = mailbox_new(100)};
    CHECK_OK(loop_waker_new(traffic.loop, take_all, &traffic, &traffic.waker, &fault));
    pthread_t threads[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++) pthread_create(&threads[i], NULL, produce, &traffic);
    loop_run(traffic.loop);
    for (int i = 0; i < PRODUCERS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(traffic.sum, (uintptr_t)PRODUCERS * ITEMS_PER_PRODUCER * (ITEMS_PER_PRODUCER + 1) / 2);
    loop_waker_free(traffic.waker);
    mailbox_free(traffic.mailbox);
    loop_free(traffic.loop);
}

TEST(a_full_mailbox_tells_the_producer_and_a_closed_one_refuses) {
    struct mailbox *mailbox = mailbox_new(2);
    int item;
    void *items[4];
    CHECK_FAULT(mailbox_put(mailbox, &item), FAULT_NONE);
    CHECK_FAULT(mailbox_put(mailbox, &item), FAULT_NONE);
    CHECK_FAULT(mailbox_put(mailbox, &item), FAULT_AGAIN);
    CHECK_FAULT(mailbox_put_wait(mailbox, &item, 5), FAULT_AGAIN);
    mailbox_close(mailbox);
    CHECK_FAULT(mailbox_put(mailbox, &item), FAULT_DENIED);
    assert_int_equal(mailbox_take(mailbox, items, 4, -1), 2); /* what was put before is still there */
    assert_int_equal(mailbox_take(mailbox, items, 4, -1), 0); /* closed: does not wait for ever */
    mailbox_free(mailbox);
}

static void got_signal(void *context, int number) {
    struct order *order = context;
    order->fired[order->count++] = number == SIGHUP ? 'h' : '?';
    loop_stop(order->loop);
}

TEST(signals_arrive_on_the_loop) {
    struct fault fault;
    struct order order = {.loop = open_loop()};
    const int wanted[] = {SIGHUP};
    CHECK_OK(loop_signals(order.loop, wanted, 1, got_signal, &order, &fault));
    kill(getpid(), SIGHUP);
    loop_run(order.loop);
    assert_string_equal(order.fired, "h");
    loop_free(order.loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_by_due_time_then_by_setting),
        cmocka_unit_test(a_cleared_timer_never_fires_whatever_its_place_in_the_heap),
        cmocka_unit_test(a_watch_freed_in_the_same_batch_is_not_called),
        cmocka_unit_test(nothing_is_lost_between_threads_through_a_small_mailbox),
        cmocka_unit_test(a_full_mailbox_tells_the_producer_and_a_closed_one_refuses),
        cmocka_unit_test(signals_arrive_on_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
