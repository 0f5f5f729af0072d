# SPDX-License-Identifier: Apache-2.0
"""The stand-in API server is judged before it judges: what it says is held against the recorded answers of real ones."""
import gzip
import http.client
import json
import pathlib
import ssl
import struct
import time
import urllib.parse

import pytest
from harness import eventually
from kube_api import KubeApi, KubeControl, encoding

CONTRACTS = encoding.contracts_folder()
PROTOBUF = {"Accept": "application/vnd.kubernetes.protobuf, application/json"}
recorded = pytest.mark.skipif(CONTRACTS is None, reason="no recorded objects beside this checkout (../shared/contracts/fixtures)")


@pytest.fixture(name="api")
def an_api():
    api = KubeApi(bookmark_seconds=0.2).start()
    if api.messages is None:
        print("the protobuf half is not tested: protoc or the .proto files are missing")
    yield api
    api.close()


class Client:
    """A connection that reads an answer piece by piece."""

    def __init__(self, api, path, headers=None, context=None, host="127.0.0.1", **query):
        kind = (lambda: http.client.HTTPSConnection(host, api.port, timeout=10, context=context)) if context else (
            lambda: http.client.HTTPConnection(host, api.port, timeout=10))
        self.connection = kind()
        self.connection.request("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""), headers=headers or {})
        self.answer = self.connection.getresponse()
        self.status = self.answer.status

    def body(self):
        data = self.answer.read()
        self.connection.close()
        return gzip.decompress(data) if self.answer.getheader("Content-Encoding") == "gzip" else data

    def json(self):
        return json.loads(self.body())

    def event(self):
        line = self.answer.readline()
        return json.loads(line) if line.strip() else None

    def frame(self):
        size = self.answer.read(4)
        return size + self.answer.read(struct.unpack(">I", size)[0])


def fixture(name):
    return (CONTRACTS / "fixtures/kubernetes" / name).read_bytes()


def pod(name, namespace="shop", **more):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": {"containers": [{"name": "main"}]}, **more}


def names(items):
    return [one["metadata"]["name"] for one in items]


def watch(api, version=None, resource="pods", headers=None, **query):
    more = {"resourceVersion": version} if version else {}
    return Client(api, f"/api/v1/{resource}", headers, watch=1, **more, **query)


# -- encodings


@recorded
def test_lists_and_objects_have_the_recorded_bytes(api):
    nodes = json.loads(fixture("lists/nodelist.json"))
    api.load([{"apiVersion": "v1", "kind": "Node", **one} for one in nodes["items"]])
    api.store.version = int(nodes["metadata"]["resourceVersion"])
    answer = Client(api, "/api/v1/nodes", PROTOBUF)
    assert answer.answer.getheader("Content-Type") == "application/vnd.kubernetes.protobuf"
    assert answer.body() == fixture("lists/nodelist.pb")
    assert Client(api, "/api/v1/nodes").json() == nodes
    api.apply(json.loads(fixture("pods/oomkilled-crashloop.json")))
    value = json.loads(fixture("pods/oomkilled-crashloop.json"))
    api.load(value)
    path = f"/api/v1/namespaces/{value['metadata']['namespace']}/pods/{value['metadata']['name']}"
    assert Client(api, path, PROTOBUF).body() == fixture("pods/oomkilled-crashloop.pb")
    assert Client(api, path).json() == value


@recorded
@pytest.mark.parametrize("name", ["apps.v1.Deployment", "core.v1.Event", "core.v1.Namespace", "core.v1.Node"])
def test_objects_with_every_field_have_the_vendors_bytes(api, name):
    value = json.loads(fixture(f"roundtrip/{name}.json"))
    raw = api.messages.encode(api.messages.message(value["kind"]), value)
    assert encoding.unknown(value["apiVersion"], value["kind"], raw) == fixture(f"roundtrip/{name}.pb")


@recorded
def test_a_protobuf_watch_has_the_recorded_frames(api):
    said = [json.loads(line) for line in fixture("watch/nodes.pbstream.jsonl").splitlines()]
    frames, data = [], fixture("watch/nodes.pbstream")
    while data:
        size = 4 + struct.unpack(">I", data[:4])[0]
        frames.append(data[:size])
        data = data[size:]
    for one, frame in zip(said[:2], frames):
        version = int(one["object"]["metadata"]["resourceVersion"])
        api.load(dict(one["object"]))
        api.store.version = version
        stored = api.store.get("nodes", one["object"]["metadata"]["name"])
        assert stored.frame(one["type"], api.messages) == frame
    stream = watch(api, resource="nodes", headers=PROTOBUF, fieldSelector="metadata.name=edge-1", allowWatchBookmarks="true")
    assert stream.answer.getheader("Content-Type") == "application/vnd.kubernetes.protobuf;stream=watch"
    assert stream.frame() == frames[0]
    api.store.version = 880190
    assert eventually("the recorded bookmark", lambda: stream.frame() == frames[2], every=0)


def test_custom_resources_are_json_whatever_is_asked_for(api):
    api.apply({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "cart", "namespace": "argocd"}, "spec": {}})
    answer = Client(api, "/apis/argoproj.io/v1alpha1/applications", PROTOBUF)
    assert answer.answer.getheader("Content-Type") == "application/json"
    assert answer.json()["items"][0]["kind"] == "Application"
    assert Client(api, "/apis/argoproj.io/v1alpha1/applications", {"Accept": "application/vnd.kubernetes.protobuf"}).status == 406


