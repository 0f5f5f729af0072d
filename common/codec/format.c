/* SPDX-License-Identifier: Apache-2.0
 * Each form by hand, one pass and no allocation; the regular expression beside it says the same to people and to
 * JSON schema, and a test holds the two against each other. */
#include "common/codec/format.h"

#include "common/base/uuid.h"

enum class_bit { LOWER = 1, UPPER = 2, DIGIT = 4, DOT = 8, UNDER = 16, DASH = 32, SLASH = 64 };

static unsigned class_of(uint8_t c) {
    if (c >= 'a' && c <= 'z') return LOWER;
    if (c >= 'A' && c <= 'Z') return UPPER;
    if (c >= '0' && c <= '9') return DIGIT;
    switch (c) {
    case '.': return DOT;
    case '_': return UNDER;
    case '-': return DASH;
    case '/': return SLASH;
    default: return 0;
    }
}

static bool all_of(slice text, unsigned classes) {
    for (size_t i = 0; i < text.size; i++)
        if (!(class_of(text.data[i]) & classes)) return false;
    return true;
}

static bool begins_with(slice text, unsigned classes) {
    return text.size > 0 && (class_of(text.data[0]) & classes);
}

static bool lower_hex(slice text) {
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    }
    return true;
}

/* https://www.w3.org/TR/trace-context/#traceparent-header, version 00. */
static bool traceparent_holds(slice text) {
    return text.size == 55 && slice_starts_with(text, SLICE_LIT("00-")) && text.data[35] == '-' &&
           text.data[52] == '-' && lower_hex(slice_of(text.data + 3, 32)) && lower_hex(slice_of(text.data + 36, 16)) &&
           lower_hex(slice_of(text.data + 53, 2));
}

/* Unicode's category Cc; U+0080 to U+009F are written C2 80 to C2 9F, and terminals obey some of them. */
static bool line_holds(slice text) {
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7F) return false;
        if (text.data[i] == 0xC2 && i + 1 < text.size && text.data[i + 1] < 0xA0) return false;
    }
    return true;
}

static bool http_url_holds(slice text) {
    size_t scheme = 0;
    if (slice_starts_with(text, SLICE_LIT("http://")))
        scheme = 7;
    else if (slice_starts_with(text, SLICE_LIT("https://")))
        scheme = 8;
    if (scheme == 0 || text.size == scheme) return false;
    for (size_t i = scheme; i < text.size; i++)
        if (text.data[i] <= 0x20 || text.data[i] >= 0x7F) return false;
    return true;
}

bool format_holds(enum text_format format, slice text) {
    const unsigned alnum = LOWER | UPPER | DIGIT;
    switch (format) {
    case FORMAT_NONE:
    case FORMAT_COUNT_: return true;
    case FORMAT_ID: return text.size >= 1 && text.size <= 128 && all_of(text, alnum | DOT | UNDER | DASH);
    case FORMAT_UUID: {
        struct uuid id;
        return uuid_parse(text, &id);
    }
    case FORMAT_PRODUCER:
        return text.size <= 64 && all_of(text, LOWER | DIGIT | DOT | DASH) && !all_of(text, DOT | DASH);
    case FORMAT_LABEL_NAME: return begins_with(text, LOWER | UPPER | UNDER) && all_of(text, alnum | UNDER);
    case FORMAT_SNAKE: return begins_with(text, LOWER) && all_of(text, LOWER | DIGIT | UNDER);
    case FORMAT_TRACEPARENT: return traceparent_holds(text);
    case FORMAT_LINE: return text.size > 0 && line_holds(text);
    case FORMAT_HTTP_URL: return http_url_holds(text);
    case FORMAT_TAG:
        return begins_with(text, alnum) && (class_of(text.data[text.size - 1]) & alnum) &&
               all_of(text, alnum | DOT | UNDER | DASH | SLASH);
    }
    return false;
}

const char *format_words(enum text_format format) {
    static const char *const words[] = {
        [FORMAT_NONE] = "text",
        [FORMAT_ID] = "1 to 128 characters of A-Z a-z 0-9 . _ -",
        [FORMAT_UUID] = "a UUID such as 0190a3c1-7a5e-7000-8000-0123456789ab",
        [FORMAT_PRODUCER] = "1 to 64 characters of a-z 0-9 . - with a letter or digit among them",
        [FORMAT_LABEL_NAME] = "a label name: letters, digits and _, not beginning with a digit",
        [FORMAT_SNAKE] = "a word in lower case: a-z 0-9 _, beginning with a letter",
        [FORMAT_TRACEPARENT] = "a W3C traceparent: 00-<32 hex>-<16 hex>-<2 hex>, lower case",
        [FORMAT_LINE] = "one line without control characters",
        [FORMAT_HTTP_URL] = "an absolute http:// or https:// URL without spaces",
        [FORMAT_TAG] = "A-Z a-z 0-9 . _ - /, beginning and ending with a letter or digit",
    };
    return words[format];
}

const char *format_pattern(enum text_format format) {
    static const char *const patterns[FORMAT_COUNT_] = {
        [FORMAT_ID] = "^[A-Za-z0-9._-]{1,128}$",
        [FORMAT_UUID] = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$",
        [FORMAT_PRODUCER] = "^(?=.*[a-z0-9])[a-z0-9.-]{1,64}$",
        [FORMAT_LABEL_NAME] = "^[a-zA-Z_][a-zA-Z0-9_]*$",
        [FORMAT_SNAKE] = "^[a-z][a-z0-9_]*$",
        [FORMAT_TRACEPARENT] = "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
        [FORMAT_LINE] = "^[^\\x00-\\x1f\\x7f-\\x9f]+$",
        [FORMAT_HTTP_URL] = "^https?://[\\x21-\\x7e]+$",
        [FORMAT_TAG] = "^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$",
    };
    return patterns[format];
}
