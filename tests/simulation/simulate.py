#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Intents from many producers against the real journal and a small model of it: duplicated, reordered, lost, damaged, with
crashes before and behind a commit, and restarts. The same seed gives the same run.

    simulate.py --driver build/dev/bin/journal_driver [--intents 20000] [--seed N]
    simulate.py --driver build/dev/bin/journal_driver --nth all [--sample N] [--seed N]

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
import nth
import rules_catalog  # noqa: F401  (rules enter themselves)
import rules_incidents  # noqa: F401
import rules_slos  # noqa: F401
import traffic
from driver import DEATH_BEHIND, FAILED, NO_MEMORY, NOTHING, STORE_FULL, STORE_SYSTEM, Driver, Ended

FATES = ("", "deaths before a commit", "deaths behind a commit", "failed calls of the store", "calls of a full store",
         "failed allocations")
START_MS = 500000 * 3600 * 1000


class Simulation:
    def __init__(self, options, folder, failure=NOTHING, call=0):
        """failure: the only one of the whole run, at that call; NOTHING: fate has its way"""
        self.chance = random.Random(options.seed)
        self.intents_max, self.fateful = options.intents, failure == NOTHING
        self.messages = options.messages
        retention_ms = self.chance.choice((0, 5 * 60 * 1000, 3600 * 1000)) if self.fateful else 60 * 1000
        self.tenants = {name: model.Tenant() for name in ("acme", "other")}
        self.now_ms = START_MS
        self.counts, self.committed_by = collections.Counter(), collections.Counter()
        self.failing = False  # the journal takes nothing for a second after the disk said no
        self.story = collections.deque(maxlen=30)
        self.facts = 0
        self.facts_of = collections.Counter()  # by message id
        self.rejections = []
        self.traffic = traffic.Traffic(self)
        self.reader = audit.Reader(self)
        self.driver = Driver(options.driver, folder, options.seed, retention_ms, failure, call)

    # -- what has happened

    def commit(self, tenant, changes, which, message_id=None):
        model.commit(self.tenants[tenant], changes)
        self.facts += len(changes)
        self.committed_by[which] += bool(changes)
        if message_id:
            self.facts_of[message_id] += len(changes)

    def reject(self, entry):
        self.rejections.append(entry)
        if len(self.rejections) > traffic.REPLAY_BACK + 10000:  # it will not be tried again
            self.rejections[-traffic.REPLAY_BACK - 10000].fields = None

    # -- one round: some messages go out, the journal decides them, and perhaps dies

    def pass_time(self):
        self.now_ms += self.chance.choice((0, 1, 50, 1000, 60000))
        roll = self.chance.random()
        if roll < 0.004:
            self.now_ms += self.chance.randrange(3 * model.HOUR_MS)
        elif roll < 0.008:
            self.now_ms += self.chance.randrange(model.DAY_MS, 20 * model.DAY_MS)
            self.traffic.forget()
        if self.failing:
            self.now_ms += 2000  # the journal tries again after a second
        self.driver.clock(self.now_ms)

    def look_at_clock(self):
        """What the aggregator says to itself, and is not answered: (tenant, changes)."""
        found = [(name, *entry) for name, tenant in self.tenants.items() for entry in model.due(tenant, self.now_ms)]
        submitted = self.driver.due(600)
        assert submitted == min(len(found), 600) and len(found) < 600, f"{submitted} are due, expected {found[:5]}..."
        return found

    def round(self):
        self.pass_time()
        due = self.look_at_clock() if self.chance.random() < 0.3 else []
        sent = self.traffic.send()
        fate = self.chance.choices(range(6), (92, 2, 2, 1.5, 1, 1.5))[0] if self.fateful else NOTHING
        call = 1 + int(self.chance.paretovariate(0.35)) % (4 if fate == NO_MEMORY else 5000)
        turn = self.driver.turn(fate, call)
        self.counts["rounds"] += 1
        if turn.struck and self.fateful:
            self.counts[FATES[fate]] += 1
            self.story.append(f"({FATES[fate]}, call {call})")
        if turn.killed:
            assert not turn.outcomes, "an answer came before its commit"
            if fate == DEATH_BEHIND:
                self.decided(due)
            for message in sent:
                if fate == DEATH_BEHIND:
                    message.happened()
                message.unheard()
        else:
            self.hear(turn, due, sent)
        assert turn.last_sequence == self.facts, f"the log has {turn.last_sequence} facts, expected {self.facts}"

    def hear(self, turn, due, sent):
        failed = any(outcome.result == FAILED for outcome in turn.outcomes)
        assert len(turn.outcomes) == len(sent), f"{len(sent)} were submitted, {len(turn.outcomes)} answered"
        assert not failed or turn.struck or self.failing, "a message failed, and nothing was wrong"
        if due and (turn.struck or self.failing):
            said = self.said_by_clock()
            due = [entry for entry in due if entry[:3] in said]
        self.decided(due)
        for message, outcome in zip(sent, turn.outcomes):
            self.story.append(f"{message} -> {outcome}")
            if outcome.result == FAILED:
                self.counts["answers that it failed"] += 1
                message.unheard()
            else:
                message.answered(outcome)
        self.failing = failed or (turn.struck and not sent)  # nobody heard whether it failed

    def said_by_clock(self):
        """What has facts of the aggregator's own behind those that are known."""
        decode = self.messages["SreDomainFact"].FromString
        return {(fact.tenant, fact.type, fact.id) for fact in self.driver.facts(self.facts)
                if decode(fact.bytes).meta.producer == "picket-aggregator"}

    def decided(self, due):
        for tenant, kind, id_, changes in due:
            self.story.append(f"the clock: {tenant} {kind} {id_}")
            self.commit(tenant, changes, f"the clock, {kind}")

    def restart(self):
        fate = self.chance.choices((NOTHING, STORE_SYSTEM, STORE_FULL, NO_MEMORY), (4, 1, 1, 2))[0] if self.fateful else NOTHING
        self.counts["restarts"] += 1
        if self.driver.restart(fate, self.chance.randrange(1, 40)) and self.fateful:
            self.counts["restarts with a failure"] += 1
        self.failing = False

    def run(self, told=True):
        began = last_told = time.monotonic()
        while self.counts["intents"] < self.intents_max or self.traffic.waiting():  # what nobody has heard of yet
            self.round()
            if self.chance.random() < (0.01 if self.fateful else 0.1):
                self.restart()
            if self.counts["rounds"] % 25 == 0:
                self.reader.read()
            if self.counts["rounds"] % 200 == 0:
                audit.states(self)
            if told and time.monotonic() - last_told > 5:
                last_told = time.monotonic()
                print(f"  {self.counts['intents']} intents, {self.counts['rounds']} rounds, {last_told - began:.0f} s", flush=True)
        self.restart()
        audit.all_of_it(self)
        self.struck, self.calls = self.driver.struck()
        if self.driver.close():
            raise AssertionError("the journal's process did not end well")
        if told:
            self.tell(time.monotonic() - began)

    def tell(self, seconds):
        print(", ".join(f"{count} {name}" for name, count in sorted(self.counts.items())) + f"; {seconds:.0f} s")
        print("committed: " + ", ".join(f"{count} {name}" for name, count in sorted(self.committed_by.items())))
        missing = set(model.RULES) - set(self.committed_by) - {"expire_alert"}  # the clock says it
        assert not missing or self.intents_max < 10000, f"not one of these had an effect: {sorted(missing)}"


