"""Inference servers as models of the document."""

from collections import Counter
from typing import Any

from stoker.adopt.canaries import add_canary, second_definition
from stoker.adopt.companions import adapters, steps
from stoker.adopt.engines import custom_engine, engine_of, layout_of, with_runtime
from stoker.adopt.flags import settings
from stoker.adopt.ledger import Ledger, dump_order
from stoker.adopt.names import duration, free, managed, name_of
from stoker.adopt.planned import MODEL_FIELDS, PlannedModel, Work
from stoker.adopt.pools import KNOWN_RESOURCES, Pools
from stoker.adopt.scaling import scaling_of
from stoker.adopt.tenants import Namespaces
from stoker.adopt.weights import Weights, served_name
from stoker.audit.view.scaling import deployment_mode
from stoker.audit.view.serving import Server, find_model
from stoker.audit.view.view import View
from stoker.errors import UnknownNameError

__all__ = ["common_mode", "plan_models"]


def plan_models(
    view: View, pools: Pools, namespaces: Namespaces, weights: Weights, ledger: Ledger
) -> list[PlannedModel]:
    """Every server that can be carried over; canaries go to their models."""
    work = Work(view, pools, namespaces, weights, ledger)
    later: list[Server] = []
    for server in view.running_servers:
        if not _is_model(server, work):
            continue
        if _version(server) != "stable" or server.workload.part.startswith("canary"):
            later.append(server)
            continue
        _add(with_runtime(view, server, ledger), work)
    for server in later:
        add_canary(with_runtime(view, server, ledger), work)
    return work.made


def _version(server: Server) -> str:
    return str(server.workload.labels.get("stoker.dev/version") or "stable")


def _is_model(server: Server, work: Work) -> bool:
    part = server.workload.part
    if part.endswith("worker") or part in {"transformer", "explainer"}:
        return False
    work.ledger.use(server.item)
    if part == "prefill":
        work.ledger.note(
            server.item,
            ("spec", "prefill"),
            "separate prefill pods are not carried over: one kind of replica serves the model",
        )
        return False
    if not server.workload.serves:
        work.ledger.note(
            server.item,
            server.workload.path,
            f"a {server.item.kind} that runs {server.engine} and ends is no model to call",
        )
        return False
    if not server.workload.uses_gpu:
        claims = server.workload.pod.get("resourceClaims")
        why = (
            "its GPUs come by ResourceClaims, whose devices are not counted here"
            if claims
            else "it asks for no GPU here"
        )
        work.ledger.note(
            server.item, (*server.container.path, "resources"), f"{server.engine} is not carried over: {why}"
        )
        return False
    if not min(server.workload.gpus).startswith(KNOWN_RESOURCES):
        work.ledger.note(
            server.item, (*server.container.path, "resources"),
            f"{server.engine} is not carried over: the catalogue knows no device that {min(server.workload.gpus)} is",
        )  # fmt: skip
        return False
    return True


def _add(server: Server, work: Work) -> None:
    key = (server.item.kind, server.item.namespace, server.item.name)
    if key in work.by_item:
        second_definition(server, work.by_item[key], work)
        return
    origin = work.weights.origin(server)
    if origin is None:
        work.ledger.note(
            server.item, server.model_path or server.container.path,
            f"{server.engine} is not carried over: where its weights come from is not said in a form that the platform file takes",
        )  # fmt: skip
        return
    taken = [model.name for model in work.made]
    tenant = work.namespaces.tenant_of(server.item.namespace)
    name = free(_name(server), taken, tenant)
    path = f"models.{name}"
    entry: dict[str, Any] = {"name": name, "source": origin.source, "tenant": tenant}
    engine = engine_of(server, path, work.ledger)
    found = PlannedModel(entry, server, work.pools.of(server.workload), server.item.namespace)
    if not _sized(server, found, engine, work.ledger):
        return
    _fill(server, found, origin.storage, work)
    _served(server, name, work.ledger)
    work.made.append(found)
    work.by_item[key] = found


def _name(server: Server) -> str:
    served = served_name(server)
    model = served if served and served == name_of(served, "", letter=True) else ""
    return model or name_of(server.item.name, "model", letter=True)


def _sized(server: Server, found: PlannedModel, engine: dict[str, Any], ledger: Ledger) -> bool:
    """Name the architecture where the source does not; without one, the image and its arguments stand as they are."""
    entry = found.entry
    source = str(entry["source"])
    known = (
        server.architecture
        or find_model(source)
        or find_model(served_name(server))
        or find_model(server.item.name)
    )
    if known is not None:
        if not any(
            _names(text, known.name)
            for text in (source.partition("://")[2], source.rstrip("/").rpartition("/")[2])
        ):
            entry["architecture"] = known.name
        entry["engine"] = engine
        if server.architecture is None and find_model(source) is None:
            ledger.assume(
                f"models.{found.name}.architecture",
                known.name,
                f"the name {served_name(server) or server.item.name}",
            )
        return True
    if server.engine == "triton":
        entry |= {"engine": engine, "protocol": "v2"}
        return True
    custom = custom_engine(server, engine)
    if custom is None:
        ledger.note(
            server.item, server.model_path or server.container.path,
            f"{server.engine} is not carried over: the catalogue does not know the model behind {source[:120]}; add it with `architecture:` and "
            "a folder with its config.json",
        )  # fmt: skip
        return False
    entry["engine"] = custom
    ledger.note(
        server.item, server.model_path or server.container.path,
        f"the catalogue does not know the model behind {source[:120]}: it is carried over as a custom engine that nothing sizes; name its "
        "architecture (a folder with config.json will do) and set engine back",
    )  # fmt: skip
    return True


