/* SPDX-License-Identifier: Apache-2.0 */
#include "common/metrics/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

enum { ACCEPTED, REFUSED, DEPTH, SECONDS, BUSY };
static const double bounds[] = {0.1, 1, 2.5};
static const struct metric_row rows[] = {
    METRIC_ROW(COUNTER, "picket_t_intents_total", "result=\"accepted\"", "Intents, \"by\" result."),
    METRIC_ROW(COUNTER, "picket_t_intents_total", "result=\"refused\"", "Intents, \"by\" result."),
    METRIC_ROW(GAUGE, "picket_t_depth", "", "Depth."),
    {METRIC_HISTOGRAM, "picket_t_seconds", "op=\"x\"", "Time.", 0, bounds, 3},
    {METRIC_COUNTER, "picket_t_busy_seconds_total", "", "Busy.", 1e-9},
};

static void set_depth(void *context) {
    metric_set(*(struct metric_table **)context, DEPTH, 7.5);
}

static slice whole_text(struct metrics *metrics, bool openmetrics, struct arena *arena) {
    slice text;
    struct fault fault;
    assert_int_equal(metrics_text(metrics, openmetrics, arena, &text, &fault), FAULT_NONE);
    return text;
}

static void text_is_prometheus_0_0_4(void **state) {
    struct metrics *metrics = metrics_new("picket-test");
    struct arena *arena = arena_new(65536, 1 << 20);
    struct metric_table *table = NULL;
    struct fault fault;
    assert_int_equal(metrics_add(metrics, rows, 5, &table, &fault), FAULT_NONE);
    assert_int_equal(metrics_on_read(metrics, set_depth, &table, &fault), FAULT_NONE);
    metric_count(table, ACCEPTED, 3);
    metric_count(table, REFUSED, UINT64_C(9007199254740993));
    metric_count(table, BUSY, 1500000000);
    metric_observe(table, SECONDS, 0.1);
    metric_observe(table, SECONDS, 2);
    metric_observe(table, SECONDS, 99);
    assert_int_equal(metric_total(table, SECONDS), 3);
    const char *text = (const char *)whole_text(metrics, false, arena).data;
    const char *expected = "# HELP picket_t_intents_total Intents, \"by\" result.\n"
                           "# TYPE picket_t_intents_total counter\n"
                           "picket_t_intents_total{result=\"accepted\"} 3\n"
                           "picket_t_intents_total{result=\"refused\"} 9007199254740993\n"
                           "# HELP picket_t_depth Depth.\n# TYPE picket_t_depth gauge\npicket_t_depth 7.5\n"
                           "# HELP picket_t_seconds Time.\n# TYPE picket_t_seconds histogram\n"
                           "picket_t_seconds_bucket{op=\"x\",le=\"0.1\"} 1\n"
                           "picket_t_seconds_bucket{op=\"x\",le=\"1\"} 1\n"
                           "picket_t_seconds_bucket{op=\"x\",le=\"2.5\"} 2\n"
                           "picket_t_seconds_bucket{op=\"x\",le=\"+Inf\"} 3\n"
                           "picket_t_seconds_sum{op=\"x\"} 101.1\npicket_t_seconds_count{op=\"x\"} 3\n"
                           "# HELP picket_t_busy_seconds_total Busy.\n# TYPE picket_t_busy_seconds_total counter\n"
                           "picket_t_busy_seconds_total 1.5\n"
                           "# HELP picket_build_info What is running.\n# TYPE picket_build_info gauge\n"
                           "picket_build_info{program=\"picket-test\",version=\"";
    assert_int_equal(strncmp(text, expected, strlen(expected)), 0);
    for (size_t i = 0; i < 5; i++) {
        static const char *const names[] = {"\nprocess_cpu_seconds_total ", "\nprocess_resident_memory_bytes ",
                                            "\nprocess_open_fds ", "\nprocess_max_fds ",
                                            "\nprocess_start_time_seconds 1"};
        assert_non_null(strstr(text, names[i]));
    }
    assert_null(strstr(text, "# EOF"));
    arena_free(arena);
    metrics_free(metrics);
}

static void text_is_openmetrics_when_asked(void **state) {
    struct metrics *metrics = metrics_new("picket-test");
    struct arena *arena = arena_new(65536, 1 << 20);
    struct metric_table *table;
    assert_int_equal(metrics_add(metrics, rows, 5, &table, NULL), FAULT_NONE);
    const slice text = whole_text(metrics, true, arena);
    const char *expected = "# HELP picket_t_intents Intents, \\\"by\\\" result.\n# TYPE picket_t_intents counter\n"
                           "picket_t_intents_total{result=\"accepted\"} 0\n";
    assert_int_equal(strncmp((const char *)text.data, expected, strlen(expected)), 0);
    assert_non_null(strstr((const char *)text.data, "le=\"1.0\"} 0\n"));
    assert_non_null(strstr((const char *)text.data, "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total "));
    assert_string_equal((const char *)text.data + text.size - 6, "# EOF\n");
    assert_true(metrics_wants_openmetrics(
        SLICE_LIT("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")));
    assert_false(metrics_wants_openmetrics(SLICE_LIT("text/plain")));
    assert_false(metrics_wants_openmetrics((slice){0}));
    arena_free(arena);
    metrics_free(metrics);
}

