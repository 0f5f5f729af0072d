/* SPDX-License-Identifier: Apache-2.0
 * Each format with good and with bad files: what becomes of them, and what is said of what does not. */
#include "tests/support/check.h"

#include "aggregator/ctl/ctl_documents.h"
#include "aggregator/ctl/import/import.h"
#include "aggregator/ctl/import/import_promql.h"

static bool fits(void *context, const struct import_object *object, struct fault *reterr) {
    struct ctl_document document = {.kind = ctl_kind_find(slice_from_text(object->kind)), .command = object->command};
    return ctl_document_check(&document, context, reterr) == FAULT_NONE;
}

/* All objects as "Kind id JSON", all notes as "skipped f:1: what: why", a line each; what the contract refuses says so. */
static const char *imported_by(struct arena *arena, const char *format, const char *owner, const char *const *texts) {
    struct import import = {.arena = arena, .owner = owner, .fits = fits, .context = arena};
    const struct import_format *row = import_format_find(format);
    assert_non_null(row);
    for (size_t i = 0; texts[i]; i++)
        import_read(&import, row, (const char *)arena_format(arena, "f%zu.md", i + 1).data, slice_from_text(texts[i]));
    struct fault fault = {0};
    CHECK_OK(import_finish(&import, row, &fault));
    struct text text = text_begin(arena);
    for (size_t i = 0; i < import.objects_count; i++) {
        const struct import_object *object = &import.objects[i];
        struct ctl_document document = {.kind = ctl_kind_find(slice_from_text(object->kind)),
                                        .command = object->command};
        if (ctl_document_check(&document, arena, &fault))
            text_format(&text, "refused %.*s: %s\n", SLICE_ARG(object->id), fault.text);
        else {
            CHECK_SLICE(document.id, (const char *)arena_copy(arena, object->id).data);
            text_format(&text, "%s %.*s\n", object->kind, SLICE_ARG(document.command));
        }
    }
    for (size_t i = 0; i < import.notes_count; i++) {
        const struct import_note *note = &import.notes[i];
        text_format(&text, "%s %s:%d: %.*s: %.*s\n", note->kind == IMPORT_FAILED ? "failed" : "skipped", note->file,
                    note->line, SLICE_ARG(note->what), SLICE_ARG(note->why));
    }
    slice whole;
    CHECK_OK(text_end(&text, "what was imported", &whole, &fault));
    return (const char *)whole.data;
}

static const char *imported(struct arena *arena, const char *format, const char *text) {
    const char *const texts[] = {text, NULL};
    return imported_by(arena, format, NULL, texts);
}

#define SLO_HEAD                                                                                                       \
    "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec:\n  service: shop\n"                                 \
    "  budgetingMethod: Occurrences\n  timeWindow: [{duration: 28d, isRolling: true}]\n"
#define SOURCE(query) "{metricSource: {type: Prometheus, spec: {query: '" query "'}}}"

TEST(an_slo_of_openslo_becomes_one_of_ours) {
    struct arena *arena = arena_new(65536, 1 << 26);
    assert_string_equal(
        imported(arena, "openslo",
                 SLO_HEAD
                 "  objectives: [{target: 0.999}]\n  indicator:\n    metadata: {name: i}\n    spec:\n"
                 "      ratioMetric:\n        counter: true\n        good: " SOURCE(
                     "sum(rate(ok_total{a=\"b\", c!~\"d\"}[5m]))") "\n        total: " SOURCE("all_total") "\n"),
        "SLO "
        "{\"sloId\":\"a\",\"name\":\"a\",\"target\":99.9,\"window\":\"SLO_WINDOW_28D\",\"sliSpec\":{\"counterRatio\":{"
        "\"goodSelector\":\"ok_total{a=\\\"b\\\",c!~\\\"d\\\"}\",\"totalSelector\":\"all_total\"}},\"serviceId\":"
        "\"shop\","
        "\"budgetingMethod\":\"BUDGETING_METHOD_OCCURRENCES\"}\n");
    arena_free(arena);
}

TEST(each_objective_becomes_an_slo_and_the_indicator_may_stand_behind_it) {
    struct arena *arena = arena_new(65536, 1 << 26);
    static const char *const texts[] = {
        "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: lag, displayName: Lag, labels: {tier: one}}\nspec:\n"
        "  description: d\n  service: shop\n  indicatorRef: lag-now\n  budgetingMethod: Timeslices\n"
        "  timeWindow: [{duration: 1M, isRolling: false, calendar: {startTime: '2026-01-01 00:00:00', timeZone: "
        "UTC}}]\n"
        "  objectives:\n"
        "    - {displayName: Fast enough, op: lte, value: 2.5, target: 0.95, timeSliceTarget: 0.9, timeSliceWindow: "
        "5m}\n"
        "    - {op: lt, value: 10, targetPercent: 99.5, timeSliceTarget: 1, timeSliceWindow: 1m}\n",
        "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: prom}\nspec: {type: prometheus, connectionDetails: "
        "{}}\n---\n"
        "apiVersion: openslo/v1\nkind: SLI\nmetadata: {name: lag-now}\nspec:\n  thresholdMetric:\n"
        "    metricSource: {metricSourceRef: prom, spec: {query: 'max(lag_seconds)'}}\n",
        NULL};
    assert_string_equal(
        imported_by(arena, "openslo", "team-a", texts),
        "SLO {\"sloId\":\"lag-fast-enough\",\"name\":\"Lag: Fast enough\",\"description\":\"d\",\"target\":95.0,"
        "\"window\":\"SLO_WINDOW_CALENDAR_MONTH\",\"sliSpec\":{\"gaugeThreshold\":{\"selector\":\"lag_seconds\","
        "\"comparison\":\"COMPARISON_LESS_OR_EQUAL\",\"threshold\":2.5},\"windowSeconds\":300},\"owner\":\"team-a\","
        "\"serviceId\":\"shop\",\"labels\":{\"tier\":\"one\"},\"budgetingMethod\":\"BUDGETING_METHOD_TIMESLICES\","
        "\"timeSliceTarget\":90.0}\n"
        "SLO {\"sloId\":\"lag-2\",\"name\":\"Lag\",\"description\":\"d\",\"target\":99.5,"
        "\"window\":\"SLO_WINDOW_CALENDAR_MONTH\",\"sliSpec\":{\"gaugeThreshold\":{\"selector\":\"lag_seconds\","
        "\"comparison\":\"COMPARISON_LESS\",\"threshold\":10.0},\"windowSeconds\":60},\"owner\":\"team-a\","
        "\"serviceId\":\"shop\",\"labels\":{\"tier\":\"one\"},\"budgetingMethod\":\"BUDGETING_METHOD_TIMESLICES\","
        "\"timeSliceTarget\":100.0}\n");
    arena_free(arena);
}

