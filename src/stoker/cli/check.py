"""`stoker check`: is the platform file right, and what does it come to?"""

from typing import TYPE_CHECKING, Any

from stoker.cli.output import Output, OutputOption, print_json, table
from stoker.cli.platform_file import FileArgument, print_notes, read_platform

if TYPE_CHECKING:
    from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform

__all__ = ["check"]


def check(file: FileArgument, output: OutputOption = Output.TEXT) -> None:
    """Check a platform file and show what each model was resolved to. Changes nothing.

    Examples:

        stoker check platform.yaml

        stoker check platform.yaml --output json | jq '.models[].gpus_per_replica'
    """
    platform = read_platform(file)
    if output is Output.JSON:
        print_json(_summary(platform))
        return
    table(
        ("model", "tenant", "pool", "mode", "engine", "layout", "GPUs", "replicas", "sequences", "ready in"),
        [_row(model) for model in platform.models.values()],
    )
    print_notes(platform.notes)


def _layout(model: "ResolvedModel") -> str:
    parts = [("TP", model.tensor), ("PP", model.pipeline), ("DP", model.data)]
    return " ".join(f"{name}{count}" for name, count in parts if count > 1 or name == "TP")


def _row(model: "ResolvedModel") -> list[object]:
    return [
        model.name,
        model.tenant.name,
        model.pool.name,
        model.mode.value,
        f"{model.release.engine} {model.release.version}",
        _layout(model),
        model.gpus_per_replica,
        f"{model.min_replicas}-{model.max_replicas}",
        model.max_sequences,
        f"{model.startup_seconds} s",
    ]


def _summary(platform: "ResolvedPlatform") -> dict[str, Any]:
    return {
        "platform": platform.spec.name,
        "models": [
            {
                "name": model.name,
                "tenant": model.tenant.name,
                "pool": model.pool.name,
                "mode": model.mode.value,
                "engine": model.release.engine,
                "engine_version": model.release.version,
                "tensor_parallel": model.tensor,
                "pipeline_parallel": model.pipeline,
                "data_parallel": model.data,
                "gpu_resource": model.slice.resource,
                "gpus_per_replica": model.gpus_per_replica,
                "min_replicas": model.min_replicas,
                "max_replicas": model.max_replicas,
                "kv_tokens": model.kv_tokens,
                "max_sequences": model.max_sequences,
                "startup_seconds": model.startup_seconds,
                "startup_basis": model.startup_basis,
            }
            for model in platform.models.values()
        ],
        "notes": [
            {"severity": note.severity.value, "path": note.path, "message": note.message, "fix": note.fix}
            for note in platform.notes
        ],
    }
