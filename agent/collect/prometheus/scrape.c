/* SPDX-License-Identifier: Apache-2.0
 * The answer's head decides whether and how its body is read: only a 200 of a known type reaches the parser, so the
 * page of an error is never taken for samples. What our own reading says (a malformed line, a foreign type) is kept
 * and preferred over the HTTP client's word that its reader has stopped. */
#include "agent/collect/prometheus/scrape.h"

#include "agent/collect/schedule.h"
#include "common/base/limits.h"

#include <stdio.h>
#include <stdlib.h>

/* As Prometheus 3 asks with its defaults, which are what we read: exporters then answer as they have been tried. Names in
 * UTF-8 come as they are, in quotes, and are not rewritten. Protobuf is not asked for. */
static const char scrape_accept[] =
    "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/* A parser that is read into, or waits to be. */
struct scrape_parser {
    struct exposition *exposition;
    struct scrape_parser *next;
};

struct scrape_one {
    struct scrape *owner;
    struct scrape_target target; /* its strings are ours */
    char *name, *url;
    struct schedule schedule;
    struct scrape_parser *parser; /* from the answer's head to its end */
    struct http_call *call;
    bool in_flight;
    int64_t slot_ms;
    struct fault fault;
};

struct scrape {
    struct loop *loop;
    struct http_client *client;
    struct scrape_callbacks callbacks;
    struct scrape_one **all;
    size_t count, room;
    struct scrape_parser *idle;
    bool started;
    struct scrape_stats stats;
};

static void scrape_slot(void *context, int64_t slot_ms);

