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
    {"create", "-f FILE | RESOURCE", "create what a file holds, or one thing by options",
     "picketctl create -f slos.yaml\nkubectl get cm slos -o jsonpath='{.data.slos}' | picketctl create -f "
     "-\npicketctl create incident Checkout is down --severity critical --service checkout\n"
     "picketctl create service checkout --name Checkout --owner team-shop --depends-on payments\n",
     ctl_create},
    {"apply", "-f FILE", "make the aggregator hold what a file says: create what is missing, replace what differs",
     "picketctl apply -f catalog.yaml\npicketctl get slo checkout-availability -o yaml > slo.yaml   # edit it, then\n"
     "picketctl apply -f slo.yaml                                     # refused if somebody changed it meanwhile\n"
     "picketctl apply -f catalog.yaml --dry-run\n",
     ctl_apply},
    {"edit", "RESOURCE ID", "change one in your editor (VISUAL, EDITOR, or vi), and apply it when you leave",
     "picketctl edit slo checkout-availability\nEDITOR=\"code --wait\" picketctl edit runbook restart-checkout\n"
     "picketctl edit service/checkout --dry-run\n",
     ctl_edit},
    {"import", "FORMAT FILE...",
     "read what other programs keep (openslo, backstage, prometheus-rules, runbooks) and apply it",
     "picketctl import openslo slos.yaml --dry-run\npicketctl import backstage catalog-info.yaml\n"
     "picketctl import prometheus-rules rules/*.yaml --owner team-platform\npicketctl import runbooks runbooks/*.md\n",
     ctl_import},
    {"ack", "", "say that you have seen it",
     "picketctl ack incident inc-1\npicketctl ack alert prometheus.3f2a --note \"on it\"\n", ctl_act},
    {"assign", "", "give an incident to a responder", "picketctl assign inc-1 anna\n", ctl_act},
    {"unassign", "", "give an incident back to nobody", "picketctl unassign inc-1 --reason \"end of my shift\"\n",
     ctl_act},
    {"severity", "", "change how severe an incident is taken to be",
     "picketctl severity inc-1 critical --reason \"payments fail too\"\n", ctl_act},
    {"note", "", "add to an incident's timeline",
     "picketctl note inc-1 the pool is empty since 02:10\n"
     "picketctl note inc-1 --kind finding --link https://grafana.example/d/pool pool at its limit\n",
     ctl_act},
    {"move", "", "move an incident or a postmortem to another status, by the moves that its status allows",
     "picketctl move incident inc-1 mitigating\npicketctl move incident inc-1 investigating --reason \"it is back\"\n"
     "picketctl move postmortem 2026-01-checkout draft\n",
     ctl_act},
    {"resolve", "", "say how an incident was resolved",
     "picketctl resolve inc-1 raised the pool to 200 --root-cause \"the limit was never raised\"\n", ctl_act},
    {"close", "", "close a resolved incident", "picketctl close inc-1\n", ctl_act},
    {"correlate", "", "tie alerts to an incident", "picketctl correlate inc-1 prometheus.3f2a prometheus.9c01\n",
     ctl_act},
    {"silence", "", "silence an alert for a time: it fires on, and pages nobody",
     "picketctl silence prometheus.3f2a --for 2h --reason \"known, fixed in the morning\"\n", ctl_act},
    {"unsilence", "", "take a silence back", "picketctl unsilence prometheus.3f2a\n", ctl_act},
    {"execute", "", "begin an execution of a runbook; it waits where an approval is required",
     "picketctl execute restart-checkout --incident inc-1 --parameter region=eu\n", ctl_act},
    {"approve", "", "let an execution run that somebody else asked for", "picketctl approve exec-1\n", ctl_act},
    {"reject", "", "end an execution that waits for approval",
     "picketctl reject exec-1 --reason \"not during the sale\"\n", ctl_act},
    {"step", "", "say how a step of a running execution went",
     "picketctl step exec-1 restart succeeded --output-text \"rolled out\"\n", ctl_act},
    {"complete", "", "say how a running execution ended, or cancel it", "picketctl complete exec-1 succeeded\n",
     ctl_act},
    {"delete", "", "delete a service that no other needs", "picketctl delete service old-checkout\n", ctl_act},
    {"review", "", "put a draft of a postmortem to review", "picketctl review 2026-01-checkout\n", ctl_act},
    {"publish", "", "publish a postmortem; from then on it does not change", "picketctl publish 2026-01-checkout\n",
     ctl_act},
    {"replay", "", "try a rejected message again, after what was wrong is fixed", "picketctl replay 12\n", ctl_act},
    {"watch", "[RESOURCE [ID]]", "follow what happens; a resource is drawn again at each change",
     "picketctl watch\npicketctl watch slos\npicketctl watch windows checkout-availability\n", ctl_watch},
    {"diagnose", "AGENT describe|events|logs|rollout|top ...",
     "look into an agent's cluster: read only, what its settings allow, secrets masked",
     "picketctl diagnose edge-1 describe pod api-0 -n shop\npicketctl diagnose edge-1 events deployment/api -n shop\n"
     "picketctl diagnose edge-1 logs api-0 -n shop -c api --tail 200 --previous\n"
     "picketctl diagnose edge-1 rollout deployment api -n shop\npicketctl diagnose edge-1 top pods -n shop\n"
     "picketctl diagnose edge-1 top nodes\npicketctl get facts --where aggregateType=diagnostics   # who looked at "
     "what\n",
     ctl_diagnose},
    {"agents", "[NAME] | enrol NAME | revoke NAME",
     "the fleet at a glance, one agent in full, a token for a new one, the end of one",
     "picketctl agents\npicketctl agents --status unknown -o wide\npicketctl agents edge-2\n"
     "picketctl agents enrol edge-2 --for 2h > token\npicketctl agents revoke edge-2 --reason \"disk was stolen\"\n",
     ctl_agents},
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

/* "incident/inc-1", as `get -o name` prints it, is two words. */
static enum ctl_exit split_name(struct ctl *ctl) {
    struct ctl_options *options = &ctl->options;
    const char *slash = options->words_count > 1 ? strchr(options->words[1], '/') : NULL;
    if (!slash || options->words_count == CTL_WORDS_MAX) return CTL_EXIT_OK;
    const slice head = arena_copy(ctl->arena, slice_of(options->words[1], (size_t)(slash - options->words[1])));
    if (!head.data) return ctl_fail(CTL_EXIT_USAGE, "out of memory");
    if (!ctl_resource_find((const char *)head.data)) return CTL_EXIT_OK;
    memmove(&options->words[3], &options->words[2], (options->words_count - 2) * sizeof *options->words);
    options->words[1] = (const char *)head.data;
    options->words[2] = slash + 1;
    options->words_count++;
    return CTL_EXIT_OK;
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
    const enum ctl_exit code = split_name(ctl);
    return code ? code : command->run(ctl);
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
