# SPDX-License-Identifier: Apache-2.0
"""The aggregator's HTTP API by a real binary and a real socket: Connect's rules, tenants, versions, repeats, lists, streams."""
import base64
import http.client
import importlib
import json
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid

import pytest

from harness import BIN, CORE, TOP, ApiError, Place, eventually, rfc3339

SPEC = {"counterRatio": {"goodSelector": "ok_total", "totalSelector": "all_total"}, "windowSeconds": 60}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("api"))
    made.viewer = made.make_token("looker", "viewer")
    made.responder = made.make_token("responder", "responder")
    made.other = made.make_token("stranger", "admin", tenant="other")
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    """Python's classes of the contract's messages, made from proto/ as any client would."""
    folder = tmp_path_factory.mktemp("contract")
    files = [str(path.relative_to(TOP / "proto")) for path in (TOP / "proto").rglob("*.proto") if "google" not in path.parts]
    made = subprocess.run(["protoc", f"--proto_path={TOP / 'proto'}", "--proto_path=/usr/include", f"--python_out={folder}", *files],
                          capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    sys.path.insert(0, str(folder))
    yield lambda name: importlib.import_module(f"ameide_core_proto.sre.{name}_pb2")
    sys.path.remove(str(folder))


def raw(place, verb, path, body=None, headers=None, token=None):
    """Status, headers (lower case) and bytes, with nothing added but the token."""
    connection = http.client.HTTPConnection("127.0.0.1", place.http_port, timeout=20)
    try:
        everything = dict(headers or {})
        if token != "":
            everything.setdefault("Authorization", f"Bearer {token or place.token}")
        connection.request(verb, path, body, everything)
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


JSON = {"Content-Type": "application/json"}


def refused(call, *words, **more):
    with pytest.raises(ApiError) as info:
        call(*words, **more)
    return info.value


def command(place, method, body, **more):
    return place.call(CORE + method, {"command": body}, **more)["outcome"]


def slo_body(slo_id, **more):
    return {"sloId": slo_id, "name": slo_id, "target": 99.5, "window": "SLO_WINDOW_30D", "sliSpec": SPEC, **more}


def create_slo(place, slo_id, **more):
    return command(place, "SLOService/CreateSLO", slo_body(slo_id), **more)


def get_slo(place, slo_id, **more):
    return place.call(CORE + "SLOService/GetSLO", {"sloId": slo_id}, **more)["slo"]


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


# -- Connect's errors


def test_unknown_procedures_are_unimplemented(place):
    for path in (CORE + "SLOService/Nothing", "no.such.Service/GetSLO"):
        status, headers, body = raw(place, "POST", "/" + path, b"{}", JSON)
        said = json.loads(body)
        assert (status, said["code"]) == (404, "unimplemented"), (status, said)
        assert headers["content-type"] == "application/json"
    # In the contract, but not served yet: another matter, said as such.
    wrong = refused(place.call, "ameide_core_proto.sre.process.v1.WorkflowService/GetWorkflow", {"workflowId": "w"})
    assert (wrong.status, wrong.code) == (501, "unimplemented") and "contract" in wrong.message


def test_pages_that_are_not_there_are_404(place):
    status, _, body = raw(place, "GET", "/nothing/here")
    assert status == 404 and json.loads(body)["code"] == "not_found"


def test_content_types(place):
    for kind in (None, "text/plain", "application/jsonp", "application/grpc"):
        status, headers, _ = raw(place, "POST", f"/{CORE}SLOService/ListSLOs", b"{}", {"Content-Type": kind} if kind else {})
        assert status == 415, kind
        assert "application/json" in headers["accept-post"] and "application/proto" in headers["accept-post"]
    for kind in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
        assert raw(place, "POST", f"/{CORE}SLOService/ListSLOs", b"{}", {"Content-Type": kind})[0] == 200, kind


def test_verbs(place):
    status, headers, body = raw(place, "GET", f"/{CORE}SLOService/CreateSLO?encoding=json&message=%7B%7D")
    assert status == 405 and "POST" in headers["allow"] and json.loads(body)["code"] == "unimplemented"
    for verb in ("PUT", "DELETE", "PATCH"):
        assert raw(place, verb, f"/{CORE}SLOService/GetSLO", b"{}", JSON)[0] == 405, verb


def test_bad_bodies_name_the_field(place):
    for body, where in ((b"{", ""), (b"[]", ""), (b'{"sloId": 7}', "slo_id"), (b'{"sloID": "a"}', "sloID"), (b'{"sloId": "a b"}', "slo_id"),
                        (b"{}", "slo_id"), (b'{"sloId": "a"} trailing', ""), (b'\xff\xfe', "")):
        status, _, answer = raw(place, "POST", f"/{CORE}SLOService/GetSLO", body, JSON)
        said = json.loads(answer)
        assert (status, said["code"]) == (400, "invalid_argument"), (body, status, said)
        assert where.lower().replace("_", "") in said["message"].lower().replace("_", ""), (body, said)
    wrong = refused(command, place, "SLOService/CreateSLO", slo_body("x", target=101))
    assert (wrong.status, wrong.code) == (400, "invalid_argument") and "command.target" in wrong.message, wrong
    wrong = refused(command, place, "SLOService/CreateSLO", slo_body("x", sliSpec={"windowSeconds": 60}))
    assert "command.sli_spec" in wrong.message or "command.sliSpec" in wrong.message, wrong


def test_deep_and_large_json_is_refused_not_swallowed(place):
    status, _, _ = raw(place, "POST", f"/{CORE}SLOService/GetSLO", b'{"a":' * 5000 + b"1" + b"}" * 5000, JSON)
    assert status == 400
    status, _, body = raw(place, "POST", f"/{CORE}SLOService/GetSLO", b'{"sloId":"' + b"a" * 100000 + b'"}', JSON)
    assert status == 400 and b"128" in body


def test_protocol_version_timeout_and_compression(place):
    path = f"/{CORE}SLOService/ListSLOs"
    assert raw(place, "POST", path, b"{}", {**JSON, "Connect-Protocol-Version": "1"})[0] == 200
    assert raw(place, "POST", path, b"{}", {**JSON, "Connect-Protocol-Version": "2"})[0] == 400
    assert raw(place, "POST", path, b"{}", {**JSON, "Connect-Timeout-Ms": "5000"})[0] == 200
    for timeout in ("soon", "-1", "12345678901"):
        assert raw(place, "POST", path, b"{}", {**JSON, "Connect-Timeout-Ms": timeout})[0] == 400, timeout
    status, _, body = raw(place, "POST", path, b"{}", {**JSON, "Connect-Timeout-Ms": "0"})
    assert (status, json.loads(body)["code"]) == (504, "deadline_exceeded")
    status, _, body = raw(place, "POST", path, b"{}", {**JSON, "Content-Encoding": "br"})
    assert (status, json.loads(body)["code"]) == (501, "unimplemented")


def test_bodies_that_are_too_large(place):
    path = f"/{CORE}SLOService/GetSLO"
    large = b" " * (9 * 1024 * 1024)
    try:
        status, _, body = raw(place, "POST", path, large, JSON)
        assert status == 413 and b"larger than" in body
    except (BrokenPipeError, ConnectionResetError):
        pass  # the answer was given before all was read; below is the same with the answer read first
    connection = http.client.HTTPConnection("127.0.0.1", place.http_port, timeout=20)
    connection.putrequest("POST", path)
    for key, value in {**JSON, "Authorization": f"Bearer {place.token}", "Content-Length": str(1 << 40)}.items():
        connection.putheader(key, value)
    connection.endheaders()
    answer = connection.getresponse()
    said = json.loads(answer.read())
    assert (answer.status, said["code"]) == (413, "resource_exhausted"), said
    connection.close()
    # The length is not said beforehand.
    connection = http.client.HTTPConnection("127.0.0.1", place.http_port, timeout=20)
    try:
        connection.request("POST", path, (b" " * 65536 for _ in range(160)), {**JSON, "Authorization": f"Bearer {place.token}"}, encode_chunked=True)
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        connection.close()
    assert raw(place, "POST", path, b'{"sloId":"none"}', JSON)[0] == 404  # and the server goes on


# -- who may


def test_tokens(place):
    path = f"/{CORE}SLOService/ListSLOs"
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"},
                    {"Authorization": place.token}, {"Authorization": f"Bearer {place.token}x"}):
        status, said_headers, body = raw(place, "POST", path, b"{}", {**JSON, **headers}, token="")
        assert (status, json.loads(body)["code"]) == (401, "unauthenticated"), headers
        assert said_headers["www-authenticate"].startswith("Bearer")
    assert raw(place, "POST", path, b"{}", {**JSON, "Authorization": f"bearer {place.token}"}, token="")[0] == 200


