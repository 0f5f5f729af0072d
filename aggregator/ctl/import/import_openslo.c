/* SPDX-License-Identifier: Apache-2.0
 * OpenSLO v1 (https://github.com/OpenSLO/OpenSLO, "Object types"). Indicators and data sources may stand behind the SLO
 * that names them, so all documents are there before the first SLO is looked at. What would be measured otherwise than
 * the author wrote is not imported: a note says what to change. */
#include "aggregator/ctl/import/import.h"
#include "aggregator/ctl/import/import_promql.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct import_document *find(const struct import *import, const char *kind, slice name) {
    for (size_t i = 0; i < import->documents_count; i++) {
        const struct yaml_node *root = import->documents[i].root;
        if (slice_equal_text(import_text(root, "kind"), kind) && slice_equal(import_text(root, "metadata.name"), name))
            return &import->documents[i];
    }
    return NULL;
}

/* An SLO on its way: where it stands, and the first reason why it cannot be. */
struct slo {
    struct import *import;
    const char *file;
    const struct yaml_node *root, *spec;
    slice name;
    const struct yaml_node *indicator; /* its spec */
    const char *indicator_file;
};

/* PromQL of a metric source; false with a note when it is none. */
static bool query_of(const struct slo *slo, const struct yaml_node *source_of, const char *which, slice *ret_query) {
    struct import *import = slo->import;
    const struct yaml_node *source = import_at(source_of, "metricSource");
    const int line = source ? source->line : source_of->line;
    slice type = import_text(source, "type");
    const slice reference = import_text(source, "metricSourceRef");
    if (!type.size && reference.size) {
        const struct import_document *data_source = find(import, "DataSource", reference);
        if (data_source) type = import_text(data_source->root, "spec.type");
    }
    char lower[32] = "";
    for (size_t i = 0; i < type.size && i < sizeof lower - 1; i++)
        lower[i] = (char)(type.data[i] >= 'A' && type.data[i] <= 'Z' ? type.data[i] | 0x20 : type.data[i]);
    if (strcmp(lower, "prometheus") != 0) {
        import_fail(import, slo->indicator_file, line, slo->name, "%s: metricSource is of type '%.*s', not Prometheus",
                    which, SLICE_ARG(type.size ? type : reference));
        return false;
    }
    *ret_query = import_text(source, "spec.query");
    if (!ret_query->size) *ret_query = import_text(source, "spec.promql");
    if (ret_query->size) return true;
    import_fail(import, slo->indicator_file, line, slo->name, "%s: metricSource.spec.query is missing", which);
    return false;
}

static bool counter_of(const struct slo *slo, const struct yaml_node *ratio, const char *which, slice *ret_selector) {
    const struct yaml_node *part = import_at(ratio, which);
    slice query;
    bool rate = false;
    struct fault fault;
    if (!part) return true;
    if (!query_of(slo, part, which, &query)) return false;
    if (import_promql_counter(query, slo->import->arena, ret_selector, &rate, &fault)) {
        import_fail(slo->import, slo->indicator_file, part->line, slo->name, "%s: %s", which, fault.text);
        return false;
    }
    if (rate || !slice_equal_text(import_text(ratio, "counter"), "false")) return true;
    import_fail(slo->import, slo->indicator_file, part->line, slo->name,
                "%s: `counter: false`, and no rate() around it: "
                "only increases of counters are counted",
                which);
    return false;
}

