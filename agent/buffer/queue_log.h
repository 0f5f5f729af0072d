/* SPDX-License-Identifier: Apache-2.0
 * What was taken and is not in the store yet, in memory and, byte for byte, in a file beside the store that is not forced
 * to the disk: written with one write(2) before queue_append_later returns, it outlives kill -9; a power cut may take its
 * end or all of it. Entries are numbered without a gap, and the store knows the last one that is in it
 * (queue_book.log_applied), so none is applied twice. Private to agent/buffer. Owner: the agent's loop thread. */
#ifndef PICKET_BUFFER_QUEUE_LOG_H
#define PICKET_BUFFER_QUEUE_LOG_H

#include "agent/buffer/queue_class.h"
#include "common/base/fault.h"
#include "common/base/slice.h"

struct queue_log {
    int fd; /* -1: no file could be had, and nothing is taken */
    uint8_t *bytes;
    size_t room, used;
    uint32_t chain;       /* the check of the last entry, which the next one's covers */
    uint64_t last_number; /* of the entries here, or applied before them */
    uint64_t entries;     /* here */
    uint64_t items[QUEUE_CLASSES_MAX_];
};

/* Opens or makes the log in the store's folder, for at least so many bytes. Entries behind applied that a process before
 * this one left are here then; what does not check, and all behind it, is left out. A log without a file, which could not
 * be had, takes nothing. FAULT_LIMIT: no memory. */
fault_code queue_log_open(const char *folder, size_t bytes, uint64_t applied, struct queue_log *ret_log,
                          struct fault *reterr) MUST_CHECK;
void queue_log_close(struct queue_log *log); /* of zeroed memory and when closed already, too */

/* How many items a log has that cannot be applied any more, its store being damaged. */
uint64_t queue_log_count(const char *folder);
/* Its file, for who removes the folder: "pending". */
extern const char queue_log_name[];

/* Takes items and note as one entry; note may be NULL. false: it does not fit, or the file cannot be written; nothing was
 * changed. */
bool queue_log_put(struct queue_log *log, const struct queue_item *items, size_t count, const struct queue_note *note,
                   int64_t now_ms) MUST_CHECK;
/* All of it is in the store. */
void queue_log_clear(struct queue_log *log);
/* Forgets what is in the store already. */
void queue_log_drop_applied(struct queue_log *log, uint64_t applied);

struct queue_log_entry {
    int64_t now_ms;
    slice note_name, note_value; /* an empty name: no note */
    slice rest;                  /* the items */
};
/* The entry at *at (0 for the first one), which is moved behind it; false: there is none. Slices are the log's. */
bool queue_log_next(const struct queue_log *log, size_t *at, struct queue_log_entry *ret_entry);
bool queue_log_item(struct queue_log_entry *entry, struct queue_item *ret_item);
/* The newest note of that name; false: none. An empty value: it was removed. */
bool queue_log_note(const struct queue_log *log, slice name, slice *ret_value);

#endif
