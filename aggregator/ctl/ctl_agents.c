/* SPDX-License-Identifier: Apache-2.0
 * agents: the fleet at a glance, and who may connect. A count of every state stands above the list, so that what is
 * not fine is seen however long the list is. The token goes to stdout alone, for a pipe; what to do with it to stderr. */
#include "aggregator/ctl/ctl_call.h"
#include "aggregator/ctl/ctl_table.h"
#include "common/codec/codec.h"
#include "common/settings/settings.h"
#include "sre.pb.h"

#include <stdio.h>
#include <stdlib.h>

#define SERVICE "/ameide_core_proto.sre.edge.v1.AgentService/"

static const char *given(const struct ctl *ctl, const char *name) {
    for (size_t i = 0; i < ctl->options.given_count; i++)
        if (strcmp(ctl->options.given[i].name, name) == 0) return ctl->options.given[i].value;
    return NULL;
}

typedef enum ctl_exit call_fn(struct ctl *ctl, const char *path, slice request, slice *ret_response);

static enum ctl_exit command(struct ctl *ctl, const char *path, slice request, slice *ret_response) {
    return ctl_command(ctl, path, request, 0, ret_response);
}

/* Sends a request; *ret_root is the answer. */
static enum ctl_exit ask(struct ctl *ctl, call_fn *call, const char *path, struct text *text,
                         struct yaml_node **ret_root) {
    struct fault fault;
    slice request, response;
    if (text_end(text, "request", &request, &fault)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    const enum ctl_exit code = call(ctl, path, request, &response);
    if (code) return code;
    if (ctl_tree_read(response, "answer", ctl->arena, ret_root, &fault))
        return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
    return CTL_EXIT_OK;
}

static enum ctl_exit enrol(struct ctl *ctl, const char *agent) {
    struct text text = text_begin(ctl->arena);
    struct yaml_node *root = NULL;
    struct fault fault;
    int64_t valid_ms = 0;
    const char *valid = given(ctl, "--for");
    if (valid && setting_parse_duration(slice_from_text(valid), &valid_ms, &fault))
        return ctl_fail(CTL_EXIT_USAGE, "--for: %s", fault.text);
    text_add_text(&text, "{\"agent\":");
    text_add_json_string(&text, slice_from_text(agent));
    if (valid) text_format(&text, ",\"validFor\":\"%lld.%03ds\"", (long long)valid_ms / 1000, (int)(valid_ms % 1000));
    text_add_text(&text, "}");
    const enum ctl_exit code = ask(ctl, command, SERVICE "OfferEnrolment", &text, &root);
    if (code || ctl->options.dry_run) return code;
    if (ctl_output_is_tree(ctl)) return ctl_print_answer(ctl, root);
    printf("%.*s\n", SLICE_ARG(ctl_tree_text(root, "token")));
    fprintf(stderr,
            "agent %s may enrol once, until %.*s: put the token into the file that its enrolment.token_file names\n",
            agent, SLICE_ARG(ctl_tree_text(root, "expiresAt")));
    return CTL_EXIT_OK;
}

static enum ctl_exit revoke(struct ctl *ctl, const char *agent) {
    struct text text = text_begin(ctl->arena);
    struct yaml_node *root = NULL;
    const char *reason = given(ctl, "--reason");
    if (!reason) return ctl_fail(CTL_EXIT_USAGE, "why? picketctl agents revoke %s --reason TEXT", agent);
    text_add_text(&text, "{\"agent\":");
    text_add_json_string(&text, slice_from_text(agent));
    text_add_text(&text, ",\"reason\":");
    text_add_json_string(&text, slice_from_text(reason));
    text_add_text(&text, "}");
    const enum ctl_exit code = ask(ctl, command, SERVICE "RevokeAgent", &text, &root);
    if (code || ctl->options.dry_run) return code;
    if (ctl_output_is_tree(ctl)) return ctl_print_answer(ctl, root);
    const slice serial = ctl_tree_text(root, "serial");
    printf("agent %s revoked: nothing of it is taken in, and its certificate is not renewed\n", agent);
    if (serial.size)
        printf("to shut it out of the broker too, before it expires: serial %.*s into the revocation list (crlfile)\n",
               SLICE_ARG(serial));
    return CTL_EXIT_OK;
}

/* "12 agents: 9 online, 2 unknown, 1 offline" */
static enum ctl_exit glance(struct ctl *ctl) {
    struct text text = text_begin(ctl->arena);
    struct yaml_node *root = NULL;
    text_add_text(&text, "{\"pageSize\":1}");
    const enum ctl_exit code = ask(ctl, ctl_call, SERVICE "ListAgents", &text, &root);
    if (code) return code;
    const struct yaml_node *counts = ctl_tree_at(root, "counts");
    unsigned long long all = 0;
    for (const struct yaml_node *count = counts ? counts->first : NULL; count; count = count->next)
        all += strtoull((const char *)ctl_tree_text(count, "agents").data, NULL, 10);
    printf("%llu agent%s", all, all == 1 ? "" : "s");
    for (const struct yaml_node *count = counts ? counts->first : NULL; count; count = count->next)
        printf("%s%.*s %.*s", count == counts->first ? ": " : ", ", SLICE_ARG(ctl_tree_text(count, "agents")),
               SLICE_ARG(ctl_enum_word(ctl_tree_text(count, "state"), ctl->arena)));
    printf("\n\n");
    fflush(stdout);
    return CTL_EXIT_OK;
}

/* "online, offline, ..." */
static enum ctl_exit wrong_status(struct ctl *ctl, const char *status) {
    struct text text = text_begin(ctl->arena);
    slice words;
    const char *name;
    for (int32_t state = AGENT_STATE_ONLINE; (name = enum_name(&AgentState_enum, state)); state++) {
        if (state > AGENT_STATE_ONLINE) text_add_text(&text, ", ");
        text_add(&text, ctl_enum_word(slice_from_text(name), ctl->arena));
    }
    if (text_end(&text, "words", &words, NULL)) words = (slice){0};
    return ctl_fail(CTL_EXIT_USAGE, "--status: '%s' is none of %.*s", status, SLICE_ARG(words));
}

static enum ctl_exit list(struct ctl *ctl) {
    const char *status = given(ctl, "--status");
    if (status) {
        int32_t state;
        const slice where = arena_format(ctl->arena, "states=AGENT_STATE_%s", status);
        if (!where.data || ctl->options.where_count == CTL_WHERE_MAX) return ctl_fail(CTL_EXIT_USAGE, "too much");
        for (char *c = (char *)where.data + sizeof "states=" - 1; *c; c++)
            if (*c >= 'a' && *c <= 'z') *c &= ~0x20;
        if (!enum_number(&AgentState_enum, slice_from(slice_from_text((const char *)where.data), sizeof "states=" - 1),
                         &state) ||
            state == AGENT_STATE_UNSPECIFIED)
            return wrong_status(ctl, status);
        ctl->options.where[ctl->options.where_count++] = (const char *)where.data;
    }
    if (!ctl_output_is_tree(ctl) && ctl->options.output != CTL_OUTPUT_NAME) {
        const enum ctl_exit code = glance(ctl);
        if (code) return code;
    }
    ctl->options.words[0] = "get";
    ctl->options.words[1] = "agents";
    ctl->options.words_count = 2;
    return ctl_get(ctl);
}

enum ctl_exit ctl_agents(struct ctl *ctl) {
    static const struct {
        const char *word;
        enum ctl_exit (*run)(struct ctl *ctl, const char *agent);
    } words[] = {{"enrol", enrol}, {"revoke", revoke}};
    struct ctl_options *options = &ctl->options;
    for (size_t i = 0; i < sizeof words / sizeof *words && options->words_count > 1; i++) {
        if (strcmp(options->words[1], words[i].word) != 0) continue;
        if (options->words_count != 3)
            return ctl_fail(CTL_EXIT_USAGE, "which one? picketctl agents %s NAME", words[i].word);
        return words[i].run(ctl, options->words[2]);
    }
    if (options->dry_run)
        return ctl_fail(CTL_EXIT_USAGE, "--dry-run: only agents enrol and agents revoke change anything");
    if (options->words_count == 1) return list(ctl);
    if (options->words_count > 2)
        return ctl_fail(CTL_EXIT_USAGE, "picketctl agents [NAME], agents enrol NAME, agents revoke NAME --reason TEXT");
    options->words[2] = options->words[1];
    options->words[0] = "describe";
    options->words[1] = "agent";
    options->words_count = 3;
    return ctl_describe(ctl);
}
