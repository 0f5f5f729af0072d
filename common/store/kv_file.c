/* SPDX-License-Identifier: Apache-2.0
 * The format, as mdb.c (0.9) writes it; numbers are of the machine's word size W and byte order.
 *   page:  number W, pad 2, flags 2, then lower 2 and upper 2 (branch, leaf) or a count of pages 4 (overflow); then, on
 *          branch and leaf pages, an offset of 2 bytes for each node up to `lower`, and the nodes from `upper` on
 *   node:  lo 2, hi 2, flags 2, size of the key 2, key, then (leaf) the value, or the number of its first overflow page.
 *          lo and hi are the value's size on a leaf; lo, hi and (with W = 8) flags the child's number on a branch
 *   meta:  pages 0 and 1: magic 4, version 4, address W, map size W, two tables, last page W, transaction W; of the two the
 *          one with the higher transaction holds. The first table lists free pages, the second names the others
 *   table: pad 4 (the first one's: the size of pages), flags 2, depth 2, then W each: branch, leaf and overflow pages,
 *          records, root page */
#include "common/store/kv_file.h"

#include <errno.h>
#include <fcntl.h>
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/slice.h"

typedef size_t page_number; /* W */

enum {
    WORD = sizeof(page_number),
    PAGE_HEAD = WORD + 8,
    NODE_HEAD = 8,
    PAGE_BRANCH = 1,
    PAGE_LEAF = 2,
    PAGE_OVERFLOW = 4,
    PAGE_META = 8,
    NODE_OVERFLOWS = 1,
    NODE_TABLE = 2,
    PAGE_BYTES_MIN = 512,
    PAGE_BYTES_MAX = 65536,
    DEPTH_MAX = 32,
    CELL_BYTES = 2, /* what nodes are aligned to */
    KEY_BYTES_MAX = 511,
    MAGIC = (int)0xBEEFC0DEu,
    VERSION = 1,
};
#define NO_PAGE ((page_number)-1)

struct table {
    uint32_t pad;
    uint16_t flags, depth;
    page_number branch_pages, leaf_pages, overflow_pages, records, root;
};
static_assert(sizeof(struct table) == 8 + 5 * WORD, "as in the file");

struct meta {
    uint32_t magic, version;
    page_number address, map_bytes;
    struct table tables[2];
    page_number last_page, transaction;
};
static_assert(sizeof(struct meta) == 8 + 4 * WORD + 2 * sizeof(struct table), "as in the file");

struct kv_file {
    int fd;
    uint64_t bytes;
    size_t page_bytes;
    struct meta meta; /* the newest */
    uint8_t *used;    /* a bit for each page */
    uint8_t *pages;   /* DEPTH_MAX pages, one for each level */
    uint8_t *run;     /* an overflow run */
    size_t run_room;
    bool roots_only; /* of the tables that the names lead to, the first page */
    struct fault fault;
};

struct node {
    slice key;
    uint64_t value_bytes; /* leaf */
    uint16_t flags;
    page_number child; /* branch; leaf: first overflow page */
    slice value;       /* leaf, when it is on the page */
};

static bool damaged(struct kv_file *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool damaged(struct kv_file *file, const char *format, ...) {
    va_list args;
    char text[160];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!file->fault.code) (void)fault_set(&file->fault, FAULT_CORRUPT, "%s", text);
    return false;
}

