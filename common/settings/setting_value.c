/* SPDX-License-Identifier: Apache-2.0
 * Every kind but text parses to a number (an int64 or a double) by one function, which serves the value and
 * its bounds alike: a bound in a row is written as a person would write it in the file. */
#include "common/settings/setting_value.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool setting_is_scalar(enum setting_kind kind) {
    return kind < SETTING_KIND_TEXTS;
}

size_t setting_member_bytes(enum setting_kind kind) {
    switch (kind) {
    case SETTING_KIND_BOOL: return sizeof(bool);
    case SETTING_KIND_INT:
    case SETTING_KIND_DURATION:
    case SETTING_KIND_BYTES: return sizeof(int64_t);
    case SETTING_KIND_DOUBLE: return sizeof(double);
    case SETTING_KIND_ENUM: return sizeof(int);
    case SETTING_KIND_TEXT:
    case SETTING_KIND_PATH:
    case SETTING_KIND_SECRET: return sizeof(slice);
    case SETTING_KIND_TEXTS:
    case SETTING_KIND_MAP:
    case SETTING_KIND_LIST: return sizeof(struct setting_texts);
    }
    return 0;
}

const char *setting_expected(const struct setting_row *row, char *buffer, size_t buffer_size) {
    static const char *const words[] = {
        [SETTING_KIND_BOOL] = "true or false",
        [SETTING_KIND_INT] = "a whole number",
        [SETTING_KIND_DURATION] = "a duration with its unit, such as 250ms, 30s, 1m30s or 7d",
        [SETTING_KIND_BYTES] = "a size such as 512, 64KiB or 10MB",
        [SETTING_KIND_DOUBLE] = "a number",
        [SETTING_KIND_TEXT] = "text",
        [SETTING_KIND_PATH] = "a path",
        [SETTING_KIND_SECRET] = "text",
        [SETTING_KIND_TEXTS] = "a list of texts",
        [SETTING_KIND_MAP] = "a mapping of text to text",
        [SETTING_KIND_LIST] = "a list",
    };
    if (row->kind != SETTING_KIND_ENUM) {
        snprintf(buffer, buffer_size, "%s", words[row->kind]);
        return buffer;
    }
    size_t used = (size_t)snprintf(buffer, buffer_size, "one of");
    for (size_t i = 0; row->names[i] && used < buffer_size; i++)
        used += (size_t)snprintf(buffer + used, buffer_size - used, "%s %s", i ? "," : "", row->names[i]);
    return buffer;
}

struct unit {
    const char *name;
    int64_t factor;
};

/* Digits, at most 18 of them, so that no product of digits alone overflows. */
static bool take_digits(slice *text, int64_t *ret_number) {
    int64_t number = 0;
    size_t count = 0;
    while (count < text->size && text->data[count] >= '0' && text->data[count] <= '9') {
        if (count == 18) return false;
        number = number * 10 + (text->data[count++] - '0');
    }
    *text = slice_from(*text, count);
    *ret_number = number;
    return count > 0;
}

static bool take_unit(slice *text, const struct unit *units, int64_t *ret_factor) {
    size_t size = 0;
    while (size < text->size && ((text->data[size] | 0x20) >= 'a' && (text->data[size] | 0x20) <= 'z')) size++;
    for (size_t i = 0; units[i].name; i++) {
        if (!slice_equal_text(slice_first(*text, size), units[i].name)) continue;
        *ret_factor = units[i].factor;
        *text = slice_from(*text, size);
        return true;
    }
    return false;
}

fault_code setting_parse_duration(slice text, int64_t *ret_ms, struct fault *reterr) {
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000}, {NULL, 0}};
    int64_t total = 0;
    slice rest = text;
    bool ok = text.size > 0 && !slice_equal_text(text, "0");
    while (ok && rest.size) {
        int64_t number, factor, part;
        ok = take_digits(&rest, &number) && take_unit(&rest, units, &factor) &&
             !__builtin_mul_overflow(number, factor, &part) && !__builtin_add_overflow(total, part, &total);
    }
    if (!ok && !slice_equal_text(text, "0"))
        return fault_set(reterr, FAULT_INPUT, "'%.*s' is not a duration with its unit, such as 250ms, 30s, 1m30s or 7d",
                         SLICE_ARG(slice_first(text, 60)));
    *ret_ms = total;
    return FAULT_NONE;
}

fault_code setting_parse_bytes(slice text, int64_t *ret_bytes, struct fault *reterr) {
    static const struct unit units[] = {{"", 1},
                                        {"B", 1},
                                        {"KiB", 1 << 10},
                                        {"MiB", 1 << 20},
                                        {"GiB", 1 << 30},
                                        {"TiB", INT64_C(1) << 40},
                                        {"KB", 1000},
                                        {"kB", 1000},
                                        {"MB", 1000 * 1000},
                                        {"GB", 1000 * 1000 * 1000},
                                        {"TB", INT64_C(1000000000000)},
                                        {NULL, 0}};
    slice rest = text;
    int64_t number, factor, total;
    if (!take_digits(&rest, &number) || !take_unit(&rest, units, &factor) || rest.size ||
        __builtin_mul_overflow(number, factor, &total))
        return fault_set(reterr, FAULT_INPUT, "'%.*s' is not a size such as 512, 64KiB or 10MB",
                         SLICE_ARG(slice_first(text, 60)));
    *ret_bytes = total;
    return FAULT_NONE;
}

