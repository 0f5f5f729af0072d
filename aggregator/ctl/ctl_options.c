/* SPDX-License-Identifier: Apache-2.0
 * Options may stand anywhere; `--name value` and `--name=value` are the same; `--` ends them. An option that
 * the command does not know is refused rather than passed over: a filter that is not applied would lie. */
#include "aggregator/ctl/ctl_options.h"

#include "common/settings/settings.h"

#include <stdio.h>
#include <stdlib.h>

#define ROW(name, letter, kind, member, value, commands, help)                                                         \
    { name, letter, CTL_OPTION_##kind, offsetof(struct ctl_options, member), value, commands, help }
const struct ctl_option_row ctl_option_rows[] = {
    ROW("--url", NULL, TEXT, url, "URL", NULL, "the aggregator; PICKET_URL, else http://127.0.0.1:8420"),
    ROW("--token-file", NULL, TEXT, token_path, "FILE", NULL, "file with the bearer token; else PICKET_TOKEN"),
    ROW("--ca", NULL, TEXT, ca_path, "FILE", NULL, "certificates to trust (PEM); PICKET_CA, else the system's"),
    ROW("--output", "-o", OUTPUT, output, "FORMAT", NULL, "table (default), json or yaml"),
    ROW("--timeout", NULL, DURATION, timeout_ms, "DURATION", NULL, "longest wait for one answer; 30s"),
    ROW("--limit", NULL, COUNT, limit, "N", "get describe",
        "most rows to show; 1000, or the newest 30 windows when no --from is given"),
    ROW("--from", NULL, TEXT, from, "TIME", "get describe", "beginning: 2026-01-31T09:30:00Z, or 2h for two hours ago"),
    ROW("--to", NULL, TEXT, to, "TIME", "get describe", "end, likewise; now"),
    ROW("--step", NULL, DURATION, step_ms, "DURATION", "get", "length of one point; the SLO's window"),
    ROW("--split", NULL, FLAG, split, NULL, "get", "one series for each cluster and agent instead of the sum"),
    ROW("--where", "-w", WHERE, where, "FIELD=VALUE", "get", "a further field of the request; repeat for lists"),
    ROW("--file", "-f", TEXT, file, "FILE", "create", "YAML or JSON, several documents by ---; - is standard input"),
    ROW("--help", "-h", FLAG, help, NULL, NULL, "this help"),
    ROW("--version", NULL, FLAG, version, NULL, NULL, "print the version"),
};
#undef ROW
const size_t ctl_option_rows_count = sizeof ctl_option_rows / sizeof *ctl_option_rows;

bool ctl_option_serves(const struct ctl_option_row *row, const char *command) {
    if (!row->commands || !command) return true;
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
    case CTL_OPTION_OUTPUT: break;
    }
    static const char *const outputs[] = {"table", "json", "yaml"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(value, outputs[i]) != 0) continue;
        *(enum ctl_output *)member = (enum ctl_output)i;
        return FAULT_NONE;
    }
    return fault_set(reterr, FAULT_INPUT, "%s: '%s' is not table, json or yaml", row->name, value);
}

static const char *environment(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static fault_code check_commands(const struct ctl_option_row *const *given, size_t given_count, const char *command,
                                 struct fault *reterr) {
    for (size_t i = 0; i < given_count; i++)
        if (!ctl_option_serves(given[i], command))
            return fault_set(reterr, FAULT_INPUT, "'%s' has no %s (that is for: %s)", command, given[i]->name,
                             given[i]->commands);
    return FAULT_NONE;
}

fault_code ctl_options_read(int argc, char *const *argv, struct ctl_options *ret_options, struct fault *reterr) {
    struct ctl_options options = {
        .url = environment("PICKET_URL", "http://127.0.0.1:8420"),
        .token = environment("PICKET_TOKEN", NULL),
        .ca_path = environment("PICKET_CA", NULL),
        .timeout_ms = 30000,
    };
    const struct ctl_option_row *given[64];
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
        if (row->kind == CTL_OPTION_FLAG && value)
            return fault_set(reterr, FAULT_INPUT, "%s takes no value", row->name);
        if (row->kind != CTL_OPTION_FLAG && !value) value = i + 1 < argc ? argv[++i] : NULL;
        if (row->kind != CTL_OPTION_FLAG && !value)
            return fault_set(reterr, FAULT_INPUT, "%s needs a value: %s", row->name, row->value);
        const fault_code code = take_value(row, value, &options, reterr);
        if (code) return code;
        if (given_count < sizeof given / sizeof *given) given[given_count++] = row;
    }
    if (options.timeout_ms > 5 * 60 * 1000) return fault_set(reterr, FAULT_INPUT, "--timeout: at most 5m");
    const fault_code code = check_commands(given, given_count, options.words_count ? options.words[0] : NULL, reterr);
    if (code) return code;
    *ret_options = options;
    return FAULT_NONE;
}
