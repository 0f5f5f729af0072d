# SPDX-License-Identifier: Apache-2.0
"""proto/lint finds what would break a client, on copies of the contract with one change each, and lets what is new pass:
lint_test.py. Exit code 1 when it does not, 77 when buf cannot be had."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
CORE = "ameide_core_proto/sre/core/v1/"
TITLE = r"  string title = (\d+) \[[^\]]*\];\n"
GET_SLO = r"  // One SLO with its budget\.\n  rpc GetSLO\((?:.|\n)*?\n  }\n"

# What is done to the first match in the file, and what buf says of it; nothing, where clients do not mind.
CASES = [
    ("a field taken away", CORE + "incident.proto", TITLE, "", r'field "\d+" with name "title" on message "Incident" was deleted'),
    ("a field with another number", CORE + "incident.proto", r"(string title =) \d+", r"\1 999", 'was deleted'),
    ("a field of another type", CORE + "incident.proto", "string title =", "bytes title =", 'changed type from "string" to "bytes"'),
    ("a field of another name", CORE + "incident.proto", "string title =", "string headline =", 'changed name from "title" to "headline"'),
    ("a field that became a list", CORE + "incident.proto", "string title =", "repeated string title =", "changed cardinality"),
    ("an enum value taken away", CORE + "sre.proto", r"  SEVERITY_LOW = \d+;\n", "", r'Previously present enum value "\d+" on enum "Severity" was deleted'),
    ("a method taken away", CORE + "commands.proto", GET_SLO, "", 'RPC "GetSLO" on service "SLOService" was deleted'),
    ("a method that had no side effects", CORE + "commands.proto", "    option idempotency_level = NO_SIDE_EFFECTS;\n", "", "idempotency_level"),
    ("a field more", CORE + "incident.proto", TITLE, r"\g<0>  string added = 999;\n", None),
    ("a method more", CORE + "commands.proto", r"service SLOService \{\n",
     r"message AddedRequest {}\n\nmessage AddedResponse {}\n\n\g<0>  rpc Added(AddedRequest) returns (AddedResponse);\n", None),
]


def lint(folder):
    ran = subprocess.run([PROTO / "lint", *folder], capture_output=True, text=True, check=False)
    if ran.returncode == 77:
        print(ran.stderr.strip())
        sys.exit(77)
    return ran.returncode, ran.stdout + ran.stderr


def main():
    failed = 0
    for what, file, pattern, replacement, expected in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            copy = pathlib.Path(scratch) / "proto"
            shutil.copytree(PROTO, copy)
            text = (copy / file).read_text(encoding="utf-8")
            changed, count = re.subn(pattern, replacement, text, count=1)
            assert count, f"{what}: {file} has nothing like {pattern}: mend the case in {pathlib.Path(__file__).name}"
            (copy / file).write_text(changed, encoding="utf-8")
            code, said = lint([copy])
        good = code == 0 if expected is None else code != 0 and "buf breaking" in said and re.search(expected, said)
        print(f"{'ok' if good else 'WRONG'}: {what}{'' if good else f' (exit code {code}): {said}'}")
        failed += not good
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
