/* SPDX-License-Identifier: Apache-2.0
 * A round has three steps, each of which may fail alone and is taken again by the next tick: judging makes changes
 * (pending), storing puts what is pending into the queue together with the note of all alerts, in one transaction, telling
 * calls the webhook with what is stored and was not committed by the centre in time, and notes that it was told.
 *
 * A change keeps the place (stream, sequence) that it was stored at: whether the centre has committed it is then known
 * from the queue alone, also after a restart. */
#include "agent/alert/edge_alerts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/alert/alert_book.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/logging/log.h"

enum {
    TICK_MS = 500,
    STORE_MAX = 64,                /* alerts of one transaction */
    HISTORY_KEPT_MS = 10 * 1000,   /* for kill -9, at most that often */
    HISTORY_DISK_MS = 3600 * 1000, /* for a power cut */
    TRY_MS_MIN = 1000,
    TRY_MS_MAX = 60 * 1000,
    TRIES_MAX = 100, /* an hour and a half */
    REPEAT_LOG_MS = 60 * 1000,
    BYTES_MAX = 256 * 1024 * 1024,
    SUMMARY_BYTES = 400,
    FINGERPRINT_TEXT = 16,
};
static const char note_alerts[] = "alerts", note_history[] = "burns";

enum {
#define METRIC(id, kind, name, labels, help) id,
#include "agent/alert/alert_metrics.def"
#undef METRIC
    ALERT_METRICS_MAX_
};
static const struct metric_row rows[] = {
#define METRIC(id, kind, name, labels, help) METRIC_ROW(kind, name, labels, help),
#include "agent/alert/alert_metrics.def"
#undef METRIC
};
static const char *const severity_labels[] = {"unspecified", "critical", "high", "medium", "low"};

struct edge_alerts {
    struct edge_alerts_parts parts;
    const struct alert_settings *settings;
    struct envelope envelope;
    struct alert_book book;
    struct webhook *webhook; /* NULL: there is none */
    struct loop_timer *timer;
    struct arena *arena;
    struct metric_table *metrics;
    struct edge_alerts_stats stats;
    bool restored, counted, note_due;
    int64_t history_kept_ms, history_disk_ms; /* monotonic */
    size_t told_slo, told_alert;              /* of the call that runs */
    int64_t told_starts_ms;
    bool told_firing;
    struct log_limit store_limit, call_limit, keep_limit;
};

static void on_tick(void *context);
static void on_called(void *context, size_t number, const struct fault *fault);

fault_code edge_alerts_new(const struct edge_alerts_parts *parts, const struct alert_settings *settings,
                           const struct envelope *envelope, struct edge_alerts **ret_alerts, struct fault *reterr) {
    struct edge_alerts *alerts = calloc(1, sizeof *alerts);
    if (!alerts) return fault_set(reterr, FAULT_LIMIT, "edge alerts: out of memory");
    alerts->parts = *parts;
    alerts->settings = settings;
    alerts->envelope = *envelope;
    alerts->timer = loop_timer_new(parts->loop, on_tick, alerts);
    alerts->arena = arena_new(16 * 1024, BYTES_MAX);
    fault_code code = FAULT_NONE;
    if (!alerts->timer || !alerts->arena) code = fault_set(reterr, FAULT_LIMIT, "out of memory");
    if (!code && parts->metrics) code = metrics_add(parts->metrics, rows, ALERT_METRICS_MAX_, &alerts->metrics, reterr);
    if (!code && settings->webhook_url.size)
        code = webhook_new(parts->client, settings, on_called, alerts, &alerts->webhook, reterr);
    if (code) {
        edge_alerts_free(alerts);
        return fault_wrap(reterr, "edge alerts");
    }
    loop_timer_set(alerts->timer, TICK_MS);
    *ret_alerts = alerts;
    return FAULT_NONE;
}

struct edge_alerts *edge_alerts_free(struct edge_alerts *alerts) {
    if (!alerts) return NULL;
    webhook_free(alerts->webhook);
    loop_timer_free(alerts->timer);
    arena_free(alerts->arena);
    alert_book_free(&alerts->book);
    free(alerts);
    return NULL;
}

/* ---- what is watched, and what was known before ---- */

