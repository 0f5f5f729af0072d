/* SPDX-License-Identifier: Apache-2.0
 * mbedTLS wants PEM with a NUL behind it, so texts are copied, into memory that is wiped: they may hold keys. ECDSA here
 * is deterministic (RFC 6979), so a request that is made again from the same key has the same bytes. */
#include "common/net/certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mbedtls/ecp.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509_csr.h>
#include <psa/crypto.h>

#include "common/base/digest.h"
#include "common/net/certificate_kit.h"

enum { PEM_BYTES_MAX = 4 * CERTIFICATE_PEM_BYTES_MAX, PUBLIC_KEY_BYTES_MAX = 2048 };

fault_code certificate_kit_begin(struct fault *reterr) {
    return psa_crypto_init() == PSA_SUCCESS ? FAULT_NONE
                                            : fault_set(reterr, FAULT_SYSTEM, "mbedTLS has no random numbers");
}

fault_code certificate_kit_fault(struct fault *reterr, fault_code code, const char *what, int error) {
    char words[120];
    mbedtls_strerror(error, words, sizeof words);
    return fault_set(reterr, error == MBEDTLS_ERR_X509_ALLOC_FAILED ? FAULT_SYSTEM : code, "%s: %s", what, words);
}

static char *copy_text(slice pem) {
    char *text = pem.size <= PEM_BYTES_MAX ? malloc(pem.size + 1) : NULL;
    if (!text) return NULL;
    if (pem.size) memcpy(text, pem.data, pem.size);
    text[pem.size] = '\0';
    return text;
}

static void wipe(char *text, size_t size) {
    if (text) explicit_bzero(text, size);
    free(text);
}

fault_code certificate_kit_parse(slice pem, mbedtls_x509_crt *crt, struct fault *reterr) {
    char *text = copy_text(pem);
    if (!text) return fault_set(reterr, FAULT_INPUT, "a certificate of %zu bytes is too long", pem.size);
    const int error = mbedtls_x509_crt_parse(crt, (const unsigned char *)text, pem.size + 1);
    wipe(text, pem.size);
    if (error > 0) return fault_set(reterr, FAULT_INPUT, "%d of the certificates cannot be read", error);
    return error ? certificate_kit_fault(reterr, FAULT_INPUT, "read a certificate", error) : FAULT_NONE;
}

fault_code certificate_kit_parse_key(slice pem, mbedtls_pk_context *key, struct fault *reterr) {
    char *text = copy_text(pem);
    if (!text) return fault_set(reterr, FAULT_INPUT, "a key of %zu bytes is too long", pem.size);
    const int error = mbedtls_pk_parse_key(key, (const unsigned char *)text, pem.size + 1, NULL, 0,
                                           mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    wipe(text, pem.size);
    return error ? certificate_kit_fault(reterr, FAULT_INPUT, "read a key", error) : FAULT_NONE;
}

int64_t certificate_kit_ms(const mbedtls_x509_time *time) {
    struct tm utc = {.tm_year = time->year - 1900,
                     .tm_mon = time->mon - 1,
                     .tm_mday = time->day,
                     .tm_hour = time->hour,
                     .tm_min = time->min,
                     .tm_sec = time->sec};
    return (int64_t)timegm(&utc) * 1000;
}

static void hex(const uint8_t *bytes, size_t size, char *ret_text) {
    for (size_t i = 0; i < size; i++) snprintf(ret_text + 2 * i, 3, "%02x", bytes[i]);
}

fault_code certificate_kit_key_hash(const mbedtls_pk_context *key, char ret_hash[CERTIFICATE_HASH_BYTES],
                                    struct fault *reterr) {
    uint8_t der[PUBLIC_KEY_BYTES_MAX], hash[DIGEST_BYTES];
    const int size = mbedtls_pk_write_pubkey_der(key, der, sizeof der);
    if (size < 0) return certificate_kit_fault(reterr, FAULT_INPUT, "a public key", size);
    digest_of(slice_of(der + sizeof der - (size_t)size, (size_t)size), hash);
    hex(hash, sizeof hash, ret_hash);
    return FAULT_NONE;
}

static void common_name(const mbedtls_x509_crt *crt, char ret_name[CERTIFICATE_NAME_BYTES]) {
    ret_name[0] = '\0';
    for (const mbedtls_x509_name *part = &crt->subject; part; part = part->next) {
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &part->oid) != 0 || part->val.len >= CERTIFICATE_NAME_BYTES) continue;
        bool line = true;
        for (size_t i = 0; i < part->val.len; i++) line = line && part->val.p[i] > ' ' && part->val.p[i] < 127;
        if (!line) continue;
        memcpy(ret_name, part->val.p, part->val.len);
        ret_name[part->val.len] = '\0';
    }
}

fault_code certificate_kit_view(const mbedtls_x509_crt *crt, struct certificate_view *ret_view, struct fault *reterr) {
    struct certificate_view view = {.not_before_ms = certificate_kit_ms(&crt->valid_from),
                                    .not_after_ms = certificate_kit_ms(&crt->valid_to)};
    if (2 * crt->serial.len + 1 > sizeof view.serial)
        return fault_set(reterr, FAULT_INPUT, "a serial number of %zu octets; there are at most 20", crt->serial.len);
    hex(crt->serial.p, crt->serial.len, view.serial);
    common_name(crt, view.common_name);
    const fault_code code = certificate_kit_key_hash(&crt->pk, view.key_hash, reterr);
    if (!code) *ret_view = view;
    return code;
}

