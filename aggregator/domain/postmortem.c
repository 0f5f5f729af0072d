/* SPDX-License-Identifier: Apache-2.0
 * All changes of status pass one function and one matrix. Text is stored complete: action items and timeline entries
 * have ids ("action-1", "entry-1" where the sender gave none), the timeline is in the order of time, and what is
 * compared is that, so that sending the same file a second time is a repeat.
 *
 * Revisions are a chain: at most one published postmortem corrects another. Two drafts may be under way to correct the
 * same one; the first to be published wins, the second is refused and names the winner, which it can then revise. */
#include "aggregator/domain/postmortem.h"

#include "aggregator/domain/content.h"
#include "aggregator/domain/item_list.h"

enum { STATUSES = POSTMORTEM_STATUS_IN_REVIEW + 1 };

#define TO(status) (1u << POSTMORTEM_STATUS_##status)
static const unsigned may_move[STATUSES] = {
    [POSTMORTEM_STATUS_DRAFT] = TO(IN_REVIEW),
    [POSTMORTEM_STATUS_IN_REVIEW] = TO(DRAFT) | TO(PUBLISHED),
    [POSTMORTEM_STATUS_PUBLISHED] = 0,
};
#undef TO
static const char *const status_names[STATUSES] = {
    [POSTMORTEM_STATUS_UNSPECIFIED] = "unspecified",
    [POSTMORTEM_STATUS_DRAFT] = "draft",
    [POSTMORTEM_STATUS_PUBLISHED] = "published",
    [POSTMORTEM_STATUS_IN_REVIEW] = "in review",
};

bool postmortem_may_move(PostmortemStatus from, PostmortemStatus to) {
    return (unsigned)from < STATUSES && (unsigned)to < STATUSES && (may_move[from] & 1u << to);
}

static fault_code move_check(const struct aggregate *aggregate, PostmortemStatus to, struct fault *reterr) {
    if (!aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_ABSENT, "postmortem '%.*s' does not exist", SLICE_ARG(aggregate->id));
    const PostmortemStatus from = aggregate->state.postmortem.status;
    if (postmortem_may_move(from, to)) return FAULT_NONE;
    return fault_set(reterr, FAULT_CONFLICT, "postmortem '%.*s' cannot go from %s to %s%s", SLICE_ARG(aggregate->id),
                     status_names[from], (unsigned)to < STATUSES ? status_names[to] : "an unknown status",
                     from == POSTMORTEM_STATUS_DRAFT && to == POSTMORTEM_STATUS_PUBLISHED ? ": hand it to review first"
                     : from == POSTMORTEM_STATUS_PUBLISHED ? ": correct it with a new one that revises it"
                     : from == POSTMORTEM_STATUS_DRAFT     ? ", only to in review"
                                                           : ", only to draft, published");
}

/* ---- text ---- */

#define ACTION_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                                 \
    ONE(action_item_id)                                                                                                \
    ONE(title)                                                                                                         \
    ONE(owner)                                                                                                         \
    ONE(status)                                                                                                        \
    ONE(has_due_at)                                                                                                    \
    ONE(due_at)                                                                                                        \
    ONE(ticket_url)
static bool action_equal(const ActionItem *a, const ActionItem *b) {
    CONTENT_EQUAL(ACTION_CONTENT)
    return true;
}

#define ENTRY_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                                  \
    ONE(entry_id)                                                                                                      \
    ONE(at)                                                                                                            \
    ONE(author)                                                                                                        \
    ONE(kind)                                                                                                          \
    ONE(text)                                                                                                          \
    TEXTS(links)
static bool entry_equal(const TimelineEntry *a, const TimelineEntry *b) {
    CONTENT_EQUAL(ENTRY_CONTENT)
    return true;
}

#define POSTMORTEM_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                             \
    ONE(title)                                                                                                         \
    TEXTS(incident_ids)                                                                                                \
    ONE(service_id)                                                                                                    \
    ONE(severity)                                                                                                      \
    ONE(summary)                                                                                                       \
    ONE(impact)                                                                                                        \
    ONE(root_cause)                                                                                                    \
    ONE(root_cause_category)                                                                                           \
    LIST(timeline, entry_equal)                                                                                        \
    TEXTS(lessons)                                                                                                     \
    LIST(action_items, action_equal)                                                                                   \
    TEXTS(authors)                                                                                                     \
    TEXTS(tags)                                                                                                        \
    TEXTS(contributing_factors)
static bool postmortem_equal(const Postmortem *a, const Postmortem *b) {
    CONTENT_EQUAL(POSTMORTEM_CONTENT)
    return true;
}

static fault_code actions_complete(Postmortem *postmortem, struct arena *arena, struct fault *reterr) {
    const size_t count = postmortem->action_items.count;
    if (!count) return FAULT_NONE;
    ActionItem *items = arena_alloc_array(arena, count, sizeof *items);
    if (!items) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    memcpy(items, postmortem->action_items.items, count * sizeof *items);
    for (size_t i = 0; i < count; i++)
        if (!items[i].status) items[i].status = ACTION_ITEM_STATUS_OPEN;
    postmortem->action_items.items = items;
    return item_list_complete_ids(items, count, sizeof *items, "action_items", "action_item_id", "action", arena,
                                  reterr);
}

