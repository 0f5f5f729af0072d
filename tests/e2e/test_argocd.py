# SPDX-License-Identifier: Apache-2.0
"""An Argo CD's applications at the centre, by both ways in: the watch of Application objects, and Argo CD's own API. The agent,
the broker and the aggregator are real; the two servers are stand-ins."""
import collections
import time

import pytest
from argocd import ArgoCd, application
from harness import ApiError, CORE, Place, eventually
from kube_api import KubeApi

COUNTS = ("healthy", "degraded", "progressing", "unknown", "suspended", "missing")
MODES = ("watch", "stream", "poll")


class World:
    """One way in, with a stand-in behind it that is changed in the same words."""

    def __init__(self, folder, mode, **more):
        self.mode, self.place = mode, Place(folder)
        self.server = KubeApi(bookmark_seconds=1).start() if mode == "watch" else ArgoCd().start()
        item = {"environment_label": "environment", "debounce": "100ms", "stale": "30s", "heartbeat": "1h", **more}
        settings = {"argocd": [item]}
        if mode == "watch":
            self.server.service_account(folder / "sa")
            settings["kubernetes"] = [{"cluster_id": "c1", "kubeconfig": str(self.server.kubeconfig(folder / "kubeconfig")), "stale": item["stale"]}]
            item["kubernetes"] = "c1"
        else:
            item.update({"url": self.server.url, "auth": {"username": "admin", "password": "secret"}, "stream": mode == "stream",
                         "poll_interval": "1s", "timeout": "3s"})
        self.place.configure_agent({}, agent={"tenant": "demo", "name": "edge-1", "cluster_id": "c1", "environment_id": "prod"}, **settings)
        self.place.start()

    def close(self):
        self.place.close()
        self.server.close()

    def put(self, name, **more):
        self.server.apply(application(name, **more))

    def delete(self, name):
        if self.mode == "watch":
            self.server.delete("applications", name, "argocd")
        else:
            self.server.delete(name)

    def away(self):
        """The source answers nothing any more."""
        if self.mode == "watch":
            self.server.fault("status", code=503)
        else:
            self.server.fault("list", status=503)
            self.server.fault("stream", status=503)
        self.server.drop()

    def back(self):
        self.server.heal()

    def fleet(self, environment="prod", cluster="c1"):
        try:
            state = self.place.call(CORE + "HealthService/GetCurrentFleetState", {"environmentId": environment, "clusterId": cluster})["fleetState"]
        except ApiError as why:
            if why.code == "not_found":
                return None
            raise
        counts = {name: state.get(f"{name}Count", 0) for name in COUNTS}
        assert sum(counts.values()) == state.get("totalApplications", 0)
        return {"total": state.get("totalApplications", 0), "out_of_sync": state.get("outOfSyncCount", 0),
                **{name: count for name, count in counts.items() if count}}

    def expect(self, what, environment="prod", cluster="c1", seconds=60, **counts):
        want = {"out_of_sync": 0, **{name: count for name, count in counts.items() if count or name == "total"}}
        return eventually(f"{what}: {want}", lambda: self.fleet(environment, cluster) == want or self._say(environment, cluster), seconds)

    def _say(self, environment, cluster):
        raise AssertionError(str(self.fleet(environment, cluster)))

    def checks(self):
        """{application: [(status, message)]} of all that was ever recorded, in order."""
        found = collections.defaultdict(list)
        for fact in self.place.facts(aggregateType="health_check"):
            check = fact["healthCheckRecorded"]["healthCheck"]
            if check["source"] != "HEALTH_SOURCE_ARGOCD":
                continue  # the watched cluster has a health of its own
            assert check["resourceRef"]["type"] == "application"
            assert check["healthcheckId"] == f"argocd_{check['resourceRef']['namespace']}_{check['resourceRef']['id']}_c1"
            assert not fact["healthCheckRecorded"].get("late"), check
            found[check["resourceRef"]["id"]].append((check["status"].removeprefix("HEALTH_STATUS_"), check.get("message", "")))
        return found

    def statuses(self, name):
        return [status for status, _ in self.checks()[name]]


@pytest.fixture(name="world", params=MODES)
def a_world(request, tmp_path):
    made = World(tmp_path, request.param)
    yield made
    made.close()


@pytest.fixture(name="stale_soon", params=MODES)
def a_world_of_little_patience(request, tmp_path):
    """Where nothing is heard for three seconds nothing is known: for tests in which that is so."""
    made = World(tmp_path, request.param, stale="3s")
    yield made
    made.close()