static void kept_failed(struct edge_alerts *alerts, const char *what, const struct fault *fault) {
    uint64_t suppressed = 0;
    if (log_limit_pass(&alerts->keep_limit, clock_monotonic_ms(), REPEAT_LOG_MS, &suppressed))
        LOG_WARN("alert", what, LOG_FAULT(fault), LOG_TEXT("instead", "going on with what is in memory"),
                 LOG_UINT("suppressed", suppressed));
}

/* Of the process before this one. */
static void restore(struct edge_alerts *alerts) {
    struct fault fault;
    slice bytes;
    arena_reset(alerts->arena);
    fault_code code = queue_note_get(alerts->parts.queue, note_alerts, alerts->arena, &bytes, &fault);
    if (!code) code = alert_book_decode_alerts(&alerts->book, bytes, &fault);
    if (code && code != FAULT_ABSENT) kept_failed(alerts, "alerts_lost", &fault);
    code = queue_note_get(alerts->parts.queue, note_history, alerts->arena, &bytes, &fault);
    if (!code) code = alert_book_decode_history(&alerts->book, bytes, &fault);
    if (code && code != FAULT_ABSENT) kept_failed(alerts, "burn_rates_lost", &fault);
    code = state_get(alerts->parts.state, slice_from_text(note_history), STATE_KEPT, alerts->arena, &bytes, &fault);
    if (!code) code = alert_book_decode_history(&alerts->book, bytes, &fault);
    if (code && code != FAULT_ABSENT) kept_failed(alerts, "burn_rates_lost", &fault);
    const int64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < alerts->book.count; i++)
        for (size_t a = 0; a < ALERTS_PER_SLO; a++) alerts->book.slos[i].alerts[a].changed_ms = now_ms;
}

/* A call that runs is broken off, and made again: its numbers are those of the book before. */
static void renew_webhook(struct edge_alerts *alerts) {
    struct fault fault;
    alerts->webhook = webhook_free(alerts->webhook);
    if (alerts->settings->webhook_url.size &&
        webhook_new(alerts->parts.client, alerts->settings, on_called, alerts, &alerts->webhook, &fault))
        LOG_ERROR("alert", "webhook_refused", LOG_FAULT(&fault), LOG_TEXT("instead", "no local webhook is called"));
}

static void watch(struct edge_alerts *alerts, const struct alert_watch *watched, size_t count) {
    struct burn_rule rules[BURN_RULES_MAX];
    struct alert_book book;
    struct fault fault;
    const size_t rules_count = alert_settings_rules(alerts->settings, rules);
    if (alert_book_new(rules, rules_count, watched, alerts->settings->disabled ? 0 : count, clock_wall_ms(), &book,
                       &fault)) {
        LOG_ERROR("alert", "not_watched", LOG_FAULT(&fault), LOG_TEXT("instead", "watching what was watched before"));
        return;
    }
    alert_book_take_over(&book, &alerts->book);
    alert_book_free(&alerts->book);
    alerts->book = book;
    alerts->book.rules.rules = alerts->book.rules_items;
    renew_webhook(alerts);
}

void edge_alerts_define(struct edge_alerts *alerts, const struct sli *const *slis, size_t count) {
    if (!alerts) return;
    struct alert_watch *const watched = calloc(count + 1, sizeof *watched);
    if (!watched) return;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct sli_definition *const definition = sli_definition(slis[i]);
        if (definition->objective_percent > 0)
            watched[used++] = (struct alert_watch){definition->slo_id, definition->objective_percent};
    }
    watch(alerts, watched, used);
    free(watched);
    if (!alerts->restored) restore(alerts);
    alerts->restored = true;
}

void edge_alerts_use(struct edge_alerts *alerts, const struct alert_settings *settings,
                     const struct envelope *envelope) {
    if (!alerts) return;
    struct alert_watch *const watched = calloc(alerts->book.count + 1, sizeof *watched);
    if (!watched) return; /* never in practice; the old settings' texts are gone then, so nothing is watched */
    for (size_t i = 0; i < alerts->book.count; i++)
        watched[i] = (struct alert_watch){alerts->book.slos[i].slo_id, alerts->book.slos[i].objective_percent};
    alerts->settings = settings;
    alerts->envelope = *envelope;
    watch(alerts, watched, alerts->book.count);
    free(watched);
}

/* ---- judging ---- */

