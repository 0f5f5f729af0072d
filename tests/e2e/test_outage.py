# SPDX-License-Identifier: Apache-2.0
"""Cut off from the centre: the edge raises the alert itself and calls the local webhook; healed, the centre has that one
alert at once, and its end once."""
import http.server
import json
import pathlib
import threading
import time

import pytest

from harness import CORE, Place, eventually, seconds_of

WINDOW = 1
SCHEMA = pathlib.Path(__file__).resolve().parents[3] / "shared/contracts/alertmanager-webhook-v4.schema.json"


class Shop(threading.Thread):
    """What is measured: requests, of which a share fails; and the webhook that is called."""

    def __init__(self):
        super().__init__(daemon=True)
        self.good = self.bad = 0.0
        self.failing, self.answering, self.at = 0.0, True, time.monotonic()
        self.calls, self.refusing = [], 0
        shop = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                now = time.monotonic()
                requests = 1000 * (now - shop.at)
                shop.at = now
                shop.bad += requests * shop.failing
                shop.good += requests * (1 - shop.failing)
                text = f'shop_requests_total{{code="200"}} {shop.good:.0f}\nshop_requests_total{{code="500"}} {shop.bad:.0f}\n'
                self.answer(200 if shop.answering else 503, text.encode())

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if shop.refusing:
                    shop.refusing -= 1
                    self.answer(503, b"")
                    return
                shop.calls.append((json.loads(body), self.headers["Idempotency-Key"], time.time()))
                self.answer(200, b"{}")

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.start()

    def run(self):
        self.server.serve_forever()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture
def shop(place):
    made = Shop()
    place.closers.append(made)
    return made


def begin(place, shop, after="30s", **alerts):
    place.start()
    place.create_slo("shop", {"counterRatio": {"badSelector": 'shop_requests_total{code="500"}', "totalSelector": "shop_requests_total"}},
                     WINDOW, target=99.0)
    place.configure_agent({"shop": shop.url + "/metrics"}, edge_alerts={
        "rules": [{"name": "fast", "burn_rate": 5, "long": "6s", "short": "2s", "severity": "critical"}],
        "repeat_interval": "2s", "expires_after": "1h", "unseen_after": "3s",
        "webhook": {"url": shop.url + "/hook", "after": after}, **alerts})
    place.start_agent()
    eventually("windows come", lambda: place.windows("shop", time.time() - 60, time.time() + 5), 30)


def alerts_of(place, name):
    """As they are now; those of that name, whatever their state."""
    ids = {fact["alertIngested"]["alert"]["alertId"] for fact in place.facts() if fact.get("alertIngested", {}).get("alert", {}).get("name") == name}
    return [place.call(CORE + "AlertService/GetAlert", {"alertId": one})["alert"] for one in sorted(ids)]


def changes(place, alert_id):
    """The statuses that the alert went through at the centre."""
    ingested = [fact["alertIngested"] for fact in place.facts() if "alertIngested" in fact]
    mine = [one for one in ingested if one["alert"]["alertId"] == alert_id and not one.get("late")]
    statuses = [one["alert"]["status"] for one in mine]
    return [status for i, status in enumerate(statuses) if i == 0 or statuses[i - 1] != status], mine


def conforms(value, schema, at="body"):
    """As much of JSON Schema as that file uses."""
    kind = {"object": dict, "array": list, "string": str, "integer": int}.get(schema.get("type"))
    assert kind is None or isinstance(value, kind), f"{at}: {value!r} is no {schema['type']}"
    assert "const" not in schema or value == schema["const"], f"{at}: {value!r}"
    assert "enum" not in schema or value in schema["enum"], f"{at}: {value!r}"
    for name in schema.get("required", []):
        assert name in value, f"{at}: {name} is missing"
    if "pattern" in schema:
        import re
        assert re.search(schema["pattern"], value), f"{at}: {value!r}"
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            conforms(value[name], inner, f"{at}.{name}")
    for i, one in enumerate(value if "items" in schema else []):
        conforms(one, schema["items"], f"{at}[{i}]")


