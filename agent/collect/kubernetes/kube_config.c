/* SPDX-License-Identifier: Apache-2.0
 * A kubeconfig (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/) names clusters, users and contexts; a
 * context is one of each. What the agent cannot do (auth-provider, impersonation) is refused with the line and what to do
 * instead: to go on without it would be to be somebody else. What does not matter to it (preferences, extensions,
 * namespace) is passed over. */
#include "agent/collect/kubernetes/kube_config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/base/whole_file.h"
#include "common/codec/json.h"
#include "common/settings/yaml_reader.h"

enum { ARGUMENTS_MAX = 64, ENVIRONMENT_MAX = 256 };

struct reading {
    const char *path;
    struct arena *arena;
    int line; /* of the last thing that was looked at */
    struct fault *reterr;
    struct fault mistake; /* the first of the YAML itself */
};

static fault_code refuse(const struct reading *r, fault_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static fault_code refuse(const struct reading *r, fault_code code, const char *format, ...) {
    char words[360];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return fault_set(r->reterr, code, "kubeconfig '%.100s', line %d: %s", r->path, r->line, words);
}

fault_code kube_config_read(const char *path, slice context, struct arena *arena, struct kube_config *ret_config,
                            struct fault *reterr) {
    uint8_t *bytes = malloc(KUBE_CONFIG_BYTES_MAX);
    size_t size = 0;
    fault_code code = bytes ? whole_file_read("kubeconfig", path, bytes, KUBE_CONFIG_BYTES_MAX, &size, reterr)
                            : fault_set(reterr, FAULT_SYSTEM, "kubeconfig '%s': out of memory", path);
    if (!code) code = kube_config_read_text(path, slice_of(bytes, size), context, arena, ret_config, reterr);
    if (bytes) explicit_bzero(bytes, KUBE_CONFIG_BYTES_MAX);
    free(bytes);
    return code;
}

static void yaml_mistake(void *context, int line, const char *message) {
    struct reading *r = context;
    if (r->mistake.code) return;
    fault_set(&r->mistake, FAULT_INPUT, "kubeconfig '%.100s', line %d: %s", r->path, line, message);
}

static fault_code context_find(struct reading *r, const struct yaml_node *root, slice context,
                               const struct yaml_node **ret_cluster, const struct yaml_node **ret_user);
static fault_code cluster_read(struct reading *r, const struct yaml_node *cluster, struct kube_config *config);
static fault_code user_read(struct reading *r, const struct yaml_node *user, const struct yaml_node *cluster,
                            struct kube_config *config);

fault_code kube_config_read_text(const char *path, slice yaml, slice context, struct arena *arena,
                                 struct kube_config *ret_config, struct fault *reterr) {
    struct reading r = {.path = path, .arena = arena, .reterr = reterr};
    const struct yaml_limits limits = {.depth_max = 16, .nodes_max = 20000, .documents_max = 1};
    struct arena *tree = arena_new(16 * 1024, 8 * (size_t)KUBE_CONFIG_BYTES_MAX);
    if (!tree) return fault_set(reterr, FAULT_SYSTEM, "kubeconfig '%s': out of memory", path);
    struct yaml_node *root = NULL;
    const struct yaml_node *cluster, *user;
    struct kube_config config = {0};
    fault_code code = yaml_read(yaml, &limits, tree, yaml_mistake, &r, &root, reterr);
    if (code && r.mistake.code && reterr) *reterr = r.mistake;
    if (!code) code = context_find(&r, root, context, &cluster, &user);
    if (!code) code = cluster_read(&r, cluster, &config);
    if (!code) code = user_read(&r, user, cluster, &config);
    if (!code && arena_refused(arena)) code = fault_set(reterr, FAULT_LIMIT, "kubeconfig '%s': no room for it", path);
    if (!code) *ret_config = config;
    (void)arena_free(tree);
    return code;
}

/* ---- values ---- */

/* Text of a member; empty when it is not there or null. Copied, with a NUL behind. */
static fault_code text_take(struct reading *r, const struct yaml_node *owner, const char *key, slice *ret_text) {
    const struct yaml_node *node = yaml_find(owner, key);
    *ret_text = (slice){0};
    if (!node) return FAULT_NONE;
    r->line = node->line;
    if (node->kind != YAML_KIND_SCALAR) return refuse(r, FAULT_INPUT, "%s must be text", key);
    const bool null = !node->quoted && (slice_equal_text(node->text, "null") || slice_equal_text(node->text, "~"));
    if (null || node->text.size == 0) return FAULT_NONE;
    *ret_text = arena_copy(r->arena, node->text);
    return ret_text->data ? FAULT_NONE : refuse(r, FAULT_LIMIT, "no room for %s", key);
}

static fault_code string_take(struct reading *r, const struct yaml_node *owner, const char *key,
                              const char **ret_text) {
    slice text;
    const fault_code code = text_take(r, owner, key, &text);
    if (!code) *ret_text = text.size ? (const char *)text.data : NULL;
    return code;
}

static fault_code flag_take(struct reading *r, const struct yaml_node *owner, const char *key, bool *ret_flag) {
    slice text;
    const fault_code code = text_take(r, owner, key, &text);
    if (code) return code;
    if (text.size && !slice_equal_text(text, "true") && !slice_equal_text(text, "false"))
        return refuse(r, FAULT_INPUT, "%s must be true or false", key);
    *ret_flag = slice_equal_text(text, "true");
    return FAULT_NONE;
}

/* A path from the kubeconfig's folder on. */
static slice path_from_here(struct reading *r, slice path) {
    const char *slash = strrchr(r->path, '/');
    if (path.data[0] == '/' || !slash) return path;
    return arena_format(r->arena, "%.*s/%.*s", (int)(slash - r->path), r->path, SLICE_ARG(path));
}

static fault_code path_take(struct reading *r, const struct yaml_node *owner, const char *key, const char **ret_path) {
    slice path;
    const fault_code code = text_take(r, owner, key, &path);
    if (code || path.size == 0) return code;
    *ret_path = (const char *)path_from_here(r, path).data;
    return *ret_path ? FAULT_NONE : refuse(r, FAULT_LIMIT, "no room for %s", key);
}

/* "<key>-data" as PEM, or else the path at <key>. */
static fault_code pem_take(struct reading *r, const struct yaml_node *owner, const char *key, slice *ret_pem,
                           const char **ret_path) {
    char data_key[64];
    slice text;
    snprintf(data_key, sizeof data_key, "%s-data", key);
    fault_code code = text_take(r, owner, data_key, &text);
    if (code) return code;
    if (text.size == 0) return path_take(r, owner, key, ret_path);
    uint8_t *bytes = arena_alloc(r->arena, text.size / 4 * 3 + 4);
    size_t size = 0;
    if (!bytes) return refuse(r, FAULT_LIMIT, "no room for %s", data_key);
    if (!json_base64_parse(text, bytes, &size) || size == 0)
        return refuse(r, FAULT_INPUT, "%s is not base64", data_key);
    bytes[size] = 0;
    *ret_pem = slice_of(bytes, size);
    return FAULT_NONE;
}

/* ---- the context ---- */

/* Of a list of {name: ..., <what>: {...}}. */
static const struct yaml_node *named_find(const struct yaml_node *root, const char *list, slice name,
                                          const char *what) {
    const struct yaml_node *items = yaml_find(root, list);
    for (const struct yaml_node *item = items && items->kind == YAML_KIND_LIST ? items->first : NULL; item;
         item = item->next) {
        const struct yaml_node *item_name = yaml_find(item, "name");
        if (item_name && item_name->kind == YAML_KIND_SCALAR && slice_equal(item_name->text, name))
            return yaml_find(item, what);
    }
    return NULL;
}

static fault_code context_find(struct reading *r, const struct yaml_node *root, slice context,
                               const struct yaml_node **ret_cluster, const struct yaml_node **ret_user) {
    slice name = context, cluster, user;
    r->line = 1;
    if (!root || root->kind != YAML_KIND_MAPPING) return refuse(r, FAULT_INPUT, "it is no kubeconfig");
    fault_code code = name.size ? FAULT_NONE : text_take(r, root, "current-context", &name);
    if (code) return code;
    if (name.size == 0)
        return refuse(r, FAULT_ABSENT, "it has no current-context: name one of its contexts in the setting `context`");
    const struct yaml_node *found = named_find(root, "contexts", name, "context");
    if (!found) return refuse(r, FAULT_ABSENT, "there is no context '%.*s'", SLICE_ARG(slice_first(name, 100)));
    r->line = found->line;
    if ((code = text_take(r, found, "cluster", &cluster)) || (code = text_take(r, found, "user", &user))) return code;
    *ret_cluster = named_find(root, "clusters", cluster, "cluster");
    if (!*ret_cluster)
        return refuse(r, FAULT_ABSENT, "there is no cluster '%.*s'", SLICE_ARG(slice_first(cluster, 100)));
    *ret_user = named_find(root, "users", user, "user");
    if (!*ret_user && user.size)
        return refuse(r, FAULT_ABSENT, "there is no user '%.*s'", SLICE_ARG(slice_first(user, 100)));
    return FAULT_NONE;
}

/* ---- the cluster ---- */

static fault_code server_name_use(struct reading *r, slice server, slice name, struct kube_config *config);

static fault_code cluster_read(struct reading *r, const struct yaml_node *cluster, struct kube_config *config) {
    slice server, server_name, proxy;
    fault_code code = text_take(r, cluster, "server", &server);
    if (code) return code;
    r->line = cluster->line;
    while (server.size && server.data[server.size - 1] == '/') server.size--;
    if (!text_is_http_url(server) || memchr(server.data, '@', server.size) || memchr(server.data, '?', server.size))
        return refuse(r, FAULT_INPUT,
                      "the cluster's server must be a URL, http:// or https://, without user and query");
    server = arena_copy(r->arena, server);
    if (!server.data) return refuse(r, FAULT_LIMIT, "no room for server");
    config->server = config->base_url = (const char *)server.data;
    if ((code = pem_take(r, cluster, "certificate-authority", &config->ca, &config->ca_path)) ||
        (code = flag_take(r, cluster, "insecure-skip-tls-verify", &config->insecure)) ||
        (code = text_take(r, cluster, "proxy-url", &proxy)) ||
        (code = text_take(r, cluster, "tls-server-name", &server_name)))
        return code;
    if (proxy.size && !text_is_http_url(proxy))
        return refuse(r, FAULT_INPUT, "proxy-url must be http:// or https://; other proxies are not supported");
    config->proxy_url = proxy.size ? (const char *)proxy.data : NULL;
    return server_name.size ? server_name_use(r, server, server_name, config) : FAULT_NONE;
}

/* The URL then names who the server must prove to be, and curl is told where that is. */
static fault_code server_name_use(struct reading *r, slice server, slice name, struct kube_config *config) {
    const slice host = text_http_url_host(server);
    const size_t start = (size_t)(host.data - server.data), end = start + host.size;
    const bool six = memchr(host.data, ':', host.size) != NULL, bracket = end < server.size && server.data[end] == ']';
    const slice rest = slice_from(server, end + bracket);
    const size_t path = rest.size ? strcspn((const char *)rest.data, "/") : 0;
    const bool has_port = path > 1, tls = slice_starts_with(server, SLICE_LIT("https:"));
    const slice port = has_port ? slice_of(rest.data + 1, path - 1) : tls ? SLICE_LIT("443") : SLICE_LIT("80");
    const slice base = arena_format(r->arena, "%s://%.*s:%.*s%.*s", tls ? "https" : "http", SLICE_ARG(name),
                                    SLICE_ARG(port), SLICE_ARG(slice_from(rest, path)));
    const slice to =
        arena_format(r->arena, "::%s%.*s%s:%.*s", six ? "[" : "", SLICE_ARG(host), six ? "]" : "", SLICE_ARG(port));
    if (!base.data || !to.data) return refuse(r, FAULT_LIMIT, "no room for tls-server-name");
    if (!text_is_http_url(base)) return refuse(r, FAULT_INPUT, "tls-server-name is no name");
    config->base_url = (const char *)base.data;
    config->connect_to = (const char *)to.data;
    return FAULT_NONE;
}

/* ---- the user ---- */

static fault_code plugin_read(struct reading *r, const struct yaml_node *exec, const struct yaml_node *cluster,
                              struct kube_config *config);

static fault_code user_read(struct reading *r, const struct yaml_node *user, const struct yaml_node *cluster,
                            struct kube_config *config) {
    static const struct {
        const char *key, *words;
    } refused[] = {
        {"auth-provider", "auth-provider is not supported (Kubernetes took it out in 1.26): use exec, or a token file"},
        {"as", "impersonation (as) is not supported: use a service account with the rights that are needed"},
        {"as-uid", "impersonation (as-uid) is not supported"},
        {"as-groups", "impersonation (as-groups) is not supported"},
        {"as-user-extra", "impersonation (as-user-extra) is not supported"},
    };
    if (!user) return FAULT_NONE;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const struct yaml_node *node = yaml_find(user, refused[i].key);
        if (!node) continue;
        r->line = node->line;
        return refuse(r, FAULT_INPUT, "%s", refused[i].words);
    }
    fault_code code;
    if ((code = string_take(r, user, "token", &config->token)) ||
        (code = path_take(r, user, "tokenFile", &config->token_path)) ||
        (code = string_take(r, user, "username", &config->username)) ||
        (code = string_take(r, user, "password", &config->password)) ||
        (code = pem_take(r, user, "client-certificate", &config->certificate, &config->certificate_path)) ||
        (code = pem_take(r, user, "client-key", &config->key, &config->key_path)))
        return code;
    r->line = user->line;
    if ((config->certificate.size || config->certificate_path) != (config->key.size || config->key_path))
        return refuse(r, FAULT_INPUT, "the user's client-certificate and client-key belong together");
    const struct yaml_node *exec = yaml_find(user, "exec");
    if (!exec) return FAULT_NONE;
    r->line = exec->line;
    if (exec->kind != YAML_KIND_MAPPING) return refuse(r, FAULT_INPUT, "exec must be a mapping");
    if (config->token || config->token_path || config->username)
        return refuse(r, FAULT_INPUT, "the user has a token or a password and a plugin (exec): leave one of them");
    return plugin_read(r, exec, cluster, config);
}

