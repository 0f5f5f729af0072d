/* SPDX-License-Identifier: Apache-2.0
 * Kubernetes' JSON, byte by byte: a list {"metadata": {...}, "items": [...]} in any order of members, or a watch's events
 * {"type": "ADDED", "object": {...}} one behind the other, with or without a line end between.
 *
 * What is looked into is a level on a small stack; whatever else is there (text, numbers, maps, and all that nobody reads)
 * is only followed to its end, by counting brackets outside of text. Members that the message does not have are passed
 * over. Whether the text is JSON in every respect is for the decoder to say, which sees what was kept; here it is enough
 * never to lose the place. */
#include "agent/collect/kubernetes/kube_split_parts.h"

#include "kube_objects.h"

#include <inttypes.h>

enum state {
    STATE_VALUE,  /* a value comes */
    STATE_KEY,    /* a member's name comes, or the end of the object */
    STATE_IN_KEY, /* within a name */
    STATE_COLON,
    STATE_TEXT,   /* within text that is a value or part of one */
    STATE_SCALAR, /* within a number, true, false or null */
    STATE_RAW,    /* within an object or list that is not looked into */
    STATE_AFTER   /* behind a value: a comma comes, or the end of the level */
};

/* What an object or list that is looked into is. */
enum role { ROLE_LIST, ROLE_ITEMS, ROLE_EVENT, ROLE_MEMBERS, ROLE_ELEMENTS };

/* What is done with a value. */
enum take {
    TAKE_NOTHING, /* passed over */
    TAKE_AS_IT_IS,
    TAKE_LOOK, /* looked into, by the level's desc or that of its member */
    TAKE_TYPE,
    TAKE_METADATA, /* as it is, and handed on */
    TAKE_ITEMS,
    TAKE_ITEM,  /* looked into, and handed on */
    TAKE_OBJECT /* looked into, and handed on when its event ends */
};

void split_json_begin(struct kube_split *split) {
    struct json_place *at = &split->json;
    at->state = STATE_VALUE;
    at->keep = at->escaped = at->key_wrong = at->ended = false;
    at->depth = at->raw_depth = 0;
    at->key_size = at->type_size = 0;
}

static fault_code wrong(const struct kube_split *split, const char *what, struct fault *reterr) {
    return fault_set(reterr, FAULT_INPUT, "not a Kubernetes %s in JSON: %s, in the %" PRIu64 " bytes to here",
                     split->form == KUBE_SPLIT_LIST ? "list" : "watch", what, split->fed_bytes);
}

static struct json_level *top(struct json_place *at) {
    return at->depth ? &at->levels[at->depth - 1] : NULL;
}

static void keep_byte(struct kube_split *split, uint8_t byte) {
    if (split->json.keep) split_put(split, &byte, 1);
}

