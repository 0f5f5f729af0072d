# SPDX-License-Identifier: Apache-2.0
"""picketctl import against the real aggregator: what others keep becomes ours, once, whatever the order; what does not is said."""
import json
import re

import pytest

from harness import TOP, Place

# Recorded files of the vendors, beside the tree; without them that test is skipped.
EXAMPLES = [place / "contracts/fixtures/openslo/checkout.yaml" for place in (TOP.parent / "shared", TOP.parents[1] / "shared")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("import"))
    made.viewer = made.make_token("only-looks", "viewer")
    made.start()
    yield made
    made.close()


def run(place, *words, code=0):
    ran = place.ctl("import", *words, check=False)
    assert ran.returncode == code, f"{words}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran


def changes(ran):
    """{"SLO a": "created"} of the lines on standard output."""
    return dict(re.findall(r"(?m)^(\w+ \S+) (created|configured|unchanged)", ran.stdout))


def get(place, *words):
    return json.loads(place.ctl("get", *words, "-o", "json").stdout)


def test_openslo_is_imported_once(place, tmp_path):
    file = tmp_path / "slos.yaml"
    text = """apiVersion: openslo/v1
kind: SLO
metadata: {name: search-latency, displayName: Search is fast}
spec:
  description: d
  service: search
  indicatorRef: search-fast
  budgetingMethod: Timeslices
  timeWindow: [{duration: 1M, isRolling: false, calendar: {startTime: '2026-01-01 00:00:00', timeZone: UTC}}]
  objectives:
    - {displayName: usual, target: 0.99, timeSliceTarget: 0.95, timeSliceWindow: 1m}
    - {displayName: worst, target: 0.9, timeSliceTarget: 0.5, timeSliceWindow: 5m}
  alertPolicies: [page]
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: search-fast}
spec:
  ratioMetric:
    counter: true
    good: {metricSource: {type: Prometheus, spec: {query: 'sum(rate(search_seconds_bucket{le="0.3"}[5m]))'}}}
    total: {metricSource: {type: Prometheus, spec: {query: 'sum(rate(search_seconds_count[5m]))'}}}
---
apiVersion: openslo/v1
kind: Service
metadata: {name: search}
spec: {description: finds}
"""
    file.write_text(text)
    first = run(place, "openslo", file, "--owner", "team-search")
    assert changes(first) == {"SLO search-latency-usual": "created", "SLO search-latency-worst": "created", "Service search": "created"}
    assert first.stdout.endswith("3 created, 0 configured, 0 unchanged, 1 skipped, 0 failed\n")
    assert f"skipped  {file}:13: search-latency: alertPolicies" in first.stderr
    slo = get(place, "slo", "search-latency-worst")
    assert slo["target"] == 90 and slo["timeSliceTarget"] == 50 and slo["window"] == "SLO_WINDOW_CALENDAR_MONTH"
    assert slo["sliSpec"]["windowSeconds"] == 300 and slo["owner"] == "team-search" and slo["serviceId"] == "search"
    again = run(place, "openslo", file, "--owner", "team-search")
    assert again.stdout.endswith("0 created, 0 configured, 3 unchanged, 1 skipped, 0 failed\n"), again.stdout
    # The catalog knows more by now: a second import changes what it says, and not what it does not say.
    place.ctl("apply", "-f", "-", stdin="kind: Service\nid: search\nname: Search\nowner: anna\n")
    file.write_text(text.replace("description: d", "description: better"))
    third = run(place, "openslo", file, "--owner", "team-search")
    assert changes(third)["SLO search-latency-usual"] == "configured" and changes(third)["Service search"] == "unchanged"
    assert get(place, "service", "search")["owner"] == "anna"


def test_the_vendors_example_of_openslo(place):
    examples = [path for path in EXAMPLES if path.exists()]
    if not examples:
        pytest.skip("no recorded files beside this checkout (../shared/contracts/fixtures)")
    assert changes(run(place, "openslo", examples[0])) == {"SLO checkout-availability": "created", "Service checkout": "created"}


