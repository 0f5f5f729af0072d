/* SPDX-License-Identifier: Apache-2.0
 * Jobs by their terminal conditions. CronJobs by the next time of their schedule after the last run: while that is to come,
 * or has only just come, all is well; the verdict needs no other clock than that. */
#include "agent/health/cluster_judge.h"
#include "agent/health/cron.h"

static enum cluster_rule rule_of_failure(slice reason) {
    if (slice_equal_text(reason, "BackoffLimitExceeded")) return RULE_JOB_BACKOFF;
    if (slice_equal_text(reason, "DeadlineExceeded")) return RULE_JOB_DEADLINE;
    return RULE_JOB_FAILED;
}

void judge_job(const KubeJob *job, struct judgement *ret_judgement) {
    judgement_begin(ret_judgement);
    if (job->metadata.has_deletion_timestamp) {
        judgement_add(ret_judgement, RULE_JOB_TERMINATING, 0);
        judgement_explain(ret_judgement, RULE_JOB_STUCK_TERMINATING, judge_ms(true, job->metadata.deletion_timestamp),
                          "finalizers: %zu", job->metadata.finalizers.count);
        return;
    }
    for (size_t i = 0; i < job->status.conditions.count; i++) {
        const KubeCondition *const condition = &job->status.conditions.items[i];
        if (!slice_equal_text(condition->status, "True")) continue;
        if (slice_equal_text(condition->type, "Complete") || slice_equal_text(condition->type, "SuccessCriteriaMet"))
            judgement_add(ret_judgement, RULE_JOB_COMPLETE, 0);
        if (slice_equal_text(condition->type, "Failed") || slice_equal_text(condition->type, "FailureTarget"))
            judgement_explain(ret_judgement, rule_of_failure(condition->reason),
                              judge_ms(condition->has_last_transition_time, condition->last_transition_time),
                              "%.*s%s%.*s", SLICE_ARG(slice_first(condition->reason, 60)),
                              condition->message.size ? ": " : "", SLICE_ARG(slice_first(condition->message, 160)));
    }
    if (ret_judgement->count == 0)
        judgement_add(ret_judgement, job->spec.suspend ? RULE_JOB_SUSPENDED : RULE_JOB_RUNNING, 0);
}

/* In which zone the schedule is: the field, or (out of fashion) "TZ=..." before the schedule. */
static void judge_schedule(const KubeCronJob *job, const struct zone *zone, struct judgement *judgement) {
    struct cron cron;
    struct fault fault;
    const slice text = cron_schedule(job->spec.schedule, NULL);
    const slice zoned = cron_zone(job->spec.schedule, job->spec.time_zone), named = job->spec.time_zone;
    if (cron_parse(text, &cron, &fault)) {
        judgement_explain(judgement, RULE_CRON_UNREADABLE, 0, "%s", fault.text);
        return;
    }
    if (zoned.size && !zone) {
        judgement_explain(judgement, RULE_CRON_UNREADABLE, 0,
                          "there is no data about the time zone '%.*s' here: see cluster_health.zoneinfo",
                          SLICE_ARG(slice_first(zoned, 60)));
        return;
    }
    const int64_t last_ms = job->status.has_last_schedule_time
                                ? judge_ms(true, job->status.last_schedule_time)
                                : judge_ms(job->metadata.has_creation_timestamp, job->metadata.creation_timestamp);
    const int64_t next_ms = cron_next(&cron, last_ms, zone);
    if (next_ms == INT64_MAX) return; /* 30 February */
    judgement_explain(judgement, RULE_CRON_MISSED, next_ms, "'%.*s'%s%.*s was due, and has not begun",
                      SLICE_ARG(slice_first(job->spec.schedule, 60)), named.size ? " in " : "",
                      SLICE_ARG(slice_first(named, 40)));
}

void judge_cronjob(const KubeCronJob *job, const struct zone *zone, struct judgement *ret_judgement) {
    judgement_begin(ret_judgement);
    if (job->metadata.has_deletion_timestamp)
        judgement_add(ret_judgement, RULE_CRON_TERMINATING, 0);
    else if (job->spec.suspend)
        judgement_add(ret_judgement, RULE_CRON_SUSPENDED, 0);
    else if (job->status.active.count && slice_equal_text(job->spec.concurrency_policy, "Forbid"))
        judgement_add(ret_judgement, RULE_CRON_OVERLAP, 0);
    else
        judgement_add(ret_judgement, RULE_CRON_SCHEDULED, 0);
    if (ret_judgement->findings[0].rule == RULE_CRON_SCHEDULED) judge_schedule(job, zone, ret_judgement);
}
