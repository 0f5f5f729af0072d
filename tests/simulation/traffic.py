# SPDX-License-Identifier: Apache-2.0
"""Producers and their network: persons, integrations and agents that make intents out of few names (so that they meet),
send them until they are answered, send some twice, out of order, late, or damaged."""
import uuid

import model
import sayings
from driver import COMMITTED, REFUSED, REPEATED

PEOPLE = {"acme": (("anna", model.RESPONDER), ("ben", model.APPROVER), ("petra", model.APPROVER), ("root", model.ADMIN), ("pager", model.INTEGRATION),
                   ("guest", model.VIEWER)),
          "other": (("olga", model.ADMIN), ("hook", model.INTEGRATION))}
AGENTS = ("edge-1", "edge-2", "edge-3")


class Single:
    """One intent of a caller."""

    def __init__(self, simulation, tenant, actor, role, which, fields, expected_version=0, key=b""):
        self.simulation, self.tenant_name, self.actor, self.role = simulation, tenant, actor, role
        self.which, self.fields, self.expected_version, self.key = which, fields, expected_version, key
        self.message_id = str(uuid.UUID(int=simulation.chance.getrandbits(128), version=4))
        self.done = False
        self.sent_once = False
        meta = {"message_id": self.message_id}
        if simulation.chance.random() < 0.01:
            self.wrong_tenant = True
            meta["tenant_id"] = "other" if tenant == "acme" else "acme"
        else:
            self.wrong_tenant = False
        self.payload = simulation.messages["SreDomainIntent"](meta=meta, **{which: fields}).SerializeToString()
        simulation.counts["intents"] += 1

    def __str__(self):
        return f"{self.tenant_name}/{self.actor} {self.which} {self.fields} v{self.expected_version} {self.message_id[:8]}"

    def tenant(self):
        return self.simulation.tenants[self.tenant_name]

    def submit(self):
        self.sent_once = True
        self.now_ms = self.simulation.now_ms
        self.simulation.driver.command(self.tenant_name, self.actor, self.role, self.payload, self.expected_version, self.key)

    def expect(self):
        """(result, code, changes) as the model has it, now."""
        tenant = self.tenant()
        request = (self.which, repr(self.fields))
        if self.key:
            before = tenant.keys.get((self.actor, self.key))
            if before:
                return (REFUSED, "conflict", []) if before[0] != request else (REPEATED, "none", [])
        if self.message_id in tenant.marks:
            return REPEATED, "none", []
        if self.wrong_tenant:
            return REFUSED, "denied", []
        changes = model.decide(tenant, self.which, self.fields, model.Who(self.actor, self.role, self.now_ms),
                               self.expected_version)
        if isinstance(changes, model.Refused):
            return REFUSED, changes.code, []
        return (COMMITTED if changes else REPEATED), "none", changes

    def commit(self, result, changes):
        tenant = self.tenant()
        if result == REFUSED:
            return
        model.commit(tenant, changes)
        if self.message_id not in tenant.marks:
            place = model.place(self.which, self.fields)
            if not (self.key and (self.actor, self.key) in tenant.keys):
                tenant.marks[self.message_id] = place
                if self.key:
                    tenant.keys[(self.actor, self.key)] = ((self.which, repr(self.fields)),) + place
        self.simulation.committed[self.message_id] += len(changes)

    def happened(self):
        """It was committed, and the answer was lost."""
        result, _, changes = self.expect()
        self.commit(result, changes)

    def unheard(self):
        """It is sent again, for no answer came."""

    def answered(self, outcome):
        result, code, changes = self.expect()
        assert (outcome.result, outcome.code) == (result, code), \
            f"{self}: {('committed', 'repeated', 'refused', 'failed')[outcome.result]} {outcome.code} '{outcome.text}', " \
            f"expected {('committed', 'repeated', 'refused')[result]} {code}"
        self.commit(result, changes)
        if result != REFUSED:
            found = self.tenant().aggregates[(outcome.type, outcome.id)]
            assert outcome.type == model.RULES[self.which].kind
            assert outcome.version == found.version or (found.deleted and result == REPEATED), \
                f"{self}: answered version {outcome.version}, expected {found.version}"
        self.simulation.counts[("committed", "repeated", "refused")[result]] += 1
        self.done = True


