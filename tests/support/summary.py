# SPDX-License-Identifier: Apache-2.0
"""Sum up JUnit files: summary.py FOLDER [BROKEN STEP]...

Prints what each step took (from FOLDER/steps: the second it began, its name; the last one is `end`), a line for each set of
tests with its slowest, the names of what failed with the command that repeats each, and last
`tests: N passed, N failed, N skipped`. Each step that could not be run at all counts as one failure; so does having run
nothing. Exit code 1 on failure.
"""
import pathlib
import platform
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


def main(folder, *broken):
    folder = pathlib.Path(folder)
    totals = {"passed": 0, "failed": len(broken), "skipped": 0}
    failed = [tuple(step.split(": ", 1)) if ": " in step else (step, "./tests/run") for step in broken]
    skipped = []
    took, whole = steps(folder)
    print()
    for name, seconds in took:
        print(f"tests: {minutes(seconds):>6}  {name}")
    for path in sorted(folder.glob("*.xml")):
        counts = dict.fromkeys(totals, 0)
        try:
            cases = list(ET.parse(path).getroot().iter("testcase"))
        except ET.ParseError:
            cases = []
            failed.append((f"{path.stem}: its result file is cut off", "./tests/run"))
            totals["failed"] += 1
        for case in cases:
            result = outcome(case)
            counts[result] += 1
            name = f"{path.stem}: {case.get('name')}"
            if result == "failed":
                failed.append((name, again(path.stem, case)))
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
        failed.append(("no test ran", "./tests/run"))
        totals["failed"] = 1
    for name, command in failed:
        print(f"tests: FAILED {name}\ntests:        again: {command}")
    print(f"tests: took {whole // 60}m{whole % 60}s")
    print(f"tests: {totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return 1 if totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
