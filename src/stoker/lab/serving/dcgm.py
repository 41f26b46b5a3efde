"""NVIDIA's DCGM exporter of one node: what it would say of the GPUs there.

Labels and families as its text format has them (NVIDIA/dcgm-exporter, internal/pkg/rendermetrics; field names and types from its
etc/default-counters.csv, through the catalogue). Utilisation, memory and the last XID are the emulated engines' own. The shares
within a busy second, temperature and power follow the utilisation in straight lines that are assumed (`_ASSUMED`): dashboards have
something to draw, and nothing may be concluded from it. Of clocks and links the lab says nothing.
"""

import re
from collections.abc import Callable
from typing import Final

from stoker.lab.serving.devices import Device
from stoker.lab.serving.exposition import labelled

__all__ = ["Exporter", "model_name"]

_MIB_PER_GIB: Final = 1024
_FAMILIES: Final = (
    ("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %)."),
    ("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB)."),
    ("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB)."),
    ("DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error encountered."),
    ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "Ratio of time the graphics engine is active."),
    ("DCGM_FI_PROF_SM_ACTIVE", "The ratio of cycles an SM has at least 1 warp assigned."),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "Ratio of cycles the tensor (HMMA) pipe is active."),
    (
        "DCGM_FI_PROF_DRAM_ACTIVE",
        "Ratio of cycles the device memory interface is active sending or receiving data.",
    ),
    ("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C)."),
    ("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W)."),
    ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "Number of remapped rows for uncorrectable errors."),
    ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "Whether remapping of rows has failed."),
)
# Idle, and what a GPU that is busy all the time has more. Not measured; of the size that an A100 in decode shows.
_ASSUMED: Final = {
    "DCGM_FI_PROF_SM_ACTIVE": (0.0, 0.8),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": (0.0, 0.25),
    "DCGM_FI_PROF_DRAM_ACTIVE": (0.0, 0.6),
    "DCGM_FI_DEV_GPU_TEMP": (34.0, 32.0),
    "DCGM_FI_DEV_POWER_USAGE": (62.0, 260.0),
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": (0.0, 0.0),
    "DCGM_FI_DEV_ROW_REMAP_FAILURE": (0.0, 0.0),
}
_COUNTERS: Final = frozenset(("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",))


def model_name(product: str) -> str:
    """NVML's name from GFD's label, which has hyphens for spaces: ``NVIDIA A100-SXM4-80GB``, ``NVIDIA H100 80GB HBM3``."""
    words = product.replace("-", " ")
    return re.sub(r"\b([AV]100) (SXM\d?|PCIE) (\d+GB)", r"\1-\2-\3", words)


class Exporter:
    """Reads the GPUs every ``interval`` seconds of the lab, as the real one does, and answers with what it read last."""

    def __init__(
        self, node: str, devices: Callable[[], list[Device]], now: Callable[[], float], interval: float
    ) -> None:
        self._node, self._devices, self._now, self._interval = node, devices, now, interval
        self._read_at = now()
        self._busy: dict[str, float] = {}
        self._share: dict[str, float] = {}

    def _sample(self) -> None:
        now = self._now()
        since = now - self._read_at
        if since < self._interval and self._busy:
            return
        for device in self._devices():
            busy = device.busy()
            before = self._busy.get(device.uuid, busy)
            self._busy[device.uuid] = busy
            self._share[device.uuid] = min(1.0, max(0.0, (busy - before) / since)) if since > 0 else 0.0
        self._read_at = now

    def page(self) -> bytes:
        """The exporter's page."""
        self._sample()
        devices = self._devices()
        lines: list[str] = []
        for name, about in _FAMILIES:
            kind = "counter" if name in _COUNTERS else "gauge"
            lines.append(f"# HELP {name} {about}\n# TYPE {name} {kind}\n")
            lines += [
                f"{name}{labels} {self._value(name, device)}\n"
                for device in devices
                for labels in self._labels(device)
            ]
        return "".join(lines).encode()

    def _value(self, name: str, device: Device) -> str:
        share = self._share.get(device.uuid, 0.0)
        if name in _ASSUMED:
            idle, more = _ASSUMED[name]
            return f"{idle + more * share:.6f}"
        used = round(device.used_gib * _MIB_PER_GIB)
        values = {
            "DCGM_FI_DEV_GPU_UTIL": f"{round(100 * share)}",
            "DCGM_FI_DEV_FB_FREE": f"{max(0, round(device.model.memory_gib * _MIB_PER_GIB) - used)}",
            "DCGM_FI_DEV_FB_USED": f"{used}",
            "DCGM_FI_DEV_XID_ERRORS": f"{device.xid}",
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE": f"{share:.6f}",
        }
        return values[name]

    def _labels(self, device: Device) -> list[str]:
        """One row for a GPU; one for each pod where several share it."""
        base = {
            "gpu": str(device.index),
            "UUID": device.uuid,
            "pci_bus_id": f"00000000:{device.index + 4:02X}:00.0",
            "device": f"nvidia{device.index}",
            "modelName": model_name(device.model.product_labels[0]),
            "Hostname": self._node,
        }
        holders = list(device.holders.values())
        if not holders:
            return [labelled({**base, "container": "", "namespace": "", "pod": ""})]
        return [
            labelled({**base, "container": each.container, "namespace": each.namespace, "pod": each.pod})
            for each in holders
        ]
