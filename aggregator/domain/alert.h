/* SPDX-License-Identifier: Apache-2.0
 * Alerts: identified by source and fingerprint; each firing by its starts_at. */
#ifndef PICKET_DOMAIN_ALERT_H
#define PICKET_DOMAIN_ALERT_H

#include "aggregator/domain/domain.h"

/* "prometheus.<fingerprint>"; a fingerprint that makes it longer than an id may be is shortened with its SHA-256.
 * data is NULL when the arena is full. */
slice alert_id_from(AlertSource source, slice fingerprint, struct arena *arena);

index_fn alert_index; /* open: not resolved; due: its expiry */
due_fn alert_due;

decide_fn alert_decide_ingest, alert_decide_acknowledge, alert_decide_expire;
apply_fn alert_apply_ingested, alert_apply_acknowledged, alert_apply_expired;

#endif
