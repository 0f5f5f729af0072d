/* SPDX-License-Identifier: Apache-2.0
 * The way of one intent: complete and check its envelope, validate it, find its aggregate, decide, write facts and
 * apply them, write the aggregate. All reading comes before the first write, so that a refusal leaves nothing behind.
 *
 * An SLO lives decoded in hot_slos and is written at the transaction's end; any other aggregate, the intent's own and
 * those that its decider asked about (touched.h), is decoded from the table, changed and written back at once, so that
 * the next intent on it in the same transaction sees it. */
#include "aggregator/journal/decision.h"

#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/touched.h"
#include "aggregator/journal/window_table.h"
#include "common/codec/codec.h"

enum { MESSAGE_SCHEMA = 1, SOURCE_TEXT_MAX = NAMES_TEXT_BYTES_MAX };

struct target {
    struct aggregate *aggregate;
    struct aggregate none;    /* an SLO that does not exist */
    struct hot_slo *slo;      /* an SLO */
    struct window_key window; /* record_sli_window */
    struct sli_window_stored stored;
    struct sli_window_overlap overlap;
};

void decisions_begin(struct decisions *d, struct kv_txn *txn, int64_t now_ms) {
    d->txn = txn;
    d->now_ms = now_ms;
    d->counts_before = d->counts;
    d->facts_before = d->facts;
    d->rejections_before = d->rejections;
}

fault_code decisions_flush(struct decisions *d, struct fault *reterr) {
    return hot_slos_flush(d->slos, d->txn, d->now_ms, reterr);
}

void decisions_end(struct decisions *d, bool committed) {
    hot_slos_end(d->slos, committed);
    if (!committed) {
        d->counts = d->counts_before;
        d->facts = d->facts_before;
        rejection_list_roll_back(&d->rejections, &d->rejections_before);
        names_forget(d->names);
    }
    d->txn = NULL;
}

fault_code decide_rejection(struct decisions *d, slice tenant, slice producer, fault_code code, slice reason,
                            slice payload, struct fault *reterr) {
    const struct journal_rejection rejection = {.time_ms = d->now_ms,
                                                .code = code,
                                                .tenant = tenant,
                                                .producer = producer,
                                                .reason = reason,
                                                .payload = payload};
    d->counts.refused++;
    return rejection_list_put(&d->rejections, d->txn, &rejection, reterr);
}

/* ---- the envelope ---- */

static fault_code new_id(struct decisions *d, slice *ret_text, struct fault *reterr) {
    uint8_t *text = arena_alloc(d->arena, UUID_TEXT_SIZE + 1);
    if (!text) return fault_set(reterr, FAULT_LIMIT, "no memory left in this transaction");
    uuid_format(domain_ids_next(&d->ids, d->now_ms), (char *)text);
    *ret_text = slice_of(text, UUID_TEXT_SIZE);
    return FAULT_NONE;
}

/* What the sender's connection already says need not be in the message; what is there must agree with it. */
static fault_code envelope_complete(struct decisions *d, const struct decision_sender *sender, struct domain_call *call,
                                    const struct intent_row *row, slice *ret_id, struct fault *reterr) {
    SreDomainIntent *intent = &d->intent;
    SreMessageMeta *meta = &intent->meta;
    intent->has_meta = true;
    if (meta->tenant_id.size && !slice_equal(meta->tenant_id, sender->tenant)) {
        d->counts.wrong_tenant++;
        return fault_set(reterr, FAULT_DENIED, "the envelope's tenant '%.*s' is not the sender's, '%.*s'",
                         SLICE_ARG(slice_first(meta->tenant_id, 64)), SLICE_ARG(sender->tenant));
    }
    meta->tenant_id = sender->tenant;
    if (meta->producer.size == 0) meta->producer = sender->actor;
    if (meta->schema_version == 0) meta->schema_version = MESSAGE_SCHEMA;
    if (meta->schema_version > MESSAGE_SCHEMA)
        return fault_set(reterr, FAULT_INPUT, "meta.schema_version is %u, this version knows up to %d",
                         meta->schema_version, MESSAGE_SCHEMA);
    if (!meta->has_occurred_at) {
        meta->has_occurred_at = true;
        meta->occurred_at = domain_time(d->now_ms);
    }
    if (meta->message_id.size == 0 && new_id(d, &meta->message_id, reterr)) return FAULT_LIMIT;
    const fault_code code = intent_aggregate_id(intent, call, ret_id, reterr);
    if (code) return code;
    const char *type = aggregate_kind_name(row->kind);
    SreSubject *subject = &intent->subject;
    intent->has_subject = true;
    if (subject->aggregate_type.size && !slice_equal_text(subject->aggregate_type, type))
        return fault_set(reterr, FAULT_INPUT, "subject.aggregate_type is '%.*s', %s is about '%s'",
                         SLICE_ARG(slice_first(subject->aggregate_type, 64)), row->name, type);
    if (subject->aggregate_id.size && !slice_equal(subject->aggregate_id, *ret_id))
        return fault_set(reterr, FAULT_INPUT, "subject.aggregate_id is '%.*s', the intent is about '%.*s'",
                         SLICE_ARG(slice_first(subject->aggregate_id, 128)), SLICE_ARG(*ret_id));
    subject->aggregate_type = slice_from_text(type);
    subject->aggregate_id = *ret_id;
    return FAULT_NONE;
}

