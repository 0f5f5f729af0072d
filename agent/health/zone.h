/* SPDX-License-Identifier: Apache-2.0
 * Time zones from the machine's zoneinfo files (TZif, RFC 8536, with the rule for later years in their last line). Where
 * there are none, as in an empty container image, a zone is simply not known. Reading is bounded. Any thread. */
#ifndef PICKET_HEALTH_ZONE_H
#define PICKET_HEALTH_ZONE_H

#include "common/base/fault.h"

struct zone;

enum { ZONE_FILE_BYTES = 64 * 1024, ZONE_NAME_BYTES = 64 };

/* From the bytes of a TZif file of version 2 and up. FAULT_INPUT: they are none; FAULT_LIMIT: memory. */
fault_code zone_parse(slice bytes, struct zone **ret_zone, struct fault *reterr) MUST_CHECK;
/* From "<folder>/<name>". FAULT_INPUT: no name of a zone (so that none leads out of the folder); FAULT_ABSENT: no such
 * file. */
fault_code zone_open(const char *folder, slice name, struct zone **ret_zone, struct fault *reterr) MUST_CHECK;
struct zone *zone_free(struct zone *zone); /* NULL is fine; returns NULL */

/* What to add to UTC at this moment of UTC; NULL: 0. */
int64_t zone_offset_ms(const struct zone *zone, int64_t utc_ms);

struct zone_civil {
    int year;
    unsigned month, day, hour, minute, weekday; /* month and day from 1; Sunday is 0 */
};
/* Of milliseconds since 1970, as the clock on the wall shows them. */
void zone_civil(int64_t local_ms, struct zone_civil *ret_civil);

#endif
