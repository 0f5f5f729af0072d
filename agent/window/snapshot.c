/* SPDX-License-Identifier: Apache-2.0
 * The fold's state as bytes. Little-endian, LEB128 varints where a number is mostly small:
 *
 *   whole   "PKF3" generation:u64  slis:varint {key:16 slo:u64 window_s:varint next_ms:i64 carry:varint}  targets:varint {size:varint target} crc:u32
 *   target  "PKT1" generation:u64 commits:u64 last_slot_ms:i64  probe:u8 name_size:varint name
 *           bindings:varint {key:16 good_part:f64 total_part:f64
 *                            windows:varint {start_ms:i64 good:varint total:varint seen:varint}
 *                            series:varint  {id:16 part:u8 seen_s:u32 last:f64 [last_total:f64 for part & 0x80]}}  crc:u32
 *   member  "PKT2", as a target, with these behind its name: group_size:varint group incarnation:u64 from_ms:i64 until_ms:i64 left:u8
 *
 * Keys tie state to definitions: what has no taker is passed over. Of two records of one target that with the higher
 * (generation, commits) wins; one of an older generation than the whole is not taken at all, because the windows that
 * it counts in have been sealed since. Counts in a window that is no longer open go to the oldest open one.
 *
 * "PKF2" is the same without `slo`, a hash of the SLO's id: a definition that changed keeps its windows' places by it.
 * Another layout or another series_identity() is another magic; the old one is then refused, which costs one baseline
 * per series, or given a reader of its own. */
#include "agent/window/fold_parts.h"
#include "agent/window/slot.h"
#include "common/base/checksum.h"

#include <stdlib.h>

enum { CLOCK_AHEAD_MS_MAX = 24 * 3600 * 1000, PART_HAS_TOTAL = 0x80 };
static const char whole_magic[4] = {'P', 'K', 'F', '3'}, older_magic[4] = {'P', 'K', 'F', '2'},
                  target_magic[4] = {'P', 'K', 'T', '1'}, member_magic[4] = {'P', 'K', 'T', '2'};

/* Writing: the buffer was sized by fold_snapshot_bound. */
struct put {
    uint8_t *at;
};

static void put_bytes(struct put *p, const void *bytes, size_t size) {
    if (size) memcpy(p->at, bytes, size);
    p->at += size;
}

static void put_u32(struct put *p, uint32_t value) {
    for (int i = 0; i < 4; i++) *p->at++ = (uint8_t)(value >> 8 * i);
}

static void put_u64(struct put *p, uint64_t value) {
    for (int i = 0; i < 8; i++) *p->at++ = (uint8_t)(value >> 8 * i);
}

static void put_double(struct put *p, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u64(p, bits);
}

static void put_varint(struct put *p, uint64_t value) {
    for (; value >= 0x80; value >>= 7) *p->at++ = (uint8_t)(value | 0x80);
    *p->at++ = (uint8_t)value;
}

static void put_id(struct put *p, struct series_id id) {
    put_u64(p, id.a);
    put_u64(p, id.b);
}

/* Reading: after a read past the end everything is zero and `bad` is set. */
struct get {
    const uint8_t *at, *end;
    bool bad;
};

static slice get_bytes(struct get *g, size_t size) {
    if (g->bad || (size_t)(g->end - g->at) < size) {
        g->bad = true;
        g->at = g->end;
        return (slice){0};
    }
    const slice bytes = slice_of(g->at, size);
    g->at += size;
    return bytes;
}

static uint64_t get_fixed(struct get *g, size_t size) {
    const slice bytes = get_bytes(g, size);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size; i++) value |= (uint64_t)bytes.data[i] << 8 * i;
    return value;
}

static uint64_t get_u64(struct get *g) {
    return get_fixed(g, 8);
}

static double get_double(struct get *g) {
    const uint64_t bits = get_u64(g);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t get_varint(struct get *g) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (g->at == g->end) break;
        const uint8_t byte = *g->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return value;
    }
    g->bad = true;
    return 0;
}

