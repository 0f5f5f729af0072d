/* SPDX-License-Identifier: Apache-2.0
 * `picket-aggregator token create | revoke | list`. */
#ifndef PICKET_AGGREGATOR_TOKEN_COMMANDS_H
#define PICKET_AGGREGATOR_TOKEN_COMMANDS_H

#include "aggregator/aggregator_settings.h"
#include "aggregator/command_line.h"

/* The exit code; says on stderr what went wrong. */
int token_command(const struct command_line *line, const struct aggregator_settings *settings);

#endif
