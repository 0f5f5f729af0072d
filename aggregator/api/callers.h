/* SPDX-License-Identifier: Apache-2.0
 * Who asks, and whether they may: the bearer of a request becomes a caller (tenant, name, role), is held to its rate, and
 * to the role that is asked for. Any thread. */
#ifndef PICKET_API_CALLERS_H
#define PICKET_API_CALLERS_H

#include "aggregator/api/connect.h"
#include "aggregator/api/oidc.h"
#include "aggregator/api/rate_limit.h"
#include "aggregator/api/tokens.h"
#include "common/metrics/metrics.h"
#include "common/net/http_server.h"

struct callers;

struct callers_settings {
    struct tokens *tokens;        /* outlives the callers, as oidc does */
    struct oidc *oidc;            /* NULL: no outside issuer */
    struct metrics *metrics;      /* NULL: nothing is counted */
    struct rate people, machines; /* requests of one caller, by its role (token_role_is_machine) */
    struct rate failures;         /* tokens refused, of one address; of one /64 where it is IPv6 */
};

fault_code callers_new(const struct callers_settings *settings, struct callers **ret_callers,
                       struct fault *reterr) MUST_CHECK;
struct callers *callers_free(struct callers *callers); /* NULL is fine; returns NULL */

struct callers_refusal {
    enum connect_code code;
    int64_t retry_after_s; /* 0: not worth a try */
    struct fault fault;    /* a sentence for the caller */
};
/* The caller of this exchange when it may do what asks for `role`, its slices in the exchange's arena; else false, and
 * why. A good token of ours, and one of an issuer that was
 * taken before, is never refused for the failures of others from the same address. */
bool callers_admit(struct callers *callers, struct http_exchange *exchange, enum method_role role,
                   struct token_owner *ret_owner, struct callers_refusal *ret_refusal) MUST_CHECK;

/* For ROLE_STRANGER, where the request itself has to prove its right: whether it may try at all. False: too many from its
 * address have failed, and why. */
bool callers_admit_stranger(struct callers *callers, struct http_exchange *exchange,
                            struct callers_refusal *ret_refusal) MUST_CHECK;
/* The stranger has proved nothing: counted as a refused token. */
void callers_stranger_failed(struct callers *callers, struct http_exchange *exchange, const struct fault *why);

/* Whether a token of the API has this name. */
bool callers_know(struct callers *callers, slice tenant, slice name) MUST_CHECK;

/* For those who let a caller in for long: when the number has moved, whether it may still stay (its token may have been
 * revoked). Its expires_ms is to be looked at besides. */
uint64_t callers_version(const struct callers *callers);
bool callers_stay(struct callers *callers, const struct token_owner *owner) MUST_CHECK;

#endif
