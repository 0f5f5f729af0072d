/* SPDX-License-Identifier: Apache-2.0
 * YAML allows fewer characters raw than JSON does (YAML 1.1 section 4.1): DEL and C1 inside strings are
 * escaped before the text is handed to the reader. */
#include "aggregator/ctl/ctl_tree.h"

#include <strings.h>

struct complaint {
    const char *file_name;
    struct fault fault;
    unsigned count;
};

static void on_mistake(void *context, int line, const char *message) {
    struct complaint *complaint = context;
    if (complaint->count++ == 0)
        fault_set(&complaint->fault, FAULT_INPUT, "%s:%d: %s", complaint->file_name, line, message);
}

static slice without_raw_controls(slice json, struct arena *arena) {
    bool clean = true;
    for (size_t i = 0; i < json.size && clean; i++)
        clean = json.data[i] != 0x7F && !(json.data[i] == 0xC2 && i + 1 < json.size && json.data[i + 1] < 0xA0) &&
                !(json.data[i] == 0xEF && i + 2 < json.size && json.data[i + 1] == 0xBF && json.data[i + 2] >= 0xBE);
    if (clean) return json;
    struct text text = text_begin(arena);
    for (size_t i = 0; i < json.size;) {
        const size_t size = text_utf8_character(slice_from(json, i));
        const uint8_t *at = json.data + i;
        if (*at == 0x7F)
            text_add_text(&text, "\\u007f");
        else if (size == 2 && *at == 0xC2 && at[1] < 0xA0)
            text_format(&text, "\\u%04x", at[1]);
        else if (size == 3 && *at == 0xEF && at[1] == 0xBF && at[2] >= 0xBE)
            text_add_text(&text, "\xEF\xBF\xBD");
        else
            text_add(&text, slice_of(at, size ? size : 1));
        i += size ? size : 1;
    }
    slice cleaned;
    return text_end(&text, "answer", &cleaned, NULL) ? json : cleaned;
}

fault_code ctl_tree_read(slice yaml, const char *file_name, struct arena *arena, struct yaml_node **ret_first,
                         struct fault *reterr) {
    static const struct yaml_limits limits = {32, 5000000, 10000};
    struct complaint complaint = {.file_name = file_name};
    const slice text =
        yaml.size && (yaml.data[0] == '{' || yaml.data[0] == '[') ? without_raw_controls(yaml, arena) : yaml;
    const fault_code code = yaml_read(text, &limits, arena, on_mistake, &complaint, ret_first, reterr);
    if (code == FAULT_INPUT && complaint.count > 1)
        return fault_set(reterr, FAULT_INPUT, "%s (and %u more)", complaint.fault.text, complaint.count - 1);
    if (code == FAULT_INPUT) return fault_set(reterr, FAULT_INPUT, "%s", complaint.fault.text);
    return code;
}

const struct yaml_node *ctl_tree_at(const struct yaml_node *node, const char *path) {
    while (node && path && *path) {
        const char *dot = strchr(path, '.');
        char key[128];
        if (!slice_to_text(slice_of(path, dot ? (size_t)(dot - path) : strlen(path)), key, sizeof key)) return NULL;
        node = yaml_find(node, key);
        path = dot ? dot + 1 : NULL;
    }
    return node;
}

slice ctl_tree_text(const struct yaml_node *node, const char *path) {
    const struct yaml_node *found = ctl_tree_at(node, path);
    return found && found->kind == YAML_KIND_SCALAR ? found->text : (slice){0};
}

/* JSON's own grammar of numbers: what YAML would also call one (0x1F, .5, 1_000) stays text. */
static bool is_json_number(slice text) {
    size_t at = text.size && text.data[0] == '-';
    const size_t begin = at;
    while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') at++;
    if (at == begin || (text.data[begin] == '0' && at > begin + 1)) return false;
    if (at < text.size && text.data[at] == '.') {
        const size_t fraction = ++at;
        while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') at++;
        if (at == fraction) return false;
    }
    if (at < text.size && (text.data[at] | 0x20) == 'e') {
        at++;
        if (at < text.size && (text.data[at] == '+' || text.data[at] == '-')) at++;
        const size_t exponent = at;
        while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') at++;
        if (at == exponent) return false;
    }
    return at == text.size;
}

