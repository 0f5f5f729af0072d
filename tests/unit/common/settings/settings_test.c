/* SPDX-License-Identifier: Apache-2.0 */
#include "common/settings/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>

struct matcher {
    slice label, value;
};
struct target {
    slice url;
    int64_t interval_ms;
    bool probe;
    struct setting_map labels;
    struct {
        struct matcher *items;
        size_t count;
    } matchers;
};
struct values {
    int64_t collect_interval_ms, collect_bytes, retries;
    double factor;
    slice name, path, password;
    int level;
    struct setting_texts hosts;
    struct {
        struct target *items;
        size_t count;
    } targets;
};

static const char *const levels[] = {"error", "warn", "info", NULL};
static const struct setting_row matcher_rows[] = {
    SETTING_ROW(struct matcher, "label", TEXT, label, NULL, "1", "64", "label's name"),
    SETTING_ROW(struct matcher, "value", TEXT, value, "", NULL, NULL, "label's value"),
};
static const struct setting_table matcher_table = SETTING_TABLE("matcher", struct matcher, matcher_rows);
static const struct setting_row target_rows[] = {
    SETTING_ROW(struct target, "url", TEXT, url, NULL, "1", "2048", "where the metrics are"),
    SETTING_ROW(struct target, "scrape.interval", DURATION, interval_ms, "30s", "1s", "1h", "time between two scrapes"),
    SETTING_ROW(struct target, "probe", BOOL, probe, "false", NULL, NULL, "only see whether it answers"),
    SETTING_MAP(struct target, "labels", labels, 2, "added to each series"),
    SETTING_LIST(struct target, "matchers", matchers, &matcher_table, 4, "which series"),
};
static const struct setting_table target_table = SETTING_TABLE("target", struct target, target_rows);
static const struct setting_row rows[] = {
    SETTING_ROW(struct values, "collect.interval", DURATION, collect_interval_ms, "30s", "1s", "1h",
                "time between scrapes"),
    SETTING_ROW(struct values, "collect.body.bytes_max", BYTES, collect_bytes, "16MiB", "1KiB", NULL, "largest body"),
    SETTING_ROW(struct values, "retries", INT, retries, "-3", "-10", "10", "tries"),
    SETTING_ROW(struct values, "factor", DOUBLE, factor, "0.5", "0", "1", "a factor"),
    SETTING_ROW(struct values, "name", TEXT, name, "edge: \"1\"", "1", "16", "a name"),
    SETTING_ROW(struct values, "path", PATH, path, "", NULL, NULL, "a file"),
    SETTING_ROW(struct values, "password", SECRET, password, "", "4", NULL, "a secret"),
    SETTING_ENUM(struct values, "log.level", level, levels, "info", "least level"),
    SETTING_TEXTS(struct values, "hosts", hosts, 3, "names"),
    SETTING_LIST(struct values, "targets", targets, &target_table, 3, "what to scrape"),
};
static const struct setting_table table = SETTING_TABLE("test", struct values, rows);

struct reading {
    struct arena *arena;
    struct settings *settings;
    struct values values;
    struct fault fault;
    fault_code code;
};

static struct reading read_it(const char *yaml, char *const *environment) {
    struct reading reading = {.arena = arena_new(4096, 1 << 20)};
    reading.settings = settings_new(&table, reading.arena);
    struct values *values = arena_alloc(reading.arena, sizeof *values);
    reading.code =
        settings_read_text(reading.settings, "t.yaml", slice_from_text(yaml), environment, values, &reading.fault);
    reading.values = *values;
    return reading;
}

/* Each mistake on a line of its own. */
static void expect_mistakes(const char *yaml, const char *expected) {
    struct reading reading = read_it(yaml, NULL);
    char found[4096] = "";
    size_t size = 0;
    for (size_t i = 0; i < settings_mistakes_count(reading.settings); i++)
        size += (size_t)snprintf(found + size, sizeof found - size, "%s\n", settings_mistake_at(reading.settings, i));
    assert_string_equal(found, expected);
    assert_int_equal(reading.code, *expected ? FAULT_INPUT : FAULT_NONE);
    arena_free(reading.arena);
}

