"""Five pure compilers, and storage beside them: a resolved platform in, Kubernetes objects out."""

from collections.abc import Callable
from typing import Final

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.autoscaling import compile_autoscaling
from stoker.upgrades.objects import Emitted
from stoker.upgrades.observability import compile_observability
from stoker.upgrades.scheduling import compile_scheduling
from stoker.upgrades.serving import compile_serving
from stoker.upgrades.storage import compile_storage
from stoker.upgrades.tenancy import compile_tenancy

__all__ = ["compile_platform"]

_COMPILERS: Final[tuple[Callable[[ResolvedPlatform], list[Emitted]], ...]] = (
    compile_tenancy,
    compile_scheduling,
    compile_storage,
    compile_serving,
    compile_autoscaling,
    compile_observability,
)


def compile_platform(platform: ResolvedPlatform) -> list[Emitted]:
    """Every object of the platform. Two compilers never emit one object: that would be two owners of it.

    Raises:
        ValueError: a defect of Stoker: two compilers emitted the same object.
    """
    objects: dict[tuple[str, str, str, str], Emitted] = {}
    for compiler in _COMPILERS:
        for item in compiler(platform):
            if item.key in objects:
                raise ValueError(f"{item.key} is emitted by {objects[item.key].upgrade} and {item.upgrade}")
            objects[item.key] = item
    return list(objects.values())
