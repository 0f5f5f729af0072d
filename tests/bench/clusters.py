# SPDX-License-Identifier: Apache-2.0
"""What it costs to watch a cluster: 5,000 pods on 100 nodes and 500 Applications of a stand-in API server, with 50 object
changes a second, and to scrape beside it. vmagent does its part of the same job, discovery of the same pods; it does
not judge them."""
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import time

import peers
from measurements import TARGETS, TOP, counter_ratio, harness, place, say
from processes import cost, cpu_seconds, free_port, resident_mib, running, wait_http
from report import Row

PODS, NODES, APPLICATIONS, CHURN = 5000, 100, 500, 50
SCRAPED, SERIES, SLIS = 10, 1000, 100


@contextlib.contextmanager
def api_server(folder: pathlib.Path, churn: float):
    """url and kubeconfig of a cluster of that size; it runs as long as the block."""
    with subprocess.Popen([sys.executable, "-m", "kube_api", "--pods", str(PODS), "--nodes", str(NODES), "--applications", str(APPLICATIONS),
                           "--churn", str(churn), "--kubeconfig", str(folder / "kubeconfig")], cwd=TOP / "tests/support",
                          stdout=subprocess.PIPE, stderr=(folder / "kube_api.log").open("w"), text=True) as process:
        try:
            words = dict(word.split("=", 1) for word in process.stdout.readline().split() if "=" in word)
            say(f"a cluster of {words['objects']} objects, {churn:.0f} changes a second")
            yield words["url"]
        finally:
            process.terminate()


def watched(here) -> float:
    """Objects that the agent knows."""
    return here.metric("picket_health_objects", where="agent") or 0


