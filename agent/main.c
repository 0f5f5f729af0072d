/* SPDX-License-Identifier: Apache-2.0
 * picket-agent: arguments, signals, memory, the loop. The rest is pipeline.c. */
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/collect/kubernetes/kube_access.h"
#include "agent/enrol/own_certificate.h"
#include "agent/settings/agent_settings.h"
#include "agent/pipeline.h"
#include "agent/settings/restart_keys.h"
#include "agent/waiting_room.h"
#include "common/logging/log.h"
#include "common/logging/map_fault.h"

enum { THREAD_STACK_BYTES = 256 * 1024, TEXT_ARENA_BYTES = 128 * 1024 * 1024, WAITS_A_LINE = 20 };

static const char default_path[] = "/etc/picket/agent.yaml";
static const char usage[] =
    "Usage: picket-agent [--config FILE] [--check-config]\n"
    "       picket-agent --help | --version | --sample-config | --reference\n"
    "\n"
    "Scrapes Prometheus endpoints and probes, folds them into SLI windows and health checks, keeps them in a durable\n"
    "queue and ships them over MQTT to picket-aggregator. Nothing is lost, nothing counts twice.\n"
    "\n"
    "  --config FILE     configuration, YAML (/etc/picket/agent.yaml without it)\n"
    "  --check-config    read it, name every mistake with its line, and exit: 0 when there is none\n"
    "  --sample-config   print a commented configuration to begin with\n"
    "  --reference       print every key as a Markdown page\n"
    "  --version         print the version\n"
    "\n"
    "SIGHUP reads the configuration again; with a mistake in it the old one stays in force. Only a restart "
    "changes\n" RESTART_KEYS_TEXT ".\n"
    "SIGTERM ends the agent; what is open stays in its checkpoints.\n"
    "\n"
    "To begin with (ADD-AN-AGENT.md tells the whole way, from the centre's token on):\n"
    "  picket-agent --sample-config > agent.yaml         then say agent, enrolment, mqtt.host and targets\n"
    "  picket-agent --config agent.yaml --check-config\n"
    "  picket-agent --config agent.yaml\n"
    "  curl localhost:8421/readyz                        says why, while it is not ready\n"
    "\n"
    "Keys of the configuration. A scalar may be overridden by the environment: PICKET_MQTT_HOST for mqtt.host.\n"
    "Durations have a unit (250ms, 30s, 1m30s, 7d), sizes too (64KiB, 256MiB, 1GiB).\n"
    "\n";

struct program {
    struct loop *loop;
    struct pipeline *pipeline; /* NULL: the disk is waited for */
    bool stopping;
};

/* Text made from the rows of the settings, to stdout. */
static int print(fault_code (*make)(const struct setting_table *, struct arena *, slice *, struct fault *),
                 const char *before) {
    struct fault fault;
    slice text;
    struct arena *const arena = arena_new(64 * 1024, TEXT_ARENA_BYTES);
    if (!arena || make(&agent_setting_table, arena, &text, &fault)) {
        fprintf(stderr, "picket-agent: %s\n", arena ? fault.text : "out of memory");
        arena_free(arena);
        return 1;
    }
    fputs(before, stdout);
    fwrite(text.data, 1, text.size, stdout);
    arena_free(arena);
    return fflush(stdout) ? 1 : 0;
}

/* A kubeconfig that is not there may be there where the agent will run; one that cannot be used is a mistake. */
static fault_code check_clusters(const char *path, const struct agent_settings *settings) {
    fault_code found = FAULT_NONE;
    for (size_t i = 0; i < settings->kubernetes.count; i++) {
        const struct kube_cluster_settings *const cluster = &settings->kubernetes.items[i];
        struct fault fault;
        if (!cluster->kubeconfig.size || !kube_access_check(cluster, &fault)) continue;
        const bool here = fault.code == FAULT_SYSTEM;
        fprintf(stderr, "%s: kubernetes[%zu]: %s%s\n", path, i, here ? "warning: " : "", fault.text);
        if (!here) found = fault.code;
    }
    return found;
}

