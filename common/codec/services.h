/* SPDX-License-Identifier: Apache-2.0
 * The contract's services and methods as rows, generated from the .proto files: the API routes by them, the
 * OpenAPI document and picketctl are made from them. Static tables; any thread. */
#ifndef PICKET_CODEC_SERVICES_H
#define PICKET_CODEC_SERVICES_H

#include "common/codec/codec.h"

/* Least right a caller needs; written as a method option in the .proto. Order is not rank: see api/. */
enum method_role {
    ROLE_NONE,
    ROLE_VIEWER,
    ROLE_RESPONDER,
    ROLE_APPROVER,
    ROLE_ADMIN,
    ROLE_AGENT,
    ROLE_INTEGRATION,
    ROLE_STRANGER, /* asked for by a method: whoever calls; no caller has it */
};

struct method_desc {
    const char *service; /* "ameide_core_proto.sre.core.v1.SLOService" */
    const char *name;    /* "GetSLO" */
    const char *path;    /* "/ameide_core_proto.sre.core.v1.SLOService/GetSLO" */
    const struct message_desc *request;
    const struct message_desc *response;
    enum method_role role;
    bool no_side_effects; /* also answers Connect GET */
    const char *comment;  /* the .proto's comment, one paragraph */
};

extern const struct method_desc methods_table[];
extern const size_t methods_count;

/* By full path, in constant time; NULL when there is none. */
const struct method_desc *method_find(slice path);

#endif
