/* SPDX-License-Identifier: Apache-2.0
 * The read tables: one SQLite file, made from facts by one consumer of the outbox, read by any number of readers. Rows
 * and cursor are in the same transaction; a file that is missing, damaged, of another version or ahead of the journal
 * is made anew from the first fact. */
#ifndef PICKET_PROJECTIONS_PROJECTIONS_H
#define PICKET_PROJECTIONS_PROJECTIONS_H

#include "aggregator/outbox/outbox.h"
#include "common/store/sql.h"

struct projections;

struct projections_settings {
    const char *path;        /* of the SQLite file */
    unsigned readers;        /* connections for queries */
    unsigned retention_days; /* windows and hours older than this, by the facts' own time, are deleted; 0: 100 */
    uint64_t (*newest_sequence)(
        void *context); /* the journal's end; NULL: the cursor is believed, no progress is told */
    void *newest_context;
};

fault_code projections_open(const struct projections_settings *settings, struct projections **ret_projections,
                            struct fault *reterr) MUST_CHECK;
struct projections *projections_close(struct projections *projections); /* after outbox_stop and the last reader */

/* Its name as a consumer. */
#define PROJECTIONS_NAME "projections"

/* The row for outbox_add. */
struct outbox_consumer projections_consumer(struct projections *projections);

/* Any thread; blocks while all readers are in use. */
struct sql *projections_take_reader(struct projections *projections);
void projections_give_reader(struct projections *projections, struct sql *reader);

/* The last sequence that readers see. Any thread. */
uint64_t projections_sequence(const struct projections *projections);

/* For the test that no fact is forgotten: how the tables treat this oneof field of SreDomainFact. */
enum projections_treatment { PROJECTIONS_UNKNOWN, PROJECTIONS_FOLDED, PROJECTIONS_IGNORED };
enum projections_treatment projections_treat(uint32_t fact_number);

#endif
