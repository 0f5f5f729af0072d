/* SPDX-License-Identifier: Apache-2.0
 * Ids of pairs are apart for all pairs; sums say no more than their parts. */
#include "aggregator/domain/fleet_state.h"
#include "aggregator/domain/content.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

static const char alphabet[] = "a._dh-";

/* Number n as a text over the alphabet: "", "a", ".", ..., "aa", ... */
static slice text_of(unsigned n, uint8_t *buffer) {
    const unsigned letters = sizeof alphabet - 1;
    size_t size = 0;
    for (; n; n = (n - 1) / letters) buffer[size++] = (uint8_t)alphabet[(n - 1) % letters];
    return slice_of(buffer, size);
}

static bool id_valid(slice id) {
    if (!id.size || id.size > LIMIT_AGGREGATE_ID_BYTES) return false;
    for (size_t i = 0; i < id.size; i++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", id.data[i])) return false;
    return true;
}

static int compare(const void *a, const void *b) {
    return slice_compare(*(const slice *)a, *(const slice *)b);
}

/* Every pair of short texts over the letters that mean something in an id. */
TEST(no_two_pairs_have_the_same_id) {
    enum { TEXTS = 1 + 6 + 36 + 216, ENVIRONMENTS = TEXTS - 1 };
    struct arena *arena = arena_new(1 << 20, 256 << 20);
    slice *ids = malloc((size_t)ENVIRONMENTS * TEXTS * sizeof *ids);
    uint8_t one[8], two[8];
    size_t count = 0;
    for (unsigned e = 1; e < TEXTS; e++)
        for (unsigned c = 0; c < TEXTS; c++) {
            const slice environment = text_of(e, one), cluster = text_of(c, two);
            ids[count] = fleet_state_id_from(environment, cluster, arena);
            assert_true(id_valid(ids[count]));
            const slice prefix = fleet_state_id_prefix(environment, arena);
            assert_int_equal(slice_starts_with(ids[count], prefix), cluster.size != 0);
            assert_false(slice_starts_with(ids[count], SLICE_LIT(FLEET_STATE_LONG_PREFIX)));
            count++;
        }
    qsort(ids, count, sizeof *ids, compare);
    for (size_t i = 1; i < count; i++) assert_false(slice_equal(ids[i - 1], ids[i]));
    free(ids);
    arena_free(arena);
}

TEST(a_pair_that_is_too_long_is_hashed_and_still_apart) {
    struct arena *arena = arena_new(1 << 14, 1 << 20);
    uint8_t long_one[128], long_two[128];
    memset(long_one, 'a', 128);
    memset(long_two, 'a', 128);
    long_two[127] = 'b';
    const slice one = fleet_state_id_from(slice_of(long_one, 128), slice_of(long_one, 128), arena);
    const slice two = fleet_state_id_from(slice_of(long_one, 128), slice_of(long_two, 128), arena);
    assert_true(id_valid(one) && id_valid(two));
    assert_false(slice_equal(one, two));
    assert_true(slice_starts_with(one, SLICE_LIT(FLEET_STATE_LONG_PREFIX)));
    CHECK_SLICE(fleet_state_id_from(SLICE_LIT("prod"), SLICE_LIT("eu-1"), arena), "prod.eu-1");
    CHECK_SLICE(fleet_state_id_from(SLICE_LIT("prod"), (slice){0}, arena), "prod");
    CHECK_SLICE(fleet_state_id_from(SLICE_LIT("a_b.c"), SLICE_LIT("x.y_z"), arena), "a__b_dc.x.y_z");
    arena_free(arena);
}

TEST(a_sum_is_as_old_as_its_oldest_part) {
    FleetState sum = {0};
    const FleetState parts[] = {
        {.has_timestamp = true,
         .timestamp = {.seconds = 30},
         .total_applications = 3,
         .healthy_count = 2,
         .degraded_count = 1,
         .out_of_sync_count = 1,
         .source = HEALTH_SOURCE_ARGOCD},
        {.has_timestamp = true,
         .timestamp = {.seconds = 10},
         .total_applications = 4,
         .unknown_count = 1,
         .progressing_count = 1,
         .suspended_count = 1,
         .missing_count = 1,
         .source = HEALTH_SOURCE_ARGOCD},
        {.has_timestamp = true,
         .timestamp = {.seconds = 20},
         .total_applications = INT32_MAX,
         .healthy_count = INT32_MAX,
         .source = HEALTH_SOURCE_KUBERNETES},
    };
    fleet_state_add(&sum, &parts[0]);
    fleet_state_add(&sum, &parts[1]);
    assert_int_equal(sum.timestamp.seconds, 10);
    assert_int_equal(sum.total_applications, 7);
    assert_int_equal(sum.healthy_count + sum.degraded_count + sum.progressing_count + sum.unknown_count +
                         sum.suspended_count + sum.missing_count,
                     7);
    assert_int_equal(sum.out_of_sync_count, 1);
    assert_int_equal(sum.source, HEALTH_SOURCE_ARGOCD);
    fleet_state_add(&sum, &parts[2]);
    assert_int_equal(sum.timestamp.seconds, 10);
    assert_int_equal(sum.source, HEALTH_SOURCE_UNSPECIFIED); /* they do not agree */
    assert_int_equal(sum.total_applications, INT32_MAX);     /* and it ends there */
}

static RecordFleetStateRequested *snapshot(struct world *w, int64_t at_ms, int32_t healthy) {
    RecordFleetStateRequested *r = &world_intent(w, SreDomainIntent_record_fleet_state_tag)->intent.record_fleet_state;
    r->environment_id = SLICE_LIT("prod");
    r->has_timestamp = true;
    r->timestamp = domain_time(at_ms);
    r->healthy_count = r->total_applications = healthy;
    return r;
}

TEST(late_is_said_and_an_id_is_made) {
    struct world *w = world_new(AGGREGATE_FLEET_STATE, SLICE_LIT("prod"));
    snapshot(w, DOMAIN_NOW_MS, 5);
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->aggregate.state.fleet_state.fleetstate_id.size, UUID_TEXT_SIZE);
    assert_false(w->facts.items[0].fact.fleet_state_recorded.late);
    snapshot(w, DOMAIN_NOW_MS - 1, 4);
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_true(w->facts.items[0].fact.fleet_state_recorded.late);
    assert_int_equal(w->facts.items[0].fact.fleet_state_recorded.fleet_state.healthy_count, 4);
    assert_int_equal(w->aggregate.state.fleet_state.healthy_count, 5);
    snapshot(w, DOMAIN_NOW_MS, 6); /* taken at the same time and other: the later word */
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_false(w->facts.items[0].fact.fleet_state_recorded.late);
    assert_int_equal(w->aggregate.state.fleet_state.healthy_count, 6);
    world_free(w);
}

