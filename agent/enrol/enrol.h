/* SPDX-License-Identifier: Apache-2.0
 * Gets the agent's certificate from the centre, against a token the first time, and renews it in good time. The agent
 * measures on while it has none. A new one is tried by connecting with it; the old one stays until that has worked.
 * Owner: the agent's loop thread. */
#ifndef PICKET_ENROL_ENROL_H
#define PICKET_ENROL_ENROL_H

#include "agent/enrol/enrol_settings.h"
#include "agent/enrol/identity.h"
#include "common/loop/loop.h"
#include "common/net/http_client.h"

struct enrol;

struct enrol_parts {
    struct loop *loop;
    struct http_client *client;
    const struct enrol_settings *settings; /* outlive it; enrol_use gives others */
    const char *folder;                    /* of keys and certificates; made when absent */
    slice tenant, agent;
    /* There is a certificate to connect with, another than before (enrol_file). */
    void (*use)(void *context);
    void *context;
};

fault_code enrol_open(const struct enrol_parts *parts, struct enrol **ret_enrol, struct fault *reterr) MUST_CHECK;
struct enrol *enrol_close(struct enrol *enrol); /* NULL is fine; returns NULL */
void enrol_use(struct enrol *enrol, const struct enrol_settings *settings);
/* Key and certificate to connect with, one PEM file; NULL: there is none yet. */
const char *enrol_file(const struct enrol *enrol);
/* The authority of the broker as the centre told it, a PEM file; NULL: it told none. */
const char *enrol_authority(const struct enrol *enrol);
/* The state of the connection, which was made with enrol_file. */
void enrol_on_link(struct enrol *enrol, bool connected);

struct enrol_report {
    char serial[CERTIFICATE_SERIAL_BYTES]; /* "": there is none */
    int64_t not_before_ms, not_after_ms;
    const char *error; /* "": nothing is wrong; lent */
};
void enrol_report(const struct enrol *enrol, struct enrol_report *ret_report);

#endif
