/* SPDX-License-Identifier: Apache-2.0
 * The agents of the caller's tenant, as they said of themselves and as the intake saw them. In the order of their names:
 * an agent that appears between two pages is found by the next listing. */
#include "aggregator/api/rpc.h"

#include <stdlib.h>

#include "aggregator/projections/folds.h"
#include "sre.pb.h"

static fault_code fill_agent(const struct agent_view *view, struct arena *arena, Agent *to, struct fault *reterr) {
    *to = (Agent){.has_status = true,
                  .status = {.tenant_id = view->tenant, .agent = view->agent},
                  .has_last_seen_at = true,
                  .last_seen_at = fold_time(view->last_seen_ms),
                  .intents_committed = view->committed,
                  .intents_lost = view->missing,
                  .intents_rejected = view->refused};
    if (view->status.size && codec_decode_protobuf(&AgentStatus_desc, view->status, arena, &to->status, reterr))
        return fault_wrap(reterr, "the status of agent '%.*s'", SLICE_ARG(view->agent));
    CommittedStream *streams = arena_alloc_array(arena, view->streams_count + 1, sizeof *streams);
    if (!streams) return fault_set(reterr, FAULT_LIMIT, "the agents do not fit the request's memory, ask for fewer");
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

static int by_name(const void *a, const void *b) {
    return slice_compare(((const struct agent_view *)a)->agent, ((const struct agent_view *)b)->agent);
}

static fault_code list_agents(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const ListAgentsRequest *request = call->request;
    ListAgentsResponse *response = ret_response;
    const size_t known = call->parts->agents ? agents_count(call->parts->agents) : 0,
                 wanted = rpc_page_size(request->page_size);
    struct agent_view *views = arena_alloc_array(call->arena, known + 1, sizeof *views);
    Agent *items = arena_alloc_array(call->arena, wanted, sizeof *items);
    if (!views || !items)
        return fault_set(reterr, FAULT_LIMIT, "the agents do not fit the request's memory, ask for fewer");
    size_t count = 0;
    for (size_t i = 0; i < known; i++) {
        struct agent_view view;
        if (agents_at(call->parts->agents, i, call->arena, &view) && slice_equal(view.tenant, call->caller.tenant) &&
            slice_compare(view.agent, request->page_token) > 0)
            views[count++] = view;
    }
    qsort(views, count, sizeof *views, by_name);
    response->agents.items = items;
    for (; response->agents.count < count && response->agents.count < wanted; response->agents.count++) {
        const fault_code code =
            fill_agent(&views[response->agents.count], call->arena, &items[response->agents.count], reterr);
        if (code) return code;
    }
    if (response->agents.count < count) response->next_page_token = views[response->agents.count - 1].agent;
    return FAULT_NONE;
}

static fault_code get_agent(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const GetAgentRequest *request = call->request;
    GetAgentResponse *response = ret_response;
    struct agent_view view;
    if (!call->parts->agents ||
        !agents_find(call->parts->agents, call->caller.tenant, request->agent, call->arena, &view))
        return fault_set(reterr, FAULT_ABSENT, "nothing was heard of an agent '%.*s' since the aggregator started",
                         SLICE_ARG(request->agent));
    response->has_agent = true;
    return fill_agent(&view, call->arena, &response->agent, reterr);
}

#define EDGE "/ameide_core_proto.sre.edge.v1."
const struct rpc_handler rpc_agent_handlers[] = {
    {EDGE "AgentService/ListAgents", list_agents},
    {EDGE "AgentService/GetAgent", get_agent},
};
const size_t rpc_agent_handlers_count = sizeof rpc_agent_handlers / sizeof *rpc_agent_handlers;