static void empty_file_gives_the_defaults(void **state) {
    struct reading r = read_it("# nothing\n", NULL);
    assert_int_equal(r.code, FAULT_NONE);
    assert_int_equal(r.values.collect_interval_ms, 30000);
    assert_int_equal(r.values.collect_bytes, 16 << 20);
    assert_int_equal(r.values.retries, -3);
    assert_true(r.values.factor == 0.5);
    assert_true(slice_equal_text(r.values.name, "edge: \"1\""));
    assert_null(setting_text(r.values.path));
    assert_non_null(r.values.path.data);
    assert_int_equal(r.values.level, 2);
    assert_int_equal(r.values.targets.count, 0);
    arena_free(r.arena);
}

static void values_nest_and_know_their_lines(void **state) {
    struct arena *arena = arena_new(4096, 1 << 20);
    struct settings *settings = settings_new(&table, arena);
    struct values v;
    struct fault fault;
    static const char yaml[] =
        "collect:\n  interval: 1m30s\n  body: {bytes_max: 2KiB}\nlog: {level: warn}\n"
        "hosts: [a, \"b c\"]\ntargets:\n  - url: http://a/metrics\n    labels: {site: north, n: 1}\n"
        "  - url: http://b/metrics\n    scrape:\n      interval: 5s\n    probe: true\n"
        "    matchers:\n      - label: code\n        value: \"\"\n";
    assert_int_equal(settings_read_text(settings, "t.yaml", SLICE_LIT(yaml), NULL, &v, &fault), FAULT_NONE);
    assert_int_equal(v.collect_interval_ms, 90000);
    assert_int_equal(v.collect_bytes, 2048);
    assert_int_equal(v.level, 1);
    assert_int_equal(v.hosts.count, 2);
    assert_true(slice_equal_text(v.hosts.items[1], "b c"));
    assert_int_equal(v.targets.count, 2);
    assert_true(slice_equal_text(v.targets.items[0].labels.items[0].key, "site"));
    assert_true(slice_equal_text(v.targets.items[0].labels.items[1].value, "1"));
    assert_int_equal(v.targets.items[0].interval_ms, 30000);
    const struct target *second = &v.targets.items[1];
    assert_int_equal(second->interval_ms, 5000);
    assert_true(second->probe);
    assert_string_equal(setting_text(second->matchers.items[0].label), "code");
    assert_int_equal(settings_line(settings, &v.collect_interval_ms), 2);
    assert_int_equal(settings_line(settings, &second->interval_ms), 11);
    assert_int_equal(settings_line(settings, &second->matchers.items[0].value), 15);
    assert_false(settings_given(settings, &second->labels));
    assert_true(settings_given(settings, &v.targets));
    settings_mistake(settings, &second->url, "is not %s", "reachable");
    settings_mistake(settings, &second->labels, "must name a site");
    settings_mistake(settings, NULL, "nothing to do");
    assert_int_equal(settings_result(settings, &fault), FAULT_INPUT);
    assert_string_equal(fault.text, "t.yaml:9: targets[1].url: is not reachable (and 2 more)");
    assert_string_equal(settings_mistake_at(settings, 1), "t.yaml:9: targets[1].labels: must name a site");
    assert_string_equal(settings_mistake_at(settings, 2), "t.yaml: nothing to do");
    arena_free(arena);
}

static void every_mistake_is_told_with_its_line(void **state) {
    expect_mistakes("collect: {interval: 5}\nretries: 11\nfactor: .inf\nname: \"\"\nlog: {level: loud}\npath:\n",
                    "t.yaml:1: collect.interval: '5' is not a duration with its unit, such as 250ms, 30s, 1m30s or 7d\n"
                    "t.yaml:2: retries: '11' is not between -10 and 10\n"
                    "t.yaml:3: factor: '.inf' is not a number\n"
                    "t.yaml:4: name: must not be empty\n"
                    "t.yaml:5: log.level: 'loud' is not one of error, warn, info\n"
                    "t.yaml:6: path: must be a path, has no value\n");
    expect_mistakes("targets:\n- probe: yes\n- [a]\n- url: x\n  matchers: [{value: 1}]\n  labels: {a: 1, b: 2, c: 3}\n",
                    "t.yaml:2: targets[0].probe: 'yes' is not true or false\n"
                    "t.yaml:2: targets[0].url: is required: where the metrics are\n"
                    "t.yaml:3: targets[1]: must be a mapping of keys, such as 'url: ...'\n"
                    "t.yaml:5: targets[2].matchers[0].label: is required: label's name\n"
                    "t.yaml:6: targets[2].labels: has 3 entries, the most is 2\n");
    expect_mistakes("collect: 3\nhosts: a\ntargets: {}\nhosts.x: 1\nfactor: [1]\n",
                    "t.yaml:1: collect: must be a mapping of keys\n"
                    "t.yaml:2: hosts: must be a list of texts, found one value\n"
                    "t.yaml:3: targets: must be a list, found a mapping\n"
                    "t.yaml:4: hosts.x: unknown key; did you mean 'hosts'?\n"
                    "t.yaml:5: factor: must be a number, found a list\n");
    expect_mistakes("- a\n", "t.yaml:1: must be a mapping of keys, such as 'collect.interval: ...'\n");
    expect_mistakes("password: abc\n", "t.yaml:1: password: has 3 bytes, the least is 4\n");
}

