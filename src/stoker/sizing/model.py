"""One model resolved: architecture, engine, place, layout, weights, bounds and targets, in that order."""

from collections.abc import Mapping
from pathlib import Path

from stoker.catalog.engines import EngineRelease, release
from stoker.catalog.models import ModelArchitecture, load_model_folder, model as known_model, models
from stoker.errors import InputError, Problem, UnknownNameError, nearest
from stoker.platform.base import seconds_of
from stoker.platform.document import Platform
from stoker.platform.models import EngineName, Model
from stoker.sizing.delivery import resolve_delivery
from stoker.sizing.names import Names, names_for
from stoker.sizing.placement import Placement, place
from stoker.sizing.resolved import (
    Delivery,
    DeliveryKind,
    ResolvedCanary,
    ResolvedModel,
    ResolvedPool,
    ResolvedTenant,
)
from stoker.sizing.scaling import concurrency_within_slo, queue_within_slo, replica_bounds, resolve_scaling
from stoker.sizing.tenants import owner

__all__ = ["find_architecture", "resolve_model"]

_CONTEXT = 8192  # see the `why` of models.contextLength
_UTILIZATION = 0.9  # where an engine release names no default of its own


def find_architecture(model: Model, path: str) -> ModelArchitecture | None | Problem:
    """The architecture that the user names, or that the source or the name tells; None for a custom engine's model."""
    if model.architecture is not None:
        if "/" in model.architecture or model.architecture.startswith("."):
            try:
                return load_model_folder(Path(model.architecture))
            except InputError as error:
                return error.problems[0]
        try:
            return known_model(model.architecture)
        except UnknownNameError as error:
            return Problem(
                error.message,
                path=f"{path}.architecture",
                found=model.architecture,
                wanted="a catalogue id (`stoker catalog models`) or a folder with config.json",
                fix=error.fix,
            )
    candidates = (model.source.partition("://")[2], model.source.rstrip("/").rpartition("/")[2], model.name)
    for candidate in candidates:
        try:
            return known_model(candidate)
        except UnknownNameError:
            continue
    if model.engine.name in {EngineName.CUSTOM, EngineName.TRITON}:
        return None
    likely = nearest(candidates[1], models()) or nearest(model.name, models())
    return Problem(
        f"the catalogue does not know the architecture behind {model.source}",
        path=f"{path}.source",
        found=model.source,
        wanted="architecture: a catalogue id (`stoker catalog models`) or a folder with the model's config.json",
        fix=f"add `architecture: {likely[0]}` if that is its base" if likely else "add `architecture:`",
    )


def resolve_model(
    platform: Platform,
    model: Model,
    path: str,
    pools: Mapping[str, ResolvedPool],
    tenants: Mapping[str, ResolvedTenant],
) -> ResolvedModel | Problem:
    """Resolve one model on its own; what it takes from others (surge, quota) is decided afterwards."""
    architecture = find_architecture(model, path)
    if isinstance(architecture, Problem):
        return architecture
    engine = release(model.engine.name.value, model.engine.version)
    utilization = model.gpu_memory_utilization or engine.defaults.get("gpu_memory_utilization") or _UTILIZATION
    placement = place(model, architecture, pools, gpu_memory_utilization=utilization, path=path)
    if isinstance(placement, Problem):
        return placement
    return _assemble(platform, model, engine, placement, tenants[owner(platform, model.tenant)], utilization)
