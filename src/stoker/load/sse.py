"""Server-sent events out of bytes that come in any pieces (WHATWG HTML, section "Server-sent events"), data alone."""

from typing import Final

__all__ = ["EndlessEventError", "EventReader"]

_MOST_BYTES: Final = 16 << 20


class EndlessEventError(Exception):
    """An event that grows and does not end: this is no stream of tokens."""


class EventReader:
    """Collects the pieces of a stream and hands out the data of each event that is complete."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Data of the events that this piece completes, in order; events without data are passed over.

        Raises:
            EndlessEventError: an event has grown to 16 MiB.
        """
        whole = self._rest + piece
        if b"\r" in whole:
            # A piece may end between the two bytes of a line's end: the first of them waits for the second.
            kept = b"\r" if whole.endswith(b"\r") else b""
            whole = whole.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n") + kept
        *events, self._rest = whole.split(b"\n\n")
        if len(self._rest) > _MOST_BYTES:
            raise EndlessEventError("an event of the stream does not end")
        return [data for event in events if (data := _data(event)) is not None]

    def rest(self) -> list[bytes]:
        """Data of a last event whose blank line never came: some servers end so."""
        event, self._rest = self._rest.rstrip(b"\r\n"), b""
        data = _data(event)
        return [] if data is None else [data]


def _data(event: bytes) -> bytes | None:
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
