#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Our codec against the reference: python3-protobuf's binary and JSON formats, on random messages of every type of
the contract, both ways. Seeded: --seed repeats a run.

    reference_test.py --tool codec_tool --proto proto/ [--seed N] [--rounds N]

Exit 77 (skipped) where python3-protobuf or protoc is missing."""

import argparse
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import warnings

warnings.simplefilter("ignore", RuntimeWarning)  # of the reference, about damaged bytes

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
except ImportError:
    print("skipped: python3-protobuf is not installed (apt-get install python3-protobuf)")
    sys.exit(77)


class Tool:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, operation, name, data):
        """(True, bytes) or (False, text)"""
        self.process.stdin.write("%s %s %s\n" % (operation, name, data.hex()))
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("codec_tool ended at: %s %s %s" % (operation, name, data.hex()))
        word, _, rest = line.rstrip("\n").partition(" ")
        return (True, bytes.fromhex(rest)) if word == "ok" else (False, rest)


def load(proto, include):
    names = sorted(os.path.relpath(os.path.join(folder, name), proto)
                   for folder, _, found in os.walk(proto) for name in found if name.endswith(".proto"))
    with tempfile.NamedTemporaryFile(suffix=".pb") as out:
        subprocess.run(["protoc", "-I", proto, "-I", include, "--include_imports",
                        "--descriptor_set_out=" + out.name] + names, check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read()).file
    pool = descriptor_pool.DescriptorPool()
    found = []
    for file in files:
        pool.Add(file)
        if file.package.startswith("ameide_core_proto.sre."):
            found += ["%s.%s" % (file.package, m.name) for m in file.message_type]
    factory = message_factory.MessageFactory(pool)
    return {name: factory.GetPrototype(pool.FindMessageTypeByName(name)) for name in found}


FORMS_COUNT = 9

TEXTS = ["", "a", "checkout", "é", "日本語", "😀 \U0010ffff", '"quoted" \\ /', "line\nbreak\ttab\r", "\x00\x01\x1f\x7f",
         "\u2028\ufeff", "x" * 300, "</script>"]
DOUBLES = [0.0, -0.0, 1.0, -1.5, 99.9, 0.1, 1 / 3, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e21, 1e-7,
           123456789012345680.0, math.nan, math.inf, -math.inf]


def random_scalar(rng, field):
    kind = field.type
    if kind == field.TYPE_STRING:
        return rng.choice(TEXTS) if rng.random() < 0.5 else "".join(rng.choice("abcXYZ09._-") for _ in range(rng.randrange(40)))
    if kind == field.TYPE_BYTES:
        return bytes(rng.randrange(256) for _ in range(rng.choice([0, 1, 2, 3, 4, 5, 50, 1000])))
    if kind == field.TYPE_BOOL:
        return rng.random() < 0.5
    if kind == field.TYPE_DOUBLE:
        return rng.choice(DOUBLES) if rng.random() < 0.6 else rng.uniform(-1e6, 1e6)
    if kind == field.TYPE_ENUM:
        return rng.choice([v.number for v in field.enum_type.values] + [777])
    low, high = {field.TYPE_INT32: (-2**31, 2**31 - 1), field.TYPE_INT64: (-2**63, 2**63 - 1),
                 field.TYPE_UINT32: (0, 2**32 - 1), field.TYPE_UINT64: (0, 2**64 - 1)}[kind]
    return rng.choice([low, high, 0, 1, high // 2, 2**53 % high, rng.randint(low, high)])


def fill(rng, message, depth=0):
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Timestamp":
        message.seconds = rng.choice([0, -62135596800, 253402300799, rng.randint(-62135596800, 253402300799), 1700000000, -1, 951782400])
        message.nanos = rng.choice([0, 1, 500000000, 123000, 123456000, 999999999, rng.randrange(10**9)])
        return
    if name == "google.protobuf.Duration":
        sign = rng.choice([-1, 1])
        message.seconds = sign * rng.choice([0, 1, 60, 315576000000, rng.randrange(10**9)])
        message.nanos = sign * rng.choice([0, 0, 1, 500000000, 123000, 999999999])
        if abs(message.seconds) == 315576000000:
            message.nanos = 0
        return
    chosen = {o.name: rng.choice(o.fields).name for o in message.DESCRIPTOR.oneofs}
    density = rng.choice([0.1, 0.5, 0.9]) / (1 + depth * 0.5)
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof is not None:
            if chosen[field.containing_oneof.name] != field.name or rng.random() < 0.1:
                continue
        elif rng.random() > density:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for _ in range(rng.randrange(4)):
                getattr(message, field.name)[rng.choice(["", "a", "team", "k/é", '"', "z"])] = rng.choice(TEXTS)
        elif field.label == field.LABEL_REPEATED:
            for _ in range(rng.choice([0, 1, 2, 5, 9])):
                if field.message_type is not None:
                    fill(rng, getattr(message, field.name).add(), depth + 1)
                else:
                    getattr(message, field.name).append(random_scalar(rng, field))
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            fill(rng, inner, depth + 1)
        else:
            setattr(message, field.name, random_scalar(rng, field))


def same(a, b):
    return a.SerializeToString(deterministic=True) == b.SerializeToString(deterministic=True)


class Comparison:
    def __init__(self, tool, seed):
        self.tool, self.seed, self.compared, self.damaged_count = tool, seed, 0, 0

    def fail(self, what, name, detail):
        raise SystemExit("FAILED (seed %d) %s of %s: %s" % (self.seed, what, name, detail))

    def must(self, operation, name, data):
        good, answer = self.tool.ask(operation, name, data)
        if not good:
            self.fail(operation, name, "refused: %s; input %r" % (answer, data[:2000]))
        return answer

    def message(self, rng, name, made):
        message = made()
        fill(rng, message)
        wire = message.SerializeToString()

        ours = self.must("p2p", name, wire)
        if not same(made.FromString(ours), message):
            self.fail("protobuf to protobuf", name, wire.hex())
        if self.must("p2p", name, ours) != ours:
            self.fail("protobuf is not a fixpoint", name, wire.hex())

        text = self.must(rng.choice(["p2j", "p2J"]), name, wire)
        if not same(json_format.Parse(text.decode(), made()), message):
            self.fail("our JSON read by the reference", name, text.decode())
        reference = json.loads(json_format.MessageToJson(message))
        if normal(json.loads(text)) != normal(reference):
            self.fail("our JSON differs", name, "%s\nreference %s" % (text.decode(), json.dumps(reference)))

        options = {"preserving_proto_field_name": rng.random() < 0.3, "use_integers_for_enums": rng.random() < 0.3,
                   "including_default_value_fields": rng.random() < 0.3,
                   "indent": rng.choice([0, 2])}
        theirs = json_format.MessageToJson(message, ensure_ascii=rng.random() < 0.5, **options).encode()
        if not same(made.FromString(self.must("j2p", name, theirs)), message):
            self.fail("the reference's JSON read by us", name, theirs.decode())
        self.compared += 1

    def damaged(self, rng, name, made):
        """Damaged bytes: we never crash, and what both take means the same."""
        message = made()
        fill(rng, message)
        wire = bytearray(message.SerializeToString())
        if not wire:
            return
        for _ in range(rng.randrange(1, 4)):
            wire[rng.randrange(len(wire))] = rng.randrange(256)
        wire = bytes(wire[:rng.randrange(len(wire) + 1)]) if rng.random() < 0.3 else bytes(wire)
        good, ours = self.tool.ask("p2p", name, wire)
        if not good:
            return
        try:
            theirs = made.FromString(wire)
        except Exception:  # DecodeError, and UnicodeDecodeError in some versions
            return
        theirs.DiscardUnknownFields()
        if not same(made.FromString(ours), theirs):
            self.fail("damaged bytes mean another thing", name, wire.hex())
        self.damaged_count += 1


def forms(tool, rng):
    """Each form of text, by hand in C, against the regular expression that the OpenAPI document gives for it."""
    seeds = ["a", "checkout-1.x_y", "0190a3c1-7a5e-7000-8000-0123456789ab", "edge-1", "_label", "snake_case", "9a",
             "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "one line", "https://x.example/a?b=c", "http://",
             "team/a.b", "a/", "A" * 64, "a" * 65, "b" * 128, "c" * 129, "\x7f", "é", "http://é", "a\n", "\n"]
    alphabet = "aAzZ09._-/:+ \n\x00éf"
    taken = 0
    for number in range(1, FORMS_COUNT + 1):
        pattern = re.compile(tool.ask("pattern", str(number), b"")[1].decode().replace("$", "\\Z"))
        texts = list(seeds)
        for _ in range(400):
            text = list(rng.choice(seeds)) if rng.random() < 0.7 else []
            for _ in range(rng.randrange(1, 4)):
                text.insert(rng.randrange(len(text) + 1), rng.choice(alphabet))
                if rng.random() < 0.5:
                    text.pop(rng.randrange(len(text)))
            texts.append("".join(text))
        for text in texts:
            if not text:
                continue
            good, answer = tool.ask("form", str(number), text.encode())
            if not good or (answer == b"\x01") != bool(pattern.search(text)):
                raise SystemExit("FAILED form %d: %r: pattern %s, code says %r" % (number, text, pattern.pattern, answer))
            taken += answer == b"\x01"
    if taken < 500:
        raise SystemExit("FAILED: the forms were hardly met (%d), the test shows nothing" % taken)
    return taken


def normal(value):
    """JSON without the difference between 1 and 1.0."""
    if isinstance(value, dict):
        return {k: normal(v) for k, v in value.items()}
    if isinstance(value, list):
        return [normal(v) for v in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(float(value))
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--proto", required=True)
    parser.add_argument("--include", default="/usr/include")
    parser.add_argument("--seed", type=int, default=526)
    parser.add_argument("--rounds", type=int, default=20, help="messages of each type")
    args = parser.parse_args()
    try:
        types = load(args.proto, args.include)
    except FileNotFoundError:
        print("skipped: protoc is not installed (apt-get install protobuf-compiler)")
        return 77
    comparison = Comparison(Tool(args.tool), args.seed)
    rng = random.Random(args.seed)
    for name in sorted(types):
        for _ in range(args.rounds):
            comparison.message(rng, name, types[name])
            comparison.damaged(rng, name, types[name])
    print("%d texts have the form of their pattern" % forms(comparison.tool, rng))
    print("%d messages of %d types agree with the reference, and %d damaged ones that both take; seed %d" % (
        comparison.compared, len(types), comparison.damaged_count, args.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
