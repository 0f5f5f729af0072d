# SPDX-License-Identifier: Apache-2.0
"""The agent and a broker that has been taken over: it has the true broker's certificate, so it may withhold, forge and flood. What
it can take is what was sent to it; never the agent's life, memory, processor, disk, or what the queue still holds."""
import math
import os
import pathlib
import random
import struct
import sys
import time
import urllib.request

import pytest

from generator import SLIS, Generator
from harness import AGENT, SANITIZED, TENANT, Place, eventually, seed

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from hostile_broker import (AUTH, CONNACK, DISCONNECT, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK,  # noqa: E402
                            UNSUBACK, HostileBroker, connack, packet, publish, text, varint)

# Over what it was before: while it lasts, and afterwards; of a core, of which a loop that spins takes all; of the queue's folder and the
# log. What a flood costs is what decrypting it costs, as fast as the attacker is: it is printed, and not judged.
RSS_KIB_MOST, RSS_KIB_AFTER, CPU_MOST, CPU_MOST_OF_FLOOD, DISK_KIB_MOST = 6 * 1024, 2 * 1024, 0.6, float("inf"), 256
# Of messages of a megabyte there are several on the way when the agent is not given the processor: two wait for its loop, which
# has up to three copies of one in hand, and before them come those that the relay and the library have, whole or in part.
RSS_KIB_MOST_OF_LARGE, LARGE = 20 * 1024, ("configuration_of_half_a_million_empty_slis", "questions_of_a_megabyte", "acks_that_cannot_be_read")
ACKS, CONFIG, REQUESTS = (f"sre.edge.{family}.v1/{TENANT}/{AGENT}" for family in ("acks", "config", "requests"))


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """{number: last value} of a protobuf message's varints and byte strings; "count" is how often field 5 came."""
    found, at = {"count": 0}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                return value
    while at < len(data):
        key = number()
        value = number()
        if key & 7 == 2:
            found["count"] += key >> 3 == 5
            value, at = data[at:at + value], at + value
        found[key >> 3] = value
    return found


class Figures:
    """What the agent's process costs, from /proc and its folder."""

    def __init__(self, place):
        self.place, self.pid = place, place.agent.process.pid
        self.cpu_began, self.began, self.most = self.cpu(), time.monotonic(), 0
        self.before = self.rss()

    def rss(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def cpu(self):
        words = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def disk(self):
        """Of its queue and of its log, in KiB."""
        files = [one for one in (self.place.folder / "agent").rglob("*") if one.is_file()] + [self.place.agent.log_path]
        return sum(one.stat().st_blocks for one in files) // 2

    def watch(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.place.agent.runs(), self.place.agent.tail()
            self.most = max(self.most, self.rss())
            time.sleep(0.05)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.place.agent_port}/metrics", timeout=60) as answer:
            assert answer.status == 200
        return (self.cpu() - self.cpu_began) / (time.monotonic() - self.began)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("hostile"))
    generator = Generator(1)
    hostile = HostileBroker(made.pki / "broker.crt", made.pki / "broker.key", made.pki / "ca.crt")
    made.closers += [generator, hostile]
    made.hostile = hostile
    made.start()
    made.create_slo("requests", SLIS["requests"][0], 1)
    made.configure_agent({"gen": generator.url})
    made.start_agent()
    eventually("first windows", lambda: seen(made, time.time() - 30, time.time() + 5))
    yield made
    made.close()


def seen(place, start, end):
    return [at for at, p in place.windows("requests", int(start), int(end)).items() if p["windows"]]


def each_once(place, start, end):
    """Every window of [start, end) is at the centre, once."""
    points = place.windows("requests", start, end)
    missing = [at for at in range(start, end) if not points.get(at, {}).get("windows")]
    twice = [at for at, point in points.items() if point["windows"] > 1]
    assert not missing and not twice, f"of {end - start} windows {len(missing)} are missing ({missing[:5]}), {len(twice)} came twice"
    return True


