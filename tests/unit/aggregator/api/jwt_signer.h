/* SPDX-License-Identifier: Apache-2.0
 * An issuer for tests: keys made now, by mbedTLS, and tokens signed with them, good or bad as the test writes them. */
#ifndef PICKET_TESTS_JWT_SIGNER_H
#define PICKET_TESTS_JWT_SIGNER_H

#include "tests/support/check.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/md.h>
#include <mbedtls/rsa.h>

#include "common/base/digest.h"
#include "common/base/text.h"
#include "common/base/uuid.h"
#include "common/net/signature.h"

struct signer {
    enum signature_algorithm algorithm;
    const char *kid;
    mbedtls_rsa_context rsa;
    mbedtls_ecp_keypair ec;
};

static inline int signer_random(void *context, unsigned char *bytes, size_t size) {
    (void)context;
    random_bytes(bytes, size);
    return 0;
}

static inline void signer_init(struct signer *signer, enum signature_algorithm algorithm, const char *kid,
                               unsigned bits) {
    *signer = (struct signer){.algorithm = algorithm, .kid = kid};
    mbedtls_rsa_init(&signer->rsa);
    mbedtls_ecp_keypair_init(&signer->ec);
    if (algorithm == SIGNATURE_RS256)
        assert_int_equal(mbedtls_rsa_gen_key(&signer->rsa, signer_random, NULL, bits, 65537), 0);
    else
        assert_int_equal(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, &signer->ec, signer_random, NULL), 0);
}

static inline void signer_done(struct signer *signer) {
    mbedtls_rsa_free(&signer->rsa);
    mbedtls_ecp_keypair_free(&signer->ec);
}

static inline slice signer_base64url(slice bytes, struct arena *arena) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t *text = arena_alloc(arena, bytes.size * 4 / 3 + 4);
    size_t size = 0;
    for (size_t i = 0; i < bytes.size * 8; i += 6) {
        const unsigned pair = (unsigned)bytes.data[i / 8] << 8 | (i / 8 + 1 < bytes.size ? bytes.data[i / 8 + 1] : 0);
        text[size++] = (uint8_t)letters[pair >> (10 - i % 8) & 63];
    }
    return slice_of(text, size);
}

/* The public key as a member of a key set. more: such as `,"use":"sig"`. */
static inline slice signer_jwk(struct signer *signer, const char *more, struct arena *arena) {
    uint8_t first[1024], second[1024];
    size_t first_size = 32, second_size = 32;
    if (signer->algorithm == SIGNATURE_RS256) {
        first_size = mbedtls_rsa_get_len(&signer->rsa);
        second_size = 3;
        assert_int_equal(mbedtls_rsa_export_raw(&signer->rsa, first, first_size, NULL, 0, NULL, 0, NULL, 0, second, 3),
                         0);
    } else {
        uint8_t point[65];
        size_t size;
        assert_int_equal(mbedtls_ecp_write_public_key(&signer->ec, MBEDTLS_ECP_PF_UNCOMPRESSED, &size, point, 65), 0);
        memcpy(first, point + 1, 32);
        memcpy(second, point + 33, 32);
    }
    const slice a = signer_base64url(slice_of(first, first_size), arena),
                b = signer_base64url(slice_of(second, second_size), arena);
    return arena_format(arena,
                        signer->algorithm == SIGNATURE_RS256
                            ? "{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%.*s\",\"e\":\"%.*s\"%s}"
                            : "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"%s\",\"x\":\"%.*s\",\"y\":\"%.*s\"%s}",
                        signer->kid, SLICE_ARG(a), SLICE_ARG(b), more);
}

static inline slice signer_sign(struct signer *signer, slice message, struct arena *arena) {
    uint8_t hash[DIGEST_BYTES], *signature = arena_alloc(arena, 1024);
    digest_of(message, hash);
    if (signer->algorithm == SIGNATURE_RS256) {
        assert_int_equal(mbedtls_rsa_rsassa_pkcs1_v15_sign(&signer->rsa, signer_random, NULL, MBEDTLS_MD_SHA256,
                                                           DIGEST_BYTES, hash, signature),
                         0);
        return slice_of(signature, mbedtls_rsa_get_len(&signer->rsa));
    }
    mbedtls_ecp_group group;
    mbedtls_mpi d, r, s;
    mbedtls_ecp_point point;
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&point);
    mbedtls_mpi_init(&d);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    assert_int_equal(mbedtls_ecp_export(&signer->ec, &group, &d, &point), 0);
    assert_int_equal(mbedtls_ecdsa_sign(&group, &r, &s, &d, hash, DIGEST_BYTES, signer_random, NULL), 0);
    assert_int_equal(mbedtls_mpi_write_binary(&r, signature, 32), 0);
    assert_int_equal(mbedtls_mpi_write_binary(&s, signature + 32, 32), 0);
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_mpi_free(&d);
    mbedtls_ecp_point_free(&point);
    mbedtls_ecp_group_free(&group);
    return slice_of(signature, 64);
}

/* header NULL: the one that this key asks for. */
static inline slice signer_token(struct signer *signer, const char *header, const char *claims, struct arena *arena) {
    const slice usual = arena_format(arena, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
                                     signer->algorithm == SIGNATURE_RS256 ? "RS256" : "ES256", signer->kid);
    const slice head = signer_base64url(header ? slice_from_text(header) : usual, arena),
                body = signer_base64url(slice_from_text(claims), arena);
    const slice message = arena_format(arena, "%.*s.%.*s", SLICE_ARG(head), SLICE_ARG(body));
    const slice signature = signer_base64url(signer_sign(signer, message, arena), arena);
    return arena_format(arena, "%.*s.%.*s", SLICE_ARG(message), SLICE_ARG(signature));
}

#endif
