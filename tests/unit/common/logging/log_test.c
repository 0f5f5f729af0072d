/* SPDX-License-Identifier: Apache-2.0
 * Lines are read back through a pipe: what is on it is what an operator's collector gets. */
#include "common/logging/log.h"

#include "common/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct capture {
    int ends[2];
    char text[3 * LOG_LINE_BYTES];
};

static int capture_begin(void **state) {
    static struct capture capture;
    assert_int_equal(pipe(capture.ends), 0);
    log_to(capture.ends[1]);
    *state = &capture;
    return 0;
}

static int capture_end(void **state) {
    struct capture *capture = *state;
    close(capture->ends[0]);
    close(capture->ends[1]);
    log_to(STDERR_FILENO);
    return log_setup(LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT, (slice){0}, NULL);
}

static const char *captured(struct capture *capture) {
    fcntl(capture->ends[0], F_SETFL, O_NONBLOCK);
    const ssize_t size = read(capture->ends[0], capture->text, sizeof capture->text - 1);
    capture->text[size > 0 ? size : 0] = '\0';
    return capture->text;
}

static void line_is_logfmt_with_time_level_area_event_first(void **state) {
    LOG_WARN("ship", "connect_failed", LOG_TEXT("broker", "mq.lan"), LOG_INT("retry_ms", -4), LOG_UINT("n", UINT64_MAX),
             LOG_BOOL("tls", true), LOG_DOUBLE("ratio", 0.25));
    const char *line = captured(*state);
    assert_int_equal(strncmp(line, "time=20", 7), 0);
    assert_string_equal(strstr(line, " level="), " level=warn area=ship event=connect_failed broker=mq.lan retry_ms=-4 "
                                                 "n=18446744073709551615 tls=true ratio=0.25\n");
}

static void values_cannot_end_a_line_or_reach_the_terminal(void **state) {
    LOG_INFO("a", "b", LOG_SLICE("v", SLICE_LIT("x\n level=error \"q\" \x1b[31m\xc2\x9b\xff\x00z")), LOG_TEXT("e", ""));
    assert_string_equal(strstr(captured(*state), " v="),
                        " v=\"x\\n level=error \\\"q\\\" \\u001b[31m\\u009b\xEF\xBF\xBD\\u0000z\" e=\"\"\n");
}

static void json_line_is_one_object(void **state) {
    assert_int_equal(log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, (slice){0}, NULL), FAULT_NONE);
    LOG_INFO("a", "b", LOG_TEXT("text", "a\"b"), LOG_INT("n", 3), LOG_DOUBLE("nan", __builtin_nan("")));
    const char *line = captured(*state);
    assert_int_equal(strncmp(line, "{\"time\":\"20", 11), 0);
    assert_string_equal(
        strstr(line, ",\"level\""),
        ",\"level\":\"info\",\"area\":\"a\",\"event\":\"b\",\"text\":\"a\\\"b\",\"n\":3,\"nan\":\"nan\"}\n");
}

static void long_line_is_cut_and_says_so(void **state) {
    char big[2 * LOG_LINE_BYTES];
    memset(big, 'x', sizeof big);
    LOG_INFO("a", "b", LOG_SLICE("v", slice_of(big, sizeof big)), LOG_INT("after", 1));
    const char *line = captured(*state);
    assert_true(strlen(line) <= LOG_LINE_BYTES);
    assert_string_equal(line + strlen(line) - 12, "x\" cut=true\n");
    assert_int_equal(log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, (slice){0}, NULL), FAULT_NONE);
    LOG_INFO("a", "b", LOG_SLICE("v", slice_of(big, sizeof big)));
    line = captured(*state);
    assert_true(strlen(line) <= LOG_LINE_BYTES);
    assert_string_equal(line + strlen(line) - 15, "x\",\"cut\":true}\n");
}

static void debug_is_switched_by_area(void **state) {
    struct fault fault;
    LOG_DEBUG_LINE("ship", "quiet");
    assert_string_equal(captured(*state), "");
    assert_int_equal(log_setup(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT, SLICE_LIT("collect, ship"), &fault), FAULT_NONE);
    LOG_DEBUG_LINE("ship", "heard");
    LOG_DEBUG_LINE("journal", "quiet");
    LOG_INFO("journal", "quiet");
    assert_non_null(strstr(captured(*state), "event=heard\n"));
    assert_null(strstr(((struct capture *)*state)->text, "quiet"));
    assert_int_equal(log_setup(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT, SLICE_LIT("all"), &fault), FAULT_NONE);
    LOG_DEBUG_LINE("journal", "heard");
    assert_non_null(strstr(captured(*state), "event=heard\n"));
    assert_int_equal(
        log_setup(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT, SLICE_LIT("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"), &fault),
        FAULT_LIMIT);
    assert_int_equal(
        log_setup(LOG_LEVEL_WARN, LOG_FORMAT_LOGFMT, SLICE_LIT("an_area_with_a_name_that_is_far_too_long"), &fault),
        FAULT_INPUT);
}

static void reader_that_hangs_costs_lines_not_time(void **state) {
    struct capture *capture = *state;
    const uint64_t dropped_before = log_dropped();
    const int64_t begun_ms = clock_monotonic_ms();
    for (int i = 0; i < 20000; i++) LOG_INFO("a", "flood", LOG_INT("i", i));
    assert_true(clock_monotonic_ms() - begun_ms < 30000); /* nobody reads: who waits would do so for ever */
    const uint64_t dropped = log_dropped() - dropped_before;
    assert_true(dropped > 0);
    while (*captured(capture)) {
    }
    LOG_INFO("a", "after");
    char expected[64];
    snprintf(expected, sizeof expected, "event=lines_dropped lines=%llu\n", (unsigned long long)dropped);
    const char *text = captured(capture);
    assert_non_null(strstr(text, "event=after\n"));
    assert_non_null(strstr(text, expected));
}

static void limit_passes_once_per_interval_and_counts_the_rest(void **state) {
    struct log_limit limit = {0};
    uint64_t held = 99;
    assert_true(log_limit_pass(&limit, 5, 1000, &held));
    assert_int_equal(held, 0);
    assert_false(log_limit_pass(&limit, 6, 1000, &held));
    assert_false(log_limit_pass(&limit, 1004, 1000, &held));
    assert_true(log_limit_pass(&limit, 1005, 1000, &held));
    assert_int_equal(held, 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, capture_begin, capture_end)
    const struct CMUnitTest tests[] = {
        TEST(line_is_logfmt_with_time_level_area_event_first),
        TEST(values_cannot_end_a_line_or_reach_the_terminal),
        TEST(json_line_is_one_object),
        TEST(long_line_is_cut_and_says_so),
        TEST(debug_is_switched_by_area),
        TEST(reader_that_hangs_costs_lines_not_time),
        TEST(limit_passes_once_per_interval_and_counts_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
