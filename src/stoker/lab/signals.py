"""What the platform's controllers hear, before and after those who tell it have started."""

from collections.abc import Mapping

from stoker.lab.platform import Answer, Signals, Silence

__all__ = ["LateSignals"]


class LateSignals:
    """Signals of monitoring and of the paths to pods: silent until `monitoring` is set.

    Attributes:
        monitoring: who answers queries.
        open_requests: what each rule holds and is answering, see `stoker.lab.serving.contract.Held`.
    """

    def __init__(self) -> None:
        self.monitoring: Signals = Silence()
        self.open_requests: dict[str, int] = {}

    def prometheus(self, server: str, query: str) -> Answer | None:
        return self.monitoring.prometheus(server, query)

    def queue(self, kind: str, metadata: Mapping[str, str]) -> Answer | None:
        return self.monitoring.queue(kind, metadata)

    def set_open(self, counts: dict[str, int]) -> None:
        """What is open now; whatever is not named has nothing open."""
        self.open_requests = counts

    def requests(self, name: str) -> float:
        return float(self.open_requests.get(name, 0))
