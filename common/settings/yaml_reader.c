/* SPDX-License-Identifier: Apache-2.0
 * libyaml's event parser drives a stack of open lists and mappings. Events carry their marks, which the tree
 * keeps as lines. Aliases are refused rather than followed, so that the tree is never larger than the text
 * (the "billion laughs"), and so is everything else of YAML that makes a file mean more than it shows.
 *
 * Duplicates are looked for by hash, as a mapping may hold as many keys as the file has lines. */
#include "common/settings/yaml_reader.h"

#include "common/base/checksum.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

enum { DEPTH_MAX = 32 };

struct level {
    struct yaml_node *node;
    struct yaml_node **last_next;
    bool has_key;
    slice key;
    int key_line;
};

struct reader {
    const struct yaml_limits *limits;
    struct arena *arena;
    yaml_mistake_fn *mistake;
    void *context;
    struct level levels[DEPTH_MAX];
    size_t depth;
    size_t nodes_count, documents_count;
    struct yaml_node *first, **last_document;
    bool mistaken;
};

static void tell(struct reader *reader, size_t line, const char *message) {
    reader->mistaken = true;
    reader->mistake(reader->context, (int)line, message);
}

/* FAULT_INPUT here means: told, and reading cannot go on. */
static fault_code add_node(struct reader *reader, enum yaml_kind kind, slice text, bool quoted, size_t line,
                           struct yaml_node **ret_node) {
    if (reader->nodes_count == reader->limits->nodes_max) {
        tell(reader, line, "the file holds too many values");
        return FAULT_INPUT;
    }
    struct yaml_node *node = arena_alloc(reader->arena, sizeof *node);
    const slice copy = node ? arena_copy(reader->arena, text) : (slice){0};
    if (!copy.data) return FAULT_LIMIT;
    reader->nodes_count++;
    *node = (struct yaml_node){.kind = kind, .quoted = quoted, .line = (int)line, .text = copy};
    if (reader->depth == 0) {
        *reader->last_document = node;
        reader->last_document = &node->next;
    } else {
        struct level *level = &reader->levels[reader->depth - 1];
        if (level->node->kind == YAML_KIND_MAPPING) {
            node->key = level->key;
            node->line = level->key_line;
            level->has_key = false;
        }
        *level->last_next = node;
        level->last_next = &node->next;
        level->node->count++;
    }
    *ret_node = node;
    return FAULT_NONE;
}

static fault_code open_level(struct reader *reader, enum yaml_kind kind, size_t line) {
    if (reader->depth && reader->levels[reader->depth - 1].node->kind == YAML_KIND_MAPPING &&
        !reader->levels[reader->depth - 1].has_key) {
        tell(reader, line, "a key must be plain text");
        return FAULT_INPUT;
    }
    if (reader->depth == reader->limits->depth_max || reader->depth == DEPTH_MAX) {
        char message[80];
        snprintf(message, sizeof message, "nested deeper than %zu levels", reader->depth);
        tell(reader, line, message);
        return FAULT_INPUT;
    }
    struct yaml_node *node;
    const fault_code code = add_node(reader, kind, (slice){0}, false, line, &node);
    if (code) return code;
    reader->levels[reader->depth++] = (struct level){.node = node, .last_next = &node->first};
    return FAULT_NONE;
}

static uint64_t key_hash(const struct yaml_node *node) {
    return hash_bytes(node->key, 0x7069636b6574);
}

static int entry_compare(const void *left, const void *right) {
    const struct yaml_node *a = *(const struct yaml_node *const *)left, *b = *(const struct yaml_node *const *)right;
    const uint64_t hash_a = key_hash(a), hash_b = key_hash(b);
    if (hash_a != hash_b) return hash_a < hash_b ? -1 : 1;
    const int order = slice_compare(a->key, b->key);
    return order ? order : (a->line > b->line) - (a->line < b->line);
}

static fault_code close_level(struct reader *reader) {
    struct yaml_node *node = reader->levels[--reader->depth].node;
    if (node->kind != YAML_KIND_MAPPING || node->count < 2) return FAULT_NONE;
    struct yaml_node **entries = arena_alloc_array(reader->arena, node->count, sizeof(struct yaml_node *));
    if (!entries) return FAULT_LIMIT;
    size_t count = 0;
    for (struct yaml_node *entry = node->first; entry; entry = entry->next) entries[count++] = entry;
    qsort(entries, count, sizeof *entries, entry_compare);
    for (size_t i = 1; i < count; i++) {
        if (!slice_equal(entries[i - 1]->key, entries[i]->key)) continue;
        char message[160];
        snprintf(message, sizeof message, "'%.*s' is given twice (first in line %d)",
                 (int)(entries[i]->key.size < 80 ? entries[i]->key.size : 80), (const char *)entries[i]->key.data,
                 entries[i - 1]->line);
        tell(reader, (size_t)entries[i]->line, message);
    }
    return FAULT_NONE;
}

