"""Requests over real connections, to a server with known delays and to nobody."""

import asyncio
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.load.conftest import serving
from tests.load.server import FIRST_S, STALL_S, TOKEN_S

from stoker.errors import InputError
from stoker.lab.http.certificates import ensure_certificates
from stoker.load import (
    Api,
    Clock,
    LoadResult,
    Outcome,
    Planned,
    Target,
    listed_plan,
    poisson_plan,
    run,
    run_sync,
    summarise,
)


def _send(
    url: str, model: str, *, count: int = 5, tokens: int = 4, target: Target | None = None, **options: Any
) -> LoadResult:
    plan = listed_plan([Planned(0, 0.02 * index, 8, tokens, model) for index in range(count)])
    return run_sync(plan, target or Target(url), **options)


def test_known_delays_are_measured(server: str) -> None:
    done = _send(server, "m", count=10, tokens=6)
    for result in done.results:
        assert result.outcome is Outcome.OK
        assert result.ttft_s is not None
        assert result.ttft_s >= FIRST_S
        assert result.e2e_s >= FIRST_S + 5 * TOKEN_S
        assert result.lag_s is not None
        assert 0 <= result.lag_s <= result.ttft_s
        assert (result.prompt_tokens, result.output_tokens) == (7, 6)
    assert summarise(done).answered_by == {"m": 10}


def test_requests_do_not_wait_for_answers(server: str) -> None:
    done = _send(server, "m", count=10, tokens=30)
    assert done.peak_in_flight > 5
    assert max(result.sent_s or 0 for result in done.results) < min(result.end_s for result in done.results)


def test_a_stalled_server_is_measured_by_everybody_whom_it_kept_waiting(server: str) -> None:
    done = run_sync(poisson_plan(40.0, 3.0, model="stall-open", output_tokens=2), Target(server))
    e2e = sorted(result.e2e_s for result in done.results)
    assert summarise(done).total.e2e.p99 is not None
    assert max(e2e) >= STALL_S
    # A second of 40 requests: whoever came in its first half waited for half a second or more.
    assert sum(latency >= STALL_S / 2 for latency in e2e) >= 10
    assert min(e2e) < STALL_S / 2


def test_a_closed_loop_would_have_omitted_the_stall_and_the_intended_moments_do_not(server: str) -> None:
    plan = poisson_plan(10.0, 4.0, model="stall-closed", output_tokens=1)
    done = run_sync(plan, Target(server), max_in_flight=1)
    summary = summarise(done)
    as_sent = [result.e2e_s - (result.lag_s or 0.0) for result in done.results]
    assert sum(latency >= STALL_S / 2 for latency in as_sent) == 1
    assert sum(result.e2e_s >= STALL_S / 2 for result in done.results) >= 4
    assert summary.held >= 4
    assert summary.peak_in_flight == 1


@pytest.mark.parametrize(
    ("model", "outcome", "status", "detail"),
    [
        ("429", Outcome.HTTP, 429, "said nothing"),
        ("500", Outcome.HTTP, 500, "said nothing"),
        ("302", Outcome.HTTP, 302, "said nothing"),
        ("cut", Outcome.CUT, 200, ""),
        ("short", Outcome.CUT, 200, "without [DONE]"),
        ("error", Outcome.ERROR, 200, "the engine died"),
        ("strange", Outcome.STRANGE, 200, "text/html"),
    ],
)
def test_every_bad_end_is_told_apart(
    server: str, model: str, outcome: Outcome, status: int, detail: str
) -> None:
    done = _send(server, model, count=3)
    assert {(result.outcome, result.status) for result in done.results} == {(outcome, status)}
    assert all(detail in result.detail for result in done.results)


def test_silence_is_a_timeout_and_takes_as_long_as_allowed(server: str) -> None:
    done = _send(server, "hang", count=2, timeout_s=0.3)
    assert {result.outcome for result in done.results} == {Outcome.TIMEOUT}
    assert all(result.e2e_s >= 0.3 for result in done.results)


def test_a_port_where_nobody_listens_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = _send(f"http://127.0.0.1:{port}", "m")
    assert {result.kind for result in done.results} == {"connection refused"}
    assert summarise(done).answered == 0


def test_a_connection_that_is_dropped_before_the_answer_is_lost() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drop() -> None:
            for _ in range(3):
                listener.accept()[0].close()

        thread = threading.Thread(target=drop)
        thread.start()
        done = _send(f"http://127.0.0.1:{listener.getsockname()[1]}", "m", count=3)
        thread.join()
    assert {result.outcome for result in done.results} == {Outcome.LOST}


