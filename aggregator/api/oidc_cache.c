/* SPDX-License-Identifier: Apache-2.0
 * A place is named by the first bytes of the hash, and holds the one that came last. Only tokens whose signature is good
 * come in, so no stranger can push others out; SHA-256 stands for the token, as it does for tokens of our own. */
#include "aggregator/api/oidc_cache.h"

#include <pthread.h>
#include <stdlib.h>

enum { PLACES = 2048, TENANT_BYTES = 64, NAME_BYTES = 128 };

struct place {
    uint8_t hash[DIGEST_BYTES];
    uint64_t generation;
    int64_t expires_ms; /* 0: empty */
    enum method_role role;
    uint8_t source, tenant_bytes, name_bytes;
    uint8_t tenant[TENANT_BYTES], name[NAME_BYTES];
};

struct oidc_cache {
    pthread_rwlock_t lock;
    struct place *places;
};

struct oidc_cache *oidc_cache_new(void) {
    struct oidc_cache *cache = calloc(1, sizeof *cache);
    if (!cache) return NULL;
    pthread_rwlock_init(&cache->lock, NULL);
    cache->places = calloc(PLACES, sizeof *cache->places);
    return cache->places ? cache : oidc_cache_free(cache);
}

struct oidc_cache *oidc_cache_free(struct oidc_cache *cache) {
    if (!cache) return NULL;
    pthread_rwlock_destroy(&cache->lock);
    free(cache->places);
    free(cache);
    return NULL;
}

static struct place *place_of(struct oidc_cache *cache, const uint8_t *hash) {
    return &cache->places[((size_t)hash[0] << 8 | hash[1]) % PLACES];
}

void oidc_cache_put(struct oidc_cache *cache, const uint8_t hash[DIGEST_BYTES], const struct oidc_cached *entry) {
    const struct token_owner *owner = &entry->owner;
    if (entry->source > UINT8_MAX || owner->tenant.size > TENANT_BYTES || owner->name.size > NAME_BYTES) return;
    struct place fresh = {.generation = entry->generation,
                          .expires_ms = owner->expires_ms,
                          .role = owner->role,
                          .source = (uint8_t)entry->source,
                          .tenant_bytes = (uint8_t)owner->tenant.size,
                          .name_bytes = (uint8_t)owner->name.size};
    memcpy(fresh.hash, hash, DIGEST_BYTES);
    if (owner->tenant.size) memcpy(fresh.tenant, owner->tenant.data, owner->tenant.size);
    if (owner->name.size) memcpy(fresh.name, owner->name.data, owner->name.size);
    pthread_rwlock_wrlock(&cache->lock);
    *place_of(cache, hash) = fresh;
    pthread_rwlock_unlock(&cache->lock);
}

bool oidc_cache_find(struct oidc_cache *cache, const uint8_t hash[DIGEST_BYTES], int64_t now_ms, struct arena *arena,
                     struct oidc_cached *ret_entry) {
    pthread_rwlock_rdlock(&cache->lock);
    const struct place *place = place_of(cache, hash);
    const bool found = place->expires_ms > now_ms && memcmp(place->hash, hash, DIGEST_BYTES) == 0;
    if (found)
        *ret_entry =
            (struct oidc_cached){.source = place->source,
                                 .generation = place->generation,
                                 .owner = {.tenant = arena_copy(arena, slice_of(place->tenant, place->tenant_bytes)),
                                           .name = arena_copy(arena, slice_of(place->name, place->name_bytes)),
                                           .role = place->role,
                                           .expires_ms = place->expires_ms}};
    pthread_rwlock_unlock(&cache->lock);
    return found && ret_entry->owner.tenant.data && ret_entry->owner.name.data;
}
