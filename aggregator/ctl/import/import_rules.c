/* SPDX-License-Identifier: Apache-2.0
 * Alerting rules as Prometheus reads them, bare or in PrometheusRule objects (alone, or in a List as kubectl prints
 * them). Rules that name the same page share one runbook, whose conditions are the names of their alerts. Its id comes
 * from the link alone, so that another set of files gives the same one. */
#include "aggregator/ctl/import/import.h"
#include "common/base/checksum.h"

enum { ALERTS_MAX = 64 };

struct page {
    slice link;
    const char *file;
    int line;
    slice alerts[ALERTS_MAX];
    size_t alerts_count;
    slice description, owner;
};
struct pages {
    struct import *import;
    struct page *items;
    size_t count, room, recording_count;
};

static struct page *page_of(struct pages *pages, slice link) {
    for (size_t i = 0; i < pages->count; i++)
        if (slice_equal(pages->items[i].link, link)) return &pages->items[i];
    if (pages->count == pages->room) {
        const size_t room = pages->room ? pages->room * 2 : 16;
        struct page *grown =
            room <= IMPORT_OBJECTS_MAX ? arena_alloc_array(pages->import->arena, room, sizeof *grown) : NULL;
        if (!grown) {
            pages->import->full = true;
            return NULL;
        }
        if (pages->count) memcpy(grown, pages->items, pages->count * sizeof *grown);
        pages->items = grown;
        pages->room = room;
    }
    pages->items[pages->count] = (struct page){.link = link};
    return &pages->items[pages->count++];
}

static bool has_template(slice text) {
    return text.size && memmem(text.data, text.size, "{{", 2) != NULL;
}

static void take_rule(struct pages *pages, const char *file, const struct yaml_node *rule) {
    struct import *import = pages->import;
    const slice alert = import_text(rule, "alert");
    if (import_text(rule, "record").size) {
        pages->recording_count++;
        return;
    }
    if (!alert.size)
        return import_fail(import, file, rule->line, SLICE_LIT("rule"), "has neither `alert` nor `record`");
    const struct yaml_node *annotations = import_at(rule, "annotations");
    slice link = import_text(annotations, "runbook_url");
    if (!link.size) link = import_text(annotations, "runbook");
    if (!link.size) return import_skip(import, file, rule->line, alert, "names no runbook (annotations.runbook_url)");
    if (has_template(link))
        return import_fail(import, file, rule->line, alert,
                           "runbook_url '%.*s' holds a template: only Prometheus can fill it in",
                           SLICE_ARG(slice_first(link, 200)));
    if (!text_is_http_url(link))
        return import_fail(import, file, rule->line, alert, "runbook_url '%.*s' is no http or https URL",
                           SLICE_ARG(slice_first(link, 200)));
    struct page *page = page_of(pages, link);
    if (!page) return;
    if (!page->file) {
        page->file = file;
        page->line = rule->line;
    }
    const slice description = import_text(annotations, "description"), summary = import_text(annotations, "summary");
    if (!page->description.size) page->description = summary.size ? summary : description;
    const slice team = import_text(rule, "labels.team");
    if (!page->owner.size && !has_template(team)) page->owner = team;
    for (size_t i = 0; i < page->alerts_count; i++)
        if (slice_equal(page->alerts[i], alert)) return;
    if (page->alerts_count == ALERTS_MAX)
        return import_fail(import, file, rule->line, alert, "more than %d alerts name %.*s", ALERTS_MAX,
                           SLICE_ARG(slice_first(link, 200)));
    page->alerts[page->alerts_count++] = alert;
}

static bool take_groups(struct pages *pages, const char *file, const struct yaml_node *holder) {
    const struct yaml_node *groups = import_at(holder, "groups");
    if (!groups || groups->kind != YAML_KIND_LIST) return false;
    for (const struct yaml_node *group = groups->first; group; group = group->next) {
        const struct yaml_node *rules = import_at(group, "rules");
        if (!rules || rules->kind != YAML_KIND_LIST)
            import_fail(pages->import, file, group->line, import_text(group, "name"), "the group has no list of rules");
        for (const struct yaml_node *rule = rules && rules->kind == YAML_KIND_LIST ? rules->first : NULL; rule;
             rule = rule->next)
            take_rule(pages, file, rule);
    }
    return true;
}

static void take_document(struct pages *pages, const char *file, const struct yaml_node *root) {
    const slice kind = import_text(root, "kind");
    const struct yaml_node *items = import_at(root, "items");
    if (items && items->kind == YAML_KIND_LIST) {
        for (const struct yaml_node *item = items->first; item; item = item->next) take_document(pages, file, item);
        return;
    }
    if (kind.size && !slice_equal_text(kind, "PrometheusRule"))
        return import_fail(pages->import, file, root->line, kind, "is no PrometheusRule");
    if (!take_groups(pages, file, kind.size ? import_at(root, "spec") : root))
        import_fail(pages->import, file, root->line, kind.size ? kind : SLICE_LIT("document"),
                    "holds no list `%sgroups`", kind.size ? "spec." : "");
}

static slice last_part(slice link) {
    while (link.size && (link.data[link.size - 1] == '/' || link.data[link.size - 1] == '#')) link.size--;
    size_t begin = link.size;
    while (begin && link.data[begin - 1] != '/' && link.data[begin - 1] != '#') begin--;
    return slice_from(link, begin);
}

static void add_runbook(struct import *import, const struct page *page) {
    const slice slug = import_slug(import->arena, last_part(page->link), "runbook");
    const struct import_object object = {.kind = "Runbook",
                                         .file = page->file,
                                         .line = page->line,
                                         .id = arena_format(import->arena, "%.*s-%08x", SLICE_ARG(slug),
                                                            (unsigned)(hash_bytes(page->link, 0x72756c6573) >> 32))};
    slice title = page->alerts[0];
    if (page->alerts_count > 1)
        title = arena_format(import->arena, "%.*s and %zu more", SLICE_ARG(title), page->alerts_count - 1);
    struct import_json json = import_json_begin(import);
    import_json_text(&json, "runbookId", object.id);
    import_json_text(&json, "title", import_line(import->arena, title, 256));
    import_json_text(&json, "description", page->description);
    import_json_texts(&json, "triggerConditions", page->alerts, page->alerts_count);
    struct text step = text_begin(import->arena);
    text_add_text(&step,
                  "[{\"stepId\":\"open\",\"title\":\"Open the runbook\",\"kind\":\"RUNBOOK_STEP_KIND_LINK\",\"link\":");
    text_add_json_string(&step, page->link);
    text_add_text(&step, "}]");
    slice steps;
    if (text_end(&step, "step", &steps, NULL))
        import->full = true;
    else
        import_json_raw(&json, "steps", (const char *)steps.data);
    import_json_raw(&json, "automationLevel", "\"AUTOMATION_LEVEL_MANUAL\"");
    if (import->owner)
        import_json_text(&json, "owner", slice_from_text(import->owner));
    else
        import_json_text(&json, "owner", page->owner);
    import_json_raw(&json, "tags", "[\"prometheus\"]");
    import_add(import, object, &json);
}

void import_rules_finish(struct import *import) {
    struct pages pages = {.import = import};
    for (size_t i = 0; i < import->documents_count; i++)
        take_document(&pages, import->documents[i].file, import->documents[i].root);
    if (pages.recording_count)
        import_skip(import, import->documents[0].file, 0, SLICE_LIT("recording rules"),
                    "%zu of them: they alert nobody", pages.recording_count);
    for (size_t i = 0; i < pages.count; i++) add_runbook(import, &pages.items[i]);
}