TEST(what_openslo_says_and_we_do_not_keep_is_said) {
    static const struct {
        const char *rest, *said;
    } cases[] = {
        {"  indicator: {metadata: {name: i}, spec: {ratioMetric: {good: " SOURCE(
             "sum by (pod) (rate(x[5m]))") ", total: " SOURCE("y") "}}}\n  objectives: [{target: 0.9}]\n",
         "failed f1.md:8: a: good: 'by (...)' makes several series of it: an SLO has one; make an SLO for each, or "
         "count "
         "them together\n"},
        {"  indicator: {metadata: {name: i}, spec: {ratioMetric: {rawType: success, raw: " SOURCE(
             "x") "}}}\n"
                  "  objectives: [{target: 0.9}]\n",
         "failed f1.md:8: a: a raw ratio has no counts of events: give good (or bad) and total\n"},
        {"  indicator: {metadata: {name: i}, spec: {thresholdMetric: " SOURCE(
             "histogram_quantile(0.9, x)") "}}\n"
                                           "  objectives: [{target: 0.9, op: lte, value: 1}]\n",
         "failed f1.md:8: a: thresholdMetric: histogram_quantile() is not what an agent can count: write a ratio of "
         "the "
         "bucket at the threshold over _count instead\n"},
        {"  indicator: {metadata: {name: i}, spec: {ratioMetric: {good: {metricSource: {type: Datadog, spec: {query: "
         "x}}}, "
         "total: " SOURCE("y") "}}}\n  objectives: [{target: 0.9}]\n",
         "failed f1.md:8: a: good: metricSource is of type 'Datadog', not Prometheus\n"},
        {"  indicatorRef: nowhere\n  objectives: [{target: 0.9}]\n",
         "failed f1.md:1: a: indicatorRef: no SLI 'nowhere' stands in these files\n"},
        {"  objectives: []\n", "failed f1.md:1: a: spec.objectives is missing\n"},
        {"  indicator: {metadata: {name: i}, spec: {ratioMetric: {bad: " SOURCE("x") ", total: " SOURCE(
             "y") "}}}\n"
                  "  objectives: [{target: 1.0}]\n",
         "refused a: target: must be above 0 and below 100, is 100\n"},
        {"  indicator: {metadata: {name: i}, spec: {ratioMetric: {bad: " SOURCE("x") ", total: " SOURCE(
             "y") "}}}\n"
                  "  objectives: [{target: 0.9, compositeWeight: 2}]\n",
         "failed f1.md:9: a: compositeWeight: a composite of several indicators is not kept; write an SLO for each\n"},
    };
    struct arena *arena = arena_new(65536, 1 << 26);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const slice text = arena_format(arena, "%s%s", SLO_HEAD, cases[i].rest);
        assert_string_equal(imported(arena, "openslo", (const char *)text.data), cases[i].said);
    }
    arena_free(arena);
}

TEST(a_window_that_is_not_kept_is_not_taken_for_another) {
    static const struct {
        const char *window, *why; /* NULL: kept */
    } cases[] = {
        {"{duration: 4w, isRolling: true}", NULL},
        {"{duration: 1w, isRolling: false, calendar: {startTime: '2026-01-05 00:00:00', timeZone: UTC}}", NULL},
        {"{duration: 1Q, isRolling: false, calendar: {startTime: '2026-04-01 00:00:00', timeZone: UTC}}", NULL},
        {"{duration: 1Y, isRolling: false, calendar: {startTime: '2026-01-01 00:00:00', timeZone: Etc/UTC}}", NULL},
        {"{duration: 90d, isRolling: true}",
         "timeWindow: '90d' rolling is not kept: 7d, 28d and 30d roll; 1w, 1M, 1Q and 1Y follow the calendar"},
        {"{duration: 1M, isRolling: true}",
         "timeWindow: '1M' rolling is not kept: 7d, 28d and 30d roll; 1w, 1M, 1Q and 1Y follow the calendar"},
        {"{duration: 1w, isRolling: false, calendar: {startTime: '2026-01-06 00:00:00', timeZone: UTC}}",
         "timeWindow: weeks begin on Monday"},
        {"{duration: 1M, isRolling: false, calendar: {startTime: '2026-01-01 00:00:00', timeZone: Europe/Paris}}",
         "timeWindow: periods are aligned to the calendar in UTC: write `timeZone: UTC`"},
        {"{duration: 1M, isRolling: false, calendar: {startTime: '2026-01-15 00:00:00', timeZone: UTC}}",
         "timeWindow: periods begin on the first of a month"},
        {"{duration: 1Q, isRolling: false, calendar: {startTime: '2026-02-01 00:00:00', timeZone: UTC}}",
         "timeWindow: quarters begin in January, April, July and October"},
        {"{duration: 1Y, isRolling: false, calendar: {startTime: '2026-04-01 00:00:00', timeZone: UTC}}",
         "timeWindow: years begin in January"},
        {"{duration: 1M, isRolling: false, calendar: {startTime: '2026-01-01 06:00:00', timeZone: UTC}}",
         "timeWindow: periods begin at 00:00:00"},
        {"{duration: 1M, isRolling: false, calendar: {startTime: soon, timeZone: UTC}}",
         "timeWindow: calendar.startTime is not of the form 2026-01-01 00:00:00"},
    };
    struct arena *arena = arena_new(65536, 1 << 26);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const slice text = arena_format(
            arena,
            "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec:\n  service: s\n  budgetingMethod: "
            "Occurrences\n  timeWindow: [%s]\n  objectives: [{target: 0.9}]\n  indicator: {metadata: {name: i}, spec: "
            "{ratioMetric: {good: " SOURCE("x") ", total: " SOURCE("y") "}}}\n",
            cases[i].window);
        const char *said = imported(arena, "openslo", (const char *)text.data);
        if (cases[i].why)
            assert_string_equal(said, (const char *)arena_format(arena, "failed f1.md:7: a: %s\n", cases[i].why).data);
        else if (strncmp(said, "SLO ", 4) != 0)
            fail_msg("%s: %s", cases[i].window, said);
    }
    arena_free(arena);
}