static bool add_ratio(const struct slo *slo, const struct yaml_node *ratio, struct text *spec) {
    slice good = {0}, bad = {0}, total = {0};
    if (import_at(ratio, "raw")) {
        import_fail(slo->import, slo->indicator_file, ratio->line, slo->name,
                    "a raw ratio has no counts of events: give good (or bad) and total");
        return false;
    }
    if (!counter_of(slo, ratio, "good", &good) || !counter_of(slo, ratio, "bad", &bad) ||
        !counter_of(slo, ratio, "total", &total))
        return false;
    if ((!good.size && !bad.size) || (!total.size && !(good.size && bad.size))) {
        import_fail(slo->import, slo->indicator_file, ratio->line, slo->name,
                    "ratioMetric needs total and one of good and bad");
        return false;
    }
    if (good.size && bad.size && total.size) {
        import_fail(slo->import, slo->indicator_file, ratio->line, slo->name,
                    "ratioMetric has good, bad and total: OpenSLO takes good or bad, and what they say may differ");
        return false;
    }
    struct import_json json = import_json_begin(slo->import);
    import_json_text(&json, "goodSelector", good);
    import_json_text(&json, "badSelector", bad);
    import_json_text(&json, "totalSelector", total);
    slice whole;
    if (text_end(&json.text, "indicator", &whole, NULL)) return false;
    text_format(spec, "\"counterRatio\":%.*s}", SLICE_ARG(whole));
    return true;
}

/* A decimal number as it was written, if it is one. */
static bool number_of(slice text, double *ret_value) {
    char buffer[64], *end;
    if (!text.size || !slice_to_text(text, buffer, sizeof buffer)) return false;
    *ret_value = strtod(buffer, &end);
    return *end == '\0' && isfinite(*ret_value);
}

static bool add_threshold(const struct slo *slo, const struct yaml_node *metric, const struct yaml_node *objective,
                          struct text *spec) {
    static const struct {
        const char *op, *comparison;
        bool upper;
    } comparisons[] = {{"lte", "COMPARISON_LESS_OR_EQUAL", true},
                       {"lt", "COMPARISON_LESS", true},
                       {"gte", "COMPARISON_GREATER_OR_EQUAL", false},
                       {"gt", "COMPARISON_GREATER", false}};
    const slice op = import_text(objective, "op");
    double value;
    size_t i = 0;
    while (i < 4 && !slice_equal_text(op, comparisons[i].op)) i++;
    if (i == 4 || !number_of(import_text(objective, "value"), &value)) {
        import_fail(slo->import, slo->file, objective->line, slo->name,
                    "a thresholdMetric needs `op` (lte, lt, gte or gt) and `value` in its objective");
        return false;
    }
    slice query, selector, divisor;
    struct fault fault;
    if (!query_of(slo, metric, "thresholdMetric", &query)) return false;
    if (import_promql_gauge(query, comparisons[i].upper, slo->import->arena, &selector, &divisor, &fault)) {
        import_fail(slo->import, slo->indicator_file, metric->line, slo->name, "thresholdMetric: %s", fault.text);
        return false;
    }
    struct import_json json = import_json_begin(slo->import);
    import_json_text(&json, "selector", selector);
    import_json_text(&json, "divisorSelector", divisor);
    text_format(&json.text, ",\"comparison\":\"%s\",\"threshold\":%.17g", comparisons[i].comparison, value);
    slice whole;
    if (text_end(&json.text, "indicator", &whole, NULL)) return false;
    text_format(spec, "\"gaugeThreshold\":%.*s}", SLICE_ARG(whole));
    return true;
}

/* "5m" in seconds; months and longer have no length of their own. */
static bool seconds_of(slice text, int64_t *ret_seconds) {
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    int64_t count = 0;
    if (text.size < 2 || text.size > 7) return false;
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        count = count * 10 + (text.data[i] - '0');
    }
    for (size_t i = 0; i < 4; i++) {
        if (units[i].unit != text.data[text.size - 1]) continue;
        *ret_seconds = count * units[i].seconds;
        return count > 0;
    }
    return false;
}

