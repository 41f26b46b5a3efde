"""A cluster in which a user has things already, and a platform that wants some of them changed."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.lab.running.conftest import stoker

from stoker.kube.refs import Object
from stoker.upgrades.objects import Emitted, Upgrade, Wave

__all__ = [
    "REPLACE",
    "TAKES",
    "Kubectl",
    "config_map",
    "deployment",
    "emitted",
    "namespace",
    "state_of",
    "stoker",
    "theirs",
    "wanted",
]

TAKES = (
    "ConfigMap/theirs/settings:.data.level",
    "Deployment/theirs/web:.spec.replicas",
)
REPLACE = ("PriorityClass/ours-and-theirs",)
_SERVERS = ("resourceVersion", "uid", "creationTimestamp", "generation")
_KINDS = "namespaces,configmaps,serviceaccounts,deployments,priorityclasses,resourcequotas,networkpolicies,secrets,leases"


class Kubectl:
    """The real kubectl at one lab."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def __call__(self, *arguments: object, body: Any = None, check: bool = True) -> str:
        text = None if body is None else json.dumps(body)
        command = ["kubectl", "--kubeconfig", str(self.kubeconfig), *map(str, arguments)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=600)
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + ("" if check else done.stderr)

    def json(self, *arguments: object) -> Any:
        return json.loads(self(*arguments, "-o", "json", "--show-managed-fields"))


def config_map(name: str, namespace: str, **data: str) -> Object:
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data,
    }  # fmt: skip


def deployment(name: str, namespace: str, replicas: int = 1, **more: Any) -> Object:
    container = {
        "name": "c",
        "image": "registry.k8s.io/pause:3.10",
        "resources": {"limits": {"cpu": "10m", "memory": "64Mi"}},
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, **more},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    }  # fmt: skip


def namespace(name: str, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"made-by": "test", **labels}},
    }


def priority(value: int) -> Object:
    return {
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "ours-and-theirs"}, "value": value,
    }  # fmt: skip


def theirs(kubectl: Kubectl) -> None:
    """What the user has: some of it by client-side apply, some by server-side apply, some by hand."""
    kubectl("apply", "-f", "-", body=namespace("theirs"))
    kubectl("apply", "-f", "-", body=config_map("settings", "theirs", level="low", colour="red"))
    kubectl(
        "apply",
        "--server-side",
        "--field-manager",
        "their-gitops",
        "-f",
        "-",
        body=deployment("web", "theirs", 1),
    )
    kubectl("create", "configmap", "untouched", "-n", "theirs", "--from-literal=a=1")
    kubectl("apply", "-f", "-", body=priority(7))


def emitted(wave: Wave, obj: Object, upgrade: Upgrade = Upgrade.TENANCY) -> Emitted:
    return Emitted(upgrade, wave, "a test wants it", "cluster", obj)


def wanted() -> list[Emitted]:
    """What is applied: new objects in a new namespace, fields taken from others, and one object that must be replaced."""
    settings = config_map("settings", "theirs", level="high", size="big")
    web: Object = {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "theirs", "labels": {"stoker": "yes"}}, "spec": {"replicas": 2},
    }  # fmt: skip
    return [
        emitted(Wave.NAMESPACES, namespace("ours")),
        emitted(Wave.POLICY, priority(9)),
        *(emitted(Wave.POLICY, config_map(f"new-{n}", "ours", n=str(n))) for n in range(3)),
        emitted(Wave.POLICY, settings),
        emitted(Wave.WORKLOADS, deployment("engine", "ours", 1), Upgrade.SERVING),
        emitted(Wave.WORKLOADS, web, Upgrade.SERVING),
        emitted(Wave.OBSERVABILITY, config_map("dashboard", "ours", text="{}"), Upgrade.OBSERVABILITY),
    ]


def state_of(kubectl: Kubectl, kinds: str = _KINDS) -> dict[str, Object]:
    """Everything that people made, with owners, without what the server counts."""
    found = {}
    for obj in kubectl.json("get", kinds, "-A")["items"]:
        metadata = obj["metadata"]
        if metadata.get("ownerReferences") or metadata.get("namespace") in {
            "kube-system",
            "kube-node-lease",
            "kube-public",
        }:
            continue
        for key in _SERVERS:
            metadata.pop(key, None)
        metadata["managedFields"] = [
            {key: value for key, value in entry.items() if key != "time"}
            for entry in metadata.get("managedFields") or ()
            if "subresource" not in entry
        ]
        metadata.get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
        obj.pop("status", None)
        found[f"{obj['kind']} {metadata.get('namespace', '')}/{metadata['name']}"] = obj
    return found
