/* SPDX-License-Identifier: Apache-2.0
 * Binding a tree of YAML to rows. For each object (the file's root, each item of a list) a record is kept:
 * where its struct lies, which rows, and the line on which each row was given. From the address of a member
 * that record answers which line it came from and what it is called ("targets[2].url"), so that checks made
 * much later, by a module that knows nothing of YAML, still point into the file.
 *
 * The tree itself lives in an arena of its own, which is gone when the reading ends. */
#include "common/settings/settings.h"

#include "common/settings/setting_expand.h"
#include "common/settings/setting_value.h"
#include "common/settings/yaml_reader.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TREE_BYTES_MAX = 64 * 1024 * 1024, KEY_BYTES = 200, LINE_ENVIRONMENT = -1 };

struct object {
    struct object *next;
    const struct object *parent;
    const struct setting_row *list; /* the row of parent that it is an item of */
    size_t index;
    const struct setting_table *table;
    uint8_t *values;
    int line;
    int *lines; /* by row: 0 when it was not given */
};

struct settings {
    const struct setting_table *table;
    struct arena *arena;
    const char *file_name;
    char *const *environment;
    struct object *first, **last_next;
    const char *mistakes[SETTINGS_MISTAKES];
    size_t mistakes_count; /* all, also those past the array */
    bool full;             /* the arena */
};

static void check_table(const struct setting_table *table) {
    for (size_t i = 0; i < table->rows_count; i++) {
        const struct setting_row *row = &table->rows[i];
        assert(row->member_bytes == setting_member_bytes(row->kind));
        assert(row->offset + row->member_bytes <= table->values_bytes);
        assert(strlen(row->key) < KEY_BYTES);
        assert(row->kind != SETTING_KIND_ENUM || row->names);
        assert((row->kind == SETTING_KIND_LIST) == (row->table != NULL));
        if (row->table) check_table(row->table);
    }
}

struct settings *settings_new(const struct setting_table *table, struct arena *arena) {
    check_table(table);
    struct settings *settings = arena_alloc(arena, sizeof *settings);
    if (!settings) return NULL;
    settings->table = table;
    settings->arena = arena;
    settings->file_name = "settings";
    settings->last_next = &settings->first;
    return settings;
}

static size_t path_of(const struct object *object, const char *key, char *buffer, size_t buffer_size) {
    size_t used = 0;
    if (object && object->parent) {
        used = path_of(object->parent, object->list->key, buffer, buffer_size);
        if (used < buffer_size) used += (size_t)snprintf(buffer + used, buffer_size - used, "[%zu]", object->index);
        if (*key && used < buffer_size) used += (size_t)snprintf(buffer + used, buffer_size - used, ".");
    }
    if (used < buffer_size) used += (size_t)snprintf(buffer + used, buffer_size - used, "%s", key);
    return used;
}

static void environment_name(const char *key, char *buffer, size_t buffer_size) {
    snprintf(buffer, buffer_size, "PICKET_%s", key);
    for (char *at = buffer; *at; at++) {
        if (*at == '.' || *at == '-')
            *at = '_';
        else if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
    }
}

static void keep_mistake(struct settings *settings, slice text) {
    if (!text.data) {
        settings->full = true;
        text = SLICE_LIT("settings are larger than their memory");
    }
    if (settings->mistakes_count < SETTINGS_MISTAKES)
        settings->mistakes[settings->mistakes_count] = (const char *)text.data;
    settings->mistakes_count++;
}

/* key "": the object itself; object NULL: the file. */
static void mistake_at(struct settings *settings, const struct object *object, const char *key, int line,
                       const char *format, ...) __attribute__((format(printf, 5, 6)));
static void mistake_at(struct settings *settings, const struct object *object, const char *key, int line,
                       const char *format, ...) {
    if (settings->mistakes_count >= SETTINGS_MISTAKES) {
        settings->mistakes_count++;
        return;
    }
    char message[512], where[KEY_BYTES * 2], name[KEY_BYTES + 16];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    path_of(object, key, where, sizeof where);
    const char *separator = *where ? ": " : "";
    if (line == LINE_ENVIRONMENT) {
        environment_name(key, name, sizeof name);
        keep_mistake(settings, arena_format(settings->arena, "environment %s: %s", name, message));
    } else if (line > 0) {
        keep_mistake(settings, arena_format(settings->arena, "%s:%d: %s%s%s", settings->file_name, line, where,
                                            separator, message));
    } else {
        keep_mistake(settings,
                     arena_format(settings->arena, "%s: %s%s%s", settings->file_name, where, separator, message));
    }
}

