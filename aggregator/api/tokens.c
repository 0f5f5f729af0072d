/* SPDX-License-Identifier: Apache-2.0
 * The file: "<sha256 in hex> <tenant> <name> <role> <created ms> <expires ms> sha256:<16 digits>\n" a line (0: never; older
 * files have no checksum, and before that five words), in a folder that only we can read. The checksum is the beginning of
 * the SHA-256 of what stands before it: a bit that flips on the disk would make another tenant's admin. It is
 * never changed in place: a new one is written beside it, synced and renamed over it, under a lock on a file of its
 * own. A reader therefore sees the old or the new one, whole, and knows a new one by its inode, size and time.
 *
 * In memory: an open table by the first bytes of the hash. A token has 256 random bits, so its hash needs no salt and
 * no slow function; what is left to guard against is timing, hence the constant-time comparison. */
#include "aggregator/api/tokens.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/digest.h"
#include "common/base/text.h"
#include "common/base/uuid.h"
#include "common/settings/settings.h"

enum { SLOTS = 32768, LINE_BYTES = 512, NAME_BYTES_MAX = 64, WHEN_BYTES = 32, CHECKSUM_DIGITS = 16 };
#define CHECKSUM_MARK "sha256:"
#define EXPIRY_MS_MAX (INT64_C(100) * 366 * 24 * 3600 * 1000)
static_assert(SLOTS > 2 * TOKENS_MAX, "the table must never be full");

struct token_row {
    uint8_t hash[DIGEST_BYTES];
    char tenant[NAME_BYTES_MAX + 1], name[NAME_BYTES_MAX + 1];
    enum method_role role;          /* ROLE_NONE: empty place */
    int64_t created_ms, expires_ms; /* expires_ms 0: never */
};

struct token_table {
    struct token_row *rows;
    size_t count;
    uint32_t *slots; /* row + 1, or 0 */
};

struct tokens {
    pthread_rwlock_t lock;
    char *path;
    struct token_table table;
    struct stat seen; /* st_ino 0: no file */
    atomic_uint_fast64_t version;
};

static bool hash_equal(const uint8_t *a, const uint8_t *b) {
    uint8_t difference = 0;
    for (size_t i = 0; i < DIGEST_BYTES; i++) difference |= a[i] ^ b[i];
    return difference == 0;
}

static size_t hash_slot(const uint8_t *hash) {
    return ((size_t)hash[0] << 8 | hash[1] | (size_t)hash[2] << 16) % SLOTS;
}

static bool hash_parse(const char *text, uint8_t ret_hash[DIGEST_BYTES]) {
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1) return false;
        ret_hash[i] = (uint8_t)byte;
    }
    return true;
}

static void checksum_of(const char *text, size_t size, char ret_digits[CHECKSUM_DIGITS + 1]) {
    uint8_t hash[DIGEST_BYTES];
    digest_of(slice_of(text, size), hash);
    for (size_t i = 0; i < CHECKSUM_DIGITS / 2; i++) snprintf(ret_digits + 2 * i, 3, "%02x", hash[i]);
}

/* What stands behind a line's words is nothing, or the checksum of all before it. */
static bool line_end_fits(const char *line, size_t end) {
    char digits[CHECKSUM_DIGITS + 1], wanted[64];
    if (!line[end + strspn(line + end, " \t\r\n")]) return true;
    checksum_of(line, end, digits);
    snprintf(wanted, sizeof wanted, " " CHECKSUM_MARK "%s\n", digits);
    return strcmp(line + end, wanted) == 0;
}

static void table_free(struct token_table *table) {
    free(table->rows);
    free(table->slots);
    *table = (struct token_table){0};
}

