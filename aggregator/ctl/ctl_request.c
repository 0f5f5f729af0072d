/* SPDX-License-Identifier: Apache-2.0
 * A request out of words and options, in the order of the action's rows: a field that is three levels deep opens those
 * levels that the one before it has not opened, and closes those that it does not share. The contract's own check
 * comes behind this; what is said here is what only the command line knows. */
#include "aggregator/ctl/ctl_actions.h"
#include "aggregator/ctl/ctl_table.h"
#include "common/settings/settings.h"

#include <stdio.h>

enum { LEVELS_MAX = 4, ENUM_NUMBERS_MAX = 64 };

struct request {
    struct text text;
    const struct ctl_action *action;
    const struct ctl_options *options;
    const char *const *words;
    size_t words_count, words_used;
    int64_t now_ms;
    slice open[LEVELS_MAX];
    size_t open_count;
    bool first; /* nothing stands yet in the level that is open */
};

/* The levels above a field, and its own name. */
static size_t split_path(const char *path, slice *ret_heads, slice *ret_name) {
    size_t count = 0;
    for (const char *dot; (dot = strchr(path, '.')) && count < LEVELS_MAX; path = dot + 1)
        ret_heads[count++] = slice_of(path, (size_t)(dot - path));
    *ret_name = slice_from_text(path);
    return count;
}

static void close_to(struct request *request, size_t count) {
    for (; request->open_count > count; request->open_count--) {
        text_add_text(&request->text, "}");
        request->first = false;
    }
}

static void begin_field(struct request *request, const char *path) {
    slice heads[LEVELS_MAX], name;
    const size_t count = split_path(path, heads, &name);
    size_t shared = 0;
    while (shared < count && shared < request->open_count && slice_equal(heads[shared], request->open[shared]))
        shared++;
    close_to(request, shared);
    for (size_t i = shared; i <= count; i++) {
        if (!request->first) text_add_text(&request->text, ",");
        text_add_json_string(&request->text, i < count ? heads[i] : name);
        text_add_text(&request->text, i < count ? ":{" : ":");
        request->first = i < count;
        if (i < count) request->open[request->open_count++] = heads[i];
    }
    request->first = false;
}

void ctl_words_add(struct text *text, const struct ctl_argument *argument) {
    bool first = true;
    for (int32_t number = 1; number < ENUM_NUMBERS_MAX; number++) {
        const char *name = enum_name(argument->words, number);
        if (!name) continue;
        text_add_text(text, first ? "" : ", ");
        first = false;
        for (const char *at = name + strlen(argument->prefix); *at; at++)
            text_format(text, "%c", *at >= 'A' && *at <= 'Z' ? *at | 0x20 : *at);
    }
}

static fault_code add_word(struct request *request, const struct ctl_argument *argument, const char *value,
                           struct fault *reterr) {
    char name[96];
    const size_t prefix = strlen(argument->prefix);
    const bool whole = strncmp(value, argument->prefix, prefix) == 0;
    snprintf(name, sizeof name, "%s%s", whole ? "" : argument->prefix, value);
    for (char *at = name; *at; at++) {
        if (*at >= 'a' && *at <= 'z') *at &= ~0x20;
        if (*at == '-' || *at == ' ') *at = '_';
    }
    int32_t number;
    if (enum_number(argument->words, slice_from_text(name), &number) && number != 0) {
        text_add_json_string(&request->text, slice_from_text(name));
        return FAULT_NONE;
    }
    struct text known = text_begin(request->text.arena);
    slice list = {0};
    ctl_words_add(&known, argument);
    if (text_end(&known, "words", &list, reterr)) return FAULT_LIMIT;
    return fault_set(reterr, FAULT_INPUT, "%s: '%s' is not one of %.*s", argument->name, value, SLICE_ARG(list));
}

