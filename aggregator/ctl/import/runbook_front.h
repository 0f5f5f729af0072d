/* SPDX-License-Identifier: Apache-2.0
 * Where a runbook's front matter begins and ends. It says whether a person must approve before the commands run, so what
 * may be front matter and cannot be read as such is a mistake of the file and never text of it. Part of an import. */
#ifndef PICKET_CTL_IMPORT_RUNBOOK_FRONT_H
#define PICKET_CTL_IMPORT_RUNBOOK_FRONT_H

#include "aggregator/ctl/import/import.h"

struct runbook_front {
    const struct yaml_node *root; /* a mapping; NULL: there is none */
    slice body;                   /* the Markdown behind it, lines ended by LF; in the import's arena */
    int body_line;                /* where that begins, from 1 */
};

/* Passed over: a byte order mark, empty lines before, blanks behind the marks, line ends of other systems (CR, CR LF).
 * false: notes say what is wrong, and nothing may be made of the file. */
bool runbook_front_read(struct import *import, const char *file, slice bytes,
                        struct runbook_front *ret_front) MUST_CHECK;

/* Whether each key is one that is read. Those that are not are skipped with a note, and one that has to do with approval is a
 * mistake: false. */
bool runbook_front_keys(struct import *import, const char *file, const struct yaml_node *root) MUST_CHECK;

/* A line of text such as "approval_required: true", which somebody meant to be front matter. */
bool runbook_front_strayed(slice text) MUST_CHECK;

#endif
