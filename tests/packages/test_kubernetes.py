# SPDX-License-Identifier: Apache-2.0
"""The manifests are the chart, rendered; they have the form that Kubernetes asks for, no more rights than the agent uses, and
run under the restricted pod security standard; the configuration in them is one that the agent takes."""
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from packaging import TOP, command

HOME = TOP / "platforms/kubernetes"
# Beside the work tree, or a folder above for a second work tree.
CONTRACTS = next((path for path in (TOP.parent / "shared/contracts", TOP.parents[1] / "shared/contracts") if path.is_dir()), None)
EVERYTHING = {"node": {"enabled": True}, "podMonitor": {"enabled": True}, "diagnostics": {"enabled": True}}
NODE_PODS = {"enabled": True, "watchPods": True, "config": {"discovery": [{"name": "pods", "mode": "annotations"}]}}
VARIANTS = {
    "as it is": {},
    "everything": EVERYTHING,
    "node only": {"cluster": {"enabled": False}, "node": {"enabled": True}},
    "node with its pods": {"cluster": {"enabled": False}, "node": NODE_PODS},
    "queue without a claim": {"cluster": {"queue": {"persistent": False}}},
    "all options": {**EVERYTHING, "environmentId": "prod", "image": {"pullSecrets": [{"name": "pull"}]},
                    "cluster": {"priorityClassName": "high", "nodeSelector": {"a/b": "c"}, "tolerations": [{"key": "k", "operator": "Exists"}],
                                "queue": {"storageClass": "fast"}},
                    "networkPolicy": {"egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}]}},
    "no policy": {"networkPolicy": {"enabled": False}},
    "own certificates": {**EVERYTHING, "enrolment": {"url": ""}},
    "an authority of its own": {**EVERYTHING, "enrolment": {"ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"}},
    "no ports": {"networkPolicy": {"hostPorts": [], "apiServerPorts": []}},
}


@pytest.fixture(scope="module")
def chart():
    loader = importlib.machinery.SourceFileLoader("picket_render", str(HOME / "render"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("picket_render", loader))
    loader.exec_module(module)
    return module


def documents(text):
    return [one for one in yaml.safe_load_all(text) if one]


def rendered(chart, values):
    return [one for text in chart.render(chart.data_of(values=values)).values() for one in documents(text)]


def shipped():
    return {path.name: documents(path.read_text(encoding="utf-8")) for path in sorted((HOME / "manifests").glob("*.yaml"))}


def pods(objects):
    """(name, pod spec) of everything that makes pods."""
    for one in objects:
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], one["spec"]
        elif one["kind"] in ("Deployment", "DaemonSet"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def test_the_manifests_are_the_chart_rendered(chart):
    for name, text in chart.manifests().items():
        assert (HOME / "manifests" / name).read_text(encoding="utf-8") == text, f"{name}: run platforms/kubernetes/render --manifests"
    listed = (HOME / "manifests/kustomization.yaml").read_text(encoding="utf-8")
    for path in (HOME / "manifests").glob("*.yaml"):
        assert path.name in ("kustomization.yaml", "sidecar.yaml") or f"- {path.name}" in listed, f"{path.name} is not in kustomization.yaml"


def test_the_version_is_that_of_the_programs():
    from packaging import artefact
    said = yaml.safe_load((HOME / "chart/Chart.yaml").read_text(encoding="utf-8"))
    values = yaml.safe_load((HOME / "chart/values.yaml").read_text(encoding="utf-8"))
    assert {said["version"], said["appVersion"], values["image"]["tag"]} == {artefact.version()}


@pytest.fixture(scope="module")
def go_renderer(tmp_path_factory):
    go = shutil.which("go")
    if not go:
        pytest.skip("go is not installed (package golang-go): only our own renderer has read the chart")
    folder = tmp_path_factory.mktemp("go")
    environment = {**os.environ, "GO111MODULE": "off", "GOCACHE": str(TOP / "build/go-cache"), "GOFLAGS": ""}
    subprocess.run([go, "build", "-o", folder / "render", TOP / "tests/packages/render_chart.go"], check=True, env=environment)
    return folder / "render"


@pytest.mark.parametrize("variant", VARIANTS)
def test_gos_template_engine_renders_the_same(chart, go_renderer, variant):
    said = subprocess.run([go_renderer, HOME / "chart/templates"], capture_output=True, text=True, check=False,
                          input=json.dumps(chart.data_of(values=VARIANTS[variant])))
    assert said.returncode == 0, said.stderr

    def plain(objects):
        for one in objects:  # toYaml wrote JSON into the text of the configuration
            if one["kind"] == "ConfigMap":
                one["data"]["agent.yaml"] = yaml.safe_load(one["data"]["agent.yaml"])
        return objects
    assert plain(documents(said.stdout)) == plain(rendered(chart, VARIANTS[variant]))


def test_the_renderer_refuses_what_it_does_not_know(chart):
    for text in ("{{ include \"x\" . }}", "{{ .Values.nothing }}", "{{ .Values.tenant | upper }}", "{{ if .Values.tenant }}", "{{ range .Values.a }}{{ end }}",
                 "{{ if eq .Values.tenant \"x\" }}{{ end }}"):
        with pytest.raises(chart.TemplateError):
            chart.Template("t", text).run(chart.data_of())


# ------------------------------------------------------------------ the form of objects


def check_form(definitions, name, value, where):
    """Every field is one that the API has, with its type; unknown fields are what `kubectl apply` would drop in silence."""
    schema = definitions[name]
    if "properties" not in schema:
        return
    assert isinstance(value, dict), f"{where} is no object"
    missing = set(schema.get("required", [])) - set(value)
    assert not missing, f"{where} has no {missing}"
    for key, inner in value.items():
        assert key in schema["properties"], f"{where}.{key}: {name} has no such field"
        check_value(definitions, schema["properties"][key], inner, f"{where}.{key}")


def check_value(definitions, schema, value, where):
    reference = schema.get("$ref", "").rsplit("/", 1)[-1]
    if reference:
        return check_form(definitions, reference, value, where)
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    if schema.get("type") in kinds:
        assert isinstance(value, kinds[schema["type"]]), f"{where} is {value!r}, wanted {schema['type']}"
    if isinstance(value, list):
        for i, inner in enumerate(value):
            check_value(definitions, schema["items"], inner, f"{where}[{i}]")
    elif isinstance(value, dict) and "additionalProperties" in schema:
        for key, inner in value.items():
            check_value(definitions, schema["additionalProperties"], inner, f"{where}.{key}")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_has_the_form_that_the_api_server_knows(chart, variant):
    if not CONTRACTS:
        pytest.skip("the recorded schemas of Kubernetes are not on this machine")
    definitions = {}
    for name in ("kubernetes-core-v1.swagger.json", "kubernetes-apps-v1.swagger.json"):
        said = json.loads((CONTRACTS / name).read_text(encoding="utf-8"))
        definitions.update(said.get("definitions") or said["components"]["schemas"])
    by_kind = {(rule["group"], rule["version"], rule["kind"]): name for name, schema in definitions.items()
               for rule in schema.get("x-kubernetes-group-version-kind", [])}
    checked = set()
    objects = rendered(chart, VARIANTS[variant])
    if variant == "as it is":
        objects += [one for name, found in shipped().items() if name != "kustomization.yaml" for one in found]
    for one in objects:
        group, _, version = one["apiVersion"].rpartition("/")
        name = by_kind.get((group, version, one["kind"]))
        if name:
            check_form(definitions, name, one, f"{one['kind']} {one['metadata']['name']}")
            checked.add(one["kind"])
    assert checked & {"Deployment", "DaemonSet"}, checked


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_are_unique_and_whatever_is_referred_to_is_there(chart, variant):
    objects = rendered(chart, VARIANTS[variant])
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)
    for name, pod in pods(objects):
        assert ("ServiceAccount", pod["serviceAccountName"]) in names, name
        volumes = {one["name"]: one for one in pod["volumes"]}
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in names
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
            ports = {port["name"] for port in container["ports"]}
            assert {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} <= ports
    for one in objects:
        if one["kind"] in ("Deployment", "DaemonSet"):
            labels = one["spec"]["template"]["metadata"]["labels"]
            assert one["spec"]["selector"]["matchLabels"].items() <= labels.items()
        if one["kind"] in ("NetworkPolicy", "PodMonitor"):
            selector = one["spec"].get("podSelector") or one["spec"]["selector"]
            for other in objects:
                if other["kind"] in ("Deployment", "DaemonSet"):
                    assert selector["matchLabels"].items() <= other["spec"]["template"]["metadata"]["labels"].items()
        if one["kind"] == "ClusterRoleBinding":
            assert (one["roleRef"]["kind"], one["roleRef"]["name"]) in names
            assert all((subject["kind"], subject["name"]) in names for subject in one["subjects"])


def environment_of(pod, node="node-1.example"):
    """What the container is given, with $(NAME) as the kubelet writes it out: of variables that stand before."""
    made = {}
    for variable in pod["containers"][0]["env"]:
        made[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda found: made[found.group(1)], variable.get("value", node))
    return made


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_agent_enrols_or_has_a_certificate_and_never_both(chart, variant):
    enrols, objects = variant != "own certificates", rendered(chart, VARIANTS[variant])
    for name, pod in pods(objects):
        environment = environment_of(pod)
        mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        volumes = {one["name"]: one for one in pod["volumes"]}
        assert ("PICKET_ENROLMENT_URL" in environment) == enrols, name
        assert ("PICKET_MQTT_KEY" in environment or "PICKET_MQTT_CERTIFICATE" in environment or "tls" in volumes) != enrols, name
        if not enrols:
            continue
        folder, key = environment["PICKET_ENROLMENT_TOKEN_FILE"].rsplit("/", 1)
        assert key == ("token" if name == "picket-cluster" else "node-1.example")
        # With subPath a token that comes later would never be seen, and a Secret that is not there would hold up the pod.
        assert "subPath" not in mounts[folder] and "subPathExpr" not in mounts[folder]
        assert volumes[mounts[folder]["name"]]["secret"]["optional"] is True
        # Its key is kept in buffer.path, which has to be a volume and one that it may write.
        assert not mounts["/var/lib/picket-agent"].get("readOnly") and environment["PICKET_BUFFER_PATH"].startswith("/var/lib/picket-agent/")
        if "PICKET_ENROLMENT_CA" in environment:
            mount = mounts[environment["PICKET_ENROLMENT_CA"]]
            config = next(one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == name)
            assert volumes[mount["name"]]["configMap"]["name"] == name
            assert config["data"][mount["subPath"]] == VARIANTS[variant]["enrolment"]["ca"]
    assert ("PICKET_ENROLMENT_CA" in str(objects)) == (variant == "an authority of its own")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_network_policy_lets_the_agent_reach_what_it_is_told_to(chart, variant):
    data = chart.data_of(values=VARIANTS[variant])["Values"]
    policies = [one for one in rendered(chart, VARIANTS[variant]) if one["kind"] == "NetworkPolicy"]
    assert len(policies) == (variant != "no policy")
    for policy in policies:
        rules = policy["spec"]["egress"]
        assert all(rule.get("to") or rule.get("ports") for rule in rules), "a rule with neither opens everything"
        anywhere = {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]}
        wanted = {data["broker"]["port"]} | {port["port"] for key in ("hostPorts", "apiServerPorts") for port in data["networkPolicy"][key]}
        assert anywhere == wanted | ({8420} if data["enrolment"]["url"] else set())


# ------------------------------------------------------------------ rights


@pytest.mark.parametrize("variant", VARIANTS)
def test_pods_keep_to_the_restricted_pod_security_standard(chart, variant):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, rule by rule."""
    objects = rendered(chart, VARIANTS[variant])
    if variant == "as it is":
        objects += shipped()["sidecar.yaml"]
    seen = 0
    for name, pod in pods(objects):
        seen += 1
        assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost")
        allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
        for volume in pod["volumes"]:
            assert set(volume) - {"name"} <= allowed, f"{name}: {volume}"
        for container in pod["containers"] + pod.get("initContainers", []):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False and not context.get("privileged")
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert not any(port.get("hostPort") for port in container.get("ports", []))
            if container["name"] == "picket-agent":
                assert context["readOnlyRootFilesystem"] is True
                assert "memory" in container["resources"]["limits"]
    assert seen or variant == "none"


def test_the_kubelet_can_ask_the_sidecar_and_the_centre_cannot_take_the_application_down():
    objects = shipped()["sidecar.yaml"]
    agent = dict(pods(objects))["checkout"]["initContainers"][0]
    config = yaml.safe_load(next(one for one in objects if one["kind"] == "ConfigMap")["data"]["agent.yaml"])
    assert agent["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "picket"}
    assert agent["ports"] == [{"name": "picket", "containerPort": config["http"]["port"], "protocol": "TCP"}]
    assert config["http"]["address"] == "0.0.0.0"
    assert "readinessProbe" not in agent and "startupProbe" not in agent


def test_no_service_of_the_namespace_becomes_a_setting():
    for name, objects in shipped().items():
        for one, spec in pods(objects):
            assert spec.get("enableServiceLinks") is False, f"{name}: {one}"


@pytest.mark.parametrize("values, said", [
    ({"nod": {}}, "nod is no value of this chart"),
    ({"broker": {"port": "x"}}, "broker.port must be of type integer"),
    ({"broker": {"port": 70000}}, "broker.port must be 1 to 65535"),
    ({"tenant": "De mo"}, "tenant: 'De mo' does not match"),
    ({"cluster": {"agent": "UPPER"}}, "cluster.agent: 'UPPER' does not match"),
    ({"image": {"pullPolicy": "Sometimes"}}, "image.pullPolicy must be one of"),
    ({}, None),
])
def test_values_are_refused_by_render_as_by_helm(tmp_path, values, said):
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    called = [sys.executable, TOP / "platforms/kubernetes/render", "--values", tmp_path / "values.yaml"]
    ended = subprocess.run(called, capture_output=True, text=True)
    assert (ended.returncode != 0 and said in ended.stderr) if said else ended.returncode == 0, ended.stderr


def watched():
    """{(group, plural)} of the agent's own table."""
    source = (TOP / "agent/collect/kubernetes/kube_resource.c").read_text(encoding="utf-8")
    rows = set(re.findall(r'^ +ROW\(\w+, \w+, "([^"]*)", "\w+", "(\w+)"', source, re.M))
    assert len(rows) >= 16, "the table of resources is not as this test reads it"
    return rows


def asked_about():
    """{(group, plural)} of the agent's table of kinds that the centre may ask about."""
    source = (TOP / "agent/diagnose/diagnose_kind.c").read_text(encoding="utf-8")
    rows = set(re.findall(r'^ +ROW\("\w+",\s+"[^"]*",\s+"\w+",\s+"([^"]*)",\s+"\w+",\s+"(\w+)"', source, re.M))
    assert len(rows) == len(re.findall(r'^ +ROW\("', source, re.M)) >= 18, "the table of kinds is not as this test reads it"
    return rows


def granted(objects, role):
    found = next(one for one in objects if one["kind"] == "ClusterRole" and one["metadata"]["name"] == role)
    return {(group, resource): set(rule["verbs"]) for rule in found["rules"] for group in rule["apiGroups"] for resource in rule["resources"]}


def test_the_role_is_the_agents_table_of_resources_and_nothing_more(chart):
    objects = rendered(chart, {})
    assert granted(objects, "picket-watch") == {row: {"list", "watch"} for row in watched()}
    assert [one["metadata"]["name"] for one in objects if one["kind"] in ("ClusterRole", "Role")] == ["picket-watch"]


def test_diagnostics_add_reading_and_nothing_else(chart):
    rights = granted(rendered(chart, EVERYTHING), "picket-diagnostics")
    measured = {("metrics.k8s.io", "nodes"): {"get", "list"}, ("metrics.k8s.io", "pods"): {"get", "list"}}
    assert rights == {**{row: {"get"} for row in asked_about()}, ("", "pods/log"): {"get"}, **measured}


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_ever_written_and_no_secret_is_read(chart, variant):
    for one in rendered(chart, VARIANTS[variant]):
        if one["kind"] not in ("ClusterRole", "Role"):
            continue
        for rule in one["rules"]:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}
            assert "*" not in rule["apiGroups"] + rule["resources"]
            assert not {"secrets", "pods/exec"} & set(rule["resources"])
            assert "configmaps" not in rule["resources"] or one["metadata"]["name"] == "picket-diagnostics"