size_t settings_mistakes_count(const struct settings *settings) {
    return settings->mistakes_count < SETTINGS_MISTAKES ? settings->mistakes_count : SETTINGS_MISTAKES;
}

const char *settings_mistake_at(const struct settings *settings, size_t index) {
    return settings->mistakes[index];
}

fault_code settings_result(const struct settings *settings, struct fault *reterr) {
    if (settings->full) return fault_set(reterr, FAULT_LIMIT, "%s: larger than its memory", settings->file_name);
    if (settings->mistakes_count == 0) return FAULT_NONE;
    if (settings->mistakes_count == 1) return fault_set(reterr, FAULT_INPUT, "%s", settings->mistakes[0]);
    return fault_set(reterr, FAULT_INPUT, "%s (and %zu more)", settings->mistakes[0], settings->mistakes_count - 1);
}

static const struct object *object_at(const struct settings *settings, const void *member,
                                      const struct setting_row **ret_row, int *ret_line) {
    const uintptr_t address = (uintptr_t)member;
    for (const struct object *object = settings->first; object; object = object->next) {
        const uintptr_t begin = (uintptr_t)object->values;
        if (address < begin || address >= begin + object->table->values_bytes) continue;
        *ret_row = NULL;
        *ret_line = object->line;
        for (size_t i = 0; i < object->table->rows_count; i++) {
            const struct setting_row *row = &object->table->rows[i];
            if (address < begin + row->offset || address >= begin + row->offset + row->member_bytes) continue;
            *ret_row = row;
            *ret_line = object->lines[i];
        }
        return object;
    }
    return NULL;
}

int settings_line(const struct settings *settings, const void *member) {
    const struct setting_row *row;
    int line = 0;
    return object_at(settings, member, &row, &line) ? line : 0;
}

bool settings_given(const struct settings *settings, const void *member) {
    return settings_line(settings, member) != 0;
}

void settings_mistake(struct settings *settings, const void *member, const char *format, ...) {
    char message[480];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const struct setting_row *row = NULL;
    int line = 0;
    const struct object *object = member ? object_at(settings, member, &row, &line) : NULL;
    if (object && line == 0) line = object->line;
    mistake_at(settings, object, row ? row->key : "", line, "%s", message);
}

/* Levenshtein's distance, for texts of at most 63 bytes; more is far away. */
static size_t distance(slice a, slice b) {
    enum { MOST = 63 };
    if (a.size > MOST || b.size > MOST) return MOST;
    size_t row[MOST + 1];
    for (size_t j = 0; j <= b.size; j++) row[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            const size_t replaced = diagonal + (a.data[i - 1] != b.data[j - 1]);
            diagonal = row[j];
            const size_t gap = (row[j - 1] < row[j] ? row[j - 1] : row[j]) + 1;
            row[j] = replaced < gap ? replaced : gap;
        }
    }
    return row[b.size];
}

static void unknown_key(struct settings *settings, const struct object *object, slice prefix,
                        const struct yaml_node *entry) {
    slice nearest = {0};
    size_t nearest_distance = entry->key.size / 3 + 2;
    for (size_t i = 0; i < object->table->rows_count; i++) {
        const slice key = slice_from_text(object->table->rows[i].key);
        if (!slice_starts_with(key, prefix)) continue;
        slice rest = slice_from(key, prefix.size);
        const uint8_t *dot = memchr(rest.data, '.', rest.size);
        const slice segment = dot ? slice_first(rest, (size_t)(dot - rest.data)) : rest;
        const uint8_t *last_dot = memrchr(key.data, '.', key.size);
        const slice last = last_dot ? slice_from(key, (size_t)(last_dot - key.data) + 1) : key;
        const size_t far = distance(entry->key, segment);
        if (far < nearest_distance) {
            nearest_distance = far;
            nearest = segment;
        } else if (nearest_distance > 1 && slice_equal(last, entry->key)) {
            nearest_distance = 1; /* right name, wrong level */
            nearest = key;
        }
    }
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "%.*s%.*s", SLICE_ARG(prefix), SLICE_ARG(slice_first(entry->key, 80)));
    if (nearest.size)
        mistake_at(settings, object, key, entry->line, "unknown key; did you mean '%.*s'?", SLICE_ARG(nearest));
    else
        mistake_at(settings, object, key, entry->line, "unknown key");
}

