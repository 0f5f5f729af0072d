/* SPDX-License-Identifier: Apache-2.0
 * One scalar: its grammar, its bounds, and how a person is told about both. Private to settings/. Any thread.
 */
#ifndef PICKET_SETTINGS_SETTING_VALUE_H
#define PICKET_SETTINGS_SETTING_VALUE_H

#include "common/settings/settings.h"

/* Whether the kind is written as one scalar. */
bool setting_is_scalar(enum setting_kind kind);
/* Bytes of the struct member that the kind fills. */
size_t setting_member_bytes(enum setting_kind kind);
/* "a duration such as 30s or 1m30s", "one of debug, info" ... for messages; lives in `buffer`. */
const char *setting_expected(const struct setting_row *row, char *buffer, size_t buffer_size);
/* Parses, checks the bounds, stores into *member; text is copied into the arena. The message of a FAULT_INPUT
 * does not repeat a secret. */
fault_code setting_store(const struct setting_row *row, slice text, struct arena *arena, void *member,
                         struct fault *reterr) MUST_CHECK;

#endif
