/* SPDX-License-Identifier: Apache-2.0
 * Each works on the tokens' file alone, under the lock that its functions take: a running aggregator sees the change. */
#include "aggregator/token_commands.h"

#include "aggregator/aggregator.h"
#include "aggregator/api/tokens.h"
#include "common/base/clock.h"

#include <stdio.h>
#include <sys/stat.h>

enum { LIST_ARENA_BYTES = 16 * 1024 * 1024 };

static int fail(const struct fault *fault) {
    fprintf(stderr, "picket-aggregator: %s\n", fault->text);
    return 1;
}

static int token_create(const char *path, const struct command_line *line) {
    char token[TOKEN_TEXT_BYTES];
    struct fault fault;
    if (!line->tenant || !line->name || !line->role) {
        fputs("picket-aggregator: token create needs --tenant, --name and --role\n", stderr);
        return 2;
    }
    struct token_new new = {.tenant = slice_from_text(line->tenant),
                            .name = slice_from_text(line->name),
                            .role = token_role_find(slice_from_text(line->role)),
                            .now_ms = clock_wall_ms()};
    if (line->expires && token_expiry_parse(slice_from_text(line->expires), new.now_ms, &new.expires_ms, &fault))
        return fail(&fault);
    if (tokens_file_create(path, &new, token, &fault)) return fail(&fault);
    puts(token);
    return 0;
}

static int token_revoke(const char *path, const struct command_line *line) {
    struct fault fault;
    if (!line->tenant || !line->name) {
        fputs("picket-aggregator: token revoke needs --tenant and --name\n", stderr);
        return 2;
    }
    if (tokens_file_revoke(path, slice_from_text(line->tenant), slice_from_text(line->name), &fault))
        return fail(&fault);
    fprintf(stderr, "token %s of tenant %s revoked; a running aggregator refuses it within a second\n", line->name,
            line->tenant);
    return 0;
}

static int token_list(const char *path, const struct command_line *line) {
    struct fault fault;
    slice text;
    struct arena *arena = arena_new(64 * 1024, LIST_ARENA_BYTES);
    if (!arena) return 1;
    const fault_code code =
        tokens_file_list(path, slice_from_text(line->tenant), clock_wall_ms(), arena, &text, &fault);
    if (!code) fwrite(text.data, 1, text.size, stdout);
    arena_free(arena);
    return code ? fail(&fault) : 0;
}

int token_command(const struct command_line *line, const struct aggregator_settings *settings) {
    static const struct {
        const char *word;
        int (*call)(const char *path, const struct command_line *line);
    } commands[] = {{"create", token_create}, {"revoke", token_revoke}, {"list", token_list}};
    char path[AGGREGATOR_PATH_BYTES];
    aggregator_tokens_path(settings, path);
    (void)mkdir(setting_text(settings->data.path), 0700); /* a fault shows when the file is written */
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(line->words[1], commands[i].word) == 0) return commands[i].call(path, line);
    fprintf(stderr, "picket-aggregator: no command 'token %s'; there are create, revoke and list\n", line->words[1]);
    return 2;
}
