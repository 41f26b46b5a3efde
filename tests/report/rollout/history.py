"""A history for Prometheus whose figures are known: 16 GPUs, half of them held, slow before and fast after."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from stoker.report.rollout.evidence import Window

__all__ = ["AFTER", "BEFORE", "BEGIN", "SCRAPE_S", "history"]

Add = Callable[[str, str, float, float], None]
SCRAPE_S = 15
BEGIN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=6)
BEFORE = Window(BEGIN + timedelta(minutes=10), BEGIN + timedelta(minutes=40))
AFTER = Window(BEGIN + timedelta(minutes=60), BEGIN + timedelta(minutes=90))
BORN = BEGIN + timedelta(minutes=70)  # a pod that is made in the window after, and ready two minutes later
BOUNDS = (0.1, 1.0, 10.0)


def history() -> str:
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


def _pods(add: Add, second: int, at: float) -> None:
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


def _engine(add: Add, second: int, at: float) -> None:
    """Ten requests a scrape: before between 1 and 10 s, after below 0.1 s but for one in twenty; one in a hundred fails before."""
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