TEST(queries_that_say_more_than_a_selector_are_refused) {
    static const struct {
        const char *query, *selector; /* begins with !: the reason */
    } cases[] = {
        {"up", "up"},
        {" sum( rate ( up{ job = \"a\" , } [5m] ) ) ", "up{job=\"a\"}"},
        {"(increase(a:b{c=~'d}'}[$__range]))", "a:b{c=~'d}'}"},
        {"{__name__=\"up\"}", "{__name__=\"up\"}"},
        {"sum(\n  rate(up[{{.window}}])\n) # all", "up"},
        {"rate(up)", "!a range such as [5m] is expected where ')' stands"},
        {"up[5m]", "!a range stands without rate() or increase() around it"},
        {"rate(up[5m:1m])", "!a subquery is not what an agent can count"},
        {"sum(up) by (job)",
         "!'by (...)' makes several series of it: an SLO has one; make an SLO for each, or count them "
         "together"},
        {"up offset 5m", "!an agent measures now: no offset and no @"},
        {"up @ 5", "!an agent measures now: no offset and no @"},
        {"up - down", "!nothing more (one selector is counted) is expected where '- down' stands"},
        {"up or vector(0)", "!nothing more (one selector is counted) is expected where 'or vector(0)' stands"},
        {"avg(up)", "!avg() is not what an agent can count: a selector, rate, increase and sum are"},
        {"max(up)", "!max() and min() do not count events"},
        {"rate(rate(up[5m])[5m])", "!a range such as [5m] is expected where '(up[5m])[5m])' stands"},
        {"up{a=b}", "!a text in quotes is expected where 'b}' stands"},
        {"up{a=\"b", "!the closing quote is expected at the end of the query"},
        {"up{a=\"b\\", "!the closing quote is expected at the end of the query"},
        {"up{a>\"b\"}", "!=, !=, =~ or !~ is expected where '>\"b\"}' stands"},
        {"{a=\"b\"}", "!!"}, /* the agent's own words on a selector without a name */
        {"up{a=~\"(\"}", "!!"},
        {"", "!the query is empty"},
        {"((((((((((((((((((up))))))))))))))))))", "!nested too deep"},
    };
    struct arena *arena = arena_new(65536, 1 << 24);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        slice selector = {0};
        bool rate;
        struct fault fault = {0};
        const fault_code code = import_promql_counter(slice_from_text(cases[i].query), arena, &selector, &rate, &fault);
        if (cases[i].selector[0] == '!') {
            assert_int_equal(code, FAULT_INPUT);
            if (cases[i].selector[1] != '!') assert_string_equal(fault.text, cases[i].selector + 1);
        } else {
            if (code) fail_msg("%s: %s", cases[i].query, fault.text);
            assert_string_equal((const char *)selector.data, cases[i].selector);
        }
    }
    arena_free(arena);
}

TEST(a_gauge_may_be_a_quotient_and_the_worst_of_several) {
    static const struct {
        const char *query;
        bool upper;
        const char *selector, *divisor; /* NULL: refused */
    } cases[] = {
        {"q_length", true, "q_length", ""}, {"sum(free{a=\"b\"}) / sum(size)", false, "free{a=\"b\"}", "size"},
        {"max(lag)", true, "lag", ""},      {"min(free)", false, "free", ""},
        {"max(lag)", false, NULL, NULL},    {"min(free)", true, NULL, NULL},
        {"sum(lag)", true, NULL, NULL},     {"rate(x[5m])", true, NULL, NULL},
        {"a / b / c", true, NULL, NULL},    {"max(a) / b", true, NULL, NULL},
    };
    struct arena *arena = arena_new(65536, 1 << 24);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        slice selector = {0}, divisor = {0};
        struct fault fault = {0};
        const fault_code code =
            import_promql_gauge(slice_from_text(cases[i].query), cases[i].upper, arena, &selector, &divisor, &fault);
        assert_int_equal(code, cases[i].selector ? FAULT_NONE : FAULT_INPUT);
        if (!cases[i].selector) continue;
        CHECK_SLICE(selector, cases[i].selector);
        CHECK_SLICE(divisor, cases[i].divisor);
    }
    arena_free(arena);
}