void edge_alerts_count(struct edge_alerts *alerts, const struct sli_window *windows, size_t count) {
    if (!alerts) return;
    for (size_t i = 0; i < count; i++) {
        struct alert_slo *const slo = alert_book_find(&alerts->book, windows[i].slo_id);
        if (!slo) continue;
        burn_count(&alerts->book.rules, &slo->history, &windows[i]);
        alerts->counted = true;
    }
}

static void change(struct edge_alerts *alerts, const struct alert_slo *slo, size_t index, struct alert_one *one,
                   bool fires, const struct burn_rates *rates) {
    const slice rule = alert_book_rule_name(&alerts->book, index);
    const int64_t at_ms = slo->history.last_end_ms;
    if (fires) { /* a firing begins after the one before it, whatever was done to the clock */
        const int64_t after_ms = one->starts_ms + 1;
        *one = (struct alert_one){.firing = true, .starts_ms = at_ms > after_ms ? at_ms : after_ms, .rates = *rates};
        LOG_WARN("alert", "alert_fires", LOG_SLICE("slo", slo->slo_id), LOG_SLICE("rule", rule),
                 LOG_INT("burn_rate", (int64_t)rates->over_short));
    } else {
        one->firing = false;
        one->ends_ms = at_ms > one->starts_ms ? at_ms : one->starts_ms;
        one->tell_end = one->told_firing || one->tries > 0;
        one->rates = *rates;
        one->tries = 0;
        one->next_try_ms = 0;
        LOG_INFO("alert", "alert_ends", LOG_SLICE("slo", slo->slo_id), LOG_SLICE("rule", rule));
    }
    one->changed_ms = clock_monotonic_ms();
    one->pending = ALERT_CHANGE;
}

static void judge_slo(struct edge_alerts *alerts, struct alert_slo *slo) {
    for (size_t rule = 0; rule < alerts->book.rules.count; rule++) {
        struct burn_rates rates = {0};
        struct alert_one *const one = &slo->alerts[rule];
        const enum burn_verdict verdict =
            burn_judge(&alerts->book.rules, rule, &slo->history, slo->objective_percent, &rates);
        if (verdict != BURN_UNKNOWN && (verdict == BURN_HOLDS) != one->firing)
            change(alerts, slo, rule, one, !one->firing, &rates);
        if (verdict != BURN_UNKNOWN) one->rates = rates;
    }
    struct alert_one *const unseen = &slo->alerts[ALERT_UNSEEN];
    const struct burn_history *const history = &slo->history;
    const int64_t since_ms = history->last_seen_ms > slo->since_ms ? history->last_seen_ms : slo->since_ms;
    const bool is_unseen = history->last_end_ms - since_ms >= alerts->settings->unseen_ms;
    const bool is_seen = history->last_seen_ms == history->last_end_ms;
    if (unseen->firing ? is_seen : is_unseen)
        change(alerts, slo, ALERT_UNSEEN, unseen, !unseen->firing, &(struct burn_rates){0});
}

/* ---- storing ---- */

static void fingerprint_of(const struct edge_alerts *alerts, const struct alert_slo *slo, size_t index,
                           char ret_text[FINGERPRINT_TEXT + 1]) {
    char whole[1024];
    uint8_t hash[DIGEST_BYTES];
    snprintf(whole, sizeof whole, "slo-burn-rate\n%.*s\n%.*s\n%.*s\n%.*s", SLICE_ARG(slo->slo_id),
             SLICE_ARG(alert_book_rule_name(&alerts->book, index)), SLICE_ARG(alerts->envelope.cluster_id),
             SLICE_ARG(alerts->envelope.producer));
    digest_of(slice_from_text(whole), hash);
    for (size_t i = 0; i < FINGERPRINT_TEXT / 2; i++) snprintf(ret_text + 2 * i, 3, "%02x", hash[i]);
}

static void add_label(struct envelope_alert *alert, const char *name, slice value) {
    if (value.size) alert->labels[alert->labels_count++] = (struct envelope_label){slice_from_text(name), value};
}

