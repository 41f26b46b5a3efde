"""What a watch tells, and in which order: against the application in this process."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tests.lab.oracle.replay import send

from stoker.lab.assemble import Assembly, Lab, assemble

_PATH = "/api/v1/namespaces/default/configmaps"
_HEADERS = {"Authorization": "Bearer admin"}


def _lab() -> Lab:
    return assemble(None, admin_token="admin", parts=Assembly(seed=1))  # noqa: S106  # a test's token


def _config_map(name: str, value: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "data": {"value": value},
    }


def _watch(lab: Lab, query: str, during: Callable[[], None], seconds: float = 0.2) -> list[dict[str, Any]]:
    async def run() -> bytes:
        async def change() -> None:
            during()

        _, _, text = await send(
            lab.application,
            "GET",
            _PATH,
            headers=_HEADERS,
            query=f"watch=1&{query}",
            during=change,
            seconds=seconds,
        )
        return text

    return [json.loads(line) for line in asyncio.run(run()).splitlines()]


def test_what_leaves_a_selection_is_told_as_it_was_under_the_revision_at_which_it_left() -> None:
    lab = _lab()
    stored = lab.local.create(_config_map("a", "1", tier="x"))

    def change() -> None:
        stored["metadata"]["labels"] = {"tier": "y"}
        stored["data"] = {"value": "2"}
        stored.update(lab.local.update(stored))

    events = _watch(
        lab, f"labelSelector=tier%3Dx&resourceVersion={stored['metadata']['resourceVersion']}", change
    )

    assert [("DELETED", {"tier": "x"}, {"value": "1"}, stored["metadata"]["resourceVersion"])] == [
        (
            event["type"],
            event["object"]["metadata"]["labels"],
            event["object"]["data"],
            event["object"]["metadata"]["resourceVersion"],
        )
        for event in events
    ]


def test_a_bookmark_comes_shortly_before_the_end_behind_all_that_was_told() -> None:
    lab = _lab()
    start = lab.store.revision

    def change() -> None:
        lab.local.create(_config_map("a", "1"))
        # Not of this watch: only the bookmark tells how far it has come.
        lab.local.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})

    events = _watch(
        lab, f"allowWatchBookmarks=true&timeoutSeconds=3&resourceVersion={start}", change, seconds=2
    )

    assert ["ADDED", "BOOKMARK"] == [event["type"] for event in events]
    assert str(lab.store.revision) == events[-1]["object"]["metadata"]["resourceVersion"]


def test_no_bookmark_comes_where_none_was_asked_for() -> None:
    lab = _lab()

    events = _watch(lab, f"timeoutSeconds=3&resourceVersion={lab.store.revision}", lambda: None, seconds=1.5)

    assert [] == events


def test_a_bookmark_is_never_ahead_of_a_change_that_waits() -> None:
    """While changes come all the time, a bookmark still names no revision that was not told before it."""
    lab = _lab()
    start = lab.store.revision

    async def run() -> bytes:
        async def change() -> None:
            end = asyncio.get_running_loop().time() + 1.6
            number = 0
            while asyncio.get_running_loop().time() < end:
                lab.local.create(_config_map(f"a{number}", "1"))
                number += 1
                await asyncio.sleep(0)

        query = f"watch=1&allowWatchBookmarks=true&timeoutSeconds=3&resourceVersion={start}"
        _, _, text = await send(
            lab.application, "GET", _PATH, headers=_HEADERS, query=query, during=change, seconds=0.3
        )
        return text

    events = [json.loads(line) for line in asyncio.run(run()).splitlines()]
    revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]

    assert ["BOOKMARK"] == [event["type"] for event in events if event["type"] != "ADDED"]
    assert sorted(revisions) == revisions
    assert list(range(start + 1, lab.store.revision + 1)) == [
        revision for event, revision in zip(events, revisions, strict=True) if event["type"] == "ADDED"
    ]