TEST(a_snapshot_that_expired_knows_nothing) {
    struct world *w = world_new(AGGREGATE_FLEET_STATE, SLICE_LIT("prod"));
    RecordFleetStateRequested *r = snapshot(w, DOMAIN_NOW_MS - 30000, 5);
    r->fleetstate_id = SLICE_LIT("snap-1");
    assert_int_equal(world_give(w), FAULT_NONE);
    FleetState seen = w->aggregate.state.fleet_state;
    const int64_t until_ms = DOMAIN_NOW_MS - 30000 + w->call.health_expiry_ms;
    assert_int_equal(domain_ms(seen.expires_at), until_ms);
    w->call.health_expiry_ms = 1; /* the same snapshot, whatever the setting is by now */
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    r->has_expires_at = true; /* and one that its sender gives another end is not */
    r->expires_at = domain_time(until_ms + 1);
    CHECK_FAULT(world_give(w), FAULT_CONFLICT);
    fleet_state_age(&seen, until_ms - 1);
    assert_int_equal(seen.healthy_count, 5);
    FleetState sum = {0};
    fleet_state_add(&sum, &seen);
    FleetState other = seen;
    other.expires_at = domain_time(until_ms + 60000);
    fleet_state_age(&seen, until_ms);
    assert_int_equal(seen.healthy_count, 0);
    assert_int_equal(seen.unknown_count, 5);
    assert_int_equal(seen.total_applications, 5);
    fleet_state_add(&sum, &other);
    assert_int_equal(domain_ms(sum.expires_at), until_ms); /* when its first part does */
    FleetState old = {
        .has_timestamp = true, .timestamp = domain_time(until_ms), .total_applications = 1, .missing_count = 1};
    fleet_state_age(&old, until_ms + 3599999);
    assert_int_equal(old.missing_count, 1);
    fleet_state_age(&old, until_ms + 3600000);
    assert_int_equal(old.unknown_count, 1);
    assert_int_equal(old.missing_count, 0);
    world_free(w);
}

TEST(a_snapshots_end_is_after_it_and_no_month_away) {
    struct world *w = world_new(AGGREGATE_FLEET_STATE, SLICE_LIT("prod"));
    RecordFleetStateRequested *r = snapshot(w, DOMAIN_NOW_MS, 1);
    r->has_expires_at = true;
    r->expires_at = r->timestamp;
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "expires_at: is not after"));
    r->expires_at.seconds += INT64_C(31) * 24 * 3600;
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "expires_at: is 31 days ahead"));
    r->expires_at.seconds -= INT64_C(2) * 24 * 3600;
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_true(content_time_equal(w->aggregate.state.fleet_state.expires_at, r->expires_at));
    world_free(w);
}

TEST(counts_whose_sum_passes_32_bits_are_refused_and_not_wrapped) {
    struct world *w = world_new(AGGREGATE_FLEET_STATE, SLICE_LIT("prod"));
    RecordFleetStateRequested *r = snapshot(w, DOMAIN_NOW_MS, INT32_MAX);
    r->degraded_count = INT32_MAX;
    r->unknown_count = 2; /* 2^32 in all */
    r->total_applications = 0;
    r->healthy_count = INT32_MAX;
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "4294967296"));
    world_free(w);
}

TEST(the_environment_says_which_fleet_and_the_snapshots_id_does_not) {
    struct world *w = world_new(AGGREGATE_FLEET_STATE, SLICE_LIT("x"));
    slice id;
    RecordFleetStateRequested *r = snapshot(w, DOMAIN_NOW_MS, 1);
    r->fleetstate_id = SLICE_LIT("snap-1");
    r->cluster_id = SLICE_LIT("eu-1");
    assert_int_equal(intent_aggregate_id(&w->intent, &w->call, &id, &w->fault), FAULT_NONE);
    CHECK_SLICE(id, "prod.eu-1");
    r->environment_id = (slice){0};
    CHECK_FAULT(intent_aggregate_id(&w->intent, &w->call, &id, &w->fault), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "environment_id"));
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_two_pairs_have_the_same_id),
        cmocka_unit_test(a_pair_that_is_too_long_is_hashed_and_still_apart),
        cmocka_unit_test(a_sum_is_as_old_as_its_oldest_part),
        cmocka_unit_test(late_is_said_and_an_id_is_made),
        cmocka_unit_test(a_snapshot_that_expired_knows_nothing),
        cmocka_unit_test(a_snapshots_end_is_after_it_and_no_month_away),
        cmocka_unit_test(counts_whose_sum_passes_32_bits_are_refused_and_not_wrapped),
        cmocka_unit_test(the_environment_says_which_fleet_and_the_snapshots_id_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
