/* SPDX-License-Identifier: Apache-2.0
 * get and describe: a request made from the row and the options, all pages of the answer joined into one
 * tree, and that tree in the format asked for. */
#include "aggregator/ctl/ctl_call.h"
#include "aggregator/ctl/ctl_table.h"
#include "common/base/clock.h"
#include "common/settings/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PAGE_SIZE = 500, LIST_ROWS = 1000, TIME_ROWS = 30, DESCRIBE_ROWS = 10 };

static enum ctl_exit add_bound(struct text *text, const char *name, const char *given) {
    if (!given) return CTL_EXIT_OK;
    int64_t ms;
    const slice value = slice_from_text(given);
    const bool at = ctl_time_parse(value, &ms);
    if (!at && setting_parse_duration(value, &ms, NULL))
        return ctl_fail(CTL_EXIT_USAGE,
                        "--%s: '%s' is neither a time such as 2026-01-31T09:30:00Z nor how long ago, such "
                        "as 2h",
                        name, given);
    text_format(text, ",\"%s\":", name);
    ctl_time_add(text, at ? ms : clock_wall_ms() - ms);
    return CTL_EXIT_OK;
}

static size_t key_size(const char *where) {
    return (size_t)(strchr(where, '=') - where);
}

static bool same_key(const char *a, const char *b) {
    return key_size(a) == key_size(b) && memcmp(a, b, key_size(a)) == 0;
}

/* A repeated field becomes a list. Values are texts: the mapping takes numbers as texts too, and words for
 * bools. */
static void add_where(struct text *text, const struct ctl_options *options) {
    for (size_t i = 0; i < options->where_count; i++) {
        const char *where = options->where[i];
        bool done = false, several = false;
        for (size_t j = 0; j < options->where_count; j++) {
            if (j != i && same_key(where, options->where[j])) several = true;
            if (j < i && same_key(where, options->where[j])) done = true;
        }
        if (done) continue;
        const size_t size = key_size(where);
        /* The contract's lists are called in the plural, and none of its other request fields is. */
        const bool list = several || (size > 2 && where[size - 1] == 's' && where[size - 2] == 'e');
        text_add_text(text, ",");
        text_add_json_string(text, slice_of(where, size));
        text_add_text(text, list ? ":[" : ":");
        bool first = true;
        for (size_t j = i; j < options->where_count; j++) {
            if (!same_key(where, options->where[j])) continue;
            if (!first) text_add_text(text, ",");
            first = false;
            const slice value = slice_from_text(options->where[j] + size + 1);
            if (slice_equal_text(value, "true") || slice_equal_text(value, "false"))
                text_add(text, value);
            else
                text_add_json_string(text, value);
        }
        if (list) text_add_text(text, "]");
    }
}

struct page {
    const struct ctl_resource *resource;
    const char *id;
    int64_t limit;
    slice token; /* of the page; or the sequence to read on after */
};

