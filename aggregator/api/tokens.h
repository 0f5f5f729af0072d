/* SPDX-License-Identifier: Apache-2.0
 * Bearer tokens: who calls, for which tenant, with which role. They are kept in a file of their own, as SHA-256 of the
 * token, one line each; the token itself is shown once, when it is made. Other processes (`picket-aggregator token`)
 * replace the file as a whole; tokens_refresh takes the new one in while requests run. Any thread. */
#ifndef PICKET_API_TOKENS_H
#define PICKET_API_TOKENS_H

#include "aggregator/api/token_role.h"
#include "common/base/arena.h"
#include "common/base/fault.h"

enum { TOKEN_TEXT_BYTES = 64, TOKENS_MAX = 10000 };

struct tokens;

struct token_owner {
    slice tenant, name;
    enum method_role role;
    int64_t expires_ms; /* since 1970; 0: never */
};

/* [a-z0-9.-]{1,64} */
bool token_tenant_ok(slice tenant) MUST_CHECK;

/* A missing file is a store without tokens. */
fault_code tokens_open(const char *path, struct tokens **ret_tokens, struct fault *reterr) MUST_CHECK;
struct tokens *tokens_close(struct tokens *tokens); /* NULL is fine; returns NULL */
/* Reads the file again when it is another than the one read last; on a fault the tokens stay as they were. */
fault_code tokens_refresh(struct tokens *tokens, bool *ret_changed, struct fault *reterr) MUST_CHECK;
size_t tokens_count(struct tokens *tokens);
/* Moves each time that the tokens have changed, and whether there is still one of this tenant, name and role: for those
 * who let somebody in for long. */
uint64_t tokens_version(const struct tokens *tokens);
bool tokens_hold(struct tokens *tokens, const struct token_owner *owner) MUST_CHECK;
/* Whether there is one of this tenant and name, of whatever role. */
bool tokens_know(struct tokens *tokens, slice tenant, slice name) MUST_CHECK;
/* The owner, copied into the arena. FAULT_ABSENT: unknown or revoked token; FAULT_DENIED: it has expired. Compares
 * hashes in constant time. */
fault_code tokens_find(struct tokens *tokens, slice token, int64_t now_ms, struct arena *arena,
                       struct token_owner *ret_owner, struct fault *reterr) MUST_CHECK;

/* ---- for the command line: each takes the file's lock, so that two at a time do not lose one ---- */

/* FAULT_CONFLICT when the tenant has one of that name; FAULT_INPUT for a bad tenant, name or role. */
struct token_new {
    slice tenant, name;
    enum method_role role;
    int64_t now_ms, expires_ms; /* since 1970; expires_ms 0: never */
};
fault_code tokens_file_create(const char *path, const struct token_new *new, char ret_token[TOKEN_TEXT_BYTES],
                              struct fault *reterr) MUST_CHECK;
/* "90d" from now, "2027-01-31" (its beginning, UTC) or "2027-01-31T12:00:00Z"; FAULT_INPUT for another text and for what
 * is past. */
fault_code token_expiry_parse(slice text, int64_t now_ms, int64_t *ret_expires_ms, struct fault *reterr) MUST_CHECK;
/* FAULT_ABSENT when there is none of that name. */
fault_code tokens_file_revoke(const char *path, slice tenant, slice name, struct fault *reterr) MUST_CHECK;
/* A table for people; tenant empty: all. */
fault_code tokens_file_list(const char *path, slice tenant, int64_t now_ms, struct arena *arena, slice *ret_text,
                            struct fault *reterr) MUST_CHECK;

#endif
