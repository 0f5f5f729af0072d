/* SPDX-License-Identifier: Apache-2.0
 * Backstage's catalog-info.yaml (https://backstage.io/docs/features/software-catalog/descriptor-format). Entities are
 * known by kind, namespace and name; a service by one id: a component keeps its name, others have their kind in front,
 * and what is not in the namespace `default` has that before it. Relations may point forwards, backwards and in circles:
 * all entities are there before the first relation is read, and who needs whom is collected per entity.
 * An entity that the contract does not take fails alone: those that need it are imported without this need.
 *
 * An API works when the component that provides it does: providesApis is a need of the API. */
#include "aggregator/ctl/import/import.h"

#include <stdio.h>

struct need {
    slice id;
    struct need *next;
};
struct entity {
    const char *file;
    const struct yaml_node *root;
    slice kind, name, id; /* kind in small letters */
    struct need *needs, **last_need;
    size_t needs_count;
    struct import_json json; /* without the needs */
    bool failed;
};
struct catalog {
    struct import *import;
    struct entity *entities;
    size_t count;
};

static slice lower(struct arena *arena, slice text) {
    const slice copy = arena_copy(arena, text);
    for (size_t i = 0; i < copy.size; i++)
        if (copy.data[i] >= 'A' && copy.data[i] <= 'Z') ((uint8_t *)copy.data)[i] |= 0x20;
    return copy;
}

static slice service_id(struct arena *arena, slice kind, slice namespace, slice name) {
    const bool elsewhere = namespace.size && !slice_equal_text(namespace, "default");
    const bool component = slice_equal_text(kind, "component");
    return import_id(arena, arena_format(arena, "%.*s%s%.*s%s%.*s", SLICE_ARG(elsewhere ? namespace : (slice){0}),
                                         elsewhere ? "." : "", SLICE_ARG(component ? (slice){0} : kind),
                                         component ? "" : "-", SLICE_ARG(name)));
}

struct reference {
    slice kind, namespace, name;
};

/* "[kind:][namespace/]name" */
static struct reference reference_of(struct arena *arena, slice text, const char *kind, slice namespace) {
    struct reference reference = {slice_from_text(kind), namespace, text};
    const uint8_t *colon = memchr(text.data, ':', text.size);
    if (colon) {
        reference.kind = lower(arena, slice_of(text.data, (size_t)(colon - text.data)));
        reference.name = slice_from(text, (size_t)(colon - text.data) + 1);
    }
    const uint8_t *slash = reference.name.size ? memchr(reference.name.data, '/', reference.name.size) : NULL;
    if (slash) {
        reference.namespace = slice_of(reference.name.data, (size_t)(slash - reference.name.data));
        reference.name = slice_from(reference.name, (size_t)(slash - reference.name.data) + 1);
    }
    return reference;
}

static struct entity *entity_by_id(const struct catalog *catalog, slice id) {
    for (size_t i = 0; i < catalog->count; i++)
        if (slice_equal(catalog->entities[i].id, id)) return &catalog->entities[i];
    return NULL;
}

static void add_need(struct catalog *catalog, struct entity *entity, slice id, int line) {
    enum { NEEDS_MAX = 256 };
    for (const struct need *need = entity->needs; need; need = need->next)
        if (slice_equal(need->id, id)) return;
    struct import *import = catalog->import;
    if (slice_equal(entity->id, id)) return import_skip(import, entity->file, line, entity->name, "needs itself");
    const struct entity *other = entity_by_id(catalog, id);
    if ((!other || other->failed) && !(import->has_service && import->has_service(import->context, id)))
        return import_skip(import, entity->file, line, entity->name,
                           other ? "needs '%.*s', which failed"
                                 : "needs '%.*s', which stands neither in these files nor in the catalog",
                           SLICE_ARG(id));
    if (entity->needs_count == NEEDS_MAX)
        return import_fail(import, entity->file, line, entity->name, "needs more than %d others", NEEDS_MAX);
    struct need *need = arena_alloc(import->arena, sizeof *need);
    if (!need) {
        import->full = true;
        return;
    }
    need->id = id;
    *entity->last_need = need;
    entity->last_need = &need->next;
    entity->needs_count++;
}

struct relation {
    const char *field, *kind; /* of what it names, when the reference does not say */
    bool backwards;           /* what is named needs this one */
};
static const struct relation relations[] = {
    {"dependsOn", "component", false},
    {"consumesApis", "api", false},
    {"providesApis", "api", true},
    {"dependencyOf", "component", true},
};

