"""Pods and what makes them, against the recordings of a real API server: what it stored and what it refused.

The recorded server is OpenShift's build of 1.36.2: its service account volume has a fourth source that the recordings leave
out of objects, but not out of the line numbers in a message; the tests put it back where that matters.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stoker.lab.kinds.canonical import canonical
from stoker.lab.kinds.strategy import Strategy
from stoker.lab.kinds.workload_strategies import STRATEGIES
from stoker.lab.schema.builtin import definition, definition_name

Object = dict[str, Any]
_SYSTEM = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "generateName")
# refused by something other than the kind, or made by an admission plugin
_ADMITTED = {
    "field-validation",
    "validating-admission-policy",
    "limitrange-init-and-sidecars",
    "limitrange-only-max",
}
_ACCOUNT = "kube-api-access"
_FORK_SOURCE = {
    "configMap": {
        "name": "openshift-service-ca.crt",
        "items": [{"key": "service-ca.crt", "path": "service-ca.crt"}],
    }
}


def _steps(shared: Path, name: str) -> list[Object]:
    text = (shared / "oracle" / "api" / f"{name}.json").read_text(encoding="utf-8")
    for placeholder, value in (
        ("<uid-", "uid-"),
        ("<rv-", "rv-"),
        ("<rand>", "abcde"),
        ("<time>", "2026-01-01T00:00:00Z"),
    ):
        text = text.replace(placeholder, value)
    for digit in range(10):
        for kind in ("uid", "rv"):
            text = text.replace(f"{kind}-{digit}>", f"{kind}-{digit}")
    found: list[Object] = json.loads(text)["steps"]
    return found


def _answer(step: Object) -> Object:
    found: Object = step["response"].get("full") or step["response"]["body"]
    return found


def _strategy(obj: Object) -> Strategy | None:
    return STRATEGIES.get((obj.get("apiVersion", "").rpartition("/")[0], obj.get("kind", "")))


def _decoded(obj: Object) -> Object:
    group, _, version = obj["apiVersion"].rpartition("/")
    name = definition_name(group, version, obj["kind"])
    assert name is not None
    found: Object = canonical(copy.deepcopy(obj), definition(name))
    return found


def _created(step: Object, strategy: Strategy) -> Object:
    """What a create comes to, without admission."""
    body, path = step["request"]["body"], step["request"]["path"]
    obj = _decoded(body)
    strategy.default(obj)
    answered = _answer(step).get("metadata", {}) if step["response"]["status"] == 201 else {}
    meta = obj.setdefault("metadata", {})
    meta["uid"] = answered.get("uid", "uid-9")
    meta["creationTimestamp"] = "2026-01-01T00:00:00Z"
    meta["name"] = answered.get("name", meta.get("name", ""))
    if "/namespaces/" in path:
        meta["namespace"] = path.split("/namespaces/")[1].split("/")[0]
    strategy.prepare_create(obj)
    return obj


def _compared(obj: Object, body: Object) -> Object:
    """An object without what the pipeline and admission write."""
    found = copy.deepcopy(obj)
    for key in _SYSTEM:
        found["metadata"].pop(key, None)
    if found["kind"] == "Pod":
        _without_admission(found["spec"], body["spec"])
    return found


def _without_admission(spec: Object, asked: Object) -> None:
    _filter(spec, "volumes", lambda one: not one["name"].startswith(_ACCOUNT))
    for key in ("containers", "initContainers"):
        for container in spec.get(key, []):
            _filter(container, "volumeMounts", lambda one: not one["name"].startswith(_ACCOUNT))
    added = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    _filter(spec, "tolerations", lambda one: one.get("key") not in added)
    for key in ("priority", "preemptionPolicy", "priorityClassName", "serviceAccountName", "serviceAccount"):
        if key not in asked:
            spec.pop(key, None)


def _filter(owner: Object, key: str, is_kept: Callable[[Object], bool]) -> None:
    left = [one for one in owner.pop(key, []) if is_kept(one)]
    if left:
        owner[key] = left


def _posts(shared: Path, status: int) -> list[tuple[str, Object, Strategy]]:
    found: list[tuple[str, Object, Strategy]] = []
    for path in sorted((shared / "oracle" / "api").glob("*.json")):
        if path.stem in _ADMITTED:
            continue
        for index, step in enumerate(_steps(shared, path.stem)):
            body = step["request"].get("body")
            strategy = _strategy(body) if isinstance(body, dict) else None
            is_post = step["request"]["method"] == "POST" and step["response"]["status"] == status
            if is_post and strategy is not None:
                found.append((f"{path.stem}[{index}]", step, strategy))
    return found


def test_a_created_object_is_what_the_server_stored(shared: Path) -> None:
    posts = _posts(shared, 201)
    for where, step, strategy in posts:
        obj = _created(step, strategy)
        assert [] == strategy.validate(obj), where
        strategy.default(obj)  # as a read of the stored object does
        body = step["request"]["body"]
        expected, actual = _compared(_answer(step), body), _compared(_decoded(obj), body)
        expected["metadata"].pop("name", None), actual["metadata"].pop("name", None)
        expected["metadata"].pop("namespace", None), actual["metadata"].pop("namespace", None)
        assert json.dumps(expected) == json.dumps(actual), where
    assert len(posts) > 80


def test_a_refused_create_has_the_servers_causes(shared: Path) -> None:
    posts = _posts(shared, 422)
    for where, step, strategy in posts:
        causes = [cause.document() for cause in strategy.validate(_created(step, strategy))]
        assert _answer(step)["details"]["causes"] == causes, where
    assert len(posts) > 10


def _put(*path: str | int, value: Any) -> Callable[[Object], None]:
    def change(obj: Any) -> None:
        for key in path[:-1]:
            obj = obj[key]
        obj[path[-1]] = value

    return change


def _relabel(obj: Object) -> None:
    obj["spec"]["selector"] = {"matchLabels": {"app": "z"}}
    obj["spec"]["template"]["metadata"] = {"labels": {"app": "z"}}


_GPUS = {"limits": {"nvidia.com/gpu": "2"}, "requests": {"nvidia.com/gpu": "2"}}
_GATES = [{"name": "other/gate"}, {"name": "kueue.x-k8s.io/admission"}]


@pytest.mark.parametrize(
    ("recording", "made", "patched", "change"),
    [
        ("deployment-selector-rules", 3, 4, _relabel),
        (
            "job-validation",
            2,
            3,
            _put("spec", "template", "spec", "containers", 0, value={"name": "c", "image": "y"}),
        ),
        ("job-validation", 2, 4, _put("spec", "completions", value=5)),
        ("pod-immutable", 1, 3, _put("spec", "containers", 0, "resources", value=_GPUS)),
        ("pod-immutable", 1, 4, _put("spec", "nodeSelector", value={"a": "b"})),
        ("pod-immutable", 1, 2, _put("spec", "containers", 0, "image", value="vllm/vllm-openai:v0.10.0")),
        ("pod-scheduling-gates", 1, 2, _put("spec", "schedulingGates", value=_GATES)),
        ("pod-scheduling-gates", 1, 3, _put("spec", "nodeSelector", value={"a": "b"})),
        ("pod-scheduling-gates", 1, 4, _put("spec", "schedulingGates", value=[])),
    ],
)
def test_an_update_has_the_servers_causes(
    shared: Path, recording: str, made: int, patched: int, change: Callable[[Object], None]
) -> None:
    steps = _steps(shared, recording)
    old = _answer(steps[made])
    for volume in old["spec"].get("volumes", []):
        volume["projected"]["sources"].append(_FORK_SOURCE)
    new = copy.deepcopy(old)
    change(new)
    new = _decoded(new)
    strategy = _strategy(old)
    assert strategy is not None
    strategy.default(new)
    strategy.prepare_update(new, old)
    answer = _answer(steps[patched])
    expected = answer["details"]["causes"] if steps[patched]["response"]["status"] == 422 else []
    assert expected == [cause.document() for cause in strategy.validate_update(new, old)]
    assert [] == strategy.validate(new)  # an update is judged by validate_update alone
