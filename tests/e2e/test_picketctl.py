# SPDX-License-Identifier: Apache-2.0
"""picketctl against an aggregator that misbehaves on demand: what it says, what it advises, and its exit codes."""
import http.server
import json
import os
import shlex
import subprocess
import threading
import time

import pytest

from harness import BIN, TOP, free_port


class Pretended:
    """Answers methods with what is put into `answers` ({method: (status, body)}); /events from `events`."""

    def __init__(self):
        self.answers, self.requests, self.events_asked = {}, [], []
        self.date = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def date_time_string(self, timestamp=None):
                return super().date_time_string(time.time() + (outer.date or 0))

            def send(self, status, text):
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):  # noqa: N802
                if self.path == "/events" and outer.answers.get("/events", (200,))[0] == 200:
                    self.events()
                else:
                    status, body = outer.answers.get(self.path, (404, "{}"))
                    self.send(status, body)

            def events(self):
                after = int(self.headers.get("Last-Event-ID", "0"))
                outer.events_asked.append(after)
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                for sequence in (after + 1, after + 2):
                    fact = {"meta": {"occurredAt": "2026-01-31T09:30:00Z", "producer": "demo/e"}, "sequence": str(sequence),
                            "subject": {"aggregateType": "slo", "aggregateId": "a", "aggregateVersion": str(sequence)}, "sloCreated": {"slo": {}}}
                    self.wfile.write(f"id: {sequence}\nevent: fact\ndata: {json.dumps(fact)}\n\n".encode())
                    self.wfile.flush()
                self.close_connection = True

            def do_POST(self):  # noqa: N802
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                method = self.path.rpartition("/")[2]
                outer.requests.append((method, request, self.headers.get("Authorization")))
                answer = outer.answers.get(method, (501, '{"code":"unimplemented","message":"no ' + method + '"}'))
                if callable(answer):
                    answer = answer(request)
                self.send(*answer)

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


@pytest.fixture
def pretended():
    made = Pretended()
    yield made
    made.server.shutdown()
    made.server.server_close()


def ctl(url, *words, token="t0ken", stdin=None, timeout=30):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PICKET_")}
    environment["PICKET_URL"] = url
    if token:
        environment["PICKET_TOKEN"] = token
    return subprocess.run([str(BIN / "picketctl"), *words], capture_output=True, text=True, timeout=timeout, check=False,
                          env=environment, input=stdin)


SLO = {"sloId": "a", "name": "A", "target": 99.9, "window": "SLO_WINDOW_28D", "budget": {"good": "9", "total": "10"}}


def test_pages_are_joined_and_the_limit_is_kept(pretended):
    def page(request):
        number = int(request.get("pageToken", "0"))
        slos = [dict(SLO, sloId=f"s{number * 2 + i}") for i in range(2)]
        return 200, json.dumps({"slos": slos, "nextPageToken": str(number + 1) if number < 3 else ""})
    pretended.answers["ListSLOs"] = page
    ran = ctl(pretended.url, "get", "slos", "-o", "json")
    assert [slo["sloId"] for slo in json.loads(ran.stdout)["slos"]] == [f"s{i}" for i in range(8)]
    assert pretended.requests[0][2] == "Bearer t0ken"
    ran = ctl(pretended.url, "get", "slos", "--limit", "4")
    assert len(ran.stdout.splitlines()) == 5 and "--limit" in ran.stderr


def test_facts_are_read_on_by_sequence(pretended):
    def page(request):
        after = int(request.get("afterSequence", "0"))
        facts = [{"sequence": str(after + i), "subject": {"aggregateType": "slo", "aggregateId": "a", "aggregateVersion": "1"}} for i in (1, 2)]
        return 200, json.dumps({"facts": facts, "lastSequence": str(after + 2), "newestSequence": "14"})
    pretended.answers["ListFacts"] = page
    ran = ctl(pretended.url, "get", "facts", "-w", "afterSequence=10", "-w", "aggregateType=slo", "-o", "json")
    assert [fact["sequence"] for fact in json.loads(ran.stdout)["facts"]] == ["11", "12", "13", "14"], ran
    assert all(request["aggregateType"] == "slo" for _, request, _ in pretended.requests)


