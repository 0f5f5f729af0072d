/* SPDX-License-Identifier: Apache-2.0
 * A row of `queries` says how a question begins and what is done with each body; the rest is the same for all: may it be
 * asked, of which cluster, how long, how much. What comes out is masked where it is rendered, then made UTF-8, then cut. */
#include "agent/diagnose/diagnose_job.h"

#include "agent/diagnose/diagnose_view.h"
#include "common/base/clock.h"

#include <stdio.h>

enum {
    PATH_BYTES = 1024,
    OBJECT_BYTES_MAX = 1536 * 1024,
    LOG_BYTES_MAX = 1024 * 1024,
    LIST_BYTES_MAX = 2 * 1024 * 1024,
};

struct query_row;

struct diagnose_job {
    struct diagnose_rules rules;
    const DiagnosticsRequest *request;
    const struct query_row *query;
    const struct diagnose_kind *kind;
    struct kube_cluster *cluster;
    struct kube_get *get;
    slice cluster_id, namespace, name;
    int64_t deadline_ms;
    size_t bytes_max;
    unsigned step; /* bodies that came */
    struct arena *arena;
    struct object_view view;
    struct text out;
    bool more, tail; /* more than is shown; shown is the end of it, not the beginning */
    const char *content_type;
    void (*on_done)(void *context, const struct diagnose_result *result);
    void *context;
};

struct query_row {
    unsigned which;
    enum diagnose_verb verb;
    /* Path and size of what is asked first. */
    fault_code (*path)(struct diagnose_job *job, char path[PATH_BYTES], size_t *ret_bytes_max, struct fault *reterr);
    /* Renders a body; *ret_again: another GET of `path` follows, else it is done. */
    fault_code (*render)(struct diagnose_job *job, const struct kube_get_result *result, char path[PATH_BYTES],
                         size_t *ret_bytes_max, bool *ret_again, struct fault *reterr);
};

/* ---- ends ---- */

/* Bytes that are not UTF-8 become U+FFFD, and so does NUL, which many that read text take for its end or for no text at
 * all: the answer is one that everybody can read. */
static slice readable(struct diagnose_job *job, slice text) {
    struct text out = text_begin(job->arena);
    slice whole = {0};
    for (size_t at = 0; at < text.size;) {
        const size_t begin = at;
        size_t size;
        while (at < text.size && text.data[at] && (size = text_utf8_character(slice_from(text, at)))) at += size;
        text_add(&out, slice_of(text.data + begin, at - begin));
        if (at < text.size) text_add_text(&out, "\xef\xbf\xbd"), at++;
    }
    return text_end(&out, "the answer", &whole, NULL) ? (slice){0} : whole;
}

static slice cut_to(struct diagnose_job *job, slice text, bool *ret_cut) {
    *ret_cut = text.size > job->bytes_max;
    if (!*ret_cut) return text;
    if (job->tail) {
        text = slice_from(text, text.size - job->bytes_max);
        const uint8_t *const line = memchr(text.data, '\n', text.size);
        if (line && (size_t)(line - text.data) + 1 < text.size) return slice_from(text, (size_t)(line - text.data) + 1);
        while (text.size && (text.data[0] & 0xc0) == 0x80) text = slice_from(text, 1);
        return text;
    }
    size_t size = job->bytes_max;
    while (size && (text.data[size] & 0xc0) == 0x80) size--;
    return slice_first(text, size);
}

