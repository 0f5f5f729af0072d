/* SPDX-License-Identifier: Apache-2.0
 * An HTTP probe is one request whose answer's body is thrown away; a TCP probe is tcp_check.c. This file has what both
 * share: the slots, one probe in flight per target, and what a result means. */
#include "agent/collect/probe/probe.h"

#include "agent/collect/probe/tcp_check.h"
#include "agent/collect/schedule.h"
#include "common/base/limits.h"

#include <stdlib.h>

enum { PROBE_BODY_BYTES_MAX = 16 * 1024 * 1024 };

struct probe_one {
    struct probe *owner;
    size_t number;
    struct probe_target target; /* its strings are ours */
    char *name, *url, *host;
    struct schedule schedule;
    struct tcp_check *tcp;
    struct http_call *call;
    bool in_flight;
    int64_t slot_ms;
    int status;
};

struct probe {
    struct loop *loop;
    struct http_client *client;
    struct probe_callbacks callbacks;
    struct probe_one **all;
    size_t count, room;
};

fault_code probe_new(struct loop *loop, struct http_client *client, const struct probe_callbacks *callbacks,
                     struct probe **ret_probe, struct fault *reterr) {
    struct probe *const probe = calloc(1, sizeof *probe);
    if (probe == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    probe->loop = loop;
    probe->client = client;
    probe->callbacks = *callbacks;
    *ret_probe = probe;
    return FAULT_NONE;
}

static void one_free(struct probe_one *one) {
    if (one == NULL) return;
    schedule_done(&one->schedule);
    tcp_check_free(one->tcp);
    free(one->name);
    free(one->url);
    free(one->host);
    free(one);
}

static void one_end(struct probe_one *one, struct probe_result *result);

struct probe *probe_free(struct probe *probe) {
    if (probe == NULL) return NULL;
    for (size_t i = 0; i < probe->count; i++) {
        struct probe_one *const one = probe->all[i];
        if (one->in_flight) {
            if (one->call) http_call_cancel(one->call);
            struct probe_result result = {0};
            (void)fault_set(&result.fault, FAULT_AGAIN, "probing has been stopped");
            one_end(one, &result);
        }
        one_free(one);
    }
    free(probe->all);
    free(probe);
    return NULL;
}

static fault_code check_target(const struct probe_target *target, struct fault *reterr) {
    if (target->name == NULL) return fault_set(reterr, FAULT_INPUT, "a probe needs a name");
    if (target->kind == PROBE_HTTP ? target->url == NULL : target->host == NULL || target->port == 0)
        return fault_set(reterr, FAULT_INPUT, "probe '%s' needs %s", target->name,
                         target->kind == PROBE_HTTP ? "a URL" : "a host and a port");
    if (target->timeout_ms < 1 || target->timeout_ms > target->interval_ms ||
        target->timeout_ms > LIMIT_OUTSIDE_CALL_MS)
        return fault_set(reterr, FAULT_INPUT,
                         "probe '%s': a timeout of %lld ms; expected 1 ms to the interval (%lld ms), at most %d ms",
                         target->name, (long long)target->timeout_ms, (long long)target->interval_ms,
                         LIMIT_OUTSIDE_CALL_MS);
    if (target->status_min > target->status_max || target->status_min < 0 || target->status_max > 599)
        return fault_set(reterr, FAULT_INPUT, "probe '%s': expected statuses from %d to %d make no range", target->name,
                         target->status_min, target->status_max);
    return FAULT_NONE;
}

static void probe_slot(void *context, int64_t slot_ms);
static void tcp_done(void *context, const struct tcp_check_result *result);

static fault_code one_fill(struct probe_one *one, const struct probe_target *target, struct fault *reterr) {
    one->name = strdup(target->name);
    one->url = strdup(target->url ? target->url : "");
    one->host = strdup(target->host ? target->host : "");
    if (one->name == NULL || one->url == NULL || one->host == NULL)
        return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    one->target.name = one->name;
    one->target.url = one->url;
    one->target.host = one->host;
    if (target->status_min == 0 && target->status_max == 0) one->target.status_min = 200, one->target.status_max = 299;
    if (target->kind == PROBE_TCP &&
        tcp_check_new(one->owner->loop, one->host, target->port, tcp_done, one, &one->tcp, reterr))
        return fault_wrap(reterr, "probe '%s'", target->name);
    if (schedule_init(&one->schedule, one->owner->loop, target->interval_ms, target->offset_ms, probe_slot, one,
                      reterr))
        return fault_wrap(reterr, "probe '%s'", target->name);
    return FAULT_NONE;
}

fault_code probe_add(struct probe *probe, const struct probe_target *target, size_t *ret_target, struct fault *reterr) {
    fault_code code = check_target(target, reterr);
    if (code) return code;
    if (probe->count == probe->room) {
        const size_t room = probe->room ? 2 * probe->room : 16;
        struct probe_one **const larger = realloc(probe->all, room * sizeof *larger);
        if (larger == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory for %zu probes", room);
        probe->all = larger;
        probe->room = room;
    }
    struct probe_one *const one = calloc(1, sizeof *one);
    if (one == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    one->owner = probe;
    one->number = probe->count;
    one->target = *target;
    code = one_fill(one, target, reterr);
    if (code) {
        one_free(one);
        return code;
    }
    probe->all[probe->count++] = one;
    *ret_target = one->number;
    return FAULT_NONE;
}

void probe_start(struct probe *probe) {
    for (size_t i = 0; i < probe->count; i++) schedule_start(&probe->all[i]->schedule);
}

static void one_end(struct probe_one *one, struct probe_result *result) {
    result->slot_ms = one->slot_ms;
    if (result->fault.code) (void)fault_wrap(&result->fault, "probe '%s'", one->name);
    one->in_flight = false;
    one->owner->callbacks.done(one->owner->callbacks.context, one->number, result);
}

static bool http_head(void *context, int status, const char *content_type) {
    ((struct probe_one *)context)->status = status;
    return true;
}

static void http_done(void *context, const struct http_result *http) {
    struct probe_one *const one = context;
    one->call = NULL;
    struct probe_result result = {
        .asked = true, .latency_ms = http->duration_ms, .status = one->status, .fault = http->fault};
    if (result.fault.code == FAULT_NONE &&
        (one->status < one->target.status_min || one->status > one->target.status_max))
        (void)fault_set(&result.fault, FAULT_SYSTEM, "%s: the answer is HTTP status %d; expected %d to %d", one->url,
                        one->status, one->target.status_min, one->target.status_max);
    result.ok = result.fault.code == FAULT_NONE;
    one_end(one, &result);
}

static void tcp_done(void *context, const struct tcp_check_result *tcp) {
    struct probe_result result = {
        .asked = tcp->asked, .ok = tcp->fault.code == FAULT_NONE, .latency_ms = tcp->latency_ms, .fault = tcp->fault};
    one_end(context, &result);
}

static void probe_slot(void *context, int64_t slot_ms) {
    struct probe_one *const one = context;
    struct probe *const probe = one->owner;
    if (one->in_flight || !probe->callbacks.begin(probe->callbacks.context, one->number, slot_ms)) return;
    one->in_flight = true;
    one->slot_ms = slot_ms;
    one->status = 0;
    if (one->tcp) {
        tcp_check_start(one->tcp, one->target.timeout_ms);
        return;
    }
    const struct http_request request = {.url = one->url,
                                         .tls = one->target.tls,
                                         .auth = one->target.auth,
                                         .timeout_ms = one->target.timeout_ms,
                                         .body_bytes_max = PROBE_BODY_BYTES_MAX,
                                         .on_head = http_head,
                                         .on_done = http_done,
                                         .context = one};
    struct probe_result result = {0};
    if (http_client_start(probe->client, &request, &one->call, &result.fault)) {
        one->call = NULL;
        one_end(one, &result);
    }
}