fault_code scrape_new(struct loop *loop, struct http_client *client, const struct scrape_callbacks *callbacks,
                      struct scrape **ret_scrape, struct fault *reterr) {
    struct scrape *const scrape = calloc(1, sizeof *scrape);
    if (scrape == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    scrape->loop = loop;
    scrape->client = client;
    scrape->callbacks = *callbacks;
    *ret_scrape = scrape;
    return FAULT_NONE;
}

static void one_free(struct scrape_one *one) {
    if (one == NULL) return;
    schedule_done(&one->schedule);
    free(one->name);
    free(one->url);
    free(one);
}

static void one_end(struct scrape_one *one, const struct http_result *http);

static void one_stop(struct scrape_one *one) {
    if (!one->in_flight) return;
    if (one->call) http_call_cancel(one->call);
    one->call = NULL;
    (void)fault_set(&one->fault, FAULT_AGAIN, "scraping has been stopped");
    one_end(one, NULL);
}

struct scrape *scrape_free(struct scrape *scrape) {
    if (scrape == NULL) return NULL;
    for (size_t i = 0; i < scrape->count; i++) {
        one_stop(scrape->all[i]);
        one_free(scrape->all[i]);
    }
    while (scrape->idle) {
        struct scrape_parser *const parser = scrape->idle;
        scrape->idle = parser->next;
        exposition_free(parser->exposition);
        free(parser);
    }
    free(scrape->all);
    free(scrape);
    return NULL;
}

void scrape_remove(struct scrape *scrape, size_t number) {
    for (size_t i = 0; i < scrape->count; i++) {
        struct scrape_one *const one = scrape->all[i];
        if (one->target.number != number) continue;
        one_stop(one);
        one_free(one);
        scrape->all[i] = scrape->all[--scrape->count];
        return;
    }
}

static fault_code check_target(const struct scrape_target *target, struct fault *reterr) {
    if (target->name == NULL || target->url == NULL || target->index == NULL)
        return fault_set(reterr, FAULT_INPUT, "a target needs a name, a URL and an index");
    if (target->timeout_ms < 1 || target->timeout_ms > target->interval_ms ||
        target->timeout_ms > LIMIT_OUTSIDE_CALL_MS)
        return fault_set(reterr, FAULT_INPUT,
                         "target '%s': a timeout of %lld ms; expected 1 ms to the interval (%lld ms), at most %d ms",
                         target->name, (long long)target->timeout_ms, (long long)target->interval_ms,
                         LIMIT_OUTSIDE_CALL_MS);
    if (target->body_bytes_max == 0)
        return fault_set(reterr, FAULT_INPUT, "target '%s': the size limit is 0", target->name);
    return FAULT_NONE;
}

static fault_code one_fill(struct scrape_one *one, const struct scrape_target *target, struct fault *reterr) {
    one->name = strdup(target->name);
    one->url = strdup(target->url);
    if (one->name == NULL || one->url == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    one->target.name = one->name;
    one->target.url = one->url;
    if (schedule_init(&one->schedule, one->owner->loop, target->interval_ms, target->offset_ms, scrape_slot, one,
                      reterr))
        return fault_wrap(reterr, "target '%s'", target->name);
    return FAULT_NONE;
}

fault_code scrape_add(struct scrape *scrape, const struct scrape_target *target, struct fault *reterr) {
    fault_code code = check_target(target, reterr);
    if (code) return code;
    for (size_t i = 0; i < scrape->count; i++)
        if (scrape->all[i]->target.number == target->number)
            return fault_set(reterr, FAULT_CONFLICT, "target '%s': number %zu is that of '%s'", target->name,
                             target->number, scrape->all[i]->name);
    if (scrape->count == scrape->room) {
        const size_t room = scrape->room ? 2 * scrape->room : 16;
        struct scrape_one **const larger = realloc(scrape->all, room * sizeof *larger);
        if (larger == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory for %zu targets", room);
        scrape->all = larger;
        scrape->room = room;
    }
    struct scrape_one *const one = calloc(1, sizeof *one);
    if (one == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    one->owner = scrape;
    one->target = *target;
    code = one_fill(one, target, reterr);
    if (code) {
        one_free(one);
        return code;
    }
    scrape->all[scrape->count++] = one;
    if (scrape->started) schedule_start(&one->schedule);
    return FAULT_NONE;
}

void scrape_start(struct scrape *scrape) {
    scrape->started = true;
    for (size_t i = 0; i < scrape->count; i++) schedule_start(&scrape->all[i]->schedule);
}

void scrape_stats(const struct scrape *scrape, struct scrape_stats *ret_stats) {
    *ret_stats = scrape->stats;
}

/* Answers that come at the same time have one each; there are as many as ever came so. */
static bool take_parser(struct scrape_one *one) {
    struct scrape *const scrape = one->owner;
    struct scrape_parser *parser = scrape->idle;
    if (parser) {
        scrape->idle = parser->next;
    } else {
        parser = calloc(1, sizeof *parser);
        if (parser) parser->exposition = exposition_new();
        if (!parser || !parser->exposition) {
            free(parser);
            return false;
        }
    }
    one->parser = parser;
    return true;
}

static bool one_head(void *context, int status, const char *content_type) {
    struct scrape_one *const one = context;
    if (status != 200) {
        (void)fault_set(&one->fault, FAULT_SYSTEM, "%s: the answer is HTTP status %d; expected 200", one->url, status);
        return false;
    }
    enum exposition_format format;
    if (exposition_format_of(slice_from_text(content_type), one->target.fallback, &format, &one->fault)) return false;
    if (!one->parser && !take_parser(one)) {
        (void)fault_set(&one->fault, FAULT_SYSTEM, "out of memory for a parser");
        return false;
    }
    const struct exposition_sink sink = {selector_index_find_name, selector_index_on_sample, one->target.index};
    exposition_begin(one->parser->exposition, format, &sink);
    return true;
}

static bool one_body(void *context, slice piece) {
    struct scrape_one *const one = context;
    selector_index_aim(one->target.index, one->target.tag_base);
    return exposition_feed(one->parser->exposition, piece, &one->fault) == FAULT_NONE;
}

static void one_done(void *context, const struct http_result *http) {
    struct scrape_one *const one = context;
    one->call = NULL;
    if (one->fault.code == FAULT_NONE) one->fault = http->fault;
    struct fault fault;
    if (one->fault.code == FAULT_NONE) {
        selector_index_aim(one->target.index, one->target.tag_base);
        if (exposition_end(one->parser->exposition, &fault)) one->fault = fault;
    }
    one_end(one, http);
}

/* http: NULL when it never began or was cancelled. */
static void one_end(struct scrape_one *one, const struct http_result *http) {
    struct scrape *const scrape = one->owner;
    struct scrape_result result = {.slot_ms = one->slot_ms, .fault = one->fault};
    if (http) result.duration_ms = http->duration_ms;
    if (one->parser) {
        struct exposition_stats stats;
        exposition_stats(one->parser->exposition, &stats);
        result.bytes = stats.bytes;
        result.samples = stats.samples;
        result.selected = stats.selected;
        one->parser->next = scrape->idle;
        scrape->idle = one->parser;
        one->parser = NULL;
    }
    if (result.fault.code) (void)fault_wrap(&result.fault, "target '%s'", one->name);
    one->in_flight = false;
    scrape->stats.in_flight--;
    scrape->stats.scrapes++;
    scrape->stats.failed += result.fault.code != FAULT_NONE;
    scrape->stats.bytes += result.bytes;
    scrape->stats.samples += result.samples;
    scrape->stats.selected += result.selected;
    scrape->callbacks.done(scrape->callbacks.context, one->target.number, &result);
}

static void scrape_slot(void *context, int64_t slot_ms) {
    struct scrape_one *const one = context;
    struct scrape *const scrape = one->owner;
    if (one->in_flight) {
        scrape->stats.late++;
        return;
    }
    if (!scrape->callbacks.begin(scrape->callbacks.context, one->target.number, slot_ms)) return;
    one->in_flight = true;
    one->slot_ms = slot_ms;
    one->fault = (struct fault){0};
    scrape->stats.in_flight++;
    char timeout[64]; /* an exporter that asks others in turn gives up in time */
    snprintf(timeout, sizeof timeout, "X-Prometheus-Scrape-Timeout-Seconds: %.3f",
             (double)one->target.timeout_ms / 1000);
    const char *const headers[] = {scrape_accept, timeout, NULL};
    const struct http_request request = {.url = one->url,
                                         .headers = headers,
                                         .tls = one->target.tls,
                                         .auth = one->target.auth,
                                         .timeout_ms = one->target.timeout_ms,
                                         .body_bytes_max = one->target.body_bytes_max,
                                         .accept_gzip = true,
                                         .on_head = one_head,
                                         .on_body = one_body,
                                         .on_done = one_done,
                                         .context = one};
    if (http_client_start(scrape->client, &request, &one->call, &one->fault)) {
        one->call = NULL;
        one_end(one, NULL);
    }
}