static struct series_id get_id(struct get *g) {
    struct series_id id;
    id.a = get_u64(g);
    id.b = get_u64(g);
    return id;
}

size_t fold_snapshot_bound(const struct fold *fold) {
    enum {
        WHOLE_BYTES = 64,
        SLI_BYTES = 56,
        TARGET_BYTES = 72,
        MEMBER_BYTES = 32,
        BINDING_BYTES = 64,
        COUNT_BYTES = 40,
        SERIES_BYTES = 40
    };
    size_t bytes = WHOLE_BYTES + fold->slis_count * SLI_BYTES + fold->bindings_count * BINDING_BYTES +
                   fold->settings.series_max * SERIES_BYTES;
    for (uint32_t t = 0; t < fold->steady_count; t++) bytes += TARGET_BYTES + fold->targets[t].name.size;
    for (uint32_t s = 0; s < fold->slis_count; s++)
        bytes += (size_t)fold->slis[s].ring_count * fold->slis[s].bindings_count * COUNT_BYTES;
    for (uint32_t c = 0; c < fold->crowds_count; c++)
        bytes += (size_t)fold->crowds[c].places_count *
                 (TARGET_BYTES + MEMBER_BYTES + FOLD_NAME_BYTES + fold->crowds[c].name.size +
                  (size_t)fold->crowds[c].ring_stride * COUNT_BYTES);
    return bytes;
}

size_t fold_snapshot_bytes_max(const struct fold *fold) {
    return fold->snapshot_max;
}

static uint64_t generation_after(const struct fold *fold) {
    return fold->generation + fold->sealing;
}

static int64_t next_after(const struct fold *fold, const struct fold_sli *sli) {
    return fold->sealing ? sli->seal_next_ms : sli->next_ms;
}

static void put_windows(struct put *p, const struct fold *fold, const struct fold_binding *binding) {
    const struct fold_sli *const sli = &fold->slis[binding->sli];
    const int64_t end_ms = sli->next_ms + sli->ring_count * sli->window_ms;
    uint64_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass) put_varint(p, count);
        for (int64_t start_ms = next_after(fold, sli); start_ms < end_ms; start_ms += sli->window_ms) {
            const struct fold_count *const one = fold_count_at(fold, binding, start_ms);
            if (one->good == 0 && one->total == 0 && one->seen == 0) continue;
            count += !pass;
            if (!pass) continue;
            put_u64(p, (uint64_t)start_ms);
            put_varint(p, (uint64_t)one->good);
            put_varint(p, (uint64_t)one->total);
            put_varint(p, one->seen);
        }
    }
}

static void put_series(struct put *p, const struct fold *fold, const struct fold_binding *binding) {
    const bool histogram = fold->slis[binding->sli].definition->kind == SLI_HISTOGRAM;
    uint64_t count = 0;
    for (const struct series *s = series_at(&fold->series, binding->series_first); s;
         s = series_at(&fold->series, s->next_in_binding))
        count += s->flags & SERIES_KNOWN;
    put_varint(p, count);
    for (const struct series *s = series_at(&fold->series, binding->series_first); s;
         s = series_at(&fold->series, s->next_in_binding)) {
        if (!(s->flags & SERIES_KNOWN)) continue;
        put_id(p, s->id);
        *p->at++ = (uint8_t)(s->part | (histogram ? PART_HAS_TOTAL : 0));
        put_u32(p, s->seen_s);
        put_double(p, s->last[0]);
        if (histogram) put_double(p, s->last[1]);
    }
}

