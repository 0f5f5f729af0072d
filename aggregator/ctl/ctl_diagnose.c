/* SPDX-License-Identifier: Apache-2.0
 * Asks an agent about its cluster and shows what it says, in kubectl's words: describe, events, logs, rollout, top. Somebody
 * waits for a cluster that may be far away: after two seconds it is said on standard error what is waited for. */
#include "aggregator/ctl/ctl.h"
#include "aggregator/ctl/ctl_call.h"
#include "common/base/clock.h"
#include "common/settings/settings.h"

#include <stdio.h>
#include <time.h>

#define RUN_DIAGNOSTICS "/ameide_core_proto.sre.edge.v1.AgentService/RunDiagnostics"

enum { PATIENCE_MS = 2000 };

struct question_row {
    const char *verb;
    const char *arguments; /* behind the verb */
    size_t words_min, words_max;
    fault_code (*add)(struct ctl *ctl, const char *const *words, size_t count, struct text *json, struct fault *reterr);
};

static const char *given(const struct ctl *ctl, const char *name) {
    for (size_t i = ctl->options.given_count; i > 0; i--)
        if (strcmp(ctl->options.given[i - 1].name, name) == 0)
            return ctl->options.given[i - 1].value ? ctl->options.given[i - 1].value : "";
    return NULL;
}

/* A member with a text, behind another one. */
static void add_text(struct text *json, const char *name, const char *value) {
    if (!value) return;
    text_format(json, ",\"%s\":", name);
    text_add_json_string(json, slice_from_text(value));
}

static fault_code add_number(struct ctl *ctl, struct text *json, const char *option, const char *name,
                             struct fault *reterr) {
    const char *const value = given(ctl, option);
    if (!value) return FAULT_NONE;
    if (!*value || strspn(value, "0123456789") != strlen(value) || strlen(value) > 8)
        return fault_set(reterr, FAULT_INPUT, "%s: '%s' is not a number", option, value);
    text_format(json, ",\"%s\":%s", name, value);
    return FAULT_NONE;
}

/* "pod/api-0" is "pod api-0". */
static fault_code add_resource(struct ctl *ctl, const char *query, const char *const *words, size_t count,
                               struct text *json, struct fault *reterr) {
    const char *const slash = strchr(words[0], '/');
    if (!slash && count < 2) return fault_set(reterr, FAULT_INPUT, "which %s?", words[0]);
    if (slash && count > 1) return fault_set(reterr, FAULT_INPUT, "'%s' and '%s': which one?", words[0], words[1]);
    text_format(json, "\"%s\":{\"resource\":{\"type\":", query);
    text_add_json_string(json, slash ? slice_of(words[0], (size_t)(slash - words[0])) : slice_from_text(words[0]));
    add_text(json, "id", slash ? slash + 1 : words[1]);
    add_text(json, "namespace", given(ctl, "--namespace"));
    add_text(json, "cluster", given(ctl, "--cluster"));
    text_add_text(json, "}");
    return FAULT_NONE;
}

static fault_code add_describe(struct ctl *ctl, const char *const *words, size_t count, struct text *json,
                               struct fault *reterr) {
    const fault_code code = add_resource(ctl, "describe", words, count, json, reterr);
    text_add_text(json, "}");
    return code;
}

static fault_code add_events(struct ctl *ctl, const char *const *words, size_t count, struct text *json,
                             struct fault *reterr) {
    fault_code code = add_resource(ctl, "events", words, count, json, reterr);
    if (!code) code = add_number(ctl, json, "--tail", "limit", reterr);
    text_add_text(json, "}");
    return code;
}

static fault_code add_rollout(struct ctl *ctl, const char *const *words, size_t count, struct text *json,
                              struct fault *reterr) {
    const bool said = count > 1 && strcmp(words[0], "status") == 0; /* as kubectl's */
    const fault_code code = add_resource(ctl, "rolloutStatus", words + said, count - said, json, reterr);
    text_add_text(json, "}");
    return code;
}

