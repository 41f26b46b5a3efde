"""InferenceServices: what KServe makes of them, says of them and refuses."""

from typing import Any

import pytest
from tests.lab.platform.world import Platform, make_platform

Object = dict[str, Any]

ISVC = "serving.kserve.io/v1beta1/InferenceService"
MODE = "serving.kserve.io/deploymentMode"
CLASS = "serving.kserve.io/autoscalerClass"
ROUTE = "gateway.networking.k8s.io/v1/HTTPRoute"
RULE = "serving.knative.dev/default/llm-predictor"


@pytest.fixture
def platform() -> Platform:
    made = make_platform("kserve", "knative", "gateway", "keda")
    for name, formats, containers in (
        ("kserve-vllmserver", [{"name": "vLLM", "autoSelect": True, "priority": 1}], None),
        ("kserve-huggingfaceserver", [{"name": "huggingface", "autoSelect": True}], None),
    ):
        del containers
        made.local.create(
            {
                "apiVersion": "serving.kserve.io/v1alpha1",
                "kind": "ClusterServingRuntime",
                "metadata": {"name": name},
                "spec": {
                    "supportedModelFormats": formats,
                    "protocolVersions": ["v2", "v1"],
                    "containers": [
                        {
                            "name": "kserve-container",
                            "image": "vllm/vllm-openai:v0.11.0",
                            "args": ["--model=/mnt/models", "--served-model-name={{.Name}}"],
                            "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                        }
                    ],
                },
            }
        )
    for kind, metadata, spec in (
        ("GatewayClass", {"name": "envoy"}, {"controllerName": "x.io/y"}),
        (
            "Gateway",
            {"name": "kserve-ingress-gateway", "namespace": "kserve"},
            {
                "gatewayClassName": "envoy",
                "listeners": [
                    {
                        "name": "http",
                        "port": 80,
                        "protocol": "HTTP",
                        "allowedRoutes": {"namespaces": {"from": "All"}},
                    }
                ],
            },
        ),
    ):
        if kind == "Gateway":
            made.local.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kserve"}})
        made.local.create(
            {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
        )
    made.settle()
    return made


def isvc(mode: str = "Standard", annotations: dict[str, str] | None = None, **predictor: Any) -> Object:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "llm", "annotations": {MODE: mode, **(annotations or {})}},
        "spec": {
            "predictor": {
                "model": {"modelFormat": {"name": "vLLM"}, "storageUri": "pvc://models/llama"},
                **predictor,
            }
        },
    }