static fault_code table_add(struct token_table *table, const char *line, const char *path, size_t line_number,
                            struct fault *reterr) {
    struct token_row row = {0};
    char hash[2 * DIGEST_BYTES + 1], role[32];
    int words_end = 0, end = 0;
    if (sscanf(line, "%64s %64s %64s %31s %" SCNd64 "%n %" SCNd64 "%n", hash, row.tenant, row.name, role,
               &row.created_ms, &words_end, &row.expires_ms, &end) < 5 ||
        strlen(hash) != 2 * DIGEST_BYTES || !hash_parse(hash, row.hash))
        return fault_set(reterr, FAULT_CORRUPT,
                         "%s:%zu: not a token's line; the file is written by 'picket-aggregator token' alone", path,
                         line_number);
    if (!line_end_fits(line, (size_t)(end ? end : words_end)))
        return fault_set(
            reterr, FAULT_CORRUPT,
            "%s:%zu: the line is not the one that was written (its checksum does not fit it): put the file of a "
            "backup in its place, or remove the line and make a token anew",
            path, line_number);
    row.role = token_role_find(slice_from_text(role));
    if (row.role == ROLE_NONE)
        return fault_set(reterr, FAULT_CORRUPT, "%s:%zu: there is no role '%s'", path, line_number, role);
    if (table->count == TOKENS_MAX) return fault_set(reterr, FAULT_LIMIT, "%s: more than %d tokens", path, TOKENS_MAX);
    size_t at = hash_slot(row.hash);
    while (table->slots[at]) at = (at + 1) % SLOTS;
    table->rows[table->count++] = row;
    table->slots[at] = (uint32_t)table->count;
    return FAULT_NONE;
}

/* ret_seen: st_ino 0 when there is no file. */
static fault_code table_read(const char *path, struct token_table *ret_table, struct stat *ret_seen,
                             struct fault *reterr) {
    struct token_table table = {.rows = calloc(TOKENS_MAX, sizeof *table.rows),
                                .slots = calloc(SLOTS, sizeof *table.slots)};
    if (!table.rows || !table.slots) {
        table_free(&table);
        return fault_set(reterr, FAULT_SYSTEM, "read the tokens: no memory");
    }
    struct stat seen = {0};
    FILE *file = fopen(path, "re");
    if (!file && errno != ENOENT) {
        table_free(&table);
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "read the tokens '%s'", path);
    }
    fault_code code = FAULT_NONE;
    if (file) {
        if (fstat(fileno(file), &seen))
            code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "read the tokens '%s'", path);
        char *line = NULL;
        size_t room = 0;
        ssize_t size;
        for (size_t number = 1; !code && (size = getline(&line, &room, file)) >= 0; number++)
            code = (size_t)size != strlen(line) || size >= LINE_BYTES
                       ? fault_set(reterr, FAULT_CORRUPT, "%s:%zu: not a token's line: it holds a NUL, or is too long",
                                   path, number)
                       : table_add(&table, line, path, number, reterr);
        free(line);
        if (!code && ferror(file)) code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "read the tokens '%s'", path);
        fclose(file);
    }
    if (code) {
        table_free(&table);
        return code;
    }
    *ret_table = table;
    *ret_seen = seen;
    return FAULT_NONE;
}

fault_code tokens_open(const char *path, struct tokens **ret_tokens, struct fault *reterr) {
    struct tokens *tokens = calloc(1, sizeof *tokens);
    if (!tokens || !(tokens->path = strdup(path))) {
        free(tokens);
        return fault_set(reterr, FAULT_SYSTEM, "open the tokens: no memory");
    }
    const fault_code code = table_read(path, &tokens->table, &tokens->seen, reterr);
    if (code) {
        free(tokens->path);
        free(tokens);
        return code;
    }
    pthread_rwlock_init(&tokens->lock, NULL);
    *ret_tokens = tokens;
    return FAULT_NONE;
}

struct tokens *tokens_close(struct tokens *tokens) {
    if (!tokens) return NULL;
    pthread_rwlock_destroy(&tokens->lock);
    table_free(&tokens->table);
    free(tokens->path);
    free(tokens);
    return NULL;
}

fault_code tokens_refresh(struct tokens *tokens, bool *ret_changed, struct fault *reterr) {
    struct stat now = {0};
    if (stat(tokens->path, &now) && errno != ENOENT)
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "look at the tokens '%s'", tokens->path);
    const struct stat *seen = &tokens->seen; /* written by refresh alone, which one thread calls */
    *ret_changed = now.st_ino != seen->st_ino || now.st_size != seen->st_size ||
                   now.st_mtim.tv_sec != seen->st_mtim.tv_sec || now.st_mtim.tv_nsec != seen->st_mtim.tv_nsec;
    if (!*ret_changed) return FAULT_NONE;
    struct token_table fresh;
    const fault_code code = table_read(tokens->path, &fresh, &now, reterr);
    if (code) return code;
    pthread_rwlock_wrlock(&tokens->lock);
    struct token_table old = tokens->table;
    tokens->table = fresh;
    tokens->seen = now;
    pthread_rwlock_unlock(&tokens->lock);
    atomic_fetch_add(&tokens->version, 1);
    table_free(&old);
    return FAULT_NONE;
}

