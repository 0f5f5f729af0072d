/* SPDX-License-Identifier: Apache-2.0
 * A thin face of yyjson's own document: a json_value is a yyjson_val. yyjson keeps members as they come, so a second
 * member of one name is looked for here, once, after reading; the walk is as deep as JSON_TREE_DEPTH_MAX and no object is
 * larger than JSON_TREE_MEMBERS_MAX, which bounds the square of that search. */
#include "common/codec/json_tree.h"

#include <yyjson.h>

static void *tree_malloc(void *arena, size_t size) {
    return arena_alloc(arena, size);
}

static void *tree_realloc(void *arena, void *old, size_t old_size, size_t size) {
    return arena_grow(arena, old, old_size, size);
}

static void tree_free(void *arena, void *memory) {
    (void)arena;
    (void)memory;
}

static yyjson_val *inner(const struct json_value *value) {
    return (yyjson_val *)(uintptr_t)value;
}

static const struct json_value *outer(yyjson_val *value) {
    return (const struct json_value *)value;
}

static slice text_of(yyjson_val *value) {
    return slice_of(yyjson_get_str(value), yyjson_get_len(value));
}

static fault_code members_check(yyjson_val *object, struct fault *reterr) {
    slice names[JSON_TREE_MEMBERS_MAX];
    size_t count = 0, at, most;
    yyjson_val *key, *value;
    if (yyjson_obj_size(object) > JSON_TREE_MEMBERS_MAX)
        return fault_set(reterr, FAULT_LIMIT, "a JSON object has more than %d members", JSON_TREE_MEMBERS_MAX);
    yyjson_obj_foreach(object, at, most, key, value) {
        names[count] = text_of(key);
        for (size_t i = 0; i < count; i++)
            if (slice_equal(names[i], names[count]))
                return fault_set(reterr, FAULT_INPUT, "a JSON object names a member twice: '%.*s'",
                                 SLICE_ARG(slice_first(names[i], 40)));
        count++;
    }
    return FAULT_NONE;
}

static fault_code check(yyjson_val *value, int depth, struct fault *reterr) {
    size_t at, most;
    yyjson_val *key, *item;
    fault_code code = FAULT_NONE;
    if (!yyjson_is_ctn(value)) return FAULT_NONE;
    if (depth == JSON_TREE_DEPTH_MAX)
        return fault_set(reterr, FAULT_LIMIT, "JSON nested deeper than %d", JSON_TREE_DEPTH_MAX);
    if (yyjson_is_obj(value)) {
        code = members_check(value, reterr);
        if (!code) yyjson_obj_foreach(value, at, most, key, item) if (!code) code = check(item, depth + 1, reterr);
    } else {
        yyjson_arr_foreach(value, at, most, item) if (!code) code = check(item, depth + 1, reterr);
    }
    return code;
}

fault_code json_tree_read(slice text, struct arena *arena, const struct json_value **ret_root, struct fault *reterr) {
    const yyjson_alc allocator = {tree_malloc, tree_realloc, tree_free, arena};
    yyjson_read_err error = {0};
    if (text.size == 0) return fault_set(reterr, FAULT_INPUT, "not JSON: the text is empty");
    /* Without YYJSON_READ_INSITU the text is not written to. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.data, text.size, YYJSON_READ_NOFLAG, &allocator, &error);
    if (!doc && error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return fault_set(reterr, FAULT_LIMIT, "read JSON of %zu bytes: the arena is full", text.size);
    if (!doc) return fault_set(reterr, FAULT_INPUT, "not JSON: %s, at byte %zu", error.msg, error.pos);
    const fault_code code = check(yyjson_doc_get_root(doc), 0, reterr);
    if (!code) *ret_root = outer(yyjson_doc_get_root(doc));
    return code;
}

const struct json_value *json_tree_member(const struct json_value *object, slice name) {
    return outer(
        yyjson_obj_getn(inner(object), (const char *)(name.data ? name.data : (const uint8_t *)""), name.size));
}

size_t json_tree_members(const struct json_value *object, slice *ret_names, const struct json_value **ret_values,
                         size_t members_max) {
    size_t at, most;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(inner(object))) return 0;
    yyjson_obj_foreach(inner(object), at, most, key, value) {
        if (at == members_max) break;
        ret_names[at] = text_of(key);
        ret_values[at] = outer(value);
    }
    return yyjson_obj_size(inner(object));
}

bool json_tree_is_object(const struct json_value *value) {
    return yyjson_is_obj(inner(value));
}

bool json_tree_is_list(const struct json_value *value) {
    return yyjson_is_arr(inner(value));
}

size_t json_tree_count(const struct json_value *list) {
    return yyjson_arr_size(inner(list));
}

const struct json_value *json_tree_first(const struct json_value *list) {
    return outer(yyjson_arr_get_first(inner(list)));
}

const struct json_value *json_tree_next(const struct json_value *item) {
    return outer(unsafe_yyjson_get_next(inner(item)));
}

bool json_tree_text(const struct json_value *value, slice *ret_text) {
    if (!yyjson_is_str(inner(value))) return false;
    *ret_text = text_of(inner(value));
    return true;
}

bool json_tree_number(const struct json_value *value, double *ret_number) {
    if (!yyjson_is_num(inner(value))) return false;
    *ret_number = yyjson_get_num(inner(value));
    return true;
}

bool json_tree_flag(const struct json_value *value, bool *ret_flag) {
    if (!yyjson_is_bool(inner(value))) return false;
    *ret_flag = yyjson_get_bool(inner(value));
    return true;
}
