"""Validate files and folders: read every object, check each, say what could not be checked."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stoker.errors import InputError, Problem
from stoker.kube.yaml_text import Loader
from stoker.schemas.core_schemas import is_core
from stoker.schemas.crd_schemas import load_kinds
from stoker.schemas.validate import validate_object

__all__ = ["Checked", "Finding", "check_files"]

# Kinds that kustomize reads from a folder and no API server knows.
_CLIENT_SIDE = ("kustomize.config.k8s.io/",)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a server would refuse or warn about."""

    file: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found; ``unchecked`` counts objects by kind that no schema is known for."""

    minor: str
    objects: int
    findings: tuple[Finding, ...]
    unchecked: dict[str, int]


def check_files(paths: Sequence[Path], minor: str, crd_folders: Iterable[Path]) -> Checked:
    """Check every object below ``paths``; PodSecurity levels are enforced where a Namespace among them sets them.

    Raises:
        InputError: a path that is not there, a file that is no YAML, a document that is no object.
    """
    kinds = load_kinds(crd_folders)
    items = [item for path in paths for item in _objects(path)]
    namespaces = {
        obj["metadata"]["name"]: obj
        for _, obj in items
        if obj["kind"] == "Namespace" and "name" in obj["metadata"]
    }
    findings: list[Finding] = []
    unchecked: dict[str, int] = {}
    for file, obj in items:
        metadata = obj["metadata"]
        subject = f"{obj['kind']} {metadata.get('namespace', '')}/{metadata.get('name', '')}"
        if not is_core(obj["apiVersion"]) and (obj["apiVersion"], obj["kind"]) not in kinds:
            label = f"{obj['apiVersion']} {obj['kind']}"
            unchecked[label] = unchecked.get(label, 0) + 1
            continue
        namespace = namespaces.get(metadata.get("namespace", ""))
        findings += [
            Finding(file, subject, message)
            for message in validate_object(obj, minor, kinds, namespace=namespace)
        ]
    return Checked(minor, len(items), tuple(findings), unchecked)


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.exists():
        raise InputError([Problem("does not exist", file=str(path), fix="name a file or a folder of YAML")])
    files = sorted(path.rglob("*.yaml")) + sorted(path.rglob("*.yml")) if path.is_dir() else [path]
    for file in files:
        try:
            documents = list(yaml.load_all(file.read_text(encoding="utf-8"), Loader))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            raise InputError([Problem(f"cannot be read: {error}", file=str(file))]) from error
        for index, document in enumerate(documents):
            if document is None:
                continue
            if not isinstance(document, dict) or not isinstance(document.get("metadata", {}), dict):
                raise InputError([Problem(f"document {index + 1} is no Kubernetes object", file=str(file))])
            api_version, kind = document.get("apiVersion"), document.get("kind")
            if not isinstance(api_version, str) or not isinstance(kind, str):
                raise InputError(
                    [
                        Problem(
                            f"document {index + 1} is no Kubernetes object",
                            file=str(file),
                            wanted="apiVersion and kind",
                        )
                    ]
                )
            if not api_version.startswith(_CLIENT_SIDE):
                yield str(file), {"metadata": {}, **document}
