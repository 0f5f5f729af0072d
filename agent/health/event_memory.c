/* SPDX-License-Identifier: Apache-2.0
 * An open table of hashes of uids. What is removed leaves a mark, so that what was put behind it is still found; when
 * there are many marks, the table is put anew. */
#include "agent/health/event_memory.h"

#include <stdlib.h>

#include "common/base/checksum.h"

enum { SLOTS = 2 * EVENT_MEMORY_MAX, HEADER_BYTES = 12, ENTRY_BYTES = 12, MAGIC = 0x31564550 };
#define EMPTY ((uint64_t)0)
#define REMOVED ((uint64_t)1)

static const slice reasons[] = {
#define EVENT(reason) SLICE_LIT(reason),
#include "agent/health/cluster_events.def"
#undef EVENT
    {(const uint8_t *)"other", 5},
};
enum { REASONS = sizeof reasons / sizeof *reasons };

struct slot {
    uint64_t uid; /* a hash; EMPTY, REMOVED */
    uint32_t count, order;
    uint16_t scope;
    uint8_t round;
};

struct event_memory {
    struct slot *slots;
    uint8_t *bytes;
    size_t count, marks;
    uint32_t order;
    uint64_t totals[REASONS], lost;
    bool changed;
};

size_t event_reasons_count(void) {
    return REASONS;
}

const char *event_reason(size_t index) {
    return (const char *)reasons[index].data;
}

struct event_memory *event_memory_new(void) {
    struct event_memory *const memory = calloc(1, sizeof *memory);
    if (!memory) return NULL;
    memory->slots = calloc(SLOTS, sizeof *memory->slots);
    return memory->slots ? memory : event_memory_free(memory);
}

struct event_memory *event_memory_free(struct event_memory *memory) {
    if (!memory) return NULL;
    free(memory->slots);
    free(memory->bytes);
    free(memory);
    return NULL;
}

static uint64_t hash_of(slice uid) {
    const uint64_t hash = hash_bytes(uid, 0x5eed);
    return hash > REMOVED ? hash : hash + 2;
}

/* Its slot, or the empty one that ends the search. */
static struct slot *find(const struct event_memory *memory, uint64_t uid) {
    size_t at = (size_t)uid % SLOTS;
    while (memory->slots[at].uid != EMPTY && memory->slots[at].uid != uid) at = (at + 1) % SLOTS;
    return &memory->slots[at];
}

static void put_anew(struct event_memory *memory) {
    struct slot *const old = memory->slots;
    struct slot *const slots = calloc(SLOTS, sizeof *slots);
    if (!slots) return; /* longer searches; there is always an empty slot, see make_room */
    memory->slots = slots;
    memory->marks = 0;
    for (size_t i = 0; i < SLOTS; i++)
        if (old[i].uid > REMOVED) *find(memory, old[i].uid) = old[i];
    free(old);
}

static void remove_slot(struct event_memory *memory, struct slot *slot) {
    *slot = (struct slot){.uid = REMOVED};
    memory->count--;
    memory->marks++;
    memory->changed = true;
}

static bool make_room(struct event_memory *memory) {
    if (memory->count >= EVENT_MEMORY_MAX) {
        struct slot *oldest = NULL;
        for (size_t i = 0; i < SLOTS; i++)
            if (memory->slots[i].uid > REMOVED && (!oldest || (int32_t)(memory->slots[i].order - oldest->order) < 0))
                oldest = &memory->slots[i];
        remove_slot(memory, oldest);
        memory->lost++;
    }
    if (memory->count + memory->marks >= SLOTS - SLOTS / 4) put_anew(memory);
    return memory->count + memory->marks < SLOTS - 1;
}

