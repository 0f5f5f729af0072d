/* SPDX-License-Identifier: Apache-2.0
 * What certificate.c and certificate_authority.c share, in mbedTLS's types. Private to the two. */
#ifndef PICKET_NET_CERTIFICATE_KIT_H
#define PICKET_NET_CERTIFICATE_KIT_H

#include <mbedtls/pk.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/x509_crt.h>

#include "common/net/certificate.h"

/* FAULT_SYSTEM: mbedTLS has no random numbers. Before any of its functions; again and again is fine. */
fault_code certificate_kit_begin(struct fault *reterr) MUST_CHECK;
/* "what: why", with mbedTLS's own words for its error. */
fault_code certificate_kit_fault(struct fault *reterr, fault_code code, const char *what, int error);
/* FAULT_INPUT: no PEM text of at most CERTIFICATE_PEM_BYTES_MAX * 4 with a certificate (a key) in it. Initialised before. */
fault_code certificate_kit_parse(slice pem, mbedtls_x509_crt *crt, struct fault *reterr) MUST_CHECK;
fault_code certificate_kit_parse_key(slice pem, mbedtls_pk_context *key, struct fault *reterr) MUST_CHECK;
fault_code certificate_kit_view(const mbedtls_x509_crt *crt, struct certificate_view *ret_view,
                                struct fault *reterr) MUST_CHECK;
fault_code certificate_kit_key_hash(const mbedtls_pk_context *key, char ret_hash[CERTIFICATE_HASH_BYTES],
                                    struct fault *reterr) MUST_CHECK;
int64_t certificate_kit_ms(const mbedtls_x509_time *time); /* since 1970 */

#endif
