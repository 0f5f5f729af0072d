# SPDX-License-Identifier: Apache-2.0
"""Fleet states, executions and the catalog over HTTP: sums, four eyes, and what is held, before and after a kill."""
import time

import pytest

from harness import CORE, ApiError, Place, eventually, rfc3339, seconds_of


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("catalog"))
    made.responder = made.make_token("anna", "responder")
    made.approver = made.make_token("petra", "approver")
    made.integration = made.make_token("argo", "integration")
    made.other = made.make_token("stranger", "admin", tenant="other")
    made.start()
    yield made
    made.close()


def command(place, method, token=None, **body):
    return place.call(CORE + method, {"command": body}, token=token)


def refused(place, method, token=None, **body):
    with pytest.raises(ApiError) as info:
        command(place, method, token, **body)
    return info.value


def snapshot(place, at, healthy, degraded=0, **more):
    return command(place, "HealthService/RecordFleetState", place.integration, timestamp=rfc3339(at), healthyCount=healthy,
                   degradedCount=degraded, totalApplications=healthy + degraded, source="HEALTH_SOURCE_ARGOCD", **more)


def fleet(place, environment, cluster="", token=None):
    request = {"environmentId": environment, **({"clusterId": cluster} if cluster else {})}
    return place.call(CORE + "HealthService/GetCurrentFleetState", request, token=token)


def test_fleet_states_are_summed_until_there_is_one_of_the_whole(place):
    now = int(time.time())
    long = "e" * 100
    for environment in ("prod", "pro", "prod.eu", long):
        snapshot(place, now - 60, 3, 1, environmentId=environment, clusterId="eu-1")
        snapshot(place, now - 30, 5, 0, environmentId=environment, clusterId="us-1" + "c" * 60)
    for environment in ("prod", "prod.eu", long):
        said = fleet(place, environment)
        assert said["summedClustersCount"] == 2, said
        state = said["fleetState"]
        assert (state["totalApplications"], state["healthyCount"], state["degradedCount"]) == (9, 8, 1)
        assert seconds_of(state["timestamp"]) == now - 60, "as old as the oldest part"
    one = fleet(place, "prod", "eu-1")
    assert one["fleetState"]["totalApplications"] == 4 and not one.get("summedClustersCount")
    snapshot(place, now, 20, 0, environmentId="prod")
    whole = fleet(place, "prod")
    assert whole["fleetState"]["totalApplications"] == 20 and not whole.get("summedClustersCount")
    place.aggregator.kill()
    place.start_aggregator()
    assert fleet(place, "prod")["fleetState"] == whole["fleetState"]
    for environment, cluster, token in (("prod", "asia-1", None), ("nowhere", "", None), ("prod", "", place.other)):
        with pytest.raises(ApiError) as info:
            fleet(place, environment, cluster, token)
        assert info.value.code == "not_found" and environment in info.value.message


def test_what_nobody_has_seen_for_long_is_unknown(place):
    now = int(time.time())
    for environment, at, more, healthy in (("new", now, {}, 3), ("old", now - 90 * 86400, {}, 0), ("ended", now - 60, {"expiresAt": rfc3339(now - 30)}, 0),
                                           ("kept", now - 7200, {"expiresAt": rfc3339(now + 86400)}, 3)):
        snapshot(place, at, 3, environmentId=environment, clusterId="c1", **more)
        for state in (fleet(place, environment, "c1")["fleetState"], fleet(place, environment)["fleetState"]):
            assert (state["totalApplications"], state.get("healthyCount", 0), state.get("unknownCount", 0)) == (3, healthy, 3 - healthy), state
        name = "check-" + environment
        command(place, "HealthService/RecordHealthCheck", place.integration, healthcheckId=name, timestamp=rfc3339(at),
                status="HEALTH_STATUS_HEALTHY", source="HEALTH_SOURCE_PROBE",
                resourceRef={"type": "node", "id": name, "environment": environment, "cluster": "c1"}, **more)
        wanted = "HEALTH_STATUS_HEALTHY" if healthy else "HEALTH_STATUS_UNKNOWN"
        eventually(f"{name} reads {wanted}", lambda: check_status(place, name) == wanted)
        there = place.call(CORE + "FleetHealthQueryService/GetFleetHealth", {"environmentId": environment})["environments"]
        assert [(e["status"], e["fleetState"].get("healthyCount", 0)) for e in there] == [(wanted, healthy)]
    snapshot(place, now, 4, environmentId="old", clusterId="c2")
    summed = fleet(place, "old")["fleetState"]
    assert (summed["totalApplications"], summed["healthyCount"], summed["unknownCount"]) == (7, 4, 3), "what is known of one says nothing of the other"
    too_far = refused(place, "HealthService/RecordHealthCheck", place.integration, healthcheckId="far", timestamp=rfc3339(now),
                      status="HEALTH_STATUS_HEALTHY", source="HEALTH_SOURCE_PROBE", resourceRef={"type": "node", "id": "n"}, expiresAt="2999-01-01T00:00:00Z")
    assert "within 30 days is unknown" in too_far.message


