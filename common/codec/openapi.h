/* SPDX-License-Identifier: Apache-2.0
 * The OpenAPI 3.1 document of the contract's methods, made from the same rows that route, read and validate them, so
 * that it cannot say another thing than the code does. Any thread. */
#ifndef PICKET_CODEC_OPENAPI_H
#define PICKET_CODEC_OPENAPI_H

#include "common/base/arena.h"
#include "common/base/fault.h"
#include "common/codec/services.h"

/* The whole document as JSON, in the arena (some 300 KB; made once, at start). more: paths beside the contract's methods,
 * without a service. FAULT_LIMIT when the arena is full. */
fault_code openapi_write(const struct method_desc *more, size_t more_count, struct arena *arena, slice *ret_json,
                         struct fault *reterr) MUST_CHECK;

#endif
