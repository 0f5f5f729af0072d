/* SPDX-License-Identifier: Apache-2.0
 * libc's own zones are state of the whole process (TZ, tzset), and we have threads and several zones at a time; so the
 * files are read here. A file has a list of moments at which the offset changes, and one line for all time after the
 * last of them ("CET-1CEST,M3.5.0,M10.5.0/3", POSIX TZ): newer files leave the list short and rely on the line. */
#include "agent/health/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HEADER_BYTES = 44, TYPES_MAX = 256, HOUR_S = 3600, DAY_S = 24 * HOUR_S };

enum day_form { DAY_MONTH_WEEK, DAY_JULIAN, DAY_ZERO_BASED };
struct change { /* once a year */
    enum day_form form;
    unsigned month, week, weekday, day;
    int64_t at_s; /* after the local midnight */
};
struct rule {
    bool known, saves; /* saves: has daylight saving */
    int64_t standard_s, saving_s;
    struct change begins, ends;
};

struct zone {
    size_t count;
    int64_t *moments_s;
    int32_t *offsets_s; /* from that moment on */
    int32_t first_s;    /* before the first */
    struct rule rule;
};

/* Days since 1970-01-01 of the proleptic Gregorian calendar, and back: Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms". */
static int64_t days_of(int64_t year, unsigned month, unsigned day) {
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const unsigned of_era = (unsigned)(year - era * 400);
    const unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + (int64_t)(of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719468;
}

static int64_t floor_divide(int64_t value, int64_t by) {
    return value / by - (value % by < 0);
}

void zone_civil(int64_t local_ms, struct zone_civil *ret_civil) {
    const int64_t minutes = floor_divide(local_ms, 60 * 1000);
    const int64_t days = floor_divide(minutes, 24 * 60);
    const unsigned of_day = (unsigned)(minutes - days * 24 * 60);
    const int64_t shifted = days + 719468;
    const int64_t era = floor_divide(shifted, 146097);
    const unsigned of_era = (unsigned)(shifted - era * 146097);
    const unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    const unsigned month = (5 * of_year + 2) / 153;
    *ret_civil = (struct zone_civil){
        .month = month < 10 ? month + 3 : month - 9,
        .day = of_year - (153 * month + 2) / 5 + 1,
        .hour = of_day / 60,
        .minute = of_day % 60,
        .weekday = (unsigned)(((days % 7) + 11) % 7), /* 1970-01-01 was a Thursday */
    };
    ret_civil->year = (int)(era * 400 + year) + (ret_civil->month <= 2);
}

static bool is_letter(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool take_name(slice *rest) {
    size_t size = 0;
    if (rest->size && rest->data[0] == '<') {
        while (size < rest->size && rest->data[size] != '>') size++;
        size++;
    } else {
        while (size < rest->size && is_letter(rest->data[size])) size++;
    }
    if (size < 3 || size > rest->size) return false;
    *rest = slice_from(*rest, size);
    return true;
}

static bool take_number(slice *rest, int64_t most, int64_t *ret_number) {
    size_t digits = 0;
    int64_t number = 0;
    for (; digits < rest->size && digits < 4 && rest->data[digits] >= '0' && rest->data[digits] <= '9'; digits++)
        number = number * 10 + (rest->data[digits] - '0');
    if (digits == 0 || number > most) return false;
    *rest = slice_from(*rest, digits);
    *ret_number = number;
    return true;
}

static bool take(slice *rest, char c) {
    if (rest->size == 0 || rest->data[0] != (uint8_t)c) return false;
    *rest = slice_from(*rest, 1);
    return true;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(slice *rest, int64_t *ret_seconds) {
    const int64_t sign = take(rest, '-') ? -1 : 1;
    int64_t hours, minutes = 0, seconds = 0;
    if (sign == 1) (void)take(rest, '+');
    if (!take_number(rest, 167, &hours)) return false;
    if (take(rest, ':') && !take_number(rest, 59, &minutes)) return false;
    if (take(rest, ':') && !take_number(rest, 59, &seconds)) return false;
    *ret_seconds = sign * (hours * HOUR_S + minutes * 60 + seconds);
    return true;
}

static bool take_change(slice *rest, struct change *ret_change) {
    int64_t month = 0, week = 0, weekday = 0, day = 0;
    struct change change = {.at_s = 2 * (int64_t)HOUR_S};
    if (!take(rest, ',')) return false;
    if (take(rest, 'M')) {
        change.form = DAY_MONTH_WEEK;
        if (!take_number(rest, 12, &month) || !take(rest, '.') || !take_number(rest, 5, &week) || !take(rest, '.') ||
            !take_number(rest, 6, &weekday) || month == 0 || week == 0)
            return false;
    } else {
        change.form = take(rest, 'J') ? DAY_JULIAN : DAY_ZERO_BASED;
        if (!take_number(rest, change.form == DAY_JULIAN ? 365 : 364, &day)) return false;
    }
    change.month = (unsigned)month;
    change.week = (unsigned)week;
    change.weekday = (unsigned)weekday;
    change.day = (unsigned)day;
    if (take(rest, '/') && !take_time(rest, &change.at_s)) return false;
    *ret_change = change;
    return true;
}

/* A day at most, and an hour of saving: hours up to 167 are for the moments of change (RFC 8536 section 3.3.1). */
static bool is_offset(int64_t seconds) {
    return seconds >= -DAY_S - HOUR_S && seconds <= DAY_S + HOUR_S;
}

/* POSIX TZ counts what to add to local time; west is positive there. */
static bool parse_rule(slice text, struct rule *ret_rule) {
    struct rule rule = {.known = true};
    int64_t seconds;
    if (!take_name(&text) || !take_time(&text, &seconds)) return false;
    rule.standard_s = -seconds;
    rule.saving_s = rule.standard_s + HOUR_S;
    rule.saves = text.size > 0;
    if (rule.saves) {
        if (!take_name(&text)) return false;
        if (text.size && text.data[0] != ',') {
            if (!take_time(&text, &seconds)) return false;
            rule.saving_s = -seconds;
        }
        if (!take_change(&text, &rule.begins) || !take_change(&text, &rule.ends)) return false;
    }
    if (text.size || !is_offset(rule.standard_s) || !is_offset(rule.saving_s)) return false;
    *ret_rule = rule;
    return true;
}

static bool is_leap(int year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Local seconds since 1970 of the yearly change. */
static int64_t change_in(const struct change *change, int year) {
    int64_t day = days_of(year, 1, 1);
    if (change->form == DAY_ZERO_BASED) {
        day += change->day;
    } else if (change->form == DAY_JULIAN) { /* 29 February is never counted */
        day += (int64_t)change->day - 1 + (is_leap(year) && change->day >= 60);
    } else {
        const int64_t first = days_of(year, change->month, 1);
        const int64_t next = change->month == 12 ? days_of(year + 1, 1, 1) : days_of(year, change->month + 1, 1);
        const unsigned weekday = (unsigned)((((first % 7) + 7) % 7 + 4) % 7);
        day = first + (change->weekday + 7 - weekday) % 7 + 7 * ((int64_t)change->week - 1);
        while (day >= next) day -= 7;
    }
    return day * DAY_S + change->at_s;
}

static int64_t rule_offset(const struct rule *rule, int64_t utc_s) {
    if (!rule->saves) return rule->standard_s;
    struct zone_civil civil;
    zone_civil((utc_s + rule->standard_s) * 1000, &civil);
    const int64_t begins_s = change_in(&rule->begins, civil.year) - rule->standard_s;
    const int64_t ends_s = change_in(&rule->ends, civil.year) - rule->saving_s;
    const bool saving = begins_s < ends_s ? utc_s >= begins_s && utc_s < ends_s : utc_s >= begins_s || utc_s < ends_s;
    return saving ? rule->saving_s : rule->standard_s;
}

int64_t zone_offset_ms(const struct zone *zone, int64_t utc_ms) {
    if (!zone) return 0;
    const int64_t utc_s = floor_divide(utc_ms, 1000);
    size_t low = 0, high = zone->count; /* the first moment after utc_s */
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (zone->moments_s[middle] <= utc_s)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == zone->count && zone->rule.known) return rule_offset(&zone->rule, utc_s) * 1000;
    return (low == 0 ? (int64_t)zone->first_s : zone->offsets_s[low - 1]) * 1000;
}

static uint32_t read_u32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

struct header {
    size_t utc_flags, standard_flags, leaps, moments, types, letters;
};

static bool read_header(slice bytes, struct header *ret_header) {
    if (bytes.size < HEADER_BYTES || memcmp(bytes.data, "TZif", 4) != 0 || bytes.data[4] < '2') return false;
    size_t *const counts[] = {&ret_header->utc_flags, &ret_header->standard_flags, &ret_header->leaps,
                              &ret_header->moments,   &ret_header->types,          &ret_header->letters};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        *counts[i] = read_u32(bytes.data + 20 + 4 * i);
        if (*counts[i] > ZONE_FILE_BYTES) return false;
    }
    return true;
}

static size_t block_bytes(const struct header *header, size_t time_bytes) {
    return header->moments * (time_bytes + 1) + header->types * 6 + header->letters + header->leaps * (time_bytes + 4) +
           header->standard_flags + header->utc_flags;
}

/* The block with 64-bit times; block begins behind its header, footer behind the block. */
static fault_code fill(struct zone *zone, const struct header *header, slice block, slice footer,
                       struct fault *reterr) {
    zone->moments_s = calloc(header->moments + 1, sizeof *zone->moments_s);
    zone->offsets_s = calloc(header->moments + 1, sizeof *zone->offsets_s);
    if (!zone->moments_s || !zone->offsets_s) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    const uint8_t *const types = block.data + header->moments * 9;
    for (size_t i = 0; i < header->types; i++)
        if ((int32_t)read_u32(types + i * 6) < -DAY_S || (int32_t)read_u32(types + i * 6) > DAY_S)
            return fault_set(reterr, FAULT_INPUT, "an offset of more than a day");
    zone->first_s = (int32_t)read_u32(types);
    for (size_t i = 0; i < header->moments; i++) {
        const uint8_t *const at = block.data + i * 8;
        const uint8_t type = block.data[header->moments * 8 + i];
        zone->moments_s[i] = (int64_t)((uint64_t)read_u32(at) << 32 | read_u32(at + 4));
        if (type >= header->types || (i && zone->moments_s[i] <= zone->moments_s[i - 1]))
            return fault_set(reterr, FAULT_INPUT, "its moments are not in order, or name no offset");
        zone->offsets_s[i] = (int32_t)read_u32(types + (size_t)type * 6);
    }
    zone->count = header->moments;
    const uint8_t *const end =
        footer.size > 1 && footer.data[0] == '\n' ? memchr(footer.data + 1, '\n', footer.size - 1) : NULL;
    if (end && end > footer.data + 1 &&
        !parse_rule(slice_of(footer.data + 1, (size_t)(end - footer.data - 1)), &zone->rule))
        return fault_set(reterr, FAULT_INPUT, "its last line is no rule");
    return FAULT_NONE;
}

fault_code zone_parse(slice bytes, struct zone **ret_zone, struct fault *reterr) {
    struct header header;
    if (!read_header(bytes, &header)) return fault_set(reterr, FAULT_INPUT, "not a TZif file of version 2 or later");
    slice rest = slice_from(bytes, HEADER_BYTES + block_bytes(&header, 4));
    if (!read_header(rest, &header) || header.types == 0 || header.types > TYPES_MAX ||
        rest.size < HEADER_BYTES + block_bytes(&header, 8))
        return fault_set(reterr, FAULT_INPUT, "a TZif file that ends too early");
    struct zone *const zone = calloc(1, sizeof *zone);
    if (!zone) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    const slice block = slice_from(rest, HEADER_BYTES);
    const fault_code code = fill(zone, &header, block, slice_from(block, block_bytes(&header, 8)), reterr);
    if (code) {
        zone_free(zone);
        return code;
    }
    *ret_zone = zone;
    return FAULT_NONE;
}

struct zone *zone_free(struct zone *zone) {
    if (!zone) return NULL;
    free(zone->moments_s);
    free(zone->offsets_s);
    free(zone);
    return NULL;
}

static bool is_name(slice name) {
    if (name.size == 0 || name.size > ZONE_NAME_BYTES || !is_letter(name.data[0])) return false;
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t c = name.data[i];
        if (!is_letter(c) && !(c >= '0' && c <= '9') && (c == 0 || !strchr("/_+-", c))) return false;
    }
    return true;
}

fault_code zone_open(const char *folder, slice name, struct zone **ret_zone, struct fault *reterr) {
    char path[512];
    if (!is_name(name))
        return fault_set(reterr, FAULT_INPUT, "'%.*s' is no name of a time zone", SLICE_ARG(slice_first(name, 60)));
    snprintf(path, sizeof path, "%s/%.*s", folder, SLICE_ARG(name));
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fault_set_errno(reterr, errno == ENOENT ? FAULT_ABSENT : FAULT_SYSTEM, errno, "open '%s'", path);
    uint8_t *const bytes = malloc(ZONE_FILE_BYTES);
    const ssize_t size = bytes ? read(fd, bytes, ZONE_FILE_BYTES) : -1;
    const int reason = errno;
    close(fd);
    const fault_code code = !bytes     ? fault_set(reterr, FAULT_LIMIT, "out of memory")
                            : size < 0 ? fault_set_errno(reterr, FAULT_SYSTEM, reason, "read '%s'", path)
                                       : zone_parse(slice_of(bytes, (size_t)size), ret_zone, reterr);
    free(bytes);
    return code ? fault_wrap(reterr, "time zone '%.*s'", SLICE_ARG(name)) : FAULT_NONE;
}
