/* SPDX-License-Identifier: Apache-2.0
 * A backup grows in "<to>.partial" and gets its name by one rename, when everything in it is on the disk and the copied
 * journal has been followed from end to end. A restore grows in the data folder as "journal.partial", which a starting
 * aggregator refuses, and becomes the journal by one rename, the last step. What an interrupted one left behind is
 * cleared by the next. */
#include "aggregator/archive/backup.h"

#include "aggregator/archive/folder_files.h"
#include "aggregator/archive/hash_text.h"
#include "aggregator/archive/verify.h"
#include "aggregator/data_folder.h"
#include "common/base/clock.h"
#include "common/codec/codec.h"
#include "common/store/kv_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

enum { FORMAT = 1, MANIFEST_BYTES_MAX = 64 * 1024, FILES = 2 };
static const char manifest_name[] = "manifest.json", store_name[] = DATA_JOURNAL "/data.mdb";
/* What may lie in a folder of ours that was not finished, deepest first. */
static const char *const leftovers[] = {store_name, DATA_JOURNAL "/lock.mdb", DATA_JOURNAL, DATA_TOKENS, manifest_name,
                                        NULL};

static fault_code drop_all(const char *folder, const char *const names[], struct fault *reterr) {
    for (; *names; names++)
        if (folder_drop(folder, *names, reterr)) return FAULT_SYSTEM;
    return FAULT_NONE;
}

static fault_code sync_parent(const char *path, struct fault *reterr) {
    char parent[FOLDER_PATH_BYTES];
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') size--;
    while (size && path[size - 1] != '/') size--;
    snprintf(parent, sizeof parent, "%.*s", size ? (int)size : 1, size ? path : ".");
    return folder_sync(parent, reterr);
}

/* FAULT_CORRUPT with the sentence when it is not whole. */
static fault_code verify_whole(const struct verify_settings *settings, struct verify_result *ret_result,
                               struct fault *reterr) {
    char text[400];
    const fault_code code = verify_journal_apart(settings, ret_result, reterr);
    if (code || !ret_result->finding.kind) return code;
    finding_print(&ret_result->finding, text, sizeof text);
    return fault_set(reterr, FAULT_CORRUPT, "%s", text);
}

/* ---- backup ---- */

static fault_code partial_open(const char *to, char ret_partial[FOLDER_PATH_BYTES], int *ret_fd, struct fault *reterr) {
    const char *const nothing[] = {NULL};
    if (folder_is_free(to, nothing, "the target", reterr)) return reterr->code;
    if (snprintf(ret_partial, FOLDER_PATH_BYTES, "%s.partial", to) >= FOLDER_PATH_BYTES)
        return fault_set(reterr, FAULT_LIMIT, "the path '%.80s...' is too long", to);
    if (folder_make(ret_partial, reterr)) return FAULT_SYSTEM;
    const int fd = open(ret_partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "open '%s'", ret_partial);
    fault_code code = FAULT_NONE;
    if (flock(fd, LOCK_EX | LOCK_NB)) code = fault_set(reterr, FAULT_CONFLICT, "another backup to '%s' is at work", to);
    if (!code) code = drop_all(ret_partial, leftovers, reterr);
    if (!code) code = folder_is_free(ret_partial, nothing, "the folder for the unfinished backup", reterr);
    if (code)
        close(fd);
    else
        *ret_fd = fd;
    return code;
}

/* The source, before it is copied: LMDB follows a page that was written to a wrong place, and a copy made through one is whole
 * and not what was there. */
static fault_code source_check(const char *from, struct kv *kv, struct fault *reterr) {
    enum { TRIES = 10000 }; /* a busy writer commits between the two steps */
    fault_code code = FAULT_AGAIN;
    for (int tries = 0; code == FAULT_AGAIN && tries < TRIES; tries++) {
        struct kv_txn *txn;
        struct kv_file *file = NULL;
        if (kv_begin_read(kv, &txn, reterr)) return reterr->code;
        code = kv_file_open(from, kv_snapshot(txn), &file, reterr);
        if (!code) code = kv_file_walk(file, reterr);
        kv_file_close(file);
        kv_abort(txn);
    }
    if (code == FAULT_AGAIN) return fault_set(reterr, code, "the journal is too busy to look at one commit");
    return code ? fault_wrap(reterr, "the pages of the journal are damaged, nothing is backed up") : FAULT_NONE;
}

