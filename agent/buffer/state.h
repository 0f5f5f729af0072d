/* SPDX-License-Identifier: Apache-2.0
 * Checkpoints between two seals (LMDB, not forced to disk): what the fold of one target knows after each scrape, so
 * that kill -9 loses no scrape. A reboot or a power cut may leave such a file torn or old, so it carries the
 * kernel's boot id, and one from another boot is emptied: the queue's "fold" note, which is on disk, is then the
 * truth. Each checkpoint names the seal generation it follows; one of another generation is not returned.
 * Owner: the agent's loop thread. */
#ifndef PICKET_BUFFER_STATE_H
#define PICKET_BUFFER_STATE_H

#include "common/base/arena.h"
#include "common/base/fault.h"

struct state;

/* A generation of its own: state_prune leaves it. */
#define STATE_KEPT UINT64_MAX

struct state_settings {
    const char *path;    /* directory; made when absent */
    uint64_t map_bytes;  /* 0: 256 MiB of address space */
    const char *boot_id; /* NULL: /proc/sys/kernel/random/boot_id */
};

/* ret_emptied: the file was of another boot, or unreadable, and was emptied. */
fault_code state_open(const struct state_settings *settings, struct state **ret_state, bool *ret_emptied,
                      struct fault *reterr) MUST_CHECK;
struct state *state_close(struct state *state); /* NULL is fine; returns NULL */

/* Replaces the checkpoint under key (1 to 400 bytes). */
fault_code state_put(struct state *state, slice key, uint64_t generation, slice value, struct fault *reterr) MUST_CHECK;
/* A copy in the arena. FAULT_ABSENT (silent): none of that generation; FAULT_CORRUPT: its bytes do not check. */
fault_code state_get(struct state *state, slice key, uint64_t generation, struct arena *arena, slice *ret_value,
                     struct fault *reterr) MUST_CHECK;
/* Copies in the arena of all checkpoints of that generation whose keys begin so, at most values_max. FAULT_CORRUPT: some
 * do not check; the others are there nevertheless. FAULT_LIMIT: there are more, or no memory; the same. */
fault_code state_list(struct state *state, slice prefix, uint64_t generation, struct arena *arena, slice *ret_values,
                      size_t values_max, size_t *ret_count, struct fault *reterr) MUST_CHECK;
/* Removes every checkpoint of another generation (targets that left, and what a seal made old). */
fault_code state_prune(struct state *state, uint64_t generation, struct fault *reterr) MUST_CHECK;
/* Why something is not kept: of the key that failed last, until it is put again, or nothing has failed for five minutes (it
 * may be of a target that is gone). FAULT_NONE: all is. */
fault_code state_fault(const struct state *state, struct fault *ret_fault);
/* Gives the file's resident pages back to the kernel (kv_release_pages). */
void state_release_pages(struct state *state);

#endif
