# SPDX-License-Identifier: Apache-2.0
"""The health of a cluster as the centre has it: every recorded object's verdict, and whatever goes wrong between the API server
and the agent, or with the agent itself, the last word at the centre is that of the cluster's last state. The stand-in API
server, the real agent, Mosquitto and the aggregator."""
import copy
import time

import pytest

from harness import CORE, PATIENCE, Place, eventually, free_port
from kube_api import KubeApi, recorded

# What each recorded object is judged to be (None: a pod that was never bad, of which nothing is told); by and by in
# tests/unit/agent/health/verdicts.txt.
PROGRESSING = "unsettled, and degraded when it has gone on for a minute"
VERDICTS = {
    "kubernetes/pods/crashloop.json": ("UNHEALTHY", "CrashLoopBackOff"),
    "kubernetes/pods/evicted.json": ("UNHEALTHY", "Evicted"),
    "kubernetes/pods/imagepullbackoff.json": ("UNHEALTHY", "ImagePullBackOff"),
    "kubernetes/pods/old-selflink.json": None,
    "kubernetes/pods/oomkilled-crashloop.json": ("UNHEALTHY", "OOMKilled"),
    "kubernetes/pods/pending.json": ("UNHEALTHY", "StuckStarting"),
    "kubernetes/pods/running-not-ready.json": ("UNHEALTHY", "NotReady"),
    "kubernetes/pods/running-restart-always.json": None,
    "kubernetes/pods/succeeded.json": None,
    "kubernetes/nodes/ready.json": ("HEALTHY", "Ready"),
    "kubernetes/nodes/not-ready-cni.json": ("UNHEALTHY", "NotReady"),
    "kubernetes/nodes/unknown-kubelet-stopped.json": ("UNKNOWN", "NodeStatusUnknown"),
    "kubernetes/workloads/deployment-degraded.json": ("DEGRADED", "ProgressDeadlineExceeded"),
    "kubernetes/workloads/deployment-progressing.json": PROGRESSING,
    "kubernetes/workloads/statefulset.json": ("HEALTHY", "Available"),
    "kubernetes/workloads/job-failed.json": ("UNHEALTHY", "BackoffLimitExceeded"),
    "kubernetes/workloads/pvc-pending.json": ("DEGRADED", "Unbound"),
}
SETTLING = (("UNKNOWN", "Unsettled"), ("HEALTHY", "Settling"), ("DEGRADED", "Progressing"))
RECOVER = 1


@pytest.fixture(scope="module", name="place")
def a_place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("kubernetes_health"))
    api = made.api = KubeApi(bookmark_seconds=0.5)
    if not api.contracts:
        pytest.skip("no recorded objects beside this checkout (../shared/contracts)")
    made.objects = {path: copy.deepcopy(value) for path, value in recorded.objects(api.contracts) if path in VERDICTS}
    assert set(made.objects) == set(VERDICTS), set(VERDICTS) ^ set(made.objects)
    for value in made.objects.values():
        value["metadata"].pop("resourceVersion", None)
    api.start(port=free_port())
    api.apply(list(made.objects.values()))
    for name in sorted({value["metadata"]["namespace"] for value in made.objects.values() if "namespace" in value["metadata"]}):
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "status": {"phase": "Active"}})
    made.closers.append(api)
    made.start()
    made.configure_agent({}, kubernetes=[{"cluster_id": "k1", "kubeconfig": str(api.kubeconfig(made.folder / "kubeconfig")),
                                          "stale": "8s", "stall": "2s"}],
                         cluster_health__recover=f"{RECOVER}s", cluster_health__heartbeat="30s",
                         cluster_health__flap_window="2s")  # tests bring the same object down again and again
    made.start_agent()
    yield made
    made.close()


def checks(place):
    found, token = {}, ""
    while True:
        page = place.call(CORE + "FleetHealthQueryService/ListHealthChecks",
                          {"pageSize": 1000, "clusterId": "k1", **({"pageToken": token} if token else {})})
        found.update({check["healthcheckId"]: check for check in page.get("healthChecks", [])})
        token = page.get("nextPageToken", "")
        if not token:
            return found


