/* SPDX-License-Identifier: Apache-2.0
 * What picketctl can do to things, as rows: a verb, what it works on, the method, and which words and options fill which
 * fields. Parsing, help, completion and the reference come from them; a new verb is a row here, and a row in
 * ctl_commands when the verb itself is new. Static tables; any thread. */
#ifndef PICKET_CTL_CTL_ACTIONS_H
#define PICKET_CTL_CTL_ACTIONS_H

#include "aggregator/ctl/ctl_options.h"
#include "common/base/text.h"
#include "common/codec/codec.h"

enum ctl_value {
    CTL_VALUE_TEXT,
    CTL_VALUE_TEXTS,     /* each one item of a list */
    CTL_VALUE_SENTENCE,  /* a word and all that follow it, joined by blanks */
    CTL_VALUE_WORD,      /* of an enum, in small letters without its prefix */
    CTL_VALUE_PAIRS,     /* KEY=VALUE, a map */
    CTL_VALUE_TIME,      /* RFC 3339, or how long ago */
    CTL_VALUE_AHEAD,     /* a duration from now on */
    CTL_VALUE_RESOURCE,  /* TYPE/ID */
    CTL_VALUE_RESOURCES, /* likewise, a list */
    CTL_VALUE_SERVICES,  /* ids, a list of {serviceId} */
    CTL_VALUE_NUMBER,
    CTL_VALUE_YES
};

struct ctl_argument {
    const char *name; /* "--reason"; "ID" for a word, in this order */
    const char
        *field; /* in the request's `command`, JSON names, dots between levels; those of one level stand together */
    enum ctl_value value;
    const struct enum_desc *words; /* CTL_VALUE_WORD */
    const char *prefix;            /* of its names: "SEVERITY_" */
    bool required;
    const char *otherwise; /* JSON, when it is not given (of a time: the time of the command); NULL: left out */
};

struct ctl_action {
    const char *verb;                     /* "ack" */
    const char *resource;                 /* ctl_resources' name */
    const char *path;                     /* method */
    const struct ctl_argument *arguments; /* ended by a name of NULL */
    const char *done;                     /* "acknowledged" */
    bool bare;                            /* the fields are the request's own, not its command's */
};
extern const struct ctl_action ctl_actions[];
extern const size_t ctl_actions_count;

bool ctl_verb_is(const char *verb);
/* Whether any action of the verb has this option. */
bool ctl_verb_takes(const char *verb, const char *option);
/* NULL when there is none. */
const struct ctl_action *ctl_action_find(const char *verb, const char *resource);
const struct ctl_argument *ctl_action_option(const struct ctl_action *action, const char *option);
/* A word, not an option. */
static inline bool ctl_argument_is_word(const struct ctl_argument *argument) {
    return argument->name[0] != '-';
}
/* "ack incident ID [--note TEXT]" */
void ctl_usage_add(struct text *text, const struct ctl_action *action);
/* "critical, high, medium, low" */
void ctl_words_add(struct text *text, const struct ctl_argument *argument);

/* The JSON of the request of an action: words are what stands behind verb and resource. FAULT_INPUT says which word or
 * option is wrong, missing or too much. Lives in the arena. */
fault_code ctl_action_request(const struct ctl_action *action, const struct ctl_options *options,
                              const char *const *words, size_t words_count, int64_t now_ms, struct arena *arena,
                              slice *ret_json, struct fault *reterr) MUST_CHECK;

#endif
