/* SPDX-License-Identifier: Apache-2.0
 * Lines of JSON and not records of protobuf: what a tenant takes away should be readable in ten years, by other programs
 * and by people, with nothing but the contract; `jq` and `gzip` work on it. It costs some three times the bytes. The
 * digest shows damage and truncation; it proves nothing about who wrote it. */
#include "aggregator/archive/export_file.h"

#include "aggregator/archive/hash_text.h"
#include "common/codec/codec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { READ_BYTES_FIRST = 64 * 1024 };

/* ---- writing ---- */

void export_writer_begin(struct export_writer *writer, FILE *file) {
    *writer = (struct export_writer){.file = file};
    digest_init(&writer->digest);
}

fault_code export_write(struct export_writer *writer, const ExportLine *line, struct arena *arena,
                        struct fault *reterr) {
    slice json;
    if (codec_encode_json(&ExportLine_desc, line, false, arena, &json, reterr))
        return fault_wrap(reterr, "write line %" PRIu64 " of the export", writer->lines + 1);
    if (fwrite(json.data, 1, json.size, writer->file) != json.size || putc('\n', writer->file) == EOF)
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "write line %" PRIu64 " of the export", writer->lines + 1);
    digest_feed(&writer->digest, json);
    digest_feed(&writer->digest, SLICE_LIT("\n"));
    writer->lines++;
    writer->facts += line->which_line == ExportLine_fact_tag;
    writer->aggregates += line->which_line == ExportLine_aggregate_tag;
    return FAULT_NONE;
}

fault_code export_end(struct export_writer *writer, struct arena *arena, struct fault *reterr) {
    uint8_t hash[DIGEST_BYTES];
    struct digest digest = writer->digest;
    digest_done(&digest, hash);
    ExportLine *line = arena_alloc(arena, sizeof *line);
    if (!line) return fault_set(reterr, FAULT_LIMIT, "end the export: out of memory");
    line->which_line = ExportLine_end_tag;
    line->line.end = (ExportEnd){.lines_count = writer->lines,
                                 .facts_count = writer->facts,
                                 .aggregates_count = writer->aggregates,
                                 .sha256 = hash_text_in(hash, arena)};
    const fault_code code = export_write(writer, line, arena, reterr);
    if (code) return code;
    return fflush(writer->file) ? fault_set_errno(reterr, FAULT_SYSTEM, errno, "end the export") : FAULT_NONE;
}

/* ---- reading ---- */

void export_reader_begin(struct export_reader *reader, FILE *file) {
    *reader = (struct export_reader){.file = file};
    digest_init(&reader->digest);
}

void export_reader_done(struct export_reader *reader) {
    free(reader->bytes);
    reader->bytes = NULL;
}

/* With its end, where it has one. FAULT_ABSENT: nothing is left. */
static fault_code line_read(struct export_reader *reader, slice *ret_line, struct fault *reterr) {
    size_t size = 0;
    for (int c; (c = getc_unlocked(reader->file)) != EOF;) {
        if (size == reader->capacity) {
            const size_t larger = reader->capacity ? 2 * reader->capacity : READ_BYTES_FIRST;
            uint8_t *bytes = larger <= EXPORT_LINE_BYTES_MAX * 2u ? realloc(reader->bytes, larger) : NULL;
            if (!bytes)
                return fault_set(reterr, FAULT_LIMIT, "line %" PRIu64 " is longer than %d bytes", reader->lines + 1,
                                 EXPORT_LINE_BYTES_MAX);
            reader->bytes = bytes;
            reader->capacity = larger;
        }
        reader->bytes[size++] = (uint8_t)c;
        if (c == '\n') break;
        if (size > EXPORT_LINE_BYTES_MAX)
            return fault_set(reterr, FAULT_LIMIT, "line %" PRIu64 " is longer than %d bytes", reader->lines + 1,
                             EXPORT_LINE_BYTES_MAX);
    }
    if (ferror(reader->file))
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "read line %" PRIu64, reader->lines + 1);
    *ret_line = slice_of(reader->bytes, size);
    return size ? FAULT_NONE : FAULT_ABSENT;
}

