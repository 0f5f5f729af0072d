/* SPDX-License-Identifier: Apache-2.0
 * Sentences about how an intent is sent, and what became of it. */
#include "tests/scenario/step.h"

#include <stdio.h>

static const char *const result_words[] = {"accepted", "a repeat", "refused", "failed"};

static bool result_is(struct scenario *s, enum journal_result result) {
    if (s->outcome.result == result) return true;
    return step_fails(s, "it is %s: %s", result_words[s->outcome.result], s->outcome.fault.text);
}

static bool next_version(struct scenario *s) {
    s->expected_version = (uint64_t)step_number(s->words[0]);
    return true;
}

static bool next_key(struct scenario *s) {
    s->idempotency_key = arena_copy(s->place->arena, s->words[0]);
    return true;
}

static bool next_message(struct scenario *s) {
    s->message_id = arena_format(s->place->arena, "0190a5c0-7e1f-7000-8000-%012d", (int)step_number(s->words[0]));
    return true;
}

static bool next_tenant(struct scenario *s) {
    s->claimed_tenant = arena_copy(s->place->arena, s->words[0]);
    return true;
}

/* In the order of enum method_role. */
static const char *const role_words[] = {"the aggregator", "a viewer", "a responder",    "an approver",
                                         "an admin",       "an agent", "an integration", NULL};

static bool next_role(struct scenario *s) {
    char words[32];
    snprintf(words, sizeof words, "%.*s %.*s", SLICE_ARG(s->words[0]), SLICE_ARG(s->words[1]));
    const int role = step_choice(slice_from_text(words), role_words);
    s->has_role = true;
    s->role = (enum method_role)role;
    return role >= 0 || step_fails(s, "there is no such role");
}

static bool time_is(struct scenario *s) {
    s->place->now_ms = step_minute_ms(s->words[0]);
    return true;
}

static bool restart(struct scenario *s) {
    place_reopen(s->place);
    return true;
}

static bool accepted(struct scenario *s) {
    return result_is(s, JOURNAL_COMMITTED);
}

static bool repeated(struct scenario *s) {
    if (!result_is(s, JOURNAL_REPEATED)) return false;
    if (journal_last_sequence(s->place->journal) == s->facts_before) return true;
    return step_fails(s, "it made facts");
}

static bool refused(struct scenario *s) {
    char expected[400];
    if (!result_is(s, JOURNAL_REFUSED)) return false;
    if (journal_last_sequence(s->place->journal) != s->facts_before) return step_fails(s, "it made facts");
    slice_to_text(s->words[0], expected, sizeof expected);
    if (!strstr(s->outcome.fault.text, expected)) return step_fails(s, "the reason is: %s", s->outcome.fault.text);
    struct journal_rejection *items;
    for (const char *const *tenant = (const char *const[]){"acme", "other", NULL}; *tenant; tenant++)
        if (place_rejections(s->place, *tenant, &items) && slice_equal_text(items[0].reason, s->outcome.fault.text))
            return true;
    return step_fails(s, "it is not in the list of what was refused");
}

static bool facts_made(struct scenario *s) {
    size_t count;
    char said[300] = "";
    const struct fact_view *facts = place_facts(s->place, &count);
    for (size_t i = s->facts_before; i < count; i++) {
        const char *name = fact_name(facts[i].fact_number);
        snprintf(said + strlen(said), sizeof said - strlen(said), "%s%s", said[0] ? " " : "", name ? name : "?");
    }
    if (slice_equal_text(s->words[0], said)) return true;
    return step_fails(s, "what happened is: %s", said);
}

static bool nothing_made(struct scenario *s) {
    s->words[0] = (slice){0};
    return facts_made(s);
}

static bool away_until(struct scenario *s) {
    s->place->now_ms = step_minute_ms(s->words[0]);
    place_reopen(s->place);
    journal_listens_since(s->place->journal, s->place->now_ms);
    return true;
}

const struct step_row outcome_steps[] = {
    {"the next one expects version {n}", next_version},
    {"the next one has the key {key}", next_key},
    {"the next one is message number {n}", next_message},
    {"the next one claims to be of {tenant}", next_tenant},
    {"the next one is sent by {a} {role}", next_role},
    {"it is minute {m}", time_is},
    {"the aggregator looks at its clock", step_clock},
    {"the journal is restarted", restart},
    {"the aggregator was away until minute {m}", away_until},
    {"it is accepted", accepted},
    {"it is a repeat", repeated},
    {"it is refused : {reason}", refused},
    {"what happened is {facts}", facts_made},
    {"nothing happened", nothing_made},
    {NULL, NULL},
};