static void relate(struct catalog *catalog, struct entity *entity, const struct relation *relation) {
    struct import *import = catalog->import;
    const struct yaml_node *spec = import_at(entity->root, "spec");
    const struct yaml_node *list = import_at(spec, relation->field);
    if (list && list->kind != YAML_KIND_LIST)
        return import_fail(import, entity->file, list->line, entity->name, "spec.%s must be a list", relation->field);
    const slice namespace = import_text(entity->root, "metadata.namespace");
    for (const struct yaml_node *item = list ? list->first : NULL; item; item = item->next) {
        if (item->kind != YAML_KIND_SCALAR || !item->text.size) {
            import_fail(import, entity->file, item->line, entity->name, "spec.%s: a reference is a text",
                        relation->field);
            continue;
        }
        const struct reference to = reference_of(import->arena, item->text, relation->kind, namespace);
        const slice id = service_id(import->arena, to.kind, to.namespace, to.name);
        struct entity *other = entity_by_id(catalog, id);
        if (!relation->backwards)
            add_need(catalog, entity, id, item->line);
        else if (other)
            add_need(catalog, other, entity->id, item->line);
        else
            import_skip(import, entity->file, item->line, entity->name,
                        "%s '%.*s' stands in none of these files: that it needs this one is not kept", relation->field,
                        SLICE_ARG(item->text));
    }
}

/* Of "url:https://..." and "https://..." the URL, without the marks of Backstage. */
static slice url_of(slice text) {
    if (slice_starts_with(text, SLICE_LIT("url:"))) text = slice_from(text, 4);
    return text_is_http_url(text) ? text : (slice){0};
}

static bool has_word(slice text, const char *word) {
    char small[256];
    const size_t size = text.size < sizeof small - 1 ? text.size : sizeof small - 1;
    for (size_t i = 0; i < size; i++)
        small[i] = (char)(text.data[i] >= 'A' && text.data[i] <= 'Z' ? text.data[i] | 0x20 : text.data[i]);
    small[size] = '\0';
    return strstr(small, word) != NULL;
}

struct urls {
    slice repository, dashboard;
};

static void take_links(struct import *import, const struct entity *entity, struct urls *urls) {
    static const char *const repository_words[] = {"repo", "source", "github", "gitlab", "bitbucket"};
    static const char *const dashboard_words[] = {"dashboard", "grafana", "monitor"};
    const struct yaml_node *links = import_at(entity->root, "metadata.links");
    for (const struct yaml_node *link = links && links->kind == YAML_KIND_LIST ? links->first : NULL; link;
         link = link->next) {
        const slice url = url_of(import_text(link, "url"));
        const slice said[] = {import_text(link, "title"), import_text(link, "type"), import_text(link, "icon"), url};
        slice *into = NULL;
        for (size_t i = 0; i < 4 && url.size && !into; i++) {
            for (size_t j = 0; j < 3 && !into; j++)
                if (has_word(said[i], dashboard_words[j])) into = &urls->dashboard;
            for (size_t j = 0; j < 5 && !into; j++)
                if (has_word(said[i], repository_words[j])) into = &urls->repository;
        }
        if (into && !into->size)
            *into = url;
        else
            import_skip(import, entity->file, link->line, entity->name, "link %.*s: %s",
                        SLICE_ARG(import_text(link, "url")),
                        into       ? "one is kept already"
                        : url.size ? "is neither a repository nor a dashboard by its title"
                                   : "is no http URL");
    }
}

/* "app=my-app,tier=front" as labels; NULL and a note when it says more than equality. */
static const char *label_selector(struct import *import, const struct entity *entity,
                                  const struct yaml_node *annotation) {
    struct text text = text_begin(import->arena);
    text_add_text(&text, "{");
    slice rest = annotation->text;
    for (bool first = true; rest.size; first = false) {
        const uint8_t *comma = memchr(rest.data, ',', rest.size);
        const slice part = slice_of(rest.data, comma ? (size_t)(comma - rest.data) : rest.size);
        const uint8_t *equals = memchr(part.data, '=', part.size);
        const size_t key_size = equals ? (size_t)(equals - part.data) : 0;
        slice value = equals ? slice_from(part, key_size + 1) : (slice){0};
        if (value.size && value.data[0] == '=') value = slice_from(value, 1);
        if (!key_size || part.data[key_size - 1] == '!' || memchr(part.data, '(', part.size)) {
            import_skip(import, entity->file, annotation->line, entity->name,
                        "annotation %.*s: only KEY=VALUE,... is understood", SLICE_ARG(annotation->key));
            return NULL;
        }
        text_add_text(&text, first ? "" : ",");
        text_add_json_string(&text, slice_of(part.data, key_size));
        text_add_text(&text, ":");
        text_add_json_string(&text, value);
        rest = slice_from(rest, part.size + 1);
    }
    text_add_text(&text, "}");
    slice whole;
    return text_end(&text, "labels", &whole, NULL) ? NULL : (const char *)whole.data;
}

