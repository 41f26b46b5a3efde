"""What became of each request."""

from dataclasses import dataclass, field
from enum import StrEnum

from stoker.load.plan import LoadPlan, Planned

__all__ = ["Answer", "LoadResult", "Outcome", "Result"]


class Outcome(StrEnum):
    """How a request ended.

    The last two are no fault of the server and count for nothing but themselves.
    """

    OK = "ok"
    HTTP = "http"  # a status of 300 or more: see `Result.status`
    TIMEOUT = "timeout"
    REFUSED = "connection refused"
    LOST = "connection lost"  # before an answer began, or there was no way to the server
    CUT = "cut stream"  # after the answer began and before its end
    ERROR = "error in the stream"
    STRANGE = "no answer of this protocol"
    UNSENT = "not sent"  # this machine had no port or file left
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Result:
    """One request's end. Times are seconds from the start of the run, in the plan's time.

    Attributes:
        sent_s: when it was really sent; None where it never was.
        first_s: when the first text of its answer came; None where none did, or the answer was not streamed.
        end_s: when its answer was complete, or broke off.
        status: of HTTP; 0 where no answer began.
        prompt_tokens, output_tokens: as the server counts them, else the events of the stream that brought text; None where
            neither says.
        answered_by: the pod, version or model that answered, as far as the answer tells.
        is_held: it had to wait for one of the requests in flight to end.
        detail: the server's or the system's words about what went wrong.
    """

    planned: Planned
    outcome: Outcome
    end_s: float
    sent_s: float | None = None
    first_s: float | None = None
    status: int = 0
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    answered_by: str = ""
    is_held: bool = False
    detail: str = ""

    @property
    def kind(self) -> str:
        """The outcome, with the status where that is what it was."""
        return f"http {self.status}" if self.outcome is Outcome.HTTP else self.outcome.value

    @property
    def ttft_s(self) -> float | None:
        """From the moment at which it was to be sent to the first text."""
        return None if self.first_s is None else self.first_s - self.planned.at_s

    @property
    def e2e_s(self) -> float:
        """From the moment at which it was to be sent to the end."""
        return self.end_s - self.planned.at_s

    @property
    def tpot_s(self) -> float | None:
        """Seconds a token after the first: (e2e - ttft) / (tokens - 1), as vLLM's `benchmarks/serve.py` has it."""
        if self.first_s is None or self.output_tokens is None or self.output_tokens < 2:
            return None
        return (self.end_s - self.first_s) / (self.output_tokens - 1)

    @property
    def lag_s(self) -> float | None:
        """How late it was sent."""
        return None if self.sent_s is None else self.sent_s - self.planned.at_s


@dataclass(slots=True)
class Answer:
    """What came back, filled in as it comes; `Result` says what each field means."""

    outcome: Outcome = Outcome.LOST
    sent_s: float | None = None
    first_s: float | None = None
    end_s: float = 0.0
    status: int = 0
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    answered_by: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A run, over or under way.

    Attributes:
        results: in the order of the plan; requests that are under way are not among them.
        target: where they went, without anything secret.
        speed: how many seconds of the plan passed in one of this machine's.
        elapsed_s: since the start, in the plan's time.
        max_in_flight: requests that may be under way at once. ``peak_in_flight``: that were.
        in_flight: that are under way now.
        is_cancelled: it was stopped before the plan was through.
        started: seconds since the epoch, of this machine's clock.
    """

    plan: LoadPlan
    results: tuple[Result, ...]
    target: str
    elapsed_s: float
    max_in_flight: int
    peak_in_flight: int
    speed: float = 1.0
    in_flight: int = 0
    is_cancelled: bool = False
    started: float = field(default=0.0, compare=False)
