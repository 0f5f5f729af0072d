/* SPDX-License-Identifier: Apache-2.0
 * What watches and single requests have in common: how a request gets the cluster's address and credentials, when the
 * cluster is looked at next, and what an answer that is no success says. */
#include "agent/collect/kubernetes/kube_cluster_parts.h"
#include "agent/collect/kubernetes/kube_split.h"
#include "common/base/clock.h"
#include "common/logging/log.h"

fault_code cluster_call(struct kube_cluster *cluster, struct http_request *request, struct http_call **ret_call,
                        struct fault *reterr) {
    struct http_auth auth;
    fault_code code = kube_access_use(cluster->access, request, &auth, reterr);
    if (code) return code;
    const slice url = arena_format(cluster->arena, "%s%s", kube_access_base_url(cluster->access), request->url);
    if (!url.data) return fault_set(reterr, FAULT_LIMIT, "no room for the request's URL");
    request->url = (const char *)url.data;
    code = http_client_start(cluster->client, request, ret_call, reterr);
    arena_reset(cluster->arena);
    if (code == FAULT_NONE) cluster->stats.requests++;
    return code;
}

void cluster_date_came(struct kube_cluster *cluster, int64_t date_ms, int64_t head_wall_ms, int64_t way_ms) {
    if (!kube_skew_take(&cluster->skew, date_ms, head_wall_ms, way_ms)) return;
    LOG_WARN("collect", "cluster_clock", LOG_SLICE("cluster", cluster->settings.cluster_id),
             LOG_INT("skew_s", cluster->skew.ms / 1000),
             LOG_TEXT("fault", "the clock of the API server is that far from ours"),
             LOG_TEXT("instead", "let both be set by NTP: the times in a cluster's objects are by its clock"));
}

void cluster_due(struct kube_cluster *cluster, int64_t at_ms) {
    if (at_ms >= cluster->timer_ms) return;
    cluster->timer_ms = at_ms;
    const int64_t delay_ms = at_ms - clock_monotonic_ms();
    loop_timer_set(cluster->timer, delay_ms > 0 ? delay_ms : 0);
}

/* 504 and 500 are worth another try, as are 429 and 503 (https://kubernetes.io/docs/reference/using-api/health-checks/,
 * and api-concepts on priority and fairness). */
static fault_code code_of(int status) {
    if (status == 401 || status == 403) return FAULT_DENIED;
    if (status == 404 || status == 405) return FAULT_ABSENT;
    if (status == 429 || status >= 500) return FAULT_AGAIN;
    return FAULT_INPUT;
}

fault_code cluster_status_fault(struct kube_cluster *cluster, int status, slice body, KubeStatus *ret_status,
                                struct fault *reterr) {
    slice object = body;
    memset(ret_status, 0, sizeof *ret_status);
    arena_reset(cluster->arena);
    fault_code code =
        kube_split_is_protobuf(body)
            ? kube_split_whole(body, &object)
                  ? codec_decode_protobuf_foreign(&KubeStatus_desc, object, cluster->arena, ret_status, NULL)
                  : FAULT_INPUT
            : codec_decode_json_foreign(&KubeStatus_desc, body, cluster->arena, ret_status, NULL);
    if (code) memset(ret_status, 0, sizeof *ret_status);
    if (ret_status->message.size)
        return fault_set(reterr, code_of(status), "the API server answered %d: %.*s", status,
                         SLICE_ARG(slice_first(ret_status->message, 320)));
    return fault_set(reterr, code_of(status), "the API server answered %d%s", status,
                     status >= 300 && status < 400 ? " (redirects are not followed)" : "");
}
