/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "common/net/mqtt_guard.h"

enum { PUBLISH_BYTES_MAX = 300, USER_PROPERTIES_MAX = 2 };

struct packet {
    const char *says; /* what is wrong with it; NULL: nothing */
    size_t size;
    const char *bytes;
};
#define PACKET(says, bytes)                                                                                            \
    { says, sizeof bytes - 1, bytes }
#define CONNACK "\x20\x03\0\0\0"

/* CONNECT, the subscriptions 1 and 2, publications 7 to 10 with QoS 1, one with QoS 0, PUBACK, PINGREQ. */
static const char sent[] = "\x10\x02pp"
                           "\x82\x08\0\1\0\0\2t/\1"
                           "\x82\x08\0\2\0\0\2t/\1"
                           "\x32\x0a\0\1t\0\7\0pppp"
                           "\x33\x06\0\1t\0\x08\0"
                           "\x3a\x06\0\1t\0\x09\0"
                           "\x32\x86\1\0\1t\0\x0a\0";
static const char sent_then[] = "\x30\x06\0\1t\0\xff\xff"
                                "\x40\x02\0\x11"
                                "\xc0\0";

static void send_all(struct mqtt_guard *guard, size_t piece) {
    static uint8_t all[sizeof sent - 1 + 128 + sizeof sent_then - 1]; /* 128: the last one's payload */
    memcpy(all, sent, sizeof sent - 1);
    memcpy(all + sizeof all - (sizeof sent_then - 1), sent_then, sizeof sent_then - 1);
    for (size_t at = 0; at < sizeof all; at += piece)
        mqtt_guard_sends(guard, all + at, piece < sizeof all - at ? piece : sizeof all - at);
}

/* The verdict when the bytes come in pieces of so many. */
static fault_code verdict(const struct packet *packet, size_t piece, struct fault *ret_fault) {
    struct mqtt_guard guard;
    mqtt_guard_begin(&guard, PUBLISH_BYTES_MAX, USER_PROPERTIES_MAX);
    send_all(&guard, piece);
    for (size_t at = 0; at < packet->size; at += piece) {
        /* A block of its own: the address sanitizer sees what is read beyond it. */
        const size_t size = piece < packet->size - at ? piece : packet->size - at;
        uint8_t *const bytes = malloc(size);
        memcpy(bytes, packet->bytes + at, size);
        const fault_code code = mqtt_guard_take(&guard, bytes, size, ret_fault);
        free(bytes);
        if (code) return code;
    }
    return FAULT_NONE;
}

static void check_all(const struct packet *packets, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct packet *const packet = &packets[i];
        for (size_t piece = 1; piece <= packet->size; piece++) {
            struct fault fault = {0};
            const fault_code code = verdict(packet, piece, &fault);
            if (!packet->says && code) fail_msg("packet %zu in pieces of %zu: %s", i, piece, fault.text);
            if (packet->says && (code != FAULT_INPUT || !strstr(fault.text, packet->says)))
                fail_msg("packet %zu in pieces of %zu: '%s' instead of '%s'", i, piece, code ? fault.text : "taken",
                         packet->says);
        }
    }
}

TEST(what_a_good_broker_says_is_taken) {
    static const struct packet packets[] = {
        PACKET(NULL, CONNACK),
        PACKET(NULL, "\x20\x02\0\x84"), /* of a broker that knows MQTT 3 only */
        PACKET(NULL, "\x20\x13\1\0\x10\x21\0\x14\x22\0\x0a\x27\0\x10\0\0\x13\0\x3c\x25\1"),
        PACKET(NULL, CONNACK "\xd0\0\xd0\0"),
        PACKET(NULL, CONNACK "\x30\4\0\1t\0"
                             "\x30\5\0\1t\0p"),
        PACKET(NULL, CONNACK "\x33\x0a\0\1t\0\7\0pppp"),
        PACKET(NULL, CONNACK "\x3b\x19\0\1t\0\7\x11\1\1\2\0\0\0\5\3\0\1c\x26\0\1n\0\0pp"), /* again, retained */
        PACKET(NULL, CONNACK "\x30\x0e\0\1t\x0a\x26\0\0\0\0\x26\0\0\0\0"),
        PACKET(NULL, CONNACK "\x40\2\0\7"
                             "\x40\3\0\x0a\x10"
                             "\x40\4\0\x08\x97\0"
                             "\x40\x08\0\x09\x97\4\x1f\0\1r"),
        PACKET(NULL, CONNACK "\x90\4\0\1\0\1"
                             "\x90\5\0\2\0\1\1"),
        PACKET(NULL, CONNACK "\xe0\0"),
        PACKET(NULL, CONNACK "\xe0\1\x8b"
                             "\xe0\2\x8b\0"
                             "\xe0\6\x8b\4\x1c\0\1s"),
    };
    check_all(packets, sizeof packets / sizeof *packets);
}

