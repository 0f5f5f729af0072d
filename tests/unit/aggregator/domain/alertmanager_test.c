/* SPDX-License-Identifier: Apache-2.0
 * Notifications that a real Alertmanager sent (data beside this checkout), each alert as one observation: twice, and in
 * any order. When a notification came is what it was seen at; the body itself does not say. */
#include "aggregator/domain/alert.h"
#include "common/codec/codec.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

#include <stdio.h>
#include <stdlib.h>

enum { BODY_BYTES_MAX = 64 * 1024, ALERTS_MAX = 64, ORDERS = 200, WORLDS_MAX = 16 };
#define RECEIVED_MS INT64_C(1795220000000) /* 2026-11-21T00:13:20Z: when the last recorded end was about to be sent */

/* In the order in which they were sent. */
static const char *const names[] = {
    "firing-one-watchdog.json",        "firing-two-instance-down.json", "firing-group-by-all.json",
    "retry-1-answered-503.json",       "retry-2-answered-503.json",     "retry-3-answered-200.json",
    "repeat-interval-same-group.json", "resolved-queue-backlog.json",   "resolved-two-instance-down.json",
};

struct observations {
    IngestAlertRequested items[ALERTS_MAX];
    size_t count;
};

static slice body_read(const char *name, struct arena *arena) {
    static const char *const places[] = {"../shared", "../../shared"};
    char path[300];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s/contracts/fixtures/alertmanager/webhook/%s", places[i], name);
        FILE *file = fopen(path, "rb");
        if (!file) continue;
        char *body = arena_alloc(arena, BODY_BYTES_MAX);
        const size_t size = fread(body, 1, BODY_BYTES_MAX - 1, file);
        fclose(file);
        return slice_of(body, size);
    }
    return (slice){0};
}

/* Every `from` in the text becomes `to`. */
static char *replaced(const char *text, const char *from, const char *to, struct arena *arena) {
    const size_t room = 2 * BODY_BYTES_MAX;
    char *out = arena_alloc(arena, room);
    size_t used = 0;
    for (const char *at = text, *next; at; at = next) {
        next = strstr(at, from);
        used += (size_t)snprintf(out + used, room - used, "%.*s%s", next ? (int)(next - at) : (int)strlen(at), at,
                                 next ? to : "");
        assert_true(used < room);
        if (next) next += strlen(from);
    }
    return out;
}

/* An alert of the body has the members of IngestAlertRequested, but for its status, its name and a letter's case. */
static void body_alerts(slice body, int64_t received_ms, struct arena *arena, struct observations *out) {
    char *text =
        replaced((const char *)body.data, "\"status\":\"firing\"", "\"status\":\"ALERT_STATUS_FIRING\"", arena);
    text = replaced(text, "\"status\":\"resolved\"", "\"status\":\"ALERT_STATUS_RESOLVED\"", arena);
    text = replaced(text, "\"generatorURL\"", "\"generatorUrl\"", arena);
    char *at = strstr(text, "\"alerts\":[");
    assert_non_null(at);
    at += strlen("\"alerts\":[");
    for (;;) {
        char *end = strstr(at, "\"fingerprint\":\"");
        if (!end) break;
        end = strchr(end, '}') + 1;
        IngestAlertRequested *request = &out->items[out->count++];
        struct fault fault;
        assert_true(out->count <= ALERTS_MAX);
        CHECK_OK(codec_decode_json(&IngestAlertRequested_desc, slice_of(at, (size_t)(end - at)), true, arena, request,
                                   &fault));
        request->source = ALERT_SOURCE_PROMETHEUS;
        for (size_t i = 0; i < request->labels.count; i++)
            if (slice_equal_text(request->labels.items[i].key, "alertname"))
                request->name = request->labels.items[i].value;
        request->has_observed_at = true;
        request->observed_at = domain_time(received_ms);
        CHECK_OK(codec_validate(&IngestAlertRequested_desc, request, &fault));
        if (*end != ',') break;
        at = end + 1;
    }
}

static bool observations_read(struct arena *arena, struct observations *out) {
    out->count = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const slice body = body_read(names[i], arena);
        if (!body.data) continue;
        const size_t before = out->count;
        body_alerts(body, RECEIVED_MS + (int64_t)i * 10000, arena, out);
        assert_true(out->count > before);
    }
    if (out->count) return true;
    print_message("skipped: no recorded notifications beside this checkout (../shared/contracts/fixtures)\n");
    return false;
}

