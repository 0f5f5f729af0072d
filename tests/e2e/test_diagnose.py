# SPDX-License-Identifier: Apache-2.0
"""Questions to an agent about its cluster: a real broker, aggregator and agent, and a stand-in for the API server."""
import json
import pathlib
import threading
import time

import pytest
from harness import AGENT, EDGE, ApiError, Place, eventually
from kube_api import KubeApi

SECRET = "hunter2hunter2"
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "api-0", "namespace": "shop", "annotations": {
    "kubectl.kubernetes.io/last-applied-configuration": SECRET}},
       "spec": {"nodeName": "n1", "containers": [{"name": "api", "image": "shop/api:1", "args": ["--db-password", SECRET], "env": [
           {"name": "DB_HOST", "value": SECRET}, {"name": "LOG_LEVEL", "value": "debug"}]}]}, "status": {"phase": "Running"}}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "shop", "generation": 1},
              "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "api"}}},
              "status": {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 1}}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": {}}
EVENT = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "api-0.1", "namespace": "shop"}, "type": "Warning", "reason": "BackOff",
         "message": f"restarting, token={SECRET}", "count": 12, "lastTimestamp": "2026-11-21T07:28:49Z",
         "involvedObject": {"kind": "Pod", "name": "api-0", "namespace": "shop"}}


@pytest.fixture(name="world", scope="module")
def a_world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diagnose")
    api = KubeApi().start()
    place = Place(folder)
    try:
        api.apply([POD, DEPLOYMENT, EVENT, NODE])
        api.set_log("shop", "api-0", "api", f"one\npassword={SECRET}\nthree\n")
        place.configure_agent({}, kubernetes=[{"cluster_id": "c1", "kubeconfig": str(api.kubeconfig(folder / "kubeconfig"))}],
                              diagnostics={"allow": [{"namespaces": ["shop"], "kinds": ["*"]}, {"kinds": ["node"]}],
                                           "bytes_max": "4KiB", "time_max": "10s", "show_env": ["LOG_LEVEL"]})
        place.anna, place.victor = place.make_token("anna", "responder"), place.make_token("victor", "viewer")
        place.olga = place.make_token("olga", "responder", tenant="other")
        place.start()
        place.start_agent()
        eventually("the agent is known", lambda: (place.agent_known() or {}).get("status", {}).get("online"))
        place.api = api
        yield place
    finally:
        place.close()
        api.close()


def ask(place, question, token=None, agent=AGENT, **more):
    return place.call(EDGE + "AgentService/RunDiagnostics", {"agent": agent, "request": {**question, **more}}, token or place.anna)["reply"]


def pod(name="api-0", namespace="shop", kind="pod"):
    return {"resource": {"type": kind, "id": name, "namespace": namespace}}


def test_each_question_is_answered_without_secrets(world):
    described = ask(world, {"describe": pod()})
    shown = json.loads(described["content"])
    assert shown["object"]["spec"]["containers"][0]["env"] == [{"name": "DB_HOST", "value": "***"}, {"name": "LOG_LEVEL", "value": "debug"}]
    assert "annotations" not in shown["object"]["metadata"] or not shown["object"]["metadata"]["annotations"]
    assert described["maskedCount"] >= 3 and shown["events"][0]["reason"] == "BackOff"
    events = ask(world, {"events": pod()})
    assert "BackOff" in events["content"] and "(x12)" in events["content"] and "token=***" in events["content"]
    logs = ask(world, {"logs": {"namespace": "shop", "pod": "api-0", "container": "api", "lines": 2}})
    assert logs["content"] == "password=***\nthree\n"
    rollout = ask(world, {"rolloutStatus": pod("api", kind="deployment")})
    assert rollout["content"] == 'Waiting for deployment "api": 1 of 3 updated replicas are available\n'
    for reply in (described, events, logs, rollout):
        assert reply["outcome"] == "DIAGNOSTICS_OUTCOME_ANSWERED" and SECRET not in json.dumps(reply)


