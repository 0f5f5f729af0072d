# SPDX-License-Identifier: Apache-2.0
"""The broker's shipped configuration keeps strangers out and neighbours apart: real Mosquitto, real certificates."""
import pathlib
import re
import shutil
import socket
import subprocess
import time

import pytest

from harness import eventually, free_port

TOP = pathlib.Path(__file__).resolve().parents[2]
AGGREGATOR = "picket-aggregator"


def run(*words, **options):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=30, check=False, **options)


class Broker:
    """Mosquitto as platforms/local/up configures it, in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        for kind, *names in (("server", "broker"), ("client", "aggregator", AGGREGATOR), ("client", "edge-1", "demo/edge-1"),
                             ("client", "edge-2", "demo/edge-2"), ("client", "other", "other/edge-1"),
                             ("client", "reader", "demo/reader"), ("client", "integration", "demo/integration"),
                             ("client", "other-integration", "other/integration")):
            self.certify(folder / "pki", kind, *names)
        values = {"PORT": self.port, "ADDRESS": "127.0.0.1", "ACL_FILE": folder / "acl", "DATA_DIR": folder,
                  "CA_FILE": folder / "pki/ca.crt", "CERT_FILE": folder / "pki/broker.crt", "KEY_FILE": folder / "pki/broker.key",
                  "EXTRA": "user root", "AGGREGATOR": AGGREGATOR, "READER": "demo/reader", "TENANT": "demo"}
        for name, target in (("mosquitto.conf.in", "mosquitto.conf"), ("acl.in", "acl")):
            text = (TOP / "platforms/mosquitto" / name).read_text(encoding="utf-8")
            for key, value in values.items():
                text = text.replace(f"@{key}@", str(value))
            (folder / target).write_text(text, encoding="utf-8")
        with open(folder / "acl", "a", encoding="utf-8") as acl:  # as its comment says
            for one in ("demo/integration", "other/integration"):
                acl.write(f"\nuser {one}\ntopic write sre.domain.intents.v1/{one}\ntopic read sre.domain.replies.v1/{one}\n")
        self.log = open(folder / "log", "w", encoding="utf-8")
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.process = subprocess.Popen([program, "-c", folder / "mosquitto.conf"], stdout=self.log, stderr=self.log)
        eventually("Mosquitto listens", self.listens)

    def listens(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @staticmethod
    def certify(pki, *words):
        made = run(TOP / "platforms/local/certificates", pki, *words)
        assert made.returncode == 0, made.stderr

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()

    def arguments(self, who, pki=None):
        pki = pki or self.folder / "pki"
        words = ["-V", "5", "-h", "127.0.0.1", "-p", self.port, "--cafile", self.folder / "pki/ca.crt"]
        return words + (["--cert", pki / f"{who}.crt", "--key", pki / f"{who}.key"] if who else [])

    def publish(self, who, topic, text, pki=None):
        """The reason code's name is in the output when the broker refuses: Paho and we see the same code."""
        return run("mosquitto_pub", *self.arguments(who, pki), "-q", 1, "-t", topic, "-m", text)

    def receives(self, reader, reader_topic, writer, topic, seconds=60):
        """True when what the writer publishes reaches the reader, whose subscription is waited for first. The seconds are those
        after which it is said that nothing came."""
        with subprocess.Popen(["stdbuf", "-oL", "mosquitto_sub", *map(str, self.arguments(reader)), "-q", "1", "-C", "1", "-W", str(seconds), "-d", "-t", reader_topic],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as subscriber:
            said = ""
            while "SUBACK" not in said:
                line = subscriber.stdout.readline()
                if not line:
                    return False
                said += line
            self.publish(writer, topic, "the message itself")
            said += subscriber.stdout.read()
        return "the message itself" in said


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    running = Broker(tmp_path_factory.mktemp("broker"))
    yield running
    running.close()


OWN_TOPICS = ["sre.edge.intents.v1/{}", "sre.edge.status.v1/{}", "sre.edge.replies.v1/{}"]
ITS_ANSWERS = ["sre.edge.acks.v1/{}", "sre.edge.config.v1/{}", "sre.edge.requests.v1/{}"]


@pytest.mark.parametrize("topic", OWN_TOPICS)
def test_an_agent_is_heard_on_its_own_topics(broker, topic):
    assert broker.receives("aggregator", topic.format("#"), "edge-1", topic.format("demo/edge-1"))


@pytest.mark.parametrize("topic", OWN_TOPICS)
@pytest.mark.parametrize("victim", ["demo/edge-1", "demo/edge-1/x", "demo"])
def test_an_agent_cannot_speak_as_another(broker, topic, victim):
    refused = broker.publish("edge-2", topic.format(victim), "forged")
    assert "Not authorized" in refused.stdout + refused.stderr
    refused = broker.publish("other", topic.format(victim), "forged")
    assert "Not authorized" in refused.stdout + refused.stderr


def test_an_agent_cannot_command_as_an_integration(broker):
    """What comes there may change an SLO; an agent measures it."""
    refused = broker.publish("edge-1", "sre.domain.intents.v1/demo/edge-1", "forged")
    assert "Not authorized" in refused.stdout + refused.stderr


@pytest.mark.parametrize("topic", ITS_ANSWERS)
def test_an_agent_hears_its_own_answers_only(broker, topic):
    assert broker.receives("edge-1", topic.format("demo/edge-1"), "aggregator", topic.format("demo/edge-1"))
    assert not broker.receives("edge-2", topic.format("#"), "aggregator", topic.format("demo/edge-1"), seconds=3)


@pytest.mark.parametrize("topic", ITS_ANSWERS + ["sre.domain.facts.v1/demo/slo/{}", "sre.process.facts.v1/demo/triage/{}"])
def test_only_the_aggregator_speaks_for_the_centre(broker, topic):
    for who in ("edge-1", "edge-2", "other", "reader"):
        refused = broker.publish(who, topic.format("demo/edge-1"), "forged")
        assert "Not authorized" in refused.stdout + refused.stderr, who


def test_a_reader_sees_the_facts_of_its_tenant_only(broker):
    assert broker.receives("reader", "sre.domain.facts.v1/demo/#", "aggregator", "sre.domain.facts.v1/demo/slo/checkout")
    assert not broker.receives("reader", "sre.domain.facts.v1/#", "aggregator", "sre.domain.facts.v1/other/slo/checkout", seconds=3)


# Every topic of the contract, as one of demo's own; who publishes there, who reads there.
EVERY_TOPIC = {
    "sre.domain.intents.v1/demo/integration": ("integration", "aggregator"),
    "sre.domain.replies.v1/demo/integration": ("aggregator", "integration"),
    "sre.domain.facts.v1/demo/slo/checkout": ("aggregator", "reader"),
    "sre.process.facts.v1/demo/triage/t1": ("aggregator", "reader"),
    "sre.edge.intents.v1/demo/edge-1": ("edge-1", "aggregator"),
    "sre.edge.replies.v1/demo/edge-1": ("edge-1", "aggregator"),
    "sre.edge.status.v1/demo/edge-1": ("edge-1", "aggregator"),
    "sre.edge.acks.v1/demo/edge-1": ("aggregator", "edge-1"),
    "sre.edge.config.v1/demo/edge-1": ("aggregator", "edge-1"),
    "sre.edge.requests.v1/demo/edge-1": ("aggregator", "edge-1"),
}
STRANGERS = ["other", "other-integration"]


def test_the_acl_and_these_tests_know_the_same_topics(broker):
    families = set(re.findall(r"sre\.\w+\.\w+\.v1", (broker.folder / "acl").read_text()))
    assert families == {topic.split("/")[0] for topic in EVERY_TOPIC}, "a topic family is new: say in EVERY_TOPIC who uses it"


@pytest.mark.parametrize("who", ["edge-1", "edge-2", "integration", "reader", *STRANGERS])
def test_nobody_publishes_but_where_it_is_theirs(broker, who):
    for topic, (writer, _) in EVERY_TOPIC.items():
        said = broker.publish(who, topic, "forged")
        assert ("Not authorized" in said.stdout + said.stderr) == (who != writer), (who, topic, said.stdout + said.stderr)


def test_who_listens_to_everything_hears_nothing_of_others(broker):
    """All that is published while they have subscribed to #, which each of them may ask for."""
    listeners = {}
    expected = {who: {topic for topic, (_, reader) in EVERY_TOPIC.items() if reader == who}
                for who in ["edge-1", "edge-2", "integration", "reader", *STRANGERS]}
    said = {who: broker.folder / f"all-of-{who}.txt" for who in expected}

    def text_of(who):
        return said[who].read_text(encoding="utf-8", errors="replace")

    def heard(who):
        return {topic for topic in EVERY_TOPIC if f"the message to {topic}" in text_of(who)}
    try:
        for who in expected:
            words = ["stdbuf", "-oL", "mosquitto_sub", *map(str, broker.arguments(who)), "-q", "1", "-d", "-t", "#", "-t", "$SYS/#"]
            with open(said[who], "wb") as out:
                listeners[who] = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT)
        for who in expected:
            eventually(f"{who} has subscribed", lambda who=who: "SUBACK" in text_of(who))
        for topic, (writer, _) in EVERY_TOPIC.items():
            assert broker.publish(writer, topic, f"the message to {topic}").returncode == 0
        for who in expected:
            eventually(f"{who} hears what is its own", lambda who=who: heard(who) >= expected[who])
        time.sleep(2)  # what is others' would have come by now
    finally:
        for listener in listeners.values():
            listener.terminate()
            listener.wait()
    for who in expected:
        assert heard(who) == expected[who], (who, text_of(who))
        assert "$SYS/broker" not in text_of(who), who


