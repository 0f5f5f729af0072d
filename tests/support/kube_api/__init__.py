# SPDX-License-Identifier: Apache-2.0
"""A stand-in Kubernetes API server for tests: KubeApi is the server in a thread, and everything a test can do to it.

    api = KubeApi().start()
    api.load_recorded()                                  # the recorded objects, where they are
    api.apply({...}); api.delete("pods", "p", "shop")    # changes, seen by watches at once
    api.fault("status", resource="pods", verb="list", count=2, code=429, retry_after=1)
    api.kubeconfig(folder / "config"); api.service_account(folder / "sa")
    api.close()

The same methods can be called from another process through the control port: POST {"do": "apply", "with": {...}} (KubeControl,
or curl)."""
import asyncio
import json
import os
import pathlib
import secrets
import ssl
import subprocess
import threading
import urllib.request

from . import control, encoding, population, recorded
from .faults import Fault
from .server import Server
from .store import Store

TOP = encoding.TOP


class Options:
    """How this server differs from another real one."""

    def __init__(self, **given):
        self.bookmark_seconds = 60.0       # between two bookmarks of a watch
        self.bookmarks = True
        self.watch_seconds_max = 3600.0    # every watch is ended by then
        self.streaming_lists = True        # sendInitialEvents is known
        self.gone_as = "event"             # how a watch from a compacted version is refused: "event" (ERROR under 200) or "http"
        self.cache_ignores_limit = True    # resourceVersion=0 answers everything, as servers do
        self.metrics = True                # metrics-server is installed
        self.zip_from = 1 << 17            # bodies from this size on are compressed for those who ask
        self.zip_watches = False
        self.too_new = "refuse"            # a watch from a version that is yet to come: "refuse" (504), "wait" (nothing comes until then, no bookmark
                                           # either), "clamp" (taken for one from now on)
        self.clock = 0.0                   # its clock is so many seconds ahead of this machine's; the Date of every answer
        self.version = "1.34.1"
        for name, value in given.items():
            self.set(name, value)

    def set(self, name, value):
        if name not in vars(self):
            raise ValueError(f"no option is called '{name}' (known: {', '.join(vars(self))})")
        setattr(self, name, value)


# What the control port offers to other processes.
CONTROLS = ("apply", "delete", "get", "load", "load_recorded", "populate", "churn", "compact", "bump", "roll_back", "drop", "end_watches", "fault", "release",
            "heal", "forbid", "allow", "absent", "present", "option", "set_log", "set_usage", "token", "rotate_token", "requests", "counts", "version",
            "watch_count", "state")


