#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Intents from many producers against the real journal and a small model of it: duplicated, reordered, lost, damaged, with
crashes before and behind a commit, and restarts. The same seed gives the same run.

    simulate.py --driver build/dev/bin/journal_driver [--intents 20000] [--seed N]

Ends with what was checked, or with the first difference and the command that shows it again."""
import argparse
import collections
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
try:
    import contract
except ImportError:
    print("skipped: python3-protobuf is not installed (apt-get install python3-protobuf)")
    sys.exit(77)
import audit
import model
import rules_catalog  # noqa: F401  (rules enter themselves)
import rules_incidents  # noqa: F401
import rules_slos  # noqa: F401
import traffic
from driver import DEATH_BEHIND, FAILED, NO_MEMORY, NOTHING, STORE_FULL, STORE_SYSTEM, Driver

FATES = ("", "deaths before a commit", "deaths behind a commit", "failed calls of the store", "calls of a full store",
         "failed allocations")
START_MS = 500000 * 3600 * 1000


class Simulation:
    def __init__(self, options, folder):
        self.chance = random.Random(options.seed)
        self.intents_max = options.intents
        self.messages = contract.load(options.proto)
        self.driver = Driver(options.driver, folder, options.seed)
        self.tenants = {name: model.Tenant() for name in ("acme", "other")}
        self.now_ms = START_MS
        self.traffic = traffic.Traffic(self)
        self.counts = collections.Counter()
        self.failing = False  # the journal takes nothing for a second after the disk said no
        self.story = collections.deque(maxlen=30)
        self.committed = collections.defaultdict(int)  # facts by message id, as the model has it

    # -- one round: some messages go out, the journal decides them, and perhaps dies

    def round(self):
        self.now_ms += self.chance.choice((0, 1, 50, 1000, 60000))
        if self.chance.random() < 0.002:
            self.now_ms += self.chance.randrange(3 * 3600 * 1000)
        self.driver.clock(self.now_ms)
        sent = self.traffic.send()
        fate = self.chance.choices(range(6), (92, 2, 2, 1.5, 1, 1.5))[0]
        call = 1 + int(self.chance.paretovariate(0.35)) % (4 if fate == NO_MEMORY else 5000)
        outcomes, killed, struck = self.driver.turn(fate, call)
        self.counts["rounds"] += 1
        if struck:
            self.counts[FATES[fate]] += 1
            self.story.append(f"({FATES[fate]}, call {call})")
        if killed:
            for message in sent:
                if fate == DEATH_BEHIND:
                    message.happened()
                message.unheard()
            assert not outcomes, "an answer came before its commit"
        else:
            assert len(outcomes) == len(sent), f"{len(sent)} were submitted, {len(outcomes)} answered"
            for message, outcome in zip(sent, outcomes):
                self.story.append(f"{message} -> {outcome}")
                if outcome.result == FAILED:
                    assert struck or self.failing, f"{message}: failed, and nothing was wrong"
                    self.counts["answers that it failed"] += 1
                    message.unheard()
                else:
                    message.answered(outcome)
            self.failing = struck and any(outcome.result == FAILED for outcome in outcomes)
        if self.failing:
            self.now_ms += 2000  # the journal tries again after a second
        if self.chance.random() < 0.01:
            fate = self.chance.choices((NOTHING, STORE_SYSTEM, STORE_FULL, NO_MEMORY), (4, 1, 1, 2))[0]
            self.counts["restarts"] += 1
            if self.driver.restart(fate, self.chance.randrange(1, 40)):
                self.counts["restarts with a failure"] += 1
            self.failing = False

    def run(self):
        began, told = time.monotonic(), time.monotonic()
        while self.counts["intents"] < self.intents_max:
            self.round()
            if self.counts["rounds"] % 2000 == 0:
                audit.states(self)
            if time.monotonic() - told > 5:
                told = time.monotonic()
                print(f"  {self.counts['intents']} intents, {self.counts['rounds']} rounds, {told - began:.0f} s", flush=True)
        while self.traffic.waiting():  # what nobody has heard of yet
            self.round()
        audit.states(self)
        audit.facts(self)
        if self.driver.close():
            raise AssertionError("the journal's process did not end well")
        seconds = time.monotonic() - began
        print(", ".join(f"{count} {name}" for name, count in sorted(self.counts.items())) + f"; {seconds:.0f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    parser.add_argument("--proto", default=str(TOP / "proto"))
    parser.add_argument("--intents", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--expect-difference", action="store_true", help="the driver carries a bug: it must be found")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    print(f"seed {options.seed}", flush=True)
    folder = tempfile.mkdtemp(prefix="picket-simulation-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    simulation = Simulation(options, folder)
    try:
        simulation.run()
    except AssertionError as difference:
        print("\n".join(f"    {line}" for line in simulation.story))
        print(f"DIFFERENCE after {simulation.counts['intents']} intents: {difference}")
        print(f"again: {sys.argv[0]} --driver {options.driver} --intents {options.intents} --seed {options.seed}")
        return 0 if options.expect_difference else 1
    finally:
        simulation.driver.process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    if options.expect_difference:
        print("the planted bug was not found: what this simulation does not say means nothing")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
