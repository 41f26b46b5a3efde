"""A fast lab's Prometheus says what a slow one's would."""

import asyncio
import json
import subprocess
from pathlib import Path

import httpx2
import promql_parser
import pytest
from tests.lab.monitoring.world import (
    make_lab,
    needs_prometheus,
    needs_promtool,
    pod,
    pod_monitor,
    rule,
    run_pod,
    start_engine,
)

from stoker.errors import StokerError
from stoker.lab.monitoring import LabTime, Monitoring, scaled_query
from stoker.lab.monitoring.speed import (
    _Printer,
    duration_text,
    scaled_duration,
    scaled_interval,
    seconds_of_duration,
    useful_speed,
)

EXPRESSIONS = (
    'sum by (le) (rate(x_bucket{m="a\\"b\\\\c"}[1m30s]))',
    "a / ignoring (x) group_right (y) b",
    "a * on (x) group_left () b",
    "a > bool on (x) b",
    "-a ^ 2 ^ 3",
    "(a - b) - c % d atan2 e",
    "sum without (b) (a) unless on () c",
    'quantile(0.9, a) or count_values("x", b)',
    "foo @ start() offset -3m",
    "max_over_time(rate(x[5m])[1h:1m] @ end() offset 5m)",
    'label_replace(a, "x", "$1", "y", "(.*)\\\\.z")',
    '{__name__=~"a|b",x!~"c\\n"}',
    'absent(up{job="x"}) and on () hour(a) > 1e-7',
    "topk(3, a) == Inf",
)  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_printer_writes_what_it_has_read(expression: str) -> None:
    tree = promql_parser.parse(expression)
    assert str(tree) == str(promql_parser.parse(_Printer(LabTime()).text(tree)))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(a[5m])", "(rate(a[30s]) / 10)"),
        ("increase(a[5m] offset 1h)", "increase(a[30s] offset 6m)"),
        ("max_over_time(a[1h:1m])", "max_over_time(a[6m:6s])"),
        ("predict_linear(a[1h], 3600) < 0", "predict_linear(a[6m], (3600) / 10) < 0"),
        ("time() - a", "((time() - 1000) * 10 + 5000) - a"),
        ("timestamp(a)", "((timestamp(a) - 1000) * 10 + 5000)"),
        ("hour() > 8", "hour(vector(((time() - 1000) * 10 + 5000))) > 8"),
        ("hour(a) > 8", "hour(a) > 8"),
        ("a @ 6000", "a @ 1100.000"),
        ("deriv(a[10s])", "(deriv(a[1s]) / 10)"),
        ('x{a=~"b\\\\.c"}', 'x{a=~"b\\\\.c"}'),
    ],
)
def test_an_expression_is_translated(expression: str, expected: str) -> None:
    assert expected == scaled_query(expression, LabTime(10, wall=1000, lab=5000))


def test_nothing_is_touched_where_both_clocks_agree() -> None:
    assert "time(  )" == scaled_query("time(  )", LabTime(1, wall=7, lab=7.1))


def test_a_clock_that_stands_ahead_is_heeded_at_speed_one() -> None:
    assert "((time() - 100) * 1 + 900)" == scaled_query("time()", LabTime(1, wall=100, lab=900))
    assert "rate(a[5m])" == scaled_query("rate(a[5m])", LabTime(1, wall=100, lab=900))


def test_what_is_no_promql_is_refused() -> None:
    with pytest.raises(StokerError, match="no PromQL"):
        scaled_query("sum(", LabTime(2))


def test_durations_shrink_to_the_millisecond_and_intervals_have_a_floor() -> None:
    fast = LabTime(1000)
    assert "300ms" == scaled_duration("5m", fast)
    assert "1ms" == scaled_duration("100ms", fast)
    assert "0s" == scaled_duration("0m", fast)
    assert "100ms" == scaled_interval("15s", fast)
    assert "15s" == scaled_interval("15s", LabTime())
    assert 5400.0 == seconds_of_duration("1h30m")
    assert "1m1s234ms" == duration_text(61.2341)
    assert 150.0 == useful_speed(["15s", "30s", "1m"])


