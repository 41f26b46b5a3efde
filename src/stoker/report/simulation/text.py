"""A simulation as tables for a terminal."""

from collections.abc import Sequence

from stoker.twin.fleet.results import Figures, Result
from stoker.twin.fleet.simulation import FleetRun

__all__ = ["ROWS", "fault_lines", "figure_rows", "routing_lines", "seconds", "shown"]

_SHARES = frozenset(
    (
        "goodput",
        "kv_usage_mean",
        "kv_usage_p95",
        "gpu_allocated",
        "gpu_utilization",
        "gpu_useful",
        "slo_attainment",
    )
)
_SILENT = frozenset(("failed", "unfinished", "quota_refusals", "oom_host_memory", "oom_gpu_memory"))
# What a table shows, in its order, with the words for people.
ROWS = (
    ("requests", "requests"),
    ("completed", "completed"),
    ("refused", "refused"),
    ("failed", "failed"),
    ("unfinished", "unfinished"),
    ("goodput", "goodput (within the SLO)"),
    ("ttft_p50_s", "TTFT P50"),
    ("ttft_p95_s", "TTFT P95"),
    ("ttft_p99_s", "TTFT P99"),
    ("tpot_p50_s", "TPOT P50"),
    ("tpot_p95_s", "TPOT P95"),
    ("tpot_p99_s", "TPOT P99"),
    ("e2e_p50_s", "E2E P50"),
    ("e2e_p95_s", "E2E P95"),
    ("e2e_p99_s", "E2E P99"),
    ("queue_depth_mean", "queue depth, mean"),
    ("queue_depth_p95", "queue depth, P95"),
    ("kv_usage_mean", "KV cache usage, mean"),
    ("kv_usage_p95", "KV cache usage, P95"),
    ("preemptions", "preemptions"),
    ("lora_loads", "LoRA loads"),
    ("oom_incidents", "OOM incidents"),
    ("oom_host_memory", "  for want of host memory"),
    ("oom_gpu_memory", "  for want of GPU memory"),
    ("cold_starts", "cold starts"),
    ("cold_start_p50_s", "cold start P50"),
    ("quota_refusals", "pods refused by quota"),
    ("gpu_allocated", "GPUs allocated"),
    ("gpu_utilization", "GPUs busy"),
    ("gpu_useful", "GPUs useful"),
    ("cost_usd", "cost"),
    ("idle_cost_usd", "idle cost"),
)


def seconds(value: float) -> str:
    """A duration with three digits, in the unit that suits it."""
    if value < 0.9995:  # what rounds to a thousand milliseconds is a second
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s" if value < 600 else f"{value / 60:.3g} min"


def shown(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name in _SHARES:
        return f"{100 * value:.1f} %"
    if name.endswith("_s"):
        return seconds(value)
    if name.endswith("_usd"):
        return f"${value:,.0f}" if value >= 100 else f"${value:.2f}"
    return f"{value:,.0f}" if isinstance(value, int) or value >= 100 else f"{value:.2f}"


def figure_rows(columns: Sequence[Figures]) -> list[list[str]]:
    """A row per figure, a cell per column; figures that are nought everywhere are left out where they would be noise."""
    rows = []
    for name, words in ROWS:
        values = [getattr(figures, name) for figures in columns]
        if name in _SILENT and not any(values):
            continue
        rows.append([words, *(shown(name, value) for value in values)])
    return rows


def routing_lines(run: FleetRun) -> list[str]:
    """Requests that nothing served, with the names they asked for."""
    if not len(run.unrouted):
        return []
    names = {run.traffic.models[number] for number in set(run.traffic.model[run.unrouted].tolist())}
    return [
        f"{len(run.unrouted):,} requests refused: no model of the platform is {' or '.join(sorted(names))}"
    ]


def fault_lines(result: Result) -> list[str]:
    """What broke and what was changed, in sentences; none where nothing did."""
    tally, lines = result.faults, []
    if tally.node_failures or tally.spot_reclaims:
        lines.append(f"nodes: {tally.node_failures} failed, {tally.spot_reclaims} reclaimed")
    if tally.drains:
        lines.append(
            f"drains: {tally.drains}, {tally.evictions} pods evicted, "
            f"{tally.evictions_put_off} evictions put off by a PodDisruptionBudget"
        )
    if result.rollout_s:
        lines.append(
            f"rolling updates: {len(result.rollout_s)} complete, the longest {seconds(max(result.rollout_s))}"
        )
    return lines
