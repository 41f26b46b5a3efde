"""What a lab is made of, as the command line says it and as its process reads it."""

import msgspec

__all__ = ["LabOptions"]


class LabOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `stoker lab up`.

    Attributes:
        nodes: shapes such as ``48x8xA100-80GB``; used when the cluster has no nodes yet.
        platform: path of a platform file whose pools become nodes, instead; empty for none.
        device_plugin: whether GPUs are advertised without a device plugin that somebody installs.
        crds: whether the custom kinds of the five upgrades are there.
        metrics: whether Prometheus and Alertmanager run beside.
        speed: how much faster than the wall everything runs.
        port: of the API; 0 for any that is free.
    """

    nodes: tuple[str, ...] = ()
    platform: str = ""
    device_plugin: bool = True
    crds: bool = True
    metrics: bool = True
    speed: float = 1.0
    port: int = 0
