"""Which phase applies what: every object exactly once, the monitors before the autoscaler that queries them."""

from pathlib import Path

import pytest

from stoker.errors import InputError
from stoker.platform.load import loads
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import Gate
from stoker.rollout.phases import PlannedPhase, plan_phases
from stoker.sizing.resolve import resolve
from stoker.upgrades import compile_platform

EXAMPLES = Path(__file__).parents[2] / "examples"


def _never(_: object) -> Judgement:
    raise AssertionError


def gate(name: str, **settings: object) -> Gate:
    return Gate(name, name, "{within} s" if settings else "", "", _never, settings)


GATES = [gate("week-1/taint"), gate("week-2/ready"), gate("week-3/scale-up", within=120), gate("week-4/page")]


def phases(text: str) -> tuple[PlannedPhase, ...]:
    platform = resolve(loads(text))
    return plan_phases(platform.spec.rollout, compile_platform(platform), GATES)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_object_of_every_example_has_exactly_one_phase(example: Path) -> None:
    text = example.read_text(encoding="utf-8")

    found = [item.key for phase in phases(text) for item in phase.objects]

    assert sorted(found) == sorted(item.key for item in compile_platform(resolve(loads(text))))


def test_the_guide_s_weeks_with_the_monitors_before_the_autoscaler() -> None:
    found = phases((EXAMPLES / "guide.yaml").read_text(encoding="utf-8"))
    kinds = {phase.name: {item.object["kind"] for item in phase.objects} for phase in found}

    assert list(kinds) == ["week-1", "week-2", "week-3", "week-4"]
    assert "ResourceQuota" in kinds["week-1"]
    assert "InferenceService" in kinds["week-2"]
    assert kinds["week-3"] == {"ScaledObject", "PodMonitor"}
    assert kinds["week-4"] == {"PrometheusRule", "AlertmanagerConfig", "ConfigMap"}
    assert [[planned.gate.id for planned in phase.gates] for phase in found] == [[gate.id] for gate in GATES]


@pytest.fixture
def minimal() -> str:
    return (EXAMPLES / "minimal.yaml").read_text(encoding="utf-8")


def test_the_user_s_figures_stand_over_the_gate_s_own(minimal: str) -> None:
    found = phases(minimal + "\nrollout: {settings: {week-3/scale-up: {within: 180}}}\n")

    assert [planned.threshold for planned in found[2].gates] == ["180 s"]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("{settings: {week-3/scaleup: {within: 1}}}", "did you mean `week-3/scale-up`?"),
        ("{settings: {week-3/scale-up: {witin: 1}}}", "did you mean `within`?"),
        ("{settings: {week-3/scale-up: {within: soon}}}", "wanted: a number"),
        ("{phases: [{name: a, include: [components], gates: [week-9/*]}]}", "is no gate"),
        ("{phases: [{name: a, include: [components]}]}", "add serving to a phase"),
        ("{phases: [{name: a}, {name: a}]}", "two phases have this name"),
    ],
)
def test_a_mistake_is_named_with_its_fix(minimal: str, section: str, says: str) -> None:
    with pytest.raises(InputError, match=says.replace("?", r"\?")):
        phases(f"{minimal}\nrollout: {section}\n")


def test_its_own_phases_may_only_measure(minimal: str) -> None:
    parts = "[components, scheduling, tenancy, storage, serving, autoscaling, observability]"
    found = phases(
        f"{minimal}\nrollout: {{phases: [{{name: all, include: {parts}}}, {{name: prove, gates: [week-1/*]}}]}}\n"
    )

    assert [(phase.name, len(phase.gates)) for phase in found] == [("all", 0), ("prove", 1)]
    assert found[1].objects == ()
