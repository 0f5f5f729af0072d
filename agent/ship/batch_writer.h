/* SPDX-License-Identifier: Apache-2.0
 * Writes an IntentBatch from intents that are encoded already, by laying them one behind the other: nothing is decoded
 * and nothing is allocated. One owner. */
#ifndef PICKET_SHIP_BATCH_WRITER_H
#define PICKET_SHIP_BATCH_WRITER_H

#include "common/base/slice.h"
#include "common/base/uuid.h"

/* What a batch of n intents needs beside their bytes: BATCH_HEAD_BYTES + n * BATCH_INTENT_BYTES. */
enum { BATCH_HEAD_BYTES = 80, BATCH_INTENT_BYTES = 6 };

struct batch_writer {
    uint8_t *buffer;
    size_t buffer_bytes, used;
};

/* The head: field numbers 1 to 4 of edge.proto's IntentBatch. The buffer has room for BATCH_HEAD_BYTES. */
void batch_begin(struct batch_writer *writer, uint8_t *buffer, size_t buffer_bytes, struct uuid epoch, uint64_t stream,
                 uint64_t after_sequence, uint64_t first_sequence);
/* The next intent; false: it does not fit, and nothing was written. */
bool batch_add(struct batch_writer *writer, slice intent) MUST_CHECK;
/* The whole message; valid as long as the buffer. */
slice batch_end(struct batch_writer *writer, bool stream_ends);

#endif
