"""What the platform's controllers hear from outside the API: metrics, queues, requests. Others ask; nobody here waits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Answer", "Signals", "Silence"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source said last.

    Attributes:
        value: the figure; None where the source answered with nothing, such as an empty query.
        error: why there is none, in the source's words; empty where it answered.
    """

    value: float | None = None
    error: str = ""


class Signals(Protocol):
    """Answers at once with what is known; None where a question is on its way and has no answer yet."""

    def prometheus(self, server: str, query: str) -> Answer | None:
        """An instant query of a Prometheus at an address. More than one element is an error."""

    def queue(self, kind: str, metadata: Mapping[str, str]) -> Answer | None:
        """Messages that wait at a broker: KEDA's trigger kind (``kafka``, ``rabbitmq``, …) and its metadata."""

    def requests(self, name: str) -> float:
        """Requests that a rule (`stoker.lab.serving.contract.Rule.name`) has open: those held and those being answered."""


class Silence:
    """No metrics, no brokers, no traffic."""

    def prometheus(self, server: str, query: str) -> Answer | None:
        del query
        host = server.partition("://")[2].partition("/")[0].partition(":")[0]
        return Answer(error=f"dial tcp: lookup {host}: no such host")

    def queue(self, kind: str, metadata: Mapping[str, str]) -> Answer | None:
        del metadata
        return Answer(error=f"{kind}: no broker answers")

    def requests(self, name: str) -> float:
        del name
        return 0.0
