"""Every query against a real Prometheus that holds a history whose figures are known."""

import json
from datetime import timedelta

import httpx2
import pytest
from tests.report.rollout.history import AFTER, BEFORE, BEGIN, SCRAPE_S

from stoker import promql
from stoker.errors import UnreachableError
from stoker.kube.prometheus import Prometheus
from stoker.report.rollout.evidence import Figure, Price, Series, Window, parse_evidence
from stoker.report.rollout.measures import GPU_KINDS, LINES, MEASURES, filled, step_of
from stoker.report.rollout.measuring import Taken, list_price, take


@pytest.fixture(scope="module")
def taken(prometheus: str) -> Taken:
    with Prometheus(prometheus) as server:
        return take(server, {"before": BEFORE, "after": AFTER}, measured_on="live")


def figure(taken: Taken, measure: str, phase: str) -> Figure:
    return next(found for found in taken.figures if (found.measure, found.phase) == (measure, phase))


def line(taken: Taken, name: str) -> Series:
    return next(found for found in taken.series if found.name == name)


@pytest.mark.parametrize(
    ("measure", "before", "after"),
    [
        pytest.param("gpus", 16, 16, id="CPUs are no GPUs"),
        pytest.param("gpus_held", 8, 8, id="a pending pod holds nothing"),
        pytest.param("gpu_busy", 0.2, 0.6, id="a shared GPU counts once"),
        pytest.param("oom_incidents", 2, 0, id="two kills, and no data is not what none is"),
        pytest.param("gpu_crashes", 0, 1, id="a crash is no kill"),
        pytest.param("ttft_p50", 5.5, 0.0556, id="median between the bounds"),
        pytest.param("ttft_p95", 9.55, 0.55, id="P95 between the bounds"),
        pytest.param("requests", 1200, 1200, id="requests"),
        pytest.param("error_share", 0.01, 0.0, id="errors"),
        pytest.param("cold_starts", 0, 1, id="one pod was made"),
    ],
)
def test_a_figure_is_what_the_history_holds(taken: Taken, measure: str, before: float, after: float) -> None:
    assert pytest.approx(before, rel=0.02, abs=1e-9) == figure(taken, measure, "before").value
    assert pytest.approx(after, rel=0.02, abs=1e-9) == figure(taken, measure, "after").value


def test_a_cold_start_lasts_from_creation_to_ready(taken: Taken) -> None:
    """Seen at the first step at which it is ready: up to one step late."""
    found = figure(taken, "cold_start_p50", "after")
    assert found.value is not None
    assert 120 <= found.value <= 120 + 2 * SCRAPE_S
    assert (None, True) == (
        figure(taken, "cold_start_p50", "before").value,
        bool(figure(taken, "cold_start_p50", "before").why),
    )


def test_what_no_series_tells_is_no_data_with_the_reason(taken: Taken) -> None:
    found = figure(taken, "gpu_useful", "after")

    assert None is found.value
    assert "not among the exporter's default counters" in found.why
    assert ((), True) == (line(taken, "gpu_useful").points, bool(line(taken, "gpu_useful").why))


def test_a_figure_says_what_was_asked_of_whom_and_when(taken: Taken, prometheus: str) -> None:
    found = figure(taken, "gpu_busy", "after")

    assert f"DCGM_FI_PROF_GR_ENGINE_ACTIVE; {prometheus}, live" == found.source
    assert (AFTER, "", True) == (found.window, found.note, "[1800s:15s]" in found.query)


def test_a_window_with_data_for_a_part_of_it_says_so(prometheus: str) -> None:
    half = Window(BEGIN - timedelta(minutes=30), BEGIN + timedelta(minutes=30))
    with Prometheus(prometheus) as server:
        found = figure(take(server, {"before": half}), "gpu_busy", "before")

    assert pytest.approx(0.2) == found.value
    assert "50 % of the window has data" == found.note


def test_where_nothing_was_scraped_nothing_is_zero(prometheus: str) -> None:
    empty = Window(BEGIN - timedelta(hours=3), BEGIN - timedelta(hours=2))
    with Prometheus(prometheus) as server:
        found = take(server, {"before": empty})

    assert {None} == {each.value for each in found.figures}
    assert all(each.why for each in found.figures)
    assert all(not each.points and each.why for each in found.series)
    assert None is found.price


def test_lines_cover_both_windows_with_gaps_where_there_was_nothing(taken: Taken) -> None:
    found = line(taken, "gpu_busy")
    values = dict(found.points)

    assert (BEFORE.start.timestamp(), AFTER.end.timestamp()) == (found.points[0][0], found.points[-1][0])
    assert pytest.approx(0.2) == values[BEFORE.start.timestamp()]
    assert pytest.approx(0.6) == values[AFTER.end.timestamp()]
    assert {7.0} == {value for _, value in line(taken, "requests_waiting").points}


def test_the_price_is_the_catalogues_for_what_the_exporter_names(taken: Taken) -> None:
    assert taken.price is not None
    assert list_price({"NVIDIA A100-SXM4-80GB": 16.0}) == taken.price
    assert None is list_price({"NVIDIA A100-SXM4-80GB": 16.0, "a GPU of tomorrow": 1.0})


def test_a_price_that_is_given_stays(prometheus: str) -> None:
    with Prometheus(prometheus) as server:
        assert (
            Price(1.5, "a contract") == take(server, {"after": AFTER}, price=Price(1.5, "a contract")).price
        )


def test_what_was_taken_comes_back_from_the_evidence(taken: Taken) -> None:
    found = parse_evidence(json.dumps({"gates": [], **taken.as_json()}, allow_nan=False))

    assert (taken.figures, taken.series, taken.price) == (found.figures, found.series, found.price)
    assert dict(taken.windows) == dict(found.windows)


def test_every_alternative_is_a_query_that_prometheus_accepts(prometheus: str) -> None:
    """The first with data hides the others; here each is asked."""
    asks = [
        *(ask for measure in MEASURES.values() for ask in measure.asks),
        *(ask for each in LINES for ask in each.asks),
    ]
    queries = {GPU_KINDS, *(ask.query for ask in asks), *(ask.inside for ask in asks if ask.inside)}
    with Prometheus(prometheus) as server:
        for query in sorted(queries):
            asked = filled(query, 1800, step_of(1800), BEGIN.timestamp())
            assert "$" not in asked
            promql.parse(asked)
            server.instant(asked, AFTER.end)


def test_a_query_that_is_refused_leaves_the_others_and_says_so() -> None:
    refusal = httpx2.Response(400, json={"status": "error", "error": "too many samples"})

    with Prometheus("http://user:secret@p:9", httpx2.MockTransport(lambda _: refusal)) as server:
        found = take(server, {"after": AFTER}, price=Price(1.0))

    assert {(None, "Prometheus refused a query: too many samples")} == {
        (each.value, each.why) for each in found.figures
    }
    assert {"Prometheus refused a query: too many samples"} == {each.why for each in found.series}
    assert "secret" not in json.dumps(found.as_json())


def test_an_absent_server_is_unreachable() -> None:
    with Prometheus("http://127.0.0.1:1") as server, pytest.raises(UnreachableError):
        take(server, {"after": AFTER})
