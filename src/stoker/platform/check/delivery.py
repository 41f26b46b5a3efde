"""Sources against storage: a storage entry can deliver some sources and not others."""

from collections.abc import Iterator
from typing import Final

from stoker.platform.base import bytes_of
from stoker.platform.check.finding import Finding, names_text
from stoker.platform.check.pools import shape_of
from stoker.platform.cluster import Pool
from stoker.platform.document import Platform
from stoker.platform.models import Model
from stoker.platform.positions import Path, shown
from stoker.platform.storage import NvmeStorage, Storage

__all__ = ["deliveries"]

# Kinds that take only sources of their own world; shared volumes and NVMe take a copy of anything.
_SCHEMES: Final = {
    "object-store": ("s3", "gs", "https"),
    "hub": ("hf", "modelscope"),
    "oci": ("oci",),
}


def deliveries(platform: Platform) -> Iterator[Finding]:
    """Each model's source, and its canary's, against the storage entry that delivers it."""
    staged = {pool.name for pool in platform.pools if _has_nvme(pool)}
    for index, model in enumerate(platform.models):
        at: Path = ("models", index)
        if model.source.startswith("pvc://") and model.storage is not None:
            yield Finding(
                (*at, "storage"),
                "the source is a volume that is there already, so no storage entry delivers it",
                found=shown(model.storage),
                wanted="no storage beside a pvc:// source",
                fix="delete storage, or name where the weights come from as source",
            )
            continue
        entry = _entry(platform, model)
        if entry is None:
            yield from _undecided(platform, at, model)
            continue
        named: Path = (*at, "storage") if model.storage else (*at, "source")
        yield from _scheme(named, model.source, entry)
        if model.canary is not None and model.canary.source is not None:
            yield from _scheme((*at, "canary", "source"), model.canary.source, entry)
        if isinstance(entry, NvmeStorage):
            yield from _nvme(platform, named, model, entry, staged)
    for index, model in enumerate(platform.models):
        for path, source in _sources(index, model):
            if "@" in source.partition("://")[2].partition("/")[0] and source.startswith("https://"):
                yield Finding(
                    path,
                    "the address holds credentials",
                    wanted="an address without user and password",
                    fix="keep them in a Secret and name it as the storage entry's credentials",
                )


def _sources(index: int, model: Model) -> Iterator[tuple[Path, str]]:
    yield ("models", index, "source"), model.source
    if model.canary is not None and model.canary.source is not None:
        yield ("models", index, "canary", "source"), model.canary.source
    for number, adapter in enumerate(model.lora):
        yield ("models", index, "lora", number, "source"), adapter.source


def _entry(platform: Platform, model: Model) -> Storage | None:
    if model.source.startswith("pvc://"):
        return None
    if model.storage is not None:
        return next((entry for entry in platform.storage if entry.name == model.storage), None)
    return platform.storage[0] if len(platform.storage) == 1 else None


def _undecided(platform: Platform, at: Path, model: Model) -> Iterator[Finding]:
    if (
        model.storage is None
        and len(platform.storage) > 1
        and not model.source.startswith(("pvc://", "oci://"))
    ):
        yield Finding(
            at,
            f"model {model.name} names no storage, and there are {len(platform.storage)} entries",
            wanted=names_text(entry.name for entry in platform.storage),
            fix=f"add `storage: {platform.storage[0].name}`",
        )


def _scheme(path: Path, source: str, entry: Storage) -> Iterator[Finding]:
    scheme = source.partition("://")[0]
    wanted = _SCHEMES.get(entry.kind)
    if scheme == "pvc" or wanted is None or scheme in wanted:
        return
    schemes = ", ".join(f"{item}://" for item in wanted)
    yield Finding(
        path,
        f"storage {entry.name} is of kind {entry.kind}, which cannot deliver a {scheme}:// source",
        found=f"{scheme}://…",
        wanted=f"a source that begins with {schemes}",
        fix="name another storage entry (nfs, csi and nvme take a copy of any source)",
    )


def _has_nvme(pool: Pool) -> bool:
    if pool.local_nvme is not None:
        return bytes_of(pool.local_nvme) > 0
    shape = shape_of(pool)
    return shape is not None and shape.local_nvme_gb > 0


def _nvme(
    platform: Platform, path: Path, model: Model, entry: NvmeStorage, staged: set[str]
) -> Iterator[Finding]:
    pools = [pool.name for pool in platform.pools if model.pool in (None, pool.name)]
    if not pools or not staged.isdisjoint(pools):
        return
    where = f"pool {model.pool} has none" if model.pool else "no pool has any"
    yield Finding(
        path,
        f"storage {entry.name} stages weights on local NVMe, and {where}",
        fix="add localNvme to the pool, such as `localNvme: 7Ti`, or name another storage entry",
    )
