"""What is to be sent, and when: decided in full before the first request leaves, so that no answer can slow the next request."""

from dataclasses import dataclass
from typing import Final

from stoker.errors import InputError, Problem

__all__ = ["MOST_REQUESTS", "LoadPlan", "Planned", "check_plan"]

MOST_REQUESTS: Final = 1_000_000
"""Of one plan. A machine that sends 2,000 a second is busy with them for eight minutes; they take 200 MB."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One request.

    Attributes:
        index: its number in the plan, from 0.
        at_s: when it is to be sent, in seconds from the start.
        prompt_tokens, output_tokens: how long prompt and answer are to be, at least 1.
        model: as the server names it.
        tenant: whose it is; for the summary alone.
        prefix: hash ids of the prompt's leading blocks; prompts whose ids are equal begin with the same words.
    """

    index: int
    at_s: float
    prompt_tokens: int
    output_tokens: int
    model: str = ""
    tenant: str = ""
    prefix: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Requests in order of their times.

    Attributes:
        duration_s: length of the window that they are spread over.
        source: where they come from, in words.
        seed: of times, lengths and prompts.
        prefix_block_tokens: tokens of a block that a prefix's hash id stands for.
    """

    requests: tuple[Planned, ...]
    duration_s: float
    source: str
    seed: int = 0
    prefix_block_tokens: int = 0

    @property
    def rate(self) -> float:
        """Requests per second, on average over the window."""
        return len(self.requests) / self.duration_s


def check_plan(requests: float, duration_s: float) -> None:
    """Refuse a plan of so many requests that is empty, endless or too long to hold.

    Raises:
        InputError: saying which.
    """
    problems = []
    if requests <= 0:
        problems.append(Problem("nothing to send", found="no request", fix="a higher rate or a longer time"))
    if requests > MOST_REQUESTS:
        problems.append(
            Problem(
                "more requests than one run may have",
                found=f"{requests:,.0f}",
                wanted=f"at most {MOST_REQUESTS:,}",
                fix="a lower rate or a shorter time",
            )
        )
    if not 0 < duration_s < float("inf"):
        problems.append(Problem("no time to send in", found=f"{duration_s:g} s", wanted="above 0"))
    if problems:
        raise InputError(problems)
