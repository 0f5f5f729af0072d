/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/collect/prometheus/exposition.h"
#include "common/base/limits.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Selects every name but those that begin with "skip"; writes samples down as text. */
struct record {
    char text[64 * 1024];
    size_t size;
    unsigned lookups;
};

static const void *find_name(void *context, slice name) {
    struct record *record = context;
    record->lookups++;
    return slice_starts_with(name, SLICE_LIT("skip")) ? NULL : record;
}

static void on_sample(void *context, const void *selected, const struct exposition_sample *sample) {
    struct record *record = context;
    assert_ptr_equal(selected, record);
    char *at = record->text + record->size;
    size_t left = sizeof record->text - record->size;
    int wrote = snprintf(at, left, "%.*s", SLICE_ARG(sample->name));
    for (size_t i = 0; i < sample->labels_count; i++)
        wrote += snprintf(at + wrote, left - (size_t)wrote, "[%.*s=%.*s]", SLICE_ARG(sample->labels[i].name),
                          SLICE_ARG(sample->labels[i].value));
    wrote += snprintf(at + wrote, left - (size_t)wrote, " %.17g\n", sample->value);
    record->size += (size_t)wrote;
    assert_true(record->size < sizeof record->text - 1024);
}

static fault_code parse(enum exposition_format format, slice text, size_t piece_bytes, struct record *record,
                        struct exposition_stats *ret_stats, struct fault *reterr) {
    struct exposition *exposition = exposition_new();
    assert_non_null(exposition);
    memset(record, 0, sizeof *record);
    const struct exposition_sink sink = {find_name, on_sample, record};
    exposition_begin(exposition, format, &sink);
    fault_code code = FAULT_NONE;
    for (size_t at = 0; at < text.size && code == FAULT_NONE; at += piece_bytes) {
        /* A copy of just that size, so that AddressSanitizer sees any step outside. */
        const slice piece = slice_first(slice_from(text, at), piece_bytes);
        uint8_t *copy = malloc(piece.size);
        memcpy(copy, piece.data, piece.size);
        code = exposition_feed(exposition, slice_of(copy, piece.size), reterr);
        free(copy);
    }
    if (code == FAULT_NONE) code = exposition_end(exposition, reterr);
    if (ret_stats) exposition_stats(exposition, ret_stats);
    exposition_free(exposition);
    return code;
}

static void accepts(enum exposition_format format, const char *text, const char *expected) {
    for (size_t piece = 1; piece <= 40; piece += 3) {
        struct record record;
        struct fault fault = {0};
        const fault_code code = parse(format, slice_from_text(text), piece, &record, NULL, &fault);
        if (code) fail_msg("'%s': %s", text, fault.text);
        assert_string_equal(record.text, expected);
    }
}

static void refuses(enum exposition_format format, slice text, fault_code expected, const char *words) {
    for (size_t piece = 1; piece <= 40; piece += 3) {
        struct record record;
        struct fault fault = {0};
        const fault_code code = parse(format, text, piece, &record, NULL, &fault);
        if (code != expected) fail_msg("'%.*s': code %d '%s'", SLICE_ARG(text), (int)code, fault.text);
        if (strstr(fault.text, words) == NULL) fail_msg("'%s' does not say '%s'", fault.text, words);
    }
}

static void text_refuses(const char *text, const char *words) {
    refuses(EXPOSITION_TEXT, slice_from_text(text), FAULT_INPUT, words);
}

static void open_refuses(const char *text, const char *words) {
    refuses(EXPOSITION_OPENMETRICS, slice_from_text(text), FAULT_INPUT, words);
}

