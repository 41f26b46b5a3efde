"""Second versions of a model: KServe's canaries, Stoker's own, and a later definition of the same object."""

from typing import Any

from stoker.adopt.engines import engine_of
from stoker.adopt.ledger import Ledger, dump_order
from stoker.adopt.names import name_of
from stoker.adopt.planned import MODEL_FIELDS, PlannedModel, Work
from stoker.audit.view.serving import Server

__all__ = ["add_canary", "second_definition"]


def second_definition(server: Server, first: PlannedModel, work: Work) -> None:
    """A later definition of the same object: with a share of the traffic it is the canary of the first."""
    percent = server.item.section("spec", "predictor").get("canaryTrafficPercent")
    origin = work.weights.origin(server)
    if not isinstance(percent, int) or isinstance(percent, bool) or origin is None:
        work.ledger.note(
            server.item, (), "the same object is defined before; the first definition is carried over"
        )
        return
    if first.entry.get("serving") != "Knative":
        work.ledger.note(
            server.item, ("spec", "predictor", "canaryTrafficPercent"),
            "only Knative mode reads it: in Standard mode all of the traffic would move at once; it becomes a canary that splits traffic",
        )  # fmt: skip
    _set_canary(first, "canary", origin.source, percent, 1)


def add_canary(server: Server, work: Work) -> None:
    labels = {**server.item.labels, **server.workload.labels}
    part = server.workload.part.removeprefix("canary").strip()
    version = part or str(labels.get("stoker.dev/version") or "canary")
    model = labels.get("stoker.dev/model")
    first = next(
        (
            item
            for item in work.made
            if item.namespace == server.item.namespace
            and (
                item.server.item is server.item
                or (model and item.server.item.labels.get("stoker.dev/model") == model)
            )
        ),
        None,
    )
    origin = work.weights.origin(server)
    if first is None or origin is None:
        work.ledger.note(
            server.item,
            server.workload.path,
            "a canary without a model, or without a source, is not carried over",
        )
        return
    _set_canary(first, version, origin.source, _share(server, work), max(1, server.workload.minimum))
    first.items.append(server.item)
    own = engine_of(server, f"models.{first.name}.canary", Ledger())
    canary = first.entry["canary"]
    if own.get("version") and own["version"] != first.entry["engine"].get("version"):
        canary["engineVersion"] = own["version"]
    if own.get("args", []) != first.entry["engine"].get("args", []):
        canary["args"] = own.get("args", [])


def _share(server: Server, work: Work) -> int:
    """Percent of the traffic: the InferenceService's, the LLMInferenceService's weight, or a route's."""
    spec = server.item.spec
    for entry in spec.get("canary") or []:
        if isinstance(entry, dict) and isinstance(entry.get("trafficPercent"), int):
            return int(entry["trafficPercent"])
    route = server.item.section("spec", "router", "route").get("weight")
    if isinstance(route, int):
        return route
    for item in work.view.of("HTTPRoute.gateway.networking.k8s.io"):
        for rule in item.spec.get("rules") or []:
            for backend in rule.get("backendRefs") or []:
                if backend.get("name") == server.item.name and isinstance(backend.get("weight"), int):
                    return int(backend["weight"])
    work.ledger.note(server.item, (), "the canary's share of the traffic is not said: 5 percent are taken")
    return 5


def _set_canary(first: PlannedModel, name: str, source: str, percent: int, replicas: int) -> None:
    canary: dict[str, Any] = {"name": name_of(name, "canary")}
    if source != first.entry["source"]:
        canary["source"] = source
    canary |= {"trafficPercent": max(1, min(percent, 99)), "replicas": min(replicas, 100)}
    first.entry = dump_order({**first.entry, "canary": canary}, MODEL_FIELDS)
