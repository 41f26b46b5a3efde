"""The three dashboards: serving, GPUs, tenancy and autoscaling. They read recording rules, so that engines look alike."""

from typing import Final

from stoker.platform.base import seconds_of
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import Object
from stoker.upgrades.observability.dashboards.panels import Board, Panel, Row, dashboard

__all__ = ["boards", "dashboards"]

_MODEL: Final = '{namespace=~"$namespace",model=~"$model"}'
_LEGEND: Final = "{{model}}"
_MODELS: Final = {
    "namespace": "label_values(stoker:requests_running:sum, namespace)",
    "model": 'label_values(stoker:requests_running:sum{namespace=~"$namespace"}, model)',
}


def dashboards(platform: ResolvedPlatform) -> dict[str, Object]:
    """File stem -> dashboard."""
    return {name: dashboard(platform.spec.name, board) for name, board in boards(platform).items()}


def boards(platform: ResolvedPlatform) -> dict[str, Board]:
    """What each dashboard shows, by file stem."""
    found = {"serving": Board("LLM serving", _serving(platform), _MODELS)}
    if platform.spec.observability.dcgm:
        found["gpus"] = Board("GPUs", _gpus(), {"gpu_model": "label_values(DCGM_FI_DEV_GPU_UTIL, modelName)"})
    quotas = {"namespace": "label_values(kube_resourcequota, namespace)"}
    found["tenancy"] = Board("Tenancy and autoscaling", _tenancy(), quotas)
    return found


def _ttft(name: str, threshold: float | None = None) -> Panel:
    return Panel(
        f"TTFT {name.upper()}",
        "Time to the first token: what people feel. Above the objective: look at the queue, then at the KV cache.",
        {_LEGEND: f"stoker:ttft_seconds:{name}{_MODEL}"},
        "s",
        threshold,
    )


def _serving(platform: ResolvedPlatform) -> list[Row]:
    models = platform.models.values()
    objective = min(seconds_of(model.spec.slo.ttft_p95) for model in models)
    queue = min(model.scaling.target_queue for model in models)
    return [
        Row("What is my time to first token?", [_ttft("p50"), _ttft("p95", objective), _ttft("p99")]),
        Row(
            "Is the KV cache near saturation?",
            [
                Panel(
                    "KV cache in use, fullest replica",
                    "High is good use; full together with preemptions means latency. It never means a crash.",
                    {_LEGEND: f"stoker:kv_cache_usage:max{_MODEL}"},
                    "percentunit",
                    0.95,
                ),
                Panel(
                    "Preemptions",
                    "Requests thrown back into the queue and computed again. Above zero for long: add replicas.",
                    {_LEGEND: f"stoker:preemptions:rate5m{_MODEL}"},
                    "reqps",
                ),
                Panel(
                    "Prefix cache hits",
                    "Share of prompt tokens that were in the cache already.",
                    {_LEGEND: f"stoker:prefix_cache_hit:ratio5m{_MODEL}"},
                    "percentunit",
                ),
            ],
        ),
        Row(
            "Are requests queueing?",
            [
                Panel(
                    "Requests waiting",
                    "The autoscaler follows these. The line is the queue at which a single replica is due for help.",
                    {_LEGEND: f"stoker:requests_waiting:sum{_MODEL}"},
                    "short",
                    queue,
                ),
                Panel(
                    "Requests running",
                    "In the batches of all replicas.",
                    {_LEGEND: f"stoker:requests_running:sum{_MODEL}"},
                    "short",
                ),
                Panel(
                    "Time in the queue, P95",
                    "Buckets begin at 0.3 s: below that the figure is the bucket's, not the queue's.",
                    {_LEGEND: f"stoker:queue_seconds:p95{_MODEL}"},
                    "s",
                ),
            ],
        ),
        Row(
            "Which model takes the most GPU time per request?",
            [
                Panel(
                    "GPU-seconds per request",
                    "Approximation: time in prefill and decode times the GPUs of a replica. Requests of a batch share the GPU, "
                    "so this compares models; it does not add up to the bill.",
                    {_LEGEND: f"stoker:gpu_seconds_per_request:mean5m{_MODEL}"},
                    "s",
                ),
                Panel(
                    "Output tokens",
                    "Useful work.",
                    {_LEGEND: f"stoker:output_tokens:rate5m{_MODEL}"},
                    "short",
                ),
                Panel(
                    "Errors",
                    "Share of finished requests that ended in an error.",
                    {_LEGEND: f"stoker:errors:ratio5m{_MODEL}"},
                    "percentunit",
                ),
            ],
        ),
        Row(
            "Speed of the answer",
            [
                Panel(
                    "Time per output token, P95",
                    "Ten tokens a second is 0.1 s.",
                    {_LEGEND: f"stoker:itl_seconds:p95{_MODEL}"},
                    "s",
                ),
                Panel(
                    "Whole answer, P95",
                    "From request to last token.",
                    {_LEGEND: f"stoker:e2e_seconds:p95{_MODEL}"},
                    "s",
                ),
            ],
        ),
    ]


