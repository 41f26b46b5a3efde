"""Evidence of a rollout as large as the demo's, made up from a seed: for screenshots and for the page's size, never a result."""

import json
import math
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

__all__ = ["BEGIN", "rich_evidence"]

BEGIN = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
LAB = "lab at 60 times the wall's speed"
_GATES = (
    ("week-1/device-plugin", "GPUs are visible on every GPU node", "8 GPUs on each of 6 nodes", {"gpu_nodes": 6, "gpus": 48}),
    ("week-1/taint", "An untolerated pod does not reach a GPU node, and the taint is why", "Pending, for the taint alone", {"untolerated": "Pending", "tolerated_seconds": 4.2}),
    ("week-1/spread", "Replicas of a model stand on different nodes", "no two replicas on one node", {"replicas": 4, "nodes": 4}),
    ("week-1/quota", "The quota refuses the pod that exceeds it", "403 at the ninth GPU", {"accepted": 8, "refused": 1}),
    ("week-1/limit-range", "Eight GPUs are refused in experiments", "403 for 8, accepted for 1", {"refused": 8, "accepted": 1}),
    ("week-1/preemption", "Training gives way to production, not the reverse", "preempted within 60 s", {"seconds_to_preempt": 11.5, "reverse": False}),
    ("week-2/openai", "The model answers over the OpenAI protocol", "200 and a finished answer", {"status": 200, "ttft_seconds": 0.214}),
    ("week-2/v2", "The model answers over the V2 protocol", "200 and a finished answer", {"status": 200}),
    ("week-2/canary-share", "A tenth of the requests reach the canary", "10 % inside a 99 % interval", {"share": 0.104, "low": 0.085, "high": 0.127, "requests": 1500}),
    ("week-2/promote", "Promotion moves all traffic, and both endpoints answer throughout", "100 % within 120 s, no failed request", {"seconds": 48, "failed": 0}),
    ("week-2/roll-back", "Rolling back moves it all back", "0 % within 120 s", {"seconds": 36.5, "failed": 0}),
    ("week-3/scale-up", "A queue of more than 3 brings four replicas", "from 1 to 4 within 120 s", {"seconds_to_4_replicas": 97.0, "queue_max": 31}),
    ("week-3/scale-down", "Replicas go after the cooldown", "1 replica within 600 s", {"seconds": 412}),
    ("week-3/to-zero", "The batch tier sleeps and wakes", "0, then an answer within 300 s", {"asleep_after": 330, "woke_after": 201.4}),
    ("week-3/warm", "The production tier is never at zero", "at least 1 ready throughout", {"least_ready": 1}),
    ("week-4/metrics", "Every metric of the catalogue is there and sane", "no missing series", {"series": 41, "missing": []}),
    ("week-4/dashboards", "Every query of the dashboards returns data", "no empty panel", {"queries": 63, "empty": 1, "panel": "Tensor cores"}),
    ("week-4/page", "A full KV cache pages somebody", "received within 180 s of crossing 90 %", {"seconds_to_page": 96.0, "receiver": "pagerduty"}),
)  # fmt: skip


def rich_evidence(seed: int = 0) -> dict[str, Any]:
    """The whole document; same seed, same document."""
    chance = random.Random(seed)  # noqa: S311  # seeded on purpose
    before = (BEGIN, BEGIN + timedelta(minutes=30))
    gates, end = _gates(chance, before[1] + timedelta(minutes=2))
    after = (end + timedelta(minutes=4), end + timedelta(minutes=34))
    incident = end + timedelta(minutes=12)
    whole = (before[0], after[1])
    price = 2.79
    return {
        "gates": gates,
        "canary": _canary(chance, gates),
        "audit_before": _audit({"scheduling": (9, 6), "serving": (7, 5), "autoscaling": (5, 3), "tenancy": (8, 2), "observability": (6, 7), "security": (2, 9)}, 31),
        "audit_after": _audit({"scheduling": (0, 0), "serving": (0, 1), "autoscaling": (0, 0), "tenancy": (0, 0), "observability": (0, 1), "security": (0, 2)}, 96),
        "figures": _figures(before, after),
        "series": _series(chance, whole, before[1], end, incident),
        "windows": {"before": {"from": _iso(before[0]), "to": _iso(before[1])}, "after": {"from": _iso(after[0]), "to": _iso(after[1])}},
        "incident": {
            "what": "KV cache of llama3-70b filled to 97 % by stoker lab fault kv-cache", "alert": "LLMKVCacheSaturated", "receiver": "pagerduty",
            "injected": _iso(incident), "saturated": _iso(incident + timedelta(seconds=14)), "fired": _iso(incident + timedelta(seconds=74)),
            "paged": _iso(incident + timedelta(seconds=110)), "resolved": _iso(incident + timedelta(seconds=640)), "source": LAB,
        },
        "incident_traffic": {"what": "node a100-sxm-80gb-2 stopped answering", "injected": _iso(incident + timedelta(minutes=11)), "recovered": _iso(incident + timedelta(minutes=14, seconds=20)), "requests": 342, "answered": 339},
        "traffic": {
            "before": {"requests": 503, "answered": 417, "e2e_seconds": {"p50": 21.4, "p95": 96.0, "p99": 141.0}, "source": LAB},
            "after": {"requests": 503, "answered": 503, "e2e_seconds": {"p50": 9.2, "p95": 14.8, "p99": 17.3}, "source": LAB},
        },
        "price": {"usd_per_gpu_hour": price, "source": "list price: A100-SXM-80GB $2.79, lambda on-demand, gpu_8x_a100_80gb_sxm4 (2026-11-24)"},
        "provenance": {
            "stoker": "0.1.0", "made_up": "for screenshots of the page; nothing here was measured", "seed": seed, "measured_on": LAB,
            "trace": "azure2023_conv.csv, cut", "machine": "2 cores, 24 GiB", "prometheus": "2.42.0", "kubernetes": "1.36 (lab)",
            "engines": {"llama3-70b": "vllm 0.33.0", "llama3-8b-batch": "vllm 0.33.0"},
        },
    }  # fmt: skip


