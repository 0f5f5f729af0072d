/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "agent/alert/alert_book.h"
#include "agent/alert/webhook.h"

static const struct burn_rule rules[] = {{{(const uint8_t *)"fast", sizeof "fast" - 1}, 14.4, 3600000, 300000, 1},
                                         {{(const uint8_t *)"slow", sizeof "slow" - 1}, 1, 7200000, 3600000, 4}};
static const struct alert_watch watched[] = {{{(const uint8_t *)"shop", sizeof "shop" - 1}, 99.9},
                                             {{(const uint8_t *)"cart", sizeof "cart" - 1}, 99}};

static void fill(struct alert_book *book) {
    struct alert_slo *const shop = alert_book_find(book, SLICE_LIT("shop"));
    shop->alerts[1] =
        (struct alert_one){.firing = true, .told_firing = true, .stream = 7, .sequence = 9, .starts_ms = 5};
    shop->alerts[ALERT_UNSEEN] = (struct alert_one){
        .starts_ms = 6, .ends_ms = 8, .tell_end = true, .observed_ms = 8, .stream = 7, .sequence = 10};
    shop->history.last_end_ms = 100;
    shop->history.last_seen_ms = 90;
    shop->history.buckets[3] = (struct burn_bucket){4, 5, 6, 7, 8};
}

static void check_filled(const struct alert_book *book, size_t slow) {
    const struct alert_slo *const shop = alert_book_find(book, SLICE_LIT("shop"));
    assert_true(shop->alerts[slow].firing && shop->alerts[slow].told_firing && !shop->alerts[slow].told_end);
    assert_int_equal(shop->alerts[slow].stream, 7);
    assert_int_equal(shop->alerts[slow].sequence, 9);
    assert_int_equal(shop->alerts[slow].starts_ms, 5);
    assert_true(shop->alerts[ALERT_UNSEEN].tell_end && !shop->alerts[ALERT_UNSEEN].firing);
    assert_int_equal(shop->alerts[ALERT_UNSEEN].ends_ms, 8);
    assert_int_equal(alert_book_find(book, SLICE_LIT("cart"))->alerts[0].starts_ms, 0);
}

TEST(slos_are_found_by_their_ids) {
    struct fault fault;
    struct alert_book book;
    CHECK_OK(alert_book_new(rules, 2, watched, 2, 1, &book, &fault));
    assert_null(alert_book_find(&book, SLICE_LIT("sho")));
    CHECK_SLICE(alert_book_find(&book, SLICE_LIT("cart"))->slo_id, "cart");
    CHECK_SLICE(alert_book_rule_name(&book, 1), "slow");
    CHECK_SLICE(alert_book_rule_name(&book, ALERT_UNSEEN), "unseen");
    alert_book_free(&book);
}

TEST(what_is_kept_comes_back_and_damage_is_said) {
    struct fault fault;
    struct alert_book book, other;
    slice alerts, history;
    struct arena *const arena = arena_new(4096, 1 << 20);
    CHECK_OK(alert_book_new(rules, 2, watched, 2, 1, &book, &fault));
    fill(&book);
    CHECK_OK(alert_book_encode_alerts(&book, arena, &alerts, &fault));
    CHECK_OK(alert_book_encode_history(&book, arena, &history, &fault));
    CHECK_OK(alert_book_new(rules, 2, watched, 2, 1, &other, &fault));
    CHECK_OK(alert_book_decode_alerts(&other, alerts, &fault));
    CHECK_OK(alert_book_decode_history(&other, history, &fault));
    check_filled(&other, 1);
    const struct alert_slo *const shop = alert_book_find(&other, SLICE_LIT("shop"));
    assert_int_equal(shop->history.last_seen_ms, 90);
    assert_int_equal(shop->history.buckets[3].seen, 8);
    for (size_t size = 0; size < alerts.size; size++) { /* at any place: never beyond the end */
        uint8_t *const copy = malloc(size + 1);
        memcpy(copy, alerts.data, size);
        (void)(alert_book_decode_alerts(&other, slice_of(copy, size), &fault) == FAULT_NONE);
        free(copy);
    }
    for (size_t size = 0; size < history.size; size += 7) {
        uint8_t *const copy = malloc(size + 1);
        memcpy(copy, history.data, size);
        (void)(alert_book_decode_history(&other, slice_of(copy, size), &fault) == FAULT_NONE);
        free(copy);
    }
    CHECK_FAULT(alert_book_decode_alerts(&other, slice_first(alerts, 3), &fault), FAULT_CORRUPT);
    CHECK_FAULT(alert_book_decode_alerts(&other, slice_first(alerts, alerts.size - 1), &fault), FAULT_CORRUPT);
    alert_book_free(&book);
    alert_book_free(&other);
    arena_free(arena);
}

