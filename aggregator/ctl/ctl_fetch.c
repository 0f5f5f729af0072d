/* SPDX-License-Identifier: Apache-2.0
 * A resource is asked for: a request made from its row and the options, and all pages of the answer joined into one
 * tree. */
#include "aggregator/ctl/ctl_call.h"
#include "aggregator/ctl/ctl_table.h"
#include "common/base/clock.h"
#include "common/settings/settings.h"

#include <stdio.h>

enum { PAGE_SIZE = 500, LIST_ROWS = 1000 };

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
        if (!whole_items) { /* a page may be empty and others come: what is listed is narrowed by the server */
            whole = root;
            whole_items = items;
        } else if (items) {
            last_item->next = items->first;
            whole_items->count += items->count;
        }
        for (struct yaml_node *item = items ? items->first : NULL; item; item = item->next) last_item = item;
        page.token = next_token(resource, root, items);
        page.limit -= items ? (int64_t)items->count : 0;
        if (!page.token.size || page.limit <= 0) break;
    }
    if (page.token.size && page.limit <= 0)
        fprintf(stderr, "picketctl: there are more than these %lld; show more with --limit\n", (long long)limit);
    *ret_root = whole;
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