static void done(struct diagnose_job *job, DiagnosticsOutcome outcome, const struct fault *fault) {
    struct diagnose_result result = {.outcome = outcome, .content_type = job->content_type};
    slice whole = {0};
    struct fault full = {0};
    if (outcome == DIAGNOSTICS_OUTCOME_ANSWERED && text_end(&job->out, "the answer", &whole, &full)) {
        result.outcome = DIAGNOSTICS_OUTCOME_FAILED;
        fault = &full;
    }
    if (result.outcome == DIAGNOSTICS_OUTCOME_ANSWERED) {
        bool cut;
        result.content = cut_to(job, readable(job, whole), &cut);
        result.truncated = cut || job->more;
        result.masked_count = job->view.masked_count;
        if (cut) result.content_type = "text/plain; charset=utf-8"; /* half an object is no JSON */
    } else {                                                        /* what a server says may quote what it was told */
        struct text masked = text_begin(job->arena);
        slice sentence = {0};
        mask_add(job->rules.mask, slice_from_text(fault->text), &masked, &result.masked_count);
        if (text_end(&masked, "the reason", &sentence, NULL)) sentence = SLICE_LIT("no memory is left");
        fault_set(&result.fault, fault->code, "%.*s", SLICE_ARG(readable(job, sentence)));
    }
    job->on_done(job->context, &result);
}

static void done_fault(struct diagnose_job *job, const struct fault *fault) {
    done(job, fault->code == FAULT_TIMEOUT ? DIAGNOSTICS_OUTCOME_TIMED_OUT : DIAGNOSTICS_OUTCOME_FAILED, fault);
}

/* ---- one GET after the other ---- */

static void on_body(void *context, const struct kube_get_result *result);

static fault_code get(struct diagnose_job *job, const char *path, size_t bytes_max, struct fault *reterr) {
    const int64_t left_ms = job->deadline_ms - clock_monotonic_ms();
    if (left_ms <= 0) return fault_set(reterr, FAULT_TIMEOUT, "the time for the answer is over");
    const struct kube_get_request request = {.path = path,
                                             .accept = "application/json, */*",
                                             .body_bytes_max = bytes_max,
                                             .timeout_ms = left_ms,
                                             .on_done = on_body,
                                             .context = job};
    return kube_get_start(job->cluster, &request, &job->get, reterr);
}

static void on_body(void *context, const struct kube_get_result *result) {
    struct diagnose_job *job = context;
    struct fault fault = {0};
    char path[PATH_BYTES];
    size_t bytes_max = 0;
    bool again = false;
    job->get = NULL;
    job->step++;
    if (job->query->render(job, result, path, &bytes_max, &again, &fault) ||
        (again && get(job, path, bytes_max, &fault)))
        done_fault(job, &fault);
    else if (!again)
        done(job, DIAGNOSTICS_OUTCOME_ANSWERED, NULL);
}

/* ---- describe ---- */

static fault_code object_path(struct diagnose_job *job, char path[PATH_BYTES], size_t *ret_bytes_max,
                              struct fault *reterr) {
    *ret_bytes_max = OBJECT_BYTES_MAX;
    if (!job->name.size) return fault_set(reterr, FAULT_INPUT, "which %s? A name is needed", job->kind->name);
    return kube_resource_path(&job->kind->resource, job->namespace, job->name, (slice){0}, path, PATH_BYTES, reterr);
}

/* Events about the object; of a namespace: all in it. */
static fault_code events_path(struct diagnose_job *job, char path[PATH_BYTES], size_t *ret_bytes_max,
                              struct fault *reterr) {
    const bool whole = strcmp(job->kind->name, "namespace") == 0;
    const slice namespace = whole ? job->name : job->kind->resource.namespaced ? job->namespace : SLICE_LIT("default");
    fault_code code = object_path(job, path, ret_bytes_max, reterr); /* the names are names */
    if (!code)
        code =
            kube_resource_path(kube_resource(KUBE_EVENTS), namespace, (slice){0}, (slice){0}, path, PATH_BYTES, reterr);
    if (code) return code;
    const size_t size = strlen(path);
    *ret_bytes_max = LIST_BYTES_MAX;
    if (whole)
        snprintf(path + size, PATH_BYTES - size, "?limit=%d", DIAGNOSE_EVENTS_MAX);
    else
        snprintf(path + size, PATH_BYTES - size,
                 "?limit=%d&fieldSelector=involvedObject.kind%%3D%s%%2CinvolvedObject.name%%3D%.*s",
                 DIAGNOSE_EVENTS_MAX, job->kind->resource.kind, SLICE_ARG(job->name));
    return FAULT_NONE;
}

