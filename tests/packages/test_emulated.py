# SPDX-License-Identifier: Apache-2.0
"""The static program at work: it scrapes, folds and ships over TLS to Mosquitto and the aggregator, is killed in the
middle, and nothing is lost. For ARM under qemu-user; for x86_64 as it is."""
import math
import os
import sys
import time

import pytest
from packaging import TARGETS, TOP, command

sys.path.insert(0, str(TOP / "tests/e2e"))
import harness  # noqa: E402
from generator import SLIS, Generator  # noqa: E402

WINDOW = 2


@pytest.fixture
def place(tmp_path):
    if not (harness.BIN / "picket-aggregator").exists():
        pytest.skip(f"no picket-aggregator in {harness.BIN}: build the dev preset")
    made = harness.Place(tmp_path)
    made.generator = Generator(int(os.environ.get("PICKET_SEED", "7")))
    made.closers.append(made.generator)
    yield made
    made.close()


@pytest.mark.parametrize("target", TARGETS)
def test_windows_of_the_static_agent_reach_the_centre_also_after_kill_9(place, target):
    place.agent.command = [*command(target), "--config", str(place.agent_config)]
    place.start()
    place.create_slo("scrapes", SLIS["scrapes"][0], WINDOW)
    place.configure_agent({"gen": place.generator.url}, scrape={"interval": "500ms", "timeout": "500ms"})
    begin = math.floor(time.time()) // WINDOW * WINDOW
    place.start_agent()

    def measured():
        points = place.windows("scrapes", begin, begin + 3600)
        return [points[at] for at in sorted(points) if points[at]["windows"]]

    harness.eventually("the first windows come", lambda: sum(point["total"] for point in measured()) >= 4, 60)
    place.agent.kill()
    time.sleep(1)
    place.start_agent()
    before = place.generator.serial
    harness.eventually("what was scraped after the kill arrives too",
                       lambda: sum(point["total"] for point in measured()) >= before + 4, 60)
    # Every window is there once (place.windows says so), and nothing is counted twice: the generator's own number of
    # scrapes is what the counter that is measured shows.
    assert sum(point["total"] for point in measured()) <= place.generator.serial
    assert not place.rejections()
    known = harness.eventually("the agent says how it is", place.agent_known)
    assert known["status"]["version"]
    assert place.agent.terminate() == 0, place.agent.tail()
    assert "level=error" not in place.agent.log(), place.agent.tail()
