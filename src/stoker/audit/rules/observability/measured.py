"""What Prometheus measured: GPUs that are held, busy or useful; queues, caches and latency. No data is its own finding."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Hit, Severity
from stoker.audit.rule import rule
from stoker.audit.view.view import View
from stoker.kube.snapshot import Item
from stoker.sizing.report import HOURS_PER_MONTH

__all__ = ["QUERIES"]

_WINDOW: Final = "1h"
_BY: Final = "namespace, model_name"
# Instant queries by what they answer. Kept to series whose names are in the catalogue, kube-state-metrics or up.
QUERIES: Final[Mapping[str, str]] = {
    "gpus": 'sum(kube_node_status_allocatable{resource=~"nvidia_com_gpu|amd_com_gpu"})',
    "gpus_requested": 'sum(kube_pod_container_resource_requests{resource=~"nvidia_com_gpu|amd_com_gpu"} and on (namespace, pod) kube_pod_status_phase{phase="Running"} == 1)',
    "busy": f"avg(avg_over_time(DCGM_FI_DEV_GPU_UTIL[{_WINDOW}])) / 100",
    "sm_active": f"avg(avg_over_time(DCGM_FI_PROF_SM_ACTIVE[{_WINDOW}])) or avg(avg_over_time(DCGM_FI_PROF_GR_ENGINE_ACTIVE[{_WINDOW}]))",
    "xid": "max by (hostname, Hostname, gpu) (DCGM_FI_DEV_XID_ERRORS) > 0",
    "output_tokens": f"sum by ({_BY}) (rate(vllm:generation_tokens_total[{_WINDOW}]))",
    "queue_p95": f"histogram_quantile(0.95, sum by (le, {_BY}) (rate(vllm:request_queue_time_seconds_bucket[{_WINDOW}])))",
    "ttft_p95": f"histogram_quantile(0.95, sum by (le, {_BY}) (rate(vllm:time_to_first_token_seconds_bucket[{_WINDOW}])))",
    "kv_usage": f"max by ({_BY}) (max_over_time(vllm:kv_cache_usage_perc[{_WINDOW}]))",
    "preemptions": f"sum by ({_BY}) (rate(vllm:num_preemptions_total[{_WINDOW}]))",
    "errors": f'sum by ({_BY}) (rate(vllm:request_success_total{{finished_reason="error"}}[{_WINDOW}])) / sum by ({_BY}) (rate(vllm:request_success_total[{_WINDOW}]))',
    "restarts": "sum by (namespace, pod) (increase(kube_pod_container_status_restarts_total[1d])) > 3",
}  # fmt: skip
_SLO: Final = 2.0
_SLO_MARK: Final = "stoker.dev/ttft-p95-seconds"
# Codes of the project's facts (section 5); NVIDIA's table has the rest: https://docs.nvidia.com/deploy/xid-errors/
_XID: Final = {48: "double-bit ECC error", 63: "row remapping", 64: "row remapping failed", 79: "GPU has fallen off the bus",
               94: "contained ECC error", 95: "uncontained ECC error"}  # fmt: skip


def _measured(view: View) -> tuple[Item, ...]:
    return view.of("Measurements.stoker.dev")


def _answer(item: Item, name: str) -> list[Mapping[str, Any]] | None:
    """Samples of a query; None where it was not asked or was refused."""
    found = item.section("queries").get(name)
    return [s for s in found if "value" in s] if isinstance(found, list) else None


def _one(item: Item, name: str) -> float | None:
    samples = _answer(item, name)
    return float(samples[0]["value"]) if samples else None


def _place(sample: Mapping[str, Any]) -> str:
    labels = sample.get("labels") or {}
    return (
        " ".join(
            str(labels[k])
            for k in ("namespace", "model_name", "pod", "hostname", "Hostname", "gpu")
            if labels.get(k)
        )
        or "the fleet"
    )


def _when(item: Item) -> str:
    return f"measured at {item.obj.get('at', 'an unknown time')} over {_WINDOW} on {item.obj.get('source', item.name)}"


@rule(
    "measured-gpus-unallocated",
    Area.SCHEDULING,
    Severity.WARNING,
    title="A large share of the GPUs is allocated to nobody",
    why="GPUs that no pod holds cost as much as those that work; at 40 % of 8-GPU nodes that is the price of the platform team.",
    fix="Scale the node group to what is requested, or lend the rest to batch work through Kueue.",
    references=("kube-state-metrics docs/metrics/node/node-metrics.md",),
    on=_measured,
    needs="prometheus",
)
def _measured_gpus_unallocated(item: Item, view: View) -> Iterator[Hit]:
    gpus, held = _one(item, "gpus"), _one(item, "gpus_requested")
    if not gpus or held is None or held / gpus >= 0.7:  # 30 % free is the room for one surge and one node
        return
    prices = [g.prices[0].usd_per_gpu_hour for g in view.node_gpus.values() if g.prices]
    cost = f", ${(gpus - held) * min(prices) * HOURS_PER_MONTH:,.0f} a month at list price" if prices else ""
    yield Hit(
        item,
        ("queries", "gpus_requested"),
        f"{held:.0f} of {gpus:.0f} GPUs are allocated{cost}; {_when(item)}",
        held / gpus,
    )


@rule(
    "measured-gpus-idle-inside",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="GPUs are allocated and compute little",
    why="A GPU that some kernel touches now and then looks busy by DCGM_FI_DEV_GPU_UTIL: what its multiprocessors did tells what was bought and used.",
    fix="Pack models onto fewer GPUs, raise the replicas' load before scaling out, or use smaller slices.",
    references=("dcgm-exporter 4.5.3 etc/default-counters.csv",),
    on=_measured,
    needs="prometheus",
)
def _measured_gpus_idle_inside(item: Item, view: View) -> Iterator[Hit]:
    active, busy = _one(item, "sm_active"), _one(item, "busy")
    if active is not None and active < 0.2:  # the 21 % of the platform that this project began with
        told = f" while DCGM_FI_DEV_GPU_UTIL says {busy * 100:.0f} %" if busy is not None else ""
        yield Hit(
            item,
            ("queries", "sm_active"),
            f"the multiprocessors are active {active * 100:.0f} % of the time{told}; {_when(item)}",
            active,
        )


@rule(
    "measured-queueing",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="Requests wait in the engine's queue",
    why="A p95 above a second in WAITING means that users wait before a single token is computed: the tier is too small or scales too late.",
    fix="Add replicas or scale earlier; look at preemptions first.",
    references=("vllm 0.33.0 vllm/v1/metrics/loggers.py:971",),
    on=_measured,
    needs="prometheus",
)
def _measured_queueing(item: Item, view: View) -> Iterator[Hit]:
    for sample in _answer(item, "queue_p95") or []:
        if float(sample["value"]) > 1:
            yield Hit(
                item,
                ("queries", "queue_p95"),
                f"{_place(sample)}: p95 of {float(sample['value']):.1f} s in the queue; {_when(item)}",
                sample["value"],
            )


@rule(
    "measured-kv-pressure",
    Area.SERVING,
    Severity.WARNING,
    title="KV cache is full and requests are preempted",
    why="Each preemption throws away computed tokens and computes them again: throughput falls just when the load is highest.",
    fix="Add replicas, lower --max-num-seqs or --max-model-len, or quantise the KV cache.",
    references=("vllm 0.33.0 vllm/v1/core/sched/scheduler.py:914-990",),
    on=_measured,
    needs="prometheus",
)
def _measured_kv_pressure(item: Item, view: View) -> Iterator[Hit]:
    usage = {_place(s): float(s["value"]) for s in _answer(item, "kv_usage") or []}
    for sample in _answer(item, "preemptions") or []:
        rate, place = float(sample["value"]), _place(sample)
        if rate > 0.01 and usage.get(place, 0) > 0.9:
            yield Hit(
                item,
                ("queries", "preemptions"),
                f"{place}: {rate * 60:.1f} preemptions a minute at {usage[place] * 100:.0f} % of the cache; {_when(item)}",
                rate,
            )


@rule(
    "measured-ttft-over-target",
    Area.SERVING,
    Severity.ERROR,
    title="Time to first token misses its target",
    why="Users wait for the first word longer than was promised: what is measured is what they see.",
    fix="Find the part that is late: queue, prefill or a cold start; scale, chunk or cache accordingly.",
    references=("vllm 0.33.0 vllm/v1/metrics/loggers.py:931",),
    on=_measured,
    needs="prometheus",
)
def _measured_ttft_over_target(item: Item, view: View) -> Iterator[Hit]:
    targets = [w.item.annotations[_SLO_MARK] for w in view.workloads if _SLO_MARK in w.item.annotations]
    target = float(targets[0]) if len(set(targets)) == 1 and _number(targets[0]) else _SLO
    for sample in _answer(item, "ttft_p95") or []:
        if float(sample["value"]) > target:
            yield Hit(
                item,
                ("queries", "ttft_p95"),
                f"{_place(sample)}: p95 TTFT of {float(sample['value']):.1f} s, target {target:g} s; {_when(item)}",
                sample["value"],
            )


def _number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


@rule(
    "measured-errors",
    Area.SERVING,
    Severity.ERROR,
    title="More than one request in a hundred ends in an error",
    why="The engine itself gave up on them: out of memory, a lost worker, a cancelled step. Retries double the load.",
    fix="Read the engine's log for the first error; check XIDs of the node.",
    references=("vllm 0.33.0 vllm/v1/metrics/loggers.py:809",),
    on=_measured,
    needs="prometheus",
)
def _measured_errors(item: Item, view: View) -> Iterator[Hit]:
    for sample in _answer(item, "errors") or []:
        if float(sample["value"]) > 0.01:
            yield Hit(
                item,
                ("queries", "errors"),
                f"{_place(sample)}: {float(sample['value']) * 100:.1f} % errors; {_when(item)}",
                sample["value"],
            )


@rule(
    "measured-xid",
    Area.SCHEDULING,
    Severity.ERROR,
    title="GPU reports an XID error",
    why="XID is the driver's word for a GPU fault. Pods on it crash or compute wrong until the GPU is reset or replaced, and the scheduler keeps sending new ones.",
    fix="Drain the node, reset the GPU, and replace it where the code comes back.",
    references=("https://docs.nvidia.com/deploy/xid-errors/", "dcgm-exporter 4.5.3 etc/default-counters.csv"),
    on=_measured,
    needs="prometheus",
)
def _measured_xid(item: Item, view: View) -> Iterator[Hit]:
    for sample in _answer(item, "xid") or []:
        code = int(float(sample["value"]))
        if code:
            told = _XID.get(code, "see NVIDIA's table")
            yield Hit(
                item, ("queries", "xid"), f"{_place(sample)}: last XID {code} ({told}); {_when(item)}", code
            )


@rule(
    "measured-restarts",
    Area.SERVING,
    Severity.WARNING,
    title="Pods restart again and again",
    why="Each restart of a model server is a load of minutes during which its share of the traffic fails or queues.",
    fix="Tell host memory (OOMKilled) from GPU memory (exit 1 with a CUDA error) in the last termination.",
    references=("kube-state-metrics docs/metrics/workload/pod-metrics.md",),
    on=_measured,
    needs="prometheus",
)
def _measured_restarts(item: Item, view: View) -> Iterator[Hit]:
    ours = {w.namespace for w in view.gpu_workloads}
    for sample in _answer(item, "restarts") or []:
        if not ours or str((sample.get("labels") or {}).get("namespace")) in ours:
            yield Hit(
                item,
                ("queries", "restarts"),
                f"{_place(sample)}: {float(sample['value']):.0f} restarts in a day",
                sample["value"],
            )


@rule(
    "measured-nothing",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Prometheus has no data about the model servers",
    why="Nobody would see an incident, and nothing can scale on these metrics. No data is not zero.",
    fix="Scrape the servers' pods with a PodMonitor, and check that the targets are up.",
    references=("https://prometheus.io/docs/prometheus/latest/querying/api/",),
    on=lambda view: _measured(view) if any(s.engine == "vllm" for s in view.running_servers) else (),
    needs="prometheus",
)
def _measured_nothing(item: Item, view: View) -> Iterator[Hit]:
    names = ("output_tokens", "ttft_p95", "kv_usage")
    asked = [name for name in names if _answer(item, name) is not None]
    if asked and not any(_answer(item, name) for name in asked):
        yield Hit(item, ("queries",), f"{', '.join(asked)} are empty while model servers run here", None)