static bool is_blank(uint8_t byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static bool level_push(struct json_place *at, enum role role, const struct message_desc *desc) {
    if (at->depth == SPLIT_LEVELS_MAX) return false;
    at->levels[at->depth++] = (struct json_level){.desc = desc, .role = (uint8_t)role};
    at->state = role == ROLE_ITEMS || role == ROLE_ELEMENTS ? STATE_VALUE : STATE_KEY;
    return true;
}

/* ---- names ---- */

/* Of the event's object, by its type; NULL takes it as it is: the type may come behind the object. */
static const struct message_desc *object_desc(const struct kube_split *split) {
    const slice type = slice_of(split->json.type, split->json.type_size);
    if (slice_equal(type, SLICE_LIT("ERROR"))) return &KubeStatus_desc;
    if (slice_equal(type, SLICE_LIT("BOOKMARK"))) return &KubeObject_desc;
    return type.size ? split->desc : NULL;
}

/* A name was read: what to do with its value. */
static void member_begins(struct kube_split *split) {
    struct json_place *at = &split->json;
    struct json_level *level = top(at);
    const slice key = at->key_wrong ? (slice){0} : slice_of(at->key, at->key_size);
    level->take = TAKE_NOTHING;
    if (level->role == ROLE_LIST) {
        if (slice_equal(key, SLICE_LIT("metadata"))) level->take = TAKE_METADATA;
        if (slice_equal(key, SLICE_LIT("items"))) level->take = TAKE_ITEMS;
    } else if (level->role == ROLE_EVENT) {
        if (slice_equal(key, SLICE_LIT("type"))) level->take = TAKE_TYPE;
        if (slice_equal(key, SLICE_LIT("object"))) level->take = TAKE_OBJECT;
    } else {
        const struct message_desc *held;
        if (!message_json_member(level->desc, key, &held)) return;
        level->take = held ? TAKE_LOOK : TAKE_AS_IT_IS;
        if (level->comma) split_put(split, ",", 1);
        level->comma = true;
        split_put(split, "\"", 1);
        split_put(split, key.data, key.size);
        split_put(split, "\":", 2);
    }
}

static void key_feed(struct json_place *at, uint8_t byte) {
    if (at->escaped) {
        at->escaped = false;
    } else if (byte == '\\') {
        at->escaped = at->key_wrong = true; /* no name that we know is written with escapes */
    } else if (byte == '"') {
        at->state = STATE_COLON;
    } else if (at->key_size < SPLIT_KEY_BYTES) {
        at->key[at->key_size++] = (char)byte;
    } else {
        at->key_wrong = true;
    }
}

/* ---- values ---- */

static void text_begins(struct json_place *at);

/* A value that is not looked into, or only followed. */
static void plain_begins(struct kube_split *split, uint8_t byte) {
    struct json_place *at = &split->json;
    keep_byte(split, byte);
    at->raw_depth = 0;
    if (byte == '"') {
        text_begins(at);
    } else if (byte == '{' || byte == '[') {
        at->state = STATE_RAW;
        at->raw_depth = 1;
    } else {
        at->state = STATE_SCALAR;
    }
}

/* An object or list of a message: its level; anything else there is the decoder's to refuse. */
static fault_code look_begins(struct kube_split *split, uint8_t byte, const struct message_desc *desc,
                              struct fault *reterr) {
    struct json_place *at = &split->json;
    at->keep = true;
    if (!desc || (byte != '{' && byte != '[')) {
        plain_begins(split, byte);
        return FAULT_NONE;
    }
    keep_byte(split, byte);
    return level_push(at, byte == '{' ? ROLE_MEMBERS : ROLE_ELEMENTS, desc) ? FAULT_NONE
                                                                            : wrong(split, "it is too deep", reterr);
}

static fault_code value_begins(struct kube_split *split, uint8_t byte, struct fault *reterr) {
    struct json_place *at = &split->json;
    struct json_level *level = top(at);
    if (byte == '}' || byte == ',' || byte == ':') return wrong(split, "a value is missing", reterr);
    if (!level) {
        if (byte != '{' || at->ended) return wrong(split, "something else than an object", reterr);
        split_object_begins(split);
        at->type_size = 0;
        (void)level_push(at, split->form == KUBE_SPLIT_LIST ? ROLE_LIST : ROLE_EVENT, NULL);
        return FAULT_NONE;
    }
    if (level->role == ROLE_ITEMS) level->take = TAKE_ITEM;
    if (level->role == ROLE_ELEMENTS) {
        level->take = TAKE_LOOK;
        if (level->comma) split_put(split, ",", 1);
        level->comma = true;
    }
    at->keep = false;
    switch ((enum take)level->take) {
    case TAKE_METADATA:
        split_object_begins(split);
        at->keep = true;
        break;
    case TAKE_AS_IT_IS: at->keep = true; break;
    case TAKE_ITEMS:
        if (byte != '[') break; /* Go writes null for an empty list */
        (void)level_push(at, ROLE_ITEMS, NULL);
        return FAULT_NONE;
    case TAKE_ITEM:
    case TAKE_OBJECT:
        split_object_begins(split);
        split->wire_bytes = 1;
        return look_begins(split, byte, level->take == TAKE_ITEM ? split->desc : object_desc(split), reterr);
    case TAKE_LOOK: {
        const struct message_desc *held = level->desc;
        if (level->role == ROLE_MEMBERS) (void)message_json_member(level->desc, slice_of(at->key, at->key_size), &held);
        return look_begins(split, byte, held, reterr);
    }
    case TAKE_NOTHING: break;
    case TAKE_TYPE: at->type_size = 0; break;
    }
    plain_begins(split, byte);
    return FAULT_NONE;
}

/* Behind the last byte of a value of the level that is now on top. */
static void value_ends(struct kube_split *split) {
    struct json_place *at = &split->json;
    const struct json_level *level = top(at);
    at->keep = false;
    at->state = level ? STATE_AFTER : STATE_VALUE;
    if (!level) {
        at->ended = split->form == KUBE_SPLIT_LIST;
        return;
    }
    if (level->take == TAKE_ITEM) split_object_ends(split, (slice){0}, (slice){0});
    if (level->take == TAKE_METADATA) split_metadata_ends(split, (slice){0});
}

static fault_code level_ends(struct kube_split *split, uint8_t byte, struct fault *reterr) {
    struct json_place *at = &split->json;
    const enum role role = (enum role)top(at)->role;
    const bool list = role == ROLE_ITEMS || role == ROLE_ELEMENTS;
    if (byte != (list ? ']' : '}')) return wrong(split, "a bracket that closes nothing", reterr);
    if (role == ROLE_MEMBERS || role == ROLE_ELEMENTS) split_put(split, &byte, 1);
    at->depth--;
    if (role == ROLE_EVENT) split_object_ends(split, slice_of(at->type, at->type_size), (slice){0});
    value_ends(split);
    return FAULT_NONE;
}

/* ---- bytes ---- */

static void text_begins(struct json_place *at) {
    at->state = STATE_TEXT;
    at->escaped = at->text_cut = false;
    at->hex_left = 0;
    at->text_size = 0;
}

/* Before a plain letter that belongs to no escape, so that no character and no pair of surrogates is cut in two. */
static bool text_can_be_cut(const struct json_place *at, uint8_t next) {
    return !at->escaped && at->hex_left == 0 && next >= ' ' && next < 127 && next != '\\' && next != '"';
}

/* As much as is text from here on; the bytes that were used. A text that is very long is cut: nobody reads that much of a
 * message, and it shall not make the object too large. */
static size_t text_feed(struct kube_split *split, slice rest) {
    struct json_place *at = &split->json;
    const bool was_cut = at->text_cut;
    size_t size = 0, kept = was_cut ? 0 : rest.size;
    bool ends = false;
    while (size < rest.size && !ends) {
        const uint8_t byte = rest.data[size];
        if (!at->text_cut && at->text_size + size >= SPLIT_TEXT_BYTES && text_can_be_cut(at, byte)) {
            at->text_cut = true;
            kept = size;
        }
        size++;
        if (at->escaped) {
            at->escaped = false;
            at->hex_left = byte == 'u' ? 4 : 0;
        } else if (byte == '\\') {
            at->escaped = true;
        } else {
            ends = byte == '"';
            at->hex_left -= at->hex_left > 0;
        }
    }
    at->text_size += size;
    if (at->keep) split_put(split, rest.data, kept < size ? kept : size);
    if (at->keep && ends && at->text_cut) split_put(split, "\"", 1);
    const struct json_level *level = top(at);
    if (level->take == TAKE_TYPE && at->raw_depth == 0) {
        for (size_t i = 0; i < size - ends && at->type_size < SPLIT_TYPE_BYTES; i++)
            at->type[at->type_size++] = (char)rest.data[i];
    }
    if (!ends) return size;
    at->state = STATE_RAW;
    if (at->raw_depth == 0) value_ends(split);
    return size;
}

static void raw_feed(struct kube_split *split, uint8_t byte) {
    struct json_place *at = &split->json;
    if (is_blank(byte)) return;
    keep_byte(split, byte);
    if (byte == '"') text_begins(at);
    if (byte == '{' || byte == '[') at->raw_depth++;
    if ((byte == '}' || byte == ']') && --at->raw_depth == 0) value_ends(split);
}

static fault_code after_feed(struct kube_split *split, uint8_t byte, struct fault *reterr) {
    struct json_place *at = &split->json;
    if (byte == '}' || byte == ']') return level_ends(split, byte, reterr);
    if (byte != ',') return wrong(split, "no comma between two values", reterr);
    const enum role role = (enum role)top(at)->role;
    at->state = role == ROLE_ITEMS || role == ROLE_ELEMENTS ? STATE_VALUE : STATE_KEY;
    return FAULT_NONE;
}

static fault_code byte_feed(struct kube_split *split, uint8_t byte, struct fault *reterr) {
    struct json_place *at = &split->json;
    if (at->state == STATE_IN_KEY) {
        key_feed(at, byte);
        if (at->state == STATE_COLON) member_begins(split);
        return FAULT_NONE;
    }
    if (at->state == STATE_RAW) {
        raw_feed(split, byte);
        return FAULT_NONE;
    }
    if (at->state == STATE_SCALAR) {
        if (!is_blank(byte) && byte != ',' && byte != '}' && byte != ']') {
            keep_byte(split, byte);
            return FAULT_NONE;
        }
        value_ends(split);
    }
    if (is_blank(byte)) return FAULT_NONE;
    switch ((enum state)at->state) {
    case STATE_VALUE:
        if (byte == ']' && at->depth) return level_ends(split, byte, reterr);
        return value_begins(split, byte, reterr);
    case STATE_KEY:
        if (byte == '}') return level_ends(split, byte, reterr);
        if (byte != '"') return wrong(split, "a member without a name", reterr);
        at->state = STATE_IN_KEY;
        at->key_size = 0;
        at->key_wrong = at->escaped = false;
        return FAULT_NONE;
    case STATE_COLON:
        if (byte != ':') return wrong(split, "a member without a value", reterr);
        at->state = STATE_VALUE;
        return FAULT_NONE;
    default: return after_feed(split, byte, reterr);
    }
}

fault_code split_json_feed(struct kube_split *split, slice piece, struct fault *reterr) {
    split->fed_bytes += piece.size;
    for (size_t i = 0; i < piece.size;) {
        if (split->json.state == STATE_TEXT) {
            const slice rest = slice_from(piece, i);
            /* Before the text is fed: its end may hand the object on. */
            const uint8_t *const quote = memchr(rest.data, '"', rest.size);
            const size_t most = quote ? (size_t)(quote - rest.data) + 1 : rest.size;
            split->wire_bytes += most;
            i += text_feed(split, slice_first(rest, most));
            continue;
        }
        split->wire_bytes++;
        const fault_code code = byte_feed(split, piece.data[i++], reterr);
        if (code) return code;
    }
    return FAULT_NONE;
}

fault_code split_json_end(const struct kube_split *split, struct fault *reterr) {
    const struct json_place *at = &split->json;
    if (at->depth == 0 && (split->form == KUBE_SPLIT_WATCH || at->ended)) return FAULT_NONE;
    return wrong(split, split->form == KUBE_SPLIT_WATCH ? "it ends within an event" : "it ends before the list does",
                 reterr);
}