static int check_config(const char *path) {
    struct fault fault;
    struct agent_settings settings;
    struct setting_texts mistakes;
    struct arena *const arena = arena_new(64 * 1024, TEXT_ARENA_BYTES);
    if (!arena) return 1;
    const fault_code code = agent_settings_read(path, environ, arena, &settings, &mistakes, &fault);
    fault_code found = code;
    if (!code && !settings.enrolment.url.size && !settings.mqtt.plain_text && settings.mqtt.certificate.size) {
        char name[CERTIFICATE_NAME_BYTES];
        struct certificate_view view;
        snprintf(name, sizeof name, "%.*s/%.*s", SLICE_ARG(settings.tenant), SLICE_ARG(settings.name));
        /* One that cannot be read here may be there where the agent will run. */
        if (own_certificate_check(setting_text(settings.mqtt.certificate), name, &view, &fault) == FAULT_INPUT)
            found = FAULT_INPUT;
    }
    for (size_t i = 0; i < mistakes.count; i++) fprintf(stderr, "%.*s\n", SLICE_ARG(mistakes.items[i]));
    if (!code && found) fprintf(stderr, "%s: mqtt.certificate: %s\n", path, fault.text);
    if (!code && check_clusters(path, &settings)) found = FAULT_INPUT;
    if (code && mistakes.count == 0) fprintf(stderr, "%s\n", fault.text);
    if (!found)
        printf("%s: good: agent %.*s/%.*s, %zu targets, %zu probes, %zu SLIs, %zu health checks\n", path,
               SLICE_ARG(settings.tenant), SLICE_ARG(settings.name), settings.targets.count, settings.probes.count,
               settings.slis.count, settings.health.count);
    arena_free(arena);
    return found ? 1 : 0;
}

static void on_signal(void *context, int signal_number) {
    struct program *const program = context;
    if (signal_number == SIGHUP) {
        LOG_INFO("agent", "reload_asked");
        if (program->pipeline) pipeline_reload(program->pipeline); /* else the file is read when it begins */
        return;
    }
    program->stopping = true;
    LOG_INFO("agent", "stop_asked", LOG_INT("signal", signal_number));
    loop_stop(program->loop);
}

/* Few bytes for many: one malloc arena for all threads, and stacks of a size that ours and the libraries' need. */
static void save_memory(void) {
#ifdef M_ARENA_MAX /* glibc; musl has one arena and gives back what is free */
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, 64 * 1024);
#endif
#ifndef __SANITIZE_THREAD__ /* its thread-local data alone is larger than such a stack */
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes)) return;
    if (!pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES)) pthread_setattr_default_np(&attributes);
    pthread_attr_destroy(&attributes);
#endif
}

static int run(const char *config_path) {
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    struct program program = {0};
    struct fault fault;
    save_memory();
    signal(SIGPIPE, SIG_IGN);
    map_fault_catch("the agent ends; the next start checks its files, saves what can be read and says what is lost");
    fault_code code = loop_new(&program.loop, &fault);
    if (!code)
        code = loop_signals(program.loop, signals, sizeof signals / sizeof *signals, on_signal, &program, &fault);
    if (!code) code = pipeline_open(program.loop, config_path, environ, &program.pipeline, &fault);
    for (unsigned waits = 0; code == FAULT_AGAIN && !program.stopping; waits++) {
        if (waits % WAITS_A_LINE == 0)
            LOG_ERROR("agent", "disk_waited_for", LOG_FAULT(&fault), LOG_TEXT("instead", "tried again every 3s"));
        waiting_room(program.loop, config_path, environ, &fault);
        if (!program.stopping) code = pipeline_open(program.loop, config_path, environ, &program.pipeline, &fault);
    }
    if (program.stopping && !program.pipeline) {
        loop_free(program.loop);
        return 0;
    }
    if (code) {
        LOG_ERROR("agent", "not_started", LOG_FAULT(&fault));
        loop_free(program.loop);
        return 1;
    }
    loop_run(program.loop);
    const bool broken = pipeline_broken(program.pipeline);
    pipeline_close(program.pipeline);
    loop_free(program.loop);
    LOG_INFO("agent", "stopped");
    return broken;
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {"sample-config", no_argument, NULL, 's'},
        {"reference", no_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    const char *config_path = default_path;
    bool check = false;
    for (int option; (option = getopt_long(argc, argv, "c:hv", options, NULL)) != -1;) {
        switch (option) {
        case 'c': config_path = optarg; break;
        case 'k': check = true; break;
        case 'h': return print(settings_help, usage);
        case 's': return print(settings_sample, "");
        case 'r': return print(settings_reference, "");
        case 'v': printf("picket-agent %s\n", PICKET_VERSION); return 0;
        default: fputs("Try 'picket-agent --help'.\n", stderr); return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "picket-agent: '%s' is not an option. Try 'picket-agent --help'.\n", argv[optind]);
        return 2;
    }
    return check ? check_config(config_path) : run(config_path);
}
