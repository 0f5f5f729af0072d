# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes part, unchanged, against the real API server that KUBECONFIG names. The first test only reads. All others
create namespaces, nodes and cluster roles, and so run only with PICKET_KUBE_WRITES=1 against a server without nodes: a
server alone, without the controllers and the scheduler that would change what is put there."""
import copy
import json
import os
import random
import sys
import time

import pytest
import yaml
from harness import AGENT, TOP, ApiError, Place, Proxy, eventually, seed
from kube_api import KubeApi, recorded
from kube_following import KINDS, Follow, fresh, needs_follow
from kube_real import RealApi, row_of
from test_kubernetes_health import SETTLING, VERDICTS, checks, fits, id_of, verdict

CONFIG = os.environ.get("KUBECONFIG")
pytestmark = [needs_follow, pytest.mark.skipif(not CONFIG, reason="KUBECONFIG names no real API server")]
writes = pytest.mark.skipif(bool(CONFIG) and os.environ.get("PICKET_KUBE_WRITES") != "1", reason="PICKET_KUBE_WRITES=1 would let tests write to the server of KUBECONFIG")
SETTLED = ("fresh", "denied", "absent")
CUSTOM = {"argoproj.io": [("applications", "Application", "v1alpha1")],
          "monitoring.coreos.com": [("podmonitors", "PodMonitor", "v1"), ("servicemonitors", "ServiceMonitor", "v1")]}
# A server made these objects just now, whatever the recording says: what is judged by age is not old enough yet.
YOUNG = {"kubernetes/workloads/deployment-progressing.json": {*SETTLING, ("UNKNOWN", "Starting")},
         "kubernetes/workloads/pvc-pending.json": {("HEALTHY", "Pending"), ("DEGRADED", "Unbound")}}



def test_a_real_api_server():
    follow = Follow(CONFIG, *KINDS)
    eventually("every stream has settled", lambda: [s["state"] in SETTLED for s in follow.state()["streams"]] == [True] * len(KINDS), 60)
    said = follow.state()
    print(json.dumps({"streams": said["streams"], "stats": said["stats"], "rss_kib": said["rss_kib"]}, indent=1))
    assert said["stats"]["objects_unreadable"] == 0 and said["objects"]["namespaces"], said["stats"]
    follow.close()


class World:
    """What the tests put there, with the agent's own user: a service account with exactly the rights of the manifests."""

    def __init__(self, folder):
        self.api, self.folder, self.made = RealApi(CONFIG), folder, []
        if self.api.list("Node")["items"]:
            pytest.skip("the server of KUBECONFIG has nodes: these tests want a server alone, without controllers")
        self.name = f"picket-e2e-{random.randrange(1 << 32):08x}"
        self.space({"name": self.name})
        for group, kinds in CUSTOM.items():
            for plural, kind, version in kinds:
                self.define(group, plural, kind, version)
        self.put({"kind": "ServiceAccount", "metadata": {"name": "agent", "namespace": self.name}})
        self.grant("rbac.yaml")
        self.grant("rbac-diagnostics.yaml")
        self.token = self.api.call("POST", f"/api/v1/namespaces/{self.name}/serviceaccounts/agent/token",
                                   {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})["status"]["token"]

    def put(self, value):
        if value["kind"] != "CustomResourceDefinition":
            self.made.append((value["kind"], value["metadata"]["name"], value["metadata"].get("namespace", "")))
        return self.api.create(value)

    def space(self, meta):
        self.put({"kind": "Namespace", "metadata": meta})
        # As a controller would make it.
        self.put({"kind": "ServiceAccount", "metadata": {"name": "default", "namespace": meta["name"]}})

    def define(self, group, plural, kind, version):
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        try:
            self.put({"kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"}, "spec": {
                "group": group, "scope": "Namespaced", "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
                "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}})
            self.made.append(("CustomResourceDefinition", f"{plural}.{group}", ""))
        except ApiError as why:
            assert why.status == 409, why  # it is installed
        eventually(f"{plural} are served", lambda: self.api.list(kind)["items"] is not None, 20)

    def grant(self, manifest):
        for value in yaml.safe_load_all((TOP / "platforms/kubernetes/manifests" / manifest).read_text(encoding="utf-8")):
            if value["kind"] not in ("ClusterRole", "ClusterRoleBinding"):
                continue
            value["metadata"]["name"] += f"-{self.name}"
            if value["kind"] == "ClusterRoleBinding":
                value["roleRef"]["name"] += f"-{self.name}"
                value["subjects"] = [{"kind": "ServiceAccount", "name": "agent", "namespace": self.name}]
            self.api.call("POST", RealApi.path(row_of(value)), value)
            self.made.append((value["kind"], value["metadata"]["name"], ""))

    def access(self, name="token", user=None, server=None):
        return self.api.kubeconfig(self.folder / name, user or {"token": self.token}, server)

    def believed(self, follow, kinds):
        """Whether what is followed is what the server lists."""
        objects = follow.state()["objects"]
        for kind in kinds:
            plural = row_of({"kind": kind}).plural
            there = {f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
                     for one in self.api.list(kind)["items"]}
            assert objects[plural] == there, (plural, set(objects[plural].items()) ^ set(there.items()))
        return True

    def close(self):
        definitions_last = sorted(reversed(self.made), key=lambda one: one[0] == "CustomResourceDefinition")
        for kind, name, namespace in definitions_last:
            if kind == "Namespace":  # nobody else empties it here
                for row in ("Pod", "Event", "Deployment", "StatefulSet", "Job", "PersistentVolumeClaim", "Application"):
                    for one in self.api.list(row, name)["items"]:
                        self.api.delete(row, one["metadata"]["name"], name)
            self.api.delete(kind, name, namespace)
            if kind == "Namespace":
                self.api.call("PUT", f"/api/v1/namespaces/{name}/finalize",
                              {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}})


@pytest.fixture(scope="module", name="world")
def a_world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("real"))
    try:
        yield made
    finally:
        made.close()


