/* SPDX-License-Identifier: Apache-2.0
 * A single intent from the API, the bus or the aggregator itself. It comes at least once, so what it did is marked in
 * its own transaction: by message id, and by Idempotency-Key where there is one. A refused intent is not marked: when
 * its cause is gone it may be sent again as it is. */
#include "aggregator/journal/decision.h"

#include "aggregator/journal/expiry_table.h"
#include "common/codec/codec.h"

#define MARK_KEPT_MS (INT64_C(7) * 24 * 3600 * 1000)

static unsigned senders_of(const struct journal_caller *caller) {
    if (caller->self) return SELF;
    switch (caller->role) {
    case ROLE_AGENT: return AGENTS;
    case ROLE_INTEGRATION: return INTEGRATIONS;
    case ROLE_RESPONDER: return RESPONDERS;
    case ROLE_APPROVER: return APPROVERS;
    case ROLE_ADMIN: return ADMINS;
    default: return 0;
    }
}

static void name_hash(slice first, slice second, uint8_t ret_hash[DIGEST_BYTES]) {
    struct digest digest;
    digest_init(&digest);
    digest_feed(&digest, first);
    digest_feed(&digest, SLICE_LIT("\0"));
    digest_feed(&digest, second);
    digest_done(&digest, ret_hash);
}

/* What is asked for, without the envelope and in one order: a second try has another time and trace, and often its maps'
 * entries in another order. */
static fault_code request_hash(struct decisions *d, uint8_t ret_hash[DIGEST_BYTES], struct fault *reterr) {
    SreDomainIntent *request = arena_alloc(d->arena, sizeof *request);
    if (!request) return fault_set(reterr, FAULT_LIMIT, "no memory left in this transaction");
    *request = d->intent;
    request->has_meta = request->has_subject = false;
    codec_order_maps(&SreDomainIntent_desc, request);
    slice bytes;
    const fault_code code = codec_encode_protobuf(&SreDomainIntent_desc, request, d->arena, &bytes, reterr);
    if (!code) digest_of(bytes, ret_hash);
    return code;
}

static fault_code repeat_show(struct decisions *d, uint32_t tenant, const struct intent_mark *mark,
                              struct journal_outcome *outcome, struct fault *reterr) {
    d->counts.repeated++;
    outcome->result = JOURNAL_REPEATED;
    outcome->aggregate_type = slice_from_text(aggregate_kind_name((enum aggregate_kind)mark->kind));
    outcome->aggregate_id = arena_copy(d->arena, mark->id);
    outcome->aggregate_version = mark->version;
    outcome->last_sequence = mark->last_sequence;
    return decide_show(d, tenant, (enum aggregate_kind)mark->kind, outcome->aggregate_id, &outcome->aggregate_version,
                       &outcome->aggregate, reterr);
}

static fault_code refused(struct decisions *d, const struct journal_command *command, struct journal_outcome *outcome,
                          struct fault *reterr) {
    outcome->result = JOURNAL_REFUSED;
    if (command->replay_of) { /* it is in the list */
        d->counts.refused++;
        return FAULT_NONE;
    }
    return decide_rejection(d, command->caller.tenant, command->caller.actor, outcome->fault.code,
                            slice_from_text(outcome->fault.text), command->intent, reterr);
}

/* What agents alone may say stays the agent's word when a person hands it in again; all else is the person's. */
static void replay_sender(const struct decisions *d, slice producer, struct decision_sender *sender) {
    const struct intent_row *row = intent_row_find(d->intent.which_intent);
    if (!row || row->senders & sender->senders) return;
    sender->actor = producer;
    sender->senders = AGENTS;
}

/* The names under which a command's effect is marked. */
struct given_marks {
    bool keyed, named; /* by Idempotency-Key, by message id */
    uint8_t by_key[DIGEST_BYTES], by_message[DIGEST_BYTES], asked[DIGEST_BYTES];
};

/* Marks of messages from before had no hash. */
static bool other_request(const struct intent_mark *mark, const uint8_t asked[DIGEST_BYTES]) {
    static const uint8_t none[DIGEST_BYTES];
    return memcmp(mark->request_hash, none, DIGEST_BYTES) != 0 && memcmp(mark->request_hash, asked, DIGEST_BYTES) != 0;
}

/* What the command did when it came before. FAULT_ABSENT: it did not. FAULT_CONFLICT: its key or its message id is another
 * request's. */
