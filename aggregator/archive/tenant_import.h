/* SPDX-License-Identifier: Apache-2.0
 * A tenant's export into a journal that has nothing of that tenant, all of it or nothing: one transaction, committed
 * with a full sync behind the last line. Message ids, versions, times and actors stay; sequences and hashes are this
 * journal's. Offline: the caller holds the data folder's lock. One thread. */
#ifndef PICKET_ARCHIVE_TENANT_IMPORT_H
#define PICKET_ARCHIVE_TENANT_IMPORT_H

#include "aggregator/archive/tenant_export.h"

struct import_settings {
    const char *path;        /* of the journal; made when it is not there */
    uint64_t map_bytes;      /* as the aggregator's */
    uint64_t rejections_max; /* 0: 100,000 */
    slice tenant;            /* must be the one in the file */
    bool quiet;
};
struct import_result {
    struct export_counts counts;
    uint64_t first_sequence, last_sequence; /* of its facts; 0: it has none */
};

/* FAULT_CONFLICT: the journal has something of the tenant. FAULT_INPUT: the file is not a whole export, or what it says
 * does not fit together; the text names the line. Nothing has changed then, nor after any other fault. Memory: one
 * line, 8 bytes a name, 56 an aggregate, and what LMDB keeps of a large transaction (512 MiB of pages; more go to the
 * file early, unreachable until the commit). */
fault_code tenant_import(const struct import_settings *settings, FILE *from, struct import_result *ret_result,
                         struct fault *reterr) MUST_CHECK;

#endif