def pod(world, name, **labels):
    return {"kind": "Pod", "metadata": {"name": name, "namespace": world.name, "labels": labels},
            "spec": {"automountServiceAccountToken": False, "containers": [{"name": "app", "image": "registry.example/app:1"}]}}


@writes
def test_the_rights_of_the_manifests_are_enough(world):
    kinds = KINDS + ["services", "endpointslices", "podmonitors", "servicemonitors"]
    follow = Follow(world.access(), *kinds)
    eventually("all is fresh", lambda: fresh(follow) and len(follow.state()["streams"]) == len(kinds), 60)
    for path in ("/api/v1/secrets?limit=1", "/apis/rbac.authorization.k8s.io/v1/clusterroles?limit=1"):
        assert follow.get(path)["status"] == 403  # and no more
    follow.close()
    (role,) = [name for kind, name, _ in world.made if kind == "ClusterRole" and name.startswith("picket-watch")]
    rules = world.api.call("GET", RealApi.path(row_of({"kind": "ClusterRole"}), name=role))["rules"]
    fewer = copy.deepcopy(rules)
    fewer[0]["resources"].remove("nodes")
    world.api.patch("ClusterRole", role, {"rules": fewer})
    try:
        follow = Follow(world.access(), "nodes", "pods")
        eventually("denied", lambda: follow.stream("nodes")["state"] == "denied" and follow.stream("pods")["state"] == "fresh", 20)
        assert "403" in follow.stream("nodes")["why"] and "list and watch on nodes" in follow.stream("nodes")["why"]
        follow.close()
    finally:
        world.api.patch("ClusterRole", role, {"rules": rules})