static fault_code add_resource(struct request *request, const char *name, const char *value, struct fault *reterr) {
    const char *slash = strchr(value, '/');
    if (!slash || slash == value || !slash[1])
        return fault_set(reterr, FAULT_INPUT, "%s: '%s' is not TYPE/ID, such as node/edge-1", name, value);
    text_add_text(&request->text, "{\"type\":");
    text_add_json_string(&request->text, slice_of(value, (size_t)(slash - value)));
    text_add_text(&request->text, ",\"id\":");
    text_add_json_string(&request->text, slice_from_text(slash + 1));
    text_add_text(&request->text, "}");
    return FAULT_NONE;
}

static fault_code add_time(struct request *request, const struct ctl_argument *argument, const char *value,
                           struct fault *reterr) {
    int64_t ms;
    const slice given = slice_from_text(value);
    const bool ahead = argument->value == CTL_VALUE_AHEAD;
    if (ctl_time_parse(given, &ms))
        ctl_time_add(&request->text, ms);
    else if (setting_parse_duration(given, &ms, NULL) == FAULT_NONE)
        ctl_time_add(&request->text, ahead ? request->now_ms + ms : request->now_ms - ms);
    else
        return fault_set(reterr, FAULT_INPUT,
                         "%s: '%s' is neither a duration such as 2h nor a time such as 2026-01-31T09:30:00Z",
                         argument->name, value);
    return FAULT_NONE;
}

static fault_code add_number(struct request *request, const char *name, const char *value, struct fault *reterr) {
    const size_t size = strspn(value, "0123456789");
    const size_t fraction = value[size] == '.' ? 1 + strspn(value + size + 1, "0123456789") : 0;
    if (!size || value[size + fraction] || fraction == 1 || (size > 1 && *value == '0'))
        return fault_set(reterr, FAULT_INPUT, "%s: '%s' is not a number such as 99.9", name, value);
    text_add_text(&request->text, value);
    return FAULT_NONE;
}

static fault_code add_value(struct request *request, const struct ctl_argument *argument, const char *value,
                            struct fault *reterr) {
    struct text *text = &request->text;
    switch (argument->value) {
    case CTL_VALUE_WORD: return add_word(request, argument, value, reterr);
    case CTL_VALUE_RESOURCE:
    case CTL_VALUE_RESOURCES: return add_resource(request, argument->name, value, reterr);
    case CTL_VALUE_TIME:
    case CTL_VALUE_AHEAD: return add_time(request, argument, value, reterr);
    case CTL_VALUE_NUMBER: return add_number(request, argument->name, value, reterr);
    case CTL_VALUE_YES: text_add_text(text, "true"); return FAULT_NONE;
    case CTL_VALUE_SERVICES:
        text_add_text(text, "{\"serviceId\":");
        text_add_json_string(text, slice_from_text(value));
        text_add_text(text, "}");
        return FAULT_NONE;
    case CTL_VALUE_PAIRS: {
        const char *equals = strchr(value, '=');
        if (!equals || equals == value)
            return fault_set(reterr, FAULT_INPUT, "%s: '%s' is not KEY=VALUE", argument->name, value);
        text_add_json_string(text, slice_of(value, (size_t)(equals - value)));
        text_add_text(text, ":");
        text_add_json_string(text, slice_from_text(equals + 1));
        return FAULT_NONE;
    }
    case CTL_VALUE_TEXT:
    case CTL_VALUE_TEXTS:
    case CTL_VALUE_SENTENCE: break;
    }
    text_add_json_string(text, slice_from_text(value));
    return FAULT_NONE;
}

static bool takes_list(enum ctl_value value) {
    return value == CTL_VALUE_TEXTS || value == CTL_VALUE_RESOURCES || value == CTL_VALUE_SERVICES;
}

static fault_code add_sentence(struct request *request) {
    size_t size = 0;
    for (size_t i = request->words_used; i < request->words_count; i++) size += strlen(request->words[i]) + 1;
    char *buffer = arena_alloc(request->text.arena, size);
    if (!buffer) return FAULT_LIMIT;
    size_t at = 0;
    for (; request->words_used < request->words_count; request->words_used++) {
        const char *word = request->words[request->words_used];
        if (at) buffer[at++] = ' ';
        memcpy(buffer + at, word, strlen(word));
        at += strlen(word);
    }
    text_add_json_string(&request->text, slice_of(buffer, at));
    return FAULT_NONE;
}