/* One world an alert. */
struct fleet {
    struct world *worlds[WORLDS_MAX];
    slice fingerprints[WORLDS_MAX];
    size_t count, facts;
};

static struct world *fleet_world(struct fleet *fleet, slice fingerprint) {
    for (size_t i = 0; i < fleet->count; i++)
        if (slice_equal(fleet->fingerprints[i], fingerprint)) return fleet->worlds[i];
    assert_true(fleet->count < WORLDS_MAX);
    fleet->fingerprints[fleet->count] = fingerprint;
    struct world *w = world_new(AGGREGATE_ALERT, (slice){0});
    w->aggregate.id = alert_id_from(ALERT_SOURCE_PROMETHEUS, fingerprint, w->arena);
    w->call.now_ms = RECEIVED_MS + 3600 * 1000;
    return fleet->worlds[fleet->count++] = w;
}

static void fleet_give(struct fleet *fleet, const IngestAlertRequested *request) {
    struct world *w = fleet_world(fleet, request->fingerprint);
    world_intent(w, SreDomainIntent_ingest_alert_tag)->intent.ingest_alert = *request;
    assert_int_equal(world_give(w), FAULT_NONE);
    fleet->facts += w->facts.count;
}

static void fleet_done(struct fleet *fleet) {
    for (size_t i = 0; i < fleet->count; i++) world_free(fleet->worlds[i]);
    *fleet = (struct fleet){0};
}

static const Alert *fleet_alert(struct fleet *fleet, const char *fingerprint) {
    return &fleet_world(fleet, slice_from_text(fingerprint))->aggregate.state.alert;
}

static void check_end(struct fleet *fleet) {
    assert_int_equal(fleet->count, 4);
    static const char *const over[] = {"a1b0f1bfe22d99b5", "34e825ec7e5f5faa", "273ddd3f085b0b1f"};
    for (size_t i = 0; i < 3; i++) {
        const Alert *alert = fleet_alert(fleet, over[i]);
        assert_int_equal(alert->status, ALERT_STATUS_RESOLVED);
        assert_true(alert->has_ends_at && domain_ms(alert->ends_at) > domain_ms(alert->starts_at));
        assert_false(alert->has_expires_at);
    }
    const Alert *watchdog = fleet_alert(fleet, "a31f65d6aca645e7");
    assert_int_equal(watchdog->status, ALERT_STATUS_FIRING);
    assert_true(watchdog->has_expires_at && !watchdog->has_ends_at); /* the year 1 is no end */
    assert_true(domain_ms(watchdog->expires_at) > RECEIVED_MS);
    assert_int_equal(watchdog->labels.count, 4);
}

TEST(in_their_order_each_change_is_one_fact) {
    struct arena *arena = arena_new(1 << 20, 64 << 20);
    static struct observations said;
    struct fleet fleet = {0};
    if (!observations_read(arena, &said)) {
        arena_free(arena);
        skip();
    }
    for (size_t i = 0; i < said.count; i++) fleet_give(&fleet, &said.items[i]);
    check_end(&fleet);
    assert_int_equal(fleet.facts,
                     4 + 2); /* four begin (one by its end), two of them end: repeats and retries are none */
    for (int again = 0; again < 3; again++) { /* that they fired is history now, noted once for each */
        for (size_t i = 0; i < said.count; i++) fleet_give(&fleet, &said.items[i]);
        check_end(&fleet);
        assert_int_equal(fleet.facts, 6 + 2);
    }
    fleet_done(&fleet);
    arena_free(arena);
}

TEST(twice_and_in_any_order_they_end_the_same) {
    struct arena *arena = arena_new(1 << 20, 64 << 20);
    static struct observations said;
    uint64_t seed = check_seed();
    if (!observations_read(arena, &said)) {
        arena_free(arena);
        skip();
    }
    for (int order = 0; order < ORDERS; order++) {
        struct fleet fleet = {0};
        const IngestAlertRequested *given[2 * ALERTS_MAX];
        const size_t count = 2 * said.count;
        for (size_t i = 0; i < count; i++) given[i] = &said.items[i / 2];
        for (size_t i = count; i > 1; i--) {
            const size_t other = check_random(&seed) % i;
            const IngestAlertRequested *swap = given[i - 1];
            given[i - 1] = given[other];
            given[other] = swap;
        }
        for (size_t i = 0; i < count; i++) fleet_give(&fleet, given[i]);
        check_end(&fleet);
        fleet_done(&fleet);
    }
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_their_order_each_change_is_one_fact),
        cmocka_unit_test(twice_and_in_any_order_they_end_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
