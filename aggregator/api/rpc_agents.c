/* SPDX-License-Identifier: Apache-2.0
 * The agents of the caller's tenant, as they said of themselves and as the intake saw them. In the order of their names:
 * an agent that appears between two pages is found by the next listing. */
#include "aggregator/api/rpc.h"

#include <stdlib.h>

#include "aggregator/api/agent_standing.h"
#include "aggregator/domain/domain.h"
#include "aggregator/projections/folds.h"
#include "common/base/clock.h"
#include "sre.pb.h"

static fault_code fill_agent(const struct agent_view *view, struct arena *arena, Agent *to, struct fault *reterr) {
    *to = (Agent){.has_status = true,
                  .status = {.tenant_id = view->tenant, .agent = view->agent},
                  .has_last_seen_at = true,
                  .last_seen_at = fold_time(view->last_seen_ms),
                  .intents_committed = view->committed,
                  .intents_lost = view->missing,
                  .intents_rejected = view->refused,
                  .config_revision = view->config_revision};
    if (view->status.size && codec_decode_protobuf(&AgentStatus_desc, view->status, arena, &to->status, reterr))
        return fault_wrap(reterr, "the status of agent '%.*s'", SLICE_ARG(view->agent));
    CommittedStream *streams = arena_alloc_array(arena, view->streams_count + 1, sizeof *streams);
    if (!streams)
        return fault_set(reterr, FAULT_INPUT, "page_size: the agents do not fit the request's memory, ask for fewer");
    for (size_t i = 0; i < view->streams_count; i++)
        streams[i] = (CommittedStream){.epoch = view->epoch,
                                       .stream = view->streams[i].stream,
                                       .committed_sequence = view->streams[i].committed_sequence,
                                       .lost_count = view->streams[i].missing,
                                       .ended = view->streams[i].ended};
    to->streams.items = streams;
    to->streams.count = view->streams_count;
    return FAULT_NONE;
}

/* An agent that was heard of, or may connect, or both. */
struct row {
    slice name;
    const struct agent_brief *brief; /* NULL: not heard of */
    const AgentIdentity *identity;   /* NULL: not enrolled here */
    AgentState state;
};

