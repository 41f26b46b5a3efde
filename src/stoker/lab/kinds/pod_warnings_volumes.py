"""Warnings about volumes: plugins that are gone, paths that hide each other (pkg/api/pod/warnings.go, 1.36)."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["volume_warnings"]

_GONE = {
    "photonPersistentDisk": ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    "gitRepo": ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    "scaleIO": ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    "flocker": ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    "storageos": ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    "quobyte": ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    "glusterfs": ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    "cephfs": ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    "rbd": ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
}
Place = tuple[str, str]


def volume_warnings(volumes: Iterable[Mapping[str, Any]], path: str) -> list[str]:
    found = [
        f"{path}[{index}].{shown}: {text}"
        for index, volume in enumerate(volumes)
        for kind, (shown, text) in _GONE.items()
        if kind in volume
    ]
    for volume in volumes:
        found += _overlap_warnings(volume)
    return found


def _overlap_warnings(volume: Mapping[str, Any]) -> list[str]:
    name = volume.get("name", "")
    found: list[str] = []
    for kind, key, label in (
        ("configMap", "name", "ConfigMap"),
        ("secret", "secretName", "Secret"),
        ("downwardAPI", "", "DownwardAPI"),
    ):
        source = volume.get(kind)
        if source and source.get("items"):
            shown = f'{label} "{source.get(key, "")}"' if key else label
            found += _collisions([(one.get("path", ""), "") for one in source["items"]], name, shown)
    if volume.get("projected"):
        places: list[Place] = []
        for source in volume["projected"].get("sources") or ():
            if not source:
                found.append(f'volume "{name}" (Projected) has no sources provided')
            places += _projected_places(source)
        found += _collisions(places, name, "Projected")
    return found


def _projected_places(source: Mapping[str, Any]) -> list[Place]:
    for kind, label in (("configMap", "ConfigMap"), ("secret", "Secret")):
        one = source.get(kind)
        if one is not None and one.get("items"):
            return [(item.get("path", ""), f'{label} "{one.get("name", "")}"') for item in one["items"]]
    downward = source.get("downwardAPI")
    if downward is not None and downward.get("items"):
        return [(item.get("path", ""), "DownwardAPI") for item in downward["items"]]
    token = source.get("serviceAccountToken")
    return [] if token is None else [(token.get("path", ""), "ServiceAccountToken")]


def _collisions(places: Iterable[Place], name: str, shown: str) -> list[str]:
    found: list[str] = []
    seen: list[Place] = []
    for whole, source in places:
        path = whole.rstrip("/")
        for other, other_source in seen:
            if path and other and (f"{other}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other}/")):
                pair = f"{_printed(path, source)} with {_printed(other, other_source)}"
                found.append(f'volume "{name}" ({shown}): overlapping paths: {pair}')
        seen.append((path, source))
    return found


def _printed(path: str, source: str) -> str:
    return f'"{path}" ({source})' if source else f'"{path}"'