/* The next of the words, or all that are left. */
static fault_code take_words(struct request *request, const struct ctl_argument *argument, struct fault *reterr) {
    if (request->words_used == request->words_count)
        return fault_set(reterr, FAULT_INPUT, "%s is missing", argument->name);
    begin_field(request, argument->field);
    if (argument->value == CTL_VALUE_SENTENCE) {
        if (add_sentence(request)) return fault_set(reterr, FAULT_LIMIT, "out of memory");
        return FAULT_NONE;
    }
    if (!takes_list(argument->value))
        return add_value(request, argument, request->words[request->words_used++], reterr);
    text_add_text(&request->text, "[");
    for (bool first = true; request->words_used < request->words_count; first = false) {
        if (!first) text_add_text(&request->text, ",");
        const fault_code code = add_value(request, argument, request->words[request->words_used++], reterr);
        if (code) return code;
    }
    text_add_text(&request->text, "]");
    return FAULT_NONE;
}

static fault_code take_options(struct request *request, const struct ctl_argument *argument, struct fault *reterr) {
    const bool list = takes_list(argument->value), map = argument->value == CTL_VALUE_PAIRS;
    size_t count = 0;
    for (size_t i = 0; i < request->options->given_count; i++) {
        const struct ctl_given *given = &request->options->given[i];
        if (strcmp(given->name, argument->name) != 0) continue;
        if (count && !list && !map) return fault_set(reterr, FAULT_INPUT, "%s is given twice", argument->name);
        if (!count) {
            begin_field(request, argument->field);
            text_add_text(&request->text, list ? "[" : map ? "{" : "");
        } else
            text_add_text(&request->text, ",");
        const fault_code code = add_value(request, argument, given->value, reterr);
        if (code) return code;
        count++;
    }
    if (count) {
        text_add_text(&request->text, list ? "]" : map ? "}" : "");
        return FAULT_NONE;
    }
    if (argument->required) return fault_set(reterr, FAULT_INPUT, "%s is missing", argument->name);
    if (!argument->otherwise) return FAULT_NONE;
    begin_field(request, argument->field);
    if (argument->value == CTL_VALUE_TIME)
        ctl_time_add(&request->text, request->now_ms);
    else
        text_add_text(&request->text, argument->otherwise);
    return FAULT_NONE;
}

fault_code ctl_action_request(const struct ctl_action *action, const struct ctl_options *options,
                              const char *const *words, size_t words_count, int64_t now_ms, struct arena *arena,
                              slice *ret_json, struct fault *reterr) {
    struct request request = {.text = text_begin(arena),
                              .action = action,
                              .options = options,
                              .words = words,
                              .words_count = words_count,
                              .now_ms = now_ms,
                              .first = true};
    text_add_text(&request.text, action->bare ? "{" : "{\"command\":{");
    for (const struct ctl_argument *argument = action->arguments; argument->name; argument++) {
        const fault_code code = ctl_argument_is_word(argument) ? take_words(&request, argument, reterr)
                                                               : take_options(&request, argument, reterr);
        if (code) return code;
    }
    if (request.words_used < words_count)
        return fault_set(reterr, FAULT_INPUT, "'%s' is too much", words[request.words_used]);
    for (size_t i = 0; i < options->given_count; i++)
        if (!ctl_action_option(action, options->given[i].name))
            return fault_set(reterr, FAULT_INPUT, "it has no %s", options->given[i].name);
    close_to(&request, 0);
    if (!action->bare) text_add_text(&request.text, "}");
    if (options->expected_version && action->bare)
        return fault_set(reterr, FAULT_INPUT, "it has no --expected-version");
    if (options->expected_version)
        text_format(&request.text, ",\"expectedVersion\":\"%lld\"", (long long)options->expected_version);
    text_add_text(&request.text, "}");
    return text_end(&request.text, "request", ret_json, reterr);
}
