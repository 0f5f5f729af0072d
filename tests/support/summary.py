# SPDX-License-Identifier: Apache-2.0
"""Sum up JUnit files: summary.py FOLDER

Prints what each step took (from FOLDER/steps: the second it began, its name; the last one is `end`; FOLDER/beside: the seconds
of each that ran beside these), a line for each set of tests with its slowest, why the first of the failed failed, the names of
what failed with the command that repeats each, and last `tests: N passed, N failed, N skipped`. Who sees the end of the output
only sees the causes. Each file in FOLDER/broken is a step that could not be run at all (its first line: step, colon, command;
the others: why) and counts as one failure; so does having run nothing. Exit code 1 on failure.
"""
import pathlib
import platform
import re
import shlex
import sys
import xml.etree.ElementTree as ET

# The set of tests -> how one of them is run again: {name} is quoted for the shell, {file} its file, {match} for ctest -R.
PYTEST = "/usr/bin/python3 -m pytest -q {file}"
COMMANDS = {
    "dev": "ctest --preset dev -R {match}",
    "asan": "ctest --preset asan -R {match}",
    "tsan": f"setarch {platform.machine()} -R ctest --preset tsan -R {{match}}",
    "fuzz": "build/fuzz/bin/{name}_fuzz build/fuzz/found/{name}-*",
    "e2e": PYTEST,
    "packages": PYTEST,
    "e2e-asan": "PICKET_BIN=$PWD/build/asan/bin PICKET_CHAOS_SECONDS=20 " + PYTEST,
}
SLOWEST = 3
CAUSE_LINES, CAUSES, COLUMNS, TELLING = 84, 7, 240, 10
# What says most: pytest's and cmocka's words, the sanitizers', simulate.py's, compilers'.
TELLS = re.compile(r"E  |\[  ERROR|\[   LINE|DIFFERENCE|again: |.*(Sanitizer|runtime error|Assertion|[Ee]rror: |FAILED:)")


def outcome(case):
    """What became of one test case: 'passed', 'failed' or 'skipped'. ctest and pytest mark these differently."""
    if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
        return "failed"
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        return "skipped"
    return "passed"


def again(group, case):
    """The command that runs one test case of a set again, from the top of the tree."""
    name, place = case.get("name", ""), case.get("classname", "").replace(".", "/") + ".py"
    if group not in COMMANDS:
        return "./tests/run"
    return COMMANDS[group].format(name=shlex.quote(name), match=shlex.quote(f"^{name}$"), file=shlex.quote(f"{place}::{name}"))


def cause(folder, group, case):
    """What one failed test case has said: ctest and pytest keep it in the file, each fuzz target has its log."""
    log = folder / f"{group}-{case.get('name')}.log"
    if log.exists():
        return log.read_text(encoding="utf-8", errors="replace")
    said = []
    for tag in ("failure", "error", "system-out", "system-err"):
        for found in case.findall(tag):
            text = (found.text or "").strip()
            said.append(text or found.get("message") or "")
    return "\n".join(said)


def shortened(text, most):
    """So many lines of it: the most telling, and the last."""
    lines = [line.rstrip()[:COLUMNS] for line in text.splitlines() if line.strip()]
    if len(lines) <= most:
        return lines
    telling = [i for i, line in enumerate(lines) if TELLS.match(line)][:min(TELLING, most // 2)]
    kept = telling + [i for i in range(len(lines) - (most - len(telling)), len(lines)) if i not in telling]
    return [lines[i] for i in kept]


def minutes(seconds):
    return f"{seconds // 60}:{seconds % 60:02}"


def steps(folder):
    """[(name, seconds)], and the seconds of all."""
    path = folder / "steps"
    rows = [line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    took = [(name, int(rows[i + 1][0]) - int(begun)) for i, (begun, name) in enumerate(rows[:-1])]
    return took, int(rows[-1][0]) if rows else 0


def slowest(cases):
    times = sorted(((float(case.get("time") or 0), case.get("name")) for case in cases), reverse=True)
    return ", ".join(f"{name} {seconds:.0f} s" for seconds, name in times[:SLOWEST] if seconds >= 5)


def broken_steps(folder):
    """[(step, command, why)]"""
    found = []
    for path in sorted((folder / "broken").glob("*")):
        first, _, why = path.read_text(encoding="utf-8", errors="replace").partition("\n")
        step, _, command = first.partition(": ")
        found.append((step, command or "./tests/run", why))
    return found


def main(folder):
    folder = pathlib.Path(folder)
    failed = broken_steps(folder)  # (name, command, why)
    totals = {"passed": 0, "failed": len(failed), "skipped": 0}
    skipped = []
    took, whole = steps(folder)
    beside = folder / "beside"
    print()
    for name, seconds in took:
        print(f"tests: {minutes(seconds):>6}  {name}")
    for line in beside.read_text(encoding="utf-8").splitlines() if beside.exists() else []:
        seconds, _, name = line.partition(" ")
        print(f"tests: {minutes(int(seconds)):>6}  beside: {name}")
    for path in sorted(folder.glob("*.xml")):
        counts = dict.fromkeys(totals, 0)
        try:
            cases = list(ET.parse(path).getroot().iter("testcase"))
        except ET.ParseError:
            cases = []
            failed.append((f"{path.stem}: its result file is cut off", "./tests/run", ""))
            totals["failed"] += 1
        for case in cases:
            result = outcome(case)
            counts[result] += 1
            name = f"{path.stem}: {case.get('name')}"
            if result == "failed":
                failed.append((name, again(path.stem, case), cause(folder, path.stem, case)))
            elif result == "skipped":
                reason = case.find("skipped")
                message = (reason.get("message") or "") if reason is not None else ""
                skipped.append(f"{name}  {message}".rstrip())
        for key, count in counts.items():
            totals[key] += count
        slow = slowest(cases)
        print(f"tests: {path.stem:<8} {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
              + (f"; slowest: {slow}" if slow else ""))
    for name in skipped:
        print(f"tests: SKIPPED {name}")
    if sum(totals.values()) == 0:
        failed.append(("no test ran", "./tests/run", ""))
        totals["failed"] = 1
    for name, _, why in failed[:CAUSES]:
        print(f"tests: ---- {name}")
        for line in shortened(why, CAUSE_LINES // min(len(failed), CAUSES)):
            print(f"  {line}")
    for name, command, _ in failed:
        print(f"tests: FAILED {name}\ntests:        again: {command}")
    print(f"tests: took {whole // 60}m{whole % 60}s")
    print(f"tests: {totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return 1 if totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
