# SPDX-License-Identifier: Apache-2.0
"""Every verb of picketctl against the real aggregator, as a responder would type them: lines, tables, JSON, refusals."""
import json
import re
import subprocess
import sys
import time
import uuid

import pytest

from harness import BIN, Place, eventually, rfc3339
from test_bad_input import TOPIC, intent


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("verbs"))
    made.viewer = made.make_token("looker", "viewer")
    made.approver = made.make_token("approver", "approver")
    made.start()
    yield made
    made.close()


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def said(place, *words, **more):
    return place.ctl(*words, **more).stdout


def refused(place, code, *words, **more):
    ran = place.ctl(*words, check=False, **more)
    assert ran.returncode == code, f"{words}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran.stderr


def object_of(place, *words):
    return json.loads(said(place, *words, "-o", "json"))


def incident(place, **more):
    """A new one; its id."""
    name = unique("inc")
    line = said(place, "create", "incident", "Checkout", "is", "down", "--severity", "high", "--id", name)
    assert line == f"incident {name} created (version 1)\n"
    return name


def alert(place, name="Slow"):
    line = said(place, "create", "alert", uuid.uuid4().hex, "--name", name, "--severity", "high", "--label", "job=checkout")
    return re.fullmatch(r"alert (\S+) ingested \(version 1\)\n", line).group(1)


def test_an_incident_from_its_opening_to_its_closing(place):
    name = incident(place)
    assert said(place, "ack", "incident", name, "--note", "on it") == f"incident {name} acknowledged (version 2)\n"
    assert said(place, "ack", "incident", name) == f"incident {name} unchanged (version 2)\n"
    assert said(place, "assign", name, "anna") == f"incident {name} assigned (version 3)\n"
    assert said(place, "severity", name, "critical", "--reason", "payments too") == f"incident {name} reclassified (version 4)\n"
    assert said(place, "note", f"incident/{name}", "the", "pool", "is", "empty", "--kind", "finding", "--link",
                "https://grafana.example/d/1", "--at", "5m") == f"incident {name} noted (version 5)\n"
    assert said(place, "move", "incident", name, "investigating") == f"incident {name} moved (version 6)\n"
    assert said(place, "unassign", name, "--reason", "shift ends") == f"incident {name} given back (version 7)\n"
    row = said(place, "get", "incident", name).splitlines()
    assert row[0].split() == ["ID", "SEVERITY", "STATUS", "ASSIGNED", "OPENED", "TITLE"]
    assert row[1].split()[:4] == [name, "critical", "investigating", "-"] and row[1].endswith("Checkout is down")
    assert "VERSION" in said(place, "get", "incident", name, "-o", "wide")
    assert f"incident/{name}\n" in said(place, "get", "incidents", "-o", "name")
    assert said(place, "resolve", name, "raised", "it", "--root-cause", "a limit") == f"incident {name} resolved (version 8)\n"
    assert said(place, "close", name) == f"incident {name} closed (version 9)\n"
    page = said(place, "describe", "incident", name)
    for part in ("Status:              closed", "Severity:            critical", "Resolution:          raised it", "Timeline:",
                 "finding", "the pool is empty", "Root cause:          a limit"):
        assert part in page, page
    assert object_of(place, "describe", "incident", name)["kind"] == "Incident"


def test_what_the_state_does_not_allow_is_refused_with_advice(place):
    name = incident(place)
    wrong = refused(place, 1, "close", name)
    assert "failed_precondition" in wrong and "picketctl describe" in wrong
    wrong = refused(place, 1, "ack", "incident", name, "--expected-version", "9")
    assert "failed_precondition" in wrong and "version" in wrong
    assert "not_found" in refused(place, 5, "ack", "incident", "nobody")
    assert "permission_denied" in refused(place, 4, "ack", "incident", name, token=place.viewer)
    assert "is not one of open, acknowledged" in refused(place, 2, "move", "incident", name, "sideways")
    assert "is the aggregator running there?" in refused(place, 3, "ack", "incident", name, url="http://127.0.0.1:1")
    assert object_of(place, "get", "incident", name)["version"] == "1"


