"""The deliveries of a platform: every model's own and its canary's, without repeats."""

from collections.abc import Iterator
from dataclasses import dataclass

from stoker.sizing.resolved import Delivery, ResolvedModel, ResolvedPlatform

__all__ = ["Version", "versions"]


@dataclass(frozen=True, slots=True)
class Version:
    """One set of weights and the model that serves it. ``name`` is unique over a platform."""

    model: ResolvedModel
    delivery: Delivery

    @property
    def name(self) -> str:
        return self.delivery.sub_path or self.delivery.claim.removesuffix("-nvme")


def versions(platform: ResolvedPlatform) -> Iterator[Version]:
    """Deliveries in the user's order; a canary that serves the model's own weights adds none."""
    for model in platform.models.values():
        yield Version(model, model.delivery)
        if model.canary is not None and model.canary.delivery.source != model.delivery.source:
            yield Version(model, model.canary.delivery)
