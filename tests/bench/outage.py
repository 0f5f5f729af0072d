# SPDX-License-Identifier: Apache-2.0
"""An outage of days in accelerated time: outage_load (the agent's queue and shipper) is cut off, killed again and again,
healed, killed while it drains; afterwards the centre has each intent once, or says which were lost.
tests/bench/run --only outage72; PICKET_OUTAGE_HOURS makes it shorter."""
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402
from processes import cpu_seconds  # noqa: E402
from harness import CORE, EDGE, eventually  # noqa: E402

SLOS, CHECKS, RESTS = 4750, 200, 50  # as in outage_load.c, SLOS at most
EVENTS = 1000


def per_minute():
    return {"windows": SLOS, "health": CHECKS, "rest": RESTS}


class Edge:
    """The process at the edge, whichever of its lives it is in."""

    def __init__(self, here, program, minutes, bytes_max):
        self.here, self.minutes = here, minutes
        self.begin = int(time.time()) // 60 * 60 - minutes * 60
        self.queue = here.folder / "outage-queue"
        self.words = [str(self.queue), str(bytes_max), harness.TENANT, harness.AGENT, str(self.begin), str(minutes)]
        self.program, self.process, self.kills = str(program), None, 0
        self.log_path = here.folder / "outage_load.log"
        self.classes, self.last, self.changed = {}, {}, threading.Condition()
        self.alerts = 0  # raised in this life
        self.environment = dict(os.environ, OUTAGE_SLOS=str(SLOS))

    def start(self, what):
        more = []
        if what == "drain":
            pki = self.here.pki
            more = ["127.0.0.1", str(self.here.agent_proxy.port), str(pki / "ca.crt"), str(pki / f"{harness.AGENT}.crt"),
                    str(pki / f"{harness.AGENT}.key")]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.program, what, *self.words, *more], stdout=subprocess.PIPE, stderr=log, text=True, env=self.environment)
        with self.changed:
            self.last, self.alerts, self.said = {}, 0, []
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process):
        for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue  # killed in the middle of a line
            with self.changed:
                if process is not self.process:
                    continue  # of a life before
                self.said.append(line.strip())
                self.last = said
                self.classes.update(said["streams"])
                self.changed.notify_all()

    def says(self, what, seconds):
        """The next report of that kind."""
        with self.changed:
            found = self.changed.wait_for(lambda: what in self.last, seconds)
            assert found, f"outage_load said nothing of '{what}' in {seconds} s: {self.last}; {self.story()}"
            return self.last

    def finish(self, most_seconds=60):
        """Ends it with nothing left in its queue: the minute that begins between the last look and the signal is stored and
        waits for the next start, as it should, so there is one."""
        end = time.monotonic() + most_seconds
        while True:
            self.process.terminate()
            left = self.says("drained", 60)["records"]
            self.process.wait(60)
            if not left:
                return
            assert time.monotonic() < end, f"{left} records still wait after {most_seconds} s: {self.story()}"
            self.start("drain")
            eventually("what came in last is drained", lambda: self.last.get("records") == 0, most_seconds, 0.05)

    def kill(self):
        """Whether it was killed: it may end by itself at any moment, when it only fills."""
        self.process.kill()
        killed = self.process.wait() == -signal.SIGKILL
        assert killed or self.process.returncode == 0, self.story()
        self.kills += killed
        return killed

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def story(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")[-3000:]


def create_slos(here):
    spec = {"counterRatio": {"goodSelector": "load_good", "totalSelector": "load_total"}, "targets": ["nowhere"]}
    for n in range(SLOS):
        here.create_slo(f"load-{n}", spec, 60)


def known(here):
    agents = here.call(EDGE + "AgentService/ListAgents").get("agents", [])
    return next((one for one in agents if one.get("intentsCommitted")), {})


def fill(edge, kills, numbers, most_seconds):
    """The outage: minutes go by, the process is killed at random moments. Seconds that it took."""
    begun = time.monotonic()
    for _ in range(kills):
        edge.start("fill")
        time.sleep(0.1 + numbers.random() * most_seconds)
        if not edge.kill():
            break
    edge.start("fill")
    filled = edge.says("filled", 7200)
    edge.process.wait()
    assert filled["minutes"] >= edge.minutes, filled
    return filled, time.monotonic() - begun


def newest_fact(here):
    return int(here.call(CORE + "FactService/ListFacts", {"limit": 1}).get("newestSequence", 0))


def first_fact(here, alert_id):
    """The sequence of an alert's first fact."""
    return int(here.facts(aggregateType="alert", aggregateId=alert_id)[0]["sequence"])


def fresh_alert(edge):
    """The id that the next alert of this life will have."""
    return f"picket.fresh-{edge.process.pid}-{edge.alerts}"


def alert_seconds(edge, begun=None, most_seconds=60, look_every=0.01):
    """How long until the centre has committed an alert that the edge is told to raise now."""
    name = fresh_alert(edge)
    edge.alerts += 1
    begun = begun or time.monotonic()
    edge.process.send_signal(signal.SIGUSR1)

    def there():
        try:
            return edge.here.call(CORE + "AlertService/GetAlert", {"alertId": name}).get("alert")
        except harness.ApiError as refused:
            if refused.code != "not_found":
                raise
            return None
    eventually(f"alert {name} is at the centre", there, most_seconds, look_every)
    return time.monotonic() - begun


def drain(edge, dark_seconds, kills, numbers, most_seconds):
    """Starts cut off, heals, raises alerts, is killed. What it said last before it was healed (the minutes of the real clock go
    on: more may wait than was filled in), the first alert, seconds of later alerts, and the rate."""
    here = edge.here
    here.agent_proxy.cut()
    edge.start("drain")
    edge.says("drains", 600)
    time.sleep(dark_seconds)  # the back-off grows
    dark, before = edge.last, newest_fact(here)
    begun = time.monotonic()
    here.agent_proxy.heal()
    name = fresh_alert(edge)
    first = {"seconds": alert_seconds(edge, begun), "facts_before": first_fact(here, name) - before}
    later, drained, busy = [], 0, 0.0
    for life in range(kills + 1):
        end = time.monotonic() + (2 + numbers.random() * 8 if life < kills else most_seconds)
        eventually("connected", lambda: edge.last.get("connected"), 60, 0.05)
        since, left_then = time.monotonic(), edge.last["records"]
        while (left := edge.last["records"]) > 0 and time.monotonic() < end:
            if left > 20_000:
                later.append(alert_seconds(edge))
            time.sleep(0.5)
        busy += time.monotonic() - since
        drained += left_then - left
        if life < kills:
            assert edge.kill(), f"it ended while it drained: {edge.story()}"
            edge.start("drain")
            edge.says("drains", 600)
    assert left == 0, f"{edge.last} after {most_seconds} s: {edge.story()}"
    return dark, first, later, drained / busy


def thread_seconds(pid):
    """CPU time by thread name."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        found[name] = found.get(name, 0) + int((task / "schedstat").read_text().split()[0]) / 1e9
    return found


def thread_written(pid):
    """Bytes that go to the disk, by the name of the thread that wrote them; 0 of a thread that we may not ask about."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            fields = dict(line.split(": ") for line in (task / "io").read_text().splitlines())
        except OSError:
            continue
        name = (task / "comm").read_text().strip()
        found[name] = found.get(name, 0) + int(fields["write_bytes"])
    return found


def each(after, before, waited, least):
    """What one intent took of each, without what took less than the least."""
    taken = {name: (after[name] - before.get(name, 0)) / waited for name in after}
    return {name: value for name, value in taken.items() if value > least}


def spent(here, edge):
    """CPU seconds until now of everything that takes part, the measurement itself too."""
    own = os.times()
    return {"edge": cpu_seconds(edge.process.pid), "broker": cpu_seconds(here.broker.process.pid),
            "aggregator": cpu_seconds(here.aggregator.process.pid), "this measurement": own.user + own.system,
            **{f"aggregator: {name}": seconds for name, seconds in thread_seconds(here.aggregator.process.pid).items()}}


def caught_up(here):
    return here.metric("picket_outbox_lag_facts", consumer="projections") == 0


def short(here, program, minutes, dark_seconds):
    """One drain without kills, looked at closely: rate, alerts beside it, and CPU of everything that takes part."""
    create_slos(here)
    edge = Edge(here, program, minutes, 64 << 30)
    here.closers.append(edge)
    fill(edge, 0, random, 0)
    here.agent_proxy.cut()
    edge.start("drain")
    edge.says("drains", 60)
    time.sleep(dark_seconds)
    before, waited, begun = spent(here, edge), edge.last["records"], time.monotonic()
    written = thread_written(here.aggregator.process.pid)
    here.agent_proxy.heal()
    alerts = [alert_seconds(edge, begun, look_every=0.02)]
    connected = time.monotonic()
    while edge.last["records"] > 5000:
        at = len(edge.said)
        alerts.append(alert_seconds(edge, look_every=0.02))
        if alerts[-1] > 1:
            print(f"an alert took {alerts[-1]:.2f} s; the edge said meanwhile:", *edge.said[at:], edge.story(), sep="\n", file=sys.stderr)
        time.sleep(0.1)
        assert time.monotonic() - begun < 120 + waited / 5000, f"{edge.last}: {edge.story()}"
    eventually("all is drained", lambda: edge.last["records"] == 0, 30, 0.01)
    took, after = time.monotonic() - connected, spent(here, edge)
    eventually("the read tables have caught up", lambda: caught_up(here), 120, 0.1)
    caught_up_seconds = time.monotonic() - connected - took
    written_each = each(thread_written(here.aggregator.process.pid), written, waited, 1)
    edge.finish()
    judge(edge, False)
    return {"waited": waited, "rate": waited / took, "first_alert": alerts[0], "later_alerts": alerts[1:],
            "p50": statistics.median(alerts[1:] or alerts), "caught_up": caught_up_seconds,
            "us": {name: round(seconds * 1e6, 1) for name, seconds in each(after, before, waited, 1e-7).items()},
            "bytes": {name: round(count) for name, count in written_each.items()}}


def judge(edge, shed_expected):
    """Everything once at the centre; what was shed is what the centre says is lost, class by class."""
    here = edge.here
    minutes = edge.last["minutes"]
    shed = edge.last["shed"]
    streams = eventually("the centre has all", lambda: known(here).get("streams"), 30)
    lost = {name: 0 for name in per_minute()}
    committed = {name: 0 for name in per_minute()}
    for stream in streams:
        name = edge.classes[stream["stream"]]
        lost[name] += int(stream.get("lostCount", 0))
        committed[name] += int(stream.get("committedSequence", 0))
    # What the edge gave up when the centre had it already, and the ack was on its way, it does not call shed any more.
    assert lost == shed, f"the edge shed {shed}, the centre says that {lost} are lost"
    alerts = committed["health"] - minutes * CHECKS
    assert alerts > 0 and committed == {name: minutes * count + (alerts if name == "health" else 0)
                                        for name, count in per_minute().items()}, (committed, minutes)
    assert any(shed.values()) == shed_expected, shed
    assert here.rejections() == [], here.rejections()[:2]
    # Counted by what the windows say: none is missing and none counts twice.
    total = 0
    for n in range(0, SLOS):
        budget = here.call(CORE + "SLOService/GetSLO", {"sloId": f"load-{n}"})["slo"].get("budget", {})
        total += int(budget.get("total", 0))
    assert total == (minutes * SLOS - lost["windows"]) * EVENTS, (total, minutes, lost)
    return sum(committed.values()), lost


def whole(here, program, minutes, bytes_max, kills_out, kills_back, dark_seconds, seed, shed_expected, fill_seconds=20.0,
          drain_seconds=3600.0):
    numbers = random.Random(seed)
    create_slos(here)
    edge = Edge(here, program, minutes, bytes_max)
    here.closers.append(edge)
    filled, fill_took = fill(edge, kills_out, numbers, fill_seconds)
    queue_bytes = sum(file.stat().st_size for file in edge.queue.iterdir())
    before, written = thread_seconds(here.aggregator.process.pid), thread_written(here.aggregator.process.pid)
    dark, first, later, rate = drain(edge, dark_seconds, kills_back, numbers, drain_seconds)
    waited, after = dark["records"], thread_seconds(here.aggregator.process.pid)
    cost = {name: round(seconds * 1e6, 2) for name, seconds in each(after, before, waited, 1e-8).items()}
    written_each = each(thread_written(here.aggregator.process.pid), written, waited, 1)
    edge.finish()
    committed, lost = judge(edge, shed_expected)
    return {"minutes": edge.last["minutes"], "filled": filled, "fill_seconds": fill_took, "queue_bytes": queue_bytes, "waited": waited,
            "dark": dark, "first_alert": first["seconds"], "facts_before_alert": first["facts_before"], "later_alerts": later, "rate": rate, "committed": committed, "lost": lost, "kills": edge.kills,
            "aggregator_us": cost, "aggregator_bytes": {name: round(count) for name, count in written_each.items()}}
