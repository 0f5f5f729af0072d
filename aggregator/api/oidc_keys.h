/* SPDX-License-Identifier: Apache-2.0
 * The key sets of outside issuers, fetched by a thread of its own, which alone waits for the network. Those who ask get
 * what is there at once. The last good set stays in use while fetching fails, up to an age. Any thread may ask. */
#ifndef PICKET_API_OIDC_KEYS_H
#define PICKET_API_OIDC_KEYS_H

#include "aggregator/api/jwks.h"
#include "common/metrics/metrics.h"

struct oidc_keys;

struct oidc_keys_source {   /* texts outlive the keys */
    const char *name;       /* for sentences, logs and metrics */
    const char *url, *file; /* one of them */
    const char *ca;         /* what the server's certificate must be from, PEM; NULL: the system's authorities */
    int64_t refresh_ms;     /* between two fetches */
    int64_t refresh_min_ms; /* and at least, however often a key is asked for that is not there */
    int64_t age_max_ms;     /* of keys in use */
    int64_t timeout_ms;     /* of a fetch */
};

/* Starts the thread and fetches all. metrics may be NULL. */
fault_code oidc_keys_open(const struct oidc_keys_source *sources, size_t count, struct metrics *metrics,
                          struct oidc_keys **ret_keys, struct fault *reterr) MUST_CHECK;
struct oidc_keys *oidc_keys_close(struct oidc_keys *keys); /* NULL is fine; returns NULL */

/* A copy of the key. ret_generation names the set it is from. FAULT_AGAIN: none could be fetched yet, those that are there
 * are too old, or they are being fetched now because this one was asked for; FAULT_ABSENT: the issuer has no such key. */
fault_code oidc_keys_find(struct oidc_keys *keys, size_t source, slice kid, enum signature_algorithm algorithm,
                          struct signature_key *ret_key, uint64_t *ret_generation, struct fault *reterr) MUST_CHECK;
/* Whether what was found with this generation may still be relied on. */
bool oidc_keys_holds(struct oidc_keys *keys, size_t source, uint64_t generation);

#endif
