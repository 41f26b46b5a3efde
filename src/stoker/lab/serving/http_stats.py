"""What a server counts of its HTTP requests, as prometheus-fastapi-instrumentator 8.1 does (its metrics.py, `default`)."""

from typing import Final

from stoker.lab.serving.exposition import Page
from stoker.lab.serving.stats import Histogram

__all__ = ["HttpStats"]

_FINE: Final = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60),
)
_COARSE: Final = (0.1, 0.5, 1)
# vllm/entrypoints/serve/instrumentator/metrics.py, excluded_handlers.
_LEFT_OUT: Final = frozenset(("/metrics", "/health", "/load", "/ping", "/version", "/server_info"))


class HttpStats:
    """Requests by handler, method and class of status."""

    def __init__(self) -> None:
        self._total: dict[tuple[str, str, str], int] = {}
        self._in: dict[str, tuple[int, float]] = {}
        self._out: dict[str, tuple[int, float]] = {}
        self._fine = Histogram(_FINE)
        self._coarse: dict[tuple[str, str], Histogram] = {}

    def note(
        self, method: str, handler: str, status: int, *, received: int, sent: int, seconds: float
    ) -> None:
        """A request was answered. ``sent``: the answer's content length, 0 for a stream."""
        if handler in _LEFT_OUT:
            return
        key = (f"{status // 100}xx", handler, method)
        self._total[key] = self._total.get(key, 0) + 1
        for sizes, size in ((self._in, received), (self._out, sent)):
            times, total = sizes.get(handler, (0, 0.0))
            sizes[handler] = (times + 1, total + size)
        self._fine.observe(seconds)
        self._coarse.setdefault((handler, method), Histogram(_COARSE)).observe(seconds)

    def write(self, page: Page) -> None:
        page.counter("http_requests", "Total number of requests by method, status and handler.",
                     [({"status": status, "handler": handler, "method": method}, count)
                      for (status, handler, method), count in self._total.items()])  # fmt: skip
        page.summary("http_request_size_bytes",
                     "Content length of incoming requests by handler. Only value of header is respected. Otherwise ignored. "
                     "No percentile calculated. ",
                     [({"handler": handler}, *sizes) for handler, sizes in self._in.items()])  # fmt: skip
        page.summary("http_response_size_bytes",
                     "Content length of outgoing responses by handler. Only value of header is respected. Otherwise ignored. "
                     "No percentile calculated. ",
                     [({"handler": handler}, *sizes) for handler, sizes in self._out.items()])  # fmt: skip
        page.histogram("http_request_duration_highr_seconds",
                       "Latency with many buckets but no API specific labels. Made for more accurate percentile calculations. ",
                       [({}, self._fine)])  # fmt: skip
        page.histogram("http_request_duration_seconds",
                       "Latency with only few buckets by handler. Made to be only used if aggregation by handler is important. ",
                       [({"handler": handler, "method": method}, histogram)
                        for (handler, method), histogram in self._coarse.items()])  # fmt: skip
