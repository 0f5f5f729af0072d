# SPDX-License-Identifier: Apache-2.0
"""What is kept and for how long: old facts become ranges that every reader is told of, the chain holds over them, and
what they said is unknown afterwards, never good. And a journal over its budget: it says so and refuses what is new, reads
and acks of what is committed go on, and nothing that an agent measured meanwhile is lost."""
import http.client
import json
import math
import signal
import subprocess
import time
import uuid

import pytest

from generator import SLIS, Generator
from harness import AGENT, BIN, CORE, TENANT, ApiError, Place, eventually, rfc3339
from test_aggregator_api import Stream
from test_bad_input import field, intent

WINDOW = 1
PADDING = "x" * 8000


def settings_change(place, **sections):
    path = place.folder / "aggregator.yaml"
    values = json.loads(path.read_text(encoding="utf-8"))
    for section, keys in sections.items():
        values.setdefault(section, {}).update(keys)
    place.write_yaml("aggregator.yaml", values)


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.generator = Generator(11)
    made.closers.append(made.generator)
    yield made
    made.close()


def pages(place):
    """(facts, ranges) of the tenant, to the journal's end."""
    facts, ranges, after = [], [], 0
    while True:
        page = place.call(CORE + "FactService/ListFacts", {"afterSequence": str(after), "limit": 1000})
        facts += page.get("facts", [])
        ranges += page.get("compacted", [])
        after = int(page.get("lastSequence", 0))
        if after >= int(page.get("newestSequence", 0)):
            return facts, ranges


def stated(facts, ranges):
    """Every sequence once, as a fact or in a range."""
    covered = sorted([(int(fact["sequence"]), int(fact["sequence"])) for fact in facts] +
                     [(int(one["firstSequence"]), int(one["lastSequence"])) for one in ranges])
    assert covered[0][0] == 1
    for before, after in zip(covered, covered[1:]):
        assert after[0] == before[1] + 1, f"{before} is followed by {after}"
    for one in ranges:
        counted = sum(int(part["count"]) for part in one["facts"])
        assert counted == int(one["lastSequence"]) - int(one["firstSequence"]) + 1
        assert {part["fact"] for part in one["facts"]} <= {"sli_window_recorded", "health_check_recorded"}
    return covered[-1][1]


