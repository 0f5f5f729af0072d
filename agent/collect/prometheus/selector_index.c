/* SPDX-License-Identifier: Apache-2.0
 * From a sample to the selectors that select it, in two steps that do not depend on how many selectors there are: the
 * metric's name leads to a family, and in the family one label's value leads to the selectors that demand it. That
 * label is the one for which the family's selectors demand the most different values. Selectors that demand none of it
 * are tried on each sample of the family. All tables are built once, by selector_index_ready, as sorted or hashed
 * runs of one array of entries. */
#include "agent/collect/prometheus/selector.h"
#include "common/base/checksum.h"

#include <stdlib.h>

struct entry {
    const struct selector *selector;
    selector_sample_fn *call;
    void *context;
    uint32_t tag;
    uint32_t next; /* 1 + the next entry in the same bucket; 0: none */
};

struct family {
    slice name;
    slice label;           /* whose values lead on; empty: none */
    uint32_t always;       /* 1 + first entry that demands no value of it */
    uint32_t *buckets;     /* by hash of the value: 1 + first entry */
    uint32_t buckets_mask; /* 0 and buckets NULL: none */
    uint32_t first, count; /* its run in entries */
};

struct selector_index {
    struct entry *entries;
    size_t entries_count, entries_room;
    struct family *families;
    size_t families_count;
    uint32_t *names; /* by hash of the name, open addressing: 1 + family */
    uint32_t names_mask;
    uint32_t tag_base;
    bool ready;
};

struct selector_index *selector_index_new(void) {
    return calloc(1, sizeof(struct selector_index));
}

struct selector_index *selector_index_free(struct selector_index *index) {
    if (index) {
        for (size_t i = 0; i < index->families_count; i++) free(index->families[i].buckets);
        free(index->families);
        free(index->names);
        free(index->entries);
        free(index);
    }
    return NULL;
}

void selector_index_aim(struct selector_index *index, uint32_t tag_base) {
    index->tag_base = tag_base;
}

struct selector_taker selector_index_at(const struct selector_index *index, size_t number) {
    const struct entry *const entry = &index->entries[number];
    return (struct selector_taker){entry->selector, entry->call, entry->context, entry->tag};
}

size_t selector_index_count(const struct selector_index *index) {
    return index->entries_count;
}

