"""The catcher answers as the services do."""

import asyncio
import json

import httpx2
import pytest

from stoker.lab.monitoring import Catcher

TRIGGER = {
    "routing_key": "key",
    "event_action": "trigger",
    "dedup_key": "k",
    "payload": {"summary": "s", "source": "x", "severity": "critical"},
}


def catcher() -> Catcher:
    return Catcher(lambda: 7.0, lambda: 3.0)


def test_a_pagerduty_event_is_taken_and_its_key_forgotten() -> None:
    found = catcher()
    status, answer = found.receive("POST", "/v2/enqueue", json.dumps(TRIGGER).encode())
    assert (202, {"status": "success", "message": "Event processed", "dedup_key": "k"}) == (status, answer)
    (one,) = found.notifications
    assert ("pagerduty", "firing", "k", "s", 7.0, 3.0) == (
        one.kind,
        one.action,
        one.key,
        one.summary,
        one.time,
        one.wall,
    )
    assert "<secret>" == one.body["routing_key"]


@pytest.mark.parametrize("change", [{"routing_key": ""}, {"event_action": "shout"}])
def test_an_event_that_pagerduty_would_refuse_is_refused(change: dict[str, str]) -> None:
    found = catcher()
    status, _ = found.receive("POST", "/v2/enqueue", json.dumps({**TRIGGER, **change}).encode())
    assert (400, []) == (status, found.notifications)


def test_an_opsgenie_alert_is_opened_and_closed_under_its_alias() -> None:
    found = catcher()
    assert 202 == found.receive("POST", "/v2/alerts", b'{"alias": "a/b", "message": "m"}')[0]
    assert 202 == found.receive("POST", "/v2/alerts/a%2Fb/close?identifierType=alias", b'{"source": "x"}')[0]
    assert [("firing", "a/b"), ("resolved", "a/b")] == [(one.action, one.key) for one in found.notifications]


def test_what_is_no_delivery_is_refused() -> None:
    found = catcher()
    assert 400 == found.receive("POST", "/webhook", b"{")[0]
    assert 405 == found.receive("GET", "/webhook", b"")[0]
    found.refuse = 500
    assert 500 == found.receive("POST", "/webhook", b"{}")[0]
    assert [] == found.notifications


async def over_the_wire() -> None:
    found = catcher()
    await found.start("127.0.0.1")
    try:
        async with httpx2.AsyncClient() as client:
            waiting = asyncio.ensure_future(found.wait_for(lambda one: one.action == "resolved", 5))
            for action in ("trigger", "resolve"):
                response = await client.post(
                    found.overrides()["pagerduty"], json={**TRIGGER, "event_action": action}
                )
                assert 202 == response.status_code
            done = await waiting
            assert done is not None
            assert "k" == done.key
        assert await found.wait_for(lambda one: one.kind == "email", 0.05) is None
        reader, writer = await asyncio.open_connection(found.host, found.port)
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n")
        assert b"" == await reader.read()
        writer.close()
    finally:
        await found.stop()


def test_deliveries_arrive_over_http_and_huge_ones_are_cut_off() -> None:
    asyncio.run(over_the_wire())
