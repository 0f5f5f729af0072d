/* SPDX-License-Identifier: Apache-2.0
 * A program for tests/e2e: follows resources of a cluster as a consumer would, sweeping by rounds, and prints on request
 * what it believes is there. `kube_follow FOLDER-OR-KUBECONFIG KIND... [name=value ...]`, then commands on its standard
 * input: state, get PATH BYTES, listen KIND, stop. Each is answered by one line of JSON. */
#include "agent/collect/kubernetes/kube_get.h"
#include "agent/collect/kubernetes/kube_watch.h"

#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

struct known {
    char *key, *version, *scope; /* "namespace/name" */
    uint8_t round;
};

struct kind {
    const struct kube_resource *resource;
    struct known *known;
    size_t count, room;
    struct {
        char scope[64];
        enum kube_watch_state state;
        int64_t since_ms;
        char why[480];
    } streams[16];
    size_t streams_count;
    struct kube_listener *listener;
};

struct follow {
    struct loop *loop;
    struct kube_cluster *cluster;
    struct kind kinds[KUBE_KINDS_];
    bool keep; /* false: count only, to see the client's own memory */
    char line[65536];
    size_t line_size;
    uint64_t calls;
};

static char *copy_of(slice text) {
    return text.size ? strndup((const char *)text.data, text.size) : strdup("");
}

static void key_write(const struct kube_object *object, char *key, size_t bytes) {
    snprintf(key, bytes, "%.*s/%.*s", SLICE_ARG(object->meta->namespace), SLICE_ARG(object->meta->name));
}

static struct known *find(struct kind *kind, const char *key) {
    for (size_t i = 0; i < kind->count; i++)
        if (strcmp(kind->known[i].key, key) == 0) return &kind->known[i];
    return NULL;
}

static void drop(struct kind *kind, struct known *known) {
    free(known->key);
    free(known->version);
    free(known->scope);
    *known = kind->known[--kind->count];
}

static void on_object(void *context, const struct kube_object *object) {
    struct kind *kind = context;
    char key[600];
    if (!kind->room) return; /* counting only */
    key_write(object, key, sizeof key);
    struct known *known = find(kind, key);
    if (!known) {
        if (kind->count == kind->room) {
            kind->room *= 2;
            kind->known = realloc(kind->known, kind->room * sizeof *kind->known);
            if (!kind->known) abort();
        }
        known = &kind->known[kind->count++];
        *known = (struct known){.key = strdup(key), .scope = copy_of(object->scope->namespace)};
    }
    free(known->version);
    known->version = copy_of(object->meta->resource_version);
    known->round = object->round;
}

static void on_deleted(void *context, const struct kube_object *object) {
    struct kind *kind = context;
    char key[600];
    key_write(object, key, sizeof key);
    struct known *known = find(kind, key);
    if (known) drop(kind, known);
}

static void on_list_ends(void *context, const struct kube_scope *scope, uint8_t round) {
    struct kind *kind = context;
    for (size_t i = kind->count; i-- > 0;)
        if (kind->known[i].round != round && slice_equal_text(scope->namespace, kind->known[i].scope))
            drop(kind, &kind->known[i]);
}

static void on_state(void *context, const struct kube_scope *scope, enum kube_watch_state state, int64_t since_ms,
                     const struct fault *why) {
    struct kind *kind = context;
    size_t i = 0;
    while (i < kind->streams_count && !slice_equal_text(scope->namespace, kind->streams[i].scope)) i++;
    if (i == kind->streams_count) {
        (void)slice_to_text(scope->namespace, kind->streams[i].scope, sizeof kind->streams[i].scope);
        kind->streams_count++;
    }
    kind->streams[i].state = state;
    kind->streams[i].since_ms = since_ms;
    snprintf(kind->streams[i].why, sizeof kind->streams[i].why, "%s", why->code ? why->text : "");
}

static void print_text(slice text) {
    putchar('"');
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < ' ' || c >= 127)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static long resident_kib(void) {
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) (void)(sscanf(line, "VmRSS: %ld", &kib) == 1);
    if (file) fclose(file);
    return kib;
}

