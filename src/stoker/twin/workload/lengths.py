"""Lengths of prompts and answers from two lognormal distributions that belong together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stoker.twin.workload.arrivals import CHUNK, arrivals
from stoker.twin.workload.profile import FLAT, RateProfile
from stoker.twin.workload.traffic import Traffic

__all__ = ["LognormalLengths", "synthesise"]


@dataclass(frozen=True, slots=True)
class LognormalLengths:
    """Joint lognormal lengths in tokens, rounded, at least 1.

    Attributes:
        input_median, output_median: tokens.
        input_sigma, output_sigma: standard deviation of the logarithm; 0 makes every length the median.
        correlation: of the logarithms, -1 to 1.
        most_input, most_output: longer draws are cut to these.
    """

    input_median: float
    input_sigma: float
    output_median: float
    output_sigma: float
    correlation: float = 0.0
    most_input: int = 131_072
    most_output: int = 131_072

    @classmethod
    def of(cls, traffic: Traffic) -> "LognormalLengths":
        """Fitted by the moments of the logarithms. Real lengths have several peaks: their tails are only roughly kept."""
        logs = np.log([traffic.input_tokens, traffic.output_tokens])
        middle, spread = np.median(logs, axis=1), logs.std(axis=1)
        both = float(np.mean((logs[0] - logs[0].mean()) * (logs[1] - logs[1].mean())))
        scale = float(spread[0] * spread[1])
        return cls(
            input_median=float(np.exp(middle[0])),
            input_sigma=float(spread[0]),
            output_median=float(np.exp(middle[1])),
            output_sigma=float(spread[1]),
            correlation=min(1.0, max(-1.0, both / scale)) if scale > 0 else 0.0,
            most_input=int(traffic.input_tokens.max()),
            most_output=int(traffic.output_tokens.max()),
        )

    def draw(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Input and output tokens of ``count`` requests."""
        first, second = rng.standard_normal((2, count))
        second = self.correlation * first + np.sqrt(1.0 - self.correlation**2) * second
        return (
            _tokens(self.input_median, self.input_sigma, first, self.most_input),
            _tokens(self.output_median, self.output_sigma, second, self.most_output),
        )


def _tokens(median: float, sigma: float, normal: NDArray[np.float64], most: int) -> NDArray[np.int32]:
    return np.clip(np.rint(median * np.exp(sigma * normal)), 1, most).astype(np.int32)


def synthesise(
    rate: float,
    duration_s: float,
    lengths: LognormalLengths,
    rng: np.random.Generator,
    *,
    cv: float = 1.0,
    profile: RateProfile = FLAT,
    model: str = "",
) -> Traffic:
    """Traffic without a trace: `arrivals` of ``rate`` requests per second with lognormal lengths, all for one model."""
    arrival = arrivals(rate, duration_s, rng, cv=cv, profile=profile)
    count = len(arrival)
    inputs, outputs = np.empty(count, np.int32), np.empty(count, np.int32)
    for begin in range(0, count, CHUNK):
        end = min(count, begin + CHUNK)
        inputs[begin:end], outputs[begin:end] = lengths.draw(end - begin, rng)
    return Traffic(
        arrival_s=arrival,
        input_tokens=inputs,
        output_tokens=outputs,
        model=np.zeros(count, np.int16),
        tenant=np.zeros(count, np.int16),
        models=(model,),
        tenants=("",),
        prefix_ids=None,
        prefix_offsets=None,
        prefix_block_tokens=0,
        duration_s=duration_s,
    )