/* ---- the aggregate ---- */

static fault_code source_number(struct decisions *d, struct decision_sender *sender, slice cluster,
                                uint32_t *ret_number, struct fault *reterr) {
    if (!sender->source_known || !slice_equal(sender->source_cluster, cluster)) {
        uint8_t text[SOURCE_TEXT_MAX];
        if (sender->actor.size + 1 + cluster.size > sizeof text)
            return fault_set(reterr, FAULT_INPUT, "agent and cluster have over %d bytes together", SOURCE_TEXT_MAX - 1);
        if (sender->actor.size) memcpy(text, sender->actor.data, sender->actor.size);
        text[sender->actor.size] = 0;
        if (cluster.size) memcpy(text + sender->actor.size + 1, cluster.data, cluster.size);
        const fault_code code =
            names_number(d->names, d->txn, NAMES_SOURCE, sender->tenant_number,
                         slice_of(text, sender->actor.size + 1 + cluster.size), &sender->source_number, reterr);
        if (code) return code;
        sender->source_cluster = arena_copy(d->arena, cluster);
        sender->source_known = cluster.size == 0 || sender->source_cluster.data;
    }
    *ret_number = sender->source_number;
    return FAULT_NONE;
}

/* What is stored for the window, or, when there is nothing, beside it. */
static fault_code window_load(struct decisions *d, const RecordSLIWindowRequested *w, struct target *target,
                              struct fault *reterr) {
    fault_code code = window_table_get(d->tables.windows, d->txn, &target->window, &target->stored, reterr);
    if (code || target->stored.revision || target->window.start_s < 0) return code;
    int32_t lengths[SLO_LENGTHS_MAX + 1];
    const size_t count = slo_other_lengths(target->aggregate->state.slo, w->window_seconds, d->now_ms, lengths);
    for (size_t i = 0; i < count && !code && !target->overlap.window_seconds; i++)
        code = window_table_overlap(d->tables.windows, d->txn, &target->window, w->window_seconds, lengths[i],
                                    &target->overlap, reterr);
    return code;
}

static fault_code target_load(struct decisions *d, struct decision_sender *sender, const struct intent_row *row,
                              slice id, struct touched *touched, struct target *ret_target, struct fault *reterr) {
    struct target *target = ret_target;
    target->slo = NULL;
    target->overlap = (struct sli_window_overlap){0};
    target->aggregate = &target->none;
    if (row->kind == AGGREGATE_SLO) {
        const fault_code code =
            hot_slos_get(d->slos, d->txn, sender->tenant_number, id, row->creates, d->now_ms, &target->slo, reterr);
        if (code == FAULT_NONE) target->aggregate = &target->slo->aggregate;
        if (code && code != FAULT_ABSENT) return code;
        if (code == FAULT_ABSENT || d->intent.which_intent != SreDomainIntent_record_sli_window_tag) {
            if (code == FAULT_ABSENT) target->none = (struct aggregate){.kind = row->kind, .id = id};
            return FAULT_NONE;
        }
        if (target->aggregate->version == 0) return FAULT_NONE; /* its creation was refused in this transaction */
        const RecordSLIWindowRequested *w = &d->intent.intent.record_sli_window;
        target->window = (struct window_key){
            .tenant = sender->tenant_number, .slo = target->slo->number, .start_s = w->window_start.seconds};
        const fault_code source = source_number(d, sender, w->cluster_id, &target->window.source, reterr);
        if (source) return source;
        return window_load(d, w, target, reterr);
    }
    return touched_get(touched, row->kind, id, &target->aggregate, reterr);
}

