/* SPDX-License-Identifier: Apache-2.0
 * Stands between a broker and the client library and lets through what a broker may send to a client of ours: MQTT 5.0,
 * as strictly as that says it, less what we never ask for (QoS 2, topic aliases, subscription identifiers, enhanced
 * authentication). A broker that breaks this is not one to go on with, and the library never sees the packet's last byte.
 * An acknowledgement must be of something that we sent, and of its kind: the library frees by it what it does not own.
 * Touches nothing but its own struct. Owner: whoever feeds it. */
#ifndef PICKET_NET_MQTT_GUARD_H
#define PICKET_NET_MQTT_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/fault.h"

enum {
    MQTT_GUARD_ANSWER_BYTES_MAX = 128 * 1024, /* of every packet but PUBLISH: two strings of 64 KiB */
    MQTT_GUARD_ANSWER_USER_PROPERTIES_MAX = 64,
};

enum { MQTT_GUARD_SUBSCRIBES_MAX = 32 };

/* Open, so that it can be embedded; the members are the guard's. */
struct mqtt_guard {
    size_t publish_bytes_max;
    unsigned user_properties_max;
    bool greeted; /* CONNACK came */
    int state, after_properties;
    uint8_t kind, flags;
    unsigned length_bytes;       /* of a variable byte integer, until now */
    uint32_t left, number, skip; /* left: of the packet; number: being read; skip: bytes whose value does not matter */
    int after_skip;
    uint32_t properties_left;
    unsigned digits, user_properties;
    uint8_t property;
    uint64_t properties_seen; /* bit by identifier */
    struct {                  /* what we send, as far as it is looked at */
        int state;
        uint8_t first;
        uint32_t left, number;
        unsigned bytes;
    } own;
    uint8_t published[65536 / 8]; /* bit by identifier: sent with QoS 1, no PUBACK yet */
    uint16_t subscribed[MQTT_GUARD_SUBSCRIBES_MAX];
    unsigned subscribed_count; /* no SUBACK yet */
};

/* publish_bytes_max: the Maximum Packet Size that was told to the broker, 1 to 268435455. user_properties_max: of one
 * PUBLISH, each of which costs the library allocations; 0: any number. */
void mqtt_guard_begin(struct mqtt_guard *guard, size_t publish_bytes_max, unsigned user_properties_max);
/* The bytes that came next, in pieces of any size. FAULT_INPUT: this breaks the protocol, and which rule of it; none of these
 * bytes may be handed on, and the guard is of no use until it begins anew. */
fault_code mqtt_guard_take(struct mqtt_guard *guard, const uint8_t *bytes, size_t size,
                           struct fault *reterr) MUST_CHECK;

/* The bytes that our library sends, in pieces of any size, before they go out: what the broker may answer. They are
 * believed. */
void mqtt_guard_sends(struct mqtt_guard *guard, const uint8_t *bytes, size_t size);

#endif
