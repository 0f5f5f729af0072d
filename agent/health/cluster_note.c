/* SPDX-License-Identifier: Apache-2.0
 * What the centre was told, stored in the transaction that stores the telling: whoever finds a report in the queue finds
 * here that it was made. There is a ring of notes, each under a name of its own. A batch writes the next one: what it
 * changes, and anew all that is known of each CLUSTER_NOTES-th object, so that whatever the oldest note says, which is
 * written over next, a younger one says as well. Read in the order in which they were written they hold all, none of them
 * is large, and a batch costs the disk the same each time. Only the first note of a process is whole: numbers of
 * objects are its own.
 *
 * Text fields are written with their length; kinds and rules by name, because numbers change between versions. Before there
 * was a ring, note 0 was whole and those after it held one batch each, as far as they were of its generation; notes of
 * the first form had the time of one finding only. */
#include <stdio.h>

#include "agent/health/cluster_parts.h"
#include "common/base/checksum.h"

enum {
    MAGIC = 0x334e4350,
    MAGIC_2 = 0x324e4350,
    MAGIC_1 = 0x314e4350,
    HEADER_BYTES = 16,
    REMOVED = 0x80,
    TEXT_MAX = 400
};

struct writer {
    uint8_t *data;
    size_t size, capacity;
};

static void put(struct writer *writer, const void *bytes, size_t size) {
    if (writer->size + size <= writer->capacity && size) memcpy(writer->data + writer->size, bytes, size);
    writer->size += size;
}

static void put_u32(struct writer *writer, uint32_t value) {
    const uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
    put(writer, bytes, sizeof bytes);
}

static void put_text(struct writer *writer, const char *text) {
    const size_t size = strlen(text) < TEXT_MAX ? strlen(text) : TEXT_MAX;
    const uint8_t bytes[2] = {(uint8_t)size, (uint8_t)(size >> 8)};
    put(writer, bytes, sizeof bytes);
    put(writer, text, size);
}

static void put_object(struct writer *writer, const struct cluster_state *state, const struct object *object) {
    const uint8_t status = (uint8_t)(object->sent_status | (object->gone && object->taken ? REMOVED : 0));
    const uint8_t count = object->rules_count;
    put(writer, &status, 1);
    put_u32(writer, object->sent_s);
    put_u32(writer, object->status_s);
    put_u32(writer, object->progress);
    put(writer, &count, 1);
    for (size_t i = 0; i < count; i++) {
        put_text(writer, cluster_rule_row((enum cluster_rule)object->rules[i])->name);
        put_u32(writer, object->since_s[i]);
    }
    put_text(writer, cluster_kind_name((enum cluster_kind)object->kind));
    put_text(writer, cluster_rule_row((enum cluster_rule)object->own)->name);
    put_text(writer, object->namespace ? object_at(state->objects, object->namespace)->name : "");
    put_text(writer, object->name);
}

const char *cluster_state_note_name(struct cluster_state *state, unsigned number) {
    const uint64_t hash = hash_bytes(state->settings.cluster_id, 0x6b756265);
    snprintf(state->note_name, sizeof state->note_name, "kube.%016llx.%u", (unsigned long long)hash, number);
    return state->note_name;
}

static void write_note(const struct cluster_state *state, const struct cluster_batch *batch, struct writer *writer) {
    const uint32_t sequence = state->note_sequence + 1;
    uint32_t count = 0;
    put_u32(writer, MAGIC);
    put_u32(writer, sequence);
    put_u32(writer, 0);
    put_u32(writer, 0);
    for (uint32_t number = 0; (number = object_next(state->objects, number));) {
        const struct object *const object = object_at(state->objects, number);
        if (!object->kept || (state->noted && number % CLUSTER_NOTES != sequence % CLUSTER_NOTES)) continue;
        put_object(writer, state, object);
        count++;
    }
    for (size_t i = 0; i < batch->count; i++) {
        if (!batch->before[i].changed) continue;
        put_object(writer, state, object_at(state->objects, batch->numbers[i]));
        count++;
    }
    struct writer head = {writer->data, HEADER_BYTES - 4, writer->capacity};
    put_u32(&head, count);
}

fault_code cluster_state_note(struct cluster_state *state, const struct cluster_batch *batch, struct arena *arena,
                              const char **ret_name, slice *ret_note, struct fault *reterr) {
    struct writer writer = {0};
    write_note(state, batch, &writer); /* how much it is */
    writer = (struct writer){.data = arena_alloc(arena, writer.size), .capacity = writer.size};
    if (!writer.data) return fault_set(reterr, FAULT_LIMIT, "note of cluster '%s': out of memory", state->cluster_id);
    write_note(state, batch, &writer);
    *ret_name = cluster_state_note_name(state, (state->note_sequence + 1) % CLUSTER_NOTES);
    *ret_note = slice_of(writer.data, writer.size);
    return FAULT_NONE;
}

