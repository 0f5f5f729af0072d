/* SPDX-License-Identifier: Apache-2.0
 * What is kept of each object of a cluster: a small record by number, found by kind, namespace and name. Numbers stay
 * what they are until the object is removed, so records point to one another by number. Owner: one thread. */
#ifndef PICKET_HEALTH_OBJECT_TABLE_H
#define PICKET_HEALTH_OBJECT_TABLE_H

#include "agent/health/cluster_rules.h"

enum { OBJECT_FLIPS_MAX = 5, OBJECT_TALLIES = 2, OBJECT_TEXT_BYTES = 240, OBJECTS_MAX = 60000 };

/* Of the objects that count in another one: how many, and how many of them are not healthy. */
struct tally {
    uint16_t total, degraded, unhealthy, unknown;
};

/* Why, in words: only of objects with something to say, and of a bounded number of these. */
struct object_words {
    uint8_t detail_rule;  /* what the detail is about */
    uint32_t event_s;     /* when it happened last */
    char *detail, *event; /* NULL: none; by object_say */
};

/* Times are seconds since 1970; 0: not. */
struct object {
    char *name; /* with a NUL; of CLUSTER_OWNER "<kind>/<name>" */
    struct object_words *words;
    uint64_t uid;       /* a hash of metadata.uid; 0: none */
    uint32_t namespace; /* number; of what is in none: that of the cluster */
    uint32_t parent;    /* in which it counts; 0: in none */
    uint32_t chain;     /* the table's */
    uint32_t refs;      /* objects whose namespace or parent this is */
    uint32_t progress;
    uint32_t since_s[JUDGEMENT_FINDINGS_MAX]; /* of the findings */
    uint32_t next_s;                          /* when the verdict may change by itself; UINT32_MAX: never */
    uint32_t better_s;                        /* since when it looks better than `own` */
    uint32_t status_s;                        /* since when `status` is what it is */
    uint32_t sent_s;                          /* last reported; 0: never */
    uint32_t success_s;                       /* CronJob: when it, or a job of it, succeeded */
    uint32_t flips_s[OBJECT_FLIPS_MAX];       /* when it became worse; newest first */
    struct tally below[OBJECT_TALLIES];
    uint16_t watch; /* of which it hears; the state's */
    uint8_t rules[JUDGEMENT_FINDINGS_MAX], rules_count;
    uint8_t theirs; /* a bit for each of since_s: it was reckoned from a time of the object */
    uint8_t kind, round;
    uint8_t looked, own;         /* enum cluster_rule: as judged last, and as believed */
    uint8_t status, sent_status; /* enum health_status; 0: none yet */
    uint8_t counted;             /* what it is in its parent's tally; 0: not in it */
    uint8_t sent_own;            /* the rule that was reported */
    /* seen: the API server has it; gone: it had, and the centre does not know that yet; restored: an earlier process
     * reported it, and this one has not seen it; kept: it is in the stored note; taken: it is in a batch;
     * left_out: it is gone because nobody watches it any more. */
    bool used : 1, seen : 1, gone : 1, restored : 1, flapping : 1, judged : 1, kept : 1, taken : 1, left_out : 1;
};

struct object_table;

/* objects_max: at most OBJECTS_MAX. seed: of the hash, so that nobody can make names that collide. NULL: out of memory. */
struct object_table *object_table_new(size_t objects_max, uint64_t seed) MUST_CHECK;
struct object_table *object_table_free(struct object_table *table); /* NULL is fine; returns NULL */

/* Numbers begin at 1; 0: there is none. */
uint32_t object_find(const struct object_table *table, enum cluster_kind kind, uint32_t namespace, slice name);
/* A new record, zeroed but for its key; 0: the table is full, or memory is. The key must not be in it. */
uint32_t object_add(struct object_table *table, enum cluster_kind kind, uint32_t namespace, slice name) MUST_CHECK;
void object_remove(struct object_table *table, uint32_t number);
struct object *object_at(const struct object_table *table, uint32_t number);

/* For loops over all: the next number in use after this one; 0: no more. Objects may be removed on the way. */
uint32_t object_next(const struct object_table *table, uint32_t number);
size_t object_count(const struct object_table *table);

/* Words of an object, made when there are none; NULL: as many objects have some as may (it is then said without). */
struct object_words *object_words(struct object_table *table, uint32_t number);
/* Makes one of its two texts a copy of that, of at most OBJECT_TEXT_BYTES with its NUL; of an empty one, and where memory is
 * out, none. */
void object_say(struct object_table *table, char **text, const char *said);
void object_words_drop(struct object_table *table, uint32_t number);

/* All that it has allocated. */
size_t object_table_bytes(const struct object_table *table);

#endif