struct annotations {
    slice on_call, namespace, kubernetes_id;
    const char *labels; /* JSON */
    struct urls urls;
};

static void take_annotation(struct import *import, const struct entity *entity, const struct yaml_node *annotation,
                            struct annotations *taken) {
    static const struct {
        const char *key, *prefix;
    } on_calls[] = {{"pagerduty.com/service-id", "pagerduty:"}, {"opsgenie.com/team", "opsgenie:"}};
    static const char *const sources[] = {"backstage.io/source-location", "backstage.io/view-url",
                                          "backstage.io/managed-by-location",
                                          "backstage.io/managed-by-origin-location"};
    static const char *const secrets[] = {"integration-key", "token", "secret", "password"};
    const slice key = annotation->key, value = annotation->text;
    for (size_t i = 0; i < 2; i++)
        if (slice_equal_text(key, on_calls[i].key)) {
            if (!taken->on_call.size)
                taken->on_call = arena_format(import->arena, "%s%.*s", on_calls[i].prefix, SLICE_ARG(value));
            return;
        }
    for (size_t i = 0; i < 4; i++)
        if (slice_equal_text(key, sources[i])) {
            if (!taken->urls.repository.size) taken->urls.repository = url_of(value);
            return;
        }
    if (slice_equal_text(key, "github.com/project-slug")) {
        if (!taken->urls.repository.size)
            taken->urls.repository = arena_format(import->arena, "https://github.com/%.*s", SLICE_ARG(value));
    } else if (slice_equal_text(key, "backstage.io/kubernetes-id"))
        taken->kubernetes_id = value;
    else if (slice_equal_text(key, "backstage.io/kubernetes-namespace"))
        taken->namespace = value;
    else if (slice_equal_text(key, "backstage.io/kubernetes-label-selector"))
        taken->labels = label_selector(import, entity, annotation);
    else {
        bool secret = false;
        for (size_t i = 0; i < 4; i++) secret |= has_word(key, secrets[i]);
        import_skip(import, entity->file, annotation->line, entity->name, "annotation %.*s: %s",
                    SLICE_ARG(slice_first(key, 120)),
                    secret ? "a secret has no place in a catalog" : "Picket has nothing that corresponds");
    }
}

/* What runs for it, as selectors. The label selector goes before the id, as in Backstage. */
static void add_selectors(struct import *import, struct import_json *json, const struct annotations *taken) {
    if (!taken->labels && !taken->kubernetes_id.size) return;
    struct import_json selector = import_json_begin(import);
    import_json_text(&selector, "namespacePattern", taken->namespace);
    struct text labels = text_begin(import->arena);
    text_add_text(&labels, "{\"backstage.io/kubernetes-id\":");
    text_add_json_string(&labels, taken->kubernetes_id);
    text_add_text(&labels, "}");
    slice by_id, whole;
    if (text_end(&labels, "labels", &by_id, NULL)) by_id = SLICE_LIT("{}");
    import_json_raw(&selector, "matchLabels", taken->labels ? taken->labels : (const char *)by_id.data);
    if (text_end(&selector.text, "selector", &whole, NULL)) {
        import->full = true;
        return;
    }
    const slice list = arena_format(import->arena, "[%.*s}]", SLICE_ARG(whole));
    import_json_raw(json, "selectors", (const char *)list.data);
}