/* ---- effect ---- */

static fault_code facts_write(struct decisions *d, const struct decision_sender *sender, struct aggregate *own,
                              struct fault *reterr) {
    const SreMessageMeta *cause = &d->intent.meta;
    for (size_t i = 0; i < d->list.count; i++) {
        SreDomainFact *fact = &d->list.items[i];
        /* what the domain was lent as const is ours: see touched.c */
        struct aggregate *aggregate = d->list.about[i] ? (struct aggregate *)d->list.about[i] : own;
        slice message_id;
        if (new_id(d, &message_id, reterr)) return FAULT_LIMIT;
        fact->has_meta = fact->has_subject = true;
        fact->meta = (SreMessageMeta){
            .message_id = message_id,
            .tenant_id = sender->tenant,
            .has_occurred_at = true,
            .occurred_at = domain_time(d->now_ms),
            .producer = sender->actor,
            .correlation_id = cause->correlation_id.size ? cause->correlation_id : cause->message_id,
            .causation_id = cause->message_id,
            .schema_version = MESSAGE_SCHEMA,
            .traceparent = cause->traceparent,
            .tracestate = cause->tracestate,
            .environment_id = cause->environment_id,
            .cluster_id = cause->cluster_id,
        };
        fact->subject = (SreSubject){.aggregate_type = slice_from_text(aggregate_kind_name(aggregate->kind)),
                                     .aggregate_id = aggregate->id,
                                     .aggregate_version = (int64_t)aggregate->version + 1};
        fact->sequence = d->facts.last_sequence + 1;
        d->counts.definitions +=
            fact->which_fact == SreDomainFact_slo_created_tag || fact->which_fact == SreDomainFact_slo_updated_tag;
        const fault_code code = fact_log_append(&d->facts, d->txn, d->now_ms, fact, reterr);
        if (code) return code;
        domain_apply(aggregate, fact, d->now_ms, d->arena);
        d->counts.facts++;
    }
    return FAULT_NONE;
}

static fault_code slo_write(struct decisions *d, struct target *target, struct fault *reterr) {
    if (target->slo->number == 0 && /* just made; windows in the same transaction are stored by it already */
        names_number(d->names, d->txn, NAMES_SLO, target->slo->tenant, target->aggregate->id, &target->slo->number,
                     reterr))
        return fault_wrap(reterr, "store SLO '%.*s'", SLICE_ARG(target->aggregate->id));
    if (d->intent.which_intent == SreDomainIntent_record_sli_window_tag) {
        const RecordSLIWindowRequested *w = &d->intent.intent.record_sli_window;
        const struct sli_window_stored stored = {w->good,         w->total,    w->scrapes_expected,
                                                 w->scrapes_seen, w->revision, w->window_seconds};
        return window_table_put(d->tables.windows, d->txn, &target->window, &stored, reterr);
    }
    target->slo->redefined = true;
    return FAULT_NONE;
}

static fault_code slo_encode(struct decisions *d, const struct aggregate *aggregate, slice *ret_bytes,
                             struct fault *reterr) {
    SLOBudgetWindow windows[SLO_ROLLING];
    SLO whole;
    slo_whole(aggregate->state.slo, aggregate->version, d->now_ms, windows, &whole);
    return codec_encode_protobuf(&SLO_desc, &whole, d->arena, ret_bytes, reterr);
}

fault_code decide_show(struct decisions *d, uint32_t tenant, enum aggregate_kind kind, slice id, uint64_t *ret_version,
                       slice *ret_aggregate, struct fault *reterr) {
    if (kind == AGGREGATE_SLO) { /* what the table holds is older than this transaction */
        struct hot_slo *slo;
        const fault_code code = hot_slos_get(d->slos, d->txn, tenant, id, false, d->now_ms, &slo, reterr);
        if (code || slo->aggregate.version == 0) return code == FAULT_ABSENT ? FAULT_NONE : code;
        *ret_version = slo->aggregate.version;
        return slo_encode(d, &slo->aggregate, ret_aggregate, reterr);
    }
    slice stored;
    const fault_code code = aggregate_get(d->tables.aggregates, d->txn, tenant, kind, id, ret_version, &stored, reterr);
    if (code == FAULT_ABSENT) return FAULT_NONE;
    if (!code) *ret_aggregate = arena_copy(d->arena, stored);
    return code;
}

