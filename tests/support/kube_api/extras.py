# SPDX-License-Identifier: Apache-2.0
"""What is asked of an API server besides lists and watches: version, discovery, health, pod logs, metrics of nodes and pods."""
import zlib

from . import encoding
from .resources import ROWS


async def answer(server, request, wants, out):
    from .server import Refused
    path = request.path.rstrip("/") or "/"
    if path in ("/healthz", "/livez", "/readyz"):
        await out.whole(200, "text/plain; charset=utf-8", b"ok")
    elif path == "/version":
        await _json(out, {"major": "1", "minor": server.options.version.split(".")[1], "gitVersion": "v" + server.options.version,
                          "gitCommit": "0" * 40, "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z",
                          "goVersion": "go1.25.0", "compiler": "gc", "platform": "linux/amd64"})
    elif path.startswith("/apis/metrics.k8s.io/v1beta1/"):
        await _metrics(server, request, wants, out)
    elif not await _discovery(server, path, out):
        if wants.resource is None and not path.startswith(("/api/", "/apis/")):
            await out.whole(404, "text/plain; charset=utf-8", b"404 page not found\n")
        else:
            raise Refused(404, "the server could not find the requested resource")


async def _json(out, value):
    await out.whole(200, encoding.JSON_TYPE, encoding.compact(value) + b"\n")


async def _discovery(server, path, out):
    rows = [row for row in ROWS if row.plural not in server.absent]
    groups = {row.api_version: row for row in rows if row.group}
    if path == "/api":
        await _json(out, {"kind": "APIVersions", "versions": ["v1"]})
    elif path == "/apis":
        await _json(out, {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
            {"name": row.group, "versions": [{"groupVersion": name, "version": row.version}],
             "preferredVersion": {"groupVersion": name, "version": row.version}} for name, row in sorted(groups.items())]})
    else:
        found = [row for row in rows if row.base == path]
        if not found:
            return False
        await _json(out, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": found[0].api_version, "resources": [
            {"name": row.plural, "singularName": row.kind.lower(), "namespaced": row.namespaced, "kind": row.kind,
             "verbs": ["get", "list", "watch"]} for row in found]})
    return True


async def log(server, request, wants, out):
    """The log of one container, as GET .../pods/NAME/log words its refusals."""
    from .server import Refused
    pod = server.store.get("pods", wants.name, wants.namespace or "")
    if not pod:
        raise Refused(404, f'pods "{wants.name}" not found', details={"name": wants.name, "kind": "pods"})
    names = [one["name"] for one in pod.value["spec"].get("containers", [])]
    all_names = names + [one["name"] for one in pod.value["spec"].get("initContainers", [])]
    container, previous = request.query.get("container"), request.flag("previous")
    if not container and len(names) > 1:
        raise Refused(400, f"a container name must be specified for pod {wants.name}, choose one of: [{' '.join(names)}]")
    container = container or names[0]
    if container not in all_names:
        raise Refused(400, f"container {container} is not valid for pod {wants.name}")
    text = server.logs.get((wants.namespace, wants.name, container, previous))
    if text is None:
        if previous and not _has_previous(pod.value, container):
            raise Refused(400, f'previous terminated container "{container}" in pod "{wants.name}" not found')
        text = "".join(f"{wants.name} {container} line {i}\n" for i in range(1, 101))
    data = text if isinstance(text, bytes) else text.encode()
    if "tailLines" in request.query:
        count = int(request.query["tailLines"])
        data = b"".join(data.splitlines(keepends=True)[-count:]) if count else b""
    if "limitBytes" in request.query:
        data = data[:int(request.query["limitBytes"])]
    await out.start(200, "text/plain")
    for at in range(0, len(data), 8192):
        await out.piece(data[at:at + 8192])
    await out.end()


def _has_previous(pod, container):
    status = pod.get("status", {})
    return any(one["name"] == container and (one.get("lastState") or {}).get("terminated")
               for one in status.get("containerStatuses", []) + status.get("initContainerStatuses", []))


async def _metrics(server, request, wants, out):
    from .server import Refused
    if not server.options.metrics:
        raise Refused(404, "the server could not find the requested resource")
    plural = getattr(wants, "plural", None)
    if plural not in ("nodes", "pods"):
        raise Refused(404, "the server could not find the requested resource")
    server.allow(request, wants, "get" if wants.name else "list", plural)
    rows = [row for row in server.store.ordered(resource_row(plural))
            if (not wants.namespace or row.key[0] == wants.namespace) and (not wants.name or row.key[1] == wants.name)]
    if wants.name and not rows:
        raise Refused(404, f'{plural}.metrics.k8s.io "{wants.name}" not found')
    items = [_usage(server, plural, row) for row in rows if plural == "nodes" or row.value.get("status", {}).get("phase") == "Running"]
    kind, api = ("NodeMetrics" if plural == "nodes" else "PodMetrics"), "metrics.k8s.io/v1beta1"
    if wants.name:
        await _json(out, {"kind": kind, "apiVersion": api, **items[0]})
    else:
        await _json(out, {"kind": kind + "List", "apiVersion": api, "metadata": {}, "items": items})


def resource_row(plural):
    return next(row for row in ROWS if row.plural == plural)


def _usage(server, plural, row):
    """Figures that are the same in every run: from the name, unless a test has set them."""
    stamp = {"timestamp": "2026-03-02T09:10:00Z", "window": "15s"}
    mark = zlib.crc32(row.key[1].encode())
    if plural == "nodes":
        cpu, memory = server.usage.get(("node", row.key[1]), (100_000_000 + mark % 3_000_000_000, 500_000 + mark % 3_000_000))
        return {"metadata": {"name": row.key[1]}, **stamp, "usage": {"cpu": f"{cpu}n", "memory": f"{memory}Ki"}}
    names = [one["name"] for one in row.value["spec"].get("containers", [])]
    cpu, memory = server.usage.get(("pod", *row.key), (1_000_000 + mark % 200_000_000, 10_000 + mark % 200_000))
    return {"metadata": {"namespace": row.key[0], "name": row.key[1]}, **stamp, "containers": [
        {"name": name, "usage": {"cpu": f"{cpu // len(names)}n", "memory": f"{memory // len(names)}Ki"}} for name in names]}
