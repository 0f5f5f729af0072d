# SPDX-License-Identifier: Apache-2.0
"""Targets found in a cluster (a stand-in API server): they are measured from when they come to when they go, integer for
integer, and while nobody knows who is there, windows say so."""
import itertools
import math
import sys
import time

import pytest

from generator import SLIS, Generator
from harness import TOP, Place, eventually

sys.path.insert(0, str(TOP / "tests/support"))
from kube_api import KubeApi  # noqa: E402

WINDOW, INTERVAL = 1, 0.25
PER_WINDOW = round(WINDOW / INTERVAL)
NAMES = {"pods": "requests", "monitored": "jobs", "services": "scrapes", "few": "latency"}


def pod(name, port, namespace="shop", annotations=None, address="127.0.0.1", labels=None, uid=None, **status):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}", "labels": labels or {},
                         "annotations": annotations or {}},
            "spec": {"nodeName": "node-1", "containers": [{"name": "main", "ports": [
                {"name": "http", "containerPort": 80, "protocol": "TCP"}, {"name": "metrics", "containerPort": port, "protocol": "TCP"}]}]},
            "status": {"phase": "Running", "podIP": address, **status}}


def scraped(port, prefix="picket.test/"):
    return {f"{prefix}scrape": "true", f"{prefix}port": str(port)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("discovery"))
    made.api = KubeApi(bookmark_seconds=0.5).start()
    made.closers.append(made.api)
    made.generators = [Generator(20 + i) for i in range(4)]
    made.closers += made.generators
    kubeconfig = made.folder / "kubeconfig"
    made.api.kubeconfig(kubeconfig)
    made.start()
    for group, name in NAMES.items():
        made.create_slo(name, dict(SLIS[name][0], targets=[group]), WINDOW)
    more = {"local_addresses": True, "targets_max": 50}
    made.configure_agent(
        {}, kubernetes=[{"cluster_id": "c1", "kubeconfig": str(kubeconfig), "stale": "1s", "stall": "5s"}],
        discovery=[{"name": "pods", "annotations": "picket.test/", "namespaces": ["shop"], **more},
                   {"name": "monitored", "mode": "podmonitors", "labels": {"team": "shop"}, **more},
                   {"name": "services", "mode": "servicemonitors", **more},
                   {"name": "few", "annotations": "few/", "local_addresses": True, "targets_max": 1}])
    made.start_agent()
    # Before that a target's scrapes count for nothing, and the tests below know from which one on they do.
    eventually("what is measured is known", lambda: made.agent_known()["status"]["config"]["state"] == "CONFIG_STATE_IN_FORCE")
    yield made
    made.close()


def points(place, name, start):
    return {at: p for at, p in place.windows(name, start, math.floor(time.time())).items() if p["windows"]}


def whole_with(place, name, targets, start):
    """Windows in which so many targets were expected all the time, and all seen."""
    good = [at for at, p in points(place, name, start).items()
            if p["seen"] == p["expected"] == targets * PER_WINDOW and not p["unknown"]]
    return good if len(good) >= 2 else None


def status(place, name):
    known = place.agent_known()
    return next((one for one in (known or {}).get("status", {}).get("targets", []) if one["name"] == name), None)


def counted(place, name, start):
    return sum(p["total"] for p in points(place, name, start).values())


def requests_of(generator, serial):
    return SLIS["requests"][1](generator.log[serial])[1]


def test_pods_are_measured_from_when_they_come_to_when_they_go(place):
    start = math.floor(time.time()) - 5
    first, second, third = place.generators[:3]
    place.api.apply(pod("a", first.port, annotations=scraped(first.port)))
    place.api.apply(pod("b", second.port, annotations=scraped(second.port)))
    place.api.apply(pod("elsewhere", third.port, namespace="other", annotations=scraped(third.port)))
    place.api.apply(pod("unasked", third.port, annotations={"picket.test/scrape": "false"}))
    eventually("two targets are whole", lambda: whole_with(place, "requests", 2, start), 40, 0.3)
    assert status(place, f"shop/a:{first.port}").get("up") and status(place, "pods").get("up")
    assert third.serial == 0
    place.agent.kill()  # bridged: the next process goes on where this one was
    place.start_agent()
    again = math.ceil(time.time())
    eventually("two targets again", lambda: whole_with(place, "requests", 2, again), 40, 0.3)
    place.api.delete("pods", "b", "shop")
    gone = math.ceil(time.time())
    eventually("one is expected", lambda: whole_with(place, "requests", 1, gone), 40, 0.3)
    place.api.delete("pods", "a", "shop")
    time.sleep(2.5)
    # A scrape may have been in flight at the end, and at the beginning, when the SLOs came from the centre.
    each = [{requests_of(g, last) - requests_of(g, begin) for last in (max(g.log), max(g.log) - 1) for begin in (1, 2, 3)}
            for g in (first, second)]
    possible = {sum(pair) for pair in itertools.product(*each)}
    eventually("all is counted, once", lambda: counted(place, "requests", start) in possible, every=0.3)
    served = first.serial
    time.sleep(1)
    assert first.serial == served, "a pod that is gone is scraped"


