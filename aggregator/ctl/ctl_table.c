/* SPDX-License-Identifier: Apache-2.0
 * All cells are made first, then the widths are known. Numbers stand to the right. What proto3 JSON leaves
 * out is the default, so an absent number reads 0; an absent budget, and one that says so, reads unknown. */
#include "aggregator/ctl/ctl_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COLUMNS_MAX = 20, CELL_WIDTH_MAX = 80 };

bool ctl_time_parse(slice text, int64_t *ret_ms) {
    char buffer[64];
    if (!slice_to_text(text, buffer, sizeof buffer)) return false;
    struct tm utc = {0};
    const char *rest = strptime(buffer, "%Y-%m-%dT%H:%M:%S", &utc);
    if (!rest) return false;
    int64_t ms = (int64_t)timegm(&utc) * 1000;
    if (*rest == '.') {
        int64_t unit = 100;
        for (rest++; *rest >= '0' && *rest <= '9'; rest++, unit /= 10) ms += (*rest - '0') * unit;
    }
    if (strcmp(rest, "Z") != 0) return false;
    *ret_ms = ms;
    return true;
}

void ctl_time_add(struct text *text, int64_t at_ms) {
    const time_t seconds = (time_t)(at_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char stamp[40];
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    text_format(text, "\"%s.%03dZ\"", stamp, (int)(at_ms % 1000));
}

slice ctl_age(slice text, int64_t now_ms, struct arena *arena) {
    int64_t at_ms;
    if (!ctl_time_parse(text, &at_ms)) return text.size ? text : SLICE_LIT("-");
    const int64_t seconds = (now_ms - at_ms) / 1000;
    if (seconds < 0) return SLICE_LIT("now");
    if (seconds < 120) return arena_format(arena, "%llds ago", (long long)seconds);
    if (seconds < 7200) return arena_format(arena, "%lldm ago", (long long)(seconds / 60));
    if (seconds < 172800) return arena_format(arena, "%lldh ago", (long long)(seconds / 3600));
    return arena_format(arena, "%lldd ago", (long long)(seconds / 86400));
}

/* "SEVERITY_HIGH" reads "high". */
slice ctl_enum_word(slice text, struct arena *arena) {
    static const char *const prefixes[] = {"SEVERITY_",
                                           "INCIDENT_STATUS_",
                                           "INCIDENT_SOURCE_",
                                           "ALERT_STATUS_",
                                           "ALERT_SOURCE_",
                                           "HEALTH_STATUS_",
                                           "HEALTH_SOURCE_",
                                           "SLO_WINDOW_",
                                           "BUDGETING_METHOD_",
                                           "COMPARISON_",
                                           "PROBE_KIND_",
                                           "REJECTION_SOURCE_",
                                           "AUTOMATION_LEVEL_",
                                           "RUNBOOK_STEP_KIND_",
                                           "RUNBOOK_EXECUTION_STATUS_",
                                           "TIMELINE_ENTRY_KIND_",
                                           "POSTMORTEM_STATUS_",
                                           "SERVICE_TIER_",
                                           "ACTION_ITEM_STATUS_",
                                           "AGENT_STATE_",
                                           "CONFIG_STATE_"};
    slice word = text;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (slice_starts_with(text, slice_from_text(prefixes[i]))) word = slice_from(text, strlen(prefixes[i]));
    if (!word.size || slice_equal_text(word, "UNSPECIFIED")) return SLICE_LIT("-");
    if (word.size == text.size) return text;
    const slice copy = arena_copy(arena, word);
    for (size_t i = 0; i < copy.size; i++)
        if (copy.data[i] >= 'A' && copy.data[i] <= 'Z') ((uint8_t *)copy.data)[i] |= 0x20;
    return copy;
}

static double number_at(const struct yaml_node *node, const char *path) {
    const slice text = ctl_tree_text(node, path);
    return text.size ? strtod((const char *)text.data, NULL) : 0;
}

static bool true_at(const struct yaml_node *node, const char *path) {
    return slice_equal_text(ctl_tree_text(node, path), "true");
}

/* The one entry that is neither of the envelope's. */
static slice kind_of(const struct yaml_node *item) {
    for (const struct yaml_node *entry = item->first; entry; entry = entry->next)
        if (entry->kind == YAML_KIND_MAPPING && !slice_equal_text(entry->key, "meta") &&
            !slice_equal_text(entry->key, "subject"))
            return entry->key;
    return SLICE_LIT("-");
}

static slice list_words(const struct yaml_node *list, struct arena *arena) {
    struct text text = text_begin(arena);
    for (const struct yaml_node *entry = list ? list->first : NULL; entry; entry = entry->next) {
        if (entry != list->first) text_add_text(&text, ", ");
        text_add(&text, entry->text);
    }
    slice words;
    return !text.size || text_end(&text, "list", &words, NULL) ? SLICE_LIT("-") : words;
}

static slice time_cell(slice text, const char *before, const char *behind, struct arena *arena) {
    return arena_format(arena, "%s%.10s %.8sZ%s", before, (const char *)text.data, (const char *)text.data + 11,
                        behind);
}

static slice until_cell(slice text, int64_t now_ms, struct arena *arena) {
    int64_t at_ms;
    if (!ctl_time_parse(text, &at_ms)) return SLICE_LIT("-");
    return time_cell(text, at_ms <= now_ms ? "OVER since " : "", "", arena);
}

static slice ends_cell(const struct yaml_node *certificate, int64_t now_ms, struct arena *arena) {
    const slice text = ctl_tree_text(certificate, "notAfter"), error = ctl_tree_text(certificate, "error");
    int64_t at_ms;
    if (!ctl_time_parse(text, &at_ms)) return SLICE_LIT("-");
    const bool refused = slice_starts_with(error, SLICE_LIT("renewal"));
    return time_cell(text, at_ms <= now_ms ? "OVER since " : "", refused ? ", not renewed" : "", arena);
}

static slice raw_cell(const struct ctl_column *column, const struct yaml_node *item, const struct yaml_node *parent,
                      int64_t now_ms, struct arena *arena) {
    const bool above = column->path[0] == '^';
    const struct yaml_node *from = above ? parent : item;
    const char *path = above ? column->path + 1 : column->path;
    const slice text = ctl_tree_text(from, path);
    const struct yaml_node *inner = ctl_tree_at(from, path);
    switch (column->format) {
    case CTL_FORMAT_TEXT: return text.size ? text : SLICE_LIT("-");
    case CTL_FORMAT_ENUM: return ctl_enum_word(text, arena);
    case CTL_FORMAT_AGE: return ctl_age(text, now_ms, arena);
    case CTL_FORMAT_TIME: {
        int64_t at_ms;
        if (!ctl_time_parse(text, &at_ms)) return text.size ? text : SLICE_LIT("-");
        return time_cell(text, "", "", arena);
    }
    case CTL_FORMAT_UNTIL: return until_cell(text, now_ms, arena);
    case CTL_FORMAT_ENDS: return inner ? ends_cell(inner, now_ms, arena) : SLICE_LIT("-");
    case CTL_FORMAT_NUMBER: return text.size ? text : SLICE_LIT("0");
    case CTL_FORMAT_REAL: return text.size ? arena_format(arena, "%.4g", number_at(from, path)) : SLICE_LIT("-");
    case CTL_FORMAT_PERCENT: return text.size ? arena_format(arena, "%.6g%%", number_at(from, path)) : SLICE_LIT("-");
    case CTL_FORMAT_RATIO:
        if (number_at(from, "total") == 0) return SLICE_LIT("-");
        return arena_format(arena, "%.6g%%", 100 * number_at(from, path));
    case CTL_FORMAT_BUDGET:
        if (!yaml_find(from, "budget") || true_at(from, "budget.unknown")) return SLICE_LIT("unknown");
        return arena_format(arena, "%.4g%%", number_at(from, path));
    case CTL_FORMAT_SEEN:
        return arena_format(arena, "%.0f/%.0f", number_at(inner, "scrapesSeen"), number_at(inner, "scrapesExpected"));
    case CTL_FORMAT_STATE: return true_at(from, path) ? SLICE_LIT("unknown") : SLICE_LIT("ok");
    case CTL_FORMAT_YES: return true_at(from, path) ? SLICE_LIT("yes") : SLICE_LIT("no");
    case CTL_FORMAT_LIST: return list_words(inner, arena);
    case CTL_FORMAT_SIZE: return arena_format(arena, "%zu", inner ? inner->count : 0);
    case CTL_FORMAT_KIND: return kind_of(item);
    }
    return (slice){0};
}

void ctl_tame(slice text, bool lines) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t *byte = (uint8_t *)text.data + i;
        if ((*byte < 0x20 && !(lines && *byte == '\n')) || *byte == 0x7F) *byte = ' ';
        if (*byte == 0xC2 && i + 1 < text.size && byte[1] < 0xA0) byte[0] = byte[1] = ' ';
        if (*byte != 0xE2 || i + 2 >= text.size) continue;
        const bool turns = (byte[1] == 0x80 && byte[2] >= 0xAA && byte[2] <= 0xAE) ||
                           (byte[1] == 0x81 && byte[2] >= 0xA6 && byte[2] <= 0xA9);
        if (turns) memcpy(byte, "\xEF\xBF\xBD", 3);
    }
}