/* Whether a calendar's period begins where ours does, in UTC. */
static const char *calendar_wrong(const struct yaml_node *window, char unit) {
    const slice zone = import_text(window, "calendar.timeZone"), start = import_text(window, "calendar.startTime");
    if (!slice_equal_text(zone, "UTC") && !slice_equal_text(zone, "Etc/UTC"))
        return "periods are aligned to the calendar in UTC: write `timeZone: UTC`";
    int year, month, day;
    char buffer[32], rest[16];
    if (!slice_to_text(start, buffer, sizeof buffer) ||
        sscanf(buffer, "%4d-%2d-%2d %15s", &year, &month, &day, rest) != 4)
        return "calendar.startTime is not of the form 2026-01-01 00:00:00";
    if (month < 1 || month > 12 || day < 1 || day > 31) return "calendar.startTime is no date";
    if (strncmp(rest, "00:00", 5) != 0) return "periods begin at 00:00:00";
    if (unit != 'w' && day != 1) return "periods begin on the first of a month";
    if (unit == 'Q' && month % 3 != 1) return "quarters begin in January, April, July and October";
    if (unit == 'Y' && month != 1) return "years begin in January";
    static const int offsets[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4}; /* Sakamoto's: day of the week, 0 is Sunday */
    const int y = month < 3 ? year - 1 : year;
    if (unit == 'w' && (y + y / 4 - y / 100 + y / 400 + offsets[month - 1] + day) % 7 != 1)
        return "weeks begin on Monday";
    return NULL;
}

static const char *window_of(const struct slo *slo) {
    static const struct {
        const char *duration;
        bool rolling;
        const char *window;
    } windows[] = {
        {"7d", true, "SLO_WINDOW_7D"},
        {"1w", true, "SLO_WINDOW_7D"},
        {"28d", true, "SLO_WINDOW_28D"},
        {"4w", true, "SLO_WINDOW_28D"},
        {"30d", true, "SLO_WINDOW_30D"},
        {"1w", false, "SLO_WINDOW_CALENDAR_WEEK"},
        {"1M", false, "SLO_WINDOW_CALENDAR_MONTH"},
        {"1Q", false, "SLO_WINDOW_CALENDAR_QUARTER"},
        {"3M", false, "SLO_WINDOW_CALENDAR_QUARTER"},
        {"1Y", false, "SLO_WINDOW_CALENDAR_YEAR"},
        {"12M", false, "SLO_WINDOW_CALENDAR_YEAR"},
    };
    const struct yaml_node *list = import_at(slo->spec, "timeWindow");
    const struct yaml_node *window = list && list->kind == YAML_KIND_LIST && list->count == 1 ? list->first : NULL;
    if (!window) {
        import_fail(slo->import, slo->file, list ? list->line : slo->spec->line, slo->name,
                    "timeWindow must be a list of one window");
        return NULL;
    }
    const slice duration = import_text(window, "duration");
    const bool rolling = slice_equal_text(import_text(window, "isRolling"), "true");
    if (rolling && import_at(window, "calendar")) {
        import_fail(slo->import, slo->file, window->line, slo->name,
                    "timeWindow: `isRolling: true` and a calendar, of which OpenSLO takes one");
        return NULL;
    }
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        if (windows[i].rolling != rolling || !slice_equal_text(duration, windows[i].duration)) continue;
        const char unit = strstr(windows[i].window, "QUARTER") ? 'Q'
                          : strstr(windows[i].window, "YEAR")  ? 'Y'
                          : strstr(windows[i].window, "MONTH") ? 'M'
                                                               : 'w';
        const char *why = rolling ? NULL : calendar_wrong(window, unit);
        if (!why) return windows[i].window;
        import_fail(slo->import, slo->file, window->line, slo->name, "timeWindow: %s", why);
        return NULL;
    }
    import_fail(slo->import, slo->file, window->line, slo->name,
                "timeWindow: '%.*s' %s is not kept: 7d, 28d and 30d roll; 1w, 1M, 1Q and 1Y follow the calendar",
                SLICE_ARG(duration), rolling ? "rolling" : "by the calendar");
    return NULL;
}

/* Percent out of a share, without the noise of the multiplication. */
static bool percent_of(const struct yaml_node *objective, const char *share, const char *percent, double *ret_value) {
    if (number_of(import_text(objective, share), ret_value)) {
        char digits[40];
        snprintf(digits, sizeof digits, "%.12g", *ret_value * 100);
        *ret_value = strtod(digits, NULL);
        return true;
    }
    return percent && number_of(import_text(objective, percent), ret_value);
}

