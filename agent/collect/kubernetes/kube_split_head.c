/* SPDX-License-Identifier: Apache-2.0
 * Which object it was that had no room. Kubernetes writes metadata first, and in it name, namespace and uid before labels
 * and annotations (protobuf, in order of their numbers; JSON of its own types), so that these are in the head of an object
 * whatever makes it large; only JSON of a custom resource has annotations before. What is cut off in the middle of a name
 * is no name. */
#include "agent/collect/kubernetes/kube_split_parts.h"

enum { NAME_BYTES_MAX = 253, METADATA = 1 };
enum { META_NAME = 1, META_NAMESPACE = 3, META_UID = 5, META_RESOURCE_VERSION = 6 };

/* Empty instead of what no name holds. */
static slice plain(slice text) {
    if (text.size > NAME_BYTES_MAX) return (slice){0};
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (c <= ' ' || c >= 127 || c == '"' || c == '\\') return (slice){0};
    }
    return text;
}

/* ---- protobuf ---- */

/* What reaches to the very end may have been cut. */
static slice inner(slice metadata, uint32_t number) {
    const slice value = split_field_begin(metadata, number);
    return value.data && value.data + value.size == metadata.data + metadata.size ? (slice){0} : plain(value);
}

static void protobuf_read(slice head, struct kube_identity *identity) {
    const slice metadata = split_field_begin(head, METADATA);
    identity->name = inner(metadata, META_NAME);
    identity->namespace = inner(metadata, META_NAMESPACE);
    identity->uid = inner(metadata, META_UID);
    identity->resource_version = inner(metadata, META_RESOURCE_VERSION);
}

/* ---- JSON ---- */

static slice *member_of(struct kube_identity *identity, slice key) {
    if (slice_equal(key, SLICE_LIT("name"))) return &identity->name;
    if (slice_equal(key, SLICE_LIT("namespace"))) return &identity->namespace;
    if (slice_equal(key, SLICE_LIT("uid"))) return &identity->uid;
    return slice_equal(key, SLICE_LIT("resourceVersion")) ? &identity->resource_version : NULL;
}

/* The text that begins behind *at; false: it is cut off. *at is then behind its end. */
static bool text_take(slice head, size_t *at, slice *ret_text) {
    const size_t begin = *at;
    for (size_t i = begin; i < head.size; i++) {
        if (head.data[i] == '\\') {
            i++;
        } else if (head.data[i] == '"') {
            *ret_text = slice_of(head.data + begin, i - begin);
            *at = i + 1;
            return true;
        }
    }
    return false;
}

/* Of {"metadata": {"name": "x"}}: texts are members' names where a colon follows, as the splitter wrote it. */
static void json_read(slice head, struct kube_identity *identity) {
    bool metadata_next = false, in_metadata = false;
    slice *wanted = NULL;
    unsigned depth = 0;
    for (size_t i = 0; i < head.size;) {
        const uint8_t c = head.data[i++];
        slice text;
        if (c == '{' || c == '[') {
            depth++;
            in_metadata = in_metadata || (metadata_next && depth == 2);
            metadata_next = false;
            wanted = NULL;
        } else if (c == '}' || c == ']') {
            if (in_metadata && depth == 2) return;
            depth -= depth > 0;
        } else if (c == '"') {
            if (!text_take(head, &i, &text)) return;
            if (i < head.size && head.data[i] == ':') {
                metadata_next = depth == 1 && slice_equal(text, SLICE_LIT("metadata"));
                wanted = in_metadata && depth == 2 ? member_of(identity, text) : NULL;
            } else if (wanted) {
                *wanted = plain(text);
                wanted = NULL;
            }
        }
    }
}

bool kube_split_identity(bool protobuf, slice head, struct kube_identity *ret_identity) {
    *ret_identity = (struct kube_identity){0};
    if (protobuf)
        protobuf_read(head, ret_identity);
    else
        json_read(head, ret_identity);
    return ret_identity->name.size > 0;
}
