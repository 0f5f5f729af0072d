# SPDX-License-Identifier: Apache-2.0
"""A scraped program whose every number is known, and what is measured of it."""
import http.server
import random
import threading
import time


class Generator:
    """An HTTP server whose every exposition is remembered. `gen_scrapes_total` is the serial number of the scrape that
    shows it and never resets: what an SLO over it sums to is the serial number of the last scrape that was counted, and
    the log says what every other number was in that scrape."""

    HISTOGRAM = (0.05, 0.1, 0.25, 0.5, 1.0)

    def __init__(self, numbers):
        self.random = random.Random(numbers)
        self.lock = threading.Lock()
        self.serial = 0
        self.log = {}          # serial -> {name: value}
        self.resets = []       # first serial after each reset
        self.mode = "good"     # "error", "malformed", "hang", "cut"
        self.failed = 0
        self.extra = ""        # more exposition, as it is
        self.values = self._zero()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # noqa: N802 (the library's name)
                outer.answer(self)

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *words: None  # whoever scrapes is killed in the middle: no news
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/metrics"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _zero(self):
        values = {"requests_200": 0, "requests_500": 0, "jobs": 0, "jobs_failed": 0, "latency_sum": 0.0, "latency_count": 0}
        values.update({f"latency_{bound}": 0 for bound in self.HISTOGRAM})
        return values

    def reset(self):
        """As when the scraped process starts anew: its counters begin at 0. A reset can be seen only where a counter
        falls, so there should be some 20 scrapes between two."""
        with self.lock:
            temperature = self.values.get("temperature", 0)
            self.values = self._zero()
            self.values["temperature"] = temperature
            self.resets.append(self.serial + 1)

    def _step(self):
        numbers, values = self.random, self.values
        values["requests_200"] += numbers.randrange(1000)
        values["requests_500"] += numbers.randrange(10)
        jobs = numbers.randrange(50)
        values["jobs"] += jobs
        values["jobs_failed"] += numbers.randrange(jobs + 1)
        for _ in range(numbers.randrange(20)):
            took = numbers.choice((0.01, 0.07, 0.2, 0.3, 0.7, 3.0))
            values["latency_count"] += 1
            values["latency_sum"] += took
            for bound in self.HISTOGRAM:
                values[f"latency_{bound}"] += took <= bound
        values["temperature"] = numbers.choice((20, 40, 60, 80))

    def exposition(self):
        with self.lock:
            self.serial += 1
            self._step()
            v = dict(self.values)
            self.log[self.serial] = v
            serial = self.serial
        lines = ["# HELP gen_scrapes_total Serial number of this scrape.", "# TYPE gen_scrapes_total counter",
                 f"gen_scrapes_total {serial}",
                 "# TYPE gen_requests_total counter",
                 f'gen_requests_total{{code="200",path="/a b"}} {v["requests_200"]}',
                 f'gen_requests_total{{code="500",path="/\\"x\\\\"}} {v["requests_500"]}',
                 "# TYPE gen_jobs_total counter", f'gen_jobs_total {v["jobs"]}',
                 "# TYPE gen_jobs_failed_total counter", f'gen_jobs_failed_total {v["jobs_failed"]}',
                 "# TYPE gen_latency_seconds histogram"]
        lines += [f'gen_latency_seconds_bucket{{le="{bound}"}} {v[f"latency_{bound}"]}' for bound in self.HISTOGRAM]
        lines += [f'gen_latency_seconds_bucket{{le="+Inf"}} {v["latency_count"]}', f'gen_latency_seconds_sum {v["latency_sum"]:.3f}',
                  f'gen_latency_seconds_count {v["latency_count"]}',
                  "# TYPE gen_temperature_celsius gauge", f'gen_temperature_celsius{{room="1"}} {v["temperature"]}']
        return "\n".join(lines) + "\n" + self.extra

    def answer(self, request):
        mode = self.mode
        try:
            if mode == "good":
                self._send(request, 200, self.exposition())
                return
            with self.lock:
                self.failed += 1
            if mode == "error":
                self._send(request, 500, "out of order\n")
            elif mode == "malformed":
                # The serial must not be seen: a scrape that is broken anywhere counts nowhere.
                self._send(request, 200, 'gen_scrapes_total 999999999\ngen_requests_total{code="200} 5 x y\n')
            elif mode == "hang":
                time.sleep(3)
                request.close_connection = True
            elif mode == "cut":
                request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n"
                                    b"gen_scrapes_total 999999999\n")
                request.close_connection = True
        except OSError:
            pass

    @staticmethod
    def _send(request, status, text):
        body = text.encode()
        request.send_response(status)
        request.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


# What is measured of the generator: spec as the contract has it, and what one scrape's values mean for it.
SLIS = {
    "scrapes": ({"counterRatio": {"goodSelector": "gen_scrapes_total", "totalSelector": "gen_scrapes_total"}}, None),
    "requests": ({"counterRatio": {"goodSelector": 'gen_requests_total{code!~"5.."}', "totalSelector": "gen_requests_total"}},
                 lambda v: (v["requests_200"], v["requests_200"] + v["requests_500"])),
    "jobs": ({"counterRatio": {"badSelector": "gen_jobs_failed_total", "totalSelector": "gen_jobs_total"}},
             lambda v: (v["jobs"] - v["jobs_failed"], v["jobs"])),
    "latency": ({"histogramThreshold": {"metric": "gen_latency_seconds", "threshold": 0.25}},
                lambda v: (v["latency_0.25"], v["latency_count"])),
    "temperature": ({"gaugeThreshold": {"selector": "gen_temperature_celsius", "comparison": "COMPARISON_LESS", "threshold": 50}},
                    "gauge"),
}