static int by_name(const void *a, const void *b) {
    return slice_compare(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static bool has(const Timestamp *at, bool is) {
    return is && at->seconds > 0;
}

static void fill_right(const AgentIdentity *identity, int64_t now_ms, Agent *to) {
    const AgentCertificate *certificate = &identity->certificate;
    const AgentEnrolment *offered = &identity->enrolment;
    const bool open = identity->has_enrolment && !offered->used_by.size && domain_ms(offered->expires_at) > now_ms;
    to->has_right = true;
    to->right = (AgentRight){.serial = certificate->serial,
                             .has_not_before = has(&certificate->not_before, identity->has_certificate),
                             .not_before = certificate->not_before,
                             .has_not_after = has(&certificate->not_after, identity->has_certificate),
                             .not_after = certificate->not_after,
                             .has_offered_until = open,
                             .offered_until = open ? offered->expires_at : (Timestamp){0},
                             .revoked = identity->revoked,
                             .revoked_by = identity->revoked_by,
                             .revoke_reason = identity->revoke_reason,
                             .refusal = identity->refusal,
                             .has_refused_at = identity->has_refused_at,
                             .refused_at = identity->refused_at};
}

static void fill_queues(Agent *to) {
    for (size_t i = 0; i < to->status.queues.count; i++) {
        const QueueStatus *queue = &to->status.queues.items[i];
        to->records_waiting += queue->records_waiting;
        if (!queue->has_oldest_at) continue;
        if (!to->has_oldest_waiting_at || domain_ms(queue->oldest_at) < domain_ms(to->oldest_waiting_at))
            to->oldest_waiting_at = queue->oldest_at;
        to->has_oldest_waiting_at = true;
    }
}

static fault_code fill_change(const struct agent_queue_change *change, struct arena *arena, Agent *to,
                              struct fault *reterr) {
    if (!change->times) return FAULT_NONE;
    const slice epoch = arena_copy(arena, slice_of(change->previous_epoch, AGENT_EPOCH_BYTES));
    if (!epoch.data)
        return fault_set(reterr, FAULT_INPUT, "page_size: the agents do not fit the request's memory, ask for fewer");
    to->has_queue_change = true;
    to->queue_change = (AgentQueueChange){.has_changed_at = true,
                                          .changed_at = fold_time(change->changed_ms),
                                          .previous_epoch = epoch,
                                          .has_reported_at = true,
                                          .reported_at = fold_time(change->said_ms),
                                          .records_waiting = change->waiting,
                                          .committed_since = change->committed_since,
                                          .times = change->times};
    return FAULT_NONE;
}

static fault_code fill_row(struct rpc_call *call, const struct row *row, int64_t now_ms, Agent *to,
                           struct fault *reterr) {
    char *reason = arena_alloc(call->arena, AGENT_STANDING_REASON_BYTES);
    struct agent_view view;
    if (!reason)
        return fault_set(reterr, FAULT_INPUT, "page_size: the agents do not fit the request's memory, ask for fewer");
    *to = (Agent){.has_status = true, .status = {.tenant_id = call->caller.tenant, .agent = row->name}};
    if (row->brief && agents_find(call->parts->agents, call->caller.tenant, row->name, call->arena, &view)) {
        fault_code code = fill_agent(&view, call->arena, to, reterr);
        if (!code) code = fill_change(&view.brief.change, call->arena, to, reterr);
        if (code) return code;
        fill_queues(to);
    }
    to->state = agent_standing(row->brief, row->identity, now_ms, reason);
    to->state_reason = slice_from_text(reason);
    if (row->identity) fill_right(row->identity, now_ms, to);
    return FAULT_NONE;
}

static fault_code identity_read(slice bytes, struct arena *arena, const AgentIdentity **ret_identity,
                                struct fault *reterr) {
    AgentIdentity *identity = arena_alloc(arena, sizeof *identity);
    if (!identity) return fault_set(reterr, FAULT_LIMIT, "the agents do not fit the request's memory");
    const fault_code code = codec_decode_protobuf(&AgentIdentity_desc, bytes, arena, identity, reterr);
    if (!code) *ret_identity = identity;
    return code;
}

/* What is told of an identity, without the certificate itself: a list has thousands. */
static bool identity_keep(const AgentIdentity *from, struct arena *arena, const AgentIdentity **ret_identity) {
    AgentIdentity *to = arena_alloc(arena, sizeof *to);
    if (!to) return false;
    *to = *from;
    to->agent = to->certificate.pem = to->certificate.key_hash = to->renewed_serial = (slice){0};
    to->enrolment.token_hash = to->enrolment.offered_by = (slice){0};
    slice *const texts[] = {&to->certificate.serial, &to->enrolment.used_by, &to->revoked_by, &to->revoke_reason,
                            &to->refusal};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!texts[i]->size) continue;
        *texts[i] = arena_copy(arena, *texts[i]);
        if (!texts[i]->data) return false;
    }
    *ret_identity = to;
    return true;
}

/* Those that were heard of, in the order of their names. */
static fault_code rows_heard(struct rpc_call *call, struct row **ret_rows, size_t *ret_count, struct fault *reterr) {
    const size_t known = call->parts->agents ? agents_count(call->parts->agents) : 0;
    struct row *rows = arena_alloc_array(call->arena, known + 1, sizeof *rows);
    size_t count = 0;
    if (!rows) return fault_set(reterr, FAULT_LIMIT, "the agents do not fit the request's memory");
    for (size_t i = 0; i < known; i++) {
        struct agent_brief *brief = arena_alloc(call->arena, sizeof *brief);
        if (!brief) return fault_set(reterr, FAULT_LIMIT, "the agents do not fit the request's memory");
        if (agents_brief(call->parts->agents, i, call->arena, brief) && slice_equal(brief->tenant, call->caller.tenant))
            rows[count++] = (struct row){.name = brief->agent, .brief = brief};
    }
    qsort(rows, count, sizeof *rows, by_name);
    *ret_rows = rows;
    *ret_count = count;
    return FAULT_NONE;
}

