/* SPDX-License-Identifier: Apache-2.0
 * The second door to mbedTLS: public keys and what they have signed, in the two forms that JSON Web Signature asks for
 * (RFC 7518 sections 3.3 and 3.4). Keys are plain values, checked when they are made; checking a signature keeps nothing,
 * so that any thread may do it with the same key. */
#ifndef PICKET_NET_SIGNATURE_H
#define PICKET_NET_SIGNATURE_H

#include "common/base/fault.h"

enum signature_algorithm {
    SIGNATURE_RS256, /* RSASSA-PKCS1-v1_5 with SHA-256 */
    SIGNATURE_ES256, /* ECDSA on P-256 with SHA-256, the signature as r and s of 32 bytes each */
    SIGNATURE_ALGORITHMS_
};

enum {
    SIGNATURE_RSA_BITS_MIN = 2048, /* RFC 7518 section 3.3 */
    SIGNATURE_RSA_BITS_MAX = 8192, /* the time of a check grows with the square */
    SIGNATURE_EXPONENT_BYTES_MAX = 8,
    SIGNATURE_COORDINATE_BYTES = 32,
};

struct signature_key {
    enum signature_algorithm algorithm; /* a key has one, so that nobody else chooses it */
    size_t modulus_bytes, exponent_bytes;
    uint8_t modulus[SIGNATURE_RSA_BITS_MAX / 8]; /* ES256: x and y */
    uint8_t exponent[SIGNATURE_EXPONENT_BYTES_MAX];
};

/* Big-endian numbers. FAULT_INPUT: even, too small, too large. */
fault_code signature_key_rsa(slice modulus, slice exponent, struct signature_key *ret_key,
                             struct fault *reterr) MUST_CHECK;
/* 32 bytes each (RFC 7518 section 6.2.1.2). FAULT_INPUT: another size, or no point of the curve. */
fault_code signature_key_p256(slice x, slice y, struct signature_key *ret_key, struct fault *reterr) MUST_CHECK;

/* FAULT_DENIED: not this key's signature of this message. Some 0.1 ms for RS256 with 2048 bits, 1 ms for ES256. */
fault_code signature_verify(const struct signature_key *key, slice message, slice signature,
                            struct fault *reterr) MUST_CHECK;

#endif
