# SPDX-License-Identifier: Apache-2.0
"""What an API server keeps: objects under one growing resourceVersion, the history that watches are served from, the
snapshots that pages of a list come from, and compaction, which takes both away. One thread owns a store."""
import base64
import collections
import copy
import json
import random
import time
import uuid

from . import encoding
from .resources import ROWS, resource_of

HISTORY_MAX = 50000
SNAPSHOTS_MAX = 64


class Stored:
    """One version of one object, encoded once for all who ask."""
    __slots__ = ("resource", "key", "value", "version", "_item", "_raw", "_frames")

    def __init__(self, resource, key, value, version):
        self.resource, self.key, self.value, self.version = resource, key, value, version
        self._item = self._raw = None
        self._frames = {}

    def item(self):
        """As it stands in a list: without kind and apiVersion, unless it is a custom resource."""
        if self._item is None:
            value = self.value
            if not self.resource.custom:
                value = {key: content for key, content in value.items() if key not in ("kind", "apiVersion")}
            self._item = encoding.compact(value)
        return self._item

    def whole(self):
        if self.resource.custom:
            return self.item()
        start = f'{{"kind":"{self.resource.kind}","apiVersion":"{self.resource.api_version}"'.encode()
        return start + (b"," + self.item()[1:] if self.item() != b"{}" else b"}")

    def raw(self, messages):
        if self._raw is None:
            self._raw = messages.encode(messages.message(self.resource.kind), self.value)
        return self._raw

    def envelope(self, messages):
        return encoding.unknown(self.resource.api_version, self.resource.kind, self.raw(messages))

    def frame(self, kind_of_event, messages):
        """A watch event as sent: protobuf with messages, else a line of JSON."""
        key = (kind_of_event, messages is not None)
        if key not in self._frames:
            if messages:
                self._frames[key] = encoding.watch_frame(kind_of_event, self.envelope(messages))
            else:
                self._frames[key] = b'{"type":"' + kind_of_event.encode() + b'","object":' + self.whole() + b"}\n"
        return self._frames[key]


Change = collections.namedtuple("Change", "version kind stored before")


class Expired(Exception):
    """The version asked for was compacted away; fresh: a continue token for the rest of the list as it is now."""

    def __init__(self, message, fresh=None):
        super().__init__(message)
        self.fresh = fresh


