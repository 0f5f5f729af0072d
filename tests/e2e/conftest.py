# SPDX-License-Identifier: Apache-2.0
"""Tests against servers that this process only pretends to be come first: after the tests that kill programs and cut
connections, such a server was seen to reset a connection, which says nothing about what is tested."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))  # kube_api, argocd


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name != "test_picketctl.py")
