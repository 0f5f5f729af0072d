/* SPDX-License-Identifier: Apache-2.0
 * picket-aggregator: arguments, commands, signals and the loop. The rest is aggregator.c and the commands' own
 * files. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "aggregator/aggregator.h"
#include "aggregator/archive/archive_commands.h"
#include "aggregator/token_commands.h"
#include "common/logging/log.h"

enum { SETTINGS_ARENA_BYTES = 16 * 1024 * 1024 };

static const char default_path[] = "/etc/picket/aggregator.yaml";
static const char usage[] =
    "Usage: picket-aggregator [--config FILE] [--check-config]\n"
    "       picket-aggregator token create --tenant T --name N --role R [--expires WHEN] [--config FILE]\n"
    "       picket-aggregator token revoke --tenant T --name N [--config FILE]\n"
    "       picket-aggregator token list [--tenant T] [--config FILE]\n"
    "       picket-aggregator verify [--messages] [--known SEQUENCE:HASH] [--config FILE | --data PATH]\n"
    "       picket-aggregator backup --to FOLDER [--config FILE | --data PATH]\n"
    "       picket-aggregator restore --from FOLDER [--take-over] [--config FILE | --data PATH]\n"
    "       picket-aggregator take-over [--config FILE | --data PATH]\n"
    "       picket-aggregator export --tenant T [--to FILE] [--config FILE | --data PATH]\n"
    "       picket-aggregator import --tenant T --from FILE [--config FILE | --data PATH]\n"
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
    "  --data PATH       for the commands on a data folder: data.path, without a configuration\n"
    "\n"
    "Tokens: `create` prints the token, once; only its hash is kept. Roles: viewer, responder, approver, admin, "
    "agent,\n"
    "integration (`picketctl roles` has what each may do). --expires: 90d, or a date such as 2027-01-31; without it "
    "never.\n"
    "A running aggregator takes a change within a second.\n"
    "\n"
    "verify reads the journal, beside a running aggregator too: follows the chain of hashes over all facts and names "
    "the\n"
    "first one that is bad. Exit 0: whole, 1: not. It prints the last fact's sequence and hash; given back later by "
    "--known\n"
    "they prove that history up to there is still the same. --messages decodes each fact's message too.\n"
    "backup copies the journal and the tokens while the aggregator runs, verifies the copy, and gives it its name when "
    "it\n"
    "is on the disk. restore verifies and puts it into an empty data.path; projections are built again at the start.\n"
    "What was restored stands by: it answers, and stays off the broker, for what a second aggregator acknowledges, "
    "the\n"
    "agents delete. restore --take-over, or take-over later, makes it the centre: be sure that no other one runs.\n"
    "export writes everything of one tenant as lines of JSON (to stdout without --to), while the aggregator runs. "
    "import\n"
    "takes such a file (- is stdin) into a journal that has nothing of that tenant, all or nothing, while none runs.\n"
    "\n"
    "SIGHUP reads the log settings and the journal's budget again; with a mistake in the file the old ones stay. "
    "SIGTERM commits what was taken "
    "in\n"
    "and ends.\n"
    "\n"
    "To begin with (./platforms/local/up of the source does all of this, with a broker and an agent):\n"
    "  picket-aggregator --sample-config > aggregator.yaml     then say mqtt.host and its certificates\n"
    "  picket-aggregator --config aggregator.yaml --check-config\n"
    "  picket-aggregator token create --config aggregator.yaml --tenant demo --name anna --role admin\n"
    "  picket-aggregator --config aggregator.yaml\n"
    "  PICKET_TOKEN=<that token> picketctl doctor\n"
    "\n"
    "Keys of the configuration. A scalar may be overridden by the environment: PICKET_HTTP_PORT for http.port.\n"
    "Durations have a unit (250ms, 30s, 1m30s, 7d), sizes too (64KiB, 256MiB, 1GiB).\n"
    "\n";

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
    else {
        aggregator_reload(program->aggregator, &settings);
        LOG_INFO("aggregator", "reloaded",
                 LOG_TEXT("note", "log settings and the journal's budget; the others are read at the start"));
    }
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

/* Every mistake goes to stderr. */
static bool settings_for(const struct command_line *line, struct arena *arena,
                         struct aggregator_settings *ret_settings) {
    if (!line->data_path) return read_settings(line->config_path, arena, ret_settings);
    *ret_settings = (struct aggregator_settings){.data = {slice_from_text(line->data_path), INT64_C(64) << 30}};
    return true;
}

