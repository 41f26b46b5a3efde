"""The soak itself: clients of all sorts, kills at random moments, and in the end a cluster that comes to rest."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.lab.soak.forms import CRD, FORMS, HOLD
from tests.lab.soak.history import History, Restart, Selector, Version
from tests.lab.soak.lab import Lab
from tests.lab.soak.recorder import Recorder
from tests.lab.soak.tenants import Tenants
from tests.lab.soak.watchers import watchers
from tests.lab.soak.writers import Client

__all__ = ["Plan", "counts", "soak"]

_NAMESPACES = ("soak-a", "soak-b")
# Generous: how long a condition may take to come on a busy machine.
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How a soak goes.

    Attributes:
        seconds: how long clients write.
        seed: of what they ask and when the server is killed.
        pauses: seconds between two kills, least and most.
        kills, writes: how many at least, whatever the time.
    """

    seconds: float
    seed: int
    pauses: tuple[float, float] = (4.0, 30.0)
    kills: int = 0
    writes: int = 0
    writers: int = 16
    readers: int = 3


class _Soak:
    def __init__(self, folder: Path, plan: Plan) -> None:
        self._plan = plan
        self._rng = random.Random(plan.seed)  # noqa: S311  # what is asked can be asked again
        self._lab = Lab(folder)
        self._recorder = Recorder(_NAMESPACES)
        self._client = self._new_client("keeper")
        self._tenants = Tenants(self._lab, random.Random(self._rng.random()))  # noqa: S311
        self._stop = asyncio.Event()
        self._enough = asyncio.Event()

    def _new_client(self, name: str) -> Client:
        rng = random.Random(self._rng.random())  # noqa: S311
        return Client(self._lab, self._recorder, rng, name)

    async def run(self) -> History:
        await self._lab.up()
        await self._prepare()
        watching = watchers(self._lab, self._recorder, self._rng)
        async with asyncio.TaskGroup() as tasks:
            for watcher in watching:
                tasks.create_task(watcher.follow(self._enough))
            await _until(lambda: all(watcher.end for watcher in watching), "every watch begins")
            await self._load()
            await self._settle()
            last = await self._last_lists()
            for watcher in watching:
                await _until(lambda one=watcher: one.end >= last, f"{watcher} gets to {last}")
            self._enough.set()
        await self._restart_in_order()
        return self._recorder.history()

    async def _prepare(self) -> None:
        crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for path, body in (
            (crds, CRD),
            *(
                ("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
                for name in _NAMESPACES
            ),
        ):
            status, text = await self._lab.send("POST", path, {}, body)
            assert status == 201, text
        deadline = time.monotonic() + _PATIENCE_S
        while (await self._lab.send("GET", FORMS["marks"].path(), {}))[0] != 200:
            assert time.monotonic() < deadline, "the custom kind is never served"
            await asyncio.sleep(0.05)

    async def _load(self) -> None:
        """Clients and kills, for as long as the plan says."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._plan.writers):
                tasks.create_task(self._new_client(f"writer-{number}").write_for(self._stop))
            for number in range(self._plan.readers):
                tasks.create_task(self._new_client(f"reader-{number}").read_for(self._stop))
            for watcher in watchers(self._lab, self._recorder, self._rng)[:: len(FORMS)]:
                tasks.create_task(watcher.look_back(self._stop))
            tasks.create_task(self._tenants.come_and_go(self._stop))
            await self._kill_now_and_then()
            self._stop.set()

    async def _kill_now_and_then(self) -> None:
        plan = self._plan
        end = time.monotonic() + plan.seconds
        kills = 0
        while kills < plan.kills or time.monotonic() < end:
            pause = self._rng.uniform(*plan.pauses)
            await asyncio.sleep(pause if kills < plan.kills else min(pause, max(0.0, end - time.monotonic())))
            if kills >= plan.kills and time.monotonic() >= end:
                break
            kills += 1
            await self._kill()
        while len(self._recorder.writes) < plan.writes:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.1)

    async def _kill(self) -> None:
        killed = self._recorder.next()
        await self._lab.kill()
        kills = 1
        while self._rng.random() < 0.25:
            await self._lab.up_until(self._rng.uniform(0.2, 2.5))
            kills += 1
        await self._lab.up()
        self._recorder.restarts.append(Restart(killed, self._recorder.next(), kills))

    async def _lists(self, *, is_last: bool = False) -> list[Version]:
        found: list[Version] = []
        for form in FORMS.values():
            for namespace in _NAMESPACES:
                page = await self._client.list(form, namespace, Selector(), is_last=is_last)
                assert page is not None
                found += page.items
        return found

    async def _settle(self) -> None:
        """Let go of what is held, and wait until the controllers have nothing left to do."""
        deadline = time.monotonic() + _PATIENCE_S
        doomed: set[str] = set()
        while time.monotonic() < deadline:
            await self._client.release_all()
            doomed = await self._tenants.left()
            items = await self._lists()
            living = {item.state.uid for item in items}
            if not doomed and not any(
                HOLD in item.state.finalizers
                or item.state.is_going
                or (item.state.owners and not item.state.owners & living)
                for item in items
            ):
                return
            await asyncio.sleep(0.2)
        assert not doomed, f"namespaces never went: {doomed}"
        # The checker says what else is left.

    async def _last_lists(self) -> int:
        await self._lists(is_last=True)
        return self._recorder.pages[-1].revision

    async def _restart_in_order(self) -> None:
        """`lab down` and `lab up` change nothing."""
        killed = self._recorder.next()
        await self._lab.down()
        await self._lab.up()
        self._recorder.restarts.append(Restart(killed, self._recorder.next(), 0))
        await self._lists(is_last=True)
        await self._lab.down()
        log = self._lab.log()
        assert "Traceback" not in log, log[log.index("Traceback") :][:4000]

    async def clean_up(self) -> None:
        await self._lab.down()


async def _until(is_so: object, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"it never happens that {what}"
        await asyncio.sleep(0.02)


def soak(folder: Path, plan: Plan) -> History:
    """Run it. The lab is down afterwards, whatever happens."""

    async def run() -> History:
        one = _Soak(folder, plan)
        try:
            return await one.run()
        finally:
            await one.clean_up()

    return asyncio.run(run())


def counts(history: History) -> dict[str, int]:
    """How much there was to check."""
    found = Counter(f"writes {write.outcome.kind}" for write in history.writes)
    found.update(f"{write.change.verb} stored" for write in history.writes if write.outcome.kind == "stored")
    found.update(f"refused {write.outcome.reason}" for write in history.writes if write.outcome.reason)
    found["writes"] = len(history.writes)
    found["reads"] = len(history.reads)
    found["pages"] = len(history.pages)
    found["watches"] = len(history.streams)
    found["watches that were too old"] = len(history.expired)
    events = [event for stream in history.streams for event in stream.events]
    found["events"] = len(events)
    found["bookmarks"] = sum(event.kind == "BOOKMARK" for event in events)
    found["kills"] = sum(restart.kills for restart in history.restarts)
    return dict(found)
