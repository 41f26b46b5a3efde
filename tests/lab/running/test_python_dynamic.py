"""The official Python client without models: discovery, server-side apply, custom kinds."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, dynamic
from kubernetes.client.rest import ApiException
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError, UnprocessibleEntityError
from tests.lab.running.python_client import api_of, deployment, namespace_of, until

_SERVICE: dict[str, Any] = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "small", "annotations": {"serving.kserve.io/deploymentMode": "Standard"}},
    "spec": {"predictor": {"containers": [{
        "name": "kserve-container",
        "image": "vllm/vllm-openai:v0.11.0",
        "args": ["--model=meta-llama/Llama-3.2-1B", "--port=8080"],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": {"limits": {"nvidia.com/gpu": "1", "memory": "16Gi"}, "requests": {"memory": "16Gi"}},
    }]}},
}  # fmt: skip
_GATEWAY: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "kserve-ingress-gateway", "namespace": "kserve"},
    "spec": {
        "gatewayClassName": "envoy",
        "listeners": [
            {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
        ],
    },
}


@pytest.fixture(scope="module")
def api(lab_state: Path) -> Iterator[client.ApiClient]:
    with api_of(lab_state) as found:
        yield found


@pytest.fixture(scope="module")
def cluster(api: client.ApiClient, tmp_path_factory: pytest.TempPathFactory) -> dynamic.DynamicClient:
    return dynamic.DynamicClient(api, cache_file=str(tmp_path_factory.mktemp("discovery") / "cache.json"))


@pytest.fixture
def space(api: client.ApiClient, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    name = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")
    return namespace_of(api, f"py-{name}"[:60].strip("-"))


def test_discovery_finds_kinds_by_group_and_by_short_name(cluster: dynamic.DynamicClient) -> None:
    assert "deployments" == cluster.resources.get(api_version="apps/v1", kind="Deployment").name
    assert "isvc" in cluster.resources.get(kind="InferenceService", group="serving.kserve.io").short_names
    preferred = cluster.resources.get(kind="HorizontalPodAutoscaler", group="autoscaling", preferred=True)
    assert "v2" == preferred.api_version
    assert {"scale", "status"} <= set(
        cluster.resources.get(api_version="apps/v1", kind="Deployment").subresources
    )
    assert ("1", "36") == (
        cluster.version["kubernetes"]["major"],
        cluster.version["kubernetes"]["minor"],
    )


def test_server_side_apply_keeps_owners_apart(cluster: dynamic.DynamicClient, space: str) -> None:
    maps = cluster.resources.get(api_version="v1", kind="ConfigMap")

    def own(data: dict[str, str]) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}

    maps.server_side_apply(own({"a": "1", "b": "1"}), namespace=space, field_manager="first")
    maps.server_side_apply(own({"c": "2"}), namespace=space, field_manager="second")
    with pytest.raises(ConflictError) as caught:
        maps.server_side_apply(own({"a": "2", "c": "2"}), namespace=space, field_manager="second")
    forced = maps.server_side_apply(
        own({"a": "2", "c": "2"}), namespace=space, field_manager="second", force_conflicts=True
    )
    left = maps.server_side_apply(own({"b": "1"}), namespace=space, field_manager="first")

    told = json.loads(caught.value.body)
    assert [(".data.a", 'conflict with "first"')] == [
        (one["field"], one["message"]) for one in told["details"]["causes"]
    ]
    assert {"a": "2", "b": "1", "c": "2"} == forced.data.to_dict()
    assert {"a": "2", "b": "1", "c": "2"} == left.data.to_dict()
    gone = maps.server_side_apply(own({}), namespace=space, field_manager="second")
    assert {"b": "1"} == gone.data.to_dict()


def test_dry_runs_store_nothing_and_strict_validation_names_the_field(
    cluster: dynamic.DynamicClient, api: client.ApiClient, space: str
) -> None:
    deployments = cluster.resources.get(api_version="apps/v1", kind="Deployment")
    body = {"apiVersion": "apps/v1", "kind": "Deployment", **api.sanitize_for_serialization(deployment())}

    tried = deployments.create(body, namespace=space, dry_run="All")
    with pytest.raises(NotFoundError):
        deployments.get(name="web", namespace=space)
    with pytest.raises(ApiException) as caught:
        client.CustomObjectsApi(api).create_namespaced_custom_object(
            "apps",
            "v1",
            space,
            "deployments",
            {**body, "spec": {**body["spec"], "replcas": 1}},
            field_validation="Strict",
        )

    assert 600 == tried.spec.progressDeadlineSeconds
    assert 400 == caught.value.status
    assert 'unknown field \\"spec.replcas\\"' in str(caught.value.body)


def test_an_inference_service_becomes_ready(
    cluster: dynamic.DynamicClient, api: client.ApiClient, space: str
) -> None:
    core = client.CoreV1Api(api)
    core.create_namespace({"metadata": {"name": "kserve"}})
    gateways = cluster.resources.get(api_version="gateway.networking.k8s.io/v1", kind="Gateway")
    gateways.create(_GATEWAY)
    services = cluster.resources.get(api_version="serving.kserve.io/v1beta1", kind="InferenceService")
    version = services.create(_SERVICE, namespace=space).metadata.resourceVersion

    conditions: dict[str, str] = {}
    for event in services.watch(namespace=space, name="small", resource_version=version, timeout=120):
        status = event["raw_object"].get("status") or {}
        conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
        if conditions.get("Ready") == "True":
            break

    assert {"PredictorReady": "True", "IngressReady": "True", "Ready": "True"}.items() <= conditions.items()
    pods = core.list_namespaced_pod(space, label_selector="serving.kserve.io/inferenceservice=small").items
    assert ["Running"] == [one.status.phase for one in pods]


def test_custom_objects_of_every_verb(api: client.ApiClient, space: str) -> None:
    custom = client.CustomObjectsApi(api)
    place = ("keda.sh", "v1alpha1", space, "scaledobjects")
    client.AppsV1Api(api).create_namespaced_deployment(space, deployment(replicas=1))
    trigger = {
        "type": "cron",
        "metadata": {"timezone": "UTC", "start": "0 0 * * *", "end": "0 1 * * *", "desiredReplicas": "2"},
    }
    body = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": {"name": "web"}, "maxReplicaCount": 3, "triggers": [trigger]},
    }

    custom.create_namespaced_custom_object(*place, body)
    hpa = until(lambda: custom.get_namespaced_custom_object(*place, "web").get("status", {}).get("hpaName"))
    patched = custom.patch_namespaced_custom_object(*place, "web", {"spec": {"maxReplicaCount": 5}})
    listed = custom.list_cluster_custom_object("keda.sh", "v1alpha1", "scaledobjects")

    assert "keda-hpa-web" == hpa
    assert 5 == patched["spec"]["maxReplicaCount"]
    assert "web" in [
        one["metadata"]["name"] for one in listed["items"] if one["metadata"]["namespace"] == space
    ]
    assert until(
        lambda: (
            client.AutoscalingV2Api(api)
            .read_namespaced_horizontal_pod_autoscaler(hpa, space)
            .spec.max_replicas
            == 5
        )
    )
    with pytest.raises(ApiException) as caught:
        custom.patch_namespaced_custom_object(*place, "web", {"spec": {"triggers": "none"}})
    assert 422 == caught.value.status
    custom.delete_namespaced_custom_object(*place, "web")
    assert until(lambda: not custom.list_namespaced_custom_object(*place)["items"])
    assert until(
        lambda: not client.AutoscalingV2Api(api).list_namespaced_horizontal_pod_autoscaler(space).items
    )


def test_a_kind_of_ones_own_is_found_after_it_was_defined(
    cluster: dynamic.DynamicClient, api: client.ApiClient, space: str
) -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {"size": {"type": "integer", "maximum": 9}},
            }
        },
    }
    definition = {
        "metadata": {"name": "boxes.test.stoker.dev"},
        "spec": {
            "group": "test.stoker.dev",
            "scope": "Namespaced",
            "names": {"plural": "boxes", "singular": "box", "kind": "Box", "listKind": "BoxList"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }
    definitions = client.ApiextensionsV1Api(api)
    definitions.create_custom_resource_definition(definition)
    until(
        lambda: any(
            one.type == "Established" and one.status == "True"
            for one in definitions.read_custom_resource_definition("boxes.test.stoker.dev").status.conditions
            or ()
        )
    )

    boxes = cluster.resources.get(api_version="test.stoker.dev/v1", kind="Box")
    made = boxes.create(
        {
            "kind": "Box",
            "apiVersion": "test.stoker.dev/v1",
            "metadata": {"name": "b"},
            "spec": {"size": 3, "odd": 1},
        },
        namespace=space,
    )
    with pytest.raises(UnprocessibleEntityError) as caught:
        boxes.create(
            {
                "kind": "Box",
                "apiVersion": "test.stoker.dev/v1",
                "metadata": {"name": "c"},
                "spec": {"size": 10},
            },
            namespace=space,
        )
    definitions.delete_custom_resource_definition("boxes.test.stoker.dev")

    assert {"size": 3} == made.spec.to_dict()
    assert "spec.size in body should be less than or equal to 9" in str(caught.value.body)
    assert until(
        lambda: "test.stoker.dev" not in [one.name for one in client.ApisApi(api).get_api_versions().groups]
    )
