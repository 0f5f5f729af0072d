/* SPDX-License-Identifier: Apache-2.0
 * Where Argo CD's server is asked. */
#ifndef PICKET_ARGOCD_URL_H
#define PICKET_ARGOCD_URL_H

#include "agent/collect/argocd/argocd_settings.h"
#include "common/base/fault.h"

/* settings.url with the path behind it; with fields also "?fields=" and the projects that are asked for. FAULT_LIMIT: it
 * does not fit into url_bytes with its NUL. Any thread. */
fault_code argocd_url_make(const struct argocd_settings *settings, const char *path, const char *fields, char *ret_url,
                           size_t url_bytes, struct fault *reterr) MUST_CHECK;

#endif
