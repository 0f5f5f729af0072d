/* SPDX-License-Identifier: Apache-2.0
 * The rows with their patterns compiled. A kind without a namespace is allowed by its name alone: `*` does not reach it,
 * because who allows all of a namespace has not thought of nodes. */
#include "agent/diagnose/diagnose_access.h"

#include "common/base/pattern.h"

#include <stdlib.h>

struct access_row {
    const struct diagnose_allow *allow;
    struct pattern **namespaces;
};

struct diagnose_access {
    size_t count;
    struct access_row rows[];
};

static fault_code compile_row(const struct diagnose_allow *allow, struct access_row *row, struct fault *reterr) {
    row->allow = allow;
    row->namespaces = calloc(allow->namespaces.count + 1, sizeof(struct pattern *));
    if (!row->namespaces) return fault_set(reterr, FAULT_LIMIT, "diagnostics.allow: out of memory");
    for (size_t i = 0; i < allow->namespaces.count; i++)
        if (pattern_compile(allow->namespaces.items[i], &row->namespaces[i], reterr))
            return fault_wrap(reterr, "diagnostics.allow");
    return FAULT_NONE;
}

fault_code diagnose_access_new(const struct diagnose_settings *settings, struct diagnose_access **ret_access,
                               struct fault *reterr) {
    const size_t count = settings->allow.count;
    struct diagnose_access *access = calloc(1, sizeof *access + count * sizeof *access->rows);
    if (!access) return fault_set(reterr, FAULT_LIMIT, "diagnostics.allow: out of memory");
    for (; access->count < count; access->count++) {
        const fault_code code =
            compile_row(&settings->allow.items[access->count], &access->rows[access->count], reterr);
        if (!code) continue;
        access->count++;
        diagnose_access_free(access);
        return code;
    }
    *ret_access = access;
    return FAULT_NONE;
}

struct diagnose_access *diagnose_access_free(struct diagnose_access *access) {
    for (size_t i = 0; access && i < access->count; i++) {
        struct access_row *const row = &access->rows[i];
        for (size_t n = 0; row->namespaces && n < row->allow->namespaces.count; n++) pattern_free(row->namespaces[n]);
        free(row->namespaces);
    }
    free(access);
    return NULL;
}

static bool row_allows(const struct access_row *row, const struct diagnose_kind *kind, enum diagnose_verb verb,
                       slice namespace) {
    bool ok = false;
    for (size_t i = 0; i < row->allow->kinds.count && !ok; i++) {
        const struct diagnose_kind *named;
        ok = slice_equal_text(row->allow->kinds.items[i], "*")
                 ? kind->resource.namespaced
                 : !diagnose_kind_find(row->allow->kinds.items[i], &named, NULL) && named == kind;
    }
    if (!ok) return false;
    ok = row->allow->verbs.count == 0;
    for (size_t i = 0; i < row->allow->verbs.count && !ok; i++)
        ok = slice_equal_text(row->allow->verbs.items[i], diagnose_verb_name(verb));
    if (!ok) return false;
    ok = !kind->resource.namespaced;
    for (size_t i = 0; i < row->allow->namespaces.count && !ok; i++) ok = pattern_match(row->namespaces[i], namespace);
    return ok;
}

fault_code diagnose_access_check(const struct diagnose_access *access, const struct diagnose_kind *kind,
                                 enum diagnose_verb verb, slice namespace, struct fault *reterr) {
    for (size_t i = 0; access && i < access->count; i++)
        if (row_allows(&access->rows[i], kind, verb, namespace)) return FAULT_NONE;
    if (!access || !access->count)
        return fault_set(reterr, FAULT_DENIED,
                         "this agent answers no questions: its settings have no row in diagnostics.allow");
    return fault_set(reterr, FAULT_DENIED,
                     "the agent's settings (diagnostics.allow) do not allow %s of kind %s%s%.*s%s",
                     diagnose_verb_name(verb), kind->name, namespace.size ? " in namespace '" : "",
                     SLICE_ARG(slice_first(namespace, 64)), namespace.size ? "'" : "");
}
