/* SPDX-License-Identifier: Apache-2.0
 * One row per code that a broker can send us with CONNACK, PUBACK, SUBACK or DISCONNECT. */
#include "common/net/mqtt_reason.h"

static const struct reason_row {
    int reason;
    fault_code fault;
    const char *text;
} rows[] = {
    {0x80, FAULT_SYSTEM, "unspecified error"},
    {0x81, FAULT_SYSTEM, "malformed packet"},
    {0x82, FAULT_SYSTEM, "protocol error"},
    {0x83, FAULT_SYSTEM, "refused for a reason of the broker's own"},
    {0x84, FAULT_SYSTEM, "the broker does not speak MQTT 5"},
    {0x85, FAULT_INPUT, "the client id is not valid"},
    {0x86, FAULT_DENIED, "wrong user name or password"},
    {0x87, FAULT_DENIED, "not authorized"},
    {0x88, FAULT_AGAIN, "the broker is unavailable"},
    {0x89, FAULT_AGAIN, "the broker is busy"},
    {0x8A, FAULT_DENIED, "this client is banned"},
    {0x8B, FAULT_AGAIN, "the broker is shutting down"},
    {0x8C, FAULT_DENIED, "bad authentication method"},
    {0x8D, FAULT_TIMEOUT, "the broker heard nothing from us for the keep-alive time"},
    {0x8E, FAULT_CONFLICT, "session taken over: another client connected with the same client id"},
    {0x8F, FAULT_INPUT, "the topic filter is not valid"},
    {0x90, FAULT_INPUT, "the topic name is not valid"},
    {0x91, FAULT_SYSTEM, "packet identifier in use"},
    {0x93, FAULT_LIMIT, "more messages in flight than the broker's Receive Maximum"},
    {0x94, FAULT_SYSTEM, "topic alias not valid"},
    {0x95, FAULT_LIMIT, "packet larger than the broker allows"},
    {0x96, FAULT_AGAIN, "message rate too high"},
    {0x97, FAULT_AGAIN, "quota exceeded"},
    {0x98, FAULT_SYSTEM, "closed by an administrator"},
    {0x99, FAULT_INPUT, "the payload is not of the announced format"},
    {0x9A, FAULT_SYSTEM, "the broker keeps no retained messages"},
    {0x9B, FAULT_SYSTEM, "the broker does not support this QoS"},
    {0x9C, FAULT_SYSTEM, "use another broker"},
    {0x9D, FAULT_SYSTEM, "the broker has moved"},
    {0x9E, FAULT_SYSTEM, "the broker has no shared subscriptions"},
    {0x9F, FAULT_AGAIN, "connection rate exceeded"},
    {0xA0, FAULT_SYSTEM, "maximum connect time reached"},
    {0xA1, FAULT_SYSTEM, "the broker has no subscription identifiers"},
    {0xA2, FAULT_SYSTEM, "the broker has no wildcard subscriptions"},
};

static const struct reason_row *row_of(int reason) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].reason == reason) return &rows[i];
    return NULL;
}

const char *mqtt_reason_text(int reason) {
    const struct reason_row *row = row_of(reason);
    if (row) return row->text;
    return reason == 0 ? "normal disconnection" : reason < MQTT_REASON_REFUSED ? "success" : "unknown reason";
}

fault_code mqtt_reason_fault(int reason) {
    const struct reason_row *row = row_of(reason);
    return row ? row->fault : FAULT_SYSTEM;
}