def test_a_name_that_nobody_has_is_a_lost_connection() -> None:
    done = _send("http://nobody.invalid", "m", count=1)
    assert [result.outcome for result in done.results] == [Outcome.LOST]
    assert "nobody.invalid" in done.results[0].detail


def test_tokens_are_counted_by_the_stream_where_the_server_does_not_tell(server: str) -> None:
    done = _send(server, "uncounted", tokens=5)
    assert {(result.prompt_tokens, result.output_tokens) for result in done.results} == {(None, 5)}


def test_a_header_tells_which_pod_answered(server: str) -> None:
    done = _send(server, "m", target=Target(server, answered_by="x-pod"))
    assert summarise(done).answered_by == {"pod-a": 5}


def test_the_infer_protocol_has_no_first_token(server: str) -> None:
    done = _send(server, "m", target=Target(server, Api.INFER))
    assert {(result.outcome, result.first_s, result.answered_by) for result in done.results} == {
        (Outcome.OK, None, "2")
    }
    assert summarise(done).total.ttft.p50 is None


def test_host_headers_and_token_arrive_and_the_token_is_nowhere_else(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD_KEY", "s3cret-word")
    target = Target(
        server,
        Api.COMPLETIONS,
        streams=False,
        host="llm.example.com",
        key_env="LOAD_KEY",
        headers=(("x-team", "a"),),
    )
    seen = json.loads(_send(server, "echo", count=1, target=target).results[0].answered_by)
    assert seen["headers"]["host"] == "llm.example.com"
    assert seen["headers"]["x-team"] == "a"
    assert seen["headers"]["authorization"] == "Bearer s3cret-word"
    assert seen["path"] == "/v1/completions"
    refused = _send(server, "401", count=1, target=target)
    assert refused.results[0].detail == "said Bearer ***"
    assert "s3cret" not in repr(refused)


def test_a_lab_s_speed_divides_what_is_waited_and_multiplies_what_is_told(server: str) -> None:
    plan = listed_plan([Planned(0, 2.0 * index, 8, 2, "m") for index in range(6)])
    loop_begin = Clock()
    done = run_sync(plan, Target(server), clock=Clock(20.0))
    assert loop_begin.now() >= 10.0 / 20
    assert all((result.ttft_s or 0) >= 20 * FIRST_S for result in done.results)
    assert all((result.sent_s or 0) >= result.planned.at_s for result in done.results)
    assert done.elapsed_s >= 10.0
    assert done.speed == 20.0


def test_a_run_can_be_cancelled_and_what_was_under_way_says_so(server: str) -> None:
    async def cancelled() -> LoadResult:
        event = asyncio.Event()
        plan = listed_plan(
            [Planned(0, 0.0, 8, 1, "hang"), Planned(0, 0.0, 8, 1, "m"), Planned(0, 3600.0, 8, 1, "m")]
        )
        answered = asyncio.Event()
        task = asyncio.ensure_future(
            run(plan, Target(server), cancel=event, on_result=lambda _: answered.set())
        )
        await answered.wait()
        event.set()
        return await task

    done = asyncio.run(cancelled())
    assert done.is_cancelled
    assert sorted(result.kind for result in done.results) == ["cancelled", "ok"]


def test_what_is_under_way_at_a_stop_may_end_within_its_grace(server: str) -> None:
    async def stopped() -> LoadResult:
        event = asyncio.Event()
        plan = listed_plan(
            [Planned(0, 0.0, 8, 1, "m"), Planned(0, 0.0, 8, 50, "m"), Planned(0, 3600.0, 8, 1, "m")]
        )
        return await run(plan, Target(server), cancel=event, grace_s=60.0, on_result=lambda _: event.set())

    done = asyncio.run(stopped())
    assert [result.kind for result in done.results] == ["ok", "ok"]


def test_a_callback_that_fails_ends_the_run(server: str) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no")

    with pytest.raises(ExceptionGroup):
        _send(server, "m", on_result=fail)


def test_certificates_are_checked_by_the_name_that_the_host_header_has(tmp_path: Path) -> None:
    authority, certificate, key = ensure_certificates(tmp_path)
    with serving(certificate, key) as address:
        url = f"https://{address}"

        def kinds(target: Target) -> set[str]:
            return {result.kind for result in _send(url, "m", count=2, target=target).results}

        assert kinds(Target(url, host="kubernetes.default.svc", ca=authority)) == {"ok"}
        assert kinds(Target(url, host="llm.example.com", ca=authority)) == {"connection lost"}
        assert kinds(Target(url, host="kubernetes.default.svc")) == {"connection lost"}


def test_a_certificate_authority_that_is_none_is_refused(server: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(InputError, match="no certificate authority"):
        _send(server, "m", target=Target(server, ca=tmp_path / "ca.pem"))
