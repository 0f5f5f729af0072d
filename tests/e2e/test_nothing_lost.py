# SPDX-License-Identifier: Apache-2.0
"""Nothing lost, nothing twice: agent, broker and aggregator are killed again and again at random moments, the broker
forgets, connections break, the generator starts anew and fails; afterwards every window of every SLO is what truth.py
says it must be, and the facts' versions are gapless. PICKET_SEED repeats a run's choices; PICKET_CHAOS_SECONDS makes it
longer than its 60."""
import math
import os
import random
import time

import pytest

from generator import SLIS, Generator
from harness import Place, eventually, seed
from truth import Truth, gapless

CHAOS_SECONDS = float(os.environ.get("PICKET_CHAOS_SECONDS", "60"))
WINDOW = 2


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture
def numbers():
    return seed()


@pytest.fixture
def generator(numbers, place):
    made = Generator(numbers)
    place.closers.append(made)
    return made


def create_slos(place, window_seconds, names=tuple(SLIS)):
    for name in names:
        place.create_slo(name, SLIS[name][0], window_seconds)


def all_windows(place, names, start, end):
    """{window start: {name: point}}; every SLO has the same windows, or something is not there yet."""
    by_name = {name: {at: point for at, point in place.windows(name, start, end).items() if point["windows"]} for name in names}
    starts = {name: sorted(points) for name, points in by_name.items()}
    first = starts[names[0]]
    for name in names:
        assert starts[name] == first, f"{name} has windows {set(starts[name]) ^ set(first)} that {names[0]} has not, or the other way"
    return {at: {name: by_name[name][at] for name in names} for at in first}


def settled(place, names, start, until, seconds=180):
    """Waits until every window up to `until` has come, without a hole."""
    def complete():
        windows = all_windows(place, names, start, until)
        assert windows and max(windows) == until - WINDOW, f"the last window is {max(windows, default=0)}, wanted {until - WINDOW}"
        missing = set(range(min(windows), until, WINDOW)) - set(windows)
        assert not missing, f"{len(missing)} windows are missing, the first is {min(missing)}"
        return windows
    return eventually("all windows are at the centre", complete, seconds, 0.5)


class Chaos:
    """What can happen, each chosen again and again."""

    def __init__(self, place, generator, numbers):
        self.place, self.generator, self.random = place, generator, random.Random(numbers)
        self.done = {}
        self.reset_at = 0

    def pause(self, most):
        time.sleep(self.random.random() ** 2 * most)

    def kill_agent(self):
        self.place.agent.kill()
        self.pause(2)
        self.place.agent.start()

    def kill_agent_while_it_starts(self):
        self.place.agent.kill()
        for _ in range(3):
            self.place.agent.start()
            self.pause(0.3)
            self.place.agent.kill()
        self.place.agent.start()

    def kill_broker(self):
        self.place.broker.kill()
        self.pause(2)
        self.place.start_broker()

    def wipe_broker(self):
        self.place.broker.kill()
        self.place.wipe_broker()
        self.pause(1)
        self.place.start_broker()

    def kill_aggregator(self):
        self.place.aggregator.kill()
        self.pause(2)
        self.place.start_aggregator(ready=self.random.random() < 0.5)

    def kill_all(self):
        programs = [self.place.agent, self.place.broker, self.place.aggregator]
        self.random.shuffle(programs)
        for program in programs:
            program.kill()
            self.pause(0.2)
        self.place.wipe_broker()
        self.random.shuffle(programs)
        for program in programs:
            program.start()
            self.pause(0.5)

    def cut_agent(self):
        self.place.agent_proxy.cut()
        self.pause(3)
        self.place.agent_proxy.heal()

    def cut_aggregator(self):
        self.place.aggregator_proxy.cut()
        self.pause(3)
        self.place.aggregator_proxy.heal()

    def cut_for_a_moment(self):
        self.place.agent_proxy.cut(refuse=False)
        self.place.aggregator_proxy.cut(refuse=False)

    def fail_scrapes(self):
        self.generator.mode = self.random.choice(("error", "malformed", "cut", "hang"))
        self.pause(2)
        self.generator.mode = "good"

    def reset_generator(self):
        # A reset is visible where a counter falls, and the judge takes one a window: some distance between them.
        if self.generator.serial - self.reset_at > 40:
            self.generator.reset()
            self.reset_at = self.generator.serial

    def run(self, seconds):
        actions = [self.kill_agent, self.kill_agent, self.kill_agent_while_it_starts, self.kill_broker, self.wipe_broker,
                   self.kill_aggregator, self.kill_aggregator, self.kill_all, self.cut_agent, self.cut_aggregator,
                   self.cut_for_a_moment, self.fail_scrapes, self.reset_generator]
        end = time.monotonic() + seconds
        queue = []
        while time.monotonic() < end or len(self.done) < len({action.__name__ for action in actions}):
            if not queue:  # everything once, in another order each time
                queue = self.random.sample(actions, len(actions))
            action = queue.pop()
            action()
            self.done[action.__name__] = self.done.get(action.__name__, 0) + 1
            self.pause(2.5)


def judge(place, generator, windows, holes=()):
    truth = Truth(generator.log, generator.resets, list(SLIS))
    last = truth.check(windows, holes)
    totals = {name: sum(window[name]["total"] for window in windows.values()) for name in SLIS}
    assert all(total > 0 for total in totals.values()), totals
    return truth.compared, last


