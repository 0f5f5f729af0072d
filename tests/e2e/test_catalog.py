# SPDX-License-Identifier: Apache-2.0
"""Fleet states, executions and the catalog over HTTP: sums, four eyes, and what is held, before and after a kill."""
import time

import pytest

from harness import CORE, ApiError, Place, rfc3339, seconds_of


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


def test_an_execution_is_approved_by_somebody_else_and_runs_as_it_was_approved(place):
    steps = [{"title": "restart", "command": "kubectl rollout restart deploy/shop"}, {"title": "look", "link": "https://example.org/"}]
    made = command(place, "RunbookService/CreateRunbook", place.responder, runbookId="restart", title="Restart", steps=steps,
                   approvalRequired=True)
    assert [step["stepId"] for step in made["runbook"]["steps"]] == ["step-1", "step-2"]
    asked = command(place, "RunbookService/ExecuteRunbook", place.responder, runbookId="restart", executionId="e-1")
    assert asked["execution"]["status"] == "RUNBOOK_EXECUTION_STATUS_AWAITING_APPROVAL"
    assert refused(place, "RunbookService/ApproveRunbookExecution", place.responder, executionId="e-1").code == "permission_denied"
    command(place, "RunbookService/UpdateRunbook", place.responder, runbookId="restart", title="Restart", steps=steps[:1])
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
