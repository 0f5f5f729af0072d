/* SPDX-License-Identifier: Apache-2.0
 * The words that all layers of the queue share: classes, bounds, settings, what is put in, streams. */
#ifndef PICKET_BUFFER_QUEUE_CLASS_H
#define PICKET_BUFFER_QUEUE_CLASS_H

#include "common/base/slice.h"

/* In the order of importance: the last one sheds first. */
enum queue_class { QUEUE_HEALTH, QUEUE_WINDOWS, QUEUE_REST, QUEUE_CLASSES_MAX_ };
const char *queue_class_name(enum queue_class class); /* "health", "windows", "rest" */

enum { QUEUE_STREAMS_MAX = 48, QUEUE_RECORD_BYTES_MAX = 512 * 1024 };

struct queue_settings {
    const char *path;                             /* directory; made when absent */
    uint64_t bytes_max;                           /* of records kept, as queue_stats counts them; at least 1 MiB */
    unsigned reserve_percent[QUEUE_CLASSES_MAX_]; /* of bytes_max that shedding leaves to a class; sum at most 100 */
    uint64_t map_bytes;                           /* 0: four times bytes_max and 64 MiB more */
    const char
        *note_saved;   /* the name of a note that is saved from a damaged store, in some version of it; NULL: none */
    int64_t commit_ms; /* queue_append_later: on disk after so long at the latest; 0: when it returns */
    uint64_t commit_bytes; /* and as soon as so much waits; memory and a file of that size; 0: 256 KiB */
};

struct queue_item {
    enum queue_class class;
    slice intent; /* encoded SreDomainIntent, 1 to QUEUE_RECORD_BYTES_MAX bytes; never decoded here */
};

/* A small named blob beside the records ("fold", "config"). It survives reboots. */
struct queue_note {
    const char *name; /* at most 64 bytes */
    slice value;      /* at most 16 MiB; size 0 removes the note */
};

struct queue_stream {
    uint32_t number;
    enum queue_class class;
    bool closed;                 /* a newer stream of its class exists: nothing is appended any more */
    uint64_t last_sequence;      /* given last; 0: none yet */
    uint64_t committed_sequence; /* all up to here is with the centre */
    uint64_t
        began_after; /* of this epoch: what is before belongs to former ones. On the wire numbers count from here */
    uint64_t oldest_sequence; /* of the records kept; last_sequence + 1 when there is none */
    uint64_t records, bytes;  /* kept */
    int64_t oldest_ms;        /* when the oldest record was stored; 0 when there is none */
    uint64_t shed, arrived;   /* given up; of those, what the centre turned out to have */
    uint64_t
        other_holes; /* sequences behind began_after that are neither here nor shed: quarantined, or shed in another epoch */
};

struct queue_ack {
    uint32_t stream;
    uint64_t committed_sequence;
    bool lost_known;
    uint64_t lost; /* up to there, in holes that were stated: as the centre has counted them in this epoch */
};

#endif
