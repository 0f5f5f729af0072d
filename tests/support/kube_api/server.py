# SPDX-License-Identifier: Apache-2.0
"""The stand-in API server's HTTP side: who asks, what for, and the answer, as a real server words it. Runs in one asyncio
loop; __init__.py puts that into a thread and gives tests the means to change what is served."""
import asyncio
import collections
import email.utils
import hashlib
import random
import time
import uuid

from . import encoding, extras, http_wire, watching
from .resources import BY_PATH, BadSelector, both, field_selector, label_selector
from .store import Expired

REASON_OF = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed", 406: "NotAcceptable",
             409: "Conflict", 410: "Expired", 422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable",
             504: "Timeout"}
MESSAGE_OF = {401: "Unauthorized", 429: "the server is currently unable to handle the request, please try again later",
              500: "Internal error occurred: stand-in was told to fail", 503: "the server is currently unable to handle the request",
              504: "Timeout: Too large resource version"}


class Refused(Exception):
    def __init__(self, code, message, reason=None, retry_after=None, details=None, causes=None, metadata=None):
        super().__init__(message)
        self.code, self.message, self.reason, self.retry_after = code, message, reason, retry_after
        self.details, self.metadata = dict(details or {}), metadata or {}
        if causes:
            self.details["causes"] = causes


class Wants:
    """What a request is about: its resource, verb, and the encoding of the answer."""

    def __init__(self, request):
        self.resource = self.namespace = self.name = self.subresource = None
        self.verb, self.protobuf = "get", False
        self._path([part for part in request.path.split("/") if part], request)

    def _path(self, parts, request):
        if len(parts) >= 2 and parts[0] == "api":
            group, version, rest = "", parts[1], parts[2:]
        elif len(parts) >= 3 and parts[0] == "apis":
            group, version, rest = parts[1], parts[2], parts[3:]
        else:
            return
        if len(rest) >= 3 and rest[0] == "namespaces":
            self.namespace, rest = rest[1], rest[2:]
        if not rest:
            return
        self.group, self.version, self.plural = group, version, rest[0]
        self.resource = BY_PATH.get((group, version, rest[0]))
        if self.resource and self.namespace and not self.resource.namespaced:
            self.resource = None
        self.name = rest[1] if len(rest) > 1 else None
        self.subresource = rest[2] if len(rest) > 2 else None
        if not self.name:
            self.verb = "watch" if request.flag("watch") else "list"
        if self.subresource:
            self.verb = self.subresource

    def content_type(self, _server):
        if not self.protobuf:
            return encoding.JSON_TYPE
        return encoding.PROTOBUF_TYPE + (";stream=watch" if self.verb == "watch" else "")