/* Facts of Backstage that Picket has no field for are kept as labels. */
static void add_labels(struct import *import, struct import_json *json, const struct entity *entity) {
    static const struct {
        const char *path, *label;
    } facts[] = {{"spec.type", "backstage.io/type"},
                 {"spec.lifecycle", "backstage.io/lifecycle"},
                 {"spec.system", "backstage.io/system"},
                 {"spec.domain", "backstage.io/domain"},
                 {"spec.subcomponentOf", "backstage.io/subcomponent-of"}};
    struct import_json labels = import_json_begin(import);
    import_json_text(&labels, "backstage.io/kind", entity->kind);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        import_json_text(&labels, facts[i].label, import_text(entity->root, facts[i].path));
    const struct yaml_node *own = import_at(entity->root, "metadata.labels");
    for (const struct yaml_node *label = own && own->kind == YAML_KIND_MAPPING ? own->first : NULL; label;
         label = label->next) {
        if (label->kind != YAML_KIND_SCALAR) continue;
        text_add_text(&labels.text, ",");
        text_add_json_string(&labels.text, label->key);
        text_add_text(&labels.text, ":");
        text_add_json_string(&labels.text, label->text);
    }
    slice whole;
    text_add_text(&labels.text, "}");
    if (text_end(&labels.text, "labels", &whole, NULL))
        import->full = true;
    else
        import_json_raw(json, "labels", (const char *)whole.data);
}

static void add_owner(struct import *import, struct import_json *json, const struct entity *entity) {
    const slice owner = import_text(entity->root, "spec.owner");
    if (!owner.size) {
        if (import->owner) import_json_text(json, "owner", slice_from_text(import->owner));
        return;
    }
    const struct reference who = reference_of(import->arena, owner, "group", (slice){0});
    import_json_text(json, "owner", who.name);
    if (slice_equal_text(who.kind, "group")) import_json_text(json, "team", who.name);
}

static void add_tags(struct import *import, struct import_json *json, const struct entity *entity) {
    const struct yaml_node *tags = import_at(entity->root, "metadata.tags");
    slice *texts =
        tags && tags->kind == YAML_KIND_LIST ? arena_alloc_array(import->arena, tags->count + 1, sizeof *texts) : NULL;
    size_t count = 0;
    for (const struct yaml_node *tag = texts ? tags->first : NULL; tag; tag = tag->next)
        if (import_is_tag(tag->text))
            texts[count++] = tag->text;
        else
            import_skip(import, entity->file, tag->line, entity->name,
                        "tag '%.*s': a tag is made of A-Z a-z 0-9 . _ - /, and begins and ends with a letter or digit",
                        SLICE_ARG(slice_first(tag->text, 128)));
    import_json_texts(json, "tags", texts, count);
}

/* What an entity says and is not kept: a relation whose name is misspelt would be one that nobody sees. */
static void say_unread(struct import *import, const struct entity *entity) {
    static const char *const of_metadata[] = {"name", "namespace", "title", "description", "labels",     "annotations",
                                              "tags", "links",     "uid",   "etag",        "generation", NULL};
    static const char *const of_spec[] = {"type",         "lifecycle",      "owner",      "system",
                                          "domain",       "subcomponentOf", "dependsOn",  "consumesApis",
                                          "providesApis", "dependencyOf",   "definition", NULL};
    import_say_unread(import, entity->file, entity->name, import_at(entity->root, "metadata"), of_metadata);
    import_say_unread(import, entity->file, entity->name, import_at(entity->root, "spec"), of_spec);
}

static struct import_object object_of(const struct entity *entity) {
    return (struct import_object){
        .kind = "Service", .file = entity->file, .line = entity->root->line, .id = entity->id};
}

/* All of it but what it needs; an entity that does not fit so is said, and becomes nothing. */
static void begin_service(struct catalog *catalog, struct entity *entity) {
    struct import *import = catalog->import;
    struct annotations taken = {0};
    const struct yaml_node *annotations = import_at(entity->root, "metadata.annotations");
    for (const struct yaml_node *a = annotations ? annotations->first : NULL; a; a = a->next)
        take_annotation(import, entity, a, &taken);
    take_links(import, entity, &taken.urls);
    say_unread(import, entity);
    const slice title = import_text(entity->root, "metadata.title");
    struct import_json json = import_json_begin(import);
    import_json_text(&json, "serviceId", entity->id);
    import_json_text(&json, "name", import_line(import->arena, title.size ? title : entity->name, 256));
    import_json_text(&json, "description", import_text(entity->root, "metadata.description"));
    add_owner(import, &json, entity);
    import_json_text(&json, "repositoryUrl", taken.urls.repository);
    import_json_text(&json, "dashboardUrl", taken.urls.dashboard);
    add_tags(import, &json, entity);
    add_labels(import, &json, entity);
    import_json_text(&json, "onCallSchedule", taken.on_call);
    add_selectors(import, &json, &taken);
    entity->json = json;
    struct fault fault = {0};
    struct import_object object = object_of(entity);
    object.command = import_json_so_far(import, &json);
    entity->failed = import->fits && !import->fits(import->context, &object, &fault);
    if (entity->failed) import_fail(import, object.file, object.line, object.id, "%s: %s", object.kind, fault.text);
}

