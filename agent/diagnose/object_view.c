/* SPDX-License-Identifier: Apache-2.0
 * One walk over the text, writing as it goes. What a value may say depends on where it is: the place is handed down, and
 * once it is "all of this is secret" it stays so for everything below. */
#include "agent/diagnose/object_view.h"

#include "agent/diagnose/json_walk.h"
#include "agent/diagnose/mask_command.h"

enum place {
    PLACE_ANY,
    PLACE_ROOT,      /* the object's own members */
    PLACE_ROOT_DATA, /* the same, where `data` is content that is not shown */
    PLACE_METADATA,
    PLACE_ANNOTATIONS,
    PLACE_HELM,
    PLACE_FLEX_VOLUME,
    PLACE_GUARDED, /* below the name of a secret: only what refers to one is shown */
    PLACE_SECRET,  /* no value below is shown; names are */
};

static fault_code add_value(struct object_view *view, slice value, enum place place, unsigned depth, struct text *out,
                            struct fault *reterr);

static fault_code not_json(struct fault *reterr) {
    return fault_set(reterr, FAULT_INPUT, "the API server's answer is not JSON");
}

static void add_masked(struct object_view *view, struct text *out) {
    text_add_text(out, "\"" MASK_TEXT "\"");
    view->masked_count++;
}

void object_view_add_text(struct object_view *view, slice text, struct text *out) {
    struct text shown = text_begin(view->arena);
    slice whole;
    mask_add(view->mask, text, &shown, &view->masked_count);
    if (text_end(&shown, "a text", &whole, NULL))
        out->full = true;
    else
        text_add_json_string(out, whole);
}

static bool is_plain(slice value) {
    for (size_t i = 0; i < value.size; i++)
        if (!value.data[i] || !strchr("+-.0123456789eE", value.data[i]))
            return slice_equal_text(value, "true") || slice_equal_text(value, "false") ||
                   slice_equal_text(value, "null");
    return value.size > 0;
}

static fault_code add_scalar(struct object_view *view, slice value, enum place place, struct text *out,
                             struct fault *reterr) {
    slice text;
    if (!json_walk_is(value, '"')) { /* a number, true, false, null */
        if (!is_plain(value)) return not_json(reterr);
        if (place == PLACE_SECRET && !slice_equal_text(value, "null"))
            add_masked(view, out);
        else
            text_add(out, value);
        return FAULT_NONE;
    }
    if (!json_walk_text(value, view->arena, &text)) return fault_set(reterr, FAULT_LIMIT, "the object is too large");
    if ((place == PLACE_SECRET || place == PLACE_GUARDED) && text.size)
        add_masked(view, out);
    else
        object_view_add_text(view, text, out);
    return FAULT_NONE;
}

/* ---- lists ---- */

static void add_masked_from(struct object_view *view, slice text, size_t from, struct text *out) {
    struct text shown = text_begin(view->arena);
    slice whole;
    mask_add(view->mask, slice_first(text, from), &shown, &view->masked_count);
    text_add_text(&shown, MASK_TEXT);
    view->masked_count++;
    if (text_end(&shown, "a text", &whole, NULL))
        out->full = true;
    else
        text_add_json_string(out, whole);
}

/* A text of a list may be a word of a command. */
static fault_code add_word(struct object_view *view, slice item, struct mask_command *command, enum place place,
                           struct text *out, struct fault *reterr) {
    slice word;
    if (!json_walk_text(item, view->arena, &word)) return fault_set(reterr, FAULT_LIMIT, "the object is too large");
    const size_t from = mask_command_word(command, word);
    if (place != PLACE_ANY || from == 0)
        return add_scalar(view, item, place != PLACE_ANY || word.size ? PLACE_SECRET : PLACE_ANY, out, reterr);
    if (from < word.size)
        add_masked_from(view, word, from, out);
    else
        object_view_add_text(view, word, out);
    return FAULT_NONE;
}

static fault_code add_list(struct object_view *view, slice list, enum place place, unsigned depth, struct text *out,
                           struct fault *reterr) {
    struct json_walk walk = json_walk_into(list);
    struct mask_command command = {.rows = view->commands};
    slice name, item;
    bool first = true;
    if (place != PLACE_SECRET && place != PLACE_GUARDED) place = PLACE_ANY;
    text_add_text(out, "[");
    while (json_walk_next(&walk, &name, &item)) {
        if (!first) text_add_text(out, ",");
        first = false;
        const fault_code code = json_walk_is(item, '"') ? add_word(view, item, &command, place, out, reterr)
                                                        : add_value(view, item, place, depth + 1, out, reterr);
        if (code) return code;
    }
    text_add_text(out, "]");
    return json_walk_ended(&walk) ? FAULT_NONE : not_json(reterr);
}

/* ---- objects ---- */

static bool is_shown_name(const struct object_view *view, slice name) {
    for (size_t i = 0; i < view->shown_names_count; i++)
        if (slice_equal(name, view->shown_names[i])) return true;
    return false;
}

static bool is_left_out(enum place place, slice name) {
    return (place == PLACE_METADATA && slice_equal_text(name, "managedFields")) ||
           (place == PLACE_ANNOTATIONS && slice_equal_text(name, "kubectl.kubernetes.io/last-applied-configuration"));
}

/* What says which secret is meant and how it is mounted (Kubernetes: SecretVolumeSource, LocalObjectReference,
 * ServiceAccountTokenProjection), below "secret" or "imagePullSecrets". */
