# SPDX-License-Identifier: Apache-2.0
"""Enrolment: tokens, certificates, renewals and revocation at the centre, asked for with openssl as any client could; then by
the agent itself, against a broker that takes certificates only."""
import base64
import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from harness import AGENT, BIN, EDGE, TENANT, ApiError, Place, aggregator_settings, eventually, free_port

SERVICE = EDGE + "AgentService/"
PREFIX = b"picket: renew\n"


def openssl(*words, data=None):
    ran = subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, check=False, timeout=30)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout


class Key:
    """A key and what can be asked for with it."""

    def __init__(self, folder, name, *algorithm):
        self.path = folder / f"{name}.key"
        openssl("genpkey", *(algorithm or ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")), "-out", self.path)

    def csr(self, subject="/CN=whatever"):
        return openssl("req", "-new", "-key", self.path, "-subj", subject, "-outform", "DER")

    def sign(self, data):
        return openssl("dgst", "-sha256", "-sign", self.path, data=data)


def text(data):
    return base64.b64encode(data).decode()


def facts(place, agent):
    return [next(key for key in fact if key.startswith("agent")) for fact in place.facts(aggregateType="agent", aggregateId=agent)]


def subject(pem):
    return openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", data=pem.encode()).decode().strip()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("enrolment"))
    made.start()
    yield made
    made.close()


@pytest.fixture
def key(tmp_path):
    return Key(tmp_path, "first")


def offer(place, agent, **more):
    return place.call(SERVICE + "OfferEnrolment", {"agent": agent, **more})["token"]


def enrol(place, token, csr):
    return place.call(SERVICE + "EnrolAgent", {"token": token, "csr": text(csr)}, token="")


def renew(place, pem, holder, csr, signed=None):
    return place.call(SERVICE + "RenewCertificate", {
        "certificate": pem, "csr": text(csr), "signature": text(holder.sign(PREFIX + (csr if signed is None else signed)))}, token="")


def refused(code, call, *words):
    with pytest.raises(ApiError) as said:
        call(*words)
    assert said.value.code == code, said.value
    return said.value.message


def test_a_token_gives_one_certificate_in_the_name_of_its_agent(place, key, tmp_path):
    token = offer(place, "one")
    assert token.startswith(f"{TENANT}/one:")
    given = enrol(place, token, key.csr(f"/CN={TENANT}/another/O=root"))
    assert subject(given["certificate"]) == f"subject=CN={TENANT}/one"
    assert given["brokerPort"] == place.mqtt_port and given["brokerAuthority"] == given["authority"]
    (tmp_path / "one.crt").write_text(given["certificate"])
    openssl("verify", "-purpose", "sslclient", "-CAfile", place.pki / "ca.crt", tmp_path / "one.crt")
    # The answer got lost: the same key is given the same certificate, another key nothing.
    assert enrol(place, token, key.csr())["certificate"] == given["certificate"]
    other = Key(tmp_path, "other")
    assert "used already" in refused("failed_precondition", enrol, place, token, other.csr())
    eventually("all of it is on record", lambda: facts(place, "one") == [
        "agentEnrolmentOffered", "agentCertificateIssued", "agentCertificateRefused"])
    # The token itself is nowhere: not in the facts, not in the logs.
    assert token.split(":")[1] not in json.dumps(place.facts(aggregateType="agent")) + place.aggregator.log()


def test_what_is_no_right_gets_nothing_and_leaves_no_fact(place, key, tmp_path):
    token = offer(place, "two")
    before = len(place.facts(aggregateType="agent"))
    secret = token.split(":")[1]
    for wrong in (f"{TENANT}/three:{secret}", f"other/two:{secret}", f"{TENANT}/two:{secret[:-1]}x", f"{TENANT}/two:", "x", token + "x",
                  f"{TENANT}/two/x:{secret}", secret):
        assert "the token is not known" in refused("permission_denied", enrol, place, wrong, key.csr())
    newer = offer(place, "two")
    refused("permission_denied", enrol, place, token, key.csr())
    assert len(place.facts(aggregateType="agent")) == before + 1  # the newer offer
    enrol(place, newer, key.csr())
    # Only an administrator may offer and revoke; without a token nobody may.
    viewer = place.make_token("enrolment-responder", "responder")
    eventually("the token is known", lambda: place.call(SERVICE + "ListAgents", token=viewer) is not None)
    for caller, code in ((viewer, "permission_denied"), ("", "unauthenticated")):
        for method, request in (("OfferEnrolment", {"agent": "two"}), ("RevokeAgent", {"agent": "two", "reason": "x"})):
            with pytest.raises(ApiError) as said:
                place.call(SERVICE + method, request, token=caller)
            assert said.value.code == code


def test_requests_that_are_wrong_in_themselves_leave_the_token_good(place, key, tmp_path):
    token = offer(place, "four")
    good = key.csr()
    weak = Key(tmp_path, "weak", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024")
    for bad in (b"\x30\x00", good[:-1], good[:60] + bytes([good[60] ^ 1]) + good[61:], good + b"\x00", weak.csr(), b"-----BEGIN CERTIFICATE REQUEST-----"):
        refused("invalid_argument", enrol, place, token, bad)
    refused("invalid_argument", enrol, place, token, b"\x30" * 5000)
    strong = Key(tmp_path, "strong", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    assert enrol(place, token, strong.csr())["certificate"]


def test_an_expired_token_is_refused(place, key):
    token = offer(place, "five", validFor="3s")
    time.sleep(3.2)
    assert "the token expired" in refused("failed_precondition", enrol, place, token, key.csr())
    assert "at most 90 days" in refused("invalid_argument", lambda: offer(place, "five", validFor="8000000s"))
    assert "may have 64 characters" in refused("invalid_argument", lambda: offer(place, "x" * 63))


@pytest.fixture
def short(tmp_path):
    """An aggregator whose certificates live for 15 s."""
    made = Place(tmp_path)
    settings = aggregator_settings(made)
    settings["enrolment"].update(validity="15s", reserved=["grafana"])
    made.write_yaml("aggregator.yaml", settings)
    made.start()
    yield made
    made.close()


def test_a_certificate_is_renewed_by_its_key_and_not_when_it_is_over(tmp_path):
    short = Place(tmp_path)
    settings = aggregator_settings(short)
    # Long enough for any machine, and so short that the five minutes by which a certificate is dated back are a tenth of its life.
    settings["enrolment"]["validity"] = "30m"
    short.write_yaml("aggregator.yaml", settings)
    try:
        short.start()
        what_renews_a_certificate(short, tmp_path)
        # It comes back with a new token, and its time is over by itself.
        settings["enrolment"]["validity"] = "10s"
        short.write_yaml("aggregator.yaml", settings)
        short.aggregator.terminate()
        short.start_aggregator()
        fresh, other = Key(tmp_path, "k6"), Key(tmp_path, "k7").csr()
        pem = enrol(short, offer(short, "edge-9"), fresh.csr())["certificate"]
        assert short.call(SERVICE + "GetAgent", {"agent": "edge-9"})["agent"]["state"] == "AGENT_STATE_AWAITED"
        time.sleep(11)
        assert "expired" in refused("permission_denied", renew, short, pem, fresh, other)
    finally:
        short.close()


def what_renews_a_certificate(short, tmp_path):
    first, second, third = (Key(tmp_path, name) for name in ("k1", "k2", "k3"))
    pem = enrol(short, offer(short, "edge-9"), first.csr())["certificate"]
    renewed = renew(short, pem, first, second.csr())["certificate"]
    assert subject(renewed) == subject(pem) and renewed != pem
    assert renew(short, pem, first, second.csr())["certificate"] == renewed  # the answer got lost
    # Another key's signature, another request's signature, a certificate that is not the newest, one of another authority.
    refused("permission_denied", renew, short, pem, third, third.csr())
    refused("permission_denied", renew, short, pem, first, third.csr(), second.csr())
    again = renew(short, renewed, second, third.csr())["certificate"]
    assert "not the newest" in refused("failed_precondition", renew, short, pem, first, Key(tmp_path, "k4").csr())
    own = (tmp_path / "own.pem")
    openssl("req", "-x509", "-key", first.path, "-days", "1", "-subj", f"/CN={TENANT}\\/edge-9", "-out", own)
    refused("permission_denied", renew, short, own.read_text(), first, third.csr())
    refused("permission_denied", renew, short, (short.pki / "ca.crt").read_text(), first, third.csr())
    serial = openssl("x509", "-noout", "-serial", data=again.encode()).decode().split("=")[1].strip().lower()
    assert short.call(SERVICE + "RevokeAgent", {"agent": "edge-9", "reason": "stolen"})["serial"] == serial
    assert "was revoked" in refused("failed_precondition", renew, short, again, third, Key(tmp_path, "k5").csr())
    agent = short.call(SERVICE + "GetAgent", {"agent": "edge-9"})["agent"]
    assert agent["state"] == "AGENT_STATE_REVOKED" and agent["right"]["revoked"] and "stolen" in agent["stateReason"]


def test_without_an_authority_or_with_one_that_is_over_nothing_is_signed(tmp_path):
    made = Place(tmp_path)
    try:
        settings = aggregator_settings(made)
        del settings["enrolment"]
        made.write_yaml("aggregator.yaml", settings)
        made.start()
        assert "signs no certificates" in refused("failed_precondition", lambda: offer(made, "edge-9"))
        made.aggregator.terminate()
        old = tmp_path / "old"
        old.mkdir()
        (old / "index.txt").write_text("")
        (old / "ca.conf").write_text(f"[ca]\ndefault_ca=c\n[c]\ndatabase={old}/index.txt\nnew_certs_dir={old}\nserial={old}/serial\n"
                                     "default_md=sha256\npolicy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n"
                                     "[e]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\n")
        (old / "serial").write_text("01\n")
        authority = Key(old, "ca")
        (old / "ca.csr").write_bytes(openssl("req", "-new", "-key", authority.path, "-subj", "/CN=Old"))
        openssl("ca", "-batch", "-config", old / "ca.conf", "-selfsign", "-keyfile", authority.path, "-in", old / "ca.csr",
                "-startdate", "20200101000000Z", "-enddate", "20210101000000Z", "-notext", "-out", old / "ca.crt")
        settings["enrolment"] = {"ca_certificate": str(old / "ca.crt"), "ca_key": str(authority.path)}
        made.write_yaml("aggregator.yaml", settings)
        made.start_aggregator()
        token = offer(made, "edge-9")
        assert "has expired on 20210101" in refused("failed_precondition", enrol, made, token, authority.csr())
        # A key that is another's is told at the start.
        settings["enrolment"]["ca_certificate"] = str(made.pki / "ca.crt")
        made.write_yaml("aggregator.yaml", settings)
        made.aggregator.terminate()
        made.aggregator.start()
        eventually("the aggregator does not start", lambda: not made.aggregator.runs())
        assert "the key is not that of the certificate" in made.aggregator.tail()
    finally:
        made.close()


def test_strangers_who_fail_too_often_wait(tmp_path, key):
    made = Place(tmp_path)
    try:
        settings = aggregator_settings(made)
        settings["limits"] = {"failed_sign_ins_per_minute": 5}
        made.write_yaml("aggregator.yaml", settings)
        made.start()
        token, codes = offer(made, "edge-9"), []
        for _ in range(8):
            with pytest.raises(ApiError) as said:
                enrol(made, f"{TENANT}/edge-9:" + "x" * 43, key.csr())
            codes.append(said.value.code)
        assert codes[:5] == ["permission_denied"] * 5 and codes[-1] == "resource_exhausted", codes
        assert refused("resource_exhausted", enrol, made, token, key.csr())
    finally:
        made.close()


def agent_config(place, folder, token=None, name="edge-7", **more):
    """Of an agent that enrols; its Program."""
    folder.mkdir(exist_ok=True)
    values = {
        "agent": {"tenant": TENANT, "name": name}, "buffer": {"path": str(folder / "data")},
        "enrolment": {"url": place.url, "token_file": str(folder / "token")},
        "mqtt": {"host": "127.0.0.1", "port": place.mqtt_port, "backoff_min": "50ms", "backoff_max": "500ms"},
        "ship": {"status_interval": "1s"}, "http": {"address": ""}, "scrape": {"interval": "1s", "timeout": "1s"},
        "targets": [{"name": "aggregator", "url": place.url + "/metrics"}], **more}
    if token:
        (folder / "token").write_text(token + "\n")
    (folder / "agent.yaml").write_text(json.dumps(values))
    program = place._program(f"agent-{folder.name}", [BIN / "picket-agent", "--config", folder / "agent.yaml"])
    return program


def known(place, name):
    try:
        return place.call(SERVICE + "GetAgent", {"agent": name})["agent"]
    except ApiError as absent:
        assert absent.code == "not_found"
        return {}


def online(place, name):
    return known(place, name).get("state") == "AGENT_STATE_ONLINE"


def serials(place, agent):
    return [fact["agentCertificateIssued"]["certificate"]["serial"] for fact in place.facts(aggregateType="agent", aggregateId=agent)
            if "agentCertificateIssued" in fact]


def test_an_agent_enrols_by_itself_and_starts_again_without_the_token(place, tmp_path):
    folder = tmp_path / "edge-7"
    program = agent_config(place, folder)
    program.start()
    eventually("it says what is missing", lambda: "not_enrolled" in program.log() and "token" in program.log())
    assert not known(place, "edge-7")
    program.terminate()
    (folder / "token").write_text(offer(place, "edge-7") + "\n")
    program.start()
    eventually("it is online", lambda: online(place, "edge-7"))
    identity = folder / "data" / "identity"
    for file in identity.iterdir():
        assert file.stat().st_mode & 0o77 == 0, file
    assert "enrolled" in program.log() and "PRIVATE" not in program.log()
    agent = known(place, "edge-7")
    assert agent["status"]["certificate"]["serial"] == agent["right"]["serial"] == serials(place, "edge-7")[0]
    assert "enrolment" in agent["status"]["capabilities"]
    (folder / "token").unlink()
    program.kill()
    connected = program.log().count("event=connected")
    program.start()
    eventually("it connects with what it has", lambda: program.log().count("event=connected") > connected)
    assert len(serials(place, "edge-7")) == 1
    program.end()


def test_an_answer_that_got_lost_is_asked_for_again(place, tmp_path):
    """The key is there, the certificate is not: as after a power cut between asking and keeping."""
    folder = tmp_path / "edge-8"
    token = offer(place, "edge-8")
    program = agent_config(place, folder, token, "edge-8")
    (folder / "data" / "identity").mkdir(parents=True)
    key = Key(tmp_path, "lost")
    first = enrol(place, token, key.csr())["certificate"]
    (folder / "data" / "identity" / "next.key").write_text(key.path.read_text())
    program.start()
    eventually("it is online", lambda: online(place, "edge-8"))
    assert len(serials(place, "edge-8")) == 1
    assert first in (folder / "data" / "identity" / "agent.pem").read_text()
    program.end()


def test_another_agents_token_enrols_nobody_and_is_not_spent(place, tmp_path):
    token = offer(place, "edge-11")
    program = agent_config(place, tmp_path / "edge-10", token, "edge-10")
    program.start()
    eventually("it says why", lambda: f"is for '{TENANT}/edge-11', and this is '{TENANT}/edge-10'" in program.log())
    assert known(place, "edge-11")["state"] == "AGENT_STATE_AWAITED" and not known(place, "edge-10")
    program.end()
    assert enrol(place, token, Key(tmp_path, "own").csr())["certificate"]


def test_names_that_the_broker_may_give_more_to_are_not_enrolled(short, tmp_path):
    """The broker goes by the common name alone: an agent named as an integration could write domain intents."""
    token = offer(short, "gitlab")
    short.make_token("gitlab", "integration")
    short.make_token("ci", "integration")
    for name in ("integration", "reader", "aggregator", "grafana"):
        assert "reserved" in refused("invalid_argument", offer, short, name)

    def is_known(name):
        try:
            return not offer(short, name)
        except ApiError as said:
            return said.code == "invalid_argument" and "name of a token" in said.message
    eventually("the token's name is known", lambda: is_known("ci"))
    assert "name of a token" in refused("invalid_argument", enrol, short, token, Key(tmp_path, "gitlab").csr())
    assert offer(short, "edge-1")


def test_a_name_that_is_a_place_in_a_path_is_no_name(place):
    for name in (".", "..", "-"):
        assert "a letter or digit among them" in refused("invalid_argument", offer, place, name)


def test_what_was_never_an_agent_is_not_revoked(place):
    before = place.call(SERVICE + "ListAgents")
    assert "nothing is revoked" in refused("not_found", lambda: place.call(SERVICE + "RevokeAgent", {"agent": "edge-l2", "reason": "x"}))
    assert place.ctl("agents", "revoke", "edge-l2", "--reason", "x", check=False).returncode != 0
    assert before.get("counts") == place.call(SERVICE + "ListAgents").get("counts") and not known(place, "edge-l2")


def test_what_a_request_asks_for_besides_is_named_where_it_is_refused(place, tmp_path):
    token, key = offer(place, "csr"), Key(tmp_path, "csr")
    critical = openssl("req", "-new", "-key", key.path, "-subj", "/CN=x", "-addext", "1.2.3.4=critical,DER:0500", "-outform", "DER")
    assert "asks for an extension" in refused("invalid_argument", enrol, place, token, critical)
    authority = openssl("req", "-new", "-key", key.path, "-subj", "/CN=x", "-addext", "basicConstraints=critical,CA:TRUE", "-outform", "DER")
    assert "asks for an extension" in refused("invalid_argument", enrol, place, token, authority)
    plain = openssl("req", "-new", "-key", key.path, "-subj", "/CN=x", "-addext", "subjectAltName=DNS:broker", "-outform", "DER")
    assert "broker" not in openssl("x509", "-noout", "-text", data=enrol(place, token, plain)["certificate"].encode()).decode()


def readyz(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as not_ready:
        return not_ready.read().decode()
    except OSError:
        return ""


def test_a_revoked_agent_says_so_and_comes_back_with_a_new_token(place, tmp_path):
    """Nobody touches its folder, its queue is the same, and a kill in between changes nothing."""
    folder, port = tmp_path / "edge-12", free_port()
    program = agent_config(place, folder, offer(place, "edge-12"), "edge-12", http={"port": port})
    program.start()
    eventually("it is online", lambda: online(place, "edge-12"))
    first = known(place, "edge-12")["status"]
    assert place.ctl("agents", "revoke", "edge-12", "--reason", "was stolen").returncode == 0
    eventually("it says so itself", lambda: "was stolen; it comes back with a new token" in readyz(port))
    assert '"ready":false' in readyz(port) and "event=refused_by_centre" in program.log()
    asked = place.ctl("diagnose", "edge-12", "describe", "pod", "x", "-n", "y", check=False)
    assert asked.returncode != 0 and "was revoked" in asked.stderr
    program.kill()
    program.start()
    eventually("it says so after a restart", lambda: "was stolen" in readyz(port))
    (folder / "token").write_text(offer(place, "edge-12") + "\n")
    program.signal(signal.SIGHUP)
    eventually("it is back", lambda: online(place, "edge-12"))
    eventually("it is ready", lambda: '"ready":true' in readyz(port))
    again = known(place, "edge-12")["status"]
    assert again["certificate"]["serial"] != first["certificate"]["serial"]
    assert len(set(re.findall(r"event=started .*?epoch=(\S+)", program.log()))) == 1
    program.kill()
    connected = program.log().count("event=connected")
    program.start()
    eventually("it starts with what it has", lambda: program.log().count("event=connected") > connected)
    assert len(serials(place, "edge-12")) == 2
    program.end()


def test_a_certificate_of_another_name_is_said(place, tmp_path):
    folder, port = tmp_path / "edge-13", free_port()
    own = {name: str(place.pki / file) for name, file in (("certificate", "reader.crt"), ("key", "reader.key"), ("ca", "ca.crt"))}
    program = agent_config(place, folder, name="edge-13", http={"port": port}, enrolment={},
                           mqtt={"host": "127.0.0.1", "port": place.mqtt_port, **own})
    words = f"is the certificate of '{TENANT}/reader', and this agent is '{TENANT}/edge-13'"
    check = subprocess.run([BIN / "picket-agent", "--config", folder / "agent.yaml", "--check-config"], capture_output=True, text=True,
                           check=False, timeout=30)
    assert check.returncode == 1 and words in check.stderr, check
    program.start()
    eventually("/readyz says it", lambda: words in readyz(port))
    assert '"ready":false' in readyz(port) and "event=certificate_of_another" in program.log()
    program.end()


def test_an_agent_renews_in_time_and_loses_nothing(short, tmp_path):
    program = agent_config(short, tmp_path / "edge-7", offer(short, "edge-7"))
    program.start()
    eventually("it is online", lambda: online(short, "edge-7"))
    eventually("it has the next one, and connects with it", lambda: len(serials(short, "edge-7")) >= 2
               and known(short, "edge-7")["status"]["certificate"]["serial"] in serials(short, "edge-7")[1:], 40)
    eventually("it says so", lambda: "certificate_in_use" in program.log())
    assert int(known(short, "edge-7").get("intentsLost", 0)) == 0
    # Revoked, it is passed over, whatever the broker still lets in, and gets no other.
    short.call(SERVICE + "RevokeAgent", {"agent": "edge-7", "reason": "test"})
    eventually("its words are passed over", lambda: (short.metric("picket_intake_revoked_total") or 0) > 0)
    assert known(short, "edge-7")["state"] == "AGENT_STATE_REVOKED"
    eventually("its renewal is refused", lambda: "was revoked" in program.log(), 40)
    program.end()


def test_a_certificate_reaches_its_own_topics_only(place, tmp_path):
    """Every family of the contract, in its own name and in others', against the broker's ACL as it is shipped."""
    key = Key(tmp_path, "prober")
    (tmp_path / "prober.crt").write_text(enrol(place, offer(place, "prober"), key.csr())["certificate"])
    connect = ["-V", "5", "-h", "127.0.0.1", "-p", str(place.mqtt_port), "--cafile", str(place.pki / "ca.crt"),
               "--cert", str(tmp_path / "prober.crt"), "--key", str(key.path)]
    writes = {"sre.edge.intents.v1", "sre.edge.replies.v1", "sre.edge.status.v1"}
    reads = {"sre.edge.acks.v1", "sre.edge.config.v1", "sre.edge.requests.v1"}
    listeners = []
    others = {"sre.domain.intents.v1", "sre.domain.replies.v1", "sre.domain.facts.v1", "sre.process.facts.v1"}
    for family in sorted(writes | reads | others):
        for who in (f"{TENANT}/prober", f"{TENANT}/{AGENT}", "other/prober", f"{TENANT}/+", "#"):
            own = who == f"{TENANT}/prober"
            topic = f"{family}/{who}"
            if "+" not in who and "#" not in who:
                ran = subprocess.run(["mosquitto_pub", *connect, "-q", "1", "-d", "-t", topic, "-m", "x"], capture_output=True, text=True,
                                     timeout=20, check=False)
                allowed = "Not authorized" not in ran.stdout + ran.stderr and ran.returncode == 0
                assert allowed == (own and family in writes), (topic, ran.stdout, ran.stderr)
            # The broker grants a subscription and gives nothing, or refuses it: what counts is what comes.
            if own and family in reads:
                continue
            listener = subprocess.Popen(["mosquitto_sub", *connect, "-q", "1", "-d", "-t", topic, "-F", "got %t", "-W", "4"],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            listeners.append((topic, listener))
    time.sleep(0.5)
    for topic in (f"sre.edge.acks.v1/{TENANT}/{AGENT}", f"sre.domain.facts.v1/{TENANT}/slo/x", f"sre.edge.config.v1/{TENANT}/{AGENT}"):
        place.publish("aggregator", topic, b"secret")
    for topic, listener in listeners:
        said = listener.communicate(timeout=20)[0]
        assert not any(line.startswith("got ") for line in said.splitlines()), (topic, said)


def replaced(place, folder, bundle):
    """Another authority signs from now on; with bundle, the one before it is known still."""
    other = folder / "other-pki"
    place.certify(other, "client", "none", f"{TENANT}/none")
    authority = folder / "authority.pem"
    authority.write_bytes((other / "ca.crt").read_bytes() + ((place.pki / "ca.crt").read_bytes() if bundle else b""))
    settings = aggregator_settings(place)
    settings["enrolment"].update(validity="15s", ca_certificate=str(authority), ca_key=str(other / "ca.key"),
                                 broker_ca=str(place.pki / "ca.crt"))
    place.write_yaml("aggregator.yaml", settings)
    place.aggregator.terminate()
    place.start_aggregator()
    return other / "ca.crt"


def test_a_renewal_that_is_refused_is_said_before_and_after_the_end(short, tmp_path):
    port = free_port()
    program = agent_config(short, tmp_path / "edge-14", offer(short, "edge-14"), "edge-14", http={"port": port})
    program.start()
    eventually("it is online", lambda: online(short, "edge-14"))
    replaced(short, tmp_path, bundle=False)
    eventually("/readyz says it", lambda: "no client's of this certificate authority" in readyz(port), 40)
    assert '"ready":false' in readyz(port) and "certificate_not_renewed" in program.log()
    eventually("the fleet says it", lambda: "not renewed" in short.ctl("agents").stdout)
    eventually("it is over", lambda: "the certificate is over since" in readyz(port), 40)
    assert "OVER since" in short.ctl("agents").stdout
    doctor = short.ctl("doctor", check=False)
    assert doctor.returncode == 1 and "has a certificate that is over since" in doctor.stdout, doctor.stdout
    program.end()


def test_an_authority_is_replaced_as_the_page_says(short, tmp_path):
    """agent/ADD-AN-AGENT.md: the new one and the old one in one file, until all agents have renewed."""
    program = agent_config(short, tmp_path / "edge-15", offer(short, "edge-15"), "edge-15")
    program.start()
    eventually("it is online", lambda: online(short, "edge-15"))
    new = replaced(short, tmp_path, bundle=True)
    eventually("it has renewed", lambda: len(serials(short, "edge-15")) >= 2, 40)
    issued = [fact["agentCertificateIssued"]["certificate"]["pem"] for fact in short.facts(aggregateType="agent", aggregateId="edge-15")
              if "agentCertificateIssued" in fact]
    (tmp_path / "last.crt").write_text(issued[-1])
    openssl("verify", "-CAfile", new, tmp_path / "last.crt")
    program.end()
