# SPDX-License-Identifier: Apache-2.0
"""Pages for people do what they say: their commands are run as they stand, in their order."""
import os
import re
import subprocess

import pytest

from harness import BIN, TOP, Place, eventually

# Ends by Ctrl-C only.
ENDLESS = ("picketctl watch ",)


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.start()
    yield made
    made.close()


def commands(page, until=None):
    """The indented lines of a page, those that go on behind a backslash or in a here-document as one."""
    text = (TOP / page).read_text(encoding="utf-8").split(until)[0] if until else (TOP / page).read_text(encoding="utf-8")
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    found, end = [], None
    for line in lines:
        if end or (found and found[-1].endswith("\\")):
            found[-1] += "\n" + line
            if end and line == end:
                end = None
        else:
            found.append(line)
            here = re.search(r"<<'(\w+)'", line)
            end = here.group(1) if here else None
    assert not end, f"{page}: {end} never comes"
    return [command for command in found if not command.startswith(ENDLESS)]


def run(place, command, folder, token=None):
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=folder, timeout=60,
                         env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PICKET_URL": place.url, "PICKET_TOKEN": token or place.token})
    assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


def test_an_incident_can_be_followed_from_the_page_alone(place, tmp_path):
    somebody_else = place.make_token("bert", "approver")
    said = {}
    for command in commands("aggregator/ctl/RESPOND-TO-AN-INCIDENT.md", until="## In scripts"):
        fours = command.startswith(("picketctl approve", "picketctl publish"))
        if fours:
            eventually("the token is known", lambda: place.ctl("get", "slos", token=somebody_else, check=False).returncode == 0)
        said[command.split("#")[0].strip()] = run(place, command, tmp_path, somebody_else if fours else None)
    assert "Restart it" in said["picketctl describe runbook restart-checkout"]
    assert "prometheus.9c01aa" in said["picketctl describe incident inc-1"]
    assert "succeeded" in run(place, "picketctl get execution exec-1", tmp_path)
    assert "published" in run(place, "picketctl get postmortem 2026-01-checkout", tmp_path)
    assert "inc-1" not in run(place, "picketctl get incidents", tmp_path), "it is closed"


def test_an_slo_can_be_defined_from_the_page_alone(place, tmp_path):
    for command in commands("aggregator/ctl/DEFINE-AN-SLO.md"):
        if not command.startswith((". build/local/env", "export PATH")):
            run(place, command, tmp_path)
    assert "checkout-availability" in run(place, "picketctl get slos", tmp_path)
