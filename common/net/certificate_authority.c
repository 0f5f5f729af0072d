/* SPDX-License-Identifier: Apache-2.0
 * The issuer's name is written as it stands in the authority's own certificate, attribute by attribute, and the authority
 * key identifier is its subject key identifier, however that was made: verifiers compare bytes. mbedTLS writes names from
 * the end, so its lists of what is to be written run backwards.
 *
 * Times are checked here, against the caller's clock, and not by mbedTLS: the verdict on a certificate is the same in a
 * test that lives in another year. */
#include "common/net/certificate_authority.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509_csr.h>

#include "common/base/digest.h"
#include "common/base/uuid.h"
#include "common/net/certificate_kit.h"

enum { FILE_BYTES_MAX = 64 * 1024, NAME_PARTS_MAX = 16, SERIAL_OCTETS = 16, KEY_ID_BYTES_MAX = 64, TIME_BYTES = 16 };
enum { HIGH_ERROR = 0xff80 }; /* mbedTLS: the error of the upper module, less that of the lower one */

struct certificate_authority {
    pthread_mutex_t lock; /* the key: a context is not for many threads */
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    char *pem;
    size_t pem_size;
};

static fault_code file_read(const char *path, char **ret_text, size_t *ret_size, struct fault *reterr) {
    FILE *file = fopen(path, "re");
    if (!file) return fault_set_errno(reterr, FAULT_INPUT, errno, "read '%s'", path);
    char *text = malloc(FILE_BYTES_MAX);
    const size_t size = text ? fread(text, 1, FILE_BYTES_MAX, file) : 0;
    const bool whole = text && size < FILE_BYTES_MAX && !ferror(file);
    fclose(file);
    if (!whole) {
        free(text);
        return fault_set(reterr, FAULT_INPUT, "read '%s': it cannot be read, or has %d bytes or more", path,
                         FILE_BYTES_MAX);
    }
    *ret_text = text;
    *ret_size = size;
    return FAULT_NONE;
}

static size_t name_parts(const mbedtls_x509_name *name, bool *ret_merged) {
    size_t count = 0;
    *ret_merged = false;
    for (; name && name->oid.p; name = name->next) {
        count++;
        if (name->MBEDTLS_PRIVATE(next_merged)) *ret_merged = true;
    }
    return count;
}

static fault_code authority_check(struct certificate_authority *a, const char *path, struct fault *reterr) {
    const mbedtls_x509_crt *crt = &a->certificate;
    bool merged;
    const size_t parts = name_parts(&crt->subject, &merged);
    if (!crt->MBEDTLS_PRIVATE(ca_istrue) || mbedtls_x509_crt_check_key_usage(crt, MBEDTLS_X509_KU_KEY_CERT_SIGN))
        return fault_set(reterr, FAULT_INPUT,
                         "'%s' is no certificate authority's: basicConstraints must say CA, keyUsage keyCertSign",
                         path);
    if (!parts || parts > NAME_PARTS_MAX || merged)
        return fault_set(reterr, FAULT_INPUT, "'%s': its subject needs 1 to %d attributes, each by itself", path,
                         NAME_PARTS_MAX);
    if (mbedtls_pk_check_pair(&crt->pk, &a->key, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE))
        return fault_set(reterr, FAULT_INPUT, "the key is not that of the certificate '%s'", path);
    return FAULT_NONE;
}

fault_code certificate_authority_open(const char *certificate_path, const char *key_path,
                                      struct certificate_authority **ret_authority, struct fault *reterr) {
    struct certificate_authority *a = calloc(1, sizeof *a);
    char *key = NULL;
    size_t key_size = 0;
    if (!a) return fault_set(reterr, FAULT_SYSTEM, "open the certificate authority: out of memory");
    pthread_mutex_init(&a->lock, NULL);
    mbedtls_x509_crt_init(&a->certificate);
    mbedtls_pk_init(&a->key);
    fault_code code = certificate_kit_begin(reterr);
    if (!code) code = file_read(certificate_path, &a->pem, &a->pem_size, reterr);
    if (!code && certificate_kit_parse(slice_of(a->pem, a->pem_size), &a->certificate, reterr))
        code = fault_wrap(reterr, "'%s'", certificate_path);
    if (!code) code = file_read(key_path, &key, &key_size, reterr);
    if (!code && certificate_kit_parse_key(slice_of(key, key_size), &a->key, reterr))
        code = fault_wrap(reterr, "'%s'", key_path);
    if (key) explicit_bzero(key, key_size);
    free(key);
    if (!code) code = authority_check(a, certificate_path, reterr);
    if (code) {
        certificate_authority_close(a);
        return code;
    }
    *ret_authority = a;
    return FAULT_NONE;
}

