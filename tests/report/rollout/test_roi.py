"""The table: what follows from what, what is not known, and what only the twin knows."""

import json
from dataclasses import replace
from typing import Any

import pytest

from stoker.errors import InputError
from stoker.report.rollout.claims import CLAIMS, Claim, Side, judge
from stoker.report.rollout.evidence import Evidence, Figure, Window
from stoker.report.rollout.measures import MEASURES
from stoker.report.rollout.report import build_report, default_windows, headline
from stoker.report.rollout.roi import rows
from stoker.report.rollout.shares import wilson
from stoker.report.rollout.simulated import parse_twin

TWIN: dict[str, Any] = {
    "gpu_allocated": 0.3, "gpu_utilization": 0.26, "gpu_useful": 0.14, "ttft_p50_s": 0.35, "ttft_p95_s": 3.4, "ttft_p99_s": None,
    "completed": 100, "oom_host_memory": 0, "oom_gpu_memory": 1, "cold_starts": 3, "cold_start_p50_s": 189.0,
    "cost_usd": 73.0, "idle_cost_usd": 36.5, "cluster": {"end_s": 3600.0, "owned_gpu_hours": 16.0},
    "provenance": {"trace": "t.csv", "traffic": "as recorded", "seed": 3},
}  # fmt: skip


def value(evidence: Evidence, measure: str, phase: str) -> Figure:
    row = next(row for row in rows(evidence) if row.measure.id == measure)
    return row.before if phase == "before" else row.after


def claim(measure: str) -> Claim:
    return next(claim for claim in CLAIMS if claim.measure == measure)


def test_money_is_gpus_times_price_times_a_month(small: Evidence) -> None:
    assert 16 * 2.0 * 730 == value(small, "bill_usd_month", "before").value
    assert pytest.approx(16 * 0.8 * 2.0 * 730) == value(small, "idle_usd_month", "before").value
    assert pytest.approx(16 * 0.3 * 2.0 * 730) == value(small, "idle_usd_month", "after").value


def test_money_without_a_price_is_no_data(small: Evidence) -> None:
    found = value(replace(small, price=None), "idle_usd_month", "after")

    assert (None, True) == (found.value, "no price" in found.why)


def test_what_follows_from_the_unknown_is_unknown_and_says_from_what(small: Evidence) -> None:
    assert value(small, "gpu_held", "before").value is None
    assert 0.75 == value(small, "gpu_held", "after").value
    unknown = replace(small, figures=(Figure("gpus", "after", None, why="not scraped"),))
    assert "GPUs in the cluster: not scraped" == value(unknown, "bill_usd_month", "after").why


def test_the_rollouts_own_times_come_from_the_evidence(small: Evidence) -> None:
    assert (150.0, 90.0) == (
        value(small, "rollout_seconds", "after").value,
        value(small, "page_seconds", "after").value,
    )
    assert small.canary is not None
    aborted = replace(small, canary=replace(small.canary, outcome="aborted"))
    assert (None, "the canary was aborted") == (
        value(aborted, "rollout_seconds", "after").value,
        value(aborted, "rollout_seconds", "after").why,
    )


def test_what_users_saw_stands_beside_what_the_engines_say(small: Evidence) -> None:
    assert (0.8, 31.5) == (
        value(small, "users_answered", "before").value,
        value(small, "users_p95", "before").value,
    )
    assert (None, "no request was sent") == (
        value(small, "users_answered", "after").value,
        value(small, "users_answered", "after").why,
    )


def test_every_row_without_a_value_says_why() -> None:
    for row in rows(Evidence(())):
        assert all(figure.value is None and figure.why for figure in (row.before, row.after))


@pytest.mark.parametrize(
    ("measure", "before", "after", "sides"),
    [
        pytest.param("gpu_busy", 0.22, 0.7, (Side.AGREES, Side.AGREES), id="within"),
        pytest.param("gpu_busy", 0.35, 0.26, (Side.DIFFERS, Side.DIFFERS), id="without"),
        pytest.param(
            "gpu_busy", None, 0.9, (Side.NOT_MEASURED, Side.AGREES), id="better than claimed agrees"
        ),
        pytest.param("ttft_p95", 5.05, 1.2, (Side.DIFFERS, Side.AGREES), id="faster than claimed agrees"),
        pytest.param("idle_usd_month", 100.0, 40.0, (Side.AGREES, Side.AGREES), id="a fall of 60 %"),
        pytest.param("idle_usd_month", 100.0, 114.0, (Side.DIFFERS, Side.DIFFERS), id="a rise"),
        pytest.param(
            "idle_usd_month", None, 40.0, (Side.NOT_MEASURED, Side.NOT_MEASURED), id="a fall from the unknown"
        ),
        pytest.param("rollout_seconds", None, 1200.0, (Side.NOT_MEASURED, Side.DIFFERS), id="twenty minutes"),
    ],
)
def test_claims_are_held_against_what_was_measured(
    measure: str, before: float | None, after: float | None, sides: tuple[Side, Side]
) -> None:
    unit = MEASURES[measure].unit
    found = judge(
        claim(measure),
        Figure(measure, "before", before, unit, why="x"),
        Figure(measure, "after", after, unit),
    )

    assert sides == (found.before, found.after)


