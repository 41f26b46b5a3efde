"""Training jobs and notebooks of other tenants: when they come, what they ask for, how long they run.

Run times are lognormal through a published median and mean. Of GPU clusters that published their traces
(InternLM/AcmeTrace, data/cluster_summary.csv, which lists these beside its own): Helios median 206 s, mean 6,652 s, 3.7 GPUs
a job; Philly 874 s, 18,006 s, 1.9 GPUs; PAI 481 s, 4,787 s, 0.7 GPUs; Acme's Seren 122 s, 1,414 s, 5.7 GPUs. Half of all
jobs are tests that fail within minutes, and a few that run for days hold most of the GPUs.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from stoker.twin.workload.arrivals import arrivals
from stoker.twin.workload.profile import DIURNAL, FLAT, RateProfile

__all__ = ["HELIOS", "NOTEBOOKS", "PHILLY", "Job", "JobMix", "draw_jobs"]

_GIB: Final = 2**30
_LONGEST_S: Final = 50 * 86_400.0  # Helios' longest job ran 4,320,009 s


@dataclass(frozen=True, slots=True)
class Job:
    """One job or notebook.

    Attributes:
        kind: of which mix it is.
        arrival_s: when it is submitted, in seconds from the start.
        gpus: in all.
        host_memory_bytes: that it asks for in all.
        duration_s: how long it runs once it has everything.
    """

    kind: str
    arrival_s: float
    gpus: int
    host_memory_bytes: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class JobMix:
    """Jobs of one kind.

    Attributes:
        median_s, mean_s: of the run time; equal ones make every job as long.
        gpus: how many a job asks for, and how often, as weights.
        memory_median_bytes, memory_sigma: host memory per GPU, lognormal.
        profile: when they are submitted.
    """

    kind: str
    median_s: float
    mean_s: float
    gpus: tuple[tuple[int, float], ...]
    memory_median_bytes: float
    memory_sigma: float
    profile: RateProfile

    @property
    def gpu_s(self) -> float:
        """Mean GPU seconds of a job: a rate of x jobs per second holds x times as many GPUs."""
        weights = sum(weight for _, weight in self.gpus)
        return self.mean_s * sum(count * weight for count, weight in self.gpus) / weights


# The weights are assumptions that meet the published median of 1 GPU and the mean. Host memory is an assumption near what
# Alibaba's pods of 1 and 8 GPUs ask for: 16 to 64 GiB a GPU (alibaba/clusterdata, cluster-trace-gpu-v2023).
HELIOS: Final = JobMix(
    "training",
    206.0,
    6651.7,
    ((1, 0.61), (2, 0.10), (4, 0.08), (8, 0.15), (16, 0.035), (32, 0.025)),
    32 * _GIB,
    0.5,
    FLAT,
)
PHILLY: Final = JobMix(
    "training", 874.0, 18006.1, ((1, 0.80), (2, 0.06), (4, 0.06), (8, 0.07), (16, 0.01)), 32 * _GIB, 0.5, FLAT
)
# All of it an assumption: opened in the morning, one GPU, half a day, hardly ever busy.
NOTEBOOKS: Final = JobMix("notebook", 4 * 3600.0, 5 * 3600.0, ((1, 1.0),), 32 * _GIB, 0.5, DIURNAL)


def draw_jobs(
    mix: JobMix,
    rate: float,
    duration_s: float,
    rng: np.random.Generator,
    *,
    most_gpus: int | None = None,
) -> tuple[Job, ...]:
    """Jobs of one kind in order of arrival.

    Args:
        mix: what they are like.
        rate: jobs per second; ``gpus / mix.gpu_s`` of them hold that many GPUs on average where none has to wait.
        duration_s: seconds in which they arrive.
        rng: of everything random.
        most_gpus: no job asks for more; larger ones ask for this many.
    """
    if rate * duration_s < 0.5:
        return ()
    times = arrivals(rate, duration_s, rng, profile=mix.profile)
    count = len(times)
    sizes, weights = (np.array(column, np.float64) for column in zip(*mix.gpus, strict=True))
    gpus = rng.choice(sizes.astype(np.int64), count, p=weights / weights.sum())
    gpus = np.minimum(gpus, most_gpus or gpus.max())
    sigma = math.sqrt(2.0 * math.log(mix.mean_s / mix.median_s))
    length = np.minimum(mix.median_s * np.exp(sigma * rng.standard_normal(count)), _LONGEST_S)
    memory = gpus * mix.memory_median_bytes * np.exp(mix.memory_sigma * rng.standard_normal(count))
    return tuple(
        Job(mix.kind, float(times[i]), int(gpus[i]), int(memory[i]), float(length[i])) for i in range(count)
    )
