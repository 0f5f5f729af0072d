/* SPDX-License-Identifier: Apache-2.0
 * doctor: the way from here to the agents, one check a line: address, readiness, token, clock, journal,
 * projections, agents, rejections, SLOs. A check that fails says what to do; what cannot be checked because of it is said to be so,
 * not to be well. */
#include "aggregator/ctl/ctl_call.h"
#include "aggregator/ctl/ctl_table.h"
#include "common/base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SKEW_MS_MAX = 5000, LAG_FACTS_MAX = 10000, AGENT_SILENT_MS = 180000, RECENT_MS = 3600 * 1000 };

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct doctor {
    struct ctl *ctl;
    unsigned warnings, failures;
};

static void say(struct doctor *doctor, enum finding finding, const char *what, const char *advice, const char *format,
                ...) __attribute__((format(printf, 5, 6)));
static void say(struct doctor *doctor, enum finding finding, const char *what, const char *advice, const char *format,
                ...) {
    static const char *const words[] = {"ok", "warn", "FAIL"};
    va_list args;
    va_start(args, format);
    printf("%-4s  %-12s ", words[finding], what);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    if (finding != FINDING_OK && advice) printf("      %-12s -> %s\n", "", advice);
    doctor->warnings += finding == FINDING_WARN;
    doctor->failures += finding == FINDING_FAIL;
}

static bool check_address(struct doctor *doctor) {
    const struct ctl_answer answer = ctl_http(doctor->ctl, "/healthz", (slice){0}, NULL);
    const char *url = doctor->ctl->options.url;
    if (answer.status == 0) {
        say(doctor, FINDING_FAIL, "address",
            "is the aggregator running there? another address: --url or PICKET_URL; its own CA: --ca or "
            "PICKET_CA",
            "%s: %s", url, answer.fault.text);
        return false;
    }
    if (answer.status != 200) {
        say(doctor, FINDING_FAIL, "address", "is this address a Picket aggregator?", "%s/healthz: HTTP %d", url,
            answer.status);
        return false;
    }
    say(doctor, FINDING_OK, "address", NULL, "%s answers in %" PRId64 " ms", url, answer.received_ms - answer.sent_ms);
    if (!answer.date_ms) return true;
    /* The header has whole seconds: half a second is what it does not say. */
    const int64_t skew_ms = answer.date_ms + 500 - (answer.sent_ms + answer.received_ms) / 2;
    if (skew_ms > SKEW_MS_MAX || skew_ms < -SKEW_MS_MAX)
        say(doctor, FINDING_WARN, "clock",
            "synchronise the clocks (chrony, systemd-timesyncd): windows are labelled by them",
            "the aggregator's clock is %.1f s %s than this machine's", (double)llabs(skew_ms) / 1000,
            skew_ms > 0 ? "later" : "earlier");
    else
        say(doctor, FINDING_OK, "clock", NULL, "within %d s of this machine's", SKEW_MS_MAX / 1000);
    return true;
}

static void check_ready(struct doctor *doctor) {
    const struct ctl_answer answer = ctl_http(doctor->ctl, "/readyz", (slice){0}, NULL);
    slice body = answer.body;
    while (body.size && body.data[body.size - 1] == '\n') body.size--;
    const slice shown = slice_first(body, 400);
    if (answer.status == 200)
        say(doctor, FINDING_OK, "ready", NULL, "%.*s", SLICE_ARG(shown));
    else if (answer.status)
        say(doctor, FINDING_FAIL, "ready", "what is not ready is named above; the aggregator's log says more", "%.*s",
            SLICE_ARG(shown));
    else
        say(doctor, FINDING_FAIL, "ready", NULL, "%s", answer.fault.text);
}

static bool check_token(struct doctor *doctor) {
    if (!doctor->ctl->auth.bearer_token && !doctor->ctl->auth.bearer_token_path) {
        say(doctor, FINDING_FAIL, "token", "give one by PICKET_TOKEN or --token-file (a local one: build/local/env)",
            "there is none");
        return false;
    }
    const struct ctl_answer answer =
        ctl_http(doctor->ctl, ctl_resource_find("slos")->list_path, SLICE_LIT("{\"pageSize\":1}"), NULL);
    if (answer.status == 200) {
        say(doctor, FINDING_OK, "token", NULL, "is accepted");
        return true;
    }
    if (answer.status == 401 || answer.status == 403)
        say(doctor, FINDING_FAIL, "token", "give one that this aggregator knows, by PICKET_TOKEN or --token-file",
            "is refused (HTTP %d)", answer.status);
    else
        say(doctor, FINDING_FAIL, "token", "the aggregator's log says more", "cannot be tried: HTTP %d %s",
            answer.status, answer.fault.text);
    return false;
}

