"""The names that each serving mode's controller gives to what it makes; other compilers select by them."""

from dataclasses import dataclass

from stoker.platform.serving import ServingMode

__all__ = ["MODEL_LABEL", "Names", "names_for"]

MODEL_LABEL = "stoker.dev/model"


@dataclass(frozen=True, slots=True)
class Names:
    """Workload to scale, Service in front with its port, and labels that select the model's pods of every version."""

    workload: str
    service: str
    service_port: int
    pod_labels: dict[str, str]
    canary_workload: str
    canary_service: str


def names_for(model: str, mode: ServingMode, *, canary: str = "", multi_node: bool = False) -> Names:
    """Names of one model.

    Sources: kserve v0.20.0 pkg/constants/constants.go (PredictorServiceName, InferenceServicePodLabelKey),
    pkg/controller/v1alpha2/llmisvc (workload and Service names).
    """
    if mode in {ServingMode.STANDARD, ServingMode.KNATIVE}:
        version = f"{model}-{canary}-predictor"
        return Names(
            workload=f"{model}-predictor",
            service=f"{model}-predictor",
            service_port=80,
            pod_labels={"serving.kserve.io/inferenceservice": model, "component": "predictor"},
            canary_workload=version,
            canary_service=version,
        )
    if mode is ServingMode.LLM_INFERENCE_SERVICE:
        suffix = "kserve-mn" if multi_node else "kserve"
        return Names(
            workload=f"{model}-{suffix}",
            service=f"{model}-kserve-workload-svc",
            service_port=8000,
            # Our own label reaches the pods through spec.template's labels, and the canary is a second object.
            pod_labels={MODEL_LABEL: model},
            canary_workload=f"{model}-{canary}-{suffix}",
            canary_service=f"{model}-{canary}-kserve-workload-svc",
        )
    return Names(
        workload=model,
        service=model,
        service_port=80,
        pod_labels={MODEL_LABEL: model},
        canary_workload=f"{model}-{canary}",
        canary_service=f"{model}-{canary}",
    )
