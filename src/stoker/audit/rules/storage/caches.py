"""KServe's copies of models: caches on the nodes, and what is fetched anew where there is none."""

import re
from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Severity, replace
from stoker.audit.rule import rule
from stoker.audit.rules.storage.weights import weights_gib
from stoker.audit.view.gpus import stored_weights
from stoker.audit.view.serving import Server, find_model
from stoker.audit.view.view import View
from stoker.errors import nearest
from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item

_CACHE: Final = "LocalModelCache.serving.kserve.io"
_GROUP: Final = "LocalModelNodeGroup.serving.kserve.io"
_TYPES: Final = "kserve 0.20.0 pkg/apis/serving/v1alpha1/local_model_cache_types.go:47-60"
_LIMIT: Final = "kserve 0.20.0 pkg/apis/serving/v1alpha1/local_model_node_group_types.go:25-35"
_VALIDATOR: Final = "kserve 0.20.0 pkg/webhook/admission/localmodelcache/localmodelcache_validator.go:60-165"
_INITIALIZER: Final = "kserve 0.20.0 pkg/webhook/admission/pod/storage_initializer_injector.go"


def _grouped(view: View) -> Iterator[tuple[Item, int, str]]:
    """Node groups that caches name, where the groups of the cluster are here."""
    if not view.of(_GROUP) and not view.knows(_GROUP):
        return
    for item in view.of(_CACHE):
        for index, name in enumerate(item.spec.get("nodeGroups") or []):
            yield item, index, name


@rule(
    "model-cache-group-missing",
    Area.STORAGE,
    Severity.ERROR,
    title="LocalModelCache names a node group that does not exist",
    why="No node is given the model: the cache never gets ready, and services that rely on it wait for a volume that nobody makes.",
    fix="Create the LocalModelNodeGroup, or correct its name.",
    references=(_TYPES,),
    on=_grouped,
)
def _model_cache_group_missing(subject: tuple[Item, int, str], view: View) -> Iterator[Hit]:
    item, index, name = subject
    if view.snapshot.get(_GROUP, "", name) is not None:
        return
    there = [group.name for group in view.of(_GROUP)]
    near = nearest(name, there, limit=1)
    if not near and not view.knows(_GROUP):
        return
    path = ("spec", "nodeGroups", index)
    fix = Fix(f"Name {near[0]}", (replace(path, near[0]),)) if near else None
    hint = f"; did you mean {near[0]}?" if near else ""
    yield Hit(item, path, f"there is no LocalModelNodeGroup {name}{hint}", name, fix)


@rule(
    "model-cache-over-group-limit",
    Area.STORAGE,
    Severity.WARNING,
    title="Cached models need more than their node group may store",
    why=(
        "Every node of the group holds every model of it, and KServe 0.20 compares neither figure with the other: past the disk "
        "behind the limit downloads fail, on all nodes at once."
    ),
    fix="Raise storageLimit with the disks behind it, or cache fewer models in the group.",
    references=(_LIMIT, _TYPES),
    on=lambda view: (group for group in view.of(_GROUP) if "storageLimit" in group.spec),
)
def _model_cache_over_group_limit(group: Item, view: View) -> Iterator[Hit]:
    limit = parse(group.spec["storageLimit"])
    sizes = {
        item.name: size
        for item in view.of(_CACHE)
        if group.name in (item.spec.get("nodeGroups") or [])
        and (size := parse(item.spec.get("modelSize", ""))) is not None
    }
    total = sum(sizes.values())
    if limit is not None and sizes and total > limit:
        told = " + ".join(f"{name} {size / 2**30:.0f} GiB" for name, size in sorted(sizes.items())[:4])
        more = f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""
        path = ("spec", "storageLimit")
        yield Hit(group, path, f"{told}{more} exceed {limit / 2**30:.0f} GiB", group.spec["storageLimit"])


def _sources(view: View) -> Iterator[Item]:
    yield from (item for item in view.of(_CACHE) if item.spec.get("sourceModelUri"))


@rule(
    "model-cache-duplicate",
    Area.STORAGE,
    Severity.ERROR,
    title="Two LocalModelCaches hold the same model",
    why="KServe's webhook refuses the second, whatever its groups are: the nodes that it was made for never get the model.",
    fix="Name both node groups in one LocalModelCache.",
    references=(_VALIDATOR,),
    on=_sources,
)
def _model_cache_duplicate(item: Item, view: View) -> Iterator[Hit]:
    uri = item.spec["sourceModelUri"]
    first = next(other for other in _sources(view) if other.spec["sourceModelUri"] == uri)
    if first.name != item.name:
        yield Hit(item, ("spec", "sourceModelUri"), f"{first} holds {uri} already", uri)


def _fetched(view: View) -> Iterator[Server]:
    """Servers whose weights KServe fetches into each pod."""
    for server in view.running_servers:
        if (
            server.item.kind in {"InferenceService", "LLMInferenceService"}
            and server.workload.uses_gpu
            and "://" in server.model
        ):
            yield server


@rule(
    "hub-model-without-cache",
    Area.STORAGE,
    Severity.INFO,
    title="KServe fetches the weights from the hub for every pod",
    why=(
        "The storage initializer downloads hf:// into each new pod: a scale-out or a lost node waits for the internet, all replicas "
        "that start together share one line, and an outage or a rate limit of the hub is yours."
    ),
    fix="Cache the model with a LocalModelCache, or serve it from pvc:// or oci://.",
    references=(_INITIALIZER, _TYPES),
    on=_fetched,
)
def _hub_model_without_cache(server: Server, view: View) -> Iterator[Hit]:
    cached = any(server.model.startswith(str(item.spec["sourceModelUri"])) for item in _sources(view))
    if server.model.startswith("hf://") and not cached and server.model_path is not None:
        size = weights_gib(server)
        told = f", {size:.0f} GiB each time" if size else ""
        yield Hit(
            server.item, server.model_path, f"{server.model} is fetched into every pod{told}", server.model
        )


@rule(
    "model-cache-too-small",
    Area.STORAGE,
    Severity.WARNING,
    title="LocalModelCache declares less than the model takes",
    why=(
        "KServe does not measure: the size is what people plan the node group's disks and its storageLimit with. Too small a figure "
        "ends in downloads that fail with a full disk, on every node of the group at once."
    ),
    fix="Set modelSize to the weights and a tenth more.",
    references=(_TYPES, _LIMIT),
    on=lambda view: view.of(_CACHE),
)
def _model_cache_too_small(item: Item, view: View) -> Iterator[Hit]:
    architecture, size = (
        find_model(str(item.spec.get("sourceModelUri") or "")),
        parse(item.spec.get("modelSize", "")),
    )
    if architecture is None or size is None:
        return
    needed = stored_weights(architecture)
    if float(size) < needed * 0.98 and not re.search(
        r"awq|gptq|int4|fp8|w4|w8|4bit|8bit", str(item.spec["sourceModelUri"]).lower()
    ):
        yield Hit(
            item,
            ("spec", "modelSize"),
            f"{item.spec['modelSize']}, and {architecture.name} has {needed / 2**30:.0f} GiB of weights",
            item.spec["modelSize"],
        )