static bool read_at(const struct kv_file *file, uint64_t at, void *ret_bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        const ssize_t got = pread(file->fd, (uint8_t *)ret_bytes + done, size - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            if (got == 0) errno = ENODATA;
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

static bool read_page(struct kv_file *file, page_number number, uint8_t *ret_page) {
    if (read_at(file, (uint64_t)number * file->page_bytes, ret_page, file->page_bytes)) return true;
    return damaged(file, "page %zu cannot be read: %s", number,
                   errno == ENODATA ? "the file ends before it" : strerror(errno));
}

static uint16_t u16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}
static page_number word(const uint8_t *at) {
    page_number value;
    memcpy(&value, at, sizeof value);
    return value;
}

static bool page_bytes_fit(size_t bytes) {
    return bytes >= PAGE_BYTES_MIN && bytes <= PAGE_BYTES_MAX && (bytes & (bytes - 1)) == 0;
}

/* false: there is no sound meta page there. */
static bool read_meta(const struct kv_file *file, uint64_t at, struct meta *ret_meta) {
    uint8_t bytes[PAGE_HEAD + sizeof(struct meta)];
    if (!read_at(file, at, bytes, sizeof bytes) || !(u16(bytes + WORD + 2) & PAGE_META)) return false;
    memcpy(ret_meta, bytes + PAGE_HEAD, sizeof *ret_meta);
    return ret_meta->magic == (uint32_t)MAGIC && ret_meta->version == VERSION &&
           page_bytes_fit(ret_meta->tables[0].pad);
}

/* FAULT_ABSENT: no file, or nothing in it. both: LMDB refuses a file of which one meta page is damaged. */
static fault_code file_open(const char *folder, bool both, struct kv_file *file, struct fault *reterr) {
    char path[512];
    struct stat found;
    *file = (struct kv_file){.fd = -1};
    snprintf(path, sizeof path, "%s/data.mdb", folder);
    file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 && errno == ENOENT) return FAULT_ABSENT;
    if (file->fd < 0 || fstat(file->fd, &found)) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "open '%s'", path);
    file->bytes = (uint64_t)found.st_size;
    if (file->bytes == 0) return FAULT_ABSENT;
    struct meta metas[2];
    bool sound[2] = {read_meta(file, 0, &metas[0]), false};
    for (size_t bytes = sound[0] ? metas[0].tables[0].pad : PAGE_BYTES_MIN; bytes <= PAGE_BYTES_MAX && !sound[1];
         bytes *= 2) {
        sound[1] = read_meta(file, bytes, &metas[1]) && metas[1].tables[0].pad == bytes;
        if (sound[0]) break;
    }
    if (!both && !sound[0] && !sound[1]) { /* LMDB makes its pages as large as the machine's */
        file->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
        return FAULT_NONE;
    }
    if (both && (!sound[0] || !sound[1]))
        return fault_set(reterr, FAULT_CORRUPT, "'%s': its first pages are damaged", path);
    const bool second = sound[1] && (!sound[0] || metas[1].transaction > metas[0].transaction);
    /* LMDB takes the number from the newer one, and the page by the number: an odd one is on the second. */
    if (both && (metas[second].transaction & 1) != second)
        return fault_set(reterr, FAULT_CORRUPT, "'%s': its first pages are damaged", path);
    file->meta = metas[second];
    file->page_bytes = file->meta.tables[0].pad;
    return FAULT_NONE;
}

static void file_close(struct kv_file *file) {
    if (file->fd >= 0) close(file->fd);
    free(file->used);
    free(file->pages);
    free(file->run);
}

/* ---- pages and nodes ---- */

/* How many nodes; damage when the head does not fit its page. */
static bool page_nodes(const struct kv_file *file, const uint8_t *page, page_number number, unsigned kind,
                       size_t *ret_count) {
    const uint16_t lower = u16(page + WORD + 4), upper = u16(page + WORD + 6);
    if (word(page) != number || u16(page + WORD + 2) != kind || lower < PAGE_HEAD || lower > upper ||
        upper > file->page_bytes || lower % 2)
        return false;
    *ret_count = (lower - (size_t)PAGE_HEAD) / 2;
    return true;
}

static bool page_node(const struct kv_file *file, const uint8_t *page, size_t index, bool leaf, struct node *ret_node) {
    const size_t at = u16(page + PAGE_HEAD + 2 * index), upper = u16(page + WORD + 6);
    if (at < upper || at + NODE_HEAD > file->page_bytes) return false;
    const uint8_t *const node = page + at;
    const size_t key_bytes = u16(node + 6), room = file->page_bytes - at - NODE_HEAD;
    if (key_bytes > room || key_bytes > KEY_BYTES_MAX) return false;
    const uint64_t low = u16(node) | (uint64_t)u16(node + 2) << 16;
    struct node found = {.key = slice_of(node + NODE_HEAD, key_bytes), .flags = u16(node + 4)};
    const uint8_t *const value = node + NODE_HEAD + key_bytes;
    if (!leaf) {
        found.child = (page_number)(WORD == 8 ? low | (uint64_t)found.flags << 32 : low);
    } else {
        found.value_bytes = low;
        if (found.flags & ~(NODE_OVERFLOWS | NODE_TABLE)) return false;
        const bool overflows = found.flags & NODE_OVERFLOWS;
        if ((overflows ? (uint64_t)WORD : low) > room - key_bytes) return false;
        if (overflows)
            found.child = word(value);
        else
            found.value = slice_of(value, (size_t)low);
    }
    *ret_node = found;
    return true;
}

