/* SPDX-License-Identifier: Apache-2.0
 * Every status of an alert, with and without a silence, and what each intent makes of it; and what the clock is told. */
#include "aggregator/domain/alert.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

enum { MINUTE_MS = 60000 };
#define T DOMAIN_NOW_MS
#define EXPIRES (T + 60 * MINUTE_MS)
#define SILENT (T + 30 * MINUTE_MS)

static fault_code ingest(struct world *w, AlertStatus status, int64_t starts_ms) {
    IngestAlertRequested *r = &world_intent(w, SreDomainIntent_ingest_alert_tag)->intent.ingest_alert;
    *r = (IngestAlertRequested){.fingerprint = SLICE_LIT("f1"),
                                .name = SLICE_LIT("HighErrorRate"),
                                .source = ALERT_SOURCE_PROMETHEUS,
                                .status = status,
                                .has_starts_at = true,
                                .starts_at = domain_time(starts_ms),
                                .has_observed_at = true,
                                .observed_at = domain_time(w->call.now_ms),
                                .has_expires_at = status == ALERT_STATUS_FIRING,
                                .expires_at = domain_time(EXPIRES + (w->call.now_ms - T))};
    return world_give(w);
}

static fault_code silence(struct world *w, int64_t until_ms) {
    world_intent(w, SreDomainIntent_silence_alert_tag)->intent.silence_alert =
        (SilenceAlertRequested){.has_until = true, .until = domain_time(until_ms), .reason = SLICE_LIT("maintenance")};
    return world_give(w);
}

static fault_code plain(struct world *w, unsigned which) {
    world_intent(w, which);
    return world_give(w);
}

static fault_code due(struct world *w, int64_t due_ms) {
    assert_true(domain_due(AGGREGATE_ALERT, w->aggregate.id, due_ms, world_intent(w, 0)));
    w->intent.has_meta = true;
    return world_give(w);
}

/* The ways in, and what each case below begins with. */
enum start { FIRES, ACKNOWLEDGED, SILENCED, SILENCED_ACKNOWLEDGED, OVER, OVER_SILENT, STARTS_ };

static struct world *begin(enum start start) {
    struct world *w = world_new(AGGREGATE_ALERT, SLICE_LIT("prometheus.f1"));
    assert_int_equal(ingest(w, ALERT_STATUS_FIRING, T), FAULT_NONE);
    if (start == ACKNOWLEDGED || start == SILENCED_ACKNOWLEDGED)
        assert_int_equal(plain(w, SreDomainIntent_acknowledge_alert_tag), FAULT_NONE);
    if (start == SILENCED || start == SILENCED_ACKNOWLEDGED || start == OVER_SILENT)
        assert_int_equal(silence(w, SILENT), FAULT_NONE);
    w->call.now_ms += MINUTE_MS;
    if (start == OVER || start == OVER_SILENT) assert_int_equal(ingest(w, ALERT_STATUS_RESOLVED, T), FAULT_NONE);
    w->call.now_ms += MINUTE_MS;
    return w;
}

/* F firing, R resolved, S silenced, A acknowledged; a small letter: without a fact; x refused. By enum start. */
static const struct {
    const char *what, *becomes;
} rows[] = {
    {"the firing is said again", "fassFS"}, /* after an end: it was seen later than that */
    {"a new firing", "FFSSFS"},
    {"the firing is over", "RRRRrr"},
    {"acknowledged by the same person", "Aaxxxx"},
    {"silenced until later", "SSSSxR"},
    {"the same silence", "SSssxr"},
    {"the silence is taken back", "faFArR"},
    {"the expiry comes", "RRRRrr"},
    {"the silence is over", "faFArR"},
};
static fault_code act(struct world *w, size_t row) {
    switch (row) {
    case 0: return ingest(w, ALERT_STATUS_FIRING, T);
    case 1: return ingest(w, ALERT_STATUS_FIRING, w->call.now_ms);
    case 2: return ingest(w, ALERT_STATUS_RESOLVED, T);
    case 3: return plain(w, SreDomainIntent_acknowledge_alert_tag);
    case 4: return silence(w, SILENT + MINUTE_MS);
    case 5: return silence(w, SILENT);
    case 6: return plain(w, SreDomainIntent_unsilence_alert_tag);
    case 7: w->call.now_ms = EXPIRES; return due(w, EXPIRES);
    default: w->call.now_ms = SILENT; return due(w, SILENT);
    }
}

TEST(every_status_and_every_intent) {
    static const struct {
        char letter;
        AlertStatus status;
    } letters[] = {{'F', ALERT_STATUS_FIRING},
                   {'R', ALERT_STATUS_RESOLVED},
                   {'S', ALERT_STATUS_SILENCED},
                   {'A', ALERT_STATUS_ACKNOWLEDGED}};
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++)
        for (int start = 0; start < STARTS_; start++) {
            struct world *w = begin((enum start)start);
            const AlertStatus before = w->aggregate.state.alert.status;
            const char letter = rows[row].becomes[start];
            const fault_code code = act(w, row);
            if (letter == 'x') {
                if (code != FAULT_CONFLICT || w->aggregate.state.alert.status != before)
                    fail_msg("%s, from %d: not refused", rows[row].what, start);
            } else {
                const bool made = letter < 'a';
                for (size_t i = 0; i < 4; i++)
                    if ((letter & ~32) == letters[i].letter && w->aggregate.state.alert.status != letters[i].status)
                        fail_msg("%s, from %d: it is %d", rows[row].what, start, (int)w->aggregate.state.alert.status);
                if (code || (w->facts.count != 0) != made)
                    fail_msg("%s, from %d: %zu facts, %s", rows[row].what, start, w->facts.count, w->fault.text);
            }
            world_free(w);
        }
}

