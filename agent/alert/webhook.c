/* SPDX-License-Identifier: Apache-2.0
 * The body is put together by hand: a dozen members, whose values are ours but for names that come from a configuration.
 * An alert that fires has the end of the year 1, as Alertmanager writes it. */
#include "agent/alert/webhook.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BODY_BYTES_MAX = 64 * 1024, HEADER_BYTES = 160, ANSWER_BYTES_MAX = 64 * 1024 };

struct webhook {
    struct http_client *client;
    const struct alert_settings *settings;
    struct http_call *call;
    struct arena *arena; /* of the body that is under way */
    webhook_done_fn *done;
    void *context;
    size_t number;
    struct http_tls tls;
    struct http_auth auth;
    bool busy;
};

fault_code webhook_new(struct http_client *client, const struct alert_settings *settings, webhook_done_fn *done,
                       void *context, struct webhook **ret_webhook, struct fault *reterr) {
    struct webhook *webhook = calloc(1, sizeof *webhook);
    if (webhook) webhook->arena = arena_new(4 * 1024, BODY_BYTES_MAX);
    if (!webhook || !webhook->arena) {
        free(webhook);
        return fault_set(reterr, FAULT_LIMIT, "webhook: out of memory");
    }
    webhook->client = client;
    webhook->settings = settings;
    webhook->done = done;
    webhook->context = context;
    access_settings_use(&settings->access, &webhook->tls, &webhook->auth);
    *ret_webhook = webhook;
    return FAULT_NONE;
}

struct webhook *webhook_free(struct webhook *webhook) {
    if (!webhook) return NULL;
    if (webhook->busy) http_call_cancel(webhook->call);
    arena_free(webhook->arena);
    free(webhook);
    return NULL;
}

bool webhook_busy(const struct webhook *webhook) {
    return webhook->busy;
}

static slice quoted(slice text, struct arena *arena) {
    uint8_t *const out = arena_alloc(arena, 6 * text.size + 2);
    if (!out) return SLICE_LIT("\"\"");
    size_t used = 0;
    out[used++] = '"';
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (c == '"' || c == '\\') out[used++] = '\\';
        if (c < 0x20)
            used += (size_t)snprintf((char *)out + used, 7, "\\u%04x", c);
        else
            out[used++] = c;
    }
    out[used++] = '"';
    return slice_of(out, used);
}

static slice object_of(const struct envelope_label *labels, size_t count, struct arena *arena) {
    slice all = SLICE_LIT("{");
    for (size_t i = 0; i < count; i++)
        all = arena_format(arena, "%.*s%s%.*s:%.*s", SLICE_ARG(all), i ? "," : "",
                           SLICE_ARG(quoted(labels[i].name, arena)), SLICE_ARG(quoted(labels[i].value, arena)));
    return arena_format(arena, "%.*s}", SLICE_ARG(all));
}

static slice stamp(int64_t ms, struct arena *arena) {
    const time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    char text[32];
    if (ms <= 0 || !gmtime_r(&seconds, &parts)) return SLICE_LIT("0001-01-01T00:00:00Z");
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    return arena_format(arena, "%s.%03dZ", text, (int)(ms % 1000));
}

slice webhook_body(const struct envelope_alert *alert, struct arena *arena) {
    const char *const status = alert->firing ? "firing" : "resolved";
    const slice labels = object_of(alert->labels, alert->labels_count, arena),
                annotations = object_of(alert->annotations, alert->annotations_count, arena);
    return arena_format(
        arena,
        "{\"version\":\"4\",\"groupKey\":\"picket/%.*s\",\"truncatedAlerts\":0,\"status\":\"%s\",\"receiver\":"
        "\"picket-agent\",\"groupLabels\":%.*s,\"commonLabels\":%.*s,\"commonAnnotations\":%.*s,\"externalURL\":\"\","
        "\"alerts\":[{\"status\":\"%s\",\"labels\":%.*s,\"annotations\":%.*s,\"startsAt\":\"%.*s\",\"endsAt\":\"%.*s\","
        "\"generatorURL\":\"\",\"fingerprint\":\"%.*s\"}]}",
        SLICE_ARG(alert->fingerprint), status, SLICE_ARG(labels), SLICE_ARG(labels), SLICE_ARG(annotations), status,
        SLICE_ARG(labels), SLICE_ARG(annotations), SLICE_ARG(stamp(alert->starts_ms, arena)),
        SLICE_ARG(stamp(alert->firing ? 0 : alert->ends_ms, arena)), SLICE_ARG(alert->fingerprint));
}

static void on_done(void *context, const struct http_result *result) {
    struct webhook *const webhook = context;
    struct fault fault = result->fault;
    if (!fault.code && (result->status < 200 || result->status > 299))
        fault_set(&fault, FAULT_SYSTEM, "the answer is HTTP status %d; expected 200 to 299", result->status);
    if (fault.code) (void)fault_wrap(&fault, "webhook '%.*s'", SLICE_ARG(webhook->settings->webhook_url));
    webhook->busy = false;
    webhook->call = NULL;
    webhook->done(webhook->context, webhook->number, &fault);
}

fault_code webhook_call(struct webhook *webhook, const struct envelope_alert *alert, size_t number,
                        struct fault *reterr) {
    if (webhook->busy) return fault_set(reterr, FAULT_AGAIN, "webhook: another call runs");
    arena_reset(webhook->arena);
    const slice body = webhook_body(alert, webhook->arena);
    if (!body.data) return fault_set(reterr, FAULT_LIMIT, "webhook: a body of more than %d bytes", BODY_BYTES_MAX);
    char key[HEADER_BYTES];
    snprintf(key, sizeof key, "Idempotency-Key: %.*s-%lld-%s", SLICE_ARG(alert->fingerprint),
             (long long)alert->starts_ms, alert->firing ? "firing" : "resolved");
    const char *const headers[] = {"Content-Type: application/json", key, NULL};
    const struct http_request request = {.url = setting_text(webhook->settings->webhook_url),
                                         .method = "POST",
                                         .headers = headers,
                                         .body = body,
                                         .tls = &webhook->tls,
                                         .auth = &webhook->auth,
                                         .timeout_ms = webhook->settings->webhook_timeout_ms,
                                         .body_bytes_max = ANSWER_BYTES_MAX,
                                         .on_done = on_done,
                                         .context = webhook};
    webhook->number = number;
    webhook->busy = true;
    const fault_code code = http_client_start(webhook->client, &request, &webhook->call, reterr);
    if (code) webhook->busy = false;
    return code ? fault_wrap(reterr, "webhook '%.*s'", SLICE_ARG(webhook->settings->webhook_url)) : FAULT_NONE;
}