static void unknown_keys_are_refused_with_the_nearest(void **state) {
    expect_mistakes("colect: {}\ncollect:\n  intervall: 3s\n  bytes_max: 3\nzzzzzz: 1\n",
                    "t.yaml:1: colect: unknown key; did you mean 'collect'?\n"
                    "t.yaml:3: collect.intervall: unknown key; did you mean 'interval'?\n"
                    "t.yaml:4: collect.bytes_max: unknown key; did you mean 'collect.body.bytes_max'?\n"
                    "t.yaml:5: zzzzzz: unknown key\n");
}

static void what_makes_yaml_mean_more_than_it_shows_is_refused(void **state) {
    expect_mistakes("name: &a x\npath: *a\n",
                    "t.yaml:1: anchors (&name) are not supported: write the value where it is used\n"
                    "t.yaml:2: aliases (*name) are not supported: write the value where it is used\n");
    expect_mistakes("name: !!str 1\n", "t.yaml:1: tags (!name) are not supported\n");
    expect_mistakes("name: a\nname: b\n", "t.yaml:2: 'name' is given twice (first in line 1)\n");
    expect_mistakes("collect: {interval: 2s}\ncollect.interval: 3s\n",
                    "t.yaml:2: collect.interval: is given twice (first in line 1)\n");
    expect_mistakes("name: \"a\\0b\"\n", "t.yaml:1: text may not hold a NUL character\n");
    expect_mistakes("a: [[[[[[[[1]]]]]]]]\n", "t.yaml:1: nested deeper than 8 levels\n");
    expect_mistakes("[a]: b\n", "t.yaml:1: a key must be plain text\n");
    expect_mistakes("name: a\n---\nname: b\n", "t.yaml:2: more documents (---) than are read\n");
    expect_mistakes("name: a\n\tpath: b\n", "t.yaml:2: found a tab character that violates indentation "
                                            "(while scanning a plain scalar, column 1)\n");
    expect_mistakes("name: \xff\n", "t.yaml:1: invalid leading UTF-8 octet (column 1)\n");
}

static void environment_overrides_scalars(void **state) {
    static char *const environment[] = {"HOME=/",
                                        "PICKET_COLLECT_INTERVAL=2s",
                                        "PICKET_COLLECT_BODY_BYTES_MAX=1MB",
                                        "PICKET_NAME=env",
                                        "PICKET_NAMED=no",
                                        "PICKET_URL=else",
                                        NULL};
    struct reading r = read_it("collect: {interval: 9s}\n", environment);
    assert_int_equal(r.code, FAULT_NONE);
    assert_int_equal(r.values.collect_interval_ms, 2000);
    assert_int_equal(r.values.collect_bytes, 1000000);
    assert_true(slice_equal_text(r.values.name, "env"));
    arena_free(r.arena);
    static char *const wrong[] = {"PICKET_LOG_LEVEL=loud", NULL};
    r = read_it("", wrong);
    assert_string_equal(r.fault.text, "environment PICKET_LOG_LEVEL: 'loud' is not one of error, warn, info");
    arena_free(r.arena);
}