def test_a_key_makes_a_repeat_harmless_and_a_dry_run_sends_nothing(place):
    name = incident(place)
    words = ("note", name, "once", "--idempotency-key", unique("key"))
    assert said(place, *words) == f"incident {name} noted (version 2)\n"
    assert said(place, *words) == f"incident {name} unchanged (version 2)\n"
    shown = said(place, "note", name, "never", "--dry-run", "--idempotency-key", "k")
    assert shown.startswith("---\n# POST /ameide_core_proto.sre.core.v1.IncidentService/AddIncidentTimelineEntry\n# Idempotency-Key: k\n")
    request = json.loads(said(place, "note", name, "never", "--dry-run", "-o", "json"))
    assert request["request"]["command"]["text"] == "never" and "version" not in request
    assert object_of(place, "get", "incident", name)["version"] == "2"


def test_alerts_are_acknowledged_silenced_and_tied_to_an_incident(place):
    one, two, name = alert(place), alert(place, "Down"), incident(place)
    assert said(place, "ack", "alert", one, "--note", "seen") == f"alert {one} acknowledged (version 2)\n"
    assert said(place, "silence", two, "--for", "2h", "--reason", "known") == f"alert {two} silenced (version 2)\n"
    assert "silenced" in said(place, "get", "alert", two)
    assert said(place, "unsilence", two) == f"alert {two} unsilenced (version 3)\n"
    assert said(place, "correlate", name, one, two, "--reason", "one cause").startswith(f"incident {name} correlated (version ")
    assert object_of(place, "get", "alert", one)["incidentId"] == name
    page = said(place, "describe", "incident", name)
    assert "Alert ids:" in page and "acknowledged" in page and "Down" in page, page
    assert "--reason is missing" in refused(place, 2, "silence", two, "--for", "2h")
    answer = json.loads(said(place, "unsilence", two, "-o", "json"))
    assert answer["outcome"]["aggregateId"] == two and answer["alert"]["alertId"] == two


def test_a_verb_says_how_it_is_used_where_it_does_not_know_on_what(place):
    assert "of what kind is 'x81315'?\n  picketctl ack incident x81315\n" in place.ctl("ack", "x81315", check=False).stderr
    ran = place.ctl("delete", "incident", "x", check=False)
    assert ran.returncode == 2 and "delete: it does not work on incidents, but so:\n  picketctl delete service ID\n" in ran.stderr


def test_nothing_that_describe_shows_turns_the_line(place):
    name = unique("turned")
    place.ctl("apply", "-f", "-", stdin=json.dumps({"kind": "Service", "serviceId": name, "name": "N", "labels": {"a": "x\u202ey"}}))
    page = place.ctl("describe", "service", name).stdout
    assert "\u202e" not in page and "x\ufffdy" in page


def test_services_need_one_another_and_are_drawn_as_a_tree(place):
    db, api, shop = unique("db"), unique("api"), unique("shop")
    assert said(place, "create", "service", db, "--name", "Database", "--owner", "team-data") == f"service {db} created (version 1)\n"
    said(place, "create", "service", api, "--name", "Api", "--depends-on", db, "--tier", "high")
    said(place, "create", "service", shop, "--name", "Shop", "--depends-on", api, "--depends-on", db, "--label", "app=shop",
         "--resource", "node/edge-1", "--on-call", "pagerduty:PI7DH85", "--tag", "go")
    page = said(place, "describe", "service", shop)
    assert f"├─ {api}" in page and f"│  └─ {db}  of team-data" in page and f"  └─ {db}" in page, page
    wrong = refused(place, 1, "delete", "service", db)
    assert api in wrong and shop in wrong
    assert said(place, "delete", "service", shop) == f"service {shop} deleted (version 2)\n"
    assert refused(place, 5, "get", "service", shop)
    assert re.search(rf"^{api} +high +- +- +1 +Api$", said(place, "get", "services"), re.M)