@writes
def test_pages_changes_and_cuts(world, tmp_path):
    chance = random.Random(seed())
    for i in range(60):
        world.put(pod(world, f"paged-{i}"))
    way = Proxy(int(world.api.server.rsplit(":", 1)[1]))
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!{sys.executable}\nprint({json.dumps(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential', 'status': {'token': world.token}}))})\n",
                      encoding="utf-8")
    plugin.chmod(0o700)
    by_plugin = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}}
    follow = Follow(world.access("plugin", by_plugin, f"https://127.0.0.1:{way.port}"), *KINDS, "page_size=20", "stall_ms=5000", "stale_ms=3000")
    try:
        seen = ["Pod", "Namespace", "Application"]
        eventually("what is believed is there", lambda: fresh(follow) and world.believed(follow, seen), 30)
        assert follow.state()["stats"]["bytes"] and follow.state()["stats"]["objects"] >= 60
        for round_ in range(30):
            name = f"paged-{chance.randrange(60)}"
            chance.choice([lambda: world.api.patch("Pod", name, {"metadata": {"labels": {"round": str(round_)}}}, world.name),
                           lambda: world.api.patch("Pod", name, {"status": {"phase": "Running", "message": str(round_)}}, world.name, status=True),
                           lambda: (world.api.delete("Pod", name, world.name), world.api.create(pod(world, name))),
                           lambda: (way.cut(), time.sleep(0.2), way.heal())])()
        way.heal()
        eventually("what is believed is there", lambda: fresh(follow) and world.believed(follow, seen), 40)
        assert follow.state()["stats"]["objects_unreadable"] == 0, follow.state()["stats"]
        print(json.dumps(follow.state()["stats"]))
    finally:
        follow.close()
        way.close()
        for i in range(60):
            world.api.delete("Pod", f"paged-{i}", world.name)


@writes
def test_bookmarks_come(world):
    follow = Follow(world.access(), "pods", "nodes")
    eventually("bookmarks", lambda: follow.state()["stats"]["bookmarks"] >= 2, 150)
    print(json.dumps(follow.state()["stats"]))
    follow.close()


