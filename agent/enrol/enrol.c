/* SPDX-License-Identifier: Apache-2.0
 * One timer and at most one request. What is to be done follows from what is on disk, so a restart at any moment goes on:
 * no certificate, or one that is over, or a token that was not used yet: enrol with the token; two thirds of its life gone:
 * renew; a next one: try it. So who was revoked comes back with a new token, and nothing else has to be touched.
 *
 * A refusal is asked about again slowly: whoever mends it (a new token, a clock) does so at the centre or in the file,
 * and no restart is needed. What fails on the way is tried again with a back-off. The renewal is signed by the old key
 * over the request, so that nobody in between, the broker included, can have one in this agent's name. */
#include "agent/enrol/enrol.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/uuid.h"
#include "common/codec/codec.h"
#include "common/logging/log.h"
#include "sre.pb.h"

enum {
    ARENA_BLOCK_BYTES = 16 * 1024,
    ARENA_BYTES_MAX = 1024 * 1024,
    ANSWER_BYTES_MAX = 256 * 1024,
    TIMEOUT_MS = 30 * 1000,
    RETRY_MS_MIN = 1000,
    RETRY_MS_MAX = 5 * 60 * 1000,
    LOOK_MS_MAX = 5 * 60 * 1000, /* there may be a new token; the wall clock may be set meanwhile */
    TRIAL_MS = 60 * 1000,        /* a next certificate has to connect in so long */
    BACKDATE_MS = 5 * 60 * 1000, /* by which the centre lets a certificate begin earlier */
    URL_BYTES = 2200,
};
#define SERVICE "/ameide_core_proto.sre.edge.v1.AgentService/"
#define RENEWAL "picket: renew\n"

struct enrol {
    struct enrol_parts parts;
    struct identity identity;
    struct loop_timer *timer;
    struct http_call *call; /* NULL: nothing is asked */
    struct arena *arena;    /* of what is asked, and its answer */
    struct http_tls tls;
    bool renewing;
    char token[CERTIFICATE_HASH_BYTES];   /* what is asked with */
    char refused[CERTIFICATE_HASH_BYTES]; /* a token that is of no use, while there is a certificate */
    bool trying;                          /* the connection is made with the next certificate */
    int64_t trying_since_ms, next_try_ms; /* monotonic */
    int64_t retry_ms;
    uint8_t *answer;
    size_t answer_size;
    char error[512];
};

static void look(void *context);

static void look_in(struct enrol *enrol, int64_t ms) {
    loop_timer_set(enrol->timer, ms < 1 ? 1 : ms > LOOK_MS_MAX ? LOOK_MS_MAX : ms);
}

static int64_t jittered(int64_t ms) {
    uint32_t random;
    random_bytes(&random, sizeof random);
    return ms - ms / 4 + (int64_t)(random % (uint32_t)(ms / 2 + 1));
}

/* Two thirds of its life, and up to a twelfth more, so that agents enrolled in one go do not come back in one. */
static int64_t renewal_ms(const struct certificate_view *view) {
    const int64_t begun_ms = view->not_before_ms + BACKDATE_MS, life_ms = view->not_after_ms - begun_ms;
    if (life_ms <= 0) return view->not_before_ms;
    const uint32_t own = (uint32_t)strtoul(view->serial + strlen(view->serial) / 2, NULL, 16);
    return begun_ms + life_ms * 2 / 3 + (int64_t)((uint64_t)life_ms / 12 * (own % 1000) / 1000);
}

/* ---- asking ---- */

static bool is_valid(const struct enrol *enrol) {
    return enrol->identity.has_current && clock_wall_ms() < enrol->identity.current_view.not_after_ms;
}

static void failed(struct enrol *enrol, const char *why, bool for_good) {
    const bool has_one = is_valid(enrol);
    snprintf(enrol->error, sizeof enrol->error, "%s: %s", enrol->renewing ? "renewal" : "enrolment", why);
    enrol->retry_ms = for_good                             ? RETRY_MS_MAX
                      : enrol->retry_ms == 0               ? RETRY_MS_MIN
                      : enrol->retry_ms * 2 > RETRY_MS_MAX ? RETRY_MS_MAX
                                                           : enrol->retry_ms * 2;
    const int64_t wait_ms = jittered(enrol->retry_ms);
    LOG_ERROR("agent", enrol->renewing ? "certificate_not_renewed" : "not_enrolled", LOG_TEXT("reason", why),
              LOG_INT("again_ms", wait_ms),
              LOG_TEXT("instead", has_one ? "the certificate that is there serves until its end"
                                          : "measuring goes on, the queue keeps it"));
    look_in(enrol, wait_ms);
    if (!for_good || !has_one || enrol->renewing) return;
    memcpy(enrol->refused, enrol->token, sizeof enrol->refused); /* another, or SIGHUP, and it is asked again */
    enrol->retry_ms = 0;
    look_in(enrol, 1); /* the renewal does not wait for it */
}

