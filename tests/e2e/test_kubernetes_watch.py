# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes client against the stand-in API server: whatever goes wrong on the way, what a consumer believes to be in
the cluster is what is there, soon. (What servers cannot do to it: test_kubernetes_hostile.py.)"""
import json
import random
import stat
import subprocess
import sys
import time

import pytest
from harness import BIN, eventually, seed
from kube_api import KubeApi
from kube_following import FOLLOW, KINDS, Follow, a_place, believed, cluster, fresh, needs_follow  # noqa: F401 (a_place is a fixture)

pytestmark = needs_follow


def fresh_beside(api, follow, changes):
    """Every stream is fresh while so many changes a second are made; where the machine cannot do both, half as many, and again."""
    end = time.monotonic() + 150
    while not fresh(follow):
        assert time.monotonic() < end, follow.state()
        began = time.monotonic()
        while not fresh(follow) and time.monotonic() - began < 15:
            time.sleep(0.1)
        if not fresh(follow):
            changes /= 2
            api.churn(changes)


@pytest.mark.parametrize("protobuf", [True, False])
def test_lists_in_pages_and_watches(place, protobuf):
    api, follow = place(*KINDS, "page_size=20", api=cluster(300, 10, 4, 30, first_version=2 ** 63 + 5, protobuf=protobuf))
    api.churn(200)
    fresh_beside(api, follow, 200)
    time.sleep(2)
    api.churn(0)
    eventually("what is believed is there", lambda: believed(api, follow))
    said = follow.state()
    assert len(said["objects"]["pods"]) == 300 and len(said["objects"]["applications"]) == 30
    assert said["stats"]["objects_unreadable"] == said["stats"]["objects_too_large"] == 0, said["stats"]
    eventually("bookmarks come", lambda: follow.state()["stats"]["bookmarks"] > 3)
    wants = [one for one in api.requests(verb="list") if one.get("resource") == "pods"] or api.requests(verb="list")
    assert len(wants) >= 12


def test_whatever_goes_wrong_what_is_believed_becomes_true(place):
    chance = random.Random(seed())
    api, follow = place(*KINDS, "page_size=25", "stall_ms=3000", "stale_ms=3000", api=cluster(200, 10, 4, 20, seed=chance.randrange(1 << 30)))
    api.churn(150)
    faults = [
        lambda: api.drop(), lambda: api.end_watches(), lambda: api.compact(),
        lambda: (api.compact(), api.end_watches()),
        lambda: api.option("gone_as", chance.choice(["http", "event"])),
        lambda: api.fault("status", count=chance.randrange(1, 6), code=chance.choice([429, 500, 503, 504, 410, 401]), retry_after=chance.choice([None, 1])),
        lambda: api.fault("cut", count=chance.randrange(1, 6), after=chance.randrange(5000)),
        lambda: api.fault("chunks", count=chance.randrange(1, 9), largest=chance.randrange(1, 200)),
        lambda: api.fault("drop", count=chance.randrange(1, 6)),
        lambda: api.fault("stall", count=2, after=chance.randrange(3000)),
        lambda: api.fault("hang", count=2),
        lambda: api.fault("malformed", count=2),
        lambda: api.fault("redirect", count=2, location="http://127.0.0.1:1/"),
        lambda: api.fault("content_type", count=2, value="text/html"),
        lambda: api.release(),
    ]
    fresh_beside(api, follow, 150)
    for _ in range(40):
        chance.choice(faults)()
        time.sleep(0.25)
    api.heal()
    api.churn(0)
    eventually("what is believed is there", lambda: believed(api, follow) and fresh(follow), seconds=45)
    print(follow.state()["stats"])


def test_expired_pages_begin_again(place):
    api = cluster(200, 5, 2, 0)
    api.start()
    api.fault("slow", resource="pods", verb="list", count=1, rate=5000)
    api, follow = place("pods", "page_size=20", api=api)
    eventually("the first page is on its way", lambda: api.requests(verb="list"))
    api.bump()
    api.compact()
    api.heal()
    eventually("what is believed is there", lambda: believed(api, follow) and fresh(follow))
    assert follow.state()["stats"]["lists_restarted"] >= 1


def test_what_is_forbidden_or_absent_is_said(place):
    api = KubeApi(bookmark_seconds=0.2)
    api.load_recorded()
    api.forbid("nodes")
    api.absent("applications")
    api, follow = place("nodes", "applications", "pods", "namespace=shop", "namespace=argocd", api=api)
    eventually("denied", lambda: follow.stream("nodes")["state"] == "denied")
    why = follow.stream("nodes")["why"]
    assert "list and watch on nodes" in why and "ClusterRole" in why and "403" in why, why
    for namespace in ("shop", "argocd"):
        eventually("absent", lambda: follow.stream("applications", namespace)["state"] == "absent")
        eventually("fresh", lambda: follow.stream("pods", namespace)["state"] == "fresh")
    assert follow.state()["stats"]["requests"] < 30  # nobody is asked again and again


def test_a_silent_watch_becomes_stale_and_recovers(place):
    api, follow = place("pods", "stall_ms=1000", "stale_ms=800", api=cluster(20, 2, 1, 0))
    eventually("fresh", lambda: fresh(follow) and follow.state()["stats"]["bookmarks"])
    before = follow.stream("pods")["since_ms"]
    api.fault("stall", resource="pods")
    api.fault("hang", resource="pods")
    api.option("bookmarks", False)
    api.drop()
    eventually("stale", lambda: follow.stream("pods")["state"] == "stale")
    stream = follow.stream("pods")
    assert before <= stream["since_ms"] < follow.state()["now_ms"] - 700 and stream["why"], stream
    eventually("it is tried again", lambda: follow.state()["stats"]["stalls"] >= 1)
    api.option("bookmarks", True)
    api.heal()
    eventually("fresh again", lambda: believed(api, follow) and fresh(follow))


def test_what_cannot_be_read_is_still_there(place):
    api = cluster(3, 1, 1, 3)
    application = next(iter(api.state()["applications"].values()))
    api.apply({**application, "status": {"health": "a text where an object belongs"}})
    api, follow = place("applications", api=api)
    eventually("all three", lambda: believed(api, follow) and fresh(follow))
    said = follow.state()["stats"]
    assert said["objects_unreadable"] == 1 and "health" in said["last_skip"], said


@pytest.mark.parametrize("how", ["refuse", "wait", "clamp"])
@pytest.mark.parametrize("protobuf", [True, False])
def test_a_server_that_was_restored_from_a_backup_is_listed_anew(tmp_path, how, protobuf):
    """Its versions go back: releases differ in what becomes of a watch from one that is yet to come."""
    first, second = cluster(30, 3, 2, 0, seed=1), cluster(20, 2, 2, 0, seed=2, first_version=1000, too_new=how, protobuf=protobuf)
    first.start()
    follow = Follow(first.kubeconfig(tmp_path / "config"), "pods", "nodes", "stall_ms=20000")
    try:
        eventually("fresh", lambda: believed(first, follow) and fresh(follow))
        port = first.port
        first.close()
        second.start(port=port)
        eventually("what is there now is believed", lambda: believed(second, follow) and fresh(follow), seconds=25)
        second.churn(20)
        time.sleep(1)
        second.churn(0)
        eventually("and watched", lambda: believed(second, follow))
        assert follow.state()["stats"]["lists_restarted"] == 2
    finally:
        follow.close()
        second.close()


def test_a_version_that_goes_back_in_a_watch_is_listed_anew(place):
    api, follow = place("pods", api=cluster(20, 2, 1, 0))
    eventually("fresh", lambda: believed(api, follow) and fresh(follow))
    api.roll_back(1000)
    eventually("listed anew", lambda: believed(api, follow) and fresh(follow) and follow.state()["stats"]["lists_restarted"] == 1)
    assert follow.state()["stats"]["checks"] == 0  # a bookmark had said it


def test_a_server_restored_ahead_of_us_is_listed_anew(place):
    """A backup of another time, at versions that were raised as etcd's restore can (--bump-revision): what is deleted in it comes
    in no watch, but a server has to be started for a restore, and one that was refuses to go on from before its start."""
    api, follow = place("pods", "nodes", api=cluster(20, 2, 1, 0))
    eventually("fresh", lambda: believed(api, follow) and fresh(follow))
    gone = sorted(api.state()["pods"])[:3]
    api.restart(10 ** 9, [("pods", key.rpartition("/")[2], key.rpartition("/")[0]) for key in gone])
    eventually("listed anew", lambda: believed(api, follow) and fresh(follow))
    said = follow.state()
    assert len(said["objects"]["pods"]) == 17 and said["stats"]["lists_restarted"] == 2 and said["stats"]["relists"] == 0, said["stats"]


def test_a_quiet_cluster_without_bookmarks_stays_fresh(place):
    api, follow = place("pods", "stall_ms=4000", "stale_ms=3000", api=cluster(20, 2, 1, 0, bookmarks=False))
    eventually("fresh", lambda: believed(api, follow) and fresh(follow))
    ends = time.monotonic() + 12
    while time.monotonic() < ends:
        assert follow.stream("pods")["state"] == "fresh"
        time.sleep(0.02)
    said = follow.state()["stats"]
    assert said["stalls"] == said["lists_restarted"] == 0 and said["lists"] == 1, said
    # Each is asked to end before it is stalled; at this moment the next one may not have begun yet.
    assert 3 <= said["watches"] <= 5 and said["checks"] in (said["watches"] - 1, said["watches"]), said
    assert api.counts()["list pods"] == said["checks"] + said["lists"]


def test_a_server_with_bookmarks_is_asked_for_nothing_more(place):
    api, follow = place("pods", "stall_ms=5000", api=cluster(20, 2, 1, 0, watch_seconds_max=1e9))
    eventually("a bookmark", lambda: believed(api, follow) and fresh(follow) and follow.state()["stats"]["bookmarks"])
    api.end_watches()  # the first was a short one
    time.sleep(8)
    said = follow.state()["stats"]
    assert said["watches"] == 2 and said["checks"] <= 1 and said["lists"] == 1 and said["stalls"] == 0, said
    assert int(api.requests(verb="watch")[-1]["query"]["timeoutSeconds"]) >= 240


def test_a_list_is_taken_now_and_then_whatever_was_heard(place):
    api, follow = place("pods", "relist_ms=3000", "stale_ms=3000", api=cluster(20, 2, 1, 0, watch_seconds_max=1))
    eventually("fresh", lambda: believed(api, follow) and fresh(follow))
    began = time.monotonic()
    while follow.state()["stats"]["relists"] < 2:
        assert time.monotonic() - began < 60
        assert follow.stream("pods")["state"] == "fresh"
        time.sleep(0.05)
    assert follow.state()["stats"]["relists"] <= (time.monotonic() - began) / 3 + 2


def test_a_watch_that_worked_is_begun_again_soon(place):
    api, follow = place("pods", api=cluster(20, 2, 1, 0))
    eventually("fresh", lambda: believed(api, follow) and fresh(follow))
    for _ in range(8):
        time.sleep(1.3)
        api.drop()
        time.sleep(0.1)
        eventually("watched again", lambda: api.watch_count("pods") == 1, 15, exactly=True)  # a delay that doubles is 30 s long by the end


@pytest.mark.parametrize("protobuf", [True, False])
def test_of_an_object_that_is_too_large_its_name_comes(place, protobuf):
    api = cluster(5, 1, 1, 3, protobuf=protobuf)
    first, second = sorted(api.state()["pods"].values(), key=lambda pod: pod["metadata"]["name"])[:2]
    app = next(iter(api.state()["applications"].values()))

    def grow(value):
        return {**value, "metadata": {**value["metadata"], "annotations": {f"a{i}": "x" * 9000 for i in range(20)}}}
    api.apply(grow(first))
    api, follow = place("pods", "applications", "object_bytes_max=65536", api=api)
    eventually("listed", lambda: believed(api, follow) and fresh(follow))
    api.apply(grow(second))
    eventually("and changed", lambda: believed(api, follow))
    said = follow.state()["stats"]
    assert said["objects_too_large"] == 2, said
    api.delete("pods", second["metadata"]["name"], second["metadata"]["namespace"])
    eventually("and deleted", lambda: believed(api, follow) and len(follow.state()["objects"]["pods"]) == 4)
    api.apply({**app, "status": {**app["status"], "resources": [{"name": f"r{i}" * 20, "namespace": "n" * 60, "kind": "Deployment"} for i in range(2000)]}})
    eventually("a custom resource", lambda: believed(api, follow))


@pytest.mark.parametrize("ahead", [0, 3600, -90])
def test_the_servers_clock_is_known_by_its_answers(place, ahead):
    api, follow = place("pods", api=cluster(3, 1, 1, 0, clock=ahead))
    eventually("fresh", lambda: believed(api, follow) and fresh(follow))
    skew = follow.state()["stats"]["skew_ms"]
    assert skew == 0 if ahead == 0 else abs(skew - ahead * 1000) < 1500, skew


def test_a_later_listener_hears_everything(place):
    api, follow = place("pods", api=cluster(50, 2, 1, 0))
    eventually("fresh", lambda: believed(api, follow) and fresh(follow))
    follow.tell("listen nodes")
    follow.tell("listen pods")
    eventually("both", lambda: believed(api, follow) and len(follow.state()["objects"]["nodes"]) == 2 and fresh(follow))
    assert follow.state()["stats"]["streams"] == 2


def test_only_pods_of_one_node(place):
    api, follow = place("pods", "nodes", "node=node-001", api=cluster(60, 3, 1, 0))
    eventually("fresh", lambda: fresh(follow) and len(follow.state()["objects"]["nodes"]) == 3)
    name = sorted(api.state()["nodes"])[1].strip("/")
    here = {key for key, pod in api.state()["pods"].items() if pod["spec"].get("nodeName") == name}
    _, follow = place("pods", f"node={name}", api=api)
    eventually("some pods", lambda: set(follow.state()["objects"]["pods"]) == here and fresh(follow))
    assert 0 < len(here) < 60


def test_single_requests(place):
    api, follow = place()
    api.load_recorded()
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    answer = follow.get("/api/v1/namespaces/shop")
    assert answer["status"] == 200 and json.loads(answer["body"])["metadata"]["name"] == "shop"
    answer = follow.get("/api/v1/namespaces/shop", 10)
    assert answer["cut"] and answer["status"] == 200 and len(answer["body"]) == 10 and not answer["fault"]
    answer = follow.get("/api/v1/namespaces/none")
    assert answer["code"] == "absent" and '"none" not found' in answer["fault"]
    api.forbid("namespaces")
    answer = follow.get("/api/v1/namespaces/shop")
    assert answer["code"] == "denied" and "forbidden" in answer["fault"]
    api.fault("status", count=1, code=429, retry_after=3)
    assert follow.get("/api/v1/nodes")["code"] == "again"
    api.fault("redirect", count=1, location="http://127.0.0.1:1/")
    assert "redirects are not followed" in follow.get("/api/v1/nodes")["fault"]
    api.fault("hang", count=1)
    assert follow.get("/api/v1/nodes")["code"] == "timeout"


def plugin(path, text):
    path.write_text("#!" + sys.executable + "\n" + text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_ways_to_prove_who_we_are(place, tmp_path):
    api = cluster(5, 1, 1, 0)
    api.start(tls=tmp_path / "pki", client_certificates=True)
    api.token("first")
    # By token, and a server by its name and by its address.
    for host in (None, "localhost"):
        _, follow = place("pods", api=api, kubeconfig={"host": host})
        eventually("by token", lambda f=follow: fresh(f) and believed(api, f))
    # By client certificate.
    _, follow = place("pods", api=api, kubeconfig={"client": "edge"})
    eventually("by certificate", lambda: fresh(follow) and believed(api, follow))
    # By service account, whose token is rotated.
    folder = api.service_account(tmp_path / "sa")
    _, follow = place("pods", api=api, access=folder,
                      env={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.port)})
    eventually("by service account", lambda: fresh(follow) and believed(api, follow))
    api.rotate_token()
    api.end_watches()
    api.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "new", "namespace": "team-00"}, "spec": {}, "status": {}})
    eventually("with the new token", lambda: fresh(follow) and believed(api, follow))
    # By a plugin, which is run again when its token is refused or has expired.
    (tmp_path / "token").write_text(api.current_token, encoding="ascii")
    command = plugin(tmp_path / "plugin", f"""