static void text_lines_are_read_as_the_reference_reads_them(void **state) {
    accepts(EXPOSITION_TEXT, "a 1\nb{} 2\nc{x=\"1\",y=\"2\"} 3\n", "a 1\nb 2\nc[x=1][y=2] 3\n");
    accepts(EXPOSITION_TEXT, "a { x = \"1\" , y=\"2\" ,\t} 8.5\n", "a[x=1][y=2] 8.5\n");
    accepts(EXPOSITION_TEXT, "a{x=\"1\" y=\"2\"} 1 \n", "a[x=1][y=2] 1\n");
    accepts(EXPOSITION_TEXT, "a{x=\"1\"}7\n", "a[x=1] 7\n");
    accepts(EXPOSITION_TEXT, "\n \n  a\t1 1234567890123 \n#\n# TYPE x\n#HELP\n", "a 1\n");
    accepts(EXPOSITION_TEXT, "a 1\nskip 2\na 3\n", "a 1\na 3\n");
    accepts(EXPOSITION_TEXT, "a{x=\"\\\"q\\\" \\\\ \\n \\d\"} 1\n", "a[x=\"q\" \\ \n \\d] 1\n");
    accepts(EXPOSITION_TEXT, "{\"my.metric\",\"a.b\"=\"c\"} 1\n{\"skip.it\"} 2\n{d=\"e\",\"x\"} 3\n",
            "my.metric[a.b=c] 1\nx[d=e] 3\n");
    accepts(EXPOSITION_TEXT, "a NaN\na +Inf\na -inf\na -0\na .5\na 5.\na 1e-3\na 1E+3\n",
            "a nan\na inf\na -inf\na -0\na 0.5\na 5\na 0.001\na 1000\n");
    accepts(EXPOSITION_TEXT, "a{x=\"\xc3\xa9\xf0\x9f\x98\x80\"} 1\n", "a[x=\xc3\xa9\xf0\x9f\x98\x80] 1\n");
    accepts(EXPOSITION_TEXT, "", "");
}

static void text_lines_that_are_wrong_are_refused_with_their_place(void **state) {
    text_refuses("ok 1\na", "line 2, column 2: expected a value");
    text_refuses("a{b='c'} 1\n", "line 1, column 5: expected a label value in double quotes, found '''");
    text_refuses("a{b=\"c\"\n", "expected a label name or '}', found the end of the line");
    text_refuses("a{b=\"c\n", "expected a closing '\"', found the end of the line");
    text_refuses("a{b=\"c\\\n", "a character after the backslash");
    text_refuses("a{b=\"\xff\"} 1\n", "valid UTF-8");
    text_refuses("a{b=\"\xed\xa0\x80\"} 1\n", "valid UTF-8");
    text_refuses("a 1_2\n", "expected a value");
    text_refuses("a 0x10\n", "expected a value");
    text_refuses("a 1e400\n", "expected a value");
    text_refuses("a 1 2x\n", "the end of the line after the timestamp");
    text_refuses("a 1 2 3\n", "the end of the line after the timestamp");
    text_refuses("a 1\r\n", "carriage return");
    text_refuses("<html>\n", "line 1, column 1: expected a metric name, found '<'");
    text_refuses("{a=\"b\"} 1\n", "a metric name inside the braces");
    text_refuses("a{\"b\"} 1\n", "one metric name");
    text_refuses("a{x=\"1\",x=\"2\"} 1\n", "label 'x' is given twice");
    text_refuses("a{,x=\"1\"} 1\n", "expected a label name");
    text_refuses("a{x=\"1\",,} 1\n", "expected a label name");
    refuses(EXPOSITION_TEXT, slice_of("a\0 1\n", 5), FAULT_INPUT, "byte 0x00");
}

/* An exporter that is killed while it answers without a length ends its answer like one that is done. */
static void a_last_line_without_its_newline_was_cut_short(void **state) {
    text_refuses("a 1\na 12", "line 2: expected a newline at its end, found the end: the answer was cut short");
    text_refuses("a 1\nskip 12", "line 2: expected a newline");
    text_refuses("# TYP", "line 1: expected a newline");
    accepts(EXPOSITION_OPENMETRICS, "a 1\n# EOF", "a 1\n");
}