struct certificate_authority *certificate_authority_close(struct certificate_authority *a) {
    if (!a) return NULL;
    mbedtls_x509_crt_free(&a->certificate);
    mbedtls_pk_free(&a->key);
    pthread_mutex_destroy(&a->lock);
    free(a->pem);
    free(a);
    return NULL;
}

slice certificate_authority_pem(const struct certificate_authority *a) {
    return slice_of(a->pem, a->pem_size);
}

int64_t certificate_authority_not_after_ms(const struct certificate_authority *a) {
    return certificate_kit_ms(&a->certificate.valid_to);
}

/* ---- requests ---- */

static fault_code key_check(mbedtls_pk_context *key, struct fault *reterr) {
    const size_t bits = mbedtls_pk_get_bitlen(key);
    if (mbedtls_pk_get_type(key) == MBEDTLS_PK_RSA) {
        if (bits >= CERTIFICATE_RSA_BITS_MIN && bits <= CERTIFICATE_RSA_BITS_MAX) return FAULT_NONE;
        return fault_set(reterr, FAULT_INPUT, "the request has an RSA key of %zu bits; %d to %d are taken", bits,
                         CERTIFICATE_RSA_BITS_MIN, CERTIFICATE_RSA_BITS_MAX);
    }
    if (mbedtls_pk_get_type(key) == MBEDTLS_PK_ECKEY) {
        const mbedtls_ecp_group_id group = mbedtls_pk_ec(*key)->MBEDTLS_PRIVATE(grp).id;
        if (group == MBEDTLS_ECP_DP_SECP256R1 || group == MBEDTLS_ECP_DP_SECP384R1) return FAULT_NONE;
    }
    return fault_set(reterr, FAULT_INPUT, "the request has a key of a kind that is not taken: P-256, P-384, or RSA");
}

static fault_code signature_check(mbedtls_x509_csr *csr, struct fault *reterr) {
    const mbedtls_md_type_t kind = csr->MBEDTLS_PRIVATE(sig_md);
    uint8_t hash[MBEDTLS_MD_MAX_SIZE];
    if (kind != MBEDTLS_MD_SHA256 && kind != MBEDTLS_MD_SHA384 && kind != MBEDTLS_MD_SHA512)
        return fault_set(reterr, FAULT_INPUT,
                         "the request is signed with a hash that is not taken: SHA-256, -384 or -512");
    const mbedtls_md_info_t *info = mbedtls_md_info_from_type(kind);
    int error = mbedtls_md(info, csr->cri.p, csr->cri.len, hash);
    if (!error)
        error = mbedtls_pk_verify_ext(csr->MBEDTLS_PRIVATE(sig_pk), csr->MBEDTLS_PRIVATE(sig_opts), &csr->pk, kind,
                                      hash, mbedtls_md_get_size(info), csr->MBEDTLS_PRIVATE(sig).p,
                                      csr->MBEDTLS_PRIVATE(sig).len);
    return error ? fault_set(reterr, FAULT_INPUT, "the request is not signed by the key that it is for") : FAULT_NONE;
}

/* csr: initialised by the caller, and freed by it. */
static fault_code request_parse(slice request, mbedtls_x509_csr *csr, struct fault *reterr) {
    if (!request.size || request.size > CERTIFICATE_REQUEST_BYTES_MAX)
        return fault_set(reterr, FAULT_INPUT, "a request for a certificate has 1 to %d bytes, this one %zu",
                         CERTIFICATE_REQUEST_BYTES_MAX, request.size);
    if (certificate_kit_begin(reterr)) return FAULT_SYSTEM;
    int error;
    if (request.data[0] == '-') { /* PEM; DER begins with a SEQUENCE */
        unsigned char text[CERTIFICATE_REQUEST_BYTES_MAX + 1];
        memcpy(text, request.data, request.size);
        text[request.size] = '\0';
        error = mbedtls_x509_csr_parse(csr, text, request.size + 1);
    } else {
        error = mbedtls_x509_csr_parse_der(csr, request.data, request.size);
    }
    /* The second: one that is known by its name alone (basicConstraints), and critical. */
    if ((-error & HIGH_ERROR) == -MBEDTLS_ERR_X509_INVALID_EXTENSIONS || error == MBEDTLS_ERR_X509_FEATURE_UNAVAILABLE)
        return fault_set(
            reterr, FAULT_INPUT,
            "the request asks for an extension that is critical and not given here, or cannot be read: ask "
            "for none, only its key is taken");
    if (error) return certificate_kit_fault(reterr, FAULT_INPUT, "the request for a certificate cannot be read", error);
    const fault_code code = key_check(&csr->pk, reterr);
    return code ? code : signature_check(csr, reterr);
}

