"""InferenceService: what KServe's autoscaler classes do with the metrics that are written down."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add, remove
from stoker.audit.rule import rule
from stoker.audit.rules.serving.kserve import CLASS, MODE, predictors
from stoker.audit.view.scaling import autoscaler_class, deployment_mode
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload

_KEDA: Final = (
    "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/reconcilers/keda/keda_reconciler.go:80-200"
)
_HPA: Final = "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/reconcilers/hpa/hpa_reconciler.go:60-130"
_VALIDATION: Final = "kserve 0.20.0 pkg/apis/serving/v1beta1/inference_service_validation.go:440-640"
_TRIGGERS: Final = "keda 2.20.2 apis/keda/v1alpha1/scaletriggers_types.go:60"


def _standard(view: View, *classes: str) -> Iterator[Workload]:
    """GPU predictors of Standard mode with one of the autoscaler classes."""
    for workload in predictors(view):
        if (
            workload.part == "predictor"
            and deployment_mode(workload.item, view.snapshot) == "Standard"
            and autoscaler_class(workload.item) in classes
        ):
            yield workload


def _metrics(workload: Workload) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = (workload.pod.get("autoScaling") or {}).get("metrics") or []
    return found


@rule(
    "kserve-keda-without-metrics",
    Area.SERVING,
    Severity.ERROR,
    title="Autoscaler class keda without a single metric",
    why=(
        "KServe makes a ScaledObject without triggers, which KEDA refuses (`no triggers defined`): the reconcile of the "
        "InferenceService fails for ever and nothing scales."
    ),
    fix="Give autoScaling.metrics, or use the class external with a ScaledObject of your own.",
    references=(_KEDA, _TRIGGERS),
    on=lambda view: _standard(view, "keda"),
)
def _kserve_keda_without_metrics(workload: Workload, view: View) -> Iterator[Hit]:
    if not _metrics(workload):
        path = (*workload.path, "autoScaling", "metrics")
        yield Hit(workload.item, path, f"{workload} has the class keda and no metrics")


@rule(
    "kserve-metrics-ignored",
    Area.SERVING,
    Severity.ERROR,
    title="Metrics that the autoscaler class hpa does not read",
    why=(
        "KServe's HPA takes resource metrics only: with the class annotated the webhook refuses the object, without it the metrics "
        "are dropped in silence and an HPA with none of them, so 80 % CPU by Kubernetes' default, scales the GPUs."
    ),
    fix="Annotate autoscalerClass keda.",
    references=(_HPA, _VALIDATION),
    on=lambda view: (w for w in _standard(view, "hpa", "keda") if _metrics(w)),
)
def _kserve_metrics_ignored(workload: Workload, view: View) -> Iterator[Hit]:
    if autoscaler_class(workload.item) != "hpa":
        return
    for index, metric in enumerate(_metrics(workload)):
        kind = str(metric.get("type") or "")
        if kind in {"External", "PodMetric"}:
            told = "is refused" if CLASS in workload.item.annotations else "is dropped"
            path = (*workload.path, "autoScaling", "metrics", index, "type")
            fix = Fix("Use the class keda", (add(("metadata", "annotations", CLASS), "keda"),))
            yield Hit(workload.item, path, f"with the class hpa a metric of type {kind} {told}", kind, fix)


@rule(
    "kserve-keda-metrics-refused",
    Area.SERVING,
    Severity.ERROR,
    title="KEDA metric that KServe's webhook refuses",
    why="The object is not admitted: the change that carries it is not applied, and the version before it keeps running.",
    fix="Give every metric a query and target.value, and leave scaleMetric out.",
    references=(_VALIDATION,),
    on=lambda view: (w for w in _standard(view, "keda") if MODE in w.item.annotations),
)
def _kserve_keda_metrics_refused(workload: Workload, view: View) -> Iterator[Hit]:
    if "scaleMetric" in workload.pod:
        path = (*workload.path, "scaleMetric")
        fix = Fix("Delete scaleMetric", (remove(path),))
        yield Hit(
            workload.item, path, "scaleMetric is not supported for KEDA", workload.pod["scaleMetric"], fix
        )
    for index, metric in enumerate(_metrics(workload)):
        base = (*workload.path, "autoScaling", "metrics", index)
        field = {"External": "external", "PodMetric": "podmetric"}.get(str(metric.get("type") or ""))
        if field is None:
            continue
        source = metric.get(field) or {}
        if not source:
            yield Hit(workload.item, (*base, field), f"a metric of type {metric['type']} without {field}")
            continue
        if not (source.get("metric") or {}).get("query"):
            yield Hit(workload.item, (*base, field, "metric", "query"), "the query is empty")
        if "value" not in (source.get("target") or {}):
            yield Hit(workload.item, (*base, field, "target", "value"), "the target has no value")


@rule(
    "kserve-keda-reads-gaps-as-zero",
    Area.SERVING,
    Severity.INFO,
    title="KServe's KEDA metrics read missing data as zero",
    why=(
        "KServe hands KEDA the address, the query and the threshold, nothing more: ignoreNullValues, activationThreshold and "
        "fallback cannot be set, so a gap in Prometheus looks like an idle service and scales it in."
    ),
    fix="Make the query fall back to a safe value (`or vector(…)`), or use the class external with a ScaledObject of your own.",
    references=(_KEDA, "keda 2.20.2 pkg/scalers/prometheus_scaler.go:238-247"),
    on=lambda view: (w for w in _standard(view, "keda") if any(m.get("external") for m in _metrics(w))),
)
def _kserve_keda_reads_gaps_as_zero(workload: Workload, view: View) -> Iterator[Hit]:
    for index, metric in enumerate(_metrics(workload)):
        asked = (metric.get("external") or {}).get("metric") or {}
        query = str(asked.get("query") or "")
        if asked.get("backend") == "prometheus" and query and " or " not in f" {query} ":
            path = (*workload.path, "autoScaling", "metrics", index, "external", "metric", "query")
            yield Hit(workload.item, path, "no series is read as 0, and KServe cannot say otherwise", query)


@rule(
    "kserve-external-without-scaler",
    Area.SERVING,
    Severity.WARNING,
    title="Autoscaler class external, and nothing scales the predictor",
    why="KServe leaves the replicas to somebody else, and there is nobody: the service keeps its count through every peak.",
    fix="Create a ScaledObject or an HPA for the Deployment NAME-predictor, or use the class none.",
    references=("kserve 0.20.0 pkg/constants/constants.go:257-299", _HPA),
    on=lambda view: (
        w
        for w in _standard(view, "external")
        if all(
            view.knows(kind, w.namespace)
            for kind in ("ScaledObject.keda.sh", "HorizontalPodAutoscaler.autoscaling")
        )
    ),
)
def _kserve_external_without_scaler(workload: Workload, view: View) -> Iterator[Hit]:
    if not view.scalers_of(workload):
        path = ("metadata", "annotations", CLASS)
        name = workload.generated[1]
        yield Hit(workload.item, path, f"no ScaledObject and no HPA scales {name}", "external")
