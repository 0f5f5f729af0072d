/* SPDX-License-Identifier: Apache-2.0
 * The commands of picket-aggregator that look at a data folder, copy it or move a tenant. Each gives the exit code: 0
 * done and good, 1 not, 2 not understood; results go to stdout, what went wrong and progress to stderr. */
#ifndef PICKET_ARCHIVE_ARCHIVE_COMMANDS_H
#define PICKET_ARCHIVE_ARCHIVE_COMMANDS_H

#include "aggregator/aggregator_settings.h"
#include "aggregator/command_line.h"

int verify_command(const struct command_line *line, const struct aggregator_settings *settings);
int backup_command(const struct command_line *line, const struct aggregator_settings *settings);
int restore_command(const struct command_line *line, const struct aggregator_settings *settings);
int take_over_command(const struct command_line *line, const struct aggregator_settings *settings);
int export_command(const struct command_line *line, const struct aggregator_settings *settings);
int import_command(const struct command_line *line, const struct aggregator_settings *settings);

#endif
