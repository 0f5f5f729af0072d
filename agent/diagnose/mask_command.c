/* SPDX-License-Identifier: Apache-2.0
 * One table of commands with their options. In a text a command counts from where it is named to the end of its line. */
#include "agent/diagnose/mask_command.h"

#include "agent/diagnose/mask_name.h"
#include "agent/diagnose/mask_rules.h"
#include "agent/diagnose/mask_text.h"
#include "agent/diagnose/mask_value.h"

enum { CLUSTER_BYTES_MAX = 6, NUMBER_BYTES_MAX = 5 };

struct command_row {
    slice begins;        /* the command's name, or how it begins ("mysqldump") */
    const char *letters; /* of its options */
    bool glued;          /* the value only right behind the letter ("-pX"); "-p X" is something else */
    slice option;        /* a long one, whose name does not tell */
};

#define COMMAND(begins, letters, glued, option)                                                                        \
    {                                                                                                                  \
        {(const uint8_t *)(begins), sizeof(begins) - 1}, letters, glued, {                                             \
            (const uint8_t *)(option), sizeof(option) - 1                                                              \
        }                                                                                                              \
    }
static const struct command_row rows[] = {
    COMMAND("curl", "uU", false, "user"),     COMMAND("http", "a", false, ""),
    COMMAND("mysql", "p", true, ""),          COMMAND("mariadb", "p", true, ""),
    COMMAND("redis-cli", "a", false, ""),     COMMAND("valkey-cli", "a", false, ""),
    COMMAND("sshpass", "p", false, ""),       COMMAND("mongo", "p", false, ""),
    COMMAND("ldap", "w", false, ""),          COMMAND("sqlcmd", "P", false, ""),
    COMMAND("login", "p", false, ""), /* docker login, helm registry login */
    COMMAND("rabbitmqadmin", "p", false, ""), COMMAND("cqlsh", "p", false, ""),
    COMMAND("smbclient", "U", false, ""),     COMMAND("mosquitto_", "P", false, ""),
    COMMAND("unzip", "P", false, ""),         COMMAND("etcdctl", "", false, "user"),
};
enum { ROWS = sizeof rows / sizeof *rows };

static bool is_border(uint8_t c) {
    return !mask_is_name_byte(c);
}

/* The command whose name begins at `at`, as a bit; 0: none. */
static uint32_t row_at(slice text, size_t at) {
    if (at > 0 && !is_border(text.data[at - 1])) return 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (text.data[at] != rows[i].begins.data[0] || !slice_starts_with(slice_from(text, at), rows[i].begins))
            continue;
        size_t end = at + rows[i].begins.size;
        while (end < text.size && mask_is_name_byte(text.data[end])) end++;
        const bool scheme = mask_goes_on_with(text, end, SLICE_LIT("://"));
        if (!scheme && (end >= text.size || text.data[end] <= ' ' || strchr("\"'`,:\\]", text.data[end])))
            return 1U << i;
    }
    return 0;
}

uint32_t mask_command_find(slice text) {
    uint32_t found = 0;
    for (size_t at = 0; at < text.size; at++) found |= row_at(text, at);
    return found;
}

/* An option that begins at its '-', of the commands that were named. */
struct option {
    bool secret; /* its value is one */
    size_t end;  /* where the value begins when it is glued to it; else where the option's name ends */
    bool glued;
};

static struct option option_of(slice text, size_t at, uint32_t commands) {
    const size_t begin = at + 1;
    size_t end = begin;
    while (end < text.size && mask_is_name_byte(text.data[end])) end++;
    const slice name = slice_of(text.data + begin, end - begin);
    for (size_t i = 0; i < ROWS && name.size; i++) {
        const struct command_row *const row = &rows[i];
        if (!(commands >> i & 1)) continue;
        if (name.data[0] == '-') { /* "--user", "--proxy-user" */
            const slice tail =
                name.size > row->option.size ? slice_from(name, name.size - row->option.size) : (slice){0};
            if (row->option.size && slice_equal(tail, row->option)) return (struct option){true, end, false};
        } else if (strchr(row->letters, name.data[0])) {
            const bool glued = begin + 1 < text.size && text.data[begin + 1] > ' ' &&
                               !strchr(",\\]=", text.data[begin + 1]) && !mask_is_quote(text.data[begin + 1]);
            if (glued || !row->glued) return (struct option){true, begin + 1, glued};
        } else if (!row->glued && name.size <= CLUSTER_BYTES_MAX && strchr(row->letters, name.data[name.size - 1])) {
            return (struct option){true, end, false}; /* "-su" */
        }
    }
    return (struct option){0};
}

void mask_rule_commands(slice text, uint8_t *marks) {
    struct mask_values values = {.text = text, .marks = marks};
    uint32_t commands = 0;
    for (size_t at = 0; at < text.size; at++) {
        const uint8_t c = text.data[at];
        if (c == '\n') {
            values.line = at + 1;
            commands = 0;
        }
        commands |= row_at(text, at);
        if (c != '-' || !commands || !at || (text.data[at - 1] > ' ' && !strchr("\"'`,[(", text.data[at - 1])))
            continue;
        const struct option option = option_of(text, at, commands);
        size_t value = option.end;
        if (!option.secret) continue;
        if (!option.glued) /* ["-u", "x"] too */
            while (value < text.size &&
                   (mask_is_blank(text.data[value]) || strchr("=,\\", text.data[value]) ||
                    (mask_is_quote(text.data[value]) && value == option.end && mask_is_quote(text.data[at - 1]))))
                value += text.data[value] != 0;
        mask_value_mark(&values, value, false);
    }
}

/* ---- word by word ---- */

static bool is_number_or_path(slice word) {
    if (!word.size || word.data[0] == '/' || word.data[0] == '-') return true;
    for (size_t i = 0; i < word.size; i++)
        if (!isdigit(word.data[i])) return false;
    return word.size <= NUMBER_BYTES_MAX;
}

/* "-pX" of whatever command; "-port" and "-profile=x" are options of that name. */
static bool is_glued_password(slice word) {
    if (!slice_starts_with(word, SLICE_LIT("-p")) || word.size < 4) return false;
    const slice value = slice_from(word, 2);
    bool plain = true;
    for (size_t i = 0; i < value.size; i++) plain &= islower(value.data[i]) || value.data[i] == '-';
    return !plain && !memchr(value.data, '=', value.size) && !is_number_or_path(value);
}

size_t mask_command_word(struct mask_command *command, slice word) {
    const int next = command->next;
    command->next = MASK_COMMAND_SHOWN;
    if (next == MASK_COMMAND_SECRET) return 0;
    if (next == MASK_COMMAND_MAYBE && !is_number_or_path(word)) return 0;
    if (next == MASK_COMMAND_USER && word.size && memchr(word.data, ':', word.size)) return 0;
    command->rows |= mask_command_find(word);
    if (word.size < 2 || word.data[0] != '-') return word.size;
    const struct option option = option_of(word, 0, command->rows);
    if (option.secret && option.glued) return option.end;
    if (is_glued_password(word)) return 2;
    const bool named = word.size > 3 && !memchr(word.data, '=', word.size) && mask_name_is_secret(word);
    command->next = option.secret || named                                                         ? MASK_COMMAND_SECRET
                    : slice_equal(word, SLICE_LIT("-p"))                                           ? MASK_COMMAND_MAYBE
                    : slice_equal(word, SLICE_LIT("-u")) || slice_equal(word, SLICE_LIT("--user")) ? MASK_COMMAND_USER
                                                                                                   : MASK_COMMAND_SHOWN;
    return word.size;
}