TEST(what_breaks_the_protocol_is_refused_by_its_rule) {
    static const struct packet packets[] = {
        PACKET("PUBLISH: before CONNACK", "\x30"),
        PACKET("CONNACK: a second one", CONNACK CONNACK),
        PACKET("packet 0: nothing that a broker", "\0"),
        PACKET("CONNECT: nothing that a broker", "\x10"),
        PACKET("PUBREC: nothing", CONNACK "\x50\2\0\7"),
        PACKET("PUBREL: nothing", CONNACK "\x62\2\0\7"),
        PACKET("UNSUBACK: nothing", CONNACK "\xb0\4\0\7\0\0"),
        PACKET("AUTH: nothing", CONNACK "\xf0\0"),
        PACKET("PUBACK: flags", CONNACK "\x41"),
        PACKET("PUBLISH: QoS 2", CONNACK "\x34"),
        PACKET("PUBLISH: QoS 2", CONNACK "\x36"),
        PACKET("CONNACK: 268435455 bytes", "\x20\xff\xff\xff\x7f"),
        PACKET("PUBLISH: 301 bytes, at most 300", CONNACK "\x30\xad\2"),
        PACKET("CONNACK: a length of more than four bytes", "\x20\xff\xff\xff\xff\1"),
        PACKET("CONNACK: too short", "\x20\0"),
        PACKET("CONNACK: no properties", "\x20\2\0\0"),
        PACKET("CONNACK: flags", "\x20\3\2"),
        PACKET("CONNACK: properties beyond its end", "\x20\3\0\0\1"),
        PACKET("CONNACK: something behind its properties", "\x20\4\0\0\0"),
        PACKET("CONNACK: a maximum of 0", "\x20\6\0\0\3\x21\0\0"),
        PACKET("CONNACK: a maximum of 0", "\x20\x08\0\0\5\x27\0\0\0\0"),
        PACKET("CONNACK: a property twice", "\x20\x09\0\0\6\x21\0\1\x21"),
        PACKET("CONNACK: the property 0x23 does not", "\x20\6\0\0\3\x23"),
        PACKET("CONNACK: the property 0x02 does not", "\x20\x08\0\0\5\2"),
        PACKET("CONNACK: the property 0xff does not", "\x20\x08\0\0\5\xff"),
        PACKET("CONNACK: a property beyond its properties", "\x20\5\0\0\2\x21"),
        PACKET("CONNACK: the length of its properties beyond", "\x20\3\0\0\x80"),
        PACKET("PINGRESP: with something in it", CONNACK "\xd0\1"),
        PACKET("PUBLISH: too short", CONNACK "\x30\3"),
        PACKET("PUBLISH: no topic, and no alias", CONNACK "\x30\7\0\0"),
        PACKET("PUBLISH: a topic beyond its end", CONNACK "\x30\7\0\5"),
        PACKET("PUBLISH: a topic beyond its end", CONNACK "\x32\7\0\3"),
        PACKET("PUBLISH: the identifier 0", CONNACK "\x32\6\0\1t\0\0"),
        PACKET("PUBLISH: the property 0x23 does not", CONNACK "\x30\x07\0\1t\3\x23"),
        PACKET("PUBLISH: the property 0x0b does not", CONNACK "\x30\x07\0\1t\3\x0b"),
        PACKET("PUBLISH: a text beyond its properties", CONNACK "\x30\x09\0\1t\5\3\0\3"),
        PACKET("PUBLISH: a text beyond its properties", CONNACK "\x30\x0a\0\1t\6\x26\0\2"),
        PACKET("PUBLISH: a text beyond its properties", CONNACK "\x30\x0a\0\1t\6\x26\0\0\0\2"),
        PACKET("PUBLISH: a length of more than four", CONNACK "\x30\x0a\0\1t\xff\xff\xff\xff\xff"),
        PACKET("PUBLISH: more user properties", CONNACK "\x30\x14\0\1t\x0f\x26\0\0\0\0\x26\0\0\0\0\x26"),
        PACKET("PUBACK: of nothing that we sent", CONNACK "\x40\2\0\1"),
        PACKET("PUBACK: of nothing that we sent", CONNACK "\x40\2\0\x11"),
        PACKET("PUBACK: of nothing that we sent", CONNACK "\x40\2\0\7"
                                                          "\x40\2\0\7"),
        PACKET("SUBACK: of nothing that we sent", CONNACK "\x90\4\0\7"),
        PACKET("SUBACK: of nothing that we sent", CONNACK "\x90\4\0\1\0\1"
                                                          "\x90\4\0\1"),
        PACKET("PUBACK: too short", CONNACK "\x40\1"),
        PACKET("PUBACK: the identifier 0", CONNACK "\x40\2\0\0"),
        PACKET("PUBACK: something behind", CONNACK "\x40\5\0\7\0\0"),
        PACKET("SUBACK: no reason code", CONNACK "\x90\x08\0\1\5\x1f\0\2ab"),
        PACKET("SUBACK: 131073 bytes", CONNACK "\x90\x81\x80\x08"),
        PACKET("DISCONNECT: properties beyond", CONNACK "\xe0\2\0\1"),
    };
    check_all(packets, sizeof packets / sizeof *packets);
}

/* The length alone decides, before a byte of what it promises is waited for. */
TEST(a_packet_may_be_as_large_as_was_said) {
    struct mqtt_guard guard;
    struct fault fault;
    uint8_t payload[PUBLISH_BYTES_MAX - 4] = {0xff};
    mqtt_guard_begin(&guard, PUBLISH_BYTES_MAX, 0);
    CHECK_OK(mqtt_guard_take(&guard, (const uint8_t *)CONNACK "\x30\xac\2\0\1t\0", 12, &fault));
    CHECK_OK(mqtt_guard_take(&guard, payload, sizeof payload, &fault));
    CHECK_OK(mqtt_guard_take(&guard, (const uint8_t *)"\xd0\0", 2, &fault)); /* it was the packet's end */
    uint8_t many[11 + 50 * 5] = "\x30\x83\2\0\1t\xfa\1";
    many[1] = 0x80 | ((6 + 250 - 1) & 127);
    many[2] = (6 + 250 - 1) >> 7;
    for (size_t i = 0; i < 50; i++) many[8 + 5 * i] = 0x26;
    CHECK_OK(mqtt_guard_take(&guard, many, 8 + 250, &fault)); /* 0: any number of them */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_good_broker_says_is_taken),
        cmocka_unit_test(what_breaks_the_protocol_is_refused_by_its_rule),
        cmocka_unit_test(a_packet_may_be_as_large_as_was_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
