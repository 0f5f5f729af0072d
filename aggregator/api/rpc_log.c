/* SPDX-License-Identifier: Apache-2.0
 * The facts log and the rejections list, read in pieces. The log holds all tenants' facts: a call passes over a bounded
 * number of others' and says how far it came. */
#include <inttypes.h>

#include "aggregator/api/compacted.h"
#include "aggregator/api/rpc.h"
#include "aggregator/domain/domain.h"
#include "aggregator/projections/folds.h"
#include "sre.pb.h"

enum {
    FACTS = 100,
    RANGES_MAX = 1000,
    SCAN_MAX = 50000,
    READ_FACTS = 1000,
    READ_BYTES = 1024 * 1024,
    PAGE_BYTES_MAX = 4 * 1024 * 1024
};

static bool fact_wanted(const struct rpc_call *call, const ListFactsRequest *request, const struct fact_view *view) {
    if (!slice_equal(view->tenant, call->caller.tenant)) return false;
    if (request->aggregate_type.size && !slice_equal(view->aggregate_type, request->aggregate_type)) return false;
    return !request->aggregate_id.size || slice_equal(view->aggregate_id, request->aggregate_id);
}

/* A range does not say which aggregates its facts were of, only of which type: asked for one, it may have been of it. */
static bool compacted_wanted(const void *context, const char *name, uint32_t fact_number) {
    const ListFactsRequest *request = context;
    const char *type = fact_number == SreDomainFact_sli_window_recorded_tag
                           ? aggregate_kind_name(AGGREGATE_SLO)
                           : aggregate_kind_name(AGGREGATE_HEALTH_CHECK);
    return !request->aggregate_type.size || slice_equal_text(request->aggregate_type, type);
}

static fault_code list_facts(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const ListFactsRequest *request = call->request;
    ListFactsResponse *response = ret_response;
    const size_t wanted = request->limit > 0 ? (size_t)request->limit : FACTS;
    SreDomainFact *facts = arena_alloc_array(call->arena, wanted, sizeof *facts);
    if (!facts)
        return fault_set(reterr, FAULT_INPUT, "limit: so many facts do not fit the request's memory, ask for fewer");
    CompactedRange *ranges = arena_alloc_array(call->arena, RANGES_MAX, sizeof *ranges);
    if (!ranges) return fault_set(reterr, FAULT_LIMIT, "list facts: the request's memory is full");
    response->compacted.items = ranges;
    response->facts.items = facts;
    response->newest_sequence = journal_last_sequence(call->parts->journal);
    response->last_sequence = request->after_sequence;
    for (size_t scanned = 0; scanned < SCAN_MAX && arena_used(call->arena) < PAGE_BYTES_MAX;) {
        struct fact_view *views;
        size_t count;
        fault_code code = journal_facts(call->parts->journal, response->last_sequence, READ_FACTS, READ_BYTES,
                                        call->arena, &views, &count, reterr);
        if (code) return code;
        for (size_t i = 0; i < count; i++) {
            if (views[i].compacted) {
                if (response->compacted.count == RANGES_MAX) return FAULT_NONE;
                response->compacted.count += compacted_range(&views[i], call->caller.tenant, compacted_wanted, request,
                                                             call->arena, &ranges[response->compacted.count]);
            } else if (fact_wanted(call, request, &views[i])) {
                if (response->facts.count == wanted) return FAULT_NONE;
                code = codec_decode_protobuf(&SreDomainFact_desc, views[i].bytes, call->arena,
                                             &facts[response->facts.count], reterr);
                if (code) return fault_wrap(reterr, "read fact %" PRIu64, views[i].sequence);
                response->facts.count++;
            }
            response->last_sequence = views[i].sequence;
        }
        scanned += count;
        if (!count) break;
    }
    return FAULT_NONE;
}

static void fill_rejection(const struct journal_rejection *from, bool whole, struct arena *arena, Rejection *to) {
    *to = (Rejection){.rejection_id = from->sequence,
                      .has_rejected_at = true,
                      .rejected_at = fold_time(from->time_ms),
                      .producer = from->producer,
                      .code = slice_from_text(fault_code_name(from->code)),
                      .reason = from->reason,
                      .has_replayed_at = from->replayed_ms != 0,
                      .replayed_by = from->replayed_by,
                      .message_type = SLICE_LIT("ameide_core_proto.sre.core.v1.SreDomainIntent")};
    if (whole) to->payload = from->payload;
    if (to->has_replayed_at) to->replayed_at = fold_time(from->replayed_ms);
    SreDomainIntent *intent = arena_alloc(arena, sizeof *intent);
    if (!intent || codec_decode_protobuf(&SreDomainIntent_desc, from->payload, arena, intent, NULL)) {
        to->message_type = (slice){0}; /* unreadable, or a batch: the reason says which */
        return;
    }
    const struct intent_row *row = intent_row_find(intent->which_intent);
    if (row) to->intent_type = slice_from_text(row->name);
    to->aggregate_type = row ? slice_from_text(aggregate_kind_name(row->kind)) : intent->subject.aggregate_type;
    to->aggregate_id = intent->subject.aggregate_id.size ? intent->subject.aggregate_id : intent_id_given(intent);
    to->message_id = intent->meta.message_id;
}