def test_changes_of_applications_and_the_counts_of_their_fleets_arrive(world):
    world.put("cart")
    world.put("checkout", health="Degraded", message="Deployment \"checkout\" exceeded its progress deadline")
    world.put("search", health="Progressing", sync="OutOfSync", phase="Running")
    world.put("legacy", health=None, sync="", phase=None)
    world.put("billing", health="Missing", labels={"environment": "staging"})
    world.put("far", health="Suspended", server="https://west.example.com:6443")
    world.place.start_agent()
    world.expect("the whole list", total=4, healthy=1, degraded=1, progressing=1, unknown=1, out_of_sync=1)
    world.expect("another environment", environment="staging", total=1, missing=1)
    world.expect("another cluster", cluster="west.example.com-6443", total=1, suspended=1)
    world.put("cart", health="Degraded", message="replicas")
    world.put("new", phase="Failed")
    world.expect("a change and an addition", total=5, healthy=1, degraded=2, progressing=1, unknown=1, out_of_sync=1)
    world.delete("search")
    world.expect("a deletion", total=4, healthy=1, degraded=2, unknown=1)
    found = eventually("all checks are there", lambda: (lambda said: len(said["search"]) == 2 and said)(world.checks()))
    assert world.statuses("cart") == ["HEALTHY", "UNHEALTHY"] and found["cart"][1][1] == "Degraded, Synced, last operation Succeeded: replicas"
    assert found["new"] == [("DEGRADED", "Healthy, Synced, last operation Failed: operation failed")]
    assert [one[0] for one in found["search"]] == ["DEGRADED", "UNKNOWN"] and found["search"][1][1] == "the Application was deleted: with this its check has ended"
    assert found["checkout"] == [("UNHEALTHY", 'Degraded, Synced, last operation Succeeded: Deployment "checkout" exceeded its progress deadline')]
    assert [one[0] for one in found["legacy"]] == ["UNKNOWN"] and [one[0] for one in found["billing"]] == ["UNHEALTHY"]
    assert not world.place.rejections()
    eventually("the metric", lambda: world.place.metric("picket_argocd_applications", "agent") == 6)


def test_there_and_back_is_two_changes(world):
    if world.mode == "poll":
        pytest.skip("a list each second says how it is, not how it was between")
    world.put("cart")
    world.place.start_agent()
    world.expect("one", total=1, healthy=1)
    for health in ("Degraded", "Healthy") * 3:
        world.put("cart", health=health)
    eventually("all changes", lambda: world.statuses("cart") == ["HEALTHY"] + ["UNHEALTHY", "HEALTHY"] * 3)


def test_a_source_that_is_away_makes_all_unknown_and_coming_back_heals(stale_soon):
    world = stale_soon
    for i in range(3):
        world.put(f"app-{i}")
    world.place.start_agent()
    world.expect("all", total=3, healthy=3)
    world.away()
    world.expect("unknown, with the total", total=3, unknown=3)
    eventually("the checks say why", lambda: all(world.statuses(f"app-{i}") == ["HEALTHY", "UNKNOWN"] for i in range(3)))
    assert "Argo CD is not heard: " in world.checks()["app-0"][1][1]
    # Killed and started while it is away: nothing is said twice.
    world.place.agent.kill()
    world.put("app-0", health="Degraded")
    world.delete("app-1")
    world.place.start_agent()
    time.sleep(5)
    assert world.statuses("app-0") == ["HEALTHY", "UNKNOWN"]
    world.back()
    world.expect("as it is now", total=2, healthy=1, degraded=1)
    eventually("each said once", lambda: [world.statuses(f"app-{i}") for i in range(3)] == [
        ["HEALTHY", "UNKNOWN", "UNHEALTHY"], ["HEALTHY", "UNKNOWN", "UNKNOWN"], ["HEALTHY", "UNKNOWN", "HEALTHY"]])


def test_killed_at_any_time_no_change_is_said_twice_and_none_is_missed(world):
    truth = {f"app-{i:02d}": ["Healthy"] for i in range(20)}
    for name in truth:
        world.put(name)
    world.place.start_agent()
    world.expect("all", total=20, healthy=20)
    for turn in range(4):
        for number, name in enumerate(truth):
            if (number + turn) % 3 == 0:
                truth[name].append("Degraded" if truth[name][-1] == "Healthy" else "Healthy")
                world.put(name, health=truth[name][-1])
        world.place.agent.kill()
        world.place.start_agent()
        degraded = sum(1 for healths in truth.values() if healths[-1] == "Degraded")
        world.expect(f"turn {turn}", total=20, healthy=20 - degraded, degraded=degraded)
    words = {"Healthy": "HEALTHY", "Degraded": "UNHEALTHY"}
    eventually("every change once", lambda: all(world.statuses(name) == [words[one] for one in healths] for name, healths in truth.items()))


