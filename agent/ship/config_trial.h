/* SPDX-License-Identifier: Apache-2.0
 * The configuration from the centre, by revision: a new one is put to work on trial, and becomes the good one when the agent
 * has lived and measured with it for a while. One that does not load, or with which the agent ends again and again or
 * measures no more, is rolled back to the good one, which is kept in the queue's folder; it is not tried again until
 * another comes, a reload asks for it, or nothing is measured with the good one either. Owner: the agent's loop thread. */
#ifndef PICKET_SHIP_CONFIG_TRIAL_H
#define PICKET_SHIP_CONFIG_TRIAL_H

#include "agent/buffer/queue.h"
#include "agent/ship/remote_config.h"
#include "common/loop/loop.h"

struct config_trial;

enum { CONFIG_TRIAL_ENDS_MAX = 3, CONFIG_TRIAL_REASON_BYTES = 512 };

/* How measuring goes now. Unknown: it cannot be stored at present, which is the disk's doing and not a configuration's. */
enum config_trial_finding { CONFIG_TRIAL_UNKNOWN, CONFIG_TRIAL_WORKS, CONFIG_TRIAL_FAILS };

struct config_trial_parts {
    struct loop *loop;
    struct queue *queue;
    size_t slis_max;
    int64_t probation_ms;
    /* Puts definitions to work in place of those before, which live until it returns; on a fault nothing has changed. */
    fault_code (*apply)(void *context, const struct remote_definitions *definitions, struct fault *reterr);
    enum config_trial_finding (*find)(void *context);
    void (*changed)(void *context); /* a status is wanted */
    void *context;
    int64_t
        pace_ms; /* from the end of looking at one to the next; of those that come meanwhile it is the last; 0: each */
};

enum config_trial_state { CONFIG_TRIAL_NONE, CONFIG_TRIAL_GOOD, CONFIG_TRIAL_RUNS, CONFIG_TRIAL_ROLLED_BACK };

struct config_trial_report {
    enum config_trial_state state;
    uint64_t wanted_revision, failed_revision;
    const char *failed_reason; /* "" for none; lent until the next call */
    int64_t failed_ms;         /* wall; 0: never */
    unsigned starts;           /* while on trial: of the agent, with it */
};

/* Reads what is kept, and decides with which the agent begins: one whose trial the agent did not survive
 * CONFIG_TRIAL_ENDS_MAX times is rolled back here. What cannot be read is logged and passed over. */
fault_code config_trial_open(const struct config_trial_parts *parts, struct config_trial **ret_trial,
                             struct fault *reterr) MUST_CHECK;
/* The agent ends as it should: the trial goes on when it starts again. NULL is fine; returns NULL. */
struct config_trial *config_trial_close(struct config_trial *trial);

/* At work, or to be put to work first; revision 0: none. Lent until the next call that may change it. */
const struct remote_definitions *config_trial_definitions(const struct config_trial *trial);
/* They could not be put to work at the start. True: they were on trial, and others may be tried now. */
bool config_trial_step_back(struct config_trial *trial, const struct fault *why);
/* They are at work for the first time since the start: a trial's time runs. */
void config_trial_started(struct config_trial *trial);

/* An AgentConfig came. Putting one to work costs syncs of the disk and time in which nothing else is done, so a flood of
 * them is taken at the pace of the parts. */
void config_trial_take(struct config_trial *trial, slice payload);
/* Forgets what failed, so that it may come again. */
void config_trial_forgive(struct config_trial *trial);
void config_trial_report(const struct config_trial *trial, struct config_trial_report *ret_report);

#endif