static void print_state(struct follow *follow) {
    struct kube_cluster_stats stats;
    kube_cluster_stats(follow->cluster, &stats);
    printf("{\"objects\":{");
    for (size_t k = 0, first = 1; k < KUBE_KINDS_; k++) {
        const struct kind *kind = &follow->kinds[k];
        if (!kind->listener) continue;
        printf("%s\"%s\":{", first ? "" : ",", kind->resource->plural);
        for (size_t i = 0; i < kind->count; i++) {
            printf("%s", i ? "," : "");
            print_text(slice_from_text(kind->known[i].key));
            printf(":\"%s\"", kind->known[i].version);
        }
        printf("}");
        first = 0;
    }
    printf("},\"streams\":[");
    for (size_t k = 0, first = 1; k < KUBE_KINDS_; k++)
        for (size_t i = 0; i < follow->kinds[k].streams_count; i++, first = 0) {
            printf("%s{\"resource\":\"%s\",\"namespace\":\"%s\",\"state\":\"%s\",\"since_ms\":%" PRId64 ",\"why\":",
                   first ? "" : ",", follow->kinds[k].resource->plural, follow->kinds[k].streams[i].scope,
                   kube_watch_state_name(follow->kinds[k].streams[i].state), follow->kinds[k].streams[i].since_ms);
            print_text(slice_from_text(follow->kinds[k].streams[i].why));
            printf("}");
        }
    printf("],\"now_ms\":%" PRId64 ",\"rss_kib\":%ld,\"cpu_ms\":%ld,\"warning\":\"%s\",\"stats\":{",
           clock_monotonic_ms(), resident_kib(), (long)(clock() * 1000 / CLOCKS_PER_SEC),
           kube_cluster_warning(follow->cluster));
#define NUMBER(name) printf("\"" #name "\":%" PRIu64 ",", (uint64_t)stats.name)
    NUMBER(requests), NUMBER(requests_failed), NUMBER(lists), NUMBER(lists_restarted), NUMBER(relists), NUMBER(checks),
        NUMBER(watches), NUMBER(stalls);
    NUMBER(objects), NUMBER(deletions), NUMBER(bookmarks), NUMBER(objects_too_large), NUMBER(objects_unreadable);
    printf("\"skew_ms\":%" PRId64 ",", kube_cluster_skew_ms(follow->cluster));
    NUMBER(bytes), NUMBER(streams), NUMBER(streams_fresh), NUMBER(buffer_bytes);
    printf("\"last_fault\":");
    print_text(slice_from_text(stats.last_fault.code ? stats.last_fault.text : ""));
    printf(",\"last_skip\":");
    print_text(slice_from_text(stats.last_skip.code ? stats.last_skip.text : ""));
    printf("}}\n");
}

static void on_get(void *context, const struct kube_get_result *result) {
    printf("{\"status\":%d,\"cut\":%s,\"code\":\"%s\",\"fault\":", result->status, result->cut ? "true" : "false",
           fault_code_name(result->fault.code));
    print_text(slice_from_text(result->fault.code ? result->fault.text : ""));
    printf(",\"body\":");
    print_text(result->body);
    printf("}\n");
    fflush(stdout);
}

