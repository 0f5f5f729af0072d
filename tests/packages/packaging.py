# SPDX-License-Identifier: Apache-2.0
"""What the tests of packages share: the programs and small readers of their formats."""
import pathlib
import shutil
import struct
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "platforms/release"))
import artefact  # noqa: E402

TARGETS = sorted(artefact.TARGETS)
EMULATORS = {"x86_64": "qemu-x86_64", "aarch64": "qemu-aarch64", "armv7": "qemu-arm"}
MACHINES = {"x86_64": "x86_64", "aarch64": "aarch64", "armv7": "armv7l"}


def folder(target):
    return artefact.build(target)


def program(target):
    return folder(target) / "picket-agent"


def command(target):
    """How the program is run here: as it is, or under qemu-user; skips where neither works."""
    import platform
    if platform.machine() == MACHINES[target]:
        return [str(program(target))]
    emulator = shutil.which(EMULATORS[target]) or shutil.which(EMULATORS[target] + "-static")
    if not emulator:
        pytest.skip(f"{EMULATORS[target]} is not installed (package qemu-user)")
    return [emulator, str(program(target))]


class Elf:
    """The headers of an ELF file, little-endian, of 32 or 64 bits."""

    def __init__(self, path):
        self.data = path.read_bytes()
        assert self.data[:4] == b"\x7fELF" and self.data[5] == 1, f"{path} is no little-endian ELF file"
        self.bits = self.data[4]
        self.type, self.machine = struct.unpack_from("<HH", self.data, 16)
        wide = self.bits == 2
        self.phoff, self.shoff = struct.unpack_from("<QQ" if wide else "<II", self.data, 32 if wide else 28)
        self.phentsize, self.phnum, self.shentsize, self.shnum, self.shstrndx = struct.unpack_from("<HHHHH", self.data, 54 if wide else 42)

    def segments(self):
        """[(type, flags, offset, size in the file)]"""
        rows = []
        for i in range(self.phnum):
            at = self.phoff + i * self.phentsize
            if self.bits == 2:
                kind, flags, offset, _, _, size = struct.unpack_from("<IIQQQQ", self.data, at)
            else:
                kind, offset, _, _, size, _, flags = struct.unpack_from("<IIIIIII", self.data, at)
            rows.append((kind, flags, offset, size))
        return rows

    def sections(self):
        headers = []
        for i in range(self.shnum):
            at = self.shoff + i * self.shentsize
            if self.bits == 2:
                name, _, _, _, offset, size = struct.unpack_from("<IIQQQQ", self.data, at)
            else:
                name, _, _, _, offset, size = struct.unpack_from("<IIIIII", self.data, at)
            headers.append((name, offset, size))
        names = self.data[headers[self.shstrndx][1]:][:headers[self.shstrndx][2]]
        return {names[name:names.index(b"\0", name)].decode(): self.data[offset:offset + size] for name, offset, size in headers}

    def dynamic(self):
        """{tag: value} of the dynamic section; a tag that repeats keeps its last value."""
        tags = {}
        for kind, _, offset, size in self.segments():
            if kind == 2:
                step, form = (16, "<QQ") if self.bits == 2 else (8, "<II")
                for at in range(offset, offset + size, step):
                    tag, value = struct.unpack_from(form, self.data, at)
                    tags[tag] = value
        return tags
