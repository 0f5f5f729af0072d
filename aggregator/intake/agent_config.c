/* SPDX-License-Identifier: Apache-2.0
 * The revision is the sum over the tenant's definitions of when each was changed last, in milliseconds. A new one adds to
 * it, and a change moves the time of its own forward (the domain sees to that, whatever the clock does): so it grows
 * with each change, it is the same after a restart, and it needs no store of its own. It holds as long as definitions
 * are not deleted, which this version does not know. */
#include "aggregator/intake/agent_config.h"

#include "common/base/limits.h"
#include "sre.pb.h"

enum { PAGE = 500 };

struct building {
    SLIDefinition *items;
    size_t count, room;
    int64_t newest_ms;
    uint64_t revision;
};

static bool is_for(const SLO *slo, slice agent) {
    if (!slo->agents.count) return true;
    for (size_t i = 0; i < slo->agents.count; i++)
        if (slice_equal(slo->agents.items[i], agent)) return true;
    return false;
}

static fault_code add(struct building *b, const SLO *slo, slice agent, struct arena *arena, struct fault *reterr) {
    const int64_t changed_ms = slo->updated_at.seconds * 1000 + slo->updated_at.nanos / 1000000;
    if (changed_ms > b->newest_ms) b->newest_ms = changed_ms;
    b->revision += (uint64_t)changed_ms;
    if (!is_for(slo, agent)) return FAULT_NONE;
    if (b->count == b->room) {
        const size_t room = b->room ? b->room * 2 : 64;
        SLIDefinition *grown = arena_grow(arena, b->items, b->count * sizeof *grown, room * sizeof *grown);
        if (!grown) return fault_set(reterr, FAULT_LIMIT, "too many SLOs for one configuration");
        b->items = grown;
        b->room = room;
    }
    b->items[b->count++] = (SLIDefinition){.slo_id = slo->slo_id,
                                           .has_spec = true,
                                           .spec = slo->sli_spec,
                                           .slo_version = slo->version,
                                           .target = slo->target};
    return FAULT_NONE;
}

fault_code agent_config_encode(struct journal *journal, slice tenant, slice agent, struct arena *arena,
                               slice *ret_payload, uint64_t *ret_revision, struct fault *reterr) {
    struct building b = {0};
    slice after = {0};
    for (bool more = true; more;) {
        struct journal_item *items;
        size_t count;
        if (journal_list(journal, tenant, SLICE_LIT("slo"), after, PAGE, arena, &items, &count, &more, reterr))
            return fault_wrap(reterr, "list the SLOs of '%.*s'", SLICE_ARG(tenant));
        for (size_t i = 0; i < count; i++) {
            SLO *slo = arena_alloc(arena, sizeof *slo);
            if (!slo) return fault_set(reterr, FAULT_LIMIT, "too many SLOs for one configuration");
            if (codec_decode_protobuf(&SLO_desc, items[i].aggregate, arena, slo, reterr))
                return fault_wrap(reterr, "SLO '%.*s'", SLICE_ARG(items[i].id));
            const fault_code code = add(&b, slo, agent, arena, reterr);
            if (code) return code;
            after = items[i].id;
        }
    }
    AgentConfig config = {
        .revision = 1 + b.revision,
        .slis = {b.items, b.count},
        .has_changed_at = b.revision > 0,
        .changed_at = {.seconds = b.newest_ms / 1000, .nanos = (int32_t)(b.newest_ms % 1000 * 1000000)},
    };
    slice payload;
    const fault_code code = codec_encode_protobuf(&AgentConfig_desc, &config, arena, &payload, reterr);
    if (code) return code;
    if (payload.size > LIMIT_MESSAGE_BYTES)
        return fault_set(reterr, FAULT_LIMIT,
                         "the %zu SLOs for agent '%.*s' take %zu bytes, and a message has at most %d: name the "
                         "agents of an SLO in its `agents`",
                         b.count, SLICE_ARG(agent), payload.size, LIMIT_MESSAGE_BYTES);
    *ret_payload = payload;
    *ret_revision = config.revision;
    return FAULT_NONE;
}