def test_what_cannot_be_imported_is_said_and_the_rest_is(place, tmp_path):
    file = tmp_path / "mixed.yaml"
    document = """apiVersion: openslo/v1
kind: SLO
metadata: {name: %s}
spec:
  service: s
  budgetingMethod: Occurrences
  timeWindow: [{duration: %s, isRolling: true}]
  objectives: [{target: 0.9}]
  indicator: {metadata: {name: i}, spec: {ratioMetric: {good: {metricSource: {type: Prometheus, spec: {query: g}}}, total: {metricSource: {type: Prometheus, spec: {query: '%s'}}}}}}
"""
    file.write_text("---\n".join([document % ("kept", "7d", "t"), document % ("too-long", "90d", "t"),
                                  document % ("grouped", "7d", "sum by (pod) (t)")]))
    ran = run(place, "openslo", file, tmp_path / "none.yaml", code=1)
    assert changes(ran) == {"SLO kept": "created"} and "1 created, 0 configured, 0 unchanged, 0 skipped, 3 failed" in ran.stdout
    assert f"failed   {file}:17: too-long: timeWindow: '90d' rolling is not kept" in ran.stderr
    assert f"failed   {file}:29: grouped: total: 'by (...)' makes several series" in ran.stderr
    assert "none.yaml: open" in ran.stderr and "No such file" in ran.stderr
    assert run(place, "yamls", file, code=2).stderr.startswith("picketctl: import: 'yamls' is no format")
    assert run(place, "openslo", code=2)