class Batch:
    """A stretch of an agent's stream."""

    def __init__(self, stream, after, first, intents):
        self.stream, self.after, self.first, self.intents = stream, after, first, intents
        simulation = stream.simulation
        batch = simulation.messages["EncodedIntentBatch"](epoch=stream.epoch, stream=stream.number, after_sequence=after,
                                                          first_sequence=first, intents=[i[2] for i in intents])
        self.payload = batch.SerializeToString()

    def __str__(self):
        return f"{self.stream} batch after {self.after}: {self.first}..{self.first + len(self.intents) - 1}"

    def submit(self):
        self.now_ms = self.stream.simulation.now_ms
        self.stream.simulation.driver.batch(self.stream.tenant_name, self.stream.agent, self.payload)

    def apply(self):
        """(committed, wanted, applied, repeated, refused, missing), and the model has changed."""
        stream, count = self.stream, len(self.intents)
        tenant = stream.simulation.tenants[stream.tenant_name]
        key = (stream.agent, stream.epoch, stream.number)
        last = tenant.streams.get(key, 0)
        if self.after > last:
            return last, last + 1, 0, 0, 0, 0
        skip = max(0, last - self.first + 1)
        missing = self.first - 1 - last if skip == 0 else 0
        applied, repeated, refused = 0, min(skip, count), 0
        for which, fields, _ in self.intents[skip:]:
            changes = fields is None and model.INPUT or \
                model.decide(tenant, which, fields, model.Who(stream.agent, model.AGENT, self.now_ms))
            if isinstance(changes, model.Refused):
                refused += 1
            elif changes:
                applied += 1
                model.commit(tenant, changes)
            else:
                repeated += 1
        if skip < count:
            tenant.streams[key] = last = self.first + count - 1
        return last, 0, applied, repeated, refused, missing

    def happened(self):
        self.apply()

    def unheard(self):
        self.stream.batches.discard(self)

    def answered(self, outcome):
        expected = self.apply()
        assert outcome[1:] == expected, f"{self}: {outcome}, expected {expected}"
        self.stream.batches.discard(self)
        self.stream.heard(outcome.committed)
        self.stream.simulation.counts["batches"] += 1


class Stream:
    def __init__(self, simulation, tenant, agent, epoch, number):
        self.simulation, self.tenant_name, self.agent, self.epoch, self.number = simulation, tenant, agent, epoch, number
        self.kept = {}  # sequence: intent
        self.last, self.committed = 0, 0
        self.batches = set()

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
        self.singles = []
        self.streams = []
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
        chance = self.chance
        tenant = chance.choices(("acme", "other"), (4, 1))[0]
        actor, role = chance.choice(PEOPLE[tenant])
        which, fields = sayings.of_a_caller(self.words())
        expected = 0
        if chance.random() < 0.1:
            found = self.simulation.tenants[tenant].aggregates.get(model.place(which, fields))
            expected = max(0, (found.version if found else 0) + chance.choice((0, 0, -1, 1)))
        key = f"key-{chance.randrange(3000)}".encode() if chance.random() < 0.05 else b""
        return Single(self.simulation, tenant, actor, role, which, fields, expected, key)

    # -- the network

    def send(self):
        chance, drain = self.chance, self.simulation.counts["intents"] >= self.simulation.intents_max
        if not drain:
            while len(self.singles) < 200:
                self.singles.append(self.ask())
            for stream in self.streams:
                if chance.random() < 0.3 and len(stream.kept) < 500:
                    stream.make(chance.randrange(1, 80))
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
