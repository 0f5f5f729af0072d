/* SPDX-License-Identifier: Apache-2.0
 * picket-aggregator: arguments, signals, the loop, and the token commands. The rest is aggregator.c. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aggregator/aggregator.h"
#include "aggregator/api/tokens.h"
#include "common/base/clock.h"
#include "common/logging/log.h"

enum { SETTINGS_ARENA_BYTES = 16 * 1024 * 1024 };

static const char default_path[] = "/etc/picket/aggregator.yaml";
static const char usage[] =
    "Usage: picket-aggregator [--config FILE] [--check-config]\n"
    "       picket-aggregator token create --tenant T --name N --role R [--expires WHEN] [--config FILE]\n"
    "       picket-aggregator token revoke --tenant T --name N [--config FILE]\n"
    "       picket-aggregator token list [--tenant T] [--config FILE]\n"
    "       picket-aggregator --help | --version | --sample-config | --reference\n"
    "\n"
    "The system of record: takes intents from agents (MQTT) and callers (HTTP), decides them in one journal, publishes "
    "the\n"
    "facts, and answers queries from what it made of them.\n"
    "\n"
    "  --config FILE     configuration, YAML (/etc/picket/aggregator.yaml without it)\n"
    "  --check-config    read it, name every mistake with its line, and exit: 0 when there is none\n"
    "  --sample-config   print a commented configuration to begin with\n"
    "  --reference       print every key as a Markdown page\n"
    "  --version         print the version\n"
    "\n"
    "Tokens: `create` prints the token, once; only its hash is kept. Roles: viewer, responder, approver, admin, "
    "agent,\n"
    "integration (`picketctl roles` has what each may do). --expires: 90d, or a date such as 2027-01-31; without it "
    "never.\n"
    "A running aggregator takes a change within a second.\n"
    "\n"
    "SIGHUP reads the log settings again; with a mistake in the file the old ones stay. SIGTERM commits what was taken "
    "in\n"
    "and ends.\n"
    "\n"
    "Keys of the configuration. A scalar may be overridden by the environment: PICKET_HTTP_PORT for http.port.\n"
    "\n";

struct arguments {
    const char *config_path, *tenant, *name, *role, *expires;
    bool check;
};

struct program {
    struct loop *loop;
    struct aggregator *aggregator;
    const char *config_path;
};

static int print(fault_code (*make)(const struct setting_table *, struct arena *, slice *, struct fault *),
                 const char *before) {
    struct fault fault;
    slice text;
    struct arena *arena = arena_new(64 * 1024, SETTINGS_ARENA_BYTES);
    if (!arena || make(&aggregator_setting_table, arena, &text, &fault)) {
        fprintf(stderr, "picket-aggregator: %s\n", arena ? fault.text : "out of memory");
        arena_free(arena);
        return 1;
    }
    fputs(before, stdout);
    fwrite(text.data, 1, text.size, stdout);
    arena_free(arena);
    return fflush(stdout) ? 1 : 0;
}

/* Every mistake goes to stderr. */
static bool read_settings(const char *path, struct arena *arena, struct aggregator_settings *ret_settings) {
    struct fault fault;
    struct setting_texts mistakes;
    if (!aggregator_settings_read(path, environ, arena, ret_settings, &mistakes, &fault)) return true;
    for (size_t i = 0; i < mistakes.count; i++) fprintf(stderr, "%.*s\n", SLICE_ARG(mistakes.items[i]));
    if (!mistakes.count) fprintf(stderr, "picket-aggregator: %s\n", fault.text);
    return false;
}

static fault_code setup_log(const struct aggregator_settings *settings, struct fault *reterr) {
    return log_setup((enum log_level)settings->log_level, (enum log_format)settings->log_format, settings->log_debug,
                     reterr);
}

static void reload(const struct program *program) {
    struct fault fault;
    struct aggregator_settings settings;
    struct setting_texts mistakes;
    struct arena *arena = arena_new(64 * 1024, SETTINGS_ARENA_BYTES);
    if (!arena) return;
    if (aggregator_settings_read(program->config_path, environ, arena, &settings, &mistakes, &fault) ||
        setup_log(&settings, &fault))
        LOG_WARN("aggregator", "reload_refused", LOG_FAULT(&fault),
                 LOG_TEXT("instead", "the settings stay as they were"));
    else
        LOG_INFO("aggregator", "reloaded", LOG_TEXT("note", "log settings; the others are read at the start"));
    arena_free(arena);
}

static void on_signal(void *context, int signal_number) {
    struct program *program = context;
    if (signal_number == SIGHUP) {
        reload(program);
        return;
    }
    LOG_INFO("aggregator", "stop_asked", LOG_INT("signal", signal_number));
    loop_stop(program->loop);
}

