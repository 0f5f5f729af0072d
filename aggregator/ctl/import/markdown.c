/* SPDX-License-Identifier: Apache-2.0
 * md4c calls back at each block's and span's beginning and end. Text is collected until the block that holds it ends,
 * or another begins inside of it (a tight list's item has no paragraph of its own). md4c hands out pieces of the source
 * itself, so that where a piece begins gives the line. */
#include "aggregator/ctl/import/markdown.h"

#include "common/base/text.h"

#include <md4c.h>

struct list {
    bool ordered;
};

struct reader {
    slice source;
    struct arena *arena;
    struct markdown_block *first, **last;
    size_t count;
    struct list lists[MARKDOWN_DEPTH_MAX];
    size_t depth;
    struct markdown_block block; /* being collected */
    struct text text, plain;
    bool open, item_begins, bullet_begins, failed;
    size_t counted_to; /* offset up to which line ends are counted */
    int counted_line;
    size_t cells;
};

static int fail(struct reader *reader) {
    reader->failed = true;
    return -1;
}

static void open_block(struct reader *reader, enum markdown_kind kind) {
    reader->block = (struct markdown_block){.kind = kind};
    reader->text = text_begin(reader->arena);
    reader->plain = text_begin(reader->arena);
    reader->open = true;
}

/* The line of a piece of the source; what md4c made itself keeps the line before it. */
static void mark_line(struct reader *reader, const char *piece) {
    const uint8_t *at = (const uint8_t *)piece;
    if (reader->block.line || at < reader->source.data || at > reader->source.data + reader->source.size) return;
    const size_t offset = (size_t)(at - reader->source.data);
    for (; reader->counted_to < offset; reader->counted_to++)
        if (reader->source.data[reader->counted_to] == '\n') reader->counted_line++;
    reader->block.line = reader->counted_line;
}

static int close_block(struct reader *reader) {
    if (!reader->open) return 0;
    reader->open = false;
    struct markdown_block *block = &reader->block;
    if (block->kind == MARKDOWN_CODE)
        while (reader->text.size && reader->text.data[reader->text.size - 1] == '\n') reader->text.size--;
    if (!reader->text.size) return 0;
    if (reader->count++ == MARKDOWN_BLOCKS_MAX) return fail(reader);
    if (text_end(&reader->text, "block", &block->text, NULL) || text_end(&reader->plain, "block", &block->plain, NULL))
        return fail(reader);
    if (block->kind != MARKDOWN_HEADING) {
        block->item = reader->item_begins;
        reader->item_begins = reader->bullet_begins = false;
    }
    struct markdown_block *kept = arena_alloc(reader->arena, sizeof *kept);
    if (!kept) return fail(reader);
    *kept = *block;
    kept->line = block->line ? block->line : reader->counted_line;
    *reader->last = kept;
    reader->last = &kept->next;
    return 0;
}

static int enter_list(struct reader *reader, bool ordered) {
    if (close_block(reader) || reader->depth == MARKDOWN_DEPTH_MAX) return fail(reader);
    reader->lists[reader->depth++].ordered = ordered;
    return 0;
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *context) {
    struct reader *reader = context;
    switch (type) {
    case MD_BLOCK_UL: return enter_list(reader, false);
    case MD_BLOCK_OL: return enter_list(reader, true);
    case MD_BLOCK_LI:
        if (close_block(reader)) return -1;
        reader->item_begins = reader->depth == 1 && reader->lists[0].ordered;
        reader->bullet_begins = !reader->item_begins;
        return 0;
    case MD_BLOCK_H:
        if (close_block(reader)) return -1;
        open_block(reader, MARKDOWN_HEADING);
        reader->block.level = ((const MD_BLOCK_H_DETAIL *)detail)->level;
        return 0;
    case MD_BLOCK_CODE: {
        const MD_BLOCK_CODE_DETAIL *code = detail;
        if (close_block(reader)) return -1;
        open_block(reader, MARKDOWN_CODE);
        reader->block.language = arena_copy(reader->arena, slice_of(code->lang.text, code->lang.size));
        return 0;
    }
    case MD_BLOCK_TR: reader->cells = 0; return close_block(reader);
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
        if (!reader->open) open_block(reader, MARKDOWN_PARAGRAPH);
        if (reader->cells++) {
            text_add_text(&reader->text, " | ");
            text_add_text(&reader->plain, " | ");
        }
        return 0;
    case MD_BLOCK_P: return close_block(reader);
    case MD_BLOCK_DOC:
    case MD_BLOCK_QUOTE:
    case MD_BLOCK_HR:
    case MD_BLOCK_HTML:
    case MD_BLOCK_TABLE:
    case MD_BLOCK_THEAD:
    case MD_BLOCK_TBODY: break;
    }
    return 0;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *context) {
    struct reader *reader = context;
    (void)detail;
    if (type == MD_BLOCK_TH || type == MD_BLOCK_TD) return 0;
    if (close_block(reader)) return -1;
    if ((type == MD_BLOCK_UL || type == MD_BLOCK_OL) && reader->depth) reader->depth--;
    if (type == MD_BLOCK_LI) reader->item_begins = reader->bullet_begins = false;
    return 0;
}