def test_apply_creates_configures_and_leaves_alone(place, tmp_path):
    a, b, book, slo = unique("a"), unique("b"), unique("book"), unique("slo")
    file = tmp_path / "all.yaml"
    text = f"""kind: Service
id: {a}
name: A
dependencies: [{{service_id: {b}, critical: true}}]
---
kind: Service
service_id: {b}
name: B
dependencies: [{{service_id: {a}}}]
---
kind: Runbook
id: {book}
title: Restart
steps:
  - {{title: Do it, command: systemctl restart x}}
---
{{"kind": "SLO", "sloId": "{slo}", "name": "S", "target": 99.5, "window": "SLO_WINDOW_7D",
 "sliSpec": {{"counterRatio": {{"goodSelector": "g", "totalSelector": "t"}}}}}}
"""
    file.write_text(text)
    shown = said(place, "apply", "-f", file, "--dry-run")
    assert f"Service {a} created (dry run)\n" in shown and f"SLO {slo} created (dry run)\n" in shown
    assert refused(place, 5, "get", "service", a)
    first = said(place, "apply", "-f", file)
    assert [line.split(" (")[0] for line in first.splitlines()] == [f"Service {a} created", f"Service {b} created",
                                                                    f"Runbook {book} created", f"SLO {slo} created"]
    again = said(place, "apply", "-f", file)
    assert [line.split(" (")[0].split()[-1] for line in again.splitlines()] == ["unchanged"] * 4, again
    file.write_text(text.replace("name: B", "name: Bee"))
    changes = [json.loads(line) for line in said(place, "apply", "-f", file, "-o", "json").splitlines()]
    assert [one["change"] for one in changes] == ["unchanged", "configured", "unchanged", "unchanged"]
    assert said(place, "get", "service", b).splitlines()[1].endswith("Bee")
    page = said(place, "describe", "service", a)
    assert "(again: a circle)" in page and "(critical)" in page, page
    page = said(place, "describe", "runbook", book)
    assert "Steps:" in page and "Do it" in page and "command" in page


def test_what_was_read_can_be_edited_and_applied_unless_it_changed_meanwhile(place, tmp_path):
    slo = unique("slo")
    said(place, "create", "slo", slo, "--name", "S", "--target", "99", "--good", 'g{a="b"}', "--total", "t")
    file = tmp_path / "slo.yaml"
    file.write_text(said(place, "get", "slo", slo, "-o", "yaml").replace("target: 99.0", "target: 99.5"))
    assert said(place, "apply", "-f", file) == f"SLO {slo} configured (version 2)\n"
    file.write_text(file.read_text().replace("target: 99.5", "target: 99.9"))
    wrong = refused(place, 1, "apply", "-f", file)
    assert "failed_precondition" in wrong and f"SLO {slo}" in wrong
    assert object_of(place, "get", "slo", slo)["target"] == 99.5
    assert "unknown" in said(place, "describe", "slo", slo)


def test_what_get_prints_of_each_kind_is_what_apply_takes(place):
    name = incident(place)
    said(place, "ack", "incident", name)
    book, service, first, second = unique("book"), unique("svc"), unique("pm"), unique("pm")
    said(place, "create", "runbook", book, "--title", "B")
    said(place, "create", "service", service, "--name", "S")
    said(place, "create", "postmortem", "P", "--id", first, "--summary", "s", "--impact", "i", "--root-cause", "r", "--incident", name)
    said(place, "review", first)
    said(place, "publish", first)
    document = f"kind: Postmortem\nid: {second}\ntitle: P again\nrevises: {first}\n"
    assert said(place, "apply", "-f", "-", stdin=document) == f"Postmortem {second} created (version 1)\n"
    assert object_of(place, "get", "postmortem", second)["revises"] == first
    for kind, what in (("incident", name), ("runbook", book), ("service", service), ("postmortem", second)):
        for output in ("yaml", "json"):
            shown = said(place, "get", kind, what, "-o", output)
            assert " unchanged (version " in said(place, "apply", "-f", "-", stdin=shown), shown


