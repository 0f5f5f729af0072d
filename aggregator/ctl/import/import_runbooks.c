/* SPDX-License-Identifier: Apache-2.0
 * A runbook as people write it: front matter in YAML, then Markdown. A heading below the title begins a step, and so
 * does each item of an ordered list; a heading that holds nothing but such items is their common name. What stands in a
 * step is its instructions, a code block in a shell's language is its command, a paragraph that begins with "Expected:"
 * its result. A second command is a step of its own, as a step has one. */
#include "aggregator/ctl/import/import.h"
#include "aggregator/ctl/import/markdown.h"
#include "aggregator/ctl/import/runbook_front.h"

#include <stdio.h>
#include <strings.h>

enum { TITLE_CHARACTERS = 256 };

struct step {
    slice title, command, link;
    struct text instructions, expected;
    bool heading; /* begun by one */
    int line;
    struct step *next;
};

struct runbook {
    struct import *import;
    const char *file;
    const struct yaml_node *front; /* NULL: none */
    slice title;
    struct text description;
    struct step *steps, **last, *current;
    slice section;                      /* the heading above */
    size_t steps_count, commands_count; /* of the step that was begun last */
};

static void add_paragraph(struct text *text, slice paragraph) {
    if (text->size) text_add_text(text, "\n\n");
    text_add(text, paragraph);
}

static struct step *begin_step(struct runbook *runbook, slice title, int line, bool heading) {
    struct step *step = arena_alloc(runbook->import->arena, sizeof *step);
    if (!step) {
        runbook->import->full = true;
        return NULL;
    }
    while (title.size && strchr(": \n", title.data[title.size - 1])) title.size--;
    *step = (struct step){.title = import_line(runbook->import->arena, title, TITLE_CHARACTERS),
                          .instructions = text_begin(runbook->import->arena),
                          .expected = text_begin(runbook->import->arena),
                          .heading = heading,
                          .line = line};
    *runbook->last = step;
    runbook->last = &step->next;
    runbook->current = step;
    runbook->steps_count++;
    runbook->commands_count = 0;
    return step;
}

static bool is_empty(const struct step *step) {
    return !step->instructions.size && !step->expected.size && !step->command.size && !step->link.size;
}

/* A heading that holds nothing is only the name of what comes below. */
static void drop_empty_heading(struct runbook *runbook) {
    struct step **link = &runbook->steps;
    while (*link && *link != runbook->current) link = &(*link)->next;
    if (!*link || !runbook->current->heading || !is_empty(runbook->current)) return;
    *link = NULL;
    runbook->last = link;
    runbook->current = NULL;
    runbook->steps_count--;
}

/* What is behind "Expected:" or "Expected result:", also in bold; empty when the line is none. */
static bool expected_of(slice line, slice *ret_rest) {
    while (line.size && (line.data[0] == '*' || line.data[0] == ' ' || line.data[0] == '-')) line = slice_from(line, 1);
    if (line.size < 8 || strncasecmp((const char *)line.data, "expected", 8) != 0) return false;
    const uint8_t *colon = memchr(line.data, ':', line.size < 24 ? line.size : 24);
    if (!colon) return false;
    slice rest = slice_from(line, (size_t)(colon - line.data) + 1);
    while (rest.size && (rest.data[0] == '*' || rest.data[0] == ' ')) rest = slice_from(rest, 1);
    *ret_rest = rest;
    return true;
}

/* Line by line: from "Expected:" on, a paragraph says what is expected. */
static void take_text(struct step *step, slice text) {
    size_t begin = 0;
    for (size_t at = 0; at < text.size;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
        const size_t size = end ? (size_t)(end - text.data) - at : text.size - at;
        slice rest;
        if (expected_of(slice_of(text.data + at, size), &rest)) {
            if (at > begin) add_paragraph(&step->instructions, slice_of(text.data + begin, at - begin - 1));
            add_paragraph(&step->expected, slice_of(rest.data, text.size - (size_t)(rest.data - text.data)));
            return;
        }
        at += size + 1;
    }
    add_paragraph(&step->instructions, text);
}

