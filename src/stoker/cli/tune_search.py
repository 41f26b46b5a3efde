"""The search of `stoker tune`: Optuna's NSGA-II over a study on disk, simulations side by side.

What comes out depends on the seed alone: not on how many run at once or where, nor on whether the search was interrupted.
Candidates are asked for in whole generations, each from a sampler of its own seed; what was asked for and not answered when
the search stopped is simulated first.
"""

import json
import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from stoker.cli.tune_work import Work, run_trial
from stoker.errors import InputError, Problem, StokerError, UnreachableError
from stoker.twin.tuning import Knob, Value, as_it_is, changes

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

    import optuna

__all__ = ["Candidate", "Runner", "open_study", "runner", "search"]

Changes = dict[str, Value]
Answer = dict[str, Any]
Runner = Callable[[Sequence[Changes]], Iterable[Answer]]

_GENERATION: Final = 24
_SEEDS_APART: Final = 1_000_003
_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate and what `run_trial` said of it; ``changes`` are what it changes in the platform file."""

    number: int
    answer: Answer

    @property
    def changes(self) -> Changes:
        found: Changes = self.answer["changes"]
        return found


def open_study(path: Path, question: str) -> "optuna.Study":
    """The study of this question in ``path``, made where there is none; those of other questions stay beside it.

    Raises:
        InputError: the file is no study, or cannot be written.
        StokerError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise StokerError("tuning needs Optuna", fix="pip install 'stoker[tune]'") from error
    from sqlalchemy.engine import URL

    _check_file(path)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.create_study(
            study_name=question,
            storage=URL.create("sqlite", database=str(path)).render_as_string(),
            directions=["minimize", "maximize"],
            load_if_exists=True,
        )
    except (
        Exception
    ) as error:  # SQLAlchemy, Alembic and Optuna each have a tree of their own for a file they cannot use
        raise _no_study(path, str(error).splitlines()[0]) from error


def _check_file(path: Path) -> None:
    """Optuna would report a file that is no database in a page of text."""
    try:
        with sqlite3.connect(path) as database:
            database.execute("pragma schema_version")
        database.close()
    except sqlite3.Error as error:
        raise _no_study(path, str(error)) from error


def _no_study(path: Path, why: str) -> InputError:
    return InputError(
        [
            Problem(
                f"the search cannot be kept here: {why}",
                path="--study",
                file=str(path),
                wanted="a file of an earlier search, or a new one in a folder that can be written",
                fix="--study FILE.db",
            )
        ]
    )


def search(
    study: "optuna.Study",
    *,
    space: Sequence[Knob],
    trials: int,
    seed: int,
    run: Runner,
    tell: Callable[[float], None],
) -> list[Candidate]:
    """Simulate candidates until ``trials`` of them are answered, those of earlier runs counted; all of these.

    The first is the platform as it is: the front then says what there is to gain. A candidate that comes up again is
    answered from the study.
    """
    import optuna

    if not study.trials:
        study.enqueue_trial(as_it_is(space))
    answers: dict[int, Answer] = {int(number): answer for number, answer in study.user_attrs.items()}
    known = {_key(answer["changes"]): answer for answer in answers.values()}
    while (done := sum(trial.state.is_finished() for trial in study.trials)) < trials:
        size = min(_GENERATION - done % _GENERATION, trials - done)
        asked = _ask(study, space, size, seed)
        wanted = {number: changes(space, params) for number, params in asked.items()}
        fresh = {_key(each): each for each in wanted.values() if _key(each) not in known}
        coming = iter(run(list(fresh.values())))
        for number, each in wanted.items():
            if _key(each) not in known:
                known[_key(each)] = {**next(coming), "changes": each}
            answers[number] = known[_key(each)]
            # The answer first: a trial that is told has one.
            study.set_user_attr(str(number), answers[number])
            if "refused" in answers[number]:
                study.tell(number, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(number, [answers[number]["cost"], answers[number]["attainment"]])
            done += 1
            tell(float(done))
    return [
        Candidate(trial.number, answers[trial.number]) for trial in study.trials if trial.state.is_finished()
    ]


def _key(each: Changes) -> str:
    return json.dumps(each, sort_keys=True)


def _ask(study: "optuna.Study", space: Sequence[Knob], size: int, seed: int) -> dict[int, dict[str, Value]]:
    """``size`` candidates without an answer, by number: first those that an earlier run asked for."""
    import optuna

    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        knob.name: optuna.distributions.CategoricalDistribution(knob.choices) for knob in space
    }
    begun = study.get_trials(states=(optuna.trial.TrialState.RUNNING,))
    # One that was interrupted while it was drawn lacks knobs: those stay as they are.
    asked = {trial.number: {**as_it_is(space), **trial.params} for trial in begun[:size]}
    while len(asked) < size:
        number = sum(trial.state != optuna.trial.TrialState.WAITING for trial in study.trials)
        study.sampler = optuna.samplers.NSGAIISampler(
            seed=(seed * _SEEDS_APART + number) % 2**32, population_size=_GENERATION
        )
        trial = study.ask(distributions)
        asked[trial.number] = trial.params
    return asked


