/* SPDX-License-Identifier: Apache-2.0
 * The third door to mbedTLS: a client's own key and certificate (X.509, RFC 5280) and its request for one (PKCS #10,
 * RFC 2986). Keys are P-256. Nothing is kept; any thread. A certificate is told of in plain values. */
#ifndef PICKET_NET_CERTIFICATE_H
#define PICKET_NET_CERTIFICATE_H

#include "common/base/arena.h"
#include "common/base/fault.h"

enum {
    CERTIFICATE_NAME_BYTES = 65,     /* a common name has at most 64 characters (X.520) */
    CERTIFICATE_SERIAL_BYTES = 41,   /* at most 20 octets, in hexadecimal digits */
    CERTIFICATE_HASH_BYTES = 65,     /* SHA-256 in hexadecimal digits */
    CERTIFICATE_KEY_PEM_BYTES = 512, /* of a P-256 key */
    CERTIFICATE_REQUEST_BYTES_MAX = 4096,
    CERTIFICATE_PEM_BYTES_MAX = 8192,
    CERTIFICATE_SIGNATURE_BYTES_MAX = 1024,
};

struct certificate_view {
    char common_name[CERTIFICATE_NAME_BYTES]; /* "" when it has none, or one that is no line of text */
    char serial[CERTIFICATE_SERIAL_BYTES];    /* small letters */
    char key_hash[CERTIFICATE_HASH_BYTES];    /* of SubjectPublicKeyInfo */
    int64_t not_before_ms, not_after_ms;      /* since 1970 */
};

/* The first certificate in a PEM text, which may hold a key as well. FAULT_INPUT: there is none that can be read. */
fault_code certificate_read(slice pem, struct certificate_view *ret_view, struct fault *reterr) MUST_CHECK;
/* FAULT_INPUT: the PEM texts are none, or the key is not the first certificate's. */
fault_code certificate_match(slice certificate_pem, slice key_pem, struct fault *reterr) MUST_CHECK;

/* A new P-256 key. FAULT_SYSTEM: there are no random numbers. */
fault_code certificate_key_new(char ret_pem[CERTIFICATE_KEY_PEM_BYTES], struct fault *reterr) MUST_CHECK;
/* A request for a certificate, DER, signed with the key: the same key gives the same bytes. common_name as a DN's value. */
fault_code certificate_request(slice key_pem, const char *common_name, struct arena *arena, slice *ret_der,
                               struct fault *reterr) MUST_CHECK;
/* What the key says of a message (SHA-256), as certificate_authority_prove takes it. */
fault_code certificate_sign(slice key_pem, slice message, struct arena *arena, slice *ret_signature,
                            struct fault *reterr) MUST_CHECK;

#endif
