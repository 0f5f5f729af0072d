/* SPDX-License-Identifier: Apache-2.0
 * A machine that takes a byte at a time and holds no packet: where it stands in the packet, how much of the packet is left,
 * how much of its properties. Every field is charged against what is left before its bytes come, so a length inside a packet
 * that goes beyond the packet is found at the length. What follows a PUBLISH's properties is the payload, which is
 * anything, and is passed over whole, as are texts. Sections named are those of MQTT 5.0 (OASIS, 2019). */
#include "common/net/mqtt_guard.h"

#include <string.h>

enum packet_kind {
    KIND_CONNACK = 2,
    KIND_PUBLISH = 3,
    KIND_PUBACK = 4,
    KIND_SUBSCRIBE = 8,
    KIND_SUBACK = 9,
    KIND_PINGRESP = 13,
    KIND_DISCONNECT = 14,
    KIND_MAX_ = 16,
};

enum guard_state {
    AT_FIRST_BYTE,
    AT_LENGTH,
    AT_TOPIC_SIZE,
    AT_IDENTIFIER,
    AT_CONNACK_FLAGS,
    AT_REASON,
    AT_PROPERTIES_LENGTH,
    AT_PROPERTY,
    AT_NUMBER, /* of one, two or four bytes */
    AT_TEXT_SIZE,
    AT_PAIR_NAME_SIZE,
    AT_SKIP,
    AT_REST, /* the end of the packet, or what may stand there */
};

enum value_kind { VALUE_NONE, VALUE_BYTE, VALUE_TWO, VALUE_FOUR, VALUE_TEXT, VALUE_PAIR };

#define IN(kind) (1u << KIND_##kind)

/* Section 2.2.2.2: which property may stand in which packet. Absent here is what a broker may not send to us: Topic Alias
 * (we say no Topic Alias Maximum) and Subscription Identifier (we subscribe with none). */
static const struct property_row {
    uint8_t value;
    uint16_t packets;
    bool above_zero; /* zero is a protocol error */
} property_rows[] = {
    [0x01] = {VALUE_BYTE, IN(PUBLISH), false},                  /* Payload Format Indicator */
    [0x02] = {VALUE_FOUR, IN(PUBLISH), false},                  /* Message Expiry Interval */
    [0x03] = {VALUE_TEXT, IN(PUBLISH), false},                  /* Content Type */
    [0x08] = {VALUE_TEXT, IN(PUBLISH), false},                  /* Response Topic */
    [0x09] = {VALUE_TEXT, IN(PUBLISH), false},                  /* Correlation Data */
    [0x11] = {VALUE_FOUR, IN(CONNACK), false},                  /* Session Expiry Interval */
    [0x12] = {VALUE_TEXT, IN(CONNACK), false},                  /* Assigned Client Identifier */
    [0x13] = {VALUE_TWO, IN(CONNACK), false},                   /* Server Keep Alive */
    [0x15] = {VALUE_TEXT, IN(CONNACK), false},                  /* Authentication Method */
    [0x16] = {VALUE_TEXT, IN(CONNACK), false},                  /* Authentication Data */
    [0x1A] = {VALUE_TEXT, IN(CONNACK), false},                  /* Response Information */
    [0x1C] = {VALUE_TEXT, IN(CONNACK) | IN(DISCONNECT), false}, /* Server Reference */
    [0x1F] = {VALUE_TEXT, IN(CONNACK) | IN(PUBACK) | IN(SUBACK) | IN(DISCONNECT), false}, /* Reason String */
    [0x21] = {VALUE_TWO, IN(CONNACK), true},                                              /* Receive Maximum */
    [0x22] = {VALUE_TWO, IN(CONNACK), false},                                             /* Topic Alias Maximum */
    [0x24] = {VALUE_BYTE, IN(CONNACK), false},                                            /* Maximum QoS */
    [0x25] = {VALUE_BYTE, IN(CONNACK), false},                                            /* Retain Available */
    [0x26] = {VALUE_PAIR, IN(CONNACK) | IN(PUBLISH) | IN(PUBACK) | IN(SUBACK) | IN(DISCONNECT),
              false},                          /* User Property */
    [0x27] = {VALUE_FOUR, IN(CONNACK), true},  /* Maximum Packet Size */
    [0x28] = {VALUE_BYTE, IN(CONNACK), false}, /* Wildcard Subscription Available */
    [0x29] = {VALUE_BYTE, IN(CONNACK), false}, /* Subscription Identifiers Available */
    [0x2A] = {VALUE_BYTE, IN(CONNACK), false}, /* Shared Subscription Available */
};
enum { USER_PROPERTY = 0x26 };

