# SPDX-License-Identifier: Apache-2.0
"""A rule that cannot fail proves nothing: each one is shown a tree with one violation, and must find that one."""
import contextlib
import io
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import tidy

C = "/* SPDX-License-Identifier: Apache-2.0 */\n"


class Planted(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def plant(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def findings(self, rule):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            found = list(tidy.RULES[rule](tidy.Tree(self.root)))
        self.said = said.getvalue()
        return found

    def found(self, rule, path, words, line=None):
        findings = self.findings(rule)
        self.assertEqual([path], [f[0] for f in findings], findings)
        self.assertIn(words, findings[0][2])
        if line:
            self.assertEqual(line, findings[0][1])

    def clean(self, rule):
        self.assertEqual([], self.findings(rule))

    # layering

    def test_base_includes_the_c_library_only(self):
        self.plant("common/base/a.h", C + '#include <stdint.h>\n#include "common/base/b.h"\n')
        self.clean("layering")
        self.plant("common/base/b.c", C + '#include "common/store/kv.h"\n')
        self.found("layering", "common/base/b.c", "common/base/ may not include", line=2)

    def test_common_never_includes_a_program(self):
        self.plant("common/net/a.c", C + '  #  include "agent/buffer/queue.h"\n')
        self.found("layering", "common/net/a.c", "may not include")

    def test_the_programs_do_not_include_one_another(self):
        self.plant("agent/ship/a.c", C + '#include "aggregator/intake/intake.h"\n')
        self.found("layering", "agent/ship/a.c", "may not include")

    def test_domain_is_pure(self):
        self.plant("aggregator/domain/a.c", C + '#include "common/base/arena.h"\n#include "sre.pb.h"\n#include <string.h>\n')
        self.clean("layering")
        for banned in ('"common/store/kv.h"', '"common/base/clock.h"', '"common/logging/log.h"', "<time.h>", "<sys/socket.h>"):
            self.plant("aggregator/domain/a.c", C + f"#include {banned}\n")
            self.assertEqual(1, len(self.findings("layering")), banned)

    def test_projections_know_no_integrations(self):
        self.plant("aggregator/projections/a.c", C + '#include "aggregator/integrations/pager.h"\n')
        self.found("layering", "aggregator/projections/a.c", "may not include")

    def test_only_the_journal_opens_the_store(self):
        self.plant("aggregator/journal/a.c", C + '#include "common/store/kv.h"\n')
        self.clean("layering")
        self.plant("aggregator/api/b.c", C + '#include "common/store/kv.h"\n')
        self.found("layering", "aggregator/api/b.c", "open the store")

    # doors

    def test_a_library_has_one_door(self):
        self.plant("common/net/http_client.c", C + "#include <curl/curl.h>\n#include <sys/socket.h>\n")
        self.clean("doors")
        self.plant("agent/collect/a.c", C + "#include <curl/curl.h>\n")
        self.found("doors", "agent/collect/a.c", "libcurl has one door")

    def test_a_library_in_quotes_is_found_too(self):
        self.plant("aggregator/api/a.c", C + '#include "sqlite3.h"\n')
        self.found("doors", "aggregator/api/a.c", "SQLite has one door")

    def test_a_new_library_needs_a_door(self):
        self.plant("common/net/a.c", C + "#include <zmq.h>\n")
        self.found("doors", "common/net/a.c", "no library with a door")

    # names and folders

    def test_stems_are_unique(self):
        self.plant("agent/a/queue.c", C)
        self.plant("agent/a/queue.h", C)
        self.plant("agent/main.c", C)
        self.plant("aggregator/main.c", C)
        self.clean("stems")
        self.plant("aggregator/b/queue.h", C)
        self.found("stems", "aggregator/b/queue", "'queue' is taken")

    README = "# x\n\n" + "".join(f"- **{key}:** x\n" for key in tidy.README_KEYS)

    def test_every_folder_has_a_readme(self):
        self.plant("agent/ship/ship.c", C)
        self.plant("agent/ship/README.md", self.README)
        self.plant("tests/README.md", self.README)
        self.plant("tests/unit/README.md", self.README.replace(":**", "**:"))
        self.plant("tests/unit/agent/ship/ship_test.c", C)
        self.found("readmes", "agent/README.md", "no README.md")

    def test_readmes_have_the_same_keys(self):
        self.plant("agent/README.md", self.README.replace("- **Fails how:** x\n", ""))
        self.found("readmes", "agent/README.md", "keys are missing: Fails how")

    def test_readmes_name_files_that_are_there(self):
        self.plant("agent/ship.h", C)
        self.plant("agent/README.md", self.README.replace("order:** x", "order:** `ship.h`, then `boat.h`"))
        self.found("readmes", "agent/README.md", "names boat.h")

    # text

    def test_a_c_file_is_not_included(self):
        self.plant("tests/unit/a_test.c", C + '#include "agent/ship/ship.c"\n')
        self.found("include_c", "tests/unit/a_test.c", "ship.c")

    def test_each_banned_call_is_found(self):
        for name in tidy.BANNED:
            self.plant("agent/a.c", C + f"void f(void) {{ {name} (1); }}\n")
            self.found("banned_calls", "agent/a.c", f"{name}() is banned; use ", line=2)

    def test_mentions_are_not_calls(self):
        self.plant("agent/a.c", C + '// strcpy(a, b)\n/* atoi(\n) */ const char *s = "gets(x)"; int x_rand(int); y->rand(1);\n')
        self.clean("banned_calls")

    def test_the_licence_is_on_the_first_line(self):
        self.plant("a.c", C)
        self.plant("run", "#!/bin/bash\n# SPDX-License-Identifier: Apache-2.0\n")
        self.clean("spdx")
        self.plant("b.py", "import os\n")
        self.found("spdx", "b.py", "licence line")

    def test_a_script_needs_the_licence(self):
        self.plant("up", "#!/bin/bash\nset -e\n")
        self.found("spdx", "up", "licence line", line=2)

    def test_machine_paths_and_mirrors_stay_out(self):
        self.plant("README.md", "see https://host/wo" + "rk/items and ${ROOT}/wo" + "rk/x, tests/ro" + "ot/x, /home/\n")
        self.clean("words")
        for words in ("cd /work" + "/main", "/root" + "/.cache", "/home" + "/someone/x", "http://deb." + "debian.org/debian",
                      "https://registry." + "npmjs.org/x", "-----BEGIN PRIVATE" + " KEY-----"):
            self.plant("README.md", "fine\n" + words + "\n")
            self.assertEqual([("README.md", 2)], [f[:2] for f in self.findings("words")], words)

    def test_long_files_are_said_and_longer_ones_refused(self):
        self.plant("a.c", C + "\n" * 600)
        self.clean("length")
        self.assertIn("a.c has 601 lines", self.said)
        self.plant("a.c", C + "\n" * 1100)
        self.found("length", "a.c", "split it")

    def test_text_is_clean(self):
        self.plant("a.c", C)
        self.clean("text")
        for text, words in (("int a;  \n", "end of the line"), ("\tint a;\n", "tab"), ("int a;", "no end"), ("int a;\r\n", "CR")):
            self.plant("a.c", C + text)
            self.found("text", "a.c", words)

    @unittest.skipUnless(shutil.which("clang-format"), "no clang-format here")
    def test_layout(self):
        self.plant(".clang-format", "BasedOnStyle: LLVM\n")
        self.plant("a.c", C + "int a;\n")
        try:
            self.clean("format")
        except SystemExit as skipped:
            self.skipTest(f"another release of clang-format ({skipped.code})")
        self.plant("a.c", C + "int  a ;\n")
        self.found("format", "a.c", "clang-format -i", line=2)

    # the link

    def archive(self, name, source):
        self.plant(f"{name}.c", source)
        subprocess.run(["cc", "-c", f"{name}.c", "-o", f"{name}.o"], cwd=self.root, check=True)
        subprocess.run(["ar", "rcs", f"lib{name}.a", f"{name}.o"], cwd=self.root, check=True)
        return str(self.root / f"lib{name}.a")

    def test_two_archives_with_one_name_clash(self):
        ours = self.archive("ours", "static int hidden; int ListAppend(void) { return hidden; }\n")
        theirs = self.archive("theirs", "static int hidden; int ListRemove(void) { return hidden; }\n")
        self.assertEqual([], list(tidy.check_link([ours, theirs, ours])))
        clash = self.archive("clash", "int ListAppend;\n")
        findings = list(tidy.check_link([ours, theirs, clash]))
        self.assertEqual(["'ListAppend' is also defined by libclash.a"], [f[2] for f in findings])

    def test_only_the_names_that_are_replaced_on_purpose_may_be_twice(self):
        net = self.archive("picket_net", "void myfree(void) {}\nvoid ListFree(void) {}\n")
        paho = self.archive("paho-mqtt3a", "void myfree(void) {}\nvoid ListFree(void) {}\n")
        other = self.archive("other", "void myfree(void) {}\n")
        self.assertEqual(["'ListFree' is also defined by libpaho-mqtt3a.a"], [f[2] for f in tidy.check_link([net, paho])])
        self.assertEqual(1, len(list(tidy.check_link([net, other]))))

    # the program around the rules

    def test_the_exit_code_tells(self):
        self.plant("a.c", C)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            self.assertEqual(0, tidy.main(["spdx", str(self.root)]))
            self.plant("a.c", "int a;\n")
            self.assertEqual(1, tidy.main(["spdx", str(self.root)]))
            self.assertEqual(2, tidy.main(["no such rule"]))
        self.assertIn("a.c:1: the licence line is missing", said.getvalue())

    def test_every_rule_runs_in_ctest(self):
        listed = (pathlib.Path(__file__).parent / "CMakeLists.txt").read_text(encoding="utf-8")
        for rule in tidy.RULES:
            self.assertRegex(listed, rf"\b{rule}\b", "add the rule to tests/tidy/CMakeLists.txt")


if __name__ == "__main__":
    sys.exit(unittest.main())
