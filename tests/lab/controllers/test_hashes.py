"""Template hashes against those that a real 1.36 controller gave."""

import json
from pathlib import Path
from typing import Any

from stoker.lab.controllers.hashes import go_text, template_hash


def _recorded(value: Any, found: dict[str, Any]) -> None:
    if isinstance(value, dict):
        digest = ((value.get("metadata") or {}).get("labels") or {}).get("pod-template-hash")
        template = (value.get("spec") or {}).get("template") if isinstance(value.get("spec"), dict) else None
        if digest and template:
            found[digest] = template
        for one in value.values():
            _recorded(one, found)
    elif isinstance(value, list):
        for one in value:
            _recorded(one, found)


def test_recorded_replica_sets_have_the_hash_that_is_computed(shared: Path) -> None:
    found: dict[str, Any] = {}
    for path in sorted((shared / "oracle" / "api").glob("*.json")):
        _recorded(json.loads(path.read_text()), found)
    assert found
    for digest, template in found.items():
        labels = {
            key: value for key, value in template["metadata"]["labels"].items() if key != "pod-template-hash"
        }
        assert digest == template_hash({**template, "metadata": {**template["metadata"], "labels": labels}})


def test_a_collision_changes_the_hash() -> None:
    template = {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    assert template_hash(template) != template_hash(template, 1) != template_hash(template, 2)


def test_quantities_are_printed_as_go_keeps_them() -> None:
    requests = {"cpu": "1500m", "memory": "64Gi", "ephemeral-storage": "100Ti"}
    template = {"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}}
    text = go_text(template)
    assert "cpu:{i:(resource.int64Amount){value:(int64)1500 scale:(resource.Scale)-3}" in text
    assert "memory:{i:(resource.int64Amount){value:(int64)68719476736 scale:(resource.Scale)0}" in text
    assert "s:(string) Format:(resource.Format)BinarySI" in text
    assert "abs:(big.nat)[" in text


def test_ports_by_name_and_by_number_are_told_apart() -> None:
    def text(port: int | str) -> str:
        probe = {"httpGet": {"port": port, "path": "/health"}}
        return go_text({"spec": {"containers": [{"name": "c", "readinessProbe": probe}]}})

    assert "Port:(intstr.IntOrString){Type:(intstr.Type)0 IntVal:(int32)8000 StrVal:(string)}" in text(8000)
    assert "Port:(intstr.IntOrString){Type:(intstr.Type)1 IntVal:(int32)0 StrVal:(string)http}" in text(
        "http"
    )
