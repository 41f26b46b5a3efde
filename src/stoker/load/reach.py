"""Whether anybody listens at a target, before minutes are spent on sending to nobody."""

import socket
from urllib.parse import urlsplit

from stoker.errors import UnreachableError
from stoker.load.target import Target, shown_url

__all__ = ["check_reachable"]


def check_reachable(target: Target, timeout_s: float = 5.0) -> None:
    """Open a connection and close it.

    Raises:
        UnreachableError: nobody took it.
    """
    parts = urlsplit(target.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=timeout_s):
            return
    except OSError as error:
        raise UnreachableError(
            f"nothing answers at {shown_url(target.url)}: {error.strerror or error}",
            fix="look at the address, and whether a pod is ready behind it",
        ) from error
