"""Every object that brings weights to nodes."""

from stoker.sizing.resolved import ResolvedPlatform, ResolvedTenant
from stoker.upgrades.objects import PLATFORM_NAMESPACE, Emitted
from stoker.upgrades.storage.cache import compile_model_cache
from stoker.upgrades.storage.claims import compile_claims
from stoker.upgrades.storage.deliveries import versions
from stoker.upgrades.storage.nvme import compile_nvme
from stoker.upgrades.storage.tools import program_config_map

__all__ = ["compile_storage"]


def compile_storage(platform: ResolvedPlatform) -> list[Emitted]:
    """Claims, copy Jobs, NVMe stagers and model caches of every model and canary."""
    stagers = compile_nvme(platform)
    copied: dict[str, ResolvedTenant] = {
        version.model.namespace: version.model.tenant
        for version in versions(platform)
        if version.delivery.copy
    }
    programs = [program_config_map(platform, namespace, tenant) for namespace, tenant in copied.items()]
    if stagers:
        programs.append(program_config_map(platform, PLATFORM_NAMESPACE, None))
    return [*programs, *compile_claims(platform), *stagers, *compile_model_cache(platform)]
