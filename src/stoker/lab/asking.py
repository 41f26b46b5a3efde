"""Small questions to a lab that runs, over its API, from another process."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from stoker.errors import StokerError, UnreachableError

__all__ = ["ask", "count"]

_TIMEOUT_S = 5.0


def ask(kubeconfig: Path, path: str, body: dict[str, Any] | None = None) -> Any:
    """GET a path of the API as the administrator, or POST a body to it.

    Raises:
        UnreachableError: nobody answers, or not with success.
        StokerError: the API refuses; in its words.
    """
    found = json.loads(kubeconfig.read_text(encoding="utf-8"))
    cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
    import base64

    context = ssl.create_default_context(
        cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
    )
    request = urllib.request.Request(  # noqa: S310  # https to the lab's own address, as its kubeconfig has it
        cluster["server"] + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {user['token']}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=context) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode(errors="replace")
        try:
            message = json.loads(text)["message"]
        except (ValueError, KeyError):
            message = text.strip()
        raise StokerError(f"the lab refuses: {message}") from error
    except (OSError, ValueError) as error:
        raise UnreachableError(f"the lab does not answer: {error}", fix="stoker lab down, then up") from error


def count(kubeconfig: Path, path: str) -> int:
    """How many objects a collection has."""
    found = ask(kubeconfig, f"{path}?limit=1")
    return len(found["items"]) + int(found["metadata"].get("remainingItemCount") or 0)
