"""The harness against the recorded answers of a real API server (Kubernetes 1.36)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.schemas.validate import validate_object

from stoker.schemas.cel_rules import AVAILABLE
from stoker.schemas.kind_rules import STRICTER

MINOR = "1.36"
API = Path(__file__).resolve().parents[3] / "shared" / "oracle" / "api"
pytestmark = pytest.mark.skipif(not API.is_dir(), reason="../shared is absent")

# Answers that depend on what else is in the cluster, on who asks, or on the time: no property of the object alone.
CLUSTER_DEPENDENT = {
    "auth", "rbac", "limitrange-pvc", "limitrange-violations", "namespace-terminating", "crud-create-in-missing-namespace",
    "quota-must-specify", "quota-object-counts", "quota-priority-scope", "validating-admission-policy", "podsecurity-warn",
    "quota-limits-gpu-ignored", "priorityclass-global-default", "owner-gc", "events-api", "limitrange-init-and-sidecars", "limitrange-only-max",
}  # fmt: skip

# Single steps left out, and why.
OTHER = {
    "field-validation-3": "fieldValidation=Ignore accepts unknown fields",
    "field-validation-6": "a bogus query parameter, the object is fine",
    "generate-name-1": "Stoker applies by name",
    "generate-name-2": "Stoker applies by name",
    "priorityclass-validation-3": "a second globalDefault depends on the first",
}
if not AVAILABLE:
    OTHER["dra-objects-2"] = "a CEL expression that does not compile: no CEL compiler is installed"


def _creations() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for file in sorted(API.glob("*.json")):
        if file.stem in CLUSTER_DEPENDENT:
            continue
        for index, step in enumerate(json.loads(file.read_text())["steps"]):
            request, response = step.get("request") or {}, step["response"]
            body = request.get("body")
            if request.get("method") != "POST" or not isinstance(body, dict) or "kind" not in body:
                continue
            tail = request["path"].rpartition("/")[2]
            if tail in {"binding", "eviction", "scale", "token"} or "review" in tail:
                continue
            if f"{file.stem}-{index}" not in OTHER:
                yield f"{file.stem}-{index}", request, response


CASES = list(_creations())


def _accepted(response: dict[str, Any]) -> bool:
    return bool(response["status"] < 300 and "Warning" not in response["headers"])


def _object(request: dict[str, Any]) -> dict[str, Any]:
    """The body with the namespace that its path gives it."""
    body: dict[str, Any] = json.loads(json.dumps(request["body"]))
    parts = request["path"].split("/")
    if "namespaces" in parts and parts.index("namespaces") + 2 < len(parts):
        body["metadata"].setdefault("namespace", parts[parts.index("namespaces") + 1])
    return body


@pytest.mark.parametrize(
    ("request_", "response"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_agrees_with_a_real_server(request_: dict[str, Any], response: dict[str, Any]) -> None:
    problems = [item for item in validate_object(_object(request_), MINOR) if not item.startswith(STRICTER)]
    assert _accepted(response) == (problems == []), problems or response
