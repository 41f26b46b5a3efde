"""Jobs of other tenants have the run times of the clusters that published theirs."""

import numpy as np
import pytest

from stoker.twin.workload.neighbours import HELIOS, NOTEBOOKS, PHILLY, JobMix, draw_jobs


@pytest.mark.parametrize(
    ("mix", "median_s", "mean_s", "gpus"), [(HELIOS, 206, 6652, 3.72), (PHILLY, 874, 18_006, 1.93)]
)
def test_run_times_and_sizes_are_as_published(
    mix: JobMix, median_s: float, mean_s: float, gpus: float
) -> None:
    jobs = draw_jobs(mix, 1.0, 400_000.0, np.random.default_rng(1))
    lengths = np.array([job.duration_s for job in jobs])
    sizes = np.array([job.gpus for job in jobs])
    assert float(np.median(lengths)) == pytest.approx(median_s, rel=0.03)
    assert float(lengths.mean()) == pytest.approx(mean_s, rel=0.1)
    assert float(sizes.mean()) == pytest.approx(gpus, rel=0.03)
    assert float(np.median(sizes)) == 1.0


def test_a_rate_is_found_for_the_gpus_that_are_to_be_held() -> None:
    rate = 100.0 / NOTEBOOKS.gpu_s
    jobs = draw_jobs(NOTEBOOKS, rate, 1e6, np.random.default_rng(2))
    assert sum(job.gpus * job.duration_s for job in jobs) / 1e6 == pytest.approx(100.0, rel=0.05)


def test_jobs_come_in_order_and_repeat_with_their_seed() -> None:
    one, two = (draw_jobs(HELIOS, 0.01, 86_400.0, np.random.default_rng(3), most_gpus=8) for _ in range(2))
    assert one == two
    assert [job.arrival_s for job in one] == sorted(job.arrival_s for job in one)
    assert max(job.gpus for job in one) == 8
    assert min(job.host_memory_bytes for job in one) > 2**30


def test_no_jobs_come_where_none_are_asked_for() -> None:
    assert draw_jobs(HELIOS, 0.0, 86_400.0, np.random.default_rng(0)) == ()