def verified(place):
    ran = subprocess.run([str(BIN / "picket-aggregator"), "verify", "--data", str(place.folder / "aggregator")],
                         capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_old_windows_become_ranges_that_everybody_is_told_of(place):
    settings_change(place, retention={"sli_windows": "4s", "health_checks": "4s", "newest_facts": 5})
    place.start()
    place.create_slo("requests", SLIS["requests"][0], WINDOW)
    place.create_slo("errors", SLIS["requests"][0], WINDOW)
    place.configure_agent({"gen": place.generator.url})
    begin = math.floor(time.time())
    place.start_agent()
    eventually("windows were compacted", lambda: (place.metric("picket_journal_compacted_facts_total") or 0) > 10, 60, 0.5)
    for _ in range(3):  # a crash between two slices, or within one
        place.aggregator.kill()
        place.start_aggregator()
        time.sleep(1.5)
    eventually("and again", lambda: (place.metric("picket_journal_compacted_facts_total") or 0) > 5, 60, 0.5)
    before = place.call(CORE + "SLOService/GetSLO", {"sloId": "requests"})["slo"]
    other = place.make_token("theirs", "viewer", tenant="other")
    place.agent.terminate()

    def quiet():  # everything that is old has gone
        facts, ranges = pages(place)
        newest = int(facts[-1]["sequence"])
        assert not [fact for fact in facts if "sliWindowRecorded" in fact and int(fact["sequence"]) <= newest - 5]
        return facts, ranges
    facts, ranges = eventually("all old windows went", quiet, 30, 0.5)
    assert ranges, "no range was stated"
    newest = stated(facts, ranges)
    assert len(facts) >= 5 and newest == place.metric("picket_journal_sequence")
    versions = [int(fact["subject"]["aggregateVersion"]) for fact in facts if fact["subject"]["aggregateId"] == "requests"]
    assert versions == sorted(set(versions)) and versions[0] == 1, "the definition stays"

    # The stream of events says it too, from inside a range as well.
    for after in (0, int(ranges[0]["firstSequence"]), int(ranges[0]["lastSequence"]) - 1):
        stream = Stream(place, after=after)
        eventually("an event of the range", lambda: any(event[1] == "compacted" for event in stream.events))
        said = next(event for event in stream.events if event[1] == "compacted")
        assert said[0] == int(ranges[0]["lastSequence"]) and said[2] == ranges[0]
        eventually("the facts behind it", lambda: stream.events[-1][0] == newest)
        stream.close()
    behind = Stream(place, after=int(ranges[-1]["lastSequence"]))
    eventually("what is behind the last", lambda: behind.events and behind.events[-1][0] == newest)
    assert not any(event[1] == "compacted" for event in behind.events)
    behind.close()
    assert "compacted" in place.ctl("get", "facts").stderr
    # Another tenant is told of nothing.
    answer = place.call(CORE + "FactService/ListFacts", {}, token=other)
    assert "facts" not in answer and "compacted" not in answer

    # The budget is as it was; tables that are built anew do not know those windows, and say so.
    place.aggregator.terminate()
    assert "compacted" in verified(place)
    known = place.folder / "aggregator" / "projections.sqlite"
    for path in known.parent.glob("projections.sqlite*"):
        path.unlink()
    place.start_aggregator()
    eventually("built anew", lambda: place.metric("picket_outbox_lag_facts", consumer="projections") == 0)
    after = place.call(CORE + "SLOService/GetSLO", {"sloId": "requests"})["slo"]
    assert int(after["budget"]["total"]) >= int(before["budget"]["total"])
    points = place.windows("requests", begin, begin + 5)
    assert points and all(point["unknown"] for point in points.values()), points
    burndown = place.call(CORE + "SLOQueryService/GetSLOBurndown", {
        "sloId": "requests", "from": rfc3339(begin), "to": rfc3339(begin + 5), "step": "1s"})
    assert all(point["unknown"] and "budgetRemaining" not in point for point in burndown["points"]), burndown


def incident(place):
    place.call(CORE + "IncidentService/CreateIncident", {"command": {
        "title": "filling the journal", "severity": "SEVERITY_LOW", "description": PADDING}})


def fill(place):
    for _ in range(4000):
        try:
            incident(place)
        except ApiError as refused:
            return refused
    raise AssertionError("the journal never became full")


def batch(epoch, first, intents):
    return (field(1, epoch) + field(2, 1) + field(3, first - 1) + field(4, first) +
            b"".join(field(5, one) for one in intents))


class Acks:
    """What is published to an agent, as it comes and not retained; by the agent's own certificate."""

    def __init__(self, place, name):
        self.path = place.folder / f"acks-{name}.txt"
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                ["stdbuf", "-oL", "mosquitto_sub", "-V", "5", "-d", "-R", "-h", "127.0.0.1", "-p", str(place.mqtt_port), "--cafile",
                 str(place.pki / "ca.crt"), "--cert", str(place.pki / f"{AGENT}.crt"), "--key", str(place.pki / f"{AGENT}.key"),
                 "-i", f"acks-{name}", "-t", f"sre.edge.acks.v1/{TENANT}/{AGENT}", "-F", "ack\t%x"], stdout=out,
                stderr=subprocess.STDOUT)
        place.closers.append(self)
        eventually("subscribed", lambda: "SUBACK" in self.path.read_text(encoding="utf-8"))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def all(self):
        return [bytes.fromhex(line.split("\t")[1]) for line in self.path.read_text(encoding="utf-8").splitlines()
                if line.startswith("ack\t")]


