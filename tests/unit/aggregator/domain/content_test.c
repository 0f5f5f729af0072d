/* SPDX-License-Identifier: Apache-2.0
 * Whatever may be written in an update is looked at when it is asked whether anything changes: each field of the
 * request, down to those in its lists, is changed alone, by the contract's tables, and none may pass as a repeat. A field
 * that is added to the contract and forgotten in the domain is found here. */
#include "common/codec/codec.h"
#include "common/codec/tables.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

/* Fills a message with ones, "a"s and lists of one item; leaf number *left (from 0) gets something else. */
static void fill(const struct message_desc *desc, void *message, struct arena *arena, int *left);

static void fill_value(const struct field_desc *field, void *value, struct arena *arena, int *left) {
    if (field->type == FIELD_MESSAGE && !field->message->well_known) {
        fill(field->message, value, arena, left);
        return;
    }
    const bool other = (*left)-- == 0;
    switch ((enum field_type)field->type) {
    case FIELD_STRING:
    case FIELD_BYTES: *(slice *)value = other ? SLICE_LIT("b") : SLICE_LIT("a"); break;
    case FIELD_BOOL: *(bool *)value = !other; break;
    case FIELD_ENUM:
    case FIELD_INT32:
    case FIELD_UINT32: *(int32_t *)value = other ? 2 : 1; break;
    case FIELD_INT64:
    case FIELD_UINT64: *(int64_t *)value = other ? 2 : 1; break;
    case FIELD_DOUBLE: *(double *)value = other ? 2 : 1; break;
    case FIELD_MESSAGE: ((Timestamp *)value)->seconds = other ? 2000 : 1000; break;
    }
}

static void fill(const struct message_desc *desc, void *message, struct arena *arena, int *left) {
    for (size_t i = 0; i < desc->fields_count; i++) {
        const struct field_desc *field = &desc->fields[i];
        uint8_t *at = (uint8_t *)message + field->offset;
        struct list *list = (struct list *)(void *)at;
        switch ((enum field_label)field->label) {
        case FIELD_REPEATED:
            list->count = 1;
            list->items = arena_alloc(arena, field->type == FIELD_MESSAGE ? field->message->size : 16);
            fill_value(field, list->items, arena, left);
            break;
        case FIELD_MAP: {
            struct map_entry *entry = arena_alloc(arena, sizeof *entry);
            entry->key = (*left)-- == 0 ? SLICE_LIT("b") : SLICE_LIT("a");
            entry->value = (*left)-- == 0 ? SLICE_LIT("b") : SLICE_LIT("a");
            list->items = entry;
            list->count = 1;
            break;
        }
        case FIELD_OPTIONAL:
            *((uint8_t *)message + field->has_offset) = true;
            fill_value(field, at, arena, left);
            break;
        default: fill_value(field, at, arena, left);
        }
    }
}

struct subject {
    enum aggregate_kind kind;
    unsigned update;
    const struct message_desc *desc;
    void (*mend)(SreDomainIntent *intent); /* what the rules need besides */
};

static void service_mend(SreDomainIntent *intent) {
    OnCallShift *shift = intent->intent.update_service.on_call.shifts.items;
    shift->ends_at.seconds += 5000;
}

/* No step has both a command and a link: its kind is what "1" means, by hand, and the two are looked at alone. */
static void runbook_mend(SreDomainIntent *intent) {
    RunbookStep *step = intent->intent.update_runbook.steps.items;
    if (slice_equal_text(step->command, "a")) step->command = (slice){0};
    if (slice_equal_text(step->link, "a")) step->link = (slice){0};
}

static void postmortem_mend(SreDomainIntent *intent) {}

static void check_mend(SreDomainIntent *intent) {
    intent->intent.record_health_check.expires_at.seconds += 5000;
}

static const struct subject subjects[] = {
    {AGGREGATE_HEALTH_CHECK, SreDomainIntent_record_health_check_tag, &RecordHealthCheckRequested_desc, check_mend},
    {AGGREGATE_SERVICE, SreDomainIntent_update_service_tag, &UpdateServiceRequested_desc, service_mend},
    {AGGREGATE_RUNBOOK, SreDomainIntent_update_runbook_tag, &UpdateRunbookRequested_desc, runbook_mend},
    {AGGREGATE_POSTMORTEM, SreDomainIntent_update_postmortem_tag, &UpdatePostmortemRequested_desc, postmortem_mend},
};

static void ask(struct world *w, const struct subject *subject, int leaf, int *ret_left) {
    world_intent(w, subject->update);
    *ret_left = leaf;
    fill(subject->desc, &w->intent.intent, w->arena, ret_left);
    subject->mend(&w->intent);
}

TEST(no_field_of_an_update_can_change_unseen) {
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        const struct subject *subject = &subjects[i];
        struct world *w = world_new(subject->kind, SLICE_LIT("x"));
        static const enum aggregate_kind others[] = {AGGREGATE_SERVICE, AGGREGATE_INCIDENT};
        static const char *const ids[] = {"a", "b"};
        for (int k = 0; k < 4; k++) world_other(w, others[k / 2], slice_from_text(ids[k % 2]))->version = 1;
        w->aggregate.version = 1; /* it exists, and is empty */
        int left;
        ask(w, subject, INT32_MAX, &left);
        const int leaves = INT32_MAX - left;
        assert_int_equal(world_give(w), FAULT_NONE);
        assert_int_equal(w->facts.count, 1);
        assert_int_equal(world_give(w), FAULT_NONE);
        assert_int_equal(w->facts.count, 0);        /* the same again */
        for (int leaf = 1; leaf < leaves; leaf++) { /* 0 is the id */
            ask(w, subject, leaf, &left);
            const uint64_t version = w->aggregate.version;
            const fault_code code = domain_decide(&w->aggregate, &w->intent, version, SELF, &w->call, &w->facts, NULL);
            if (!code && !w->facts.count) fail_msg("%s: a change of value %d is a repeat", subject->desc->name, leaf);
        }
        assert_true(leaves > 10);
        world_free(w);
    }
}

TEST(a_map_has_no_order) {
    struct world *w = world_new(AGGREGATE_SERVICE, SLICE_LIT("x"));
    CreateServiceRequested_LabelsEntry created[] = {{SLICE_LIT("a"), SLICE_LIT("1")}, {SLICE_LIT("b"), SLICE_LIT("2")}};
    UpdateServiceRequested_LabelsEntry updated[] = {{SLICE_LIT("b"), SLICE_LIT("2")}, {SLICE_LIT("a"), SLICE_LIT("1")}};
    CreateServiceRequested *create = &world_intent(w, SreDomainIntent_create_service_tag)->intent.create_service;
    create->labels.items = created;
    create->labels.count = 2;
    assert_int_equal(world_give(w), FAULT_NONE);
    UpdateServiceRequested *update = &world_intent(w, SreDomainIntent_update_service_tag)->intent.update_service;
    update->labels.items = updated;
    update->labels.count = 2;
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    updated[1].key = SLICE_LIT("c");
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_field_of_an_update_can_change_unseen),
        cmocka_unit_test(a_map_has_no_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