def test_a_model_is_served_by_the_runtime_of_its_format(platform: Platform) -> None:
    platform.create(isvc())
    container = platform.fetch("apps/v1/Deployment", "llm-predictor")["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert container["name"] == "kserve-container"
    assert container["image"] == "vllm/vllm-openai-cpu:v0.11.0"
    assert container["args"] == ["--model=/mnt/models", "--served-model-name=llm"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "2Gi"}
    assert platform.status(ISVC, "llm")["clusterServingRuntimeName"] == "kserve-vllmserver"
    assert platform.fetch("v1/Service", "llm-predictor")["spec"]["selector"] == {"app": "isvc.llm-predictor"}


def test_standard_mode_makes_an_hpa_on_cpu_unless_told_otherwise(platform: Platform) -> None:
    platform.create(isvc(minReplicas=1, maxReplicas=4))
    hpa = platform.fetch("autoscaling/v2/HorizontalPodAutoscaler", "llm-predictor")["spec"]
    assert (hpa["minReplicas"], hpa["maxReplicas"]) == (1, 4)
    assert hpa["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}

    def leave(obj: Object) -> None:
        obj["metadata"]["annotations"][CLASS] = "external"

    platform.change(ISVC, "llm", leave)
    assert platform.get("autoscaling/v2/HorizontalPodAutoscaler", "llm-predictor") is None


def test_the_class_keda_makes_a_scaled_object_with_server_query_and_threshold_only(
    platform: Platform,
) -> None:
    metric = {
        "type": "External",
        "external": {
            "metric": {"backend": "prometheus", "serverAddress": "http://p:9090", "query": "sum(q)"},
            "target": {"type": "Value", "value": "3"},
        },
    }
    platform.create(isvc(annotations={CLASS: "keda"}, maxReplicas=4, autoScaling={"metrics": [metric]}))
    spec = platform.fetch("keda.sh/v1alpha1/ScaledObject", "llm-predictor")["spec"]
    assert spec["triggers"] == [
        {
            "type": "prometheus",
            "metadata": {"serverAddress": "http://p:9090", "query": "sum(q)", "threshold": "3"},
        }
    ]
    assert spec["scaleTargetRef"] == {"name": "llm-predictor"}


def test_an_inference_service_is_ready_when_its_pods_and_its_routes_are(platform: Platform) -> None:
    platform.create(isvc())
    assert platform.conditions(ISVC, "llm")["IngressReady"] == ("False", "Predictor ingress not created")
    platform.run_pods()
    assert platform.conditions(ISVC, "llm") == {
        "IngressReady": ("True", ""),
        "PredictorReady": ("True", "NewReplicaSetAvailable"),
        "Ready": ("True", ""),
        "Stopped": ("False", ""),
    }
    status = platform.status(ISVC, "llm")
    assert status["url"] == "http://llm-default.example.com"
    assert status["address"] == {"url": "http://llm-predictor.default.svc.cluster.local"}
    assert status["deploymentMode"] == "Standard"
    assert status["modelStatus"]["states"] == {"activeModelState": "Loaded", "targetModelState": "Loaded"}
    assert platform.names(ROUTE) == ["llm", "llm-predictor"]
    assert platform.events("InferenceServiceReady") == ["InferenceService [llm] is Ready"]


def test_a_claim_is_mounted_and_other_weights_are_downloaded_before_the_server_starts(
    platform: Platform,
) -> None:
    platform.create(isvc())
    pod = platform.all("Pod")[0]["spec"]
    assert pod["containers"][0]["volumeMounts"][-1] == {
        "name": "kserve-pvc-source",
        "mountPath": "/mnt/models",
        "readOnly": True,
        "subPath": "llama",
    }
    assert "initContainers" not in pod
    made = isvc()
    made["metadata"]["name"] = "far"
    made["spec"]["predictor"]["model"]["storageUri"] = "hf://meta/llama"
    platform.create(made)
    far = next(one for one in platform.all("Pod") if one["metadata"]["name"].startswith("far"))
    (init,) = far["spec"]["initContainers"]
    assert (init["name"], init["args"]) == ("storage-initializer", ["hf://meta/llama", "/mnt/models"])


def test_an_unknown_runtime_is_told_in_the_model_s_status(platform: Platform) -> None:
    made = isvc()
    made["spec"]["predictor"]["model"] |= {"runtime": "vllm", "modelFormat": {"name": "pytorch"}}
    platform.create(made)
    model = platform.status(ISVC, "llm")["modelStatus"]
    assert (model["transitionStatus"], model["lastFailureInfo"]["reason"]) == (
        "InvalidSpec",
        "RuntimeNotRecognized",
    )
    assert platform.events("InternalError") == [
        "No ServingRuntimes or ClusterServingRuntimes with the name: vllm"
    ]


def test_a_format_that_the_named_runtime_does_not_serve_is_told(platform: Platform) -> None:
    made = isvc()
    made["spec"]["predictor"]["model"] |= {"runtime": "kserve-vllmserver", "modelFormat": {"name": "pytorch"}}
    platform.create(made)
    assert platform.status(ISVC, "llm")["modelStatus"]["lastFailureInfo"] == {
        "reason": "NoSupportingRuntime",
        "message": "Specified runtime does not support specified framework/version",
    }


def test_a_canary_of_standard_mode_has_its_own_pods_and_no_share_of_the_traffic(platform: Platform) -> None:
    made = isvc(annotations={CLASS: "none"}, minReplicas=4)
    made["spec"]["canary"] = [
        {
            "trafficPercent": 25,
            "predictor": {"name": "v2", "model": {"name": "", "modelFormat": {"name": "vLLM"}}},
        }
    ]
    platform.create(made)
    platform.run_pods()
    assert platform.names("apps/v1/Deployment") == ["llm-predictor", "llm-v2-predictor"]
    assert platform.fetch("apps/v1/Deployment", "llm-v2-predictor")["spec"]["replicas"] == 1
    assert platform.status(ISVC, "llm")["canaryStatuses"] == [
        {"name": "v2", "ready": True, "trafficPercent": 25}
    ]
    backends = platform.fetch(ROUTE, "llm")["spec"]["rules"][0]["backendRefs"]
    assert [(one["name"], one["weight"]) for one in backends] == [("llm-predictor", 1)]

    platform.change(ISVC, "llm", lambda obj: obj["spec"].pop("canary"))
    assert platform.names("apps/v1/Deployment") == ["llm-predictor"]


def pass_time(platform: Platform, seconds: int) -> None:
    for _ in range(seconds // 2):
        platform.wait(2)


def test_knative_mode_splits_by_percent_and_promotes_when_the_percent_goes(platform: Platform) -> None:
    platform.create(isvc("Knative"))
    platform.run_pods()
    pass_time(platform, 6)
    entry = platform.status(ISVC, "llm")["components"]["predictor"]
    assert entry["latestRolledoutRevision"] == "llm-predictor-00001"
    assert platform.conditions(ISVC, "llm")["Ready"] == ("True", "")

    def canary(obj: Object) -> None:
        obj["spec"]["predictor"]["canaryTrafficPercent"] = 10
        obj["spec"]["predictor"]["model"]["storageUri"] = "pvc://models/llama-2"

    platform.told.open[f"{RULE}/llm-predictor-00001"] = 1.0
    platform.change(ISVC, "llm", canary)
    platform.run_pods()
    pass_time(platform, 8)
    entry = platform.status(ISVC, "llm")["components"]["predictor"]
    assert [(one["revisionName"], one["percent"]) for one in entry["traffic"]] == [
        ("llm-predictor-00002", 10),
        ("llm-predictor-00001", 90),
    ]
    assert entry["latestRolledoutRevision"] == "llm-predictor-00001"
    platform.change(ISVC, "llm", lambda obj: obj["spec"]["predictor"].pop("canaryTrafficPercent"))
    pass_time(platform, 8)
    entry = platform.status(ISVC, "llm")["components"]["predictor"]
    assert (entry["latestRolledoutRevision"], entry["previousRolledoutRevision"]) == (
        "llm-predictor-00002",
        "llm-predictor-00001",
    )


def test_the_mode_cannot_be_changed_later(platform: Platform) -> None:
    platform.create(isvc())

    def change(obj: Object) -> None:
        obj["metadata"]["annotations"][MODE] = "Knative"

    assert platform.refusal(lambda: platform.change(ISVC, "llm", change)) == (
        'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: update rejected: '
        "deploymentMode cannot be changed from 'Standard' to 'Knative'"
    )


def test_old_names_of_modes_and_frameworks_are_rewritten(platform: Platform) -> None:
    made = isvc("RawDeployment")
    made["spec"]["predictor"] = {"huggingface": {"storageUri": "pvc://models/x"}}
    found = platform.create(made)
    assert found["metadata"]["annotations"][MODE] == "Standard"
    assert found["spec"]["predictor"]["model"]["modelFormat"] == {"name": "huggingface"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"minReplicas": 5, "maxReplicas": 2}, "'MinReplicas' cannot be greater than MaxReplicas"),
        ({"scaleTarget": 200}, "the target utilization percentage should be a [1-100] integer"),
        ({"scaleMetric": "rps"}, "[rps] is not a supported metric"),
    ],
)
def test_mistakes_are_refused_in_kserve_s_words(platform: Platform, change: Object, why: str) -> None:
    assert platform.refusal(lambda: platform.create(isvc(**change))) == (
        f'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: {why}'
    )


def test_a_canary_in_knative_mode_is_refused(platform: Platform) -> None:
    made = isvc("Knative")
    made["spec"]["canary"] = [
        {
            "trafficPercent": 25,
            "predictor": {"name": "v2", "model": {"name": "", "modelFormat": {"name": "vLLM"}}},
        }
    ]
    assert platform.refusal(lambda: platform.create(made)).endswith(
        "denied the request: canary is only supported in Standard deployment mode"
    )


def test_a_stopped_service_has_no_pods_and_says_so(platform: Platform) -> None:
    platform.create(isvc())
    platform.run_pods()

    def stop(obj: Object) -> None:
        obj["metadata"]["annotations"]["serving.kserve.io/stop"] = "true"

    platform.change(ISVC, "llm", stop)
    assert platform.names("apps/v1/Deployment") == []
    assert platform.conditions(ISVC, "llm")["Ready"] == ("False", "Stopped")
