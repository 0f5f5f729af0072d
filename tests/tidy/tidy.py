# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that a program can check: tidy.py RULE [ROOT].

Each rule is a function that yields (path, line, sentence); one that yields nothing holds. Exit code 1 with the
findings, 0 without, 77 when the rule cannot be checked here. `tidy.py --list` names the rules; tidy_test.py plants
a violation of each and expects it to be found.
"""
import collections
import pathlib
import re
import shutil
import subprocess
import sys

SKIP = 77

# ------------------------------------------------------------------ the tree


class Tree:
    """The files under a root that belong to the project: what git knows or would add, else all outside build/."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.paths = sorted(self._list())
        self._texts = {}

    def _list(self):
        listed = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", self.root, "ls-files", "-z", "-co", "--exclude-standard"],
            capture_output=True, check=False)
        if listed.returncode == 0 and listed.stdout:
            for name in listed.stdout.decode().split("\0"):
                if name and (self.root / name).is_file():
                    yield name
            return
        for path in self.root.rglob("*"):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and not re.match(r"(build|\.git|\.cache)/|.*__pycache__/", name):
                yield name

    def text(self, name):
        """The file as text; empty for one that is not text (a fuzz corpus)."""
        if name not in self._texts:
            data = (self.root / name).read_bytes()
            self._texts[name] = "" if b"\0" in data else data.decode("utf-8", "replace")
        return self._texts[name]

    def code(self):
        return [p for p in self.paths if p.endswith((".c", ".h"))]


