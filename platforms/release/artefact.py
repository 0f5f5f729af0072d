# SPDX-License-Identifier: Apache-2.0
"""What every package has in common: the version, the moment it was made, the programs for the targets, and the third-party
parts that are inside them, from what cross/deps noted while it built them."""
import functools
import hashlib
import json
import os
import pathlib
import re
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]

# Our name of a target: Debian's, OCI's, and how an ELF file says it (EI_CLASS, e_machine).
TARGETS = {
    "x86_64": {"debian": "amd64", "oci": {"architecture": "amd64"}, "elf": (2, 62)},
    "aarch64": {"debian": "arm64", "oci": {"architecture": "arm64", "variant": "v8"}, "elf": (2, 183)},
    "armv7": {"debian": "armhf", "oci": {"architecture": "arm", "variant": "v7"}, "elf": (1, 40)},
}

# Debian's package: the project, its licence (SPDX), and its archives as the linker's map names them.
PARTS = {
    "musl-dev": ("musl", "MIT", {"c"}),
    "linux-libc-dev": ("linux-headers", "GPL-2.0-only WITH Linux-syscall-note", set()),
    "libpaho-mqtt-dev": ("paho.mqtt.c", "EPL-2.0 OR BSD-3-Clause", {"paho-mqtt3a"}),
    "nanopb": ("nanopb", "Zlib", set()),
    "mbedtls": ("mbedtls", "Apache-2.0 OR GPL-2.0-or-later", {"mbedtls", "mbedx509", "mbedcrypto"}),
    "yyjson": ("yyjson", "MIT", {"yyjson"}),
    "lmdb": ("lmdb", "OLDAP-2.8", {"lmdb"}),
    "curl": ("curl", "curl", {"curl"}),
    "libmicrohttpd": ("libmicrohttpd", "LGPL-2.1-or-later", {"microhttpd"}),
    "zlib": ("zlib", "Zlib", {"z"}),
    "libyaml": ("libyaml", "MIT", {"yaml"}),
    "libgcc": ("libgcc", "GPL-3.0-or-later WITH GCC-exception-3.1", {"gcc", "gcc_eh"}),
}


def version():
    found = re.search(r"^project\(picket VERSION (\S+)", (TOP / "CMakeLists.txt").read_text(encoding="utf-8"), re.M)
    return found.group(1)


NO_COMMIT = 1767225600  # 2026-01-01


def epoch():
    """SOURCE_DATE_EPOCH, or the time of the last commit; a fixed day where there is neither (a source archive)."""
    if os.environ.get("SOURCE_DATE_EPOCH"):
        return int(os.environ["SOURCE_DATE_EPOCH"])
    try:
        asked = subprocess.run(["git", "-C", TOP, "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return NO_COMMIT
    return int(asked.stdout) if asked.returncode == 0 and asked.stdout.strip() else NO_COMMIT


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@functools.lru_cache
def build(target):
    """The folder with the program for the target, built if it is not there or not of this tree; looked at once a process."""
    made = subprocess.run([TOP / "cross/build", target], stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode:
        raise SystemExit(f"cross/build {target} failed; what failed is said above")
    return pathlib.Path(made.stdout.strip()).parent


def rows(path):
    return [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def archives(folder):
    """Names of the outside libraries that the program has code or data of, by the linker's map."""
    table = subprocess.run([TOP / "cross/sizes", folder / "picket-agent.map", "--json"], capture_output=True, text=True, check=True)
    return {name for name in json.loads(table.stdout) if not name.startswith(("picket", "start files", "linker stubs"))}


def parts(folder):
    """[{package, name, version, licence, linked, files: [(name, sha256)]}] of the program in the folder. linked: code or data
    of it is in the program; of the others only declarations were compiled in, or nothing."""
    deps = folder / "deps"
    inside = archives(folder)
    strangers = inside - set().union(*(names for _, _, names in PARTS.values()))
    if strangers:
        raise SystemExit(f"{', '.join(sorted(strangers))}: linked, and no part of platforms/release/artefact.py")
    versions = {name: number for name, number in rows(deps / "versions")}
    files = rows(deps / "files")
    compiler = subprocess.run([deps / "bin/cc", "-dumpfullversion"], capture_output=True, text=True, check=True)
    versions["libgcc"] = compiler.stdout.strip()
    unknown = sorted(set(versions) - set(PARTS))
    if unknown:
        raise SystemExit(f"platforms/release/artefact.py knows nothing of {', '.join(unknown)}: add its licence to PARTS")
    return [{"package": package, "name": PARTS[package][0], "version": versions[package], "licence": PARTS[package][1],
             "linked": bool(PARTS[package][2] & inside), "files": [(f, digest) for name, f, digest in files if name == package]}
            for package in sorted(versions)]


def notices(folder):
    """The licences of all that is linked in, as one text: static linking makes us hand them on."""
    text = ["picket-agent contains, linked statically, the software below. Each part is followed by its licence.\n"
            "The sources are Debian's packages of the versions named; cross/deps in Picket's source fetches, builds and\n"
            "links them again, with libraries of your own choice where you replace them there.\n"]
    for part in parts(folder):
        if not part["linked"]:
            continue
        text.append(f"\n{'=' * 78}\n{part['name']} {part['version']} (Debian: {part['package']}), {part['licence']}\n{'=' * 78}\n")
        licence = folder / "deps/licenses" / part["package"]
        if part["package"] == "libgcc":
            text.append("The GCC Runtime Library Exception, version 3.1, allows to convey this program under the terms of its own\n"
                        "licence: https://www.gnu.org/licenses/gcc-exception-3.1.html\n")
        else:
            text.append(licence.read_text(encoding="utf-8", errors="replace"))
    return "".join(text)