def test_the_agent_of_a_node_may_watch_pods_where_it_is_asked_to(chart):
    objects = rendered(chart, {"cluster": {"enabled": False}, "node": NODE_PODS})
    assert granted(objects, "picket-node") == {("", "pods"): {"list", "watch"}}
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "ClusterRole"] == ["picket-node"]
    assert dict(pods(objects))["picket-node"]["automountServiceAccountToken"] is True


def test_the_agent_of_a_node_has_no_account_to_speak_for(chart):
    objects = rendered(chart, EVERYTHING)
    specs = dict(pods(objects))
    assert specs["picket-node"]["automountServiceAccountToken"] is False
    bound = {subject["name"] for one in objects if one["kind"] == "ClusterRoleBinding" for subject in one["subjects"]}
    assert "picket-node" not in bound


# ------------------------------------------------------------------ what the agent says to it


@pytest.mark.parametrize("enrolment", [{}, {"url": ""}, {"ca": "-----BEGIN CERTIFICATE-----\n"}], ids=["enrols", "own certificate", "enrols by its authority"])
@pytest.mark.parametrize("where", ["cluster", "node", "node with its pods", "sidecar"])
def test_the_agent_takes_the_configuration(chart, where, enrolment, tmp_path):
    values = {**VARIANTS.get(where, EVERYTHING), "enrolment": enrolment}
    objects = shipped()["sidecar.yaml"] if where == "sidecar" else rendered(chart, values)
    name = {"cluster": "picket-cluster", "sidecar": "checkout-picket"}.get(where, "picket-node")
    text = next(one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == name)["data"]["agent.yaml"]
    run = command("x86_64")
    if "kubernetes" in yaml.safe_load(text):
        reference = subprocess.run([*run, "--reference"], capture_output=True, text=True, check=True).stdout
        if "| `kubernetes` |" not in reference:
            pytest.skip("this agent has no list `kubernetes` in its settings yet")
    path = tmp_path / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    environment = {}
    for pod_name, pod in pods(objects):
        if pod_name == name:
            environment = environment_of(pod)
    said = subprocess.run([*run, "--config", path, "--check-config"], capture_output=True, text=True, check=False, env=environment)
    assert said.returncode == 0, said.stdout + said.stderr
    if "${" in text:
        del environment["PICKET_AGENT_NODE_NAME"]
        said = subprocess.run([*run, "--config", path, "--check-config"], capture_output=True, text=True, check=False, env=environment)
        assert said.returncode and "PICKET_AGENT_NODE_NAME is not set" in said.stderr, said.stdout + said.stderr