def test_without_a_certificate_nobody_comes_in(broker):
    assert broker.publish(None, "sre.edge.intents.v1/demo/edge-1", "x").returncode != 0
    eventually("it is said", lambda: "peer did not return a certificate" in (broker.folder / "log").read_text())


def test_a_foreign_certificate_is_refused(broker, tmp_path):
    Broker.certify(tmp_path, "client", "edge-1", "demo/edge-1")
    assert broker.publish("edge-1", "sre.edge.intents.v1/demo/edge-1", "x", pki=tmp_path).returncode != 0
    assert broker.publish("edge-1", "sre.edge.intents.v1/demo/edge-1", "x").returncode == 0


def test_an_expired_certificate_is_refused(broker):
    pki = broker.folder / "pki"
    assert run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pki / "old.key",
               "-out", pki / "old.csr", "-subj", r"/CN=demo\/edge-1").returncode == 0
    sign = ["openssl", "x509", "-req", "-in", pki / "old.csr", "-CA", pki / "ca.crt", "-CAkey", pki / "ca.key", "-out", pki / "old.crt"]
    signed = run(*sign, "-not_before", "20200101000000Z", "-not_after", "20210101000000Z")  # OpenSSL 3.4 and later
    if signed.returncode != 0:
        signed = run(*sign, "-days", "-1")
    assert signed.returncode == 0, signed.stderr
    assert run("openssl", "x509", "-in", pki / "old.crt", "-noout", "-checkend", "0").returncode == 1
    assert broker.publish("old", "sre.edge.intents.v1/demo/edge-1", "x").returncode != 0
    eventually("it is said", lambda: "certificate" in (broker.folder / "log").read_text())


def test_plain_text_is_refused(broker):
    assert run("mosquitto_pub", "-h", "127.0.0.1", "-p", broker.port, "-t", "x", "-m", "x").returncode != 0


def test_certificates_that_are_good_are_kept(broker):
    before = (broker.folder / "pki/edge-1.crt").read_bytes()
    Broker.certify(broker.folder / "pki", "client", "edge-1", "demo/edge-1")
    assert (broker.folder / "pki/edge-1.crt").read_bytes() == before
