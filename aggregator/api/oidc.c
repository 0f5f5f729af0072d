/* SPDX-License-Identifier: Apache-2.0
 * Issuer, claims, key, signature, and then what the claims mean here. The issuer's row is found by the token's own word,
 * which is safe because the key is then that issuer's (RFC 8725 section 3.8). */
#include "aggregator/api/oidc.h"

#include <stdlib.h>

#include "aggregator/api/jwt.h"
#include "aggregator/api/oidc_cache.h"
#include "aggregator/api/oidc_keys.h"
#include "common/base/text.h"

enum { NAME_BYTES_MAX = 32, VALUES_MAX = 512 };

struct oidc {
    const struct oidc_issuer *issuers;
    size_t count;
    struct oidc_keys *keys;
    struct oidc_cache *cache;
};

/* ---- settings ---- */

static bool name_ok(slice name) {
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
    }
    return name.size > 0 && name.size <= NAME_BYTES_MAX;
}

/* Keys that came over a network in plain text could be anybody's. */
static bool keys_url_ok(slice url) {
    if (!text_is_http_url(url)) return false;
    if (slice_starts_with(url, SLICE_LIT("https://"))) return true;
    const slice host = text_http_url_host(url);
    return slice_equal_text(host, "localhost") || text_is_loopback(host);
}

const char *oidc_issuer_mistake(const struct oidc_issuer *i, const void **ret_member) {
    const struct {
        bool wrong;
        const void *member;
        const char *text;
    } checks[] = {
        {!name_ok(i->name), &i->name, "1 to 32 of a-z 0-9 - are needed: it begins the names of its callers"},
        {!i->jwks_url.size == !i->jwks_file.size, i->jwks_file.size ? &i->jwks_file : &i->jwks_url,
         "one of jwks_url and jwks_file is needed"},
        {i->jwks_url.size && !keys_url_ok(i->jwks_url), &i->jwks_url,
         "https:// is needed (http:// for a server on this machine)"},
        {!i->tenant.size == !i->tenant_claim.size, i->tenant_claim.size ? &i->tenant_claim : &i->tenant,
         "one of tenant and tenant_claim is needed"},
        {i->tenant.size && !token_tenant_ok(i->tenant), &i->tenant, "1 to 64 of a-z 0-9 . - are needed"},
        {i->role.size && token_role_find(i->role) == ROLE_NONE, &i->role,
         "one of viewer, responder, approver, admin, agent, integration is needed"},
        {i->roles.count && !i->role_claim.size, &i->role_claim, "is needed: it is what `roles` maps"},
        {!i->roles.count && !i->role.size, &i->role, "without it, and without `roles`, nobody could sign in"},
        {i->jwks_refresh_min_ms > i->jwks_refresh_ms, &i->jwks_refresh_min_ms, "is longer than jwks_refresh"},
        {i->jwks_age_max_ms < i->jwks_refresh_ms, &i->jwks_age_max_ms, "is shorter than jwks_refresh"},
    };
    for (size_t c = 0; c < sizeof checks / sizeof *checks; c++)
        if (checks[c].wrong) {
            *ret_member = checks[c].member;
            return checks[c].text;
        }
    *ret_member = &i->roles;
    for (size_t r = 0; r < i->roles.count; r++)
        if (token_role_find(i->roles.items[r].value) == ROLE_NONE)
            return "each value is one of viewer, responder, approver, admin, agent, integration";
    return NULL;
}

/* ---- life ---- */

