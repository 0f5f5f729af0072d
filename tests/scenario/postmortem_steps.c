/* SPDX-License-Identifier: Apache-2.0
 * Sentences about postmortems. */
#include "tests/scenario/step.h"

static const char *const postmortem_words[] = {"-", "draft", "published", "in review", NULL};

static bool draft(struct scenario *s, slice incident, slice revises, bool text, const ActionItem *item) {
    ActionItem items[1];
    SreDomainIntent intent = {.which_intent = SreDomainIntent_create_postmortem_tag};
    CreatePostmortemRequested *r = &intent.intent.create_postmortem;
    r->postmortem_id = s->words[2];
    r->title = SLICE_LIT("Checkout was down");
    r->revises = revises;
    if (incident.size) {
        r->incident_ids.items = &incident;
        r->incident_ids.count = 1;
    }
    if (text) {
        r->summary = SLICE_LIT("For ten minutes nobody could pay.");
        r->impact = SLICE_LIT("1,200 carts were left.");
        r->root_cause = SLICE_LIT("A release without its migration.");
    }
    if (item) {
        items[0] = *item;
        r->action_items.items = items;
        r->action_items.count = 1;
    }
    return step_send(s, &intent);
}

static bool postmortem_draft(struct scenario *s) {
    return draft(s, s->words[3], (slice){0}, true, NULL);
}

static bool postmortem_draft_empty(struct scenario *s) {
    return draft(s, (slice){0}, (slice){0}, false, NULL);
}

static bool postmortem_draft_correcting(struct scenario *s) {
    return draft(s, s->words[4], s->words[3], true, NULL);
}

static bool postmortem_draft_unowned(struct scenario *s) {
    const ActionItem item = {.title = SLICE_LIT("check migrations before a release")};
    return draft(s, s->words[3], (slice){0}, true, &item);
}

/* who, tenant, postmortem, minute, minute */
static bool postmortem_timeline(struct scenario *s) {
    TimelineEntry entries[2];
    SreDomainIntent intent = {.which_intent = SreDomainIntent_update_postmortem_tag};
    UpdatePostmortemRequested *r = &intent.intent.update_postmortem;
    r->postmortem_id = s->words[2];
    r->title = SLICE_LIT("A near miss");
    r->summary = r->impact = r->root_cause = SLICE_LIT("It nearly happened.");
    for (int i = 0; i < 2; i++)
        entries[i] =
            (TimelineEntry){.has_at = true,
                            .at = domain_time(step_minute_ms(s->words[3 + i])),
                            .text = arena_format(s->place->arena, "at minute %.*s", SLICE_ARG(s->words[3 + i]))};
    r->timeline.items = entries;
    r->timeline.count = 2;
    return step_send(s, &intent);
}

static bool postmortem_rewrite(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_update_postmortem_tag};
    UpdatePostmortemRequested *r = &intent.intent.update_postmortem;
    r->postmortem_id = s->words[2];
    r->title = SLICE_LIT("Checkout was down");
    r->summary = s->words[3];
    return step_send(s, &intent);
}

static bool postmortem_tie(struct scenario *s) {
    slice ids[2] = {s->words[3], s->words[4]};
    SreDomainIntent intent = {.which_intent = SreDomainIntent_update_postmortem_tag};
    UpdatePostmortemRequested *r = &intent.intent.update_postmortem;
    r->postmortem_id = s->words[2];
    r->title = SLICE_LIT("Checkout was down");
    r->incident_ids.items = ids;
    r->incident_ids.count = 2;
    return step_send(s, &intent);
}

static bool postmortem_move(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_transition_postmortem_status_tag};
    intent.intent.transition_postmortem_status.postmortem_id = s->words[2];
    intent.intent.transition_postmortem_status.status = (PostmortemStatus)step_choice(s->words[3], postmortem_words);
    return step_send(s, &intent);
}

static bool postmortem_publish(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_publish_postmortem_tag};
    intent.intent.publish_postmortem.postmortem_id = s->words[2];
    return step_send(s, &intent);
}

static bool postmortem_read(struct scenario *s, Postmortem *postmortem) {
    return step_read(s, "postmortem", s->words[0], SLICE_LIT("acme"), &Postmortem_desc, postmortem);
}

static bool postmortem_is(struct scenario *s) {
    Postmortem p;
    return postmortem_read(s, &p) && step_state_is(s, p.status, postmortem_words);
}

static bool text_is(struct scenario *s, slice text) {
    return slice_equal(text, s->words[1]) || step_fails(s, "it is '%.*s'", SLICE_ARG(text));
}

static bool postmortem_superseded(struct scenario *s) {
    Postmortem p;
    return postmortem_read(s, &p) && text_is(s, p.superseded_by);
}

static bool postmortem_published_by(struct scenario *s) {
    Postmortem p;
    return postmortem_read(s, &p) && text_is(s, p.published_by);
}

static bool postmortem_says(struct scenario *s) {
    Postmortem p;
    return postmortem_read(s, &p) && text_is(s, p.summary);
}

static bool postmortem_begins(struct scenario *s) {
    Postmortem p;
    if (!postmortem_read(s, &p)) return false;
    if (!p.timeline.count) return step_fails(s, "it has no timeline");
    return text_is(s, p.timeline.items[0].text);
}

static bool postmortem_revision(struct scenario *s) {
    Postmortem p;
    if (!postmortem_read(s, &p)) return false;
    return p.revision == (int32_t)step_number(s->words[1]) || step_fails(s, "it is %d", p.revision);
}

static bool postmortem_version(struct scenario *s) {
    Postmortem p;
    if (!postmortem_read(s, &p)) return false;
    return p.version == (int64_t)step_number(s->words[1]) || step_fails(s, "it is %lld", (long long)p.version);
}

static bool postmortem_absent(struct scenario *s) {
    Postmortem p;
    if (!step_read(s, "postmortem", s->words[0], s->words[1], &Postmortem_desc, &p)) return true;
    return step_fails(s, "it does");
}

const struct step_row postmortem_steps[] = {
    {"{who} of {tenant} drafts postmortem {id} about incident {id}", postmortem_draft},
    {"{who} of {tenant} drafts postmortem {id} that says nothing yet", postmortem_draft_empty},
    {"{who} of {tenant} drafts postmortem {id} that corrects {id} about incident {id}", postmortem_draft_correcting},
    {"{who} of {tenant} drafts postmortem {id} about incident {id} , with an action item of nobody",
     postmortem_draft_unowned},
    {"{who} of {tenant} writes postmortem {id} of a near miss , with what was at minute {m} and at minute {m}",
     postmortem_timeline},
    {"{who} of {tenant} writes into postmortem {id} only the summary {text}", postmortem_rewrite},
    {"{who} of {tenant} ties postmortem {id} to incidents {id} and {id}", postmortem_tie},
    {"{who} of {tenant} moves postmortem {id} to {status}", postmortem_move},
    {"{who} of {tenant} publishes postmortem {id}", postmortem_publish},
    {"postmortem {id} is {status}", postmortem_is},
    {"postmortem {id} is superseded by {id}", postmortem_superseded},
    {"postmortem {id} is published by {who}", postmortem_published_by},
    {"the summary of postmortem {id} is {text}", postmortem_says},
    {"the timeline of postmortem {id} begins with {text}", postmortem_begins},
    {"postmortem {id} is revision {n}", postmortem_revision},
    {"postmortem {id} is at version {n}", postmortem_version},
    {"postmortem {id} does not exist for {tenant}", postmortem_absent},
    {NULL, NULL},
};
