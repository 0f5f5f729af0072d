/* SPDX-License-Identifier: Apache-2.0
 * Schedules against times worked out by hand, and zones against libc's. */
#include "agent/health/cron.h"
#include "tests/support/check.h"

#include <unistd.h>

static int64_t at(const char *text) {
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
    return (int64_t)timegm(&tm) * 1000;
}

static const char *text_of(int64_t ms) {
    static char text[32];
    const time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (ms == INT64_MAX) return "never";
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm);
    return text;
}

static struct zone *zone_of(const char *name) {
    struct fault fault;
    struct zone *zone = NULL;
    if (zone_open("/usr/share/zoneinfo", slice_from_text(name), &zone, &fault)) print_message("%s\n", fault.text);
    return zone;
}

TEST(the_next_time_is_the_first_that_matches) {
    static const struct {
        const char *schedule, *after, *next;
    } cases[] = {
        {"* * * * *", "2026-03-02 09:00", "2026-03-02 09:01"},
        {"*/15 * * * *", "2026-03-02 09:00", "2026-03-02 09:15"},
        {"5/20 * * * *", "2026-03-02 09:45", "2026-03-02 10:05"},
        {"0 9-17/4 * * *", "2026-03-02 09:00", "2026-03-02 13:00"},
        {"30 2 * * *", "2026-03-02 02:30", "2026-03-03 02:30"},
        {"0 0 1 * *", "2026-03-02 00:00", "2026-04-01 00:00"},
        {"0 0 31 * *", "2026-04-01 00:00", "2026-05-31 00:00"},
        {"0 0 29 2 *", "2026-03-02 00:00", "2028-02-29 00:00"},
        {"0 0 30 2 *", "2026-03-02 00:00", "never"},
        {"0 0 * * 0", "2026-03-02 00:00", "2026-03-08 00:00"}, /* 2 March 2026 is a Monday */
        {"0 0 * * 7", "2026-03-02 00:00", "2026-03-08 00:00"},
        {"0 0 * * Fri", "2026-03-02 00:00", "2026-03-06 00:00"},
        {"0 0 * JAN-mar SUN,wed", "2026-03-02 00:00", "2026-03-04 00:00"},
        {"0 0 13 * 5", "2026-03-02 00:00", "2026-03-06 00:00"},  /* the 13th, or a Friday */
        {"0 0 */2 * 5", "2026-03-02 00:00", "2026-03-03 00:00"}, /* every second day, or a Friday: no star */
        {"0 0 */2 * 5", "2026-03-05 00:00", "2026-03-06 00:00"},
        {"0 0 13 * */2", "2026-03-02 00:00", "2026-03-03 00:00"},
        {"0 0 */1 * 5", "2026-03-02 00:00", "2026-03-06 00:00"}, /* a star: both */
        {"0 0 13,* * 5", "2026-03-02 00:00", "2026-03-06 00:00"},
        {"0 0 ? * 5", "2026-03-02 00:00", "2026-03-06 00:00"},
        {"59 23 31 12 *", "2026-12-31 23:59", "2027-12-31 23:59"},
        {"@hourly", "2026-03-02 09:30", "2026-03-02 10:00"},
        {"@daily", "2026-12-31 09:30", "2027-01-01 00:00"},
        {"@midnight", "2026-12-31 09:30", "2027-01-01 00:00"},
        {"@weekly", "2026-03-02 09:30", "2026-03-08 00:00"},
        {"@monthly", "2026-03-02 09:30", "2026-04-01 00:00"},
        {"@yearly", "2026-03-02 09:30", "2027-01-01 00:00"},
        {"@annually", "2026-03-02 09:30", "2027-01-01 00:00"},
        {"@every 1h30m", "2026-03-02 09:30", "2026-03-02 11:00"},
        {"  0\t9 * *  * ", "2026-03-02 09:30", "2026-03-03 09:00"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fault fault;
        struct cron cron;
        CHECK_OK(cron_parse(slice_from_text(cases[i].schedule), &cron, &fault));
        const char *const next = text_of(cron_next(&cron, at(cases[i].after), NULL));
        if (strcmp(next, cases[i].next) != 0)
            fail_msg("'%s' after %s: expected %s, got %s", cases[i].schedule, cases[i].after, cases[i].next, next);
    }
}

TEST(a_clock_change_is_met_as_the_controller_meets_it) {
    static const struct {
        const char *schedule, *after, *next;
    } cases[] = {
        /* New York leaves 02:00 to 03:00 out on 8 March 2026, and has 01:00 to 02:00 twice on 1 November. */
        {"30 2 * * *", "2026-03-07 07:30", "2026-03-09 06:30"}, {"30 3 * * *", "2026-03-07 08:30", "2026-03-08 07:30"},
        {"0 0 * * *", "2026-03-08 05:00", "2026-03-09 04:00"},  {"30 1 * * *", "2026-10-31 05:30", "2026-11-01 05:30"},
        {"30 1 * * *", "2026-11-01 05:30", "2026-11-01 06:30"}, {"0 * * * *", "2026-11-01 05:00", "2026-11-01 06:00"},
        {"0 12 1 * *", "2026-10-15 00:00", "2026-11-01 17:00"},
    };
    struct zone *const zone = zone_of("America/New_York");
    if (!zone) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fault fault;
        struct cron cron;
        CHECK_OK(cron_parse(slice_from_text(cases[i].schedule), &cron, &fault));
        const char *const next = text_of(cron_next(&cron, at(cases[i].after), zone));
        if (strcmp(next, cases[i].next) != 0)
            fail_msg("'%s' after %s: expected %s, got %s", cases[i].schedule, cases[i].after, cases[i].next, next);
    }
    zone_free(zone);
}

