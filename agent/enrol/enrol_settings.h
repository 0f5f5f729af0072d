/* SPDX-License-Identifier: Apache-2.0
 * enrolment in the agent's configuration: where the centre signs this agent's certificate, and the token for the first. */
#ifndef PICKET_ENROL_ENROL_SETTINGS_H
#define PICKET_ENROL_ENROL_SETTINGS_H

#include "common/settings/settings.h"

struct enrol_settings {
    slice url, ca, token_file; /* url empty: the certificate comes from elsewhere */
};

/* For the table of an owner that has a member `struct enrol_settings member`. */
#define ENROL_ROWS(owner, member)                                                                                      \
    SETTING_ROW(                                                                                                       \
        owner, "enrolment.url", TEXT, member.url, "", NULL, "2048",                                                    \
        "the centre's API, https://: it signs this agent's certificate and renews it; the key is made here, in "       \
        "buffer.path, and stays here; instead of mqtt.certificate and mqtt.key"),                                      \
        SETTING_ROW(owner, "enrolment.ca", PATH, member.ca, "", NULL, NULL,                                            \
                    "certificates to trust there, PEM; without it the system's"),                                      \
        SETTING_ROW(owner, "enrolment.token_file", PATH, member.token_file, "", NULL, NULL,                            \
                    "file with the token for the first certificate (`picketctl agents enrol`); not needed afterwards")

#endif
