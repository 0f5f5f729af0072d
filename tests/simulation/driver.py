# SPDX-License-Identifier: Apache-2.0
"""The journal on the other side of two pipes: frames as journal_driver.c reads and writes them."""
import collections
import struct
import subprocess

Outcome = collections.namedtuple("Outcome", "result code version sequence type id text")
BatchOutcome = collections.namedtuple("BatchOutcome", "result code committed wanted applied repeated refused missing")
Fact = collections.namedtuple("Fact", "first sequence compacted number version tenant type id bytes")
Rejected = collections.namedtuple("Rejected", "sequence code producer payload replayed replayed_by")
Turn = collections.namedtuple("Turn", "outcomes killed struck last_sequence")
COMMITTED, REPEATED, REFUSED, FAILED = range(4)
NOTHING, DEATH_BEFORE, DEATH_BEHIND, STORE_SYSTEM, STORE_FULL, NO_MEMORY = range(6)
CODES = ("none", "again", "absent", "conflict", "input", "limit", "corrupt", "denied", "timeout", "system", "exists")


class Ended(AssertionError):
    """The journal's process is gone: never what was to be found."""


class Frame:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, size):
        self.at += size
        return int.from_bytes(self.data[self.at - size:self.at], "little")

    def bytes(self):
        size = self.number(4)
        self.at += size
        return self.data[self.at - size:self.at]

    def text(self):
        return self.bytes().decode()

    def left(self):
        return self.at < len(self.data)


def _text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<I", len(value)) + value


class Driver:
    """What is submitted waits until turn(); its outcomes come back in the order in which it was submitted."""

    def __init__(self, program, folder, seed, retention_ms=0, failure=0, call=0):
        """failure: one of the above for the whole run, at that call; else as turn() and restart() say."""
        self.process = subprocess.Popen([program, folder, *map(str, (seed, retention_ms, failure, call))],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _send(self, data):
        self.process.stdin.write(struct.pack("<I", len(data)) + data)

    def _ask(self, data):
        self._send(data)
        self.process.stdin.flush()
        head = self.process.stdout.read(4)
        if len(head) != 4:
            raise Ended(f"the journal's process ended ({self.process.wait()})")
        return Frame(self.process.stdout.read(struct.unpack("<I", head)[0]))

    def clock(self, now_ms):
        self._send(b"N" + struct.pack("<Q", now_ms))

    def command(self, tenant, actor, role, payload, expected_version=0, key=b"", replay_of=0):
        self._send(b"C" + struct.pack("<BQQ", role, expected_version, replay_of) + _text(tenant) + _text(actor) + _text(key)
                   + _text(payload))

    def batch(self, tenant, agent, payload):
        self._send(b"B" + _text(tenant) + _text(agent) + _text(payload))

    def due(self, at_most):
        return self._ask(b"D" + struct.pack("<I", at_most)).number(4)

    def turn(self, fate=0, call=1):
        """killed, struck: whether what was ordered (fate, at the n-th call) came to pass."""
        frame = self._ask(b"T" + struct.pack("<BI", fate, call))
        outcomes = []
        while True:
            letter = frame.number(1)
            if letter == ord("c"):
                outcomes.append(Outcome(frame.number(1), CODES[frame.number(1)], frame.number(8), frame.number(8),
                                        frame.text(), frame.text(), frame.text()))
            elif letter == ord("b"):
                outcomes.append(BatchOutcome(frame.number(1), CODES[frame.number(1)], *(frame.number(8) for _ in range(6))))
            else:
                return Turn(outcomes, letter == ord("k"), letter != ord("."), frame.number(8))

    def get(self, tenant, kind, id_):
        return self._ask(b"G" + _text(tenant) + _text(kind) + _text(id_)).bytes()

    def open_ids(self, tenant, kind):
        frame, found = self._ask(b"O" + _text(tenant) + _text(kind)), []
        while frame.left():
            found.append(frame.text())
        return found

    def facts(self, after=0):
        while True:
            frame = self._ask(b"F" + struct.pack("<Q", after))
            count = frame.number(4)
            if not count:
                return
            for _ in range(count):
                fact = Fact(frame.number(8), frame.number(8), bool(frame.number(1)), frame.number(2), frame.number(8), frame.text(),
                            frame.text(), frame.text(), frame.bytes())
                after = fact.sequence
                yield fact

    def range(self, fact):
        """{(tenant, fact number): how many} of compacted facts"""
        frame, found = self._ask(b"A" + struct.pack("<Q", fact.sequence) + _text(fact.bytes)), {}
        while frame.left():
            key = frame.text(), frame.number(2)
            found[key] = frame.number(8)
        return found

    def taken(self, sequence):
        self._send(b"K" + struct.pack("<Q", sequence))

    def rejections(self, tenant):
        """The newest first."""
        before = 0
        while True:
            frame = self._ask(b"J" + _text(tenant) + struct.pack("<Q", before))
            if not frame.left():
                return
            while frame.left():
                entry = Rejected(frame.number(8), CODES[frame.number(1)], frame.text(), frame.bytes(), bool(frame.number(1)),
                                 frame.text())
                before = entry.sequence
                yield entry

    def verify(self):
        """What is wrong with the journal on the disk; nothing when it is whole."""
        return self._ask(b"V").text()

    def struck(self):
        """(whether the failure of the whole run came to pass, how many calls could have failed)"""
        frame = self._ask(b"X")
        return bool(frame.number(1)), frame.number(4)

    def restart(self, fate=0, call=1):
        return self._ask(b"R" + struct.pack("<BI", fate, call)).number(1)

    def close(self):
        self._send(b"Q")
        self.process.stdin.close()
        return self.process.wait()
