# SPDX-License-Identifier: Apache-2.0
"""The recorded objects of the contracts' fixtures, each with the file it comes from."""
import json

FOLDERS = ("kubernetes/pods", "kubernetes/nodes", "kubernetes/workloads", "argocd/applications")
LISTS = (("kubernetes/events/list-last-timestamp.json", "Event", "v1"), ("argocd/list/applications.json", "Application", "argoproj.io/v1alpha1"))


def objects(contracts):
    """[(file below fixtures/, object)]. Several recorded objects have one name: the later ones are named after their file."""
    fixtures, found, taken = contracts / "fixtures", [], set()
    for folder in FOLDERS:
        for path in sorted((fixtures / folder).glob("*.json")):
            value = json.loads(path.read_text(encoding="utf-8"))
            if "kind" not in value and folder.endswith("applications"):
                value = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", **value}
            if folder.endswith("pods") and "kind" not in value:
                value = {"apiVersion": "v1", "kind": "Pod", **value}
            found.append((f"{folder}/{path.name}", _own_name(value, path.stem, taken)))
    for name, kind, api_version in LISTS:
        for value in json.loads((fixtures / name).read_text(encoding="utf-8"))["items"]:
            value = {"apiVersion": api_version, "kind": kind, **value}
            found.append((name, _own_name(value, f"{kind.lower()}-{len(found)}", taken)))
    return found


def _own_name(value, otherwise, taken):
    meta = value["metadata"]
    if meta.get("name") is None:
        meta["name"] = otherwise
    if value["kind"] not in ("Node", "Namespace"):
        meta.setdefault("namespace", "default")
    if not str(meta.get("resourceVersion", "1")).isdigit():
        del meta["resourceVersion"]
    key = (value["kind"], meta.get("namespace"), meta["name"])
    if key in taken:
        meta["name"] = otherwise
        meta.pop("uid", None)
    taken.add((value["kind"], meta.get("namespace"), meta["name"]))
    return value