static fault_code end_check(const struct export_reader *reader, const ExportEnd *end, struct fault *reterr) {
    uint8_t hash[DIGEST_BYTES], noted[DIGEST_BYTES];
    struct digest digest = reader->digest;
    digest_done(&digest, hash);
    if (end->lines_count != reader->lines || end->facts_count != reader->facts ||
        end->aggregates_count != reader->aggregates)
        return fault_set(reterr, FAULT_INPUT,
                         "the last line counts %" PRIu64 " lines, %" PRIu64 " facts and %" PRIu64
                         " aggregates; there are %" PRIu64 ", %" PRIu64 " and %" PRIu64,
                         end->lines_count, end->facts_count, end->aggregates_count, reader->lines, reader->facts,
                         reader->aggregates);
    if (hash_text_parse(end->sha256, noted) && memcmp(noted, hash, DIGEST_BYTES) == 0) return FAULT_NONE;
    return fault_set(reterr, FAULT_INPUT,
                     "the lines do not have the SHA-256 that the last one says: the file is not as "
                     "it was written");
}

/* Names, facts with what was compacted among them, aggregates, and so on: as the numbers of the contract. */
static unsigned place_of(unsigned which) {
    return which == ExportLine_compacted_tag ? ExportLine_fact_tag : which;
}

static fault_code line_check(struct export_reader *reader, const ExportLine *line, struct fault *reterr) {
    const unsigned which = line->which_line;
    if (!reader->which && which != ExportLine_header_tag)
        return fault_set(reterr, FAULT_INPUT, "the first line is no header");
    if (reader->which && (which == ExportLine_header_tag || place_of(which) < place_of(reader->which)))
        return fault_set(reterr, FAULT_INPUT, "lines of this kind come before those above it");
    if (which == ExportLine_header_tag && line->line.header.format != EXPORT_FORMAT)
        return fault_set(reterr, FAULT_INPUT, "the export has format %u, this program knows %d",
                         line->line.header.format, EXPORT_FORMAT);
    if (which == ExportLine_end_tag) return end_check(reader, &line->line.end, reterr);
    if (which == ExportLine_fact_tag && line->line.fact.has_committed_at && line->line.fact.has_fact) return FAULT_NONE;
    if (which == ExportLine_aggregate_tag) {
        ExportLine shell = *line; /* without what is inside */
        shell.line.aggregate.which_state = 0;
        return codec_validate(&ExportLine_desc, &shell, reterr);
    }
    return codec_validate(&ExportLine_desc, line, reterr);
}

fault_code export_read(struct export_reader *reader, struct arena *arena, ExportLine *ret_line, struct fault *reterr) {
    slice text;
    fault_code code = line_read(reader, &text, reterr);
    const bool ended = reader->which == ExportLine_end_tag;
    if (code == FAULT_ABSENT && ended) return FAULT_ABSENT;
    if (code == FAULT_ABSENT)
        return fault_set(reterr, FAULT_INPUT, "it ends after line %" PRIu64 ", without the line that ends an export",
                         reader->lines);
    if (!code && ended) code = fault_set(reterr, FAULT_INPUT, "there is more behind the line that ends an export");
    if (!code && text.data[text.size - 1] != '\n')
        code = fault_set(reterr, FAULT_INPUT, "it ends in the middle of the line");
    if (!code)
        code = codec_decode_json(&ExportLine_desc, slice_first(text, text.size - 1), false, arena, ret_line, reterr);
    if (!code) code = line_check(reader, ret_line, reterr);
    if (code) return code == FAULT_SYSTEM ? code : fault_wrap(reterr, "line %" PRIu64, reader->lines + 1);
    digest_feed(&reader->digest, text);
    reader->lines++;
    reader->which = ret_line->which_line;
    reader->facts += ret_line->which_line == ExportLine_fact_tag;
    reader->aggregates += ret_line->which_line == ExportLine_aggregate_tag;
    return FAULT_NONE;
}
