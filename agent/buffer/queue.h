/* SPDX-License-Identifier: Apache-2.0
 * The agent's durable queue of encoded intents (LMDB; each call but queue_append_later is on disk when it returns). It has an epoch, and in
 * it streams: each with a number, a class and a gapless sequence of its own that starts at 1 and is given in the
 * transaction that stores the record (contract.md, "Delivery: nothing lost, nothing twice"). A record leaves by
 * queue_ack, by the quota (shed: counted, and visible to the reader as a hole), or, when its bytes do not check,
 * into quarantine (counted, a hole as well). Owner: the agent's loop thread.
 *
 * A full map or disk (FAULT_LIMIT) and a failing disk (FAULT_SYSTEM) change nothing in the queue: the same call may be
 * made again later. */
#ifndef PICKET_BUFFER_QUEUE_H
#define PICKET_BUFFER_QUEUE_H

#include "agent/buffer/queue_class.h"
#include "common/base/arena.h"
#include "common/base/fault.h"
#include "common/base/uuid.h"
#include "common/loop/loop.h"

struct queue;

/* Opens or makes the queue. Every page that is in use is read and checked first (kv_file.h). Of a damaged store what
 * checks is saved (queue_salvage.h), the rest is counted as quarantined and stated as lost, and the store is moved aside
 * (`<path>.damaged-<ms>`, one is kept); ret_moved then holds a sentence about it, else it is empty. */
fault_code queue_open(const struct queue_settings *settings, struct queue **ret_queue, struct fault *ret_moved,
                      struct fault *reterr) MUST_CHECK;
struct queue *queue_close(struct queue *queue); /* NULL is fine; returns NULL */

/* Whether queue_open found none, and made it. */
bool queue_is_new(const struct queue *queue);
/* Reads and checks the file as queue_open does, with the queue open: for when storing fails and nobody knows why.
 * FAULT_CORRUPT: only a process that opens it again can save what is left. Takes as long as reading the file does. */
fault_code queue_check(const struct queue *queue, struct fault *reterr) MUST_CHECK;

struct uuid queue_epoch(const struct queue *queue);
/* Gives the queue a new epoch; every record left keeps its stream and sequence, and will be sent under the new one.
 * For a queue that came back from a backup (queue_ack said FAULT_CONFLICT): its numbers have been used before.
 * acks: what the centre has accounted for in the former epoch, as far as it is known. Each stream begins (began_after)
 * behind that, so that what left it then is not told as a hole again; a hole that was not stated yet still is one. */
fault_code queue_epoch_renew(struct queue *queue, const struct queue_ack *acks, size_t count,
                             struct fault *reterr) MUST_CHECK;

/* Told from the loop that what waited is in the queue and can be sent. */
typedef void queue_committed_fn(void *context);
/* Lets a timer of the loop commit what queue_append_later took. Without it only other calls, queue_commit and queue_close
 * do. Call once; the loop outlives the queue. */
fault_code queue_use_loop(struct queue *queue, struct loop *loop, queue_committed_fn *committed, void *context,
                          struct fault *reterr) MUST_CHECK;

/* Stores items (in order, each into the open stream of its class) and the note in one transaction: both or neither.
 * note may be NULL, count may be 0. Sheds what the quota then asks for, in the same transaction. */
fault_code queue_append(struct queue *queue, const struct queue_item *items, size_t count,
                        const struct queue_note *note, int64_t now_ms, struct fault *reterr) MUST_CHECK;
/* The same, but what it brings may wait for the disk with what comes after it: for commit_ms or commit_bytes, or until
 * another call commits. From its return on it outlives kill -9, as if it was stored; a power cut or a panic of the kernel
 * may take what still waited: the newest first, an item never without its note, and never what queue_read gave, for that
 * is on the disk. At once where it cannot wait: commit_ms is 0, there is no room, storing fails. */
fault_code queue_append_later(struct queue *queue, const struct queue_item *items, size_t count,
                              const struct queue_note *note, int64_t now_ms, struct fault *reterr) MUST_CHECK;
/* What waits goes on the disk now. On failure it waits on. */
fault_code queue_commit(struct queue *queue, struct fault *reterr) MUST_CHECK;
/* A copy in the arena. FAULT_ABSENT when there is none; FAULT_CORRUPT when its bytes do not check. */
fault_code queue_note_get(struct queue *queue, const char *name, struct arena *arena, slice *ret_value,
                          struct fault *reterr) MUST_CHECK;

