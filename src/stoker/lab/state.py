"""The folder of a lab: what it keeps between `lab up` and `lab up`, and how others find it.

Only its owner can read it: it holds the key of the server, the token of the administrator and the objects.
"""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stoker.errors import StokerError

__all__ = ["LabState", "Running", "default_state"]


def default_state() -> Path:
    """``$XDG_STATE_HOME/stoker/lab``, in ``~/.local/state`` where that is not set."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "stoker" / "lab"


@dataclass(frozen=True, slots=True)
class Running:
    """A lab that is up: its process, its port, how fast its clock runs, and when it began."""

    pid: int
    port: int
    speed: float
    started: str
    nodes: list[str]

    @property
    def is_alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        # A process that has ended and was not yet waited for is no lab.
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return True
        return text.rpartition(")")[2].split()[0] != "Z"


@dataclass(frozen=True, slots=True)
class LabState:
    """Paths inside the folder, and what stands in them."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "objects.db"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def log(self) -> Path:
        return self.folder / "lab.log"

    @property
    def _running(self) -> Path:
        return self.folder / "running.json"

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            StokerError: it cannot be made, or is something else.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
        except OSError as error:
            raise StokerError(
                f"{self.folder} cannot hold a lab: {error.strerror or error}", fix="another --state"
            ) from error

    def admin_token(self) -> str:
        """The administrator's token: random, made once for a folder."""
        path = self.folder / "admin.token"
        if not path.exists():
            _write_private(path, secrets.token_urlsafe(32))
        return path.read_text(encoding="ascii").strip()

    def running(self) -> Running | None:
        """The lab that is up on this folder; None where none is, or where one died."""
        try:
            found: dict[str, Any] = json.loads(self._running.read_text(encoding="utf-8"))
            running = Running(**found)
        except (OSError, ValueError, TypeError):
            return None
        return running if running.is_alive else None

    def set_running(self, running: Running) -> None:
        _write_private(self._running, json.dumps(asdict(running)))

    def clear_running(self) -> None:
        self._running.unlink(missing_ok=True)

    def write_kubeconfig(self, port: int, authority: Path) -> None:
        """A kubeconfig for the administrator, readable by its owner only."""
        import base64

        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stoker-lab",
            "clusters": [
                {
                    "name": "stoker-lab",
                    "cluster": {
                        "server": f"https://127.0.0.1:{port}",
                        "certificate-authority-data": base64.b64encode(authority.read_bytes()).decode(),
                    },
                }
            ],
            "users": [{"name": "stoker-lab-admin", "user": {"token": self.admin_token()}}],
            "contexts": [
                {"name": "stoker-lab", "context": {"cluster": "stoker-lab", "user": "stoker-lab-admin"}}
            ],
        }
        # JSON is YAML, and every reader of kubeconfigs takes it.
        _write_private(self.kubeconfig, json.dumps(document, indent=2) + "\n")


def _write_private(path: Path, text: str) -> None:
    """Replace a file at once; nobody else can read it at any moment."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)
