"""Names that point at something: it must exist."""

from collections.abc import Collection, Iterator

from stoker.catalog.components import components as catalogue
from stoker.catalog.gpus import gpu
from stoker.errors import UnknownNameError
from stoker.platform.check.finding import Finding, names_text, suggest
from stoker.platform.document import Platform
from stoker.platform.positions import Path, shown

__all__ = ["components", "references"]


def references(platform: Platform) -> Iterator[Finding]:
    """Tenants, pools, storage entries and models named elsewhere in the file."""
    # Dicts: ordered as the file is, and asked thousands of times.
    pools = dict.fromkeys(item.name for item in platform.pools)
    tenants = dict.fromkeys([item.name for item in platform.tenants] or ["inference"])
    storage = dict.fromkeys(item.name for item in platform.storage)
    models = dict.fromkeys(item.name for item in platform.models)
    for index, model in enumerate(platform.models):
        at: Path = ("models", index)
        yield from _exists((*at, "tenant"), "tenant", model.tenant, tenants)
        yield from _exists((*at, "pool"), "pool", model.pool, pools)
        yield from _exists((*at, "storage"), "storage entry", model.storage, storage)
    for index, tenant in enumerate(platform.tenants):
        if isinstance(tenant.quota.gpus, dict):
            for pool in tenant.quota.gpus:
                yield from _exists(("tenants", index, "quota", "gpus", pool), "pool", pool, pools)
    for index, graph in enumerate(platform.graphs):
        yield from _exists(("graphs", index, "tenant"), "tenant", graph.tenant, tenants)
        for number, step in enumerate(graph.steps):
            yield from _exists(("graphs", index, "steps", number, "model"), "model", step.model, models)
    yield from _priced_gpus(platform)


def _exists(path: Path, kind: str, name: str | None, known: Collection[str]) -> Iterator[Finding]:
    if name is not None and name not in known:
        yield Finding(
            path,
            f"no {kind} has that name",
            found=shown(name),
            wanted=names_text(known),
            fix=suggest(name, known),
        )


def _priced_gpus(platform: Platform) -> Iterator[Finding]:
    for name in platform.cost.usd_per_gpu_hour:
        try:
            gpu(name)
        except UnknownNameError as error:
            yield Finding(
                ("cost", "usdPerGpuHour", name),
                "the catalogue has no such GPU",
                found=shown(name),
                wanted="a type that `stoker catalog gpus` lists",
                fix=error.fix,
            )


def components(platform: Platform) -> Iterator[Finding]:
    """Components that the catalogue has a pinned version of."""
    known = dict.fromkeys(item.name for item in catalogue())
    for name in platform.components.versions:
        yield from _exists(("components", "versions", name), "component", name, known)
    for index, name in enumerate(platform.components.installed):
        yield from _exists(("components", "installed", index), "component", name, known)
