"""A probe that fails: whose fault it is. An API server's own refusal says nothing of the pod behind it."""

import json
from collections.abc import Callable

import httpx2
import pytest

from stoker.canary.probe import Answer, Pair, Prober, Target, ask
from stoker.canary.prompts import DEFAULT

TARGET = Target("llama-1", "http://pod:8000")


def _status(code: int, message: str) -> httpx2.Response:
    return httpx2.Response(
        code, json={"kind": "Status", "apiVersion": "v1", "code": code, "message": message}
    )


def _ask(
    handler: Callable[[httpx2.Request], httpx2.Response],
    *,
    via_api: bool,
    elapsed: Callable[[], float] = lambda: 0.0,
) -> Answer:
    with httpx2.Client(transport=httpx2.MockTransport(handler)) as client:
        return ask(Prober(client, "llama", via_api=via_api, elapsed=elapsed), TARGET, DEFAULT.prompts[0])


@pytest.mark.parametrize(
    ("response", "is_lost"),
    [
        pytest.param(_status(429, "too many requests"), True, id="the API server is busy"),
        pytest.param(_status(500, "etcdserver: request timed out"), True, id="the API server fails"),
        pytest.param(_status(403, 'pods "llama-1" is forbidden'), True, id="no right to ask"),
        pytest.param(_status(503, "error trying to reach service: dial tcp: refused"), False, id="a pod that is gone"),
        pytest.param(httpx2.Response(500, json={"object": "error", "message": "CUDA"}), False, id="the pod fails"),
        pytest.param(httpx2.Response(503, text="no healthy upstream"), False, id="no JSON"),
    ],
)  # fmt: skip
def test_what_an_api_server_refuses_by_itself_is_not_the_pods_failure(
    response: httpx2.Response, is_lost: bool  # noqa: FBT001
) -> None:  # fmt: skip
    told = _ask(lambda _: response, via_api=True)

    assert (True, is_lost) == (bool(told.error), told.lost)
    assert not _ask(lambda _: response, via_api=False).lost


@pytest.mark.parametrize(
    ("error", "is_lost"), [(httpx2.ConnectError, True), (httpx2.ConnectTimeout, True), (httpx2.ReadTimeout, False)]
)  # fmt: skip
def test_a_pod_behind_an_api_server_that_is_not_reached_was_never_asked_and_one_that_hangs_was(
    error: type[httpx2.TransportError], is_lost: bool  # noqa: FBT001
) -> None:  # fmt: skip
    def fail(_: httpx2.Request) -> httpx2.Response:
        raise error("no")

    assert is_lost == _ask(fail, via_api=True).lost
    assert not _ask(fail, via_api=False).lost


def test_an_answer_that_trickles_is_given_up_so_that_orders_are_heard() -> None:
    line = json.dumps({"choices": [{"delta": {"content": "a"}}]})
    ticks = iter(range(0, 10_000, 20))
    body = "".join(f"data: {line}\n\n" for _ in range(30)) + "data: [DONE]\n\n"

    told = _ask(lambda _: httpx2.Response(200, text=body), via_api=False, elapsed=lambda: float(next(ticks)))

    assert "not done after 60 s" == told.error


def test_a_pair_that_says_nothing_of_the_versions_is_void() -> None:
    good, bad, lost = Answer("a"), Answer(error="HTTP 500"), Answer(error="HTTP 429", lost=True)

    said = {
        (left, right): Pair(0, 0, canary_first=True, stable=left, canary=right).is_void
        for left in (good, bad, lost)
        for right in (good, bad, lost)
    }

    assert {(good, good), (good, bad), (bad, good)} == {pair for pair, is_void in said.items() if not is_void}