def test_another_pod_of_the_same_name_begins_with_a_baseline(place):
    start = math.ceil(time.time())
    generator = place.generators[0]
    place.api.apply(pod("stateful-0", generator.port, annotations=scraped(80) | {"picket.test/port": str(generator.port)}, uid="first"))
    eventually("it is whole", lambda: whole_with(place, "requests", 1, start), 40, 0.3)
    before = counted(place, "requests", start)
    # The same name and port, another pod: its counters are another's, and its first sample counts nothing.
    def downs():
        return place.agent.log().count(f"event=target_down target=shop/stateful-0:{generator.port} ")
    was_down = downs()
    generator.mode = "error"
    eventually("the first is down", lambda: downs() > was_down)
    with generator.lock:
        generator.values["requests_200"] += 10_000_000
    place.api.apply(pod("stateful-0", generator.port, annotations=scraped(generator.port), uid="second"))
    eventually("the second is asked, and is down", lambda: downs() > was_down + 1)
    generator.mode = "good"
    again = math.ceil(time.time())
    eventually("it is whole again", lambda: whole_with(place, "requests", 1, again), 40, 0.3)
    assert counted(place, "requests", start) - before < 10_000_000
    place.api.delete("pods", "stateful-0", "shop")


def test_what_must_not_be_scraped_is_not_and_is_said(place):
    generator = place.generators[3]
    place.api.apply(pod("odd", generator.port, annotations=scraped(generator.port) | {"picket.test/path": "/a b"}))
    place.api.apply(pod("pending", generator.port, annotations=scraped(generator.port), phase="Pending"))
    place.api.apply(pod("everywhere", generator.port, annotations=scraped(generator.port), address="0.0.0.0"))
    eventually("it is said", lambda: "never scraped" in place.agent.log() or "must hold no blanks" in place.agent.log())
    for name in ("odd", "pending", "everywhere"):
        place.api.delete("pods", name, "shop")
    assert generator.serial == 0


def test_while_the_api_server_is_away_windows_are_unknown_and_targets_go_on(place):
    start = math.ceil(time.time())
    generator = place.generators[0]
    place.api.apply(pod("a", generator.port, annotations=scraped(generator.port)))
    eventually("it is whole", lambda: whole_with(place, "requests", 1, start), 40, 0.3)
    place.api.fault("status", code=503)
    place.api.drop()
    eventually("the status says it", lambda: not status(place, "pods").get("up"), every=0.2)
    away = math.ceil(time.time()) + 1

    def gaps():  # on a busy machine a scrape may be missed here and there
        found = {at: p for at, p in points(place, "requests", start).items() if at >= away}
        assert all(p["unknown"] and p["expected"] > p["seen"] for p in found.values()), found
        return [p for p in found.values() if p["seen"] == PER_WINDOW and p["total"] > 0]
    eventually("a window of that time, in which the target was seen", gaps, every=0.3)
    place.api.heal()
    back = math.ceil(time.time())
    eventually("it is whole again", lambda: whole_with(place, "requests", 1, back), 60, 0.3)
    place.api.delete("pods", "a", "shop")


def test_pod_monitors_name_pods_by_labels_and_ports(place):
    start = math.ceil(time.time())
    first, second, third = place.generators[:3]
    monitor = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor",
               "metadata": {"name": "m", "namespace": "monitoring", "labels": {"team": "shop"}},
               "spec": {"selector": {"matchLabels": {"app": "web"}, "matchExpressions": [
                            {"key": "tier", "operator": "In", "values": ["front", "back"]}, {"key": "canary", "operator": "DoesNotExist"}]},
                        "namespaceSelector": {"matchNames": ["shop"]},
                        "podMetricsEndpoints": [{"port": "metrics", "interval": "250ms"}, {"port": "http", "basicAuth": {"username": {}}}]}}
    place.api.apply(monitor)
    place.api.apply(dict(monitor, metadata={"name": "others", "namespace": "monitoring", "labels": {"team": "other"}},
                         spec={"selector": {}, "namespaceSelector": {"any": True}, "podMetricsEndpoints": [{"port": "metrics"}]}))
    place.api.apply(pod("w1", first.port, labels={"app": "web", "tier": "front"}))
    place.api.apply(pod("w2", second.port, labels={"app": "web", "tier": "back"}))
    place.api.apply(pod("w3", third.port, labels={"app": "web", "tier": "front", "canary": "1"}))
    third.serial = 0
    eventually("two are whole", lambda: whole_with(place, "jobs", 2, start), 40, 0.3)
    assert third.serial == 0
    eventually("the endpoint that needs a secret is said", lambda: "needs credentials from secrets" in place.agent.log(), 70)
    assert not status(place, "monitored").get("error")
    monitor["spec"]["podMetricsEndpoints"][0]["metricRelabelings"] = [{"action": "drop", "sourceLabels": ["__name__"], "regex": "go_.*"}]
    place.api.apply(monitor)
    eventually("that nobody relabels is said beside the discovery", lambda: "monitoring/m" in status(place, "monitored").get("error", ""))
    assert status(place, "monitored")["up"] and place.agent.log().count("found_otherwise") == 1
    del monitor["spec"]["podMetricsEndpoints"][0]["metricRelabelings"]
    monitor["spec"]["selector"]["matchExpressions"][0]["values"] = ["back"]
    place.api.apply(monitor)
    changed = math.ceil(time.time())
    eventually("one is left", lambda: whole_with(place, "jobs", 1, changed), 40, 0.3)
    place.api.delete("podmonitors", "m", "monitoring")
    served = None
    def quiet():
        nonlocal served
        before, served = served, second.serial
        return before == served
    eventually("nobody is asked", quiet, every=1)