/* A gauge or counter's value in the aggregator's own metrics: the sum of its series, or the one whose labels stand in
 * the name. False: it has none. */
static bool metric(slice text, const char *name, double *ret_sum) {
    const size_t size = strlen(name);
    bool found = false;
    *ret_sum = 0;
    for (const char *line = (const char *)text.data; line && *line;
         line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        if (strncmp(line, name, size) != 0 || (line[size] != ' ' && line[size] != '{')) continue;
        const char *end = strchr(line, '\n');
        const char *space = memrchr(line, ' ', end ? (size_t)(end - line) : strlen(line));
        if (!space) continue;
        *ret_sum += strtod(space, NULL);
        found = true;
    }
    return found;
}

static void check_projections(struct doctor *doctor) {
    const struct ctl_answer answer = ctl_http(doctor->ctl, "/metrics", (slice){0}, NULL);
    double lag;
    if (answer.status != 200 || !metric(answer.body, "picket_outbox_lag_facts{consumer=\"projections\"}", &lag))
        say(doctor, FINDING_WARN, "projections", "look at /metrics", "how far they are behind is not known (HTTP %d)",
            answer.status);
    else if (lag > LAG_FACTS_MAX)
        say(doctor, FINDING_WARN, "projections", "wait while they catch up; if it grows, its disk or CPU is too slow",
            "are %.0f facts behind the journal", lag);
    else
        say(doctor, FINDING_OK, "projections", NULL, "are %.0f facts behind the journal", lag);
}

static void check_space(struct doctor *doctor) {
    const struct ctl_answer answer = ctl_http(doctor->ctl, "/metrics", (slice){0}, NULL);
    double used, budget, level;
    if (answer.status != 200 || !metric(answer.body, "picket_journal_used_bytes", &used) ||
        !metric(answer.body, "picket_journal_budget_bytes", &budget) ||
        !metric(answer.body, "picket_journal_space_level", &level) || budget <= 0) {
        say(doctor, FINDING_WARN, "journal", "look at /metrics",
            "how much of its budget is used is not known (HTTP %d)", answer.status);
        return;
    }
    const double mib = 1024 * 1024;
    say(doctor,
        level >= 2   ? FINDING_FAIL
        : level >= 1 ? FINDING_WARN
                     : FINDING_OK,
        "journal", "raise data.budget_bytes, or keep less (retention.*)",
        "uses %.0f %% of its budget: %.0f of %.0f MiB%s", 100 * used / budget, used / mib, budget / mib,
        level >= 2 ? "; new intents are refused" : "");
}

static double number(const struct yaml_node *node, const char *path) {
    const slice text = ctl_tree_text(node, path);
    return text.size ? strtod((const char *)text.data, NULL) : 0;
}

static bool is_recent(const struct yaml_node *node, const char *path, int64_t *ret_ago_ms) {
    int64_t at_ms;
    if (!ctl_time_parse(ctl_tree_text(node, path), &at_ms)) return false;
    *ret_ago_ms = clock_wall_ms() - at_ms;
    return *ret_ago_ms < RECENT_MS;
}

/* What it said of its certificate last, and what the centre refused it. */
static void check_certificate(struct doctor *doctor, const char *what, const struct yaml_node *agent) {
    const slice error = slice_first(ctl_tree_text(agent, "status.certificate.error"), 300),
                refusal = slice_first(ctl_tree_text(agent, "right.refusal"), 300);
    int64_t end_ms = 0, ago_ms;
    const bool ends = ctl_time_parse(ctl_tree_text(agent, "status.certificate.notAfter"), &end_ms);
    const int64_t over_ms = clock_wall_ms() - end_ms;
    if (ends && over_ms >= 0)
        say(doctor, FINDING_FAIL, what,
            "a new token (picketctl agents enrol) into its enrolment.token_file; see ADD-AN-AGENT",
            "has a certificate that is over since %" PRId64 " s%s%.*s", over_ms / 1000, error.size ? ": " : "",
            SLICE_ARG(error));
    else if (error.size)
        say(doctor, FINDING_WARN, what,
            "its certificate serves until its end; where the authority was replaced: ADD-AN-AGENT",
            "says of its certificate: %.*s", SLICE_ARG(error));
    else if (refusal.size && is_recent(agent, "right.refusedAt", &ago_ms))
        say(doctor, FINDING_WARN, what,
            "if that was not this agent, somebody else has its token or key: picketctl agents revoke",
            "was refused a certificate %" PRId64 " s ago: %.*s", ago_ms / 1000, SLICE_ARG(refusal));
}

