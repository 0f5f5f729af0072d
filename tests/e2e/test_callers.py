# SPDX-License-Identifier: Apache-2.0
"""Who may ask, and how often: tokens that end, rates, failures from one address, roles, by the real binary."""
import http.client
import json
import re
import subprocess
import time

import pytest

from harness import BIN, CORE, TOP, Place, aggregator_settings, eventually
from issuer import Issuer, Key

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
    # A machine that is slow enough asks no faster than is allowed, for a while.
    answers, refused, began = [], [], time.monotonic()
    while len(refused) < 10:
        assert time.monotonic() - began < 120, [answer[0] for answer in answers]
        answers.append(ask(limited, eager))
        refused += [answers[-1]] if answers[-1][0] == 429 else []
    served = len(answers) - len(refused)
    assert 5 <= served <= 10 + 5 * (time.monotonic() - began) + 1, [answer[0] for answer in answers]
    status, headers, said = refused[-1]
    assert said["code"] == "resource_exhausted" and "'eager' asks more than 5 times a second" in said["message"], said
    assert 1 <= int(headers["retry-after"]) <= 2, headers
    assert ask(limited, calm)[0] == 200, "another caller is not held back"
    time.sleep(int(headers["retry-after"]))
    assert ask(limited, eager)[0] == 200, "when it was told to come back, it is served"
    assert limited.metric("picket_caller_refused_total", reason="too_many_requests") >= len(refused)


