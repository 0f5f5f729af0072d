/* SPDX-License-Identifier: Apache-2.0
 * How to reach a URL: the rows that every source, probe and service asked over HTTP has (auth.*, tls.*), and what the
 * HTTP client wants of them. */
#ifndef PICKET_COLLECT_ACCESS_SETTINGS_H
#define PICKET_COLLECT_ACCESS_SETTINGS_H

#include "common/net/http_client.h"
#include "common/settings/settings.h"

struct access_settings {
    slice bearer_token, bearer_token_file, username, password;
    slice tls_ca, tls_certificate, tls_key;
    bool tls_insecure;
};

/* For a table of an owner that has a member `struct access_settings access`. */
#define ACCESS_ROWS(owner)                                                                                             \
    SETTING_ROW(owner, "auth.bearer_token", SECRET, access.bearer_token, "", NULL, "4096",                             \
                "sent as Authorization: Bearer"),                                                                      \
        SETTING_ROW(owner, "auth.bearer_token_file", PATH, access.bearer_token_file, "", NULL, NULL,                   \
                    "file with the token, read again at each request"),                                                \
        SETTING_ROW(owner, "auth.username", TEXT, access.username, "", NULL, "256", "for basic authentication"),       \
        SETTING_ROW(owner, "auth.password", SECRET, access.password, "", NULL, "1024", "for basic authentication"),    \
        SETTING_ROW(owner, "tls.ca", PATH, access.tls_ca, "", NULL, NULL,                                              \
                    "certificates to trust, PEM; without it the system's"),                                            \
        SETTING_ROW(owner, "tls.certificate", PATH, access.tls_certificate, "", NULL, NULL,                            \
                    "client certificate, PEM"),                                                                        \
        SETTING_ROW(owner, "tls.key", PATH, access.tls_key, "", NULL, NULL, "its key, PEM"),                           \
        SETTING_ROW(owner, "tls.insecure", BOOL, access.tls_insecure, "false", NULL, NULL,                             \
                    "accept any certificate: for tests only")

/* Adds what the rows cannot say: two ways of proving who we are, half a pair. */
void access_settings_check(struct settings *read, const struct access_settings *access);
/* Borrows the settings' texts. */
void access_settings_use(const struct access_settings *access, struct http_tls *ret_tls, struct http_auth *ret_auth);

#endif
