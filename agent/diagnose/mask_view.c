/* SPDX-License-Identifier: Apache-2.0
 * The plain view is walked twice in step with the text, once to write it and once to bring the marks back; so it needs no
 * table of where each byte came from.
 *
 * A run of base64 may be glued to what is before it ("path/dGV4dA=="), and so it is read from each of four places. What is
 * not text in the end says nothing: hashes and random bytes are left to other rules.
 */
#include "agent/diagnose/mask_view.h"

#include "agent/diagnose/mask_text.h"

enum {
    NOT_SEEN = -1,
    NOT_ASCII = 0xff, /* stands for one character beyond ASCII */
    COLOUR_BYTES_MAX = 32,
    RUN_BYTES_MIN = 12,
    SAYS_BYTES_MIN = 8, /* of text in a row: "pwd=a1b2" */
};

/* ---- escapes ---- */

static int hex_digit(uint8_t c) {
    return isdigit(c) ? c - '0' : tolower(c) >= 'a' && tolower(c) <= 'f' && c < 128 ? tolower(c) - 'a' + 10 : -1;
}

/* So many digits at `at`; -1: they are none. */
static int hex_number(slice text, size_t at, size_t digits) {
    int number = 0;
    if (at > text.size || text.size - at < digits) return -1;
    for (size_t i = 0; i < digits; i++) {
        const int digit = hex_digit(text.data[at + i]);
        if (digit < 0) return -1;
        number = number * 16 + digit;
    }
    return number;
}

/* Bytes of "[36m" or "[K" behind an ESC; 0: it is none. */
static size_t colour_size(slice text, size_t at) {
    if (at >= text.size || text.data[at] != '[') return 0;
    size_t end = at + 1;
    while (end < text.size && end - at < COLOUR_BYTES_MAX &&
           (isdigit(text.data[end]) || text.data[end] == ';' || text.data[end] == ':'))
        end++;
    return end < text.size && (text.data[end] == 'm' || text.data[end] == 'K') ? end + 1 - at : 0;
}

static const slice nobody_sees[] = {
    {(const uint8_t *)"\0", 1},           {(const uint8_t *)"\xe2\x80\x8b", 3}, {(const uint8_t *)"\xe2\x80\x8c", 3},
    {(const uint8_t *)"\xe2\x80\x8d", 3}, {(const uint8_t *)"\xef\xbb\xbf", 3}, {(const uint8_t *)"\xc2\xad", 2},
};

static const struct {
    slice name;
    int is;
} entities[] = {
    {{(const uint8_t *)"&lt;", 4}, '<'},   {{(const uint8_t *)"&gt;", 4}, '>'},  {{(const uint8_t *)"&amp;", 5}, '&'},
    {{(const uint8_t *)"&quot;", 6}, '"'}, {{(const uint8_t *)"&#34;", 5}, '"'}, {{(const uint8_t *)"&#39;", 5}, '\''},
};

/* A character by its number, behind so many bytes; of ESC with the colour. */
static size_t numbered(slice text, size_t at, size_t size, int number, int *ret_byte) {
    const size_t colour = number == 0x1b ? colour_size(text, at + size) : 0;
    const bool unseen =
        colour || !number || number == 0xfeff || number == 0xad || (number >= 0x200b && number <= 0x200d);
    *ret_byte = unseen ? NOT_SEEN : number < 128 ? number : NOT_ASCII;
    return size + colour;
}

/* A backslash with what it stands before: "\n", "\"", "\u003c", "\x1b", "\033", "\e". */
static size_t escaped(slice text, size_t at, int *ret_byte) {
    static const char letters[] = "nrtbf\"'\\/", means[] = "\n\r\t\b\f\"'\\/";
    const uint8_t c = at + 1 < text.size ? text.data[at + 1] : 0;
    const char *const letter = c ? strchr(letters, c) : NULL;
    const int number = c == 'u' ? hex_number(text, at + 2, 4) : c == 'x' ? hex_number(text, at + 2, 2) : -1;
    if (number >= 0) return numbered(text, at, c == 'u' ? 6 : 4, number, ret_byte);
    if (c == 'e' && colour_size(text, at + 2)) return numbered(text, at, 2, 0x1b, ret_byte);
    if (mask_goes_on_with(text, at, SLICE_LIT("\\033"))) return numbered(text, at, 4, 0x1b, ret_byte);
    *ret_byte = letter ? means[letter - letters] : '\\';
    return letter ? 2 : 1;
}