static void malformed_and_repeated_rows_are_refused(void **state) {
    static const struct {
        struct metric_row rows[3];
        size_t count;
        fault_code code;
    } cases[] = {
        {{METRIC_ROW(GAUGE, "1x", "", "h")}, 1, FAULT_INPUT},
        {{METRIC_ROW(GAUGE, "x", "a=b", "h")}, 1, FAULT_INPUT},
        {{METRIC_ROW(GAUGE, "x", "a=\"b\",", "h")}, 1, FAULT_INPUT},
        {{METRIC_ROW(GAUGE, "x", "a=\"b\\\"", "h")}, 1, FAULT_INPUT},
        {{METRIC_ROW(GAUGE, "x", "a=\"b\\x\"", "h")}, 1, FAULT_INPUT},
        {{METRIC_ROW(COUNTER, "x", "", "h")}, 1, FAULT_INPUT},
        {{METRIC_ROW(GAUGE, "x_total", "", "h")}, 1, FAULT_INPUT},
        {{METRIC_ROW(GAUGE, "x", "", "")}, 1, FAULT_INPUT},
        {{METRIC_ROW(GAUGE, "x", "", "h"), METRIC_ROW(GAUGE, "x", "", "h")}, 2, FAULT_CONFLICT},
        {{METRIC_ROW(GAUGE, "x", "a=\"1\"", "h"), METRIC_ROW(GAUGE, "y", "", "h"), METRIC_ROW(GAUGE, "x", "", "h")},
         3,
         FAULT_CONFLICT},
        {{METRIC_ROW(GAUGE, "picket_t_depth", "a=\"1\"", "h")}, 1, FAULT_CONFLICT},
        {{METRIC_ROW(GAUGE, "x", "a=\"1\",b=\"\\\\ \\n \\\" , =\"", "h"), METRIC_ROW(GAUGE, "x", "", "h")},
         2,
         FAULT_NONE},
    };
    struct metrics *metrics = metrics_new("t");
    struct metric_table *table, *other;
    assert_int_equal(metrics_add(metrics, rows, 5, &table, NULL), FAULT_NONE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fault fault = {0};
        const fault_code code = metrics_add(metrics, cases[i].rows, cases[i].count, &other, &fault);
        if (code != cases[i].code) fail_msg("case %zu: code %d, %s", i, code, fault.text);
    }
    metrics_free(metrics);
}

static void removed_table_leaves_the_text_and_its_names(void **state) {
    struct metrics *metrics = metrics_new("t");
    struct arena *arena = arena_new(65536, 1 << 20);
    struct metric_table *first, *second;
    static const struct metric_row other[] = {METRIC_ROW(GAUGE, "picket_t_other", "", "h")};
    assert_int_equal(metrics_add(metrics, rows, 5, &first, NULL), FAULT_NONE);
    assert_int_equal(metrics_add(metrics, other, 1, &second, NULL), FAULT_NONE);
    assert_null(metrics_remove(metrics, second));
    assert_int_equal(metrics_add(metrics, other, 1, &second, NULL), FAULT_NONE);
    assert_null(metrics_remove(metrics, first));
    const char *text = (const char *)whole_text(metrics, false, arena).data;
    assert_null(strstr(text, "picket_t_intents"));
    assert_non_null(strstr(text, "picket_t_other 0\n"));
    assert_null(metrics_remove(metrics, NULL));
    arena_free(arena);
    metrics_free(metrics);
}

static void text_larger_than_its_arena_is_a_limit(void **state) {
    struct metrics *metrics = metrics_new("t");
    struct arena *arena = arena_new(256, 512);
    slice text;
    struct fault fault;
    assert_int_equal(metrics_text(metrics, false, arena, &text, &fault), FAULT_LIMIT);
    assert_string_equal(fault.text, "metrics text: larger than its memory");
    arena_free(arena);
    metrics_free(metrics);
}

static void *count_a_lot(void *table) {
    for (int i = 0; i < 20000; i++) {
        metric_count(table, ACCEPTED, 1);
        metric_move(table, DEPTH, i % 2 ? -1 : 1);
        metric_observe(table, SECONDS, 0.5);
    }
    return NULL;
}

static void threads_lose_no_count(void **state) {
    struct metrics *metrics = metrics_new("t");
    struct arena *arena = arena_new(65536, 1 << 20);
    struct metric_table *table;
    pthread_t threads[4];
    assert_int_equal(metrics_add(metrics, rows, 5, &table, NULL), FAULT_NONE);
    for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, count_a_lot, table), 0);
    for (int i = 0; i < 20; i++) {
        (void)whole_text(metrics, false, arena);
        arena_reset(arena);
    }
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    const char *text = (const char *)whole_text(metrics, false, arena).data;
    assert_non_null(strstr(text, "{result=\"accepted\"} 80000\n"));
    assert_non_null(strstr(text, "picket_t_depth 0\n"));
    assert_non_null(strstr(text, "picket_t_seconds_sum{op=\"x\"} 40000\n"));
    arena_free(arena);
    metrics_free(metrics);
}

static void label_is_escaped(void **state) {
    struct arena *arena = arena_new(1024, 4096);
    const slice label = metrics_label(arena, "target", SLICE_LIT("a\"b\\c\nd\xff"));
    assert_string_equal((const char *)label.data, "target=\"a\\\"b\\\\c\\nd\xEF\xBF\xBD\"");
    arena_free(arena);
}

static void without_a_registry_nothing_is_counted(void **state) {
    metric_count(NULL, 0, 1);
    metric_set(NULL, 0, 1);
    metric_observe(NULL, 0, 1);
    assert_int_equal(metric_total(NULL, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_prometheus_0_0_4),
        cmocka_unit_test(text_is_openmetrics_when_asked),
        cmocka_unit_test(malformed_and_repeated_rows_are_refused),
        cmocka_unit_test(removed_table_leaves_the_text_and_its_names),
        cmocka_unit_test(text_larger_than_its_arena_is_a_limit),
        cmocka_unit_test(threads_lose_no_count),
        cmocka_unit_test(label_is_escaped),
        cmocka_unit_test(without_a_registry_nothing_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
