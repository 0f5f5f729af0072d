/* SPDX-License-Identifier: Apache-2.0
 * Records in blocks that never move, so that growing copies nothing; a hash table of numbers above them. What is removed
 * goes to a list of free numbers, so that a cluster whose pods come and go does not make this grow. */
#include "agent/health/object_table.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/checksum.h"

enum { BLOCK_OBJECTS = 256, BLOCKS_MAX = OBJECTS_MAX / BLOCK_OBJECTS + 1, HEADS_MIN = 256, WORDS_MAX = 1024 };

struct object_table {
    struct object *blocks[BLOCKS_MAX];
    uint32_t *heads;
    size_t heads_count, count, objects_max, words_count, name_bytes, words_bytes;
    uint32_t top, free_number; /* top: highest number ever given */
    uint64_t seed;
};

static_assert(sizeof(struct object) <= 144, "an object is to stay below 200 bytes with its name");

struct object_table *object_table_new(size_t objects_max, uint64_t seed) {
    struct object_table *const table = calloc(1, sizeof *table);
    if (!table) return NULL;
    table->objects_max = objects_max < OBJECTS_MAX ? objects_max : OBJECTS_MAX;
    table->seed = seed;
    table->heads_count = HEADS_MIN;
    table->heads = calloc(table->heads_count, sizeof *table->heads);
    return table->heads ? table : object_table_free(table);
}

struct object_table *object_table_free(struct object_table *table) {
    if (!table) return NULL;
    for (uint32_t number = 1; number <= table->top; number++) {
        free(object_at(table, number)->name);
        object_words_drop(table, number);
    }
    for (size_t i = 0; i < BLOCKS_MAX; i++) free(table->blocks[i]);
    free(table->heads);
    free(table);
    return NULL;
}

struct object *object_at(const struct object_table *table, uint32_t number) {
    assert(number >= 1 && number <= table->top);
    return &table->blocks[(number - 1) / BLOCK_OBJECTS][(number - 1) % BLOCK_OBJECTS];
}

static size_t head_of(const struct object_table *table, enum cluster_kind kind, uint32_t namespace, slice name) {
    return (size_t)hash_bytes(name, table->seed ^ ((uint64_t) namespace << 8 | kind)) & (table->heads_count - 1);
}

uint32_t object_find(const struct object_table *table, enum cluster_kind kind, uint32_t namespace, slice name) {
    uint32_t number = table->heads[head_of(table, kind, namespace, name)];
    while (number) {
        const struct object *const object = object_at(table, number);
        if (object->kind == kind && object->namespace == namespace && slice_equal_text(name, object->name)) break;
        number = object->chain;
    }
    return number;
}

static void grow_heads(struct object_table *table) {
    const size_t more = table->heads_count * 2;
    uint32_t *const heads = calloc(more, sizeof *heads);
    if (!heads) return; /* longer chains */
    free(table->heads);
    table->heads = heads;
    table->heads_count = more;
    for (uint32_t number = 1; number <= table->top; number++) {
        struct object *const object = object_at(table, number);
        if (!object->used) continue;
        uint32_t *const head =
            &heads[head_of(table, (enum cluster_kind)object->kind, object->namespace, slice_from_text(object->name))];
        object->chain = *head;
        *head = number;
    }
}

static uint32_t take_number(struct object_table *table) {
    if (table->free_number) {
        const uint32_t number = table->free_number;
        table->free_number = object_at(table, number)->chain;
        return number;
    }
    if (table->top >= table->objects_max) return 0;
    struct object **const block = &table->blocks[table->top / BLOCK_OBJECTS];
    if (!*block) *block = calloc(BLOCK_OBJECTS, sizeof **block);
    return *block ? ++table->top : 0;
}

uint32_t object_add(struct object_table *table, enum cluster_kind kind, uint32_t namespace, slice name) {
    char *const copy = malloc(name.size + 1);
    const uint32_t number = copy ? take_number(table) : 0;
    if (!number) {
        free(copy);
        return 0;
    }
    if (name.size) memcpy(copy, name.data, name.size);
    copy[name.size] = '\0';
    if (table->count >= table->heads_count) grow_heads(table);
    uint32_t *const head = &table->heads[head_of(table, kind, namespace, name)];
    *object_at(table, number) = (struct object){.name = copy,
                                                .namespace = namespace,
                                                .kind = (uint8_t)kind,
                                                .used = true,
                                                .next_s = UINT32_MAX,
                                                .chain = *head};
    *head = number;
    table->count++;
    table->name_bytes += name.size + 1;
    return number;
}

void object_remove(struct object_table *table, uint32_t number) {
    struct object *const object = object_at(table, number);
    assert(object->used && object->refs == 0);
    const slice name = slice_from_text(object->name);
    uint32_t *link = &table->heads[head_of(table, (enum cluster_kind)object->kind, object->namespace, name)];
    while (*link != number) link = &object_at(table, *link)->chain;
    *link = object->chain;
    table->name_bytes -= name.size + 1;
    table->count--;
    object_words_drop(table, number);
    free(object->name);
    *object = (struct object){.chain = table->free_number};
    table->free_number = number;
}

uint32_t object_next(const struct object_table *table, uint32_t number) {
    for (uint32_t next = number + 1; next <= table->top; next++)
        if (object_at(table, next)->used) return next;
    return 0;
}

size_t object_count(const struct object_table *table) {
    return table->count;
}

struct object_words *object_words(struct object_table *table, uint32_t number) {
    struct object *const object = object_at(table, number);
    if (object->words || table->words_count >= WORDS_MAX) return object->words;
    object->words = calloc(1, sizeof *object->words);
    if (!object->words) return NULL;
    object->words->detail_rule = CLUSTER_RULES_;
    table->words_count++;
    return object->words;
}

void object_say(struct object_table *table, char **text, const char *said) {
    if (*text && strcmp(*text, said) == 0) return;
    if (*text) table->words_bytes -= strlen(*text) + 1;
    free(*text);
    *text = said[0] ? strndup(said, OBJECT_TEXT_BYTES - 1) : NULL;
    if (*text) table->words_bytes += strlen(*text) + 1;
}

void object_words_drop(struct object_table *table, uint32_t number) {
    struct object *const object = object_at(table, number);
    if (!object->words) return;
    object_say(table, &object->words->detail, "");
    object_say(table, &object->words->event, "");
    free(object->words);
    object->words = NULL;
    table->words_count--;
}

size_t object_table_bytes(const struct object_table *table) {
    const size_t blocks = (table->top + BLOCK_OBJECTS - 1) / BLOCK_OBJECTS;
    return sizeof *table + blocks * BLOCK_OBJECTS * sizeof(struct object) + table->heads_count * sizeof *table->heads +
           table->words_count * sizeof(struct object_words) + table->words_bytes + table->name_bytes;
}
