/* SPDX-License-Identifier: Apache-2.0
 * Words in, words out: the work is that of the modules beside this one. */
#include "aggregator/archive/archive_commands.h"

#include "aggregator/archive/backup.h"
#include "aggregator/archive/folder_files.h"
#include "aggregator/archive/hash_text.h"
#include "aggregator/archive/tenant_import.h"
#include "aggregator/archive/verify.h"
#include "aggregator/data_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARENA_BYTES_MAX = 256 * 1024 * 1024, PATH_BYTES = 512, FINDING_BYTES = 1024 };

static int fail(const struct fault *fault) {
    fprintf(stderr, "picket-aggregator: %s\n", fault->text);
    return 1;
}

static int misused(const char *what) {
    fprintf(stderr, "picket-aggregator: %s. Try 'picket-aggregator --help'.\n", what);
    return 2;
}

static void journal_path(const struct aggregator_settings *settings, char ret_path[PATH_BYTES]) {
    snprintf(ret_path, PATH_BYTES, "%.*s/" DATA_JOURNAL, SLICE_ARG(settings->data.path));
}

/* ---- verify ---- */

/* "1234:<64 hexadecimal digits>", as verify prints it. */
static bool known_read(const char *text, struct verify_settings *settings) {
    char *end;
    settings->known_sequence = strtoull(text, &end, 10);
    return settings->known_sequence && *end == ':' && hash_text_parse(slice_from_text(end + 1), settings->known_hash);
}

static void verify_print(const struct verify_result *r) {
    char hash[HASH_TEXT_BYTES];
    hash_text(r->end.last_hash, hash);
    const double chain = r->chain_seconds > 0 ? r->chain_seconds : 1e-9;
    printf("%s: %" PRIu64 " facts and %" PRIu64 " compacted ones (%.3f GB in %.2f s, %.2f GB/s, %u threads), %" PRIu64
           " aggregates, %" PRIu64 " other records; %.2f s in all\n",
           r->finding.kind ? "not whole" : "whole", r->end.facts, r->end.compacted, (double)r->bytes / 1e9,
           r->chain_seconds, (double)r->bytes / 1e9 / chain, r->threads, r->aggregates, r->records, r->seconds);
    if (!r->finding.kind && r->end.last_sequence) printf("last fact %" PRIu64 ":%s\n", r->end.last_sequence, hash);
}

int verify_command(const struct command_line *line, const struct aggregator_settings *settings) {
    char path[PATH_BYTES], text[FINDING_BYTES];
    struct fault fault;
    struct verify_result result;
    struct verify_settings verify = {.path = path, .messages = line->messages};
    journal_path(settings, path);
    if (line->known && !known_read(line->known, &verify))
        return misused("--known takes SEQUENCE:HASH, as verify prints the last fact");
    if (verify_journal_apart(&verify, &result, &fault)) return fail(&fault);
    verify_print(&result);
    if (!result.finding.kind) return 0;
    finding_print(&result.finding, text, sizeof text);
    fprintf(stderr, "picket-aggregator: %s\n", text);
    return 1;
}

/* ---- backup, restore ---- */

static void manifest_print(const char *what, const char *where, const BackupManifest *manifest) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < manifest->files.count; i++) bytes += manifest->files.items[i].size_bytes;
    printf("%s '%s': %" PRIu64 " facts, %" PRIu64 " aggregates, %.3f GB%s\nlast fact %" PRIu64 ":%.*s\n", what, where,
           manifest->facts_count, manifest->aggregates_count, (double)bytes / 1e9,
           manifest->files.count > 1 ? ", tokens" : ", no tokens", manifest->last_sequence,
           SLICE_ARG(manifest->last_hash));
}

int backup_command(const struct command_line *line, const struct aggregator_settings *settings) {
    struct fault fault;
    BackupManifest manifest;
    if (!line->to) return misused("backup needs --to FOLDER");
    struct arena *arena = arena_new(64 * 1024, ARENA_BYTES_MAX);
    if (!arena) return 1;
    const fault_code code = backup_make(setting_text(settings->data.path), line->to, arena, &manifest, &fault);
    if (!code) manifest_print("backed up to", line->to, &manifest);
    arena_free(arena);
    return code ? fail(&fault) : 0;
}

int restore_command(const struct command_line *line, const struct aggregator_settings *settings) {
    struct fault fault;
    BackupManifest manifest;
    if (!line->from) return misused("restore needs --from FOLDER");
    struct arena *arena = arena_new(64 * 1024, ARENA_BYTES_MAX);
    if (!arena) return 1;
    const char *data_path = setting_text(settings->data.path);
    const fault_code code = backup_restore(data_path, line->from, !line->take_over, arena, &manifest, &fault);
    if (!code) {
        manifest_print("verified and restored into", data_path, &manifest);
        puts("start picket-aggregator: it builds its projections again, and /readyz says when they have caught up");
        if (!line->take_over)
            puts("it stands by, off the broker; where no other aggregator runs any more, 'picket-aggregator take-over' "
                 "makes it the centre");
    }
    arena_free(arena);
    return code ? fail(&fault) : 0;
}