static const char *const kind_names[KIND_MAX_] = {
    "packet 0",  "CONNECT", "CONNACK",     "PUBLISH",  "PUBACK",  "PUBREC",   "PUBREL",     "PUBCOMP",
    "SUBSCRIBE", "SUBACK",  "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
};

void mqtt_guard_begin(struct mqtt_guard *guard, size_t publish_bytes_max, unsigned user_properties_max) {
    *guard = (struct mqtt_guard){
        .publish_bytes_max = publish_bytes_max, .user_properties_max = user_properties_max, .state = AT_FIRST_BYTE};
}

static fault_code broken(const struct mqtt_guard *guard, const char *why, struct fault *reterr) {
    return fault_set(reterr, FAULT_INPUT, "it breaks MQTT 5: %s: %s", kind_names[guard->kind], why);
}

/* ---- one packet ---- */

static fault_code first_byte(struct mqtt_guard *guard, uint8_t byte, struct fault *reterr) {
    static const uint16_t sent_to_us =
        IN(CONNACK) | IN(PUBLISH) | IN(PUBACK) | IN(SUBACK) | IN(PINGRESP) | IN(DISCONNECT);
    guard->kind = byte >> 4;
    guard->flags = byte & 15;
    if (!(sent_to_us >> guard->kind & 1)) return broken(guard, "nothing that a broker has to say to us", reterr);
    if (guard->greeted == (guard->kind == KIND_CONNACK))
        return broken(guard, guard->greeted ? "a second one" : "before CONNACK", reterr);
    if (guard->kind != KIND_PUBLISH && guard->flags) return broken(guard, "flags that must be zero", reterr);
    if (guard->kind == KIND_PUBLISH && guard->flags & 4) return broken(guard, "QoS 2, we subscribed with 1", reterr);
    guard->greeted = true;
    guard->number = 0;
    guard->length_bytes = guard->digits = guard->user_properties = 0;
    guard->properties_seen = 0;
    guard->properties_left = 0;
    guard->state = AT_LENGTH;
    return FAULT_NONE;
}

/* Section 1.5.5. *ret_done: it is whole, in guard->number. */
static fault_code variable_byte(struct mqtt_guard *guard, uint8_t byte, bool *ret_done, struct fault *reterr) {
    if (guard->length_bytes == 4) return broken(guard, "a length of more than four bytes", reterr);
    guard->number |= (uint32_t)(byte & 127) << 7 * guard->length_bytes++;
    *ret_done = byte < 128;
    return FAULT_NONE;
}

static void to(struct mqtt_guard *guard, enum guard_state state) {
    guard->state = state;
    guard->number = 0;
    guard->length_bytes = guard->digits = 0;
}

static void over(struct mqtt_guard *guard) {
    to(guard, guard->left ? AT_REST : AT_FIRST_BYTE);
}

static fault_code packet_length(struct mqtt_guard *guard, struct fault *reterr) {
    static const struct {
        uint8_t state, bytes_min;
    } begins[KIND_MAX_] = {
        [KIND_CONNACK] = {AT_CONNACK_FLAGS, 2}, [KIND_PUBLISH] = {AT_TOPIC_SIZE, 4}, [KIND_PUBACK] = {AT_IDENTIFIER, 2},
        [KIND_SUBACK] = {AT_IDENTIFIER, 4},     [KIND_PINGRESP] = {AT_REST, 0},      [KIND_DISCONNECT] = {AT_REASON, 0},
    };
    const size_t most = guard->kind == KIND_PUBLISH ? guard->publish_bytes_max : MQTT_GUARD_ANSWER_BYTES_MAX;
    guard->left = guard->number;
    if (guard->left > most)
        return fault_set(reterr, FAULT_INPUT, "it breaks MQTT 5: %s: %u bytes, at most %zu are taken",
                         kind_names[guard->kind], guard->left, most);
    if (guard->left < begins[guard->kind].bytes_min) return broken(guard, "too short", reterr);
    if (guard->kind == KIND_PINGRESP && guard->left) return broken(guard, "with something in it", reterr);
    if (guard->left)
        to(guard, begins[guard->kind].state);
    else
        to(guard, AT_FIRST_BYTE);
    return FAULT_NONE;
}