static fault_code failed(struct diagnose_job *job, const struct kube_get_result *result, struct fault *reterr) {
    if (result->fault.code)
        return fault_set(reterr, result->fault.code, "%s '%.*s': %s", job->kind->name, SLICE_ARG(job->name),
                         result->fault.text);
    if (result->cut)
        return fault_set(reterr, FAULT_LIMIT, "%s '%.*s' is larger than what is read of one", job->kind->name,
                         SLICE_ARG(job->name));
    return FAULT_NONE;
}

static fault_code render_describe(struct diagnose_job *job, const struct kube_get_result *result, char path[PATH_BYTES],
                                  size_t *ret_bytes_max, bool *ret_again, struct fault *reterr) {
    fault_code code;
    if (job->step == 1) {
        job->content_type = "application/json";
        code = failed(job, result, reterr);
        text_add_text(&job->out, "{\"object\":");
        if (!code) code = object_view_add(&job->view, result->body, &job->out, reterr);
        if (code) return code;
        const bool whole = strcmp(job->kind->name, "namespace") == 0;
        *ret_again = !diagnose_access_check(job->rules.access, job->kind, DIAGNOSE_EVENTS,
                                            whole ? job->name : job->namespace, NULL);
        if (!*ret_again) text_add_text(&job->out, "}");
        return *ret_again ? events_path(job, path, ret_bytes_max, reterr) : FAULT_NONE;
    }
    struct fault why = result->fault; /* without its events an object is still an answer */
    const struct text before = job->out;
    text_add_text(&job->out, ",\"events\":");
    if (why.code || diagnose_view_events(&job->view, result->body, 0, true, &job->out, &job->more, &why)) {
        job->out.size = before.size;
        text_add_text(&job->out, ",\"eventsMissing\":");
        object_view_add_text(&job->view, slice_from_text(why.text), &job->out);
    }
    text_add_text(&job->out, "}");
    return FAULT_NONE;
}

/* ---- events ---- */

static fault_code render_events(struct diagnose_job *job, const struct kube_get_result *result, char path[PATH_BYTES],
                                size_t *ret_bytes_max, bool *ret_again, struct fault *reterr) {
    const fault_code code = failed(job, result, reterr);
    job->tail = true;
    return code ? code
                : diagnose_view_events(&job->view, result->body, (size_t)job->request->query.events.limit, false,
                                       &job->out, &job->more, reterr);
}

/* ---- logs ---- */

static bool is_name(slice text) {
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) return false;
    }
    return true;
}

static fault_code logs_path(struct diagnose_job *job, char path[PATH_BYTES], size_t *ret_bytes_max,
                            struct fault *reterr) {
    const LogsQuery *query = &job->request->query.logs;
    const int64_t most = job->rules.settings->lines_max,
                  lines = query->lines && query->lines < most ? query->lines : most;
    if (!is_name(query->container))
        return fault_set(reterr, FAULT_INPUT, "'%.*s' is no name of a container",
                         SLICE_ARG(slice_first(query->container, 64)));
    const fault_code code =
        kube_resource_path(&job->kind->resource, job->namespace, job->name, SLICE_LIT("log"), path, PATH_BYTES, reterr);
    if (code) return code;
    size_t size = strlen(path);
    size += (size_t)snprintf(path + size, PATH_BYTES - size, "?tailLines=%lld&limitBytes=%d%s", (long long)lines,
                             LOG_BYTES_MAX, query->previous ? "&previous=true" : "");
    if (query->container.size && size < PATH_BYTES)
        size += (size_t)snprintf(path + size, PATH_BYTES - size, "&container=%.*s", SLICE_ARG(query->container));
    if (query->since_seconds && size < PATH_BYTES)
        size += (size_t)snprintf(path + size, PATH_BYTES - size, "&sinceSeconds=%d", query->since_seconds);
    if (size >= PATH_BYTES) return fault_set(reterr, FAULT_LIMIT, "the names are too long");
    *ret_bytes_max = LOG_BYTES_MAX + 4096;
    return FAULT_NONE;
}

