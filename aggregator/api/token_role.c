/* SPDX-License-Identifier: Apache-2.0
 * The rights: a matrix of the caller's role and the one that a method asks for. viewer, responder, approver and admin
 * are people, each with all that the one before may do. An agent may do what agents do and nothing else, so that a stolen
 * edge machine reads no incidents; an integration reads and hands in what its system knows, and decides nothing. */
#include "aggregator/api/token_role.h"

#include <stdio.h>

static const struct {
    const char *name, *meaning;
    bool machine;
} roles[] = {
    [ROLE_NONE] = {NULL, NULL, false},
    [ROLE_VIEWER] = {"viewer", "reads everything of its tenant, changes nothing", false},
    [ROLE_RESPONDER] = {"responder",
                        "a viewer who works on incidents and alerts, and describes services, SLOs and runbooks", false},
    [ROLE_APPROVER] = {"approver", "a responder who approves and publishes, and may take the approval out of a runbook",
                       false},
    [ROLE_ADMIN] =
        {"admin",
         "an approver who deletes services, sees what was refused, enrols agents, and may stand in for an integration",
         false},
    [ROLE_AGENT] = {"agent", "picket-agent: what the edge reports, and nothing else", true},
    [ROLE_INTEGRATION] = {"integration", "another system: reads, and hands in what it knows", true},
    [ROLE_STRANGER] = {"stranger", NULL, false},
};
enum { ROLES = sizeof roles / sizeof *roles, CALLERS = ROLE_STRANGER }; /* nobody has the last one */

static const bool role_allows[CALLERS][CALLERS] = {
    [ROLE_VIEWER] = {[ROLE_NONE] = 1, [ROLE_VIEWER] = 1},
    [ROLE_RESPONDER] = {[ROLE_NONE] = 1, [ROLE_VIEWER] = 1, [ROLE_RESPONDER] = 1},
    [ROLE_APPROVER] = {[ROLE_NONE] = 1, [ROLE_VIEWER] = 1, [ROLE_RESPONDER] = 1, [ROLE_APPROVER] = 1},
    [ROLE_ADMIN] = {[ROLE_NONE] = 1,
                    [ROLE_VIEWER] = 1,
                    [ROLE_RESPONDER] = 1,
                    [ROLE_APPROVER] = 1,
                    [ROLE_ADMIN] = 1,
                    [ROLE_INTEGRATION] = 1},
    [ROLE_AGENT] = {[ROLE_NONE] = 1, [ROLE_AGENT] = 1},
    [ROLE_INTEGRATION] = {[ROLE_NONE] = 1, [ROLE_VIEWER] = 1, [ROLE_INTEGRATION] = 1},
};

const char *token_role_name(enum method_role role) {
    return (size_t)role < ROLES ? roles[role].name : NULL;
}

enum method_role token_role_find(slice name) {
    for (size_t i = 1; i < CALLERS; i++)
        if (slice_equal_text(name, roles[i].name)) return (enum method_role)i;
    return ROLE_NONE;
}

bool token_role_allows(enum method_role caller, enum method_role method) {
    if ((size_t)caller >= CALLERS || (size_t)method >= ROLES) return false;
    return method == ROLE_STRANGER ? caller != ROLE_NONE : role_allows[caller][method];
}

bool token_role_is_machine(enum method_role role) {
    return (size_t)role < ROLES && roles[role].machine;
}

/* What is no method of the contract and takes a token. */
static const struct {
    const char *name;
    enum method_role role;
} others[] = {{"GET /events", ROLE_VIEWER}, {"POST /v1/intents (each intent says who may send it)", ROLE_NONE}};

static void add_callers(struct text *text, enum method_role asked) {
    const char *between = "";
    if (asked == ROLE_STRANGER) {
        text_add_text(text, "anyone, without a token\n");
        return;
    }
    for (size_t i = 1; i < CALLERS; i++) {
        if (!token_role_allows((enum method_role)i, asked)) continue;
        text_format(text, "%s%s", between, roles[i].name);
        between = " ";
    }
    text_add_text(text, "\n");
}

static void add_row(struct text *text, const char *name, enum method_role asked) {
    const char *role = token_role_name(asked);
    text_format(text, "%-52s %-12s ", name, role ? role : "any");
    add_callers(text, asked);
}

static const char *service_name(const struct method_desc *method) {
    const char *dot = strrchr(method->service, '.');
    return dot ? dot + 1 : method->service;
}

void token_role_table_add(struct text *text) {
    text_format(text, "%-12s %s\n", "ROLE", "WHO");
    for (size_t i = 1; i < CALLERS; i++) text_format(text, "%-12s %s\n", roles[i].name, roles[i].meaning);
    text_format(text, "\n%-52s %-12s %s\n", "METHOD", "ASKS FOR", "MAY CALL");
    for (size_t i = 0; i < methods_count; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/%s", service_name(&methods_table[i]), methods_table[i].name);
        add_row(text, name, methods_table[i].role);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) add_row(text, others[i].name, others[i].role);
}
