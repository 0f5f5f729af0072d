/* SPDX-License-Identifier: Apache-2.0
 * A loop with a timer for each source. A key that is not there wakes the loop before its time, but not before
 * refresh_min_ms since the last fetch began, so that tokens with invented key names make no flood. A set is swapped under
 * a lock, and its generation moves when the text differs: whoever remembers a checked token checks it again then, so that
 * a key that its issuer has withdrawn is withdrawn here too. */
#include "aggregator/api/oidc_keys.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/whole_file.h"
#include "common/logging/log.h"
#include "common/net/http_client.h"

enum { ARENA_BYTES_MAX = 32 * 1024 * 1024, BACKOFF_SHIFT_MAX = 16, KID_SHOWN_BYTES = 40 };
enum { METRIC_GOOD, METRIC_BAD, METRIC_FETCHED, SOURCE_METRICS_MAX_ };

struct source {
    struct oidc_keys *keys;
    const struct oidc_keys_source *settings;
    pthread_rwlock_t lock;
    struct jwks *jwks; /* under the lock */
    atomic_uint_fast64_t generation;
    atomic_int_fast64_t fetched_ms, begun_ms; /* monotonic; fetched 0: never */
    atomic_bool fetching;                     /* or asked for: the thread has been woken */
    /* The thread's own from here on. */
    struct loop_timer *timer;
    struct http_tls tls;
    uint8_t *body;
    size_t body_bytes;
    uint8_t hash[DIGEST_BYTES];
    unsigned failures;
    bool running;
};

struct oidc_keys {
    struct oidc_keys_source *settings;
    struct source *sources;
    size_t count;
    struct loop *loop;
    struct loop_waker *waker;
    struct http_client *client;
    struct arena *arena, *labels;
    struct metrics *metrics;
    struct metric_table *table;
    pthread_t thread;
    bool started;
};

static void fetch(void *context);

static size_t metric_at(const struct source *source, size_t metric) {
    return metric * source->keys->count + (size_t)(source - source->keys->sources);
}

/* ---- what the thread does ---- */

static void fetch_failed(struct source *source, const struct fault *fault) {
    const struct oidc_keys_source *s = source->settings;
    const unsigned shift = source->failures < BACKOFF_SHIFT_MAX ? source->failures : BACKOFF_SHIFT_MAX;
    int64_t wait_ms = s->refresh_min_ms << shift;
    if (wait_ms > s->refresh_ms) wait_ms = s->refresh_ms;
    source->failures++;
    metric_count(source->keys->table, metric_at(source, METRIC_BAD), 1);
    LOG_WARN("oidc", "keys_not_fetched", LOG_TEXT("issuer", s->name), LOG_FAULT(fault),
             LOG_TEXT("instead", atomic_load(&source->fetched_ms) ? "the keys of before stay in use"
                                                                  : "its tokens are refused until there are keys"),
             LOG_INT("again_in_ms", wait_ms));
    loop_timer_set(source->timer, wait_ms);
}

static void keys_swap(struct source *source, struct jwks *fresh, const uint8_t hash[DIGEST_BYTES]) {
    pthread_rwlock_wrlock(&source->lock);
    struct jwks *old = source->jwks;
    source->jwks = fresh;
    atomic_fetch_add(&source->generation, 1);
    pthread_rwlock_unlock(&source->lock);
    jwks_free(old);
    memcpy(source->hash, hash, DIGEST_BYTES);
    LOG_INFO("oidc", "keys_fetched", LOG_TEXT("issuer", source->settings->name), LOG_UINT("keys", jwks_count(fresh)),
             LOG_UINT("passed_over", jwks_passed_over(fresh)));
}

/* fault NULL: source->body holds the whole. */
static void fetch_end(struct source *source, const struct fault *failed) {
    struct fault fault;
    struct jwks *fresh = NULL;
    uint8_t hash[DIGEST_BYTES];
    const slice body = slice_of(source->body, source->body_bytes);
    digest_of(body, hash);
    const bool known = source->jwks && memcmp(hash, source->hash, sizeof hash) == 0;
    if (!failed && !known && jwks_read(body, source->keys->arena, &fresh, &fault)) failed = &fault;
    arena_reset(source->keys->arena);
    if (failed) {
        fetch_failed(source, failed);
    } else {
        if (fresh) keys_swap(source, fresh, hash);
        source->failures = 0;
        atomic_store(&source->fetched_ms, clock_monotonic_ms());
        metric_count(source->keys->table, metric_at(source, METRIC_GOOD), 1);
        metric_set(source->keys->table, metric_at(source, METRIC_FETCHED), (double)clock_wall_ms() / 1000);
        loop_timer_set(source->timer, source->settings->refresh_ms);
    }
    source->running = false;
    atomic_store(&source->fetching, false); /* last: who asks now sees what came */
}

static bool on_body(void *context, slice piece) {
    struct source *source = context;
    if (piece.size > JWKS_BYTES_MAX - source->body_bytes) return false;
    memcpy(source->body + source->body_bytes, piece.data, piece.size);
    source->body_bytes += piece.size;
    return true;
}

