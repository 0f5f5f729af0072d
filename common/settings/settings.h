/* SPDX-License-Identifier: Apache-2.0
 * Settings from a YAML file (and, for scalars, the environment), driven by rows: parsing, bounds, --help, the
 * sample file and the reference come from the same row. Every mistake is reported with its file and line, not
 * the first only; unknown keys are refused with the nearest known one; anchors, aliases, tags, merges and
 * duplicates are refused.
 *
 *   struct target { slice url; int64_t interval_ms; struct setting_map labels; };
 *   struct agent_settings {
 *       slice queue_path;
 *       int log_level;
 *       struct { struct target *items; size_t count; } targets;
 *   };
 *
 *   static const struct setting_row target_rows[] = {
 *   #define SETTING(...) SETTING_ROW(struct target, __VA_ARGS__),
 *       //      key         kind      member       default  low   high   help        (default NULL: required)
 *       SETTING("url",      TEXT,     url,         NULL,    "1",  "2048","where the target's metrics are")
 *       SETTING("interval", DURATION, interval_ms, "30s",   "1s", "1h",  "time between two scrapes")
 *   #undef SETTING
 *       SETTING_MAP(struct target, "labels", labels, 16, "added to each series"),
 *   };
 *   static const struct setting_table target_table = SETTING_TABLE("target", struct target, target_rows);
 *   static const struct setting_row agent_rows[] = {
 *       SETTING_ROW(struct agent_settings, "queue.path", PATH, queue_path, "/queue", NULL, NULL, "..."),
 *       SETTING_ENUM(struct agent_settings, "log.level", log_level, log_level_names, "info", "..."),
 *       SETTING_LIST(struct agent_settings, "targets", targets, &target_table, 1000, "what to scrape"),
 *   };
 *   static const struct setting_table agent_table =
 *       SETTING_TABLE("picket-agent", struct agent_settings, agent_rows);
 *
 *   struct settings *read = settings_new(&agent_table, arena);
 *   fault_code code = settings_read_file(read, path, environ, &values, &fault);
 *   for (size_t i = 0; i < values.targets.count; i++)    // what rows cannot say
 *       if (!url_ok(values.targets.items[i].url))
 *           settings_mistake(read, &values.targets.items[i].url, "is not a URL");
 *   for (size_t i = 0; i < settings_mistakes_count(read); i++)
 *       fprintf(stderr, "%s\n", settings_mistake_at(read, i));
 *
 * `${NAME}` in a value of the file is what the environment says, in lists too (setting_expand.h).
 * A dot in a key is a level in the file ("queue.path" is `queue: {path: ...}`), in nested tables too.
 * Not thread-safe; everything read lives in the arena. */
#ifndef PICKET_SETTINGS_SETTINGS_H
#define PICKET_SETTINGS_SETTINGS_H

#include "common/base/arena.h"
#include "common/base/fault.h"

enum setting_kind {
    SETTING_KIND_BOOL,     /* bool     true, false */
    SETTING_KIND_INT,      /* int64_t  */
    SETTING_KIND_DURATION, /* int64_t  milliseconds; "250ms", "1m30s", "2d": a unit is required */
    SETTING_KIND_BYTES,    /* int64_t  "512", "64KiB", "10MB" */
    SETTING_KIND_DOUBLE,   /* double   */
    SETTING_KIND_TEXT,     /* slice    bounds are its length in bytes */
    SETTING_KIND_PATH,     /* slice    a file or folder, not opened here */
    SETTING_KIND_SECRET,   /* slice    never printed */
    SETTING_KIND_ENUM,     /* int (or an enum): index into names */
    SETTING_KIND_TEXTS,    /* struct setting_texts: a list of strings */
    SETTING_KIND_MAP,      /* struct setting_map: string to string */
    SETTING_KIND_LIST,     /* struct { T *items; size_t count; }: a list of objects, rows in `table` */
};

/* Slices from settings have a NUL behind them and none inside, so that setting_text gives a C string for a
 * library. */
struct setting_texts {
    const slice *items;
    size_t count;
};
struct setting_pair {
    slice key, value;
};
struct setting_map {
    const struct setting_pair *items;
    size_t count;
};

struct setting_table;
struct setting_row {
    const char *key;
    enum setting_kind kind;
    size_t offset, member_bytes;
    const char *fallback;     /* as written in a file; NULL: required; "": may be left out (zero, empty; see
                             settings_given) */
    const char *low, *high;   /* inclusive, as written in a file; NULL: none. For lists: high is the most items. */
    const char *help;         /* one sentence without a full stop */
    const char *const *names; /* ENUM: NULL-terminated */
    const struct setting_table *table; /* LIST */
};
struct setting_table {
    const char *name;
    const struct setting_row *rows;
    size_t rows_count;
    size_t values_bytes;
};