static void skip(struct mqtt_guard *guard, uint32_t bytes, enum guard_state then) {
    to(guard, bytes ? AT_SKIP : then);
    guard->skip = bytes;
    guard->after_skip = then;
}

static fault_code topic_size(struct mqtt_guard *guard, struct fault *reterr) {
    const uint32_t behind = (guard->flags & 2 ? 2 : 0) + 1; /* identifier, length of the properties */
    if (!guard->number) return broken(guard, "no topic, and no alias was allowed", reterr);
    if (guard->number + behind > guard->left) return broken(guard, "a topic beyond its end", reterr);
    skip(guard, guard->number, guard->flags & 2 ? AT_IDENTIFIER : AT_PROPERTIES_LENGTH);
    return FAULT_NONE;
}

/* Once for each that we sent. */
static bool awaited(struct mqtt_guard *guard, uint16_t number) {
    uint8_t *const byte = &guard->published[number / 8];
    if (guard->kind == KIND_PUBACK) {
        const bool set = *byte >> number % 8 & 1;
        *byte &= (uint8_t) ~(1u << number % 8);
        return set;
    }
    for (unsigned i = 0; i < guard->subscribed_count; i++)
        if (guard->subscribed[i] == number) {
            guard->subscribed[i] = guard->subscribed[--guard->subscribed_count];
            return true;
        }
    return false;
}

static fault_code identifier(struct mqtt_guard *guard, struct fault *reterr) {
    if (!guard->number) return broken(guard, "the identifier 0", reterr);
    if (guard->kind != KIND_PUBLISH && !awaited(guard, (uint16_t)guard->number))
        return broken(guard, "of nothing that we sent", reterr);
    if (guard->kind != KIND_PUBACK)
        to(guard, AT_PROPERTIES_LENGTH);
    else
        to(guard, guard->left ? AT_REASON : AT_FIRST_BYTE);
    if (guard->state == AT_PROPERTIES_LENGTH && !guard->left) return broken(guard, "no properties", reterr);
    return FAULT_NONE;
}

/* ---- properties ---- */

static fault_code properties_end(struct mqtt_guard *guard, struct fault *reterr) {
    if (guard->kind == KIND_SUBACK && !guard->left) return broken(guard, "no reason code", reterr);
    if (guard->kind != KIND_SUBACK && guard->kind != KIND_PUBLISH && guard->left)
        return broken(guard, "something behind its properties", reterr);
    over(guard);
    return FAULT_NONE;
}

static fault_code properties_length(struct mqtt_guard *guard, struct fault *reterr) {
    if (guard->number > guard->left) return broken(guard, "properties beyond its end", reterr);
    guard->properties_left = guard->number;
    to(guard, AT_PROPERTY);
    return guard->properties_left ? FAULT_NONE : properties_end(guard, reterr);
}

static fault_code property_name(struct mqtt_guard *guard, uint8_t byte, struct fault *reterr) {
    static const uint8_t states[] = {[VALUE_BYTE] = AT_NUMBER,
                                     [VALUE_TWO] = AT_NUMBER,
                                     [VALUE_FOUR] = AT_NUMBER,
                                     [VALUE_TEXT] = AT_TEXT_SIZE,
                                     [VALUE_PAIR] = AT_PAIR_NAME_SIZE};
    static const uint8_t bytes_min[] = {
        [VALUE_BYTE] = 1, [VALUE_TWO] = 2, [VALUE_FOUR] = 4, [VALUE_TEXT] = 2, [VALUE_PAIR] = 4};
    const bool known = byte < sizeof property_rows / sizeof *property_rows && property_rows[byte].value != VALUE_NONE;
    if (!known || !(property_rows[byte].packets >> guard->kind & 1))
        return fault_set(reterr, FAULT_INPUT, "it breaks MQTT 5: %s: the property 0x%02x does not belong there",
                         kind_names[guard->kind], byte);
    const struct property_row *const row = &property_rows[byte];
    if (byte == USER_PROPERTY) {
        const unsigned most =
            guard->kind == KIND_PUBLISH ? guard->user_properties_max : MQTT_GUARD_ANSWER_USER_PROPERTIES_MAX;
        if (most && guard->user_properties++ == most)
            return broken(guard, "more user properties than are taken", reterr);
    } else if (guard->properties_seen >> byte & 1) {
        return broken(guard, "a property twice", reterr);
    }
    guard->properties_seen |= UINT64_C(1) << byte;
    guard->property = byte;
    if (guard->properties_left < bytes_min[row->value])
        return broken(guard, "a property beyond its properties", reterr);
    to(guard, states[row->value]);
    return FAULT_NONE;
}

