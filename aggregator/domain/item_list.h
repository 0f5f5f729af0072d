/* SPDX-License-Identifier: Apache-2.0
 * Lists of items as a sender wrote them: their ids made and held apart, and their order in time. Each item is a struct
 * of the contract (or a slice) whose first member is its id. Any thread. */
#ifndef PICKET_DOMAIN_ITEM_LIST_H
#define PICKET_DOMAIN_ITEM_LIST_H

#include "common/base/arena.h"
#include "common/base/fault.h"

/* An item without an id gets "<made>-<number>": its place in the list from 1, or the next number that is free.
 * FAULT_INPUT names the first id that is there twice by `list` and `field`: "steps[2].step_id: ..."; FAULT_LIMIT: the
 * arena is full. */
fault_code item_list_complete_ids(void *items, size_t count, size_t item_bytes, const char *list, const char *field,
                                  const char *made, struct arena *arena, struct fault *reterr) MUST_CHECK;

/* FAULT_INPUT names the first id that is there twice: "dependencies[2]: 'checkout' is there twice". */
fault_code item_list_each_once(const void *items, size_t count, size_t item_bytes, const char *list,
                               struct arena *arena, struct fault *reterr) MUST_CHECK;

/* A copy in the order of the Timestamp at that offset, oldest first; those of the same time stay as they were. NULL
 * when the arena is full. */
void *item_list_by_time(const void *items, size_t count, size_t item_bytes, size_t time_offset,
                        struct arena *arena) MUST_CHECK;

#endif
