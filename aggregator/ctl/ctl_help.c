/* SPDX-License-Identifier: Apache-2.0
 * Help, completion and the reference page, all from the rows of commands, options, resources and kinds. */
#include "aggregator/ctl/ctl_actions.h"
#include "aggregator/ctl/import/import.h"
#include "aggregator/ctl/ctl.h"

#include <stdio.h>

static void add_indented(struct text *text, const char *lines, const char *indent) {
    for (const char *at = lines; *at;) {
        const char *end = strchr(at, '\n');
        text_format(text, "%s%.*s\n", indent, (int)(end - at), at);
        at = end + 1;
    }
}

static void add_options(struct text *text, const char *command) {
    for (size_t i = 0; i < ctl_option_rows_count; i++) {
        const struct ctl_option_row *row = &ctl_option_rows[i];
        const bool field = row->kind == CTL_OPTION_FIELD || row->kind == CTL_OPTION_FIELD_YES;
        if (command ? !ctl_option_serves(row, command) : field || row->commands != NULL) continue;
        char name[64];
        snprintf(name, sizeof name, "%s%s%s%s%s", row->letter ? row->letter : "  ", row->letter ? ", " : "  ",
                 row->name, row->value ? " " : "", row->value ? row->value : "");
        text_format(text, "  %-28s %s\n", name, row->help);
    }
}

static void add_resources(struct text *text) {
    text_add_text(text, "\nResources:\n");
    for (size_t i = 0; i < ctl_resources_count; i++)
        text_format(text, "  %-11s %s%s\n", ctl_resources[i].name, ctl_resources[i].help,
                    ctl_resources[i].list_parent ? " (needs the SLO's id)" : "");
}

static void add_formats(struct text *text) {
    text_add_text(text, "\nFormats:\n");
    for (size_t i = 0; i < import_formats_count; i++)
        text_format(text, "  %-17s %s\n", import_formats[i].name, import_formats[i].help);
}

static void add_kinds(struct text *text) {
    text_add_text(text, "\nKinds, each with a document that can be created (fields as in the contract):\n");
    for (size_t i = 0; i < ctl_kinds_count; i++) {
        text_add_text(text, "\n");
        add_indented(text, ctl_kinds[i].example, "  ");
    }
}

/* A line for each thing that the verb works on. */
static void add_usages(struct text *text, const char *verb, const char *before, const char *after) {
    for (size_t i = 0; i < ctl_actions_count; i++) {
        if (strcmp(ctl_actions[i].verb, verb) != 0) continue;
        text_add_text(text, before);
        ctl_usage_add(text, &ctl_actions[i]);
        text_add_text(text, after);
    }
}

/* What stands behind the verb in lists of commands: "incident|alert ID". */
static void add_head(struct text *text, const struct ctl_command *command) {
    text_add_text(text, command->name);
    if (*command->arguments || !ctl_verb_is(command->name)) {
        text_format(text, " %s", command->arguments);
        return;
    }
    const struct ctl_action *first = NULL;
    for (size_t i = 0; i < ctl_actions_count; i++) {
        if (strcmp(ctl_actions[i].verb, command->name) != 0) continue;
        text_format(text, "%s%s", first ? "|" : " ", ctl_resource_find(ctl_actions[i].resource)->one);
        if (!first) first = &ctl_actions[i];
    }
    for (const struct ctl_argument *a = first->arguments; a->name; a++)
        if (ctl_argument_is_word(a)) text_format(text, " %s", a->name);
}

static void add_words_of(struct text *text, const char *verb) {
    bool said = false;
    for (size_t i = 0; i < ctl_actions_count; i++) {
        if (strcmp(ctl_actions[i].verb, verb) != 0) continue;
        for (const struct ctl_argument *a = ctl_actions[i].arguments; a->name; a++) {
            if (a->value != CTL_VALUE_WORD) continue;
            if (!said) text_add_text(text, "\nWords:\n");
            said = true;
            text_format(text, "  %s %s: ", ctl_resource_find(ctl_actions[i].resource)->one, a->name);
            ctl_words_add(text, a);
            text_add_text(text, "\n");
        }
    }
}

static void add_command(struct text *text, const struct ctl_command *command) {
    text_format(text, "%c%s.\n\n", command->help[0] & ~0x20, command->help + 1);
    if (!ctl_verb_is(command->name) || *command->arguments)
        text_format(text, "  picketctl %s %s\n", command->name, command->arguments);
    add_usages(text, command->name, "  picketctl ", "\n");
    text_add_text(text, "\nOptions:\n");
    add_options(text, command->name);
    text_add_text(text, "\nExamples:\n");
    add_indented(text, command->examples, "  ");
    add_words_of(text, command->name);
    if (strncmp(command->arguments, "RESOURCE", 8) == 0) add_resources(text);
    if (strncmp(command->arguments, "-f FILE", 7) == 0) add_kinds(text);
    if (strncmp(command->arguments, "FORMAT", 6) == 0) add_formats(text);
}

