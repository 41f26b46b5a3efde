"""A server that is busy, broken or gone during a rollout: it ends well or with a clear error, and the next one converges."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.apply.running.things import Kubectl, stoker
from tests.apply.running.victim import transport
from tests.rollout.running.test_killed import check_back, check_whole
from tests.rollout.running.things import left_over, planned, roll, standing

from stoker.cli.rollout_told import held_rollout, take_back
from stoker.errors import StokerError, UnreachableError
from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.transport import Tries
from stoker.rollout.evidence import Verdict
from stoker.rollout.run import measure_gates
from stoker.rollout.state import Done
from stoker.rollout.store import Store

pytestmark = pytest.mark.slow


@contextmanager
def fault(state: Path, kind: str, value: float) -> Iterator[None]:
    stoker("lab", "fault", kind, "--value", value, "--state", state)
    try:
        yield
    finally:
        stoker("lab", "fault", kind, "--off", "--state", state)


def whole(cluster: Cluster, tries: int = 10) -> int:
    """Roll out until everything has passed, as a user would who runs it again after an error; how often."""
    errors: list[StokerError] = []
    for number in range(1, tries + 1):
        try:
            _, end = roll(cluster)
        except StokerError as error:
            errors.append(error)
            continue
        if end == Done():
            assert all(error.fix for error in errors), errors  # each says what to do
            return number
    raise AssertionError(f"not whole after {tries} runs: {Store(cluster).load()}")


@pytest.mark.parametrize("kind", ["api-429", "api-500"])
def test_a_server_that_refuses_or_fails_a_fifth_of_all_requests(
    state: Path, cluster: Cluster, kubectl: Kubectl, kubeconfig: Path, kind: str
) -> None:
    before = standing(kubectl)
    with fault(state, kind, 0.2):
        whole(cluster)
    roll(cluster)  # what the faulty server kept of an error's clean-up

    check_whole(kubectl, cluster, before)
    check_back(kubeconfig, kubectl, cluster, before)


class Impatient(httpx2.BaseTransport):
    """Waits two seconds for an answer, where the client would wait thirty."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self.inner = inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions["timeout"] = {"connect": 5.0, "read": 2.0, "write": 5.0, "pool": 30.0}
        return self.inner.handle_request(request)

    def close(self) -> None:
        self.inner.close()


def test_requests_that_are_never_answered(
    state: Path, cluster: Cluster, kubectl: Kubectl, kubeconfig: Path
) -> None:
    before = standing(kubectl)
    with (
        fault(state, "api-timeout", 0.03),
        open_cluster(
            kubeconfig=str(kubeconfig), transport=Impatient(transport(kubeconfig)), tries=Tries(within=120)
        ) as impatient,
    ):
        whole(impatient)
    roll(cluster)

    check_whole(kubectl, cluster, before)
    check_back(kubeconfig, kubectl, cluster, before)


class Cut(httpx2.BaseTransport):
    """Cuts the connection of one request in twelve that writes, after the server has carried it out."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self.inner, self.chance = inner, random.Random(7)  # noqa: S311  # which ones
        self.lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self.inner.handle_request(request)
        with self.lock:
            cut = request.method != "GET" and self.chance.random() < 1 / 12
        if cut:
            response.read()
            response.close()
            raise httpx2.ReadError("the connection was cut")
        return response

    def close(self) -> None:
        self.inner.close()


def test_answers_that_are_lost_do_no_harm(cluster: Cluster, kubectl: Kubectl, kubeconfig: Path) -> None:
    before = standing(kubectl)
    with open_cluster(kubeconfig=str(kubeconfig), transport=Cut(transport(kubeconfig))) as flaky:
        whole(flaky, tries=40)
        roll(cluster)
        check_whole(kubectl, cluster, before)

        for _ in range(40):
            try:
                take_back(flaky)
                break
            except StokerError:
                continue
        else:
            raise AssertionError("no rollback came through")
    check_back(kubeconfig, kubectl, cluster, before)


class Broken(httpx2.BaseTransport):
    """Lets nothing be read of pods, or made anew, while it is broken; everything else goes."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self.inner = inner
        self.broken = threading.Event()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        is_pod = (
            "/pods" in request.url.path
            and request.method == "GET"
            and "labelSelector" not in request.url.params
        )
        if self.broken.is_set() and is_pod:
            raise httpx2.ReadError("the connection was cut")
        return self.inner.handle_request(request)

    def close(self) -> None:
        self.inner.close()


def test_a_gate_that_cannot_look_is_inconclusive_and_leaves_nothing(
    cluster: Cluster, kubectl: Kubectl, kubeconfig: Path
) -> None:
    before = standing(kubectl)
    roll(cluster, through="tenants")
    broken = Broken(transport(kubeconfig))
    with open_cluster(kubeconfig=str(kubeconfig), transport=broken, tries=Tries(within=0.5)) as blind:
        platform, phases = planned()
        broken.broken.set()
        with held_rollout(blind) as parts:
            results = measure_gates(parts(platform, phases, {}, 0), lambda name: name == "week-1/untolerated")

    assert [Verdict.INCONCLUSIVE] == [result.verdict for result in results]
    assert "the connection was cut" in results[0].judgement.reason
    assert results[0].cleaned
    assert [] == left_over(cluster)
    state = Store(cluster).load()
    assert state is not None
    assert state.verdict("foundation") is Verdict.INCONCLUSIVE
    assert "inconclusive" == state.phase("foundation").verdicts["week-1/untolerated"]

    _, end = roll(cluster)
    assert end == Done()
    check_back(kubeconfig, kubectl, cluster, before)


@pytest.mark.parametrize("left", [30, 120, 200, 260])
def test_a_server_that_is_gone_ends_in_one_error_and_the_next_run_goes_on(
    cluster: Cluster, kubectl: Kubectl, kubeconfig: Path, left: int
) -> None:
    class Gone(httpx2.BaseTransport):
        """The network fails after a number of requests."""

        def __init__(self, inner: httpx2.BaseTransport) -> None:
            self.inner, self.left = inner, left

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            self.left -= 1
            if self.left < 0:
                raise httpx2.ConnectError("no route to host")
            return self.inner.handle_request(request)

        def close(self) -> None:
            self.inner.close()

    before = standing(kubectl)
    with (
        open_cluster(
            kubeconfig=str(kubeconfig), transport=Gone(transport(kubeconfig)), tries=Tries(within=0.5)
        ) as going,
        pytest.raises(UnreachableError, match="no route to host"),
    ):
        roll(going)

    _, end = roll(cluster)
    assert end == Done()
    check_whole(kubectl, cluster, before)
    check_back(kubeconfig, kubectl, cluster, before)
