/* SPDX-License-Identifier: Apache-2.0
 * A token has 258 random bits, so its hash needs no salt and no slow function. */
#include "aggregator/api/enrolment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/base/uuid.h"

enum { AUTHORITY_BYTES_MAX = 64 * 1024 };

/* The file's text, in memory of its own. */
static fault_code read_authority(const char *path, slice *ret_text, struct fault *reterr) {
    FILE *file = fopen(path, "re");
    if (!file) return fault_set_errno(reterr, FAULT_INPUT, errno, "read '%s'", path);
    uint8_t *text = malloc(AUTHORITY_BYTES_MAX);
    const size_t size = text ? fread(text, 1, AUTHORITY_BYTES_MAX, file) : 0;
    fclose(file);
    if (!size || size == AUTHORITY_BYTES_MAX) {
        free(text);
        return fault_set(reterr, FAULT_INPUT, "read '%s': 1 to %d bytes are needed", path, AUTHORITY_BYTES_MAX - 1);
    }
    *ret_text = slice_of(text, size);
    return FAULT_NONE;
}

fault_code enrolment_open(const struct enrolment_settings *settings, struct enrolment **ret_enrolment,
                          struct fault *reterr) {
    struct enrolment *enrolment = calloc(1, sizeof *enrolment);
    if (!enrolment) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    *enrolment = (struct enrolment){.validity_ms = settings->validity_ms,
                                    .reserved = settings->reserved,
                                    .broker_host = settings->broker_host,
                                    .broker_port = (int32_t)settings->broker_port};
    fault_code code =
        certificate_authority_open(settings->certificate_path, settings->key_path, &enrolment->authority, reterr);
    if (!code && settings->broker_authority_path)
        code = read_authority(settings->broker_authority_path, &enrolment->broker_authority, reterr);
    if (code) {
        enrolment_close(enrolment);
        return code;
    }
    *ret_enrolment = enrolment;
    return FAULT_NONE;
}

struct enrolment *enrolment_close(struct enrolment *enrolment) {
    if (!enrolment) return NULL;
    certificate_authority_close(enrolment->authority);
    free((uint8_t *)enrolment->broker_authority.data);
    free(enrolment);
    return NULL;
}

void enrolment_token_make(slice tenant, slice agent, char ret_token[ENROLMENT_TOKEN_BYTES]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[ENROLMENT_SECRET_BYTES];
    random_bytes(bytes, sizeof bytes);
    const int head = snprintf(ret_token, ENROLMENT_TOKEN_BYTES, "%.*s/%.*s:", SLICE_ARG(tenant), SLICE_ARG(agent));
    for (size_t i = 0; i < sizeof bytes; i++) ret_token[(size_t)head + i] = letters[bytes[i] & 63];
    ret_token[(size_t)head + sizeof bytes] = '\0';
    explicit_bzero(bytes, sizeof bytes);
}

bool enrolment_reserved(const struct enrolment *enrolment, slice agent) {
    static const char *const own[] = {"aggregator", "integration", "picket-aggregator", "reader"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (slice_equal_text(agent, own[i])) return true;
    for (size_t i = 0; enrolment->reserved && i < enrolment->reserved->count; i++)
        if (slice_equal(agent, enrolment->reserved->items[i])) return true;
    return false;
}

static bool name_ok(slice name) {
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-')) return false;
    }
    return name.size > 0;
}

bool enrolment_name_parts(slice name, slice *ret_tenant, slice *ret_agent) {
    const uint8_t *border = name.size <= LIMIT_TENANT_AND_PRODUCER_BYTES ? memchr(name.data, '/', name.size) : NULL;
    if (!name.size || !border) return false;
    *ret_tenant = slice_of(name.data, (size_t)(border - name.data));
    *ret_agent = slice_from(name, ret_tenant->size + 1);
    return name_ok(*ret_tenant) && name_ok(*ret_agent);
}

bool enrolment_token_parts(slice token, slice *ret_tenant, slice *ret_agent) {
    if (token.size <= ENROLMENT_SECRET_BYTES) return false;
    const size_t head = token.size - ENROLMENT_SECRET_BYTES - 1;
    return token.data[head] == ':' && enrolment_name_parts(slice_first(token, head), ret_tenant, ret_agent);
}

void enrolment_token_hash(slice token, char ret_hash[CERTIFICATE_HASH_BYTES]) {
    uint8_t hash[DIGEST_BYTES];
    digest_of(token, hash);
    for (size_t i = 0; i < sizeof hash; i++) snprintf(ret_hash + 2 * i, 3, "%02x", hash[i]);
}
