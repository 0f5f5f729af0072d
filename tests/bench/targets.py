#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Scrape targets for the benchmarks, and a black hole for the peers' remote write.

  targets.py --port 9900 --series 1000 --slis 10     any path answers GET

Each target exposes two counters per SLI (bench_requests_total{slo,code="200"|"500"}) and fills up with counters that
nobody asks for. All counters grow by one a second, so that every window has events. POST to any path is answered 204
and thrown away.
"""
import argparse
import http.server
import socketserver
import threading
import time


def body_template(series: int, slis: int) -> bytes:
    lines = ["# HELP bench_requests_total Requests, by SLO and code.", "# TYPE bench_requests_total counter"]
    for sli in range(slis):
        for code in ("200", "500"):
            lines.append(f'bench_requests_total{{slo="{sli}",code="{code}"}} @')
    left = series - 2 * slis
    family = 0
    while left > 0:
        members = min(left, 1000)
        name = f"bench_filler_{family}_bytes_total"
        lines += [f"# HELP {name} Not asked for.", f"# TYPE {name} counter"]
        lines += [f'{name}{{device="sd{n % 26}",instance="edge-{n}",mode="m{n % 7}"}} @' for n in range(members)]
        family += 1
        left -= members
    return ("\n".join(lines) + "\n").encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    template = b""
    started = time.time()
    cache = (0, b"")
    lock = threading.Lock()

    def do_GET(self):
        now = int(time.time() - Handler.started) + 1000
        with Handler.lock:  # one body a second, whoever asks
            if Handler.cache[0] != now:
                Handler.cache = (now, Handler.template.replace(b"@", str(now).encode()))
            body = Handler.cache[1]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9900)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--slis", type=int, default=10)
    args = parser.parse_args()
    Handler.template = body_template(args.series, args.slis)
    Server(("127.0.0.1", args.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
