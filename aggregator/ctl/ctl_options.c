/* SPDX-License-Identifier: Apache-2.0
 * Options may stand anywhere; `--name value` and `--name=value` are the same; `--` ends them. An option that
 * the command does not know is refused rather than passed over: a filter that is not applied would lie. */
#include "aggregator/ctl/ctl_options.h"

#include "aggregator/ctl/ctl_actions.h"
#include "common/settings/settings.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROWS_GIVEN_MAX = 512 };

#define ROW(name, letter, kind, member, value, commands, help)                                                         \
    { name, letter, CTL_OPTION_##kind, offsetof(struct ctl_options, member), value, commands, help }
#define FIELD(name, value, help)                                                                                       \
    { name, NULL, CTL_OPTION_FIELD, 0, value, NULL, help }
#define FIELD_YES(name, help)                                                                                          \
    { name, NULL, CTL_OPTION_FIELD_YES, 0, NULL, NULL, help }
const struct ctl_option_row ctl_option_rows[] = {
    ROW("--url", NULL, TEXT, url, "URL", NULL, "the aggregator; PICKET_URL, else http://127.0.0.1:8420"),
    ROW("--token-file", NULL, TEXT, token_path, "FILE", NULL, "file with the bearer token; else PICKET_TOKEN"),
    ROW("--ca", NULL, TEXT, ca_path, "FILE", NULL, "certificates to trust (PEM); PICKET_CA, else the system's"),
    ROW("--output", "-o", OUTPUT, output, "FORMAT", NULL, "table (default), wide, name, json or yaml"),
    ROW("--timeout", NULL, DURATION, timeout_ms, "DURATION", NULL, "longest wait for one answer; 30s"),
    ROW("--limit", NULL, COUNT, limit, "N", "get describe",
        "most rows to show; 1000, or the newest 30 windows when no --from is given"),
    ROW("--from", NULL, TEXT, from, "TIME", "get describe", "beginning: 2026-01-31T09:30:00Z, or 2h for two hours ago"),
    ROW("--to", NULL, TEXT, to, "TIME", "get describe", "end, likewise; now"),
    ROW("--step", NULL, DURATION, step_ms, "DURATION", "get", "length of one point; the SLO's window"),
    ROW("--split", NULL, FLAG, split, NULL, "get", "one series for each cluster and agent instead of the sum"),
    ROW("--where", "-w", WHERE, where, "FIELD=VALUE", "get describe",
        "a further field of the request; repeat for lists"),
    ROW("--file", "-f", TEXT, file, "FILE", "create apply",
        "YAML or JSON, several documents by ---; - is standard input"),
    ROW("--dry-run", NULL, FLAG, dry_run, NULL, CTL_SENDS, "say what would be sent, and send nothing"),
    ROW("--expected-version", NULL, COUNT, expected_version, "N", CTL_WRITES,
        "refuse when it is no longer at this version"),
    ROW("--idempotency-key", NULL, KEY, idempotency_key, "KEY", CTL_WRITES,
        "a repeat under the same key, within seven days, does nothing twice"),
    FIELD("--id", "ID", "identity of what is created; made by the aggregator when it is not given"),
    {"--reason", NULL, CTL_OPTION_FIELD, 0, "TEXT", "agents", "why; stands in the history"},
    FIELD("--note", "TEXT", "a word to those who look at it next"),
    FIELD("--title", "TEXT", "one line"),
    FIELD("--name", "TEXT", "one line"),
    FIELD("--description", "TEXT", "some sentences"),
    FIELD("--severity", "WORD", "critical, high, medium or low"),
    {"--status", NULL, CTL_OPTION_FIELD, 0, "WORD", "agents", "state; a wrong word is answered with the right ones"},
    FIELD("--service", "ID", "the service that it belongs to"),
    {"--owner", NULL, CTL_OPTION_FIELD, 0, "NAME", "import", "who answers for it; of an import: for what names nobody"},
    FIELD("--team", "NAME", "whose it is"),
    FIELD("--tier", "WORD", "critical, high, medium or low"),
    FIELD("--assign", "WHO", "responder"),
    FIELD("--alert", "ID", "an alert that belongs to it; repeat"),
    FIELD("--incident", "ID", "an incident that it is about; of a postmortem: repeat"),
    FIELD("--environment", "ID", "environment"),
    {"--cluster", NULL, CTL_OPTION_FIELD, 0, "ID", "diagnose", "cluster"},
    {"--namespace", "-n", CTL_OPTION_FIELD, 0, "NAME", "diagnose", "the namespace that it is in"},
    {"--container", "-c", CTL_OPTION_FIELD, 0, "NAME", "diagnose", "of a pod with several"},
    {"--tail", NULL, CTL_OPTION_FIELD, 0, "N", "diagnose",
     "newest lines of a log, or events; else as many as the agent gives"},
    {"--since", NULL, CTL_OPTION_FIELD, 0, "DURATION", "diagnose", "lines of a log not older than this"},
    {"--previous", "-p", CTL_OPTION_FIELD_YES, 0, NULL, "diagnose", "the log of the container's run before this one"},
    FIELD("--resource", "TYPE/ID", "a resource, such as node/edge-1; repeat where there may be several"),
    FIELD("--label", "KEY=VALUE", "repeat"),
    FIELD("--tag", "TAG", "repeat"),
    FIELD("--link", "URL", "where the evidence is; repeat"),
    FIELD("--kind", "WORD", "of a timeline entry: note (default), finding or action"),
    FIELD("--at", "TIME", "when it happened, if not now: 2026-01-31T09:30:00Z, or 10m for ten minutes ago"),
    {"--for", NULL, CTL_OPTION_FIELD, 0, "DURATION", "agents", "for how long, from now: 2h; at most 720h"},
    FIELD("--root-cause", "TEXT", "why it happened"),
    FIELD("--parameter", "KEY=VALUE", "what the runbook asks for; repeat"),
    FIELD("--output-text", "TEXT", "what the step printed"),
    FIELD("--trigger", "TEXT", "when the runbook applies; repeat"),
    FIELD("--automation", "WORD", "manual, assisted or automated"),
    FIELD_YES("--approval-required", "somebody else must approve before it runs"),
    FIELD("--on-call", "NAME", "on-call schedule where it is kept elsewhere, such as pagerduty:PI7DH85"),
    FIELD("--repository", "URL", "where its code is"),
    FIELD("--dashboard", "URL", "where it is drawn"),
    FIELD("--depends-on", "ID", "a service that it needs; repeat"),
    FIELD("--runbook", "ID", "a runbook for it; repeat"),
    FIELD("--target", "PERCENT", "share of good events, such as 99.9"),
    FIELD("--window", "WORD", "7d, 28d, 30d, calendar_week, calendar_month, calendar_quarter or calendar_year"),
    FIELD("--good", "SELECTOR", "counter of good events"),
    FIELD("--bad", "SELECTOR", "counter of bad events"),
    FIELD("--total", "SELECTOR", "counter of all events"),
    FIELD("--scrape-target", "NAME", "scrape target that it is measured at; repeat; none: all"),
    FIELD("--source", "WORD", "who says so"),
    FIELD("--message", "TEXT", "what was seen"),
    FIELD("--summary", "TEXT", "what happened, in short"),
    FIELD("--impact", "TEXT", "who felt it, and how much"),
    FIELD("--lesson", "TEXT", "what was learned; repeat"),
    FIELD("--factor", "TEXT", "what contributed; repeat"),
    FIELD("--author", "NAME", "repeat"),
    FIELD("--revises", "ID", "the published postmortem that this one corrects"),
    ROW("--help", "-h", FLAG, help, NULL, NULL, "this help"),
    ROW("--version", NULL, FLAG, version, NULL, NULL, "print the version"),
};
#undef ROW
#undef FIELD
#undef FIELD_YES
const size_t ctl_option_rows_count = sizeof ctl_option_rows / sizeof *ctl_option_rows;

bool ctl_option_serves(const struct ctl_option_row *row, const char *command) {
    if (row->kind == CTL_OPTION_FIELD || row->kind == CTL_OPTION_FIELD_YES)
        return command &&
               (ctl_verb_takes(command, row->name) || (row->commands && strcmp(row->commands, command) == 0));
    if (!row->commands || !command) return true;
    if (strstr(row->commands, "(and each verb)") && ctl_verb_is(command)) return true;
    const size_t size = strlen(command);
    for (const char *at = row->commands; (at = strstr(at, command)); at += size)
        if ((at == row->commands || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0')) return true;
    return false;
}

static const struct ctl_option_row *row_of(const char *argument, size_t name_size) {
    for (size_t i = 0; i < ctl_option_rows_count; i++) {
        const struct ctl_option_row *row = &ctl_option_rows[i];
        if (strlen(row->name) == name_size && memcmp(row->name, argument, name_size) == 0) return row;
        if (row->letter && strlen(row->letter) == name_size && memcmp(row->letter, argument, name_size) == 0)
            return row;
    }
    return NULL;
}

static fault_code take_value(const struct ctl_option_row *row, const char *value, struct ctl_options *options,
                             struct fault *reterr) {
    void *member = (char *)options + row->offset;
    switch (row->kind) {
    case CTL_OPTION_FLAG: *(bool *)member = true; return FAULT_NONE;
    case CTL_OPTION_TEXT: *(const char **)member = value; return FAULT_NONE;
    case CTL_OPTION_DURATION:
        if (setting_parse_duration(slice_from_text(value), (int64_t *)member, reterr))
            return fault_wrap(reterr, "%s", row->name);
        if (*(int64_t *)member < 1) return fault_set(reterr, FAULT_INPUT, "%s: must be more than 0", row->name);
        return FAULT_NONE;
    case CTL_OPTION_COUNT: {
        char *end;
        const long long count = strtoll(value, &end, 10);
        if (*end || end == value || count < 1 || count > 1000000)
            return fault_set(reterr, FAULT_INPUT, "%s: '%s' is not a count from 1 to 1000000", row->name, value);
        *(int64_t *)member = count;
        return FAULT_NONE;
    }
    case CTL_OPTION_WHERE:
        if (!strchr(value, '=') || *value == '=')
            return fault_set(reterr, FAULT_INPUT, "%s: '%s' is not FIELD=VALUE", row->name, value);
        if (options->where_count == CTL_WHERE_MAX)
            return fault_set(reterr, FAULT_LIMIT, "%s: at most %d", row->name, CTL_WHERE_MAX);
        options->where[options->where_count++] = value;
        return FAULT_NONE;
    case CTL_OPTION_KEY:
        for (const char *at = value; *at; at++)
            if (*at < '!' || *at > '~') return fault_set(reterr, FAULT_INPUT, "%s: visible ASCII only", row->name);
        if (!*value || strlen(value) > 240) return fault_set(reterr, FAULT_INPUT, "%s: 1 to 240 characters", row->name);
        *(const char **)member = value;
        return FAULT_NONE;
    case CTL_OPTION_FIELD:
    case CTL_OPTION_FIELD_YES:
        if (options->given_count == CTL_GIVEN_MAX)
            return fault_set(reterr, FAULT_LIMIT, "%s: at most %d options of this kind", row->name, CTL_GIVEN_MAX);
        options->given[options->given_count++] = (struct ctl_given){row->name, value};
        return FAULT_NONE;
    case CTL_OPTION_OUTPUT: break;
    }
    static const char *const outputs[] = {"table", "json", "yaml", "name", "wide"};
    for (int i = 0; i < 5; i++) {
        if (strcmp(value, outputs[i]) != 0) continue;
        *(enum ctl_output *)member = (enum ctl_output)i;
        return FAULT_NONE;
    }
    return fault_set(reterr, FAULT_INPUT, "%s: '%s' is not table, wide, name, json or yaml", row->name, value);
}

static const char *environment(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static fault_code check_commands(const struct ctl_option_row *const *given, size_t given_count, const char *command,
                                 struct fault *reterr) {
    for (size_t i = 0; i < given_count; i++)
        if (!ctl_option_serves(given[i], command)) {
            if (!command || !given[i]->commands)
                return fault_set(reterr, FAULT_INPUT, "%s belongs to other commands; see picketctl help %s",
                                 given[i]->name, command ? command : "");
            return fault_set(reterr, FAULT_INPUT, "'%s' has no %s (that is for: %s)", command, given[i]->name,
                             given[i]->commands);
        }
    return FAULT_NONE;
}

fault_code ctl_options_read(int argc, char *const *argv, struct ctl_options *ret_options, struct fault *reterr) {
    struct ctl_options options = {
        .url = environment("PICKET_URL", "http://127.0.0.1:8420"),
        .token = environment("PICKET_TOKEN", NULL),
        .ca_path = environment("PICKET_CA", NULL),
        .timeout_ms = 30000,
    };
    const struct ctl_option_row *given[ROWS_GIVEN_MAX];
    size_t given_count = 0;
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (!ended && strcmp(argument, "--") == 0) {
            ended = true;
            continue;
        }
        if (ended || argument[0] != '-' || argument[1] == '\0') {
            if (options.words_count == CTL_WORDS_MAX)
                return fault_set(reterr, FAULT_INPUT, "too many arguments, beginning with '%s'", argument);
            options.words[options.words_count++] = argument;
            continue;
        }
        const char *equals = argument[1] == '-' ? strchr(argument, '=') : NULL;
        const size_t name_size = equals ? (size_t)(equals - argument) : strlen(argument);
        const struct ctl_option_row *row = row_of(argument, name_size);
        if (!row) return fault_set(reterr, FAULT_INPUT, "unknown option '%s'; see picketctl --help", argument);
        const char *value = equals ? equals + 1 : NULL;
        const bool alone = row->kind == CTL_OPTION_FLAG || row->kind == CTL_OPTION_FIELD_YES;
        if (alone && value) return fault_set(reterr, FAULT_INPUT, "%s takes no value", row->name);
        if (!alone && !value) value = i + 1 < argc ? argv[++i] : NULL;
        if (!alone && !value) return fault_set(reterr, FAULT_INPUT, "%s needs a value: %s", row->name, row->value);
        const fault_code code = take_value(row, value, &options, reterr);
        if (code) return code;
        if (given_count == ROWS_GIVEN_MAX)
            return fault_set(reterr, FAULT_LIMIT, "more than %d options", ROWS_GIVEN_MAX);
        given[given_count++] = row;
    }
    if (options.timeout_ms > 5 * 60 * 1000) return fault_set(reterr, FAULT_INPUT, "--timeout: at most 5m");
    const fault_code code = check_commands(given, given_count, options.words_count ? options.words[0] : NULL, reterr);
    if (code) return code;
    *ret_options = options;
    return FAULT_NONE;
}