static void a_nul_in_a_label_value_is_legal(void **state) {
    struct record record;
    struct fault fault = {0};
    assert_int_equal(parse(EXPOSITION_TEXT, slice_of("a{x=\"1\0002\"} 1\n", 13), 5, &record, NULL, &fault), FAULT_NONE);
}

static void skipped_lines_are_counted_and_not_looked_at(void **state) {
    struct record record;
    struct exposition_stats stats;
    struct fault fault = {0};
    const char *text = "# c\nskip{\n\nskip}}} \xff\nskip_other\nskipped 1\nskip 2\na 1\nskip\n";
    assert_int_equal(parse(EXPOSITION_TEXT, slice_from_text(text), 7, &record, &stats, &fault), FAULT_NONE);
    assert_string_equal(record.text, "a 1\n");
    assert_int_equal(stats.samples, 7);
    assert_int_equal(stats.selected, 1);
    assert_int_equal(stats.lines, 9);
    assert_int_equal(stats.bytes, strlen(text));
}

static void a_name_is_looked_up_once_per_run_of_lines(void **state) {
    struct record record;
    struct fault fault = {0};
    const char *text = "skip{a=\"1\"} 1\nskip{a=\"2\"} 1\nskip{a=\"3\"} 1\na 1\na 2\na{x=\"1\"} 3\n";
    assert_int_equal(parse(EXPOSITION_TEXT, slice_from_text(text), 1000, &record, NULL, &fault), FAULT_NONE);
    assert_int_equal(record.lookups, 2);
}

static void openmetrics_is_read(void **state) {
    accepts(EXPOSITION_OPENMETRICS, "# TYPE a counter\na_total 1 1520879607.789 # {id=\"x\"} 5\n# EOF\n",
            "a_total 1\n");
    accepts(EXPOSITION_OPENMETRICS, "a_bucket{le=\"+Inf\"} 1 # {id=\"x\",y=\"z\"} 4 123.1\n# EOF",
            "a_bucket[le=+Inf] 1\n");
    accepts(EXPOSITION_OPENMETRICS, "a_total 1 # {} 4\n{\"x.y\",} nan 2\n# EOF", "a_total 1\nx.y nan\n");
}

static void openmetrics_is_strict(void **state) {
    open_refuses("a 1\n", "expected '# EOF'");
    open_refuses("# EOF\na 1\n", "expected the end after '# EOF'");
    open_refuses("# EOF\n\n", "expected the end after '# EOF'");
    open_refuses("a 1\n\n# EOF\n", "line 2, column 1: expected a sample");
    open_refuses("a  1\n# EOF\n", "expected a value");
    open_refuses("a\t1\n# EOF\n", "expected '{' or a blank");
    open_refuses(" a 1\n# EOF\n", "expected a metric name");
    open_refuses("a 1 \n# EOF\n", "a timestamp in seconds");
    open_refuses("a 1 NaN\n# EOF\n", "a timestamp in seconds that is a time");
    open_refuses("a{x=\"1\" y=\"2\"} 1\n# EOF\n", "expected ',' or '}'");
    open_refuses("a 1 # {\"x\"} 1\n# EOF\n", "expected '='");
    open_refuses("a 1 # {x=\"1\"}\n# EOF\n", "a space and the exemplar's value");
    open_refuses("a 1\r\n# EOF\n", "carriage return");
}