@writes
@pytest.mark.parametrize("values", ["shipped", "everything"])
def test_the_manifests_are_accepted_under_the_restricted_standard(world, values):
    """With warn and audit set too; a rejected pod template of a workload is a warning of its own, so pods are asked for."""
    name = f"{world.name}-{values}"
    world.space({"name": name, "labels": {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}})
    folder = TOP / "platforms/kubernetes/manifests"
    files = ["cluster.yaml", "network-policy.yaml", "rbac.yaml"] + (["node.yaml", "rbac-diagnostics.yaml", "pod-monitor.yaml", "sidecar.yaml"]
                                                                   if values == "everything" else [])
    pods = 0
    for file in files:
        for value in yaml.safe_load_all((folder / file).read_text(encoding="utf-8")):
            if not value:
                continue
            value["metadata"]["namespace"] = name
            kept = world.api.apply_dry(value, name)
            template = kept.get("spec", {}).get("template") if kept["kind"] in ("Deployment", "DaemonSet", "StatefulSet") else None
            if template or kept["kind"] == "Pod":
                spec = template["spec"] if template else kept["spec"]
                spec = {key: item for key, item in spec.items() if key not in ("serviceAccount", "serviceAccountName")}
                world.api.call("POST", f"/api/v1/namespaces/{name}/pods?dryRun=All&fieldValidation=Strict",
                               {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asked"}, "spec": spec})
                pods += 1
    assert pods == (3 if values == "everything" else 1)
    with pytest.raises(ApiError, match="PodSecurity"):  # that it is enforced
        world.api.call("POST", f"/api/v1/namespaces/{name}/pods?dryRun=All", {"apiVersion": "v1", **pod(world, "bad"), "metadata": {"name": "bad"}})


def without_what_servers_choose(value):
    """As a server of today takes it: recorded objects are years old."""
    value = copy.deepcopy(value)
    spec = value.get("spec", {})
    for spec_of_pod in (spec, spec.get("template", {}).get("spec", {})):
        spec_of_pod.pop("serviceAccount", None)
        spec_of_pod.pop("serviceAccountName", None)
    if value["kind"] == "Job":
        spec.pop("selector", None)
        for labels in (value["metadata"].get("labels", {}), spec["template"]["metadata"].get("labels", {})):
            labels.pop("controller-uid", None)
            labels.pop("job-name", None)
        # Since 1.31 a server takes no failed Job that was not to fail before.
        conditions = value["status"]["conditions"]
        conditions += [{**one, "type": "FailureTarget"} for one in conditions if one["type"] == "Failed"]
    return value


@pytest.fixture(scope="module", name="place")
def a_place(world, tmp_path_factory):
    contracts = KubeApi().contracts
    if not contracts:
        pytest.skip("no recorded objects beside this checkout (../shared/contracts)")
    objects = {path: copy.deepcopy(value) for path, value in recorded.objects(contracts) if path in VERDICTS}
    for path, value in objects.items():
        if "namespace" in value["metadata"]:
            value["metadata"]["namespace"] = world.name
        world.put(without_what_servers_choose(value))
    made = Place(tmp_path_factory.mktemp("real_place"))
    made.objects = objects
    made.anna = made.make_token("anna", "responder")
    made.start()
    made.configure_agent({}, kubernetes=[{"cluster_id": "k1", "kubeconfig": str(world.access("agent"))}], cluster_health__recover="1s",
                         diagnostics={"allow": [{"namespaces": [world.name], "kinds": ["*"]}, {"kinds": ["node"]}]})
    made.start_agent()
    yield made
    made.close()


@writes
def test_every_recorded_object_has_its_verdict(place):
    def as_expected():
        now = {key: verdict(check) for key, check in checks(place).items()}
        for path, value in place.objects.items():
            found = now.get(id_of(value))
            assert found in YOUNG[path] if path in YOUNG else fits(found, VERDICTS[path]), (path, found, now)
        return now
    now = eventually("every verdict", as_expected, 40)
    assert now["k8s.k1"][1] == "Below"  # how bad depends on what else the server has
    assert not place.agent_known()["status"].get("darkWatches")
    before = place.agent_known()["status"]["startedAt"]
    place.agent.kill()
    place.start_agent()
    eventually("it is back", lambda: place.agent_known()["status"].get("startedAt", before) != before, 40)
    eventually("every verdict again", as_expected, 40)


@writes
def test_questions_are_answered(world, place):
    crash = place.objects["kubernetes/pods/crashloop.json"]["metadata"]["name"]
    world.put({"kind": "Event", "metadata": {"name": "told.1", "namespace": world.name}, "type": "Warning", "reason": "BackOff", "message": "told",
               "involvedObject": {"kind": "Pod", "name": crash, "namespace": world.name}, "count": 3, "lastTimestamp": "2026-01-01T00:00:00Z"})
    shown = place.ctl("diagnose", AGENT, "describe", "pod", crash, "-n", world.name, token=place.anna)
    assert crash in shown.stdout and "told" in shown.stdout, shown.stdout
    shown = place.ctl("diagnose", AGENT, "events", "pod", crash, "-n", world.name, token=place.anna)
    assert "told" in shown.stdout, shown.stdout
    rollout = place.objects["kubernetes/workloads/statefulset.json"]["metadata"]["name"]
    shown = place.ctl("diagnose", AGENT, "rollout", "status", f"statefulset/{rollout}", "-n", world.name, token=place.anna)
    assert shown.stdout.strip(), shown
    shown = place.ctl("diagnose", AGENT, "logs", crash, "-n", world.name, token=place.anna, check=False)
    print(shown.returncode, shown.stdout, shown.stderr)
    assert shown.returncode != 0  # there is no kubelet