def under_attack(place, deed, seconds=4.0, loses=False, cpu_most=CPU_MOST, rss_most=RSS_KIB_MOST, disk_most=DISK_KIB_MOST,
                 rss_after=RSS_KIB_AFTER):
    """The deed for some seconds, then the true broker again; the figures."""
    eventually("what the attack before this one left behind has gone", lambda: place.metric("picket_buffer_records", "agent") < 100, 180)
    figures = Figures(place)
    disk = figures.disk()
    begins = int(time.time())
    place.hostile.play(deed)
    place.agent_proxy.target_port = place.hostile.port
    place.agent_proxy.cut(refuse=False)
    eventually("it is met", lambda: place.hostile.connections, every=0.02)
    figures.cpu_began, figures.began = figures.cpu(), time.monotonic()
    cpu = figures.watch(seconds)
    attempts = len(place.hostile.connections)
    place.hostile.changed.set()
    place.agent_proxy.target_port = place.mqtt_port
    place.agent_proxy.cut(refuse=False)
    ends = int(time.time())
    if not loses:
        eventually("all windows are at the centre", lambda: each_once(place, begins, ends), 60, 0.3)
    eventually("the line goes on", lambda: [at for at in seen(place, ends, ends + 60)], 60, 0.2)
    after, grown = figures.rss(), figures.disk() - disk
    print(f"{getattr(deed, '__name__', deed)}: {attempts} connections, {figures.before} KiB before, {figures.most} at most, {after} after, "
          f"cpu {cpu:.2f}, disk {grown:+} KiB, hostile's own: {place.hostile.sent_to_end} ended, {place.hostile.errors[:2]}")
    if not SANITIZED:
        assert figures.most < figures.before + rss_most and after < figures.before + rss_after
        assert cpu < cpu_most
    assert grown < disk_most
    return figures


# ---- what is wrong with the protocol

def endless_connack(session):
    """A length of 256 MB, and the bytes for it."""
    session.send(packet(CONNACK, b"\0\0", length=268435455))
    while True:
        session.send(b"\0" * 65536)


def endless_publish(session):
    session.accept()
    session.send(packet(PUBLISH, text(CONFIG) + b"\0", length=268435455))
    while True:
        session.send(b"\0" * 65536)


def promised_publish(session):
    """A length of 256 MB, and a byte now and then."""
    session.accept()
    session.send(packet(PUBLISH, text(CONFIG) + b"\0", length=268435455))
    while not session.ended():
        session.send(b"\0")
        time.sleep(0.2)


def endless_length(session):
    """A length that does not end (MQTT 5.0 section 1.5.5: four bytes at most)."""
    session.accept()
    session.send(b"\x30" + b"\xff" * 100000)
    session.hold(3)


def dripping_connack(session):
    for byte in connack(properties=bytes([0x22]) + b"\0\0"):
        session.send(bytes([byte]))
        time.sleep(1)


def silent(session):
    session.hold(20)


def redirecting(session):
    """Server Reference (MQTT 5.0 section 3.2.2.3.16): use another server. Only an address that the settings name is dialled."""
    session.send(connack(reason=0x9D, properties=b"\x1c" + text("127.0.0.1:1")))


def redirecting_while_connected(session):
    session.accept()
    session.send(packet(DISCONNECT, b"\x9c" + varint(14) + b"\x1c" + text("127.0.0.1:1")))
    session.hold(1)


def redirecting_in_success(session):
    session.accept(properties=b"\x1c" + text("127.0.0.1:1"))
    session.hold(5)


def lying_about_the_session(session):
    session.accept(session_present=1)
    session.hold(5)


def receiving_nothing(session):
    """Receive Maximum 0 is a protocol error."""
    session.accept(properties=b"\x21\0\0")
    session.hold(5)


def receiving_one_at_a_time(session):
    session.accept(properties=b"\x21\0\1")
    session.hold(5)


def tiny_packets(session):
    session.accept(properties=b"\x27\0\0\0\x20")
    session.hold(5)


def leaving_at_once(session):
    session.accept()
    session.send(packet(DISCONNECT, b"\x8b\0"))
    session.hold(1)


def closing_at_once(session):
    pass


def never_acknowledging(session):
    session.send(connack())
    session.polite = False
    session.listen()
    session.hold(5)


def topic_aliases(session):
    session.accept()
    for alias in range(1, 20000):
        session.send(publish("", b"x", b"\x23" + struct.pack(">H", alias), 1, alias))
        session.send(publish(CONFIG, b"x", b"\x23" + struct.pack(">H", alias), 1, alias))


def exactly_once_that_is_never_released(session):
    """QoS 2, though 1 was subscribed for: a receiver has to keep each until it is released."""
    session.accept()
    for identifier in range(1, 65536):
        session.send(publish(CONFIG, b"\0" * 16384, b"", 2, identifier))


