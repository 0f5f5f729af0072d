/* SPDX-License-Identifier: Apache-2.0
 * What is kept of the name is its beginning, for people; what tells it from others is the hash. 48 bits of it: among a
 * thousand nodes whose names begin alike, two are called the same with a probability of 2e-9. A dash or dot at the cut goes,
 * so that no name has two in a row there. */
#include "agent/settings/node_agent_name.h"

#include <stdio.h>

#include "common/base/digest.h"
#include "common/base/limits.h"

enum { HASH_DIGITS = 12, KEPT_MIN = 1 };

bool node_agent_name(slice tenant, slice node, struct arena *arena, slice *ret_name) {
    const size_t taken = tenant.size + 1;
    if (taken + node.size <= LIMIT_TENANT_AND_PRODUCER_BYTES) {
        *ret_name = node;
        return true;
    }
    if (taken + KEPT_MIN + 1 + HASH_DIGITS > LIMIT_TENANT_AND_PRODUCER_BYTES) return false;
    size_t kept = LIMIT_TENANT_AND_PRODUCER_BYTES - taken - 1 - HASH_DIGITS;
    while (kept > KEPT_MIN && (node.data[kept - 1] == '-' || node.data[kept - 1] == '.')) kept--;
    uint8_t hash[DIGEST_BYTES];
    digest_of(node, hash);
    char *const made = arena_alloc(arena, kept + 1 + HASH_DIGITS + 1);
    if (!made) return false;
    int used = snprintf(made, kept + 2, "%.*s-", (int)kept, (const char *)node.data);
    for (size_t i = 0; i < HASH_DIGITS / 2; i++) used += snprintf(made + used, 3, "%02x", hash[i]);
    *ret_name = slice_of(made, (size_t)used);
    return true;
}
