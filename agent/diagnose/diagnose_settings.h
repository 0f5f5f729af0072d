/* SPDX-License-Identifier: Apache-2.0
 * The rows of `diagnostics.`: what the centre may have this agent look at. Without a row in `diagnostics.allow` it is
 * nothing. */
#ifndef PICKET_DIAGNOSE_DIAGNOSE_SETTINGS_H
#define PICKET_DIAGNOSE_DIAGNOSE_SETTINGS_H

#include "common/settings/settings.h"

struct diagnose_allow { /* one row; each list that is named must hold what is asked */
    struct setting_texts namespaces, kinds, verbs;
};

struct diagnose_settings {
    struct {
        struct diagnose_allow *items;
        size_t count;
    } allow;
    int64_t bytes_max, time_ms_max, lines_max;
    struct setting_texts mask, show_env;
    bool show_config_maps;
};

extern const struct setting_table diagnose_allow_table;

#define DIAGNOSE_ROWS(owner, member)                                                                                   \
    SETTING_LIST(owner, "diagnostics.allow", member.allow, &diagnose_allow_table, 64,                                  \
                 "what the centre may have this agent look at; none: nothing"),                                        \
        SETTING_ROW(owner, "diagnostics.bytes_max", BYTES, member.bytes_max, "256KiB", "1KiB", "960KiB",               \
                    "of one answer; the newest of a log, the first of all else"),                                      \
        SETTING_ROW(owner, "diagnostics.time_max", DURATION, member.time_ms_max, "30s", "1s", "5m",                    \
                    "for one answer, whatever is asked for"),                                                          \
        SETTING_ROW(owner, "diagnostics.lines_max", INT, member.lines_max, "2000", "1", "10000",                       \
                    "of a log, from its end"),                                                                         \
        SETTING_TEXTS(owner, "diagnostics.mask", member.mask, 32,                                                      \
                      "patterns of secrets besides the known ones, found anywhere in a line"),                         \
        SETTING_TEXTS(owner, "diagnostics.show_env", member.show_env, 256,                                             \
                      "names of environment variables whose values are shown; of all others they are masked"),         \
        SETTING_ROW(owner, "diagnostics.show_config_maps", BOOL, member.show_config_maps, "false", NULL, NULL,         \
                    "show the data of ConfigMaps, masked as any text; else their keys alone")

/* What rows cannot say: patterns that compile, kinds and verbs that exist. Adds mistakes. */
void diagnose_settings_check(struct settings *read, const struct diagnose_settings *settings);

#endif
