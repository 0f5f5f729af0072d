# SPDX-License-Identifier: Apache-2.0
"""What is measured, one function a scenario; each returns its rows. The broker, the aggregator and the agent run as in
the end-to-end tests (tests/e2e/harness.py), built for release."""
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = TOP / "build/release/bin"
os.environ["PICKET_BIN"] = str(BIN)
sys.path.insert(0, str(TOP / "tests/e2e"))

import harness  # noqa: E402
import outage  # noqa: E402
import peers  # noqa: E402
from processes import cost, cpu_seconds, free_port, resident_mib, running, wait_http  # noqa: E402
from report import Row  # noqa: E402

TARGETS = TOP / "tests/bench/targets.py"


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def place(map_bytes: str = "1GiB"):
    with tempfile.TemporaryDirectory(prefix="picket-bench-", dir=TOP / "build") as folder:
        here = harness.Place(pathlib.Path(folder))
        # One token asks for all: its rate is taken account of, and not reached.
        settings = harness.aggregator_settings(here)
        settings["data"]["map_bytes"] = map_bytes
        here.write_yaml("aggregator.yaml", {**settings,
                                            "limits": {"requests_per_second": 1_000_000, "burst": 1_000_000}})
        try:
            here.start()
            yield here
        except BaseException:
            print(here.story(), file=sys.stderr)
            raise
        finally:
            here.close()


def counter_ratio(target: str, slo: str) -> dict:
    return {"counterRatio": {"goodSelector": f'bench_requests_total{{slo="{slo}",code="200"}}',
                             "totalSelector": f'bench_requests_total{{slo="{slo}"}}'}, "targets": [target]}


def exposition(seconds: float) -> list[Row]:
    """Parsing alone, in memory."""
    out = subprocess.run([BIN / "exposition_bench"], capture_output=True, text=True, check=True).stdout
    rows = []
    for line in out.splitlines():
        match = re.match(r"(.+?)\s+([\d.]+) GB/s\s+([\d.]+) ns/line", line)
        if match:
            goal = 1.0 if match[1] in ("nothing selected", "1,000 selectors, a series of one family each") else None
            rows.append(Row(f"exposition: {match[1]}", float(match[2]), "GB/s", goal, at_most=False, note=f"{match[3]} ns a line"))
    return rows


def journal(seconds: float) -> list[Row]:
    """The journal alone: batches of windows in, commits with full sync out."""
    out = subprocess.run([BIN / "journal_bench"], capture_output=True, text=True, check=True).stdout
    say(out.strip())
    rate, core = re.search(r"([\d,.]+) intents/s", out), re.search(r"([\d,.]+) a core-second \(([\d.]+) us", out)
    compacted = re.search(r"([\d.]+) facts compacted a second.*the longest ([\d.]+) ms", out)
    return [Row("journal: SLI windows committed, full sync", float(rate[1].replace(",", "")), "intents/s", 100_000, at_most=False,
                note=f"{core[2]} us CPU an intent, {core[1]} a core-second"),
            Row("journal: facts compacted", float(compacted[1]), "facts/s", None, at_most=False, note=f"longest pause {compacted[2]} ms")]


@contextlib.contextmanager
def made_journal(facts: int):
    """A data folder whose journal holds that many facts."""
    with tempfile.TemporaryDirectory(prefix="picket-bench-", dir=TOP / "build") as folder:
        subprocess.run([BIN / "fact_journal", f"{folder}/journal", str(facts)], check=True)
        yield folder


def verify(seconds: float) -> list[Row]:
    """The chain of hashes over three million facts, from the page cache; the best of three."""
    with made_journal(3_000_000) as folder:
        best = max((re.search(r"([\d.]+) GB in [\d.]+ s, ([\d.]+) GB/s, (\d+) threads", subprocess.run(
            [BIN / "picket-aggregator", "verify", "--data", folder], capture_output=True, text=True, check=True).stdout)
            for _ in range(3)), key=lambda found: float(found[2]))
        return [Row("verify: facts followed", float(best[2]), "GB/s", 1, at_most=False, note=f"{best[1]} GB, {best[3]} threads")]


