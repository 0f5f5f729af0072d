/* SPDX-License-Identifier: Apache-2.0
 * TLS 1.3 and 1.2; the broker's certificate must be of our CA and for the server name, our own certificate is always
 * shown. TLS state exists only while there is a connection.
 *
 * A small message costs what its system calls cost. A broker sends each PUBACK as a TLS record of its own, so records
 * are taken from the socket many at a time; a socket whose last read came back short is empty, and is not read again
 * before poll says that there is more.
 *
 * With TLS 1.3 a broker that does not like our certificate says so in its application keys while we still write the
 * end of the handshake, then closes, so that writing fails before the alert can be read. Therefore writing to a broker
 * that is gone never fails here: those bytes go nowhere, the handshake comes to its end, and the next read has the
 * alert (or an MQTT DISCONNECT), or at last tells that the connection is lost. */
#include "common/net/tls_link.h"

#include "common/net/tcp_dial.h"

#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <poll.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AHEAD_BYTES = 4 * 1024 }; /* records of PUBACKs are of 26 bytes */

struct tls_link {
    struct tls_link_settings settings;
    int fd;
    bool dry;         /* nothing to read until poll says so */
    bool gone;        /* the broker is: what it said last is still to be read, nothing more is sent */
    int error_number; /* of the socket; mbedTLS only learns that it failed */
    int end_error;    /* mbedTLS's word for why it is over */
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt ca, certificate;
    mbedtls_pk_context key;
    size_t ahead_start, ahead_end; /* read from the socket, not yet by mbedTLS */
    unsigned char ahead[AHEAD_BYTES];
};

fault_code tls_link_new(const struct tls_link_settings *settings, struct tls_link **ret_link, struct fault *reterr) {
    if (psa_crypto_init() != PSA_SUCCESS) return fault_set(reterr, FAULT_SYSTEM, "TLS: mbedTLS has no random numbers");
    struct tls_link *link = malloc(sizeof *link); /* not zeroed: the buffer's pages stay untouched until used */
    if (!link) return fault_set(reterr, FAULT_SYSTEM, "TLS: out of memory");
    link->settings = *settings;
    link->fd = -1;
    link->dry = link->gone = false;
    link->error_number = link->end_error = 0;
    link->ahead_start = link->ahead_end = 0;
    mbedtls_ssl_init(&link->ssl);
    mbedtls_ssl_config_init(&link->config);
    mbedtls_x509_crt_init(&link->ca);
    mbedtls_x509_crt_init(&link->certificate);
    mbedtls_pk_init(&link->key);
    *ret_link = link;
    return FAULT_NONE;
}

struct tls_link *tls_link_free(struct tls_link *link) {
    if (!link) return NULL;
    if (link->fd >= 0) close(link->fd);
    mbedtls_ssl_free(&link->ssl);
    mbedtls_ssl_config_free(&link->config);
    mbedtls_x509_crt_free(&link->ca);
    mbedtls_x509_crt_free(&link->certificate);
    mbedtls_pk_free(&link->key);
    free(link);
    return NULL;
}

int tls_link_fd(const struct tls_link *link) {
    return link->fd;
}

void tls_link_ready(struct tls_link *link) {
    link->dry = false;
}

bool tls_link_gone(const struct tls_link *link) {
    return link->gone;
}

/* ---- files ---- */

static fault_code file_fault(int error, const char *what, const char *path, struct fault *reterr) {
    char text[100];
    mbedtls_strerror(error, text, sizeof text);
    return fault_set(reterr, FAULT_INPUT, "%s '%s': %s", what, path, text);
}

