/* SPDX-License-Identifier: Apache-2.0
 * The tables of the journal's one environment, with their keys. Numbers in keys are big-endian, so that byte order
 * is number order; tenant, slo and source numbers come from names.h. */
#ifndef PICKET_JOURNAL_JOURNAL_TABLES_H
#define PICKET_JOURNAL_JOURNAL_TABLES_H

#include "common/store/kv.h"

struct journal_tables {
    kv_table names;                /* kind 1, scope 4, text -> number 4; kind 0 alone -> the last number given */
    kv_table aggregates;           /* tenant 4, kind 1, id -> version 8, encoded message */
    kv_table windows;              /* tenant 4, window start (s) 8, slo 4, source 4 -> what was counted */
    kv_table hours;                /* tenant 4, slo 4, hour 4 -> counts of that hour */
    kv_table budgets;              /* tenant 4, slo 4 -> see slo_rest.c */
    kv_table facts;                /* sequence 8 -> see fact_log.c */
    kv_table marks;                /* kind 1, ... -> see mark_table.c */
    kv_table marks_by_time;        /* time (ms) 8, counter 8 -> key in marks, CRC32C 4 */
    kv_table rejections;           /* sequence 8 -> see rejection_list.c */
    kv_table rejections_by_tenant; /* tenant name, 0, sequence 8 -> nothing */
    kv_table replays;              /* sequence in rejections 8 -> time (ms) 8, by whom */
    kv_table open;                 /* tenant 4, kind 1, inverted time (ms) 8, id -> nothing */
    kv_table links;                /* tenant 4, kind 1, id pointed to, 0, id that points -> nothing */
    kv_table expiries;             /* time (ms) 8, tenant 4, kind 1, id -> tenant name */
    kv_table cursors;              /* consumer's name -> sequence 8 */
    kv_table upkeep;               /* task's name -> how far it is, 8 */
};

/* Tables that an environment opened for reading does not have are KV_TABLE_NONE. */
enum { JOURNAL_TABLES_COUNT = 16 };

fault_code journal_tables_open(struct kv *kv, struct journal_tables *ret_tables, struct fault *reterr) MUST_CHECK;

#endif
