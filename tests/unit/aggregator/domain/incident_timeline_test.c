/* SPDX-License-Identifier: Apache-2.0
 * The timeline: in order, bounded, and what apply writes into it by itself. */
#include "aggregator/domain/incident_timeline.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

static struct world *incident_is(IncidentStatus status) {
    struct world *w = world_new(AGGREGATE_INCIDENT, SLICE_LIT("inc-1"));
    CreateIncidentRequested *create = &world_intent(w, SreDomainIntent_create_incident_tag)->intent.create_incident;
    create->title = SLICE_LIT("Checkout is down");
    create->severity = SEVERITY_HIGH;
    assert_int_equal(world_give(w), FAULT_NONE);
    w->aggregate.state.incident.status = status;
    return w;
}

static fault_code go(struct world *w, IncidentStatus to, const char *reason) {
    SreDomainIntent *intent = world_intent(w, SreDomainIntent_transition_incident_status_tag);
    intent->intent.transition_incident_status.status = to;
    intent->intent.transition_incident_status.reason = slice_from_text(reason);
    return world_give(w);
}

static fault_code entry(struct world *w, const char *id, const char *text, int64_t at_ms) {
    AddIncidentTimelineEntryRequested *add =
        &world_intent(w, SreDomainIntent_add_timeline_entry_tag)->intent.add_timeline_entry;
    add->entry_id = slice_from_text(id);
    add->text = slice_from_text(text);
    add->has_at = at_ms != 0;
    add->at = domain_time(at_ms);
    return world_give(w);
}

