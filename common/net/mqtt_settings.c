/* SPDX-License-Identifier: Apache-2.0
 * The copy holds what a connection is made with again and again. What is used once, when the client is opened, is not in
 * it: the relay copies what concerns TLS, the client the subscriptions. */
#include "common/net/mqtt_settings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/limits.h"

enum { INFLIGHT_MAX = 1000 };

fault_code mqtt_settings_check(const struct mqtt_settings *settings, struct fault *reterr) {
    size_t subscriptions = 0;
    while (settings->subscriptions && settings->subscriptions[subscriptions]) subscriptions++;
    if (!settings->host || !settings->client_id)
        return fault_set(reterr, FAULT_INPUT, "MQTT: host and client id are required");
    if (settings->inflight_max < 1 || settings->inflight_max > INFLIGHT_MAX)
        return fault_set(reterr, FAULT_LIMIT, "MQTT: inflight_max is %u, allowed are 1 to %d", settings->inflight_max,
                         INFLIGHT_MAX);
    if (subscriptions > MQTT_SUBSCRIPTIONS_MAX)
        return fault_set(reterr, FAULT_LIMIT, "MQTT: %zu subscriptions, at most %d", subscriptions,
                         MQTT_SUBSCRIPTIONS_MAX);
    if (settings->connect_timeout_ms < 1 || settings->connect_timeout_ms > LIMIT_OUTSIDE_CALL_MS)
        return fault_set(reterr, FAULT_LIMIT, "MQTT: connect timeout of %" PRId64 " ms, allowed are 1 to %d",
                         settings->connect_timeout_ms, LIMIT_OUTSIDE_CALL_MS);
    if (settings->keep_alive_ms < 1000 || settings->keep_alive_ms > 65535 * INT64_C(1000))
        return fault_set(reterr, FAULT_LIMIT, "MQTT: keep-alive of %" PRId64 " ms, allowed are 1000 to 65535000",
                         settings->keep_alive_ms);
    if (settings->backoff_min_ms < 1 || settings->backoff_max_ms < settings->backoff_min_ms)
        return fault_set(reterr, FAULT_INPUT, "MQTT: the back-off needs 1 <= least <= most");
    if (settings->will_topic && settings->will_payload.size > 65535)
        return fault_set(reterr, FAULT_LIMIT, "MQTT: a will of %zu bytes, at most 65535", settings->will_payload.size);
    return FAULT_NONE;
}

static bool text_copy(const char **text) {
    if (*text)
        *text = strdup(*text);
    else
        return true;
    return *text != NULL;
}

bool mqtt_settings_copy(const struct mqtt_settings *settings, struct mqtt_settings *ret_copy) {
    *ret_copy = (struct mqtt_settings){.port = settings->port,
                                       .inflight_max = settings->inflight_max,
                                       .inflight_bytes_max = settings->inflight_bytes_max,
                                       .keep_alive_ms = settings->keep_alive_ms,
                                       .connect_timeout_ms = settings->connect_timeout_ms,
                                       .backoff_min_ms = settings->backoff_min_ms,
                                       .backoff_max_ms = settings->backoff_max_ms,
                                       .clean_start = settings->clean_start,
                                       .session_expiry_s = settings->session_expiry_s,
                                       .will_delay_s = settings->will_delay_s};
    const struct {
        const char **to, *from;
    } texts[] = {{&ret_copy->host, settings->host},
                 {&ret_copy->client_id, settings->client_id},
                 {&ret_copy->username, settings->username},
                 {&ret_copy->password, settings->password},
                 {&ret_copy->will_topic, settings->will_topic},
                 {&ret_copy->will_content_type, settings->will_content_type}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i].to = texts[i].from;
        if (!text_copy(texts[i].to)) return false;
    }
    if (settings->will_payload.size) {
        uint8_t *payload = malloc(settings->will_payload.size);
        if (!payload) return false;
        memcpy(payload, settings->will_payload.data, settings->will_payload.size);
        ret_copy->will_payload = slice_of(payload, settings->will_payload.size);
    }
    return true;
}

void mqtt_settings_clear(struct mqtt_settings *copy) {
    free((char *)copy->host);
    free((char *)copy->client_id);
    free((char *)copy->username);
    free((char *)copy->password);
    free((char *)copy->will_topic);
    free((char *)copy->will_content_type);
    free((uint8_t *)copy->will_payload.data);
}