fault_code tls_link_load(struct tls_link *link, struct fault *reterr) {
    const struct tls_link_settings *settings = &link->settings;
    if (settings->plain_text) return FAULT_NONE;
    int error = mbedtls_x509_crt_parse_file(&link->ca, settings->ca_path);
    if (error) return file_fault(error, "CA certificate", settings->ca_path, reterr);
    error = mbedtls_x509_crt_parse_file(&link->certificate, settings->certificate_path);
    if (error) return file_fault(error, "our certificate", settings->certificate_path, reterr);
    error = mbedtls_pk_parse_keyfile(&link->key, settings->key_path, NULL, mbedtls_psa_get_random,
                                     MBEDTLS_PSA_RANDOM_STATE);
    if (error) return file_fault(error, "our key", settings->key_path, reterr);
    error = mbedtls_pk_check_pair(&link->certificate.pk, &link->key, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    if (error)
        return fault_set(reterr, FAULT_INPUT, "our key '%s' does not belong to our certificate '%s'",
                         settings->key_path, settings->certificate_path);
    return FAULT_NONE;
}

/* ---- the socket, for mbedTLS ---- */

static int bytes_send(void *context, const unsigned char *bytes, size_t size) {
    struct tls_link *link = context;
    const ssize_t sent = link->gone ? (ssize_t)size : send(link->fd, bytes, size, MSG_NOSIGNAL);
    if (sent >= 0) return (int)sent;
    if (errno == EAGAIN || errno == EINTR) return MBEDTLS_ERR_SSL_WANT_WRITE;
    link->error_number = errno;
    link->gone = true;
    link->dry = false;
    return (int)size;
}

static ssize_t socket_receive(struct tls_link *link, unsigned char *bytes, size_t size) {
    if (link->dry) return MBEDTLS_ERR_SSL_WANT_READ;
    const ssize_t got = recv(link->fd, bytes, size, 0);
    link->dry = got != 0 && got < (ssize_t)size && !link->gone;
    if (got >= 0) return got;
    if (!link->gone && (errno == EAGAIN || errno == EINTR)) return MBEDTLS_ERR_SSL_WANT_READ;
    if (!link->gone) link->error_number = errno; /* else the first error is the true one */
    return MBEDTLS_ERR_ERROR_GENERIC_ERROR;
}

static int bytes_receive(void *context, unsigned char *bytes, size_t size) {
    struct tls_link *link = context;
    if (link->ahead_start == link->ahead_end) {
        if (size >= sizeof link->ahead) return (int)socket_receive(link, bytes, size);
        const ssize_t got = socket_receive(link, link->ahead, sizeof link->ahead);
        if (got <= 0) return (int)got;
        link->ahead_start = 0;
        link->ahead_end = (size_t)got;
    }
    const size_t waiting = link->ahead_end - link->ahead_start, taken = waiting < size ? waiting : size;
    memcpy(bytes, link->ahead + link->ahead_start, taken);
    link->ahead_start += taken;
    return (int)taken;
}

/* ---- connecting ---- */

static fault_code fault_from_tls(const struct tls_link *link, int error, const char *doing, struct fault *reterr);

static fault_code handshake(struct tls_link *link, int cancel, int64_t deadline_ms, struct fault *reterr) {
    fault_code code = tls_link_load(link, reterr);
    if (code != FAULT_NONE) return code;
    mbedtls_ssl_config *config = &link->config;
    int error = mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                            MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(config, &link->ca, NULL);
    mbedtls_ssl_conf_rng(config, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    if (!error) error = mbedtls_ssl_conf_own_cert(config, &link->certificate, &link->key);
    if (!error) error = mbedtls_ssl_setup(&link->ssl, config);
    if (!error) error = mbedtls_ssl_set_hostname(&link->ssl, link->settings.server_name);
    if (error) return fault_from_tls(link, error, "prepare TLS", reterr);
    mbedtls_ssl_set_bio(&link->ssl, link, bytes_send, bytes_receive, NULL);
    while ((error = mbedtls_ssl_handshake(&link->ssl)) != 0) {
        if (error != MBEDTLS_ERR_SSL_WANT_READ && error != MBEDTLS_ERR_SSL_WANT_WRITE)
            return fault_from_tls(link, error, "TLS handshake", reterr);
        code = tcp_wait(link->fd, error == MBEDTLS_ERR_SSL_WANT_READ ? POLLIN : POLLOUT, cancel, deadline_ms);
        if (code == FAULT_TIMEOUT) return fault_set(reterr, code, "TLS handshake: not done in time");
        if (code != FAULT_NONE) return code;
        link->dry = false;
    }
    return FAULT_NONE;
}

fault_code tls_link_begin(struct tls_link *link, const char *host, uint16_t port, int cancel, int64_t deadline_ms,
                          struct fault *reterr) {
    const fault_code code = tcp_dial(host, port, cancel, deadline_ms, &link->fd, reterr);
    return code || link->settings.plain_text ? code : handshake(link, cancel, deadline_ms, reterr);
}

void tls_link_end(struct tls_link *link) {
    if (link->fd >= 0 && !link->settings.plain_text && mbedtls_ssl_is_handshake_over(&link->ssl))
        (void)mbedtls_ssl_close_notify(&link->ssl);
}

/* ---- reading and writing ---- */

static int result_of(struct tls_link *link, int result) {
    if (result > 0) return result;
    if (result == MBEDTLS_ERR_SSL_WANT_READ) return TLS_LINK_WANT_READ;
    if (result == MBEDTLS_ERR_SSL_WANT_WRITE) return TLS_LINK_WANT_WRITE;
    link->end_error = result;
    return TLS_LINK_OVER;
}

int tls_link_write(struct tls_link *link, const unsigned char *bytes, size_t size) {
    return result_of(link, link->settings.plain_text ? bytes_send(link, bytes, size)
                                                     : mbedtls_ssl_write(&link->ssl, bytes, size));
}

int tls_link_read(struct tls_link *link, unsigned char *bytes, size_t size) {
    if (link->settings.plain_text) return result_of(link, bytes_receive(link, bytes, size));
    int got;
    do got = mbedtls_ssl_read(&link->ssl, bytes, size);
    while (got == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET); /* not an end: TLS 1.3 sends them at will */
    return result_of(link, got);
}

fault_code tls_link_fault(const struct tls_link *link, struct fault *reterr) {
    return fault_from_tls(link, link->end_error, "connection", reterr);
}

/* ---- faults ---- */

static fault_code fault_from_certificate(const struct tls_link *link, uint32_t flags, const char *doing,
                                         struct fault *reterr);
static const char *alert_name(int alert);

static fault_code fault_from_tls(const struct tls_link *link, int error, const char *doing, struct fault *reterr) {
    char text[100];
    if (error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED)
        return fault_from_certificate(link, mbedtls_ssl_get_verify_result(&link->ssl), doing, reterr);
    if (error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        /* 3.6 has no function for it: the second byte of the alert message is its description (RFC 8446 section 6). */
        const int alert = link->ssl.MBEDTLS_PRIVATE(in_msg)[1];
        return fault_set(reterr, FAULT_DENIED, "%s: refused by the broker with TLS alert %d (%s)", doing, alert,
                         alert_name(alert));
    }
    if (error == 0 || error == MBEDTLS_ERR_SSL_CONN_EOF || error == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return fault_set(reterr, FAULT_SYSTEM, "%s: closed by the broker", doing);
    if (link->error_number) return fault_set_errno(reterr, FAULT_SYSTEM, link->error_number, "%s: lost", doing);
    mbedtls_strerror(error, text, sizeof text);
    return fault_set(reterr, FAULT_SYSTEM, "%s: %s (mbedTLS -0x%04x)", doing, text, (unsigned)-error);
}

static fault_code fault_from_certificate(const struct tls_link *link, uint32_t flags, const char *doing,
                                         struct fault *reterr) {
    const struct tls_link_settings *settings = &link->settings;
    if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
        return fault_set(reterr, FAULT_DENIED, "%s: the broker's certificate is not from the authority in '%s'", doing,
                         settings->ca_path);
    if (flags & MBEDTLS_X509_BADCERT_EXPIRED)
        return fault_set(reterr, FAULT_DENIED, "%s: the broker's certificate has expired", doing);
    if (flags & MBEDTLS_X509_BADCERT_FUTURE)
        return fault_set(reterr, FAULT_DENIED,
                         "%s: the broker's certificate is not valid yet (is this machine's clock right?)", doing);
    if (flags & MBEDTLS_X509_BADCERT_REVOKED)
        return fault_set(reterr, FAULT_DENIED, "%s: the broker's certificate is revoked", doing);
    if (flags & MBEDTLS_X509_BADCERT_CN_MISMATCH)
        return fault_set(reterr, FAULT_DENIED, "%s: the broker's certificate is for another name than '%s'", doing,
                         settings->server_name);
    char text[200];
    if (mbedtls_x509_crt_verify_info(text, sizeof text, "", flags) < 0)
        snprintf(text, sizeof text, "verification failed");
    text[strcspn(text, "\n")] = '\0';
    return fault_set(reterr, FAULT_DENIED, "%s: the broker's certificate is refused: %s", doing, text);
}

/* RFC 8446 section 6.2: those that a broker sends about us. */
static const char *alert_name(int alert) {
    switch (alert) {
    case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
        return "handshake failure: no common cipher, or our certificate is missing";
    case MBEDTLS_SSL_ALERT_MSG_BAD_CERT: return "our certificate is bad";
    case MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT: return "our certificate is of an unsupported kind";
    case MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED: return "our certificate is revoked";
    case MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED: return "our certificate has expired";
    case MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN: return "our certificate is not acceptable";
    case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA: return "our certificate is not from an authority that it trusts";
    case MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED: return "access denied";
    case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION: return "no common TLS version";
    case MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME: return "unknown server name";
    case 116: return "it requires a client certificate";
    default: return "see RFC 8446 section 6";
    }
}
