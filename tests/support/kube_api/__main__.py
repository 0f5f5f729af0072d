# SPDX-License-Identifier: Apache-2.0
"""By hand: python3 -m kube_api (from tests/support), or tests/support/kube_api/run."""
import argparse
import json
import os
import signal
import sys
import threading

from . import KubeApi


def main():
    ask = argparse.ArgumentParser(prog="kube_api", description="A stand-in Kubernetes API server for tests.")
    ask.add_argument("--address", default="127.0.0.1")
    ask.add_argument("--port", type=int, default=0)
    ask.add_argument("--control-port", type=int, default=0)
    ask.add_argument("--recorded", action="store_true", help="serve the recorded objects of the contracts")
    ask.add_argument("--contracts", default=os.environ.get("PICKET_CONTRACTS"), help="where schemas and recorded objects lie")
    ask.add_argument("--pods", type=int, default=0, help="make up a cluster with that many pods")
    ask.add_argument("--nodes", type=int, default=100)
    ask.add_argument("--namespaces", type=int, default=20)
    ask.add_argument("--applications", type=int, default=500)
    ask.add_argument("--churn", type=float, default=0.0, help="object changes a second")
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--first-version", type=int, default=880160, help="above 2^63 is allowed: versions are opaque")
    ask.add_argument("--json-only", action="store_true")
    ask.add_argument("--tls", metavar="FOLDER", help="serve HTTPS with certificates made in that folder")
    ask.add_argument("--client-certificates", action="store_true")
    ask.add_argument("--kubeconfig", metavar="FILE", help="write one for this server")
    ask.add_argument("--service-account", metavar="FOLDER", help="write a mounted service account for this server")
    ask.add_argument("--option", action="append", default=[], metavar="NAME=JSON")
    asked = ask.parse_args()

    options = {name: json.loads(value) for name, _, value in (one.partition("=") for one in asked.option)}
    api = KubeApi(asked.first_version, asked.seed, not asked.json_only, asked.contracts, **options)
    if asked.recorded and api.load_recorded() is None:
        print("skipped: no recorded objects beside this checkout (../shared/contracts/fixtures)", file=sys.stderr)
    count = 0
    if asked.pods or asked.churn:
        count = api.populate(pods=asked.pods, nodes=asked.nodes, namespaces=asked.namespaces, applications=asked.applications)
    api.start(asked.address, asked.port, asked.tls, asked.client_certificates, asked.control_port)
    if asked.service_account:
        api.service_account(asked.service_account)
    if asked.kubeconfig:
        api.kubeconfig(asked.kubeconfig, client="edge" if asked.client_certificates else None)
    if asked.churn:
        api.churn(asked.churn)
    print(f"url={api.url} control=http://127.0.0.1:{api.control_port} objects={count} protobuf={api.messages.source if api.messages else 'none'}",
          flush=True)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    api.close()


main()
