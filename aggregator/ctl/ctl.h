/* SPDX-License-Identifier: Apache-2.0
 * picketctl: asks the aggregator over its HTTP API and shows what it says. One run is one command; one arena
 * holds all of it. Exit codes are part of its interface (ctl_exit_text). */
#ifndef PICKET_CTL_CTL_H
#define PICKET_CTL_CTL_H

#include "aggregator/ctl/ctl_options.h"
#include "aggregator/ctl/ctl_resources.h"
#include "aggregator/ctl/ctl_tree.h"
#include "common/loop/loop.h"
#include "common/net/http_client.h"

enum ctl_exit {
    CTL_EXIT_OK = 0,
    CTL_EXIT_REFUSED = 1,     /* the aggregator refused or failed; doctor: something is wrong */
    CTL_EXIT_USAGE = 2,       /* the command line or a file is wrong; nothing was sent */
    CTL_EXIT_UNREACHABLE = 3, /* no answer: address, connection, TLS, time */
    CTL_EXIT_DENIED = 4,      /* token missing, unknown, or without the right */
    CTL_EXIT_ABSENT = 5,      /* what was asked for does not exist */
    CTL_EXIT_MAX_
};
/* One line on each, for help and reference. */
const char *ctl_exit_text(enum ctl_exit code);

struct ctl {
    struct ctl_options options;
    struct arena *arena;
    struct loop *loop;
    struct http_client *client;
    struct http_tls tls;
    struct http_auth auth;
};

struct ctl_command {
    const char *name;
    const char *arguments; /* "RESOURCE [ID]" */
    const char *help;
    const char *examples; /* lines, each a command and a comment */
    enum ctl_exit (*run)(struct ctl *ctl);
};
extern const struct ctl_command ctl_commands[];
extern const size_t ctl_commands_count;

/* The whole program. */
int ctl_run(int argc, char *const *argv);

/* Commands, each in its file. They print their own errors. */
enum ctl_exit ctl_get(struct ctl *ctl);
enum ctl_exit ctl_describe(struct ctl *ctl);
enum ctl_exit ctl_create(struct ctl *ctl);
enum ctl_exit ctl_apply(struct ctl *ctl);
enum ctl_exit ctl_edit(struct ctl *ctl);
enum ctl_exit ctl_import(struct ctl *ctl);
enum ctl_exit ctl_act(struct ctl *ctl); /* every verb of ctl_actions */
enum ctl_exit ctl_watch(struct ctl *ctl);
enum ctl_exit ctl_agents(struct ctl *ctl);
enum ctl_exit ctl_doctor(struct ctl *ctl);
enum ctl_exit ctl_diagnose(struct ctl *ctl);
enum ctl_exit ctl_roles(struct ctl *ctl);
enum ctl_exit ctl_completion(struct ctl *ctl);

/* Prints "picketctl: <message>" to stderr and returns the code. */
enum ctl_exit ctl_fail(enum ctl_exit code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Lists a resource into the arena as one tree: all pages, up to --limit items. id fills the parent's field
 * (NULL for none). *ret_root is the last answer's root with, at list_items, the items of all. Prints its own
 * errors. */
enum ctl_exit ctl_list(struct ctl *ctl, const struct ctl_resource *resource, const char *id,
                       struct yaml_node **ret_root);
/* The object of this id, out of the answer around it. Prints its own errors; with `absent_is_fine` an absent one is
 * NULL and no error. */
enum ctl_exit ctl_get_one(struct ctl *ctl, const struct ctl_resource *resource, const char *id, bool absent_is_fine,
                          const struct yaml_node **ret_object);
/* As YAML, with its kind in front where it has one, so that it can be edited and applied. */
void ctl_object_add_yaml(struct text *text, const struct ctl_resource *resource, const struct yaml_node *object);
/* One object for people. */
enum ctl_exit ctl_describe_print(struct ctl *ctl, const struct ctl_resource *resource, const struct yaml_node *object);
/* What came of a command: one line, or the answer itself where JSON or YAML is asked for. kind: "SLO", or NULL
 * for the resource that the answer names; done:
 * "acknowledged"; again: what is said when it had no effect. */
enum ctl_exit ctl_say_outcome(struct ctl *ctl, const char *kind, const char *done, const char *again,
                              const struct yaml_node *root);
enum ctl_exit ctl_print_answer(struct ctl *ctl, const struct yaml_node *root);
bool ctl_output_is_tree(const struct ctl *ctl);
/* How many of the newest points a table shows; 0: all. */
size_t ctl_newest(const struct ctl *ctl, const struct ctl_resource *resource);

/* Pages made from the rows; ctl_reference is REFERENCE.md. */
void ctl_help_add(struct text *text, const char *command); /* NULL: the program's */
void ctl_reference_add(struct text *text);

#endif
