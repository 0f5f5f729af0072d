# SPDX-License-Identifier: Apache-2.0
"""The fleet as the centre sees it: states that never call silence health, and a configuration that is rolled back."""
import signal
import time

import pytest

from harness import AGENT, TENANT, Place, eventually, seconds_of

RATIO = {"counterRatio": {"goodSelector": "picket_journal_commits_total", "totalSelector": "picket_journal_commits_total"}}


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.start()
    yield made
    made.close()


def status_of(place):
    return (place.agent_known() or {}).get("status", {})


def configure(place, **settings):
    place.configure_agent({"aggregator": place.url + "/metrics"}, **settings)


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def status(online=True, started=0, interval=1):
    """An AgentStatus by hand."""
    return field(1, TENANT.encode()) + field(2, AGENT.encode()) + field(3, int(online)) + field(4, field(1, int(time.time()))) \
        + field(5, field(1, started or int(time.time()))) + field(21, field(1, interval))


def say(place, **what):
    code, said = place.publish(AGENT, f"sre.edge.status.v1/{TENANT}/{AGENT}", status(**what))
    assert code == 0, said


def state(place):
    return (place.agent_known() or {}).get("state")


def test_an_agent_says_what_it_can_and_what_waits_and_is_gone_when_it_is(place):
    configure(place)
    place.start_agent()
    eventually("it is online", lambda: state(place) == "AGENT_STATE_ONLINE")
    said = status_of(place)
    assert {"prometheus_scrape", "config_rollback"} <= set(said["capabilities"]) and said["statusInterval"] == "1s"
    assert {queue["className"] for queue in said["queues"]} == {"health", "windows", "rest"}
    assert said["certificate"]["notAfter"] and said["config"]["state"]
    place.agent.kill()
    # Not at once: who is back within a quarter of a minute was not gone. But it does not read as online for long.
    eventually("it is gone, or nobody knows", lambda: state(place) in ("AGENT_STATE_OFFLINE", "AGENT_STATE_UNKNOWN"), 30)
    eventually("the broker says so", lambda: state(place) == "AGENT_STATE_OFFLINE", 30)
    place.start_agent()
    eventually("it is back", lambda: state(place) == "AGENT_STATE_ONLINE")
    place.agent.terminate()
    eventually("it said good-bye", lambda: state(place) == "AGENT_STATE_OFFLINE")
    answer = place.ctl("agents").stdout
    assert "1 agent: 1 offline" in answer and AGENT in answer
    assert "no agents" in place.ctl("agents", "--status", "online").stderr


def test_silence_is_unknown_and_two_of_a_name_are_a_conflict(place):
    say(place)
    eventually("it is online", lambda: state(place) == "AGENT_STATE_ONLINE")
    eventually("and nobody knows", lambda: state(place) == "AGENT_STATE_UNKNOWN")
    agent = place.agent_known()
    assert agent["status"]["online"] and "nothing was heard of it" in agent["stateReason"]
    now = int(time.time())
    for started in (now - 50, now - 40):  # a restart
        say(place, started=started)
    # What the broker has taken, the centre may not have heard yet.
    agent = eventually("the restart is heard", lambda: seconds_of(status_of(place)["startedAt"]) == now - 40 and place.agent_known())
    assert agent["state"] == "AGENT_STATE_ONLINE", agent
    for started in (now - 50, now - 40):
        say(place, started=started)
    eventually("it is a conflict", lambda: state(place) == "AGENT_STATE_CONFLICT")
    assert "take turns" in place.ctl("doctor", check=False).stdout
    # It ends when one alone goes on speaking.
    eventually("it is over", lambda: say(place, started=now - 40) or state(place) == "AGENT_STATE_ONLINE", 300, 1)


