"""How a model's weights reach the engine: which volume, which URI, copied by whom."""

from typing import Final

from stoker.platform.document import Platform
from stoker.platform.models import Model
from stoker.platform.serving import ServingMode
from stoker.platform.storage import (
    CsiStorage,
    HubStorage,
    NfsStorage,
    NvmeStorage,
    ObjectStorage,
    OciStorage,
    Storage,
)
from stoker.sizing.resolved import Delivery, DeliveryKind

__all__ = ["MODEL_MOUNT", "resolve_delivery"]

# Where KServe's storage initializer and its pvc:// volumes put the model (kserve v0.20.0 pkg/constants/constants.go
# DefaultModelLocalMountPath); the plain Deployment uses the same path so that arguments do not depend on the mode.
MODEL_MOUNT: Final = "/mnt/models"

_KSERVE: Final = frozenset((ServingMode.STANDARD, ServingMode.KNATIVE, ServingMode.LLM_INFERENCE_SERVICE))


def storage_entry(platform: Platform, model: Model) -> Storage | None:
    """The entry a model uses: the one it names, else the only one, else none. pvc:// sources need none."""
    if model.source.startswith("pvc://"):
        return None
    if model.storage is not None:
        return next(entry for entry in platform.storage if entry.name == model.storage)
    return platform.storage[0] if len(platform.storage) == 1 else None


def resolve_delivery(
    platform: Platform, model: Model, source: str, *, mode: ServingMode, version: str
) -> Delivery:
    """Decide the delivery of ``source`` (the model's own, or its canary's).

    Args:
        platform: the document.
        model: the model whose storage entry is used.
        source: URI of the weights.
        mode: resolved serving mode.
        version: directory of this version within a shared volume, e.g. ``llama3-70b`` or ``llama3-70b-canary``.
    """
    if source.startswith("pvc://"):
        claim, _, path = source.removeprefix("pvc://").partition("/")
        return _delivery(DeliveryKind.PVC, source, source, claim=claim, sub_path=path)
    entry = storage_entry(platform, model)
    if isinstance(entry, NfsStorage | CsiStorage):
        claim = f"{entry.name}-weights"
        uri = f"pvc://{claim}/{version}"
        return _delivery(DeliveryKind.PVC, source, uri, claim=claim, sub_path=version, copy=True, entry=entry)
    if isinstance(entry, NvmeStorage):
        claim = f"{version}-nvme"
        uri = f"pvc://{claim}/"
        return _delivery(DeliveryKind.NVME, source, uri, claim=claim, sub_path="", copy=True, entry=entry)
    if isinstance(entry, ObjectStorage | HubStorage) and entry.cache and mode in _KSERVE:
        return _delivery(DeliveryKind.LOCAL_CACHE, source, source, entry=entry)
    if isinstance(entry, OciStorage) or source.startswith("oci://"):
        native = entry.native if isinstance(entry, OciStorage) else None
        if native is None:
            native = int(platform.cluster.version.split(".")[1]) >= 36  # image volumes are GA in 1.36
        uri = source.replace("oci://", "oci+native://", 1) if native else source
        return _delivery(DeliveryKind.OCI, source, uri, entry=entry)
    if source.startswith(("hf://", "modelscope://")):
        return _delivery(DeliveryKind.HUB, source, source, entry=entry)
    return _delivery(DeliveryKind.OBJECT_STORE, source, source, entry=entry)


def _delivery(
    kind: DeliveryKind,
    source: str,
    serve_uri: str,
    *,
    claim: str = "",
    sub_path: str = "",
    copy: bool = False,
    entry: Storage | None = None,
) -> Delivery:
    return Delivery(
        kind=kind,
        source=source,
        serve_uri=serve_uri,
        claim=claim,
        sub_path=sub_path,
        mount_path=MODEL_MOUNT,
        copy=copy,
        entry=entry,
    )