def test_over_its_budget_it_refuses_what_is_new_and_recovers(place):
    settings_change(place, data={"budget_bytes": "4MiB"})
    place.start()
    place.create_slo("requests", SLIS["requests"][0], WINDOW)
    place.configure_agent({"gen": place.generator.url})
    # One batch by hand, as the agent, before the agent itself runs.
    epoch = str(uuid.uuid4())
    topic = f"sre.edge.intents.v1/{TENANT}/{AGENT}"
    first = batch(epoch, 1, [intent(tenant=TENANT, producer=AGENT)])
    place.publish(AGENT, topic, first)
    eventually("the batch is committed", lambda: (place.metric("picket_journal_intents_total") or 0) >= 2)

    refused = fill(place)
    assert refused.status == 429 and refused.code == "resource_exhausted" and "data.budget_bytes" in refused.message
    connection = http.client.HTTPConnection("127.0.0.1", place.http_port, timeout=20)
    connection.request("POST", "/" + CORE + "IncidentService/CreateIncident", json.dumps({"command": {
        "title": "one more", "severity": "SEVERITY_LOW"}}), {"Content-Type": "application/json", "Authorization": f"Bearer {place.token}"})
    answer = connection.getresponse()
    assert answer.status == 429 and int(answer.getheader("Retry-After")) > 0
    connection.close()
    status, body = place.get("/readyz")
    assert status == 503 and "budget" in body, body
    doctor = place.ctl("doctor", check=False)
    assert "of its budget" in doctor.stdout and "new intents are refused" in doctor.stdout, doctor.stdout
    assert place.metric("picket_journal_space_level") == 2 and place.metric("picket_journal_refusing") == 1
    # Reads go on.
    assert place.call(CORE + "SLOService/GetSLO", {"sloId": "requests"})["slo"]["sloId"] == "requests"
    assert stated(*pages(place)) == place.metric("picket_journal_sequence")

    # After a start, too: what is committed is acknowledged, what is new is not.
    place.aggregator.kill()
    place.start_aggregator(ready=False)
    eventually("refuses again", lambda: place.metric("picket_journal_refusing") == 1)
    acks = Acks(place, "full")
    committed = place.metric("picket_journal_sequence")
    place.publish(AGENT, topic, batch(epoch, 2, [intent(tenant=TENANT, producer=AGENT)]))
    time.sleep(2)
    assert acks.all() == [], "an ack for what was not committed"
    place.publish(AGENT, topic, first)
    eventually("the ack of the repeat", acks.all)
    assert acks.all()[-1] == field(1, epoch) + field(2, field(1, 1) + field(2, 1) + field(4, 1)), acks.all()
    assert place.metric("picket_journal_sequence") == committed
    acks.close()

    # An agent keeps what it measures; the budget is raised without a restart, and all of it comes.
    place.start_agent()
    eventually("it measures", lambda: place.metric("picket_buffer_records", "agent", **{"class": "windows"}))
    begin = math.ceil(time.time()) + 1
    time.sleep(4)
    assert not [point for point in place.windows("requests", begin, begin + 3).values() if point["windows"]]
    settings_change(place, data={"budget_bytes": "64MiB"})
    place.aggregator.signal(signal.SIGHUP)
    eventually("ready again", lambda: place.get("/readyz")[0] == 200)

    def measured():  # on a busy machine a scrape may be missed, which is said
        came = place.windows("requests", begin, begin + 3)
        assert sorted(came) == [begin, begin + 1, begin + 2] and all(point["windows"] == 1 for point in came.values()), came
        return any(not point["unknown"] for point in came.values())
    eventually("what was measured meanwhile", measured, 60, 0.5)
    incident(place)
    log = place.aggregator.log().rpartition("--- started")[2]
    eventually("it is said", lambda: "takes_commands_again" in place.aggregator.log())
    assert log.count("event=space_full") == log.count("event=refusing") == 1, place.aggregator.tail(60)


def test_compaction_gets_a_full_journal_out_of_it(place):
    settings_change(place, data={"budget_bytes": "4MiB"}, retention={"sli_windows": "100d", "newest_facts": 5})
    place.start()
    place.create_slo("requests", SLIS["requests"][0], WINDOW)
    topic = f"sre.edge.intents.v1/{TENANT}/{AGENT}"
    epoch, start, sequence = str(uuid.uuid4()), int(time.time()) - 100000, 1

    def full():
        nonlocal sequence
        place.publish(AGENT, topic, batch(epoch, sequence, [
            intent(tenant=TENANT, producer=AGENT, start=start + sequence + i) for i in range(500)]))
        time.sleep(0.3)
        sequence += 500
        return place.metric("picket_journal_refusing") == 1
    eventually("full", full, 60, 0)
    before = place.metric("picket_journal_sequence")
    place.aggregator.terminate()
    settings_change(place, retention={"sli_windows": "1s"})
    place.start_aggregator(ready=False)
    eventually("ready again", lambda: place.get("/readyz")[0] == 200, 60)
    eventually("most went", lambda: place.metric("picket_journal_compacted_facts_total") > 100)
    incident(place)
    # Two pages of one reading are of two moments: what is compacted between them may be seen twice.
    eventually("all is stated, once", lambda: stated(*pages(place)) == before + 1)
    place.aggregator.terminate()
    verified(place)
