"""CPU and memory that a predictor gets where its InferenceService leaves them out."""

from collections.abc import Iterator, Mapping
from typing import Final

from stoker.audit.finding import Area, Hit, Severity
from stoker.audit.rule import rule
from stoker.audit.rules.serving.kserve import RUNTIMES, made_runtime, predictors
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Container, Workload
from stoker.kube.quantities import parse

_RUNTIME: Final = (
    "kserve 0.20.0 config/runtimes/kserve-vllmserver.yaml:45 (resources of the shipped runtimes)"
)
_WEBHOOK: Final = "kserve 0.20.0 pkg/apis/serving/v1beta1/predictor_custom.go:72"
_CONFIG: Final = "kserve 0.20.0 config/configmap/inferenceservice.yaml:78-106"
# Requests and limits alike, of every shipped runtime but the multi-node one, and of the webhook for custom containers.
_GIVEN: Final[Mapping[str, str]] = {"cpu": "1", "memory": "2Gi"}
_ENGINES: Final = frozenset(("vllm", "huggingface", "triton", "torchserve"))


def _judged(view: View) -> Iterator[tuple[Workload, Container, str]]:
    """GPU containers of predictors with who fills in what they leave out."""
    for workload in predictors(view):
        for container in workload.containers:
            if not container.gpus or container.init:
                continue
            if container.path[-1] == "model":
                giver = _runtime(workload, container, view)
            elif container.path[-1] == 0 and "model" not in workload.pod:
                giver = "KServe's webhook"
            else:
                giver = ""
            if giver:
                yield workload, container, giver


def _runtime(workload: Workload, container: Container, view: View) -> str:
    """The runtime that lends its 1 CPU and 2Gi; empty where another one, or none that is known here, is merged in."""
    name = str(container.spec.get("runtime") or "")
    if workload.pod.get("workerSpec") or name == "kserve-huggingfaceserver-multinode":
        return ""
    made = made_runtime(view, workload.namespace, name) if name else None
    if made is not None:
        own = [c for c in made.spec.get("containers") or [] if c.get("name") == "kserve-container"]
        limits = ((own[0].get("resources") or {}).get("limits") or {}) if own else {}
        small = all(parse(limits.get(key, "")) == parse(value) for key, value in _GIVEN.items())
        return f"runtime {name}" if small else ""
    if name in RUNTIMES:
        return f"runtime {name}"
    form = str((container.spec.get("modelFormat") or {}).get("name") or "")
    shipped = any(form in formats for formats in RUNTIMES.values())
    return "the runtime that KServe ships" if (not name and shipped) or name.lower() in _ENGINES else ""


@rule(
    "kserve-resources-defaulted",
    Area.SERVING,
    Severity.ERROR,
    title="GPU predictor leaves CPU or memory to KServe's defaults",
    why=(
        "The runtimes that KServe ships, and its webhook for custom containers, fill in 1 CPU and 2Gi, as request and limit: a model "
        "server with 2Gi is OOMKilled while it loads, one with one CPU is throttled so that the GPU waits for the tokenizer."
    ),
    fix="Set requests and limits of cpu and memory on the model.",
    references=(_RUNTIME, _WEBHOOK, _CONFIG),
    on=_judged,
)
def _kserve_resources_defaulted(subject: tuple[Workload, Container, str], view: View) -> Iterator[Hit]:
    workload, container, giver = subject
    missing = [name for name in _GIVEN if name not in container.limits]
    if not missing:
        return
    given = " and ".join(f"{name} {_GIVEN[name]}" for name in missing)
    above = [name for name in missing if (asked := parse(container.requests.get(name, ""))) is not None
             and asked > (parse(_GIVEN[name]) or 0)]  # fmt: skip
    refused = f", which its request of {' and '.join(above)} exceeds: no pod is admitted" if above else ""
    path = (*container.path, "resources", "limits")
    yield Hit(
        workload.item,
        path,
        f"{workload} sets no limit of {' and '.join(missing)}: {giver} gives {given}{refused}",
        dict(container.limits),
    )