static void check_agent(struct doctor *doctor, const struct yaml_node *agent) {
    const slice name = ctl_tree_text(agent, "status.agent"), config_error = ctl_tree_text(agent, "status.configError");
    char what[160];
    snprintf(what, sizeof what, "agent %.*s", SLICE_ARG(slice_first(name, 100)));
    int64_t seen_ms = 0;
    const bool seen = ctl_time_parse(ctl_tree_text(agent, "lastSeenAt"), &seen_ms);
    const int64_t silent_ms = clock_wall_ms() - seen_ms;
    const slice state = ctl_tree_text(agent, "state"), why = ctl_tree_text(agent, "stateReason");
    if (slice_equal_text(state, "AGENT_STATE_AWAITED") || slice_equal_text(state, "AGENT_STATE_REVOKED"))
        say(doctor, FINDING_WARN, what, "nothing, if that is meant", "%.*s", SLICE_ARG(slice_first(why, 300)));
    else if (!seen || !slice_equal_text(ctl_tree_text(agent, "status.online"), "true"))
        say(doctor, FINDING_FAIL, what, "is it running, and can it reach the broker? its log and its /readyz say",
            "is not connected");
    else if (slice_equal_text(state, "AGENT_STATE_CONFLICT") || slice_equal_text(state, "AGENT_STATE_UNKNOWN"))
        say(doctor, FINDING_FAIL, what, "its /readyz and its log say what it waits for", "%.*s",
            SLICE_ARG(slice_first(why, 300)));
    else if (silent_ms > AGENT_SILENT_MS)
        say(doctor, FINDING_FAIL, what, "its /readyz and its log say what it waits for",
            "has sent nothing for %" PRId64 " s", silent_ms / 1000);
    else
        say(doctor, FINDING_OK, what, NULL, "was heard %" PRId64 " s ago, %.0f intents committed",
            silent_ms > 0 ? silent_ms / 1000 : 0, number(agent, "intentsCommitted"));
    check_certificate(doctor, what, agent);
    if (config_error.size)
        say(doctor, FINDING_FAIL, what, "correct the SLO that it names", "refuses its configuration: %.*s",
            SLICE_ARG(slice_first(config_error, 300)));
    const slice store_error = ctl_tree_text(agent, "status.storeError");
    if (store_error.size)
        say(doctor, FINDING_FAIL, what, "free or replace its disk; what cannot be stored is in its memory alone",
            "has no room to store, or cannot: %.*s", SLICE_ARG(slice_first(store_error, 300)));
    const struct yaml_node *dark = ctl_tree_at(agent, "status.darkWatches");
    for (const struct yaml_node *watch = dark ? dark->first : NULL; watch; watch = watch->next) {
        const slice resource = ctl_tree_text(watch, "resource");
        say(doctor, FINDING_WARN, what, "what is not seen is unknown, not good",
            "cannot watch %.*s of cluster %.*s: %.*s",
            SLICE_ARG(resource.size ? slice_first(resource, 100) : SLICE_LIT("anything")),
            SLICE_ARG(slice_first(ctl_tree_text(watch, "clusterId"), 100)),
            SLICE_ARG(slice_first(ctl_tree_text(watch, "error"), 300)));
    }
    if (number(agent, "intentsLost") > 0)
        say(doctor, FINDING_WARN, what, "give its queue more room (buffer.bytes_max) or look why it was away so long",
            "had to shed %.0f intents", number(agent, "intentsLost"));
    const struct yaml_node *targets = ctl_tree_at(agent, "status.targets");
    for (const struct yaml_node *target = targets ? targets->first : NULL; target; target = target->next) {
        const slice error = ctl_tree_text(target, "error");
        if (!error.size) continue; /* nothing is wrong, or it was not scraped yet when the agent last reported */
        const bool up = slice_equal_text(ctl_tree_text(target, "up"), "true");
        say(doctor, FINDING_WARN, what, "what is not seen is unknown, not good", "%s %.*s: %.*s",
            up ? "target" : "cannot scrape", SLICE_ARG(slice_first(ctl_tree_text(target, "name"), 100)),
            SLICE_ARG(slice_first(error, 200)));
    }
}

