# SPDX-License-Identifier: Apache-2.0
"""Producers and their network: persons, integrations and agents that make intents out of few names (so that they meet),
send them until they are answered, send some twice, out of order, late, or damaged."""
import uuid

import model
import sayings
from messages import Batch, Damaged, Replay, Single

PEOPLE = {"acme": (("anna", model.RESPONDER), ("ben", model.APPROVER), ("petra", model.APPROVER), ("root", model.ADMIN),
                   ("pager", model.INTEGRATION), ("guest", model.VIEWER)),
          "other": (("olga", model.ADMIN), ("hook", model.INTEGRATION))}
AGENTS = ("edge-1", "edge-2", "edge-3")
REPLAY_BACK = 2000  # so far back in the list of rejections are those that are tried again


class Stream:
    def __init__(self, simulation, tenant, agent, epoch, number):
        self.simulation, self.tenant_name, self.agent, self.epoch, self.number = simulation, tenant, agent, epoch, number
        self.kept = {}  # sequence: intent
        self.last, self.committed = 0, 0

    def __str__(self):
        return f"{self.tenant_name}/{self.agent} stream {self.number}"

    def heard(self, committed):
        while self.committed < committed:
            self.committed += 1
            self.kept.pop(self.committed, None)

    def make(self, count):
        for _ in range(count):
            self.last += 1
            self.kept[self.last] = self.simulation.traffic.measure()
        if len(self.kept) > 400 and self.simulation.chance.random() < 0.3:  # over its quota: the oldest go
            for sequence in sorted(self.kept)[:self.simulation.chance.randrange(1, 50)]:
                del self.kept[sequence]

    def batch(self):
        if not self.kept:
            return None
        chance, first = self.simulation.chance, min(self.kept)
        start = first if chance.random() < 0.7 else chance.choice(sorted(self.kept))
        intents, sequence = [], start
        while sequence in self.kept and len(intents) < 60:
            intents.append(self.kept[sequence])
            sequence += 1
        before = [s for s in self.kept if s < start]
        after = max(before) if before else self.committed
        return Batch(self, min(after, start - 1), start, intents)


class Traffic:
    def __init__(self, simulation):
        self.simulation, self.chance = simulation, simulation.chance
        self.singles, self.streams = [], []
        self.keys = 0  # a new one for each age: what a key and a message id were used for is kept for days only
        self.forgotten = 0  # rejections before this one belong to an earlier age
        for tenant in simulation.tenants:
            for agent in AGENTS[:3 if tenant == "acme" else 1]:
                epoch = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
                self.streams += [Stream(simulation, tenant, agent, epoch, n) for n in (1, 2)]

    def waiting(self):
        return self.singles or any(stream.kept for stream in self.streams)

    # -- what there is to say

    def words(self):
        return sayings.Words(self.chance, self.simulation.counts["intents"], self.simulation.now_ms)

    def measure(self):
        """(which, fields, bytes) of an agent's intent; fields None: bytes that are no intent."""
        self.simulation.counts["intents"] += 1
        if self.chance.random() < 0.01:
            return ("garbage", None, b"\xff" + bytes(self.chance.randrange(256) for _ in range(5)))
        which, fields = sayings.of_an_agent(self.words())
        return which, fields, self.simulation.messages["SreDomainIntent"](**{which: fields}).SerializeToString()

    def ask(self):
        """A new intent of a caller."""
        chance, rejections = self.chance, len(self.simulation.rejections)
        tried_again_from = max(self.forgotten, rejections - REPLAY_BACK) + 1
        tenant = chance.choices(("acme", "other"), (4, 1))[0]
        actor, role = chance.choice(PEOPLE[tenant])
        roll = chance.random()
        if roll < 0.01:
            return Damaged(self.simulation, tenant, *((chance.choice(AGENTS), model.AGENT, True) if roll < 0.005 else (actor, role, False)))
        if roll < 0.08 and rejections >= tried_again_from:
            return Replay(self.simulation, tenant, actor, role, chance.randrange(tried_again_from, rejections + 1))
        for _ in range(3):  # most of what is said at random would be refused
            actor, role = chance.choice(PEOPLE[tenant])
            which, fields = sayings.of_a_caller(self.words())
            if which in sayings.OWN and chance.random() < 0.9:
                actor, role = "picket-aggregator", model.SELF
            now = model.decide(self.simulation.tenants[tenant], which, fields, model.Who(actor, role, self.simulation.now_ms))
            if not isinstance(now, model.Refused):
                break
        expected = 0
        if chance.random() < 0.1:
            found = self.simulation.tenants[tenant].aggregates.get(model.place(which, fields))
            expected = max(0, (found.version if found else 0) + chance.choice((0, 0, -1, 1)))
        key = f"key-{self.keys}-{chance.randrange(3000)}".encode() if chance.random() < 0.05 else b""
        taken = chance.choice(self.singles).message_id if self.singles and roll > 0.99 else None  # another's id
        return Single(self.simulation, tenant, actor, role, which, fields, expected, key, taken)

    # -- the network

    def forget(self):
        """A long time goes by, and nobody sends anything again that may have been taken before it."""
        self.singles = [s for s in self.singles if not s.sent_once and not any(s.message_id in t.marks
                                                                               for t in self.simulation.tenants.values())]
        self.keys += 1
        self.forgotten = len(self.simulation.rejections)

    def send(self):
        chance, drain = self.chance, self.simulation.counts["intents"] >= self.simulation.intents_max
        if not drain:
            while len(self.singles) < min(200, self.simulation.intents_max // 8):
                self.singles.append(self.ask())
            for stream in self.streams:
                if chance.random() < 0.15 and len(stream.kept) < 500:
                    stream.make(chance.randrange(1, min(80, self.simulation.intents_max // 16)))
        sent = [single for single in self.singles if chance.random() < 0.5]
        sent += [single for single in sent if chance.random() < 0.05]  # twice in one transaction
        for stream in self.streams:
            for _ in range(chance.randrange(3)):
                batch = stream.batch()
                if batch:
                    sent.append(batch)
        chance.shuffle(sent)
        for message in sent:
            message.submit()
        self.singles = [single for single in self.singles if not single.done or chance.random() < 0.1]
        return sent
