# SPDX-License-Identifier: Apache-2.0
"""The judge is judged: it accepts what a right agent would report of a random history, and finds every single wrong
number. A test that cannot fail proves nothing."""
import copy
import random

import pytest

from generator import SLIS, Generator
from truth import Mismatch, Truth, gapless


def history(numbers, scrapes=90, resets=2, per_window=5):
    """A generator's log, and the windows of an agent that counted some of the scrapes."""
    source = random.Random(numbers)
    generator = Generator(numbers)
    try:
        due = sorted(source.sample(range(22, scrapes - 8, 25), resets))
        for _ in range(scrapes):
            if due and generator.serial + 1 == due[0]:
                generator.reset()
                due.pop(0)
            generator.exposition()
    finally:
        generator.close()
    windows, last = {}, None
    for start in range(1, scrapes + 1, per_window):
        served = range(start, min(start + per_window, scrapes + 1))
        counted = [serial for serial in served if source.random() < 0.8]
        window = {name: {"good": 0, "total": 0, "expected": per_window, "seen": len(counted),
                         "unknown": len(counted) < per_window, "windows": 1} for name in SLIS}
        for serial in counted:
            here = generator.log[serial]
            window["temperature"]["total"] += 1
            window["temperature"]["good"] += here["temperature"] < 50
            if last is not None:
                for name, (_, read) in SLIS.items():
                    if callable(read):
                        # As a counter is read: per series, and a fall is a new beginning.
                        fell = any(last < reset <= serial for reset in generator.resets)
                        before = (0, 0) if fell else read(generator.log[last])
                        window[name]["good"] += read(here)[0] - before[0]
                        window[name]["total"] += read(here)[1] - before[1]
                window["scrapes"]["good"] += serial - last
                window["scrapes"]["total"] += serial - last
            last = serial
        windows[start] = window
    return generator, windows, last


@pytest.mark.parametrize("numbers", range(20))
def test_what_is_right_is_accepted(numbers):
    generator, windows, last = history(numbers)
    assert Truth(generator.log, generator.resets, list(SLIS)).check(windows) == last


@pytest.mark.parametrize("numbers", range(20))
def test_windows_that_were_shed_are_passed_over_and_counting_is_found_again(numbers):
    generator, windows, last = history(numbers, scrapes=100)
    gone = sorted(windows)[5:9]
    kept = {start: window for start, window in windows.items() if start not in gone}
    assert Truth(generator.log, generator.resets, list(SLIS)).check(kept, gone) == last


@pytest.mark.parametrize("numbers", range(20))
def test_one_wrong_number_anywhere_is_found(numbers):
    generator, windows, _ = history(numbers)
    source = random.Random(numbers)
    for _ in range(10):
        wrong = copy.deepcopy(windows)
        # Not the first two: before anything was counted a different beginning would explain it.
        start, name = source.choice(sorted(wrong)[2:]), source.choice(sorted(SLIS))
        point = wrong[start][name]
        field = source.choice(("good", "total"))
        if name == "temperature" and point["seen"] < windows[start]["scrapes"]["total"]:
            field = "total"  # which of the served scrapes were counted is not known: good has bounds only
        point[field] += source.choice((-1, 1))
        with pytest.raises(Mismatch):
            Truth(generator.log, generator.resets, list(SLIS)).check(wrong)


def test_a_lost_and_a_doubled_window_are_found():
    generator, windows, _ = history(3)
    starts = sorted(windows)
    lost = {start: window for start, window in windows.items() if start != starts[6]}
    with pytest.raises(Mismatch):
        Truth(generator.log, generator.resets, list(SLIS)).check(lost)
    doubled = copy.deepcopy(windows)
    for point in doubled[starts[6]].values():
        point["good"] *= 2
        point["total"] *= 2
    with pytest.raises(Mismatch):
        Truth(generator.log, generator.resets, list(SLIS)).check(doubled)


def test_a_gap_that_is_not_said_is_found():
    generator, windows, _ = history(4)
    start = next(start for start in sorted(windows) if windows[start]["jobs"]["unknown"])
    windows[start]["jobs"]["unknown"] = False
    with pytest.raises(Mismatch):
        Truth(generator.log, generator.resets, list(SLIS)).check(windows)


def fact(sequence, version, window=None, aggregate="a"):
    made = {"sequence": str(sequence), "subject": {"aggregateType": "slo", "aggregateId": aggregate, "aggregateVersion": str(version)}}
    if window:
        made["sliWindowRecorded"] = {"window": {"sloId": aggregate, "windowStart": window, "revision": "1"}}
    return made


def test_facts_with_a_gap_a_repeat_or_a_window_twice_are_found():
    good = [fact(1, 1), fact(2, 2, "t1"), fact(5, 1, aggregate="b"), fact(6, 3, "t2")]
    assert gapless(good) == (2, 4)
    for wrong in (good[:1] + good[2:], good + [fact(6, 4)], good + [fact(7, 5)], good + [fact(7, 4, "t2")]):
        with pytest.raises(Mismatch):
            gapless(wrong)