static void put_target(struct put *p, const struct fold *fold, const struct fold_slot *target) {
    const uint8_t *const start = p->at;
    put_bytes(p, target->group ? member_magic : target_magic, sizeof target_magic);
    put_u64(p, generation_after(fold));
    put_u64(p, target->commits);
    put_u64(p, (uint64_t)target->last_slot_ms);
    *p->at++ = target->probe;
    put_varint(p, target->name.size);
    put_bytes(p, target->name.data, target->name.size);
    if (target->group) {
        const slice group = fold->crowds[target->group - 1].name;
        put_varint(p, group.size);
        put_bytes(p, group.data, group.size);
        put_u64(p, target->incarnation);
        put_u64(p, (uint64_t)target->from_ms);
        put_u64(p, (uint64_t)target->until_ms);
        *p->at++ = target->left;
    }
    put_varint(p, target->bindings_count);
    for (uint32_t b = target->bindings_first; b < target->bindings_first + target->bindings_count; b++) {
        const struct fold_binding *const binding = &fold->bindings[b];
        put_id(p, sli_key(fold->slis[binding->sli].sli));
        put_double(p, binding->good_part);
        put_double(p, binding->total_part);
        put_windows(p, fold, binding);
        put_series(p, fold, binding);
    }
    put_u32(p, checksum_crc32c(0, slice_of(start, (size_t)(p->at - start))));
}

slice fold_snapshot_target(struct fold *fold, size_t target) {
    struct put p = {fold->snapshot};
    put_target(&p, fold, &fold->targets[target]);
    return slice_of(fold->snapshot, (size_t)(p.at - fold->snapshot));
}

static uint64_t slo_hash(const struct fold_sli *sli) {
    return hash_bytes(sli->definition->slo_id, 2);
}

slice fold_snapshot(struct fold *fold) {
    struct put p = {fold->snapshot};
    put_bytes(&p, whole_magic, sizeof whole_magic);
    put_u64(&p, generation_after(fold));
    put_varint(&p, fold->slis_count);
    for (uint32_t s = 0; s < fold->slis_count; s++) {
        const struct fold_sli *const sli = &fold->slis[s];
        put_id(&p, sli_key(sli->sli));
        put_u64(&p, slo_hash(sli));
        put_varint(&p, (uint64_t)sli->window_ms / 1000);
        put_u64(&p, (uint64_t)next_after(fold, sli));
        put_varint(&p, (uint64_t)(fold->sealing ? sli->seal_carry : sli->carry));
    }
    uint64_t targets = 0;
    struct fold_walk walk = {0};
    for (const struct fold_slot *target; (target = fold_walk_target(fold, &walk));)
        targets += !fold_is_settled(fold, target);
    put_varint(&p, targets);
    walk = (struct fold_walk){0};
    for (const struct fold_slot *target; (target = fold_walk_target(fold, &walk));) {
        if (fold_is_settled(fold, target)) continue; /* who comes next may need its place */
        /* The size stands before it, in five bytes of varint's form, so that it can be filled in afterwards. */
        uint8_t *const size_at = p.at;
        p.at += 5;
        put_target(&p, fold, target);
        uint64_t size = (uint64_t)(p.at - size_at) - 5;
        for (int i = 0; i < 5; i++, size >>= 7) size_at[i] = (uint8_t)((size & 0x7f) | (i < 4 ? 0x80 : 0));
    }
    put_u32(&p, checksum_crc32c(0, slice_of(fold->snapshot, (size_t)(p.at - fold->snapshot))));
    return slice_of(fold->snapshot, (size_t)(p.at - fold->snapshot));
}

/* The record without its checksum, behind its magic; bad when it is another record or does not check. */
static struct get get_checked(slice record, const char magic[4]) {
    if (record.size < 8 || memcmp(record.data, magic, 4) != 0) return (struct get){.bad = true};
    struct get g = {record.data, record.data + record.size, false};
    const slice body = slice_first(record, record.size - 4);
    struct get tail = {body.data + body.size, body.data + body.size + 4, false};
    g.bad = get_fixed(&tail, 4) != checksum_crc32c(0, body);
    g.at += 4;
    g.end = body.data + body.size;
    return g;
}

static struct get get_whole(slice whole, bool *ret_has_slos) {
    struct get g = get_checked(whole, whole_magic);
    *ret_has_slos = !g.bad;
    return g.bad ? get_checked(whole, older_magic) : g;
}