fault_code certificate_read(slice pem, struct certificate_view *ret_view, struct fault *reterr) {
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    fault_code code = certificate_kit_parse(pem, &crt, reterr);
    if (!code) code = certificate_kit_view(&crt, ret_view, reterr);
    mbedtls_x509_crt_free(&crt);
    return code;
}

fault_code certificate_match(slice certificate_pem, slice key_pem, struct fault *reterr) {
    mbedtls_x509_crt crt;
    mbedtls_pk_context key;
    mbedtls_x509_crt_init(&crt);
    mbedtls_pk_init(&key);
    fault_code code = certificate_kit_begin(reterr);
    if (!code) code = certificate_kit_parse(certificate_pem, &crt, reterr);
    if (!code) code = certificate_kit_parse_key(key_pem, &key, reterr);
    if (!code && mbedtls_pk_check_pair(&crt.pk, &key, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE))
        code = fault_set(reterr, FAULT_INPUT, "the key is not the certificate's");
    mbedtls_pk_free(&key);
    mbedtls_x509_crt_free(&crt);
    return code;
}

fault_code certificate_key_new(char ret_pem[CERTIFICATE_KEY_PEM_BYTES], struct fault *reterr) {
    mbedtls_pk_context key;
    if (certificate_kit_begin(reterr)) return FAULT_SYSTEM;
    mbedtls_pk_init(&key);
    int error = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (!error)
        error = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), mbedtls_psa_get_random,
                                    MBEDTLS_PSA_RANDOM_STATE);
    if (!error) error = mbedtls_pk_write_key_pem(&key, (unsigned char *)ret_pem, CERTIFICATE_KEY_PEM_BYTES);
    mbedtls_pk_free(&key);
    return error ? certificate_kit_fault(reterr, FAULT_SYSTEM, "make a key", error) : FAULT_NONE;
}

/* der: of CERTIFICATE_REQUEST_BYTES_MAX. */
static int request_write(mbedtls_pk_context *key, const char *name, unsigned char *der) {
    char subject[4 + CERTIFICATE_NAME_BYTES];
    mbedtls_x509write_csr csr;
    mbedtls_x509write_csr_init(&csr);
    snprintf(subject, sizeof subject, "CN=%s", name);
    mbedtls_x509write_csr_set_md_alg(&csr, MBEDTLS_MD_SHA256);
    mbedtls_x509write_csr_set_key(&csr, key);
    int result = mbedtls_x509write_csr_set_subject_name(&csr, subject);
    if (!result)
        result = mbedtls_x509write_csr_der(&csr, der, CERTIFICATE_REQUEST_BYTES_MAX, mbedtls_psa_get_random,
                                           MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_x509write_csr_free(&csr);
    return result;
}

fault_code certificate_request(slice key_pem, const char *name, struct arena *arena, slice *ret_der,
                               struct fault *reterr) {
    mbedtls_pk_context key;
    if (certificate_kit_begin(reterr)) return FAULT_SYSTEM;
    uint8_t *der = arena_alloc(arena, CERTIFICATE_REQUEST_BYTES_MAX);
    if (!der) return fault_set(reterr, FAULT_LIMIT, "ask for a certificate: out of memory");
    mbedtls_pk_init(&key);
    fault_code code = certificate_kit_parse_key(key_pem, &key, reterr);
    if (!code) {
        const int size = request_write(&key, name, der); /* at the buffer's end */
        if (size < 0)
            code = certificate_kit_fault(reterr, FAULT_SYSTEM, "ask for a certificate", size);
        else
            *ret_der = slice_of(der + CERTIFICATE_REQUEST_BYTES_MAX - (size_t)size, (size_t)size);
    }
    mbedtls_pk_free(&key);
    return code;
}

fault_code certificate_sign(slice key_pem, slice message, struct arena *arena, slice *ret_signature,
                            struct fault *reterr) {
    mbedtls_pk_context key;
    uint8_t hash[DIGEST_BYTES];
    size_t size = 0;
    if (certificate_kit_begin(reterr)) return FAULT_SYSTEM;
    uint8_t *signature = arena_alloc(arena, MBEDTLS_PK_SIGNATURE_MAX_SIZE);
    if (!signature) return fault_set(reterr, FAULT_LIMIT, "sign: out of memory");
    digest_of(message, hash);
    mbedtls_pk_init(&key);
    fault_code code = certificate_kit_parse_key(key_pem, &key, reterr);
    if (!code) {
        const int error =
            mbedtls_pk_sign(&key, MBEDTLS_MD_SHA256, hash, sizeof hash, signature, MBEDTLS_PK_SIGNATURE_MAX_SIZE, &size,
                            mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
        if (error) code = certificate_kit_fault(reterr, FAULT_SYSTEM, "sign", error);
    }
    mbedtls_pk_free(&key);
    if (!code) *ret_signature = slice_of(signature, size);
    return code;
}