def test_roles(place):
    wrong = refused(create_slo, place, unique("role"), token=place.viewer)
    assert (wrong.status, wrong.code) == (403, "permission_denied") and "viewer" in wrong.message and "responder" in wrong.message
    wrong = refused(place.call, CORE + "RejectionService/ListRejections", {}, token=place.responder)
    assert (wrong.status, wrong.code) == (403, "permission_denied")
    assert place.call(CORE + "SLOService/ListSLOs", {}, token=place.viewer) is not None


def test_token_made_and_revoked_while_running(place):
    token = place.make_token("passing", "viewer")
    eventually("the token is known", lambda: place.call(CORE + "SLOService/ListSLOs", {}, token=token) is not None)
    gone = subprocess.run([BIN / "picket-aggregator", "token", "revoke", "--config", place.folder / "aggregator.yaml", "--tenant", "demo",
                           "--name", "passing"], capture_output=True, text=True, check=False)
    assert gone.returncode == 0, gone.stderr

    def is_refused():
        try:
            place.call(CORE + "SLOService/ListSLOs", {}, token=token)
        except ApiError as reason:
            return reason.status == 401
        return False
    eventually("the token is refused", is_refused)
    assert token not in (place.folder / "aggregator/tokens").read_text()


def test_tenants_do_not_meet(place):
    slo_id = unique("mine")
    create_slo(place, slo_id)
    incident = command(place, "IncidentService/CreateIncident", {"title": "ours", "severity": "SEVERITY_LOW"})["aggregateId"]
    after = int(place.call(CORE + "FactService/ListFacts", {"limit": 1})["newestSequence"])
    for method, body in (("SLOService/GetSLO", {"sloId": slo_id}), ("IncidentService/GetIncident", {"incidentId": incident})):
        wrong = refused(place.call, CORE + method, body, token=place.other)
        assert (wrong.status, wrong.code) == (404, "not_found")
    for method, body in (("SLOService/UpdateSLO", slo_body(slo_id)), ("IncidentService/AcknowledgeIncident", {"incidentId": incident}),
                         ("IncidentService/ResolveIncident", {"incidentId": incident, "resolution": "x"})):
        wrong = refused(command, place, method, body, token=place.other)
        assert (wrong.status, wrong.code) == (404, "not_found"), (method, wrong)
    assert "slos" not in place.call(CORE + "SLOService/ListSLOs", {}, token=place.other)
    assert "incidents" not in place.call(CORE + "IncidentService/ListOpenIncidents", {}, token=place.other)
    assert "facts" not in place.call(CORE + "FactService/ListFacts", {"limit": 1000}, token=place.other)
    # What they were refused is in their list, not in ours.
    theirs = place.call(CORE + "RejectionService/ListRejections", {}, token=place.other)["rejections"]
    assert {one["aggregateId"] for one in theirs} >= {slo_id, incident}
    assert not [one for one in place.rejections() if one.get("aggregateId") in (slo_id, incident)]
    rejection = {"rejectionId": theirs[0]["rejectionId"]}
    assert refused(place.call, CORE + "RejectionService/GetRejection", rejection).status == 404
    assert refused(place.call, CORE + "RejectionService/ReplayRejection", rejection).status == 404
    # The same id may be theirs too, and is another one.
    create_slo(place, slo_id, token=place.other)
    assert get_slo(place, slo_id)["version"] == "1" and int(place.call(CORE + "FactService/ListFacts", {"limit": 1})["newestSequence"]) == after + 1