TEST(wrong_schedules_are_refused_by_their_field) {
    static const char *const schedules[] = {"",          "* * * *",    "* * * * * *", "60 * * * *",    "* 24 * * *",
                                            "* * 0 * *", "* * 32 * *", "* * * 13 *",  "* * * * 8",     "*/0 * * * *",
                                            "5-1 * * *", "1, * * * *", ",1 * * * *",  "a * * * *",     "@often",
                                            "@every",    "@every 5",   "@every 1h2",  "1-2-3 * * * *", "* * * foo *"};
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) {
        struct fault fault;
        struct cron cron;
        CHECK_FAULT(cron_parse(slice_from_text(schedules[i]), &cron, &fault), FAULT_INPUT);
    }
}

TEST(the_zone_is_the_field_or_stands_before_the_schedule) {
    CHECK_SLICE(cron_zone(SLICE_LIT("0 * * * *"), SLICE_LIT("Europe/Berlin")), "Europe/Berlin");
    CHECK_SLICE(cron_zone(SLICE_LIT("CRON_TZ=Asia/Tokyo 0 * * * *"), (slice){0}), "Asia/Tokyo");
    CHECK_SLICE(cron_zone(SLICE_LIT("TZ=UTC 0 * * * *"), (slice){0}), "");
    CHECK_SLICE(cron_zone(SLICE_LIT("0 * * * *"), (slice){0}), "");
    CHECK_SLICE(cron_schedule(SLICE_LIT("TZ=Asia/Tokyo  0 1 * * *"), NULL), "0 1 * * *");
    CHECK_SLICE(cron_schedule(SLICE_LIT(" 0 1 * * *"), NULL), "0 1 * * *");
}

TEST(offsets_are_those_of_libc) {
    static const char *const names[] = {"Europe/Berlin",     "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
                                        "Africa/Casablanca", "Europe/Dublin",    "America/Sao_Paulo",   "Pacific/Apia"};
    uint64_t seed = check_seed();
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        struct zone *const zone = zone_of(names[n]);
        if (!zone) continue;
        setenv("TZ", names[n], 1);
        tzset();
        for (unsigned i = 0; i < 4000; i++) {
            const time_t moment = (time_t)(check_random(&seed) % 4000000000u); /* until 2096 */
            struct tm tm;
            localtime_r(&moment, &tm);
            if (zone_offset_ms(zone, (int64_t)moment * 1000) != tm.tm_gmtoff * 1000)
                fail_msg("%s at %lld: expected %ld, got %lld", names[n], (long long)moment, tm.tm_gmtoff,
                         (long long)zone_offset_ms(zone, (int64_t)moment * 1000) / 1000);
        }
        zone_free(zone);
    }
    unsetenv("TZ");
}

