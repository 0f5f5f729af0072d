# SPDX-License-Identifier: Apache-2.0
"""What travels. Each kind of message knows what should come of it: expect() says it of the model as it stands, commit()
changes the model when it has happened, answered() holds the journal's answer against it."""
import uuid

import model
from driver import COMMITTED, REFUSED, REPEATED

RESULTS = ("committed", "repeated", "refused", "failed")


class Rejection:
    """An entry of the list: what was refused, as far as it can be tried again."""
    __slots__ = ("tenant", "producer", "code", "which", "fields", "message_id", "request", "wrong_tenant",
                 "replayed_by")

    def __init__(self, tenant, producer, code, which=None, fields=None, message_id="", request=b"", wrong_tenant=False):
        self.tenant, self.producer, self.code, self.which, self.fields = tenant, producer, code, which, fields
        self.message_id, self.request, self.wrong_tenant, self.replayed_by = message_id, request, wrong_tenant, ""


class Message:
    done, message_id = False, None

    def unheard(self):
        """No answer came: it is sent again."""

    def happened(self):
        """It was committed, and the answer was lost."""
        result, code, changes = self.expect()
        self.commit(result, code, changes)

    def answered(self, outcome):
        result, code, changes = self.expect()
        assert (outcome.result, outcome.code) == (result, code), \
            f"{self}: {RESULTS[outcome.result]} {outcome.code} '{outcome.text}', expected {RESULTS[result]} {code}"
        self.commit(result, code, changes)
        self.simulation.counts[RESULTS[result]] += 1
        self.done = True


class Single(Message):
    """One intent of a caller."""

    def __init__(self, simulation, tenant, actor, role, which, fields, expected_version=0, key=b"", message_id=None):
        self.simulation, self.tenant_name, self.actor, self.role = simulation, tenant, actor, role
        self.which, self.fields, self.expected_version, self.key = which, fields, expected_version, key
        self.message_id = message_id or str(uuid.UUID(int=simulation.chance.getrandbits(128), version=4))
        self.sent_once = False
        self.wrong_tenant = simulation.chance.random() < 0.01
        meta = {"message_id": self.message_id}
        if self.wrong_tenant:
            meta["tenant_id"] = "other" if tenant == "acme" else "acme"
        intent = simulation.messages["SreDomainIntent"](**{which: fields})
        self.request = intent.SerializeToString()
        intent.MergeFrom(simulation.messages["SreDomainIntent"](meta=meta))
        self.payload = intent.SerializeToString()
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
        before = tenant.keys.get((self.actor, self.key)) or tenant.marks.get(self.message_id)
        if before:
            return (REPEATED, "none", []) if before == self.request else (REFUSED, "conflict", [])
        if self.wrong_tenant:
            return REFUSED, "denied", []
        changes = model.decide(tenant, self.which, self.fields, model.Who(self.actor, self.role, self.now_ms),
                               self.expected_version)
        if isinstance(changes, model.Refused):
            return REFUSED, changes.code, []
        return (COMMITTED if changes else REPEATED), "none", changes

    def commit(self, result, code, changes):
        tenant = self.tenant()
        if result == REFUSED:
            self.simulation.reject(Rejection(self.tenant_name, self.actor, code, self.which, self.fields, self.message_id,
                                             self.request, self.wrong_tenant))
            return
        self.simulation.commit(self.tenant_name, changes, self.which, self.message_id)
        if self.message_id not in tenant.marks and not (self.key and (self.actor, self.key) in tenant.keys):
            tenant.marks[self.message_id] = self.request
            if self.key:
                tenant.keys[(self.actor, self.key)] = self.request

    def answered(self, outcome):
        super().answered(outcome)
        if outcome.result == REFUSED:
            return
        found = self.tenant().aggregates[(outcome.type, outcome.id)]
        assert outcome.type == model.RULES[self.which].kind
        assert outcome.version == found.version or (found.deleted and outcome.result == REPEATED), \
            f"{self}: answered version {outcome.version}, expected {found.version}"