class Store:
    def __init__(self, first_version=880160, seed=1):
        self.random = random.Random(seed)
        self.version = first_version
        self.compacted = first_version
        self.objects = {row: {} for row in ROWS}
        self.sorted = {}
        self.history = {row: collections.deque() for row in ROWS}
        self.snapshots = collections.OrderedDict()
        self.listeners = {row: set() for row in ROWS}

    # -- changes

    def load(self, value):
        """Puts an object there as it was recorded, with its own version, and without an event: before anything watches."""
        resource = resource_of(value)
        value = copy.deepcopy(value)
        meta = value["metadata"]
        version = int(meta.get("resourceVersion") or self._fill(value))
        meta["resourceVersion"] = str(version)
        meta.setdefault("uid", self._uid())
        key = (meta.get("namespace", ""), meta["name"])
        self.objects[resource][key] = Stored(resource, key, value, version)
        self.sorted.pop(resource, None)
        self.version = max(self.version, version)
        self.compacted = self.version
        return value

    def apply(self, value):
        """Creates the object, or puts it in the place of the one of that name; what is kept of it."""
        resource = resource_of(value)
        value = copy.deepcopy(value)
        meta = value["metadata"]
        key = (meta.get("namespace", "") if resource.namespaced else "", meta["name"])
        before = self.objects[resource].get(key)
        if before:
            meta.setdefault("uid", before.value["metadata"]["uid"])
            if before.value["metadata"].get("creationTimestamp"):
                meta.setdefault("creationTimestamp", before.value["metadata"]["creationTimestamp"])
        self._fill(value)
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        stored = Stored(resource, key, value, self.version)
        self.objects[resource][key] = stored
        if not before:
            self.sorted.pop(resource, None)
        elif resource in self.sorted:
            self.sorted[resource] = None
        self._changed(Change(self.version, "MODIFIED" if before else "ADDED", stored, before))
        return value

    def delete(self, resource, name, namespace=""):
        resource = resource_of(resource)
        key = (namespace if resource.namespaced else "", name)
        before = self.objects[resource].pop(key)
        self.sorted.pop(resource, None)
        self.version += 1
        value = dict(before.value, metadata=dict(before.value["metadata"], resourceVersion=str(self.version)))
        self._changed(Change(self.version, "DELETED", Stored(resource, key, value, self.version), before))
        return value

    def get(self, resource, name, namespace=""):
        return self.objects[resource_of(resource)].get((namespace, name))

    def roll_back(self, version, without=()):
        """As after a restore from a backup: the same objects, at versions that begin anew behind this one. without: (plural,
        name, namespace) of objects that the backup has not."""
        self.version = version
        for plural, name, namespace in without:
            del self.objects[resource_of(plural)][namespace, name]
        for row, objects in self.objects.items():
            self.history[row].clear()
            self.sorted.pop(row, None)
            for key, stored in objects.items():
                self.version += 1
                value = dict(stored.value, metadata=dict(stored.value["metadata"], resourceVersion=str(self.version)))
                objects[key] = Stored(row, key, value, self.version)
        self.snapshots.clear()
        self.compacted = self.version

    def bump(self, by=1):
        """Changes of things that nobody here watches."""
        self.version += by

    def compact(self, through=None):
        """Forgets history through that version (all, if none is given): older watches and continue tokens are expired."""
        self.compacted = max(self.compacted, self.version if through is None else through)
        for changes in self.history.values():
            while changes and changes[0].version <= self.compacted:
                changes.popleft()
        self.snapshots.clear()
        return self.compacted

    def _fill(self, value):
        meta = value["metadata"]
        meta.setdefault("uid", self._uid())
        meta.setdefault("creationTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        return self.version

    def _uid(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def _changed(self, change):
        changes = self.history[change.stored.resource]
        changes.append(change)
        while len(changes) > HISTORY_MAX:
            self.compacted = max(self.compacted, changes.popleft().version)
        for listener in self.listeners[change.stored.resource]:
            listener(change)

    # -- reads

    def ordered(self, resource):
        """All objects by key, as etcd orders them."""
        kept = self.sorted.get(resource)
        if kept is None:
            objects = self.objects[resource]
            kept = self.sorted[resource] = [objects[key] for key in sorted(objects)]
        return kept

    def list(self, resource, namespace=None, selects=None, limit=0, token=None):
        """(objects, version of the list, continue token or None, how many remain or None)."""
        start = None
        if token:
            version, start = self._untoken(token)
            inconsistent = version < 0
            if inconsistent:
                version, rows = self.version, self.ordered(resource)
            else:
                rows = self.snapshots.get((resource, version))
            if rows is None:
                raise Expired("The provided continue parameter is too old to display a consistent list result. You can start a "
                              "new list without the continue parameter, or use the continue token in this response to retrieve "
                              "the remainder of the results.", self._token(-1, start))
        else:
            version, rows = self.version, self.ordered(resource)
        found, more = [], None
        for row in rows:
            if start is not None and list(row.key) <= start or namespace is not None and row.key[0] != namespace:
                continue
            if selects and not selects(row.value):
                continue
            if limit and len(found) == limit:
                more = found[-1]
                break
            found.append(row)
        if not more:
            return found, version, None, None
        self.snapshots[(resource, version)] = rows
        while len(self.snapshots) > SNAPSHOTS_MAX:
            self.snapshots.popitem(last=False)
        remain = None
        if not selects:
            remain = sum(1 for row in rows if row.key > more.key and (namespace is None or row.key[0] == namespace))
        return found, version, self._token(version, list(more.key)), remain

    @staticmethod
    def _token(version, start):
        return base64.urlsafe_b64encode(encoding.compact({"v": "meta.k8s.io/v1", "rv": version, "start": start})).decode().rstrip("=")

    @staticmethod
    def _untoken(token):
        try:
            said = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            return int(said["rv"]), list(said["start"])
        except (ValueError, KeyError, TypeError) as why:
            raise ValueError(f"continue key is not valid: {why}") from None

    def after(self, resource, version):
        """Changes newer than a version, oldest first; Expired when some of them may be gone. Who goes on watching puts a
        function of a change among the listeners: what is compacted later does not concern it."""
        if version < self.compacted:
            raise Expired(f"too old resource version: {version} ({self.compacted})")
        found = []
        for change in reversed(self.history[resource]):
            if change.version <= version:
                break
            found.append(change)
        return found[::-1]
