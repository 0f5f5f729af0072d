/* SPDX-License-Identifier: Apache-2.0
 * The rows that proto/generate.py makes of the .proto files; everything in common/codec/ is driven by them. They are
 * static and const; any thread. Code outside common/codec/ uses codec.h and services.h and does not look in here. */
#ifndef PICKET_CODEC_TABLES_H
#define PICKET_CODEC_TABLES_H

#include "common/codec/services.h"

enum field_type {
    FIELD_DOUBLE,
    FIELD_INT32,
    FIELD_INT64,
    FIELD_UINT32,
    FIELD_UINT64,
    FIELD_BOOL,
    FIELD_STRING,
    FIELD_BYTES,
    FIELD_ENUM,
    FIELD_MESSAGE
};

/* How the field lies in its struct. */
enum field_label {
    FIELD_SINGULAR, /* the value itself; absent means the default */
    FIELD_OPTIONAL, /* the value and a bool at has_offset */
    FIELD_ONEOF,    /* in a union; the pb_size_t at has_offset holds the number of the one that is there */
    FIELD_REPEATED, /* struct list */
    FIELD_MAP       /* struct list of entries {slice key; slice value;} */
};

/* Closed forms of text; the same numbers as Format in options.proto. */
enum text_format {
    FORMAT_NONE,
    FORMAT_ID,
    FORMAT_UUID,
    FORMAT_PRODUCER,
    FORMAT_LABEL_NAME,
    FORMAT_SNAKE,
    FORMAT_TRACEPARENT,
    FORMAT_LINE,
    FORMAT_HTTP_URL,
    FORMAT_TAG,
    FORMAT_COUNT_
};

enum rule_bound { BOUND_GT = 1, BOUND_GTE = 2, BOUND_LT = 4, BOUND_LTE = 8 };

/* FieldRule of options.proto; 0 where nothing is said. */
struct field_rule {
    bool required, defined_only;
    uint8_t bounds;             /* which of low and high count: rule_bound */
    uint8_t format, key_format; /* text_format */
    uint32_t min_len, max_len, key_max_len, min_items, max_items;
    double low, high;
};

struct enum_value {
    const char *name;
    int32_t number;
};

struct enum_desc {
    const char *full_name;
    const struct enum_value *values; /* by number */
    uint32_t count;
};

struct field_desc {
    const char *name;      /* "slo_id" */
    const char *json_name; /* "sloId" */
    uint16_t name_size, json_name_size;
    uint32_t number;
    uint32_t offset;     /* of the value in the struct */
    uint32_t has_offset; /* of has_<field> or which_<oneof>, by label */
    uint8_t type, label; /* field_type, field_label */
    int8_t oneof;        /* row in message_desc.oneofs; -1 when in none */
    const struct message_desc *message;
    const struct enum_desc *enumeration;
    const struct field_rule *rule; /* NULL: none */
};

struct oneof_desc {
    const char *name;
    uint32_t which_offset;
    bool required;
};

enum well_known { WELL_KNOWN_NONE, WELL_KNOWN_TIMESTAMP, WELL_KNOWN_DURATION };

struct message_desc {
    const char *full_name;
    const char *name;
    uint32_t size; /* of the struct */
    uint16_t fields_count, oneofs_count;
    uint8_t well_known;
    bool ruled;                      /* a rule binds it or something below it */
    const struct field_desc *fields; /* by number */
    const struct oneof_desc *oneofs;
};

/* What every repeated field and map looks like in memory. */
struct list {
    void *items;
    size_t count;
};

struct map_entry {
    slice key, value;
};

/* Every message of the contract with the words of its .proto: for the OpenAPI document and for tools. */
struct message_doc {
    const struct message_desc *message;
    const char *comment;
    const char *const *field_comments; /* in the order of message->fields */
};

extern const struct message_doc message_docs[];
extern const size_t message_docs_count;

/* Every service of the contract, in the order of methods_table. */
struct service_doc {
    const char *full_name;
    const char *comment;
};

extern const struct service_doc service_docs[];
extern const size_t service_docs_count;

extern const struct enum_desc *const enums_table[];
extern const size_t enums_count;

/* Rows of methods_table by the hash of their path, open addressing; methods_count marks an empty place. */
extern const uint16_t methods_hash[];
extern const uint32_t methods_hash_mask;

/* FNV-1a, as generate.py has it. */
static inline uint32_t method_path_hash(slice path) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < path.size; i++) hash = (hash ^ path.data[i]) * 16777619u;
    return hash;
}

/* Bytes of one value of this type: in a list, or alone. */
static inline size_t field_value_size(const struct field_desc *field) {
    switch ((enum field_type)field->type) {
    case FIELD_DOUBLE:
    case FIELD_INT64:
    case FIELD_UINT64: return 8;
    case FIELD_INT32:
    case FIELD_UINT32:
    case FIELD_ENUM: return 4;
    case FIELD_BOOL: return sizeof(bool);
    case FIELD_STRING:
    case FIELD_BYTES: return sizeof(slice);
    case FIELD_MESSAGE: return field->message->size;
    }
    return 0;
}

static inline bool field_is_list(const struct field_desc *field) {
    return field->label == FIELD_REPEATED || field->label == FIELD_MAP;
}

/* Whether the field is there: set, or for a singular scalar, not its default. */
bool field_present(const struct field_desc *field, const void *message);

/* By number; NULL when the message has none. */
const struct field_desc *field_by_number(const struct message_desc *desc, uint32_t number);

#endif
