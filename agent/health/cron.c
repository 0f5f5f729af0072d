/* SPDX-License-Identifier: Apache-2.0
 * The next time is looked for from coarse to fine: as long as the month does not match, go to the first of the next one;
 * then the day, the hour, the minute; whatever moves begins again at the month. Hours and minutes move in absolute time,
 * so that the hour which a clock change repeats is met twice and the one it leaves out never. */
#include "agent/health/cron.h"

#include "common/base/fault.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, DAY_MS = 24 * HOUR_MS, STEPS_MAX = 20000, FIELDS = 5 };
#define HORIZON_MS ((int64_t)5 * 366 * DAY_MS)

struct field {
    const char *name;
    unsigned low, high;
    const char *const *words; /* for low, low + 1, ...; NULL: numbers only */
};

static const char *const month_words[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct field fields[FIELDS] = {
    {"minute", 0, 59, NULL},
    {"hour", 0, 23, NULL},
    {"day of month", 1, 31, NULL},
    {"month", 1, 12, month_words},
    {"day of week", 0, 7, weekday_words},
};

static const struct {
    slice name, schedule;
} words[] = {
    {SLICE_LIT("@yearly"), SLICE_LIT("0 0 1 1 *")},  {SLICE_LIT("@annually"), SLICE_LIT("0 0 1 1 *")},
    {SLICE_LIT("@monthly"), SLICE_LIT("0 0 1 * *")}, {SLICE_LIT("@weekly"), SLICE_LIT("0 0 * * 0")},
    {SLICE_LIT("@daily"), SLICE_LIT("0 0 * * *")},   {SLICE_LIT("@midnight"), SLICE_LIT("0 0 * * *")},
    {SLICE_LIT("@hourly"), SLICE_LIT("0 * * * *")},
};

static uint8_t lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* Takes a number or a word of the field off the front. */
static bool take_value(slice *rest, const struct field *field, unsigned *ret_value) {
    size_t size = 0;
    unsigned value = 0;
    for (; size < rest->size && size < 3 && rest->data[size] >= '0' && rest->data[size] <= '9'; size++)
        value = value * 10 + (rest->data[size] - '0');
    for (unsigned w = 0; size == 0 && field->words && field->words[w]; w++) {
        if (rest->size < 3 || lower(rest->data[0]) != field->words[w][0] ||
            lower(rest->data[1]) != field->words[w][1] || lower(rest->data[2]) != field->words[w][2])
            continue;
        value = field->low + w;
        size = 3;
    }
    *rest = slice_from(*rest, size);
    *ret_value = value;
    return size > 0;
}

static bool take(slice *rest, char c) {
    if (rest->size == 0 || rest->data[0] != (uint8_t)c) return false;
    *rest = slice_from(*rest, 1);
    return true;
}

/* One of a list: "*", "3", "1-5", each with "/2" behind it or not. any: "*" alone or "*" with "/1" behind it is in the list;
 * with a larger step it restricts the field (github.com/robfig/cron v3, parser.go, getRange). */
static bool parse_part(slice part, const struct field *field, uint64_t *bits, bool *any) {
    unsigned from = field->low, to = field->high, step = 1;
    const struct field number = {.low = 1, .high = 99};
    bool open = false;
    if (take(&part, '*') || take(&part, '?')) {
        open = true;
        if (field->words == weekday_words) to = 6;
    } else {
        if (!take_value(&part, field, &from)) return false;
        to = from;
        if (take(&part, '-') && !take_value(&part, field, &to)) return false;
    }
    if (take(&part, '/')) {
        if (!take_value(&part, &number, &step) || step == 0) return false;
        if (!open && to == from) to = field->words == weekday_words ? 6 : field->high; /* "5/15": from 5 on */
    }
    if (part.size || from < field->low || to > field->high || from > to) return false;
    *any |= open && step == 1;
    for (unsigned value = from; value <= to; value += step) *bits |= (uint64_t)1 << value;
    return true;
}

static fault_code parse_field(slice text, const struct field *field, uint64_t *ret_bits, bool *ret_any,
                              struct fault *reterr) {
    uint64_t bits = 0;
    *ret_any = false;
    for (slice rest = text; rest.data;) {
        const uint8_t *const comma = memchr(rest.data, ',', rest.size);
        const slice part = comma ? slice_of(rest.data, (size_t)(comma - rest.data)) : rest;
        if (part.size == 0 || !parse_part(part, field, &bits, ret_any))
            return fault_set(reterr, FAULT_INPUT, "'%.*s' is no %s of a schedule (%u to %u)",
                             SLICE_ARG(slice_first(text, 40)), field->name, field->low, field->high);
        rest = comma ? slice_of(comma + 1, rest.size - part.size - 1) : (slice){0};
    }
    *ret_bits = bits;
    return FAULT_NONE;
}

/* "1h30m", "90s": hours, minutes, seconds. */
static fault_code parse_every(slice text, struct cron *ret_cron, struct fault *reterr) {
    int64_t total_ms = 0;
    slice rest = text;
    while (rest.size) {
        int64_t value = 0;
        size_t digits = 0;
        for (; digits < rest.size && digits < 9 && rest.data[digits] >= '0' && rest.data[digits] <= '9'; digits++)
            value = value * 10 + (rest.data[digits] - '0');
        rest = slice_from(rest, digits);
        const int64_t unit_ms = take(&rest, 'h') ? HOUR_MS : take(&rest, 'm') ? MINUTE_MS : take(&rest, 's') ? 1000 : 0;
        if (digits == 0 || unit_ms == 0) {
            total_ms = 0;
            break;
        }
        total_ms += value * unit_ms;
    }
    if (total_ms < 1000)
        return fault_set(reterr, FAULT_INPUT, "'%.*s' is no duration after @every, such as 1h30m",
                         SLICE_ARG(slice_first(text, 40)));
    ret_cron->every_ms = total_ms;
    return FAULT_NONE;
}

static slice trim(slice text) {
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t')) text = slice_from(text, 1);
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) text.size--;
    return text;
}