fault_code certificate_authority_check(slice request, char ret_key_hash[CERTIFICATE_HASH_BYTES], struct fault *reterr) {
    mbedtls_x509_csr csr;
    mbedtls_x509_csr_init(&csr);
    fault_code code = request_parse(request, &csr, reterr);
    if (!code) code = certificate_kit_key_hash(&csr.pk, ret_key_hash, reterr);
    mbedtls_x509_csr_free(&csr);
    return code;
}

/* ---- issuing ---- */

static void time_text(int64_t ms, char ret_text[TIME_BYTES]) {
    const time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    if (!gmtime_r(&seconds, &utc) || !strftime(ret_text, TIME_BYTES, "%Y%m%d%H%M%S", &utc)) ret_text[0] = '\0';
}

/* The authority's subject, to be written from its end. */
static void issuer_list(mbedtls_x509_name *subject, mbedtls_asn1_named_data parts[NAME_PARTS_MAX],
                        mbedtls_asn1_named_data **ret_first) {
    mbedtls_asn1_named_data *first = NULL;
    size_t count = 0;
    for (mbedtls_x509_name *part = subject; part && part->oid.p && count < NAME_PARTS_MAX; part = part->next) {
        parts[count] = (mbedtls_asn1_named_data){.oid = part->oid, .val = part->val, .next = first};
        first = &parts[count++];
    }
    *ret_first = first;
}

/* SEQUENCE { [0] keyIdentifier }: RFC 5280 section 4.2.1.1. */
static int authority_key_id(mbedtls_x509write_cert *to, const mbedtls_x509_buf *id) {
    unsigned char der[4 + KEY_ID_BYTES_MAX] = {0x30, (unsigned char)(id->len + 2), 0x80, (unsigned char)id->len};
    if (!id->len || id->len > KEY_ID_BYTES_MAX) return 0;
    memcpy(der + 4, id->p, id->len);
    return mbedtls_x509write_crt_set_extension(to, MBEDTLS_OID_AUTHORITY_KEY_IDENTIFIER,
                                               MBEDTLS_OID_SIZE(MBEDTLS_OID_AUTHORITY_KEY_IDENTIFIER), 0, der,
                                               4 + id->len);
}