static bool parse_int(slice text, int64_t *ret_number) {
    const bool negative = text.size && text.data[0] == '-';
    slice rest = negative ? slice_from(text, 1) : text;
    int64_t number;
    if (!take_digits(&rest, &number) || rest.size) return false;
    *ret_number = negative ? -number : number;
    return true;
}

static bool parse_double(slice text, double *ret_number) {
    char buffer[64];
    if (!slice_to_text(text, buffer, sizeof buffer) || !*buffer) return false;
    /* strtod also takes hexadecimal, inf and nan, and leading spaces; a file of ours does not. */
    if (strspn(buffer, "+-.0123456789eE") != strlen(buffer)) return false;
    char *end;
    *ret_number = strtod(buffer, &end);
    return *end == '\0' && isfinite(*ret_number);
}

/* The number by which the kind is compared with its bounds. */
static fault_code parse_number(const struct setting_row *row, slice text, int64_t *ret_integer, double *ret_real,
                               struct fault *reterr) {
    bool ok = false;
    switch (row->kind) {
    case SETTING_KIND_DURATION: return setting_parse_duration(text, ret_integer, reterr);
    case SETTING_KIND_BYTES: return setting_parse_bytes(text, ret_integer, reterr);
    case SETTING_KIND_BOOL:
        ok = slice_equal_text(text, "true") || slice_equal_text(text, "false");
        *ret_integer = slice_equal_text(text, "true");
        break;
    case SETTING_KIND_INT: ok = parse_int(text, ret_integer); break;
    case SETTING_KIND_DOUBLE: ok = parse_double(text, ret_real); break;
    case SETTING_KIND_ENUM:
        for (int i = 0; row->names[i] && !ok; i++) {
            ok = slice_equal_text(text, row->names[i]);
            *ret_integer = i;
        }
        break;
    default: assert(!"a kind that is no number");
    }
    if (ok) return FAULT_NONE;
    char expected[256];
    return fault_set(reterr, FAULT_INPUT, "'%.*s' is not %s", SLICE_ARG(slice_first(text, 60)),
                     setting_expected(row, expected, sizeof expected));
}

static fault_code check_bounds(const struct setting_row *row, slice text, int64_t integer, double real,
                               struct fault *reterr) {
    for (int side = 0; side < 2; side++) {
        const char *bound_text = side ? row->high : row->low;
        if (!bound_text || row->kind == SETTING_KIND_ENUM || row->kind == SETTING_KIND_BOOL) continue;
        int64_t bound = 0;
        double bound_real = 0;
        const fault_code code = parse_number(row, slice_from_text(bound_text), &bound, &bound_real, NULL);
        assert(code == FAULT_NONE); /* our own row */
        const bool below = row->kind == SETTING_KIND_DOUBLE ? real < bound_real : integer < bound;
        const bool above = row->kind == SETTING_KIND_DOUBLE ? real > bound_real : integer > bound;
        if (side ? !above : !below) continue;
        if (row->low && row->high)
            return fault_set(reterr, FAULT_INPUT, "'%.*s' is not between %s and %s", SLICE_ARG(slice_first(text, 60)),
                             row->low, row->high);
        return fault_set(reterr, FAULT_INPUT, "'%.*s' is %s %s", SLICE_ARG(slice_first(text, 60)),
                         side ? "above the most," : "below the least,", bound_text);
    }
    return FAULT_NONE;
}

static fault_code store_text(const struct setting_row *row, slice text, struct arena *arena, slice *member,
                             struct fault *reterr) {
    const size_t low = row->low ? strtoull(row->low, NULL, 10) : 0;
    const size_t high = row->high ? strtoull(row->high, NULL, 10) : SIZE_MAX;
    if (text.size && memchr(text.data, 0, text.size)) return fault_set(reterr, FAULT_INPUT, "holds a NUL character");
    if (text.size < low && text.size == 0) return fault_set(reterr, FAULT_INPUT, "must not be empty");
    if (text.size < low) return fault_set(reterr, FAULT_INPUT, "has %zu bytes, the least is %zu", text.size, low);
    if (text.size > high) return fault_set(reterr, FAULT_INPUT, "has %zu bytes, the most is %zu", text.size, high);
    const slice copy = arena_copy(arena, text);
    if (!copy.data) return fault_set(reterr, FAULT_LIMIT, "settings are larger than their memory");
    *member = copy;
    return FAULT_NONE;
}

fault_code setting_store(const struct setting_row *row, slice text, struct arena *arena, void *member,
                         struct fault *reterr) {
    if (row->kind == SETTING_KIND_TEXT || row->kind == SETTING_KIND_PATH || row->kind == SETTING_KIND_SECRET)
        return store_text(row, text, arena, member, reterr);
    int64_t integer = 0;
    double real = 0;
    fault_code code = parse_number(row, text, &integer, &real, reterr);
    if (code == FAULT_NONE) code = check_bounds(row, text, integer, real, reterr);
    if (code) return code;
    switch (row->kind) {
    case SETTING_KIND_BOOL: *(bool *)member = integer != 0; break;
    case SETTING_KIND_ENUM: *(int *)member = (int)integer; break;
    case SETTING_KIND_DOUBLE: *(double *)member = real; break;
    default: *(int64_t *)member = integer; break;
    }
    return FAULT_NONE;
}