fault_code oidc_open(const struct oidc_issuer *issuers, size_t count, struct metrics *metrics, struct oidc **ret_oidc,
                     struct fault *reterr) {
    struct oidc_keys_source sources[OIDC_ISSUERS_MAX];
    if (count > OIDC_ISSUERS_MAX) return fault_set(reterr, FAULT_LIMIT, "at most %d issuers", OIDC_ISSUERS_MAX);
    for (size_t i = 0; i < count; i++)
        sources[i] = (struct oidc_keys_source){.name = setting_text(issuers[i].name),
                                               .url = setting_text(issuers[i].jwks_url),
                                               .file = setting_text(issuers[i].jwks_file),
                                               .ca = setting_text(issuers[i].jwks_ca),
                                               .refresh_ms = issuers[i].jwks_refresh_ms,
                                               .refresh_min_ms = issuers[i].jwks_refresh_min_ms,
                                               .age_max_ms = issuers[i].jwks_age_max_ms,
                                               .timeout_ms = issuers[i].jwks_timeout_ms};
    struct oidc *oidc = calloc(1, sizeof *oidc);
    if (!oidc) return fault_set(reterr, FAULT_SYSTEM, "start with OIDC: no memory");
    oidc->issuers = issuers;
    oidc->count = count;
    oidc->cache = oidc_cache_new();
    fault_code code = oidc->cache ? FAULT_NONE : fault_set(reterr, FAULT_SYSTEM, "start with OIDC: no memory");
    if (!code) code = oidc_keys_open(sources, count, metrics, &oidc->keys, reterr);
    if (code) {
        oidc_close(oidc);
        return code;
    }
    *ret_oidc = oidc;
    return FAULT_NONE;
}

struct oidc *oidc_close(struct oidc *oidc) {
    if (!oidc) return NULL;
    oidc_keys_close(oidc->keys);
    oidc_cache_free(oidc->cache);
    free(oidc);
    return NULL;
}

/* ---- what claims mean ---- */

/* Some issuers let people write any address into their account: what is not verified names nobody. */
static fault_code email_check(const struct jwt *jwt, slice claim, struct fault *reterr) {
    bool verified;
    if (!slice_equal_text(claim, "email")) return FAULT_NONE;
    const struct json_value *flag = jwt_claim(jwt, SLICE_LIT("email_verified"));
    if (flag && (!json_tree_flag(flag, &verified) || !verified))
        return fault_set(reterr, FAULT_CONFLICT, "the token's 'email' is not verified by its issuer");
    return FAULT_NONE;
}

static fault_code tenant_of(const struct oidc_issuer *issuer, const struct jwt *jwt, slice *ret_tenant,
                            struct fault *reterr) {
    *ret_tenant = issuer->tenant;
    if (issuer->tenant.size) return FAULT_NONE;
    if (json_tree_text(jwt_claim(jwt, issuer->tenant_claim), ret_tenant) && token_tenant_ok(*ret_tenant))
        return FAULT_NONE;
    return fault_set(reterr, FAULT_CONFLICT, "the token's '%.*s' names no tenant (1 to 64 of a-z 0-9 . -)",
                     SLICE_ARG(issuer->tenant_claim));
}

/* The contract's FORMAT_LINE. */
static bool line_ok(slice text) {
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < ' ' || text.data[i] == 0x7F) return false;
    return text.size > 0;
}

static fault_code name_of(const struct oidc_issuer *issuer, const struct jwt *jwt, struct arena *arena, slice *ret_name,
                          struct fault *reterr) {
    slice claim;
    if (!json_tree_text(jwt_claim(jwt, issuer->name_claim), &claim) || !line_ok(claim))
        return fault_set(reterr, FAULT_CONFLICT, "the token's '%.*s' names no caller (a text of one line)",
                         SLICE_ARG(issuer->name_claim));
    const size_t room = OIDC_NAME_BYTES_MAX - sizeof OIDC_NAME_PREFIX - issuer->name.size;
    if (claim.size > room)
        return fault_set(reterr, FAULT_CONFLICT, "the token's '%.*s' has %zu bytes, names of at most %zu are kept",
                         SLICE_ARG(issuer->name_claim), claim.size, room);
    *ret_name = arena_format(arena, OIDC_NAME_PREFIX "%.*s:%.*s", SLICE_ARG(issuer->name), SLICE_ARG(claim));
    if (!ret_name->data) return fault_set(reterr, FAULT_LIMIT, "check the token: the request's memory is full");
    return FAULT_NONE;
}

/* Whether the claim is this text, or a list that holds it. */
static bool claim_holds(const struct json_value *claim, slice wanted) {
    slice text;
    if (json_tree_text(claim, &text)) return slice_equal(text, wanted);
    const size_t count = json_tree_count(claim) < VALUES_MAX ? json_tree_count(claim) : VALUES_MAX;
    const struct json_value *item = json_tree_first(claim);
    for (size_t i = 0; i < count; i++) {
        if (json_tree_text(item, &text) && slice_equal(text, wanted)) return true;
        if (i + 1 < count) item = json_tree_next(item);
    }
    return false;
}