static fault_code take_scalar(struct reader *reader, const yaml_event_t *event, size_t line) {
    const slice text = slice_of(event->data.scalar.value, event->data.scalar.length);
    const bool quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (text.size && memchr(text.data, 0, text.size)) {
        tell(reader, line, "text may not hold a NUL character");
        return FAULT_INPUT;
    }
    struct level *level = reader->depth ? &reader->levels[reader->depth - 1] : NULL;
    if (!level || level->node->kind != YAML_KIND_MAPPING || level->has_key) {
        struct yaml_node *node;
        return add_node(reader, YAML_KIND_SCALAR, text, quoted, line, &node);
    }
    level->key = arena_copy(reader->arena, text);
    if (!level->key.data) return FAULT_LIMIT;
    level->has_key = true;
    level->key_line = (int)line;
    return FAULT_NONE;
}

static void refuse_extras(struct reader *reader, const yaml_char_t *anchor, const yaml_char_t *tag, size_t line) {
    if (anchor) tell(reader, line, "anchors (&name) are not supported: write the value where it is used");
    if (tag) tell(reader, line, "tags (!name) are not supported");
}

static fault_code take_event(struct reader *reader, const yaml_event_t *event) {
    const size_t line = event->start_mark.line + 1;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (reader->documents_count++ < reader->limits->documents_max) return FAULT_NONE;
        tell(reader, line, "more documents (---) than are read");
        return FAULT_INPUT;
    case YAML_ALIAS_EVENT:
        tell(reader, line, "aliases (*name) are not supported: write the value where it is used");
        return FAULT_INPUT;
    case YAML_SCALAR_EVENT:
        refuse_extras(reader, event->data.scalar.anchor, event->data.scalar.tag, line);
        return take_scalar(reader, event, line);
    case YAML_SEQUENCE_START_EVENT:
        refuse_extras(reader, event->data.sequence_start.anchor, event->data.sequence_start.tag, line);
        return open_level(reader, YAML_KIND_LIST, line);
    case YAML_MAPPING_START_EVENT:
        refuse_extras(reader, event->data.mapping_start.anchor, event->data.mapping_start.tag, line);
        return open_level(reader, YAML_KIND_MAPPING, line);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return close_level(reader);
    default: return FAULT_NONE;
    }
}

static void tell_syntax(struct reader *reader, const yaml_parser_t *parser) {
    char message[240];
    const char *problem = parser->problem ? parser->problem : "not YAML";
    const bool bytes = parser->error == YAML_READER_ERROR;
    if (parser->context && !bytes)
        snprintf(message, sizeof message, "%s (%s, column %zu)", problem, parser->context,
                 parser->problem_mark.column + 1);
    else
        snprintf(message, sizeof message, "%s (column %zu)", problem, parser->mark.column + 1);
    tell(reader, (bytes ? parser->mark.line : parser->problem_mark.line) + 1, message);
}

fault_code yaml_read(slice yaml, const struct yaml_limits *limits, struct arena *arena, yaml_mistake_fn *mistake,
                     void *context, struct yaml_node **ret_first, struct fault *reterr) {
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) return fault_set(reterr, FAULT_SYSTEM, "read YAML: out of memory");
    struct reader reader = {.limits = limits, .arena = arena, .mistake = mistake, .context = context};
    reader.last_document = &reader.first;
    /* Told the encoding, libyaml takes a byte order mark (YAML 1.2, 5.2) for text. */
    if (slice_starts_with(yaml, SLICE_LIT("\xEF\xBB\xBF"))) yaml = slice_from(yaml, 3);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, yaml.data ? yaml.data : (const uint8_t *)"", yaml.size);
    fault_code code = FAULT_NONE;
    for (bool more = true; more && code == FAULT_NONE;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            if (parser.error == YAML_MEMORY_ERROR)
                code = FAULT_SYSTEM;
            else
                tell_syntax(&reader, &parser);
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        code = take_event(&reader, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (code == FAULT_LIMIT) return fault_set(reterr, code, "read YAML: larger than its memory");
    if (code == FAULT_SYSTEM) return fault_set(reterr, code, "read YAML: out of memory");
    if (reader.mistaken) return fault_set(reterr, FAULT_INPUT, "not readable as YAML");
    *ret_first = reader.first;
    return FAULT_NONE;
}

const struct yaml_node *yaml_find(const struct yaml_node *node, const char *key) {
    if (!node || node->kind != YAML_KIND_MAPPING) return NULL;
    for (const struct yaml_node *entry = node->first; entry; entry = entry->next)
        if (slice_equal_text(entry->key, key)) return entry;
    return NULL;
}