def _iso(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def _gates(chance: random.Random, at: datetime) -> tuple[list[dict[str, Any]], datetime]:
    found, phase = [], ""
    for name, title, threshold, measured in _GATES:
        week = name.partition("/")[0]
        at += timedelta(seconds=90 if week != phase else 6)
        phase = week
        took = timedelta(
            seconds=round(chance.uniform(6, 60) * (6 if "scale" in name or "zero" in name else 1), 1)
        )
        verdict = "inconclusive" if name.endswith("dashboards") else "passed"
        reason = (
            "one query returns nothing: DCGM_FI_PROF_PIPE_TENSOR_ACTIVE is not exported here"
            if verdict != "passed"
            else f"{title}: measured as wanted"
        )
        found.append({
            "id": name, "phase": week, "title": title, "verdict": verdict, "reason": reason, "measured": measured, "threshold": threshold,
            "evidence": [
                {"at": _iso(at + took * share), "what": f"step {number + 1} of the procedure of {name}", "data": {"pod": f"probe-{chance.randrange(16**5):05x}", "seen": number}}
                for number, share in enumerate((0.1, 0.5, 0.9))
            ],
            "started": _iso(at), "ended": _iso(at + took), "source": LAB, "cleaned": True,
        })  # fmt: skip
        at += took
    return found, at


def _canary(chance: random.Random, gates: list[dict[str, Any]]) -> dict[str, Any]:
    at = datetime.fromisoformat(next(gate["started"] for gate in gates if gate["id"] == "week-2/promote"))
    begin, steps = at, []
    for percent in (5, 25, 50, 100):
        requests = chance.randrange(500, 900)
        answered = sum(chance.random() < percent / 100 for _ in range(requests))
        steps.append({"percent": percent, "started": _iso(at), "ended": _iso(at + timedelta(seconds=150)), "requests": requests, "answered": answered, "verdict": "not worse", "verdicts": {"ttft": "within", "errors": "within"}, "evidence": {"ttft": {"counts": [118, 2]}, "errors": {"counts": [0, 240, 0]}}})  # fmt: skip
        at += timedelta(seconds=150)
    return {"model": "llama3-70b", "outcome": "promoted", "started": _iso(begin), "ended": _iso(at), "steps": steps, "source": LAB,
            "reason": "TTFT, TPOT, errors and quality were within their margins at every step"}  # fmt: skip


def _audit(counts: dict[str, tuple[int, int]], score: int) -> dict[str, Any]:
    findings = [
        {"rule": f"{upgrade}-{severity}-{number}", "upgrade": upgrade, "severity": severity, "message": f"finding {number} of {upgrade}",
         "object": {"kind": "Deployment", "namespace": "assistants", "name": "chat"}}
        for upgrade, pair in counts.items() for severity, count in zip(("error", "warning"), pair, strict=True) for number in range(count)
    ]  # fmt: skip
    scores = {upgrade: max(0, 100 - 9 * pair[0] - 2 * pair[1]) for upgrade, pair in counts.items()}
    return {
        "source": "cluster lab",
        "date": "2026-11-27",
        "objects": 214,
        "findings": findings,
        "score": {"all": score, **scores, "computation": {}},
    }


def _figures(before: tuple[datetime, datetime], after: tuple[datetime, datetime]) -> list[dict[str, Any]]:
    values = {
        "gpus": ("count", 48, 48), "gpus_held": ("count", 44, 26.4), "gpu_busy": ("ratio", 0.176, 0.412), "gpu_useful": ("ratio", None, None),
        "oom_incidents": ("count", 2, 0), "gpu_crashes": ("count", 3, 0), "ttft_p50": ("seconds", 0.92, 0.311), "ttft_p95": ("seconds", 14.2, 1.84),
        "ttft_p99": ("seconds", 31.7, 4.05), "requests": ("count", 11_840, 12_215), "error_share": ("ratio", 0.021, 0.0004),
        "cold_starts": ("count", 3, 9), "cold_start_p50": ("seconds", 571, 188),
    }  # fmt: skip
    sources = {
        "gpu_busy": "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "gpu_useful": "DCGM_FI_PROF_SM_ACTIVE",
        "requests": "vllm:request_success_total",
    }
    return [
        {"measure": name, "phase": phase, "value": pair[index], "unit": unit, "source": f"{sources.get(name, 'vllm:time_to_first_token_seconds_bucket' if 'ttft' in name else 'kube_pod_status_phase')}; http://127.0.0.1:9090, {LAB}",
         "query": f"avg_over_time((made_up_{name})[1800s:15s])", "window": [_iso(window[0]), _iso(window[1])],
         "why": "DCGM_FI_PROF_SM_ACTIVE is not among the exporter's default counters" if pair[index] is None else ""}
        for name, (unit, *pair) in values.items() for index, (phase, window) in enumerate((("before", before), ("after", after)))
    ]  # fmt: skip


def _series(
    chance: random.Random,
    whole: tuple[datetime, datetime],
    begin: datetime,
    end: datetime,
    incident: datetime,
) -> list[dict[str, Any]]:
    step = 15.0
    start, stop = whole[0].timestamp(), whole[1].timestamp()
    times = [start + step * number for number in range(int((stop - start) / step) + 1)]

    def share(at: float) -> float:
        return min(1.0, max(0.0, (at - begin.timestamp()) / (end - begin).total_seconds()))

    def line(name: str, unit: str, value: Any) -> dict[str, Any]:
        points = [[at, value(at)] for at in times]
        return {
            "name": name,
            "unit": unit,
            "source": f"http://127.0.0.1:9090, {LAB}",
            "query": f"made_up_{name}",
            "window": [_iso(whole[0]), _iso(whole[1])],
            "points": points,
            "phase": "whole",
        }

    def noisy(low: float, high: float, noise: float) -> Any:
        return lambda at: round(
            max(0.0, low + (high - low) * share(at) + noise * (math.sin(at / 240) + chance.gauss(0, 0.6))), 5
        )

    def latency(low: float, high: float) -> Any:
        return lambda at: (
            None
            if abs(at - begin.timestamp() - 700) < 120
            else round(
                math.exp(
                    math.log(low)
                    + (math.log(high) - math.log(low)) * share(at)
                    + chance.gauss(0, 0.22)
                    + 0.3 * math.sin(at / 500)
                ),
                5,
            )
        )

    def cache(at: float) -> float:
        since = at - incident.timestamp()
        return round(
            min(1.0, 0.93 + 0.04 * min(1.0, since / 60))
            if 0 <= since <= 520
            else max(0.05, 0.42 + 0.12 * math.sin(at / 300) + chance.gauss(0, 0.03)),
            4,
        )

    return [
        line("gpu_held", "ratio", noisy(0.92, 0.55, 0.02)),
        line("gpu_busy", "ratio", noisy(0.17, 0.41, 0.03)),
        line("ttft_p50", "seconds", latency(0.9, 0.3)),
        line("ttft_p95", "seconds", latency(14, 1.8)),
        line("ttft_p99", "seconds", latency(32, 4.0)),
        line("requests_waiting", "requests", noisy(42, 4, 6)),
        line("requests_running", "requests", noisy(120, 96, 9)),
        line("kv_cache_usage", "ratio", cache),
        line("replicas", "count", lambda at: round(4 - share(at) + (2 if 0.6 < share(at) < 0.8 else 0))),
        {"name": "gpu_useful", "unit": "ratio", "points": [], "why": "DCGM_FI_PROF_SM_ACTIVE is not among the exporter's default counters", "source": f"http://127.0.0.1:9090, {LAB}"},
    ]  # fmt: skip


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(rich_evidence()), encoding="utf-8")
