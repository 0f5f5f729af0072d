/* SPDX-License-Identifier: Apache-2.0
 * Everything that a kubeconfig says (kube_config.c reads it) or a pod's service account gives ends in one struct, and a
 * request takes from there what it needs. A token file is named and not read here: the HTTP client reads it at each
 * request, and no request lasts longer than five minutes, so a token that was rotated is used in time.
 * https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/ */
#include "agent/collect/kubernetes/kube_access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/collect/kubernetes/kube_config.h"
#include "agent/collect/kubernetes/kube_plugin.h"
#include "common/base/text.h"
#include "common/base/whole_file.h"
#include "common/net/certificate.h"

enum { PEM_BYTES_MAX = 32 * 1024 };

struct kube_access {
    struct arena *arena; /* of `config` */
    struct kube_config config;
    struct kube_plugin_settings plugin_settings;
    struct kube_plugin *plugin; /* NULL: none */
    struct http_tls tls;
    char warning[480];
};

static fault_code settings_read(const struct kube_cluster_settings *settings, struct arena *arena,
                                struct kube_config *ret_config, struct fault *reterr);
static void warn(struct kube_access *access);

fault_code kube_access_open(struct loop *loop, const struct kube_cluster_settings *settings,
                            struct kube_access **ret_access, struct fault *reterr) {
    struct kube_access *access = calloc(1, sizeof *access);
    if (access) access->arena = arena_new(8 * 1024, KUBE_CONFIG_BYTES_MAX);
    if (!access || !access->arena) {
        free(access);
        return fault_set(reterr, FAULT_SYSTEM, "access to a cluster: out of memory");
    }
    struct kube_config *config = &access->config;
    fault_code code = settings_read(settings, access->arena, config, reterr);
    if (code == FAULT_NONE && config->plugin_arguments) {
        access->plugin_settings = (struct kube_plugin_settings){config->plugin_arguments, config->plugin_environment,
                                                                config->plugin_api_version};
        code = kube_plugin_new(loop, &access->plugin_settings, &access->plugin, reterr);
    }
    if (code) {
        (void)kube_access_close(access);
        return code;
    }
    access->tls = (struct http_tls){.ca_path = config->ca_path,
                                    .certificate_path = config->certificate_path,
                                    .key_path = config->key_path,
                                    .ca = config->ca,
                                    .certificate = config->certificate,
                                    .key = config->key,
                                    .insecure = config->insecure};
    warn(access);
    *ret_access = access;
    return FAULT_NONE;
}

fault_code kube_access_check(const struct kube_cluster_settings *settings, struct fault *reterr) {
    struct kube_config config;
    struct arena *arena = arena_new(8 * 1024, KUBE_CONFIG_BYTES_MAX);
    const fault_code code = arena ? settings_read(settings, arena, &config, reterr)
                                  : fault_set(reterr, FAULT_SYSTEM, "access to a cluster: out of memory");
    (void)arena_free(arena);
    return code;
}

struct kube_access *kube_access_close(struct kube_access *access) {
    if (!access) return NULL;
    (void)kube_plugin_free(access->plugin);
    (void)arena_free(access->arena);
    free(access);
    return NULL;
}

/* As far as it was given as text; else from its file. */
static fault_code pem_read(const char *what, slice given, const char *path, uint8_t *buffer, slice *ret_pem,
                           struct fault *reterr) {
    size_t size = 0;
    *ret_pem = given;
    if (given.size) return FAULT_NONE;
    const fault_code code = whole_file_read(what, path, buffer, PEM_BYTES_MAX, &size, reterr);
    *ret_pem = slice_of(buffer, size);
    return code;
}

/* A server that is shown a certificate with another one's key ends the connection without a word. */
static fault_code pair_check(const struct kube_config *config, const char *path, struct fault *reterr) {
    if (!config->certificate.size && !config->certificate_path) return FAULT_NONE;
    uint8_t *bytes = malloc(2 * (size_t)PEM_BYTES_MAX);
    if (!bytes) return fault_set(reterr, FAULT_SYSTEM, "access to a cluster: out of memory");
    slice certificate, key;
    fault_code code =
        pem_read("client-certificate", config->certificate, config->certificate_path, bytes, &certificate, reterr);
    if (!code) code = pem_read("client-key", config->key, config->key_path, bytes + PEM_BYTES_MAX, &key, reterr);
    const bool large = code == FAULT_LIMIT || (!code && (certificate.size > PEM_BYTES_MAX || key.size > PEM_BYTES_MAX));
    if (!code && !large) code = certificate_match(certificate, key, reterr);
    explicit_bzero(bytes, 2 * (size_t)PEM_BYTES_MAX);
    free(bytes);
    if (large) return FAULT_NONE; /* it is not looked at here */
    return code ? fault_wrap(reterr, "kubeconfig '%.100s', client-certificate and client-key", path) : FAULT_NONE;
}

