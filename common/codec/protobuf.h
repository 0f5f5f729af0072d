/* SPDX-License-Identifier: Apache-2.0
 * Where nanopb calls us back, for the generated tables only: each message has a function <Message>_callback that
 * hands its row to protobuf_field(). */
#ifndef PICKET_CODEC_PROTOBUF_H
#define PICKET_CODEC_PROTOBUF_H

#include <pb.h>
#include <stdbool.h>

struct message_desc;

/* Decodes (in) or encodes (out) one text, bytes or repeated field of a message. Thread: that of the codec call. */
bool protobuf_field(const struct message_desc *desc, pb_istream_t *in, pb_ostream_t *out, const pb_field_t *field);

#endif
