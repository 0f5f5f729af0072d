/* SPDX-License-Identifier: Apache-2.0
 * A round is a row of calls, one after another: the queries, then `up`. Samples are staged as they arrive, at the target
 * of their job and instance; only when the last answer was whole does the round end, each target by what `up` says of it.
 * As all queries of a round ask for one and the same moment, their order does not matter and good never runs ahead of
 * total.
 *
 * Who is gone keeps its entry for a while: a server that was just started has not scraped everybody yet, and somebody who
 * comes back was there all the time. */
#include "agent/collect/prometheus/prometheus_api.h"

#include "agent/collect/prometheus/api_answer.h"
#include "agent/collect/schedule.h"
#include "agent/window/slot.h"
#include "common/base/clock.h"
#include "common/base/limits.h"

#include <stdio.h>
#include <stdlib.h>

enum { QUERY_BYTES = 2 * SELECTOR_BYTES_MAX + 512, BODY_BYTES = 3 * QUERY_BYTES + 256, URL_BYTES = 2048 + 32 };

struct query {
    char *text;
    struct selector_taker *takers; /* those that select by the same text; of up none */
    size_t takers_count;
};

struct instance {
    uint64_t id; /* of job and instance */
    size_t number;
    int64_t sampled_ms, gone_ms; /* slot of its last sample; since when it has no up, 0: it has */
    uint64_t samples;            /* of the round */
    bool begun, joined, ending, had_up;
    bool up_known, up; /* by the answer of the round */
};

struct prometheus_api {
    struct prometheus_api_parts parts;
    struct target_sink sink;
    struct scrape_callbacks scraped;
    struct prometheus_api_config config;
    char url[URL_BYTES], name[LIMIT_AGGREGATE_ID_BYTES + 1];
    struct query *queries; /* the last is that of up */
    size_t queries_count, query;
    char *body;
    struct schedule schedule;
    struct loop_timer *settle_timer;
    struct api_answer *answer;
    struct http_call *call;
    struct instance *instances; /* instances_max */
    size_t instances_count;
    uint32_t *buckets, buckets_mask; /* by id: 1 + number in instances */
    int64_t slot_ms, begun_ms;
    int status; /* of the answer under way */
    bool in_round, fresh, ups_any, looked_back;
    struct fault fault, refused;
    struct prometheus_api_stats stats;
};

static void round_begin(void *context, int64_t slot_ms);
static void ask(void *context);

/* The one of that text, made when there is none. */
static struct query *query_of(struct prometheus_api *api, const struct selector *selector) {
    char text[QUERY_BYTES];
    if (!prometheus_api_query(selector, api->config.fresh_ms, text, sizeof text)) return NULL;
    for (size_t i = 0; i < api->queries_count; i++)
        if (strcmp(api->queries[i].text, text) == 0) return &api->queries[i];
    struct query *const query = &api->queries[api->queries_count];
    query->text = strdup(text);
    api->queries_count += query->text != NULL;
    return query->text ? query : NULL;
}

static bool query_add(struct query *query, struct selector_taker taker) {
    struct selector_taker *const larger =
        realloc(query->takers, (query->takers_count + 1) * sizeof *larger); /* once, at configuration */
    if (!larger) return false;
    query->takers = larger;
    query->takers[query->takers_count++] = taker;
    return true;
}

static fault_code add_queries(struct prometheus_api *api, struct fault *reterr) {
    const size_t count = selector_index_count(api->parts.index);
    if (count > API_QUERIES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "%zu selectors; at most %d can be asked for", count, API_QUERIES_MAX);
    api->queries = calloc(count + 1, sizeof *api->queries);
    bool good = api->queries != NULL;
    for (size_t i = 0; i < count && good; i++) {
        const struct selector_taker taker = selector_index_at(api->parts.index, i);
        struct query *const query = query_of(api, taker.selector);
        good = query && query_add(query, taker);
    }
    /* Its answer is read otherwise than those of the SLIs, also when an SLI asks the same. */
    char text[QUERY_BYTES];
    good = good && prometheus_api_query(api->config.up, api->config.fresh_ms, text, sizeof text);
    if (good) good = (api->queries[api->queries_count].text = strdup(text)) != NULL;
    api->queries_count += good;
    return good ? FAULT_NONE : fault_set(reterr, FAULT_LIMIT, "out of memory for its queries");
}