void ctl_help_add(struct text *text, const char *name) {
    for (size_t i = 0; name && i < ctl_commands_count; i++)
        if (strcmp(ctl_commands[i].name, name) == 0) return add_command(text, &ctl_commands[i]);
    text_add_text(text, "picketctl asks a Picket aggregator, and shows what it knows.\n\n"
                        "  picketctl COMMAND [ARGUMENTS] [OPTIONS]\n\nCommands:\n");
    for (size_t i = 0; i < ctl_commands_count; i++) {
        text_add_text(text, "  ");
        const size_t before = text->size;
        add_head(text, &ctl_commands[i]);
        const int padding = 38 - (int)(text->size - before);
        text_format(text, "%*s %s\n", padding > 0 ? padding : 0, "", ctl_commands[i].help);
    }
    text_add_text(text, "\nOptions:\n");
    add_options(text, NULL);
    add_resources(text);
    text_add_text(text,
                  "\nTo begin with:\n"
                  "  export PICKET_URL=http://127.0.0.1:8420 PICKET_TOKEN=...   (a local one: . build/local/env)\n"
                  "  picketctl doctor\n  picketctl get slos\n  picketctl help create\n\nExit codes:\n");
    for (int code = 0; code < CTL_EXIT_MAX_; code++)
        text_format(text, "  %d  %s\n", code, ctl_exit_text((enum ctl_exit)code));
}

static void reference_resources(struct text *text) {
    text_add_text(text, "## Resources\n\n| resource | also | what | columns |\n|---|---|---|---|\n");
    for (size_t i = 0; i < ctl_resources_count; i++) {
        const struct ctl_resource *resource = &ctl_resources[i];
        text_format(text, "| `%s` | %s%s%s | %s | ", resource->name, resource->one, *resource->aliases ? " " : "",
                    resource->aliases, resource->help);
        for (const struct ctl_column *column = resource->columns; column->title; column++)
            text_format(text, "%s%s", column == resource->columns ? "" : ", ", column->title);
        for (const struct ctl_column *column = resource->wide; column && column->title; column++)
            text_format(text, "%s%s", column == resource->wide ? "; wide: " : ", ", column->title);
        text_add_text(text, " |\n");
    }
}

/* The commands that an option belongs to. */
static void add_served(struct text *text, const struct ctl_option_row *row) {
    if (row->kind != CTL_OPTION_FIELD && row->kind != CTL_OPTION_FIELD_YES) {
        text_add_text(text, row->commands ? row->commands : "all");
        return;
    }
    bool first = true;
    for (size_t i = 0; i < ctl_commands_count; i++) {
        if (!ctl_option_serves(row, ctl_commands[i].name)) continue;
        text_format(text, "%s%s", first ? "" : " ", ctl_commands[i].name);
        first = false;
    }
}