import json, os, pathlib, sys
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert info["spec"]["interactive"] is False and sys.stdin.read() == ""
print(json.dumps({{"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": {{"token": pathlib.Path({str(tmp_path / "token")!r}).read_text()}}}}))
""")
    _, follow = place("pods", api=api, kubeconfig={"exec_command": [command, "get-token"]})
    eventually("by plugin", lambda: fresh(follow) and believed(api, follow))
    # A certificate that nobody knows is not accepted; the sentence says so.
    other = KubeApi()
    other.start(tls=tmp_path / "other-pki")
    config = json.loads(other.kubeconfig(tmp_path / "other").read_text())
    config["clusters"][0]["cluster"]["certificate-authority"] = str(tmp_path / "pki/ca.crt")
    (tmp_path / "other").write_text(json.dumps(config))
    _, follow = place("pods", api=other, access=tmp_path / "other")
    eventually("not trusted", lambda: "not from a trusted authority" in follow.stream("pods")["why"])


def test_a_plugin_of_short_tokens_is_not_run_at_each_request(place, tmp_path):
    api = cluster(5, 1, 1, 0)
    api.token("good")
    command = plugin(tmp_path / "plugin", f"""
import json, pathlib, time
pathlib.Path({str(tmp_path / "runs")!r}).open("a").write("x")
ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 28))
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {{"token": "good", "expirationTimestamp": ends}}}}))
""")
    api.start()
    api, follow = place("pods", "nodes", api=api, kubeconfig={"exec_command": [command]})
    eventually("fresh", lambda: believed(api, follow) and fresh(follow))
    api.end_watches()
    time.sleep(0.5)
    eventually("fresh", lambda: fresh(follow))
    assert (tmp_path / "runs").read_text() == "x"  # it ends within 30 s, and is not run at each request for that


def test_a_plugin_is_run_again_when_what_it_gave_without_an_end_is_revoked(place, tmp_path):
    api = cluster(5, 1, 1, 0)
    api.token("first")
    (tmp_path / "token").write_text("first", encoding="ascii")
    command = plugin(tmp_path / "plugin", f"""
