/* SPDX-License-Identifier: Apache-2.0
 * Create and update carry the same content and pass the same checks; an update that changes nothing is a repeat. What
 * is compared is the content as it would be stored, with ids made and kinds derived, so that sending the same file a
 * second time has no effect.
 *
 * An automated runbook runs without a person. A step that a person has to do, or a page that a person has to read,
 * cannot be in it: it would wait for nobody until it times out. */
#include "aggregator/domain/runbook.h"

#include "aggregator/domain/content.h"
#include "aggregator/domain/item_list.h"

#define STEP_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                                   \
    ONE(step_id)                                                                                                       \
    ONE(title)                                                                                                         \
    ONE(instructions)                                                                                                  \
    ONE(command)                                                                                                       \
    ONE(timeout_seconds)                                                                                               \
    ONE(approval_required)                                                                                             \
    ONE(kind)                                                                                                          \
    ONE(link)                                                                                                          \
    ONE(expected_result)
static bool step_equal(const RunbookStep *a, const RunbookStep *b) {
    CONTENT_EQUAL(STEP_CONTENT)
    return true;
}

#define RUNBOOK_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                                \
    ONE(title)                                                                                                         \
    ONE(description)                                                                                                   \
    TEXTS(trigger_conditions)                                                                                          \
    LIST(steps, step_equal)                                                                                            \
    ONE(automation_level)                                                                                              \
    ONE(approval_required)                                                                                             \
    ONE(owner)                                                                                                         \
    TEXTS(tags)                                                                                                        \
    ONE(service_id)
static bool runbook_equal(const Runbook *a, const Runbook *b) {
    CONTENT_EQUAL(RUNBOOK_CONTENT)
    return true;
}

static fault_code step_complete(RunbookStep *step, size_t i, AutomationLevel level, struct fault *reterr) {
    const bool command = step->command.size, link = step->link.size;
    if (!step->kind)
        step->kind = link ? RUNBOOK_STEP_KIND_LINK : command ? RUNBOOK_STEP_KIND_COMMAND : RUNBOOK_STEP_KIND_MANUAL;
    if (!step->timeout_seconds) step->timeout_seconds = RUNBOOK_STEP_SECONDS_MAX;
    const bool is_command = step->kind == RUNBOOK_STEP_KIND_COMMAND, is_link = step->kind == RUNBOOK_STEP_KIND_LINK;
    if (is_command && !command)
        return fault_set(reterr, FAULT_INPUT, "steps[%zu].command: is needed, the step's kind is COMMAND", i);
    if (is_link && !link)
        return fault_set(reterr, FAULT_INPUT, "steps[%zu].link: is needed, the step's kind is LINK", i);
    if (command && !is_command)
        return fault_set(reterr, FAULT_INPUT, "steps[%zu].command: only a step of kind COMMAND has one%s", i,
                         is_link ? "; make a step of its own for the link" : "");
    if (link && !is_link)
        return fault_set(reterr, FAULT_INPUT, "steps[%zu].link: only a step of kind LINK has one%s", i,
                         is_command ? "; make a step of its own for the link, or put it into the instructions" : "");
    if (level == AUTOMATION_LEVEL_AUTOMATED && !is_command)
        return fault_set(
            reterr, FAULT_INPUT,
            "automation_level: AUTOMATED runs without a person, and steps[%zu] ('%.*s') needs one: it is %s. "
            "Make it a command, or the runbook ASSISTED",
            i, SLICE_ARG(slice_first(step->step_id, 64)), is_link ? "a page to be opened" : "to be done by hand");
    return FAULT_NONE;
}

/* Steps as they are stored, in a list of their own. */
static fault_code complete(Runbook *runbook, struct arena *arena, struct fault *reterr) {
    const size_t count = runbook->steps.count;
    if (!runbook->automation_level) runbook->automation_level = AUTOMATION_LEVEL_MANUAL;
    if (!count) return FAULT_NONE;
    RunbookStep *steps = arena_alloc_array(arena, count, sizeof *steps);
    if (!steps) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    memcpy(steps, runbook->steps.items, count * sizeof *steps);
    runbook->steps.items = steps;
    const fault_code code =
        item_list_complete_ids(steps, count, sizeof *steps, "steps", "step_id", "step", arena, reterr);
    if (code) return code;
    for (size_t i = 0; i < count; i++)
        if (step_complete(&steps[i], i, runbook->automation_level, reterr)) return FAULT_INPUT;
    return FAULT_NONE;
}

static void stamp(Runbook *runbook, const struct aggregate *aggregate, const struct domain_call *call) {
    const bool exists = aggregate_exists(aggregate);
    runbook->runbook_id = aggregate->id;
    runbook->has_created_at = runbook->has_updated_at = true;
    runbook->updated_at = domain_time(call->now_ms);
    runbook->created_at = exists ? aggregate->state.runbook.created_at : runbook->updated_at;
    runbook->version = (int64_t)aggregate->version + 1;
}

fault_code runbook_decide_create(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                 struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    if (aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_EXISTS,
                         "runbook '%.*s' exists already, at version %llu; change it with UpdateRunbook",
                         SLICE_ARG(aggregate->id), (unsigned long long)aggregate->version);
    const CreateRunbookRequested *from = &intent->intent.create_runbook;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_runbook_created_tag);
    fact->fact.runbook_created.has_runbook = true;
    Runbook *to = &fact->fact.runbook_created.runbook;
    CONTENT_COPY(RUNBOOK_CONTENT)
    stamp(to, aggregate, call);
    return complete(to, call->arena, reterr);
}

static bool asks_for_approval(const Runbook *runbook) {
    for (size_t i = 0; i < runbook->steps.count; i++)
        if (runbook->steps.items[i].approval_required) return true;
    return runbook->approval_required;
}

fault_code runbook_decide_update(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                 struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    if (!aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_ABSENT, "runbook '%.*s' does not exist", SLICE_ARG(aggregate->id));
    const UpdateRunbookRequested *from = &intent->intent.update_runbook;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_runbook_updated_tag);
    fact->fact.runbook_updated.has_runbook = true;
    Runbook *to = &fact->fact.runbook_updated.runbook;
    CONTENT_COPY(RUNBOOK_CONTENT)
    stamp(to, aggregate, call);
    const fault_code code = complete(to, call->arena, reterr);
    if (!code && runbook_equal(to, &aggregate->state.runbook)) ret_facts->count = 0;
    /* Or whoever may not approve an execution would take out the question, and run it. */
    if (!code && asks_for_approval(&aggregate->state.runbook) && !asks_for_approval(to) &&
        !(call->sender & (APPROVERS | ADMINS | SELF)))
        return fault_set(reterr, FAULT_DENIED,
                         "runbook '%.*s' asks for approval: that it no longer does is for an approver to say",
                         SLICE_ARG(aggregate->id));
    return code;
}

void runbook_apply_created(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                           struct arena *arena) {
    aggregate->state.runbook = fact->fact.runbook_created.runbook;
}

void runbook_apply_updated(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                           struct arena *arena) {
    aggregate->state.runbook = fact->fact.runbook_updated.runbook;
}
