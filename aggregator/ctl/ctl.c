/* SPDX-License-Identifier: Apache-2.0
 * From the command line to the one command that it names. Everything else is rows and the commands' own
 * files. */
#include "aggregator/ctl/ctl.h"

#include "common/base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BLOCK = 64 * 1024, ARENA_MAX = 1024 * 1024 * 1024 };

static enum ctl_exit show_version(struct ctl *ctl) {
    printf("picketctl " PICKET_VERSION "\n");
    return CTL_EXIT_OK;
}

static enum ctl_exit show_help(struct ctl *ctl) {
    struct text text = text_begin(ctl->arena);
    const char *command = ctl->options.words_count > 1 ? ctl->options.words[1] : NULL;
    if (command && strcmp(command, "reference") == 0)
        ctl_reference_add(&text);
    else
        ctl_help_add(&text, command);
    slice page;
    if (text_end(&text, "help", &page, NULL)) return CTL_EXIT_USAGE;
    fwrite(page.data, 1, page.size, stdout);
    return CTL_EXIT_OK;
}

const struct ctl_command ctl_commands[] = {
    {"get", "RESOURCE [ID]", "list a resource, or show one of it",
     "picketctl get slos\npicketctl get windows checkout-availability --from 1h --split\n"
     "picketctl get burndown checkout-availability --from 7d --step 1h -o json\n"
     "picketctl get facts --where aggregateType=slo --where afterSequence=1000 --limit 50\n"
     "picketctl get health --where statuses=HEALTH_STATUS_UNHEALTHY\n",
     ctl_get},
    {"describe", "RESOURCE ID", "show one in full, with what was measured of late",
     "picketctl describe slo checkout-availability\npicketctl describe rejection 12\n", ctl_describe},
    {"create", "-f FILE", "create what a file holds",
     "picketctl create -f slos.yaml\nkubectl get cm slos -o jsonpath='{.data.slos}' | picketctl create -f "
     "-\n",
     ctl_create},
    {"watch", "[RESOURCE [ID]]", "follow what happens; a resource is drawn again at each change",
     "picketctl watch\npicketctl watch slos\npicketctl watch windows checkout-availability\n", ctl_watch},
    {"doctor", "", "check the way from here to the agents, and say what to do", "picketctl doctor\n", ctl_doctor},
    {"roles", "", "print who may call what: each method, the role it asks for, the roles that may call it",
     "picketctl roles\npicketctl roles | grep Approve\n", ctl_roles},
    {"completion", "bash|zsh|fish", "print shell completion",
     "source <(picketctl completion bash)\npicketctl completion fish > "
     "~/.config/fish/completions/picketctl.fish\n",
     ctl_completion},
    {"version", "", "print the version", "picketctl version\n", show_version},
    {"help", "[COMMAND|reference]", "explain a command; reference prints all of this as Markdown",
     "picketctl help get\n", show_help},
};
const size_t ctl_commands_count = sizeof ctl_commands / sizeof *ctl_commands;

const char *ctl_exit_text(enum ctl_exit code) {
    static const char *const texts[CTL_EXIT_MAX_] = {
        [CTL_EXIT_OK] = "done",
        [CTL_EXIT_REFUSED] = "the aggregator refused or failed; doctor: something is wrong",
        [CTL_EXIT_USAGE] = "the command line or a file is wrong; nothing was sent",
        [CTL_EXIT_UNREACHABLE] = "no answer: address, connection, TLS or time",
        [CTL_EXIT_DENIED] = "the token is missing, unknown, or lacks the right",
        [CTL_EXIT_ABSENT] = "what was asked for does not exist",
    };
    return texts[code];
}

enum ctl_exit ctl_fail(enum ctl_exit code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("picketctl: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    va_end(args);
    return code;
}

static const struct ctl_command *command_find(const char *name) {
    for (size_t i = 0; i < ctl_commands_count; i++)
        if (strcmp(ctl_commands[i].name, name) == 0) return &ctl_commands[i];
    return NULL;
}

static enum ctl_exit run_command(struct ctl *ctl) {
    const struct ctl_options *options = &ctl->options;
    const char *name = options->version ? "version" : options->words_count ? options->words[0] : "help";
    const struct ctl_command *command = command_find(name);
    if (!command) return ctl_fail(CTL_EXIT_USAGE, "unknown command '%s'; see picketctl --help", name);
    if (options->help && command->run != show_help) {
        ctl->options.words[1] = name;
        ctl->options.words_count = 2;
        return show_help(ctl);
    }
    return command->run(ctl);
}

int ctl_run(int argc, char *const *argv) {
    struct ctl ctl = {0};
    struct fault fault = {0};
    if (ctl_options_read(argc, argv, &ctl.options, &fault)) return (int)ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    ctl.tls.ca_path = ctl.options.ca_path;
    ctl.auth.bearer_token = ctl.options.token_path ? NULL : ctl.options.token;
    ctl.auth.bearer_token_path = ctl.options.token_path;
    ctl.arena = arena_new(ARENA_BLOCK, ARENA_MAX);
    enum ctl_exit code;
    if (!ctl.arena)
        code = ctl_fail(CTL_EXIT_USAGE, "out of memory");
    else if (loop_new(&ctl.loop, &fault) || http_client_new(ctl.loop, 4, &ctl.client, &fault))
        code = ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    else
        code = run_command(&ctl);
    if (fflush(stdout) != 0 && code == CTL_EXIT_OK)
        code = ctl_fail(CTL_EXIT_USAGE, "standard output cannot be written");
    if (ctl.client) http_client_free(ctl.client);
    if (ctl.loop) loop_free(ctl.loop);
    arena_free(ctl.arena);
    return (int)code;
}
