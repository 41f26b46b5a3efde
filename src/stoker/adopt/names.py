"""Names, labels and quantities of objects as the platform file takes them."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item
from stoker.platform.positions import looks_like_token

__all__ = [
    "COMPONENT_NAMESPACES",
    "MANAGED",
    "duration",
    "free",
    "is_secret",
    "managed",
    "name_of",
    "plain_labels",
    "quantity",
]

MANAGED: Final = "app.kubernetes.io/managed-by"
# Namespaces of Kubernetes and of the components that a platform stands on: never a tenant's.
COMPONENT_NAMESPACES: Final = frozenset((
    "", "default", "kube-system", "kube-public", "kube-node-lease", "monitoring", "prometheus", "keda", "kserve", "gpu-operator",
    "nvidia-gpu-operator", "envoy-gateway-system", "istio-system", "knative-serving", "knative-operator", "cert-manager",
    "kueue-system", "lws-system", "stoker-system", "argocd", "flux-system", "node-feature-discovery", "amd-gpu",
    "nvidia-device-plugin", "llm-d-system", "kourier-system", "ingress-nginx", "kuberay-system",
))  # fmt: skip
_NAME: Final = re.compile(r"[^a-z0-9]+")
_QUANTITY: Final = re.compile(r"^(\d{1,15}(?:\.\d{1,3})?)(m|Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$")
_SECRET: Final = re.compile(
    r"(^|[_-])(TOKEN|SECRET|PASSWORD|PASSWD|API[_-]?KEY|ACCESS[_-]KEY|PRIVATE[_-]KEY|CREDENTIALS)([_-]|$)",
    re.IGNORECASE,
)
_HARMLESS: Final = re.compile(r"^(/.*|\d*\.?\d*|true|false|none|auto)$", re.IGNORECASE)
_LABEL_KEY: Final = re.compile(
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
)
_LABEL_VALUE: Final = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")


def managed(item: Item) -> bool:
    """Stoker rendered it: it follows from the document and is made again."""
    return item.labels.get(MANAGED) == "stoker"


def name_of(text: str, fallback: str, *, most: int = 40, letter: bool = False) -> str:
    """A DNS label as near to the text as can be; ``letter``: it begins with one, as a Service's name must."""
    name = _NAME.sub("-", text.lower()).strip("-")
    if letter:
        name = re.sub(r"^[0-9-]+(?=[a-z])", "", name) if re.match(r"^[0-9]+-", name) else name
        name = name if name[:1].isalpha() else f"m{name}" if name else ""
    return name[:most].strip("-") or fallback


def free(name: str, taken: Collection[str], hint: str = "", *, most: int = 40) -> str:
    """The name where it is free, else with a hint or a number behind it."""
    if name not in taken:
        return name
    if hint:
        longer = f"{name}-{hint}"[:most].strip("-")
        if longer not in taken:
            return longer
    number = 2
    while (candidate := f"{name[: most - 1 - len(str(number))].strip('-')}-{number}") in taken:
        number += 1
    return candidate


def quantity(text: object) -> str | None:
    """A quantity as the platform file writes it; None where it takes no such form or the amount is none."""
    if _QUANTITY.fullmatch(str(text)):
        return str(text)
    number = parse(text)
    if number is None or not 0 <= number < 10**15:
        return None
    return str(int(number)) if number == number.to_integral_value() else None


def duration(seconds: float) -> str:
    """``900`` as ``15m``."""
    whole = round(seconds)
    if whole and whole % 3600 == 0:
        return f"{whole // 3600}h"
    return f"{whole // 60}m" if whole and whole % 60 == 0 else f"{whole}s"


def is_secret(name: str, value: str) -> bool:
    """Whether a plain value is, or may be, a credential; such a value is never repeated."""
    return looks_like_token(value) or bool(_SECRET.search(name) and not _HARMLESS.match(value))


def plain_labels(labels: Mapping[str, Any]) -> dict[str, str]:
    """Labels that the platform file takes."""
    return {
        key: value
        for key, value in sorted(labels.items())
        if isinstance(value, str) and _LABEL_KEY.match(key) and _LABEL_VALUE.match(value) and len(key) <= 317
    }