def flood_of_small_properties(session):
    """A million of them in one message after the other: each is small, and each costs an allocation."""
    session.accept()
    one = publish(CONFIG, b"", (b"\x26" + text("") + text("")) * 200000, 1, 1)
    while True:
        session.send(one)


def flood_of_large_properties(session):
    session.accept()
    one = publish(CONFIG, b"", (b"\x26" + text("a" * 65535) + text("b" * 65535)) * 8, 1, 1)
    while True:
        session.send(one)


def unknown_acknowledgements(session):
    session.accept()
    while True:
        for identifier in range(1, 65536, 97):
            session.send(packet(PUBACK, struct.pack(">H", identifier)) + packet(SUBACK, struct.pack(">H", identifier) + b"\0\1"))


def crossed_acknowledgements(session):
    """A SUBACK for each publication, and no PUBACK: a library that looks for the number alone gives both of them up."""
    session.send(connack())
    session.polite = False
    session.listen()
    while True:
        first, body = session.came.get(timeout=5)
        if first == 0:
            return
        if first >> 4 == 8:
            session.send(packet(SUBACK, body[:2] + b"\0\1"))
        elif first >> 4 == PUBLISH and first & 6:
            at = 2 + struct.unpack(">H", body[:2])[0]
            session.send(packet(SUBACK, body[at:at + 2] + b"\0\1"))


def acknowledgements_of_another_kind(session):
    session.accept()
    for kind in (PUBREC, PUBREL, PUBCOMP, UNSUBACK):
        session.send(b"".join(packet(kind, struct.pack(">H", identifier), 2 if kind == PUBREL else 0) for identifier in range(1, 20000)))
    session.hold(2)


def ping_flood(session):
    session.accept()
    while True:
        session.send(packet(PINGRESP) * 8192)


WITH_ID = struct.pack(">H", 7)
PROPERTIES = [b"\x05\x26\x00\x05ab", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x01\x26", b"\x03\x03\xff\xff", b"\x02\x7f\x01", b"\x04\x01\x01\x01\x01",
              b"\x0a" + b"\x02\0\0\0\1" * 2, b"\x02\x0b\x00", b"\x05\x0b\xff\xff\xff\xff", b"\x03\x09\x00\x09"]
MALFORMED = (
    [packet(PUBLISH, text(CONFIG) + one + b"rest") for one in PROPERTIES]
    + [packet(PUBLISH, text(CONFIG) + WITH_ID + one + b"rest", 2) for one in PROPERTIES]
    + [packet(kind, WITH_ID + b"\0" + one) for kind in (PUBACK, SUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK) for one in PROPERTIES]
    + [packet(DISCONNECT, b"\0" + one) for one in PROPERTIES] + [packet(AUTH, b"\x18" + one) for one in PROPERTIES]
    + [packet(kind) for kind in (PUBLISH, PUBACK, SUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK, CONNACK, 0, 1, 8, 10, 12)]
    + [packet(kind, b"\xff") for kind in (PUBLISH, PUBACK, SUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK, CONNACK, PINGRESP)]
    + [packet(PUBLISH, b"\xff\xff" + b"a" * 20), packet(PUBLISH, text(CONFIG), 2), packet(PUBLISH, text(CONFIG) + b"\0", 2),
       packet(PUBLISH, text(CONFIG) + b"\0", 6), packet(PUBLISH, text("") + b"\0x"), packet(PUBLISH, text("a/#") + b"\0x"),
       packet(PUBLISH, text(b"\xff\xfe\0") + b"\0x"), packet(SUBACK, WITH_ID + b"\0"), packet(SUBACK, WITH_ID + b"\0" + b"\1" * 70000),
       packet(PUBACK, b"\0\0\x87\0"), connack(), packet(CONNACK, b"\xff\xff\0")])
MALFORMED_CONNACKS = [packet(CONNACK, b"\0\0" + one) for one in PROPERTIES] + [packet(CONNACK), packet(CONNACK, b"\0"), packet(CONNACK, b"\0\0", 15),
                                                                               packet(PUBLISH, text(CONFIG) + b"\0x"), packet(SUBACK, WITH_ID + b"\0\1")]