bool fold_snapshot_generation(slice whole, uint64_t *ret_generation) {
    bool has_slos;
    struct get g = get_whole(whole, &has_slos);
    const uint64_t generation = get_u64(&g);
    if (g.bad) return false;
    *ret_generation = generation;
    return true;
}

struct record {
    bool found, probe, member, left;
    uint64_t generation, commits, incarnation;
    int64_t last_slot_ms, from_ms, until_ms;
    slice name, group;
    struct get body;
};

static bool record_read(slice bytes, struct record *ret_record) {
    struct record record = {.found = true, .body = get_checked(bytes, target_magic)};
    if (record.body.bad) {
        record.body = get_checked(bytes, member_magic);
        record.member = true;
    }
    record.generation = get_u64(&record.body);
    record.commits = get_u64(&record.body);
    record.last_slot_ms = (int64_t)get_u64(&record.body);
    record.probe = get_fixed(&record.body, 1) != 0;
    record.name = get_bytes(&record.body, get_varint(&record.body));
    if (record.member) {
        record.group = get_bytes(&record.body, get_varint(&record.body));
        record.incarnation = get_u64(&record.body);
        record.from_ms = (int64_t)get_u64(&record.body);
        record.until_ms = (int64_t)get_u64(&record.body);
        record.left = get_fixed(&record.body, 1) != 0;
    }
    if (record.body.bad || record.name.size == 0 || (record.member && record.name.size > FOLD_NAME_BYTES)) return false;
    *ret_record = record;
    return true;
}

/* Whom it is about: a member gets a place at once. NULL: nobody that is measured now, or no place is left. */
static struct fold_slot *record_target(struct fold *fold, const struct record *record) {
    if (record->member) {
        struct fold_crowd *const crowd = fold_crowd_named(fold, record->group);
        return crowd ? fold_occupy(fold, crowd, record->name, record->incarnation) : NULL;
    }
    for (uint32_t t = 0; t < fold->steady_count; t++)
        if (record->probe == fold->targets[t].probe && slice_equal(record->name, fold->targets[t].name))
            return &fold->targets[t];
    return NULL;
}

static bool record_newer(const struct record *a, const struct record *b) {
    if (!b->found) return true;
    return a->generation != b->generation ? a->generation > b->generation : a->commits > b->commits;
}

static struct fold_binding *binding_of(struct fold *fold, const struct fold_slot *target, struct series_id key) {
    for (uint32_t b = target->bindings_first; b < target->bindings_first + target->bindings_count; b++) {
        const struct series_id own = sli_key(fold->slis[fold->bindings[b].sli].sli);
        if (own.a == key.a && own.b == key.b) return &fold->bindings[b];
    }
    return NULL;
}

/* Counts of an SLI that no stored whole knows begin where its first count is. */
static void restore_count(struct fold *fold, struct fold_binding *binding, int64_t start_ms, struct fold_count count) {
    const struct fold_sli *const sli = &fold->slis[binding->sli];
    const int64_t last_ms = sli->next_ms + (sli->ring_count - 1) * sli->window_ms;
    start_ms = slot_floor(start_ms, sli->window_ms) * sli->window_ms;
    if (start_ms < sli->next_ms) start_ms = sli->next_ms;
    if (start_ms > last_ms) start_ms = last_ms;
    struct fold_count *const into = fold_count_at(fold, binding, start_ms);
    if (__builtin_add_overflow(into->good, count.good, &into->good)) into->good = INT64_MAX;
    if (__builtin_add_overflow(into->total, count.total, &into->total)) into->total = INT64_MAX;
    into->seen += count.seen;
}