/* Length of a slice; 0 with Occurrences, which has none; -1: a note says why not. */
static int64_t slices_of(const struct slo *slo, const struct yaml_node *objective, double *ret_target) {
    const slice method = import_text(slo->spec, "budgetingMethod");
    if (slice_equal_text(method, "Occurrences")) return 0;
    if (!slice_equal_text(method, "Timeslices")) {
        import_fail(slo->import, slo->file, slo->spec->line, slo->name,
                    "budgetingMethod: '%.*s' is not kept; Occurrences and Timeslices are", SLICE_ARG(method));
        return -1;
    }
    int64_t seconds;
    const slice window = import_text(objective, "timeSliceWindow");
    if (!seconds_of(window, &seconds) || seconds > 3600) {
        import_fail(slo->import, slo->file, objective->line, slo->name,
                    "timeSliceWindow: '%.*s' is not a length from 1m to 1h with its unit", SLICE_ARG(window));
        return -1;
    }
    if (!percent_of(objective, "timeSliceTarget", NULL, ret_target)) {
        import_fail(slo->import, slo->file, objective->line, slo->name, "timeSliceTarget is missing, or not a number");
        return -1;
    }
    return seconds;
}

static slice id_of(const struct slo *slo, const struct yaml_node *objective, size_t index, bool alone) {
    if (alone) return import_id(slo->import->arena, slo->name);
    char number[24];
    snprintf(number, sizeof number, "%zu", index + 1);
    const slice part = import_slug(slo->import->arena, import_text(objective, "displayName"), number);
    return import_id(slo->import->arena,
                     arena_format(slo->import->arena, "%.*s-%.*s", SLICE_ARG(slo->name), SLICE_ARG(part)));
}

static void add_objective(const struct slo *slo, const struct yaml_node *objective, size_t index, bool alone) {
    struct import *import = slo->import;
    double target, slice_target = 0;
    static const char *const composite[] = {"indicator", "indicatorRef", "compositeWeight"};
    for (size_t i = 0; i < sizeof composite / sizeof *composite; i++)
        if (import_at(objective, composite[i]))
            return import_fail(import, slo->file, objective->line, slo->name,
                               "%s: a composite of several indicators is not kept; write an SLO for each",
                               composite[i]);
    if (import_at(objective, "target") && import_at(objective, "targetPercent"))
        return import_fail(import, slo->file, objective->line, slo->name,
                           "target and targetPercent: OpenSLO takes one of the two");
    if (!percent_of(objective, "target", "targetPercent", &target))
        return import_fail(import, slo->file, objective->line, slo->name,
                           "target (or targetPercent) is missing, or not a number");
    const char *window = window_of(slo);
    const int64_t seconds = window ? slices_of(slo, objective, &slice_target) : -1;
    if (seconds < 0) return;
    struct text spec = text_begin(import->arena);
    text_add_text(&spec, "{");
    const struct yaml_node *ratio = import_at(slo->indicator, "ratioMetric");
    const struct yaml_node *threshold = import_at(slo->indicator, "thresholdMetric");
    if (ratio ? !add_ratio(slo, ratio, &spec) : !add_threshold(slo, threshold, objective, &spec)) return;
    if (seconds) text_format(&spec, ",\"windowSeconds\":%lld", (long long)seconds);
    text_add_text(&spec, "}");
    slice spec_json;
    if (text_end(&spec, "indicator", &spec_json, NULL)) {
        import->full = true;
        return;
    }
    const slice title = import_text(slo->root, "metadata.displayName"), display = import_text(objective, "displayName");
    slice name = title.size ? title : slo->name;
    if (!alone && display.size) name = arena_format(import->arena, "%.*s: %.*s", SLICE_ARG(name), SLICE_ARG(display));
    const struct import_object object = {
        .kind = "SLO", .file = slo->file, .line = objective->line, .id = id_of(slo, objective, index, alone)};
    struct import_json json = import_json_begin(import);
    import_json_text(&json, "sloId", object.id);
    import_json_text(&json, "name", import_line(import->arena, name, 256));
    import_json_text(&json, "description", import_text(slo->spec, "description"));
    char number[40];
    snprintf(number, sizeof number, "%.15g", target);
    import_json_raw(&json, "target", number);
    import_json_text(&json, "window", slice_from_text(window));
    import_json_raw(&json, "sliSpec", (const char *)spec_json.data);
    if (import->owner) import_json_text(&json, "owner", slice_from_text(import->owner));
    import_json_text(&json, "serviceId", import_id(import->arena, import_text(slo->spec, "service")));
    import_json_map(import, &json, "labels", slo->file, import_at(slo->root, "metadata.labels"));
    import_json_raw(&json, "budgetingMethod",
                    seconds ? "\"BUDGETING_METHOD_TIMESLICES\"" : "\"BUDGETING_METHOD_OCCURRENCES\"");
    snprintf(number, sizeof number, "%.15g", slice_target);
    if (seconds) import_json_raw(&json, "timeSliceTarget", number);
    import_add(import, object, &json);
}