static fault_code list_rejections(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const ListRejectionsRequest *request = call->request;
    ListRejectionsResponse *response = ret_response;
    const size_t wanted = rpc_page_size(request->page_size);
    uint64_t before = 0;
    for (size_t i = 0; i < request->page_token.size; i++) {
        const uint8_t c = request->page_token.data[i];
        if (c < '0' || c > '9' || i > 18)
            return fault_set(reterr, FAULT_INPUT, "page_token: is not one that this server gave");
        before = before * 10 + (uint64_t)(c - '0');
    }
    Rejection *items = arena_alloc_array(call->arena, wanted, sizeof *items);
    if (!items)
        return fault_set(reterr, FAULT_INPUT, "page_size: the page does not fit the request's memory, ask for fewer");
    response->rejections.items = items;
    bool more = true;
    for (size_t scanned = 0; more && response->rejections.count < wanted && scanned < SCAN_MAX &&
                             arena_used(call->arena) < PAGE_BYTES_MAX;) {
        struct journal_rejection *found;
        size_t count;
        const fault_code code = journal_rejections(call->parts->journal, call->caller.tenant, before, wanted,
                                                   call->arena, &found, &count, reterr);
        if (code) return code;
        more = count != 0;
        for (size_t i = 0; i < count && response->rejections.count < wanted; i++) {
            before = found[i].sequence;
            if (found[i].replayed_ms && !request->include_replayed) continue;
            if (request->producer.size && !slice_equal(request->producer, found[i].producer)) continue;
            if (request->code.size && !slice_equal_text(request->code, fault_code_name(found[i].code))) continue;
            fill_rejection(&found[i], false, call->arena, &items[response->rejections.count++]);
        }
        scanned += count;
    }
    if (more && before) response->next_page_token = arena_format(call->arena, "%" PRIu64, before);
    return FAULT_NONE;
}

static fault_code find_rejection(struct rpc_call *call, uint64_t rejection_id, struct journal_rejection **ret_found,
                                 struct fault *reterr) {
    size_t count = 0;
    if (rejection_id < UINT64_MAX) {
        const fault_code code = journal_rejections(call->parts->journal, call->caller.tenant, rejection_id + 1, 1,
                                                   call->arena, ret_found, &count, reterr);
        if (code) return code;
    }
    if (count && (*ret_found)->sequence == rejection_id) return FAULT_NONE;
    return fault_set(reterr, FAULT_ABSENT,
                     "there is no rejection %" PRIu64 " (the oldest are dropped when the list is full)", rejection_id);
}

static fault_code get_rejection(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const GetRejectionRequest *request = call->request;
    GetRejectionResponse *response = ret_response;
    struct journal_rejection *found;
    const fault_code code = find_rejection(call, request->rejection_id, &found, reterr);
    if (code) return code;
    response->has_rejection = true;
    fill_rejection(found, true, call->arena, &response->rejection);
    return FAULT_NONE;
}

/* On the journal's writer thread. */
static void on_replayed(void *context, const struct journal_outcome *outcome) {
    struct rpc_call *call = context;
    if (outcome->result == JOURNAL_FAILED) {
        rpc_fail(call, connect_code_of(outcome->fault.code), outcome->fault.text);
        return;
    }
    ReplayRejectionResponse response = {.accepted = outcome->result != JOURNAL_REFUSED,
                                        .aggregate_id = outcome->aggregate_id,
                                        .aggregate_version = (int64_t)outcome->aggregate_version};
    if (!response.accepted) response.reason = slice_from_text(outcome->fault.text);
    rpc_answer(call, &response);
}

static fault_code replay_rejection(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const ReplayRejectionRequest *request = call->request;
    struct journal_rejection *found;
    fault_code code = find_rejection(call, request->rejection_id, &found, reterr);
    if (code) return code;
    if (found->replayed_ms)
        return fault_set(reterr, FAULT_CONFLICT, "rejection %" PRIu64 " was replayed already, by %.*s",
                         request->rejection_id, SLICE_ARG(found->replayed_by));
    const struct journal_command command = {
        .caller = {.tenant = call->caller.tenant, .actor = call->caller.name, .role = call->caller.role},
        .replay_of = request->rejection_id,
        .done = on_replayed,
        .context = call};
    if (!rpc_keep(call)) return FAULT_NONE;
    struct fault fault;
    code = journal_submit(call->parts->journal, &command, &fault);
    if (code) rpc_fail(call, connect_code_of(code), fault.text);
    return FAULT_NONE;
}

#define CORE "/ameide_core_proto.sre.core.v1."
const struct rpc_handler rpc_log_handlers[] = {
    {CORE "FactService/ListFacts", list_facts},
    {CORE "RejectionService/ListRejections", list_rejections},
    {CORE "RejectionService/GetRejection", get_rejection},
    {CORE "RejectionService/ReplayRejection", replay_rejection},
};
const size_t rpc_log_handlers_count = sizeof rpc_log_handlers / sizeof *rpc_log_handlers;
