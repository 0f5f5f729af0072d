/* SPDX-License-Identifier: Apache-2.0
 * The journal decides and does not log; what it decided about its own state is read from its figures. */
#include "aggregator/journal_watch.h"

#include "common/logging/log.h"

static void look_space(struct journal_watch *watch, const struct journal_stats *s) {
    if (s->space == watch->space) return;
    if (s->space == JOURNAL_SPACE_GOOD)
        LOG_INFO("journal", "space_good", LOG_UINT("used_bytes", s->used_bytes),
                 LOG_UINT("budget_bytes", s->budget_bytes));
    else
        LOG_WARN("journal", s->space == JOURNAL_SPACE_LOW ? "space_low" : "space_full",
                 LOG_UINT("used_bytes", s->used_bytes), LOG_UINT("budget_bytes", s->budget_bytes),
                 LOG_TEXT("compaction_waits_for", s->compaction_waits_for ? s->compaction_waits_for : "nobody"),
                 LOG_TEXT("advice", "raise data.budget_bytes, or keep less (retention.*)"));
    watch->space = s->space;
}

void journal_watch_look(struct journal_watch *watch, struct journal *journal) {
    struct journal_stats s;
    journal_stats(journal, &s);
    look_space(watch, &s);
    if (s.refusing != watch->refusing) {
        if (s.refusing)
            LOG_ERROR("journal", "refusing", LOG_FAULT(&s.refusing_reason),
                      LOG_TEXT("instead", "reads go on, and acks of what is committed; tried again every second"));
        else
            LOG_INFO("journal", "takes_commands_again", LOG_UINT("used_bytes", s.used_bytes));
        watch->refusing = s.refusing;
    }
    if (s.damaged > watch->damaged)
        LOG_ERROR("journal", "damaged_facts", LOG_UINT("facts", s.damaged), LOG_FAULT(&s.damage),
                  LOG_TEXT("instead", "they stay as they are; restore a backup and compare"));
    watch->damaged = s.damaged;
}