static fault_code journal_copy(const char *data_path, const char *partial, struct fault *reterr) {
    char from[FOLDER_PATH_BYTES], folder[FOLDER_PATH_BYTES], file[FOLDER_PATH_BYTES];
    if (folder_join(data_path, DATA_JOURNAL, from, reterr) || folder_join(partial, DATA_JOURNAL, folder, reterr) ||
        folder_join(partial, store_name, file, reterr) || folder_make(folder, reterr))
        return reterr->code;
    struct kv *kv;
    fault_code code = kv_open_read(from, 1, CHAIN_THREADS_MAX, &kv, reterr);
    if (code) return code;
    code = source_check(from, kv, reterr);
    if (!code) code = kv_copy(kv, file, reterr);
    kv_close(kv);
    return code ? code : folder_sync(folder, reterr);
}

static fault_code file_note(const char *folder, const char *name, BackupFile *ret_file, struct arena *arena,
                            struct fault *reterr) {
    char path[FOLDER_PATH_BYTES];
    uint8_t hash[DIGEST_BYTES];
    if (folder_join(folder, name, path, reterr)) return FAULT_LIMIT;
    *ret_file = (BackupFile){.name = slice_from_text(name)};
    const fault_code code = file_digest(path, NULL, hash, &ret_file->size_bytes, reterr);
    if (code) return code;
    ret_file->sha256 = hash_text_in(hash, arena);
    return ret_file->sha256.data ? FAULT_NONE : fault_set(reterr, FAULT_LIMIT, "out of memory");
}

static fault_code manifest_write(const char *partial, const BackupManifest *manifest, struct arena *arena,
                                 struct fault *reterr) {
    char path[FOLDER_PATH_BYTES];
    slice json;
    fault_code code = codec_encode_json(&BackupManifest_desc, manifest, true, arena, &json, reterr);
    if (!code) code = folder_join(partial, manifest_name, path, reterr);
    if (code) return code;
    const slice text = arena_format(arena, "%.*s\n", SLICE_ARG(json));
    return text.data ? file_write(path, text, reterr) : fault_set(reterr, FAULT_LIMIT, "out of memory");
}

static fault_code manifest_make(const char *partial, const struct verify_result *verified, struct arena *arena,
                                BackupManifest *manifest, struct fault *reterr) {
    const int64_t now_ms = clock_wall_ms();
    BackupFile *files = arena_alloc_array(arena, FILES, sizeof *files);
    const slice hash = hash_text_in(verified->end.last_hash, arena);
    if (!files || !hash.data) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    *manifest = (BackupManifest){
        .format = FORMAT,
        .made_by = SLICE_LIT("picket-aggregator " PICKET_VERSION),
        .has_made_at = true,
        .made_at = {.seconds = now_ms / 1000, .nanos = (int32_t)(now_ms % 1000) * 1000000},
        .last_sequence = verified->end.last_sequence,
        .last_hash = hash,
        .facts_count = verified->end.facts,
        .compacted_facts_count = verified->end.compacted,
        .aggregates_count = verified->aggregates,
        .files = {.items = files, .count = 1},
    };
    fault_code code = file_note(partial, store_name, &files[0], arena, reterr);
    if (code) return code;
    code = file_note(partial, DATA_TOKENS, &files[1], arena, reterr);
    if (code == FAULT_NONE) manifest->files.count = 2;
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

static fault_code partial_fill(const char *data_path, const char *partial, int lock, struct arena *arena,
                               BackupManifest *manifest, struct fault *reterr) {
    char tokens[FOLDER_PATH_BYTES], copy[FOLDER_PATH_BYTES], journal[FOLDER_PATH_BYTES];
    uint8_t hash[DIGEST_BYTES];
    uint64_t bytes;
    struct verify_result verified;
    if (folder_join(data_path, DATA_TOKENS, tokens, reterr) || folder_join(partial, DATA_TOKENS, copy, reterr) ||
        folder_join(partial, DATA_JOURNAL, journal, reterr))
        return reterr->code;
    fault_code code = journal_copy(data_path, partial, reterr);
    if (code) return code;
    code = file_digest(tokens, copy, hash, &bytes, reterr);
    if (code && code != FAULT_ABSENT) return code;
    const struct verify_settings settings = {.path = journal, .lock = lock};
    code = verify_whole(&settings, &verified, reterr);
    if (code) return fault_wrap(reterr, "the copied journal is not whole, the backup is not kept");
    code = folder_drop(partial, DATA_JOURNAL "/lock.mdb", reterr);
    if (!code) code = manifest_make(partial, &verified, arena, manifest, reterr);
    if (!code) code = manifest_write(partial, manifest, arena, reterr);
    if (!code) code = folder_sync(journal, reterr);
    return code ? code : folder_sync(partial, reterr);
}

fault_code backup_make(const char *data_path, const char *target, struct arena *arena, BackupManifest *ret_manifest,
                       struct fault *reterr) {
    char to[FOLDER_PATH_BYTES], partial[FOLDER_PATH_BYTES];
    int fd = -1;
    size_t size = strlen(target);
    while (size > 1 && target[size - 1] == '/') size--; /* "backup/" is "backup" */
    if (size >= sizeof to) return fault_set(reterr, FAULT_LIMIT, "the path '%.80s...' is too long", target);
    memcpy(to, target, size);
    to[size] = '\0';
    fault_code code = partial_open(to, partial, &fd, reterr);
    if (code) return fault_wrap(reterr, "back up to '%s'", to);
    code = partial_fill(data_path, partial, fd, arena, ret_manifest, reterr);
    if (!code && rename(partial, to)) /* takes the place of an empty folder, of nothing else */
        code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "give '%s' its name", partial);
    if (!code) code = sync_parent(to, reterr);
    if (code && drop_all(partial, leftovers, NULL) == FAULT_NONE) (void)rmdir(partial);
    close(fd);
    return code ? fault_wrap(reterr, "back up to '%s'", to) : FAULT_NONE;
}

