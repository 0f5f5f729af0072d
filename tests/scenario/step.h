/* SPDX-License-Identifier: Apache-2.0
 * What the function of a sentence stands on. What is done goes through a real journal, as the API or an agent's batch
 * would send it. Minutes count from 08:00. Functions that return a bool: false when the case has failed; why is said. */
#ifndef PICKET_TESTS_STEP_H
#define PICKET_TESTS_STEP_H

#include "tests/scenario/scenario_steps.h"
#include "tests/unit/aggregator/journal/journal_fixture.h"

struct scenario {
    struct place *place;
    bool given;
    slice words[STEP_WORDS_MAX]; /* of the sentence, in the order of its braces */
    /* how the next intent is sent */
    uint64_t expected_version;
    slice idempotency_key, message_id, claimed_tenant;
    bool has_role;
    enum method_role role;
    bool self; /* the aggregator itself sends it */
    /* what became of the last one */
    struct journal_outcome outcome;
    uint64_t facts_before;
    char *why;
    size_t why_size;
};

struct step_row {
    const char *pattern; /* "{who} of {tenant} closes incident {id}"; a mark (: or ,) stands alone */
    bool (*run)(struct scenario *s);
};
/* One table a file; the last row is empty. Listed in scenario_steps.c. */
extern const struct step_row incident_steps[], alert_steps[], health_check_steps[], slo_steps[], outcome_steps[],
    runbook_steps[], service_steps[], postmortem_steps[], runbook_execution_steps[], fleet_state_steps[], agent_steps[],
    diagnostics_steps[];

/* Always false: return step_fails(s, "it is %s", ...). */
bool step_fails(struct scenario *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

double step_number(slice word);
int64_t step_minute_ms(slice word);
/* Where the word stands in a list that ends in NULL; -1 when it does not. */
int step_choice(slice word, const char *const *words);

/* Sends it as words[0] of tenant words[1], a responder. A sentence before may have said how: version, role, ... */
bool step_send(struct scenario *s, SreDomainIntent *intent);
bool step_send_as(struct scenario *s, SreDomainIntent *intent, slice who, slice tenant, enum method_role role);

/* The aggregator's own intents for all that is due at this minute, decided when it returns. */
bool step_clock(struct scenario *s);
/* The words of a word in quotes, one by one; false when there is none left. */
bool step_item(slice *words, slice *ret_word);

/* The id of the alert with that fingerprint. */
slice alert_steps_id(struct scenario *s, slice fingerprint);

/* Reads one aggregate as it stands. */
bool step_read(struct scenario *s, const char *type, slice id, slice tenant, const struct message_desc *desc,
               void *ret_message);
/* Whether words[1], one of these words, names that status. */
bool step_state_is(struct scenario *s, int64_t status, const char *const *words);

#endif
