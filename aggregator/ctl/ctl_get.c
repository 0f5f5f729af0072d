/* SPDX-License-Identifier: Apache-2.0
 * get and describe: what was fetched, in the format asked for. */
#include "aggregator/ctl/ctl_call.h"
#include "aggregator/ctl/ctl_table.h"
#include "common/base/clock.h"

#include <stdio.h>

enum { TIME_ROWS = 30, DESCRIBE_ROWS = 10 };

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

/* An object as it is printed: its kind in front, so that it can be edited and applied. nodes: where that is made. */
static const struct yaml_node *with_kind(const struct ctl_resource *resource, const struct yaml_node *object,
                                         struct yaml_node nodes[2]) {
    const struct ctl_kind *kind = ctl_kind_of(resource);
    if (!kind || object->kind != YAML_KIND_MAPPING) return object;
    nodes[0] = *object;
    nodes[1] = (struct yaml_node){.kind = YAML_KIND_SCALAR,
                                  .quoted = true,
                                  .key = SLICE_LIT("kind"),
                                  .text = slice_from_text(kind->kind),
                                  .next = object->first};
    nodes[0].first = &nodes[1];
    nodes[0].count++;
    return &nodes[0];
}

void ctl_object_add_yaml(struct text *text, const struct ctl_resource *resource, const struct yaml_node *object) {
    struct yaml_node nodes[2];
    ctl_tree_add_yaml(text, with_kind(resource, object, nodes), 0);
}

static enum ctl_exit print_object(struct ctl *ctl, const struct ctl_resource *resource,
                                  const struct yaml_node *object) {
    struct yaml_node nodes[2];
    return print_tree(ctl, with_kind(resource, object, nodes));
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