static fault_code render_logs(struct diagnose_job *job, const struct kube_get_result *result, char path[PATH_BYTES],
                              size_t *ret_bytes_max, bool *ret_again, struct fault *reterr) {
    const bool cut = result->cut || result->body.size >= LOG_BYTES_MAX;
    job->tail = true;
    job->more = cut;
    if (result->fault.code) return failed(job, result, reterr);
    mask_add(job->rules.mask, cut ? mask_whole(result->body) : result->body, &job->out, &job->view.masked_count);
    return FAULT_NONE;
}

/* ---- rollout, top ---- */

static fault_code rollout_path(struct diagnose_job *job, char path[PATH_BYTES], size_t *ret_bytes_max,
                               struct fault *reterr) {
    if (!job->kind->rolls_out)
        return fault_set(reterr, FAULT_INPUT, "a %s is not rolled out: deployment, statefulset and daemonset are",
                         job->kind->name);
    return object_path(job, path, ret_bytes_max, reterr);
}

static fault_code render_rollout(struct diagnose_job *job, const struct kube_get_result *result, char path[PATH_BYTES],
                                 size_t *ret_bytes_max, bool *ret_again, struct fault *reterr) {
    const fault_code code = failed(job, result, reterr);
    return code ? code : diagnose_view_rollout(job->kind, result->body, job->arena, &job->out, reterr);
}

static fault_code top_path(struct diagnose_job *job, char path[PATH_BYTES], size_t *ret_bytes_max,
                           struct fault *reterr) {
    struct kube_resource metrics = job->kind->resource;
    metrics.group = "metrics.k8s.io";
    metrics.version = "v1beta1";
    *ret_bytes_max = LIST_BYTES_MAX;
    return kube_resource_path(&metrics, job->namespace, job->name, (slice){0}, path, PATH_BYTES, reterr);
}

static fault_code render_top(struct diagnose_job *job, const struct kube_get_result *result, char path[PATH_BYTES],
                             size_t *ret_bytes_max, bool *ret_again, struct fault *reterr) {
    if (result->fault.code == FAULT_ABSENT && job->name.size)
        return fault_set(reterr, FAULT_ABSENT,
                         "there are no figures of %s '%.*s': it does not run, or metrics-server "
                         "(metrics.k8s.io) is not installed in the cluster",
                         job->kind->name, SLICE_ARG(job->name));
    if (result->fault.code == FAULT_ABSENT)
        return fault_set(reterr, FAULT_ABSENT,
                         "there are no figures: metrics-server (metrics.k8s.io) is not installed in the cluster");
    const fault_code code = failed(job, result, reterr);
    return code ? code : diagnose_view_top(result->body, job->arena, &job->out, reterr);
}

/* ---- beginning ---- */

static const struct query_row queries[] = {
    {DiagnosticsRequest_describe_tag, DIAGNOSE_DESCRIBE, object_path, render_describe},
    {DiagnosticsRequest_events_tag, DIAGNOSE_EVENTS, events_path, render_events},
    {DiagnosticsRequest_logs_tag, DIAGNOSE_LOGS, logs_path, render_logs},
    {DiagnosticsRequest_rollout_status_tag, DIAGNOSE_ROLLOUT, rollout_path, render_rollout},
    {DiagnosticsRequest_top_tag, DIAGNOSE_TOP, top_path, render_top},
};

static slice about(struct diagnose_job *job, const ResourceRef *resource) {
    job->namespace = resource->namespace;
    job->name = resource->id;
    job->cluster_id = resource->cluster;
    return resource->type;
}