static fault_code service_account_read(const struct kube_cluster_settings *settings, struct arena *arena,
                                       struct kube_config *ret_config, struct fault *reterr);

static fault_code settings_read(const struct kube_cluster_settings *settings, struct arena *arena,
                                struct kube_config *ret_config, struct fault *reterr) {
    if (!settings->kubeconfig.size) return service_account_read(settings, arena, ret_config, reterr);
    const char *path = setting_text(settings->kubeconfig);
    const fault_code code = kube_config_read(path, settings->context, arena, ret_config, reterr);
    return code ? code : pair_check(ret_config, path, reterr);
}

/* Kubernetes gives every pod the server's address in its environment, and mounts the rest. */
static fault_code service_account_read(const struct kube_cluster_settings *settings, struct arena *arena,
                                       struct kube_config *ret_config, struct fault *reterr) {
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    if (!host || !*host || !port || !*port)
        return fault_set(reterr, FAULT_ABSENT,
                         "no kubeconfig is given, and this is no pod: KUBERNETES_SERVICE_HOST and "
                         "KUBERNETES_SERVICE_PORT are not set");
    const bool six = strchr(host, ':') != NULL;
    const slice server = arena_format(arena, "https://%s%s%s:%s", six ? "[" : "", host, six ? "]" : "", port);
    const slice token = arena_format(arena, "%.*s/token", SLICE_ARG(settings->service_account));
    const slice ca = arena_format(arena, "%.*s/ca.crt", SLICE_ARG(settings->service_account));
    if (!server.data || !token.data || !ca.data) return fault_set(reterr, FAULT_LIMIT, "service account: no room");
    if (!text_is_http_url(server))
        return fault_set(reterr, FAULT_INPUT, "KUBERNETES_SERVICE_HOST and _PORT make no address: '%.*s'",
                         SLICE_ARG(slice_first(server, 200)));
    *ret_config = (struct kube_config){.server = (const char *)server.data,
                                       .base_url = (const char *)server.data,
                                       .ca_path = (const char *)ca.data,
                                       .token_path = (const char *)token.data};
    const char *const files[] = {ret_config->token_path, ret_config->ca_path};
    for (size_t i = 0; i < 2; i++)
        if (access(files[i], R_OK) != 0)
            return fault_set_errno(reterr, FAULT_ABSENT, errno,
                                   "the pod's service account: '%s' (is automountServiceAccountToken false?)",
                                   files[i]);
    return FAULT_NONE;
}

static void warn(struct kube_access *access) {
    const struct kube_config *config = &access->config;
    snprintf(access->warning, sizeof access->warning, "%s%s%s%s",
             config->insecure ? "the server's certificate is not checked (insecure-skip-tls-verify); " : "",
             strncmp(config->server, "https:", 6) == 0 ? "" : "the server is spoken to without TLS; ",
             config->proxy_url ? "requests go through the proxy that the kubeconfig names; " : "",
             config->username ? "basic authentication, which API servers since 1.19 refuse; " : "");
    const size_t size = strlen(access->warning);
    if (size) access->warning[size - 2] = '\0';
}

const char *kube_access_server(const struct kube_access *access) {
    return access->config.server;
}

const char *kube_access_base_url(const struct kube_access *access) {
    return access->config.base_url;
}

const char *kube_access_warning(const struct kube_access *access) {
    return access->warning;
}

fault_code kube_access_use(struct kube_access *access, struct http_request *request, struct http_auth *ret_auth,
                           struct fault *reterr) {
    const struct kube_config *config = &access->config;
    struct http_auth auth = {.bearer_token = config->token,
                             .bearer_token_path = config->token_path,
                             .username = config->username,
                             .password = config->password};
    if (access->plugin) {
        struct kube_credential credential;
        const fault_code code = kube_plugin_credential(access->plugin, &credential, reterr);
        if (code) return code;
        auth.bearer_token = setting_text(credential.token);
        const bool given = credential.certificate.size > 0; /* else nothing of an earlier one, which is gone */
        access->tls.certificate = given ? credential.certificate : config->certificate;
        access->tls.key = given ? credential.key : config->key;
    }
    *ret_auth = auth;
    request->auth = ret_auth;
    request->tls = &access->tls;
    request->connect_to = config->connect_to;
    request->proxy_url = config->proxy_url;
    return FAULT_NONE;
}

void kube_access_refused(struct kube_access *access) {
    if (access->plugin) kube_plugin_forget(access->plugin);
}
