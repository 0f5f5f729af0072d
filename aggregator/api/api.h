/* SPDX-License-Identifier: Apache-2.0
 * The aggregator's HTTP side: procedures, /events, /metrics, /healthz, /readyz, /openapi.json. */
#ifndef PICKET_API_API_H
#define PICKET_API_API_H

#include "aggregator/api/rpc.h"
#include "common/base/text.h"

struct api;

struct api_settings {
    struct http_server_settings http;
    bool plain_text_anywhere; /* without it, an address that is not loopback needs TLS */
    size_t event_streams_max;
    int64_t heartbeat_ms;
    /* Adds one line for each reason why the program cannot do its work now; none: ready. Any thread. */
    void (*not_ready)(void *context, struct text *reasons);
    void *not_ready_context;
};

/* Before the journal's first command (event streams listen to its commits). */
fault_code api_open(const struct api_settings *settings, const struct rpc_parts *parts, struct api **ret_api,
                    struct fault *reterr) MUST_CHECK;
/* While the journal still runs: commands under way are answered by it. NULL is fine; returns NULL. */
struct api *api_close(struct api *api);
uint16_t api_port(const struct api *api);

#endif