/* As it goes out; texts in the arena. */
static struct envelope_alert describe(const struct edge_alerts *alerts, const struct alert_slo *slo, size_t index,
                                      int64_t now_ms) {
    const struct alert_one *const one = &slo->alerts[index];
    const bool unseen = index == ALERT_UNSEEN;
    const struct burn_rule *const rule = unseen ? NULL : &alerts->book.rules.rules[index];
    const int severity = unseen ? 3 : rule->severity;
    char fingerprint[FINGERPRINT_TEXT + 1], summary[SUMMARY_BYTES];
    fingerprint_of(alerts, slo, index, fingerprint);
    if (unseen)
        snprintf(summary, sizeof summary,
                 "SLO '%.*s': nothing was seen of it for %" PRId64 " s, so that nobody knows "
                 "whether it is met",
                 SLICE_ARG(slo->slo_id),
                 ((one->ends_ms ? one->ends_ms : slo->history.last_end_ms) - slo->history.last_seen_ms) / 1000);
    else
        snprintf(summary, sizeof summary,
                 "SLO '%.*s' uses up its error budget %.1f times as fast as its objective of %g %% allows over %" PRId64
                 " s, and %.1f times over %" PRId64 " s (the rule holds from %.1f on)",
                 SLICE_ARG(slo->slo_id), one->rates.over_long, slo->objective_percent, rule->long_ms / 1000,
                 one->rates.over_short, rule->short_ms / 1000, rule->factor);
    struct envelope_alert alert = {
        .fingerprint = arena_copy(alerts->arena, slice_from_text(fingerprint)),
        .name = unseen ? SLICE_LIT("SLOUnseen") : SLICE_LIT("SLOBurnRate"),
        .severity = severity,
        .firing = one->firing,
        .starts_ms = one->starts_ms,
        .ends_ms = one->ends_ms,
        .observed_ms = now_ms,
        .expires_ms = now_ms + alerts->settings->expires_ms,
        .annotations = {{SLICE_LIT("summary"), arena_copy(alerts->arena, slice_from_text(summary))}},
        .annotations_count = 1,
    };
    add_label(&alert, "alertname", alert.name);
    add_label(&alert, "slo_id", slo->slo_id);
    add_label(&alert, "rule", alert_book_rule_name(&alerts->book, index));
    add_label(&alert, "severity", slice_from_text(severity_labels[severity]));
    add_label(&alert, "cluster_id", alerts->envelope.cluster_id);
    add_label(&alert, "environment_id", alerts->envelope.environment_id);
    add_label(&alert, "agent", alerts->envelope.producer);
    return alert;
}

static fault_code put_note(struct edge_alerts *alerts, const struct queue_item *items, size_t count, int64_t now_ms,
                           struct fault *reterr) {
    struct queue_note note = {.name = note_alerts};
    if (alert_book_encode_alerts(&alerts->book, alerts->arena, &note.value, reterr)) return FAULT_LIMIT;
    return queue_append(alerts->parts.queue, items, count, &note, now_ms, reterr);
}

struct taken {
    struct alert_one *one;
    struct alert_one before;
};

/* One transaction. false: nothing was pending, or it failed. */
static bool store_some(struct edge_alerts *alerts, int64_t now_ms) {
    struct queue_item items[STORE_MAX];
    struct taken taken[STORE_MAX];
    struct fault fault;
    char traceparent[TRACEPARENT_TEXT_SIZE + 1];
    size_t count = 0;
    fault_code code = FAULT_NONE;
    uint32_t stream = 0;
    uint64_t sequence = 0;
    envelope_traceparent(traceparent);
    queue_next(alerts->parts.queue, QUEUE_HEALTH, &stream, &sequence);
    arena_reset(alerts->arena);
    for (size_t i = 0; i < alerts->book.count && count < STORE_MAX && !code; i++)
        for (size_t a = 0; a < ALERTS_PER_SLO && count < STORE_MAX && !code; a++) {
            struct alert_slo *const slo = &alerts->book.slos[i];
            struct alert_one *const one = &slo->alerts[a];
            if (one->pending == ALERT_NOTHING) continue;
            const struct envelope_alert alert = describe(alerts, slo, a, now_ms);
            items[count].class = QUEUE_HEALTH;
            code = envelope_alert(&alerts->envelope, &alert, traceparent, alerts->arena, &items[count].intent, &fault);
            taken[count].one = one;
            taken[count].before = *one;
            if (one->pending == ALERT_CHANGE) {
                one->stream = stream;
                one->sequence = sequence + count;
            }
            one->pending = ALERT_NOTHING;
            one->observed_ms = now_ms;
            count++;
        }
    if (count == 0) return false;
    if (!code) code = put_note(alerts, items, count, now_ms, &fault);
    if (code) {
        uint64_t suppressed = 0;
        for (size_t i = 0; i < count; i++) *taken[i].one = taken[i].before;
        if (log_limit_pass(&alerts->store_limit, clock_monotonic_ms(), REPEAT_LOG_MS, &suppressed))
            LOG_ERROR("alert", "store_failed", LOG_FAULT(&fault),
                      LOG_TEXT("instead", "kept in memory, tried again; the webhook is called nevertheless"),
                      LOG_UINT("suppressed", suppressed));
        return false;
    }
    alerts->stats.stored += count;
    alerts->note_due = false;
    alerts->parts.stored(alerts->parts.context);
    return true;
}