static void values_take_from_the_environment(void **state) {
    static char *const environment[] = {
        "NODE_NAME=node-7", "NODE=wrong", "SECONDS_=12", "EMPTY=", "TRICKY=${NODE_NAME}: [", NULL};
    struct reading r = read_it("name: a-${NODE_NAME}\n"
                               "path: $${NODE_NAME}$HOME$\n"
                               "collect: {interval: \"${SECONDS_}s\"}\n"
                               "hosts: [\"${NODE_NAME}\", '${EMPTY}', \"x${TRICKY}\"]\n"
                               "targets: [{url: 'http://${NODE_NAME}:9100', labels: {node: \"${NODE_NAME}\"},\n"
                               "           matchers: [{label: l, value: \"${EMPTY}${NODE_NAME}\"}]}]\n",
                               environment);
    assert_string_equal(r.code ? r.fault.text : "", "");
    assert_true(slice_equal_text(r.values.name, "a-node-7"));
    assert_true(slice_equal_text(r.values.path, "${NODE_NAME}$HOME$"));
    assert_int_equal(r.values.collect_interval_ms, 12000);
    assert_true(slice_equal_text(r.values.hosts.items[0], "node-7"));
    assert_int_equal(r.values.hosts.items[1].size, 0);
    assert_true(slice_equal_text(r.values.hosts.items[2], "x${NODE_NAME}: [")); /* looked at once, and is no YAML */
    assert_true(slice_equal_text(r.values.targets.items[0].url, "http://node-7:9100"));
    assert_string_equal(setting_text(r.values.targets.items[0].labels.items[0].value), "node-7");
    assert_true(slice_equal_text(r.values.targets.items[0].matchers.items[0].value, "node-7"));
    arena_free(r.arena);
}