static uint64_t run_pages(const struct kv_file *file, uint64_t value_bytes) {
    return (PAGE_HEAD - 1 + value_bytes) / file->page_bytes + 1;
}

static bool run_head_fits(const uint8_t *head, page_number number, uint64_t pages) {
    uint32_t recorded;
    memcpy(&recorded, head + WORD + 4, sizeof recorded);
    return word(head) == number && u16(head + WORD + 2) == PAGE_OVERFLOW && recorded == pages;
}

/* The value of a run, in file->run. */
static bool read_run(struct kv_file *file, const struct node *node, slice *ret_value) {
    const size_t bytes = PAGE_HEAD + (size_t)node->value_bytes;
    if (bytes > file->run_room) {
        uint8_t *const larger = realloc(file->run, bytes);
        if (!larger) return false;
        file->run = larger;
        file->run_room = bytes;
    }
    if (!read_at(file, (uint64_t)node->child * file->page_bytes, file->run, bytes)) return false;
    *ret_value = slice_of(file->run + PAGE_HEAD, (size_t)node->value_bytes);
    return run_head_fits(file->run, node->child, run_pages(file, node->value_bytes));
}

/* ---- checking ---- */

static bool use_page(struct kv_file *file, page_number number) {
    if (number < 2 || number > file->meta.last_page) return damaged(file, "page %zu does not exist", number);
    uint8_t *const byte = &file->used[number / 8];
    const uint8_t bit = (uint8_t)(1u << number % 8);
    if (*byte & bit) return damaged(file, "page %zu is used twice", number);
    *byte |= bit;
    return true;
}

struct walk {
    struct kv_file *file;
    const struct table *table;
    bool numbers; /* keys are numbers of the machine: the list of free pages */
    bool names;   /* values are tables */
    struct table found;
    page_number page; /* being looked at */
    uint8_t last[KEY_BYTES_MAX];
    size_t last_bytes;
    bool any, at_least; /* at_least: `last` is a bound that the next key may equal */
};

static int compare(const struct walk *walk, slice key) {
    if (walk->numbers && key.size == WORD && walk->last_bytes == WORD) {
        const page_number a = word(walk->last), b = word(key.data);
        return (a > b) - (a < b);
    }
    const size_t shared = walk->last_bytes < key.size ? walk->last_bytes : key.size;
    const int order = shared ? memcmp(walk->last, key.data, shared) : 0;
    return order ? order : (walk->last_bytes > key.size) - (walk->last_bytes < key.size);
}

static bool next_key(struct walk *walk, slice key, bool bound) {
    if (walk->any) {
        const int order = compare(walk, key);
        if (order > 0 || (order == 0 && !walk->at_least))
            return damaged(walk->file, "page %zu: keys are not in their order", walk->page);
    }
    if (key.size) memcpy(walk->last, key.data, key.size);
    walk->last_bytes = key.size;
    walk->any = true;
    walk->at_least = bound;
    return true;
}

static bool walk_table(struct kv_file *file, const struct table *table, bool numbers, bool names);

static bool check_free(struct kv_file *file, slice value) {
    if (value.size < WORD || value.size % WORD || word(value.data) != value.size / WORD - 1)
        return damaged(file, "the list of free pages is damaged");
    for (size_t at = WORD; at < value.size; at += WORD)
        if (!use_page(file, word(value.data + at))) return false;
    return true;
}

/* The first page of a table alone. */
static bool root_fits(struct kv_file *file, const struct table *table) {
    if (table->root == NO_PAGE) return table->records == 0 || damaged(file, "a table's row is damaged");
    uint8_t head[PAGE_HEAD];
    const unsigned kind = table->depth == 1 ? PAGE_LEAF : PAGE_BRANCH;
    if (!use_page(file, table->root)) return false;
    if (!read_at(file, (uint64_t)table->root * file->page_bytes, head, sizeof head) || word(head) != table->root ||
        u16(head + WORD + 2) != kind)
        return damaged(file, "page %zu does not hold what it should", table->root);
    return true;
}