#define ENTITY(kind, name, rest)                                                                                       \
    "apiVersion: backstage.io/v1alpha1\nkind: " kind "\nmetadata: {name: " name "}\nspec: {" rest "}\n---\n"

TEST(an_slo_that_contradicts_itself_is_refused) {
    struct arena *arena = arena_new(65536, 1 << 26);
#define RATIO(parts) "  indicator: {metadata: {name: i}, spec: {ratioMetric: {" parts "}}}\n"
    static const struct {
        const char *text, *said;
    } cases[] = {
        {SLO_HEAD
         "  objectives: [{target: 0.999, targetPercent: 95}]\n" RATIO("good: " SOURCE("g") ", total: " SOURCE("t")),
         "failed f1.md:8: a: target and targetPercent: OpenSLO takes one of the two\n"},
        {SLO_HEAD
         "  objectives: [{target: 0.999}]\n" RATIO("good: " SOURCE("g") ", bad: " SOURCE("b") ", total: " SOURCE("t")),
         "failed f1.md:9: a: ratioMetric has good, bad and total: OpenSLO takes good or bad, and what they say may "
         "differ\n"},
        {SLO_HEAD
         "  objectives: [{target: 0.999}]\n  indicatorRef: j\n" RATIO("good: " SOURCE("g") ", total: " SOURCE("t")),
         "failed f1.md:1: a: indicator and indicatorRef: OpenSLO takes one of the two\n"},
        {SLO_HEAD "  objectives: [{target: 0.999, op: lte, value: 1}]\n  indicator: {metadata: {name: i}, spec: "
                  "{thresholdMetric: " SOURCE("x") ", ratioMetric: {good: " SOURCE("g") ", total: " SOURCE("t") "}}}\n",
         "failed f1.md:1: a: indicator: ratioMetric and thresholdMetric, of which OpenSLO takes one\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(imported(arena, "openslo", cases[i].text), cases[i].said);
    arena_free(arena);
}

TEST(circles_and_order_do_not_matter_to_the_catalog) {
    struct arena *arena = arena_new(65536, 1 << 26);
    static const char *const texts[] = {
        ENTITY("Component", "a", "owner: group:default/team-a, dependsOn: [component:b, 'Resource:default/db']"),
        ENTITY("Component", "b", "owner: user:anna, dependsOn: [component:default/a], providesApis: [x]")
            ENTITY("API", "x", "owner: team-b") ENTITY("Resource", "db", "dependencyOf: [component:b]"),
        NULL};
    assert_string_equal(
        imported_by(arena, "backstage", "nobody", texts),
        "Service "
        "{\"serviceId\":\"a\",\"name\":\"a\",\"owner\":\"team-a\",\"team\":\"team-a\",\"dependencies\":[{\"serviceId\":"
        "\"b\"},{\"serviceId\":\"resource-db\"}],\"labels\":{\"backstage.io/kind\":\"component\"}}\n"
        "Service "
        "{\"serviceId\":\"b\",\"name\":\"b\",\"owner\":\"anna\",\"dependencies\":[{\"serviceId\":\"a\"},{\"serviceId\":"
        "\"resource-db\"}],\"labels\":{\"backstage.io/kind\":\"component\"}}\n"
        "Service {\"serviceId\":\"api-x\",\"name\":\"x\",\"owner\":\"team-b\",\"team\":\"team-b\",\"dependencies\":[{"
        "\"serviceId\":\"b\"}],\"labels\":{\"backstage.io/kind\":\"api\"}}\n"
        "Service {\"serviceId\":\"resource-db\",\"name\":\"db\",\"owner\":\"nobody\",\"labels\":{\"backstage.io/kind\":"
        "\"resource\"}}\n");
    arena_free(arena);
}

TEST(what_fails_takes_nothing_else_with_it) {
    struct arena *arena = arena_new(65536, 1 << 26);
    assert_string_equal(
        imported(arena, "backstage",
                 "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: cart\n"
                 "  tags: [java, c++, 'weird tag', lang:go, a/b.c-d]\nspec: {}\n---\n"
                 "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: shop\n"
                 "  labels: {'not a label!': x}\nspec: {providesApis: [api]}\n---\n" ENTITY(
                     "Component", "pay", "dependsOn: [component:shop, component:cart]") ENTITY("API", "api", "")),
        "Service {\"serviceId\":\"cart\",\"name\":\"cart\",\"tags\":[\"java\",\"a/b.c-d\"],\"labels\":{\"backstage.io/"
        "kind\":\"component\"}}\n"
        "Service {\"serviceId\":\"pay\",\"name\":\"pay\",\"dependencies\":[{\"serviceId\":\"cart\"}],\"labels\":{"
        "\"backstage.io/kind\":\"component\"}}\n"
        "Service {\"serviceId\":\"api-api\",\"name\":\"api\",\"labels\":{\"backstage.io/kind\":\"api\"}}\n"
        "skipped f1.md:5: cart: tag 'c++': a tag is made of A-Z a-z 0-9 . _ - /, and begins and ends with a letter or "
        "digit\n"
        "skipped f1.md:5: cart: tag 'weird tag': a tag is made of A-Z a-z 0-9 . _ - /, and begins and ends with a "
        "letter or digit\n"
        "skipped f1.md:5: cart: tag 'lang:go': a tag is made of A-Z a-z 0-9 . _ - /, and begins and ends with a letter "
        "or digit\n"
        "failed f1.md:8: shop: Service: labels[not a label!]: the key must be A-Z a-z 0-9 . _ - /, beginning and "
        "ending with a letter or digit\n"
        "skipped f1.md:13: api: needs 'shop', which failed\n"
        "skipped f1.md:18: pay: needs 'shop', which failed\n");
    arena_free(arena);
}

TEST(annotations_and_links_of_an_entity_find_their_fields) {
    struct arena *arena = arena_new(65536, 1 << 26);
    assert_string_equal(
        imported(
            arena, "backstage",
            "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: shop\n  namespace: eu\n  title: "
            "Shop\n"
            "  tags: [go]\n  annotations:\n    pagerduty.com/service-id: PI7DH85\n"
            "    pagerduty.com/integration-key: k\n    backstage.io/kubernetes-id: shop\n"
            "    backstage.io/kubernetes-namespace: prod\n    backstage.io/source-location: url:https://git.example/x\n"
            "    a/b: c\n  links:\n    - {url: 'https://grafana.example/d', title: Numbers}\n"
            "    - {url: 'https://wiki.example', title: Wiki}\n    - {url: 'ftp://x', title: Dashboard}\n"
            "spec: {type: website}\n"),
        "Service "
        "{\"serviceId\":\"eu.shop\",\"name\":\"Shop\",\"repositoryUrl\":\"https://git.example/x\",\"dashboardUrl\":"
        "\"https://grafana.example/d\",\"tags\":[\"go\"],\"labels\":{\"backstage.io/"
        "kind\":\"component\",\"backstage.io/type\":"
        "\"website\"},\"onCallSchedule\":\"pagerduty:PI7DH85\",\"selectors\":[{\"namespacePattern\":\"prod\","
        "\"matchLabels\":{"
        "\"backstage.io/kubernetes-id\":\"shop\"}}]}\n"
        "skipped f1.md:10: shop: annotation pagerduty.com/integration-key: a secret has no place in a catalog\n"
        "skipped f1.md:14: shop: annotation a/b: Picket has nothing that corresponds\n"
        "skipped f1.md:17: shop: link https://wiki.example: is neither a repository nor a dashboard by its title\n"
        "skipped f1.md:18: shop: link ftp://x: is no http URL\n");
    arena_free(arena);
}

TEST(entities_that_are_no_services_or_wrong_are_said) {
    struct arena *arena = arena_new(65536, 1 << 26);
    assert_string_equal(
        imported(arena, "backstage",
                 ENTITY("Group", "g", "") ENTITY("Location", "l", "") ENTITY("Gadget", "x", "")
                     ENTITY("Component", "a", "dependsOn: [component:gone, component:a]") ENTITY("Component", "a", "")
                         ENTITY("Component", "b",
                                "dependsOn: component:a") "kind: Pod\nmetadata: {name: p}\n---\n"
                                                          "apiVersion: backstage.io/v1alpha1\nkind: Component\n"),
        "Service {\"serviceId\":\"a\",\"name\":\"a\",\"labels\":{\"backstage.io/kind\":\"component\"}}\n"
        "Service {\"serviceId\":\"b\",\"name\":\"b\",\"labels\":{\"backstage.io/kind\":\"component\"}}\n"
        "skipped f1.md:1: g: group: not a service\n"
        "skipped f1.md:6: l: location: not a service; name the files that it points to\n"
        "failed f1.md:11: x: kind 'gadget' is none that is known\n"
        "failed f1.md:21: a: another entity becomes the service 'a': f1.md:16\n"
        "failed f1.md:31: p: apiVersion is '', not backstage.io/v1alpha1 or v1beta1\n"
        "failed f1.md:34: entity: metadata.name is missing\n"
        "skipped f1.md:19: a: needs 'gone', which stands neither in these files nor in the catalog\n"
        "skipped f1.md:19: a: needs itself\n"
        "failed f1.md:29: b: spec.dependsOn must be a list\n");
    arena_free(arena);
}

TEST(what_is_not_read_is_said) {
    struct arena *arena = arena_new(65536, 1 << 26);
    assert_string_equal(
        imported(arena, "backstage",
                 "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: a, colour: red}\n"
                 "spec:\n  depends_on: ['component:b']\n---\n"
                 "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: ü}\n---\n"
                 "apiVersion: backstage.io/v1beta9\nkind: Component\nmetadata: {name: c}\n"),
        "Service {\"serviceId\":\"a\",\"name\":\"a\",\"labels\":{\"backstage.io/kind\":\"component\"}}\n"
        "failed f1.md:7: ü: metadata.name and namespace are made of A-Z a-z 0-9 . _ -, and are not longer than 128\n"
        "failed f1.md:11: c: apiVersion is 'backstage.io/v1beta9', not backstage.io/v1alpha1 or v1beta1\n"
        "skipped f1.md:3: a: colour: Picket has nothing that corresponds\n"
        "skipped f1.md:5: a: depends_on: Picket has nothing that corresponds; it reads `dependsOn`\n");
    assert_string_equal(
        imported(arena, "openslo",
                 "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: a}\nspec:\n  service: shop\n"
                 "  budgetingMethod: Occurrences\n  foo: 1\n"
                 "  timeWindow: [{duration: 28d, isRolling: true, calendar: {timeZone: UTC}}]\n"
                 "  objectives: [{target: 0.9}]\n  indicator: {metadata: {name: i}, spec: {ratioMetric: {"
                 "good: " SOURCE("x") ", total: " SOURCE("y") "}}}\n"),
        "skipped f1.md:7: a: foo: Picket has nothing that corresponds\n"
        "failed f1.md:8: a: timeWindow: `isRolling: true` and a calendar, of which OpenSLO takes one\n");
    arena_free(arena);
}

TEST(alerts_that_name_one_page_share_one_runbook) {
    struct arena *arena = arena_new(65536, 1 << 26);
    static const char *const texts[] = {
        "groups:\n- name: g\n  rules:\n  - {record: r, expr: x}\n  - alert: A\n    labels: {team: platform}\n    "
        "annotations: "
        "{summary: S, description: D, runbook_url: 'https://r.example/Pod_Loops#now'}\n",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: monitoring.coreos.com/v1\n  kind: PrometheusRule\n  spec:\n"
        "    groups:\n    - name: h\n      rules:\n      - {alert: B, annotations: {runbook: "
        "'https://r.example/Pod_Loops#now'}}\n"
        "      - {alert: B, annotations: {runbook_url: 'https://r.example/Pod_Loops#now'}}\n      - {alert: C}\n"
        "      - {alert: D, annotations: {runbook_url: 'https://r.example/{{ $labels.x }}'}}\n"
        "      - {alert: E, annotations: {runbook_url: 'docs/e.md'}}\n      - {expr: x}\n---\nkind: Pod\n---\nrules: "
        "[]\n",
        NULL};
    const char *said = imported_by(arena, "prometheus-rules", NULL, texts);
    assert_string_equal(
        said,
        "Runbook {\"runbookId\":\"now-2a6ab7e5\",\"title\":\"A and 1 "
        "more\",\"description\":\"S\",\"triggerConditions\":["
        "\"A\",\"B\"],\"steps\":[{\"stepId\":\"open\",\"title\":\"Open the "
        "runbook\",\"kind\":\"RUNBOOK_STEP_KIND_LINK\","
        "\"link\":\"https://r.example/Pod_Loops#now\"}],\"automationLevel\":\"AUTOMATION_LEVEL_MANUAL\",\"owner\":"
        "\"platform\",\"tags\":[\"prometheus\"]}\n"
        "skipped f2.md:12: C: names no runbook (annotations.runbook_url)\n"
        "failed f2.md:13: D: runbook_url 'https://r.example/{{ $labels.x }}' holds a template: only Prometheus can "
        "fill it in\n"
        "failed f2.md:14: E: runbook_url 'docs/e.md' is no http or https URL\n"
        "failed f2.md:15: rule: has neither `alert` nor `record`\n"
        "failed f2.md:17: Pod: is no PrometheusRule\n"
        "failed f2.md:19: document: holds no list `groups`\n"
        "skipped f1.md:0: recording rules: 1 of them: they alert nobody\n");
    arena_free(arena);
}

TEST(a_page_of_markdown_becomes_a_runbook) {
    struct arena *arena = arena_new(65536, 1 << 26);
    assert_string_equal(
        imported(
            arena, "runbooks",
            "---\r\ntitle: Restart it\nid: restart\ntags: [a, b]\nowner: anna\nservice: shop\nautomation_level: "
            "assisted\n"
            "approval_required: true\ntriggers: Down\ncolour: red\n---\n# Restart it\n\nWhat it is.\n\n## Look\n\n"
            "Open [the *board*](https://g.example/d) first.\n\n## Do\n\n1. Drain:\n\n   ```sh\n   drain x\n   ```\n\n"
            "   Expected: it is empty\n2. Restart **it**\n   ```console\n   $ one\n   out\n   $ two\n   ```\n   "
            "```sql\n"
            "   select 1\n   ```\n   ```\n   three\n   ```\n\n## Tell\n\nSay so.\n**Expected result:** they know\nfor "
            "sure\n"),
        "Runbook {\"runbookId\":\"restart\",\"title\":\"Restart it\",\"description\":\"What it "
        "is.\",\"triggerConditions\":["
        "\"Down\"],\"steps\":[{\"stepId\":\"look\",\"title\":\"Look\",\"instructions\":\"Open [the "
        "*board*](https://g.example/d) "
        "first.\",\"kind\":\"RUNBOOK_STEP_KIND_LINK\",\"link\":\"https://g.example/"
        "d\"},{\"stepId\":\"do-drain\",\"title\":\"Do: "
        "Drain\",\"command\":\"drain x\",\"kind\":\"RUNBOOK_STEP_KIND_COMMAND\",\"expectedResult\":\"it is "
        "empty\"},{\"stepId\":"
        "\"do-restart-it\",\"title\":\"Do: Restart it\",\"instructions\":\"```sql\\nselect "
        "1\\n```\",\"command\":\"one\\ntwo\","
        "\"kind\":\"RUNBOOK_STEP_KIND_COMMAND\"},{\"stepId\":\"do-restart-it-2\",\"title\":\"Do: Restart it "
        "(2)\",\"command\":"
        "\"three\",\"kind\":\"RUNBOOK_STEP_KIND_COMMAND\"},{\"stepId\":\"tell\",\"title\":\"Tell\",\"instructions\":"
        "\"Say so.\","
        "\"kind\":\"RUNBOOK_STEP_KIND_MANUAL\",\"expectedResult\":\"they know\\nfor sure\"}],\"automationLevel\":"
        "\"AUTOMATION_LEVEL_ASSISTED\",\"approvalRequired\":true,\"owner\":\"anna\",\"tags\":[\"a\",\"b\"],"
        "\"serviceId\":"
        "\"shop\"}\nskipped f1.md:10: colour: front matter that Picket has no field for\n");
    arena_free(arena);
}

TEST(raw_html_is_text_and_two_steps_of_one_name_have_two_ids) {
    struct arena *arena = arena_new(65536, 1 << 26);
    assert_string_equal(
        imported(arena, "runbooks", "## Look\n\n<script>x</script>\n\n## Look\n\na &amp; b\n\n- c\n  - d\n"),
        "Runbook {\"runbookId\":\"f1\",\"title\":\"f1\",\"steps\":[{\"stepId\":\"look\",\"title\":\"Look\","
        "\"instructions\":\"<script>x</script>\",\"kind\":\"RUNBOOK_STEP_KIND_MANUAL\"},{\"stepId\":\"look-2\","
        "\"title\":\"Look\",\"instructions\":\"a &amp; b\\n\\n- c\\n\\n  - d\",\"kind\":"
        "\"RUNBOOK_STEP_KIND_MANUAL\"}],\"automationLevel\":\"AUTOMATION_LEVEL_MANUAL\"}\n");
    arena_free(arena);
}

/* Nothing may be read behind it; the address sanitizer sees whether. */
TEST(a_page_ends_where_its_last_line_ends) {
    static const char page[] = "# Look\n\n1. first\n\n   ```sh\n   ls";
    struct arena *arena = arena_new(4096, 1 << 20);
    struct import import = {.arena = arena};
    char *const exact = malloc(sizeof page - 1);
    memcpy(exact, page, sizeof page - 1);
    import_read(&import, import_format_find("runbooks"), "a.md", slice_of(exact, sizeof page - 1));
    free(exact);
    assert_int_equal(import.objects_count, 1);
    arena_free(arena);
}

TEST(a_page_that_is_no_runbook_says_why) {
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"", "failed f1.md:0: f1: holds no steps: neither a heading with something below it nor an ordered list\n"},
        {"# Title\n\nOnly words.\n",
         "failed f1.md:0: f1: holds no steps: neither a heading with something below it nor an ordered list\n"},
        {"---\nautomation_level: robot\n---\n## a\nb\n",
         "failed f1.md:2: automation_level: 'robot' is not manual, assisted or automated\n"},
        {"---\napproval_required: maybe\n---\n## a\nb\n",
         "failed f1.md:2: approval_required: 'maybe' is not true or false\n"},
        {"---\n- a\n---\n## a\nb\n", "failed f1.md:1: front matter: must be a mapping such as `title: Restart it`\n"},
        {"---\ntitle: a\ntitle: b\n---\n## a\nb\n",
         "failed f1.md:3: front matter: 'title' is given twice (first in line 2)\n"},
        {"---\nid: two words\n---\n## a\nb\n", "refused two words: runbook_id: must match [A-Za-z0-9._-]{1,128}\n"},
    };
    struct arena *arena = arena_new(65536, 1 << 26);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *said = imported(arena, "runbooks", cases[i].text);
        if (strncmp(cases[i].said, "refused", 7) == 0)
            assert_memory_equal(said, cases[i].said, strlen("refused two words: runbook_id: "));
        else
            assert_string_equal(said, cases[i].said);
    }
    arena_free(arena);
}