slice ctl_cell(const struct ctl_column *column, const struct yaml_node *item, const struct yaml_node *parent,
               int64_t now_ms, struct arena *arena) {
    const slice copy = arena_copy(arena, raw_cell(column, item, parent, now_ms, arena));
    ctl_tame(copy, false);
    return copy;
}

/* Characters, for alignment; the bytes at which the column's widest width is reached. */
static size_t width_of(slice cell, size_t *ret_bytes) {
    size_t width = 0, at = 0;
    while (at < cell.size && width < CELL_WIDTH_MAX) {
        const size_t size = text_utf8_character(slice_from(cell, at));
        at += size ? size : 1;
        width++;
    }
    *ret_bytes = at;
    return width;
}

static bool to_the_right(enum ctl_format format) {
    return format == CTL_FORMAT_NUMBER || format == CTL_FORMAT_REAL || format == CTL_FORMAT_PERCENT ||
           format == CTL_FORMAT_RATIO || format == CTL_FORMAT_SIZE || format == CTL_FORMAT_BUDGET ||
           format == CTL_FORMAT_SEEN;
}

static void add_row(struct text *text, const struct ctl_column *columns, const slice *cells, const size_t *widths) {
    for (size_t i = 0; columns[i].title; i++) {
        size_t bytes;
        const size_t width = width_of(cells[i], &bytes);
        const int padding = (int)(widths[i] - width);
        const bool last = !columns[i + 1].title;
        if (i) text_add_text(text, "  ");
        if (to_the_right(columns[i].format)) text_format(text, "%*s", padding, "");
        text_add(text, slice_of(cells[i].data, bytes));
        if (!to_the_right(columns[i].format) && !last) text_format(text, "%*s", padding, "");
    }
    text_add_text(text, "\n");
}