TEST(other_rules_and_slos_keep_what_fits_them) {
    struct fault fault;
    struct alert_book book, other;
    const struct burn_rule swapped[] = {rules[1], {{(const uint8_t *)"new", sizeof "new" - 1}, 2, 3600000, 300000, 2}};
    CHECK_OK(alert_book_new(rules, 2, watched, 2, 1, &book, &fault));
    fill(&book);
    CHECK_OK(alert_book_new(swapped, 2, watched, 2, 50, &other, &fault));
    alert_book_take_over(&other, &book);
    check_filled(&other, 0);
    assert_int_equal(alert_book_find(&other, SLICE_LIT("shop"))->since_ms, 1);
    assert_int_equal(alert_book_find(&other, SLICE_LIT("shop"))->history.last_end_ms, 0); /* spans in another order */
    alert_book_free(&other);
    CHECK_OK(alert_book_new(rules, 2, watched + 1, 1, 50, &other, &fault));
    alert_book_take_over(&other, &book);
    assert_null(alert_book_find(&other, SLICE_LIT("shop")));
    alert_book_free(&other);
    alert_book_free(&book);
}

TEST(webhook_body_is_what_alertmanager_sends) {
    struct arena *const arena = arena_new(4096, 1 << 20);
    struct envelope_alert alert = {.fingerprint = SLICE_LIT("0123456789abcdef"),
                                   .name = SLICE_LIT("SLOBurnRate"),
                                   .firing = true,
                                   .starts_ms = 1700000000123,
                                   .labels = {{SLICE_LIT("alertname"), SLICE_LIT("a \"b\"\\\n")}},
                                   .labels_count = 1};
    const slice fires = webhook_body(&alert, arena);
    CHECK_SLICE(
        fires,
        "{\"version\":\"4\",\"groupKey\":\"picket/0123456789abcdef\",\"truncatedAlerts\":0,\"status\":\"firing\","
        "\"receiver\":\"picket-agent\",\"groupLabels\":{\"alertname\":\"a \\\"b\\\"\\\\\\u000a\"},"
        "\"commonLabels\":{\"alertname\":\"a \\\"b\\\"\\\\\\u000a\"},\"commonAnnotations\":{},"
        "\"externalURL\":\"\",\"alerts\":[{\"status\":\"firing\",\"labels\":{\"alertname\":\"a "
        "\\\"b\\\"\\\\\\u000a\"},\"annotations\":{},\"startsAt\":\"2023-11-14T22:13:20.123Z\",\"endsAt\":"
        "\"0001-01-01T00:00:00Z\",\"generatorURL\":\"\",\"fingerprint\":\"0123456789abcdef\"}]}");
    alert.firing = false;
    alert.ends_ms = 1700000060000;
    const slice ends = webhook_body(&alert, arena);
    assert_non_null(memmem(ends.data, ends.size, "\"endsAt\":\"2023-11-14T22:14:20.000Z\"", 35));
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slos_are_found_by_their_ids),
        cmocka_unit_test(what_is_kept_comes_back_and_damage_is_said),
        cmocka_unit_test(other_rules_and_slos_keep_what_fits_them),
        cmocka_unit_test(webhook_body_is_what_alertmanager_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
