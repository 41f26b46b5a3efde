"""Engine facts by release: names, flags, images."""

import re
from pathlib import Path

import pytest

from stoker.catalog.engines import (
    FlagState,
    Metric,
    MetricType,
    ModelArgument,
    engine,
    engines,
    flag_status,
    release,
)
from stoker.errors import UnknownNameError


def test_every_vllm_033_series_is_in_the_catalogue_of_the_fact_check(shared: Path) -> None:
    facts = (shared / "facts" / "facts.md").read_text()
    # The file quotes wrong and removed names too, even in the notes of a row: only first cells of the table count.
    catalogue = facts.split("## 2. Full vLLM metric catalogue")[1].split("Not present any more")[0]
    cells = [line.split("|")[1] for line in catalogue.splitlines() if line.startswith("| `")]
    known = {name for cell in cells for name in re.findall(r"`(vllm:[a-z0-9_]+)`", cell)}
    missing = [fact.base for fact in release("vllm", "0.33.0").metrics.values() if fact.base not in known]
    assert [] == missing


def test_vllm_033_has_a_series_for_every_role() -> None:
    assert set(Metric) == set(release("vllm", "0.33.0").metrics)


@pytest.mark.parametrize(
    ("version", "role", "expected"),
    [
        ("0.9.1", Metric.KV_CACHE_USAGE, "vllm:gpu_cache_usage_perc"),
        ("0.9.2", Metric.KV_CACHE_USAGE, "vllm:kv_cache_usage_perc"),
        ("0.9.2", Metric.ITL_BUCKET, "vllm:time_per_output_token_seconds_bucket"),
        ("0.10.2", Metric.ITL_BUCKET, "vllm:inter_token_latency_seconds_bucket"),
        ("0.19.0", Metric.WAITING_BY_REASON, None),
        ("0.23.0", Metric.WAITING_BY_REASON, "vllm:num_requests_waiting_by_reason"),
        ("0.30.0", Metric.ADMISSION_REJECTIONS, None),
        ("0.6.6", Metric.PREFIX_CACHE_HITS, None),
    ],
)
def test_vllm_renames_take_effect_at_their_release(version: str, role: Metric, expected: str | None) -> None:
    assert expected == release("vllm", version).metric(role)


def test_the_kv_cache_is_a_ratio_in_every_engine_that_reports_it() -> None:
    units = {
        fact.unit
        for item in engines()
        for version in item.releases
        for role, fact in release(item.name, version).metrics.items()
        if role is Metric.KV_CACHE_USAGE
    }
    assert {"ratio"} == units


def test_bucket_roles_are_histogram_buckets_with_rising_bounds() -> None:
    for item in engines():
        for version in item.releases:
            for role, fact in release(item.name, version).metrics.items():
                assert role.value.endswith("_BUCKET") == (fact.type is MetricType.HISTOGRAM), (version, role)
                assert role.value.endswith("_BUCKET") == fact.name.endswith("_bucket"), (version, role)
                assert sorted(set(fact.buckets)) == list(fact.buckets), (version, role)


@pytest.mark.parametrize(
    ("version", "flag", "state"),
    [
        ("0.33.0", "--tensor-parallel-size", FlagState.KNOWN),
        ("0.33.0", "--tensor_parallel_size=4", FlagState.KNOWN),
        ("0.33.0", "-tp", FlagState.KNOWN),
        ("0.33.0", "--swap-space", FlagState.REMOVED),
        ("0.16.0", "--swap-space", FlagState.KNOWN),
        ("0.33.0", "--model", FlagState.DEPRECATED),
        ("0.11.0", "--model", FlagState.KNOWN),
        ("0.16.0", "--shutdown-timeout", FlagState.FUTURE),
        ("0.19.0", "--shutdown-timeout", FlagState.KNOWN),
        ("0.27.0", "--max-num-queued-reqs", FlagState.FUTURE),
        ("0.33.0", "--no-such-flag", FlagState.UNKNOWN),
    ],
)
def test_flag_status_follows_the_release(version: str, flag: str, state: FlagState) -> None:
    assert state == flag_status("vllm", version, flag).state


def test_a_deprecated_flag_names_its_replacement() -> None:
    assert "--cudagraph-capture-sizes" == flag_status("vllm", "0.12.0", "--cuda-graph-sizes").replacement


def test_defaults_change_with_the_release() -> None:
    seen = [release("vllm", version).defaults["gpu_memory_utilization"] for version in ("0.19.0", "0.33.0")]
    assert [0.9, 0.92] == seen


def test_the_model_is_positional_since_the_image_runs_vllm_serve() -> None:
    old, new = release("vllm", "0.11.0"), release("vllm", "0.12.0")
    assert (ModelArgument.FLAG, "--model") == (old.model_argument, old.model_flag)
    assert (ModelArgument.POSITIONAL, ("vllm", "serve")) == (new.model_argument, new.entrypoint)


def test_a_version_between_two_releases_gets_the_older_facts() -> None:
    found = release("vllm", "0.22.1")
    assert ("0.22.1", "0.19.0", "v0.22.1", ()) == (
        found.version,
        found.facts_version,
        found.tag,
        found.notes,
    )


def test_a_newer_minor_gets_the_newest_facts_and_says_so() -> None:
    found = release("vllm", "0.40.0")
    assert "0.33.0" == found.facts_version
    assert "newer than 0.33.0" in found.notes[0]


def test_a_version_older_than_all_says_so() -> None:
    assert "older than 0.6.6" in release("vllm", "0.4.2").notes[0]


def test_published_images_are_pinned_by_an_exact_tag() -> None:
    for item in engines():
        if item.name != "custom":
            assert re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z0-9]+)?$", release(item.name).image_ref), item.name


def test_triton_serves_metrics_on_a_port_of_its_own() -> None:
    found = release("triton")
    assert (8000, 8002) == (found.port, found.metrics_port)


def test_sglang_has_metrics_only_with_its_flag() -> None:
    found = release("sglang")
    assert "--enable-metrics" == found.metrics_flag
    assert "sglang:num_queue_reqs" == found.metric(Metric.REQUESTS_WAITING)


def test_an_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        engine("vlm")
    assert ["vllm"] == caught.value.suggestions


def test_what_is_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match="not a version"):
        release("vllm", "latest")