static void lines_and_label_sets_are_bounded(void **state) {
    const size_t size = LIMIT_EXPOSITION_LINE_BYTES + 100;
    char *text = malloc(size);
    memset(text, 'x', size);
    memcpy(text, "skip ", 5);
    refuses(EXPOSITION_TEXT, slice_of(text, size), FAULT_LIMIT, "LIMIT_EXPOSITION_LINE_BYTES");
    text[size - 1] = '\n';
    struct record record;
    struct fault fault = {0};
    assert_int_equal(parse(EXPOSITION_TEXT, slice_of(text, size), size, &record, NULL, &fault), FAULT_LIMIT);
    text[LIMIT_EXPOSITION_LINE_BYTES] = '\n';
    assert_int_equal(
        parse(EXPOSITION_TEXT, slice_of(text, LIMIT_EXPOSITION_LINE_BYTES + 1), 999, &record, NULL, &fault),
        FAULT_NONE);
    char *at = text + snprintf(text, size, "a{");
    for (int i = 0; i <= LIMIT_LABELS_PER_SERIES; i++) at += snprintf(at, 32, "l%d=\"v\",", i);
    snprintf(at, 8, "} 1\n");
    refuses(EXPOSITION_TEXT, slice_from_text(text), FAULT_LIMIT, "LIMIT_LABELS_PER_SERIES");
    free(text);
}

static void numbers_are_rounded_as_strtod_rounds(void **state) {
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 300000; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        char text[64];
        double value, expected;
        memcpy(&value, &seed, sizeof value);
        if (i % 3 == 0 && isfinite(value))
            snprintf(text, sizeof text, "%.*g", 1 + (int)(seed % 17), value);
        else if (i % 3 == 1)
            snprintf(text, sizeof text, "%llu.%llu", (unsigned long long)(seed >> 40),
                     (unsigned long long)(seed & 0xffff));
        else
            snprintf(text, sizeof text, "%llde%d", (long long)(int64_t)(seed >> (seed % 60)), (int)(seed % 50) - 25);
        expected = strtod(text, NULL);
        if (!exposition_number(slice_from_text(text), &value)) {
            if (isfinite(expected)) fail_msg("'%s' was refused", text);
        } else if (memcmp(&value, &expected, sizeof value) != 0) {
            fail_msg("'%s' is %.17g, not %.17g", text, expected, value);
        }
    }
    static const char *const wrong[] = {"",        "+",     "-",   ".",  "e5", "1e", "1e+", "1.2.3", "+nan", "-nan",
                                        "infinit", "0x1p3", "1_0", "1 ", " 1", "1f", "++1", "1e5.5", "1e309"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        double value;
        if (exposition_number(slice_from_text(wrong[i]), &value)) fail_msg("'%s' was taken", wrong[i]);
    }
}

static void content_types_choose_the_format(void **state) {
    struct fault fault;
    enum exposition_format format = EXPOSITION_OPENMETRICS;
    assert_int_equal(
        exposition_format_of(SLICE_LIT("text/plain; version=0.0.4; charset=utf-8"), EXPOSITION_NONE, &format, &fault),
        0);
    assert_int_equal(format, EXPOSITION_TEXT);
    assert_int_equal(exposition_format_of(SLICE_LIT("Application/OpenMetrics-Text; version=1.0.0"), EXPOSITION_NONE,
                                          &format, &fault),
                     0);
    assert_int_equal(format, EXPOSITION_OPENMETRICS);
    assert_int_equal(exposition_format_of(SLICE_LIT("text/html"), EXPOSITION_NONE, &format, &fault), FAULT_INPUT);
    assert_int_equal(exposition_format_of(SLICE_LIT(""), EXPOSITION_NONE, &format, &fault), FAULT_INPUT);
    assert_non_null(strstr(fault.text, "fallback_format"));
    assert_int_equal(exposition_format_of(SLICE_LIT(""), EXPOSITION_TEXT, &format, &fault), FAULT_NONE);
    assert_int_equal(format, EXPOSITION_TEXT);
    assert_int_equal(exposition_format_of(SLICE_LIT("text/html"), EXPOSITION_OPENMETRICS, &format, &fault), FAULT_NONE);
    assert_int_equal(format, EXPOSITION_OPENMETRICS);
    const slice protobuf = SLICE_LIT("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily");
    assert_int_equal(exposition_format_of(protobuf, EXPOSITION_TEXT, &format, &fault), FAULT_INPUT);
}

