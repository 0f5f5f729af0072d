/* SPDX-License-Identifier: Apache-2.0
 * Messages between structs and bytes: protobuf (through nanopb) and proto3 JSON, both driven by the tables that
 * proto/ generates, and validation by the constraints written beside the fields in the .proto files.
 *
 * The shape of a generated struct (include "sre.pb.h", which includes them all): the message's name without its
 * package (RecordSLIWindowRequested); string and bytes fields are `slice`; a repeated field is
 * `struct { T *items; size_t count; }`; a singular message is the struct itself with `bool has_<field>` beside it;
 * a oneof is `which_<oneof>` (the field's number, 0 when none) and a union; enums are C enums; an `optional`
 * scalar has `has_<field>`; a map is a repeated <Message>_<Field>Entry {slice key; slice value;}.
 * Any thread; one arena per caller. */
#ifndef PICKET_CODEC_CODEC_H
#define PICKET_CODEC_CODEC_H

#include "common/base/arena.h"
#include "common/base/fault.h"

/* Generated: `extern const struct message_desc <Message>_desc;` for each message of the contract. */
struct message_desc;

/* Decodes protobuf bytes into *ret_message (message_size(desc) bytes, zeroed here first). Strings and bytes are
 * slices into `bytes`, which must outlive the message; repeated fields live in the arena. Unknown fields are
 * skipped. FAULT_INPUT on malformed bytes or a string that is not UTF-8, FAULT_LIMIT when the arena is full. */
fault_code codec_decode_protobuf(const struct message_desc *desc, slice bytes, struct arena *arena, void *ret_message,
                                 struct fault *reterr) MUST_CHECK;

/* As the first, for bytes of somebody who may mean harm: an empty item is two bytes on the wire and a struct in memory, so
 * a list ends at the contract's max_items (FAULT_INPUT), and not only when it is validated. */
fault_code codec_decode_protobuf_bounded(const struct message_desc *desc, slice bytes, struct arena *arena,
                                         void *ret_message, struct fault *reterr) MUST_CHECK;

/* As the first, for messages that are another's (Kubernetes objects): text that is not UTF-8 is mended, each wrong byte becoming
 * U+FFFD in a copy in the arena, and is no fault. */
fault_code codec_decode_protobuf_foreign(const struct message_desc *desc, slice bytes, struct arena *arena,
                                         void *ret_message, struct fault *reterr) MUST_CHECK;

/* Encodes into the arena. Deterministic: fields by number, so that equal messages give equal bytes (maps as their
 * entries stand: codec_order_maps). */
fault_code codec_encode_protobuf(const struct message_desc *desc, const void *message, struct arena *arena,
                                 slice *ret_bytes, struct fault *reterr) MUST_CHECK;

/* Encodes into a buffer of the caller: no allocation. FAULT_LIMIT when it does not fit. */
fault_code codec_encode_protobuf_into(const struct message_desc *desc, const void *message, uint8_t *buffer,
                                      size_t buffer_size, size_t *ret_size, struct fault *reterr) MUST_CHECK;

/* Decodes the proto3 JSON mapping (both lowerCamelCase and proto field names, enums by name and number, 64-bit
 * integers as strings or numbers, null as default). Everything decoded lives in the arena. FAULT_INPUT names the
 * field's path and what was expected; unknown fields are refused unless ignore_unknown. */
fault_code codec_decode_json(const struct message_desc *desc, slice json, bool ignore_unknown, struct arena *arena,
                             void *ret_message, struct fault *reterr) MUST_CHECK;

/* As above, for JSON that is another's: unknown fields are ignored, of a field given twice the last one counts, a number or
 * a boolean where text is expected is that text (Kubernetes' int-or-string), null in a list or as a map's value and a time
 * that is none are as if absent. */
fault_code codec_decode_json_foreign(const struct message_desc *desc, slice json, struct arena *arena,
                                     void *ret_message, struct fault *reterr) MUST_CHECK;

/* Encodes the proto3 JSON mapping: defaults left out, lowerCamelCase, no spaces (pretty: two-space indent). */
fault_code codec_encode_json(const struct message_desc *desc, const void *message, bool pretty, struct arena *arena,
                             slice *ret_json, struct fault *reterr) MUST_CHECK;

/* Checks every constraint of the message and of those inside it. FAULT_INPUT with the field's path and the
 * constraint in words: "record_sli_window.slo_id: must have 1 to 128 characters, has 0". */
fault_code codec_validate(const struct message_desc *desc, const void *message, struct fault *reterr) MUST_CHECK;

/* Copies a message and all it points to into the arena. */
fault_code codec_copy(const struct message_desc *desc, const void *message, struct arena *arena, void *ret_message,
                      struct fault *reterr) MUST_CHECK;

/* Sorts the entries of every map in it by their keys, in place: messages that say the same then give the same bytes. */
void codec_order_maps(const struct message_desc *desc, void *message);

size_t message_size(const struct message_desc *desc);           /* sizeof the struct */
const char *message_full_name(const struct message_desc *desc); /* "ameide_core_proto.sre.core.v1.SLO" */
/* Of the message that the field of this number holds; NULL when there is no such field or it holds none. */
const char *message_field_full_name(const struct message_desc *desc, uint32_t number);
/* Whether the message's JSON form has a member of this name, and if so the message that it holds, alone or in a list; NULL
 * when it holds none (text, a number, a map). For those who cut JSON down before it is decoded. */
bool message_json_member(const struct message_desc *desc, slice name, const struct message_desc **ret_held);
/* Name of an enum value such as "SEVERITY_HIGH"; NULL when it has none. enum_desc: `extern const struct enum_desc
 * <Enum>_enum;` */
struct enum_desc;
const char *enum_name(const struct enum_desc *desc, int32_t number);
bool enum_number(const struct enum_desc *desc, slice name, int32_t *ret_number);

#endif
