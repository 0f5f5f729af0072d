/* SPDX-License-Identifier: Apache-2.0
 * Asks whether something answers: HTTP (status as expected) or TCP (connects), on the same slots as scrapes. Owner:
 * the loop's thread. Allocates at probe_add only; names are resolved by the HTTP client's resolver (HTTP) or by one
 * resolver thread per probe in flight (TCP with a name), never on the loop. */
#ifndef PICKET_COLLECT_PROBE_H
#define PICKET_COLLECT_PROBE_H

#include "common/net/http_client.h"

struct probe;

enum probe_kind { PROBE_HTTP, PROBE_TCP };

struct probe_target {
    const char *name;
    enum probe_kind kind;
    const char *url;            /* HTTP */
    const char *host;           /* TCP: name or address */
    uint16_t port;              /* TCP */
    int status_min, status_max; /* HTTP: 200 and 299 when both are 0 */
    int64_t interval_ms, offset_ms, timeout_ms;
    const struct http_tls *tls;   /* HTTP; may be NULL; must live as long as the probe */
    const struct http_auth *auth; /* HTTP; may be NULL */
};

struct probe_result {
    int64_t slot_ms;
    bool asked; /* false: we could not even ask (out of descriptors or memory); says nothing about the target */
    bool ok;
    int64_t latency_ms;
    int status;         /* HTTP; 0 when there was none */
    struct fault fault; /* why it is not ok, in one sentence */
};

struct probe_callbacks {
    bool (*begin)(void *context, size_t target, int64_t slot_ms);
    void (*done)(void *context, size_t target, const struct probe_result *result); /* as in scrape.h */
    void *context;
};

fault_code probe_new(struct loop *loop, struct http_client *client, const struct probe_callbacks *callbacks,
                     struct probe **ret_probe, struct fault *reterr) MUST_CHECK;
struct probe *probe_free(struct probe *probe); /* NULL is fine; returns NULL */
fault_code probe_add(struct probe *probe, const struct probe_target *target, size_t *ret_target,
                     struct fault *reterr) MUST_CHECK;
void probe_start(struct probe *probe);

#endif
