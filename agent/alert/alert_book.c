/* SPDX-License-Identifier: Apache-2.0
 * One block of memory holds SLOs, their texts and their buckets. The bytes: little-endian as in memory, numbers of fixed
 * width, names with a length before them; both kinds begin with a version, and the history with the spans that its buckets
 * are of: with other spans it does not fit and is passed over. Checksums are those of the stores that keep them. */
#include "agent/alert/alert_book.h"

#include <assert.h>
#include <stdlib.h>

enum { VERSION = 1 };

static int compare(const void *a, const void *b) {
    const struct alert_slo *const one = a, *const other = b;
    const size_t shared = one->slo_id.size < other->slo_id.size ? one->slo_id.size : other->slo_id.size;
    const int order = shared ? memcmp(one->slo_id.data, other->slo_id.data, shared) : 0;
    return order ? order : (one->slo_id.size > other->slo_id.size) - (one->slo_id.size < other->slo_id.size);
}

fault_code alert_book_new(const struct burn_rule *rules, size_t rules_count, const struct alert_watch *watched,
                          size_t count, int64_t now_ms, struct alert_book *ret_book, struct fault *reterr) {
    struct alert_book book = {.count = count};
    if (rules_count) memcpy(book.rules_items, rules, rules_count * sizeof *rules);
    burn_rules_init(&book.rules, rules, rules_count);
    size_t texts = 0;
    for (size_t i = 0; i < count; i++) texts += watched[i].slo_id.size;
    const size_t buckets_each = book.rules.spans_count * BURN_BUCKETS;
    book.memory_bytes = count * (sizeof *book.slos + buckets_each * sizeof(struct burn_bucket)) + texts;
    book.block = calloc(1, book.memory_bytes + 1);
    if (!book.block) return fault_set(reterr, FAULT_LIMIT, "alerts of %zu SLOs: out of memory", count);
    book.slos = book.block;
    struct burn_bucket *buckets = (struct burn_bucket *)(void *)(book.slos + count);
    uint8_t *text = (uint8_t *)(buckets + count * buckets_each);
    for (size_t i = 0; i < count; i++) {
        const slice id = watched[i].slo_id;
        memcpy(text, id.data, id.size);
        book.slos[i] = (struct alert_slo){.slo_id = slice_of(text, id.size),
                                          .objective_percent = watched[i].objective_percent,
                                          .since_ms = now_ms,
                                          .history.buckets = buckets};
        buckets += buckets_each;
        text += id.size;
    }
    if (count) qsort(book.slos, count, sizeof *book.slos, compare);
    *ret_book = book;
    ret_book->rules.rules = ret_book->rules_items;
    return FAULT_NONE;
}

void alert_book_free(struct alert_book *book) {
    free(book->block);
    *book = (struct alert_book){0};
}

struct alert_slo *alert_book_find(const struct alert_book *book, slice slo_id) {
    const struct alert_slo wanted = {.slo_id = slo_id};
    return book->count ? bsearch(&wanted, book->slos, book->count, sizeof *book->slos, compare) : NULL;
}

slice alert_book_rule_name(const struct alert_book *book, size_t alert) {
    return alert < book->rules.count ? book->rules.rules[alert].name : SLICE_LIT("unseen");
}

/* Index of a rule's alert, ALERTS_PER_SLO when there is none of that name. */
static size_t alert_index(const struct alert_book *book, slice rule) {
    for (size_t i = 0; i < book->rules.count; i++)
        if (slice_equal(book->rules.rules[i].name, rule)) return i;
    return slice_equal_text(rule, "unseen") ? ALERT_UNSEEN : ALERTS_PER_SLO;
}

static bool same_spans(const struct alert_book *book, const struct alert_book *old) {
    return book->rules.spans_count == old->rules.spans_count &&
           memcmp(book->rules.spans_ms, old->rules.spans_ms,
                  book->rules.spans_count * sizeof book->rules.spans_ms[0]) == 0;
}