def test_a_node_with_a_long_name_has_an_agent_with_a_shorter_one(chart, tmp_path):
    node = "ip-10-0-123-231." + "a-very-long-subdomain." * 8 + "example"
    name = node[:64 - len("demo/") - 13] + "-" + hashlib.sha256(node.encode()).hexdigest()[:12]
    objects = rendered(chart, EVERYTHING)
    path = tmp_path / "agent.yaml"
    path.write_text(next(one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "picket-node")["data"]["agent.yaml"], encoding="utf-8")
    environment = environment_of(dict(pods(objects))["picket-node"], node)
    assert environment["PICKET_ENROLMENT_TOKEN_FILE"].endswith("/" + node)
    said = subprocess.run([*command("x86_64"), "--config", path, "--check-config"], capture_output=True, text=True, check=False, env=environment)
    assert said.returncode == 0 and f"good: agent demo/{name}," in said.stdout, said.stdout + said.stderr


def test_the_schema_of_the_values_knows_each_of_them():
    """Keys only: what a typing error in a values file would be about."""
    schema = json.loads((HOME / "chart/values.schema.json").read_text(encoding="utf-8"))

    def keys(node, value, where):
        node = schema["definitions"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
        if isinstance(value, dict) and "properties" in node:
            assert node.get("additionalProperties") is False, f"{where} takes anything"
            for key, inner in value.items():
                assert key in node["properties"], f"{where}.{key} is not in values.schema.json"
                keys(node["properties"][key], inner, f"{where}.{key}")
            assert set(node.get("required", [])) <= set(value)
        elif "type" in node:
            kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
            assert isinstance(value, kinds[node["type"]]), where
        if "pattern" in node:
            assert re.match(node["pattern"], value), where
    keys(schema, yaml.safe_load((HOME / "chart/values.yaml").read_text(encoding="utf-8")), "values")