/* Takes what stands before the next blank off the front. */
static slice take_word(slice *rest) {
    size_t size = 0;
    *rest = trim(*rest);
    while (size < rest->size && rest->data[size] != ' ' && rest->data[size] != '\t') size++;
    const slice word = slice_first(*rest, size);
    *rest = slice_from(*rest, size);
    return word;
}

fault_code cron_parse(slice schedule, struct cron *ret_cron, struct fault *reterr) {
    struct cron cron = {0};
    slice rest = trim(schedule);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal(rest, words[i].name)) rest = words[i].schedule;
    if (slice_starts_with(rest, SLICE_LIT("@every "))) {
        const fault_code code = parse_every(trim(slice_from(rest, 7)), &cron, reterr);
        if (!code) *ret_cron = cron;
        return code;
    }
    uint64_t bits[FIELDS];
    bool any[FIELDS];
    for (size_t i = 0; i < FIELDS; i++) {
        const slice text = take_word(&rest);
        if (text.size == 0)
            return fault_set(reterr, FAULT_INPUT, "the schedule '%.*s' has %zu fields, not five",
                             SLICE_ARG(slice_first(schedule, 60)), i);
        const fault_code code = parse_field(text, &fields[i], &bits[i], &any[i], reterr);
        if (code) return code;
    }
    if (trim(rest).size)
        return fault_set(reterr, FAULT_INPUT, "the schedule '%.*s' has more than five fields",
                         SLICE_ARG(slice_first(schedule, 60)));
    cron.minutes = bits[0];
    cron.hours = (uint32_t)bits[1];
    cron.days = (uint32_t)bits[2];
    cron.months = (uint16_t)bits[3];
    cron.weekdays = (uint8_t)((bits[4] & 0x7f) | (bits[4] >> 7 & 1)); /* 7 is Sunday too */
    cron.any_day = any[2];
    cron.any_weekday = any[4];
    *ret_cron = cron;
    return FAULT_NONE;
}

static bool day_matches(const struct cron *cron, const struct zone_civil *local) {
    const bool day = cron->days >> local->day & 1, weekday = cron->weekdays >> local->weekday & 1;
    return cron->any_day || cron->any_weekday ? day && weekday : day || weekday;
}

static int64_t floor_to(int64_t value, int64_t unit) {
    const int64_t rest = value % unit;
    return value - rest - (rest < 0 ? unit : 0);
}

/* From at_ms to the local midnight that begins the next day, or a little before it where the clock changes. */
static int64_t next_day(int64_t at_ms, const struct zone *zone) {
    const int64_t offset_ms = zone_offset_ms(zone, at_ms);
    const int64_t midnight_ms = floor_to(at_ms + offset_ms, DAY_MS) + DAY_MS;
    const int64_t later_offset_ms = zone_offset_ms(zone, midnight_ms - offset_ms);
    const int64_t found_ms = midnight_ms - (offset_ms > later_offset_ms ? offset_ms : later_offset_ms);
    return found_ms > at_ms ? found_ms : floor_to(at_ms, HOUR_MS) + HOUR_MS;
}

int64_t cron_next(const struct cron *cron, int64_t after_ms, const struct zone *zone) {
    if (cron->every_ms) return floor_to(after_ms, 1000) + cron->every_ms;
    int64_t at_ms = floor_to(after_ms, MINUTE_MS) + MINUTE_MS;
    const int64_t end_ms = at_ms + HORIZON_MS;
    for (unsigned steps = 0; steps < STEPS_MAX && at_ms < end_ms; steps++) {
        struct zone_civil local;
        const int64_t local_ms = at_ms + zone_offset_ms(zone, at_ms);
        zone_civil(local_ms, &local);
        if (!(cron->months >> local.month & 1) || !day_matches(cron, &local))
            at_ms = next_day(at_ms, zone);
        else if (!(cron->hours >> local.hour & 1))
            at_ms += HOUR_MS - (local_ms - floor_to(local_ms, HOUR_MS));
        else if (!(cron->minutes >> local.minute & 1))
            at_ms += MINUTE_MS;
        else
            return at_ms;
    }
    return INT64_MAX;
}

slice cron_schedule(slice text, slice *ret_zone) {
    slice rest = trim(text), zone = {0};
    if (slice_starts_with(rest, SLICE_LIT("TZ=")) || slice_starts_with(rest, SLICE_LIT("CRON_TZ="))) {
        zone = take_word(&rest);
        zone = slice_from(zone, zone.data[0] == 'T' ? 3 : 8);
        rest = trim(rest);
    }
    if (ret_zone) *ret_zone = zone;
    return rest;
}

slice cron_zone(slice schedule, slice time_zone) {
    slice zone = time_zone;
    if (zone.size == 0) (void)cron_schedule(schedule, &zone);
    return slice_equal_text(zone, "UTC") || slice_equal_text(zone, "Etc/UTC") ? (slice){0} : zone;
}
