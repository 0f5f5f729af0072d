/* SPDX-License-Identifier: Apache-2.0
 * Sentences about runbooks. Steps are words: "hand command link" are three steps of these kinds. */
#include "tests/scenario/step.h"

#include <stdio.h>

enum { STEPS_MAX = 16 };

static const struct {
    const char *word;
    RunbookStep step;
} step_words[] = {
    {"hand", {.title = {(const uint8_t *)"look", 4}}},
    {"command", {.command = {(const uint8_t *)"kubectl rollout restart deploy/shop", 35}}},
    {"approved-command", {.command = {(const uint8_t *)"kubectl delete pod x", 20}, .approval_required = true}},
    {"link", {.link = {(const uint8_t *)"https://example.com/dashboard", 29}}},
    {"command-without-a-command", {.kind = RUNBOOK_STEP_KIND_COMMAND}},
    {"link-without-a-link", {.kind = RUNBOOK_STEP_KIND_LINK}},
    {"hand-with-a-command", {.kind = RUNBOOK_STEP_KIND_MANUAL, .command = {(const uint8_t *)"reboot", 6}}},
    {"hand-of-60-seconds", {.timeout_seconds = 60}},
    {"hand-of-301-seconds", {.timeout_seconds = 301}},
    {"hand-named-step-2", {.step_id = {(const uint8_t *)"step-2", 6}}},
};

static size_t steps_of(slice words, RunbookStep steps[STEPS_MAX]) {
    size_t count = 0;
    while (words.size && count < STEPS_MAX) {
        const uint8_t *space = memchr(words.data, ' ', words.size);
        const slice word = slice_first(words, space ? (size_t)(space - words.data) : words.size);
        RunbookStep *step = &steps[count];
        *step = (RunbookStep){0};
        for (size_t i = 0; i < sizeof step_words / sizeof *step_words; i++)
            if (slice_equal_text(word, step_words[i].word)) *step = step_words[i].step;
        step->title = word;
        count++;
        words = slice_from(words, word.size + 1);
    }
    return count;
}

static bool create(struct scenario *s, slice title, AutomationLevel level, bool approval) {
    RunbookStep steps[STEPS_MAX];
    SreDomainIntent intent = {.which_intent = SreDomainIntent_create_runbook_tag};
    CreateRunbookRequested *r = &intent.intent.create_runbook;
    r->runbook_id = s->words[2];
    r->title = title;
    r->automation_level = level;
    r->approval_required = approval;
    r->steps.items = steps;
    r->steps.count = steps_of(s->words[3], steps);
    return step_send(s, &intent);
}

static bool runbook_write(struct scenario *s) {
    return create(s, s->words[2], AUTOMATION_LEVEL_UNSPECIFIED, false);
}

static bool runbook_write_automated(struct scenario *s) {
    return create(s, s->words[2], AUTOMATION_LEVEL_AUTOMATED, false);
}

static bool runbook_write_approved(struct scenario *s) {
    return create(s, s->words[2], AUTOMATION_LEVEL_UNSPECIFIED, true);
}

static bool runbook_write_untitled(struct scenario *s) {
    s->words[3] = SLICE_LIT("hand");
    return create(s, (slice){0}, AUTOMATION_LEVEL_UNSPECIFIED, false);
}

static bool runbook_rewrite(struct scenario *s) {
    RunbookStep steps[STEPS_MAX];
    SreDomainIntent intent = {.which_intent = SreDomainIntent_update_runbook_tag};
    UpdateRunbookRequested *r = &intent.intent.update_runbook;
    r->runbook_id = s->words[2];
    r->title = s->words[2];
    r->steps.items = steps;
    r->steps.count = steps_of(s->words[3], steps);
    return step_send(s, &intent);
}

static bool runbook_read(struct scenario *s, Runbook *runbook) {
    return step_read(s, "runbook", s->words[0], SLICE_LIT("acme"), &Runbook_desc, runbook);
}

static const char *const kind_words[] = {"-", "manual", "command", "link", NULL};

/* "step-1:manual:300 step-2:command:60" */
static bool runbook_steps_are(struct scenario *s) {
    Runbook runbook;
    char said[400] = "";
    if (!runbook_read(s, &runbook)) return false;
    for (size_t i = 0; i < runbook.steps.count; i++) {
        const RunbookStep *step = &runbook.steps.items[i];
        const size_t at = strlen(said);
        snprintf(said + at, sizeof said - at, "%s%.*s %s %ds", at ? "; " : "", SLICE_ARG(step->step_id),
                 kind_words[step->kind], step->timeout_seconds);
    }
    return slice_equal_text(s->words[1], said) || step_fails(s, "they are %s", said);
}

static bool runbook_version(struct scenario *s) {
    Runbook runbook;
    if (!runbook_read(s, &runbook)) return false;
    return runbook.version == (int64_t)step_number(s->words[1]) ||
           step_fails(s, "it is %lld", (long long)runbook.version);
}

static bool runbook_absent(struct scenario *s) {
    Runbook runbook;
    if (!step_read(s, "runbook", s->words[0], s->words[1], &Runbook_desc, &runbook)) return true;
    return step_fails(s, "it does");
}

const struct step_row runbook_steps[] = {
    {"{who} of {tenant} writes runbook {id} with the steps {steps}", runbook_write},
    {"{who} of {tenant} writes automated runbook {id} with the steps {steps}", runbook_write_automated},
    {"{who} of {tenant} writes runbook {id} that needs approval , with the steps {steps}", runbook_write_approved},
    {"{who} of {tenant} writes runbook {id} without a title", runbook_write_untitled},
    {"{who} of {tenant} rewrites runbook {id} with the steps {steps}", runbook_rewrite},
    {"the steps of runbook {id} are {steps}", runbook_steps_are},
    {"runbook {id} is at version {n}", runbook_version},
    {"runbook {id} does not exist for {tenant}", runbook_absent},
    {NULL, NULL},
};