def test_service_monitors_name_services_by_the_labels_of_their_slices(place):
    start = math.ceil(time.time())
    generator = place.generators[2]
    place.api.apply({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
                     "metadata": {"name": "m", "namespace": "shop"},
                     "spec": {"selector": {"matchLabels": {"app": "api"}}, "endpoints": [{"port": "web", "scheme": "HTTP"}]}})
    made = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "api-1", "namespace": "shop", "labels": {"app": "api", "kubernetes.io/service-name": "api"}},
            "ports": [{"name": "web", "protocol": "TCP", "port": generator.port}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True},
                           "targetRef": {"kind": "Pod", "name": "api-0", "namespace": "shop", "uid": "u"}}]}
    place.api.apply(made)
    # Another Service of the same pods: the pod is asked, and counted, once.
    place.api.apply(dict(made, metadata=dict(made["metadata"], name="api-headless-1")))
    eventually("it is whole", lambda: whole_with(place, "scrapes", 1, start), 40, 0.3)
    assert status(place, f"shop/api-0:{generator.port}").get("up")
    place.api.delete("endpointslices", "api-1", "shop")
    again = math.ceil(time.time())
    eventually("the other slice takes over", lambda: whole_with(place, "scrapes", 1, again), 40, 0.3)
    place.api.delete("endpointslices", "api-headless-1", "shop")
    eventually("it is gone", lambda: status(place, f"shop/api-0:{generator.port}") is None)


def test_a_target_port_is_one_of_the_pods_though_the_service_does_not_name_it(place):
    port = place.generators[3].port
    place.api.apply({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
                     "metadata": {"name": "admin", "namespace": "shop"},
                     "spec": {"selector": {"matchLabels": {"app": "admin"}},
                              "endpoints": [{"targetPort": "adm"}, {"targetPort": "none"}]}})
    # The slice comes before the pod that it names.
    place.api.apply({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                     "metadata": {"name": "admin-1", "namespace": "shop", "labels": {"app": "admin"}},
                     "ports": [{"name": "web", "protocol": "TCP", "port": 1}],
                     "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True},
                                    "targetRef": {"kind": "Pod", "name": "admin-0", "namespace": "shop", "uid": "admin"}}]})
    said = "no target has the port of 1 monitors (shop/admin: 'adm')"
    eventually("what finds nothing is said", lambda: said in status(place, "services").get("error", ""), 40)
    place.api.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "admin-0", "namespace": "shop", "uid": "admin"},
                     "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "x", "ports": [
                         {"name": "adm", "containerPort": port}]}]},
                     "status": {"phase": "Running", "podIP": "127.0.0.1"}})
    eventually("it is scraped", lambda: (status(place, f"shop/admin-0:{port}") or {}).get("up"), 40)
    eventually("and the other not", lambda: "'none'" in status(place, "services").get("error", ""), 40)
    place.api.delete("endpointslices", "admin-1", "shop")
    eventually("it is gone", lambda: status(place, f"shop/admin-0:{port}") is None)
    place.api.delete("servicemonitors", "admin", "shop")
    place.api.delete("pods", "admin-0", "shop")


def test_more_targets_than_there_is_room_for_are_said_and_unknown(place):
    start = math.ceil(time.time())
    first, second = place.generators[:2]
    place.api.apply(pod("f1", first.port, annotations=scraped(first.port, "few/")))
    place.api.apply(pod("f2", second.port, annotations=scraped(second.port, "few/")))
    eventually("the status says it", lambda: "targets_max" in status(place, "few").get("error", ""))
    eventually("it is counted", lambda: place.metric("picket_collect_groups_unknown", "agent") >= 1)
    assert "unknown" in str(eventually("windows say it", lambda: [p for p in points(place, "latency", start).values() if p["unknown"]], 20))
    place.api.delete("pods", "f1", "shop")
    place.api.delete("pods", "f2", "shop")
    eventually("nobody is left, and known", lambda: status(place, "few").get("up"), 40)
