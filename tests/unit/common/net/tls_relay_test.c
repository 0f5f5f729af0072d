/* SPDX-License-Identifier: Apache-2.0
 * The relay by itself, without TLS: bytes pass both ways for this process and for no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/net/tcp_dial.h"
#include "common/net/tls_relay.h"

static int connect_to(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static int accept_soon(int listener) {
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    return poll(&wait, 1, 60000) == 1 ? accept(listener, NULL, NULL) : -1;
}

static ssize_t receive_soon(int fd, void *buffer, size_t size) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 60000) == 1 ? recv(fd, buffer, size, 0) : -1;
}

/* True when another process that connects to the port is sent away at once. */
static bool stranger_is_refused(uint16_t port) {
    const pid_t pid = fork();
    if (pid == 0) {
        char byte;
        const int fd = connect_to(port);
        if (fd < 0) _exit(2);
        (void)!send(fd, "x", 1, MSG_NOSIGNAL);
        const ssize_t got = receive_soon(fd, &byte, 1);
        _exit(got == 0 || (got < 0 && errno == ECONNRESET) ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct bench {
    int listener;
    struct tls_relay *relay;
};

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    struct fault fault = {0};
    uint16_t port;
    if (tcp_listen_loopback(&bench->listener, &port, &fault) != FAULT_NONE) fail_msg("%s", fault.text);
    const struct tls_relay_settings settings = {
        .host = "127.0.0.1", .port = port, .plain_text = true, .connect_timeout_ms = 3000};
    if (tls_relay_open(&settings, &bench->relay, &fault) != FAULT_NONE) fail_msg("%s", fault.text);
    *state = bench;
    return 0;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    (void)tls_relay_close(bench->relay);
    close(bench->listener);
    free(bench);
    return 0;
}

static void carries_bytes_both_ways(void **state) {
    struct bench *bench = *state;
    char buffer[8];
    const int local = connect_to(tls_relay_port(bench->relay));
    const int remote = accept_soon(bench->listener);
    assert_true(remote >= 0);
    assert_int_equal(send(local, "up", 2, 0), 2);
    assert_int_equal(receive_soon(remote, buffer, sizeof buffer), 2);
    assert_int_equal(send(remote, "down", 4, 0), 4);
    assert_int_equal(receive_soon(local, buffer, sizeof buffer), 4);
    /* The broker ends: what it sent last arrives before the end, and the reason is known by then. */
    assert_int_equal(send(remote, "bye", 3, 0), 3);
    close(remote);
    assert_int_equal(receive_soon(local, buffer, sizeof buffer), 3);
    assert_int_equal(receive_soon(local, buffer, sizeof buffer), 0);
    struct fault fault;
    tls_relay_fault(bench->relay, &fault);
    assert_int_equal(fault.code, FAULT_SYSTEM);
    assert_non_null(strstr(fault.text, "closed by the broker"));
    close(local);
}

static void sends_strangers_away(void **state) {
    struct bench *bench = *state;
    char byte;
    assert_true(stranger_is_refused(tls_relay_port(bench->relay)));
    const int local = connect_to(tls_relay_port(bench->relay));
    const int remote = accept_soon(bench->listener);
    assert_true(stranger_is_refused(tls_relay_port(bench->relay))); /* nor does it disturb a connection */
    assert_int_equal(send(local, "y", 1, 0), 1);
    assert_int_equal(receive_soon(remote, &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(local);
    close(remote);
    struct pollfd wait = {.fd = bench->listener, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 100), 0); /* the broker never saw a stranger */
}

static void takes_no_more_than_its_buffer_while_paused(void **state) {
    struct bench *bench = *state;
    static char block[64 * 1024];
    const int local = connect_to(tls_relay_port(bench->relay));
    const int remote = accept_soon(bench->listener);
    tls_relay_pause(bench->relay, true);
    usleep(20000);
    assert_int_equal(send(remote, block, sizeof block, MSG_DONTWAIT), sizeof block);
    struct pollfd wait = {.fd = local, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 200), 0);
    tls_relay_pause(bench->relay, false);
    for (size_t got = 0; got < sizeof block;) {
        const ssize_t piece = receive_soon(local, block, sizeof block);
        assert_true(piece > 0);
        got += (size_t)piece;
    }
    close(local);
    close(remote);
}

static void hands_on_the_last_words_of_a_broker_that_left(void **state) {
    struct bench *bench = *state;
    char buffer[8];
    const int local = connect_to(tls_relay_port(bench->relay));
    const int remote = accept_soon(bench->listener);
    assert_true(remote >= 0);
    tls_relay_pause(bench->relay, true);
    assert_int_equal(send(local, "unread", 6, 0), 6);
    struct pollfd wait = {.fd = remote, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 60000), 1);
    assert_int_equal(send(remote, "why", 3, 0), 3);
    close(remote); /* with bytes unread: the next write to it fails */
    assert_int_equal(send(local, "more", 4, MSG_NOSIGNAL), 4);
    usleep(50000);
    tls_relay_pause(bench->relay, false);
    assert_int_equal(receive_soon(local, buffer, sizeof buffer), 3);
    assert_memory_equal(buffer, "why", 3);
    assert_int_equal(receive_soon(local, buffer, sizeof buffer), 0);
    struct fault fault;
    tls_relay_fault(bench->relay, &fault);
    assert_int_equal(fault.code, FAULT_SYSTEM);
    close(local);
}

static void drops_a_connection_with_a_reason(void **state) {
    struct bench *bench = *state;
    char byte;
    struct fault fault;
    const int local = connect_to(tls_relay_port(bench->relay));
    const int remote = accept_soon(bench->listener);
    fault_set(&fault, FAULT_TIMEOUT, "no answer");
    tls_relay_drop(bench->relay, &fault);
    assert_int_equal(receive_soon(local, &byte, 1), 0);
    close(local);
    assert_int_equal(receive_soon(remote, &byte, 1), 0);
    tls_relay_fault(bench->relay, &fault);
    assert_string_equal(fault.text, "no answer");
    close(remote);
    const int next_local = connect_to(tls_relay_port(bench->relay));
    const int next_remote = accept_soon(bench->listener);
    assert_true(next_remote >= 0);
    close(next_local);
    close(next_remote);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(carries_bytes_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(sends_strangers_away, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_no_more_than_its_buffer_while_paused, setup, teardown),
        cmocka_unit_test_setup_teardown(hands_on_the_last_words_of_a_broker_that_left, setup, teardown),
        cmocka_unit_test_setup_teardown(drops_a_connection_with_a_reason, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
