/* SPDX-License-Identifier: Apache-2.0
 * The classic way (Thompson 1968): the source is parsed into a tree, the tree is written out as steps, and matching
 * carries the set of steps that are alive from one character to the next. Nothing ever backtracks, so no pattern of a
 * user can hang the agent. The set lives on the stack: two lists of at most PATTERN_STEPS_MAX numbers.
 * The parser is in pattern_parse.c. */
#include "common/base/pattern_tree.h"

#include <stdlib.h>

enum { WRITER_VISITS_MAX = 64 * PATTERN_STEPS_MAX };
enum step_kind { STEP_CLASS, STEP_SPLIT, STEP_JUMP, STEP_BEGIN, STEP_END, STEP_MATCH };

struct step {
    uint8_t kind;
    uint16_t x, y; /* class: first range and count; split and jump: where to */
};

struct pattern {
    struct step *steps;
    struct pattern_range *ranges;
    unsigned steps_count;
    bool literal; /* no more than this text: matched by comparing */
    size_t text_size;
    uint8_t text[];
};

struct pattern_writer {
    const struct pattern_tree *tree;
    struct step *steps;
    unsigned count, visits; /* visits: nested repeats of nothing write no steps, but must end as well */
    bool full;
};

static unsigned write_step(struct pattern_writer *writer, enum step_kind kind, unsigned x, unsigned y) {
    if (writer->count == PATTERN_STEPS_MAX) {
        writer->full = true;
        return 0;
    }
    writer->steps[writer->count] = (struct step){(uint8_t)kind, (uint16_t)x, (uint16_t)y};
    return writer->count++;
}

static void write_node(struct pattern_writer *writer, unsigned number);

/* x* : split to x or past it, x, jump back. */
static void write_star(struct pattern_writer *writer, unsigned number) {
    const unsigned split = write_step(writer, STEP_SPLIT, 0, 0);
    write_node(writer, number);
    write_step(writer, STEP_JUMP, split, 0);
    if (writer->full) return;
    writer->steps[split].x = (uint16_t)(split + 1);
    writer->steps[split].y = (uint16_t)writer->count;
}

static void write_repeat(struct pattern_writer *writer, const struct pattern_node *node) {
    for (int i = 0; i < node->min && !writer->full; i++) write_node(writer, node->a);
    if (node->max < 0) {
        write_star(writer, node->a);
        return;
    }
    for (int i = node->min; i < node->max && !writer->full; i++) {
        const unsigned split = write_step(writer, STEP_SPLIT, writer->count + 1, 0);
        write_node(writer, node->a);
        if (!writer->full) writer->steps[split].y = (uint16_t)writer->count;
    }
}

static void write_node(struct pattern_writer *writer, unsigned number) {
    const struct pattern_node *node = &writer->tree->nodes[number];
    if (++writer->visits > WRITER_VISITS_MAX) writer->full = true;
    if (writer->full) return;
    switch (node->kind) {
    case NODE_EMPTY: return;
    case NODE_CLASS: write_step(writer, STEP_CLASS, node->a, node->b); return;
    case NODE_BEGIN: write_step(writer, STEP_BEGIN, 0, 0); return;
    case NODE_END: write_step(writer, STEP_END, 0, 0); return;
    case NODE_THEN:
        write_node(writer, node->a);
        write_node(writer, node->b);
        return;
    case NODE_REPEAT: write_repeat(writer, node); return;
    case NODE_OR: {
        const unsigned split = write_step(writer, STEP_SPLIT, 0, 0);
        write_node(writer, node->a);
        const unsigned jump = write_step(writer, STEP_JUMP, 0, 0);
        if (writer->full) return;
        writer->steps[split].x = (uint16_t)(split + 1);
        writer->steps[split].y = (uint16_t)writer->count;
        write_node(writer, node->b);
        if (!writer->full) writer->steps[jump].x = (uint16_t)writer->count;
        return;
    }
    }
}

static bool is_literal(slice source) {
    for (size_t i = 0; i < source.size; i++)
        if (strchr("\\.+*?()|[]{}^$", source.data[i])) return false; /* a NUL counts as special: harmless */
    return true;
}

