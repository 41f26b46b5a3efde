"""What every compiler emits: a plain Kubernetes object with its upgrade, its wave and the reason it exists."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final

from stoker.sizing.names import MODEL_LABEL
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform, ResolvedTenant

__all__ = [
    "MANAGED_BY",
    "MODEL_LABEL",
    "PLATFORM_NAMESPACE",
    "TENANT_LABEL",
    "Emitted",
    "Object",
    "Upgrade",
    "Wave",
    "compact",
    "emit",
    "labels_for",
    "merge",
    "ordered",
]

Object = dict[str, Any]

MANAGED_BY: Final = "stoker"
TENANT_LABEL: Final = "stoker.dev/tenant"
UPGRADE_LABEL: Final = "stoker.dev/upgrade"
WAVE_ANNOTATION: Final = "stoker.dev/wave"
REASON_ANNOTATION: Final = "stoker.dev/reason"
ARGOCD_WAVE_ANNOTATION: Final = "argocd.argoproj.io/sync-wave"
PLATFORM_NAMESPACE: Final = "stoker-system"  # platform-wide objects that need a namespace of their own


class Upgrade(StrEnum):
    """The upgrade an object belongs to; ``storage`` serves upgrade 2, ``components`` all of them."""

    SCHEDULING = "scheduling"
    SERVING = "serving"
    AUTOSCALING = "autoscaling"
    TENANCY = "tenancy"
    OBSERVABILITY = "observability"
    STORAGE = "storage"
    COMPONENTS = "components"


class Wave(IntEnum):
    """Order of application: every object of a wave stands before the next wave begins."""

    COMPONENTS = 0
    NAMESPACES = 1
    POLICY = 2
    STORAGE = 3
    RUNTIMES = 4
    WORKLOADS = 5
    ROUTING = 6
    SCALING = 7
    OBSERVABILITY = 8


@dataclass(frozen=True, slots=True)
class Emitted:
    """One object of the compiled platform.

    Attributes:
        upgrade: which of the five upgrades wants it.
        wave: when it is applied.
        reason: one line that says why it exists (`stoker render --explain`).
        group: where a reviewer finds it: ``cluster``, ``tenants/<namespace>`` or ``models/<model>``.
        object: the plain Kubernetes mapping.
    """

    upgrade: Upgrade
    wave: Wave
    reason: str
    group: str
    object: Object

    @property
    def key(self) -> tuple[str, str, str, str]:
        """apiVersion, kind, namespace (or empty), name: unique over a platform."""
        metadata = self.object["metadata"]
        return (
            self.object["apiVersion"],
            self.object["kind"],
            metadata.get("namespace", ""),
            metadata["name"],
        )


def labels_for(
    platform: ResolvedPlatform,
    upgrade: Upgrade,
    *,
    tenant: ResolvedTenant | None = None,
    model: ResolvedModel | None = None,
) -> dict[str, str]:
    """The standard labels (kubernetes.io/docs/concepts/overview/working-with-objects/common-labels)."""
    labels = {
        "app.kubernetes.io/managed-by": MANAGED_BY,
        "app.kubernetes.io/part-of": platform.spec.name,
        UPGRADE_LABEL: upgrade.value,
    }
    if tenant is not None:
        labels[TENANT_LABEL] = tenant.spec.name
    if model is not None:
        labels["app.kubernetes.io/name"] = model.release.engine
        labels["app.kubernetes.io/instance"] = model.spec.name
        labels[MODEL_LABEL] = model.spec.name
        labels[TENANT_LABEL] = model.tenant.spec.name
    return labels


def emit(
    platform: ResolvedPlatform,
    upgrade: Upgrade,
    wave: Wave,
    reason: str,
    obj: Mapping[str, Any],
    *,
    tenant: ResolvedTenant | None = None,
    model: ResolvedModel | None = None,
) -> Emitted:
    """Finish an object: standard labels, wave and reason annotations, None values dropped.

    Labels and annotations that ``obj`` already carries win over the standard ones.
    """
    metadata = dict(obj["metadata"])
    metadata["labels"] = {
        **labels_for(platform, upgrade, tenant=tenant, model=model),
        **metadata.get("labels", {}),
    }
    metadata["annotations"] = {
        WAVE_ANNOTATION: str(int(wave)),
        REASON_ANNOTATION: reason,
        ARGOCD_WAVE_ANNOTATION: str(int(wave)),
        **metadata.get("annotations", {}),
    }
    if model is not None:
        group = f"models/{model.spec.name}"
    elif tenant is not None:
        group = f"tenants/{tenant.namespace}"
    else:
        group = "cluster"
    return Emitted(upgrade, wave, reason, group, compact({**obj, "metadata": metadata}))


def compact(value: Any) -> Any:
    """Drop None values of mappings, at every depth; empty mappings and lists stay, they mean something."""
    if isinstance(value, Mapping):
        return {key: compact(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [compact(item) for item in value]
    return value


def merge(*parts: Mapping[str, Any]) -> Object:
    """Merge mappings; nested mappings merge, lists are concatenated, later scalars win."""
    result: Object = {}
    for part in parts:
        for key, value in part.items():
            old = result.get(key)
            if isinstance(old, dict) and isinstance(value, Mapping):
                result[key] = merge(old, value)
            elif isinstance(old, list) and isinstance(value, list | tuple):
                result[key] = [*old, *value]
            else:
                result[key] = value
    return result


def ordered(objects: Iterable[Emitted]) -> list[Emitted]:
    """Wave by wave, then by group, kind and name: the order of files, of application, of every listing."""
    return sorted(objects, key=lambda item: (item.wave, item.group, item.object["kind"], item.key))
