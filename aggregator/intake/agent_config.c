/* SPDX-License-Identifier: Apache-2.0
 * The revision is a digest of the rest of the message: the same content has the same revision, after a restart and from
 * another version of this program, and content that differs in anything has another, whether a definition was changed or this
 * version tells more of it. It needs no store, and SLOs of other agents do not touch it. So nothing may enter the message
 * that changes without the agent's definitions, such as an SLO's version, which each window moves. */
#include "aggregator/intake/agent_config.h"

#include "common/base/digest.h"
#include "common/base/limits.h"
#include "sre.pb.h"

enum {
    PAGE = 500,
    REVISION_BITS = 52, /* whole in a double, which is what metrics and many readers of JSON have */
};

struct building {
    SLIDefinition *items;
    size_t count, room;
    int64_t newest_ms;
};

static bool is_for(const SLO *slo, slice agent) {
    if (!slo->agents.count) return true;
    for (size_t i = 0; i < slo->agents.count; i++)
        if (slice_equal(slo->agents.items[i], agent)) return true;
    return false;
}

static fault_code add(struct building *b, const SLO *slo, slice agent, struct arena *arena, struct fault *reterr) {
    if (!is_for(slo, agent)) return FAULT_NONE;
    const int64_t changed_ms = slo->updated_at.seconds * 1000 + slo->updated_at.nanos / 1000000;
    if (changed_ms > b->newest_ms) b->newest_ms = changed_ms;
    if (b->count == b->room) {
        const size_t room = b->room ? b->room * 2 : 64;
        SLIDefinition *grown = arena_grow(arena, b->items, b->count * sizeof *grown, room * sizeof *grown);
        if (!grown) return fault_set(reterr, FAULT_LIMIT, "too many SLOs for one configuration");
        b->items = grown;
        b->room = room;
    }
    b->items[b->count++] =
        (SLIDefinition){.slo_id = slo->slo_id, .has_spec = true, .spec = slo->sli_spec, .target = slo->target};
    return FAULT_NONE;
}

/* Sets the revision, and gives the whole message. */
static fault_code encode(AgentConfig *config, struct arena *arena, slice *ret_payload, struct fault *reterr) {
    uint8_t hash[DIGEST_BYTES];
    uint64_t first = 0;
    slice rest;
    config->revision = 0;
    const fault_code code = codec_encode_protobuf(&AgentConfig_desc, config, arena, &rest, reterr);
    if (code) return code;
    digest_of(rest, hash);
    for (size_t i = 0; i < sizeof first; i++) first = first << 8 | hash[i];
    config->revision = 1 + (first >> (64 - REVISION_BITS));
    return codec_encode_protobuf(&AgentConfig_desc, config, arena, ret_payload, reterr);
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
        .slis = {b.items, b.count},
        .has_changed_at = b.count > 0,
        .changed_at = {.seconds = b.newest_ms / 1000, .nanos = (int32_t)(b.newest_ms % 1000 * 1000000)},
    };
    slice payload;
    const fault_code code = encode(&config, arena, &payload, reterr);
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
