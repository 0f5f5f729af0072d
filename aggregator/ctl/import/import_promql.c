/* SPDX-License-Identifier: Apache-2.0
 * A recursive descent over the text (https://prometheus.io/docs/prometheus/latest/querying/basics/): an expression is
 * a selector, a call of one of a few functions with one argument, or one of these in parentheses. The selector is
 * written again without blanks, so that it is one line whatever the file's layout. */
#include "aggregator/ctl/import/import_promql.h"

#include "common/base/selector_syntax.h"
#include "common/base/text.h"

struct query {
    slice text;
    size_t at, depth;
    struct text *selector;
    bool summed, rate, greatest, least;
    struct fault *reterr;
};

static int peek(struct query *query) {
    while (query->at < query->text.size && query->text.data[query->at] <= ' ') query->at++;
    if (query->at < query->text.size && query->text.data[query->at] == '#') { /* a comment, to the line's end */
        while (query->at < query->text.size && query->text.data[query->at] != '\n') query->at++;
        return peek(query);
    }
    return query->at < query->text.size ? query->text.data[query->at] : -1;
}

static fault_code wrong(struct query *query, const char *expected) {
    (void)peek(query);
    const slice rest = slice_first(slice_from(query->text, query->at), 40);
    if (!rest.size) return fault_set(query->reterr, FAULT_INPUT, "%s is expected at the end of the query", expected);
    return fault_set(query->reterr, FAULT_INPUT, "%s is expected where '%.*s' stands", expected, SLICE_ARG(rest));
}

static bool is_name(int byte, bool first) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' || byte == ':' ||
           (!first && byte >= '0' && byte <= '9');
}

static slice take_name(struct query *query) {
    (void)peek(query);
    const size_t begin = query->at;
    while (query->at < query->text.size && is_name(query->text.data[query->at], query->at == begin)) query->at++;
    return slice_of(query->text.data + begin, query->at - begin);
}

static fault_code take_string(struct query *query) {
    const int quote = peek(query);
    if (quote != '"' && quote != '\'' && quote != '`') return wrong(query, "a text in quotes");
    const size_t begin = query->at++;
    while (query->at < query->text.size && query->text.data[query->at] != quote) {
        const bool escaped = query->text.data[query->at] == '\\' && quote != '`';
        if (query->text.data[query->at] < ' ') return wrong(query, "the closing quote");
        query->at += escaped ? 2 : 1;
    }
    if (query->at >= query->text.size) return wrong(query, "the closing quote");
    query->at++;
    text_add(query->selector, slice_of(query->text.data + begin, query->at - begin));
    return FAULT_NONE;
}

static fault_code take_matcher(struct query *query) {
    const slice label = take_name(query);
    if (!label.size) return wrong(query, "a label's name");
    text_add(query->selector, label);
    static const char *const operators[] = {"=~", "!~", "!=", "="};
    (void)peek(query);
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        const slice rest = slice_from(query->text, query->at);
        if (!slice_starts_with(rest, slice_from_text(operators[i]))) continue;
        query->at += strlen(operators[i]);
        text_add_text(query->selector, operators[i]);
        return take_string(query);
    }
    return wrong(query, "=, !=, =~ or !~");
}

static fault_code take_selector(struct query *query, slice name) {
    text_add(query->selector, name);
    if (peek(query) == '{') {
        query->at++;
        text_add_text(query->selector, "{");
        for (bool first = true; peek(query) != '}'; first = false) {
            if (!first) {
                if (peek(query) != ',') return wrong(query, "',' or '}'");
                query->at++;
                if (peek(query) == '}') break;
                text_add_text(query->selector, ",");
            }
            const fault_code code = take_matcher(query);
            if (code) return code;
        }
        query->at++;
        text_add_text(query->selector, "}");
    }
    return FAULT_NONE;
}

/* [5m], [$__rate_interval], [{{.window}}]: how long does not matter, the agent counts from scrape to scrape. */
static fault_code take_range(struct query *query, bool wanted) {
    if ((peek(query) == '[') != wanted)
        return wanted ? wrong(query, "a range such as [5m]")
                      : fault_set(query->reterr, FAULT_INPUT, "a range stands without rate() or increase() around it");
    if (!wanted) return FAULT_NONE;
    const uint8_t *end = memchr(query->text.data + query->at, ']', query->text.size - query->at);
    if (!end) return wrong(query, "']'");
    const slice range = slice_of(query->text.data + query->at, (size_t)(end - query->text.data) - query->at);
    if (memchr(range.data, ':', range.size))
        return fault_set(query->reterr, FAULT_INPUT, "a subquery is not what an agent can count");
    query->at = (size_t)(end - query->text.data) + 1;
    return FAULT_NONE;
}

static fault_code take_expression(struct query *query, bool in_rate);

struct function {
    const char *name;
    bool rate, sum, greatest, least;
};
static const struct function functions[] = {{"rate", true, false, false, false},
                                            {"increase", true, false, false, false},
                                            {"sum", false, true, false, false},
                                            {"max", false, false, true, false},
                                            {"min", false, false, false, true}};