static void store(struct edge_alerts *alerts, int64_t now_ms) {
    while (store_some(alerts, now_ms)) {
    }
}

/* The burn rates of the past, so that the process after this one goes on with them. */
static void keep_history(struct edge_alerts *alerts, int64_t now_ms) {
    struct fault fault;
    slice bytes;
    const int64_t monotonic_ms = clock_monotonic_ms();
    if (alerts->history_kept_ms && monotonic_ms - alerts->history_kept_ms < HISTORY_KEPT_MS) return;
    arena_reset(alerts->arena);
    fault_code code = alert_book_encode_history(&alerts->book, alerts->arena, &bytes, &fault);
    if (!code) code = state_put(alerts->parts.state, slice_from_text(note_history), STATE_KEPT, bytes, &fault);
    if (!code && monotonic_ms - alerts->history_disk_ms >= HISTORY_DISK_MS && alerts->history_kept_ms) {
        code =
            queue_append_later(alerts->parts.queue, NULL, 0, &(struct queue_note){note_history, bytes}, now_ms, &fault);
        if (!code) alerts->history_disk_ms = monotonic_ms;
    }
    if (!alerts->history_kept_ms) alerts->history_disk_ms = monotonic_ms;
    alerts->history_kept_ms = monotonic_ms;
    if (code) kept_failed(alerts, "burn_rates_not_kept", &fault);
}

void edge_alerts_judge(struct edge_alerts *alerts, int64_t now_ms) {
    if (!alerts || !alerts->counted) return;
    alerts->counted = false;
    for (size_t i = 0; i < alerts->book.count; i++)
        if (alerts->book.slos[i].history.last_end_ms) judge_slo(alerts, &alerts->book.slos[i]);
    store(alerts, now_ms);
    keep_history(alerts, now_ms);
}

static void mark_repeats(struct edge_alerts *alerts, int64_t now_ms, int64_t older_ms) {
    for (size_t i = 0; i < alerts->book.count; i++)
        for (size_t a = 0; a < ALERTS_PER_SLO; a++) {
            struct alert_one *const one = &alerts->book.slos[i].alerts[a];
            const int64_t age_ms = now_ms - one->observed_ms;
            if (one->firing && one->pending == ALERT_NOTHING && (age_ms >= older_ms || age_ms < 0))
                one->pending = ALERT_REPEAT;
        }
}

void edge_alerts_announce(struct edge_alerts *alerts) {
    if (!alerts) return;
    const int64_t now_ms = clock_wall_ms();
    mark_repeats(alerts, now_ms, 0);
    store(alerts, now_ms);
}

/* ---- telling ---- */

static bool committed(const struct edge_alerts *alerts, const struct alert_one *one) {
    if (one->pending == ALERT_CHANGE || one->stream == 0) return false;
    const struct queue_stream *const stream = queue_stream_find(alerts->parts.queue, one->stream);
    return !stream || stream->committed_sequence >= one->sequence; /* none: it has ended, with all of it */
}

static bool to_be_told(const struct edge_alerts *alerts, const struct alert_one *one, int64_t now_ms) {
    if (one->starts_ms == 0 || one->tries >= TRIES_MAX || now_ms < one->next_try_ms) return false;
    if (!one->firing) return one->tell_end && !one->told_end;
    if (one->told_firing) return false;
    const int64_t after_ms = alerts->settings->webhook_after_ms;
    return after_ms == 0 || (now_ms - one->changed_ms >= after_ms && !committed(alerts, one));
}

