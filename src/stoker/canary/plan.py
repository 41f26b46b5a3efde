"""What a canary has to show, and how sure we want to be.

Two errors are bounded, whatever the number of looks:

* **False abort**: a canary that is nowhere worse than the stable version by more than the margins is aborted on evidence with
  a probability of at most ``alpha``. Each criterion at each step may err with ``alpha / (criteria × steps)``; the sum over
  them is at most alpha (union bound).
* **False promotion**: a canary that is worse by at least the margin in one criterion at one step is promoted with a
  probability of at most ``beta``. Nothing is divided here: promotion needs every criterion at every step, so it also needs
  the one that would have to err (intersection-union test: Berger, Technometrics 24 (1982)).

The margin is the line for both. A canary on the line can be shown neither to be within nor beyond it: its time runs out.
"""

import itertools
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from stoker.errors import InputError, Problem

__all__ = ["CanaryPlan", "Criterion", "Kind", "Metric", "OnDeadline", "default_criterion"]


class Kind(StrEnum):
    """How evidence on a metric comes."""

    SIGNS = "signs"  # paired probes: slower by more than the margin, or not
    DIFFERENCES = "differences"  # paired probes: failed or not
    RATES = "rates"  # counters of both versions' real traffic


class Metric(StrEnum):
    """What is compared. All read "more is worse"."""

    TTFT = "ttft"
    TPOT = "tpot"
    ERRORS = "errors"
    QUALITY = "quality"
    LIVE_TTFT = "live-ttft"
    LIVE_TPOT = "live-tpot"
    LIVE_ERRORS = "live-errors"

    @property
    def kind(self) -> Kind:
        if self in {Metric.TTFT, Metric.TPOT}:
            return Kind.SIGNS
        return Kind.DIFFERENCES if self in {Metric.ERRORS, Metric.QUALITY} else Kind.RATES

    @property
    def is_live(self) -> bool:
        """Whether it is measured on real traffic, by Prometheus, and not on probes."""
        return self.kind is Kind.RATES


class OnDeadline(StrEnum):
    """What happens to the traffic of a step whose time is up without a verdict."""

    ABORT = "abort"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Criterion:
    """One comparison.

    Attributes:
        margin: what is still acceptable. Of probes' latencies: as a share of the stable version's (0.1: ten percent slower)
            in the median pair. Of all others: difference of the two rates (0.02: two in a hundred more).
        least: samples of the canary at a step without which it is not promoted.
        cluster: requests of real traffic that may be slow or fail together; see `rates`.
        bound: of live latencies, the seconds above which an answer counts as slow.
    """

    metric: Metric
    margin: float
    least: int = 20
    cluster: float = 1.0
    bound: float = 0.0

    @property
    def words(self) -> str:
        """What is demanded, for people."""
        share = f"{self.margin:.3g}"
        percent = f"{self.margin * 100:.3g}"
        match self.metric:
            case Metric.TTFT:
                return f"in the median pair its first token comes at most {percent} % later"
            case Metric.TPOT:
                return f"in the median pair it takes at most {percent} % longer for a token"
            case Metric.ERRORS:
                return f"at most {percent} more of 100 probes fail"
            case Metric.QUALITY:
                return f"at most {percent} more of 100 answers to the prompt set are not as they should be"
            case Metric.LIVE_ERRORS:
                return f"at most {percent} more of 100 requests fail (share {share})"
            case _:
                what = "have their first token" if self.metric is Metric.LIVE_TTFT else "have their tokens"
                return f"at most {percent} more of 100 requests {what} later than {self.bound:g} s"


# Margins: ten percent of latency is below what users notice between two answers; the rates are what a month's error budget
# of 99 % leaves for a step of minutes; quality is noisier than errors, and its sets are small.
_MARGINS: Final = {
    Metric.TTFT: (0.10, 20, 1.0),
    Metric.TPOT: (0.10, 20, 1.0),
    Metric.ERRORS: (0.02, 50, 1.0),
    Metric.QUALITY: (0.05, 50, 1.0),
    Metric.LIVE_ERRORS: (0.02, 100, 1.0),
    # A decode batch slows all its requests together: ten of them count as one.
    Metric.LIVE_TTFT: (0.05, 100, 10.0),
    Metric.LIVE_TPOT: (0.05, 100, 10.0),
}


