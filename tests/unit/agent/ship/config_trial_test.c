/* SPDX-License-Identifier: Apache-2.0
 * With a real queue in a folder of its own; an agent that dies is one that is not closed. */
#include "common/base/clock.h"
#include "tests/support/check.h"

#include <unistd.h>

#include "agent/ship/config_trial.h"
#include "common/codec/codec.h"
#include "sre.pb.h"

enum { PROBATION_MS = 60, PATIENCE_MS = 60 * 1000 };

struct place {
    char folder[64];
    struct loop *loop;
    struct queue *queue;
    struct config_trial *trial;
    struct arena *arena;
    uint64_t applied; /* the revision that is at work */
    enum config_trial_finding finding;
    bool refuses;
    unsigned applies;
    enum config_trial_finding then; /* what is found once it was found so often as finds says */
    unsigned finds;
    int64_t pace_ms, apply_ms;
};

static fault_code apply(void *context, const struct remote_definitions *definitions, struct fault *reterr) {
    struct place *place = context;
    if (place->refuses) return fault_set(reterr, FAULT_LIMIT, "too many series");
    place->applied = definitions->revision;
    place->applies++;
    for (const int64_t end_ms = clock_monotonic_ms() + place->apply_ms; clock_monotonic_ms() < end_ms;) {
    }
    return FAULT_NONE;
}

static enum config_trial_finding find(void *context) {
    struct place *place = context;
    const enum config_trial_finding finding = place->finding;
    if (place->finds && --place->finds == 0) place->finding = place->then;
    return finding;
}

static void changed(void *context) {}

static void begin(struct place *place) {
    struct fault fault, moved;
    char path[80];
    snprintf(path, sizeof path, "%s/queue", place->folder);
    const struct queue_settings settings = {.path = path, .bytes_max = 1 << 20};
    CHECK_OK(queue_open(&settings, &place->queue, &moved, &fault));
    const struct config_trial_parts parts = {place->loop, place->queue, 3,     PROBATION_MS,  apply,
                                             find,        changed,      place, place->pace_ms};
    CHECK_OK(config_trial_open(&parts, &place->trial, &fault));
    place->applied = config_trial_definitions(place->trial)->revision;
    config_trial_started(place->trial);
}

static void end(struct place *place) {
    place->trial = config_trial_close(place->trial);
    place->queue = queue_close(place->queue);
}

/* What is on disk is all that is left; the rest is freed behind the agent's back. */
static void die(struct place *place) {
    struct fault fault;
    static const char *const names[] = {"config", "config.trial", "config.record"};
    slice notes[3];
    for (int i = 0; i < 3; i++)
        if (queue_note_get(place->queue, names[i], place->arena, &notes[i], &fault)) notes[i] = (slice){0};
    config_trial_close(place->trial);
    for (int i = 0; i < 3; i++)
        CHECK_OK(queue_append(place->queue, NULL, 0, &(struct queue_note){names[i], notes[i]}, 1, &fault));
    place->queue = queue_close(place->queue);
}

