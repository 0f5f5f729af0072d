/* SPDX-License-Identifier: Apache-2.0
 * `${NAME}` in a value of the file: what the environment says, so that one file serves many nodes. Private to settings/.
 * Any thread. */
#ifndef PICKET_SETTINGS_SETTING_EXPAND_H
#define PICKET_SETTINGS_SETTING_EXPAND_H

#include "common/base/arena.h"
#include "common/base/fault.h"

/* `$${` is `${` itself; every other `$` stays as it is. What a variable holds is not looked at again. *ret_text has a NUL
 * behind, and is `text` itself when there is nothing to put in. environment: "NAME=value", NULL behind the last; NULL: empty.
 * FAULT_INPUT names the variable and never says what it holds: not set, not UTF-8, or no variable's name between the braces;
 * FAULT_LIMIT: the arena is full. */
fault_code setting_expand(slice text, char *const *environment, struct arena *arena, slice *ret_text,
                          struct fault *reterr) MUST_CHECK;

#endif