/* Text that stands in no block yet: a tight item's, or a paragraph's. */
static void need_block(struct reader *reader) {
    if (reader->open) return;
    open_block(reader, MARKDOWN_PARAGRAPH);
    if (!reader->bullet_begins) return;
    for (size_t i = 1; i < reader->depth; i++) text_add_text(&reader->text, "  ");
    text_add_text(&reader->text, reader->depth && reader->lists[reader->depth - 1].ordered ? "1. " : "- ");
}

static const char *mark_of(MD_SPANTYPE type) {
    switch (type) {
    case MD_SPAN_EM: return "*";
    case MD_SPAN_STRONG: return "**";
    case MD_SPAN_CODE: return "`";
    case MD_SPAN_DEL: return "~~";
    case MD_SPAN_A: return "[";
    case MD_SPAN_IMG: return "![";
    case MD_SPAN_LATEXMATH:
    case MD_SPAN_LATEXMATH_DISPLAY:
    case MD_SPAN_WIKILINK:
    case MD_SPAN_U: break;
    }
    return "";
}

static int enter_span(MD_SPANTYPE type, void *detail, void *context) {
    struct reader *reader = context;
    need_block(reader);
    text_add_text(&reader->text, mark_of(type));
    if (type == MD_SPAN_A && !reader->block.link.size) {
        const MD_ATTRIBUTE *href = &((const MD_SPAN_A_DETAIL *)detail)->href;
        const slice link = slice_of(href->text, href->size);
        if (text_is_http_url(link)) reader->block.link = arena_copy(reader->arena, link);
    }
    return 0;
}

static int leave_span(MD_SPANTYPE type, void *detail, void *context) {
    struct reader *reader = context;
    if (type != MD_SPAN_A && type != MD_SPAN_IMG) {
        text_add_text(&reader->text, mark_of(type));
        return 0;
    }
    const MD_ATTRIBUTE *where =
        type == MD_SPAN_A ? &((const MD_SPAN_A_DETAIL *)detail)->href : &((const MD_SPAN_IMG_DETAIL *)detail)->src;
    text_add_text(&reader->text, "](");
    text_add(&reader->text, slice_of(where->text, where->size));
    text_add_text(&reader->text, ")");
    return 0;
}

static slice plain_entity(slice entity) {
    static const struct {
        const char *entity, *text;
    } entities[] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&nbsp;", " "}, {"&apos;", "'"}};
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
        if (slice_equal_text(entity, entities[i].entity)) return slice_from_text(entities[i].text);
    return entity;
}

static int on_text(MD_TEXTTYPE type, const MD_CHAR *piece, MD_SIZE size, void *context) {
    struct reader *reader = context;
    slice text = slice_of(piece, size), plain = text;
    need_block(reader);
    if (type == MD_TEXT_NORMAL || type == MD_TEXT_CODE) mark_line(reader, piece);
    if (type == MD_TEXT_NULLCHAR) text = plain = SLICE_LIT("\xEF\xBF\xBD");
    if (type == MD_TEXT_BR || type == MD_TEXT_SOFTBR) text = plain = SLICE_LIT("\n");
    if (type == MD_TEXT_ENTITY) plain = plain_entity(text);
    text_add(&reader->text, text);
    if (reader->block.kind != MARKDOWN_CODE) text_add(&reader->plain, plain);
    return reader->text.full || reader->plain.full ? fail(reader) : 0;
}

fault_code markdown_read(slice text, struct arena *arena, struct markdown_block **ret_first, struct fault *reterr) {
    if (text.size > MARKDOWN_BYTES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "more than %d bytes of Markdown", MARKDOWN_BYTES_MAX);
    /* MD4C looks for the end of a line by strcspn(3), also in the last line: a NUL has to be there. */
    const slice whole = arena_copy(arena, text);
    if (!whole.data && text.data) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    struct reader reader = {.source = whole, .arena = arena, .counted_line = 1};
    reader.last = &reader.first;
    const MD_PARSER parser = {.flags = MD_FLAG_NOHTML | MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH |
                                       MD_FLAG_PERMISSIVEURLAUTOLINKS,
                              .enter_block = enter_block,
                              .leave_block = leave_block,
                              .enter_span = enter_span,
                              .leave_span = leave_span,
                              .text = on_text};
    if (md_parse(whole.data ? (const char *)whole.data : "", (MD_SIZE)whole.size, &parser, &reader) != 0 ||
        reader.failed)
        return fault_set(reterr, FAULT_LIMIT, "more than %d blocks, nested deeper than %d lists, or larger than memory",
                         MARKDOWN_BLOCKS_MAX, MARKDOWN_DEPTH_MAX);
    *ret_first = reader.first;
    return FAULT_NONE;
}
