/* SPDX-License-Identifier: Apache-2.0
 * Authentication, rate, role, in this order: a caller's refused requests count against its rate, and nobody learns from
 * the answer what role a stranger would need. Failures are counted by address. A token that we made is looked up even
 * when its address has failed too often: it has 256 random bits, so there is nothing to guess, and behind one proxy all
 * callers share one address. An issuer's token that is new costs a signature, so that one waits. */
#include "aggregator/api/callers.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "aggregator/api/jwt.h"
#include "common/base/clock.h"
#include "common/logging/log.h"

enum {
#define METRIC(id, kind, name, labels, help) id,
#include "aggregator/api/callers_metrics.def"
#undef METRIC
    CALLERS_METRICS_MAX_
};
enum { FAILURES_LOG_MS = 10000 };
static const struct metric_row metric_rows[] = {
#define METRIC(id, kind, name, labels, help) METRIC_ROW(kind, name, labels, help),
#include "aggregator/api/callers_metrics.def"
#undef METRIC
};

struct callers {
    struct callers_settings settings;
    struct rate_limit *requests, *failures;
    struct metric_table *counts;
    struct log_limit failures_log;
};

fault_code callers_new(const struct callers_settings *settings, struct callers **ret_callers, struct fault *reterr) {
    struct callers *callers = calloc(1, sizeof *callers);
    if (!callers) return fault_set(reterr, FAULT_SYSTEM, "start the API: no memory");
    callers->settings = *settings;
    callers->requests = rate_limit_new();
    callers->failures = rate_limit_new();
    fault_code code = FAULT_NONE;
    if (!callers->requests || !callers->failures) code = fault_set(reterr, FAULT_SYSTEM, "start the API: no memory");
    if (!code && settings->metrics)
        code = metrics_add(settings->metrics, metric_rows, CALLERS_METRICS_MAX_, &callers->counts, reterr);
    if (code) {
        callers_free(callers);
        return code;
    }
    *ret_callers = callers;
    return FAULT_NONE;
}

struct callers *callers_free(struct callers *callers) {
    if (!callers) return NULL;
    if (callers->counts) metrics_remove(callers->settings.metrics, callers->counts);
    rate_limit_free(callers->requests);
    rate_limit_free(callers->failures);
    free(callers);
    return NULL;
}

static slice bearer(struct http_exchange *exchange) {
    const slice header = http_exchange_header(exchange, "Authorization");
    if (header.size < 7 || strncasecmp((const char *)header.data, "Bearer ", 7) != 0) return (slice){0};
    slice token = slice_from(header, 7);
    while (token.size && token.data[0] == ' ') token = slice_from(token, 1);
    while (token.size && token.data[token.size - 1] == ' ') token.size--;
    return token;
}

/* Who has one IPv6 address has the 2^64 of its network. */
static uint64_t peer_key(const struct callers *callers, struct http_exchange *exchange) {
    const slice peer = http_exchange_peer(exchange);
    char text[INET6_ADDRSTRLEN];
    struct in6_addr six;
    if (slice_to_text(peer, text, sizeof text) && inet_pton(AF_INET6, text, &six) == 1 && !IN6_IS_ADDR_V4MAPPED(&six))
        return rate_limit_key(callers->failures, slice_of(&six, 8), (slice){0});
    return rate_limit_key(callers->failures, peer, (slice){0});
}

static int64_t seconds_up(int64_t ns) {
    return (ns + 999999999) / 1000000000;
}

static bool refuse(struct callers *callers, size_t metric, enum connect_code code, int64_t wait_ns,
                   struct callers_refusal *ret_refusal) {
    metric_count(callers->counts, metric, 1);
    ret_refusal->code = code;
    ret_refusal->retry_after_s = seconds_up(wait_ns);
    return false;
}

static bool refuse_too_many(struct callers *callers, struct http_exchange *exchange, int64_t wait_ns,
                            struct callers_refusal *ret_refusal) {
    const slice peer = http_exchange_peer(exchange);
    fault_set(&ret_refusal->fault, FAULT_LIMIT,
              "too many tokens from %.*s were refused (limits.failed_sign_ins_per_minute); again in %" PRId64 " s",
              SLICE_ARG(peer), seconds_up(wait_ns));
    return refuse(callers, CALLERS_TOO_MANY_BAD, CONNECT_RESOURCE_EXHAUSTED, wait_ns, ret_refusal);
}

/* A failure is counted; beyond the rate it is answered as one too many. */
static bool refuse_token(struct callers *callers, struct http_exchange *exchange, struct callers_refusal *ret_refusal) {
    const int64_t now_ns = clock_monotonic_ns();
    const int64_t wait_ns =
        rate_limit_take(callers->failures, peer_key(callers, exchange), callers->settings.failures, now_ns);
    uint64_t held;
    if (log_limit_pass(&callers->failures_log, now_ns / 1000000, FAILURES_LOG_MS, &held))
        LOG_WARN("api", "token_refused", LOG_SLICE("peer", http_exchange_peer(exchange)),
                 LOG_FAULT(&ret_refusal->fault), LOG_UINT("repeats", held));
    if (wait_ns) return refuse_too_many(callers, exchange, wait_ns, ret_refusal);
    return refuse(callers, CALLERS_BAD_TOKEN, CONNECT_UNAUTHENTICATED, 0, ret_refusal);
}

