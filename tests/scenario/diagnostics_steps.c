/* SPDX-License-Identifier: Apache-2.0
 * Sentences about questions to agents. How one ended is the aggregator's own to say; here a person tries, and the clock. */
#include "tests/scenario/step.h"

static const char *const outcome_words[] = {"open", "answered",  "refused", "failed",
                                            "busy", "timed-out", "unknown", NULL};

static bool question_ask(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_run_diagnostics_tag};
    RunDiagnosticsRequested *r = &intent.intent.run_diagnostics;
    r->agent = s->words[2];
    r->diagnostics_id = s->words[3];
    r->has_question = r->has_deadline_at = true;
    r->question = (DiagnosticsQuestion){.verb = DIAGNOSTICS_VERB_LOGS,
                                        .kind = SLICE_LIT("pod"),
                                        .namespace = SLICE_LIT("shop"),
                                        .name = SLICE_LIT("api-0")};
    const int64_t deadline_ms = step_minute_ms(s->words[4]);
    r->deadline_at = (Timestamp){.seconds = deadline_ms / 1000};
    return step_send(s, &intent);
}

static bool question_end(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_complete_diagnostics_tag};
    intent.intent.complete_diagnostics.diagnostics_id = s->words[2];
    intent.intent.complete_diagnostics.outcome = (DiagnosticsOutcome)step_choice(s->words[3], outcome_words);
    return step_send(s, &intent);
}

static bool question_is(struct scenario *s) {
    DiagnosticsRun run;
    return step_read(s, "diagnostics", s->words[0], SLICE_LIT("acme"), &DiagnosticsRun_desc, &run) &&
           step_state_is(s, run.outcome, outcome_words);
}

static bool question_by(struct scenario *s) {
    DiagnosticsRun run;
    if (!step_read(s, "diagnostics", s->words[0], SLICE_LIT("acme"), &DiagnosticsRun_desc, &run)) return false;
    return slice_equal(run.requested_by, s->words[1]) || step_fails(s, "it is '%.*s'", SLICE_ARG(run.requested_by));
}

static bool question_absent(struct scenario *s) {
    DiagnosticsRun run;
    if (!step_read(s, "diagnostics", s->words[0], s->words[1], &DiagnosticsRun_desc, &run)) return true;
    return step_fails(s, "it does");
}

const struct step_row diagnostics_steps[] = {
    {"{who} of {tenant} asks agent {agent} question {id} until minute {m}", question_ask},
    {"{who} of {tenant} says that question {id} is {outcome}", question_end},
    {"question {id} is {outcome}", question_is},
    {"question {id} was asked by {who}", question_by},
    {"question {id} does not exist for {tenant}", question_absent},
    {NULL, NULL},
};
