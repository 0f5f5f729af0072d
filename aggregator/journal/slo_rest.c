/* SPDX-License-Identifier: Apache-2.0
 * A record is a row of numbers: when exhaustion was said last (ms; 0: it is not in force), when the list of agents changed
 * last (ms), 4 former lengths {seconds, until (ms)}, then week, month, quarter, year {hour after the present one, good,
 * total, expected, seen of it, the same of the next one}, then the recent hours {hour after it, 0: none, good, total,
 * expected, seen}, the newest by change first.
 *
 * Each window of an SLO changes its record, and a store that copies on write copies the page: so most of what a record
 * takes costs the disk with every commit. Schema 4 has a bit for each number that is not 0, then those as varints of their
 * zigzag (protobuf's): a quarter of the 8 bytes a number (4 for seconds), big-endian, of schemas 1 to 3 and of exports.
 * Schema 1 and an export are without the recent hours; an export has those among its hours.
 *
 * The stored SLO says "exhausted" only while the counts are over the target; in a calendar window it must not be said
 * again in the period even when they were within the target between, hence the first number. */
#include "aggregator/journal/slo_rest.h"

#include "aggregator/journal/record.h"

enum {
    SCHEMA = 4,
    SCHEMA_PACKED = 4,
    KEY_BYTES = 8,
    HOUR_MAX = 100000000, /* in the year 13377 */

    AT_EXHAUSTED = 0,
    AT_AGENTS_CHANGED = 1,
    AT_LENGTHS = 2,
    AT_PERIODS = AT_LENGTHS + 2 * SLO_LENGTHS_MAX,
    AT_RECENT = AT_PERIODS + 9 * SLO_PERIODS,
    NUMBERS = AT_RECENT + 5 * SLO_RECENT_HOURS,

    WIDE_BYTES_1 = 8 * AT_RECENT - 4 * SLO_LENGTHS_MAX,
    WIDE_BYTES = WIDE_BYTES_1 + 8 * (NUMBERS - AT_RECENT),
    BITS_BYTES = (NUMBERS + 7) / 8,
    VARINT_BYTES_MAX = 10,
    PACKED_BYTES_MAX = BITS_BYTES + NUMBERS * VARINT_BYTES_MAX,
};

struct rest {
    int64_t numbers[NUMBERS];
};

/* ---- numbers and what they mean ---- */

static int64_t *put_counts(int64_t *at, const struct slo_counts *counts) {
    *at++ = counts->good;
    *at++ = counts->total;
    *at++ = counts->scrapes_expected;
    *at++ = counts->scrapes_seen;
    return at;
}

static const int64_t *get_counts(const int64_t *at, struct slo_counts *ret_counts) {
    *ret_counts = (struct slo_counts){at[0], at[1], at[2], at[3]};
    return at + 4;
}

static struct rest rest_of(const struct slo_state *slo, const struct slo_recent recent[SLO_RECENT_HOURS]) {
    struct rest rest;
    int64_t *at = rest.numbers;
    *at++ = slo->budget.exhausted ? slo->budget.exhausted_at_ms : 0;
    *at++ = slo->agents_changed_ms;
    for (size_t i = 0; i < SLO_LENGTHS_MAX; i++) {
        *at++ = slo->lengths[i].seconds;
        *at++ = slo->lengths[i].until_ms;
    }
    for (int i = 0; i < SLO_PERIODS; i++) {
        *at++ = slo->budget.periods[i].span.ends_hour;
        at = put_counts(at, &slo->budget.periods[i].present);
        at = put_counts(at, &slo->budget.periods[i].ahead);
    }
    for (int i = 0; i < SLO_RECENT_HOURS; i++) {
        *at++ = recent[i].used ? recent[i].hour + 1 : 0;
        at = put_counts(at, &recent[i].counts);
    }
    return rest;
}