@pytest.mark.parametrize("status, code, exit_code, part", [
    (401, "unauthenticated", 4, "PICKET_TOKEN"), (403, "permission_denied", 4, "role"), (404, "not_found", 5, "picketctl get"),
    (429, "resource_exhausted", 1, "again"), (500, "internal", 1, "log"), (503, "unavailable", 1, "doctor")])
def test_errors_say_what_failed_and_what_to_do(pretended, status, code, exit_code, part):
    pretended.answers["GetSLO"] = (status, json.dumps({"code": code, "message": "the reason itself"}))
    ran = ctl(pretended.url, "get", "slo", "x")
    assert ran.returncode == exit_code and ran.stdout == ""
    assert f"GetSLO: {code}: the reason itself" in ran.stderr and part in ran.stderr


def test_nobody_there_and_somebody_else_there_are_told_apart(pretended):
    ran = ctl(f"http://127.0.0.1:{free_port()}", "get", "slos")
    assert ran.returncode == 3 and "is the aggregator running there?" in ran.stderr
    pretended.answers["ListSLOs"] = (200, "<html>")
    assert ctl(pretended.url, "get", "slos").returncode == 1
    pretended.answers["ListSLOs"] = (404, "<html>")
    assert "is " + pretended.url + " a Picket aggregator?" in ctl(pretended.url, "get", "slos").stderr


def test_a_wrong_request_never_leaves(pretended):
    ran = ctl(pretended.url, "get", "slo", "two words")
    assert ran.returncode == 2 and "slo_id" in ran.stderr and pretended.requests == []
    ran = ctl(pretended.url, "get", "slos", "-w", "nonsense=1")
    assert ran.returncode == 2 and "nonsense" in ran.stderr and pretended.requests == []


def test_create_checks_all_before_it_sends_one(pretended):
    good = "kind: SLO\nslo_id: a\nname: A\ntarget: 99\nwindow: SLO_WINDOW_7D\nsli_spec: {gauge_threshold: {selector: up, comparison: COMPARISON_GREATER}, window_seconds: 60}\n"
    ran = ctl(pretended.url, "create", "-f", "-", stdin=good + "---\nkind: SLO\nname: B\ntarget: 101\n---\nkind: Slo\n---\nname: x\n")
    assert ran.returncode == 2 and pretended.requests == []
    assert "-:8: SLO: target: " in ran.stderr
    assert "kind 'Slo' is unknown; one of SLO," in ran.stderr and "'kind' is missing" in ran.stderr
    pretended.answers["CreateSLO"] = (200, '{"outcome":{"aggregateType":"slo","aggregateId":"a","aggregateVersion":"1","sequence":"7"}}')
    ran = ctl(pretended.url, "create", "-f", "-", stdin=good + "---\n" + good)
    assert ran.stdout == "SLO a created (version 1)\n" * 2 and len(pretended.requests) == 2
    assert pretended.requests[0][1]["command"]["sliSpec"]["windowSeconds"] == 60
    pretended.answers["CreateSLO"] = (409, '{"code":"already_exists","message":"there is an SLO a"}')
    ran = ctl(pretended.url, "create", "-f", "-", stdin=good)
    assert ran.returncode == 1 and "there is an SLO a" in ran.stderr


def test_yaml_that_is_none_is_told_with_its_line(pretended, tmp_path):
    (tmp_path / "f.yaml").write_text("kind: SLO\nname: [a\ntarget: 1\n")
    ran = ctl(pretended.url, "create", "-f", str(tmp_path / "f.yaml"))
    assert ran.returncode == 2 and "f.yaml:3:" in ran.stderr
    assert "No such file" in ctl(pretended.url, "create", "-f", str(tmp_path / "none")).stderr