/* Namespace, name, cluster; the kind's name is returned. */
static slice subject(struct diagnose_job *job) {
    const DiagnosticsRequest *request = job->request;
    switch (request->which_query) {
    case DiagnosticsRequest_describe_tag: return about(job, &request->query.describe.resource);
    case DiagnosticsRequest_events_tag: return about(job, &request->query.events.resource);
    case DiagnosticsRequest_rollout_status_tag: return about(job, &request->query.rollout_status.resource);
    case DiagnosticsRequest_logs_tag:
        job->namespace = request->query.logs.namespace;
        job->name = request->query.logs.pod;
        job->cluster_id = request->query.logs.cluster;
        return SLICE_LIT("pod");
    case DiagnosticsRequest_top_tag:
        job->namespace = request->query.top.namespace;
        job->name = request->query.top.name;
        job->cluster_id = request->query.top.cluster;
        return request->query.top.of == TOP_SUBJECT_NODES ? SLICE_LIT("node") : SLICE_LIT("pod");
    default: return (slice){0};
    }
}

static fault_code admit(struct diagnose_job *job, struct fault *reterr) {
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        if (queries[i].which == job->request->which_query) job->query = &queries[i];
    if (!job->query) return fault_set(reterr, FAULT_INPUT, "this version of picket-agent does not know the question");
    const fault_code code = diagnose_kind_find(subject(job), &job->kind, reterr);
    if (code) return code;
    if (!job->kind->resource.namespaced) job->namespace = (slice){0};
    if (job->kind->resource.namespaced && !job->namespace.size)
        return fault_set(reterr, FAULT_INPUT, "in which namespace? A %s is in one", job->kind->name);
    const bool whole = strcmp(job->kind->name, "namespace") == 0; /* its name is the namespace that is looked at */
    return diagnose_access_check(job->rules.access, job->kind, job->query->verb, whole ? job->name : job->namespace,
                                 reterr);
}

struct diagnose_job *diagnose_job_new(const struct diagnose_rules *rules, const DiagnosticsRequest *request,
                                      int64_t time_ms, size_t bytes_max, struct arena *arena,
                                      void (*on_done)(void *context, const struct diagnose_result *result),
                                      void *context) {
    struct diagnose_job *job = arena_alloc(arena, sizeof *job);
    if (!job) return NULL;
    *job = (struct diagnose_job){.rules = *rules,
                                 .request = request,
                                 .deadline_ms = clock_monotonic_ms() + time_ms,
                                 .bytes_max = bytes_max,
                                 .arena = arena,
                                 .view = {.mask = rules->mask,
                                          .shown_names = rules->settings->show_env.items,
                                          .shown_names_count = rules->settings->show_env.count,
                                          .config_maps_shown = rules->settings->show_config_maps,
                                          .arena = arena},
                                 .out = text_begin(arena),
                                 .content_type = "text/plain; charset=utf-8",
                                 .on_done = on_done,
                                 .context = context};
    return job;
}

void diagnose_job_start(struct diagnose_job *job) {
    struct fault fault = {0};
    char path[PATH_BYTES];
    size_t bytes_max = 0;
    const fault_code code = admit(job, &fault);
    if (code) {
        done(job, code == FAULT_DENIED ? DIAGNOSTICS_OUTCOME_REFUSED : DIAGNOSTICS_OUTCOME_FAILED, &fault);
        return;
    }
    job->cluster = job->rules.cluster ? job->rules.cluster(job->rules.cluster_context, job->cluster_id) : NULL;
    if (!job->cluster) {
        fault_set(&fault, FAULT_ABSENT, "the agent has no access to %s%.*s%s",
                  job->cluster_id.size ? "cluster '" : "a cluster", SLICE_ARG(slice_first(job->cluster_id, 64)),
                  job->cluster_id.size ? "'" : ": its list kubernetes is empty");
        done_fault(job, &fault);
        return;
    }
    if (job->query->path(job, path, &bytes_max, &fault) || get(job, path, bytes_max, &fault)) done_fault(job, &fault);
}

void diagnose_job_cancel(struct diagnose_job *job) {
    if (job && job->get) kube_get_cancel(job->get);
    if (job) job->get = NULL;
}
