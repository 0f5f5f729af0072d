# SPDX-License-Identifier: Apache-2.0
"""The static program: what it is made of, what it says of the place where it was built, and how large it is."""
import os
import platform
import re
import shutil
import socket
import subprocess

import pytest
from packaging import EMULATORS, MACHINES, TARGETS, TOP, Elf, artefact, command, folder, program

LOAD, INTERP, STACK, RELRO = 1, 3, 0x6474E551, 0x6474E552
NEEDED, FLAGS, FLAGS_1, TEXTREL = 1, 30, 0x6FFFFFFB, 22


@pytest.mark.parametrize("target", TARGETS)
def test_the_program_is_static_stripped_and_for_its_processor(target):
    elf = Elf(program(target))
    assert (elf.bits, elf.machine) == artefact.TARGETS[target]["elf"]
    assert elf.type == 3, "not position-independent"
    kinds = [kind for kind, _, _, _ in elf.segments()]
    assert INTERP not in kinds and NEEDED not in elf.dynamic(), "it wants libraries of the machine"
    left = [name for name in elf.sections() if name.startswith((".symtab", ".debug", ".comment"))]
    assert not left, f"not stripped: {left}"


@pytest.mark.parametrize("target", TARGETS)
def test_no_page_is_both_writable_and_executable(target):
    elf = Elf(program(target))
    for kind, flags, _, _ in elf.segments():
        if kind in (LOAD, STACK):
            assert flags & 3 != 3, "a segment is writable and executable"
    assert any(kind == STACK for kind, _, _, _ in elf.segments())
    assert any(kind == RELRO for kind, _, _, _ in elf.segments())
    assert elf.dynamic().get(FLAGS_1, 0) & 1, "not linked with -z now"
    assert TEXTREL not in elf.dynamic() and not elf.dynamic().get(FLAGS, 0) & 4


@pytest.mark.parametrize("target", ["x86_64", "aarch64"])
def test_the_program_is_at_most_2_5_mib(target):
    size = program(target).stat().st_size
    table = subprocess.run([TOP / "cross/sizes", folder(target) / "picket-agent.map"], capture_output=True, text=True, check=True)
    print(table.stdout)
    assert size <= 2.5 * 1024 * 1024, f"{target}: {size} bytes"


def test_the_table_of_sizes_accounts_for_the_program():
    table = subprocess.run([TOP / "cross/sizes", folder("x86_64") / "picket-agent.map"], capture_output=True, text=True, check=True)
    total = float(re.search(r"^ *([\d.]+) +[\d.]+  all$", table.stdout, re.M).group(1)) * 1024
    size = program("x86_64").stat().st_size
    assert abs(total - size) < 0.05 * size, f"the table says {total:.0f} bytes, the program has {size}"


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_in_it_tells_where_and_by_whom_it_was_built(target):
    data = program(target).read_bytes()
    cache = os.environ.get("PICKET_CACHE") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for word in {str(TOP), cache, "/tmp/", "/home/", "/root", "CMakeFiles", "picket/build"}:
        assert word.encode() not in data, f"'{word}' is in the program"
    host = socket.gethostname()
    if len(host) >= 5 and host != "localhost":
        assert host.encode() not in data, "the name of the host is in the program"
    symbols = (folder(target) / "picket-agent.debug").read_bytes()
    assert str(TOP).encode() not in symbols, "the source's folder is in the symbols"