/* One character of the text, which it takes so many bytes of; *ret_byte: NOT_SEEN, or what it is. */
static size_t next_plain(slice text, size_t at, int *ret_byte) {
    const uint8_t c = text.data[at];
    const slice rest = slice_from(text, at);
    *ret_byte = c;
    if (c > ' ' && c < 0x7f && c != '\\' && c != '%' && c != '&') return 1;
    if (c == '\\') return escaped(text, at, ret_byte);
    if (c == '%' && hex_number(text, at + 1, 2) > 0) {
        *ret_byte = hex_number(text, at + 1, 2);
        return 3;
    }
    if (c == 0x1b && colour_size(text, at + 1)) return numbered(text, at, 1, c, ret_byte);
    for (size_t i = 0; c == '&' && i < sizeof entities / sizeof *entities; i++)
        if (slice_starts_with(rest, entities[i].name)) {
            *ret_byte = entities[i].is;
            return entities[i].name.size;
        }
    for (size_t i = 0; (!c || c >= 0x80) && i < sizeof nobody_sees / sizeof *nobody_sees; i++)
        if (slice_starts_with(rest, nobody_sees[i])) {
            *ret_byte = NOT_SEEN;
            return nobody_sees[i].size;
        }
    return 1;
}

size_t mask_view_plain(slice text, uint8_t *to) {
    size_t size = 0;
    for (size_t at = 0; at < text.size;) {
        int byte;
        at += next_plain(text, at, &byte);
        if (byte != NOT_SEEN) to[size++] = (uint8_t)byte;
    }
    return size;
}

void mask_view_return(slice text, const uint8_t *plain_marks, uint8_t *marks) {
    size_t plain = 0,
           shown = 0; /* shown: where what was seen last ends; what is not seen between two marks is marked */
    bool before = false;
    for (size_t at = 0; at < text.size;) {
        int byte;
        const size_t end = at + next_plain(text, at, &byte);
        if (byte != NOT_SEEN) {
            const bool marked = plain_marks[plain++];
            if (marked) mask_mark(marks, before ? shown : at, end);
            before = marked;
            shown = end;
        }
        at = end;
    }
}

/* ---- encodings ---- */

static int base64_digit(uint8_t c) {
    if (isupper(c)) return c - 'A';
    if (islower(c)) return c - 'a' + 26;
    if (isdigit(c)) return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

bool mask_view_next_run(slice text, size_t at, struct mask_run *ret_run) {
    while (at < text.size) {
        bool hex = true;
        size_t end = at;
        for (; end < text.size && text.data[end] < 128 && base64_digit(text.data[end]) >= 0; end++)
            hex = hex && hex_digit(text.data[end]) >= 0;
        if (end - at >= RUN_BYTES_MIN) {
            *ret_run = (struct mask_run){at, end, !hex};
            while (ret_run->end < text.size && text.data[ret_run->end] == '=') ret_run->end++;
            return true;
        }
        at = end + 1;
    }
    return false;
}

static bool says_something(const uint8_t *data, size_t size) {
    size_t row = 0;
    for (size_t i = 0; i < size; i++) {
        const bool text = (data[i] >= ' ' && data[i] < 0x7f) || data[i] == '\n' || data[i] == '\t';
        row = text ? row + 1 : 0;
        if (row >= SAYS_BYTES_MIN) return true;
    }
    return false;
}

size_t mask_view_decode(slice run, unsigned reading, uint8_t *to) {
    const bool base64 = reading < MASK_BASE64_READINGS;
    const unsigned bits_each = base64 ? 6 : 4;
    unsigned bits = 0, held = 0;
    size_t size = 0;
    for (size_t at = base64 ? reading : reading - MASK_BASE64_READINGS; at < run.size; at++) {
        const int digit = base64 ? base64_digit(run.data[at]) : hex_digit(run.data[at]);
        if (digit < 0) break;
        held = (held << bits_each | (unsigned)digit) & 0xffff;
        bits += bits_each;
        if (bits < 8) continue;
        bits -= 8;
        to[size++] = (uint8_t)(held >> bits);
    }
    return says_something(to, size) ? size : 0;
}