static bool check_value(struct walk *walk, const struct node *node) {
    struct kv_file *const file = walk->file;
    slice value = node->value;
    walk->found.records++;
    if (node->flags & NODE_OVERFLOWS) {
        const uint64_t pages = run_pages(file, node->value_bytes);
        for (uint64_t i = 0; i < pages; i++)
            if (!use_page(file, node->child + (page_number)i)) return false;
        walk->found.overflow_pages += (page_number)pages;
        uint8_t head[PAGE_HEAD];
        if (((uint64_t)node->child + pages) * file->page_bytes > file->bytes ||
            !read_at(file, (uint64_t)node->child * file->page_bytes, head, sizeof head) ||
            !run_head_fits(head, node->child, pages))
            return damaged(file, "page %zu does not hold what it should", node->child);
        if (walk->numbers && !read_run(file, node, &value))
            return damaged(file, "page %zu cannot be read", node->child);
    }
    if (walk->numbers) return check_free(file, value);
    if (!walk->names) return node->flags & NODE_TABLE ? damaged(file, "a value is not what it should be") : true;
    struct table table;
    if (!(node->flags & NODE_TABLE) || value.size != sizeof table) return damaged(file, "a table's row is damaged");
    memcpy(&table, value.data, sizeof table);
    const bool whole = file->roots_only ? root_fits(file, &table) : walk_table(file, &table, false, false);
    if (!whole) (void)fault_wrap(&file->fault, "table '%.*s'", SLICE_ARG(slice_first(node->key, 40)));
    return whole;
}

/* Its nodes fill a page from `upper` to its end without a gap and without lying on each other: LMDB moves them as one block
 * when it deletes, so a pointer that leads to a sound node in a wrong place would make it overwrite another. */
static bool page_is_packed(const struct kv_file *file, const uint8_t *page, size_t count, bool leaf) {
    uint64_t taken[PAGE_BYTES_MAX / CELL_BYTES / 64 + 1];
    memset(taken, 0, (file->page_bytes / CELL_BYTES / 64 + 1) * sizeof *taken);
    size_t free_bytes = file->page_bytes - u16(page + WORD + 6);
    for (size_t i = 0; i < count; i++) {
        struct node node;
        const size_t at = u16(page + PAGE_HEAD + 2 * i);
        if (at % CELL_BYTES || !page_node(file, page, i, leaf, &node)) return false;
        const bool overflows = leaf && node.flags & NODE_OVERFLOWS;
        size_t bytes = NODE_HEAD + node.key.size + (overflows ? WORD : leaf ? (size_t)node.value_bytes : 0);
        bytes += bytes % CELL_BYTES;
        if (bytes > free_bytes || at + bytes > file->page_bytes) return false;
        free_bytes -= bytes;
        const size_t end = (at + bytes) / CELL_BYTES;
        for (size_t cell = at / CELL_BYTES; cell < end;) {
            const size_t bit = cell % 64, left = end - cell, size = left < 64 - bit ? left : 64 - bit;
            const uint64_t mask = (size == 64 ? UINT64_MAX : (UINT64_C(1) << size) - 1) << bit;
            if (taken[cell / 64] & mask) return false;
            taken[cell / 64] |= mask;
            cell += size;
        }
    }
    return free_bytes == 0;
}

static bool walk_page(struct walk *walk, page_number number, unsigned level) {
    struct kv_file *const file = walk->file;
    /* Tables are walked from a leaf of the names, whose page is needed no more but for its next nodes: another half. */
    uint8_t *const page = file->pages + (level + (walk->names ? 0 : DEPTH_MAX)) * file->page_bytes;
    const bool leaf = level + 1 == walk->table->depth;
    size_t count;
    if (!use_page(file, number) || !read_page(file, number, page)) return false;
    if (!page_nodes(file, page, number, leaf ? PAGE_LEAF : PAGE_BRANCH, &count) || (!leaf && count < 2) ||
        !page_is_packed(file, page, count, leaf))
        return damaged(file, "page %zu is damaged", number);
    *(leaf ? &walk->found.leaf_pages : &walk->found.branch_pages) += 1;
    for (size_t i = 0; i < count; i++) {
        struct node node;
        walk->page = number;
        if (!page_node(file, page, i, leaf, &node)) return damaged(file, "page %zu is damaged", number);
        if (leaf ? !next_key(walk, node.key, false) || !check_value(walk, &node)
                 : (i && !next_key(walk, node.key, true)) || !walk_page(walk, node.child, level + 1))
            return false;
    }
    return true;
}