def test_apply_of_a_wrong_file_changes_nothing(place, tmp_path):
    good = unique("good")
    file = tmp_path / "wrong.yaml"
    file.write_text(f"kind: Service\nid: {good}\nname: G\n---\nkind: Service\nid: x\nnmae: X\n---\nkind: Thing\n")
    wrong = refused(place, 2, "apply", "-f", file)
    assert f"{file}:5: Service: nmae" in wrong and f"{file}:9: kind 'Thing' is unknown" in wrong
    assert refused(place, 5, "get", "service", good)
    file.write_text(f"kind: Service\nid: {good}\nname: G\ndependencies: [{{service_id: nowhere}}]\n")
    assert "nowhere" in refused(place, 5, "apply", "-f", file)


def test_a_postmortem_from_draft_to_publication(place, tmp_path):
    name, about = unique("pm"), incident(place)
    line = said(place, "create", "postmortem", "Down", "for", "ten", "minutes", "--id", name, "--incident", about, "--severity",
                "high", "--summary", "It was down.", "--factor", "no alert", "--author", "anna")
    assert line == f"postmortem {name} created (version 1)\n"
    assert said(place, "review", name) == f"postmortem {name} put to review (version 2)\n"
    assert said(place, "move", "postmortem", name, "draft", "--reason", "not yet") == f"postmortem {name} moved (version 3)\n"
    file = tmp_path / "pm.yaml"
    file.write_text(said(place, "get", "postmortem", name, "-o", "yaml") +
                    "impact: Nobody could buy.\nrootCause: A limit.\nactionItems: [{title: Raise it, owner: anna}]\n")
    assert said(place, "apply", "-f", file) == f"Postmortem {name} configured (version 4)\n"
    said(place, "review", name)
    assert said(place, "publish", name) == f"postmortem {name} published (version 6)\n"
    file.write_text(re.sub(r"(?m)^version:.*\n", "", file.read_text()).replace("Nobody", "Somebody"))
    assert "failed_precondition" in refused(place, 1, "apply", "-f", file)
    page = said(place, "describe", "postmortem", name)
    for part in ("published", "Action items:", "Raise it", "Incident ids:", about):
        assert part in page, page
    fixed = unique("pm")
    assert said(place, "create", "postmortem", "Corrected", "--id", fixed, "--revises", name).startswith(f"postmortem {fixed} created")
    assert object_of(place, "get", "postmortem", fixed)["revision"] == 2
    assert name in said(place, "get", "postmortems")


def test_a_runbook_is_executed_with_an_approval(place):
    book, about, run, other = unique("book"), incident(place), unique("run"), unique("run")
    document = (f"kind: Runbook\nid: {book}\ntitle: Restart\napproval_required: true\nsteps:\n"
                "  - {step_id: drain, title: Drain, command: drain x}\n  - {step_id: tell, title: Tell people}\n")
    said(place, "apply", "-f", "-", stdin=document)
    line = said(place, "execute", book, "--id", run, "--incident", about, "--parameter", "region=eu", "--reason", "it hangs")
    assert line == f"execution {run} asked for (version 1)\n"
    assert re.search(rf"^{run} +{book} +awaiting_approval +{about} ", said(place, "get", "executions"), re.M)
    assert "failed_precondition" in refused(place, 1, "step", run, "drain", "succeeded")
    assert "permission_denied" in refused(place, 4, "approve", run)  # by who asked for it
    assert said(place, "approve", run, "--reason", "go", token=place.approver) == f"execution {run} approved (version 2)\n"
    assert said(place, "step", run, "drain", "succeeded", "--output-text", "drained") == f"execution {run} told of the step (version 3)\n"
    said(place, "step", run, "tell", "succeeded")
    assert said(place, "complete", run, "succeeded", "--reason", "well") == f"execution {run} completed (version 5)\n"
    page = said(place, "describe", "execution", run)
    for part in ("succeeded", "Plan:", "Drain", "drained", "Approved by:"):
        assert part in page, page
    said(place, "execute", book, "--id", other)
    assert "--reason is missing" in refused(place, 2, "reject", other, token=place.approver)
    assert said(place, "reject", other, "--reason", "not now", token=place.approver) == f"execution {other} rejected (version 2)\n"
    assert other not in said(place, "get", "executions")


