/* SPDX-License-Identifier: Apache-2.0
 * Walks JSON where it lies, one value at a time, with no tree and no memory: an object of a cluster may be a megabyte, and
 * of most of them three numbers are wanted. A value is the slice of its text. What is not JSON ends the walk and is said
 * (json_walk_ended). Any thread. */
#ifndef PICKET_DIAGNOSE_JSON_WALK_H
#define PICKET_DIAGNOSE_JSON_WALK_H

#include "common/base/arena.h"

struct json_walk {
    slice rest;
    enum { JSON_WALK_BEGIN, JSON_WALK_INSIDE, JSON_WALK_END, JSON_WALK_BROKEN } state;
    bool object;
};

/* Into an object or a list; of anything else the walk is broken from the start. */
struct json_walk json_walk_into(slice value);
/* The next member or item; name is its text between the quotes, as it stands (empty in a list). */
bool json_walk_next(struct json_walk *walk, slice *ret_name, slice *ret_value);
/* After json_walk_next returned false: whether that was the proper end. */
bool json_walk_ended(const struct json_walk *walk);

/* The value of a member, by path: "status.replicas"; empty when it is not there. The first of several. */
slice json_walk_find(slice value, const char *path);
/* The text of a string, its escapes undone, in the arena where there are some (else a part of `value`). False: it is no
 * string, or the arena is full. */
bool json_walk_text(slice value, struct arena *arena, slice *ret_text);
/* A whole number; `otherwise` when it is none. */
int64_t json_walk_number(slice value, int64_t otherwise);
bool json_walk_is(slice value, char first); /* '{', '[', '"' ... */

#endif
