/* SPDX-License-Identifier: Apache-2.0
 * Times, durations and base64 as text, by hand and exact: the C library's functions know the locale, the time zone
 * and years in another range. Days are counted as in Howard Hinnant's "chrono-compatible low-level date algorithms"
 * (days_from_civil, civil_from_days), which are proven over the whole range. */
#include "common/codec/json.h"

#include <inttypes.h>
#include <stdio.h>

#define TIME_SECONDS_MIN (-62135596800) /* 0001-01-01T00:00:00Z */
#define TIME_SECONDS_MAX 253402300799   /* 9999-12-31T23:59:59Z */
#define DURATION_SECONDS_MAX 315576000000

enum { NANOS_PER_SECOND = 1000000000, SECONDS_PER_DAY = 86400 };

static int64_t days_from_civil(int64_t year, int month, int day) {
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void civil_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day) {
    days += 719468;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const int64_t day_of_era = days - era * 146097;
    const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *ret_month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2));
}

/* `digits` digits at p, with zeros in front; what follows them. */
static char *digits_format(char *p, unsigned digits, uint32_t number) {
    for (unsigned i = digits; i-- > 0; number /= 10) p[i] = (char)('0' + number % 10);
    return p + digits;
}

/* "", ".123", ".123456" or ".123456789" */
static char *fraction_format(char *p, uint32_t nanos) {
    if (nanos == 0) return p;
    *p++ = '.';
    if (nanos % 1000000 == 0) return digits_format(p, 3, nanos / 1000000);
    if (nanos % 1000 == 0) return digits_format(p, 6, nanos / 1000);
    return digits_format(p, 9, nanos);
}

/* Exactly `digits` digits at *at. */
static bool digits_parse(slice text, size_t *at, size_t digits, int *ret_number) {
    if (text.size - *at < digits) return false;
    int number = 0;
    for (size_t i = 0; i < digits; i++) {
        const uint8_t c = text.data[*at + i];
        if (c < '0' || c > '9') return false;
        number = number * 10 + (c - '0');
    }
    *at += digits;
    *ret_number = number;
    return true;
}

static bool byte_parse(slice text, size_t *at, char byte) {
    if (*at >= text.size || text.data[*at] != (uint8_t)byte) return false;
    ++*at;
    return true;
}

/* Nothing, or a point and 1 to 9 digits. */
static bool fraction_parse(slice text, size_t *at, int32_t *ret_nanos) {
    *ret_nanos = 0;
    if (!byte_parse(text, at, '.')) return true;
    int32_t nanos = 0;
    int digits = 0;
    for (; *at < text.size && text.data[*at] >= '0' && text.data[*at] <= '9'; ++*at, digits++) {
        if (digits == 9) return false;
        nanos = nanos * 10 + (text.data[*at] - '0');
    }
    if (digits == 0) return false;
    for (; digits < 9; digits++) nanos *= 10;
    *ret_nanos = nanos;
    return true;
}

bool json_time_format(int64_t seconds, int32_t nanos, char ret_text[JSON_TIME_BYTES], size_t *ret_size) {
    if (seconds < TIME_SECONDS_MIN || seconds > TIME_SECONDS_MAX || nanos < 0 || nanos >= NANOS_PER_SECOND)
        return false;
    int64_t days = seconds / SECONDS_PER_DAY;
    int rest = (int)(seconds % SECONDS_PER_DAY);
    if (rest < 0) {
        rest += SECONDS_PER_DAY;
        days--;
    }
    int year, month, day;
    civil_from_days(days, &year, &month, &day);
    char *p = digits_format(ret_text, 4, (uint32_t)year);
    const struct {
        char before;
        int number;
    } parts[] = {{'-', month}, {'-', day}, {'T', rest / 3600}, {':', rest / 60 % 60}, {':', rest % 60}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *p++ = parts[i].before;
        p = digits_format(p, 2, (uint32_t)parts[i].number);
    }
    p = fraction_format(p, (uint32_t)nanos);
    *p++ = 'Z';
    *ret_size = (size_t)(p - ret_text);
    return true;
}