/* Whether a person must approve it stands there: what is unambiguous is read, the rest is no runbook. */
TEST(front_matter_is_read_or_refused_and_never_becomes_text) {
    static const char *const read[] = {
        "\xEF\xBB\xBF---\nid: a\napproval_required: true\n---\n## b\n\nc\n",
        "\n \t\n---\nid: a\napproval_required: true\n---\n## b\n\nc\n",
        "\xEF\xBB\xBF\r\n---\r\nid: a\r\napproval_required: true\r\n---\r\n## b\r\n\r\nc\r\n",
        "--- \nid: a\napproval_required: true\n--- \t\n## b\n\nc\n",
        "---\rid: a\rapproval_required: true\r---\r## b\r\rc\r",
        "---\nid: a\napproval_required: true\n...\n## b\n\nc",
    };
    static const struct {
        const char *text, *said;
    } refused[] = {
        {"---\nid: a\napproval_required: true\n## b\nc\n",
         "failed f1.md:1: front matter: begins here and has no end: a line `---`; if a rule was meant, write `***`\n"},
        {"\n----\nid: a\napproval_required: true\n----\n## b\nc\n",
         "failed f1.md:2: front matter: '----' is not the line `---` that it begins with; if a rule was meant, write "
         "`***`\n"},
        {"  ---\napproval_required: true\n---\n## b\nc\n",
         "failed f1.md:1: front matter: '  ---' is not the line `---` that it begins with; if a rule was meant, write "
         "`***`\n"},
        {"+++\napproval_required = true\n+++\n## b\nc\n",
         "failed f1.md:1: front matter: '+++' is not the line `---` that it begins with; if a rule was meant, write "
         "`***`\n"},
        {"# Drop it\n\n---\nid: a\napproval_required: true\n---\n## b\nc\n",
         "failed f1.md:4: approval_required: stands in the text, where nobody asks for it: front matter begins with a "
         "line `---` as the first of the file\n"},
        {"<!-- approvalRequired: true -->\n## b\nc\n",
         "failed f1.md:1: approval_required: stands in the text, where nobody asks for it: front matter begins with a "
         "line `---` as the first of the file\n"},
        {"---\nid: a\n---\n## b\n\nApproval_Required: yes\n",
         "failed f1.md:6: approval_required: stands in the text, where nobody asks for it: front matter begins with a "
         "line `---` as the first of the file\n"},
        {"## b\n\ncaf\xE9\n", "failed f1.md:3: text: byte 0xe9 is no text in UTF-8, in which a file is read\n"},
        {"\xFF\xFE#\n", "failed f1.md:1: text: byte 0xff is no text in UTF-8, in which a file is read\n"},
    };
    struct arena *arena = arena_new(65536, 1 << 26);
    for (size_t i = 0; i < sizeof read / sizeof *read; i++)
        assert_string_equal(
            imported(arena, "runbooks", read[i]),
            "Runbook {\"runbookId\":\"a\",\"title\":\"f1\",\"steps\":[{\"stepId\":\"b\",\"title\":\"b\","
            "\"instructions\":\"c\",\"kind\":\"RUNBOOK_STEP_KIND_MANUAL\"}],\"automationLevel\":"
            "\"AUTOMATION_LEVEL_MANUAL\",\"approvalRequired\":true}\n");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_string_equal(imported(arena, "runbooks", refused[i].text), refused[i].said);
    arena_free(arena);
}

