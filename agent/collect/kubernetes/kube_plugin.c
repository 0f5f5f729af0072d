/* SPDX-License-Identifier: Apache-2.0
 * The plugin's output is read on the loop until it ends, and only then is the child waited for: by then it has ended or is
 * about to, so that a short timer finishes what remains. Its errors go to our standard error, where an operator looks for
 * them; what it prints is a secret, is never logged and is wiped.
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins */
#include "agent/collect/kubernetes/kube_plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/codec/codec.h"
#include "kube_objects.h"

enum { WAIT_MS = 20, EARLY_MS = 30 * 1000 };

struct kube_plugin {
    struct loop *loop;
    const struct kube_plugin_settings *settings;
    struct loop_watch *watch;
    struct loop_timer *timer; /* the deadline, or the next look at a child that has ended its output */
    pid_t pid;                /* 0: none runs */
    int fd;
    int64_t started_ms, failed_ms; /* monotonic; 0: never */
    int64_t expires_ms;            /* wall; INT64_MAX: never */
    struct fault fault;
    struct arena *arena; /* of what it printed last */
    bool has_credential;
    struct kube_credential credential;
    size_t size;
    uint8_t output[KUBE_PLUGIN_OUTPUT_BYTES];
};

static void output_came(void *context, int fd, unsigned events);
static void time_passed(void *context);
static void child_end(struct kube_plugin *plugin);
static void wipe(struct kube_plugin *plugin);

fault_code kube_plugin_new(struct loop *loop, const struct kube_plugin_settings *settings,
                           struct kube_plugin **ret_plugin, struct fault *reterr) {
    struct kube_plugin *plugin = calloc(1, sizeof *plugin);
    if (!plugin) return fault_set(reterr, FAULT_SYSTEM, "credential plugin: out of memory");
    plugin->loop = loop;
    plugin->settings = settings;
    plugin->fd = -1;
    plugin->arena = arena_new(16 * 1024, 512 * 1024);
    plugin->timer = loop_timer_new(loop, time_passed, plugin);
    if (!plugin->arena || !plugin->timer) {
        (void)kube_plugin_free(plugin);
        return fault_set(reterr, FAULT_SYSTEM, "credential plugin: out of memory");
    }
    *ret_plugin = plugin;
    return FAULT_NONE;
}

struct kube_plugin *kube_plugin_free(struct kube_plugin *plugin) {
    if (!plugin) return NULL;
    if (plugin->pid) {
        kill(plugin->pid, SIGKILL);
        (void)waitpid(plugin->pid, NULL, 0);
    }
    child_end(plugin);
    (void)loop_timer_free(plugin->timer);
    wipe(plugin);
    (void)arena_free(plugin->arena);
    explicit_bzero(plugin->output, sizeof plugin->output);
    free(plugin);
    return NULL;
}

/* Whatever it was doing is over. */
static void child_end(struct kube_plugin *plugin) {
    loop_timer_clear(plugin->timer);
    (void)loop_watch_free(plugin->watch);
    plugin->watch = NULL;
    if (plugin->fd >= 0) close(plugin->fd);
    plugin->fd = -1;
    plugin->pid = 0;
}

static const char *name_of(const struct kube_plugin *plugin) {
    return plugin->settings->arguments[0];
}

static void fail(struct kube_plugin *plugin) {
    plugin->failed_ms = clock_monotonic_ms();
    explicit_bzero(plugin->output, plugin->size);
    plugin->size = 0;
}

static fault_code child_start(struct kube_plugin *plugin, struct fault *reterr) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "credential plugin '%s'", name_of(plugin));
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, pipe_signal;
    sigemptyset(&none);
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);           /* ours are blocked for the loop */
    posix_spawnattr_setsigdefault(&attributes, &pipe_signal); /* which we ignore */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const int error_number = posix_spawnp(&plugin->pid, name_of(plugin), &actions, &attributes,
                                          plugin->settings->arguments, plugin->settings->environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    plugin->fd = ends[0];
    if (error_number != 0) {
        plugin->pid = 0;
        child_end(plugin);
        return fault_set_errno(reterr, error_number == ENOENT ? FAULT_ABSENT : FAULT_SYSTEM, error_number,
                               "start the credential plugin '%s'", name_of(plugin));
    }
    plugin->size = 0;
    plugin->started_ms = clock_monotonic_ms();
    loop_timer_set(plugin->timer, KUBE_PLUGIN_DEADLINE_MS);
    const fault_code code =
        loop_watch_new(plugin->loop, plugin->fd, LOOP_READ, output_came, plugin, &plugin->watch, reterr);
    if (code) {
        kill(plugin->pid, SIGKILL);
        (void)waitpid(plugin->pid, NULL, 0);
        child_end(plugin);
    }
    return code;
}

static void output_came(void *context, int fd, unsigned events) {
    struct kube_plugin *plugin = context;
    while (plugin->size < sizeof plugin->output) {
        const ssize_t got = read(fd, plugin->output + plugin->size, sizeof plugin->output - plugin->size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) break;
        plugin->size += (size_t)got;
    }
    (void)loop_watch_free(plugin->watch);
    plugin->watch = NULL;
    close(plugin->fd); /* one that prints more gets SIGPIPE */
    plugin->fd = -1;
    loop_timer_set(plugin->timer, 0);
}