size_t tokens_count(struct tokens *tokens) {
    pthread_rwlock_rdlock(&tokens->lock);
    const size_t count = tokens->table.count;
    pthread_rwlock_unlock(&tokens->lock);
    return count;
}

uint64_t tokens_version(const struct tokens *tokens) {
    return atomic_load(&tokens->version);
}

bool tokens_hold(struct tokens *tokens, const struct token_owner *owner) {
    bool found = false;
    pthread_rwlock_rdlock(&tokens->lock);
    for (size_t i = 0; i < tokens->table.count && !found; i++) {
        const struct token_row *row = &tokens->table.rows[i];
        found = row->role == owner->role && slice_equal_text(owner->tenant, row->tenant) &&
                slice_equal_text(owner->name, row->name);
    }
    pthread_rwlock_unlock(&tokens->lock);
    return found;
}

bool tokens_know(struct tokens *tokens, slice tenant, slice name) {
    bool found = false;
    pthread_rwlock_rdlock(&tokens->lock);
    for (size_t i = 0; i < tokens->table.count && !found; i++)
        found = slice_equal_text(tenant, tokens->table.rows[i].tenant) &&
                slice_equal_text(name, tokens->table.rows[i].name);
    pthread_rwlock_unlock(&tokens->lock);
    return found;
}

fault_code tokens_find(struct tokens *tokens, slice token, int64_t now_ms, struct arena *arena,
                       struct token_owner *ret_owner, struct fault *reterr) {
    uint8_t hash[DIGEST_BYTES];
    digest_of(token, hash);
    fault_code code = FAULT_ABSENT;
    pthread_rwlock_rdlock(&tokens->lock);
    for (size_t at = hash_slot(hash); tokens->table.slots[at]; at = (at + 1) % SLOTS) {
        const struct token_row *row = &tokens->table.rows[tokens->table.slots[at] - 1];
        if (!hash_equal(row->hash, hash)) continue;
        ret_owner->tenant = arena_copy(arena, slice_from_text(row->tenant));
        ret_owner->name = arena_copy(arena, slice_from_text(row->name));
        ret_owner->role = row->role;
        ret_owner->expires_ms = row->expires_ms;
        code = ret_owner->tenant.data && ret_owner->name.data ? FAULT_NONE : FAULT_LIMIT;
        break;
    }
    pthread_rwlock_unlock(&tokens->lock);
    if (code == FAULT_LIMIT) return fault_set(reterr, code, "check the token: the request's memory is full");
    if (code) return fault_set(reterr, code, "the token is not known; it may have been revoked");
    const int64_t expires_ms = ret_owner->expires_ms;
    if (expires_ms && now_ms >= expires_ms)
        return fault_set(reterr, FAULT_DENIED, "the token '%.*s' expired %" PRId64 " s ago: ask for a new one",
                         SLICE_ARG(ret_owner->name), (now_ms - expires_ms) / 1000);
    return FAULT_NONE;
}

/* ---- the command line ---- */

static fault_code file_lock(const char *path, int *ret_fd, struct fault *reterr) {
    char lock[4096];
    if (snprintf(lock, sizeof lock, "%s.lock", path) >= (int)sizeof lock)
        return fault_set(reterr, FAULT_INPUT, "the path '%s' is too long", path);
    const int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fault_set_errno(reterr, FAULT_SYSTEM, errno,
                               "lock the tokens '%s' (run this as the user that the aggregator runs as)", lock);
    while (flock(fd, LOCK_EX)) {
        if (errno == EINTR) continue;
        const int error = errno;
        close(fd);
        return fault_set_errno(reterr, FAULT_SYSTEM, error, "lock the tokens '%s'", lock);
    }
    *ret_fd = fd;
    return FAULT_NONE;
}