/* Both, in the order of their names: two sorted lists become one. */
static fault_code rows_all(struct rpc_call *call, struct arena *page, struct row **ret_rows, size_t *ret_count,
                           struct fault *reterr) {
    struct row *heard, *rows = NULL;
    size_t heard_count, count = 0, room = 0, at = 0;
    slice after = {0};
    fault_code code = rows_heard(call, &heard, &heard_count, reterr);
    for (bool more = true; !code && more;) {
        struct journal_item *items;
        size_t items_count;
        arena_reset(page);
        code = journal_list(call->parts->journal, call->caller.tenant, SLICE_LIT("agent"), after, LIMIT_PAGE_SIZE, page,
                            &items, &items_count, &more, reterr);
        if (code) return fault_wrap(reterr, "list the agents");
        const size_t needed = count + items_count + heard_count + 1;
        struct row *grown = arena_grow(call->arena, rows, room * sizeof *rows, needed * sizeof *rows);
        if (!grown) return fault_set(reterr, FAULT_LIMIT, "the agents do not fit the request's memory");
        rows = grown;
        room = needed;
        for (size_t i = 0; i < items_count && !code; i++) {
            while (at < heard_count && slice_compare(heard[at].name, items[i].id) < 0) rows[count++] = heard[at++];
            const bool is_heard = at < heard_count && slice_equal(heard[at].name, items[i].id);
            after = arena_copy(call->arena, items[i].id);
            rows[count] = is_heard ? heard[at++] : (struct row){.name = after};
            const AgentIdentity *identity;
            code = identity_read(items[i].aggregate, page, &identity, reterr);
            if (!code && (!after.data || !identity_keep(identity, call->arena, &rows[count++].identity)))
                code = fault_set(reterr, FAULT_LIMIT, "the agents do not fit the request's memory");
        }
    }
    while (!code && at < heard_count) rows[count++] = heard[at++];
    *ret_rows = rows;
    *ret_count = count;
    return code;
}

static bool is_asked_for(const ListAgentsRequest *request, AgentState state) {
    for (size_t i = 0; i < request->states.count; i++)
        if (request->states.items[i] == state) return true;
    return request->states.count == 0;
}

enum { STATES = AGENT_STATE_REVOKED + 1, PAGE_BLOCK_BYTES = 64 * 1024, PAGE_BYTES_MAX = 32 * 1024 * 1024 };

static fault_code list_agents(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const ListAgentsRequest *request = call->request;
    ListAgentsResponse *response = ret_response;
    const size_t wanted = rpc_page_size(request->page_size);
    const int64_t now_ms = clock_wall_ms();
    struct row *rows;
    size_t rows_count, counts[STATES] = {0};
    char reason[AGENT_STANDING_REASON_BYTES];
    Agent *items = arena_alloc_array(call->arena, wanted, sizeof *items);
    AgentStateCount *sums = arena_alloc_array(call->arena, STATES, sizeof *sums);
    struct arena *page = arena_new(PAGE_BLOCK_BYTES, PAGE_BYTES_MAX);
    fault_code code = items && sums && page
                          ? rows_all(call, page, &rows, &rows_count, reterr)
                          : fault_set(reterr, FAULT_LIMIT, "the agents do not fit the request's memory");
    arena_free(page);
    if (code) return code;
    response->agents.items = items;
    response->counts.items = sums;
    for (size_t i = 0; i < rows_count; i++) {
        rows[i].state = agent_standing(rows[i].brief, rows[i].identity, now_ms, reason);
        counts[rows[i].state]++;
        if (slice_compare(rows[i].name, request->page_token) <= 0 || !is_asked_for(request, rows[i].state)) continue;
        if (response->agents.count == wanted) {
            response->next_page_token = items[wanted - 1].status.agent;
            continue;
        }
        code = fill_row(call, &rows[i], now_ms, &items[response->agents.count++], reterr);
        if (code) return code;
    }
    for (int state = 0; state < STATES; state++)
        if (counts[state]) sums[response->counts.count++] = (AgentStateCount){(AgentState)state, counts[state]};
    return FAULT_NONE;
}

static fault_code get_agent(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const GetAgentRequest *request = call->request;
    GetAgentResponse *response = ret_response;
    struct agent_view view;
    struct row row = {.name = request->agent};
    slice bytes;
    if (call->parts->agents &&
        agents_find(call->parts->agents, call->caller.tenant, request->agent, call->arena, &view))
        row.brief = &view.brief;
    fault_code code = journal_get(call->parts->journal, call->caller.tenant, SLICE_LIT("agent"), request->agent,
                                  call->arena, &bytes, reterr);
    if (!code) code = identity_read(bytes, call->arena, &row.identity, reterr);
    if (code && code != FAULT_ABSENT) return code;
    if (!row.brief && !row.identity)
        return fault_set(reterr, FAULT_ABSENT, "nothing was heard of an agent '%.*s' since the aggregator started",
                         SLICE_ARG(request->agent));
    response->has_agent = true;
    return fill_row(call, &row, clock_wall_ms(), &response->agent, reterr);
}

#define EDGE "/ameide_core_proto.sre.edge.v1."
const struct rpc_handler rpc_agent_handlers[] = {
    {EDGE "AgentService/ListAgents", list_agents},
    {EDGE "AgentService/GetAgent", get_agent},
};
const size_t rpc_agent_handlers_count = sizeof rpc_agent_handlers / sizeof *rpc_agent_handlers;
