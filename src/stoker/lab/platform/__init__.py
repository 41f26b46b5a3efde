"""The systems that the five upgrades rely on, as controllers of the lab: KEDA, KServe, Knative, Gateway API, LeaderWorkerSet."""

from stoker.lab.api.cluster import Plugin
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Controller
from stoker.lab.platform.gateway import GatewayClasses, Gateways, HttpRoutes
from stoker.lab.platform.http_addon import HttpScaledObjects, InterceptorRoutes
from stoker.lab.platform.keda import ScaledObjects
from stoker.lab.platform.keda_admission import plugin as keda_plugin
from stoker.lab.platform.keda_metrics import ExternalMetrics
from stoker.lab.platform.keda_series import KedaSeries
from stoker.lab.platform.knative import Configurations, KnativeServices, Revisions
from stoker.lab.platform.knative_kpa import PodAutoscalers
from stoker.lab.platform.knative_routes import KnativeRoutes
from stoker.lab.platform.kserve import InferenceServices
from stoker.lab.platform.kserve_admission import plugin as kserve_plugin
from stoker.lab.platform.kserve_llm import LlmInferenceServices
from stoker.lab.platform.listeners import listeners
from stoker.lab.platform.lws import LeaderWorkerSets
from stoker.lab.platform.lws import plugin as lws_plugin
from stoker.lab.platform.signals import Answer, Signals, Silence

__all__ = [
    "Answer",
    "ExternalMetrics",
    "KedaSeries",
    "Signals",
    "Silence",
    "controllers",
    "listeners",
    "plugins",
]


def controllers(
    local: Local, signals: Signals | None = None, series: KedaSeries | None = None
) -> list[Controller]:
    """Every controller of the platform, ready for a manager.

    Args:
        local: whose cluster they work in; each system writes under its own name.
        signals: metrics, brokers and traffic; None for a cluster in which nothing is heard.
        series: takes what KEDA's operator tells Prometheus.
    """
    signals = signals or Silence()
    keda, knative, gateway, kserve, lws = (
        Local(local.cluster, one) for one in ("keda", "knative", "gateway", "kserve", "lws")
    )
    return [
        GatewayClasses(gateway),
        Gateways(gateway),
        HttpRoutes(gateway),
        ScaledObjects(keda, signals, series),
        InterceptorRoutes(keda),
        HttpScaledObjects(keda),
        KnativeServices(knative),
        Configurations(knative),
        Revisions(knative),
        PodAutoscalers(knative, signals),
        KnativeRoutes(knative),
        InferenceServices(kserve),
        LlmInferenceServices(kserve),
        LeaderWorkerSets(lws),
    ]


def plugins() -> list[Plugin]:
    """Admission of the platform's webhooks, to follow Kubernetes' own."""
    return [kserve_plugin(), lws_plugin(), keda_plugin()]
