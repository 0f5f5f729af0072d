/* SPDX-License-Identifier: Apache-2.0
 * The centre's side of certificate.h: a certificate authority that signs client certificates. Of a request nothing is taken
 * but the public key, once its signature has proved that the sender has the private one; name, purpose, validity and
 * serial are ours. Any thread: signing is one at a time. */
#ifndef PICKET_NET_CERTIFICATE_AUTHORITY_H
#define PICKET_NET_CERTIFICATE_AUTHORITY_H

#include "common/net/certificate.h"

struct certificate_authority;

enum {
    CERTIFICATE_RSA_BITS_MIN = 2048,
    CERTIFICATE_RSA_BITS_MAX = 4096,         /* the time of a check grows with the square */
    CERTIFICATE_BACKDATE_MS = 5 * 60 * 1000, /* the agent's clock may be so far behind */
};

/* PEM files. FAULT_INPUT: they cannot be read, do not belong together, or the certificate may not sign others. */
fault_code certificate_authority_open(const char *certificate_path, const char *key_path,
                                      struct certificate_authority **ret_authority, struct fault *reterr) MUST_CHECK;
struct certificate_authority *certificate_authority_close(struct certificate_authority *authority); /* NULL is fine */
/* Its own certificate (and what is in the same file), PEM. */
slice certificate_authority_pem(const struct certificate_authority *authority);
int64_t certificate_authority_not_after_ms(const struct certificate_authority *authority);

/* A request (DER or PEM, at most CERTIFICATE_REQUEST_BYTES_MAX) whose signature is its own key's, of a kind that is taken:
 * P-256 or P-384, RSA of CERTIFICATE_RSA_BITS_MIN to _MAX; SHA-256, -384 or -512. FAULT_INPUT says what is not.
 * What else it asks for is passed over; where it calls that critical, it is refused. */
fault_code certificate_authority_check(slice request, char ret_key_hash[CERTIFICATE_HASH_BYTES],
                                       struct fault *reterr) MUST_CHECK;
/* A client certificate for the request's key: CN=common_name, for client authentication only, a random serial, from five
 * minutes ago to now_ms + validity_ms, or to the end of the authority if that comes first. FAULT_CONFLICT: the
 * authority itself is not valid now. The PEM text is in the arena. */
fault_code certificate_authority_issue(struct certificate_authority *authority, slice request, const char *common_name,
                                       int64_t now_ms, int64_t validity_ms, struct arena *arena, slice *ret_pem,
                                       struct certificate_view *ret_view, struct fault *reterr) MUST_CHECK;
/* Whether a certificate is of this authority, valid now, and its key has signed the message (certificate_sign).
 * FAULT_DENIED: it is not; says why. */
fault_code certificate_authority_prove(struct certificate_authority *authority, slice certificate_pem, slice message,
                                       slice signature, int64_t now_ms, struct certificate_view *ret_view,
                                       struct fault *reterr) MUST_CHECK;

#endif