def test_the_edge_alerts_while_cut_off_and_the_centre_has_one_alert(place, shop):
    begin(place, shop, after="5s")  # on a loaded machine an ack may well take a second
    time.sleep(3)
    assert shop.calls == [] and alerts_of(place, "SLOBurnRate") == []
    place.agent_proxy.cut()
    shop.failing, shop.refusing = 0.5, 2
    try:
        eventually("the webhook is called", lambda: shop.calls, 30)
        body, key, _ = shop.calls[0]
        if SCHEMA.exists():
            conforms(body, json.loads(SCHEMA.read_text(encoding="utf-8")))
        assert body["status"] == "firing" and body["commonLabels"]["slo_id"] == "shop" and key.endswith("-firing"), (body, key)
        # It has the answer, and has stored that it has: killed before that, it would rightly call again, under the same key.
        eventually("that it was told is stored", lambda: place.metric("picket_alert_webhook_calls_total", "agent", result="done") == 1)
        place.agent.kill()  # it was told: not again
        place.agent.start()
        time.sleep(8)
        assert len(shop.calls) == 1, [call[1] for call in shop.calls]
        healed = time.monotonic()
        place.agent_proxy.heal()
        found = eventually("the alert is at the centre", lambda: [one for one in alerts_of(place, "SLOBurnRate") if one["status"] == "ALERT_STATUS_FIRING"], every=0.02)
        took = time.monotonic() - healed
        print(f"alert at the centre {took:.2f} s after healing")
        assert len(found) == 1 and took < 60, (found, took)
        assert found[0]["alertId"] == "picket." + body["alerts"][0]["fingerprint"]
        assert found[0]["startsAt"][:19] == body["alerts"][0]["startsAt"][:19]
        assert found[0]["severity"] == "SEVERITY_CRITICAL" and found[0]["clusterId"] == "c1"
        shop.failing = 0.0
        eventually("it ends at the centre", lambda: alerts_of(place, "SLOBurnRate")[0]["status"] == "ALERT_STATUS_RESOLVED", 30)
        eventually("the webhook, which was told of it, is told of its end", lambda: len(shop.calls) == 2)
        assert shop.calls[1][0]["status"] == "resolved" and shop.calls[1][1].endswith("-resolved")
        time.sleep(2)
        statuses, mine = changes(place, found[0]["alertId"])
        assert statuses == ["ALERT_STATUS_FIRING", "ALERT_STATUS_RESOLVED"], statuses
        assert len({one["alert"]["startsAt"] for one in mine}) == 1 and len(alerts_of(place, "SLOBurnRate")) == 1
        assert len(shop.calls) == 2 and place.rejections() == []
        # With the centre there, the webhook is left alone; a new firing begins at another time.
        shop.failing = 0.5
        again = eventually("it fires again", lambda: [one for one in alerts_of(place, "SLOBurnRate") if one["status"] == "ALERT_STATUS_FIRING"], 30)
        assert len(again) == 1 and seconds_of(again[0]["startsAt"]) > seconds_of(found[0]["startsAt"])
        time.sleep(7)
        assert len(shop.calls) == 2, [call[1] for call in shop.calls]
    except BaseException:
        print(place.story())
        raise


def test_what_is_not_seen_is_an_alert_and_neither_fires_nor_ends_the_others(place, shop):
    begin(place, shop)
    time.sleep(2)
    shop.failing = 0.5
    try:
        eventually("it burns", lambda: alerts_of(place, "SLOBurnRate"), 30)
        shop.answering = False
        unseen = eventually("it is unseen", lambda: alerts_of(place, "SLOUnseen"), 30)
        assert unseen[0]["status"] == "ALERT_STATUS_FIRING"
        time.sleep(8)  # longer than both spans: nothing is known of them any more
        assert alerts_of(place, "SLOBurnRate")[0]["status"] == "ALERT_STATUS_FIRING"
        shop.failing, shop.answering = 0.0, True
        for name in ("SLOUnseen", "SLOBurnRate"):
            eventually(f"{name} ends", lambda: alerts_of(place, name)[0]["status"] == "ALERT_STATUS_RESOLVED", 30)
        statuses, _ = changes(place, unseen[0]["alertId"])
        assert statuses == ["ALERT_STATUS_FIRING", "ALERT_STATUS_RESOLVED"]
        assert shop.calls == []
    except BaseException:
        print(place.story())
        raise
