# SPDX-License-Identifier: Apache-2.0
"""The resources that the stand-in serves, one row each, and the selectors that a list or watch may carry."""
import re


class Resource:
    def __init__(self, group, version, plural, kind, namespaced=True, custom=False, listed=True):
        self.group, self.version, self.plural, self.kind = group, version, plural, kind
        self.namespaced, self.custom, self.listed = namespaced, custom, listed
        self.api_version = f"{group}/{version}" if group else version
        self.base = f"/apis/{group}/{version}" if group else f"/api/{version}"


ROWS = [
    Resource("", "v1", "pods", "Pod"),
    Resource("", "v1", "nodes", "Node", namespaced=False),
    Resource("", "v1", "namespaces", "Namespace", namespaced=False),
    Resource("", "v1", "events", "Event"),
    Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    Resource("", "v1", "services", "Service"),
    Resource("", "v1", "endpoints", "Endpoints"),
    Resource("", "v1", "secrets", "Secret"),
    Resource("apps", "v1", "deployments", "Deployment"),
    Resource("apps", "v1", "replicasets", "ReplicaSet"),
    Resource("apps", "v1", "statefulsets", "StatefulSet"),
    Resource("apps", "v1", "daemonsets", "DaemonSet"),
    Resource("batch", "v1", "jobs", "Job"),
    Resource("batch", "v1", "cronjobs", "CronJob"),
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    Resource("argoproj.io", "v1alpha1", "applications", "Application", custom=True),
    Resource("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor", custom=True),
    Resource("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor", custom=True),
]
BY_PLURAL = {row.plural: row for row in ROWS}
BY_KIND = {row.kind: row for row in ROWS}
BY_PATH = {(row.group, row.version, row.plural): row for row in ROWS}


def resource_of(value):
    """A row, by itself, by its plural, or by an object of its kind."""
    if isinstance(value, Resource):
        return value
    if isinstance(value, dict):
        return BY_KIND[value["kind"]]
    return BY_PLURAL[value]


def at(value, dotted):
    """The text at a dotted path, as a field selector compares it: what is absent is empty."""
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)


# Fields that the real server lets one select by, besides metadata.name and metadata.namespace of everything.
FIELDS = {
    "Pod": {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase", "status.podIP"},
    "Node": {"spec.unschedulable"},
    "Namespace": {"status.phase"},
    "Event": {"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
              "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
              "reportingComponent", "source", "type"},
    "Secret": {"type"},
    "Job": {"status.successful"},
}


class BadSelector(Exception):
    pass


def field_selector(text, kind):
    """A function of an object; None when everything is selected."""
    tests = []
    for part in filter(None, (text or "").split(",")):
        match = re.fullmatch(r"([^=!]+)(==|!=|=)(.*)", part)
        if not match:
            raise BadSelector(f"invalid selector: '{part}'; can't understand '{part}'")
        path, sign, wanted = match.groups()
        if path not in ("metadata.name", "metadata.namespace") and path not in FIELDS.get(kind, ()):
            raise BadSelector(f"field label not supported: {path}")
        tests.append((path, sign != "!=", wanted))
    return (lambda value: all((at(value, path) == wanted) is same for path, same, wanted in tests)) if tests else None


def label_selector(text):
    tests = []
    for part in re.findall(r"[^,(]+(?:\([^)]*\))?", text or ""):
        part = part.strip()
        within = re.fullmatch(r"(\S+) (in|notin) \(([^)]*)\)", part)
        equal = re.fullmatch(r"([^=!]+?)\s*(==|!=|=)\s*(.*)", part)
        if within:
            wanted = {word.strip() for word in within.group(3).split(",")}
            tests.append((within.group(1), "in" if within.group(2) == "in" else "notin", wanted))
        elif equal:
            tests.append((equal.group(1), "notin" if equal.group(2) == "!=" else "in", {equal.group(3)}))
        elif re.fullmatch(r"!?[\w./-]+", part):
            tests.append((part.lstrip("!"), "absent" if part.startswith("!") else "exists", None))
        else:
            raise BadSelector(f"unable to parse requirement: '{part}'")

    def selects(value):
        labels = value["metadata"].get("labels") or {}
        for key, how, wanted in tests:
            if how == "in" and labels.get(key) not in wanted or how == "notin" and labels.get(key) in wanted:
                return False
            if how == "exists" and key not in labels or how == "absent" and key in labels:
                return False
        return True
    return selects if tests else None


def both(first, second):
    if first and second:
        return lambda value: first(value) and second(value)
    return first or second
