/* SPDX-License-Identifier: Apache-2.0
 * The matrix of a postmortem's states, all pairs, and what publishing needs, each thing alone. */
#include "aggregator/domain/postmortem.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

static struct world *postmortem(PostmortemStatus status) {
    struct world *w = world_new(AGGREGATE_POSTMORTEM, SLICE_LIT("pm-1"));
    CreatePostmortemRequested *r = &world_intent(w, SreDomainIntent_create_postmortem_tag)->intent.create_postmortem;
    slice *incidents = arena_alloc(w->arena, sizeof *incidents);
    *incidents = SLICE_LIT("inc-1");
    world_other(w, AGGREGATE_INCIDENT, *incidents)->version = 1;
    r->title = SLICE_LIT("Down");
    r->summary = r->impact = r->root_cause = SLICE_LIT("text");
    r->incident_ids.items = incidents;
    r->incident_ids.count = 1;
    assert_int_equal(world_give(w), FAULT_NONE);
    w->aggregate.state.postmortem.status = status;
    return w;
}

static fault_code go(struct world *w, PostmortemStatus to) {
    if (to == POSTMORTEM_STATUS_PUBLISHED) {
        world_intent(w, SreDomainIntent_publish_postmortem_tag);
    } else {
        world_intent(w, SreDomainIntent_transition_postmortem_status_tag)->intent.transition_postmortem_status.status =
            to;
    }
    return world_give(w);
}

/* The whole matrix, written out a second time. */
static const struct {
    PostmortemStatus from, to;
} allowed[] = {
    {POSTMORTEM_STATUS_DRAFT, POSTMORTEM_STATUS_IN_REVIEW},
    {POSTMORTEM_STATUS_IN_REVIEW, POSTMORTEM_STATUS_DRAFT},
    {POSTMORTEM_STATUS_IN_REVIEW, POSTMORTEM_STATUS_PUBLISHED},
};

TEST(every_move_is_allowed_or_refused_as_the_matrix_says) {
    for (PostmortemStatus from = POSTMORTEM_STATUS_DRAFT; from <= POSTMORTEM_STATUS_IN_REVIEW; from++)
        for (PostmortemStatus to = POSTMORTEM_STATUS_DRAFT; to <= POSTMORTEM_STATUS_IN_REVIEW; to++) {
            bool may = false;
            for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
                may |= allowed[i].from == from && allowed[i].to == to;
            struct world *w = postmortem(from);
            assert_int_equal(postmortem_may_move(from, to), may);
            CHECK_FAULT(go(w, to), may ? FAULT_NONE : FAULT_CONFLICT);
            assert_int_equal(w->aggregate.state.postmortem.status, may ? to : from);
            assert_int_equal(w->facts.count, may);
            world_free(w);
        }
}

TEST(a_status_from_outside_the_enum_moves_nothing) {
    struct world *w = postmortem(POSTMORTEM_STATUS_DRAFT);
    CHECK_FAULT(go(w, (PostmortemStatus)77), FAULT_CONFLICT);
    CHECK_FAULT(go(w, (PostmortemStatus)-1), FAULT_CONFLICT);
    CHECK_FAULT(go(w, POSTMORTEM_STATUS_UNSPECIFIED), FAULT_CONFLICT);
    assert_false(postmortem_may_move((PostmortemStatus)77, POSTMORTEM_STATUS_DRAFT));
    world_free(w);
}

TEST(each_thing_that_publishing_needs_is_missed_alone) {
    static const char *const words[] = {"summary", "impact", "root_cause", "incident_ids", "owner of every one"};
    for (size_t missing = 0; missing < sizeof words / sizeof *words; missing++) {
        struct world *w = postmortem(POSTMORTEM_STATUS_IN_REVIEW);
        Postmortem *p = &w->aggregate.state.postmortem;
        ActionItem item = {.title = SLICE_LIT("check"), .owner = SLICE_LIT("ben")};
        p->action_items.items = &item;
        p->action_items.count = 1;
        if (missing == 0) p->summary = (slice){0};
        if (missing == 1) p->impact = (slice){0};
        if (missing == 2) p->root_cause = (slice){0};
        if (missing == 3) p->incident_ids.count = 0;
        if (missing == 4) item.owner = (slice){0};
        CHECK_FAULT(go(w, POSTMORTEM_STATUS_PUBLISHED), FAULT_CONFLICT);
        for (size_t k = 0; k < sizeof words / sizeof *words; k++)
            assert_int_equal(strstr(w->fault.text, words[k]) != NULL, k == missing);
        world_free(w);
    }
}

TEST(publishing_a_revision_writes_two_histories_at_once) {
    struct world *w = postmortem(POSTMORTEM_STATUS_IN_REVIEW);
    struct aggregate *old = world_other(w, AGGREGATE_POSTMORTEM, SLICE_LIT("pm-0"));
    old->version = 7;
    old->state.postmortem.status = POSTMORTEM_STATUS_PUBLISHED;
    w->aggregate.state.postmortem.revises = SLICE_LIT("pm-0");
    assert_int_equal(go(w, POSTMORTEM_STATUS_PUBLISHED), FAULT_NONE);
    assert_int_equal(w->facts.count, 2);
    assert_ptr_equal(w->facts.about[1], old);
    assert_int_equal(old->version, 8);
    CHECK_SLICE(old->state.postmortem.superseded_by, "pm-1");
    assert_int_equal(old->state.postmortem.status, POSTMORTEM_STATUS_PUBLISHED);
    CHECK_SLICE(w->aggregate.state.postmortem.published_by, "anna");
    assert_int_equal(domain_ms(w->aggregate.state.postmortem.published_at), DOMAIN_NOW_MS);
    world_free(w);
}

TEST(what_the_sender_left_out_is_completed) {
    struct world *w = postmortem(POSTMORTEM_STATUS_DRAFT);
    UpdatePostmortemRequested *r = &world_intent(w, SreDomainIntent_update_postmortem_tag)->intent.update_postmortem;
    ActionItem items[] = {{.title = SLICE_LIT("one")}, {.title = SLICE_LIT("two"), .status = ACTION_ITEM_STATUS_DONE}};
    TimelineEntry entries[] = {{.at = {.seconds = 20}}, {.at = {.seconds = 10}}};
    r->action_items.items = items;
    r->timeline.items = entries;
    r->action_items.count = r->timeline.count = 2;
    assert_int_equal(world_give(w), FAULT_NONE);
    const Postmortem *now = &w->aggregate.state.postmortem;
    CHECK_SLICE(now->action_items.items[0].action_item_id, "action-1");
    assert_int_equal(now->action_items.items[0].status, ACTION_ITEM_STATUS_OPEN);
    CHECK_SLICE(now->action_items.items[1].action_item_id, "action-2");
    assert_int_equal(now->action_items.items[1].status, ACTION_ITEM_STATUS_DONE);
    assert_int_equal(now->timeline.items[0].at.seconds, 10);
    CHECK_SLICE(now->timeline.items[0].entry_id, "entry-1");
    assert_int_equal(now->timeline.items[0].kind, TIMELINE_ENTRY_KIND_NOTE);
    assert_int_equal(now->revision, 1);
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 0); /* the same again */
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_move_is_allowed_or_refused_as_the_matrix_says),
        cmocka_unit_test(a_status_from_outside_the_enum_moves_nothing),
        cmocka_unit_test(each_thing_that_publishing_needs_is_missed_alone),
        cmocka_unit_test(publishing_a_revision_writes_two_histories_at_once),
        cmocka_unit_test(what_the_sender_left_out_is_completed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
