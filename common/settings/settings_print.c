/* SPDX-License-Identifier: Apache-2.0
 * The three texts that people read about settings, from the rows that also parse them: --help, a sample file,
 * a Markdown reference. A test reads the sample back and finds the defaults, so that none of them can drift.
 */
#include "common/base/text.h"
#include "common/settings/setting_value.h"

#include <stdio.h>

static void add_bounds(struct text *text, const struct setting_row *row) {
    const bool is_length =
        row->kind == SETTING_KIND_TEXT || row->kind == SETTING_KIND_PATH || row->kind == SETTING_KIND_SECRET;
    const char *unit = is_length ? " bytes" : setting_is_scalar(row->kind) ? "" : " entries";
    if (row->low && row->high)
        text_format(text, "%s to %s%s", row->low, row->high, unit);
    else if (row->low)
        text_format(text, "at least %s%s", row->low, unit);
    else if (row->high)
        text_format(text, "at most %s%s", row->high, unit);
}

static const char *kind_word(enum setting_kind kind) {
    static const char *const words[] = {"true or false", "number", "duration", "size",  "number", "text",
                                        "path",          "secret", "one of",   "texts", "map",    "list"};
    return words[kind];
}

static void add_names(struct text *text, const struct setting_row *row) {
    for (size_t i = 0; row->names && row->names[i]; i++) text_format(text, "%s%s", i ? ", " : " ", row->names[i]);
}

static void add_default(struct text *text, const struct setting_row *row) {
    if (!row->fallback)
        text_add_text(text, "required");
    else if (*row->fallback)
        text_add_text(text, row->fallback);
    else
        text_add_text(text, "none");
}

static void help_rows(struct text *text, const struct setting_table *table, int depth) {
    for (size_t i = 0; i < table->rows_count; i++) {
        const struct setting_row *row = &table->rows[i];
        const int indent = 2 + depth * 2;
        const int width = 34 - depth * 2;
        text_format(text, "%*s%-*s", indent, "", width, row->key);
        if ((int)strlen(row->key) >= width) text_format(text, "\n%*s", indent + width, "");
        text_format(text, " %s\n%*s (%s", row->help, indent + width, "", kind_word(row->kind));
        add_names(text, row);
        if (row->low || row->high) text_add_text(text, ", ");
        add_bounds(text, row);
        if (setting_is_scalar(row->kind)) {
            text_add_text(text, row->fallback && *row->fallback ? "; default " : "; ");
            if (row->fallback && !*row->fallback)
                text_add_text(text, "may be left out");
            else
                add_default(text, row);
        }
        text_add_text(text, ")\n");
        if (row->table) help_rows(text, row->table, depth + 1);
    }
}

fault_code settings_help(const struct setting_table *table, struct arena *arena, slice *ret_text,
                         struct fault *reterr) {
    struct text text = text_begin(arena);
    text_format(&text,
                "Settings of %s (YAML; a dot is a level; scalars also by environment, PICKET_ and the key in\n"
                "capitals with _ for each dot):\n\n",
                table->name);
    help_rows(&text, table, 0);
    return text_end(&text, "settings help", ret_text, reterr);
}

/* Text that YAML could take for something else is quoted; JSON's quotes are YAML's. */
static void add_yaml_value(struct text *text, const struct setting_row *row) {
    const char *value = row->fallback ? row->fallback : "";
    const bool is_text =
        row->kind == SETTING_KIND_TEXT || row->kind == SETTING_KIND_PATH || row->kind == SETTING_KIND_SECRET;
    if (is_text)
        text_add_json_string(text, slice_from_text(value));
    else
        text_add_text(text, value);
}

/* How many leading segments two keys share: those are written once. */
static size_t shared_segments(const char *a, const char *b) {
    size_t segments = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++) segments += a[i] == '.';
    return segments;
}

/* Whether something below this level is given by default, so that the level's key is written bare of its
 * comment. */
static bool level_has_default(const struct setting_table *table, const char *level, size_t size) {
    for (size_t i = 0; i < table->rows_count; i++) {
        const struct setting_row *row = &table->rows[i];
        if (strncmp(row->key, level, size) == 0 && setting_is_scalar(row->kind) && row->fallback && *row->fallback)
            return true;
    }
    return false;
}