def test_what_the_settings_do_not_name_is_refused(world):
    refused = ask(world, {"describe": pod(namespace="bank")})
    assert refused["outcome"] == "DIAGNOSTICS_OUTCOME_REFUSED" and "diagnostics.allow" in refused["error"]
    assert "never read" in ask(world, {"describe": pod(kind="secret")})["error"]
    assert ask(world, {"describe": pod("absent")})["outcome"] == "DIAGNOSTICS_OUTCOME_FAILED"


def test_a_long_log_is_cut_at_its_beginning(world):
    world.api.set_log("shop", "api-0", "api", "".join(f"line {i}\n" for i in range(1500)))
    reply = ask(world, {"logs": {"namespace": "shop", "pod": "api-0", "container": "api"}})
    assert reply["truncated"] and len(reply["content"]) <= 4096 and reply["content"].endswith("line 1499\n")


def test_who_asked_what_is_a_fact_before_and_after(world):
    asked = ask(world, {"describe": pod()}, requestedBy="somebody else")
    facts = world.facts(aggregateType="diagnostics", aggregateId=asked["requestId"])
    started, completed = (facts[0]["diagnosticsStarted"]["run"], facts[1]["diagnosticsCompleted"]["run"])
    assert [fact["meta"]["producer"] for fact in facts] == ["anna", "picket-aggregator"]
    assert started["requestedBy"] == completed["requestedBy"] == "anna" and "outcome" not in started
    assert started["question"] == {"verb": "DIAGNOSTICS_VERB_DESCRIBE", "kind": "pod", "namespace": "shop", "name": "api-0"}
    assert completed["outcome"] == "DIAGNOSTICS_OUTCOME_ANSWERED" and int(completed["contentBytes"]) > 0 and completed["maskedCount"] >= 3


def test_the_guides_command_shows_who_looked_at_what(world):
    guide = (pathlib.Path(__file__).parents[2] / "agent/diagnose/DIAGNOSE.md").read_text(encoding="utf-8")
    command = "get facts --where aggregateType=diagnostics -o yaml"
    assert f"picketctl {command}\n" in guide
    asked = ask(world, {"describe": pod()})["requestId"]
    shown = world.ctl(*command.split(), token=world.anna).stdout
    shown = shown[shown.index(f'diagnosticsId: "{asked}"'):]
    for line in ("agent: " + AGENT, "verb: DIAGNOSTICS_VERB_DESCRIBE", "kind: pod", "namespace: shop", "name: api-0", "requestedBy: anna",
                 "outcome: DIAGNOSTICS_OUTCOME_ANSWERED"):
        assert line in shown, shown


def test_roles_tenants_and_ids(world):
    for token, code in ((world.victor, "permission_denied"),
                        (world.olga, "not_found")):
        with pytest.raises(ApiError) as refused:
            ask(world, {"describe": pod()}, token)
        assert refused.value.code == code
    asked = ask(world, {"describe": pod()})["requestId"]
    with pytest.raises(ApiError) as refused:
        ask(world, {"describe": pod()}, requestId=asked)
    assert refused.value.code == "already_exists"


def test_picketctl_shows_it(world):
    ran = world.ctl("diagnose", AGENT, "rollout", "status", "deployment/api", "-n", "shop", token=world.anna)
    assert ran.stdout == 'Waiting for deployment "api": 1 of 3 updated replicas are available\n'
    ran = world.ctl("diagnose", AGENT, "describe", "pod", "api-0", "-n", "shop", token=world.anna)
    assert "LOG_LEVEL" in ran.stdout and SECRET not in ran.stdout + ran.stderr and "masked" in ran.stderr
    ran = world.ctl("diagnose", AGENT, "logs", "api-0", "-n", "bank", token=world.anna, check=False)
    assert ran.returncode == 1 and "diagnostics.allow" in ran.stderr
    assert world.ctl("diagnose", AGENT, "dance", check=False).returncode == 2


