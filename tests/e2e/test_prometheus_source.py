# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus as a source: what is counted through it is what the generator served it, integer for integer, and
what it could not scrape, or could not say, is unknown. Real exporters are scraped beside it."""
import json
import math
import shutil
import time

import pytest

from generator import SLIS, Generator
from harness import EDGE, Place, eventually, free_port
from truth import Truth

WINDOW = 2
NAMES = ["scrapes", "requests", "jobs", "latency"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    server, exporter = shutil.which("prometheus"), shutil.which("prometheus-node-exporter")
    if not server or not exporter:
        pytest.skip("prometheus and prometheus-node-exporter are not installed (apt-get install both)")
    folder = tmp_path_factory.mktemp("prometheus")
    made = Place(folder)
    made.generator = Generator(11)
    made.closers.append(made.generator)
    made.prometheus_port, exporter_port = free_port(), free_port()
    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms"},
        "scrape_configs": [{"job_name": "gen", "static_configs": [{"targets": [f"127.0.0.1:{made.generator.port}"]}]}]}),
        encoding="utf-8")
    made.prometheus = made._program("prometheus", [
        server, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{made.prometheus_port}", "--log.level=warn"]).start()
    made._program("node-exporter", [exporter, f"--web.listen-address=127.0.0.1:{exporter_port}", "--log.level=warn"]).start()
    made.start()
    for name in NAMES:
        made.create_slo(name, dict(SLIS[name][0], targets=["main"]), WINDOW)
    made.configure_agent(
        {"node": f"http://127.0.0.1:{exporter_port}/metrics", "server": f"http://127.0.0.1:{made.prometheus_port}/metrics"},
        scrape__interval="1s", scrape__timeout="1s",
        slis=[{"slo_id": "load", "kind": "gauge", "total": "node_load1", "comparison": ">=", "targets": ["node"], "window": "2s"}],
        prometheus_apis=[{"name": "main", "url": f"http://127.0.0.1:{made.prometheus_port}/", "interval": "1s", "timeout": "900ms",
                          "fresh": "2s", "settle": "300ms", "up": 'up{job="gen"}'}])
    made.start_agent()
    yield made
    made.close()


def points(place, start, name="requests"):
    return {at: p for at, p in place.windows(name, start, math.floor(time.time())).items() if p["windows"]}


def whole(place, start):
    return [at for at, p in points(place, start).items() if p["seen"] == p["expected"] == WINDOW and not p["unknown"]]


def begin(place):
    start = math.ceil(time.time() / WINDOW) * WINDOW
    eventually("two whole windows", lambda: len(whole(place, start)) >= 2, 60, 0.3)
    return start


def target(place, name):
    known = place.agent_known()
    return next((one for one in (known or {}).get("status", {}).get("targets", []) if one["name"] == name), None)


def test_what_it_scraped_is_counted_integer_for_integer(place):
    begin(place)
    place.agent.kill()  # the next process bridges what it did not see
    place.start_agent()
    start = begin(place)
    eventually("more windows", lambda: len(whole(place, start)) >= 3, 40, 0.3)
    end = max(whole(place, start))
    series = {name: place.windows(name, start - 60, end + WINDOW) for name in NAMES}
    windows = {at: {name: series[name][at] for name in NAMES}
               for at, point in sorted(series["requests"].items()) if point["windows"]}
    for window in windows.values():
        assert len({(p["seen"], p["expected"]) for p in window.values()}) == 1, window
    truth = Truth(place.generator.log, place.generator.resets, NAMES)
    truth.check(windows)
    assert truth.compared >= 3 * len(NAMES)
    assert sum(window["requests"]["total"] for window in windows.values()) > 0


def test_what_it_could_not_scrape_is_unknown(place):
    start = begin(place)
    place.generator.mode = "error"
    failing = math.ceil((time.time() + 0.5) / WINDOW + 1) * WINDOW  # fresh (2 s) is over by then, and settle
    time.sleep(max(0, failing + WINDOW - time.time() + 1))
    place.generator.mode = "good"
    gap = eventually("the failed window", lambda: points(place, start).get(failing), every=0.3)
    assert gap["seen"] == 0 and gap["expected"] == WINDOW and gap["total"] == 0 and gap["unknown"], gap
    begin(place)


def test_a_server_that_is_gone_is_unknown_and_says_so(place):
    start = begin(place)
    place.prometheus.kill()
    down = math.ceil(time.time() / WINDOW) * WINDOW
    eventually("the status says it", lambda: "Prometheus 'main'" in (target(place, "main") or {}).get("error", ""))
    time.sleep(max(0, down + WINDOW - time.time()))
    place.prometheus.start()
    gap = eventually("the window without it", lambda: points(place, start).get(down), every=0.3)
    assert gap["seen"] == 0 and gap["expected"] >= WINDOW and gap["unknown"], gap
    begin(place)  # and goes on
    eventually("the status says that too", lambda: target(place, "main").get("up"))
    name = f"gen/127.0.0.1:{place.generator.port}"
    eventually("and that of the instance", lambda: target(place, name)["up"] and int(target(place, name)["samples"]) > 0)


def test_real_exporters_are_read(place):
    for name, least in (("node", 300), ("server", 300)):
        one = eventually(f"{name} is up", lambda name=name: (lambda t: t and t.get("up") and t)(target(place, name)))
        assert int(one["samples"]) > least, one
    assert EDGE and place.metric("picket_collect_samples_selected_total", "agent") > 0
