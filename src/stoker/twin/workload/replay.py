"""A trace again, as long and as dense as is wanted: what `simulate` gives the twin, and `load` sends to a server."""

from typing import Final

import numpy as np

from stoker.twin.workload.combine import cut, scale_rate
from stoker.twin.workload.generate import fit, stretch
from stoker.twin.workload.profile import RateProfile
from stoker.twin.workload.traffic import Traffic

__all__ = ["is_stretched", "replay"]

# A duration given in round numbers may be a little longer than the trace: that is no stretching.
_SAME_SPAN: Final = 1.001


def is_stretched(traffic: Traffic, duration_s: float | None) -> bool:
    """Whether a run of this duration is longer than the trace."""
    return (duration_s or 0.0) > traffic.duration_s * _SAME_SPAN


def replay(
    traffic: Traffic,
    rng: np.random.Generator,
    *,
    duration_s: float | None = None,
    rate_scale: float = 1.0,
    profile: RateProfile | None = None,
) -> tuple[Traffic, str]:
    """The requests of a run, and how they came from the trace, in words.

    Args:
        traffic: the trace.
        rng: of what is drawn.
        duration_s: longer than the trace stretches it, shorter cuts it; None is its own.
        rate_scale: times its requests.
        profile: shape of a stretched trace; None for its own.
    """
    duration = duration_s or traffic.duration_s
    if is_stretched(traffic, duration_s):
        model = fit(traffic)
        found = stretch(model, duration, rng, rate_scale=rate_scale, profile=profile or model.profile)
        return found, f"stretched from {traffic.duration_s:.0f} s"
    found, how = traffic, "as recorded"
    if duration < traffic.duration_s:
        found, how = cut(traffic, duration), f"cut from {traffic.duration_s:.0f} s"
    if rate_scale != 1.0:
        found = scale_rate(found, rate_scale, rng)
        how += f", rate x {rate_scale:g}"
    return found, how