class Replay(Message):
    """A refused intent, given again by a person. What only agents may say stays the agent's word."""

    def __init__(self, simulation, tenant, actor, role, sequence):
        self.simulation, self.tenant_name, self.actor, self.role, self.sequence = simulation, tenant, actor, role, sequence
        self.sent_once = False

    def __str__(self):
        return f"{self.tenant_name}/{self.actor} replays rejection {self.sequence}"

    def submit(self):
        self.sent_once = True
        self.now_ms = self.simulation.now_ms
        self.simulation.driver.command(self.tenant_name, self.actor, self.role, b"", replay_of=self.sequence)

    def expect(self):
        entry = self.simulation.rejections[self.sequence - 1]
        tenant = self.simulation.tenants[self.tenant_name]
        if entry.tenant != self.tenant_name:
            return REFUSED, "absent", []
        if entry.replayed_by:
            return REFUSED, "conflict", []
        if not entry.which:
            return REFUSED, entry.code, []
        before = tenant.marks.get(entry.message_id)
        if before:
            return (REPEATED, "none", []) if before == entry.request else (REFUSED, "conflict", [])
        if entry.wrong_tenant:
            return REFUSED, "denied", []
        own = self.role in model.RULES[entry.which].senders
        who = model.Who(self.actor, self.role, self.now_ms) if own else model.Who(entry.producer, model.AGENT, self.now_ms)
        changes = model.decide(tenant, entry.which, entry.fields, who)
        if isinstance(changes, model.Refused):
            return REFUSED, changes.code, []
        return (COMMITTED if changes else REPEATED), "none", changes

    def commit(self, result, code, changes):
        if result == REFUSED:
            return  # it is in the list
        entry = self.simulation.rejections[self.sequence - 1]
        entry.replayed_by = self.actor
        self.simulation.counts["replayed"] += 1
        self.simulation.commit(self.tenant_name, changes, entry.which, entry.message_id)
        if entry.message_id:
            self.simulation.tenants[self.tenant_name].marks.setdefault(entry.message_id, entry.request)


class Damaged(Message):
    """Bytes that are no intent, or no batch."""
    sent_once = True

    def __init__(self, simulation, tenant, actor, role, batch):
        self.simulation, self.tenant_name, self.actor, self.role, self.batch = simulation, tenant, actor, role, batch
        self.payload = b"\xff" + bytes(simulation.chance.randrange(256) for _ in range(simulation.chance.randrange(9)))
        simulation.counts["intents"] += 1

    def __str__(self):
        return f"{self.tenant_name}/{self.actor} sends {self.payload.hex()} as {'a batch' if self.batch else 'an intent'}"

    def submit(self):
        if self.batch:
            self.simulation.driver.batch(self.tenant_name, self.actor, self.payload)
        else:
            self.simulation.driver.command(self.tenant_name, self.actor, self.role, self.payload)

    def expect(self):
        return REFUSED, "input", []

    def commit(self, result, code, changes):
        self.simulation.reject(Rejection(self.tenant_name, self.actor, code))


class Batch(Message):
    """A stretch of an agent's stream."""

    def __init__(self, stream, after, first, intents):
        self.stream, self.after, self.first, self.intents = stream, after, first, intents
        self.simulation = stream.simulation
        batch = self.simulation.messages["EncodedIntentBatch"](epoch=stream.epoch, stream=stream.number, after_sequence=after,
                                                               first_sequence=first, intents=[i[2] for i in intents])
        self.payload = batch.SerializeToString()

    def __str__(self):
        return f"{self.stream} batch after {self.after}: {self.first}..{self.first + len(self.intents) - 1}"

    def submit(self):
        self.now_ms = self.simulation.now_ms
        self.simulation.driver.batch(self.stream.tenant_name, self.stream.agent, self.payload)

    def apply(self):
        """(committed, wanted, applied, repeated, refused, missing), and the model has changed."""
        stream, count = self.stream, len(self.intents)
        tenant = self.simulation.tenants[stream.tenant_name]
        key = (stream.agent, stream.epoch, stream.number)
        last = tenant.streams.get(key, 0)
        if self.after > last:
            return last, last + 1, 0, 0, 0, 0
        skip = max(0, last - self.first + 1)
        missing = self.first - 1 - last if skip == 0 else 0
        applied, repeated, refused = 0, min(skip, count), 0
        for which, fields, _ in self.intents[skip:]:
            changes = model.INPUT if fields is None else \
                model.decide(tenant, which, fields, model.Who(stream.agent, model.AGENT, self.now_ms))
            if isinstance(changes, model.Refused):
                refused += 1
                self.simulation.reject(Rejection(stream.tenant_name, stream.agent, changes.code, fields and which, fields))
            elif changes:
                applied += 1
                self.simulation.commit(stream.tenant_name, changes, which)
            else:
                repeated += 1
        if skip < count:
            tenant.streams[key] = last = self.first + count - 1
        return last, 0, applied, repeated, refused, missing

    def happened(self):
        self.apply()

    def answered(self, outcome):
        expected = self.apply()
        assert outcome[2:] == expected, f"{self}: {outcome}, expected {expected}"
        self.stream.heard(outcome.committed)
        self.simulation.counts["batches"] += 1
