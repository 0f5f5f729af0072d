/* SPDX-License-Identifier: Apache-2.0
 * A name that nobody has is a mistake and not a row that never applies: who writes `log` for `logs` should hear of it. */
#include "agent/diagnose/diagnose_settings.h"

#include "agent/diagnose/diagnose_kind.h"
#include "common/base/pattern.h"

static const struct setting_row allow_rows[] = {
    SETTING_TEXTS(struct diagnose_allow, "namespaces", namespaces, 256,
                  "patterns of namespaces; kinds without one (node) need none"),
    SETTING_TEXTS(struct diagnose_allow, "kinds", kinds, 64,
                  "pod, deployment, node, ... ; * for all of those in namespaces"),
    SETTING_TEXTS(struct diagnose_allow, "verbs", verbs, 16, "describe, events, logs, rollout, top; none: all of them"),
};
const struct setting_table diagnose_allow_table = SETTING_TABLE("diagnostics.allow", struct diagnose_allow, allow_rows);

static void check_patterns(struct settings *read, const void *member, const struct setting_texts *patterns) {
    for (size_t i = 0; i < patterns->count; i++) {
        struct pattern *pattern = NULL;
        struct fault fault;
        if (pattern_compile(patterns->items[i], &pattern, &fault))
            settings_mistake(read, member, "'%.*s': %s", SLICE_ARG(slice_first(patterns->items[i], 100)), fault.text);
        pattern_free(pattern);
    }
}

static void check_row(struct settings *read, const struct diagnose_allow *row) {
    struct fault fault;
    check_patterns(read, &row->namespaces, &row->namespaces);
    if (!row->kinds.count) settings_mistake(read, row, "kinds: which? Name some, or *");
    for (size_t i = 0; i < row->kinds.count; i++) {
        const struct diagnose_kind *kind;
        if (slice_equal_text(row->kinds.items[i], "*")) continue;
        if (diagnose_kind_find(row->kinds.items[i], &kind, &fault))
            settings_mistake(read, &row->kinds, "%s", fault.text);
        else if (kind->resource.namespaced && !row->namespaces.count)
            settings_mistake(read, row, "%s is in namespaces: name those (\".*\" is all)", kind->name);
    }
    for (size_t i = 0; i < row->verbs.count; i++) {
        enum diagnose_verb verb;
        if (!diagnose_verb_find(row->verbs.items[i], &verb))
            settings_mistake(read, &row->verbs, "'%.*s' is not describe, events, logs, rollout or top",
                             SLICE_ARG(slice_first(row->verbs.items[i], 64)));
    }
}

void diagnose_settings_check(struct settings *read, const struct diagnose_settings *settings) {
    check_patterns(read, &settings->mask, &settings->mask);
    for (size_t i = 0; i < settings->allow.count; i++) check_row(read, &settings->allow.items[i]);
}