static int64_t due_ms(const struct world *w, bool *ret_open) {
    struct aggregate_index index;
    aggregate_index(&w->aggregate, w->arena, &index);
    *ret_open = index.open;
    return index.due_ms;
}

TEST(the_clock_is_told_of_what_comes_first) {
    static const struct {
        int64_t due_ms;
        bool open;
    } wanted[STARTS_] = {[FIRES] = {EXPIRES, true},   [ACKNOWLEDGED] = {EXPIRES, true},
                         [SILENCED] = {SILENT, true}, [SILENCED_ACKNOWLEDGED] = {SILENT, true},
                         [OVER] = {0, false},         [OVER_SILENT] = {SILENT, false}};
    for (int start = 0; start < STARTS_; start++) {
        struct world *w = begin((enum start)start);
        bool open;
        assert_int_equal(due_ms(w, &open), wanted[start].due_ms);
        assert_int_equal(open, wanted[start].open);
        world_free(w);
    }
    struct world *w = begin(SILENCED); /* a silence that outlasts the expiry */
    bool open;
    assert_int_equal(silence(w, EXPIRES + MINUTE_MS), FAULT_NONE);
    assert_int_equal(due_ms(w, &open), EXPIRES);
    w->call.now_ms = EXPIRES;
    assert_int_equal(due(w, EXPIRES), FAULT_NONE);
    assert_int_equal(due_ms(w, &open), EXPIRES + MINUTE_MS);
    w->call.now_ms = EXPIRES + MINUTE_MS;
    assert_int_equal(due(w, EXPIRES + MINUTE_MS), FAULT_NONE);
    assert_int_equal(due_ms(w, &open), 0);
    world_free(w);
}

TEST(nothing_is_due_before_its_time_or_for_another_time) {
    struct world *w = begin(SILENCED);
    CHECK_FAULT(due(w, SILENT), FAULT_CONFLICT);
    w->call.now_ms = EXPIRES;
    assert_int_equal(due(w, SILENT - 1), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    world_free(w);
}

TEST(who_silenced_and_why_is_known_and_then_forgotten) {
    struct world *w = begin(SILENCED);
    const Alert *now = &w->aggregate.state.alert;
    CHECK_SLICE(now->silenced_by, "anna");
    CHECK_SLICE(now->silence_reason, "maintenance");
    w->call.now_ms = SILENT;
    w->call.actor = SLICE_LIT("picket-aggregator");
    assert_int_equal(due(w, SILENT), FAULT_NONE);
    const AlertUnsilenced *unsilenced = &w->facts.items[0].fact.alert_unsilenced;
    assert_int_equal(unsilenced->end_reason, ALERT_SILENCE_END_REASON_OVER);
    assert_int_equal(unsilenced->to, ALERT_STATUS_FIRING);
    CHECK_SLICE(unsilenced->unsilenced_by, "picket-aggregator");
    assert_int_equal(now->silenced_by.size + now->silence_reason.size, 0);
    world_free(w);
    w = begin(SILENCED);
    assert_int_equal(plain(w, SreDomainIntent_unsilence_alert_tag), FAULT_NONE);
    assert_int_equal(w->facts.items[0].fact.alert_unsilenced.end_reason, ALERT_SILENCE_END_REASON_TAKEN_BACK);
    world_free(w);
}

/* The end of its time is told by the clock, a moment after it came: who fires in between is not silenced any more. */
TEST(what_fires_after_the_end_of_a_silence_sounds_at_once) {
    struct world *w = begin(OVER_SILENT);
    w->call.now_ms = SILENT;
    assert_int_equal(ingest(w, ALERT_STATUS_FIRING, SILENT), FAULT_NONE);
    assert_int_equal(w->aggregate.state.alert.status, ALERT_STATUS_FIRING);
    assert_int_equal(due(w, SILENT), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    assert_int_equal(w->aggregate.state.alert.status, ALERT_STATUS_FIRING);
    assert_false(w->aggregate.state.alert.has_silenced_until);
    world_free(w);
}

/* A source whose clock is behind repeats what is old. */
TEST(what_is_late_is_noted_once_however_often_it_is_said) {
    struct world *w = begin(OVER);
    const int64_t occurrences = w->aggregate.state.alert.occurrences;
    for (int i = 0; i < 5; i++) assert_int_equal(ingest(w, ALERT_STATUS_FIRING, T - 90 * MINUTE_MS), FAULT_NONE);
    assert_int_equal(w->aggregate.state.alert.occurrences, occurrences + 1);
    assert_int_equal(w->aggregate.state.alert.status, ALERT_STATUS_RESOLVED);
    assert_int_equal(ingest(w, ALERT_STATUS_RESOLVED, T - 90 * MINUTE_MS), FAULT_NONE);
    assert_int_equal(w->aggregate.state.alert.occurrences, occurrences + 2); /* its end is something else */
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_and_every_intent),
        cmocka_unit_test(the_clock_is_told_of_what_comes_first),
        cmocka_unit_test(nothing_is_due_before_its_time_or_for_another_time),
        cmocka_unit_test(who_silenced_and_why_is_known_and_then_forgotten),
        cmocka_unit_test(what_fires_after_the_end_of_a_silence_sounds_at_once),
        cmocka_unit_test(what_is_late_is_noted_once_however_often_it_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