static void on_done(void *context, const struct http_result *result) {
    struct fault fault;
    if (result->fault.code == FAULT_NONE && result->status == 200) {
        fetch_end(context, NULL);
        return;
    }
    if (result->fault.code == FAULT_NONE)
        fault_set(&fault, FAULT_INPUT, "the answer's status is %d%s", result->status,
                  result->status / 100 == 3 ? ": redirects are not followed, configure where they lead to" : "");
    fetch_end(context, result->fault.code ? &result->fault : &fault);
}

static fault_code file_read(struct source *source, struct fault *reterr) {
    return whole_file_read("the key set", source->settings->file, source->body, JWKS_BYTES_MAX, &source->body_bytes,
                           reterr);
}

static void fetch(void *context) {
    struct source *source = context;
    const struct oidc_keys_source *s = source->settings;
    struct fault fault;
    fault_code code;
    loop_timer_clear(source->timer);
    source->running = true;
    atomic_store(&source->fetching, true);
    atomic_store(&source->begun_ms, clock_monotonic_ms());
    source->body_bytes = 0;
    if (s->file) {
        code = file_read(source, &fault);
        fetch_end(source, code ? &fault : NULL);
        return;
    }
    static const char *const headers[] = {"Accept: application/jwk-set+json, application/json", NULL};
    const struct http_request request = {.url = s->url,
                                         .headers = headers,
                                         .tls = &source->tls,
                                         .timeout_ms = s->timeout_ms,
                                         .body_bytes_max = JWKS_BYTES_MAX,
                                         .on_body = on_body,
                                         .on_done = on_done,
                                         .context = source};
    code = http_client_start(source->keys->client, &request, NULL, &fault);
    if (code) fetch_end(source, &fault);
}

/* A key was asked for that is not there. Its timer is set anew when the fetch ends. */
static void on_wanted(void *context) {
    struct oidc_keys *keys = context;
    for (size_t i = 0; i < keys->count; i++) {
        struct source *source = &keys->sources[i];
        if (source->running || !atomic_load(&source->fetching)) continue;
        if (clock_monotonic_ms() - atomic_load(&source->begun_ms) >= source->settings->refresh_min_ms)
            fetch(source);
        else
            atomic_store(&source->fetching, false); /* the timer was there first */
    }
}

static void *run(void *context) {
    struct oidc_keys *keys = context;
    loop_run(keys->loop);
    return NULL;
}

/* ---- life ---- */

static fault_code metrics_make(struct oidc_keys *keys, struct fault *reterr) {
    struct metric_row *rows = arena_alloc_array(keys->labels, keys->count * SOURCE_METRICS_MAX_, sizeof *rows);
    if (!rows) return fault_set(reterr, FAULT_SYSTEM, "start with OIDC: no memory");
    /* Rows of one name stand together. */
    for (size_t m = 0; m < SOURCE_METRICS_MAX_; m++)
        for (size_t i = 0; i < keys->count; i++) {
            static const char *const results[] = {
                [METRIC_GOOD] = ",result=\"good\"", [METRIC_BAD] = ",result=\"bad\"", [METRIC_FETCHED] = ""};
            const slice labels = arena_format(keys->labels, "issuer=\"%s\"%s", keys->settings[i].name, results[m]);
            const bool fetched = m == METRIC_FETCHED;
            rows[m * keys->count + i] = (struct metric_row){
                .kind = fetched ? METRIC_GAUGE : METRIC_COUNTER,
                .name = fetched ? "picket_oidc_keys_fetched_timestamp_seconds" : "picket_oidc_fetches_total",
                .labels = (const char *)labels.data,
                .help = fetched ? "When the issuer's keys in use were last fetched." : "Fetches of an issuer's keys."};
        }
    return metrics_add(keys->metrics, rows, keys->count * SOURCE_METRICS_MAX_, &keys->table, reterr);
}

static fault_code source_open(struct oidc_keys *keys, size_t index, struct fault *reterr) {
    struct source *source = &keys->sources[index];
    source->keys = keys;
    source->settings = &keys->settings[index];
    source->tls.ca_path = source->settings->ca;
    source->body = malloc(JWKS_BYTES_MAX);
    source->timer = loop_timer_new(keys->loop, fetch, source);
    if (!source->body || !source->timer) return fault_set(reterr, FAULT_SYSTEM, "start with OIDC: no memory");
    atomic_store(&source->fetching, true);
    loop_timer_set(source->timer, 0);
    return FAULT_NONE;
}

static fault_code open_all(struct oidc_keys *keys, struct fault *reterr) {
    fault_code code = loop_new(&keys->loop, reterr);
    if (!code) code = http_client_new(keys->loop, (unsigned)keys->count, &keys->client, reterr);
    if (!code) code = loop_waker_new(keys->loop, on_wanted, keys, &keys->waker, reterr);
    if (!code && keys->metrics) code = metrics_make(keys, reterr);
    for (size_t i = 0; i < keys->count && !code; i++) code = source_open(keys, i, reterr);
    if (code) return code;
    const int error = pthread_create(&keys->thread, NULL, run, keys);
    if (error) return fault_set_errno(reterr, FAULT_SYSTEM, error, "start the thread that fetches keys");
    keys->started = true;
    return FAULT_NONE;
}

