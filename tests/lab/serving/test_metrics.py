"""The page of metrics: vLLM's names by release, in a form that Prometheus reads, and figures that belong together."""

import re
import subprocess

import pytest
from tests.lab.serving.conftest import Client, VirtualClock

from stoker.catalog.engines import Metric, engine, release
from stoker.lab.serving.engine import Engine
from stoker.lab.serving.exposition import number
from stoker.lab.serving.http_stats import HttpStats
from stoker.lab.serving.metrics import ServerFacts, server_page
from stoker.lab.serving.stats import Histogram, one_two_five

RELEASES = [version for version in engine("vllm").releases if version != "0.6.6"]


def facts(version: str = "0.33.0", max_loras: int = 0) -> ServerFacts:
    return ServerFacts(version, 'a"model', 1e9, 1000, 16, 0.9, "auto", True, max_loras, 2e9)


def page(served: Engine, version: str = "0.33.0", max_loras: int = 0) -> str:
    http = HttpStats()
    http.note("POST", "/v1/completions", 200, received=10, sent=0, seconds=0.5)
    return server_page(
        facts(version, max_loras),
        served.stats,
        http,
        usage=served.usage,
        adapters=served.adapters(),
        now=2e9,
    ).decode()


def samples(text: str) -> dict[str, float]:
    rows = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in rows}


@pytest.fixture
def used(served: Engine, client: Client, clock: VirtualClock) -> Engine:
    for size in range(12):
        client.send(200 + 100 * size, 3 + size, hashes=list(range(50)))
    clock.run()
    return served


@pytest.fixture
def served(engine: Engine) -> Engine:
    return engine


@pytest.mark.parametrize("version", RELEASES)
def test_every_series_that_the_catalogue_knows_of_a_release_is_there(used: Engine, version: str) -> None:
    text = page(used, version, max_loras=2)
    known = release("vllm", version).metrics

    missing = [
        fact.name
        for fact in known.values()
        if not re.search(rf"^{re.escape(fact.name)}[{{ ]", text, re.MULTILINE)
    ]

    assert [] == missing


@pytest.mark.parametrize("version", RELEASES)
def test_labels_types_and_buckets_are_the_catalogues(used: Engine, version: str) -> None:
    text = page(used, version, max_loras=2)
    for role, fact in release("vllm", version).metrics.items():
        family = fact.base
        assert f"# TYPE {family} {fact.type}\n" in text, family
        line = next(line for line in text.splitlines() if line.startswith(f"{fact.name}{{"))
        names = set(re.findall(r'(\w+)="', line)) - {"le"}
        if role is not Metric.CACHE_CONFIG_INFO:
            assert set(fact.labels) == names, line
        if fact.buckets:
            bounds = [
                float(found)
                for found in re.findall(rf'^{re.escape(fact.name)}{{.*le="([^"]+)"', text, re.MULTILINE)
            ]
            assert [*fact.buckets, float("inf")] == bounds


@pytest.mark.parametrize("version", RELEASES)
def test_promtool_reads_the_page(used: Engine, version: str) -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=page(used, version),
        capture_output=True,
        text=True,
        check=False,
    )

    # vLLM's own names break two of the linter's rules; nothing else may.
    lint = [line for line in done.stderr.splitlines() if "should not contain ':'" not in line]
    allowed = 'vllm:iteration_tokens_total non-counter metrics should not have "_total" suffix'
    assert [] == [line for line in lint if line != allowed]


def test_an_old_release_has_its_old_names(used: Engine) -> None:
    text = page(used, "0.9.1")

    assert "vllm:gpu_cache_usage_perc{" in text
    assert "vllm:time_per_output_token_seconds_bucket{" in text
    assert "vllm:kv_cache_usage_perc{" not in text
    assert "vllm:inter_token_latency_seconds_bucket{" not in text


def test_an_engine_that_is_no_vllm_has_none_of_its_series(used: Engine) -> None:
    assert "vllm:" not in page(used, "")


def test_tokens_and_counts_belong_together(used: Engine) -> None:
    found = samples(page(used))
    base = '{engine="0",model_name="a\\"model"}'
    value = {name.removesuffix(base): amount for name, amount in found.items() if name.endswith(base)}

    answers = sum(3 + size for size in range(12))
    assert answers == value["vllm:generation_tokens_total"] == value["vllm:request_generation_tokens_sum"]
    assert sum(200 + 100 * size for size in range(12)) == value["vllm:prompt_tokens_total"]
    assert value["vllm:prompt_tokens_total"] == value["vllm:request_prompt_tokens_sum"]
    assert answers - 12 == value["vllm:inter_token_latency_seconds_count"]
    assert (
        12
        == value["vllm:time_to_first_token_seconds_count"]
        == value["vllm:e2e_request_latency_seconds_count"]
    )
    assert value["vllm:prompt_tokens_total"] == value["vllm:prefix_cache_queries_total"]
    assert 0 < value["vllm:prefix_cache_hits_total"] == value["vllm:prompt_tokens_cached_total"]
    computed = value["vllm:prompt_tokens_total"] - value["vllm:prefix_cache_hits_total"]
    assert computed == value["vllm:request_prefill_kv_computed_tokens_sum"]
    assert computed + answers == value["vllm:iteration_tokens_total_sum"]
    parts = value["vllm:request_prefill_time_seconds_sum"] + value["vllm:request_decode_time_seconds_sum"]
    assert pytest.approx(parts) == value["vllm:request_inference_time_seconds_sum"]
    ended = sum(amount for name, amount in found.items() if name.startswith("vllm:request_success_total"))
    assert 12 == ended
    assert (0, 0, 0) == tuple(
        value[f"vllm:{name}"]
        for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
    )


def test_a_busy_engine_shows_what_it_does(engine: Engine, client: Client, clock: VirtualClock) -> None:
    for _ in range(300):
        client.send(1000, 100)
    clock.run(clock.now() + 3)
    found = samples(page(engine))

    running = found['vllm:num_requests_running{engine="0",model_name="a\\"model"}']
    waiting = found['vllm:num_requests_waiting{engine="0",model_name="a\\"model"}']
    assert (len(engine.running), len(engine.waiting)) == (running, waiting)
    assert 300 == running + waiting
    assert 0 < found['vllm:kv_cache_usage_perc{engine="0",model_name="a\\"model"}'] < 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0"),
        (0.005, "0.005"),
        (1234567, "1.234567e+06"),
        (float("inf"), "+Inf"),
        (6442450944.0, "6.442450944e+09"),
        (-2, "-2.0"),
    ],
)
def test_numbers_are_written_as_go_writes_them(value: float, text: str) -> None:
    assert text == number(value)


def test_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram((1, 2, 5))
    for value in (0.5, 1, 1.5, 5, 9):
        histogram.observe(value)

    assert ([2, 1, 1, 1], 5, 17.0) == (histogram.counts, histogram.count, histogram.sum)


def test_bounds_of_token_counts_end_at_the_context() -> None:
    assert (1, 2, 5, 10, 20, 50, 100) == one_two_five(100)
    assert 5000 == one_two_five(8192)[-1]