def without_comments_and_strings(text):
    """C text with comments and literals blanked, lines kept."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)


INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)


def includes(text):
    """(line, '<' or '"', name) of each include of a file."""
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


# ------------------------------------------------------------------ layering

# For a file whose path starts with the key: what its own includes may start with. The longest key decides.
MAY_INCLUDE = {
    "common/base/": ["common/base/"],
    "common/": ["common/", "sre.pb.h"],
    "agent/": ["common/", "agent/", "sre.pb.h"],
    "aggregator/": ["common/", "aggregator/", "sre.pb.h"],
    "aggregator/domain/": ["common/base/", "aggregator/domain/", "sre.pb.h"],
}
# And what it may not, though the row above would let it.
MAY_NOT_INCLUDE = {
    "aggregator/domain/": ["common/base/clock.h"],
    "aggregator/projections/": ["aggregator/processes/", "aggregator/integrations/", "aggregator/api/"],
    "aggregator/processes/": ["aggregator/projections/", "aggregator/integrations/", "aggregator/api/"],
    "aggregator/integrations/": ["aggregator/projections/", "aggregator/processes/", "aggregator/api/"],
}
# Only these may open the store: everyone else hands the journal an intent, or reads a projection.
STORE_USERS = ["agent/buffer/", "aggregator/journal/", "aggregator/outbox/", "aggregator/archive/"]
# The domain takes time, ids and randomness as arguments, so no header that would let it fetch them itself.
DOMAIN_FOREIGN = re.compile(r"^(time|pthread|unistd|fcntl|signal|syslog|poll|threads)\.h$|^(sys|netinet|arpa|net)/")


def rule_layering(tree):
    """Layers include only downwards (architecture.md, "Layering, checked by a test")."""
    for path in tree.code():
        layer = max((k for k in MAY_INCLUDE if path.startswith(k)), key=len, default=None)
        if layer is None:
            continue
        for line, kind, name in includes(tree.text(path)):
            if kind == "<":
                if path.startswith("aggregator/domain/") and DOMAIN_FOREIGN.search(name):
                    yield path, line, f"domain/ is pure: <{name}> would let it fetch what must be an argument"
                continue
            full = name if "/" in name or name.endswith(".pb.h") else f"{path.rsplit('/', 1)[0]}/{name}"
            generated = "/" not in name and not (tree.root / full).exists()
            if not generated and not any(full.startswith(ok) for ok in MAY_INCLUDE[layer]):
                yield path, line, f"{layer} may not include \"{name}\" (it may: {', '.join(MAY_INCLUDE[layer])})"
            for key, banned in MAY_NOT_INCLUDE.items():
                if path.startswith(key) and any(full.startswith(b) for b in banned):
                    yield path, line, f"{key} may not include \"{name}\""
            store = full == "common/store/kv.h" and not path.startswith("aggregator/domain/")
            if store and not path.startswith("common/") and not any(map(path.startswith, STORE_USERS)):
                yield path, line, f"only {', '.join(STORE_USERS)} open the store; submit an intent, or read a projection"


# ------------------------------------------------------------------ doors

# One door per outside library: header pattern, library, the files that may include it.
DOORS = [
    (r"curl/", "libcurl", r"common/net/http_client\.c"),
    (r"MQTT(Async|Client|Properties)\w*\.h", "Paho", r"common/net/(mqtt_client|paho_lean)\.c"),
    (r"(mbedtls|psa)/", "mbedTLS", r"common/net/(tls_link|signature|certificate\w*)\.[ch]|common/base/digest\.c"),
    (r"microhttpd\.h", "libmicrohttpd", r"common/net/http_server\.c"),
    (r"lmdb\.h", "LMDB", r"common/store/kv\.c"),
    (r"sqlite3\.h", "SQLite", r"common/store/sql\.c"),
    (r"md4c(-\w+)?\.h", "md4c", r"aggregator/ctl/import/markdown\.c"),
    (r"yyjson\.h", "yyjson", r"common/codec/json\w*\.c"),
    (r"yaml\.h", "libyaml", r"common/settings/yaml\w*\.c"),
    (r"pb(_\w+)?\.h", "nanopb", r"common/codec/\w+\.[ch]"),
]
# Headers of the C library, the kernel and the compiler.
PLATFORM = re.compile(
    r"^(assert|complex|cpuid|ctype|dirent|dlfcn|errno|execinfo|fcntl|float|fnmatch|getopt|glob|grp|ifaddrs|immintrin|"
    r"inttypes|limits|locale|malloc|math|netdb|nmmintrin|poll|pthread|pwd|regex|sched|semaphore|setjmp|signal|spawn|"
    r"stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|syslog|termios|threads|"
    r"time|ucontext|unistd|uchar|wchar|x86intrin|arm_neon|arm_acle|emmintrin|tmmintrin|smmintrin|wmmintrin|link|elf)\.h$|"
    r"^(sys|netinet|arpa|net|linux|asm|sanitizer)/")


def rule_doors(tree):
    """Each outside library is included by its door only, and each one has a door."""
    for path in tree.code():
        if path.startswith("tests/"):
            continue
        for line, kind, name in includes(tree.text(path)):
            door = next((d for d in DOORS if re.match(d[0], name)), None)
            if door and not re.fullmatch(door[2], path):
                yield path, line, f"{door[1]} has one door, {door[2]}: call that instead of <{name}>"
            elif not door and kind == "<" and not PLATFORM.search(name):
                yield path, line, f"<{name}> belongs to no library with a door: add its door to tests/tidy/tidy.py"


# ------------------------------------------------------------------ names and folders


def rule_stems(tree):
    """A file's stem is its prefix, so it is unique in the whole tree (main.c excepted)."""
    homes = collections.defaultdict(set)
    for path in tree.code():
        parent, _, file = path.rpartition("/")
        stem = file.rsplit(".", 1)[0]
        if stem != "main":
            homes[stem].add(parent)
    for stem, parents in sorted(homes.items()):
        if len(parents) > 1:
            yield f"{sorted(parents)[1]}/{stem}", 1, f"the stem '{stem}' is taken: {', '.join(sorted(parents))}"


# Folders whose one README stands above them: data, mirrors of the code, and the folders protobuf's packages force.
README_ABOVE = re.compile(r"^(tests/unit/.+|tests/fuzz/corpus(/.*)?|proto/ameide_core_proto(/.*)?|.*/(testdata|data|cases)(/.*)?|"
                          r"platforms/kubernetes/chart/templates)$")  # Helm would render it

# The keys that every one of them has; In, Out, Owner thread and May include stand where they mean something.
README_KEYS = ["Does", "Files in reading order", "Always true", "Fails how", "Tested in", "To add one more"]


def rule_readmes(tree):
    """Every folder says what it is in a README.md, under the same keys."""
    folders = set()
    for path in tree.paths:
        parts = path.split("/")[:-1]
        folders.update("/".join(parts[:i]) for i in range(1, len(parts) + 1))
    for folder in sorted(folders):
        if not README_ABOVE.match(folder) and f"{folder}/README.md" not in tree.paths:
            yield f"{folder}/README.md", 1, "this folder has no README.md (ten lines; see another folder for the keys)"
    for path in tree.paths:
        if path.endswith("/README.md"):
            keys = re.findall(r"^- \*\*([^*:]+):?\*\*", tree.text(path), re.M)
            missing = [key for key in README_KEYS if key not in keys]
            if missing:
                yield path, 1, f"keys are missing: {', '.join(missing)} (a line is '- **Does:** ...')"
            folder = path.rsplit("/", 1)[0]
            order = re.search(r"^- \*\*Files in reading order.*?(?=^- \*\*|\Z)", tree.text(path), re.M | re.S)
            for name in re.findall(r"`([\w./-]+\.(?:[ch]|def|py|sh))`", order.group(0) if order else ""):
                if f"{folder}/{name}" not in tree.paths and name not in tree.paths:
                    yield path, 1, f"names {name}, which is not there"