TEST(a_key_that_asks_for_approval_in_other_words_is_refused) {
    static const char *const keys[] = {"approvalRequired",  "Approval_Required", "approval-required", "approval",
                                       "aproval_required",  "requires_approval", "approved_by",       "apprval_requird",
                                       "APPROVAL_REQUIRED", "approvals"};
    struct arena *arena = arena_new(65536, 1 << 26);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const slice text = arena_format(arena, "---\nid: a\n%s: true\n---\n## b\nc\n", keys[i]);
        const slice said = arena_format(arena,
                                        "failed f1.md:3: %s: is no key of a runbook's front matter; the one that asks "
                                        "for approval is `approval_required`, true or false, at its beginning\n",
                                        keys[i]);
        assert_string_equal(imported(arena, "runbooks", (const char *)text.data), (const char *)said.data);
    }
    /* Neither is one that stands deeper, in what is skipped or in what is read. */
    static const char *const deeper[] = {"---\npicket:\n  approval_required: true\n---\n## b\nc\n",
                                         "---\ntags:\n  approval_required: true\n---\n## b\nc\n",
                                         "---\nx: [{approval: true}]\n---\n## b\nc\n"};
    for (size_t i = 0; i < sizeof deeper / sizeof *deeper; i++)
        assert_memory_equal(imported(arena, "runbooks", deeper[i]), "failed f1.md:", strlen("failed f1.md:"));
    /* What opens no gate is skipped, and says which key was meant. */
    assert_non_null(strstr(imported(arena, "runbooks", "---\nserviceId: shop\n---\n## b\nc\n"),
                           "skipped f1.md:2: serviceId: front matter that Picket has no field for; it reads "
                           "`service`\n"));
    arena_free(arena);
}

