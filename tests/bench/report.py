# SPDX-License-Identifier: Apache-2.0
"""What a measurement is: a row with a name, a value, its unit, the target it is held against and, where a peer ran in
the same run, the peer's figure. Printed as a table and kept as build/bench.json."""
import dataclasses
import json
import os
import platform
import subprocess
import time


@dataclasses.dataclass
class Row:
    name: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = True  # the target is an upper bound; False: a lower bound
    peers: dict = dataclasses.field(default_factory=dict)
    note: str = ""

    def verdict(self) -> str:
        if self.target is None:
            return ""
        reached = self.value <= self.target if self.at_most else self.value >= self.target
        return "reached" if reached else "MISSED"


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 10 else f"{value:.1f}"


def table(rows: list[Row]) -> str:
    head = ("measurement", "value", "unit", "target", "", "peers in the same run", "note")
    lines = [head]
    for row in rows:
        bound = "" if row.target is None else f"{'<=' if row.at_most else '>='} {number(row.target)}"
        peers = ", ".join(f"{name} {number(value)}" for name, value in row.peers.items())
        lines.append((row.name, number(row.value), row.unit, bound, row.verdict(), peers, row.note))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def machine() -> dict:
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    return {"processor": model, "processors": os.cpu_count(), "kernel": platform.release()}


def write_json(path: str, rows: list[Row]) -> None:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    body = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit,
        "machine": machine(),
        "rows": [dataclasses.asdict(row) | {"verdict": row.verdict()} for row in rows],
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(body, file, indent=2)
        file.write("\n")
