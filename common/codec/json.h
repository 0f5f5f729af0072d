/* SPDX-License-Identifier: Apache-2.0
 * Between the files of the JSON codec: the forms of text that the proto3 JSON mapping gives to times, durations,
 * bytes and numbers (https://protobuf.dev/programming-guides/json/). Any thread. */
#ifndef PICKET_CODEC_JSON_H
#define PICKET_CODEC_JSON_H

#include "common/base/arena.h"

enum { JSON_TIME_BYTES = 40, JSON_DOUBLE_BYTES = 40 };

/* RFC 3339 in UTC with 0, 3, 6 or 9 digits: "2026-11-21T01:02:03.500Z". False when out of range (year 1 to 9999). */
bool json_time_format(int64_t seconds, int32_t nanos, char ret_text[JSON_TIME_BYTES], size_t *ret_size);
/* Takes an offset as well as Z, and 1 to 9 digits. */
bool json_time_parse(slice text, int64_t *ret_seconds, int32_t *ret_nanos) MUST_CHECK;

/* "1.500s" */
bool json_duration_format(int64_t seconds, int32_t nanos, char ret_text[JSON_TIME_BYTES], size_t *ret_size);
bool json_duration_parse(slice text, int64_t *ret_seconds, int32_t *ret_nanos) MUST_CHECK;

/* Bytes that the base64 of `size` bytes takes, and the base64 with padding. */
size_t json_base64_size(size_t size);
void json_base64_format(slice bytes, uint8_t *ret_text);
/* Standard and URL-safe alphabet, with and without padding. ret_bytes holds 3 bytes for each 4 of text, rounded up. */
bool json_base64_parse(slice text, uint8_t *ret_bytes, size_t *ret_size) MUST_CHECK;

/* The shortest text that reads as the same number; "NaN", "Infinity", "-Infinity" with their quotes. By yyjson. */
size_t json_double_format(double value, char ret_text[JSON_DOUBLE_BYTES]);

#endif