static void call_failed(struct edge_alerts *alerts, struct alert_one *one, const struct fault *fault) {
    uint64_t suppressed = 0;
    const unsigned shift = one->tries < 6 ? one->tries : 6;
    const int64_t wait_ms = (int64_t)TRY_MS_MIN << shift;
    one->next_try_ms = clock_monotonic_ms() + (wait_ms < TRY_MS_MAX ? wait_ms : TRY_MS_MAX);
    one->tries++;
    alerts->stats.calls_failed++;
    if (one->tries == TRIES_MAX) {
        alerts->stats.given_up++;
        LOG_ERROR("alert", "webhook_given_up", LOG_FAULT(fault), LOG_UINT("tries", one->tries),
                  LOG_TEXT("instead", "the alert stays in the queue for the centre"));
    } else if (log_limit_pass(&alerts->call_limit, clock_monotonic_ms(), REPEAT_LOG_MS, &suppressed)) {
        LOG_WARN("alert", "webhook_failed", LOG_FAULT(fault), LOG_TEXT("instead", "called again, later each time"),
                 LOG_UINT("suppressed", suppressed));
    }
}

static void tell(struct edge_alerts *alerts) {
    if (!alerts->webhook || webhook_busy(alerts->webhook)) return;
    const int64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < alerts->book.count; i++)
        for (size_t a = 0; a < ALERTS_PER_SLO; a++) {
            struct alert_slo *const slo = &alerts->book.slos[i];
            struct alert_one *const one = &slo->alerts[a];
            struct fault fault;
            if (!to_be_told(alerts, one, now_ms)) continue;
            arena_reset(alerts->arena);
            const struct envelope_alert alert = describe(alerts, slo, a, clock_wall_ms());
            alerts->told_slo = i;
            alerts->told_alert = a;
            alerts->told_starts_ms = one->starts_ms;
            alerts->told_firing = one->firing;
            if (!webhook_call(alerts->webhook, &alert, 0, &fault)) return;
            call_failed(alerts, one, &fault);
        }
}

static void on_called(void *context, size_t number, const struct fault *fault) {
    struct edge_alerts *const alerts = context;
    struct alert_one *const one = &alerts->book.slos[alerts->told_slo].alerts[alerts->told_alert];
    const bool same = one->starts_ms == alerts->told_starts_ms;
    if (fault->code) {
        if (same && one->firing == alerts->told_firing)
            call_failed(alerts, one, fault);
        else
            alerts->stats.calls_failed++;
        if (same && alerts->told_firing && !one->firing) one->tell_end = true; /* it may have come through */
        return;
    }
    alerts->stats.calls++;
    if (!same) return;
    if (alerts->told_firing)
        one->told_firing = true;
    else
        one->told_end = true;
    if (alerts->told_firing && !one->firing) one->tell_end = true;
    alerts->note_due = true;
    on_tick(alerts);
}

static void on_tick(void *context) {
    struct edge_alerts *const alerts = context;
    struct fault fault;
    const int64_t now_ms = clock_wall_ms();
    mark_repeats(alerts, now_ms, alerts->settings->repeat_ms);
    store(alerts, now_ms);
    if (alerts->note_due) {
        arena_reset(alerts->arena);
        if (put_note(alerts, NULL, 0, now_ms, &fault))
            kept_failed(alerts, "told_not_kept", &fault);
        else
            alerts->note_due = false;
    }
    tell(alerts);
    struct edge_alerts_stats stats;
    edge_alerts_stats(alerts, &stats);
    if (alerts->metrics) {
        metric_set(alerts->metrics, ALERT_SLOS, (double)stats.slos);
        metric_set(alerts->metrics, ALERT_FIRING, (double)stats.firing);
        metric_count_to(alerts->metrics, ALERT_STORED, stats.stored);
        metric_count_to(alerts->metrics, ALERT_CALLS, stats.calls);
        metric_count_to(alerts->metrics, ALERT_CALLS_FAILED, stats.calls_failed);
        metric_count_to(alerts->metrics, ALERT_GIVEN_UP, stats.given_up);
    }
    loop_timer_set(alerts->timer, TICK_MS);
}

void edge_alerts_stats(const struct edge_alerts *alerts, struct edge_alerts_stats *ret_stats) {
    *ret_stats = (struct edge_alerts_stats){0};
    if (!alerts) return;
    *ret_stats = alerts->stats;
    ret_stats->slos = alerts->book.count;
    ret_stats->memory_bytes = alerts->book.memory_bytes;
    ret_stats->firing = 0;
    for (size_t i = 0; i < alerts->book.count; i++)
        for (size_t a = 0; a < ALERTS_PER_SLO; a++) ret_stats->firing += alerts->book.slos[i].alerts[a].firing;
}
