# SPDX-License-Identifier: Apache-2.0
"""What was not seen is unknown, never good: failing scrapes, a target that is down, an agent that is down."""
import math
import time

import pytest

from generator import SLIS, Generator
from harness import CORE, Place, eventually, rfc3339

WINDOW = 1


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("gaps"))
    made.generator = Generator(7)
    made.closers.append(made.generator)
    made.start()
    made.create_slo("requests", SLIS["requests"][0], WINDOW)
    made.configure_agent({"gen": made.generator.url})
    made.start_agent()
    yield made
    made.close()


def begin(place):
    """A whole window has come since now."""
    start = math.ceil(time.time() / WINDOW) * WINDOW
    eventually("a whole window", lambda: whole(place, start), 30, 0.25)
    return start


def points(place, start):
    return {at: p for at, p in place.windows("requests", start, math.floor(time.time())).items() if p["windows"]}


def whole(place, start):
    return [at for at, p in points(place, start).items() if p["seen"] == p["expected"] > 0 and not p["unknown"]]


@pytest.mark.parametrize("mode", ["error", "malformed", "hang", "cut"])
def test_failing_scrapes_are_expected_and_not_seen(place, mode):
    start, generator = begin(place), place.generator
    generator.mode = mode
    # A scrape that was answered well just now may be counted a moment later, in the window that begins then.
    failing = math.ceil((time.time() + 1) / WINDOW) * WINDOW
    time.sleep(max(0, failing + 2 * WINDOW - time.time()))
    generator.mode = "good"
    gap = eventually("the failed window has come", lambda: points(place, start).get(failing), every=0.5)
    assert gap["expected"] >= WINDOW * 1000 // 250 - 1 and gap["seen"] == 0 and gap["total"] == 0
    assert gap["unknown"]
    burndown = place.call(CORE + "SLOQueryService/GetSLOBurndown", {
        "sloId": "requests", "from": rfc3339(failing), "to": rfc3339(failing + WINDOW), "step": f"{WINDOW}s"})
    assert burndown["points"][0]["unknown"], burndown
    text = place.ctl("get", "windows", "requests", "--from", "2m").stdout
    line = next(one for one in text.splitlines() if time.strftime("%H:%M:%S", time.gmtime(failing)) in one)
    assert "unknown" in line and f"0/{gap['expected']}" in line
    assert place.metric("picket_collect_scrapes_failed_total", "agent") > 0


def test_an_slo_that_nobody_measures_is_unknown(place):
    place.create_slo("later", dict(SLIS["requests"][0], targets=["not-there"]), WINDOW)
    begin(place)
    answer = place.call(CORE + "SLOService/GetSLO", {"sloId": "later"})
    assert answer["slo"]["budget"]["unknown"], "no data is not a full budget"
    assert "unknown" in place.ctl("get", "slo", "later").stdout


def test_an_agent_that_was_down_states_what_it_did_not_see(place):
    start = begin(place)
    place.agent.kill()
    down = math.ceil(time.time() / WINDOW) * WINDOW
    time.sleep(max(0, down + 3 * WINDOW - time.time()))
    place.start_agent()
    eventually("windows after the down time", lambda: [at for at in whole(place, start) if at > down + 2 * WINDOW], every=0.5)
    for at in range(down, down + 3 * WINDOW, WINDOW):
        point = eventually(f"window {at}", lambda at=at: points(place, start)[at])
        assert point["unknown"] and point["seen"] == 0, (at, point)


def test_an_slo_created_at_the_centre_is_measured_within_seconds(place):
    begin(place)
    document = ("kind: SLO\nslo_id: jobs\nname: Jobs end well\ntarget: 95\nwindow: SLO_WINDOW_28D\nsli_spec:\n  counter_ratio:\n"
                "    bad_selector: gen_jobs_failed_total\n    total_selector: gen_jobs_total\n  window_seconds: 1\n"
                "---\n{\"kind\": \"SLO\", \"sloId\": \"latency\", \"name\": \"Fast\", \"target\": 90, \"window\": \"SLO_WINDOW_7D\","
                " \"sliSpec\": {\"histogramThreshold\": {\"metric\": \"gen_latency_seconds\", \"threshold\": 0.25}, \"windowSeconds\": 1}}\n")
    said = place.ctl("create", "-f", "-", stdin=document).stdout
    assert "SLO jobs created (version 1)" in said and "SLO latency created (version 1)" in said
    created = math.floor(time.time())
    for name in ("jobs", "latency"):
        eventually(f"{name} is measured", lambda name=name: [
            p for p in place.windows(name, created - 5, time.time() + 1).values() if p["total"] > 0], every=0.2)
    again = place.ctl("create", "-f", "-", stdin=document, check=False)
    assert again.returncode == 1 and "already" in again.stderr
