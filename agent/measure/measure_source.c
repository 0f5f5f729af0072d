/* SPDX-License-Identifier: Apache-2.0
 * The fold's numbers: those of the configuration's targets and probes first, those of members behind them. */
#include <inttypes.h>
#include <stdio.h>

#include "agent/measure/measure_parts.h"

struct measure_member *measure_member_at(struct measure *measure, size_t number) {
    const size_t steady = measure->targets_count + measure->probes_count;
    return number < steady ? NULL : &measure->members[number - steady];
}

struct measure_source *measure_source_at(struct measure *measure, size_t number) {
    struct measure_member *const member = measure_member_at(measure, number);
    return member ? &member->source : &measure->sources[number];
}

slice measure_key(struct measure *measure, size_t number, char text[MEASURE_KEY_BYTES]) {
    const struct measure_member *const member = measure_member_at(measure, number);
    if (!member) return measure->sources[number].name;
    const int size = snprintf(text, MEASURE_KEY_BYTES, "%c%.*s%c%.*s%c%016" PRIx64, MEASURE_KEY_MARK,
                              SLICE_ARG(measure->groups[member->group].name), MEASURE_KEY_MARK,
                              SLICE_ARG(member->source.name), MEASURE_KEY_MARK, member->incarnation);
    return slice_of(text, (size_t)size);
}
