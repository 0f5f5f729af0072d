/* SPDX-License-Identifier: Apache-2.0
 * Items of an answer as a table for people. */
#ifndef PICKET_CTL_CTL_TABLE_H
#define PICKET_CTL_CTL_TABLE_H

#include "aggregator/ctl/ctl_resources.h"
#include "aggregator/ctl/ctl_tree.h"

/* Adds a head and a row for each item at `items` ("series.points": of each series its points); nothing when
 * there is none. newest: only the last so many of each list (0: all). now_ms: for ages. arena: for the cells. Returns the count of rows. */
size_t ctl_table_add(struct text *text, const struct ctl_resource *resource, const struct yaml_node *root,
                     size_t newest, int64_t now_ms, struct arena *arena);
/* In place: nothing that came from outside may move the cursor, or turn what stands around it (UAX #9, 2: embeddings,
 * overrides and isolates become U+FFFD). lines: line feeds stay. */
void ctl_tame(slice text, bool lines);
/* One cell, without padding and without control characters. */
slice ctl_cell(const struct ctl_column *column, const struct yaml_node *item, const struct yaml_node *parent,
               int64_t now_ms, struct arena *arena);
/* "SEVERITY_HIGH" as "high"; what is of no known enum as it is. */
slice ctl_enum_word(slice text, struct arena *arena);
/* A timestamp as "12s ago"; what is none as it is. */
slice ctl_age(slice text, int64_t now_ms, struct arena *arena);
/* RFC 3339 in UTC to milliseconds since 1970; false when it is none. */
bool ctl_time_parse(slice text, int64_t *ret_ms);
/* The other way, as a JSON string, with milliseconds. */
void ctl_time_add(struct text *text, int64_t at_ms);

#endif