fault_code pattern_compile(slice source, struct pattern **ret_pattern, struct fault *reterr) {
    struct pattern_tree *tree = NULL;
    struct pattern *pattern = NULL;
    fault_code code;
    if (source.size > PATTERN_BYTES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "the expression is longer than %d bytes (PATTERN_BYTES_MAX)",
                         PATTERN_BYTES_MAX);
    pattern = calloc(1, sizeof *pattern + source.size);
    if (pattern == NULL) {
        code = fault_set(reterr, FAULT_SYSTEM, "out of memory");
        goto done;
    }
    pattern->text_size = source.size;
    if (source.size) memcpy(pattern->text, source.data, source.size);
    pattern->literal = is_literal(source);
    if (pattern->literal) {
        *ret_pattern = pattern;
        return FAULT_NONE;
    }
    code = pattern_parse(source, &tree, reterr);
    if (code) goto done;
    pattern->steps = calloc(PATTERN_STEPS_MAX, sizeof *pattern->steps);
    pattern->ranges = calloc(tree->ranges_count + 1, sizeof *pattern->ranges);
    if (pattern->steps == NULL || pattern->ranges == NULL) {
        code = fault_set(reterr, FAULT_SYSTEM, "out of memory");
        goto done;
    }
    memcpy(pattern->ranges, tree->ranges, tree->ranges_count * sizeof *pattern->ranges);
    struct pattern_writer writer = {.tree = tree, .steps = pattern->steps};
    write_node(&writer, tree->root);
    write_step(&writer, STEP_MATCH, 0, 0);
    if (writer.full) {
        code = fault_set(reterr, FAULT_LIMIT, "the expression needs more than %d steps (PATTERN_STEPS_MAX)",
                         PATTERN_STEPS_MAX);
        goto done;
    }
    pattern->steps_count = writer.count;
    struct step *fitting = realloc(pattern->steps, writer.count * sizeof *fitting);
    if (fitting) pattern->steps = fitting;
    *ret_pattern = pattern;
    pattern = NULL;
done:
    free(tree);
    pattern_free(pattern);
    return code;
}

struct pattern *pattern_free(struct pattern *pattern) {
    if (pattern) {
        free(pattern->steps);
        free(pattern->ranges);
        free(pattern);
    }
    return NULL;
}

struct step_set {
    unsigned count;
    uint16_t steps[PATTERN_STEPS_MAX];
    size_t begins[PATTERN_STEPS_MAX]; /* pattern_find: where the match that a step belongs to begins */
};

struct pattern_run {
    const struct pattern *pattern;
    bool at_begin, at_end;
    bool matched;
    size_t begin, matched_begin; /* pattern_find: of the match that is followed, and of the first that was found */
    uint64_t seen[PATTERN_STEPS_MAX / 64];
};

/* Adds the step and all that it leads to without eating a character. The stack holds what is still to be followed:
 * each step is put there at most once, because it is marked when it is put. */
static void run_follow(struct pattern_run *run, struct step_set *into, unsigned first) {
    uint16_t stack[PATTERN_STEPS_MAX];
    unsigned depth = 0;
    const struct step *const steps = run->pattern->steps;
    unsigned next[3] = {first};
    unsigned next_count = 1;
    for (;;) {
        while (next_count) {
            const unsigned number = next[--next_count];
            if (run->seen[number / 64] >> (number % 64) & 1) continue;
            run->seen[number / 64] |= UINT64_C(1) << (number % 64);
            stack[depth++] = (uint16_t)number;
        }
        if (depth == 0) return;
        const unsigned number = stack[--depth];
        const struct step step = steps[number];
        switch ((enum step_kind)step.kind) {
        case STEP_CLASS:
            into->begins[into->count] = run->begin;
            into->steps[into->count++] = (uint16_t)number;
            break;
        case STEP_MATCH:
            if (!run->matched) run->matched_begin = run->begin;
            run->matched = true;
            break;
        case STEP_JUMP: next[next_count++] = step.x; break;
        case STEP_BEGIN:
            if (run->at_begin) next[next_count++] = number + 1;
            break;
        case STEP_END:
            if (run->at_end) next[next_count++] = number + 1;
            break;
        case STEP_SPLIT:
            next[next_count++] = step.y;
            next[next_count++] = step.x;
            break;
        }
    }
}

