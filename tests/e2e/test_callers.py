# SPDX-License-Identifier: Apache-2.0
"""Who may ask, and how often: tokens that end, rates, failures from one address, roles, by the real binary."""
import http.client
import json
import subprocess
import time

import pytest

from harness import BIN, CORE, ApiError, Place, aggregator_settings, eventually

LIST = CORE + "SLOService/ListSLOs"


def configure(place, **sections):
    settings = aggregator_settings(place)
    settings["mqtt"] = {"disabled": True}
    settings.update(sections)
    place.write_yaml("aggregator.yaml", settings)


def ask(place, token, method=LIST, body=b"{}", headers=None):
    """Status, headers (lower case) and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", place.http_port, timeout=20)
    try:
        connection.request("POST", "/" + method, body, {"Content-Type": "application/json", **(headers or {}),
                                                        **({"Authorization": f"Bearer {token}"} if token else {})})
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, json.loads(answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """Slow limits, so that a test reaches them and sees them end."""
    made = Place(tmp_path_factory.mktemp("callers"))
    configure(made, limits={"requests_per_second": 5, "burst": 10, "machine_requests_per_second": 0,
                            "failed_sign_ins_per_minute": 60})
    made.start_aggregator()
    yield made
    made.close()


# -- rates


def test_one_caller_beyond_its_rate_is_told_when_to_come_back(limited):
    eager, calm = limited.make_token("eager", "viewer"), limited.make_token("calm", "viewer")
    eventually("both tokens are known", lambda: ask(limited, eager)[0] == 200 and ask(limited, calm)[0] == 200)
    answers = [ask(limited, eager) for _ in range(30)]
    refused = [answer for answer in answers if answer[0] == 429]
    assert 10 <= len(refused) <= 25, [answer[0] for answer in answers]
    status, headers, said = refused[-1]
    assert said["code"] == "resource_exhausted" and "'eager' asks more than 5 times a second" in said["message"], said
    assert 1 <= int(headers["retry-after"]) <= 2, headers
    assert ask(limited, calm)[0] == 200, "another caller is not held back"
    time.sleep(int(headers["retry-after"]))
    assert ask(limited, eager)[0] == 200, "when it was told to come back, it is served"
    assert limited.metric("picket_caller_refused_total", reason="too_many_requests") >= len(refused)


def test_events_count_against_the_rate_too(limited):
    token = limited.make_token("watcher", "viewer")
    eventually("the token is known", lambda: ask(limited, token)[0] == 200)
    eventually("its burst is used up", lambda: ask(limited, token)[0] == 429, every=0.001)
    assert limited.get("/events", token=token)[0] == 429


def test_programs_have_limits_of_their_own(limited):
    token = limited.make_token("pager", "integration")
    eventually("the token is known", lambda: ask(limited, token)[0] == 200)
    assert {ask(limited, token)[0] for _ in range(60)} == {200}


def test_refusals_count_against_the_rate(limited):
    token = limited.make_token("wrong-role", "viewer")
    eventually("the token is known", lambda: ask(limited, token)[0] == 200)
    statuses = [ask(limited, token, CORE + "SLOService/CreateSLO")[0] for _ in range(30)]
    assert 403 in statuses and statuses[-1] == 429, statuses


# -- failures


def test_guessing_is_slowed_and_a_good_token_from_there_still_works(limited):
    good = limited.make_token("neighbour", "integration")
    eventually("the token is known", lambda: ask(limited, good)[0] == 200)
    answers = [ask(limited, f"picket_{n:043d}") for n in range(100)]
    assert answers[0][0] == 401 and answers[0][2]["code"] == "unauthenticated"
    late = [answer for answer in answers if answer[0] == 429]
    assert len(late) >= 30, [answer[0] for answer in answers]
    assert late[-1][2]["code"] == "resource_exhausted" and "127.0.0.1" in late[-1][2]["message"]
    assert int(late[-1][1]["retry-after"]) >= 1
    assert ask(limited, good)[0] == 200, "behind one proxy all share an address"
    assert limited.metric("picket_caller_refused_total", reason="too_many_failures") >= len(late)


def test_no_token_at_all_says_how_to_get_one(limited):
    status, headers, said = ask(limited, None)
    assert status == 401 and "Bearer" in headers["www-authenticate"] and "token create" in said["message"]


# -- tokens that end


def token_create(place, *words):
    return subprocess.run([BIN / "picket-aggregator", "token", "create", "--config", place.folder / "aggregator.yaml", "--tenant", "demo",
                           *words], capture_output=True, text=True, check=False, timeout=30)


def test_a_token_ends_when_it_was_told_to(limited):
    made = token_create(limited, "--name", "short", "--role", "integration", "--expires", "4s")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    eventually("the token is known", lambda: ask(limited, token)[0] == 200, every=0.05)
    eventually("it has expired", lambda: ask(limited, token)[0] == 401, every=0.2)
    assert "the token 'short' expired" in ask(limited, token)[2]["message"]
    listed = subprocess.run([BIN / "picket-aggregator", "token", "list", "--config", limited.folder / "aggregator.yaml"],
                            capture_output=True, text=True, check=True).stdout
    assert any("short" in line and "(expired)" in line for line in listed.splitlines()), listed
    assert any("pager" in line and "never" in line for line in listed.splitlines()), listed


def test_an_end_that_is_past_or_no_time_is_refused(limited):
    for words in ("2020-01-01", "soon", "-3d"):
        made = token_create(limited, "--name", "never-made", "--role", "viewer", f"--expires={words}")
        assert made.returncode == 1 and "expires:" in made.stderr, (words, made.stderr)


# -- roles


@pytest.mark.parametrize("role, method, allowed", [
    ("viewer", "SLOService/ListSLOs", True), ("viewer", "SLOService/CreateSLO", False),
    ("responder", "SLOService/CreateSLO", True), ("responder", "RejectionService/ListRejections", False),
    ("approver", "SLOService/CreateSLO", True), ("admin", "RejectionService/ListRejections", True),
    ("agent", "SLOService/ListSLOs", False), ("integration", "SLOService/ListSLOs", True),
    ("integration", "AlertService/IngestAlert", True), ("integration", "SLOService/CreateSLO", False),
    ("responder", "AlertService/IngestAlert", False)])
def test_roles(limited, role, method, allowed):
    token = limited.make_token(f"role-{role}-{method.replace('/', '-').lower()}", role)
    eventually("the token is known", lambda: ask(limited, token, method=CORE + "FactService/ListFacts")[0] in (200, 403))
    status, _, said = ask(limited, token, CORE + method)
    if allowed:
        assert status != 403, said
    else:
        assert (status, said["code"]) == (403, "permission_denied") and f"has the role {role}" in said["message"], said


def test_picketctl_prints_the_rights(limited):
    printed = limited.ctl("roles").stdout
    line = next(line for line in printed.splitlines() if line.startswith("PostmortemService/PublishPostmortem"))
    assert line.split()[1:] == ["approver", "approver", "admin"]


# -- what is checked before the start


def test_plain_text_for_others_is_refused_by_the_check_as_by_the_start(tmp_path, limited):
    config = tmp_path / "open.yaml"
    config.write_text(json.dumps({"data": {"path": str(tmp_path / "data")}, "http": {"address": "0.0.0.0", "port": 0},
                                  "mqtt": {"disabled": True}}), encoding="utf-8")
    for words in (["--check-config"], []):
        ran = subprocess.run([BIN / "picket-aggregator", "--config", config, *words], capture_output=True, text=True, check=False,
                             timeout=30)
        assert ran.returncode != 0 and "plain text" in ran.stderr, ran.stderr