static bool is_word(slice text) {
    return slice_equal_text(text, "true") || slice_equal_text(text, "false") || slice_equal_text(text, "null");
}

static void add_json_scalar(struct text *text, const struct yaml_node *node) {
    const bool is_null = !node->quoted && (node->text.size == 0 || slice_equal_text(node->text, "~"));
    if (is_null)
        text_add_text(text, "null");
    else if (!node->quoted && (is_word(node->text) || is_json_number(node->text)))
        text_add(text, node->text);
    else
        text_add_json_string(text, node->text);
}

static void add_json_break(struct text *text, int indent) {
    if (indent >= 0) text_format(text, "\n%*s", indent, "");
}

void ctl_tree_add_json(struct text *text, const struct yaml_node *node, const char *without, int indent) {
    if (node->kind == YAML_KIND_SCALAR) return add_json_scalar(text, node);
    const bool mapping = node->kind == YAML_KIND_MAPPING;
    const int inner = indent < 0 ? -1 : indent + 2;
    text_add_text(text, mapping ? "{" : "[");
    bool first = true;
    for (const struct yaml_node *entry = node->first; entry; entry = entry->next) {
        if (mapping && without && slice_equal_text(entry->key, without)) continue;
        if (!first) text_add_text(text, ",");
        first = false;
        add_json_break(text, inner);
        if (mapping) {
            text_add_json_string(text, entry->key);
            text_add_text(text, indent < 0 ? ":" : ": ");
        }
        ctl_tree_add_json(text, entry, NULL, inner);
    }
    if (!first) add_json_break(text, indent);
    text_add_text(text, mapping ? "}" : "]");
}

/* Whether a text reads back as this text without quotes: begins with a letter or /, holds nothing that YAML
 * reads as its own, and is none of the words that some YAML reader takes for something else. */
static bool is_plain_yaml(slice text) {
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (text.size == strlen(words[i]) && strncasecmp((const char *)text.data, words[i], text.size) == 0)
            return false;
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t byte = text.data[i];
        const bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
        if (letter || byte == '/' || (i && ((byte >= '0' && byte <= '9') || strchr("-_.+@", byte)))) continue;
        if (i && i + 1 < text.size && (byte == ' ' || (byte == ':' && text.data[i + 1] != ' '))) continue;
        return false;
    }
    return text.size > 0;
}

static void add_yaml_text(struct text *text, slice value) {
    if (is_plain_yaml(value))
        text_add(text, value);
    else
        text_add_json_string(text, value);
}

static void add_yaml_scalar(struct text *text, const struct yaml_node *node) {
    if (node->kind != YAML_KIND_SCALAR)
        text_add_text(text, node->kind == YAML_KIND_LIST ? "[]" : "{}");
    else if (!node->quoted)
        text_add(text, node->text);
    else
        add_yaml_text(text, node->text);
    text_add_text(text, "\n");
}

/* on_line: what stands before the first entry is on its line already ("- "). */
static void add_yaml_block(struct text *text, const struct yaml_node *node, int indent, bool on_line) {
    if (!node->first) {
        if (!on_line) text_format(text, "%*s", indent, "");
        add_yaml_scalar(text, node);
        return;
    }
    for (const struct yaml_node *entry = node->first; entry; entry = entry->next) {
        if (entry != node->first || !on_line) text_format(text, "%*s", indent, "");
        if (node->kind == YAML_KIND_LIST) {
            text_add_text(text, "- ");
            add_yaml_block(text, entry, indent + 2, true);
            continue;
        }
        add_yaml_text(text, entry->key);
        text_add_text(text, entry->first ? ":\n" : ": ");
        if (entry->first)
            add_yaml_block(text, entry, indent + 2, false);
        else
            add_yaml_scalar(text, entry);
    }
}

void ctl_tree_add_yaml(struct text *text, const struct yaml_node *node, int indent) {
    add_yaml_block(text, node, indent, false);
}
