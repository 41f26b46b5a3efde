"""Every query against a real Prometheus that holds a history whose figures are known."""

import json
import math
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from stoker import promql
from stoker.errors import UnreachableError
from stoker.kube.prometheus import Prometheus
from stoker.report.rollout.evidence import Figure, Price, Series, Window, parse_evidence
from stoker.report.rollout.measures import GPU_KINDS, LINES, MEASURES, filled, step_of
from stoker.report.rollout.measuring import Taken, list_price, take

SCRAPE_S = 15
BEGIN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=6)
BEFORE = Window(BEGIN + timedelta(minutes=10), BEGIN + timedelta(minutes=40))
AFTER = Window(BEGIN + timedelta(minutes=60), BEGIN + timedelta(minutes=90))
BORN = BEGIN + timedelta(minutes=70)  # a pod that is made in the window after, and ready two minutes later
BOUNDS = (0.1, 1.0, 10.0)


def _history() -> str:
    """OpenMetrics text: 16 GPUs, 8 of them held; before they are a fifth busy and slow, after three fifths and fast."""
    lines: dict[str, list[str]] = {}
    moments = range(0, 6000, SCRAPE_S)

    def add(name: str, labels: str, value: float, at: float) -> None:
        lines.setdefault(name, []).append(f"{name}{{{labels}}} {value:.10g} {at:.0f}")

    for second in moments:
        at = BEGIN.timestamp() + second
        later = second >= 3000
        for node in ("a", "b"):
            add(
                "kube_node_status_allocatable",
                f'node="{node}",resource="nvidia_com_gpu",unit="integer"',
                8,
                at,
            )
            add("kube_node_status_allocatable", f'node="{node}",resource="cpu",unit="core"', 96, at)
            for gpu in range(8):
                device = (
                    f'gpu="{gpu}",UUID="GPU-{node}{gpu}",modelName="NVIDIA A100-SXM4-80GB",Hostname="{node}"'
                )
                # The first GPU is shared: two rows of one device, as the exporter has them.
                for pod in ("one", "two") if gpu == 0 else ("one",):
                    busy = 0.6 if later else 0.2
                    add("DCGM_FI_PROF_GR_ENGINE_ACTIVE", f'{device},pod="{pod}"', busy, at)
                    add("DCGM_FI_DEV_GPU_UTIL", f'{device},pod="{pod}"', 99, at)
        _pods(add, second, at)
        _engine(add, second, at)
    text = []
    for name, rows in lines.items():
        if not name.endswith("_bucket"):
            text.append(
                f"# TYPE {name.removesuffix('_total')} {'counter' if name.endswith('_total') else 'gauge'}"
            )
        text += rows
    return "\n".join([*text, "# EOF", ""])


def _pods(add: object, second: int, at: float) -> None:
    assert callable(add)
    born = second >= (BORN - BEGIN).total_seconds()
    pods = [("serving", 8, "Running", 0.0, 0.0), ("waiting", 4, "Pending", 0.0, math.inf)]
    if born:
        pods.append(("new", 0, "Running", BORN.timestamp(), BORN.timestamp() + 120))
    for name, gpus, phase, created, ready in pods:
        pod = f'namespace="ai",pod="{name}"'
        for each in ("Running", "Pending"):
            add("kube_pod_status_phase", f'{pod},phase="{each}"', each == phase, at)
        add(
            "kube_pod_container_resource_requests", f'{pod},container="c",resource="nvidia_com_gpu"', gpus, at
        )
        add("kube_pod_created", pod, created or BEGIN.timestamp() - 9000, at)
        add("kube_pod_status_ready", f'{pod},condition="true"', at >= ready, at)
    # Two OOM kills in the window before, and a crash in the window after.
    kills = (second >= 900) + (second >= 1500)
    container = 'namespace="ai",pod="serving",container="c"'
    add("kube_pod_container_status_restarts_total", container, kills + (second >= 4500), at)
    for reason in ("OOMKilled", "Error"):
        is_it = kills > 0 and (reason == "Error") == (second >= 4500)
        add("kube_pod_container_status_last_terminated_reason", f'{container},reason="{reason}"', is_it, at)


def _engine(add: object, second: int, at: float) -> None:
    """Ten requests a scrape: before between 1 and 10 s, after below 0.1 s but for one in twenty; one in a hundred fails before."""
    assert callable(add)
    slow = 10 * min(second, 3000) / SCRAPE_S
    fast = 10 * max(0, second - 3000) / SCRAPE_S
    labels = 'namespace="ai",pod="serving",model_name="m",engine="0"'
    under = {0.1: 0.9 * fast, 1.0: fast, 10.0: fast + slow, math.inf: fast + slow}
    for bound in (*BOUNDS, math.inf):
        le = "+Inf" if bound == math.inf else f"{bound:g}"
        add("vllm:time_to_first_token_seconds_bucket", f'{labels},le="{le}"', under[bound], at)
    add("vllm:request_success_total", f'{labels},finished_reason="stop"', fast + 0.99 * slow, at)
    add("vllm:request_success_total", f'{labels},finished_reason="error"', 0.01 * slow, at)
    add("vllm:num_requests_running", labels, 3, at)
    add("vllm:num_requests_waiting", labels, 7, at)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("prometheus is not installed")
    folder: Path = tmp_path_factory.mktemp("history")
    (folder / "history.txt").write_text(_history(), encoding="utf-8")
    (folder / "prometheus.yml").write_text("{}", encoding="utf-8")
    blocks = [
        "promtool",
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        str(folder / "history.txt"),
        str(folder / "data"),
    ]
    subprocess.run(blocks, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                if httpx2.get(f"{url}/-/ready").is_success:
                    break
            except httpx2.TransportError:
                pass
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


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
