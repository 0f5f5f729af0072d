/* SPDX-License-Identifier: Apache-2.0
 * Where in a message something is wrong: a chain of places on the stack of whoever walks, written out only when it is
 * needed. Any thread. */
#ifndef PICKET_CODEC_PLACE_H
#define PICKET_CODEC_PLACE_H

#include "common/base/fault.h"

struct place {
    const struct place *above; /* NULL at the top */
    const char *name;
    ptrdiff_t index; /* -1: not in a list */
    slice key;       /* of a map's entry; data NULL: not in a map */
};

/* FAULT_INPUT "<path>: <words>", such as "on_call.shifts[1].ends_at: is required". place NULL: "message: <words>". */
fault_code place_fault(struct fault *reterr, const struct place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
