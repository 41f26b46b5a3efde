"""The official Python client's watches: from a list on, resumed, filtered, over bookmarks, and after the lab was down."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client.rest import ApiException
from tests.lab.running.conftest import stoker
from tests.lab.running.python_client import api_of, namespace_of, until


@pytest.fixture(scope="module")
def api(lab_state: Path) -> Iterator[client.ApiClient]:
    with api_of(lab_state) as found:
        yield found


@pytest.fixture
def core(api: client.ApiClient) -> client.CoreV1Api:
    return client.CoreV1Api(api)


@pytest.fixture
def space(api: client.ApiClient, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    name = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")
    return namespace_of(api, f"py-{name}"[:60].strip("-"))


def _own(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"mine": "yes"}}}


def _seen(events: Iterator[Any], count: int) -> list[tuple[str, str]]:
    """Types and names of so many events of an open watch."""
    found = []
    for event in events:
        found.append((event["type"], event["object"].metadata.name))
        if len(found) == count:
            break
    return found


def test_a_watch_begins_where_the_list_ended_and_resumes_where_it_was_left(
    core: client.CoreV1Api, space: str
) -> None:
    core.create_namespaced_config_map(space, _own("before"))
    listed = core.list_namespaced_config_map(space, label_selector="mine=yes")
    for name in ("a", "b"):
        core.create_namespaced_config_map(space, _own(name))
    core.patch_namespaced_config_map("a", space, {"data": {"k": "v"}})
    # Out of the selection is gone for who watches it.
    core.patch_namespaced_config_map("before", space, {"metadata": {"labels": {"mine": None}}})
    core.delete_namespaced_config_map("b", space)

    watching = watch.Watch()
    arguments = {"label_selector": "mine=yes", "timeout_seconds": 30}
    first = watching.stream(
        core.list_namespaced_config_map, space, resource_version=listed.metadata.resource_version, **arguments
    )
    begun = _seen(first, 2)
    first.close()
    resumed = watch.Watch().stream(
        core.list_namespaced_config_map, space, resource_version=watching.resource_version, **arguments
    )
    rest = _seen(resumed, 3)
    resumed.close()

    assert [("ADDED", "a"), ("ADDED", "b")] == begun
    assert [("MODIFIED", "a"), ("DELETED", "before"), ("DELETED", "b")] == rest


def test_a_watch_ends_after_its_time_and_the_client_reopens_it(core: client.CoreV1Api, space: str) -> None:
    """Without a time limit the client reconnects for ever: each stream of the server's ends in time."""
    core.create_namespaced_config_map(space, _own("one"))

    events = list(
        watch.Watch().stream(
            core.list_namespaced_config_map, space, label_selector="mine=yes", timeout_seconds=1
        )
    )

    assert [("ADDED", "one")] == [(one["type"], one["object"].metadata.name) for one in events]


def test_a_pod_is_watched_to_its_end(core: client.CoreV1Api, space: str) -> None:
    version = core.list_namespaced_pod(space).metadata.resource_version
    core.create_namespaced_pod(space, {
        "metadata": {"name": "p"},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox", "command": ["sleep", "60"]}]},
    })  # fmt: skip

    phases = []
    for event in watch.Watch().stream(
        core.list_namespaced_pod, space, field_selector="metadata.name=p", resource_version=version,
        timeout_seconds=60,
    ):  # fmt: skip
        phases.append(event["object"].status.phase)
        if phases[-1] == "Succeeded":
            break

    assert ["Pending", "Running", "Succeeded"] == sorted(set(phases), key=phases.index)


def test_logs_are_followed_to_the_end(core: client.CoreV1Api, space: str) -> None:
    core.create_namespaced_pod(space, {
        "metadata": {"name": "p"},
        "spec": {"restartPolicy": "Never", "containers": [
            {"name": "c", "image": "busybox", "command": ["sh", "-c", "echo first; sleep 30; echo last"]}]},
    })  # fmt: skip
    assert until(lambda: core.read_namespaced_pod("p", space).status.phase == "Running")

    lines = list(watch.Watch().stream(core.read_namespaced_pod_log, "p", space))

    assert ["first", "last"] == lines


def test_bookmarks_carry_a_watch_over_what_it_does_not_see(core: client.CoreV1Api, space: str) -> None:
    version = core.list_namespaced_config_map(space).metadata.resource_version
    watching = watch.Watch()
    bookmark = threading.Event()
    found: list[Any] = []

    def follow() -> None:
        for event in watching.stream(
            core.list_namespaced_secret, space, resource_version=version, allow_watch_bookmarks=True,
            timeout_seconds=3,
        ):  # fmt: skip
            found.append(event)
            bookmark.set()

    thread = threading.Thread(target=follow)
    thread.start()
    last = core.create_namespaced_config_map(space, _own("other")).metadata.resource_version
    thread.join(60)

    # The server sends one shortly before the end of a watch.
    assert bookmark.is_set()
    assert {"BOOKMARK"} == {one["type"] for one in found}
    assert int(watching.resource_version) >= int(last)


def test_a_version_that_is_gone_is_told_and_a_new_list_goes_on(tmp_path: Path) -> None:
    up = ("lab", "up", "--state", tmp_path, "--nodes", "1xcpu", "--no-metrics")
    stoker(*up)
    try:
        with api_of(tmp_path) as api:
            core = client.CoreV1Api(api)
            old = core.create_namespaced_config_map("default", _own("a")).metadata.resource_version
            core.create_namespaced_config_map("default", _own("b"))
        stoker("lab", "down", "--state", tmp_path)
        stoker(*up)
        with api_of(tmp_path) as api:
            core = client.CoreV1Api(api)
            with pytest.raises(ApiException) as caught:
                list(
                    watch.Watch().stream(
                        core.list_namespaced_config_map, "default", resource_version=old, timeout_seconds=5
                    )
                )
            listed = core.list_namespaced_config_map("default", label_selector="mine=yes")
    finally:
        stoker("lab", "down", "--state", tmp_path)

    assert 410 == caught.value.status
    assert ["a", "b"] == [one.metadata.name for one in listed.items]