static bool walk_table(struct kv_file *file, const struct table *table, bool numbers, bool names) {
    struct walk walk = {.file = file, .table = table, .numbers = numbers, .names = names};
    if (table->depth > DEPTH_MAX || (table->depth == 0) != (table->root == NO_PAGE))
        return damaged(file, "a table's row is damaged");
    if (table->depth && !walk_page(&walk, table->root, 0)) return false;
    if (walk.found.records != table->records || walk.found.leaf_pages != table->leaf_pages ||
        walk.found.branch_pages != table->branch_pages || walk.found.overflow_pages != table->overflow_pages)
        return damaged(file, "a table has other counts than its row says");
    return true;
}

static fault_code check(struct kv_file *file, struct fault *reterr) {
    if (file->meta.last_page < 1 || file->meta.last_page > file->bytes / file->page_bytes + (1u << 20))
        return fault_set(reterr, FAULT_CORRUPT, "the file ends long before its last page");
    file->used = calloc(1, file->meta.last_page / 8 + 1);
    file->pages = malloc(2 * DEPTH_MAX * file->page_bytes);
    if (!file->used || !file->pages) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    if ((file->roots_only || walk_table(file, &file->meta.tables[0], true, false)) &&
        walk_table(file, &file->meta.tables[1], false, true))
        return FAULT_NONE;
    if (reterr) *reterr = file->fault;
    return FAULT_CORRUPT;
}

static fault_code check_folder(const char *folder, bool roots_only, struct fault *reterr) {
    struct kv_file file;
    fault_code code = file_open(folder, true, &file, reterr);
    file.roots_only = roots_only;
    if (!code) code = check(&file, reterr);
    file_close(&file);
    if (code == FAULT_ABSENT) return FAULT_NONE;
    return code ? fault_wrap(reterr, "check '%s'", folder) : FAULT_NONE;
}

fault_code kv_file_check(const char *folder, struct fault *reterr) {
    return check_folder(folder, false, reterr);
}

fault_code kv_file_check_tables(const char *folder, struct fault *reterr) {
    return check_folder(folder, true, reterr);
}

/* A commit writes the page of the one before the last. So while the newest is still the one that was read, nobody has begun
 * to write its page. */
fault_code kv_file_open(const char *folder, uint64_t commit, struct kv_file **ret_file, struct fault *reterr) {
    struct kv_file *const file = malloc(sizeof *file);
    if (!file) return fault_set(reterr, FAULT_LIMIT, "open '%s': out of memory", folder);
    struct meta other;
    fault_code code = file_open(folder, true, file, reterr);
    const uint64_t at = file->meta.transaction & 1 ? 0 : file->page_bytes;
    if (!code && (file->meta.transaction != commit || !read_meta(file, at, &other) || other.transaction > commit))
        code = FAULT_AGAIN;
    if (code) {
        kv_file_close(file);
        return code;
    }
    *ret_file = file;
    return FAULT_NONE;
}

fault_code kv_file_walk(struct kv_file *file, struct fault *reterr) {
    return check(file, reterr);
}

struct kv_file *kv_file_close(struct kv_file *file) {
    if (file) file_close(file);
    free(file);
    return NULL;
}

/* ---- scanning ---- */

fault_code kv_file_scan(const char *folder, size_t value_bytes_max, kv_file_visit_fn *visit, void *context,
                        uint64_t *ret_unreadable, struct fault *reterr) {
    struct kv_file file;
    uint64_t unreadable = 0;
    fault_code code = file_open(folder, false, &file, reterr);
    uint8_t *const page = code ? NULL : malloc(file.page_bytes);
    if (!code && !page) code = fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (page_number number = 2; !code && (uint64_t)number * file.page_bytes < file.bytes; number++) {
        size_t count;
        struct node node;
        if (!read_at(&file, (uint64_t)number * file.page_bytes, page, file.page_bytes)) {
            unreadable++;
            continue;
        }
        if (!page_nodes(&file, page, number, PAGE_LEAF, &count)) continue;
        for (size_t i = 0; i < count; i++) {
            if (!page_node(&file, page, i, true, &node) || node.flags & NODE_TABLE) continue;
            if (node.value_bytes > value_bytes_max) continue;
            if (node.flags & NODE_OVERFLOWS && !read_run(&file, &node, &node.value)) continue;
            visit(context, node.key, node.value);
        }
    }
    free(page);
    file_close(&file);
    if (code && code != FAULT_ABSENT) return fault_wrap(reterr, "read what is left in '%s'", folder);
    if (!code) *ret_unreadable = unreadable;
    return code;
}
