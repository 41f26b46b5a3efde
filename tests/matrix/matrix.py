"""The platform files of the matrix, compiled."""

from functools import cache
from pathlib import Path

from stoker.platform.document import Platform
from stoker.platform.load import load
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades import compile_platform
from stoker.upgrades.objects import Emitted

PLATFORMS = Path(__file__).resolve().parent / "platforms"
FILES = sorted(PLATFORMS.glob("*.yaml"))
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "guide.yaml"


@cache
def document(path: Path) -> Platform:
    return load(path)


@cache
def resolved(path: Path, minor: str = "") -> ResolvedPlatform:
    """The file resolved, for its own minor or for another."""
    platform = document(path)
    if minor:
        cluster = platform.cluster.model_copy(update={"version": minor})
        platform = platform.model_copy(update={"cluster": cluster})
    return resolve(platform)


def external(platform: ResolvedPlatform) -> set[tuple[str, str, str]]:
    """What the user says is there: volumes of pvc:// sources, service accounts, namespaces of components."""
    spec = platform.spec
    namespaces = {
        spec.serving.gateway.namespace,
        spec.observability.namespace,
        spec.observability.grafana.namespace or spec.observability.namespace,
        spec.autoscaling.keda_namespace,
        "kube-system",
        "kserve-localmodel-jobs",  # KServe's chart makes it
    }
    found = {("Namespace", "", name) for name in namespaces}
    # The chart of KEDA's HTTP add-on makes it.
    found.add(("Service", spec.autoscaling.keda_namespace, "keda-add-ons-http-interceptor-proxy"))
    for model in platform.models.values():
        sources = [model.spec.source, *(adapter.source for adapter in model.spec.lora)]
        sources += [model.spec.canary.source or ""] if model.spec.canary else []
        found |= {
            ("PersistentVolumeClaim", model.namespace, source.removeprefix("pvc://").partition("/")[0])
            for source in sources
            if source.startswith("pvc://")
        }
        if model.spec.service_account is not None:
            found.add(("ServiceAccount", model.namespace, model.spec.service_account))
    return found


@cache
def compiled(path: Path, minor: str = "") -> tuple[Emitted, ...]:
    return tuple(compile_platform(resolved(path, minor)))
