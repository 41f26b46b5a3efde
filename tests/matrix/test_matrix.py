"""Platform files that together use every option: each compiles to objects that a server of its minor takes as they are."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import promql_parser
import pytest
from tests.matrix.coverage import every_option, used_options
from tests.matrix.matrix import EXAMPLE, FILES, PLATFORMS, compiled, document, external, resolved
from tests.schemas.validate import CRDS, validate_object

from stoker.catalog.kubernetes import kubernetes_minor
from stoker.platform.cluster import GpuAllocation
from stoker.platform.document import Platform
from stoker.platform.load import load
from stoker.render.yaml_text import dump
from stoker.schemas.core_schemas import MINORS
from stoker.schemas.references import unresolved
from stoker.sizing.resolve import resolve
from stoker.upgrades import compile_platform

by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
needs_crds = pytest.mark.skipif(not CRDS.is_dir(), reason="../shared/crds is absent")


def problems(path: Path, minor: str = "") -> list[str]:
    """What a server would refuse or warn about, over all objects of a file."""
    objects = [item.object for item in compiled(path, minor)]
    namespaces = {obj["metadata"]["name"]: obj for obj in objects if obj["kind"] == "Namespace"}
    target = minor or document(path).cluster.version
    return [
        f"{obj['kind']}/{obj['metadata']['name']}: {problem}"
        for obj in objects
        for problem in validate_object(
            obj, target, namespace=namespaces.get(obj["metadata"].get("namespace", ""))
        )
    ]


def test_there_are_enough_files() -> None:
    assert len(FILES) >= 44


def test_every_option_of_the_document_is_used_by_a_file() -> None:
    used = {option for path in FILES for option in used_options(document(path))}
    assert sorted(every_option(Platform) - used) == []


def test_every_minor_is_compiled_for() -> None:
    assert {document(path).cluster.version for path in FILES} == set(MINORS)


def served(path: Path, minor: str) -> bool:
    """Whether a platform may ask for that minor: 1.33 serves no resource.k8s.io, and the check refuses DRA there."""
    dra = document(path).cluster.gpu_allocation is GpuAllocation.DRA
    return not dra or bool(kubernetes_minor(minor).dra_versions)


@needs_crds
@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("path", [*FILES, EXAMPLE], ids=lambda path: path.stem)
def test_every_object_is_taken_by_a_server_of_each_minor(path: Path, minor: str) -> None:
    expected: list[str] = []

    assert expected == (problems(path, minor) if served(path, minor) else [])


@by_file
def test_no_two_objects_share_a_key(path: Path) -> None:
    keys = Counter(item.key for item in compiled(path))
    assert [key for key, count in keys.items() if count > 1] == []


@by_file
def test_every_reference_leads_somewhere(path: Path) -> None:
    objects = [item.object for item in compiled(path)]
    assert unresolved(objects, external(resolved(path))) == []


@by_file
def test_every_object_says_why_it_exists_in_one_line(path: Path) -> None:
    odd = [item.key for item in compiled(path) if not item.reason.strip() or "\n" in item.reason]
    assert odd == []


@by_file
def test_a_second_compilation_gives_the_same_bytes(path: Path) -> None:
    first = [dump(item.object) for item in compiled(path)]
    again = [dump(item.object) for item in compile_platform(resolve(load(path)))]
    assert first == again


@pytest.mark.parametrize("name", ["tenants-every-class", "wake-by-brokers", "minor-1.36-four-modes"])
def test_the_order_does_not_hang_on_the_hash_seed(name: str) -> None:
    program = (
        "import sys; from pathlib import Path; from stoker.platform.load import load; "
        "from stoker.render.yaml_text import dump; from stoker.sizing.resolve import resolve; "
        "from stoker.upgrades import compile_platform; "
        "[print(dump(item.object)) for item in compile_platform(resolve(load(Path(sys.argv[1]))))]"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program, str(PLATFORMS / f"{name}.yaml")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


@by_file
def test_no_count_has_two_owners(path: Path) -> None:
    objects = [item.object for item in compiled(path)]
    targets: Counter[tuple[str, str]] = Counter(
        (obj["metadata"]["namespace"], obj["spec"]["scaleTargetRef"]["name"])
        for obj in objects
        if obj["kind"] in {"ScaledObject", "HorizontalPodAutoscaler"}
    )
    assert [target for target, count in targets.items() if count > 1] == []
    for obj in objects:
        namespace, name, spec = (
            obj["metadata"].get("namespace", ""),
            obj["metadata"]["name"],
            obj.get("spec", {}),
        )
        if obj["kind"] in {"Deployment", "LeaderWorkerSet"} and (namespace, name) in targets:
            assert "replicas" not in spec
        if obj["kind"] == "LLMInferenceService" and (namespace, f"{name}-kserve") in targets:
            assert not {"replicas", "scaling"} & set(spec)
        if obj["kind"] == "InferenceService" and (namespace, f"{name}-predictor") in targets:
            owner = obj["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"]
            assert owner in {"external", "none"}


@by_file
def test_every_trigger_asks_promql_and_every_tier_at_zero_can_wake(path: Path) -> None:
    for spec in (item.object["spec"] for item in compiled(path) if item.object["kind"] == "ScaledObject"):
        triggers = spec["triggers"]
        for trigger in triggers:
            if trigger["type"] == "prometheus":
                promql_parser.parse(trigger["metadata"]["query"])
        if spec["minReplicaCount"] == 0:
            assert any(trigger["name"] != "engine-load" for trigger in triggers)