def _names(text: str, architecture: str) -> bool:
    from stoker.catalog.models import model

    try:
        return model(text).name == architecture
    except UnknownNameError:
        return False


def _fill(server: Server, found: PlannedModel, storage: str | None, work: Work) -> None:
    entry, ledger = found.entry, work.ledger
    low, high, scaling = scaling_of(work.view, server.workload, ledger)
    mode = _mode(server, work, found.name)
    custom = entry["engine"]["name"] == "custom"
    known = {} if custom else settings(server, ledger)
    if "drain" in known:
        known["drain"] = duration(known["drain"])
    entry |= known
    if low == 0:
        entry["tier"] = "batch"
        ledger.assume(
            f"models.{found.name}.tier",
            "batch",
            "it may stand at zero replicas, which no production model may",
        )
    if found.pool is not None:
        entry["pool"] = found.pool.name
    _context(server, found, ledger)
    entry["parallelism"] = layout_of(server, ledger)
    entry["replicas"] = {"min": low, "max": high}
    if storage:
        entry["storage"] = storage
    entry["serving"] = mode
    if scaling:
        if mode == "Knative":
            scaling = {key: value for key, value in scaling.items() if key != "wake"}
        entry["autoscaling"] = scaling
    account = server.workload.pod.get("serviceAccountName")
    if isinstance(account, str) and account not in {"", "default"} and not managed(server.item):
        entry["serviceAccount"] = account
    lora = adapters(server, ledger)
    if lora and not custom:
        entry["lora"] = lora
    if mode in {"Standard", "Knative"}:
        entry |= steps(work.view, server, ledger)
    _older_revision(server, work)
    found.entry = dump_order(entry, MODEL_FIELDS)


def _context(server: Server, found: PlannedModel, ledger: Ledger) -> None:
    """Without a flag the engine takes the model's maximum; a custom engine and a model without a KV cache have no such field."""
    entry = found.entry
    if entry["engine"]["name"] == "custom" or not server.caches or managed(server.item):
        return
    if "contextLength" not in entry and server.architecture:
        entry["contextLength"] = server.architecture.max_context
        found.weak.add("contextLength")
        ledger.assume(
            f"models.{found.name}.contextLength",
            entry["contextLength"],
            "without a flag the engine takes the model's own maximum",
        )


def _older_revision(server: Server, work: Work) -> None:
    predictor = server.item.section("spec", "predictor")
    percent = predictor.get("canaryTrafficPercent")
    if (
        isinstance(percent, int)
        and not isinstance(percent, bool)
        and server.workload.part == "predictor"
        and not _again(server, work)
    ):
        where = ("spec", "predictor", "canaryTrafficPercent")
        work.ledger.note(
            server.item,
            where,
            f"{percent} % of the traffic goes to this revision and the rest to one that only the cluster knows: this one is carried over",
        )


def _again(server: Server, work: Work) -> bool:
    return (
        sum(
            1
            for item in work.view.of("InferenceService.serving.kserve.io")
            if (item.namespace, item.name) == (server.item.namespace, server.item.name)
        )
        > 1
    )


def _mode(server: Server, work: Work, name: str) -> str:
    item = server.item
    if item.kind == "LLMInferenceService":
        return "LLMInferenceService"
    if item.kind == "InferenceService":
        mode = deployment_mode(item, work.view.snapshot)
        if mode == "ModelMesh":
            work.ledger.note(
                item,
                ("metadata", "annotations"),
                "ModelMesh is not carried over: the model is served in Standard mode",
            )
        elif not mode:
            work.ledger.assume(
                f"models.{name}.serving",
                "Standard",
                "the InferenceService leaves the mode to KServe's installation",
            )
        return "Knative" if mode == "Knative" else "Standard"
    if server.engine == "huggingface":
        work.ledger.note(item, (), "KServe's own server runs as an InferenceService here")
        return "Standard"
    if item.kind == "Service":
        return "Knative"
    if item.kind not in {"Deployment", "LeaderWorkerSet"}:
        work.ledger.note(item, (), f"a {item.kind} becomes a Deployment")
    return "Deployment"


def _served(server: Server, name: str, ledger: Ledger) -> None:
    """Clients name the model in each request: a name that changes is a change for them."""
    if managed(server.item) or server.engine == "triton":
        return
    names = server.flag("--served-model-name")
    today = [value for value in (names.values if names else ()) if "$" not in value] or (
        [served_name(server)] if served_name(server) else []
    )
    if not today and server.item.kind not in {"InferenceService", "LLMInferenceService"} and server.model:
        today = [server.model]
    if not today and server.engine == "vllm":
        return
    if today and name not in today:
        flag = names or server.flag("--model")
        ledger.note(
            server.item,
            flag.path if flag else server.model_path or (),
            f"requests name this model {', '.join(today)[:120]} today, and {name} here: clients change with it",
        )


def common_mode(models: list[PlannedModel]) -> str:
    """The mode that most models have."""
    counted = Counter(str(model.entry["serving"]) for model in models)
    return counted.most_common(1)[0][0]