static struct object *bind_object(struct settings *settings, const struct setting_table *table,
                                  const struct yaml_node *node, const struct object *parent,
                                  const struct setting_row *list, size_t index, uint8_t *values);

static bool is_null(const struct yaml_node *node) {
    return node->kind == YAML_KIND_SCALAR && !node->quoted &&
           (node->text.size == 0 || slice_equal_text(node->text, "~") || slice_equal_text(node->text, "null"));
}

static void out_of_memory(struct settings *settings) {
    settings->full = true;
}

static void expected_other(struct settings *settings, const struct object *object, const struct setting_row *row,
                           const struct yaml_node *node) {
    static const char *const found[] = {"found one value", "found a list", "found a mapping"};
    char expected[256];
    mistake_at(settings, object, row->key, node->line, "must be %s, %s",
               setting_expected(row, expected, sizeof expected), is_null(node) ? "has no value" : found[node->kind]);
}

/* False, and a mistake, where there is none. */
static bool text_of(struct settings *settings, const struct object *object, const char *key,
                    const struct yaml_node *node, slice *ret_text) {
    struct fault fault;
    const fault_code code = setting_expand(node->text, settings->environment, settings->arena, ret_text, &fault);
    if (code == FAULT_LIMIT)
        out_of_memory(settings);
    else if (code)
        mistake_at(settings, object, key, node->line, "%s", fault.text);
    return !code;
}

static void bind_texts(struct settings *settings, struct object *object, const struct setting_row *row,
                       const struct yaml_node *node) {
    struct setting_texts *texts = (struct setting_texts *)(void *)(object->values + row->offset);
    slice *items = arena_alloc_array(settings->arena, node->count + 1, sizeof *items);
    if (!items) return out_of_memory(settings);
    for (const struct yaml_node *item = node->first; item; item = item->next) {
        char key[KEY_BYTES];
        snprintf(key, sizeof key, "%s[%zu]", row->key, texts->count);
        if (item->kind != YAML_KIND_SCALAR || is_null(item)) {
            mistake_at(settings, object, key, item->line, "must be text");
            continue;
        }
        slice text;
        if (!text_of(settings, object, key, item, &text)) continue;
        items[texts->count] = arena_copy(settings->arena, text);
        if (!items[texts->count++].data) return out_of_memory(settings);
    }
    texts->items = items;
}

static void bind_map(struct settings *settings, struct object *object, const struct setting_row *row,
                     const struct yaml_node *node) {
    struct setting_map *map = (struct setting_map *)(void *)(object->values + row->offset);
    struct setting_pair *items = arena_alloc_array(settings->arena, node->count + 1, sizeof *items);
    if (!items) return out_of_memory(settings);
    for (const struct yaml_node *entry = node->first; entry; entry = entry->next) {
        char key[KEY_BYTES];
        snprintf(key, sizeof key, "%s.%.*s", row->key, SLICE_ARG(slice_first(entry->key, 80)));
        if (entry->kind != YAML_KIND_SCALAR || is_null(entry)) {
            mistake_at(settings, object, key, entry->line, "must be text");
            continue;
        }
        slice text;
        if (!text_of(settings, object, key, entry, &text)) continue;
        struct setting_pair *pair = &items[map->count++];
        pair->key = arena_copy(settings->arena, entry->key);
        pair->value = arena_copy(settings->arena, text);
        if (!pair->key.data || !pair->value.data) return out_of_memory(settings);
    }
    map->items = items;
}

static void bind_list(struct settings *settings, struct object *object, const struct setting_row *row,
                      const struct yaml_node *node) {
    struct {
        void *items;
        size_t count;
    } list = {.count = node->count};
    list.items = arena_alloc_array(settings->arena, node->count + 1, row->table->values_bytes);
    if (!list.items) return out_of_memory(settings);
    memcpy(object->values + row->offset, &list, sizeof list);
    size_t index = 0;
    for (const struct yaml_node *item = node->first; item && !settings->full; item = item->next, index++)
        (void)bind_object(settings, row->table, item, object, row, index,
                          (uint8_t *)list.items + index * row->table->values_bytes);
}