TEST(the_timeline_is_ordered_by_when_it_happened_and_takes_an_entry_once) {
    struct world *w = incident_is(INCIDENT_STATUS_CLOSED); /* what is learned later still belongs to it */
    assert_int_equal(entry(w, "e-2", "second", DOMAIN_NOW_MS - 1000), FAULT_NONE);
    assert_int_equal(entry(w, "e-1", "first", DOMAIN_NOW_MS - 2000), FAULT_NONE);
    assert_int_equal(entry(w, "", "third", 0), FAULT_NONE);
    const Incident *now = &w->aggregate.state.incident;
    assert_int_equal(now->timeline.count, 4);
    CHECK_SLICE(now->timeline.items[0].text, "first");
    CHECK_SLICE(now->timeline.items[1].text, "second");
    CHECK_SLICE(now->timeline.items[2].text, "opened with severity high");
    CHECK_SLICE(now->timeline.items[3].text, "third");
    assert_int_equal(now->timeline.items[3].entry_id.size, 36); /* made */
    CHECK_SLICE(now->timeline.items[3].author, "anna");
    assert_int_equal(entry(w, "e-1", "first", 0), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    CHECK_FAULT(entry(w, "e-1", "something else", 0), FAULT_EXISTS);
    assert_int_equal(now->timeline.count, 4);
    world_free(w);
}

static void fill(struct world *w, size_t count) {
    TimelineEntry *items = arena_alloc_array(w->arena, count, sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = (TimelineEntry){.entry_id = arena_format(w->arena, "e-%zu", i),
                                   .text = SLICE_LIT("x"),
                                   .has_at = true,
                                   .at = domain_time(DOMAIN_NOW_MS - 10000)};
    w->aggregate.state.incident.timeline.items = items;
    w->aggregate.state.incident.timeline.count = count;
}

TEST(the_timeline_ends_at_its_number_of_entries) {
    struct world *w = incident_is(INCIDENT_STATUS_OPEN);
    fill(w, INCIDENT_TIMELINE_MAX - 2);
    assert_int_equal(entry(w, "", "the last one", 0), FAULT_NONE);
    CHECK_FAULT(entry(w, "", "one too many", 0), FAULT_CONFLICT);
    assert_int_equal(entry(w, "e-1", "x", 0), FAULT_NONE); /* a repeat stays a repeat */
    assert_int_equal(w->facts.count, 0);
    world_free(w);
}

/* What happens cannot be refused; it is left out, and that is said once. */
TEST(a_full_timeline_says_once_that_it_leaves_out_what_happens) {
    struct world *w = incident_is(INCIDENT_STATUS_OPEN);
    const Incident *now = &w->aggregate.state.incident;
    fill(w, INCIDENT_TIMELINE_MAX - 2);
    assert_int_equal(go(w, INCIDENT_STATUS_INVESTIGATING, ""), FAULT_NONE);
    assert_int_equal(now->timeline.count, INCIDENT_TIMELINE_MAX - 1);
    CHECK_SLICE(now->timeline.items[INCIDENT_TIMELINE_MAX - 2].text, "open -> investigating");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(go(w, INCIDENT_STATUS_MITIGATING, ""), FAULT_NONE);
        assert_int_equal(go(w, INCIDENT_STATUS_INVESTIGATING, ""), FAULT_NONE);
        assert_int_equal(now->timeline.count, INCIDENT_TIMELINE_MAX);
        CHECK_SLICE(now->timeline.items[INCIDENT_TIMELINE_MAX - 1].text, incident_timeline_full_text);
        assert_int_equal(now->timeline.items[INCIDENT_TIMELINE_MAX - 1].kind, TIMELINE_ENTRY_KIND_NOTE);
    }
    world_free(w);
    w = incident_is(INCIDENT_STATUS_OPEN); /* full by its bytes */
    static char text[INCIDENT_TIMELINE_BYTES_MAX];
    memset(text, 'x', sizeof text);
    fill(w, 2);
    w->aggregate.state.incident.timeline.items[0].text = slice_of(text, sizeof text - 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(go(w, INCIDENT_STATUS_MITIGATING, ""), FAULT_NONE);
        assert_int_equal(go(w, INCIDENT_STATUS_INVESTIGATING, ""), FAULT_NONE);
        assert_int_equal(w->aggregate.state.incident.timeline.count, 3);
        CHECK_SLICE(w->aggregate.state.incident.timeline.items[2].text, incident_timeline_full_text);
    }
    world_free(w);
}

static void check_entry(const struct world *w, size_t at, TimelineEntryKind kind, const char *author,
                        const char *text) {
    assert_true(at < w->aggregate.state.incident.timeline.count);
    const TimelineEntry *entry = &w->aggregate.state.incident.timeline.items[at];
    CHECK_SLICE(entry->text, text);
    CHECK_SLICE(entry->author, author);
    assert_int_equal(entry->kind, kind);
    assert_int_equal(entry->entry_id.size, UUID_TEXT_SIZE);
}

TEST(what_happens_is_in_the_timeline_with_who_and_why) {
    struct world *w = incident_is(INCIDENT_STATUS_OPEN);
    check_entry(w, 0, TIMELINE_ENTRY_KIND_STATUS, "anna", "opened with severity high");
    w->call.actor = SLICE_LIT("ben");
    w->call.now_ms += 1000;
    world_intent(w, SreDomainIntent_acknowledge_incident_tag)->intent.acknowledge_incident.note = SLICE_LIT("mine");
    assert_int_equal(world_give(w), FAULT_NONE);
    check_entry(w, 1, TIMELINE_ENTRY_KIND_STATUS, "ben", "open -> acknowledged: mine");
    assert_true(slice_equal(w->aggregate.state.incident.timeline.items[1].entry_id, w->facts.items[0].meta.message_id));
    assert_int_equal(domain_ms(w->aggregate.state.incident.timeline.items[1].at), DOMAIN_NOW_MS + 1000);
    SreDomainIntent *intent = world_intent(w, SreDomainIntent_reclassify_incident_severity_tag);
    intent->intent.reclassify_incident_severity.severity = SEVERITY_CRITICAL;
    intent->intent.reclassify_incident_severity.reason = SLICE_LIT("all shops");
    assert_int_equal(world_give(w), FAULT_NONE);
    check_entry(w, 2, TIMELINE_ENTRY_KIND_SEVERITY, "ben", "severity high -> critical: all shops");
    world_intent(w, SreDomainIntent_assign_incident_tag)->intent.assign_incident.assigned_to = SLICE_LIT("carl");
    assert_int_equal(world_give(w), FAULT_NONE);
    check_entry(w, 3, TIMELINE_ENTRY_KIND_ASSIGNMENT, "ben", "nobody -> carl");
    assert_int_equal(go(w, INCIDENT_STATUS_RESOLVED, "rolled back"), FAULT_NONE);
    check_entry(w, 4, TIMELINE_ENTRY_KIND_STATUS, "ben", "acknowledged -> resolved: rolled back");
    assert_int_equal(go(w, INCIDENT_STATUS_CLOSED, ""), FAULT_NONE);
    check_entry(w, 5, TIMELINE_ENTRY_KIND_STATUS, "ben", "resolved -> closed");
    assert_int_equal(go(w, INCIDENT_STATUS_INVESTIGATING, "again"), FAULT_NONE);
    check_entry(w, 6, TIMELINE_ENTRY_KIND_STATUS, "ben", "closed -> investigating: again");
    world_free(w);
}

/* The fact keeps all of it; the timeline takes whole characters, up to its bound. */
TEST(a_long_reason_is_shortened_in_the_timeline) {
    struct world *w = incident_is(INCIDENT_STATUS_OPEN);
    char reason[4001] = "";
    for (int i = 0; i < 1000; i++) memcpy(reason + 4 * i, "\xf0\x9f\x94\xa5", 4); /* U+1F525, four bytes */
    assert_int_equal(go(w, INCIDENT_STATUS_RESOLVED, reason), FAULT_NONE);
    assert_int_equal(w->facts.items[0].fact.incident_resolved.resolution.size, 4000);
    const slice text = w->aggregate.state.incident.timeline.items[1].text;
    const size_t head = strlen("open -> resolved: ");
    assert_true(text.size > 950 && text.size <= INCIDENT_TIMELINE_AUTOMATIC_BYTES_MAX);
    assert_int_equal((text.size - head - 3) % 4, 0);
    assert_memory_equal(text.data + text.size - 7, "\xf0\x9f\x94\xa5...", 7);
    world_free(w);
}

TEST(people_do_not_write_what_the_aggregator_writes) {
    struct world *w = incident_is(INCIDENT_STATUS_OPEN);
    static const TimelineEntryKind by_people[] = {TIMELINE_ENTRY_KIND_UNSPECIFIED, TIMELINE_ENTRY_KIND_NOTE,
                                                  TIMELINE_ENTRY_KIND_ACTION, TIMELINE_ENTRY_KIND_FINDING};
    static const TimelineEntryKind by_us[] = {TIMELINE_ENTRY_KIND_STATUS, TIMELINE_ENTRY_KIND_SEVERITY,
                                              TIMELINE_ENTRY_KIND_ASSIGNMENT, TIMELINE_ENTRY_KIND_ALERT};
    for (size_t i = 0; i < 8; i++) {
        AddIncidentTimelineEntryRequested *add =
            &world_intent(w, SreDomainIntent_add_timeline_entry_tag)->intent.add_timeline_entry;
        add->text = SLICE_LIT("I say so");
        add->kind = i < 4 ? by_people[i] : by_us[i - 4];
        CHECK_FAULT(world_give(w), i < 4 ? FAULT_NONE : FAULT_INPUT);
    }
    world_free(w);
}

/* An entry may hold 8 KiB and 32 links of 2 KiB; 2,000 of them would be more than the store takes for one aggregate. */
TEST(the_timeline_ends_at_its_bytes_too) {
    struct world *w = incident_is(INCIDENT_STATUS_OPEN);
    static char text[8193], link[2049];
    memset(text, 'x', 8192);
    memset(link, 'y', 2048);
    slice links[32];
    for (int i = 0; i < 32; i++) links[i] = slice_from_text(link);
    fault_code code = FAULT_NONE;
    size_t bytes = 0;
    for (int i = 0; i < INCIDENT_TIMELINE_MAX && !code; i++) {
        AddIncidentTimelineEntryRequested *add =
            &world_intent(w, SreDomainIntent_add_timeline_entry_tag)->intent.add_timeline_entry;
        add->text = slice_from_text(text);
        add->links.items = links;
        add->links.count = 32;
        code = world_give(w);
        if (!code) bytes += 8192 + 32 * 2048;
    }
    CHECK_FAULT(code, FAULT_CONFLICT);
    assert_true(bytes <= INCIDENT_TIMELINE_BYTES_MAX);
    assert_int_equal(entry(w, "", "a short one still fits", 0), FAULT_NONE);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_timeline_is_ordered_by_when_it_happened_and_takes_an_entry_once),
        cmocka_unit_test(the_timeline_ends_at_its_number_of_entries),
        cmocka_unit_test(a_full_timeline_says_once_that_it_leaves_out_what_happens),
        cmocka_unit_test(what_happens_is_in_the_timeline_with_who_and_why),
        cmocka_unit_test(a_long_reason_is_shortened_in_the_timeline),
        cmocka_unit_test(people_do_not_write_what_the_aggregator_writes),
        cmocka_unit_test(the_timeline_ends_at_its_bytes_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