fault_code selector_index_add(struct selector_index *index, const struct selector *selector, selector_sample_fn *call,
                              void *context, uint32_t tag, struct fault *reterr) {
    if (index->entries_count == index->entries_room) {
        const size_t room = index->entries_room ? 2 * index->entries_room : 16;
        struct entry *const larger = realloc(index->entries, room * sizeof *larger);
        if (larger == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory for %zu selectors", room);
        index->entries = larger;
        index->entries_room = room;
    }
    index->entries[index->entries_count++] =
        (struct entry){.selector = selector, .call = call, .context = context, .tag = tag};
    return FAULT_NONE;
}

static int entry_compare(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return slice_compare(selector_name(x->selector), selector_name(y->selector));
}

/* The value that the selector demands of the label: not empty, for an empty one is held by series without it too. */
static const struct matcher *demanded(const struct selector *selector, slice label) {
    for (size_t i = 0; i < selector->matchers_count; i++) {
        const struct matcher *const matcher = &selector->matchers[i];
        if (matcher->kind == MATCH_EQUAL && matcher->value.size && slice_equal(matcher->label, label)) return matcher;
    }
    return NULL;
}

static uint32_t bucket_of(const struct family *family, slice value) {
    return (uint32_t)hash_bytes(value, 1) & family->buckets_mask;
}

/* How many buckets the family's selectors would be spread over by this label: the measure of a good label. */
static size_t family_spread(const struct selector_index *index, struct family *family, slice label, uint8_t *marks) {
    size_t spread = 0;
    memset(marks, 0, (size_t)family->buckets_mask + 1);
    for (uint32_t i = 0; i < family->count; i++) {
        const struct matcher *const matcher = demanded(index->entries[family->first + i].selector, label);
        if (matcher == NULL) continue;
        uint8_t *const mark = &marks[bucket_of(family, matcher->value)];
        spread += !*mark;
        *mark = 1;
    }
    return spread;
}

/* Which labels are tried: those of the first selectors. One that only a later selector demands would spread few. */
enum { FAMILY_SELECTORS_TRIED = 16 };

static fault_code family_ready(struct selector_index *index, struct family *family, struct fault *reterr) {
    family->buckets_mask = 1;
    while (family->buckets_mask < 2 * family->count) family->buckets_mask = 2 * family->buckets_mask + 1;
    family->buckets = calloc((size_t)family->buckets_mask + 1, sizeof *family->buckets);
    uint8_t *const marks = malloc((size_t)family->buckets_mask + 1);
    if (family->buckets == NULL || marks == NULL) {
        free(marks);
        return fault_set(reterr, FAULT_SYSTEM, "out of memory for %u selectors", family->count);
    }
    size_t best = 0;
    for (uint32_t i = 0; i < family->count && i < FAMILY_SELECTORS_TRIED; i++) {
        const struct selector *const selector = index->entries[family->first + i].selector;
        for (size_t j = 0; j < selector->matchers_count; j++) {
            if (selector->matchers[j].kind != MATCH_EQUAL || slice_equal(selector->matchers[j].label, family->label))
                continue;
            const size_t spread = family_spread(index, family, selector->matchers[j].label, marks);
            if (spread <= best) continue;
            best = spread;
            family->label = selector->matchers[j].label;
        }
    }
    free(marks);
    for (uint32_t i = family->count; i-- > 0;) {
        struct entry *const entry = &index->entries[family->first + i];
        const struct matcher *const matcher = family->label.size ? demanded(entry->selector, family->label) : NULL;
        uint32_t *const head = matcher ? &family->buckets[bucket_of(family, matcher->value)] : &family->always;
        entry->next = *head;
        *head = family->first + i + 1;
    }
    return FAULT_NONE;
}

fault_code selector_index_ready(struct selector_index *index, struct fault *reterr) {
    if (index->entries_count) qsort(index->entries, index->entries_count, sizeof *index->entries, entry_compare);
    index->families = calloc(index->entries_count + 1, sizeof *index->families);
    index->names_mask = 1;
    while (index->names_mask < 2 * index->entries_count) index->names_mask = 2 * index->names_mask + 1;
    index->names = calloc((size_t)index->names_mask + 1, sizeof *index->names);
    if (index->families == NULL || index->names == NULL)
        return fault_set(reterr, FAULT_SYSTEM, "out of memory for %zu selectors", index->entries_count);
    for (size_t i = 0; i < index->entries_count; i++) {
        const slice name = selector_name(index->entries[i].selector);
        struct family *family = index->families_count ? &index->families[index->families_count - 1] : NULL;
        if (family == NULL || !slice_equal(family->name, name)) {
            family = &index->families[index->families_count++];
            *family = (struct family){.name = name, .first = (uint32_t)i};
            uint32_t at = (uint32_t)hash_bytes(name, 0) & index->names_mask;
            while (index->names[at]) at = (at + 1) & index->names_mask;
            index->names[at] = (uint32_t)index->families_count;
        }
        family->count++;
    }
    for (size_t i = 0; i < index->families_count; i++) {
        const fault_code code = family_ready(index, &index->families[i], reterr);
        if (code) return code;
    }
    index->ready = true;
    return FAULT_NONE;
}

const void *selector_index_find_name(void *context, slice name) {
    const struct selector_index *const index = context;
    if (!index->ready) return NULL;
    for (uint32_t at = (uint32_t)hash_bytes(name, 0) & index->names_mask; index->names[at];
         at = (at + 1) & index->names_mask) {
        const struct family *const family = &index->families[index->names[at] - 1];
        if (slice_equal(family->name, name)) return family;
    }
    return NULL;
}

static void offer(const struct selector_index *index, uint32_t number, const struct exposition_sample *sample) {
    while (number) {
        const struct entry *const entry = &index->entries[number - 1];
        if (selector_match(entry->selector, sample)) entry->call(entry->context, index->tag_base + entry->tag, sample);
        number = entry->next;
    }
}

void selector_index_on_sample(void *context, const void *selected, const struct exposition_sample *sample) {
    const struct selector_index *const index = context;
    const struct family *const family = selected;
    offer(index, family->always, sample);
    if (family->label.size == 0) return;
    for (size_t i = 0; i < sample->labels_count; i++)
        if (slice_equal(sample->labels[i].name, family->label)) {
            offer(index, family->buckets[bucket_of(family, sample->labels[i].value)], sample);
            return;
        }
}