@needs_promtool
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_prometheus_reads_what_is_written(expression: str, tmp_path: Path) -> None:
    text = scaled_query(expression, LabTime(7.5, wall=1.7e9, lab=1.8e9))
    path = tmp_path / "r.yaml"
    path.write_text(json.dumps({"groups": [{"name": "a", "rules": [{"record": "a", "expr": text}]}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr


async def through_the_proxy(monitoring: Monitoring) -> float:
    """What somebody sees who knows nothing of speeds: the value, at a time that is the lab's."""
    async with httpx2.AsyncClient(base_url=monitoring.status().prometheus_url) as client:
        now = monitoring.local.cluster.clock().timestamp()
        parameters: dict[str, str] = {"query": "sum(rate(requests_total[2m]))"}
        answer = (await client.post("/api/v1/query", data=parameters)).json()
        moment, value = answer["data"]["result"][0]["value"]
        assert now == pytest.approx(moment, abs=3 * monitoring.time.speed)
        window: dict[str, str] = {
            "start": f"{now - 60}",
            "end": f"{now}",
            "step": "15s",
            "query": parameters["query"],
        }
        series = (await client.get("/api/v1/query_range", params=window)).json()["data"]["result"][0][
            "values"
        ]
        assert 15.0 == pytest.approx(series[1][0] - series[0][0], abs=0.2)
        assert 400 == (await client.get("/api/v1/query", params={"query": "sum("})).status_code
        assert 200 == (await client.get("/api/v1/labels")).status_code
        return float(value)


async def ask_at_speed(speed: float, folder: Path) -> dict[str, float | None]:
    lab, user = make_lab(speed)
    engine = await start_engine()
    zero = lab.clock.seconds()

    def page() -> str:
        # Seven requests in each of the lab's seconds; half of them take 2 s.
        elapsed = lab.clock.seconds() - zero + 1000
        return (
            f"requests_total {7 * elapsed}\nstarted {zero}\n"
            f'latency_bucket{{le="1"}} {3.5 * elapsed}\nlatency_bucket{{le="4"}} {7 * elapsed}\n'
            f'latency_bucket{{le="+Inf"}} {7 * elapsed}\n'
        )

    engine.server.pages["/metrics"] = page
    user.create(pod_monitor(interval="5s"))
    record = {"record": "requests:rate1m", "expr": "sum(rate(requests_total[1m]))"}
    burn = {"record": "requests:count5m", "expr": "sum(increase(requests_total[2m]))"}
    user.create(rule([record, burn], interval="5s"))
    run_pod(user, pod("llama-0", port=engine.port, app="llama"))
    monitoring = await Monitoring.start(user, folder, lab.clock)
    queries = {
        "rate": "sum(rate(requests_total[1m]))",
        "recorded": "requests:rate1m",
        "increase": "sum(increase(requests_total[1m]))",
        "counted": "requests:count5m",
        "quantile": "histogram_quantile(0.99, sum by (le) (rate(latency_bucket[1m])))",
        "irate": "sum(irate(requests_total[1m]))",
        "deriv": "sum(deriv(requests_total[1m]))",
        "future": "sum(predict_linear(requests_total[1m], 600) - requests_total)",
        "age": "max(time() - started)",
        "staleness": "max(time() - timestamp(requests_total))",
    }
    try:
        assert await monitoring.ready()
        assert monitoring.client is not None
        # Two minutes of the lab's after the first scrape, so that every window is full.
        for _ in range(400):
            answer = await monitoring.client.instant("count_over_time(requests_total[2m]) > 22")
            if isinstance(answer, list):
                break
            await asyncio.sleep(0.1)
        found: dict[str, float | None] = {}
        for name, query in queries.items():
            answer = await monitoring.client.instant(query)
            found[name] = answer[0].value if isinstance(answer, list) else None
        found["clock"] = lab.clock.seconds() - zero
        series = await monitoring.client.range(
            "sum(rate(requests_total[30s]))", lab.clock.seconds() - 60, lab.clock.seconds(), 15
        )
        assert isinstance(series, list)
        assert 15.0 == pytest.approx(series[0].times[1] - series[0].times[0], abs=0.1)
        found["range"] = series[0].values[-1]
        found["proxy"] = await through_the_proxy(monitoring)
        return found
    finally:
        await monitoring.stop()
        await engine.server.stop()


@needs_prometheus
@pytest.mark.parametrize("speed", [12.0, 40.0])
def test_values_are_the_labs_at_any_speed(speed: float, tmp_path: Path) -> None:
    found = asyncio.run(ask_at_speed(speed, tmp_path))
    about = {
        "rate": 7,
        "recorded": 7,
        "irate": 7,
        "deriv": 7,
        "range": 7,
        "increase": 420,
        "counted": 840,
        "future": 4200,
        "proxy": 7,
    }
    for name, expected in about.items():
        # Two samples an eighth of a second apart: a scrape that comes late by a few milliseconds is a large part of that.
        noise = 0.5 if name == "irate" else 0.2
        assert expected == pytest.approx(found[name] or 0, rel=noise), (name, found)
    quantile, age, clock, staleness = (
        found[name] or -1 for name in ("quantile", "age", "clock", "staleness")
    )
    assert 3.9 < quantile <= 4
    assert clock == pytest.approx(age, abs=3 * speed)
    assert -1 < staleness < 5 + 2 * speed
