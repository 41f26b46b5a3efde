"""The rollout: which upgrades come in which phase, and what each phase has to prove."""

from typing import Annotated

from pydantic import Field, StringConstraints

from stoker.platform.base import Name, Section, about

__all__ = ["Phase", "Rollout"]

# An upgrade, or one kind of it.
Part = Annotated[
    str,
    StringConstraints(
        pattern=r"^(components|scheduling|tenancy|storage|serving|autoscaling|observability)(/[A-Z][A-Za-z0-9]*)?$"
    ),
]
# `week-1/taint`, or `week-1/*` for all of them.
GateName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][-a-z0-9]*/(\*|[a-z0-9][-a-z0-9]*)$", max_length=80)
]
Setting = (
    bool
    | Annotated[int, Field(ge=0, le=1_000_000)]
    | Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
    | Annotated[str, StringConstraints(max_length=200)]
)


class Phase(Section):
    """One phase: what is applied, then what is measured."""

    name: Annotated[Name, about("Name of the phase.", example="week-1")]
    include: Annotated[
        tuple[Part, ...],
        Field(max_length=32),
        about(
            "Upgrades that it applies, or kinds of them. An object is applied by the first phase that includes it.",
            why="Nothing: a phase may only measure.",
            example=["scheduling", "observability/PodMonitor"],
        ),
    ] = ()
    gates: Annotated[
        tuple[GateName, ...],
        Field(max_length=64),
        about("Gates that must pass before the next phase.", why="None.", example=["week-1/*"]),
    ] = ()


class Rollout(Section):
    """How `stoker rollout` goes about it."""

    phases: Annotated[
        tuple[Phase, ...],
        Field(max_length=16),
        about(
            "Phases in their order.",
            why="The four weeks: scheduling and tenancy; storage and serving; what is scraped and autoscaling; observability.",
        ),
    ] = ()
    settings: Annotated[
        dict[GateName, dict[Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9_]*$")], Setting]],
        Field(max_length=64),
        about(
            "Other figures for gates, by gate. `stoker rollout plan` lists those of each.",
            why="Every gate's own.",
            example={"week-3/scale-up": {"within_seconds": 180}},
        ),
    ] = Field(default_factory=dict)