static bool class_holds(const struct pattern *pattern, struct step step, uint32_t character) {
    for (unsigned i = 0; i < step.y; i++) {
        const struct pattern_range range = pattern->ranges[step.x + i];
        if (character >= range.first && character <= range.last) return true;
    }
    return false;
}

bool pattern_match(const struct pattern *pattern, slice text) {
    if (pattern->literal) return slice_equal(text, slice_of(pattern->text, pattern->text_size));
    struct step_set sets[2];
    struct step_set *now = &sets[0], *then = &sets[1];
    struct pattern_run run = {.pattern = pattern, .at_begin = true, .at_end = text.size == 0};
    now->count = 0;
    run_follow(&run, now, 0);
    const size_t seen_bytes = (pattern->steps_count + 63) / 64 * 8;
    for (size_t offset = 0; offset < text.size;) {
        uint32_t character;
        offset += pattern_decode(slice_from(text, offset), &character);
        memset(run.seen, 0, seen_bytes);
        run.matched = false;
        run.at_begin = false;
        run.at_end = offset == text.size;
        then->count = 0;
        for (unsigned i = 0; i < now->count; i++)
            if (class_holds(pattern, pattern->steps[now->steps[i]], character))
                run_follow(&run, then, now->steps[i] + 1u);
        struct step_set *const swap = now;
        now = then;
        then = swap;
        if (now->count == 0 && !(run.at_end && run.matched)) return false;
    }
    return run.matched;
}

struct pattern_stretch {
    size_t begin, end;
    pattern_found_fn *found;
    void *context;
};

static void stretch_add(struct pattern_stretch *stretch, size_t begin, size_t end) {
    if (begin == end) return;
    if (stretch->end && begin > stretch->end) {
        stretch->found(stretch->context, stretch->begin, stretch->end);
        stretch->end = 0;
    }
    if (!stretch->end || begin < stretch->begin) stretch->begin = begin;
    stretch->end = end;
}

static void find_literal(const struct pattern *pattern, slice text, struct pattern_stretch *stretch) {
    size_t at = 0;
    while (pattern->text_size && at + pattern->text_size <= text.size) {
        const uint8_t *const found = memmem(text.data + at, text.size - at, pattern->text, pattern->text_size);
        if (!found) break;
        at = (size_t)(found - text.data) + pattern->text_size;
        stretch_add(stretch, at - pattern->text_size, at);
        at -= pattern->text_size - 1; /* matches may overlap */
    }
}

/* As pattern_match, with a match more that may begin at each character. The steps stand in the order of where their match
 * begins, because the new one is followed last, so a step that two matches lead to keeps the one that began first: what
 * is found is a match, and holds the others that end there. Stretches grow at their end; a match that began before the
 * stretch in hand, and ends behind it, swallows it. */
static void find_steps(const struct pattern *pattern, slice text, struct pattern_stretch *stretch) {
    struct step_set sets[2];
    struct step_set *now = &sets[0], *then = &sets[1];
    struct pattern_run run = {.pattern = pattern};
    const size_t seen_bytes = (pattern->steps_count + 63) / 64 * 8;
    run.at_begin = true;
    run.at_end = text.size == 0;
    now->count = 0;
    run_follow(&run, now, 0);
    for (size_t offset = 0; offset < text.size;) {
        uint32_t character;
        offset += pattern_decode(slice_from(text, offset), &character);
        memset(run.seen, 0, seen_bytes);
        run.matched = false;
        run.at_begin = false;
        run.at_end = offset == text.size;
        then->count = 0;
        for (unsigned i = 0; i < now->count; i++) {
            if (!class_holds(pattern, pattern->steps[now->steps[i]], character)) continue;
            run.begin = now->begins[i];
            run_follow(&run, then, now->steps[i] + 1u);
        }
        if (run.matched) stretch_add(stretch, run.matched_begin, offset);
        run.begin = offset;
        run_follow(&run, then, 0);
        struct step_set *const swap = now;
        now = then;
        then = swap;
    }
}

void pattern_find(const struct pattern *pattern, slice text, pattern_found_fn *found, void *context) {
    struct pattern_stretch stretch = {.found = found, .context = context};
    if (pattern->literal)
        find_literal(pattern, text, &stretch);
    else
        find_steps(pattern, text, &stretch);
    if (stretch.end) found(context, stretch.begin, stretch.end);
}