static fault_code property_end(struct mqtt_guard *guard, struct fault *reterr) {
    to(guard, AT_PROPERTY);
    return guard->properties_left ? FAULT_NONE : properties_end(guard, reterr);
}

static fault_code property_number(struct mqtt_guard *guard, uint8_t byte, struct fault *reterr) {
    static const uint8_t bytes[] = {[VALUE_BYTE] = 1, [VALUE_TWO] = 2, [VALUE_FOUR] = 4};
    const struct property_row *const row = &property_rows[guard->property];
    guard->number = guard->number << 8 | byte;
    if (++guard->digits < bytes[row->value]) return FAULT_NONE;
    if (row->above_zero && !guard->number) return broken(guard, "a maximum of 0", reterr);
    return property_end(guard, reterr);
}

static fault_code text_size(struct mqtt_guard *guard, struct fault *reterr) {
    const bool name = guard->state == AT_PAIR_NAME_SIZE;
    const uint32_t size = guard->number;
    if (size + (name ? 2 : 0) > guard->properties_left) return broken(guard, "a text beyond its properties", reterr);
    guard->properties_left -= size;
    if (name || size) {
        skip(guard, size, name ? AT_TEXT_SIZE : AT_PROPERTY);
        return FAULT_NONE;
    }
    return property_end(guard, reterr);
}

/* ---- the machine ---- */

static bool two_bytes(struct mqtt_guard *guard, uint8_t byte) {
    guard->number = guard->number << 8 | byte;
    return ++guard->digits == 2;
}

/* left and properties_left are charged already. */
static fault_code take_byte(struct mqtt_guard *guard, uint8_t byte, struct fault *reterr) {
    bool done = false;
    fault_code code;
    switch ((enum guard_state)guard->state) {
    case AT_FIRST_BYTE: return first_byte(guard, byte, reterr);
    case AT_LENGTH:
        code = variable_byte(guard, byte, &done, reterr);
        return code || !done ? code : packet_length(guard, reterr);
    case AT_TOPIC_SIZE: return two_bytes(guard, byte) ? topic_size(guard, reterr) : FAULT_NONE;
    case AT_IDENTIFIER:
        if (!two_bytes(guard, byte)) return FAULT_NONE;
        return identifier(guard, reterr);
    case AT_CONNACK_FLAGS:
        if (byte > 1) return broken(guard, "flags that must be zero", reterr);
        to(guard, AT_REASON);
        return FAULT_NONE;
    case AT_REASON: /* brokers of MQTT 3 end a CONNACK that refuses here */
        if (guard->kind == KIND_CONNACK && !guard->left && byte == 0) return broken(guard, "no properties", reterr);
        to(guard, guard->left ? AT_PROPERTIES_LENGTH : AT_FIRST_BYTE);
        return FAULT_NONE;
    case AT_PROPERTIES_LENGTH:
        code = variable_byte(guard, byte, &done, reterr);
        if (code || done) return code ? code : properties_length(guard, reterr);
        return guard->left ? FAULT_NONE : broken(guard, "the length of its properties beyond its end", reterr);
    case AT_PROPERTY: return property_name(guard, byte, reterr);
    case AT_NUMBER: return property_number(guard, byte, reterr);
    case AT_TEXT_SIZE:
    case AT_PAIR_NAME_SIZE: return two_bytes(guard, byte) ? text_size(guard, reterr) : FAULT_NONE;
    case AT_SKIP:
    case AT_REST: break; /* mqtt_guard_take passes over them */
    }
    return FAULT_NONE;
}

static bool in_packet(const struct mqtt_guard *guard) {
    return guard->state != AT_FIRST_BYTE && guard->state != AT_LENGTH;
}

static bool in_properties(const struct mqtt_guard *guard) {
    return guard->state >= AT_PROPERTY && guard->state <= AT_PAIR_NAME_SIZE;
}