static fault_code timeline_complete(Postmortem *postmortem, struct arena *arena, struct fault *reterr) {
    const size_t count = postmortem->timeline.count;
    if (!count) return FAULT_NONE;
    TimelineEntry *items =
        item_list_by_time(postmortem->timeline.items, count, sizeof *items, offsetof(TimelineEntry, at), arena);
    if (!items) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    for (size_t i = 0; i < count; i++)
        if (!items[i].kind) items[i].kind = TIMELINE_ENTRY_KIND_NOTE;
    postmortem->timeline.items = items;
    return item_list_complete_ids(items, count, sizeof *items, "timeline", "entry_id", "entry", arena, reterr);
}

static fault_code incidents_check(const Postmortem *postmortem, const struct domain_call *call, struct fault *reterr) {
    const slice *ids = postmortem->incident_ids.items;
    const size_t count = postmortem->incident_ids.count;
    fault_code code = item_list_each_once(ids, count, sizeof *ids, "incident_ids", call->arena, reterr);
    for (size_t i = 0; !code && i < count; i++) {
        const struct aggregate *incident;
        code = domain_find(call, AGGREGATE_INCIDENT, ids[i], &incident, reterr);
        if (!code && !aggregate_exists(incident))
            return fault_set(reterr, FAULT_ABSENT, "incident_ids[%zu]: incident '%.*s' does not exist", i,
                             SLICE_ARG(ids[i]));
    }
    return code;
}

/* Completes what was copied from an intent, and checks it. */
static fault_code complete(Postmortem *postmortem, const struct aggregate *aggregate, const struct domain_call *call,
                           struct fault *reterr) {
    postmortem->postmortem_id = aggregate->id;
    postmortem->has_created_at = postmortem->has_updated_at = true;
    postmortem->created_at = postmortem->updated_at = domain_time(call->now_ms);
    postmortem->version = (int64_t)aggregate->version + 1;
    fault_code code = actions_complete(postmortem, call->arena, reterr);
    if (!code) code = timeline_complete(postmortem, call->arena, reterr);
    return code ? code : incidents_check(postmortem, call, reterr);
}

/* ---- revisions ---- */

/* One that may be corrected: it is published, and nothing corrects it yet. */
static fault_code revised_find(const struct domain_call *call, slice id, const struct aggregate **ret_revised,
                               struct fault *reterr) {
    const struct aggregate *revised;
    const fault_code code = domain_find(call, AGGREGATE_POSTMORTEM, id, &revised, reterr);
    if (code) return code;
    if (!aggregate_exists(revised))
        return fault_set(reterr, FAULT_ABSENT, "revises: postmortem '%.*s' does not exist", SLICE_ARG(id));
    const Postmortem *state = &revised->state.postmortem;
    if (state->status != POSTMORTEM_STATUS_PUBLISHED)
        return fault_set(reterr, FAULT_CONFLICT, "revises: postmortem '%.*s' is %s, not published: change it itself",
                         SLICE_ARG(id), status_names[state->status]);
    if (state->superseded_by.size)
        return fault_set(reterr, FAULT_CONFLICT, "revises: postmortem '%.*s' was superseded by '%.*s': revise that one",
                         SLICE_ARG(id), SLICE_ARG(state->superseded_by));
    *ret_revised = revised;
    return FAULT_NONE;
}

fault_code postmortem_decide_create(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                    struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const CreatePostmortemRequested *from = &intent->intent.create_postmortem;
    if (aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_EXISTS, "postmortem '%.*s' exists already, and is %s", SLICE_ARG(aggregate->id),
                         status_names[aggregate->state.postmortem.status]);
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_postmortem_created_tag);
    fact->fact.postmortem_created.has_postmortem = true;
    Postmortem *to = &fact->fact.postmortem_created.postmortem;
    CONTENT_COPY(POSTMORTEM_CONTENT)
    to->status = POSTMORTEM_STATUS_DRAFT;
    to->revision = 1;
    to->revises = from->revises;
    if (from->revises.size) {
        const struct aggregate *revised;
        const fault_code code = revised_find(call, from->revises, &revised, reterr);
        if (code) return code;
        to->revision = revised->state.postmortem.revision + 1;
    }
    return complete(to, aggregate, call, reterr);
}

