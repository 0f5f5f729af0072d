/* SPDX-License-Identifier: Apache-2.0
 * What all formats share: lists that grow in the arena up to their maximum, the reading of YAML, and the writing of
 * commands. A list that is full sets a flag and takes no more; the import as a whole then fails, as part of a file is
 * worse than none. */
#include "aggregator/ctl/import/import.h"

const struct import_format import_formats[] = {
    {"openslo", "OpenSLO v1: each objective becomes an SLO, each Service a service where there is none yet",
     "picketctl import openslo slos/*.yaml --dry-run", NULL, import_openslo_finish},
    {"backstage", "catalog-info.yaml: components, APIs, resources, systems and domains become services",
     "picketctl import backstage catalog-info.yaml", NULL, import_backstage_finish},
    {"prometheus-rules", "alerting rules, also as PrometheusRule: each runbook link becomes a runbook for its alerts",
     "picketctl import prometheus-rules rules/*.yaml --owner team-platform", NULL, import_rules_finish},
    {"runbooks", "Markdown with YAML front matter: headings and ordered items become steps",
     "picketctl import runbooks runbooks/*.md", import_runbooks_read, NULL},
};
const size_t import_formats_count = sizeof import_formats / sizeof *import_formats;

const struct import_format *import_format_find(const char *name) {
    for (size_t i = 0; i < import_formats_count; i++)
        if (strcmp(import_formats[i].name, name) == 0) return &import_formats[i];
    return NULL;
}

/* Room for one more; NULL (and full) when there is none. */
static void *grow(struct import *import, void *items, size_t count, size_t *room, size_t item_bytes, size_t count_max) {
    if (count < *room && count < count_max) return items;
    const size_t more = *room ? *room * 2 : 16;
    void *grown = count < count_max ? arena_alloc_array(import->arena, more, item_bytes) : NULL;
    if (!grown) {
        import->full = true;
        return NULL;
    }
    if (count) memcpy(grown, items, count * item_bytes);
    *room = more;
    return grown;
}

static void add_note(struct import *import, enum import_note_kind kind, const char *file, int line, slice what,
                     const char *why, va_list args) {
    struct import_note *notes =
        grow(import, import->notes, import->notes_count, &import->notes_room, sizeof *notes, IMPORT_NOTES_MAX);
    if (!notes) return;
    struct text text = text_begin(import->arena);
    slice reason = {0};
    text_format_args(&text, why, args);
    if (text_end(&text, "note", &reason, NULL)) import->full = true;
    import->notes = notes;
    import->notes[import->notes_count++] = (struct import_note){kind, file, line, what, reason};
    if (kind == IMPORT_FAILED) import->failed_count++;
}

void import_skip(struct import *import, const char *file, int line, slice what, const char *why, ...) {
    va_list args;
    va_start(args, why);
    add_note(import, IMPORT_SKIPPED, file, line, what, why, args);
    va_end(args);
}

void import_fail(struct import *import, const char *file, int line, slice what, const char *why, ...) {
    va_list args;
    va_start(args, why);
    add_note(import, IMPORT_FAILED, file, line, what, why, args);
    va_end(args);
}

struct mistakes {
    struct import *import;
    const char *file;
};

static void on_mistake(void *context, int line, const char *message) {
    struct mistakes *mistakes = context;
    import_fail(mistakes->import, mistakes->file, line, SLICE_LIT("YAML"), "%s", message);
}

static void read_yaml(struct import *import, const char *file, slice bytes) {
    static const struct yaml_limits limits = {IMPORT_DEPTH_MAX, IMPORT_NODES_MAX, IMPORT_DOCUMENTS_MAX};
    struct mistakes mistakes = {import, file};
    struct yaml_node *first = NULL;
    struct fault fault = {0};
    const fault_code code = yaml_read(bytes, &limits, import->arena, on_mistake, &mistakes, &first, &fault);
    if (code && code != FAULT_INPUT) import_fail(import, file, 0, SLICE_LIT("YAML"), "%s", fault.text);
    if (code) return;
    for (struct yaml_node *root = first; root; root = root->next) {
        if (root->kind == YAML_KIND_SCALAR && !root->text.size) continue; /* nothing between two --- */
        struct import_document *documents = grow(import, import->documents, import->documents_count,
                                                 &import->documents_room, sizeof *documents, IMPORT_OBJECTS_MAX);
        if (!documents) return;
        import->documents = documents;
        import->documents[import->documents_count++] = (struct import_document){file, root};
    }
}