static int fill(mbedtls_x509write_cert *to, struct certificate_authority *a, const char *name, int64_t from_ms,
                int64_t to_ms) {
    char subject[4 + CERTIFICATE_NAME_BYTES], from[TIME_BYTES], until[TIME_BYTES];
    unsigned char serial[SERIAL_OCTETS];
    mbedtls_asn1_sequence purpose = {.buf = {.tag = MBEDTLS_ASN1_OID,
                                             .len = MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH),
                                             .p = (unsigned char *)MBEDTLS_OID_CLIENT_AUTH}};
    random_bytes(serial, sizeof serial);
    serial[0] = (serial[0] & 0x3f) | 0x40; /* positive, and of the same length always */
    snprintf(subject, sizeof subject, "CN=%s", name);
    time_text(from_ms, from);
    time_text(to_ms, until);
    mbedtls_x509write_crt_set_version(to, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(to, MBEDTLS_MD_SHA256);
    int error = mbedtls_x509write_crt_set_serial_raw(to, serial, sizeof serial);
    if (!error) error = mbedtls_x509write_crt_set_subject_name(to, subject);
    if (!error) error = mbedtls_x509write_crt_set_validity(to, from, until);
    if (!error) error = mbedtls_x509write_crt_set_basic_constraints(to, 0, -1);
    if (!error) error = mbedtls_x509write_crt_set_key_usage(to, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    if (!error) error = mbedtls_x509write_crt_set_ext_key_usage(to, &purpose);
    if (!error) error = mbedtls_x509write_crt_set_subject_key_identifier(to);
    return error ? error : authority_key_id(to, &a->certificate.subject_key_id);
}

static int write_pem(struct certificate_authority *a, mbedtls_pk_context *key, const char *name, int64_t from_ms,
                     int64_t to_ms, unsigned char pem[CERTIFICATE_PEM_BYTES_MAX]) {
    mbedtls_asn1_named_data parts[NAME_PARTS_MAX];
    mbedtls_x509write_cert to;
    mbedtls_x509write_crt_init(&to);
    mbedtls_x509write_crt_set_subject_key(&to, key);
    mbedtls_x509write_crt_set_issuer_key(&to, &a->key);
    int error = fill(&to, a, name, from_ms, to_ms);
    issuer_list(&a->certificate.subject, parts, &to.MBEDTLS_PRIVATE(issuer));
    if (!error) {
        pthread_mutex_lock(&a->lock);
        error = mbedtls_x509write_crt_pem(&to, pem, CERTIFICATE_PEM_BYTES_MAX, mbedtls_psa_get_random,
                                          MBEDTLS_PSA_RANDOM_STATE);
        pthread_mutex_unlock(&a->lock);
    }
    to.MBEDTLS_PRIVATE(issuer) = NULL; /* ours, on the stack */
    mbedtls_x509write_crt_free(&to);
    return error;
}

static fault_code authority_valid(const struct certificate_authority *a, int64_t now_ms, struct fault *reterr) {
    const int64_t from_ms = certificate_kit_ms(&a->certificate.valid_from),
                  to_ms = certificate_authority_not_after_ms(a);
    if (now_ms >= from_ms && now_ms < to_ms) return FAULT_NONE;
    char when[TIME_BYTES];
    time_text(now_ms < from_ms ? from_ms : to_ms, when);
    return fault_set(reterr, FAULT_CONFLICT,
                     "the certificate authority %s %.8s: the centre's operator has to replace it "
                     "(enrolment.ca_certificate)",
                     now_ms < from_ms ? "is valid only from" : "has expired on", when);
}

fault_code certificate_authority_issue(struct certificate_authority *a, slice request, const char *common_name,
                                       int64_t now_ms, int64_t validity_ms, struct arena *arena, slice *ret_pem,
                                       struct certificate_view *ret_view, struct fault *reterr) {
    if (authority_valid(a, now_ms, reterr)) return FAULT_CONFLICT;
    const int64_t end_ms = certificate_authority_not_after_ms(a), wanted_ms = now_ms + validity_ms;
    unsigned char *pem = arena_alloc(arena, CERTIFICATE_PEM_BYTES_MAX);
    if (!pem) return fault_set(reterr, FAULT_LIMIT, "issue a certificate: out of memory");
    mbedtls_x509_csr csr;
    mbedtls_x509_csr_init(&csr);
    fault_code code = request_parse(request, &csr, reterr);
    if (!code) {
        const int error = write_pem(a, &csr.pk, common_name, now_ms - CERTIFICATE_BACKDATE_MS,
                                    wanted_ms < end_ms ? wanted_ms : end_ms, pem);
        if (error) code = certificate_kit_fault(reterr, FAULT_SYSTEM, "issue a certificate", error);
    }
    mbedtls_x509_csr_free(&csr);
    if (code) return code;
    *ret_pem = slice_from_text((const char *)pem);
    return certificate_read(*ret_pem, ret_view, reterr);
}

/* ---- proving ---- */

static fault_code ours_check(struct certificate_authority *a, mbedtls_x509_crt *crt, int64_t now_ms,
                             struct fault *reterr) {
    uint32_t flags = 0;
    const int64_t from_ms = certificate_kit_ms(&crt->valid_from), to_ms = certificate_kit_ms(&crt->valid_to);
    const int error = mbedtls_x509_crt_verify(crt, &a->certificate, NULL, NULL, &flags, NULL, NULL);
    flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
    if ((error && error != MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) || flags || crt->MBEDTLS_PRIVATE(ca_istrue) ||
        mbedtls_x509_crt_check_extended_key_usage(crt, MBEDTLS_OID_CLIENT_AUTH,
                                                  MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH)))
        return fault_set(reterr, FAULT_DENIED, "the certificate is no client's of this certificate authority");
    if (now_ms < from_ms) return fault_set(reterr, FAULT_DENIED, "the certificate is not valid yet: check the clocks");
    if (now_ms >= to_ms)
        return fault_set(reterr, FAULT_DENIED, "the certificate expired %lld s ago: enrol with a new token",
                         (long long)(now_ms - to_ms) / 1000);
    return FAULT_NONE;
}

fault_code certificate_authority_prove(struct certificate_authority *a, slice certificate_pem, slice message,
                                       slice signature, int64_t now_ms, struct certificate_view *ret_view,
                                       struct fault *reterr) {
    mbedtls_x509_crt crt;
    uint8_t hash[DIGEST_BYTES];
    if (certificate_kit_begin(reterr)) return FAULT_SYSTEM;
    if (authority_valid(a, now_ms, reterr)) return FAULT_CONFLICT;
    mbedtls_x509_crt_init(&crt);
    fault_code code = certificate_kit_parse(certificate_pem, &crt, reterr);
    if (!code && crt.next) code = fault_set(reterr, FAULT_INPUT, "one certificate is needed, not a chain");
    if (!code) {
        pthread_mutex_lock(&a->lock);
        code = ours_check(a, &crt, now_ms, reterr);
        pthread_mutex_unlock(&a->lock);
    }
    digest_of(message, hash);
    if (!code && mbedtls_pk_verify(&crt.pk, MBEDTLS_MD_SHA256, hash, sizeof hash, signature.data, signature.size))
        code = fault_set(reterr, FAULT_DENIED, "the request is not signed by the certificate's key");
    if (!code) code = certificate_kit_view(&crt, ret_view, reterr);
    mbedtls_x509_crt_free(&crt);
    return code;
}
