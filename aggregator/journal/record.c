/* SPDX-License-Identifier: Apache-2.0
 * LMDB does not check its pages: a flipped bit on the disk would be decided upon. The checksum covers the schema
 * byte too, so that a record is never read with the wrong layout. A newer schema than this program knows means that
 * a newer program wrote it: refused rather than guessed at. */
#include "aggregator/journal/record.h"

#include "common/base/checksum.h"

static void seal(uint8_t *record, size_t record_size, uint8_t schema_version, slice key) {
    record[4] = schema_version;
    const uint32_t crc = checksum_crc32c(checksum_crc32c(0, slice_of(record + 4, record_size - 4)), key);
    for (int i = 0; i < 4; i++) record[i] = (uint8_t)(crc >> (8 * i));
}

void record_seal(uint8_t *record, size_t record_size, uint8_t schema_version) {
    seal(record, record_size, schema_version, (slice){0});
}

void record_seal_keyed(uint8_t *record, size_t record_size, uint8_t schema_version, slice key) {
    seal(record, record_size, schema_version, key);
}

fault_code record_open_keyed(slice record, slice key, uint8_t schema_keyed, uint8_t schema_known, const char *what,
                             slice *ret_body, struct fault *reterr) {
    if (record.size < RECORD_HEAD_BYTES)
        return fault_set(reterr, FAULT_CORRUPT, "%s record has %zu bytes, fewer than its head", what, record.size);
    uint32_t crc = 0;
    for (int i = 0; i < 4; i++) crc |= (uint32_t)record.data[i] << (8 * i);
    const uint32_t own = checksum_crc32c(0, slice_from(record, 4));
    const bool keyed = record.data[4] >= schema_keyed;
    if (crc != (keyed ? checksum_crc32c(own, key) : own))
        return fault_set(reterr, FAULT_CORRUPT, "%s record of %zu bytes does not check (CRC32C%s)", what, record.size,
                         keyed ? " of it and its key" : "");
    if (record.data[4] == 0 || record.data[4] > schema_known)
        return fault_set(reterr, FAULT_CORRUPT, "%s record has schema %u, this program knows up to %u", what,
                         record.data[4], schema_known);
    *ret_body = slice_from(record, RECORD_HEAD_BYTES);
    return FAULT_NONE;
}

fault_code record_open(slice record, uint8_t schema_known, const char *what, slice *ret_body, struct fault *reterr) {
    return record_open_keyed(record, (slice){0}, UINT8_MAX, schema_known, what, ret_body, reterr);
}