/* The streams by number, valid until the next call that writes. A closed stream stays until queue_stream_drop. */
const struct queue_stream *queue_streams(const struct queue *queue, size_t *ret_count);
const struct queue_stream *queue_stream_find(const struct queue *queue, uint32_t number); /* NULL: no such */
/* Whether a stream of this number is or was here. */
bool queue_stream_was(const struct queue *queue, uint64_t number);

/* Where the next intent of a class will be put. */
void queue_next(const struct queue *queue, enum queue_class class, uint32_t *ret_stream, uint64_t *ret_sequence);

/* Closes every open stream whose oldest record was stored at or before stored_ms, or after now_ms (the clock was set
 * back: its age is not known), and opens a new one of its class: what comes then need not wait behind it. Also a stream
 * of which all that is not committed was shed: its end states the loss, which would else wait for the next record. Does
 * nothing for a class when QUEUE_STREAMS_MAX is reached. ret_opened may be NULL. */
fault_code queue_rotate(struct queue *queue, int64_t stored_ms, int64_t now_ms, unsigned *ret_opened,
                        struct fault *reterr) MUST_CHECK;

struct queue_batch {
    uint64_t after_sequence; /* as asked */
    uint64_t first_sequence; /* more than after_sequence + 1: what is between does not exist any more */
    uint64_t last_sequence;  /* first_sequence - 1 when there is no record */
    size_t count, bytes;     /* of intents */
    bool stream_ends;        /* the stream is closed and nothing comes after last_sequence */
};

/* Is given each intent in order; the slice is valid during the call. false: this one and the rest wait;
 * the first one must be taken (else queue_read says FAULT_LIMIT). */
typedef bool queue_visit_fn(void *context, const struct queue_batch *so_far, uint64_t sequence, slice intent);

/* Reads the run of records without a hole inside that comes first after after_sequence: at most count_max records
 * and bytes_max bytes (one record is given even when it is larger). Damaged records are quarantined on the way.
 * FAULT_ABSENT (silent): no record after it; ret_batch then says first_sequence = last given + 1, so that a hole at
 * the end of a closed stream can be stated too. */
fault_code queue_read(struct queue *queue, uint32_t stream, uint64_t after_sequence, size_t count_max, size_t bytes_max,
                      queue_visit_fn *visit, void *context, struct queue_batch *ret_batch,
                      struct fault *reterr) MUST_CHECK;

/* Deletes what is committed, in transactions of some thousand records. An unknown stream or a lower number than before has no effect.
 * FAULT_CONFLICT: a number that was never given out; nothing is deleted, see queue_epoch_renew. */
fault_code queue_ack(struct queue *queue, const struct queue_ack *acks, size_t count, struct fault *reterr) MUST_CHECK;
/* Forgets a closed stream that has no records. FAULT_CONFLICT when it is open or has some. */
fault_code queue_stream_drop(struct queue *queue, uint32_t number, struct fault *reterr) MUST_CHECK;

/* Sheds at least that many bytes, lowest class and oldest first: the last way out when the disk is full and memory
 * cannot hold more. */
fault_code queue_shed(struct queue *queue, uint64_t bytes, struct fault *reterr) MUST_CHECK;

struct queue_stats {
    uint64_t records[QUEUE_CLASSES_MAX_], bytes[QUEUE_CLASSES_MAX_]; /* kept now */
    uint64_t appended[QUEUE_CLASSES_MAX_];                           /* since the process started */
    uint64_t shed[QUEUE_CLASSES_MAX_];                               /* given up, since the queue was made */
    /* Of those, what had reached the centre all the same, as far as its acks say; the rest is lost. Since then, too. */
    uint64_t arrived[QUEUE_CLASSES_MAX_];
    uint64_t quarantined; /* since the queue was made */
    uint64_t commits;     /* since the process started; each waits for the disk twice */
    uint64_t waits;       /* taken, and not committed yet: not among the records */
    uint64_t bytes_max;
    int64_t oldest_ms;  /* 0: empty */
    struct fault fault; /* why nothing can be stored now; FAULT_NONE: it can */
};
void queue_stats(const struct queue *queue, struct queue_stats *ret_stats);
/* Gives the file's resident pages back to the kernel (kv_release_pages). */
void queue_release_pages(struct queue *queue);

#endif