static bool time_offset_parse(slice text, size_t *at, int *ret_seconds) {
    *ret_seconds = 0;
    if (byte_parse(text, at, 'Z')) return true;
    int sign = 1, hours, minutes;
    if (byte_parse(text, at, '-'))
        sign = -1;
    else if (!byte_parse(text, at, '+'))
        return false;
    if (!digits_parse(text, at, 2, &hours) || !byte_parse(text, at, ':') || !digits_parse(text, at, 2, &minutes))
        return false;
    if (hours > 23 || minutes > 59) return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool json_time_parse(slice text, int64_t *ret_seconds, int32_t *ret_nanos) {
    static const int8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    size_t at = 0;
    int year, month, day, hour, minute, second, offset;
    int32_t nanos;
    if (!digits_parse(text, &at, 4, &year) || !byte_parse(text, &at, '-') || !digits_parse(text, &at, 2, &month) ||
        !byte_parse(text, &at, '-') || !digits_parse(text, &at, 2, &day) || !byte_parse(text, &at, 'T') ||
        !digits_parse(text, &at, 2, &hour) || !byte_parse(text, &at, ':') || !digits_parse(text, &at, 2, &minute) ||
        !byte_parse(text, &at, ':') || !digits_parse(text, &at, 2, &second) || !fraction_parse(text, &at, &nanos) ||
        !time_offset_parse(text, &at, &offset) || at != text.size)
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return false;
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > month_days[month - 1] + (month == 2 && leap)) return false;
    const int64_t seconds =
        days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    if (seconds < TIME_SECONDS_MIN || seconds > TIME_SECONDS_MAX) return false;
    *ret_seconds = seconds;
    *ret_nanos = nanos;
    return true;
}

bool json_duration_format(int64_t seconds, int32_t nanos, char ret_text[JSON_TIME_BYTES], size_t *ret_size) {
    if (seconds < -DURATION_SECONDS_MAX || seconds > DURATION_SECONDS_MAX || nanos <= -NANOS_PER_SECOND ||
        nanos >= NANOS_PER_SECOND || (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0))
        return false;
    const int size = snprintf(ret_text, JSON_TIME_BYTES, "%s%" PRId64, seconds < 0 || nanos < 0 ? "-" : "",
                              seconds < 0 ? -seconds : seconds);
    char *p = fraction_format(ret_text + size, (uint32_t)(nanos < 0 ? -nanos : nanos));
    *p++ = 's';
    *ret_size = (size_t)(p - ret_text);
    return true;
}

bool json_duration_parse(slice text, int64_t *ret_seconds, int32_t *ret_nanos) {
    size_t at = 0;
    const bool negative = byte_parse(text, &at, '-');
    int64_t seconds = 0;
    const size_t first = at;
    for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
        seconds = seconds * 10 + (text.data[at] - '0');
        if (seconds > DURATION_SECONDS_MAX) return false;
    }
    int32_t nanos;
    if (at == first || !fraction_parse(text, &at, &nanos) || !byte_parse(text, &at, 's') || at != text.size)
        return false;
    *ret_seconds = negative ? -seconds : seconds;
    *ret_nanos = negative ? -nanos : nanos;
    return true;
}

size_t json_base64_size(size_t size) {
    return (size + 2) / 3 * 4;
}

void json_base64_format(slice bytes, uint8_t *ret_text) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.size; i += 3) {
        const size_t left = bytes.size - i;
        const uint32_t three = (uint32_t)bytes.data[i] << 16 | (left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0) |
                               (left > 2 ? bytes.data[i + 2] : 0u);
        *ret_text++ = (uint8_t)alphabet[three >> 18];
        *ret_text++ = (uint8_t)alphabet[three >> 12 & 63];
        *ret_text++ = left > 1 ? (uint8_t)alphabet[three >> 6 & 63] : '=';
        *ret_text++ = left > 2 ? (uint8_t)alphabet[three & 63] : '=';
    }
}

static int base64_value(uint8_t c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

bool json_base64_parse(slice text, uint8_t *ret_bytes, size_t *ret_size) {
    size_t padding = 0;
    while (padding < 2 && text.size > 0 && text.data[text.size - 1] == '=') {
        text.size--;
        padding++;
    }
    if (text.size % 4 == 1 || (padding && (text.size + padding) % 4 != 0)) return false;
    uint32_t bits = 0;
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        const int value = base64_value(text.data[i]);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 == 0) continue;
        ret_bytes[size++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    *ret_size = size;
    return true;
}
