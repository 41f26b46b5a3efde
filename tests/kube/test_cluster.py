"""The door to a cluster, against a lab that runs: apply, conflicts, watches, and a server that is busy or gone."""

import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from stoker.errors import UnreachableError
from stoker.kube.api_errors import (
    AlreadyExistsError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Ref, ref_of
from stoker.kube.transport import Sender, Tries


def config(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "door"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_what_was_applied_is_read_back_and_owned_by_our_manager(cluster: Cluster) -> None:
    applied = cluster.apply(config("ours", a="1"))

    found = cluster.get(ref_of(applied))

    assert found is not None
    assert found["data"] == {"a": "1"}
    assert [entry["manager"] for entry in found["metadata"]["managedFields"]] == ["stoker"]


def test_a_field_of_another_manager_is_a_conflict_that_names_both(cluster: Cluster) -> None:
    cluster.apply(config("shared", a="1"))
    cluster._sender.client.request(
        "PATCH",
        "/api/v1/namespaces/door/configmaps/shared?fieldManager=someone&force=true",
        content=b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"shared"},"data":{"a":"2"}}',
        headers={"Content-Type": "application/apply-patch+yaml"},
    )

    with pytest.raises(ConflictError) as refused:
        cluster.apply(config("shared", a="3"))

    assert [(cause.field, cause.message) for cause in refused.value.causes] == [
        (".data.a", 'conflict with "someone"')
    ]
    found = cluster.get(Ref("v1", "ConfigMap", "door", "shared"))
    assert found is not None
    assert found["data"] == {"a": "2"}


def test_a_dry_run_answers_the_object_and_writes_nothing(cluster: Cluster) -> None:
    answer = cluster.apply(config("never"), dry_run=True)

    assert answer["metadata"]["uid"]
    assert cluster.get(ref_of(answer)) is None


def test_refusals_are_told_apart(cluster: Cluster) -> None:
    cluster.apply(config("once"))

    with pytest.raises(AlreadyExistsError):
        cluster.create(config("once"))
    with pytest.raises(NotFoundError, match=r"serves no Model in example\.com/v1"):
        cluster.apply({"apiVersion": "example.com/v1", "kind": "Model", "metadata": {"name": "m"}})
    with pytest.raises(InvalidError):
        cluster.apply({**config("Bad Name")})
    with pytest.raises(InvalidError, match="field not declared in schema"):
        cluster.apply(
            {
                "apiVersion": "keda.sh/v1alpha1",
                "kind": "ScaledObject",
                "metadata": {"name": "s", "namespace": "door"},
                "spec": {"scaleTargetRef": {"name": "d"}, "triggers": [], "replicaz": 1},
            }
        )
    with pytest.raises(ForbiddenError):
        _exceed_quota(cluster)


def _exceed_quota(cluster: Cluster) -> None:
    cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota",
                   "metadata": {"name": "none", "namespace": "door"}, "spec": {"hard": {"count/secrets": "0"}}})  # fmt: skip
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = cluster.get(Ref("v1", "ResourceQuota", "door", "none"))
        if found and (found.get("status") or {}).get("hard"):
            break
        time.sleep(0.05)
    cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "door"}})


def test_deleting_twice_is_no_error_and_another_object_of_the_name_is_spared(cluster: Cluster) -> None:
    first = cluster.apply(config("gone"))
    ref = ref_of(first)

    assert cluster.delete(ref, uid=first["metadata"]["uid"]) is True
    assert cluster.delete(ref) is False
    cluster.apply(config("gone"))
    with pytest.raises(ConflictError):
        cluster.delete(ref, uid=first["metadata"]["uid"])
    assert cluster.get(ref) is not None


def test_a_list_of_several_pages_names_kinds_and_a_watch_goes_on_from_it(cluster: Cluster) -> None:
    for number in range(3):
        cluster.apply(config(f"many-{number}") | {"metadata": {
            "name": f"many-{number}", "namespace": "door", "labels": {"set": "many"}}})  # fmt: skip
    found, since = cluster.objects_at("v1", "ConfigMap", "door", labels="set=many")
    threading.Timer(0.2, lambda: cluster.delete(Ref("v1", "ConfigMap", "door", "many-1"))).start()

    seen = next(
        event
        for event in cluster.watch("v1", "ConfigMap", "door", labels="set=many", since=since, within=20)
        if event.type != "BOOKMARK"
    )

    assert [item["kind"] for item in found] == ["ConfigMap"] * 3
    assert (seen.type, seen.object["metadata"]["name"]) == ("DELETED", "many-1")


