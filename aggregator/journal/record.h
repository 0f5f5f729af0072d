/* SPDX-License-Identifier: Apache-2.0
 * The frame of each stored record: CRC32C (little-endian) of all that follows, one byte of schema version, the body.
 * A record that does not check is never interpreted. Any thread. */
#ifndef PICKET_JOURNAL_RECORD_H
#define PICKET_JOURNAL_RECORD_H

#include "common/base/fault.h"

enum { RECORD_HEAD_BYTES = 5 };

/* Fills the head of a record whose body has been written behind it. */
void record_seal(uint8_t *record, size_t record_size, uint8_t schema_version);

/* FAULT_CORRUPT when it is short, does not check, or has a newer schema than schema_known; what: "fact", ... */
fault_code record_open(slice record, uint8_t schema_known, const char *what, slice *ret_body,
                       struct fault *reterr) MUST_CHECK;

#endif