static void check_agents(struct doctor *doctor) {
    struct yaml_node *root = NULL;
    if (ctl_list(doctor->ctl, ctl_resource_find("agents"), NULL, &root)) {
        say(doctor, FINDING_WARN, "agents", NULL, "cannot be listed, see above");
        return;
    }
    const struct yaml_node *agents = yaml_find(root, "agents");
    if (!agents || !agents->first)
        say(doctor, FINDING_WARN, "agents", "start one with a certificate of this tenant (platforms/)",
            "there is none");
    for (const struct yaml_node *agent = agents ? agents->first : NULL; agent; agent = agent->next)
        check_agent(doctor, agent);
}

/* The newest come first. An administrator's alone: who may not see them is told so. */
static void check_rejections(struct doctor *doctor) {
    const struct ctl_answer answer =
        ctl_http(doctor->ctl, ctl_resource_find("rejections")->list_path, SLICE_LIT("{\"pageSize\":1000}"), NULL);
    struct yaml_node *root = NULL;
    unsigned recent = 0;
    int64_t ago_ms;
    if (answer.status == 403) {
        printf("      not checked: rejections (they need the token of an admin)\n");
        return;
    }
    if (answer.status != 200 || ctl_tree_read(answer.body, "answer", doctor->ctl->arena, &root, NULL)) {
        say(doctor, FINDING_WARN, "rejections", "the aggregator's log says more", "cannot be listed: HTTP %d %s",
            answer.status, answer.status ? "" : answer.fault.text);
        return;
    }
    const struct yaml_node *items = yaml_find(root, "rejections"), *newest = items ? items->first : NULL;
    for (const struct yaml_node *item = newest; item; item = item->next)
        recent += is_recent(item, "rejectedAt", &ago_ms);
    if (recent)
        say(doctor, FINDING_WARN, "rejections",
            "picketctl get rejections; picketctl replay ID, when what was wrong is put right",
            "%u%s in the last hour; the newest is of %.*s: %.*s", recent, recent == 1000 ? " or more" : "",
            SLICE_ARG(slice_first(ctl_tree_text(newest, "producer"), 100)),
            SLICE_ARG(slice_first(ctl_tree_text(newest, "reason"), 200)));
    else
        say(doctor, FINDING_OK, "rejections", NULL, "none in the last hour");
}

static void check_slos(struct doctor *doctor) {
    struct yaml_node *root = NULL;
    if (ctl_list(doctor->ctl, ctl_resource_find("slos"), NULL, &root)) return;
    const struct yaml_node *slos = yaml_find(root, "slos");
    unsigned fresh = 0;
    for (const struct yaml_node *slo = slos ? slos->first : NULL; slo; slo = slo->next) {
        char what[160];
        snprintf(what, sizeof what, "slo %.*s", SLICE_ARG(slice_first(ctl_tree_text(slo, "sloId"), 100)));
        int64_t last_ms;
        const int64_t window_ms = (int64_t)number(slo, "sliSpec.windowSeconds") * 1000;
        if (!ctl_time_parse(ctl_tree_text(slo, "budget.lastWindowAt"), &last_ms))
            say(doctor, FINDING_WARN, what,
                "does an agent have the targets that it names? new ones take a window to begin",
                "no window has come yet");
        else if (clock_wall_ms() - last_ms > 3 * window_ms + 60000)
            say(doctor, FINDING_WARN, what, "is its agent running, and its target up?",
                "its last window began %" PRId64 " s ago", (clock_wall_ms() - last_ms) / 1000);
        else
            fresh++;
    }
    if (!slos || !slos->first)
        say(doctor, FINDING_WARN, "slos", "create one: picketctl help create", "there is none");
    else if (fresh)
        say(doctor, FINDING_OK, "slos", NULL, "%u of %zu with fresh windows", fresh, slos->count);
}

enum ctl_exit ctl_doctor(struct ctl *ctl) {
    struct doctor doctor = {.ctl = ctl};
    if (check_address(&doctor)) {
        check_ready(&doctor);
        if (check_token(&doctor)) {
            check_space(&doctor);
            check_projections(&doctor);
            check_agents(&doctor);
            check_rejections(&doctor);
            check_slos(&doctor);
        } else
            printf("      not checked: journal, projections, agents, rejections, slos (they need a token)\n");
    } else
        printf("      not checked: all the rest\n");
    if (doctor.failures || doctor.warnings)
        printf("\n%u wrong, %u to look at\n", doctor.failures, doctor.warnings);
    else
        printf("\nall is well\n");
    return doctor.failures ? CTL_EXIT_REFUSED : CTL_EXIT_OK;
}