static fault_code file_write(const char *path, const struct token_table *table, struct fault *reterr) {
    char fresh[4096];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file) {
        const int error = errno;
        if (fd >= 0) close(fd);
        return fault_set_errno(reterr, FAULT_SYSTEM, error, "write the tokens '%s'", fresh);
    }
    /* Run as root for a service that is not: the file stays the service's. */
    struct stat old;
    if (stat(path, &old) == 0 && fchown(fd, old.st_uid, old.st_gid)) { /* not root: it is ours already */
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct token_row *row = &table->rows[i];
        if (row->role == ROLE_NONE) continue;
        char line[LINE_BYTES], digits[CHECKSUM_DIGITS + 1];
        size_t size = 0;
        for (; size < 2 * DIGEST_BYTES; size += 2) snprintf(line + size, 3, "%02x", row->hash[size / 2]);
        size += (size_t)snprintf(line + size, sizeof line - size, " %s %s %s %" PRId64 " %" PRId64, row->tenant,
                                 row->name, token_role_name(row->role), row->created_ms, row->expires_ms);
        checksum_of(line, size, digits);
        fprintf(file, "%s " CHECKSUM_MARK "%s\n", line, digits);
    }
    const bool failed = fflush(file) || fsync(fd);
    const int error = errno;
    if (fclose(file) || failed) return fault_set_errno(reterr, FAULT_SYSTEM, error, "write the tokens '%s'", fresh);
    if (rename(fresh, path)) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "put the tokens at '%s'", path);
    return FAULT_NONE;
}

static bool word_ok(slice word, const char *others) {
    if (word.size == 0 || word.size > NAME_BYTES_MAX) return false;
    for (size_t i = 0; i < word.size; i++) {
        const uint8_t c = word.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr(others, c)))) return false;
    }
    return true;
}

bool token_tenant_ok(slice tenant) {
    return word_ok(tenant, ".-");
}

static struct token_row *row_named(struct token_table *table, slice tenant, slice name) {
    for (size_t i = 0; i < table->count; i++)
        if (slice_equal_text(tenant, table->rows[i].tenant) && slice_equal_text(name, table->rows[i].name))
            return &table->rows[i];
    return NULL;
}

static void token_make(char ret_token[TOKEN_TEXT_BYTES]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[43];
    random_bytes(bytes, sizeof bytes);
    memcpy(ret_token, "picket_", 7);
    for (size_t i = 0; i < sizeof bytes; i++) ret_token[7 + i] = letters[bytes[i] & 63]; /* 43 * 6 bits */
    ret_token[7 + sizeof bytes] = '\0';
}

fault_code token_expiry_parse(slice text, int64_t now_ms, int64_t *ret_expires_ms, struct fault *reterr) {
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"};
    char copy[64];
    int64_t expires_ms = 0, duration_ms;
    const bool fits = slice_to_text(text, copy, sizeof copy);
    if (fits && setting_parse_duration(text, &duration_ms, NULL) == FAULT_NONE && duration_ms <= EXPIRY_MS_MAX)
        expires_ms = now_ms + duration_ms;
    for (size_t i = 0; fits && !expires_ms && i < sizeof forms / sizeof *forms; i++) {
        struct tm utc = {0};
        const char *end = strptime(copy, forms[i], &utc);
        if (end && !*end) expires_ms = (int64_t)timegm(&utc) * 1000;
    }
    if (!expires_ms)
        return fault_set(reterr, FAULT_INPUT,
                         "expires: a duration of up to 100 years such as 90d, or a date such as 2027-01-31 or "
                         "2027-01-31T12:00:00Z is needed");
    if (expires_ms <= now_ms) return fault_set(reterr, FAULT_INPUT, "expires: '%s' is past", copy);
    *ret_expires_ms = expires_ms;
    return FAULT_NONE;
}