void ctl_reference_add(struct text *text) {
    text_add_text(text, "# picketctl\n\nMade by `picketctl help reference`; do not edit.\n\n## Commands\n");
    for (size_t i = 0; i < ctl_commands_count; i++) {
        const struct ctl_command *command = &ctl_commands[i];
        text_format(text, "\n### %s\n\n%c%s.\n\n", command->name, command->help[0] & ~0x20, command->help + 1);
        if (!ctl_verb_is(command->name) || *command->arguments)
            text_format(text, "- `picketctl %s%s%s`\n", command->name, *command->arguments ? " " : "",
                        command->arguments);
        add_usages(text, command->name, "- `picketctl ", "`\n");
        text_format(text, "\n```sh\n%s```\n", command->examples);
    }
    text_add_text(text, "\n## Options\n\n| option | value | commands | what |\n|---|---|---|---|\n");
    for (size_t i = 0; i < ctl_option_rows_count; i++) {
        const struct ctl_option_row *row = &ctl_option_rows[i];
        text_format(text, "| `%s`%s%s%s | %s | ", row->name, row->letter ? " `" : "", row->letter ? row->letter : "",
                    row->letter ? "`" : "", row->value ? row->value : "");
        add_served(text, row);
        text_format(text, " | %s |\n", row->help);
    }
    text_add_text(text, "\n");
    reference_resources(text);
    text_add_text(text,
                  "\n## Kinds for `create -f` and `apply -f`\n\nA file holds one document or several (`---` between "
                  "them), YAML or JSON. "
                  "All are checked before the first is sent. `id` stands for the kind's own id field. What `get ID "
                  "-o yaml` prints can be edited and applied: the fields that the aggregator keeps itself are passed "
                  "over, and the version is the one that is expected. `apply` replaces a definition as a whole: a "
                  "field that the document leaves out is empty afterwards.\n");
    for (size_t i = 0; i < ctl_kinds_count; i++) text_format(text, "\n```yaml\n%s```\n", ctl_kinds[i].example);
    text_add_text(text, "\n## Formats for `import`\n\n| format | what | such as |\n|---|---|---|\n");
    for (size_t i = 0; i < import_formats_count; i++)
        text_format(text, "| `%s` | %s | `%s` |\n", import_formats[i].name, import_formats[i].help,
                    import_formats[i].example);
    text_add_text(text, "\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (int code = 0; code < CTL_EXIT_MAX_; code++)
        text_format(text, "| %d | %s |\n", code, ctl_exit_text((enum ctl_exit)code));
}

/* Inside single quotes; quote: what stands for one there, by shell. */
static void add_quoted(struct text *text, const char *words, const char *quote) {
    for (const char *at = words; *at; at++) text_add_text(text, *at == '\'' ? quote : (char[]){*at, '\0'});
}

static void add_words(struct text *text, bool commands) {
    if (commands)
        for (size_t i = 0; i < ctl_commands_count; i++) text_format(text, "%s%s", i ? " " : "", ctl_commands[i].name);
    else
        for (size_t i = 0; i < ctl_resources_count; i++) text_format(text, "%s%s", i ? " " : "", ctl_resources[i].name);
}

/* Of a command; of all with NULL. */
static void add_option_words(struct text *text, const char *command) {
    const char *between = "";
    for (size_t i = 0; i < ctl_option_rows_count; i++) {
        if (command && !ctl_option_serves(&ctl_option_rows[i], command)) continue;
        text_format(text, "%s%s", between, ctl_option_rows[i].name);
        between = " ";
    }
}

static void add_format_words(struct text *text) {
    for (size_t i = 0; i < import_formats_count; i++) text_format(text, "%s%s", i ? " " : "", import_formats[i].name);
}

/* What a verb works on. */
static void add_things(struct text *text, const char *verb) {
    bool first = true;
    for (size_t i = 0; i < ctl_actions_count; i++) {
        if (strcmp(ctl_actions[i].verb, verb) != 0) continue;
        text_format(text, "%s%s", first ? "" : " ", ctl_resource_find(ctl_actions[i].resource)->one);
        first = false;
    }
}

static void completion_bash(struct text *text) {
    text_add_text(text,
                  "# source <(picketctl completion bash)\n_picketctl() {\n  local word=${COMP_WORDS[COMP_CWORD]} "
                  "before=${COMP_WORDS[COMP_CWORD-1]}\n  case $word in\n    -*)\n      case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < ctl_commands_count; i++) {
        text_format(text, "        %s) COMPREPLY=($(compgen -W '", ctl_commands[i].name);
        add_option_words(text, ctl_commands[i].name);
        text_add_text(text, "' -- \"$word\")) ;;\n");
    }
    text_add_text(text,
                  "      esac\n      return ;;\n  esac\n  case $before in\n"
                  "    -f|--file|--ca|--token-file) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
                  "    -o|--output) COMPREPLY=($(compgen -W 'table wide name json yaml' -- \"$word\")); return ;;\n"
                  "    completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$word\")); return ;;\n"
                  "    import) COMPREPLY=($(compgen -W '");
    add_format_words(text);
    text_add_text(text, "' -- \"$word\")); return ;;\n"
                        "    get|describe|watch) COMPREPLY=($(compgen -W '");
    add_words(text, false);
    text_add_text(text, "' -- \"$word\")); return ;;\n");
    for (size_t i = 0; i < ctl_commands_count; i++) {
        if (!ctl_verb_is(ctl_commands[i].name)) continue;
        text_format(text, "    %s) COMPREPLY=($(compgen -W '", ctl_commands[i].name);
        add_things(text, ctl_commands[i].name);
        text_add_text(text, "' -- \"$word\")); return ;;\n");
    }
    text_add_text(text, "  esac\n  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    "
                        "COMPREPLY=($(compgen -W '");
    add_words(text, true);
    text_add_text(
        text,
        "' -- \"$word\"))\n  elif [ \"${COMP_WORDS[1]}\" = import ]; then COMPREPLY=($(compgen -f -- \"$word\"))\n"
        "  elif [ \"$COMP_CWORD\" -eq 3 ]; then\n"
        "    COMPREPLY=($(compgen -W \"$(picketctl get \"$before\" -o name 2>/dev/null | cut -d/ -f2-)\" "
        "-- \"$word\"))\n  fi\n}\ncomplete -F _picketctl picketctl\n");
}

static void completion_zsh(struct text *text) {
    text_add_text(text, "#compdef picketctl\n_picketctl() {\n  local -a commands resources\n  commands=(");
    for (size_t i = 0; i < ctl_commands_count; i++) {
        text_format(text, "'%s:", ctl_commands[i].name);
        add_quoted(text, ctl_commands[i].help, "'\\''");
        text_add_text(text, "' ");
    }
    text_add_text(text, ")\n  resources=(");
    for (size_t i = 0; i < ctl_resources_count; i++) {
        text_format(text, "'%s:", ctl_resources[i].name);
        add_quoted(text, ctl_resources[i].help, "'\\''");
        text_add_text(text, "' ");
    }
    text_add_text(text, ")\n  if (( CURRENT == 2 )); then _describe command commands\n"
                        "  elif (( CURRENT == 3 )) && [[ $words[2] == (get|describe|watch) ]]; then "
                        "_describe resource resources\n");
    for (size_t i = 0; i < ctl_commands_count; i++) {
        if (!ctl_verb_is(ctl_commands[i].name)) continue;
        text_format(text, "  elif (( CURRENT == 3 )) && [[ $words[2] == %s ]]; then compadd ", ctl_commands[i].name);
        add_things(text, ctl_commands[i].name);
        text_add_text(text, "\n");
    }
    text_add_text(text, "  elif [[ $words[2] == import ]] && (( CURRENT > 3 )); then _files\n"
                        "  elif (( CURRENT == 3 )) && [[ $words[2] == import ]]; then compadd ");
    add_format_words(text);
    text_add_text(text, "\n"
                        "  elif [[ $words[CURRENT-1] == (-f|--file|--ca|--token-file) ]]; then _files\n"
                        "  elif [[ $words[CURRENT-1] == (-o|--output) ]]; then compadd table wide name json yaml\n"
                        "  else compadd -- ");
    add_option_words(text, NULL);
    text_add_text(text, "\n  fi\n}\ncompdef _picketctl picketctl\n");
}

static void completion_fish(struct text *text) {
    text_add_text(text,
                  "complete -c picketctl -f\ncomplete -c picketctl -n '__fish_seen_subcommand_from import' -F -a '");
    add_format_words(text);
    text_add_text(text, "'\n");
    for (size_t i = 0; i < ctl_commands_count; i++) {
        text_format(text, "complete -c picketctl -n __fish_use_subcommand -a %s -d '", ctl_commands[i].name);
        add_quoted(text, ctl_commands[i].help, "\\'");
        text_add_text(text, "'\n");
    }
    for (size_t i = 0; i < ctl_resources_count; i++) {
        text_format(text, "complete -c picketctl -n '__fish_seen_subcommand_from get describe watch' -a %s -d '",
                    ctl_resources[i].name);
        add_quoted(text, ctl_resources[i].help, "\\'");
        text_add_text(text, "'\n");
    }
    for (size_t i = 0; i < ctl_commands_count; i++) {
        if (!ctl_verb_is(ctl_commands[i].name)) continue;
        text_format(text, "complete -c picketctl -n '__fish_seen_subcommand_from %s' -a '", ctl_commands[i].name);
        add_things(text, ctl_commands[i].name);
        text_add_text(text, "'\n");
    }
    for (size_t i = 0; i < ctl_option_rows_count; i++) {
        const struct ctl_option_row *row = &ctl_option_rows[i];
        text_format(text, "complete -c picketctl -l %s%s%s%s -d '", row->name + 2, row->letter ? " -s " : "",
                    row->letter ? row->letter + 1 : "", row->value ? " -r" : "");
        add_quoted(text, row->help, "\\'");
        text_format(text, "'%s\n", row->value && strcmp(row->value, "FILE") == 0 ? " -F" : "");
    }
}

enum ctl_exit ctl_completion(struct ctl *ctl) {
    static const struct {
        const char *shell;
        void (*add)(struct text *text);
    } shells[] = {{"bash", completion_bash}, {"zsh", completion_zsh}, {"fish", completion_fish}};
    const char *shell = ctl->options.words_count > 1 ? ctl->options.words[1] : "";
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shells[i].shell, shell) != 0) continue;
        struct text text = text_begin(ctl->arena);
        shells[i].add(&text);
        slice page;
        if (text_end(&text, "completion", &page, NULL)) return CTL_EXIT_USAGE;
        fwrite(page.data, 1, page.size, stdout);
        return CTL_EXIT_OK;
    }
    return ctl_fail(CTL_EXIT_USAGE, "completion for bash, zsh or fish? such as: picketctl completion bash");
}