TEST(a_zone_with_nothing_but_its_last_line_is_right_too) {
    /* A slim file: no moments, one type, the rule. */
    static const char rule[] = "\n<+1030>-10:30<+11>-11,M10.1.0,M4.1.0\n";
    uint8_t bytes[256] = {0};
    size_t size = 0;
    for (int part = 0; part < 2; part++) {
        memcpy(bytes + size, "TZif2", 5);
        bytes[size + 39] = 1; /* types */
        bytes[size + 43] = 4; /* letters */
        size += 44 + 6 + 4;
    }
    memcpy(bytes + size, rule, sizeof rule - 1);
    size += sizeof rule - 1;
    struct fault fault;
    struct zone *zone = NULL;
    CHECK_OK(zone_parse(slice_of(bytes, size), &zone, &fault));
    assert_int_equal(zone_offset_ms(zone, at("2026-07-01 00:00")), (10 * 60 + 30) * 60 * 1000);
    assert_int_equal(zone_offset_ms(zone, at("2026-01-01 00:00")), 11 * 3600 * 1000);
    zone_free(zone);
    for (size_t cut = 0; cut < 108; cut++) CHECK_FAULT(zone_parse(slice_of(bytes, cut), &zone, &fault), FAULT_INPUT);
    static const char far[] = "\n<+05-4>55:45\n";
    memcpy(bytes + 108, far, sizeof far - 1);
    CHECK_FAULT(zone_parse(slice_of(bytes, 108 + sizeof far - 1), &zone, &fault), FAULT_INPUT);
    memcpy(bytes + 108, rule, sizeof rule - 1);
    bytes[54 + 44] = 0x7f; /* its first offset: of 68 years */
    CHECK_FAULT(zone_parse(slice_of(bytes, size), &zone, &fault), FAULT_INPUT);
}

TEST(broken_zone_files_are_refused_and_names_lead_nowhere_else) {
    struct fault fault;
    struct zone *zone = NULL;
    static const char *const names[] = {"../../../etc/passwd", "/etc/passwd", "",
                                        "Europe/../../x",      "a.b",         "Europe/Berlin\n"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK_FAULT(zone_open("/usr/share/zoneinfo", slice_from_text(names[i]), &zone, &fault), FAULT_INPUT);
    CHECK_FAULT(zone_open("/nowhere", SLICE_LIT("Europe/Berlin"), &zone, &fault), FAULT_ABSENT);
    FILE *const file = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
    if (!file) return;
    static uint8_t bytes[ZONE_FILE_BYTES];
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    uint64_t seed = check_seed();
    for (unsigned i = 0; i < 20000; i++) { /* whatever happens, nothing is read beyond the end */
        uint8_t *const copy = malloc(size);
        memcpy(copy, bytes, size);
        for (unsigned c = 0; c < 3; c++) copy[check_random(&seed) % size] = (uint8_t)check_random(&seed);
        const size_t used = check_random(&seed) % 4 ? size : check_random(&seed) % size;
        if (!zone_parse(slice_of(copy, used), &zone, &fault)) {
            (void)zone_offset_ms(zone, (int64_t)(check_random(&seed) >> 1));
            (void)zone_offset_ms(zone, at("2090-01-01 00:00"));
            zone = zone_free(zone);
        }
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_time_is_the_first_that_matches),
        cmocka_unit_test(a_clock_change_is_met_as_the_controller_meets_it),
        cmocka_unit_test(wrong_schedules_are_refused_by_their_field),
        cmocka_unit_test(the_zone_is_the_field_or_stands_before_the_schedule),
        cmocka_unit_test(offsets_are_those_of_libc),
        cmocka_unit_test(a_zone_with_nothing_but_its_last_line_is_right_too),
        cmocka_unit_test(broken_zone_files_are_refused_and_names_lead_nowhere_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