static void try_next(struct enrol *enrol) {
    enrol->trying = true;
    enrol->trying_since_ms = clock_monotonic_ms();
    look_in(enrol, TRIAL_MS);
    enrol->parts.use(enrol->parts.context);
}

static void taken(struct enrol *enrol) {
    struct fault fault;
    EnrolAgentResponse given; /* RenewCertificateResponse has the same fields */
    fault_code code = codec_decode_protobuf(enrol->renewing ? &RenewCertificateResponse_desc : &EnrolAgentResponse_desc,
                                            slice_of(enrol->answer, enrol->answer_size), enrol->arena, &given, &fault);
    if (!code)
        code = identity_keep_next(&enrol->identity, enrol->renewing ? NULL : enrol->token, given.certificate,
                                  given.broker_authority, &fault);
    if (code) {
        failed(enrol, fault.text, false);
        return;
    }
    enrol->error[0] = '\0';
    enrol->retry_ms = 0;
    LOG_INFO("agent", enrol->renewing ? "certificate_renewed" : "enrolled",
             LOG_TEXT("serial", enrol->identity.next_view.serial),
             LOG_INT("valid_s", (enrol->identity.next_view.not_after_ms - clock_wall_ms()) / 1000));
    if (!enrol->identity.has_current) { /* there is nothing to go back to */
        if (identity_promote(&enrol->identity, &fault)) {
            failed(enrol, fault.text, false);
            return;
        }
        look_in(enrol, renewal_ms(&enrol->identity.current_view) - clock_wall_ms());
        enrol->parts.use(enrol->parts.context);
        return;
    }
    try_next(enrol);
}

static bool on_body(void *context, slice piece) {
    struct enrol *enrol = context;
    if (enrol->answer_size + piece.size > ANSWER_BYTES_MAX) return false;
    memcpy(enrol->answer + enrol->answer_size, piece.data, piece.size);
    enrol->answer_size += piece.size;
    return true;
}

/* The sentence in Connect's error body, as far as it is printable. */
static void refusal_text(const struct enrol *enrol, int status, char *ret_text, size_t text_bytes) {
    static const char key[] = "\"message\":\"";
    const uint8_t *at = memmem(enrol->answer, enrol->answer_size, key, sizeof key - 1);
    int used = snprintf(ret_text, text_bytes, "HTTP status %d", status);
    if (!at) return;
    const uint8_t *const end = enrol->answer + enrol->answer_size;
    used += snprintf(ret_text + used, text_bytes - (size_t)used, ": ");
    for (at += sizeof key - 1; at < end && *at != '"' && (size_t)used + 1 < text_bytes; at++)
        if (*at >= ' ' && *at < 127 && *at != '\\') ret_text[used++] = (char)*at;
    ret_text[used] = '\0';
}

static void on_done(void *context, const struct http_result *result) {
    struct enrol *enrol = context;
    char why[400];
    enrol->call = NULL;
    if (result->fault.code) {
        failed(enrol, result->fault.text, false);
    } else if (result->status == 200) {
        taken(enrol);
    } else {
        refusal_text(enrol, result->status, why, sizeof why);
        failed(enrol, why, result->status >= 400 && result->status < 500 && result->status != 429);
    }
}

static fault_code request_body(struct enrol *enrol, slice token, slice *ret_body, struct fault *reterr) {
    char key[CERTIFICATE_KEY_PEM_BYTES];
    slice csr, pem, signature;
    fault_code code = identity_next_key(&enrol->identity, key, reterr);
    if (!code) code = certificate_request(slice_from_text(key), enrol->identity.name, enrol->arena, &csr, reterr);
    explicit_bzero(key, sizeof key);
    if (code) return code;
    if (!enrol->renewing) {
        const EnrolAgentRequest request = {.token = token, .csr = csr};
        return codec_encode_protobuf(&EnrolAgentRequest_desc, &request, enrol->arena, ret_body, reterr);
    }
    uint8_t *message = arena_alloc(enrol->arena, sizeof RENEWAL - 1 + csr.size);
    if (!message) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    memcpy(message, RENEWAL, sizeof RENEWAL - 1);
    memcpy(message + sizeof RENEWAL - 1, csr.data, csr.size);
    code = identity_file(enrol->identity.current, enrol->arena, &pem, reterr);
    if (!code)
        code =
            certificate_sign(pem, slice_of(message, sizeof RENEWAL - 1 + csr.size), enrol->arena, &signature, reterr);
    if (code) return code;
    const char *const certificate = strstr((const char *)pem.data, "-----BEGIN CERTIFICATE-----"); /* behind the key */
    const RenewCertificateRequest request = {
        .certificate = slice_from_text(certificate ? certificate : ""), .csr = csr, .signature = signature};
    return codec_encode_protobuf(&RenewCertificateRequest_desc, &request, enrol->arena, ret_body, reterr);
}