/* Every type of OpenMetrics, with what stands beside its samples; only what is asked for by its name comes through. */
static void what_stands_beside_samples_never_counts(void **state) {
    static const char text[] =
        "# TYPE a counter\n# UNIT a seconds\n# HELP a Of events.\n"
        "a_total{x=\"1\"} 7 1.5e9 # {trace_id=\"0af7651916cd43dd\",a=\"a_total 99\"} 0.5 1.6e9\na_created{x=\"1\"} "
        "1.5e9\n"
        "# TYPE h histogram\n"
        "h_bucket{le=\"0.1\"} 8 # {} 0.054\nh_bucket{le=\"1.0\"} 10 # {trace_id=\"a\"} 0.67 1.5e9\n"
        "h_bucket{le=\"+Inf\"} 17\nh_count 17\nh_sum 324789.3\nh_created 1.5e9\n"
        "# TYPE n histogram\n"
        "n {count:12,sum:100.0,schema:0,zero_threshold:1e-4,zero_count:0} st@1.5e9 # {} 3\n"
        "n{x=\"1\"} {count:2,sum:1.0}\na_total {count:5,sum:1.0}\n"
        "# TYPE g gaugehistogram\ng_bucket{le=\"+Inf\"} 3\ng_gcount 3\ng_gsum -2\n"
        "# TYPE s stateset\ns{s=\"a\"} 1\ns{s=\"b\"} 0\n# TYPE i info\ni_info{version=\"1\"} 1\n"
        "# TYPE q summary\nq{quantile=\"0.99\"} 2\nq_count 5\nq_sum 6\nq_created 1.5e9\n"
        "# TYPE u unknown\nu -1\n{\"my.metric\",\"a.b\"=\"c\"} 4 # {\"x.y\"=\"z\"} 1\n# EOF\n";
    accepts(EXPOSITION_OPENMETRICS, text,
            "a_total[x=1] 7\na_created[x=1] 1500000000\nh_bucket[le=0.1] 8\nh_bucket[le=1.0] 10\n"
            "h_bucket[le=+Inf] 17\nh_count 17\nh_sum 324789.29999999999\nh_created 1500000000\n"
            "g_bucket[le=+Inf] 3\ng_gcount 3\ng_gsum -2\ns[s=a] 1\ns[s=b] 0\ni_info[version=1] 1\n"
            "q[quantile=0.99] 2\nq_count 5\nq_sum 6\nq_created 1500000000\nu -1\nmy.metric[a.b=c] 4\n");
    struct record record;
    struct fault fault = {0};
    struct exposition_stats stats;
    assert_int_equal(parse(EXPOSITION_OPENMETRICS, slice_from_text(text), 9, &record, &stats, &fault), FAULT_NONE);
    assert_int_equal(stats.samples, 20);
    open_refuses("n {sum:1.0}\n# EOF\n", "a value (a decimal number");
    text_refuses("n {count:1}\n", "'=' after the label name");
}

static FILE *fixture_open(const char *name) {
    static const char *const places[] = {"../shared", "../../shared"};
    for (size_t i = 0; i < 2; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/contracts/fixtures/exposition/%s", places[i], name);
        FILE *file = fopen(path, "rb");
        if (file) return file;
    }
    return NULL;
}