static bool within_rate(struct callers *callers, const struct token_owner *owner, struct callers_refusal *ret_refusal) {
    const bool machine = token_role_is_machine(owner->role);
    const struct rate rate = machine ? callers->settings.machines : callers->settings.people;
    if (!rate.interval_ns) return true;
    const int64_t wait_ns = rate_limit_take(
        callers->requests, rate_limit_key(callers->requests, owner->tenant, owner->name), rate, clock_monotonic_ns());
    if (!wait_ns) return true;
    fault_set(&ret_refusal->fault, FAULT_LIMIT,
              "'%.*s' asks more than %" PRId64 " times a second (limits.%srequests_per_second); again in %" PRId64 " s",
              SLICE_ARG(owner->name), INT64_C(1000000000) / rate.interval_ns, machine ? "machine_" : "",
              seconds_up(wait_ns));
    return refuse(callers, CALLERS_TOO_MANY, CONNECT_RESOURCE_EXHAUSTED, wait_ns, ret_refusal);
}

/* The owner of an issuer's token. */
static bool vouched(struct callers *callers, struct http_exchange *exchange, slice token, struct token_owner *ret_owner,
                    struct callers_refusal *ret_refusal) {
    struct oidc *oidc = callers->settings.oidc;
    struct arena *arena = http_exchange_arena(exchange);
    const int64_t now_ms = clock_wall_ms();
    if (!oidc) {
        fault_set(&ret_refusal->fault, FAULT_ABSENT,
                  "the token is an issuer's (three parts with dots), and no issuer is configured here (oidc)");
        return refuse_token(callers, exchange, ret_refusal);
    }
    if (oidc_recall(oidc, token, now_ms, arena, ret_owner)) return true;
    const int64_t wait_ns = rate_limit_wait(callers->failures, peer_key(callers, exchange), callers->settings.failures,
                                            clock_monotonic_ns());
    if (wait_ns) return refuse_too_many(callers, exchange, wait_ns, ret_refusal);
    switch (oidc_find(oidc, token, now_ms, arena, ret_owner, &ret_refusal->fault)) {
    case FAULT_NONE: return true;
    case FAULT_AGAIN: return refuse(callers, CALLERS_KEYS_AWAITED, CONNECT_UNAVAILABLE, 1, ret_refusal);
    case FAULT_CONFLICT: return refuse(callers, CALLERS_ROLE, CONNECT_PERMISSION_DENIED, 0, ret_refusal);
    default: return refuse_token(callers, exchange, ret_refusal);
    }
}

/* The owner of a token of ours. */
static bool known(struct callers *callers, struct http_exchange *exchange, slice token, struct token_owner *ret_owner,
                  struct callers_refusal *ret_refusal) {
    if (!tokens_find(callers->settings.tokens, token, clock_wall_ms(), http_exchange_arena(exchange), ret_owner,
                     &ret_refusal->fault))
        return true;
    return refuse_token(callers, exchange, ret_refusal);
}

bool callers_admit(struct callers *callers, struct http_exchange *exchange, enum method_role role,
                   struct token_owner *ret_owner, struct callers_refusal *ret_refusal) {
    struct fault *fault = &ret_refusal->fault;
    const slice token = bearer(exchange);
    if (!token.size) {
        fault_set(fault, FAULT_DENIED,
                  "no token: send the header 'Authorization: Bearer <token>' (made by 'picket-aggregator token "
                  "create')");
        return refuse(callers, CALLERS_NO_TOKEN, CONNECT_UNAUTHENTICATED, 0, ret_refusal);
    }
    if (!(jwt_is(token) ? vouched : known)(callers, exchange, token, ret_owner, ret_refusal)) return false;
    if (!within_rate(callers, ret_owner, ret_refusal)) return false;
    if (token_role_allows(ret_owner->role, role)) return true;
    fault_set(fault, FAULT_DENIED, "'%.*s' has the role %s, this needs %s", SLICE_ARG(ret_owner->name),
              token_role_name(ret_owner->role), token_role_name(role));
    return refuse(callers, CALLERS_ROLE, CONNECT_PERMISSION_DENIED, 0, ret_refusal);
}

bool callers_admit_stranger(struct callers *callers, struct http_exchange *exchange,
                            struct callers_refusal *ret_refusal) {
    const int64_t wait_ns = rate_limit_wait(callers->failures, peer_key(callers, exchange), callers->settings.failures,
                                            clock_monotonic_ns());
    return wait_ns ? refuse_too_many(callers, exchange, wait_ns, ret_refusal) : true;
}

void callers_stranger_failed(struct callers *callers, struct http_exchange *exchange, const struct fault *why) {
    struct callers_refusal refusal = {.fault = *why};
    (void)refuse_token(callers, exchange, &refusal);
}

uint64_t callers_version(const struct callers *callers) {
    return tokens_version(callers->settings.tokens);
}

/* What an issuer has vouched for holds until it expires. */
bool callers_know(struct callers *callers, slice tenant, slice name) {
    return tokens_know(callers->settings.tokens, tenant, name);
}

bool callers_stay(struct callers *callers, const struct token_owner *owner) {
    return slice_starts_with(owner->name, SLICE_LIT(OIDC_NAME_PREFIX)) || tokens_hold(callers->settings.tokens, owner);
}