fault_code postmortem_decide_update(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                    struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const Postmortem *state = &aggregate->state.postmortem;
    if (!aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_ABSENT, "postmortem '%.*s' does not exist", SLICE_ARG(aggregate->id));
    if (state->status == POSTMORTEM_STATUS_PUBLISHED)
        return fault_set(
            reterr, FAULT_CONFLICT,
            "postmortem '%.*s' is published and stays as it is: correct it with a new one that revises it; "
            "what becomes of its action items is in their tickets",
            SLICE_ARG(aggregate->id));
    const UpdatePostmortemRequested *from = &intent->intent.update_postmortem;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_postmortem_updated_tag);
    fact->fact.postmortem_updated.has_postmortem = true;
    Postmortem *to = &fact->fact.postmortem_updated.postmortem;
    *to = *state;
    CONTENT_COPY(POSTMORTEM_CONTENT)
    const fault_code code = complete(to, aggregate, call, reterr);
    to->created_at = state->created_at;
    if (!code && postmortem_equal(to, state)) ret_facts->count = 0;
    return code;
}

/* ---- status ---- */

fault_code postmortem_decide_transition(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                        struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const TransitionPostmortemStatusRequested *request = &intent->intent.transition_postmortem_status;
    const fault_code code = move_check(aggregate, request->status, reterr);
    if (code) return code;
    if (request->status == POSTMORTEM_STATUS_PUBLISHED) /* an approver's, with its own conditions */
        return fault_set(reterr, FAULT_INPUT, "status: to publish it is PublishPostmortem's");
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_postmortem_status_changed_tag);
    fact->fact.postmortem_status_changed = (PostmortemStatusChanged){.postmortem_id = aggregate->id,
                                                                     .from = aggregate->state.postmortem.status,
                                                                     .to = request->status,
                                                                     .changed_by = call->actor,
                                                                     .reason = request->reason};
    return FAULT_NONE;
}

static fault_code publishable(const struct aggregate *aggregate, struct arena *arena, struct fault *reterr) {
    const Postmortem *p = &aggregate->state.postmortem;
    size_t unowned = 0;
    for (size_t i = 0; i < p->action_items.count; i++) unowned += p->action_items.items[i].owner.size == 0;
    const struct {
        bool missing;
        const char *what;
    } rows[] = {
        {!p->summary.size, "summary"},
        {!p->impact.size, "impact"},
        {!p->root_cause.size, "root_cause"},
        {!p->incident_ids.count && !p->timeline.count, "incident_ids (or, for a near miss, a timeline)"},
        {unowned != 0, "owner of every one of the action_items"},
    };
    slice missing = SLICE_LIT("");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].missing) continue;
        missing = arena_format(arena, "%.*s%s%s", SLICE_ARG(missing), missing.size ? ", " : "", rows[i].what);
        if (!missing.data) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    }
    if (!missing.size) return FAULT_NONE;
    return fault_set(reterr, FAULT_CONFLICT, "postmortem '%.*s' cannot be published yet, there is no %.*s",
                     SLICE_ARG(aggregate->id), SLICE_ARG(missing));
}

fault_code postmortem_decide_publish(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                     struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    fault_code code = move_check(aggregate, POSTMORTEM_STATUS_PUBLISHED, reterr);
    if (!code) code = publishable(aggregate, call->arena, reterr);
    if (code) return code;
    const struct aggregate *revised = NULL;
    const slice revises = aggregate->state.postmortem.revises;
    if (revises.size) code = revised_find(call, revises, &revised, reterr);
    if (code) return code;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_postmortem_published_tag);
    fact->fact.postmortem_published = (PostmortemPublished){.postmortem_id = aggregate->id,
                                                            .published_by = call->actor,
                                                            .has_published_at = true,
                                                            .published_at = domain_time(call->now_ms)};
    if (!revised) return FAULT_NONE;
    fact = fact_list_add_about(ret_facts, SreDomainFact_postmortem_superseded_tag, revised);
    fact->fact.postmortem_superseded =
        (PostmortemSuperseded){.postmortem_id = revised->id, .superseded_by = aggregate->id};
    return FAULT_NONE;
}

/* ---- apply ---- */

static Postmortem *updated(struct aggregate *aggregate, int64_t now_ms) {
    aggregate->state.postmortem.has_updated_at = true;
    aggregate->state.postmortem.updated_at = domain_time(now_ms);
    return &aggregate->state.postmortem;
}

void postmortem_apply_created(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                              struct arena *arena) {
    aggregate->state.postmortem = fact->fact.postmortem_created.postmortem;
}

void postmortem_apply_updated(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                              struct arena *arena) {
    aggregate->state.postmortem = fact->fact.postmortem_updated.postmortem;
}

void postmortem_apply_status(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                             struct arena *arena) {
    updated(aggregate, now_ms)->status = fact->fact.postmortem_status_changed.to;
}

void postmortem_apply_published(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                struct arena *arena) {
    Postmortem *postmortem = updated(aggregate, now_ms);
    postmortem->status = POSTMORTEM_STATUS_PUBLISHED;
    postmortem->published_by = fact->fact.postmortem_published.published_by;
    postmortem->has_published_at = true;
    postmortem->published_at = fact->fact.postmortem_published.published_at;
}

void postmortem_apply_superseded(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                 struct arena *arena) {
    updated(aggregate, now_ms)->superseded_by = fact->fact.postmortem_superseded.superseded_by;
}
