/* SPDX-License-Identifier: Apache-2.0
 * The file is written again with the line ends that YAML and Markdown share, without its mark and with nothing but line ends
 * before its first words; so places stay what they were. After that front matter begins with a first line of `---` and ends
 * with another. A first line that is like it (`----`, `--- #`, `+++` of other programs) is refused: Markdown has other ways
 * to begin with a rule, and a gate that opens because of a blank is worse than a file to be mended.
 *
 * Keys are compared without their case and their separators, so that `approvalRequired` and `Approval-Required` are known
 * for what they mean. */
#include "aggregator/ctl/import/runbook_front.h"

enum { KEY_BYTES = 48 };

struct mistakes {
    struct import *import;
    const char *file;
};

static void on_mistake(void *context, int line, const char *message) {
    const struct mistakes *mistakes = context;
    import_fail(mistakes->import, mistakes->file, line, SLICE_LIT("front matter"), "%s", message);
}

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\t';
}

/* LF for CR LF and for CR alone; before the first words line ends only. */
static slice lines_made_even(struct arena *arena, slice bytes) {
    uint8_t *even = arena_alloc(arena, bytes.size + 1);
    size_t size = 0, line_begin = 0;
    bool begun = false;
    for (size_t i = 0; even && i < bytes.size; i++) {
        const uint8_t byte = bytes.data[i];
        if (byte == '\r' && i + 1 < bytes.size && bytes.data[i + 1] == '\n') continue;
        const bool ends = byte == '\n' || byte == '\r';
        if (ends && !begun) size = line_begin;
        begun = begun || (!ends && !is_blank(byte));
        even[size++] = ends ? '\n' : byte;
        if (ends) line_begin = size;
    }
    return even ? slice_of(even, size) : (slice){0};
}

/* The line at `at`, without what blanks stand behind it. */
static slice line_at(slice text, size_t at, size_t *ret_next) {
    const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
    slice line = slice_of(text.data + at, end ? (size_t)(end - text.data) - at : text.size - at);
    *ret_next = at + line.size + (end != NULL);
    while (line.size && is_blank(line.data[line.size - 1])) line.size--;
    return line;
}

static slice without_indent(slice line) {
    while (line.size && is_blank(line.data[0])) line = slice_from(line, 1);
    return line;
}

/* The marks of front matter that is not ours, or not quite. Dashes that a word processor makes of "--" are among them. */
static bool resembles_mark(slice line) {
    static const char *const begins[] = {"---", "+++", ";;;", "\xE2\x80\x93", "\xE2\x80\x94"};
    line = without_indent(line);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (slice_starts_with(line, slice_from_text(begins[i]))) return true;
    return false;
}

/* Bytes of another encoding would be shown as something else than what was written, in a command as well. */
static bool is_utf8(struct import *import, const char *file, slice bytes) {
    int line = 1;
    for (size_t at = 0; at < bytes.size;) {
        const size_t size = text_utf8_character(slice_from(bytes, at));
        if (!size || !bytes.data[at]) {
            import_fail(import, file, line, SLICE_LIT("text"),
                        "byte 0x%02x is no text in UTF-8, in which a file is read", bytes.data[at]);
            return false;
        }
        line += bytes.data[at] == '\n';
        at += size;
    }
    return true;
}

bool runbook_front_read(struct import *import, const char *file, slice bytes, struct runbook_front *ret_front) {
    static const struct yaml_limits limits = {8, 2000, 1};
    static const slice what = {(const uint8_t *)"front matter", sizeof "front matter" - 1};
    struct mistakes mistakes = {import, file};
    *ret_front = (struct runbook_front){.body_line = 1};
    if (slice_starts_with(bytes, SLICE_LIT("\xEF\xBB\xBF"))) bytes = slice_from(bytes, 3);
    if (!is_utf8(import, file, bytes)) return false;
    const slice text = lines_made_even(import->arena, bytes);
    if (!text.data) {
        import->full = true;
        return false;
    }
    size_t begin = 0, at;
    int line_number = 1;
    for (; begin < text.size && text.data[begin] == '\n'; begin++) line_number++;
    ret_front->body = text;
    if (begin == text.size) return true;
    const slice first = line_at(text, begin, &at);
    if (!slice_equal_text(first, "---")) {
        if (!resembles_mark(first)) return true;
        import_fail(import, file, line_number, what,
                    "'%.*s' is not the line `---` that it begins with; if a rule was meant, write `***`",
                    SLICE_ARG(slice_first(first, 40)));
        return false;
    }
    for (int line = line_number + 1; at < text.size; line++) {
        const size_t yaml_end = at;
        const slice mark = line_at(text, at, &at);
        if (!slice_equal_text(mark, "---") && !slice_equal_text(mark, "...")) continue;
        struct yaml_node *root = NULL;
        struct fault fault = {0};
        const fault_code code =
            yaml_read(slice_first(text, yaml_end), &limits, import->arena, on_mistake, &mistakes, &root, &fault);
        if (code && code != FAULT_INPUT) import_fail(import, file, line_number, what, "%s", fault.text);
        if (code) return false;
        if (root && root->kind != YAML_KIND_MAPPING) {
            import_fail(import, file, line_number, what, "must be a mapping such as `title: Restart it`");
            return false;
        }
        *ret_front = (struct runbook_front){root, slice_from(text, at), line + 1};
        return true;
    }
    import_fail(import, file, line_number, what,
                "begins here and has no end: a line `---`; if a rule was meant, write `***`");
    return false;
}