static fault_code marks_find(struct decisions *d, const struct journal_command *command,
                             const struct decision_sender *sender, struct given_marks *ret_marks,
                             struct intent_mark *ret_before, struct fault *reterr) {
    struct given_marks *marks = ret_marks;
    const slice message_id = d->intent.meta.message_id;
    marks->keyed = command->idempotency_key.size;
    marks->named = message_id.size;
    if (!marks->keyed && !marks->named) return FAULT_ABSENT;
    fault_code code = request_hash(d, marks->asked, reterr);
    if (code) return code;
    code = FAULT_ABSENT;
    if (marks->keyed) {
        name_hash(sender->actor, command->idempotency_key, marks->by_key);
        code = mark_intent_get(&d->marks, d->txn, MARK_IDEMPOTENCY_KEY, sender->tenant_number, marks->by_key,
                               ret_before, reterr);
        if (code == FAULT_NONE && other_request(ret_before, marks->asked))
            return fault_set(reterr, FAULT_CONFLICT,
                             "the Idempotency-Key was used for another request; give each request a key of its own");
    }
    if (code == FAULT_ABSENT && marks->named) {
        name_hash(message_id, (slice){0}, marks->by_message);
        code = mark_intent_get(&d->marks, d->txn, MARK_MESSAGE, sender->tenant_number, marks->by_message, ret_before,
                               reterr);
        if (code == FAULT_NONE && other_request(ret_before, marks->asked))
            return fault_set(
                reterr, FAULT_CONFLICT,
                "meta.message_id: %.*s was another intent, about %s '%.*s'; give each message an id of its "
                "own",
                SLICE_ARG(message_id), aggregate_kind_name((enum aggregate_kind)ret_before->kind),
                SLICE_ARG(ret_before->id));
    }
    return code;
}

/* producer: of the rejection, when it is a replay. */
static fault_code decide_given(struct decisions *d, const struct journal_command *command, slice producer,
                               struct journal_outcome *ret_outcome, struct fault *reterr) {
    struct journal_outcome *outcome = ret_outcome;
    struct decision_sender sender = {.tenant = command->caller.tenant,
                                     .actor = command->caller.actor,
                                     .senders = senders_of(&command->caller),
                                     .unlisted = command->replay_of != 0};
    fault_code code = names_number(d->names, d->txn, NAMES_TENANT, 0, sender.tenant, &sender.tenant_number, reterr);
    if (code) return code;
    if (codec_decode_protobuf(&SreDomainIntent_desc, command->intent, d->arena, &d->intent, &outcome->fault)) {
        d->counts.intents++;
        fault_wrap(&outcome->fault, "the intent cannot be read");
        return refused(d, command, outcome, reterr);
    }
    if (command->message_id_needed && d->intent.meta.message_id.size == 0) {
        d->counts.intents++;
        fault_set(&outcome->fault, FAULT_INPUT,
                  "meta.message_id: is needed on the bus, where a message may come twice; give each intent a UUID");
        return refused(d, command, outcome, reterr);
    }
    if (command->replay_of) replay_sender(d, producer, &sender);
    struct given_marks marks;
    struct intent_mark mark = {0};
    struct fault fault;
    code = marks_find(d, command, &sender, &marks, &mark, &fault);
    if (code == FAULT_NONE) return repeat_show(d, sender.tenant_number, &mark, outcome, reterr);
    if (code == FAULT_CONFLICT) {
        outcome->fault = fault;
        return refused(d, command, outcome, reterr);
    }
    if (code != FAULT_ABSENT) {
        if (reterr) *reterr = fault;
        return code;
    }
    mark = (struct intent_mark){0};
    if (marks.keyed || marks.named) memcpy(mark.request_hash, marks.asked, DIGEST_BYTES);

    struct decision_effect effect;
    const uint64_t facts_before = d->facts.last_sequence;
    code = decide_intent(d, &sender, command->intent, command->expected_version, true, &effect, reterr);
    if (code) return code;
    outcome->aggregate_type = slice_from_text(aggregate_kind_name(effect.kind));
    outcome->aggregate_id = effect.id;
    outcome->aggregate_version = effect.version;
    outcome->aggregate = effect.aggregate;
    if (effect.refused) {
        outcome->result = JOURNAL_REFUSED;
        outcome->fault = effect.why;
        return FAULT_NONE;
    }
    outcome->result = effect.repeated ? JOURNAL_REPEATED : JOURNAL_COMMITTED;
    outcome->last_sequence = d->facts.last_sequence > facts_before ? d->facts.last_sequence : 0;
    mark.kind = (uint8_t)effect.kind;
    mark.version = effect.version;
    mark.last_sequence = outcome->last_sequence;
    mark.id = effect.id;
    const int64_t expires_ms = d->now_ms + MARK_KEPT_MS;
    if (marks.keyed)
        code = mark_intent_put(&d->marks, d->txn, MARK_IDEMPOTENCY_KEY, sender.tenant_number, marks.by_key, &mark,
                               expires_ms, reterr);
    if (!code && marks.named)
        code = mark_intent_put(&d->marks, d->txn, MARK_MESSAGE, sender.tenant_number, marks.by_message, &mark,
                               expires_ms, reterr);
    return code;
}

