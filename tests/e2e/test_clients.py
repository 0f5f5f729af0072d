# SPDX-License-Identifier: Apache-2.0
"""Clients that others make from our contract, with their own tools, against the real aggregator: see tests/clients."""
import json
import os
import pathlib
import subprocess

import pytest

from harness import TOP, Place

CLIENTS = TOP / "tests/clients"


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
    made.start()
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
