/* SPDX-License-Identifier: Apache-2.0
 * Files are written beside their place, synced, and renamed into it: after a power cut there is the old one or the new
 * one. The waiting key is written before anything is asked for with it, so that an answer which got lost can be asked
 * for again. */
#include "agent/enrol/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/logging/log.h"

enum { FILE_BYTES_MAX = 64 * 1024 };
#define TOKEN_LINE "token " /* readers of PEM pass over what stands before it */

fault_code identity_file(const char *path, struct arena *arena, slice *ret_text, struct fault *reterr) {
    FILE *file = fopen(path, "re");
    if (!file) return fault_set_errno(reterr, errno == ENOENT ? FAULT_ABSENT : FAULT_SYSTEM, errno, "read '%s'", path);
    char *text = arena_alloc(arena, FILE_BYTES_MAX);
    const size_t size = text ? fread(text, 1, FILE_BYTES_MAX - 1, file) : 0;
    const bool whole = text && !ferror(file) && fgetc(file) == EOF;
    fclose(file);
    if (!whole)
        return fault_set(reterr, FAULT_LIMIT, "read '%s': it cannot be read, or has over %d bytes", path,
                         FILE_BYTES_MAX);
    text[size] = '\0';
    *ret_text = slice_of(text, size);
    return FAULT_NONE;
}

static fault_code write_file(const struct identity *identity, const char *path, slice first, slice second,
                             struct fault *reterr) {
    char fresh[IDENTITY_PATH_BYTES + 8];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s'", fresh);
    const bool written = write(fd, first.data, first.size) == (ssize_t)first.size &&
                         (!second.size || write(fd, second.data, second.size) == (ssize_t)second.size) && !fsync(fd);
    const int error = errno;
    close(fd);
    if (!written) return fault_set_errno(reterr, FAULT_SYSTEM, error, "write '%s'", fresh);
    if (rename(fresh, path)) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "put '%s' in its place", path);
    const int folder = open(identity->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        (void)fsync(folder);
        close(folder);
    }
    return FAULT_NONE;
}

static void token_line_read(slice pem, char ret_token[CERTIFICATE_HASH_BYTES]) {
    const size_t head = sizeof TOKEN_LINE - 1, hash = CERTIFICATE_HASH_BYTES - 1;
    ret_token[0] = '\0';
    if (pem.size <= head + hash || memcmp(pem.data, TOKEN_LINE, head) != 0 || pem.data[head + hash] != '\n') return;
    memcpy(ret_token, pem.data + head, hash);
    ret_token[hash] = '\0';
}

/* Whether key and certificate are there, belong together, and are ours. */
static bool pair_read(const struct identity *identity, const char *path, struct certificate_view *ret_view,
                      char ret_token[CERTIFICATE_HASH_BYTES], struct fault *ret_passed) {
    struct arena *arena = arena_new(FILE_BYTES_MAX, 2 * FILE_BYTES_MAX);
    slice pem;
    struct fault fault = {FAULT_LIMIT, "out of memory"};
    fault_code code = arena ? identity_file(path, arena, &pem, &fault) : FAULT_LIMIT;
    if (!code) code = certificate_match(pem, pem, &fault);
    if (!code) code = certificate_read(pem, ret_view, &fault);
    if (!code && strcmp(ret_view->common_name, identity->name) != 0)
        code = fault_set(&fault, FAULT_INPUT, "the certificate is of '%s', and this is '%s'", ret_view->common_name,
                         identity->name);
    if (!code) token_line_read(pem, ret_token);
    if (code && code != FAULT_ABSENT) {
        *ret_passed = fault;
        (void)fault_wrap(ret_passed, "'%s'", path);
    }
    arena_free(arena);
    return !code;
}

fault_code identity_open(const char *folder, const char *name, struct identity *ret_identity, struct fault *ret_passed,
                         struct fault *reterr) {
    struct identity identity = {0};
    *ret_passed = (struct fault){0};
    if (strlen(folder) >= sizeof identity.folder || strlen(name) >= sizeof identity.name)
        return fault_set(reterr, FAULT_INPUT, "the path '%s' or the name '%s' is too long", folder, name);
    snprintf(identity.folder, sizeof identity.folder, "%s", folder);
    snprintf(identity.name, sizeof identity.name, "%s", name);
    snprintf(identity.current, sizeof identity.current, "%s/agent.pem", folder);
    snprintf(identity.next, sizeof identity.next, "%s/next.pem", folder);
    snprintf(identity.next_key, sizeof identity.next_key, "%s/next.key", folder);
    snprintf(identity.authority, sizeof identity.authority, "%s/ca.pem", folder);
    if (mkdir(folder, 0700) && errno != EEXIST)
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "make the folder '%s'", folder);
    identity.has_current =
        pair_read(&identity, identity.current, &identity.current_view, identity.current_token, ret_passed);
    identity.has_next = pair_read(&identity, identity.next, &identity.next_view, identity.next_token, ret_passed) &&
                        !(identity.has_current && strcmp(identity.next_view.serial, identity.current_view.serial) == 0);
    *ret_identity = identity;
    return FAULT_NONE;
}