static void restore_series(struct fold *fold, struct fold_binding *binding, struct get *g) {
    struct series one = {.id = get_id(g)};
    const uint8_t part = (uint8_t)get_fixed(g, 1);
    one.seen_s = (uint32_t)get_fixed(g, 4);
    one.last[0] = get_double(g);
    if (part & PART_HAS_TOTAL) one.last[1] = get_double(g);
    if (g->bad || binding == NULL) return;
    const uint32_t number = (uint32_t)(binding - fold->bindings);
    const uint32_t before = fold->series.count;
    struct series *const series =
        series_find_or_add(&fold->series, &binding->series_first, number, part & 0x7f, one.id);
    if (series == NULL) {
        fold->stats.series_refused++;
        binding->cut = true;
        return;
    }
    binding->series_count += fold->series.count - before;
    memcpy(series->last, one.last, sizeof series->last);
    series->seen_s = one.seen_s;
    series->flags = SERIES_KNOWN;
}

/* earliest: only looks for the first window of each SLI that is not `known`, and lowers its next_ms to it. */
static bool restore_record(struct fold *fold, struct fold_slot *target, struct record record, int64_t now_ms,
                           const bool *known, bool earliest) {
    struct get *const g = &record.body;
    for (uint64_t bindings = get_varint(g); bindings && !g->bad; bindings--) {
        struct fold_binding *const binding = binding_of(fold, target, get_id(g));
        const double good_part = get_double(g), total_part = get_double(g);
        for (uint64_t windows = get_varint(g); windows && !g->bad; windows--) {
            const int64_t start_ms = (int64_t)get_u64(g);
            struct fold_count count = {.good = (int64_t)get_varint(g)};
            count.total = (int64_t)get_varint(g);
            count.seen = (uint32_t)get_varint(g);
            if (g->bad || binding == NULL) continue;
            struct fold_sli *const sli = &fold->slis[binding->sli];
            if (!earliest)
                restore_count(fold, binding, start_ms, count);
            else if (!known[binding->sli] && start_ms < sli->next_ms)
                sli->next_ms = slot_floor(start_ms, sli->window_ms) * sli->window_ms;
        }
        for (uint64_t series = get_varint(g); series && !g->bad; series--)
            restore_series(fold, earliest ? NULL : binding, g);
        if (binding == NULL || earliest || g->bad) continue;
        binding->good_part = good_part;
        binding->total_part = total_part;
    }
    if (!earliest) {
        target->commits = record.commits;
        target->restored = true;
        target->last_slot_ms =
            record.last_slot_ms > now_ms ? INT64_MIN : record.last_slot_ms; /* the clock was set back */
    }
    return !g->bad;
}

/* Windows of another length have been sealed up to next_ms, and no moment may lie in two: the first of this length begins
 * where one of each does. What was counted in between, and in those that were open, goes to it. */
static void restore_next(struct fold_sli *sli, int64_t window_ms, int64_t next_ms, int64_t now_ms, bool *ret_known) {
    /* A clock that was far ahead when this was stored must not stop sealing until that time comes. */
    if (next_ms > now_ms + CLOCK_AHEAD_MS_MAX) return;
    if (window_ms != sli->window_ms)
        next_ms = slot_floor(next_ms + sli->window_ms - 1, sli->window_ms) * sli->window_ms;
    sli->next_ms = next_ms;
    *ret_known = true;
}

/* Of an SLO that is defined otherwise now, only where its windows go on. */
static void restore_sli(struct fold *fold, struct series_id key, uint64_t slo, int64_t window_ms, int64_t next_ms,
                        int64_t carry, int64_t now_ms, bool *known) {
    for (uint32_t s = 0; s < fold->slis_count; s++) {
        struct fold_sli *const sli = &fold->slis[s];
        const struct series_id own = sli_key(sli->sli);
        const bool same = own.a == key.a && own.b == key.b;
        if (!same && (slo == 0 || slo_hash(sli) != slo)) continue;
        if (same) sli->carry = carry;
        restore_next(sli, window_ms, next_ms, now_ms, &known[s]);
    }
}