PROTOCOL = [endless_connack, endless_publish, promised_publish, endless_length, dripping_connack, silent, redirecting, redirecting_while_connected,
            redirecting_in_success, lying_about_the_session, receiving_nothing, tiny_packets, leaving_at_once, closing_at_once, never_acknowledging,
            topic_aliases, exactly_once_that_is_never_released, flood_of_small_properties, flood_of_large_properties, unknown_acknowledgements,
            crossed_acknowledgements, acknowledgements_of_another_kind, ping_flood]
FLOODS = (flood_of_large_properties, ping_flood)

@pytest.mark.parametrize("deed", PROTOCOL, ids=lambda deed: deed.__name__)
def test_no_broker_makes_it_grow_or_spin(place, deed):
    under_attack(place, deed, cpu_most=CPU_MOST_OF_FLOOD if deed in FLOODS else CPU_MOST)


def test_no_packet_is_read_beyond_its_end(tmp_path):
    """Malformed packets, each on a connection of its own, before CONNACK's time or after it; a part of them, as a connection takes
    a second. All of them: tests/unit/common/net/mqtt_guard_test.c."""
    place = Place(tmp_path)
    hostile = HostileBroker(place.pki / "broker.crt", place.pki / "broker.key", place.pki / "ca.crt")
    place.closers.append(hostile)
    place.agent_proxy.target_port = hostile.port
    tries = random.Random(seed()).sample([(False, one) for one in MALFORMED_CONNACKS] + [(True, one) for one in MALFORMED], 30)

    def malformed(session):
        greeted, wrong = tries[len(hostile.connections) % len(tries)]
        if greeted:
            session.accept()
        session.send(wrong)
        session.hold(0.3)
    hostile.play(malformed)
    place.configure_agent({}, mqtt__backoff_max="100ms")
    place.start_agent()
    try:
        eventually("it connects", lambda: hostile.connections)
        before = Figures(place).rss()
        eventually("each was tried", lambda: len(hostile.connections) > len(tries), 120)
        after = Figures(place).rss()
        print(f"{len(hostile.connections)} connections, {before} KiB before, {after} after")
        assert SANITIZED or after < before + RSS_KIB_AFTER
        assert place.agent.log().count("breaks MQTT 5: ") > 5
    finally:
        place.close()


# ---- what is wrong with what the centre seems to say

def batches(session):
    """Each batch of intents as it comes: its fields by number."""
    at = 0
    while not session.ended():
        heard = session.broker.heard.get("sre.edge.intents.v1", [])
        if at < len(heard):
            at += 1
            yield fields(heard[at - 1])
        else:
            time.sleep(0.01)


def ack(epoch, *streams):
    """streams: (stream, committed, wanted)."""
    return field(1, epoch) + b"".join(field(2, field(1, stream) + field(2, committed) + field(3, wanted)) for stream, committed, wanted in streams)


def acks_from_the_future(session):
    session.accept()
    for batch in batches(session):
        for committed in (batch.get(4, 0) + 1000, 2 ** 62, 2 ** 64 - 1):
            session.send(publish(ACKS, ack(batch[1], (batch[2], committed, 0)), b"", 1, 1) * 20)


def acks_of_another_agent(session):
    session.accept()
    for batch in batches(session):
        streams = [(stream, 10 ** 6, 0) for stream in range(1, 30)]
        session.send(publish(ACKS, ack("0190a3f0-0000-7000-8000-000000000000", *streams)) + publish(ACKS.replace(AGENT, "edge-2"), ack(batch[1], *streams)))
        session.send(publish(ACKS, ack(batch[1], *((stream + 1000, 10 ** 6, 0) for stream, _, _ in streams))))


def acks_that_go_backwards(session):
    """Each wants all of it again, from another number."""
    session.accept()
    for batch in batches(session):
        for wanted in range(1, 200):
            session.send(publish(ACKS, ack(batch[1], (batch[2], 0, wanted)), b"", 1, 1))


def acks_that_cannot_be_read(session):
    session.accept()
    for number in range(20000):
        session.send(publish(ACKS, os.urandom(number % 300 + 1), b"", 1, number % 65535 + 1))
    session.send(publish(ACKS, b"\x12\x00" * 500000, b"", 1, 1))
    session.hold(5)


def sli(number, selector="gen_requests_total"):
    return field(1, f"forged-{number}") + field(2, field(1, field(1, selector) + field(3, selector)) + field(11, 1))