def test_a_fleet_state_is_recorded_and_got(place):
    environment = unique("env")
    def record(at, cluster):
        document = (f"kind: FleetState\nenvironment_id: {environment}\ncluster_id: {cluster}\ntimestamp: {at}\n"
                    "total_applications: 3\nhealthy_count: 2\ndegraded_count: 1\nsource: HEALTH_SOURCE_ARGOCD\n")
        assert said(place, "create", "-f", "-", stdin=document).startswith("FleetState ")

    def row(cluster):
        return said(place, "get", "fleetstate", environment, "-w", f"clusterId={cluster}").splitlines()[1]

    record(rfc3339(int(time.time())), "c1")
    assert row("c1").split()[:2] == [environment, "c1"] and row("c1").split()[-8:] == ["3", "2", "1", "0", "0", "0", "0", "0"]
    assert "OVER" not in row("c1")
    record("2020-01-31T09:30:00Z", "c2")  # nobody has looked since
    assert "OVER since 2020-01-31 10:30:00Z" in row("c2") and row("c2").split()[-8:] == ["3", "0", "0", "0", "0", "0", "3", "0"]
    assert "cannot be listed" in refused(place, 2, "get", "fleetstates")


def test_a_rejection_is_refused_again_until_what_was_wrong_is_right(place):
    missing = unique("slo")
    place.publish("integration", TOPIC, intent(slo_id=missing))
    number = eventually("it is in the list", lambda: [row.split()[0] for row in said(place, "get", "rejections").splitlines() if missing in row])[0]
    wrong = refused(place, 1, "replay", number)
    assert "is refused again" in wrong and missing in wrong and f"picketctl describe rejection {number}" in wrong
    said(place, "apply", "-f", "-", stdin=f"kind: SLO\nid: {missing}\nname: S\ntarget: 99\nwindow: SLO_WINDOW_7D\nsli_spec: "
         "{counter_ratio: {good_selector: g, total_selector: t}, window_seconds: 1}\n")
    assert said(place, "replay", f"rejection/{number}").startswith(f"rejection {number} replayed: {missing} is at version ")
    assert "not_found" in refused(place, 5, "replay", "999999")


def test_health_is_recorded_and_listed(place):
    name = unique("hc")
    line = said(place, "create", "healthcheck", name, "--resource", "node/edge-1", "--status", "degraded", "--message", "slow disk",
                "--for", "1h")
    assert line == f"healthcheck {name} recorded (version 1)\n"
    # A projection shelves it a moment after it was answered, and later on a machine that has much to do.
    eventually("it can be asked for", lambda: place.ctl("get", "healthcheck", name, check=False).returncode == 0)
    assert "degraded" in said(place, "get", "healthcheck", name) and "slow disk" in said(place, "describe", "hc", name)


def test_every_list_is_a_table_json_yaml_and_names(place):
    incident(place)
    for resource in ("incidents", "alerts", "slos", "runbooks", "executions", "services", "postmortems", "agents", "rejections",
                     "health", "fleet"):
        for output in ("table", "wide", "name", "json", "yaml"):
            ran = place.ctl("get", resource, "-o", output, "--limit", "5")
            assert "error" not in ran.stderr, f"{resource} {output}: {ran.stderr}"
        json.loads(said(place, "get", resource, "-o", "json"))