def events_status(place, token):
    """Without waiting for what comes on it."""
    connection = http.client.HTTPConnection("127.0.0.1", place.http_port, timeout=20)
    try:
        connection.request("GET", "/events", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_events_count_against_the_rate_too(limited):
    token = limited.make_token("watcher", "viewer")
    eventually("the token is known", lambda: ask(limited, token)[0] == 200)

    def refused():
        return ask(limited, token)[0] == 429 and events_status(limited, token) == 429
    eventually("its burst is used up, for events too", refused, every=0.001)


def test_programs_have_limits_of_their_own(limited):
    token = limited.make_token("pager", "integration")
    eventually("the token is known", lambda: ask(limited, token)[0] == 200)
    assert {ask(limited, token)[0] for _ in range(60)} == {200}


def test_refusals_count_against_the_rate(limited):
    token = limited.make_token("wrong-role", "viewer")
    eventually("the token is known", lambda: ask(limited, token)[0] == 200)
    statuses = [ask(limited, token, CORE + "SLOService/CreateSLO")[0]]
    eventually("it is over its rate", lambda: statuses.append(ask(limited, token, CORE + "SLOService/CreateSLO")[0]) or statuses[-1] == 429, every=0)
    assert set(statuses) == {403, 429}, statuses


# -- failures


def test_guessing_is_slowed_and_a_good_token_from_there_still_works(limited):
    good = limited.make_token("neighbour", "integration")
    eventually("the token is known", lambda: ask(limited, good)[0] == 200)
    answers, late = [], []
    while len(late) < 30:
        assert len(answers) < 1000, [answer[0] for answer in answers]
        answers.append(ask(limited, f"picket_{len(answers):043d}"))
        late += [answers[-1]] if answers[-1][0] == 429 else []
    assert answers[0][0] == 401 and answers[0][2]["code"] == "unauthenticated"
    assert len(answers) <= 400, "it asked as fast as it could, and one a second is let through"
    assert late[-1][2]["code"] == "resource_exhausted" and "127.0.0.1" in late[-1][2]["message"]
    assert int(late[-1][1]["retry-after"]) >= 1
    assert ask(limited, good)[0] == 200, "behind one proxy all share an address"
    assert limited.metric("picket_caller_refused_total", reason="too_many_failures") >= len(late)


def test_the_log_says_whose_tokens_are_refused_without_repeating_them(limited):
    secret = "picket_" + "s" * 43
    ask(limited, secret)
    line = eventually("the log has a line", lambda: next(
        (line for line in limited.aggregator.log().splitlines() if "token_refused" in line), None))
    assert "peer=127.0.0.1" in line and "not known" in line, line
    assert secret not in limited.aggregator.log()


def test_no_token_at_all_says_how_to_get_one(limited):
    status, headers, said = ask(limited, None)
    assert status == 401 and "Bearer" in headers["www-authenticate"] and "token create" in said["message"]


# -- tokens that end


def token_create(place, *words):
    return subprocess.run([BIN / "picket-aggregator", "token", "create", "--config", place.folder / "aggregator.yaml", "--tenant", "demo",
                           *words], capture_output=True, text=True, check=False, timeout=30)


def test_a_token_ends_when_it_was_told_to(limited):
    made = token_create(limited, "--name", "short", "--role", "integration", "--expires", "10s")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    eventually("the token is known", lambda: ask(limited, token)[0] == 200, every=0.05)
    # Failures of the tests before may still be counted: 429.
    eventually("it has expired", lambda: "the token 'short' expired" in ask(limited, token)[2].get("message", ""), every=0.2)
    listed = subprocess.run([BIN / "picket-aggregator", "token", "list", "--config", limited.folder / "aggregator.yaml"],
                            capture_output=True, text=True, check=True).stdout
    assert any("short" in line and "(expired)" in line for line in listed.splitlines()), listed
    assert any(" tests " in line and "never" in line for line in listed.splitlines()), listed


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


def test_the_page_on_signing_in_shows_what_is_accepted(tmp_path):
    page = (TOP / "aggregator/api/SIGN-IN.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", page, re.S).group(1)
    config = tmp_path / "aggregator.yaml"
    config.write_text(example + "mqtt: {disabled: true}\n", encoding="utf-8")
    ran = subprocess.run([BIN / "picket-aggregator", "--config", config, "--check-config"], capture_output=True, text=True, check=False,
                         timeout=30)
    assert ran.returncode == 0, ran.stderr


def test_plain_text_for_others_is_refused_by_the_check_as_by_the_start(tmp_path, limited):
    config = tmp_path / "open.yaml"
    config.write_text(json.dumps({"data": {"path": str(tmp_path / "data")}, "http": {"address": "0.0.0.0", "port": 0},
                                  "mqtt": {"disabled": True}}), encoding="utf-8")
    for words in (["--check-config"], []):
        ran = subprocess.run([BIN / "picket-aggregator", "--config", config, *words], capture_output=True, text=True, check=False,
                             timeout=30)
        assert ran.returncode != 0 and "plain text" in ran.stderr, ran.stderr


# -- outside issuers


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {kid: Key(folder, kid, algorithm) for kid, algorithm in
            (("rsa-1", "RS256"), ("ec-1", "ES256"), ("ec-2", "ES256"), ("stranger", "ES256"))}


@pytest.fixture(scope="module")
def vouched(tmp_path_factory, keys):
    """An aggregator that takes an issuer's tokens; the key set comes over HTTPS with a certificate of our own authority."""
    made = Place(tmp_path_factory.mktemp("oidc"))
    made.certify(made.pki, "server", "issuer")
    made.issuer = Issuer(made.folder, [keys["rsa-1"], keys["ec-1"]], certificate=made.pki / "issuer")
    made.closers.append(made.issuer)
    configure(made, oidc=[made.issuer.settings(jwks_ca=str(made.pki / "ca.crt"))], limits={"failed_sign_ins_per_minute": 0})
    made.start_aggregator()
    eventually("the keys are fetched", lambda: ask(made, made.issuer.token(keys["ec-1"]))[0] == 200)
    yield made
    made.close()


def fetches(place, result):
    return place.metric("picket_oidc_fetches_total", issuer="corp", result=result)


@pytest.mark.parametrize("kid", ["rsa-1", "ec-1"])
def test_an_issuers_token_is_taken_and_facts_name_its_owner(vouched, keys, kid):
    token = vouched.issuer.token(keys[kid], sub=f"anna@{kid}")
    slo_id = f"by-{kid}"
    vouched.create_slo(slo_id, {"counterRatio": {"goodSelector": "ok", "totalSelector": "all"}}, 60)
    changed = {"sloId": slo_id, "name": "changed", "target": 98.0, "window": "SLO_WINDOW_7D",
               "sliSpec": {"counterRatio": {"goodSelector": "ok", "totalSelector": "all"}, "windowSeconds": 60}}
    vouched.call(CORE + "SLOService/UpdateSLO", {"command": changed}, token=token)
    actors = [fact["meta"]["producer"] for fact in vouched.facts(aggregateType="slo", aggregateId=slo_id)]
    assert list(dict.fromkeys(actors)) == ["tests", f"oidc:corp:anna@{kid}"], "our token and the issuer's are told apart"


def test_each_fault_of_a_token_is_refused_with_its_reason(vouched, keys):
    issuer, key = vouched.issuer, keys["ec-1"]
    now = int(time.time())
    cases = [
        (issuer.token(key, aud="grafana"), "is not for 'picket'"),
        (issuer.token(key, aud=None), "is not for 'picket'"),
        (issuer.token(key, iss="https://id.example/realms/other"), "none that this server knows"),
        (issuer.token(key, exp=now - 110), "expired 1"),
        (issuer.token(key, exp=None), "has no end"),
        (issuer.token(key, nbf=now + 200), "becomes valid in"),
        (issuer.token(key, iat=now + 200), "in the future"),
        (issuer.token(key, header={"alg": "none"}), "not signed with RS256 or ES256"),
        (issuer.token(key, header={"alg": "HS256"}), "not signed with RS256 or ES256"),
        (issuer.token(key, header={"crit": ["b64"]}), "critical headers"),
        (issuer.token(keys["stranger"], header={"kid": "ec-1"}), "the signature is not this key's"),
        (issuer.token(key)[:-6] + "AAAAAA", "the signature is not this key's"),
        ("a.b.c", "header is not base64url"),
    ]
    for token, words in cases:
        status, headers, said = ask(vouched, token)
        assert (status, said["code"]) == (401, "unauthenticated") and words in said["message"], (words, said)
        assert "www-authenticate" in headers
    assert ask(vouched, issuer.token(key, aud=["grafana", "picket"]))[0] == 200


def test_a_token_with_many_groups_is_taken_and_a_larger_one_refused(vouched, keys):
    def with_groups(count):
        return vouched.issuer.token(keys["rsa-1"], groups=["sre"] + [f"/departments/of/the/company/{n:06d}" for n in range(count)])
    large = with_groups(130)
    assert 6500 < len(large) < 8192, len(large)
    assert ask(vouched, large)[0] == 200
    larger = with_groups(160)
    assert 8192 < len(larger) < 9000, len(larger)
    status, _, said = ask(vouched, larger)
    assert status == 401 and "at most 8192 are taken" in said["message"], said


def test_clocks_may_differ_by_the_skew(vouched, keys):
    now = int(time.time())
    assert ask(vouched, vouched.issuer.token(keys["ec-1"], exp=now - 30))[0] == 200
    assert ask(vouched, vouched.issuer.token(keys["ec-1"], iat=now + 30, nbf=now + 30))[0] == 200


def test_roles_come_from_claims(vouched, keys):
    create = CORE + "SLOService/CreateSLO"
    tokens = {groups: vouched.issuer.token(keys["ec-1"], groups=list(groups)) for groups in
              (("all",), ("all", "sre"), ("all", "sre-leads"), ("kitchen",))}
    assert ask(vouched, tokens[("all",)])[0] == 200
    status, _, said = ask(vouched, tokens[("all",)], create)
    assert status == 403 and "'oidc:corp:anna' has the role viewer, this needs responder" in said["message"], said
    assert ask(vouched, tokens[("all", "sre")], create)[0] == 400, "allowed, and empty"
    assert ask(vouched, tokens[("all", "sre")], CORE + "RejectionService/ListRejections")[0] == 403
    assert ask(vouched, tokens[("all", "sre-leads")], CORE + "RejectionService/ListRejections")[0] == 200
    status, _, said = ask(vouched, tokens[("kitchen",)])
    assert (status, said["code"]) == (403, "permission_denied") and "gives a role" in said["message"], said


def test_a_key_that_is_rotated_in_is_fetched_and_one_that_is_withdrawn_no_longer_holds(vouched, keys):
    issuer = vouched.issuer
    old, new = issuer.token(keys["ec-1"]), issuer.token(keys["ec-2"])
    assert ask(vouched, old)[0] == 200

    def unknown():
        status, headers, said = ask(vouched, new)
        assert status in (401, 503) and "ec-2" in said["message"], said
        assert status == 401 or headers["retry-after"] == "1"
        return status == 503
    eventually("a key that is not there makes it look", unknown)
    issuer.keys = [keys["rsa-1"], keys["ec-1"], keys["ec-2"]]
    eventually("the new key is there", lambda: ask(vouched, new)[0] == 200)
    assert ask(vouched, old)[0] == 200
    issuer.keys = [keys["rsa-1"], keys["ec-2"]]
    eventually("the old key is gone, though its token was checked before", lambda: ask(vouched, old)[0] != 200)
    assert ask(vouched, new)[0] == 200
    issuer.keys = [keys["rsa-1"], keys["ec-1"]]
    eventually("it is as it was", lambda: ask(vouched, old)[0] == 200)


def test_invented_keys_make_no_flood(vouched, keys):
    before, began = vouched.issuer.asked, time.monotonic()
    while time.monotonic() - began < 3:
        ask(vouched, vouched.issuer.token(keys["stranger"], header={"kid": f"k{time.monotonic_ns()}"}))
    assert vouched.issuer.asked - before <= time.monotonic() - began + 2, "one a second at most, whatever is asked for"


@pytest.mark.parametrize("mode", ["garbage", "huge", "redirect", "hang", "error", "down"])
def test_old_keys_serve_while_the_issuer_misbehaves(vouched, keys, mode):
    issuer = vouched.issuer
    bad = fetches(vouched, "bad")
    if mode == "down":
        issuer.stop()
    else:
        issuer.mode = mode
    eventually("a fetch has failed", lambda: fetches(vouched, "bad") > bad)
    took = []
    for turn in range(5):  # the machine may be slow once; who waited for the issuer would do so each time
        token = issuer.token(keys["rsa-1"], sub=f"new-{mode}-{turn}")
        began = time.monotonic()
        assert ask(vouched, token)[0] == 200, "a token that was never seen"
        assert ask(vouched, vouched.token)[0] == 200
        took.append(time.monotonic() - began)
    assert min(took) < 1.0, f"nobody waits for the issuer: {took}"
    eventually("it is said", lambda: "keys_not_fetched" in vouched.aggregator.log() and "the keys of before stay in use" in vouched.aggregator.log())
    if mode == "down":
        issuer.start()
    issuer.mode = "good"
    good = fetches(vouched, "good")
    eventually("it is fetched again", lambda: fetches(vouched, "good") > good)


def test_picketctl_and_the_other_tenant(vouched, keys):
    vouched.create_slo("of-demo", {"counterRatio": {"goodSelector": "ok", "totalSelector": "all"}}, 60)
    token = vouched.issuer.token(keys["rsa-1"])
    assert "of-demo" in vouched.ctl("get", "slos", token=token).stdout
    other = vouched.make_token("stranger", "admin", tenant="other")
    eventually("the token is known", lambda: ask(vouched, other)[0] == 200)
    assert "of-demo" not in vouched.ctl("get", "slos", token=other).stdout


@pytest.fixture
def alone(tmp_path):
    """A place without broker or aggregator yet, for one test."""
    made = Place(tmp_path)
    yield made
    made.close()


def test_without_keys_callers_are_told_to_come_again_and_others_are_served(alone, keys):
    issuer = Issuer(alone.folder, [keys["ec-1"]])
    alone.closers.append(issuer)
    issuer.stop()
    configure(alone, oidc=[issuer.settings()])
    alone.start_aggregator()
    status, headers, said = ask(alone, issuer.token(keys["ec-1"]))
    assert (status, said["code"], headers["retry-after"]) == (503, "unavailable", "1"), said
    assert ask(alone, alone.token)[0] == 200, "our own tokens need no issuer"
    issuer.start()
    eventually("the issuer is back", lambda: ask(alone, issuer.token(keys["ec-1"]))[0] == 200)
    assert alone.aggregator.terminate() == 0


def test_keys_behind_a_strangers_certificate_are_not_taken(alone, keys):
    alone.certify(alone.folder / "evil", "server", "issuer")
    alone.certify(alone.pki, "server", "issuer")
    issuer = Issuer(alone.folder, [keys["ec-1"]], certificate=alone.folder / "evil" / "issuer")
    alone.closers.append(issuer)
    configure(alone, oidc=[issuer.settings(jwks_ca=str(alone.pki / "ca.crt"))])
    alone.start_aggregator()
    eventually("it says why", lambda: "not from a trusted authority" in alone.aggregator.log())
    assert ask(alone, issuer.token(keys["ec-1"]))[0] == 503


def test_keys_that_are_too_old_are_used_no_longer(alone, keys):
    issuer = Issuer(alone.folder, [keys["ec-1"]])
    alone.closers.append(issuer)
    configure(alone, oidc=[issuer.settings(jwks_age_max="3s")])
    alone.start_aggregator()
    token = issuer.token(keys["ec-1"])
    eventually("the keys are fetched", lambda: ask(alone, token)[0] == 200)
    issuer.stop()
    eventually("they are too old", lambda: ask(alone, token)[0] == 503)
    assert "longer than jwks_age_max allows" in ask(alone, token)[2]["message"]
    issuer.start()
    eventually("they are fetched anew", lambda: ask(alone, token)[0] == 200)


def test_one_caller_has_one_rate_however_many_tokens(alone, keys):
    issuer = Issuer(alone.folder, [keys["ec-1"]])
    alone.closers.append(issuer)
    configure(alone, oidc=[issuer.settings()], limits={"requests_per_second": 2, "burst": 6})
    alone.start_aggregator()
    tokens = [issuer.token(keys["ec-1"], jti=str(number)) for number in range(12)]
    calm = issuer.token(keys["ec-1"], sub="bo")
    eventually("the keys are fetched", lambda: ask(alone, calm)[0] == 200)
    statuses = [ask(alone, token)[0] for token in tokens[:5]]
    assert statuses == [200] * 5, statuses
    eventually("all of them together are over the rate", lambda: 429 in [ask(alone, token)[0] for token in tokens], every=0)
    assert ask(alone, calm)[0] == 200


def test_a_stream_ends_with_its_token(alone, keys):
    issuer = Issuer(alone.folder, [keys["ec-1"]])
    alone.closers.append(issuer)
    configure(alone, oidc=[issuer.settings(clock_skew="0s")])
    alone.start_aggregator()
    eventually("the keys are fetched", lambda: ask(alone, issuer.token(keys["ec-1"]))[0] == 200)
    token = issuer.token(keys["ec-1"], exp=int(time.time()) + 8)
    connection = http.client.HTTPConnection("127.0.0.1", alone.http_port, timeout=20)
    connection.request("GET", "/events", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    assert answer.status == 200
    began = time.monotonic()
    answer.read()  # to the end of the stream
    connection.close()
    assert time.monotonic() - began < 40
    assert ask(alone, token)[0] == 401


def test_a_stream_ends_when_its_token_is_revoked_and_others_go_on(limited):
    streams = {}
    for name in ("leaver", "stayer"):
        token = limited.make_token(name, "integration")
        eventually("the token is known", lambda: ask(limited, token)[0] == 200)
        streams[name] = http.client.HTTPConnection("127.0.0.1", limited.http_port, timeout=60)
        streams[name].request("GET", "/events", headers={"Authorization": f"Bearer {token}"})
    answers = {name: stream.getresponse() for name, stream in streams.items()}
    subprocess.run([BIN / "picket-aggregator", "token", "revoke", "--config", limited.folder / "aggregator.yaml", "--tenant", "demo",
                    "--name", "leaver"], check=True, timeout=30)
    answers["leaver"].read()  # to the end of the stream
    streams["stayer"].sock.settimeout(3)
    with pytest.raises(TimeoutError):
        answers["stayer"].read()
    for stream in streams.values():
        stream.close()


def test_a_token_of_an_issuer_where_none_is_configured(limited, keys, tmp_path):
    issuer = Issuer(tmp_path, [keys["ec-1"]])
    try:
        # Failures of the tests before may still be counted: 429.
        eventually("it says why", lambda: "no issuer is configured here (oidc)" in ask(limited, issuer.token(keys["ec-1"]))[2]["message"])
    finally:
        issuer.stop()