static void listen_to(struct follow *follow, slice plural) {
    const struct kube_resource *resource = kube_resource_find(plural);
    if (!resource) abort();
    struct kind *kind = &follow->kinds[resource->id];
    const struct kube_listener_calls calls = {
        .object = on_object, .deleted = on_deleted, .list_ends = on_list_ends, .state = on_state, .context = kind};
    struct fault fault;
    struct kube_listener *listener;
    kind->resource = resource;
    if (!kind->room && follow->keep) {
        kind->room = 64;
        kind->known = calloc(kind->room, sizeof *kind->known);
    }
    if (kube_watch_listen(follow->cluster, resource->id, &calls, &listener, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        exit(1);
    }
    if (kind->listener) (void)kube_watch_unlisten(kind->listener);
    kind->listener = listener;
}

static void command_do(struct follow *follow, char *line) {
    char path[2000];
    size_t bytes;
    struct fault fault;
    if (strcmp(line, "state") == 0) print_state(follow);
    if (strcmp(line, "stop") == 0) loop_stop(follow->loop);
    if (strncmp(line, "listen ", 7) == 0) listen_to(follow, slice_from_text(line + 7));
    if (sscanf(line, "get %1999s %zu", path, &bytes) == 2) {
        const struct kube_get_request request = {
            .path = path, .body_bytes_max = bytes, .timeout_ms = 3000, .on_done = on_get, .context = follow};
        if (kube_get_start(follow->cluster, &request, NULL, &fault))
            printf("{\"status\":0,\"code\":\"%s\"}\n", fault_code_name(fault.code));
    }
    fflush(stdout);
}

static void input_came(void *context, int fd, unsigned events) {
    struct follow *follow = context;
    const ssize_t got = read(fd, follow->line + follow->line_size, sizeof follow->line - 1 - follow->line_size);
    if (got <= 0) {
        loop_stop(follow->loop);
        return;
    }
    follow->line_size += (size_t)got;
    char *end;
    while ((end = memchr(follow->line, '\n', follow->line_size))) {
        *end = '\0';
        command_do(follow, follow->line);
        follow->line_size -= (size_t)(end + 1 - follow->line);
        memmove(follow->line, end + 1, follow->line_size);
    }
}

static void option_take(struct kube_cluster_settings *settings, slice *namespaces, char *word) {
    char *value = strchr(word, '=') + 1;
    value[-1] = '\0';
    if (strcmp(word, "namespace") == 0) {
        namespaces[settings->namespaces.count++] = slice_from_text(value);
        settings->namespaces.items = namespaces;
    }
    if (strcmp(word, "node") == 0) settings->node = slice_from_text(value);
    if (strcmp(word, "context") == 0) settings->context = slice_from_text(value);
    if (strcmp(word, "stall_ms") == 0) settings->stall_ms = atoll(value);
    if (strcmp(word, "relist_ms") == 0) settings->relist_ms = atoll(value);
    if (strcmp(word, "stale_ms") == 0) settings->stale_ms = atoll(value);
    if (strcmp(word, "page_size") == 0) settings->page_size = atoll(value);
    if (strcmp(word, "object_bytes_max") == 0) settings->object_bytes_max = atoll(value);
}

int main(int argc, char **argv) {
    static struct follow follow;
    static slice namespaces[16];
    struct fault fault;
    struct kube_cluster_settings settings = {.cluster_id = SLICE_LIT("c1"),
                                             .object_bytes_max = 2 * 1024 * 1024,
                                             .page_size = 500,
                                             .stall_ms = 120 * 1000,
                                             .stale_ms = 60 * 1000};
    signal(SIGPIPE, SIG_IGN);
    mallopt(M_ARENA_MAX, 1); /* as the agent does */
    mallopt(M_TRIM_THRESHOLD, 64 * 1024);
    if (argc < 2) return 2;
    const slice access = slice_from_text(argv[1]);
    const int folder = open(argv[1], O_RDONLY | O_DIRECTORY);
    if (folder >= 0)
        settings.service_account = access;
    else
        settings.kubeconfig = access;
    follow.keep = true;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "count") == 0)
            follow.keep = false;
        else if (strchr(argv[i], '='))
            option_take(&settings, namespaces, argv[i]);
    }
    struct loop_watch *watch;
    if (loop_new(&follow.loop, &fault) ||
        loop_watch_new(follow.loop, 0, LOOP_READ, input_came, &follow, &watch, &fault) ||
        kube_cluster_open(follow.loop, &settings, &follow.cluster, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    for (int i = 2; i < argc; i++)
        if (kube_resource_find(slice_from_text(argv[i]))) listen_to(&follow, slice_from_text(argv[i]));
    loop_run(follow.loop);
    for (size_t i = 0; i < KUBE_KINDS_; i++) {
        (void)kube_watch_unlisten(follow.kinds[i].listener);
        while (follow.kinds[i].count) drop(&follow.kinds[i], follow.kinds[i].known);
        free(follow.kinds[i].known);
    }
    (void)kube_cluster_close(follow.cluster);
    (void)loop_watch_free(watch);
    (void)loop_free(follow.loop);
    if (folder >= 0) close(folder);
    return 0;
}