def check_status(place, name):
    try:
        return place.call(CORE + "FleetHealthQueryService/GetHealthCheck", {"healthcheckId": name})["healthCheck"]["status"]
    except ApiError as error:
        assert error.code == "not_found", error  # not folded yet
        return None


def test_an_execution_is_approved_by_somebody_else_and_runs_as_it_was_approved(place):
    steps = [{"title": "restart", "command": "kubectl rollout restart deploy/shop"}, {"title": "look", "link": "https://example.org/"}]
    made = command(place, "RunbookService/CreateRunbook", place.responder, runbookId="restart", title="Restart", steps=steps,
                   approvalRequired=True)
    assert [step["stepId"] for step in made["runbook"]["steps"]] == ["step-1", "step-2"]
    asked = command(place, "RunbookService/ExecuteRunbook", place.responder, runbookId="restart", executionId="e-1")
    assert asked["execution"]["status"] == "RUNBOOK_EXECUTION_STATUS_AWAITING_APPROVAL"
    assert refused(place, "RunbookService/ApproveRunbookExecution", place.responder, executionId="e-1").code == "permission_denied"
    without = {"runbookId": "restart", "title": "Restart", "steps": steps[:1]}
    assert refused(place, "RunbookService/UpdateRunbook", place.responder, **without).code == "permission_denied"
    command(place, "RunbookService/UpdateRunbook", place.approver, **without)
    ran = command(place, "RunbookService/ApproveRunbookExecution", place.approver, executionId="e-1")
    assert ran["execution"]["status"] == "RUNBOOK_EXECUTION_STATUS_RUNNING" and len(ran["execution"]["plan"]) == 2
    own = command(place, "RunbookService/ExecuteRunbook", place.approver, runbookId="restart", executionId="e-2")
    assert own["execution"]["status"] == "RUNBOOK_EXECUTION_STATUS_RUNNING"  # it no longer asks for one
    for step in ("step-1", "step-2"):
        early = refused(place, "RunbookService/CompleteRunbookExecution", place.responder, executionId="e-1",
                        status="RUNBOOK_EXECUTION_STATUS_SUCCEEDED")
        assert early.code == "failed_precondition" and step in early.message
        command(place, "RunbookService/RecordRunbookStep", place.responder, executionId="e-1",
                result={"stepId": step, "status": "RUNBOOK_EXECUTION_STATUS_SUCCEEDED"})
    command(place, "RunbookService/CompleteRunbookExecution", place.responder, executionId="e-1",
            status="RUNBOOK_EXECUTION_STATUS_SUCCEEDED")
    listed = place.call(CORE + "RunbookService/ListOpenRunbookExecutions", {}, token=place.responder)
    assert [item["executionId"] for item in listed["executions"]] == ["e-2"]


def test_what_others_depend_on_is_held_over_a_kill(place):
    command(place, "ServiceCatalogService/CreateService", place.responder, serviceId="cart", name="Cart")
    command(place, "ServiceCatalogService/CreateService", place.responder, serviceId="shop", name="Web shop",
            dependencies=[{"serviceId": "cart"}])
    place.aggregator.kill()
    place.start_aggregator()
    held = refused(place, "ServiceCatalogService/DeleteService", serviceId="cart")
    assert held.code == "failed_precondition" and "'shop' (Web shop)" in held.message
    command(place, "ServiceCatalogService/DeleteService", serviceId="shop")
    command(place, "ServiceCatalogService/DeleteService", serviceId="cart")
    again = command(place, "ServiceCatalogService/CreateService", place.responder, serviceId="cart", name="Cart")
    assert again["service"]["version"] == "3" and again["outcome"]["aggregateVersion"] == "3"
