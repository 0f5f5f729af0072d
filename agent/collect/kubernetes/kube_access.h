/* SPDX-License-Identifier: Apache-2.0
 * Where an API server is and how we prove who we are: a pod's service account, or a kubeconfig with its contexts, client
 * certificates, tokens, token files and exec plugins. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_KUBE_ACCESS_H
#define PICKET_COLLECT_KUBE_ACCESS_H

#include "agent/collect/kubernetes/kube_settings.h"
#include "common/net/http_client.h"

struct kube_access;

/* FAULT_ABSENT: not in a pod and no kubeconfig, or no such context; FAULT_INPUT: a kubeconfig that cannot be used, with
 * file, line and reason, or a client-key that is not of its client-certificate; FAULT_SYSTEM: a file cannot be read.
 * Nothing is asked of the network, and no plugin is run. */
fault_code kube_access_open(struct loop *loop, const struct kube_cluster_settings *settings,
                            struct kube_access **ret_access, struct fault *reterr) MUST_CHECK;
/* Whether the above would work, for --check-config: reads the same files, keeps nothing. FAULT_SYSTEM and FAULT_ABSENT of
 * files: they may be there where the agent will run. Any thread. */
fault_code kube_access_check(const struct kube_cluster_settings *settings, struct fault *reterr) MUST_CHECK;
struct kube_access *kube_access_close(struct kube_access *access); /* ends a plugin that runs; NULL is fine */

/* "https://10.96.0.1:443", without a slash at its end. All of these: valid as long as the access. */
const char *kube_access_server(const struct kube_access *access);
const char *kube_access_base_url(const struct kube_access *access); /* a request's path goes behind it */
/* What an operator should know and nothing refuses; empty: nothing. */
const char *kube_access_warning(const struct kube_access *access);

/* Fills in what a request to the server needs, but not its path: tls, auth, connect_to, proxy_url; ret_auth is what auth
 * will point to. They are valid until the next call here. FAULT_AGAIN: a plugin has to be run first and is running, or failed
 * a moment ago: ask again in some 200 ms; the text says which. FAULT_INPUT and others: it cannot be, and why. */
fault_code kube_access_use(struct kube_access *access, struct http_request *request, struct http_auth *ret_auth,
                           struct fault *reterr) MUST_CHECK;
/* The server said 401: what a plugin gave is thrown away, and the plugin is run again when asked next (not more often than
 * every 30 s). A token file is read again at each request anyway. */
void kube_access_refused(struct kube_access *access);

#endif
