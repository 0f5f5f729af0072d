# SPDX-License-Identifier: Apache-2.0
"""kube_follow, a consumer that keeps names and versions and nothing else, and a stand-in API server for it."""
import json
import os
import subprocess

import pytest
from harness import BIN
from kube_api import KubeApi

KINDS = ["pods", "nodes", "namespaces", "events", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs",
         "persistentvolumeclaims", "applications"]
FOLLOW = BIN / "kube_follow"
needs_follow = pytest.mark.skipif(not FOLLOW.exists(), reason="kube_follow is not built")


class Follow:
    def __init__(self, access, *words, env=None):
        self.child = subprocess.Popen([FOLLOW, access, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                      env={**os.environ, **(env or {})})

    def ask(self, command):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        assert line, f"kube_follow ended: {self.child.wait(10)}"
        return json.loads(line)

    def state(self):
        return self.ask("state")

    def tell(self, command):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()

    def get(self, path, size=100000):
        return self.ask(f"get {path} {size}")

    def stream(self, resource, namespace=""):
        found = [s for s in self.state()["streams"] if (s["resource"], s["namespace"]) == (resource, namespace)]
        assert found, "not heard of yet"
        return found[0]

    def close(self):
        if self.child.stdin.closed:
            return
        self.child.stdin.close()
        self.child.stdout.close()
        assert self.child.wait(10) == 0


@pytest.fixture(name="place")
def a_place(tmp_path):
    made = []

    def begin(*words, api=None, access=None, env=None, kubeconfig=None, **options):
        api = api or KubeApi(**{"bookmark_seconds": 0.2, **options})
        if api.port is None:
            api.start()
        if api not in made:
            made.append(api)
        follow = Follow(access or api.kubeconfig(tmp_path / f"config{len(made)}", **(kubeconfig or {})), *words, env=env)
        made.append(follow)
        return api, follow
    yield begin
    for one in reversed(made):
        one.close()


def cluster(pods, nodes, namespaces, applications, **options):
    """Populated before anybody asks: what is put there comes without events."""
    api = KubeApi(**{"bookmark_seconds": 0.2, **options})
    api.populate(pods=pods, nodes=nodes, namespaces=namespaces, applications=applications)
    return api


def believed(api, follow):
    """Whether the consumer's belief is what is there; for eventually()."""
    objects = follow.state()["objects"]
    there = api.state()
    for resource, keys in objects.items():
        real = {(key if "/" in key else "/" + key): value["metadata"]["resourceVersion"] for key, value in there.get(resource, {}).items()}
        if real != keys:
            more, less = set(keys) - set(real), set(real) - set(keys)
            raise AssertionError(f"{resource}: {len(keys)} believed, {len(real)} there; too many: {sorted(more)[:5]}, too few: {sorted(less)[:5]}")
    return True


def fresh(follow):
    said = follow.state()
    return said["streams"] and said["stats"]["streams_fresh"] == said["stats"]["streams"]
