/* SPDX-License-Identifier: Apache-2.0
 * What the scenarios do not show of services: the form of zone names, the index of dependencies, long lists. */
#include "aggregator/domain/service.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

TEST(a_time_zone_has_the_form_of_the_database) {
    static const char *const good[] = {"UTC",       "Europe/Paris",           "America/Argentina/Buenos_Aires",
                                       "Etc/GMT+5", "America/Port-au-Prince", "EST5EDT"};
    static const char *const bad[] = {"",       "/",  "Europe/",       "/Paris", "Europe//Paris",      "Europe/Pa ris",
                                      "+01:00", "..", "Europe/../etc", "5EDT",   "Europe/Par\xc3\xads"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!service_time_zone_valid(slice_from_text(good[i]))) fail_msg("'%s' is one", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (service_time_zone_valid(slice_from_text(bad[i]))) fail_msg("'%s' is none", bad[i]);
}

static struct world *service(const char *const *dependencies, size_t count) {
    struct world *w = world_new(AGGREGATE_SERVICE, SLICE_LIT("shop"));
    ServiceDependency *items = arena_alloc_array(w->arena, count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        items[i].service_id = slice_from_text(dependencies[i]);
        world_other(w, AGGREGATE_SERVICE, items[i].service_id)->version = 1;
    }
    CreateServiceRequested *create = &world_intent(w, SreDomainIntent_create_service_tag)->intent.create_service;
    create->name = SLICE_LIT("Web shop");
    create->dependencies.items = items;
    create->dependencies.count = count;
    assert_int_equal(world_give(w), FAULT_NONE);
    return w;
}

TEST(dependencies_are_the_links_of_a_service_until_it_is_deleted) {
    static const char *const ids[] = {"cart", "stock"};
    struct world *w = service(ids, 2);
    struct aggregate_index index;
    aggregate_index(&w->aggregate, w->arena, &index);
    assert_int_equal(index.links_count, 2);
    CHECK_SLICE(index.links[0], "cart");
    CHECK_SLICE(index.links[1], "stock");
    assert_false(index.open);
    assert_int_equal(index.due_ms, 0);
    world_intent(w, SreDomainIntent_delete_service_tag)->intent.delete_service.reason = SLICE_LIT("old");
    assert_int_equal(world_give(w), FAULT_NONE);
    CHECK_SLICE(w->facts.items[0].fact.service_deleted.deleted_by, "anna");
    CHECK_SLICE(w->facts.items[0].fact.service_deleted.reason, "old");
    assert_false(aggregate_exists(&w->aggregate));
    aggregate_index(&w->aggregate, w->arena, &index);
    assert_int_equal(index.links_count, 0);
    world_free(w);
}

TEST(made_again_it_begins_anew_with_the_next_version) {
    struct world *w = service(NULL, 0);
    world_intent(w, SreDomainIntent_delete_service_tag);
    assert_int_equal(world_give(w), FAULT_NONE);
    w->call.now_ms += 5000;
    world_intent(w, SreDomainIntent_create_service_tag)->intent.create_service.name = SLICE_LIT("New shop");
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->aggregate.version, 3);
    assert_true(aggregate_exists(&w->aggregate));
    CHECK_SLICE(w->aggregate.state.service.name, "New shop");
    assert_int_equal(w->aggregate.state.service.version, 3);
    assert_int_equal(domain_ms(w->aggregate.state.service.created_at), DOMAIN_NOW_MS + 5000);
    world_free(w);
}

TEST(an_update_keeps_when_it_was_entered) {
    struct world *w = service(NULL, 0);
    w->call.now_ms += 5000;
    world_intent(w, SreDomainIntent_update_service_tag)->intent.update_service.name = SLICE_LIT("The shop");
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(domain_ms(w->aggregate.state.service.created_at), DOMAIN_NOW_MS);
    assert_int_equal(domain_ms(w->aggregate.state.service.updated_at), DOMAIN_NOW_MS + 5000);
    world_free(w);
}

static fault_code thousand_dependents(void *context, enum aggregate_kind kind, slice id, size_t ids_max, slice *ret_ids,
                                      size_t *ret_count, struct fault *reterr) {
    for (size_t i = 0; i < ids_max; i++) ret_ids[i] = SLICE_LIT("one-of-them");
    *ret_count = ids_max;
    return FAULT_NONE;
}

/* The sentence stays whole, and valid UTF-8, however long the names are. */
TEST(many_dependents_with_long_names_fit_the_sentence) {
    struct world *w = service(NULL, 0);
    static char name[257];
    for (size_t i = 0; i < 256; i += 2) memcpy(name + i, "\xc3\xa9", 2);
    name[0] = 'x'; /* the two bytes of a letter lie across every even place */
    memmove(name + 1, name + 2, 254);
    name[255] = '\0';
    struct aggregate *other = world_other(w, AGGREGATE_SERVICE, SLICE_LIT("one-of-them"));
    other->version = 1;
    other->state.service.name = slice_from_text(name);
    w->neighbours.dependents = thousand_dependents;
    world_intent(w, SreDomainIntent_delete_service_tag);
    CHECK_FAULT(world_give(w), FAULT_CONFLICT);
    assert_non_null(strstr(w->fault.text, " and at least 996 more depend on it; take it out"));
    assert_non_null(strstr(w->fault.text, "\xc3\xa9)"));
    world_free(w);
}

static fault_code broken_find(void *context, enum aggregate_kind kind, slice id, const struct aggregate **ret_aggregate,
                              struct fault *reterr) {
    return fault_set(reterr, FAULT_CORRUPT, "the disk");
}

TEST(a_neighbour_that_cannot_be_read_is_no_refusal_of_its_own) {
    static const char *const ids[] = {"cart"};
    struct world *w = service(ids, 1);
    const Service *now = &w->aggregate.state.service;
    UpdateServiceRequested *update = &world_intent(w, SreDomainIntent_update_service_tag)->intent.update_service;
    update->dependencies.items = now->dependencies.items;
    update->dependencies.count = 1;
    w->neighbours.find = broken_find;
    CHECK_FAULT(world_give(w), FAULT_CORRUPT);
    w->dependents_count = 1;
    w->dependents[0] = SLICE_LIT("app");
    world_intent(w, SreDomainIntent_delete_service_tag);
    CHECK_FAULT(world_give(w), FAULT_CORRUPT);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_zone_has_the_form_of_the_database),
        cmocka_unit_test(dependencies_are_the_links_of_a_service_until_it_is_deleted),
        cmocka_unit_test(made_again_it_begins_anew_with_the_next_version),
        cmocka_unit_test(an_update_keeps_when_it_was_entered),
        cmocka_unit_test(many_dependents_with_long_names_fit_the_sentence),
        cmocka_unit_test(a_neighbour_that_cannot_be_read_is_no_refusal_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