static void add_service(struct catalog *catalog, struct entity *entity) {
    struct import *import = catalog->import;
    if (entity->failed) return;
    if (entity->needs) {
        struct text needs = text_begin(import->arena);
        for (const struct need *need = entity->needs; need; need = need->next) {
            text_add_text(&needs, need == entity->needs ? "[{\"serviceId\":" : ",{\"serviceId\":");
            text_add_json_string(&needs, need->id);
            text_add_text(&needs, "}");
        }
        text_add_text(&needs, "]");
        slice whole;
        if (text_end(&needs, "needs", &whole, NULL))
            import->full = true;
        else
            import_json_raw(&entity->json, "dependencies", (const char *)whole.data);
    }
    import_add(import, object_of(entity), &entity->json);
}

static void take_entity(struct catalog *catalog, const struct import_document *document) {
    static const char *const services[] = {"component", "api", "resource", "system", "domain"};
    static const char *const others[] = {"group", "user", "location", "template"};
    struct import *import = catalog->import;
    const struct yaml_node *root = document->root;
    const slice kind = lower(import->arena, import_text(root, "kind")), name = import_text(root, "metadata.name");
    const slice version = import_text(root, "apiVersion");
    if (!slice_equal_text(version, "backstage.io/v1alpha1") && !slice_equal_text(version, "backstage.io/v1beta1") &&
        !slice_starts_with(version, SLICE_LIT("scaffolder.backstage.io/")))
        return import_fail(import, document->file, root->line, name.size ? name : SLICE_LIT("document"),
                           "apiVersion is '%.*s', not backstage.io/v1alpha1 or v1beta1",
                           SLICE_ARG(slice_first(version, 60)));
    if (!name.size)
        return import_fail(import, document->file, root->line, SLICE_LIT("entity"), "metadata.name is missing");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (slice_equal_text(kind, others[i]))
            return import_skip(import, document->file, root->line, name, "%.*s: not a service%s", SLICE_ARG(kind),
                               slice_equal_text(kind, "location") ? "; name the files that it points to" : "");
    size_t i = 0;
    while (i < sizeof services / sizeof *services && !slice_equal_text(kind, services[i])) i++;
    if (i == sizeof services / sizeof *services)
        return import_fail(import, document->file, root->line, name, "kind '%.*s' is none that is known",
                           SLICE_ARG(kind));
    struct entity *entity = &catalog->entities[catalog->count];
    *entity = (struct entity){.file = document->file,
                              .root = root,
                              .kind = kind,
                              .name = name,
                              .id = service_id(import->arena, kind, import_text(root, "metadata.namespace"), name)};
    const slice namespace = import_text(root, "metadata.namespace");
    if (!import_is_id(name) || (namespace.size && !import_is_id(namespace)))
        return import_fail(import, document->file, root->line, name,
                           "metadata.name and namespace are made of A-Z a-z 0-9 . _ -, and are not longer than 128");
    const struct entity *twin = entity_by_id(catalog, entity->id);
    if (twin)
        return import_fail(import, document->file, root->line, name, "another entity becomes the service '%.*s': %s:%d",
                           SLICE_ARG(entity->id), twin->file, twin->root->line);
    catalog->count++;
}

void import_backstage_finish(struct import *import) {
    struct catalog catalog = {.import = import};
    catalog.entities = arena_alloc_array(import->arena, import->documents_count + 1, sizeof *catalog.entities);
    if (!catalog.entities) {
        import->full = true;
        return;
    }
    for (size_t i = 0; i < import->documents_count; i++) take_entity(&catalog, &import->documents[i]);
    for (size_t i = 0; i < catalog.count; i++) catalog.entities[i].last_need = &catalog.entities[i].needs;
    for (size_t i = 0; i < catalog.count; i++) begin_service(&catalog, &catalog.entities[i]);
    for (size_t i = 0; i < catalog.count; i++)
        for (size_t j = 0; j < sizeof relations / sizeof *relations; j++)
            relate(&catalog, &catalog.entities[i], &relations[j]);
    for (size_t i = 0; i < catalog.count; i++) add_service(&catalog, &catalog.entities[i]);
}