struct rows {
    const struct ctl_resource *resource;
    size_t columns_count, count, newest;
    slice *cells; /* count rows of columns_count */
    size_t widths[COLUMNS_MAX];
    int64_t now_ms;
    struct arena *arena;
};

static size_t count_items(const struct yaml_node *node, const char *path) {
    const char *dot = path ? strchr(path, '.') : NULL;
    if (!dot) return ctl_tree_at(node, path) ? ctl_tree_at(node, path)->count : 0;
    char head[64];
    (void)slice_to_text(slice_of(path, (size_t)(dot - path)), head, sizeof head);
    const struct yaml_node *outer = yaml_find(node, head);
    size_t count = 0;
    for (const struct yaml_node *entry = outer ? outer->first : NULL; entry; entry = entry->next)
        count += count_items(entry, dot + 1);
    return count;
}

static void collect_items(struct rows *rows, const struct yaml_node *node, const char *path) {
    const char *dot = strchr(path, '.');
    char head[64];
    (void)slice_to_text(slice_of(path, dot ? (size_t)(dot - path) : strlen(path)), head, sizeof head);
    const struct yaml_node *list = yaml_find(node, head);
    size_t passed_over = list && !dot && rows->newest && list->count > rows->newest ? list->count - rows->newest : 0;
    for (const struct yaml_node *item = list ? list->first : NULL; item; item = item->next) {
        if (dot) {
            collect_items(rows, item, dot + 1);
            continue;
        }
        if (passed_over) {
            passed_over--;
            continue;
        }
        slice *cells = rows->cells + rows->count++ * rows->columns_count;
        for (size_t i = 0; i < rows->columns_count; i++) {
            size_t bytes;
            cells[i] = ctl_cell(&rows->resource->columns[i], item, node, rows->now_ms, rows->arena);
            const size_t width = width_of(cells[i], &bytes);
            if (width > rows->widths[i]) rows->widths[i] = width;
        }
    }
}

size_t ctl_table_add(struct text *text, const struct ctl_resource *resource, const struct yaml_node *root,
                     size_t newest, int64_t now_ms, struct arena *arena) {
    struct rows rows = {.resource = resource, .newest = newest, .now_ms = now_ms, .arena = arena};
    slice titles[COLUMNS_MAX];
    while (resource->columns[rows.columns_count].title) {
        const slice title = slice_from_text(resource->columns[rows.columns_count].title);
        titles[rows.columns_count] = title;
        rows.widths[rows.columns_count++] = title.size;
    }
    const size_t count = count_items(root, resource->list_items);
    if (count == 0) return 0;
    rows.cells = arena_alloc_array(arena, count * rows.columns_count, sizeof *rows.cells);
    if (!rows.cells) {
        text->full = true;
        return 0;
    }
    collect_items(&rows, root, resource->list_items);
    add_row(text, resource->columns, titles, rows.widths);
    for (size_t i = 0; i < rows.count; i++)
        add_row(text, resource->columns, rows.cells + i * rows.columns_count, rows.widths);
    return rows.count;
}