/* ---- one intent ---- */

static fault_code refuse(struct decisions *d, const struct decision_sender *sender, slice bytes, fault_code code,
                         struct decision_effect *effect, struct fault *reterr) {
    effect->refused = code;
    if (sender->unlisted) {
        d->counts.refused++;
        return FAULT_NONE;
    }
    return decide_rejection(d, sender->tenant, sender->actor, code, slice_from_text(effect->why.text), bytes, reterr);
}

fault_code decide_intent(struct decisions *d, struct decision_sender *sender, slice bytes, uint64_t expected_version,
                         bool want_aggregate, struct decision_effect *ret_effect, struct fault *reterr) {
    struct decision_effect *effect = ret_effect;
    effect->refused = FAULT_NONE;
    effect->repeated = false;
    effect->kind = AGGREGATE_NONE;
    effect->version = 0;
    effect->id = effect->aggregate = (slice){0};
    d->counts.intents++;
    struct target target;
    struct touched touched;
    struct domain_call call = {.now_ms = d->now_ms,
                               .tenant = sender->tenant,
                               .actor = sender->actor,
                               .ids = &d->ids,
                               .arena = d->arena,
                               .alert_expiry_ms = d->alert_expiry_ms,
                               .health_expiry_ms = d->health_expiry_ms,
                               .window = &target.stored,
                               .neighbours = &touched.neighbours};
    const struct intent_row *row = intent_row_find(d->intent.which_intent);
    fault_code code;
    if (!row) {
        code =
            fault_set(&effect->why, FAULT_INPUT, "the message holds no intent, or one that this version does not know");
        return refuse(d, sender, bytes, code, effect, reterr);
    }
    effect->kind = row->kind;
    code = envelope_complete(d, sender, &call, row, &effect->id, &effect->why);
    if (!code) code = codec_validate(&SreDomainIntent_desc, &d->intent, &effect->why);
    if (code) return refuse(d, sender, bytes, code, effect, reterr);
    touched_begin(&touched, &d->tables, d->txn, d->arena, d->buffer, sender->tenant, sender->tenant_number);
    code = target_load(d, sender, row, effect->id, &touched, &target, &effect->why);
    if (code == FAULT_INPUT) return refuse(d, sender, bytes, code, effect, reterr); /* a name that is too long */
    if (code) {
        if (reterr) *reterr = effect->why;
        return code;
    }
    call.overlap = target.overlap;
    effect->version = target.aggregate->version;
    if (expected_version == 0) expected_version = (uint64_t)d->intent.subject.aggregate_version;
    code =
        domain_decide(target.aggregate, &d->intent, expected_version, sender->senders, &call, &d->list, &effect->why);
    if (touched.broken || code == FAULT_AGAIN) { /* not the intent's fault */
        if (reterr) *reterr = effect->why;
        return touched.broken ? touched.broken : code;
    }
    if (code) return refuse(d, sender, bytes, code, effect, reterr);
    if (d->list.count == 0) {
        effect->repeated = true;
        d->counts.repeated++;
        if (d->intent.which_intent == SreDomainIntent_record_sli_window_tag) d->counts.window_repeats++;
        if (!want_aggregate) return FAULT_NONE;
        return decide_show(d, sender->tenant_number, row->kind, effect->id, &effect->version, &effect->aggregate,
                           reterr);
    }
    if (target.slo) hot_slos_touch(d->slos, target.slo); /* first: what fails halfway has changed it in memory */
    code = facts_write(d, sender, target.aggregate, reterr);
    if (!code) code = touched_write(&touched, target.aggregate, want_aggregate ? &effect->aggregate : NULL, reterr);
    if (!code && target.slo) code = slo_write(d, &target, reterr);
    if (!code && target.slo && want_aggregate) code = slo_encode(d, target.aggregate, &effect->aggregate, reterr);
    effect->version = target.aggregate->version;
    return code;
}
