/* SPDX-License-Identifier: Apache-2.0
 * A sentence is a row of one of the tables: a pattern whose words in braces are what it is about, and a function that
 * gets these words. Two rows that fit the same sentence are a mistake, and said. */
#include "tests/scenario/scenario_steps.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/scenario/step.h"

static const struct step_row *const tables[] = {
    incident_steps, alert_steps,      health_check_steps,      slo_steps,         outcome_steps, runbook_steps,
    service_steps,  postmortem_steps, runbook_execution_steps, fleet_state_steps, agent_steps,   diagnostics_steps,
};
enum { TABLES = sizeof tables / sizeof *tables };

struct scenario *scenario_new(void) {
    struct scenario *s = calloc(1, sizeof *s);
    if (!s) abort();
    s->place = place_opened();
    return s;
}

struct scenario *scenario_free(struct scenario *s) {
    place_free(s->place);
    free(s);
    return NULL;
}

/* The next word: up to a space, a mark (: or ,) alone, or what stands in quotes. */
static bool word_take(slice *text, slice *ret_word) {
    while (text->size && text->data[0] == ' ') *text = slice_from(*text, 1);
    if (text->size == 0) return false;
    size_t size = 0;
    if (text->data[0] == '"') {
        const slice rest = slice_from(*text, 1);
        while (size < rest.size && rest.data[size] != '"') size++;
        *ret_word = slice_first(rest, size);
        *text = slice_from(rest, size + 1);
        return true;
    }
    if (text->data[0] == ':' || text->data[0] == ',')
        size = 1;
    else
        while (size < text->size && !memchr(" ,:", text->data[size], 3)) size++;
    *ret_word = slice_first(*text, size);
    *text = slice_from(*text, size);
    return true;
}

static bool matches(slice pattern, slice sentence, slice words[STEP_WORDS_MAX]) {
    size_t count = 0;
    slice wanted, given;
    while (word_take(&pattern, &wanted)) {
        if (!word_take(&sentence, &given)) return false;
        if (wanted.size && wanted.data[0] == '{') {
            if (count == STEP_WORDS_MAX) return false;
            words[count++] = given;
        } else if (!slice_equal(wanted, given)) {
            return false;
        }
    }
    return !word_take(&sentence, &given);
}

enum step_result scenario_step(struct scenario *s, slice sentence, bool given, char *ret_why, size_t why_size) {
    slice words[STEP_WORDS_MAX];
    const struct step_row *found = NULL;
    s->given = given;
    s->why = ret_why;
    s->why_size = why_size;
    for (size_t t = 0; t < TABLES; t++)
        for (const struct step_row *row = tables[t]; row->pattern; row++) {
            if (!matches(slice_from_text(row->pattern), sentence, words)) continue;
            if (found) {
                (void)step_fails(s, "two sentences fit it: '%s' and '%s'", found->pattern, row->pattern);
                return STEP_FAILED;
            }
            found = row;
            memcpy(s->words, words, sizeof words);
        }
    if (!found) return STEP_UNKNOWN;
    return found->run(s) ? STEP_DONE : STEP_FAILED;
}

void scenario_sentences_print(void) {
    for (size_t t = 0; t < TABLES; t++)
        for (const struct step_row *row = tables[t]; row->pattern; row++) printf("    %s\n", row->pattern);
}
