/* SPDX-License-Identifier: Apache-2.0
 * Files of other programs, read as what Picket keeps: each format is a row, and turns what it reads into objects
 * (commands that create them) and notes (what was left out, and what could not be read, each with its place and why).
 * Nothing is sent from here. One arena holds all of it; any thread, one import at a time. */
#ifndef PICKET_CTL_IMPORT_IMPORT_H
#define PICKET_CTL_IMPORT_IMPORT_H

#include "common/base/text.h"
#include "common/settings/yaml_reader.h"

enum {
    IMPORT_FILE_BYTES_MAX = 4 * 1024 * 1024,
    IMPORT_DEPTH_MAX = 32,
    IMPORT_NODES_MAX = 200000,
    IMPORT_DOCUMENTS_MAX = 2000, /* of a file */
    IMPORT_OBJECTS_MAX = 10000,
    IMPORT_NOTES_MAX = 10000
};

struct import_object {
    const char *kind; /* as in `kind: SLO` */
    const char *file;
    int line;
    slice id;
    slice command;    /* JSON of the creating command; not checked yet */
    bool only_create; /* the source says too little to replace what is there */
};

enum import_note_kind {
    IMPORT_SKIPPED, /* means nothing here, or is somebody else's: no mistake */
    IMPORT_FAILED   /* should have become something, and did not */
};
struct import_note {
    enum import_note_kind kind;
    const char *file;
    int line; /* 0: the file as a whole */
    slice what, why;
};

struct import_document { /* of a YAML file */
    const char *file;
    struct yaml_node *root;
};

struct import {
    struct arena *arena;
    const char *owner; /* for what names none; NULL: nobody */
    /* Whether the aggregator has a service of this id; NULL: not known, which is taken for no. */
    bool (*has_service)(void *context, slice service_id);
    /* Whether the contract takes it; NULL: everything, so that who applies it says what it does not take. */
    bool (*fits)(void *context, const struct import_object *object, struct fault *reterr);
    void *context;

    struct import_document *documents;
    size_t documents_count, documents_room;
    struct import_object *objects;
    size_t objects_count, objects_room;
    struct import_note *notes;
    size_t notes_count, notes_room, failed_count;
    bool full; /* a maximum above or the arena's was reached */
};

struct import_format {
    const char *name, *help, *example;
    void (*read)(struct import *import, const char *file, slice bytes); /* NULL: YAML, kept for `finish` */
    void (*finish)(struct import *import);                              /* once, behind all files; may be NULL */
};
extern const struct import_format import_formats[];
extern const size_t import_formats_count;
const struct import_format *import_format_find(const char *name); /* NULL when there is none */

/* Both add to the import; what is wrong becomes a note. `file` and `bytes` live as long as the import. */
void import_read(struct import *import, const struct import_format *format, const char *file, slice bytes);
/* Behind the last file: objects are complete, and each id of a kind stands once. FAULT_LIMIT: more than is read. */
fault_code import_finish(struct import *import, const struct import_format *format, struct fault *reterr) MUST_CHECK;

/* For the formats. */

void import_skip(struct import *import, const char *file, int line, slice what, const char *why, ...)
    __attribute__((format(printf, 5, 6)));
void import_fail(struct import *import, const char *file, int line, slice what, const char *why, ...)
    __attribute__((format(printf, 5, 6)));

/* A command being written: fields without a value are left out. */
struct import_json {
    struct text text;
    bool begun;
};
struct import_json import_json_begin(struct import *import);
void import_json_text(struct import_json *json, const char *name, slice value);
void import_json_raw(struct import_json *json, const char *name, const char *value); /* JSON; NULL: left out */
void import_json_texts(struct import_json *json, const char *name, const slice *values, size_t count);
/* A mapping of scalars; those that are none are skipped with a note. */
void import_json_map(struct import *import, struct import_json *json, const char *name, const char *file,
                     const struct yaml_node *map);
/* The command as far as it is written, for a look at it; more may be written behind. */
slice import_json_so_far(struct import *import, const struct import_json *json);
void import_add(struct import *import, struct import_object object, struct import_json *json);

/* The scalar at a path; empty when there is none. */
slice import_text(const struct yaml_node *node, const char *path);
const struct yaml_node *import_at(const struct yaml_node *node, const char *path);
/* Fits an aggregate's id: what may not stand in one becomes '-', 128 bytes at most. */
slice import_id(struct arena *arena, slice text);
/* Whether it is one as it stands. */
bool import_is_id(slice text);
/* A note for each entry of a mapping that is none of `known` (NULL behind the last), and which of them was meant if it is
 * like one but for its case and its separators. */
void import_say_unread(struct import *import, const char *file, slice what, const struct yaml_node *mapping,
                       const char *const *known);
/* Small letters, digits and single '-', 64 bytes at most; `otherwise` when nothing is left. */
slice import_slug(struct arena *arena, slice text, const char *otherwise);
/* Whether the contract takes it as a tag (FORMAT_TAG: A-Z a-z 0-9 . _ - /, of at most 128 bytes). */
bool import_is_tag(slice text);
/* One line of at most `characters`: runs of blanks become one, what is cut is marked with an ellipsis. */
slice import_line(struct arena *arena, slice text, size_t characters);

/* Each in its file. */
void import_openslo_finish(struct import *import);
void import_backstage_finish(struct import *import);
void import_rules_finish(struct import *import);
void import_runbooks_read(struct import *import, const char *file, slice bytes);

#endif