static void take_paragraph(struct runbook *runbook, const struct markdown_block *block) {
    if (block->item) {
        const bool under_heading = runbook->section.size != 0;
        if (runbook->current) drop_empty_heading(runbook);
        const uint8_t *end = memchr(block->plain.data, '\n', block->plain.size);
        const slice line = slice_first(block->plain, end ? (size_t)(end - block->plain.data) : block->plain.size);
        const slice title = under_heading ? arena_format(runbook->import->arena, "%.*s: %.*s",
                                                         SLICE_ARG(runbook->section), SLICE_ARG(line))
                                          : line;
        struct step *step = begin_step(runbook, title, block->line, false);
        if (!step) return;
        step->link = block->link;
        if (end || block->link.size || title.size > TITLE_CHARACTERS) {
            /* The title has the first line; the rest, or what a title cannot hold, is said in full. */
            const uint8_t *break_at = memchr(block->text.data, '\n', block->text.size);
            const bool whole = block->link.size || title.size > TITLE_CHARACTERS || !break_at;
            take_text(step, whole ? block->text : slice_from(block->text, (size_t)(break_at - block->text.data) + 1));
        }
        return;
    }
    if (!runbook->current) return add_paragraph(&runbook->description, block->text);
    take_text(runbook->current, block->text);
    if (!runbook->current->link.size) runbook->current->link = block->link;
}

static void take_heading(struct runbook *runbook, const struct markdown_block *block) {
    const slice title = import_line(runbook->import->arena, block->plain, TITLE_CHARACTERS);
    if (block->level == 1 && !runbook->steps_count && !runbook->title.size) {
        runbook->title = title;
        return;
    }
    if (block->level == 1 && !runbook->steps_count && slice_equal(runbook->title, title)) return;
    if (runbook->current) drop_empty_heading(runbook);
    runbook->section = title;
    (void)begin_step(runbook, title, block->line, true);
}

static bool is_shell(slice language) {
    static const char *const shells[] = {"", "sh", "bash", "shell", "zsh", "console", "shell-session", "terminal"};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (slice_equal_text(language, shells[i])) return true;
    return false;
}

/* Of a session ("$ command" and what it printed) only what was typed. */
static slice typed_of(struct arena *arena, slice code) {
    struct text text = text_begin(arena);
    bool prompted = false;
    for (slice rest = code; rest.size;) {
        const uint8_t *end = memchr(rest.data, '\n', rest.size);
        const slice line = slice_first(rest, end ? (size_t)(end - rest.data) : rest.size);
        if (slice_starts_with(line, SLICE_LIT("$ "))) {
            text_format(&text, "%s%.*s", prompted ? "\n" : "", SLICE_ARG(slice_from(line, 2)));
            prompted = true;
        }
        rest = slice_from(rest, line.size + 1);
    }
    slice typed;
    return !prompted || text_end(&text, "command", &typed, NULL) ? code : typed;
}

static void take_code(struct runbook *runbook, const struct markdown_block *block) {
    if (block->item) {
        const uint8_t *end = memchr(block->text.data, '\n', block->text.size);
        if (runbook->current) drop_empty_heading(runbook);
        (void)begin_step(runbook, slice_first(block->text, end ? (size_t)(end - block->text.data) : block->text.size),
                         block->line, false);
    }
    struct step *step = runbook->current;
    if (!step || !is_shell(block->language)) {
        const slice fenced = arena_format(runbook->import->arena, "```%.*s\n%.*s\n```", SLICE_ARG(block->language),
                                          SLICE_ARG(block->text));
        add_paragraph(step ? &step->instructions : &runbook->description, fenced);
        return;
    }
    const size_t commands = ++runbook->commands_count;
    if (step->command.size) {
        slice title = step->title;
        char number[24];
        const int size = snprintf(number, sizeof number, " (%zu)", commands - 1);
        if (commands > 2 && title.size > (size_t)size) title = slice_first(title, title.size - (size_t)size);
        step = begin_step(
            runbook, arena_format(runbook->import->arena, "%.*s (%zu)", SLICE_ARG(slice_first(title, 240)), commands),
            block->line, false);
        if (!step) return;
        runbook->commands_count = commands;
    }
    step->command = typed_of(runbook->import->arena, block->text);
}

