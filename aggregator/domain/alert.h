/* SPDX-License-Identifier: Apache-2.0
 * Alerts: identified by source and fingerprint; each firing by its starts_at.
 *
 * What is open (firing, acknowledged or silenced) ends by the source's word or by its expiry. A silence belongs to the
 * alert and not to one firing: it outlives an end, holds for what fires again before its time is over, and ends by a
 * fact of its own. Acknowledging belongs to one firing, and outlives its expiry where its source then says it again. So
 * does the tie to an incident, as far as the incident is over: what fires again keeps its incident while that is worked
 * on, and belongs to none when it is resolved or closed. */
#ifndef PICKET_DOMAIN_ALERT_H
#define PICKET_DOMAIN_ALERT_H

#include "aggregator/domain/domain.h"

enum {
    ALERT_SILENCE_DAYS_MAX = 30,
    ALERT_EXPIRY_DAYS_MAX = 30, /* the furthest end that a source may give to what fires, from now */
    /* A start that is further ahead of our clock than this is refused: no firing would be newer until then. */
    ALERT_AHEAD_MS_MAX = 60 * 60 * 1000,
    /* So far may an end be ahead of our clock, or of the source's own where that is ahead. What ends later still fires. */
    ALERT_END_AHEAD_MS_MAX = 5 * 60 * 1000,
};

/* "prometheus.<fingerprint>"; a fingerprint that makes it longer than an id may be is shortened with its SHA-256.
 * data is NULL when the arena is full. */
slice alert_id_from(AlertSource source, slice fingerprint, struct arena *arena);

derive_fn alert_derive_id; /* refuses another id than that */
index_fn alert_index;      /* open: not resolved; due: its expiry or the end of its silence, whichever is first */
due_fn alert_due;          /* expire_alert, for both */
/* See domain_unheard. */
unheard_fn alert_unheard;

decide_fn alert_decide_ingest, alert_decide_acknowledge, alert_decide_silence, alert_decide_unsilence,
    alert_decide_expire;
apply_fn alert_apply_ingested, alert_apply_acknowledged, alert_apply_silenced, alert_apply_unsilenced,
    alert_apply_expired;

#endif