static fault_code decide_replay(struct decisions *d, const struct journal_command *command,
                                struct journal_outcome *outcome, struct fault *reterr) {
    struct journal_rejection rejection;
    const slice tenant = command->caller.tenant;
    fault_code code = rejection_list_get(&d->rejections, d->txn, tenant, command->replay_of, &rejection, reterr);
    if (code && code != FAULT_ABSENT) return code;
    if (code)
        fault_set(&outcome->fault, FAULT_ABSENT, "there is no rejection %llu", (unsigned long long)command->replay_of);
    else if (rejection.replayed_ms)
        fault_set(&outcome->fault, FAULT_CONFLICT, "rejection %llu was replayed already, by %.*s",
                  (unsigned long long)command->replay_of, SLICE_ARG(rejection.replayed_by));
    if (outcome->fault.code) {
        outcome->result = JOURNAL_REFUSED;
        return FAULT_NONE;
    }
    struct journal_command given = *command;
    given.intent = arena_copy(d->arena, rejection.payload); /* the next write moves the page */
    const slice producer = arena_copy(d->arena, rejection.producer);
    if ((rejection.payload.size && !given.intent.data) || (rejection.producer.size && !producer.data))
        return fault_set(reterr, FAULT_LIMIT, "no memory left in this transaction");
    code = decide_given(d, &given, producer, outcome, reterr);
    if (code || outcome->result == JOURNAL_REFUSED) return code;
    return rejection_list_replayed(&d->rejections, d->txn, command->replay_of, d->now_ms, command->caller.actor,
                                   reterr);
}

/* Decided or outlived: its time need not come up again. One that is refused (the clock went back) stays. */
static fault_code due_done(struct decisions *d, const struct journal_command *command,
                           const struct journal_outcome *outcome, struct fault *reterr) {
    if (outcome->result == JOURNAL_REFUSED || !command->due_ms) return FAULT_NONE;
    uint32_t tenant;
    const fault_code code = names_number(d->names, d->txn, NAMES_TENANT, 0, command->caller.tenant, &tenant, reterr);
    if (code) return code;
    return expiry_delete(d->tables.expiries, d->txn, command->due_ms, tenant,
                         aggregate_kind_find(outcome->aggregate_type), outcome->aggregate_id, reterr);
}

fault_code decide_command(struct decisions *d, const struct journal_command *command,
                          struct journal_outcome *ret_outcome, struct fault *reterr) {
    if (command->replay_of) return decide_replay(d, command, ret_outcome, reterr);
    const fault_code code = decide_given(d, command, (slice){0}, ret_outcome, reterr);
    return code || !command->caller.self ? code : due_done(d, command, ret_outcome, reterr);
}

fault_code command_repeat(struct decisions *d, struct kv_txn *txn, const struct journal_command *command,
                          bool *ret_repeat, struct journal_outcome *ret_outcome, struct fault *reterr) {
    struct decision_sender sender = {.tenant = command->caller.tenant, .actor = command->caller.actor};
    struct given_marks marks;
    struct intent_mark mark;
    *ret_repeat = false;
    if (command->replay_of) return FAULT_NONE;
    if (codec_decode_protobuf(&SreDomainIntent_desc, command->intent, d->arena, &d->intent, reterr)) return FAULT_NONE;
    fault_code code = names_find(d->tables.names, txn, NAMES_TENANT, 0, sender.tenant, &sender.tenant_number, reterr);
    d->txn = txn; /* read only, and so is what is called here */
    if (!code) code = marks_find(d, command, &sender, &marks, &mark, reterr);
    *ret_repeat = code == FAULT_NONE;
    if (!code) code = repeat_show(d, sender.tenant_number, &mark, ret_outcome, reterr);
    d->txn = NULL;
    return code == FAULT_ABSENT || code == FAULT_CONFLICT ? FAULT_NONE : code;
}