static int run_command(const struct command_line *line, const struct aggregator_settings *settings) {
    return run(line->config_path, settings);
}

static int check_command(const struct command_line *line, const struct aggregator_settings *settings) {
    return printf("%s: good\n", line->config_path) < 0;
}

struct command_row {
    const char *word;  /* NULL: none is given */
    unsigned words;    /* behind it */
    bool on_data_only; /* --data may stand for a configuration */
    int (*call)(const struct command_line *line, const struct aggregator_settings *settings);
};
static const struct command_row commands[] = {
    {NULL, 0, false, run_command},       {"token", 1, false, token_command},        {"verify", 0, true, verify_command},
    {"backup", 0, true, backup_command}, {"restore", 0, true, restore_command},     {"export", 0, true, export_command},
    {"import", 0, true, import_command}, {"take-over", 0, true, take_over_command},
};

/* NULL: said on stderr. */
static const struct command_row *command_find(const struct command_line *line, int words_count) {
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const struct command_row *row = &commands[i];
        if (!row->word != !line->words[0] || (row->word && strcmp(row->word, line->words[0]) != 0)) continue;
        if (words_count > (row->word ? 1 : 0) + (int)row->words) break;
        if (words_count == (row->word ? 1 : 0) + (int)row->words && (!line->data_path || row->on_data_only)) return row;
        fprintf(stderr, "picket-aggregator: %s %s. Try 'picket-aggregator --help'.\n", row->word ? row->word : "it",
                line->data_path && !row->on_data_only ? "takes no --data" : "needs one more word");
        return NULL;
    }
    fprintf(stderr, "picket-aggregator: '%s' is not understood. Try 'picket-aggregator --help'.\n",
            line->words[words_count > 1]);
    return NULL;
}

int main(int argc, char **argv) {
    struct command_line line = {.config_path = default_path};
    const struct {
        const char *name;
        const char **value;
    } texts[] = {{"config", &line.config_path}, {"data", &line.data_path}, {"tenant", &line.tenant},
                 {"name", &line.name},          {"role", &line.role},      {"known", &line.known},
                 {"expires", &line.expires},    {"to", &line.to},          {"from", &line.from}};
    enum { TEXTS = sizeof texts / sizeof *texts, FIRST_TEXT = 256 };
    struct option options[TEXTS + 8] = {
        {"check-config", no_argument, NULL, 'k'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},      {"sample-config", no_argument, NULL, 's'},
        {"reference", no_argument, NULL, 'r'},    {"messages", no_argument, NULL, 'm'},
        {"take-over", no_argument, NULL, 't'},
    };
    for (int i = 0; i < TEXTS; i++)
        options[7 + i] = (struct option){texts[i].name, required_argument, NULL, FIRST_TEXT + i};
    for (int option; (option = getopt_long(argc, argv, "c:hv", options, NULL)) != -1;) {
        switch (option) {
        case 'c': line.config_path = optarg; break;
        case 'k': line.check = true; break;
        case 'm': line.messages = true; break;
        case 't': line.take_over = true; break;
        case 'h': return print(settings_help, usage);
        case 's': return print(settings_sample, "");
        case 'r': return print(settings_reference, "");
        case 'v': printf("picket-aggregator %s\n", PICKET_VERSION); return 0;
        default:
            if (option < FIRST_TEXT) {
                fputs("Try 'picket-aggregator --help'.\n", stderr);
                return 2;
            }
            *texts[option - FIRST_TEXT].value = optarg;
        }
    }
    const int words_count = argc - optind;
    for (int i = 0; i < words_count && i < 2; i++) line.words[i] = argv[optind + i];
    if (words_count > 2) line.words[1] = argv[argc - 1];
    const struct command_row *command = command_find(&line, words_count);
    if (!command) return 2;
    struct aggregator_settings settings;
    struct arena *arena = arena_new(64 * 1024, SETTINGS_ARENA_BYTES);
    if (!arena) return 1;
    int result = 1;
    sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL); /* an error, like a full disk */
    if (settings_for(&line, arena, &settings)) result = (line.check ? check_command : command->call)(&line, &settings);
    arena_free(arena);
    return result;
}