def test_roles_and_facts_say_who_did_what(place):
    name = incident(place)
    said(place, "ack", "incident", name)
    rows = said(place, "get", "facts", "-w", "aggregateType=incident", "-w", f"aggregateId={name}")
    assert "incidentCreated" in rows and "incidentAcknowledged" in rows
    assert "AcknowledgeIncident" in said(place, "roles")


def test_bash_completes_verbs_and_ids(place):
    name = incident(place)
    script = said(place, "completion", "bash")

    def completed(*words):
        line = " ".join(f"'{word}'" for word in words)
        ran = subprocess.run(["bash", "-c", f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _picketctl; echo \"${{COMPREPLY[@]}}\""],
                             capture_output=True, text=True, check=True,
                             env={"PATH": f"{BIN}:/usr/bin:/bin", "PICKET_URL": place.url, "PICKET_TOKEN": place.token})
        return ran.stdout.split()
    assert completed("picketctl", "sil") == ["silence"]
    assert completed("picketctl", "ack", "") == ["incident", "alert"]
    assert completed("picketctl", "move", "incident", name[:-1]) == [name]
    assert completed("picketctl", "import", "back") == ["backstage"]
    assert "--root-cause" in completed("picketctl", "resolve", "--ro")


def editor(tmp_path, monkeypatch, *commands):
    """An editor that runs a line of Python on the text."""
    program = tmp_path / "editor.py"
    program.write_text("import pathlib, sys\npath = pathlib.Path(sys.argv[1])\ntext = path.read_text()\n" +
                       "\n".join(commands) + "\npath.write_text(text)\n", encoding="utf-8")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {program}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def left(tmp_path):
    return list(tmp_path.glob("picketctl-*.yaml"))


def test_an_object_is_changed_in_an_editor(place, tmp_path, monkeypatch):
    name = unique("svc")
    said(place, "create", "service", name, "--name", "Checkout", "--owner", "team-shop")
    editor(tmp_path, monkeypatch, "assert 'kind: \"Service\"' in text or 'kind: Service' in text, text",
           "text = text.replace('team-shop', 'team-pay')")
    assert said(place, "edit", "service", name) == f"Service {name} configured (version 2)\n"
    assert object_of(place, "get", "service", name)["owner"] == "team-pay"
    assert said(place, "edit", f"service/{name}") == f"Service {name} unchanged: nothing was edited\n"
    assert left(tmp_path) == []


def test_what_was_written_in_the_editor_is_kept_when_it_is_not_taken(place, tmp_path, monkeypatch):
    name = unique("svc")
    said(place, "create", "service", name, "--name", "Checkout", "--owner", "team-shop")
    for command, complaint, code in (("text = text.replace('owner:', 'ownr:')", "ownr", 2),
                                     ("text = text.replace(%r, 'another')" % name, "nothing else", 2),
                                     ("path.write_text(text + '# mine'); sys.exit(3)", "status 3", 2)):
        editor(tmp_path, monkeypatch, command)
        complaints = refused(place, code, "edit", "service", name)
        kept = left(tmp_path)
        assert complaint in complaints and len(kept) == 1 and f"picketctl apply -f {kept[0]}" in complaints, complaints
        kept[0].unlink()
    # Somebody else changes it while the editor is open: their change stays, ours is kept beside it.
    editor(tmp_path, monkeypatch, "text = text.replace('team-shop', 'team-pay')",
           "import subprocess, os",
           f"subprocess.run([{str(BIN / 'picketctl')!r}, 'apply', '-f', '-'], check=True, text=True, stdout=subprocess.DEVNULL, input={f'kind: Service{chr(10)}service_id: {name}{chr(10)}name: Checkout{chr(10)}owner: team-other{chr(10)}'!r})")
    assert "version" in refused(place, 1, "edit", "service", name)
    assert len(left(tmp_path)) == 1 and object_of(place, "get", "service", name)["owner"] == "team-other"
    left(tmp_path)[0].unlink()
    assert "by verbs" in refused(place, 2, "edit", "incident", incident(place))
    refused(place, 5, "edit", "service", unique("absent"))
    refused(place, 2, "edit", "service")