static fault_code add_logs(struct ctl *ctl, const char *const *words, size_t count, struct text *json,
                           struct fault *reterr) {
    const char *const pod = strncmp(words[0], "pod/", 4) == 0 ? words[0] + 4 : words[0];
    text_add_text(json, "\"logs\":{\"pod\":");
    text_add_json_string(json, slice_from_text(pod));
    add_text(json, "namespace", given(ctl, "--namespace"));
    add_text(json, "container", given(ctl, "--container"));
    add_text(json, "cluster", given(ctl, "--cluster"));
    fault_code code = add_number(ctl, json, "--tail", "lines", reterr);
    const char *const since = given(ctl, "--since");
    int64_t since_ms = 0;
    if (!code && since) code = setting_parse_duration(slice_from_text(since), &since_ms, reterr);
    if (since_ms >= 1000) text_format(json, ",\"sinceSeconds\":%lld", (long long)(since_ms / 1000));
    if (given(ctl, "--previous")) text_add_text(json, ",\"previous\":true");
    text_add_text(json, "}");
    return code;
}

static fault_code add_top(struct ctl *ctl, const char *const *words, size_t count, struct text *json,
                          struct fault *reterr) {
    const bool nodes = strncmp(words[0], "no", 2) == 0;
    if (!nodes && strncmp(words[0], "po", 2) != 0)
        return fault_set(reterr, FAULT_INPUT, "'%s' is not nodes or pods", words[0]);
    text_format(json, "\"top\":{\"of\":\"TOP_SUBJECT_%s\"", nodes ? "NODES" : "PODS");
    add_text(json, "name", count > 1 ? words[1] : NULL);
    add_text(json, "namespace", given(ctl, "--namespace"));
    add_text(json, "cluster", given(ctl, "--cluster"));
    text_add_text(json, "}");
    return FAULT_NONE;
}

static const struct question_row questions[] = {
    {"describe", "KIND NAME", 1, 2, add_describe},
    {"events", "KIND NAME", 1, 2, add_events},
    {"logs", "POD", 1, 1, add_logs},
    {"rollout", "[status] KIND NAME", 1, 3, add_rollout},
    {"top", "nodes|pods [NAME]", 1, 2, add_top},
};
enum { QUESTIONS = sizeof questions / sizeof *questions };

static enum ctl_exit usage(const char *why) {
    fprintf(stderr, "picketctl: diagnose: %s\n", why);
    for (size_t i = 0; i < QUESTIONS; i++)
        fprintf(stderr, "  picketctl diagnose AGENT %s %s\n", questions[i].verb, questions[i].arguments);
    fprintf(stderr, "  see picketctl help diagnose\n");
    return CTL_EXIT_USAGE;
}

/* ---- the answer ---- */

/* Nothing that came from outside may move the cursor: lines and tabs stay, other control characters are shown. */
static void print_plain(slice text) {
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if ((c < ' ' && c != '\n' && c != '\t') || c == 127)
            printf("\\x%02x", c);
        else if (c == 0xc2 && i + 1 < text.size && text.data[i + 1] < 0xa0) /* U+0080 to U+009F are such, too */
            printf("\\x%02x", text.data[++i]);
        else
            putchar(c);
    }
    if (text.size && text.data[text.size - 1] != '\n') putchar('\n');
}

/* An object for people: YAML. What cannot be read as one is shown as it is. */
static void print_content(struct ctl *ctl, slice content, slice type) {
    struct yaml_node *root = NULL;
    struct text text = text_begin(ctl->arena);
    slice page;
    if (slice_equal_text(type, "application/json") &&
        ctl_tree_read(content, "answer", ctl->arena, &root, NULL) == FAULT_NONE) {
        ctl_tree_add_yaml(&text, root, 0);
        if (text_end(&text, "answer", &page, NULL) == FAULT_NONE) content = page;
    }
    print_plain(content);
}

