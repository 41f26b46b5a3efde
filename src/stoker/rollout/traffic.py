"""Real requests over the OpenAI API while a gate looks on: open loop, in the cluster's time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import httpx2

from stoker.load import Api, Clock, LoadPlan, LoadResult, LoadRun, Outcome, Planned, Target, listed_plan
from stoker.rollout.endpoints import Endpoint
from stoker.rollout.gate import CannotMeasureError, Context
from stoker.sizing.memory import batch_defaults
from stoker.sizing.resolved import ResolvedModel

__all__ = ["answering", "lost", "planned", "sequences_of", "target_of", "traffic"]

# Not the cluster's doing: requests that this machine did not send, or took back when the gate had seen enough.
_OURS = frozenset((Outcome.UNSENT, Outcome.CANCELLED))


def target_of(model: ResolvedModel, endpoint: Endpoint) -> Target:
    """Where a model's requests go. Each has a connection of its own, as users have, so that a Service spreads them."""
    if not endpoint.takes_load:
        raise CannotMeasureError(
            f"{model.name} is reached by {endpoint.through} only, which is no way for load",
            fix=f"run this where its Service or gateway answers, or name a URL for {model.name}",
        )
    url = endpoint.url + model.release.openai_prefix
    # Whole answers: what gates ask for is who answers and how many wait, not when the first token came.
    return Target(url, Api.CHAT, streams=False, host=endpoint.headers.get("Host", ""))


def answering(model: ResolvedModel, endpoint: Endpoint) -> None:
    """Raise where a model does not answer at all, before anybody waits for what its load would do.

    Raises:
        CannotMeasureError: it is not reached, or answers with a failure of its own.
    """
    path = f"{model.release.openai_prefix}/models"
    try:
        with endpoint.client() as client:
            status = client.get(path).status_code
    except httpx2.HTTPError as error:
        raise CannotMeasureError(
            f"{model.name} does not answer at {endpoint.as_json()['url']}: {error}",
            fix="week-2's gates come first",
        ) from error
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        raise CannotMeasureError(
            f"{model.name} answers {path} with {status}", fix="week-2's gates come first"
        )


def sequences_of(model: ResolvedModel) -> int:
    """Sequences in one batch of a replica: what the engine is told, or its release's own bound for the GPU."""
    own = batch_defaults(model.pool.gpu, model.slice.memory_gib, model.release.defaults)
    return model.max_num_seqs or own.max_num_seqs


def planned(
    model: str, *, burst: int, rate: float, seconds: float, prompt_tokens: int, output_tokens: int
) -> LoadPlan:
    """``burst`` requests in the first second, then evenly ``rate`` a second, all of the same size.

    Even gaps, not Poisson's: a gate wants a load that stands, and counts no latencies.
    """
    times = [index / max(1, burst) for index in range(burst)]
    times += [1.0 + index / rate for index in range(int(rate * max(0.0, seconds - 1.0)))] if rate > 0 else []
    found = [Planned(index, at, prompt_tokens, output_tokens, model) for index, at in enumerate(times)]
    return listed_plan(found, duration_s=seconds, source=f"a gate: {burst} at once, then {rate:g} a second")


@contextmanager
def traffic(
    context: Context,
    target: Target,
    plan: LoadPlan,
    *,
    max_in_flight: int = 900,
    timeout_seconds: float = 3600.0,
    grace_seconds: float = 0.0,
) -> Iterator[LoadRun]:
    """Send a plan beside whatever the gate does; at the end it is cut off, after ``grace_seconds`` for what is under way.

    Raises:
        StokerError: the load generator is not installed.
    """
    run = LoadRun(
        plan, target, clock=Clock(context.clock.speed), max_in_flight=max_in_flight, timeout_s=timeout_seconds
    )
    began = context.now()
    run.start()
    try:
        yield run
    finally:
        run.stop(grace_seconds)
        result = run.wait()
        context.note("load", **_figures(result, began))


def lost(result: LoadResult) -> list[str]:
    """Outcomes of the requests that were sent and not answered in full."""
    return [one.kind for one in result.results if one.outcome is not Outcome.OK and one.outcome not in _OURS]


def _figures(result: LoadResult, began: datetime) -> dict[str, object]:
    outcomes: dict[str, int] = {}
    for one in result.results:
        outcomes[one.kind] = outcomes.get(one.kind, 0) + 1
    return {
        "source": result.plan.source,
        "target": result.target,
        "began": began.isoformat(),
        "elapsed_seconds": round(result.elapsed_s, 1),
        "outcomes": outcomes,
        "peak_in_flight": result.peak_in_flight,
    }