static fault_code take_call(struct query *query, slice name) {
    const struct function *function = NULL;
    for (size_t i = 0; i < sizeof functions / sizeof *functions && !function; i++)
        if (slice_equal_text(name, functions[i].name)) function = &functions[i];
    if (!function)
        return fault_set(query->reterr, FAULT_INPUT, "%.*s() is not what an agent can count: %s",
                         SLICE_ARG(slice_first(name, 40)),
                         slice_equal_text(name, "histogram_quantile")
                             ? "write a ratio of the bucket at the threshold over _count instead"
                             : "a selector, rate, increase and sum are");
    if (function->rate && query->rate) return wrong(query, "a selector inside of rate()");
    query->rate |= function->rate;
    query->summed |= function->sum;
    query->greatest |= function->greatest;
    query->least |= function->least;
    query->at++; /* ( */
    const fault_code code = take_expression(query, function->rate);
    if (code) return code;
    if (peek(query) != ')') return wrong(query, "')'");
    query->at++;
    return FAULT_NONE;
}

static fault_code grouping(struct query *query, slice word) {
    return fault_set(query->reterr, FAULT_INPUT,
                     "'%.*s (...)' makes several series of it: an SLO has one; make an SLO for "
                     "each, or count them together",
                     SLICE_ARG(word));
}

static bool is_grouping(slice word) {
    return slice_equal_text(word, "by") || slice_equal_text(word, "without");
}

static fault_code take_expression(struct query *query, bool in_rate) {
    if (++query->depth > IMPORT_PROMQL_DEPTH_MAX) return fault_set(query->reterr, FAULT_INPUT, "nested too deep");
    fault_code code;
    if (peek(query) == '(' && !in_rate) {
        query->at++;
        code = take_expression(query, false);
        if (code) return code;
        if (peek(query) != ')') return wrong(query, "')'");
        query->at++;
        query->depth--;
        return FAULT_NONE;
    }
    const slice name = take_name(query);
    if (!name.size && peek(query) != '{') return wrong(query, "a metric's name");
    if (peek(query) == '(' && !in_rate)
        code = take_call(query, name);
    else {
        struct query ahead = *query;
        const slice word = name.size ? take_name(&ahead) : (slice){0};
        if (is_grouping(word)) return grouping(query, word);
        code = take_selector(query, name);
        if (!code) code = take_range(query, in_rate);
    }
    if (code) return code;
    struct query ahead = *query;
    ahead.selector = NULL;
    const slice word = take_name(&ahead);
    if (is_grouping(word)) return grouping(query, word);
    if (slice_equal_text(word, "offset") || peek(&ahead) == '@')
        return fault_set(query->reterr, FAULT_INPUT, "an agent measures now: no offset and no @");
    query->depth--;
    return FAULT_NONE;
}

static fault_code begin(struct query *query, slice text, struct text *selector, struct fault *reterr) {
    *query = (struct query){.text = text, .selector = selector, .reterr = reterr};
    if (!text.size) return fault_set(reterr, FAULT_INPUT, "the query is empty");
    if (text.size > IMPORT_PROMQL_BYTES_MAX)
        return fault_set(reterr, FAULT_INPUT, "the query is longer than %d bytes", IMPORT_PROMQL_BYTES_MAX);
    return FAULT_NONE;
}

/* By the words of the agent that will measure it: a pattern that it cannot match is said here already. */
static fault_code check(slice selector, struct fault *reterr) {
    struct selector *parsed = NULL;
    const fault_code code = selector_parse(selector, "", &parsed, reterr);
    selector_free(parsed);
    return code;
}

fault_code import_promql_counter(slice text, struct arena *arena, slice *ret_selector, bool *ret_rate,
                                 struct fault *reterr) {
    struct text selector = text_begin(arena);
    struct query query;
    fault_code code = begin(&query, text, &selector, reterr);
    if (!code) code = take_expression(&query, false);
    if (code) return code;
    if (query.greatest || query.least) return fault_set(reterr, FAULT_INPUT, "max() and min() do not count events");
    if (peek(&query) != -1) return wrong(&query, "nothing more (one selector is counted)");
    *ret_rate = query.rate;
    code = text_end(&selector, "selector", ret_selector, reterr);
    return code ? code : check(*ret_selector, reterr);
}

fault_code import_promql_gauge(slice text, bool upper, struct arena *arena, slice *ret_selector, slice *ret_divisor,
                               struct fault *reterr) {
    struct text selector = text_begin(arena);
    struct query query;
    slice parts[2] = {{0}};
    fault_code code = begin(&query, text, &selector, reterr);
    if (!code) code = take_expression(&query, false);
    if (!code) code = text_end(&selector, "selector", &parts[0], reterr);
    if (code) return code;
    const bool quotient = peek(&query) == '/';
    if (quotient) {
        struct text divisor = text_begin(arena);
        query.at++;
        query.selector = &divisor;
        code = take_expression(&query, false);
        if (!code) code = text_end(&divisor, "selector", &parts[1], reterr);
        if (code) return code;
    }
    if (peek(&query) != -1) return wrong(&query, quotient ? "nothing more" : "nothing more, or '/'");
    if (query.rate) return fault_set(reterr, FAULT_INPUT, "a rate is no gauge: write a ratio of two counters instead");
    if (query.summed && !quotient)
        return fault_set(reterr, FAULT_INPUT,
                         "sum() of a gauge: each series is held against the threshold, not their sum");
    if ((query.greatest || query.least) && quotient)
        return fault_set(reterr, FAULT_INPUT, "max() or min() in a quotient: sums are divided");
    if ((query.greatest && !upper) || (query.least && upper))
        return fault_set(reterr, FAULT_INPUT, "%s() beside this `op` lets one series hide the others",
                         query.greatest ? "max" : "min");
    code = check(parts[0], reterr);
    if (!code && quotient) code = check(parts[1], reterr);
    if (code) return code;
    *ret_selector = parts[0];
    *ret_divisor = parts[1];
    return FAULT_NONE;
}