static fault_code ask(struct enrol *enrol, slice token, struct fault *reterr) {
    static const char *const headers[] = {"Content-Type: application/proto", "Connect-Protocol-Version: 1", NULL};
    char url[URL_BYTES];
    slice body;
    const fault_code code = request_body(enrol, token, &body, reterr);
    if (code) return code;
    slice base = enrol->parts.settings->url;
    while (base.size && base.data[base.size - 1] == '/') base.size--;
    snprintf(url, sizeof url, "%.*s" SERVICE "%s", SLICE_ARG(base),
             enrol->renewing ? "RenewCertificate" : "EnrolAgent");
    enrol->tls =
        (struct http_tls){.ca_path = enrol->parts.settings->ca.size ? setting_text(enrol->parts.settings->ca) : NULL};
    enrol->answer_size = 0;
    const struct http_request request = {.url = url,
                                         .headers = headers,
                                         .body = body,
                                         .tls = &enrol->tls,
                                         .timeout_ms = TIMEOUT_MS,
                                         .body_bytes_max = ANSWER_BYTES_MAX,
                                         .on_body = on_body,
                                         .on_done = on_done,
                                         .context = enrol};
    return http_client_start(enrol->parts.client, &request, &enrol->call, reterr);
}

/* The token, and its hash; lent by the arena. */
static fault_code token_read(struct enrol *enrol, slice *ret_token, char ret_hash[CERTIFICATE_HASH_BYTES],
                             struct fault *reterr) {
    slice token;
    uint8_t hash[DIGEST_BYTES];
    const fault_code code =
        identity_file(setting_text(enrol->parts.settings->token_file), enrol->arena, &token, reterr);
    if (code) return code;
    while (token.size && token.data[token.size - 1] <= ' ') token.size--;
    digest_of(token, hash);
    for (size_t i = 0; i < sizeof hash; i++) snprintf(ret_hash + 2 * i, 3, "%02x", hash[i]);
    *ret_token = token;
    return FAULT_NONE;
}

/* A token says whose it is in front of its secret. Another agent's is not shown to the centre: that would spend it. */
static fault_code token_check(const struct enrol *enrol, slice token, struct fault *reterr) {
    const slice path = enrol->parts.settings->token_file;
    const uint8_t *border = token.size ? memchr(token.data, ':', token.size) : NULL;
    if (!border)
        return fault_set(reterr, FAULT_INPUT, "'%.*s' holds no token: one begins with '%s:'", SLICE_ARG(path),
                         enrol->identity.name);
    const slice name = slice_of(token.data, (size_t)(border - token.data));
    if (slice_equal_text(name, enrol->identity.name)) return FAULT_NONE;
    return fault_set(reterr, FAULT_INPUT, "the token in '%.*s' is for '%.*s', and this is '%s': it was not used",
                     SLICE_ARG(path), SLICE_ARG(slice_first(name, CERTIFICATE_NAME_BYTES - 1)), enrol->identity.name);
}

/* One that the certificate was not got with. Where there is none, or no file for it, all is well. */
static bool is_token_fresh(struct enrol *enrol) {
    char hash[CERTIFICATE_HASH_BYTES];
    slice token;
    if (!enrol->parts.settings->token_file.size) return false;
    arena_reset(enrol->arena);
    return !token_read(enrol, &token, hash, NULL) && token.size && strcmp(hash, enrol->refused) != 0 &&
           strcmp(hash, enrol->identity.current_token) != 0 &&
           !(enrol->identity.has_next && strcmp(hash, enrol->identity.next_token) == 0);
}

static void start(struct enrol *enrol, bool renewing) {
    struct fault fault;
    slice token = {0};
    enrol->renewing = renewing;
    arena_reset(enrol->arena);
    enrol->answer = arena_alloc(enrol->arena, ANSWER_BYTES_MAX);
    if (!enrol->answer) {
        failed(enrol, "out of memory", false);
        return;
    }
    if (!renewing) {
        const slice path = enrol->parts.settings->token_file;
        if (!path.size) {
            failed(enrol, "there is no certificate that is valid, and no enrolment.token_file with a token for one",
                   true);
            return;
        }
        if (token_read(enrol, &token, enrol->token, &fault)) {
            failed(enrol, fault.text, false);
            return;
        }
        if (token_check(enrol, token, &fault)) {
            failed(enrol, fault.text, true);
            return;
        }
    }
    if (ask(enrol, token, &fault)) failed(enrol, fault.text, false);
}

/* ---- what is to be done ---- */

