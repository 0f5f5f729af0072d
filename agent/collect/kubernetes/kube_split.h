/* SPDX-License-Identifier: Apache-2.0
 * Cuts what an API server sends into objects while it arrives: the items of a list, the events of a watch, in protobuf
 * and in JSON. One object is in memory at a time, up to a bound; one over it is skipped, told of, and the rest goes on.
 * What surrounds objects is read without being kept, so the size of an answer does not matter.
 *
 * Of JSON, only the members that the message has are kept (and count towards the bound): of an Argo CD Application with
 * a thousand resources in its status, two kilobytes. A text in it is cut after 16 KiB. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_KUBE_SPLIT_H
#define PICKET_COLLECT_KUBE_SPLIT_H

#include "common/codec/codec.h"

struct kube_split;

enum kube_split_form { KUBE_SPLIT_LIST, KUBE_SPLIT_WATCH };

/* All slices are valid during the call only. wire_bytes: as many as the object had when it came. */
struct kube_split_calls {
    /* type: "ADDED" ... in a watch, empty in a list. bytes: the object alone, in its encoding; of "ERROR" a KubeStatus, of
     * "BOOKMARK" a KubeObject, of "BROKEN" (ours: a frame that holds no event) the frame. */
    void (*object)(void *context, slice type, slice bytes, size_t wire_bytes);
    /* Of a list, at most once: a KubeListMeta. */
    void (*metadata)(void *context, slice bytes);
    /* head: its beginning, 4 KiB of protobuf or all that had room of JSON, for kube_split_identity. */
    void (*skipped)(void *context, slice type, slice head, size_t wire_bytes);
    void *context;
};

/* Reserves little; a buffer grows as objects need it and is given back after a big one. NULL: no memory. */
struct kube_split *kube_split_new(size_t object_bytes_max, const struct kube_split_calls *calls) MUST_CHECK;
struct kube_split *kube_split_free(struct kube_split *split); /* NULL is fine; returns NULL */

/* A new body; what was left of the one before is forgotten. desc: of the objects. */
void kube_split_begin(struct kube_split *split, enum kube_split_form form, bool protobuf,
                      const struct message_desc *desc);
/* The next bytes, cut anywhere. FAULT_INPUT: not what was announced; FAULT_SYSTEM: no memory. Nothing more can be fed
 * then. Calls back from inside. */
fault_code kube_split_feed(struct kube_split *split, slice piece, struct fault *reterr) MUST_CHECK;
/* FAULT_INPUT when the body ended within a list or an event. */
fault_code kube_split_end(const struct kube_split *split, struct fault *reterr) MUST_CHECK;

/* Whether a whole body is in Kubernetes' protobuf; and the object in it, a part of the body (false: it is broken). */
bool kube_split_is_protobuf(slice body);
bool kube_split_whole(slice body, slice *ret_object) MUST_CHECK;

/* Of an object of which only the head came; each empty where it is not in that. Slices of the head, of printing characters
 * without quotes. */
struct kube_identity {
    slice name, namespace, uid, resource_version;
};
/* false: not even its name is in it. */
bool kube_split_identity(bool protobuf, slice head, struct kube_identity *ret_identity) MUST_CHECK;

/* Reserved at the moment. */
size_t kube_split_buffer_bytes(const struct kube_split *split);

#endif
