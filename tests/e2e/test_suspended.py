# SPDX-License-Identifier: Apache-2.0
"""A machine that was asleep: the agent stands still and the world goes on. What it did not see is unknown, what it counts
afterwards is exact, and it does not make up for the scrapes that it missed."""
import math
import signal
import time

import pytest

from generator import SLIS, Generator
from harness import Place, eventually, seed
from test_nothing_lost import WINDOW, all_windows, create_slos, judge, settled


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


def test_a_suspended_agent_goes_on_without_a_burst_and_without_a_lie(place):
    generator = Generator(seed())
    place.closers.append(generator)
    place.start()
    create_slos(place, WINDOW)
    place.configure_agent({"gen": generator.url})
    begin = math.floor(time.time() / WINDOW) * WINDOW
    place.start_agent()
    names = list(SLIS)
    try:
        eventually("first windows", lambda: all_windows(place, names, begin, begin + 3600), 30, 0.5)
        for asleep in (7.3, 2.1):
            place.agent.signal(signal.SIGSTOP)
            stopped = time.time()
            time.sleep(asleep)
            before, woken = generator.serial, time.monotonic()
            place.agent.signal(signal.SIGCONT)
            time.sleep(1)
            scrapes, seconds = generator.serial - before, time.monotonic() - woken
            assert scrapes <= seconds / 0.25 + 3, f"{scrapes} scrapes in the {seconds:.2f} s after it woke up"
            time.sleep(2)
        until = (math.floor(time.time() / WINDOW) + 2) * WINDOW
        time.sleep(max(0.0, until - time.time()))
        windows = settled(place, names, begin, until)
        judge(place, generator, windows)
        unseen = [at for at, by_name in windows.items() if at < stopped and by_name[names[0]]["seen"] == 0]
        assert unseen, "nothing was unseen while it slept"
        assert all(windows[at][name]["total"] == 0 for at in unseen for name in names)
        assert place.rejections() == []
    except BaseException:
        print(place.story())
        raise