class Server:
    def __init__(self, store, messages=None, options=None):
        self.store, self.messages, self.options = store, messages, options
        self.faults = []
        self.forbidden = set()   # (verb or None, plural, namespace or None)
        self.absent = set()      # plurals whose definition is not installed
        self.tokens = set()      # empty: anybody
        self.client_certificates = False
        self.logs = {}           # (namespace, pod, container, previous): text
        self.usage = {}          # ("node", name) or ("pod", namespace, name): (nanocores, kibibytes)
        self.requests = collections.deque(maxlen=20000)
        self.counts = collections.Counter()
        self.connections = set()
        self.watches = set()
        self.random = random.Random(7)

    # -- connections

    async def connection(self, reader, writer):
        peer = self._peer(writer)
        self.connections.add(writer)
        self.counts["connections"] += 1
        try:
            while True:
                request = await http_wire.read_request(reader, peer)
                if request is None or not await self._serve(request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, ValueError, TimeoutError):
            pass
        finally:
            self.connections.discard(writer)
            try:
                writer.close()
            except RuntimeError:  # the loop is closed already
                pass

    @staticmethod
    def _peer(writer):
        certificate = writer.get_extra_info("peercert") or {}
        names = {key: value for row in certificate.get("subject", ()) for key, value in row}
        return names.get("commonName")

    async def _serve(self, request, writer):
        """One request; whether the connection goes on."""
        wants = Wants(request)
        plural = wants.resource.plural if wants.resource else None
        fault = next((one for one in self.faults if one.takes(plural, wants.verb, request.path)), None)
        fixed = [("Audit-Id", str(uuid.UUID(int=self.random.getrandbits(128), version=4))), ("Cache-Control", "no-cache, private"),
                 ("Date", email.utils.formatdate(time.time() + self.options.clock, usegmt=True))]
        answer = http_wire.Answer(writer, request, fault if fault and fault.changes_body() else None, fixed)
        seen = {"method": request.method, "path": request.path, "query": dict(request.query), "verb": wants.verb, "resource": plural,
                "accept": request.headers.get("accept"), "encoding": request.headers.get("accept-encoding"),
                "user_agent": request.headers.get("user-agent"), "certificate": request.peer,
                "token": self._fingerprint(request), "status": None, "bytes": 0}
        self.requests.append(seen)
        self.counts[f"{wants.verb} {plural or request.path}"] += 1
        try:
            try:
                self._encoding(request, wants)
                if fault and not fault.changes_body():
                    await fault.instead(answer, self, wants)
                else:
                    self._authenticate(request)
                    await self._answer(request, wants, answer)
            except Refused as why:
                await self.status(answer, why.code, why.reason, why.message, why.retry_after, wants, why.details, why.metadata)
        finally:
            seen["status"], seen["bytes"] = answer.status, answer.sent
        return request.headers.get("connection", "").lower() != "close"

    @staticmethod
    def _fingerprint(request):
        said = request.headers.get("authorization", "")
        return hashlib.sha256(said[7:].encode()).hexdigest()[:12] if said.startswith("Bearer ") else None

    def _encoding(self, request, wants):
        """Protobuf if it is asked for before JSON and there is a message for it; 406 if neither will do."""
        for accepted in (request.headers.get("accept") or "*/*").split(","):
            kind = accepted.split(";")[0].strip()
            if kind == encoding.PROTOBUF_TYPE:
                resource = wants.resource
                if self.messages and (resource is None or not resource.custom and self.messages.message(resource.kind)):
                    wants.protobuf = True
                    return
            elif kind in (encoding.JSON_TYPE, "application/*", "*/*", "text/plain"):
                return
        if wants.verb not in ("log",):
            raise Refused(406, "only the following media types are accepted: application/json, application/yaml, "
                          "application/vnd.kubernetes.protobuf", "NotAcceptable")

    def _authenticate(self, request):
        if self.client_certificates and request.peer:
            return
        said = request.headers.get("authorization", "")
        if self.tokens and said.removeprefix("Bearer ") not in self.tokens or self.client_certificates and not self.tokens:
            raise Refused(401, "Unauthorized")

    # -- answers

    async def status(self, answer, code, reason, message, retry_after, wants, details=None, metadata=None):
        """A metav1.Status, in the encoding asked for."""
        details = dict(details or {})
        headers = []
        if retry_after is not None:
            headers.append(("Retry-After", retry_after))
            details["retryAfterSeconds"] = int(retry_after)
        if code == 429:
            headers += [("X-Kubernetes-PF-FlowSchema-UID", "6027abd0-aa72-4d3c-a2cb-42b534068f6d"),
                        ("X-Kubernetes-PF-PriorityLevel-UID", "f72ba9d7-6df9-4dd9-8720-be5485197492")]
        body = {"kind": "Status", "apiVersion": "v1", "metadata": metadata or {}, "status": "Failure",
                "message": message or MESSAGE_OF.get(code, f"stand-in was told to answer {code}"),
                "reason": reason or REASON_OF.get(code, ""), **({"details": details} if details else {}), "code": code}
        kind, data = self.encoded(body, wants.protobuf)
        await answer.whole(code, kind, data, headers)

    def encoded(self, value, protobuf):
        descriptor = protobuf and self.messages and self.messages.message(value["kind"])
        if descriptor:
            return encoding.PROTOBUF_TYPE, encoding.unknown(value["apiVersion"], value["kind"], self.messages.encode(descriptor, value))
        return encoding.JSON_TYPE, encoding.compact(value) + b"\n"

    async def _answer(self, request, wants, answer):
        if not wants.resource or wants.plural in self.absent:
            if request.method != "GET":
                raise Refused(405, "the server does not allow this method on the requested resource")
            await extras.answer(self, request, wants, answer)
            return
        verb = wants.verb if request.method == "GET" else {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(
            request.method, request.method.lower())
        self.allow(request, wants, "get" if wants.subresource and request.method == "GET" else verb)
        if request.method != "GET":
            raise Refused(405, f"stand-in is changed through its control interface, not by {request.method}")
        if wants.subresource == "log" and wants.resource.plural == "pods":
            await extras.log(self, request, wants, answer)
        elif wants.subresource:
            raise Refused(404, "the server could not find the requested resource")
        elif wants.name:
            await self._get(wants, answer)
        elif wants.verb == "watch":
            await watching.watch(self, request, wants, answer, self.selector(request, wants))
        else:
            await self._list(request, wants, answer)

    def allow(self, request, wants, verb, plural=None, group=None):
        plural = plural or wants.plural
        for rule_verb, rule_plural, rule_namespace in self.forbidden:
            if rule_plural == plural and rule_verb in (None, verb) and rule_namespace in (None, wants.namespace):
                where = f'in the namespace "{wants.namespace}"' if wants.namespace else "at the cluster scope"
                of = f"{plural}/log" if wants.subresource == "log" else plural
                name = f' "{wants.name}"' if wants.name else ""
                raise Refused(403, f'{plural}{"." + wants.group if wants.group else ""}{name} is forbidden: User '
                              f'"{request.peer or "system:serviceaccount:sre:edge"}" cannot {verb} resource "{of}" in API group '
                              f'"{wants.group if group is None else group}" {where}', details={"kind": plural})

    def selector(self, request, wants):
        try:
            fields = field_selector(request.query.get("fieldSelector"), wants.resource.kind)
            return both(fields, label_selector(request.query.get("labelSelector")))
        except BadSelector as why:
            raise Refused(400, str(why)) from None

    async def _get(self, wants, answer):
        stored = self.store.get(wants.resource, wants.name, wants.namespace or "")
        if not stored:
            of = f"{wants.plural}.{wants.group}" if wants.group else wants.plural
            raise Refused(404, f'{of} "{wants.name}" not found', details={"name": wants.name, "kind": wants.plural})
        if wants.protobuf:
            await answer.whole(200, encoding.PROTOBUF_TYPE, stored.envelope(self.messages))
        else:
            await answer.whole(200, encoding.JSON_TYPE, stored.whole() + b"\n")

    def version_asked(self, request):
        """resourceVersion as a number, or None where it is unset or '0'. One that is newer than everything is refused."""
        text = request.query.get("resourceVersion", "")
        if text in ("", "0"):
            return None
        try:
            version = int(text)
        except ValueError:
            raise Refused(400, f'Invalid value: "{text}": invalid resource version') from None
        if version > self.store.version and request.flag("watch") and self.options.too_new != "refuse":
            return version if self.options.too_new == "wait" else self.store.version
        if version > self.store.version:
            raise Refused(504, f"Timeout: Too large resource version: {version}, current: {self.store.version}", "Timeout", 1,
                          causes=[{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}])
        return version

    async def _list(self, request, wants, answer):
        query = request.query
        limit, token = int(query.get("limit") or 0), query.get("continue")
        if token and query.get("resourceVersion"):
            raise Refused(400, "specifying resource version is not allowed when using continue")
        version = self.version_asked(request)
        if version is not None and query.get("resourceVersionMatch") == "Exact" and version < self.store.compacted:
            raise Refused(410, f"too old resource version: {version} ({self.store.version})", "Expired")
        if query.get("resourceVersion") == "0" and self.options.cache_ignores_limit:
            limit = 0
        try:
            rows, version, more, remain = self.store.list(wants.resource, wants.namespace, self.selector(request, wants), limit, token)
        except Expired as why:
            raise Refused(410, str(why), "Expired", metadata={"continue": why.fresh}) from None
        except ValueError as why:
            raise Refused(400, str(why)) from None
        meta = {"resourceVersion": str(version), **({"continue": more} if more else {}),
                **({"remainingItemCount": remain} if more and remain else {})}
        await answer.whole(200, *self._list_body(wants, meta, rows), zip_from=self.options.zip_from)

    def _list_body(self, wants, meta, rows):
        kind, api = wants.resource.kind + "List", wants.resource.api_version
        if wants.protobuf:
            head = encoding.field(1, self.messages.encode(self.messages.message("ListMeta"), meta))
            raw = head + b"".join(encoding.field(2, row.raw(self.messages)) for row in rows)
            return encoding.PROTOBUF_TYPE, encoding.unknown(api, kind, raw)
        head = encoding.compact({"kind": kind, "apiVersion": api, "metadata": meta})[:-1]
        return encoding.JSON_TYPE, head + b',"items":[' + b",".join(row.item() for row in rows) + b"]}\n"
