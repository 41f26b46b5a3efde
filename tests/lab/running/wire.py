"""One connection to a lab, without a client library's manners: any body, any header, any path."""

import base64
import http.client
import json
import ssl
from pathlib import Path
from typing import Any

__all__ = ["Wire"]


class Wire:
    """Sends what it is told to.

    Args:
        kubeconfig: of the lab.
        timeout_s: an answer that takes longer is a hang.
    """

    def __init__(self, kubeconfig: Path, timeout_s: float = 30) -> None:
        found = json.loads(kubeconfig.read_text())
        cluster = found["clusters"][0]["cluster"]
        self.context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        host, port = cluster["server"].removeprefix("https://").split(":")
        self.address = (host, int(port))
        self.token = str(found["users"][0]["user"]["token"])
        self._timeout_s = timeout_s
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(*self.address, context=self.context, timeout=self._timeout_s)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: str = "application/json",
        token: str | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of the answer; ``body`` as it is where it is bytes, as JSON otherwise."""
        text = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        if text is not None:
            headers["Content-Type"] = content
        try:
            self._connection.request(method, path, text, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (http.client.HTTPException, ConnectionError):
            self._connection.close()
            self._connection = self._connect()
            raise

    def close(self) -> None:
        self._connection.close()
