# SPDX-License-Identifier: Apache-2.0
"""The journal on the other side of two pipes: frames as journal_driver.c reads and writes them."""
import collections
import struct
import subprocess

Outcome = collections.namedtuple("Outcome", "result code version sequence type id text")
BatchOutcome = collections.namedtuple("BatchOutcome", "result committed wanted applied repeated refused missing")
Fact = collections.namedtuple("Fact", "sequence number version tenant type id bytes")
COMMITTED, REPEATED, REFUSED, FAILED = range(4)
NOTHING, DEATH_BEFORE, DEATH_BEHIND, STORE_SYSTEM, STORE_FULL, NO_MEMORY = range(6)
CODES = ("none", "again", "absent", "conflict", "input", "limit", "corrupt", "denied", "timeout", "system", "exists")


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

    def left(self):
        return self.at < len(self.data)


def _text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<I", len(value)) + value


class Driver:
    """What is submitted waits until turn(); its outcomes come back in the order in which it was submitted."""

    def __init__(self, program, folder, seed):
        self.process = subprocess.Popen([program, folder, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _send(self, data):
        self.process.stdin.write(struct.pack("<I", len(data)) + data)

    def _ask(self, data):
        self._send(data)
        self.process.stdin.flush()
        head = self.process.stdout.read(4)
        if len(head) != 4:
            raise AssertionError(f"the journal's process ended ({self.process.wait()})")
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
        """(outcomes, whether it was killed, whether what was ordered came to pass); call: the n-th."""
        frame = self._ask(b"T" + struct.pack("<BI", fate, call))
        outcomes = []
        while True:
            letter = frame.number(1)
            if letter == ord("c"):
                outcomes.append(Outcome(frame.number(1), CODES[frame.number(1)], frame.number(8), frame.number(8),
                                        frame.bytes().decode(), frame.bytes().decode(), frame.bytes().decode()))
            elif letter == ord("b"):
                outcomes.append(BatchOutcome(frame.number(1), *(frame.number(8) for _ in range(6))))
            else:
                return outcomes, letter == ord("k"), letter != ord(".")

    def get(self, tenant, kind, id_):
        return self._ask(b"G" + _text(tenant) + _text(kind) + _text(id_)).bytes()

    def open_ids(self, tenant, kind):
        frame, found = self._ask(b"O" + _text(tenant) + _text(kind)), []
        while frame.left():
            found.append(frame.bytes().decode())
        return found

    def facts(self, after=0):
        while True:
            frame = self._ask(b"F" + struct.pack("<Q", after))
            count = frame.number(4)
            if not count:
                return
            for _ in range(count):
                fact = Fact(frame.number(8), frame.number(2), frame.number(8), frame.bytes().decode(), frame.bytes().decode(),
                            frame.bytes().decode(), frame.bytes())
                after = fact.sequence
                yield fact

    def restart(self, fate=0, call=1):
        return self._ask(b"R" + struct.pack("<BI", fate, call)).number(1)

    def close(self):
        self._send(b"Q")
        self.process.stdin.close()
        return self.process.wait()