def verdict(check):
    return check["status"].removeprefix("HEALTH_STATUS_"), check["labels"]["reason"]


def id_of(value):
    meta = value["metadata"]
    space = f"{meta['namespace']}." if "namespace" in meta else ""
    return f"k8s.k1.{value['kind'].lower()}.{space}{meta['name']}"


def fits(found, want):
    return found in SETTLING if want is PROGRESSING else found == want


def wrong(place, expected):
    """What is not as expected, as one text; empty: all is."""
    now = {key: verdict(check) for key, check in checks(place).items()}
    return "".join(f"\n{key}: expected {want}, is {now.get(key)}" for key, want in expected.items()
                   if not fits(now.get(key), want))



def expect(place, expected, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while wrong(place, expected):
        assert time.monotonic() < end, wrong(place, expected) + "\n" + place.agent.tail(15)
        time.sleep(0.25)


def as_recorded(place):
    return {id_of(value): VERDICTS[path] for path, value in place.objects.items()}


def changes(place):
    """How often each check's status changed at the centre."""
    count = {}
    for fact in place.facts():
        record = fact.get("healthCheckRecorded")
        if record and not record.get("late") and record.get("from", "") != record["healthCheck"]["status"]:
            key = record["healthCheck"]["healthcheckId"]
            count[key] = count.get(key, 0) + 1
    return count


def ready(value):
    value = copy.deepcopy(value)
    for condition in value["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["status"] = "True"
    for container in value["status"]["containerStatuses"]:
        container.update(state={"running": {"startedAt": "2026-03-02T09:00:00Z"}}, lastState={}, ready=True)
    value["status"]["phase"] = "Running"
    return value


def test_every_recorded_object_has_its_verdict(place):
    expect(place, as_recorded(place))
    expect(place, {"k8s.k1": ("UNHEALTHY", "Below"),  # of three nodes one is not ready, of the namespaces most are bad
                   "k8s.k1.namespace.shop": ("UNHEALTHY", "Below"),
                   "k8s.k1.namespace.argoci-workflows": ("UNHEALTHY", "Below")})
    crash = checks(place)[id_of(place.objects["kubernetes/pods/crashloop.json"])]
    assert crash["resourceRef"] == {"type": "pod", "id": "my-pod", "namespace": "argocd", "cluster": "k1"}
    assert crash["source"] == "HEALTH_SOURCE_KUBERNETES" and "expiresAt" in crash
    assert crash["message"].startswith("CrashLoopBackOff: container 'main' waits to be restarted (restarts: 3)")
    assert place.rejections() == []
    known = eventually("the agent says what it watches",
                       lambda: "k1" in (place.agent_known() or {"status": {}})["status"].get("clusterIds", []) and place.agent_known())
    assert set(known["status"]["clusterIds"]) == {"c1", "k1"}


def test_a_warning_event_is_evidence_and_counts_once(place):
    pod = place.objects["kubernetes/pods/crashloop.json"]
    event = {"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "BackOff", "count": 7,
             "metadata": {"name": "my-pod.1", "namespace": "argocd"}, "lastTimestamp": "2026-03-02T09:00:00Z",
             "involvedObject": {"kind": "Pod", "namespace": "argocd", "name": pod["metadata"]["name"]},
             "message": "Back-off restarting failed container"}
    place.api.apply(event)
    eventually("the event is counted", lambda: place.metric("picket_health_events_total", "agent", reason="BackOff") == 7)
    place.api.apply({**event, "count": 9})
    place.api.end_watches()
    place.api.compact()
    eventually("its new occurrences are", lambda: place.metric("picket_health_events_total", "agent", reason="BackOff") == 9)
    time.sleep(6)  # kept by now
    place.agent.kill()
    place.start_agent()
    eventually("and are known after a crash", lambda: place.metric("picket_health_events_total", "agent", reason="BackOff") == 9)
    expect(place, as_recorded(place))
    time.sleep(2)
    assert place.metric("picket_health_events_total", "agent", reason="BackOff") == 9


@pytest.mark.parametrize("trouble", ["drop", "end", "compact", "errors", "cut"])
def test_changes_arrive_through_trouble(place, trouble):
    api, pod = place.api, place.objects["kubernetes/pods/imagepullbackoff.json"]
    node = place.objects["kubernetes/nodes/ready.json"]
    key = id_of(pod)
    if trouble == "errors":
        api.fault("status", code=500, count=6)
    if trouble == "cut":
        api.fault("cut", verb="watch", count=4, after=100)
    if trouble in ("drop", "errors", "cut"):
        api.drop()
    if trouble == "end":
        api.end_watches()
    api.apply(ready(pod))
    sick = copy.deepcopy(node)
    next(c for c in sick["status"]["conditions"] if c["type"] == "DiskPressure")["status"] = "True"
    api.apply(sick)
    if trouble == "compact":
        api.bump(1000)
        api.compact()
        api.drop()
    expect(place, {key: ("HEALTHY", "Ready"), id_of(node): ("DEGRADED", "DiskPressure")})
    api.heal()
    api.apply([pod, node])
    expect(place, as_recorded(place))


def test_kill_9_tells_nothing_twice_and_misses_nothing(place):
    api, doomed = place.api, place.objects["kubernetes/pods/running-not-ready.json"]
    expect(place, as_recorded(place))
    before = changes(place)
    for _ in range(3):
        place.agent.kill()
        place.start_agent()
        time.sleep(1.5)
    place.agent.kill()
    api.delete("pods", doomed["metadata"]["name"], doomed["metadata"]["namespace"])
    place.start_agent()
    gone = id_of(doomed)
    expect(place, {**as_recorded(place), gone: ("HEALTHY", "Deleted")})
    assert "expiresAt" not in checks(place)[gone]
    after = changes(place)
    told = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    told.pop(id_of(place.objects["kubernetes/workloads/deployment-progressing.json"]), None)
    assert told == {gone: 1}
    api.apply(doomed)
    expect(place, as_recorded(place))


def test_a_stale_watch_is_unknown_and_comes_back(place):
    api = place.api
    expect(place, as_recorded(place))
    api.fault("drop")
    api.drop()
    expect(place, {key: ("UNKNOWN", "NotWatched") for key, want in as_recorded(place).items() if want})
    expect(place, {"k8s.k1": ("UNKNOWN", "NotWatched"), "k8s.k1.namespace.shop": ("UNKNOWN", "NotWatched")})
    assert "pods" in checks(place)["k8s.k1"]["message"] or "not watched" in checks(place)["k8s.k1"]["message"]
    api.heal()
    api.drop()
    expect(place, as_recorded(place))
    expect(place, {"k8s.k1": ("UNHEALTHY", "Below")})


def test_a_right_that_is_missing_is_unknown_and_says_which(place):
    api = place.api
    api.forbid("persistentvolumeclaims")
    api.drop()
    claim = id_of(place.objects["kubernetes/workloads/pvc-pending.json"])
    expect(place, {claim: ("UNKNOWN", "NotAllowed")})
    message = checks(place)[claim]["message"]
    assert "persistentvolumeclaims" in message and "403" in message, message
    def dark_watches():  # the others were dropped as well, and are stale for a moment
        dark = place.agent_known()["status"].get("darkWatches", [])
        said = [(one["clusterId"], one["resource"], one["state"]) for one in dark]
        return dark if said == [("k1", "persistentvolumeclaims", "WATCH_STATE_DENIED")] else None
    dark = eventually("the agent's status at the centre says it", dark_watches, 30, 0.2)
    assert "list and watch on persistentvolumeclaims" in dark[0]["error"] and "ClusterRole" in dark[0]["error"], dark
    assert "cannot watch persistentvolumeclaims of cluster k1" in place.ctl("doctor", check=False).stdout
    api.allow("persistentvolumeclaims")
    place.agent.kill()  # or wait some minutes, until it looks again
    place.start_agent()
    expect(place, as_recorded(place))
    eventually("nothing is dark", lambda: not place.agent_known()["status"].get("darkWatches"), 30, 0.2)