uint32_t event_memory_see(struct event_memory *memory, slice uid, slice reason, uint32_t count, uint16_t scope,
                          uint8_t round) {
    const uint64_t hash = hash_of(uid);
    struct slot *slot = find(memory, hash);
    uint32_t before = 0;
    if (slot->uid == EMPTY) {
        if (!make_room(memory)) return 0;
        slot = find(memory, hash);
        memory->count++;
    } else {
        before = slot->count;
    }
    slot->round = round;
    slot->scope = scope;
    slot->uid = hash;
    if (count <= before) return 0;
    slot->count = count;
    slot->order = ++memory->order;
    memory->changed = true;
    size_t index = 0;
    while (index < REASONS - 1 && !slice_equal(reason, reasons[index])) index++;
    memory->totals[index] += count - before;
    return count - before;
}

void event_memory_forget(struct event_memory *memory, slice uid) {
    struct slot *const slot = find(memory, hash_of(uid));
    if (slot->uid != EMPTY) remove_slot(memory, slot);
}

void event_memory_sweep(struct event_memory *memory, uint16_t scope, uint8_t round) {
    for (size_t i = 0; i < SLOTS; i++)
        if (memory->slots[i].uid > REMOVED && memory->slots[i].scope == scope && memory->slots[i].round != round)
            remove_slot(memory, &memory->slots[i]);
}

uint64_t event_memory_total(const struct event_memory *memory, size_t reason) {
    return memory->totals[reason];
}

size_t event_memory_count(const struct event_memory *memory) {
    return memory->count;
}

uint64_t event_memory_lost(const struct event_memory *memory) {
    return memory->lost;
}

static void write_number(uint8_t **at, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) *(*at)++ = (uint8_t)(value >> 8 * i);
}

static uint64_t read_number(const uint8_t **at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) value |= (uint64_t)(*at)[i] << 8 * i;
    *at += bytes;
    return value;
}

slice event_memory_bytes(struct event_memory *memory, bool *ret_changed) {
    *ret_changed = memory->changed;
    memory->changed = false;
    const size_t size = HEADER_BYTES + REASONS * 8 + memory->count * ENTRY_BYTES;
    uint8_t *at = realloc(memory->bytes, size);
    if (!at) {
        *ret_changed = false;
        memory->changed = true;
        return (slice){0};
    }
    memory->bytes = at;
    write_number(&at, MAGIC, 4);
    write_number(&at, REASONS, 4);
    write_number(&at, memory->count, 4);
    for (size_t i = 0; i < REASONS; i++) write_number(&at, memory->totals[i], 8);
    for (size_t i = 0; i < SLOTS; i++) {
        if (memory->slots[i].uid <= REMOVED) continue;
        write_number(&at, memory->slots[i].uid, 8);
        write_number(&at, memory->slots[i].count, 4);
    }
    return slice_of(memory->bytes, size);
}

/* Reasons are only ever added before "other": of an older file with fewer, the last one is "other" too. */
fault_code event_memory_load(struct event_memory *memory, slice bytes, struct fault *reterr) {
    const uint8_t *at = bytes.data;
    if (bytes.size < HEADER_BYTES || read_number(&at, 4) != MAGIC)
        return fault_set(reterr, FAULT_CORRUPT, "the memory of events is none");
    const size_t totals = (size_t)read_number(&at, 4), count = (size_t)read_number(&at, 4);
    if (totals < 1 || totals > REASONS || count > EVENT_MEMORY_MAX ||
        bytes.size != HEADER_BYTES + totals * 8 + count * ENTRY_BYTES)
        return fault_set(reterr, FAULT_CORRUPT, "the memory of events has the wrong size");
    for (size_t i = 0; i < totals; i++) memory->totals[i + 1 < totals ? i : REASONS - 1] += read_number(&at, 8);
    for (size_t i = 0; i < count; i++) {
        const uint64_t uid = read_number(&at, 8);
        const uint32_t seen = (uint32_t)read_number(&at, 4);
        struct slot *const slot = find(memory, uid);
        if (uid <= REMOVED || memory->count >= EVENT_MEMORY_MAX || slot->uid != EMPTY) continue;
        *slot = (struct slot){.uid = uid, .count = seen, .order = ++memory->order};
        memory->count++;
    }
    return FAULT_NONE;
}