def test_two_agents_of_one_name_are_seen(place, tmp_path):
    configure(place)
    place.start_agent()
    eventually("it is online", lambda: state(place) == "AGENT_STATE_ONLINE")
    text = (place.folder / "agent.yaml").read_text().replace(str(place.folder / "agent"), str(tmp_path / "twin")).replace(
        str(place.agent_port), "0")
    (place.folder / "twin.yaml").write_text(text)
    twin = place._program("twin", [place.agent.command[0], "--config", place.folder / "twin.yaml"])
    twin.start()
    eventually("the centre sees it", lambda: state(place) == "AGENT_STATE_CONFLICT")


def test_a_revision_that_cannot_be_read_is_rolled_back(place):
    configure(place)
    place.create_slo("good", RATIO, 60)
    place.start_agent()
    eventually("it is in force", lambda: status_of(place).get("config", {}).get("state") == "CONFIG_STATE_IN_FORCE")
    revision = status_of(place)["configRevision"]
    code, said = place.publish("aggregator", f"sre.edge.config.v1/{TENANT}/{AGENT}", b"\xff\xff\xff")
    assert code == 0, said
    eventually("it is rolled back", lambda: status_of(place)["config"]["state"] == "CONFIG_STATE_ROLLED_BACK")
    found = status_of(place)
    assert found["configRevision"] == revision and found["config"]["failedReason"]
    place.create_slo("better", RATIO, 60)
    eventually("a newer one is taken", lambda: status_of(place)["config"]["state"] == "CONFIG_STATE_IN_FORCE")
    assert status_of(place)["configRevision"] != revision


def test_a_configuration_that_comes_as_the_agent_ends_waits_for_its_next_life(place):
    """It is heard while the last words go out, when what would use it is closed already."""
    configure(place)
    place.create_slo("good", RATIO, 60)
    place.start_agent()
    eventually("it is in force", lambda: status_of(place).get("config", {}).get("state") == "CONFIG_STATE_IN_FORCE")
    for turn in range(3):
        revision, told = status_of(place)["configRevision"], place.aggregator.log().count("event=config_published")
        place.agent.signal(signal.SIGSTOP)
        place.create_slo(f"late-{turn}", RATIO, 60)
        eventually("the broker has it", lambda told=told: place.aggregator.log().count("event=config_published") > told)
        place.agent.signal(signal.SIGTERM)
        place.agent.signal(signal.SIGCONT)
        assert place.agent.process.wait(60) == 0, place.agent.tail()
        place.start_agent()
        eventually("it is in force", lambda revision=revision: status_of(place)["config"]["state"] == "CONFIG_STATE_IN_FORCE"
                   and status_of(place)["configRevision"] != revision)


def test_a_revision_that_the_agent_does_not_survive_is_rolled_back(place):
    configure(place)
    place.create_slo("good", RATIO, 60)
    place.start_agent()
    eventually("it is in force", lambda: status_of(place).get("config", {}).get("state") == "CONFIG_STATE_IN_FORCE")
    place.agent.terminate()
    configure(place, config__probation="1m")
    place.start_agent()
    revision = status_of(place)["configRevision"]
    eventually("it is back", lambda: state(place) == "AGENT_STATE_ONLINE")
    place.create_slo("deadly", RATIO, 60)
    for starts in (1, 2, 3):
        eventually(f"it is on trial, start {starts}", lambda: status_of(place)["config"]["state"] == "CONFIG_STATE_ON_TRIAL"
                   and status_of(place)["config"]["starts"] == starts and status_of(place)["configRevision"] != revision, 20)
        place.agent.kill()
        place.start_agent()
    eventually("it is rolled back", lambda: status_of(place)["config"]["state"] == "CONFIG_STATE_ROLLED_BACK")
    found = status_of(place)
    assert found["configRevision"] == revision and "ended 3 times" in found["config"]["failedReason"]
    time.sleep(2)  # the broker has given the retained one again
    assert status_of(place)["config"]["state"] == "CONFIG_STATE_ROLLED_BACK"