static bool id_is_taken(const struct step *steps, const struct step *until, const slice *ids, slice id) {
    size_t i = 0;
    for (const struct step *step = steps; step != until; step = step->next, i++)
        if (slice_equal(ids[i], id)) return true;
    return false;
}

static fault_code add_steps(struct runbook *runbook, struct import_json *json, struct fault *reterr) {
    struct arena *arena = runbook->import->arena;
    slice *ids = arena_alloc_array(arena, runbook->steps_count + 1, sizeof *ids);
    if (!ids) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    struct text text = text_begin(arena);
    size_t i = 0;
    for (struct step *step = runbook->steps; step; step = step->next, i++) {
        const slice slug = import_slug(arena, step->title, "step");
        ids[i] = slug;
        for (size_t n = 2; id_is_taken(runbook->steps, step, ids, ids[i]); n++)
            ids[i] = arena_format(arena, "%.*s-%zu", SLICE_ARG(slug), n);
        struct import_json one = import_json_begin(runbook->import);
        slice instructions, expected, whole;
        if (text_end(&step->instructions, "step", &instructions, reterr) ||
            text_end(&step->expected, "step", &expected, reterr))
            return FAULT_LIMIT;
        import_json_text(&one, "stepId", ids[i]);
        import_json_text(&one, "title", step->title);
        import_json_text(&one, "instructions", instructions);
        import_json_text(&one, "command", step->command);
        import_json_raw(&one, "kind",
                        step->command.size ? "\"RUNBOOK_STEP_KIND_COMMAND\""
                        : step->link.size  ? "\"RUNBOOK_STEP_KIND_LINK\""
                                           : "\"RUNBOOK_STEP_KIND_MANUAL\"");
        if (!step->command.size) import_json_text(&one, "link", step->link);
        import_json_text(&one, "expectedResult", expected);
        if (text_end(&one.text, "step", &whole, reterr)) return FAULT_LIMIT;
        text_format(&text, "%s%.*s}", i ? "," : "[", SLICE_ARG(whole));
    }
    text_add_text(&text, "]");
    slice steps;
    if (text_end(&text, "steps", &steps, reterr)) return FAULT_LIMIT;
    import_json_raw(json, "steps", (const char *)steps.data);
    return FAULT_NONE;
}

/* A list of texts, or one text. */
static void add_texts(struct runbook *runbook, struct import_json *json, const char *key, const char *field) {
    const struct yaml_node *node = import_at(runbook->front, key);
    if (!node) return;
    if (node->kind == YAML_KIND_SCALAR) return import_json_texts(json, field, &node->text, node->text.size != 0);
    slice *texts = arena_alloc_array(runbook->import->arena, node->count + 1, sizeof *texts);
    size_t count = 0;
    for (const struct yaml_node *item = texts ? node->first : NULL; item; item = item->next) {
        if (item->kind == YAML_KIND_SCALAR && node->kind == YAML_KIND_LIST)
            texts[count++] = item->text;
        else
            import_fail(runbook->import, runbook->file, item->line, slice_from_text(key), "must be a list of texts");
    }
    import_json_texts(json, field, texts, count);
}

static const struct {
    const char *word, *level;
} levels[] = {{"manual", "\"AUTOMATION_LEVEL_MANUAL\""},
              {"assisted", "\"AUTOMATION_LEVEL_ASSISTED\""},
              {"automated", "\"AUTOMATION_LEVEL_AUTOMATED\""}};

