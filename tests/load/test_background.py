"""A run in a thread: watched, stopped, waited for."""

import threading

import pytest

from stoker.errors import InputError, StokerError
from stoker.load import LoadRun, Planned, Result, Target, listed_plan, poisson_plan


def test_a_run_goes_on_beside_and_is_waited_for(server: str) -> None:
    load = LoadRun(poisson_plan(50.0, 0.5, model="m", output_tokens=2), Target(server)).start()
    assert load.is_running
    done = load.wait(60)
    assert not load.is_running
    assert len(done.results) == 25
    assert load.summary_so_far().total.ok == 25


def test_what_came_so_far_can_be_looked_at_while_it_runs(server: str) -> None:
    came = threading.Event()
    plan = listed_plan(
        [Planned(0, 0.0, 8, 1, "m"), Planned(0, 0.0, 8, 1, "hang"), Planned(0, 3600.0, 8, 1, "m")]
    )
    with LoadRun(plan, Target(server), on_result=lambda _: came.set()) as load:
        assert came.wait(60)
        summary, progress = load.summary_so_far(), load.progress()
        with pytest.raises(TimeoutError):
            load.wait(0.01)
    assert (summary.total.ok, summary.in_flight, summary.planned) == (1, 1, 3)
    assert (progress.sent, progress.in_flight, progress.failed) == (2, 1, 0)
    assert sorted(result.kind for result in load.so_far().results) == ["cancelled", "ok"]
    assert load.wait().is_cancelled


def test_a_run_may_be_stopped_twice_and_after_its_end(server: str) -> None:
    load = LoadRun(poisson_plan(1.0, 3600.0, model="m"), Target(server)).start()
    load.stop()
    load.stop()
    assert load.wait(60).is_cancelled
    load.stop()


def test_results_come_one_by_one(server: str) -> None:
    seen: list[Result] = []
    LoadRun(poisson_plan(50.0, 0.2, model="m"), Target(server), on_result=seen.append).start().wait(60)
    assert sorted(result.planned.index for result in seen) == list(range(10))


def test_what_goes_wrong_in_the_thread_is_raised_to_who_waits(server: str) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no")

    load = LoadRun(poisson_plan(50.0, 0.1, model="m"), Target(server), on_result=fail).start()
    with pytest.raises(ExceptionGroup):
        load.wait(60)


def test_mistakes_of_the_caller_are_told_at_once() -> None:
    plan = poisson_plan(1.0, 1.0, model="m")
    with pytest.raises(InputError):
        LoadRun(plan, Target("nowhere"))
    with pytest.raises(StokerError, match="never started"):
        LoadRun(plan, Target("http://127.0.0.1:1")).wait()