/* ---- restore ---- */

static fault_code manifest_read(const char *from, struct arena *arena, BackupManifest *ret_manifest,
                                struct fault *reterr) {
    char path[FOLDER_PATH_BYTES];
    slice json;
    if (folder_join(from, manifest_name, path, reterr)) return FAULT_LIMIT;
    fault_code code = file_read(path, MANIFEST_BYTES_MAX, arena, &json, reterr);
    if (code == FAULT_ABSENT) return fault_set(reterr, FAULT_INPUT, "it holds no %s: it is no backup", manifest_name);
    if (code) return code;
    code = codec_decode_json(&BackupManifest_desc, json, true, arena, ret_manifest, reterr);
    if (!code) code = codec_validate(&BackupManifest_desc, ret_manifest, reterr);
    if (code) return fault_wrap(reterr, "read '%s'", path);
    if (ret_manifest->format != FORMAT)
        return fault_set(reterr, FAULT_INPUT, "it has format %u, this program knows %d: a newer one made it",
                         ret_manifest->format, FORMAT);
    return FAULT_NONE;
}

static const BackupFile *file_named(const BackupManifest *manifest, const char *name) {
    for (size_t i = 0; i < manifest->files.count; i++)
        if (slice_equal_text(manifest->files.items[i].name, name)) return &manifest->files.items[i];
    return NULL;
}

static fault_code file_restore(const char *from, const BackupFile *file, const char *name, const char *to,
                               struct fault *reterr) {
    char path[FOLDER_PATH_BYTES];
    uint8_t hash[DIGEST_BYTES], noted[DIGEST_BYTES];
    uint64_t bytes;
    if (folder_join(from, name, path, reterr)) return FAULT_LIMIT;
    const fault_code code = file_digest(path, to, hash, &bytes, reterr);
    if (code) return code;
    if (bytes == file->size_bytes && hash_text_parse(file->sha256, noted) && !memcmp(hash, noted, DIGEST_BYTES))
        return FAULT_NONE;
    return fault_set(reterr, FAULT_CORRUPT,
                     "'%s' is not the file that was backed up: its size or SHA-256 is not that of the manifest", path);
}

/* What a restore leaves in the data folder until its last step, deepest first. */
static const char *const unfinished[] = {DATA_UNFINISHED "/data.mdb", DATA_UNFINISHED "/lock.mdb",
                                         DATA_UNFINISHED "/tokens", DATA_UNFINISHED, NULL};

