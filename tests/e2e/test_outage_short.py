# SPDX-License-Identifier: Apache-2.0
"""The long outage of tests/bench (outage72) in short: hours without a connection in accelerated time, killed while they go by and
while they drain. Within quota nothing is lost; over it, what is lost is shed by class, and both ends name the same numbers. In
either case nothing counts twice, and what is fresh does not wait for the backlog."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import harness  # noqa: E402
import outage  # noqa: E402

SLOS, MINUTES, EACH_BYTES = 150, 240, 100
PROGRAM = pathlib.Path(os.environ.get("PICKET_BIN", "build/dev/bin")) / "outage_load"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(outage, "SLOS", SLOS)
    monkeypatch.setenv("OUTAGE_COMMIT_MS", "1000")
    made = harness.Place(tmp_path)
    made.start()
    yield made
    made.close()


@pytest.mark.parametrize("quota", ["wide", "narrow"])
def test_hours_without_a_connection_cost_nothing_or_what_is_said(here, quota):
    each_minute = sum(outage.per_minute().values())
    bytes_max = 1 << 30 if quota == "wide" else MINUTES * each_minute * EACH_BYTES
    try:
        found = outage.whole(here, PROGRAM, MINUTES, bytes_max, 4, 2, 1, harness.seed(), quota == "narrow", fill_seconds=0.2,
                             drain_seconds=300)
    except BaseException:
        print(here.story())
        raise
    print(found)
    assert found["kills"] >= 2, found  # those of the drain; a fast machine may have filled the queue before the first of the others
    # What is fresh goes first: it is at the centre before half of what had waited.
    assert found["facts_before_alert"] < found["waited"] / 2, found
    # Minutes of the real clock come in beside those that were filled in; each comes whole, and none before it is stored.
    minutes, part = divmod(found["waited"] + sum(found["dark"]["shed"].values()), each_minute)
    assert part == 0 and MINUTES <= minutes <= found["dark"]["minutes"] <= found["minutes"], found
    if quota == "wide":
        assert not any(found["lost"].values()), found
    else:
        # What has no reserve goes first and goes whole; of the others what is above their reserves.
        all_of = {name: MINUTES * count for name, count in outage.per_minute().items()}
        assert all_of["rest"] <= found["lost"]["rest"] <= found["minutes"] * outage.RESTS, found
        assert all(0 < found["lost"][name] < all_of[name] for name in ("health", "windows")), found