/* When each was expected, and who is thought to be there still. */
static void restore_members(struct fold *fold, const struct record *records, int64_t now_ms) {
    for (uint32_t c = 0; c < fold->crowds_count; c++) {
        const struct fold_crowd *const crowd = &fold->crowds[c];
        for (uint32_t i = 0; i < crowd->live_count; i++) {
            struct fold_slot *const slot = &fold->targets[crowd->live[i]];
            const struct record *const record = &records[crowd->live[i]];
            if (!record->found) continue;
            /* A clock that was ahead when this was stored must not hide or keep anybody until that time comes. */
            slot->from_ms = record->from_ms < now_ms ? record->from_ms : now_ms;
            slot->until_ms = record->until_ms != INT64_MAX && record->until_ms > now_ms ? now_ms : record->until_ms;
            slot->left = record->left;
        }
    }
}

/* Reads the whole's SLIs into force and its targets into records. */
static bool restore_whole(struct fold *fold, struct get g, bool has_slos, int64_t now_ms, bool *known,
                          struct record *records) {
    fold->generation = get_u64(&g);
    for (uint64_t slis = get_varint(&g); slis && !g.bad; slis--) {
        const struct series_id key = get_id(&g);
        const uint64_t slo = has_slos ? get_u64(&g) : 0;
        const int64_t window_ms = (int64_t)(get_varint(&g) % UINT32_MAX) * 1000;
        const int64_t next_ms = (int64_t)get_u64(&g);
        const int64_t carry = (int64_t)get_varint(&g);
        if (!g.bad) restore_sli(fold, key, slo, window_ms, next_ms, carry, now_ms, known);
    }
    for (uint64_t targets = get_varint(&g); targets && !g.bad; targets--) {
        struct record record;
        if (!record_read(get_bytes(&g, get_varint(&g)), &record)) return false;
        const struct fold_slot *const target = record_target(fold, &record);
        if (target) records[target - fold->targets] = record;
    }
    return !g.bad;
}

fault_code fold_restore(struct fold *fold, slice whole, const slice *targets, size_t targets_count, int64_t now_ms,
                        struct fault *reterr) {
    /* Used once, at start or reload; the lists are as long as the configuration. */
    struct record *const records = calloc(fold->targets_count + 1, sizeof *records);
    bool *const known = calloc(fold->slis_count + 1, sizeof *known);
    fault_code code = FAULT_NONE;
    if (records == NULL || known == NULL) {
        code = fault_set(reterr, FAULT_SYSTEM, "out of memory for the stored windows");
        goto done;
    }
    if (whole.size) {
        bool has_slos;
        const struct get g = get_whole(whole, &has_slos);
        if (g.bad || !restore_whole(fold, g, has_slos, now_ms, known, records))
            code =
                fault_set(reterr, FAULT_CORRUPT,
                          "the stored windows (%zu bytes) do not check; counting begins anew where no checkpoint helps",
                          whole.size);
    }
    const uint64_t oldest_generation = fold->generation;
    for (size_t i = 0; i < targets_count; i++) {
        struct record record;
        if (!record_read(targets[i], &record)) {
            if (code == FAULT_NONE)
                code = fault_set(
                    reterr, FAULT_CORRUPT,
                    "a target's checkpoint (%zu bytes) does not check; what was stored with the windows is used",
                    targets[i].size);
            continue;
        }
        if (record.generation < oldest_generation) continue;
        const struct fold_slot *const target = record_target(fold, &record);
        if (target && record_newer(&record, &records[target - fold->targets])) records[target - fold->targets] = record;
    }
    restore_members(fold, records, now_ms);
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t t = 0; t < fold->targets_count; t++) {
            if (!records[t].found) continue;
            if (records[t].generation > fold->generation) fold->generation = records[t].generation;
            if (!restore_record(fold, &fold->targets[t], records[t], now_ms, known, pass == 0) && code == FAULT_NONE)
                code = fault_set(reterr, FAULT_CORRUPT, "the checkpoint of target '%.*s' is cut short",
                                 SLICE_ARG(slice_first(fold->targets[t].name, 100)));
        }
done:
    free(records);
    free(known);
    return code;
}
