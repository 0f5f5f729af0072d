/* SPDX-License-Identifier: Apache-2.0
 * Between the files of agent/applications. */
#ifndef PICKET_APPLICATIONS_APPLICATIONS_PARTS_H
#define PICKET_APPLICATIONS_APPLICATIONS_PARTS_H

#include "agent/applications/applications.h"

/* What is said of an application, small enough to be compared and stored as a whole. */
struct application_state {
    uint8_t health, sync, phase;
    uint8_t fleet; /* index */
    bool said;     /* false: nothing was reported yet */
    bool deleted, stale;
};

struct application {
    int64_t observed_ms;  /* since when it is what it is */
    int64_t reported_ms;  /* observed_ms of the last report */
    int64_t heartbeat_ms; /* monotonic */
    struct application_state now, reported;
    bool seen, touched; /* in the list that runs; by a change since it began */
    uint8_t namespace_size, name_size;
    char *message; /* NULL: none */
    char names[];  /* namespace, then name */
};

struct application_shard {
    struct application **items;
    size_t count, room;
};

struct fleet {
    slice environment, cluster; /* one allocation, at environment.data */
    struct applications_counts reported;
    bool dirty, said;
    int64_t dirty_ms, heartbeat_ms; /* monotonic */
};

struct applications {
    struct applications_settings settings;
    struct application_shard shards[APPLICATIONS_SHARDS];
    struct fleet fleets[APPLICATIONS_FLEETS_MAX];
    size_t fleets_count, count, over, over_seen, memory_bytes;
    bool synced, current, stale;
    int64_t lost_ms, next_shard; /* monotonic */
    int64_t stale_wall_ms;
    char why[200];
    struct applications_stats stats;
};

slice application_namespace(const struct application *application);
slice application_name(const struct application *application);
unsigned applications_shard_of(slice namespace, slice name);
struct application *applications_find(const struct applications *applications, slice namespace, slice name);
/* NULL: no memory, or no room. */
struct application *applications_add(struct applications *applications, slice namespace, slice name);
/* Index of the fleet; the one of the settings when there is no room for another. */
uint8_t applications_fleet(struct applications *applications, slice environment, slice cluster);
/* As it is now, with what the source's being lost makes of it. */
struct application_state application_state_now(const struct applications *applications,
                                               const struct application *application);

#endif
