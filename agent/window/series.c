/* SPDX-License-Identifier: Apache-2.0
 * Numbers instead of pointers: an entry is 72 bytes, and the table can be sized once from series_max. The free list
 * runs through the same links as the buckets. */
#include "agent/window/series.h"

#include <stdlib.h>

static uint32_t buckets_for(uint32_t series_max) {
    uint32_t count = 16;
    while (count < series_max) count *= 2;
    return count;
}

size_t series_table_bytes(uint32_t series_max) {
    return series_max * sizeof(struct series) + buckets_for(series_max) * sizeof(uint32_t);
}

bool series_table_init(struct series_table *table, uint32_t series_max) {
    *table = (struct series_table){.max = series_max, .buckets_mask = buckets_for(series_max) - 1};
    table->all = calloc(series_max ? series_max : 1, sizeof *table->all);
    table->buckets = calloc((size_t)table->buckets_mask + 1, sizeof *table->buckets);
    return table->all && table->buckets;
}

void series_table_done(struct series_table *table) {
    free(table->all);
    free(table->buckets);
    *table = (struct series_table){0};
}

static uint32_t *bucket_of(struct series_table *table, uint32_t binding, uint8_t part, struct series_id id) {
    const uint64_t mixed = (id.a ^ (2ull * binding + part)) * 0x9e3779b97f4a7c15u;
    return &table->buckets[(mixed >> 32) & table->buckets_mask];
}

/* Entries that were never used come after those that were given back. Untouched memory stays untouched. */
static uint32_t series_take_free(struct series_table *table) {
    if (table->count == table->max) return 0;
    const uint32_t number = table->free_first ? table->free_first : table->count + 1;
    if (table->free_first) table->free_first = table->all[number - 1].next_in_bucket;
    table->count++;
    return number;
}

struct series *series_find_or_add(struct series_table *table, uint32_t *binding_first, uint32_t binding, uint8_t part,
                                  struct series_id id) {
    uint32_t *const bucket = bucket_of(table, binding, part, id);
    for (uint32_t at = *bucket; at; at = table->all[at - 1].next_in_bucket) {
        struct series *const series = &table->all[at - 1];
        if (series->id.a == id.a && series->id.b == id.b && series->binding == binding && series->part == part)
            return series;
    }
    const uint32_t number = series_take_free(table);
    if (number == 0) return NULL;
    struct series *const series = &table->all[number - 1];
    *series = (struct series){
        .id = id, .binding = binding, .part = part, .next_in_bucket = *bucket, .next_in_binding = *binding_first};
    *bucket = number;
    *binding_first = number;
    return series;
}

static void series_give_back(struct series_table *table, uint32_t number) {
    struct series *const series = &table->all[number - 1];
    uint32_t *link = bucket_of(table, series->binding, series->part, series->id);
    while (*link != number) link = &table->all[*link - 1].next_in_bucket;
    *link = series->next_in_bucket;
    series->next_in_bucket = table->free_first;
    table->free_first = number;
    table->count--;
}

void series_drop_first(struct series_table *table, uint32_t *binding_first) {
    const uint32_t number = *binding_first;
    *binding_first = table->all[number - 1].next_in_binding;
    series_give_back(table, number);
}

uint32_t series_drop(struct series_table *table, uint32_t *binding_first, series_filter *drop, uint32_t before_s) {
    uint32_t dropped = 0;
    for (uint32_t *link = binding_first; *link;) {
        const uint32_t number = *link;
        struct series *const series = &table->all[number - 1];
        if (!drop(series, before_s)) {
            link = &series->next_in_binding;
            continue;
        }
        *link = series->next_in_binding;
        series_give_back(table, number);
        dropped++;
    }
    return dropped;
}
