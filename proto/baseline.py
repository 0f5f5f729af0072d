# SPDX-License-Identifier: Apache-2.0
"""buf's image as text, on stdin, to the baseline that is kept, on stdout: one field, enum value or method a line, without
our own options (constraints and roles: buf compares none of them) and without the files that only define those."""
import re
import sys

OURS = "ameide_core_proto.options"
WITHOUT = ("ameide_core_proto/options/", "google/protobuf/descriptor.proto")


def without_our_options(lines):
    skipped_until = None
    for line in lines:
        if skipped_until is not None:
            if line == skipped_until:
                skipped_until = None
        elif line.lstrip().startswith(f"[{OURS}"):
            if line.endswith("{"):
                skipped_until = line[:len(line) - len(line.lstrip())] + "}"
        elif not re.match(rf' *dependency: "({"|".join(WITHOUT)})', line):
            yield line


text = "\n".join(without_our_options(sys.stdin.read().split("\n")))
text = re.sub(rf'^file: {{\n  name: "(?:{"|".join(WITHOUT)})(?:.*\n)*?}}\n', "", text, flags=re.M)
text = re.sub(r"^ *options: \{\n *\}\n", "", text, flags=re.M)
text = re.sub(r"^( *\w+: \{)\n((?: +[^{}\n]*\n)+?) *\}$", lambda m: f"{m[1]} {' '.join(m[2].split())} }}", text, flags=re.M)
sys.stdout.write("# SPDX-License-Identifier: Apache-2.0\n# The contract of the last release; made by proto/lint --accept, never by hand.\n" + text)
