"""Where each object goes: wave by wave, then one file for each tenant, model or cluster-wide concern.

    01-namespaces/cluster.yaml
    02-policy/tenant-ai-production.yaml
    05-workloads/model-llama3-70b.yaml

Lexical order is the order of application, so `kubectl apply -R -f DIR` follows the waves; every file that ends in .yaml
holds Kubernetes objects and nothing else.
"""

from collections.abc import Iterable

from stoker.render.yaml_text import dump_all
from stoker.upgrades.objects import Emitted, Wave, ordered

__all__ = ["object_files", "stream", "wave_directory"]


def wave_directory(wave: Wave) -> str:
    return f"{int(wave):02d}-{wave.name.lower()}"


def object_files(objects: Iterable[Emitted]) -> tuple[dict[str, str], dict[tuple[str, str, str, str], str]]:
    """Path -> text of every object, each under a comment with its upgrade and reason; and the path of each object."""
    by_path: dict[str, list[Emitted]] = {}
    for item in ordered(objects):
        by_path.setdefault(_path(item), []).append(item)
    texts = {path: stream(items) for path, items in by_path.items()}
    return texts, {item.key: path for path, items in by_path.items() for item in items}


def stream(objects: Iterable[Emitted]) -> str:
    """Objects as one YAML stream."""
    return dump_all((f"[{item.upgrade.value}] {item.reason}", item.object) for item in objects)


def _path(item: Emitted) -> str:
    kind, _, name = item.group.partition("/")
    stem = f"{kind.removesuffix('s')}-{name}" if name else kind
    return f"{wave_directory(item.wave)}/{stem}.yaml"