static void recorded_expositions_are_read_whole(void **state) {
    static const char *const names[] = {"alertmanager.prom",
                                        "blackbox-probe-ok.prom",
                                        "coredns-1.14-excerpt.prom",
                                        "dotnet.prom",
                                        "etcd.prom",
                                        "expfmt-text.prom",
                                        "histogram-le-as-1.0.prom",
                                        "kube-state-metrics-2.19-excerpt.prom",
                                        "micrometer-trailing-commas.prom",
                                        "node.prom",
                                        "om-1histogram.om",
                                        "om-alltypes-5families.om",
                                        "parser-mixed.om",
                                        "parser-mixed.prom",
                                        "process.prom",
                                        "prometheus-engine-nan-summary.prom",
                                        "promtool-metrics-test.prom",
                                        "untyped-negative-exponent.prom"};
    unsigned read = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        FILE *file = fixture_open(names[i]);
        if (file == NULL) continue;
        static char text[1024 * 1024];
        const size_t size = fread(text, 1, sizeof text, file);
        fclose(file);
        const bool open = strstr(names[i], ".om") != NULL;
        size_t samples = 0;
        for (const char *line = text; line < text + size;
             line = (const char *)memchr(line, '\n', (size_t)(text + size - line)) + 1) {
            samples += *line != '#' && *line != '\n';
            if (!memchr(line, '\n', (size_t)(text + size - line))) break;
        }
        static const size_t pieces[] = {8000, 17, 1};
        for (size_t j = 0; j < 3; j++) {
            static struct record record;
            struct exposition *exposition = exposition_new();
            record.size = 0;
            const struct exposition_sink sink = {find_name, on_sample, &record};
            exposition_begin(exposition, open ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT, &sink);
            struct fault fault = {0};
            for (size_t at = 0; at < size; at += pieces[j]) {
                const slice piece = slice_first(slice_from(slice_of(text, size), at), pieces[j]);
                if (exposition_feed(exposition, piece, &fault)) fail_msg("%s: %s", names[i], fault.text);
                record.size = 0;
            }
            if (exposition_end(exposition, &fault)) fail_msg("%s: %s", names[i], fault.text);
            struct exposition_stats stats;
            exposition_stats(exposition, &stats);
            assert_int_equal(stats.samples, samples);
            assert_int_equal(stats.selected, samples);
            exposition_free(exposition);
        }
        read++;
    }
    if (read == 0) {
        print_message("skipped: no recorded expositions beside this checkout (../shared/contracts/fixtures)\n");
        skip();
    }
}

static void what_the_reference_refuses_is_refused(void **state) {
    /* From the reference's promparse_test.go; those in comments ("# TYPE #") are not read here. */
    static const char *const texts[] = {"a",
                                        "a{b='c'} 1\n",
                                        "a{b=\n",
                                        "a{\xff=\"foo\"} 1\n",
                                        "a{b=\"\xff\"} 1\n",
                                        "{\"a\", \"b = \"c\"}",
                                        "{\"a\",b\\nc=\"d\"} 1",
                                        "a true\n",
                                        "something_weird{problem=\"",
                                        "empty_label_name{=\"\"} 0",
                                        "{A}0",
                                        "foo 1_2\n",
                                        "foo 0x1p-3\n",
                                        "foo 0x1P-3\n",
                                        "foo 0 1_2\n",
                                        "{a=\"ok\"} 1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) text_refuses(texts[i], "line 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines_are_read_as_the_reference_reads_them),
        cmocka_unit_test(text_lines_that_are_wrong_are_refused_with_their_place),
        cmocka_unit_test(a_last_line_without_its_newline_was_cut_short),
        cmocka_unit_test(a_nul_in_a_label_value_is_legal),
        cmocka_unit_test(skipped_lines_are_counted_and_not_looked_at),
        cmocka_unit_test(a_name_is_looked_up_once_per_run_of_lines),
        cmocka_unit_test(openmetrics_is_read),
        cmocka_unit_test(openmetrics_is_strict),
        cmocka_unit_test(lines_and_label_sets_are_bounded),
        cmocka_unit_test(numbers_are_rounded_as_strtod_rounds),
        cmocka_unit_test(content_types_choose_the_format),
        cmocka_unit_test(what_stands_beside_samples_never_counts),
        cmocka_unit_test(recorded_expositions_are_read_whole),
        cmocka_unit_test(what_the_reference_refuses_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