static int run(const char *config_path, const struct aggregator_settings *settings) {
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    struct program program = {.config_path = config_path};
    struct fault fault;
    signal(SIGPIPE, SIG_IGN);
    fault_code code = setup_log(settings, &fault);
    if (!code) code = loop_new(&program.loop, &fault);
    if (!code)
        code = loop_signals(program.loop, signals, sizeof signals / sizeof *signals, on_signal, &program, &fault);
    if (!code) code = aggregator_open(program.loop, settings, &program.aggregator, &fault);
    if (code) {
        LOG_ERROR("aggregator", "not_started", LOG_FAULT(&fault));
        loop_free(program.loop);
        return 1;
    }
    loop_run(program.loop);
    aggregator_close(program.aggregator);
    loop_free(program.loop);
    LOG_INFO("aggregator", "stopped");
    return 0;
}

/* ---- token create, revoke, list ---- */

static int fail(const struct fault *fault) {
    fprintf(stderr, "picket-aggregator: %s\n", fault->text);
    return 1;
}

static int token_create(const char *path, const struct arguments *arguments) {
    char token[TOKEN_TEXT_BYTES];
    struct fault fault;
    if (!arguments->tenant || !arguments->name || !arguments->role) {
        fputs("picket-aggregator: token create needs --tenant, --name and --role\n", stderr);
        return 2;
    }
    struct token_new new = {.tenant = slice_from_text(arguments->tenant),
                            .name = slice_from_text(arguments->name),
                            .role = token_role_find(slice_from_text(arguments->role)),
                            .now_ms = clock_wall_ms()};
    if (arguments->expires &&
        token_expiry_parse(slice_from_text(arguments->expires), new.now_ms, &new.expires_ms, &fault))
        return fail(&fault);
    if (tokens_file_create(path, &new, token, &fault)) return fail(&fault);
    puts(token);
    return 0;
}

static int token_revoke(const char *path, const struct arguments *arguments) {
    struct fault fault;
    if (!arguments->tenant || !arguments->name) {
        fputs("picket-aggregator: token revoke needs --tenant and --name\n", stderr);
        return 2;
    }
    return tokens_file_revoke(path, slice_from_text(arguments->tenant), slice_from_text(arguments->name), &fault)
               ? fail(&fault)
               : 0;
}

static int token_list(const char *path, const struct arguments *arguments) {
    struct fault fault;
    slice text;
    struct arena *arena = arena_new(64 * 1024, SETTINGS_ARENA_BYTES);
    if (!arena) return 1;
    const fault_code code =
        tokens_file_list(path, slice_from_text(arguments->tenant), clock_wall_ms(), arena, &text, &fault);
    if (!code) fwrite(text.data, 1, text.size, stdout);
    arena_free(arena);
    return code ? fail(&fault) : 0;
}

static int token_command(const char *word, const struct aggregator_settings *settings,
                         const struct arguments *arguments) {
    static const struct {
        const char *word;
        int (*call)(const char *path, const struct arguments *arguments);
    } commands[] = {{"create", token_create}, {"revoke", token_revoke}, {"list", token_list}};
    char path[AGGREGATOR_PATH_BYTES];
    aggregator_tokens_path(settings, path);
    (void)mkdir(setting_text(settings->data.path), 0700); /* a fault shows when the file is written */
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(word, commands[i].word) == 0) return commands[i].call(path, arguments);
    fprintf(stderr, "picket-aggregator: no command 'token %s'; there are create, revoke and list\n", word);
    return 2;
}

int main(int argc, char **argv) {
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check-config", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {"sample-config", no_argument, NULL, 's'},
        {"reference", no_argument, NULL, 'r'},
        {"tenant", required_argument, NULL, 't'},
        {"name", required_argument, NULL, 'n'},
        {"role", required_argument, NULL, 'R'},
        {"expires", required_argument, NULL, 'e'},
        {NULL, 0, NULL, 0},
    };
    struct arguments arguments = {.config_path = default_path};
    for (int option; (option = getopt_long(argc, argv, "c:hv", options, NULL)) != -1;) {
        switch (option) {
        case 'c': arguments.config_path = optarg; break;
        case 'k': arguments.check = true; break;
        case 't': arguments.tenant = optarg; break;
        case 'n': arguments.name = optarg; break;
        case 'R': arguments.role = optarg; break;
        case 'e': arguments.expires = optarg; break;
        case 'h': return print(settings_help, usage);
        case 's': return print(settings_sample, "");
        case 'r': return print(settings_reference, "");
        case 'v': printf("picket-aggregator %s\n", PICKET_VERSION); return 0;
        default: fputs("Try 'picket-aggregator --help'.\n", stderr); return 2;
        }
    }
    const bool token = optind < argc && strcmp(argv[optind], "token") == 0;
    if (optind < argc && (!token || optind + 2 != argc)) {
        fprintf(stderr, "picket-aggregator: '%s' is not understood. Try 'picket-aggregator --help'.\n",
                argv[token ? argc - 1 : optind]);
        return 2;
    }
    struct aggregator_settings settings;
    struct arena *arena = arena_new(64 * 1024, SETTINGS_ARENA_BYTES);
    if (!arena) return 1;
    int result = 1;
    if (read_settings(arguments.config_path, arena, &settings)) {
        if (token)
            result = token_command(argv[optind + 1], &settings, &arguments);
        else if (arguments.check)
            result = printf("%s: good\n", arguments.config_path) < 0;
        else
            result = run(arguments.config_path, &settings);
    }
    arena_free(arena);
    return result;
}
