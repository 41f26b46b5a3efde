"""evidence.json: what is read, what is passed over, what is refused and how."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.report.rollout.conftest import SMALL

from stoker.canary.plan import CanaryPlan
from stoker.canary.state import CanaryState, Phase, Step, encode
from stoker.canary.state import Evidence as Counts
from stoker.errors import InputError
from stoker.report.rollout.evidence import Evidence, parse_evidence, read_evidence
from stoker.report.rollout.shares import criteria, share_of
from stoker.rollout.evidence import GateResult, Judgement, Observation, Verdict

AT = datetime(2026, 11, 27, 10, tzinfo=UTC)


def document(**changed: Any) -> str:
    return json.dumps({**json.loads(SMALL.read_text(encoding="utf-8")), **changed})


def problems(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse_evidence(text)
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


def test_what_a_gate_writes_is_what_the_report_reads() -> None:
    result = GateResult(
        "week-1/taint", "week-1", "a title", Judgement.passed("as wanted", seconds=4.5), "Pending",
        (Observation(AT, "seen", {"pod": "p"}),), AT, AT, "live",
    )  # fmt: skip
    found = parse_evidence(
        json.dumps({"gates": [result.as_json()], "canary": None, "audit_before": None, "audit_after": None})
    )

    gate = found.gates[0]
    assert ("week-1/taint", Verdict.PASSED, "as wanted", {"seconds": 4.5}) == (
        gate.id,
        gate.verdict,
        gate.reason,
        gate.measured,
    )
    assert "live" == found.measured_on


def test_the_contracts_four_keys_are_enough(small: Evidence) -> None:
    gates = [
        {
            "id": "week-2/v2",
            "verdict": "failed",
            "started": "2026-11-27T10:00:00Z",
            "ended": 1795777300,
            "source": "live",
        }
    ]
    found = parse_evidence(
        json.dumps({"gates": gates, "canary": None, "audit_before": None, "audit_after": None})
    )

    assert "week-2" == found.gates[0].group
    assert (AT, datetime(2026, 11, 27, 11, 1, 40, tzinfo=UTC)) == found.rollout
    assert 3 == len(small.gates)


def test_windows_are_read_as_pairs_and_as_from_and_to(small: Evidence) -> None:
    assert {"before": 1800.0, "after": 1800.0} == {
        phase: window.seconds for phase, window in small.windows.items() if window
    }


def test_a_canary_is_read_as_stoker_canary_keeps_it(small: Evidence) -> None:
    assert small.canary is not None
    first = small.canary.steps[0]

    assert "promoted" == small.canary.outcome
    assert datetime(2026, 11, 27, 10, 2, 5, tzinfo=UTC) == first.started, "since the traffic was there"


def test_nan_is_no_data() -> None:
    series = [{"name": "gpu_busy", "points": [[1, float("nan")], [2, 0.5], [3, float("inf")]]}]
    found = parse_evidence(document(series=series))

    assert ((1, None), (2, 0.5), (3, None)) == found.series[0].points


def test_every_problem_is_named_with_its_place() -> None:
    gate = {"id": 3, "verdict": "ok", "started": "2026-11-27T10:00:00", "ended": "soon", "source": "lab"}
    found = problems(document(gates=[gate], windows={"before": [5, 1]}, price={"usd_per_gpu_hour": -1}))

    assert ["gates[0].id", "gates[0].verdict", "gates[0].started", "gates[0].ended", "windows.before", "price.usd_per_gpu_hour"] == [
        line.partition(":")[0] for line in found
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "[]", "3", '{"gates":', '{"gates": {}}', "{}", "[" * 100_000])
def test_what_is_no_evidence_is_refused_without_a_traceback(text: str) -> None:
    assert problems(text)


def test_a_folder_stands_for_its_evidence_and_an_absent_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "evidence.json").write_text(document(), encoding="utf-8")

    assert 3 == len(read_evidence(tmp_path).gates)
    with pytest.raises(InputError, match="cannot be read"):
        read_evidence(tmp_path / "absent")


def test_the_state_of_stoker_canary_is_a_canary_here() -> None:
    """Its own types, encoded as it encodes them."""
    steps = (
        Step(
            5,
            "ann@laptop",
            AT,
            AT,
            AT,
            evidence={"ttft": Counts(counts=(57, 3)), "live-errors": Counts(canary=20, stable=380)},
        ),
        Step(25, "ann@laptop", AT, reachable=33.3),
    )
    state = CanaryState(
        "llama",
        "prod",
        "run-1",
        CanaryPlan(),
        seed=1,
        who="ann@laptop",
        started=AT,
        phase=Phase.PROMOTED,
        steps=steps,
        ended=AT,
    )
    document = {"gates": [], "canary": json.loads(encode(state)), "audit_before": None, "audit_after": None}
    found = parse_evidence(json.dumps(document)).canary

    assert found is not None
    assert ("llama", "promoted", "live") == (found.model, found.outcome, found.source)
    share = share_of(found.steps[0])
    assert share is not None
    assert (0.05, 400) == (share.value, share.requests)
    assert [
        "ttft: beyond the margin in 3 of 60 pairs (1.7-13.7 %)",
        "live-errors: bad in 0 of 20 requests (0.0-16.1 %)",
    ] == criteria(found.steps[0])
    assert (None, 33.3) == (share_of(found.steps[1]), found.steps[1].reachable)