static fault_code plugin_environment(struct reading *r, const struct yaml_node *exec, const struct yaml_node *cluster,
                                     const char *api_version, struct kube_config *config);

static fault_code plugin_read(struct reading *r, const struct yaml_node *exec, const struct yaml_node *cluster,
                              struct kube_config *config) {
    slice command, version, mode;
    fault_code code;
    if ((code = text_take(r, exec, "apiVersion", &version))) return code;
    if (!slice_equal_text(version, "client.authentication.k8s.io/v1") &&
        !slice_equal_text(version, "client.authentication.k8s.io/v1beta1"))
        return refuse(r, FAULT_INPUT, "exec.apiVersion must be client.authentication.k8s.io/v1 or v1beta1");
    if ((code = text_take(r, exec, "interactiveMode", &mode))) return code;
    if (slice_equal_text(mode, "Always"))
        return refuse(r, FAULT_INPUT, "exec.interactiveMode Always needs a person at a terminal: there is none here");
    if ((code = text_take(r, exec, "command", &command))) return code;
    if (command.size == 0) return refuse(r, FAULT_INPUT, "exec.command is missing");
    if (memchr(command.data, '/', command.size)) command = path_from_here(r, command);
    const struct yaml_node *args = yaml_find(exec, "args");
    const bool listed = args && args->kind == YAML_KIND_LIST;
    if (listed && args->count > ARGUMENTS_MAX)
        return refuse(r, FAULT_LIMIT, "exec.args has over %d items", ARGUMENTS_MAX);
    char **arguments = arena_alloc_array(r->arena, 2 + (listed ? args->count : 0), sizeof *arguments);
    if (!arguments || !command.data) return refuse(r, FAULT_LIMIT, "no room for exec");
    size_t count = 0;
    arguments[count++] = (char *)(uintptr_t)command.data;
    for (const struct yaml_node *item = listed ? args->first : NULL; item; item = item->next) {
        r->line = item->line;
        if (item->kind != YAML_KIND_SCALAR) return refuse(r, FAULT_INPUT, "exec.args must be texts");
        arguments[count] = (char *)(uintptr_t)arena_copy(r->arena, item->text).data;
        if (!arguments[count++]) return refuse(r, FAULT_LIMIT, "no room for exec.args");
    }
    config->plugin_arguments = arguments;
    config->plugin_api_version = (const char *)version.data;
    return plugin_environment(r, exec, cluster, config->plugin_api_version, config);
}

