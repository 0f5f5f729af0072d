# SPDX-License-Identifier: Apache-2.0
"""Bad input: whoever sent it is told, or the rejections list says it; a counter counts it; the line goes on."""
import json
import math
import signal
import subprocess
import time
import uuid

import pytest

from generator import SLIS, Generator
from harness import AGENT, BIN, CORE, INTEGRATION, TENANT, ApiError, Place, eventually

WINDOW = 1


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("bad"))
    generator = Generator(1)
    made.closers.append(generator)
    made.generator = generator
    made.start()
    made.create_slo("requests", SLIS["requests"][0], WINDOW)
    made.configure_agent({"gen": generator.url})
    made.start_agent()
    goes_on(made)
    yield made
    made.close()


def goes_on(place):
    """Windows that begin after now still arrive."""
    now = math.ceil(time.time())
    eventually("the line goes on", lambda: [
        at for at, p in place.windows("requests", now - 30, now + 60).items() if at >= now and p["windows"] and p["seen"]], 60, 0.2)


def varint(number):
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def intent(tenant=TENANT, producer=INTEGRATION, slo_id="requests", start=None, **override):
    """One SreDomainIntent with a RecordSLIWindowRequested, by hand."""
    start = int(time.time()) - 3600 if start is None else start
    meta = (field(1, str(uuid.uuid4())) + field(2, tenant) + field(3, field(1, int(time.time()))) + field(4, producer) + field(7, 1))
    window = (field(1, slo_id) + field(2, "c1") + field(3, field(1, start)) + field(4, WINDOW) + field(5, 1) + field(6, 1)
              + field(7, 4) + field(8, 4) + field(9, 1))
    return field(1, meta) + field(override.get("number", 41), window)


def rejected(place, text, before):
    def check():
        new = [one for one in place.rejections() if int(one["rejectionId"]) not in before]
        return [one for one in new if text in one.get("reason", "") or text in one.get("code", "")]
    return eventually(f"a rejection with '{text}'", check, every=0.2)


def known(place):
    return {int(one["rejectionId"]) for one in place.rejections()}


TOPIC = f"sre.domain.intents.v1/{INTEGRATION}"


def test_malformed_protobuf_is_kept_and_counted(place):
    before, counted = known(place), place.metric("picket_journal_refused_total")
    code, said = place.publish("integration", TOPIC, b"\xff\xff\xff this is no protobuf")
    assert code == 0, said
    one = rejected(place, "input", before)[0]
    assert one["producer"] in INTEGRATION and one["reason"], one
    eventually("it is counted", lambda: place.metric("picket_journal_refused_total") > counted)
    goes_on(place)


def test_another_tenant_in_the_envelope_is_refused(place):
    before = known(place)
    code, said = place.publish("integration", TOPIC, intent(tenant="other"))
    assert code == 0, said
    one = rejected(place, "tenant", before)[0]
    assert "other" in one["reason"], one
    goes_on(place)


def test_an_unknown_slo_is_rejected_with_its_name(place):
    before = known(place)
    code, said = place.publish("integration", TOPIC, intent(slo_id="never-created"))
    assert code == 0, said
    assert "never-created" in rejected(place, "never-created", before)[0]["reason"]
    goes_on(place)


def test_an_oversize_message_does_not_stop_the_line(place):
    code, said = place.publish("integration", TOPIC, b"\0" * (1024 * 1024 + 4096))
    # The broker's bound comes first; where it lets it pass, the aggregator's does.
    assert code != 0 or known(place), said
    goes_on(place)


def test_a_malformed_batch_is_refused_and_the_agents_own_go_on(place):
    before = known(place)
    code, said = place.publish(AGENT, f"sre.edge.intents.v1/{TENANT}/{AGENT}", b"\x0a\x03abc garbage \xff")
    assert code == 0, said
    rejected(place, "input", before)
    goes_on(place)


def test_a_rejection_can_be_read_by_picketctl(place):
    place.publish("integration", TOPIC, intent(slo_id="seen-by-ctl"))
    eventually("it is in the list", lambda: "seen-by-ctl" in place.ctl("get", "rejections").stdout)


@pytest.mark.parametrize("text, where", [
    ('gen_requests_total{a="b" 5\n', "line 22, column 26"), ("gen_requests_total five\n", "line 22, column 20")])
def test_malformed_exposition_is_said_with_its_line(place, text, where):
    failed = place.metric("picket_collect_scrapes_failed_total", "agent") or 0
    place.generator.extra = text
    eventually("failed scrapes are counted", lambda: place.metric("picket_collect_scrapes_failed_total", "agent") > failed)
    said = eventually("the agent says where", lambda: [line for line in place.agent.log().splitlines() if "target_down" in line and where in line])
    assert said
    place.generator.extra = ""
    goes_on(place)


@pytest.mark.parametrize("token, status, code", [("", 401, "unauthenticated"), ("not-a-token", 401, "unauthenticated")])
def test_an_unknown_token_is_refused(place, token, status, code):
    with pytest.raises(ApiError) as refused:
        place.call(CORE + "SLOService/ListSLOs", token=token or "x")
    assert refused.value.status == status and refused.value.code == code
    ran = place.ctl("get", "slos", token="not-a-token", check=False)
    assert ran.returncode == 4 and "PICKET_TOKEN" in ran.stderr, ran