static bool is_reference(slice name) {
    static const char *const names[] = {"name", "namespace",  "secretName", "key",     "path",
                                        "kind", "apiVersion", "apiGroup",   "audience"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal_text(name, names[i])) return true;
    return false;
}

/* Where the member is; pair: the object is of the shape {name, value}, and its name is not one that is shown. */
static enum place place_of(enum place place, bool pair, slice name, slice value) {
    static const struct {
        const char *name;
        enum place in, to;
    } rows[] = {
        {"metadata", PLACE_ANY, PLACE_METADATA},       {"metadata", PLACE_ROOT, PLACE_METADATA},
        {"metadata", PLACE_ROOT_DATA, PLACE_METADATA}, {"annotations", PLACE_METADATA, PLACE_ANNOTATIONS},
        {"data", PLACE_ROOT_DATA, PLACE_SECRET},       {"binaryData", PLACE_ROOT_DATA, PLACE_SECRET},
        {"stringData", PLACE_ROOT_DATA, PLACE_SECRET}, {"helm", PLACE_ANY, PLACE_HELM},
        {"values", PLACE_HELM, PLACE_SECRET},          {"valuesObject", PLACE_HELM, PLACE_SECRET},
        {"flexVolume", PLACE_ANY, PLACE_FLEX_VOLUME},  {"options", PLACE_FLEX_VOLUME, PLACE_SECRET},
        {"volumeAttributes", PLACE_ANY, PLACE_SECRET},
    };
    if (place == PLACE_SECRET) return PLACE_SECRET;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].in == place && slice_equal_text(name, rows[i].name)) return rows[i].to;
    if (pair && slice_equal_text(name, "value")) return PLACE_SECRET;
    if (place == PLACE_GUARDED) return is_reference(name) ? PLACE_ANY : PLACE_GUARDED;
    if (!mask_is_secret_name(name)) return PLACE_ANY;
    if (json_walk_is(value, '"')) return PLACE_SECRET;
    return json_walk_is(value, '{') || json_walk_is(value, '[') ? PLACE_GUARDED : PLACE_ANY;
}

/* Escapes undone: one in a name would hide it from the rules. */
static fault_code name_of(struct object_view *view, slice raw, slice *ret_name, struct fault *reterr) {
    const slice quoted = slice_of(raw.data - 1, raw.size + 2);
    return json_walk_text(quoted, view->arena, ret_name) ? FAULT_NONE
                                                         : fault_set(reterr, FAULT_LIMIT, "the object is too large");
}

/* Whether it has a member `name`, a text that is not of those whose values are shown. */
static bool is_hidden_pair(struct object_view *view, slice object) {
    struct json_walk walk = json_walk_into(object);
    slice raw, value, name, text;
    while (json_walk_next(&walk, &raw, &value)) {
        if (!json_walk_is(value, '"')) continue;
        if (name_of(view, raw, &name, NULL)) return true;
        if (slice_equal_text(name, "name"))
            return !json_walk_text(value, view->arena, &text) || !is_shown_name(view, text);
    }
    return false;
}

static fault_code add_members(struct object_view *view, slice object, enum place place, unsigned depth,
                              struct text *out, struct fault *reterr) {
    struct json_walk walk = json_walk_into(object);
    slice raw, value, name;
    const bool pair = is_hidden_pair(view, object);
    bool first = true;
    text_add_text(out, "{");
    while (json_walk_next(&walk, &raw, &value)) {
        fault_code code = name_of(view, raw, &name, reterr);
        if (code) return code;
        if (is_left_out(place, name)) continue;
        if (!first) text_add_text(out, ",");
        first = false;
        text_add_json_string(out, name);
        text_add_text(out, ":");
        code = add_value(view, value, place_of(place, pair, name, value), depth + 1, out, reterr);
        if (code) return code;
    }
    text_add_text(out, "}");
    return json_walk_ended(&walk) ? FAULT_NONE : not_json(reterr);
}

/* In one that is run, as a container, the command is named in its image, its command or their arguments. */
static fault_code add_object(struct object_view *view, slice object, enum place place, unsigned depth, struct text *out,
                             struct fault *reterr) {
    static const char *const members[] = {"image", "command", "args"};
    const uint32_t before = view->commands;
    view->commands = 0;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        view->commands |= mask_command_find(json_walk_find(object, members[i]));
    const fault_code code = add_members(view, object, place, depth, out, reterr);
    view->commands = before;
    return code;
}

static fault_code add_value(struct object_view *view, slice value, enum place place, unsigned depth, struct text *out,
                            struct fault *reterr) {
    if (depth > OBJECT_VIEW_DEPTH_MAX)
        return fault_set(reterr, FAULT_LIMIT, "the object is nested deeper than %d", OBJECT_VIEW_DEPTH_MAX);
    if (json_walk_is(value, '{')) return add_object(view, value, place, depth, out, reterr);
    if (json_walk_is(value, '[')) return add_list(view, value, place, depth, out, reterr);
    return add_scalar(view, value, place, out, reterr);
}

fault_code object_view_add(struct object_view *view, slice json, struct text *out, struct fault *reterr) {
    const slice kind = json_walk_find(json, "kind");
    const bool content =
        slice_equal_text(kind, "\"Secret\"") || (slice_equal_text(kind, "\"ConfigMap\"") && !view->config_maps_shown);
    if (!json_walk_is(json, '{')) return not_json(reterr);
    return add_value(view, json, content ? PLACE_ROOT_DATA : PLACE_ROOT, 0, out, reterr);
}