static void go_back(struct enrol *enrol) {
    enrol->trying = false;
    enrol->next_try_ms = clock_monotonic_ms() + 10 * TRIAL_MS;
    LOG_WARN("agent", "new_certificate_does_not_connect", LOG_TEXT("serial", enrol->identity.next_view.serial),
             LOG_TEXT("instead", "the one before it; the new one is tried again in ten minutes"));
    look_in(enrol, 10 * TRIAL_MS);
    enrol->parts.use(enrol->parts.context);
}

static void look(void *context) {
    struct enrol *enrol = context;
    const struct identity *identity = &enrol->identity;
    const int64_t now_ms = clock_wall_ms(), since_ms = clock_monotonic_ms();
    if (enrol->call) return;
    const bool valid = is_valid(enrol);
    if (valid && is_token_fresh(enrol)) {
        start(enrol, false);
    } else if (enrol->trying) {
        if (valid && since_ms - enrol->trying_since_ms >= TRIAL_MS)
            go_back(enrol);
        else
            look_in(enrol, TRIAL_MS);
    } else if (identity->has_next && now_ms < identity->next_view.not_after_ms) {
        if (since_ms >= enrol->next_try_ms)
            try_next(enrol);
        else
            look_in(enrol, enrol->next_try_ms - since_ms);
    } else if (!valid) {
        start(enrol, false);
    } else if (now_ms >= renewal_ms(&identity->current_view)) {
        start(enrol, true);
    } else {
        look_in(enrol, renewal_ms(&identity->current_view) - now_ms);
    }
}

void enrol_on_link(struct enrol *enrol, bool connected) {
    struct fault fault;
    if (!connected || !enrol->trying) return;
    if (identity_promote(&enrol->identity, &fault)) {
        LOG_WARN("agent", "certificate_not_kept", LOG_FAULT(&fault), LOG_TEXT("instead", "with the next connection"));
        return;
    }
    enrol->trying = false;
    LOG_INFO("agent", "certificate_in_use", LOG_TEXT("serial", enrol->identity.current_view.serial));
    look_in(enrol, renewal_ms(&enrol->identity.current_view) - clock_wall_ms());
}

/* ---- life ---- */

fault_code enrol_open(const struct enrol_parts *parts, struct enrol **ret_enrol, struct fault *reterr) {
    struct enrol *enrol = calloc(1, sizeof *enrol);
    char name[CERTIFICATE_NAME_BYTES];
    struct fault passed;
    if (enrol) enrol->timer = loop_timer_new(parts->loop, look, enrol);
    if (enrol) enrol->arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    fault_code code = enrol && enrol->timer && enrol->arena
                          ? FAULT_NONE
                          : fault_set(reterr, FAULT_LIMIT, "open enrolment: out of memory");
    if (!code) {
        enrol->parts = *parts;
        snprintf(name, sizeof name, "%.*s/%.*s", SLICE_ARG(parts->tenant), SLICE_ARG(parts->agent));
        code = identity_open(parts->folder, name, &enrol->identity, &passed, reterr);
    }
    if (code) {
        enrol_close(enrol);
        return code;
    }
    if (passed.code)
        LOG_WARN("agent", "certificate_passed_over", LOG_FAULT(&passed),
                 LOG_TEXT("instead", "as if it were not there"));
    if (enrol->identity.has_next && !enrol->identity.has_current &&
        !identity_promote(&enrol->identity, &passed)) { /* died in between */
    }
    look_in(enrol, 1);
    *ret_enrol = enrol;
    return FAULT_NONE;
}

struct enrol *enrol_close(struct enrol *enrol) {
    if (!enrol) return NULL;
    http_call_cancel(enrol->call);
    loop_timer_free(enrol->timer);
    arena_free(enrol->arena);
    free(enrol);
    return NULL;
}

void enrol_use(struct enrol *enrol, const struct enrol_settings *settings) {
    enrol->parts.settings = settings;
    enrol->retry_ms = 0;
    enrol->refused[0] = '\0';
    look_in(enrol, 1); /* the token may be another now */
}

const char *enrol_file(const struct enrol *enrol) {
    if (enrol->trying) return enrol->identity.next;
    return enrol->identity.has_current ? enrol->identity.current : NULL;
}

const char *enrol_authority(const struct enrol *enrol) {
    return access(enrol->identity.authority, R_OK) ? NULL : enrol->identity.authority;
}

void enrol_report(const struct enrol *enrol, struct enrol_report *ret_report) {
    const struct certificate_view *view = enrol->trying ? &enrol->identity.next_view : &enrol->identity.current_view;
    *ret_report = (struct enrol_report){.error = enrol->error};
    if (!enrol_file(enrol)) return;
    memcpy(ret_report->serial, view->serial, sizeof ret_report->serial);
    ret_report->not_before_ms = view->not_before_ms;
    ret_report->not_after_ms = view->not_after_ms;
}
