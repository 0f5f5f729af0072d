# SPDX-License-Identifier: Apache-2.0
"""A clock that is behind for some seconds and is set right: what was measured before that stays as it was measured. The
agent's wall clock is off by what a file says; all its other clocks go on as they do."""
import pathlib
import subprocess
import time

import pytest

from generator import SLIS, Generator
from harness import Place, eventually, seed

WINDOW = 1
SUPPORT = pathlib.Path(__file__).resolve().parent.parent / "support"


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    library = tmp_path / "clock_step.so"
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", library, SUPPORT / "clock_step.c"], check=True)
    made.agent.command = ["env", f"LD_PRELOAD={library}", f"CLOCK_STEP_FILE={tmp_path / 'step'}", *made.agent.command]
    set_clock(made, 0)
    yield made
    made.close()


def set_clock(place, seconds):
    (place.folder / "step.new").write_text(str(seconds))
    (place.folder / "step.new").rename(place.folder / "step")


def restarted_two_hours_behind(place):
    """A node whose clock has no battery: it begins in the past and hears of the time some seconds later."""
    place.agent.kill()
    set_clock(place, -7200)
    place.agent.start()


def set_back_ten_minutes(place):
    set_clock(place, -600)


@pytest.mark.parametrize("go_wrong", [set_back_ten_minutes, restarted_two_hours_behind], ids=lambda way: way.__name__)
def test_a_clock_that_was_behind_takes_nothing_back(place, go_wrong):
    generator = Generator(seed())
    place.closers.append(generator)
    place.start()
    name = list(SLIS)[0]
    place.create_slo(name, SLIS[name][0], WINDOW)
    place.configure_agent({"gen": generator.url})
    began = time.time()
    place.start_agent()
    try:
        eventually("first windows", lambda: place.windows(name, began, time.time() + 5), 40, 0.5)
        def measured(end):
            return {at: window for at, window in place.windows(name, began, end).items() if not window["unknown"]}
        eventually("some windows that were wholly seen", lambda: len(measured(time.time() - 3)) >= 8, 90, 0.5)
        until = time.time() - 3
        before = measured(until)
        go_wrong(place)
        time.sleep(6)
        set_clock(place, 0)
        right = time.time()
        eventually("new windows", lambda: [at for at, window in place.windows(name, right + 2, time.time() + 5).items()
                                           if not window["unknown"]], 60, 0.5)
        eventually("it says that the clock was set right", lambda: "event=clock_set_right" in place.agent.log())
        time.sleep(3)
        after = place.windows(name, began, until)
        assert {at: after.get(at) for at in before} == before
        assert place.rejections() == []
    except BaseException:
        print(place.story())
        raise