def test_the_clock_of_a_lab_runs_at_its_speed_and_says_so(cluster: Cluster) -> None:
    began, wall = cluster.clock.now(), time.monotonic()
    cluster.clock.sleep(6)
    took = time.monotonic() - wall

    assert cluster.measured_on == "lab at 20 times the wall's speed"
    assert (cluster.clock.now() - began).total_seconds() == pytest.approx(took * 20, rel=0.2)
    assert cluster.version() == "1.36"


class Moody(httpx2.BaseTransport):
    """Answers what it is told to, in turn; the last for ever."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/x"
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def sender(transport: Moody, waits: list[float]) -> Sender:
    """Time goes by only in waits."""
    client = httpx2.Client(base_url="https://door.test", transport=transport)
    return Sender(
        client, "https://door.test", Tries(within=30), sleep=waits.append, elapsed=lambda: sum(waits)
    )


def test_a_busy_server_is_asked_again_after_what_it_says() -> None:
    waits: list[float] = []
    transport = Moody(httpx2.Response(429, headers={"Retry-After": "3"}), httpx2.Response(200, json={}))

    assert sender(transport, waits).send("POST", "/x", repeatable=False).status_code == 200
    assert waits == [3.0]


@pytest.mark.parametrize(
    "answer", [httpx2.ReadTimeout("slow"), httpx2.ReadError("cut"), httpx2.Response(504)]
)
def test_a_request_that_may_have_been_done_is_repeated_only_where_that_is_safe(
    answer: httpx2.Response | Exception,
) -> None:
    once, waits = Moody(answer, httpx2.Response(200, json={})), list[float]()
    with pytest.raises(UnreachableError):
        sender(once, waits).send("POST", "/x", repeatable=False)
    assert once.asked == 1

    again = Moody(answer, httpx2.Response(200, json={}))
    assert sender(again, waits).send("PATCH", "/x", repeatable=True).is_success


def test_a_server_that_stays_broken_ends_in_one_error_with_the_number_of_tries() -> None:
    waits: list[float] = []
    transport = Moody(httpx2.Response(500, json={"kind": "Status", "message": "etcd is gone"}))

    with pytest.raises(UnreachableError, match=r"500 etcd is gone \(4 tries\)"):
        sender(transport, waits).send("GET", "/x", repeatable=True)


def test_no_connection_is_retried_until_the_time_is_up_and_no_longer() -> None:
    waits: list[float] = []
    transport = Moody(httpx2.Response(200), httpx2.ConnectError("refused"))
    seen = sender(transport, waits)
    seen.send("GET", "/x", repeatable=True)

    with pytest.raises(UnreachableError, match="refused"):
        seen.send("POST", "/x", repeatable=False)
    assert 10 < sum(waits) <= 30


def test_a_server_that_never_answered_is_given_up_soon() -> None:
    waits: list[float] = []

    with pytest.raises(UnreachableError, match="refused"):
        sender(Moody(httpx2.ConnectError("refused")), waits).send("GET", "/x", repeatable=True)
    assert 1 < sum(waits) <= 3


def test_a_version_too_old_to_go_on_from_is_its_own_error() -> None:
    transport = Moody(
        httpx2.Response(410, json={"kind": "Status", "reason": "Expired", "message": "too old"})
    )

    with pytest.raises(ExpiredError, match="too old"):
        sender(transport, []).send("GET", "/x", repeatable=True)


def test_credentials_that_are_not_taken_are_not_tried_twice() -> None:
    transport = Moody(httpx2.Response(401))

    with pytest.raises(UnreachableError, match="takes no credentials"):
        sender(transport, []).send("GET", "/x", repeatable=True)
    assert transport.asked == 1


def test_kubectl_sees_the_lab_s_clock_too(state: Path, cluster: Cluster) -> None:
    assert cluster.server.startswith("https://127.")
    subprocess.run(
        ["kubectl", "--kubeconfig", str(state / "kubeconfig"), "-n", "kube-public", "get", "configmap", "stoker-lab"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
