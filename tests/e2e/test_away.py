# SPDX-License-Identifier: Apache-2.0
"""A centre that was not there for longer than an alert may go without a repeat: nobody could repeat it, so it fires on, and is
still whose it was, until its source had the whole time again."""
import signal
import time

import pytest

from harness import Place, aggregator_settings, eventually, rfc3339, seconds_of

CORE = "ameide_core_proto.sre.core.v1."
EXPIRY = 10
SOON = 6  # a machine that took longer to say something than this may have come too late


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    made.write_yaml("aggregator.yaml", {**aggregator_settings(made), "journal": {"alert_expiry": f"{EXPIRY}s"}})
    made.start()
    yield made
    made.close()


def fires(place, fingerprint, since, **more):
    place.call(CORE + "AlertService/IngestAlert", {"command": {
        "fingerprint": fingerprint, "name": "HighErrors", "severity": "SEVERITY_HIGH", "status": "ALERT_STATUS_FIRING",
        "source": "ALERT_SOURCE_CUSTOM", "startsAt": since, **more}})
    return "custom." + fingerprint


def stands(place, alert):
    return place.call(CORE + "AlertService/GetAlert", {"alertId": alert})["alert"]["status"]


def expiries(place, alert):
    return [seconds_of(fact["meta"]["occurredAt"]) for fact in place.facts(aggregateType="alert", aggregateId=alert) if "alertExpired" in fact]


def killed(place):
    place.aggregator.kill()
    time.sleep(EXPIRY + 2)
    back = time.time()
    place.start_aggregator()
    return back


def suspended(place):
    place.aggregator.signal(signal.SIGSTOP)
    time.sleep(EXPIRY + 2)
    back = time.time()
    place.aggregator.signal(signal.SIGCONT)
    return back


@pytest.mark.parametrize("goes_away", [killed, suspended], ids=lambda way: way.__name__)
def test_what_nobody_could_repeat_fires_on(place, goes_away):
    since = rfc3339(time.time() - 60)
    try:
        for attempt in range(20):
            began = time.time()
            alert = fires(place, f"lost{attempt}", since)
            place.call(CORE + "AlertService/Acknowledge", {"command": {"alertId": alert}})
            ended = fires(place, f"given{attempt}", since, expiresAt=rfc3339(began + EXPIRY))
            if time.time() - began < SOON:
                break
        back = goes_away(place)
        eventually("the end that its source gave has come", lambda: stands(place, ended) == "ALERT_STATUS_RESOLVED", 60)
        eventually("the other one ends as well", lambda: expiries(place, alert), 120)
        assert expiries(place, alert)[0] >= int(back) + EXPIRY, "it expired before its source had the time to repeat it"
        fires(place, alert.removeprefix("custom."), since)
        assert stands(place, alert) == "ALERT_STATUS_ACKNOWLEDGED"
    except BaseException:
        print(place.story())
        raise
