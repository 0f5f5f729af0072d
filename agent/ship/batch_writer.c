/* SPDX-License-Identifier: Apache-2.0
 * The wire format of protobuf, as far as one message needs it (protobuf.dev, "Encoding"): a key is field number and
 * wire type (0 varint, 2 length and bytes); a varint has seven bits a byte, lowest first; zeros are not written.
 * A test reads what comes out with the generated decoder. */
#include "agent/ship/batch_writer.h"

#include <assert.h>

enum {
    KEY_EPOCH = 1 << 3 | 2,
    KEY_STREAM = 2 << 3,
    KEY_AFTER = 3 << 3,
    KEY_FIRST = 4 << 3,
    KEY_INTENT = 5 << 3 | 2,
    KEY_ENDS = 6 << 3
};

static_assert(BATCH_HEAD_BYTES >= 2 + UUID_TEXT_SIZE + 3 * 11 + 2, "the head must fit");

static void put_varint(struct batch_writer *writer, uint64_t value) {
    for (; value >= 0x80; value >>= 7) writer->buffer[writer->used++] = (uint8_t)(value | 0x80);
    writer->buffer[writer->used++] = (uint8_t)value;
}

static void put_number(struct batch_writer *writer, uint8_t key, uint64_t value) {
    if (!value) return;
    writer->buffer[writer->used++] = key;
    put_varint(writer, value);
}

void batch_begin(struct batch_writer *writer, uint8_t *buffer, size_t buffer_bytes, struct uuid epoch, uint64_t stream,
                 uint64_t after_sequence, uint64_t first_sequence) {
    assert(buffer_bytes >= BATCH_HEAD_BYTES);
    *writer = (struct batch_writer){.buffer = buffer, .buffer_bytes = buffer_bytes};
    char text[UUID_TEXT_SIZE + 1];
    uuid_format(epoch, text);
    buffer[writer->used++] = KEY_EPOCH;
    buffer[writer->used++] = UUID_TEXT_SIZE;
    memcpy(buffer + writer->used, text, UUID_TEXT_SIZE);
    writer->used += UUID_TEXT_SIZE;
    put_number(writer, KEY_STREAM, stream);
    put_number(writer, KEY_AFTER, after_sequence);
    put_number(writer, KEY_FIRST, first_sequence);
}

bool batch_add(struct batch_writer *writer, slice intent) {
    const size_t ends_bytes = 2;
    if (writer->buffer_bytes - writer->used < intent.size + BATCH_INTENT_BYTES + ends_bytes) return false;
    writer->buffer[writer->used++] = KEY_INTENT;
    put_varint(writer, intent.size);
    memcpy(writer->buffer + writer->used, intent.data, intent.size);
    writer->used += intent.size;
    return true;
}

slice batch_end(struct batch_writer *writer, bool stream_ends) {
    put_number(writer, KEY_ENDS, stream_ends);
    return slice_of(writer->buffer, writer->used);
}