/* ---- keys ---- */

/* Small letters and digits alone; what is longer than any key of ours is cut. */
static size_t key_plain(slice key, char plain[KEY_BYTES]) {
    size_t size = 0;
    for (size_t i = 0; i < key.size && size + 1 < KEY_BYTES; i++) {
        const uint8_t byte = key.data[i];
        const bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
        if (letter) plain[size++] = (char)(byte | 0x20);
        if (byte >= '0' && byte <= '9') plain[size++] = (char)byte;
    }
    plain[size] = '\0';
    return size;
}

/* Letters to be put in, left out or changed, to make one word of the other. */
static size_t distance(const char *a, const char *b) {
    size_t row[KEY_BYTES + 1];
    const size_t size = strlen(b);
    for (size_t j = 0; j <= size; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < size; j++) {
            const size_t change = diagonal + (a[i] != b[j]), out = row[j + 1] + 1, in = row[j] + 1;
            diagonal = row[j + 1];
            row[j + 1] = change < out ? change : out;
            if (in < row[j + 1]) row[j + 1] = in;
        }
    }
    return row[size];
}

static bool is_of_approval(slice key) {
    char plain[KEY_BYTES];
    enum { LETTERS_WRONG_MAX = 4 };
    if (!key_plain(key, plain)) return false;
    return strstr(plain, "approv") || strstr(plain, "aprov") || strstr(plain, "appov") ||
           distance(plain, "approvalrequired") <= LETTERS_WRONG_MAX;
}

static const struct {
    const char *key, *also; /* also: the field's name in the contract */
} known[] = {
    {"title", NULL},
    {"id", "runbook_id"},
    {"description", NULL},
    {"tags", NULL},
    {"owner", NULL},
    {"service", "service_id"},
    {"automation_level", NULL},
    {"approval_required", NULL},
    {"triggers", "trigger_conditions"},
};
enum { KNOWN = sizeof known / sizeof *known };

static const char *meant_by(slice key) {
    char plain[KEY_BYTES], ours[KEY_BYTES];
    key_plain(key, plain);
    for (size_t i = 0; i < KNOWN; i++) {
        key_plain(slice_from_text(known[i].key), ours);
        if (strcmp(plain, ours) == 0) return known[i].key;
        key_plain(slice_from_text(known[i].also ? known[i].also : ""), ours);
        if (*ours && strcmp(plain, ours) == 0) return known[i].key;
    }
    return NULL;
}

/* In what is skipped, at any depth (which the reader of YAML bounds). */
static bool holds_approval(struct import *import, const char *file, const struct yaml_node *node) {
    if (is_of_approval(node->key)) {
        import_fail(import, file, node->line, slice_first(node->key, 80),
                    "is no key of a runbook's front matter; the one that asks for approval is `approval_required`, "
                    "true or false, at its beginning");
        return true;
    }
    for (const struct yaml_node *entry = node->first; entry; entry = entry->next)
        if (holds_approval(import, file, entry)) return true;
    return false;
}

bool runbook_front_keys(struct import *import, const char *file, const struct yaml_node *root) {
    bool sound = true;
    for (const struct yaml_node *entry = root ? root->first : NULL; entry; entry = entry->next) {
        size_t i = 0;
        while (i < KNOWN && !slice_equal_text(entry->key, known[i].key)) i++;
        bool refused = i == KNOWN && holds_approval(import, file, entry);
        for (const struct yaml_node *below = i < KNOWN ? entry->first : NULL; below && !refused; below = below->next)
            refused = holds_approval(import, file, below);
        const char *meant = meant_by(entry->key);
        if (refused)
            sound = false;
        else if (i == KNOWN)
            import_skip(import, file, entry->line, entry->key, "front matter that Picket has no field for%s%s%s",
                        meant ? "; it reads `" : "", meant ? meant : "", meant ? "`" : "");
    }
    return sound;
}

bool runbook_front_strayed(slice text) {
    for (size_t at = 0; at < text.size;) {
        slice line = without_indent(line_at(text, at, &at));
        while (line.size && memchr("-*`\"'<!> ", line.data[0], 9)) line = slice_from(line, 1);
        size_t key = 0;
        while (key < line.size && !memchr(":= ", line.data[key], 3)) key++;
        char plain[KEY_BYTES];
        if (key == line.size || line.data[key] == ' ') continue; /* words of a sentence */
        key_plain(slice_first(line, key), plain);
        if (strcmp(plain, "approvalrequired") == 0) return true;
    }
    return false;
}