struct reader {
    const uint8_t *at, *end;
    bool broken;
};

static const uint8_t *get(struct reader *reader, size_t size) {
    if (reader->broken || (size_t)(reader->end - reader->at) < size) {
        reader->broken = true;
        return NULL;
    }
    reader->at += size;
    return reader->at - size;
}

static uint32_t get_u32(struct reader *reader) {
    const uint8_t *const b = get(reader, 4);
    return b ? (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24 : 0;
}

static slice get_text(struct reader *reader) {
    const uint8_t *const b = get(reader, 2);
    const size_t size = b ? (size_t)(b[0] | b[1] << 8) : 0;
    const uint8_t *const text = size <= TEXT_MAX ? get(reader, size) : NULL;
    reader->broken |= size > TEXT_MAX;
    return text ? slice_of(text, size) : (slice){0};
}

struct entry {
    uint8_t status;
    uint32_t sent_s, status_s, progress, since_s[JUDGEMENT_FINDINGS_MAX];
    slice kind, rule, namespace, name, rules[JUDGEMENT_FINDINGS_MAX];
    size_t rules_count;
};

static struct entry get_entry(struct reader *reader, bool first_form) {
    struct entry entry = {0};
    const uint8_t *const status = get(reader, 1);
    entry.status = status ? *status : 0;
    entry.sent_s = get_u32(reader);
    entry.status_s = get_u32(reader);
    if (first_form) {
        entry.since_s[0] = get_u32(reader);
        entry.rules_count = entry.since_s[0] > 0;
    } else {
        entry.progress = get_u32(reader);
        const uint8_t *const count = get(reader, 1);
        reader->broken |= count && *count > JUDGEMENT_FINDINGS_MAX;
        entry.rules_count = count && !reader->broken ? *count : 0;
        for (size_t i = 0; i < entry.rules_count; i++) {
            entry.rules[i] = get_text(reader);
            entry.since_s[i] = get_u32(reader);
        }
    }
    entry.kind = get_text(reader);
    entry.rule = get_text(reader);
    entry.namespace = get_text(reader);
    entry.name = get_text(reader);
    if (first_form) entry.rules[0] = entry.rule;
    return entry;
}

static enum cluster_kind kind_of(slice name) {
    for (int i = 0; i < CLUSTER_KINDS_; i++)
        if (slice_equal_text(name, cluster_kind_name((enum cluster_kind)i))) return (enum cluster_kind)i;
    return CLUSTER_KINDS_;
}

/* Nothing refers to it and the centre need not hear of it: as if it had never been in the note. */
static void forget(struct cluster_state *state, uint32_t number, int64_t now_ms) {
    struct object *const object = object_at(state->objects, number);
    object->sent_s = 0;
    object->sent_status = object->sent_own = 0;
    object->restored = object->judged = object->kept = false;
    cluster_release(state, number, now_ms);
}

static void restore(struct cluster_state *state, const struct entry *entry, int64_t now_ms) {
    const enum cluster_kind kind = kind_of(entry->kind);
    const enum cluster_rule rule = cluster_rule_find(entry->rule);
    if (kind == CLUSTER_KINDS_ || kind == CLUSTER_OWNER) return;
    uint32_t namespace = 0, number = state->root;
    if (kind == CLUSTER_NAMESPACE || kind == CLUSTER_NODE) {
        number = cluster_reach(state, kind, state->root, entry->name);
    } else if (kind != CLUSTER_CLUSTER) {
        namespace = cluster_reach(state, CLUSTER_NAMESPACE, state->root, entry->namespace);
        number = namespace ? cluster_reach(state, kind, namespace, entry->name) : 0;
    }
    if (!number) return;
    struct object *const object = object_at(state->objects, number);
    const bool plain =
        kind == CLUSTER_CLUSTER || (kind == CLUSTER_NAMESPACE && !cluster_watched(state, KUBE_NAMESPACES));
    if (!plain) object->watch = cluster_watch_find(state, cluster_resource_of(kind), entry->namespace);
    if (entry->status & REMOVED || cluster_habit(state, object) == CLUSTER_NEVER) {
        forget(state, number, now_ms);
        return;
    }
    object->gone = object->left_out = !plain && object->watch == NO_WATCH;
    object->sent_s = entry->sent_s ? entry->sent_s : 1;
    object->sent_status = object->status = (uint8_t)(entry->status & ~REMOVED);
    object->status_s = entry->status_s;
    object->kept = true;
    object->restored = !plain && !object->left_out;
    object->judged = rule != CLUSTER_RULES_ && !cluster_blind_rule(rule) && rule != RULE_SEEN_NOTHING;
    object->own = object->sent_own = (uint8_t)(rule == CLUSTER_RULES_ ? RULE_SEEN_NOTHING : rule);
    /* That it was well is hearsay to this process, and no reason to be patient with it. */
    const bool well = cluster_rule_row((enum cluster_rule)object->own)->status == HEALTH_HEALTHY;
    object->looked = (uint8_t)(well ? RULE_SEEN_NOTHING : object->own);
    object->progress = entry->progress;
    object->rules_count = object->theirs = 0;
    for (size_t i = 0; i < entry->rules_count; i++) {
        const enum cluster_rule held = cluster_rule_find(entry->rules[i]);
        if (held == CLUSTER_RULES_) continue;
        object->rules[object->rules_count] = (uint8_t)held;
        object->since_s[object->rules_count++] = entry->since_s[i];
    }
    if (object->left_out) cluster_settle(state, number, now_ms);
}

struct header {
    uint32_t magic, sequence, number, count; /* sequence, number: before the ring generation, number of the note */
};

static struct header get_header(struct reader *reader) {
    struct header header;
    header.magic = get_u32(reader);
    header.sequence = get_u32(reader);
    header.number = get_u32(reader);
    header.count = get_u32(reader);
    return header;
}

/* No magic: there is no such note. */
static struct header header_of(slice note) {
    if (note.size == 0) return (struct header){0};
    struct reader reader = {note.data, note.data + note.size, false};
    const struct header header = get_header(&reader);
    return reader.broken ? (struct header){0} : header;
}

static fault_code load_one(struct cluster_state *state, size_t place, slice note, int64_t now_ms,
                           struct fault *reterr) {
    struct reader reader = {note.data, note.data + note.size, false};
    const struct header header = get_header(&reader);
    for (uint32_t i = 0; i < header.count; i++) {
        const struct entry entry = get_entry(&reader, header.magic == MAGIC_1);
        const unsigned value = entry.status & ~(unsigned)REMOVED;
        if (reader.broken || value < HEALTH_HEALTHY || value > HEALTH_UNKNOWN)
            return fault_set(reterr, FAULT_CORRUPT, "note %zu of cluster '%s' ends too early", place,
                             state->cluster_id);
        restore(state, &entry, now_ms);
    }
    return FAULT_NONE;
}

/* As it was before there was a ring. */
static fault_code load_generation(struct cluster_state *state, const slice *notes, int64_t now_ms,
                                  struct fault *reterr) {
    const uint32_t generation = header_of(notes[0]).sequence;
    for (size_t i = 0; i < CLUSTER_NOTES && notes[i].size; i++) {
        const struct header header = header_of(notes[i]);
        if (i && header.sequence != generation) break;
        if ((header.magic != MAGIC_2 && header.magic != MAGIC_1) || header.number != i)
            return fault_set(reterr, FAULT_CORRUPT, "note %zu of cluster '%s' is none", i, state->cluster_id);
        const fault_code code = load_one(state, i, notes[i], now_ms, reterr);
        if (code) return code;
    }
    return FAULT_NONE;
}

fault_code cluster_state_load(struct cluster_state *state, const slice notes[CLUSTER_NOTES], int64_t now_ms,
                              struct fault *reterr) {
    bool ring = false;
    for (size_t i = 0; i < CLUSTER_NOTES; i++) {
        const struct header header = header_of(notes[i]);
        if (header.magic != MAGIC || header.sequence % CLUSTER_NOTES != i) continue;
        if (!ring || header.sequence > state->note_sequence) state->note_sequence = header.sequence;
        ring = true;
    }
    if (!ring) return load_generation(state, notes, now_ms, reterr);
    fault_code told = FAULT_NONE;
    for (uint32_t back = CLUSTER_NOTES; back-- > 0;) { /* the oldest first */
        const uint32_t sequence = state->note_sequence - back;
        const slice note = notes[sequence % CLUSTER_NOTES];
        const struct header header = header_of(note);
        if (header.magic != MAGIC || header.sequence != sequence) continue;
        const fault_code code = load_one(state, sequence % CLUSTER_NOTES, note, now_ms, reterr);
        if (code) told = code;
    }
    return told;
}
