# SPDX-License-Identifier: Apache-2.0
"""A made-up cluster of a given size with owners for every pod, and a seeded stream of changes to it: kubelets report, pods
lose and win their readiness, restart, are replaced, roll-outs move on, applications drift, events come and go."""
import asyncio
import collections
import copy
import random
import time
import uuid

EVENTS_MAX = 1000
HEALTH = ("Healthy", "Healthy", "Healthy", "Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown")


def stamp(seconds=None):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Population:
    """pods: in all; of them one in five belongs to a daemon set, one in ten to a stateful set, the others to deployments."""

    def __init__(self, pods=5000, nodes=100, namespaces=20, applications=500, replicas=10, seed=1, annotations=None):
        self.random = random.Random(seed)
        self.sizes = pods, nodes, namespaces, applications, replicas
        self.annotations = annotations or {}
        self.started = time.time() - 86400
        self.nodes = [f"node-{i:03d}" for i in range(nodes)]
        self.namespaces = [f"team-{i:02d}" for i in range(namespaces)]
        self.pods, self.workloads, self.applications = [], [], []   # keys
        self.events, self.serial = collections.deque(), 0
        self.deltas = {"pod": 0, "node": 0, "replaced": 0, "workload": 0, "application": 0, "event": 0}

    def uid(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def objects(self):
        pods, nodes, _, applications, replicas = self.sizes
        found = [self.node(name) for name in self.nodes]
        found += [{"apiVersion": "v1", "kind": "Namespace", "metadata": self.meta(name, None), "spec": {"finalizers": ["kubernetes"]},
                   "status": {"phase": "Active"}} for name in self.namespaces]
        daemons, stateful = (pods // 5 // nodes if nodes else 0), pods // 10 // 5
        for i in range(daemons):
            found += self.workload("DaemonSet", i, nodes)
        for i in range(stateful):
            found += self.workload("StatefulSet", i, 5)
        left, i = pods - daemons * nodes - stateful * 5, 0
        while left > 0:
            found += self.workload("Deployment", i, min(left, replicas))
            left, i = left - replicas, i + 1
        found += [self.application(i) for i in range(applications)]
        return found

    def meta(self, name, namespace, owner=None, labels=None):
        meta = {"name": name, **({"namespace": namespace} if namespace else {}), "uid": self.uid(),
                "creationTimestamp": stamp(self.started), **({"labels": labels} if labels else {})}
        if owner:
            meta["ownerReferences"] = [{"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
                                        "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}]
        return meta

    def node(self, name):
        conditions = [{"type": kind, "status": "False", "lastHeartbeatTime": stamp(), "lastTransitionTime": stamp(self.started),
                       "reason": "KubeletHas" + good, "message": f"kubelet has {good}"} for kind, good in
                      (("MemoryPressure", "SufficientMemory"), ("DiskPressure", "NoDiskPressure"), ("PIDPressure", "SufficientPID"))]
        conditions.append({"type": "Ready", "status": "True", "lastHeartbeatTime": stamp(), "lastTransitionTime": stamp(self.started),
                           "reason": "KubeletReady", "message": "kubelet is posting ready status"})
        return {"apiVersion": "v1", "kind": "Node",
                "metadata": self.meta(name, None, labels={"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}),
                "spec": {"podCIDR": "10.42.0.0/24", "podCIDRs": ["10.42.0.0/24"], "providerID": f"k3s://{name}"},
                "status": {"capacity": {"cpu": "16", "memory": "65884312Ki", "pods": "110"},
                           "allocatable": {"cpu": "15800m", "memory": "65679512Ki", "pods": "110"}, "conditions": conditions,
                           "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": name}],
                           "nodeInfo": {"machineID": "0" * 32, "systemUUID": self.uid(), "bootID": self.uid(), "kernelVersion": "6.1.0",
                                        "osImage": "Debian GNU/Linux 12 (bookworm)", "containerRuntimeVersion": "containerd://1.7.20",
                                        "kubeletVersion": "v1.34.1", "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "arm64"},
                           "images": [{"names": [f"registry.example.com/image-{i}:1.{i}"], "sizeBytes": 104857600 + i} for i in range(20)]}}

    def workload(self, kind, number, replicas):
        """The workload, what stands between it and its pods, and the pods."""
        namespace = self.namespaces[number % len(self.namespaces)]
        name = f"{kind.lower()}-{number:03d}"
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": f"{name}-{namespace}"}
        ready = {"replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas, "observedGeneration": 1}
        if kind == "DaemonSet":
            status = {"currentNumberScheduled": replicas, "numberMisscheduled": 0, "desiredNumberScheduled": replicas, "numberReady": replicas,
                      "observedGeneration": 1, "updatedNumberScheduled": replicas, "numberAvailable": replicas}
        elif kind == "StatefulSet":
            status = {**ready, "currentReplicas": replicas, "availableReplicas": replicas, "currentRevision": f"{name}-7f8c", "updateRevision": f"{name}-7f8c"}
        else:
            status = {**ready, "availableReplicas": replicas, "conditions": [
                {"type": "Available", "status": "True", "lastUpdateTime": stamp(self.started), "lastTransitionTime": stamp(self.started),
                 "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability."},
                {"type": "Progressing", "status": "True", "lastUpdateTime": stamp(self.started), "lastTransitionTime": stamp(self.started),
                 "reason": "NewReplicaSetAvailable", "message": f'ReplicaSet "{name}-6d4b" has successfully progressed.'}]}
        spec = {**({} if kind == "DaemonSet" else {"replicas": replicas}), "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": f"registry.example.com/{name}:1.0"}]}}}
        meta = self.meta(name, namespace, labels=labels)
        meta["generation"] = 1
        top = {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": spec, "status": status}
        self.workloads.append((kind.lower() + "s", namespace, name))
        made, owner = [top], top
        if kind == "Deployment":
            owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {**self.meta(f"{name}-6d4b8c7f9", namespace, top, labels), "generation": 1},
                     "spec": copy.deepcopy(spec), "status": {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas, "observedGeneration": 1}}
            made.append(owner)
        for i in range(replicas):
            node = self.nodes[i % len(self.nodes)] if kind == "DaemonSet" else self.random.choice(self.nodes)
            suffix = str(i) if kind == "StatefulSet" else self.suffix()
            made.append(self.pod(f"{owner['metadata']['name']}-{suffix}", namespace, node, owner, labels))
            self.pods.append((namespace, made[-1]["metadata"]["name"]))
        return made

    def suffix(self):
        return "".join(self.random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))

    def pod(self, name, namespace, node, owner, labels):
        meta = self.meta(name, namespace, owner, {**labels, "pod-template-hash": "6d4b8c7f9"})
        if self.annotations:
            meta["annotations"] = dict(self.annotations)
        ip = f"10.42.{self.random.randrange(256)}.{self.random.randrange(256)}"
        image = f"registry.example.com/{labels['app.kubernetes.io/name']}:1.0"
        container = {"name": "main", "image": image, "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                     "env": [{"name": "MODE", "value": "production"}, {"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}],
                     "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
                     "volumeMounts": [{"name": "kube-api-access", "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
                     "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
                                        "successThreshold": 1, "failureThreshold": 3},
                     "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent"}
        volume = {"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}
        conditions = [{"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": stamp(self.started)}
                      for kind in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta,
                "spec": {"volumes": [volume], "containers": [container], "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
                         "dnsPolicy": "ClusterFirst", "serviceAccountName": "default", "serviceAccount": "default", "nodeName": node, "securityContext": {},
                         "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": True, "preemptionPolicy": "PreemptLowerPriority",
                         "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                                         {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]},
                "status": {"phase": "Running", "conditions": conditions, "hostIP": "10.0.0.1", "podIP": ip, "podIPs": [{"ip": ip}],
                           "startTime": stamp(self.started), "qosClass": "Burstable", "containerStatuses": [
                               {"name": "main", "state": {"running": {"startedAt": stamp(self.started)}}, "lastState": {}, "ready": True,
                                "restartCount": 0, "image": image, "imageID": f"{image}@sha256:{'0' * 64}",
                                "containerID": f"containerd://{self.random.getrandbits(256):064x}", "started": True}]}}

    def application(self, number):
        namespace = self.namespaces[number % len(self.namespaces)]
        name = f"app-{number:03d}"
        self.applications.append(("argocd", name))
        environment = ("production", "staging")[number % 2]
        source = {"repoURL": "https://git.example.com/gitops.git", "path": f"apps/{name}", "targetRevision": "HEAD"}
        destination = {"server": "https://kubernetes.default.svc", "namespace": namespace}
        resources = [{"version": "v1", "kind": kind, "namespace": namespace, "name": f"{name}-{i}", "status": "Synced", "health": {"status": "Healthy"}}
                     for i, kind in enumerate(("Service", "ConfigMap", "Deployment", "Ingress", "Secret", "ServiceAccount"))]
        revision = f"{self.random.getrandbits(160):040x}"
        return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
                "metadata": {**self.meta(name, "argocd", labels={"environment": environment}), "generation": 7},
                "spec": {"project": "default", "source": source, "destination": destination, "syncPolicy": {"automated": {"prune": True, "selfHeal": True}}},
                "status": {"resources": resources, "sync": {"status": "Synced", "comparedTo": {"source": source, "destination": destination}, "revision": revision},
                           "health": {"status": "Healthy", "lastTransitionTime": stamp(self.started)}, "reconciledAt": stamp(),
                           "history": [{"id": i, "revision": revision, "deployedAt": stamp(self.started), "source": source} for i in range(10)],
                           "operationState": {"phase": "Succeeded", "message": "successfully synced (all tasks run)", "startedAt": stamp(self.started),
                                              "finishedAt": stamp(self.started), "operation": {"sync": {"revision": revision}}},
                           "sourceType": "Kustomize", "summary": {"images": [f"registry.example.com/{name}:1.0"]}}}

    # -- churn

    async def churn(self, store, per_second):
        """Evenly over time, twenty small steps a second; what a step is late is made good by the next."""
        loop = asyncio.get_running_loop()
        began, done = loop.time(), 0
        while True:
            due = int((loop.time() - began) * per_second)
            while done < due:
                self.step(store)
                done += 1
            await asyncio.sleep(0.05)

    def step(self, store):
        """One change; most are of pods, as in a real cluster."""
        chance = self.random.random()
        if chance < 0.60 and self.pods:
            self.change_pod(store)
        elif chance < 0.75 and self.nodes:
            self.change_node(store)
        elif chance < 0.80 and self.pods:
            self.replace_pod(store)
        elif chance < 0.87 and self.workloads:
            self.change_workload(store)
        elif chance < 0.92 and self.applications:
            self.change_application(store)
        else:
            self.new_event(store)

    def take(self, store, plural, name, namespace=""):
        stored = store.get(plural, name, namespace)
        return copy.deepcopy(stored.value) if stored else None

    def change_pod(self, store):
        namespace, name = self.random.choice(self.pods)
        pod = self.take(store, "pods", name, namespace)
        if not pod:
            return
        self.deltas["pod"] += 1
        container = pod["status"]["containerStatuses"][0]
        if self.random.random() < 0.1:  # it was killed and runs again
            container["restartCount"] += 1
            container["lastState"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "startedAt": stamp(self.started), "finishedAt": stamp(),
                                                     "containerID": container["containerID"]}}
            container["state"] = {"running": {"startedAt": stamp()}}
        # Seldom unready, soon ready again.
        container["ready"] = not container["ready"] or self.random.random() > 0.1
        for condition in pod["status"]["conditions"]:
            if condition["type"] in ("Ready", "ContainersReady"):
                condition["status"] = "True" if container["ready"] else "False"
                condition["lastTransitionTime"] = stamp()
        store.apply(pod)

    def change_node(self, store):
        node = self.take(store, "nodes", self.random.choice(self.nodes))
        if node:
            self.deltas["node"] += 1
            for condition in node["status"]["conditions"]:
                condition["lastHeartbeatTime"] = stamp()
            store.apply(node)

    def replace_pod(self, store):
        place = self.random.randrange(len(self.pods))
        namespace, name = self.pods[place]
        pod = self.take(store, "pods", name, namespace)
        if not pod:
            return
        self.deltas["replaced"] += 1
        store.delete("pods", name, namespace)
        if "statefulset" not in name:
            name = f"{name.rsplit('-', 1)[0]}-{self.suffix()}"
        for gone in ("uid", "resourceVersion"):
            pod["metadata"].pop(gone, None)
        pod["metadata"].update(name=name, creationTimestamp=stamp())
        pod["status"]["containerStatuses"][0].update(restartCount=0, ready=True, lastState={}, state={"running": {"startedAt": stamp()}})
        for condition in pod["status"]["conditions"]:
            condition["status"] = "True"
        self.pods[place] = (namespace, name)
        store.apply(pod)

    def change_workload(self, store):
        plural, namespace, name = self.random.choice(self.workloads)
        workload = self.take(store, plural, name, namespace)
        if workload:
            self.deltas["workload"] += 1
            status = workload["status"]
            ready, wanted = ("numberReady", "desiredNumberScheduled") if plural == "daemonsets" else ("readyReplicas", "replicas")
            status[ready] = status[wanted] if status.get(ready) != status[wanted] else max(0, status[wanted] - 1)
            store.apply(workload)

    def change_application(self, store):
        namespace, name = self.random.choice(self.applications)
        application = self.take(store, "applications", name, namespace)
        if application:
            self.deltas["application"] += 1
            status = application["status"]
            status["health"] = {"status": self.random.choice(HEALTH), "lastTransitionTime": stamp()}
            status["sync"]["status"] = self.random.choice(("Synced", "Synced", "OutOfSync"))
            status["reconciledAt"] = stamp()
            store.apply(application)

    def new_event(self, store):
        """A new event, or one of the last ones again with a higher count; the oldest goes."""
        self.deltas["event"] += 1
        if self.events and self.random.random() < 0.5:
            namespace, name = self.events[self.random.randrange(max(0, len(self.events) - 50), len(self.events))]
            event = self.take(store, "events", name, namespace)
            event["count"] += 1
            event["lastTimestamp"] = stamp()
            store.apply(event)
            return
        namespace, pod = self.random.choice(self.pods) if self.pods else ("default", "pod")
        self.serial += 1
        name = f"{pod}.{self.serial:016x}"
        stored = store.get("pods", pod, namespace)
        uid = stored.value["metadata"]["uid"] if stored else self.uid()
        store.apply({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": namespace},
                     "involvedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "uid": uid, "apiVersion": "v1", "fieldPath": "spec.containers{main}"},
                     "reason": "Unhealthy", "message": "Readiness probe failed: HTTP probe failed with statuscode: 503", "source": {"component": "kubelet", "host": "node-000"},
                     "firstTimestamp": stamp(), "lastTimestamp": stamp(), "count": 1, "type": "Warning", "eventTime": None,
                     "reportingComponent": "kubelet", "reportingInstance": "node-000"})
        self.events.append((namespace, name))
        if len(self.events) > EVENTS_MAX:
            namespace, name = self.events.popleft()
            store.delete("events", name, namespace)
