# SPDX-License-Identifier: Apache-2.0
"""The queue's file is cut short under the running agent, which is what a disk that fails looks like to it (SIGBUS): it ends and
says why; the one that is started next saves what can be read, once, and goes on."""
import os
import random
import re
import shutil
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


def measure(place, number):
    """Everything runs and windows arrive; the answer tells the newest of them."""
    generator = Generator(number)
    place.closers.append(generator)
    place.start()
    name = list(SLIS)[0]
    place.create_slo(name, SLIS[name][0], 1)
    place.configure_agent({"gen": generator.url}, buffer__commit_interval="0s")
    place.start_agent()

    def newest():
        return max(place.windows(name, time.time() - 120, time.time() + 5), default=0)
    eventually("windows arrive", newest, 40)
    return newest


def test_a_file_that_cannot_be_read_ends_the_agent_once(place):
    try:
        newest = measure(place, seed())
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
            eventually("it says what it saved", lambda: len(re.findall("event=queue_damaged", place.agent.log())) == life + 1)
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


def test_a_file_that_is_overwritten_in_use_ends_the_agent_and_the_next_one_goes_on(place):
    """It can be read, and what is read is nonsense: no signal comes, storing fails."""
    number = seed()
    try:
        newest = measure(place, number)
        place.agent_proxy.cut()
        eventually("something waits", lambda: place.metric("picket_buffer_records", "agent", **{"class": "windows"}) > 3, 30)
        queue = next(place.folder.glob("**/queue/data.mdb"))
        with open(queue, "r+b") as file:
            file.seek(2 * 4096)  # behind the pages by which LMDB finds all others
            file.write(random.Random(number).randbytes(queue.stat().st_size - 2 * 4096))
        place.agent.process.wait(40)
        assert place.agent.process.returncode != 0, place.agent.tail()
        said = place.agent.log()
        print(place.agent.process.returncode, [line for line in said.splitlines() if "queue_damaged" in line])
        if place.agent.process.returncode > 0:  # else LMDB was led astray before
            assert "event=queue_damaged" in said and "the next start saves" in said, place.agent.tail()
        place.agent.start()
        eventually("it says what it saved", lambda: place.agent.log().count("were saved") == 1)
        place.agent_proxy.heal()
        now = time.time()
        eventually("new windows arrive", lambda: newest() > now, 40)
    except BaseException:
        print(place.story())
        raise


def test_a_folder_that_was_deleted_is_told_by_the_centre(place):
    """The agent cannot know: it has a new queue. The centre heard of the former one."""
    try:
        newest = measure(place, seed())
        known = eventually("the centre knows the queue", lambda: (place.agent_known() or {}).get("status", {}).get("epoch"), 30)
        assert "queueChange" not in place.agent_known()
        place.agent.kill()
        shutil.rmtree(next(place.folder.glob("**/queue/data.mdb")).parent)
        place.agent.start()
        change = eventually("the centre tells of another queue", lambda: place.agent_known().get("queueChange"), 40)
        assert change["previousEpoch"] == known and change["times"] == 1 and change["reportedAt"] < change["changedAt"], change
        assert "its queue is another one" in place.agent_known()["stateReason"], place.agent_known()
        assert len(re.findall(f"event=queue_changed .*before={known}", place.aggregator.log())) == 1, place.aggregator.tail()
        print(place.ctl("agents", "-o", "wide").stdout)
        # Nobody else knows it: the aggregator after this one has it from this one.
        assert place.aggregator.terminate() == 0
        place.start_aggregator()
        again = eventually("it is told again", lambda: (place.agent_known() or {}).get("queueChange"), 40)
        assert again == change, (again, change)
        assert len(re.findall("event=queue_changed", place.aggregator.log())) == 1, place.aggregator.tail()
        now = time.time()
        eventually("new windows arrive", lambda: newest() > now, 40)
    except BaseException:
        print(place.story())
        raise
