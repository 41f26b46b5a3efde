"""What the platform's controllers hear, before and after those who tell it have started."""

from collections.abc import Mapping

from stoker.lab.platform import Answer, Signals, Silence

__all__ = ["LateSignals"]


class LateSignals:
    """Signals of monitoring and of the paths to pods: silent until `monitoring` is set.

    Attributes:
        monitoring: who answers queries.
        backlogs: messages that wait in queues of emulated brokers, by ``kind/queue`` as ``kafka/documents``; of others no
            broker answers.
    """

    def __init__(self) -> None:
        self.monitoring: Signals = Silence()
        self._open: dict[str, int] = {}
        self.backlogs: dict[str, float] = {}

    def prometheus(self, server: str, query: str) -> Answer | None:
        return self.monitoring.prometheus(server, query)

    def queue(self, kind: str, metadata: Mapping[str, str]) -> Answer | None:
        messages = self.backlogs.get(f"{kind}/{_queue_name(metadata)}")
        return self.monitoring.queue(kind, metadata) if messages is None else Answer(value=messages)

    def set_open(self, counts: dict[str, int]) -> None:
        """What rules hold and are answering now (`stoker.lab.serving.contract.Held`); whatever is not named has nothing open."""
        self._open = counts

    def requests(self, name: str) -> float:
        return float(self._open.get(name, 0))


def _queue_name(metadata: Mapping[str, str]) -> str:
    """What a trigger calls its queue (the scalers' typed metadata)."""
    for key in ("topic", "queueName", "stream"):
        if metadata.get(key):
            return metadata[key]
    return metadata.get("queueURL", "").rpartition("/")[2]
