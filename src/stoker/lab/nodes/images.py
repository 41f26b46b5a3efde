"""Images on nodes, and the registry that all nodes pull from: ten pulls at once slow each other.

The same arithmetic as `twin.fleet.transfers` (processor sharing), asked by time instead of driven by an agenda. Layers that
images share are not modelled: an image is on a node, or it is pulled whole.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Registry", "go_duration", "image_bytes"]

_MB = 1e6
# An engine's image: the twin's figure (10 GB in 69 s over one connection: llm-d guides, "cold start"). The others are the
# sizes that registries show for these images, rounded; an unknown one is taken for a service in Python.
_ENGINE = re.compile(r"vllm|sglang|triton|huggingfaceserver|text-generation-inference|nemo|pytorch|cuda")
_ENGINE_BYTES = 10e9
_SIZES = {
    "pause": 0.3 * _MB,
    "busybox": 2.2 * _MB,
    "alpine": 3.6 * _MB,
    "curl": 10 * _MB,
    "nginx": 72 * _MB,
    "kube-scheduler": 20 * _MB,
    "k8s-device-plugin": 120 * _MB,
}
_UNKNOWN_BYTES = 300 * _MB
# One connection, and what all nodes share: as the twin has it.
_EACH = 10e9 / 69
_TOTAL = 12.5e9
# Asking the registry what a tag means, for an image that is there (imagePullPolicy Always).
_ASK_S = 0.3


def image_bytes(image: str) -> float:
    name = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    if name in _SIZES:
        return _SIZES[name]
    return _ENGINE_BYTES if _ENGINE.search(image) else _UNKNOWN_BYTES


def go_duration(seconds: float) -> str:
    """A duration as Go prints it, in milliseconds: ``1.234s``, ``1m9.3s``, ``350ms``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    whole, rest = divmod(round(seconds, 3), 60)
    text = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(int(whole), 60)
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text


@dataclass(slots=True)
class _Pull:
    left: float
    began_s: float
    waiting: set[tuple[str, str]] = field(default_factory=set)


class Registry:
    """One registry. Keys are (node, image); pods that wait for the same image on a node share a pull."""

    def __init__(
        self, *, each: float = _EACH, total: float = _TOTAL, sizes: Mapping[str, float] | None = None
    ) -> None:
        """Bytes per second of one pull and of all together; ``sizes`` by image, before what is known of names."""
        self._each, self._total = each, total
        self._sizes = dict(sizes or {})
        self._pulls: dict[tuple[str, str], _Pull] = {}
        self._there: dict[tuple[str, str], float] = {}
        self._since = 0.0

    def size(self, image: str) -> float:
        return self._sizes.get(image, image_bytes(image))

    def has(self, node: str, image: str) -> bool:
        return (node, image) in self._there

    def put(self, node: str, image: str) -> None:
        """The image is on the node already."""
        self._there[node, image] = 0.0

    def images_of(self, node: str) -> list[str]:
        return [image for name, image in self._there if name == node]

    def drop_node(self, node: str) -> None:
        self._there = {key: value for key, value in self._there.items() if key[0] != node}
        self._pulls = {key: value for key, value in self._pulls.items() if key[0] != node}

    def pull(self, node: str, image: str, pod: tuple[str, str], now: float) -> None:
        """A pod needs an image that the node lacks."""
        self._settle(now)
        pull = self._pulls.get((node, image))
        if pull is None:
            pull = self._pulls[node, image] = _Pull(self.size(image) + _ASK_S * self._each, now)
        pull.waiting.add(pod)

    def took_s(self, node: str, image: str) -> float:
        """How long the pull of an image took."""
        return self._there.get((node, image)) or _ASK_S

    def arrived(self, now: float) -> list[tuple[str, str]]:
        """Pods whose image has come since this was last asked."""
        self._settle(now)
        # A byte is the tolerance for rounding.
        done = [key for key, pull in self._pulls.items() if pull.left <= 1.0]
        pods: list[tuple[str, str]] = []
        for key in done:
            pull = self._pulls.pop(key)
            self._there[key] = now - pull.began_s
            pods += sorted(pull.waiting)
        return pods

    def due_s(self, now: float) -> float | None:
        """Seconds until the next pull is done."""
        self._settle(now)
        if not self._pulls:
            return None
        least = min(pull.left for pull in self._pulls.values())
        return max(0.0, least) / self._rate() + 0.001

    def _rate(self) -> float:
        return min(self._each, self._total / max(1, len(self._pulls)))

    def _settle(self, now: float) -> None:
        read = (now - self._since) * self._rate()
        self._since = now
        if read > 0:
            for pull in self._pulls.values():
                pull.left -= read