/* Whether a request can be made with it, which is what it waits for. */
static bool is_key(const char *pem, struct fault *ret_why) {
    struct arena *arena = arena_new(FILE_BYTES_MAX, 2 * FILE_BYTES_MAX);
    slice request;
    if (!arena) return true; /* not the key's fault */
    const bool good = !certificate_request(slice_from_text(pem), "waiting", arena, &request, ret_why);
    arena_free(arena);
    return good;
}

/* One that a damaged disk has left is made anew: nobody else has it, and what was asked for with it is lost either way. */
fault_code identity_next_key(struct identity *identity, char ret_pem[CERTIFICATE_KEY_PEM_BYTES], struct fault *reterr) {
    struct fault why;
    FILE *file = fopen(identity->next_key, "re");
    if (file) {
        const size_t size = fread(ret_pem, 1, CERTIFICATE_KEY_PEM_BYTES - 1, file);
        fclose(file);
        ret_pem[size] = '\0';
        if (is_key(ret_pem, &why)) return FAULT_NONE;
        LOG_WARN("agent", "waiting_key_damaged", LOG_TEXT("file", identity->next_key), LOG_FAULT(&why),
                 LOG_TEXT("instead", "another key"));
    }
    const fault_code code = certificate_key_new(ret_pem, reterr);
    return code ? code : write_file(identity, identity->next_key, slice_from_text(ret_pem), (slice){0}, reterr);
}

fault_code identity_keep_next(struct identity *identity, const char *token_hash, slice certificate_pem,
                              slice authority_pem, struct fault *reterr) {
    char key[CERTIFICATE_KEY_PEM_BYTES], token[CERTIFICATE_HASH_BYTES];
    char head[sizeof TOKEN_LINE + CERTIFICATE_HASH_BYTES + CERTIFICATE_KEY_PEM_BYTES];
    struct certificate_view view;
    snprintf(token, sizeof token, "%s", token_hash ? token_hash : identity->current_token);
    fault_code code = identity_next_key(identity, key, reterr);
    if (!code) code = certificate_match(certificate_pem, slice_from_text(key), reterr);
    if (!code) code = certificate_read(certificate_pem, &view, reterr);
    if (!code && strcmp(view.common_name, identity->name) != 0)
        code = fault_set(reterr, FAULT_INPUT, "the certificate is for '%s', and this is '%s'", view.common_name,
                         identity->name);
    if (!code && authority_pem.size)
        code = write_file(identity, identity->authority, authority_pem, (slice){0}, reterr);
    if (!code) {
        snprintf(head, sizeof head, "%s%s%s%s", token[0] ? TOKEN_LINE : "", token, token[0] ? "\n" : "", key);
        code = write_file(identity, identity->next, slice_from_text(head), certificate_pem, reterr);
    }
    explicit_bzero(key, sizeof key);
    explicit_bzero(head, sizeof head);
    if (code) return code;
    (void)unlink(identity->next_key);
    identity->has_next = true;
    identity->next_view = view;
    memcpy(identity->next_token, token, sizeof token);
    return FAULT_NONE;
}

fault_code identity_promote(struct identity *identity, struct fault *reterr) {
    struct arena *arena = arena_new(FILE_BYTES_MAX, 2 * FILE_BYTES_MAX);
    slice pem;
    fault_code code =
        arena ? identity_file(identity->next, arena, &pem, reterr) : fault_set(reterr, FAULT_LIMIT, "out of memory");
    if (!code) code = write_file(identity, identity->current, pem, (slice){0}, reterr);
    arena_free(arena);
    if (code) return code;
    identity->has_current = true;
    identity->current_view = identity->next_view;
    memcpy(identity->current_token, identity->next_token, sizeof identity->current_token);
    identity->has_next = false;
    return FAULT_NONE;
}
