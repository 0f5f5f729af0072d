/* SPDX-License-Identifier: Apache-2.0
 * A table of members. The shipper, the queue and the pages took these values when they were made; the MQTT door is made
 * again at each reload and reads some of the same ones, so a value that only one side followed would not fit the other:
 * batches of the old size, for example, that a new and smaller ship.inflight_bytes_max never lets through. */
#include "agent/settings/restart_keys.h"

#include <stdio.h>

struct restart_key {
    const char *name;
    size_t offset;
    bool text; /* a slice, else an int64_t */
};

#define NUMBER(name, member)                                                                                           \
    { name, offsetof(struct agent_settings, member), false }
#define TEXT(name, member)                                                                                             \
    { name, offsetof(struct agent_settings, member), true }

static const struct restart_key keys[] = {
    TEXT("agent.tenant", tenant),
    TEXT("agent.name", name),
    TEXT("enrolment.url", enrolment.url),
    TEXT("buffer.path", buffer.path),
    NUMBER("buffer.bytes_max", buffer.bytes_max),
    NUMBER("buffer.health_percent", buffer.health_percent),
    NUMBER("buffer.windows_percent", buffer.windows_percent),
    NUMBER("buffer.commit_interval", buffer.commit_ms),
    NUMBER("buffer.commit_bytes", buffer.commit_bytes),
    NUMBER("ship.inflight_max", ship.inflight_max),
    NUMBER("ship.inflight_bytes_max", ship.inflight_bytes_max),
    NUMBER("ship.batch_bytes", ship.batch_bytes),
    NUMBER("ship.batch_intents", ship.batch_intents),
    NUMBER("ship.resend_after", ship.resend_ms),
    NUMBER("ship.outage", ship.outage_ms),
    NUMBER("config.probation", config.probation_ms),
    TEXT("http.address", http.address),
    NUMBER("http.port", http.port),
    NUMBER("scrape.connections_max", scrape.connections_max),
};

fault_code restart_keys_keep(const struct agent_settings *in_force, struct agent_settings *read, struct arena *arena,
                             char *ret_keys, size_t keys_bytes, struct fault *reterr) {
    size_t used = 0;
    if (keys_bytes) ret_keys[0] = '\0';
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const void *const old = (const char *)in_force + keys[i].offset;
        void *const new = (char *)read + keys[i].offset;
        if (keys[i].text) {
            const slice kept = *(const slice *)old;
            if (slice_equal(kept, *(const slice *)new)) continue;
            *(slice *)new = kept.size ? arena_copy(arena, kept) : (slice){0};
            if (kept.size && !((slice *)new)->data)
                return fault_set(reterr, FAULT_LIMIT, "keep %s: out of memory", keys[i].name);
        } else {
            if (*(const int64_t *)old == *(const int64_t *)new) continue;
            *(int64_t *)new = *(const int64_t *)old;
        }
        if (used + 1 >= keys_bytes) continue;
        const int more = snprintf(ret_keys + used, keys_bytes - used, "%s%s", used ? ", " : "", keys[i].name);
        used = used + (size_t)more < keys_bytes ? used + (size_t)more : keys_bytes - 1;
    }
    return FAULT_NONE;
}