def test_a_viewer_may_look_and_not_create(place):
    viewer = place.make_token("only-looks", "viewer")
    eventually("the token is known", lambda: place.call(CORE + "SLOService/ListSLOs", token=viewer))
    with pytest.raises(ApiError) as refused:
        place.call(CORE + "SLOService/CreateSLO", {"command": {"sloId": "x", "name": "x", "target": 99, "window": "SLO_WINDOW_7D",
                   "sliSpec": dict(SLIS["scrapes"][0], windowSeconds=1)}}, token=viewer)
    assert refused.value.status == 403 and refused.value.code == "permission_denied"


def test_another_tenants_token_sees_nothing_of_ours(place):
    other = place.make_token("other", "admin", tenant="other")
    assert eventually("the token is known", lambda: place.call(CORE + "SLOService/ListSLOs", token=other) == {})
    with pytest.raises(ApiError) as refused:
        place.call(CORE + "SLOService/GetSLO", {"sloId": "requests"}, token=other)
    assert refused.value.code == "not_found"


@pytest.mark.parametrize("method, request_json, code, part", [
    ("SLOService/GetSLO", {}, "invalid_argument", "slo_id"),
    ("SLOService/GetSLO", {"sloId": "no-such"}, "not_found", "no-such"),
    ("SLOService/GetSLO", {"slo": "x"}, "invalid_argument", "slo"),
    ("SLOService/CreateSLO", {"command": {"name": "x", "target": 101, "window": "SLO_WINDOW_7D"}}, "invalid_argument", "target"),
    ("SLOService/Nothing", {}, "unimplemented", "/openapi.json"),
])
def test_a_wrong_request_is_refused_by_name(place, method, request_json, code, part):
    with pytest.raises(ApiError) as refused:
        place.call(CORE + method, request_json)
    assert refused.value.code == code and part in refused.value.message, refused.value


def expired(folder, place):
    """The agent's own name, signed by our CA, past its day."""
    run = lambda *words: subprocess.run([str(w) for w in words], check=True, capture_output=True)  # noqa: E731
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "e.key",
        "-out", folder / "e.csr", "-subj", f"/CN={TENANT}\\/{AGENT}")
    run("openssl", "x509", "-req", "-in", folder / "e.csr", "-CA", place.pki / "ca.crt", "-CAkey", place.pki / "ca.key",
        "-set_serial", "7", "-days", "-1", "-out", folder / "e.crt")
    return folder / "e.crt", folder / "e.key", place.pki / "ca.crt"


def foreign(folder, place):
    """The same name, of another authority."""
    Place.certify(folder / "pki", "client", AGENT, f"{TENANT}/{AGENT}")
    return folder / "pki" / f"{AGENT}.crt", folder / "pki" / f"{AGENT}.key", place.pki / "ca.crt"


def distrusting(folder, place):
    """Ours, but the agent trusts another authority than the broker's."""
    Place.certify(folder / "pki", "client", AGENT, f"{TENANT}/{AGENT}")
    return place.pki / f"{AGENT}.crt", place.pki / f"{AGENT}.key", folder / "pki/ca.crt"


@pytest.mark.parametrize("certificate, words", [(expired, "our certificate has expired"),
                                                (foreign, "our certificate is not from an authority that it trusts"),
                                                (distrusting, "the broker's certificate is not from the authority in")])
def test_a_bad_certificate_is_refused_and_said(place, tmp_path, certificate, words):
    crt, key, ca = certificate(tmp_path, place)
    settings = json.loads(place.agent_config.read_text())
    settings["mqtt"].update(certificate=str(crt), key=str(key), ca=str(ca))
    settings["buffer"]["path"] = str(tmp_path / "queue")
    settings["http"]["port"] = 0
    (tmp_path / "agent.yaml").write_text(json.dumps(settings))
    with open(tmp_path / "log", "wb") as log:
        agent = subprocess.Popen([str(BIN / "picket-agent"), "--config", str(tmp_path / "agent.yaml")], stdout=log, stderr=log)
    try:
        eventually("the agent says why", lambda: words in (tmp_path / "log").read_text())
        assert agent.poll() is None, "it must go on trying: certificates are renewed under it"
    finally:
        agent.kill()
        agent.wait()
    goes_on(place)


def test_a_wrong_configuration_is_told_with_file_line_and_key(place, tmp_path):
    config = tmp_path / "wrong.yaml"
    config.write_text("agent:\n  tenant: demo\n  name: Edge 1\nmqqt:\n  host: x\nmqtt:\n  host: x\n  port: 99999\n"
                      "scrape:\n  interval: 5\ntargets:\n  - url: ftp://x\n")
    ran = subprocess.run([str(BIN / "picket-agent"), "--config", str(config), "--check-config"], capture_output=True, text=True,
                         timeout=20, check=False)
    said = ran.stdout + ran.stderr
    assert ran.returncode != 0
    for part in (f"{config}:4: mqqt: unknown key; did you mean 'mqtt'?", f"{config}:8: mqtt.port: '99999'", f"{config}:10: scrape.interval",
                 f"{config}:12: targets[0].name: is required"):
        assert part in said, said


def test_a_bad_file_on_sighup_keeps_the_old_configuration(place):
    good = place.agent_config.read_text()
    place.agent_config.write_text("nonsense: true\n")
    place.agent.signal(signal.SIGHUP)
    eventually("the agent says so", lambda: "nonsense" in place.agent.log())
    goes_on(place)
    place.agent_config.write_text(good)
    place.agent.signal(signal.SIGHUP)
    goes_on(place)