def test_nothing_lost_and_nothing_twice_whatever_is_killed(place, generator, numbers):
    place.start()
    create_slos(place, WINDOW)
    place.configure_agent({"gen": generator.url})
    begin = math.floor(time.time() / WINDOW) * WINDOW
    place.start_agent()
    names = list(SLIS)
    eventually("first windows", lambda: all_windows(place, names, begin, begin + 3600), 30, 0.5)
    # Killed three times while it is on trial, the agent would rightly go back to the configuration before it.
    eventually("the configuration is good", lambda: place.agent_known()["status"]["config"]["state"] == "CONFIG_STATE_IN_FORCE", 30)
    chaos = Chaos(place, generator, numbers)
    try:
        chaos.run(CHAOS_SECONDS)
        # Quiet again: what is still in queues comes, and two windows more.
        until = (math.floor(time.time() / WINDOW) + 2) * WINDOW
        time.sleep(max(0.0, until - time.time()))
        windows = settled(place, names, begin, until)
        compared, last = judge(place, generator, windows)
        aggregates, facts = gapless(place.facts())
    except BaseException:
        print(place.story())
        raise
    kills = {program.name: program.kills for program in place.programs}
    print(f"compared {compared} windows of {len(names)} SLOs up to scrape {last} of {generator.serial} "
          f"({generator.failed} failed, {len(generator.resets)} resets); {facts} facts of {aggregates} aggregates are gapless; "
          f"killed {kills}; {chaos.done}")
    assert place.rejections() == []
    known = place.agent_known()
    assert int(known.get("intentsLost", 0)) == 0
    assert all(count > 0 for count in kills.values()), kills


def test_a_full_disk_sheds_stated_windows_and_nothing_else(place, generator, numbers):
    """The quota is reached while the broker is away: the hole is stated, counted at both ends, and all around it is
    exact."""
    window, many = 1, 300
    place.start()
    create_slos(place, window)
    spec = SLIS["scrapes"][0]
    for i in range(many):
        place.create_slo(f"ballast-{i}", spec, window)
    place.configure_agent({"gen": generator.url}, buffer__bytes_max="1MiB")
    begin = math.floor(time.time())
    place.start_agent()
    names = list(SLIS)
    try:
        eventually("first windows", lambda: all_windows(place, names, begin, begin + 3600), 30, 0.5)
        place.broker.kill()
        shed = eventually("the agent sheds", lambda: place.metric("picket_buffer_shed_total", "agent"), 120, 0.5)
        time.sleep(3)
        place.start_broker()
        eventually("the queue is empty", lambda: place.metric("picket_buffer_records", "agent") < many * 3, 60, 0.5)
        shed = place.metric("picket_buffer_shed_total", "agent")
        until = math.floor(time.time())
        ids = names + [f"ballast-{i}" for i in range(many)]

        def complete():
            # The end has come for each; what is missing in the middle was shed.
            points = {one: {at for at, p in place.windows(one, begin, until).items() if p["windows"]} for one in ids}
            assert all(max(starts) == until - window for starts in points.values())
            return points
        points = eventually("the last windows are at the centre", complete, 60, 1)
        missing = sum(len(set(range(min(starts), until, window)) - starts) for starts in points.values())
        eventually("the loss is counted at the centre", lambda: int(place.agent_known().get("intentsLost", 0)) == missing, every=0.5)
        # The agent also gives up what the centre has committed without its ack having come back: shed, and not lost. It
        # learns how many that were from the acks, and then both ends name the same number.
        assert 0 < missing <= shed, (missing, shed)
        lost = lambda: sum(int(queue.get("recordsShed", 0)) for queue in place.agent_known()["status"]["queues"])
        eventually("the agent says the same", lambda: lost() == missing, every=0.5)
        assert shed - place.metric("picket_buffer_shed_arrived_total", "agent") == missing
        # Windows of one moment may be shed for some SLOs and kept for others: judged is where all of them are.
        starts = set.intersection(*(points[name] for name in names))
        holes = set(range(min(starts), until, window)) - starts
        by_name = {name: place.windows(name, begin, until) for name in names}
        windows = {at: {name: by_name[name][at] for name in names} for at in starts}
        judge(place, generator, windows, holes)
        for at in holes:
            for name in names:
                assert by_name[name][at]["unknown"] or by_name[name][at]["windows"], f"{name} {at}: a hole that looks green"
        gapless(place.facts())
        assert place.rejections() == []
    except BaseException:
        print(place.story())
        raise


def test_a_clean_restart_of_the_agent_costs_nothing(place, generator, numbers):
    place.start()
    create_slos(place, WINDOW)
    place.configure_agent({"gen": generator.url})
    begin = math.floor(time.time() / WINDOW) * WINDOW
    place.start_agent()
    names = list(SLIS)
    eventually("first windows", lambda: all_windows(place, names, begin, begin + 3600), 30, 0.5)
    for _ in range(3):
        assert place.agent.terminate() == 0, place.agent.tail()
        place.agent.start()
        time.sleep(1.5)
    assert place.aggregator.terminate() == 0, place.aggregator.tail()
    place.start_aggregator()
    until = (math.floor(time.time() / WINDOW) + 2) * WINDOW
    time.sleep(max(0.0, until - time.time()))
    windows = settled(place, names, begin, until)
    judge(place, generator, windows)
    gapless(place.facts())
