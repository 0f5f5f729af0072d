/* SPDX-License-Identifier: Apache-2.0
 * An object is judged in two steps. First, when it comes: which rules does it fulfil? That depends on the object alone, so
 * any order of changes that ends with the same object gives the same answer. Then, whenever time passes: which of these
 * hold by now? For that nothing of the object is needed but the few findings, and they are all that is kept of it. */
#include "agent/health/cluster_rules.h"

#include <stdarg.h>
#include <stdio.h>

static const struct cluster_rule_row rows[] = {
#define UP true
#define ALONE false
#define RULE(id, kind, status, after, lasts, up, reason, reads, section)                                               \
    [RULE_##id] = {#id, HEALTH_##status, (after)*1000, (lasts)*1000, up, reason, reads, section},
#define WAITING(reason, rule)
#define NODE_CONDITION(type, status, rule)
#include "agent/health/cluster_rules.def"
#undef RULE
#undef WAITING
#undef NODE_CONDITION
#undef UP
#undef ALONE
};

static const struct {
    slice reason;
    enum cluster_rule rule;
} waiting_rows[] = {
#define RULE(id, kind, status, after, lasts, up, reason, reads, section)
#define WAITING(reason, rule) {SLICE_LIT(reason), RULE_##rule},
#define NODE_CONDITION(type, status, rule)
#include "agent/health/cluster_rules.def"
#undef RULE
#undef WAITING
#undef NODE_CONDITION
};

static const struct {
    slice type, status;
    enum cluster_rule rule;
} condition_rows[] = {
#define RULE(id, kind, status, after, lasts, up, reason, reads, section)
#define WAITING(reason, rule)
#define NODE_CONDITION(type, status, rule) {SLICE_LIT(type), SLICE_LIT(status), RULE_##rule},
#include "agent/health/cluster_rules.def"
#undef RULE
#undef WAITING
#undef NODE_CONDITION
};

static const char *const kind_names[] = {
    [CLUSTER_CLUSTER] = "cluster",
    [CLUSTER_NAMESPACE] = "namespace",
    [CLUSTER_NODE] = "node",
    [CLUSTER_DEPLOYMENT] = "deployment",
    [CLUSTER_STATEFULSET] = "statefulset",
    [CLUSTER_DAEMONSET] = "daemonset",
    [CLUSTER_CRONJOB] = "cronjob",
    [CLUSTER_JOB] = "job",
    [CLUSTER_CLAIM] = "persistentvolumeclaim",
    [CLUSTER_POD] = "pod",
    [CLUSTER_OWNER] = "owner",
};

const char *cluster_kind_name(enum cluster_kind kind) {
    return kind_names[kind];
}

const struct cluster_rule_row *cluster_rule_row(enum cluster_rule rule) {
    return &rows[rule];
}

enum cluster_rule cluster_rule_find(slice name) {
    for (size_t i = 0; i < CLUSTER_RULES_; i++)
        if (slice_equal_text(name, rows[i].name)) return (enum cluster_rule)i;
    return CLUSTER_RULES_;
}

enum cluster_rule cluster_rule_of_waiting(slice reason) {
    for (size_t i = 0; i < sizeof waiting_rows / sizeof *waiting_rows; i++)
        if (slice_equal(reason, waiting_rows[i].reason)) return waiting_rows[i].rule;
    return CLUSTER_RULES_;
}

enum cluster_rule cluster_rule_of_condition(slice type, slice status) {
    for (size_t i = 0; i < sizeof condition_rows / sizeof *condition_rows; i++)
        if (slice_equal(type, condition_rows[i].type) && slice_equal(status, condition_rows[i].status))
            return condition_rows[i].rule;
    return CLUSTER_RULES_;
}

int cluster_severity(enum health_status status) {
    switch (status) {
    case HEALTH_HEALTHY: return 0;
    case HEALTH_UNKNOWN: return 1;
    case HEALTH_DEGRADED: return 2;
    case HEALTH_UNHEALTHY: return 3;
    }
    return 1;
}

/* A rule is worse than another when its status is, or when it stands before it with the same status. */
static bool worse(enum cluster_rule a, enum cluster_rule b) {
    const int difference = cluster_severity(rows[a].status) - cluster_severity(rows[b].status);
    return difference > 0 || (difference == 0 && a < b);
}

void judgement_begin(struct judgement *judgement) {
    judgement->count = 0;
    judgement->progress = 0;
    judgement->first_ms = 0;
    judgement->detail_rule = CLUSTER_RULES_;
    judgement->detail[0] = '\0';
}

void judgement_add(struct judgement *judgement, enum cluster_rule rule, int64_t since_ms) {
    struct finding *const findings = judgement->findings;
    for (size_t i = 0; i < judgement->count; i++) {
        if (findings[i].rule != rule) continue;
        /* Several containers fulfil the same rule: the earliest says since when it holds, the latest how long it lasts. */
        const bool later = rows[rule].lasts_ms > 0;
        if (findings[i].since_ms == 0 || (since_ms && (since_ms > findings[i].since_ms) == later))
            findings[i].since_ms = since_ms;
        return;
    }
    size_t at = judgement->count;
    while (at > 0 && worse(rule, findings[at - 1].rule)) at--;
    if (at == JUDGEMENT_FINDINGS_MAX) return;
    if (judgement->count < JUDGEMENT_FINDINGS_MAX) judgement->count++;
    for (size_t i = judgement->count - 1; i > at; i--) findings[i] = findings[i - 1];
    findings[at] = (struct finding){rule, since_ms};
}

void judgement_explain(struct judgement *judgement, enum cluster_rule rule, int64_t since_ms, const char *format, ...) {
    judgement_add(judgement, rule, since_ms);
    if (judgement->detail_rule != CLUSTER_RULES_ && !worse(rule, judgement->detail_rule)) return;
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(judgement->detail, sizeof judgement->detail, format, args);
    va_end(args);
    judgement->detail_rule = rule;
    size_t end = sizeof judgement->detail - 1;
    if (size < 0 || (size_t)size <= end) return;
    while (end && ((uint8_t)judgement->detail[end - 1] & 0xc0) == 0x80) end--;
    if (end && (uint8_t)judgement->detail[end - 1] >= 0xc0) end--; /* the character that may have been cut */
    judgement->detail[end] = '\0';
}

static bool of_workload(enum cluster_rule rule) {
    return rule >= RULE_WORKLOAD_AVAILABLE && rule <= RULE_WORKLOAD_STUCK_TERMINATING;
}

enum cluster_rule cluster_verdict(const struct finding *findings, size_t count, int64_t now_ms, int64_t *ret_next_ms) {
    enum cluster_rule verdict = RULE_SEEN_NOTHING;
    bool found = false;
    *ret_next_ms = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct cluster_rule_row *const row = &rows[findings[i].rule];
        const int64_t from_ms = findings[i].since_ms + row->after_ms;
        const int64_t until_ms = row->lasts_ms ? findings[i].since_ms + row->lasts_ms : INT64_MAX;
        const int64_t next_ms = now_ms < from_ms ? from_ms : now_ms < until_ms ? until_ms : INT64_MAX;
        if (next_ms < *ret_next_ms) *ret_next_ms = next_ms;
        if (now_ms < from_ms || now_ms >= until_ms) continue;
        if (!found || worse(findings[i].rule, verdict)) verdict = findings[i].rule;
        found = true;
    }
    /* A workload's judge gives no finding for "nothing is wrong" when something is: until its time has come nothing is
     * known, and that is not health. */
    if (!found && count && of_workload(findings[0].rule)) return RULE_WORKLOAD_UNSETTLED;
    return verdict;
}