def test_watch_goes_on_after_the_last_event_it_saw(pretended):
    environment = dict(os.environ, PICKET_URL=pretended.url, PICKET_TOKEN="t")
    with subprocess.Popen([str(BIN / "picketctl"), "watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as watch:
        lines = [watch.stdout.readline() for _ in range(6)]
        watch.kill()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4", "5", "6"], lines
    assert "sloCreated" in lines[0] and pretended.events_asked[:3] == [0, 2, 4]


def test_watch_draws_a_resource_again_when_it_changed(pretended):
    pretended.answers["ListSLOs"] = lambda request: (200, json.dumps({"slos": [dict(SLO, name=f"drawn {len(pretended.requests)}")]}))
    environment = dict(os.environ, PICKET_URL=pretended.url, PICKET_TOKEN="t")
    with subprocess.Popen([str(BIN / "picketctl"), "watch", "slos"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment) as watch:
        seen = ""
        while "drawn 3" not in seen:
            seen += watch.stdout.readline()
        watch.kill()
    assert "drawn 1" in seen and "drawn 2" in seen


def test_watch_ends_where_it_is_refused(pretended):
    pretended.answers["/events"] = (401, '{"code":"unauthenticated","message":"unknown token"}')
    ran = ctl(pretended.url, "watch")
    assert ran.returncode == 4 and "unknown token" in ran.stderr


def test_doctor_finds_a_wrong_clock_and_a_silent_agent(pretended):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 900))
    pretended.answers.update({
        "/healthz": (200, "ok"), "/readyz": (503, "journal: opening"), "/metrics": (200, 'picket_outbox_lag_facts{consumer="mqtt"} 9\npicket_outbox_lag_facts{consumer="projections"} 3\n'
                                                                                     'picket_journal_used_bytes 900\npicket_journal_budget_bytes 1000\npicket_journal_space_level 1\n'),
        "ListSLOs": (200, json.dumps({"slos": [dict(SLO, sliSpec={"windowSeconds": 60}, budget={"lastWindowAt": now})]})),
        "ListAgents": (200, json.dumps({"agents": [{"status": {"agent": "edge-1", "online": True, "targets": [{"name": "n", "error": "refused"}]},
                                                    "lastSeenAt": now, "intentsLost": "5", "right": {
                                                        "refusal": "the token was used already", "refusedAt": now}}]})),
        "ListRejections": (200, json.dumps({"rejections": [
            {"rejectionId": "2", "rejectedAt": now, "producer": "edge-1", "reason": "too old"},
            {"rejectionId": "1", "rejectedAt": "2020-01-01T00:00:00Z", "producer": "edge-1", "reason": "older"}]}))})
    pretended.date = 60
    ran = ctl(pretended.url, "doctor")
    assert ran.returncode == 1
    for part in ("ok    address", "warn  clock", "later than this machine's", "FAIL  ready        journal: opening", "ok    token",
                 "warn  rejections   1 in the last hour; the newest is of edge-1: too old",
                 "was refused a certificate 9", "FAIL  agent edge-1 has sent nothing for 9", "shed 5 intents", "cannot scrape n: refused", "warn  slo a",
                 "warn  journal      uses 90 % of its budget"):
        assert part in ran.stdout, ran.stdout
    pretended.date = None
    ran = ctl(pretended.url, "doctor", token=None)
    assert "FAIL  token        there is none" in ran.stdout and "not checked: journal, projections, agents, rejections, slos" in ran.stdout


def test_doctor_says_when_a_certificate_is_over_and_what_it_may_not_see(pretended):
    soon, past = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ahead)) for ahead in (600, -600))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def agent(name, end, error):
        return {"status": {"agent": name, "online": True, "certificate": {"notAfter": end, "error": error}}, "lastSeenAt": now,
                "state": "AGENT_STATE_ONLINE"}
    pretended.answers.update({
        "/healthz": (200, "ok"), "/readyz": (200, "ready"), "/metrics": (200, ""), "ListSLOs": (200, "{}"),
        "ListRejections": (403, '{"code":"permission_denied","message":"x"}'),
        "ListAgents": (200, json.dumps({"agents": [agent("edge-1", past, "renewal: refused"), agent("edge-2", soon, "renewal: refused"),
                                                   agent("edge-3", soon, "")]}))})
    ran = ctl(pretended.url, "doctor")
    assert ran.returncode == 1
    for part in ("FAIL  agent edge-1 has a certificate that is over since 60", "warn  agent edge-2 says of its certificate: renewal: refused",
                 "not checked: rejections (they need the token of an admin)"):
        assert part in ran.stdout, ran.stdout
    assert ran.stdout.count("edge-3") == 1 and not ran.stderr, ran.stdout + ran.stderr
    rows = {line.split()[0]: line for line in ctl(pretended.url, "agents").stdout.splitlines() if line.startswith("edge-")}
    assert "OVER since 20" in rows["edge-1"] and "not renewed" in rows["edge-2"] and "not renewed" not in rows["edge-3"], rows