static bool add_front(struct runbook *runbook, struct import_json *json) {
    struct import *import = runbook->import;
    if (!runbook_front_keys(import, runbook->file, runbook->front)) return false;
    const struct yaml_node *level = import_at(runbook->front, "automation_level");
    const struct yaml_node *approval = import_at(runbook->front, "approval_required");
    size_t i = 0;
    while (level && i < 3 && !slice_equal_text(level->text, levels[i].word)) i++;
    if (i == 3) {
        import_fail(import, runbook->file, level->line, SLICE_LIT("automation_level"),
                    "'%.*s' is not manual, assisted or automated", SLICE_ARG(level->text));
        return false;
    }
    const bool yes = approval && slice_equal_text(approval->text, "true");
    if (approval && !yes && !slice_equal_text(approval->text, "false")) {
        import_fail(import, runbook->file, approval->line, SLICE_LIT("approval_required"),
                    "'%.*s' is not true or false", SLICE_ARG(approval->text));
        return false;
    }
    import_json_raw(json, "automationLevel", level ? levels[i].level : levels[0].level);
    if (yes) import_json_raw(json, "approvalRequired", "true");
    const slice owner = import_text(runbook->front, "owner");
    import_json_text(json, "owner", owner.size ? owner : slice_from_text(import->owner));
    import_json_text(json, "serviceId", import_text(runbook->front, "service"));
    add_texts(runbook, json, "tags", "tags");
    add_texts(runbook, json, "triggers", "triggerConditions");
    return true;
}

static slice stem_of(const char *file) {
    const char *slash = strrchr(file, '/');
    const char *name = slash ? slash + 1 : file;
    const char *dot = strrchr(name, '.');
    return slice_of(name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
}

static void add_runbook(struct runbook *runbook) {
    struct import *import = runbook->import;
    drop_empty_heading(runbook);
    if (!runbook->steps_count)
        return import_fail(import, runbook->file, 0, stem_of(runbook->file),
                           "holds no steps: neither a heading with something below it nor an ordered list");
    const slice id = import_text(runbook->front, "id");
    struct import_object object = {.kind = "Runbook",
                                   .file = runbook->file,
                                   .line = 1,
                                   .id = id.size ? id : import_slug(import->arena, stem_of(runbook->file), "runbook")};
    struct import_json json = import_json_begin(import);
    struct fault fault;
    slice description = import_text(runbook->front, "description"), text;
    if (text_end(&runbook->description, "description", &text, &fault))
        return import_fail(import, runbook->file, 0, object.id, "%s", fault.text);
    import_json_text(&json, "runbookId", object.id);
    import_json_text(&json, "title", runbook->title.size ? runbook->title : stem_of(runbook->file));
    import_json_text(&json, "description", description.size ? description : text);
    if (!add_front(runbook, &json)) return;
    if (add_steps(runbook, &json, &fault)) return import_fail(import, runbook->file, 0, object.id, "%s", fault.text);
    import_add(import, object, &json);
}

void import_runbooks_read(struct import *import, const char *file, slice bytes) {
    struct runbook runbook = {.import = import, .file = file, .description = text_begin(import->arena)};
    runbook.last = &runbook.steps;
    struct runbook_front front;
    struct fault fault = {0};
    if (!runbook_front_read(import, file, bytes, &front)) return;
    runbook.front = front.root;
    runbook.title = import_text(front.root, "title");
    struct markdown_block *first = NULL;
    if (markdown_read(front.body, import->arena, &first, &fault))
        return import_fail(import, file, 0, SLICE_LIT("Markdown"), "%s", fault.text);
    static void (*const takes[])(struct runbook *, const struct markdown_block *) = {
        [MARKDOWN_HEADING] = take_heading, [MARKDOWN_PARAGRAPH] = take_paragraph, [MARKDOWN_CODE] = take_code};
    for (const struct markdown_block *block = first; block && !import->full; block = block->next) {
        if (block->kind != MARKDOWN_CODE && runbook_front_strayed(block->plain))
            return import_fail(import, file, front.body_line + block->line - 1, SLICE_LIT("approval_required"),
                               "stands in the text, where nobody asks for it: front matter begins with a line `---` as "
                               "the first of the file");
        takes[block->kind](&runbook, block);
    }
    add_runbook(&runbook);
}