import json, pathlib
pathlib.Path({str(tmp_path / "runs")!r}).open("a").write("x")
token = pathlib.Path({str(tmp_path / "token")!r}).read_text()
print(json.dumps({{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {{"token": token}}}}))
""")
    api.start()
    api, follow = place("pods", "nodes", api=api, kubeconfig={"exec_command": [command]})
    eventually("fresh", lambda: believed(api, follow) and fresh(follow))
    (tmp_path / "token").write_text("second", encoding="ascii")
    api.server.tokens.clear()
    api.token("second")
    api.drop()
    eventually("refused more than once", lambda: len(api.requests(status=401)) > 2)
    assert (tmp_path / "runs").read_text() == "x"  # it has a pause of its own
    eventually("fresh with the new one", lambda: believed(api, follow) and fresh(follow), seconds=90)
    assert (tmp_path / "runs").read_text() == "xx"


@pytest.mark.parametrize("gone_as", ["status", "error"])
def test_a_server_that_ends_all_watches_is_asked_less_and_less(place, gone_as):
    """Its lists work: a cache that lags behind, or a server that compacts all the time."""
    api = cluster(5, 1, 1, 0)
    api.start()
    api, follow = place("pods", "stale_ms=2000", api=api)
    eventually("fresh", lambda: believed(api, follow) and fresh(follow))
    api.fault(gone_as, verb="watch", code=410)
    began = time.monotonic()
    api.drop()
    eventually("stale", lambda: follow.stream("pods")["state"] == "stale")
    assert "410" in follow.stream("pods")["why"], follow.stream("pods")
    while time.monotonic() - began < 10:
        assert follow.stream("pods")["state"] == "stale"  # however often a watch begins that ends at once
        time.sleep(0.05)
    assert follow.state()["stats"]["lists"] < 12, follow.state()["stats"]
    api.heal()
    eventually("fresh again", lambda: believed(api, follow) and fresh(follow), seconds=60)


def test_a_service_account_where_addresses_are_long(place, tmp_path):
    api = cluster(5, 1, 1, 0)
    try:
        api.start("::1", tls=tmp_path / "pki")
    except OSError as why:
        pytest.skip(f"no IPv6 here: {why}")
    folder = api.service_account(tmp_path / "sa")
    api, follow = place("pods", api=api, access=folder, env={"KUBERNETES_SERVICE_HOST": "::1", "KUBERNETES_SERVICE_PORT": str(api.port)})
    eventually("fresh", lambda: believed(api, follow) and fresh(follow))


@pytest.mark.parametrize("text, words", [
    ("import sys; sys.exit(3)", "exit code 3"),
    ("print('{}')", "expected is 'ExecCredential"),
    ("print('x' * 100000)", "printed over"),
])
def test_a_plugin_that_fails_is_said(place, tmp_path, text, words):
    api = KubeApi()
    command = plugin(tmp_path / "plugin", text)
    api, follow = place("pods", api=api, kubeconfig={"exec_command": [command]})
    eventually("why", lambda: words in follow.stream("pods")["why"])


def test_check_config_reads_the_kubeconfigs_too(tmp_path):
    api = KubeApi()
    api.start(tls=tmp_path / "pki", client_certificates=True)
    good = json.loads(api.kubeconfig(tmp_path / "good", client="edge").read_text())
    api.kubeconfig(tmp_path / "other", client="two")
    api.close()
    (tmp_path / "swapped").write_text(json.dumps({**good, "users": [{"name": "tests", "user": {
        "client-certificate": str(tmp_path / "pki/edge.crt"), "client-key": str(tmp_path / "pki/two.key")}}]}))
    (tmp_path / "keyless").write_text(json.dumps({**good, "users": [{"name": "tests", "user": {
        "client-certificate": str(tmp_path / "pki/edge.crt"), "client-key": str(tmp_path / "pki/none.key")}}]}))
    (tmp_path / "empty").write_text("")

    def check(name, **more):
        (tmp_path / "agent.yaml").write_text(json.dumps({
            "agent": {"tenant": "demo", "name": "e1"}, "buffer": {"path": str(tmp_path / "buffer")},
            "mqtt": {"host": "127.0.0.1", "plain_text": True},
            "kubernetes": [{"cluster_id": "k1", "kubeconfig": str(tmp_path / name), **more}]}))
        ran = subprocess.run([BIN / "picket-agent", "--config", tmp_path / "agent.yaml", "--check-config"], capture_output=True,
                             text=True, timeout=60, check=False)
        return ran.returncode, ran.stdout, ran.stderr
    code, said, why = check("good")
    assert code == 0 and ": good: " in said and not why, (said, why)
    for name, words, more in [("swapped", "the key is not the certificate's", {}), ("empty", "it is no kubeconfig", {}),
                              ("good", "there is no context 'elsewhere'", {"context": "elsewhere"})]:
        code, said, why = check(name, **more)
        assert code == 1 and not said and "agent.yaml: kubernetes[0]: kubeconfig" in why and words in why, (name, said, why)
    for name in ("none", "keyless"):  # they may be there where the agent will run
        code, said, why = check(name)
        assert code == 0 and ": good: " in said and "agent.yaml: kubernetes[0]: warning: " in why and name in why and "No such file" in why, (said, why)


def test_a_key_of_another_certificate_is_said(tmp_path):
    api = cluster(5, 1, 1, 0)
    api.start(tls=tmp_path / "pki", client_certificates=True)
    config = json.loads(api.kubeconfig(tmp_path / "config", client="edge").read_text())
    api.kubeconfig(tmp_path / "other", client="two")
    config["users"][0]["user"]["client-key"] = str(tmp_path / "pki/two.key")
    (tmp_path / "swapped").write_text(json.dumps(config))
    ran = subprocess.run([FOLLOW, tmp_path / "swapped", "pods"], stdin=subprocess.PIPE, capture_output=True, text=True, timeout=60, check=False)
    api.close()
    assert ran.returncode == 1 and "client-certificate and client-key: the key is not the certificate's" in ran.stderr, ran