def test_a_wrong_state_of_agents_is_answered_with_the_right_ones(pretended):
    ran = ctl(pretended.url, "agents", "--status", "foo")
    assert ran.returncode == 2 and "online, offline, unknown, awaited, conflict, revoked" in ran.stderr, ran.stderr
    assert ctl(pretended.url, "agents", "--status", "unspecified").returncode == 2


@pytest.mark.parametrize("shell, check", [("bash", ["bash", "-n"]), ("zsh", None), ("fish", None)])
def test_completion_is_what_the_shell_takes(shell, check):
    ran = ctl("http://x", "completion", shell)
    assert ran.returncode == 0 and "rejections" in ran.stdout and "token-file" in ran.stdout
    if check:
        subprocess.run(check, input=ran.stdout, text=True, check=True)


def test_bash_completes_resources():
    script = (ctl("http://x", "completion", "bash").stdout +
              "COMP_WORDS=(picketctl get sl); COMP_CWORD=2; _picketctl; echo \"${COMPREPLY[@]}\"")
    assert subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "slos"


READS = ("get", "describe", "watch", "doctor", "roles", "completion", "version", "help")


def documented_commands():
    """What the task pages and the help tell people to type, where it changes something and reads neither a file nor what is there."""
    for page in ("RESPOND-TO-AN-INCIDENT.md", "REFERENCE.md"):
        for line in (TOP / "aggregator/ctl" / page).read_text(encoding="utf-8").splitlines():
            if line.strip().startswith("picketctl ") and not line.startswith("- "):
                words = shlex.split(line, comments=True)
                words = words[:words.index(">")] if ">" in words else words
                reads = words[1] in READS or words[1] == "agents" and not {"enrol", "revoke"} & set(words)
                if not reads and "-f" not in words and words[1] not in ("import", "edit"):
                    yield words[1:]


def test_documented_commands_are_taken():
    commands = list(documented_commands())
    assert len(commands) > 45 and {"agents", "diagnose"} <= {words[0] for words in commands}
    for words in commands:
        ran = ctl("http://127.0.0.1:1", *words, *([] if "--dry-run" in words else ["--dry-run"]))
        assert ran.returncode == 0 and ran.stdout.startswith("---\n# POST /"), f"{words}: {ran.stdout}{ran.stderr}"


def test_a_dry_run_where_nothing_would_be_sent_anyway_is_refused():
    for words in (["agents"], ["agents", "edge-1"], ["get", "slos"], ["doctor"]):
        ran = ctl("http://127.0.0.1:1", *words, "--dry-run")
        assert ran.returncode == 2 and "--dry-run" in ran.stderr, ran.stderr