/* KUBERNETES_EXEC_INFO: an ExecCredential whose spec says that nobody is there to be asked, and where the cluster is. */
static slice exec_info(struct reading *r, const struct yaml_node *exec, const struct yaml_node *cluster,
                       const char *api_version, const struct kube_config *config) {
    struct text text = text_begin(r->arena);
    text_format(
        &text,
        "KUBERNETES_EXEC_INFO={\"kind\":\"ExecCredential\",\"apiVersion\":\"%s\",\"spec\":{\"interactive\":false",
        api_version);
    const struct yaml_node *wanted = yaml_find(exec, "provideClusterInfo");
    if (wanted && wanted->kind == YAML_KIND_SCALAR && slice_equal_text(wanted->text, "true")) {
        text_add_text(&text, ",\"cluster\":{\"server\":");
        text_add_json_string(&text, slice_from_text(config->server));
        const struct yaml_node *ca = yaml_find(cluster, "certificate-authority-data");
        if (ca && ca->kind == YAML_KIND_SCALAR) {
            text_add_text(&text, ",\"certificate-authority-data\":");
            text_add_json_string(&text, ca->text);
        }
        if (config->insecure) text_add_text(&text, ",\"insecure-skip-tls-verify\":true");
        text_add_text(&text, "}");
    }
    text_add_text(&text, "}}");
    slice info = {0};
    if (text_end(&text, "KUBERNETES_EXEC_INFO", &info, NULL)) return (slice){0};
    return info;
}