/* How many of the bytes belong to what is passed over, and the step behind it. */
static fault_code pass_over(struct mqtt_guard *guard, size_t size, size_t *ret_passed, struct fault *reterr) {
    uint32_t *const bytes = guard->state == AT_SKIP ? &guard->skip : &guard->left;
    const uint32_t passed = *bytes < size ? *bytes : (uint32_t)size;
    *ret_passed = passed;
    if (guard->state == AT_REST) {
        guard->left -= passed;
        if (!guard->left) to(guard, AT_FIRST_BYTE);
        return FAULT_NONE;
    }
    guard->skip -= passed;
    guard->left -= passed;
    if (guard->skip) return FAULT_NONE;
    if (guard->after_skip == AT_PROPERTY) return property_end(guard, reterr);
    to(guard, (enum guard_state)guard->after_skip);
    return FAULT_NONE;
}

fault_code mqtt_guard_take(struct mqtt_guard *guard, const uint8_t *bytes, size_t size, struct fault *reterr) {
    for (size_t i = 0; i < size;) {
        size_t passed = 1;
        fault_code code;
        if (guard->state == AT_SKIP || guard->state == AT_REST) {
            code = pass_over(guard, size - i, &passed, reterr);
        } else {
            if (in_packet(guard)) guard->left--; /* never below zero: every state is entered with bytes left for it */
            if (in_properties(guard)) guard->properties_left--;
            code = take_byte(guard, bytes[i], reterr);
        }
        if (code) return code;
        i += passed;
    }
    return FAULT_NONE;
}

/* ---- what we send ---- */

enum { OWN_FIRST_BYTE, OWN_LENGTH, OWN_TOPIC_SIZE, OWN_TOPIC, OWN_IDENTIFIER, OWN_REST };

static void own_identifier(struct mqtt_guard *guard) {
    const uint16_t number = (uint16_t)guard->own.number;
    if (guard->own.first >> 4 == KIND_PUBLISH)
        guard->published[number / 8] |= (uint8_t)(1u << number % 8);
    else if (guard->subscribed_count < MQTT_GUARD_SUBSCRIBES_MAX)
        guard->subscribed[guard->subscribed_count++] = number;
}

static void own_to(struct mqtt_guard *guard, int state) {
    guard->own.state = guard->own.left || state == OWN_LENGTH ? state : OWN_FIRST_BYTE;
    guard->own.number = guard->own.bytes = 0;
}

static void own_byte(struct mqtt_guard *guard, uint8_t byte) {
    const bool publishes = guard->own.first >> 4 == KIND_PUBLISH, qos = guard->own.first & 6;
    switch (guard->own.state) {
    case OWN_FIRST_BYTE:
        guard->own.first = byte;
        guard->own.left = 0;
        own_to(guard, OWN_LENGTH);
        return;
    case OWN_LENGTH:
        guard->own.left |= (uint32_t)(byte & 127) << 7 * (guard->own.bytes++ & 3);
        if (byte >= 128) return;
        own_to(guard, publishes && qos                          ? OWN_TOPIC_SIZE
                      : guard->own.first >> 4 == KIND_SUBSCRIBE ? OWN_IDENTIFIER
                                                                : OWN_REST);
        return;
    default: break;
    }
    guard->own.left--;
    guard->own.number = guard->own.number << 8 | byte;
    if (++guard->own.bytes < 2) return;
    if (guard->own.state == OWN_IDENTIFIER) {
        own_identifier(guard);
        own_to(guard, OWN_REST);
        return;
    }
    const uint32_t topic = guard->own.number; /* of OWN_TOPIC_SIZE */
    own_to(guard, topic ? OWN_TOPIC : OWN_IDENTIFIER);
    guard->own.number = topic;
}

void mqtt_guard_sends(struct mqtt_guard *guard, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size;) {
        const bool rest = guard->own.state == OWN_REST;
        if (!rest && guard->own.state != OWN_TOPIC) {
            own_byte(guard, bytes[i++]);
            continue;
        }
        uint32_t passed = rest || guard->own.number > guard->own.left ? guard->own.left : guard->own.number;
        if (passed > size - i) passed = (uint32_t)(size - i);
        i += passed;
        guard->own.left -= passed;
        guard->own.number -= rest ? 0 : passed;
        if (!guard->own.left || (!rest && !guard->own.number)) own_to(guard, OWN_IDENTIFIER);
    }
}
