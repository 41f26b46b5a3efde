"""Where a rollout stands and what comes next: every phase in its order, every gate before the next phase."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from stoker.rollout.evidence import Verdict
from stoker.rollout.state import Apply, Done, Measure, PhaseStatus, RolloutState, Stopped, begin, next_step

NOW = datetime(2026, 11, 28, tzinfo=UTC)
PHASES = [("week-1", ["week-1/taint", "week-1/quota"]), ("week-2", ["week-2/ready"])]


def fresh() -> RolloutState:
    return begin("r", "ai", "abc", PHASES)


def test_a_phase_is_applied_before_its_gates_and_passed_before_the_next() -> None:
    state = fresh()
    seen: list[object] = []
    for _ in range(10):
        step = next_step(state)
        seen.append(step)
        if isinstance(step, Apply):
            state = state.applying(step.phase, f"run-{step.phase}").applied(step.phase)
        elif isinstance(step, Measure):
            state = state.measured(step.phase, step.gate, Verdict.PASSED)
        else:
            break

    assert seen == [
        Apply("week-1"), Measure("week-1", "week-1/taint"), Measure("week-1", "week-1/quota"),
        Apply("week-2"), Measure("week-2", "week-2/ready"), Done(),
    ]  # fmt: skip
    assert [phase.status for phase in state.phases] == [PhaseStatus.PASSED, PhaseStatus.PASSED]


def test_every_gate_of_a_phase_is_measured_and_one_that_did_not_pass_stops_it() -> None:
    state = fresh().applying("week-1", "a").applied("week-1")
    state = state.measured("week-1", "week-1/taint", Verdict.INCONCLUSIVE)

    assert next_step(state, tried=frozenset({"week-1/taint"})) == Measure("week-1", "week-1/quota")
    state = state.measured("week-1", "week-1/quota", Verdict.PASSED)
    assert next_step(state, tried=frozenset({"week-1/taint", "week-1/quota"})) == Stopped(
        "week-1/taint is inconclusive", "week-1"
    )
    assert state.phase("week-1").status is PhaseStatus.FAILED
    assert next_step(state) == Measure("week-1", "week-1/taint")  # the next run measures it anew


def test_what_was_not_applied_or_not_measured_has_not_passed() -> None:
    state = fresh()
    assert state.verdict() is Verdict.INCONCLUSIVE

    state = state.applying("week-1", "a").applied("week-1").measured("week-1", "week-1/taint", Verdict.PASSED)
    assert state.verdict("week-1") is Verdict.INCONCLUSIVE

    state = state.measured("week-1", "week-1/quota", Verdict.PASSED)
    assert state.verdict("week-1") is Verdict.PASSED
    assert state.verdict() is Verdict.INCONCLUSIVE

    failed = state.measured("week-1", "week-1/taint", Verdict.FAILED)
    assert failed.verdict() is Verdict.FAILED
    assert state.measured("week-2", "week-2/ready", Verdict.FAILED).verdict("week-1") is Verdict.PASSED


def test_a_phase_without_gates_has_passed_when_it_is_applied_and_not_before() -> None:
    state = begin("r", "ai", "abc", [("only", [])])

    assert state.verdict() is Verdict.INCONCLUSIVE
    assert state.applying("only", "a").verdict() is Verdict.INCONCLUSIVE
    assert state.applying("only", "a").applied("only").verdict() is Verdict.PASSED


def test_a_rollback_that_was_cut_off_leaves_nothing_that_counts_as_passed() -> None:
    state = fresh().applying("week-1", "a").applied("week-1")
    for gate in PHASES[0][1]:
        state = state.measured("week-1", gate, Verdict.PASSED)

    cut = RolloutState.from_json(json.loads(json.dumps(state.rolling_back("week-1").as_json())))

    assert cut.verdict("week-1") is Verdict.INCONCLUSIVE
    assert cut.phase("week-1").runs == ("a",)  # what the next rollback undoes
    assert next_step(cut) == Apply("week-1")


def test_runs_are_counted_over_rollbacks() -> None:
    state = fresh().applying("week-1", "r-1").applying("week-1", "r-1").applying("week-1", "r-2")
    assert state.phase("week-1").times == 2

    assert state.rolled_back("week-1").phase("week-1").times == 2
    old = state.as_json()
    for phase in old["phases"]:
        del phase["times"]  # as versions before this one wrote it
    assert RolloutState.from_json(json.loads(json.dumps(old))) == state


def test_a_run_ends_after_the_phase_it_was_asked_for() -> None:
    state = fresh().applying("week-1", "a").applied("week-1")
    for gate in PHASES[0][1]:
        state = state.measured("week-1", gate, Verdict.PASSED)

    assert next_step(state, through="week-1") == Done()
    assert next_step(state) == Apply("week-2")


def test_a_pause_stops_it_before_the_next_step() -> None:
    assert next_step(fresh(), paused=True) == Stopped("it is paused; `stoker rollout resume` goes on")


def test_a_run_killed_while_it_applied_applies_again() -> None:
    assert next_step(fresh().applying("week-1", "a")) == Apply("week-1")


def test_what_was_measured_before_an_apply_counts_no_more() -> None:
    state = fresh().applying("week-1", "a").applied("week-1")
    state = state.measured("week-1", "week-1/taint", Verdict.PASSED).applying("week-1", "b")

    assert state.phase("week-1").verdicts == {}
    assert state.phase("week-1").runs == ("a", "b")


def test_a_phase_that_was_rolled_back_is_applied_again() -> None:
    state = fresh().applying("week-1", "a").applied("week-1").rolled_back("week-1")

    assert next_step(state) == Apply("week-1")
    assert state.phase("week-1").runs == ()


def test_a_phase_without_gates_has_passed_when_it_is_applied() -> None:
    state = begin("r", "ai", "abc", [("only", [])]).applying("only", "a").applied("only")

    assert state.phase("only").status is PhaseStatus.PASSED
    assert next_step(state) == Done()


def test_it_is_read_back_as_it_was_written() -> None:
    state = (
        fresh().applying("week-1", "a").applied("week-1").measured("week-1", "week-1/taint", Verdict.FAILED)
    )
    state = state.said(NOW, "ada@laptop", "week-1/taint: failed")

    assert RolloutState.from_json(json.loads(json.dumps(state.as_json()))) == state


@given(st.lists(st.sampled_from(list(Verdict)), max_size=30))
def test_no_order_of_verdicts_lets_a_phase_begin_before_the_one_before_it_has_passed(
    verdicts: list[Verdict],
) -> None:
    state, tried, left = fresh(), frozenset[str](), list(verdicts)
    for _ in range(60):
        step = next_step(state, tried=tried)
        if isinstance(step, Apply):
            before = state.phases[: [phase.name for phase in state.phases].index(step.phase)]
            assert all(phase.status is PhaseStatus.PASSED for phase in before)
            state = state.applying(step.phase, "a").applied(step.phase)
        elif isinstance(step, Measure):
            state = state.measured(step.phase, step.gate, left.pop() if left else Verdict.PASSED)
            tried |= {step.gate}
        elif isinstance(step, Stopped):
            tried = frozenset()  # the next run
        else:
            break
    assert isinstance(step, Done)
