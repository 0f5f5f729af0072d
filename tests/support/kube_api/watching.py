# SPDX-License-Identifier: Apache-2.0
"""The watch: what changed after a version, as it happens, with bookmarks, until its time is over."""
import asyncio
import collections

from . import encoding
from .store import Expired


class Watch:
    """One client's stream. Changes are put into its own queue as they happen, so that compaction takes nothing from it."""

    def __init__(self, server, wants, answer, selects):
        self.server, self.store, self.wants, self.answer, self.selects = server, server.store, wants, answer, selects
        self.messages = server.messages if wants.protobuf else None
        self.queue = collections.deque()
        self.wake = asyncio.Event()
        self.ended = False
        self.after = 0  # nothing up to this version is told

    def put(self, change):
        self.queue.append(change)
        self.wake.set()

    def end(self):
        self.ended = True
        self.wake.set()

    def selected(self, stored):
        if not stored or self.wants.namespace and stored.key[0] != self.wants.namespace:
            return False
        return not self.selects or self.selects(stored.value)

    def frame(self, change):
        """The event of a change for this watch: an object that enters or leaves what is selected is added or deleted."""
        if change.version <= self.after:
            return b""
        now = change.kind != "DELETED" and self.selected(change.stored)
        was = self.selected(change.before)
        if now:
            return change.stored.frame("MODIFIED" if was else "ADDED", self.messages)
        if was:
            return change.stored.frame("DELETED", self.messages)
        return b""

    def event(self, kind, value):
        """An event whose object is no stored one: a bookmark or a Status."""
        if self.messages:
            raw = self.messages.encode(self.messages.message(value["kind"]), value)
            return encoding.watch_frame(kind, encoding.unknown(value["apiVersion"], value["kind"], raw))
        return encoding.compact({"type": kind, "object": value}) + b"\n"

    def bookmark(self, initial_events_end=False):
        # Like a real server's: the kind, and metadata with nothing in it but the version.
        resource = self.wants.resource
        if self.store.version < self.after:
            return b""
        meta = {"resourceVersion": str(self.store.version), "creationTimestamp": None}
        if initial_events_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        self.server.counts["bookmarks"] += 1
        return self.event("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta})

    def error(self, code, reason, message):
        return self.event("ERROR", {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                                    "reason": reason, "code": code})


async def watch(server, request, wants, answer, selects):
    from .server import Refused
    query, store, options = request.query, server.store, server.options
    initial = request.flag("sendInitialEvents")
    if "sendInitialEvents" in query:
        if not options.streaming_lists:
            raise Refused(422, "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is "
                          "forbidden for watch unless the WatchList feature gate is enabled", "Invalid")
        if query.get("resourceVersionMatch") != "NotOlderThan":
            raise Refused(422, "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires "
                          "setting resourceVersionMatch to NotOlderThan", "Invalid")
    version = server.version_asked(request)
    one = Watch(server, wants, answer, selects)
    one.after = version or 0
    first, gone = [], None
    if initial or version is None:
        first = [row.frame("ADDED", one.messages) for row in store.ordered(wants.resource) if one.selected(row)]
    else:
        try:
            one.queue.extend(store.after(wants.resource, version))
        except Expired as why:
            gone = str(why)
    if gone and options.gone_as == "http":
        raise Refused(410, gone, "Expired")
    store.listeners[wants.resource].add(one.put)
    server.watches.add(one)
    try:
        await answer.start(200, wants.content_type(server), zipped=options.zip_watches)
        if gone:
            await answer.piece(one.error(410, "Expired", gone))
            await answer.end()
            return
        for at in range(0, len(first), 100):
            await answer.piece(b"".join(first[at:at + 100]))
        if initial and request.flag("allowWatchBookmarks"):
            await answer.piece(one.bookmark(initial_events_end=True))
        await _follow(one, request, answer)
        await answer.end()
    finally:
        store.listeners[wants.resource].discard(one.put)
        server.watches.discard(one)


async def _follow(one, request, answer):
    server, options = one.server, one.server.options
    loop = asyncio.get_running_loop()
    asked = float(request.query.get("timeoutSeconds") or 0) or server.random.uniform(1800, 3600)
    ends = loop.time() + min(asked, options.watch_seconds_max)
    marks = request.flag("allowWatchBookmarks")
    next_mark = loop.time() + options.bookmark_seconds
    while not one.ended:
        if answer.writer.transport.is_closing():
            raise ConnectionResetError("the client went away")
        if one.queue:
            changes = [one.queue.popleft() for _ in range(min(200, len(one.queue)))]
            data = b"".join(one.frame(change) for change in changes)
            if data:
                await answer.piece(data)
            continue
        now = loop.time()
        if now >= ends:
            if marks and options.bookmarks:
                await answer.piece(one.bookmark())
            return
        if now >= next_mark:
            next_mark = now + options.bookmark_seconds
            if marks and options.bookmarks:
                await answer.piece(one.bookmark())
        one.wake.clear()
        try:
            await asyncio.wait_for(one.wake.wait(), min(0.5, max(0.001, min(ends, next_mark) - now)))
        except asyncio.TimeoutError:
            pass
