/* SPDX-License-Identifier: Apache-2.0
 * The command line of picketctl as rows: parsing, --help, completion and the reference come from them. */
#ifndef PICKET_CTL_CTL_OPTIONS_H
#define PICKET_CTL_CTL_OPTIONS_H

#include "common/base/arena.h"
#include "common/base/fault.h"

enum ctl_output { CTL_OUTPUT_TABLE, CTL_OUTPUT_JSON, CTL_OUTPUT_YAML, CTL_OUTPUT_NAME, CTL_OUTPUT_WIDE };
enum { CTL_WHERE_MAX = 32, CTL_WORDS_MAX = 512, CTL_GIVEN_MAX = 256 };

/* An option that fills a field of a command (ctl_actions.h), as it was given. */
struct ctl_given {
    const char *name, *value; /* "--reason"; value NULL for one that is only said */
};

struct ctl_options {
    const char *url;        /* --url, PICKET_URL, the default */
    const char *token;      /* PICKET_TOKEN; NULL: none */
    const char *token_path; /* --token-file */
    const char *ca_path;    /* --ca, PICKET_CA */
    enum ctl_output output;
    int64_t timeout_ms;
    int64_t limit;         /* 0: not given */
    const char *from, *to; /* RFC 3339, or a duration before now */
    int64_t step_ms;       /* 0: not given */
    bool split;
    const char *where[CTL_WHERE_MAX]; /* "field=value" */
    size_t where_count;
    const char *file; /* -f */
    bool dry_run;
    int64_t expected_version;    /* 0: any */
    const char *idempotency_key; /* NULL: none */
    struct ctl_given given[CTL_GIVEN_MAX];
    size_t given_count;
    bool help;
    bool version;
    const char *words[CTL_WORDS_MAX]; /* command and what it is to work on */
    size_t words_count;
};

enum ctl_option_kind {
    CTL_OPTION_FLAG,
    CTL_OPTION_TEXT,
    CTL_OPTION_OUTPUT,
    CTL_OPTION_DURATION,
    CTL_OPTION_COUNT,
    CTL_OPTION_WHERE,
    CTL_OPTION_KEY,      /* goes into a header */
    CTL_OPTION_FIELD,    /* with a value, of a command's message */
    CTL_OPTION_FIELD_YES /* likewise, without one */
};

struct ctl_option_row {
    const char *name;   /* "--url" */
    const char *letter; /* "-o"; NULL: none */
    enum ctl_option_kind kind;
    size_t offset;        /* in struct ctl_options */
    const char *value;    /* what its value is called; NULL for flags */
    const char *commands; /* "get describe"; NULL: all; of a field: NULL, the actions that have it */
    const char *help;
};
extern const struct ctl_option_row ctl_option_rows[];
extern const size_t ctl_option_rows_count;
/* In `commands`: whatever changes something. */
#define CTL_WRITES "create apply import (and each verb)"
/* Likewise, and whatever costs something or is on record: what --dry-run is for. */
#define CTL_SENDS "create apply edit import agents diagnose (and each verb)"

/* What is not given comes from the environment or is a default. FAULT_INPUT says which argument is wrong and
 * why. Strings are those of argv and the environment. */
fault_code ctl_options_read(int argc, char *const *argv, struct ctl_options *ret_options,
                            struct fault *reterr) MUST_CHECK;
/* Whether an option belongs to a command. */
bool ctl_option_serves(const struct ctl_option_row *row, const char *command);

#endif