def test_a_broken_connection_misses_nothing(world):
    if world.mode == "poll":
        pytest.skip("there is no connection between two lists")
    for i in range(5):
        world.put(f"app-{i}")
    world.place.start_agent()
    world.expect("all", total=5, healthy=5)
    world.server.drop()
    world.put("app-0", health="Degraded")
    world.delete("app-1")
    world.put("app-5")
    world.expect("after a break", total=5, healthy=4, degraded=1)
    assert world.statuses("app-2") == ["HEALTHY"]
    if world.mode == "watch":
        world.server.end_watches()
        world.server.compact()
    else:
        world.server.end_streams()
    world.put("app-5", health="Missing")
    world.expect("after an end", total=5, healthy=3, degraded=1, missing=1)


@pytest.fixture(name="impatient")
def an_impatient_argo(tmp_path):
    made = World(tmp_path, "stream", stale="3s")
    yield made
    made.close()


@pytest.fixture(name="argo")
def an_argo(tmp_path):
    made = World(tmp_path, "stream")
    yield made
    made.close()


def test_a_session_that_ends_is_begun_anew_and_a_wrong_password_is_said(argo):
    argo.put("cart")
    argo.server.accounts["admin"] = "another"
    argo.place.start_agent()
    eventually("refused", lambda: "Invalid username or password" in argo.place.agent.log())
    assert "secret" not in argo.place.agent.log()
    argo.server.accounts["admin"] = "secret"
    argo.expect("with a session", total=1, healthy=1)
    logins = len(argo.server.asked("/api/v1/session"))
    argo.server.expire_tokens()
    argo.server.end_streams()
    argo.put("cart", health="Degraded")
    argo.expect("with a new session", total=1, degraded=1)
    assert len(argo.server.asked("/api/v1/session")) == logins + 1
    assert all(one["headers"]["content-type"] == "application/json" for one in argo.server.asked("/api/v1/session"))
    assert "refresh" not in str(argo.server.asked("/api/v1/applications"))


def test_without_a_stream_it_is_polled(argo):
    argo.put("cart")
    argo.server.fault("stream", status=404)
    argo.place.start_agent()
    argo.expect("by lists", total=1, healthy=1)
    argo.put("cart", health="Degraded")
    argo.expect("by lists", total=1, degraded=1)
    argo.server.heal()
    eventually("the stream after all", lambda: argo.server.stream_count() == 1, 90)


def test_a_server_that_knows_no_event_streams_is_read_as_well(argo):
    argo.server.bare = True
    argo.put("cart")
    argo.place.start_agent()
    argo.expect("by lines", total=1, healthy=1)
    argo.put("cart", health="Degraded")
    argo.expect("by lines", total=1, degraded=1)


@pytest.mark.parametrize("fault", [{"line": b"data: <html>\n\n"}, {"line": b"x" * 5_000_000 + b"\n"}, {"endless": True}, {"error": "token expired"}])
def test_a_stream_that_breaks_its_rules_harms_nothing(argo, fault):
    argo.put("cart")
    argo.server.fault("stream", count=1, **fault)
    argo.place.start_agent()
    argo.expect("whatever is said", total=1, healthy=1)
    argo.put("cart", health="Degraded")
    argo.expect("and goes on", total=1, degraded=1)
    assert argo.place.agent.runs()


@pytest.mark.parametrize("fault", [{"body": b'{"items":[{"metadata":{"name":"cart"'}, {"body": b"null"}, {"body": b"[" * 100000}, {"stall": True},
                                   {"status": 307, "location": "http://127.0.0.1:1/"}])
def test_a_list_that_is_none_is_no_list(impatient, fault):
    argo = impatient
    argo.put("cart")
    argo.place.start_agent()
    argo.expect("at first", total=1, healthy=1)
    argo.server.fault("list", **fault)
    argo.server.fault("stream", status=503)
    argo.server.drop()
    argo.expect("not green, not empty", total=1, unknown=1)
    argo.server.heal()
    argo.expect("at last", total=1, healthy=1, seconds=60)


def test_the_recorded_list_is_counted(argo):
    if argo.server.load_recorded() is None:
        pytest.skip("no recorded list beside this checkout (../shared/contracts/fixtures)")
    argo.place.start_agent()
    argo.expect("six states", environment="staging", total=6, healthy=1, degraded=1, progressing=1, missing=1, suspended=1, unknown=1, out_of_sync=2)
