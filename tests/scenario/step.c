/* SPDX-License-Identifier: Apache-2.0
 * Words of a sentence as numbers, times and choices, and what every sentence does with a journal. */
#include "tests/scenario/step.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool step_fails(struct scenario *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(s->why, s->why_size, format, args);
    va_end(args);
    return false;
}

double step_number(slice word) {
    char text[32];
    return slice_to_text(word, text, sizeof text) ? strtod(text, NULL) : -1;
}

int64_t step_minute_ms(slice word) {
    return JOURNAL_NOW_MS + (int64_t)step_number(word) * 60000;
}

int step_choice(slice word, const char *const *words) {
    for (int i = 0; words[i]; i++)
        if (slice_equal_text(word, words[i])) return i;
    return -1;
}

bool step_send_as(struct scenario *s, SreDomainIntent *intent, slice who, slice tenant, enum method_role role) {
    if (s->message_id.size || s->claimed_tenant.size) intent->has_meta = true;
    intent->meta.message_id = s->message_id;
    intent->meta.tenant_id = s->claimed_tenant;
    s->facts_before = journal_last_sequence(s->place->journal);
    s->outcome =
        *place_command(s->place, (struct journal_command){.caller = {.tenant = arena_copy(s->place->arena, tenant),
                                                                     .actor = arena_copy(s->place->arena, who),
                                                                     .role = s->has_role ? s->role : role,
                                                                     .self = s->self},
                                                          .intent = place_intent(s->place, intent),
                                                          .expected_version = s->expected_version,
                                                          .idempotency_key = s->idempotency_key});
    s->expected_version = 0;
    s->has_role = s->self = false;
    s->idempotency_key = s->message_id = s->claimed_tenant = (slice){0};
    const bool taken = s->outcome.result == JOURNAL_COMMITTED || s->outcome.result == JOURNAL_REPEATED;
    if (s->given && !taken) return step_fails(s, "it is not accepted: %s", s->outcome.fault.text);
    return true;
}

bool step_send(struct scenario *s, SreDomainIntent *intent) {
    return step_send_as(s, intent, s->words[0], s->words[1], ROLE_RESPONDER);
}

/* Commands are decided in the order in which they come: when one behind them is answered, they are. */
static void all_decided(struct scenario *s) {
    SreDomainIntent nothing = {.which_intent = SreDomainIntent_acknowledge_incident_tag};
    nothing.intent.acknowledge_incident.incident_id = SLICE_LIT("none");
    place_command(s->place,
                  (struct journal_command){
                      .caller = {.tenant = SLICE_LIT("clock"), .actor = SLICE_LIT("clock"), .role = ROLE_RESPONDER},
                      .intent = place_intent(s->place, &nothing)});
}

bool step_clock(struct scenario *s) {
    struct fault fault;
    size_t submitted;
    s->facts_before = journal_last_sequence(s->place->journal);
    for (int round = 0; round < 100; round++) { /* what one ends may leave another to end */
        if (journal_submit_due(s->place->journal, 100, &submitted, &fault)) return step_fails(s, "%s", fault.text);
        if (!submitted) return true;
        all_decided(s);
    }
    return step_fails(s, "something is due again and again");
}

bool step_item(slice *words, slice *ret_word) {
    while (words->size && words->data[0] == ' ') *words = slice_from(*words, 1);
    size_t size = 0;
    while (size < words->size && words->data[size] != ' ') size++;
    *ret_word = slice_first(*words, size);
    *words = slice_from(*words, size);
    return size > 0;
}

bool step_read(struct scenario *s, const char *type, slice id, slice tenant, const struct message_desc *desc,
               void *ret_message) {
    struct fault fault = {0};
    slice bytes;
    if (journal_get(s->place->journal, tenant, slice_from_text(type), id, s->place->arena, &bytes, &fault) ||
        codec_decode_protobuf(desc, bytes, s->place->arena, ret_message, &fault))
        return step_fails(s, "%s", fault.text);
    return true;
}

bool step_state_is(struct scenario *s, int64_t status, const char *const *words) {
    const int wanted = step_choice(s->words[1], words);
    return wanted == status || step_fails(s, "it is %s", words[status]);
}
