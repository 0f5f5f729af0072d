/* SPDX-License-Identifier: Apache-2.0
 * Every verb that changes one thing: the row is found by verb and resource, the request made from it, and what came of
 * it said in one line. The word for the resource may be left out where the verb has only one. */
#include "aggregator/ctl/ctl_actions.h"
#include "aggregator/ctl/ctl_call.h"
#include "common/base/clock.h"

#include <stdio.h>

/* said: the word behind the verb, NULL when there is none: an object's id, or the name of objects that it does not work on. */
static enum ctl_exit which(const char *verb, const char *said) {
    const struct ctl_resource *resource = said ? ctl_resource_find(said) : NULL;
    if (resource)
        fprintf(stderr, "picketctl: %s: it does not work on %s, but so:\n", verb, resource->name);
    else if (said)
        fprintf(stderr, "picketctl: %s: of what kind is '%s'?\n", verb, said);
    else
        fprintf(stderr, "picketctl: %s what?\n", verb);
    for (size_t i = 0; i < ctl_actions_count; i++)
        if (strcmp(ctl_actions[i].verb, verb) == 0)
            fprintf(stderr, "  picketctl %s %s %s\n", verb, ctl_resource_find(ctl_actions[i].resource)->one,
                    said && !resource ? said : "ID");
    return CTL_EXIT_USAGE;
}

static const struct ctl_action *only_action(const char *verb) {
    const struct ctl_action *only = NULL;
    for (size_t i = 0; i < ctl_actions_count; i++) {
        if (strcmp(ctl_actions[i].verb, verb) != 0) continue;
        if (only) return NULL;
        only = &ctl_actions[i];
    }
    return only;
}

/* How many of the words name verb and resource. */
static const struct ctl_action *action_of(const struct ctl_options *options, size_t *ret_named) {
    const char *verb = options->words[0], *second = options->words_count > 1 ? options->words[1] : NULL;
    const struct ctl_resource *resource = second ? ctl_resource_find(second) : NULL;
    const struct ctl_action *action = resource ? ctl_action_find(verb, resource->name) : NULL;
    const struct ctl_action *only = only_action(verb);
    if (resource && !action && options->words_count > 2) return NULL; /* another kind of object, and its id */
    /* With nothing behind it, a word that might name the resource is the id of the only one. */
    *ret_named = action && !(action == only && options->words_count == 2) ? 2 : 1;
    return action ? action : only;
}

enum ctl_exit ctl_print_answer(struct ctl *ctl, const struct yaml_node *root) {
    struct text text = text_begin(ctl->arena);
    if (ctl->options.output == CTL_OUTPUT_JSON) {
        ctl_tree_add_json(&text, root, NULL, 0);
        text_add_text(&text, "\n");
    } else {
        text_add_text(&text, "---\n");
        ctl_tree_add_yaml(&text, root, 0);
    }
    slice page;
    struct fault fault;
    if (text_end(&text, "output", &page, &fault)) return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
    fwrite(page.data, 1, page.size, stdout);
    return CTL_EXIT_OK;
}

bool ctl_output_is_tree(const struct ctl *ctl) {
    return ctl->options.output == CTL_OUTPUT_JSON || ctl->options.output == CTL_OUTPUT_YAML;
}

enum ctl_exit ctl_say_outcome(struct ctl *ctl, const char *kind, const char *done, const char *again,
                              const struct yaml_node *root) {
    if (ctl_output_is_tree(ctl)) return ctl_print_answer(ctl, root);
    const struct yaml_node *outcome = yaml_find(root, "outcome");
    const slice id = ctl_tree_text(outcome, "aggregateId"), type = ctl_tree_text(outcome, "aggregateType");
    for (size_t i = 0; !kind && i < ctl_resources_count; i++) /* what it made or changed, not what it was asked of */
        if (slice_equal_text(type, ctl_resources[i].fact_types ? ctl_resources[i].fact_types : ""))
            kind = ctl_resources[i].one;
    if (!kind) kind = "object";
    if (ctl->options.output == CTL_OUTPUT_NAME) {
        printf("%s/%.*s\n", kind, SLICE_ARG(id));
        return CTL_EXIT_OK;
    }
    const bool repeated = slice_equal_text(ctl_tree_text(outcome, "repeated"), "true");
    const char *how = repeated || !yaml_find(outcome, "sequence") ? again : done;
    printf("%s %.*s %s (version %.*s)\n", kind, SLICE_ARG(id), how,
           SLICE_ARG(ctl_tree_text(outcome, "aggregateVersion")));
    return CTL_EXIT_OK;
}

/* A replay answers otherwise: it may be refused again, which is an answer and no error of the call. */
static enum ctl_exit say_replay(struct ctl *ctl, const char *id, const struct yaml_node *root) {
    const bool accepted = slice_equal_text(ctl_tree_text(root, "accepted"), "true");
    enum ctl_exit code = CTL_EXIT_OK;
    if (ctl_output_is_tree(ctl))
        code = ctl_print_answer(ctl, root);
    else if (accepted)
        printf("rejection %s replayed: %.*s is at version %.*s\n", id, SLICE_ARG(ctl_tree_text(root, "aggregateId")),
               SLICE_ARG(ctl_tree_text(root, "aggregateVersion")));
    if (!accepted)
        return ctl_fail(CTL_EXIT_REFUSED,
                        "rejection %s is refused again: %.*s\n  see what is wrong with 'picketctl describe "
                        "rejection %s'",
                        id, SLICE_ARG(ctl_tree_text(root, "reason")), id);
    return code;
}

enum ctl_exit ctl_act(struct ctl *ctl) {
    const struct ctl_options *options = &ctl->options;
    const char *verb = options->words[0];
    size_t named;
    const struct ctl_action *action = action_of(options, &named);
    if (!action) return which(verb, options->words_count > 1 ? options->words[1] : NULL);
    slice request, response;
    struct fault fault = {0};
    if (ctl_action_request(action, options, options->words + named, options->words_count - named, clock_wall_ms(),
                           ctl->arena, &request, &fault)) {
        struct text usage = text_begin(ctl->arena);
        ctl_usage_add(&usage, action);
        slice line = {0};
        if (text_end(&usage, "usage", &line, NULL)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
        return ctl_fail(CTL_EXIT_USAGE, "%s: %s\n  picketctl %.*s", verb, fault.text, SLICE_ARG(line));
    }
    const enum ctl_exit code = ctl_command(ctl, action->path, request, 0, &response);
    if (code || options->dry_run) return code;
    struct yaml_node *root = NULL;
    if (ctl_tree_read(response, "answer", ctl->arena, &root, &fault))
        return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
    if (action->bare) return say_replay(ctl, options->words[named], root);
    const char *again = strcmp(verb, "create") == 0 ? "was there already" : "unchanged";
    return ctl_say_outcome(ctl, NULL, action->done, again, root);
}