static fault_code plugin_environment(struct reading *r, const struct yaml_node *exec, const struct yaml_node *cluster,
                                     const char *api_version, struct kube_config *config) {
    extern char **environ;
    const struct yaml_node *env = yaml_find(exec, "env");
    const bool listed = env && env->kind == YAML_KIND_LIST;
    size_t ours = 0;
    while (environ[ours]) ours++;
    if ((listed ? env->count : 0) > ENVIRONMENT_MAX)
        return refuse(r, FAULT_LIMIT, "exec.env has over %d items", ENVIRONMENT_MAX);
    char **all = arena_alloc_array(r->arena, ours + (listed ? env->count : 0) + 2, sizeof *all);
    if (!all) return refuse(r, FAULT_LIMIT, "no room for exec.env");
    size_t count = 0;
    /* The given ones first: of two with one name, getenv takes the first. */
    for (const struct yaml_node *item = listed ? env->first : NULL; item; item = item->next) {
        slice name, value;
        fault_code code;
        if ((code = text_take(r, item, "name", &name)) || (code = text_take(r, item, "value", &value))) return code;
        r->line = item->line;
        if (name.size == 0) return refuse(r, FAULT_INPUT, "an item of exec.env has no name");
        all[count++] = (char *)(uintptr_t)arena_format(r->arena, "%.*s=%.*s", SLICE_ARG(name), SLICE_ARG(value)).data;
    }
    all[count++] = (char *)(uintptr_t)exec_info(r, exec, cluster, api_version, config).data;
    for (size_t i = 0; i < ours; i++)
        all[count++] = (char *)(uintptr_t)arena_copy(r->arena, slice_from_text(environ[i])).data;
    for (size_t i = 0; i < count; i++)
        if (!all[i]) return refuse(r, FAULT_LIMIT, "no room for exec.env");
    config->plugin_environment = all;
    return FAULT_NONE;
}
