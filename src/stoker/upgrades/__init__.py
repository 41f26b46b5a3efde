"""Five pure compilers, and storage beside them: a resolved platform in, Kubernetes objects out."""

from collections.abc import Callable
from typing import Final

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.autoscaling import compile_autoscaling
from stoker.upgrades.objects import Emitted, Upgrade, Wave, emit
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

# kubernetes creates these itself (pkg/controlplane/controller/systemnamespaces).
_ALWAYS_THERE: Final = frozenset(("default", "kube-system", "kube-public", "kube-node-lease"))


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
    return [*objects.values(), *_shared_namespaces(platform, list(objects.values()))]


def _shared_namespaces(platform: ResolvedPlatform, objects: list[Emitted]) -> list[Emitted]:
    """Namespaces of components (monitoring, kserve …) that objects of ours live in.

    A chart creates its namespace only when it is installed, and an object in a namespace that is not there is refused.
    Applying a bare Namespace takes nothing from one that stands already: no labels of its own, no rules.
    """
    own = {item.key[3] for item in objects if item.key[1] == "Namespace"}
    used = {item.key[2] for item in objects if item.key[2]}
    return [
        emit(
            platform,
            Upgrade.COMPONENTS,
            Wave.NAMESPACES,
            f"Objects of ours live in {name}; the component that owns it may come later",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        )
        for name in sorted(used - own - _ALWAYS_THERE)
    ]