static enum ctl_exit show(struct ctl *ctl, slice response) {
    struct yaml_node *root = NULL;
    struct fault fault;
    if (ctl_tree_read(response, "answer", ctl->arena, &root, &fault))
        return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
    const struct yaml_node *const reply = ctl_tree_at(root, "reply");
    const slice outcome = ctl_tree_text(reply, "outcome"), error = ctl_tree_text(reply, "error"),
                masked = ctl_tree_text(reply, "maskedCount");
    const bool answered = slice_equal_text(outcome, "DIAGNOSTICS_OUTCOME_ANSWERED");
    if (ctl_output_is_tree(ctl)) {
        const enum ctl_exit code = ctl_print_answer(ctl, root);
        return answered ? code : CTL_EXIT_REFUSED;
    }
    if (!answered)
        return ctl_fail(CTL_EXIT_REFUSED, "agent %s: %.*s%s", ctl->options.words[1], SLICE_ARG(error),
                        slice_equal_text(outcome, "DIAGNOSTICS_OUTCOME_REFUSED")
                            ? "\n  what agents may be asked is in their own settings: see diagnostics.allow in "
                              "picket-agent --reference"
                            : "");
    print_content(ctl, ctl_tree_text(reply, "content"), ctl_tree_text(reply, "contentType"));
    if (slice_equal_text(ctl_tree_text(reply, "truncated"), "true"))
        fprintf(stderr, "picketctl: there was more than is shown\n");
    if (masked.size && !slice_equal_text(masked, "0"))
        fprintf(stderr, "picketctl: %.*s values are masked as ***\n", SLICE_ARG(masked));
    return CTL_EXIT_OK;
}

/* ---- the question ---- */

static void say_waiting(void *context) {
    const struct ctl *ctl = context;
    fprintf(stderr, "picketctl: waiting for agent %s, at most %lld s ...\n", ctl->options.words[1],
            (long long)(ctl->options.timeout_ms / 1000));
}

enum ctl_exit ctl_diagnose(struct ctl *ctl) {
    const struct ctl_options *options = &ctl->options;
    const struct question_row *row = NULL;
    if (options->words_count < 3) return usage("which agent, and what?");
    for (size_t i = 0; i < QUESTIONS; i++)
        if (strcmp(questions[i].verb, options->words[2]) == 0) row = &questions[i];
    if (!row) return usage("describe, events, logs, rollout or top?");
    const size_t count = options->words_count - 3;
    if (count < row->words_min || count > row->words_max) return usage("too few words, or too many");

    struct text json = text_begin(ctl->arena);
    struct fault fault = {0};
    slice request, response;
    text_add_text(&json, "{\"agent\":");
    text_add_json_string(&json, slice_from_text(options->words[1]));
    text_add_text(&json, ",\"request\":{");
    fault_code code = row->add(ctl, options->words + 3, count, &json, &fault);
    /* A second less than our own patience: a late answer should be the agent's sentence and not our silence. */
    const int64_t until_ms = clock_wall_ms() + options->timeout_ms - (options->timeout_ms > 2000 ? 1000 : 0);
    char at[40];
    const time_t seconds = until_ms / 1000;
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &utc);
    text_format(&json, ",\"deadline\":\"%s.%03dZ\"}}", at, (int)(until_ms % 1000));
    if (!code) code = text_end(&json, "the question", &request, &fault);
    if (code) return usage(fault.text);
    if (options->dry_run) return ctl_command(ctl, RUN_DIAGNOSTICS, request, 0, &response);

    struct loop_timer *const timer = loop_timer_new(ctl->loop, say_waiting, ctl);
    if (timer) loop_timer_set(timer, PATIENCE_MS);
    const enum ctl_exit exit = ctl_call(ctl, RUN_DIAGNOSTICS, request, &response);
    loop_timer_free(timer);
    return exit ? exit : show(ctl, response);
}