static fault_code output_read(struct kube_plugin *plugin, struct fault *reterr);

/* The deadline, or time to see whether the child has ended. */
static void time_passed(void *context) {
    struct kube_plugin *plugin = context;
    int status = 0;
    const bool late = clock_monotonic_ms() - plugin->started_ms >= KUBE_PLUGIN_DEADLINE_MS;
    if (late) kill(plugin->pid, SIGKILL);
    const pid_t ended = waitpid(plugin->pid, &status, late ? 0 : WNOHANG);
    if (ended == 0) {
        loop_timer_set(plugin->timer, WAIT_MS);
        return;
    }
    child_end(plugin);
    fault_code code;
    if (late)
        code = fault_set(&plugin->fault, FAULT_TIMEOUT,
                         "credential plugin '%s': it did not end within %d s, and was ended", name_of(plugin),
                         KUBE_PLUGIN_DEADLINE_MS / 1000);
    else if (plugin->size == sizeof plugin->output)
        code = fault_set(&plugin->fault, FAULT_LIMIT, "credential plugin '%s': it printed over %zu bytes",
                         name_of(plugin), sizeof plugin->output - 1);
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        code = fault_set(&plugin->fault, FAULT_SYSTEM, "credential plugin '%s': it ended with %s %d", name_of(plugin),
                         WIFEXITED(status) ? "exit code" : "signal",
                         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    else
        code = output_read(plugin, &plugin->fault);
    if (code) {
        fail(plugin);
        return;
    }
    explicit_bzero(plugin->output, plugin->size);
    plugin->size = 0;
    plugin->failed_ms = 0;
}

static fault_code output_read(struct kube_plugin *plugin, struct fault *reterr) {
    wipe(plugin);
    KubeExecCredential printed;
    const fault_code code = codec_decode_json_foreign(&KubeExecCredential_desc, slice_of(plugin->output, plugin->size),
                                                      plugin->arena, &printed, reterr);
    if (code) return fault_wrap(reterr, "credential plugin '%s': what it printed", name_of(plugin));
    if (!slice_equal_text(printed.kind, "ExecCredential") ||
        !slice_equal_text(printed.api_version, plugin->settings->api_version))
        return fault_set(reterr, FAULT_INPUT,
                         "credential plugin '%s': it printed '%.*s %.*s', expected is 'ExecCredential %s'",
                         name_of(plugin), SLICE_ARG(slice_first(printed.kind, 64)),
                         SLICE_ARG(slice_first(printed.api_version, 64)), plugin->settings->api_version);
    const KubeExecCredentialStatus *status = &printed.status;
    if (!status->token.size && !(status->client_certificate_data.size && status->client_key_data.size))
        return fault_set(reterr, FAULT_INPUT,
                         "credential plugin '%s': it printed neither a token nor a certificate with its key",
                         name_of(plugin));
    plugin->credential = (struct kube_credential){arena_copy(plugin->arena, status->token),
                                                  arena_copy(plugin->arena, status->client_certificate_data),
                                                  arena_copy(plugin->arena, status->client_key_data)};
    if (arena_refused(plugin->arena))
        return fault_set(reterr, FAULT_LIMIT, "credential plugin '%s': no room for it", name_of(plugin));
    plugin->expires_ms = status->has_expiration_timestamp ? status->expiration_timestamp.seconds * 1000 : INT64_MAX;
    plugin->has_credential = true;
    return FAULT_NONE;
}

fault_code kube_plugin_credential(struct kube_plugin *plugin, struct kube_credential *ret_credential,
                                  struct fault *reterr) {
    const int64_t wall_ms = clock_wall_ms(), now_ms = clock_monotonic_ms();
    const bool usable = plugin->has_credential && wall_ms < plugin->expires_ms;
    const bool failed = plugin->failed_ms && now_ms - plugin->failed_ms < KUBE_PLUGIN_AGAIN_MS;
    /* One that prints what has expired already is not run without a pause. */
    const bool just_run = plugin->has_credential && now_ms - plugin->started_ms < KUBE_PLUGIN_AGAIN_MS;
    const bool wanted = !usable || wall_ms >= plugin->expires_ms - EARLY_MS;
    if (wanted && !plugin->pid && !failed && !just_run && child_start(plugin, &plugin->fault)) fail(plugin);
    if (usable) {
        *ret_credential = plugin->credential;
        return FAULT_NONE;
    }
    if (plugin->pid) return fault_set(reterr, FAULT_AGAIN, "the credential plugin '%s' is running", name_of(plugin));
    if (just_run)
        return fault_set(reterr, FAULT_AGAIN, "the credential plugin '%s' prints what has expired", name_of(plugin));
    return fault_set(reterr, FAULT_AGAIN, "%s", plugin->fault.text);
}

void kube_plugin_forget(struct kube_plugin *plugin) {
    if (clock_monotonic_ms() - plugin->started_ms >= KUBE_PLUGIN_AGAIN_MS) wipe(plugin);
}

static void wipe(struct kube_plugin *plugin) {
    const slice secrets[] = {plugin->credential.token, plugin->credential.certificate, plugin->credential.key};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (secrets[i].data) explicit_bzero((void *)(uintptr_t)secrets[i].data, secrets[i].size);
    plugin->credential = (struct kube_credential){0};
    plugin->has_credential = false;
    arena_reset(plugin->arena);
}
