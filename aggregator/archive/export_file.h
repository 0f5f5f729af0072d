/* SPDX-License-Identifier: Apache-2.0
 * A tenant's export as bytes: one ExportLine of the contract (sre/archive/v1) a line, in the contract's JSON mapping. The
 * first line says whose it is, the last one how many lines there were and their SHA-256. Written and read as a stream:
 * one line is in memory at a time. One owner. */
#ifndef PICKET_ARCHIVE_EXPORT_FILE_H
#define PICKET_ARCHIVE_EXPORT_FILE_H

#include "common/base/arena.h"
#include "common/base/digest.h"
#include "common/base/fault.h"
#include "sre.pb.h"

#include <stdio.h>

enum { EXPORT_FORMAT = 1, EXPORT_LINE_BYTES_MAX = 48 * 1024 * 1024, EXPORT_ARENA_BYTES_MAX = 512 * 1024 * 1024 };

/* ---- writing ---- */

struct export_writer {
    FILE *file; /* the caller's */
    struct digest digest;
    uint64_t lines, facts, aggregates;
};
void export_writer_begin(struct export_writer *writer, FILE *file);
/* The arena is scratch: the caller resets it. */
fault_code export_write(struct export_writer *writer, const ExportLine *line, struct arena *arena,
                        struct fault *reterr) MUST_CHECK;
/* The last line; the file is flushed. */
fault_code export_end(struct export_writer *writer, struct arena *arena, struct fault *reterr) MUST_CHECK;

/* ---- reading ---- */

struct export_reader {
    FILE *file; /* the caller's */
    struct digest digest;
    uint64_t lines, facts, aggregates;
    unsigned which; /* of the last line */
    uint8_t *bytes;
    size_t capacity;
};
void export_reader_begin(struct export_reader *reader, FILE *file);
void export_reader_done(struct export_reader *reader);
/* The next line, decoded into the arena and held to the contract's constraints, but for what facts and aggregates hold
 * inside: that was checked when they were made. Lines come in their order; behind the last one FAULT_ABSENT. FAULT_INPUT
 * names the line and what is wrong with it: a last line whose counts or digest do not fit, too, and a file that ends
 * without one. FAULT_LIMIT: a line is over EXPORT_LINE_BYTES_MAX. */
fault_code export_read(struct export_reader *reader, struct arena *arena, ExportLine *ret_line,
                       struct fault *reterr) MUST_CHECK;

#endif
