/* SPDX-License-Identifier: Apache-2.0
 * Which occurrences of events were counted: an event object is one uid whose count grows, it comes again with every list,
 * and each occurrence is to count once. Bounded: of more than EVENT_MEMORY_MAX the one that was seen longest ago is
 * forgotten. Totals by reason are kept here too, so that both are stored together and a crash leaves them in step.
 * Owner: one thread. */
#ifndef PICKET_HEALTH_EVENT_MEMORY_H
#define PICKET_HEALTH_EVENT_MEMORY_H

#include "common/base/fault.h"

enum { EVENT_MEMORY_MAX = 4096 };

/* The reasons that are counted apart (cluster_events.def); the last one is "other". */
size_t event_reasons_count(void);
const char *event_reason(size_t index);

struct event_memory;

struct event_memory *event_memory_new(void) MUST_CHECK;              /* NULL: out of memory */
struct event_memory *event_memory_free(struct event_memory *memory); /* NULL is fine; returns NULL */

/* How many occurrences of it are new: 0 when it was all seen. count is at least 1; scope and round: of the watch that
 * says it. */
uint32_t event_memory_see(struct event_memory *memory, slice uid, slice reason, uint32_t count, uint16_t scope,
                          uint8_t round);
/* The event object is gone: nothing of it will come again. */
void event_memory_forget(struct event_memory *memory, slice uid);
/* After a whole list of a scope: what was not in it is gone. What was loaded belongs to scope 0 until it is seen. */
void event_memory_sweep(struct event_memory *memory, uint16_t scope, uint8_t round);

uint64_t event_memory_total(const struct event_memory *memory, size_t reason);
size_t event_memory_count(const struct event_memory *memory);
/* How often one had to be forgotten for want of room: its occurrences may then count again. */
uint64_t event_memory_lost(const struct event_memory *memory);

/* All of it as bytes, in the memory's own buffer until the next call; changed says whether it differs from the last time.
 * What event_memory_load cannot read leaves the memory as it was (FAULT_CORRUPT). */
slice event_memory_bytes(struct event_memory *memory, bool *ret_changed);
fault_code event_memory_load(struct event_memory *memory, slice bytes, struct fault *reterr) MUST_CHECK;

#endif
