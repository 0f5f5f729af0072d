# SPDX-License-Identifier: Apache-2.0
"""Tests against servers that this process only pretends to be come first: after the tests that kill programs and cut
connections, such a server was seen to reset a connection, which says nothing about what is tested. A test that fails tells how
the logs of its programs end."""
import pathlib
import sys

import pytest
from harness import Place

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))  # kube_api, argocd


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name != "test_picketctl.py")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.failed and "=== picket-" not in report.capstdout:
        report.sections += [("Captured stdout of the programs", place.story()) for place in list(Place.open_ones)]