static void rest_into_state(const struct rest *rest, struct slo_state *slo) {
    slo->agents_changed_ms = rest->numbers[AT_AGENTS_CHANGED];
    const int64_t *at = rest->numbers + AT_LENGTHS;
    for (size_t i = 0; i < SLO_LENGTHS_MAX; i++, at += 2)
        slo->lengths[i] = (struct slo_length){.seconds = (int32_t)at[0], .until_ms = at[1]};
    for (int i = 0; i < SLO_PERIODS; i++) {
        struct slo_period *period = &slo->budget.periods[i];
        const int64_t ends_hour = *at++;
        at = get_counts(at, &period->present);
        at = get_counts(at, &period->ahead);
        if (ends_hour > 0 && ends_hour < HOUR_MAX) period->span = slo_period_span(i, ends_hour - 1);
    }
    if (slo_period_index(slo->definition.window) >= 0) {
        slo->budget.exhausted = rest->numbers[AT_EXHAUSTED] != 0;
        slo->budget.exhausted_at_ms = rest->numbers[AT_EXHAUSTED];
    }
}

static void rest_into_recent(const struct rest *rest, struct slo_recent ret_recent[SLO_RECENT_HOURS]) {
    const int64_t *at = rest->numbers + AT_RECENT;
    for (int i = 0; i < SLO_RECENT_HOURS; i++) {
        ret_recent[i] = (struct slo_recent){.used = *at > 0, .hour = *at - 1};
        at = get_counts(at + 1, &ret_recent[i].counts);
    }
}

/* ---- numbers as bytes ---- */

static bool is_seconds(size_t number) {
    return number >= AT_LENGTHS && number < AT_PERIODS && (number - AT_LENGTHS) % 2 == 0;
}

/* count: NUMBERS, or AT_RECENT without the recent hours. */
static void wide_write(const struct rest *rest, size_t count, uint8_t *at) {
    for (size_t i = 0; i < count; i++) {
        if (is_seconds(i))
            kv_store_u32(at, (uint32_t)rest->numbers[i]);
        else
            kv_store_u64(at, (uint64_t)rest->numbers[i]);
        at += is_seconds(i) ? 4 : 8;
    }
}

static void wide_read(const uint8_t *at, size_t count, struct rest *ret_rest) {
    *ret_rest = (struct rest){0};
    for (size_t i = 0; i < count; i++) {
        ret_rest->numbers[i] = is_seconds(i) ? (int64_t)kv_load_u32(at) : (int64_t)kv_load_u64(at);
        at += is_seconds(i) ? 4 : 8;
    }
}

static size_t packed_write(const struct rest *rest, uint8_t bytes[PACKED_BYTES_MAX]) {
    memset(bytes, 0, BITS_BYTES);
    uint8_t *at = bytes + BITS_BYTES;
    for (size_t i = 0; i < NUMBERS; i++) {
        if (!rest->numbers[i]) continue;
        bytes[i / 8] |= (uint8_t)(1 << i % 8);
        uint64_t left = (uint64_t)rest->numbers[i] << 1 ^ (uint64_t)(rest->numbers[i] >> 63);
        for (; left >= 0x80; left >>= 7) *at++ = (uint8_t)(left | 0x80);
        *at++ = (uint8_t)left;
    }
    return (size_t)(at - bytes);
}

/* False: these are not the bytes of so many numbers. */
static bool packed_read(slice body, struct rest *ret_rest) {
    *ret_rest = (struct rest){0};
    if (body.size < BITS_BYTES) return false;
    const uint8_t *at = body.data + BITS_BYTES, *const end = body.data + body.size;
    for (size_t i = 0; i < NUMBERS; i++) {
        if (!(body.data[i / 8] >> i % 8 & 1)) continue;
        uint64_t value = 0;
        unsigned shift = 0;
        do {
            if (at == end || shift > 63) return false;
            value |= (uint64_t)(*at & 0x7f) << shift;
            shift += 7;
        } while (*at++ & 0x80);
        ret_rest->numbers[i] = (int64_t)(value >> 1 ^ -(value & 1));
    }
    return at == end;
}

/* ---- the table ---- */

static slice key_make(uint32_t tenant, uint32_t slo, uint8_t bytes[KEY_BYTES]) {
    kv_store_u32(bytes, tenant);
    kv_store_u32(bytes + 4, slo);
    return slice_of(bytes, KEY_BYTES);
}

