"""The real kubectl against a lab that runs."""

import json
from typing import Any

import pytest
from tests.lab.running.conftest import Kubectl


def deployment(
    name: str = "web", *, replicas: int = 2, gpus: int = 1, image: str = "registry.k8s.io/pause:3.10"
) -> Any:
    amounts = {"cpu": "1", "memory": "1Gi", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": image, "resources": {"limits": amounts}}]},
            },
        },
    }


def test_a_deployment_rolls_out_scales_and_rolls_on(kubectl: Kubectl, namespace: str) -> None:
    kubectl("-n", namespace, "apply", "-f", "-", text=deployment())
    kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("-n", namespace, "scale", "deployment/web", "--replicas=3")
    kubectl(
        "-n", namespace, "wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=60s"
    )
    kubectl("-n", namespace, "set", "image", "deployment/web", "c=registry.k8s.io/pause:3.9")
    kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("-n", namespace, "rollout", "undo", "deployment/web")
    kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")

    found = kubectl(
        "-n", namespace, "get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].image}"
    ).stdout
    assert ["registry.k8s.io/pause:3.10"] * 3 == found.split()
    wide = kubectl("-n", namespace, "get", "pods", "-o", "wide").stdout.splitlines()
    assert ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"] == wide[0].split()[:7]
    assert {"Running"} == {line.split()[2] for line in wide[1:]}


def test_diff_tells_what_apply_would_change_and_nothing_where_it_would_not(
    kubectl: Kubectl, namespace: str
) -> None:
    kubectl("-n", namespace, "apply", "--server-side", "-f", "-", text=deployment(replicas=1, gpus=0))

    same = kubectl(
        "-n", namespace, "diff", "--server-side", "-f", "-", text=deployment(replicas=1, gpus=0), check=False
    )
    other = kubectl(
        "-n", namespace, "diff", "--server-side", "-f", "-", text=deployment(replicas=4, gpus=0), check=False
    )

    assert (0, "") == (same.returncode, same.stdout)
    assert 1 == other.returncode
    assert "+  replicas: 4" in other.stdout


def test_server_side_apply_names_the_other_owner(kubectl: Kubectl, namespace: str) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    kubectl("-n", namespace, "apply", "--server-side", "--field-manager=one", "-f", "-", text=config)
    changed = {**config, "data": {"a": "2"}}

    refused = kubectl(
        "-n", namespace, "apply", "--server-side", "--field-manager=two", "-f", "-", text=changed, check=False
    )
    kubectl(
        "-n",
        namespace,
        "apply",
        "--server-side",
        "--field-manager=two",
        "--force-conflicts",
        "-f",
        "-",
        text=changed,
    )

    assert 1 == refused.returncode
    assert 'conflict with "one": .data.a' in refused.stderr


def test_a_node_is_cordoned_drained_and_taken_back(kubectl: Kubectl, namespace: str) -> None:
    kubectl("-n", namespace, "apply", "-f", "-", text=deployment(replicas=2))
    kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
    node = kubectl("-n", namespace, "get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}").stdout

    kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s")
    kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
    nodes = kubectl("-n", namespace, "get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}").stdout.split()
    status = kubectl("get", "node", node).stdout
    kubectl("uncordon", node)

    assert node not in nodes
    assert "Ready,SchedulingDisabled" in status


def test_labels_taints_and_selectors(kubectl: Kubectl) -> None:
    node = kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}").stdout
    kubectl("label", "node", node, "tier=gold")
    kubectl("taint", "node", node, "dedicated=inference:NoSchedule")

    found = json.loads(kubectl("get", "nodes", "-l", "tier=gold", "-o", "json").stdout)
    kubectl("taint", "node", node, "dedicated-")
    kubectl("label", "node", node, "tier-")

    assert [node] == [item["metadata"]["name"] for item in found["items"]]
    assert {"key": "dedicated", "value": "inference", "effect": "NoSchedule"} in found["items"][0]["spec"][
        "taints"
    ]


def test_describe_and_events_say_why_a_pod_waits(kubectl: Kubectl, namespace: str) -> None:
    kubectl("-n", namespace, "apply", "-f", "-", text=deployment(replicas=1, gpus=9))
    kubectl(
        "-n", namespace, "wait", "pod", "-l", "app=web", "--for=condition=PodScheduled=false", "--timeout=30s"
    )

    told = kubectl("-n", namespace, "describe", "pod", "-l", "app=web").stdout

    assert "FailedScheduling" in told
    assert "Insufficient nvidia.com/gpu" in told


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("deployment.spec.strategy.rollingUpdate.maxSurge", "maxSurge <IntOrString>"),
        ("scaledobject.spec.triggers", "triggers"),
    ],
)
def test_explain_knows_built_in_and_custom_fields(kubectl: Kubectl, path: str, expected: str) -> None:
    assert expected in kubectl("explain", path).stdout


def test_deleting_a_namespace_takes_everything_in_it(kubectl: Kubectl, namespace: str) -> None:
    kubectl("-n", namespace, "apply", "-f", "-", text=deployment(replicas=1))
    kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")

    kubectl("delete", "namespace", namespace, "--timeout=60s")

    assert 1 == kubectl("get", "namespace", namespace, check=False).returncode
    assert "" == kubectl("-n", namespace, "get", "pods", "-o", "name").stdout


def test_unknown_fields_and_kinds_are_refused_in_the_servers_words(kubectl: Kubectl, namespace: str) -> None:
    wrong = deployment()
    wrong["spec"]["replica"] = 2

    field = kubectl("-n", namespace, "apply", "-f", "-", text=wrong, check=False)
    kind = kubectl("apply", "-f", "-", text={**wrong, "kind": "Deploymint"}, check=False)

    assert 'strict decoding error: unknown field "spec.replica"' in field.stderr
    assert 'no matches for kind "Deploymint" in version "apps/v1"' in kind.stderr


def test_rights_are_what_rbac_gives(kubectl: Kubectl, namespace: str) -> None:
    kubectl("-n", namespace, "create", "serviceaccount", "reader")
    kubectl(
        "-n",
        namespace,
        "create",
        "rolebinding",
        "r",
        "--clusterrole=view",
        f"--serviceaccount={namespace}:reader",
    )
    user = f"system:serviceaccount:{namespace}:reader"

    def may(*what: str) -> str:
        return kubectl("-n", namespace, "auth", "can-i", *what, "--as", user, check=False).stdout.strip()

    assert ("yes", "no", "no") == (may("list", "pods"), may("delete", "pods"), may("get", "secrets"))


def test_a_watch_sees_every_change(kubectl: Kubectl, namespace: str) -> None:
    kubectl("-n", namespace, "create", "configmap", "c", "--from-literal=a=0")
    kubectl("-n", namespace, "wait", "configmap/c", "--for=jsonpath={.data.a}=0", "--timeout=10s")
    kubectl("-n", namespace, "patch", "configmap", "c", "-p", '{"data":{"a":"1"}}')

    kubectl("-n", namespace, "wait", "configmap/c", "--for=jsonpath={.data.a}=1", "--timeout=10s")
    kubectl("-n", namespace, "delete", "configmap", "c", "--timeout=10s")
