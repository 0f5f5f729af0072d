/* SPDX-License-Identifier: Apache-2.0
 * Nearly every exposed value is an integer or a short decimal. With at most 19 digits that fit 53 bits and a power of
 * ten up to 22, both operands are exact doubles, so one multiplication or division rounds correctly (Clinger 1990).
 * All else that has the right syntax goes to strtod, which is exact as well. The syntax is Go's ParseFloat without
 * hex and underscores, because that is what the reference parser accepts. */
#include "agent/collect/prometheus/exposition.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

enum { NUMBER_BYTES_MAX = 1024, NUMBER_EXPONENT_MAX = 100000 };

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
enum { POWER_MAX = sizeof powers / sizeof *powers - 1 };

static bool number_word(slice text, double *ret_value) {
    const bool sign = text.size && (text.data[0] == '+' || text.data[0] == '-');
    const slice word = slice_from(text, sign);
    const char *letters = (const char *)word.data;
    if ((word.size == 3 && strncasecmp(letters, "inf", 3) == 0) ||
        (word.size == 8 && strncasecmp(letters, "infinity", 8) == 0)) {
        *ret_value = sign && text.data[0] == '-' ? -INFINITY : INFINITY;
        return true;
    }
    if (sign || word.size != 3 || strncasecmp(letters, "nan", 3) != 0) return false;
    *ret_value = NAN;
    return true;
}

static bool number_exactly(slice text, double *ret_value) {
    char buffer[NUMBER_BYTES_MAX];
    if (!slice_to_text(text, buffer, sizeof buffer)) return false;
    char *end;
    const double value = strtod(buffer, &end);
    if (end != buffer + text.size || isinf(value)) return false;
    *ret_value = value;
    return true;
}

bool exposition_number(slice text, double *ret_value) {
    if (text.size == 0) return false;
    const uint8_t *at = text.data, *const end = text.data + text.size;
    bool negative = false;
    if (at < end && (*at == '-' || *at == '+')) negative = *at++ == '-';
    uint64_t mantissa = 0;
    int digits = 0, significant = 0, scale = 0;
    bool point = false;
    for (; at < end; at++) {
        const unsigned digit = (unsigned)*at - '0';
        if (digit <= 9) {
            digits++;
            if (significant || digit) significant++;
            if (significant <= 19) mantissa = mantissa * 10 + digit;
            scale -= point;
        } else if (*at == '.' && !point) {
            point = true;
        } else {
            break;
        }
    }
    if (digits == 0) return number_word(text, ret_value);
    if (at < end) {
        if ((*at | 0x20) != 'e') return false;
        at++;
        bool down = false;
        if (at < end && (*at == '-' || *at == '+')) down = *at++ == '-';
        if (at == end) return false;
        int exponent = 0;
        for (; at < end; at++) {
            const unsigned digit = (unsigned)*at - '0';
            if (digit > 9) return false;
            if (exponent < NUMBER_EXPONENT_MAX) exponent = exponent * 10 + (int)digit;
        }
        scale += down ? -exponent : exponent;
    }
    if (significant > 19 || mantissa > (UINT64_C(1) << 53) || scale > POWER_MAX || scale < -POWER_MAX)
        return number_exactly(text, ret_value);
    const double exact = (double)mantissa;
    const double value = scale < 0 ? exact / powers[-scale] : exact * powers[scale];
    *ret_value = negative ? -value : value;
    return true;
}