def test_backstage_with_circles_in_any_order(place, tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"

    def entity(kind, name, **spec):
        return f"apiVersion: backstage.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}, tags: [x]}}\nspec: {json.dumps(spec)}\n---\n"
    one.write_text(entity("Component", "web", owner="group:team-web", dependsOn=["component:store", "component:elsewhere"], consumesApis=["store-api"]))
    two.write_text(entity("Component", "store", owner="user:anna", dependsOn=["component:web", "resource:pg"], providesApis=["store-api"]) +
                   entity("API", "store-api", owner="team-store") + entity("Resource", "pg") + entity("Group", "team-web"))
    first = run(place, "backstage", one, two, "--owner", "team-platform")
    assert first.stdout.endswith("4 created, 0 configured, 0 unchanged, 2 skipped, 0 failed\n"), first.stdout + first.stderr
    assert "needs 'elsewhere'" in first.stderr and "team-web: group: not a service" in first.stderr
    assert {need["serviceId"] for need in get(place, "service", "web")["dependencies"]} == {"store", "api-store-api"}
    assert get(place, "service", "resource-pg")["owner"] == "team-platform"
    again = run(place, "backstage", two, one, "--owner", "team-platform")
    assert again.stdout.endswith("0 created, 0 configured, 4 unchanged, 2 skipped, 0 failed\n")
    # What stands in the catalog already may be needed by what is imported, though it is in none of the files.
    place.ctl("create", "service", "elsewhere", "--name", "Elsewhere")
    third = run(place, "backstage", one)
    assert changes(third) == {"Service web": "configured"}, third.stdout + third.stderr
    assert "elsewhere" in place.ctl("describe", "service", "web").stdout


def test_a_service_that_needs_nothing_is_created_once(place, tmp_path):
    file = tmp_path / "alone.yaml"
    file.write_text("\ufeffapiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: alone}\nspec: {owner: anna}\n", encoding="utf-8")
    ran = run(place, "backstage", file)
    assert changes(ran) == {"Service alone": "created"} and "1 created, 0 configured, 0 unchanged, 0 skipped, 0 failed" in ran.stdout
    assert changes(run(place, "backstage", file)) == {"Service alone": "unchanged"}


def test_a_failure_takes_nothing_else_with_it(place, tmp_path):
    file = tmp_path / "b.yaml"

    def entity(name, more, **spec):
        return f"apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {{name: {name}, {more}}}\nspec: {json.dumps(spec)}\n---\n"
    file.write_text(entity("Shop_Front", "tags: [java, c++]") + entity("odd", "labels: {'no label!': x}") +
                    entity("pay", "tags: [go]", dependsOn=["component:Shop_Front", "component:odd"]))
    ran = run(place, "backstage", file, code=1)
    assert changes(ran) == {"Service Shop_Front": "created", "Service pay": "created"}, ran.stdout + ran.stderr
    assert "2 created, 0 configured, 0 unchanged, 2 skipped, 1 failed" in ran.stdout
    assert f"skipped  {file}:3: Shop_Front: tag 'c++'" in ran.stderr and "pay: needs 'odd', which failed" in ran.stderr
    assert f"failed   {file}:6: odd: Service: labels[no label!]" in ran.stderr
    assert [need["serviceId"] for need in get(place, "service", "pay")["dependencies"]] == ["Shop_Front"]


def test_rules_give_a_runbook_for_each_page(place, tmp_path):
    file = tmp_path / "rules.yaml"
    rules = [{"alert": "PodLoops", "labels": {"team": "platform"}, "annotations": {"summary": "It loops", "runbook_url": "https://r.example/pods"}},
             {"alert": "PodStuck", "annotations": {"runbook_url": "https://r.example/pods"}}, {"alert": "Quiet"},
             {"record": "x", "expr": "y"}]
    file.write_text(json.dumps({"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "spec": {"groups": [{"name": "g", "rules": rules}]}}))
    ran = run(place, "prometheus-rules", file)
    name = next(iter(changes(ran))).split()[1]
    assert re.fullmatch(r"pods-[0-9a-f]{8}", name)
    book = get(place, "runbook", name)
    assert book["triggerConditions"] == ["PodLoops", "PodStuck"] and book["steps"][0]["link"] == "https://r.example/pods"
    assert book["owner"] == "platform" and "Quiet: names no runbook" in ran.stderr
    assert changes(run(place, "prometheus-rules", file)) == {f"Runbook {name}": "unchanged"}


def test_markdown_becomes_a_runbook_that_can_be_described(place, tmp_path):
    file = tmp_path / "restart.md"
    text = """---
title: Restart the shop
id: restart-shop
tags: [shop]
owner: team-shop
automation_level: assisted
approval_required: true
triggers: [ShopDown]
---
# Restart the shop

## Look

Open [the board](https://grafana.example/d/shop).

## Restart

1. Drain it

   ```sh
   kubectl drain edge-1
   ```

   Expected: no pod is left
2. Restart it

   ```sh
   kubectl rollout restart deploy/shop
   ```
"""
    file.write_text(text)
    assert changes(run(place, "runbooks", file)) == {"Runbook restart-shop": "created"}
    assert changes(run(place, "runbooks", file)) == {"Runbook restart-shop": "unchanged"}
    book = get(place, "runbook", "restart-shop")
    assert [step["stepId"] for step in book["steps"]] == ["look", "restart-drain-it", "restart-restart-it"]
    assert book["steps"][1]["command"] == "kubectl drain edge-1" and book["steps"][1]["expectedResult"] == "no pod is left"
    page = place.ctl("describe", "runbook", "restart-shop").stdout
    assert "https://grafana.example/d/shop" in page and "kubectl drain edge-1" in page
    file.write_text(text.replace("title: Restart the shop", "title: [x"))
    assert f"failed   {file}:3: front matter:" in run(place, "runbooks", file, code=1).stderr
    file.write_text(text.replace("assisted", "automated"))
    wrong = run(place, "runbooks", file, code=1)
    assert "AUTOMATED runs without a person" in wrong.stderr and f"failed   {file}:1: Runbook restart-shop: as said above" in wrong.stderr


def test_approval_is_never_lost_on_the_way(place, tmp_path):
    text = "---\ntitle: Drop it\nid: %s\napproval_required: true\n---\n## Drop\n\n```sh\ndropdb prod\n```\n"
    forms = {"mark": b"\xef\xbb\xbf" + (text % "mark").encode(), "line": ("\n" + text % "line").encode(),
             "blank": (text % "blank").replace("---\n", "--- \n").encode(), "cr": (text % "cr").replace("\n", "\r").encode()}
    for name, form in forms.items():
        (tmp_path / f"{name}.md").write_bytes(form)
        assert changes(run(place, "runbooks", tmp_path / f"{name}.md")) == {f"Runbook {name}": "created"}
        assert get(place, "runbook", name)["approvalRequired"] is True
    refused = {"open": text.replace("true\n---", "true\n"), "four": text.replace("---", "----"),
               "other": text.replace("approval_required", "approvalRequired")}
    for name, form in refused.items():
        (tmp_path / f"{name}.md").write_text(form % name)
        ran = run(place, "runbooks", tmp_path / f"{name}.md", code=1)
        assert not changes(ran) and f"failed   {tmp_path}/{name}.md:" in ran.stderr, ran.stdout + ran.stderr
        assert place.ctl("get", "runbook", name, check=False).returncode == 5


def test_a_dry_run_prints_what_apply_takes(place, tmp_path):
    file = tmp_path / "one.md"
    file.write_text("---\nid: dry\ntitle: Dry\n---\n## Look\nwell\n")
    shown = place.ctl("import", "runbooks", file, "--dry-run", url="http://127.0.0.1:1")
    assert shown.stderr == "1 to apply, 0 skipped, 0 failed\n"
    assert place.ctl("get", "runbook", "dry", check=False).returncode == 5
    assert place.ctl("apply", "-f", "-", stdin=shown.stdout).stdout == "Runbook dry created (version 1)\n"
    assert changes(run(place, "runbooks", file)) == {"Runbook dry": "unchanged"}
    line = json.loads(place.ctl("import", "runbooks", file, "--dry-run", "-o", "json").stdout)
    assert line["kind"] == "Runbook" and line["steps"][0]["title"] == "Look"


def test_without_the_right_nothing_is_imported(place, tmp_path):
    file = tmp_path / "one.md"
    file.write_text("## Look\nwell\n")
    ran = place.ctl("import", "runbooks", file, token=place.viewer, check=False)
    assert ran.returncode == 4 and "permission_denied" in ran.stderr