/* ret_there: whether there is a record; without one the numbers are 0. */
static fault_code record_get(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, struct rest *ret_rest,
                             bool *ret_there, struct fault *reterr) {
    uint8_t key[KEY_BYTES];
    slice record, body;
    *ret_rest = (struct rest){0};
    *ret_there = false;
    const fault_code code = kv_get(txn, table, key_make(tenant, slo, key), &record, reterr);
    if (code) return code == FAULT_ABSENT ? FAULT_NONE : code;
    if (record_open_keyed(record, slice_of(key, KEY_BYTES), RECORD_KEYED_3, SCHEMA, "budget", &body, reterr))
        return FAULT_CORRUPT;
    *ret_there = true;
    if (record_schema(record) >= SCHEMA_PACKED)
        return packed_read(body, ret_rest)
                   ? FAULT_NONE
                   : fault_set(reterr, FAULT_CORRUPT, "budget record of %zu bytes does not hold %d numbers",
                               record.size, NUMBERS);
    if (body.size != WIDE_BYTES && body.size != WIDE_BYTES_1)
        return fault_set(reterr, FAULT_CORRUPT, "budget record has %zu bytes, not %d or %d", body.size, WIDE_BYTES,
                         WIDE_BYTES_1);
    wide_read(body.data, body.size == WIDE_BYTES ? NUMBERS : AT_RECENT, ret_rest);
    return FAULT_NONE;
}

static fault_code record_put(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, const struct rest *rest,
                             struct fault *reterr) {
    uint8_t bytes[KEY_BYTES], record[RECORD_HEAD_BYTES + PACKED_BYTES_MAX];
    const slice key = key_make(tenant, slo, bytes);
    const size_t size = RECORD_HEAD_BYTES + packed_write(rest, record + RECORD_HEAD_BYTES);
    record_seal_keyed(record, size, SCHEMA, key);
    if (kv_put(txn, table, key, slice_of(record, size), reterr))
        return fault_wrap(reterr, "store the periods of an SLO");
    return FAULT_NONE;
}

fault_code slo_rest_get(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, struct slo_state *state,
                        struct slo_recent ret_recent[SLO_RECENT_HOURS], struct fault *reterr) {
    struct rest rest;
    bool there;
    const fault_code code = record_get(table, txn, tenant, slo, &rest, &there, reterr);
    if (code) return code;
    if (there) rest_into_state(&rest, state);
    rest_into_recent(&rest, ret_recent);
    return FAULT_NONE;
}

fault_code slo_rest_put(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo,
                        const struct slo_state *state, const struct slo_recent recent[SLO_RECENT_HOURS],
                        struct fault *reterr) {
    const struct rest rest = rest_of(state, recent);
    return record_put(table, txn, tenant, slo, &rest, reterr);
}

fault_code slo_rest_recent_get(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo,
                               struct slo_recent ret_recent[SLO_RECENT_HOURS], struct fault *reterr) {
    struct rest rest;
    bool there;
    const fault_code code = record_get(table, txn, tenant, slo, &rest, &there, reterr);
    if (!code) rest_into_recent(&rest, ret_recent);
    return code;
}

fault_code slo_rest_bytes_get(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, struct arena *arena,
                              slice *ret_body, struct fault *reterr) {
    struct rest rest;
    bool there;
    const fault_code code = record_get(table, txn, tenant, slo, &rest, &there, reterr);
    if (code) return code;
    *ret_body = (slice){0};
    if (!there) return FAULT_NONE;
    uint8_t *bytes = arena_alloc(arena, WIDE_BYTES_1);
    if (!bytes) return fault_set(reterr, FAULT_LIMIT, "read the periods of an SLO: no memory");
    wide_write(&rest, AT_RECENT, bytes);
    *ret_body = slice_of(bytes, WIDE_BYTES_1);
    return FAULT_NONE;
}

fault_code slo_rest_bytes_put(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, slice body,
                              struct fault *reterr) {
    if (body.size != WIDE_BYTES_1)
        return fault_set(reterr, FAULT_INPUT, "an SLO's budget has %zu bytes, not %d", body.size, WIDE_BYTES_1);
    struct rest rest;
    wide_read(body.data, AT_RECENT, &rest);
    return record_put(table, txn, tenant, slo, &rest, reterr);
}
