"""What KEDA's operator says of itself to Prometheus: of every trigger its value, whether it is active, and its errors.

Source: kedacore/keda v2.20 pkg/metricscollector/prommetrics.go (names, labels, help), pkg/scaling/scale_handler.go (when each is
recorded; a trigger's name is its scaler's, or the scaler's Go type). Latencies are not told: nothing here waits for an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from stoker.lab.serving.exposition import Page
from stoker.twin.autoscaler.keda import ScaledObject, TriggerReading

__all__ = ["KedaSeries"]

_HELP: Final = {
    "keda_scaler_metrics_value": "The current value for each scaler's metric that would be used by the HPA in computing the target average.",
    "keda_scaler_active": "Indicates whether a scaler is active (1), or not (0).",
    "keda_scaler_detail_errors_total": "The total number of errors encountered for each scaler.",
    "keda_scaled_object_errors_total": "The number of errors that have occurred for each ScaledObject.",
    "keda_scaled_object_paused": "Indicates whether a ScaledObject is paused (1), or not (0).",
}
# Types of pkg/scalers whose name is not the trigger's own with "Scaler" behind it.
_TYPES: Final = {
    "rabbitmq": "rabbitMQScaler",
    "external-push": "externalPushScaler",
    "aws-sqs-queue": "awsSqsQueueScaler",
}

_Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Object:
    """What is known of one ScaledObject: by family and labels."""

    values: dict[str, dict[_Labels, float]] = field(default_factory=dict)


class KedaSeries:
    """Collects what the operator records; `text` is its ``/metrics``."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], _Object] = {}

    def polled(
        self,
        place: tuple[str, str],
        scaled: ScaledObject,
        names: Sequence[str],
        readings: Sequence[TriggerReading],
    ) -> None:
        """One round of the operator's loop.

        Args:
            place: namespace and name of the ScaledObject.
            scaled: it.
            names: of each trigger's metric; empty for one that the HPA reads itself.
            readings: of each trigger.
        """
        found = self._objects.setdefault(place, _Object()).values
        whole = (("namespace", place[0]), ("scaledObject", place[1]))
        errors = found.setdefault("keda_scaled_object_errors_total", {})
        errors.setdefault(whole, 0.0)
        # Triggers that are gone are told of no more.
        for family in ("keda_scaler_metrics_value", "keda_scaler_active"):
            found[family] = {}
        for trigger, name, reading in zip(scaled.triggers, names, readings, strict=True):
            if not name:
                continue
            scaler = trigger.name or _TYPES.get(trigger.kind, f"{trigger.kind}Scaler")
            labels: _Labels = (
                ("metric", name), ("namespace", place[0]), ("scaledObject", place[1]), ("scaler", scaler),
                ("triggerIndex", str(trigger.index)), ("type", "scaledobject"),
            )  # fmt: skip
            failed = found.setdefault("keda_scaler_detail_errors_total", {})
            failed.setdefault(labels, 0.0)
            if reading.error:
                failed[labels] += 1
                errors[whole] += 1
            else:
                found["keda_scaler_metrics_value"][labels] = reading.value
            is_active = not reading.error and reading.value > trigger.activation
            found["keda_scaler_active"][labels] = float(is_active)

    def paused(self, place: tuple[str, str], *, on: bool) -> None:
        """Whether a ScaledObject is paused."""
        labels = (("namespace", place[0]), ("scaledObject", place[1]))
        self._objects.setdefault(place, _Object()).values["keda_scaled_object_paused"] = {labels: float(on)}

    def forget(self, place: tuple[str, str]) -> None:
        """A ScaledObject is gone."""
        self._objects.pop(place, None)

    def text(self) -> str:
        page = Page(0.0)
        for family, told in _HELP.items():
            rows = [
                (dict(labels), value)
                for one in self._objects.values()
                for labels, value in one.values.get(family, {}).items()
            ]
            if not rows:
                continue
            if family.endswith("_total"):
                page.counter(family.removesuffix("_total"), told, rows, created=False)
            else:
                page.gauge(family, told, rows)
        return page.encode().decode()
