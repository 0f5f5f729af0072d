/* SPDX-License-Identifier: Apache-2.0
 * describe, for people: every field that is there, in the contract's order, so that nothing is hidden. Scalars stand in
 * one column with enums in small letters and times with their age; the lists that matter (timeline, steps, action
 * items) are tables; ids of other things are looked up and shown as those; a service's needs are drawn as a tree. */
#include "aggregator/ctl/ctl_call.h"
#include "aggregator/ctl/ctl_table.h"
#include "common/base/clock.h"

#include <stdio.h>

enum {
    DESCRIBE_ROWS = 10,
    LOOKUPS_MAX = 50,
    TREE_DEPTH_MAX = 6,
    TREE_NODES_MAX = 100,
    NAME_WIDTH = 20,
    LINE_WIDTH = 100
};

static const struct ctl_column timeline_columns[] = {
    {"AT", "at", CTL_FORMAT_TIME},     {"KIND", "kind", CTL_FORMAT_ENUM}, {"AUTHOR", "author", CTL_FORMAT_TEXT},
    {"TEXT", "text", CTL_FORMAT_TEXT}, {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column step_columns[] = {
    {"STEP", "stepId", CTL_FORMAT_TEXT},
    {"KIND", "kind", CTL_FORMAT_ENUM},
    {"SECONDS", "timeoutSeconds", CTL_FORMAT_NUMBER},
    {"APPROVAL", "approvalRequired", CTL_FORMAT_YES},
    {"TITLE", "title", CTL_FORMAT_TEXT},
    {"COMMAND", "command", CTL_FORMAT_TEXT},
    {"LINK", "link", CTL_FORMAT_TEXT},
    {"EXPECTED", "expectedResult", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column result_columns[] = {
    {"STEP", "stepId", CTL_FORMAT_TEXT},       {"STATUS", "status", CTL_FORMAT_ENUM},
    {"STARTED", "startedAt", CTL_FORMAT_TIME}, {"ENDED", "endedAt", CTL_FORMAT_TIME},
    {"OUTPUT", "output", CTL_FORMAT_TEXT},     {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column action_columns[] = {
    {"ID", "actionItemId", CTL_FORMAT_TEXT}, {"STATUS", "status", CTL_FORMAT_ENUM},
    {"OWNER", "owner", CTL_FORMAT_TEXT},     {"DUE", "dueAt", CTL_FORMAT_TIME},
    {"TITLE", "title", CTL_FORMAT_TEXT},     {"TICKET", "ticketUrl", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column condition_columns[] = {
    {"TYPE", "type", CTL_FORMAT_TEXT},
    {"STATUS", "status", CTL_FORMAT_ENUM},
    {"SINCE", "lastTransitionAt", CTL_FORMAT_AGE},
    {"REASON", "reason", CTL_FORMAT_TEXT},
    {"MESSAGE", "message", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column budget_columns[] = {
    {"WINDOW", "window", CTL_FORMAT_ENUM}, {"BUDGET LEFT", "budgetRemaining", CTL_FORMAT_PERCENT},
    {"GOOD", "good", CTL_FORMAT_NUMBER},   {"TOTAL", "total", CTL_FORMAT_NUMBER},
    {"SEEN", "", CTL_FORMAT_SEEN},         {"STATE", "unknown", CTL_FORMAT_STATE},
    {NULL, NULL, CTL_FORMAT_TEXT},
};

struct section {
    const char *resource;             /* ctl_resources' name */
    const char *field;                /* of its object, a list */
    const struct ctl_column *columns; /* of the items; NULL: see below */
    const char *looked_up;            /* the items are ids of this resource; NULL: they are its needs (a tree) */
};
static const struct section sections[] = {
    {"incidents", "timeline", timeline_columns, NULL},
    {"incidents", "alertIds", NULL, "alerts"},
    {"runbooks", "steps", step_columns, NULL},
    {"executions", "steps", result_columns, NULL},
    {"executions", "plan", step_columns, NULL},
    {"postmortems", "timeline", timeline_columns, NULL},
    {"postmortems", "actionItems", action_columns, NULL},
    {"postmortems", "incidentIds", NULL, "incidents"},
    {"services", "dependencies", NULL, NULL},
    {"services", "runbookIds", NULL, "runbooks"},
    {"health", "conditions", condition_columns, NULL},
};

struct page {
    struct ctl *ctl;
    struct text text;
    int64_t now_ms;
    size_t nodes_count; /* of the tree */
};

/* "resolvedAt" as "Resolved at". */
static void add_name(struct text *text, slice key) {
    for (size_t i = 0; i < key.size; i++) {
        const uint8_t byte = key.data[i];
        if (byte >= 'A' && byte <= 'Z')
            text_format(text, " %c", byte | 0x20);
        else
            text_format(text, "%c", i == 0 && byte >= 'a' && byte <= 'z' ? byte & ~0x20 : byte);
    }
}

static slice clean(struct page *page, slice text) {
    const slice copy = arena_copy(page->ctl->arena, text);
    ctl_tame(copy, true);
    return copy;
}

static void add_lines(struct page *page, slice text) {
    while (text.size) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        const size_t size = end ? (size_t)(end - text.data) : text.size;
        text_format(&page->text, "  %.*s\n", SLICE_ARG(slice_first(text, size)));
        text = slice_from(text, size + 1);
    }
}

static void add_scalar(struct page *page, const struct yaml_node *entry) {
    slice value = clean(page, entry->text);
    int64_t at_ms;
    struct text name = text_begin(page->ctl->arena);
    add_name(&name, entry->key);
    text_add_text(&name, ":");
    slice label = {0};
    if (text_end(&name, "name", &label, NULL)) page->text.full = true;
    if (value.size > LINE_WIDTH || (value.size && memchr(value.data, '\n', value.size))) {
        text_format(&page->text, "%.*s\n", SLICE_ARG(label));
        add_lines(page, value);
        return;
    }
    if (ctl_time_parse(value, &at_ms)) {
        const slice since =
            at_ms <= page->now_ms ? ctl_age(value, page->now_ms, page->ctl->arena) : SLICE_LIT("to come");
        value = arena_format(page->ctl->arena, "%.10s %.8sZ (%.*s)", (const char *)value.data,
                             (const char *)value.data + 11, SLICE_ARG(since));
    } else
        value = ctl_enum_word(value, page->ctl->arena);
    text_format(&page->text, "%-*.*s %.*s\n", NAME_WIDTH, SLICE_ARG(label), SLICE_ARG(value));
}

static struct ctl_resource table_of(const struct ctl_column *columns, const char *name) {
    return (struct ctl_resource){.name = name, .list_items = "items", .columns = columns};
}

static void add_table(struct page *page, const struct ctl_column *columns, const struct yaml_node *list) {
    struct yaml_node items = *list;
    items.key = SLICE_LIT("items");
    items.next = NULL;
    const struct yaml_node root = {.kind = YAML_KIND_MAPPING, .first = &items, .count = 1};
    const struct ctl_resource table = table_of(columns, "items");
    struct text rows = text_begin(page->ctl->arena);
    slice whole;
    ctl_table_add(&rows, &table, &root, 0, page->now_ms, page->ctl->arena);
    if (text_end(&rows, "table", &whole, NULL))
        page->text.full = true;
    else
        add_lines(page, whole);
}

/* What the ids name, each asked for; the first that fails ends it, as its error is on the screen. */
static enum ctl_exit add_looked_up(struct page *page, const char *resource_name, const struct yaml_node *ids) {
    const struct ctl_resource *resource = ctl_resource_find(resource_name);
    struct yaml_node list = {.kind = YAML_KIND_LIST}, **last = &list.first;
    for (const struct yaml_node *id = ids->first; id && list.count < LOOKUPS_MAX; id = id->next) {
        const struct yaml_node *object;
        const enum ctl_exit code = ctl_get_one(page->ctl, resource, (const char *)id->text.data, true, &object);
        if (code) return code;
        struct yaml_node *item = arena_alloc(page->ctl->arena, sizeof *item);
        struct yaml_node *only_id = arena_alloc(page->ctl->arena, sizeof *only_id);
        if (!item || !only_id) return ctl_fail(CTL_EXIT_REFUSED, "out of memory");
        *only_id =
            (struct yaml_node){.kind = YAML_KIND_SCALAR, .key = slice_from_text(resource->get_field), .text = id->text};
        *item = object ? *object : (struct yaml_node){.kind = YAML_KIND_MAPPING, .first = only_id, .count = 1};
        item->next = NULL;
        *last = item;
        last = &item->next;
        list.count++;
    }
    add_table(page, resource->columns, &list);
    if (ids->count > list.count) text_format(&page->text, "  and %zu more\n", ids->count - list.count);
    return CTL_EXIT_OK;
}

struct branch {
    const struct branch *above;
    slice id;
};

static bool is_above(const struct branch *branch, slice id) {
    for (; branch; branch = branch->above)
        if (slice_equal(branch->id, id)) return true;
    return false;
}

/* Box drawing, as `tree` does: prefix holds the lines of the levels above. */
static enum ctl_exit add_needs(struct page *page, const struct yaml_node *needs, const char *prefix, size_t depth,
                               const struct branch *above) {
    for (const struct yaml_node *need = needs ? needs->first : NULL; need; need = need->next) {
        const slice id = ctl_tree_text(need, "serviceId");
        const bool critical = slice_equal_text(ctl_tree_text(need, "critical"), "true");
        const bool circle = is_above(above, id);
        const struct yaml_node *service = NULL;
        const bool look = !circle && depth < TREE_DEPTH_MAX && page->nodes_count++ < TREE_NODES_MAX;
        if (look) {
            const char *name = (const char *)arena_copy(page->ctl->arena, id).data;
            const enum ctl_exit code = ctl_get_one(page->ctl, ctl_resource_find("services"), name, true, &service);
            if (code) return code;
        }
        text_format(&page->text, "  %s%s %.*s%s%s", prefix, need->next ? "├─" : "└─", SLICE_ARG(clean(page, id)),
                    critical ? " (critical)" : "",
                    circle             ? " (again: a circle)"
                    : look && !service ? " (not in the catalog)"
                    : look             ? ""
                                       : " (not followed)");
        const slice owner = ctl_tree_text(service, "owner");
        if (owner.size) text_format(&page->text, "  of %.*s", SLICE_ARG(clean(page, owner)));
        text_add_text(&page->text, "\n");
        const slice inner = arena_format(page->ctl->arena, "%s%s ", prefix, need->next ? "│ " : "  ");
        if (!inner.data) return ctl_fail(CTL_EXIT_REFUSED, "out of memory");
        const struct branch here = {above, id};
        const enum ctl_exit code =
            add_needs(page, yaml_find(service, "dependencies"), (const char *)inner.data, depth + 1, &here);
        if (code) return code;
    }
    return CTL_EXIT_OK;
}

static enum ctl_exit add_section(struct page *page, const struct section *section, const struct yaml_node *object,
                                 const struct yaml_node *list) {
    text_add_text(&page->text, "\n");
    add_name(&page->text, list->key);
    text_add_text(&page->text, ":\n");
    if (section->columns) {
        add_table(page, section->columns, list);
        return CTL_EXIT_OK;
    }
    if (section->looked_up) return add_looked_up(page, section->looked_up, list);
    const struct branch root = {NULL, ctl_tree_text(object, "serviceId")};
    return add_needs(page, list, "", 1, &root);
}

static const struct section *section_of(const struct ctl_resource *resource, const struct yaml_node *entry) {
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strcmp(sections[i].resource, resource->name) == 0 && slice_equal_text(entry->key, sections[i].field))
            return &sections[i];
    return NULL;
}

static void add_rest(struct page *page, const struct yaml_node *entry) {
    text_add_text(&page->text, "\n");
    add_name(&page->text, entry->key);
    text_add_text(&page->text, ":\n");
    const struct yaml_node *windows = slice_equal_text(entry->key, "budget") ? yaml_find(entry, "windows") : NULL;
    for (const struct yaml_node *field = entry->first; field && windows; field = field->next) {
        if (field == windows) continue;
        text_add_text(&page->text, "  ");
        add_scalar(page, field);
    }
    if (windows)
        add_table(page, budget_columns, windows);
    else {
        struct text yaml = text_begin(page->ctl->arena);
        slice whole;
        ctl_tree_add_yaml(&yaml, entry, 0);
        if (text_end(&yaml, "part", &whole, NULL))
            page->text.full = true;
        else {
            ctl_tame(whole, true);
            add_lines(page, whole);
        }
    }
}

enum ctl_exit ctl_describe_print(struct ctl *ctl, const struct ctl_resource *resource, const struct yaml_node *object) {
    struct page page = {.ctl = ctl, .text = text_begin(ctl->arena), .now_ms = clock_wall_ms()};
    for (const struct yaml_node *entry = object->first; entry; entry = entry->next)
        if (entry->kind == YAML_KIND_SCALAR) add_scalar(&page, entry);
    for (const struct yaml_node *entry = object->first; entry; entry = entry->next) {
        if (entry->kind == YAML_KIND_SCALAR || !entry->first) continue;
        const struct section *section = section_of(resource, entry);
        if (!section) {
            add_rest(&page, entry);
            continue;
        }
        const enum ctl_exit code = add_section(&page, section, object, entry);
        if (code) return code;
    }
    slice whole;
    struct fault fault;
    if (text_end(&page.text, "description", &whole, &fault)) return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
    fwrite(whole.data, 1, whole.size, stdout);
    return CTL_EXIT_OK;
}
