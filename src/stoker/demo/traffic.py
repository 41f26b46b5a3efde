"""The demo's users: the same seeded requests before and after, quiet at first, then a rush, then quiet again."""

from collections.abc import Mapping
from typing import Any, Final

from stoker.load import Clock, LoadRun, Phase, Summary, Target, poisson_plan, summarise

__all__ = ["RUSH", "Users", "figures"]

# Questions over documents: long prompts, for which the prefill is what the GPUs are busy with.
_PROMPT, _ANSWER = 3000, 150
RUSH: Final = (Phase(240.0, 0.3), Phase(300.0, 1.2), Phase(180.0, 0.3))
_TIMEOUT: Final = 300.0


class Users:
    """Requests that are under way beside everything else."""

    def __init__(
        self,
        url: str,
        model: str,
        phases: tuple[Phase, ...],
        *,
        speed: float,
        seed: int,
        headers: Mapping[str, str],
    ) -> None:
        plan = poisson_plan(
            phases, model=model, prompt_tokens=_PROMPT, output_tokens=_ANSWER, sigma=0.3, seed=seed
        )
        host = headers.get("Host", "")
        # Not streamed: the engine's own histogram has the TTFT, and two cores carry the lab as well.
        target = Target(url, streams=False, host=host)
        self._run = LoadRun(plan, target, clock=Clock(speed), timeout_s=_TIMEOUT, max_in_flight=400)

    def start(self) -> "Users":
        self._run.start()
        return self

    def end(self) -> Summary:
        """Wait for the last answer."""
        return summarise(self._run.wait())

    def stop(self) -> Summary:
        """Send no more; what is under way may end."""
        self._run.stop(grace_s=_TIMEOUT)
        return summarise(self._run.wait())


def figures(summary: Summary) -> dict[str, Any]:
    """What the evidence keeps of a run."""
    total = summary.total
    return {
        "requests": total.requests,
        "answered": total.ok,
        "outcomes": total.outcomes,
        "error_rate": total.error_rate,
        "first_failures": summary.details,
        "e2e_seconds": {
            "p50": total.e2e.p50,
            "p95": total.e2e.p95,
            "p99": total.e2e.p99,
            "count": total.e2e.count,
        },
        "generator_late": summary.is_late,
        "seed": summary.seed,
        "speed": summary.speed,
        "source": summary.source,
    }
