"""Namespaces that come, are filled, and are deleted with all that is in them, whatever is killed meanwhile."""

import asyncio
import random
from itertools import count

import msgspec
from tests.lab.soak.forms import FORMS, body_of
from tests.lab.soak.history import Change
from tests.lab.soak.lab import Lab, LostError, UnsentError

__all__ = ["Tenants"]

_PATH = "/api/v1/namespaces"


class Tenants:
    """Their objects are in lists and watches of all namespaces, but nobody follows them one by one."""

    def __init__(self, lab: Lab, rng: random.Random) -> None:
        self._lab = lab
        self._rng = rng
        self._numbers = count()
        self.deleted: set[str] = set()

    async def come_and_go(self, stop: asyncio.Event) -> None:
        """One after the other, until told to stop."""
        while not stop.is_set():
            await self._lab.is_up.wait()
            name = f"doomed-{next(self._numbers)}"
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await self._ask("POST", _PATH, namespace, {201})
            for number in range(self._rng.randint(0, 6)):
                form = FORMS[self._rng.choice(list(FORMS))]
                body = body_of(form, f"n{number}", Change("create", fields={("cell", "op"): name}), [], None)
                # Where the namespace's own creation was lost there may be none.
                await self._ask("POST", form.path(name), body, {201, 404})
            self.deleted.add(name)
            while not await self._ask("DELETE", f"{_PATH}/{name}", None, {200, 404}):
                await self._lab.is_up.wait()
                await asyncio.sleep(0.05)
            await asyncio.sleep(self._rng.random() * 2)

    async def _ask(self, method: str, path: str, body: object, expected: set[int]) -> bool:
        """Whether there was an answer."""
        try:
            status, text = await self._lab.send(method, path, {}, body)
        except (LostError, UnsentError):
            return False
        assert status in expected, (method, path, status, text)
        return True

    async def left(self) -> set[str]:
        """Those that are still there though they were deleted."""
        _, text = await self._lab.send("GET", _PATH, {})
        return self.deleted & {item["metadata"]["name"] for item in msgspec.json.decode(text)["items"]}