def thousands_of_revisions(session):
    session.accept()
    for revision in range(10 ** 6, 10 ** 6 + 10000):
        session.send(publish(CONFIG, field(1, revision) + field(2, sli(revision)), b"", 1, 1))
    session.hold(5)


def thousands_of_revisions_that_cannot_be_read(session):
    session.accept()
    for revision in range(10 ** 6, 10 ** 6 + 10000):
        session.send(publish(CONFIG, field(1, revision) + b"\xff\xff", b"", 1, 1))
    session.hold(5)


def configuration_of_half_a_million_empty_slis(session):
    session.accept()
    for revision in range(10 ** 6, 10 ** 6 + 50):
        session.send(publish(CONFIG, field(1, revision) + b"\x12\x00" * 500000, b"", 1, 1))
    session.hold(5)


def configuration_of_many_slis(session):
    session.accept()
    for revision in range(10 ** 6, 10 ** 6 + 20):
        session.send(publish(CONFIG, field(1, revision) + b"".join(field(2, sli(i, "a" * 300)) for i in range(1500)), b"", 1, 1))
    session.hold(5)


def thousands_of_questions(session):
    session.accept()
    for number in range(20000):
        request = field(1, f"00000000-0000-4000-8000-{number:012d}") + field(13, field(1, "default") + field(2, "pod"))
        session.send(publish(REQUESTS, request, b"\x09" + text(str(number)), 1, 1))
    session.hold(5)


def questions_of_a_megabyte(session):
    session.accept()
    for _ in range(50):
        session.send(publish(REQUESTS, field(1, "a" * 1000000), b"", 1, 1) + publish(REQUESTS, b"\x6a\x00" * 500000, b"", 1, 1))
    session.hold(5)


MESSAGES = [acks_from_the_future, acks_of_another_agent, acks_that_go_backwards, acks_that_cannot_be_read, thousands_of_revisions_that_cannot_be_read,
            configuration_of_half_a_million_empty_slis, thousands_of_questions, questions_of_a_megabyte]


@pytest.mark.parametrize("deed", MESSAGES, ids=lambda deed: deed.__name__)
def test_no_message_makes_it_grow_or_spin_or_lose(place, deed):
    under_attack(place, deed, cpu_most=CPU_MOST_OF_FLOOD, rss_most=RSS_KIB_MOST_OF_LARGE if deed.__name__ in LARGE else RSS_KIB_MOST)


@pytest.mark.parametrize("deed", [thousands_of_revisions], ids=lambda deed: deed.__name__)
def test_no_configuration_makes_it_grow_or_spin(place, deed):
    under_attack(place, deed, loses=True, cpu_most=CPU_MOST_OF_FLOOD)  # it says what is measured


def test_a_forged_configuration_is_bounded_by_the_settings(place):
    """Who speaks for the centre says what is measured: as much as fold.series_max and a message allow."""
    under_attack(place, configuration_of_many_slis, loses=True, cpu_most=CPU_MOST_OF_FLOOD, rss_most=48 * 1024, disk_most=16 * 1024,
                 rss_after=48 * 1024)


def test_what_was_never_sent_survives_a_broker_that_acknowledges_everything(place):
    """What it can do: let what was sent to it disappear, and say that the centre has it. No more than that."""
    given = {}

    def receipts(session):
        session.accept()
        for batch in batches(session):
            given[batch[2]] = max(given.get(batch[2], 0), batch[4] + batch["count"] - 1)
            session.send(publish(ACKS, ack(batch[1], (batch[2], given[batch[2]], 0)), b"", 1, 1))
    before = place.metric("picket_ship_intents_total", "agent")
    # From a moment on at which it measures what the true centre wants, whatever the attack before this one let it measure.
    begins = math.ceil(time.time())
    eventually("it measures", lambda: seen(place, begins, begins + 600))
    under_attack(place, receipts, seconds=5, loses=True)
    taken = sum(batch["count"] for batch in map(fields, place.hostile.heard.get("sre.edge.intents.v1", [])))
    ends = int(time.time())
    assert taken and before is not None

    def missing():
        points = place.windows("requests", begins, ends - 2)
        return [at for at in range(begins, ends - 2) if not points.get(at, {}).get("windows")]
    # What is fresh overtakes what had waited: that it goes on does not say that all is there.
    eventually("no more is missing than went to the broker", lambda: len(missing()) <= taken)
    print(f"{taken} intents went to the broker and nowhere else, {len(missing())} windows are missing")
