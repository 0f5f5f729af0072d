# SPDX-License-Identifier: Apache-2.0
"""Clients that others make from our contract, with their own tools, against the real aggregator: see tests/clients."""
import json
import os
import pathlib
import subprocess

import pytest

from harness import AGENT, TOP, Place, aggregator_settings, eventually

CLIENTS = TOP / "tests/clients"
ROLES = ["viewer", "responder", "approver", "admin", "agent", "integration"]


@pytest.fixture(scope="module")
def npm():
    """The folder with npm's packages in it; skips, with the reason, where they cannot be had."""
    ran = subprocess.run([CLIENTS / "tools"], capture_output=True, text=True, check=False)
    if ran.returncode == 77:
        pytest.skip(ran.stderr.strip().removeprefix("skipped: "))
    assert ran.returncode == 0, ran.stderr
    return pathlib.Path(ran.stdout.strip())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("clients"))
    settings = aggregator_settings(made)
    settings["limits"] = {"requests_per_second": 0, "failed_sign_ins_per_minute": 0}
    made.write_yaml("aggregator.yaml", settings)
    made.tokens = {role: made.make_token(f"client-{role}", role) for role in ROLES}
    made.start()
    made.configure_agent({})
    made.start_agent()
    eventually("the agent is known", lambda: (made.agent_known() or {"status": {}})["status"].get("online"))
    yield made
    made.close()


def lint_openapi(npm, document, folder):
    """Everything that Redocly finds, a warning too: [(rule, pointer, message)]."""
    (folder / "openapi.json").write_text(document, encoding="utf-8")
    ran = subprocess.run([npm / "node_modules/.bin/redocly", "lint", "--config", CLIENTS / "redocly.yaml", "--format=json",
                          "--max-problems=1000", "openapi.json"], cwd=folder, capture_output=True, text=True, check=False,
                         env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"})
    try:
        said = json.loads(ran.stdout)
    except ValueError:
        raise AssertionError(f"redocly said nothing that is JSON: {ran.stdout}{ran.stderr}") from None
    return [(one["ruleId"], one["location"][0].get("pointer"), one["message"]) for one in said["problems"]]


def test_the_openapi_document_passes_redocly(npm, place, tmp_path):
    status, document = place.get("/openapi.json")
    assert status == 200
    assert lint_openapi(npm, document, tmp_path) == []


def test_redocly_finds_what_is_wrong(npm, place, tmp_path):
    """The linter above is the right one, with its rules on: an operation without a summary and a reference to nothing."""
    document = json.loads(place.get("/openapi.json")[1])
    first = next(iter(document["paths"].values()))["post"]
    del first["summary"]
    first["requestBody"]["content"]["application/json"]["schema"] = {"$ref": "#/components/schemas/nothing"}
    found = {rule for rule, _, _ in lint_openapi(npm, json.dumps(document), tmp_path)}
    assert {"operation-summary", "no-unresolved-refs"} <= found


# -- the generated client


@pytest.fixture(scope="module")
def program():
    """call.ts and the client that it calls, generated from proto/ and compiled."""
    ran = subprocess.run([CLIENTS / "build"], capture_output=True, text=True, check=False)
    if ran.returncode == 77:
        pytest.skip(ran.stderr.strip().removeprefix("skipped: "))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.strip()


@pytest.mark.parametrize("codec", ["json", "binary"])
def test_a_generated_client_calls_every_method(program, place, codec):
    paths = [path for path in json.loads(place.get("/openapi.json")[1])["paths"] if "." in path]
    setting = {"url": place.url, "codec": codec, "tokens": place.tokens, "paths": paths,
               "words": {"id": f"{codec}-", "text": f"words-of-{codec}", "agent": AGENT}}
    ran = subprocess.run(["node", program, CLIENTS / "examples.json"], input=json.dumps(setting), capture_output=True, text=True,
                         check=False, timeout=300)
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}\n{place.story()}"
    said = json.loads(ran.stdout)
    print(said)
    assert not said["failures"], "\n".join(["it went wrong:", *said["failures"]])
    assert said["calls"]["POST"] > said["methods"] and said["calls"]["GET"] > 0