static void a_variable_that_is_not_there_is_a_mistake_with_its_line(void **state) {
    static char *const environment[] = {"LATIN=\xe9", "BAD=loud", NULL};
    static const struct {
        const char *yaml, *mistake;
    } cases[] = {
        {"name: a\ntargets:\n - url: http://${NODE_NAME}\n",
         "t.yaml:3: targets[0].url: the environment variable NODE_NAME is not set; set it where the program is "
         "started, "
         "or write the value"},
        {"hosts: [a, \"${NO}\"]\n",
         "t.yaml:1: hosts[1]: the environment variable NO is not set; set it where the program is "
         "started, or write the value"},
        {"name: ${LATIN}\n", "t.yaml:1: name: the environment variable LATIN is not UTF-8"},
        {"log: {level: \"${BAD}\"}\n", "t.yaml:1: log.level: 'loud' is not one of error, warn, info"},
        {"name: \"x${\"\n",
         "t.yaml:1: name: '${' begins the name of an environment variable, as in ${NODE_NAME}; write '$${' "
         "for the two characters themselves"},
        {"name: \"${1A}\"\n",
         "t.yaml:1: name: '${' begins the name of an environment variable, as in ${NODE_NAME}; write "
         "'$${' for the two characters themselves"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reading r = read_it(cases[i].yaml, environment);
        assert_int_equal(r.code, FAULT_INPUT);
        assert_string_equal(r.fault.text, cases[i].mistake);
        arena_free(r.arena);
    }
}

static void durations_and_sizes_have_units(void **state) {
    int64_t n;
    static const struct {
        const char *text;
        int64_t ms;
    } durations[] = {{"0", 0}, {"250ms", 250}, {"1h2m3s4ms", 3723004}, {"7d", 604800000}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(setting_parse_duration(slice_from_text(durations[i].text), &n, NULL), FAULT_NONE);
        assert_int_equal(n, durations[i].ms);
    }
    static const char *const not_durations[] = {
        "", "5", "s", "-5s", "1.5s", "5 s", "5s ", "00", "99999999999999999999s", "999999999999999999d", "5y"};
    for (size_t i = 0; i < sizeof not_durations / sizeof *not_durations; i++)
        assert_int_equal(setting_parse_duration(slice_from_text(not_durations[i]), &n, NULL), FAULT_INPUT);
    assert_int_equal(setting_parse_bytes(SLICE_LIT("3GiB"), &n, NULL), FAULT_NONE);
    assert_true(n == INT64_C(3) << 30);
    assert_int_equal(setting_parse_bytes(SLICE_LIT("12"), &n, NULL), FAULT_NONE);
    assert_int_equal(n, 12);
    static const char *const not_sizes[] = {"", "MB", "1 MB", "-1", "1.5MB", "1mb", "9999999999999TiB"};
    for (size_t i = 0; i < sizeof not_sizes / sizeof *not_sizes; i++)
        assert_int_equal(setting_parse_bytes(slice_from_text(not_sizes[i]), &n, NULL), FAULT_INPUT);
}

static void sample_reads_as_the_defaults(void **state) {
    struct arena *arena = arena_new(4096, 1 << 20);
    slice sample;
    assert_int_equal(settings_sample(&table, arena, &sample, NULL), FAULT_NONE);
    struct settings *settings = settings_new(&table, arena);
    struct values v, defaults;
    struct fault fault = {0};
    if (settings_read_text(settings, "sample", sample, NULL, &v, &fault))
        fail_msg("%s in:\n%s", fault.text, (const char *)sample.data);
    assert_true(settings_given(settings, &v.collect_bytes));
    assert_false(settings_given(settings, &v.targets));
    settings = settings_new(&table, arena);
    assert_int_equal(settings_read_text(settings, "none", (slice){0}, NULL, &defaults, &fault), FAULT_NONE);
    assert_int_equal(v.collect_interval_ms, defaults.collect_interval_ms);
    assert_int_equal(v.collect_bytes, defaults.collect_bytes);
    assert_int_equal(v.retries, defaults.retries);
    assert_int_equal(v.level, defaults.level);
    assert_true(slice_equal(v.name, defaults.name));

    /* What is commented out must read too, but for texts that are still empty. */
    char live[8192];
    size_t size = 0;
    for (const char *line = (const char *)sample.data; *line; line = strchr(line, '\n') + 1) {
        if (strncmp(line, "##", 2) == 0) continue;
        line += *line == '#';
        const size_t bytes = (size_t)(strchr(line, '\n') + 1 - line);
        memcpy(live + size, line, bytes);
        size += bytes;
    }
    settings = settings_new(&table, arena);
    assert_int_equal(settings_read_text(settings, "live", slice_of(live, size), NULL, &v, &fault), FAULT_INPUT);
    assert_int_equal(settings_mistakes_count(settings), 3);
    for (size_t i = 0; i < 3; i++)
        if (!strstr(settings_mistake_at(settings, i), ": must not be empty"))
            fail_msg("%s in:\n%.*s", settings_mistake_at(settings, i), (int)size, live);
    assert_int_equal(v.targets.items[0].labels.count, 1);
    arena_free(arena);
}

static void help_and_reference_name_every_row(void **state) {
    struct arena *arena = arena_new(4096, 1 << 20);
    slice help, reference;
    assert_int_equal(settings_help(&table, arena, &help, NULL), FAULT_NONE);
    assert_int_equal(settings_reference(&table, arena, &reference, NULL), FAULT_NONE);
    for (size_t i = 0; i < table.rows_count; i++) {
        assert_non_null(strstr((const char *)help.data, rows[i].key));
        assert_non_null(strstr((const char *)reference.data, rows[i].key));
    }
    assert_non_null(strstr((const char *)reference.data,
                           "| `collect.interval` | duration | `30s` | 1s to 1h | time between scrapes |\n"));
    assert_non_null(strstr((const char *)reference.data, "## Each of `targets[].matchers[]`\n"));
    assert_non_null(strstr((const char *)help.data, "(one of error, warn, info; default info)"));
    arena_free(arena);
}

static void missing_file_and_small_arena_are_told(void **state) {
    struct arena *arena = arena_new(4096, 1 << 20);
    struct settings *settings = settings_new(&table, arena);
    struct values v;
    struct fault fault;
    assert_int_equal(settings_read_file(settings, "/nonexistent/x.yaml", NULL, &v, &fault), FAULT_SYSTEM);
    assert_string_equal(fault.text, "open settings '/nonexistent/x.yaml': No such file or directory");
    arena_free(arena);
    static const char yaml[] =
        "targets:\n- url: http://one.host.example:9100/metrics\n"
        "- url: http://two.host.example:9100/metrics\n- url: http://three.host.example/metrics\n";
    for (size_t bytes = 2000; bytes < 8000; bytes += 64) {
        arena = arena_new(2000, bytes);
        settings = settings_new(&table, arena);
        if (settings) {
            const fault_code code = settings_read_text(settings, "t", SLICE_LIT(yaml), NULL, &v, &fault);
            assert_true(code == FAULT_NONE || code == FAULT_LIMIT);
        }
        arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_file_gives_the_defaults),
        cmocka_unit_test(values_nest_and_know_their_lines),
        cmocka_unit_test(every_mistake_is_told_with_its_line),
        cmocka_unit_test(unknown_keys_are_refused_with_the_nearest),
        cmocka_unit_test(what_makes_yaml_mean_more_than_it_shows_is_refused),
        cmocka_unit_test(environment_overrides_scalars),
        cmocka_unit_test(values_take_from_the_environment),
        cmocka_unit_test(a_variable_that_is_not_there_is_a_mistake_with_its_line),
        cmocka_unit_test(durations_and_sizes_have_units),
        cmocka_unit_test(sample_reads_as_the_defaults),
        cmocka_unit_test(help_and_reference_name_every_row),
        cmocka_unit_test(missing_file_and_small_arena_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