def test_top_says_what_is_used_or_that_nobody_measures_it(world):
    world.api.set_usage("n1", 250_000_000, 4096 * 1024)
    world.api.set_usage("api-0", 15_000_000, 64 * 1024, namespace="shop")
    for of, namespace, line in (("nodes", [], "n1 250m 4096Mi"), ("pods", ["-n", "shop"], "api-0 15m 64Mi")):
        for name in ([], [line.split()[0]]):
            ran = world.ctl("diagnose", AGENT, "top", of, *name, *namespace, token=world.anna)
            said = [row.split() for row in ran.stdout.splitlines()]
            assert said == [["NAME", "CPU", "MEMORY"], line.split()], ran.stdout
    ran = world.ctl("diagnose", AGENT, "top", "pods", "-n", "bank", token=world.anna, check=False)
    assert ran.returncode == 1 and "diagnostics.allow" in ran.stderr
    ran = world.ctl("diagnose", AGENT, "top", "pods", "absent", "-n", "shop", token=world.anna, check=False)
    assert ran.returncode == 1 and "'absent'" in ran.stderr
    world.api.option("metrics", False)
    try:
        ran = world.ctl("diagnose", AGENT, "top", "nodes", token=world.anna, check=False)
        assert ran.returncode == 1 and "metrics-server (metrics.k8s.io) is not installed" in ran.stderr
    finally:
        world.api.option("metrics", True)


def test_a_dry_run_asks_nobody(world):
    before = len(world.facts(aggregateType="diagnostics"))
    shown = world.ctl("diagnose", AGENT, "logs", "api-0", "-n", "shop", "--tail", "5", "--dry-run", token=world.anna).stdout
    assert "# POST " in shown and "RunDiagnostics" in shown and "lines: 5" in shown
    assert len(world.facts(aggregateType="diagnostics")) == before


def test_a_question_whose_aggregator_is_killed_ends_on_record_once(world):
    world.api.fault("hang", resource="pods", verb="get")
    before = len(world.facts(aggregateType="diagnostics"))

    def ends():
        return [fact["diagnosticsCompleted"]["run"] for fact in world.facts(aggregateType="diagnostics")[before:]
                if "diagnosticsCompleted" in fact]
    try:
        asking = threading.Thread(target=lambda: pytest.raises(Exception, ask, world, {"describe": pod()}))
        asking.start()
        eventually("it is on record", lambda: len(world.facts(aggregateType="diagnostics")) == before + 1)
        world.aggregator.kill()
        asking.join()
        for _ in range(2):
            world.start_aggregator()
            eventually("it has ended", ends)
            world.aggregator.kill()
        world.start_aggregator()
    finally:
        world.api.heal()
    assert [(end["outcome"], "was restarted" in end["reason"]) for end in ends()] == [("DIAGNOSTICS_OUTCOME_UNKNOWN", True)]
    eventually("the agent is known again", lambda: (world.agent_known() or {}).get("status", {}).get("online"))


def test_an_api_server_that_does_not_answer_and_an_agent_that_is_away(world):
    world.api.fault("hang", resource="pods")
    try:
        began = time.monotonic()
        with pytest.raises(ApiError) as refused:
            deadline = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
            reply = ask(world, {"describe": pod()}, deadline=deadline)
            raise ApiError(0, reply["outcome"], reply["error"])
        assert refused.value.code in ("deadline_exceeded", "DIAGNOSTICS_OUTCOME_TIMED_OUT") and time.monotonic() - began < 18
    finally:
        world.api.heal()
    world.agent.terminate()
    eventually("the agent said that it goes", lambda: not world.agent_known()["status"].get("online"))
    with pytest.raises(ApiError) as refused:
        ask(world, {"describe": pod()})
    assert refused.value.code == "unavailable" and "is not connected" in refused.value.message
