"""`stoker catalog`: what Stoker knows, each figure with its source."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from stoker.cli.output import Output, OutputOption, print_json, table

__all__ = ["Kind", "catalog"]


class Kind(StrEnum):
    GPUS = "gpus"
    SHAPES = "shapes"
    MODELS = "models"
    ENGINES = "engines"
    COMPONENTS = "components"


def catalog(
    kind: Annotated[Kind, typer.Argument(help="What to list.", show_default=False)],
    name: Annotated[str, typer.Argument(help="One entry, with sources.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """List the GPUs, node shapes, models, engines and components that Stoker knows.

    Examples:

        stoker catalog gpus

        stoker catalog gpus A100-SXM-80GB --output json

        stoker catalog models
    """
    from dataclasses import asdict

    entries = _LISTS[kind]()
    if name:
        entry = _entry(kind, name)
        print_json(_plain(asdict(entry)))
        return
    if output is Output.JSON:
        print_json([_plain(asdict(entry)) for entry in entries])
        return
    columns, row = _TABLES[kind]
    table(columns, [row(entry) for entry in entries])


def _entry(kind: Kind, name: str) -> Any:
    from stoker.catalog import components, engines, gpus, models

    find: dict[Kind, Callable[[str], Any]] = {
        Kind.GPUS: gpus.gpu,
        Kind.SHAPES: gpus.node_shape,
        Kind.MODELS: models.model,
        Kind.ENGINES: engines.engine,
        Kind.COMPONENTS: components.component,
    }
    return find[kind](name)


def _gpus() -> list[Any]:
    from stoker.catalog.gpus import gpus

    return list(gpus().values())


def _shapes() -> list[Any]:
    from stoker.catalog.gpus import node_shapes

    return list(node_shapes())


def _models() -> list[Any]:
    from stoker.catalog.models import models

    return list(models().values())


def _engines() -> list[Any]:
    from stoker.catalog.engines import engines

    return list(engines())


def _components() -> list[Any]:
    from stoker.catalog.components import components

    return list(components())


_LISTS: dict[Kind, Callable[[], list[Any]]] = {
    Kind.GPUS: _gpus,
    Kind.SHAPES: _shapes,
    Kind.MODELS: _models,
    Kind.ENGINES: _engines,
    Kind.COMPONENTS: _components,
}

_TABLES: dict[Kind, tuple[tuple[str, ...], Callable[[Any], tuple[object, ...]]]] = {
    Kind.GPUS: (
        ("gpu", "usable GiB", "GB/s", "dense BF16 TFLOPS", "interconnect", "$/GPU-hour from"),
        lambda gpu: (
            gpu.name,
            f"{gpu.memory_gib:.2f}",
            gpu.bandwidth_gb_s,
            gpu.tflops.get("bf16", ""),
            gpu.interconnect.kind,
            f"{min(price.usd_per_gpu_hour for price in gpu.prices):.2f}" if gpu.prices else "",
        ),
    ),
    Kind.SHAPES: (
        ("provider", "shape", "gpu", "gpus", "vcpus", "GiB", "NVMe GB", "$/hour"),
        lambda shape: (
            shape.provider,
            shape.name,
            shape.gpu,
            shape.gpus,
            shape.vcpus,
            shape.memory_gib,
            shape.local_nvme_gb,
            "" if shape.usd_per_hour is None else f"{shape.usd_per_hour:.2f}",
        ),
    ),
    Kind.MODELS: (
        ("model", "parameters", "active", "layers", "attention", "KV heads", "context", "published in"),
        lambda model: (
            model.name,
            f"{model.parameters / 1e9:.1f} B",
            f"{model.active_parameters / 1e9:.1f} B",
            model.layers,
            model.attention.value,
            model.kv_heads,
            model.max_context,
            model.dtype,
        ),
    ),
    Kind.ENGINES: (
        ("engine", "pinned", "status", "releases read"),
        lambda engine: (engine.name, engine.default_version, engine.status, ", ".join(engine.releases)),
    ),
    Kind.COMPONENTS: (
        ("component", "version", "namespace", "why"),
        lambda item: (item.name, item.version, item.namespace, item.why),
    ),
}


def _plain(value: Any) -> Any:
    """Dataclass fields as JSON values."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