static void bind_value(struct settings *settings, struct object *object, const struct setting_row *row,
                       const struct yaml_node *node) {
    const enum yaml_kind wanted = setting_is_scalar(row->kind)    ? YAML_KIND_SCALAR
                                  : row->kind == SETTING_KIND_MAP ? YAML_KIND_MAPPING
                                                                  : YAML_KIND_LIST;
    if (node->kind != wanted || is_null(node)) return expected_other(settings, object, row, node);
    if (wanted != YAML_KIND_SCALAR && row->high && node->count > strtoull(row->high, NULL, 10))
        return mistake_at(settings, object, row->key, node->line, "has %zu entries, the most is %s", node->count,
                          row->high);
    struct fault fault;
    slice text;
    switch (row->kind) {
    case SETTING_KIND_TEXTS: bind_texts(settings, object, row, node); break;
    case SETTING_KIND_MAP: bind_map(settings, object, row, node); break;
    case SETTING_KIND_LIST: bind_list(settings, object, row, node); break;
    default:
        if (!text_of(settings, object, row->key, node, &text)) return;
        if (setting_store(row, text, settings->arena, object->values + row->offset, &fault))
            mistake_at(settings, object, row->key, node->line, "%s", fault.text);
    }
}

static bool is_level(const struct setting_table *table, const char *key) {
    const size_t size = strlen(key);
    for (size_t i = 0; i < table->rows_count; i++)
        if (strncmp(table->rows[i].key, key, size) == 0 && table->rows[i].key[size] == '.') return true;
    return false;
}

static void bind_mapping(struct settings *settings, struct object *object, const struct yaml_node *node, slice prefix) {
    for (const struct yaml_node *entry = node->first; entry && !settings->full; entry = entry->next) {
        char key[KEY_BYTES];
        const int size = snprintf(key, sizeof key, "%.*s%.*s", SLICE_ARG(prefix), SLICE_ARG(entry->key));
        size_t i = 0;
        while (i < object->table->rows_count && strcmp(object->table->rows[i].key, key) != 0) i++;
        if (i < object->table->rows_count) {
            if (object->lines[i])
                mistake_at(settings, object, key, entry->line, "is given twice (first in line %d)", object->lines[i]);
            object->lines[i] = entry->line;
            bind_value(settings, object, &object->table->rows[i], entry);
        } else if (size < KEY_BYTES - 1 && is_level(object->table, key)) {
            key[size] = '.';
            if (entry->kind == YAML_KIND_MAPPING)
                bind_mapping(settings, object, entry, slice_of(key, (size_t)size + 1));
            else {
                key[size] = '\0';
                mistake_at(settings, object, key, entry->line, "must be a mapping of keys");
            }
        } else {
            unknown_key(settings, object, prefix, entry);
        }
    }
}

static void set_defaults(struct settings *settings, struct object *object) {
    for (size_t i = 0; i < object->table->rows_count; i++) {
        const struct setting_row *row = &object->table->rows[i];
        if (!setting_is_scalar(row->kind)) continue;
        void *member = object->values + row->offset;
        /* By kind and not by size: with 32-bit pointers a slice is as large as a number. */
        const bool is_text =
            row->kind == SETTING_KIND_TEXT || row->kind == SETTING_KIND_PATH || row->kind == SETTING_KIND_SECRET;
        if (is_text) *(slice *)member = slice_of("", 0);
        if (!row->fallback || !*row->fallback) continue;
        struct fault fault;
        const fault_code code = setting_store(row, slice_from_text(row->fallback), settings->arena, member, &fault);
        assert(code != FAULT_INPUT); /* our own row: its default is within its bounds */
        if (code) return out_of_memory(settings);
    }
}

static void check_required(struct settings *settings, const struct object *object) {
    for (size_t i = 0; i < object->table->rows_count; i++) {
        const struct setting_row *row = &object->table->rows[i];
        if (!object->lines[i] && !row->fallback)
            mistake_at(settings, object, row->key, object->line, "is required: %s", row->help);
    }
}