#define SETTING_ROW(owner, key_, kind_, member_, fallback_, low_, high_, help_)                                        \
    {                                                                                                                  \
        .key = (key_), .kind = SETTING_KIND_##kind_, .offset = offsetof(owner, member_),                               \
        .member_bytes = sizeof(((owner *)0)->member_), .fallback = (fallback_), .low = (low_), .high = (high_),        \
        .help = (help_)                                                                                                \
    }
#define SETTING_ENUM(owner, key_, member_, names_, fallback_, help_)                                                   \
    {                                                                                                                  \
        .key = (key_), .kind = SETTING_KIND_ENUM, .offset = offsetof(owner, member_),                                  \
        .member_bytes = sizeof(((owner *)0)->member_), .fallback = (fallback_), .names = (names_), .help = (help_)     \
    }
#define SETTING_TEXTS(owner, key_, member_, most_, help_) /* most_: "16" */                                            \
    {                                                                                                                  \
        .key = (key_), .kind = SETTING_KIND_TEXTS, .offset = offsetof(owner, member_),                                 \
        .member_bytes = sizeof(((owner *)0)->member_), .fallback = "", .high = #most_, .help = (help_)                 \
    }
#define SETTING_MAP(owner, key_, member_, most_, help_)                                                                \
    {                                                                                                                  \
        .key = (key_), .kind = SETTING_KIND_MAP, .offset = offsetof(owner, member_),                                   \
        .member_bytes = sizeof(((owner *)0)->member_), .fallback = "", .high = #most_, .help = (help_)                 \
    }
#define SETTING_LIST(owner, key_, member_, table_, most_, help_)                                                       \
    {                                                                                                                  \
        .key = (key_), .kind = SETTING_KIND_LIST, .offset = offsetof(owner, member_),                                  \
        .member_bytes = sizeof(((owner *)0)->member_), .fallback = "", .high = #most_, .help = (help_),                \
        .table = (table_)                                                                                              \
    }
#define SETTING_TABLE(name_, owner, rows_)                                                                             \
    { (name_), (rows_), sizeof(rows_) / sizeof *(rows_), sizeof(owner) }

enum { SETTINGS_FILE_BYTES = 1024 * 1024, SETTINGS_DEPTH = 8, SETTINGS_MISTAKES = 100, SETTINGS_NODES = 100000 };

/* One reading. In the arena, as all it finds; NULL when the arena is full. The table is static. */
struct settings;
struct settings *settings_new(const struct setting_table *table, struct arena *arena) MUST_CHECK;

/* Reads a file, then the environment (NULL: not; entries "PICKET_QUEUE_PATH=..." override the scalar
 * "queue.path"; those of other keys are not looked at), into *ret_values (values_bytes of the table).
 * FAULT_INPUT: there are mistakes; the text is the first and says how many more; FAULT_SYSTEM: the file
 * cannot be read; FAULT_LIMIT: the arena is full. After a failure *ret_values holds defaults where nothing
 * better was found, and must not be used to run. */
fault_code settings_read_file(struct settings *settings, const char *path, char *const *environment, void *ret_values,
                              struct fault *reterr) MUST_CHECK;
/* As above from memory; file_name stands in the messages. An empty text gives the defaults. */
fault_code settings_read_text(struct settings *settings, const char *file_name, slice yaml, char *const *environment,
                              void *ret_values, struct fault *reterr) MUST_CHECK;

/* The line of a value by the address of its member (or of a list's item): 0 when it is a default, -1 from the
 * environment. Good for messages, and to know whether an optional value was given. */
int settings_line(const struct settings *settings, const void *member);
bool settings_given(const struct settings *settings, const void *member);

/* Adds a mistake of the caller's own, "file:line: key: <message>", at a member or item (NULL: at the file).
 */
void settings_mistake(struct settings *settings, const void *member, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t settings_mistakes_count(const struct settings *settings);
const char *settings_mistake_at(const struct settings *settings, size_t index);
/* After the caller's own checks: FAULT_INPUT with the first and how many more, or FAULT_NONE. */
fault_code settings_result(const struct settings *settings, struct fault *reterr) MUST_CHECK;

/* From the rows, in the arena: for --help (wrapped at 100 columns), a commented sample file that reads as the
 * defaults, and a Markdown reference. FAULT_LIMIT when the arena is full. */
fault_code settings_help(const struct setting_table *table, struct arena *arena, slice *ret_text,
                         struct fault *reterr) MUST_CHECK;
fault_code settings_sample(const struct setting_table *table, struct arena *arena, slice *ret_text,
                           struct fault *reterr) MUST_CHECK;
fault_code settings_reference(const struct setting_table *table, struct arena *arena, slice *ret_text,
                              struct fault *reterr) MUST_CHECK;

/* The value as a C string, NULL when empty. */
static inline const char *setting_text(slice value) {
    return value.size ? (const char *)value.data : NULL;
}

/* The scalars' own grammar, for others who read the same notation (API, CLI). */
fault_code setting_parse_duration(slice text, int64_t *ret_ms, struct fault *reterr) MUST_CHECK;
fault_code setting_parse_bytes(slice text, int64_t *ret_bytes, struct fault *reterr) MUST_CHECK;

#endif
