"""Admission of pods against recorded answers of a real API server 1.36, whole sentences."""

import json
from pathlib import Path
from typing import Any

import pytest

from stoker.twin.admission import Tenancy

# Recordings whose pods are decided by what the twin models: defaults, priority, limit ranges, quotas.
RECORDINGS = (
    "limitrange-init-and-sidecars",
    "limitrange-only-max",
    "limitrange-violations",
    "quota-limits-gpu-ignored",
    "quota-must-specify",
    "quota-priority-scope",
    "pod-gpu-limits-only",
    "pod-gpu-requests-only",
    "pod-request-above-limit",
)


def replay(recording: dict[str, Any]) -> list[tuple[str, str]]:
    """(what the server said, what the twin says) for every pod that was created; an empty string for an admitted one."""
    policies: list[dict[str, Any]] = []
    answers = []
    tenancy = Tenancy([])
    for step in recording["steps"]:
        request, response = step["request"], step["response"]
        body = request.get("body")
        if request["method"] == "PATCH" and "/limitranges/" in request["path"] and isinstance(body, dict):
            # A merge patch replaces the list of limits.
            policies = [{**p, **body} if p["kind"] == "LimitRange" else p for p in policies]
            tenancy = Tenancy(policies)
        if request["method"] != "POST" or not isinstance(body, dict):
            continue
        namespace = (
            request["path"].split("/namespaces/")[-1].split("/")[0]
            if "/namespaces/" in request["path"]
            else ""
        )
        metadata = {"namespace": namespace, **body.get("metadata", {})}
        item = {**body, "metadata": metadata}
        if body.get("kind") in {"ResourceQuota", "LimitRange", "PriorityClass"} and response["status"] < 300:
            policies.append(item)
            tenancy = Tenancy(policies)
        elif body.get("kind") == "Pod" and request["path"].endswith("/pods") and response["status"] != 400:
            # 400 is a body that the server could not even read.
            said = response["body"].get("message", "") if response["status"] >= 300 else ""
            found = tenancy.try_admit(item)
            answers.append((said, found if isinstance(found, str) else ""))
    return answers


@pytest.mark.parametrize("name", RECORDINGS)
def test_pods_are_admitted_and_refused_as_the_server_did(shared: Path, name: str) -> None:
    recording = json.loads((shared / "oracle" / "api" / f"{name}.json").read_text())
    answers = replay(recording)
    assert answers
    assert [twin for _, twin in answers] == [server for server, _ in answers]


def test_used_quota_is_given_back() -> None:
    quota = {
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": "n"},
        "spec": {"hard": {"requests.nvidia.com/gpu": "1"}},
    }
    pod = {
        "metadata": {"name": "p", "namespace": "n"},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
    }
    tenancy = Tenancy([quota])
    admitted = tenancy.try_admit(pod)
    assert isinstance(admitted, dict)
    second = {**pod, "metadata": {"name": "p2", "namespace": "n"}}
    assert isinstance(tenancy.try_admit(second), str)
    tenancy.release(admitted)
    tenancy.release(admitted)
    assert isinstance(tenancy.try_admit(second), dict)
