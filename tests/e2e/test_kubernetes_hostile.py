# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes client and servers that mean it no good, or are merely large: what it takes of memory and time stays small."""
import time

import pytest
from harness import SANITIZED, eventually
from kube_following import KINDS, a_place, cluster, fresh, needs_follow  # noqa: F401 (a_place is a fixture)

pytestmark = needs_follow

HOSTILE = [
    {"kind": "endless", "of": "items"}, {"kind": "endless", "of": "string"}, {"kind": "endless", "of": "zeros"},
    {"kind": "huge", "bytes": 64 << 20}, {"kind": "headers"}, {"kind": "malformed"}, {"kind": "malformed", "of": "length"},
    {"kind": "malformed", "of": "message"}, {"kind": "malformed", "of": "chunk"}, {"kind": "bomb", "bytes": 200 << 20},
    {"kind": "redirect", "location": "http://127.0.0.1:1/"}, {"kind": "status", "code": 200},
]


@pytest.mark.parametrize("verb", ["list", "watch"])
@pytest.mark.parametrize("protobuf", [True, False])
def test_no_server_makes_it_grow(place, protobuf, verb):
    api = cluster(100, 5, 2, 10, protobuf=protobuf)
    for hostile in HOSTILE if protobuf else HOSTILE[:5]:
        _, follow = place("pods", "nodes", "applications", "count", "stall_ms=2000", "stale_ms=2000", api=api)
        eventually("fresh", lambda f=follow: fresh(f))
        before = follow.state()["rss_kib"]
        fault = api.fault(**hostile, verb=verb)
        if verb == "list":
            for kind in ("pods", "nodes", "applications"):
                follow.tell("listen " + kind)  # somebody new: the list is taken anew
        else:
            api.drop()
        eventually("it is met", lambda f=fault: f.hits, every=0.02)
        most = 0
        for _ in range(5):
            time.sleep(0.1)
            most = max(most, follow.state()["rss_kib"])
        api.heal()
        eventually("it recovers", lambda f=follow: fresh(f))
        after = follow.state()["rss_kib"]
        print(f"{hostile}: {before} KiB before, {most} KiB at most, {after} KiB after")
        assert SANITIZED or (most < before + 8000 and after < before + 1500), (hostile, before, most, after)
        follow.close()


def test_five_thousand_pods(place):
    api, follow = place(*KINDS, "count", api=cluster(5000, 100, 20, 500, bookmark_seconds=60.0))
    eventually("fresh", lambda: fresh(follow), seconds=60)
    said = follow.state()
    print(f"resident {said['rss_kib']} KiB, buffers {said['stats']['buffer_bytes']} B, cpu {said['cpu_ms']} ms, {said['stats']['bytes']} B read")
    assert said["stats"]["objects"] >= 5600
    began, rss = said["cpu_ms"], said["rss_kib"]
    api.churn(50)
    time.sleep(5)
    said = follow.state()
    print(f"5 s of 50 changes a second: cpu {said['cpu_ms'] - began} ms, resident {said['rss_kib']} KiB")
    assert SANITIZED or said["rss_kib"] < rss + 300