def open_ready(seconds: float) -> list[Row]:
    """Ten million facts, kill -9, and how long until /readyz says yes again. The projections were as far as the journal."""
    with made_journal(10_000_000) as folder:
        port = free_port()
        config = pathlib.Path(folder, "aggregator.yaml")
        config.write_text(f'{{"data": {{"path": "{folder}"}}, "mqtt": {{"disabled": true}}, "http": {{"port": {port}}}}}', encoding="utf-8")
        program = harness.Program("picket-aggregator", pathlib.Path(folder), [BIN / "picket-aggregator", "--config", config])
        waits = []
        for round in range(6):
            begun = time.monotonic()
            program.start()
            try:
                wait_http(f"http://127.0.0.1:{port}/readyz", 900, str(program.log_path), every=0.1 if round == 0 else 0.001)
                waits.append((time.monotonic() - begun) * 1000)
            finally:
                program.kill()
        waits = waits[1:]  # the first one builds the projections
        return [Row("open: ready after kill -9 with 10 million facts", max(waits), "ms", 1000, note=f"worst of {len(waits)}, best {min(waits):.0f}")]


def scrape(seconds: float, targets: int, series: int, slis: int, interval: str, name: str, resident_max: float,
           cpu_max: float | None) -> list[Row]:
    """The agent and each peer that is installed scrape the same targets at the same time."""
    with place() as here, contextlib.ExitStack() as stack:
        port = free_port()
        stack.enter_context(running([str(TARGETS), "--port", str(port), "--series", str(series), "--slis", str(slis // targets)],
                                    str(here.folder / "targets.log")))
        urls = [f"http://127.0.0.1:{port}/t/{n}/metrics" for n in range(targets)]
        wait_http(f"http://127.0.0.1:{port}/", 60)
        for n in range(slis):
            target, slo = f"t{n % targets}", str(n // targets)
            here.create_slo(f"{target}-{slo}", counter_ratio(target, slo), 60)
        # The status as often as an agent sends it by itself: the tests ask for one each second.
        here.configure_agent({f"t{n}": url for n, url in enumerate(urls)}, scrape__interval=interval, scrape__timeout=interval, ship__status_interval="1m",
                             scrape__bytes_max="256MiB")
        here.start_agent()
        pids = stack.enter_context(peers.all_installed(str(here.folder), urls, interval, f"http://127.0.0.1:{port}",
                                                       slis // targets if series <= 10_000 else 0))
        pids["picket-agent"] = here.agent.process.pid
        here_seconds = int(re.sub(r"\D", "", interval))
        time.sleep(max(10, 2 * here_seconds + 2))
        say(f"{name}: measuring {', '.join(pids)} for {seconds:.0f} s")
        before = here.metric("picket_collect_samples_total", where="agent")
        took = cost(pids, seconds)
        samples = here.metric("picket_collect_samples_total", where="agent") - before
        failed = here.metric("picket_collect_scrapes_failed_total", where="agent")
        if failed or samples < 0.6 * targets * series * seconds / here_seconds:
            raise RuntimeError(f"the agent read {samples:.0f} samples and {failed:.0f} scrapes failed: the figures would mean nothing")
        ours = took.pop("picket-agent")
        # The peers' samples are those that the interval makes due: what they skip only flatters them.
        due = targets * series * seconds / here_seconds
        rows = [Row(f"{name}: agent resident", ours["resident"], "MiB", resident_max,
                    peers={peer: figure["resident"] for peer, figure in took.items()}, note="highest seen, all threads"),
                Row(f"{name}: agent CPU a sample", ours["cpu"] / samples * 1e6, "us", cpu_max,
                    peers={peer: figure["cpu"] / due * 1e6 for peer, figure in took.items()}, note=f"{samples:,.0f} samples")]
        return rows


def scrape_small(seconds: float) -> list[Row]:
    return scrape(seconds, 10, 1000, 100, "1s", "10 targets x 1,000 series every second, 100 SLIs", 6, 0.4)


def scrape_large(seconds: float) -> list[Row]:
    return scrape(max(seconds, 45), 1, 1_000_000, 1000, "15s", "1 target x 1,000,000 series every 15 s, 1,000 SLIs", 16, None)


def create_load_slos(here, count: int) -> None:
    spec = {"counterRatio": {"goodSelector": "load_good", "totalSelector": "load_total"}, "targets": ["nowhere"]}
    for n in range(count):
        here.create_slo(f"load-{n}", spec, 60)


def spine(seconds: float) -> list[Row]:
    """Windows from an agent's queue over TLS and Mosquitto until committed, then until on the shelf of the projection."""
    intents = int(seconds * 20_000)
    with place() as here:
        create_load_slos(here, 1000)
        cpu = {name: cpu_seconds(program.process.pid) for name, program in (("aggregator", here.aggregator), ("mosquitto", here.broker))}
        begun = time.monotonic()
        ran = subprocess.run([BIN / "edge_load", here.folder / "load-queue", "127.0.0.1", str(here.mqtt_port), here.pki / "ca.crt",
                              here.pki / "edge-1.crt", here.pki / "edge-1.key", harness.TENANT, harness.AGENT, "1000", str(intents)],
                             capture_output=True, text=True, check=False)
        if ran.returncode:
            raise RuntimeError(f"edge_load: {ran.stdout}{ran.stderr}")
        say(ran.stdout.strip())
        took = re.search(r"seconds ([\d.]+) intents (\d+) rate (\d+)", ran.stdout)
        spent = {name: (cpu_seconds(program.process.pid) - cpu[name]) / intents * 1e6
                 for name, program in (("aggregator", here.aggregator), ("mosquitto", here.broker))}
        note = ", ".join(f"{name} {value:.1f} us CPU an intent" for name, value in spent.items())
        harness.eventually("the projection has caught up", lambda: not lag(here), 300, 0.05)
        whole = time.monotonic() - begun
        # What came through is right to the last event: nothing lost, nothing twice.
        budget = here.call(harness.CORE + "SLOService/GetSLO", {"sloId": "load-0"})["slo"]["budget"]
        expected = intents // 1000 * 1000
        if int(budget["total"]) != expected:
            raise RuntimeError(f"load-0 has {budget['total']} events, expected {expected}")
        return [Row("edge to committed over TLS and Mosquitto", float(took[3]), "intents/s", 40_000, at_most=False, note=note),
                Row("edge to projection over TLS and Mosquitto", intents / whole, "intents/s",
                    note=f"aggregator {resident_mib(here.aggregator.process.pid):.0f} MiB resident")]


def lag(here) -> float:
    return here.metric("picket_outbox_lag_facts", consumer="projections") or 0


def latency(seconds: float) -> list[Row]:
    """1,000 SLIs in windows of one second: from a window's end to its appearance in GetSLITimeSeries."""
    seconds = max(seconds, 45)
    with place() as here, contextlib.ExitStack() as stack:
        port = free_port()
        stack.enter_context(running([str(TARGETS), "--port", str(port), "--series", "2100", "--slis", "1000"], str(here.folder / "targets.log")))
        wait_http(f"http://127.0.0.1:{port}/", 30)
        for n in range(1000):
            here.create_slo(f"load-{n}", counter_ratio("t0", str(n)), 1)
        here.configure_agent({"t0": f"http://127.0.0.1:{port}/metrics"}, scrape__interval="1s", scrape__timeout="1s")
        here.start_agent()
        harness.eventually("windows arrive", lambda: here.windows("load-999", time.time() - 30, time.time() + 5), 60)
        time.sleep(5)
        waits: list[float] = []
        end = time.monotonic() + seconds

        def watch(slo: str) -> None:
            newest = int(time.time())
            while time.monotonic() < end:
                points = [at for at, point in here.windows(slo, newest - 3, newest + 5).items() if point["windows"]]
                now = time.time()
                if points and max(points) > newest:
                    newest = max(points)
                    waits.append((now - (newest + 1)) * 1000)
                time.sleep(0.005)

        watchers = [threading.Thread(target=watch, args=(slo,)) for slo in ("load-0", "load-500", "load-999")]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()
        waits.sort()
        if len(waits) < 2 * seconds:
            raise RuntimeError(f"only {len(waits)} windows were seen in {seconds:.0f} s with three watchers")
        return [Row("window's end to query API at 1,000 intents/s: p50", waits[len(waits) // 2], "ms"),
                Row("window's end to query API at 1,000 intents/s: p99", waits[int(len(waits) * 0.99)], "ms", 250,
                    note=f"{len(waits)} windows, worst {waits[-1]:.0f} ms")]


def get_slo(seconds: float) -> list[Row]:
    """GetSLO by HTTP, JSON, 64 connections kept alive; the load generator shares the two cores."""
    with place() as here:
        create_load_slos(here, 100)
        before = cpu_seconds(here.aggregator.process.pid)
        out = subprocess.run(["wrk", "-t2", "-c64", f"-d{int(seconds)}s", "--latency", "-s", TOP / "tests/bench/get_slo.lua", here.url,
                              "--", here.token, "100"], capture_output=True, text=True, check=True).stdout
        spent = cpu_seconds(here.aggregator.process.pid) - before
        found = re.search(r"requests=(\d+) seconds=([\d.]+) p50_ms=([\d.]+) p99_ms=([\d.]+) errors=(\d+)", out)
        if not found or int(found[5]):
            raise RuntimeError(f"wrk: {out}")
        requests = int(found[1])
        return [Row("GetSLO, 64 connections", requests / float(found[2]), "requests/s", 50_000, at_most=False,
                    note=f"{spent / requests * 1e6:.1f} us CPU a request"),
                Row("GetSLO, 64 connections: p99", float(found[4]), "ms", 3, note=f"p50 {found[3]} ms")]


def wrk(here, connections: int, seconds: float, script: str, *words: str) -> re.Match:
    out = subprocess.run(["wrk", f"-t{min(connections, 2)}", f"-c{connections}", f"-d{int(seconds)}s", "--latency", "-s",
                          TOP / "tests/bench" / script, here.url, "--", here.token, *words], capture_output=True, text=True, check=True).stdout
    found = re.search(r"requests=(\d+) seconds=([\d.]+) p50_ms=([\d.]+) p99_ms=([\d.]+) errors=(\d+)", out)
    if not found or int(found[5]):
        raise RuntimeError(f"wrk: {out}")
    return found


def commands(seconds: float) -> list[Row]:
    """A mix of commands, each answered when it is on disk (full sync), by one caller, by 64, and from the bus."""
    rows = []
    with place() as here:
        for n in range(1000):
            here.call(harness.CORE + "IncidentService/CreateIncident", {"command": {
                "incidentId": f"pool-{n}", "title": "of the pool", "severity": "SEVERITY_LOW"}})
        for connections in (1, 64):
            before = cpu_seconds(here.aggregator.process.pid)
            found = wrk(here, connections, seconds, "commands.lua", "1000", f"run{connections}")
            spent, done = cpu_seconds(here.aggregator.process.pid) - before, int(found[1])
            rows.append(Row(f"commands committed, {connections} caller{'s' if connections > 1 else ''}", done / float(found[2]), "commands/s",
                            note=f"p50 {found[3]} ms, p99 {found[4]} ms, {spent / done * 1e6:.0f} us CPU a command"))
        out = subprocess.run([BIN / "intent_load", "127.0.0.1", str(here.mqtt_port), here.pki / "ca.crt", here.pki / "integration.crt",
                              here.pki / "integration.key", *harness.INTEGRATION.split("/"), str(int(seconds * 2000)), "400"],
                             capture_output=True, text=True, check=False)
        if out.returncode:
            raise RuntimeError(f"intent_load: {out.stdout}{out.stderr}")
        rate = re.search(r"rate (\d+)", out.stdout)
        rows.append(Row("intents from the bus, committed and answered", float(rate[1]), "intents/s", note="400 unanswered at a time"))
    return rows


def large(seconds: float) -> list[Row]:
    """A million firing alerts and a hundred thousand open incidents: memory, and reads by id and by list."""
    with tempfile.TemporaryDirectory(prefix="picket-bench-", dir=TOP / "build") as folder:
        here = harness.Place(pathlib.Path(folder))
        settings = harness.aggregator_settings(here)
        settings["data"]["map_bytes"] = "16GiB"
        here.write_yaml("aggregator.yaml", {**settings, "limits": {"requests_per_second": 1_000_000, "burst": 1_000_000}})
        try:
            subprocess.run([BIN / "populate", f"{folder}/aggregator/journal", "1000000", "100000"], check=True)
            here.start_broker()
            here.start_aggregator(ready=False)
            harness.eventually("the projections are built", lambda: here.get("/readyz")[0] == 200, 120, 0.5)
            here.aggregator.kill()
            begun = time.monotonic()
            here.start_aggregator(ready=False)
            harness.eventually("it is ready", lambda: here.get("/readyz")[0] == 200, 60, 0.002)
            ready_ms = (time.monotonic() - begun) * 1000
            pid = here.aggregator.process.pid
            rows = [Row("1,000,000 alerts, 100,000 incidents: memory of its own", resident_mib(pid, "RssAnon"), "MiB",
                        note=f"journal {sum(f.stat().st_size for f in pathlib.Path(folder, 'aggregator/journal').iterdir()) >> 20} MiB on disk"),
                    Row("the same: ready after kill -9", ready_ms, "ms", 1000)]
            for name, method, body, numbers in (
                    ("GetIncident", "IncidentService/GetIncident", '{"incidentId":"inc-%d"}', 100_000),
                    ("ListOpenIncidents, 50 a page", "IncidentService/ListOpenIncidents", '{"pageSize":50}', 1),
                    ("ListActiveAlerts, 50 a page", "AlertQueryService/ListActiveAlerts", '{"pageSize":50}', 1)):
                for connections in (1, 64):
                    found = wrk(here, connections, max(3, seconds / 3), "read_mix.lua", method, body, str(numbers))
                    rows.append(Row(f"{name}, {connections} caller{'s' if connections > 1 else ''}: p99", float(found[4]), "ms",
                                    note=f"p50 {found[3]} ms, {int(found[1]) / float(found[2]):,.0f}/s"))
            rows.append(Row("the same after the reads: memory of its own", resident_mib(pid, "RssAnon"), "MiB",
                            note=f"{resident_mib(pid):.0f} MiB with the file's pages, which the kernel takes back"))
            return rows
        except BaseException:
            print(here.story(), file=sys.stderr)
            raise
        finally:
            here.close()


def drain(seconds: float) -> list[Row]:
    """An hour's backlog beside fresh alerts: what the long outage72 measures, without kills, and what each intent costs."""
    minutes = int(os.environ.get("PICKET_DRAIN_MINUTES", "60"))
    with place("16GiB") as here:
        found = outage.short(here, BIN / "outage_load", minutes, 5)
        say(str(found))
    us = found["us"]
    sides = ("edge", "broker", "aggregator", "this measurement")
    return [Row("backlog drained after an outage", found["rate"], "intents/s", 40_000, at_most=False,
                note=f"{found['waited']:,} intents; the read tables were level {found['caught_up']:.1f} s later"),
            Row("the same: first fresh alert committed after healing", found["first_alert"], "s", 2),
            Row("the same: fresh alerts beside the backlog, p50", 1000 * found["p50"], "ms",
                note=f"{len(found['later_alerts'])} alerts, worst {1000 * max(found['later_alerts'], default=0):.0f} ms"),
            Row("the same: CPU of all sides", sum(us.get(side, 0) for side in sides), "us/intent",
                note=", ".join(f"{side} {us.get(side, 0)}" for side in sides) + f"; {os.cpu_count()} cores")]


def outage72(seconds: float) -> list[Row]:
    """72 hours without a connection at 5,000 intents a minute (PICKET_OUTAGE_HOURS: another number), killed and killed; then one
    whose quota is too small. Needs about 25 GB of disk while it runs."""
    minutes = int(float(os.environ.get("PICKET_OUTAGE_HOURS", "72")) * 60)
    seed = harness.seed()
    with place("128GiB") as here:
        found = outage.whole(here, BIN / "outage_load", minutes, 64 << 30, 6, 3, 20, seed, False)
        say(str(found))
        name = f"{minutes / 60:.3g} h cut off at 5,000 intents/minute"
        rows = [Row(f"{name}: lost or doubled", sum(found["lost"].values()), "intents", 0,
                    note=f"{found['committed']:,} committed, {found['kills']} kills, queue {found['queue_bytes'] / 1e9:.2f} GB"),
                Row(f"{name}: first fresh alert committed after healing", found["first_alert"], "s", 2,
                    note=f"{len(found['later_alerts'])} later ones beside the backlog, worst {max(found['later_alerts'], default=0):.2f} s"),
                Row(f"{name}: backlog drained", found["rate"], "intents/s", 40_000, at_most=False,
                    note=f"{found['waited']:,} waited; stored at {found['waited'] / found['fill_seconds']:,.0f}/s, kills included")]
    minutes = max(minutes // 10, 30)
    with place("16GiB") as here:
        found = outage.whole(here, BIN / "outage_load", minutes, minutes * 5000 * 160, 2, 1, 5, seed, True)
        say(str(found))
        # That the SLOs miss exactly these is the judge's to say (outage.py); it would have raised.
        rows.append(Row("quota of about half: stated as lost at the centre", sum(found["lost"].values()), "intents",
                        note=", ".join(f"{name} {count:,}" for name, count in found["lost"].items())))
    return rows


ALL = {"exposition": exposition, "journal": journal, "verify": verify, "open": open_ready, "get-slo": get_slo, "commands": commands, "large": large, "spine": spine, "latency": latency,
       "scrape-small": scrape_small, "scrape-large": scrape_large, "drain": drain, "outage72": outage72}