/* What is said and not kept. */
static void say_unread(const struct slo *slo, const struct yaml_node *objectives) {
    static const char *const of_spec[] = {"description",  "service",         "indicator",
                                          "indicatorRef", "budgetingMethod", "timeWindow",
                                          "objectives",   "alertPolicies",   NULL};
    static const char *const of_window[] = {"duration", "isRolling", "calendar", NULL};
    static const char *const of_objective[] = {"displayName",
                                               "op",
                                               "value",
                                               "target",
                                               "targetPercent",
                                               "timeSliceTarget",
                                               "timeSliceWindow",
                                               "indicator",
                                               "indicatorRef",
                                               "compositeWeight",
                                               NULL};
    const struct yaml_node *windows = import_at(slo->spec, "timeWindow");
    import_say_unread(slo->import, slo->file, slo->name, slo->spec, of_spec);
    for (const struct yaml_node *window = windows ? windows->first : NULL; window; window = window->next)
        import_say_unread(slo->import, slo->file, slo->name, window, of_window);
    for (const struct yaml_node *objective = objectives->first; objective; objective = objective->next)
        import_say_unread(slo->import, slo->file, slo->name, objective, of_objective);
}

static void take_slo(struct import *import, const struct import_document *document) {
    struct slo slo = {.import = import,
                      .file = document->file,
                      .root = document->root,
                      .spec = import_at(document->root, "spec"),
                      .name = import_text(document->root, "metadata.name")};
    const int line = document->root->line;
    if (!slo.name.size) return import_fail(import, slo.file, line, SLICE_LIT("SLO"), "metadata.name is missing");
    const struct yaml_node *objectives = import_at(slo.spec, "objectives");
    if (!objectives || objectives->kind != YAML_KIND_LIST || !objectives->count)
        return import_fail(import, slo.file, line, slo.name, "spec.objectives is missing");
    if (import_at(slo.spec, "indicator") && import_at(slo.spec, "indicatorRef"))
        return import_fail(import, slo.file, line, slo.name,
                           "indicator and indicatorRef: OpenSLO takes one of the two");
    slo.indicator = import_at(slo.spec, "indicator.spec");
    slo.indicator_file = slo.file;
    const slice reference = import_text(slo.spec, "indicatorRef");
    if (!slo.indicator && reference.size) {
        const struct import_document *sli = find(import, "SLI", reference);
        if (!sli)
            return import_fail(import, slo.file, line, slo.name, "indicatorRef: no SLI '%.*s' stands in these files",
                               SLICE_ARG(reference));
        slo.indicator = import_at(sli->root, "spec");
        slo.indicator_file = sli->file;
    }
    if (!import_at(slo.indicator, "ratioMetric") && !import_at(slo.indicator, "thresholdMetric"))
        return import_fail(import, slo.file, line, slo.name,
                           "indicator: neither ratioMetric nor thresholdMetric is there");
    if (import_at(slo.indicator, "ratioMetric") && import_at(slo.indicator, "thresholdMetric"))
        return import_fail(import, slo.file, line, slo.name,
                           "indicator: ratioMetric and thresholdMetric, of which OpenSLO takes one");
    if (!import_is_id(slo.name))
        return import_fail(import, slo.file, line, slo.name,
                           "metadata.name is made of A-Z a-z 0-9 . _ -, and is not longer than 128");
    say_unread(&slo, objectives);
    size_t index = 0;
    for (const struct yaml_node *objective = objectives->first; objective; objective = objective->next, index++)
        add_objective(&slo, objective, index, objectives->count == 1);
    const struct yaml_node *policies = import_at(slo.spec, "alertPolicies");
    if (policies && policies->first)
        import_skip(import, slo.file, policies->line, slo.name,
                    "alertPolicies: whom to tell, and when, is not imported");
}

