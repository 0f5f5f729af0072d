# SPDX-License-Identifier: Apache-2.0
"""The queue's file is cut short under the running agent, which is what a disk that fails looks like to it (SIGBUS): it ends and
says why; the one that is started next saves what can be read, once, and goes on."""
import os
import re
import signal
import time

import pytest

from generator import SLIS, Generator
from harness import Place, eventually, seed


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


def test_a_file_that_cannot_be_read_ends_the_agent_once(place):
    generator = Generator(seed())
    place.closers.append(generator)
    place.start()
    name = list(SLIS)[0]
    place.create_slo(name, SLIS[name][0], 1)
    place.configure_agent({"gen": generator.url}, buffer__commit_interval="0s")
    place.start_agent()
    try:
        def newest():
            return max(place.windows(name, time.time() - 120, time.time() + 5), default=0)
        eventually("windows arrive", newest, 40)
        for life in range(2):
            place.agent_proxy.cut()
            eventually("something waits", lambda: place.metric("picket_buffer_records", "agent", **{"class": "windows"}) > 3, 30)
            queue = next(place.folder.glob("**/queue/data.mdb"))
            os.truncate(queue, 3 * 4096)
            place.agent.process.wait(30)
            assert place.agent.process.returncode == -signal.SIGBUS, place.agent.tail()
            said = [line for line in place.agent.log().splitlines() if "file_unreadable" in line]
            assert len(said) == life + 1 and str(queue) in said[-1] and "cut short" in said[-1], place.agent.tail()
            print(said[-1])
            place.agent.start()
            eventually("it says what it saved", lambda: len(re.findall("event=queue_damaged", place.agent.log())) == life + 1, 20)
            place.agent_proxy.heal()
            now = time.time()
            eventually("new windows arrive", lambda: newest() > now, 40)
        assert place.agent.terminate() == 0, place.agent.tail()
        place.agent.start()
        now = time.time()
        eventually("new windows arrive", lambda: newest() > now, 40)
        assert len(re.findall("event=queue_damaged", place.agent.log())) == 2, place.agent.tail()
    except BaseException:
        print(place.story())
        raise