static void sample_row(struct text *text, const struct setting_table *table, size_t index, const char *lead, int indent,
                       bool live) {
    const struct setting_row *row = &table->rows[index];
    const char *previous = index ? table->rows[index - 1].key : "";
    size_t segment = 0;
    const size_t shared = shared_segments(row->key, previous);
    for (const char *at = row->key, *dot; (dot = strchr(at, '.')); at = dot + 1, segment++) {
        if (segment < shared) continue;
        const bool level_live = live && level_has_default(table, row->key, (size_t)(dot - row->key) + 1);
        text_format(text, "%s%*s%.*s:\n", level_live ? "" : lead, indent + (int)segment * 2, "", (int)(dot - at), at);
    }
    const char *name = strrchr(row->key, '.') ? strrchr(row->key, '.') + 1 : row->key;
    const int column = indent + (int)segment * 2;
    text_format(text, "## %*s%s (%s", column, "", row->help, kind_word(row->kind));
    add_names(text, row);
    if (row->low || row->high) text_add_text(text, ", ");
    add_bounds(text, row);
    text_add_text(text, !row->fallback ? "; required)\n" : ")\n");
    const bool value_live = live && setting_is_scalar(row->kind) && row->fallback && *row->fallback;
    text_format(text, "%s%*s%s:", value_live ? "" : lead, column, "", name);
    if (setting_is_scalar(row->kind)) {
        text_add_text(text, " ");
        add_yaml_value(text, row);
        text_add_text(text, "\n");
    } else if (row->kind == SETTING_KIND_LIST) {
        text_format(text, "\n%s%*s-\n", lead, column + 2, "");
        for (size_t i = 0; i < row->table->rows_count; i++) sample_row(text, row->table, i, "#", column + 4, false);
    } else
        text_add_text(text, row->kind == SETTING_KIND_MAP ? " {name: value}\n" : " [one, two]\n");
}

fault_code settings_sample(const struct setting_table *table, struct arena *arena, slice *ret_text,
                           struct fault *reterr) {
    struct text text = text_begin(arena);
    text_format(&text, "## Settings of %s: the defaults. Lines that begin with # show what else there is.\n\n",
                table->name);
    for (size_t i = 0; i < table->rows_count; i++) {
        if (i && shared_segments(table->rows[i].key, table->rows[i - 1].key) == 0) text_add_text(&text, "\n");
        sample_row(&text, table, i, "#", 0, true);
    }
    return text_end(&text, "sample settings", ret_text, reterr);
}

static void add_cell(struct text *text, const char *value) {
    for (const char *at = value; *at; at++) text_add_text(text, *at == '|' ? "\\|" : (char[]){*at, '\0'});
}

static void reference_rows(struct text *text, const struct setting_table *table, const char *path) {
    text_add_text(text, "| key | kind | default | bounds | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < table->rows_count; i++) {
        const struct setting_row *row = &table->rows[i];
        text_format(text, "| `%s` | %s", row->key, kind_word(row->kind));
        add_names(text, row);
        text_add_text(text, " | ");
        const bool code = row->fallback && *row->fallback;
        text_add_text(text, code ? "`" : "");
        if (setting_is_scalar(row->kind))
            add_default(text, row);
        else
            text_add_text(text, "empty");
        text_add_text(text, code ? "` | " : " | ");
        add_bounds(text, row);
        text_add_text(text, " | ");
        add_cell(text, row->help);
        text_add_text(text, " |\n");
    }
    for (size_t i = 0; i < table->rows_count; i++) {
        if (!table->rows[i].table) continue;
        char inner[256];
        snprintf(inner, sizeof inner, "%s%s[]", path, table->rows[i].key);
        text_format(text, "\n## Each of `%s`\n\n", inner);
        snprintf(inner, sizeof inner, "%s%s[].", path, table->rows[i].key);
        reference_rows(text, table->rows[i].table, inner);
    }
}

fault_code settings_reference(const struct setting_table *table, struct arena *arena, slice *ret_text,
                              struct fault *reterr) {
    struct text text = text_begin(arena);
    text_format(&text,
                "# Settings of %s\n\nMade from the rows that read them; do not edit. A dot in a key is a level in "
                "the YAML file. Each scalar can also be set by the environment: `PICKET_` and the key in capitals, "
                "with `_` for each dot. `${NAME}` within a value of the file, also in lists, stands for the "
                "environment variable "
                "NAME, which must be set (`[...]` and `{...}` of YAML want it in quotes); `$${` is `${` itself.\n\n",
                table->name);
    reference_rows(&text, table, "");
    return text_end(&text, "settings reference", ret_text, reterr);
}
