/* SPDX-License-Identifier: Apache-2.0
 * The frame of each stored record: CRC32C (little-endian) of all that follows, one byte of schema version, the body.
 * A record that does not check is never interpreted. Any thread.
 *
 * The checksum of a keyed record covers its key as well, behind the rest: a bit that flips in the key of another would make it
 * say something about what it never was about. */
#ifndef PICKET_JOURNAL_RECORD_H
#define PICKET_JOURNAL_RECORD_H

#include "common/base/fault.h"

enum {
    RECORD_HEAD_BYTES = 5,
    /* The schemas from which on records are keyed; older ones are read as they are. */
    RECORD_KEYED = 2,   /* names, windows, hours */
    RECORD_KEYED_3 = 3, /* budgets, marks */
};

/* Fills the head of a record whose body has been written behind it. */
void record_seal(uint8_t *record, size_t record_size, uint8_t schema_version);

void record_seal_keyed(uint8_t *record, size_t record_size, uint8_t schema_version, slice key);

/* Of a record that was opened. */
static inline uint8_t record_schema(slice record) {
    return record.data[4];
}

/* FAULT_CORRUPT when it is short, does not check, or has a newer schema than schema_known; what: "fact", ... */
fault_code record_open(slice record, uint8_t schema_known, const char *what, slice *ret_body,
                       struct fault *reterr) MUST_CHECK;
/* The same for a table whose records are keyed from schema_keyed on, and were not before. */
fault_code record_open_keyed(slice record, slice key, uint8_t schema_keyed, uint8_t schema_known, const char *what,
                             slice *ret_body, struct fault *reterr) MUST_CHECK;

#endif
