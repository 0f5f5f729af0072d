/* SPDX-License-Identifier: Apache-2.0
 * Between the files of the splitter. */
#ifndef PICKET_COLLECT_KUBE_SPLIT_PARTS_H
#define PICKET_COLLECT_KUBE_SPLIT_PARTS_H

#include "agent/collect/kubernetes/kube_split.h"

enum { SPLIT_LEVELS_MAX = 24, SPLIT_KEY_BYTES = 64, SPLIT_TYPE_BYTES = 16 };
/* Of one text in JSON so much is kept, and a little more where it can be cut only later. */
enum { SPLIT_TEXT_BYTES = 16 * 1024 };
/* What surrounds an object in its event. */
enum { SPLIT_MORE_BYTES = 512 };
/* What is kept of an object that is too large. */
enum { SPLIT_HEAD_BYTES = 4096 };

/* Where in the JSON text we are. A level is an object or a list that is looked into; what is taken or passed over as a
 * whole is no level and only its depth is counted. */
struct json_level {
    const struct message_desc *desc; /* of the members, or of the items */
    uint8_t role, take;              /* enums of kube_split_json.c; take: of the member or item that is being read */
    bool comma;                      /* something was written on this level */
};
struct json_place {
    uint8_t state;
    bool keep, escaped, key_wrong, ended, text_cut;
    unsigned depth, raw_depth, hex_left;
    size_t key_size, type_size, text_size;
    struct json_level levels[SPLIT_LEVELS_MAX];
    char key[SPLIT_KEY_BYTES], type[SPLIT_TYPE_BYTES];
};

struct protobuf_place {
    uint8_t state;
    bool in_list, list_seen;
    unsigned shift, magic_size;
    uint64_t value;           /* of the number that is being read */
    uint64_t left, list_left; /* bytes of the run that is passed over or taken; of the list */
    uint32_t number;
};

struct kube_split {
    struct kube_split_calls calls;
    enum kube_split_form form;
    bool protobuf, too_large, starved;
    const struct message_desc *desc;
    size_t object_bytes_max, size, room, wire_bytes;
    uint64_t fed_bytes;
    uint8_t *buffer;
    union {
        struct json_place json;
        struct protobuf_place frames;
    };
};

void split_put(struct kube_split *split, const void *bytes, size_t size);
/* Of an object that is too large: kept as far as its head goes. */
void split_head_put(struct kube_split *split, slice piece);
/* The field of this number that holds bytes, as far as it came; empty when there is none. */
slice split_field_begin(slice message, uint32_t number);
/* An object begins; and ends, in the buffer or (whole.data) outside of it. */
void split_object_begins(struct kube_split *split);
void split_object_ends(struct kube_split *split, slice type, slice whole);
void split_metadata_ends(struct kube_split *split, slice whole);

void split_json_begin(struct kube_split *split);
fault_code split_json_feed(struct kube_split *split, slice piece, struct fault *reterr) MUST_CHECK;
fault_code split_json_end(const struct kube_split *split, struct fault *reterr) MUST_CHECK;
void split_protobuf_begin(struct kube_split *split);
fault_code split_protobuf_feed(struct kube_split *split, slice piece, struct fault *reterr) MUST_CHECK;
fault_code split_protobuf_end(const struct kube_split *split, struct fault *reterr) MUST_CHECK;

#endif