# -- commands


def test_slo_life(place):
    slo_id = unique("life")
    made = create_slo(place, slo_id)
    assert (made["aggregateType"], made["aggregateId"], made["aggregateVersion"]) == ("slo", slo_id, "1")
    assert re.fullmatch(r"[0-9a-f-]{36}", made["messageId"]) and int(made["sequence"]) > 0
    slo = get_slo(place, slo_id)
    assert (slo["sloId"], slo["target"], slo["version"], slo["sliSpec"]) == (slo_id, 99.5, "1", SPEC)
    again = refused(create_slo, place, slo_id)
    assert (again.status, again.code) == (409, "already_exists") and slo_id in again.message
    changed = command(place, "SLOService/UpdateSLO", slo_body(slo_id, target=99.9, owner="team-a"))
    assert changed["aggregateVersion"] == "2" and int(changed["sequence"]) > int(made["sequence"])
    slo = get_slo(place, slo_id)
    assert (slo["target"], slo["owner"], slo["version"]) == (99.9, "team-a", "2")
    wrong = refused(command, place, "SLOService/UpdateSLO", slo_body(unique("none")))
    assert (wrong.status, wrong.code) == (404, "not_found")
    wrong = refused(get_slo, place, unique("none"))
    assert (wrong.status, wrong.code) == (404, "not_found")


def test_versions(place):
    slo_id = unique("version")
    create_slo(place, slo_id)

    def update(target, match=None, expected=None):
        request = {"command": slo_body(slo_id, target=target), **({"expectedVersion": expected} if expected is not None else {})}
        return place.call(CORE + "SLOService/UpdateSLO", request, headers={"If-Match": match} if match else None)["outcome"]["aggregateVersion"]

    assert update(98, expected=1) == "2"
    stale = refused(update, 97, expected=1)
    assert (stale.status, stale.code) == (400, "failed_precondition") and "2" in stale.message
    assert update(97, match='"2"') == "3"
    assert refused(update, 96, match='"2"').code == "failed_precondition"
    assert update(96, match='W/"3"') == "4" and update(95, match="*") == "5"
    assert refused(update, 94, match='"five"').code == "invalid_argument"
    assert refused(update, 94, match='"5"', expected=4).code == "invalid_argument"
    assert refused(update, 94, expected=-1).code == "invalid_argument"
    assert get_slo(place, slo_id)["target"] == 95