# ------------------------------------------------------------------ the text of files


def rule_include_c(tree):
    """A .c file is compiled, never included."""
    for path in tree.code():
        for line, _, name in includes(tree.text(path)):
            if name.endswith(".c"):
                yield path, line, f"do not include {name}: put what both need behind a header"


BANNED = {
    "strcpy": "slices, or snprintf with the size", "strcat": "snprintf with the size", "strncpy": "memcpy with a checked size",
    "strncat": "snprintf with the size", "sprintf": "snprintf with the size", "vsprintf": "vsnprintf with the size",
    "gets": "fgets", "atoi": "a bounded parser that can fail (text.h)", "atol": "a bounded parser that can fail (text.h)",
    "atoll": "a bounded parser that can fail (text.h)", "atof": "strtod with its end checked", "strtok": "slices",
    "rand": "getrandom, or a seeded generator handed in", "srand": "a seeded generator handed in",
    "random": "getrandom, or a seeded generator handed in", "drand48": "a seeded generator handed in",
    "alloca": "the arena", "localtime": "gmtime_r", "gmtime": "gmtime_r", "ctime": "strftime", "asctime": "strftime",
    "tmpnam": "mkstemp", "mktemp": "mkstemp", "system": "posix_spawn with an argument list",
    "popen": "posix_spawn with an argument list", "inet_ntoa": "inet_ntop",
    "gethostbyname": "getaddrinfo", "usleep": "the loop's timers, or nanosleep", "signal": "sigaction or signalfd",
}
# Bad in a program that runs for months on what strangers send; fine in one that runs for a second on its own data.
ALLOWED_IN_TESTS = {"system", "popen", "usleep", "signal", "atoi", "atol", "atoll", "rand", "srand", "random"}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")


def rule_banned_calls(tree):
    """Calls that cannot be made safe, or hide state, are replaced."""
    for path in tree.code():
        text = without_comments_and_strings(tree.text(path))
        for match in BANNED_CALL.finditer(text):
            if text.startswith("signal(SIGPIPE, SIG_IGN)", match.start()):
                continue  # the one use without traps
            if path.startswith("tests/") and match.group(1) in ALLOWED_IN_TESTS:
                continue
            line = text.count("\n", 0, match.start()) + 1
            yield path, line, f"{match.group(1)}() is banned; use {BANNED[match.group(1)]}"


NEEDS_SPDX = re.compile(r"\.(c|h|def|proto|py|sh|cmake|ts|tsx|css)$|(^|/)CMakeLists\.txt$")
SPDX = "SPDX-License-Identifier: Apache-2.0"


def rule_spdx(tree):
    """The first line (the second below #!) names the licence."""
    for path in tree.paths:
        lines = tree.text(path).split("\n", 2)
        script = lines[0].startswith("#!")
        if script or NEEDS_SPDX.search(path):
            line = lines[1] if script and len(lines) > 1 else lines[0]
            if SPDX not in line:
                yield path, 2 if script else 1, f"the licence line is missing here: {SPDX}"


# Addresses that belong to a machine or a mirror, not to the project: read them from the machine's settings.
FORBIDDEN = [
    (re.compile(r"(?<![\w.}/-])/(work|root|home/\w+|Users/\w+)/[\w.]"), "an absolute path of one machine"),
    (re.compile(r"\b((deb|security|snapshot|ftp)\.debian\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|pypi\.org|"
                r"files\.pythonhosted\.org|docker\.io|ghcr\.io|quay\.io|gcr\.io|proxy\.golang\.org|crates\.io|nodesource\.com)\b"),
     "the host of a registry or mirror; read it from the machine's own settings"),
    (re.compile(r"-----BEGIN (RSA |EC |ENCRYPTED )?PRIVATE KEY-----"), "a private key"),
]


def rule_words(tree):
    """No machine's paths, no mirror's hosts, no keys in the tree."""
    for path in tree.paths:
        if path.startswith("tests/tidy/"):
            continue
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            for pattern, why in FORBIDDEN:
                match = pattern.search(line)
                if match:
                    yield path, number, f"'{match.group(0)}' is {why}"


