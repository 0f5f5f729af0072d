/* SPDX-License-Identifier: Apache-2.0
 * The door to md4c: CommonMark with tables, raw HTML off (it is text), as a flat list of blocks in the order in which
 * they stand. Any thread; everything lives in the arena. */
#ifndef PICKET_CTL_IMPORT_MARKDOWN_H
#define PICKET_CTL_IMPORT_MARKDOWN_H

#include "common/base/arena.h"
#include "common/base/fault.h"

enum { MARKDOWN_BYTES_MAX = 4 * 1024 * 1024, MARKDOWN_BLOCKS_MAX = 20000, MARKDOWN_DEPTH_MAX = 32 };

enum markdown_kind { MARKDOWN_HEADING, MARKDOWN_PARAGRAPH, MARKDOWN_CODE };

struct markdown_block {
    enum markdown_kind kind;
    int line;       /* 1 is the first; of code: of its first line */
    unsigned level; /* of a heading, 1 to 6 */
    bool item;      /* begins an item of an outermost ordered list */
    slice text;     /* of one line or several, as Markdown again; of code: the code, without its last line end */
    slice plain;    /* without marks; of code: empty */
    slice language; /* of code */
    slice link;     /* the first one to http or https; empty: none */
    struct markdown_block *next;
};

/* NULL when there is nothing. FAULT_LIMIT: more than the maxima above, or the arena is full. */
fault_code markdown_read(slice text, struct arena *arena, struct markdown_block **ret_first,
                         struct fault *reterr) MUST_CHECK;

#endif
