"""Every recorded decision of a real kube-scheduler 1.36: node, feasible set, victims, message and scores."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"scheduler_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


recordings = _load("recordings")
# From this file: repository/tests/twin/scheduler.
FOLDER = Path(__file__).parents[4] / "shared" / "oracle" / "scheduler"
SCENARIOS = sorted(path.stem for path in FOLDER.glob("*.json")) if FOLDER.is_dir() else ["absent"]


def differences(scenario: dict[str, Any], replay: Any) -> Iterator[str]:
    """What the twin did otherwise than the real scheduler."""
    result = scenario["result"]
    for key, recorded in result["pods"].items():
        node = replay.bound.get(key, "absent")
        if node != recorded["node"] and node not in result["tied_top_nodes"].get(key, ()):
            yield f"{key}: bound to {node}, recorded {recorded['node']}"
        wanted = (recorded.get("PodScheduled") or {}).get("message")
        if wanted and not recorded["node"]:
            gated = key in replay.decisions and replay.decisions[key].gated
            said = replay.decisions[key].message if gated else (replay.messages.get(key) or [""])[-1]
            if said != wanted:
                yield f"{key}: said {said!r}, recorded {wanted!r}"
    for event in result["events"]:
        if event["reason"] == "FailedScheduling":
            name = event["object"].removeprefix("Pod/")
            said = [m for key, found in replay.messages.items() if key.endswith(f"/{name}") for m in found]
            if event["message"] not in said:
                yield f"{name}: never said {event['message']!r}"
    if replay.gone != set(result["gone"]):
        yield f"victims {sorted(replay.gone)}, recorded {sorted(result['gone'])}"
    for key, by_node in result["scores"].items():
        decision = replay.decisions[key]
        if set(by_node) != set(decision.feasible):
            yield f"{key}: feasible {decision.feasible}, recorded {sorted(by_node)}"
        for node, parts in by_node.items():
            wanted_parts = {name: value for name, value in parts.items() if name != "TOTAL"}
            if dict(decision.scores.get(node, {})) != wanted_parts:
                yield f"{key} on {node}: {dict(decision.scores.get(node, {}))}, recorded {wanted_parts}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_twin_decides_as_the_real_scheduler_did(shared: Path, name: str) -> None:
    scenario, replay = recordings.replay(shared / "oracle" / "scheduler" / f"{name}.json")
    assert list(differences(scenario, replay)) == []
    refused = {pod: error["message"] for pod, error in scenario["result"]["create_errors"].items()}
    assert replay.refused == refused


def test_agreement_with_the_recordings_is_reported(shared: Path, record_property: Any) -> None:
    agreeing = 0
    paths = sorted((shared / "oracle" / "scheduler").glob("*.json"))
    for path in paths:
        scenario, replay = recordings.replay(path)
        agreeing += not list(differences(scenario, replay))
    record_property("scheduler_agreement", f"{agreeing} of {len(paths)} scenarios")
    print(f"scheduler: {agreeing} of {len(paths)} recorded scenarios reproduced")  # noqa: T201
    assert agreeing == len(paths)