static fault_code data_fill(const char *data_path, const char *from, const BackupManifest *manifest, int lock,
                            struct fault *reterr) {
    char folder[FOLDER_PATH_BYTES], store[FOLDER_PATH_BYTES], tokens[FOLDER_PATH_BYTES];
    const BackupFile *files[FILES] = {file_named(manifest, store_name), file_named(manifest, DATA_TOKENS)};
    if (!files[0]) return fault_set(reterr, FAULT_INPUT, "its manifest names no %s", store_name);
    if (folder_join(data_path, DATA_UNFINISHED, folder, reterr) || folder_join(folder, "data.mdb", store, reterr) ||
        folder_join(folder, "tokens", tokens, reterr) || folder_make(folder, reterr))
        return reterr->code;
    fault_code code = file_restore(from, files[0], store_name, store, reterr);
    if (!code && files[1]) code = file_restore(from, files[1], DATA_TOKENS, tokens, reterr);
    if (code) return code;
    struct verify_settings settings = {.path = folder, .known_sequence = manifest->last_sequence, .lock = lock};
    if (!hash_text_parse(manifest->last_hash, settings.known_hash))
        return fault_set(reterr, FAULT_INPUT, "the lastHash of its manifest is none");
    struct verify_result verified;
    code = verify_whole(&settings, &verified, reterr);
    if (!code && verified.end.last_sequence != manifest->last_sequence)
        code = fault_set(reterr, FAULT_CORRUPT, "its last fact is %" PRIu64 ", its manifest says %" PRIu64,
                         verified.end.last_sequence, manifest->last_sequence);
    if (!code) code = folder_drop(folder, "lock.mdb", reterr);
    return code ? code : folder_sync(folder, reterr);
}

/* Tokens first: with the journal everything is there. */
static fault_code data_switch(const char *data_path, bool with_tokens, struct fault *reterr) {
    char folder[FOLDER_PATH_BYTES], journal[FOLDER_PATH_BYTES], from[FOLDER_PATH_BYTES], tokens[FOLDER_PATH_BYTES];
    if (folder_join(data_path, DATA_UNFINISHED, folder, reterr) || folder_join(folder, "tokens", from, reterr) ||
        folder_join(data_path, DATA_JOURNAL, journal, reterr) || folder_join(data_path, DATA_TOKENS, tokens, reterr))
        return reterr->code;
    if (with_tokens && rename(from, tokens))
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "put '%s' in its place", tokens);
    if (rename(folder, journal)) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "put '%s' in its place", journal);
    const fault_code code = folder_sync(data_path, reterr);
    return code ? code : sync_parent(data_path, reterr);
}

fault_code backup_restore(const char *data_path, const char *from, bool stands_by, struct arena *arena,
                          BackupManifest *ret_manifest, struct fault *reterr) {
    const char *const ours[] = {DATA_LOCK, NULL};
    /* Tokens may stand in their place already when the last step was interrupted. */
    const char *const interrupted[] = {DATA_LOCK, DATA_UNFINISHED, DATA_TOKENS, DATA_STANDBY, NULL};
    int lock = -1;
    fault_code code = manifest_read(from, arena, ret_manifest, reterr);
    if (!code) code = data_folder_lock(data_path, &lock, reterr);
    const bool again = !code && data_folder_finished(data_path, NULL) != FAULT_NONE;
    if (!code) code = folder_is_free(data_path, again ? interrupted : ours, "data.path", reterr);
    if (!code) {
        if (again) code = drop_all(data_path, unfinished, reterr);
        if (!code) code = data_fill(data_path, from, ret_manifest, lock, reterr);
        if (!code && stands_by) code = data_folder_standby_set(data_path, reterr);
        if (!code && !stands_by && data_folder_stands_by(data_path)) code = data_folder_take_over(data_path, reterr);
        if (!code) code = data_switch(data_path, file_named(ret_manifest, DATA_TOKENS), reterr);
        if (code) (void)drop_all(data_path, unfinished, NULL);
    }
    if (lock >= 0) close(lock);
    return code ? fault_wrap(reterr, "restore from '%s'", from) : FAULT_NONE;
}