static void bind_environment(struct settings *settings, struct object *object, char *const *environment) {
    for (size_t i = 0; environment && i < object->table->rows_count; i++) {
        const struct setting_row *row = &object->table->rows[i];
        if (!setting_is_scalar(row->kind)) continue;
        char name[KEY_BYTES + 16];
        environment_name(row->key, name, sizeof name);
        const size_t size = strlen(name);
        for (char *const *entry = environment; *entry; entry++) {
            if (strncmp(*entry, name, size) != 0 || (*entry)[size] != '=') continue;
            object->lines[i] = LINE_ENVIRONMENT;
            struct fault fault;
            if (setting_store(row, slice_from_text(*entry + size + 1), settings->arena, object->values + row->offset,
                              &fault))
                mistake_at(settings, object, row->key, LINE_ENVIRONMENT, "%s", fault.text);
            break;
        }
    }
}

/* NULL when the arena is full, which settings->full says. node NULL: nothing was given. */
static struct object *bind_object(struct settings *settings, const struct setting_table *table,
                                  const struct yaml_node *node, const struct object *parent,
                                  const struct setting_row *list, size_t index, uint8_t *values) {
    struct object *object = arena_alloc(settings->arena, sizeof *object);
    int *lines = object ? arena_alloc_array(settings->arena, table->rows_count + 1, sizeof *lines) : NULL;
    if (!lines) {
        out_of_memory(settings);
        return NULL;
    }
    *object = (struct object){.parent = parent,
                              .list = list,
                              .index = index,
                              .table = table,
                              .values = values,
                              .line = node ? node->line : 0,
                              .lines = lines};
    *settings->last_next = object;
    settings->last_next = &object->next;
    set_defaults(settings, object);
    if (node && node->kind == YAML_KIND_MAPPING)
        bind_mapping(settings, object, node, (slice){0});
    else if (node) {
        mistake_at(settings, object, "", node->line, "must be a mapping of keys, such as '%s: ...'",
                   table->rows_count ? table->rows[0].key : "key");
        return object;
    }
    if (parent) check_required(settings, object);
    return object;
}

static void on_yaml_mistake(void *context, int line, const char *message) {
    mistake_at(context, NULL, "", line, "%s", message);
}

fault_code settings_read_text(struct settings *settings, const char *file_name, slice yaml, char *const *environment,
                              void *ret_values, struct fault *reterr) {
    static const struct yaml_limits limits = {SETTINGS_DEPTH, SETTINGS_NODES, 1};
    settings->file_name = file_name;
    settings->environment = environment;
    memset(ret_values, 0, settings->table->values_bytes);
    if (yaml.size > SETTINGS_FILE_BYTES)
        return fault_set(reterr, FAULT_LIMIT, "%s: larger than %d bytes", file_name, SETTINGS_FILE_BYTES);
    struct arena *tree = arena_new(16 * 1024, TREE_BYTES_MAX);
    if (!tree) return fault_set(reterr, FAULT_SYSTEM, "read %s: out of memory", file_name);
    struct yaml_node *root = NULL;
    fault_code code = yaml_read(yaml, &limits, tree, on_yaml_mistake, settings, &root, reterr);
    if (code == FAULT_NONE || code == FAULT_INPUT) {
        const struct yaml_node *node = code == FAULT_NONE && root && !is_null(root) ? root : NULL;
        struct object *object = bind_object(settings, settings->table, node, NULL, NULL, 0, ret_values);
        if (object) bind_environment(settings, object, environment);
        if (object && code == FAULT_NONE) check_required(settings, object);
        code = settings_result(settings, reterr);
    }
    arena_free(tree);
    return code;
}

fault_code settings_read_file(struct settings *settings, const char *path, char *const *environment, void *ret_values,
                              struct fault *reterr) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "open settings '%s'", path);
    uint8_t *bytes = malloc(SETTINGS_FILE_BYTES + 1);
    size_t size = 0;
    ssize_t got = bytes ? 1 : 0;
    while (bytes && size <= SETTINGS_FILE_BYTES &&
           (got = read(fd, bytes + size, SETTINGS_FILE_BYTES + 1 - size)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        size += (size_t)got;
    }
    const int error_number = errno;
    close(fd);
    fault_code code;
    if (!bytes)
        code = fault_set(reterr, FAULT_SYSTEM, "read settings '%s': out of memory", path);
    else if (got < 0)
        code = fault_set_errno(reterr, FAULT_SYSTEM, error_number, "read settings '%s'", path);
    else
        code = settings_read_text(settings, path, slice_of(bytes, size), environment, ret_values, reterr);
    free(bytes);
    return code;
}