def test_one_of_many_wins(place):
    slo_id = unique("race")
    create_slo(place, slo_id)
    won, lost = [], []

    def race(target):
        try:
            place.call(CORE + "SLOService/UpdateSLO", {"command": slo_body(slo_id, target=target), "expectedVersion": 1})
            won.append(target)
        except ApiError as reason:
            lost.append(reason.code)
    threads = [threading.Thread(target=race, args=(90 + i / 10,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and set(lost) == {"failed_precondition"} and len(lost) == 15
    assert (get_slo(place, slo_id)["target"], get_slo(place, slo_id)["version"]) == (won[0], "2")


def test_idempotency_keys(place):
    key = {"Idempotency-Key": unique("key")}
    body = {"title": "disk full", "severity": "SEVERITY_HIGH"}
    first = command(place, "IncidentService/CreateIncident", body, headers=key)
    second = command(place, "IncidentService/CreateIncident", body, headers=key)
    assert second["repeated"] is True and "repeated" not in first
    assert all(first[field] == second[field] for field in ("aggregateId", "aggregateVersion", "sequence"))
    other = refused(command, place, "IncidentService/CreateIncident", {**body, "title": "another"}, headers=key)
    assert "Idempotency-Key" in other.message and other.status in (400, 409)
    third = command(place, "IncidentService/CreateIncident", body, headers={"Idempotency-Key": unique("key")})
    assert third["aggregateId"] != first["aggregateId"]
    # Another person's same key is another key.
    theirs = command(place, "IncidentService/CreateIncident", body, headers=key, token=place.responder)
    assert theirs["aggregateId"] != first["aggregateId"]
    assert refused(command, place, "IncidentService/CreateIncident", body, headers={"Idempotency-Key": "k" * 256}).code == "invalid_argument"
    many = {"Idempotency-Key": unique("many")}
    ids, threads = [], []
    for _ in range(12):
        threads.append(threading.Thread(target=lambda: ids.append(command(place, "IncidentService/CreateIncident", body, headers=many)["aggregateId"])))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert len(ids) == 12 and len(set(ids)) == 1


def test_idempotency_key_holds_over_a_kill(place):
    key = {"Idempotency-Key": unique("kill")}
    body = {"title": "kept", "severity": "SEVERITY_LOW"}
    first = command(place, "IncidentService/CreateIncident", body, headers=key)
    place.aggregator.kill()
    place.start_aggregator()
    second = command(place, "IncidentService/CreateIncident", body, headers=key)
    assert (second["aggregateId"], second["repeated"]) == (first["aggregateId"], True)


def test_incident_life(place):
    made = command(place, "IncidentService/CreateIncident", {"title": "checkout is slow", "severity": "SEVERITY_MEDIUM"})
    incident = made["aggregateId"]

    def tell(method, **body):
        return command(place, f"IncidentService/{method}", {"incidentId": incident, **body})

    def stands():
        return place.call(CORE + "IncidentService/GetIncident", {"incidentId": incident})["incident"]

    assert stands()["status"] == "INCIDENT_STATUS_OPEN"
    listed = eventually("it is listed", lambda: [one for one in place.call(CORE + "IncidentService/ListOpenIncidents", {"pageSize": 1000}).get("incidents", [])
                                                 if one["incidentId"] == incident])
    assert listed[0]["title"] == "checkout is slow"
    tell("AcknowledgeIncident", note="looking")
    tell("AssignIncident", assignedTo="kim")
    tell("ReclassifyIncidentSeverity", severity="SEVERITY_CRITICAL", reason="more regions")
    tell("AddIncidentTimelineEntry", text="rolled back")
    wrong = refused(tell, "CloseIncident")
    assert (wrong.status, wrong.code) == (400, "failed_precondition")
    tell("TransitionIncidentStatus", status="INCIDENT_STATUS_INVESTIGATING")
    tell("ResolveIncident", resolution="rolled back")
    eventually("it is not listed", lambda: not [one for one in place.call(CORE + "IncidentService/ListOpenIncidents", {"pageSize": 1000}).get("incidents", [])
                                                if one["incidentId"] == incident])
    tell("CloseIncident")
    now = stands()
    assert (now["status"], now["severity"], now["assignedTo"]) == ("INCIDENT_STATUS_CLOSED", "SEVERITY_CRITICAL", "kim")
    entries = place.call(CORE + "IncidentQueryService/GetIncidentTimeline", {"incidentId": incident})["entries"]
    assert [one for one in entries if one.get("text") == "rolled back"]
    facts = place.facts(aggregateType="incident", aggregateId=incident)
    assert [int(fact["subject"]["aggregateVersion"]) for fact in facts] == list(range(1, len(facts) + 1))
    assert int(now["version"]) == len(facts)


def test_open_incidents_in_pages(place):
    made = {command(place, "IncidentService/CreateIncident", {"title": f"page {i}", "severity": "SEVERITY_LOW"})["aggregateId"] for i in range(7)}

    def all_pages():
        found, token = [], ""
        while True:
            page = place.call(CORE + "IncidentService/ListOpenIncidents", {"pageSize": 3, "pageToken": token})
            assert len(page.get("incidents", [])) <= 3
            found += [one["incidentId"] for one in page.get("incidents", [])]
            token = page.get("nextPageToken", "")
            if not token:
                return found
    found = eventually("all are listed", lambda: (lambda ids: ids if made <= set(ids) else None)(all_pages()))
    assert len(found) == len(set(found))


def ingest(place, fingerprint, status="ALERT_STATUS_FIRING", **more):
    return command(place, "AlertService/IngestAlert", {
        "fingerprint": fingerprint, "name": "HighErrors", "severity": "SEVERITY_HIGH", "status": status, "source": "ALERT_SOURCE_CUSTOM",
        "startsAt": "2026-01-31T09:00:00Z", **more})


def test_a_list_of_large_ones_ends_its_page_by_their_bytes(place):
    annotations = {f"a{one}": "x" * 4000 for one in range(60)}
    made = {ingest(place, unique("large"), annotations=annotations, expiresAt=rfc3339(time.time() + 86400))["aggregateId"] for _ in range(40)}
    found, token, pages = [], "", 0
    while True:
        page = place.call(CORE + "AlertQueryService/ListActiveAlerts", {"pageSize": 1000, "pageToken": token})
        found += [one["alertId"] for one in page.get("alerts", [])]
        token, pages = page.get("nextPageToken", ""), pages + 1
        if not token:
            break
    assert made <= set(found) and len(found) == len(set(found)) and pages > 1, (len(found), pages)
    listed = place.ctl("get", "alerts", "-o", "name").stdout.split()
    assert {f"alert/{alert}" for alert in made} <= set(listed)
    for alert in made:
        ingest(place, alert.removeprefix("custom."), "ALERT_STATUS_RESOLVED")


def test_what_no_waiting_cures_is_not_to_be_tried_again(place):
    status, headers, body = raw(place, "POST", f"/{CORE}IncidentService/ListOpenIncidents", b"[" * 700_000, JSON)
    assert status == 413 and "retry-after" not in headers, (status, headers, body)


def get_alert(place, alert_id):
    return place.call(CORE + "AlertService/GetAlert", {"alertId": alert_id})["alert"]


def test_alert_life(place):
    fingerprint = unique("fp")
    later = rfc3339(time.time() + 3600)
    first = ingest(place, fingerprint, expiresAt=later)
    assert ingest(place, fingerprint, expiresAt=later)["repeated"] is True
    alert = first["aggregateId"]
    active = eventually("it is active", lambda: [one for one in place.call(CORE + "AlertQueryService/ListActiveAlerts", {"pageSize": 1000}).get("alerts", [])
                                                 if one["alertId"] == alert])
    assert active[0]["status"] == "ALERT_STATUS_FIRING"
    command(place, "AlertService/Acknowledge", {"alertId": alert})
    stands = get_alert(place, alert)
    assert (stands["status"], stands["acknowledgedBy"]) == ("ALERT_STATUS_ACKNOWLEDGED", "tests")
    ingest(place, fingerprint, "ALERT_STATUS_RESOLVED", endsAt="2026-01-31T10:00:00Z")
    assert get_alert(place, alert)["status"] == "ALERT_STATUS_RESOLVED"
    wrong = refused(command, place, "AlertService/Acknowledge", {"alertId": alert})
    assert (wrong.status, wrong.code) == (400, "failed_precondition")


def test_an_incident_and_its_alerts(place):
    alerts = [ingest(place, unique("tied"), expiresAt=rfc3339(time.time() + 3600))["aggregateId"] for _ in range(3)]
    incident = command(place, "IncidentService/CreateIncident",
                       {"title": "checkout is slow", "severity": "SEVERITY_HIGH", "alertIds": alerts[:1]})["aggregateId"]
    tie = {"incidentId": incident, "alertIds": alerts, "reason": "the same rack"}
    assert "repeated" not in command(place, "AlertService/CorrelateToIncident", tie)
    assert command(place, "AlertService/CorrelateToIncident", tie)["repeated"] is True
    assert [get_alert(place, alert)["incidentId"] for alert in alerts] == [incident] * 3
    assert place.call(CORE + "IncidentService/GetIncident", {"incidentId": incident})["incident"]["alertIds"] == alerts
    for alert in alerts:
        assert place.facts(aggregateType="alert", aggregateId=alert)[-1]["alertsCorrelated"]["incidentId"] == incident
    entries = place.call(CORE + "IncidentQueryService/GetIncidentTimeline", {"incidentId": incident})["entries"]
    assert [one["kind"] for one in entries] == ["TIMELINE_ENTRY_KIND_STATUS", "TIMELINE_ENTRY_KIND_ALERT"]
    assert entries[1]["text"] == f"2 alerts: {alerts[1]}, {alerts[2]}: the same rack"
    wrong = refused(command, place, "AlertService/CorrelateToIncident", {"incidentId": incident, "alertIds": ["custom.nowhere"]})
    assert wrong.code == "not_found" and "custom.nowhere" in wrong.message


def test_a_silence_ends_by_itself_and_is_taken_back(place):
    alert = ingest(place, unique("quiet"), expiresAt=rfc3339(time.time() + 3600))["aggregateId"]
    command(place, "AlertService/SilenceAlert", {"alertId": alert, "until": rfc3339(time.time() + 5), "reason": "maintenance"})
    assert any("alertSilenced" in fact for fact in place.facts(aggregateType="alert", aggregateId=alert))
    eventually("it sounds", lambda: get_alert(place, alert)["status"] == "ALERT_STATUS_FIRING")
    last = place.facts(aggregateType="alert", aggregateId=alert)[-1]["alertUnsilenced"]
    assert (last["endReason"], last["unsilencedBy"]) == ("ALERT_SILENCE_END_REASON_OVER", "picket-aggregator")
    command(place, "AlertService/SilenceAlert", {"alertId": alert, "until": rfc3339(time.time() + 600), "reason": "maintenance"})
    assert get_alert(place, alert)["status"] == "ALERT_STATUS_SILENCED"
    command(place, "AlertService/UnsilenceAlert", {"alertId": alert})
    assert get_alert(place, alert)["status"] == "ALERT_STATUS_FIRING"


def test_alerts_expire_by_themselves(place):
    soon, late = unique("soon"), unique("late")
    ends = ingest(place, soon, expiresAt=rfc3339(time.time() + 4))["aggregateId"]
    stays = ingest(place, late, expiresAt=rfc3339(time.time() + 3600))["aggregateId"]
    eventually("the alert has expired", lambda: get_alert(place, ends)["status"] == "ALERT_STATUS_RESOLVED")
    facts = place.facts(aggregateType="alert", aggregateId=ends)
    assert facts[-1]["alertExpired"]["reason"] == "ALERT_END_REASON_EXPIRED" and facts[-1]["alertExpired"]["from"] == "ALERT_STATUS_FIRING"
    assert get_alert(place, stays)["status"] == "ALERT_STATUS_FIRING"
    # It is the aggregator's own: nobody may ask for it, and what it asks for is in nobody's rejections.
    assert not [one for one in place.rejections() if one.get("aggregateId") in (ends, stays)]


def test_an_alert_that_expired_while_the_aggregator_was_away(place):
    ends = ingest(place, unique("away"), expiresAt=rfc3339(time.time() + 3))["aggregateId"]
    place.aggregator.terminate()
    time.sleep(3.5)
    place.start_aggregator()
    eventually("the alert has expired", lambda: get_alert(place, ends)["status"] == "ALERT_STATUS_RESOLVED")


# -- lists


def test_slos_in_pages(place):
    prefix = unique("list")
    made = [f"{prefix}-{i:02}" for i in range(11)]
    for i, slo_id in enumerate(made):
        command(place, "SLOService/CreateSLO", slo_body(slo_id, serviceId=f"{prefix}-{i % 2}"))

    def pages(size, **more):
        found, token = [], ""
        while True:
            page = place.call(CORE + "SLOService/ListSLOs", {"pageSize": size, "pageToken": token, **more})
            slos = [slo["sloId"] for slo in page.get("slos", [])]
            assert len(slos) <= size
            found += slos
            token = page.get("nextPageToken", "")
            if not token:
                return found
    for size in (1, 3, 4, 11, 1000):
        found = [slo_id for slo_id in pages(size) if slo_id.startswith(prefix)]
        assert found == made, size
    assert pages(3, serviceId=f"{prefix}-1") == made[1::2]
    assert refused(place.call, CORE + "SLOService/ListSLOs", {"pageSize": 1001}).code == "invalid_argument"
    assert refused(place.call, CORE + "SLOService/ListSLOs", {"pageSize": -1}).code == "invalid_argument"


def test_facts_are_gapless(place):
    slo_id = unique("facts")
    create_slo(place, slo_id)
    for target in (90, 91, 92):
        command(place, "SLOService/UpdateSLO", slo_body(slo_id, target=target))
    facts = place.facts(aggregateType="slo", aggregateId=slo_id)
    assert [fact["subject"]["aggregateVersion"] for fact in facts] == ["1", "2", "3", "4"]
    assert "sloCreated" in facts[0] and all("sloUpdated" in fact for fact in facts[1:])
    # Of all tenants, every sequence once.
    everything = [int(fact["sequence"]) for token in (place.token, place.other) for fact in facts_of(place, token)]
    assert sorted(everything) == list(range(1, len(everything) + 1))
    # In pieces of one, the same.
    piecewise, after = [], 0
    while True:
        page = place.call(CORE + "FactService/ListFacts", {"afterSequence": str(after), "limit": 1, "aggregateId": slo_id, "aggregateType": "slo"})
        piecewise += [fact["sequence"] for fact in page.get("facts", [])]
        if int(page["lastSequence"]) == after or int(page["lastSequence"]) >= int(page["newestSequence"]):
            break
        after = int(page["lastSequence"])
    assert piecewise == [fact["sequence"] for fact in facts]


def facts_of(place, token):
    found, after = [], 0
    while True:
        page = place.call(CORE + "FactService/ListFacts", {"afterSequence": str(after), "limit": 1000}, token=token)
        found += page.get("facts", [])
        after = int(page.get("lastSequence", 0))
        if after >= int(page.get("newestSequence", 0)):
            return found


def test_a_fact_leads_back_to_its_command(place):
    slo_id = unique("trace")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    made = create_slo(place, slo_id, headers={"traceparent": trace, "tracestate": "vendor=abc"})
    meta = place.facts(aggregateType="slo", aggregateId=slo_id)[0]["meta"]
    assert (meta["causationId"], meta["traceparent"], meta["producer"]) == (made["messageId"], trace, "tests")
    assert meta["tracestate"] == "vendor=abc"


def test_published_facts_carry_the_trace(place):
    slo_id, plain = unique("published"), unique("untraced")
    trace = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
    listener = subprocess.Popen(
        ["stdbuf", "-oL", "mosquitto_sub", "-V", "5", "-d", "-h", "127.0.0.1", "-p", str(place.mqtt_port), "--cafile", place.pki / "ca.crt",
         "--cert", place.pki / "reader.crt", "--key", place.pki / "reader.key", "-q", "1", "-t", "sre.domain.facts.v1/demo/slo/+", "-F", "fact %t %P"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    threading.Thread(target=lambda: lines.extend(listener.stdout), daemon=True).start()

    def facts_about(subject):
        return [line for line in lines if line.startswith("fact ") and subject in line]
    try:
        eventually("it has subscribed", lambda: any("SUBACK" in line for line in lines))
        create_slo(place, plain)
        create_slo(place, slo_id, headers={"traceparent": trace})
        eventually("both were published", lambda: facts_about(plain) and facts_about(slo_id))
    finally:
        listener.terminate()
        listener.wait()
    traced = facts_about(slo_id)[0]
    assert trace in traced and "traceparent" in traced and "tenant_id" in traced and "schema_version" in traced
    assert "traceparent" not in facts_about(plain)[0]


# -- what was refused


def rejection_of(place, aggregate_id):
    return next(one for one in place.rejections() if one.get("aggregateId") == aggregate_id)


def test_rejections_are_listed_whole_and_in_pages(place):
    ids = [unique("rejected") for _ in range(5)]
    for slo_id in ids:
        refused(command, place, "SLOService/UpdateSLO", slo_body(slo_id))
    listed = [one for one in place.rejections() if one.get("aggregateId") in ids]
    assert [one["aggregateId"] for one in listed] == ids[::-1]  # newest first
    assert all(one["code"] == "absent" and one["aggregateType"] == "slo" and one["intentType"] == "update_slo" and "payload" not in one
               for one in listed), listed[0]
    whole = place.call(CORE + "RejectionService/GetRejection", {"rejectionId": listed[0]["rejectionId"]})["rejection"]
    assert ids[-1].encode() in base64.b64decode(whole["payload"])
    found, token = [], ""
    while True:
        page = place.call(CORE + "RejectionService/ListRejections", {"pageSize": 2, "pageToken": token, "code": "absent"})
        found += [one["rejectionId"] for one in page.get("rejections", [])]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert len(found) == len(set(found)) and {one["rejectionId"] for one in listed} <= set(found)
    assert found == sorted(found, key=int, reverse=True)
    for token in ("x", "-1", "9" * 30):
        assert refused(place.call, CORE + "RejectionService/ListRejections", {"pageToken": token}).code == "invalid_argument", token
    assert refused(place.call, CORE + "RejectionService/GetRejection", {"rejectionId": "99999999"}).status == 404


def test_a_rejection_is_replayed(place):
    slo_id = unique("replay")
    refused(command, place, "SLOService/UpdateSLO", slo_body(slo_id, target=97))
    one = rejection_of(place, slo_id)
    count = len([x for x in place.rejections() if x.get("aggregateId") == slo_id])
    again = place.call(CORE + "RejectionService/ReplayRejection", {"rejectionId": one["rejectionId"]})
    assert not again.get("accepted") and slo_id in again["reason"], again
    assert len([x for x in place.rejections() if x.get("aggregateId") == slo_id]) == count, "a replay that is refused is not listed once more"
    create_slo(place, slo_id)
    done = place.call(CORE + "RejectionService/ReplayRejection", {"rejectionId": one["rejectionId"]})
    assert (done["accepted"], done["aggregateId"], done["aggregateVersion"]) == (True, slo_id, "2"), done
    assert get_slo(place, slo_id)["target"] == 97
    assert not [x for x in place.rejections() if x["rejectionId"] == one["rejectionId"]]
    everything = place.call(CORE + "RejectionService/ListRejections", {"includeReplayed": True, "pageSize": 1000})["rejections"]
    kept = next(x for x in everything if x["rejectionId"] == one["rejectionId"])
    assert kept["replayedBy"] == "tests" and kept["replayedAt"]
    # Once more has no effect: the command is done.
    command(place, "SLOService/UpdateSLO", slo_body(slo_id, target=50))
    twice = refused(place.call, CORE + "RejectionService/ReplayRejection", {"rejectionId": one["rejectionId"]})
    assert twice.code == "failed_precondition" and "tests" in twice.message
    assert get_slo(place, slo_id)["target"] == 50
    assert refused(place.call, CORE + "RejectionService/ReplayRejection", {"rejectionId": "99999999"}).status == 404
    assert refused(place.call, CORE + "RejectionService/ReplayRejection", {"rejectionId": one["rejectionId"]}, token=place.responder).status == 403


# -- other codecs and verbs


def test_connect_get(place):
    slo_id = unique("get")
    create_slo(place, slo_id)
    message = json.dumps({"sloId": slo_id})
    path = f"/{CORE}SLOService/GetSLO?connect=v1&encoding=json&message="
    status, headers, body = raw(place, "GET", path + urllib.parse.quote(message))
    assert status == 200 and json.loads(body)["slo"]["sloId"] == slo_id and headers["content-type"] == "application/json"
    encoded = base64.urlsafe_b64encode(message.encode()).decode().rstrip("=")
    status, _, body = raw(place, "GET", path + encoded + "&base64=1")
    assert status == 200 and json.loads(body)["slo"]["sloId"] == slo_id
    for query, expected in (("encoding=json&message=%7B&connect=v1", 400), ("encoding=xml&message=x", 415), ("encoding=json&base64=1&message=!!", 400),
                            ("encoding=json&connect=v2&message=%7B%7D", 400), ("encoding=json&compression=gzip&message=x", 501)):
        assert raw(place, "GET", f"/{CORE}SLOService/GetSLO?{query}")[0] == expected, query
    assert raw(place, "GET", path + urllib.parse.quote(message), token=place.other)[0] == 404
    assert raw(place, "GET", path + urllib.parse.quote(message), token="")[0] == 401


def test_protobuf_bodies(place, contract):
    commands, sre = contract("core.v1.commands"), contract("core.v1.facts")
    assert sre
    slo_id = unique("proto")
    request = commands.CreateSLORequest()
    command_ = request.command
    command_.slo_id, command_.name, command_.target, command_.window = slo_id, slo_id, 99.5, 3
    command_.sli_spec.counter_ratio.good_selector, command_.sli_spec.counter_ratio.total_selector = "ok_total", "all_total"
    command_.sli_spec.window_seconds = 60
    kind = {"Content-Type": "application/proto"}
    status, headers, body = raw(place, "POST", f"/{CORE}SLOService/CreateSLO", request.SerializeToString(), kind)
    assert status == 200, body
    assert headers["content-type"] == "application/proto"
    made = commands.CreateSLOResponse.FromString(body).outcome
    assert (made.aggregate_id, made.aggregate_version) == (slo_id, 1)
    ask = commands.GetSLORequest(slo_id=slo_id).SerializeToString()
    status, _, body = raw(place, "POST", f"/{CORE}SLOService/GetSLO", ask, kind)
    slo = commands.GetSLOResponse.FromString(body).slo
    assert (status, slo.slo_id, slo.target, slo.sli_spec) == (200, slo_id, 99.5, command_.sli_spec)
    encoded = base64.urlsafe_b64encode(ask).decode()
    status, headers, again = raw(place, "GET", f"/{CORE}SLOService/GetSLO?connect=v1&encoding=proto&base64=1&message={encoded}")
    assert (status, again, headers["content-type"]) == (200, body, "application/proto")
    # Errors are JSON, whatever was sent.
    for wrong in (b"\xff\xff\xff", commands.GetSLORequest(slo_id="a b").SerializeToString(), b""):
        status, headers, body = raw(place, "POST", f"/{CORE}SLOService/GetSLO", wrong, kind)
        assert (status, headers["content-type"], json.loads(body)["code"]) == (400, "application/json", "invalid_argument"), wrong


def test_json_and_protobuf_say_the_same(place, contract):
    from google.protobuf import json_format
    commands = contract("core.v1.commands")
    slo_id = unique("same")
    create_slo(place, slo_id)
    status, _, body = raw(place, "POST", f"/{CORE}SLOService/GetSLO", commands.GetSLORequest(slo_id=slo_id).SerializeToString(), {"Content-Type": "application/proto"})
    assert status == 200
    assert json_format.MessageToDict(commands.GetSLOResponse.FromString(body)) == place.call(CORE + "SLOService/GetSLO", {"sloId": slo_id})


# -- streams


class Stream:
    """A subscriber to /events: (id, event, data) as they come."""

    def __init__(self, place, after=None, token=None, query=""):
        self.connection = http.client.HTTPConnection("127.0.0.1", place.http_port, timeout=30)
        headers = {"Authorization": f"Bearer {token or place.token}", "Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        self.connection.request("GET", "/events" + query, headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.getheader("Content-Type").startswith("text/event-stream")
        self.events, self.comments, self.ended = [], [], False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        event = {}
        try:
            for line in self.answer:
                line = line.decode().rstrip("\n")
                if not line:
                    if "data" in event:
                        self.events.append((int(event["id"]), event.get("event"), json.loads(event["data"])))
                    event = {}
                elif line.startswith(":"):
                    self.comments.append((line, event.get("id")))
                else:
                    key, _, value = line.partition(": ")
                    event[key] = value
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass
        self.ended = True

    def close(self):
        self.connection.sock and self.connection.sock.shutdown(2)
        self.connection.close()


def test_events_come_and_resume(place):
    stream = Stream(place)
    ids = [unique("event") for _ in range(6)]
    for slo_id in ids[:3]:
        create_slo(place, slo_id)
    create_slo(place, ids[0], token=place.other)

    def seen(one, wanted):
        return [event for event in one.events if event[2]["subject"]["aggregateId"] in wanted]
    eventually("three events came", lambda: len(seen(stream, ids)) == 3)
    first = seen(stream, ids)
    assert [event[2]["subject"]["aggregateId"] for event in first] == ids[:3]
    assert all(name == "slo_created" and int(data["sequence"]) == number for number, name, data in first)
    stream.close()
    for slo_id in ids[3:]:
        create_slo(place, slo_id)
    resumed = Stream(place, after=first[0][0])
    eventually("the rest came", lambda: len(seen(resumed, ids)) == 5)
    assert [event[2]["subject"]["aggregateId"] for event in seen(resumed, ids)] == ids[1:]
    assert {event[2]["meta"]["tenantId"] for event in resumed.events} == {"demo"}, "another tenant's facts came along"
    resumed.close()
    theirs = Stream(place, after=first[0][0], token=place.other)
    eventually("theirs came", lambda: len(theirs.events) >= 1)
    assert {event[2]["meta"]["tenantId"] for event in theirs.events} == {"other"}
    theirs.close()


def test_events_by_type_and_bad_positions(place):
    only = Stream(place, query="?types=incident_created,slo_updated")
    slo_id = unique("typed")
    create_slo(place, slo_id)
    command(place, "SLOService/UpdateSLO", slo_body(slo_id, target=91))
    command(place, "IncidentService/CreateIncident", {"title": "typed", "severity": "SEVERITY_LOW"})
    eventually("both came", lambda: len(only.events) >= 2)
    assert [event[1] for event in only.events] == ["slo_updated", "incident_created"]
    only.close()
    for position in ("x", "-1", "1.5", "9" * 25):
        status, _, body = raw(place, "GET", "/events", headers={"Last-Event-ID": position})
        assert status == 400 and b"Last-Event-ID" in body, position
    assert raw(place, "GET", "/events", token="")[0] == 401


def test_events_over_a_restart_miss_nothing(place):
    stream = Stream(place)
    first = create_slo(place, unique("before"))
    eventually("it came", lambda: stream.events and stream.events[-1][0] >= int(first["sequence"]))
    position = stream.events[-1][0]
    place.aggregator.kill()
    eventually("the stream ended", lambda: stream.ended)
    place.start_aggregator()
    made = [create_slo(place, unique("after"))["sequence"] for _ in range(3)]
    resumed = Stream(place, after=position)
    eventually("they came", lambda: [str(event[0]) for event in resumed.events] == made)
    resumed.close()


def test_heartbeats_carry_the_position(place):
    made = create_slo(place, unique("beat"))
    stream = Stream(place)
    beat = eventually("a heartbeat came", lambda: [one for one in stream.comments if "heartbeat" in one[0]])
    assert int(beat[0][1]) >= int(made["sequence"])
    stream.close()


def test_many_subscribers_come_and_go(place):
    for _ in range(3):
        streams = [Stream(place) for _ in range(20)]
        made = create_slo(place, unique("many"))
        for stream in streams:
            eventually("it came", lambda one=stream: one.events and one.events[-1][0] == int(made["sequence"]))
            stream.close()
    assert raw(place, "GET", "/healthz")[0] == 200


# -- pages


def test_openapi_is_well_formed(place):
    status, headers, body = raw(place, "GET", "/openapi.json", token="")
    assert status == 200 and headers["content-type"].startswith("application/json")
    document = json.loads(body)
    assert document["openapi"].startswith("3.1") and document["info"]["title"] and document["info"]["version"]
    assert f"/{CORE}SLOService/GetSLO" in document["paths"]

    def references(node):
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "$ref":
                    yield value
                else:
                    yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)
    for reference in set(references(document)):
        at = document
        for part in reference.removeprefix("#/").split("/"):
            assert part in at, reference
            at = at[part]


def test_metrics_parse(place):
    create_slo(place, unique("metrics"))
    status, headers, body = raw(place, "GET", "/metrics", token="")
    assert status == 200 and headers["content-type"].startswith("text/plain")
    typed, seen = {}, set()
    for line in body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in typed, f"{name} has two types"
            typed[name] = kind
        elif not line.startswith("#"):
            match = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_]+="(?:[^"\\]|\\.)*"(?:,[a-zA-Z_]+="(?:[^"\\]|\\.)*")*,?\})? (-?[0-9.eE+-]+|[+-]Inf|NaN)', line)
            assert match, line
            base = re.sub(r"_(bucket|sum|count)$", "", match.group(1))
            assert match.group(1) in typed or base in typed, line
            assert (match.group(1), match.group(2)) not in seen, f"twice: {line}"
            seen.add((match.group(1), match.group(2)))
    assert place.metric("picket_http_requests_total", method="SLOService/CreateSLO", code="200") >= 1
    assert place.metric("picket_http_request_duration_seconds_count", method="SLOService/CreateSLO") >= 1


def test_not_ready_while_the_broker_is_away(place):
    assert place.get("/readyz")[0] == 200
    place.broker.terminate()

    def says_why():
        status, body = place.get("/readyz")
        return status == 503 and "broker" in body
    eventually("not ready, and says why", says_why)
    assert raw(place, "GET", "/healthz")[0] == 200
    made = create_slo(place, unique("away"))  # commands go on without it
    assert made["aggregateVersion"] == "1"
    place.start_broker()
    eventually("ready again", lambda: place.get("/readyz")[0] == 200)


def test_head_and_kept_connections(place):
    connection = http.client.HTTPConnection("127.0.0.1", place.http_port, timeout=10)
    headers = {"Authorization": f"Bearer {place.token}", **JSON}
    for i in range(50):
        verb = ("HEAD", "GET", "POST")[i % 3]
        connection.request(verb, "/healthz" if verb != "POST" else f"/{CORE}SLOService/ListSLOs", b"{}" if verb == "POST" else None, headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200 and (body == b"") == (verb == "HEAD")
    connection.close()


def test_ends_within_seconds_with_streams_open(place):
    streams = [Stream(place) for _ in range(5)]
    begun = time.monotonic()
    assert place.aggregator.terminate() == 0
    assert time.monotonic() - begun < 30
    for stream in streams:
        eventually("the stream ended", lambda one=stream: one.ended)
    place.start_aggregator()


def test_stopping_answers_what_it_has_taken(place):
    """What was answered with success is there afterwards; what was told that the server stops is not."""
    for _ in range(3):
        done, told, stop = [], [], threading.Event()

        def commands(lane):
            n = 0
            while not stop.is_set():
                n += 1
                incident = unique(f"stop-{lane}-{n}")
                try:
                    command(place, "IncidentService/CreateIncident", {"incidentId": incident, "title": "t", "severity": "SEVERITY_LOW"})
                    done.append(incident)
                except ApiError as reason:
                    told.append((incident, reason.status))
                except (OSError, http.client.HTTPException):
                    stop.wait(0.01)
        threads = [threading.Thread(target=commands, args=(lane,)) for lane in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        eventually("some were answered", lambda: len(done) > 10)
        assert place.aggregator.terminate() == 0
        stop.set()
        for thread in threads:
            thread.join()
        place.start_aggregator()
        there = {fact["subject"]["aggregateId"] for fact in place.facts(aggregateType="incident")}
        assert len(done) > 10 and set(done) <= there
        assert {status for _, status in told} <= {503}
        assert not {incident for incident, _ in told} & there