int take_over_command(const struct command_line *line, const struct aggregator_settings *settings) {
    struct fault fault;
    const fault_code code = data_folder_take_over(setting_text(settings->data.path), &fault);
    if (code && code != FAULT_ABSENT) return fail(&fault);
    if (code)
        printf("nothing to do: %s\n", fault.text);
    else
        puts("it is the centre now: a running picket-aggregator connects within a second, another when it starts");
    return 0;
}

/* ---- export, import ---- */

static void counts_print(FILE *to, const char *what, const char *tenant, const struct export_counts *counts) {
    fprintf(to,
            "%s tenant %s: %" PRIu64 " facts and %" PRIu64 " compacted ones, %" PRIu64 " aggregates, %" PRIu64
            " windows, %" PRIu64 " hours, %" PRIu64 " marks of what is done, %" PRIu64 " rejections; %" PRIu64
            " lines\n",
            what, tenant, counts->facts, counts->compacted, counts->aggregates, counts->windows, counts->hours,
            counts->marks, counts->rejections, counts->lines);
}

/* The file gets its name when it is whole and on the disk. */
static fault_code export_to_file(const char *path, const char *tenant, const char *to, struct export_counts *ret_counts,
                                 struct fault *reterr) {
    char partial[FOLDER_PATH_BYTES];
    if (access(to, F_OK) == 0)
        return fault_set(reterr, FAULT_CONFLICT, "'%s' is there already; nothing was changed", to);
    if (snprintf(partial, sizeof partial, "%s.partial", to) >= FOLDER_PATH_BYTES)
        return fault_set(reterr, FAULT_LIMIT, "the path '%.80s...' is too long", to);
    const int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!file) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "make '%s'", partial);
    fault_code code = tenant_export(path, slice_from_text(tenant), file, false, ret_counts, reterr);
    if (!code && fsync(fileno(file)))
        code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s' to the disk", partial);
    if (fclose(file) && !code) code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s'", partial);
    if (!code && rename(partial, to)) code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "make '%s'", to);
    if (code) (void)unlink(partial);
    return code;
}

int export_command(const struct command_line *line, const struct aggregator_settings *settings) {
    char path[PATH_BYTES];
    struct fault fault;
    struct export_counts counts;
    if (!line->tenant) return misused("export needs --tenant T");
    journal_path(settings, path);
    const fault_code code = line->to
                                ? export_to_file(path, line->tenant, line->to, &counts, &fault)
                                : tenant_export(path, slice_from_text(line->tenant), stdout, false, &counts, &fault);
    if (code) return fail(&fault);
    counts_print(line->to ? stdout : stderr, "exported", line->tenant, &counts);
    return 0;
}

static fault_code import_from(const struct import_settings *import, const char *data_path, FILE *from,
                              struct import_result *ret_result, struct fault *reterr) {
    int lock;
    fault_code code = data_folder_lock(data_path, &lock, reterr);
    if (code) return code;
    code = data_folder_finished(data_path, reterr);
    if (!code) code = tenant_import(import, from, ret_result, reterr);
    close(lock);
    return code;
}

int import_command(const struct command_line *line, const struct aggregator_settings *settings) {
    char path[PATH_BYTES];
    struct fault fault;
    struct import_result result;
    if (!line->tenant || !line->from) return misused("import needs --tenant T and --from FILE (- for stdin)");
    journal_path(settings, path);
    const struct import_settings import = {.path = path,
                                           .map_bytes = (uint64_t)settings->data.map_bytes,
                                           .rejections_max = (uint64_t)settings->journal.rejections_max,
                                           .tenant = slice_from_text(line->tenant)};
    FILE *from = strcmp(line->from, "-") == 0 ? stdin : fopen(line->from, "rbe");
    if (!from) {
        fault_set_errno(&fault, FAULT_SYSTEM, errno, "open '%s'", line->from);
        return fail(&fault);
    }
    const fault_code code = import_from(&import, setting_text(settings->data.path), from, &result, &fault);
    if (from != stdin) fclose(from);
    if (code) return fail(&fault);
    counts_print(stdout, "imported", line->tenant, &result.counts);
    if (result.last_sequence)
        printf("its facts are %" PRIu64 " to %" PRIu64
               " of this journal; make its tokens and start picket-aggregator\n",
               result.first_sequence, result.last_sequence);
    return 0;
}