static fault_code table_add_new(struct token_table *table, const char *path, const struct token_new *new,
                                const char *token, struct fault *reterr) {
    char line[LINE_BYTES], hex[2 * DIGEST_BYTES + 1];
    uint8_t hash[DIGEST_BYTES];
    if (row_named(table, new->tenant, new->name))
        return fault_set(reterr, FAULT_CONFLICT,
                         "tenant '%.*s' has a token '%.*s' already; revoke it first or choose another name",
                         SLICE_ARG(new->tenant), SLICE_ARG(new->name));
    digest_of(slice_from_text(token), hash);
    for (size_t i = 0; i < DIGEST_BYTES; i++) snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    snprintf(line, sizeof line, "%s %.*s %.*s %s %" PRId64 " %" PRId64, hex, SLICE_ARG(new->tenant),
             SLICE_ARG(new->name), token_role_name(new->role), new->now_ms, new->expires_ms);
    return table_add(table, line, path, table->count + 1, reterr);
}

fault_code tokens_file_create(const char *path, const struct token_new *new, char ret_token[TOKEN_TEXT_BYTES],
                              struct fault *reterr) {
    if (!token_tenant_ok(new->tenant))
        return fault_set(reterr, FAULT_INPUT, "tenant: 1 to %d of a-z 0-9 . - are needed", NAME_BYTES_MAX);
    if (!word_ok(new->name, ".-_@ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        return fault_set(reterr, FAULT_INPUT, "name: 1 to %d of A-Z a-z 0-9 . - _ @ are needed", NAME_BYTES_MAX);
    if (!token_role_name(new->role))
        return fault_set(reterr, FAULT_INPUT,
                         "role: one of viewer, responder, approver, admin, agent, integration is needed");
    int lock;
    fault_code code = file_lock(path, &lock, reterr);
    if (code) return code;
    struct token_table table;
    struct stat seen;
    char token[TOKEN_TEXT_BYTES];
    code = table_read(path, &table, &seen, reterr);
    if (!code) {
        token_make(token);
        code = table_add_new(&table, path, new, token, reterr);
        if (!code) code = file_write(path, &table, reterr);
        if (!code) memcpy(ret_token, token, sizeof token);
        explicit_bzero(token, sizeof token);
        table_free(&table);
    }
    close(lock);
    return code;
}

fault_code tokens_file_revoke(const char *path, slice tenant, slice name, struct fault *reterr) {
    int lock;
    fault_code code = file_lock(path, &lock, reterr);
    if (code) return code;
    struct token_table table;
    struct stat seen;
    code = table_read(path, &table, &seen, reterr);
    if (!code) {
        struct token_row *row = row_named(&table, tenant, name);
        if (row) {
            row->role = ROLE_NONE;
            code = file_write(path, &table, reterr);
        } else {
            code = fault_set(reterr, FAULT_ABSENT, "tenant '%.*s' has no token '%.*s'", SLICE_ARG(tenant),
                             SLICE_ARG(name));
        }
        table_free(&table);
    }
    close(lock);
    return code;
}

static void when_format(int64_t ms, char ret_text[WHEN_BYTES]) {
    const time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    ret_text[0] = '\0';
    if (gmtime_r(&seconds, &utc)) strftime(ret_text, WHEN_BYTES, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

fault_code tokens_file_list(const char *path, slice tenant, int64_t now_ms, struct arena *arena, slice *ret_text,
                            struct fault *reterr) {
    struct token_table table;
    struct stat seen;
    const fault_code code = table_read(path, &table, &seen, reterr);
    if (code) return code;
    struct text text = text_begin(arena);
    text_format(&text, "%-20s %-24s %-12s %-20s %s\n", "TENANT", "NAME", "ROLE", "CREATED", "EXPIRES");
    for (size_t i = 0; i < table.count; i++) {
        const struct token_row *row = &table.rows[i];
        if (tenant.size && !slice_equal_text(tenant, row->tenant)) continue;
        char created[WHEN_BYTES], expires[WHEN_BYTES] = "never";
        when_format(row->created_ms, created);
        if (row->expires_ms) when_format(row->expires_ms, expires);
        text_format(&text, "%-20s %-24s %-12s %-20s %s%s\n", row->tenant, row->name, token_role_name(row->role),
                    created, expires, row->expires_ms && row->expires_ms <= now_ms ? " (expired)" : "");
    }
    table_free(&table);
    return text_end(&text, "the list of tokens", ret_text, reterr);
}