@contextlib.contextmanager
def watching(churn: float, scraping: bool, beside: bool = True):
    """here, the agent's pid and the peers' (none, when nothing is to run beside), when all have read the cluster once."""
    with place() as here, contextlib.ExitStack() as stack:
        port = free_port()
        stack.enter_context(running([str(TARGETS), "--port", str(port), "--series", str(SERIES), "--slis", str(SLIS // SCRAPED)],
                                    str(here.folder / "targets.log")))
        urls = [f"http://127.0.0.1:{port}/t/{n}/metrics" for n in range(SCRAPED)] if scraping else []
        wait_http(f"http://127.0.0.1:{port}/", 60)
        api = stack.enter_context(api_server(here.folder, churn))
        for n in range(SLIS if scraping else 0):
            here.create_slo(f"t{n % SCRAPED}-{n // SCRAPED}", counter_ratio(f"t{n % SCRAPED}", str(n // SCRAPED)), 60)
        here.configure_agent({f"t{n}": url for n, url in enumerate(urls)}, scrape__interval="1s", scrape__timeout="1s", scrape__bytes_max="256MiB",
                             ship__status_interval="1m",  # as an agent does by itself; the tests ask for one each second
                             kubernetes=[{"cluster_id": "c1", "kubeconfig": str(here.folder / "kubeconfig")}],
                             argocd=[{"kubernetes": "c1", "environment_id": "bench"}])
        here.start_agent()
        pids = stack.enter_context(peers.all_installed(str(here.folder), urls, "1s", f"http://127.0.0.1:{port}", 0, api)) if beside else {}
        pids["picket-agent"] = here.agent.process.pid
        harness.eventually("the agent has read the cluster", lambda: watched(here) >= PODS, 120, 0.5)
        time.sleep(15)
        yield here, pids


def changes(here) -> float:
    return here.metric("picket_health_object_changes_total", where="agent") or 0


def cluster(seconds: float) -> list[Row]:
    """CPU of watching alone, then memory with scraping beside it."""
    with watching(CHURN, scraping=False) as (here, pids):
        say(f"watching: measuring {', '.join(pids)} for {seconds:.0f} s")
        before = changes(here)
        took = cost(pids, seconds)
        seen = (changes(here) - before) / seconds
        if seen < 0.8 * CHURN:
            raise RuntimeError(f"the agent saw {seen:.0f} changes a second of {CHURN}: the figures would mean nothing")
        ours = took.pop("picket-agent")
        rows = [Row(f"{PODS:,} pods, {CHURN} changes a second: agent CPU", ours["cpu"] / seconds * 100, "% of a core", 1,
                    peers={peer: figure["cpu"] / seconds * 100 for peer, figure in took.items()}, note=f"{seen:.0f} changes/s seen"),
                Row(f"{PODS:,} pods, {APPLICATIONS} Applications: agent resident", ours["resident"], "MiB", None,
                    peers={peer: figure["resident"] for peer, figure in took.items()})]
    with watching(CHURN, scraping=True) as (here, pids):
        say(f"watching and scraping: measuring {', '.join(pids)} for {seconds:.0f} s")
        took = cost(pids, seconds)
        ours = took.pop("picket-agent")
        return rows + [Row(f"the same, scraping {SCRAPED} targets x {SERIES:,} series every second: agent resident", ours["resident"], "MiB", 8,
                           peers={peer: figure["resident"] for peer, figure in took.items()}, note="highest seen, all threads"),
                       Row("the same: agent CPU", ours["cpu"] / seconds * 100, "% of a core", None,
                           peers={peer: figure["cpu"] / seconds * 100 for peer, figure in took.items()})]


STARTED_S = 300  # by then every table has been filled once, and every buffer has had its largest content


def growth(marks: list[tuple[float, ...]], length: float, highest: float, noted: str) -> list[Row]:
    """marks: (seconds past, MiB resident, MiB of its own, CPU seconds); highest: MiB. Medians of five minutes: a window's end
    takes a buffer for a moment, and a highest value is one of those."""
    def at_rest(which: int, begin: float) -> float:
        return statistics.median(mark[which] for mark in marks if begin <= mark[0] < begin + 300)
    begins = (0, STARTED_S, length / 2, length - 300)
    own, resident = ([at_rest(which, begin) for begin in begins] for which in (2, 1))
    return [Row("an hour of churn: memory of its own, last five minutes less the second five", own[3] - own[1], "MiB", 0.01,
                note=f"{own[1]:.3f} MiB, then {own[3]:.3f}, a page is 0.004; in the first five {own[0]:.2f}; {noted}"),
            # What grows without end grows here; what has been made once, and memory that has found its places, does not.
            Row("the same: its last half hour", own[3] - own[2], "MiB", 0.01, note=f"{own[2]:.3f} MiB, then {own[3]:.3f}"),
            Row("the same: highest resident after the first five minutes, with the pages of files", highest, "MiB", 8,
                note=f"median {resident[1]:.2f} MiB, then {resident[3]:.2f}; of the kernel's own mark (VmHWM), which misses no moment")]


def cluster_hour(seconds: float) -> list[Row]:
    """An hour of churn with scraping, nothing beside it."""
    length = max(seconds, 3600)
    with watching(CHURN, scraping=True, beside=False) as (here, pids):
        pid, marks, begun, started = pids["picket-agent"], [], time.monotonic(), False
        while (past := time.monotonic() - begun) < length:
            if past >= STARTED_S and not started:
                pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # proc(5): VmHWM begins anew
                started = True
            marks.append((past, resident_mib(pid), resident_mib(pid, "RssAnon"), cpu_seconds(pid)))
            if len(marks) % 30 == 1:
                say(f"{past / 60:.0f} of {length / 60:.0f} min: {marks[-1][2]:.2f} MiB its own, {marks[-1][1]:.2f} resident, "
                    f"highest {resident_mib(pid, 'VmHWM'):.2f}")
            time.sleep(10)
        (pathlib.Path(TOP) / "build/cluster-hour.json").write_text(json.dumps(marks), encoding="utf-8")
        return growth(marks, length, resident_mib(pid, "VmHWM"), f"{changes(here):,.0f} changes")
