/* SPDX-License-Identifier: Apache-2.0
 * JSON whose shape is not a message's: a tree of values in the arena. RFC 8259 and no more (no comments, no trailing
 * commas); an object that names a member twice is refused, because readers differ in which one they take. Any thread. */
#ifndef PICKET_CODEC_JSON_TREE_H
#define PICKET_CODEC_JSON_TREE_H

#include "common/base/arena.h"
#include "common/base/fault.h"

enum { JSON_TREE_DEPTH_MAX = 16, JSON_TREE_MEMBERS_MAX = 256 }; /* members: of one object */

struct json_value;

/* Valid as long as the arena's content; the text may go. FAULT_INPUT: not JSON, a member twice; FAULT_LIMIT: too deep, an
 * object too large, the arena full. */
fault_code json_tree_read(slice text, struct arena *arena, const struct json_value **ret_root,
                          struct fault *reterr) MUST_CHECK;

/* NULL when it is not there, or `object` is NULL or no object. */
const struct json_value *json_tree_member(const struct json_value *object, slice name);
/* The members of an object in their order, at most members_max; how many it has (0 for anything else). */
size_t json_tree_members(const struct json_value *object, slice *ret_names, const struct json_value **ret_values,
                         size_t members_max);
bool json_tree_is_object(const struct json_value *value);
bool json_tree_is_list(const struct json_value *value);
/* Items of a list; 0 for anything else. The first, and the one behind another: to be asked only within the count. */
size_t json_tree_count(const struct json_value *list);
const struct json_value *json_tree_first(const struct json_value *list);
const struct json_value *json_tree_next(const struct json_value *item);

/* False (and nothing stored) when the value is NULL or of another kind. Texts are UTF-8. */
bool json_tree_text(const struct json_value *value, slice *ret_text) MUST_CHECK;
bool json_tree_number(const struct json_value *value, double *ret_number) MUST_CHECK;
bool json_tree_flag(const struct json_value *value, bool *ret_flag) MUST_CHECK;

#endif