static fault_code api_fill(struct prometheus_api *api, struct fault *reterr) {
    const struct prometheus_api_config *const config = &api->config;
    slice root = config->url;
    while (root.size && root.data[root.size - 1] == '/') root.size--;
    snprintf(api->url, sizeof api->url, "%.*s/api/v1/query", SLICE_ARG(root));
    snprintf(api->name, sizeof api->name, "%.*s", SLICE_ARG(config->name));
    api->buckets_mask = 15;
    while (api->buckets_mask < 2 * config->instances_max) api->buckets_mask = 2 * api->buckets_mask + 1;
    api->settle_timer = loop_timer_new(api->parts.loop, ask, api);
    api->body = malloc(BODY_BYTES);
    api->answer = api_answer_new();
    api->instances = calloc(config->instances_max, sizeof *api->instances);
    api->buckets = calloc((size_t)api->buckets_mask + 1, sizeof *api->buckets);
    if (!api->settle_timer || !api->body || !api->answer || !api->instances || !api->buckets)
        return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    const fault_code code = add_queries(api, reterr);
    if (code) return code;
    return schedule_init(&api->schedule, api->parts.loop, config->interval_ms,
                         slot_offset_ms(config->name, config->interval_ms), round_begin, api, reterr);
}

fault_code prometheus_api_new(const struct prometheus_api_parts *parts, const struct prometheus_api_config *config,
                              struct prometheus_api **ret_api, struct fault *reterr) {
    struct prometheus_api *const api = calloc(1, sizeof *api);
    if (api == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    api->parts = *parts;
    api->sink = *parts->sink;
    api->scraped = *parts->scraped;
    api->config = *config;
    const fault_code code = api_fill(api, reterr);
    if (code) {
        prometheus_api_free(api);
        return fault_wrap(reterr, "Prometheus '%.*s'", SLICE_ARG(config->name));
    }
    *ret_api = api;
    return FAULT_NONE;
}

static void round_fail(struct prometheus_api *api);

struct prometheus_api *prometheus_api_free(struct prometheus_api *api) {
    if (api == NULL) return NULL;
    if (api->in_round) {
        if (api->call) http_call_cancel(api->call);
        (void)fault_set(&api->fault, FAULT_AGAIN, "asking has been stopped");
        round_fail(api);
    }
    schedule_done(&api->schedule);
    if (api->settle_timer) loop_timer_free(api->settle_timer);
    for (size_t i = 0; api->queries && i < api->queries_count; i++) {
        free(api->queries[i].text);
        free(api->queries[i].takers);
    }
    free(api->queries);
    free(api->body);
    api_answer_free(api->answer);
    free(api->instances);
    free(api->buckets);
    free(api);
    return NULL;
}

void prometheus_api_start(struct prometheus_api *api) {
    schedule_start(&api->schedule);
}

void prometheus_api_stats(const struct prometheus_api *api, struct prometheus_api_stats *ret_stats) {
    *ret_stats = api->stats;
    ret_stats->instances = api->instances_count;
}

/* ---- who is who ---- */

static slice label(const struct exposition_sample *sample, const char *name) {
    for (size_t i = 0; i < sample->labels_count; i++)
        if (slice_equal_text(sample->labels[i].name, name)) return sample->labels[i].value;
    return (slice){0};
}

/* "job/instance"; what is too long is cut, and told apart by its hash. */
static slice instance_name(const struct exposition_sample *sample, char *text, uint64_t *ret_id) {
    const slice job = label(sample, "job"), instance = label(sample, "instance");
    *ret_id = hash_bytes(job, hash_bytes(instance, 1));
    int size = snprintf(text, TARGET_NAME_BYTES + 1, "%.*s/%.*s", SLICE_ARG(job), SLICE_ARG(instance));
    if (size > TARGET_NAME_BYTES)
        size = TARGET_NAME_BYTES - 16 +
               snprintf(text + TARGET_NAME_BYTES - 16, 17, "%016llx", (unsigned long long)*ret_id);
    return slice_of(text, (size_t)size);
}

static struct instance *find(const struct prometheus_api *api, uint64_t id) {
    for (uint32_t at = (uint32_t)id & api->buckets_mask; api->buckets[at]; at = (at + 1) & api->buckets_mask)
        if (api->instances[api->buckets[at] - 1].id == id) return &api->instances[api->buckets[at] - 1];
    return NULL;
}

static void index_one(struct prometheus_api *api, uint32_t number) {
    uint32_t at = (uint32_t)api->instances[number].id & api->buckets_mask;
    while (api->buckets[at]) at = (at + 1) & api->buckets_mask;
    api->buckets[at] = number + 1;
}

static void drop(struct prometheus_api *api, size_t at) {
    api->instances[at] = api->instances[--api->instances_count];
    memset(api->buckets, 0, ((size_t)api->buckets_mask + 1) * sizeof *api->buckets);
    for (uint32_t i = 0; i < api->instances_count; i++) index_one(api, i);
}

static void instance_begin(struct prometheus_api *api, struct instance *one) {
    one->samples = 0;
    one->up_known = one->up = false;
    one->begun = api->scraped.begin(api->scraped.context, one->number, api->slot_ms);
}

static bool instance_join(struct prometheus_api *api, struct instance *one, slice name) {
    const struct sink_target target = {
        .name = name, .interval_ms = api->config.interval_ms, .timeout_ms = api->config.timeout_ms};
    one->ending = false;
    return api->sink.join(api->sink.context, api->parts.group, &target, &one->number, &api->refused) == FAULT_NONE;
}

/* NULL: there is no room; the round says so at its end. */
static struct instance *instance_new(struct prometheus_api *api, uint64_t id, slice name) {
    if (api->instances_count == api->config.instances_max) {
        (void)fault_set(&api->refused, FAULT_LIMIT, "more than %zu pairs of job and instance (instances_max)",
                        api->config.instances_max);
        return NULL;
    }
    struct instance *const one = &api->instances[api->instances_count];
    *one = (struct instance){.id = id, .sampled_ms = api->slot_ms};
    if (!instance_join(api, one, name)) return NULL;
    index_one(api, (uint32_t)api->instances_count++);
    instance_begin(api, one);
    return one;
}

/* ---- a round ---- */

static void round_begin(void *context, int64_t slot_ms) {
    struct prometheus_api *const api = context;
    if (api->in_round) {
        api->stats.late++;
        return;
    }
    api->in_round = true;
    api->slot_ms = slot_ms;
    api->begun_ms = clock_monotonic_ms();
    api->query = 0;
    api->ups_any = false;
    api->fault = api->refused = (struct fault){0};
    for (size_t i = 0; i < api->instances_count; i++) instance_begin(api, &api->instances[i]);
    loop_timer_set(api->settle_timer, api->config.settle_ms);
}

static void on_sample(void *context, const struct exposition_sample *sample) {
    struct prometheus_api *const api = context;
    char text[TARGET_NAME_BYTES + 1];
    uint64_t id;
    const slice name = instance_name(sample, text, &id);
    struct instance *one = find(api, id);
    if (!one) one = instance_new(api, id, name);
    if (!one || !one->begun) return;
    one->samples++;
    one->sampled_ms = api->slot_ms;
    const struct query *const query = &api->queries[api->query];
    const uint32_t base = api->parts.tag_base(api->parts.context, one->number);
    for (size_t i = 0; i < query->takers_count; i++)
        query->takers[i].call(query->takers[i].context, base + query->takers[i].tag, sample);
}

static void on_up(void *context, const struct exposition_sample *sample) {
    struct prometheus_api *const api = context;
    char text[TARGET_NAME_BYTES + 1];
    uint64_t id;
    const slice name = instance_name(sample, text, &id);
    struct instance *one = find(api, id);
    if (!one && !api->looked_back && api->parts.remembers(api->parts.context, api->parts.group, name))
        one = instance_new(api, id, name);
    api->ups_any = true;
    if (!one) return;
    one->up = sample->value == 1 && (!one->up_known || one->up);
    one->up_known = one->had_up = true;
    if (one->ending) (void)!instance_join(api, one, name); /* it was there all the time */
    one->gone_ms = 0;
}

static bool is_last(const struct prometheus_api *api) {
    return api->query + 1 == api->queries_count;
}

static bool on_head(void *context, int status, const char *content_type) {
    struct prometheus_api *const api = context;
    api->status = status;
    return true;
}

/* What is no JSON says less of an error than its status. */
static bool on_body(void *context, slice piece) {
    struct prometheus_api *const api = context;
    struct fault fault;
    if (api_answer_feed(api->answer, piece, &fault) == FAULT_NONE) return true;
    if (api->status == 200)
        api->fault = fault;
    else
        (void)fault_set(&api->fault, FAULT_SYSTEM, "the answer is HTTP status %d and no answer of Prometheus",
                        api->status);
    return false;
}

static void instance_end(struct prometheus_api *api, struct instance *one, const struct fault *fault) {
    struct scrape_result result = {.slot_ms = api->slot_ms,
                                   .duration_ms = clock_monotonic_ms() - api->begun_ms,
                                   .samples = one->samples,
                                   .selected = one->samples};
    if (!one->begun) return;
    one->begun = false;
    if (fault) result.fault = *fault;
    api->scraped.done(api->scraped.context, one->number, &result);
}

static void round_end(struct prometheus_api *api) {
    api->in_round = false;
    api->call = NULL;
    api->stats.rounds++;
    api->stats.failed += api->fault.code != FAULT_NONE;
    api->stats.fault = api->fault.code ? api->fault : api->refused;
    api->stats.last_ms = clock_wall_ms();
    api->stats.duration_ms = clock_monotonic_ms() - api->begun_ms;
}

static void round_fail(struct prometheus_api *api) {
    (void)fault_wrap(&api->fault, "Prometheus '%s'", api->name);
    for (size_t i = 0; i < api->instances_count; i++) instance_end(api, &api->instances[i], &api->fault);
    const bool news = api->fresh || api->stats.rounds == 0;
    api->fresh = false;
    round_end(api);
    if (news) api->sink.stale(api->sink.context, api->parts.group);
}

/* True: it is gone, and was for so long that it leaves. */
static bool instance_settle(struct prometheus_api *api, struct instance *one) {
    struct fault fault;
    if (one->up_known) {
        if (!one->up) (void)fault_set(&fault, FAULT_SYSTEM, "Prometheus '%s' could not scrape it (up is 0)", api->name);
        instance_end(api, one, one->up ? NULL : &fault);
        return false;
    }
    if (!one->had_up) {
        if (!one->samples)
            (void)fault_set(&fault, FAULT_SYSTEM, "Prometheus '%s' has no fresh sample of it", api->name);
        instance_end(api, one, one->samples ? NULL : &fault);
        return api->slot_ms - one->sampled_ms > API_FORGET_MS;
    }
    if (!one->ending) api->sink.ending(api->sink.context, one->number);
    one->ending = true;
    if (!one->gone_ms) one->gone_ms = api->slot_ms;
    (void)fault_set(&fault, FAULT_ABSENT, "Prometheus '%s' scrapes it no longer", api->name);
    instance_end(api, one, one->samples ? NULL : &fault); /* what it still shows counts */
    return api->slot_ms - one->gone_ms > API_FORGET_MS;
}

static void round_succeed(struct prometheus_api *api) {
    bool had_up = false;
    for (size_t i = 0; i < api->instances_count; i++) had_up |= api->instances[i].had_up;
    if (had_up && !api->ups_any) {
        (void)fault_set(&api->fault, FAULT_SYSTEM,
                        "there is no up of anybody: the server scrapes nobody, or `fresh` is too short");
        round_fail(api);
        return;
    }
    for (size_t i = api->instances_count; i-- > 0;) {
        struct instance *const one = &api->instances[i];
        const size_t number = one->number;
        if (!instance_settle(api, one)) continue;
        drop(api, i);
        api->sink.leave(api->sink.context, number);
    }
    const bool whole = api->refused.code == FAULT_NONE, was_fresh = api->fresh;
    api->fresh = whole; /* else somebody is not counted */
    api->looked_back |= whole;
    round_end(api);
    if (whole && !was_fresh) api->sink.fresh(api->sink.context, api->parts.group);
    if (!whole && was_fresh) api->sink.stale(api->sink.context, api->parts.group);
}

static void on_done(void *context, const struct http_result *http) {
    struct prometheus_api *const api = context;
    struct api_answer_stats stats;
    struct fault fault;
    api->call = NULL;
    api_answer_stats(api->answer, &stats);
    api->stats.bytes += stats.bytes;
    api->stats.samples += stats.samples;
    api->stats.histograms += stats.histograms;
    if (!api->fault.code) api->fault = http->fault;
    if (!api->fault.code && api_answer_end(api->answer, http->status, &fault)) api->fault = fault;
    api_answer_stats(api->answer, &stats);
    if (stats.warning[0]) memcpy(api->stats.warning, stats.warning, sizeof stats.warning);
    if (api->fault.code) {
        (void)fault_wrap(&api->fault, "query %zu of %zu", api->query + 1, api->queries_count);
        round_fail(api);
    } else if (is_last(api)) {
        round_succeed(api);
    } else {
        api->query++;
        ask(api);
    }
}

static size_t form_encode(const char *text, char *into, size_t room) {
    static const char digits[] = "0123456789ABCDEF";
    size_t size = 0;
    for (; *text && size + 3 < room; text++) {
        const uint8_t c = (uint8_t)*text;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.", c)) {
            into[size++] = (char)c;
            continue;
        }
        into[size++] = '%';
        into[size++] = digits[c >> 4];
        into[size++] = digits[c & 15];
    }
    into[size] = '\0';
    return size;
}

