"""Sockets of the lab's own servers."""

import socket

from stoker.errors import StokerError

__all__ = ["listen"]


def listen(host: str, port: int, fix: str) -> socket.socket:
    """A listening socket; port 0 takes any that is free.

    Args:
        host: an address on loopback.
        port: which.
        fix: what to do where it cannot be had.

    Raises:
        StokerError: somebody else has the port.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise StokerError(f"port {port} of {host} cannot be had: {error.strerror}", fix=fix) from error
    found.listen(512)
    return found
