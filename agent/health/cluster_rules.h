/* SPDX-License-Identifier: Apache-2.0
 * The rules by which a cluster's objects are judged (cluster_rules.def), and what follows from several that hold at
 * once. Pure. Any thread. */
#ifndef PICKET_HEALTH_CLUSTER_RULES_H
#define PICKET_HEALTH_CLUSTER_RULES_H

#include "agent/health/health.h"

enum cluster_kind {
    CLUSTER_CLUSTER,
    CLUSTER_NAMESPACE,
    CLUSTER_NODE,
    CLUSTER_DEPLOYMENT,
    CLUSTER_STATEFULSET,
    CLUSTER_DAEMONSET,
    CLUSTER_CRONJOB,
    CLUSTER_JOB,
    CLUSTER_CLAIM,
    CLUSTER_POD,
    CLUSTER_OWNER, /* of pods, of a kind that is not watched: its name is "<kind>/<name>" */
    CLUSTER_KINDS_
};
/* "cluster", "namespace", "node", "deployment", ... "persistentvolumeclaim", "pod", "owner" */
const char *cluster_kind_name(enum cluster_kind kind);

enum cluster_rule {
#define RULE(id, kind, status, after, lasts, up, reason, reads, section) RULE_##id,
#define WAITING(reason, rule)
#define NODE_CONDITION(type, status, rule)
#include "agent/health/cluster_rules.def"
#undef RULE
#undef WAITING
#undef NODE_CONDITION
    CLUSTER_RULES_
};

struct cluster_rule_row {
    const char *name; /* "POD_READY" */
    enum health_status status;
    int64_t after_ms, lasts_ms; /* lasts_ms 0: as long as it is found */
    bool up;
    const char *reason, *reads, *section;
};
const struct cluster_rule_row *cluster_rule_row(enum cluster_rule rule);
/* By its name in a stored note; CLUSTER_RULES_ when there is none. */
enum cluster_rule cluster_rule_find(slice name);

/* CLUSTER_RULES_: the reason means nothing by itself (ContainerCreating ...). */
enum cluster_rule cluster_rule_of_waiting(slice reason);
/* CLUSTER_RULES_: the condition with this status is no fault. */
enum cluster_rule cluster_rule_of_condition(slice type, slice status);

/* Healthy 0, unknown 1, degraded 2, unhealthy 3: what counts when several hold. */
int cluster_severity(enum health_status status);

/* One rule that an object fulfils. */
struct finding {
    enum cluster_rule rule;
    int64_t since_ms; /* 0: the object does not say since when */
};

enum { JUDGEMENT_FINDINGS_MAX = 4, JUDGEMENT_DETAIL_BYTES = 240 };

/* What one object says by itself, without regard to the time now: which rules it fulfils, at most the four worst. */
struct judgement {
    struct finding findings[JUDGEMENT_FINDINGS_MAX];
    size_t count;
    /* Of findings without a time of their own: they begin anew when this changes (a rollout that makes progress). */
    uint32_t progress;
    /* Since when these hold, where nothing is known from before; 0: since it is seen. */
    int64_t first_ms;
    enum cluster_rule detail_rule; /* what the detail is about */
    char detail[JUDGEMENT_DETAIL_BYTES];
};

void judgement_begin(struct judgement *judgement);
/* Keeps the worst four. */
void judgement_add(struct judgement *judgement, enum cluster_rule rule, int64_t since_ms);
/* As judgement_add; the text becomes the detail when this is the worst finding so far. Cut on a character's border. */
void judgement_explain(struct judgement *judgement, enum cluster_rule rule, int64_t since_ms, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Of the findings that hold now the worst, and of these the one whose row stands first; count must not be 0. Where none
 * holds yet: of a workload WORKLOAD_UNSETTLED, else SEEN_NOTHING. ret_next_ms: when to ask again if nothing changes; INT64_MAX: never. */
enum cluster_rule cluster_verdict(const struct finding *findings, size_t count, int64_t now_ms, int64_t *ret_next_ms);

#endif
