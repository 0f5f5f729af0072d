/* SPDX-License-Identifier: Apache-2.0
 * mbedTLS's own key contexts keep helper numbers that they fill at first use, so a context is not for many threads at a
 * time. Here each check builds one from the key's bytes, which costs little beside the check itself; callers remember what
 * they have checked. The hash is common/base's, which knows the processor's instructions. */
#include "common/net/signature.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/rsa.h>

#include "common/base/digest.h"

enum { POINT_BYTES = 1 + 2 * SIGNATURE_COORDINATE_BYTES, POINT_UNCOMPRESSED = 4 };

/* Issuers that took the number out of an ASN.1 INTEGER leave a zero in front of it. */
static slice without_zeros(slice number) {
    while (number.size && number.data[0] == 0) number = slice_from(number, 1);
    return number;
}

static size_t bits_of(slice number) {
    return number.size ? number.size * 8 - (size_t)__builtin_clz(number.data[0]) + 24 : 0;
}

fault_code signature_key_rsa(slice modulus, slice exponent, struct signature_key *ret_key, struct fault *reterr) {
    modulus = without_zeros(modulus);
    exponent = without_zeros(exponent);
    const size_t bits = bits_of(modulus);
    if (bits < SIGNATURE_RSA_BITS_MIN || bits > SIGNATURE_RSA_BITS_MAX)
        return fault_set(reterr, FAULT_INPUT, "an RSA key of %zu bits; %d to %d are taken", bits,
                         SIGNATURE_RSA_BITS_MIN, SIGNATURE_RSA_BITS_MAX);
    if (exponent.size > SIGNATURE_EXPONENT_BYTES_MAX || bits_of(exponent) < 2 ||
        !(exponent.data[exponent.size - 1] & 1) || !(modulus.data[modulus.size - 1] & 1))
        return fault_set(reterr, FAULT_INPUT,
                         "an RSA key whose modulus or exponent is none: both are odd, the exponent is "
                         "at least 3 and of at most %d bytes",
                         SIGNATURE_EXPONENT_BYTES_MAX);
    *ret_key = (struct signature_key){
        .algorithm = SIGNATURE_RS256, .modulus_bytes = modulus.size, .exponent_bytes = exponent.size};
    memcpy(ret_key->modulus, modulus.data, modulus.size);
    memcpy(ret_key->exponent, exponent.data, exponent.size);
    return FAULT_NONE;
}

static int point_read(const struct signature_key *key, mbedtls_ecp_group *group, mbedtls_ecp_point *point) {
    uint8_t bytes[POINT_BYTES] = {POINT_UNCOMPRESSED};
    memcpy(bytes + 1, key->modulus, sizeof bytes - 1);
    int error = mbedtls_ecp_group_load(group, MBEDTLS_ECP_DP_SECP256R1);
    if (!error) error = mbedtls_ecp_point_read_binary(group, point, bytes, sizeof bytes);
    return error ? error : mbedtls_ecp_check_pubkey(group, point);
}

fault_code signature_key_p256(slice x, slice y, struct signature_key *ret_key, struct fault *reterr) {
    if (x.size != SIGNATURE_COORDINATE_BYTES || y.size != SIGNATURE_COORDINATE_BYTES)
        return fault_set(reterr, FAULT_INPUT, "a P-256 key with coordinates of %zu and %zu bytes; %d each are needed",
                         x.size, y.size, SIGNATURE_COORDINATE_BYTES);
    struct signature_key key = {.algorithm = SIGNATURE_ES256, .modulus_bytes = x.size + y.size};
    memcpy(key.modulus, x.data, x.size);
    memcpy(key.modulus + x.size, y.data, y.size);
    mbedtls_ecp_group group;
    mbedtls_ecp_point point;
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&point);
    const int error = point_read(&key, &group, &point);
    mbedtls_ecp_point_free(&point);
    mbedtls_ecp_group_free(&group);
    if (error) return fault_set(reterr, FAULT_INPUT, "a P-256 key that is no point of the curve");
    *ret_key = key;
    return FAULT_NONE;
}

static int rsa_check(const struct signature_key *key, const uint8_t hash[DIGEST_BYTES], slice signature) {
    mbedtls_rsa_context rsa;
    mbedtls_rsa_init(&rsa);
    int error = mbedtls_rsa_import_raw(&rsa, key->modulus, key->modulus_bytes, NULL, 0, NULL, 0, NULL, 0, key->exponent,
                                       key->exponent_bytes);
    if (!error) error = mbedtls_rsa_complete(&rsa);
    if (!error)
        error = mbedtls_rsa_rsassa_pkcs1_v15_verify(&rsa, MBEDTLS_MD_SHA256, DIGEST_BYTES, hash, signature.data);
    mbedtls_rsa_free(&rsa);
    return error;
}

static int p256_check(const struct signature_key *key, const uint8_t hash[DIGEST_BYTES], slice signature) {
    mbedtls_ecp_group group;
    mbedtls_ecp_point point;
    mbedtls_mpi r, s;
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&point);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    int error = point_read(key, &group, &point);
    if (!error) error = mbedtls_mpi_read_binary(&r, signature.data, SIGNATURE_COORDINATE_BYTES);
    if (!error)
        error = mbedtls_mpi_read_binary(&s, signature.data + SIGNATURE_COORDINATE_BYTES, SIGNATURE_COORDINATE_BYTES);
    if (!error) error = mbedtls_ecdsa_verify(&group, hash, DIGEST_BYTES, &point, &r, &s);
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_ecp_point_free(&point);
    mbedtls_ecp_group_free(&group);
    return error;
}

fault_code signature_verify(const struct signature_key *key, slice message, slice signature, struct fault *reterr) {
    /* Both forms are as long as the modulus, or as x and y: mbedTLS reads so many bytes without asking. */
    if (signature.size != key->modulus_bytes)
        return fault_set(reterr, FAULT_DENIED, "the signature has %zu bytes, one of this key has %zu", signature.size,
                         key->modulus_bytes);
    uint8_t hash[DIGEST_BYTES];
    digest_of(message, hash);
    const int error =
        key->algorithm == SIGNATURE_RS256 ? rsa_check(key, hash, signature) : p256_check(key, hash, signature);
    if (error == MBEDTLS_ERR_MPI_ALLOC_FAILED) return fault_set(reterr, FAULT_SYSTEM, "check a signature: no memory");
    if (error) return fault_set(reterr, FAULT_DENIED, "the signature is not this key's");
    return FAULT_NONE;
}
