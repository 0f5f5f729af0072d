# SPDX-License-Identifier: Apache-2.0
"""A stand-in Argo CD API server for tests, from the recorded answers: sessions and tokens, the list, the stream of changes
as bare lines or server-sent events, `fields`, and what goes wrong with each of them.

    argo = ArgoCd().start()
    argo.load_recorded(); argo.apply(application("cart", health="Degraded")); argo.delete("cart")
    argo.fault("list", status=503, count=2); argo.fault("stream", silent=True); argo.drop()"""
import asyncio
import copy
import json
import secrets
import threading
import time
import uuid

from kube_api import encoding, http_wire


def application(name, namespace="argocd", health="Healthy", sync="Synced", phase="Succeeded", labels=None, server="https://kubernetes.default.svc",
                message=None, destination=None):
    """An Application as Argo CD has it."""
    status = {"health": {"status": health, "lastTransitionTime": "2026-03-02T09:01:00Z", **({"message": message} if message else {})} if health else {},
              "sync": {"status": sync, "revision": "3f5e1c0b9a6d4d2f8b7a6c5d4e3f2a1b0c9d8e7f"},
              "reconciledAt": "2026-03-02T09:02:00Z", "resources": [{"kind": "Deployment", "name": name, "status": "Synced"}] * 3}
    if phase:
        status["operationState"] = {"phase": phase, "message": f"operation {phase.lower()}", "startedAt": "2026-03-02T09:00:00Z"}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})},
            "spec": {"project": "default", "destination": destination or {"server": server, "namespace": name},
                     "source": {"repoURL": "https://git.example.com/gitops.git", "path": f"apps/{name}", "targetRevision": "HEAD"}},
            "status": status}


def only(value, paths):
    """`fields`: what is at these dotted paths, through lists."""
    if isinstance(value, list):
        return [only(one, paths) for one in value]
    if not isinstance(value, dict) or [] in paths:
        return value
    kept = {}
    for name, content in value.items():
        inner = [path[1:] for path in paths if path[0] == name]
        if inner:
            kept[name] = only(content, inner)
    return kept


