/* SPDX-License-Identifier: Apache-2.0
 * The service catalog: who owns what, who is on call for it, and what it stands on.
 *
 * dependencies are held: each exists, none is the service itself or there twice, and what others depend on cannot be
 * deleted. Circles are allowed, as in Backstage: services do call each other, and a catalog that refused to say so would
 * be wrong. Two services of a circle are entered without the dependency first. runbook_ids are notes and may point to
 * what is not there yet, because runbooks name their service too.
 *
 * At any time one person is on call: shifts (kept in the order of their start) go before the rotation and do not
 * overlap; a rotation says how many days a turn takes and when the first one began. */
#ifndef PICKET_DOMAIN_SERVICE_H
#define PICKET_DOMAIN_SERVICE_H

#include "aggregator/domain/domain.h"

enum {
    SERVICE_DEPENDENTS_SHOWN = 4, /* by name, in the refusal to delete it; the rest as a number */
    SERVICE_DEPENDENTS_COUNTED = 1000
};

/* Whether a text has the form of a name in the IANA time zone database (theory.html, "Timezone identifiers"):
 * "Europe/Paris", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5". */
bool service_time_zone_valid(slice name);

index_fn service_index; /* links: its dependencies */

decide_fn service_decide_create, service_decide_update, service_decide_delete;
apply_fn service_apply_created, service_apply_updated, service_apply_deleted;

#endif
