/* SPDX-License-Identifier: Apache-2.0
 * One place for what goes with what, so that every source says it in the same words. */
#include "agent/collect/access_settings.h"

void access_settings_check(struct settings *read, const struct access_settings *access) {
    if (access->bearer_token.size && access->bearer_token_file.size)
        settings_mistake(read, &access->bearer_token_file, "give bearer_token or bearer_token_file, not both");
    if ((access->bearer_token.size || access->bearer_token_file.size) && access->username.size)
        settings_mistake(read, &access->username, "give a bearer token or a username, not both");
    if (access->password.size && !access->username.size)
        settings_mistake(read, &access->password, "a password needs auth.username");
    if (!access->tls_certificate.size != !access->tls_key.size)
        settings_mistake(read, access->tls_key.size ? &access->tls_key : &access->tls_certificate,
                         "tls.certificate and tls.key belong together");
}

void access_settings_use(const struct access_settings *access, struct http_tls *ret_tls, struct http_auth *ret_auth) {
    *ret_tls = (struct http_tls){.ca_path = setting_text(access->tls_ca),
                                 .certificate_path = setting_text(access->tls_certificate),
                                 .key_path = setting_text(access->tls_key),
                                 .insecure = access->tls_insecure};
    *ret_auth = (struct http_auth){setting_text(access->bearer_token), setting_text(access->bearer_token_file),
                                   setting_text(access->username), setting_text(access->password)};
}
