"""Measurements from a real Prometheus on loopback, and from answers that are none."""

import json
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
from stoker.audit.rules.observability.measured import QUERIES
from stoker.errors import StokerError, UnreachableError
from stoker.kube.prometheus import Prometheus, measure

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def answering(body: object, code: int = 200) -> httpx2.MockTransport:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx2.MockTransport(lambda _: httpx2.Response(code, content=content))


def vector(*samples: object) -> dict[str, object]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(samples)}}


def test_no_data_is_an_empty_answer_and_not_zero() -> None:
    item, unread = measure("http://p", {"q": "x"}, NOW, answering(vector()))

    assert {"q": []} == item.section("queries")
    assert () == unread


def test_nan_is_no_data() -> None:
    item, _ = measure(
        "http://p",
        {"q": "x"},
        NOW,
        answering(vector({"metric": {}, "value": [1, "NaN"]}, {"metric": {"a": "b"}, "value": [1, "2.5"]})),
    )

    assert [{"labels": {"a": "b"}, "value": 2.5}] == item.section("queries")["q"]


def test_a_refused_query_is_told_and_the_others_stand() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        bad = b"bad" in request.content
        return httpx2.Response(
            400 if bad else 200, json={"status": "error", "error": "parse error"} if bad else vector()
        )

    item, unread = measure("http://p", {"one": "bad", "two": "good"}, NOW, httpx2.MockTransport(answer))

    assert ["two"] == list(item.section("queries"))
    assert ["parse error" in entry.reason for entry in unread] == [True]


@pytest.mark.parametrize(("body", "code"), [(b"<html>", 200), (b"", 200), ({}, 401), ({}, 403)])
def test_what_is_no_prometheus_is_unreachable(body: object, code: int) -> None:
    with pytest.raises(UnreachableError):
        measure("http://p", {"q": "x"}, NOW, answering(body, code))


@pytest.mark.parametrize(
    "body",
    [
        [],
        3,
        {"status": "success"},
        {"status": "success", "data": {"resultType": "vector", "result": [3, {}, {"value": ["x"]}]}},
    ],
)
def test_odd_answers_raise_nothing_odd(body: object) -> None:
    try:
        item, _ = measure("http://p", {"q": "x"}, NOW, answering(body))
    except StokerError:
        return
    assert item.section("queries").get("q", []) == []


def test_the_token_is_sent_and_never_part_of_the_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOKER_PROMETHEUS_TOKEN", "s3cret")
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers["Authorization"])
        return httpx2.Response(200, json=vector())

    item, _ = measure("http://p", {"q": "x"}, NOW, httpx2.MockTransport(answer))

    assert ["Bearer s3cret"] == seen
    assert "s3cret" not in json.dumps(item.obj)


@pytest.mark.parametrize("name", list(QUERIES))
def test_every_query_is_promql(name: str) -> None:
    promql.parse(QUERIES[name])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "self", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    command = [
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    for _ in range(150):
        try:
            if (
                httpx2.get(f"{url}/-/ready").is_success
                and measure(url, {"up": "up"}, datetime.now(UTC))[0].section("queries")["up"]
            ):
                break
        except (httpx2.TransportError, StokerError):
            pass
        time.sleep(0.1)
    yield url
    process.terminate()
    process.wait(timeout=20)


def test_a_real_prometheus_answers_every_query(prometheus: str) -> None:
    """None is refused, and series that are not there are empty."""
    item, unread = measure(prometheus, {**QUERIES, "up": "up", "wrong": "sum(("}, datetime.now(UTC))
    queries = item.section("queries")

    assert [True] == ["wrong" in entry.what for entry in unread]
    assert set(QUERIES) | {"up"} == set(queries)
    assert [1.0] == [sample["value"] for sample in queries["up"]]
    assert [] == queries["ttft_p95"]


def matrix(*values: object) -> dict[str, object]:
    data = {"resultType": "matrix", "result": [{"metric": {"a": "b"}, "values": list(values)}]}
    return {"status": "success", "data": data}


def test_steps_without_a_sample_are_gaps_and_never_zero() -> None:
    start = NOW.timestamp()
    answer = answering(
        matrix([start, "1"], [start + 30, "NaN"], [start + 45, "2.5"], ["x"], [start + 9999, "7"])
    )
    with Prometheus("http://p", answer) as server:
        found = server.ranged("x", NOW, NOW + timedelta(minutes=1), timedelta(seconds=15))

    assert [{"a": "b"}] == [line.labels for line in found]
    assert ((0, 1.0), (15, None), (30, None), (45, 2.5), (60, None)) == tuple(
        (at - start, value) for at, value in found[0].points
    )


def test_a_range_without_series_is_no_line() -> None:
    with Prometheus(
        "http://p", answering({"status": "success", "data": {"resultType": "matrix", "result": []}})
    ) as server:
        assert [] == server.ranged("x", NOW, NOW + timedelta(minutes=1), timedelta(seconds=15))


def test_credentials_in_the_url_are_in_no_name_and_no_message() -> None:
    with Prometheus("http://ann:s3cret@p/prometheus/", answering(b"", 401)) as server:
        assert "http://p/prometheus" == server.name
        with pytest.raises(UnreachableError) as caught:
            server.now()

    assert "s3cret" not in caught.value.message
    item, _ = measure("http://ann:s3cret@p", {"q": "x"}, NOW, answering(vector()))
    assert "s3cret" not in json.dumps(item.obj)


@pytest.mark.parametrize("result", [[], [1], [1, "x"], [1, "inf"], [1, "1e300"], None])
def test_a_server_that_does_not_know_the_time_is_told_so(result: object) -> None:
    answer = answering({"status": "success", "data": {"resultType": "scalar", "result": result}})
    with Prometheus("http://p", answer) as server, pytest.raises(StokerError):
        server.now()


def test_a_real_prometheus_has_a_clock_and_a_past(prometheus: str) -> None:
    with Prometheus(prometheus) as server:
        now = server.now()
        found = server.ranged("up", now - timedelta(minutes=10), now, timedelta(seconds=1))

    assert abs(now - datetime.now(UTC)) < timedelta(minutes=5)
    assert 601 == len(found[0].points)
    assert {None, 1.0} == {value for _, value in found[0].points}, "up now, and nothing ten minutes ago"
