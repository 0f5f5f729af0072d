/* SPDX-License-Identifier: Apache-2.0
 * Reads one context of a kubeconfig. Any thread; everything read lives in the arena. */
#ifndef PICKET_COLLECT_KUBE_CONFIG_H
#define PICKET_COLLECT_KUBE_CONFIG_H

#include "common/base/arena.h"
#include "common/base/fault.h"

enum { KUBE_CONFIG_BYTES_MAX = 1024 * 1024 };

/* Paths are absolute or relative to the kubeconfig's folder; NULL or empty: not given. PEM has a NUL behind. */
struct kube_config {
    const char *server;   /* as it is reached, without a slash at its end: for messages */
    const char *base_url; /* before each request's path; another host than server's where tls-server-name is given */
    const char *connect_to, *proxy_url;
    bool insecure;
    const char *ca_path, *certificate_path, *key_path;
    slice ca, certificate, key;
    const char *token, *token_path, *username, *password;
    char *const *plugin_arguments, *const *plugin_environment; /* NULL: no plugin; NULL at the end */
    const char *plugin_api_version;
};

/* context empty: current-context. FAULT_SYSTEM: the file cannot be read; FAULT_ABSENT: no such context, cluster or user;
 * FAULT_INPUT: it cannot be used as it is (file, line, why); FAULT_LIMIT: over KUBE_CONFIG_BYTES_MAX. */
fault_code kube_config_read(const char *path, slice context, struct arena *arena, struct kube_config *ret_config,
                            struct fault *reterr) MUST_CHECK;
/* As above, from memory; path is for messages and for what is relative to it. */
fault_code kube_config_read_text(const char *path, slice yaml, slice context, struct arena *arena,
                                 struct kube_config *ret_config, struct fault *reterr) MUST_CHECK;

#endif
