/* SPDX-License-Identifier: Apache-2.0
 * A certificate that was given to the agent in a file (mqtt.certificate), and what is wrong with one, however it was got. The
 * broker goes by its common name: one of another name lets the agent connect, and nothing that it says is let through. */
#ifndef PICKET_ENROL_OWN_CERTIFICATE_H
#define PICKET_ENROL_OWN_CERTIFICATE_H

#include "common/net/certificate.h"

/* FAULT_INPUT: its common name is not `name` (<tenant>/<agent>), and says both; another code: it cannot be read. */
fault_code own_certificate_check(const char *path, const char *name, struct certificate_view *ret_view,
                                 struct fault *reterr) MUST_CHECK;
/* A sentence: it is over; or `error` ("": none) keeps it from being renewed and a sixth of its life is left; else "". */
void own_certificate_trouble(const struct certificate_view *view, int64_t now_ms, const char *error, char *ret_text,
                             size_t text_bytes);

#endif