def folder_make():
    return tempfile.mkdtemp(prefix="picket-simulation-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)


def nth_runs(options):
    """Failures one by one: what is done is the same each time."""
    def make(failure, call):
        folder = folder_make()
        return folder, Simulation(options, folder, failure, call)
    options.intents = options.intents or 400
    sample_seed, options.seed = options.seed, 1
    kinds = nth.KINDS if options.nth == "all" else [options.nth]
    if nth.all_of_it(make, kinds, options.sample, sample_seed):
        print(f"again: {sys.argv[0]} --driver {options.driver} --nth {options.nth} --sample {options.sample} --seed {sample_seed}")
        return 1
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    parser.add_argument("--proto", default=str(TOP / "proto"))
    parser.add_argument("--intents", type=int, default=None, help="20000, or 400 with --nth")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--expect-difference", action="store_true", help="the driver carries a bug: it must be found")
    parser.add_argument("--nth", choices=("all", *nth.KINDS), help="a short run for each call that can fail, in which it does")
    parser.add_argument("--sample", type=int, default=0, help="with --nth: only so many of each kind, by the seed; 0: all")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    print(f"seed {options.seed}", flush=True)
    options.messages = contract.load(options.proto)
    if options.nth:
        return nth_runs(options)
    options.intents = options.intents or 20000
    folder = folder_make()
    simulation = Simulation(options, folder)
    try:
        simulation.run()
    except AssertionError as difference:
        print("\n".join(f"    {line}" for line in simulation.story))
        print(f"DIFFERENCE after {simulation.counts['intents']} intents: {difference}")
        print(f"again: {sys.argv[0]} --driver {options.driver} --intents {options.intents} --seed {options.seed}")
        return 0 if options.expect_difference and not isinstance(difference, Ended) else 1
    finally:
        simulation.driver.process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    if options.expect_difference:
        print("the planted bug was not found: what this simulation does not say means nothing")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
