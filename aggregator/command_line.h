/* SPDX-License-Identifier: Apache-2.0
 * What was asked of picket-aggregator: the words and options that its commands share. NULL: was not given. */
#ifndef PICKET_AGGREGATOR_COMMAND_LINE_H
#define PICKET_AGGREGATOR_COMMAND_LINE_H

#include <stdbool.h>

struct command_line {
    const char *config_path;
    bool check, messages, take_over;
    const char *words[2]; /* "token", "create"; NULL where there is none */
    const char *data_path, *tenant, *name, *role, *expires, *to, *from, *known;
};

#endif