void alert_book_take_over(struct alert_book *book, const struct alert_book *old) {
    const bool same = same_spans(book, old);
    for (size_t i = 0; i < book->count; i++) {
        struct alert_slo *const slo = &book->slos[i];
        const struct alert_slo *const from = alert_book_find(old, slo->slo_id);
        if (!from) continue;
        slo->since_ms = from->since_ms;
        for (size_t a = 0; a < ALERTS_PER_SLO; a++) {
            if (a >= old->rules.count && a != ALERT_UNSEEN) continue;
            const size_t index = alert_index(book, alert_book_rule_name(old, a));
            if (index < ALERTS_PER_SLO) slo->alerts[index] = from->alerts[a];
        }
        if (!same) continue;
        struct burn_bucket *const buckets = slo->history.buckets;
        memcpy(buckets, from->history.buckets, book->rules.spans_count * BURN_BUCKETS * sizeof *buckets);
        slo->history = from->history;
        slo->history.buckets = buckets;
    }
}

/* ---- bytes ---- */

struct writer {
    uint8_t *data;
    size_t used, room;
};
static void put(struct writer *writer, const void *bytes, size_t size) {
    if (writer->room - writer->used < size) {
        writer->used = writer->room; /* found out at the end: the room was reckoned too small */
        return;
    }
    if (size) memcpy(writer->data + writer->used, bytes, size);
    writer->used += size;
}
static void put_text(struct writer *writer, slice text) {
    const uint8_t size = (uint8_t)text.size; /* ids and rule names have 128 bytes at most */
    put(writer, &size, 1);
    put(writer, text.data, size);
}
static bool get(slice *from, void *ret_bytes, size_t size) {
    if (from->size < size) return false;
    if (size) memcpy(ret_bytes, from->data, size);
    *from = slice_from(*from, size);
    return true;
}
static bool get_text(slice *from, slice *ret_text) {
    uint8_t size;
    if (!get(from, &size, 1) || from->size < size) return false;
    *ret_text = slice_first(*from, size);
    *from = slice_from(*from, size);
    return true;
}

struct alert_row {
    int64_t starts_ms, ends_ms, observed_ms;
    uint64_t sequence;
    uint32_t stream;
    uint8_t firing, told_firing, told_end, tell_end;
};
static_assert(sizeof(struct alert_row) == 40, "a row has no holes");

static bool at_rest(const struct alert_one *one) {
    return one->starts_ms == 0;
}

fault_code alert_book_encode_alerts(const struct alert_book *book, struct arena *arena, slice *ret_bytes,
                                    struct fault *reterr) {
    size_t room = 4;
    for (size_t i = 0; i < book->count; i++)
        for (size_t a = 0; a < ALERTS_PER_SLO; a++)
            if (!at_rest(&book->slos[i].alerts[a])) room += 2 + 128 + 128 + sizeof(struct alert_row);
    struct writer writer = {arena_alloc(arena, room), 0, room};
    if (!writer.data) return fault_set(reterr, FAULT_LIMIT, "alerts of %zu SLOs: out of memory", book->count);
    const uint32_t version = VERSION;
    put(&writer, &version, sizeof version);
    for (size_t i = 0; i < book->count; i++)
        for (size_t a = 0; a < ALERTS_PER_SLO; a++) {
            const struct alert_one *const one = &book->slos[i].alerts[a];
            if (at_rest(one)) continue;
            const struct alert_row row = {one->starts_ms,   one->ends_ms,  one->observed_ms,
                                          one->sequence,    one->stream,   one->firing,
                                          one->told_firing, one->told_end, one->tell_end};
            put_text(&writer, book->slos[i].slo_id);
            put_text(&writer, alert_book_rule_name(book, a));
            put(&writer, &row, sizeof row);
        }
    *ret_bytes = slice_of(writer.data, writer.used);
    return FAULT_NONE;
}

static fault_code begin(slice *bytes, struct fault *reterr) {
    uint32_t version;
    if (!get(bytes, &version, sizeof version) || version != VERSION)
        return fault_set(reterr, FAULT_CORRUPT, "the alerts that were kept are of another version");
    return FAULT_NONE;
}

