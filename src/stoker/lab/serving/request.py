"""A request of an engine, and who waits for its tokens."""

from collections.abc import Sequence as Items
from typing import Final, Protocol

__all__ = ["ABORTED", "Listener", "Request"]

ABORTED: Final = "abort"


class Listener(Protocol):
    """Who waits for a request's tokens."""

    streams: bool
    """Whether it wants to hear of every token, or of the end only."""

    def progress(self, made: int) -> None:
        """So many tokens are made by now."""
        ...

    def ended(self, request: "Request") -> None:
        """The request is over; `Request.reason` says why."""
        ...


class Request:
    """One request of an engine.

    Attributes:
        prompt: its tokens. ``answer``: tokens that will be made. ``asked``: the bound that the client gave, None for none.
        hashes: of the prompt's full blocks, each of everything up to its end; None: there is no prefix cache.
        adapter: LoRA adapter, empty for the model itself.
        ends_as: reason of an end that nothing disturbs: ``stop`` or ``length``.
        made: tokens so far. ``reason``: empty until it is over.
        arrived, queued, scheduled, first, last: seconds of the lab; 0 for not yet.
        cached: prompt tokens found in the prefix cache when it was first scheduled. ``preempted``: times it lost its blocks.
        kept, blocks, shared, computed, origin, fresh_at: the engine's own: tokens made before the present stay in the batch;
            KV blocks, those shared of them, and computed tokens while it is prefilled; computed tokens minus iteration, and
            the iteration of its first token, while it decodes.
    """

    __slots__ = (
        "adapter",
        "answer",
        "arrived",
        "asked",
        "blocks",
        "cached",
        "computed",
        "ends_as",
        "first",
        "fresh_at",
        "hashes",
        "kept",
        "last",
        "listener",
        "origin",
        "preempted",
        "prompt",
        "queued",
        "reason",
        "scheduled",
        "shared",
        "state",
    )  # fmt: skip

    def __init__(
        self,
        prompt: int,
        answer: int,
        arrived: float,
        listener: Listener,
        *,
        asked: int | None = None,
        hashes: Items[int] | None = None,
        adapter: str = "",
        ends_as: str = "length",
    ) -> None:
        self.prompt, self.answer, self.asked, self.arrived = prompt, answer, asked, arrived
        self.listener, self.hashes, self.adapter, self.ends_as = listener, hashes, adapter, ends_as
        self.queued = self.scheduled = self.first = self.last = 0.0
        self.cached = self.preempted = 0
        self.reason = ""
        self.state = "new"  # new, waiting, partial, fresh, decoding, over
        self.kept = 0  # tokens made before the present stay in the batch
        self.blocks = self.shared = self.computed = 0
        self.origin = 0  # computed tokens minus iteration while decoding
        self.fresh_at = 0  # iteration of the first token of the present stay

    def made(self, iteration: int) -> int:
        """Answer tokens that there are at an iteration of its engine."""
        if self.state == "decoding":
            return self.kept + iteration - self.fresh_at
        return self.kept
