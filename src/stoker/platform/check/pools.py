"""Node pools against the catalogue: GPU, shape, sharing."""

from collections.abc import Iterator

from stoker.catalog.gpus import Gpu, NodeShape, gpu, node_shape
from stoker.catalog.kubernetes import kubernetes_minor
from stoker.errors import UnknownNameError
from stoker.platform.check.finding import Finding, names_text, suggest
from stoker.platform.cluster import GpuAllocation, Pool, SharingMode
from stoker.platform.document import Platform
from stoker.platform.positions import Path, shown

__all__ = ["allocation", "gpu_of", "pools", "shape_of"]

# Room for rounding of the catalogue's usable memory per slice.
_MEMORY_SLACK_GIB = 1.0


def gpu_of(pool: Pool) -> Gpu | None:
    """The pool's GPU type, None where the file names none that the catalogue holds."""
    shape = shape_of(pool)
    name = pool.gpu or (shape.gpu if shape else None)
    try:
        return gpu(name) if name else None
    except UnknownNameError:
        return None


def shape_of(pool: Pool) -> NodeShape | None:
    """The pool's cloud instance type, None where there is none that the catalogue holds."""
    try:
        return node_shape(pool.shape) if pool.shape else None
    except UnknownNameError:
        return None


def pools(platform: Platform) -> Iterator[Finding]:
    """Every pool by itself."""
    for index, pool in enumerate(platform.pools):
        at: Path = ("pools", index)
        yield from _hardware(at, pool)
        yield from _sharing(at, pool)
        if pool.max_nodes is not None and pool.max_nodes < pool.nodes:
            yield Finding(
                (*at, "maxNodes"),
                "is less than nodes",
                found=str(pool.max_nodes),
                wanted=f"at least {pool.nodes}",
            )


def _hardware(at: Path, pool: Pool) -> Iterator[Finding]:
    if pool.gpu is None and pool.shape is None:
        yield Finding(
            at,
            f"pool {pool.name} names neither gpu nor shape",
            fix="add `gpu: A100-SXM-80GB` or `shape: p4de.24xlarge`",
        )
        return
    for key, name, known in (("gpu", pool.gpu, gpu_of(pool)), ("shape", pool.shape, shape_of(pool))):
        if name is not None and known is None:
            yield from _unknown(at, key, name)
    kind, shape = gpu_of(pool), shape_of(pool)
    if kind is None or shape is None:
        return
    if pool.gpu is not None and gpu(shape.gpu).name != kind.name:
        yield Finding(
            (*at, "gpu"),
            f"{shape.name} has {shape.gpu}",
            found=shown(pool.gpu),
            wanted=shape.gpu,
            fix="delete gpu: the shape says it",
        )
    if pool.gpus_per_node is not None and pool.gpus_per_node != shape.gpus:
        yield Finding(
            (*at, "gpusPerNode"),
            f"{shape.name} has {shape.gpus} GPUs",
            found=str(pool.gpus_per_node),
            wanted=str(shape.gpus),
            fix="delete gpusPerNode: the shape says it",
        )


def _unknown(at: Path, key: str, name: str) -> Iterator[Finding]:
    try:
        _ = gpu(name) if key == "gpu" else node_shape(name)
    except UnknownNameError as error:
        what, command = ("GPU", "gpus") if key == "gpu" else ("instance type", "shapes")
        yield Finding(
            (*at, key),
            f"the catalogue has no such {what}",
            found=shown(name),
            wanted=f"a name that `stoker catalog {command}` lists",
            fix=error.fix,
        )


def _sharing(at: Path, pool: Pool) -> Iterator[Finding]:
    sharing = pool.sharing
    if sharing.mode is not SharingMode.MIG:
        if sharing.mig_profiles:
            yield Finding(
                (*at, "sharing", "migProfiles"),
                f"MIG profiles in sharing mode {sharing.mode.value}",
                wanted="mode: mig",
                fix="set mode to mig, or delete migProfiles",
            )
        return
    kind = gpu_of(pool)
    if kind is None:
        return
    if not kind.mig:
        yield Finding(
            (*at, "sharing", "mode"),
            f"{kind.name} has no MIG",
            found="mig",
            wanted="none, time-slicing or mps",
        )
        return
    if not sharing.mig_profiles:
        example = kind.mig[0]
        yield Finding(
            (*at, "sharing"),
            "mode mig without migProfiles",
            wanted=f"profiles of {kind.name}: {names_text(item.name for item in kind.mig)}",
            fix=f"add `migProfiles: {{{example.name}: {example.max_per_gpu}}}`",
        )
        return
    yield from _profiles(at, kind, sharing.mig_profiles)


def _profiles(at: Path, kind: Gpu, wanted: dict[str, int]) -> Iterator[Finding]:
    offered = {item.name: item for item in kind.mig}
    path = (*at, "sharing", "migProfiles")
    for name, count in wanted.items():
        profile = offered.get(name)
        if profile is None:
            yield Finding(
                (*path, name),
                f"{kind.name} has no such MIG profile",
                found=shown(name),
                wanted=names_text(offered),
                fix=suggest(name, offered),
            )
        elif count > profile.max_per_gpu:
            yield Finding(
                (*path, name),
                f"one {kind.name} holds {profile.max_per_gpu} of {name}",
                found=str(count),
                wanted=f"at most {profile.max_per_gpu}",
            )
    if any(name not in offered for name in wanted):
        return
    # The largest profile is the whole GPU: its compute slices are all there are.
    compute = max(item.compute_slices for item in kind.mig)
    asked = sum(offered[name].compute_slices * count for name, count in wanted.items())
    memory = sum(offered[name].memory_gib * count for name, count in wanted.items())
    single = len(wanted) == 1 and any(count > offered[name].max_per_gpu for name, count in wanted.items())
    if asked > compute and not single:
        yield Finding(
            path,
            f"together they take {asked} compute slices",
            found=_text(wanted),
            wanted=f"at most {compute} on one {kind.name}",
        )
    elif memory > kind.memory_gib + _MEMORY_SLACK_GIB and not single:
        yield Finding(
            path,
            f"together they take {memory:.0f} GiB of memory",
            found=_text(wanted),
            wanted=f"at most the {kind.memory_gib:.0f} GiB of one {kind.name}",
        )


def _text(profiles: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in profiles.items())


def allocation(platform: Platform) -> Iterator[Finding]:
    """DRA claims whole devices here; shared ones would need a driver's own configuration objects."""
    if platform.cluster.gpu_allocation is not GpuAllocation.DRA:
        return
    if not kubernetes_minor(platform.cluster.version).dra_versions:
        yield Finding(
            ("cluster", "gpuAllocation"),
            f"Kubernetes {platform.cluster.version} serves no resource.k8s.io API without extra flags",
            found="dra",
            wanted="device-plugin, or version 1.34 and later",
            fix="set cluster.gpuAllocation to device-plugin",
        )
    for index, pool in enumerate(platform.pools):
        if pool.sharing.mode is not SharingMode.NONE:
            yield Finding(
                ("pools", index, "sharing", "mode"),
                "cluster.gpuAllocation is dra, which hands out whole GPUs here",
                found=pool.sharing.mode.value,
                wanted="none",
                fix="set cluster.gpuAllocation to device-plugin, or sharing to none",
            )
