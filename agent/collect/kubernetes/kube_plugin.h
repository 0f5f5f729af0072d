/* SPDX-License-Identifier: Apache-2.0
 * An exec plugin of a kubeconfig: a program that prints an ExecCredential (client.authentication.k8s.io/v1 or v1beta1) on its
 * standard output. It is started without a shell, has no input, a deadline and a bound on what it prints; the loop goes on
 * meanwhile. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_KUBE_PLUGIN_H
#define PICKET_COLLECT_KUBE_PLUGIN_H

#include "common/base/arena.h"
#include "common/loop/loop.h"

struct kube_plugin;

enum { KUBE_PLUGIN_DEADLINE_MS = 30 * 1000, KUBE_PLUGIN_OUTPUT_BYTES = 64 * 1024, KUBE_PLUGIN_AGAIN_MS = 30 * 1000 };

struct kube_plugin_settings {
    char *const *arguments;   /* [0]: the program, a path or to be found in PATH; NULL at the end */
    char *const *environment; /* all of it, "NAME=value"; NULL at the end */
    const char *api_version;  /* what it must print */
};

/* Settings must outlive the plugin. Starts nothing. */
fault_code kube_plugin_new(struct loop *loop, const struct kube_plugin_settings *settings,
                           struct kube_plugin **ret_plugin, struct fault *reterr) MUST_CHECK;
struct kube_plugin *kube_plugin_free(struct kube_plugin *plugin); /* kills what runs; NULL is fine */

/* PEM with a NUL behind; each may be empty. Valid until the next call. */
struct kube_credential {
    slice token, certificate, key;
};
/* What it printed last, unless that has expired (30 s before that it is run again). Else FAULT_AGAIN: it is started, or
 * runs, or failed less than KUBE_PLUGIN_AGAIN_MS ago (then the text is why). */
fault_code kube_plugin_credential(struct kube_plugin *plugin, struct kube_credential *ret_credential,
                                  struct fault *reterr) MUST_CHECK;
/* What it printed is of no use: run it again when asked next, unless it was run less than KUBE_PLUGIN_AGAIN_MS ago. */
void kube_plugin_forget(struct kube_plugin *plugin);

#endif
