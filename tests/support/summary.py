# SPDX-License-Identifier: Apache-2.0
"""Sum up JUnit files: summary.py TOOK FOLDER [BROKEN STEP]...

Prints a line for each set of tests, the names of what failed, and last `tests: N passed, N failed, N skipped`.
Each step that could not be run at all counts as one failure; so does having run nothing. Exit code 1 on failure.
"""
import pathlib
import sys
import xml.etree.ElementTree as ET


def outcome(case):
    """What became of one test case: 'passed', 'failed' or 'skipped'. ctest and pytest mark these differently."""
    if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
        return "failed"
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        return "skipped"
    return "passed"


def main(took, folder, *broken):
    totals = {"passed": 0, "failed": len(broken), "skipped": 0}
    failed = list(broken)
    skipped = []
    print()
    for path in sorted(pathlib.Path(folder).glob("*.xml")):
        counts = dict.fromkeys(totals, 0)
        try:
            cases = list(ET.parse(path).getroot().iter("testcase"))
        except ET.ParseError:
            cases = []
            failed.append(f"{path.stem}: its result file is cut off")
            totals["failed"] += 1
        for case in cases:
            result = outcome(case)
            counts[result] += 1
            name = f"{path.stem}: {case.get('name')}"
            if result == "failed":
                failed.append(name)
            elif result == "skipped":
                reason = case.find("skipped")
                message = (reason.get("message") or "") if reason is not None else ""
                skipped.append(f"{name}  {message}".rstrip())
        for key, count in counts.items():
            totals[key] += count
        print(f"tests: {path.stem:<6} {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    for name in skipped:
        print(f"tests: SKIPPED {name}")
    if sum(totals.values()) == 0:
        failed.append("no test ran")
        totals["failed"] = 1
    for name in failed:
        print(f"tests: FAILED {name}")
    print(f"tests: took {took}")
    print(f"tests: {totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return 1 if totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