TEST(what_is_too_much_is_said) {
    struct arena *arena = arena_new(65536, 1 << 28);
    struct text text = text_begin(arena);
    slice whole;
    for (size_t i = 0; i <= IMPORT_DOCUMENTS_MAX; i++) text_add_text(&text, "---\nkind: Group\n");
    assert_int_equal(text_end(&text, "text", &whole, NULL), FAULT_NONE);
    const char *said = imported(arena, "backstage", (const char *)whole.data);
    assert_non_null(strstr(said, "YAML: more documents (---) than are read\n"));
    struct import import = {.arena = arena};
    import_read(&import, import_format_find("openslo"), "big",
                slice_of(said, IMPORT_FILE_BYTES_MAX + 1)); /* not looked into */
    assert_int_equal(import.failed_count, 1);
    for (size_t i = 0; i < IMPORT_NOTES_MAX + 1; i++) import_skip(&import, "f", 1, SLICE_LIT("x"), "y");
    struct fault fault = {0};
    assert_int_equal(import_finish(&import, import_format_find("openslo"), &fault), FAULT_LIMIT);
    arena_free(arena);
}

TEST(lines_and_slugs_fit) {
    struct arena *arena = arena_new(65536, 1 << 24);
    CHECK_SLICE(import_line(arena, SLICE_LIT("  a\n\tb  "), 10), "a b");
    CHECK_SLICE(import_line(arena, SLICE_LIT("abcdef"), 6), "abcdef");
    CHECK_SLICE(import_line(arena, SLICE_LIT("abcdefg"), 6), "abcde…");
    CHECK_SLICE(import_line(arena, SLICE_LIT("ab cd ef"), 6), "ab cd…");
    CHECK_SLICE(import_slug(arena, SLICE_LIT("--Some Words, here!"), "x"), "some-words-here");
    CHECK_SLICE(import_slug(arena, SLICE_LIT("???"), "x"), "x");
    CHECK_SLICE(import_id(arena, SLICE_LIT("a/b|c.d_e")), "a-b-c.d_e");
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_slo_of_openslo_becomes_one_of_ours),
        cmocka_unit_test(each_objective_becomes_an_slo_and_the_indicator_may_stand_behind_it),
        cmocka_unit_test(what_openslo_says_and_we_do_not_keep_is_said),
        cmocka_unit_test(a_window_that_is_not_kept_is_not_taken_for_another),
        cmocka_unit_test(queries_that_say_more_than_a_selector_are_refused),
        cmocka_unit_test(a_gauge_may_be_a_quotient_and_the_worst_of_several),
        cmocka_unit_test(circles_and_order_do_not_matter_to_the_catalog),
        cmocka_unit_test(what_fails_takes_nothing_else_with_it),
        cmocka_unit_test(an_slo_that_contradicts_itself_is_refused),
        cmocka_unit_test(annotations_and_links_of_an_entity_find_their_fields),
        cmocka_unit_test(entities_that_are_no_services_or_wrong_are_said),
        cmocka_unit_test(what_is_not_read_is_said),
        cmocka_unit_test(alerts_that_name_one_page_share_one_runbook),
        cmocka_unit_test(a_page_of_markdown_becomes_a_runbook),
        cmocka_unit_test(raw_html_is_text_and_two_steps_of_one_name_have_two_ids),
        cmocka_unit_test(a_page_ends_where_its_last_line_ends),
        cmocka_unit_test(a_page_that_is_no_runbook_says_why),
        cmocka_unit_test(front_matter_is_read_or_refused_and_never_becomes_text),
        cmocka_unit_test(a_key_that_asks_for_approval_in_other_words_is_refused),
        cmocka_unit_test(what_is_too_much_is_said),
        cmocka_unit_test(lines_and_slugs_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