static enum ctl_exit page_request(struct ctl *ctl, const struct page *page, slice *ret_json) {
    const struct ctl_resource *resource = page->resource;
    const struct ctl_options *options = &ctl->options;
    struct text text = text_begin(ctl->arena);
    const int64_t size = page->limit < PAGE_SIZE ? page->limit : PAGE_SIZE;
    /* What follows adds ",name:value": something that always may stand first saves the special case. */
    if (resource->list_pages)
        text_format(&text, "{\"pageSize\":%lld", (long long)size);
    else if (resource->list_by_sequence)
        text_format(&text, "{\"limit\":%lld", (long long)size);
    else {
        text_format(&text, "{\"%s\":", resource->list_parent);
        text_add_json_string(&text, slice_from_text(page->id));
    }
    if (resource->list_pages && page->token.size) {
        text_add_text(&text, ",\"pageToken\":");
        text_add_json_string(&text, page->token);
    }
    if (resource->list_by_sequence && page->token.size)
        text_format(&text, ",\"afterSequence\":\"%.*s\"", SLICE_ARG(page->token));
    if (resource->list_by_time) {
        enum ctl_exit code = add_bound(&text, "from", options->from);
        if (code == CTL_EXIT_OK) code = add_bound(&text, "to", options->to);
        if (code) return code;
        if (options->step_ms)
            text_format(&text, ",\"step\":\"%lld.%03lds\"", (long long)(options->step_ms / 1000),
                        (long)(options->step_ms % 1000));
        if (options->split) text_add_text(&text, ",\"split\":true");
    }
    if (!(resource->list_by_sequence && page->token.size))
        add_where(&text, options);
    else {
        /* The first page's afterSequence is passed; the other filters go on. */
        struct ctl_options rest = *options;
        rest.where_count = 0;
        for (size_t i = 0; i < options->where_count; i++)
            if (strncmp(options->where[i], "afterSequence=", 14) != 0 &&
                strncmp(options->where[i], "after_sequence=", 15) != 0)
                rest.where[rest.where_count++] = options->where[i];
        add_where(&text, &rest);
    }
    text_add_text(&text, "}");
    struct fault fault;
    if (text_end(&text, "request", ret_json, &fault)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    return CTL_EXIT_OK;
}

/* Where the answer says that there is more; empty when there is not. */
static slice next_token(const struct ctl_resource *resource, const struct yaml_node *root,
                        const struct yaml_node *items) {
    if (resource->list_pages) return ctl_tree_text(root, "nextPageToken");
    if (!resource->list_by_sequence || !items || items->count == 0) return (slice){0};
    const slice last = ctl_tree_text(root, "lastSequence"), newest = ctl_tree_text(root, "newestSequence");
    return slice_equal(last, newest) ? (slice){0} : last;
}

/* Facts that are no longer there are said, but not in the table: they are none. */
static void tell_compacted(const struct yaml_node *root) {
    const struct yaml_node *ranges = yaml_find(root, "compacted");
    for (const struct yaml_node *range = ranges ? ranges->first : NULL; range; range = range->next) {
        const slice first = ctl_tree_text(range, "firstSequence"), last = ctl_tree_text(range, "lastSequence");
        fprintf(stderr, "picketctl: facts %.*s to %.*s were compacted (retention):", SLICE_ARG(first), SLICE_ARG(last));
        const struct yaml_node *facts = yaml_find(range, "facts");
        for (const struct yaml_node *fact = facts ? facts->first : NULL; fact; fact = fact->next) {
            const slice count = ctl_tree_text(fact, "count"), name = ctl_tree_text(fact, "fact");
            fprintf(stderr, " %.*s %.*s", SLICE_ARG(count), SLICE_ARG(name));
        }
        fprintf(stderr, "\n");
    }
}

enum ctl_exit ctl_list(struct ctl *ctl, const struct ctl_resource *resource, const char *id,
                       struct yaml_node **ret_root) {
    const int64_t limit = ctl->options.limit ? ctl->options.limit : LIST_ROWS;
    if (resource->list_parent && !id)
        return ctl_fail(CTL_EXIT_USAGE, "get %s: which one? picketctl get %s ID (see picketctl get slos)",
                        resource->name, resource->name);
    struct page page = {.resource = resource, .id = id, .limit = limit};
    struct yaml_node *whole = NULL, *whole_items = NULL, *last_item = NULL;
    for (;;) {
        slice request, response;
        enum ctl_exit code = page_request(ctl, &page, &request);
        if (code == CTL_EXIT_OK) code = ctl_call(ctl, resource->list_path, request, &response);
        if (code) return code;
        struct yaml_node *root = NULL;
        struct fault fault;
        if (ctl_tree_read(response, "answer", ctl->arena, &root, &fault))
            return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
        tell_compacted(root);
        struct yaml_node *items = NULL;
        for (struct yaml_node *entry = root->first; entry; entry = entry->next)
            if (slice_equal_text(entry->key, resource->list_items)) items = entry;
        if (!whole) {
            whole = root;
            whole_items = items;
        } else if (items && whole_items) {
            last_item->next = items->first;
            whole_items->count += items->count;
        }
        for (struct yaml_node *item = items ? items->first : NULL; item; item = item->next) last_item = item;
        page.token = next_token(resource, root, items);
        page.limit -= items ? (int64_t)items->count : 0;
        if (!page.token.size || page.limit <= 0 || !items) break;
    }
    if (page.token.size && page.limit <= 0)
        fprintf(stderr, "picketctl: there are more than these %lld; show more with --limit\n", (long long)limit);
    *ret_root = whole;
    return CTL_EXIT_OK;
}

static enum ctl_exit print_tree(struct ctl *ctl, const struct yaml_node *node) {
    struct text text = text_begin(ctl->arena);
    if (ctl->options.output == CTL_OUTPUT_JSON)
        ctl_tree_add_json(&text, node, NULL, 0);
    else
        ctl_tree_add_yaml(&text, node, 0);
    if (ctl->options.output == CTL_OUTPUT_JSON) text_add_text(&text, "\n");
    slice page;
    struct fault fault;
    if (text_end(&text, "output", &page, &fault)) return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
    fwrite(page.data, 1, page.size, stdout);
    return CTL_EXIT_OK;
}

size_t ctl_newest(const struct ctl *ctl, const struct ctl_resource *resource) {
    if (!resource->list_by_time) return 0;
    return ctl->options.limit ? (size_t)ctl->options.limit : ctl->options.from ? 0 : TIME_ROWS;
}

/* With the further columns where they are asked for. */
static struct ctl_resource as_wide(struct ctl *ctl, const struct ctl_resource *resource) {
    struct ctl_resource wide = *resource;
    size_t count = 0, more = 0;
    while (resource->columns[count].title) count++;
    while (resource->wide && resource->wide[more].title) more++;
    struct ctl_column *columns = arena_alloc_array(ctl->arena, count + more + 1, sizeof *columns);
    if (!columns || ctl->options.output != CTL_OUTPUT_WIDE) return wide;
    memcpy(columns, resource->columns, count * sizeof *columns);
    if (more) memcpy(columns + count, resource->wide, more * sizeof *columns);
    wide.columns = columns;
    return wide;
}

/* "incident/inc-1", a line each, as other commands take it. */
static void add_names(struct text *text, const struct ctl_resource *resource, const struct yaml_node *root) {
    const struct yaml_node *list = ctl_tree_at(root, resource->list_items);
    for (const struct yaml_node *item = list ? list->first : NULL; item; item = item->next)
        text_format(text, "%s/%.*s\n", resource->one, SLICE_ARG(ctl_tree_text(item, resource->columns[0].path)));
}

static enum ctl_exit print_table(struct ctl *ctl, const struct ctl_resource *resource, const struct yaml_node *root) {
    struct text text = text_begin(ctl->arena);
    const struct ctl_resource wide = as_wide(ctl, resource);
    if (ctl->options.output == CTL_OUTPUT_NAME)
        add_names(&text, resource, root);
    else if (ctl_table_add(&text, &wide, root, ctl_newest(ctl, resource), clock_wall_ms(), ctl->arena) == 0) {
        fprintf(stderr, "no %s\n", resource->name);
        return CTL_EXIT_OK;
    }
    slice page;
    struct fault fault;
    if (text_end(&text, "table", &page, &fault)) return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
    if (page.size) fwrite(page.data, 1, page.size, stdout);
    return CTL_EXIT_OK;
}

enum ctl_exit ctl_get_one(struct ctl *ctl, const struct ctl_resource *resource, const char *id, bool absent_is_fine,
                          const struct yaml_node **ret_object) {
    struct text text = text_begin(ctl->arena);
    text_format(&text, "{\"%s\":", resource->get_field);
    text_add_json_string(&text, slice_from_text(id));
    add_where(&text, &ctl->options);
    text_add_text(&text, "}");
    slice request, response;
    struct fault fault;
    if (text_end(&text, "request", &request, &fault)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    *ret_object = NULL;
    const enum ctl_exit code = absent_is_fine ? ctl_call_or_absent(ctl, resource->get_path, request, &response)
                                              : ctl_call(ctl, resource->get_path, request, &response);
    if (code || !response.size) return code;
    struct yaml_node *root = NULL;
    if (ctl_tree_read(response, "answer", ctl->arena, &root, &fault))
        return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
    *ret_object = ctl_tree_at(root, resource->get_item);
    if (!*ret_object && !absent_is_fine) return ctl_fail(CTL_EXIT_ABSENT, "no %s is called '%s'", resource->one, id);
    return CTL_EXIT_OK;
}

static enum ctl_exit resource_of(struct ctl *ctl, const struct ctl_resource **ret_resource) {
    const struct ctl_options *options = &ctl->options;
    if (options->words_count < 2) {
        fprintf(stderr, "picketctl: %s what? One of:\n", options->words[0]);
        for (size_t i = 0; i < ctl_resources_count; i++)
            fprintf(stderr, "  %-12s %s\n", ctl_resources[i].name, ctl_resources[i].help);
        return CTL_EXIT_USAGE;
    }
    *ret_resource = ctl_resource_find(options->words[1]);
    if (!*ret_resource) return ctl_fail(CTL_EXIT_USAGE, "unknown resource '%s'; see picketctl get", options->words[1]);
    if (options->words_count > 3)
        return ctl_fail(CTL_EXIT_USAGE, "one %s at a time; '%s' is too much", options->words[1], options->words[3]);
    if (!(*ret_resource)->list_by_time && (options->from || options->to || options->step_ms || options->split) &&
        !(*ret_resource)->describe_also)
        return ctl_fail(CTL_EXIT_USAGE, "%s has no --from, --to, --step or --split", (*ret_resource)->name);
    return CTL_EXIT_OK;
}

/* One object printed as a table is a list of one. */
static const struct yaml_node *as_list(struct ctl *ctl, const struct ctl_resource *resource,
                                       const struct yaml_node *object) {
    struct yaml_node *nodes = arena_alloc_array(ctl->arena, 3, sizeof *nodes);
    if (!nodes) return NULL;
    nodes[2] = *object;
    nodes[2].next = NULL;
    nodes[1] = (struct yaml_node){
        .kind = YAML_KIND_LIST, .key = slice_from_text(resource->list_items), .first = &nodes[2], .count = 1};
    nodes[0] = (struct yaml_node){.kind = YAML_KIND_MAPPING, .first = &nodes[1], .count = 1};
    return &nodes[0];
}

/* With its kind in front, so that what is printed can be edited and applied. */
static enum ctl_exit print_object(struct ctl *ctl, const struct ctl_resource *resource,
                                  const struct yaml_node *object) {
    const struct ctl_kind *kind = ctl_kind_of(resource);
    struct yaml_node named = *object;
    struct yaml_node first = {.kind = YAML_KIND_SCALAR,
                              .quoted = true,
                              .key = SLICE_LIT("kind"),
                              .text = slice_from_text(kind ? kind->kind : ""),
                              .next = object->first};
    if (!kind || object->kind != YAML_KIND_MAPPING) return print_tree(ctl, object);
    named.first = &first;
    named.count++;
    return print_tree(ctl, &named);
}

enum ctl_exit ctl_get(struct ctl *ctl) {
    const struct ctl_resource *resource;
    enum ctl_exit code = resource_of(ctl, &resource);
    if (code) return code;
    const char *id = ctl->options.words_count > 2 ? ctl->options.words[2] : NULL;
    if (id && !resource->list_parent) {
        if (!resource->get_path)
            return ctl_fail(CTL_EXIT_USAGE, "%s has nothing to get by id; narrow it with --where", resource->name);
        const struct yaml_node *object;
        code = ctl_get_one(ctl, resource, id, false, &object);
        if (code) return code;
        const struct yaml_node *list = ctl_output_is_tree(ctl) ? NULL : as_list(ctl, resource, object);
        return list ? print_table(ctl, resource, list) : print_object(ctl, resource, object);
    }
    if (!resource->list_path)
        return ctl_fail(CTL_EXIT_USAGE, "%s cannot be listed: picketctl get %s ID", resource->name, resource->one);
    struct yaml_node *root = NULL;
    code = ctl_list(ctl, resource, id, &root);
    if (code) return code;
    return ctl_output_is_tree(ctl) ? print_tree(ctl, root) : print_table(ctl, resource, root);
}

enum ctl_exit ctl_describe(struct ctl *ctl) {
    const struct ctl_resource *resource;
    enum ctl_exit code = resource_of(ctl, &resource);
    if (code) return code;
    if (!resource->get_path)
        return ctl_fail(CTL_EXIT_USAGE, "%s cannot be described; see picketctl get", resource->name);
    if (ctl->options.words_count < 3)
        return ctl_fail(CTL_EXIT_USAGE, "which one? picketctl describe %s ID", ctl->options.words[1]);
    const char *id = ctl->options.words[2];
    const struct yaml_node *object;
    code = ctl_get_one(ctl, resource, id, false, &object);
    if (code) return code;
    code = ctl_output_is_tree(ctl) ? print_object(ctl, resource, object) : ctl_describe_print(ctl, resource, object);
    const struct ctl_resource *also = resource->describe_also ? ctl_resource_find(resource->describe_also) : NULL;
    if (code || !also || ctl_output_is_tree(ctl)) return code;
    struct yaml_node *root = NULL;
    if (!ctl->options.limit && !ctl->options.from) ctl->options.limit = DESCRIBE_ROWS;
    code = ctl_list(ctl, also, id, &root);
    if (code) return code;
    printf("\n%s:\n", also->name);
    fflush(stdout);
    return print_table(ctl, also, root);
}