static void ask(void *context) {
    struct prometheus_api *const api = context;
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json",
                                          NULL};
    const int64_t left_ms = api->config.timeout_ms - (clock_monotonic_ms() - api->begun_ms);
    if (left_ms < 1) {
        (void)fault_set(&api->fault, FAULT_TIMEOUT, "%zu of %zu queries took all of %lld ms (timeout)", api->query,
                        api->queries_count, (long long)api->config.timeout_ms);
        round_fail(api);
        return;
    }
    size_t size = (size_t)snprintf(api->body, BODY_BYTES, "query=");
    size += form_encode(api->queries[api->query].text, api->body + size, BODY_BYTES - 128);
    size += (size_t)snprintf(api->body + size, BODY_BYTES - size, "&time=%lld.%03d&timeout=%lldms",
                             (long long)(api->slot_ms / 1000), (int)(api->slot_ms % 1000), (long long)left_ms);
    api_answer_begin(api->answer, is_last(api) ? on_up : on_sample, api);
    const struct http_request request = {.url = api->url,
                                         .method = "POST",
                                         .headers = headers,
                                         .body = slice_of(api->body, size),
                                         .tls = api->config.tls,
                                         .auth = api->config.auth,
                                         .timeout_ms =
                                             left_ms < LIMIT_OUTSIDE_CALL_MS ? left_ms : LIMIT_OUTSIDE_CALL_MS,
                                         .body_bytes_max = api->config.body_bytes_max,
                                         .accept_gzip = true,
                                         .on_head = on_head,
                                         .on_body = on_body,
                                         .on_done = on_done,
                                         .context = api};
    if (http_client_start(api->parts.client, &request, &api->call, &api->fault)) round_fail(api);
}
