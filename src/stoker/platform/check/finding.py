"""What a rule finds, before it has a line, and the questions that several rules ask of the document."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from stoker.errors import nearest
from stoker.platform.document import Platform
from stoker.platform.models import Model
from stoker.platform.positions import Path
from stoker.platform.serving import ServingMode
from stoker.platform.tenants import WorkloadClass

__all__ = ["KSERVE_COMPONENT_MODES", "Finding", "mode_of", "names_text", "suggest", "tenant_of"]

# Modes that compile to an InferenceService, the one object with transformer, explainer and logger.
KSERVE_COMPONENT_MODES: Final = frozenset((ServingMode.STANDARD, ServingMode.KNATIVE))
_DEFAULT_TENANT: Final = "inference"


@dataclass(frozen=True, slots=True)
class Finding:
    """One contradiction; the fields mean what they mean in `Problem`."""

    path: Path
    message: str
    found: str = ""
    wanted: str = ""
    fix: str = ""


def mode_of(platform: Platform, model: Model) -> ServingMode:
    """The serving mode of a model: its own, else the platform's."""
    return model.serving or platform.serving.mode


def tenant_of(platform: Platform, name: str | None) -> str:
    """The tenant's name of a model that names one, or none: the only one, or the first production one."""
    if name is not None:
        return name
    if not platform.tenants:
        return _DEFAULT_TENANT
    production = (item for item in platform.tenants if item.workload_class is WorkloadClass.PRODUCTION)
    return next(production, platform.tenants[0]).name


def suggest(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a question, or nothing."""
    near = nearest(name, known, limit=1)
    return f"did you mean `{near[0]}`?" if near else ""


def names_text(known: Iterable[str]) -> str:
    """Known names for a message: a dozen of them, since a platform may hold thousands."""
    names = list(known)
    shown = ", ".join(names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown or "none is defined"