def test_large_answers_are_compressed_for_those_who_ask(api):
    api.populate(pods=200, nodes=5, namespaces=2, applications=0)
    plain, packed = Client(api, "/api/v1/pods").body(), Client(api, "/api/v1/pods", {"Accept-Encoding": "gzip"})
    assert packed.answer.getheader("Content-Encoding") == "gzip" and packed.body() == plain


# -- lists


def test_pages_of_one_list_have_one_version_and_show_one_moment(api):
    api.apply([pod(f"p{i}") for i in range(7)])
    first = Client(api, "/api/v1/pods", limit=3).json()
    assert first["metadata"]["remainingItemCount"] == 4 and "kind" not in first["items"][0]
    api.apply(pod("p9"))
    api.delete("pods", "p5", "shop")
    found, page = names(first["items"]), first
    while page["metadata"].get("continue"):
        page = Client(api, "/api/v1/pods", **{"limit": 3, "continue": page["metadata"]["continue"]}).json()
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        found += names(page["items"])
    assert found == [f"p{i}" for i in range(7)]


def test_an_expired_continue_token_is_410_with_a_fresh_one_for_an_inconsistent_rest(api):
    api.apply([pod(f"p{i}") for i in range(5)])
    token = Client(api, "/api/v1/pods", limit=2).json()["metadata"]["continue"]
    api.apply(pod("p9"))
    api.compact()
    gone = Client(api, "/api/v1/pods", **{"limit": 2, "continue": token})
    assert gone.status == 410
    status = gone.json()
    assert status["reason"] == "Expired"
    rest = Client(api, "/api/v1/pods", **{"continue": status["metadata"]["continue"]}).json()
    assert names(rest["items"]) == ["p2", "p3", "p4", "p9"]
    assert Client(api, "/api/v1/pods", **{"continue": "nonsense"}).status == 400


def test_namespaces_fields_and_labels_select(api):
    api.apply([pod("a", "one"), pod("b", "two"), pod("c", "two", status={"phase": "Failed"})])
    assert names(Client(api, "/api/v1/namespaces/two/pods").json()["items"]) == ["b", "c"]
    assert names(Client(api, "/api/v1/pods", fieldSelector="status.phase=Failed").json()["items"]) == ["c"]
    assert Client(api, "/api/v1/pods", fieldSelector="status.colour=red").status == 400
    labelled = pod("d", "two")
    labelled["metadata"]["labels"] = {"app": "cart"}
    api.apply(labelled)
    for selector, wanted in (("app=cart", ["d"]), ("app in (cart, x)", ["d"]), ("!app", ["a", "b", "c"]), ("app!=cart", ["a", "b", "c"])):
        assert names(Client(api, "/api/v1/pods", labelSelector=selector).json()["items"]) == wanted


