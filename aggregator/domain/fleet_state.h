/* SPDX-License-Identifier: Apache-2.0
 * Fleet states: how many applications of an environment (or of one cluster in it) are healthy, by the newest snapshot.
 * Of each (environment, cluster) there is one aggregate, whose id follows from the two; fleetstate_id is the snapshot's.
 * An environment without a cluster is a place of its own: a source that sees all its clusters at once reports there. */
#ifndef PICKET_DOMAIN_FLEET_STATE_H
#define PICKET_DOMAIN_FLEET_STATE_H

#include "aggregator/domain/domain.h"

enum { FLEET_STATE_AHEAD_MS = 5 * 60 * 1000 }; /* a source's clock may be so far ahead */

/* "prod" and "eu-1" give "prod.eu-1", "prod" alone gives "prod". No two pairs give the same: in the environment "." is
 * written "_d" and "_" is "__", so the first "." is the border; and a pair that is too long is "_h", a hash and the
 * beginning. data is NULL when the arena is full. */
slice fleet_state_id_from(slice environment, slice cluster, struct arena *arena) MUST_CHECK;
/* What the ids of all clusters of an environment begin with (but for those that are too long: FLEET_STATE_LONG_PREFIX). */
slice fleet_state_id_prefix(slice environment, struct arena *arena) MUST_CHECK;
#define FLEET_STATE_LONG_PREFIX "_h"

/* Adds the counts of one snapshot to a sum, which is as old as its oldest part and has a source when all agree;
 * it expires when the first of them does. */
void fleet_state_add(FleetState *sum, const FleetState *part);

/* What it says at that time: of a snapshot that has expired (or was recorded without an end, and is older than
 * OBSERVATION_EXPIRY_MS) all applications are unknown. */
void fleet_state_age(FleetState *state, int64_t now_ms);

derive_fn fleet_state_derive_id;
decide_fn fleet_state_decide_record;
apply_fn fleet_state_apply_recorded;

#endif