void import_read(struct import *import, const struct import_format *format, const char *file, slice bytes) {
    if (bytes.size > IMPORT_FILE_BYTES_MAX)
        import_fail(import, file, 0, SLICE_LIT("file"), "is larger than %d bytes", IMPORT_FILE_BYTES_MAX);
    else if (format->read)
        format->read(import, file, bytes);
    else
        read_yaml(import, file, bytes);
}

/* The first of two stays. */
static void refuse_twins(struct import *import) {
    size_t kept = 0;
    for (size_t i = 0; i < import->objects_count; i++) {
        const struct import_object object = import->objects[i];
        const struct import_object *twin = NULL;
        for (size_t j = 0; j < kept && !twin; j++)
            if (slice_equal(import->objects[j].id, object.id) && strcmp(import->objects[j].kind, object.kind) == 0)
                twin = &import->objects[j];
        if (!twin)
            import->objects[kept++] = object;
        else
            import_fail(import, object.file, object.line, object.id, "another %s of this id stands in %s:%d",
                        object.kind, twin->file, twin->line);
    }
    import->objects_count = kept;
}

fault_code import_finish(struct import *import, const struct import_format *format, struct fault *reterr) {
    if (format->finish) format->finish(import);
    if (!import->full) refuse_twins(import);
    if (import->full)
        return fault_set(reterr, FAULT_LIMIT,
                         "the files hold more than is imported at once (%d objects, %d notes); give "
                         "fewer of them",
                         IMPORT_OBJECTS_MAX, IMPORT_NOTES_MAX);
    return FAULT_NONE;
}

struct import_json import_json_begin(struct import *import) {
    struct import_json json = {.text = text_begin(import->arena)};
    text_add_text(&json.text, "{");
    return json;
}

static void json_name(struct import_json *json, const char *name) {
    text_format(&json->text, "%s\"%s\":", json->begun ? "," : "", name);
    json->begun = true;
}

void import_json_text(struct import_json *json, const char *name, slice value) {
    if (!value.size) return;
    json_name(json, name);
    text_add_json_string(&json->text, value);
}

void import_json_raw(struct import_json *json, const char *name, const char *value) {
    if (!value) return;
    json_name(json, name);
    text_add_text(&json->text, value);
}

void import_json_texts(struct import_json *json, const char *name, const slice *values, size_t count) {
    if (!count) return;
    json_name(json, name);
    for (size_t i = 0; i < count; i++) {
        text_add_text(&json->text, i ? "," : "[");
        text_add_json_string(&json->text, values[i]);
    }
    text_add_text(&json->text, "]");
}

void import_json_map(struct import *import, struct import_json *json, const char *name, const char *file,
                     const struct yaml_node *map) {
    bool begun = false;
    for (const struct yaml_node *entry = map && map->kind == YAML_KIND_MAPPING ? map->first : NULL; entry;
         entry = entry->next) {
        if (entry->kind != YAML_KIND_SCALAR) {
            import_skip(import, file, entry->line, entry->key, "a label has one value, not several");
            continue;
        }
        if (!begun) json_name(json, name);
        text_add_text(&json->text, begun ? "," : "{");
        begun = true;
        text_add_json_string(&json->text, entry->key);
        text_add_text(&json->text, ":");
        text_add_json_string(&json->text, entry->text);
    }
    if (begun) text_add_text(&json->text, "}");
}

slice import_json_so_far(struct import *import, const struct import_json *json) {
    return arena_format(import->arena, "%.*s}", SLICE_ARG(slice_of(json->text.data, json->text.size)));
}

void import_add(struct import *import, struct import_object object, struct import_json *json) {
    struct import_object *objects = grow(import, import->objects, import->objects_count, &import->objects_room,
                                         sizeof *objects, IMPORT_OBJECTS_MAX);
    text_add_text(&json->text, "}");
    if (!objects || text_end(&json->text, "command", &object.command, NULL)) {
        import->full = true;
        return;
    }
    import->objects = objects;
    import->objects[import->objects_count++] = object;
}

const struct yaml_node *import_at(const struct yaml_node *node, const char *path) {
    while (node && *path) {
        const size_t size = strcspn(path, ".");
        const struct yaml_node *found = NULL;
        for (const struct yaml_node *entry = node->kind == YAML_KIND_MAPPING ? node->first : NULL; entry && !found;
             entry = entry->next)
            if (slice_equal(entry->key, slice_of(path, size))) found = entry;
        node = found;
        path += size + (path[size] == '.');
    }
    return node;
}

