# SPDX-License-Identifier: Apache-2.0
"""A real API server, as KUBECONFIG gives it: what tests put there, and ways in for a client that is tested."""
import base64
import json
import os
import pathlib
import ssl
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import yaml
from harness import ApiError
from kube_api.resources import Resource, resource_of

MORE = [Resource("", "v1", "serviceaccounts", "ServiceAccount"), Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False),
        Resource("", "v1", "configmaps", "ConfigMap"),
        Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False),
        Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
        Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
        Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)]
OTHER_KINDS = {row.kind: row for row in MORE}


def row_of(value):
    return OTHER_KINDS[value["kind"]] if value["kind"] in OTHER_KINDS else resource_of(value)


class RealApi:
    """One user of one server. Understands a certificate or a token in the kubeconfig; whoever has another needs another."""

    def __init__(self, path):
        config = yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))
        context = next(one["context"] for one in config["contexts"] if one["name"] == config["current-context"])
        self.cluster = next(one["cluster"] for one in config["clusters"] if one["name"] == context["cluster"])
        user = next(one["user"] for one in config["users"] if one["name"] == context["user"])
        self.server, self.headers = self.cluster["server"].rstrip("/"), {}
        self.tls = ssl.create_default_context(cadata=self._data(self.cluster, "certificate-authority", "ascii"))
        if self.cluster.get("insecure-skip-tls-verify"):
            self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        if "client-certificate" in user or "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile() as file:
                file.write((self._data(user, "client-certificate", "ascii") + self._data(user, "client-key", "ascii")).encode())
                file.flush()
                self.tls.load_cert_chain(file.name)
        elif "token" in user:
            self.headers["Authorization"] = f"Bearer {user['token']}"
        else:
            raise ValueError(f"{path}: these tests write with a client certificate or a token, and '{context['user']}' has neither")

    @staticmethod
    def _data(values, key, encoding):
        if f"{key}-data" in values:
            return base64.b64decode(values[f"{key}-data"]).decode(encoding)
        return pathlib.Path(values[key]).read_text(encoding=encoding) if key in values else None

    def call(self, method, path, body=None, content="application/json"):
        request = urllib.request.Request(self.server + path, None if body is None else json.dumps(body).encode(), method=method,
                                         headers={"Content-Type": content, "Accept": "application/json", **self.headers})
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.tls) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as why:
            said = why.read().decode(errors="replace")
            message = json.loads(said).get("message", said) if said.startswith("{") else said
            raise ApiError(why.code, why.reason, message) from None

    @staticmethod
    def path(row, namespace="", name="", more=""):
        space = f"/namespaces/{namespace}" if row.namespaced and namespace else ""
        return f"{row.base}{space}/{row.plural}" + (f"/{name}" if name else "") + more

    def create(self, value):
        """With its status, where it has one."""
        row, meta = row_of(value), value["metadata"]
        value = {"apiVersion": row.api_version, **value}
        clean = {key: meta[key] for key in ("name", "namespace", "labels", "annotations") if key in meta}
        made = self.call("POST", self.path(row, meta.get("namespace", "")), {**value, "metadata": clean})
        if value.get("status") and not row.custom and row.kind != "Event":
            # What the recorded object does not say stays as the server made it.
            made = self.call("PATCH", self.path(row, meta.get("namespace", ""), meta["name"], "/status"), {"status": value["status"]},
                             "application/merge-patch+json")
        return made

    def patch(self, kind, name, change, namespace="", status=False):
        row = row_of({"kind": kind})
        return self.call("PATCH", self.path(row, namespace, name, "/status" if status else ""), change, "application/merge-patch+json")

    def delete(self, kind, name, namespace=""):
        try:
            self.call("DELETE", self.path(row_of({"kind": kind}), namespace, name),
                      {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        except ApiError as why:
            if why.status != 404:
                raise

    def apply_dry(self, value, namespace):
        """Server-side apply as a dry run; what the server would keep."""
        row = row_of(value)
        return self.call("PATCH", self.path(row, namespace, value["metadata"]["name"], "?dryRun=All&fieldManager=picket-tests&force=true"),
                         value, "application/apply-patch+yaml")

    def list(self, kind, namespace=""):
        return self.call("GET", self.path(row_of({"kind": kind}), namespace))

    def kubeconfig(self, path, user, server=None):
        """Writes one for another user: {"token": ...}, {"exec": ...}, {"client-certificate": ...}; server: by another way."""
        cluster = dict(self.cluster)
        if server:
            host = urllib.parse.urlsplit(self.server).hostname
            cluster.update({"server": server, "tls-server-name": cluster.get("tls-server-name", host)})
        pathlib.Path(path).write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "real", "clusters": [{"name": "real", "cluster": cluster}],
            "users": [{"name": "tested", "user": user}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": "tested"}}]}), encoding="utf-8")
        os.chmod(path, 0o600)
        return path
