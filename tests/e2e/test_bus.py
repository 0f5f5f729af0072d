# SPDX-License-Identifier: Apache-2.0
"""Single intents, over the bus and by POST /v1/intents: an answer means on disk, a repeat has no effect twice."""
import random
import threading
import time
import urllib.request
import uuid

import pytest

from harness import CORE, INTEGRATION, TENANT, ApiError, Place, eventually, seed
from test_bad_input import field

TOPIC = f"sre.domain.intents.v1/{INTEGRATION}"
REPLIES = f"sre.domain.replies.v1/{INTEGRATION}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("bus"))
    made.start()
    yield made
    made.close()


def intent(number, body, message_id=None, tenant=None):
    """One SreDomainIntent by hand, with as little of an envelope as there can be."""
    meta = field(1, message_id or str(uuid.uuid4())) + (field(2, tenant) if tenant else b"")
    return field(1, meta) + field(number, body)


def opens(incident_id, message_id=None, **more):
    return intent(10, field(1, incident_id) + field(2, f"about {incident_id}") + field(4, 2), message_id, **more)


def acknowledges(incident_id, message_id=None):
    return intent(16, field(1, incident_id), message_id)


def fields(payload):
    """{number: value} of a message: integers and bytes, as far as a reply needs it."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = payload[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(payload):
        key = varint()
        if key & 7 == 0:
            found[key >> 3] = varint()
        else:
            size = varint()
            found[key >> 3] = payload[at:at + size]
            at += size
    return found


def ask(place, payload, response=REPLIES, seconds=30):
    """What came back, or None."""
    answer = place.request("integration", TOPIC, response, payload, seconds)
    return fields(answer) if answer else None


def versions(place, incident_id):
    return [int(f["subject"]["aggregateVersion"]) for f in place.facts(aggregateType="incident", aggregateId=incident_id)]


def test_a_reply_says_what_was_committed(place):
    message_id = str(uuid.uuid4())
    reply = ask(place, opens("bus-1", message_id))
    assert 2 in reply, reply
    outcome = fields(reply[2])
    assert (reply[1].decode(), outcome[2], outcome[3], outcome[4]) == (message_id, b"incident", b"bus-1", 1)
    assert place.call(CORE + "IncidentService/GetIncident", {"incidentId": "bus-1"})["incident"]["status"].endswith("OPEN")


def test_the_same_message_again_has_no_effect_and_the_same_answer(place):
    message_id = str(uuid.uuid4())
    first = fields(ask(place, opens("bus-2", message_id))[2])
    again = fields(ask(place, opens("bus-2", message_id))[2])
    assert (again[3], again[4], again[5], again[6]) == (first[3], first[4], first[5], 1)
    assert versions(place, "bus-2") == [1]


def test_a_refusal_is_answered_kept_and_given_again_after_the_fix(place):
    reply = ask(place, acknowledges("bus-3"))
    assert 2 not in reply and reply[3] == b"absent" and b"bus-3" in reply[4] and 5 not in reply
    kept = next(one for one in place.rejections() if one.get("aggregateId") == "bus-3")
    ask(place, opens("bus-3"))
    replayed = place.call(CORE + "RejectionService/ReplayRejection", {"rejectionId": kept["rejectionId"]})
    assert replayed["accepted"] and versions(place, "bus-3") == [1, 2]


def test_a_reply_goes_to_the_producers_own_topic_and_nowhere_else(place):
    place.publish("integration", TOPIC, b"")  # a message without an intent is a rejection, not the end
    assert ask(place, opens("bus-4"), response=f"sre.domain.replies.v1/{TENANT}/somebody-else", seconds=2) is None
    assert eventually("the intent is taken all the same", lambda: versions(place, "bus-4")) == [1]


def test_an_intent_without_a_message_id_is_refused_where_it_may_come_twice(place):
    reply = ask(place, field(10, field(1, "bus-6") + field(2, "t") + field(4, 2)))
    assert reply[3] == b"input" and b"message_id" in reply[4]


def test_another_tenant_in_the_envelope_is_refused(place):
    reply = ask(place, opens("bus-5", tenant="other"))
    assert reply[3] == b"denied" and b"other" in reply[4]


def post(place, body, token=None, content_type="application/json", **headers):
    if content_type == "application/json":
        return place.call("v1/intents", body, token=token, headers=headers)
    request = urllib.request.Request(place.url + "/v1/intents", body, {
        "Content-Type": content_type, "Authorization": f"Bearer {token or place.token}", **headers})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return fields(answer.read())


def known_token(place, role):
    """One that the aggregator has read already: it looks every second."""
    token = place.make_token(f"t-{uuid.uuid4().hex[:8]}", role)
    eventually("the token is known", lambda: place.call(CORE + "SLOService/ListSLOs", token=token) is not None, every=0.05)
    return token


def test_an_intent_by_http(place):
    message_id = str(uuid.uuid4())
    body = {"meta": {"messageId": message_id}, "createIncident": {"incidentId": "http-1", "title": "t", "severity": "SEVERITY_HIGH"}}
    token = known_token(place, "integration")
    first = post(place, body, token)
    assert first["messageId"] == message_id and first["outcome"]["aggregateVersion"] == "1" and not first["outcome"].get("repeated")
    again = post(place, body, token)
    assert again["outcome"]["repeated"] and again["outcome"]["aggregateVersion"] == "1"
    assert fields(post(place, opens("http-2"), token, "application/proto")[2])[3] == b"http-2"
    fact = place.facts(aggregateType="incident", aggregateId="http-1")[0]
    assert fact["meta"]["producer"].startswith("t-") and fact["meta"]["causationId"] == message_id


def test_an_intent_by_http_for_a_version_that_is_gone(place):
    post(place, {"createIncident": {"incidentId": "http-3", "title": "t", "severity": "SEVERITY_HIGH"}})
    change = {"reclassifyIncidentSeverity": {"incidentId": "http-3", "severity": "SEVERITY_LOW"}}
    with pytest.raises(ApiError) as refused:
        post(place, change, **{"If-Match": '"7"'})
    assert refused.value.code == "failed_precondition" and "is at version 1, the sender saw 7" in refused.value.message
    with pytest.raises(ApiError) as refused:
        post(place, dict(change, subject={"aggregateVersion": "2"}), **{"If-Match": '"1"'})
    assert refused.value.code == "invalid_argument" and "different versions" in refused.value.message
    assert post(place, change, **{"If-Match": '"1"'})["outcome"]["aggregateVersion"] == "2"


def test_a_message_without_an_intent_says_so(place):
    with pytest.raises(ApiError) as refused:
        post(place, {"meta": {"messageId": str(uuid.uuid4())}})
    assert "holds no intent" in refused.value.message


@pytest.mark.parametrize("role, body, code", [
    ("viewer", {"acknowledgeIncident": {"incidentId": "bus-1"}}, "permission_denied"),
    ("responder", {"meta": {"tenantId": "other"}, "acknowledgeIncident": {"incidentId": "bus-1"}}, "permission_denied"),
    ("responder", {"acknowledgeIncident": {"incidentId": "nobody-knows"}}, "not_found"),
    ("responder", {"createIncident": {"incidentId": "bus-1", "title": "t", "severity": "SEVERITY_LOW"}}, "already_exists"),
    ("responder", {"createIncident": {"severity": "SEVERITY_LOW"}}, "invalid_argument"),
    ("responder", {"expireAlert": {"alertId": "a", "expiresAt": "2026-01-01T00:00:00Z"}}, "permission_denied"),
    ("responder", {}, "invalid_argument"),
    ("responder", {"meta": {"messageId": "no uuid"}, "acknowledgeIncident": {"incidentId": "bus-1"}}, "invalid_argument"),
])
def test_what_is_refused_by_http(place, role, body, code):
    token = known_token(place, role)
    with pytest.raises(ApiError) as refused:
        post(place, body, token)
    assert refused.value.code == code, refused.value


def test_nothing_is_lost_and_nothing_done_twice_while_the_aggregator_is_killed(place):
    """Producers send until they are answered; the aggregator is killed at random meanwhile."""
    chance = random.Random(seed())
    waiting, done = [f"killed-{i}" for i in range(40)], []
    lock = threading.Lock()

    def produce():
        while True:
            with lock:
                if not waiting:
                    return
                name = waiting.pop()
            message_id = str(uuid.uuid4())
            while not ask(place, opens(name, message_id), seconds=2):
                pass
            done.append(name)

    producers = [threading.Thread(target=produce) for _ in range(4)]
    for producer in producers:
        producer.start()
    while any(producer.is_alive() for producer in producers):
        time.sleep(chance.uniform(0.05, 0.6))
        if len(done) < 40 and place.aggregator.kills < 12:
            place.aggregator.kill()
            place.start_aggregator(ready=False)
    eventually("the aggregator is ready", lambda: place.get("/readyz")[0] == 200, 60)
    assert sorted(done) == sorted(f"killed-{i}" for i in range(40))
    for name in done:
        assert versions(place, name) == [1], name