@contextmanager
def runner(work: Work, jobs: int, address: str | None) -> Iterator[Runner]:
    """Runs trials side by side: on a Ray cluster, or in processes of this machine; answers come in the order asked.

    Raises:
        StokerError: Ray is not installed, no cluster answers, or a process died.
    """
    if address is not None:
        with _ray(work, address) as run:
            yield run
    elif jobs == 1:
        yield lambda asked: (run_trial(work, each) for each in asked)
    else:
        with _processes(work, jobs) as run:
            yield run


@contextmanager
def _processes(work: Work, jobs: int) -> Iterator[Runner]:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(work,))
    try:
        yield lambda asked: _given_to(pool, asked)
    except BrokenProcessPool as error:
        raise StokerError(
            "a simulation's process died, most likely for want of memory",
            fix="the same command with a smaller --jobs goes on where it stopped",
        ) from error
    except BaseException:
        # Whoever interrupts does not want to wait for simulations that nobody will read.
        for child in active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _given_to(pool: "ProcessPoolExecutor", asked: Sequence[Changes]) -> Iterable[Answer]:
    """Processes begin here, deaf to Ctrl-C from their first moment: one that is still importing would print a traceback."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return pool.map(_run_here, asked)
    finally:
        signal.signal(signal.SIGINT, before)


_work: Work | None = None


def _begin(work: Work) -> None:
    """In a new process: the work is sent once, and a parent that is killed is followed."""
    global _work  # noqa: PLW0603 - the one way in which a pool's initializer hands anything on
    _work = work
    Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _run_here(asked: Changes) -> dict[str, Any]:
    assert _work is not None  # noqa: S101 - set by `_begin`
    return run_trial(_work, asked)


def _knock(address: str) -> None:
    """Ray itself tries for more than a minute to reach a cluster that is not there."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S).close()


@contextmanager
def _ray(work: Work, address: str) -> Iterator[Runner]:
    try:
        import ray
    except ImportError as error:
        raise StokerError("--ray needs Ray", fix="pip install 'ray[client]'") from error
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, OverflowError, ImportError, RuntimeError, ValueError) as error:
        raise UnreachableError(
            f"no Ray cluster at {address}: {str(error).splitlines()[0]}",
            fix="`ray start --head` starts one; --ray auto finds one of this machine",
        ) from error
    remote = ray.remote(run_trial)
    shared = ray.put(work)
    try:
        yield lambda asked: map(ray.get, [remote.remote(shared, each) for each in asked])
    except ray.exceptions.RayError as error:
        raise StokerError(
            f"Ray could not run a trial: {str(error).strip().splitlines()[-1]}",
            fix=f"every node of the cluster needs the same release: pip install 'stoker[fast]', and Ray {ray.__version__}",
        ) from error
    finally:
        ray.shutdown()