class KubeApi:
    """Every method may be called from any thread; what changes the server runs in its loop."""

    def __init__(self, first_version=880160, seed=1, protobuf=True, contracts=None, **options):
        self.contracts = pathlib.Path(contracts) if contracts else encoding.contracts_folder()
        self.options = Options(**options)
        messages = encoding.Messages(self.contracts) if protobuf else None
        self.messages = messages if messages and messages.source != "nothing" else None
        self.store = Store(first_version, seed)
        self.server = Server(self.store, self.messages, self.options)
        self.port = self.control_port = None
        self.address, self.pki, self.current_token, self.token_files = "127.0.0.1", None, None, []
        self.loop, self.thread, self.churning = asyncio.new_event_loop(), None, None
        self.seed = seed

    # -- life

    def start(self, address="127.0.0.1", port=0, tls=None, client_certificates=False, control_port=0):
        """tls: a folder for certificates (made there; the server is localhost, 127.0.0.1 and ::1); None: plain HTTP."""
        self.address = address
        context = None
        if tls:
            self.pki = pathlib.Path(tls)
            certify(self.pki, "server", "apiserver")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.pki / "apiserver.crt", self.pki / "apiserver.key")
            if client_certificates:
                context.load_verify_locations(self.pki / "ca.crt")
                context.verify_mode = ssl.CERT_OPTIONAL
                self.server.client_certificates = True
        ready = threading.Event()
        failed = []

        async def begin():
            try:
                self.listener = await asyncio.start_server(self.server.connection, address, port, ssl=context, limit=1 << 16)
                self.port = self.listener.sockets[0].getsockname()[1]
                self.controller = await asyncio.start_server(control.connection(self), "127.0.0.1", control_port)
                self.control_port = self.controller.sockets[0].getsockname()[1]
            except OSError as why:
                failed.append(why)
            ready.set()

        def run():
            asyncio.set_event_loop(self.loop)
            self.loop.create_task(begin())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, name="kube_api", daemon=True)
        self.thread.start()
        ready.wait()
        if failed:
            raise failed[0]
        return self

    def close(self):
        if not self.thread:
            return
        self.drop()
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.thread = None
        self.loop.close()

    async def _stop(self):
        self.listener.close()
        self.controller.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, function, *words, **named):
        """In the loop's thread; its result."""
        if not self.thread or threading.current_thread() is self.thread:
            return function(*words, **named)
        done, box = threading.Event(), []

        def call():
            try:
                box.append((function(*words, **named), None))
            except Exception as why:  # handed on to the caller
                box.append((None, why))
            done.set()

        self.loop.call_soon_threadsafe(call)
        done.wait()
        if box[0][1]:
            raise box[0][1]
        return box[0][0]

    @property
    def url(self):
        return f"{'https' if self.pki else 'http'}://{self.address}:{self.port}"

    # -- objects

    def apply(self, value=None, **named):
        """Creates an object, or replaces it: ADDED or MODIFIED for those who watch. Several at once: a list."""
        values = value if isinstance(value, list) else [value or named]
        kept = self._run(lambda: [self.store.apply(one) for one in values])
        return kept if isinstance(value, list) else kept[0]

    def delete(self, resource, name, namespace=""):
        return self._run(self.store.delete, resource, name, namespace)

    def get(self, resource, name, namespace=""):
        stored = self._run(self.store.get, resource, name, namespace)
        return stored.value if stored else None

    def load(self, value):
        """Puts objects there as they are, with their versions and without events."""
        values = value if isinstance(value, list) else [value]
        return self._run(lambda: [self.store.load(one) for one in values])

    def load_recorded(self):
        """Every recorded object; how many. None when the recorded files are not beside this checkout."""
        if not self.contracts:
            return None
        return len(self.load([value for _, value in recorded.objects(self.contracts)]))

    def populate(self, **sizes):
        """A cluster made up of many objects (see population.py); how many. Encodes all of them beforehand."""
        self.population = population.Population(**{"seed": self.seed, **sizes})
        values = self.population.objects()

        def put():
            for value in values:
                self.store.load(value)
            if self.messages:
                for rows in self.store.objects.values():
                    for row in rows.values():
                        if not row.resource.custom and self.messages.message(row.resource.kind):
                            row.raw(self.messages)
        self._run(put)
        return len(values)

    def churn(self, per_second=50.0):
        """That many object changes a second from now on, of the made-up cluster; 0 ends it."""
        def begin():
            if self.churning:
                self.churning.cancel()
                self.churning = None
            if per_second > 0:
                self.churning = self.loop.create_task(self.population.churn(self.store, per_second))
        self._run(begin)

    # -- the server's state

    def compact(self, through=None):
        return self._run(self.store.compact, through)

    def bump(self, by=1):
        self._run(self.store.bump, by)

    def roll_back(self, version):
        def back():
            self.store.roll_back(version)
            for one in self.server.watches:
                one.after = 0
        self._run(back)

    def restart(self, version=None, without=()):
        """A server process that starts again, on a store that was restored at that version if one is given. Its cache begins
        with its start: a watch from a version before that is refused (410), as by kube-apiserver 1.36."""
        def again():
            for writer in list(self.server.connections):
                writer.transport.abort()
            if version is not None:
                self.store.roll_back(version, without)
            self.store.compact()
        self._run(again)

    def version(self):
        return str(self._run(lambda: self.store.version))

    def token(self, value=None):
        """A bearer token that is good from now on; before the first one, nobody needs any."""
        value = value or secrets.token_urlsafe(24)
        self._run(self.server.tokens.add, value)
        self.current_token = value
        return value

    def rotate_token(self, keep_old=False):
        """A new token; the old ones are bad from now on. The files that service_account() wrote hold the new one."""
        if not keep_old:
            self._run(self.server.tokens.clear)
        value = self.token()
        for path in self.token_files:
            new = path.with_suffix(".new")
            new.write_text(value, encoding="ascii")
            os.replace(new, path)
        return value

    def forbid(self, resource, verb=None, namespace=None):
        self._run(self.server.forbidden.add, (verb, resource, namespace))

    def allow(self, resource, verb=None, namespace=None):
        self._run(self.server.forbidden.discard, (verb, resource, namespace))

    def absent(self, resource):
        """As if the definition of that resource were not installed: 404."""
        self._run(self.server.absent.add, resource)

    def present(self, resource):
        self._run(self.server.absent.discard, resource)

    def option(self, name, value):
        self._run(self.options.set, name, value)

    def set_log(self, namespace, pod, container, text, previous=False):
        self._run(self.server.logs.__setitem__, (namespace, pod, container, previous), text)

    def set_usage(self, name, nanocores, kibibytes, namespace=None):
        key = ("pod", namespace, name) if namespace else ("node", name)
        self._run(self.server.usage.__setitem__, key, (nanocores, kibibytes))

    # -- what goes wrong

    def fault(self, kind, resource=None, verb=None, count=-1, path=None, **more):
        """The next `count` matching requests (all, if below 0) go wrong in that way: see faults.py. It comes before older ones."""
        one = Fault(kind, resource, verb, count, path, **more)
        self._run(self.server.faults.insert, 0, one)
        return one

    def release(self):
        """What is stalled, hung, slow or endless goes on or ends."""
        self._run(lambda: [one.released.set() for one in self.server.faults])

    def heal(self):
        """No fault is left."""
        self.release()
        self._run(self.server.faults.clear)

    def drop(self):
        """Resets every connection; how many there were."""
        def cut():
            all_of_them = list(self.server.connections)
            for writer in all_of_them:
                writer.transport.abort()
            return len(all_of_them)
        return self._run(cut)

    def end_watches(self):
        """Ends every watch without an error, as servers do when its time is over."""
        return self._run(lambda: len([one.end() for one in list(self.server.watches)]))

    # -- what was asked

    def requests(self, **wanted):
        """The requests so far (the last 20,000) whose members are these."""
        found = self._run(lambda: [dict(one) for one in self.server.requests])
        return [one for one in found if all(one.get(key) == value for key, value in wanted.items())]

    def counts(self):
        return self._run(lambda: dict(self.server.counts))

    def watch_count(self, resource=None):
        """How many watches are open."""
        return self._run(lambda: sum(1 for one in self.server.watches if resource in (None, one.wants.plural)))

    def state(self):
        """Every object as it is: {plural: {"namespace/name": object}}, to hold against what a client believes."""
        return self._run(lambda: {resource.plural: {"/".join(key): row.value for key, row in rows.items()}
                                  for resource, rows in self.store.objects.items() if rows})

    # -- ways in for clients

    def kubeconfig(self, path, client=None, token_file=None, insecure=False, exec_command=None, host=None):
        """Writes a kubeconfig for this server; client: the common name of a certificate that is made for it."""
        cluster, user = {"server": self.url if not host else self.url.replace(self.address, host)}, {}
        if self.pki and not insecure:
            cluster["certificate-authority"] = str(self.pki / "ca.crt")
        if insecure:
            cluster["insecure-skip-tls-verify"] = True
        if client:
            certify(self.pki, "client", client, client)
            user = {"client-certificate": str(self.pki / f"{client}.crt"), "client-key": str(self.pki / f"{client}.key")}
        elif exec_command:
            user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(exec_command[0]), "args": list(map(str, exec_command[1:])),
                             "interactiveMode": "Never"}}
        elif token_file:
            user = {"tokenFile": str(token_file)}
        elif self.current_token:
            user = {"token": self.current_token}
        pathlib.Path(path).write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "stand-in", "clusters": [{"name": "stand-in", "cluster": cluster}],
            "users": [{"name": "tests", "user": user}],
            "contexts": [{"name": "stand-in", "context": {"cluster": "stand-in", "user": "tests"}}]}, indent=1), encoding="utf-8")
        return path

    def service_account(self, folder, namespace="sre"):
        """A folder as it is mounted into a pod: token (a new one, rotated by rotate_token()), ca.crt, namespace."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text(self.current_token or self.token(), encoding="ascii")
        (folder / "namespace").write_text(namespace, encoding="ascii")
        if self.pki:
            (folder / "ca.crt").write_bytes((self.pki / "ca.crt").read_bytes())
        self.token_files.append(folder / "token")
        return folder


def certify(folder, *words):
    made = subprocess.run([TOP / "platforms/local/certificates", folder, *words], capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(made.stderr)


class KubeControl:
    """A KubeApi of another process, by its control port: the same methods, as far as CONTROLS has them."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/"

    def __getattr__(self, name):
        if name not in CONTROLS:
            raise AttributeError(name)

        def call(*words, **named):
            body = json.dumps({"do": name, "words": words, "with": named}).encode()
            with urllib.request.urlopen(urllib.request.Request(self.url, body), timeout=60) as answer:
                said = json.loads(answer.read())
            if "error" in said:
                raise RuntimeError(said["error"])
            return said.get("result")
        return call
