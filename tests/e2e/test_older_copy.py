# SPDX-License-Identifier: Apache-2.0
"""An agent's folder is put back from an older copy (a machine's snapshot, a restored node). What was counted since the copy
was made is at the centre already: it is not counted again, and what the copy no longer has is not told as lost."""
import http.server
import shutil
import threading
import time

import pytest

from harness import Place, eventually

PER_SECOND, WINDOW = 200, 2
SPEC = {"counterRatio": {"goodSelector": 'hits_total{code="200"}', "totalSelector": "hits_total"}, "targets": ["web"]}


class Clockwork:
    """An exporter whose counter goes up with time."""

    def __init__(self):
        self.began = time.monotonic()

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(request):  # noqa: N802, N805 (the library's name; self is the exporter)
                text = f'hits_total{{code="200"}} {self.value()}\n'.encode()
                request.send_response(200)
                request.send_header("Content-Type", "text/plain; version=0.0.4")
                request.send_header("Content-Length", str(len(text)))
                request.end_headers()
                request.wfile.write(text)

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/metrics"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def value(self):
        return int((time.monotonic() - self.began) * PER_SECOND)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


def test_an_older_copy_counts_nothing_twice(place):
    clockwork = Clockwork()
    place.closers.append(clockwork)
    place.start()
    place.create_slo("hits", SPEC, WINDOW)
    place.configure_agent({"web": clockwork.url})
    began = time.time()

    def seen_after(moment):
        return [at for at, window in place.windows("hits", moment, time.time() + 5).items() if window["seen"]]

    try:
        place.start_agent()
        eventually("it measures", lambda: len(seen_after(began)) >= 3, 90, 0.5)
        epoch = place.agent_known()["status"]["epoch"]
        assert place.agent.terminate() == 0
        shutil.copytree(place.folder / "agent", place.folder / "copy")
        place.start_agent()
        gone_on = time.time()
        eventually("it has gone on for a while", lambda: len(seen_after(gone_on)) >= 8, 90, 0.5)
        place.agent.kill()
        shutil.rmtree(place.folder / "agent")
        shutil.copytree(place.folder / "copy", place.folder / "agent")
        place.start_agent()
        back = time.time()
        eventually("it says what it is", lambda: "event=counts_taken_back" in place.agent.log())
        eventually("it measures again", lambda: len(seen_after(back + WINDOW)) >= 3, 90, 0.5)
        most = clockwork.value()
        windows = place.windows("hits", began - 10, time.time() + 5)
        assert sum(window["total"] for window in windows.values()) <= most, (most, windows)
        assert place.rejections() == [], place.rejections()[:2]
        known = place.agent_known()
        assert {stream["epoch"] for stream in known["streams"]} == {known["status"]["epoch"]} - {epoch}, known
        assert int(known.get("intentsLost", 0)) == 0, known["streams"]
    except BaseException:
        print(place.story())
        raise