slice import_text(const struct yaml_node *node, const char *path) {
    const struct yaml_node *found = import_at(node, path);
    const bool is_text = found && found->kind == YAML_KIND_SCALAR;
    if (is_text && !found->quoted && (slice_equal_text(found->text, "null") || slice_equal_text(found->text, "~")))
        return (slice){0};
    return is_text ? found->text : (slice){0};
}

static bool is_alnum(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

enum { ID_BYTES_MAX = 128 };

bool import_is_id(slice text) {
    for (size_t i = 0; i < text.size; i++)
        if (!is_alnum(text.data[i]) && text.data[i] != '.' && text.data[i] != '_' && text.data[i] != '-') return false;
    return text.size >= 1 && text.size <= ID_BYTES_MAX;
}

/* Without a look at case and what is no letter or digit. */
static bool is_like(slice a, const char *b) {
    size_t i = 0;
    for (;; i++, b++) {
        while (i < a.size && !is_alnum(a.data[i])) i++;
        while (*b && !is_alnum((uint8_t)*b)) b++;
        if (i == a.size || !*b) return i == a.size && !*b;
        if ((a.data[i] | 0x20) != ((uint8_t)*b | 0x20)) return false;
    }
}

void import_say_unread(struct import *import, const char *file, slice what, const struct yaml_node *mapping,
                       const char *const *known) {
    for (const struct yaml_node *entry = mapping && mapping->kind == YAML_KIND_MAPPING ? mapping->first : NULL; entry;
         entry = entry->next) {
        const char *const *one = known;
        const char *like = NULL;
        for (; *one && !slice_equal_text(entry->key, *one); one++)
            if (is_like(entry->key, *one)) like = *one;
        if (*one) continue;
        import_skip(import, file, entry->line, what, "%.*s: Picket has nothing that corresponds%s%s%s",
                    SLICE_ARG(slice_first(entry->key, 120)), like ? "; it reads `" : "", like ? like : "",
                    like ? "`" : "");
    }
}

slice import_id(struct arena *arena, slice text) {
    const slice copy = arena_copy(arena, slice_first(text, ID_BYTES_MAX));
    for (size_t i = 0; i < copy.size; i++) {
        uint8_t *byte = (uint8_t *)copy.data + i;
        if (!is_alnum(*byte) && *byte != '.' && *byte != '_' && *byte != '-') *byte = '-';
    }
    return copy;
}

bool import_is_tag(slice text) {
    enum { TAG_BYTES_MAX = 128 };
    for (size_t i = 0; i < text.size; i++)
        if (!is_alnum(text.data[i]) && (i == 0 || i + 1 == text.size || !strchr("._-/", text.data[i]) || !text.data[i]))
            return false;
    return text.size >= 1 && text.size <= TAG_BYTES_MAX;
}

slice import_slug(struct arena *arena, slice text, const char *otherwise) {
    enum { SLUG_BYTES_MAX = 64 };
    uint8_t *slug = arena_alloc(arena, SLUG_BYTES_MAX + 1);
    size_t size = 0;
    for (size_t i = 0; slug && i < text.size && size < SLUG_BYTES_MAX; i++) {
        const uint8_t byte = text.data[i];
        if (is_alnum(byte))
            slug[size++] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
        else if (size && slug[size - 1] != '-')
            slug[size++] = '-';
    }
    while (size && slug[size - 1] == '-') size--;
    return size ? slice_of(slug, size) : slice_from_text(otherwise);
}

slice import_line(struct arena *arena, slice text, size_t characters) {
    struct text line = text_begin(arena);
    size_t count = 0;
    bool blank = false;
    for (size_t at = 0; at < text.size;) {
        const size_t size = text_utf8_character(slice_from(text, at));
        const uint8_t byte = text.data[at];
        const bool control = byte <= ' ' || byte == 0x7F || (byte == 0xC2 && size == 2 && text.data[at + 1] < 0xA1);
        if (control)
            blank = count > 0;
        else {
            if (count + 2 + blank > characters && at + size < text.size) {
                text_add_text(&line, "…");
                break;
            }
            if (blank) text_add_text(&line, " ");
            text_add(&line, slice_of(text.data + at, size ? size : 1));
            count += 1 + blank;
            blank = false;
        }
        at += size ? size : 1;
    }
    slice whole;
    return text_end(&line, "line", &whole, NULL) ? (slice){0} : whole;
}
