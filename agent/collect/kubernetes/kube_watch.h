/* SPDX-License-Identifier: Apache-2.0
 * Lists and watches one kind of resource of a cluster, for ever: pages of a list first, then the changes, again from a
 * list whenever the server has forgotten where we were. Several listeners share one watch (health and target discovery
 * both want pods), so that the server is asked once and each object is decoded once.
 *
 * No object is kept here. Whoever listens keeps what it needs of it, and sweeps: a list that begins has a new round
 * number, each object carries the number of its round, and when the list ends, whatever the listener knows in that scope
 * with another number is gone (it was deleted while nobody watched). That costs a listener one byte an object; a set of
 * uids here would cost eight and could not say a name.
 *
 * The order of calls, for each scope (one namespace of the settings, or all: an empty scope):
 *     list_begins(round) object* list_ends(round) (object | deleted)* ...
 * A list that fails half-way begins again with a new round and no list_ends between: what was known stays known, and gets
 * stale. A list may come at any time: when the server has forgotten where we were, when it has gone back (restored from a
 * backup), and every few hours. Of an object over object_bytes_max comes its name alone (`partial`); one whose very name
 * cannot be read does not come at all (kube_cluster_stats counts both). An object may come twice and unchanged, and a
 * deletion for something never seen: take both as normal.
 * Owner: the loop's thread. Callbacks may start and cancel kube_gets, and may not listen, unlisten or close. */
#ifndef PICKET_COLLECT_KUBE_WATCH_H
#define PICKET_COLLECT_KUBE_WATCH_H

#include "agent/collect/kubernetes/kube_cluster.h"
#include "agent/collect/kubernetes/kube_resource.h"

enum kube_watch_state {
    KUBE_WATCH_LISTING, /* nothing is known yet, or nothing whole */
    KUBE_WATCH_FRESH,   /* a whole list was taken and the watch behind it runs */
    /* There was no working watch for stale_ms, and trying again has failed as well: what is known, if anything is, may
     * be wrong (lists alone, behind which every watch ends at once, are no working watch). At the latest stall_ms and
     * ten seconds (stale_ms, if that is less) after the last byte that came. */
    KUBE_WATCH_STALE,
    KUBE_WATCH_DENIED, /* 401 or 403: nothing will come until rights are given; looked at again, at last every minute */
    KUBE_WATCH_ABSENT, /* 404: the server has no such resource (a custom resource that is not installed); as above */
    KUBE_WATCH_STATES_
};
/* "listing", "fresh", "stale", "denied", "absent" */
const char *kube_watch_state_name(enum kube_watch_state state);

struct kube_scope {
    slice cluster_id;
    slice namespace; /* empty: all namespaces, or a resource that has none */
    const struct kube_resource *resource;
};

struct kube_object {
    const struct kube_scope *scope;
    /* The struct of scope->resource->message (KubePod ...). With all it points to, valid during the call only. Text is
     * UTF-8 (what was not is mended) and as long as the server sent it: cut it before it is kept. */
    const void *message;
    const KubeMeta *meta; /* inside the message; name is never empty */
    size_t bytes;         /* as it came on the wire */
    uint8_t round;
    bool listed; /* from a list, not from a change */
    /* Only its metadata could be read, or of that only name, namespace, uid and resourceVersion; the rest of the message is
     * as if it were not there: what it says is unknown. */
    bool partial;
};

/* Each may be NULL. */
struct kube_listener_calls {
    void (*list_begins)(void *context, const struct kube_scope *scope, uint8_t round);
    /* Added or modified. */
    void (*object)(void *context, const struct kube_object *object);
    /* The last state of an object that is gone, as the server sent it. */
    void (*deleted)(void *context, const struct kube_object *object);
    void (*list_ends)(void *context, const struct kube_scope *scope, uint8_t round);
    /* At every change of state, and once at the start. since_ms: clock_monotonic_ms of the last moment at which what we
     * knew was current (FRESH: of now; never: 0). why: FAULT_NONE for LISTING and FRESH, else what is wrong and what can
     * be done ("403 ...: give the verb watch on pods to ..."). */
    void (*state)(void *context, const struct kube_scope *scope, enum kube_watch_state state, int64_t since_ms,
                  const struct fault *why);
    void *context;
};

struct kube_listener;

/* The first listener of a kind starts its watch (one for each namespace of the settings), at the loop's next turn: nothing
 * is called back before this returns. A later one makes the list be taken anew, so that it hears of everything; the
 * earlier ones hear that list too. FAULT_LIMIT: more listeners than a cluster has room for (KUBE_LISTENERS_MAX). */
enum { KUBE_LISTENERS_MAX = 64 };
fault_code kube_watch_listen(struct kube_cluster *cluster, enum kube_kind kind, const struct kube_listener_calls *calls,
                             struct kube_listener **ret_listener, struct fault *reterr) MUST_CHECK;
/* With the last listener of a kind its watch ends. NULL is fine; returns NULL. */
struct kube_listener *kube_watch_unlisten(struct kube_listener *listener);

/* Each stream that shall be watched and cannot be now (DENIED, STALE), with what the state call would say. */
void kube_watch_each_dark(const struct kube_cluster *cluster,
                          void (*each)(void *context, const struct kube_scope *scope, enum kube_watch_state state,
                                       int64_t since_ms, const struct fault *why),
                          void *context);

#endif
