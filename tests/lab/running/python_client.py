"""The official Python client of a lab, and objects for it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes import client, config

__all__ = ["NAMES", "api_of", "deployment", "namespace_of", "until"]

Object = dict[str, Any]

# Answers at once and forever, on a node without GPUs.
IMAGE = "registry.k8s.io/pause:3.10"
NAMES = {"app": "web"}


def api_of(state: Path) -> client.ApiClient:
    """A client that reads the lab's kubeconfig as anybody's does."""
    return config.new_client_from_config(config_file=str(state / "kubeconfig"))


def namespace_of(api: client.ApiClient, name: str) -> str:
    """A new namespace."""
    client.CoreV1Api(api).create_namespace({"metadata": {"name": name}})
    return name


def deployment(name: str = "web", replicas: int = 2, **spec: Any) -> client.V1Deployment:
    """A Deployment out of the client's own models."""
    container = client.V1Container(
        name="c",
        image=IMAGE,
        resources=client.V1ResourceRequirements(requests={"cpu": "10m", "memory": "16Mi"}),
    )
    return client.V1Deployment(
        metadata=client.V1ObjectMeta(name=name),
        spec=client.V1DeploymentSpec(
            replicas=replicas,
            selector=client.V1LabelSelector(match_labels={"app": name}),
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels={"app": name}),
                spec=client.V1PodSpec(containers=[container], termination_grace_period_seconds=1),
            ),
            **spec,
        ),
    )


def until(found: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What a function answers as soon as it is true; its last answer otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        answer = found()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(0.1)