class ArgoCd:
    """The server in a thread; every method may be called from any thread."""

    def __init__(self, username="admin", password="secret", token_seconds=None, contracts=None):
        self.contracts = contracts or encoding.contracts_folder()
        self.accounts, self.token_seconds = {username: password}, token_seconds
        self.tokens = {}           # token: until when it is good
        self.applications = {}     # (namespace, name): application
        self.version = 500000
        self.faults = []
        self.watchers = set()      # queues
        self.connections = set()
        self.requests = []
        self.keepalive_seconds, self.bare = 15.0, False   # bare: event streams are not known here
        self.logins_refused = 0
        self.loop, self.thread, self.port = asyncio.new_event_loop(), None, None

    def start(self, port=0):
        ready = threading.Event()

        async def begin():
            self.listener = await asyncio.start_server(self._connection, "127.0.0.1", port)
            self.port = self.listener.sockets[0].getsockname()[1]
            ready.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.create_task(begin())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, name="argocd", daemon=True)
        self.thread.start()
        ready.wait()
        return self

    def close(self):
        self.drop()
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _stop(self):
        self.listener.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, call):
        done, box = threading.Event(), []
        self.loop.call_soon_threadsafe(lambda: (box.append(call()), done.set()))
        done.wait()
        return box[0]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    # -- what a test does

    def apply(self, value):
        self._run(lambda: self._apply(copy.deepcopy(value)))

    def _apply(self, value):
        self.version += 1
        meta = value["metadata"]
        meta.setdefault("namespace", "argocd")
        key = (meta["namespace"], meta["name"])
        before = self.applications.get(key)
        meta["uid"] = before["metadata"]["uid"] if before else meta.get("uid") or str(uuid.uuid4())
        meta["resourceVersion"] = str(self.version)
        # Items of Argo CD's API carry neither kind nor apiVersion.
        self.applications[key] = {name: content for name, content in value.items() if name not in ("kind", "apiVersion")}
        self._tell("MODIFIED" if before else "ADDED", self.applications[key])

    def delete(self, name, namespace="argocd"):
        self._run(lambda: self._tell("DELETED", self.applications.pop((namespace, name))))

    def load_recorded(self):
        """The recorded list; how many. None where the recorded files are not beside this checkout."""
        if not self.contracts:
            return None
        path = self.contracts / "fixtures/argocd/list/applications.json"
        items = json.loads(path.read_text(encoding="utf-8"))["items"]
        for item in items:
            self.apply(item)
        return len(items)

    def new_token(self, seconds=None):
        token = secrets.token_urlsafe(24)
        self._run(lambda: self.tokens.__setitem__(token, time.monotonic() + seconds if seconds else float("inf")))
        return token

    def expire_tokens(self):
        self._run(self.tokens.clear)

    def fault(self, where, count=-1, **how):
        """where: session, list, stream. how: status= (and retry_after=), location=; of a stream: silent=True, error="...",
        line=b"..." (raw bytes), cut=True (ends after the first applications), endless=True; of a list: body=b"...", stall=True."""
        one = {"where": where, "left": count, **how}
        self._run(lambda: self.faults.insert(0, one))

    def heal(self):
        self._run(self.faults.clear)

    def drop(self):
        """Resets every connection."""
        return self._run(lambda: len([writer.transport.abort() for writer in list(self.connections)]))

    def end_streams(self):
        self._run(lambda: [queue.put_nowait(None) for queue in self.watchers] and None)

    def asked(self, path):
        return self._run(lambda: [one for one in self.requests if one["path"] == path])

    def stream_count(self):
        return self._run(lambda: len(self.watchers))

    # -- the server

    def _tell(self, kind, value):
        for queue in self.watchers:
            queue.put_nowait({"result": {"type": kind, "application": value}})

    async def _connection(self, reader, writer):
        self.connections.add(writer)
        try:
            while True:
                request = await http_wire.read_request(reader, None)
                if request is None:
                    break
                await self._serve(request, http_wire.Answer(writer, request))
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()

    async def _serve(self, request, answer):
        where = {"/api/v1/session": "session", "/api/v1/applications": "list", "/api/v1/stream/applications": "stream"}.get(request.path)
        self.requests.append({"path": request.path, "method": request.method, "query": dict(request.query), "headers": dict(request.headers)})
        fault = next((one for one in self.faults if one["where"] == where and one["left"] != 0), {})
        if fault:
            fault["left"] -= fault["left"] > 0
        if "status" in fault:
            more = [("Retry-After", fault["retry_after"])] if "retry_after" in fault else []
            more += [("Location", fault["location"])] if "location" in fault else []
            await self._refuse(answer, fault["status"], 14, fault.get("message", "told to fail"), more)
        elif request.path == "/api/version":
            await self._json(answer, {"Version": "v3.5.1+abc1234"})
        elif where == "session":
            await self._session(request, answer)
        elif where and self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "), 0) < time.monotonic():
            await self._refuse(answer, 401, 16, "no session information")
        elif where == "list":
            await self._list(request, answer, fault)
        elif where == "stream":
            await self._stream(request, answer, fault)
        else:
            await self._refuse(answer, 404, 5, "Not Found")

    @staticmethod
    async def _json(answer, value, status=200, more=()):
        await answer.whole(status, "application/json", encoding.compact(value), more)

    async def _refuse(self, answer, status, code, message, more=()):
        await self._json(answer, {"error": message, "code": code, "message": message}, status, more)

    async def _session(self, request, answer):
        if request.method != "POST" or request.headers.get("content-type") != "application/json":
            await self._refuse(answer, 415, 3, "Invalid content type")
            return
        said = json.loads(request.body)
        if self.accounts.get(said.get("username")) != said.get("password"):
            self.logins_refused += 1
            await self._refuse(answer, 401, 16, "Invalid username or password")
            return
        token = secrets.token_urlsafe(24)
        self.tokens[token] = time.monotonic() + self.token_seconds if self.token_seconds else float("inf")
        await self._json(answer, {"token": token})

    def _fields(self, request):
        return [path.split(".") for path in filter(None, request.query.get("fields", "").split(","))]

    async def _list(self, request, answer, fault):
        if fault.get("stall"):
            await asyncio.sleep(3600)
        items = list(self.applications.values()) or None
        value = {"metadata": {"resourceVersion": str(self.version)}, "items": items}
        fields = self._fields(request)
        body = fault.get("body") or encoding.compact(only(value, fields) if fields else value)
        await answer.whole(200, "application/json", body, zip_from=1 << 12)

    async def _stream(self, request, answer, fault):
        events = request.headers.get("accept") == "text/event-stream" and not self.bare
        fields = self._fields(request)

        def line(value):
            data = encoding.compact(only(value, fields) if fields else value)
            return b"data: " + data + b"\n\n" if events else data + b"\n"
        queue = asyncio.Queue()
        self.watchers.add(queue)
        started = False

        async def say(data):
            nonlocal started
            if not started:  # like grpc-gateway: not a byte before there is something to say
                await answer.start(200, "text/event-stream" if events else "application/json")
                started = True
            await answer.piece(data)
        try:
            if not request.query.get("resourceVersion"):
                for value in list(self.applications.values()):
                    await say(line({"result": {"type": "ADDED", "application": value}}))
            if fault.get("silent"):
                await asyncio.sleep(3600)
            if "error" in fault:
                await say(line({"error": {"grpc_code": 14, "http_code": 503, "message": fault["error"], "http_status": "Service Unavailable"}}))
            if "line" in fault:
                await say(fault["line"])
            while fault.get("endless"):
                await say(b"x" * 65536)
            while not fault.get("cut") and "error" not in fault:
                try:
                    value = await asyncio.wait_for(queue.get(), self.keepalive_seconds if events else 1.0)
                except asyncio.TimeoutError:
                    if answer.writer.transport.is_closing():
                        return
                    if events:
                        await say(b":\n\n")
                    continue
                if value is None:
                    break
                await say(line(value))
            if started:
                await answer.end()
            else:
                await answer.whole(200, "application/json", b"")
        finally:
            self.watchers.discard(queue)