@pytest.mark.parametrize(("seconds", "side"), [(1800, Side.NOT_MEASURED), (30 * 86_400, Side.AGREES)])
def test_half_an_hour_without_an_oom_kill_says_nothing_of_a_month(
    seconds: float, side: Side, small: Evidence
) -> None:
    window = small.windows["before"]
    assert window is not None
    long = Window(window.start, window.start + (window.end - window.start) * (seconds / 1800))
    found = judge(claim("oom_incidents"), None, Figure("oom_incidents", "after", 0.0, "count", window=long))

    assert side is found.after


def test_the_twin_stands_only_where_nothing_was_measured_and_decides_no_claim(small: Evidence) -> None:
    report = build_report(small, parse_twin(json.dumps({**TWIN, "baseline": TWIN})))
    p95 = report.row("ttft_p95")
    said = next(finding for finding in report.claims if finding.claim.measure == "ttft_p95")

    assert (None, 3.4, 2.5) == (
        p95.before.value,
        p95.simulated_before and p95.simulated_before.value,
        p95.after.value,
    )
    assert (Side.NOT_MEASURED, True) == (said.before, "simulated 3.4 s" in said.said_before)


@pytest.mark.parametrize(
    ("document", "phases"),
    [
        pytest.param(TWIN, {"after"}, id="one fleet"),
        pytest.param({**TWIN, "baseline": TWIN}, {"before", "after"}, id="with its baseline"),
        pytest.param(
            {**TWIN, "ladder": [{"label": "vanilla", **TWIN}, TWIN]}, {"before", "after"}, id="a ladder"
        ),
    ],
)
def test_a_simulations_money_is_scaled_to_a_month(document: dict[str, Any], phases: set[str]) -> None:
    found = parse_twin(json.dumps(document))
    after = {figure.measure: figure for figure in found if figure.phase == "after"}

    assert phases == {figure.phase for figure in found}
    assert (16.0, 73.0 * 730, 36.5 * 730) == tuple(
        after[name].value for name in ("gpus", "bill_usd_month", "idle_usd_month")
    )
    assert "ttft_p99" not in after
    assert all("simulated" in figure.source for figure in found)


def test_a_comparison_gives_its_first_and_last_fleet() -> None:
    fleets = [
        {"platform": name, "figures": {"gpu_utilization": {"mean": mean}, "ttft_p95_s": {"mean": None}}}
        for name, mean in (("a.yaml", 0.2), ("b.yaml", 0.3), ("c.yaml", 0.4))
    ]
    found = parse_twin(
        json.dumps({"fleets": fleets, "provenance": {"trace": "t", "traffic": "cut", "seeds": [0, 1]}})
    )

    assert [("before", 0.2), ("after", 0.4)] == [(figure.phase, figure.value) for figure in found]
    assert "seeds 0 to 1, c.yaml" in found[-1].source


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"fleets": []}', '{"fleets": [3]}', '{"gpu_utilization": "x", "cluster": 3}']
)
def test_what_is_no_simulation_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_twin(text)


def test_the_headline_counts_verdicts(small: Evidence) -> None:
    assert "1 of 3 gates passed, 1 failed, 1 inconclusive" == headline(build_report(small))
    assert "No gate was measured" == headline(build_report(Evidence(())))
    assert "The gate passed" == headline(build_report(replace(small, gates=small.gates[:1])))


def test_windows_are_as_long_as_the_rollout_where_none_is_named(small: Evidence) -> None:
    bare = replace(small, windows={})
    assert bare.rollout is not None
    begin, end = bare.rollout

    found = default_windows(bare, end + (end - begin) / 2)
    assert (begin, (end - begin).total_seconds()) == (found["before"].end, found["before"].seconds)
    assert (end, end + (end - begin) / 2) == (found["after"].start, found["after"].end)
    assert {"before"} == set(default_windows(bare, end)), "what has not been yet is not measured"
    assert small.windows == default_windows(small, end)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)]
)
def test_wilsons_interval_is_the_published_one(hits: int, trials: int, low: float, high: float) -> None:
    """Values of R's binom.confint(method = "wilson")."""
    assert pytest.approx((low, high), abs=1e-4) == wilson(hits, trials)
