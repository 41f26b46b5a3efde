"""ServingRuntimes: whether the one that an InferenceService asks for can be used."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add, replace
from stoker.audit.rule import rule
from stoker.audit.rules.serving.kserve import RUNTIMES, made_runtime, models
from stoker.audit.view.view import View
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item

Model = tuple[Item, Path, Mapping[str, Any]]

_PREDICTOR: Final = "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/components/predictor.go:320-420"
_MERGE: Final = "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/utils/utils.go:486-497"
_SELECTION: Final = "kserve 0.20.0 pkg/apis/serving/v1beta1/predictor_model.go:84-163"
_KINDS: Final = ("ServingRuntime.serving.kserve.io", "ClusterServingRuntime.serving.kserve.io")
_CONTAINER: Final = "kserve-container"
# Protocols of the shipped runtimes for language models; one without any takes all (kserve 0.20.0 config/runtimes).
_PROTOCOLS: Final[Mapping[str, frozenset[str]]] = {
    "kserve-huggingfaceserver": frozenset(("v1", "v2")),
    "kserve-huggingfaceserver-multinode": frozenset(("v1", "v2")),
    "kserve-tritonserver": frozenset(("v2", "grpc-v2")),
    "kserve-torchserve": frozenset(("v1", "v2", "grpc-v2")),
}


def _named(view: View) -> Iterator[tuple[Model, Item]]:
    """Models with the runtime that they name, where it is here."""
    for item, path, model in models(view):
        name = str(model.get("runtime") or "")
        made = made_runtime(view, item.namespace, name) if name else None
        if made is not None:
            yield (item, path, model), made


@rule(
    "kserve-runtime-disabled",
    Area.SERVING,
    Severity.ERROR,
    title="InferenceService names a runtime that is disabled",
    why="The controller reports RuntimeDisabled and makes no Deployment: the model never starts, and kubectl apply was content.",
    fix="Enable the runtime, or name another one.",
    references=(_PREDICTOR,),
    on=_named,
)
def _kserve_runtime_disabled(subject: tuple[Model, Item], view: View) -> Iterator[Hit]:
    (item, path, model), made = subject
    if made.spec.get("disabled"):
        yield Hit(item, (*path, "runtime"), f"{made} has disabled: true", model["runtime"])


@rule(
    "kserve-runtime-container-unnamed",
    Area.SERVING,
    Severity.ERROR,
    title="ServingRuntime has no container called kserve-container",
    why=(
        "KServe merges the model into the container of that name: without it every InferenceService of the runtime ends in "
        "InvalidPredictorSpec, `failed to find kserve-container in ServingRuntime containers`, and no pod is made."
    ),
    fix="Call the server's container kserve-container.",
    references=(_MERGE,),
    on=lambda view: (
        item for item in view.of(*_KINDS) if item.spec.get("containers") and not item.spec.get("multiModel")
    ),
)
def _kserve_runtime_container_unnamed(item: Item, view: View) -> Iterator[Hit]:
    names = [str(container.get("name") or "") for container in item.spec["containers"]]
    if _CONTAINER in names:
        return
    path = ("spec", "containers", 0, "name")
    fix = Fix(f"Call it {_CONTAINER}", (replace(path, _CONTAINER),)) if len(names) == 1 and names[0] else None
    yield Hit(item, path, f"its containers are {', '.join(names)}", names[0], fix)


def _protocols(view: View) -> Iterator[tuple[Model, frozenset[str]]]:
    """Models that name a protocol and a runtime whose protocols are known."""
    for item, path, model in models(view):
        name = str(model.get("runtime") or "")
        if not name or not model.get("protocolVersion"):
            continue
        made = made_runtime(view, item.namespace, name)
        known = (
            frozenset(str(entry) for entry in made.spec.get("protocolVersions") or [])
            if made is not None
            else _PROTOCOLS.get(name, frozenset())
        )
        if known:
            yield (item, path, model), known


@rule(
    "kserve-protocol-unsupported",
    Area.SERVING,
    Severity.ERROR,
    title="Runtime does not speak the protocol that the model asks for",
    why="The controller reports NoSupportingRuntime and makes no Deployment: the model never starts, and kubectl apply was content.",
    fix="Leave protocolVersion out, or name one of the runtime's protocols.",
    references=(_PREDICTOR,),
    on=_protocols,
)
def _kserve_protocol_unsupported(subject: tuple[Model, frozenset[str]], view: View) -> Iterator[Hit]:
    (item, path, model), known = subject
    asked = str(model["protocolVersion"])
    if asked not in known:
        told = ", ".join(sorted(known))
        yield Hit(
            item, (*path, "protocolVersion"), f"runtime {model['runtime']} speaks {told}, not {asked}", asked
        )


def _unnamed(view: View) -> Iterator[tuple[Model, list[Item]]]:
    """Models that leave the choice to KServe, with the runtimes here that have their format."""
    for item, path, model in models(view):
        form = str((model.get("modelFormat") or {}).get("name") or "")
        if not form or model.get("runtime"):
            continue
        offered = [
            runtime for runtime in view.of(*_KINDS)
            if runtime.namespace in {"", item.namespace} and any(f.get("name") == form for f in _formats(runtime))
        ]  # fmt: skip
        shipped = any(form in formats for formats in RUNTIMES.values())
        if offered or shipped or all(view.knows(kind, item.namespace) for kind in _KINDS):
            yield (item, path, model), offered


def _formats(runtime: Item) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = runtime.spec.get("supportedModelFormats") or []
    return found


@rule(
    "kserve-format-unmatched",
    Area.SERVING,
    Severity.ERROR,
    title="No runtime is chosen for the model's format",
    why=(
        "Where the model names no runtime KServe takes one whose format, compared with its case, has autoSelect: true. Without any "
        "it reports NoSupportingRuntime and makes no Deployment, and kubectl apply was content."
    ),
    fix="Name the runtime, or set autoSelect: true on its format.",
    references=(_SELECTION, _PREDICTOR),
    on=_unnamed,
)
def _kserve_format_unmatched(subject: tuple[Model, list[Item]], view: View) -> Iterator[Hit]:
    (item, path, model), offered = subject
    form = str(model["modelFormat"]["name"])
    if any(form in formats for formats in RUNTIMES.values()):
        return
    if any(f.get("name") == form and f.get("autoSelect") for r in offered for f in _formats(r)):
        return
    where = (*path, "modelFormat", "name")
    if offered:
        name = offered[0].name
        told = f"{offered[0]} has the format {form} without autoSelect: true"
        fix = Fix(f"Name {name}", (add((*path, "runtime"), name),)) if len(offered) == 1 else None
        yield Hit(item, where, told, form, fix)
        return
    same = next(
        (f for formats in RUNTIMES.values() for f in formats if f.casefold() == form.casefold()), None
    )
    fix = Fix(f"Write {same}", (replace(where, same),)) if same else None
    told = f"no runtime here has the format {form}" + (f"; KServe's own is called {same}" if same else "")
    yield Hit(item, where, told, form, fix)