fault_code alert_book_decode_alerts(struct alert_book *book, slice bytes, struct fault *reterr) {
    if (begin(&bytes, reterr)) return FAULT_CORRUPT;
    while (bytes.size) {
        slice slo_id, rule;
        struct alert_row row;
        if (!get_text(&bytes, &slo_id) || !get_text(&bytes, &rule) || !get(&bytes, &row, sizeof row))
            return fault_set(reterr, FAULT_CORRUPT, "the alerts that were kept end in the middle");
        struct alert_slo *const slo = alert_book_find(book, slo_id);
        const size_t index = alert_index(book, rule);
        if (!slo || index == ALERTS_PER_SLO) continue;
        slo->alerts[index] = (struct alert_one){.firing = row.firing != 0,
                                                .told_firing = row.told_firing != 0,
                                                .told_end = row.told_end != 0,
                                                .tell_end = row.tell_end != 0,
                                                .stream = row.stream,
                                                .sequence = row.sequence,
                                                .starts_ms = row.starts_ms,
                                                .ends_ms = row.ends_ms,
                                                .observed_ms = row.observed_ms};
    }
    return FAULT_NONE;
}

fault_code alert_book_encode_history(const struct alert_book *book, struct arena *arena, slice *ret_bytes,
                                     struct fault *reterr) {
    const size_t buckets_bytes = book->rules.spans_count * BURN_BUCKETS * sizeof(struct burn_bucket);
    size_t room = 8 + sizeof book->rules.spans_ms;
    for (size_t i = 0; i < book->count; i++) room += 1 + book->slos[i].slo_id.size + 16 + buckets_bytes;
    struct writer writer = {arena_alloc(arena, room), 0, room};
    if (!writer.data) return fault_set(reterr, FAULT_LIMIT, "burn rates of %zu SLOs: out of memory", book->count);
    const uint32_t head[2] = {VERSION, (uint32_t)book->rules.spans_count};
    put(&writer, head, sizeof head);
    put(&writer, book->rules.spans_ms, book->rules.spans_count * sizeof book->rules.spans_ms[0]);
    for (size_t i = 0; i < book->count; i++) {
        const struct alert_slo *const slo = &book->slos[i];
        put_text(&writer, slo->slo_id);
        put(&writer, &slo->history.last_end_ms, 8);
        put(&writer, &slo->history.last_seen_ms, 8);
        put(&writer, slo->history.buckets, buckets_bytes);
    }
    *ret_bytes = slice_of(writer.data, writer.used);
    return FAULT_NONE;
}

fault_code alert_book_decode_history(struct alert_book *book, slice bytes, struct fault *reterr) {
    uint32_t spans;
    int64_t spans_ms[BURN_SPANS_MAX];
    if (begin(&bytes, reterr)) return FAULT_CORRUPT;
    if (!get(&bytes, &spans, sizeof spans) || spans > BURN_SPANS_MAX ||
        !get(&bytes, spans_ms, spans * sizeof spans_ms[0]))
        return fault_set(reterr, FAULT_CORRUPT, "the burn rates that were kept do not begin with their spans");
    if (spans != book->rules.spans_count || memcmp(spans_ms, book->rules.spans_ms, spans * sizeof spans_ms[0]) != 0)
        return FAULT_NONE; /* of other rules */
    const size_t buckets_bytes = spans * BURN_BUCKETS * sizeof(struct burn_bucket);
    while (bytes.size) {
        slice slo_id;
        int64_t times[2];
        if (!get_text(&bytes, &slo_id) || !get(&bytes, times, sizeof times) || bytes.size < buckets_bytes)
            return fault_set(reterr, FAULT_CORRUPT, "the burn rates that were kept end in the middle");
        struct alert_slo *const slo = alert_book_find(book, slo_id);
        if (slo && times[0] >= slo->history.last_end_ms) {
            slo->history.last_end_ms = times[0];
            slo->history.last_seen_ms = times[1];
            memcpy(slo->history.buckets, bytes.data, buckets_bytes);
        }
        bytes = slice_from(bytes, buckets_bytes);
    }
    return FAULT_NONE;
}
