# SPDX-License-Identifier: Apache-2.0
"""What a consumer of facts can rely on while the aggregator is killed: every fact that the journal has is published at
least once, in the order of each aggregate, a repeat is the same message under the same id, and each message says by its
CloudEvents properties what it is."""
import collections
import random
import re
import subprocess
import time

import pytest

from generator import SLIS, Generator
from harness import CORE, READER, TENANT, Place, eventually, seconds_of, seed
from truth import gapless

WINDOW, BALLAST, KILLS, KILLS_MAX = 1, 40, 4, 60
CONTENT_TYPE = "application/x-protobuf; proto=" + CORE + "SreDomainFact"
Message = collections.namedtuple("Message", "topic content_type payload properties")


@pytest.fixture
def numbers():
    return seed()


@pytest.fixture
def place(tmp_path, numbers):
    made = Place(tmp_path)
    made.generator = Generator(numbers)
    made.closers.append(made.generator)
    yield made
    made.close()


class Consumer:
    """mosquitto_sub with the certificate of a reader; what it received, in order."""

    def __init__(self, place, topic):
        self.path = place.folder / "facts.txt"
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                ["stdbuf", "-oL", "mosquitto_sub", "-V", "5", "-d", "-h", "localhost", "-p", str(place.mqtt_port), "--cafile",
                 str(place.pki / "ca.crt"), "--cert", str(place.pki / "reader.crt"), "--key", str(place.pki / "reader.key"), "-i", READER,
                 "-q", "1", "-t", topic, "-F", "fact\t%t\t%C\t%x\t%P"], stdout=out, stderr=subprocess.STDOUT)
        place.closers.append(self)
        eventually("the consumer has subscribed", lambda: "SUBACK" in self.path.read_text(encoding="utf-8"))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def messages(self):
        assert self.process.poll() is None, self.path.read_text(encoding="utf-8")[-2000:]
        text = self.path.read_text(encoding="utf-8")
        found = []
        for line in text[:text.rfind("\n") + 1].splitlines():
            if line.startswith("fact\t"):
                _, topic, content_type, payload, properties = line.split("\t")
                pairs = [one.partition(":") for one in properties.split(" ")]
                assert len({name for name, _, _ in pairs}) == len(pairs), properties
                found.append(Message(topic, content_type, payload, {name: value for name, _, value in pairs}))
        return found


def fields(message):
    """{number: last value} of a protobuf message, by the wire format alone: bytes where it has a length."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(message):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            found[tag >> 3] = varint()
            continue
        size = {1: 8, 5: 4}[kind] if kind != 2 else varint()
        assert at + size <= len(message), "cut short"
        found[tag >> 3] = message[at:at + size]
        at += size
    return found


def judge_message(message, fact):
    """One message against the same fact as ListFacts gives it."""
    subject, meta, properties = fact["subject"], fact["meta"], message.properties
    name = f'{subject["aggregateType"]}/{subject["aggregateId"]}'
    assert message.topic == f"sre.domain.facts.v1/{TENANT}/{name}"
    assert message.content_type == CONTENT_TYPE
    assert {key: properties.get(key) for key in ("specversion", "id", "source", "subject", "sequence", "tenant_id", "schema_version")} == {
        "specversion": "1.0", "id": meta["messageId"], "source": f"/picket/{TENANT}", "subject": name, "sequence": fact["sequence"],
        "tenant_id": TENANT, "schema_version": "1"}
    assert properties["type"].startswith(CORE), properties["type"]
    assert properties["type"][len(CORE):].lower() in map(str.lower, fact), (properties["type"], list(fact))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", properties["time"])
    assert abs(seconds_of(properties["time"]) - time.time()) < 600
    assert properties.get("traceparent") == meta.get("traceparent")
    whole = fields(bytes.fromhex(message.payload))
    assert fields(whole[1])[1].decode() == meta["messageId"]
    assert fields(whole[2])[3] == int(subject["aggregateVersion"])
    assert whole[3] == int(fact["sequence"])


def judge(messages, facts):
    """Returns how many messages were repeats."""
    by_sequence = {fact["sequence"]: fact for fact in facts}
    first, versions, repeats = {}, {}, 0
    for message in messages:
        sequence = message.properties.get("sequence")
        assert sequence in by_sequence, f"published, and not in the journal: {message.topic} {sequence}"
        if sequence in first:
            repeats += 1
            assert message == first[sequence], f"sequence {sequence} was published again as something else"
            continue
        first[sequence] = message
        judge_message(message, by_sequence[sequence])
        subject = by_sequence[sequence]["subject"]
        key, version = (subject["aggregateType"], subject["aggregateId"]), int(subject["aggregateVersion"])
        assert version == versions.get(key, 0) + 1, f"{key}: version {version} came after {versions.get(key, 0)}"
        versions[key] = version
    missing = [sequence for sequence in by_sequence if sequence not in first]
    assert not missing, f"{len(missing)} of {len(facts)} facts were not published, the first is {missing[0]}"
    return repeats


def repeats_of(messages):
    return len(messages) - len({message.properties.get("sequence") for message in messages})


def test_every_fact_is_published_in_order_whenever_the_aggregator_is_killed(place, numbers):
    choose = random.Random(numbers)
    place.start()
    consumer = Consumer(place, f"sre.domain.facts.v1/{TENANT}/#")
    for name, (spec, _) in SLIS.items():
        place.create_slo(name, spec, WINDOW)
    for i in range(BALLAST):
        place.create_slo(f"ballast-{i}", SLIS["scrapes"][0], WINDOW)
    place.configure_agent({"gen": place.generator.url})
    place.start_agent()
    try:
        eventually("windows are published", lambda: len(consumer.messages()) > 4 * BALLAST, 60, 0.25)
        # In the middle of a run of facts is where a kill costs something: until at least one was published again.
        while place.aggregator.kills < KILLS or (repeats_of(consumer.messages()) == 0 and place.aggregator.kills < KILLS_MAX):
            seen = len(consumer.messages())
            eventually("facts flow", lambda seen=seen: len(consumer.messages()) > seen, 30, 0.01)
            time.sleep(choose.random() * 0.2)
            place.aggregator.kill()
            time.sleep(choose.random())
            place.start_aggregator()
            place.create_slo(f"after-kill-{place.aggregator.kills}", SLIS["requests"][0], WINDOW)
        assert place.agent.terminate() == 0
        eventually("no more facts are made", lambda: quiet(place), 60, 1)
        facts, messages = eventually("every fact was published", lambda: published(place, consumer), 60, 0.5)
        gapless(facts)
        repeats = judge(messages, facts)
    except BaseException:
        print(place.story())
        raise
    print(f"{len(facts)} facts in {len(messages)} messages, {repeats} of them repeats; the aggregator was killed {place.aggregator.kills} times")
    assert repeats > 0, "no kill came between a publication and the note of it: nothing was seen of repeats"


def published(place, consumer):
    """(facts, messages): what was published is looked at first, so that all of it is among the facts; and all of them are in it."""
    messages = consumer.messages()
    facts = place.facts()
    missing = {fact["sequence"] for fact in facts} - {message.properties.get("sequence") for message in messages}
    assert not missing, f"{len(missing)} of {len(facts)} facts were not published, one is {min(missing, key=int)}"
    return facts, messages


def quiet(place):
    """All facts, when two looks a second apart see the same."""
    before = place.facts()
    time.sleep(1)
    after = place.facts()
    return after if len(before) == len(after) else None