static fault_code role_of(const struct oidc_issuer *issuer, const struct jwt *jwt, enum method_role *ret_role,
                          struct fault *reterr) {
    const struct json_value *claim = issuer->role_claim.size ? jwt_claim(jwt, issuer->role_claim) : NULL;
    for (size_t i = 0; i < issuer->roles.count; i++)
        if (claim_holds(claim, issuer->roles.items[i].key)) {
            *ret_role = token_role_find(issuer->roles.items[i].value);
            return FAULT_NONE;
        }
    *ret_role = token_role_find(issuer->role);
    if (*ret_role != ROLE_NONE) return FAULT_NONE;
    return fault_set(reterr, FAULT_CONFLICT, "the token's '%.*s' holds nothing that gives a role here (oidc.roles)",
                     SLICE_ARG(issuer->role_claim));
}

static fault_code owner_of(const struct oidc_issuer *issuer, const struct jwt *jwt, struct arena *arena,
                           struct token_owner *ret_owner, struct fault *reterr) {
    const slice used[] = {issuer->name_claim, issuer->role_claim, issuer->tenant_claim};
    fault_code code = FAULT_NONE;
    for (size_t i = 0; i < sizeof used / sizeof *used && !code; i++) code = email_check(jwt, used[i], reterr);
    if (!code) code = tenant_of(issuer, jwt, &ret_owner->tenant, reterr);
    if (!code) code = name_of(issuer, jwt, arena, &ret_owner->name, reterr);
    if (!code) code = role_of(issuer, jwt, &ret_owner->role, reterr);
    return code;
}

/* ---- callers ---- */

bool oidc_recall(struct oidc *oidc, slice token, int64_t now_ms, struct arena *arena, struct token_owner *ret_owner) {
    uint8_t hash[DIGEST_BYTES];
    struct oidc_cached cached;
    digest_of(token, hash);
    if (!oidc_cache_find(oidc->cache, hash, now_ms, arena, &cached) ||
        !oidc_keys_holds(oidc->keys, cached.source, cached.generation))
        return false;
    *ret_owner = cached.owner;
    return true;
}

/* One issuer may have a row for each audience: people here, pipelines there. */
static fault_code issuer_find(const struct oidc *oidc, const struct jwt *jwt, size_t *ret_index, struct fault *reterr) {
    size_t found = oidc->count;
    for (size_t i = 0; i < oidc->count; i++) {
        if (!slice_equal(oidc->issuers[i].issuer, jwt->issuer)) continue;
        if (found == oidc->count) found = i;
        if (!jwt_is_for(jwt, oidc->issuers[i].audience)) continue;
        found = i;
        break;
    }
    *ret_index = found;
    if (found < oidc->count) return FAULT_NONE;
    return fault_set(reterr, FAULT_ABSENT, "the token's issuer ('iss') is none that this server knows (oidc.issuer)");
}

fault_code oidc_find(struct oidc *oidc, slice token, int64_t now_ms, struct arena *arena, struct token_owner *ret_owner,
                     struct fault *reterr) {
    struct jwt jwt;
    struct signature_key key;
    struct oidc_cached cached;
    int64_t expires_ms = 0;
    fault_code code = jwt_read(token, arena, &jwt, reterr);
    if (!code) code = issuer_find(oidc, &jwt, &cached.source, reterr);
    if (code) return code;
    const struct oidc_issuer *issuer = &oidc->issuers[cached.source];
    const struct jwt_rules rules = {
        .issuer = issuer->issuer, .audience = issuer->audience, .skew_ms = issuer->clock_skew_ms};
    code = jwt_check_claims(&jwt, &rules, now_ms, &expires_ms, reterr);
    if (!code)
        code = oidc_keys_find(oidc->keys, cached.source, jwt.kid, jwt.algorithm, &key, &cached.generation, reterr);
    if (!code) code = jwt_check_signature(&jwt, &key, reterr);
    if (!code) code = owner_of(issuer, &jwt, arena, &cached.owner, reterr);
    if (code) return code;
    cached.owner.expires_ms = expires_ms + issuer->clock_skew_ms;
    uint8_t hash[DIGEST_BYTES];
    digest_of(token, hash);
    oidc_cache_put(oidc->cache, hash, &cached);
    *ret_owner = cached.owner;
    return FAULT_NONE;
}