def default_criterion(metric: Metric, *, bound: float = 0.0) -> Criterion:
    """The criterion of a metric as it is without the user's word."""
    margin, least, cluster = _MARGINS[metric]
    return Criterion(metric, margin, least, cluster, bound)


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """How a canary is carried out.

    Attributes:
        steps: percent of requests, rising, the last 100: at the others the versions are compared, 100 is the promotion.
        criteria: what every step must show; no metric twice.
        alpha, beta: see the module.
        least_seconds: time a step takes at least, so that caches are warm and slow faults have come out.
        most_seconds: time after which a step without a verdict is inconclusive.
        ready_seconds: time that the canary may take to be ready before a step.
        unready_seconds: time without any ready pod of the canary after which it is aborted.
        poll_seconds: between two looks.
        pairs: pairs of probes at each look; 0 sends none.
        on_deadline: what an inconclusive step does to the traffic.
        prompts: digest of the prompt set, so that a run's evidence is of one; empty without probes.
    """

    steps: tuple[int, ...] = (5, 25, 50, 100)
    criteria: tuple[Criterion, ...] = field(
        default_factory=lambda: tuple(map(default_criterion, (Metric.TTFT, Metric.TPOT, Metric.ERRORS)))
    )
    alpha: float = 0.05
    beta: float = 0.05
    least_seconds: float = 60.0
    most_seconds: float = 1800.0
    ready_seconds: float = 1800.0
    unready_seconds: float = 120.0
    poll_seconds: float = 15.0
    pairs: int = 20
    on_deadline: OnDeadline = OnDeadline.ABORT
    prompts: str = ""

    def __post_init__(self) -> None:
        problems = [*_step_problems(self.steps), *self._problems()]
        if problems:
            raise InputError(problems)

    def _problems(self) -> list[Problem]:
        found = [
            Problem("is no probability", path=name, found=f"{value:g}", wanted="above 0 and below 0.5")
            for name, value in (("alpha", self.alpha), ("beta", self.beta))
            if not 0 < value < 0.5
        ]
        metrics = [one.metric for one in self.criteria]
        if not metrics:
            found.append(Problem("nothing is compared", path="criteria", wanted="at least one criterion"))
        found += [
            Problem(f"{metric} stands there twice", path="criteria", fix="keep one of them")
            for metric in dict.fromkeys(metrics)
            if metrics.count(metric) > 1
        ]
        for one in self.criteria:
            most = 10.0 if one.metric.kind is Kind.SIGNS else 0.9
            if not 0 < one.margin <= most:
                found.append(
                    Problem(
                        "is no margin", path=f"criteria.{one.metric}.margin", found=f"{one.margin:g}",
                        wanted=f"above 0 and at most {most:g}",
                    )
                )  # fmt: skip
        return found

    @property
    def shares(self) -> tuple[int, ...]:
        """Steps at which the versions are compared."""
        return self.steps[:-1]

    @property
    def alpha_each(self) -> float:
        """Error that one criterion may make at one step against a good canary."""
        return self.alpha / (len(self.criteria) * len(self.shares))


def _step_problems(steps: tuple[int, ...]) -> list[Problem]:
    given = ",".join(map(str, steps)) or "nothing"
    rises = all(low < high for low, high in itertools.pairwise(steps))
    if len(steps) > 1 and rises and steps[0] > 0 and steps[-1] == 100:
        return []
    return [
        Problem(
            "no steps of a canary", path="steps", found=given, wanted="rising percentages of which the last is 100",
            fix="--steps 5,25,50,100",
        )
    ]  # fmt: skip