fault_code oidc_keys_open(const struct oidc_keys_source *sources, size_t count, struct metrics *metrics,
                          struct oidc_keys **ret_keys, struct fault *reterr) {
    struct oidc_keys *keys = calloc(1, sizeof *keys);
    if (!keys) return fault_set(reterr, FAULT_SYSTEM, "start with OIDC: no memory");
    keys->metrics = metrics;
    keys->settings = calloc(count, sizeof *keys->settings);
    keys->sources = calloc(count, sizeof *keys->sources);
    keys->arena = arena_new(64 * 1024, ARENA_BYTES_MAX);
    keys->labels = arena_new(4096, 1024 * 1024);
    if (keys->settings && keys->sources && keys->arena && keys->labels) {
        memcpy(keys->settings, sources, count * sizeof *sources);
        keys->count = count;
        for (size_t i = 0; i < count; i++) pthread_rwlock_init(&keys->sources[i].lock, NULL);
    }
    const fault_code code =
        keys->count == count ? open_all(keys, reterr) : fault_set(reterr, FAULT_SYSTEM, "start with OIDC: no memory");
    if (code) {
        oidc_keys_close(keys);
        return code;
    }
    *ret_keys = keys;
    return FAULT_NONE;
}

struct oidc_keys *oidc_keys_close(struct oidc_keys *keys) {
    if (!keys) return NULL;
    if (keys->started) {
        loop_stop(keys->loop);
        pthread_join(keys->thread, NULL);
    }
    if (keys->client) http_client_free(keys->client);
    for (size_t i = 0; i < keys->count; i++) {
        struct source *source = &keys->sources[i];
        if (source->timer) loop_timer_free(source->timer);
        pthread_rwlock_destroy(&source->lock);
        jwks_free(source->jwks);
        free(source->body);
    }
    if (keys->waker) loop_waker_free(keys->waker);
    if (keys->loop) loop_free(keys->loop);
    if (keys->table) metrics_remove(keys->metrics, keys->table);
    arena_free(keys->labels);
    arena_free(keys->arena);
    free(keys->sources);
    free(keys->settings);
    free(keys);
    return NULL;
}

/* ---- what others ask ---- */

/* FAULT_AGAIN with the reason while no set may be used. */
static fault_code usable(struct source *source, struct fault *reterr) {
    const struct oidc_keys_source *s = source->settings;
    const int64_t fetched_ms = atomic_load(&source->fetched_ms);
    if (!fetched_ms)
        return fault_set(reterr, FAULT_AGAIN, "the keys of the issuer '%s' could not be fetched yet", s->name);
    const int64_t age_ms = clock_monotonic_ms() - fetched_ms;
    if (age_ms > s->age_max_ms)
        return fault_set(reterr, FAULT_AGAIN,
                         "the keys of the issuer '%s' were last fetched %" PRId64
                         " s ago, longer than jwks_age_max allows: the issuer does not answer",
                         s->name, age_ms / 1000);
    return FAULT_NONE;
}

fault_code oidc_keys_find(struct oidc_keys *keys, size_t source_index, slice kid, enum signature_algorithm algorithm,
                          struct signature_key *ret_key, uint64_t *ret_generation, struct fault *reterr) {
    struct source *source = &keys->sources[source_index];
    const fault_code code = usable(source, reterr);
    if (code) return code;
    const bool fetching =
        atomic_load(&source->fetching); /* before the look: a set that comes after it is then awaited */
    const int64_t since_ms = clock_monotonic_ms() - atomic_load(&source->begun_ms);
    pthread_rwlock_rdlock(&source->lock);
    const struct signature_key *key = jwks_find(source->jwks, kid, algorithm);
    if (key) *ret_key = *key;
    *ret_generation = atomic_load(&source->generation);
    pthread_rwlock_unlock(&source->lock);
    if (key) return FAULT_NONE;
    if (!fetching && since_ms < source->settings->refresh_min_ms)
        return fault_set(reterr, FAULT_ABSENT,
                         "the issuer '%s' has no key '%.*s' for this algorithm (its keys were fetched %" PRId64
                         " s ago)",
                         source->settings->name, SLICE_ARG(slice_first(kid, KID_SHOWN_BYTES)), since_ms / 1000);
    if (!fetching && !atomic_exchange(&source->fetching, true)) loop_wake(keys->waker);
    return fault_set(reterr, FAULT_AGAIN, "the key '%.*s' is new: the keys of the issuer '%s' are being fetched",
                     SLICE_ARG(slice_first(kid, KID_SHOWN_BYTES)), source->settings->name);
}

bool oidc_keys_holds(struct oidc_keys *keys, size_t source_index, uint64_t generation) {
    struct source *source = &keys->sources[source_index];
    return atomic_load(&source->generation) == generation && usable(source, NULL) == FAULT_NONE;
}