def test_the_same_tree_in_another_place_gives_the_same_bytes(tmp_path):
    """Another folder, a longer path, another time: nothing of that is in the program or in its symbols."""
    names = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, check=False)
    if names.returncode:
        pytest.skip("not a git work tree: which files belong to the tree is not known")
    other = tmp_path / "a place with a longer name".replace(" ", "-") / "tree"
    for name in names.stdout.decode().split("\0"):
        source = TOP / name
        if name and source.is_file():
            (other / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, other / name)
    made = subprocess.run([other / "cross/build", "x86_64"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    for name in ("picket-agent", "picket-agent.debug"):
        assert (other / "build/cross/x86_64" / name).read_bytes() == (folder("x86_64") / name).read_bytes(), f"{name} differs"


def test_what_another_is_reading_is_replaced_and_not_written_over():
    """Two package builds at once build the program twice: who reads what the first one left sees it whole."""
    names = ("picket-agent", "picket-agent.debug", "picket-agent.map")
    opened = [open(folder("armv7") / name, "rb") for name in names]
    try:
        artefact.build.__wrapped__("armv7")  # again, though this process has done so
        for name, file in zip(names, opened):
            assert os.fstat(file.fileno()).st_nlink == 0, f"{name} was written over where it lay"
    finally:
        for file in opened:
            file.close()


@pytest.mark.parametrize("target", TARGETS)
def test_it_runs_and_explains_itself(target, tmp_path):
    run = command(target)
    said = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"picket-agent {artefact.version()}\n"
    said = subprocess.run([*run, "--help"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("Usage: picket-agent") and "mqtt.host" in said.stdout
    sample = subprocess.run([*run, "--sample-config"], capture_output=True, text=True, check=True).stdout
    assert "tenant:" in sample
    bad = tmp_path / "bad.yaml"
    bad.write_text("agent: {tenant: demo, name: e1}\nmqtt: {host: broker, prot: 1}\n", encoding="utf-8")
    said = subprocess.run([*run, "--config", bad, "--check-config"], capture_output=True, text=True, check=False)
    assert said.returncode == 1 and "bad.yaml:2" in said.stderr and "prot" in said.stderr
    good = tmp_path / "good.yaml"
    good.write_text("agent: {tenant: demo, name: e1}\nmqtt: {host: 127.0.0.1, plain_text: true}\n", encoding="utf-8")
    said = subprocess.run([*run, "--config", good, "--check-config"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr


CHECKS = r"""
#include <stdio.h>
#include <string.h>
#include "common/base/checksum.h"
#include "common/base/wide_product.h"
int main(void) {
    unsigned char bytes[1031];
    for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 37 + 11);
    printf("%08x\n", checksum_crc32c(0, slice_of(bytes, sizeof bytes)));
    printf("%08x\n", checksum_crc32c(checksum_crc32c(0, slice_of(bytes, 13)), slice_of(bytes + 13, sizeof bytes - 13)));
    printf("%08x\n", checksum_crc32c(0, slice_of((const unsigned char *)"123456789", 9)));
    printf("%016llx\n", (unsigned long long)hash_bytes(slice_of(bytes, 77), 5));
    printf("%016llx\n", (unsigned long long)wide_product_fold(0x9e3779b97f4a7c15u, 0xd1b54a32d192ed03u));
    printf("%d\n", (int)sizeof(time_t));
    return 0;
}
"""


def test_all_processors_compute_the_same_checksums_and_hashes(tmp_path):
    """What one agent has stored, one on another processor reads; and time has 64 bits everywhere."""
    source = tmp_path / "checks.c"
    source.write_text("#include <time.h>\n" + CHECKS, encoding="utf-8")
    answers = {}
    for target in TARGETS:
        made = tmp_path / f"checks-{target}"
        subprocess.run([folder(target) / "deps/bin/cc", "-O2", "-D_GNU_SOURCE", "-I", TOP, source, TOP / "common/base/checksum.c", "-o", made,
                        "-lgcc", "-lc"], check=True)  # libgcc's division wants raise() of the C library
        run = [made]
        if platform.machine() != MACHINES[target]:
            if not shutil.which(EMULATORS[target]):
                continue
            run = [EMULATORS[target], made]
        answers[target] = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    assert answers, "no target can be run here"
    for target, said in answers.items():
        assert said[0] == said[1] and said[2] == "e3069283", f"{target}: CRC32C is wrong: {said}"
        assert said[5] == "8", f"{target}: time has {said[5]} bytes"
        assert said == next(iter(answers.values())), f"{target} disagrees: {answers}"