static int setup(void **state) {
    struct fault fault;
    struct place *place = calloc(1, sizeof *place);
    snprintf(place->folder, sizeof place->folder, "/tmp/config_trial_XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    CHECK_OK(loop_new(&place->loop, &fault));
    place->arena = arena_new(4096, 1 << 24);
    place->finding = CONFIG_TRIAL_WORKS;
    begin(place);
    *state = place;
    return 0;
}

static int teardown(void **state) {
    struct place *place = *state;
    char command[96];
    end(place);
    loop_free(place->loop);
    arena_free(place->arena);
    snprintf(command, sizeof command, "rm -rf %s", place->folder);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

static void stop(void *context) {
    loop_stop(context);
}

static void wait_ms(struct place *place, int64_t ms) {
    struct loop_timer *timer = loop_timer_new(place->loop, stop, place->loop);
    loop_timer_set(timer, ms);
    loop_run(place->loop);
    loop_timer_free(timer);
}

static struct config_trial_report report(const struct place *place) {
    struct config_trial_report r;
    config_trial_report(place->trial, &r);
    return r;
}

/* As long as it takes: a machine that stood still in a trial makes it begin anew. */
static void wait_for(struct place *place, enum config_trial_state state) {
    const int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (report(place).state != state && clock_monotonic_ms() < end_ms) wait_ms(place, PROBATION_MS / 4);
    assert_int_equal(report(place).state, state);
}

/* count definitions, of which the first `wrong` are. */
static slice config(struct place *place, uint64_t revision, size_t count, size_t wrong) {
    struct fault fault;
    slice payload;
    SLIDefinition slis[8] = {0};
    for (size_t i = 0; i < count; i++) {
        slis[i] = (SLIDefinition){.slo_id = arena_format(place->arena, "slo-%zu", i), .has_spec = true};
        slis[i].spec.which_kind = SLISpec_counter_ratio_tag;
        slis[i].spec.kind.counter_ratio = (CounterRatioSLI){
            .good_selector = i < wrong ? SLICE_LIT("{{") : SLICE_LIT("good"), .total_selector = SLICE_LIT("all")};
    }
    AgentConfig message = {.revision = revision};
    message.slis.items = slis;
    message.slis.count = count;
    CHECK_OK(codec_encode_protobuf(&AgentConfig_desc, &message, place->arena, &payload, &fault));
    return payload;
}

static void make_good(struct place *place, uint64_t revision) {
    config_trial_take(place->trial, config(place, revision, 1, 0));
    wait_for(place, CONFIG_TRIAL_GOOD);
    assert_int_equal(place->applied, revision);
}

TEST(a_revision_is_on_trial_and_then_good_and_is_there_after_a_restart) {
    struct place *place = *state;
    assert_int_equal(report(place).state, CONFIG_TRIAL_NONE);
    config_trial_take(place->trial, config(place, 7, 2, 0));
    assert_int_equal(report(place).state, CONFIG_TRIAL_RUNS);
    assert_int_equal(place->applied, 7);
    wait_for(place, CONFIG_TRIAL_GOOD);
    config_trial_take(place->trial, config(place, 7, 2, 0)); /* again */
    assert_int_equal(place->applies, 1);
    die(place);
    begin(place);
    assert_int_equal(place->applied, 7);
    assert_int_equal(report(place).state, CONFIG_TRIAL_GOOD);
    assert_int_equal(report(place).wanted_revision, 7);
}

TEST(of_a_flood_the_last_is_taken) {
    struct place *place = *state;
    die(place);
    place->pace_ms = 1000;
    place->apply_ms = 1100; /* longer than the pace: there is time between two all the same */
    begin(place);
    slice flood[50];
    for (uint64_t i = 0; i < 50; i++) flood[i] = config(place, i + 1, 2, 0);
    for (uint64_t i = 0; i < 50; i++) config_trial_take(place->trial, flood[i]);
    assert_int_equal(place->applied, 1);
    config_trial_take(place->trial, (slice){0}); /* says nothing, and takes nothing away */
    const int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;
    while (place->applied != 50 && clock_monotonic_ms() < end_ms) wait_ms(place, PROBATION_MS);
    assert_int_equal(place->applied, 50);
    assert_int_equal(place->applies, 2);
    place->apply_ms = 0;
    config_trial_take(place->trial, config(place, 51, 2, 0));
    config_trial_take(place->trial, config(place, 52, 2, 0)); /* waits when all ends */
}

TEST(what_does_not_load_is_rolled_back_and_not_tried_again) {
    struct place *place = *state;
    make_good(place, 7);
    const struct {
        slice payload;
        const char *why;
    } cases[] = {{SLICE_LIT("\xff\xff"), "configuration from the centre"},
                 {config(place, 8, 4, 0), "4 SLIs, at most 3"},
                 {config(place, 9, 2, 2), "nothing of it can be measured: SLO 'slo-0'"},
                 {config(place, 0, 1, 0), "no revision"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config_trial_take(place->trial, cases[i].payload);
        assert_int_equal(report(place).state, CONFIG_TRIAL_ROLLED_BACK);
        if (!strstr(report(place).failed_reason, cases[i].why)) fail_msg("%zu: %s", i, report(place).failed_reason);
        assert_int_equal(place->applied, 7);
    }
    config_trial_take(place->trial, config(place, 9, 2, 1)); /* one of two is left out */
    assert_int_equal(place->applied, 9);
    place->refuses = true;
    const unsigned before = place->applies;
    config_trial_take(place->trial, config(place, 10, 1, 0));
    place->refuses = false;
    assert_string_equal(report(place).failed_reason, "too many series");
    assert_int_equal(report(place).failed_revision, 10);
    config_trial_take(place->trial, config(place, 10, 1, 0)); /* it would work now, and is not tried */
    assert_int_equal(place->applies, before);
    config_trial_forgive(place->trial);
    config_trial_take(place->trial, config(place, 10, 1, 0));
    assert_int_equal(place->applied, 10);
}

TEST(a_revision_that_ends_the_agent_again_and_again_is_rolled_back) {
    struct place *place = *state;
    make_good(place, 7);
    config_trial_take(place->trial, config(place, 8, 1, 0));
    for (unsigned ends = 1; ends < CONFIG_TRIAL_ENDS_MAX; ends++) {
        die(place);
        begin(place);
        assert_int_equal(place->applied, 8);
        assert_int_equal(report(place).state, CONFIG_TRIAL_RUNS);
        assert_int_equal(report(place).starts, ends + 1);
    }
    die(place);
    begin(place);
    assert_int_equal(place->applied, 7);
    assert_int_equal(report(place).state, CONFIG_TRIAL_ROLLED_BACK);
    assert_int_equal(report(place).failed_revision, 8);
    assert_non_null(strstr(report(place).failed_reason, "ended 3 times"));
    config_trial_take(place->trial, config(place, 8, 1, 0)); /* the broker gives the retained one again */
    assert_int_equal(place->applied, 7);
    die(place);
    begin(place);
    assert_int_equal(report(place).state, CONFIG_TRIAL_ROLLED_BACK);
    config_trial_take(place->trial, config(place, 9, 1, 0));
    assert_int_equal(place->applied, 9);
    assert_int_equal(report(place).state, CONFIG_TRIAL_RUNS);
}

TEST(an_agent_that_is_stopped_as_it_should_be_blames_nobody) {
    struct place *place = *state;
    make_good(place, 7);
    config_trial_take(place->trial, config(place, 8, 1, 0));
    for (int i = 0; i < 2 * CONFIG_TRIAL_ENDS_MAX; i++) {
        end(place);
        begin(place);
        assert_int_equal(place->applied, 8);
    }
    wait_for(place, CONFIG_TRIAL_GOOD);
}

TEST(a_revision_with_which_nothing_is_measured_any_more_is_rolled_back) {
    struct place *place = *state;
    make_good(place, 7);
    config_trial_take(place->trial, config(place, 8, 1, 0));
    place->finding = CONFIG_TRIAL_FAILS;
    place->then = CONFIG_TRIAL_WORKS; /* rolling back helps */
    place->finds = 1;
    wait_for(place, CONFIG_TRIAL_ROLLED_BACK);
    assert_int_equal(place->applied, 7);
    wait_ms(place, 2 * PROBATION_MS);
    assert_int_equal(report(place).state, CONFIG_TRIAL_ROLLED_BACK);
    place->finding = CONFIG_TRIAL_FAILS;
    config_trial_take(place->trial, config(place, 9, 1, 0)); /* nothing was measured before it either */
    wait_for(place, CONFIG_TRIAL_GOOD);
    assert_int_equal(place->applied, 9);
}

TEST(a_revision_is_not_blamed_for_targets_that_are_down_with_the_good_one_too) {
    struct place *place = *state;
    make_good(place, 7);
    config_trial_take(place->trial, config(place, 8, 1, 0));
    place->finding = CONFIG_TRIAL_FAILS;
    for (int i = 0; i < 1000 && (place->applies < 4 || report(place).state != CONFIG_TRIAL_GOOD); i++)
        wait_ms(place, PROBATION_MS);
    assert_int_equal(report(place).state, CONFIG_TRIAL_GOOD);
    assert_int_equal(place->applied, 8);
    assert_int_equal(place->applies, 4); /* 7, 8, 7 again, 8 again */
}

TEST(a_trial_goes_on_while_nothing_can_be_stored) {
    struct place *place = *state;
    config_trial_take(place->trial, config(place, 7, 1, 0));
    place->finding = CONFIG_TRIAL_UNKNOWN;
    wait_ms(place, 3 * PROBATION_MS);
    assert_int_equal(report(place).state, CONFIG_TRIAL_RUNS);
    assert_int_equal(place->applied, 7);
    place->finding = CONFIG_TRIAL_WORKS;
    wait_for(place, CONFIG_TRIAL_GOOD);
}

TEST(a_newer_one_takes_the_place_of_the_one_on_trial_and_the_good_one_stays) {
    struct place *place = *state;
    make_good(place, 7);
    config_trial_take(place->trial, config(place, 8, 1, 0));
    config_trial_take(place->trial, config(place, 9, 1, 0));
    assert_int_equal(place->applied, 9);
    place->finding = CONFIG_TRIAL_FAILS;
    place->then = CONFIG_TRIAL_WORKS;
    place->finds = 1;
    wait_for(place, CONFIG_TRIAL_ROLLED_BACK);
    assert_int_equal(place->applied, 7);
    assert_int_equal(report(place).failed_revision, 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_revision_is_on_trial_and_then_good_and_is_there_after_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_does_not_load_is_rolled_back_and_not_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revision_that_ends_the_agent_again_and_again_is_rolled_back, setup, teardown),
        cmocka_unit_test_setup_teardown(an_agent_that_is_stopped_as_it_should_be_blames_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revision_with_which_nothing_is_measured_any_more_is_rolled_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(of_a_flood_the_last_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(a_revision_is_not_blamed_for_targets_that_are_down_with_the_good_one_too, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_trial_goes_on_while_nothing_can_be_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_one_takes_the_place_of_the_one_on_trial_and_the_good_one_stays, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
