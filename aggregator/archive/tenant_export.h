/* SPDX-License-Identifier: Apache-2.0
 * Everything of one tenant out of a journal, as of one commit, beside a running aggregator too: facts, aggregates with
 * their versions, windows and hours of budgets, what is known to be done (so that repeats stay repeats), rejections. Not
 * in it: sequences and hashes of the chain, which belong to the journal; tokens; what is derived. One thread. */
#ifndef PICKET_ARCHIVE_TENANT_EXPORT_H
#define PICKET_ARCHIVE_TENANT_EXPORT_H

#include "aggregator/archive/export_file.h"

enum { EXPORT_NAMES_MAX = 16 * 1024 * 1024 };

struct export_counts {
    uint64_t lines, facts, compacted, aggregates, windows, hours, marks, rejections;
};

/* path: of the journal. Memory: one line, and some 40 bytes and the text of each name (SLOs, agents, sources;
 * EXPORT_NAMES_MAX). FAULT_ABSENT: the journal knows no such tenant. FAULT_CORRUPT: a record of the tenant does not
 * open, or holds what this program does not know: an export holds all or is none. */
fault_code tenant_export(const char *path, slice tenant, FILE *to, bool quiet, struct export_counts *ret_counts,
                         struct fault *reterr) MUST_CHECK;

#endif