LENGTH_WARNED = 500
LENGTH_REFUSED = 1000


def rule_length(tree):
    """A file over 500 lines probably holds two ideas (said, not refused); one over 1,000 certainly does."""
    for path in tree.paths:
        if path.endswith((".c", ".h", ".py")) or (tree.text(path).startswith("#!") and "." not in path.rsplit("/", 1)[-1]):
            count = tree.text(path).count("\n")
            if count > LENGTH_REFUSED:
                yield path, count, f"{count} lines: split it"
            elif count > LENGTH_WARNED:
                print(f"note: {path} has {count} lines; does it hold two ideas?")


def rule_text(tree):
    """Text files end in a line end, and hold no tabs (Makefiles aside), no CR and no blanks at a line's end."""
    for path in tree.paths:
        text = tree.text(path)
        if not text or "/corpus/" in path or not re.search(r"\.(c|h|def|py|md|cmake|proto|yaml|yml|json)$|CMakeLists\.txt$", path):
            continue
        if not text.endswith("\n"):
            yield path, text.count("\n") + 1, "the last line has no end"
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                yield path, number, "blanks (or a CR) at the end of the line"
            if "\t" in line and path.endswith((".c", ".h", ".def", ".py", ".cmake", ".proto")):
                yield path, number, "a tab; indent with blanks"


# ------------------------------------------------------------------ what needs a tool

FORMAT_MAJOR = 14  # other releases lay out some lines otherwise; Debian 12's is the measure


def rule_format(tree):
    """clang-format has nothing to change."""
    tool = shutil.which(f"clang-format-{FORMAT_MAJOR}") or shutil.which("clang-format")
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout if tool else ""
    if f"version {FORMAT_MAJOR}." not in version:
        print(f"clang-format {FORMAT_MAJOR} is not here ({version.strip() or 'none is'}); the layout is not checked")
        sys.exit(SKIP)
    files = tree.code()
    for start in range(0, len(files), 50):
        ran = subprocess.run([tool, "--dry-run", "--style=file", *files[start:start + 50]],
                             cwd=tree.root, capture_output=True, text=True, check=False)
        seen = set()
        for match in re.finditer(r"^(\S+?):(\d+):\d+: (?:warning|error): code should be clang-formatted", ran.stderr, re.M):
            if match.group(1) not in seen:
                seen.add(match.group(1))
                yield match.group(1), int(match.group(2)), "clang-format would lay this out otherwise: clang-format -i"
        if ran.returncode != 0 and not seen:
            yield files[start], 1, ran.stderr.strip().split("\n")[0]


def external_names(archive):
    """Names that an archive defines for others: code and data, not weak ones."""
    ran = subprocess.run(["nm", "-g", "--defined-only", archive], capture_output=True, text=True, check=True)
    return {m.group(1) for m in re.finditer(r"^[0-9a-f]+ [TDBRC] (\S+)$", ran.stdout, re.M)}


# common/net/paho_lean.c defines these on purpose, and says why: Paho's own are then left out of the link.
REPLACED = {"mymalloc", "myrealloc", "myfree", "Heap_initialize", "Heap_terminate", "StackTrace_entry", "StackTrace_exit"}
REPLACED_BY = re.compile(r"libpicket_net\.a libpaho-mqtt3a\w*\.a")


def check_link(archives):
    """No two archives define the same name: the linker would take either, silently (Paho's names are generic)."""
    owners = collections.defaultdict(list)
    for archive in dict.fromkeys(archives):
        for name in external_names(archive):
            owners[name].append(pathlib.Path(archive).name)
    for name, files in sorted(owners.items()):
        if len(files) > 1 and not (name in REPLACED and REPLACED_BY.fullmatch(" ".join(files))):
            yield files[0], 1, f"'{name}' is also defined by {', '.join(files[1:])}"


RULES = {name[5:]: rule for name, rule in list(globals().items()) if name.startswith("rule_")}


def main(arguments):
    if arguments == ["--list"]:
        print("\n".join(RULES))
        return 0
    if arguments[:1] == ["link"]:
        findings = list(check_link(arguments[1:]))
    elif arguments and arguments[0] in RULES:
        findings = list(RULES[arguments[0]](Tree(arguments[1] if len(arguments) > 1 else ".")))
    else:
        print(__doc__)
        return 2
    for path, line, sentence in findings:
        print(f"{path}:{line}: {sentence}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
