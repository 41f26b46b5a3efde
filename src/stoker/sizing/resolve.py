"""Platform in, every open question answered: pool, layout, names, bounds, targets. Pure; the one place that decides.

Order matters: pools and tenants first, then each model on its own, then what models take from one another (surge room,
quotas, capacity), and last the notes.
"""

from collections.abc import Iterable
from dataclasses import replace

from stoker.errors import InputError, Problem
from stoker.platform.document import Platform
from stoker.platform.models import Tier
from stoker.sizing.capacity import bin_packing, capacity_notes, capacity_problems, with_rollout
from stoker.sizing.model import resolve_model
from stoker.sizing.pools import resolve_pools
from stoker.sizing.resolved import Note, ResolvedModel, ResolvedPlatform, Severity
from stoker.sizing.tenants import gpu_quota, resolve_tenants

__all__ = ["resolve"]


def resolve(platform: Platform) -> ResolvedPlatform:
    """Resolve a checked platform.

    Raises:
        InputError: a model that fits nowhere, an unknown architecture, minimum replicas that no pool or quota holds; all
            such problems at once. Problems carry field paths; the caller adds file and line.
    """
    pools = resolve_pools(platform)
    tenants = resolve_tenants(platform)
    models: list[ResolvedModel] = []
    problems: list[Problem] = []
    for index, model in enumerate(platform.models):
        found = resolve_model(platform, model, f"models[{index}]", pools, tenants)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            models.append(found)
    if problems:
        raise InputError(problems)
    models = with_rollout(models, tenants, pools)
    tenants = {
        name: replace(
            tenant,
            gpu_quota=gpu_quota(tenant, [model for model in models if model.tenant.name == name], pools),
        )
        for name, tenant in tenants.items()
    }
    packing = bin_packing(platform, models, pools)
    by_name = {
        model.name: replace(
            model,
            tenant=tenants[model.tenant.name],
            scheduler_name="stoker-bin-packing" if packing else None,
        )
        for model in models
    }
    resolved = ResolvedPlatform(
        spec=platform, pools=pools, tenants=tenants, models=by_name, bin_packing=packing
    )
    problems = capacity_problems(resolved)
    if problems:
        raise InputError(problems)
    return replace(resolved, notes=(*capacity_notes(resolved), *_model_notes(by_name.values())))


def _model_notes(models: Iterable[ResolvedModel]) -> list[Note]:
    notes: list[Note] = []
    for index, model in enumerate(models):
        path = f"models[{index}]"
        notes += [Note(Severity.INFO, f"{path}.engine.version", text) for text in model.release.notes]
        if model.spec.tier is Tier.PRODUCTION and model.min_replicas < 2:
            notes.append(
                Note(
                    Severity.WARNING,
                    f"{path}.replicas",
                    f"{model.name} is in the production tier with one replica: a drain or a rollout is an outage",
                    "set replicas.min to 2",
                )
            )
        if model.min_replicas < model.max_replicas and not model.scaling.enabled:
            notes.append(
                Note(
                    Severity.WARNING,
                    f"{path}.replicas",
                    f"{model.name} stays at {model.min_replicas} replicas: autoscaling is off, or {model.release.engine} has no "
                    "metrics that it could follow",
                    "set replicas to one number, or name a broker or warm-up windows",
                )
            )
    return notes
