/* SPDX-License-Identifier: Apache-2.0
 * A form of fixed places, in each answer of each scrape: strptime asks the locale for every name of a day and a month. */
#include "common/net/http_date.h"

#include <time.h>

static const char pattern[] = "aaa, dd aaa dddd dd:dd:dd GMT"; /* a: a letter, d: a digit */
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static bool holds(const uint8_t *at, char wanted) {
    if (wanted == 'd') return *at >= '0' && *at <= '9';
    if (wanted == 'a') return (*at | 0x20) >= 'a' && (*at | 0x20) <= 'z';
    return *at == (uint8_t)wanted;
}

static int two_digits(const uint8_t *at) {
    return (at[0] - '0') * 10 + at[1] - '0';
}

int64_t http_date_ms(slice text) {
    if (text.size != sizeof pattern - 1) return 0;
    for (size_t i = 0; i < text.size; i++)
        if (!holds(text.data + i, pattern[i])) return 0;
    struct tm utc = {.tm_mday = two_digits(text.data + 5),
                     .tm_mon = 12,
                     .tm_year = two_digits(text.data + 12) * 100 + two_digits(text.data + 14) - 1900,
                     .tm_hour = two_digits(text.data + 17),
                     .tm_min = two_digits(text.data + 20),
                     .tm_sec = two_digits(text.data + 23)};
    for (int month = 0; month < 12; month++)
        if (memcmp(text.data + 8, months + 3 * month, 3) == 0) utc.tm_mon = month;
    /* 60: a leap second. */
    if (utc.tm_mon == 12 || utc.tm_mday < 1 || utc.tm_mday > 31 || utc.tm_hour > 23 || utc.tm_min > 59 ||
        utc.tm_sec > 60)
        return 0;
    return (int64_t)timegm(&utc) * 1000;
}