def _gpus() -> list[Row]:
    # The node's label is Hostname up to dcgm-exporter 4.8.2 and hostname after it: legends name both, selectors neither.
    chosen, legend = '{modelName=~"$gpu_model"}', "{{Hostname}}{{hostname}} {{gpu}}"

    def gauge(title: str, description: str, metric: str, unit: str, threshold: float | None = None) -> Panel:
        return Panel(title, description, {legend: f"{metric}{chosen}"}, unit, threshold)

    return [
        Row(
            "Allocated, busy, useful",
            [
                Panel(
                    "GPUs",
                    "Present, held by running pods, and busy on average. Held and not busy is money standing still.",
                    {
                        "present": "stoker:gpus_present:count",
                        "allocated": "sum(stoker:gpus_allocated:sum)",
                        "busy": "stoker:gpus_busy:sum",
                    },
                    "short",
                ),
                Panel(
                    "Output tokens per busy GPU",
                    "Useful work of a GPU that is busy.",
                    {"tokens/s": "sum(stoker:output_tokens:rate5m) / stoker:gpus_busy:sum"},
                    "short",
                ),
                Panel(
                    "Idle GPUs",
                    "GPUs that ran nothing for an hour.",
                    {"idle": "stoker:gpus_idle:count"},
                    "short",
                ),
                Panel(
                    "Idle cost per hour",
                    "Idle GPUs times the platform file's price of a GPU-hour.",
                    {"$ per hour": "stoker:gpus_idle_usd_per_hour:sum"},
                    "currencyUSD",
                    empty="GPUs of several prices, or of none that is known, have no such figure",
                ),
            ],
        ),
        Row(
            "Work",
            [
                gauge(
                    "Engine active",
                    "Share of time in which the GPU computed.",
                    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
                    "percentunit",
                ),
                gauge(
                    "SM active",
                    "Share of cycles with a warp on an SM: real use.",
                    "DCGM_FI_PROF_SM_ACTIVE",
                    "percentunit",
                ),
                gauge("Tensor cores", "High in prefill.", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "percentunit"),
                gauge("Memory bandwidth", "High in decode.", "DCGM_FI_PROF_DRAM_ACTIVE", "percentunit"),
            ],
        ),
        Row(
            "Health",
            [
                gauge(
                    "Last XID",
                    "48, 63, 64, 74, 79, 94 and 95 lose the GPU or its job.",
                    "DCGM_FI_DEV_XID_ERRORS",
                    "none",
                ),
                gauge("Temperature", "Slows down at about 90 °C.", "DCGM_FI_DEV_GPU_TEMP", "celsius", 88),
                gauge("Power", "Draw of each GPU.", "DCGM_FI_DEV_POWER_USAGE", "watt"),
            ],
        ),
    ]


def _tenancy() -> list[Row]:
    own = 'namespace=~"$namespace"'
    quota = f'kube_resourcequota{{{own},resource=~"requests[.].*gpu.*|requests[.].*mig.*"'
    return [
        Row(
            "Quotas",
            [
                Panel(
                    "GPU quota in use",
                    "Charged at admission, Pending pods included. At 100% the next scale-out or rollout is refused.",
                    {
                        "{{namespace}} {{resource}}": f'sum by (namespace, resource) ({quota},type="used"}}) / '
                        f'sum by (namespace, resource) ({quota},type="hard"}} > 0)'
                    },
                    "percentunit",
                    0.95,
                ),
                Panel(
                    "Pods that find no node",
                    "GPUs are short, fragmented or tainted; `kubectl describe` tells which.",
                    {"{{namespace}}": f"sum by (namespace) (kube_pod_status_unschedulable{{{own}}})"},
                    "short",
                    empty="only a pod that finds no node has the series",
                ),
            ],
        ),
        Row(
            "Autoscaling",
            [
                Panel(
                    "Replicas serving",
                    "Replicas that Prometheus reaches.",
                    {_LEGEND: f'count by (model) (up{{{own},model!=""}} == 1)'},
                    "short",
                ),
                Panel(
                    "Requests in the system",
                    "Running and waiting: what the replica count should follow.",
                    {_LEGEND: f"stoker:requests_running:sum{{{own}}} + stoker:requests_waiting:sum{{{own}}}"},
                    "short",
                ),
                Panel(
                    "Scaler errors",
                    "KEDA cannot read a trigger: the count follows the fallback, not the load.",
                    {"{{scaledObject}}": "sum by (scaledObject) (rate(keda_scaler_detail_errors_total[5m]))"},
                    "short",
                ),
            ],
        ),
    ]