def test_a_version_of_the_future_is_504(api):
    answer = Client(api, "/api/v1/pods", resourceVersion=int(api.version()) + 1000)
    assert answer.status == 504 and answer.answer.getheader("Retry-After") == "1"
    assert answer.json()["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


# -- watches


def test_a_watch_says_what_happens_after_a_version(api):
    api.apply(pod("before"))
    version = api.version()
    api.apply(pod("a"))
    stream = watch(api, version)
    api.apply(pod("a", status={"phase": "Running"}))
    api.delete("pods", "a", "shop")
    events = [stream.event() for _ in range(3)]
    assert [(one["type"], one["object"]["metadata"]["name"]) for one in events] == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    versions = [int(one["object"]["metadata"]["resourceVersion"]) for one in events]
    assert versions == sorted(set(versions)) and versions[0] > int(version)
    assert events[2]["object"]["status"] == {"phase": "Running"} and events[0]["object"]["kind"] == "Pod"


def test_what_enters_or_leaves_a_selection_is_added_or_deleted(api):
    stream = watch(api, api.version(), fieldSelector="status.phase=Running")
    for phase in ("Pending", "Running", "Running", "Failed"):
        api.apply(pod("a", status={"phase": phase}))
    assert [stream.event()["type"] for _ in range(3)] == ["ADDED", "MODIFIED", "DELETED"]


def test_bookmarks_come_only_to_those_who_allow_them_and_move_the_version_on(api):
    stream, plain = watch(api, api.version(), allowWatchBookmarks="true"), watch(api, api.version(), timeoutSeconds=1)
    api.bump(41)
    mark = eventually("a bookmark of the new version", lambda: (lambda one: one["object"]["metadata"]["resourceVersion"] == api.version() and one)(stream.event()), every=0)
    assert mark["type"] == "BOOKMARK" and set(mark["object"]) == {"kind", "apiVersion", "metadata"}
    assert plain.body() == b""
    api.option("bookmarks", False)
    count = api.counts()["bookmarks"]
    time.sleep(0.5)
    assert api.counts()["bookmarks"] == count


def test_timeout_ends_a_watch_without_an_error_and_the_next_goes_on(api):
    stream = watch(api, api.version(), timeoutSeconds=1)
    api.apply(pod("a"))
    last = stream.event()["object"]["metadata"]["resourceVersion"]
    assert stream.event() is None
    api.apply(pod("b"))
    assert watch(api, last).event()["object"]["metadata"]["name"] == "b"


@pytest.mark.parametrize("how", ["event", "http"])
def test_a_compacted_version_is_410_in_the_stream_or_as_the_answer(api, how):
    api.option("gone_as", how)
    old = api.version()
    live = watch(api, old)
    api.apply([pod("a"), pod("b")])
    api.compact()
    stream = watch(api, old)
    if how == "http":
        assert stream.status == 410
        status = stream.json()
    else:
        assert stream.status == 200
        event = stream.event()
        assert event["type"] == "ERROR"
        status = event["object"]
        assert stream.event() is None
    assert status["code"] == 410 and status["reason"] == "Expired" and status["message"].startswith("too old resource version: ")
    # A watch that was there already has missed nothing.
    assert [live.event()["object"]["metadata"]["name"] for _ in range(2)] == ["a", "b"]


def test_initial_events_end_with_their_bookmark_and_a_server_without_them_refuses(api):
    api.apply([pod("a"), pod("b")])
    asked = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    stream = watch(api, **asked)
    events = [stream.event() for _ in range(3)]
    assert [one["type"] for one in events] == ["ADDED", "ADDED", "BOOKMARK"]
    assert events[2]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    api.option("streaming_lists", False)
    assert watch(api, **asked).status == 422


def test_versions_beyond_2_to_the_63_are_kept_whole():
    with_large = KubeApi(first_version=2**63 + 5).start()
    try:
        stream = watch(with_large, with_large.version())
        with_large.apply(pod("a"))
        assert stream.event()["object"]["metadata"]["resourceVersion"] == str(2**63 + 6)
    finally:
        with_large.close()


# -- who asks


def test_tokens_are_checked_and_rotated(api, tmp_path):
    folder = api.service_account(tmp_path / "sa")
    old = {"Authorization": "Bearer " + (folder / "token").read_text()}
    assert Client(api, "/api/v1/pods").status == 401 and Client(api, "/api/v1/pods", old).status == 200
    api.rotate_token()
    assert Client(api, "/api/v1/pods", old).json()["code"] == 401
    assert Client(api, "/api/v1/pods", {"Authorization": "Bearer " + (folder / "token").read_text()}).status == 200


def test_client_certificates_by_name_and_by_address(tmp_path):
    api = KubeApi().start(tls=tmp_path / "pki", client_certificates=True)
    try:
        config = json.loads(pathlib.Path(api.kubeconfig(tmp_path / "config", client="edge")).read_text())
        user = config["users"][0]["user"]
        context = ssl.create_default_context(cafile=config["clusters"][0]["cluster"]["certificate-authority"])
        assert Client(api, "/api/v1/pods", context=context).status == 401
        context.load_cert_chain(user["client-certificate"], user["client-key"])
        for host in ("127.0.0.1", "localhost"):
            assert Client(api, "/api/v1/pods", context=context, host=host).status == 200
        assert api.requests(certificate="edge")
    finally:
        api.close()


def test_what_is_forbidden_or_absent_is_said_as_real_servers_do(api):
    api.forbid("nodes", "list")
    answer = Client(api, "/api/v1/nodes")
    assert answer.status == 403
    status = answer.json()
    assert status["message"] == ('nodes is forbidden: User "system:serviceaccount:sre:edge" cannot list resource "nodes" in API '
                                 'group "" at the cluster scope') and status["details"] == {"kind": "nodes"}
    api.allow("nodes", "list")
    assert Client(api, "/api/v1/nodes").status == 200
    api.absent("applications")
    assert Client(api, "/apis/argoproj.io/v1alpha1/applications").json()["reason"] == "NotFound"
    assert Client(api, "/nothing").body() == b"404 page not found\n"
    assert Client(api, "/apis/apps/v1/widgets").status == 404


# -- what goes wrong


def test_the_next_answers_are_what_a_test_wants(api):
    api.fault("status", resource="pods", verb="list", count=2, code=429, retry_after=3)
    answers = [Client(api, "/api/v1/pods") for _ in range(3)]
    assert [one.status for one in answers] == [429, 429, 200]
    assert answers[0].answer.getheader("Retry-After") == "3" and answers[0].answer.getheader("X-Kubernetes-PF-FlowSchema-UID")
    assert answers[0].json()["details"] == {"retryAfterSeconds": 3}


def test_borders_of_chunks_mean_nothing(api):
    api.fault("chunks", seed=3)
    stream = watch(api, api.version())
    api.apply([pod(f"p{i}") for i in range(20)])
    assert [stream.event()["object"]["metadata"]["name"] for _ in range(20)] == [f"p{i}" for i in range(20)]
    assert len(Client(api, "/api/v1/pods").json()["items"]) == 20


def test_a_stalled_stream_says_nothing_until_it_is_released(api):
    api.fault("stall", resource="pods", verb="watch", after=30)
    stream = watch(api, api.version())
    api.apply(pod("a"))
    assert stream.answer.read(30).startswith(b'{"type":"ADDED"')
    stream.connection.sock.settimeout(0.3)
    with pytest.raises(OSError):
        stream.answer.read(1)
    api.heal()


def test_connections_are_dropped_and_streams_cut(api):
    stream = watch(api, api.version())
    eventually("the watch is open", lambda: api.watch_count("pods") == 1)
    assert api.drop() >= 1
    with pytest.raises((OSError, http.client.HTTPException)):
        if stream.event() is None:
            raise OSError("ended")
    eventually("the watch is gone", lambda: api.watch_count() == 0)
    api.fault("cut", count=1, after=10)
    with pytest.raises((OSError, http.client.HTTPException)):
        Client(api, "/api/v1/pods").body()


@pytest.mark.parametrize("kind", ["endless", "bomb", "headers"])
def test_an_endless_answer_goes_on_for_as_long_as_somebody_reads(api, kind):
    api.fault(kind, count=1, bytes=1 << 24)
    with pytest.raises((OSError, http.client.HTTPException, AssertionError)):
        answer = Client(api, "/api/v1/pods")
        assert len(answer.answer.read(10000)) == 10000 and kind != "endless" or kind == "bomb" and len(answer.body()) == 1 << 24
        raise OSError("as expected")
    api.heal()
    assert Client(api, "/api/v1/pods").status == 200


def test_redirects_and_other_content_types_and_broken_bodies(api):
    api.fault("redirect", count=1, location="http://127.0.0.1:1/elsewhere")
    assert Client(api, "/api/v1/pods").answer.getheader("Location") == "http://127.0.0.1:1/elsewhere"
    api.fault("content_type", count=1, value="text/html")
    assert Client(api, "/api/v1/pods").answer.getheader("Content-Type") == "text/html"
    api.fault("malformed", count=1)
    with pytest.raises(ValueError):
        Client(api, "/api/v1/pods").json()


# -- besides lists and watches


def test_logs_are_cut_as_asked(api):
    two = pod("two")
    two["spec"]["containers"] = [{"name": "a"}, {"name": "b"}]
    api.apply([pod("one"), two])
    api.set_log("shop", "one", "main", "first\nsecond\nthird\n")
    base = "/api/v1/namespaces/shop/pods/"
    assert Client(api, base + "one/log").body() == b"first\nsecond\nthird\n"
    assert Client(api, base + "one/log", tailLines=2).body() == b"second\nthird\n"
    assert Client(api, base + "one/log", tailLines=2, limitBytes=4).body() == b"seco"
    assert Client(api, base + "one/log", previous="true").json()["message"] == 'previous terminated container "main" in pod "one" not found'
    assert Client(api, base + "two/log").json()["message"] == "a container name must be specified for pod two, choose one of: [a b]"
    api.forbid("pods", "get", "shop")
    assert 'resource "pods/log"' in Client(api, base + "one/log").json()["message"]


def test_version_discovery_and_metrics(api):
    api.apply([pod("a", status={"phase": "Running"}), {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}])
    api.set_usage("n1", 250_000_000, 1024)
    assert Client(api, "/version").json()["gitVersion"] == "v1.34.1"
    assert {"name": "argoproj.io", "version": "argoproj.io/v1alpha1"} in [
        {"name": one["name"], "version": one["versions"][0]["groupVersion"]} for one in Client(api, "/apis").json()["groups"]]
    assert Client(api, "/apis/metrics.k8s.io/v1beta1/nodes").json()["items"][0]["usage"] == {"cpu": "250000000n", "memory": "1024Ki"}
    assert Client(api, "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods/a").json()["containers"][0]["name"] == "main"
    api.option("metrics", False)
    assert Client(api, "/apis/metrics.k8s.io/v1beta1/nodes").status == 404


@recorded
def test_all_recorded_objects_are_served(api):
    count = api.load_recorded()
    assert count >= 20 and sum(len(rows) for rows in api.state().values()) == count
    for path in ("/api/v1/pods", "/api/v1/nodes", "/apis/apps/v1/deployments", "/apis/batch/v1/jobs", "/api/v1/events", "/api/v1/persistentvolumeclaims"):
        kind = Client(api, path).json()["kind"]
        decoded = Client(api, path, PROTOBUF).body()
        assert decoded.startswith(b"k8s\0") and kind.encode() in decoded[:40], path


def test_a_made_up_cluster_has_owners_and_churns_the_same_way_for_the_same_seed():
    said = []
    for _ in range(2):
        api = KubeApi()
        assert api.populate(pods=500, nodes=10, namespaces=3, applications=20, seed=5)
        for _ in range(300):
            api.population.step(api.store)
        rows = api.store.objects
        uids = {row.value["metadata"]["uid"] for objects in rows.values() for row in objects.values()}
        pods = [row.value for resource, objects in rows.items() if resource.plural == "pods" for row in objects.values()]
        assert len(pods) == 500 and all(one["metadata"]["ownerReferences"][0]["uid"] in uids for one in pods)
        said.append(sorted(one["metadata"]["name"] for one in pods))
        api.loop.close()
    assert said[0] == said[1]


def test_another_process_has_the_same_controls(api):
    control = KubeControl(api.control_port)
    control.apply(pod("a"))
    assert names(Client(api, "/api/v1/pods").json()["items"]) == ["a"]
    control.fault("status", code=500, count=1)
    assert Client(api, "/api/v1/pods").status == 500
    assert control.populate(pods=10, nodes=2, namespaces=1, applications=1) > 10 and control.watch_count() == 0
    with pytest.raises(RuntimeError, match="no fault is called"):
        control.fault("nonsense")
