/* SPDX-License-Identifier: Apache-2.0
 * The names are stored in the environment: they are never changed. */
#include "aggregator/journal/journal_tables.h"

#include <assert.h>

fault_code journal_tables_open(struct kv *kv, struct journal_tables *ret_tables, struct fault *reterr) {
    struct journal_tables tables;
    const struct {
        const char *name;
        kv_table *table;
    } rows[] = {
        {"names", &tables.names},           {"aggregates", &tables.aggregates},
        {"windows", &tables.windows},       {"hours", &tables.hours},
        {"budgets", &tables.budgets},       {"facts", &tables.facts},
        {"marks", &tables.marks},           {"marks_by_time", &tables.marks_by_time},
        {"rejections", &tables.rejections}, {"rejections_by_tenant", &tables.rejections_by_tenant},
        {"replays", &tables.replays},       {"open", &tables.open},
        {"links", &tables.links},           {"expiries", &tables.expiries},
        {"cursors", &tables.cursors},       {"upkeep", &tables.upkeep},
    };
    static_assert(sizeof rows / sizeof *rows == JOURNAL_TABLES_COUNT, "each table is opened");
    for (size_t i = 0; i < JOURNAL_TABLES_COUNT; i++)
        if (kv_table_open(kv, rows[i].name, rows[i].table, reterr))
            return fault_wrap(reterr, "open table '%s' of the journal", rows[i].name);
    *ret_tables = tables;
    return FAULT_NONE;
}