static void take_service(struct import *import, const struct import_document *document) {
    const slice name = import_text(document->root, "metadata.name"),
                title = import_text(document->root, "metadata.displayName");
    if (!name.size)
        return import_fail(import, document->file, document->root->line, SLICE_LIT("Service"),
                           "metadata.name is missing");
    if (!import_is_id(name))
        return import_fail(import, document->file, document->root->line, name,
                           "metadata.name is made of A-Z a-z 0-9 . _ -, and is not longer than 128");
    const struct import_object object = {.kind = "Service",
                                         .file = document->file,
                                         .line = document->root->line,
                                         .id = import_id(import->arena, name),
                                         .only_create = true};
    struct import_json json = import_json_begin(import);
    import_json_text(&json, "serviceId", object.id);
    import_json_text(&json, "name", import_line(import->arena, title.size ? title : name, 256));
    import_json_text(&json, "description", import_text(document->root, "spec.description"));
    if (import->owner) import_json_text(&json, "owner", slice_from_text(import->owner));
    import_json_map(import, &json, "labels", document->file, import_at(document->root, "metadata.labels"));
    import_add(import, object, &json);
}

static void take_nothing(struct import *import, const struct import_document *document) {
    (void)import;
    (void)document;
}

static void skip(struct import *import, const struct import_document *document) {
    const slice kind = import_text(document->root, "kind"), name = import_text(document->root, "metadata.name");
    import_skip(import, document->file, document->root->line, name.size ? name : kind,
                "%.*s: whom to tell, and when, is not imported", SLICE_ARG(kind));
}

static const struct {
    const char *kind;
    void (*take)(struct import *import, const struct import_document *document);
} kinds[] = {
    {"Service", take_service},         {"SLO", take_slo},     {"SLI", take_nothing},
    {"DataSource", take_nothing},      {"AlertPolicy", skip}, {"AlertCondition", skip},
    {"AlertNotificationTarget", skip},
};
enum { KINDS_COUNT = sizeof kinds / sizeof *kinds };

void import_openslo_finish(struct import *import) {
    for (size_t i = 0; i < import->documents_count; i++) {
        const struct import_document *document = &import->documents[i];
        const slice version = import_text(document->root, "apiVersion"), kind = import_text(document->root, "kind");
        if (!slice_equal_text(version, "openslo/v1")) {
            import_fail(import, document->file, document->root->line, kind.size ? kind : SLICE_LIT("document"),
                        "apiVersion is '%.*s', not openslo/v1", SLICE_ARG(slice_first(version, 60)));
            continue;
        }
        size_t k = 0;
        while (k < KINDS_COUNT && !slice_equal_text(kind, kinds[k].kind)) k++;
        if (k == KINDS_COUNT)
            import_fail(import, document->file, document->root->line, kind, "is no kind of OpenSLO v1");
        else
            kinds[k].take(import, document);
    }
}
